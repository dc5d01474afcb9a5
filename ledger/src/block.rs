//! Blocks: what one height of the ledger adds, and the hash that names it.
//!
//! | part | bytes (borsh) |
//! |---|---|
//! | chain id | length as `u32` little-endian, then UTF-8 |
//! | height, time | `u64` little-endian each |
//! | proposer | 32 |
//! | parent, app hash, txs | 32 each |
//! | transactions (not part of the header) | count as `u32` little-endian, then each |

use borsh::{BorshDeserialize, BorshSerialize};
use consilium_protocol::hash::tagged;
use consilium_protocol::ids::{AppHash, BlockHash, ContentHash, Height, HospitalId, LedgerId, Timestamp, TxHash};
use consilium_protocol::tx::{MAX_TX_BYTES, SignedTx};

/// The most bytes that an encoded block may have.
pub const MAX_BLOCK_BYTES: usize = 4 * 1024 * 1024;

/// Room for the header and the transaction count within [`MAX_BLOCK_BYTES`]; transactions share the rest.
pub const HEADER_RESERVE_BYTES: usize = 1024;

const HEADER_LABEL: &str = "consilium/block/v1";
const TXS_LABEL: &str = "consilium/block-txs/v1";

/// Why a block is not, or cannot be, the next one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockFault {
    /// The encoding has more than [`MAX_BLOCK_BYTES`] bytes.
    #[error("the block has {bytes} bytes, more than the {max} allowed; its proposer runs a faulty node", max = MAX_BLOCK_BYTES)]
    TooLarge {
        /// How many bytes it has.
        bytes: usize,
    },
    /// The bytes are not the one encoding of a block.
    #[error("the bytes are not a block; fetch it again from another member")]
    Encoding,
    /// The header names other transactions than follow.
    #[error("the header names other transactions than the block carries; fetch it again from another member")]
    TxsHash,
    /// A transaction is longer than [`MAX_TX_BYTES`].
    #[error("transaction {index} is too long; its proposer runs a faulty node")]
    TxTooLarge {
        /// Its position in the block.
        index: usize,
    },
    /// A transaction's signature does not verify.
    #[error("transaction {index} is not signed by its signer; its proposer runs a faulty node")]
    TxSignature {
        /// Its position in the block.
        index: usize,
    },
    /// The block is of another ledger.
    #[error("the block is of another consortium's ledger; check the configured genesis file and peers")]
    Chain,
    /// The block is of another height than the next.
    #[error("the block has height {found}, the next is {expected}; let the node catch up")]
    Height {
        /// The next height.
        expected: Height,
        /// The height that the block has.
        found: Height,
    },
    /// The block follows another block than this node's last.
    #[error("the block follows {found}, this node's last block is {expected}; compare both nodes' ledgers by `audit`")]
    Parent {
        /// The last block's hash.
        expected: BlockHash,
        /// The parent that the block names.
        found: BlockHash,
    },
    /// The proposer's state after the parent differs from this node's.
    #[error(
        "the block was made on a state {found}, this node's is {expected}; compare both nodes' versions and ledgers"
    )]
    AppHash {
        /// This node's application hash after the parent.
        expected: AppHash,
        /// The application hash that the block names.
        found: AppHash,
    },
    /// The block's time is not after its parent's.
    #[error("the block's time {found} is not after its parent's {parent}; check the proposer's clock")]
    TimeNotLater {
        /// The parent's time.
        parent: Timestamp,
        /// The block's time.
        found: Timestamp,
    },
    /// The block's time is too far ahead of this node's clock.
    #[error("the block's time {found} is more than {skew_ms} ms ahead of this node's clock; check both clocks (NTP)")]
    TimeTooEarly {
        /// The block's time.
        found: Timestamp,
        /// How far ahead is accepted.
        skew_ms: u64,
    },
    /// The header's proposer is no member at this height.
    #[error("the block's proposer is not a member at its height; its sender runs a faulty node")]
    Proposer,
}

/// What a block says about itself; its hash is the block's name, and what members sign.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Header {
    /// The ledger that the block belongs to.
    pub ledger_id: LedgerId,
    /// The block's position; the first is 1.
    pub height: Height,
    /// The time that its transactions are judged by.
    pub time: Timestamp,
    /// Who made it.
    pub proposer: HospitalId,
    /// The block before it; of height 1, the genesis file's hash.
    pub parent: BlockHash,
    /// The application hash after the parent.
    pub app_hash: AppHash,
    /// The digest of the transactions' hashes, in their order.
    pub txs: ContentHash,
}

impl Header {
    /// The block's name: SHA-256, labelled `consilium/block/v1`, of the header's borsh encoding.
    pub fn hash(&self) -> BlockHash {
        let mut bytes = Vec::with_capacity(256);
        self.serialize(&mut bytes).expect("writing to memory cannot fail");
        BlockHash::from_bytes(tagged(HEADER_LABEL, &[&bytes]))
    }
}

/// A header and the transactions that it names.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Block {
    /// What the block says about itself.
    pub header: Header,
    /// Its transactions, in the order in which they apply.
    pub txs: Vec<SignedTx>,
}

impl Block {
    /// The digest of some transactions' hashes, in order, as [`Header::txs`] holds it.
    pub fn txs_hash<'a>(txs: impl IntoIterator<Item = &'a SignedTx>) -> ContentHash {
        let hashes: Vec<TxHash> = txs.into_iter().map(SignedTx::hash).collect();
        let parts: Vec<&[u8]> = hashes.iter().map(|hash| hash.as_bytes().as_slice()).collect();
        ContentHash::from_bytes(tagged(TXS_LABEL, &parts))
    }

    /// The block's name.
    pub fn hash(&self) -> BlockHash {
        self.header.hash()
    }

    /// The block's only encoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_RESERVE_BYTES);
        self.serialize(&mut bytes).expect("writing to memory cannot fail");
        bytes
    }

    /// Reads a block: at most [`MAX_BLOCK_BYTES`], nothing after it, every transaction within
    /// [`MAX_TX_BYTES`], and the header's `txs` the digest of what follows. Whether it fits the ledger is not asked.
    ///
    /// # Errors
    /// The first [`BlockFault`] found.
    pub fn decode(bytes: &[u8]) -> Result<Self, BlockFault> {
        if bytes.len() > MAX_BLOCK_BYTES {
            return Err(BlockFault::TooLarge { bytes: bytes.len() });
        }
        let block = Self::try_from_slice(bytes).map_err(|_| BlockFault::Encoding)?;
        if let Some(index) = block.txs.iter().position(|tx| tx.encoded_len() > MAX_TX_BYTES) {
            return Err(BlockFault::TxTooLarge { index });
        }
        if Self::txs_hash(&block.txs) != block.header.txs {
            return Err(BlockFault::TxsHash);
        }
        Ok(block)
    }
}

#[cfg(test)]
#[path = "block_tests.rs"]
mod tests;
