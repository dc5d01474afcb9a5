//! A member says by which keys it can take a role in guarded studies.

use consilium_protocol::tx::{Blob, MAX_GUARD_KEY_BYTES, RegisterGuardKeys};

use super::{Context, Outcome};
use crate::event::Event;
use crate::rejection::Rejection;
use crate::state::study::GuardKeys;

pub(super) fn apply(context: &mut Context<'_>, payload: &RegisterGuardKeys) -> Outcome {
    let hospital = context.hospital()?;
    let fits = |blob: &Blob| (1..=MAX_GUARD_KEY_BYTES).contains(&blob.bytes);
    if !fits(&payload.public_key) || !fits(&payload.server_key) || !payload.sealing_key.is_valid() {
        return Err(Rejection::GuardKeys);
    }
    // A set that a role was drawn with is used up.
    let used = |kept: &GuardKeys| {
        let keys = kept.keys;
        let any = keys.public_key == payload.public_key || keys.sealing_key == payload.sealing_key;
        kept.drawn.is_some() && any
    };
    if context.state.guard_keys(&hospital).is_some_and(used) {
        return Err(Rejection::GuardKeys);
    }
    context.state.guard_keys.put(hospital, GuardKeys { keys: *payload, height: context.moment.height, drawn: None });
    context.events.push(Event::GuardKeysRegistered { hospital });
    Ok(())
}
