//! A ledger in memory, as simple as one can be that consensus can run on.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use consilium_ledger::block::{Block, BlockFault, Header};
use consilium_ledger::certificate::{Certificate, Validator};
use consilium_ledger::consensus::application::{Application, ApplicationError};
use consilium_protocol::hash::tagged;
use consilium_protocol::ids::{AppHash, BlockHash, Height, HospitalId, LedgerId, Timestamp};
use consilium_protocol::tx::SignedTx;

/// Blocks in a list; the application hash is over the hashes of all blocks.
pub(super) struct MemoryLedger {
    ledger_id: LedgerId,
    validators: Vec<Validator>,
    blocks: Mutex<Vec<(Block, Certificate)>>,
    /// Whether the next commit fails, as a full disk would make it.
    pub(super) full_disk: AtomicBool,
}

impl MemoryLedger {
    /// An empty ledger.
    pub(super) fn new(ledger_id: LedgerId, validators: Vec<Validator>) -> Self {
        Self { ledger_id, validators, blocks: Mutex::new(Vec::new()), full_disk: AtomicBool::new(false) }
    }

    /// All blocks, from height 1.
    pub(super) fn blocks(&self) -> Vec<(Block, Certificate)> {
        self.blocks.lock().expect("no panic while held").clone()
    }

    fn tip(&self) -> (Height, BlockHash, Timestamp, AppHash) {
        let blocks = self.blocks.lock().expect("no panic while held");
        let hashes: Vec<BlockHash> = blocks.iter().map(|(block, _)| block.hash()).collect();
        let parts: Vec<&[u8]> = hashes.iter().map(|hash| hash.as_bytes().as_slice()).collect();
        let app_hash = AppHash::from_bytes(tagged("test/app", &parts));
        match blocks.last() {
            Some((block, _)) => (block.header.height, block.hash(), block.header.time, app_hash),
            None => (Height::new(0), BlockHash::from_bytes([0; 32]), Timestamp::new(0), app_hash),
        }
    }
}

impl Application for MemoryLedger {
    fn ledger_id(&self) -> &LedgerId {
        &self.ledger_id
    }

    fn height(&self) -> Height {
        self.tip().0
    }

    fn min_height(&self) -> Height {
        Height::new(1)
    }

    fn validators(&self, _height: Height) -> Vec<Validator> {
        self.validators.clone()
    }

    fn build(&self, proposer: HospitalId, now: Timestamp, txs: Vec<SignedTx>) -> Result<Block, ApplicationError> {
        let (height, parent, time, app_hash) = self.tip();
        let header = Header {
            ledger_id: self.ledger_id,
            height: height.next().expect("few blocks"),
            time: now.max(time.plus_millis(1)),
            proposer,
            parent,
            app_hash,
            txs: Block::txs_hash(&txs),
        };
        Ok(Block { header, txs })
    }

    fn check(&self, block: &Block) -> Result<(), BlockFault> {
        let (height, parent, time, app_hash) = self.tip();
        let header = &block.header;
        let expected = height.next().expect("few blocks");
        if header.height != expected {
            return Err(BlockFault::Height { expected, found: header.height });
        }
        if header.parent != parent {
            return Err(BlockFault::Parent { expected: parent, found: header.parent });
        }
        if header.app_hash != app_hash {
            return Err(BlockFault::AppHash { expected: app_hash, found: header.app_hash });
        }
        if header.time <= time {
            return Err(BlockFault::TimeNotLater { parent: time, found: header.time });
        }
        match block.txs.iter().position(|tx| tx.verify(&self.ledger_id).is_err()) {
            Some(index) => Err(BlockFault::TxSignature { index }),
            None => Ok(()),
        }
    }

    fn commit(&self, block: &Block, certificate: &Certificate) -> Result<(), ApplicationError> {
        if self.full_disk.load(Ordering::SeqCst) {
            return Err(ApplicationError::Storage("no space left on device".to_string()));
        }
        let height = block.header.height;
        self.check(block).map_err(|fault| ApplicationError::Diverged { height, fault })?;
        self.blocks.lock().expect("no panic while held").push((block.clone(), certificate.clone()));
        Ok(())
    }

    fn decided(&self, height: Height) -> Result<Option<(Block, Certificate)>, ApplicationError> {
        let index = height.get().checked_sub(1).and_then(|index| usize::try_from(index).ok());
        let blocks = self.blocks.lock().expect("no panic while held");
        Ok(index.and_then(|index| blocks.get(index).cloned()))
    }
}
