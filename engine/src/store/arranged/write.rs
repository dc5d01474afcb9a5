//! Writes a store laid out by patient, or what has changed of it.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use datafusion::common::DataFusionError;
use serde::Serialize;

use super::cut::{cut, limit};
use super::file::{Writing, is_as_named, is_ours, is_part};
use super::loss::{self, Loss};
use super::manifest::{ColumnEntry, FileEntry, LeftOut, Manifest, TableEntry, create, create_folder};
use super::sieve::{Buckets, Run};
use super::sorted::Sorted;
use super::{PATIENTS, open, source};
use crate::store::error::StoreError;
use crate::store::summary::{Column, UnreadableTable};
use crate::store::table::{Role, Table};
use crate::store::{Store, omop, scan::Reader};

/// Held while a folder is written.
const LOCK: &str = ".arranging";
/// Sorted rows that do not fit into memory.
const SPILL: &str = ".sorting";

/// How a store is arranged.
#[derive(Clone, Debug)]
pub struct Options {
    /// The most patients of a bucket.
    pub patients: usize,
    /// Memory for sorting, in bytes; what does not fit is put on disk, in the folder that is written.
    pub memory_bytes: usize,
    /// Threads.
    pub threads: usize,
    /// Whether nothing is done where what is laid out would lose a table, or more than half of its rows.
    pub careful: bool,
    /// Once it is set, the work ends with [`ArrangeError::Stopped`], unless it is done.
    pub stop: Arc<AtomicBool>,
}

impl Default for Options {
    /// 250,000 patients, 512 MiB, every core; whatever would be lost.
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        Self { patients: PATIENTS, memory_bytes: 512 << 20, threads, careful: false, stop: Arc::default() }
    }
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// The tables are known: so many rows, of those whose number is.
    Opened {
        /// The rows of all tables.
        rows: u64,
    },
    /// A table is read, sorted and written.
    Table {
        /// The table.
        name: String,
        /// Its rows.
        rows: u64,
        /// Rows that were read so far.
        read: u64,
        /// Rows that were sorted and passed on so far.
        done: u64,
    },
    /// A file was written.
    File {
        /// Its path within the folder.
        path: PathBuf,
    },
    /// All files are written, and the manifest that names them is about to be.
    Files,
    /// The new manifest is in place, and what it does not name is about to be removed.
    Manifest,
}

/// What was arranged. Names, counts and sizes only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Arrangement {
    /// How many patients.
    pub patients: usize,
    /// How many buckets.
    pub buckets: usize,
    /// The tables, by name.
    pub tables: Vec<ArrangementTable>,
    /// Tables that could not be read, and so are not in it.
    pub unreadable: Vec<UnreadableTable>,
}

/// A table that was arranged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ArrangementTable {
    /// Its name.
    pub name: String,
    /// Its rows.
    pub rows: usize,
    /// Its files.
    pub files: usize,
    /// How many of them were not there before.
    pub files_written: usize,
    /// The bytes of what it was made of, if these are files.
    pub bytes_before: Option<u64>,
    /// The bytes of its files.
    pub bytes: u64,
    /// Rows that nobody could ever see, which were left out. As in a [summary](crate::store::TableSummary::unseen).
    #[serde(rename = "unseen")]
    pub left_out: LeftOut,
    /// Columns that no study may read, which were left out.
    pub withheld: Vec<String>,
    /// Columns that could not be read, and why, which were left out.
    pub unreadable: Vec<Column>,
}

