//! A patient, somebody who signs for them, or a hospital as witness of paper forms, records consent documents. All of a
//! batch, or nothing.
//!
//! What counts is the order in which documents were signed, not the one in which the ledger learns of them: a form that
//! comes late takes the place of older documents alone, and counts for nothing where the patient has since replaced or
//! taken back all that was said. What a patient forbade by their own key nobody else ends.

use std::collections::BTreeSet;

use consilium_protocol::consent::{Base, Basis, Terms};
use consilium_protocol::ids::{ContentHash, PatientId};
use consilium_protocol::tx::{
    CloseReason, DelegateRole, Given, GivenTerms, Grant, Signer, Statement, cosigning_message, document_id,
};

use super::speaker::{Speaker, has_died, said_on};
use super::{Context, Outcome, count};
use crate::event::Event;
use crate::rejection::Rejection;
use crate::state::State;
use crate::state::consent::{Cleared, Document, Ended, EndedBy, KeyRole, Subject, SubjectKey};

pub(super) fn apply(context: &mut Context<'_>, payload: Grant, bytes: usize) -> Outcome {
    let speaker = context.speaker()?;
    let statement = |form: &Given| Statement { basis: payload.basis, source: form.source, signed: form.signed };
    if payload.forms.is_empty() {
        return Err(Rejection::EmptyBatch);
    }
    if matches!(speaker, Speaker::Key(..)) && payload.forms.len() > 1 {
        return Err(Rejection::NotOwnSubject);
    }
    let (hash, permits) = known_or_checked(context, &payload.terms)?;
    let mut keys = Vec::with_capacity(payload.forms.len());
    for form in &payload.forms {
        let key = context.spoken_of(&speaker, form.subject, &statement(form))?;
        if permits {
            may_permit(context, &speaker, &key, (&payload, hash))?;
        }
        keys.push((key, statement(form)));
    }
    if let GivenTerms::Whole(terms) = payload.terms
        && context.state.terms(&hash).is_none()
    {
        context.state.terms.put(hash, terms);
    }

    let mut change = Change::default();
    for (position, (key, statement)) in keys.iter().enumerate() {
        let document = Document {
            id: document_id(&context.tx, count(position)),
            terms: hash,
            basis: payload.basis,
            source: statement.source,
            signer: context.signer,
            signed: said_on(context, statement),
            granted: context.moment,
            ended: None,
        };
        record(context, &speaker, *key, (document, payload.supersedes), &mut change);
    }
    let documents = count(keys.len());
    context.state.count(|figures| {
        figures.grants += u64::from(documents);
        figures.grant_bytes += bytes as u64;
        figures.current_documents += u64::from(change.added);
        figures.current_documents -= u64::from(change.ended);
    });
    let (hospital, late) = (speaker.hospital(), documents - change.added);
    context.events.push(Event::Granted { hospital, documents, superseded: change.ended, late });
    Ok(())
}

/// The hash of terms that may be given, and whether they permit anything.
fn known_or_checked(context: &Context<'_>, terms: &GivenTerms) -> Result<(ContentHash, bool), Rejection> {
    match terms {
        GivenTerms::Known(hash) => {
            let terms = context.state.terms(hash).ok_or(Rejection::UnknownTerms)?;
            Ok((*hash, terms.permits()))
        }
        GivenTerms::Whole(terms) => {
            terms.check().map_err(Rejection::Terms)?;
            if terms.base == Base::Permit && context.state.genesis().consent_base != Base::Permit {
                return Err(Rejection::BasePermit);
            }
            Ok((terms.hash(), terms.permits()))
        }
    }
}

/// Whether the speaker may permit anything of a subject, and these terms.
fn may_permit(
    context: &Context<'_>,
    speaker: &Speaker,
    key: &SubjectKey,
    (payload, hash): (&Grant, ContentHash),
) -> Outcome {
    let name = key.subject;
    let subject = context.state.subject(key).ok_or(Rejection::UnknownSubject { subject: name })?;
    if has_died(subject) || subject.merged_at(context.moment.height).is_some() {
        return Err(Rejection::SubjectClosed { subject: name });
    }
    let Speaker::Key(patient, _) = speaker else {
        let is_closed = subject.more.as_ref().is_some_and(|more| more.paper_closed);
        return if is_closed { Err(Rejection::PaperClosed { subject: name }) } else { Ok(()) };
    };
    if subject.is_frozen() {
        return Err(Rejection::KeysFrozen);
    }
    match subject.role_of(patient, context.day()) {
        KeyRole::Own | KeyRole::Device => Ok(()),
        KeyRole::Waiting => Err(Rejection::KeysFrozen),
        KeyRole::Former => Err(Rejection::KeyEnded),
        KeyRole::Delegate(delegation) => {
            let terms = match &payload.terms {
                GivenTerms::Whole(terms) => terms,
                GivenTerms::Known(hash) => context.state.terms(hash).ok_or(Rejection::UnknownTerms)?,
            };
            if !delegation.scope.holds(terms, context.state.diseases()) {
                return Err(Rejection::OutsideScope);
            }
            let DelegateRole::Guardian { needed } = delegation.role else { return Ok(()) };
            let signed = guardians(context, key, (*patient, subject), (payload, terms, hash));
            if signed >= usize::from(needed) { Ok(()) } else { Err(Rejection::Cosigners { needed }) }
        }
    }
}

