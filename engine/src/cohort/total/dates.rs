//! Functions of days and moments. What is not in the calendar is NULL.

use std::sync::Arc;

use arrow::array::Date32Array;
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::ColumnarValue;

use super::arithmetic::MOMENT;
use super::calendar::{self, DAY_US, civil, from_civil, is_day, iso_week, weekday};
use super::columns::Call;
use super::function::{Shape, Total};
use super::parse;

use DataType::{Date32, Float64, Int64, Null, Utf8};

/// The functions, by their names.
pub(super) fn functions() -> Vec<Total> {
    vec![
        Total::new("date_part", &["datepart"], part_shape, date_part),
        Total::new("date_trunc", &["datetrunc"], trunc_shape, date_trunc),
        Total::new("make_date", &[], make_shape, make_date),
        Total::new("to_date", &[], to_date_shape, to_date),
    ]
}

/// What a day or moment can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Year,
    Quarter,
    Month,
    Week,
    Day,
    DayOfWeek,
    IsoDayOfWeek,
    DayOfYear,
    Hour,
    Minute,
    Second,
    Millisecond,
    Microsecond,
    Epoch,
}

impl Part {
    fn named(name: &str) -> Option<Self> {
        Some(match name.trim_matches('\'').to_ascii_lowercase().as_str() {
            "year" | "years" => Self::Year,
            "quarter" => Self::Quarter,
            "month" | "months" => Self::Month,
            "week" | "weeks" => Self::Week,
            "day" | "days" => Self::Day,
            "dow" | "dayofweek" => Self::DayOfWeek,
            "isodow" => Self::IsoDayOfWeek,
            "doy" | "dayofyear" => Self::DayOfYear,
            "hour" | "hours" => Self::Hour,
            "minute" | "minutes" => Self::Minute,
            "second" | "seconds" => Self::Second,
            "millisecond" | "milliseconds" => Self::Millisecond,
            "microsecond" | "microseconds" => Self::Microsecond,
            "epoch" => Self::Epoch,
            _ => return None,
        })
    }

    /// Of a moment in the calendar.
    fn of(self, moment: i64) -> i64 {
        let (day, time) = (moment.div_euclid(DAY_US), moment.rem_euclid(DAY_US));
        let (year, month, day_of_month) = civil(day);
        match self {
            Self::Year => year,
            Self::Quarter => (month - 1) / 3 + 1,
            Self::Month => month,
            Self::Week => iso_week(day),
            Self::Day => day_of_month,
            Self::DayOfWeek => weekday(day) % 7,
            Self::IsoDayOfWeek => weekday(day),
            Self::DayOfYear => day - from_civil(year, 1, 1).map_or(day, i64::from) + 1,
            Self::Hour => time / 3_600_000_000,
            Self::Minute => time / 60_000_000 % 60,
            Self::Second => time / 1_000_000 % 60,
            Self::Millisecond => time / 1_000 % 60_000,
            Self::Microsecond => time % 60_000_000,
            Self::Epoch => moment.div_euclid(1_000_000),
        }
    }

    /// The first moment of the year, month and so on that a moment is in.
    fn start(self, moment: i64) -> Option<i64> {
        let day = moment.div_euclid(DAY_US);
        let (year, month, _) = civil(day);
        let midnight = |day: Option<i32>| Some(i64::from(day?) * DAY_US);
        let step = |us: i64| Some(moment.div_euclid(us) * us);
        match self {
            Self::Year => midnight(from_civil(year, 1, 1)),
            Self::Quarter => midnight(from_civil(year, month - (month - 1) % 3, 1)),
            Self::Month => midnight(from_civil(year, month, 1)),
            Self::Week => midnight(calendar::day(day - weekday(day) + 1)),
            Self::Day => step(DAY_US),
            Self::Hour => step(3_600_000_000),
            Self::Minute => step(60_000_000),
            Self::Second => step(1_000_000),
            Self::Millisecond => step(1_000),
            Self::Microsecond => Some(moment),
            Self::DayOfWeek | Self::IsoDayOfWeek | Self::DayOfYear | Self::Epoch => None,
        }
    }

    /// Whether [`Self::start`] is for it.
    const fn has_start(self) -> bool {
        !matches!(self, Self::DayOfWeek | Self::IsoDayOfWeek | Self::DayOfYear | Self::Epoch)
    }
}

