//! At the start of each block: studies that waited too long for members expire.

use consilium_protocol::ids::StudyId;

use crate::event::Event;
use crate::state::study::{Step, next};
use crate::state::{Moment, State};

pub(super) fn apply(state: &mut State, moment: Moment, events: &mut Vec<Event>) {
    let deadlines = state.genesis().deadlines;
    let due = |id: &StudyId| {
        let study = state.study(id)?;
        let deadline = study.course.deadline(study.proposal.proposed.time, &deadlines)?;
        (moment.time > deadline).then_some(*id)
    };
    let due: Vec<StudyId> = state.waiting().iter().filter_map(due).collect();
    for id in due {
        let Some(course) = state.study(&id).map(|study| study.course) else { continue };
        let Some(phase) = next(course.phase, Step::RunOut) else { continue };
        let mut course = course.clone();
        course.phase = phase;
        state.put_course(id, course);
        events.push(Event::StudyExpired { study: id });
    }
}
