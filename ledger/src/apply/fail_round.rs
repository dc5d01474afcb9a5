//! A member ends a round that ran out of time; another opens with who is left, if enough are.

use consilium_protocol::tx::FailRound;

use super::open_round::new_round;
use super::{Context, Outcome, count, step};
use crate::event::Event;
use crate::rejection::Rejection;
use crate::state::study::{RoundEnd, Step};

pub(super) fn apply(context: &mut Context<'_>, payload: &FailRound) -> Outcome {
    context.hospital()?;
    let id = payload.study;
    let study = context.study(&id)?;
    step(id, study.course, Step::FailRound { another: None })?;
    let wrong_phase = Rejection::WrongPhase { study: id, phase: study.course.phase };
    let round = study.course.running_round().ok_or(wrong_phase)?;
    if round.number != payload.round {
        return Err(Rejection::WrongRound { current: round.number });
    }
    let genesis = context.state.genesis();
    let not_before = round.opened.time.plus_millis(genesis.deadlines.round_ms);
    if context.moment.time < not_before {
        return Err(Rejection::TooEarly { not_before });
    }
    if round.attested_sum().is_some() {
        return Err(Rejection::Releasable { study: id });
    }
    let roster = study.course.next_roster(context.members(), genesis.policy.min_hospitals);
    let another = round.number.next().zip(roster);
    let phase = step(id, study.course, Step::FailRound { another: another.as_ref().map(|(number, _)| *number) })?;

    let failed = round.number;
    let mut course = study.course.clone();
    if let Some(round) = course.rounds.last_mut() {
        round.ended = Some((context.moment, RoundEnd::Failed));
    }
    course.phase = phase;
    context.events.push(Event::RoundFailed { study: id, round: failed });
    match another {
        Some((number, roster)) => {
            context.events.push(Event::RoundOpened { study: id, round: number, hospitals: count(roster.len()) });
            course.rounds.push(new_round(number, context.moment, roster));
        }
        None => context.events.push(Event::StudyFailed { study: id }),
    }
    context.state.put_course(id, course);
    Ok(())
}
