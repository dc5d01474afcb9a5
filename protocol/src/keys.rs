//! Ed25519 keys and signatures (RFC 8032).

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use ed25519_dalek::Signer as _;
use zeroize::Zeroize;

use crate::ids::{HospitalId, PatientId, ResearcherId};

/// The operating system gave no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no randomness; check that /dev/urandom can be read, then try again")]
pub struct NoRandomness;

/// Thirty-two fresh random bytes of the operating system.
///
/// # Errors
/// [`NoRandomness`] when the operating system refuses.
pub fn random_bytes() -> Result<[u8; 32], NoRandomness> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

/// An Ed25519 signature, 64 bytes.
#[derive(Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Signature([u8; 64]);

impl Signature {
    /// Wraps the bytes of a signature.
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The bytes of the signature.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }

    /// Whether this signature of `message` is by `public_key`. Strict: keys of small order and non-canonical
    /// encodings are refused, so that every member comes to the same answer.
    pub fn verifies(&self, public_key: &[u8; 32], message: &[u8]) -> bool {
        let Ok(key) = ed25519_dalek::VerifyingKey::from_bytes(public_key) else { return false };
        let signature = ed25519_dalek::Signature::from_bytes(&self.0);
        key.verify_strict(message, &signature).is_ok()
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", hex::encode(&self.0[..4]))
    }
}

/// An Ed25519 signing key. Erased from memory when dropped; never printed.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// A fresh key.
    ///
    /// # Errors
    /// [`NoRandomness`] when the operating system refuses.
    pub fn generate() -> Result<Self, NoRandomness> {
        let mut seed = random_bytes()?;
        let key = Self::from_seed(&seed);
        seed.zeroize();
        Ok(key)
    }

    /// The key of a 32-byte seed (RFC 8032, section 5.1.5).
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// The seed, to be stored.
    pub fn seed(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The public key.
    pub fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// Signs `message`.
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }

    /// The hospital that this key names.
    pub fn hospital(&self) -> HospitalId {
        HospitalId::from_public_key(self.public_key())
    }

    /// The researcher that this key names.
    pub fn researcher(&self) -> ResearcherId {
        ResearcherId::from_public_key(self.public_key())
    }

    /// The patient that this key names.
    pub fn patient(&self) -> PatientId {
        PatientId::from_public_key(self.public_key())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_bound_to_key_and_message() {
        let key = SigningKey::from_seed(&[1; 32]);
        let other = SigningKey::from_seed(&[2; 32]);
        let signature = key.sign(b"message");
        assert!(signature.verifies(&key.public_key(), b"message"));
        assert!(!signature.verifies(&key.public_key(), b"massage"));
        assert!(!signature.verifies(&other.public_key(), b"message"));
    }

    #[test]
    fn small_order_keys_are_refused() {
        // The identity point: every signature with R = identity and s = 0 verifies under a lax check.
        let mut identity = [0u8; 32];
        identity[0] = 1;
        let mut forged = [0u8; 64];
        forged[0] = 1;
        assert!(!Signature::from_bytes(forged).verifies(&identity, b"anything"));
    }
}
