//! What can be wrong with a hospital's tables.

use borsh::{BorshDeserialize, BorshSerialize};

use super::postgres::DatabaseError;
use crate::worker::words;

/// A problem with a hospital's tables. Names files, lines and columns; never carries a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, BorshSerialize, BorshDeserialize)]
#[non_exhaustive]
pub enum StoreError {
    /// The folder is not there, or is no folder.
    #[error("there is no folder {folder}; correct its name")]
    NoFolder {
        /// As configured.
        folder: String,
    },
    /// A file or folder is not there.
    #[error("{file} is not there; check the path")]
    Missing {
        /// The file.
        file: String,
    },
    /// A link to what is not there.
    #[error("{file} is a link that leads to nothing; correct it, or remove it")]
    LeadsNowhere {
        /// The link.
        file: String,
    },
    /// A file or folder could not be read.
    #[error("{file} cannot be read ({reason}); check its permissions and the disk, then try again")]
    Unreadable {
        /// The file.
        file: String,
        /// The operating system's word for it.
        reason: String,
    },
    /// A file that is not the one any more that was looked at.
    #[error("{file} was changed while it was read; when nothing writes it any more, run it again")]
    Changed {
        /// The file.
        file: String,
    },
    /// A link to what is not in the store's folder, where a study's process can read nothing.
    #[error("{file} is a link out of the folder, which studies do not follow; put what it leads to into the folder")]
    Outside {
        /// The link.
        file: String,
    },
    /// No table of people.
    #[error("there is no PERSON.csv, person.parquet or folder person with such files; export OMOP's PERSON table")]
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
    #[error(
        "{file} has no column `{column}`, without which consent cannot be applied; add it to the export, or to the view"
    )]
    MissingColumn {
        /// The file.
        file: String,
        /// The column.
        column: String,
    },
    /// The same of a table that is the consortium's own.
    #[error(
        "{file} has no column `{column}`, without which consent cannot be applied; add it to the export, or say what it is \
         called there: consilium store map {table} --column {column}=NAME"
    )]
    MissingOwnColumn {
        /// The table.
        table: String,
        /// The file.
        file: String,
        /// The column, as the catalogue calls it.
        column: String,
    },
    /// A row with another number of fields than the header, or a broken quotation.
    #[error(
        "{file}: line {line} is not a row of the table (fields missing, too many, or a quote left open); repair it"
    )]
    MalformedRow {
        /// The file.
        file: String,
        /// The line, counted from 1, the header included.
        line: u64,
    },
    /// A row in no known encoding, or otherwise unreadable where no line can be told.
    #[error("{file} has no line of UTF-8 text at its start; convert it to UTF-8, or export it as Parquet")]
    NotCsv {
        /// The file.
        file: String,
    },
    /// A file of a table's name that is packed, or of another program.
    #[error("{file} is neither CSV nor Parquet; {next}")]
    NotExported {
        /// The file.
        file: String,
        /// What to do.
        #[borsh(serialize_with = "words::write", deserialize_with = "words::read")]
        next: &'static str,
    },
    /// No header line.
    #[error(
        "{file} has no header line with the names of the table's columns; export it with one, or write it as the first line"
    )]
    NoHeader {
        /// The file.
        file: String,
    },
    /// A column that the table cannot do without, and that cannot be read.
    #[error(
        "{file}: column `{column}` cannot be read, and the table not without it: {why}; mend these, or export it anew"
    )]
    Column {
        /// The file.
        file: String,
        /// The column.
        column: String,
        /// Why: counts and places.
        why: String,
    },
    /// A folder with parts of two formats.
    #[error("{folder} has parts of two formats, {one} and {other}; keep those of one export")]
    Mixture {
        /// The folder.
        folder: String,
        /// One part.
        one: String,
        /// Another.
        other: String,
    },
    /// Something in a table's folder that is no part of it.
    #[error(
        "{folder} has {part} in it, which is no part of the table (a CSV or Parquet file, or a folder called column=value); \
         move it out"
    )]
    NoPart {
        /// The folder.
        folder: String,
        /// What is in it.
        part: String,
    },
    /// A folder without files of a table.
    #[error("{folder} has no CSV or Parquet file in it; name another file or folder")]
    NoFiles {
        /// The folder.
        folder: String,
    },
    /// A folder with files of several tables, where those of one are wanted.
    #[error("{folder} has files of several tables: the columns of {one} and {other} differ; name one of them")]
    Several {
        /// The folder.
        folder: String,
        /// One file.
        one: String,
        /// Another.
        other: String,
    },
    /// A folder that another program has not finished writing.
    #[error("{folder} was not written to its end ({mark} is still in it); write it again")]
    Unfinished {
        /// The folder.
        folder: String,
        /// What shows it.
        mark: String,
    },
    /// A compressed file that is cut short or otherwise damaged.
    #[error("{file} is no intact gzip file (cut short or damaged); copy or export it again")]
    DamagedGzip {
        /// The file.
        file: String,
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
    #[error("{file} has {rows} {} without `person_id`{}; remove them or give them their numbers", plural(*rows, "row"), within(places))]
    NullPerson {
        /// The file.
        file: String,
        /// How many rows.
        rows: u64,
        /// The first of them; empty where that is not known.
        places: String,
    },
    /// Two persons with one id.
    #[error(
        "{file} has several rows with the same `person_id`, of {people} {}{}; every person has one row, remove the others",
        if *people == 1 { "person" } else { "people" }, within(places)
    )]
    DuplicatePerson {
        /// The file.
        file: String,
        /// How many people have several rows.
        people: u64,
        /// The first of their rows; empty where that is not known.
        places: String,
    },
    /// Several rows of one patient, where the consortium's catalogue says that there is one.
    #[error(
        "{file} has several rows of one patient, and table `{table}` has one a patient by the consortium's catalogue; keep one"
    )]
    NotSingle {
        /// The table.
        table: String,
        /// The file.
        file: String,
    },
    /// A manifest of a store laid out by patient that cannot be understood.
    #[error(
        "{file} is not what `consilium store arrange` of this version writes ({what}); remove the folder and arrange the store \
         anew"
    )]
    Manifest {
        /// The manifest.
        file: String,
        /// What is wrong with it.
        #[borsh(serialize_with = "words::write", deserialize_with = "words::read")]
        what: &'static str,
    },
    /// A file of a store laid out by patient that is not the one that was written.
    #[error("{file} is not the file that was arranged ({what}); arrange the store anew with `consilium store arrange`")]
    NotAsArranged {
        /// The file.
        file: String,
        /// In what it differs.
        #[borsh(serialize_with = "words::write", deserialize_with = "words::read")]
        what: &'static str,
    },
    /// The configuration names a folder that is to be laid out by patient, and it is not.
    #[error(
        "no tables were arranged in {folder} yet; run `consilium store arrange`, or leave `arranged` out of [store]"
    )]
    NotArranged {
        /// The folder.
        folder: String,
    },
    /// A table that could not be read when the store was arranged.
    #[error("it could not be read when the store was arranged: {reason}; then arrange the store anew")]
    UnreadWhenArranged {
        /// Why it could not.
        reason: String,
    },
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Where a table is said to be cannot be used.
    #[error("`[store.tables.{table}]`: {what}")]
    Mapping {
        /// The table.
        table: String,
        /// What is wrong and what to do.
        #[borsh(serialize_with = "words::write", deserialize_with = "words::read")]
        what: &'static str,
    },
}

