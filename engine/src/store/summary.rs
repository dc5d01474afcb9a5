//! What a store holds, for people: `consilium doctor` prints it.

use borsh::{BorshDeserialize, BorshSerialize};
use consilium_protocol::consent::Domain;
use serde::Serialize;

use crate::worker::words;

/// What was found in the store's folder. Names and sizes only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, BorshSerialize, BorshDeserialize)]
pub struct StoreSummary {
    /// The tables, by name.
    pub tables: Vec<TableSummary>,
    /// Files that are no tables, and why.
    pub ignored: Vec<IgnoredFile>,
}

/// One table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, BorshSerialize, BorshDeserialize)]
pub struct TableSummary {
    /// Its name, as queries write it.
    pub name: String,
    /// `csv`, `parquet`, or `empty` for a file of 0 bytes.
    #[borsh(serialize_with = "words::write", deserialize_with = "words::read")]
    pub format: &'static str,
    /// The domain that consent must open; `None` for vocabularies, which anybody may read.
    pub domain: Option<Domain>,
    /// The column that consent's windows are about.
    pub date: Option<String>,
    /// Whether it has dates and none is declared to be that of its rows, so that it is read only under consent to all
    /// days.
    pub day_unsaid: bool,
    /// How many rows, where that is cheap to know.
    pub rows: Option<usize>,
    /// The columns that studies may read.
    pub readable: Vec<String>,
    /// The columns of the file that no study may read.
    pub withheld: Vec<String>,
}

/// A file that is no table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, BorshSerialize, BorshDeserialize)]
pub struct IgnoredFile {
    /// Its path within the folder.
    pub name: String,
    /// Why it is none.
    pub reason: String,
}
