//! Which files of a folder are tables.
//!
//! A table is a file (`person.csv`, `PERSON.tsv.gz`, `person.snappy.parquet`), or a folder of parts, as Spark writes it
//! (`person`, `person.parquet`, `person.csv`), whose parts may lie in folders `column=value`, as Hive has them. Names that begin
//! with `_` or `.` are other programs' own.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
#[cfg(unix)]
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use consilium_protocol::catalogue::CatalogueTable;

use super::config::StoreConfig;
use super::error::StoreError;
use super::omop;

/// How deep below the store's folder a table's parts may lie.
pub const PARTS_DEPTH: usize = 8;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Texts with a mark between them; compressed by gzip or not.
    Csv {
        gzip: bool,
    },
    Parquet,
}

impl Format {
    /// The word for it.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Csv { .. } => "csv",
            Self::Parquet => "parquet",
        }
    }

    /// The format of a file, by the endings of its name, and the name before them.
    fn of(name: &str) -> Option<(&str, Self)> {
        const COMPRESSIONS: [&str; 6] = [".snappy", ".gz", ".gzip", ".zstd", ".lz4", ".brotli"];
        let without = |name: &'_ str, ending: &str| {
            let at = name.len().checked_sub(ending.len())?;
            let (name, found) = name.split_at_checked(at)?;
            (!name.is_empty() && found.eq_ignore_ascii_case(ending)).then_some(at)
        };
        if let Some(at) = without(name, ".parquet") {
            let name = &name[..at];
            let compressed = COMPRESSIONS.iter().find_map(|ending| without(name, ending));
            return Some((&name[..compressed.unwrap_or(at)], Self::Parquet));
        }
        let (name, gzip) = match without(name, ".gz") {
            Some(at) => (&name[..at], true),
            None => (name, false),
        };
        let at = [".csv", ".tsv"].iter().find_map(|ending| without(name, ending))?;
        Some((&name[..at], Self::Csv { gzip }))
    }
}

/// A table's file by its name without its endings.
pub fn without_endings(name: &str) -> &str {
    Format::of(name).map_or(name, |(stem, _)| stem)
}

/// One file of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// The path within the store's folder.
    pub(crate) path: PathBuf,
    /// The length in bytes.
    pub(crate) bytes: u64,
    /// Which file it was when it was looked at; none of one that is known to be what it is.
    pub(crate) seen: Option<Seen>,
    /// The values that the names of its folders give to columns, in order; `None` for NULL.
    pub(crate) given: Vec<(String, Option<String>)>,
    /// The bucket that it is of, in a store laid out by patient, and its rows.
    pub(crate) bucket: Option<(usize, usize)>,
}

/// Which file was there when its place was looked at, as far as the file system tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    bytes: u64,
    changed: Option<SystemTime>,
    /// Its device and number there, so that one that was put into its place is another.
    #[cfg(unix)]
    number: (u64, u64),
}

impl Seen {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            bytes: metadata.len(),
            changed: metadata.modified().ok(),
            #[cfg(unix)]
            number: (metadata.dev(), metadata.ino()),
        }
    }
}

impl Part {
    /// Whether it is still the file that was looked at. Asked after it was read, so that what was read is of that file.
    ///
    /// # Errors
    /// [`StoreError::Changed`] where it is not, or is there no more.
    pub(super) fn check(&self, folder: &Path) -> Result<(), StoreError> {
        let Some(seen) = &self.seen else { return Ok(()) };
        let now = fs::metadata(folder.join(&self.path)).map(|metadata| Seen::of(&metadata));
        if now.is_ok_and(|now| now == *seen) { Ok(()) } else { Err(StoreError::Changed { file: shown(&self.path) }) }
    }
}

/// The files of one table.
#[derive(Debug)]
pub(super) struct Found {
    /// As messages name it: the file, or the folder.
    pub(super) shown: String,
    pub(super) format: Format,
    /// In order of their names; none for a file of 0 bytes.
    pub(super) parts: Vec<Part>,
    /// What stands before the table's name in the file's.
    pub(super) prefix: String,
}

/// What a folder holds.
#[derive(Debug)]
pub(super) struct Contents {
    /// The tables by name, and why one cannot be one.
    pub(super) tables: BTreeMap<String, Result<Found, StoreError>>,
    /// Files that are no tables, and why.
    pub(super) ignored: Vec<(String, String)>,
}

