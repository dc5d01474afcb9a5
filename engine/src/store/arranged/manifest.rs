//! What a store laid out by patient says of itself: its buckets, its files, and what they were made of.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::cut::Range;
use crate::store::error::StoreError;
use crate::store::folder::unreadable;
use crate::store::kind::Kind;

/// The manifest's name. A folder that has it is a store laid out by patient.
pub(crate) const NAME: &str = "arranged.json";
/// The version of the manifest and of the files.
const VERSION: u32 = 1;
/// A manifest of ten thousand buckets and a hundred tables is smaller.
const MOST_BYTES: u64 = 1 << 30;
/// So much of a file's end is looked at when the store is opened. A Parquet file says there where everything is, and between
/// which values.
const END_BYTES: u64 = 1 << 16;

/// The whole manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    pub(crate) version: u32,
    /// SHA-256 of the ids of all people, ascending.
    pub(crate) people: String,
    /// By number, the ids of each bucket.
    pub(crate) buckets: Vec<Range>,
    pub(crate) tables: Vec<TableEntry>,
    /// Tables that could not be read, and why.
    pub(crate) unreadable: Vec<(String, String)>,
    /// SHA-256 of names, lengths and times of change of all files that it was made of; none of a database.
    #[serde(default)]
    pub(crate) export: Option<String>,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TableEntry {
    pub(crate) name: String,
    pub(crate) columns: Vec<ColumnEntry>,
    /// SHA-256 of what the consortium's catalogue says of a table that is not OMOP's.
    pub(crate) catalogue: Option<String>,
    /// SHA-256 of how it was read: of what stood for nothing, and of the names that it had.
    pub(crate) reading: String,
    /// Columns that no study may read, which were left out.
    pub(crate) withheld: Vec<String>,
    /// Columns that could not be read, and why.
    pub(crate) unreadable: Vec<(String, String)>,
    /// Rows that nobody could ever see, which were left out.
    pub(crate) left_out: LeftOut,
    /// SHA-256 of what the table was made of, where that can be told without reading it.
    pub(crate) source: Option<String>,
    /// Bytes of the files that it was made of.
    pub(crate) source_bytes: Option<u64>,
    pub(crate) files: Vec<FileEntry>,
}

