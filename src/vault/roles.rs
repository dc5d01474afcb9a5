//! The computing of a guarded round's roles: the aggregator adds up and seals, the custodian reveals.
//!
//! The aggregator sees ciphertexts under the researcher's key and under the custodian's, and has neither. The custodian
//! sees which groups passed. Who asks keeps what comes of it, and asks once: a second padded sum of the same round, under
//! other pads, would let their difference be seen.

use borsh::{BorshDeserialize, BorshSerialize};
use consilium_engine::cells::{BlindingError, BlindingRoster, BlindingRound, CiphertextError, EncryptedCells, combine};
use consilium_engine::disclosure::across::Repeatable;
use consilium_engine::disclosure::guarded::{self, GuardPlanError};
use consilium_engine::guard::{
    Aggregator, Disclosed, GuardContribution, GuardError, GuardPublicKey, GuardSecretKey, GuardShape, PadRound,
    SealedRound, SealedSeeds, Seed, VeilSeed, Veils, pad, reveal, reveal_both,
};
use consilium_protocol::ids::{ContentHash, HospitalId, LedgerId, RoundNumber, StudyId};
use consilium_protocol::kem::{KemPublicKey, KemSecretKey};
use consilium_protocol::sealing::{self, Content, Context, SealingError};
use consilium_protocol::study::StudySpec;
use tracing::info;

