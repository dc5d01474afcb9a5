//! `+ - * / %` and the sign of numbers and dates.
//!
//! Whole numbers have 64 bits, others are doubles. What a result cannot hold is NULL: beyond 64 bits, infinite, no
//! number, a day outside the calendar, anything divided by zero.

use arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type, IntervalMonthDayNanoType, TimeUnit};
use datafusion::arrow::datatypes::{IntervalUnit, TimestampMicrosecondType};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::ColumnarValue;

use super::calendar;
use super::columns::{Call, doubt_finite};
use super::function::{Shape, Total};
use super::span;

pub(super) const MOMENT: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);
pub(super) const SPAN: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

use DataType::{Date32, Float64, Int64, Null, Utf8};

/// The operators, by their names.
pub(super) fn operators() -> Vec<Total> {
    vec![
        Total::operator("plus", "+", plus_shape, plus),
        Total::operator("minus", "-", minus_shape, minus),
        Total::operator("times", "*", number_shape, times),
        Total::operator("divided_by", "/", number_shape, divided_by),
        Total::operator("modulo", "%", number_shape, modulo),
        Total::new("negative", &[], negative_shape, negative),
    ]
}

/// The operator that an SQL sign stands for.
pub(super) fn by_sign(sign: &str) -> Option<&'static str> {
    operators().iter().find(|total| total.operator == Some(sign)).map(|total| total.name)
}

fn number_shape(types: &[DataType], _: &[Option<&ScalarValue>]) -> Option<Shape> {
    match types {
        [Int64 | Null, Int64 | Null] => Shape::of(&[Int64, Int64], Int64),
        [Int64 | Float64 | Null, Int64 | Float64 | Null] => Shape::of(&[Float64, Float64], Float64),
        _ => None,
    }
}

fn plus_shape(types: &[DataType], literals: &[Option<&ScalarValue>]) -> Option<Shape> {
    let [left, right] = types else { return None };
    match (left, right) {
        (Date32, Int64 | Null) => Shape::of(&[Date32, Int64], Date32),
        (Int64 | Null, Date32) => Shape::of(&[Int64, Date32], Date32),
        (Date32, span) if *span == SPAN => Shape::of(types, Date32),
        (span, Date32) if *span == SPAN => Shape::of(types, Date32),
        (moment, span) if *moment == MOMENT && (*span == SPAN || *span == Null) => Shape::of(&[MOMENT, SPAN], MOMENT),
        (span, moment) if *moment == MOMENT && (*span == SPAN || *span == Null) => Shape::of(&[SPAN, MOMENT], MOMENT),
        _ => number_shape(types, literals),
    }
}

fn minus_shape(types: &[DataType], literals: &[Option<&ScalarValue>]) -> Option<Shape> {
    let [left, right] = types else { return None };
    match (left, right) {
        (Date32, Date32 | Utf8) | (Utf8, Date32) => Shape::of(&[Date32, Date32], Int64),
        (Date32, Int64 | Null) => Shape::of(&[Date32, Int64], Date32),
        (Date32, span) if *span == SPAN => Shape::of(types, Date32),
        (moment, span) if *moment == MOMENT && (*span == SPAN || *span == Null) => Shape::of(&[MOMENT, SPAN], MOMENT),
        _ => number_shape(types, literals),
    }
}

fn negative_shape(types: &[DataType], _: &[Option<&ScalarValue>]) -> Option<Shape> {
    match types {
        [Int64 | Null] => Shape::of(&[Int64], Int64),
        [Float64] => Shape::of(types, Float64),
        [span] if *span == SPAN => Shape::of(types, SPAN),
        _ => None,
    }
}

/// The highest bit of a word.
const SIGN: u64 = 1 << 63;
/// Its upper half.
const UPPER: u64 = u64::MAX << 32;

/// The sign of the sum is wrong where both signs differ from it.
const fn add(a: i64, b: i64) -> (i64, u64) {
    let sum = a.wrapping_add(b);
    (sum, ((a ^ sum) & (b ^ sum)) as u64)
}

const fn subtract(a: i64, b: i64) -> (i64, u64) {
    let difference = a.wrapping_sub(b);
    (difference, ((a ^ b) & (a ^ difference)) as u64)
}

/// In doubt, by the upper half of the word, where a factor needs more than 32 bits with its sign.
const fn multiply(a: i64, b: i64) -> (i64, u64) {
    let shifted = a.wrapping_add(1 << 31) | b.wrapping_add(1 << 31);
    (a.wrapping_mul(b), shifted as u64)
}

