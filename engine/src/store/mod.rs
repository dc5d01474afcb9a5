//! A hospital's tables, as files in a folder, by the names of the OMOP Common Data Model 5.4.
//!
//! [`Store::open`] finds the files, decides by the catalogue which of their columns exist for studies at all, and checks
//! what can be checked without a query. It takes exports as they come, and is exact about what it cannot read: a column, or
//! a table, is closed, with the reason in [`Store::summary`], and only studies that name it are told. Without PERSON's ids
//! alone there is no store. CSV files are read into memory then and there; Parquet files are read when a query runs, piece by
//! piece. Nothing of this is reachable by a query except through [`crate::gate`].
//!
//! ```text
//!  folder ──► which files are tables          csv, parquet ──► their columns and values
//!    │              │                               │  names, text, edge: as what they are read
//!    └── omop, config: what a table is to have ──► load ──► Table ──► scan (for the gate alone)
//! ```

mod config;
mod csv;
mod edge;
mod error;
mod folder;
mod key;
pub(crate) mod kind;
mod layout;
mod load;
mod names;
pub(crate) mod omop;
mod parquet;
mod propose;
pub(crate) mod reach;
pub(crate) mod scan;
mod subjects;
mod summary;
pub(crate) mod table;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use consilium_protocol::catalogue::CatalogueTable;
use consilium_protocol::ids::SubjectId;

pub use config::{StoreConfig, TableConfig};
pub use csv::CSV_BYTES;
pub use error::StoreError;
pub use folder::{PARTS_DEPTH, csv_bytes};
pub use omop::is_of_omop;
pub use propose::{ProposedColumn, as_name, propose};
pub use subjects::Subjects;
pub use summary::{Column, IgnoredFile, StoreSummary, TableSummary, UnreadableTable};
pub use text::Nulls;

use crate::pseudonym::LinkSecret;
use folder::{Contents, Found, shown};
use layout::Wanted;
use scan::Reader;
use table::{Dating, Role, Table};

/// An open store. Holds rows: it prints as names and sizes only.
pub struct Store {
    tables: BTreeMap<String, Arc<Table>>,
    /// Tables that cannot be read, and why.
    unreadable: BTreeMap<String, StoreError>,
    /// Tables of the catalogue for which there is no file.
    absent: Vec<String>,
    ignored: Vec<IgnoredFile>,
    people: Vec<i64>,
    subjects: Mutex<Option<(SubjectId, Arc<Subjects>)>>,
    reader: Arc<Reader>,
}

impl Store {
    /// Opens a folder of tables: OMOP's, and those of the consortium's catalogue.
    ///
    /// # Errors
    /// [`StoreError`], naming file, line and column, when the folder or the configuration cannot be used, or PERSON's ids cannot be
    /// read.
    pub async fn open(config: &StoreConfig, catalogue: &[CatalogueTable]) -> Result<Self, StoreError> {
        let (config, catalogue) = (config.clone(), catalogue.to_vec());
        let unreadable = StoreError::Unreadable { file: shown(&config.folder), reason: "interrupted".to_string() };
        tokio::task::spawn_blocking(move || Self::open_now(&config, &catalogue)).await.unwrap_or(Err(unreadable))
    }

