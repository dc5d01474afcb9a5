//! A hospital of the roster shows its lot for what the round draws next; with the last of them it is drawn.

use consilium_protocol::lots::Draw;
use consilium_protocol::tx::ShowLot;

use super::contribute::running;
use super::decide::lot;
use super::{Context, Outcome};
use crate::event::Event;
use crate::rejection::Rejection;
use crate::state::study::{Step, draw_examined, draw_key_set};

pub(super) fn apply(context: &mut Context<'_>, payload: &ShowLot) -> Outcome {
    let hospital = context.hospital()?;
    let id = payload.study;
    let study = context.study(&id)?;
    let round = running(id, study.course, payload.round, &hospital, Step::ShowLot)?;
    let none = Rejection::Lots { study: id };
    let draw = round.draws().ok_or(none.clone())?;
    if !round.awaits_lot(&hospital) {
        return Err(none);
    }
    let not_after = round.lots_until(&context.state.genesis().deadlines);
    if context.moment.time > not_after {
        return Err(Rejection::TooLate { not_after });
    }
    let lot = lot(context, hospital, &id, (round.number, draw), &payload.lot)?;

    let number = round.number;
    let mut course = study.course.clone();
    context.events.push(Event::LotShown { study: id, round: number, hospital });
    if let Some(round) = course.rounds.last_mut() {
        round.shown.insert(hospital, lot);
        if !round.roster.iter().any(|id| round.awaits_lot(id)) {
            let shown = std::mem::take(&mut round.shown);
            round.advanced = context.moment.time;
            match draw {
                Draw::KeySet => {
                    if let Some(at) = draw_key_set((id, number), &shown, round.spare.sets.len())
                        && let Some(guard) = round.guard.as_mut()
                    {
                        guard.roles.keys = Some(round.spare.sets.remove(at));
                    }
                }
                Draw::Examined => {
                    round.examined = draw_examined((id, number), &shown, &round.roster);
                    if let Some(hospital) = round.examined {
                        context.events.push(Event::Examined { study: id, round: number, hospital });
                    }
                }
                Draw::Roles => {}
            }
        }
    }
    context.state.put_course(id, course);
    Ok(())
}
