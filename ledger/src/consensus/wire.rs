//! The wire forms of malachite's messages, as [`super::codec`] encodes them.
//!
//! A round is a `u32`; "no round" exists only where a message can do without one. Enums are a byte, from 0, in the
//! order written here.

use arc_malachitebft_app_channel::app::consensus::LivenessMsg;
use arc_malachitebft_app_channel::app::streaming::StreamContent;
use arc_malachitebft_app_channel::app::types::core::{
    ExtendedCommitCertificate, ExtendedCommitSignature, NilOrVal, PolkaCertificate, PolkaSignature, Round,
    RoundCertificate, RoundCertificateType, RoundSignature, SignedMessage, ValidatorProof, Validity, VoteType,
};
use arc_malachitebft_app_channel::app::types::streaming::{StreamId, StreamMessage};
use arc_malachitebft_app_channel::app::types::sync::{RawDecidedValue, Request, Response, Status};
use arc_malachitebft_app_channel::app::types::{PeerId, ProposedValue, SignedConsensusMsg};
use arc_malachitebft_sync::{ValueRequest, ValueResponse};
use borsh::{BorshDeserialize, BorshSerialize};
use consilium_protocol::ids::BlockHash;

use super::codec::CodecFault;
use super::context::{BlockHeight, BlockRef, LedgerContext, Member, Proposal, ProposalPart, Vote, VoteSignature};
use crate::certificate::MAX_MEMBERS;

type Ctx = LedgerContext;

/// A round that must be one.
fn defined(round: Round) -> Result<u32, CodecFault> {
    round.as_u32().ok_or(CodecFault::Unsendable)
}

fn sendable(signature: VoteSignature) -> Result<VoteSignature, CodecFault> {
    if signature == VoteSignature::ABSTAIN { Err(CodecFault::Unsendable) } else { Ok(signature) }
}

fn few<T>(items: Vec<T>, max: usize) -> Result<Vec<T>, CodecFault> {
    if items.len() <= max { Ok(items) } else { Err(CodecFault::Malformed) }
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) enum Kind {
    Prevote,
    Precommit,
}

impl From<VoteType> for Kind {
    fn from(kind: VoteType) -> Self {
        match kind {
            VoteType::Prevote => Self::Prevote,
            VoteType::Precommit => Self::Precommit,
        }
    }
}

impl From<Kind> for VoteType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Prevote => Self::Prevote,
            Kind::Precommit => Self::Precommit,
        }
    }
}

fn block_of(value: &NilOrVal<BlockHash>) -> Option<BlockHash> {
    match value {
        NilOrVal::Nil => None,
        NilOrVal::Val(hash) => Some(*hash),
    }
}

fn value_of(block: Option<BlockHash>) -> NilOrVal<BlockHash> {
    block.map_or(NilOrVal::Nil, NilOrVal::Val)
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) struct SignedVote {
    kind: Kind,
    height: BlockHeight,
    round: u32,
    block: Option<BlockHash>,
    voter: Member,
    signature: VoteSignature,
}

impl SignedVote {
    fn of(signed: &SignedMessage<Ctx, Vote>) -> Result<Self, CodecFault> {
        let vote = &signed.message;
        Ok(Self {
            kind: vote.kind.into(),
            height: vote.height,
            round: defined(vote.round)?,
            block: block_of(&vote.block),
            voter: vote.voter,
            signature: sendable(signed.signature)?,
        })
    }

    fn into_message(self) -> SignedMessage<Ctx, Vote> {
        let vote = Vote {
            kind: self.kind.into(),
            height: self.height,
            round: Round::new(self.round),
            block: value_of(self.block),
            voter: self.voter,
        };
        SignedMessage::new(vote, self.signature)
    }
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) struct SignedProposal {
    height: BlockHeight,
    round: u32,
    block: BlockRef,
    pol_round: Option<u32>,
    proposer: Member,
    signature: VoteSignature,
}

impl SignedProposal {
    fn of(signed: &SignedMessage<Ctx, Proposal>) -> Result<Self, CodecFault> {
        let proposal = &signed.message;
        Ok(Self {
            height: proposal.height,
            round: defined(proposal.round)?,
            block: proposal.block,
            pol_round: proposal.pol_round.as_u32(),
            proposer: proposal.proposer,
            signature: sendable(signed.signature)?,
        })
    }

    fn into_message(self) -> SignedMessage<Ctx, Proposal> {
        let proposal = Proposal {
            height: self.height,
            round: Round::new(self.round),
            block: self.block,
            pol_round: self.pol_round.into(),
            proposer: self.proposer,
        };
        SignedMessage::new(proposal, self.signature)
    }
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) enum Signed {
    Vote(SignedVote),
    Proposal(SignedProposal),
}

impl Signed {
    pub(super) fn of(message: &SignedConsensusMsg<Ctx>) -> Result<Self, CodecFault> {
        Ok(match message {
            SignedConsensusMsg::Vote(vote) => Self::Vote(SignedVote::of(vote)?),
            SignedConsensusMsg::Proposal(proposal) => Self::Proposal(SignedProposal::of(proposal)?),
        })
    }

