//! A hospital's part of a round: computed, blinded and encrypted.

use std::time::Duration;

use consilium_engine::cells::{BlindingRoster, BlindingRound, Blinds, EncryptionSeed, StudyPublicKey};
use consilium_engine::disclosure::guarded;
use consilium_engine::guard::{GuardBlinds, GuardPublicKey, VeilSeed, Veils};
use consilium_engine::privacy::NoisePlan;
use consilium_engine::rerun::Basis;
use consilium_engine::statistics::Layout;
use consilium_protocol::consent::Roll;
use consilium_protocol::hash;
use consilium_protocol::ids::{ContentHash, HospitalId, RoundNumber, StudyId};
use consilium_protocol::kem::KemPublicKey;
use consilium_protocol::policy::DisclosurePolicy;
use consilium_protocol::privacy::MicroRho;
use consilium_protocol::sealing::{self, Content, Context};
use consilium_protocol::study::{Protection, StudySpec};
use consilium_protocol::tx::{Blob, VeilCommitment};

use super::Vault;
use super::cohorts::History;
use super::compute::{Computed, Question, compute};
use super::error::VaultError;
use super::examine::Proof;
use super::pairs::Partner;
use super::roles::Parts;
use crate::worker::{Against, Before, repeatable};

/// What a round asks of this hospital, as the ledger says.
#[derive(Debug)]
pub struct Task {
    /// The study.
    pub study: StudyId,
    /// The round.
    pub round: RoundNumber,
    /// What is computed.
    pub spec: StudySpec,
    /// Under which key it is encrypted.
    pub public_key: Vec<u8>,
    /// Who contributes, this hospital among them.
    pub roster: Vec<HospitalId>,
    /// This hospital's key for the pairs of the study, as its approval says.
    pub pair_key: KemPublicKey,
    /// How this hospital comes by what it shares with each other one of the roster.
    pub partners: Vec<Partner>,
    /// What this hospital's patients allow.
    pub roll: Roll,
    /// How long it is until the round's deadline.
    pub left: Duration,
    /// How many subjects are enrolled on the whole ledger: no sum is over more.
    pub subjects: u64,
    /// What private studies have cost this hospital's patients so far, this one included.
    pub privacy_loss: MicroRho,
    /// Of a guarded round.
    pub guard: Option<GuardTask>,
    /// What became of earlier rounds.
    pub history: History,
    /// The rounds of other than private studies that opened before this one and that this hospital contributed to, in the order of
    /// the ledger.
    pub earlier: Vec<Earlier>,
    /// Whether no hospital of the roster was to contribute to any.
    pub is_first: bool,
}

/// A round that opened before another.
#[derive(Clone, Debug)]
pub struct Earlier {
    /// Its study.
    pub study: StudyId,
    /// The round.
    pub round: RoundNumber,
    /// What was computed.
    pub spec: StudySpec,
    /// Of a guarded round that has ended which sets of groups passed, one bit each, where its custodian has said so.
    pub passed: Option<Vec<u8>>,
    /// Whether this one may repeat it.
    pub is_repeatable: bool,
}

/// What this hospital owes to those who approved a study before it.
#[derive(Debug)]
pub struct Pairing {
    /// The study.
    pub study: StudyId,
    /// This hospital's key for the pairs of the study, as its approval says.
    pub key: KemPublicKey,
    /// Those who approved before, with their keys, in the order of the ledger.
    pub before: Vec<(HospitalId, KemPublicKey)>,
}

/// What a guarded round asks beside.
#[derive(Debug)]
pub struct GuardTask {
    /// The custodian's public key, under which counts are encrypted.
    pub custodian_key: Vec<u8>,
    /// The aggregator's key, to which everything is sealed but the veil.
    pub sealing_key: KemPublicKey,
    /// The custodian's key, to which the veil is sealed.
    pub veil_key: KemPublicKey,
    /// The witness's key, to which counts are sealed once more, if there is one.
    pub witness_key: Option<KemPublicKey>,
}

/// A hospital's part of a round.
#[derive(Debug)]
pub struct Contributed {
    /// What is added up.
    pub bytes: Vec<u8>,
    /// Of a guarded round: for the custodian, the hash of the commitments to the keys of the veil (32 bytes), and its seed,
    /// sealed.
    pub veil: Option<Vec<u8>>,
    /// Of a guarded round with a witness: the counts, sealed to it.
    pub counts: Option<Vec<u8>>,
    /// What shows how it was made, for the others should this hospital be drawn to show it.
    pub proof: Vec<u8>,
}

/// What of that which a custodian says was released is believed: which sets alone are known, and which may be shown again. Where custodians
/// are not believed, one that says less makes nothing new.
fn believed(
    earlier: &Earlier,
    released: Option<Vec<bool>>,
    policy: &DisclosurePolicy,
) -> (Option<Vec<bool>>, Option<Vec<bool>>) {
    let is_repeatable = earlier.is_repeatable && says_all(&released, &earlier.passed);
    let repeatable = released.clone().filter(|_| is_repeatable);
    (released.filter(|_| policy.believes_custodians()), repeatable)
}