/// Why a store was not arranged. What was arranged there before can still be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArrangeError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The folder is the store's own, or one lies within the other.
    #[error("{folder} is the store's own folder, or lies within it or around it; give another one")]
    SameFolder {
        /// The folder.
        folder: String,
    },
    /// There is a file instead of a folder.
    #[error("{file} is a file; name a folder, which is empty or not there yet")]
    NoFolder {
        /// The file.
        file: String,
    },
    /// The folder has something else in it.
    #[error("{folder} has other files in it than an arranged store; give a folder that is empty or not there yet")]
    Occupied {
        /// The folder.
        folder: String,
    },
    /// Somebody else is writing it.
    #[error("{folder} is being written by another `consilium store arrange`; wait for that one")]
    Busy {
        /// The folder.
        folder: String,
    },
    /// What is laid out would lose too much.
    #[error(
        "nothing was changed, as what is laid out would lose:{}\nMend the export and arrange it again; if it is meant, \
         run it with --accept-fewer", losses.iter().map(|loss| format!("\n  {loss}")).collect::<String>()
    )]
    Fewer {
        /// The tables.
        losses: Vec<Loss>,
    },
    /// Somebody stopped it.
    #[error("stopped; nothing was changed, run it again to lay the tables out")]
    Stopped,
    /// A file could not be written.
    #[error(
        "{file} cannot be written ({reason}); check the disk and the folder's permissions, then arrange the store again"
    )]
    Unwritable {
        /// The file.
        file: String,
        /// The operating system's word for it.
        reason: String,
    },
    /// There is no room left.
    #[error(
        "the disk of {folder} is full; make room there for the tables once more, and for what does not fit into memory, then \
         arrange the store again"
    )]
    Full {
        /// What could not be written, or the folder that it is in.
        folder: String,
    },
    /// A table's rows could not be read or sorted.
    #[error(
        "the rows of table `{table}` cannot be read and sorted ({what}); run `consilium doctor`, see to it that the disk has \
         room for the tables once more, then arrange the store again"
    )]
    Rows {
        /// The table.
        table: String,
        /// What failed.
        what: &'static str,
    },
}

fn unwritable(path: &Path, error: &io::Error) -> ArrangeError {
    if is_full(error) {
        return ArrangeError::Full { folder: path.display().to_string() };
    }
    ArrangeError::Unwritable { file: path.display().to_string(), reason: error.kind().to_string() }
}

