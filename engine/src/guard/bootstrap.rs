//! Bootstraps of one thread: key switching, modulus switching and blind rotation, in memory that is allocated once.
//!
//! Modulus switching is the centred one that the parameter set is made for. It puts a phase φ on the position
//! ⌊φ·2N/2^64⌋ but for noise, so that coefficient *j* of a table stands for phases about (*j* + ½)·2^64/2N, and the two
//! halves of the torus, which hold opposite values, meet exactly at phase 0.
//!
//! Source: I. Chillotti et al., "TFHE: Fast Fully Homomorphic Encryption over the Torus", J. Cryptology 2020.

use tfhe::core_crypto::prelude::{
    ComputationBuffers, Fft, GlweCiphertext, GlweCiphertextOwned, LweCiphertext, LweCiphertextOwned,
    blind_rotate_assign_mem_optimized, blind_rotate_assign_mem_optimized_requirement, keyswitch_lwe_ciphertext,
    lwe_ciphertext_centered_binary_modulus_switch,
};

use super::parameters::{POSITIONS_LOG2, SET};
use super::plan::encode;
use super::sample::Sample;
use super::server_key::GuardServerKey;
use crate::cells::parameters::{DEGREE, MODULUS};

/// A server key with the memory that one thread needs to use it.
pub(super) struct Bootstrapper<'a> {
    key: &'a GuardServerKey,
    fft: Fft,
    buffers: ComputationBuffers,
    /// What is being bootstrapped, under the small key.
    switched: LweCiphertextOwned<u64>,
    /// Mask and body polynomial: the table, and after a rotation the result.
    accumulator: GlweCiphertextOwned<u64>,
}

impl<'a> Bootstrapper<'a> {
    pub(super) fn new(key: &'a GuardServerKey) -> Self {
        let glwe_size = SET.glwe_dimension.to_glwe_size();
        let fft = Fft::new(SET.polynomial_size);
        let mut buffers = ComputationBuffers::new();
        buffers.resize(
            blind_rotate_assign_mem_optimized_requirement::<u64>(glwe_size, SET.polynomial_size, fft.as_view())
                .unaligned_bytes_required(),
        );
        Self {
            key,
            fft,
            buffers,
            switched: LweCiphertext::new(0, SET.lwe_dimension.to_lwe_size(), MODULUS),
            accumulator: GlweCiphertext::new(0, glwe_size, SET.polynomial_size, MODULUS),
        }
    }

    /// Switches a sample to the small key. What follows are rotations by its phase, as many as wanted.
    pub(super) fn switch(&mut self, sample: &Sample) {
        let sample = LweCiphertext::from_container(sample.words(), MODULUS);
        keyswitch_lwe_ciphertext(self.key.switching(), &sample, &mut self.switched);
    }

    /// Rotates a table by the phase of what was switched last.
    pub(super) fn rotate(&mut self, table: impl FnOnce(&mut [u64])) {
        let mut body = self.accumulator.get_mut_body();
        table(body.as_mut());
        self.accumulator.get_mut_mask().as_mut().fill(0);
        let input = lwe_ciphertext_centered_binary_modulus_switch(self.switched.as_view(), POSITIONS_LOG2);
        blind_rotate_assign_mem_optimized(
            &input,
            &mut self.accumulator,
            self.key.bootstrapping(),
            self.fft.as_view(),
            self.buffers.stack(),
        );
    }

    /// The mask and the body polynomial of the last rotation.
    pub(super) fn rotated(&self) -> (&[u64], &[u64]) {
        self.accumulator.as_ref().split_at(DEGREE)
    }

    /// What was switched last.
    #[cfg(test)]
    pub(super) fn switched(&self) -> &[u64] {
        self.switched.as_ref()
    }

    /// The constant coefficient of the last rotation.
    fn constant(&self) -> Sample {
        let (mask, body) = self.rotated();
        let mut sample = Sample::zero();
        let words = sample.words_mut();
        words[0] = mask[0];
        words[1..DEGREE].iter_mut().zip(mask[1..].iter().rev()).for_each(|(to, from)| *to = from.wrapping_neg());
        words[DEGREE] = body[0];
        sample
    }

    /// `unit` when the phase of what was switched last is on the upper side of zero, 0 when it is on the lower.
    pub(super) fn sign(&mut self, unit: u64) -> Sample {
        self.rotate(|table| table.fill(unit / 2));
        let mut bit = self.constant();
        bit.add_plain(unit / 2);
        bit
    }

    /// The number of `radix`th parts of the torus that what was switched last stands for, `weight` times on a torus of
    /// `modulus` parts.
    pub(super) fn remainder(&mut self, radix: u64, weight: u64, modulus: u64) -> Sample {
        self.rotate(|table| fill_remainders(table, radix, weight, modulus));
        self.constant()
    }
}

/// Coefficient *j* stands for the half part h nearest to (j + ½)·2p/2N: the number h/2 when h is even; when it is odd,
/// the negative of what stands opposite, (h + p)/2.
fn fill_remainders(table: &mut [u64], radix: u64, weight: u64, modulus: u64) {
    let positions = 2 * DEGREE as u64;
    for (j, word) in (0u64..).zip(table.iter_mut()) {
        let half = ((2 * j + 1) * 2 * radix + positions) / (2 * positions);
        let (number, opposite) = if half.is_multiple_of(2) { (half / 2, false) } else { ((half + radix) / 2, true) };
        let value = encode(number % radix * weight, modulus);
        *word = if opposite { value.wrapping_neg() } else { value };
    }
}
