//! A hospital of the roster commits to the sum that it computed from all contributions, once a round.

use consilium_protocol::tx::Attest;

use super::contribute::running;
use super::{Context, Outcome, step};
use crate::event::Event;
use crate::rejection::Rejection;
use crate::state::study::{Attestation, Step};

pub(super) fn apply(context: &mut Context<'_>, payload: &Attest) -> Outcome {
    let hospital = context.hospital()?;
    let id = payload.study;
    let study = context.study(&id)?;
    let round = running(id, study.course, payload.round, &hospital, Step::Attest)?;
    if round.guard.is_some() {
        return Err(Rejection::GuardedRound { study: id });
    }
    if round.attestations.contains_key(&hospital) {
        return Err(Rejection::AlreadyAttested { study: id });
    }
    let phase = step(id, study.course, Step::Attest)?;

    let number = round.number;
    let mut course = study.course.clone();
    if let Some(round) = course.rounds.last_mut() {
        round.attestations.insert(hospital, Attestation { sum: payload.sum, height: context.moment.height });
    }
    course.phase = phase;
    context.state.put_course(id, course);
    context.events.push(Event::Attested { study: id, round: number, hospital, sum: payload.sum });
    Ok(())
}
