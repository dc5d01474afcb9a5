//! The roles of a guarded round: the aggregator adds up and seals, the custodian discloses.
//!
//! The aggregator sees ciphertexts under the researcher's key and under the custodian's, and has neither. The custodian
//! sees which groups passed. What either makes is on disk before its hash is on the ledger, and is made once: a second
//! padded sum of the same round, under other pads, would let their difference be seen.

use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use consilium_engine::cells::{CiphertextError, EncryptedCells, combine};
use consilium_engine::disclosure::guarded::{self, GuardPlan, GuardPlanError};
use consilium_engine::guard::{
    Aggregator, GuardContribution, GuardError, GuardPublicKey, GuardServerKey, PadRound, SealedRound, SealedSeeds,
    Seed, pad, reveal,
};
use consilium_ledger::state::study::Roles;
use consilium_protocol::hash;
use consilium_protocol::ids::{ContentHash, HospitalId, RoundNumber, StudyId};
use consilium_protocol::sealing::{self, Content, Context, SealingError};
use consilium_protocol::study::StudySpec;
use consilium_protocol::tx::{Blob, DiscloseSeeds, Payload, SealSum};
use consilium_protocol::wire::BlobKind;
use tracing::info;

use super::Shared;
use super::guard_keys::{GuardKeyError, GuardKeyring};
use super::peers::{FetchError, Wanted};
use super::rounds::Piece;
use crate::home::{FileError, SecretError};

/// Why a role was not done. Carries no number of anyone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RoleError {
    /// The study cannot be guarded.
    #[error(transparent)]
    Plan(#[from] GuardPlanError),
    /// A contribution, a sum or seeds cannot be computed with.
    #[error("the guard: {0}")]
    Guard(#[from] GuardError),
    /// A ciphertext or key is not one.
    #[error("a ciphertext: {0}")]
    Ciphertext(#[from] CiphertextError),
    /// What was sealed cannot be opened, or the recipient's key cannot be sealed to.
    #[error("from hospital {from:?}: {error}")]
    Sealing {
        /// Who sealed it.
        from: HospitalId,
        /// What is wrong.
        error: SealingError,
    },
    /// What a hospital sealed is no contribution.
    #[error("hospital {0:?} sealed something that is no contribution to a guarded round; it is not used")]
    Contribution(HospitalId),
    /// The own keys cannot be used.
    #[error(transparent)]
    Keys(#[from] GuardKeyError),
    /// The own sealing key cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A ciphertext or key could not be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The computation was given up, for the node stops.
    #[error("the node stops; it will be done after the next start")]
    Stopped,
    /// The own keys are not those that the round was opened with.
    #[error(
        "this hospital's guard keys are not those that the round was opened with; the round fails at its deadline and is \
         opened again"
    )]
    RenewedKeys,
    /// The ledger has no such guarded round.
    #[error("the ledger has no such guarded round; wait for the next block")]
    NoRound,
}

/// What a hospital seals to the aggregator.
#[derive(Debug, BorshSerialize, BorshDeserialize)]
pub(super) struct Parts {
    /// Its cells, blinded, under the researcher's key.
    pub(super) cells: Vec<u8>,
    /// Its counts, capped and blinded, under the custodian's key.
    pub(super) counts: Vec<u8>,
}

impl Parts {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // Writing to a vector cannot fail.
        borsh::to_vec(self).unwrap_or_default()
    }
}

/// What the ledger says of a guarded round, for those who have a role in it.
pub(super) struct GuardedRound {
    pub(super) study: StudyId,
    pub(super) round: RoundNumber,
    pub(super) spec: StudySpec,
    pub(super) roles: Roles,
    pub(super) hospitals: usize,
    /// To which a custodian seals what passed.
    pub(super) researcher: [u8; 32],
}

impl GuardedRound {
    /// Reads the round from the ledger; `None` when it is not there, or not guarded.
    pub(super) fn read(shared: &Shared, study: &StudyId, number: RoundNumber) -> Option<Self> {
        let read = shared.chain.read(|state| {
            let found = state.study(study)?;
            let round = found.course.round(number)?;
            Some(Self {
                study: *study,
                round: number,
                spec: found.proposal.spec.clone(),
                roles: round.guard?.roles,
                hospitals: round.roster.len(),
                researcher: found.proposal.sealing_key,
            })
        });
        read.ok().flatten()
    }

    fn plan(&self, shared: &Shared) -> Result<GuardPlan, GuardPlanError> {
        guarded::plan(&self.spec, &shared.genesis.policy, self.hospitals)
    }

    fn context<'a>(&self, shared: &'a Shared, content: Content, from: HospitalId) -> Context<'a> {
        Context { content, chain: &shared.genesis.chain_id, study: self.study, round: self.round, from }
    }

    const fn pads(&self) -> PadRound {
        PadRound { study: self.study, round: self.round }
    }
}

