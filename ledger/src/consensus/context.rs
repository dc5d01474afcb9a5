//! The types that malachite agrees on, in this ledger's terms.
//!
//! Malachite's traits are foreign and so are the ids of `consilium_protocol`: each id that malachite must know has a
//! wrapper here, and only here. A *value* is the hash of a block; blocks travel beside the votes, as parts.

use std::fmt;

use arc_malachitebft_app_channel::app::types::core::{
    self as core, LinearTimeouts, NilOrVal, Round, SignedExtension, SigningScheme, VoteType,
};
use borsh::{BorshDeserialize, BorshSerialize};
use consilium_protocol::hash::tagged;
use consilium_protocol::ids::{BlockHash, Height, HospitalId, LedgerId};
use consilium_protocol::keys::Signature;

use super::validators::{Seat, Seats};
use crate::certificate::{VoteKind, vote_digest};

const PROPOSAL_LABEL: &str = "consilium/proposal/v1";

/// The choice of types that malachite is instantiated with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LedgerContext;

/// A member as malachite addresses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Member(pub HospitalId);

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.short())
    }
}

impl core::Address for Member {}

/// A block's height as malachite counts it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct BlockHeight(pub Height);

impl fmt::Display for BlockHeight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl core::Height for BlockHeight {
    const ZERO: Self = Self(Height::new(0));
    const INITIAL: Self = Self(Height::new(1));

    fn increment_by(&self, n: u64) -> Self {
        Self(Height::new(self.0.get().saturating_add(n)))
    }

    fn decrement_by(&self, n: u64) -> Option<Self> {
        self.0.get().checked_sub(n).map(|height| Self(Height::new(height)))
    }

    fn as_u64(&self) -> u64 {
        self.0.get()
    }
}

/// What is voted on: a block, by its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct BlockRef(pub BlockHash);

impl core::Value for BlockRef {
    type Id = BlockHash;

    fn id(&self) -> BlockHash {
        self.0
    }
}

/// A signature as malachite orders it.
#[derive(Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct VoteSignature(pub Signature);

impl VoteSignature {
    /// What the signer gives when it must not sign: verifies for no key, and is never sent.
    pub const ABSTAIN: Self = Self(Signature::from_bytes([0; 64]));
}

impl fmt::Debug for VoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl PartialOrd for VoteSignature {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for VoteSignature {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.as_bytes().cmp(other.0.as_bytes())
    }
}

/// Ed25519, strictly verified; see [`Signature::verifies`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ed25519;

/// A key or signature of the wrong length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key has 32 bytes and a signature 64")]
pub struct WrongLength;

impl SigningScheme for Ed25519 {
    type DecodingError = WrongLength;
    type Signature = VoteSignature;
    type PublicKey = [u8; 32];
    type PrivateKey = ();

    fn decode_signature(bytes: &[u8]) -> Result<VoteSignature, WrongLength> {
        let bytes = bytes.try_into().map_err(|_| WrongLength)?;
        Ok(VoteSignature(Signature::from_bytes(bytes)))
    }

    fn encode_signature(signature: &VoteSignature) -> Vec<u8> {
        signature.0.as_bytes().to_vec()
    }

    fn decode_public_key(bytes: &[u8]) -> Result<[u8; 32], WrongLength> {
        bytes.try_into().map_err(|_| WrongLength)
    }

    fn encode_public_key(public_key: &[u8; 32]) -> Vec<u8> {
        public_key.to_vec()
    }
}

/// A prevote or precommit, for a block or for none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    /// Prevote or precommit.
    pub kind: VoteType,
    /// The height voted on.
    pub height: BlockHeight,
    /// The round within the height.
    pub round: Round,
    /// The block, or nil.
    pub block: NilOrVal<BlockHash>,
    /// Who votes.
    pub voter: Member,
}

impl Vote {
    /// The digest that the voter signs, or `None` for a vote of no round, which nobody casts.
    pub fn digest(&self, ledger_id: &LedgerId) -> Option<[u8; 32]> {
        let kind = match self.kind {
            VoteType::Prevote => VoteKind::Prevote,
            VoteType::Precommit => VoteKind::Precommit,
        };
        let block = match &self.block {
            NilOrVal::Nil => None,
            NilOrVal::Val(hash) => Some(hash),
        };
        Some(vote_digest(ledger_id, kind, self.height.0, self.round.as_u32()?, block, &self.voter.0))
    }
}

