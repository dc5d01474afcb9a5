//! Seeds sealed by encrypted bits: what the custodian opens is the seed where the bit is 1, and zero where it is 0.
//!
//! The bit is worth half the torus, so that it turns a table upside down. A table of 16 constant blocks, −v₁ to −v₁₆, is
//! rotated by it, and v₁ to v₁₆ are added to the coefficients in the middle of the blocks: they come to 0 or 2v. With v
//! half a digit, one bootstrap seals 16 digits, in one mask polynomial and 16 bodies. The noise of a rotation moves a
//! table by less than half a block.
//!
//! The custodian knows its own keys, and must not learn from noise what the plaintext hides. So the bit is re-randomised
//! before it is used, the result is re-randomised before it is sent, and a uniform number that is far wider than the
//! noise is added to every digit. What remains of the noise is for the seed's hash to hide (`docs/guard.md`).

use consilium_protocol::keys::{NoRandomness, random_bytes};
use zeroize::Zeroizing;

use super::GuardPublicKey;
use super::bootstrap::Bootstrapper;
use super::parameters::{BLOCK_DIGITS, BLOCK_WORDS, BLOCKS, DIGIT_UNIT, FLOOD_LOG2};
use super::sample::Sample;
use super::seed::Seed;
use crate::cells::encryption::encrypt;
use crate::cells::keys::random_seed;
use crate::cells::keystream;
use crate::cells::parameters::DEGREE;

/// Coefficients of a table that hold one digit.
const WIDTH: usize = DEGREE / BLOCK_DIGITS;

/// Bits of a word that are sent.
const SENT_BITS: u32 = u16::BITS;

/// Seals one seed: [`BLOCKS`] blocks of [`BLOCK_WORDS`] words, of which the upper 16 bits are kept.
pub(super) fn seal(
    bootstrapper: &mut Bootstrapper<'_>,
    bit: &Sample,
    seed: &Seed,
    key: &GuardPublicKey,
) -> Result<Vec<u16>, NoRandomness> {
    let mut fresh = bit.clone();
    fresh.add(&fresh_zero(key)?);
    bootstrapper.switch(&fresh);
    let halves: Zeroizing<Vec<u64>> = Zeroizing::new(seed.digits().map(|digit| digit * (DIGIT_UNIT / 2)).collect());
    let mut out = Vec::with_capacity(BLOCKS * BLOCK_WORDS);
    for halves in halves.chunks(BLOCK_DIGITS) {
        bootstrapper.rotate(|table| {
            let blocks = table.chunks_exact_mut(WIDTH).zip(halves);
            blocks.for_each(|(block, half)| block.fill(half.wrapping_neg()));
        });
        let block = hide(bootstrapper.rotated(), halves, key)?;
        out.extend(block.into_iter().map(|word| round_to(word, SENT_BITS) as u16));
    }
    Ok(out)
}

/// An encryption of zero that nobody can tell from any other sample.
fn fresh_zero(key: &GuardPublicKey) -> Result<Sample, NoRandomness> {
    let words = encrypt(key.compact(), &[0], random_seed()?);
    Ok(Sample::of_slot(&words[..DEGREE], 0, words[DEGREE]))
}

/// Mask and bodies of the coefficients in the middle of the blocks, re-randomised and flooded.
fn hide((mask, body): (&[u64], &[u64]), halves: &[u64], key: &GuardPublicKey) -> Result<Vec<u64>, NoRandomness> {
    let mut words = encrypt(key.compact(), &[0; DEGREE], random_seed()?);
    let (zero_mask, zero_bodies) = words.split_at_mut(DEGREE);
    zero_mask[0] = zero_mask[0].wrapping_add(mask[0]);
    let reversed = zero_mask[1..].iter_mut().zip(mask[1..].iter().rev());
    reversed.for_each(|(word, mask)| *word = word.wrapping_sub(*mask));

    let mut flood = Zeroizing::new([0; BLOCK_DIGITS]);
    keystream::fill(&Zeroizing::new(random_bytes()?), flood.as_mut());
    for (digit, (half, flood)) in halves.iter().zip(flood.iter()).enumerate() {
        let middle = digit * WIDTH + WIDTH / 2;
        let noise = (flood >> (u64::BITS - 1 - FLOOD_LOG2)).wrapping_sub(1 << FLOOD_LOG2);
        let sum = [body[middle], *half, noise].iter().fold(zero_bodies[middle], |sum, term| sum.wrapping_add(*term));
        zero_bodies[digit] = sum;
    }
    words.truncate(BLOCK_WORDS);
    Ok(words)
}

/// The upper `bits` of a word, to the nearest.
pub(super) fn round_to(word: u64, bits: u32) -> u64 {
    word.wrapping_add(1 << (u64::BITS - bits - 1)) >> (u64::BITS - bits)
}
