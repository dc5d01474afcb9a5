//! Where noise comes from: exact discrete Gaussians out of cryptographic randomness.
//!
//! The sampler is libprio's, which draws exactly, by rational arithmetic: no floating-point number is involved, so no
//! low-order bit tells a value from its noise. It follows C. Canonne, G. Kamath and T. Steinke, "The Discrete Gaussian for
//! Differential Privacy", NeurIPS 2020, algorithms 1 to 3. The attack it is proof against: I. Mironov, "On significance
//! of the least significant bits for differential privacy", CCS 2012.

use prio::dp::Rational;
use prio::dp::distributions::DiscreteGaussian;
use rand::distr::Distribution;
use rand::rngs::ChaCha20Rng;
use rand::{CryptoRng, SeedableRng};
use zeroize::Zeroizing;

use super::PrivacyError;
use super::calibration::ShareDeviation;

/// A generator with a seed of 256 bits from the operating system, for the noise of one contribution.
///
/// # Errors
/// [`PrivacyError::NoRandomness`].
pub fn fresh_randomness() -> Result<ChaCha20Rng, PrivacyError> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut_slice()).map_err(|_| PrivacyError::NoRandomness)?;
    Ok(ChaCha20Rng::from_seed(*seed))
}

/// A discrete Gaussian around 0: the integer z with a probability proportional to exp(-z²/2σ²).
pub(super) struct Noise(DiscreteGaussian);

impl Noise {
    pub(super) fn of(deviation: ShareDeviation) -> Self {
        let (numerator, denominator) = deviation.ratio();
        let exact = Rational::from_unsigned(numerator, denominator).and_then(DiscreteGaussian::new);
        Self(exact.expect("the denominator is not 0"))
    }

    pub(super) fn draw(&self, randomness: &mut impl CryptoRng) -> i64 {
        loop {
            // Deviations are below 2^57: what does not fit is never drawn.
            if let Ok(drawn) = i64::try_from(self.0.sample(randomness)) {
                return drawn;
            }
        }
    }
}
