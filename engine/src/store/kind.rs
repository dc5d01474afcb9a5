//! What columns hold.

use arrow::datatypes::{DataType, TimeUnit};
use consilium_protocol::catalogue::{CatalogueColumn, ColumnKind};
use consilium_protocol::study::CategoryValue;
use serde::{Deserialize, Serialize};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Whose row it is. May join and be counted, never be a result.
    Subject,
    /// Which row, visit or other record it is. May join and be counted, never be a result.
    Key,
    /// A concept of a vocabulary.
    Code,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// A day.
    Date,
    /// A day and time of day.
    Moment,
    /// A text out of a controlled list.
    Text,
    /// A truth value.
    Truth,
}

impl Kind {
    /// What a column of a consortium's own table holds.
    pub(crate) fn of(column: &CatalogueColumn) -> Self {
        match column.kind {
            ColumnKind::Integer => Self::Integer,
            ColumnKind::Number => Self::Number,
            ColumnKind::Date => Self::Date,
            ColumnKind::Datetime => Self::Moment,
            ColumnKind::Boolean => Self::Truth,
            ColumnKind::Concept => Self::Code,
            ColumnKind::Key => Self::Key,
            // A code, which no sum is made of.
            ColumnKind::Category if matches!(column.values.first(), Some(CategoryValue::Integer(_))) => Self::Code,
            ColumnKind::Category => Self::Text,
        }
    }

    /// The Arrow type that queries see.
    pub(crate) fn data_type(self) -> DataType {
        match self {
            Self::Subject | Self::Key | Self::Code | Self::Integer => DataType::Int64,
            Self::Number => DataType::Float64,
            Self::Date => DataType::Date32,
            Self::Moment => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::Text => DataType::Utf8,
            Self::Truth => DataType::Boolean,
        }
    }

    /// In words, for messages.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Subject | Self::Key | Self::Code | Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Date => "a date (YYYY-MM-DD)",
            Self::Moment => "a date and time (YYYY-MM-DD hh:mm:ss)",
            Self::Text => "a text",
            Self::Truth => "true or false",
        }
    }
}
