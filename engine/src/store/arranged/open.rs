//! From a manifest to the tables of an open store.
//!
//! The manifest says what was written; whose rows a table has, and which columns studies may read, is said anew by this
//! program's definitions and by the consortium's catalogue. Where these are others than when the store was arranged, less is
//! read, never more.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use borsh::BorshSerialize;
use consilium_protocol::catalogue::CatalogueTable;

use super::manifest::{ColumnEntry, FileEntry, Manifest, NAME, TableEntry, digest};
use crate::store::config::{Place, StoreConfig};
use crate::store::error::StoreError;
use crate::store::folder::Part;
use crate::store::layout::Wanted;
use crate::store::table::{Column, Notes, Source, Table};
use crate::store::{Gathered, Which, key, omop, subjects};

/// The tables of a store laid out by patient.
///
/// # Errors
/// When the files are not those that were written.
pub(in crate::store) fn open(
    which: Which,
    folder: &Path,
    config: &StoreConfig,
    catalogue: &[CatalogueTable],
    manifest: &Manifest,
) -> Result<Gathered, StoreError> {
    manifest.check_files(folder)?;
    let (mut tables, mut ignored) = (BTreeMap::new(), Vec::new());
    for entry in manifest.tables.iter().filter(|entry| which.has(&entry.name)) {
        match wanted(&entry.name, catalogue) {
            Some(wanted) => drop(tables.insert(entry.name.clone(), table(folder, config, catalogue, &wanted, entry))),
            None => ignored.push((entry.name.clone(), "no table of the consortium's catalogue".to_string())),
        }
    }
    for (name, reason) in manifest.unreadable.iter().filter(|(name, _)| which.has(name)) {
        if wanted(name, catalogue).is_some() {
            let error = StoreError::UnreadWhenArranged { reason: reason.clone() };
            tables.entry(name.clone()).or_insert(Err(error));
        }
    }
    for name in config.tables.keys() {
        let absent = || Err(StoreError::Mapping { table: name.clone(), what: WITHOUT });
        tables.entry(name.clone()).or_insert_with(absent);
    }
    let people = match tables.get("person") {
        Some(Ok(person)) => subjects::people(folder, &config.nulls, person, &|_| String::new())?,
        Some(Err(error)) => return Err(error.clone()),
        None => return Err(StoreError::NoPerson),
    };
    Ok(Gathered { tables, people, ignored, buckets: manifest.buckets.len() })
}

/// What a table is to have; columns are written under their own names, whatever they were called.
fn wanted(name: &str, catalogue: &[CatalogueTable]) -> Option<Wanted> {
    Wanted::named(name, &BTreeMap::new(), catalogue)
}

const WITHOUT: &str = "the store was arranged without it; arrange it anew with `consilium store arrange`";
const OTHERWISE: &str = "the catalogue's entry is not what it was when the store was arranged; arrange it anew with `consilium store arrange`";
const READ_OTHERWISE: &str = "what [store] says of how it is read is not what it was when the store was arranged; arrange it anew \
                              with `consilium store arrange`";

/// SHA-256 of what the catalogue says of a table, so that another meaning is noticed.
pub(super) fn meaning(own: &CatalogueTable) -> Result<String, StoreError> {
    hashed(own)
}

/// SHA-256 of how a table is read, so that another reading is noticed.
pub(super) fn reading(config: &StoreConfig, table: &str) -> Result<String, StoreError> {
    hashed(&(&config.nulls, config.tables.get(table)))
}

fn hashed(what: &impl BorshSerialize) -> Result<String, StoreError> {
    let no_bytes = |_| StoreError::Manifest { file: NAME.to_string(), what: "a part of it has no bytes" };
    borsh::to_vec(what).map(|bytes| digest(&bytes)).map_err(no_bytes)
}

fn table(
    folder: &Path,
    config: &StoreConfig,
    catalogue: &[CatalogueTable],
    wanted: &Wanted,
    entry: &TableEntry,
) -> Result<Table, StoreError> {
    let own = catalogue.iter().find(|own| own.name == entry.name && omop::definition(&own.name).is_none());
    if entry.catalogue != own.map(meaning).transpose()? {
        return Err(StoreError::Mapping { table: entry.name.clone(), what: OTHERWISE });
    }
    // Of a folder that is named without what it was made of, nothing is said of how that is read.
    let is_said = matches!(config.place, Place::Arranged { .. }) || config.tables.contains_key(&entry.name);
    if is_said && entry.reading != reading(config, &entry.name)? {
        return Err(StoreError::Mapping { table: entry.name.clone(), what: READ_OTHERWISE });
    }
    let known = |written: &ColumnEntry| {
        let is = |column: &&Column| column.name == written.name && column.kind == written.kind;
        wanted.columns.iter().find(is).cloned()
    };
    let columns: Vec<Column> = entry.columns.iter().filter_map(known).collect();
    let role = wanted.role(&columns, &entry.name)?;
    let part = |file: &FileEntry| Part {
        path: entry.path(file),
        bytes: file.bytes,
        // Its name says what is in it.
        seen: None,
        given: Vec::new(),
        bucket: file.bucket.map(|bucket| (bucket, file.rows)),
    };
    let parts: Vec<Part> = entry.files.iter().map(part).collect();
    let files = parts.len();
    let table = Table {
        name: entry.name.clone(),
        role,
        columns,
        given: 0,
        rows: Some(entry.rows()),
        key: None,
        source: if parts.is_empty() { Source::Empty } else { Source::Parquet(Arc::new(parts)) },
        notes: Notes {
            file: entry.name.clone(),
            format: "arranged",
            files,
            withheld: entry.withheld.clone(),
            unreadable: entry.unreadable.clone(),
            unseen: Some(entry.left_out),
            ..Notes::default()
        },
    };
    Ok(Table { key: key::find(folder, &config.nulls, &table, wanted.single)?, ..table })
}
