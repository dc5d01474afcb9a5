//! From a study and its ρ to the noise in every cell.

use consilium_protocol::privacy::{MicroRho, honest_of, most_rho};
use consilium_protocol::study::StudySpec;
use rand::CryptoRng;
use zeroize::Zeroizing;

use super::PrivacyError;
use super::calibration::ShareDeviation;
use super::source::Noise;
use crate::cells::MAX_HOSPITALS;
use crate::statistics::{Block, Bundle, Content, Layout, Scale};

/// How a private study's ρ becomes noise.
///
/// ρ is split equally over the study's statistics, each of which every subject is in. A subject is in one bundle of a
/// statistic only, so each bundle has the statistic's whole part, and splits it equally over its sums: n alone; n and
/// Σx; or n, Σx and Σx². One subject more or less changes them by at most 1, R and R², R being the variable's range in
/// steps. `withheld` has no noise: in a private study no hospital holds anything back, so it is always 0.
#[derive(Clone, Debug, PartialEq)]
pub struct NoisePlan {
    rho: MicroRho,
    roster: usize,
    guarantee: f64,
    shares: Vec<Option<ShareDeviation>>,
}

impl NoisePlan {
    /// Plans a study over a roster of so many hospitals, of whom more than half add their noise honestly.
    ///
    /// # Errors
    /// [`PrivacyError`] when `rho` is 0 or too large for shares in whole numbers, when the noise could overflow a cell,
    /// or when the arguments do not belong together.
    pub fn of(spec: &StudySpec, layout: &Layout, rho: MicroRho, roster: usize) -> Result<Self, PrivacyError> {
        if Layout::of(spec).ok().as_ref() != Some(layout) {
            return Err(PrivacyError::Layout);
        }
        if !(1..=MAX_HOSPITALS).contains(&roster) {
            return Err(PrivacyError::Roster { roster });
        }
        if rho.is_zero() {
            return Err(PrivacyError::NoRho);
        }
        let most = Self::most_rho(layout, roster);
        if rho > most {
            return Err(PrivacyError::TooMuchRho { asked: rho, most, roster });
        }
        let mut plan = Self { rho, roster, guarantee: 0.0, shares: vec![None; layout.cells()] };
        for block in layout.blocks() {
            plan.add(spec, layout, block)?;
        }
        Ok(plan)
    }

    /// The largest ρ that hospitals can share out in whole numbers. A larger one would not get a better result: the least
    /// noise that a hospital adds has a standard deviation of 1.
    pub fn most_rho(layout: &Layout, roster: usize) -> MicroRho {
        most_rho(layout.blocks().len(), roster)
    }

    fn add(&mut self, spec: &StudySpec, layout: &Layout, block: &Block) -> Result<(), PrivacyError> {
        let statistic = &spec.statistics[block.statistic];
        let overflow = || PrivacyError::Overflow { statistic: statistic.name.clone() };
        let variable = statistic.kind.variable().and_then(|name| spec.variable(name));
        // A variable without any range is always 0, but a cell without noise would need a proof of its own.
        let range = variable.and_then(Scale::of).map_or(1, |scale| scale.range.unsigned_abs().max(1));
        let bundles = &layout.bundles()[block.bundles.clone()];
        let mut worst = 0f64;
        for content in [Content::Count, Content::Sum, Content::Squares] {
            let alike = || bundles.iter().filter(move |bundle| bundle.content == content);
            if alike().next().is_none() {
                continue;
            }
            let parts = layout.blocks().len() * sums_of(content);
            let mut loss = 0.0;
            for sum in 0..sums_of(content) {
                let sensitivity = range.checked_pow(sum as u32).ok_or_else(overflow)?;
                let share = ShareDeviation::of(sensitivity, parts, self.rho, self.roster).ok_or_else(overflow)?;
                loss += share.rho(sensitivity, honest_of(self.roster));
                alike().for_each(|bundle| self.shares[bundle.first_cell + sum] = Some(share));
            }
            worst = worst.max(loss);
        }
        self.guarantee += worst;
        Ok(())
    }

    /// What the study costs the budget of every hospital of the roster.
    pub fn rho(&self) -> MicroRho {
        self.rho
    }

    /// ρ that one subject loses at most, computed from the noise as rounded and with the τ of the sum of shares; never
    /// more than [`rho`](Self::rho).
    pub fn guarantee(&self) -> f64 {
        self.guarantee
    }

    /// Over how many hospitals the noise is.
    pub fn roster(&self) -> usize {
        self.roster
    }

    /// The standard deviation of the noise in a joint cell, of all hospitals' shares together; 0 for `withheld`.
    pub fn sigma(&self, cell: usize) -> f64 {
        (self.roster as f64).sqrt() * self.share_sigma(cell)
    }

    /// The standard deviation of one hospital's share, exact.
    pub fn share_sigma(&self, cell: usize) -> f64 {
        self.shares.get(cell).copied().flatten().map_or(0.0, ShareDeviation::to_f64)
    }

    /// The standard deviations of a bundle's n, Σx and Σx² in the joint result, as many as it has.
    pub fn sigmas(&self, bundle: &Bundle) -> Vec<f64> {
        (0..sums_of(bundle.content)).map(|sum| self.sigma(bundle.first_cell + sum)).collect()
    }

    /// Draws one hospital's noise for all cells.
    ///
    /// As secret as the cells themselves: whoever knows it can take it away. A round needs it once; what was contributed
    /// is kept, never drawn again.
    pub fn share(&self, randomness: &mut impl CryptoRng) -> Zeroizing<Vec<i64>> {
        let draw = |share: &Option<ShareDeviation>| share.map_or(0, |share| Noise::of(share).draw(randomness));
        Zeroizing::new(self.shares.iter().map(draw).collect())
    }

    /// Adds one hospital's noise to its cells, modulo 2^64.
    ///
    /// # Errors
    /// [`PrivacyError::Layout`] when these are cells of another layout; they are unchanged then.
    pub fn apply(&self, cells: &mut [i64], randomness: &mut impl CryptoRng) -> Result<(), PrivacyError> {
        if cells.len() != self.shares.len() {
            return Err(PrivacyError::Layout);
        }
        let share = self.share(randomness);
        cells.iter_mut().zip(share.iter()).for_each(|(cell, noise)| *cell = cell.wrapping_add(*noise));
        Ok(())
    }
}

/// How many sums a bundle has, `withheld` not counted.
const fn sums_of(content: Content) -> usize {
    content.cells() - 1
}
