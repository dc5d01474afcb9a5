//! A member that approved opens the first round: the roster and the height at which consent is read are fixed.

use std::collections::BTreeMap;

use consilium_protocol::ids::{HospitalId, RoundNumber, StudyId};
use consilium_protocol::privacy::MicroRho;
use consilium_protocol::study::Protection;
use consilium_protocol::tx::OpenRound;

use super::role_keys::awaits_keys;
use super::{Context, Outcome, count, step};
use crate::event::Event;
use crate::rejection::Rejection;
use crate::state::members::majority;
use crate::state::study::{Course, Guard, GuardKeys, Phase, Roles, Round, SpareSets, Step, draw};

pub(super) fn apply(context: &mut Context<'_>, payload: &OpenRound) -> Outcome {
    let hospital = context.hospital()?;
    let id = payload.study;
    let study = context.study(&id)?;
    let phase = step(id, study.course, Step::Open)?;
    let roster = study.course.paired();
    if roster.binary_search(&hospital).is_err() {
        return Err(Rejection::NotAnApprover { study: id });
    }
    let genesis = context.state.genesis();
    if (roster.len() as u64) < u64::from(genesis.policy.min_hospitals) {
        let (approved, needed) = (count(roster.len()), genesis.policy.min_hospitals);
        return Err(Rejection::TooFewHospitals { approved, needed });
    }
    let all_paired = roster.len() == study.course.approvals.len();
    let all_decided = study.course.decisions.len() == context.members() && all_paired;
    if let Phase::Approved { since } = study.course.phase {
        let not_before = since.plus_millis(genesis.deadlines.grace_ms);
        if !all_decided && context.moment.time < not_before {
            return Err(Rejection::TooEarly { not_before });
        }
    }

    if awaits_keys(context, id, &roster)? {
        return Err(Rejection::NoRoles { study: id });
    }

    let mut course = study.course.clone();
    let round = open(context, id, RoundNumber::new(0), roster)?;
    announce(context, id, &round);
    course.rounds.push(round);
    course.phase = phase;
    context.state.put_course(id, course);
    Ok(())
}

/// The candidates that have enough privacy budget left for the study.
pub(super) fn privacy_roster(
    context: &Context<'_>,
    id: StudyId,
    candidates: Vec<HospitalId>,
) -> Result<Vec<HospitalId>, Rejection> {
    let loss = context.study(&id)?.proposal.spec.protection.loss();
    Ok(candidates.into_iter().filter(|id| loss <= context.state.privacy_left(id)).collect())
}

/// A round in which nothing has happened yet, with its roles drawn and its privacy loss charged. Changes nothing when it
/// cannot open.
pub(super) fn open(
    context: &mut Context<'_>,
    id: StudyId,
    number: RoundNumber,
    candidates: Vec<HospitalId>,
) -> Result<Round, Rejection> {
    let loss = context.study(&id)?.proposal.spec.protection.loss();
    let roster = privacy_roster(context, id, candidates)?;
    let needed = majority(context.members()).max(context.state.genesis().policy.min_hospitals as usize);
    if roster.len() < needed {
        return Err(Rejection::TooFewHospitals { approved: count(roster.len()), needed: count(needed) });
    }
    let (guard, spare) = draw_roles(context, id, number, &roster)?;
    if let Some(Guard { roles, .. }) = guard {
        // Their keys are for one round.
        for holder in roles.holders() {
            if let Some(kept) = context.state.guard_keys(&holder).cloned() {
                context.state.guard_keys.put(holder, GuardKeys { drawn: Some((id, number)), ..kept });
            }
        }
    }
    if loss > MicroRho::ZERO {
        for hospital in &roster {
            let lost = context.state.privacy_loss(hospital).checked_add(loss).unwrap_or(MicroRho::new(u64::MAX));
            context.state.privacy_losses.put(*hospital, lost);
        }
    }
    Ok(Round {
        number,
        opened: context.moment,
        roster,
        contributions: BTreeMap::new(),
        shown: BTreeMap::new(),
        examined: None,
        attestations: BTreeMap::new(),
        guard,
        spare,
        passed: Vec::new(),
        accusations: BTreeMap::new(),
        advanced: context.moment.time,
        ended: None,
    })
}

/// The roles of a round with this roster, which a guarded one has, and the sets of keys that were not drawn. Changes nothing.
pub(super) fn draw_roles(
    context: &Context<'_>,
    id: StudyId,
    number: RoundNumber,
    roster: &[HospitalId],
) -> Result<(Option<Guard>, SpareSets), Rejection> {
    let (study, state) = (context.study(&id)?, &*context.state);
    if study.proposal.spec.protection != Protection::Guarded {
        return Ok((None, SpareSets::default()));
    }
    // The researcher's own hospital has neither role: with a role it could undo what it must not see.
    let own = state.researchers().get(&study.proposal.researcher).and_then(|researcher| researcher.hospital);
    let candidate = |id: &HospitalId| Some((*id, state.guard_keys(id).filter(|_| own != Some(*id))?.free()?));
    let (relieved, with_witness) = (study.course.relieved(), state.genesis().policy.witness);
    let drawn = draw(&study.course.lots, id, number, roster.iter().filter_map(candidate), &relieved, with_witness);
    let (roles, spare) = drawn.ok_or(Rejection::NoRoles { study: id })?;
    if tells_apart(study.course, roster, &roles) {
        return Err(Rejection::NoRoles { study: id });
    }
    Ok((Some(Guard::new(roles)), spare))
}