/// How many bytes of text a CSV file holds, which are in memory while the store is open; 0 for any other file. Of a gzip file
/// it is what its end says, or eight times its size where that is more: the end of a file of several parts tells of the last.
pub fn csv_bytes(path: &Path) -> u64 {
    let Some((_, Format::Csv { gzip })) = path.file_name().and_then(|name| Format::of(name.to_str()?)) else {
        return 0;
    };
    let bytes = fs::metadata(path).map_or(0, |metadata| if metadata.is_file() { metadata.len() } else { 0 });
    if !gzip {
        return bytes;
    }
    let last_four = || -> std::io::Result<u64> {
        let (mut file, mut last) = (fs::File::open(path)?, [0; 4]);
        file.seek(SeekFrom::End(-4))?;
        file.read_exact(&mut last)?;
        Ok(u32::from_le_bytes(last).into())
    };
    last_four().unwrap_or_default().max(bytes.saturating_mul(8))
}

/// A path, as messages name it. What a folder `column=value` within the store gives to a column is a value like any other: it is
/// left out.
pub(super) fn shown(path: &Path) -> String {
    if path.is_absolute() {
        return printable(&path.to_string_lossy());
    }
    let segment = |segment: &OsStr| match segment.to_string_lossy().split_once('=') {
        Some((column, _)) => format!("{column}=…"),
        None => segment.to_string_lossy().into_owned(),
    };
    printable(&path.iter().map(segment).collect::<Vec<_>>().join("/"))
}

/// A name with its control characters written out: on a terminal they would be carried out.
fn printable(name: &str) -> String {
    let of = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    name.chars().map(of).collect()
}

pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> StoreError {
    match error.kind() {
        ErrorKind::NotFound => StoreError::Missing { file: shown(path) },
        kind => StoreError::Unreadable { file: shown(path), reason: kind.to_string() },
    }
}