/// Writes a store into the folder `to`, laid out by patient; where it was arranged there before, what has changed since.
///
/// # Errors
/// [`ArrangeError`]; the folder is then what it was, besides files that the next call removes.
pub async fn arrange(
    store: &Store,
    to: &Path,
    options: &Options,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Arrangement, ArrangeError> {
    let _lock = take(store.config.place.folder(), to)?;
    let (before, is_known) = match Manifest::read(to) {
        Ok(before) => (before, true),
        // Of another version, or damaged.
        Err(StoreError::Manifest { .. }) => (None, false),
        Err(error) => return Err(error.into()),
    };
    let whole = before.as_ref().filter(|manifest| manifest.check_files(to).is_ok());
    // Where it is not known what belongs to the last, whole files stay until this one ends.
    let is_known = is_known && before.is_some() == whole.is_some();
    let clean = || {
        let _ = fs::remove_dir_all(to.join(SPILL));
        remove_others(to, whole, is_known)
    };
    // What was left by one that did not end.
    clean()?;
    let lost = before.as_ref().filter(|_| options.careful).map(|before| loss::at_first(before, store));
    refuse(lost.unwrap_or_default())?;
    let arranged = lay_out(store, to, options, (before.as_ref(), whole), progress).await;
    if arranged.is_err() {
        let _ = clean();
    }
    arranged
}

fn refuse(losses: Vec<Loss>) -> Result<(), ArrangeError> {
    if losses.is_empty() { Ok(()) } else { Err(ArrangeError::Fewer { losses }) }
}

/// Writes what has changed since `before`, of which the files are those of `whole`, if all of them are as they were written.
async fn lay_out(
    store: &Store,
    to: &Path,
    options: &Options,
    (before, whole): (Option<&Manifest>, Option<&Manifest>),
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Arrangement, ArrangeError> {
    let reader = store.begin().await?;
    let spill = to.join(SPILL);
    create_folder(&spill).map_err(|error| unwritable(&spill, &error))?;
    let limit = limit(store.people.len(), options.patients);
    let mut manifest = Manifest::new(&store.people, cut(&store.people, limit));
    manifest.export = source::export(&store.config, &store.catalogue, store.opened)?;
    progress(Progress::Opened { rows: store.tables.values().filter_map(|table| table.rows).sum::<usize>() as u64 });
    let mut tables = Vec::new();
    for table in store.tables.values() {
        let arranging = Arranging { store, reader: &reader, manifest: &manifest, to, spill: &spill, options };
        let (entry, files_written) = match arranging.unchanged(table, whole)? {
            Some(entry) => (entry, 0),
            None => arranging.table(table, progress).await?,
        };
        tables.push(summary(&entry, files_written));
        manifest.tables.push(entry);
    }
    let unreadable = |(name, error): (&String, &StoreError)| (name.clone(), error.to_string());
    manifest.unreadable = store.unreadable.iter().map(unreadable).collect();
    let lost = before.filter(|_| options.careful).map(|before| loss::in_the_end(before, &manifest));
    refuse(lost.unwrap_or_default())?;
    let _ = fs::remove_dir_all(&spill);
    progress(Progress::Files);
    go_on(options)?;
    if whole != Some(&manifest) {
        manifest.write(to).map_err(|error| unwritable(&to.join(super::manifest::NAME), &error))?;
    }
    progress(Progress::Manifest);
    remove_others(to, Some(&manifest), true)?;
    Ok(Arrangement {
        patients: store.people.len(),
        buckets: manifest.buckets.len(),
        tables,
        unreadable: store.summary().unreadable,
    })
}

fn go_on(options: &Options) -> Result<(), ArrangeError> {
    if options.stop.load(Ordering::Relaxed) { Err(ArrangeError::Stopped) } else { Ok(()) }
}

/// Takes possession of a folder.
fn take(source: Option<&Path>, to: &Path) -> Result<File, ArrangeError> {
    let folder = to.display().to_string();
    let was_there = to.exists();
    if was_there && !to.is_dir() {
        return Err(ArrangeError::NoFolder { file: folder });
    }
    create_folder(to).map_err(|error| unwritable(to, &error))?;
    let canonical = |path: &Path| fs::canonicalize(path).map_err(|error| unwritable(path, &error));
    let (own, other) = (canonical(to)?, source.map(canonical).transpose()?);
    if other.is_some_and(|other| own.starts_with(&other) || other.starts_with(&own)) {
        if !was_there {
            let _ = fs::remove_dir(to);
        }
        return Err(ArrangeError::SameFolder { folder });
    }
    let lock = to.join(LOCK);
    let is_empty = || fs::read_dir(to).map(|mut entries| entries.next().is_none());
    let is_ours = to.join(super::manifest::NAME).exists() || lock.exists();
    if !is_ours && !is_empty().map_err(|error| unwritable(to, &error))? {
        return Err(ArrangeError::Occupied { folder });
    }
    let file = create(&lock).map_err(|error| unwritable(&lock, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ArrangeError::Busy { folder }),
        Err(TryLockError::Error(error)) => Err(unwritable(&lock, &error)),
    }
}

/// Removes files of arrangements that this manifest does not name: those that were not written to their end, or all.
fn remove_others(to: &Path, manifest: Option<&Manifest>, whole: bool) -> Result<(), ArrangeError> {
    let named: BTreeSet<PathBuf> = manifest
        .iter()
        .flat_map(|manifest| &manifest.tables)
        .flat_map(|table| table.files.iter().map(|file| to.join(table.path(file))))
        .collect();
    let folders = fs::read_dir(to).map_err(|error| unwritable(to, &error))?.filter_map(Result::ok);
    for folder in folders.filter(|entry| entry.file_type().is_ok_and(|of| of.is_dir())).map(|entry| entry.path()) {
        for entry in fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok) {
            let path = entry.path();
            let goes = |name: &str| is_ours(name) && (whole || is_part(name));
            if entry.file_name().to_str().is_some_and(goes) && !named.contains(&path) {
                fs::remove_file(&path).map_err(|error| unwritable(&path, &error))?;
            }
        }
        // Where other files are in it, it stays.
        let _ = fs::remove_dir(&folder);
    }
    Ok(())
}

fn summary(entry: &TableEntry, files_written: usize) -> ArrangementTable {
    let column = |(name, what): &(String, String)| Column { name: name.clone(), what: what.clone() };
    ArrangementTable {
        name: entry.name.clone(),
        rows: entry.rows(),
        files: entry.files.len(),
        files_written,
        bytes_before: entry.source_bytes,
        bytes: entry.bytes(),
        left_out: entry.left_out,
        withheld: entry.withheld.clone(),
        unreadable: entry.unreadable.iter().map(column).collect(),
    }
}

/// What every table is arranged by.
struct Arranging<'a> {
    store: &'a Store,
    /// Of a database, it reads one moment.
    reader: &'a Reader,
    manifest: &'a Manifest,
    to: &'a Path,
    spill: &'a Path,
    options: &'a Options,
}

