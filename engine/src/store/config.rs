//! Where a hospital's files are, and what those are that OMOP does not name.

use std::collections::BTreeMap;
use std::path::PathBuf;

use borsh::{BorshDeserialize, BorshSerialize};
use consilium_protocol::consent::Domain;
use serde::{Deserialize, Serialize};

use super::text::Nulls;

/// The `[store]` section of a node's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// The folder with one Parquet or CSV file per table, or a sub-folder of parts.
    #[borsh(serialize_with = "path::write", deserialize_with = "path::read")]
    pub folder: PathBuf,
    /// Tables that are not OMOP's, by the name of their file without its ending.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tables: BTreeMap<String, TableConfig>,
    /// What stands for no value where a file holds texts, beside an empty field.
    #[serde(default, skip_serializing_if = "Nulls::are_usual")]
    pub nulls: Nulls,
}

impl StoreConfig {
    /// The tables of a folder, with nothing else said of them.
    pub fn of(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), tables: BTreeMap::new(), nulls: Nulls::default() }
    }
}

/// What a table is that OMOP does not name. Without such a declaration a file is not a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(deny_unknown_fields)]
pub struct TableConfig {
    /// The column with the patient's `person_id`, as in PERSON.
    pub subject: String,
    /// The domain that a consent must open for the table to be read.
    pub domain: Domain,
    /// The column with the day of a row, which consent's windows are about. Without it, a table that has no dates is read
    /// under any consent to its domain, whatever its window, and one that has some only under consent to all days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// Whether the table has at most one row a patient, as a registry has. It is checked when the store is opened, and
    /// queries may count on it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub single: bool,
    /// The columns that studies may read; all of them where this is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
}

/// A path in the pipe to a worker: the operating system's own bytes, as far as it has them.
mod path {
    use std::io;
    use std::path::{Path, PathBuf};

    use borsh::io::{Read, Write};
    use borsh::{BorshDeserialize as _, BorshSerialize as _};

    pub(super) fn write<W: Write>(path: &Path, output: &mut W) -> io::Result<()> {
        #[cfg(unix)]
        let bytes = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str());
        #[cfg(not(unix))]
        let bytes = path.to_str().ok_or(io::ErrorKind::InvalidInput)?.as_bytes();
        bytes.serialize(output)
    }

    pub(super) fn read<R: Read>(input: &mut R) -> io::Result<PathBuf> {
        let bytes = Vec::<u8>::deserialize_reader(input)?;
        #[cfg(unix)]
        let path = <std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes);
        #[cfg(not(unix))]
        let path = String::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData)?;
        Ok(PathBuf::from(path))
    }
}
