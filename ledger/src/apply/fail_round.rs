//! A member ends a round that ran out of time; another opens with who is left, if enough are.

use consilium_protocol::tx::FailRound;

use super::open_round::{announce, open, privacy_roster};
use super::{Context, Outcome, step};
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
    if round.result().is_some() {
        return Err(Rejection::Releasable { study: id });
    }
    let roster = study.course.next_roster(context.members(), genesis.policy.min_hospitals);
    let seen = round.is_complete().then(|| round.roster.clone());
    let failed = round.number;
    let another = match round.number.next().zip(roster) {
        // Another round that cannot open, for want of privacy budget or of roles, is none.
        Some((number, roster)) => {
            // Nor is one that would lose a hospital for want of budget, when the sum over all may have been seen.
            let left = privacy_roster(context, id, roster.clone())?;
            let narrowed = seen.is_some_and(|seen| seen != left);
            if narrowed { None } else { open(context, id, number, roster).ok() }
        }
        None => None,
    };
    let study = context.study(&id)?;
    let phase = step(id, study.course, Step::FailRound { another: another.as_ref().map(|round| round.number) })?;

    let mut course = study.course.clone();
    if let Some(round) = course.rounds.last_mut() {
        round.ended = Some((context.moment, RoundEnd::Failed));
    }
    course.phase = phase;
    context.events.push(Event::RoundFailed { study: id, round: failed });
    match another {
        Some(round) => {
            announce(context, id, &round);
            course.rounds.push(round);
        }
        None => context.events.push(Event::StudyFailed { study: id }),
    }
    context.state.put_course(id, course);
    Ok(())
}
