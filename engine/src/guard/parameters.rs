//! The parameter set of the custodian's keys, read from tfhe-rs at compile time.

use consilium_protocol::hash::tagged;
use tfhe::core_crypto::prelude::{CiphertextModulusLog, TUniform};
use tfhe::shortint::parameters::{
    ClassicPBSParameters, DynamicDistribution, ModulusSwitchType, PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128,
};

use crate::cells::parameters::{DEGREE, MODULUS, NOISE};

/// tfhe-rs's current parameters for bootstrapping four bits and a bit of padding, each with a failure probability below
/// 2^-128. Its ring key is of the dimension and noise of the compact public keys of [`crate::cells`], so that one key is
/// both: hospitals encrypt for it, and what they encrypted is bootstrapped without another key between.
pub(super) const SET: ClassicPBSParameters = PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128;

/// Bootstraps of one seed.
pub(super) const BLOCKS: usize = 3;

/// Digits of one bootstrap.
pub(super) const BLOCK_DIGITS: usize = 16;

/// Words of one sealed block: a mask polynomial, and a body per digit.
pub(super) const BLOCK_WORDS: usize = DEGREE + BLOCK_DIGITS;

/// The distance of two digits: 16 of them make the torus.
pub(super) const DIGIT_UNIT: u64 = 1 << 60;

/// Flooding noise is uniform from -2^58 to 2^58. Half of what would be misread, so that what should not be is refused.
pub(super) const FLOOD_LOG2: u32 = 58;

/// The distribution of the errors under the small key.
pub(super) const SMALL_NOISE: TUniform<u64> = t_uniform(SET.lwe_noise_distribution);

/// Words of an LWE ciphertext under the big key: mask and body.
pub(super) const SAMPLE_WORDS: usize = DEGREE + 1;

/// log2 of the positions that a bootstrap tells apart on the torus.
pub(super) const POSITIONS_LOG2: CiphertextModulusLog = CiphertextModulusLog(DEGREE.ilog2() as usize + 1);

/// log2 of the distance of two plaintexts that the set is made for: four bits below a bit of padding.
pub(super) const UNIT_LOG2: u32 = u64::BITS - 1 - (SET.message_modulus.0 * SET.carry_modulus.0).ilog2();

/// How many plaintexts of that distance fit on half the torus.
pub(super) const HALF_TORUS_UNITS: u64 = 1 << (u64::BITS - 1 - UNIT_LOG2);

/// The square of the 2-norm that the set's failure probability is stated for: a sum of so many bootstrapped ciphertexts
/// is bootstrapped as safely as the set promises.
pub(super) const SUMMANDS: usize = (SET.max_noise_level.get() * SET.max_noise_level.get()) as usize;

const fn t_uniform(distribution: DynamicDistribution<u64>) -> TUniform<u64> {
    match distribution {
        DynamicDistribution::TUniform(distribution) => distribution,
        DynamicDistribution::Gaussian(_) => panic!("the noise budget is made for bounded noise alone"),
    }
}

const _: () = assert!(SET.glwe_dimension.0 == 1 && SET.polynomial_size.0 == DEGREE);
const _: () = assert!(t_uniform(SET.glwe_noise_distribution).bound_log2() == NOISE.bound_log2());
const _: () = assert!(SET.ciphertext_modulus.is_native_modulus() && MODULUS.is_native_modulus());
const _: () = assert!(SET.log2_p_fail < -128.0);
const _: () =
    assert!(matches!(SET.modulus_switch_noise_reduction_params, ModulusSwitchType::CenteredMeanNoiseReduction));

/// A digest over the numbers of the set, for the headers of everything that depends on them.
pub(super) fn fingerprint() -> [u8; 16] {
    let numbers = [
        DEGREE,
        NOISE.bound_log2() as usize,
        SET.lwe_dimension.0,
        SMALL_NOISE.bound_log2() as usize,
        SET.pbs_base_log.0,
        SET.pbs_level.0,
        SET.ks_base_log.0,
        SET.ks_level.0,
        UNIT_LOG2 as usize,
        BLOCKS,
        BLOCK_DIGITS,
    ];
    let numbers: Vec<u8> = numbers.iter().flat_map(|number| (*number as u64).to_le_bytes()).collect();
    let digest = tagged("consilium/guard/parameters/v1", &[&numbers]);
    std::array::from_fn(|i| digest[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_set_is_the_one_the_formats_were_made_for() {
        assert_eq!((SET.lwe_dimension.0, SMALL_NOISE.bound_log2(), DEGREE), (918, 45, 2048));
        assert_eq!((SET.pbs_base_log.0, SET.pbs_level.0, SET.ks_base_log.0, SET.ks_level.0), (23, 1, 4, 4));
        assert_eq!((UNIT_LOG2, HALF_TORUS_UNITS, SUMMANDS), (59, 16, 25));
    }
}
