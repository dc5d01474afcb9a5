//! A hospital's tables, as files in a folder or in a database, by the names of the OMOP Common Data Model 5.4.
//!
//! [`Store::open`] finds the files, decides by the catalogue which of their columns exist for studies at all, and checks
//! what can be checked without a query. It takes exports as they come, and is exact about what it cannot read: a column, or
//! a table, is closed, with the reason in [`Store::summary`], and only studies that name it are told. Without PERSON's ids
//! alone there is no store. CSV files are read into memory then and there; Parquet files are read when a query runs, piece by
//! piece; so are a database's tables ([`postgres`]). Nothing of this is reachable by a query except through [`crate::gate`].
//!
//! ```text
//!  folder ──► which files are tables          csv, parquet ──► their columns and values
//!    │              │                               │  names, text, edge: as what they are read
//!    └── omop, config: what a table is to have ──► load ──► Table ──► scan (for the gate alone)
//! ```
//!
//! [`arrange`] writes any store anew, laid out by patient ([`arranged`]).

pub(crate) mod arranged;
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
mod postgres;
mod propose;
pub(crate) mod reach;
pub(crate) mod scan;
mod strays;
mod subjects;
mod summary;
pub(crate) mod table;
#[cfg(test)]
mod tests;
mod text;
mod unchanged;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use consilium_protocol::catalogue::CatalogueTable;
use consilium_protocol::ids::SubjectId;

pub use arranged::{
    ArrangeError, Arrangement, ArrangementTable, LaidOut, LeftOut, Loss, Now, Options, Progress, arrange, damaged,
    is_laid_out, laid_out,
};
pub use config::{Place, StoreConfig, TableConfig};
pub use csv::CSV_BYTES;
pub use error::StoreError;
pub use folder::{PARTS_DEPTH, csv_bytes, without_endings};
pub use omop::is_of_omop;
pub use postgres::{
    Access, ConfigError, DatabaseConfig, DatabaseError, DatabaseUrl, Dial, Direct, Host, PASSWORD, Socket, Tls,
    UrlError, connect,
};
pub use propose::{ProposedColumn, as_name, propose};
pub use subjects::Subjects;
pub use summary::{Column, DatabaseSummary, IgnoredFile, StoreSummary, TableSummary, UnreadableTable};
pub(crate) use text::DAYS;
pub use text::Nulls;

use crate::pseudonym::LinkSecret;
use arranged::Manifest;
use folder::shown;
#[cfg(feature = "postgres")]
use postgres::{Database, Opened};
use scan::Reader;
use table::{Dating, Role, Table};

/// An open store. Holds rows: it prints as names and sizes only.
pub struct Store {
    tables: BTreeMap<String, Arc<Table>>,
    /// Tables that cannot be read, and why.
    unreadable: BTreeMap<String, StoreError>,
    /// Tables of OMOP's and of the catalogue for which there is no file.
    absent: Vec<String>,
    ignored: Vec<IgnoredFile>,
    people: Vec<i64>,
    subjects: Mutex<Option<(SubjectId, Arc<Subjects>)>>,
    reader: Arc<Reader>,
    /// How many buckets, where it is laid out by patient.
    buckets: usize,
    config: StoreConfig,
    catalogue: Vec<CatalogueTable>,
    /// When its files began to be read.
    opened: SystemTime,
    #[cfg(feature = "postgres")]
    database: Option<Database>,
    about: Option<DatabaseSummary>,
}

/// How a database is entered: as whom, and over whose sockets.
type Entrance = (Access, Arc<dyn Dial>);

/// Which tables are opened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    All,
    /// PERSON alone.
    Person,
    /// All, even where PERSON cannot be read; nobody is in such a store.
    Others,
}

impl Which {
    fn has(self, table: &str) -> bool {
        self != Self::Person || table == "person"
    }
}

/// What was found where the tables are.
struct Gathered {
    /// The tables by name, and why one cannot be read. PERSON is one that can.
    tables: BTreeMap<String, Result<Table, StoreError>>,
    people: Vec<i64>,
    /// What is no table, and why.
    ignored: Vec<(String, String)>,
    /// How many buckets, where they are laid out by patient.
    buckets: usize,
}

