//! A patient, somebody who signs for them, or a hospital as witness of paper forms, records consent documents. All of a
//! batch, or nothing.
//!
//! What counts is the order in which documents were signed, not the one in which the ledger learns of them: a form that
//! comes late takes the place of older documents alone, and counts for nothing where the patient has since replaced or
//! taken back all that was said. What a patient forbade by their own key nobody else ends.

use std::collections::BTreeSet;

use consilium_protocol::consent::{Base, Basis, Effect, Terms};
use consilium_protocol::ids::{ContentHash, PatientId, SubjectId};
use consilium_protocol::tx::{
    CloseReason, DelegateRole, Given, GivenTerms, Grant, Statement, cosigning_message, document_id,
};

use super::speaker::{Speaker, has_died, said_on};
use super::{Context, Outcome, count};
use crate::event::Event;
use crate::rejection::Rejection;
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
            by: context.signs_as(&speaker),
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
    // Whoever is one person with others is bound by what each of them said of keys and forms.
    let others = context.state.stands_for(key, context.moment.height);
    let mut all = others.iter().map(|(other, _)| *other).chain([subject]);
    let Speaker::Key(patient, _) = speaker else {
        let is_closed = all.any(Subject::is_paper_closed);
        return if is_closed { Err(Rejection::PaperClosed { subject: name }) } else { Ok(()) };
    };
    if all.any(Subject::is_frozen) {
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
            if !matches!(delegation.role, DelegateRole::Guardian { .. }) {
                return Ok(());
            }
            let needed = subject.guardians_needed(context.day());
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
    let message = cosigning_message(ledger, &key.hospital, &key.subject, what, subject.said());
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
    let ends: Vec<Ending> = context.state.subject(&key).map_or_else(Vec::new, |subject| {
        let of = |older: &Document| match older.ended.is_none() && is_older(&document, older) {
            true => ending(context, speaker, subject, older),
            false => Ending::Stays,
        };
        subject.documents.iter().map(of).collect()
    });
    let says_all = speaks_for_all(context, speaker);
    let (mut is_current, mut kept) = (false, Vec::new());
    context.state.change_subject(&key, |subject| {
        match is_late(subject, &document) {
            Some(cleared) => document.ended = Some(Box::new(Ended { at, by: cleared.by.clone() })),
            None => (change.added, is_current) = (change.added + 1, true),
        }
        if supersedes && document.ended.is_none() {
            let by = EndedBy::Superseded { document: document.id };
            for (older, ending) in
                subject.documents.iter_mut().zip(&ends).filter(|(_, ending)| **ending != Ending::Stays)
            {
                older.ended = Some(Box::new(Ended { at, by: by.clone() }));
                change.ended += 1;
                kept.extend((*ending == Ending::ButDenies).then(|| older.clone()));
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
    let kept = keep_denies(context, &key, &kept);
    change.added += kept;
    context.state.count(|figures| figures.grants += u64::from(kept));
    if supersedes && says_all && is_current {
        restate(context, key);
    }
}

/// What somebody who is one person with others signs anew, they sign for all of them.
fn restate(context: &mut Context<'_>, key: SubjectKey) {
    let at = context.moment;
    let names = context.state.subject(&key).and_then(|subject| subject.more.as_ref());
    let names: Vec<SubjectId> = names.map_or_else(Vec::new, |more| more.stands_for.clone());
    for name in names {
        let other = SubjectKey { subject: name, ..key };
        let is_one = context.state.subject(&other).is_some_and(|other| other.merged_at(at.height) == Some(key.subject));
        if is_one {
            context.state.change_subject(&other, |subject| {
                if let Some(merged) = subject.more_mut().merged.last_mut() {
                    merged.restated = Some(at);
                }
            });
        }
    }
}

/// Records, of documents that have ended, what they forbid as documents that forbid that alone; tells how many.
pub(super) fn keep_denies(context: &mut Context<'_>, key: &SubjectKey, ended: &[Document]) -> u32 {
    let at = context.moment;
    let mut kept = 0;
    for document in ended {
        let Some(terms) = context.state.terms(&document.terms).map(denies_alone).filter(|terms| terms.denies()) else {
            continue;
        };
        let hash = terms.hash();
        if context.state.terms(&hash).is_none() {
            context.state.terms.put(hash, terms);
        }
        // After those of the batch, each of which has its number.
        let position = context.kept;
        context.kept += 1;
        let id = document_id(&context.tx, u32::MAX - position);
        let rest = Document { id, terms: hash, granted: at, ended: None, ..document.clone() };
        context.state.change_subject(key, |subject| subject.documents.push(rest));
        kept += 1;
    }
    kept
}

/// Terms without what they permit.
pub(super) fn denies_alone(terms: &Terms) -> Terms {
    let mut terms = Terms { base: Base::Deny, ..terms.clone() };
    terms.rules.retain(|rule| rule.effect == Effect::Deny);
    terms
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

/// What becomes of a document that somebody takes back or replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It ends.
    Whole,
    /// What it permits ends, and what it forbids stays.
    ButDenies,
    /// It stays.
    Stays,
}

/// What becomes of a document that the speaker takes back or replaces. Whoever takes back a prohibition allows more: nobody but
/// the patient's own keys ends what these forbade, and not while they are frozen; behind a closed door for paper no form ends
/// any; a delegate ends what lies within their scope, and a prohibition only where they speak for all, alone.
pub(super) fn ending(context: &Context<'_>, speaker: &Speaker, subject: &Subject, document: &Document) -> Ending {
    let Some(terms) = context.state.terms(&document.terms) else { return Ending::Stays };
    let without_denies = match (terms.denies(), terms.permits()) {
        (false, _) => Ending::Whole,
        (true, true) => Ending::ButDenies,
        (true, false) => Ending::Stays,
    };
    let is_own = document.by.is_patient();
    match context.role(speaker) {
        Some(_) if subject.is_frozen() => without_denies,
        Some(KeyRole::Own | KeyRole::Device) => Ending::Whole,
        Some(KeyRole::Delegate(delegation)) if delegation.scope.is_everything() => {
            let is_alone = subject.guardians_needed(context.day()) <= 1;
            if is_own || !is_alone { without_denies } else { Ending::Whole }
        }
        Some(KeyRole::Delegate(delegation)) if delegation.scope.holds(terms, context.state.diseases()) => {
            without_denies
        }
        Some(_) => Ending::Stays,
        None if is_own || subject.is_paper_closed() => without_denies,
        None => Ending::Whole,
    }
}

/// Whether the speaker says all when they say it: who may sign a part replaces, and takes back, that part.
pub(super) fn speaks_for_all(context: &Context<'_>, speaker: &Speaker) -> bool {
    match context.role(speaker) {
        Some(KeyRole::Delegate(delegation)) => delegation.scope.is_everything(),
        _ => true,
    }
}
