//! A patient, somebody who signs for them, or a hospital as witness of paper forms, ends consent documents. All of a batch,
//! or nothing.

use std::collections::BTreeSet;

use consilium_protocol::ids::{Date, DocumentId};
use consilium_protocol::tx::{Revocation, Revoke, Statement};

use super::grant::may_end;
use super::speaker::{Speaker, said_on};
use super::{Context, Outcome, count};
use crate::event::Event;
use crate::rejection::Rejection;
use crate::state::consent::{Cleared, Document, Ended, EndedBy, KeyRole, Subject, SubjectKey};

/// What one form of a batch does.
struct Step {
    key: SubjectKey,
    documents: Vec<DocumentId>,
    by: EndedBy,
    /// Of a form that takes all back.
    cleared: Option<Cleared>,
}

pub(super) fn apply(context: &mut Context<'_>, payload: &Revoke) -> Outcome {
    let speaker = context.speaker()?;
    if payload.forms.is_empty() {
        return Err(Rejection::EmptyBatch);
    }
    if matches!(speaker, Speaker::Key(..)) && payload.forms.len() > 1 {
        return Err(Rejection::NotOwnSubject);
    }
    // What each form ends, given what the forms before it end.
    let mut ending: BTreeSet<DocumentId> = BTreeSet::new();
    let mut plan: Vec<Step> = Vec::new();
    for form in &payload.forms {
        let statement = Statement { basis: payload.basis, source: form.source, signed: form.signed };
        let key = context.spoken_of(&speaker, form.subject, &statement)?;
        let subject = context.state.subject(&key).ok_or(Rejection::UnknownSubject { subject: form.subject })?;
        let day = said_on(context, &statement);
        let documents = documents_of(context, &speaker, subject, (form, day), &ending)?;
        ending.extend(&documents);
        let by =
            EndedBy::Revocation { tx: context.tx, signer: context.signer, basis: payload.basis, source: form.source };
        // What takes all back says so of forms, too, that have not come yet.
        let is_all = form.document.is_none() && speaks_for_all(context, &speaker);
        let cleared = is_all.then(|| Cleared { day, includes_day: true, by: by.clone() });
        let known = plan.iter().rev().filter(|step| step.key == key).find_map(|step| step.cleared.as_ref());
        let is_later =
            |cleared: &Cleared| known.or(subject.cleared.as_deref()).is_none_or(|known| known.rank() < cleared.rank());
        if documents.is_empty() && !cleared.as_ref().is_some_and(is_later) {
            return Err(Rejection::NothingToRevoke { subject: form.subject });
        }
        plan.push(Step { key, documents, by, cleared });
    }

    let at = context.moment;
    for Step { key, documents, by, cleared } in plan {
        context.state.change_subject(&key, |subject| {
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
    context.events.push(Event::Revoked { hospital: speaker.hospital(), documents: count(ending.len()) });
    Ok(())
}

/// Whether the speaker takes back all when they say so: who may sign a part takes back that part.
fn speaks_for_all(context: &Context<'_>, speaker: &Speaker) -> bool {
    match context.role(speaker) {
        Some(KeyRole::Delegate(delegation)) => delegation.scope.is_everything(),
        _ => true,
    }
}

fn documents_of(
    context: &Context<'_>,
    speaker: &Speaker,
    subject: &Subject,
    (form, day): (&Revocation, Date),
    ending: &BTreeSet<DocumentId>,
) -> Result<Vec<DocumentId>, Rejection> {
    let denies = |document: &Document| context.state.denies(&document.terms);
    match form.document {
        Some(id) => {
            let document = subject
                .documents
                .iter()
                .find(|document| document.id == id)
                .ok_or(Rejection::UnknownDocument { subject: form.subject, document: id })?;
            if document.ended.is_some() || ending.contains(&id) {
                return Err(Rejection::DocumentEnded { document: id });
            }
            // Whoever takes back a prohibition allows more, and no key that may be stolen does.
            if matches!(speaker, Speaker::Key(..)) && subject.is_frozen() && denies(document) {
                return Err(Rejection::KeysFrozen);
            }
            if !may_end(context, speaker, subject, document) {
                return Err(Rejection::OwnDeny { document: id });
            }
            Ok(vec![id])
        }
        None => {
            let is_ended = |document: &&Document| {
                !ending.contains(&document.id) && document.signed <= day && may_end(context, speaker, subject, document)
            };
            Ok(subject.current().filter(is_ended).map(|document| document.id).collect())
        }
    }
}
