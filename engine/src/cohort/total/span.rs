//! Lengths of time as SQL writes them: months, days, and a time of day, each with its own sign.

use arrow::datatypes::IntervalMonthDayNano;

use super::calendar::{self, DAY_US, add_months, is_day};

const DAY_NS: i64 = 86_400_000_000_000;

/// A day later (or earlier) by months, then days, then as many whole days as the time of day has.
pub(super) fn shift_day(day: i32, span: IntervalMonthDayNano, sign: i64) -> Option<i32> {
    let days = add_months(day.into(), sign * i64::from(span.months))?;
    calendar::day(days + sign * (i64::from(span.days) + span.nanoseconds / DAY_NS))
}

/// A moment later (or earlier) by months, then days, then the time of day.
pub(super) fn shift_moment(moment: i64, span: IntervalMonthDayNano, sign: i64) -> Option<i64> {
    let (day, time) = (moment.div_euclid(DAY_US), moment.rem_euclid(DAY_US));
    let day = add_months(day, sign * i64::from(span.months))? + sign * i64::from(span.days);
    let us = i128::from(day) * i128::from(DAY_US) + i128::from(time);
    let ns = us * 1_000 + i128::from(sign) * i128::from(span.nanoseconds);
    calendar::moment(ns.div_euclid(1_000)).filter(|_| is_day(moment.div_euclid(DAY_US)))
}

/// The opposite.
pub(super) fn negative(span: IntervalMonthDayNano) -> Option<IntervalMonthDayNano> {
    Some(IntervalMonthDayNano {
        months: span.months.checked_neg()?,
        days: span.days.checked_neg()?,
        nanoseconds: span.nanoseconds.checked_neg()?,
    })
}
