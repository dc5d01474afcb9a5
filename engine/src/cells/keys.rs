//! The key pair of a study: the researcher keeps the secret key, the public key stands on the ledger.
//!
//! Both sides are tfhe-rs's: a binary LWE secret key and the compact public key to it, whose uniform half is stored as
//! the seed it was drawn from.

use std::fmt;

use consilium_protocol::hash::tagged;
use consilium_protocol::keys::{NoRandomness, random_bytes};
use consilium_protocol::study::key::is_study_key;
use tfhe::core_crypto::commons::math::random::{ByteRandomGenerator, Seed};
use tfhe::core_crypto::prelude::{
    DefaultRandomGenerator, EncryptionRandomGenerator, LweCompactPublicKey, LweSecretKey, SecretRandomGenerator,
    SeededLweCompactPublicKey, Seeder, decompress_seeded_lwe_compact_public_key, generate_binary_lwe_secret_key,
    generate_seeded_lwe_compact_public_key_with_pre_seeded_generator,
};
use zeroize::{Zeroize, Zeroizing};

use super::fingerprint::KeyFingerprint;
use super::format::{self, CiphertextError, Header, Kind};
use super::keystream::has_aes_instructions;
use super::parameters::{DEGREE, DIMENSION, MODULUS, NOISE};

const KEY_BIT_BYTES: usize = DEGREE / 8;
const CHECK_BYTES: usize = 16;

/// The researcher's secret key for one study. Erased when dropped, never printed.
pub struct StudySecretKey {
    bits: Zeroizing<Vec<u64>>,
    public_key: KeyFingerprint,
}

/// The public key of a study, under which hospitals encrypt their blinded cells: 16,432 bytes on the ledger.
#[derive(Clone, PartialEq, Eq)]
pub struct StudyPublicKey {
    mask_seed: [u8; 16],
    /// Expanded from the seed.
    mask: Vec<u64>,
    body: Vec<u64>,
    fingerprint: KeyFingerprint,
}

/// The three seeds of a key pair.
pub(crate) struct KeySeeds {
    pub(crate) secret: u128,
    pub(crate) noise: u128,
    pub(crate) mask: u128,
}

impl StudySecretKey {
    /// The length of [`StudySecretKey::to_bytes`].
    pub const ENCODED_BYTES: usize = format::HEADER_BYTES + KEY_BIT_BYTES + CHECK_BYTES;

    /// A fresh key pair.
    ///
    /// # Errors
    /// [`NoRandomness`] when the operating system refuses.
    pub fn generate() -> Result<(Self, StudyPublicKey), NoRandomness> {
        let (secret, noise, mask) = (random_seed()?, random_seed()?, random_seed()?);
        Ok(Self::from_seeds(&KeySeeds { secret, noise, mask }))
    }

    pub(crate) fn from_seeds(seeds: &KeySeeds) -> (Self, StudyPublicKey) {
        if has_aes_instructions() {
            generate_by::<DefaultRandomGenerator>(seeds)
        } else {
            generate_by::<concrete_csprng::generators::SoftwareRandomGenerator>(seeds)
        }
    }

    /// The public key that this key opens.
    pub fn fingerprint(&self) -> KeyFingerprint {
        self.public_key
    }

    /// The key bits, one per word.
    pub(crate) fn bits(&self) -> &[u64] {
        &self.bits
    }

