//! Values of rows, and the classes that a column is cut into.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use consilium_protocol::study::{Categories, CategoryValue, Decimal, Dimension, interval_label};

/// One value of a row.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Missing,
    Truth(bool),
    Integer(i64),
    Real(f64),
    Text(String),
}

impl Value {
    /// As a number, if it is one.
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::Integer(value) => Some(*value as f64),
            Self::Real(value) => Some(*value),
            Self::Truth(value) => Some(f64::from(u8::from(*value))),
            Self::Missing | Self::Text(_) => None,
        }
    }

    fn is(&self, wanted: &CategoryValue) -> bool {
        match (self, wanted) {
            (Self::Truth(own), CategoryValue::Truth(wanted)) => own == wanted,
            (Self::Integer(own), CategoryValue::Integer(wanted)) => own == wanted,
            (Self::Real(own), CategoryValue::Integer(wanted)) => *own == *wanted as f64,
            (Self::Text(own), CategoryValue::Text(wanted)) => own == wanted,
            _ => false,
        }
    }
}

/// The values of a column, with NULL and NaN as missing.
pub(super) fn column(batch: &RecordBatch, name: &str) -> Vec<Value> {
    let array = batch.column_by_name(name).expect("the cohort has the column");
    let as_type = |data_type| cast(array, &data_type).expect("every value fits the wider type");
    let per_row = |of: &dyn Fn(usize) -> Value| {
        (0..array.len()).map(|row| if array.is_null(row) { Value::Missing } else { of(row) }).collect()
    };
    match array.data_type() {
        DataType::Null => vec![Value::Missing; array.len()],
        DataType::Boolean => per_row(&|row| Value::Truth(array.as_boolean().value(row))),
        kind if kind.is_integer() && *kind != DataType::UInt64 => {
            let wide = as_type(DataType::Int64);
            per_row(&|row| Value::Integer(wide.as_primitive::<Int64Type>().value(row)))
        }
        kind if kind.is_numeric() => {
            let wide = as_type(DataType::Float64);
            per_row(&|row| match wide.as_primitive::<Float64Type>().value(row) {
                value if value.is_nan() => Value::Missing,
                value => Value::Real(value),
            })
        }
        _ => {
            let text = as_type(DataType::Utf8);
            per_row(&|row| Value::Text(text.as_string::<i32>().value(row).to_string()))
        }
    }
}

/// How a column is cut.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cut {
    /// By values; then *other*, *missing*.
    Values(Vec<(CategoryValue, String)>),
    /// Into intervals; then *other*, *missing*.
    Intervals(Vec<Decimal>),
    /// Below, intervals, from the last edge on, *missing*.
    Histogram(Vec<Decimal>),
    /// Present, *missing*.
    Presence,
}

impl Cut {
    pub(super) fn of_dimension(dimension: &Dimension) -> Self {
        match &dimension.categories {
            Categories::Values(values) => {
                Self::Values(values.iter().map(|c| (c.value.clone(), c.label.clone())).collect())
            }
            Categories::Edges(edges) => Self::Intervals(edges.clone()),
        }
    }

    pub(super) fn parts(&self) -> usize {
        match self {
            Self::Values(values) => values.len() + 2,
            Self::Intervals(edges) => edges.len() + 1,
            Self::Histogram(edges) => edges.len() + 2,
            Self::Presence => 2,
        }
    }

    /// Where a value belongs.
    pub(super) fn part_of(&self, value: &Value) -> usize {
        let missing = self.parts() - 1;
        if matches!(value, Value::Missing) {
            return missing;
        }
        let reached = |edges: &[Decimal]| {
            let x = value.number().expect("a numeric column");
            edges.iter().filter(|edge| edge.to_f64() <= x).count()
        };
        match self {
            Self::Values(values) => values.iter().position(|(wanted, _)| value.is(wanted)).unwrap_or(missing - 1),
            Self::Intervals(edges) => match reached(edges) {
                inside if inside >= 1 && inside < edges.len() => inside - 1,
                _ => missing - 1,
            },
            Self::Histogram(edges) => reached(edges),
            Self::Presence => 0,
        }
    }

    pub(super) fn label(&self, part: usize) -> String {
        let missing = self.parts() - 1;
        match self {
            _ if part == missing => "missing".to_string(),
            Self::Values(_) | Self::Intervals(_) if part == missing - 1 => "other".to_string(),
            Self::Values(values) => values[part].1.clone(),
            Self::Intervals(edges) => interval_label(edges[part], edges[part + 1]),
            Self::Histogram(edges) if part == 0 => format!("<{}", edges[0]),
            Self::Histogram(edges) if part == edges.len() => format!(">={}", edges[part - 1]),
            Self::Histogram(edges) => interval_label(edges[part - 1], edges[part]),
            Self::Presence => "present".to_string(),
        }
    }

    /// Values that between them are in every part that this cut makes, and on both sides of every edge.
    pub(super) fn samples(&self) -> Vec<Value> {
        match self {
            Self::Values(values) => values.iter().map(|(value, _)| sample(value)).collect(),
            Self::Intervals(edges) | Self::Histogram(edges) => {
                let edges: Vec<f64> = edges.iter().map(|edge| edge.to_f64()).collect();
                let middles = edges.windows(2).map(|pair| f64::midpoint(pair[0], pair[1]));
                let ends = [edges[0] - 1.5, edges[edges.len() - 1] + 1.5];
                edges.iter().copied().chain(middles).chain(ends).map(Value::Real).collect()
            }
            Self::Presence => Vec::new(),
        }
    }

    /// A value that no cut names, of the kind that this one has.
    pub(super) fn stranger(&self) -> Value {
        match self {
            Self::Values(values) => match values[0].0 {
                CategoryValue::Text(_) => Value::Text("\u{0}".repeat(99)),
                CategoryValue::Integer(_) => Value::Real(0.123_456_7),
                CategoryValue::Truth(_) => Value::Truth(!values.iter().any(|(v, _)| *v == CategoryValue::Truth(true))),
            },
            _ => Value::Real(0.123_456_7),
        }
    }
}

fn sample(value: &CategoryValue) -> Value {
    match value {
        CategoryValue::Truth(value) => Value::Truth(*value),
        CategoryValue::Integer(value) => Value::Integer(*value),
        CategoryValue::Text(value) => Value::Text(value.clone()),
    }
}
