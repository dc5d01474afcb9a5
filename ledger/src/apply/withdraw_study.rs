//! A study's researcher takes it back, until there is a result.

use consilium_protocol::tx::WithdrawStudy;

use super::end_round::give_back;
use super::{Context, Outcome, step};
use crate::event::Event;
use crate::rejection::Rejection;
use crate::state::study::{RoundEnd, Step};

pub(super) fn apply(context: &mut Context<'_>, payload: &WithdrawStudy) -> Outcome {
    let researcher = context.researcher()?;
    let id = payload.study;
    let study = context.study(&id)?;
    if study.proposal.researcher != researcher {
        return Err(Rejection::NotTheResearcher { study: id });
    }
    let phase = step(id, study.course, Step::Withdraw)?;
    // It may have been opened already: what is taken back must not be what nobody has to remember.
    if study.course.running_round().is_some_and(|round| round.result().is_some()) {
        return Err(Rejection::Releasable { study: id });
    }

    give_back(context, id)?;
    let mut course = context.study(&id)?.course.clone();
    if course.running_round().is_some()
        && let Some(round) = course.rounds.last_mut()
    {
        round.ended = Some((context.moment, RoundEnd::Withdrawn));
    }
    course.phase = phase;
    context.state.put_course(id, course);
    context.events.push(Event::StudyWithdrawn { study: id });
    Ok(())
}
