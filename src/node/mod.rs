//! A hospital's node: the ledger's replica, the services around it, and the hospital's part in studies.
//!
//! ```text
//!  people's programs ──TLS──┐            ┌── consensus (malachite) ──┐
//!                           ├─ services ─┤                           ├── chain (redb)
//!  other members ──mTLS─────┘            └── mempool ◄─ gossip ──────┘      │ every block
//!                                                                           ▼
//!                                        rounds on disk ◄── driver ──► vault (tables, keys)
//! ```
//!
//! The [`driver`] looks at the ledger after every block and does what the hospital owes: opens rounds, contributes,
//! adds up, attests, releases; and in a guarded study, where it has a role, seals or discloses ([`guarded`]). What it
//! owes is a pure function of the ledger ([`duties`]); the vault computes.

mod cohorts;
mod driver;
mod duties;
pub mod failing;
mod guard_keys;
mod guarded;
mod health;
mod metrics;
mod peers;
mod rounds;
mod services;
mod start;
mod submit;
mod tables;
mod vault;

use consilium_ledger::consensus::ConsensusHandle;
use consilium_ledger::store::Chain;
use consilium_protocol::genesis::Genesis;
use consilium_protocol::ids::HospitalId;

pub use rounds::MAX_CIPHERTEXT_BYTES;
pub use start::{NodeError, run};
pub(crate) use vault::{for_steward, own_policy_allows};

/// What the parts of a node share.
struct Shared {
    hospital: HospitalId,
    genesis: Genesis,
    genesis_toml: String,
    chain: Chain,
    consensus: ConsensusHandle,
    peers: peers::Peers,
    submitted: submit::Submissions,
    rounds: rounds::Rounds,
    guard_keys: guard_keys::GuardKeyring,
    counters: metrics::Counters,
    failing: failing::Board,
}

/// Checks that configuration, keys and genesis file of a home fit together, and that nothing that its node must remember
/// is lost.
///
/// # Errors
/// [`NodeError`]: the first thing that does not fit.
pub fn check(home: &crate::home::Home) -> Result<(), NodeError> {
    start::Setup::read(home)?;
    start::check_memories(home)
}

/// Writes a signer's file that signs nothing up to a height, in place of a lost or damaged one.
///
/// # Errors
/// [`NodeError`] when the home does not fit together or the file cannot be written.
pub fn renew_signer(home: &crate::home::Home, through: consilium_protocol::ids::Height) -> Result<(), NodeError> {
    start::Setup::read(home)?.renew_signer(home, through)
}