/// How many guardians permit these terms, the one who hands them in among them.
fn guardians(
    context: &Context<'_>,
    key: &SubjectKey,
    (first, subject): (PatientId, &Subject),
    (payload, terms, hash): (&Grant, &Terms, ContentHash),
) -> usize {
    let ledger = context.state.ledger_id();
    let what = (&hash, payload.supersedes);
    let message = cosigning_message(ledger, &key.hospital, &key.subject, what, count(subject.documents.len()));
    let mut signed = BTreeSet::from([first]);
    for cosigned in &payload.cosigned {
        let is_guardian = match subject.role_of(&cosigned.patient, context.day()) {
            KeyRole::Delegate(other) => {
                matches!(other.role, DelegateRole::Guardian { .. })
                    && other.scope.holds(terms, context.state.diseases())
            }
            _ => false,
        };
        let public_key = cosigned.patient.public_key();
        if is_guardian && context.signatures.verifies(public_key, &message, &cosigned.signature) {
            signed.insert(cosigned.patient);
        }
    }
    signed.len()
}

/// How many documents came to count, and how many no longer do.
#[derive(Default)]
struct Change {
    added: u32,
    ended: u32,
}

/// Adds a document, and ends older ones if it takes their place.
fn record(
    context: &mut Context<'_>,
    speaker: &Speaker,
    key: SubjectKey,
    (mut document, supersedes): (Document, bool),
    change: &mut Change,
) {
    let at = context.moment;
    let ends: Vec<bool> = context.state.subject(&key).map_or_else(Vec::new, |subject| {
        let of = |older: &Document| {
            older.ended.is_none() && is_older(&document, older) && may_end(context, speaker, subject, older)
        };
        subject.documents.iter().map(of).collect()
    });
    // Who may sign a part replaces that part alone.
    let says_all = context.role(speaker).is_none_or(|role| match role {
        KeyRole::Delegate(delegation) => delegation.scope.is_everything(),
        _ => true,
    });
    let restates = supersedes && says_all;
    let others = if restates { others_replaced(context, speaker, key, &document) } else { Vec::new() };
    let (id, mut is_current) = (document.id, false);
    context.state.change_subject(&key, |subject| {
        match is_late(subject, &document) {
            Some(cleared) => document.ended = Some(Box::new(Ended { at, by: cleared.by.clone() })),
            None => (change.added, is_current) = (change.added + 1, true),
        }
        if supersedes && document.ended.is_none() {
            let by = EndedBy::Superseded { document: document.id };
            for (older, ends) in subject.documents.iter_mut().zip(ends) {
                if ends {
                    older.ended = Some(Box::new(Ended { at, by: by.clone() }));
                    change.ended += 1;
                }
            }
            if says_all {
                let includes_day = document.basis == Basis::Electronic;
                subject.clear(Cleared { day: document.signed, includes_day, by });
            }
        }
        // Who left the hospital and signs again is there again.
        if let Some(more) = subject.more.as_mut()
            && more.closed.is_some_and(|(reason, _)| reason == CloseReason::Moved)
        {
            more.closed = None;
        }
        // Most subjects have one document for ever.
        subject.documents.reserve_exact(1);
        subject.documents.push(document);
    });
    for other in others.into_iter().filter(|_| is_current) {
        context.state.change_subject(&other, |subject| {
            for older in subject.documents.iter_mut().filter(|older| older.ended.is_none()) {
                older.ended = Some(Box::new(Ended { at, by: EndedBy::Superseded { document: id } }));
                change.ended += 1;
            }
            if let Some(merged) = subject.more_mut().merged.last_mut() {
                merged.restated = Some(at);
            }
        });
    }
}

/// The subjects that one stands for of which a document replaces everything: what the person said under another name.
fn others_replaced(context: &Context<'_>, speaker: &Speaker, key: SubjectKey, document: &Document) -> Vec<SubjectKey> {
    let more = context.state.subject(&key).and_then(|subject| subject.more.as_ref());
    let names = more.map_or(&[][..], |more| &more.stands_for);
    let is_replaced = |other: &SubjectKey| {
        context.state.subject(other).is_some_and(|other| {
            let ends = |older: &Document| is_older(document, older) && may_end(context, speaker, other, older);
            other.counts_beside(&key.subject, context.moment.height) && other.current().all(ends)
        })
    };
    names.iter().map(|name| SubjectKey { subject: *name, ..key }).filter(is_replaced).collect()
}

/// Whether a document is older than what its subject last said anew.
fn is_late<'a>(subject: &'a Subject, document: &Document) -> Option<&'a Cleared> {
    let cleared = subject.cleared.as_deref()?;
    (document.basis == Basis::Paper && cleared.is_after(document.signed)).then_some(cleared)
}

fn is_older(document: &Document, older: &Document) -> bool {
    match (document.basis, older.basis) {
        (Basis::Electronic, _) => true,
        (Basis::Paper, Basis::Paper) => older.signed <= document.signed,
        // Of one day nobody knows which came first.
        (Basis::Paper, Basis::Electronic) => older.signed < document.signed,
    }
}

/// Whether the speaker may end a document of a subject: nobody but the patient's own keys ends what they forbade, and a
/// delegate ends what lies within their scope.
pub(super) fn may_end(context: &Context<'_>, speaker: &Speaker, subject: &Subject, document: &Document) -> bool {
    let role = context.role(speaker);
    if role.is_some_and(|role| role.is_patient() || role == KeyRole::Waiting) {
        return true;
    }
    if is_own_deny(context.state, subject, document) {
        return false;
    }
    match role {
        Some(KeyRole::Delegate(delegation)) => {
            let terms = context.state.terms(&document.terms);
            terms.is_some_and(|terms| delegation.scope.holds_all(terms, context.state.diseases()))
        }
        _ => true,
    }
}

/// Whether a document forbids something by the patient's own key.
fn is_own_deny(state: &State, subject: &Subject, document: &Document) -> bool {
    let by_patient = match document.signer {
        Signer::Patient(key) => matches!(subject.was(&key), "own" | "device"),
        _ => false,
    };
    document.basis == Basis::Electronic && by_patient && state.denies(&document.terms)
}
