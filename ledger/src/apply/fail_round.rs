//! A member ends a round that ran out of time, or in which a hospital was named; another opens with who is left, if enough are.

use consilium_protocol::tx::FailRound;

use super::end_round::end;
use super::role_keys::{awaits_keys, lacks_keys};
use super::{Context, Outcome, step};
use crate::rejection::Rejection;
use crate::state::study::Step;

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
    let not_before = round.fails_from(&genesis.deadlines);
    let (is_late, has_blame) = (context.moment.time >= not_before, round.has_blame());
    if !is_late && !has_blame {
        return Err(Rejection::TooEarly { not_before });
    }
    // An attested sum is at more than half of the roster; what a custodian disclosed, at the custodian alone, perhaps.
    if round.result().is_some() && !(is_late && round.guard.is_some()) {
        return Err(Rejection::Releasable { study: id });
    }
    let roster = study.course.next_roster(context.members(), genesis.policy.min_hospitals);
    // Until then there may be keys for the next one's roles.
    if let Some(roster) = &roster
        && if is_late { awaits_keys(context, id, roster)? } else { lacks_keys(context, id, roster)? }
    {
        return Err(Rejection::NoRoles { study: id });
    }
    end(context, id, roster)
}
