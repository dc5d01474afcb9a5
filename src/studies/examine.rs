//! The contribution of the hospital that a round's lots draw: everybody looks how it was made, before anything is done with it.

use consilium_ledger::state::study::Round;
use consilium_protocol::ids::{HospitalId, RoundNumber, StudyId};
use consilium_protocol::tx::Fault;
use consilium_protocol::wire::BlobKind;

use super::Studies;
use super::blame::{self, Owed, Wrong};
use super::guarded::{self, GuardedError, GuardedRound};
use crate::replica::peers::Wanted;
use crate::vault::{Examination, ExaminedGuard};

/// Whose contribution this hospital has to look at, if anybody's.
pub(super) fn examined(round: &Round, own: &HospitalId) -> Option<HospitalId> {
    round.examined.filter(|examined| examined != own && round.has(own))
}

/// Looks how the contribution was made whose maker was drawn to show it.
pub(super) async fn examine(studies: &Studies, study: StudyId, number: RoundNumber) -> Result<(), GuardedError> {
    let of = (study, number);
    let read = studies.replica.chain.read(|state| {
        let found = state.study(&study)?;
        let round = found.course.round(number)?;
        let hospital = examined(round, &studies.replica.hospital)?;
        let contribution = round.contributions.get(&hospital)?;
        let proposal = (found.proposal.spec.clone(), found.proposal.public_key.clone());
        let counts = contribution.veil.and_then(|veil| veil.counts).map(|counts| counts.hash);
        Some((hospital, (contribution.hash, contribution.proof, counts), proposal, round.roster.len()))
    });
    let Some((hospital, hashes, (spec, public_key), hospitals)) = read.ok().flatten() else { return Ok(()) };
    let (committed, proof, counts) = hashes;
    let wanted = Wanted::of_round(BlobKind::Contribution, of, committed);
    let contribution = blame::fetch(studies, of, hospital, (Fault::Contribution, &wanted)).await?;
    let wanted = Wanted::of_round(BlobKind::Proof, of, proof);
    let proof = blame::fetch(studies, of, hospital, (Fault::Proof, &wanted)).await?;
    let guard = match GuardedRound::read(&studies.replica, &study, number) {
        Some(round) => Some(ExaminedGuard {
            custodian_key: guarded::public_key(studies, &round).await?,
            sealing_key: round.roles.sealing_key,
            witness: round.roles.witness.map(|witness| witness.sealing_key).zip(counts),
            hospitals,
            repeatable: round.repeatable(),
        }),
        None => None,
    };
    let examination = Examination { study, round: number, spec, public_key, hospital, contribution, proof, guard };
    if studies.vault.is_as_shown(examination).await? {
        return Ok(());
    }
    Err(Box::new(Owed { of, hospital, fault: Fault::Malformed, wrong: Wrong::Form(hospital) }).into())
}
