//! One number under the custodian's key, and the linear arithmetic on it.

use super::parameters::SAMPLE_WORDS;
use crate::cells::parameters::DEGREE;

/// An LWE ciphertext under the big key: 2,048 mask words and a body.
#[derive(Clone)]
pub(super) struct Sample(Vec<u64>);

impl Sample {
    /// An encryption of zero without noise.
    pub(super) fn zero() -> Self {
        Self(vec![0; SAMPLE_WORDS])
    }

    /// Slot `slot` of a compact list, of which `mask` is the mask polynomial that the slot shares with others.
    pub(super) fn of_slot(mask: &[u64], slot: usize, body: u64) -> Self {
        let slot = slot % DEGREE;
        let mut words = Vec::with_capacity(SAMPLE_WORDS);
        let (low, high) = mask.split_at(DEGREE - slot);
        words.extend(high.iter().map(|word| word.wrapping_neg()));
        words.extend_from_slice(low);
        words.push(body);
        Self(words)
    }

    pub(super) fn words(&self) -> &[u64] {
        &self.0
    }

    pub(super) fn words_mut(&mut self) -> &mut [u64] {
        &mut self.0
    }

    pub(super) fn add_plain(&mut self, plain: u64) {
        let body = &mut self.0[DEGREE];
        *body = body.wrapping_add(plain);
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word = word.wrapping_add(*other));
    }

    /// Subtracts `factor` times `other`.
    pub(super) fn subtract(&mut self, other: &Self, factor: u64) {
        let pairs = self.0.iter_mut().zip(&other.0);
        pairs.for_each(|(word, other)| *word = word.wrapping_sub(other.wrapping_mul(factor)));
    }

    pub(super) fn times(&self, factor: u64) -> Self {
        Self(self.0.iter().map(|word| word.wrapping_mul(factor)).collect())
    }
}
