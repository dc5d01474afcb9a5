//! Signing and verifying as malachite asks for it.

use std::sync::{Arc, Mutex, PoisonError};

use arc_malachitebft_app_channel::app::types::core::{SignedMessage, ValidatorProof, VoteExtensionScope, VoteType};
use arc_malachitebft_signing::{Error, Signer as EngineSigner, VerificationResult, Verifier};
use async_trait::async_trait;
use consilium_protocol::ids::LedgerId;

use super::context::{LedgerContext, Proposal, Vote, VoteSignature};
use super::signer::{NotSigned, Position, Signer, Step};
use super::status::Status;

type Ctx = LedgerContext;

/// Signs through the position-keeping [`Signer`]. What it refuses, malachite gets an abstention for: a signature that
/// verifies nowhere, so that neither this node counts the vote nor the codec sends it.
pub(super) struct PositionSigner {
    ledger_id: LedgerId,
    signer: Arc<Mutex<Signer>>,
    status: Arc<Status>,
}

impl PositionSigner {
    pub(super) fn new(ledger_id: LedgerId, signer: Signer, status: Arc<Status>) -> Self {
        Self { ledger_id, signer: Arc::new(Mutex::new(signer)), status }
    }

    async fn sign(&self, position: Option<Position>, digest: Option<[u8; 32]>) -> Result<VoteSignature, Error> {
        let (Some(position), Some(digest)) = (position, digest) else { return Ok(VoteSignature::ABSTAIN) };
        let signer = Arc::clone(&self.signer);
        let signed = tokio::task::spawn_blocking(move || {
            signer.lock().unwrap_or_else(PoisonError::into_inner).sign(position, digest)
        });
        match signed.await.map_err(Error::from_source)? {
            Ok(signature) => Ok(VoteSignature(signature)),
            Err(NotSigned::Refused(refusal)) => {
                tracing::warn!(%refusal, "abstaining");
                self.status.refused(refusal.to_string());
                Ok(VoteSignature::ABSTAIN)
            }
            Err(NotSigned::Failed(error)) => {
                self.status.halt(error.to_string());
                Err(Error::from_source(error))
            }
        }
    }

    /// Binds this node's network identity to its consensus key.
    pub(super) fn peer_binding(&self, peer_id: Vec<u8>) -> Option<ValidatorProof<Ctx>> {
        let signer = self.signer.lock().unwrap_or_else(PoisonError::into_inner);
        let public_key = signer.public_key().to_vec();
        let preimage = ValidatorProof::<Ctx>::signing_bytes(&public_key, &peer_id);
        let signature = signer.sign_peer_binding(&preimage)?;
        Some(ValidatorProof::new(public_key, peer_id, VoteSignature(signature)))
    }
}

#[async_trait]
impl EngineSigner<Ctx> for PositionSigner {
    async fn sign_vote(&self, vote: Vote) -> Result<SignedMessage<Ctx, Vote>, Error> {
        let step = match vote.kind {
            VoteType::Prevote => Step::Prevote,
            VoteType::Precommit => Step::Precommit,
        };
        let position = vote.round.as_u32().map(|round| Position { height: vote.height.0, round, step });
        let signature = self.sign(position, vote.digest(&self.ledger_id)).await?;
        Ok(SignedMessage::new(vote, signature))
    }

    async fn sign_proposal(&self, proposal: Proposal) -> Result<SignedMessage<Ctx, Proposal>, Error> {
        let position =
            proposal.round.as_u32().map(|round| Position { height: proposal.height.0, round, step: Step::Propose });
        let signature = self.sign(position, proposal.digest(&self.ledger_id)).await?;
        Ok(SignedMessage::new(proposal, signature))
    }

    async fn sign_vote_extension(
        &self,
        _scope: VoteExtensionScope<Ctx>,
        _extension: (),
    ) -> Result<SignedMessage<Ctx, ()>, Error> {
        Err(Error::from_source("this ledger has no vote extensions"))
    }

    async fn sign_validator_proof(&self, _public_key: Vec<u8>, peer_id: Vec<u8>) -> Result<ValidatorProof<Ctx>, Error> {
        self.peer_binding(peer_id).ok_or_else(|| Error::from_source("a peer id of this length cannot be bound"))
    }
}

/// Verifies strictly, over the same digests as an auditor does.
#[derive(Debug, Clone)]
pub(super) struct StrictVerifier {
    ledger_id: LedgerId,
}

impl StrictVerifier {
    pub(super) fn new(ledger_id: LedgerId) -> Self {
        Self { ledger_id }
    }
}

fn verified(signature: &VoteSignature, key: &[u8; 32], digest: Option<[u8; 32]>) -> VerificationResult {
    VerificationResult::from_bool(digest.is_some_and(|digest| signature.0.verifies(key, &digest)))
}

#[async_trait]
impl Verifier<Ctx> for StrictVerifier {
    async fn verify_signed_vote(
        &self,
        vote: &Vote,
        signature: &VoteSignature,
        key: &[u8; 32],
    ) -> Result<VerificationResult, Error> {
        Ok(verified(signature, key, vote.digest(&self.ledger_id)))
    }

    async fn verify_signed_proposal(
        &self,
        proposal: &Proposal,
        signature: &VoteSignature,
        key: &[u8; 32],
    ) -> Result<VerificationResult, Error> {
        Ok(verified(signature, key, proposal.digest(&self.ledger_id)))
    }

    async fn verify_signed_vote_extension(
        &self,
        _scope: &VoteExtensionScope<Ctx>,
        _extension: &(),
        _signature: &VoteSignature,
        _key: &[u8; 32],
    ) -> Result<VerificationResult, Error> {
        Ok(VerificationResult::Invalid)
    }

    async fn verify_validator_proof(&self, proof: &ValidatorProof<Ctx>) -> Result<VerificationResult, Error> {
        let valid = match <[u8; 32]>::try_from(proof.public_key.as_slice()) {
            Ok(key) => proof.signature.0.verifies(&key, &proof.preimage()),
            Err(_) => false,
        };
        Ok(VerificationResult::from_bool(valid))
    }
}
