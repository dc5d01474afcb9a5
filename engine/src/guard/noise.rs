//! How much noise each step of the guard carries, and how likely it is to be misread.
//!
//! Every step is a phase that must be told apart from others at some distance, its *margin*. Its noise is the sum of many
//! independent small terms, and is taken as Gaussian with their variance, as the parameter sets of tfhe-rs are made. The
//! variances of key switching, of the centred modulus switching and of a bootstrap's output are tfhe-rs's own formulas;
//! that of the hospitals' sum is computed here, Σᵣ being binomial: N·σ²·(n² + n)/4 + n·σ² + n·N·σ²/2 (see
//! [`crate::cells::noise`] for the terms).
//!
//! Sources: I. Chillotti et al., "TFHE", J. Cryptology 2020; L. Bergerat et al., "Parameter Optimization & Larger
//! Precision for (T)FHE", J. Cryptology 2023, for the formulas and for the failure probability of a bootstrap.

use tfhe::core_crypto::commons::noise_formulas::centered_mean_shifted_modulus_switch::centered_binary_shifted_modulus_switch_additive_variance;
use tfhe::core_crypto::commons::noise_formulas::lwe_keyswitch::keyswitch_additive_variance_132_bits_security_tuniform;
use tfhe::core_crypto::commons::noise_formulas::lwe_programmable_bootstrap::pbs_variance_132_bits_security_tuniform_fft_mul;

use super::custodian::DIGIT_NOISE;
use super::parameters::{BLOCK_DIGITS, FLOOD_LOG2};
use super::parameters::{HALF_TORUS_UNITS, POSITIONS_LOG2, SET};
use super::plan::{Plan, outputs};
use super::{GuardShape, decide};
use crate::cells::parameters::{DEGREE, DIMENSION, NOISE};

/// 2^64, the torus.
const TORUS: f64 = 18_446_744_073_709_551_616.0;

/// Bits of precision of the Fourier transform of bootstraps: those of a double.
const MANTISSA: f64 = f64::MANTISSA_DIGITS as f64;

/// One step, in words of the torus.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What is read.
    pub name: String,
    /// The standard deviation of its noise when it is read.
    pub deviation: f64,
    /// The noise from which on it is misread.
    pub margin: f64,
}

impl Step {
    fn new(name: impl Into<String>, variance: f64, margin: f64) -> Self {
        Self { name: name.into(), deviation: variance.sqrt(), margin }
    }

    /// log2 of the probability that the noise passes the margin, on either side; an upper bound of the Gaussian's tails.
    pub fn failure_log2(&self) -> f64 {
        let z = self.margin / self.deviation;
        (2.0 / (z * (2.0 * std::f64::consts::PI).sqrt())).log2() - z * z / 2.0 * std::f64::consts::LOG2_E
    }
}

/// The steps of a round of this shape, in the order they are made.
pub fn steps(shape: &GuardShape) -> Vec<Step> {
    let mut steps = plan_steps("count", shape.count_plan(), shape.hospitals());
    if shape.zeros_shown().contains(&true) {
        steps.extend(plan_steps("zero test", shape.zero_plan(), shape.hospitals()));
    }
    let unit = decide::GATE_UNIT as f64;
    if !shape.gates().sets.is_empty() {
        let inputs = 2.0 * GuardShape::gate_inputs() as f64 * bootstrap();
        steps.push(Step::new("gate", inputs + switching(), unit / 2.0));
    }
    let table = 2.0 * bootstrap() + sum(1) + switching();
    steps.push(Step::new("sealing table", table, TORUS / (4 * BLOCK_DIGITS) as f64));
    let flood = 2f64.powi(FLOOD_LOG2 as i32);
    steps.push(Step::new("sealed digit above the flood", digit(), DIGIT_NOISE as f64 - flood));
    steps
}

