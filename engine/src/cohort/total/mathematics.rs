//! Functions of numbers. Where one has no value, or an infinite one, it gives NULL.

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, Float64Array, Int64Array};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::ColumnarValue;

use super::columns::{Call, finite};
use super::function::{Shape, Total};

use DataType::{Boolean, Float64, Int64, Null};

/// The function that gives 0 for -0, and every other double as it is.
pub(super) const UNSIGNED_ZERO: &str = "unsigned_zero";

/// The functions, by their names.
pub(super) fn functions() -> Vec<Total> {
    vec![
        Total::new("abs", &[], same_number, abs),
        Total::new("cbrt", &[], one_double, |call| double(call, f64::cbrt)),
        Total::new("ceil", &[], one_double, |call| double(call, f64::ceil)),
        Total::new("exp", &[], one_double, |call| double(call, f64::exp)),
        Total::new("floor", &[], one_double, |call| double(call, f64::floor)),
        Total::new("isnan", &[], truth_of_double, is_nan),
        Total::new("ln", &[], one_double, |call| double(call, f64::ln)),
        Total::new("log", &[], one_or_two_doubles, log),
        Total::new("log10", &[], one_double, |call| double(call, f64::log10)),
        Total::new("log2", &[], one_double, |call| double(call, f64::log2)),
        Total::new("power", &["pow"], two_doubles, |call| doubles(call, f64::powf)),
        Total::new("round", &[], double_and_digits, |call| to_digits(call, f64::round)),
        Total::new("signum", &[], one_double, |call| double(call, signum)),
        Total::new("sqrt", &[], one_double, |call| double(call, f64::sqrt)),
        Total::new("trunc", &[], double_and_digits, |call| to_digits(call, f64::trunc)),
        Total::new("width_bucket", &[], bucket_shape, width_bucket),
        // What is compared bit by bit; no name that a query can call.
        Total::new(UNSIGNED_ZERO, &[], one_double, |call| call.unary::<Float64Type, Float64Type>(|x| Some(x + 0.0))),
        // What CAST(… AS DECIMAL(p, s)) means; no name that a query can call.
        Total::new("decimal", &[], decimal_shape, decimal),
    ]
}

const fn is_number(found: &DataType) -> bool {
    matches!(found, Int64 | Float64 | Null)
}

fn same_number(types: &[DataType], _: &[Option<&ScalarValue>]) -> Option<Shape> {
    match types {
        [Int64 | Null] => Shape::of(&[Int64], Int64),
        [Float64] => Shape::of(types, Float64),
        _ => None,
    }
}

fn one_double(types: &[DataType], _: &[Option<&ScalarValue>]) -> Option<Shape> {
    let fits = types.len() == 1 && types.iter().all(is_number);
    if fits { Shape::of(&[Float64], Float64) } else { None }
}

fn two_doubles(types: &[DataType], _: &[Option<&ScalarValue>]) -> Option<Shape> {
    let fits = types.len() == 2 && types.iter().all(is_number);
    if fits { Shape::of(&[Float64, Float64], Float64) } else { None }
}

fn one_or_two_doubles(types: &[DataType], literals: &[Option<&ScalarValue>]) -> Option<Shape> {
    one_double(types, literals).or_else(|| two_doubles(types, literals))
}

fn truth_of_double(types: &[DataType], literals: &[Option<&ScalarValue>]) -> Option<Shape> {
    one_double(types, literals).map(|shape| Shape { gives: Boolean, ..shape })
}

fn double_and_digits(types: &[DataType], literals: &[Option<&ScalarValue>]) -> Option<Shape> {
    match types {
        [number, Int64 | Null] if is_number(number) => Shape::of(&[Float64, Int64], Float64),
        _ => one_double(types, literals),
    }
}

fn decimal_shape(types: &[DataType], _: &[Option<&ScalarValue>]) -> Option<Shape> {
    match types {
        [number, Int64, Int64] if is_number(number) => Shape::of(&[Float64, Int64, Int64], Float64),
        _ => None,
    }
}

fn bucket_shape(types: &[DataType], _: &[Option<&ScalarValue>]) -> Option<Shape> {
    match types {
        [rest @ .., Int64 | Null] if rest.len() == 3 && rest.iter().all(is_number) => {
            Shape::of(&[Float64, Float64, Float64, Int64], Int64)
        }
        _ => None,
    }
}

