//! The custodian's keys: a secret key it keeps, a public key for the hospitals, a server key for the aggregator.
//!
//! The secret key and the public key are those of [`crate::cells`], under headers of their own so that neither is taken
//! for a study's. The small key that the server key leads through is erased once the server key is made.

use std::fmt;

use consilium_protocol::keys::NoRandomness;
use zeroize::Zeroizing;

use super::parameters;
use super::server_key::{self, ServerKeySeeds};
use crate::cells::format::Kind;
use crate::cells::keys::random_seed;
use crate::cells::{CiphertextError, KeyFingerprint, StudyPublicKey, StudySecretKey};

const SECRET_KEY: Kind =
    Kind { magic: b"csl-gsec", name: "a custodian's secret key", parameters: parameters::fingerprint };
const PUBLIC_KEY: Kind =
    Kind { magic: b"csl-gpub", name: "a custodian's public key", parameters: parameters::fingerprint };

/// What a custodian generates for one study.
pub struct GuardKeys {
    /// Stays with the custodian.
    pub secret: GuardSecretKey,
    /// For every hospital of the roster.
    pub public: GuardPublicKey,
    /// For the aggregator: the bytes that [`GuardServerKey::from_bytes`](super::GuardServerKey::from_bytes) reads.
    pub server: Vec<u8>,
}

/// The custodian's secret key. Erased when dropped, never printed.
pub struct GuardSecretKey(StudySecretKey);

/// The custodian's public key, under which hospitals encrypt their blinded, capped counts: 16,432 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct GuardPublicKey(StudyPublicKey);

impl GuardKeys {
    /// Fresh keys. Takes seconds of one core, most of them for the server key.
    ///
    /// # Errors
    /// [`NoRandomness`] when the operating system refuses.
    pub fn generate() -> Result<Self, NoRandomness> {
        let (secret, public) = StudySecretKey::generate()?;
        let seeds = ServerKeySeeds {
            small_key: random_seed()?,
            noise: [random_seed()?, random_seed()?],
            masks: [random_seed()?, random_seed()?],
        };
        Ok(Self::with_seeds(secret, public, &seeds))
    }

    pub(super) fn with_seeds(secret: StudySecretKey, public: StudyPublicKey, seeds: &ServerKeySeeds) -> Self {
        let server = server_key::generate(secret.bits(), public.fingerprint(), seeds);
        Self { secret: GuardSecretKey(secret), public: GuardPublicKey(public), server }
    }
}

impl GuardSecretKey {
    /// The length of [`GuardSecretKey::to_bytes`].
    pub const ENCODED_BYTES: usize = StudySecretKey::ENCODED_BYTES;

    /// The public key it belongs to.
    pub fn fingerprint(&self) -> KeyFingerprint {
        self.0.fingerprint()
    }

    pub(super) fn bits(&self) -> &[u64] {
        self.0.bits()
    }

    /// The key for storage, in the layout of a study's secret key.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        self.0.encode(SECRET_KEY)
    }

    /// Reads what [`GuardSecretKey::to_bytes`] wrote.
    ///
    /// # Errors
    /// When the bytes are anything else, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CiphertextError> {
        StudySecretKey::decode(SECRET_KEY, bytes).map(Self)
    }
}

impl GuardPublicKey {
    /// The length of [`GuardPublicKey::to_bytes`].
    pub const ENCODED_BYTES: usize = StudyPublicKey::ENCODED_BYTES;

    /// What contributions under this key carry, and its secret and server key know.
    pub fn fingerprint(&self) -> KeyFingerprint {
        self.0.fingerprint()
    }

    pub(super) fn compact(&self) -> &StudyPublicKey {
        &self.0
    }

    /// The key for the ledger, in the layout of a study's public key.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.encode(PUBLIC_KEY)
    }

    /// Reads what [`GuardPublicKey::to_bytes`] wrote. That it is the custodian's is for the ledger to say.
    ///
    /// # Errors
    /// When the bytes are of another kind, version, length or set of parameters.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CiphertextError> {
        StudyPublicKey::decode(PUBLIC_KEY, bytes).map(Self)
    }
}

impl fmt::Debug for GuardSecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GuardSecretKey({:?})", self.fingerprint())
    }
}

impl fmt::Debug for GuardPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GuardPublicKey({:?})", self.fingerprint())
    }
}

impl fmt::Debug for GuardKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GuardKeys({:?}, server key of {} bytes)", self.public.fingerprint(), self.server.len())
    }
}