    pub(super) fn into_message(self) -> Result<SignedConsensusMsg<Ctx>, CodecFault> {
        Ok(match self {
            Self::Vote(vote) => SignedConsensusMsg::Vote(vote.into_message()),
            Self::Proposal(proposal) => SignedConsensusMsg::Proposal(proposal.into_message()),
        })
    }
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) struct Polka {
    height: BlockHeight,
    round: u32,
    block: BlockHash,
    signatures: Vec<(Member, VoteSignature)>,
}

impl Polka {
    pub(super) fn of(certificate: &PolkaCertificate<Ctx>) -> Result<Self, CodecFault> {
        Ok(Self {
            height: certificate.height,
            round: defined(certificate.round)?,
            block: certificate.value_id,
            signatures: certificate.polka_signatures.iter().map(|s| (s.address, s.signature)).collect(),
        })
    }

    pub(super) fn into_message(self) -> Result<PolkaCertificate<Ctx>, CodecFault> {
        let signatures = few(self.signatures, MAX_MEMBERS)?;
        Ok(PolkaCertificate {
            height: self.height,
            round: Round::new(self.round),
            value_id: self.block,
            polka_signatures: signatures.into_iter().map(|(member, sig)| PolkaSignature::new(member, sig)).collect(),
        })
    }
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) enum Reason {
    Skip,
    Precommit,
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) struct RoundVotes {
    height: BlockHeight,
    round: u32,
    reason: Reason,
    votes: Vec<(Kind, Option<BlockHash>, Member, VoteSignature)>,
}

impl RoundVotes {
    fn of(certificate: &RoundCertificate<Ctx>) -> Result<Self, CodecFault> {
        Ok(Self {
            height: certificate.height,
            round: defined(certificate.round)?,
            reason: match certificate.cert_type {
                RoundCertificateType::Skip => Reason::Skip,
                RoundCertificateType::Precommit => Reason::Precommit,
            },
            votes: certificate
                .round_signatures
                .iter()
                .map(|s| (s.vote_type.into(), block_of(&s.value_id), s.address, s.signature))
                .collect(),
        })
    }

    fn into_message(self) -> Result<RoundCertificate<Ctx>, CodecFault> {
        let votes = few(self.votes, 2 * MAX_MEMBERS)?;
        Ok(RoundCertificate {
            height: self.height,
            round: Round::new(self.round),
            cert_type: match self.reason {
                Reason::Skip => RoundCertificateType::Skip,
                Reason::Precommit => RoundCertificateType::Precommit,
            },
            round_signatures: votes
                .into_iter()
                .map(|(kind, block, voter, sig)| RoundSignature::new(kind.into(), value_of(block), voter, sig))
                .collect(),
        })
    }
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) enum Liveness {
    Vote(SignedVote),
    Polka(Polka),
    Round(RoundVotes),
}

impl Liveness {
    pub(super) fn of(message: &LivenessMsg<Ctx>) -> Result<Self, CodecFault> {
        Ok(match message {
            LivenessMsg::Vote(vote) => Self::Vote(SignedVote::of(vote)?),
            LivenessMsg::PolkaCertificate(certificate) => Self::Polka(Polka::of(certificate)?),
            LivenessMsg::SkipRoundCertificate(certificate) => Self::Round(RoundVotes::of(certificate)?),
        })
    }

    pub(super) fn into_message(self) -> Result<LivenessMsg<Ctx>, CodecFault> {
        Ok(match self {
            Self::Vote(vote) => LivenessMsg::Vote(vote.into_message()),
            Self::Polka(certificate) => LivenessMsg::PolkaCertificate(certificate.into_message()?),
            Self::Round(certificate) => LivenessMsg::SkipRoundCertificate(certificate.into_message()?),
        })
    }
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) struct Proposed {
    height: BlockHeight,
    round: u32,
    valid_round: Option<u32>,
    proposer: Member,
    block: BlockRef,
    valid: bool,
}

impl Proposed {
    pub(super) fn of(value: &ProposedValue<Ctx>) -> Result<Self, CodecFault> {
        Ok(Self {
            height: value.height,
            round: defined(value.round)?,
            valid_round: value.valid_round.as_u32(),
            proposer: value.proposer,
            block: value.value,
            valid: value.validity.is_valid(),
        })
    }

    pub(super) fn into_message(self) -> Result<ProposedValue<Ctx>, CodecFault> {
        Ok(ProposedValue {
            height: self.height,
            round: Round::new(self.round),
            valid_round: self.valid_round.into(),
            proposer: self.proposer,
            value: self.block,
            validity: Validity::from_bool(self.valid),
        })
    }
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) struct Part(ProposalPart);

impl Part {
    pub(super) fn of(part: &ProposalPart) -> Result<Self, CodecFault> {
        Ok(Self(part.clone()))
    }

