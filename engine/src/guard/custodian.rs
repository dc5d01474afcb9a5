//! The custodian's part: to open the seeds of the groups that may be seen.

use zeroize::Zeroizing;

use super::contribution::{CHECK_SLOTS, CHECK_UNIT};
use super::parameters::{BLOCK_DIGITS, BLOCK_WORDS, DIGIT_UNIT, FLOOD_LOG2};
use super::sealed::{SEED_WORDS, SealedSeeds};
use super::seed::{DIGITS, Seed};
use super::{GuardError, GuardSecretKey, GuardShape};
use crate::cells::parameters::DEGREE;
use crate::cells::ring::multiply_by_binary;

/// Noise of an honest check number stays below this: fresh noise of the whole roster, and that of 32-bit words.
const CHECK_NOISE: u64 = 1 << 40;

/// Noise of an honest digit stays below this: the flood, and what a bootstrap and 16-bit words add.
pub(super) const DIGIT_NOISE: u64 = (1 << FLOOD_LOG2) + (1 << (FLOOD_LOG2 - 2));

/// Opens the seeds that are released. None for one whose groups are suppressed: nothing was sealed for it.
///
/// # Errors
/// When the seeds are of another shape or under another key; when the check numbers do not say that every hospital of
/// the roster contributed once; when a digit carries more noise than an honest aggregator makes.
pub fn reveal(sealed: &SealedSeeds, key: &GuardSecretKey, shape: &GuardShape) -> Result<Vec<Option<Seed>>, GuardError> {
    if sealed.key() != key.fingerprint() {
        return Err(GuardError::OtherKey);
    }
    if sealed.seeds() != shape.seeds() {
        return Err(GuardError::OtherShape { expected: shape.seeds(), found: sealed.seeds() });
    }
    if usize::from(sealed.contributions) != shape.hospitals() {
        let found = usize::from(sealed.contributions);
        return Err(GuardError::Contributions { expected: shape.hospitals(), found });
    }
    let opener = Opener::new(key);
    check(&opener, sealed, shape.hospitals())?;
    (0..sealed.seeds())
        .map(|seed| {
            let digits = digits(&opener, sealed, seed).ok_or(GuardError::Noise { seed })?;
            Ok(Seed::of_digits(&digits))
        })
        .collect()
}

/// Opens the seeds that are released, where a witness repeated the decisions: those of the aggregator, of sets for which the witness
/// sealed one as well. What one of the two says alone is not enough.
///
/// # Errors
/// As [`reveal`], of either.
pub fn reveal_both(
    sealed: &SealedSeeds,
    witnessed: &SealedSeeds,
    key: &GuardSecretKey,
    shape: &GuardShape,
) -> Result<Vec<Option<Seed>>, GuardError> {
    let (seeds, witnessed) = (reveal(sealed, key, shape)?, reveal(witnessed, key, shape)?);
    Ok(seeds.into_iter().zip(witnessed).map(|(seed, other)| seed.filter(|_| other.is_some())).collect())
}

fn check(opener: &Opener, sealed: &SealedSeeds, hospitals: usize) -> Result<(), GuardError> {
    let words: Vec<u64> = sealed.check.iter().map(|word| u64::from(*word) << (u64::BITS - u32::BITS)).collect();
    let phases = opener.phases(&words, &std::array::from_fn::<_, CHECK_SLOTS, _>(|slot| slot));
    let expected = CHECK_UNIT.wrapping_mul(hospitals as u64);
    let honest = |phase: &u64| phase.wrapping_sub(expected).cast_signed().unsigned_abs() < CHECK_NOISE;
    if phases.iter().all(honest) { Ok(()) } else { Err(GuardError::CheckNumbers) }
}

/// The digits of one seed, or none when they cannot be read safely.
fn digits(opener: &Opener, sealed: &SealedSeeds, seed: usize) -> Option<Zeroizing<[u8; DIGITS]>> {
    let mut digits = Zeroizing::new([0; DIGITS]);
    let phases = seed_phases(opener, sealed, seed);
    for (digit, phase) in digits.iter_mut().zip(phases.iter()) {
        let nearest = phase.wrapping_add(DIGIT_UNIT / 2) / DIGIT_UNIT;
        let noise = phase.wrapping_sub(nearest.wrapping_mul(DIGIT_UNIT)).cast_signed().unsigned_abs();
        if noise > DIGIT_NOISE {
            return None;
        }
        *digit = nearest as u8;
    }
    Some(digits)
}

/// The plaintexts of one seed's digits with their noise.
pub(super) fn seed_phases(opener: &Opener, sealed: &SealedSeeds, seed: usize) -> Zeroizing<Vec<u64>> {
    let words = &sealed.digits[seed * SEED_WORDS..][..SEED_WORDS];
    let middles = std::array::from_fn::<_, BLOCK_DIGITS, _>(|digit| (2 * digit + 1) * DEGREE / (2 * BLOCK_DIGITS));
    let mut phases = Zeroizing::new(Vec::with_capacity(DIGITS));
    for block in words.chunks_exact(BLOCK_WORDS) {
        let block: Vec<u64> = block.iter().map(|word| u64::from(*word) << (u64::BITS - u16::BITS)).collect();
        phases.extend(opener.phases(&block, &middles).iter());
    }
    phases
}

/// The secret key, turned as products of the ring need it.
pub(super) struct Opener {
    reversed: Zeroizing<Vec<u64>>,
}

impl Opener {
    pub(super) fn new(key: &GuardSecretKey) -> Self {
        Self { reversed: Zeroizing::new(key.bits().iter().rev().copied().collect()) }
    }

    /// The phases of bodies that follow a mask polynomial, each of the slot given for it.
    pub(super) fn phases(&self, words: &[u64], slots: &[usize]) -> Zeroizing<Vec<u64>> {
        let (mask, bodies) = words.split_at(DEGREE);
        let mut product = Zeroizing::new(vec![0; DEGREE]);
        multiply_by_binary(&mut product, mask, &self.reversed);
        let pairs = bodies.iter().zip(slots);
        Zeroizing::new(pairs.map(|(body, slot)| body.wrapping_sub(product[DEGREE - 1 - slot])).collect())
    }
}
