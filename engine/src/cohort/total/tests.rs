//! Every function over every type that it takes: a whole column says the same as its rows one by one and as constants,
//! nothing fails, and nothing comes out that is infinite, no number, or outside the calendar.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Float64Array, Int64Array, IntervalMonthDayNanoArray,
    StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Date32Type, Float64Type, IntervalMonthDayNano, TimestampMicrosecondType};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::ColumnarValue;

use super::arithmetic::{MOMENT, SPAN};
use super::calendar;
use super::catalogue::scalar;
use super::columns::Call;
use super::function::Total;
use super::mathematics::UNSIGNED_ZERO;

const PARTS: [&str; 14] = [
    "year",
    "quarter",
    "month",
    "week",
    "day",
    "dow",
    "isodow",
    "doy",
    "hour",
    "minute",
    "second",
    "millisecond",
    "microsecond",
    "epoch",
];

fn types() -> [DataType; 7] {
    [DataType::Int64, DataType::Float64, DataType::Utf8, DataType::Date32, MOMENT, DataType::Boolean, SPAN]
}

/// The ends of a type and what is near them, among them values that no function should let out.
fn ends(of: &DataType) -> ArrayRef {
    let span = |months, days, nanoseconds| Some(IntervalMonthDayNano { months, days, nanoseconds });
    match of {
        DataType::Int64 => Arc::new(Int64Array::from(vec![
            None,
            Some(i64::MIN),
            Some(i64::MIN + 1),
            Some(-400),
            Some(-1),
            Some(0),
            Some(1),
            Some(2),
            Some(12),
            Some(400),
            Some(1 << 32),
            Some(i64::MAX),
        ])),
        DataType::Float64 => Arc::new(Float64Array::from(vec![
            None,
            Some(f64::NEG_INFINITY),
            Some(f64::MIN),
            Some(-1.5),
            Some(-0.0),
            Some(0.0),
            Some(f64::MIN_POSITIVE),
            Some(1.0),
            Some(2.5),
            Some(f64::MAX),
            Some(f64::INFINITY),
            Some(f64::NAN),
        ])),
        DataType::Utf8 => Arc::new(StringArray::from(vec![
            None,
            Some(""),
            Some(" "),
            Some("-7"),
            Some("1e400"),
            Some("inf"),
            Some("2021-02-30"),
            Some("9999-12-31"),
            Some("0001-01-01 00:00:00"),
            Some("T"),
            Some("ß€😀"),
            Some("99999999999999999999"),
        ])),
        DataType::Date32 => Arc::new(Date32Array::from(vec![
            None,
            Some(i32::MIN),
            Some(-719_163),
            Some(-719_162),
            Some(-719_131),
            Some(-1),
            Some(0),
            Some(11_016),
            Some(2_932_866),
            Some(2_932_896),
            Some(2_932_897),
            Some(i32::MAX),
        ])),
        found if *found == MOMENT => Arc::new(TimestampMicrosecondArray::from(vec![
            None,
            Some(i64::MIN),
            Some(-719_162 * 86_400_000_000 - 1),
            Some(-719_162 * 86_400_000_000),
            Some(-1),
            Some(0),
            Some(1),
            Some(86_399_999_999),
            Some(951_782_400_000_001),
            Some(2_932_897 * 86_400_000_000 - 1),
            Some(2_932_897 * 86_400_000_000),
            Some(i64::MAX),
        ])),
        DataType::Boolean => {
            Arc::new((0..12).map(|row| [None, Some(false), Some(true)][row % 3]).collect::<BooleanArray>())
        }
        _ => Arc::new(IntervalMonthDayNanoArray::from(vec![
            None,
            span(i32::MIN, i32::MIN, i64::MIN),
            span(-1, 0, 0),
            span(0, -1, 0),
            span(0, 0, -1),
            span(0, 0, 0),
            span(1, 1, 1),
            span(12, 0, 86_400_000_000_000),
            span(0, 1 << 20, 0),
            span(1 << 20, 0, 0),
            span(0, 0, i64::MAX),
            span(i32::MAX, i32::MAX, i64::MAX),
        ])),
    }
}

/// Rows in which every end of one argument meets every end of the others, as far as there are two.
fn columns(of: &[DataType]) -> Vec<ArrayRef> {
    let rows = 12 * 12;
    let column = |(position, of): (usize, &DataType)| {
        let places = (0..rows as u64).map(|row| match position {
            0 => row % 12,
            1 => row / 12,
            _ => (row + row / 12) % 12,
        });
        arrow::compute::take(&ends(of), &arrow::array::UInt64Array::from_iter_values(places), None).expect("in range")
    };
    of.iter().enumerate().map(column).collect()
}

fn evaluate(total: &Total, args: &[ColumnarValue], rows: usize, result: &DataType) -> ArrayRef {
    let value = (total.evaluate)(&Call { args, rows, result });
    let value = value.unwrap_or_else(|error| panic!("{} fails: {error}", total.name));
    assert_eq!(value.data_type(), *result, "{}", total.name);
    let all_constant = args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
    assert_eq!(matches!(value, ColumnarValue::Scalar(_)), all_constant, "{}", total.name);
    value.into_array(rows).expect("a column")
}

