//! A member that approved commits to the secrets that it encapsulated to those who approved before it, once.

use consilium_protocol::pairing::PAIR_BYTES;
use consilium_protocol::tx::PairKeys;

use super::{Context, Outcome, step};
use crate::event::Event;
use crate::rejection::Rejection;
use crate::state::study::Step;

pub(super) fn apply(context: &mut Context<'_>, payload: &PairKeys) -> Outcome {
    let hospital = context.hospital()?;
    let id = payload.study;
    let study = context.study(&id)?;
    let phase = step(id, study.course, Step::Pair)?;
    let before = study.course.before(&hospital).ok_or(Rejection::NotAnApprover { study: id })?;
    if study.course.approvals[before].keys.is_some() {
        return Err(Rejection::AlreadyPaired { study: id });
    }
    if payload.keys.bytes != (before * PAIR_BYTES) as u64 {
        return Err(Rejection::PairKey);
    }
    let mut course = study.course.clone();
    course.approvals[before].keys = Some(payload.keys);
    course.phase = phase;
    context.state.put_course(id, course);
    context.events.push(Event::Paired { study: id, hospital });
    Ok(())
}
