//! A hospital's part in studies: from what the ledger says to what the vault is asked, and back onto the ledger.
//!
//! ```text
//!  every block ──► duties (pure) ──► driver ──► task ──► vault
//!                                      │                   │ encrypted, sealed
//!                                      │        rounds ◄───┘ on disk, once
//!                                      ▼          │
//!                              slots: when it may leave ──► replica: commit, attest, release
//! ```
//!
//! The [`driver`] looks at the ledger after every block and does what the hospital owes: opens rounds, contributes,
//! adds up, attests, releases; and in a guarded study, where it has a role, seals or discloses ([`guarded`]). What has served
//! is deleted ([`forget`]). What it
//! owes is a pure function of the ledger ([`duties`]); what it cannot do is said on the board ([`failing`]), and whose fault that is,
//! where it is another hospital's, on the ledger ([`blame`]).

mod attempt;
pub mod blame;
mod contribution;
mod driver;
mod duties;
mod error;
mod examine;
pub mod failing;
mod forget;
mod guard_keys;
mod guarded;
mod pairs;
mod rounds;
mod slots;
mod sum;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::home::FileError;
use crate::replica::Replica;
use crate::vault::Vault;
use failing::Board;
use pairs::PairFiles;
pub use rounds::{Piece, Rounds};

/// A hospital's part in studies.
pub struct Studies {
    /// The ledger, and the way to others.
    pub replica: Arc<Replica>,
    /// What computes.
    pub vault: Arc<Vault>,
    /// What is on disk.
    pub kept: Kept,
    /// What became of it.
    pub counters: Counters,
    /// Whose turn it is to compute a contribution.
    pub turn: contribution::Turn,
}

/// What a hospital keeps of studies on disk, beside the vault's own memory.
#[derive(Debug)]
pub struct Kept {
    /// What it made in rounds.
    pub rounds: Rounds,
    /// What it cannot do.
    pub failing: Board,
    /// What hospitals encapsulated to each other.
    pub pairs: PairFiles,
}

impl Kept {
    /// Opens what is kept in a home.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open(home: &Path) -> Result<Self, FileError> {
        Ok(Self {
            rounds: Rounds::open(home.join("rounds"))?,
            failing: Board::open(home)?,
            pairs: PairFiles::open(home.join("pairs"))?,
        })
    }
}

/// What became of contributions since the node started.
#[derive(Debug, Default)]
pub struct Counters {
    /// Contributions made.
    pub contributions: AtomicU64,
    /// Contributions that failed, whatever the reason.
    pub failures: AtomicU64,
    /// Contributions of others that were not what they had committed to.
    pub forged: AtomicU64,
}

/// Does the hospital's part, until dropped.
pub async fn run(studies: Arc<Studies>) {
    tokio::join!(guard_keys::register(studies.clone()), forget::run(studies.clone()), driver::run(studies));
}
