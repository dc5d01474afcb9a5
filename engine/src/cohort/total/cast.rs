//! Conversions between types. What has no counterpart in the other type is NULL.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, PrimitiveArray, StringArray, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::ColumnarValue;

use super::arithmetic::MOMENT;
use super::calendar::{self, DAY_US, civil, is_day};
use super::columns::{Call, doubt_finite};
use super::function::{Shape, Total};
use super::parse;

use DataType::{Boolean, Date32, Float64, Int64, Null, Timestamp, Utf8};

/// One function for each target; none of them has a name that a query can call.
pub(super) fn functions() -> Vec<Total> {
    vec![
        Total::new("to_whole", &[], |types, _| shape(types, Int64), to_whole),
        Total::new("to_double", &[], |types, _| shape(types, Float64), to_double),
        Total::new("to_text", &[], |types, _| shape(types, Utf8), to_text),
        Total::new("to_day", &[], |types, _| shape(types, Date32), to_day),
        Total::new("to_moment", &[], |types, _| shape(types, MOMENT), to_moment),
        Total::new("to_truth", &[], |types, _| shape(types, Boolean), to_truth),
        Total::new("tinyint", &[], whole_shape, within::<i8>),
        Total::new("smallint", &[], whole_shape, within::<i16>),
        Total::new("integer", &[], whole_shape, within::<i32>),
    ]
}

/// The type that stands for another: all whole numbers have 64 bits, all other numbers are doubles, moments count
/// microseconds. `None` for types that no query can have.
pub(super) fn kind(found: &DataType) -> Option<DataType> {
    Some(match found {
        found if found.is_integer() => Int64,
        found if found.is_numeric() => Float64,
        Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Utf8,
        DataType::Date32 | DataType::Date64 => Date32,
        Timestamp(_, None) => MOMENT,
        Boolean | Null => found.clone(),
        span if *span == super::arithmetic::SPAN => span.clone(),
        _ => return None,
    })
}

/// The name of the function to a type, if there is one from the other.
pub(super) fn function(from: &DataType, to: &DataType) -> Option<&'static str> {
    shape(std::slice::from_ref(from), to.clone())?;
    Some(match to {
        Int64 => "to_whole",
        Float64 => "to_double",
        Utf8 => "to_text",
        Date32 => "to_day",
        Timestamp(..) => "to_moment",
        Boolean => "to_truth",
        _ => return None,
    })
}

fn shape(types: &[DataType], to: DataType) -> Option<Shape> {
    let [from] = types else { return None };
    let exists = match (from, &to) {
        (Null, _) => true,
        (from, to) if from == to => true,
        (Int64, Float64 | Utf8 | Date32 | Boolean)
        | (Float64, Int64 | Utf8 | Boolean)
        | (Boolean, Int64 | Float64 | Utf8)
        | (Utf8, Int64 | Float64 | Date32 | Boolean) => true,
        (Utf8, Timestamp(..)) => true,
        (Date32, Int64 | Utf8 | Timestamp(..)) => true,
        (Timestamp(..), Date32 | Utf8) => true,
        _ => false,
    };
    if exists { Shape::of(types, to) } else { None }
}

fn whole_shape(types: &[DataType], _: &[Option<&ScalarValue>]) -> Option<Shape> {
    match types {
        [Int64 | Null] => Shape::of(&[Int64], Int64),
        _ => None,
    }
}

/// NULL beyond the range of a narrower type.
fn within<T: TryFrom<i64>>(call: &Call<'_>) -> Result<ColumnarValue> {
    call.unary::<Int64Type, Int64Type>(|n| T::try_from(n).is_ok().then_some(n))
}

/// What conversions have in common: nothing stays nothing, and a type is its own counterpart.
fn converted(call: &Call<'_>, convert: impl FnOnce(&DataType) -> Result<ColumnarValue>) -> Result<ColumnarValue> {
    let from = call.args[0].data_type();
    match &from {
        Null => call.give(new_null_array(call.result, call.height())),
        from if from == call.result => Ok(call.args[0].clone()),
        from => convert(from),
    }
}

fn of_text<R: ArrowPrimitiveType>(call: &Call<'_>, parse: impl Fn(&str) -> Option<R::Native>) -> Result<ColumnarValue> {
    let texts = call.texts(0)?;
    let array: PrimitiveArray<R> = (0..call.height()).map(|row| parse(texts.get(row)?)).collect();
    call.give(Arc::new(array))
}

fn of_truth<R: ArrowPrimitiveType>(call: &Call<'_>, [no, yes]: [R::Native; 2]) -> Result<ColumnarValue> {
    let truths = call.truths(0)?;
    let each = |row| truths.is_valid(row).then(|| if truths.value(row) { yes } else { no });
    call.give(Arc::new((0..call.height()).map(each).collect::<PrimitiveArray<R>>()))
}

