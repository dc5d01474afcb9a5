//! Nothing about rows makes an expression fail, and none wraps around: every operator and function over the ends of its
//! types, against an oracle that is written without the engine.

mod aggregates;
mod arithmetic;
mod casts;
mod dates;
mod examples;
mod files;
mod mathematics;
mod random;
mod refusals;
mod texts;
mod windows;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use consilium_engine::cohort::{CohortError, run};
use consilium_engine::store::Store;
use consilium_protocol::ids::Date;
use datafusion::parquet::arrow::ArrowWriter;

use super::hospital::{self, everybody, limits, link, study_with};

/// The ends of each type, and what is near them; 16 of each, so that 256 rows hold every pair of two columns.
pub(crate) const WHOLE: [Option<i64>; 16] = [
    None,
    Some(i64::MIN),
    Some(i64::MIN + 1),
    Some(-4_294_967_297),
    Some(-3_037_000_500),
    Some(-7),
    Some(-2),
    Some(-1),
    Some(0),
    Some(1),
    Some(2),
    Some(7),
    Some(2_147_483_648),
    Some(3_037_000_500),
    Some(i64::MAX - 1),
    Some(i64::MAX),
];

pub(crate) const DOUBLE: [Option<f64>; 16] = [
    None,
    Some(f64::NEG_INFINITY),
    Some(f64::MIN),
    Some(-9_223_372_036_854_775_808.0),
    Some(-2.5),
    Some(-1.0),
    Some(-0.0),
    Some(0.0),
    Some(5e-324),
    Some(0.5),
    Some(1.0),
    Some(2.5),
    Some(9_223_372_036_854_775_808.0),
    Some(f64::MAX),
    Some(f64::INFINITY),
    Some(f64::NAN),
];

pub(crate) const DAY: [Option<i32>; 16] = [
    None,
    Some(i32::MIN),
    Some(-719_163), // the day before 0001-01-01
    Some(-719_162),
    Some(-719_161),
    Some(-141_428), // 1582-10-15
    Some(-1),
    Some(0),
    Some(11_016), // 2000-02-29
    Some(18_321), // 2020-02-29
    Some(18_657), // 2021-01-30
    Some(18_992), // 2021-12-31
    Some(2_932_895),
    Some(2_932_896), // 9999-12-31
    Some(2_932_897),
    Some(i32::MAX),
];

pub(crate) const TEXT: [Option<&str>; 16] = [
    None,
    Some(""),
    Some(" "),
    Some("7"),
    Some(" -7 "),
    Some("9223372036854775807"),
    Some("9223372036854775808"),
    Some("1.5e3"),
    Some("1e400"),
    Some("NaN"),
    Some("true"),
    Some("2021-02-30"),
    Some("2020-02-29"),
    Some("9999-12-31 23:59:59"),
    Some("äöü€😀ß"),
    Some("0xFF"),
];

/// A row's values of each type, twice: the second pair of a column counts fast, the first slowly. What no day and no number can be is
/// in the file, and none where it is read.
pub(crate) struct Row {
    pub(crate) k: usize,
}

impl Row {
    pub(crate) fn a(&self) -> Option<i64> {
        WHOLE[self.k / 16]
    }

    pub(crate) fn b(&self) -> Option<i64> {
        WHOLE[self.k % 16]
    }

    pub(crate) fn x(&self) -> Option<f64> {
        DOUBLE[self.k / 16].filter(|x| x.is_finite())
    }

    pub(crate) fn y(&self) -> Option<f64> {
        DOUBLE[self.k % 16].filter(|y| y.is_finite())
    }

    pub(crate) fn d(&self) -> Option<i32> {
        DAY[self.k / 16].filter(|d| (-719_162..2_932_897).contains(d))
    }

    pub(crate) fn e(&self) -> Option<i32> {
        DAY[self.k % 16].filter(|e| (-719_162..2_932_897).contains(e))
    }

    pub(crate) fn t(&self) -> Option<&'static str> {
        TEXT[self.k / 16]
    }

    pub(crate) fn u(&self) -> Option<&'static str> {
        TEXT[self.k % 16]
    }

    /// A time of the day `d`, later with k.
    pub(crate) fn m(&self) -> Option<i64> {
        let day = i64::from(self.d()?);
        Some(day.saturating_mul(86_400_000_000).saturating_add((self.k as i64 % 16) * 5_399_999_999))
    }

    pub(crate) fn w(&self) -> Option<bool> {
        [None, Some(false), Some(true)][self.k % 3]
    }
}

