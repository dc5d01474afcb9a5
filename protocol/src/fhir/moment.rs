//! Days of FHIR's dates, moments and periods.
//!
//! A period of FHIR has both its ends in it, and an end of reduced precision means the whole of it: what begins in `2020`
//! begins on its first day, what ends in `2020` ends on its last. A moment has a zone, and is rounded to days: a permit
//! begins with the first day that lies in it from midnight to midnight, and ends with the last such day; a deny begins and
//! ends with the days of which it has any moment. The days of a rule's validity are those of the ledger, in universal time. A
//! row of data has the day that it had where it was written, so periods of data are rounded in universal and in local time,
//! and the safer day counts.

use serde_json::Value;

use crate::consent::Window;
use crate::ids::Date;

const SECOND: i128 = 1_000_000_000;
const DAY: i128 = 86_400 * SECOND;

/// Which way a moment within a day is rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rounding {
    /// To days that lie wholly in the period: for permits.
    Inwards,
    /// To days of which the period has anything: for denies.
    Outwards,
}

/// Whose days a period is rounded to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Calendar {
    /// Universal time, in which blocks have their days.
    Ledger,
    /// Universal and local time, whichever is safer: it is not known in which a row has its day.
    Data,
}

/// Why a period cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PeriodError {
    /// It is not what FHIR calls a period.
    Malformed,
    /// It has no whole day, or ends before it begins.
    Empty,
}

impl From<PeriodError> for super::finding::Why {
    fn from(error: PeriodError) -> Self {
        match error {
            PeriodError::Malformed => Self::Malformed,
            PeriodError::Empty => Self::Period,
        }
    }
}

/// What a date or a moment of FHIR spans, in nanoseconds since 1970 in universal time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    first: i128,
    /// The first instant that is not in it any more.
    after: i128,
    /// How far local time is ahead.
    ahead: i128,
}

impl Moment {
    /// Reads `YYYY`, `YYYY-MM`, `YYYY-MM-DD` or `YYYY-MM-DDThh:mm:ss` with a zone, and perhaps fractions of a second.
    pub(super) fn read(text: &str) -> Option<Self> {
        let Some((day, time)) = text.split_once('T') else { return Self::of_days(text) };
        let day = i128::from(day.parse::<Date>().ok().filter(|_| day.len() == 10)?.days()) * DAY;
        let zone = time.find(['Z', '+', '-'])?;
        let (clock, zone) = time.split_at_checked(zone)?;
        let ahead = zone_of(zone)?;
        let (clock, fraction) = clock.split_once('.').map_or((clock, None), |(clock, rest)| (clock, Some(rest)));
        let [hours, minutes, seconds] = three(clock)?;
        // A leap second is the first one of what follows.
        if hours > 23 || minutes > 59 || seconds > 60 {
            return None;
        }
        let (part, precision) = match fraction {
            None => (0, SECOND),
            Some(digits) if (1..=9).contains(&digits.len()) => {
                let unit = 10_i128.pow(9 - u32::try_from(digits.len()).ok()?);
                (number(digits, digits.len())? * unit, unit)
            }
            Some(_) => return None,
        };
        let first = day + ((hours * 60 + minutes) * 60 + seconds) * SECOND + part - ahead;
        Some(Self { first, after: first + precision, ahead })
    }

    fn of_days(text: &str) -> Option<Self> {
        let year = i32::try_from(number(text.get(..4)?, 4)?).ok()?;
        let (first, last) = match text.len() {
            4 => (Date::from_ymd(year, 1, 1)?, Date::from_ymd(year, 12, 31)?),
            7 => {
                let month = u32::try_from(number(text.get(5..)?, 2).filter(|_| text.as_bytes()[4] == b'-')?).ok()?;
                let days = (28..=31).rev().find_map(|day| Date::from_ymd(year, month, day))?;
                (Date::from_ymd(year, month, 1)?, days)
            }
            10 => {
                let day = text.parse().ok()?;
                (day, day)
            }
            _ => return None,
        };
        let midnight = |day: Date| i128::from(day.days()) * DAY;
        Some(Self { first: midnight(first), after: midnight(last) + DAY, ahead: 0 })
    }

    /// The first and the last day of which this has anything, by the ledger's days.
    pub(super) fn days(self) -> Option<(Date, Date)> {
        Some((date(self.first.div_euclid(DAY))?, date((self.after - 1).div_euclid(DAY))?))
    }

    /// The first instant, in nanoseconds since 1970.
    pub(super) const fn begins(self) -> i128 {
        self.first
    }

    fn locally(self) -> Self {
        Self { first: self.first + self.ahead, after: self.after + self.ahead, ahead: 0 }
    }

