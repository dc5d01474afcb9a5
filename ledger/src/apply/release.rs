//! A hospital of the roster declares the sum that more than half of the roster attested, or that aggregator and
//! custodian of a guarded round committed to, as the result.

use consilium_protocol::ids::ContentHash;
use consilium_protocol::tx::Release;

use super::contribute::running;
use super::{Context, Outcome, count, step};
use crate::event::Event;
use crate::rejection::Rejection;
use crate::state::members::majority;
use crate::state::study::{RoundEnd, Step};

pub(super) fn apply(context: &mut Context<'_>, payload: &Release) -> Outcome {
    let hospital = context.hospital()?;
    let id = payload.study;
    let study = context.study(&id)?;
    let gate = Step::Release { sum: ContentHash::from_bytes([0; 32]) };
    let round = running(id, study.course, payload.round, &hospital, gate)?;
    let Some(sum) = round.result() else {
        if round.guard.is_some() {
            return Err(Rejection::NotDisclosed { study: id });
        }
        let attested = count(round.leading_sum().map_or(0, |(_, attested)| attested));
        return Err(Rejection::TooFewAttestations { attested, needed: count(majority(round.roster.len())) });
    };
    let phase = step(id, study.course, Step::Release { sum })?;

    let number = round.number;
    let mut course = study.course.clone();
    if let Some(round) = course.rounds.last_mut() {
        round.ended = Some((context.moment, RoundEnd::Released));
    }
    course.phase = phase;
    context.state.put_course(id, course);
    context.events.push(Event::Released { study: id, round: number, sum });
    Ok(())
}