/// `width_bucket(x, low, high, n)`: the number of the one of n equal intervals from low to high that x is in, from 1; 0 below
/// them and n + 1 above (ISO 9075-2, 6.28). NULL where there are no such intervals.
fn width_bucket(call: &Call<'_>) -> Result<ColumnarValue> {
    let double = |at: usize| call.values::<Float64Type>(at);
    let (x, low, high, n) = (double(0)?, double(1)?, double(2)?, call.values::<Int64Type>(3)?);
    let each = |row| {
        let (x, low, high, n) = (x.get(row)?, low.get(row)?, high.get(row)?, n.get(row)?);
        if n < 1 || low == high || ![x, low, high].into_iter().all(f64::is_finite) {
            return None;
        }
        // From high to low, it is the other way round.
        let (x, low, high) = if low < high { (x, low, high) } else { (-x, -low, -high) };
        if x < low {
            return Some(0);
        }
        if x >= high {
            return n.checked_add(1);
        }
        // Half of each, since their difference may be beyond all doubles.
        let share = (x / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0);
        Some(((share * n as f64).floor() as i64).clamp(0, n - 1) + 1)
    };
    let array: Int64Array = (0..call.height()).map(each).collect();
    call.give(Arc::new(array))
}

fn double(call: &Call<'_>, function: impl Fn(f64) -> f64) -> Result<ColumnarValue> {
    let array = call.args[0].to_array(call.height())?;
    call.give(Arc::new(finite(array.as_primitive::<Float64Type>().unary(function))))
}

fn doubles(call: &Call<'_>, function: impl Fn(f64, f64) -> f64) -> Result<ColumnarValue> {
    call.binary::<Float64Type, Float64Type, Float64Type>(|a, b| Some(function(a, b)).filter(|x| x.is_finite()))
}

fn abs(call: &Call<'_>) -> Result<ColumnarValue> {
    match call.result {
        Int64 => call.unary::<Int64Type, Int64Type>(i64::checked_abs),
        _ => double(call, f64::abs),
    }
}

/// 0 of 0, whatever its sign.
fn signum(x: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x.signum() }
}

fn is_nan(call: &Call<'_>) -> Result<ColumnarValue> {
    let array = call.args[0].to_array(call.height())?;
    let array: &Float64Array = array.as_primitive();
    call.give(Arc::new(BooleanArray::from_unary(array, f64::is_nan)))
}

/// `log(x)` to base 10, `log(base, x)` to another.
fn log(call: &Call<'_>) -> Result<ColumnarValue> {
    match call.args {
        [_] => double(call, f64::log10),
        _ => doubles(call, |base, x| if base > 0.0 && base != 1.0 { x.ln() / base.ln() } else { f64::NAN }),
    }
}

/// `round(x, n)` and `trunc(x, n)`: to n digits after the point, or before it where n is negative.
fn to_digits(call: &Call<'_>, whole: fn(f64) -> f64) -> Result<ColumnarValue> {
    match call.args {
        [_] => double(call, whole),
        _ => call.binary::<Float64Type, Int64Type, Float64Type>(|x, digits| at_digits(x, digits, whole)),
    }
}

fn at_digits(x: f64, digits: i64, whole: fn(f64) -> f64) -> Option<f64> {
    // Beyond 400 digits on either side a double has none.
    let digits = digits.clamp(-400, 400) as i32;
    let scale = 10f64.powi(digits.abs());
    let result = if digits >= 0 {
        // A number that cannot be scaled has no digits to cut off.
        let scaled = x * scale;
        if scaled.is_finite() { whole(scaled) / scale } else { x }
    } else if scale.is_finite() {
        whole(x / scale) * scale
    } else {
        0.0 * x
    };
    Some(result).filter(|x| x.is_finite())
}

/// Rounded to s digits after the point, NULL beyond p digits in all.
fn decimal(call: &Call<'_>) -> Result<ColumnarValue> {
    let (x, p, s) = (call.values::<Float64Type>(0)?, call.values::<Int64Type>(1)?, call.values::<Int64Type>(2)?);
    let each = |row| {
        let (precision, scale) = (p.get(row)?, s.get(row)?);
        let rounded = at_digits(x.get(row)?, scale, f64::round)?;
        (rounded.abs() < 10f64.powi(precision.saturating_sub(scale).clamp(-400, 400) as i32)).then_some(rounded)
    };
    let array: Float64Array = (0..call.height()).map(each).collect();
    call.give(Arc::new(array))
}