fn plural(count: u64, one: &str) -> String {
    format!("{one}{}", if count == 1 { "" } else { "s" })
}

fn within(places: &str) -> String {
    if places.is_empty() { String::new() } else { format!(" ({places})") }
}

impl StoreError {
    /// Whether it passes without anybody's doing: a database that is down, busy or changing.
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_passing())
    }

    /// Whether trying again soon is of no use, and may do harm: a database that refuses, as a password that is tried again and
    /// again gets its role locked.
    pub const fn waits_for_somebody(&self) -> bool {
        matches!(self, Self::Database(error) if !error.is_passing())
    }

    /// The kind of problem, for metrics and for matching in scripts.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NoFolder { .. } => "no_folder",
            Self::Missing { .. } => "missing",
            Self::LeadsNowhere { .. } => "leads_nowhere",
            Self::Unreadable { .. } => "unreadable",
            Self::Changed { .. } => "changed",
            Self::Outside { .. } => "outside",
            Self::NoPerson => "no_person",
            Self::TwoSources { .. } => "two_sources",
            Self::MissingColumn { .. } | Self::MissingOwnColumn { .. } => "missing_column",
            Self::MalformedRow { .. } => "malformed_row",
            Self::NotCsv { .. } => "not_csv",
            Self::NotExported { .. } => "not_exported",
            Self::NoHeader { .. } => "no_header",
            Self::Column { .. } => "column",
            Self::Mixture { .. } => "mixture",
            Self::NoPart { .. } => "no_part",
            Self::NoFiles { .. } => "no_files",
            Self::Several { .. } => "several",
            Self::Unfinished { .. } => "unfinished",
            Self::DamagedGzip { .. } => "damaged_gzip",
            Self::Damaged { .. } => "damaged",
            Self::TooLargeForCsv { .. } => "too_large_for_csv",
            Self::NullPerson { .. } => "null_person",
            Self::DuplicatePerson { .. } => "duplicate_person",
            Self::NotSingle { .. } => "not_single",
            Self::Manifest { .. } => "manifest",
            Self::NotAsArranged { .. } => "not_as_arranged",
            Self::NotArranged { .. } => "not_arranged",
            Self::UnreadWhenArranged { .. } => "unread_when_arranged",
            Self::Mapping { .. } => "mapping",
            Self::Database(error) => error.kind(),
        }
    }
}
