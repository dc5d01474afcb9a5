//! How much noise one hospital adds to one cell, in whole numbers.
//!
//! A subject changes a cell by at most its *sensitivity* Δ. Of a study's ρ a cell has ρ/parts. A single discrete
//! Gaussian of standard deviation σ would need σ² = Δ²·parts / 2ρ; each of the honest hospitals, h at least, adds one
//! of σ²/h. Their sum is not quite a discrete Gaussian, and costs up to
//!
//! ```text
//! ½ (Δ / √h·s + τ)²      τ = 10 Σ_{k=1}^{h-1} exp(-2π² s² k/(k+1))
//! ```
//!
//! for shares of standard deviation s. So s is rounded up to the next 64th, and made one 64th larger: that one pays for
//! τ. It suffices when s ≥ 1: τ falls like exp(-π²s²), and what a 64th saves only like 1/s². `tests/it/privacy` checks this
//! inequality and, independently, the divergence of the exact sums.
//!
//! Sources: C. Canonne, G. Kamath and T. Steinke, "The Discrete Gaussian for Differential Privacy", NeurIPS 2020,
//! theorem 4; P. Kairouz, Z. Liu and T. Steinke, "The Distributed Discrete Gaussian Mechanism for Federated Learning
//! with Secure Aggregation", ICML 2021 (arXiv 2102.06387), proposition 14, third bound, for one coordinate.

use std::f64::consts::PI;

use consilium_protocol::privacy::{MicroRho, honest_of};

/// Parts of one in which standard deviations are counted.
const UNIT: u64 = 64;

/// log2 of the joint standard deviation up to which noise cannot carry a joint sum out of a cell.
///
/// Sums reach 2^62 and cells hold less than 2^63, so noise may reach 2^62: 32 such deviations. A discrete Gaussian is
/// sub-Gaussian with its own σ², and so is a sum of them, hence noise passes 2^62 with a probability below
/// 2·exp(-32²/2) < 2^-737.
const MOST_JOINT_LOG2: u32 = 57;

/// The standard deviation of one hospital's noise in one cell, in 64ths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ShareDeviation(u64);

impl ShareDeviation {
    /// For a cell of this sensitivity that has a `parts`-th of `rho`; `None` when the joint noise of `roster` hospitals
    /// could overflow. `rho` is above 0 and at most [`most_rho`](consilium_protocol::privacy::most_rho).
    pub(super) fn of(sensitivity: u64, parts: usize, rho: MicroRho, roster: usize) -> Option<Self> {
        let honest = honest_of(roster) as u128;
        // √(parts / 2ρh), times 2^32, rounded up: at most 2^8 parts times 2^20 millionths times 2^64.
        let ratio = (((parts as u128) * 1_000_000) << 64) / (2 * u128::from(rho.get()) * honest);
        let multiplier = ratio.isqrt() + 1;
        let rounded_up = u128::from(sensitivity).checked_mul(multiplier)?.div_ceil((1 << 32) / u128::from(UNIT));
        let deviation = rounded_up + 1;
        let most = u128::from(UNIT) << MOST_JOINT_LOG2;
        let joint_square = deviation.checked_mul(deviation)?.checked_mul(roster as u128)?;
        let fits = joint_square <= most * most;
        u64::try_from(deviation).ok().filter(|_| fits).map(Self)
    }

    /// The exact number: numerator and denominator.
    pub(super) const fn ratio(self) -> (u64, u64) {
        (self.0, UNIT)
    }

    /// The nearest double.
    pub(super) fn to_f64(self) -> f64 {
        self.0 as f64 / UNIT as f64
    }

    /// ρ that a subject loses by this cell when so many hospitals are honest.
    pub(super) fn rho(self, sensitivity: u64, honest: usize) -> f64 {
        let single = sensitivity as f64 / ((honest as f64).sqrt() * self.to_f64());
        (single + tau(self.to_f64(), honest)).powi(2) / 2.0
    }
}

/// How far the sum of so many discrete Gaussians is from a discrete Gaussian.
fn tau(deviation: f64, honest: usize) -> f64 {
    let exponent = |k: usize| -2.0 * (PI * deviation).powi(2) * k as f64 / (k + 1) as f64;
    10.0 * (1..honest).map(|k| exponent(k).exp()).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use consilium_protocol::privacy::most_rho;

    use super::*;
    use crate::cells::MAX_HOSPITALS;

    /// Shares over rosters, parts of ρ from the largest down, and sensitivities, each with its claim: sensitivity, share,
    /// how many are honest, and the ρ that it may cost.
    fn shares() -> Vec<(u64, ShareDeviation, usize, f64)> {
        let mut shares = Vec::new();
        for roster in [1, 2, 3, 4, 5, 7, 10, 20, 50, 101, 333, 1_000, MAX_HOSPITALS] {
            let honest = honest_of(roster);
            for blocks in [1, 2, 7, 64] {
                let most = most_rho(blocks, roster).get() as f64;
                // Close to the largest, where τ matters, and then down in large steps.
                let factors = (0..50).map(|i| 1.0 - f64::from(i) / 500.0).chain((1..60).map(|i| 0.75f64.powi(i)));
                let rhos = factors.map(|factor| MicroRho::new((most * factor) as u64));
                for rho in rhos.filter(|rho| !rho.is_zero()) {
                    for (sensitivity, cells) in [(1, 1), (1, 3), (2, 2), (500, 2), (1 << 32, 2), (1 << 38, 3)] {
                        let parts = blocks * cells;
                        let share = ShareDeviation::of(sensitivity, parts, rho, roster);
                        let claim = rho.to_f64() / parts as f64;
                        shares.extend(share.map(|share| (sensitivity, share, honest, claim)));
                    }
                }
            }
        }
        shares
    }

    #[test]
    fn no_share_costs_more_than_its_claim() {
        let shares = shares();
        assert!(shares.len() > 10_000);
        for (sensitivity, share, honest, claim) in shares {
            assert!(share.to_f64() > 1.0);
            let cost = share.rho(sensitivity, honest);
            assert!(cost <= claim * (1.0 + 1e-12), "{share:?} {sensitivity} {honest}: {cost} {claim}");
        }
    }

    #[test]
    fn some_would_with_one_64th_less() {
        let costly = |(sensitivity, share, honest, claim): &(u64, ShareDeviation, usize, f64)| {
            ShareDeviation(share.0 - 1).rho(*sensitivity, *honest) > *claim
        };
        assert!(shares().iter().any(costly));
    }

    #[test]
    fn noise_that_could_overflow_is_refused() {
        let share = |sensitivity| ShareDeviation::of(sensitivity, 192, MicroRho::new(1), 4);
        assert!(share(1 << 43).is_some());
        assert_eq!(share(1 << 44), None);
        assert_eq!(share(u64::MAX), None);
    }
}
