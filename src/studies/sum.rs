//! The sum of a round's contributions: added up while the round runs, fetched once it is released.

use consilium_engine::cells::{CiphertextError, EncryptedCells, combine};
use consilium_protocol::ids::{ContentHash, HospitalId, RoundNumber, StudyId};
use consilium_protocol::tx::Fault;
use consilium_protocol::wire::BlobKind;

use super::Studies;
use super::blame::{self, Owed, Wrong};
use super::error::DriveError;
use super::rounds::Piece;
use crate::replica::peers::Wanted;

/// The sum of all contributions, each fetched from its maker and checked against the ledger.
pub(super) async fn sum(
    studies: &Studies,
    study: &StudyId,
    round: RoundNumber,
    contributions: &[(HospitalId, ContentHash)],
) -> Result<Vec<u8>, DriveError> {
    let own = studies.kept.rounds.get(study, round, Piece::Contribution)?.ok_or(DriveError::Lost)?;
    let own = EncryptedCells::from_bytes(&own)?;
    let mut parts = vec![own.clone()];
    let of = (*study, round);
    for (hospital, committed) in contributions.iter().filter(|(hospital, _)| *hospital != studies.replica.hospital) {
        let wanted = Wanted::of_round(BlobKind::Contribution, of, *committed);
        let bytes = blame::fetch(studies, of, *hospital, (Fault::Contribution, &wanted)).await?;
        let owed = |wrong| Box::new(Owed { of, hospital: *hospital, fault: Fault::Malformed, wrong });
        parts.push(part(&bytes, &own, *hospital).map_err(owed)?);
    }
    Ok(combine(&parts)?.to_bytes())
}

/// A contribution of another hospital, that can be added to the own one.
fn part(bytes: &[u8], own: &EncryptedCells, hospital: HospitalId) -> Result<EncryptedCells, Wrong> {
    let wrong = |error: CiphertextError| Wrong::Ciphertext(hospital, error);
    let part = EncryptedCells::from_bytes(bytes).map_err(wrong)?;
    // One that counts for several would make the sum one that nobody can open, and nobody could say whose fault it is.
    if part.contributions() != 1 {
        return Err(Wrong::NotOne(hospital));
    }
    combine(&[own.clone(), part.clone()]).map_err(wrong)?;
    Ok(part)
}

/// The sum of a released round, from any that attested it.
pub(super) async fn fetch_sum(
    studies: &Studies,
    study: &StudyId,
    round: RoundNumber,
    sum: ContentHash,
    attesting: &[HospitalId],
) -> Result<Vec<u8>, DriveError> {
    let wanted = Wanted::of_round(BlobKind::Sum, (*study, round), sum);
    let mut failed = None;
    for hospital in attesting.iter().filter(|id| **id != studies.replica.hospital) {
        match studies.replica.peers.fetch(*hospital, &wanted).await {
            Ok(bytes) => return Ok(bytes),
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.map_or(DriveError::Lost, DriveError::Fetch))
}
