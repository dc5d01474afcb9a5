//! A member that approved opens the first round: the roster and the height at which consent is read are fixed.

use std::collections::BTreeMap;

use consilium_protocol::ids::{HospitalId, RoundNumber};
use consilium_protocol::tx::OpenRound;

use super::{Context, Outcome, count, step};
use crate::event::Event;
use crate::rejection::Rejection;
use crate::state::Moment;
use crate::state::study::{Phase, Round, Step};

pub(super) fn apply(context: &mut Context<'_>, payload: &OpenRound) -> Outcome {
    let hospital = context.hospital()?;
    let id = payload.study;
    let study = context.study(&id)?;
    let phase = step(id, study.course, Step::Open)?;
    let roster = study.course.approvers();
    if roster.binary_search(&hospital).is_err() {
        return Err(Rejection::NotAnApprover { study: id });
    }
    let genesis = context.state.genesis();
    if (roster.len() as u64) < u64::from(genesis.policy.min_hospitals) {
        let (approved, needed) = (count(roster.len()), genesis.policy.min_hospitals);
        return Err(Rejection::TooFewHospitals { approved, needed });
    }
    let all_decided = study.course.decisions.len() == context.members();
    if let Phase::Approved { since } = study.course.phase {
        let not_before = since.plus_millis(genesis.deadlines.grace_ms);
        if !all_decided && context.moment.time < not_before {
            return Err(Rejection::TooEarly { not_before });
        }
    }

    let mut course = study.course.clone();
    let round = new_round(RoundNumber::new(0), context.moment, roster);
    context.events.push(Event::RoundOpened { study: id, round: round.number, hospitals: count(round.roster.len()) });
    course.rounds.push(round);
    course.phase = phase;
    context.state.put_course(id, course);
    Ok(())
}

/// A round in which nothing has happened yet.
pub(super) const fn new_round(number: RoundNumber, opened: Moment, roster: Vec<HospitalId>) -> Round {
    Round { number, opened, roster, contributions: BTreeMap::new(), attestations: BTreeMap::new(), ended: None }
}