impl Arranging<'_> {
    /// The entry of a table without its files.
    fn entry(&self, table: &Table) -> Result<TableEntry, ArrangeError> {
        let columns: Vec<ColumnEntry> =
            table.columns.iter().map(|column| ColumnEntry { name: column.name.clone(), kind: column.kind }).collect();
        let own = self.store.catalogue.iter().find(|own| own.name == table.name);
        let catalogue = own.filter(|_| omop::definition(&table.name).is_none()).map(open::meaning).transpose()?;
        let made = source::of(self.store, table, &columns);
        Ok(TableEntry {
            name: table.name.clone(),
            columns,
            catalogue,
            reading: open::reading(&self.store.config, &table.name)?,
            withheld: table.notes.withheld.clone(),
            unreadable: table.notes.unreadable.clone(),
            left_out: LeftOut::default(),
            source: made.digest,
            source_bytes: made.bytes,
            files: Vec::new(),
        })
    }

    /// The entry of a table whose files need not be read again, for they would give the same.
    fn unchanged(&self, table: &Table, before: Option<&Manifest>) -> Result<Option<TableEntry>, ArrangeError> {
        go_on(self.options)?;
        let Some(before) =
            before.filter(|before| before.people == self.manifest.people && before.buckets == self.manifest.buckets)
        else {
            return Ok(None);
        };
        let (now, then) = (self.entry(table)?, before.table(&table.name));
        let same = |then: &&TableEntry| {
            let of_then = TableEntry { left_out: then.left_out, files: then.files.clone(), ..now.clone() };
            let is_whole = |file: &FileEntry| is_as_named(&self.to.join(then.path(file)));
            now.source.is_some() && of_then == **then && then.files.iter().all(is_whole)
        };
        Ok(then.filter(same).cloned())
    }

    /// Reads, sorts and writes a table; says how many files were not there before.
    async fn table(
        &self,
        table: &Table,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<(TableEntry, usize), ArrangeError> {
        let mut entry = self.entry(table)?;
        let folder = self.to.join(&table.name);
        create_folder(&folder).map_err(|error| unwritable(&folder, &error))?;
        let failed = |error: DataFusionError| failed(&table.name, self.to, &error);
        let reader = self.reader;
        let Options { memory_bytes, threads, .. } = self.options.clone();
        let people = &self.store.people;
        let mut sorted = Sorted::of(reader, table, people, self.spill, memory_bytes, threads.max(1)).map_err(failed)?;
        let rows = table.rows.unwrap_or_default() as u64;
        let mut files = Files { folder: &folder, table, entry: &mut entry, current: None, new: 0 };
        let mut buckets = Buckets::new(&self.manifest.buckets);
        let read = sorted.counter();
        let mut tick = tokio::time::interval(Duration::from_millis(200));
        let mut done = 0;
        loop {
            let mut next = pin!(sorted.next());
            let batch = loop {
                tokio::select! {
                    batch = &mut next => break batch.map_err(failed)?,
                    _ = tick.tick() => {
                        go_on(self.options)?;
                        progress(Progress::Table { name: table.name.clone(), rows, read: read(), done });
                    }
                }
            };
            go_on(self.options)?;
            let Some(batch) = batch else { break };
            done += batch.num_rows() as u64;
            let runs = match table.role {
                Role::Patients { subject, .. } => buckets.next(batch.column(subject).as_primitive::<Int64Type>()),
                Role::Vocabulary => vec![Run { bucket: 0, from: 0, rows: batch.num_rows() }],
            };
            for run in runs {
                let written = files.write(run, &batch.slice(run.from, run.rows));
                if let Some(path) = written.map_err(|error| unwritable(&folder, &error))? {
                    progress(Progress::File { path });
                }
            }
        }
        if let Some(path) = files.finish().map_err(|error| unwritable(&folder, &error))? {
            progress(Progress::File { path });
        }
        let new = files.new;
        entry.left_out = sorted.left_out();
        Ok((entry, new))
    }
}

/// A table's files, one after the other.
struct Files<'a> {
    folder: &'a Path,
    table: &'a Table,
    entry: &'a mut TableEntry,
    current: Option<Writing>,
    new: usize,
}

