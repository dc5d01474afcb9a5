//! One hospital's own numbers, from the moment they are computed until they are blinded.

use std::fmt;

use zeroize::Zeroizing;

use super::{Bundle, Layout};
use crate::cells::{Blinds, ContributionError, EncryptedCells, StudyPublicKey};
use crate::guard::{GuardBlinds, GuardContribution, GuardError, GuardPublicKey, GuardShape};
use crate::privacy::{NoisePlan, PrivacyError, fresh_randomness};

/// The cells of one hospital, in the order of the study's [`Layout`](super::Layout).
///
/// Nobody reads them: they can be blinded and encrypted, and nothing else. No `Display`, no serialisation, and a `Debug`
/// that shows how many there are. Erased when dropped.
///
/// ```compile_fail,E0599
/// fn print(cells: &consilium_engine::statistics::LocalCells) -> String {
///     cells.to_string() // not printable, whatever the format
/// }
/// ```
///
/// ```compile_fail,E0277
/// fn save(cells: &consilium_engine::statistics::LocalCells) -> impl serde::Serialize {
///     cells // not serialisable
/// }
/// ```
pub struct LocalCells {
    cells: Zeroizing<Vec<i64>>,
    /// By bundle how many subjects are above the minimum and below the maximum of its variable; 0 where it has no sums.
    ends: Zeroizing<Vec<[i64; 2]>>,
}

impl LocalCells {
    pub(super) fn new(cells: Zeroizing<Vec<i64>>, ends: Zeroizing<Vec<[i64; 2]>>) -> Self {
        Self { cells, ends }
    }

    /// How many cells there are, the check cell not counted.
    #[expect(clippy::len_without_is_empty, reason = "a study has at least one statistic, so there is always a cell")]
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Blinds and encrypts them: see [`contribute`](crate::cells::contribute).
    ///
    /// # Errors
    /// When the blinds are for another number of cells, or there is no randomness.
    pub fn contribute(self, blinds: Blinds, key: &StudyPublicKey) -> Result<EncryptedCells, ContributionError> {
        crate::cells::contribute(&self.cells, blinds, key)
    }

    /// Adds this hospital's share of the noise of a private study.
    ///
    /// # Errors
    /// [`PrivacyError`] when the plan is of another study; nothing is added then.
    pub fn add_noise(&mut self, plan: &NoisePlan) -> Result<(), PrivacyError> {
        plan.apply(&mut self.cells, &mut fresh_randomness()?)
    }

    /// Caps, blinds and encrypts the counts that guard each bundle, its n for each and then the ends of each that has sums:
    /// see [`guard::contribute`](crate::guard::contribute).
    ///
    /// # Errors
    /// When layout, shape, blinds and cells do not belong together, or there is no randomness.
    pub fn guard(
        &self,
        layout: &Layout,
        shape: &GuardShape,
        blinds: GuardBlinds,
        key: &GuardPublicKey,
    ) -> Result<GuardContribution, GuardError> {
        let count = |bundle: &Bundle| self.cells.get(bundle.first_cell).map_or(0, |count| count.unsigned_abs());
        let summed = layout.bundles().iter().zip(self.ends.iter()).filter(|(bundle, _)| bundle.has_sums());
        let ends = summed.flat_map(|(_, ends)| ends.map(i64::unsigned_abs));
        let counts = Zeroizing::new(layout.bundles().iter().map(count).chain(ends).collect::<Vec<u64>>());
        crate::guard::contribute(&counts, shape, blinds, key)
    }

    /// How many bytes they take in the pipe between a worker and its node, which is the only place where they stand in
    /// bytes.
    pub(crate) fn piped_bytes(layout: &Layout) -> usize {
        8 * layout.cells() + 16 * layout.bundles().len()
    }

    /// Puts them into that pipe.
    pub(crate) fn pipe_to(&self, pipe: &mut Vec<u8>) {
        // Nothing is left behind by a vector that moves while it grows.
        let mut whole = Zeroizing::new(Vec::with_capacity(pipe.len() + 8 * self.cells.len() + 16 * self.ends.len()));
        whole.extend_from_slice(pipe);
        for number in self.cells.iter().chain(self.ends.iter().flatten()) {
            whole.extend_from_slice(&number.to_le_bytes());
        }
        std::mem::swap(pipe, &mut *whole);
    }

    /// Takes them out of that pipe; `None` when they are not as many as the layout has.
    pub(crate) fn from_pipe(bytes: &[u8], layout: &Layout) -> Option<Self> {
        if bytes.len() != Self::piped_bytes(layout) {
            return None;
        }
        let (cells, ends) = bytes.split_at_checked(8 * layout.cells())?;
        let number = |bytes: &[u8; 8]| i64::from_le_bytes(*bytes);
        let cells = cells.as_chunks::<8>().0.iter().map(number).collect();
        let ends = ends.as_chunks::<8>().0.as_chunks::<2>().0.iter().map(|end| end.each_ref().map(number)).collect();
        Some(Self { cells: Zeroizing::new(cells), ends: Zeroizing::new(ends) })
    }

    /// The values, for tests of this crate.
    #[cfg(test)]
    pub(crate) fn values(&self) -> &[i64] {
        &self.cells
    }
}

impl fmt::Debug for LocalCells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalCells({} cells)", self.len())
    }
}
