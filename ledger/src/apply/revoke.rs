//! A patient, or a hospital as witness of paper forms, ends consent documents. All of a batch, or nothing.

use std::collections::BTreeSet;

use consilium_protocol::consent::Basis;
use consilium_protocol::ids::{Date, DocumentId};
use consilium_protocol::tx::{Revocation, Revoke};

use super::grant::{Signed, check_forms};
use super::{Context, Outcome, count};
use crate::event::Event;
use crate::rejection::Rejection;
use crate::state::State;
use crate::state::consent::{Cleared, Document, Ended, EndedBy, Subject, SubjectKey};

/// What one form of a batch does.
struct Step {
    key: SubjectKey,
    documents: Vec<DocumentId>,
    by: EndedBy,
    /// Of a form that takes all back.
    cleared: Option<Cleared>,
}

pub(super) fn apply(context: &mut Context<'_>, payload: &Revoke) -> Outcome {
    let signed = |form: &Revocation| (form.subject, form.source, form.signed);
    let forms: Vec<Signed> = payload.forms.iter().map(signed).collect();
    let hospital = check_forms(context, payload.basis, &forms)?;
    // What each form ends, given what the forms before it end.
    let mut ending: BTreeSet<DocumentId> = BTreeSet::new();
    let mut plan: Vec<Step> = Vec::new();
    for form in &payload.forms {
        let key = SubjectKey { hospital, subject: form.subject };
        let subject = context.state.subject(&key).ok_or(Rejection::UnknownSubject { subject: form.subject })?;
        let day = form.signed.unwrap_or_else(|| context.moment.time.date());
        let documents = documents_of(context.state, subject, (form, payload.basis, day), &ending)?;
        ending.extend(&documents);
        let by =
            EndedBy::Revocation { tx: context.tx, signer: context.signer, basis: payload.basis, source: form.source };
        let cleared = form.document.is_none().then(|| Cleared { day, includes_day: true, by: by.clone() });
        // What takes all back says so of forms, too, that have not come yet.
        let known = plan.iter().rev().filter(|step| step.key == key).find_map(|step| step.cleared.as_ref());
        let is_later =
            |cleared: &Cleared| known.or(subject.cleared.as_ref()).is_none_or(|known| known.rank() < cleared.rank());
        if documents.is_empty() && !cleared.as_ref().is_some_and(is_later) {
            return Err(Rejection::NothingToRevoke { subject: form.subject });
        }
        plan.push(Step { key, documents, by, cleared });
    }

    let at = context.moment;
    for Step { key, documents, by, cleared } in plan {
        context.state.subjects.change(&key, |subject| {
            for document in subject.documents.iter_mut().filter(|document| documents.contains(&document.id)) {
                document.ended = Some(Box::new(Ended { at, by: by.clone() }));
            }
            if let Some(cleared) = cleared {
                subject.clear(cleared);
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
    state: &State,
    subject: &Subject,
    (form, basis, day): (&Revocation, Basis, Date),
    ending: &BTreeSet<DocumentId>,
) -> Result<Vec<DocumentId>, Rejection> {
    let name = form.subject;
    // Whoever takes back a prohibition allows more: what a patient forbade by their own key, that key alone takes back.
    let is_kept = |document: &Document| {
        basis == Basis::Paper && document.basis == Basis::Electronic && state.denies(&document.terms)
    };
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
            if is_kept(document) {
                return Err(Rejection::OwnDeny { document: id });
            }
            Ok(vec![id])
        }
        None => {
            let is_ended =
                |document: &&Document| !ending.contains(&document.id) && !is_kept(document) && document.signed <= day;
            Ok(subject.current().filter(is_ended).map(|document| document.id).collect())
        }
    }
}
