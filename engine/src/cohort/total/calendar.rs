//! The calendar that dates are reckoned by: Gregorian without a gap, from 0001-01-01 to 9999-12-31. Days are counted from
//! 1970-01-01.

use consilium_protocol::ids::Date;

/// 0001-01-01.
pub(super) const FIRST_DAY: i64 = -719_162;
/// 9999-12-31.
pub(super) const LAST_DAY: i64 = 2_932_896;
/// Microseconds of a day.
pub(super) const DAY_US: i64 = 86_400_000_000;

/// Whether a day is in the calendar.
pub(super) const fn is_day(days: i64) -> bool {
    FIRST_DAY <= days && days <= LAST_DAY
}

/// A day as Arrow keeps it, if it is in the calendar.
pub(super) fn day(days: i64) -> Option<i32> {
    if is_day(days) { i32::try_from(days).ok() } else { None }
}

/// A moment in microseconds since 1970, if its day is in the calendar.
pub(super) fn moment(us: i128) -> Option<i64> {
    let us = i64::try_from(us).ok()?;
    is_day(us.div_euclid(DAY_US)).then_some(us)
}

/// Year, month and day of a day that is in the calendar.
pub(super) fn civil(days: i64) -> (i64, i64, i64) {
    let (year, month, day) = Date::from_days(days as i32).ymd();
    (year.into(), month.into(), day.into())
}

/// The day of a year, month and day of month, if there is one in the calendar.
pub(super) fn from_civil(year: i64, month: i64, day: i64) -> Option<i32> {
    let (month, day) = (u32::try_from(month).ok()?, u32::try_from(day).ok()?);
    Date::from_ymd(i32::try_from(year).ok()?, month, day).map(Date::days)
}

/// So many months later, on the last day of the month where it has no such day.
pub(super) fn add_months(days: i64, months: i64) -> Option<i64> {
    if !is_day(days) {
        return None;
    }
    let (year, month, day) = civil(days);
    let count = year.checked_mul(12)?.checked_add(month - 1)?.checked_add(months)?;
    let (year, month) = (count.div_euclid(12), count.rem_euclid(12) + 1);
    (28..=day.max(28)).rev().map(|last| day.min(last)).find_map(|day| from_civil(year, month, day)).map(i64::from)
}

/// 1 for Monday to 7 for Sunday.
pub(super) const fn weekday(days: i64) -> i64 {
    (days + 3).rem_euclid(7) + 1
}

/// The week of its year by ISO 8601: weeks begin on Mondays, and the first has the year's first Thursday.
pub(super) fn iso_week(days: i64) -> i64 {
    let thursday = days - weekday(days) + 4;
    let (year, _, _) = civil(thursday);
    let new_year = from_civil(year, 1, 1).map_or(thursday, i64::from);
    (thursday - new_year) / 7 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_are_the_ends() {
        assert_eq!((civil(FIRST_DAY), civil(LAST_DAY)), ((1, 1, 1), (9_999, 12, 31)));
        assert_eq!((day(FIRST_DAY - 1), day(LAST_DAY + 1), day(i64::MAX)), (None, None, None));
        for (year, month, day) in
            [(2_021, 2, 29), (2_020, 13, 1), (0, 1, 1), (10_000, 1, 1), (2_020, -1, 1), (i64::MAX, 1, 1)]
        {
            assert_eq!(from_civil(year, month, day), None);
        }
        assert_eq!(moment(i128::from(LAST_DAY + 1) * i128::from(DAY_US) - 1), Some((LAST_DAY + 1) * DAY_US - 1));
        assert_eq!(moment(i128::from(LAST_DAY + 1) * i128::from(DAY_US)), None);
        assert_eq!(moment(i128::MAX), None);
    }

    #[test]
    fn weeks_follow_the_standard() {
        // ISO 8601, examples of the standard's annex.
        for (y, m, d, week, day) in
            [(2_005, 1, 1, 53, 6), (2_007, 1, 1, 1, 1), (2_008, 12, 29, 1, 1), (2_010, 1, 3, 53, 7)]
        {
            let days = i64::from(from_civil(y, m, d).expect("a day"));
            assert_eq!((iso_week(days), weekday(days)), (week, day), "{y}-{m}-{d}");
        }
    }

    #[test]
    fn months_end_where_they_end() {
        let day = |y, m, d| i64::from(from_civil(y, m, d).expect("a day"));
        assert_eq!(add_months(day(2_020, 1, 31), 1), Some(day(2_020, 2, 29)));
        assert_eq!(add_months(day(2_020, 2, 29), -12), Some(day(2_019, 2, 28)));
        assert_eq!(add_months(day(9_999, 12, 31), 1), None);
        assert_eq!(add_months(day(1, 1, 1), -1), None);
        assert_eq!(add_months(day(1, 1, 1), i64::MAX), None);
        assert_eq!(add_months(LAST_DAY + 1, -1), None);
    }
}
