//! Opening a sum with the researcher's key, and the values until disclosure control has seen them.

use std::fmt;
use std::ops::Range;

use zeroize::Zeroizing;

use super::ciphertext::EncryptedCells;
use super::encoding::{CHECK, Decoded, DecodingError, LIMBS, decode};
use super::keys::StudySecretKey;
use super::parameters::DEGREE;
use super::ring::multiply_by_binary;
use super::{MAX_HOSPITALS, MIN_HOSPITALS};

/// Why a sum was not opened. Nothing of what was decrypted is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpeningError {
    /// No roster has so many members.
    #[error("a roster has {MIN_HOSPITALS} to {MAX_HOSPITALS} hospitals, not {roster}; take it from the ledger")]
    Roster {
        /// The size that was given.
        roster: usize,
    },
    /// The sum is not over the whole roster: nothing in it would mean anything.
    #[error(
        "a sum of {contributions} contributions where the roster has {roster}; wait for the rest, or fetch it again"
    )]
    Contributions {
        /// How many were added up.
        contributions: usize,
        /// How many there should be.
        roster: usize,
    },
    /// Encrypted under another study's key.
    #[error("encrypted under another public key; open it with the secret key of this study")]
    OtherKey,
    /// More noise than honest contributions carry: rounding could go wrong.
    #[error("too much noise to read it safely, so a contribution was not made as agreed; have the round repeated")]
    Noise,
    /// A slot holds more than the hospitals' limbs can sum to.
    #[error("a slot holds more than the hospitals could put in, so the sum is broken; have the round repeated")]
    LimbSum,
    /// The check cell does not hold the size of the roster.
    #[error(
        "the check cell is wrong, so a contribution is missing, doubled or blinded otherwise; have the round repeated"
    )]
    CheckCell,
}

impl OpeningError {
    fn of(error: DecodingError) -> Self {
        match error {
            DecodingError::Noise => Self::Noise,
            DecodingError::LimbSum => Self::LimbSum,
        }
    }
}

/// Joint cells, opened but not released.
///
/// They are in this crate's hands until disclosure control has passed them: no `Display`, no serialisation, and a `Debug`
/// that shows how many there are. Erased when dropped.
pub struct OpenedCells {
    values: Zeroizing<Vec<i64>>,
    hospitals: usize,
}

impl OpenedCells {
    pub(crate) fn new(values: Zeroizing<Vec<i64>>, hospitals: usize) -> Self {
        Self { values, hospitals }
    }

    /// How many cells there are, the check cell not counted.
    #[expect(clippy::len_without_is_empty, reason = "there is always a cell")]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Over how many hospitals these are sums, proved by the check cell.
    pub fn hospitals(&self) -> usize {
        self.hospitals
    }

    /// Made up, for tests of this crate.
    #[cfg(test)]
    pub(crate) fn of(values: &[i64], hospitals: usize) -> Self {
        Self::new(Zeroizing::new(values.to_vec()), hospitals)
    }

    /// The values, for disclosure control and nothing else.
    pub(crate) fn values(&self) -> &[i64] {
        &self.values
    }
}

impl fmt::Debug for OpenedCells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenedCells({} cells of {} hospitals)", self.values.len(), self.hospitals)
    }
}

/// Opens the sum over a roster of `roster` hospitals.
///
/// # Errors
/// When the sum is under another key, or not over that many contributions; when its noise or its limbs are more than
/// honest contributions make; when the check cell does not hold `roster`. Whether these are the bytes that hospitals
/// committed to is not visible here: compare hashes with the ledger first.
pub fn open(sum: &EncryptedCells, key: &StudySecretKey, roster: usize) -> Result<OpenedCells, OpeningError> {
    check_roster(sum, roster)?;
    let cells = Zeroizing::new(decrypt(sum, key)?.cells);
    let (check, cells) = cells.split_last().expect("every ciphertext has a check cell");
    if *check != CHECK * roster as u64 {
        return Err(OpeningError::CheckCell);
    }
    let values = Zeroizing::new(cells.iter().map(|cell| cell.cast_signed()).collect());
    Ok(OpenedCells { values, hospitals: roster })
}

