//! Where a hospital's tables are, and what those are that OMOP does not name.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use super::postgres::{ConfigError, DatabaseConfig, DatabaseUrl, Tls};
use super::text::Nulls;

/// The `[store]` section of a node's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct StoreConfig {
    /// Where the tables are.
    pub place: Place,
    /// Where the tables of the consortium's catalogue are, by name, where that is not plain.
    pub tables: BTreeMap<String, TableConfig>,
    /// What stands for no value where a file holds texts, beside an empty field.
    pub nulls: Nulls,
}

/// Where a hospital's tables are.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Place {
    /// In a folder with one Parquet or CSV file per table, or a sub-folder of parts.
    Folder(
        #[borsh(serialize_with = "path::write", deserialize_with = "path::read")]
        /// The folder.
        PathBuf,
    ),
    /// In a schema of a PostgreSQL database.
    Database(DatabaseConfig),
    /// In a folder that [`arrange`](super::arrange()) writes, laid out by patient, of the tables at another place.
    Arranged {
        /// The folder.
        #[borsh(serialize_with = "path::write", deserialize_with = "path::read")]
        folder: PathBuf,
        /// Where these tables come from.
        of: Box<Place>,
    },
}

impl Place {
    /// The folder that studies read, if it is one.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) | Self::Arranged { folder, .. } => Some(folder),
            Self::Database(_) => None,
        }
    }

    /// The database that studies read, if it is one.
    pub const fn database(&self) -> Option<&DatabaseConfig> {
        match self {
            Self::Folder(_) | Self::Arranged { .. } => None,
            Self::Database(database) => Some(database),
        }
    }

    /// Where the tables come from: of a place that was arranged, what it was made of.
    pub fn source(&self) -> &Self {
        match self {
            Self::Arranged { of, .. } => of.source(),
            Self::Folder(_) | Self::Database(_) => self,
        }
    }

    /// Takes relative paths from another folder than the program's.
    pub fn within(&mut self, home: &Path) {
        let paths = match self {
            Self::Folder(folder) => vec![folder],
            Self::Arranged { folder, of } => {
                of.within(home);
                vec![folder]
            }
            Self::Database(database) => {
                [database.password_file.as_mut(), database.tls_root.as_mut()].into_iter().flatten().collect()
            }
        };
        for path in paths.into_iter().filter(|path| path.is_relative()) {
            *path = home.join(&*path);
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => folder.display().fmt(f),
            Self::Database(DatabaseConfig { url, schema, .. }) => write!(f, "schema {schema} of {url}"),
            Self::Arranged { folder, of } => write!(f, "{}, arranged from {of}", folder.display()),
        }
    }
}

impl StoreConfig {
    /// The tables of a folder, with nothing else said of them.
    pub fn of(folder: impl Into<PathBuf>) -> Self {
        Self::at(Place::Folder(folder.into()))
    }

    /// The tables of a place, with nothing else said of them.
    pub fn at(place: Place) -> Self {
        Self { place, tables: BTreeMap::new(), nulls: Nulls::default() }
    }

    /// The tables where they come from.
    #[must_use]
    pub fn source(&self) -> Self {
        Self { place: self.place.source().clone(), ..self.clone() }
    }
}

/// As it is written: flat, with a folder or an URL, and with where that is arranged.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    folder: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<DatabaseUrl>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schema: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password_file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tls_root: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tls: Option<Tls>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    connections: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    arranged: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tables: BTreeMap<String, TableConfig>,
    #[serde(default, skip_serializing_if = "Nulls::are_usual")]
    nulls: Nulls,
}

impl TryFrom<Written> for StoreConfig {
    type Error = ConfigError;

    fn try_from(written: Written) -> Result<Self, ConfigError> {
        let Written { folder, url, schema, password_file, tls_root, tls, connections, arranged, tables, nulls } =
            written;
        let place = match (folder, url) {
            (Some(folder), None) => {
                let of_a_database = [
                    ("schema", schema.is_some()),
                    ("password_file", password_file.is_some()),
                    ("tls_root", tls_root.is_some()),
                    ("tls", tls.is_some()),
                    ("connections", connections.is_some()),
                ];
                match of_a_database.into_iter().find(|(_, is_there)| *is_there) {
                    Some((field, _)) => return Err(ConfigError::OfADatabase(field)),
                    None => Place::Folder(folder),
                }
            }
            (None, Some(url)) => {
                let schema = schema.ok_or(ConfigError::NoSchema)?;
                let connections = connections.unwrap_or(DatabaseConfig::CONNECTIONS);
                let database = DatabaseConfig { url, schema, password_file, tls_root, tls, connections };
                database.check()?;
                Place::Database(database)
            }
            (Some(_), Some(_)) => return Err(ConfigError::TwoPlaces),
            (None, None) => return Err(ConfigError::NoPlace),
        };
        let place = match arranged {
            Some(folder) => Place::Arranged { folder, of: Box::new(place) },
            None => place,
        };
        Ok(Self { place, tables, nulls })
    }
}

impl From<StoreConfig> for Written {
    fn from(config: StoreConfig) -> Self {
        let StoreConfig { place, tables, nulls } = config;
        let arranged = if let Place::Arranged { folder, .. } = &place { Some(folder.clone()) } else { None };
        let none = Self {
            folder: None,
            url: None,
            schema: None,
            password_file: None,
            tls_root: None,
            tls: None,
            connections: None,
            arranged,
            tables,
            nulls,
        };
        match place.source().clone() {
            Place::Folder(folder) => Self { folder: Some(folder), ..none },
            Place::Database(DatabaseConfig { url, schema, password_file, tls_root, tls, connections }) => {
                let connections = Some(connections).filter(|most| *most != DatabaseConfig::CONNECTIONS);
                Self { url: Some(url), schema: Some(schema), password_file, tls_root, tls, connections, ..none }
            }
            Place::Arranged { .. } => none,
        }
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
pub(super) mod path {
    use std::io;
    use std::path::{Path, PathBuf};

    use borsh::io::{Read, Write};
    use borsh::{BorshDeserialize as _, BorshSerialize as _};

    pub(in crate::store) fn write<W: Write>(path: &Path, output: &mut W) -> io::Result<()> {
        #[cfg(unix)]
        let bytes = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str());
        #[cfg(not(unix))]
        let bytes = path.to_str().ok_or(io::ErrorKind::InvalidInput)?.as_bytes();
        bytes.serialize(output)
    }

    pub(in crate::store) fn read<R: Read>(input: &mut R) -> io::Result<PathBuf> {
        let bytes = Vec::<u8>::deserialize_reader(input)?;
        #[cfg(unix)]
        let path = <std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes);
        #[cfg(not(unix))]
        let path = String::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData)?;
        Ok(PathBuf::from(path))
    }
}
