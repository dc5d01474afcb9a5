//! The types in which statistics take the declared columns.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use consilium_protocol::study::{Categories, CategoryValue, StudySpec};

use super::error::CohortError;

/// What a declaration needs of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// A variable, or a dimension cut by edges.
    Number,
    /// A dimension with whole numbers as values.
    Whole,
    /// A dimension with texts as values.
    Text,
    /// A dimension with truth values.
    Truth,
}

/// A declared column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) name: String,
    needs: Vec<Need>,
    /// A whole number that is no category of it.
    other: i64,
}

/// The declared columns, variables first, each once.
pub(super) fn wanted(spec: &StudySpec) -> Vec<Wanted> {
    let mut columns: Vec<Wanted> =
        spec.variables.iter().map(|v| Wanted { name: v.name.clone(), needs: vec![Need::Number], other: 0 }).collect();
    for dimension in &spec.dimensions {
        let need = match &dimension.categories {
            Categories::Edges(_) => Need::Number,
            Categories::Values(values) => match values.first().map(|category| &category.value) {
                Some(CategoryValue::Truth(_)) => Need::Truth,
                Some(CategoryValue::Text(_)) => Need::Text,
                Some(CategoryValue::Integer(_)) | None => Need::Whole,
            },
        };
        let other = other_than(&dimension.categories);
        match columns.iter_mut().find(|column| column.name == dimension.name) {
            Some(column) => {
                column.needs.push(need);
                column.other = other;
            }
            None => columns.push(Wanted { name: dimension.name.clone(), needs: vec![need], other }),
        }
    }
    columns
}

/// A whole number that is no category.
fn other_than(categories: &Categories) -> i64 {
    let Categories::Values(values) = categories else { return 0 };
    let is_category = |number: &i64| values.iter().any(|category| category.value == CategoryValue::Integer(*number));
    (0..).find(|number| !is_category(number)).unwrap_or(0)
}

impl Need {
    /// The type in which a column of this type is handed on, if it can be used at all.
    fn target(self, found: &DataType) -> Option<DataType> {
        match (self, found) {
            (Self::Number | Self::Whole, t) if t.is_integer() => Some(DataType::Int64),
            // Of floor(…) and the like: what has a fraction is in no category.
            (Self::Whole, t) if t.is_floating() => Some(DataType::Int64),
            (Self::Number, t) if t.is_floating() => Some(DataType::Float64),
            (Self::Number, DataType::Null) => Some(DataType::Float64),
            (Self::Whole, DataType::Null) => Some(DataType::Int64),
            (Self::Text, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null) => {
                Some(DataType::Utf8)
            }
            (Self::Truth, DataType::Boolean | DataType::Null) => Some(DataType::Boolean),
            _ => None,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Number => "a number",
            Self::Whole => "a whole number",
            Self::Text => "a text",
            Self::Truth => "true or false",
        }
    }
}

/// A double without a fraction, of those that doubles tell apart.
fn whole(double: f64) -> Option<i64> {
    const END: f64 = 9_007_199_254_740_992.0;
    ((-END..=END).contains(&double) && double.fract() == 0.0).then_some(double as i64)
}

fn words(found: &DataType) -> &'static str {
    match found {
        t if t.is_integer() => "a whole number",
        t if t.is_numeric() => "a number",
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "a text",
        DataType::Boolean => "true or false",
        DataType::Date32 | DataType::Date64 => "a date",
        DataType::Timestamp(..) => "a date and time",
        DataType::Interval(_) | DataType::Duration(_) => "a length of time",
        _ => "of a type that no statistic takes",
    }
}

impl Wanted {
    /// Whether a column of this type serves every declaration of its name.
    pub(super) fn check(&self, found: &DataType) -> Result<DataType, CohortError> {
        let mut target = None;
        for need in &self.needs {
            let unusable =
                || CohortError::ColumnType { name: self.name.clone(), found: words(found), needed: need.words() };
            let needed = need.target(found).ok_or_else(unusable)?;
            // A number with a fraction cannot be a variable as it is and a category without one.
            if target.replace(needed.clone()).is_some_and(|other| other != needed) {
                return Err(CohortError::ColumnType {
                    name: self.name.clone(),
                    found: words(found),
                    needed: Need::Whole.words(),
                });
            }
        }
        target.ok_or(CohortError::Internal)
    }

    /// The column in its final type. What does not fit (beyond 64 bits) becomes NULL.
    pub(super) fn convert(&self, column: &ArrayRef) -> Result<ArrayRef, CohortError> {
        let target = self.check(column.data_type())?;
        if *column.data_type() == DataType::Null {
            return Ok(new_null_array(&target, column.len()));
        }
        if let (Some(doubles), DataType::Int64) = (column.as_primitive_opt::<Float64Type>(), &target) {
            return Ok(Arc::new(doubles.unary::<_, Int64Type>(|double| whole(double).unwrap_or(self.other))));
        }
        let options = CastOptions { safe: true, ..CastOptions::default() };
        cast_with_options(column, &target, &options).map_err(|_| CohortError::Internal)
    }
}