/// Cut off towards zero.
fn to_whole(call: &Call<'_>) -> Result<ColumnarValue> {
    // The bounds are powers of two, so they are exact.
    let fits = |x: f64| (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&x);
    converted(call, |from| match from {
        Float64 => call.unary::<Float64Type, Int64Type>(|x| fits(x).then_some(x as i64)),
        Boolean => of_truth::<Int64Type>(call, [0, 1]),
        Utf8 => of_text::<Int64Type>(call, parse::whole),
        Date32 => call.unary::<Date32Type, Int64Type>(|day| Some(day.into()).filter(|day| is_day(*day))),
        _ => internal_err!("no whole number"),
    })
}

fn to_double(call: &Call<'_>) -> Result<ColumnarValue> {
    converted(call, |from| match from {
        Int64 => {
            let array = call.args[0].to_array(call.height())?;
            call.give(Arc::new(array.as_primitive::<Int64Type>().unary::<_, Float64Type>(|n| n as f64)))
        }
        Boolean => of_truth::<Float64Type>(call, [0.0, 1.0]),
        Utf8 => of_text::<Float64Type>(call, parse::number),
        _ => internal_err!("no number"),
    })
}

fn to_day(call: &Call<'_>) -> Result<ColumnarValue> {
    converted(call, |from| match from {
        Int64 => call.unary::<Int64Type, Date32Type>(calendar::day),
        Utf8 => of_text::<Date32Type>(call, parse::day),
        Timestamp(..) => {
            call.unary::<TimestampMicrosecondType, Date32Type>(|moment| calendar::day(moment.div_euclid(DAY_US)))
        }
        _ => internal_err!("no day"),
    })
}

fn to_moment(call: &Call<'_>) -> Result<ColumnarValue> {
    converted(call, |from| match from {
        Date32 => call.unary::<Date32Type, TimestampMicrosecondType>(|day| {
            calendar::moment(i128::from(day) * i128::from(DAY_US))
        }),
        Utf8 => of_text::<TimestampMicrosecondType>(call, parse::moment),
        _ => internal_err!("no moment"),
    })
}

fn to_truth(call: &Call<'_>) -> Result<ColumnarValue> {
    let give = |array: BooleanArray| call.give(Arc::new(array));
    converted(call, |from| match from {
        Int64 => {
            let numbers = call.values::<Int64Type>(0)?;
            give((0..call.height()).map(|row| numbers.get(row).map(|n| n != 0)).collect())
        }
        Float64 => {
            let numbers = call.values::<Float64Type>(0)?;
            let each = |row| numbers.get(row).filter(|x| doubt_finite(*x) >> 63 == 0).map(|x| x != 0.0);
            give((0..call.height()).map(each).collect())
        }
        Utf8 => {
            let texts = call.texts(0)?;
            give((0..call.height()).map(|row| parse::truth(texts.get(row)?)).collect())
        }
        _ => internal_err!("no truth value"),
    })
}

/// `2024-02-29`, `2024-02-29 12:30:00`, `2024-02-29 12:30:00.000001`.
fn to_text(call: &Call<'_>) -> Result<ColumnarValue> {
    let written = |texts: StringArray| call.give(Arc::new(texts));
    converted(call, |from| match from {
        Date32 => {
            let days = call.values::<Date32Type>(0)?;
            written(
                (0..call.height())
                    .map(|row| write_moment(days.get(row).map(i64::from).filter(|day| is_day(*day))? * DAY_US, false))
                    .collect(),
            )
        }
        Timestamp(..) => {
            let moments = call.values::<TimestampMicrosecondType>(0)?;
            written((0..call.height()).map(|row| write_moment(moments.get(row)?, true)).collect())
        }
        Float64 => {
            let finite = super::columns::finite(call.args[0].to_array(call.height())?.as_primitive().clone());
            call.give(cast_with_options(&finite, &Utf8, &CastOptions { safe: true, ..CastOptions::default() })?)
        }
        Int64 | Boolean => {
            let array = call.args[0].to_array(call.height())?;
            call.give(cast_with_options(&array, &Utf8, &CastOptions { safe: true, ..CastOptions::default() })?)
        }
        _ => internal_err!("no text"),
    })
}

fn write_moment(moment: i64, with_time: bool) -> Option<String> {
    let moment = calendar::moment(moment.into())?;
    let (day, time) = (moment.div_euclid(DAY_US), moment.rem_euclid(DAY_US));
    let (year, month, day) = civil(day);
    let mut text = format!("{year:04}-{month:02}-{day:02}");
    if with_time {
        let (seconds, fraction) = (time / 1_000_000, time % 1_000_000);
        let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        write!(text, " {hours:02}:{minutes:02}:{seconds:02}").ok()?;
        if fraction > 0 {
            write!(text, ".{fraction:06}").ok()?;
        }
    }
    Some(text)
}
