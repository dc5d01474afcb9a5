//! A member says by which keys it can take a role in guarded studies.

use consilium_protocol::keys::BlindingKey;
use consilium_protocol::tx::{Blob, MAX_GUARD_KEY_BYTES, RegisterGuardKeys};

use super::{Context, Outcome};
use crate::event::Event;
use crate::rejection::Rejection;
use crate::state::study::GuardKeys;

pub(super) fn apply(context: &mut Context<'_>, payload: &RegisterGuardKeys) -> Outcome {
    let hospital = context.hospital()?;
    let fits = |blob: &Blob| (1..=MAX_GUARD_KEY_BYTES).contains(&blob.bytes);
    // RFC 7748, section 6.1: a key of small order agrees on the same secret with everybody.
    let agrees = BlindingKey::from_seed([1; 32]).agree(&payload.sealing_key).is_some();
    if !fits(&payload.public_key) || !fits(&payload.server_key) || !agrees {
        return Err(Rejection::GuardKeys);
    }
    context.state.guard_keys.put(hospital, GuardKeys { keys: *payload, height: context.moment.height });
    context.events.push(Event::GuardKeysRegistered { hospital });
    Ok(())
}
