//! A hospital's table: its columns, whose rows they are, and where they lie.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use consilium_protocol::catalogue::{CatalogueColumn, CatalogueTable};
use consilium_protocol::consent::Domain;
use consilium_protocol::study::CategoryValue;

use super::arranged::LeftOut;
use super::folder::Part;
use super::kind::Kind;
use super::layout::Wanted;
use super::omop::Definition;

/// A column that studies may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    /// The name, in lower case.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// The values that it may have, where they are listed; what is none of them is not read.
    pub values: Option<Arc<Values>>,
    /// What the hospital's files call it, where that is another name; in lower case.
    pub called: Option<String>,
}

/// The values of a category.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Values {
    /// Whole numbers.
    Whole(BTreeSet<i64>),
    /// Texts.
    Texts(BTreeSet<String>),
}

impl Values {
    /// Those that are listed for a column, if any are.
    fn of(column: &CatalogueColumn) -> Option<Arc<Self>> {
        let whole = |value: &CategoryValue| if let CategoryValue::Integer(value) = value { Some(*value) } else { None };
        let text =
            |value: &CategoryValue| if let CategoryValue::Text(value) = value { Some(value.clone()) } else { None };
        match column.values.first()? {
            CategoryValue::Integer(_) => Some(Arc::new(Self::Whole(column.values.iter().filter_map(whole).collect()))),
            _ => Some(Arc::new(Self::Texts(column.values.iter().filter_map(text).collect()))),
        }
    }

    /// That of them which a text is, as it stands or without the blanks around it.
    pub(crate) fn text<'a>(&self, text: &'a str) -> Option<&'a str> {
        let Self::Texts(texts) = self else { return None };
        [text, text.trim()].into_iter().find(|text| texts.contains(*text))
    }

    /// Whether a number is one of them.
    pub(crate) fn has_whole(&self, whole: i64) -> bool {
        matches!(self, Self::Whole(wholes) if wholes.contains(&whole))
    }
}

impl Column {
    /// One of OMOP's.
    pub(crate) fn of_omop((name, kind): &(&str, Kind)) -> Self {
        Self { name: (*name).to_string(), kind: *kind, values: None, called: None }
    }

    /// Those of a consortium's own table, the subject first, by the names that `called` gives them.
    pub(crate) fn of_catalogue(table: &CatalogueTable, called: &BTreeMap<String, String>) -> Vec<Self> {
        let called = |name: &String| called.get(name).map(|called| super::names::plain(called));
        let subject =
            Self { name: table.subject.clone(), kind: Kind::Subject, values: None, called: called(&table.subject) };
        let column = |column: &CatalogueColumn| Self {
            name: column.name.clone(),
            kind: Kind::of(column),
            values: Values::of(column),
            called: called(&column.name),
        };
        std::iter::once(subject).chain(table.columns.iter().map(column)).collect()
    }

    /// Whether what stands for nothing in a file does so here, beside an empty field: not in a vocabulary's names.
    pub(crate) fn has_marks(&self) -> bool {
        self.kind != Kind::Text || self.values.is_some() || super::omop::is_mark(&self.name)
    }

    /// In words, what its values are.
    pub(crate) const fn words(&self) -> &'static str {
        match self.values {
            Some(_) => "one of the values that the catalogue lists",
            None => self.kind.words(),
        }
    }
}

/// Whose rows a table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Patients': every row is somebody's.
    Patients {
        /// The position of the column that says whose.
        subject: usize,
        /// The domains that consent must open, each on the row's day.
        domains: &'static [Domain],
        /// Which day, as consent's windows mean it, a row is of.
        dating: Dating,
    },
    /// Nobody's: vocabularies.
    Vocabulary,
}

/// Which day the rows of a table are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dating {
    /// That in the column at this position; a row may lack it.
    Column(usize),
    /// None: the table has no dates.
    Undated,
    /// One that nobody said: the table has dates, but none is declared to be that of its rows.
    Unsaid,
}

impl Dating {
    /// The position of the column with the day.
    pub(crate) const fn column(self) -> Option<usize> {
        match self {
            Self::Column(position) => Some(position),
            Self::Undated | Self::Unsaid => None,
        }
    }
}