/// The steps of one decision: its remainders, then its sign.
fn plan_steps(name: &str, plan: &Plan, hospitals: usize) -> Vec<Step> {
    let radices = plan.radices();
    let mut steps = Vec::new();
    for (step, radix) in radices.iter().enumerate() {
        let factor = (plan.modulus() / plan.modulus_up_to(step + 1)) as f64;
        let earlier = |remainder: usize| {
            let own = outputs(remainder, radices.len()).contains(&(step + 1));
            if own { bootstrap() } else { bootstrap() * factor * factor }
        };
        let variance = sum(hospitals) * factor * factor + (0..step).map(earlier).sum::<f64>() + switching();
        steps.push(Step::new(format!("{name}: remainder modulo {radix}"), variance, TORUS / (4 * radix) as f64));
    }
    let variance = sum(hospitals) + radices.len() as f64 * bootstrap() + switching();
    steps.push(Step::new(format!("{name}: sign"), variance, TORUS / (4 * HALF_TORUS_UNITS) as f64));
    steps
}

/// The variance of a slot of the sum over so many hospitals.
pub(super) fn sum(hospitals: usize) -> f64 {
    let (degree, hospitals) = (DEGREE as f64, hospitals as f64);
    let variance = (2f64.powi(2 * NOISE.bound_log2() as i32 + 1) + 1.0) / 6.0;
    variance * (degree * (hospitals * hospitals + hospitals) / 4.0 + hospitals + hospitals * degree / 2.0)
}

/// The variance of a bootstrap's output.
pub(super) fn bootstrap() -> f64 {
    let variance = pbs_variance_132_bits_security_tuniform_fft_mul(
        SET.lwe_dimension,
        SET.glwe_dimension,
        SET.polynomial_size,
        SET.pbs_base_log,
        SET.pbs_level,
        MANTISSA,
        TORUS,
    );
    variance.0 * TORUS * TORUS
}

/// The variance that key switching adds.
pub(super) fn key_switch() -> f64 {
    let variance = keyswitch_additive_variance_132_bits_security_tuniform(
        DIMENSION,
        SET.lwe_dimension,
        SET.ks_base_log,
        SET.ks_level,
        TORUS,
        TORUS,
    );
    variance.0 * TORUS * TORUS
}

/// The variance that modulus switching to the positions of a table adds.
pub(super) fn modulus_switch() -> f64 {
    let positions = 2f64.powi(POSITIONS_LOG2.0 as i32);
    let variance = centered_binary_shifted_modulus_switch_additive_variance(SET.lwe_dimension, TORUS, positions);
    variance.0 * TORUS * TORUS
}

/// What reading a phase by a bootstrap adds to it.
fn switching() -> f64 {
    key_switch() + modulus_switch()
}

/// The variance of a sealed digit without its flood: a bootstrap's, a fresh encryption's, and that of 16-bit words, each
/// of which is off by up to 2^47 and half of which the key adds up.
pub(super) fn digit() -> f64 {
    let rounding = 2f64.powi(2 * 48) / 12.0;
    bootstrap() + sum(1) + rounding * (1.0 + DEGREE as f64 / 2.0)
}

#[cfg(test)]
mod tests {
    use super::super::{Bar, Gates};
    use super::*;

    #[test]
    fn every_step_of_every_shape_fails_less_than_once_in_2_to_the_128() {
        let mut shapes = 0;
        for threshold in [2, 3, 5, 10, 11, 20, 31, 100, 500] {
            for hospitals in (3..60).chain([64, 100, 128, 200, 256, 500, 512, 1000, 1024]) {
                let gates = Gates::of_needs(&[vec![0, 1], vec![1]]);
                for bar in [Bar::at(threshold), Bar::of(threshold, 0, hospitals), Bar::of(threshold, 2, hospitals)] {
                    let Ok(shape) = GuardShape::new(hospitals, bar, vec![true, false], gates.clone()) else { continue };
                    shapes += 1;
                    for step in steps(&shape) {
                        let failure = step.failure_log2();
                        assert!(failure < -128.0, "{hospitals} hospitals, {bar:?}: {step:?} {failure}");
                    }
                }
            }
        }
        assert!(shapes > 1_200, "{shapes}");
    }

    #[test]
    fn the_tail_is_that_of_a_gaussian() {
        let of = |z: f64| Step::new("", 1.0, z).failure_log2();
        assert!((of(13.0) - -125.9).abs() < 0.1 && (of(5.0) - -20.7).abs() < 0.1);
    }
}
