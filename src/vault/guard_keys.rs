//! A hospital's keys for guarded studies, made once.
//!
//! | file | what |
//! |---|---|
//! | `secrets/guard.key` | the custodian's secret key, about 300 bytes; written last: where it is, the others are complete |
//! | `secrets/sealing.secret` | the key to which contributions are sealed |
//! | `guard/public.key` | for the hospitals of a round, 16 KiB |
//! | `guard/server.key` | for the aggregator of a round, 29 MiB |

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use consilium_engine::cells::CiphertextError;
use consilium_engine::guard::{GuardKeys, GuardPublicKey, GuardSecretKey, GuardServerKey};
use consilium_protocol::hash;
use consilium_protocol::ids::ContentHash;
use consilium_protocol::keys::{NoRandomness, random_bytes};
use consilium_protocol::sealing::SealingKey;
use consilium_protocol::tx::{Blob, RegisterGuardKeys};

use crate::home::SecretError;
use crate::home::files::{self, FileError, Readable};
use crate::home::secrets::{self, Kind};

/// Keys for guarded studies that cannot be used. Carries no key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuardKeyError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The sealing key cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A key file holds something else.
    #[error("a key for guarded studies is damaged: {0}; move secrets/guard.key away, and the node makes new keys")]
    Damaged(#[from] CiphertextError),
    /// The files belong to different keys.
    #[error(
        "the keys for guarded studies do not belong together; move secrets/guard.key away, and the node makes new ones"
    )]
    Mixed,
    /// The operating system gives no randomness.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

/// Where a hospital keeps its guard keys.
#[derive(Debug)]
pub struct GuardKeyring {
    home: PathBuf,
    /// The server key that was prepared last: a round's is needed again when its duty is tried again.
    prepared: Mutex<Option<(ContentHash, Arc<GuardServerKey>)>>,
}

impl GuardKeyring {
    /// The keyring of a hospital's home.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open(home: &Path) -> Result<Self, FileError> {
        files::create_private_dir(&home.join("guard"))?;
        Ok(Self { home: home.to_path_buf(), prepared: Mutex::new(None) })
    }

    fn secret_path(&self) -> PathBuf {
        self.home.join("secrets").join("guard.key")
    }

    fn public_path(&self) -> PathBuf {
        self.home.join("guard").join("public.key")
    }

    fn server_path(&self) -> PathBuf {
        self.home.join("guard").join("server.key")
    }

    /// The own public key's bytes.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn public_key(&self) -> Result<Vec<u8>, FileError> {
        files::read_bytes(&self.public_path(), GuardPublicKey::ENCODED_BYTES as u64)
    }

    /// The own server key's bytes.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn server_key(&self) -> Result<Vec<u8>, FileError> {
        files::read_bytes(&self.server_path(), GuardServerKey::ENCODED_BYTES as u64)
    }

    /// The own secret key.
    ///
    /// # Errors
    /// [`GuardKeyError`].
    pub fn secret_key(&self) -> Result<GuardSecretKey, GuardKeyError> {
        let path = self.secret_path();
        let bytes = zeroize::Zeroizing::new(files::read_bytes(&path, 65_536)?);
        if files::is_exposed(&path) {
            return Err(SecretError::Exposed(path).into());
        }
        Ok(GuardSecretKey::from_bytes(&bytes)?)
    }

    /// The key to which contributions are sealed when this hospital is aggregator.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn sealing_key(&self) -> Result<SealingKey, SecretError> {
        secrets::read(&self.home, Kind::Sealing).map(|seed| SealingKey::from_seed(*seed))
    }

    /// What the ledger is told about the own keys, which are made where they are missing. Blocks for seconds then.
    ///
    /// # Errors
    /// [`GuardKeyError`].
    pub fn ensure(&self) -> Result<RegisterGuardKeys, GuardKeyError> {
        if !secrets::path(&self.home, Kind::Sealing).exists() {
            secrets::create(&self.home, Kind::Sealing, &random_bytes()?)?;
        }
        if !self.secret_path().exists() {
            let keys = GuardKeys::generate()?;
            files::replace(&self.server_path(), &keys.server, Readable::ByOwner)?;
            files::replace(&self.public_path(), &keys.public.to_bytes(), Readable::ByOwner)?;
            files::create(&self.secret_path(), &keys.secret.to_bytes(), Readable::ByOwner)?;
        }
        let (public_key, server_key) = (self.public_key()?, self.server_key()?);
        if GuardPublicKey::from_bytes(&public_key)?.fingerprint() != self.secret_key()?.fingerprint() {
            return Err(GuardKeyError::Mixed);
        }
        let blob = |bytes: &[u8]| Blob { hash: hash::content(bytes), bytes: bytes.len() as u64 };
        let sealing_key = self.sealing_key()?.public_key();
        Ok(RegisterGuardKeys { public_key: blob(&public_key), server_key: blob(&server_key), sealing_key })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_and_belong_together() {
        let home = tempfile::tempdir().expect("a temporary folder");
        files::create_private_dir(&home.path().join("secrets")).expect("a folder");
        let keyring = GuardKeyring::open(home.path()).expect("a keyring");
        let keys = keyring.ensure().expect("keys");
        assert_eq!(keyring.ensure().expect("the same keys"), keys);
        let again = GuardKeyring::open(home.path()).expect("a keyring").ensure().expect("the same keys");
        assert_eq!(again, keys);

        // Of another home, or cut short.
        files::replace(&keyring.public_path(), &[0; 48], Readable::ByOwner).expect("a file");
        assert!(matches!(keyring.ensure(), Err(GuardKeyError::Damaged(_))));
        let (_, other) = consilium_engine::cells::StudySecretKey::generate().expect("a key");
        files::replace(&keyring.public_path(), &other.to_bytes(), Readable::ByOwner).expect("a file");
        assert!(keyring.ensure().is_err());

        // A crash before the secret key was written.
        std::fs::remove_file(keyring.secret_path()).expect("a file");
        let renewed = keyring.ensure().expect("new keys");
        assert_ne!(renewed.public_key, keys.public_key);
        assert_eq!(renewed.sealing_key, keys.sealing_key);
    }
}
