//! gRPC services and their messages, made from `proto/consilium/v1/consilium.proto`.

#![allow(missing_docs, clippy::pedantic, reason = "generated from the .proto file, where the documentation stands")]

use crate::hash::tagged;
use crate::ids::{LedgerId, SubjectId, Timestamp};

tonic::include_proto!("consilium.v1");

/// The encoded file descriptor set, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/consilium.descriptors"));

/// The longest gRPC message, in bytes: a block with its certificate fits.
pub const MAX_MESSAGE_BYTES: usize = 8 * 1024 * 1024;

/// The longest ciphertext of a round, in bytes.
pub const MAX_CIPHERTEXT_BYTES: u64 = 256 * 1024 * 1024;

/// The length of a [`Chunk`] of a longer content, in bytes; the last may be shorter.
pub const CHUNK_BYTES: usize = 256 * 1024;

/// What is signed to ask about a subject; see [`SubjectRequest`]. Without a subject, the question is about the one that
/// the asking patient's key is bound to.
pub fn subject_question(ledger: &LedgerId, subject: Option<&SubjectId>, time: Timestamp) -> [u8; 32] {
    let subject = subject.map_or(&[][..], |s| s.as_bytes());
    tagged("consilium/question/v1", &[ledger.as_bytes(), subject, &time.get().to_le_bytes()])
}