fn blob(bytes: &[u8]) -> Blob {
    Blob { hash: hash::content(bytes), bytes: bytes.len() as u64 }
}

/// The custodian's public key: the own, the one fetched before, or the one fetched now.
pub(super) async fn public_key(shared: &Shared, roles: &Roles) -> Result<Vec<u8>, RoleError> {
    let wanted = (BlobKind::GuardPublicKey, roles.public_key.hash, GuardPublicKey::ENCODED_BYTES);
    key_of_custodian(shared, roles.custodian, wanted, GuardKeyring::public_key).await
}

/// The custodian's server key, likewise.
async fn server_key(shared: &Shared, roles: &Roles) -> Result<Vec<u8>, RoleError> {
    let wanted = (BlobKind::GuardServerKey, roles.server_key.hash, GuardServerKey::ENCODED_BYTES);
    key_of_custodian(shared, roles.custodian, wanted, GuardKeyring::server_key).await
}

async fn key_of_custodian(
    shared: &Shared,
    custodian: HospitalId,
    (kind, hash, limit): (BlobKind, ContentHash, usize),
    own: impl Fn(&GuardKeyring) -> Result<Vec<u8>, FileError>,
) -> Result<Vec<u8>, RoleError> {
    if custodian == shared.hospital {
        let own = own(&shared.guard_keys)?;
        return if hash::content(&own) == hash { Ok(own) } else { Err(RoleError::RenewedKeys) };
    }
    if let Some(bytes) = shared.guard_keys.fetched(&hash) {
        return Ok(bytes);
    }
    let bytes = shared.peers.fetch(custodian, &Wanted { kind, of: None, hash, limit }).await?;
    shared.guard_keys.keep(&hash, &bytes)?;
    Ok(bytes)
}

/// As aggregator: adds up what the hospitals sealed to this one, pads every group of the joint cells, and seals the seeds
/// of the pads so that the custodian can read those of groups that pass.
pub(super) async fn seal(
    shared: &Arc<Shared>,
    round: &GuardedRound,
    contributions: &[(HospitalId, ContentHash)],
) -> Result<Payload, RoleError> {
    let (study, number) = (round.study, round.round);
    let kept = |piece| shared.rounds.get(&study, number, piece);
    let payload = |sum: &[u8], seeds: &[u8]| {
        Payload::SealSum(SealSum { study, round: number, sum: blob(sum), seeds: blob(seeds) })
    };
    // The seeds are kept after the sum: where they are, both are.
    if let (Some(sum), Some(seeds)) = (kept(Piece::Sum)?, kept(Piece::Seeds)?) {
        return Ok(payload(&sum, &seeds));
    }
    let plan = round.plan(shared)?;
    let own = shared.guard_keys.sealing_key()?;
    let (mut cells, mut counts) = (Vec::new(), Vec::new());
    for (hospital, committed) in contributions {
        let sealed = if *hospital == shared.hospital {
            kept(Piece::Contribution)?.ok_or(RoleError::Contribution(*hospital))?
        } else {
            shared
                .peers
                .fetch(*hospital, &Wanted::of_round(BlobKind::Contribution, (study, number), *committed))
                .await?
        };
        let opened = own.open(&round.context(shared, Content::Contribution, *hospital), &sealed);
        let opened = opened.map_err(|error| RoleError::Sealing { from: *hospital, error })?;
        let parts: Parts = borsh::from_slice(&opened).map_err(|_| RoleError::Contribution(*hospital))?;
        let unusable = |_| RoleError::Contribution(*hospital);
        cells.push(EncryptedCells::from_bytes(&parts.cells).map_err(unusable)?);
        counts.push(GuardContribution::from_bytes(&parts.counts).map_err(|_| RoleError::Contribution(*hospital))?);
    }
    let public = GuardPublicKey::from_bytes(&public_key(shared, &round.roles).await?)?;
    let server = server_key(shared, &round.roles).await?;
    let server_hash = round.roles.server_key.hash;

    let (shared_there, pads) = (shared.clone(), round.pads());
    let computing = tokio::task::spawn_blocking(move || -> Result<(Vec<u8>, Vec<u8>), RoleError> {
        let server = shared_there.guard_keys.prepare(server_hash, &server)?;
        let started = std::time::Instant::now();
        let counts = consilium_engine::guard::combine(&counts, &plan.shape)?;
        let SealedRound { sealed, seeds } = Aggregator::new(&plan.shape, &server, &public)?.seal(&counts)?;
        let mut sum = combine(&cells)?;
        pad(&mut sum, &plan.groups, seeds.get(..plan.groups.len()).unwrap_or_default(), &pads)?;
        let ms = started.elapsed().as_millis() as u64;
        info!(
            study = pads.study.short(),
            groups = plan.groups.len(),
            ms,
            "groups compared with the threshold under encryption"
        );
        Ok((sum.to_bytes(), sealed.to_bytes()))
    });
    let (sum, seeds) = computing.await.map_err(|_| RoleError::Stopped)??;
    shared.rounds.keep(&study, number, Piece::Sum, &sum)?;
    shared.rounds.keep(&study, number, Piece::Seeds, &seeds)?;
    Ok(payload(&sum, &seeds))
}

