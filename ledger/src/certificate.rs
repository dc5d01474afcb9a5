//! Certificates: who signed a block, checkable by anyone who has the members' public keys.
//!
//! A vote is signed over a digest that consensus, an auditor and a vault compute alike, labelled
//! `consilium/vote/v1`, over these parts:
//!
//! | part | bytes |
//! |---|---|
//! | chain id | UTF-8 |
//! | kind | 1: 1 = prevote, 2 = precommit |
//! | height | 8, little-endian |
//! | round | 4, little-endian |
//! | block | 32, or none for a vote for no block |
//! | voter | 32 |

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};
use consilium_protocol::hash::tagged;
use consilium_protocol::ids::{BlockHash, Height, HospitalId, LedgerId};
use consilium_protocol::keys::Signature;

/// The most members that a consortium can have; caps what is read from outside.
pub const MAX_MEMBERS: usize = 1024;

/// The most bytes that an encoded certificate may have.
pub const MAX_CERTIFICATE_BYTES: usize = 64 + MAX_MEMBERS * (32 + 64);

const VOTE_LABEL: &str = "consilium/vote/v1";

/// A member that signs blocks, with one vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Validator {
    /// The member.
    pub id: HospitalId,
    /// The Ed25519 public key of its node.
    pub consensus_key: [u8; 32],
}

/// The two votes of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VoteKind {
    /// The block may be decided, as far as this member sees.
    Prevote,
    /// More than two thirds prevoted for the block; a certificate is made of these.
    Precommit,
}

/// The digest that a member signs to cast a vote; see the table above.
pub fn vote_digest(
    ledger_id: &LedgerId,
    kind: VoteKind,
    height: Height,
    round: u32,
    block: Option<&BlockHash>,
    voter: &HospitalId,
) -> [u8; 32] {
    let kind = match kind {
        VoteKind::Prevote => [1],
        VoteKind::Precommit => [2],
    };
    let block: &[u8] = block.map_or(&[], |hash| hash.as_bytes());
    tagged(
        VOTE_LABEL,
        &[ledger_id.as_bytes(), &kind, &height.get().to_le_bytes(), &round.to_le_bytes(), block, voter.public_key()],
    )
}

/// Why a certificate proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateFault {
    /// The bytes are not the one encoding of a certificate.
    #[error("the bytes are not a certificate; fetch the block again from another member")]
    Encoding,
    /// Signers are not in ascending order, or one signed twice.
    #[error("the certificate's signers are not distinct and sorted; fetch the block again from another member")]
    Order,
    /// A signer is no member at this height.
    #[error(
        "the certificate is signed by {signer}, who is no member at this height; fetch the block from another member"
    )]
    UnknownSigner {
        /// The signer.
        signer: HospitalId,
    },
    /// A signature is not the signer's precommit for this block.
    #[error("the signature of {signer} does not verify; fetch the block again from another member")]
    Signature {
        /// The signer.
        signer: HospitalId,
    },
    /// No more than two thirds of the members signed.
    #[error("{signed} of {members} members signed, more than two thirds must; fetch the block from another member")]
    TooFew {
        /// How many signed.
        signed: usize,
        /// How many members there are.
        members: usize,
    },
}

/// The precommits by which a block was decided.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Certificate {
    /// The block's height.
    pub height: Height,
    /// The round in which it was decided, from 0.
    pub round: u32,
    /// The block.
    pub block: BlockHash,
    /// Who signed it, ascending and distinct.
    pub signatures: Vec<(HospitalId, Signature)>,
}

impl Certificate {
    /// The certificate's only encoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.serialize(&mut bytes).expect("writing to memory cannot fail");
        bytes
    }

    /// Reads a certificate of at most [`MAX_CERTIFICATE_BYTES`], with nothing after it and its signers in order.
    /// The signatures are not checked.
    ///
    /// # Errors
    /// [`CertificateFault::Encoding`] or [`CertificateFault::Order`].
    pub fn decode(bytes: &[u8]) -> Result<Self, CertificateFault> {
        if bytes.len() > MAX_CERTIFICATE_BYTES {
            return Err(CertificateFault::Encoding);
        }
        let certificate = Self::try_from_slice(bytes).map_err(|_| CertificateFault::Encoding)?;
        if certificate.is_sorted() { Ok(certificate) } else { Err(CertificateFault::Order) }
    }

    /// Whether more than two thirds of `validators`, one vote each, precommitted this block in this round of this
    /// ledger. Any signature that does not verify spoils the certificate.
    ///
    /// # Errors
    /// The first [`CertificateFault`] found.
    pub fn verify(&self, ledger_id: &LedgerId, validators: &[Validator]) -> Result<(), CertificateFault> {
        if !self.is_sorted() {
            return Err(CertificateFault::Order);
        }
        let keys: BTreeMap<HospitalId, [u8; 32]> = validators.iter().map(|v| (v.id, v.consensus_key)).collect();
        for (signer, signature) in &self.signatures {
            let Some(key) = keys.get(signer) else {
                return Err(CertificateFault::UnknownSigner { signer: *signer });
            };
            let digest =
                vote_digest(ledger_id, VoteKind::Precommit, self.height, self.round, Some(&self.block), signer);
            if !signature.verifies(key, &digest) {
                return Err(CertificateFault::Signature { signer: *signer });
            }
        }
        let (signed, members) = (self.signatures.len(), keys.len());
        if signed * 3 > members * 2 { Ok(()) } else { Err(CertificateFault::TooFew { signed, members }) }
    }

    fn is_sorted(&self) -> bool {
        self.signatures.windows(2).all(|pair| pair[0].0 < pair[1].0)
    }
}

#[cfg(test)]
#[path = "certificate_tests.rs"]
mod tests;
