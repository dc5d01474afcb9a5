//! What consensus asks of the ledger that it decides blocks for.

use consilium_protocol::ids::{Height, HospitalId, LedgerId, Timestamp};
use consilium_protocol::tx::SignedTx;

use crate::block::{Block, BlockFault};
use crate::certificate::{Certificate, Validator};

/// The ledger could not do what consensus asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplicationError {
    /// The store could not be read or written. The node stops deciding blocks: what it acknowledged stays, and
    /// nothing further is signed on top of a state that may not be on disk.
    #[error("the ledger's store failed ({0}); check the disk's free space and health, then start the node again")]
    Storage(String),
    /// A decided block does not fit the state of this node, although more than two thirds of the voting power
    /// signed it: this node's state differs from theirs.
    #[error(
        "block {height} was decided but does not fit this node's state ({fault}); stop this node, keep its \
             directory, and restore from another member's export"
    )]
    Diverged {
        /// The height of the block.
        height: Height,
        /// Why it does not fit.
        fault: BlockFault,
    },
}

/// The ledger as consensus sees it: it builds blocks, checks them, and keeps them.
///
/// Every method may read the disk; consensus calls them outside its own tasks' threads where they may block.
/// [`check`](Self::check) and [`commit`](Self::commit) must be deterministic functions of the blocks so far.
pub trait Application: Send + Sync + 'static {
    /// The ledger that this is.
    fn ledger_id(&self) -> &LedgerId;

    /// The height of the last committed block; 0 when only the genesis file is known.
    fn height(&self) -> Height;

    /// The lowest height whose block can still be given to others, 1 unless old blocks were removed.
    fn min_height(&self) -> Height;

    /// Who signs the block at `height`. Known for every height up to one above the last committed block;
    /// empty for others.
    fn validators(&self, height: Height) -> Vec<Validator>;

    /// The next block, out of `txs` in their order, leaving out those that would be rejected or do not fit.
    /// Its time is `now`, or just after its parent's time where the clock is behind.
    ///
    /// # Errors
    /// [`ApplicationError::Storage`] when the store cannot be read.
    fn build(&self, proposer: HospitalId, now: Timestamp, txs: Vec<SignedTx>) -> Result<Block, ApplicationError>;

    /// Whether the block may be the next one: chain, height, parent, application hash, a time after its parent's,
    /// transactions' sizes and signatures. The same answer on every member; no clock is read.
    ///
    /// # Errors
    /// The first fault found.
    fn check(&self, block: &Block) -> Result<(), BlockFault>;

    /// Applies and stores the next block and its certificate, in one transaction. After an error nothing of it is
    /// stored, and consensus halts.
    ///
    /// # Errors
    /// [`ApplicationError`]; the node halts with its message.
    fn commit(&self, block: &Block, certificate: &Certificate) -> Result<(), ApplicationError>;

    /// A committed block and its certificate, for members that catch up; `None` when it is not (or no longer) kept.
    ///
    /// # Errors
    /// [`ApplicationError::Storage`] when the store cannot be read.
    fn decided(&self, height: Height) -> Result<Option<(Block, Certificate)>, ApplicationError>;
}