/// As custodian: reads the seeds of the groups that passed, and seals them to the researcher. As long as there are groups,
/// whatever passed.
pub(super) async fn disclose(
    shared: &Arc<Shared>,
    round: &GuardedRound,
    aggregator: HospitalId,
    sum: ContentHash,
    seeds: ContentHash,
) -> Result<Payload, RoleError> {
    let (study, number) = (round.study, round.round);
    let payload = |sealed: &[u8]| Payload::DiscloseSeeds(DiscloseSeeds { study, round: number, seeds: blob(sealed) });
    if let Some(sealed) = shared.rounds.get(&study, number, Piece::DisclosedSeeds)? {
        return Ok(payload(&sealed));
    }
    // The padded sum too: when this hospital has disclosed, the round can be released without the aggregator.
    let wanted = Wanted::of_round(BlobKind::Sum, (study, number), sum);
    let sum = shared.peers.fetch(aggregator, &wanted).await?;
    shared.rounds.keep(&study, number, Piece::Sum, &sum)?;
    let wanted = Wanted::of_round(BlobKind::Seeds, (study, number), seeds);
    let seeds = SealedSeeds::from_bytes(&shared.peers.fetch(aggregator, &wanted).await?)?;
    let (plan, secret) = (round.plan(shared)?, shared.guard_keys.secret_key()?);
    let reading = tokio::task::spawn_blocking(move || reveal(&seeds, &secret, &plan.shape));
    let seeds = reading.await.map_err(|_| RoleError::Stopped)??;
    let plain = zeroize::Zeroizing::new(
        seeds
            .iter()
            .flat_map(|seed| seed.as_ref().map_or([0; Seed::BYTES], |seed| *seed.as_bytes()))
            .collect::<Vec<u8>>(),
    );
    let own = shared.hospital;
    let sealed = sealing::seal(&round.researcher, &round.context(shared, Content::Seeds, own), &plain);
    let sealed = sealed.map_err(|error| RoleError::Sealing { from: own, error })?;
    shared.rounds.keep(&study, number, Piece::DisclosedSeeds, &sealed)?;
    info!(study = study.short(), "what passed is sealed to the researcher");
    Ok(payload(&sealed))
}

/// Keeps the padded sum and the disclosed seeds of a guarded round that is or can be released, so that the researcher can
/// fetch them here, too. Of a round that is not guarded, there is nothing to keep.
pub(super) async fn keep(shared: &Shared, study: StudyId, number: RoundNumber) -> Result<(), RoleError> {
    let read = shared.chain.read(|state| {
        let guard = state.study(&study)?.course.round(number)?.guard?;
        Some((guard.roles, guard.sealed?.sum.hash, guard.disclosed?.seeds.hash))
    });
    let Some((roles, sum, seeds)) = read.ok().flatten() else { return Ok(()) };
    let pieces = [(Piece::Sum, BlobKind::Sum, sum), (Piece::DisclosedSeeds, BlobKind::DisclosedSeeds, seeds)];
    for (piece, kind, hash) in pieces {
        if shared.rounds.get(&study, number, piece)?.is_some_and(|bytes| hash::content(&bytes) == hash) {
            continue;
        }
        let wanted = Wanted::of_round(kind, (study, number), hash);
        // The custodian has both before it says so; the aggregator has the sum.
        let bytes = match shared.peers.fetch(roles.custodian, &wanted).await {
            Ok(bytes) => bytes,
            Err(_) => shared.peers.fetch(roles.aggregator, &wanted).await?,
        };
        shared.rounds.keep(&study, number, piece, &bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_to_the_aggregator_has_these_bytes() {
        let parts = Parts { cells: vec![1, 2], counts: vec![3] };
        let bytes = parts.to_bytes();
        assert_eq!(hex::encode(&bytes), "0200000001020100000003");
        for end in 0..bytes.len() {
            assert!(borsh::from_slice::<Parts>(&bytes[..end]).is_err());
        }
        assert!(borsh::from_slice::<Parts>(&[bytes, vec![0]].concat()).is_err());
    }
}
