//! Dates as OMOP and Arrow count them.

/// A day, counted from 1970-01-01 as in Arrow's `Date32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Date(i32);

/// The day on which every synthetic store is looked at: ages are ages on this day, and nothing happens after it.
pub(super) const REFERENCE: Date = Date::new(2026, 1, 1);

impl Date {
    /// A day of the proleptic Gregorian calendar, from year 1 on; `month` and `day` count from 1.
    ///
    /// Howard Hinnant, *chrono-Compatible Low-Level Date Algorithms*, `days_from_civil`.
    pub(super) const fn new(year: i32, month: i32, day: i32) -> Date {
        let year = if month <= 2 { year - 1 } else { year };
        let era = year / 400;
        let year_of_era = year - era * 400;
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        Date(era * 146_097 + day_of_era - 719_468)
    }

    /// The day as year, month and day: the inverse of [`Date::new`].
    pub(super) const fn parts(self) -> (i32, i32, i32) {
        let days = self.0 + 719_468;
        let era = days / 146_097;
        let day_of_era = days - era * 146_097;
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = (shifted_month + 2) % 12 + 1;
        let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
        (year, month, day)
    }

    /// Days since 1970-01-01.
    pub(super) const fn days(self) -> i32 {
        self.0
    }

    /// The day `days` later, or earlier where negative.
    pub(super) const fn plus(self, days: i32) -> Date {
        Date(self.0 + days)
    }

    /// The day `years` earlier; 29 February becomes 1 March where it must.
    pub(super) const fn years_before(self, years: i32) -> Date {
        let (year, month, day) = self.parts();
        Date::new(year - years, month, day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_days() {
        assert_eq!(Date::new(1970, 1, 1).days(), 0);
        assert_eq!(Date::new(1969, 12, 31).days(), -1);
        assert_eq!(Date::new(2000, 3, 1).days(), 11_017);
        assert_eq!(REFERENCE.days(), 20_454);
        assert_eq!(Date::new(2024, 2, 29).years_before(1), Date::new(2023, 3, 1));
    }

    #[test]
    fn parts_invert_new_over_two_centuries() {
        let mut last = Date::new(1899, 12, 31).parts();
        for days in Date::new(1900, 1, 1).days()..Date::new(2100, 1, 1).days() {
            let (year, month, day) = Date(days).parts();
            assert_eq!(Date::new(year, month, day), Date(days));
            assert!((year, month, day) > last && (1..=12).contains(&month) && (1..=31).contains(&day));
            last = (year, month, day);
        }
    }
}
