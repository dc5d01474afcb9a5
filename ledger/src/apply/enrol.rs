//! A hospital binds subjects to itself and, where there is one, to a patient key. All of a batch, or nothing.

use std::collections::{BTreeMap, BTreeSet};

use consilium_protocol::ids::{HospitalId, PatientId, SubjectId};
use consilium_protocol::tx::{Enrol, Enrolment, enrolment_message};

use super::{Context, Outcome, count};
use crate::event::Event;
use crate::rejection::Rejection;
use crate::state::consent::{Subject, SubjectKey};

pub(super) fn apply(context: &mut Context<'_>, payload: &Enrol) -> Outcome {
    let hospital = context.hospital()?;
    if payload.subjects.is_empty() {
        return Err(Rejection::EmptyBatch);
    }
    let mut seen = BTreeSet::new();
    let mut keys: BTreeMap<PatientId, SubjectId> = BTreeMap::new();
    for enrolment in &payload.subjects {
        let subject = enrolment.subject;
        if !seen.insert(subject) {
            return Err(Rejection::AlreadyEnrolled { subject });
        }
        check(context, hospital, enrolment)?;
        if let Some(signed) = &enrolment.patient
            && keys.insert(signed.patient, subject).is_some()
        {
            return Err(Rejection::PatientKeyTaken { subject });
        }
    }

    for enrolment in &payload.subjects {
        bind(context, hospital, enrolment);
    }
    context.events.push(Event::Enrolled { hospital, subjects: count(payload.subjects.len()) });
    Ok(())
}

fn check(context: &Context<'_>, hospital: HospitalId, enrolment: &Enrolment) -> Outcome {
    let subject = enrolment.subject;
    let key = SubjectKey { hospital, subject };
    if let Some(known) = context.state.subject(&key) {
        match (known.patient, &enrolment.patient) {
            (None, Some(_)) => {}
            (Some(bound), Some(signed)) if bound != signed.patient => {
                return Err(Rejection::SubjectHasKey { subject });
            }
            (_, None) | (Some(_), Some(_)) => return Err(Rejection::AlreadyEnrolled { subject }),
        }
    }
    let Some(signed) = &enrolment.patient else { return Ok(()) };
    if context.state.subject_of(&signed.patient).is_some() {
        return Err(Rejection::PatientKeyTaken { subject });
    }
    let message = enrolment_message(context.state.ledger_id(), &hospital, &subject);
    if !context.signatures.verifies(signed.patient.public_key(), &message, &signed.signature) {
        return Err(Rejection::Countersignature { subject });
    }
    Ok(())
}

fn bind(context: &mut Context<'_>, hospital: HospitalId, enrolment: &Enrolment) {
    let key = SubjectKey { hospital, subject: enrolment.subject };
    let patient = enrolment.patient.map(|signed| signed.patient);
    if context.state.subject(&key).is_some() {
        context.state.change_subject(&key, |subject| subject.patient = patient);
    } else {
        let subject = Subject { enrolled: context.moment, patient, cleared: None, documents: Vec::new(), more: None };
        context.state.subjects.put(key, subject);
        context.state.count(|figures| figures.subjects += 1);
    }
    if let Some(patient) = patient {
        context.state.patients.put(patient, key);
    }
}
