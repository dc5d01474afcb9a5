//! Two subjects are one person, or are not; a hospital no longer speaks with a patient.

use std::collections::BTreeSet;

use consilium_protocol::ids::{Height, SubjectId};
use consilium_protocol::tx::{Close, CloseReason, Merge, Unmerge};

use super::grant::keep_denies;
use super::{Context, Outcome};
use crate::event::{Event, SubjectChange};
use crate::rejection::Rejection;
use crate::state::consent::{Cleared, Document, Ended, EndedBy, Merged, SignedBy, SubjectKey};

pub(super) fn merge(context: &mut Context<'_>, payload: &Merge) -> Outcome {
    let hospital = context.hospital()?;
    let key = |subject| SubjectKey { hospital, subject };
    let height = context.moment.height;
    for subject in [payload.from, payload.into] {
        let known = context.state.subject(&key(subject)).ok_or(Rejection::UnknownSubject { subject })?;
        if known.merged_at(height).is_some() {
            return Err(Rejection::AlreadyMerged { subject });
        }
    }
    let from = context.state.subject(&key(payload.from)).ok_or(Rejection::UnknownSubject { subject: payload.from })?;
    // Who stands for others goes on doing so: merge those into the other one first.
    let stands_for = from.more.as_ref().map_or(&[][..], |more| &more.stands_for);
    let stands = |other: &SubjectId| {
        let other = context.state.subject(&key(*other));
        other.and_then(|other| other.merged_at(height)) == Some(payload.from)
    };
    if payload.from == payload.into || stands_for.iter().any(stands) {
        return Err(Rejection::AlreadyMerged { subject: payload.from });
    }
    if from.is_paper_closed() {
        return Err(Rejection::PaperClosed { subject: payload.from });
    }
    let merged = Merged { into: payload.into, since: context.moment, until: None, restated: None };
    context.state.change_subject(&key(payload.from), |subject| subject.more_mut().merged.push(merged));
    context.state.change_subject(&key(payload.into), |subject| {
        let stands_for = &mut subject.more_mut().stands_for;
        if !stands_for.contains(&payload.from) {
            stands_for.push(payload.from);
        }
    });
    context.events.push(Event::SubjectChanged { hospital, change: SubjectChange::Merged });
    Ok(())
}

/// What was forbidden while the two were one is forbidden for both, as nobody knows of whom it was said.
pub(super) fn unmerge(context: &mut Context<'_>, payload: &Unmerge) -> Outcome {
    let hospital = context.hospital()?;
    let from = SubjectKey { hospital, subject: payload.from };
    let subject = context.state.subject(&from).ok_or(Rejection::UnknownSubject { subject: payload.from })?;
    let merged = subject.more.as_ref().and_then(|more| more.merged.last()).filter(|merged| merged.until.is_none());
    let merged = *merged.ok_or(Rejection::NotMerged { subject: payload.from })?;
    let into = SubjectKey { hospital, subject: merged.into };
    let of_into = denied_since(context, &into, merged.since.height);
    let of_from = denied_since(context, &from, merged.since.height);
    let at = context.moment;
    context.state.change_subject(&from, |subject| {
        if let Some(merged) = subject.more_mut().merged.last_mut() {
            merged.until = Some(at);
        }
    });
    let added = keep_denies(context, &from, &of_into) + keep_denies(context, &into, &of_from);
    context.state.count(|figures| {
        figures.grants += u64::from(added);
        figures.current_documents += u64::from(added);
    });
    context.events.push(Event::SubjectChanged { hospital, change: SubjectChange::Unmerged });
    Ok(())
}

/// Current documents of a subject that came after a height, as the hospital records them for another: it is not that one's
/// key that forbade it.
fn denied_since(context: &Context<'_>, key: &SubjectKey, since: Height) -> Vec<Document> {
    let subject = context.state.subject(key);
    let recent = subject.into_iter().flat_map(|subject| subject.current()).filter(|d| d.granted.height >= since);
    recent.map(|document| Document { signer: context.signer, by: SignedBy::Hospital, ..document.clone() }).collect()
}

pub(super) fn close(context: &mut Context<'_>, payload: &Close) -> Outcome {
    let hospital = context.hospital()?;
    if payload.subjects.is_empty() {
        return Err(Rejection::EmptyBatch);
    }
    let mut seen = BTreeSet::new();
    for subject in &payload.subjects {
        let key = SubjectKey { hospital, subject: *subject };
        let known = context.state.subject(&key).ok_or(Rejection::UnknownSubject { subject: *subject })?;
        let closed = known.more.as_ref().and_then(|more| more.closed).map(|(reason, _)| reason);
        // Who has left may die.
        let again = closed.is_some_and(|reason| reason == CloseReason::Death || reason == payload.reason);
        if again || !seen.insert(*subject) {
            return Err(Rejection::AlreadyClosed { subject: *subject });
        }
    }
    let (at, day) = (context.moment, context.day());
    let mut ended = 0;
    for subject in seen {
        context.state.change_subject(&SubjectKey { hospital, subject }, |subject| {
            let more = subject.more_mut();
            more.closed = Some((payload.reason, at));
            match payload.reason {
                CloseReason::Death => {
                    for delegation in more.delegations.iter_mut().filter(|delegation| delegation.ended.is_none()) {
                        delegation.ended = Some(at);
                    }
                }
                CloseReason::Moved => {
                    for document in subject.documents.iter_mut().filter(|document| document.ended.is_none()) {
                        document.ended = Some(Box::new(Ended { at, by: EndedBy::Moved }));
                        ended += 1;
                    }
                    subject.clear(Cleared { day, includes_day: true, by: EndedBy::Moved });
                }
            }
        });
    }
    context.state.count(|figures| figures.current_documents -= ended);
    context.events.push(Event::SubjectChanged { hospital, change: SubjectChange::Closed });
    Ok(())
}
