//! The ledger as this hospital has it, and the way to the other members.
//!
//! ```text
//!  what this hospital says ──► submit ──► mempool ──► consensus ──► chain ──► every block
//!                                │                       ▲
//!  other members ◄── peers ◄─────┘        their gossip ──┘
//! ```
//!
//! A [`Replica`] reads the chain, hands in transactions and waits for them ([`submit`]), and fetches from others what they
//! committed to ([`peers`]). It knows nothing of what a study asks, and nothing of tables.

pub mod peers;
pub mod submit;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use consilium_ledger::consensus::ConsensusHandle;
use consilium_ledger::store::Chain;
use consilium_protocol::genesis::Genesis;
use consilium_protocol::ids::{HospitalId, LedgerId};
use consilium_protocol::keys::SigningKey;
use tokio::sync::broadcast::error::RecvError;

use peers::Peers;
use submit::Submissions;

/// A member's ledger, and its way to the others.
pub struct Replica {
    /// This hospital.
    pub hospital: HospitalId,
    /// The key that it signs transactions with.
    pub key: SigningKey,
    /// The consortium.
    pub genesis: Genesis,
    /// Its ledger.
    pub ledger: LedgerId,
    /// Blocks and state.
    pub chain: Chain,
    /// What makes blocks.
    pub consensus: ConsensusHandle,
    /// The other members' nodes.
    pub peers: Peers,
    /// What waits for a block.
    pub submitted: Submissions,
    /// What came in.
    pub counters: Counters,
}

/// Transactions that came in, since the node started.
#[derive(Debug, Default)]
pub struct Counters {
    /// Handed in by people's programs, or by the node itself.
    pub submitted: AtomicU64,
    /// Of these, refused at once.
    pub refused: AtomicU64,
    /// Received from other members.
    pub gossiped: AtomicU64,
}

/// Adds one.
pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Tells those who handed in transactions what the blocks decided, until the ledger is closed.
pub async fn tell(replica: Arc<Replica>) {
    let mut blocks = replica.chain.subscribe();
    loop {
        match blocks.recv().await {
            Ok(block) => replica.submitted.committed(&block),
            // Who waited for a block that was missed asks the ledger again.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}
