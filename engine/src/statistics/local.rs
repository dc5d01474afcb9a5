//! One hospital's own numbers, from the moment they are computed until they are blinded.

use std::fmt;

use zeroize::Zeroizing;

use super::{Compared, Layout};
use crate::cells::{Blinds, ContributionError, EncryptedCells, EncryptionSeed, StudyPublicKey};
use crate::guard::{GuardBlinds, GuardContribution, GuardError, GuardPublicKey, GuardShape, Padded, Veils};
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
    /// What is compared with the threshold in a guarded study; at the end of them 1 for each set of groups that is asked for
    /// again and has changed.
    numbers: Zeroizing<Vec<i64>>,
    /// What each of them counts for at most.
    at_most: Zeroizing<Vec<u64>>,
}

impl LocalCells {
    pub(super) fn new(cells: Zeroizing<Vec<i64>>, numbers: Zeroizing<Vec<i64>>) -> Self {
        let at_most = Zeroizing::new(vec![u64::MAX; numbers.len()]);
        Self { cells, numbers, at_most }
    }

    /// What each number counts for at most, and whether each set of groups that is asked for again has changed.
    pub(crate) fn hold(&mut self, at_most: &[u64], changed: &[bool]) {
        self.at_most.iter_mut().zip(at_most).for_each(|(own, most)| *own = *most);
        self.at_most.extend(changed.iter().map(|_| 0));
        self.numbers.extend(changed.iter().map(|changed| i64::from(*changed)));
    }

    /// How many cells there are, the check cell not counted.
    #[expect(clippy::len_without_is_empty, reason = "a study has at least one statistic, so there is always a cell")]
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Blinds and encrypts them: see [`contribute_by`](crate::cells::contribute_by).
    ///
    /// # Errors
    /// When the blinds are for another number of cells.
    pub fn contribute(
        self,
        blinds: Blinds,
        key: &StudyPublicKey,
        seed: &EncryptionSeed,
    ) -> Result<EncryptedCells, ContributionError> {
        crate::cells::contribute_by(&self.cells, blinds, key, seed)
    }

    /// Blinds and encrypts them under veils: see [`contribute_veiled`](crate::guard::contribute_veiled).
    ///
    /// # Errors
    /// When the blinds are for another number of cells.
    pub fn contribute_veiled(
        self,
        blinds: Blinds,
        veils: &Veils,
        groups: &[Padded],
        key: &StudyPublicKey,
        seed: &EncryptionSeed,
    ) -> Result<EncryptedCells, ContributionError> {
        crate::guard::contribute_veiled(&self.cells, blinds, veils, groups, key, seed)
    }

    /// Adds this hospital's share of the noise of a private study.
    ///
    /// # Errors
    /// [`PrivacyError`] when the plan is of another study; nothing is added then.
    pub fn add_noise(&mut self, plan: &NoisePlan) -> Result<(), PrivacyError> {
        plan.apply(&mut self.cells, &mut fresh_randomness()?)
    }

    /// Caps, blinds and encrypts the numbers that are compared with the threshold: see
    /// [`guard::contribute_at_most`](crate::guard::contribute_at_most).
    ///
    /// # Errors
    /// When shape, blinds and numbers do not belong together.
    pub fn guard(
        &self,
        shape: &GuardShape,
        blinds: GuardBlinds,
        key: &GuardPublicKey,
        seed: &EncryptionSeed,
    ) -> Result<GuardContribution, GuardError> {
        let counts = Zeroizing::new(self.numbers.iter().map(|number| number.unsigned_abs()).collect::<Vec<u64>>());
        crate::guard::contribute_at_most(&counts, &self.at_most, shape, blinds, key, seed)
    }

    /// How many bytes they take in the pipe between a worker and its node, which is the only place where they stand in
    /// bytes.
    pub(crate) fn piped_bytes(layout: &Layout, compared: &Compared) -> usize {
        8 * (layout.cells() + 2 * (compared.numbers.len() + compared.again))
    }

    /// Puts them into that pipe.
    pub(crate) fn pipe_to(&self, pipe: &mut Vec<u8>) {
        // Nothing is left behind by a vector that moves while it grows.
        let own = 8 * (self.cells.len() + 2 * self.numbers.len());
        let mut whole = Zeroizing::new(Vec::with_capacity(pipe.len() + own));
        whole.extend_from_slice(pipe);
        for number in self.cells.iter().chain(self.numbers.iter()) {
            whole.extend_from_slice(&number.to_le_bytes());
        }
        self.at_most.iter().for_each(|most| whole.extend_from_slice(&most.to_le_bytes()));
        std::mem::swap(pipe, &mut *whole);
    }

    /// Takes them out of that pipe; `None` when they are not as many as the study has.
    pub(crate) fn from_pipe(bytes: &[u8], layout: &Layout, compared: &Compared) -> Option<Self> {
        if bytes.len() != Self::piped_bytes(layout, compared) {
            return None;
        }
        let (cells, numbers) = bytes.split_at_checked(8 * layout.cells())?;
        let (numbers, at_most) = numbers.split_at_checked(numbers.len() / 2)?;
        let read = |bytes: &[u8]| bytes.as_chunks::<8>().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect();
        let at_most = at_most.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        Some(Self {
            cells: Zeroizing::new(read(cells)),
            numbers: Zeroizing::new(read(numbers)),
            at_most: Zeroizing::new(at_most),
        })
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
