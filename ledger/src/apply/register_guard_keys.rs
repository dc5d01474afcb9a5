//! A member says by which keys it can take a role in guarded studies.

use std::collections::BTreeSet;

use consilium_protocol::ids::ContentHash;
use consilium_protocol::tx::{Blob, MAX_GUARD_KEY_BYTES, RegisterGuardKeys};

use super::{Context, Outcome, count};
use crate::event::Event;
use crate::rejection::Rejection;
use crate::state::study::GuardKeys;

pub(super) fn apply(context: &mut Context<'_>, payload: &RegisterGuardKeys) -> Outcome {
    let hospital = context.hospital()?;
    let fits = |blob: &Blob| (1..=MAX_GUARD_KEY_BYTES).contains(&blob.bytes);
    let sets = &payload.sets;
    let all_fit = sets.iter().all(|set| fits(&set.public_key) && fits(&set.server_key));
    let all_differ = sets.iter().map(|set| set.public_key.hash).collect::<BTreeSet<_>>().len() == sets.len();
    let are_enough = count(sets.len()) == context.state.genesis().policy.key_sets;
    if !all_fit || !all_differ || !are_enough || !payload.sealing_key.is_valid() {
        return Err(Rejection::GuardKeys);
    }
    // What a role was drawn with is used up, and what was beside it may be known to everybody: for good.
    let is_used = |hash: &ContentHash| {
        let rounds = context.state.studies().flat_map(|study| &study.course.rounds);
        rounds.filter_map(|round| Some((round.guard?.roles.keys, &round.spare.sets))).any(|(drawn, spare)| {
            drawn.iter().chain(spare).any(|set| set.public_key.hash == *hash || set.server_key.hash == *hash)
        })
    };
    let is_sealing_key_used = |kept: &GuardKeys| kept.drawn.is_some() && kept.keys.sealing_key == payload.sealing_key;
    let mut hashes = sets.iter().flat_map(|set| [&set.public_key.hash, &set.server_key.hash]);
    if hashes.any(is_used) || context.state.guard_keys(&hospital).is_some_and(is_sealing_key_used) {
        return Err(Rejection::GuardKeys);
    }
    let keys = payload.clone();
    context.state.guard_keys.put(hospital, GuardKeys { keys, height: context.moment.height, drawn: None });
    context.events.push(Event::GuardKeysRegistered { hospital });
    Ok(())
}