    fn as_start(self, rounding: Rounding) -> i128 {
        match rounding {
            Rounding::Inwards => -(-self.first).div_euclid(DAY),
            Rounding::Outwards => self.first.div_euclid(DAY),
        }
    }

    fn as_end(self, rounding: Rounding) -> i128 {
        match rounding {
            Rounding::Inwards => self.after.div_euclid(DAY) - 1,
            Rounding::Outwards => (self.after - 1).div_euclid(DAY),
        }
    }
}

/// The days of a FHIR `Period`.
pub(super) fn period(value: &Value, rounding: Rounding, calendar: Calendar) -> Result<Window, PeriodError> {
    let parts = value.as_object().ok_or(PeriodError::Malformed)?;
    if parts.keys().any(|key| !matches!(key.as_str(), "start" | "end" | "id" | "extension")) {
        return Err(PeriodError::Malformed);
    }
    let moment = |name: &str| match parts.get(name) {
        None => Ok(None),
        Some(text) => text.as_str().and_then(Moment::read).map(Some).ok_or(PeriodError::Malformed),
    };
    let (start, end) = (moment("start")?, moment("end")?);
    if start.is_none() && end.is_none() {
        return Err(PeriodError::Malformed);
    }
    if let (Some(start), Some(end)) = (start, end)
        && end.after <= start.first
    {
        return Err(PeriodError::Empty);
    }
    // The later start and the earlier end of two are the narrower.
    let narrower = |one: i128, other: i128, of_start: bool| {
        if of_start == (rounding == Rounding::Inwards) { one.max(other) } else { one.min(other) }
    };
    let day = |moment: Moment, of_start: bool| {
        let of = |moment: Moment| if of_start { moment.as_start(rounding) } else { moment.as_end(rounding) };
        match calendar {
            Calendar::Ledger => of(moment),
            Calendar::Data => narrower(of(moment), of(moment.locally()), of_start),
        }
    };
    let (from, to) = (start.map(|moment| day(moment, true)), end.map(|moment| day(moment, false)));
    if let (Some(from), Some(to)) = (from, to)
        && to < from
    {
        return Err(PeriodError::Empty);
    }
    // A permit that begins after the calendar's last day, or ends before its first, has none.
    let outside = from.is_some_and(|day| day > i128::from(LAST)) || to.is_some_and(|day| day < i128::from(FIRST));
    if outside && rounding == Rounding::Inwards {
        return Err(PeriodError::Empty);
    }
    let inside = |day: i128| date(day).unwrap_or(Date::from_days(if day < 0 { FIRST } else { LAST }));
    Ok(Window { from: from.map(inside), to: to.map(inside) })
}

/// 0001-01-01 and 9999-12-31.
const FIRST: i32 = -719_162;
const LAST: i32 = 2_932_896;

fn date(day: i128) -> Option<Date> {
    i32::try_from(day).ok().filter(|day| (FIRST..=LAST).contains(day)).map(Date::from_days)
}

