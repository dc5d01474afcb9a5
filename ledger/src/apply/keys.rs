//! A patient's key is frozen, replaced, objected to, decided on; and the door for paper forms closed.
//!
//! A lost key is replaced by the desk, for two of its staff and a form, after a waiting time in which the old key can
//! object. An objection does not end the rotation, since it may be a thief who objects: it stops the clock, and the desk
//! decides when the patient comes a second time. Meanwhile no key permits anything, and every key revokes.

use consilium_protocol::tx::{DecideKey, Freeze, KeyDecision, PaperDoor, RotateKey, Statement, enrolment_message};

use super::speaker::has_died;
use super::{Context, Outcome};
use crate::event::{Event, SubjectChange};
use crate::rejection::Rejection;
use crate::state::consent::{KeyRole, Rotation, Subject, SubjectKey};
use crate::state::{Moment, State};

fn changed(context: &mut Context<'_>, key: &SubjectKey, change: SubjectChange) {
    context.events.push(Event::SubjectChanged { hospital: key.hospital, change });
}

pub(super) fn freeze(context: &mut Context<'_>, payload: &Freeze) -> Outcome {
    let speaker = context.speaker()?;
    let key = context.spoken_of(&speaker, payload.subject, &payload.statement)?;
    // Of who has the new key a freeze is no objection to it; of anybody else it is.
    let is_new_key = context.role(&speaker) == Some(KeyRole::Waiting);
    let subject = context.state.subject(&key).ok_or(Rejection::UnknownSubject { subject: key.subject })?;
    if subject.keys().next().is_none() {
        return Err(Rejection::NoKey { subject: key.subject });
    }
    let objects = !is_new_key && subject.due_rotation().is_some();
    let is_frozen = subject.more.as_ref().is_some_and(|more| more.frozen.is_some());
    if is_frozen && !objects {
        return Err(Rejection::AlreadyFrozen);
    }
    let at = context.moment;
    context.state.change_subject(&key, |subject| {
        let more = subject.more_mut();
        more.frozen.get_or_insert(at);
        if let Some(rotation) = more.rotation.as_mut().filter(|_| objects) {
            rotation.objected = Some(at);
        }
    });
    changed(context, &key, if objects { SubjectChange::RotationObjected } else { SubjectChange::KeysFrozen });
    Ok(())
}

pub(super) fn rotate(context: &mut Context<'_>, payload: &RotateKey) -> Outcome {
    let key = context.at_the_desk(payload.subject, &payload.statement, &payload.staff)?;
    let subject = context.state.subject(&key).ok_or(Rejection::UnknownSubject { subject: key.subject })?;
    if has_died(subject) || subject.merged_at(context.moment.height).is_some() {
        return Err(Rejection::SubjectClosed { subject: key.subject });
    }
    if subject.patient.is_none() {
        return Err(Rejection::NoKey { subject: key.subject });
    }
    if subject.more.as_ref().is_some_and(|more| more.rotation.is_some()) {
        return Err(Rejection::RotationWaits);
    }
    let new = payload.key.patient;
    if context.state.subject_of(&new).is_some() {
        return Err(Rejection::PatientKeyTaken { subject: key.subject });
    }
    let message = enrolment_message(context.state.ledger_id(), &key.hospital, &key.subject);
    if !context.signatures.verifies(new.public_key(), &message, &payload.key.signature) {
        return Err(Rejection::Countersignature { subject: key.subject });
    }
    let requested = context.moment;
    let effective = requested.time.plus_millis(context.state.genesis().deadlines.key_wait_ms);
    context.state.patients.put(new, key);
    context.state.change_subject(&key, |subject| {
        let source = payload.statement.source;
        subject.more_mut().rotation = Some(Rotation { key: new, requested, source, effective, objected: None });
    });
    changed(context, &key, SubjectChange::KeyWaits);
    Ok(())
}

pub(super) fn decide(context: &mut Context<'_>, payload: &DecideKey) -> Outcome {
    let key = context.at_the_desk(payload.subject, &payload.statement, &payload.staff)?;
    let subject = context.state.subject(&key).ok_or(Rejection::UnknownSubject { subject: key.subject })?;
    let more = subject.more.as_ref();
    let rotation = more.and_then(|more| more.rotation.as_ref());
    let is_frozen = more.is_some_and(|more| more.frozen.is_some());
    // The patient came a second time, with another form.
    if let Some(rotation) = rotation {
        let objected = rotation.objected.map_or(rotation.requested, |objected| objected).time.date();
        if payload.statement.source == rotation.source
            || payload.statement.signed.is_none_or(|signed| signed < objected)
        {
            return Err(Rejection::SecondVisit);
        }
    }
    match (payload.decision, rotation) {
        // Without an objection its time has to come.
        (KeyDecision::Take, Some(rotation)) if rotation.objected.is_some() => {
            let at = context.moment;
            context.state.change_subject(&key, |subject| take(subject, at));
            changed(context, &key, SubjectChange::KeyReplaced);
            Ok(())
        }
        (KeyDecision::Take, _) => Err(Rejection::NothingToDecide),
        (KeyDecision::Keep, None) if !is_frozen => Err(Rejection::NothingToDecide),
        (KeyDecision::Keep, _) => {
            context.state.change_subject(&key, |subject| {
                let more = subject.more_mut();
                more.frozen = None;
                // A key that was turned down is nobody's for ever.
                more.former.extend(more.rotation.take().map(|rotation| rotation.key));
            });
            changed(context, &key, SubjectChange::KeyKept);
            Ok(())
        }
    }
}

/// The new key takes the old one's place. Whom the old one had named, machines too, no longer signs: it may have been a thief
/// who named them.
fn take(subject: &mut Subject, at: Moment) {
    let old = subject.patient;
    let more = subject.more_mut();
    let Some(rotation) = more.rotation.take() else { return };
    for delegation in more.delegations.iter_mut().filter(|delegation| !delegation.by_form) {
        delegation.ended.get_or_insert(at);
    }
    more.frozen = None;
    more.former.extend(old);
    subject.patient = Some(rotation.key);
}

/// At the start of each block: new keys whose time has come take their place.
pub(super) fn fall_due(state: &mut State, moment: Moment, events: &mut Vec<Event>) {
    for key in state.due_rotations(moment.time) {
        state.change_subject(&key, |subject| take(subject, moment));
        events.push(Event::SubjectChanged { hospital: key.hospital, change: SubjectChange::KeyReplaced });
    }
}

pub(super) fn paper_door(context: &mut Context<'_>, payload: PaperDoor) -> Outcome {
    let speaker = context.speaker()?;
    if !context.role(&speaker).is_some_and(|role| role.is_patient()) {
        return Err(Rejection::NotThePatient);
    }
    let key = context.spoken_of(&speaker, payload.subject, &Statement::ELECTRONIC)?;
    let subject = context.state.subject(&key).ok_or(Rejection::UnknownSubject { subject: key.subject })?;
    if subject.is_frozen() && !payload.closed {
        return Err(Rejection::KeysFrozen);
    }
    let is_closed = subject.more.as_ref().is_some_and(|more| more.paper_closed);
    if is_closed == payload.closed {
        return Err(Rejection::PaperDoorIs { closed: is_closed });
    }
    context.state.change_subject(&key, |subject| subject.more_mut().paper_closed = payload.closed);
    changed(context, &key, if payload.closed { SubjectChange::PaperClosed } else { SubjectChange::PaperOpened });
    Ok(())
}