impl Files<'_> {
    /// Writes rows into their bucket's file; gives the path of the one before, if that ends with it.
    fn write(&mut self, run: Run, rows: &arrow::record_batch::RecordBatch) -> io::Result<Option<PathBuf>> {
        let bucket = matches!(self.table.role, Role::Patients { .. }).then_some(run.bucket);
        let mut ended = None;
        if self.current.as_ref().is_some_and(|current| current.bucket() != bucket) {
            ended = self.finish()?;
        }
        let current = match &mut self.current {
            Some(current) => current,
            None => {
                let begun = Writing::begin(self.folder, bucket, &self.table.columns, &self.table.schema())?;
                self.current.insert(begun)
            }
        };
        current.write(rows)?;
        Ok(ended)
    }

    fn finish(&mut self) -> io::Result<Option<PathBuf>> {
        let Some(current) = self.current.take() else { return Ok(None) };
        let (file, is_new) = current.finish()?;
        self.new += usize::from(is_new);
        let path = self.entry.path(&file);
        self.entry.files.push(file);
        Ok(Some(path))
    }
}

fn failed(table: &str, to: &Path, error: &DataFusionError) -> ArrangeError {
    if let Some(error) = causes(error).into_iter().find_map(|cause| cause.downcast_ref::<StoreError>()) {
        return ArrangeError::Store(error.clone());
    }
    if is_full(error) {
        return ArrangeError::Full { folder: to.display().to_string() };
    }
    ArrangeError::Rows { table: table.to_string(), what: words(error) }
}

/// An error and what it comes of, also where libraries have wrapped one kind into another.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> Vec<&'a (dyn Error + 'static)> {
    let inner = |error: &&'a (dyn Error + 'static)| -> Option<&'a (dyn Error + 'static)> {
        let error: &'a (dyn Error + 'static) = *error;
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        }
    };
    std::iter::successors(Some(error), inner).collect()
}

fn is_full(error: &(dyn Error + 'static)) -> bool {
    let is_full = |error: &io::Error| matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
    causes(error).into_iter().filter_map(|cause| cause.downcast_ref::<io::Error>()).any(is_full)
}

/// What a failure means. Nothing of its message is kept: messages print rows.
fn words(error: &DataFusionError) -> &'static str {
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => "memory or disk ran out",
        DataFusionError::IoError(_) | DataFusionError::ObjectStore(_) => "a file cannot be read or written",
        DataFusionError::ParquetError(_) | DataFusionError::ArrowError(..) => "a file is damaged",
        _ => "the query engine failed",
    }
}

#[cfg(test)]
mod tests {
    use arrow::error::ArrowError;
    use datafusion::parquet::errors::ParquetError;

    use super::*;

    #[test]
    fn a_full_disk_is_said_by_name_however_it_comes() {
        let full = || io::Error::from(ErrorKind::StorageFull);
        let arrow = || ArrowError::IoError("of a row CANARY".to_string(), full());
        let parquet = || ParquetError::External(Box::new(full()));
        let to = Path::new("/arranged");
        for error in [
            DataFusionError::IoError(full()),
            DataFusionError::ArrowError(Box::new(arrow()), None),
            DataFusionError::ParquetError(Box::new(parquet())),
            DataFusionError::External(Box::new(arrow())),
        ] {
            let failed = failed("measurement", to, &error.context("writing CANARY"));
            assert_eq!(failed, ArrangeError::Full { folder: "/arranged".to_string() });
            assert!(failed.to_string().contains("disk of /arranged is full"), "{failed}");
        }
        for error in [full(), io::Error::from(parquet()), io::Error::other(io::Error::other(arrow()))] {
            assert_eq!(unwritable(to, &error), ArrangeError::Full { folder: "/arranged".to_string() });
        }
        let damaged = failed("death", to, &DataFusionError::ParquetError(Box::new(ParquetError::EOF(String::new()))));
        assert!(matches!(damaged, ArrangeError::Rows { what: "a file is damaged", .. }), "{damaged}");
        let changed = StoreError::Changed { file: "death.parquet".to_string() };
        let parquet = ParquetError::External(Box::new(changed.clone()));
        assert_eq!(
            failed("death", to, &DataFusionError::ParquetError(Box::new(parquet))),
            ArrangeError::Store(changed)
        );
    }
}
