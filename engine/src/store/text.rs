//! Fields of text as what a column holds.
//!
//! What programs write, not one of many possible readings: a form that could mean two things (`01/02/2020`, `1.234`
//! as a thousand) is none of these. The zone of a moment is left out, so that its date is the one that is written.

use std::ops::Range;

use borsh::{BorshDeserialize, BorshSerialize};
use consilium_protocol::ids::Date;
use serde::{Deserialize, Serialize};

/// Microseconds of a day.
pub(super) const DAY_US: i64 = 86_400_000_000;

/// The days since 1970 of the years 0001 to 9999: what a day can be.
pub(crate) const DAYS: Range<i32> = -719_162..2_932_897;

/// The microseconds since 1970 of these: what a moment can be.
pub(super) const MOMENTS: Range<i64> = DAYS.start as i64 * DAY_US..DAYS.end as i64 * DAY_US;

/// The largest whole number up to which every whole number is a double.
pub(super) const WHOLE_DOUBLE: f64 = 9_007_199_254_740_992.0;

/// What stands for no value in a file of texts, in lower case. A field of blanks always does.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(transparent)]
pub struct Nulls(Vec<String>);

impl Nulls {
    /// `NA` (R), `N/A`, `NULL` (SQL Server), `\N` (PostgreSQL, MySQL), `NaN` and `NaT` (pandas), `None` (Python), `.` (SAS).
    const USUAL: [&str; 8] = ["na", "n/a", "null", "\\n", "nan", "nat", "none", "."];

    /// Whether these are the ones that are meant where nothing is said.
    pub(super) fn are_usual(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a field, without the blanks around it, stands for no value. Capitals make no difference.
    pub(super) fn has(&self, field: &str) -> bool {
        field.is_empty() || self.0.iter().any(|mark| mark.eq_ignore_ascii_case(field))
    }
}

impl Default for Nulls {
    fn default() -> Self {
        Self(Self::USUAL.map(str::to_string).to_vec())
    }
}

/// What PostgreSQL's and MySQL's exports write for NULL, in texts too. No name or code is this.
pub(super) const NULL_TEXT: &str = "\\N";

/// A field without the blanks around it, and without quotes around all of it, as they stay where blanks precede them.
pub(super) fn bare(field: &str) -> &str {
    let field = field.trim();
    let quoted = field.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    quoted.map_or(field, str::trim)
}

/// Whole numbers, also as exports of numeric columns write them: `12.0`, `1e+05`.
pub(super) fn integer(text: &str) -> Option<i64> {
    if let Ok(whole) = text.parse() {
        return Some(whole);
    }
    if let Some((whole, zeros)) = text.split_once('.')
        && zeros.bytes().all(|b| b == b'0')
    {
        return whole.parse().ok();
    }
    // Only forms with an exponent are left: a double would round the digits of any other.
    text.contains(['e', 'E']).then(|| text.parse().ok().and_then(whole)).flatten()
}

/// A double that is a whole number, up to where every one is a double.
pub(super) fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() <= WHOLE_DOUBLE).then_some(number as i64)
}

/// Finite numbers.
pub(super) fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Whether a text is a word for what no measured number is: NaN, or one of the infinities.
pub(super) fn is_no_number(text: &str) -> bool {
    !text.contains(|c: char| c.is_ascii_digit()) && text.parse().is_ok_and(|number: f64| !number.is_finite())
}

/// `true`, `t`, `yes`, `y`, `1` and their opposites.
pub(super) fn truth(text: &str) -> Option<bool> {
    let is = |words: [&str; 5]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    match (is(["true", "t", "yes", "y", "1"]), is(["false", "f", "no", "n", "0"])) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    }
}

/// Days since 1970 of a date, or of a date with a time of day: `2024-02-29`, `2024/2/29`, `20240229`.
pub(super) fn day(text: &str) -> Option<i32> {
    let (day, rest) = split_day(text)?;
    (rest.is_empty() || clock(rest).is_some()).then_some(day)
}

/// Microseconds since 1970 of a date with a time of day as it is written, in whatever zone; a date alone is its midnight.
pub(super) fn moment(text: &str) -> Option<i64> {
    let (day, rest) = split_day(text)?;
    let time = if rest.is_empty() { 0 } else { clock(rest)? };
    Some(i64::from(day) * DAY_US + time).filter(|moment| MOMENTS.contains(moment))
}

