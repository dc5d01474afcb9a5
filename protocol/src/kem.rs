//! Keys that secrets are encapsulated to: X-Wing, which holds as long as either X25519 or ML-KEM-768 does.
//!
//! What travels between members is worth recording for as long as patients live, so no key agreement here rests on
//! elliptic curves alone. Source: D. Connolly, P. Schwabe, B. Westerbaan, "X-Wing: general-purpose hybrid post-quantum KEM"
//! (draft-connolly-cfrg-xwing-kem); ML-KEM is FIPS 203. It is used through HPKE alone (RFC 9180, with the code point of
//! draft-ietf-hpke-pq): [`sealing`](crate::sealing) and [`pairing`](crate::pairing).

use std::convert::Infallible;
use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use hkdf::Hkdf;
use hpke::kem::XWing;
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable as _, Kem, Serializable as _};
use serde::{Serialize, Serializer};
use sha2::Sha256;
use zeroize::Zeroizing;

/// The length of a public key: 1,184 bytes of ML-KEM-768 and 32 of X25519.
pub const PUBLIC_KEY_BYTES: usize = 1_216;
/// The length of an encapsulated key: 1,088 bytes of ML-KEM-768 and 32 of X25519.
pub const ENCAPSULATED_BYTES: usize = 1_120;

pub(crate) type HpkePublicKey = <XWing as Kem>::PublicKey;
pub(crate) type HpkePrivateKey = <XWing as Kem>::PrivateKey;

/// A public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct KemPublicKey([u8; PUBLIC_KEY_BYTES]);

impl KemPublicKey {
    /// Wraps the bytes of a key, whatever they are.
    pub const fn from_bytes(bytes: [u8; PUBLIC_KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; PUBLIC_KEY_BYTES] {
        &self.0
    }

    /// Whether secrets can be encapsulated to it: FIPS 203, section 7.2.
    pub fn is_valid(&self) -> bool {
        self.hpke().is_some()
    }

    pub(crate) fn hpke(&self) -> Option<HpkePublicKey> {
        HpkePublicKey::from_bytes(&self.0).ok()
    }
}

impl fmt::Debug for KemPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KemPublicKey({}…)", hex::encode(&self.0[..4]))
    }
}

impl Serialize for KemPublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0))
    }
}

/// A secret key: 32 bytes that all else is expanded from. Erased when dropped, never printed.
pub struct KemSecretKey(Zeroizing<[u8; 32]>);

impl KemSecretKey {
    /// The key of 32 random bytes.
    pub const fn from_seed(seed: Zeroizing<[u8; 32]>) -> Self {
        Self(seed)
    }

    /// The public key.
    pub fn public_key(&self) -> KemPublicKey {
        let mut bytes = [0; PUBLIC_KEY_BYTES];
        bytes.copy_from_slice(&XWing::sk_to_pk(&self.hpke()).to_bytes());
        KemPublicKey(bytes)
    }

    pub(crate) fn hpke(&self) -> HpkePrivateKey {
        HpkePrivateKey::from_bytes(self.0.as_slice()).expect("any 32 bytes are a key")
    }
}

impl fmt::Debug for KemSecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KemSecretKey(…)")
    }
}

/// The randomness of one encapsulation, for who must be able to make it again: every piece that is asked for is expanded from a seed with
/// HKDF-SHA256, under a label, what it is for, and its number.
pub(crate) struct Coins<'a> {
    seed: Hkdf<Sha256>,
    label: &'static [u8],
    info: &'a [u8],
    pieces: u64,
}

impl<'a> Coins<'a> {
    pub(crate) fn new(seed: &[u8; 32], label: &'static [u8], info: &'a [u8]) -> Self {
        Self { seed: Hkdf::new(None, seed), label, info, pieces: 0 }
    }
}

impl TryRng for Coins<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes).map(|()| u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes).map(|()| u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.seed
            .expand_multi_info(&[self.label, self.info, &self.pieces.to_le_bytes()], out)
            .expect("HKDF-SHA256 gives up to 8,160 bytes, and nothing asks for more than 64");
        self.pieces += 1;
        Ok(())
    }
}

impl TryCryptoRng for Coins<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> KemSecretKey {
        KemSecretKey::from_seed(Zeroizing::new([seed; 32]))
    }

    #[test]
    fn keys_follow_from_their_seeds() {
        assert_eq!(key(1).public_key(), key(1).public_key());
        assert_ne!(key(1).public_key(), key(2).public_key());
        assert!(key(1).public_key().is_valid());
        assert_eq!(format!("{:?}", key(1)), "KemSecretKey(…)");
        // draft-connolly-cfrg-xwing-kem, appendix C, first vector.
        let seed = "7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26";
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(seed, bytes.as_mut_slice()).expect("hexadecimal");
        let public = KemSecretKey::from_seed(bytes).public_key();
        assert!(
            hex::encode(public.as_bytes())
                .starts_with("e2236b35a8c24b39b10aa1323a96a919a2ced88400633a7b07131713fc14b2b5")
        );
    }

    #[test]
    fn what_is_no_key_is_not_valid() {
        // Coefficients of 4,095, above the modulus.
        assert!(!KemPublicKey::from_bytes([255; PUBLIC_KEY_BYTES]).is_valid());
    }
}
