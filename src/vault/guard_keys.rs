//! A hospital's keys for roles in guarded studies: a set for one round, made before it is drawn and deleted after.
//!
//! | file | what |
//! |---|---|
//! | `secrets/guard/<hash>.set` | the secret half of a set, named by the hash of its public key; written last: where it is, the others are complete |
//! | `guard/<hash>.key` | a public key (16 KiB, for the hospitals of a round) or a server key (29 MiB, for its aggregator), by its hash; others' too, once they were fetched |

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use borsh::{BorshDeserialize, BorshSerialize};
use consilium_engine::cells::CiphertextError;
use consilium_engine::guard::{GuardKeys, GuardSecretKey, GuardServerKey};
use consilium_protocol::hash;
use consilium_protocol::ids::ContentHash;
use consilium_protocol::kem::{KemPublicKey, KemSecretKey};
use consilium_protocol::keys::{NoRandomness, random_bytes};
use consilium_protocol::tx::{Blob, RegisterGuardKeys};
use tracing::warn;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::home::SecretError;
use crate::home::files::{self, FileError, Readable};

/// The longest file of a set's secret half, in bytes.
const MAX_SET_BYTES: u64 = 65_536;

/// Keys for guarded studies that cannot be used. Carries no key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuardKeyError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Others can read a secret.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A key file holds something else.
    #[error("a key for guarded studies is damaged: {0}")]
    Damaged(#[from] CiphertextError),
    /// The secret half of a set holds something else.
    #[error("{0} is no set of keys; delete it, and the node makes another")]
    Malformed(PathBuf),
    /// The keys of a round are not in this home.
    #[error(
        "this hospital has no longer the keys that the round was opened with; the round fails at its deadline and is opened again"
    )]
    Gone,
    /// The operating system gives no randomness.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

/// The secret half of a set.
#[derive(BorshSerialize, BorshDeserialize, Zeroize, ZeroizeOnDrop)]
struct Secrets {
    custodian: Vec<u8>,
    sealing: [u8; 32],
    #[zeroize(skip)]
    server_key: (ContentHash, u64),
    #[zeroize(skip)]
    public_bytes: u64,
}

impl Secrets {
    fn sealing_key(&self) -> KemSecretKey {
        KemSecretKey::from_seed(Zeroizing::new(self.sealing))
    }
}

/// Where a hospital keeps its guard keys.
#[derive(Debug)]
pub struct GuardKeyring {
    secrets: PathBuf,
    keys: PathBuf,
    /// The server key that was prepared last: a round's is needed again when its duty is tried again.
    prepared: Mutex<Option<(ContentHash, Arc<GuardServerKey>)>>,
}