/// Whether a text is a day or moment of no year from 0001 to 9999, as databases write them: `infinity`, `10000-01-01`,
/// `0044-03-15 BC`, `-0043-03-15`.
pub(super) fn is_beyond(text: &str) -> bool {
    let (unsigned, is_negative) = match text.strip_prefix('-') {
        Some(rest) => (rest, true),
        None => (text.strip_prefix('+').unwrap_or(text), false),
    };
    if ["infinity", "inf"].iter().any(|word| word.eq_ignore_ascii_case(unsigned)) {
        return true;
    }
    let (date, is_bc) = unsigned.strip_suffix("BC").map_or((unsigned, false), |date| (date.trim_end(), true));
    let mut parts = date.splitn(3, ['-', '/']);
    let (Some(year), Some(month), Some(rest)) = (parts.next(), parts.next(), parts.next()) else { return false };
    let (day, clock) = rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count());
    let number = |digits: &str, most: usize| {
        let is_plain = (1..=most).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse::<u32>().ok().filter(|_| is_plain)
    };
    let (Some(of_year), Some(of_month), Some(of_day)) = (number(year, 9), number(month, 2), number(day, 2)) else {
        return false;
    };
    let is_day = year.len() >= 4 && (1..=12).contains(&of_month) && (1..=31).contains(&of_day);
    // The last day's end is no moment of it.
    let is_end = (of_year, of_month, of_day) == (9_999, 12, 31) && moment(text).is_none();
    let is_outside = is_negative || is_bc || is_end || !(1..=9_999).contains(&of_year);
    is_day && is_outside && (clock.is_empty() || self::clock(clock).is_some())
}

/// A date, and what follows it.
fn split_day(text: &str) -> Option<(i32, &str)> {
    let length = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let number = |digits: &str| digits.parse::<u32>().ok();
    let (year, month, day, rest) = match length(text) {
        8 => {
            let (digits, rest) = text.split_at(8);
            (&digits[..4], &digits[4..6], &digits[6..], rest)
        }
        4 => {
            let (year, rest) = text.split_at(4);
            let mark = rest.chars().next().filter(|mark| ['-', '/'].contains(mark))?;
            let rest = &rest[1..];
            let (month, rest) = rest.split_at(length(rest));
            let rest = rest.strip_prefix(mark)?;
            let (day, rest) = rest.split_at(length(rest));
            if !(1..=2).contains(&month.len()) || !(1..=2).contains(&day.len()) {
                return None;
            }
            (year, month, day, rest)
        }
        _ => return None,
    };
    let date = Date::from_ymd(number(year)?.try_into().ok()?, number(month)?, number(day)?)?;
    Some((date.days(), rest))
}

