//! A patient, or a hospital as witness of paper forms, records consent documents. All of a batch, or nothing.
//!
//! What counts is the order in which documents were signed, not the one in which the ledger learns of them: a form that
//! comes late takes the place of older documents alone, and counts for nothing where the patient has since replaced or
//! taken back all that was said. What a patient forbade by their own key no form ends.

use consilium_protocol::consent::{Base, Basis};
use consilium_protocol::ids::{ContentHash, Date, HospitalId, SubjectId};
use consilium_protocol::tx::{Given, GivenTerms, Grant, Signer, document_id};

use super::{Context, Outcome, count};
use crate::event::Event;
use crate::rejection::{Entitled, Rejection};
use crate::state::consent::{Cleared, Document, Ended, EndedBy, Subject, SubjectKey};

/// The source of an electronic document.
pub(super) const NO_SOURCE: ContentHash = ContentHash::from_bytes([0; 32]);

/// One form of a batch: whom it is about, the scanned form, the day on which it was signed.
pub(super) type Signed = (SubjectId, ContentHash, Option<Date>);

pub(super) fn apply(context: &mut Context<'_>, payload: Grant, bytes: usize) -> Outcome {
    let signed = |form: &Given| (form.subject, form.source, form.signed);
    let forms: Vec<Signed> = payload.forms.iter().map(signed).collect();
    let hospital = check_forms(context, payload.basis, &forms)?;
    let hash = match payload.terms {
        GivenTerms::Known(hash) => {
            context.state.terms(&hash).ok_or(Rejection::UnknownTerms)?;
            hash
        }
        GivenTerms::Whole(terms) => {
            terms.check().map_err(Rejection::Terms)?;
            if terms.base == Base::Permit && context.state.genesis().consent_base != Base::Permit {
                return Err(Rejection::BasePermit);
            }
            let hash = terms.hash();
            if context.state.terms(&hash).is_none() {
                context.state.terms.put(hash, terms);
            }
            hash
        }
    };

    let mut current = Change::default();
    for (position, (subject, source, day)) in forms.iter().enumerate() {
        let document = Document {
            id: document_id(&context.tx, count(position)),
            terms: hash,
            basis: payload.basis,
            source: *source,
            signer: context.signer,
            signed: day.unwrap_or_else(|| context.moment.time.date()),
            granted: context.moment,
            ended: None,
        };
        let change = record(context, SubjectKey { hospital, subject: *subject }, document, payload.supersedes);
        current.added += change.added;
        current.ended += change.ended;
    }
    let documents = count(forms.len());
    context.state.count(|figures| {
        figures.grants += u64::from(documents);
        figures.grant_bytes += bytes as u64;
        figures.current_documents += u64::from(current.added);
        figures.current_documents -= u64::from(current.ended);
    });
    let late = documents - current.added;
    context.events.push(Event::Granted { hospital, documents, superseded: current.ended, late });
    Ok(())
}

/// How many documents came to count, and how many no longer do.
#[derive(Default)]
struct Change {
    added: u32,
    ended: u32,
}

/// Adds a document, and ends older ones if it takes their place.
fn record(context: &mut Context<'_>, key: SubjectKey, mut document: Document, supersedes: bool) -> Change {
    let at = context.moment;
    let mut change = Change::default();
    let state = &mut *context.state;
    let own_denies: Vec<bool> = state.subject(&key).map_or_else(Vec::new, |subject| {
        subject.documents.iter().map(|older| older.basis == Basis::Electronic && state.denies(&older.terms)).collect()
    });
    state.subjects.change(&key, |subject| {
        if let Some(cleared) = is_late(subject, &document) {
            document.ended = Some(Box::new(Ended { at, by: cleared.by.clone() }));
        } else {
            change.added = 1;
        }
        if supersedes && document.ended.is_none() {
            let by = EndedBy::Superseded { document: document.id };
            for (older, own_deny) in subject.documents.iter_mut().zip(own_denies) {
                if older.ended.is_none() && takes_the_place_of(&document, older, own_deny) {
                    older.ended = Some(Box::new(Ended { at, by: by.clone() }));
                    change.ended += 1;
                }
            }
            subject.clear(Cleared { day: document.signed, includes_day: document.basis == Basis::Electronic, by });
        }
        // Most subjects have one document for ever.
        subject.documents.reserve_exact(1);
        subject.documents.push(document);
    });
    change
}

/// Whether a document is older than what its subject last said anew.
fn is_late<'a>(subject: &'a Subject, document: &Document) -> Option<&'a Cleared> {
    let cleared = subject.cleared.as_ref()?;
    (document.basis == Basis::Paper && cleared.is_after(document.signed)).then_some(cleared)
}

fn takes_the_place_of(document: &Document, older: &Document, own_deny: bool) -> bool {
    match (document.basis, older.basis) {
        (Basis::Electronic, _) => true,
        (Basis::Paper, Basis::Paper) => older.signed <= document.signed,
        // Of one day nobody knows which came first.
        (Basis::Paper, Basis::Electronic) => older.signed < document.signed && !own_deny,
    }
}

/// Checks who signs for whom, on what basis, with which sources; tells the hospital that all forms are about.
pub(super) fn check_forms(context: &Context<'_>, basis: Basis, forms: &[Signed]) -> Result<HospitalId, Rejection> {
    match context.signer {
        Signer::Patient(patient) => {
            let key = context.state.subject_of(&patient).ok_or(Rejection::UnknownSigner)?;
            match (basis, forms) {
                (_, []) => Err(Rejection::EmptyBatch),
                (Basis::Paper, _) => Err(Rejection::WrongBasis),
                (Basis::Electronic, [(subject, ..)]) if *subject != key.subject => Err(Rejection::NotOwnSubject),
                (Basis::Electronic, [(_, source, _)]) if *source != NO_SOURCE => Err(Rejection::SourceUnexpected),
                (Basis::Electronic, [(subject, _, Some(_))]) => Err(Rejection::SignedDay { subject: *subject }),
                (Basis::Electronic, [_]) => Ok(key.hospital),
                (Basis::Electronic, [_, _, ..]) => Err(Rejection::NotOwnSubject),
            }
        }
        Signer::Hospital(hospital) => {
            if forms.is_empty() {
                return Err(Rejection::EmptyBatch);
            }
            if basis != Basis::Paper {
                return Err(Rejection::WrongBasis);
            }
            for (subject, source, signed) in forms {
                if context.state.subject(&SubjectKey { hospital, subject: *subject }).is_none() {
                    return Err(Rejection::UnknownSubject { subject: *subject });
                }
                if *source == NO_SOURCE {
                    return Err(Rejection::SourceMissing { subject: *subject });
                }
                // Somewhere it is a day later than where blocks are dated.
                let tomorrow = context.moment.time.plus_millis(86_400_000).date();
                if signed.is_none_or(|day| day > tomorrow) {
                    return Err(Rejection::SignedDay { subject: *subject });
                }
            }
            Ok(hospital)
        }
        Signer::Researcher(_) => Err(Rejection::NotEntitled { entitled: Entitled::PatientOrHospital }),
    }
}
