//! A member says by which keys it can take a role in guarded studies.

use std::collections::BTreeSet;

use consilium_protocol::ids::{ContentHash, HospitalId};
use consilium_protocol::tx::{Blob, KeySet, MAX_GUARD_KEY_BYTES, RegisterGuardKeys};

use super::{Context, Outcome, count};
use crate::event::Event;
use crate::rejection::Rejection;
use crate::state::study::{GuardKeys, Round};

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
    let hashes: BTreeSet<ContentHash> = sets.iter().flat_map(KeySet::hashes).collect();
    let has_used = |round: &Round| {
        let Some(roles) = round.guard.as_ref().map(|guard| &guard.roles) else { return false };
        let mut known = roles.keys.iter().chain(&round.spare.sets);
        let sealing =
            [Some(&roles.sealing_key), Some(&roles.veil_key), roles.witness.as_ref().map(|of| &of.sealing_key)];
        known.any(|set| hashes.contains(&set.public_key.hash) || hashes.contains(&set.server_key.hash))
            || sealing.contains(&Some(&payload.sealing_key))
    };
    // Nor are another member's registered twice: drawn with the one, they would still be free with the other.
    let has_registered = |(id, kept): (&HospitalId, &GuardKeys)| {
        let mut sets = kept.keys.sets.iter().flat_map(KeySet::hashes);
        *id != hospital && (kept.keys.sealing_key == payload.sealing_key || sets.any(|hash| hashes.contains(&hash)))
    };
    if context.state.studies().any(|study| study.course.rounds.iter().any(has_used))
        || context.state.guard_keys.entries().iter().any(has_registered)
    {
        return Err(Rejection::GuardKeys);
    }
    let keys = payload.clone();
    context.state.guard_keys.put(hospital, GuardKeys { keys, height: context.moment.height, drawn: None });
    context.events.push(Event::GuardKeysRegistered { hospital });
    Ok(())
}
