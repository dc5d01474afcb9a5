//! The flow of one round: every hospital contributes, anyone combines, the researcher opens.

use consilium_protocol::keys::NoRandomness;
use zeroize::Zeroizing;

use super::blinding::Blinds;
use super::ciphertext::EncryptedCells;
use super::encoding::{LIMBS, encode};
use super::encryption::encrypt;
use super::form::EncryptionSeed;
use super::format::CiphertextError;
use super::keys::StudyPublicKey;

/// Why a hospital's cells were not encrypted. Nothing of the cells is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContributionError {
    /// The blinds are for another number of cells.
    #[error("{values} values where the blinds are for {blinds}; derive blinds for the cells of the study's plan")]
    Cells {
        /// How many values there are.
        values: usize,
        /// How many cells the blinds are for.
        blinds: usize,
    },
    /// The operating system gave no randomness.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// Blinds one hospital's cells, appends the check cell, and encrypts them under the study's key.
///
/// The blinds are used up. Keep the result, and send the same bytes again after a crash: two contributions of different
/// values to one round would show their difference.
///
/// # Errors
/// When the blinds are for another number of cells, or there is no randomness.
pub fn contribute(values: &[i64], blinds: Blinds, key: &StudyPublicKey) -> Result<EncryptedCells, ContributionError> {
    contribute_by(values, blinds, key, &EncryptionSeed::random()?)
}

/// Likewise, by a seed from which others can see how it was made ([`is_made_of`](super::is_made_of)), and which serves for this
/// contribution alone.
///
/// # Errors
/// When the blinds are for another number of cells.
pub fn contribute_by(
    values: &[i64],
    blinds: Blinds,
    key: &StudyPublicKey,
    seed: &EncryptionSeed,
) -> Result<EncryptedCells, ContributionError> {
    if values.len() != blinds.cells() {
        return Err(ContributionError::Cells { values: values.len(), blinds: blinds.cells() });
    }
    let hidden = blinds.hide(values);
    let mut slots = Zeroizing::new(vec![0; hidden.len() * LIMBS]);
    encode(&hidden, &mut slots);
    Ok(EncryptedCells::single(values.len(), key.fingerprint(), encrypt(key, &slots, seed.of_cells())))
}

/// Adds contributions, without any key. The order does not matter: the sum has the same bytes whoever makes it.
///
/// # Errors
/// When there are none, or more than [`MAX_HOSPITALS`](super::MAX_HOSPITALS), or they are not of one round.
pub fn combine(contributions: &[EncryptedCells]) -> Result<EncryptedCells, CiphertextError> {
    let (first, rest) = contributions.split_first().ok_or(CiphertextError::Contributions { found: 0 })?;
    let mut sum = first.clone();
    rest.iter().try_for_each(|contribution| sum.add(contribution))?;
    Ok(sum)
}
