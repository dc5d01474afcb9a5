//! One hospital's own numbers, from the moment they are computed until they are blinded.

use std::fmt;

use zeroize::Zeroizing;

use crate::cells::{Blinds, ContributionError, EncryptedCells, StudyPublicKey};

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
pub struct LocalCells(Zeroizing<Vec<i64>>);

impl LocalCells {
    pub(super) fn new(cells: Zeroizing<Vec<i64>>) -> Self {
        Self(cells)
    }

    /// How many cells there are, the check cell not counted.
    #[expect(clippy::len_without_is_empty, reason = "a study has at least one statistic, so there is always a cell")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Blinds and encrypts them: see [`contribute`](crate::cells::contribute).
    ///
    /// # Errors
    /// When the blinds are for another number of cells, or there is no randomness.
    pub fn contribute(self, blinds: Blinds, key: &StudyPublicKey) -> Result<EncryptedCells, ContributionError> {
        crate::cells::contribute(&self.0, blinds, key)
    }

    /// The values, for tests of this crate.
    #[cfg(test)]
    pub(crate) fn values(&self) -> &[i64] {
        &self.0
    }
}

impl fmt::Debug for LocalCells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalCells({} cells)", self.len())
    }
}