fn has_sound_values(array: &ArrayRef) -> bool {
    match array.data_type() {
        DataType::Float64 => array.as_primitive::<Float64Type>().iter().flatten().all(f64::is_finite),
        DataType::Date32 => array.as_primitive::<Date32Type>().iter().flatten().all(|day| calendar::is_day(day.into())),
        DataType::Timestamp(..) => array
            .as_primitive::<TimestampMicrosecondType>()
            .iter()
            .flatten()
            .all(|moment| calendar::moment(moment.into()).is_some()),
        _ => true,
    }
}

/// Whether a conversion is none: what goes in comes out.
fn is_kept(total: &Total, taken: &[DataType], given: &DataType) -> bool {
    let converts = total.name.starts_with("to_") || total.name == UNSIGNED_ZERO;
    converts && taken == std::slice::from_ref(given)
}

fn check(total: &Total, taken: &[DataType], constants: &[ScalarValue]) {
    let literals: Vec<Option<&ScalarValue>> = constants.iter().map(Some).chain(taken.iter().map(|_| None)).collect();
    let all: Vec<DataType> = constants.iter().map(ScalarValue::data_type).chain(taken.iter().cloned()).collect();
    let Some(shape) = (total.shape)(&all, &literals) else { return };
    if shape.takes != all {
        return;
    }
    let constant = || constants.iter().cloned().map(ColumnarValue::Scalar);
    let columns = columns(taken);
    let with =
        |columns: &[ArrayRef]| constant().chain(columns.iter().cloned().map(ColumnarValue::Array)).collect::<Vec<_>>();
    let rows = columns[0].len();
    let whole = evaluate(total, &with(&columns), rows, &shape.gives);
    assert_eq!(whole.len(), rows, "{}", total.name);
    assert!(is_kept(total, taken, &shape.gives) || has_sound_values(&whole), "{} of {taken:?}: {whole:?}", total.name);
    for row in 0..rows {
        let expected = whole.slice(row, 1);
        let alone: Vec<ArrayRef> = columns.iter().map(|column| column.slice(row, 1)).collect();
        assert_eq!(&evaluate(total, &with(&alone), 1, &shape.gives), &expected, "{} in row {row}", total.name);
        let scalar = |column: &ArrayRef| ScalarValue::try_from_array(column, row).expect("a value");
        let scalars: Vec<ColumnarValue> =
            constant().chain(columns.iter().map(|column| ColumnarValue::Scalar(scalar(column)))).collect();
        assert_eq!(&evaluate(total, &scalars, 1, &shape.gives), &expected, "{} in row {row}", total.name);
        // Constants have a value where there are no rows, too: what is the same for all rows is computed before any.
        let value = (total.evaluate)(&Call { args: &scalars, rows: 0, result: &shape.gives }).expect("a value");
        assert_eq!(&value.into_array(1).expect("one row"), &expected, "{} of no rows", total.name);
        // The first a constant, the others columns, and the other way round.
        if let [first, rest @ ..] = columns.as_slice()
            && !rest.is_empty()
        {
            let rest: Vec<ArrayRef> = rest.iter().map(|column| column.slice(row, 1)).collect();
            let mixed = constant()
                .chain([ColumnarValue::Scalar(scalar(first))])
                .chain(rest.into_iter().map(ColumnarValue::Array));
            let mixed: Vec<ColumnarValue> = mixed.collect();
            assert_eq!(&evaluate(total, &mixed, 1, &shape.gives), &expected, "{} in row {row}", total.name);
            let mut mixed = with(&alone);
            if let (Some(last), Some(column)) = (mixed.last_mut(), columns.last()) {
                *last = ColumnarValue::Scalar(scalar(column));
            }
            assert_eq!(&evaluate(total, &mixed, 1, &shape.gives), &expected, "{} in row {row}", total.name);
        }
    }
}

#[test]
fn a_column_says_what_its_rows_say_and_none_fails() {
    let kinds = types();
    let mut tried = 0;
    for function in scalar() {
        let Some(total) = function.inner().downcast_ref::<Total>() else { continue };
        tried += 1;
        for one in &kinds {
            check(total, std::slice::from_ref(one), &[]);
            for part in PARTS {
                check(total, std::slice::from_ref(one), &[ScalarValue::from(part)]);
            }
            for two in &kinds {
                check(total, &[one.clone(), two.clone()], &[]);
                for three in &kinds {
                    check(total, &[one.clone(), two.clone(), three.clone()], &[]);
                }
            }
        }
    }
    assert!(tried > 40, "{tried} functions");
}

#[test]
fn no_rows_are_no_rows() {
    for function in scalar() {
        let Some(total) = function.inner().downcast_ref::<Total>() else { continue };
        for kind in &types() {
            let taken = [kind.clone(), kind.clone()];
            let Some(shape) = (total.shape)(&taken, &[None, None]).filter(|shape| shape.takes == taken) else {
                continue;
            };
            let empty = ColumnarValue::Array(ends(kind).slice(0, 0));
            let constant = ColumnarValue::Scalar(ScalarValue::try_from_array(&ends(kind), 1).expect("a value"));
            for one in [empty.clone(), constant] {
                assert_eq!(evaluate(total, &[one, empty.clone()], 0, &shape.gives).len(), 0);
            }
        }
    }
}
