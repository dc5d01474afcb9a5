//! What a node knows of its own health: written by the tasks of consensus, read by whoever asks.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use consilium_protocol::ids::{Height, HospitalId, Timestamp};

/// For how long after a block that was fetched, not voted on, a node still counts as catching up.
const CATCH_UP_TAIL: Duration = Duration::from_secs(2);

/// Whether the node does its part.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Condition {
    /// It takes part, and blocks come.
    Ready,
    /// The other members are ahead; it fetches their blocks.
    CatchingUp,
    /// It takes part, but no block comes although one should.
    Stalled {
        /// What is missing, and what to do.
        reason: String,
    },
    /// It stopped, and stays stopped until it is started again.
    Halted {
        /// Why, and what to do.
        reason: String,
    },
}

/// A node's health at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Whether the node does its part.
    pub condition: Condition,
    /// The last committed height.
    pub height: Height,
    /// The time of that block; 0 when there is none.
    pub block_time: Timestamp,
    /// For how long no block was committed, by this node's clock.
    pub since_last_block: Duration,
    /// To how many other members the node is connected.
    pub peers_connected: usize,
    /// To how many it should be.
    pub peers_configured: usize,
    /// How many transactions wait.
    pub waiting_txs: usize,
    /// How often the signer refused to sign, and why it last did.
    pub refused_signatures: u64,
    /// Why the signer last refused.
    pub last_refusal: Option<String>,
}

#[derive(Debug)]
struct Facts {
    height: Height,
    block_time: Timestamp,
    since: Instant,
    fetched: Option<Instant>,
    halted: Option<String>,
    silent: Option<String>,
    unfit: Option<String>,
    peers_connected: usize,
    refused: u64,
    last_refusal: Option<String>,
    seen: BTreeMap<HospitalId, Height>,
}

/// The shared status of one node.
#[derive(Debug)]
pub(super) struct Status {
    peers_configured: usize,
    /// For how long transactions may wait without a block.
    patience: Duration,
    facts: Mutex<Facts>,
}

