//! The ledger on disk and in memory: what a node keeps.
//!
//! [`Chain`] is a handle that threads share. The state is held in memory, where everything reads it; every block is on
//! disk, with all that it changed, before anyone sees what it changed.

mod application;
mod disk;
mod error;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use consilium_protocol::genesis::Genesis;
use consilium_protocol::ids::{AppHash, BlockHash, Height, LedgerId, Timestamp, TxHash};
use consilium_protocol::tx::{MAX_TX_BYTES, SignedTx, signing_message};
use tokio::sync::broadcast;

pub use disk::{FORMAT, StoredResult};
pub use error::ChainError;

use crate::apply::{Outcome, apply_tx, apply_unsettled, begin, check_envelope};
use crate::block::{Block, BlockFault, MAX_BLOCK_BYTES};
use crate::certificate::Certificate;
use crate::event::Event;
use crate::signatures::{Remembering, Signatures};
use crate::state::{Moment, State};
use disk::Disk;

/// How many blocks a slow subscriber may fall behind before it misses some.
const SUBSCRIBER_LAG_BLOCKS: usize = 1_024;

/// A committed block, as subscribers are told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its height.
    pub height: Height,
    /// Its time.
    pub time: Timestamp,
    /// Its name.
    pub block: BlockHash,
    /// The application hash after it.
    pub app_hash: AppHash,
    /// What it changed, in order.
    pub events: Vec<Event>,
    /// What came of its transactions, in order.
    pub outcomes: Vec<(TxHash, Outcome)>,
}

/// A node's ledger. Cheap to clone; all clones are the same ledger.
#[derive(Clone)]
pub struct Chain(Arc<Inner>);

struct Inner {
    ledger_id: LedgerId,
    state: RwLock<State>,
    disk: Disk,
    signatures: Remembering,
    committed: broadcast::Sender<Arc<Committed>>,
    /// Why nothing is read or written any more.
    poison: Mutex<Option<String>>,
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Chain({})", self.0.ledger_id)
    }
}

impl Chain {
    /// Opens the ledger of this genesis file at `path`, or founds it there, and loads its state.
    ///
    /// # Errors
    /// [`ChainError`] when the file is in use, foreign, of another ledger or version, or damaged. It is left as it was.
    pub fn open(path: &Path, genesis: &Genesis) -> Result<Self, ChainError> {
        let mut state = State::new(genesis);
        let disk = Disk::open(path, &state)?;
        disk.load(&mut state)?;
        let (committed, _) = broadcast::channel(SUBSCRIBER_LAG_BLOCKS);
        Ok(Self(Arc::new(Inner {
            ledger_id: genesis.ledger(),
            state: RwLock::new(state),
            disk,
            signatures: Remembering::default(),
            committed,
            poison: Mutex::new(None),
        })))
    }

    /// Reads the state after the last block. Keep it short: blocks wait.
    ///
    /// # Errors
    /// [`ChainError::Poisoned`].
    pub fn read<R>(&self, read: impl FnOnce(&State) -> R) -> Result<R, ChainError> {
        self.alive()?;
        Ok(read(&self.state()))
    }

    /// What would come of the transaction in a block made at `now` on top of the last one; for transactions that
    /// arrive.
    ///
    /// # Errors
    /// [`ChainError::Poisoned`].
    pub fn check_tx(&self, tx: &SignedTx, now: Timestamp) -> Result<Outcome, ChainError> {
        self.alive()?;
        let mut state = self.state_mut();
        let moment = next_moment(&state, now);
        let mut events = Vec::new();
        begin(&mut state, moment, &mut events);
        let outcome = apply_tx(&mut state, tx, tx.hash(), moment, &self.0.signatures, &mut events);
        state.roll_back();
        Ok(outcome)
    }

    /// As [`Self::check_tx`], but only by form, signature, sequence number, expiry and signer: for transactions that
    /// another member has let in, and that may build on others that still wait.
    ///
    /// # Errors
    /// [`ChainError::Poisoned`].
    pub fn check_envelope(&self, tx: &SignedTx, now: Timestamp) -> Result<Outcome, ChainError> {
        self.alive()?;
        let state = self.state();
        Ok(check_envelope(&state, tx, next_moment(&state, now), &self.0.signatures))
    }

    /// Adds a block from elsewhere, if it is the next one and the certificate proves it.
    ///
    /// # Errors
    /// [`ChainError::Block`], [`ChainError::Certificate`] and [`ChainError::OtherCertificate`] leave the ledger as it
    /// was; a storage error closes it.
    pub fn append(&self, block: &Block, certificate: &Certificate) -> Result<Arc<Committed>, ChainError> {
        self.alive()?;
        let validators = self.state().validators().to_vec();
        certificate.verify(&self.0.ledger_id, &validators)?;
        self.store(block, certificate)
    }

