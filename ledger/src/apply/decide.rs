//! A member agrees to a study, or refuses it; once, and with a reason.

use std::collections::BTreeSet;

use consilium_protocol::consent::Condition;
use consilium_protocol::hash::tagged;
use consilium_protocol::ids::{HospitalId, RoundNumber, StudyId};
use consilium_protocol::lots::{self, Draw, LotProof};
use consilium_protocol::tx::{Approve, Reject};

use super::{Context, Outcome, check_text, step};
use crate::event::Event;
use crate::rejection::{Rejection, TextField};
use crate::state::study::{Approval, Course, Decision, Lot, Phase, Step};

pub(super) fn approve(context: &mut Context<'_>, payload: Approve) -> Outcome {
    // An approval needs no reason.
    if !payload.reason.is_empty() {
        check_text(TextField::Reason, &payload.reason)?;
    }
    if !payload.pair_key.is_valid() {
        return Err(Rejection::PairKey);
    }
    let hospital = context.hospital()?;
    let round = RoundNumber::new(0);
    let lot = lot(context, hospital, &payload.study, (round, Draw::Roles), &payload.lot)?;
    // More than these no consent can be bound to, and each once.
    let ticked: BTreeSet<Condition> = payload.ticked.iter().cloned().collect();
    if !payload.ticked.iter().eq(&ticked) {
        return Err(Rejection::Ticked);
    }
    let said = Said { approved: true, reason: payload.reason, ticked };
    decide(context, payload.study, said, |course| {
        course.approvals.push(Approval { hospital, pair_key: payload.pair_key, keys: None });
        course.lots.insert((round, hospital), lot);
    })
}

pub(super) fn reject(context: &mut Context<'_>, payload: Reject) -> Outcome {
    check_text(TextField::Reason, &payload.reason)?;
    let said = Said { approved: false, reason: payload.reason, ticked: BTreeSet::new() };
    decide(context, payload.study, said, |_| ())
}

/// A member's lot for a round, which its proof must prove.
pub(super) fn lot(
    context: &Context<'_>,
    hospital: HospitalId,
    study: &StudyId,
    (round, draw): (RoundNumber, Draw),
    proof: &LotProof,
) -> Result<Lot, Rejection> {
    let member = context.state.genesis().member(&hospital).ok_or(Rejection::Lot)?;
    let message = lots::message(context.state.ledger_id(), study, round, draw);
    let lot = proof.lot(&member.lot_key, &message).ok_or(Rejection::Lot)?;
    Ok(tagged("consilium/lot-shown/v1", &[&lot]))
}

/// What a member says of a study.
struct Said {
    approved: bool,
    reason: String,
    ticked: BTreeSet<Condition>,
}

fn decide(context: &mut Context<'_>, id: StudyId, said: Said, with: impl FnOnce(&mut Course)) -> Outcome {
    let Said { approved, reason, ticked } = said;
    let hospital = context.hospital()?;
    let study = context.study(&id)?;
    if study.course.decisions.contains_key(&hospital) {
        return Err(Rejection::AlreadyDecided { study: id });
    }
    let asked = study.proposal.spec.protection.loss();
    let left = context.state.privacy_left(&hospital);
    if approved && asked > left {
        return Err(Rejection::PrivacyBudget { asked, left });
    }
    let mut course = study.course.clone();
    course.decisions.insert(hospital, Decision { approved, reason, ticked, at: context.moment });
    let (tally, members) = (course.tally(), context.members());
    let decided = if approved {
        Step::Approve { passed: tally.has_passed(members), now: context.moment.time }
    } else {
        Step::Reject { hopeless: tally.is_hopeless(members) }
    };
    let before = course.phase;
    course.phase = step(id, &course, decided)?;
    with(&mut course);

    context.events.push(Event::StudyDecided { study: id, hospital, approved });
    match (before, course.phase) {
        (Phase::Proposed, Phase::Approved { .. }) => context.events.push(Event::StudyApproved { study: id }),
        (Phase::Proposed, Phase::Rejected) => context.events.push(Event::StudyRejected { study: id }),
        _ => {}
    }
    context.state.put_course(id, course);
    Ok(())
}
