//! A member that approved opens the first round: the roster and the height at which consent is read are fixed.

use std::collections::BTreeMap;

use consilium_protocol::ids::{HospitalId, RoundNumber, StudyId};
use consilium_protocol::privacy::MicroRho;
use consilium_protocol::study::Protection;
use consilium_protocol::tx::OpenRound;

use super::{Context, Outcome, count, step};
use crate::event::Event;
use crate::rejection::Rejection;
use crate::state::members::majority;
use crate::state::study::{Guard, GuardKeys, Phase, Roles, Round, Step, draw};

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
    let proposal = context.study(&id)?.proposal;
    let protection = proposal.spec.protection;
    let state = &*context.state;
    let loss = protection.loss();
    let roster = privacy_roster(context, id, candidates)?;
    let needed = majority(context.members()).max(state.genesis().policy.min_hospitals as usize);
    if roster.len() < needed {
        return Err(Rejection::TooFewHospitals { approved: count(roster.len()), needed: count(needed) });
    }
    let guard = match protection {
        Protection::Guarded => {
            // The researcher's own hospital has neither role: with a role it could undo what it must not see.
            let own = state.researchers().get(&proposal.researcher).and_then(|researcher| researcher.hospital);
            let candidate = |id: &HospitalId| Some((*id, state.guard_keys(id).filter(|_| own != Some(*id))?.free()?));
            let course = context.study(&id)?.course;
            let (relieved, with_witness) = (course.relieved(), state.genesis().policy.witness);
            let drawn = draw(&course.lots, id, number, roster.iter().filter_map(candidate), &relieved, with_witness);
            Some(Guard::new(drawn.ok_or(Rejection::NoRoles { study: id })?))
        }
        Protection::Open | Protection::Private { .. } => None,
    };
    if let Some(Guard { roles, .. }) = guard {
        // Their keys are for one round.
        for holder in roles.holders() {
            if let Some(kept) = context.state.guard_keys(&holder).copied() {
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
        attestations: BTreeMap::new(),
        guard,
        passed: Vec::new(),
        accusations: BTreeMap::new(),
        ended: None,
    })
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