/// The part that the first argument names. It decides the type of the result, so it is a literal.
fn named(literals: &[Option<&ScalarValue>]) -> Option<Part> {
    match literals.first()? {
        Some(ScalarValue::Utf8(Some(name)) | ScalarValue::Utf8View(Some(name))) => Part::named(name),
        _ => None,
    }
}

fn part_shape(types: &[DataType], literals: &[Option<&ScalarValue>]) -> Option<Shape> {
    let of = match types {
        [Utf8, Date32] => Date32,
        [Utf8, DataType::Timestamp(..)] => MOMENT,
        [Utf8, Utf8 | Null] => Date32,
        // What one day minus another gives.
        [Utf8, Int64] => Int64,
        _ => return None,
    };
    // Asked for the types alone, before literals are known.
    let part = if literals.is_empty() { Part::Year } else { named(literals)? };
    Shape::of(&[Utf8, of], if part == Part::Epoch { Float64 } else { Int64 })
}

fn trunc_shape(types: &[DataType], literals: &[Option<&ScalarValue>]) -> Option<Shape> {
    if matches!(types, [_, Int64]) || (!literals.is_empty() && !named(literals)?.has_start()) {
        return None;
    }
    part_shape(types, &[]).map(|shape| Shape { gives: MOMENT, ..shape })
}

fn make_shape(types: &[DataType], _: &[Option<&ScalarValue>]) -> Option<Shape> {
    let fits = types.len() == 3 && types.iter().all(|found| matches!(found, Int64 | Null));
    if fits { Shape::of(&[Int64, Int64, Int64], Date32) } else { None }
}

fn to_date_shape(types: &[DataType], _: &[Option<&ScalarValue>]) -> Option<Shape> {
    match types {
        [Utf8 | Null] => Shape::of(&[Utf8], Date32),
        _ => None,
    }
}

fn part(call: &Call<'_>) -> Result<Part> {
    match call.texts(0)?.get(0).and_then(Part::named) {
        Some(part) => Ok(part),
        None => internal_err!("a part of a date that nobody named"),
    }
}

/// A function of the second argument's moments, days being their midnights.
fn of_moment<R: arrow::datatypes::ArrowPrimitiveType>(
    call: &Call<'_>,
    function: impl Fn(i64) -> Option<R::Native>,
) -> Result<ColumnarValue> {
    let second = Call { args: &call.args[1..], ..*call };
    match second.args[0].data_type() {
        Date32 => second
            .unary::<Date32Type, R>(|day| if is_day(day.into()) { function(i64::from(day) * DAY_US) } else { None }),
        _ => second.unary::<TimestampMicrosecondType, R>(|moment| calendar::moment(moment.into()).and_then(&function)),
    }
}

/// Whether a length of time in days can be asked for a part of it.
pub(super) fn is_of_days(part: &str) -> bool {
    matches!(Part::named(part), Some(Part::Day | Part::Epoch))
}

fn date_part(call: &Call<'_>) -> Result<ColumnarValue> {
    if call.args[1].data_type() == Int64 {
        let days = Call { args: &call.args[1..], ..*call };
        return match part(call)? {
            Part::Day => days.unary::<Int64Type, Int64Type>(Some),
            Part::Epoch => days.unary::<Int64Type, Float64Type>(|days| Some(days as f64 * 86_400.0)),
            // Of these a query is refused.
            _ => days.unary::<Int64Type, Int64Type>(|_| None),
        };
    }
    match part(call)? {
        Part::Epoch => of_moment::<Float64Type>(call, |moment| Some(moment as f64 / 1e6)),
        part => of_moment::<Int64Type>(call, |moment| Some(part.of(moment))),
    }
}

fn date_trunc(call: &Call<'_>) -> Result<ColumnarValue> {
    let part = part(call)?;
    of_moment::<TimestampMicrosecondType>(call, |moment| part.start(moment))
}

fn make_date(call: &Call<'_>) -> Result<ColumnarValue> {
    let [year, month, day] = [0, 1, 2].map(|position| call.values::<Int64Type>(position));
    let (year, month, day) = (year?, month?, day?);
    let each = |row| from_civil(year.get(row)?, month.get(row)?, day.get(row)?);
    let array: Date32Array = (0..call.height()).map(each).collect();
    call.give(Arc::new(array))
}

fn to_date(call: &Call<'_>) -> Result<ColumnarValue> {
    let texts = call.texts(0)?;
    let array: Date32Array = (0..call.height()).map(|row| parse::day(texts.get(row)?)).collect();
    call.give(Arc::new(array))
}
