//! A hospital's keys for roles in guarded studies: a set for one round, made before it is drawn and deleted after.
//!
//! | file | what |
//! |---|---|
//! | `secrets/guard/<hash>.set` | what all of it is made of, named by the hash of the key to which others seal; written first: a key without its set is nobody's, and one that is missing is made again |
//! | `guard/<hash>.key` | a public key (16 KiB, for the hospitals of a round) or a server key (29 MiB, for its aggregator), by its hash; others' too, once they were fetched |
//!
//! Where the consortium's policy asks for several sets of custodian's keys, of which one is drawn, their public and server keys are
//! not kept: those of the drawn one are made again once the others are opened.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use borsh::{BorshDeserialize, BorshSerialize};
use consilium_engine::cells::CiphertextError;
use consilium_engine::guard::{GuardKeys, GuardSecretKey, GuardServerKey, KeySeed};
use consilium_protocol::hash;
use consilium_protocol::ids::ContentHash;
use consilium_protocol::kem::{KemPublicKey, KemSecretKey};
use consilium_protocol::keys::{NoRandomness, random_bytes};
use consilium_protocol::tx::{Blob, KeySet, RegisterGuardKeys};
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
    /// What keys are made of is something else.
    #[error("{0} holds no keys for a guarded round; delete it, and the node makes others")]
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

/// What all keys for one round are made of.
#[derive(BorshSerialize, BorshDeserialize, Zeroize, ZeroizeOnDrop)]
struct Secrets {
    /// Of each set of a custodian's keys.
    seeds: Vec<[u8; KeySeed::BYTES]>,
    sealing: [u8; 32],
    /// What the ledger is told.
    #[zeroize(skip)]
    announced: RegisterGuardKeys,
}

impl Secrets {
    fn sealing_key(&self) -> KemSecretKey {
        KemSecretKey::from_seed(Zeroizing::new(self.sealing))
    }

    /// The seed of the set with this public key.
    fn seed_of(&self, public_key: &ContentHash) -> Option<KeySeed> {
        let place = self.announced.sets.iter().position(|set| set.public_key.hash == *public_key)?;
        self.seeds.get(place).map(|seed| KeySeed::from_bytes(*seed))
    }
}

/// What the ledger is told of keys.
fn announced(keys: &GuardKeys) -> KeySet {
    let (public, server) = keys.hashes();
    let bytes = (keys.public.to_bytes().len() as u64, keys.server.len() as u64);
    KeySet { public_key: Blob { hash: public, bytes: bytes.0 }, server_key: Blob { hash: server, bytes: bytes.1 } }
}

