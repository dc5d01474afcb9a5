//! What members' nodes send each other and what the write-ahead log keeps, as bytes: borsh, one encoding per message.
//!
//! Every length is capped before anything is decoded, nothing may follow a message, and a vote that the signer
//! abstained from is never encoded. Decoded messages are well-formed, no more: signatures are checked by consensus.

use std::fmt::Debug;

use arc_malachitebft_app_channel::app::consensus::LivenessMsg;
use arc_malachitebft_app_channel::app::types::codec::{Codec, HasEncodedLen};
use arc_malachitebft_app_channel::app::types::core::{PolkaCertificate, ValidatorProof};
use arc_malachitebft_app_channel::app::types::streaming::StreamMessage;
use arc_malachitebft_app_channel::app::types::sync::{Request, Response, Status};
use arc_malachitebft_app_channel::app::types::{ProposedValue, SignedConsensusMsg};
use borsh::{BorshDeserialize, BorshSerialize};
use bytes::Bytes;

use super::context::{LedgerContext, ProposalPart};
use super::parts::PART_BYTES;
use super::wire;
use crate::block::MAX_BLOCK_BYTES;
use crate::certificate::{MAX_CERTIFICATE_BYTES, MAX_MEMBERS};

/// The most bytes of a vote, proposal, status, request or validator proof.
pub const MAX_SMALL_BYTES: usize = 1024;
/// The most bytes of a certificate of votes: two votes per member, each with its value.
pub const MAX_VOTES_BYTES: usize = 128 + MAX_MEMBERS * 2 * (1 + 33 + 32 + 64);
/// The most bytes of a piece of a block, with its stream's name and number.
pub const MAX_PART_BYTES: usize = PART_BYTES + 256;
/// The most bytes of an answer to a member that catches up: it fits two of the largest blocks.
pub const MAX_RESPONSE_BYTES: usize = 2 * (MAX_BLOCK_BYTES + MAX_CERTIFICATE_BYTES) + 1024;

/// Bytes that are not a message, or a message that has no bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecFault {
    /// Longer than any message of this kind.
    #[error("{bytes} bytes are more than the {max} that such a message may have; its sender runs a faulty node")]
    TooLong {
        /// How many bytes it has.
        bytes: usize,
        /// How many are allowed.
        max: usize,
    },
    /// Not the one encoding of a message of this kind.
    #[error("the bytes are not a message of this kind; its sender runs a faulty node or another version")]
    Malformed,
    /// The message stands for an abstention, or carries what this ledger does not use.
    #[error("the message is never sent or stored; nothing to do")]
    Unsendable,
}

/// The codec of this ledger's network, catch-up and write-ahead log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LedgerCodec;

/// A wire form: borsh, and back and forth to malachite's type.
trait Wire<T>: BorshSerialize + BorshDeserialize {
    const MAX_BYTES: usize;

    fn of(message: &T) -> Result<Self, CodecFault>;
    fn into_message(self) -> Result<T, CodecFault>;
}

fn encode<T, W: Wire<T>>(message: &T) -> Result<Bytes, CodecFault> {
    let bytes = borsh::to_vec(&W::of(message)?).map_err(|_| CodecFault::Unsendable)?;
    capped(bytes.len(), W::MAX_BYTES)?;
    Ok(bytes.into())
}

fn decode<T, W: Wire<T>>(bytes: &[u8]) -> Result<T, CodecFault> {
    capped(bytes.len(), W::MAX_BYTES)?;
    W::try_from_slice(bytes).map_err(|_| CodecFault::Malformed)?.into_message()
}

fn capped(bytes: usize, max: usize) -> Result<(), CodecFault> {
    if bytes <= max { Ok(()) } else { Err(CodecFault::TooLong { bytes, max }) }
}

macro_rules! wires {
    ($($message:ty => $wire:ty, at most $max:expr;)*) => {$(
        impl Wire<$message> for $wire {
            const MAX_BYTES: usize = $max;

            fn of(message: &$message) -> Result<Self, CodecFault> {
                <$wire>::of(message)
            }

            fn into_message(self) -> Result<$message, CodecFault> {
                <$wire>::into_message(self)
            }
        }

        impl Codec<$message> for LedgerCodec {
            type Error = CodecFault;

            fn encode(&self, message: &$message) -> Result<Bytes, CodecFault> {
                encode::<$message, $wire>(message)
            }

            fn decode(&self, bytes: Bytes) -> Result<$message, CodecFault> {
                decode::<$message, $wire>(&bytes)
            }
        }
    )*};
}

wires! {
    SignedConsensusMsg<LedgerContext> => wire::Signed, at most MAX_SMALL_BYTES;
    LivenessMsg<LedgerContext> => wire::Liveness, at most MAX_VOTES_BYTES;
    PolkaCertificate<LedgerContext> => wire::Polka, at most MAX_VOTES_BYTES;
    ProposedValue<LedgerContext> => wire::Proposed, at most MAX_SMALL_BYTES;
    ProposalPart => wire::Part, at most MAX_PART_BYTES;
    StreamMessage<ProposalPart> => wire::Stream, at most MAX_PART_BYTES;
    ValidatorProof<LedgerContext> => wire::Proof, at most MAX_SMALL_BYTES;
    Status<LedgerContext> => wire::PeerStatus, at most MAX_SMALL_BYTES;
    Request<LedgerContext> => wire::CatchUpRequest, at most MAX_SMALL_BYTES;
    Response<LedgerContext> => wire::CatchUpResponse, at most MAX_RESPONSE_BYTES;
}

impl HasEncodedLen<Response<LedgerContext>> for LedgerCodec {
    fn encoded_len(&self, message: &Response<LedgerContext>) -> Result<usize, CodecFault> {
        borsh::object_length(&wire::CatchUpResponse::of(message)?).map_err(|_| CodecFault::Unsendable)
    }
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
