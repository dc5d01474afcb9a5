//! A home: the folder in which a hospital, a researcher or a patient keeps keys, configuration and what they work on.
//!
//! | file | who | what |
//! |---|---|---|
//! | `role.toml` | all | whose home this is |
//! | `genesis.toml` | all, after `join` | the consortium |
//! | `secrets/*.secret`, `secrets/tls.key` | all | keys, readable by the owner alone |
//! | `consilium.toml`, `member.toml`, `tls.crt` | hospital | configuration, introduction, certificate |
//! | `ledger/` | hospital | blocks, state, the signer's memory |
//! | `failing.json` | hospital | what its node cannot do for studies now, for its steward |
//! | `retry/` | hospital | which studies its steward wants tried again, until the node takes notice |
//! | `rounds/` | hospital | what was contributed and added up, by round |
//! | `cohorts.bin`, `remembered/` | hospital | whom earlier studies counted, encrypted |
//! | `pairs/`, `secrets/pairs/` | hospital | what is shared with other hospitals for a study, while it runs |
//! | `consents/` | hospital | consents that were imported, and what became of each, encrypted |
//! | `desk.jsonl` | hospital | who of its staff saw a patient whose key was replaced; the ledger has hashes of the names |
//! | `guard/`, `secrets/guard/` | hospital | keys for guarded rounds, until these end |
//! | `studies/<id>/` | researcher | the study and the key that opens its result |
//! | `secrets/wallet.words` | patient | the master secret as words |
//! | `wards.toml` | patient | for whom else the wallet signs |

pub mod config;
pub mod files;
pub mod kept;
pub mod secrets;
pub mod wards;

use std::path::{Path, PathBuf};

use consilium_protocol::catalogue::CatalogueTable;
use consilium_protocol::genesis::{Genesis, GenesisError};
use consilium_protocol::keys::SigningKey;
use consilium_protocol::wallet::{Wallet, WordsError};
use serde::{Deserialize, Serialize};

pub use files::FileError;
use files::Readable;
pub use secrets::SecretError;