/// Whether each of these is made of its seed. Blocks for a second each.
pub(super) fn are_made_of(sets: &[(KeySet, [u8; KeySeed::BYTES])]) -> bool {
    sets.iter().all(|(set, seed)| announced(&GuardKeys::from_seed(&KeySeed::from_bytes(*seed))) == *set)
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

    fn set_path(&self, name: &ContentHash) -> PathBuf {
        self.secrets.join(format!("{name}.set"))
    }

    fn key_path(&self, hash: &ContentHash) -> PathBuf {
        self.keys.join(format!("{hash}.key"))
    }

    /// A public or server key, the own or one that was fetched, if it is here. A file that is not what its name says is deleted,
    /// so that the key is made or fetched again.
    pub fn key(&self, hash: &ContentHash) -> Option<Vec<u8>> {
        let path = self.key_path(hash);
        let bytes = files::read_bytes(&path, GuardServerKey::ENCODED_BYTES as u64).ok()?;
        if hash::content(&bytes) == *hash {
            return Some(bytes);
        }
        warn!(key = %path.display(), "it was damaged on disk, and is deleted");
        let _ = files::delete(&path).inspect_err(|error| warn!(%error, "a damaged key is still there"));
        None
    }

    /// Keeps another hospital's key, whose hash was checked.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn keep(&self, hash: &ContentHash, bytes: &[u8]) -> Result<(), FileError> {
        files::replace(&self.key_path(hash), bytes, Readable::ByOwner)
    }

    fn set(&self, name: &ContentHash) -> Result<Secrets, GuardKeyError> {
        let path = self.set_path(name);
        let bytes = match files::read_bytes(&path, MAX_SET_BYTES) {
            Err(FileError::Missing(_)) => return Err(GuardKeyError::Gone),
            other => Zeroizing::new(other?),
        };
        if files::is_exposed(&path) {
            return Err(SecretError::Exposed(path).into());
        }
        borsh::from_slice(&bytes).map_err(|_| GuardKeyError::Malformed(path))
    }

    /// All that can be read. What cannot is left out.
    fn all(&self) -> impl Iterator<Item = Secrets> {
        let readable = |name: ContentHash| self.set(&name).inspect_err(|error| warn!(%error, "left out")).ok();
        names(&self.secrets, ".set").into_iter().filter_map(readable)
    }

    /// The custodian's secret key of a set, by the hash of its public key.
    ///
    /// # Errors
    /// [`GuardKeyError::Gone`] when it is not here.
    pub fn secret_key(&self, public_key: &ContentHash) -> Result<GuardSecretKey, GuardKeyError> {
        let seed = self.all().find_map(|secrets| secrets.seed_of(public_key)).ok_or(GuardKeyError::Gone)?;
        Ok(GuardSecretKey::from_seed(&seed))
    }

    /// The key to which contributions were sealed, whose public half this is.
    ///
    /// # Errors
    /// [`GuardKeyError::Gone`] when no set has it.
    pub fn sealing_key(&self, public: &KemPublicKey) -> Result<KemSecretKey, GuardKeyError> {
        let found = self.all().find(|secrets| secrets.announced.sealing_key == *public);
        Ok(found.ok_or(GuardKeyError::Gone)?.sealing_key())
    }

    fn keys(&self) -> Vec<ContentHash> {
        names(&self.keys, ".key")
    }

    /// All that is here: what the ledger is told of the own keys, by round, and the public and server keys, the own and others'.
    /// A set that is being made is among the first if anything of it is among the second.
    pub fn kept(&self) -> (Vec<RegisterGuardKeys>, Vec<ContentHash>) {
        let keys = self.keys();
        (self.announced(), keys)
    }

    /// What the ledger is told of all keys of this home, by round. What cannot be read is left out.
    pub fn announced(&self) -> Vec<RegisterGuardKeys> {
        self.all().map(|secrets| secrets.announced.clone()).collect()
    }

    /// Makes keys for another round, with so many sets for a custodian. Blocks for a second for each.
    ///
    /// # Errors
    /// [`GuardKeyError`].
    pub fn make(&self, sets: u32) -> Result<RegisterGuardKeys, GuardKeyError> {
        let mut seeds = Zeroizing::new(Vec::new());
        let (mut made, mut last) = (Vec::new(), None);
        for _ in 0..sets {
            let seed: [u8; KeySeed::BYTES] = random_bytes()?;
            let keys = GuardKeys::from_seed(&KeySeed::from_bytes(seed));
            seeds.push(seed);
            made.push(announced(&keys));
            last = Some(keys);
        }
        let sealing = random_bytes()?;
        let sealing_key = KemSecretKey::from_seed(Zeroizing::new(sealing)).public_key();
        let announced = RegisterGuardKeys { sets: made, sealing_key };
        let set = Secrets { seeds: std::mem::take(&mut seeds), sealing, announced: announced.clone() };
        // Writing to a vector cannot fail.
        let bytes = Zeroizing::new(borsh::to_vec(&set).unwrap_or_default());
        files::create(&self.set_path(&name_of(&sealing_key)), &bytes, Readable::ByOwner)?;
        // Where there is but one, it will be the drawn one.
        if let (1, Some(keys)) = (sets, last) {
            self.keep_keys(&keys)?;
        }
        Ok(announced)
    }

    /// Makes again what is missing of the public and server keys that others will ask for, which are those of the drawn sets (by
    /// the hashes of their public keys) and of those that no other stands beside: it could not be written, or is lost. Blocks for
    /// a second for each; tells how many sets.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn complete(&self, drawn: &[ContentHash]) -> Result<usize, FileError> {
        let mut made = 0;
        for secrets in self.all() {
            let sets = &secrets.announced.sets;
            let is_asked_for = |set: &KeySet| sets.len() == 1 || drawn.contains(&set.public_key.hash);
            let is_missing = |set: &KeySet| !set.hashes().iter().all(|hash| self.key_path(hash).exists());
            for (_, seed) in sets.iter().zip(&secrets.seeds).filter(|(set, _)| is_asked_for(set) && is_missing(set)) {
                self.keep_keys(&GuardKeys::from_seed(&KeySeed::from_bytes(*seed)))?;
                made += 1;
            }
        }
        Ok(made)
    }

    fn keep_keys(&self, keys: &GuardKeys) -> Result<(), FileError> {
        let (public, server) = keys.hashes();
        self.keep(&server, &keys.server)?;
        self.keep(&public, &keys.public.to_bytes())
    }

    /// What the sets beside the drawn one are made of, in their order; the public and server key of the drawn one are kept from then
    /// on. Blocks for a second.
    ///
    /// # Errors
    /// [`GuardKeyError`].
    pub fn open_others(&self, drawn: &ContentHash) -> Result<Vec<[u8; KeySeed::BYTES]>, GuardKeyError> {
        let has_it = |secrets: &Secrets| secrets.seed_of(drawn).is_some();
        let secrets = self.all().find(has_it).ok_or(GuardKeyError::Gone)?;
        let seed = secrets.seed_of(drawn).ok_or(GuardKeyError::Gone)?;
        self.keep_keys(&GuardKeys::from_seed(&seed))?;
        let all = secrets.announced.sets.iter().zip(&secrets.seeds);
        Ok(all.filter(|(set, _)| set.public_key.hash != *drawn).map(|(_, seed)| *seed).collect())
    }

    /// Deletes what the keys for a round are made of, which others sealed to by this key.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn forget_set(&self, sealing_key: &KemPublicKey) -> Result<(), FileError> {
        files::delete(&self.set_path(&name_of(sealing_key)))
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