/// The folder that a file or folder is in.
pub(super) fn above(path: &Path) -> &Path {
    path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Which file an entry is; `None` for a folder.
type Looked = Result<Option<Seen>, StoreError>;

/// An entry of the store's folder that may be a table.
#[derive(Clone)]
struct Entry {
    path: PathBuf,
    file: Looked,
    format: Option<Format>,
    /// The name without its endings, in lower case.
    stem: String,
}

/// The tables that a name stands for: of a file without its endings, or of a relation in a database.
pub(super) fn tables_of(stem: &str, config: &StoreConfig, catalogue: &[CatalogueTable]) -> Vec<String> {
    let file = |own: &CatalogueTable| {
        let said = config.tables.get(&own.name).and_then(|mapping| mapping.file.as_ref());
        let said = said.unwrap_or(&own.name);
        said.eq_ignore_ascii_case(stem) || without_endings(said).eq_ignore_ascii_case(stem)
    };
    let own = catalogue.iter().filter(|own| omop::definition(&own.name).is_none() && file(own));
    omop::definition(stem)
        .map(|definition| definition.name.to_string())
        .into_iter()
        .chain(own.map(|own| own.name.clone()))
        .collect()
}

/// Finds the tables of a folder. Paths in the result are relative to it.
pub(super) fn list(folder: &Path, config: &StoreConfig, catalogue: &[CatalogueTable]) -> Result<Contents, StoreError> {
    if !folder.is_dir() {
        return Err(StoreError::NoFolder { folder: shown(folder) });
    }
    let mut ignored = Vec::new();
    let mut candidates = Vec::new();
    let mut others_forms = Vec::new();
    for (path, file) in entries(folder, Path::new(""))? {
        match recognise(path, file) {
            Ok(entry) => candidates.push(entry),
            Err((path, why)) => match other_form(&path) {
                Some((stem, next)) => others_forms.push((path, stem, next)),
                None => ignored.push((shown(&path), why.to_string())),
            },
        }
    }
    let prefix = prefix_of_person(&candidates);
    let mut tables: BTreeMap<String, Result<Found, StoreError>> = BTreeMap::new();
    // Under their own names first: what has something before its name is a table only where no other is.
    let mut named: Vec<(String, String, Entry)> = Vec::new();
    let mut others = Vec::new();
    for entry in candidates {
        let own = tables_of(&entry.stem, config, catalogue);
        if own.is_empty() {
            others.push(entry);
        } else {
            named.extend(own.into_iter().map(|name| (name, String::new(), entry.clone())));
        }
    }
    let present: Vec<String> = named.iter().map(|(name, ..)| name.clone()).collect();
    for entry in others {
        match prefixed(&entry.stem, prefix.as_deref()) {
            Some((_, name)) if present.iter().any(|of| of == name) => {
                ignored.push((shown(&entry.path), format!("there is a file of the table `{name}`'s own name")));
            }
            Some((before, name)) => named.push((name.to_string(), before.to_string(), entry)),
            None => ignored.push((shown(&entry.path), why_none(&entry, prefix.as_deref()))),
        }
    }
    for (name, before, entry) in named {
        let path = entry.path.clone();
        let Some(found) = parts(folder, entry, before).transpose() else {
            ignored.push((shown(&path), "a folder without CSV or Parquet files".to_string()));
            continue;
        };
        let second = match tables.get(&name) {
            None => found,
            Some(Err(error)) => Err(error.clone()),
            Some(Ok(first)) => {
                let first = first.shown.clone();
                Err(StoreError::TwoSources { table: name.clone(), first, second: shown(&path) })
            }
        };
        tables.insert(name, second);
    }
    // Where there is no other file, what the table was meant to be.
    for (path, stem, next) in others_forms {
        let own = tables_of(&stem, config, catalogue);
        let is_needed = |name: &&String| !tables.contains_key(*name);
        match own.iter().find(is_needed) {
            Some(name) => {
                tables.insert(name.clone(), Err(StoreError::NotExported { file: shown(&path), next }));
            }
            None => ignored.push((shown(&path), format!("neither CSV nor Parquet; {next}"))),
        }
    }
    ignored.sort();
    Ok(Contents { tables, ignored })
}

/// The entries of a folder in order of their names, relative to the store's folder, with which file each is; a folder is none. What
/// begins with `.` is another program's own, as an editor's lock.
fn entries(folder: &Path, within: &Path) -> Result<Vec<(PathBuf, Looked)>, StoreError> {
    let root = fs::canonicalize(folder).map_err(|e| unreadable(folder, &e))?;
    let mut found = Vec::new();
    for entry in fs::read_dir(folder.join(within)).map_err(|e| unreadable(within, &e))? {
        let entry = entry.map_err(|e| unreadable(within, &e))?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            let path = within.join(entry.file_name());
            let file = look(&root, &entry, &path);
            found.push((path, file));
        }
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(found)
}

/// Looks what an entry is, of the folder `root`, which is no link.
fn look(root: &Path, entry: &fs::DirEntry, path: &Path) -> Looked {
    let failed = |error: std::io::Error| unreadable(path, &error);
    let is_link = entry.file_type().map_err(failed)?.is_symlink();
    let metadata = fs::metadata(entry.path()).map_err(|error| match error.kind() {
        ErrorKind::NotFound if is_link => StoreError::LeadsNowhere { file: shown(path) },
        _ => failed(error),
    })?;
    if is_link && !fs::canonicalize(entry.path()).map_err(failed)?.starts_with(root) {
        return Err(StoreError::Outside { file: shown(path) });
    }
    Ok(metadata.is_file().then(|| Seen::of(&metadata)))
}

fn recognise(path: PathBuf, file: Looked) -> Result<Entry, (PathBuf, &'static str)> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return Err((path, "its name is not UTF-8"));
    };
    let (stem, format) = match (Format::of(name), &file) {
        (Some((stem, format)), _) => (stem.to_ascii_lowercase(), Some(format)),
        (None, Ok(Some(_))) => {
            return Err((path, "neither CSV nor Parquet (.csv, .tsv, .csv.gz, .tsv.gz, .parquet)"));
        }
        (None, _) => (name.to_ascii_lowercase(), None),
    };
    Ok(Entry { path, file, format, stem })
}

/// A file that holds what a CSV file might, in another form: its name without its endings, in lower case, and what to do.
fn other_form(path: &Path) -> Option<(String, &'static str)> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    let (before, ending) = name.rsplit_once('.')?;
    let next = match ending {
        "zip" | "bz2" | "xz" | "zst" | "7z" | "rar" | "tar" | "tgz" => "unpack it",
        "xlsx" | "xls" | "ods" | "sas7bdat" | "dta" | "sav" | "rds" => "export it as CSV or Parquet",
        _ => return None,
    };
    Some((without_endings(before).to_string(), next))
}