impl GuardKeyring {
    /// The keyring of a hospital's home.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open(home: &Path) -> Result<Self, FileError> {
        let (secrets, keys) = (home.join("secrets").join("guard"), home.join("guard"));
        files::create_private_dir(&secrets)?;
        files::create_private_dir(&keys)?;
        Ok(Self { secrets, keys, prepared: Mutex::new(None) })
    }

    fn set_path(&self, public_key: &ContentHash) -> PathBuf {
        self.secrets.join(format!("{public_key}.set"))
    }

    fn key_path(&self, hash: &ContentHash) -> PathBuf {
        self.keys.join(format!("{hash}.key"))
    }

    /// A public or server key, the own or one that was fetched, if it is here.
    pub fn key(&self, hash: &ContentHash) -> Option<Vec<u8>> {
        let bytes = files::read_bytes(&self.key_path(hash), GuardServerKey::ENCODED_BYTES as u64).ok()?;
        (hash::content(&bytes) == *hash).then_some(bytes)
    }

    /// Keeps another hospital's key, whose hash was checked.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn keep(&self, hash: &ContentHash, bytes: &[u8]) -> Result<(), FileError> {
        files::replace(&self.key_path(hash), bytes, Readable::ByOwner)
    }

    fn set(&self, public_key: &ContentHash) -> Result<Secrets, GuardKeyError> {
        let path = self.set_path(public_key);
        let bytes = match files::read_bytes(&path, MAX_SET_BYTES) {
            Err(FileError::Missing(_)) => return Err(GuardKeyError::Gone),
            other => Zeroizing::new(other?),
        };
        if files::is_exposed(&path) {
            return Err(SecretError::Exposed(path).into());
        }
        borsh::from_slice(&bytes).map_err(|_| GuardKeyError::Malformed(path))
    }

    /// The custodian's secret key of a set, by the hash of its public key.
    ///
    /// # Errors
    /// [`GuardKeyError`].
    pub fn secret_key(&self, public_key: &ContentHash) -> Result<GuardSecretKey, GuardKeyError> {
        Ok(GuardSecretKey::from_bytes(&self.set(public_key)?.custodian)?)
    }

    /// The key to which contributions were sealed, whose public half this is.
    ///
    /// # Errors
    /// [`GuardKeyError::Gone`] when no set has it.
    pub fn sealing_key(&self, public: &KemPublicKey) -> Result<KemSecretKey, GuardKeyError> {
        let set = self.sets().into_iter().find(|set| set.sealing_key == *public).ok_or(GuardKeyError::Gone)?;
        Ok(self.set(&set.public_key.hash)?.sealing_key())
    }

    /// The public and server keys of this home, the own and others'.
    pub fn keys(&self) -> Vec<ContentHash> {
        names(&self.keys, ".key")
    }

    /// What the ledger is told of each set of this home. A set that cannot be read is left out.
    pub fn sets(&self) -> Vec<RegisterGuardKeys> {
        let readable = |name: ContentHash| self.announced(name).inspect_err(|error| warn!(%error, "left out")).ok();
        names(&self.secrets, ".set").into_iter().filter_map(readable).collect()
    }

    fn announced(&self, public_key: ContentHash) -> Result<RegisterGuardKeys, GuardKeyError> {
        let set = self.set(&public_key)?;
        let (server_key, bytes) = set.server_key;
        Ok(RegisterGuardKeys {
            public_key: Blob { hash: public_key, bytes: set.public_bytes },
            server_key: Blob { hash: server_key, bytes },
            sealing_key: set.sealing_key().public_key(),
        })
    }

    /// Makes another set. Blocks for seconds.
    ///
    /// # Errors
    /// [`GuardKeyError`].
    pub fn make(&self) -> Result<RegisterGuardKeys, GuardKeyError> {
        let keys = GuardKeys::generate()?;
        let public = keys.public.to_bytes();
        let (public_hash, server_hash) = (hash::content(&public), hash::content(&keys.server));
        let set = Secrets {
            custodian: keys.secret.to_bytes().to_vec(),
            sealing: random_bytes()?,
            server_key: (server_hash, keys.server.len() as u64),
            public_bytes: public.len() as u64,
        };
        self.keep(&server_hash, &keys.server)?;
        self.keep(&public_hash, &public)?;
        // Writing to a vector cannot fail.
        let bytes = Zeroizing::new(borsh::to_vec(&set).unwrap_or_default());
        files::create(&self.set_path(&public_hash), &bytes, Readable::ByOwner)?;
        self.announced(public_hash)
    }

    /// Deletes a set's secret half.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn forget_set(&self, public_key: &ContentHash) -> Result<(), FileError> {
        files::delete(&self.set_path(public_key))
    }

    /// Deletes a public or server key.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn forget_key(&self, hash: &ContentHash) -> Result<(), FileError> {
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        prepared.take_if(|(of, _)| of == hash);
        files::delete(&self.key_path(hash))
    }

    /// A custodian's server key, ready to compute with. Blocks for about a second the first time.
    ///
    /// # Errors
    /// [`CiphertextError`] when the bytes are no server key.
    pub fn prepare(&self, bytes: &[u8]) -> Result<Arc<GuardServerKey>, CiphertextError> {
        let hash = hash::content(bytes);
        // Every change is complete before anything that could panic.
        let lock = || self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, key)) = lock().as_ref().filter(|(prepared, _)| *prepared == hash) {
            return Ok(key.clone());
        }
        let key = Arc::new(GuardServerKey::from_bytes(bytes)?);
        *lock() = Some((hash, key.clone()));
        Ok(key)
    }
}

/// The hashes that files of a folder are named by.
fn names(folder: &Path, suffix: &str) -> Vec<ContentHash> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<ContentHash> =
        entries.filter_map(|entry| entry.file_name().to_str()?.strip_suffix(suffix)?.parse().ok()).collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring(home: &Path) -> GuardKeyring {
        files::create_private_dir(&home.join("secrets")).expect("a folder");
        GuardKeyring::open(home).expect("a keyring")
    }

    #[test]
    fn a_set_is_kept_until_it_is_forgotten() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let keys = keyring(home.path());
        let first = keys.make().expect("a set");
        assert_eq!(keyring(home.path()).sets(), [first]);
        let (public, server) = (first.public_key.hash, first.server_key.hash);
        let second = keys.make().expect("another set");
        assert!(second.public_key != first.public_key && second.sealing_key != first.sealing_key);
        assert_eq!(keys.sets().len(), 2);

        let opened = keys.sealing_key(&first.sealing_key).expect("its key").public_key();
        assert_eq!(opened, first.sealing_key);
        let bytes = keys.key(&public).expect("the public key");
        let fingerprint = consilium_engine::guard::GuardPublicKey::from_bytes(&bytes).expect("a key").fingerprint();
        assert_eq!(keys.secret_key(&public).expect("the secret key").fingerprint(), fingerprint);
        assert_eq!(keys.key(&server).expect("the server key").len() as u64, first.server_key.bytes);

        keys.forget_set(&public).expect("deleted");
        keys.forget_key(&public).expect("deleted");
        keys.forget_key(&server).expect("deleted");
        assert_eq!(keys.sets(), [second]);
        assert!(keys.key(&public).is_none() && keys.key(&server).is_none());
        assert!(matches!(keys.secret_key(&public), Err(GuardKeyError::Gone)));
        assert!(matches!(keys.sealing_key(&first.sealing_key), Err(GuardKeyError::Gone)));
    }

    #[test]
    fn what_was_changed_on_disk_is_not_used() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let keys = keyring(home.path());
        let hash = hash::content(b"key");
        assert_eq!(keys.key(&hash), None);
        keys.keep(&hash, b"key").expect("kept");
        assert_eq!(keys.key(&hash).as_deref(), Some(&b"key"[..]));
        keys.keep(&hash, b"kex").expect("kept");
        assert_eq!(keys.key(&hash), None);
        assert_eq!(keys.keys(), [hash]);
        files::replace(&keys.set_path(&hash), b"no set", Readable::ByOwner).expect("a file");
        assert!(matches!(keys.secret_key(&hash), Err(GuardKeyError::Malformed(_))));
    }
}
