//! A round ends without a result, and perhaps another opens.

use consilium_protocol::ids::{HospitalId, StudyId};
use consilium_protocol::privacy::MicroRho;

use super::open_round::{announce, open, privacy_roster};
use super::{Context, Outcome, count, step};
use crate::event::Event;
use crate::rejection::Rejection;
use crate::state::study::{RoundEnd, Step};

/// Ends the running round, and opens another with these, where one is possible; what nobody can have opened costs nothing.
pub(super) fn end(context: &mut Context<'_>, id: StudyId, roster: Option<Vec<HospitalId>>) -> Outcome {
    give_back(context, id)?;
    let study = context.study(&id)?;
    let ended = study.course.running_round().map(|round| (round.number, round.is_exposed(), round.roster.clone()));
    let Some((failed, is_exposed, seen)) = ended else {
        return Err(Rejection::WrongPhase { study: id, phase: study.course.phase });
    };
    let another = match failed.next().zip(roster) {
        // Another round that cannot open, for want of privacy budget or of roles, is none.
        Some((number, roster)) => {
            // Nor is one that would lose a hospital for want of budget, when the sum over all may have been seen.
            let left = privacy_roster(context, id, roster.clone())?;
            if is_exposed && seen != left { None } else { open(context, id, number, roster).ok() }
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

/// Gives back what a running round was charged, if it lacks a contribution, or waits for lots. A hospital gives nobody its own before, so that
/// no sum over the roster can be made, and a sum over fewer is uniform noise.
///
/// Of a round that all contributed to, nothing is given back, whatever became of it: who withheld the last ciphertext from the
/// others may have added up what they gave, and shown it to the researcher.
pub(super) fn give_back(context: &mut Context<'_>, id: StudyId) -> Outcome {
    let study = context.study(&id)?;
    let rho = study.proposal.spec.protection.loss();
    let running = study.course.running_round().filter(|round| !round.is_given() && rho > MicroRho::ZERO);
    let Some((number, roster)) = running.map(|round| (round.number, round.roster.clone())) else { return Ok(()) };
    for hospital in &roster {
        let left = context.state.privacy_loss(hospital).saturating_sub(rho);
        context.state.privacy_losses.put(*hospital, left);
    }
    context.events.push(Event::PrivacyReturned { study: id, round: number, rho, hospitals: count(roster.len()) });
    Ok(())
}