/// Why a file or folder is no table.
fn why_none(entry: &Entry, of_person: Option<&str>) -> String {
    if let (Some((before, name)), Ok(_)) = (split_prefix(&entry.stem), &entry.file) {
        return match of_person {
            Some(own) => {
                format!("its prefix `{before}` is not PERSON's, `{own}`; rename it, if it is the table `{name}`")
            }
            None => format!(
                "its name begins with `{before}`, and PERSON's does not; rename it, if it is the table `{name}`"
            ),
        };
    }
    match (omop::closed(&entry.stem), &entry.file) {
        (Some(why), _) => format!("closed to every study: {why}"),
        (None, Err(error)) => error.to_string(),
        (None, Ok(None)) => "a folder that is no table".to_string(),
        (None, Ok(Some(_))) => {
            "neither an OMOP table that studies may read nor one of the consortium's catalogue; a table of your own begins \
             with `consilium table propose`"
                .to_string()
        }
    }
}

/// Divides a name into what stands before a table's name, and the table's name; the longest that there is.
fn split_prefix(stem: &str) -> Option<(&str, &'static str)> {
    if omop::closed(stem).is_some() {
        return None;
    }
    let tables = omop::TABLES.iter().map(|definition| definition.name);
    let split = |name: &'static str| {
        let before = stem.strip_suffix(name)?;
        before.ends_with(['_', '-', '.', ' ']).then_some((before, name))
    };
    tables.filter_map(split).max_by_key(|(_, name)| name.len())
}

/// What stands before PERSON's name, where only one file could be PERSON.
fn prefix_of_person(entries: &[Entry]) -> Option<String> {
    if entries.iter().any(|entry| entry.stem == "person") {
        return None;
    }
    let mut persons =
        entries.iter().filter_map(|entry| split_prefix(&entry.stem)).filter(|(_, name)| *name == "person");
    match (persons.next(), persons.next()) {
        (Some((before, _)), None) => Some(before.to_string()),
        _ => None,
    }
}

/// The table that a file is of whose name has something before it: the same as PERSON's, or anything before a vocabulary's.
fn prefixed<'a>(stem: &'a str, of_person: Option<&str>) -> Option<(&'a str, &'static str)> {
    let (before, name) = split_prefix(stem)?;
    let is_vocabulary = omop::definition(name).is_some_and(|definition| definition.domains.is_empty());
    (of_person == Some(before) || is_vocabulary).then_some((before, name))
}

/// The files of a table; `None` where a folder has none.
fn parts(folder: &Path, entry: Entry, prefix: String) -> Result<Option<Found>, StoreError> {
    let shown = shown(&entry.path);
    let Some(seen) = entry.file? else {
        let mut found = Vec::new();
        walk(folder, &entry.path, &[], &mut found)?;
        let Some((_, format)) = found.first() else { return Ok(None) };
        let format = *format;
        if let Some((other, _)) = found.iter().find(|(_, of)| *of != format) {
            let (one, other) = (self::shown(&found[0].0.path), self::shown(&other.path));
            return Err(StoreError::Mixture { folder: shown, one, other });
        }
        // Spark writes nothing at all for a part without rows.
        let keep = |part: &Part| part.bytes > 0 || format == Format::Parquet;
        let parts = found.into_iter().map(|(part, _)| part).filter(keep).collect();
        return Ok(Some(Found { shown, format, parts, prefix }));
    };
    let Some(format) = entry.format else { return Ok(None) };
    let part = Part { path: entry.path, bytes: seen.bytes, seen: Some(seen), given: Vec::new(), bucket: None };
    Ok(Some(Found { shown, format, parts: if part.bytes == 0 { Vec::new() } else { vec![part] }, prefix }))
}

/// The files of one table, by the path of its file or folder.
pub(super) fn single(path: &Path) -> Result<Found, StoreError> {
    let none = |why: &str| StoreError::Unreadable { file: shown(path), reason: why.to_string() };
    let metadata = fs::metadata(path).map_err(|e| unreadable(path, &e))?;
    let within = PathBuf::from(path.file_name().ok_or_else(|| none("no file or folder"))?);
    let folder = above(path);
    let file = Ok(metadata.is_file().then(|| Seen::of(&metadata)));
    let entry = recognise(within, file).map_err(|(_, why)| none(why))?;
    parts(folder, entry, String::new())?.ok_or_else(|| StoreError::NoFiles { folder: shown(path) })
}

