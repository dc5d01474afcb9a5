//! Somebody else comes to sign for a patient, or no longer does.

use consilium_protocol::consent::Basis;
use consilium_protocol::tx::{
    Delegate, DelegateRole, DelegationScope, EndDelegation, MAX_AGREED_DAYS, MAX_DELEGATES, MAX_DELEGATION_DAYS,
    MAX_GUARDIANS, delegation_message,
};

use super::speaker::{Speaker, has_died};
use super::{Context, Outcome};
use crate::event::{Event, SubjectChange};
use crate::rejection::Rejection;
use crate::state::consent::{Delegation, KeyRole, Subject, SubjectKey};

pub(super) fn delegate(context: &mut Context<'_>, payload: Delegate) -> Outcome {
    let speaker = context.speaker()?;
    let key = context.spoken_of(&speaker, payload.subject, &payload.statement)?;
    let subject = context.state.subject(&key).ok_or(Rejection::UnknownSubject { subject: key.subject })?;
    may_delegate(context, &speaker, (&key, subject), payload.role)?;
    check(context, &payload)?;
    let patient = payload.delegate.patient;
    // A key is for one subject alone, and renews what it was.
    let is_own = subject.more.as_ref().is_some_and(|more| more.delegations.iter().any(|known| known.key == patient));
    if context.state.subject_of(&patient).is_some() && !is_own {
        return Err(Rejection::PatientKeyTaken { subject: key.subject });
    }
    let day = context.day();
    let held = subject
        .more
        .as_ref()
        .map_or(0, |more| more.delegations.iter().filter(|known| known.holds_on(day) && known.key != patient).count());
    if held >= MAX_DELEGATES {
        return Err(Rejection::TooManyDelegates);
    }
    renews_well(context, &payload, subject)?;
    let message = delegation_message(context.state.ledger_id(), &key.hospital, &key.subject, payload.agreed);
    if !context.signatures.verifies(patient.public_key(), &message, &payload.delegate.signature) {
        return Err(Rejection::Countersignature { subject: key.subject });
    }

    let delegation = Delegation {
        key: patient,
        role: payload.role,
        until: payload.until,
        scope: payload.scope,
        agreed: payload.agreed,
        by_form: payload.statement.basis == Basis::Paper,
        since: context.moment,
        ended: None,
    };
    context.state.patients.put(patient, key);
    context.state.change_subject(&key, |subject| {
        let delegations = &mut subject.more_mut().delegations;
        // What was is kept: it says who signed what then.
        for known in delegations.iter_mut().filter(|known| known.key == patient && known.ended.is_none()) {
            known.ended = Some(delegation.since);
        }
        delegations.push(delegation);
    });
    context.events.push(Event::SubjectChanged { hospital: key.hospital, change: SubjectChange::Delegated });
    Ok(())
}

/// The patient names devices and proxies, the hospital proxies and guardians by a form.
fn may_delegate(
    context: &Context<'_>,
    speaker: &Speaker,
    (key, subject): (&SubjectKey, &Subject),
    role: DelegateRole,
) -> Outcome {
    if has_died(subject) || subject.merged_at(context.moment.height).is_some() {
        return Err(Rejection::SubjectClosed { subject: key.subject });
    }
    match (context.role(speaker), role) {
        (Some(KeyRole::Own), DelegateRole::Device | DelegateRole::Proxy) if subject.is_frozen() => {
            Err(Rejection::KeysFrozen)
        }
        (Some(KeyRole::Own), DelegateRole::Device | DelegateRole::Proxy) => Ok(()),
        (Some(_), _) => Err(Rejection::NotThePatient),
        (None, DelegateRole::Device) => Err(Rejection::NotThePatient),
        (None, DelegateRole::Proxy | DelegateRole::Guardian { .. }) => {
            let is_closed = subject.more.as_ref().is_some_and(|more| more.paper_closed);
            if is_closed { Err(Rejection::PaperClosed { subject: key.subject }) } else { Ok(()) }
        }
    }
}

/// What renews or changes a delegation is agreed to anew; the desk does not touch a machine of the patient's, and no form of
/// before a delegation ended brings it back.
fn renews_well(context: &Context<'_>, payload: &Delegate, subject: &Subject) -> Outcome {
    let today = context.day().days();
    let age = today.saturating_sub(payload.agreed.days());
    // Somewhere it is a day later than where blocks are dated.
    if !(-1..=MAX_AGREED_DAYS).contains(&age) {
        return Err(Rejection::Agreed);
    }
    let known = subject.more.as_ref().map_or(&[][..], |more| &more.delegations);
    for earlier in known.iter().filter(|known| known.key == payload.delegate.patient) {
        if payload.agreed <= earlier.agreed {
            return Err(Rejection::Agreed);
        }
        if payload.statement.basis == Basis::Paper {
            if earlier.role == DelegateRole::Device {
                return Err(Rejection::NotThePatient);
            }
            let ended = earlier.ended.map(|ended| ended.time.date());
            if ended.is_some_and(|ended| payload.statement.signed.is_none_or(|signed| signed <= ended)) {
                return Err(Rejection::Agreed);
            }
        }
    }
    Ok(())
}

fn check(context: &Context<'_>, payload: &Delegate) -> Outcome {
    let latest = context.day().days().saturating_add(MAX_DELEGATION_DAYS);
    let ends_well = payload.until.is_some_and(|until| until >= context.day() && until.days() <= latest);
    let fine = match payload.role {
        DelegateRole::Device => payload.until.is_none() && payload.scope.is_everything(),
        DelegateRole::Proxy => ends_well,
        DelegateRole::Guardian { needed } => ends_well && (1..=MAX_GUARDIANS).contains(&needed),
    };
    let DelegationScope { actions, purposes } = &payload.scope;
    if fine && !actions.is_nothing() && !purposes.is_nothing() { Ok(()) } else { Err(Rejection::Delegation) }
}

pub(super) fn end(context: &mut Context<'_>, payload: &EndDelegation) -> Outcome {
    let speaker = context.speaker()?;
    let key = context.spoken_of(&speaker, payload.subject, &payload.statement)?;
    // A delegate ends their own part, and nobody else's.
    if let (Speaker::Key(patient, _), Some(role)) = (&speaker, context.role(&speaker))
        && !role.is_patient()
        && *patient != payload.delegate
    {
        return Err(Rejection::NotThePatient);
    }
    let subject = context.state.subject(&key).ok_or(Rejection::UnknownSubject { subject: key.subject })?;
    let delegations = subject.more.as_ref().map_or(&[][..], |more| &more.delegations);
    if !delegations.iter().any(|known| known.key == payload.delegate && known.ended.is_none()) {
        return Err(Rejection::NoDelegate);
    }
    let at = context.moment;
    context.state.change_subject(&key, |subject| {
        let delegations = &mut subject.more_mut().delegations;
        for known in delegations.iter_mut().filter(|known| known.key == payload.delegate) {
            known.ended.get_or_insert(at);
        }
    });
    context.events.push(Event::SubjectChanged { hospital: key.hospital, change: SubjectChange::DelegationEnded });
    Ok(())
}
