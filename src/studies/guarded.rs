//! The roles of a guarded round, between ledger and vault: the aggregator adds up and seals, the custodian discloses.
//!
//! What either makes is on disk before its hash is on the ledger, and is made once: a second
//! padded sum of the same round, under other pads, would let their difference be seen.

use consilium_engine::disclosure::across::Repeatable;
use consilium_engine::disclosure::guarded as engine;
use consilium_engine::guard::{GuardPublicKey, GuardServerKey};
use consilium_ledger::state::study::Roles;
use consilium_protocol::hash;
use consilium_protocol::ids::{ContentHash, HospitalId, RoundNumber, StudyId};
use consilium_protocol::kem::KemPublicKey;
use consilium_protocol::study::StudySpec;
use consilium_protocol::tx::{Blob, DiscloseSeeds, Fault, KeySet, Payload, SealSum, VeilCommitment, Witness};
use consilium_protocol::wire::BlobKind;
use tracing::info;

use super::Studies;
use super::blame::{self, Owed, Wrong};
use super::examine::examine;
use super::rounds::Piece;
use crate::home::FileError;
use crate::replica::Replica;
use crate::replica::peers::{FetchError, Wanted};
use crate::vault::{DiscloseTask, Passed, RoleError, SealTask, SealedSum};

/// Why a role was not done. Carries no number of anyone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuardedError {
    /// The vault could not do it.
    #[error(transparent)]
    Role(#[from] RoleError),
    /// A ciphertext or key could not be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Another hospital does not give what it committed to.
    #[error(transparent)]
    Owed(#[from] Box<Owed>),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The own contribution is not on disk any more.
    #[error("the own contribution of this round is lost; the round fails at its deadline")]
    Lost,
    /// The ledger has no such guarded round.
    #[error("the ledger has no such guarded round; wait for the next block")]
    NoRound,
}

/// What the ledger says of a guarded round, for those who have a role in it.
pub(super) struct GuardedRound {
    pub(super) study: StudyId,
    pub(super) round: RoundNumber,
    pub(super) spec: StudySpec,
    pub(super) roles: Roles,
    /// The sets of keys that the custodian registered beside the drawn one, with what it says that they are made of.
    spare: Vec<(KeySet, [u8; 32])>,
    /// What each hospital of the roster said of its veil, once it has contributed.
    pub(super) veils: Vec<(HospitalId, VeilCommitment)>,
    /// To which a custodian seals what passed.
    pub(super) researcher: KemPublicKey,
    /// The studies that the round may repeat, in the order of the ledger, with what the custodian said of each.
    repeatable: Vec<(StudySpec, Vec<u8>)>,
}

impl GuardedRound {
    /// Reads the round from the ledger; `None` when it is not there, or not guarded.
    pub(super) fn read(replica: &Replica, study: &StudyId, number: RoundNumber) -> Option<Self> {
        let read = replica.chain.read(|state| {
            let found = state.study(study)?;
            let round = found.course.round(number)?;
            let repeatable = state.repeatable(study, number).into_iter().filter_map(|(study, round)| {
                let found = state.study(&study)?;
                Some((found.proposal.spec.clone(), found.course.round(round)?.passed.clone()))
            });
            Some(Self {
                study: *study,
                round: number,
                spec: found.proposal.spec.clone(),
                roles: round.guard?.roles,
                spare: round.spare.sets.iter().copied().zip(round.spare.seeds.iter().copied()).collect(),
                veils: round.contributions.iter().filter_map(|(id, c)| Some((*id, c.veil?))).collect(),
                researcher: found.proposal.sealing_key,
                repeatable: repeatable.collect(),
            })
        });
        read.ok().flatten()
    }
}

impl GuardedRound {
    /// The custodian's keys, which are drawn before anybody needs them.
    fn keys(&self) -> Result<KeySet, GuardedError> {
        self.roles.keys.ok_or(GuardedError::NoRound)
    }

    /// The studies that the round may repeat. What a custodian did not say of all its sets is not.
    pub(super) fn repeatable(&self) -> Vec<Repeatable> {
        let one = |(spec, passed): &(StudySpec, Vec<u8>)| {
            let released = engine::released(spec, passed).ok()?;
            (passed.len() * 8 >= released.len()).then(|| Repeatable { spec: spec.clone(), released })
        };
        self.repeatable.iter().filter_map(one).collect()
    }
}

fn blob(bytes: &[u8]) -> Blob {
    Blob { hash: hash::content(bytes), bytes: bytes.len() as u64 }
}

/// The custodian's public key: the one that is here, or the one fetched now.
pub(super) async fn public_key(studies: &Studies, round: &GuardedRound) -> Result<Vec<u8>, GuardedError> {
    let wanted = (BlobKind::GuardPublicKey, round.keys()?.public_key.hash, GuardPublicKey::ENCODED_BYTES);
    key_of_custodian(studies, round, wanted).await
}

/// Looks whether the custodian's sets of keys that were not drawn are what they should be: the one that was is then not likely to be
/// anything else.
pub(super) async fn check_key_sets(studies: &Studies, round: &GuardedRound) -> Result<(), GuardedError> {
    let custodian = round.roles.custodian;
    if round.spare.is_empty() || custodian == studies.replica.hospital {
        return Ok(());
    }
    if studies.vault.are_made_of(round.spare.clone()).await? {
        return Ok(());
    }
    let of = (round.study, round.round);
    Err(Box::new(Owed { of, hospital: custodian, fault: Fault::KeySets, wrong: Wrong::KeySets(custodian) }).into())
}

/// The custodian's server key, likewise.
async fn server_key(studies: &Studies, round: &GuardedRound) -> Result<Vec<u8>, GuardedError> {
    let wanted = (BlobKind::GuardServerKey, round.keys()?.server_key.hash, GuardServerKey::ENCODED_BYTES);
    key_of_custodian(studies, round, wanted).await
}

async fn key_of_custodian(
    studies: &Studies,
    round: &GuardedRound,
    (kind, hash, limit): (BlobKind, ContentHash, usize),
) -> Result<Vec<u8>, GuardedError> {
    if let Some(bytes) = studies.vault.guard_key(&hash) {
        return Ok(bytes);
    }
    let (of, wanted) = ((round.study, round.round), Wanted { kind, of: None, hash, limit });
    let bytes = blame::fetch(studies, of, round.roles.custodian, (Fault::Keys, &wanted)).await?;
    studies.vault.keep_guard_key(&hash, &bytes)?;
    Ok(bytes)
}

/// As aggregator: has what the hospitals sealed to this one added up, padded and sealed to the custodian.
pub(super) async fn seal(
    studies: &Studies,
    round: &GuardedRound,
    contributions: &[(HospitalId, ContentHash)],
) -> Result<Payload, GuardedError> {
    let (study, number, rounds) = (round.study, round.round, &studies.kept.rounds);
    let payload = |sum: &[u8], seeds: &[u8]| {
        Payload::SealSum(SealSum { study, round: number, sum: blob(sum), seeds: blob(seeds) })
    };
    // The seeds are kept after the sum: where they are, both are.
    let kept = |piece| rounds.get(&study, number, piece);
    if let (Some(sum), Some(seeds)) = (kept(Piece::Sum)?, kept(Piece::Seeds)?) {
        return Ok(payload(&sum, &seeds));
    }
    examine(studies, study, number).await?;
    let mut sealed = Vec::with_capacity(contributions.len());
    for (hospital, committed) in contributions {
        let bytes = if *hospital == studies.replica.hospital {
            kept(Piece::Contribution)?.ok_or(GuardedError::Lost)?
        } else {
            let wanted = Wanted::of_round(BlobKind::Contribution, (study, number), *committed);
            blame::fetch(studies, (study, number), *hospital, (Fault::Contribution, &wanted)).await?
        };
        sealed.push((*hospital, bytes));
    }
    let public_key = public_key(studies, round).await?;
    let server_key = server_key(studies, round).await?;
    let spec = round.spec.clone();
    let sealing_key = round.roles.sealing_key;
    let repeatable = round.repeatable();
    let contributions = sealed;
    let task = SealTask { study, round: number, spec, contributions, sealing_key, public_key, server_key, repeatable };
    let SealedSum { sum, seeds } = studies.vault.seal(task).await?;
    rounds.keep(&study, number, Piece::Sum, &sum)?;
    rounds.keep(&study, number, Piece::Seeds, &seeds)?;
    Ok(payload(&sum, &seeds))
}

/// As witness: has what the aggregator decides repeated on the counts alone.
pub(super) async fn witness(
    studies: &Studies,
    round: &GuardedRound,
    counts: &[(HospitalId, ContentHash)],
) -> Result<Payload, GuardedError> {
    let (of, rounds) = ((round.study, round.round), &studies.kept.rounds);
    let (study, number) = of;
    let payload = |seeds: &[u8]| Payload::Witness(Witness { study, round: number, seeds: blob(seeds) });
    if let Some(seeds) = rounds.get(&study, number, Piece::WitnessSeeds)? {
        return Ok(payload(&seeds));
    }
    examine(studies, study, number).await?;
    let mut sealed = Vec::with_capacity(counts.len());
    for (hospital, committed) in counts {
        let bytes = if *hospital == studies.replica.hospital {
            rounds.get(&study, number, Piece::Counts)?.ok_or(GuardedError::Lost)?
        } else {
            let wanted = Wanted::of_round(BlobKind::Counts, of, *committed);
            blame::fetch(studies, of, *hospital, (Fault::Counts, &wanted)).await?
        };
        sealed.push((*hospital, bytes));
    }
    let public_key = public_key(studies, round).await?;
    let server_key = server_key(studies, round).await?;
    let sealing_key = round.roles.witness.ok_or(GuardedError::NoRound)?.sealing_key;
    let (spec, repeatable) = (round.spec.clone(), round.repeatable());
    let contributions = sealed;
    let task = SealTask { study, round: number, spec, contributions, sealing_key, public_key, server_key, repeatable };
    let seeds = studies.vault.witness(task).await?;
    rounds.keep(&study, number, Piece::WitnessSeeds, &seeds)?;
    Ok(payload(&seeds))
}

/// As custodian: has the seeds of the groups that passed read, and sealed to the researcher.
pub(super) async fn disclose(
    studies: &Studies,
    round: &GuardedRound,
    (aggregator, sum, seeds): (HospitalId, ContentHash, ContentHash),
    witness: Option<(HospitalId, ContentHash)>,
) -> Result<Payload, GuardedError> {
    let (study, number, rounds) = (round.study, round.round, &studies.kept.rounds);
    let payload = |sealed: &[u8], passed: Vec<u8>| {
        Payload::DiscloseSeeds(DiscloseSeeds { study, round: number, seeds: blob(sealed), passed })
    };
    // Which passed is kept before the seeds: where they are, both are.
    let kept = |piece| rounds.get(&study, number, piece);
    if let (Some(sealed), Some(passed)) = (kept(Piece::DisclosedSeeds)?, kept(Piece::Passed)?) {
        return Ok(payload(&sealed, passed));
    }
    examine(studies, study, number).await?;
    // The padded sum too: when this hospital has disclosed, the round can be released without the aggregator.
    let wanted = Wanted::of_round(BlobKind::Sum, (study, number), sum);
    let of = (study, number);
    let sum = blame::fetch(studies, of, aggregator, (Fault::Sum, &wanted)).await?;
    rounds.keep(&study, number, Piece::Sum, &sum)?;
    let wanted = Wanted::of_round(BlobKind::Seeds, (study, number), seeds);
    let seeds = blame::fetch(studies, of, aggregator, (Fault::Sum, &wanted)).await?;
    let witnessed = match witness {
        Some((witness, hash)) => {
            let wanted = Wanted::of_round(BlobKind::WitnessSeeds, of, hash);
            Some(blame::fetch(studies, of, witness, (Fault::Witness, &wanted)).await?)
        }
        None => None,
    };
    let mut veils = Vec::with_capacity(round.veils.len());
    for (hospital, veil) in &round.veils {
        let letter = if *hospital == studies.replica.hospital {
            rounds.get(&study, number, Piece::Veil)?.ok_or(GuardedError::Lost)?
        } else {
            let wanted = Wanted::of_round(BlobKind::Veil, of, veil.sealed.hash);
            blame::fetch(studies, of, *hospital, (Fault::Veil, &wanted)).await?
        };
        veils.push((*hospital, letter, veil.keys));
    }
    let (researcher, spec) = (round.researcher, round.spec.clone());
    let (public_key, veil_key) = (round.keys()?.public_key.hash, round.roles.veil_key);
    let task = DiscloseTask { study, round: number, spec, veils, veil_key, seeds, witnessed, researcher, public_key };
    let Passed { sealed, sets } = studies.vault.disclose(task).await?;
    rounds.keep(&study, number, Piece::Passed, &sets)?;
    rounds.keep(&study, number, Piece::DisclosedSeeds, &sealed)?;
    info!(study = study.short(), "what passed is sealed to the researcher");
    Ok(payload(&sealed, sets))
}

/// Keeps the padded sum and the disclosed seeds of a guarded round that is or can be released, so that the researcher can
/// fetch them here, too. Of a round that is not guarded, there is nothing to keep.
pub(super) async fn keep(studies: &Studies, study: StudyId, number: RoundNumber) -> Result<(), GuardedError> {
    let read = studies.replica.chain.read(|state| {
        let guard = state.study(&study)?.course.round(number)?.guard?;
        Some((guard.roles, guard.sealed?.sum.hash, guard.disclosed?.seeds.hash))
    });
    let Some((roles, sum, seeds)) = read.ok().flatten() else { return Ok(()) };
    let pieces = [(Piece::Sum, BlobKind::Sum, sum), (Piece::DisclosedSeeds, BlobKind::DisclosedSeeds, seeds)];
    for (piece, kind, hash) in pieces {
        if studies.kept.rounds.get(&study, number, piece)?.is_some_and(|bytes| hash::content(&bytes) == hash) {
            continue;
        }
        let (of, wanted) = ((study, number), Wanted::of_round(kind, (study, number), hash));
        // The custodian has both before it says so.
        let bytes = blame::fetch(studies, of, roles.custodian, (Fault::Disclosed, &wanted)).await?;
        studies.kept.rounds.keep(&study, number, piece, &bytes)?;
    }
    Ok(())
}