fn plus(call: &Call<'_>) -> Result<ColumnarValue> {
    match call.types().as_slice() {
        [Int64, Int64] => call.quick::<Int64Type, Int64Type, Int64Type>(add, SIGN, |a, b| a.checked_add(b).is_some()),
        [Float64, Float64] => floats(call, |a, b| a + b),
        [Date32, Int64] => call.binary::<Date32Type, Int64Type, Date32Type>(later),
        [Int64, Date32] => call.binary::<Int64Type, Date32Type, Date32Type>(|n, day| later(day, n)),
        [Date32, _] => call.binary::<Date32Type, IntervalMonthDayNanoType, Date32Type>(|a, b| span::shift_day(a, b, 1)),
        [_, Date32] => call.binary::<IntervalMonthDayNanoType, Date32Type, Date32Type>(|a, b| span::shift_day(b, a, 1)),
        [DataType::Timestamp(..), _] => call
            .binary::<TimestampMicrosecondType, IntervalMonthDayNanoType, TimestampMicrosecondType>(|a, b| {
                span::shift_moment(a, b, 1)
            }),
        [_, DataType::Timestamp(..)] => call
            .binary::<IntervalMonthDayNanoType, TimestampMicrosecondType, TimestampMicrosecondType>(|a, b| {
                span::shift_moment(b, a, 1)
            }),
        _ => internal_err!("plus of other types"),
    }
}

fn minus(call: &Call<'_>) -> Result<ColumnarValue> {
    match call.types().as_slice() {
        [Int64, Int64] => {
            call.quick::<Int64Type, Int64Type, Int64Type>(subtract, SIGN, |a, b| a.checked_sub(b).is_some())
        }
        [Float64, Float64] => floats(call, |a, b| a - b),
        [Date32, Date32] => call.binary::<Date32Type, Date32Type, Int64Type>(|a, b| {
            let in_calendar = calendar::is_day(a.into()) && calendar::is_day(b.into());
            in_calendar.then(|| i64::from(a) - i64::from(b))
        }),
        [Date32, Int64] => call.binary::<Date32Type, Int64Type, Date32Type>(|day, n| later(day, n.checked_neg()?)),
        [Date32, _] => {
            call.binary::<Date32Type, IntervalMonthDayNanoType, Date32Type>(|a, b| span::shift_day(a, b, -1))
        }
        [DataType::Timestamp(..), _] => call
            .binary::<TimestampMicrosecondType, IntervalMonthDayNanoType, TimestampMicrosecondType>(|a, b| {
                span::shift_moment(a, b, -1)
            }),
        _ => internal_err!("minus of other types"),
    }
}

fn times(call: &Call<'_>) -> Result<ColumnarValue> {
    match call.result {
        Int64 => call.quick::<Int64Type, Int64Type, Int64Type>(multiply, UPPER, |a, b| a.checked_mul(b).is_some()),
        _ => floats(call, |a, b| a * b),
    }
}

/// Cut off towards zero. In doubt where the divisor is 0, or -1, which alone can overflow.
fn divided_by(call: &Call<'_>) -> Result<ColumnarValue> {
    let divide = |a: i64, b: i64| match b {
        0 => (0, SIGN),
        -1 => (a.wrapping_neg(), SIGN),
        b => (a / b, 0),
    };
    match call.result {
        Int64 => call.quick::<Int64Type, Int64Type, Int64Type>(divide, SIGN, |a, b| a.checked_div(b).is_some()),
        _ => floats(call, |a, b| a / b),
    }
}

/// With the sign of the dividend.
fn modulo(call: &Call<'_>) -> Result<ColumnarValue> {
    let rest = |a: i64, b: i64| match b {
        0 => (0, SIGN),
        b => (a.wrapping_rem(b), 0),
    };
    match call.result {
        Int64 => call.quick::<Int64Type, Int64Type, Int64Type>(rest, SIGN, |_, b| b != 0),
        _ => floats(call, |a, b| a % b),
    }
}

fn negative(call: &Call<'_>) -> Result<ColumnarValue> {
    match call.result {
        Int64 => call.unary::<Int64Type, Int64Type>(i64::checked_neg),
        Float64 => call.unary::<Float64Type, Float64Type>(|x| Some(-x).filter(|x| x.is_finite())),
        _ => call.unary::<IntervalMonthDayNanoType, IntervalMonthDayNanoType>(span::negative),
    }
}

fn floats(call: &Call<'_>, compute: impl Fn(f64, f64) -> f64 + Copy) -> Result<ColumnarValue> {
    call.quick::<Float64Type, Float64Type, Float64Type>(
        |a, b| {
            let value = compute(a, b);
            (value, doubt_finite(value))
        },
        SIGN,
        |a, b| compute(a, b).is_finite(),
    )
}

/// So many days later.
fn later(day: i32, days: i64) -> Option<i32> {
    let day = i64::from(day);
    if calendar::is_day(day) { calendar::day(day.checked_add(days)?) } else { None }
}
