//! How a database is reached.

use std::path::PathBuf;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use super::url::{DatabaseUrl, Host};
use crate::store::config::path;

/// A schema of a PostgreSQL database, and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DatabaseConfig {
    /// Server, user and database.
    pub url: DatabaseUrl,
    /// The schema with the tables.
    pub schema: String,
    /// The file with the password; without, the environment's variable [`PASSWORD`](super::access::PASSWORD) has it, or there is
    /// none.
    #[borsh(serialize_with = "optional::write", deserialize_with = "optional::read")]
    pub password_file: Option<PathBuf>,
    /// The file with the certificates that the server's must be issued by, and no other.
    #[borsh(serialize_with = "optional::write", deserialize_with = "optional::read")]
    pub tls_root: Option<PathBuf>,
    /// Whether TLS is left out.
    pub tls: Option<Tls>,
    /// How many connections a study has: one that holds the moment that it sees, one that answers questions, and those that read.
    pub connections: u32,
}

/// What is said of TLS. There is one thing to say: that there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// The connection is not encrypted; only for servers on this machine.
    Off,
}

/// A `[store]` section that names no store, or one that would be reached in an unsafe way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Neither.
    #[error("says neither `folder` nor `url`; name the folder of the tables, or the database that has them")]
    NoPlace,
    /// Both.
    #[error("says both `folder` and `url`; the tables are in one place: remove one")]
    TwoPlaces,
    /// What only a database has.
    #[error("says `{0}`, which is about a database, and names a folder; remove it, or give `url` instead of `folder`")]
    OfADatabase(&'static str),
    /// No schema.
    #[error("says `url` without `schema`; name the schema that has the OMOP tables, for example schema = \"cdm\"")]
    NoSchema,
    /// A server on another machine, without what tells that it is the right one.
    #[error(
        "says `url` without `tls_root`; name the PEM file with the certificate that the server's is issued by. Without TLS \
         only this machine's own server is asked: by a socket's folder, or by a loopback address with tls = \"off\""
    )]
    NoRoot,
    /// TLS is left out of a connection to another machine.
    #[error(
        "says tls = \"off\" for a server that is not at a loopback address (127.0.0.1, ::1, localhost); name the PEM file with \
         the certificate that the server's is issued by as `tls_root` instead"
    )]
    NotLoopback,
    /// Off and pinned at once.
    #[error("says both tls = \"off\" and `tls_root`; remove one")]
    OffAndRoot,
    /// TLS where there is none.
    #[error("says `tls_root` or `tls` for a socket in a folder, over which PostgreSQL speaks no TLS; remove it")]
    SocketHasNoTls,
    /// Too few or too many.
    #[error(
        "says connections = {0}, which must be from 3 to 64: one holds the moment that a study sees, one answers questions, the others read"
    )]
    Connections(u32),
}

impl DatabaseConfig {
    /// One that holds the moment that a study sees, one that answers questions and has the cursors, and four that read.
    pub const CONNECTIONS: u32 = 6;

    /// Refuses what would be unsafe: there is no way to another machine without TLS, nor with TLS that trusts anybody.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn check(&self) -> Result<(), ConfigError> {
        if !(3..=64).contains(&self.connections) {
            return Err(ConfigError::Connections(self.connections));
        }
        match (&self.url.host, self.tls, &self.tls_root) {
            (Host::Folder(_), None, None) => Ok(()),
            (Host::Folder(_), ..) => Err(ConfigError::SocketHasNoTls),
            (Host::Name(_), None, Some(_)) => Ok(()),
            (Host::Name(_), None, None) => Err(ConfigError::NoRoot),
            (Host::Name(_), Some(Tls::Off), Some(_)) => Err(ConfigError::OffAndRoot),
            (Host::Name(_), Some(Tls::Off), None) if !self.url.loopback().is_empty() => Ok(()),
            (Host::Name(_), Some(Tls::Off), None) => Err(ConfigError::NotLoopback),
        }
    }
}

/// A path that may be missing.
mod optional {
    use std::io;
    use std::path::PathBuf;

