//! The parameter set of the researcher's key, read from tfhe-rs at compile time.

use consilium_protocol::hash::tagged;
use tfhe::core_crypto::prelude::{CiphertextModulus, LweDimension, TUniform};
use tfhe::shortint::parameters::{
    CompactPublicKeyEncryptionParameters, DynamicDistribution, PARAM_PKE_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128,
};

use super::encoding::{DELTA_LOG2, HEADROOM_BITS, LIMB_BITS, LIMBS};

/// tfhe-rs's current parameters for compact public keys. Only dimension, noise and modulus matter here: the plaintext
/// space is ours ([`super::encoding`]), and nothing is ever bootstrapped.
const SET: CompactPublicKeyEncryptionParameters = PARAM_PKE_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128;

/// The LWE dimension, which is also the degree of the ring.
pub(crate) const DIMENSION: LweDimension = SET.encryption_lwe_dimension;

/// Words of a mask polynomial, and the most slots that share one.
pub(crate) const DEGREE: usize = DIMENSION.0;

/// The distribution of every error term.
pub(crate) const NOISE: TUniform<u64> = match SET.encryption_noise_distribution {
    DynamicDistribution::TUniform(distribution) => distribution,
    DynamicDistribution::Gaussian(_) => panic!("the noise bound is proved for bounded noise alone"),
};

/// The modulus 2^64, which wrapping addition of words is exact for.
pub(crate) const MODULUS: CiphertextModulus<u64> = SET.ciphertext_modulus;

const _: () = assert!(DEGREE.is_power_of_two() && DEGREE.is_multiple_of(8));
const _: () = assert!(MODULUS.is_native_modulus());
const _: () = assert!(LIMB_BITS * LIMBS as u32 == u64::BITS && LIMB_BITS + HEADROOM_BITS + DELTA_LOG2 == u64::BITS);

/// What both sides must agree on before words of a ciphertext mean the same to them.
///
/// A digest over the numbers, not over the name of the set: a new tfhe-rs that renames its sets but keeps the numbers
/// still reads old ciphertexts, and one that changes the numbers refuses them.
pub(super) fn fingerprint() -> [u8; 16] {
    let numbers = [
        DEGREE as u64,
        u64::from(NOISE.bound_log2()),
        u64::from(u64::BITS),
        u64::from(LIMB_BITS),
        LIMBS as u64,
        u64::from(DELTA_LOG2),
    ];
    let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    let digest = tagged("consilium/cells/parameters/v1", &[&numbers]);
    std::array::from_fn(|i| digest[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_set_is_the_one_the_formats_were_made_for() {
        assert_eq!((DEGREE, NOISE.bound_log2()), (2048, 17));
        assert_eq!(hex(&fingerprint()), "5e385b583c8d0a8f5ba0c959a2f79835");
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }
}
