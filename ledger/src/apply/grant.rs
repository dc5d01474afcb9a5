//! A patient, or a hospital as witness of paper forms, records consent documents. All of a batch, or nothing.

use consilium_protocol::consent::{Base, Basis};
use consilium_protocol::ids::{ContentHash, HospitalId, SubjectId};
use consilium_protocol::tx::{Grant, Signer, document_id};

use super::{Context, Outcome, count};
use crate::event::Event;
use crate::rejection::{Entitled, Rejection};
use crate::state::consent::{Document, Ended, EndedBy, SubjectKey};

/// The source of an electronic document.
pub(super) const NO_SOURCE: ContentHash = ContentHash::from_bytes([0; 32]);

pub(super) fn apply(context: &mut Context<'_>, payload: Grant, bytes: usize) -> Outcome {
    let subjects: Vec<(SubjectId, ContentHash)> =
        payload.forms.iter().map(|form| (form.subject, form.source)).collect();
    let hospital = check_forms(context, payload.basis, &subjects)?;
    payload.terms.check().map_err(Rejection::Terms)?;
    if payload.terms.base == Base::Permit && context.state.genesis().consent_base != Base::Permit {
        return Err(Rejection::BasePermit);
    }

    let terms = payload.terms.hash();
    if context.state.terms(&terms).is_none() {
        context.state.terms.put(terms, payload.terms);
    }
    let mut superseded = 0;
    for (position, (subject, source)) in subjects.iter().enumerate() {
        let document = Document {
            id: document_id(&context.tx, count(position)),
            terms,
            basis: payload.basis,
            source: *source,
            signer: context.signer,
            granted: context.moment,
            ended: None,
        };
        superseded += record(context, SubjectKey { hospital, subject: *subject }, document, payload.supersedes);
    }
    let documents = count(subjects.len());
    context.state.count(|figures| {
        figures.grants += u64::from(documents);
        figures.grant_bytes += bytes as u64;
        figures.current_documents += u64::from(documents);
        figures.current_documents -= u64::from(superseded);
    });
    context.events.push(Event::Granted { hospital, documents, superseded });
    Ok(())
}

/// Adds a document, and ends the current ones if it supersedes them; tells how many.
fn record(context: &mut Context<'_>, key: SubjectKey, document: Document, supersedes: bool) -> u32 {
    let at = context.moment;
    let mut superseded = 0;
    context.state.subjects.change(&key, |subject| {
        if supersedes {
            for older in subject.documents.iter_mut().filter(|older| older.ended.is_none()) {
                let by = EndedBy::Superseded { document: document.id };
                older.ended = Some(Box::new(Ended { at, by }));
                superseded += 1;
            }
        }
        subject.documents.push(document);
    });
    superseded
}

/// Checks who signs for whom, on what basis, with which sources; tells the hospital that all forms are about.
pub(super) fn check_forms(
    context: &Context<'_>,
    basis: Basis,
    forms: &[(SubjectId, ContentHash)],
) -> Result<HospitalId, Rejection> {
    match context.signer {
        Signer::Patient(patient) => {
            let key = context.state.subject_of(&patient).ok_or(Rejection::UnknownSigner)?;
            match (basis, forms) {
                (_, []) => Err(Rejection::EmptyBatch),
                (Basis::Paper, _) => Err(Rejection::WrongBasis),
                (Basis::Electronic, [(subject, _)]) if *subject != key.subject => Err(Rejection::NotOwnSubject),
                (Basis::Electronic, [(_, source)]) if *source != NO_SOURCE => Err(Rejection::SourceUnexpected),
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
            for (subject, source) in forms {
                if context.state.subject(&SubjectKey { hospital, subject: *subject }).is_none() {
                    return Err(Rejection::UnknownSubject { subject: *subject });
                }
                if *source == NO_SOURCE {
                    return Err(Rejection::SourceMissing { subject: *subject });
                }
            }
            Ok(hospital)
        }
        Signer::Researcher(_) => Err(Rejection::NotEntitled { entitled: Entitled::PatientOrHospital }),
    }
}