/// A home that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HomeError {
    /// There is no home at this place.
    #[error(
        "{0} is no home of this program; make one with `consilium init hospital|researcher|patient --home {0}`, or name \
         another with --home"
    )]
    None(PathBuf),
    /// There is one already.
    #[error("{0} is a home already and is left as it is; choose another --home")]
    Taken(PathBuf),
    /// The home is somebody else's kind.
    #[error("this command is for a {wanted}, but {path} is the home of a {found}; name the right home with --home")]
    Role {
        /// The home.
        path: PathBuf,
        /// Whose home the command needs.
        wanted: &'static str,
        /// Whose it is.
        found: &'static str,
    },
    /// The home does not belong to a consortium yet.
    #[error(
        "this home has not joined a consortium; run `consilium join genesis.toml` with the file of your consortium"
    )]
    NotJoined,
    /// A file of the home is damaged.
    #[error("{path}: {text}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        text: String,
    },
    /// The genesis file is not one.
    #[error("genesis file: {0}")]
    Genesis(#[from] GenesisError),
    /// The wallet's words are not.
    #[error(transparent)]
    Words(#[from] WordsError),
    /// A secret cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Whose home it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A member of a consortium.
    Hospital,
    /// Somebody who asks.
    Researcher,
    /// Somebody whose data it is.
    Patient,
}

impl Role {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Hospital => "hospital",
            Self::Researcher => "researcher",
            Self::Patient => "patient",
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleFile {
    version: u16,
    role: Role,
    name: String,
}

/// An opened home.
#[derive(Clone, Debug)]
pub struct Home {
    path: PathBuf,
    role: Role,
    name: String,
}

const ROLE_FILE: &str = "role.toml";
const GENESIS_FILE: &str = "genesis.toml";
const WORDS_FILE: &str = "wallet.words";
const MAX_GENESIS_BYTES: u64 = 4 * 1024 * 1024;

impl Home {
    /// Makes a home; keys and the rest are the caller's to add.
    ///
    /// # Errors
    /// [`HomeError::Taken`] when there is one.
    pub fn create(path: &Path, role: Role, name: &str) -> Result<Self, HomeError> {
        if path.join(ROLE_FILE).exists() {
            return Err(HomeError::Taken(path.to_path_buf()));
        }
        files::create_private_dir(path)?;
        files::create_private_dir(&path.join("secrets"))?;
        let home = Self { path: path.to_path_buf(), role, name: name.to_string() };
        Ok(home)
    }

    /// Declares a home complete, as the last step of making it: until then it is none.
    ///
    /// # Errors
    /// [`HomeError::File`].
    pub fn finish(&self) -> Result<(), HomeError> {
        let file = RoleFile { version: 1, role: self.role, name: self.name.clone() };
        let text = toml::to_string(&file)
            .map_err(|e| HomeError::Damaged { path: self.path.join(ROLE_FILE), text: e.to_string() })?;
        Ok(files::create(&self.path.join(ROLE_FILE), text.as_bytes(), Readable::ByAll)?)
    }

    /// Opens a home.
    ///
    /// # Errors
    /// [`HomeError::None`] when there is none.
    pub fn open(path: &Path) -> Result<Self, HomeError> {
        let file = path.join(ROLE_FILE);
        let text = match files::read_text(&file, 65_536) {
            Err(FileError::Missing(_)) => return Err(HomeError::None(path.to_path_buf())),
            other => other?,
        };
        let damaged = |text: String| HomeError::Damaged { path: file.clone(), text };
        let role: RoleFile = toml::from_str(&text).map_err(|e| damaged(e.to_string()))?;
        if role.version != 1 {
            return Err(damaged(format!("is of version {}, this program reads version 1", role.version)));
        }
        Ok(Self { path: path.to_path_buf(), role: role.role, name: role.name })
    }

    /// Opens a home of a kind.
    ///
    /// # Errors
    /// [`HomeError::Role`] when it is of another.
    pub fn open_as(path: &Path, wanted: Role) -> Result<Self, HomeError> {
        let home = Self::open(path)?;
        if home.role == wanted {
            Ok(home)
        } else {
            let (wanted, found) = (wanted.word(), home.role.word());
            Err(HomeError::Role { path: path.to_path_buf(), wanted, found })
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose home it is.
    pub const fn role(&self) -> Role {
        self.role
    }

    /// The owner's name, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key that signs the owner's transactions; a patient has one for each hospital instead.
    ///
    /// # Errors
    /// [`HomeError::Secret`].
    pub fn signing_key(&self) -> Result<SigningKey, HomeError> {
        Ok(SigningKey::from_seed(&*secrets::read(&self.path, secrets::Kind::Signing)?))
    }

    /// The patient's wallet.
    ///
    /// # Errors
    /// [`HomeError::Secret`] or [`HomeError::Words`].
    pub fn wallet(&self) -> Result<Wallet, HomeError> {
        let path = self.path.join("secrets").join(WORDS_FILE);
        if files::is_exposed(&path) {
            return Err(SecretError::Exposed(path).into());
        }
        let words = zeroize::Zeroizing::new(files::read_text(&path, 4_096)?);
        Ok(Wallet::from_words(&words)?)
    }

    /// Keeps a patient's wallet.
    ///
    /// # Errors
    /// [`HomeError::File`].
    pub fn keep_wallet(&self, wallet: &Wallet) -> Result<(), HomeError> {
        let words = zeroize::Zeroizing::new(format!("{}\n", wallet.words()));
        Ok(files::create(&self.path.join("secrets").join(WORDS_FILE), words.as_bytes(), Readable::ByOwner)?)
    }

    /// The consortium that the home belongs to.
    ///
    /// # Errors
    /// [`HomeError::NotJoined`] before `join`.
    pub fn genesis(&self) -> Result<Genesis, HomeError> {
        match files::read_text(&self.path.join(GENESIS_FILE), MAX_GENESIS_BYTES) {
            Ok(text) => Ok(Genesis::from_toml(&text)?),
            Err(FileError::Missing(_)) => Err(HomeError::NotJoined),
            Err(e) => Err(e.into()),
        }
    }

    /// The tables that the home's consortium has beside OMOP's; none before `join`.
    ///
    /// # Errors
    /// [`HomeError`] when there is a genesis file and it cannot be read.
    pub fn catalogue(&self) -> Result<Vec<CatalogueTable>, HomeError> {
        match self.genesis() {
            Ok(genesis) => Ok(genesis.table),
            Err(HomeError::NotJoined) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Joins a consortium: keeps its genesis file. Joining the same one again changes nothing.
    ///
    /// # Errors
    /// [`HomeError::File`] when the home belongs to another consortium already.
    pub fn join(&self, genesis: &Genesis) -> Result<(), HomeError> {
        match self.genesis() {
            Ok(own) if own.hash() == genesis.hash() => Ok(()),
            _ => {
                let text = genesis.to_toml()?;
                Ok(files::create(&self.path.join(GENESIS_FILE), text.as_bytes(), Readable::ByAll)?)
            }
        }
    }
}

/// Reads a genesis file from anywhere.
///
/// # Errors
/// [`HomeError::File`] or [`HomeError::Genesis`].
pub fn read_genesis(path: &Path) -> Result<Genesis, HomeError> {
    Ok(Genesis::from_toml(&files::read_text(path, MAX_GENESIS_BYTES)?)?)
}
