//! A hospital of the roster says that another one does not give what it committed to, or that its keys are not what they should be. Said
//! by more than half of the roster, it ends the round, and names the hospital.

use consilium_protocol::ids::StudyId;
use consilium_protocol::tx::{Accuse, Fault};

use super::contribute::running;
use super::end_round::end;
use super::role_keys::lacks_keys;
use super::{Context, Outcome};
use crate::event::Event;
use crate::rejection::Rejection;
use crate::state::study::Step;

pub(super) fn apply(context: &mut Context<'_>, payload: &Accuse) -> Outcome {
    let hospital = context.hospital()?;
    let (id, accused) = (payload.study, payload.accused);
    let study = context.study(&id)?;
    let round = running(id, study.course, payload.round, &hospital, Step::Accuse)?;
    // Nothing else is needed any more.
    if round.result().is_some() && payload.fault != Fault::Disclosed {
        return Err(Rejection::Releasable { study: id });
    }
    if accused == hospital || !round.owes(&accused, payload.fault) {
        return Err(Rejection::NothingOwed { study: id });
    }
    if round.accusations.get(&accused).is_some_and(|by| by.contains_key(&hospital)) {
        return Err(Rejection::AlreadyAccused { study: id });
    }
    let not_before = round.accusable_from(&context.state.genesis().deadlines);
    if !payload.fault.is_plain() && context.moment.time < not_before {
        return Err(Rejection::TooEarly { not_before });
    }

    let number = round.number;
    let mut course = study.course.clone();
    let is_blamed = course.rounds.last_mut().is_some_and(|round| {
        round.accusations.entry(accused).or_default().insert(hospital, payload.fault);
        round.is_blamed(&accused)
    });
    context.state.put_course(id, course);
    context.events.push(Event::Accused { study: id, round: number, accused, hospital, fault: payload.fault });
    if is_blamed {
        context.events.push(Event::Blamed { study: id, round: number, hospital: accused, fault: payload.fault });
        return end_without(context, id);
    }
    Ok(())
}

/// Ends the round; another opens without who is blamed, where that tells nobody anything.
fn end_without(context: &mut Context<'_>, id: StudyId) -> Outcome {
    let genesis = context.state.genesis();
    let roster = context.study(&id)?.course.next_roster(context.members(), genesis.policy.min_hospitals);
    // For want of keys it is ended a little later, by whoever sees that there are some.
    if let Some(roster) = &roster
        && lacks_keys(context, id, roster)?
    {
        return Ok(());
    }
    end(context, id, roster)
}
