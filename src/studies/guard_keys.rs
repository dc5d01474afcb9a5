//! Keys for guarded studies as the ledger and other members know them: the own are registered, those of others are kept
//! once they were fetched.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use consilium_engine::guard::GuardServerKey;
use consilium_protocol::hash;
use consilium_protocol::ids::ContentHash;
use consilium_protocol::study::Protection;
use consilium_protocol::tx::{Payload, RegisterGuardKeys};
use tracing::{info, warn};

use super::Studies;
use crate::home::files::{self, FileError, Readable};
use crate::replica::submit;

/// How often the ledger is looked at for a first guarded study.
const LOOK: Duration = Duration::from_millis(500);
/// How long a registration that failed is left alone.
const RETRY: Duration = Duration::from_secs(5);

/// Where other members' public and server keys are kept: `guard/<hash>.key` in the home.
#[derive(Debug)]
pub struct FetchedKeys {
    folder: PathBuf,
}

impl FetchedKeys {
    /// Those of a hospital's home.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open(home: &Path) -> Result<Self, FileError> {
        let folder = home.join("guard");
        files::create_private_dir(&folder)?;
        Ok(Self { folder })
    }

    fn path(&self, hash: &ContentHash) -> PathBuf {
        self.folder.join(format!("{hash}.key"))
    }

    /// A key that was fetched before.
    pub fn get(&self, hash: &ContentHash) -> Option<Vec<u8>> {
        let bytes = files::read_bytes(&self.path(hash), GuardServerKey::ENCODED_BYTES as u64).ok()?;
        (hash::content(&bytes) == *hash).then_some(bytes)
    }

    /// Keeps a key whose hash was checked.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn keep(&self, hash: &ContentHash, bytes: &[u8]) -> Result<(), FileError> {
        files::replace(&self.path(hash), bytes, Readable::ByOwner)
    }
}

/// Has the own keys made and registers them as soon as the ledger has a guarded study, and again whenever the ledger has
/// others.
pub(super) async fn register(studies: Arc<Studies>) {
    let replica = &studies.replica;
    let mut own: Option<RegisterGuardKeys> = None;
    loop {
        tokio::time::sleep(LOOK).await;
        let seen = replica.chain.read(|state| {
            let guarded = state.studies().any(|study| study.proposal.spec.protection == Protection::Guarded);
            (guarded, state.guard_keys(&replica.hospital).map(|kept| kept.keys))
        });
        // A ledger that cannot be read has been reported where it failed.
        let Ok((guarded, registered)) = seen else { continue };
        if (!guarded && registered.is_none()) || (own.is_some() && own == registered) {
            continue;
        }
        let keys = match own {
            Some(keys) => keys,
            None => match studies.vault.guard_keys().await {
                Ok(keys) => *own.insert(keys),
                Err(error) => {
                    warn!(%error, "the keys for guarded studies cannot be used");
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
            },
        };
        if Some(keys) == registered {
            continue;
        }
        match submit::own(replica, Payload::RegisterGuardKeys(keys)).await {
            Ok(_) => info!("the keys for guarded studies are registered on the ledger"),
            Err(error) => {
                warn!(%error, "the keys for guarded studies are not registered yet");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fetched_key_that_was_changed_is_fetched_again() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let keys = FetchedKeys::open(home.path()).expect("a folder");
        let hash = hash::content(b"key");
        assert_eq!(keys.get(&hash), None);
        keys.keep(&hash, b"key").expect("kept");
        assert_eq!(keys.get(&hash).as_deref(), Some(&b"key"[..]));
        keys.keep(&hash, b"kex").expect("kept");
        assert_eq!(keys.get(&hash), None);
    }
}