pub(crate) fn rows() -> impl Iterator<Item = Row> {
    (0..256).map(|k| Row { k })
}

/// Writes a table in Parquet.
pub(crate) fn write(folder: &Path, name: &str, columns: Vec<(&str, ArrayRef)>) {
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length");
    let file = File::create(folder.join(format!("{name}.parquet"))).expect("a file");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
}

/// A store with those rows as the table `edges`, one a patient, in Parquet; and its folder.
pub(crate) async fn store() -> (Store, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, columns: Vec<(&str, ArrayRef)>| write(folder.path(), name, columns);
    let ids = || Arc::new(Int64Array::from_iter_values(1..=256)) as ArrayRef;
    write("person", vec![("person_id", ids()), ("year_of_birth", ids())]);
    write(
        "edges",
        vec![
            ("patient", ids()),
            ("taken", Arc::new(Date32Array::from(vec![0; 256]))),
            ("k", Arc::new(Int64Array::from_iter_values(0..256))),
            ("a", Arc::new(rows().map(|row| row.a()).collect::<Int64Array>())),
            ("b", Arc::new(rows().map(|row| row.b()).collect::<Int64Array>())),
            ("x", Arc::new(rows().map(|row| DOUBLE[row.k / 16]).collect::<Float64Array>())),
            ("y", Arc::new(rows().map(|row| DOUBLE[row.k % 16]).collect::<Float64Array>())),
            ("d", Arc::new(rows().map(|row| DAY[row.k / 16]).collect::<Date32Array>())),
            ("e", Arc::new(rows().map(|row| DAY[row.k % 16]).collect::<Date32Array>())),
            ("m", Arc::new(rows().map(|row| row.m()).collect::<TimestampMicrosecondArray>())),
            ("t", Arc::new(rows().map(|row| row.t()).collect::<StringArray>())),
            ("u", Arc::new(rows().map(|row| row.u()).collect::<StringArray>())),
            ("w", Arc::new(rows().map(|row| row.w()).collect::<BooleanArray>())),
        ],
    );
    (hospital::open_as_asked(folder.path()).await, folder)
}

/// The columns of a query's cohort, by the names that it gives them; each is of the type that its name begins with
/// (`n` a number, `t` a text, `w` a truth value).
pub(crate) async fn columns(store: &Store, sql: &str, names: &[&str]) -> Result<Vec<ArrayRef>, CohortError> {
    let (mut variables, mut dimensions) = (Vec::new(), String::new());
    for name in names {
        match name.as_bytes()[0] {
            b't' => dimensions += &format!("[[dimension]]\nname = \"{name}\"\nvalues = [\"v\"]\n"),
            b'w' => dimensions += &format!("[[dimension]]\nname = \"{name}\"\nvalues = [true]\n"),
            _ => variables.push(*name),
        }
    }
    let permissions = everybody(store, &link()).await;
    let spec = study_with(sql, &variables, &dimensions);
    let cohort = run(store, &link(), &permissions, &spec, &limits()).await?;
    let whole = arrow::compute::concat_batches(&cohort.schema, &cohort.batches).expect("one schema");
    Ok(names.iter().map(|name| Arc::clone(whole.column_by_name(name).expect("declared"))).collect())
}

/// What a number-valued expression gives for every row of `edges`, by k.
pub(crate) async fn numbers(store: &Store, expr: &str) -> Vec<Option<f64>> {
    numbers_of(store, &format!("SELECT patient AS subject, k AS n_key, {expr} AS n_value FROM edges")).await
}

/// What a query gives as `n_value`, by `n_key`.
pub(crate) async fn numbers_of(store: &Store, sql: &str) -> Vec<Option<f64>> {
    let (keys, values) = by_query(store, sql, "n").await;
    let whole = |row: usize| match values.data_type() {
        DataType::Int64 => values.as_primitive::<Int64Type>().value(row) as f64,
        _ => values.as_primitive::<Float64Type>().value(row),
    };
    sorted(&keys, |row| values.is_valid(row).then(|| whole(row)))
}

/// What a whole-valued expression gives; a double is a mistake.
pub(crate) async fn wholes(store: &Store, expr: &str) -> Vec<Option<i64>> {
    let (keys, values) = by_key(store, expr, "n").await;
    assert_eq!(*values.data_type(), DataType::Int64, "{expr}");
    let values = values.as_primitive::<Int64Type>().clone();
    sorted(&keys, |row| values.is_valid(row).then(|| values.value(row)))
}

/// What a day-valued expression gives, as days since 1970.
pub(crate) async fn days(store: &Store, expr: &str) -> Vec<Option<i64>> {
    wholes(store, &format!("CAST({expr} AS BIGINT)")).await
}