impl core::Vote<LedgerContext> for Vote {
    fn height(&self) -> BlockHeight {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &NilOrVal<BlockHash> {
        &self.block
    }

    fn take_value(self) -> NilOrVal<BlockHash> {
        self.block
    }

    fn vote_type(&self) -> VoteType {
        self.kind
    }

    fn validator_address(&self) -> &Member {
        &self.voter
    }

    // Vote extensions are not used by this ledger: none is ever present, and none is accepted by the codec.
    fn extension(&self) -> Option<&SignedExtension<LedgerContext>> {
        None
    }

    fn take_extension(&mut self) -> Option<SignedExtension<LedgerContext>> {
        None
    }

    fn extend(self, _extension: SignedExtension<LedgerContext>) -> Self {
        self
    }
}

/// A proposer's word that a block is its proposal for a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The height proposed for.
    pub height: BlockHeight,
    /// The round within the height.
    pub round: Round,
    /// The block.
    pub block: BlockRef,
    /// The earlier round in which more than two thirds prevoted for the block, or nil.
    pub pol_round: Round,
    /// Who proposes.
    pub proposer: Member,
}

impl Proposal {
    /// The digest that the proposer signs, or `None` for a proposal of no round, which nobody makes.
    pub fn digest(&self, ledger_id: &LedgerId) -> Option<[u8; 32]> {
        let pol_round = self.pol_round.as_u32().map(u32::to_le_bytes);
        Some(tagged(
            PROPOSAL_LABEL,
            &[
                ledger_id.as_bytes(),
                &self.height.0.get().to_le_bytes(),
                &self.round.as_u32()?.to_le_bytes(),
                self.block.0.as_bytes(),
                pol_round.as_ref().map_or(&[], |round| round.as_slice()),
                self.proposer.0.public_key(),
            ],
        ))
    }
}

impl core::Proposal<LedgerContext> for Proposal {
    fn height(&self) -> BlockHeight {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &BlockRef {
        &self.block
    }

    fn take_value(self) -> BlockRef {
        self.block
    }

    fn pol_round(&self) -> Round {
        self.pol_round
    }

    fn validator_address(&self) -> &Member {
        &self.proposer
    }
}

/// A piece of a proposed block on its way to the other members. Nobody signs it: the block's hash, which the signed
/// proposal names, vouches for the whole.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum ProposalPart {
    /// What is coming.
    Start {
        /// The height proposed for.
        height: BlockHeight,
        /// The round within the height.
        round: u32,
        /// The earlier round in which more than two thirds prevoted for the block.
        pol_round: Option<u32>,
        /// Who proposes it in this round.
        proposer: Member,
        /// The block's hash.
        block: BlockHash,
        /// How many bytes the encoded block has.
        bytes: u32,
    },
    /// The next bytes of the encoded block.
    Bytes {
        /// Whether these are the last.
        last: bool,
        /// The bytes.
        bytes: Vec<u8>,
    },
}

impl core::ProposalPart<LedgerContext> for ProposalPart {
    fn is_first(&self) -> bool {
        matches!(self, Self::Start { .. })
    }

    fn is_last(&self) -> bool {
        matches!(self, Self::Bytes { last: true, .. })
    }
}

impl core::Context for LedgerContext {
    type Address = Member;
    type Height = BlockHeight;
    type ProposalPart = ProposalPart;
    type Proposal = Proposal;
    type Validator = Seat;
    type ValidatorSet = Seats;
    type Timeouts = LinearTimeouts;
    type Value = BlockRef;
    type Vote = Vote;
    type Extension = ();
    type SigningScheme = Ed25519;

    fn select_proposer<'a>(&self, seats: &'a Seats, height: BlockHeight, round: Round) -> &'a Seat {
        seats.proposer(height, round)
    }

    fn new_proposal(
        &self,
        height: BlockHeight,
        round: Round,
        block: BlockRef,
        pol_round: Round,
        proposer: Member,
    ) -> Proposal {
        Proposal { height, round, block, pol_round, proposer }
    }

    fn new_prevote(&self, height: BlockHeight, round: Round, block: NilOrVal<BlockHash>, voter: Member) -> Vote {
        Vote { kind: VoteType::Prevote, height, round, block, voter }
    }

    fn new_precommit(&self, height: BlockHeight, round: Round, block: NilOrVal<BlockHash>, voter: Member) -> Vote {
        Vote { kind: VoteType::Precommit, height, round, block, voter }
    }
}