    fn open_now(config: &StoreConfig, catalogue: &[CatalogueTable]) -> Result<Self, StoreError> {
        layout::check_mapping(config, catalogue)?;
        let Contents { tables: mut found, ignored } = folder::list(config, catalogue)?;
        let person = found.remove("person").ok_or(StoreError::NoPerson)??;
        let wanted = |name: &str| match (omop::definition(name), catalogue.iter().find(|own| own.name == name)) {
            (Some(definition), _) => Some(Wanted::of(definition)),
            (None, Some(own)) => {
                let mapping = config.tables.get(name);
                Some(Wanted::own(own, mapping.map_or(&BTreeMap::new(), |mapping| &mapping.columns)))
            }
            (None, None) => None,
        };
        let read = |name: &str, found: &Found| {
            let wanted = wanted(name).ok_or(StoreError::NoPerson)?;
            let table = load::read(&wanted, found, config)?;
            Ok::<_, StoreError>(Table { key: key::find(config, &table, wanted.single)?, ..table })
        };
        let person = read("person", &person)?;
        let people = subjects::people(config, &person)?;
        let (mut tables, mut unreadable) = (BTreeMap::from([(person.name.clone(), Arc::new(person))]), BTreeMap::new());
        for (name, found) in found {
            match found.and_then(|found| read(&name, &found)) {
                Ok(table) => drop(tables.insert(name, Arc::new(table))),
                Err(error) => drop(unreadable.insert(name, error)),
            }
        }
        let is_absent = |name: &&String| !tables.contains_key(*name) && !unreadable.contains_key(*name);
        let absent = catalogue.iter().map(|own| &own.name).filter(is_absent).cloned().collect();
        let ignored = ignored.into_iter().map(|(name, reason)| IgnoredFile { name, reason }).collect();
        let reader = Arc::new(Reader::new(config)?);
        Ok(Self { tables, unreadable, absent, ignored, people, subjects: Mutex::new(None), reader })
    }

    /// The people of the store with their subjects under this secret; derived once, then kept.
    ///
    /// # Errors
    /// None today; a store that reads its people anew may fail.
    pub async fn subjects(&self, link: &LinkSecret) -> Result<Arc<Subjects>, StoreError> {
        Ok(self.derived(link))
    }

    pub(crate) fn derived(&self, link: &LinkSecret) -> Arc<Subjects> {
        let mut cached = self.subjects.lock().unwrap_or_else(PoisonError::into_inner);
        let fingerprint = link.fingerprint();
        if let Some((of, subjects)) = &*cached
            && *of == fingerprint
        {
            return Arc::clone(subjects);
        }
        let subjects = Arc::new(Subjects::derive(&self.people, link));
        *cached = Some((fingerprint, Arc::clone(&subjects)));
        subjects
    }

    /// What the store holds, for people.
    pub fn summary(&self) -> StoreSummary {
        let column = |(name, what): &(String, String)| Column { name: name.clone(), what: what.clone() };
        let summarise = |table: &Arc<Table>| TableSummary {
            name: table.name.clone(),
            file: table.notes.file.clone(),
            files: table.notes.files,
            prefix: (!table.notes.prefix.is_empty()).then(|| table.notes.prefix.clone()),
            format: table.notes.format,
            domains: table.domains().to_vec(),
            date: match table.role {
                Role::Patients { dating: Dating::Column(date), .. } => table.columns.get(date).map(|c| c.name.clone()),
                _ => None,
            },
            day_unsaid: matches!(table.role, Role::Patients { dating: Dating::Unsaid, .. }),
            date_of_omop: omop::definition(&table.name).and_then(|definition| definition.date).map(str::to_string),
            rows: table.rows,
            readable: table.columns.iter().map(|c| c.name.clone()).collect(),
            mended: table.notes.mended.iter().map(column).collect(),
            unreadable: table.notes.unreadable.iter().map(column).collect(),
            withheld: table.notes.withheld.clone(),
            left_out: table.notes.left_out.as_ref().map(|(count, _)| *count),
            left_out_lines: table.notes.left_out.as_ref().map(|(_, lines)| lines.clone()),
        };
        let unreadable = |(name, error): (&String, &StoreError)| UnreadableTable {
            name: name.clone(),
            kind: error.kind(),
            reason: error.to_string(),
        };
        StoreSummary {
            tables: self.tables.values().map(summarise).collect(),
            unreadable: self.unreadable.iter().map(unreadable).collect(),
            absent: self.absent.clone(),
            ignored: self.ignored.clone(),
        }
    }

    /// Whether a table of this name is there and cannot be read.
    pub(crate) fn is_unreadable(&self, table: &str) -> bool {
        self.unreadable.contains_key(table)
    }

    /// Whether some table has a column of this name that cannot be read.
    pub(crate) fn has_unreadable(&self, column: &str) -> bool {
        self.tables.values().any(|table| table.notes.unreadable.iter().any(|(name, _)| name == column))
    }

    pub(crate) fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.tables.values()
    }

    pub(crate) fn reader(&self) -> &Arc<Reader> {
        &self.reader
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store with {} tables", self.tables.len())
    }
}