impl Status {
    pub(super) fn new(height: Height, block_time: Timestamp, peers_configured: usize, patience: Duration) -> Self {
        let facts = Facts {
            height,
            block_time,
            since: Instant::now(),
            fetched: None,
            halted: None,
            silent: None,
            unfit: None,
            peers_connected: 0,
            refused: 0,
            last_refusal: None,
            seen: BTreeMap::new(),
        };
        Self { peers_configured, patience, facts: Mutex::new(facts) }
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        // Plain values, each complete at any time: a poisoned lock is still consistent.
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn committed(&self, height: Height, block_time: Timestamp, fetched: bool) {
        let mut facts = self.facts();
        let now = Instant::now();
        facts.height = height;
        facts.block_time = block_time;
        facts.since = now;
        facts.fetched = fetched.then_some(now);
        facts.unfit = None;
    }

    /// The first reason stays: what follows a halt is its consequence.
    pub(super) fn halt(&self, reason: String) {
        tracing::error!(%reason, "consensus halted");
        self.facts().halted.get_or_insert(reason);
    }

    /// Whether malachite answers; it may again.
    pub(super) fn silent(&self, reason: Option<String>) {
        self.facts().silent = reason;
    }

    /// A fetched block does not fit this node's state.
    pub(super) fn unfit(&self, reason: String) {
        self.facts().unfit = Some(reason);
    }

    pub(super) fn peers(&self, connected: usize) {
        self.facts().peers_connected = connected;
    }

    pub(super) fn refused(&self, why: String) {
        let mut facts = self.facts();
        facts.refused += 1;
        facts.last_refusal = Some(why);
    }

    /// A member said something about `height`.
    pub(super) fn seen(&self, member: HospitalId, height: Height) {
        let mut facts = self.facts();
        let highest = facts.seen.entry(member).or_default();
        *highest = height.max(*highest);
    }

    /// Whether more than a third of the members, and so an honest one, were heard of above what is committed here.
    pub(super) fn others_started(&self) -> bool {
        let facts = self.facts();
        others_above(&facts, facts.height.get(), self.peers_configured + 1)
    }

    pub(super) fn health(&self, waiting_txs: usize, txs_hasten: bool) -> Health {
        let facts = self.facts();
        let since_last_block = facts.since.elapsed();
        Health {
            condition: self.condition(&facts, since_last_block, txs_hasten),
            height: facts.height,
            block_time: facts.block_time,
            since_last_block,
            peers_connected: facts.peers_connected,
            peers_configured: self.peers_configured,
            waiting_txs,
            refused_signatures: facts.refused,
            last_refusal: facts.last_refusal.clone(),
        }
    }

    fn condition(&self, facts: &Facts, since_last_block: Duration, txs_hasten: bool) -> Condition {
        if let Some(reason) = facts.halted.clone().or_else(|| facts.silent.clone()) {
            return Condition::Halted { reason };
        }
        let late = since_last_block > self.patience;
        if let Some(reason) = facts.unfit.clone().filter(|_| late) {
            return Condition::Halted { reason };
        }
        // One above what is committed is the height being decided.
        let next = facts.height.get().saturating_add(1);
        let fetching = facts.fetched.is_some_and(|at| at.elapsed() < CATCH_UP_TAIL);
        if fetching || others_above(facts, next, self.peers_configured + 1) {
            return Condition::CatchingUp;
        }
        let connected = facts.peers_connected + 1;
        let members = self.peers_configured + 1;
        if connected * 3 <= members * 2 {
            return Condition::Stalled {
                reason: format!(
                    "connected to {} of {} other members, more than two thirds of all are needed; \
                     check the network and the other nodes",
                    facts.peers_connected, self.peers_configured
                ),
            };
        }
        if late {
            let what = if txs_hasten { "although transactions wait" } else { "not even an empty one" };
            return Condition::Stalled {
                reason: format!(
                    "no block for {} s, {what}; see whether more than two thirds of the members' nodes run",
                    since_last_block.as_secs()
                ),
            };
        }
        Condition::Ready
    }
}

/// Whether more than a third of the members voted above `height`: at least one of them is honest.
fn others_above(facts: &Facts, height: u64, members: usize) -> bool {
    let above = facts.seen.values().filter(|seen| seen.get() > height).count();
    above * 3 > members
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(byte: u8) -> HospitalId {
        HospitalId::from_public_key([byte; 32])
    }

    fn status() -> Status {
        Status::new(Height::new(5), Timestamp::new(1), 3, Duration::from_secs(30))
    }

    #[test]
    fn one_member_alone_cannot_make_a_node_look_late() {
        let status = status();
        status.peers(3);
        status.seen(member(1), Height::new(u64::MAX));
        assert!(!status.others_started());
        assert_eq!(status.health(0, false).condition, Condition::Ready);
        status.seen(member(2), Height::new(9));
        assert!(status.others_started());
        assert_eq!(status.health(0, false).condition, Condition::CatchingUp);
        status.committed(Height::new(8), Timestamp::new(2), false);
        assert_eq!(status.health(0, false).condition, Condition::Ready);
    }

    #[test]
    fn too_few_peers_are_a_stall_and_the_first_halt_stays() {
        let status = status();
        status.peers(1);
        assert!(matches!(status.health(0, false).condition, Condition::Stalled { .. }));
        status.peers(2);
        assert_eq!(status.health(0, false).condition, Condition::Ready);
        status.silent(Some("no answer".to_string()));
        assert!(matches!(status.health(0, false).condition, Condition::Halted { .. }));
        status.silent(None);
        assert_eq!(status.health(0, false).condition, Condition::Ready);
        status.halt("disk".to_string());
        status.halt("closed".to_string());
        assert_eq!(status.health(0, false).condition, Condition::Halted { reason: "disk".to_string() });
    }
}
