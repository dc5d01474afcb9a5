//! Where a hospital's files are, and what those are that OMOP does not name.

use std::collections::BTreeMap;
use std::path::PathBuf;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use super::text::Nulls;

/// The `[store]` section of a node's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// The folder with one Parquet or CSV file per table, or a sub-folder of parts.
    #[borsh(serialize_with = "path::write", deserialize_with = "path::read")]
    pub folder: PathBuf,
    /// Where the tables of the consortium's catalogue are, by name, where that is not plain.
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

/// Where a hospital has a table of the consortium's catalogue, as far as names differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(deny_unknown_fields)]
pub struct TableConfig {
    /// The name of its file or folder, without endings; the table's own where this is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// By the catalogue's name of a column, or of the subject, the name that it has there; the same where it is not listed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, String>,
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