    use borsh::io::{Read, Write};
    use borsh::{BorshDeserialize as _, BorshSerialize as _};

    use super::path;

    pub(super) fn write<W: Write>(path: &Option<PathBuf>, output: &mut W) -> io::Result<()> {
        path.is_some().serialize(output)?;
        path.as_ref().map_or(Ok(()), |path| path::write(path, output))
    }

    pub(super) fn read<R: Read>(input: &mut R) -> io::Result<Option<PathBuf>> {
        let is_there = bool::deserialize_reader(input)?;
        is_there.then(|| path::read(input)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Place, StoreConfig};

    fn read(text: &str) -> Result<StoreConfig, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn no_way_to_another_machine_is_without_tls() {
        let refused = [
            ("", "neither `folder` nor `url`"),
            ("folder = \"a\"\nurl = \"postgresql://u@h/d\"\nschema = \"s\"", "both `folder` and `url`"),
            ("folder = \"a\"\ntls_root = \"r\"", "`tls_root`, which is about a database"),
            ("url = \"postgresql://u@h/d\"\ntls_root = \"r\"", "without `schema`"),
            ("url = \"postgresql://u@h/d\"\nschema = \"s\"", "without `tls_root`"),
            ("url = \"postgresql://u@h/d\"\nschema = \"s\"\ntls = \"off\"", "not at a loopback address"),
            ("url = \"postgresql://u@10.0.0.1/d\"\nschema = \"s\"\ntls = \"off\"", "not at a loopback address"),
            ("url = \"postgresql://u@127.0.0.1/d\"\nschema = \"s\"", "without `tls_root`"),
            ("url = \"postgresql://u@h/d\"\nschema = \"s\"\ntls_root = \"r\"\ntls = \"off\"", "both tls = \"off\""),
            ("url = \"postgresql://u@/d?host=/run\"\nschema = \"s\"\ntls_root = \"r\"", "no TLS; remove it"),
            ("url = \"postgresql://u@h/d\"\nschema = \"s\"\ntls = \"on\"", "unknown variant"),
            ("url = \"postgresql://u@h/d\"\nschema = \"s\"\ntls_root = \"r\"\nconnections = 2", "from 3 to 64"),
            ("url = \"postgresql://u:secret@h/d\"\nschema = \"s\"\ntls_root = \"r\"", "has a password"),
            ("url = \"postgresql://u@h/d?sslmode=disable\"\nschema = \"s\"\ntls_root = \"r\"", "`sslmode`"),
            ("folder = \"a\"\nurls = \"x\"", "unknown field"),
        ];
        for (text, why) in refused {
            let error = read(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
        let taken = [
            "url = \"postgresql://u@h/d\"\nschema = \"s\"\ntls_root = \"r\"\n",
            "url = \"postgresql://u@127.0.0.1:5433/d\"\nschema = \"s\"\ntls = \"off\"\n",
            "url = \"postgresql://u@localhost/d\"\nschema = \"s\"\ntls = \"off\"\nconnections = 9\n",
            "url = \"postgresql://u@/d?host=/run\"\nschema = \"s\"\npassword_file = \"p\"\n",
            "folder = \"a\"\n",
        ];
        for text in taken {
            let config = read(text).expect(text);
            assert_eq!(toml::to_string(&config).expect("text"), text, "it is written as it is read");
            let piped: StoreConfig = borsh::from_slice(&borsh::to_vec(&config).expect("bytes")).expect("a store");
            assert_eq!(piped, config);
        }
    }

    #[test]
    fn relative_paths_are_taken_from_the_home() {
        let text = "url = \"postgresql://u@h/d\"\nschema = \"s\"\ntls_root = \"r\"\npassword_file = \"/p\"\n";
        let mut config = read(text).expect("a store");
        config.place.within(std::path::Path::new("/home"));
        let Place::Database(database) = config.place else { panic!("a database") };
        let paths = [database.tls_root, database.password_file].map(Option::unwrap);
        assert_eq!(paths, ["/home/r", "/p"].map(PathBuf::from));
    }
}