/// Whether a custodian said of every set whether it was released: what it did not say may be known, and is not taken for it.
fn says_all(released: &Option<Vec<bool>>, passed: &Option<Vec<u8>>) -> bool {
    let said = |passed: &Vec<u8>| released.as_ref().is_some_and(|released| passed.len() * 8 >= released.len());
    passed.as_ref().is_some_and(said)
}

/// What the ledger is told of a veil, and of counts for a witness.
pub fn commitment_of(letter: &[u8], counts: Option<&[u8]>) -> Option<VeilCommitment> {
    let keys = ContentHash::from_bytes(*letter.first_chunk()?);
    let blob = |bytes: &[u8]| Blob { hash: hash::content(bytes), bytes: bytes.len() as u64 };
    Some(VeilCommitment { sealed: blob(letter), keys, counts: counts.map(blob) })
}

/// What a hospital demands of a study beyond its consortium: `own` is its policy, `privacy_loss` what private studies cost
/// its patients, this one included.
///
/// # Errors
/// [`VaultError::Policy`].
pub fn own_policy_allows(
    own: &DisclosurePolicy,
    consortium: &DisclosurePolicy,
    spec: &StudySpec,
    hospitals: usize,
    privacy_loss: MicroRho,
) -> Result<(), VaultError> {
    if !own.allows(&spec.protection) {
        return Err(VaultError::Policy("open_studies = false"));
    }
    if spec.threshold(consortium) < own.min_joint_count {
        return Err(VaultError::Policy("a larger min_joint_count"));
    }
    if (hospitals as u64) < u64::from(own.min_hospitals) {
        return Err(VaultError::Policy("more hospitals (min_hospitals)"));
    }
    if spec.protection.loss() > MicroRho::ZERO && privacy_loss > own.privacy_budget {
        return Err(VaultError::Policy("a smaller privacy_budget"));
    }
    Ok(())
}

impl Vault {
    /// Computes, blinds and encrypts this hospital's part of a round.
    ///
    /// # Errors
    /// [`VaultError`]; nothing has left then.
    pub async fn contribute(&self, task: &Task) -> Result<Contributed, VaultError> {
        let (spec, terms) = (&task.spec, &self.terms);
        own_policy_allows(&terms.own_policy, &terms.policy, spec, task.roster.len(), task.privacy_loss)?;
        let key = StudyPublicKey::from_bytes(&task.public_key)?;
        let layout = Layout::of(spec)?;
        // Only an open study holds small counts back: guarded ones are never seen, and noise hides those of private ones.
        let min_site_count = if spec.protection == Protection::Open { terms.own_policy.min_site_count } else { 1 };
        let before = match spec.protection {
            Protection::Private { .. } => Vec::new(),
            Protection::Open | Protection::Guarded => self.before(&task.earlier)?,
        };
        let repeatable = repeatable(&before);
        let (plan, cap) = match spec.protection {
            Protection::Guarded => {
                let plan = guarded::plan(spec, &terms.policy, task.roster.len(), &repeatable)?;
                let cap = plan.shape.bar().cap;
                (Some(plan), cap)
            }
            Protection::Open | Protection::Private { .. } => (None, 0),
        };
        let is_private = matches!(spec.protection, Protection::Private { .. });
        let held = (!is_private).then_some(Against { before: &before, is_first: task.is_first, cap });
        let (roll, subjects, left) = (&task.roll, task.subjects, task.left);
        let question = Question { spec, roll, min_site_count, subjects, left, held };
        let mut computed = compute(&self.worker, &question).await?;
        let roster = BlindingRoster::new(task.roster.clone())?;
        let secrets = self.pairs.secrets(&self.own(task.study, &task.pair_key), &task.partners)?;
        let round = BlindingRound { ledger: &terms.ledger, study: task.study, round: task.round, roster: &roster };
        // A guarded study has the veiled check cell beside.
        let cells = layout.cells() + usize::from(spec.protection == Protection::Guarded);
        let blinds = Blinds::derive(&round, terms.hospital, &secrets, cells)?;
        let seed = EncryptionSeed::random()?;
        let shown = |parts| Proof { seed: *seed.as_bytes(), parts }.to_bytes();
        let unveiled = |bytes| Contributed { bytes, veil: None, counts: None, proof: shown(Vec::new()) };
        match spec.protection {
            Protection::Open => {
                self.remember(task, &computed).await?;
                Ok(unveiled(computed.cells.contribute(blinds, &key, &seed)?.to_bytes()))
            }
            // Refusing by what the cohort is would tell more of it than the noise allows; the budget bounds re-runs.
            Protection::Private { rho } => {
                computed.cells.add_noise(&NoisePlan::of(spec, &layout, rho, roster.len())?)?;
                Ok(unveiled(computed.cells.contribute(blinds, &key, &seed)?.to_bytes()))
            }
            Protection::Guarded => {
                let guard = task.guard.as_ref().ok_or(VaultError::NoRoles)?;
                let plan = plan.ok_or(VaultError::NoRoles)?;
                let custodian_key = GuardPublicKey::from_bytes(&guard.custodian_key)?;
                let guard_blinds = GuardBlinds::derive(&round, terms.hospital, &secrets, &plan.shape)?;
                self.remember(task, &computed).await?;
                let cells = computed.cells;
                let counts = cells.guard(&plan.shape, guard_blinds, &custodian_key, &seed)?.to_bytes();
                let veil_seed = VeilSeed::random()?;
                let veils = Veils::derive(&veil_seed, &round, terms.hospital, plan.shape.seeds());
                let cells = cells.contribute_veiled(blinds, &veils, &plan.groups, &key, &seed)?.to_bytes();
                let context = |content| Context {
                    content,
                    ledger: &terms.ledger,
                    study: task.study,
                    round: task.round,
                    from: terms.hospital,
                };
                let sealed = sealing::seal(&guard.veil_key, &context(Content::Veil), veil_seed.as_bytes())?;
                let letter = [&veils.commitment().as_bytes()[..], &sealed].concat();
                let coins = seed.of_sealing();
                let to_witness = |key| sealing::seal_by(&coins, &key, &context(Content::Counts), &counts);
                let for_witness = guard.witness_key.map(to_witness).transpose()?;
                let parts = Parts { cells, counts }.to_bytes();
                let context = context(Content::Contribution);
                let bytes = sealing::seal_by(&coins, &guard.sealing_key, &context, &parts)?;
                Ok(Contributed { bytes, veil: Some(letter), counts: for_witness, proof: shown(parts) })
            }
        }
    }

