//! A hospital of the roster commits to its contribution, once a round.

use consilium_protocol::ids::{HospitalId, RoundNumber, StudyId};
use consilium_protocol::lots::Draw;
use consilium_protocol::tx::Contribute;

use super::decide::lot;
use super::{Context, Outcome, step};
use crate::event::Event;
use crate::rejection::Rejection;
use crate::state::study::{Contribution, Course, Round, Step};

pub(super) fn apply(context: &mut Context<'_>, payload: &Contribute) -> Outcome {
    let hospital = context.hospital()?;
    let id = payload.study;
    let study = context.study(&id)?;
    let round = running(id, study.course, payload.round, &hospital, Step::Contribute { complete: false })?;
    // Nobody could do anything with it any more.
    let not_after = round.opened.time.plus_millis(context.state.genesis().deadlines.round_ms);
    if context.moment.time > not_after {
        return Err(Rejection::TooLate { not_after });
    }
    if round.contributions.contains_key(&hospital) {
        return Err(Rejection::AlreadyContributed { study: id });
    }
    // What is encrypted for keys that are not what they should be could be read.
    if !round.spare.are_open() {
        return Err(Rejection::KeySets { study: id });
    }
    if round.guard.is_some() != payload.veil.is_some_and(|veil| veil.sealed.bytes > 0) {
        return Err(Rejection::Veil);
    }
    let is_witnessed = round.guard.is_some_and(|guard| guard.roles.witness.is_some());
    let counts = payload.veil.and_then(|veil| veil.counts);
    if is_witnessed != counts.is_some() || counts.is_some_and(|counts| counts.bytes == 0) {
        return Err(Rejection::Veil);
    }
    // Whether it is as long as it must be shows when it is added up: nobody's word here decides about the others' length.
    if payload.bytes == 0 {
        return Err(Rejection::EmptyContribution);
    }
    let complete = round.contributions.len() + 1 == round.roster.len();
    let after = round.number.next().ok_or(Rejection::WrongRound { current: round.number })?;
    let lot = lot(context, hospital, &id, (after, Draw::Roles), &payload.lot)?;
    let phase = step(id, study.course, Step::Contribute { complete })?;

    let number = round.number;
    let mut course = study.course.clone();
    if let Some(round) = course.rounds.last_mut() {
        let height = context.moment.height;
        let Contribute { contribution: hash, bytes, proof, veil, .. } = *payload;
        let contribution = Contribution { hash, bytes, proof, height, veil };
        round.contributions.insert(hospital, contribution);
        round.advanced = context.moment.time;
    }
    course.lots.insert((after, hospital), lot);
    course.phase = phase;
    context.state.put_course(id, course);
    context.events.push(Event::Contributed { study: id, round: number, hospital });
    if complete {
        context.events.push(Event::RoundComplete { study: id, round: number });
    }
    Ok(())
}

/// The running round, when the study has a place for the step, the transaction means this round, and the hospital is
/// on its roster.
pub(super) fn running<'a>(
    id: StudyId,
    course: &'a Course,
    meant: RoundNumber,
    hospital: &HospitalId,
    gate: Step,
) -> Result<&'a Round, Rejection> {
    step(id, course, gate)?;
    let wrong_phase = Rejection::WrongPhase { study: id, phase: course.phase };
    let round = course.running_round().ok_or(wrong_phase)?;
    if round.number != meant {
        return Err(Rejection::WrongRound { current: round.number });
    }
    if !round.has(hospital) {
        return Err(Rejection::NotInRoster { study: id });
    }
    if round.has_blame() {
        return Err(Rejection::Spoiled { study: id });
    }
    // What is drawn has to be drawn before anybody goes on.
    if round.draws().is_some() != matches!(gate, Step::ShowLot) && !matches!(gate, Step::Accuse) {
        return Err(Rejection::Lots { study: id });
    }
    Ok(round)
}
