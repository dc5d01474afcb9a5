//! The custodian of a guarded round gives what the sets of keys are made of that were not drawn, so that everybody can look at them
//! before anybody uses the one that was.

use consilium_protocol::tx::OpenKeySets;

use super::contribute::running;
use super::{Context, Outcome};
use crate::event::Event;
use crate::rejection::Rejection;
use crate::state::study::Step;

pub(super) fn apply(context: &mut Context<'_>, payload: &OpenKeySets) -> Outcome {
    let hospital = context.hospital()?;
    let id = payload.study;
    let study = context.study(&id)?;
    let round = running(id, study.course, payload.round, &hospital, Step::OpenKeySets)?;
    let custodian = round.guard.ok_or(Rejection::NotGuarded { study: id })?.roles.custodian;
    if custodian != hospital {
        return Err(Rejection::NotInRole { hospital: custodian });
    }
    if round.spare.are_open() || round.spare.sets.len() != payload.seeds.len() {
        return Err(Rejection::KeySets { study: id });
    }

    // Later than that, others could not look at them in time, and would be those who are missing.
    let not_after = round.advanced.plus_millis(context.state.genesis().deadlines.round_ms / 4);
    if context.moment.time > not_after {
        return Err(Rejection::TooLate { not_after });
    }

    let number = round.number;
    let mut course = study.course.clone();
    if let Some(round) = course.rounds.last_mut() {
        round.spare.seeds.clone_from(&payload.seeds);
    }
    context.state.put_course(id, course);
    context.events.push(Event::KeySetsOpened { study: id, round: number, hospital });
    Ok(())
}
