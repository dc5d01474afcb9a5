//! The sum of a round's contributions: added up while the round runs, fetched once it is released.

use consilium_engine::cells::{EncryptedCells, combine};
use consilium_protocol::ids::{ContentHash, HospitalId, RoundNumber, StudyId};
use consilium_protocol::wire::BlobKind;

use super::Studies;
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
    let mut parts = Vec::with_capacity(contributions.len());
    for (hospital, committed) in contributions {
        let bytes = if *hospital == studies.replica.hospital {
            studies.kept.rounds.get(study, round, Piece::Contribution)?.ok_or(DriveError::Lost)?
        } else {
            let of = (*study, round);
            studies.replica.peers.fetch(*hospital, &Wanted::of_round(BlobKind::Contribution, of, *committed)).await?
        };
        let part = EncryptedCells::from_bytes(&bytes)?;
        // One that counts for several would make the sum one that nobody can open, and nobody could say whose fault it is.
        if part.contributions() != 1 {
            return Err(DriveError::NotOne(*hospital));
        }
        parts.push(part);
    }
    Ok(combine(&parts)?.to_bytes())
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