    /// The key for storage: a header, the key bits from the lowest of the first byte on, and 16 bytes of a digest that
    /// tells a damaged file.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        self.encode(Kind::SECRET_KEY)
    }

    /// The same bytes under the header of another kind of key.
    pub(crate) fn encode(&self, kind: Kind) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(Self::ENCODED_BYTES));
        Header::of_key(*self.public_key.as_bytes()).write(kind, &mut out);
        let bytes = self.bits.as_chunks::<8>().0.iter();
        out.extend(bytes.map(|bits| bits.iter().rev().fold(0, |byte, bit| byte << 1 | *bit as u8)));
        let check = check_digest(&out);
        out.extend_from_slice(&check);
        out
    }

    /// Reads what [`StudySecretKey::to_bytes`] wrote.
    ///
    /// # Errors
    /// When the bytes are anything else, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CiphertextError> {
        Self::decode(Kind::SECRET_KEY, bytes)
    }

    /// Reads what [`StudySecretKey::encode`] wrote.
    pub(crate) fn decode(kind: Kind, bytes: &[u8]) -> Result<Self, CiphertextError> {
        let (header, payload) = Header::read(kind, bytes)?;
        header.check_key()?;
        format::check_length(payload, KEY_BIT_BYTES + CHECK_BYTES)?;
        let (key, check) = payload.split_at(KEY_BIT_BYTES);
        if check != check_digest(&bytes[..bytes.len() - CHECK_BYTES]) {
            return Err(CiphertextError::Damaged);
        }
        let bits = key.iter().flat_map(|byte| (0..8).map(move |bit| u64::from(byte >> bit & 1)));
        let mut key_bits = Zeroizing::new(vec![0; DEGREE]);
        key_bits.iter_mut().zip(bits).for_each(|(to, bit)| *to = bit);
        Ok(Self { bits: key_bits, public_key: KeyFingerprint::from_bytes(header.tag) })
    }
}

impl StudyPublicKey {
    /// The length of [`StudyPublicKey::to_bytes`].
    pub const ENCODED_BYTES: usize = format::HEADER_BYTES + DEGREE * size_of::<u64>();

    fn from_parts(mask_seed: [u8; 16], body: Vec<u64>) -> Self {
        let mask = if has_aes_instructions() {
            expand_mask_by::<DefaultRandomGenerator>(mask_seed, &body)
        } else {
            expand_mask_by::<concrete_csprng::generators::SoftwareRandomGenerator>(mask_seed, &body)
        };
        let fingerprint = KeyFingerprint::of(&encode(Kind::PUBLIC_KEY, &mask_seed, &body));
        Self { mask_seed, mask, body, fingerprint }
    }

    /// What ciphertexts under this key carry, and its secret key knows.
    pub fn fingerprint(&self) -> KeyFingerprint {
        self.fingerprint
    }

    pub(crate) fn mask(&self) -> &[u64] {
        &self.mask
    }

    pub(crate) fn body(&self) -> &[u64] {
        &self.body
    }

    /// The key for the ledger: a header with the seed of the mask, and the words of the body.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.encode(Kind::PUBLIC_KEY)
    }

    /// The same bytes under the header of another kind of key.
    pub(crate) fn encode(&self, kind: Kind) -> Vec<u8> {
        encode(kind, &self.mask_seed, &self.body)
    }

    /// Reads what [`StudyPublicKey::to_bytes`] wrote. Any body is a public key to somebody: whose it is, and that the
    /// researcher vouches for it, is for the ledger to say.
    ///
    /// # Errors
    /// When the bytes are of another kind, version, length or set of parameters, or the body hides nothing.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CiphertextError> {
        let key = Self::decode(Kind::PUBLIC_KEY, bytes)?;
        if is_study_key(bytes) { Ok(key) } else { Err(CiphertextError::Degenerate) }
    }

    /// Reads what [`StudyPublicKey::encode`] wrote.
    pub(crate) fn decode(kind: Kind, bytes: &[u8]) -> Result<Self, CiphertextError> {
        let (header, payload) = Header::read(kind, bytes)?;
        header.check_key()?;
        format::check_length(payload, DEGREE * size_of::<u64>())?;
        Ok(Self::from_parts(header.tag, format::read_words(payload)))
    }
}

impl fmt::Debug for StudyPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StudyPublicKey({:?})", self.fingerprint)
    }
}

fn encode(kind: Kind, mask_seed: &[u8; 16], body: &[u64]) -> Vec<u8> {
    let mut out = Vec::with_capacity(StudyPublicKey::ENCODED_BYTES);
    Header::of_key(*mask_seed).write(kind, &mut out);
    format::write_words(body, &mut out);
    out
}