/// Where a table's rows lie.
#[derive(Clone)]
pub(crate) enum Source {
    /// Nowhere: the table has no rows.
    Empty,
    /// In memory, read from a CSV file.
    Memory(Arc<Vec<RecordBatch>>),
    /// In Parquet files.
    Parquet(Arc<Vec<Part>>),
    /// In a database.
    #[cfg(feature = "postgres")]
    Postgres(Arc<super::postgres::Relation>),
}

/// What people are told of how a table was read. Names, counts and places only.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    /// The file, or the folder of files.
    pub(crate) file: String,
    /// `csv`, `parquet`, `arranged`, `postgresql`, or `empty` for a file of 0 bytes.
    pub(crate) format: &'static str,
    /// How many files.
    pub(crate) files: usize,
    /// What stands before the table's name in the file's.
    pub(crate) prefix: String,
    /// The columns that no study may read.
    pub(crate) withheld: Vec<String>,
    /// Columns that were mended on the way, and how.
    pub(crate) mended: Vec<(String, String)>,
    /// Columns that cannot be read, and why.
    pub(crate) unreadable: Vec<(String, String)>,
    /// How many lines of a vocabulary were left out, and which.
    pub(crate) left_out: Option<(u64, String)>,
    /// Rows that nobody could ever see, where they were left out when the store was arranged.
    pub(crate) unseen: Option<LeftOut>,
}

/// A table of the store. Never Debug: it may hold rows.
#[derive(Clone)]
pub(crate) struct Table {
    /// The name, in lower case.
    pub(crate) name: String,
    /// Whose rows.
    pub(crate) role: Role,
    /// The columns that studies may read, in order.
    pub(crate) columns: Vec<Column>,
    /// How many of them, the last, Parquet files do not have: the names of their folders give the value.
    pub(crate) given: usize,
    /// How many rows, where that is known.
    pub(crate) rows: Option<usize>,
    /// The column whose values no two rows share, where that was checked.
    pub(crate) key: Option<usize>,
    /// Where they are.
    pub(crate) source: Source,
    /// How it was read.
    pub(crate) notes: Notes,
}

/// Columns with the types that queries see.
pub(crate) fn schema<'a>(columns: impl IntoIterator<Item = &'a Column>) -> SchemaRef {
    let field = |column: &Column| Field::new(&column.name, column.kind.data_type(), true);
    Arc::new(Schema::new(columns.into_iter().map(field).collect::<Vec<_>>()))
}

impl Table {
    /// A table of OMOP's without rows, for checking queries where there is no data.
    pub(crate) fn empty(definition: &Definition) -> Self {
        Wanted::of(definition).without_rows()
    }

    /// The same of a consortium's own table.
    pub(crate) fn empty_own(table: &CatalogueTable) -> Self {
        Wanted::own(table, &BTreeMap::new()).without_rows()
    }

    /// What queries see: the readable columns with their types.
    pub(crate) fn schema(&self) -> SchemaRef {
        schema(&self.columns)
    }

    /// What of a table lies in one bucket of a store laid out by patient; of a vocabulary, everything.
    pub(crate) fn of_bucket(&self, bucket: usize) -> Self {
        let (Role::Patients { .. }, Source::Parquet(parts)) = (self.role, &self.source) else { return self.clone() };
        let own = parts.iter().filter(|part| part.bucket.is_some_and(|(number, _)| number == bucket));
        let own: Vec<Part> = own.cloned().collect();
        let rows = own.iter().filter_map(|part| part.bucket.map(|(_, rows)| rows)).sum();
        let source = if own.is_empty() { Source::Empty } else { Source::Parquet(Arc::new(own)) };
        Self { source, rows: Some(rows), ..self.clone() }
    }

    /// The domains that open the table together; none for vocabularies.
    pub(crate) fn domains(&self) -> &'static [Domain] {
        match self.role {
            Role::Patients { domains, .. } => domains,
            Role::Vocabulary => &[],
        }
    }
}
