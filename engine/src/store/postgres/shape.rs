//! The types of a database's columns, as far as a study can read them.
//!
//! | database | read as | values that do not fit |
//! |---|---|---|
//! | smallint, integer, bigint | whole numbers, numbers | |
//! | real, double precision | numbers, whole numbers | fractions, beyond 2^53 |
//! | numeric | numbers, whole numbers | fractions, more than 64 bits |
//! | date, timestamp, timestamptz (in the session's zone) | dates, moments | |
//! | text, varchar, char(n) without the blanks behind, enums | texts; and all others, as a file's texts | |
//! | boolean | truth values | |
//!
//! Domains are what they are made of. NaN, infinities and days beyond the years 0001 to 9999 are none.

use arrow::datatypes::{DataType, TimeUnit};
use tokio_postgres::types::Type;

use super::super::edge::{self, Fit};
use super::super::kind::Kind;
use super::super::table::Column;

/// How a value travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Truth,
    /// A whole number.
    Whole,
    /// A double, or half of one.
    Double,
    Numeric,
    /// A text; filled up with blanks or not.
    Text {
        padded: bool,
    },
    Day,
    /// A day and time of day; there, with a zone or not.
    Moment {
        zoned: bool,
    },
}

impl Shape {
    /// The shape of a type, which is an enum or none.
    pub(super) fn of(oid: u32, is_enum: bool) -> Option<Self> {
        Some(match Type::from_oid(oid) {
            _ if is_enum => Self::Text { padded: false },
            Some(Type::BOOL) => Self::Truth,
            Some(Type::INT2 | Type::INT4 | Type::INT8) => Self::Whole,
            Some(Type::FLOAT4 | Type::FLOAT8) => Self::Double,
            Some(Type::NUMERIC) => Self::Numeric,
            Some(Type::TEXT | Type::VARCHAR | Type::NAME) => Self::Text { padded: false },
            Some(Type::BPCHAR) => Self::Text { padded: true },
            Some(Type::DATE) => Self::Day,
            Some(Type::TIMESTAMP) => Self::Moment { zoned: false },
            Some(Type::TIMESTAMPTZ) => Self::Moment { zoned: true },
            _ => return None,
        })
    }

    /// A column of this shape, as the server is asked for it.
    pub(super) fn sql(self, name: &str) -> String {
        let name = super::quoted(name);
        match self {
            // By the server, which has the zone, and the days on which its clocks were changed. Where the last moments that it has
            // lie in a zone is beyond its calendar, and an error.
            Self::Moment { zoned: true } => {
                format!("CASE WHEN {} THEN {name}::pg_catalog.timestamp END", super::within(&name, "timestamptz"))
            }
            _ => name,
        }
    }

    /// What values are kept as before they are what the column holds: types whose conversion looks at each value.
    pub(super) fn raw(self, kind: Kind) -> DataType {
        match self {
            Self::Truth => DataType::Boolean,
            Self::Double => DataType::Float64,
            Self::Numeric if kind == Kind::Number => DataType::Float64,
            Self::Whole | Self::Numeric => DataType::Int64,
            Self::Text { .. } => DataType::Utf8,
            Self::Day => DataType::Date64,
            Self::Moment { .. } => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }

    /// Whether values of it can be read as what a column holds.
    pub(super) fn fit(self, column: &Column) -> Fit {
        match self.fit_kind(column) {
            // Whatever their type, they may be others than those listed.
            Fit::Plain if column.values.is_some() => Fit::Checked(None),
            fit => fit,
        }
    }

    fn fit_kind(self, column: &Column) -> Fit {
        use Kind::{Code, Date, Integer, Key, Moment, Number, Subject};
        match (self, column.kind) {
            (Self::Numeric, Number) => Fit::Plain,
            (Self::Numeric, Subject | Key | Code | Integer) => Fit::Checked(Some("kept as numeric; every value fits")),
            (Self::Numeric, _) => Fit::Not,
            (Self::Moment { zoned: true }, Date | Moment) => {
                Fit::Mended("with a time zone, read as the time in the zone that is set for the role or database")
            }
            (Self::Moment { zoned: false }, Date | Moment) => Fit::Plain,
            (_, kind) => edge::fit(&self.raw(kind), column),
        }
    }

    /// Whether every value fits a column of this kind but for those that are none, which the server can count.
    pub(super) const fn has_bounds(self, kind: Kind) -> bool {
        match self {
            Self::Day | Self::Moment { .. } => true,
            Self::Double | Self::Numeric => matches!(kind, Kind::Number),
            Self::Truth | Self::Whole | Self::Text { .. } => false,
        }
    }

    /// In words, where it does not fit.
    pub(super) const fn words(shape: Option<Self>) -> &'static str {
        match shape {
            Some(Self::Whole | Self::Double | Self::Numeric) => "numbers",
            Some(Self::Truth) => "truth values",
            Some(Self::Day | Self::Moment { .. }) => "dates",
            Some(Self::Text { .. }) => "texts",
            None => "values of another type",
        }
    }
}
