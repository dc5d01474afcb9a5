//! Transactions that wait for a block: bounded, deduplicated, in the order of their arrival.
//!
//! [`Mempool`] is a plain data structure; [`SharedMempool`] is the handle that consensus and the node's services
//! share, and that wakes consensus when something arrives.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use consilium_protocol::ids::{Height, TxHash};
use consilium_protocol::tx::{MAX_TX_BYTES, SignedTx, Signer};
use tokio::sync::Notify;

/// How many blocks with room to spare may pass a transaction by before it no longer hastens the next block.
const STALE_AFTER_PASSES: u32 = 16;
/// How many such blocks may pass it by before it is dropped: no proposer's state accepts it.
const DROP_AFTER_PASSES: u32 = 256;
/// How many hashes of committed transactions are remembered, so that a late copy is refused.
const REMEMBERED_HASHES: usize = 16_384;

/// How much may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MempoolLimits {
    /// Transactions in all.
    pub txs: usize,
    /// Encoded bytes in all.
    pub bytes: usize,
    /// Transactions of one signer, so that one cannot crowd out the others.
    pub txs_per_signer: usize,
}

impl Default for MempoolLimits {
    fn default() -> Self {
        Self { txs: 20_000, bytes: 64 * 1024 * 1024, txs_per_signer: 4_096 }
    }
}

/// Why a transaction was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// As many transactions, or bytes, wait as may.
    #[error("too many transactions wait already; send it again in a few seconds")]
    Full,
    /// As many transactions of this signer wait as may.
    #[error("too many transactions of this signer wait already; send it again when some are in a block")]
    SignerFull,
    /// The transaction is longer than [`MAX_TX_BYTES`].
    #[error("the transaction has {bytes} bytes, at most {max} are allowed; split it", max = MAX_TX_BYTES)]
    TooLarge {
        /// How many bytes it has.
        bytes: usize,
    },
    /// The transaction waits already.
    #[error("the transaction waits already; ask for its state by its hash")]
    Duplicate,
    /// The transaction was in a block already.
    #[error("the transaction is in a block already; ask for its result by its hash")]
    Included,
    /// The transaction's expiry height has passed.
    #[error("the transaction expired at height {expires}; sign it again with a later expiry")]
    Expired {
        /// The last height that could include it.
        expires: Height,
    },
}

#[derive(Debug)]
struct Waiting {
    tx: SignedTx,
    hash: TxHash,
    bytes: usize,
    expires: Height,
    passes: u32,
}

/// The transactions that wait. No clock, no task: heights are told by [`Self::committed`].
#[derive(Debug)]
pub struct Mempool {
    limits: MempoolLimits,
    height: Height,
    arrivals: u64,
    waiting: BTreeMap<u64, Waiting>,
    positions: HashMap<TxHash, u64>,
    per_signer: HashMap<Signer, usize>,
    bytes: usize,
    included: HashSet<TxHash>,
    included_order: VecDeque<TxHash>,
}

impl Mempool {
    /// An empty one, at the height of the last committed block.
    pub fn new(limits: MempoolLimits, height: Height) -> Self {
        Self {
            limits,
            height,
            arrivals: 0,
            waiting: BTreeMap::new(),
            positions: HashMap::new(),
            per_signer: HashMap::new(),
            bytes: 0,
            included: HashSet::new(),
            included_order: VecDeque::new(),
        }
    }

    /// Takes a transaction that may be included up to height `expires`. Its signature is the caller's to check.
    ///
    /// # Errors
    /// A [`Refusal`]; nothing changes then.
    pub fn insert(&mut self, tx: SignedTx, expires: Height) -> Result<TxHash, Refusal> {
        let bytes = tx.encoded_len();
        if bytes > MAX_TX_BYTES {
            return Err(Refusal::TooLarge { bytes });
        }
        if expires <= self.height {
            return Err(Refusal::Expired { expires });
        }
        let hash = tx.hash();
        if self.positions.contains_key(&hash) {
            return Err(Refusal::Duplicate);
        }
        if self.included.contains(&hash) {
            return Err(Refusal::Included);
        }
        if self.waiting.len() >= self.limits.txs || self.bytes + bytes > self.limits.bytes {
            return Err(Refusal::Full);
        }
        let of_signer = self.per_signer.entry(tx.signer).or_insert(0);
        if *of_signer >= self.limits.txs_per_signer {
            return Err(Refusal::SignerFull);
        }
        *of_signer += 1;
        self.bytes += bytes;
        self.positions.insert(hash, self.arrivals);
        self.waiting.insert(self.arrivals, Waiting { tx, hash, bytes, expires, passes: 0 });
        self.arrivals += 1;
        Ok(hash)
    }