/// Rows that no study can see, whatever anybody consents to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// Without a person.
    pub nobodys: u64,
    /// Of somebody who is not in PERSON.
    pub strangers: u64,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ColumnEntry {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileEntry {
    /// Within the table's folder.
    pub(crate) name: String,
    /// The number of its bucket; none for a vocabulary.
    pub(crate) bucket: Option<usize>,
    pub(crate) rows: usize,
    pub(crate) bytes: u64,
    /// SHA-256 of its last 64 KiB.
    pub(crate) end: String,
}

impl TableEntry {
    /// The path of a file within the store's folder.
    pub(crate) fn path(&self, file: &FileEntry) -> PathBuf {
        Path::new(&self.name).join(&file.name)
    }

    /// Rows of its files.
    pub(crate) fn rows(&self) -> usize {
        self.files.iter().map(|file| file.rows).sum()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

impl Manifest {
    pub(crate) fn new(people: &[i64], buckets: Vec<Range>) -> Self {
        let mut hash = Sha256::new();
        people.iter().for_each(|person| hash.update(person.to_le_bytes()));
        let people = hex(&hash.finalize());
        Self { version: VERSION, people, buckets, tables: Vec::new(), unreadable: Vec::new(), export: None }
    }

    pub(crate) fn table(&self, name: &str) -> Option<&TableEntry> {
        self.tables.iter().find(|table| table.name == name)
    }

    /// The manifest of a folder, if it has one.
    ///
    /// # Errors
    /// When it cannot be read, or is of another version or none of ours.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>, StoreError> {
        let path = folder.join(NAME);
        // A folder that may not be entered is what is wrong, not a file in it.
        let failed = |error: &io::Error| match fs::metadata(&path) {
            Ok(_) => unreadable(&path, error),
            Err(error) => unreadable(folder, &error),
        };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(failed(&error)),
        };
        let mut text = Vec::new();
        file.take(MOST_BYTES).read_to_end(&mut text).map_err(|error| failed(&error))?;
        let refuse = |what| StoreError::Manifest { file: NAME.to_string(), what };
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let version: Version = serde_json::from_slice(&text).map_err(|_| refuse("it is no manifest"))?;
        if version.version != VERSION {
            return Err(refuse("it is of another version"));
        }
        let manifest: Self = serde_json::from_slice(&text).map_err(|_| refuse("parts of it are missing"))?;
        if !manifest.is_sound() {
            return Err(refuse("its parts contradict each other"));
        }
        Ok(Some(manifest))
    }

    /// Whether buckets follow each other, and every file is of one of them and within its table's folder.
    fn is_sound(&self) -> bool {
        let plain = |name: &str| {
            let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.".contains(&byte);
            !name.is_empty() && !name.starts_with('.') && name.bytes().all(fits)
        };
        let ascend = self.buckets.iter().all(|range| range.from <= range.to)
            && self.buckets.windows(2).all(|pair| pair[0].to < pair[1].from);
        let fits = |table: &TableEntry, file: &FileEntry| {
            let of_patients = table.columns.iter().any(|column| column.kind == Kind::Subject);
            plain(&file.name)
                && file.bucket.is_some() == of_patients
                && file.bucket.is_none_or(|bucket| bucket < self.buckets.len())
        };
        let once = |table: &TableEntry| {
            let buckets: Vec<_> = table.files.iter().map(|file| file.bucket).collect();
            buckets.is_sorted_by(|one, next| one < next)
        };
        let sound =
            |table: &TableEntry| plain(&table.name) && once(table) && table.files.iter().all(|file| fits(table, file));
        ascend && self.tables.iter().all(sound) && self.tables.is_sorted_by(|one, next| one.name < next.name)
    }

    /// Writes it in place of the one before, which stays where it is until this one is on disk.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        let part = folder.join("arranged.json.part");
        let mut file = create(&part)?;
        serde_json::to_writer_pretty(&mut file, self)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&part, folder.join(NAME))?;
        sync_folder(folder)
    }

    /// Whether every file is there and ends as it did when it was written.
    ///
    /// # Errors
    /// [`StoreError::NotAsArranged`].
    pub(crate) fn check_files(&self, folder: &Path) -> Result<(), StoreError> {
        let root = fs::canonicalize(folder).map_err(|error| unreadable(folder, &error))?;
        for table in &self.tables {
            for file in &table.files {
                let path = table.path(file);
                let refuse = |what| StoreError::NotAsArranged { file: path.display().to_string(), what };
                let mut opened = File::open(folder.join(&path)).map_err(|error| match error.kind() {
                    io::ErrorKind::NotFound => refuse("it is not there"),
                    _ => unreadable(&path, &error),
                })?;
                // Studies are computed in a process that can read nothing else.
                if fs::canonicalize(folder.join(&path)).is_ok_and(|path| !path.starts_with(&root)) {
                    return Err(refuse("a link leads out of the folder"));
                }
                if opened.metadata().map_err(|error| unreadable(&path, &error))?.len() != file.bytes {
                    return Err(refuse("its length is another"));
                }
                if end_of(&mut opened).map_err(|error| unreadable(&path, &error))? != file.end {
                    return Err(refuse("its content is another"));
                }
            }
        }
        Ok(())
    }
}

/// A file that its owner alone may read, as everything here: it has patients' rows.
pub(super) fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// A folder that its owner alone may enter, with those around it.
pub(super) fn create_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// SHA-256 of a file's last 64 KiB.
pub(super) fn end_of(file: &mut File) -> io::Result<String> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(END_BYTES)))?;
    let mut end = Vec::new();
    file.take(END_BYTES).read_to_end(&mut end)?;
    Ok(hex(&Sha256::digest(&end)))
}

/// SHA-256 of some bytes, in hexadecimal.
pub(super) fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What was renamed within a folder stays so when the power fails.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(())
}