/// Opens some of the cells, each range by itself, and decodes no other: what is not asked for may be padded.
///
/// # Errors
/// As [`open`], the checks being made on the cells asked for and on the check cell.
///
/// # Panics
/// When a range ends beyond the sum's cells; the caller has checked.
pub(crate) fn open_ranges(
    sum: &EncryptedCells,
    key: &StudySecretKey,
    roster: usize,
    ranges: &[Range<usize>],
) -> Result<Vec<OpenedCells>, OpeningError> {
    check_roster(sum, roster)?;
    if sum.key() != key.fingerprint() {
        return Err(OpeningError::OtherKey);
    }
    let slots = decrypt_slots(sum, key);
    let decode_range = |cells: Range<usize>| -> Result<Zeroizing<Vec<u64>>, OpeningError> {
        let decoded = decode(&slots[cells.start * LIMBS..cells.end * LIMBS], roster).map_err(OpeningError::of)?;
        Ok(Zeroizing::new(decoded.cells))
    };
    let check = decode_range(sum.cells()..sum.cells() + 1)?;
    if check[..] != [CHECK * roster as u64] {
        return Err(OpeningError::CheckCell);
    }
    let open_one = |range: &Range<usize>| {
        let cells = decode_range(range.clone())?;
        let values = Zeroizing::new(cells.iter().map(|cell| cell.cast_signed()).collect());
        Ok(OpenedCells { values, hospitals: roster })
    };
    ranges.iter().map(open_one).collect()
}

fn check_roster(sum: &EncryptedCells, roster: usize) -> Result<(), OpeningError> {
    if !(MIN_HOSPITALS..=MAX_HOSPITALS).contains(&roster) {
        return Err(OpeningError::Roster { roster });
    }
    if sum.contributions() != roster {
        return Err(OpeningError::Contributions { contributions: sum.contributions(), roster });
    }
    Ok(())
}

/// Decrypts and decodes without looking at the check cell: over less than the whole roster, this is uniform noise.
pub(super) fn decrypt(sum: &EncryptedCells, key: &StudySecretKey) -> Result<Decoded, OpeningError> {
    if sum.key() != key.fingerprint() {
        return Err(OpeningError::OtherKey);
    }
    decode(&decrypt_slots(sum, key), sum.contributions()).map_err(OpeningError::of)
}

/// Plaintext slots with their noise: from every body, the inner product of the key with the mask that belongs to it.
/// One product of the ring yields those of 2,048 slots.
fn decrypt_slots(sum: &EncryptedCells, key: &StudySecretKey) -> Zeroizing<Vec<u64>> {
    let slots = (sum.cells() + 1) * LIMBS;
    let (masks, bodies) = sum.words().split_at(sum.words().len() - slots);
    let reversed = Zeroizing::new(key.bits().iter().rev().copied().collect::<Vec<_>>());
    let mut product = Zeroizing::new(vec![0; DEGREE]);
    let mut slots = Zeroizing::new(bodies.to_vec());
    for (mask, slots) in masks.chunks_exact(DEGREE).zip(slots.chunks_mut(DEGREE)) {
        multiply_by_binary(&mut product, mask, &reversed);
        for (slot, inner) in slots.iter_mut().zip(product.iter().rev()) {
            *slot = slot.wrapping_sub(*inner);
        }
    }
    slots
}

#[cfg(test)]
mod tests {
    use tfhe::core_crypto::prelude::{
        LweCiphertextCount, LweCompactCiphertextList, LweSecretKey, PlaintextCount, PlaintextList,
        decrypt_lwe_ciphertext_list,
    };

    use super::super::encryption::encrypt;
    use super::super::keys::tests::fixed_pair;
    use super::super::keystream;
    use super::super::parameters::{DIMENSION, MODULUS};
    use super::*;

    /// The long way round, by tfhe-rs alone: one LWE ciphertext per slot.
    fn expanded(sum: &EncryptedCells, key: &StudySecretKey, slots: usize) -> Vec<u64> {
        let list = LweCompactCiphertextList::from_container(
            sum.words().to_vec(),
            DIMENSION.to_lwe_size(),
            LweCiphertextCount(slots),
            MODULUS,
        );
        let mut plain = PlaintextList::new(0, PlaintextCount(slots));
        let key = LweSecretKey::from_container(key.bits());
        decrypt_lwe_ciphertext_list(&key, &list.expand_into_lwe_ciphertext_list(), &mut plain);
        plain.into_container()
    }

    #[test]
    fn slots_decrypt_as_tfhe_decrypts_them_expanded() {
        let (secret, public) = fixed_pair();
        for cells in [1, 511, 512, 600] {
            let slots = (cells + 1) * 4;
            let mut plain = vec![0; slots];
            keystream::fill(&[cells as u8; 32], &mut plain);
            let encrypted = EncryptedCells::single(cells, public.fingerprint(), encrypt(&public, &plain, 9));
            assert_eq!(*decrypt_slots(&encrypted, &secret), expanded(&encrypted, &secret, slots), "{cells} cells");
        }
    }

    #[test]
    fn only_the_shape_is_printed() {
        let opened = OpenedCells { values: Zeroizing::new(vec![12345, -12345]), hospitals: 3 };
        assert_eq!(format!("{opened:?}"), "OpenedCells(2 cells of 3 hospitals)");
    }
}
