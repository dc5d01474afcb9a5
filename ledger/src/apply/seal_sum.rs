//! The aggregator of a guarded round commits to the padded sum and to the seeds of the pads, once a round.

use consilium_protocol::tx::SealSum;

use super::contribute::running;
use super::{Context, Outcome, step};
use crate::event::Event;
use crate::rejection::Rejection;
use crate::state::study::{Sealed, Step};

pub(super) fn apply(context: &mut Context<'_>, payload: &SealSum) -> Outcome {
    let hospital = context.hospital()?;
    let id = payload.study;
    let study = context.study(&id)?;
    let round = running(id, study.course, payload.round, &hospital, Step::Attest)?;
    let guard = round.guard.ok_or(Rejection::NotGuarded { study: id })?;
    if guard.roles.aggregator != hospital {
        return Err(Rejection::NotInRole { hospital: guard.roles.aggregator });
    }
    if guard.sealed.is_some() {
        return Err(Rejection::AlreadyAttested { study: id });
    }
    if payload.sum.bytes == 0 || payload.seeds.bytes == 0 {
        return Err(Rejection::EmptyContribution);
    }
    let phase = step(id, study.course, Step::Attest)?;

    let number = round.number;
    let mut course = study.course.clone();
    if let Some(round) = course.rounds.last_mut()
        && let Some(guard) = round.guard.as_mut()
    {
        round.advanced = context.moment.time;
        guard.sealed = Some(Sealed { sum: payload.sum, seeds: payload.seeds, height: context.moment.height });
    }
    course.phase = phase;
    context.state.put_course(id, course);
    let (sum, seeds) = (payload.sum.hash, payload.seeds.hash);
    context.events.push(Event::SumSealed { study: id, round: number, hospital, sum, seeds });
    Ok(())
}
