//! Who has keys for a role in a guarded round, before it is opened.

use consilium_protocol::ids::{HospitalId, RoundNumber, StudyId};
use consilium_protocol::study::Protection;

use super::Context;
use crate::rejection::Rejection;

/// Whether somebody who could have a role in a guarded round of these has no keys: hospitals make others as soon as some were drawn, which
/// takes them seconds, and who has its own at hand must not have the draw to itself.
pub(super) fn lacks_keys(context: &Context<'_>, id: StudyId, roster: &[HospitalId]) -> Result<bool, Rejection> {
    let mut could = role_holders(context, id, roster)?;
    Ok(could.any(|id| context.state.guard_keys(id).is_none_or(|kept| kept.free().is_none())))
}

/// Likewise, of those whose keys were drawn within the last eighth of a round's time: later, they are not waited for.
pub(super) fn awaits_keys(context: &Context<'_>, id: StudyId, roster: &[HospitalId]) -> Result<bool, Rejection> {
    let eighth = context.state.genesis().deadlines.round_ms / 8;
    let is_recent = |(study, round): (StudyId, RoundNumber)| {
        let drawn = context.state.study(&study).and_then(|study| study.course.round(round));
        drawn.is_some_and(|round| context.moment.time < round.opened.time.plus_millis(eighth))
    };
    let mut could = role_holders(context, id, roster)?;
    Ok(could.any(|id| context.state.guard_keys(id).and_then(|kept| kept.drawn).is_some_and(is_recent)))
}

/// Who of these could have a role in a guarded round of a study; nobody in another.
fn role_holders<'a>(
    context: &Context<'_>,
    id: StudyId,
    roster: &'a [HospitalId],
) -> Result<impl Iterator<Item = &'a HospitalId>, Rejection> {
    let study = context.study(&id)?;
    let is_guarded = study.proposal.spec.protection == Protection::Guarded;
    let own = context.state.researchers().get(&study.proposal.researcher).and_then(|researcher| researcher.hospital);
    Ok(roster.iter().filter(move |id| is_guarded && own != Some(**id)))
}
