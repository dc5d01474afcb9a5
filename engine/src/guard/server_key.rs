//! What the aggregator computes with: a key switching key and a bootstrapping key, and how they are sent.
//!
//! Both are encryptions under the custodian's keys, made from seeds that expand to their uniform halves, so that only the
//! other halves are sent, as words:
//!
//! ```text
//! offset       bytes        field
//!      0          48        header: magic `csl-gsrv`, version 1, 0, dimension, parameters, fingerprint of the public key
//!     48          16        seed of the key switching key's masks
//!     64          16        seed of the bootstrapping key's masks
//!     80      65,536        key switching key: a body word per level and bit of the big key
//! 65,616  30,081,024        bootstrapping key: two polynomials of 2,048 words per bit of the small key
//! ```

use std::fmt;

use concrete_csprng::generators::SoftwareRandomGenerator;
use tfhe::core_crypto::commons::math::random::{ByteRandomGenerator, Seed};
use tfhe::core_crypto::prelude::{
    DefaultRandomGenerator, EncryptionRandomGenerator, FourierLweBootstrapKey, FourierLweBootstrapKeyOwned,
    GlweSecretKey, LweBootstrapKey, LweKeyswitchKey, LweKeyswitchKeyOwned, LweSecretKey, SecretRandomGenerator,
    SeededLweBootstrapKey, SeededLweKeyswitchKey, Seeder, decompress_seeded_lwe_bootstrap_key,
    decompress_seeded_lwe_keyswitch_key, generate_binary_lwe_secret_key,
    generate_seeded_lwe_bootstrap_key_with_pre_seeded_generator,
    generate_seeded_lwe_keyswitch_key_with_pre_seeded_generator, par_convert_standard_lwe_bootstrap_key_to_fourier,
};
use zeroize::Zeroizing;

use super::parameters::{self, SET, SMALL_NOISE};
use crate::cells::format::{self, HEADER_BYTES, Header, Kind};
use crate::cells::keystream::has_aes_instructions;
use crate::cells::parameters::{DEGREE, DIMENSION, MODULUS, NOISE};
use crate::cells::{CiphertextError, KeyFingerprint};

const SERVER_KEY: Kind =
    Kind { magic: b"csl-gsrv", name: "a custodian's server key", parameters: parameters::fingerprint };

const SEED_BYTES: usize = 16;
const SWITCHING_WORDS: usize = DEGREE * SET.ks_level.0;
const BOOTSTRAPPING_WORDS: usize = SET.lwe_dimension.0 * SET.pbs_level.0 * 2 * DEGREE;

/// All that is random in a server key. The two of a pair are for the key switching key and the bootstrapping key.
pub(super) struct ServerKeySeeds {
    pub(super) small_key: u128,
    pub(super) noise: [u128; 2],
    pub(super) masks: [u128; 2],
}

/// The custodian's server key, ready to bootstrap with: about 130 MiB. It opens nothing.
pub struct GuardServerKey {
    switching: LweKeyswitchKeyOwned<u64>,
    bootstrapping: FourierLweBootstrapKeyOwned,
    public_key: KeyFingerprint,
}

impl GuardServerKey {
    /// The length of the bytes of a server key: what to expect before fetching one.
    pub const ENCODED_BYTES: usize =
        HEADER_BYTES + 2 * SEED_BYTES + (SWITCHING_WORDS + BOOTSTRAPPING_WORDS) * size_of::<u64>();

    /// Reads and prepares a server key, in about a second. That it is the one on the ledger is for its hash to say.
    ///
    /// # Errors
    /// When the bytes are of another kind, version, length or set of parameters.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CiphertextError> {
        let (header, payload) = Header::read(SERVER_KEY, bytes)?;
        header.check_key()?;
        format::check_length(payload, Self::ENCODED_BYTES - HEADER_BYTES)?;
        let (seeds, words) = payload.split_at(2 * SEED_BYTES);
        let (switching, bootstrapping) = words.split_at(SWITCHING_WORDS * size_of::<u64>());
        let (seeds, _) = seeds.as_chunks();
        let masks = [u128::from_le_bytes(seeds[0]), u128::from_le_bytes(seeds[1])];
        let expand = if has_aes_instructions() {
            expand_by::<DefaultRandomGenerator>
        } else {
            expand_by::<SoftwareRandomGenerator>
        };
        let (switching, bootstrapping) =
            expand(masks, format::read_words(switching), format::read_words(bootstrapping));
        Ok(Self { switching, bootstrapping, public_key: KeyFingerprint::from_bytes(header.tag) })
    }

    /// The public key it belongs to.
    pub fn fingerprint(&self) -> KeyFingerprint {
        self.public_key
    }

    pub(super) fn switching(&self) -> &LweKeyswitchKeyOwned<u64> {
        &self.switching
    }

    pub(super) fn bootstrapping(&self) -> &FourierLweBootstrapKeyOwned {
        &self.bootstrapping
    }
}

impl fmt::Debug for GuardServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GuardServerKey({:?})", self.public_key)
    }
}