/// Whether roles of a round with fewer hospitals could tell what the missing ones counted, with those of an earlier round that all
/// contributed to: its aggregator, or witness, and its custodian see Σ min(n, c, δ) over all, and these would see it over the rest. So
/// whoever had a role then is not custodian now.
fn tells_apart(course: &Course, roster: &[HospitalId], drawn: &Roles) -> bool {
    let larger = course.rounds.iter().filter(|round| round.is_given() && round.roster != roster);
    larger.filter_map(|round| round.guard).any(|guard| guard.roles.holders().any(|id| id == drawn.custodian))
}

/// Tells of a round that opened.
pub(super) fn announce(context: &mut Context<'_>, id: StudyId, round: &Round) {
    context.events.push(Event::RoundOpened { study: id, round: round.number, hospitals: count(round.roster.len()) });
    if let Some(guard) = &round.guard {
        let Roles { aggregator, custodian, witness, .. } = guard.roles;
        let witness = witness.map(|witness| witness.hospital);
        context.events.push(Event::RolesDrawn { study: id, round: round.number, aggregator, custodian, witness });
    }
    if let Some(study) = context.state.study(&id)
        && study.proposal.spec.protection.loss() > MicroRho::ZERO
    {
        let (rho, hospitals) = (study.proposal.spec.protection.loss(), count(round.roster.len()));
        context.events.push(Event::PrivacySpent { study: id, round: round.number, rho, hospitals });
    }
}

#[cfg(test)]
mod tests {
    use consilium_protocol::ids::{ContentHash, Height, Timestamp};
    use consilium_protocol::kem::{KemPublicKey, PUBLIC_KEY_BYTES};
    use consilium_protocol::tx::{Blob, KeySet};

    use super::*;
    use crate::state::Moment;
    use crate::state::study::{Contribution, WitnessRole};

    fn hospital(name: u8) -> HospitalId {
        HospitalId::from_public_key([name; 32])
    }

    /// Aggregator, custodian, witness.
    fn roles(aggregator: u8, custodian: u8, witness: Option<u8>) -> Roles {
        let (key, blob) = (
            KemPublicKey::from_bytes([1; PUBLIC_KEY_BYTES]),
            Blob { hash: ContentHash::from_bytes([1; 32]), bytes: 1 },
        );
        Roles {
            aggregator: hospital(aggregator),
            custodian: hospital(custodian),
            sealing_key: key,
            veil_key: key,
            keys: Some(KeySet { public_key: blob, server_key: blob }),
            witness: witness.map(|name| WitnessRole { hospital: hospital(name), sealing_key: key }),
        }
    }

    /// A guarded round of hospitals 1 to 6 that so many contributed to.
    fn round(contributed: u8, roles: Roles) -> Round {
        let (height, time) = (Height::new(3), Timestamp::new(5));
        let one = Contribution {
            hash: ContentHash::from_bytes([2; 32]),
            bytes: 1,
            proof: ContentHash::from_bytes([3; 32]),
            height,
            veil: None,
        };
        Round {
            number: RoundNumber::new(0),
            opened: Moment { height, time },
            roster: (1..=6).map(hospital).collect(),
            contributions: (1..=contributed).map(|name| (hospital(name), one)).collect(),
            shown: BTreeMap::new(),
            // As if it were drawn.
            examined: (contributed == 6).then(|| hospital(1)),
            attestations: BTreeMap::new(),
            guard: Some(Guard::new(roles)),
            spare: SpareSets::default(),
            passed: Vec::new(),
            accusations: BTreeMap::new(),
            advanced: time,
            ended: None,
        }
    }

    #[test]
    fn nobody_who_had_a_role_is_custodian_of_a_smaller_round() {
        let smaller: Vec<HospitalId> = (1..=5).map(hospital).collect();
        let all: Vec<HospitalId> = (1..=6).map(hospital).collect();
        let with = |round: Round| Course { rounds: vec![round], ..Course::new() };
        let before = with(round(6, roles(1, 2, Some(3))));
        for custodian in 1..=5 {
            let found = tells_apart(&before, &smaller, &roles(4, custodian, None));
            assert_eq!(found, custodian <= 3, "{custodian}");
            assert!(!tells_apart(&before, &all, &roles(4, custodian, None)), "the same hospitals");
        }
        assert!(!tells_apart(&with(round(5, roles(1, 2, None))), &smaller, &roles(4, 2, None)), "not all contributed");
        assert!(!tells_apart(&Course::new(), &smaller, &roles(4, 2, None)));
        // Of a round that waited for lots in vain nobody gave anything to anybody.
        let waited = with(Round { examined: None, ..round(6, roles(1, 2, Some(3))) });
        assert!((1..=5).all(|custodian| !tells_apart(&waited, &smaller, &roles(4, custodian, None))));
        assert!(
            waited.relieved().is_empty() && before.relieved().len() == 3,
            "nor did those with a role fail to do their part"
        );
    }
}
