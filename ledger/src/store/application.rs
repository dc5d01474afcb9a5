//! The ledger as consensus sees it.

use consilium_protocol::ids::{Height, HospitalId, LedgerId, Timestamp};
use consilium_protocol::tx::SignedTx;

use super::{Chain, ChainError, check_block, next_moment};
use crate::apply::{apply_tx, begin};
use crate::block::{Block, BlockFault, HEADER_RESERVE_BYTES, Header, MAX_BLOCK_BYTES};
use crate::certificate::{Certificate, Validator};
use crate::consensus::application::{Application, ApplicationError};

impl Application for Chain {
    fn ledger_id(&self) -> &LedgerId {
        &self.0.ledger_id
    }

    fn height(&self) -> Height {
        self.state().height()
    }

    fn min_height(&self) -> Height {
        Height::new(1)
    }

    fn validators(&self, height: Height) -> Vec<Validator> {
        let state = self.state();
        let last_known = state.height().get().saturating_add(1);
        if (1..=last_known).contains(&height.get()) { state.validators().to_vec() } else { Vec::new() }
    }

    fn build(&self, proposer: HospitalId, now: Timestamp, txs: Vec<SignedTx>) -> Result<Block, ApplicationError> {
        self.alive().map_err(storage)?;
        let mut state = self.state_mut();
        let moment = next_moment(&state, now);
        let mut events = Vec::new();
        begin(&mut state, moment, &mut events);
        let mut room = MAX_BLOCK_BYTES - HEADER_RESERVE_BYTES;
        let mut chosen = Vec::new();
        for tx in txs {
            // Stops at the first that does not fit: a later one of the same signer must not overtake it.
            let Some(rest) = room.checked_sub(tx.encoded_len()) else { break };
            let before = state.last_sequence(&tx.signer);
            if apply_tx(&mut state, &tx, tx.hash(), moment, &self.0.signatures, &mut events).is_ok() {
                room = rest;
                chosen.push(tx);
            } else {
                // Left out, so that its sequence number is not used up for what follows.
                state.sequences.put(tx.signer, before);
            }
        }
        state.roll_back();
        let header = Header {
            ledger_id: self.0.ledger_id,
            height: moment.height,
            time: moment.time,
            proposer,
            parent: state.head().block,
            app_hash: state.head().app_hash,
            txs: Block::txs_hash(&chosen),
        };
        Ok(Block { header, txs: chosen })
    }

    fn check(&self, block: &Block) -> Result<(), BlockFault> {
        check_block(&self.state(), block, &self.0.signatures)
    }

    fn commit(&self, block: &Block, certificate: &Certificate) -> Result<(), ApplicationError> {
        match self.store(block, certificate) {
            Ok(_) => Ok(()),
            Err(ChainError::Block(fault)) => Err(ApplicationError::Diverged { height: block.header.height, fault }),
            Err(error) => Err(storage(error)),
        }
    }

    fn decided(&self, height: Height) -> Result<Option<(Block, Certificate)>, ApplicationError> {
        self.block(height).map_err(storage)
    }
}

fn storage(error: ChainError) -> ApplicationError {
    ApplicationError::Storage(error.to_string())
}
