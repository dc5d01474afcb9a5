//! The rules that every transaction keeps, whatever it says.

use consilium_protocol::ids::Height;
use consilium_protocol::tx::{MAX_EXPIRY_BLOCKS, SignedTx, Signer, TxBody, TxError, signing_message};

use super::Outcome;
use crate::rejection::Rejection;
use crate::signatures::Signatures;
use crate::state::State;

/// Reads what the signer said, once: the signature fits, and the sequence number is new. From here on the sequence
/// number is used up, whatever becomes of the transaction. That holds for unknown signers too: what a researcher signed
/// before being accredited must not come true afterwards.
pub(super) fn open(state: &State, tx: &SignedTx, signatures: &dyn Signatures) -> Result<TxBody, Rejection> {
    let decoded = tx.decode_body();
    if decoded == Err(TxError::TooLong) {
        return Err(Rejection::TooLong);
    }
    let message = signing_message(state.ledger_id(), &tx.body);
    if !signatures.verifies(tx.signer.public_key(), &message, &tx.signature) {
        return Err(Rejection::Signature);
    }
    let body = decoded.map_err(|_| Rejection::Malformed)?;
    let last = state.last_sequence(&tx.signer);
    if body.sequence <= last {
        return Err(Rejection::Replayed { last });
    }
    Ok(body)
}

/// Checks that the transaction may stand in a block of this height, and that the ledger knows its signer.
pub(super) fn check(state: &State, signer: &Signer, body: &TxBody, height: Height) -> Outcome {
    if body.expires < height {
        return Err(Rejection::Expired { expires: body.expires });
    }
    let latest = Height::new(height.get().saturating_add(MAX_EXPIRY_BLOCKS));
    if body.expires > latest {
        return Err(Rejection::ExpiresTooLate { latest });
    }
    let known = match signer {
        Signer::Hospital(id) => state.is_member(id),
        Signer::Researcher(id) => state.researchers().contains_key(id),
        Signer::Patient(id) => state.subject_of(id).is_some(),
    };
    if known { Ok(()) } else { Err(Rejection::UnknownSigner) }
}
