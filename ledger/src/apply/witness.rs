//! The witness of a guarded round commits to seeds of its own, sealed by the decisions that it repeated, once a round.

use consilium_protocol::tx::Witness;

use super::contribute::running;
use super::{Context, Outcome, step};
use crate::event::Event;
use crate::rejection::Rejection;
use crate::state::study::{Step, Witnessed};

pub(super) fn apply(context: &mut Context<'_>, payload: &Witness) -> Outcome {
    let hospital = context.hospital()?;
    let id = payload.study;
    let study = context.study(&id)?;
    let round = running(id, study.course, payload.round, &hospital, Step::Attest)?;
    let guard = round.guard.ok_or(Rejection::NotGuarded { study: id })?;
    let witness = guard.roles.witness.ok_or(Rejection::NoWitness { study: id })?;
    if witness.hospital != hospital {
        return Err(Rejection::NotInRole { hospital: witness.hospital });
    }
    if guard.witnessed.is_some() {
        return Err(Rejection::AlreadyAttested { study: id });
    }
    if payload.seeds.bytes == 0 {
        return Err(Rejection::EmptyContribution);
    }
    let phase = step(id, study.course, Step::Attest)?;

    let number = round.number;
    let mut course = study.course.clone();
    if let Some(round) = course.rounds.last_mut()
        && let Some(guard) = round.guard.as_mut()
    {
        round.advanced = context.moment.time;
        guard.witnessed = Some(Witnessed { seeds: payload.seeds, height: context.moment.height });
    }
    course.phase = phase;
    context.state.put_course(id, course);
    context.events.push(Event::Witnessed { study: id, round: number, hospital, seeds: payload.seeds.hash });
    Ok(())
}
