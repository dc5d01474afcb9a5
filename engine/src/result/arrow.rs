//! The result as an Arrow record batch, one row per number, for Parquet, R, pandas and Polars.
//!
//! | column | type | holds |
//! |---|---|---|
//! | `statistic`, `kind` | text | what was asked for |
//! | `variable`, `unit` | text, nullable | what it is about |
//! | `by.<dimension>` | text, nullable | the group; null where the statistic is not by that dimension |
//! | `interval` | text, nullable | the interval of a histogram |
//! | `measure` | text | which number this is |
//! | `value` | double, nullable | the number |
//! | `sigma`, `low`, `high` | double, nullable | of a noisy number: its standard deviation and 95 % confidence interval |
//! | `suppressed_by` | text, nullable | the rule that suppressed it |

use std::sync::Arc;

use ::arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use ::arrow::datatypes::{DataType, Field, Schema};
use ::arrow::error::ArrowError;

use super::StudyResult;
use super::long::{LongRow, column_of, dimensions, rows};
use crate::disclosure::Released;

/// Makes the batch.
///
/// # Errors
/// When arrays of one length do not make a batch, which is a defect.
pub fn batch(result: &Released<StudyResult>) -> Result<RecordBatch, ArrowError> {
    let rows = rows(result.get());
    let mut columns = Columns { rows: &rows, fields: Vec::new(), arrays: Vec::new() };
    columns.text("statistic", false, |row| Some(&row.statistic.name));
    columns.text("kind", false, |row| Some(row.statistic.kind));
    columns.text("variable", true, |row| row.statistic.of.as_deref());
    columns.text("unit", true, |row| Some(row.statistic.unit.as_str()).filter(|unit| !unit.is_empty()));
    for (place, dimension) in dimensions(result.get()).into_iter().enumerate() {
        columns.text(&column_of(dimension), true, |row| row.groups[place]);
    }
    columns.text("interval", true, |row| row.interval);
    columns.text("measure", false, |row| Some(row.measure));
    columns.number("value", |row| row.value.value());
    columns.number("sigma", |row| row.value.noisy().map(|noisy| noisy.sigma));
    columns.number("low", |row| row.value.noisy().map(|noisy| noisy.low));
    columns.number("high", |row| row.value.noisy().map(|noisy| noisy.high));
    columns.text("suppressed_by", true, |row| row.value.suppressed_by().map(|rule| rule.name()));
    RecordBatch::try_new(Arc::new(Schema::new(columns.fields)), columns.arrays)
}

struct Columns<'a> {
    rows: &'a [LongRow<'a>],
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
}

impl<'a> Columns<'a> {
    fn number(&mut self, name: &str, of: impl Fn(&LongRow<'a>) -> Option<f64>) {
        let array: Float64Array = self.rows.iter().map(of).collect();
        self.fields.push(Field::new(name, DataType::Float64, true));
        self.arrays.push(Arc::new(array));
    }

    fn text(&mut self, name: &str, nullable: bool, of: impl Fn(&'a LongRow<'a>) -> Option<&'a str>) {
        let array: StringArray = self.rows.iter().map(of).collect();
        self.fields.push(Field::new(name, DataType::Utf8, nullable));
        self.arrays.push(Arc::new(array));
    }
}
