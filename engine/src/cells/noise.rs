//! How much noise an honest sum can carry.
//!
//! Write *e* for the error in the public key, *r*, *e₁*, *e₂* for a hospital's encryption randomness and errors, and *s*
//! for the binary secret key. The noise in one slot of the sum over *P* hospitals is
//!
//! ```text
//! Σₚ (e·rₚ + e₂ₚ − e₁ₚ·s)  =  e·(Σₚ rₚ)  +  Σₚ e₂ₚ  −  (Σₚ e₁ₚ)·s
//! ```
//!
//! where each product has as many terms as the ring's degree *N*. The first term is the largest: *e* is the same for
//! everyone, so it grows with *P*, not with √*P*. Every error coefficient is drawn from TUniform(b), the centred sum of
//! b + 2 fair bits of weights 1, 1, 2, 4, …, 2^b. By Hoeffding's lemma a fair bit of weight *w* is sub-Gaussian with
//! w²/4, its own variance; so is their sum, with σ² = (2^(2b+1) + 1)/6. The coefficients of Σ rₚ are at most *P* and those
//! of *s* at most 1, so whatever *r* and *s* are, the three terms are sub-Gaussian with variances at most N·P²·σ², P·σ²
//! and N·P·σ².
//!
//! Sources: M. Joye, "TFHE Public-Key Encryption Revisited", section 4, for the scheme; W. Hoeffding, "Probability
//! inequalities for sums of bounded random variables", 1963, for the tails.

use super::parameters::{DEGREE, NOISE};

/// A bound on the noise of any one slot in the sum over `hospitals` honest hospitals. Each slot passes it with a
/// probability below 2^-128.
pub fn noise_bound(hospitals: usize) -> f64 {
    let degree = DEGREE as f64;
    let hospitals = hospitals as f64;
    let deviation = ((2f64.powi(2 * NOISE.bound_log2() as i32 + 1) + 1.0) / 6.0).sqrt();
    // Two tails of three terms share the probability.
    let tail = (2.0 * (6f64.ln() + 128.0 * 2f64.ln())).sqrt();
    tail * deviation * (hospitals * degree.sqrt() + hospitals.sqrt() + (degree * hospitals).sqrt())
}

#[cfg(test)]
mod tests {
    use super::super::MAX_HOSPITALS;
    use super::super::encoding::SAFE_NOISE;
    use super::*;

    #[test]
    fn the_largest_roster_stays_within_the_safe_bound() {
        let bound = noise_bound(MAX_HOSPITALS);
        assert!(bound < SAFE_NOISE as f64, "2^{:.2}", bound.log2());
        // Not by a wide margin, so that a change of parameters that eats it up is seen here.
        assert!(bound * 4.0 > SAFE_NOISE as f64, "2^{:.2}", bound.log2());
    }

    #[test]
    fn the_bound_grows_with_the_roster() {
        assert!(noise_bound(3) < noise_bound(20) && noise_bound(20) < noise_bound(1024));
    }
}
