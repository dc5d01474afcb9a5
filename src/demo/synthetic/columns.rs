//! Columns made from rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Float64Array, Int64Array, StringArray, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::calendar::Date;

/// A table in the making: each call adds one column, filled from the rows.
///
/// Integers of every kind are 64 bits wide, dates `Date32`, datetimes microseconds without a zone.
pub(super) struct Columns<'a, T> {
    rows: Vec<&'a T>,
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
}

impl<'a, T> Columns<'a, T> {
    pub(super) fn of(rows: impl IntoIterator<Item = &'a T>) -> Columns<'a, T> {
        Columns { rows: rows.into_iter().collect(), fields: Vec::new(), arrays: Vec::new() }
    }

    /// A column of integers, never null.
    pub(super) fn int(self, name: &str, value: impl Fn(&'a T) -> i64) -> Self {
        let array = Int64Array::from_iter_values(self.rows.iter().map(|row| value(row)));
        self.required(name, Arc::new(array))
    }

    /// A column of integers.
    pub(super) fn int_or_null(self, name: &str, value: impl Fn(&'a T) -> Option<i64>) -> Self {
        let array = Int64Array::from_iter(self.rows.iter().map(|row| value(row)));
        self.nullable(name, Arc::new(array))
    }

    /// A column of dates, never null.
    pub(super) fn date(self, name: &str, value: impl Fn(&'a T) -> Date) -> Self {
        let array = Date32Array::from_iter_values(self.rows.iter().map(|row| value(row).days()));
        self.required(name, Arc::new(array))
    }

    /// A column of dates.
    pub(super) fn date_or_null(self, name: &str, value: impl Fn(&'a T) -> Option<Date>) -> Self {
        let array = Date32Array::from_iter(self.rows.iter().map(|row| value(row).map(Date::days)));
        self.nullable(name, Arc::new(array))
    }

    /// A column of numbers.
    pub(super) fn number_or_null(self, name: &str, value: impl Fn(&'a T) -> Option<f64>) -> Self {
        let array = Float64Array::from_iter(self.rows.iter().map(|row| value(row)));
        self.nullable(name, Arc::new(array))
    }

    /// A column of text, never null.
    pub(super) fn text(self, name: &str, value: impl Fn(&'a T) -> &'a str) -> Self {
        let array = StringArray::from_iter_values(self.rows.iter().map(|row| value(row)));
        self.required(name, Arc::new(array))
    }

    /// A column of text.
    pub(super) fn text_or_null(self, name: &str, value: impl Fn(&'a T) -> Option<&'a str>) -> Self {
        let array = StringArray::from_iter(self.rows.iter().map(|row| value(row)));
        self.nullable(name, Arc::new(array))
    }

    /// Integer columns of the model that these hospitals leave empty.
    pub(super) fn no_ints(self, names: &[&str]) -> Self {
        self.empty(names, &DataType::Int64)
    }

    /// Number columns of the model that these hospitals leave empty.
    pub(super) fn no_numbers(self, names: &[&str]) -> Self {
        self.empty(names, &DataType::Float64)
    }

    /// Text columns of the model that these hospitals leave empty.
    pub(super) fn no_texts(self, names: &[&str]) -> Self {
        self.empty(names, &DataType::Utf8)
    }

    /// Date columns of the model that these hospitals leave empty.
    pub(super) fn no_dates(self, names: &[&str]) -> Self {
        self.empty(names, &DataType::Date32)
    }

    /// Datetime columns of the model that these hospitals leave empty.
    pub(super) fn no_datetimes(self, names: &[&str]) -> Self {
        self.empty(names, &DataType::Timestamp(TimeUnit::Microsecond, None))
    }

    /// The table.
    pub(super) fn finish(self) -> Result<RecordBatch, ArrowError> {
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows.len()));
        RecordBatch::try_new_with_options(Arc::new(Schema::new(self.fields)), self.arrays, &options)
    }

    fn required(self, name: &str, array: ArrayRef) -> Self {
        self.column(name, array, false)
    }

    fn nullable(self, name: &str, array: ArrayRef) -> Self {
        self.column(name, array, true)
    }

    fn empty(mut self, names: &[&str], kind: &DataType) -> Self {
        for name in names {
            let array = new_null_array(kind, self.rows.len());
            self = self.nullable(name, array);
        }
        self
    }

    fn column(mut self, name: &str, array: ArrayRef, nullable: bool) -> Self {
        self.fields.push(Field::new(name, array.data_type().clone(), nullable));
        self.arrays.push(array);
        self
    }
}
