//! What a table was made of, told without reading it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use consilium_protocol::catalogue::CatalogueTable;

use super::manifest::{ColumnEntry, digest};
use crate::store::Store;
use crate::store::config::{Place, StoreConfig};
use crate::store::error::StoreError;
use crate::store::folder::{self, PARTS_DEPTH};
use crate::store::table::Table;

/// A file that was changed less than so long before it was read may have changed after that without its time saying so.
const SETTLED: Duration = Duration::from_secs(2);

/// The files that a table is made of, as far as their names, lengths and times of change go.
pub(super) struct Made {
    /// SHA-256 of these and of how the files are read; none where a file was changed just before it was read, or
    /// since, and where there are no files.
    pub(super) digest: Option<String>,
    pub(super) bytes: Option<u64>,
}

pub(super) fn of(store: &Store, table: &Table, columns: &[ColumnEntry]) -> Made {
    let config = &store.config;
    let mut found = Vec::new();
    if let Some(folder) = config.place.folder().filter(|_| !table.notes.file.is_empty()) {
        list(&folder.join(&table.notes.file), 0, &mut found);
    }
    if found.is_empty() {
        return Made { digest: None, bytes: None };
    }
    found.sort();
    let bytes = Some(found.iter().map(|(_, bytes, _)| bytes).sum());
    let settled = |changed: &Option<SystemTime>| {
        changed.and_then(|changed| store.opened.duration_since(changed).ok()).is_some_and(|ago| ago >= SETTLED)
    };
    if !found.iter().all(|(.., changed)| settled(changed)) {
        return Made { digest: None, bytes };
    }
    let since = |changed: Option<SystemTime>| changed?.duration_since(UNIX_EPOCH).ok().map(|since| since.as_nanos());
    let mut text = format!("{columns:?} {:?} {:?}\n", config.nulls, config.tables.get(&table.name));
    for (path, bytes, changed) in found {
        text.push_str(&format!("{path:?} {bytes} {:?}\n", since(changed)));
    }
    Made { digest: Some(digest(text.as_bytes())), bytes }
}

/// SHA-256 of names, lengths and times of change of the files in a folder that are tables; none of a database. Where a file
/// was changed while they were read, it is that of no files.
pub(super) fn export(
    config: &StoreConfig,
    catalogue: &[CatalogueTable],
    opened: SystemTime,
) -> Result<Option<String>, StoreError> {
    let Place::Folder(folder) = &config.place else { return Ok(None) };
    let mut found = Vec::new();
    for table in folder::list(folder, config, catalogue)?.tables.into_values() {
        match table {
            Ok(table) => list(&folder.join(table.shown), 0, &mut found),
            Err(error) => found.push((PathBuf::from(error.to_string()), 0, None)),
        }
    }
    found.sort();
    if found.iter().any(|(.., changed)| changed.is_some_and(|changed| changed > opened)) {
        return Ok(Some(digest(b"")));
    }
    let since = |changed: Option<SystemTime>| changed?.duration_since(UNIX_EPOCH).ok().map(|since| since.as_nanos());
    let line = |(path, bytes, changed): (PathBuf, u64, _)| format!("{path:?} {bytes} {:?}\n", since(changed));
    Ok(Some(digest(found.into_iter().map(line).collect::<String>().as_bytes())))
}

fn list(path: &Path, depth: usize, found: &mut Vec<(PathBuf, u64, Option<SystemTime>)>) {
    let Ok(metadata) = fs::metadata(path) else { return };
    if metadata.is_file() {
        found.push((path.to_path_buf(), metadata.len(), metadata.modified().ok()));
    } else if depth <= PARTS_DEPTH {
        for entry in fs::read_dir(path).into_iter().flatten().filter_map(Result::ok) {
            list(&entry.path(), depth + 1, found);
        }
    }
}