impl Store {
    /// Opens a folder of tables, or the schema of a database, to which it connects itself: OMOP's, and those of the
    /// consortium's catalogue.
    ///
    /// # Errors
    /// [`StoreError`], naming file, line and column, when the place or the configuration cannot be used, or PERSON's ids cannot
    /// be read.
    pub async fn open(config: &StoreConfig, catalogue: &[CatalogueTable]) -> Result<Self, StoreError> {
        let access = Self::access(config)?;
        Self::open_with(config, catalogue, access).await
    }

    /// Opens PERSON alone, and so who is there: whatever else the store has is not even looked at.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_person(config: &StoreConfig) -> Result<Self, StoreError> {
        let config = StoreConfig { tables: BTreeMap::new(), ..config.clone() };
        let access = Self::access(&config)?;
        Self::open_some(Which::Person, &config, &[], access).await
    }

    /// What a folder holds whose PERSON cannot be read, which is one of the unreadable tables.
    ///
    /// # Errors
    /// [`StoreError`], when nothing can be said of the others.
    pub async fn others(config: &StoreConfig, catalogue: &[CatalogueTable]) -> Result<StoreSummary, StoreError> {
        layout::check_mapping(config, catalogue)?;
        let access = Self::access(config)?;
        Ok(Self::open_some(Which::Others, config, catalogue, access).await?.summary())
    }

    fn access(config: &StoreConfig) -> Result<Option<Entrance>, StoreError> {
        let Some(database) = config.place.database() else { return Ok(None) };
        Ok(Some((Access::read(database)?, Arc::new(Direct(database.url.clone())))))
    }

    /// As [`open`](Self::open); a database is entered by `access`, over the sockets that somebody else connects.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_with(
        config: &StoreConfig,
        catalogue: &[CatalogueTable],
        access: Option<Entrance>,
    ) -> Result<Self, StoreError> {
        layout::check_mapping(config, catalogue)?;
        Self::open_some(Which::All, config, catalogue, access).await
    }

    async fn open_some(
        which: Which,
        config: &StoreConfig,
        catalogue: &[CatalogueTable],
        access: Option<Entrance>,
    ) -> Result<Self, StoreError> {
        match (&config.place, access) {
            (Place::Folder(folder) | Place::Arranged { folder, .. }, _) => {
                let unreadable = StoreError::Unreadable { file: shown(folder), reason: "interrupted".to_string() };
                let (folder, config, catalogue) = (folder.clone(), config.clone(), catalogue.to_vec());
                let opening = tokio::task::spawn_blocking(move || Self::open_now(which, &folder, &config, &catalogue));
                opening.await.unwrap_or(Err(unreadable))
            }
            #[cfg(feature = "postgres")]
            (Place::Database(database), Some((access, dial))) => {
                let opened = SystemTime::now();
                let Opened { found, database, summary } =
                    postgres::open(which, config, catalogue, database, access, dial).await?;
                let reader =
                    Reader::of_nothing().map_err(|_| DatabaseError::Protocol { what: "nothing".to_string() })?;
                let store = Self::of(found, config, catalogue, reader, opened);
                Ok(Self { database: Some(database), about: Some(summary), ..store })
            }
            (Place::Database(_), _) => Err(DatabaseError::NotBuilt.into()),
        }
    }

    fn open_now(
        which: Which,
        folder: &Path,
        config: &StoreConfig,
        catalogue: &[CatalogueTable],
    ) -> Result<Self, StoreError> {
        let opened = SystemTime::now();
        let found = match Manifest::read(folder)? {
            Some(manifest) => arranged::open(which, folder, config, catalogue, &manifest)?,
            None if matches!(config.place, Place::Arranged { .. }) => {
                return Err(StoreError::NotArranged { folder: folder.display().to_string() });
            }
            None => load::tables(which, folder, config, catalogue)?,
        };
        Ok(Self::of(found, config, catalogue, Reader::new(folder, &config.nulls)?, opened))
    }

    /// A store of what was found.
    fn of(
        found: Gathered,
        config: &StoreConfig,
        catalogue: &[CatalogueTable],
        reader: Reader,
        opened: SystemTime,
    ) -> Self {
        let (mut tables, mut unreadable) = (BTreeMap::new(), BTreeMap::new());
        for (name, table) in found.tables {
            match table {
                Ok(table) => drop(tables.insert(name, Arc::new(table))),
                Err(error) => drop(unreadable.insert(name, error)),
            }
        }
        let is_absent = |name: &String| !tables.contains_key(name) && !unreadable.contains_key(name);
        let of_omop = omop::TABLES.iter().map(|definition| definition.name.to_string());
        let mut absent: Vec<String> =
            of_omop.chain(catalogue.iter().map(|own| own.name.clone())).filter(is_absent).collect();
        absent.sort_unstable();
        Self {
            tables,
            unreadable,
            absent,
            ignored: found.ignored.into_iter().map(|(name, reason)| IgnoredFile { name, reason }).collect(),
            people: found.people,
            subjects: Mutex::new(None),
            reader: Arc::new(reader),
            buckets: found.buckets,
            config: config.clone(),
            catalogue: catalogue.to_vec(),
            opened,
            #[cfg(feature = "postgres")]
            database: None,
            about: None,
        }
    }

    /// Looks who is in the store now, of a database, which changes all the time; of files, that is told by their times. Tells
    /// whether there is anybody else than before.
    ///
    /// # Errors
    /// [`StoreError::Database`]. Where it does not pass by itself, the store must be opened again.
    pub async fn renew(&mut self) -> Result<bool, StoreError> {
        #[cfg(feature = "postgres")]
        if let (Some(database), Some(person)) = (&self.database, self.tables.get("person")) {
            let people = database.people(person).await?;
            if people != self.people {
                self.people = people;
                self.subjects = Mutex::new(None);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What one study reads with. Of a database, all that it reads is of the moment of this call, which is held as long as the
    /// reader lives.
    pub(crate) async fn begin(&self) -> Result<Arc<Reader>, StoreError> {
        #[cfg(feature = "postgres")]
        if let Some(database) = &self.database {
            let reader = Reader::of_moment(database.now().await?, database.nulls());
            let odd = |_| DatabaseError::Protocol { what: "nothing".to_string() };
            return Ok(Arc::new(reader.map_err(odd)?));
        }
        Ok(Arc::clone(&self.reader))
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
            strange: summary::strange(table),
            missing: summary::missing(table),
            unseen: table.notes.unseen,
            repeated: None,
        };
        let grants = self.about.as_ref().map_or(&[][..], |about| &about.grants);
        let reason = |error: &StoreError| match error {
            StoreError::Database(DatabaseError::NotGranted { user, what, grant }) if grants.contains(grant) => {
                DatabaseError::ungranted(user, what)
            }
            _ => error.to_string(),
        };
        let unreadable = |(name, error): (&String, &StoreError)| UnreadableTable {
            name: name.clone(),
            kind: error.kind(),
            reason: reason(error),
        };
        StoreSummary {
            tables: self.tables.values().map(summarise).collect(),
            unreadable: self.unreadable.iter().map(unreadable).collect(),
            absent: self.absent.clone(),
            ignored: self.ignored.clone(),
            database: self.about.clone(),
        }
    }

    /// As [`summary`](Self::summary), with what takes a look at whose every row is. `looking_at` is told each table's name.
    pub async fn examined(&self, looking_at: &mut (dyn FnMut(&str) + Send)) -> StoreSummary {
        let mut summary = self.summary();
        for of in &mut summary.tables {
            let Some(table) = self.tables.get(&of.name) else { continue };
            looking_at(&of.name);
            if let Some(found) = strays::find(&self.reader, table, &self.people).await {
                // Of what was arranged, those that it was made of are told.
                of.unseen = of.unseen.or(Some(found.unseen));
                of.repeated = found.repeated;
            }
        }
        summary
    }

    /// Whether a table of this name is there and cannot be read.
    pub(crate) fn is_unreadable(&self, table: &str) -> bool {
        self.unreadable.contains_key(table)
    }

    /// Whether some table has a column of this name that cannot be read.
    pub(crate) fn has_unreadable(&self, column: &str) -> bool {
        self.tables.values().any(|table| table.notes.unreadable.iter().any(|(name, _)| name == column))
    }

    /// The ids of PERSON, ascending.
    pub(crate) fn people(&self) -> &[i64] {
        &self.people
    }

    pub(crate) fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.tables.values()
    }

    /// How many buckets a study runs over one by one; none where the store is not laid out by patient.
    pub(crate) const fn buckets(&self) -> usize {
        self.buckets
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store with {} tables", self.tables.len())
    }
}
