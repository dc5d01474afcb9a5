//! A hospital's node: where replica, studies and vault are put together, and the services around them.
//!
//! ```text
//!  people's programs ──TLS──┐            ┌── consensus (malachite) ──┐
//!                           ├─ services ─┤                           ├── chain (redb)
//!  other members ──mTLS─────┘            └── mempool ◄─ gossip ──────┘      │ every block
//!                                                                           ▼
//!                                                           studies ──► vault (tables, keys)
//! ```
//!
//! The ledger and the way to others are [`crate::replica`]; what the hospital does for studies is [`crate::studies`]; what
//! it computes is [`crate::vault`].

mod health;
mod metrics;
mod services;
mod start;

use std::sync::Arc;

use crate::replica::Replica;
use crate::studies::Studies;

pub use start::{NodeError, run};

/// What the services of a node share.
struct Shared {
    replica: Arc<Replica>,
    studies: Arc<Studies>,
    genesis_toml: String,
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
