//! What a text says as a number, a day, a moment or a truth value; `None` where it says none. Blanks around it count for
//! nothing.

use super::calendar::{self, DAY_US, from_civil};

/// Digits with a sign before them, if any.
pub(super) fn whole(text: &str) -> Option<i64> {
    text.trim_ascii().parse().ok()
}

/// Digits with a point and an exponent, if any; not `NaN` or `inf`, nor what a double cannot hold.
pub(super) fn number(text: &str) -> Option<f64> {
    text.trim_ascii().parse::<f64>().ok().filter(|x| x.is_finite())
}

/// As PostgreSQL takes them.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text.trim_ascii().to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// `2024-02-29`, `2024-2-9`, `20240229`, or the day of a moment.
pub(super) fn day(text: &str) -> Option<i32> {
    let text = text.trim_ascii();
    match text.split_once(['T', ' ']) {
        Some((date, time)) => civil_day(date).filter(|_| time_of_day(time).is_some()),
        None => civil_day(text),
    }
}

/// A day, or a day and `hh:mm`, `hh:mm:ss` or `hh:mm:ss.ffffff` after a blank or `T`. A time zone is none.
pub(super) fn moment(text: &str) -> Option<i64> {
    let text = text.trim_ascii();
    let (date, time) = match text.split_once(['T', ' ']) {
        Some((date, time)) => (date, time_of_day(time)?),
        None => (text, 0),
    };
    calendar::moment(i128::from(civil_day(date)?) * i128::from(DAY_US) + i128::from(time))
}

fn digits(text: &str, least: usize, most: usize) -> Option<i64> {
    let plain = (least..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

fn civil_day(text: &str) -> Option<i32> {
    if digits(text, 8, 8).is_some() {
        return from_civil(digits(&text[..4], 4, 4)?, digits(&text[4..6], 2, 2)?, digits(&text[6..], 2, 2)?);
    }
    let (year, rest) = text.split_once('-')?;
    let (month, day) = rest.split_once('-')?;
    from_civil(digits(year, 4, 4)?, digits(month, 1, 2)?, digits(day, 1, 2)?)
}

/// Microseconds since midnight; further digits are cut off.
fn time_of_day(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, ':');
    let hours = digits(parts.next()?, 1, 2).filter(|hours| *hours < 24)?;
    let minutes = digits(parts.next()?, 2, 2).filter(|minutes| *minutes < 60)?;
    let (seconds, fraction) = match parts.next() {
        None => (0, 0),
        Some(seconds) => {
            let (seconds, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
            digits(fraction, 1, 9)?;
            let six: String = fraction.chars().chain("00000".chars()).take(6).collect();
            (digits(seconds, 2, 2).filter(|seconds| *seconds < 60)?, digits(&six, 6, 6)?)
        }
    };
    Some(((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_say_what_they_say_or_nothing() {
        let numbers = [("7", Some(7)), (" -7 ", Some(-7)), ("+7", Some(7)), ("", None), ("7.0", None), ("0x7", None)];
        for (text, value) in numbers {
            assert_eq!(whole(text), value, "{text}");
        }
        assert_eq!(whole("9223372036854775807"), Some(i64::MAX));
        assert_eq!(whole("9223372036854775808"), None);
        for text in ["NaN", "inf", "-infinity", "1e400", "", "one", "1,5"] {
            assert_eq!(number(text), None, "{text}");
        }
        assert_eq!(number(" -2.5e3 "), Some(-2_500.0));
        assert_eq!((truth("T"), truth("off"), truth("maybe"), truth("")), (Some(true), Some(false), None, None));
    }

    #[test]
    fn days_and_moments_are_in_the_calendar() {
        assert_eq!(day("1970-01-02"), Some(1));
        assert_eq!(day("1970-1-2"), Some(1));
        assert_eq!(day(" 19700102 "), Some(1));
        assert_eq!(day("1970-01-02 23:59"), Some(1));
        assert_eq!(day("0001-01-01"), Some(-719_162));
        assert_eq!(day("9999-12-31"), Some(2_932_896));
        let none = [
            "2021-02-30",
            "0000-01-01",
            "10000-01-01",
            "1970-01",
            "1970-01-02x",
            "1970-01-02 24:00",
            "",
            "abc",
            "-1-1",
        ];
        for text in none {
            assert_eq!(day(text), None, "{text}");
        }
        assert_eq!(moment("1970-01-01T00:00:01.5"), Some(1_500_000));
        assert_eq!(moment("1970-01-01 00:01"), Some(60_000_000));
        assert_eq!(moment("1970-01-01 00:00:00.1234567"), Some(123_456));
        assert_eq!(moment("1970-01-01"), Some(0));
        for text in ["1970-01-01T00:00:01Z", "1970-01-01 00:00:01+02", "1970-01-01 25:00", "1970-01-01 00:00:60"] {
            assert_eq!(moment(text), None, "{text}");
        }
    }
}