/// Finds the parts in a folder and in those below it.
fn walk(
    folder: &Path,
    within: &Path,
    given: &[(String, Option<String>)],
    found: &mut Vec<(Part, Format)>,
) -> Result<(), StoreError> {
    for (path, file) in entries(folder, within)? {
        let odd = || StoreError::NoPart { folder: shown(within), part: shown(&path) };
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(odd)?;
        if name == "_temporary" {
            return Err(StoreError::Unfinished { folder: shown(within), mark: name.to_string() });
        }
        if name.starts_with('_') {
            continue;
        }
        match file? {
            Some(seen) => {
                let (_, format) = Format::of(name).ok_or_else(odd)?;
                let (path, given) = (path.clone(), given.to_vec());
                found.push((Part { path, bytes: seen.bytes, seen: Some(seen), given, bucket: None }, format));
            }
            None => {
                let (column, value) = name.split_once('=').filter(|_| given.len() + 2 < PARTS_DEPTH).ok_or_else(odd)?;
                let value = (value != "__HIVE_DEFAULT_PARTITION__").then(|| value.to_string());
                let given: Vec<_> = given.iter().cloned().chain([(super::names::plain(column), value)]).collect();
                walk(folder, &path, &given, found)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn names_tell_how_files_are_written() {
        let csv = Format::Csv { gzip: false };
        let gzip = Format::Csv { gzip: true };
        let cases = [
            ("person.csv", Some(("person", csv))),
            ("PERSON.TSV", Some(("PERSON", csv))),
            ("person.csv.gz", Some(("person", gzip))),
            ("part-00000-1f.c000.snappy.parquet", Some(("part-00000-1f.c000", Format::Parquet))),
            ("person.gz.parquet", Some(("person", Format::Parquet))),
            ("person.parquet", Some(("person", Format::Parquet))),
            ("person.gz", None),
            ("person.txt", None),
            (".csv", None),
            ("person", None),
            ("é.csv", Some(("é", csv))),
        ];
        for (name, expected) in cases {
            assert_eq!(Format::of(name), expected, "{name}");
        }
    }

    #[test]
    fn what_a_folder_s_name_gives_to_a_column_is_shown_nowhere() {
        let shown = |path: &str| shown(Path::new(path));
        assert_eq!(shown("death/PERSON_ID=9000003/year=2020/part-0.csv"), "death/PERSON_ID=…/year=…/part-0.csv");
        assert_eq!(shown("death.csv"), "death.csv");
        assert_eq!(shown("dea\u{1b}[2J\nth.csv"), "dea\\u{1b}[2J\\nth.csv");
        assert_eq!(shown("/data/set=1/omop"), "/data/set=1/omop", "the store's folder is nobody's value");
    }

    #[test]
    fn a_file_of_a_table_s_name_in_another_form_says_what_to_do() {
        let folder = tempfile::tempdir().expect("a folder");
        let names =
            ["omop_person.csv", "cdm_visit_occurrence.csv", "DEATH.csv.zip", "concept.xlsx", "concept.csv", "x.zip"];
        names.iter().for_each(|name| fs::write(folder.path().join(name), "x\n").expect("written"));
        #[cfg(unix)]
        std::os::unix::fs::symlink("nowhere.csv", folder.path().join("observation.csv")).expect("a link");
        let found = list(folder.path(), &StoreConfig::of(folder.path()), &[]).expect("a list");
        let why = |name: &str| {
            let (_, why) = found.ignored.iter().find(|(ignored, _)| ignored == name).expect("ignored");
            why.as_str()
        };
        assert!(why("cdm_visit_occurrence.csv").contains("`cdm_` is not PERSON's, `omop_`"));
        assert!(why("x.zip").contains("unpack it") && why("concept.xlsx").contains("as CSV"));
        let closed = |name: &str| found.tables[name].as_ref().expect_err("closed").to_string();
        assert_eq!(closed("death"), "DEATH.csv.zip is neither CSV nor Parquet; unpack it");
        assert!(found.tables["concept"].is_ok());
        #[cfg(unix)]
        assert!(closed("observation").contains("leads to nothing"));
    }

    #[test]
    fn a_compressed_file_counts_as_what_it_holds() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("a.csv"), "12345").expect("written");
        fs::write(path("a.parquet"), "12345").expect("written");
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(&[b'7'; 1 << 20]).expect("compressed");
        fs::write(path("b.tsv.gz"), gzip.finish().expect("compressed")).expect("written");
        fs::write(path("c.csv.gz"), "xx").expect("written");
        let counted = ["a.csv", "a.parquet", "b.tsv.gz", "c.csv.gz", "absent.csv"].map(|name| csv_bytes(&path(name)));
        assert_eq!(counted, [5, 0, 1 << 20, 16, 0]);
    }
}
