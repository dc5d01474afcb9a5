//! What a hospital's encryption of one round is made of, and whether it was made so.
//!
//! All randomness of it follows from one seed:
//!
//! ```text
//! HKDF-SHA256(ikm = seed, salt = "consilium/encryption-seed/v1", info = …)
//!     "cells", "counts"   16 bytes each, little-endian: what the cells' and the counts' encryption is expanded from
//!     "sealing"           32 bytes: what both are sealed to an aggregator with
//! ```
//!
//! Who is given the seed takes off what hides the plaintext, and finds the slots: blinded limbs, which are uniform to everybody who has
//! not those of all hospitals. What cannot be taken off so was not made so: too much noise, a mask that is none, slots with more than a
//! limb. Nothing is said about whether the limbs are true.

use std::fmt;

use consilium_protocol::keys::{NoRandomness, random_bytes};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::ciphertext::EncryptedCells;
use super::encoding::{DELTA_LOG2, LIMBS};
use super::encryption::encrypt;
use super::keys::StudyPublicKey;

const SALT: &[u8] = b"consilium/encryption-seed/v1";

/// The bits of a slot that a limb may fill.
const LIMB: u64 = (u16::MAX as u64) << DELTA_LOG2;

/// What one hospital's encryption of one round is made of: for that one alone, since a second contribution by it would show how the two
/// differ. Erased when dropped, never printed.
pub struct EncryptionSeed(Zeroizing<[u8; EncryptionSeed::BYTES]>);

impl EncryptionSeed {
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

    /// The bytes: to be shown to nobody but where the study's round says so.
    pub fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    fn expand(&self, info: &[u8], out: &mut [u8]) {
        let hkdf = Hkdf::<Sha256>::new(Some(SALT), self.0.as_ref());
        hkdf.expand(info, out).expect("HKDF-SHA256 gives up to 8,160 bytes, and nothing asks for more than 32");
    }

    fn number(&self, info: &[u8]) -> u128 {
        let mut bytes = Zeroizing::new([0; 16]);
        self.expand(info, bytes.as_mut());
        u128::from_le_bytes(*bytes)
    }

    /// For the cells.
    pub(super) fn of_cells(&self) -> u128 {
        self.number(b"cells")
    }

    /// For the counts of a guarded round.
    pub(crate) fn of_counts(&self) -> u128 {
        self.number(b"counts")
    }

    /// For sealing both to an aggregator.
    pub fn of_sealing(&self) -> Zeroizing<[u8; 32]> {
        let mut coins = Zeroizing::new([0; 32]);
        self.expand(b"sealing", coins.as_mut());
        coins
    }
}

impl fmt::Debug for EncryptionSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncryptionSeed(…)")
    }
}

/// Whether these are one hospital's cells for a study of so many, blinded somehow, and encrypted under the study's key by this seed.
pub fn is_made_of(contribution: &EncryptedCells, key: &StudyPublicKey, cells: usize, seed: &EncryptionSeed) -> bool {
    let is_one = contribution.contributions() == 1 && contribution.key() == key.fingerprint();
    if !is_one || contribution.cells() != cells {
        return false;
    }
    let slots = (cells + 1) * LIMBS;
    let hidden = encrypted(contribution.words(), key, slots, seed.of_cells());
    hidden.is_some_and(|plain| plain.iter().all(|slot| slot & !LIMB == 0))
}

/// The slots that were encrypted under a key by a seed, if these words can be that.
pub(crate) fn encrypted(words: &[u64], key: &StudyPublicKey, slots: usize, seed: u128) -> Option<Zeroizing<Vec<u64>>> {
    let nothing = encrypt(key, &vec![0; slots], seed);
    if words.len() != nothing.len() {
        return None;
    }
    let masks = words.len() - slots;
    if words[..masks] != nothing[..masks] {
        return None;
    }
    let bodies = words[masks..].iter().zip(&nothing[masks..]);
    Some(Zeroizing::new(bodies.map(|(word, nothing)| word.wrapping_sub(*nothing)).collect()))
}

#[cfg(test)]
mod tests {
    use super::super::contribution::contribute_by;
    use super::super::keys::tests::fixed_pair;
    use super::super::tests::{blinds, roster};
    use super::*;

    fn made() -> (EncryptedCells, EncryptionSeed) {
        let seed = EncryptionSeed::from_bytes([5; 32]);
        let cells =
            contribute_by(&[7, -9, 11], blinds(&roster(3), 0, 0, 3), &fixed_pair().1, &seed).expect("a contribution");
        (cells, seed)
    }

    #[test]
    fn what_was_made_of_a_seed_is_found_so_and_nothing_else_is() {
        let ((cells, seed), key) = (made(), fixed_pair().1);
        assert!(is_made_of(&cells, &key, 3, &seed));
        assert!(!is_made_of(&cells, &key, 2, &seed) && !is_made_of(&cells, &key, 4, &seed), "of another study");
        assert!(!is_made_of(&cells, &key, 3, &EncryptionSeed::from_bytes([6; 32])), "of another seed");
        let (_, other) = super::super::keys::StudySecretKey::generate().expect("randomness");
        assert!(!is_made_of(&cells, &other, 3, &seed), "under another key");
        let bytes = cells.to_bytes();
        let with = |at: usize, bit: u8| {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << bit;
            let read = EncryptedCells::from_bytes(&bytes).expect("still a ciphertext");
            is_made_of(&read, &key, 3, &seed)
        };
        let first_body = 48 + 8 * 2048;
        for slot in 0..16 {
            let at = first_body + 8 * slot;
            // Noise of 2^37, which alone would spoil the sum; a limb that is none; and another limb, which nobody can tell.
            assert!(!with(at + 4, 5) && !with(at + 7, 7) && !with(at, 0), "slot {slot}");
            assert!(with(at + 5, 0), "another limb is as good");
        }
        assert!(!with(48, 0) && !with(first_body - 1, 7), "another mask");
    }

    #[test]
    fn garbage_is_not_made_of_anything() {
        let ((cells, seed), key) = (made(), fixed_pair().1);
        let mut bytes = cells.to_bytes();
        let mut words = vec![0; (bytes.len() - 48) / 8];
        super::super::keystream::fill(&[3; 32], &mut words);
        bytes.truncate(48);
        words.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
        let garbage = EncryptedCells::from_bytes(&bytes).expect("it looks like one");
        assert!(!is_made_of(&garbage, &key, 3, &seed));
        // Of the headers alone: for how many hospitals it counts, and for which key.
        for at in [10, 32] {
            let mut bytes = cells.to_bytes();
            bytes[at] ^= 2;
            let other = EncryptedCells::from_bytes(&bytes).expect("still a ciphertext");
            assert!(!is_made_of(&other, &key, 3, &seed), "byte {at}");
        }
    }

    #[test]
    fn seeds_are_those_of_hkdf() {
        // By another implementation of RFC 5869.
        let seed = EncryptionSeed::from_bytes([5; 32]);
        assert_eq!(seed.of_cells(), 0xac47_8b19_a577_636b_a62a_5913_d038_734b);
        assert_eq!(seed.of_counts(), 0xa408_f3d7_01ab_8b95_1c43_e916_0bd2_92d9);
        assert_eq!(hex::encode(*seed.of_sealing()), "8567d6305fbc4486e070af82eaaab2ed483f4a88150a3ef9bdc59c50f339e0ea");
        assert_eq!(format!("{seed:?}"), "EncryptionSeed(…)");
    }
}
