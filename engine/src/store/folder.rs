//! Which files of a folder are tables.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::config::StoreConfig;
use super::error::StoreError;
use super::omop;

/// The files of one table.
pub(super) enum Found {
    /// One CSV file, with its length.
    Csv(PathBuf, u64),
    /// Parquet files, with their lengths, in order of their names.
    Parquet(Vec<(PathBuf, u64)>),
    /// A file of 0 bytes.
    Nothing(PathBuf),
}

/// What a folder holds.
pub(super) struct Contents {
    /// The tables by name.
    pub(super) tables: BTreeMap<String, Found>,
    /// Files that are no tables, and why.
    pub(super) ignored: Vec<(String, &'static str)>,
}

/// A path within the store's folder, as messages name it.
pub(super) fn shown(path: &Path) -> String {
    path.display().to_string()
}

pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Unreadable { file: shown(path), reason: error.kind().to_string() }
}

/// Finds the tables of a folder. Paths in the result are relative to it.
pub(super) fn list(config: &StoreConfig) -> Result<Contents, StoreError> {
    let folder = &config.folder;
    if !folder.is_dir() {
        return Err(StoreError::NoFolder { folder: shown(folder) });
    }
    let mut contents = Contents { tables: BTreeMap::new(), ignored: Vec::new() };
    for (path, bytes) in entries(folder, Path::new(""))? {
        let Some((name, found)) = recognise(folder, &path, bytes, config, &mut contents.ignored)? else { continue };
        if let Some(first) = contents.tables.get(&name) {
            let first = match first {
                Found::Csv(path, _) | Found::Nothing(path) => shown(path),
                Found::Parquet(parts) => parts.first().map_or_else(|| name.clone(), |(path, _)| shown(path)),
            };
            return Err(StoreError::TwoSources { table: name, first, second: shown(&path) });
        }
        contents.tables.insert(name, found);
    }
    for name in config.tables.keys() {
        if !contents.tables.contains_key(name) {
            let what = "there is no such CSV file, Parquet file or folder of Parquet files in the store's folder; \
                        add it or remove the declaration";
            return Err(StoreError::Declaration { table: name.clone(), what });
        }
    }
    Ok(contents)
}

/// The entries of a folder in order of their names, relative to the store's folder; folders have no length.
fn entries(folder: &Path, within: &Path) -> Result<Vec<(PathBuf, Option<u64>)>, StoreError> {
    let at = folder.join(within);
    let mut found = Vec::new();
    for entry in fs::read_dir(&at).map_err(|e| unreadable(&at, &e))? {
        let entry = entry.map_err(|e| unreadable(&at, &e))?;
        let path = within.join(entry.file_name());
        let metadata = fs::metadata(entry.path()).map_err(|e| unreadable(&path, &e))?;
        found.push((path, metadata.is_file().then_some(metadata.len())));
    }
    found.sort();
    Ok(found)
}

fn recognise(
    folder: &Path,
    path: &Path,
    bytes: Option<u64>,
    config: &StoreConfig,
    ignored: &mut Vec<(String, &'static str)>,
) -> Result<Option<(String, Found)>, StoreError> {
    let mut ignore = |why| {
        ignored.push((shown(path), why));
        Ok(None)
    };
    let (Some(stem), ending) = (path.file_stem().and_then(|s| s.to_str()), ending(path)) else {
        return ignore("its name is not UTF-8");
    };
    let name = stem.to_ascii_lowercase();
    let known = omop::definition(&name).is_some() || config.tables.contains_key(&name);
    let declared = "not an OMOP table that studies may read, and not declared under [store.tables]";
    match (bytes, ending.as_str()) {
        (None, "") if known => {
            let parts: Vec<(PathBuf, u64)> = entries(folder, path)?
                .into_iter()
                .filter(|(part, _)| self::ending(part) == "parquet")
                .filter_map(|(part, bytes)| Some((part, bytes?)))
                .collect();
            if parts.is_empty() {
                return ignore("a folder without Parquet files");
            }
            Ok(Some((name, Found::Parquet(parts))))
        }
        (None, _) => ignore("a folder that is no table"),
        (Some(0), "csv" | "parquet") if known => Ok(Some((name, Found::Nothing(path.to_path_buf())))),
        (Some(bytes), "csv") if known => Ok(Some((name, Found::Csv(path.to_path_buf(), bytes)))),
        (Some(bytes), "parquet") if known => Ok(Some((name, Found::Parquet(vec![(path.to_path_buf(), bytes)])))),
        (Some(_), "csv" | "parquet") => ignore(declared),
        (Some(_), _) => ignore("neither .csv nor .parquet"),
    }
}

fn ending(path: &Path) -> String {
    path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase()
}
