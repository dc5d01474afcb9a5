//! The custodian's keys: a secret key it keeps, a public key for the hospitals, a server key for the aggregator.
//!
//! The secret key and the public key are those of [`crate::cells`], under headers of their own so that neither is taken
//! for a study's. The small key that the server key leads through is erased once the server key is made.
//!
//! All of it follows from one [`KeySeed`], so that whoever is given the seed can make the same keys and compare:
//!
//! ```text
//! seeds = HKDF-SHA256(ikm = key seed, salt = "consilium/guard/keys/v1"), eight of 16 bytes, little-endian, for: the secret key; the
//!         noise and the mask of the public key; the small key; the noise of the key switching and of the bootstrapping key; the
//!         masks of these
//! ```

use std::fmt;

use consilium_protocol::hash;
use consilium_protocol::ids::ContentHash;
use consilium_protocol::keys::{NoRandomness, random_bytes};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::parameters;
use super::server_key::{self, ServerKeySeeds};
use crate::cells::format::Kind;
use crate::cells::keys::KeySeeds;
use crate::cells::{CiphertextError, KeyFingerprint, StudyPublicKey, StudySecretKey};

const PUBLIC_KEY: Kind =
    Kind { magic: b"csl-gpub", name: "a custodian's public key", parameters: parameters::fingerprint };

const SALT: &[u8] = b"consilium/guard/keys/v1";
const SEEDS: usize = 8;

/// What a custodian's keys for one round are made of. Erased when dropped, never printed.
pub struct KeySeed(Zeroizing<[u8; KeySeed::BYTES]>);

impl KeySeed {
    /// The length of a seed.
    pub const BYTES: usize = 32;

    /// A fresh seed.
    ///
    /// # Errors
    /// [`NoRandomness`] when the operating system refuses.
    pub fn random() -> Result<Self, NoRandomness> {
        Ok(Self(Zeroizing::new(random_bytes()?)))
    }

    /// The seed of these bytes.
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    fn expand(&self) -> Zeroizing<[u128; SEEDS]> {
        let mut bytes = Zeroizing::new([0; SEEDS * size_of::<u128>()]);
        let hkdf = Hkdf::<Sha256>::new(Some(SALT), self.0.as_ref());
        hkdf.expand(&[], bytes.as_mut()).expect("HKDF-SHA256 gives up to 8,160 bytes, and this asks for 128");
        let mut seeds = Zeroizing::new([0; SEEDS]);
        let (words, _) = bytes.as_chunks();
        seeds.iter_mut().zip(words).for_each(|(seed, word)| *seed = u128::from_le_bytes(*word));
        seeds
    }
}

/// What a custodian generates for one round.
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
        Ok(Self::from_seed(&KeySeed::random()?))
    }

    /// The keys of a seed: the same ones everywhere. Takes seconds of one core.
    pub fn from_seed(seed: &KeySeed) -> Self {
        let [secret, noise, mask, small_key, noise_1, noise_2, mask_1, mask_2] = *seed.expand();
        let (secret, public) = StudySecretKey::from_seeds(&KeySeeds { secret, noise, mask });
        let seeds = ServerKeySeeds { small_key, noise: [noise_1, noise_2], masks: [mask_1, mask_2] };
        Self::with_seeds(secret, public, &seeds)
    }

    /// The hashes by which the ledger knows the public and the server key.
    pub fn hashes(&self) -> (ContentHash, ContentHash) {
        (hash::content(&self.public.to_bytes()), hash::content(&self.server))
    }

    pub(super) fn with_seeds(secret: StudySecretKey, public: StudyPublicKey, seeds: &ServerKeySeeds) -> Self {
        let server = server_key::generate(secret.bits(), public.fingerprint(), seeds);
        Self { secret: GuardSecretKey(secret), public: GuardPublicKey(public), server }
    }
}

impl GuardSecretKey {
    /// The secret key of a seed, without the others. Takes milliseconds.
    pub fn from_seed(seed: &KeySeed) -> Self {
        let [secret, noise, mask, ..] = *seed.expand();
        Self(StudySecretKey::from_seeds(&KeySeeds { secret, noise, mask }).0)
    }

    /// The public key it belongs to.
    pub fn fingerprint(&self) -> KeyFingerprint {
        self.0.fingerprint()
    }

    pub(super) fn bits(&self) -> &[u64] {
        self.0.bits()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_those_of_hkdf() {
        // By another implementation of RFC 5869.
        let expected = [
            0x916b_5d7f_8700_e6a8_5127_604c_928a_8583,
            0x2f15_8f83_cbcc_0225_90c5_a496_f32b_4057,
            0xe541_4bb4_1113_3902_1910_b27e_39a9_3181,
            0x4c9d_1109_31ab_bdbf_0703_b063_e364_6961,
            0xa7ba_6536_5b72_ebbc_7360_cac8_a6d3_05b6,
            0x2ff7_f18f_17f5_5dee_4899_7950_39a6_5d1c,
            0xd899_f2cd_df38_4374_1d95_9fe6_982b_5ff0,
            0xb4e6_0dc1_4d75_c764_8efc_f73e_d820_951b,
        ];
        assert_eq!(*KeySeed::from_bytes([7; 32]).expand(), expected);
    }
}