    pub(super) fn into_message(self) -> Result<ProposalPart, CodecFault> {
        Ok(self.0)
    }
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) struct Stream {
    id: Vec<u8>,
    sequence: u64,
    part: Option<ProposalPart>,
}

impl Stream {
    pub(super) const MAX_ID_BYTES: usize = 64;

    pub(super) fn of(message: &StreamMessage<ProposalPart>) -> Result<Self, CodecFault> {
        let part = match &message.content {
            StreamContent::Data(part) => Some(part.clone()),
            StreamContent::Fin => None,
        };
        Ok(Self { id: message.stream_id.to_bytes().to_vec(), sequence: message.sequence, part })
    }

    pub(super) fn into_message(self) -> Result<StreamMessage<ProposalPart>, CodecFault> {
        let id = StreamId::new(few(self.id, Self::MAX_ID_BYTES)?.into());
        Ok(StreamMessage::new(id, self.sequence, self.part.map_or(StreamContent::Fin, StreamContent::Data)))
    }
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) struct Proof {
    consensus_key: [u8; 32],
    peer_id: Vec<u8>,
    signature: VoteSignature,
}

impl Proof {
    pub(super) fn of(proof: &ValidatorProof<Ctx>) -> Result<Self, CodecFault> {
        Ok(Self {
            consensus_key: proof.public_key.as_slice().try_into().map_err(|_| CodecFault::Unsendable)?,
            peer_id: proof.peer_id.clone(),
            signature: proof.signature,
        })
    }

    pub(super) fn into_message(self) -> Result<ValidatorProof<Ctx>, CodecFault> {
        Ok(ValidatorProof::new(self.consensus_key.to_vec(), self.peer_id, self.signature))
    }
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) struct PeerStatus {
    peer: Vec<u8>,
    tip: BlockHeight,
    history_from: BlockHeight,
}

impl PeerStatus {
    pub(super) fn of(status: &Status<Ctx>) -> Result<Self, CodecFault> {
        Ok(Self { peer: status.peer_id.to_bytes(), tip: status.tip_height, history_from: status.history_min_height })
    }

    pub(super) fn into_message(self) -> Result<Status<Ctx>, CodecFault> {
        let peer_id = PeerId::from_bytes(&self.peer).map_err(|_| CodecFault::Malformed)?;
        // One peer has one encoding: a multihash with a padded length would read as the same.
        if peer_id.to_bytes() != self.peer {
            return Err(CodecFault::Malformed);
        }
        Ok(Status { peer_id, tip_height: self.tip, history_min_height: self.history_from })
    }
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) struct CatchUpRequest {
    from: BlockHeight,
    to: BlockHeight,
}

impl CatchUpRequest {
    pub(super) fn of(request: &Request<Ctx>) -> Result<Self, CodecFault> {
        let Request::ValueRequest(request) = request;
        Ok(Self { from: *request.range.start(), to: *request.range.end() })
    }

    pub(super) fn into_message(self) -> Result<Request<Ctx>, CodecFault> {
        Ok(Request::ValueRequest(ValueRequest::new(self.from..=self.to)))
    }
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) struct Decided {
    block: Vec<u8>,
    height: BlockHeight,
    round: u32,
    hash: BlockHash,
    signatures: Vec<(Member, VoteSignature)>,
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) struct CatchUpResponse {
    from: BlockHeight,
    blocks: Vec<Decided>,
}

impl CatchUpResponse {
    pub(super) fn of(response: &Response<Ctx>) -> Result<Self, CodecFault> {
        let Response::ValueResponse(response) = response;
        let blocks = response.values.iter().map(|value| {
            let certificate = &value.certificate;
            if certificate.commit_signatures.iter().any(|s| s.extension.is_some()) {
                return Err(CodecFault::Unsendable);
            }
            Ok(Decided {
                block: value.value_bytes.to_vec(),
                height: certificate.height,
                round: defined(certificate.round)?,
                hash: certificate.value_id,
                signatures: certificate.commit_signatures.iter().map(|s| (s.address, s.signature)).collect(),
            })
        });
        Ok(Self { from: response.start_height, blocks: blocks.collect::<Result<_, _>>()? })
    }

    pub(super) fn into_message(self) -> Result<Response<Ctx>, CodecFault> {
        let values = self.blocks.into_iter().map(|decided| {
            let signatures = few(decided.signatures, MAX_MEMBERS)?;
            let certificate = ExtendedCommitCertificate {
                height: decided.height,
                round: Round::new(decided.round),
                value_id: decided.hash,
                commit_signatures: signatures
                    .into_iter()
                    .map(|(member, signature)| ExtendedCommitSignature::new(member, signature, None))
                    .collect(),
            };
            Ok(RawDecidedValue::new(decided.block.into(), certificate))
        });
        let values = values.collect::<Result<Vec<_>, CodecFault>>()?;
        Ok(Response::ValueResponse(ValueResponse::new(self.from, values)))
    }
}
