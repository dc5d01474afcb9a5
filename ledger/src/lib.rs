//! What a consortium agreed on, and how its members come to agree.
//!
//! A hospital's node hands transactions to [`mempool`]. [`consensus`] puts them into a [`block`] that more than two
//! thirds of all voting power sign; what they signed is the block's [`certificate`], which anyone with the members'
//! public keys can check. The block is then given to the state machine, which is a pure function of the blocks so far:
//! [`apply`] changes the [`state`], and says what came of it by [`event`]s and [`rejection`]s. [`store::Chain`] keeps
//! blocks and state on disk; [`export`] makes a file of them, which an [`audit`] replays with public keys alone.
//!
//! Start at [`consensus::application::Application`]: it is all that consensus knows of the rest.

pub mod apply;
pub mod audit;
pub mod block;
pub mod certificate;
pub mod consensus;
pub mod event;
pub mod export;
pub mod mempool;
pub mod rejection;
pub mod signatures;
pub mod state;
pub mod store;

// The test fixture is shared with benches, which see this crate from outside.
#[cfg(test)]
extern crate self as consilium_ledger;
#[cfg(test)]
mod testing;
