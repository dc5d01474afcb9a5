//! Files whose days and moments are of other types, and beyond what queries can hold.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Date64Array, Decimal128Array, Float32Array, Int8Array, Int64Array,
    TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray, UInt32Array,
};
use arrow::datatypes::{Float64Type, Int64Type};

use super::{columns, write};
use crate::hospital;

const DAY_S: i64 = 86_400;

#[tokio::test]
async fn what_a_query_cannot_hold_is_null_and_stops_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, columns: Vec<(&str, ArrayRef)>| write(folder.path(), name, columns);
    let ids = || Arc::new(Int64Array::from_iter_values(1..=5)) as ArrayRef;
    write("person", vec![("person_id", ids()), ("year_of_birth", Arc::new(UInt32Array::from(vec![u32::MAX; 5])))]);
    let seconds = vec![Some(i64::MIN), Some(i64::MAX), Some(-1), None, Some(2 * DAY_S)];
    write(
        "visit_occurrence",
        vec![
            ("visit_occurrence_id", ids()),
            ("person_id", ids()),
            ("visit_start_date", Arc::new(Date64Array::from(vec![i64::MIN, i64::MAX, -1, 0, 172_800_000]))),
            ("visit_start_datetime", Arc::new(TimestampSecondArray::from(seconds.clone()))),
            ("visit_end_date", Arc::new(TimestampSecondArray::from(seconds.clone()))),
            ("visit_end_datetime", Arc::new(Date32Array::from(vec![i32::MIN, i32::MAX, -1, 0, 2]))),
            ("visit_concept_id", Arc::new(Int8Array::from(vec![i8::MIN; 5]))),
        ],
    );
    write(
        "margins",
        vec![
            ("patient", ids()),
            (
                "taken",
                Arc::new(TimestampMillisecondArray::from(vec![
                    Some(i64::MIN),
                    Some(i64::MAX),
                    Some(-1),
                    None,
                    Some(0),
                ])),
            ),
            ("ns", Arc::new(TimestampNanosecondArray::from(vec![i64::MIN, i64::MAX, -1, 0, 1_500]))),
            ("narrow", Arc::new(Float32Array::from(vec![f32::NAN, f32::MAX, f32::MIN, 0.5, f32::INFINITY]))),
            (
                "exact",
                Arc::new(
                    Decimal128Array::from(vec![i128::MAX / 2, i128::MIN / 2, 15, 0, -1])
                        .with_precision_and_scale(38, 1)
                        .expect("a precision"),
                ),
            ),
        ],
    );
    let store = hospital::open(folder.path()).await;
    let found = async |sql: &str| {
        let columns = columns(&store, sql, &["n_id", "n_value"]).await;
        let columns = columns.unwrap_or_else(|error| panic!("{}: {error}\n{sql}", error.kind()));
        let value = |row: usize| {
            let column = &columns[1];
            let whole = column.as_primitive_opt::<Int64Type>().map(|column| column.value(row) as f64);
            let value = whole.unwrap_or_else(|| column.as_primitive::<Float64Type>().value(row));
            (columns[0].as_primitive::<Int64Type>().value(row), column.is_valid(row).then_some(value))
        };
        let mut rows: Vec<_> = (0..columns[0].len()).map(value).collect();
        rows.sort_by_key(|(id, _)| *id);
        rows.into_iter().map(|(_, value)| value).collect::<Vec<_>>()
    };
    // Everybody has one visit. Days since 1970 stand for who it is: identifiers do not leave.
    let visit = |expr: &str, filter: &str| {
        let of_visits = "AS n_value FROM visit_occurrence";
        format!("SELECT person_id AS subject, 1 AS n_id, max({expr}) {of_visits} {filter} GROUP BY person_id")
    };
    let sorted = |mut values: Vec<Option<f64>>| {
        values.sort_by(|a, b| a.partial_cmp(b).expect("finite"));
        values
    };
    for column in ["visit_start_date", "visit_end_date"] {
        let days = sorted(found(&visit(&format!("CAST({column} AS BIGINT)"), "")).await);
        let known = if column == "visit_start_date" {
            vec![None, None, Some(-1.0), Some(0.0), Some(2.0)]
        } else {
            vec![None, None, None, Some(-1.0), Some(2.0)]
        };
        assert_eq!(days, known, "{column}");
    }
    for column in ["visit_start_datetime", "visit_end_datetime"] {
        let epochs = sorted(found(&visit(&format!("date_part('epoch', {column})"), "")).await);
        let known = if column == "visit_start_datetime" {
            vec![None, None, None, Some(-1.0), Some(172_800.0)]
        } else {
            vec![None, None, Some(-86_400.0), Some(0.0), Some(172_800.0)]
        };
        assert_eq!(epochs, known, "{column}");
    }
    // A filter beside the gate, and one that asks for NULL.
    for (condition, rows) in [
        ("visit_end_date >= DATE '1970-01-03'", 1),
        ("visit_end_date IS NULL", 3),
        ("visit_start_datetime IS NOT NULL", 2),
        ("visit_start_date < DATE '1970-01-01'", 1),
        ("visit_concept_id = -128", 5),
    ] {
        let sql = visit("1", &format!("WHERE {condition}"));
        assert_eq!(found(&sql).await.len(), rows, "{condition}");
    }
    let lab = |expr: &str| {
        format!("SELECT patient AS subject, 1 AS n_id, max({expr}) AS n_value FROM margins GROUP BY patient")
    };
    for (expr, nulls) in [
        ("CAST(taken AS BIGINT)", 3),
        ("date_part('epoch', ns)", 0),
        ("narrow + 0", 2),
        ("exact * 2", 0),
        ("coalesce(narrow, exact) - 1", 0),
    ] {
        assert_eq!(found(&lab(expr)).await.iter().filter(|value| value.is_none()).count(), nulls, "{expr}");
    }
}
