//! The calendar that dates are reckoned by: Gregorian without a gap, from 0001-01-01 to 9999-12-31.
//!
//! Days are counted from 1970-01-01. From H. Hinnant, "chrono-compatible low-level date algorithms", 2021.

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
pub(super) const fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400;
    (if month <= 2 { year + 1 } else { year }, month, day)
}

/// The day of a year, month and day of month, if there is one in the calendar.
pub(super) fn from_civil(year: i64, month: i64, day: i64) -> Option<i32> {
    if !(1..=9_999).contains(&year) || !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    let from_march = if month <= 2 { year - 1 } else { year };
    let era = from_march.div_euclid(400);
    let of_era = from_march.rem_euclid(400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    self::day(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// How many days a month has.
pub(super) const fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// So many months later, on the last day of the month where it has no such day.
pub(super) fn add_months(days: i64, months: i64) -> Option<i64> {
    if !is_day(days) {
        return None;
    }
    let (year, month, day) = civil(days);
    let count = year.checked_mul(12)?.checked_add(month - 1)?.checked_add(months)?;
    let (year, month) = (count.div_euclid(12), count.rem_euclid(12) + 1);
    from_civil(year, month, day.min(days_in(year, month))).map(i64::from)
}

/// 1 for Monday to 7 for Sunday.
pub(super) const fn weekday(days: i64) -> i64 {
    (days + 3).rem_euclid(7) + 1
}

/// The week of its year by ISO 8601: weeks begin on Mondays, and the first has the year's first Thursday.
pub(super) fn iso_week(days: i64) -> i64 {
    let thursday = days - weekday(days) + 4;
    let (year, _, _) = civil(thursday);
    let (_, first_month, first_day) = (year, 1, 1);
    let new_year = from_civil(year, first_month, first_day).map_or(thursday, i64::from);
    (thursday - new_year) / 7 + 1
}

#[cfg(test)]
mod tests {
    use consilium_protocol::ids::Date;

    use super::*;

    #[test]
    fn every_day_of_the_calendar_is_there_and_back() {
        let (mut year, mut month, mut day_of_month) = (1, 1, 1);
        for days in FIRST_DAY..=LAST_DAY {
            assert_eq!(civil(days), (year, month, day_of_month));
            assert_eq!(from_civil(year, month, day_of_month).map(i64::from), Some(days));
            day_of_month += 1;
            if from_civil(year, month, day_of_month).is_none() {
                day_of_month = 1;
                month += 1;
            }
            if month == 13 {
                (year, month) = (year + 1, 1);
            }
        }
        assert_eq!((year, month, day_of_month), (10_000, 1, 1));
        for (year, month, day) in [(2_021, 2, 29), (1_900, 2, 29), (2_020, 13, 1), (2_020, 4, 31), (0, 1, 1)] {
            assert_eq!(from_civil(year, month, day), None);
        }
        assert_eq!(from_civil(2_000, 2, 29), Date::from_ymd(2_000, 2, 29).map(Date::days));
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
