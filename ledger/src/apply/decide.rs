//! A member agrees to a study, or refuses it; once, and with a reason.

use consilium_protocol::ids::StudyId;
use consilium_protocol::tx::{Approve, Reject};

use super::{Context, Outcome, check_text, step};
use crate::event::Event;
use crate::rejection::{Rejection, TextField};
use crate::state::study::{Decision, Phase, Step};

pub(super) fn approve(context: &mut Context<'_>, payload: Approve) -> Outcome {
    // An approval needs no reason.
    if !payload.reason.is_empty() {
        check_text(TextField::Reason, &payload.reason)?;
    }
    decide(context, payload.study, true, payload.reason)
}

pub(super) fn reject(context: &mut Context<'_>, payload: Reject) -> Outcome {
    check_text(TextField::Reason, &payload.reason)?;
    decide(context, payload.study, false, payload.reason)
}

fn decide(context: &mut Context<'_>, id: StudyId, approved: bool, reason: String) -> Outcome {
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
    course.decisions.insert(hospital, Decision { approved, reason, at: context.moment });
    let (tally, members) = (course.tally(), context.members());
    let decided = if approved {
        Step::Approve { passed: tally.has_passed(members), now: context.moment.time }
    } else {
        Step::Reject { hopeless: tally.is_hopeless(members) }
    };
    let before = course.phase;
    course.phase = step(id, &course, decided)?;

    context.events.push(Event::StudyDecided { study: id, hospital, approved });
    match (before, course.phase) {
        (Phase::Proposed, Phase::Approved { .. }) => context.events.push(Event::StudyApproved { study: id }),
        (Phase::Proposed, Phase::Rejected) => context.events.push(Event::StudyRejected { study: id }),
        _ => {}
    }
    context.state.put_course(id, course);
    Ok(())
}