    /// Adds a block whose certificate was verified.
    fn store(&self, block: &Block, certificate: &Certificate) -> Result<Arc<Committed>, ChainError> {
        self.alive()?;
        let mut state = self.state_mut();
        check_block(&state, block, &self.0.signatures)?;
        if certificate.block != block.hash() || certificate.height != block.header.height {
            return Err(ChainError::OtherCertificate { height: block.header.height });
        }
        let (head, result) = apply_unsettled(&mut state, block, &self.0.signatures);
        if let Err(error) = self.0.disk.write(block, certificate, &head, &result) {
            state.roll_back();
            return Err(self.poisoned_by(error));
        }
        state.settle(head);
        let committed = Arc::new(Committed {
            height: head.moment.height,
            time: head.moment.time,
            block: head.block,
            app_hash: head.app_hash,
            events: result.events,
            outcomes: result.outcomes,
        });
        // Under the lock, so that subscribers hear of blocks in their order. Nobody listening is no error.
        let _ = self.0.committed.send(Arc::clone(&committed));
        Ok(committed)
    }

    /// Tells of every block committed from now on. A subscriber that falls too far behind is told so, and should read
    /// the state instead.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Committed>> {
        self.0.committed.subscribe()
    }

    /// A committed block and its certificate.
    ///
    /// # Errors
    /// [`ChainError`] when the disk fails.
    pub fn block(&self, height: Height) -> Result<Option<(Block, Certificate)>, ChainError> {
        self.on_disk(|disk| disk.decided(height))
    }

    /// What a committed block changed, and the application hash after it.
    ///
    /// # Errors
    /// [`ChainError`] when the disk fails.
    pub fn result(&self, height: Height) -> Result<Option<StoredResult>, ChainError> {
        self.on_disk(|disk| disk.result(height))
    }

    /// In which block a transaction stands, and what came of it.
    ///
    /// # Errors
    /// [`ChainError`] when the disk fails.
    pub fn outcome(&self, hash: &TxHash) -> Result<Option<(Height, Outcome)>, ChainError> {
        self.on_disk(|disk| disk.outcome(hash))
    }

    /// The length of the ledger's file.
    ///
    /// # Errors
    /// [`ChainError`] when the disk fails.
    pub fn file_bytes(&self) -> Result<u64, ChainError> {
        self.on_disk(Disk::file_bytes)
    }

    fn on_disk<R>(&self, read: impl FnOnce(&Disk) -> Result<R, ChainError>) -> Result<R, ChainError> {
        self.alive()?;
        read(&self.0.disk).map_err(|error| self.poisoned_by(error))
    }

    fn alive(&self) -> Result<(), ChainError> {
        let poison = self.0.poison.lock().unwrap_or_else(PoisonError::into_inner);
        match poison.as_ref() {
            Some(reason) => Err(ChainError::Poisoned(reason.clone())),
            None => Ok(()),
        }
    }

    /// Closes the ledger for good: after a failed write nobody knows what the disk holds.
    fn poisoned_by(&self, error: ChainError) -> ChainError {
        let mut poison = self.0.poison.lock().unwrap_or_else(PoisonError::into_inner);
        poison.get_or_insert_with(|| error.to_string());
        error
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        if let Ok(guard) = self.0.state.read() {
            return guard;
        }
        drop(self.state_mut());
        self.0.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.0.state.write().unwrap_or_else(|panicked| {
            // Whoever panicked under the lock left changes that no block made.
            let mut guard = panicked.into_inner();
            guard.roll_back();
            self.0.state.clear_poison();
            guard
        })
    }
}

/// The block after the last one, made at `now`, or just after the last one where `now` is behind.
fn next_moment(state: &State, now: Timestamp) -> Moment {
    let height = state.height().next().unwrap_or(state.height());
    Moment { height, time: now.max(state.time().plus_millis(1)) }
}

/// Whether the block may follow: see [`crate::consensus::application::Application::check`].
pub(crate) fn check_block(state: &State, block: &Block, signatures: &dyn Signatures) -> Result<(), BlockFault> {
    let (header, head) = (&block.header, state.head());
    if header.ledger_id != *state.ledger_id() {
        return Err(BlockFault::Chain);
    }
    let expected = head.moment.height.next().unwrap_or(head.moment.height);
    if header.height != expected || expected == head.moment.height {
        return Err(BlockFault::Height { expected, found: header.height });
    }
    if header.parent != head.block {
        return Err(BlockFault::Parent { expected: head.block, found: header.parent });
    }
    if header.app_hash != head.app_hash {
        return Err(BlockFault::AppHash { expected: head.app_hash, found: header.app_hash });
    }
    if header.time <= head.moment.time {
        return Err(BlockFault::TimeNotLater { parent: head.moment.time, found: header.time });
    }
    if !state.is_member(&header.proposer) {
        return Err(BlockFault::Proposer);
    }
    let bytes = borsh::object_length(block).unwrap_or(usize::MAX);
    if bytes > MAX_BLOCK_BYTES {
        return Err(BlockFault::TooLarge { bytes });
    }
    if Block::txs_hash(&block.txs) != header.txs {
        return Err(BlockFault::TxsHash);
    }
    for (index, tx) in block.txs.iter().enumerate() {
        if tx.encoded_len() > MAX_TX_BYTES {
            return Err(BlockFault::TxTooLarge { index });
        }
        let message = signing_message(state.ledger_id(), &tx.body);
        if !signatures.verifies(tx.signer.public_key(), &message, &tx.signature) {
            return Err(BlockFault::TxSignature { index });
        }
    }
    Ok(())
}
