//! Cells as plaintext slots: four 16-bit limbs per cell, each with headroom above and room for noise below.
//!
//! ```text
//!  bit 63        54 53            38 37                              0
//!     ┌────────────┬────────────────┬─────────────────────────────────┐
//!     │ headroom   │ limb           │ noise                           │   one slot, a word modulo 2^64
//!     │ 10 bits    │ 16 bits        │ 38 bits                         │
//!     └────────────┴────────────────┴─────────────────────────────────┘
//! ```
//!
//! The sum of up to 1,024 limbs stays below 2^26, so that limbs of different weight never run into each other while
//! they are added under encryption; carries are made up for when the sum is decoded: Σ limb·2^(16·l) modulo 2^64.

use super::MAX_HOSPITALS;

/// Bits of a limb.
pub const LIMB_BITS: u32 = 16;

/// Limbs of a cell, the least significant first.
pub const LIMBS: usize = 4;

/// Bits above a limb, for the sum over hospitals.
pub const HEADROOM_BITS: u32 = 10;

/// The plaintext unit is 2^38: what lies below is noise.
pub const DELTA_LOG2: u32 = u64::BITS - LIMB_BITS - HEADROOM_BITS;

/// What every hospital's check cell holds.
pub const CHECK: u64 = 1;

/// Noise beyond this is refused. A quarter of the plaintext unit: [`super::noise`] shows that honest noise stays below
/// it, and a slot that passes it is still a quarter away from being read as its neighbour.
pub const SAFE_NOISE: u64 = 1 << (DELTA_LOG2 - 2);

/// Why a sum of slots means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DecodingError {
    /// Noise in a slot passed [`SAFE_NOISE`].
    Noise,
    /// A slot holds more than so many hospitals' limbs can sum to.
    LimbSum,
}

/// Cells, and the largest noise met while decoding them.
pub(super) struct Decoded {
    pub(super) cells: Vec<u64>,
    pub(super) largest_noise: u64,
}

/// Cuts cells into slots.
///
/// # Panics
/// When there are not exactly [`LIMBS`] slots per cell.
pub(super) fn encode(cells: &[u64], slots: &mut [u64]) {
    assert_eq!(cells.len() * LIMBS, slots.len(), "four slots per cell");
    for (cell, slots) in cells.iter().zip(slots.as_chunks_mut::<LIMBS>().0) {
        for (limb, slot) in slots.iter_mut().enumerate() {
            *slot = (cell >> (LIMB_BITS * limb as u32) & u64::from(u16::MAX)) << DELTA_LOG2;
        }
    }
}

/// Puts cells together out of slots that are sums over `hospitals` hospitals, noise included.
///
/// # Errors
/// When a slot is too noisy to be sure of, or holds more than `hospitals` limbs can sum to.
pub(super) fn decode(slots: &[u64], hospitals: usize) -> Result<Decoded, DecodingError> {
    debug_assert!(hospitals <= MAX_HOSPITALS);
    let most = hospitals as u64 * u64::from(u16::MAX);
    let mut decoded = Decoded { cells: Vec::with_capacity(slots.len() / LIMBS), largest_noise: 0 };
    let mut largest_sum = 0;
    for slots in slots.as_chunks::<LIMBS>().0 {
        let mut cell = 0u64;
        for (limb, slot) in slots.iter().enumerate() {
            let sum = slot.wrapping_add(1 << (DELTA_LOG2 - 1)) >> DELTA_LOG2;
            let noise = slot.wrapping_sub(sum << DELTA_LOG2).cast_signed().unsigned_abs();
            decoded.largest_noise = decoded.largest_noise.max(noise);
            largest_sum = largest_sum.max(sum);
            cell = cell.wrapping_add(sum << (LIMB_BITS * limb as u32));
        }
        decoded.cells.push(cell);
    }
    if decoded.largest_noise > SAFE_NOISE {
        return Err(DecodingError::Noise);
    }
    if largest_sum > most {
        return Err(DecodingError::LimbSum);
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum_of_slots(parties: &[Vec<u64>]) -> Vec<u64> {
        let mut sum = vec![0u64; parties[0].len() * LIMBS];
        for cells in parties {
            let mut slots = vec![0; sum.len()];
            encode(cells, &mut slots);
            sum.iter_mut().zip(&slots).for_each(|(sum, slot)| *sum = sum.wrapping_add(*slot));
        }
        sum
    }

    #[test]
    fn the_largest_sum_fits() {
        let parties = vec![vec![u64::MAX, 0]; MAX_HOSPITALS];
        let decoded = decode(&sum_of_slots(&parties), MAX_HOSPITALS).expect("a sound sum");
        assert_eq!(decoded.cells, [u64::MAX.wrapping_mul(MAX_HOSPITALS as u64), 0]);
        assert_eq!(decoded.largest_noise, 0);
    }

    #[test]
    fn noise_is_taken_off_up_to_the_bound_and_refused_beyond() {
        let clean = sum_of_slots(&[vec![0, 5], vec![0, u64::MAX]]);
        for position in 0..clean.len() {
            for noise in [SAFE_NOISE, SAFE_NOISE.wrapping_neg()] {
                let mut slots = clean.clone();
                slots[position] = slots[position].wrapping_add(noise);
                let decoded = decode(&slots, 2).expect("noise within the bound");
                assert_eq!((decoded.cells, decoded.largest_noise), (vec![0, 4], SAFE_NOISE));

                slots[position] = slots[position].wrapping_add(if noise == SAFE_NOISE { 1 } else { u64::MAX });
                assert_eq!(decode(&slots, 2).err(), Some(DecodingError::Noise), "slot {position}");
            }
        }
    }

    #[test]
    fn a_slot_that_so_few_hospitals_cannot_fill_is_refused() {
        let slots = sum_of_slots(&[vec![u64::MAX], vec![u64::MAX]]);
        assert!(decode(&slots, 2).is_ok());
        assert_eq!(decode(&slots, 1).err(), Some(DecodingError::LimbSum));
    }

    proptest! {
        #[test]
        fn sums_decode_to_sums(parties in prop::collection::vec(prop::collection::vec(any::<u64>(), 3), 1..40)) {
            let slots = sum_of_slots(&parties);
            let decoded = decode(&slots, parties.len()).map_err(|_| TestCaseError::fail("refused"))?;
            for cell in 0..3 {
                let sum = parties.iter().fold(0u64, |sum, cells| sum.wrapping_add(cells[cell]));
                prop_assert_eq!(decoded.cells[cell], sum);
            }
        }
    }
}