pub(crate) async fn texts(store: &Store, expr: &str) -> Vec<Option<String>> {
    let (keys, values) = by_key(store, expr, "t").await;
    let values = values.as_string::<i32>().clone();
    sorted(&keys, |row| values.is_valid(row).then(|| values.value(row).to_string()))
}

pub(crate) async fn truths(store: &Store, expr: &str) -> Vec<Option<bool>> {
    let (keys, values) = by_key(store, expr, "w").await;
    let values = values.as_boolean().clone();
    sorted(&keys, |row| values.is_valid(row).then(|| values.value(row)))
}

async fn by_key(store: &Store, expr: &str, kind: &str) -> (Int64Array, ArrayRef) {
    by_query(store, &format!("SELECT patient AS subject, k AS n_key, {expr} AS {kind}_value FROM edges"), kind).await
}

async fn by_query(store: &Store, sql: &str, kind: &str) -> (Int64Array, ArrayRef) {
    let names = ["n_key".to_string(), format!("{kind}_value")];
    let outcome = columns(store, sql, &names.each_ref().map(String::as_str)).await;
    let mut columns = outcome.unwrap_or_else(|e| panic!("{}: {e}\n{sql}", e.kind()));
    let values = columns.pop().expect("two columns");
    (columns[0].as_primitive().clone(), values)
}

fn sorted<T: Clone>(keys: &Int64Array, value: impl Fn(usize) -> Option<T>) -> Vec<Option<T>> {
    assert_eq!(keys.len(), 256, "every patient has a row");
    let mut values = vec![None; 256];
    for row in 0..keys.len() {
        values[keys.value(row) as usize] = value(row);
    }
    values
}

/// The same value: NULL is NULL, and doubles agree but for rounding.
pub(crate) fn agree(got: Option<f64>, expected: Option<f64>) -> bool {
    match (got, expected) {
        (None, None) => true,
        (Some(got), Some(expected)) => {
            got == expected || (got - expected).abs() <= 1e-12 * got.abs().max(expected.abs())
        }
        _ => false,
    }
}

/// Asserts what an expression gives in every row.
pub(crate) async fn expect_numbers(store: &Store, expr: &str, oracle: impl Fn(&Row) -> Option<f64>) {
    for (row, got) in rows().zip(numbers(store, expr).await) {
        let expected = oracle(&row);
        assert!(agree(got, expected), "{expr} in row {}: {got:?}, not {expected:?}", row.k);
    }
}

pub(crate) async fn expect_wholes(store: &Store, expr: &str, oracle: impl Fn(&Row) -> Option<i64>) {
    for (row, got) in rows().zip(wholes(store, expr).await) {
        assert_eq!(got, oracle(&row), "{expr} in row {}", row.k);
    }
}

pub(crate) async fn expect_days(store: &Store, expr: &str, oracle: impl Fn(&Row) -> Option<i64>) {
    // A day outside the calendar would be NULL as a number, but not by itself.
    expect_truths(store, &format!("({expr}) IS NULL"), |row| Some(oracle(row).is_none())).await;
    for (row, got) in rows().zip(days(store, expr).await) {
        assert_eq!(got, oracle(&row), "{expr} in row {}", row.k);
    }
}

pub(crate) async fn expect_texts(store: &Store, expr: &str, oracle: impl Fn(&Row) -> Option<String>) {
    for (row, got) in rows().zip(texts(store, expr).await) {
        assert_eq!(got, oracle(&row), "{expr} in row {}", row.k);
    }
}

pub(crate) async fn expect_truths(store: &Store, expr: &str, oracle: impl Fn(&Row) -> Option<bool>) {
    for (row, got) in rows().zip(truths(store, expr).await) {
        assert_eq!(got, oracle(&row), "{expr} in row {}", row.k);
    }
}

/// Whether a day is from 0001-01-01 to 9999-12-31.
pub(crate) fn in_calendar(day: i64) -> bool {
    (-719_162..=2_932_896).contains(&day)
}

/// A day of the calendar, or nothing.
pub(crate) fn calendar(day: i128) -> Option<i64> {
    i64::try_from(day).ok().filter(|day| in_calendar(*day))
}

/// Year, month and day of a day of the calendar.
pub(crate) fn ymd(day: i64) -> (i64, i64, i64) {
    let (year, month, day) = Date::from_days(i32::try_from(day).expect("a day of the calendar")).ymd();
    (year.into(), month.into(), day.into())
}
