//! Keys for guarded rounds as the ledger knows them: a set is registered whenever this hospital has none that a role could be
//! drawn with.

use std::sync::Arc;
use std::time::Duration;

use consilium_ledger::rejection::Rejection;
use consilium_ledger::state::State;
use consilium_protocol::ids::{ContentHash, HospitalId};
use consilium_protocol::study::Protection;
use consilium_protocol::tx::{Payload, RegisterGuardKeys};
use tracing::{info, warn};

use super::Studies;
use crate::replica::submit::{self, SubmitError};

/// How often the ledger is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How long a registration that failed is left alone.
const RETRY: Duration = Duration::from_secs(5);

/// What became of a set of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// No role was drawn with it.
    Free,
    /// A role was drawn with it, in a round that runs.
    Running,
    /// A role was drawn with it, in a round that has ended.
    Ended,
}

/// What became of a set of a hospital's keys.
pub(super) fn use_of(state: &State, hospital: &HospitalId, keys: &RegisterGuardKeys) -> Use {
    let rounds = state.studies().flat_map(|study| study.course.rounds.iter());
    let drawn = rounds.filter(|round| {
        round.guard.as_ref().is_some_and(|guard| {
            let roles = &guard.roles;
            let sets = || roles.keys.iter().chain(&round.spare.sets);
            (roles.custodian == *hospital && sets().any(|set| keys.sets.contains(set)))
                || (roles.aggregator == *hospital && roles.sealing_key == keys.sealing_key)
                || (roles.is_witness(hospital) && roles.witness.map(|of| of.sealing_key) == Some(keys.sealing_key))
        })
    });
    drawn.map(|round| if round.ended.is_some() { Use::Ended } else { Use::Running }).next().unwrap_or(Use::Free)
}

/// The public keys with which a hospital is the custodian of rounds that run.
fn drawn(state: &State, hospital: &HospitalId) -> Vec<ContentHash> {
    let running = state.studies().filter_map(|study| study.course.running_round()?.guard);
    let own = running.filter(|guard| guard.roles.custodian == *hospital);
    own.filter_map(|guard| Some(guard.roles.keys?.public_key.hash)).collect()
}

/// Has a set made and registers it as soon as the ledger has a guarded study, and whenever a role was drawn with the last one.
pub(super) async fn register(studies: Arc<Studies>) {
    let replica = &studies.replica;
    loop {
        tokio::time::sleep(LOOK).await;
        let drawn = replica.chain.read(|state| drawn(state, &replica.hospital)).unwrap_or_default();
        match studies.vault.complete_guard_keys(drawn).await {
            Ok(0) => {}
            Ok(sets) => info!(sets, "keys for guarded rounds were missing and are made again"),
            Err(error) => {
                warn!(%error, "keys for guarded rounds are missing and cannot be made again");
                tokio::time::sleep(RETRY).await;
                continue;
            }
        }
        let kept = studies.vault.guard_keys();
        let seen = replica.chain.read(|state| {
            let guarded = state.studies().any(|study| study.proposal.spec.protection == Protection::Guarded);
            let registered = state.guard_keys(&replica.hospital);
            let is_ready = registered.and_then(|registered| registered.free()).is_some_and(|free| kept.contains(free));
            if is_ready || (!guarded && registered.is_none()) {
                return None;
            }
            Some(kept.iter().find(|set| use_of(state, &replica.hospital, set) == Use::Free).cloned())
        });
        // A ledger that cannot be read has been reported where it failed.
        let Ok(Some(free)) = seen else { continue };
        let keys = match free {
            Some(keys) => keys,
            None => match studies.vault.make_guard_keys().await {
                Ok(keys) => keys,
                Err(error) => {
                    warn!(%error, "the keys for guarded studies cannot be made");
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
            },
        };
        let sealing_key = keys.sealing_key;
        match submit::own(replica, Payload::RegisterGuardKeys(keys)).await {
            Ok(_) => info!("keys for a guarded round are registered on the ledger"),
            Err(error) => {
                // What the ledger does not take now it never takes: another member may have registered the same hashes.
                if matches!(&error, SubmitError::Rejected(Rejection::GuardKeys)) {
                    let forgotten = studies.vault.forget_guard_set(&sealing_key);
                    let _ = forgotten.inspect_err(|error| warn!(%error, "keys that cannot be used are still there"));
                }
                warn!(%error, "the keys for guarded studies are not registered yet");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}