/// The name of a file of secrets.
fn name_of(sealing_key: &KemPublicKey) -> ContentHash {
    hash::content(sealing_key.as_bytes())
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
    fn keys_are_kept_until_they_are_forgotten() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let keys = keyring(home.path());
        let first = keys.make(1).expect("keys");
        assert_eq!(keyring(home.path()).announced(), std::slice::from_ref(&first));
        let KeySet { public_key, server_key } = first.sets[0];
        let second = keys.make(1).expect("others");
        assert!(second.sets != first.sets && second.sealing_key != first.sealing_key);
        assert_eq!(keys.announced().len(), 2);

        let opened = keys.sealing_key(&first.sealing_key).expect("its key").public_key();
        assert_eq!(opened, first.sealing_key);
        let bytes = keys.key(&public_key.hash).expect("the public key");
        let fingerprint = consilium_engine::guard::GuardPublicKey::from_bytes(&bytes).expect("a key").fingerprint();
        assert_eq!(keys.secret_key(&public_key.hash).expect("the secret key").fingerprint(), fingerprint);
        assert_eq!(keys.key(&server_key.hash).expect("the server key").len() as u64, server_key.bytes);
        assert_eq!(keys.open_others(&public_key.hash).expect("opened"), [[0; 32]; 0], "there are no others");

        keys.forget_set(&first.sealing_key).expect("deleted");
        keys.forget_key(&public_key.hash).expect("deleted");
        keys.forget_key(&server_key.hash).expect("deleted");
        assert_eq!(keys.announced(), [second]);
        assert!(keys.key(&public_key.hash).is_none() && keys.key(&server_key.hash).is_none());
        assert!(matches!(keys.secret_key(&public_key.hash), Err(GuardKeyError::Gone)));
        assert!(matches!(keys.sealing_key(&first.sealing_key), Err(GuardKeyError::Gone)));
        assert!(matches!(keys.open_others(&public_key.hash), Err(GuardKeyError::Gone)));
    }

    #[test]
    fn of_several_sets_one_is_made_again_and_the_others_are_opened() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let keys = keyring(home.path());
        let made = keys.make(3).expect("keys");
        assert!(keys.keys().is_empty(), "nothing of 29 MiB is kept of what may not be drawn");
        let drawn = made.sets[1];
        let seeds = keys.open_others(&drawn.public_key.hash).expect("opened");
        let mut kept = [drawn.public_key.hash, drawn.server_key.hash];
        kept.sort_unstable();
        assert_eq!(keys.keys(), kept);
        assert_eq!(keys.key(&drawn.server_key.hash).map(|bytes| bytes.len() as u64), Some(drawn.server_key.bytes));
        let key = keys.secret_key(&drawn.public_key.hash).expect("its secret key").fingerprint();
        let bytes = keys.key(&drawn.public_key.hash).expect("its public key");
        assert_eq!(consilium_engine::guard::GuardPublicKey::from_bytes(&bytes).map(|key| key.fingerprint()), Ok(key));

        let others = [(made.sets[0], seeds[0]), (made.sets[2], seeds[1])];
        assert!(are_made_of(&others));
        assert!(!are_made_of(&[(made.sets[0], seeds[1])]), "the seed of another");
        let mut longer = made.sets[2];
        longer.server_key.bytes += 1;
        assert!(!are_made_of(&[others[0], (longer, seeds[1])]));
        let crafted = KeySet { server_key: drawn.server_key, ..made.sets[2] };
        assert!(!are_made_of(&[others[0], (crafted, seeds[1])]), "the last of them");
    }

    #[test]
    fn a_key_is_never_here_without_its_set_and_is_made_again_where_it_is_missing() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let keys = keyring(home.path());
        let is_over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                (0..2).for_each(|_| drop(keys.make(1).expect("keys")));
                is_over.store(true, std::sync::atomic::Ordering::SeqCst);
            });
            while !is_over.load(std::sync::atomic::Ordering::SeqCst) {
                let (sets, kept) = keys.kept();
                let of_sets: Vec<_> = sets.iter().flat_map(|of| of.sets[0].hashes()).collect();
                assert!(kept.iter().all(|key| of_sets.contains(key)), "what has no set would be deleted");
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        });
        assert_eq!(keys.complete(&[]).expect("complete"), 0);

        // The disk is full, or somebody else's, when the keys are to be written.
        std::fs::remove_dir_all(&keys.keys).expect("removed");
        std::fs::write(&keys.keys, b"").expect("a file");
        assert!(matches!(keys.make(1), Err(GuardKeyError::File(_))));
        assert!(keys.complete(&[]).is_err());
        std::fs::remove_file(&keys.keys).expect("removed");
        files::create_private_dir(&keys.keys).expect("a folder");
        assert_eq!(keys.complete(&[]).expect("made again"), 3);
        for set in keys.announced() {
            assert!(set.sets[0].hashes().iter().all(|hash| keys.key(hash).is_some()));
        }
        // Which of several will be drawn is not known before.
        let drawn = keys.make(2).expect("two sets").sets[1];
        assert_eq!(keys.complete(&[]).expect("complete"), 0);
        assert_eq!(keys.complete(&[drawn.public_key.hash]).expect("made again"), 1);
        assert!(drawn.hashes().iter().all(|hash| keys.key(hash).is_some()));
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
        assert_eq!(keys.keys(), [hash]);
        assert_eq!(keys.key(&hash), None);
        assert!(keys.keys().is_empty(), "so that it is made or fetched again");
        files::replace(&keys.set_path(&hash), b"no set", Readable::ByOwner).expect("a file");
        assert!(matches!(keys.set(&hash), Err(GuardKeyError::Malformed(_))));
        assert!(matches!(keys.secret_key(&hash), Err(GuardKeyError::Gone)));
    }
}
