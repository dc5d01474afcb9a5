//! What can be wrong with a hospital's files.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::worker::words;

/// A problem with a hospital's files. Names files, lines and columns; never carries a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, BorshSerialize, BorshDeserialize)]
#[non_exhaustive]
pub enum StoreError {
    /// The folder is not there, or is no folder.
    #[error("there is no folder {folder}; correct `store.folder` in the configuration")]
    NoFolder {
        /// As configured.
        folder: String,
    },
    /// A file or folder could not be read.
    #[error("{file} cannot be read ({reason}); check its permissions and the disk, then run `consilium doctor`")]
    Unreadable {
        /// The file.
        file: String,
        /// The operating system's word for it.
        reason: String,
    },
    /// No table of people.
    #[error("there is no PERSON.csv, person.parquet or folder person with Parquet files; export OMOP's PERSON table")]
    NoPerson,
    /// Two files for one table.
    #[error("table `{table}` has two sources, {first} and {second}; remove one")]
    TwoSources {
        /// The table.
        table: String,
        /// One file.
        first: String,
        /// The other.
        second: String,
    },
    /// A column that the table cannot do without.
    #[error("{file} has no column `{column}`, without which consent cannot be applied; add it to the export")]
    MissingColumn {
        /// The file.
        file: String,
        /// The column.
        column: String,
    },
    /// A column twice.
    #[error("{file} has two columns `{column}`; rename or remove one")]
    DuplicateColumn {
        /// The file.
        file: String,
        /// The column.
        column: String,
    },
    /// A row with another number of fields than the header, or a broken quotation.
    #[error(
        "{file}: line {line} is not a row of the table (fields missing, too many, or a quote left open); repair it"
    )]
    MalformedRow {
        /// The file.
        file: String,
        /// The line, counted from 1, the header included; quoted line breaks not counted.
        line: u64,
    },
    /// A row in no known encoding, or otherwise unreadable where no line can be told.
    #[error("{file} is not readable as UTF-8 CSV; convert it to UTF-8, or export it as Parquet")]
    NotCsv {
        /// The file.
        file: String,
    },
    /// A field that is not of its column's type.
    #[error("{file}: line {line}, column `{column}` is not {expected}; repair the field or empty it")]
    BadField {
        /// The file.
        file: String,
        /// The line, counted from 1, the header included; quoted line breaks not counted.
        line: u64,
        /// The column.
        column: String,
        /// What the column holds.
        #[borsh(serialize_with = "words::write", deserialize_with = "words::read")]
        expected: &'static str,
    },
    /// A column of a type that cannot hold what the table's definition says.
    #[error("{file}: column `{column}` is of type {found}, not {expected}; export it with the right type")]
    WrongType {
        /// The file.
        file: String,
        /// The column.
        column: String,
        /// What the column holds.
        #[borsh(serialize_with = "words::write", deserialize_with = "words::read")]
        expected: &'static str,
        /// The type in the file.
        found: String,
    },
    /// A Parquet file that is cut short or otherwise damaged.
    #[error("{file} is no intact Parquet file (cut short or damaged); copy or export it again")]
    Damaged {
        /// The file.
        file: String,
    },
    /// A CSV file that is too large to be read into memory.
    #[error("{file} is larger than {} GiB; convert it to Parquet, which is read piece by piece", crate::store::CSV_BYTES >> 30)]
    TooLargeForCsv {
        /// The file.
        file: String,
    },
    /// A person without an id.
    #[error("{file} has a row without `person_id`; remove it or give it its number")]
    NullPerson {
        /// The file.
        file: String,
    },
    /// Two persons with one id.
    #[error("{file} has two rows with the same `person_id`; every person has one row")]
    DuplicatePerson {
        /// The file.
        file: String,
    },
    /// A declaration that cannot be used.
    #[error("`[store.tables.{table}]`: {what}")]
    Declaration {
        /// The table.
        table: String,
        /// What is wrong and what to do.
        #[borsh(serialize_with = "words::write", deserialize_with = "words::read")]
        what: &'static str,
    },
}

impl StoreError {
    /// The kind of problem, for metrics and for matching in scripts.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NoFolder { .. } => "no_folder",
            Self::Unreadable { .. } => "unreadable",
            Self::NoPerson => "no_person",
            Self::TwoSources { .. } => "two_sources",
            Self::MissingColumn { .. } => "missing_column",
            Self::DuplicateColumn { .. } => "duplicate_column",
            Self::MalformedRow { .. } => "malformed_row",
            Self::NotCsv { .. } => "not_csv",
            Self::BadField { .. } => "bad_field",
            Self::WrongType { .. } => "wrong_type",
            Self::Damaged { .. } => "damaged",
            Self::TooLargeForCsv { .. } => "too_large_for_csv",
            Self::NullPerson { .. } => "null_person",
            Self::DuplicatePerson { .. } => "duplicate_person",
            Self::Declaration { .. } => "declaration",
        }
    }
}
