//! A hospital's table: its columns, whose rows they are, and where they lie.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use consilium_protocol::consent::Domain;

use super::kind::Kind;
use super::omop::{self, Definition};

/// A column that studies may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    /// The name, in lower case.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
}

/// Whose rows a table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Patients': every row is somebody's.
    Patients {
        /// The position of the column that says whose.
        subject: usize,
        /// The domain that consent must open.
        domain: Domain,
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
    Parquet(Arc<Vec<ParquetPart>>),
}

/// One Parquet file.
#[derive(Clone, Debug)]
pub(crate) struct ParquetPart {
    /// The path within the store's folder.
    pub(crate) path: PathBuf,
    /// The length in bytes.
    pub(crate) bytes: u64,
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
    /// The columns of the file that no study may read.
    pub(crate) withheld: Vec<String>,
    /// How many rows, where that is known.
    pub(crate) rows: Option<usize>,
    /// The column whose values no two rows share, where that was checked.
    pub(crate) key: Option<usize>,
    /// Where they are.
    pub(crate) source: Source,
}

impl Table {
    /// The table of a definition without rows, for checking queries where there is no data.
    pub(crate) fn empty(definition: &Definition) -> Self {
        let columns: Vec<Column> =
            definition.columns.iter().map(|(name, kind)| Column { name: (*name).to_string(), kind: *kind }).collect();
        let position = |name: &str| columns.iter().position(|column| column.name == name);
        let role = match definition.domain {
            Some(domain) => Role::Patients {
                subject: columns.iter().position(|c| c.kind == Kind::Subject).unwrap_or_default(),
                domain,
                dating: definition.date.and_then(position).map_or(Dating::Undated, Dating::Column),
            },
            None => Role::Vocabulary,
        };
        let key = omop::key(definition.name).and_then(position);
        let name = definition.name.to_string();
        Self { name, role, columns, withheld: Vec::new(), rows: Some(0), key, source: Source::Empty }
    }

    /// What queries see: the readable columns with their types.
    pub(crate) fn schema(&self) -> SchemaRef {
        let field = |column: &Column| Field::new(&column.name, column.kind.data_type(), true);
        Arc::new(Schema::new(self.columns.iter().map(field).collect::<Vec<_>>()))
    }

    /// The domain that opens the table; `None` for vocabularies.
    pub(crate) fn domain(&self) -> Option<Domain> {
        match self.role {
            Role::Patients { domain, .. } => Some(domain),
            Role::Vocabulary => None,
        }
    }
}
