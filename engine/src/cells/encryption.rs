//! Encryption of plaintext slots under a compact public key.
//!
//! Per 2,048 slots, with the public key (A, B) and the product ⊛ of the ring:
//!
//! ```text
//! mask = A ⊛ r + e₁          body[i] = (B ⊛ r)[N-1-i] + e₂[i] + slot[i]
//! ```
//!
//! with *r* uniform binary and the errors from the noise distribution of the parameters. These are, word for word, the
//! ciphertexts of tfhe-rs's `encrypt_lwe_compact_ciphertext_list_with_compact_public_key`, which draws the same
//! variables in the same order from the same generator, and which a test holds this against; only the products are
//! computed by a transform (`ring.rs`), and *r* is erased.
//!
//! Source: M. Joye, "TFHE Public-Key Encryption Revisited", section 4.

use concrete_csprng::generators::SoftwareRandomGenerator;
use tfhe::core_crypto::commons::math::random::{ByteRandomGenerator, RandomGenerator, Seed};
use tfhe::core_crypto::prelude::DefaultRandomGenerator;
use zeroize::Zeroizing;

use super::keys::StudyPublicKey;
use super::keystream::has_aes_instructions;
use super::parameters::{DEGREE, NOISE};
use super::ring::multiply_by_binary;

/// How many words the ciphertext of so many slots has: a mask per 2,048 slots or part thereof, and the bodies.
pub(crate) const fn ciphertext_words(slots: usize) -> usize {
    slots.div_ceil(DEGREE) * DEGREE + slots
}

/// Encrypts `slots` with randomness expanded from a seed that must never be used again.
pub(crate) fn encrypt(key: &StudyPublicKey, slots: &[u64], seed: u128) -> Vec<u64> {
    if has_aes_instructions() {
        encrypt_by(key, slots, &mut RandomGenerator::<DefaultRandomGenerator>::new(Seed(seed)))
    } else {
        encrypt_by(key, slots, &mut RandomGenerator::<SoftwareRandomGenerator>::new(Seed(seed)))
    }
}

fn encrypt_by<G: ByteRandomGenerator>(
    key: &StudyPublicKey,
    slots: &[u64],
    generator: &mut RandomGenerator<G>,
) -> Vec<u64> {
    let mut words = vec![0; ciphertext_words(slots.len())];
    let (masks, bodies) = words.split_at_mut(slots.len().div_ceil(DEGREE) * DEGREE);
    let mut binary = Zeroizing::new(vec![0u64; masks.len()]);
    generator.fill_slice_with_random_uniform_binary_bits(&mut binary);
    generator.fill_slice_with_random_from_distribution(masks, NOISE);
    generator.fill_slice_with_random_from_distribution(bodies, NOISE);

    let mut product = Zeroizing::new(vec![0; DEGREE]);
    let masks = masks.chunks_exact_mut(DEGREE).zip(binary.chunks_exact_mut(DEGREE));
    let bodies = bodies.chunks_mut(DEGREE).zip(slots.chunks(DEGREE));
    for ((mask, binary), (body, slots)) in masks.zip(bodies) {
        binary.reverse();
        multiply_by_binary(&mut product, key.mask(), binary);
        add(mask, product.iter());
        multiply_by_binary(&mut product, key.body(), binary);
        add(body, product.iter().rev());
        add(body, slots.iter());
    }
    words
}

fn add<'a>(sum: &mut [u64], terms: impl Iterator<Item = &'a u64>) {
    sum.iter_mut().zip(terms).for_each(|(sum, term)| *sum = sum.wrapping_add(*term));
}

#[cfg(test)]
mod tests {
    use tfhe::core_crypto::commons::generators::NoiseRandomGenerator;
    use tfhe::core_crypto::prelude::{
        LweCiphertextCount, LweCompactCiphertextList, LweCompactPublicKey, PlaintextList,
        encrypt_lwe_compact_ciphertext_list_with_compact_public_key,
    };

    use super::super::keys::tests::fixed_pair;
    use super::super::keystream;
    use super::super::parameters::{DIMENSION, MODULUS};
    use super::*;

    fn encrypted_by_tfhe(key: &StudyPublicKey, slots: &[u64], seed: u128) -> Vec<u64> {
        let key = LweCompactPublicKey::from_container([key.mask(), key.body()].concat(), MODULUS);
        let mut list =
            LweCompactCiphertextList::new(0, DIMENSION.to_lwe_size(), LweCiphertextCount(slots.len()), MODULUS);
        let mut generator = NoiseRandomGenerator::<DefaultRandomGenerator>::new_from_seed(Seed(seed));
        let plain = PlaintextList::from_container(slots);
        encrypt_lwe_compact_ciphertext_list_with_compact_public_key(
            &key,
            &mut list,
            &plain,
            NOISE,
            NOISE,
            &mut generator,
        );
        list.into_container()
    }

    #[test]
    fn ciphertexts_are_those_of_tfhe_word_for_word() {
        let (_, key) = fixed_pair();
        for (seed, slots) in [(1, 8), (2, DEGREE - 4), (3, DEGREE), (4, DEGREE + 4), (5, 3 * DEGREE + 12)] {
            let mut plain = vec![0; slots];
            keystream::fill(&[seed; 32], &mut plain);
            let ours = encrypt(&key, &plain, u128::from(seed));
            assert_eq!(ours, encrypted_by_tfhe(&key, &plain, u128::from(seed)), "{slots} slots");
            let software = &mut RandomGenerator::<SoftwareRandomGenerator>::new(Seed(u128::from(seed)));
            assert_eq!(ours, encrypt_by(&key, &plain, software));
        }
    }
}
