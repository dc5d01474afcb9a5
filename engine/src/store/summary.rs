//! What a store holds, for people: `consilium doctor` prints it.

use borsh::{BorshDeserialize, BorshSerialize};
use consilium_protocol::consent::Domain;
use serde::Serialize;

use super::arranged::LeftOut;
use super::omop;
use super::table::Table;
use crate::worker::words;

/// What was found in the store. Names and sizes only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, BorshSerialize, BorshDeserialize)]
pub struct StoreSummary {
    /// The tables, by name.
    pub tables: Vec<TableSummary>,
    /// Tables that are there and cannot be read.
    pub unreadable: Vec<UnreadableTable>,
    /// Tables that studies could read and for which there is no file: OMOP's, and those of the consortium's catalogue.
    pub absent: Vec<String>,
    /// Files that are no tables, and why.
    pub ignored: Vec<IgnoredFile>,
    /// Of a database: what its administrator should know.
    pub database: Option<DatabaseSummary>,
}

/// What there is to say of a database and of the role that reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, BorshSerialize, BorshDeserialize)]
pub struct DatabaseSummary {
    /// The server's major version.
    pub version: u32,
    /// The role.
    pub user: String,
    /// What the role may do that it should not.
    pub warnings: Vec<String>,
    /// Statements that would let it read what studies may.
    pub grants: Vec<String>,
}

/// One table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, BorshSerialize, BorshDeserialize)]
pub struct TableSummary {
    /// Its name, as queries write it.
    pub name: String,
    /// The file, or the folder of files.
    pub file: String,
    /// How many files.
    pub files: usize,
    /// What stands before the table's name in the file's, if something does.
    pub prefix: Option<String>,
    /// `csv`, `parquet`, `arranged`, `postgresql`, or `empty` for a file of 0 bytes.
    #[borsh(serialize_with = "words::write", deserialize_with = "words::read")]
    pub format: &'static str,
    /// The domains that consent must open; none for vocabularies, which anybody may read.
    pub domains: Vec<Domain>,
    /// The column that consent's windows are about.
    pub date: Option<String>,
    /// Whether it has dates and that of its rows is not declared, or cannot be read, so that it is read only under consent to
    /// all days.
    pub day_unsaid: bool,
    /// The column that should be: OMOP's.
    pub date_of_omop: Option<String>,
    /// How many rows, where that is cheap to know.
    pub rows: Option<usize>,
    /// The columns that studies may read.
    pub readable: Vec<String>,
    /// Those of them that were mended on the way, and how.
    pub mended: Vec<Column>,
    /// Columns that studies might read if they could be read, and why they cannot.
    pub unreadable: Vec<Column>,
    /// The columns of the file that no study may read.
    pub withheld: Vec<String>,
    /// How many lines of a vocabulary were left out, for they are no rows.
    pub left_out: Option<u64>,
    /// Which, in words.
    pub left_out_lines: Option<String>,
    /// Of those that no study may read, the columns that OMOP does not have at all.
    pub strange: Vec<String>,
    /// The columns of OMOP's table that it does not have, those first that one of these may be.
    pub missing: Vec<String>,
    /// Rows that no study sees, whatever anybody consents to, where that was looked at.
    pub unseen: Option<LeftOut>,
    /// How many numbers of records several rows have, where that was looked at.
    pub repeated: Option<u64>,
}

/// A column that something is to be said of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, BorshSerialize, BorshDeserialize)]
pub struct Column {
    /// Its name, as queries write it.
    pub name: String,
    /// What there is to say. No value.
    pub what: String,
}

/// A table that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, BorshSerialize, BorshDeserialize)]
pub struct UnreadableTable {
    /// Its name, as queries would write it.
    pub name: String,
    /// The kind of problem.
    #[borsh(serialize_with = "words::write", deserialize_with = "words::read")]
    pub kind: &'static str,
    /// What is wrong and what to do.
    pub reason: String,
}

/// A file that is no table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, BorshSerialize, BorshDeserialize)]
pub struct IgnoredFile {
    /// Its path within the folder.
    pub name: String,
    /// Why it is none.
    pub reason: String,
}

/// The columns of a table's files that OMOP does not have at all; none of a table that is not OMOP's.
pub(super) fn strange(table: &Table) -> Vec<String> {
    let Some(definition) = omop::definition(&table.name) else { return Vec::new() };
    table.notes.withheld.iter().filter(|column| !omop::has(definition, column)).cloned().collect()
}

/// The columns of OMOP's table that a table's files do not have. Those come first that look most like a strange one.
pub(super) fn missing(table: &Table) -> Vec<String> {
    let Some(definition) = omop::definition(&table.name) else { return Vec::new() };
    let is_there = |name: &str| {
        table.columns.iter().any(|column| column.name == name)
            || table.notes.unreadable.iter().any(|(column, _)| column == name)
    };
    let strange = strange(table);
    let missing = definition.columns.iter().map(|(name, _)| *name).filter(|name| !is_there(name));
    let mut missing: Vec<String> = missing.map(str::to_string).collect();
    let likeness = |name: &String| strange.iter().map(|strange| alike(name, strange)).max().unwrap_or_default();
    missing.sort_by_key(|name| std::cmp::Reverse(likeness(name)));
    missing
}

/// With how many letters and digits two names begin alike.
fn alike(one: &str, other: &str) -> usize {
    let plain = |name: &str| name.chars().filter(char::is_ascii_alphanumeric).collect::<Vec<_>>();
    plain(one).into_iter().zip(plain(other)).take_while(|(one, other)| one == other).count()
}
