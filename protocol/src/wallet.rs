//! A patient's wallet: one master secret, written as twelve words (BIP-39), and one signing key for each hospital, so
//! that keys cannot be linked across hospitals.

use bip39::Mnemonic;
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroize;

use crate::ids::{HospitalId, SubjectId};
use crate::keys::{NoRandomness, SigningKey, random_bytes};

/// Words that are no master secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "these are not the twelve words of a wallet: a word is misspelt, missing or out of order; check the paper copy"
)]
pub struct WordsError;

/// A master secret. Erased from memory when dropped; never printed but as words, on purpose, by [`Wallet::words`].
pub struct Wallet {
    entropy: [u8; 16],
}

impl Drop for Wallet {
    fn drop(&mut self) {
        self.entropy.zeroize();
    }
}

impl Wallet {
    /// A fresh wallet.
    ///
    /// # Errors
    /// [`NoRandomness`] when the operating system refuses.
    pub fn generate() -> Result<Self, NoRandomness> {
        let mut random = random_bytes()?;
        let mut entropy = [0u8; 16];
        entropy.copy_from_slice(&random[..16]);
        random.zeroize();
        Ok(Self { entropy })
    }

    /// The wallet of 16 bytes of entropy.
    pub const fn from_entropy(entropy: [u8; 16]) -> Self {
        Self { entropy }
    }

    /// The wallet that these words stand for (BIP-39, English, twelve words).
    ///
    /// # Errors
    /// [`WordsError`] when they are not twelve words with a valid checksum.
    pub fn from_words(words: &str) -> Result<Self, WordsError> {
        let mnemonic = Mnemonic::parse_normalized(words.trim()).map_err(|_| WordsError)?;
        let entropy = mnemonic.to_entropy().try_into().map_err(|_| WordsError)?;
        Ok(Self { entropy })
    }

    /// The words to write down. Whoever has them can sign for the patient at every hospital.
    pub fn words(&self) -> String {
        // Sixteen bytes always have a mnemonic.
        Mnemonic::from_entropy(&self.entropy).map(|m| m.to_string()).unwrap_or_default()
    }

    /// The patient's key at a hospital: HKDF-SHA256 (RFC 5869) over the entropy, with the hospital as info.
    pub fn key_at(&self, hospital: &HospitalId) -> SigningKey {
        self.key(b"consilium/wallet/v1", hospital.public_key())
    }

    /// The key by which the wallet's owner signs for somebody else at a hospital: one for each, so that nobody sees that they
    /// sign for themselves as well, or for whom else.
    pub fn key_for(&self, hospital: &HospitalId, subject: &SubjectId) -> SigningKey {
        self.key(b"consilium/wallet-for/v1", &[hospital.public_key().as_slice(), subject.as_bytes()].concat())
    }

    fn key(&self, salt: &[u8], info: &[u8]) -> SigningKey {
        let mut seed = [0u8; 32];
        let hkdf = Hkdf::<Sha256>::new(Some(salt), &self.entropy);
        // 32 bytes are within what HKDF-SHA256 gives (255 × 32).
        let expanded = hkdf.expand(info, &mut seed);
        debug_assert!(expanded.is_ok());
        let key = SigningKey::from_seed(&seed);
        seed.zeroize();
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_bring_the_same_keys_back() {
        let wallet = Wallet::from_entropy([7; 16]);
        let hospitals = [HospitalId::from_public_key([1; 32]), HospitalId::from_public_key([2; 32])];
        let again = Wallet::from_words(&wallet.words()).expect("the words of a wallet");
        for hospital in &hospitals {
            assert_eq!(wallet.key_at(hospital).public_key(), again.key_at(hospital).public_key());
        }
        assert_ne!(wallet.key_at(&hospitals[0]).public_key(), wallet.key_at(&hospitals[1]).public_key());
        assert!(Wallet::from_words("abandon abandon").is_err());
    }
}
