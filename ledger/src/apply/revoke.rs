//! A patient, or a hospital as witness of paper forms, ends consent documents. All of a batch, or nothing.

use std::collections::BTreeSet;

use consilium_protocol::ids::{ContentHash, DocumentId, SubjectId};
use consilium_protocol::tx::{Revocation, Revoke};

use super::grant::check_forms;
use super::{Context, Outcome, count};
use crate::event::Event;
use crate::rejection::Rejection;
use crate::state::consent::{Ended, EndedBy, Subject, SubjectKey};

pub(super) fn apply(context: &mut Context<'_>, payload: &Revoke) -> Outcome {
    let subjects: Vec<(SubjectId, ContentHash)> =
        payload.forms.iter().map(|form| (form.subject, form.source)).collect();
    let hospital = check_forms(context, payload.basis, &subjects)?;
    // What each form ends, given what the forms before it end.
    let mut ending: BTreeSet<DocumentId> = BTreeSet::new();
    let mut plan: Vec<(SubjectKey, Vec<DocumentId>, EndedBy)> = Vec::new();
    for form in &payload.forms {
        let key = SubjectKey { hospital, subject: form.subject };
        let subject = context.state.subject(&key).ok_or(Rejection::UnknownSubject { subject: form.subject })?;
        let documents = documents_of(subject, form, &ending)?;
        ending.extend(&documents);
        let by =
            EndedBy::Revocation { tx: context.tx, signer: context.signer, basis: payload.basis, source: form.source };
        plan.push((key, documents, by));
    }

    let at = context.moment;
    for (key, documents, by) in plan {
        context.state.subjects.change(&key, |subject| {
            for document in subject.documents.iter_mut().filter(|document| documents.contains(&document.id)) {
                document.ended = Some(Box::new(Ended { at, by: by.clone() }));
            }
        });
    }
    context.state.count(|figures| {
        figures.revocations += ending.len() as u64;
        figures.current_documents -= ending.len() as u64;
    });
    context.events.push(Event::Revoked { hospital, documents: count(ending.len()) });
    Ok(())
}

fn documents_of(
    subject: &Subject,
    form: &Revocation,
    ending: &BTreeSet<DocumentId>,
) -> Result<Vec<DocumentId>, Rejection> {
    let name = form.subject;
    match form.document {
        Some(id) => {
            let document = subject
                .documents
                .iter()
                .find(|document| document.id == id)
                .ok_or(Rejection::UnknownDocument { subject: name, document: id })?;
            if document.ended.is_some() || ending.contains(&id) {
                return Err(Rejection::DocumentEnded { document: id });
            }
            Ok(vec![id])
        }
        None => {
            let current: Vec<DocumentId> =
                subject.current().map(|document| document.id).filter(|id| !ending.contains(id)).collect();
            if current.is_empty() { Err(Rejection::NothingToRevoke { subject: name }) } else { Ok(current) }
        }
    }
}