    /// The first transactions, in order of arrival, that fit into `bytes` together.
    pub fn batch(&self, bytes: usize) -> Vec<SignedTx> {
        let mut room = bytes;
        let mut batch = Vec::new();
        for waiting in self.waiting.values() {
            // Stops at the first that does not fit: a later one of the same signer must not overtake it.
            let Some(rest) = room.checked_sub(waiting.bytes) else { break };
            room = rest;
            batch.push(waiting.tx.clone());
        }
        batch
    }

    /// Tells that the block at `height` was committed with the transactions `included`: they leave, as does what has
    /// expired. Transactions that a block `with_room` passed by count as passed.
    pub fn committed(&mut self, height: Height, included: &[TxHash], with_room: bool) {
        self.height = height;
        for hash in included {
            if let Some(position) = self.positions.get(hash).copied() {
                self.remove(position);
            }
            self.remember(*hash);
        }
        let mut gone = Vec::new();
        for (position, waiting) in &mut self.waiting {
            if with_room {
                waiting.passes += 1;
            }
            if waiting.expires <= height || waiting.passes > DROP_AFTER_PASSES {
                gone.push(*position);
            }
        }
        for position in gone {
            self.remove(position);
        }
    }

    /// Whether something waits that a next block is likely to include.
    pub fn hastens(&self) -> bool {
        self.waiting.values().any(|waiting| waiting.passes < STALE_AFTER_PASSES)
    }

    /// Whether the transaction waits.
    pub fn contains(&self, hash: &TxHash) -> bool {
        self.positions.contains_key(hash)
    }

    /// How many transactions wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many encoded bytes wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn remove(&mut self, position: u64) {
        let Some(waiting) = self.waiting.remove(&position) else { return };
        self.positions.remove(&waiting.hash);
        self.bytes -= waiting.bytes;
        if let Some(of_signer) = self.per_signer.get_mut(&waiting.tx.signer) {
            *of_signer -= 1;
            if *of_signer == 0 {
                self.per_signer.remove(&waiting.tx.signer);
            }
        }
    }

    fn remember(&mut self, hash: TxHash) {
        if self.included.insert(hash) {
            self.included_order.push_back(hash);
        }
        if self.included_order.len() > REMEMBERED_HASHES
            && let Some(oldest) = self.included_order.pop_front()
        {
            self.included.remove(&oldest);
        }
    }
}

/// A mempool that several tasks share.
#[derive(Debug, Clone)]
pub struct SharedMempool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    mempool: Mutex<Mempool>,
    arrived: Notify,
}

impl SharedMempool {
    /// Shares a mempool.
    pub fn new(mempool: Mempool) -> Self {
        Self(Arc::new(Shared { mempool: Mutex::new(mempool), arrived: Notify::new() }))
    }

    /// As [`Mempool::insert`]; wakes consensus.
    ///
    /// # Errors
    /// A [`Refusal`]; nothing changes then.
    pub fn insert(&self, tx: SignedTx, expires: Height) -> Result<TxHash, Refusal> {
        let hash = self.lock().insert(tx, expires)?;
        self.0.arrived.notify_one();
        Ok(hash)
    }

    /// Looks at the mempool; do not hold on to it.
    pub fn lock(&self) -> MutexGuard<'_, Mempool> {
        // Every change is complete before anything that could panic: a poisoned lock is still consistent.
        self.0.mempool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a transaction arrived since the last call. For one waiter only: consensus.
    pub(crate) async fn arrived(&self) {
        self.0.arrived.notified().await;
    }
}

#[cfg(test)]
#[path = "mempool_tests.rs"]
mod tests;
