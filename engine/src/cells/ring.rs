//! Products in the ring of polynomials modulo X^N + 1 and 2^64, one operand binary.
//!
//! tfhe-rs multiplies by the Karatsuba method when it encrypts; a number-theoretic transform over three 30-bit primes
//! gives the very same words, since no coefficient of the product of a 64-bit and a binary polynomial passes N·2^64,
//! far below half the product of the primes.

use std::sync::OnceLock;

use tfhe_ntt::native_binary64::Plan32;

use super::parameters::DEGREE;

static PLAN: OnceLock<Plan32> = OnceLock::new();

/// `product = words · bits` modulo X^N + 1, exactly modulo 2^64. `bits` must be binary, and all slices of length N.
///
/// With `bits` reversed, coefficient N-1-i of the product is the inner product of the unreversed `bits` with
/// X^i · `words`: what the body of slot i is masked by (M. Joye, "TFHE Public-Key Encryption Revisited", section 3).
pub(crate) fn multiply_by_binary(product: &mut [u64], words: &[u64], bits: &[u64]) {
    debug_assert!(bits.iter().all(|bit| *bit <= 1));
    let plan = PLAN.get_or_init(|| {
        Plan32::try_new(DEGREE).expect("the primes of tfhe-ntt have roots of unity for degrees of 32 to 32,768")
    });
    plan.negacyclic_polymul(product, words, bits);
}

#[cfg(test)]
mod tests {
    use super::super::keystream;
    use super::*;

    fn schoolbook(words: &[u64], bits: &[u64]) -> Vec<u64> {
        let mut product = vec![0u64; words.len()];
        for (i, word) in words.iter().enumerate() {
            for (j, _) in bits.iter().enumerate().filter(|(_, bit)| **bit == 1) {
                let at = (i + j) % words.len();
                let sign = if i + j < words.len() { 1 } else { u64::MAX };
                product[at] = product[at].wrapping_add(word.wrapping_mul(sign));
            }
        }
        product
    }

    #[test]
    fn products_are_exact() {
        let mut operands = vec![(vec![u64::MAX; DEGREE], vec![1; DEGREE]), (vec![u64::MAX; DEGREE], vec![0; DEGREE])];
        for seed in 0..4 {
            let (mut words, mut bits) = (vec![0; DEGREE], vec![0; DEGREE]);
            keystream::fill(&[seed; 32], &mut words);
            keystream::fill(&[seed + 100; 32], &mut bits);
            bits.iter_mut().for_each(|word| *word &= 1);
            operands.push((words, bits));
        }
        for (words, bits) in operands {
            let mut product = vec![0; DEGREE];
            multiply_by_binary(&mut product, &words, &bits);
            assert_eq!(product, schoolbook(&words, &bits));
        }
    }
}