use super::Vault;
use super::guard_keys::GuardKeyError;

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
    /// What a hospital wrote of its veil is not what it committed to.
    #[error("hospital {0:?} told this custodian another veil than it committed to; nothing can be disclosed")]
    Veil(HospitalId),
    /// The roster cannot be.
    #[error(transparent)]
    Roster(#[from] BlindingError),
    /// What a hospital sealed is no contribution.
    #[error("hospital {0:?} sealed something that is no contribution to a guarded round; it is not used")]
    Contribution(HospitalId),
    /// The own keys cannot be used.
    #[error(transparent)]
    Keys(#[from] GuardKeyError),
    /// The computation was given up, for the node stops.
    #[error("the node stops; it will be done after the next start")]
    Stopped,
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

/// What the aggregator of a guarded round is asked.
#[derive(Debug)]
pub struct SealTask {
    /// The study.
    pub study: StudyId,
    /// The round.
    pub round: RoundNumber,
    /// What was computed.
    pub spec: StudySpec,
    /// What each hospital of the roster sealed to this one.
    pub contributions: Vec<(HospitalId, Vec<u8>)>,
    /// The own key to which they did.
    pub sealing_key: KemPublicKey,
    /// The custodian's public key.
    pub public_key: Vec<u8>,
    /// The custodian's server key.
    pub server_key: Vec<u8>,
    /// The studies that the round may repeat, in the order of the ledger.
    pub repeatable: Vec<Repeatable>,
}

/// What the aggregator answers.
#[derive(Debug)]
pub struct SealedSum {
    /// The sum of all cells, padded group by group.
    pub sum: Vec<u8>,
    /// The seeds of the pads, which the custodian can read where groups passed.
    pub seeds: Vec<u8>,
}

/// What the custodian of a guarded round is asked.
#[derive(Debug)]
pub struct DiscloseTask {
    /// The study.
    pub study: StudyId,
    /// The round.
    pub round: RoundNumber,
    /// What was computed.
    pub spec: StudySpec,
    /// What each hospital of the roster, in its order, wrote of its veil: the letter, and the hash of the commitments to its keys
    /// as the ledger has it.
    pub veils: Vec<(HospitalId, Vec<u8>, ContentHash)>,
    /// The own key to which the seeds in the letters are sealed.
    pub veil_key: KemPublicKey,
    /// The seeds, as the aggregator sealed them.
    pub seeds: Vec<u8>,
    /// Those that the witness sealed, where there is one.
    pub witnessed: Option<Vec<u8>>,
    /// To whom those that passed are sealed.
    pub researcher: KemPublicKey,
    /// The own public key that the round was opened with.
    pub public_key: ContentHash,
}

/// What the custodian answers.
#[derive(Debug)]
pub struct Passed {
    /// What opens the sets that passed, sealed to the researcher.
    pub sealed: Vec<u8>,
    /// Which they are, one bit each, the lowest bit of a byte first.
    pub sets: Vec<u8>,
}

impl Vault {
    /// As aggregator: adds up what the hospitals sealed to this one, pads every group of the joint cells, and seals the
    /// seeds of the pads so that the custodian can read those of groups that pass.
    ///
    /// # Errors
    /// [`RoleError`].
    pub async fn seal(&self, task: SealTask) -> Result<SealedSum, RoleError> {
        let SealTask { study, round, spec, contributions, sealing_key, public_key, server_key, repeatable } = task;
        let plan = guarded::plan(&spec, &self.terms.policy, contributions.len(), &repeatable)?;
        let own = self.guard_keys.sealing_key(&sealing_key)?;
        let (mut cells, mut counts) = (Vec::new(), Vec::new());
        for (from, sealed) in contributions {
            let context = Context { content: Content::Contribution, ledger: &self.terms.ledger, study, round, from };
            let opened = sealing::open(&own, &context, &sealed).map_err(|error| RoleError::Sealing { from, error })?;
            let parts: Parts = borsh::from_slice(&opened).map_err(|_| RoleError::Contribution(from))?;
            let own_cells = EncryptedCells::from_bytes(&parts.cells).map_err(|_| RoleError::Contribution(from))?;
            let own_counts = GuardContribution::from_bytes(&parts.counts).map_err(|_| RoleError::Contribution(from))?;
            // One that counts for several would make a sum that nobody can open.
            if (own_cells.contributions(), own_counts.contributions()) != (1, 1) {
                return Err(RoleError::Contribution(from));
            }
            cells.push(own_cells);
            counts.push(own_counts);
        }
        let public = GuardPublicKey::from_bytes(&public_key)?;
        let keys = self.guard_keys.clone();
        let computing = tokio::task::spawn_blocking(move || -> Result<SealedSum, RoleError> {
            let server = keys.prepare(&server_key)?;
            let started = std::time::Instant::now();
            let counts = consilium_engine::guard::combine(&counts, &plan.shape)?;
            let SealedRound { sealed, seeds } = Aggregator::new(&plan.shape, &server, &public)?.seal(&counts)?;
            let mut sum = combine(&cells)?;
            pad(&mut sum, &plan.groups, &seeds, &PadRound { study, round })?;
            let ms = started.elapsed().as_millis() as u64;
            info!(
                study = study.short(),
                groups = plan.compared(),
                ms,
                "groups compared with the threshold under encryption"
            );
            Ok(SealedSum { sum: sum.to_bytes(), seeds: sealed.to_bytes() })
        });
        computing.await.map_err(|_| RoleError::Stopped)?
    }

    /// As witness: repeats what the aggregator decides, on the counts alone, and seals seeds by it that serve for nothing else.
    ///
    /// # Errors
    /// [`RoleError`].
    pub async fn witness(&self, task: SealTask) -> Result<Vec<u8>, RoleError> {
        let SealTask { study, round, spec, contributions, sealing_key, public_key, server_key, repeatable } = task;
        let plan = guarded::plan(&spec, &self.terms.policy, contributions.len(), &repeatable)?;
        let own = self.guard_keys.sealing_key(&sealing_key)?;
        let counts = contributions.into_iter().map(|(from, sealed)| {
            let context = Context { content: Content::Counts, ledger: &self.terms.ledger, study, round, from };
            let opened = sealing::open(&own, &context, &sealed).map_err(|error| RoleError::Sealing { from, error })?;
            let counts = GuardContribution::from_bytes(&opened).map_err(|_| RoleError::Contribution(from))?;
            if counts.contributions() == 1 { Ok(counts) } else { Err(RoleError::Contribution(from)) }
        });
        let counts = counts.collect::<Result<Vec<_>, RoleError>>()?;
        let public = GuardPublicKey::from_bytes(&public_key)?;
        let keys = self.guard_keys.clone();
        let computing = tokio::task::spawn_blocking(move || -> Result<Vec<u8>, RoleError> {
            let server = keys.prepare(&server_key)?;
            let counts = consilium_engine::guard::combine(&counts, &plan.shape)?;
            let SealedRound { sealed, .. } = Aggregator::new(&plan.shape, &server, &public)?.seal(&counts)?;
            info!(study = study.short(), groups = plan.compared(), "what was decided under encryption is repeated");
            Ok(sealed.to_bytes())
        });
        computing.await.map_err(|_| RoleError::Stopped)?
    }

    /// As custodian: reads the seeds of the groups that passed, and seals them to the researcher. As long as there are
    /// groups, whatever passed.
    ///
    /// # Errors
    /// [`RoleError`].
    pub async fn disclose(&self, task: DiscloseTask) -> Result<Passed, RoleError> {
        let seeds = SealedSeeds::from_bytes(&task.seeds)?;
        // What it repeats decides what passes, not what is read of it.
        let plan = guarded::plan(&task.spec, &self.terms.policy, task.veils.len(), &[])?;
        let veils = self.veils(&task, plan.shape.seeds())?;
        let secret = self.guard_keys.secret_key(&task.public_key)?;
        let witnessed = task.witnessed.as_deref().map(SealedSeeds::from_bytes).transpose()?;
        let reading = tokio::task::spawn_blocking(move || read(&seeds, witnessed.as_ref(), &secret, &plan.shape));
        let seeds = reading.await.map_err(|_| RoleError::Stopped)??;
        let mut passed = vec![0u8; seeds.len().div_ceil(8)];
        for (set, _) in seeds.iter().enumerate().filter(|(_, seed)| seed.is_some()) {
            passed[set / 8] |= 1 << (set % 8);
        }
        let commitments: Vec<Vec<u8>> = veils.iter().map(Veils::commitments).collect();
        let plain = Disclosed::of(seeds, &veils)?.to_bytes(&commitments);
        let (ledger, from) = (&self.terms.ledger, self.terms.hospital);
        let context = Context { content: Content::Seeds, ledger, study: task.study, round: task.round, from };
        let sealed =
            sealing::seal(&task.researcher, &context, &plain).map_err(|error| RoleError::Sealing { from, error })?;
        Ok(Passed { sealed, sets: passed })
    }
}

/// The seeds that a custodian reads: where there is a witness, of the sets that it let pass, too.
fn read(
    sealed: &SealedSeeds,
    witnessed: Option<&SealedSeeds>,
    secret: &GuardSecretKey,
    shape: &GuardShape,
) -> Result<Vec<Option<Seed>>, RoleError> {
    Ok(match witnessed {
        Some(witnessed) => reveal_both(sealed, witnessed, secret, shape)?,
        None => reveal(sealed, secret, shape)?,
    })
}

impl Vault {
    /// The veils of a round, by hospital.
    fn veils(&self, task: &DiscloseTask, sets: usize) -> Result<Vec<Veils>, RoleError> {
        let own = self.guard_keys.sealing_key(&task.veil_key)?;
        veils(&own, (&self.terms.ledger, task.study, task.round), &task.veils, sets)
    }
}

/// The veils of a round, by hospital: each from its seed, and held against what the ledger has of it.
fn veils(
    own: &KemSecretKey,
    (ledger, study, round): (&LedgerId, StudyId, RoundNumber),
    letters: &[(HospitalId, Vec<u8>, ContentHash)],
    sets: usize,
) -> Result<Vec<Veils>, RoleError> {
    let roster = BlindingRoster::new(letters.iter().map(|(id, ..)| *id).collect())?;
    let of = BlindingRound { ledger, study, round, roster: &roster };
    let veil = |(from, letter, committed): &(HospitalId, Vec<u8>, ContentHash)| {
        let context = Context { content: Content::Veil, ledger, study, round, from: *from };
        let (_, sealed) = letter.split_at_checked(32).ok_or(RoleError::Veil(*from))?;
        let opened = sealing::open(own, &context, sealed).map_err(|_| RoleError::Veil(*from))?;
        let seed = VeilSeed::from_bytes(&opened).ok_or(RoleError::Veil(*from))?;
        let veils = Veils::derive(&seed, &of, *from, sets);
        if veils.commitment() == *committed { Ok(veils) } else { Err(RoleError::Veil(*from)) }
    };
    letters.iter().map(veil).collect()
}

#[cfg(test)]
mod tests {
    use consilium_engine::cells::PairSecrets;
    use consilium_engine::guard::{Bar, Gates, GuardBlinds, GuardKeys, GuardServerKey, contribute};
    use consilium_protocol::pairing::PairSecret;
    use zeroize::Zeroizing;

    use super::*;

    const LEDGER: LedgerId = LedgerId::from_bytes([8; 32]);
    const STUDY: StudyId = StudyId::from_bytes([1; 32]);
    const ROUND: RoundNumber = RoundNumber::new(0);

    fn hospital(name: u8) -> HospitalId {
        HospitalId::from_public_key([name; 32])
    }

    #[test]
    fn a_custodian_reads_what_aggregator_and_witness_both_let_pass() {
        let shape = GuardShape::new(3, Bar::at(11), vec![false; 3], Gates::independent(3)).expect("a shape");
        let keys = GuardKeys::generate().expect("randomness");
        let server = GuardServerKey::from_bytes(&keys.server).expect("a server key");
        let roster = BlindingRoster::new((1..=3).map(hospital).collect()).expect("a roster");
        let round = BlindingRound { ledger: &LEDGER, study: STUDY, round: ROUND, roster: &roster };
        let secrets: PairSecrets = (1..=3).map(|i| (hospital(i), PairSecret::from_bytes([9; 32]))).collect();
        // Whoever decides by other counts than agreed lets others pass.
        let sealed = |counts: [u64; 3]| {
            let one = |i| {
                let blinds = GuardBlinds::derive(&round, hospital(i), &secrets, &shape).expect("blinds");
                contribute(&counts, &shape, blinds, &keys.public).expect("a contribution")
            };
            let sum = consilium_engine::guard::combine(&[one(1), one(2), one(3)], &shape).expect("a sum");
            Aggregator::new(&shape, &server, &keys.public)
                .expect("keys of one custodian")
                .seal(&sum)
                .expect("sealed")
                .sealed
        };
        let (all, some) = (sealed([9; 3]), sealed([9, 1, 9]));
        let passed = |aggregator: &SealedSeeds, witness: Option<&SealedSeeds>| -> Vec<bool> {
            let seeds = read(aggregator, witness, &keys.secret, &shape).expect("read");
            seeds.iter().map(Option::is_some).collect()
        };
        assert_eq!(passed(&all, None), [true; 3]);
        assert_eq!(passed(&all, Some(&some)), [true, false, true], "the witness did not let it pass");
        assert_eq!(passed(&some, Some(&all)), [true, false, true], "nor the aggregator here");
    }

    #[test]
    fn a_veil_is_the_one_that_its_hospital_committed_to() {
        let own = KemSecretKey::from_seed(Zeroizing::new([5; 32]));
        let roster = BlindingRoster::new((1..=3).map(hospital).collect()).expect("a roster");
        let round = BlindingRound { ledger: &LEDGER, study: STUDY, round: ROUND, roster: &roster };
        let letter = |i: u8| {
            let seed = VeilSeed::random().expect("randomness");
            let context =
                Context { content: Content::Veil, ledger: &LEDGER, study: STUDY, round: ROUND, from: hospital(i) };
            let sealed = sealing::seal(&own.public_key(), &context, seed.as_bytes()).expect("sealed");
            let committed = Veils::derive(&seed, &round, hospital(i), 2).commitment();
            (hospital(i), [&committed.as_bytes()[..], &sealed].concat(), committed)
        };
        let read = |letters: &[_]| veils(&own, (&LEDGER, STUDY, ROUND), letters, 2);
        let letters = [letter(1), letter(2), letter(3)];
        let found = read(&letters).expect("as committed to");
        assert!(found.iter().zip(&letters).all(|(veils, (.., committed))| veils.commitment() == *committed));
        // Another seed than the one whose keys are on the ledger; a letter for another; none.
        let mut others = letters.clone();
        others[1].1 = letter(2).1;
        assert!(matches!(read(&others), Err(RoleError::Veil(of)) if of == hospital(2)));
        others[1].1 = letters[2].1.clone();
        assert!(matches!(read(&others), Err(RoleError::Veil(of)) if of == hospital(2)));
        others[1].1.truncate(20);
        assert!(matches!(read(&others), Err(RoleError::Veil(of)) if of == hospital(2)));
    }

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