fn number(digits: &str, length: usize) -> Option<i128> {
    (digits.len() == length && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}

fn three(clock: &str) -> Option<[i128; 3]> {
    let mut parts = clock.split(':').map(|part| number(part, 2));
    let all = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(all)
}

fn zone_of(text: &str) -> Option<i128> {
    let (sign, rest) = match text.split_at_checked(1)? {
        ("Z", "") => return Some(0),
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
    (minutes < 60 && hours * 60 + minutes <= 14 * 60).then_some(sign * (hours * 60 + minutes) * 60 * SECOND)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn window(from: &str, to: &str) -> Window {
        let day = |text: &str| (!text.is_empty()).then(|| text.parse().expect("a date"));
        Window { from: day(from), to: day(to) }
    }

    fn read(start: &str, end: &str, rounding: Rounding) -> Result<Window, PeriodError> {
        let mut value = json!({});
        if !start.is_empty() {
            value["start"] = json!(start);
        }
        if !end.is_empty() {
            value["end"] = json!(end);
        }
        period(&value, rounding, Calendar::Ledger)
    }

    #[test]
    fn permits_are_rounded_inwards_and_denies_outwards() {
        // start, end, the days of a permit, the days of a deny
        let table = [
            ("2020", "2020", ("2020-01-01", "2020-12-31"), ("2020-01-01", "2020-12-31")),
            ("2020-02", "2020-02", ("2020-02-01", "2020-02-29"), ("2020-02-01", "2020-02-29")),
            ("2021-02", "2021-02", ("2021-02-01", "2021-02-28"), ("2021-02-01", "2021-02-28")),
            ("2020-02-29", "3000-01-01", ("2020-02-29", "3000-01-01"), ("2020-02-29", "3000-01-01")),
            ("2020-01-15T10:00:00+02:00", "", ("2020-01-16", ""), ("2020-01-15", "")),
            ("2020-01-15T00:00:00Z", "", ("2020-01-15", ""), ("2020-01-15", "")),
            ("2020-01-15T02:00:00+02:00", "", ("2020-01-15", ""), ("2020-01-15", "")),
            ("2020-01-15T00:00:00+02:00", "", ("2020-01-15", ""), ("2020-01-14", "")),
            ("2020-01-15T00:00:00.001Z", "", ("2020-01-16", ""), ("2020-01-15", "")),
            ("2020-01-15T20:00:00-05:00", "", ("2020-01-17", ""), ("2020-01-16", "")),
            ("", "2020-01-15T10:00:00Z", ("", "2020-01-14"), ("", "2020-01-15")),
            ("", "2020-01-15T23:59:59Z", ("", "2020-01-15"), ("", "2020-01-15")),
            ("", "2020-01-15T23:59:59.999Z", ("", "2020-01-15"), ("", "2020-01-15")),
            ("", "2020-01-15T23:59:59.5Z", ("", "2020-01-14"), ("", "2020-01-15")),
            ("", "2020-01-15T23:59:60Z", ("", "2020-01-15"), ("", "2020-01-16")),
            ("", "2020-01-15T23:59:59+02:00", ("", "2020-01-14"), ("", "2020-01-15")),
            ("", "3000-01-01T00:00:00+01:00", ("", "2999-12-30"), ("", "2999-12-31")),
        ];
        for (start, end, permit, deny) in table {
            assert_eq!(read(start, end, Rounding::Inwards), Ok(window(permit.0, permit.1)), "{start} {end}");
            assert_eq!(read(start, end, Rounding::Outwards), Ok(window(deny.0, deny.1)), "{start} {end}");
        }
    }

    #[test]
    fn what_is_no_period_is_refused() {
        for (start, end) in [
            ("2020-1-1", ""),
            ("2021-02-29", ""),
            ("2020-13", ""),
            ("0000", ""),
            ("2020-01-15T10:00Z", ""),
            ("2020-01-15T10:00:00", ""),
            ("2020-01-15T24:00:00Z", ""),
            ("2020-01-15T10:00:00+15:00", ""),
            ("2020-01-15T10:00:00.Z", ""),
            ("2020-01-15 10:00:00Z", ""),
            (" 2020", ""),
            ("", ""),
            ("", "20200"),
        ] {
            assert_eq!(read(start, end, Rounding::Inwards), Err(PeriodError::Malformed), "{start} {end}");
        }
        for rounding in [Rounding::Inwards, Rounding::Outwards] {
            assert_eq!(read("2020-01-02", "2020-01-01", rounding), Err(PeriodError::Empty));
        }
        // A quarter of an hour has no whole day, and is of one.
        let (start, end) = ("2016-06-23T17:02:33+10:00", "2016-06-23T17:32:33+10:00");
        assert_eq!(read(start, end, Rounding::Inwards), Err(PeriodError::Empty));
        assert_eq!(read(start, end, Rounding::Outwards), Ok(window("2016-06-23", "2016-06-23")));
        assert_eq!(period(&json!("2020"), Rounding::Inwards, Calendar::Ledger), Err(PeriodError::Malformed));
        let hidden = json!({"start": "2020", "_end": {"extension": []}});
        assert_eq!(period(&hidden, Rounding::Inwards, Calendar::Ledger), Err(PeriodError::Malformed));
    }

    #[test]
    fn days_of_data_are_the_safer_of_two() {
        // At noon of the 15th, fourteen hours ahead, the 14th has not ended in universal time.
        let value = json!({"start": "2020-01-15T12:00:00+14:00", "end": "2020-03-01T06:00:00-10:00"});
        let of = |rounding, calendar| period(&value, rounding, calendar);
        assert_eq!(of(Rounding::Inwards, Calendar::Ledger), Ok(window("2020-01-15", "2020-02-29")));
        assert_eq!(of(Rounding::Inwards, Calendar::Data), Ok(window("2020-01-16", "2020-02-29")));
        assert_eq!(of(Rounding::Outwards, Calendar::Data), Ok(window("2020-01-14", "2020-03-01")));
    }

    #[test]
    fn the_ends_of_the_calendar_are_kept() {
        assert_eq!(
            read("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", Rounding::Outwards),
            Ok(window("0001-01-01", "9999-12-31"))
        );
    }
}