/// The bytes of a server key for the big key `bits`.
pub(super) fn generate(bits: &[u64], public_key: KeyFingerprint, seeds: &ServerKeySeeds) -> Vec<u8> {
    let generate = if has_aes_instructions() {
        generate_by::<DefaultRandomGenerator>
    } else {
        generate_by::<SoftwareRandomGenerator>
    };
    let (switching, bootstrapping) = generate(bits, seeds);
    let mut out = Vec::with_capacity(GuardServerKey::ENCODED_BYTES);
    Header::of_key(*public_key.as_bytes()).write(SERVER_KEY, &mut out);
    seeds.masks.iter().for_each(|seed| out.extend_from_slice(&seed.to_le_bytes()));
    format::write_words(&switching, &mut out);
    format::write_words(&bootstrapping, &mut out);
    out
}

/// Hands tfhe-rs a seed that was drawn before.
struct DrawnSeed(u128);

impl Seeder for DrawnSeed {
    fn seed(&mut self) -> Seed {
        Seed(self.0)
    }

    fn is_available() -> bool {
        true
    }
}

/// The bits of the small key.
pub(super) fn small_key_by<G: ByteRandomGenerator>(seed: u128) -> Zeroizing<Vec<u64>> {
    let mut bits = Zeroizing::new(vec![0u64; SET.lwe_dimension.0]);
    let mut key = LweSecretKey::from_container(bits.as_mut_slice());
    generate_binary_lwe_secret_key(&mut key, &mut SecretRandomGenerator::<G>::new(Seed(seed)));
    bits
}

pub(super) fn generate_by<G: ByteRandomGenerator>(bits: &[u64], seeds: &ServerKeySeeds) -> (Vec<u64>, Vec<u64>) {
    let small = small_key_by::<G>(seeds.small_key);
    let small = LweSecretKey::from_container(small.as_slice());
    let [switching_masks, bootstrapping_masks] = seeds.masks;
    let [mut switching_noise, mut bootstrapping_noise] = seeds.noise.map(DrawnSeed);
    let mut switching = SeededLweKeyswitchKey::new(
        0,
        SET.ks_base_log,
        SET.ks_level,
        DIMENSION,
        SET.lwe_dimension,
        Seed(switching_masks).into(),
        MODULUS,
    );
    let big = LweSecretKey::from_container(bits);
    let mut generator = EncryptionRandomGenerator::<G>::new(Seed(switching_masks), &mut switching_noise);
    generate_seeded_lwe_keyswitch_key_with_pre_seeded_generator(
        &big,
        &small,
        &mut switching,
        SMALL_NOISE,
        &mut generator,
    );

    let mut bootstrapping = SeededLweBootstrapKey::new(
        0,
        SET.glwe_dimension.to_glwe_size(),
        SET.polynomial_size,
        SET.pbs_base_log,
        SET.pbs_level,
        SET.lwe_dimension,
        Seed(bootstrapping_masks).into(),
        MODULUS,
    );
    let ring = GlweSecretKey::from_container(bits, SET.polynomial_size);
    let mut generator = EncryptionRandomGenerator::<G>::new(Seed(bootstrapping_masks), &mut bootstrapping_noise);
    generate_seeded_lwe_bootstrap_key_with_pre_seeded_generator(
        &small,
        &ring,
        &mut bootstrapping,
        NOISE,
        &mut generator,
    );
    (switching.into_container(), bootstrapping.into_container())
}

fn expand_by<G: ByteRandomGenerator>(
    [switching_masks, bootstrapping_masks]: [u128; 2],
    switching: Vec<u64>,
    bootstrapping: Vec<u64>,
) -> (LweKeyswitchKeyOwned<u64>, FourierLweBootstrapKeyOwned) {
    let seeded = SeededLweKeyswitchKey::from_container(
        switching,
        SET.ks_base_log,
        SET.ks_level,
        SET.lwe_dimension.to_lwe_size(),
        Seed(switching_masks).into(),
        MODULUS,
    );
    let mut switching = LweKeyswitchKey::new(0, SET.ks_base_log, SET.ks_level, DIMENSION, SET.lwe_dimension, MODULUS);
    decompress_seeded_lwe_keyswitch_key::<u64, _, _, G>(&mut switching, &seeded);

    let (glwe_size, size) = (SET.glwe_dimension.to_glwe_size(), SET.polynomial_size);
    let seeded = SeededLweBootstrapKey::from_container(
        bootstrapping,
        glwe_size,
        size,
        SET.pbs_base_log,
        SET.pbs_level,
        Seed(bootstrapping_masks).into(),
        MODULUS,
    );
    let mut standard =
        LweBootstrapKey::new(0, glwe_size, size, SET.pbs_base_log, SET.pbs_level, SET.lwe_dimension, MODULUS);
    decompress_seeded_lwe_bootstrap_key::<u64, _, _, G>(&mut standard, &seeded);
    let mut fourier = FourierLweBootstrapKey::new(SET.lwe_dimension, glwe_size, size, SET.pbs_base_log, SET.pbs_level);
    par_convert_standard_lwe_bootstrap_key_to_fourier(&standard, &mut fourier);
    (switching, fourier)
}
