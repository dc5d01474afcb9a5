//! The custodian of a guarded round commits to the seeds that passed, sealed to the researcher, once a round.

use consilium_protocol::tx::{DiscloseSeeds, MAX_PASSED_BYTES};

use super::contribute::running;
use super::{Context, Outcome, step};
use crate::event::Event;
use crate::rejection::Rejection;
use crate::state::study::{Disclosed, Step};

pub(super) fn apply(context: &mut Context<'_>, payload: &DiscloseSeeds) -> Outcome {
    let hospital = context.hospital()?;
    let id = payload.study;
    let study = context.study(&id)?;
    let round = running(id, study.course, payload.round, &hospital, Step::Attest)?;
    let guard = round.guard.ok_or(Rejection::NotGuarded { study: id })?;
    if guard.roles.custodian != hospital {
        return Err(Rejection::NotInRole { hospital: guard.roles.custodian });
    }
    if !guard.is_sealed() {
        return Err(Rejection::NotSealed { study: id });
    }
    if guard.disclosed.is_some() {
        return Err(Rejection::AlreadyAttested { study: id });
    }
    if payload.seeds.bytes == 0 || !(1..=MAX_PASSED_BYTES).contains(&payload.passed.len()) {
        return Err(Rejection::EmptyContribution);
    }
    let phase = step(id, study.course, Step::Attest)?;

    let number = round.number;
    let mut course = study.course.clone();
    if let Some(round) = course.rounds.last_mut()
        && let Some(guard) = round.guard.as_mut()
    {
        round.passed.clone_from(&payload.passed);
        round.advanced = context.moment.time;
        guard.disclosed = Some(Disclosed { seeds: payload.seeds, height: context.moment.height });
    }
    course.phase = phase;
    context.state.put_course(id, course);
    context.events.push(Event::SeedsDisclosed { study: id, round: number, hospital, seeds: payload.seeds.hash });
    Ok(())
}
