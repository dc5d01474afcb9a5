//! A hospital's tables, as files in a folder, by the names of the OMOP Common Data Model 5.4.
//!
//! [`Store::open`] finds the files, decides by the catalogue which of their columns exist for studies at all, and checks
//! what can be checked without a query. CSV files are read into memory then and there; Parquet files are read when a
//! query runs, piece by piece. Nothing of this is reachable by a query except through [`crate::gate`].

mod config;
mod csv;
mod edge;
mod error;
mod folder;
mod key;
pub(crate) mod kind;
mod layout;
pub(crate) mod omop;
mod parquet;
pub(crate) mod reach;
pub(crate) mod scan;
mod subjects;
mod summary;
pub(crate) mod table;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use consilium_protocol::ids::SubjectId;

pub use config::{StoreConfig, TableConfig};
pub use error::StoreError;
pub use subjects::Subjects;
pub use summary::{IgnoredFile, StoreSummary, TableSummary};

use crate::pseudonym::LinkSecret;
use folder::{Contents, Found, shown};
use scan::Reader;
use table::{Dating, Role, Source, Table};

/// The largest CSV file that is read into memory.
pub const CSV_BYTES: u64 = 4 << 30;

/// An open store. Holds rows: it prints as names and sizes only.
pub struct Store {
    tables: BTreeMap<String, Arc<Table>>,
    ignored: Vec<IgnoredFile>,
    people: Vec<i64>,
    subjects: Mutex<Option<(SubjectId, Arc<Subjects>)>>,
    reader: Arc<Reader>,
}

impl Store {
    /// Opens a folder of tables.
    ///
    /// # Errors
    /// [`StoreError`], naming file, line and column, when anything is wrong with a file that is a table.
    pub async fn open(config: &StoreConfig) -> Result<Self, StoreError> {
        let config = config.clone();
        let unreadable = StoreError::Unreadable { file: shown(&config.folder), reason: "interrupted".to_string() };
        tokio::task::spawn_blocking(move || Self::open_now(&config)).await.unwrap_or(Err(unreadable))
    }

    fn open_now(config: &StoreConfig) -> Result<Self, StoreError> {
        layout::check_declarations(config)?;
        let Contents { tables: found, ignored } = folder::list(config)?;
        let person_file = match found.get("person") {
            Some(Found::Csv(path, _) | Found::Nothing(path)) => shown(path),
            Some(Found::Parquet(_)) => "person (Parquet)".to_string(),
            None => return Err(StoreError::NoPerson),
        };
        let mut tables = BTreeMap::new();
        let mut ignored: Vec<_> =
            ignored.into_iter().map(|(file, why)| IgnoredFile { name: file, reason: why.to_string() }).collect();
        for (name, found) in &found {
            let mut table = match found {
                Found::Csv(path, bytes) if *bytes > CSV_BYTES => {
                    return Err(StoreError::TooLargeForCsv { file: shown(path) });
                }
                Found::Csv(path, _) => csv::read(name, &config.folder, path, config)?,
                Found::Parquet(parts) => parquet::read(name, &config.folder, parts, config)?,
                Found::Nothing(path) => match omop::definition(name) {
                    Some(definition) => Table::empty(definition),
                    None => {
                        let reason = "empty (0 bytes), so its columns are unknown".to_string();
                        ignored.push(IgnoredFile { name: shown(path), reason });
                        continue;
                    }
                },
            };
            table.key = key::find(&config.folder, &table, config.tables.get(name))?;
            tables.insert(name.clone(), Arc::new(table));
        }
        let person = tables.get("person").ok_or(StoreError::NoPerson)?;
        let people = subjects::people(&config.folder, person, &person_file)?;
        let reader = Arc::new(Reader::new(&config.folder)?);
        Ok(Self { tables, ignored, people, subjects: Mutex::new(None), reader })
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
        let summarise = |table: &Arc<Table>| TableSummary {
            name: table.name.clone(),
            format: match table.source {
                Source::Empty => "empty",
                Source::Memory(_) => "csv",
                Source::Parquet(_) => "parquet",
            },
            domain: table.domain(),
            date: match table.role {
                Role::Patients { dating: Dating::Column(date), .. } => table.columns.get(date).map(|c| c.name.clone()),
                _ => None,
            },
            day_unsaid: matches!(table.role, Role::Patients { dating: Dating::Unsaid, .. }),
            rows: table.rows,
            readable: table.columns.iter().map(|c| c.name.clone()).collect(),
            withheld: table.withheld.clone(),
        };
        StoreSummary { tables: self.tables.values().map(summarise).collect(), ignored: self.ignored.clone() }
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
