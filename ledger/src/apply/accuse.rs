//! A hospital of the roster says that another one does not give what it committed to, or that its keys are not what they should be. Said
//! by more than half of the roster, it ends the round, and names the hospital.

use consilium_protocol::ids::{HospitalId, StudyId};
use consilium_protocol::tx::{Accuse, Fault};

use super::contribute::running;
use super::end_round::end;
use super::role_keys::lacks_keys;
use super::{Context, Outcome};
use crate::event::Event;
use crate::rejection::Rejection;
use crate::state::study::{Round, Step};

pub(super) fn apply(context: &mut Context<'_>, payload: &Accuse) -> Outcome {
    let hospital = context.hospital()?;
    let (id, accused) = (payload.study, payload.accused);
    let study = context.study(&id)?;
    let round = running(id, study.course, payload.round, &hospital, Step::Accuse)?;
    if round.result().is_some() {
        return Err(Rejection::Releasable { study: id });
    }
    if accused == hospital || !owes(round, &accused, payload.fault) {
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

/// Whether the hospital has committed to something of the kind in this round.
fn owes(round: &Round, hospital: &HospitalId, fault: Fault) -> bool {
    let guard = round.guard.as_ref();
    // Keys are looked at before anybody contributes; nothing else is owed before all have, and what is drawn then is drawn.
    if !round.is_given() && fault != Fault::KeySets {
        return false;
    }
    match fault {
        Fault::Contribution => round.contributions.contains_key(hospital),
        // Of a guarded round the aggregator alone can open what was contributed, unless its maker was drawn to show it: nobody else could
        // say so.
        Fault::Malformed => {
            let is_seen = guard.is_none() || round.examined == Some(*hospital);
            is_seen && round.contributions.contains_key(hospital)
        }
        Fault::Proof => round.examined == Some(*hospital),
        Fault::Veil => guard.is_some_and(|guard| guard.is_sealed()) && round.contributions.contains_key(hospital),
        Fault::Counts => round.contributions.get(hospital).is_some_and(|c| c.veil.is_some_and(|v| v.counts.is_some())),
        Fault::Witness => guard.is_some_and(|guard| guard.witnessed.is_some() && guard.roles.is_witness(hospital)),
        Fault::KeySets => {
            let is_custodian = guard.is_some_and(|guard| guard.roles.custodian == *hospital);
            is_custodian && !round.spare.sets.is_empty() && round.spare.are_open()
        }
        Fault::Keys => guard.is_some_and(|guard| guard.roles.custodian == *hospital),
        Fault::Sum => guard.is_some_and(|guard| guard.sealed.is_some() && guard.roles.aggregator == *hospital),
    }
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
