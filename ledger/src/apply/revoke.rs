//! A patient, somebody who signs for them, or a hospital as witness of paper forms, ends consent documents. All of a batch,
//! or nothing.

use std::collections::BTreeSet;

use consilium_protocol::ids::{Date, DocumentId};
use consilium_protocol::tx::{Revocation, Revoke, Statement};

use super::grant::{Ending, ending, keep_denies, speaks_for_all};
use super::speaker::{Speaker, said_on};
use super::{Context, Outcome, count};
use crate::event::Event;
use crate::rejection::Rejection;
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
    let speaker = context.speaker()?;
    if payload.forms.is_empty() {
        return Err(Rejection::EmptyBatch);
    }
    if matches!(speaker, Speaker::Key(..)) && payload.forms.len() > 1 {
        return Err(Rejection::NotOwnSubject);
    }
    // What each form ends, given what the forms before it end.
    let mut ended: BTreeSet<DocumentId> = BTreeSet::new();
    let mut plan: Vec<Step> = Vec::new();
    for form in &payload.forms {
        let statement = Statement { basis: payload.basis, source: form.source, signed: form.signed };
        let key = context.spoken_of(&speaker, form.subject, &statement)?;
        let subject = context.state.subject(&key).ok_or(Rejection::UnknownSubject { subject: form.subject })?;
        let day = said_on(context, &statement);
        let documents = documents_of(context, &speaker, subject, (form, day), &ended)?;
        ended.extend(&documents);
        let by =
            EndedBy::Revocation { tx: context.tx, signer: context.signer, basis: payload.basis, source: form.source };
        // What takes all back says so of forms, too, that have not come yet.
        let is_all = form.document.is_none() && speaks_for_all(context, &speaker);
        // A wallet takes back what is there, a form dated tomorrow, too.
        let latest =
            subject.documents.iter().filter(|document| documents.contains(&document.id)).map(|d| d.signed).max();
        let cleared = is_all.then(|| Cleared {
            day: latest.map_or(day, |latest| latest.max(day)),
            includes_day: true,
            by: by.clone(),
        });
        let known = plan.iter().rev().filter(|step| step.key == key).find_map(|step| step.cleared.as_ref());
        let is_later =
            |cleared: &Cleared| known.or(subject.cleared.as_deref()).is_none_or(|known| known.rank() < cleared.rank());
        if documents.is_empty() && !cleared.as_ref().is_some_and(is_later) {
            return Err(Rejection::NothingToRevoke { subject: form.subject });
        }
        plan.push(Step { key, documents, by, cleared });
    }

    let at = context.moment;
    let mut kept = 0;
    for Step { key, documents, by, cleared } in plan {
        let keeps: Vec<Document> = context.state.subject(&key).map_or_else(Vec::new, |subject| {
            let of = subject.documents.iter().filter(|document| documents.contains(&document.id));
            let of = of.filter(|document| ending(context, &speaker, subject, document) == Ending::ButDenies);
            of.cloned().collect()
        });
        kept += keep_denies(context, &key, &keeps);
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
        figures.revocations += ended.len() as u64;
        figures.current_documents -= ended.len() as u64;
        figures.grants += u64::from(kept);
        figures.current_documents += u64::from(kept);
    });
    context.events.push(Event::Revoked { hospital: speaker.hospital(), documents: count(ended.len()) });
    Ok(())
}

fn documents_of(
    context: &Context<'_>,
    speaker: &Speaker,
    subject: &Subject,
    (form, day): (&Revocation, Date),
    ended: &BTreeSet<DocumentId>,
) -> Result<Vec<DocumentId>, Rejection> {
    // A form takes back what is not newer; a key, what is there.
    let is_older = |document: &Document| matches!(speaker, Speaker::Key(..)) || document.signed <= day;
    match form.document {
        Some(id) => {
            let document = subject
                .documents
                .iter()
                .find(|document| document.id == id)
                .ok_or(Rejection::UnknownDocument { subject: form.subject, document: id })?;
            if document.ended.is_some() || ended.contains(&id) {
                return Err(Rejection::DocumentEnded { document: id });
            }
            if !is_older(document) {
                return Err(Rejection::NothingToRevoke { subject: form.subject });
            }
            match ending(context, speaker, subject, document) {
                Ending::Stays if matches!(speaker, Speaker::Key(..)) && subject.is_frozen() => {
                    Err(Rejection::KeysFrozen)
                }
                Ending::Stays => Err(Rejection::OwnDeny { document: id }),
                Ending::Whole | Ending::ButDenies => Ok(vec![id]),
            }
        }
        None => {
            let is_ended = |document: &&Document| {
                !ended.contains(&document.id)
                    && is_older(document)
                    && ending(context, speaker, subject, document) != Ending::Stays
            };
            Ok(subject.current().filter(is_ended).map(|document| document.id).collect())
        }
    }
}