fn check_digest(bytes: &[u8]) -> [u8; CHECK_BYTES] {
    let digest = Zeroizing::new(tagged("consilium/study-secret-key/check/v1", &[bytes]));
    std::array::from_fn(|i| digest[i])
}

/// A seed for one generator of the csprng, of the operating system's randomness.
pub(crate) fn random_seed() -> Result<u128, NoRandomness> {
    let mut bytes = random_bytes()?;
    let mut seed = [0; 16];
    seed.copy_from_slice(&bytes[..16]);
    let number = u128::from_le_bytes(seed);
    bytes.zeroize();
    seed.zeroize();
    Ok(number)
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

fn generate_by<G: ByteRandomGenerator>(seeds: &KeySeeds) -> (StudySecretKey, StudyPublicKey) {
    let mut bits = Zeroizing::new(vec![0; DEGREE]);
    let mut key = LweSecretKey::from_container(bits.as_mut_slice());
    generate_binary_lwe_secret_key(&mut key, &mut SecretRandomGenerator::<G>::new(Seed(seeds.secret)));

    let mut public_key = SeededLweCompactPublicKey::new(0, DIMENSION, Seed(seeds.mask).into(), MODULUS);
    let mut errors = EncryptionRandomGenerator::<G>::new(Seed(seeds.mask), &mut DrawnSeed(seeds.noise));
    generate_seeded_lwe_compact_public_key_with_pre_seeded_generator(&key, &mut public_key, NOISE, &mut errors);

    let public_key = StudyPublicKey::from_parts(seeds.mask.to_le_bytes(), public_key.into_container());
    (StudySecretKey { bits, public_key: public_key.fingerprint }, public_key)
}

fn expand_mask_by<G: ByteRandomGenerator>(mask_seed: [u8; 16], body: &[u64]) -> Vec<u64> {
    let seed = Seed(u128::from_le_bytes(mask_seed));
    let seeded = SeededLweCompactPublicKey::from_container(body, seed.into(), MODULUS);
    let mut expanded = LweCompactPublicKey::new(0, DIMENSION, MODULUS);
    decompress_seeded_lwe_compact_public_key::<u64, _, _, G>(&mut expanded, &seeded);
    expanded.get_mask().as_ref().to_vec()
}

#[cfg(test)]
pub(crate) mod tests {
    use concrete_csprng::generators::SoftwareRandomGenerator;
    use consilium_protocol::hash::content;
    use proptest::prelude::*;

    use super::*;

    /// The key pair of tests: always the same.
    pub(crate) fn fixed_pair() -> (StudySecretKey, StudyPublicKey) {
        StudySecretKey::from_seeds(&KeySeeds { secret: 1, noise: 2, mask: 3 })
    }

    #[test]
    fn keys_read_back() {
        let (secret, public) = StudySecretKey::generate().expect("randomness");
        let bytes = public.to_bytes();
        assert_eq!(bytes.len(), StudyPublicKey::ENCODED_BYTES);
        assert_eq!(StudyPublicKey::from_bytes(&bytes), Ok(public.clone()));

        let bytes = secret.to_bytes();
        assert_eq!(bytes.len(), StudySecretKey::ENCODED_BYTES);
        let read = StudySecretKey::from_bytes(&bytes).expect("own bytes");
        assert_eq!(read.bits, secret.bits);
        assert_eq!(read.fingerprint(), public.fingerprint());
    }

    #[test]
    fn two_keys_have_nothing_in_common() {
        let (secret, public) = StudySecretKey::generate().expect("randomness");
        let (other_secret, other_public) = StudySecretKey::generate().expect("randomness");
        assert_ne!(secret.bits, other_secret.bits);
        assert_ne!(public.mask, other_public.mask);
        assert_ne!(public.fingerprint(), other_public.fingerprint());
    }

    #[test]
    fn golden_bytes() {
        let (secret, public) = fixed_pair();
        let bytes = public.to_bytes();
        assert_eq!(bytes[..16], *b"csl-pkey\x01\0\0\0\0\x08\0\0");
        // What the ledger knows of such keys.
        assert_eq!(bytes[..32], consilium_protocol::study::key::STUDY_KEY_PREFIX);
        assert_eq!(bytes.len(), consilium_protocol::study::key::STUDY_KEY_BYTES);
        assert_eq!(content(&bytes).to_string(), "e92bbf714c36b089c87e02c3103cd73ce1b4c51a17e2834f01d77d8bf87de7a9");
        let mut mask = Vec::new();
        format::write_words(public.mask(), &mut mask);
        assert_eq!(content(&mask).to_string(), "3408d6593e94a4a1311c3378668ce67e4bcb3f1b4eb69756cb0ca027502a6155");
        let bytes = secret.to_bytes();
        assert_eq!(bytes[..16], *b"csl-skey\x01\0\0\0\0\x08\0\0");
        assert_eq!(content(&bytes).to_string(), "6c621e9135e96418cc6385ffdd9c0c21336436ec0c8d118247f2510907d6a6a1");
    }

    #[test]
    fn software_and_hardware_make_and_expand_the_same_keys() {
        let seeds = KeySeeds { secret: 1, noise: 2, mask: 3 };
        let (secret, public) = generate_by::<SoftwareRandomGenerator>(&seeds);
        let (other_secret, other_public) = StudySecretKey::from_seeds(&seeds);
        assert_eq!((secret.bits, &public), (other_secret.bits, &other_public));
        let mask = expand_mask_by::<SoftwareRandomGenerator>(public.mask_seed, &public.body);
        assert_eq!(mask, public.mask);
    }

    #[test]
    fn malformed_public_keys_are_refused() {
        let bytes = fixed_pair().1.to_bytes();
        let refused = |bytes: &[u8]| StudyPublicKey::from_bytes(bytes).expect_err("malformed");
        let expected = StudyPublicKey::ENCODED_BYTES;
        assert_eq!(refused(&[]), CiphertextError::Length { expected: 48, found: 0 });
        assert_eq!(refused(&bytes[..47]), CiphertextError::Length { expected: 48, found: 47 });
        let found = expected - 1;
        assert_eq!(refused(&bytes[..found]), CiphertextError::Length { expected, found });
        let found = expected + 8;
        assert_eq!(refused(&[&bytes[..], &[0; 8]].concat()), CiphertextError::Length { expected, found });
        let with = |at: usize, value: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = value;
            refused(&bytes)
        };
        assert_eq!(with(0, b'x'), CiphertextError::Magic { expected: "a study's public key" });
        assert_eq!(with(8, 2), CiphertextError::Version { found: 2 });
        assert_eq!(with(10, 1), CiphertextError::Header);
        assert_eq!(with(13, 4), CiphertextError::Header);
        assert_eq!(with(16, !bytes[16]), CiphertextError::Parameters);
        // Under such a key a body word is the message and a little noise.
        let mut without_body = bytes.clone();
        without_body[48..].fill(0);
        assert_eq!(refused(&without_body), CiphertextError::Degenerate);
        assert_eq!(
            StudyPublicKey::from_bytes(&fixed_pair().0.to_bytes()),
            Err(CiphertextError::Magic { expected: "a study's public key" })
        );
    }

    proptest! {
        #[test]
        fn a_damaged_secret_key_is_refused(at in 0..StudySecretKey::ENCODED_BYTES, flip in 1u8..) {
            let mut bytes = fixed_pair().0.to_bytes();
            bytes[at] ^= flip;
            prop_assert!(StudySecretKey::from_bytes(&bytes).is_err());
            prop_assert!(StudySecretKey::from_bytes(&bytes[..at]).is_err());
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(StudySecretKey::from_bytes(&bytes).is_err());
            prop_assert!(StudyPublicKey::from_bytes(&bytes).is_err());
        }
    }
}