/// Microseconds of the day: what follows a date, with the `T` or blank before it and a zone after it, if there is one.
fn clock(text: &str) -> Option<i64> {
    let mut text = text.strip_prefix(['T', 't', ' '])?.trim_start();
    for zone in ["Z", "z", "UTC", "GMT"] {
        text = text.strip_suffix(zone).unwrap_or(text);
    }
    let mut text = text.trim_end();
    if let Some(sign) = text.rfind(['+', '-']) {
        let (time, zone) = text.split_at(sign);
        let digits: Vec<u8> = zone[1..].bytes().filter(|b| *b != b':').collect();
        // With seconds where it is from before there were zones.
        if ![2, 4, 6].contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        text = time.trim_end();
    }
    let (time, afternoon) = match text.len().checked_sub(2).and_then(|at| text.split_at_checked(at)) {
        Some((time, half)) if half.eq_ignore_ascii_case("AM") => (time.trim_end(), Some(false)),
        Some((time, half)) if half.eq_ignore_ascii_case("PM") => (time.trim_end(), Some(true)),
        _ => (text, None),
    };
    let (whole, fraction) = time.split_once(['.', ',']).map_or((time, None), |(whole, rest)| (whole, Some(rest)));
    let mut parts = whole.split(':');
    let mut part = |most: u32| {
        let digits = parts.next()?;
        let plain = (1..=2).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse::<u32>().ok().filter(|value| plain && *value <= most)
    };
    let (hour, minute) = (part(24)?, part(59)?);
    let second = if whole.matches(':').count() == 2 { part(60)? } else { 0 };
    let hour = match afternoon {
        None => hour,
        Some(_) if !(1..=12).contains(&hour) => return None,
        Some(afternoon) => hour % 12 + if afternoon { 12 } else { 0 },
    };
    if parts.next().is_some() || (hour == 24 && (minute, second) != (0, 0)) {
        return None;
    }
    let micros = match fraction {
        None => 0,
        Some(digits) if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) => return None,
        Some(digits) => format!("{digits:0<6.6}").parse::<i64>().ok()?,
    };
    Some(i64::from(hour * 3_600 + minute * 60 + second) * 1_000_000 + micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_as_programs_write_them() {
        for (text, value) in
            [("12", 12), ("-7", -7), ("+3", 3), ("12.0", 12), ("12.", 12), ("1e+05", 100_000), ("1.5e3", 1_500)]
        {
            assert_eq!(integer(text), Some(value), "{text}");
        }
        let largest = "9223372036854775807";
        assert_eq!(integer(largest), Some(i64::MAX));
        assert_eq!(integer(&format!("{largest}.0")), Some(i64::MAX), "no digit is lost on the way");
        for text in [
            "",
            "1.5",
            "9223372036854775808",
            "12345678901234567890",
            "1e19",
            "1e-1",
            "1,000",
            "1 000",
            "0x10",
            "inf",
            "e",
            "1e",
        ] {
            assert_eq!(integer(text), None, "{text}");
        }
        assert_eq!((whole(WHOLE_DOUBLE), whole(WHOLE_DOUBLE + 2.0), whole(0.5)), (Some(1 << 53), None, None));
        assert_eq!((whole(f64::NAN), whole(f64::INFINITY), whole(-0.0)), (None, None, Some(0)));
    }

    #[test]
    fn dates_as_programs_write_them() {
        let leap = Date::from_ymd(2024, 2, 29).expect("a day").days();
        let written =
            ["2024-02-29", "2024-2-29", "2024/02/29", "20240229", "2024-02-29 0:00:00", "2024-02-29T23:59:59.999Z"];
        for text in written.into_iter().chain(["2024-02-29 23:59:59+14:00", "2024-02-29 11:59 PM", "20240229 00:00"]) {
            assert_eq!(day(text), Some(leap), "{text}");
        }
        // PostgreSQL's own export of the time before there were zones.
        assert_eq!(day("2024-02-29 00:00:00+00:53:28"), Some(leap));
        assert_eq!(day("9999-12-31"), Date::from_ymd(9999, 12, 31).map(Date::days));
        assert_eq!(day("0001-01-01 00:00:00"), Date::from_ymd(1, 1, 1).map(Date::days));
        let none = [
            "2023-02-29",
            "2024-13-01",
            "0000-01-01",
            "29-02-2024",
            "02/29/2024",
            "2024-02/29",
            "2024-02-29x",
            "202402",
        ];
        for text in none.into_iter().chain([
            "2024-02-29 25:00",
            "2024-02-29 12",
            "2024-02-29T12:00:00+1",
            "2024-02-29T12:00:00+01:00:0",
            "20240229120000",
            "",
        ]) {
            assert_eq!((day(text), moment(text)), (None, None), "{text}");
        }
    }

    #[test]
    fn moments_are_as_written() {
        let (midnight, second) = (moment("2020-01-01").expect("a moment"), 1_000_000);
        let times = [
            ("0:00:00", 0),
            ("00:00:00.000Z", 0),
            ("12:00:00+02:00", 43_200 * second),
            ("12:00:00.5 -0530", 43_200 * second + 500_000),
            ("1:02:03.1234567", 3_723 * second + 123_456),
            ("12:00 AM", 0),
            ("12:30:00 pm", 45_000 * second),
            ("24:00:00", 86_400 * second),
            ("07:08 UTC", 25_680 * second),
        ];
        for (time, since) in times {
            assert_eq!(moment(&format!("2020-01-01 {time}")), Some(midnight + since), "{time}");
            assert_eq!(moment(&format!("2020-01-01T{time}")), Some(midnight + since), "{time}");
        }
        for time in [
            "24:00:01",
            "12:60",
            "12:00:61",
            "0:00 AM",
            "13:00 PM",
            "12:00:00.",
            "12:00:00.x",
            "1:2:3:4",
            "-1:00",
            "12:00:00 CET",
        ] {
            assert_eq!(moment(&format!("2020-01-01 {time}")), None, "{time}");
        }
        assert_eq!(moment("9999-12-31 23:59:59"), Some(253_402_300_799 * second));
        assert_eq!((moment("9999-12-31 24:00"), moment("0001-01-01")), (None, Some(MOMENTS.start)));
    }

    #[test]
    fn what_no_day_and_no_number_can_be_is_told_from_what_is_none() {
        let beyond =
            ["infinity", "-Infinity", "10000-01-01", "294276/12/31", "0000-01-01", "-0043-03-15", "+12020-01-01"];
        for text in beyond.into_iter().chain(["0044-03-15 BC", "0001-02-29 00:00:00+00 BC", "10000-01-01 00:00:00.5"]) {
            assert!(is_beyond(text) && day(text).is_none() && moment(text).is_none(), "{text}");
        }
        assert!(is_beyond("9999-12-31 24:00") && moment("9999-12-31 24:00").is_none());
        let none = [
            "",
            "inf.",
            "2020-01-01",
            "9999-12-31",
            "9999-12-31 10:00",
            "12020",
            "10000-13-01",
            "0044-00-15 BC",
            "x BC",
        ];
        for text in none.into_iter().chain(["44-03-15 BC", "10000-01-01 25:00", "01/02/10000", "NaN", "0000-00-00"]) {
            assert!(!is_beyond(text), "{text}");
        }
        for text in ["NaN", "nan", "inf", "-Infinity", "+INFINITY"] {
            assert!(is_no_number(text) && number(text).is_none(), "{text}");
        }
        for text in ["1e400", "", "n", "infinite", "1"] {
            assert!(!is_no_number(text), "{text}");
        }
    }

    #[test]
    fn marks_for_nothing() {
        let nulls = Nulls::default();
        for mark in ["", "NA", "null", "\\N", "NaN", "None", "."] {
            assert!(nulls.has(mark), "{mark}");
        }
        for value in ["0", "N", "NAN1", "-"] {
            assert!(!nulls.has(value), "{value}");
        }
        let own: Nulls = serde_json::from_str("[\"-9\"]").expect("a list");
        assert!(own.has("-9") && own.has("") && !own.has("NA"));
        assert_eq!((bare(" 7 "), bare(" \"8507\""), bare("\""), bare("\" \"")), ("7", "8507", "\"", ""));
    }
}