    async fn remember(&self, task: &Task, computed: &Computed) -> Result<(), VaultError> {
        // The policy's threshold, not the study's: by one of their choice, researchers could find out how large a
        // cohort is.
        let k = self.terms.own_policy.min_joint_count;
        let ids: Vec<&[u8]> = task.roster.iter().map(|id| id.public_key().as_slice()).collect();
        let roster = ContentHash::from_bytes(hash::tagged("consilium/cohort-roster/v1", &ids));
        let basis = Basis { roster, terms: computed.subjects.terms(&task.roll) };
        let (cohort, history) = (computed.subjects.clone(), task.history.clone());
        let of = (task.study, task.round);
        match task.spec.protection {
            // What its numbers are apart from others is part of them.
            Protection::Guarded => self.cohorts.note(of, basis, cohort, history).await?,
            Protection::Open | Protection::Private { .. } => {
                self.cohorts.contribute(of, basis, cohort, k, history).await?;
            }
        }
        Ok(self.cohorts.keep_record(&task.study, task.round, &computed.remembered)?)
    }

    /// What is remembered of earlier rounds.
    fn before(&self, earlier: &[Earlier]) -> Result<Vec<Before>, VaultError> {
        let one = |earlier: &Earlier| {
            let released = earlier.passed.as_ref().map(|passed| guarded::released(&earlier.spec, passed));
            let (released, repeatable) = believed(earlier, released.transpose()?, &self.terms.policy);
            Ok(Before {
                spec: earlier.spec.clone(),
                released,
                repeatable,
                remembered: self.cohorts.record(&earlier.study, earlier.round)?,
            })
        };
        earlier.iter().map(one).collect()
    }

    /// Whether this hospital has computed its part of a round, of other than a private study.
    pub fn has_computed(&self, study: &StudyId, round: RoundNumber) -> bool {
        self.cohorts.has_record(study, round)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_custodian_did_not_say_of_all_its_sets_is_not_taken_for_it() {
        let released = Some(vec![true; 9]);
        assert!(says_all(&released, &Some(vec![255, 1])) && says_all(&released, &Some(vec![0; 3])));
        assert!(!says_all(&released, &Some(vec![255])), "of one of nine it says nothing");
        assert!(!says_all(&released, &Some(Vec::new())) && !says_all(&released, &None));
        assert!(!says_all(&None, &Some(vec![255])), "nobody knows of which sets");
    }

    #[test]
    fn a_custodian_that_says_less_makes_nothing_new_where_its_keys_are_not_taken_on_trust() {
        let spec = crate::testing::spec(1);
        let of = |is_repeatable, passed: u8| Earlier {
            study: StudyId::from_bytes([1; 32]),
            round: RoundNumber::new(0),
            spec: spec.clone(),
            passed: Some(vec![passed]),
            is_repeatable,
        };
        let released = || Some(vec![true, false]);
        let with = |key_sets| DisclosurePolicy { key_sets, ..DisclosurePolicy::default() };
        assert_eq!(believed(&of(true, 1), released(), &with(1)), (released(), released()));
        assert_eq!(believed(&of(true, 1), released(), &with(8)), (None, released()));
        assert_eq!(believed(&of(false, 1), released(), &with(1)), (released(), None));
    }
}
