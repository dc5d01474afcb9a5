//! A hospital's computing side: it alone holds the tables, the link secret and the blinding key, and it computes only
//! what the ledger has approved.

use consilium_engine::cells::{
    BlindingError, BlindingRoster, BlindingRound, Blinds, CiphertextError, ContributionError, StudyPublicKey,
};
use consilium_engine::cohort::{self, Cohort, CohortError, Limits};
use consilium_engine::disclosure::guarded::{self, GuardPlanError};
use consilium_engine::guard::{GuardBlinds, GuardError, GuardPublicKey};
use consilium_engine::privacy::{NoisePlan, PrivacyError};
use consilium_engine::pseudonym::LinkSecret;
use consilium_engine::rerun::Basis;
use consilium_engine::statistics::{self, Layout, StatisticsError};
use consilium_engine::store::StoreError;
use consilium_protocol::consent::Permissions;
use consilium_protocol::hash;
use consilium_protocol::ids::{ChainId, ContentHash, HospitalId, RoundNumber, StudyId};
use consilium_protocol::keys::BlindingKey;
use consilium_protocol::policy::DisclosurePolicy;
use consilium_protocol::privacy::MicroRho;
use consilium_protocol::sealing::{self, Content, Context, SealingError};
use consilium_protocol::study::{Protection, StudySpec};

use super::cohorts::{Cohorts, CohortsError, History};
use super::failing::LOCAL;
use super::guarded::Parts;
use super::tables::Tables;

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
    /// Who contributes, with their blinding keys.
    pub roster: Vec<(HospitalId, [u8; 32])>,
    /// What this hospital's patients allow.
    pub permissions: Permissions,
    /// How many subjects are enrolled on the whole ledger: no sum is over more.
    pub subjects: u64,
    /// What private studies have cost this hospital's patients so far, this one included.
    pub privacy_loss: MicroRho,
    /// Of a guarded round.
    pub guard: Option<GuardTask>,
    /// What became of earlier rounds.
    pub history: History,
}

/// What a guarded round asks beside.
#[derive(Debug)]
pub struct GuardTask {
    /// The custodian's public key, under which counts are encrypted.
    pub custodian_key: Vec<u8>,
    /// The aggregator's key, to which everything is sealed.
    pub sealing_key: [u8; 32],
}

/// Why this hospital did not contribute. Carries no value of a patient.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The tables cannot be read.
    #[error("the store: {0}")]
    Store(#[from] StoreError),
    /// The query could not be run.
    #[error("the cohort: {}", for_steward(.0))]
    Cohort(#[from] CohortError),
    /// The statistics could not be computed.
    #[error("the statistics: {0}")]
    Statistics(#[from] StatisticsError),
    /// The round cannot be blinded.
    #[error("the blinding: {0}")]
    Blinding(#[from] BlindingError),
    /// The study's key cannot be used.
    #[error("the study's key: {0}")]
    Key(#[from] CiphertextError),
    /// The cells could not be encrypted.
    #[error("the encryption: {0}")]
    Encryption(#[from] ContributionError),
    /// This hospital's own policy is stricter than the study.
    #[error(
        "this hospital's own policy demands {0}, which the study does not keep to; change [policy] in consilium.toml, or \
         agree with the researcher on another study"
    )]
    Policy(&'static str),
    /// The cohort is too close to an earlier one, or it is not known which those were.
    #[error("earlier cohorts: {0}")]
    Cohorts(#[from] CohortsError),
    /// The study cannot be guarded.
    #[error("the guard: {0}")]
    GuardPlan(#[from] GuardPlanError),
    /// The counts could not be encrypted.
    #[error("the guard: {0}")]
    Guard(#[from] GuardError),
    /// The noise could not be drawn.
    #[error("the noise: {0}")]
    Noise(#[from] PrivacyError),
    /// The aggregator's key cannot be sealed to.
    #[error("the aggregator's key: {0}")]
    Sealing(#[from] SealingError),
    /// The ledger names no roles for a guarded round.
    #[error("the round is guarded, but has no roles; wait for the next")]
    NoRoles,
}

/// A cohort's error with a next step for the hospital's own people, where the error's is the researcher's.
pub fn for_steward(error: &CohortError) -> String {
    match error {
        CohortError::UnknownTable { name } => {
            format!("there is no table `{name}` in this hospital's store; add it to the store's folder")
        }
        CohortError::UnknownColumn { name } => {
            format!("there is no column `{name}` in this hospital's tables; add it to the export")
        }
        other => other.to_string(),
    }
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

impl VaultError {
    /// The kind of error, one word.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Store(_) => "store",
            Self::Cohort(error) => error.kind(),
            Self::Statistics(StatisticsError::Overflow { .. }) => "overflow",
            Self::Statistics(_) => "statistics",
            Self::Blinding(_) => "blinding",
            Self::Key(_) => "study_key",
            Self::Encryption(_) => "encryption",
            Self::Policy(_) => "own_policy",
            Self::Cohorts(CohortsError::Rerun(_)) => "rerun",
            Self::Cohorts(_) => "cohorts",
            Self::GuardPlan(_) | Self::Guard(_) | Self::Sealing(_) | Self::NoRoles => "guard",
            Self::Noise(_) => "noise",
        }
    }

    /// The kind as others than the hospital may hear it: an error in which rows had a part is a bit about them.
    pub const fn told(&self) -> &'static str {
        match self {
            // How many are enrolled is on the ledger.
            Self::Statistics(StatisticsError::Overflow { .. }) => self.kind(),
            Self::Store(_) | Self::Statistics(_) | Self::Cohorts(_) => LOCAL,
            Self::Cohort(error) if error.depends_on_data() => LOCAL,
            Self::Cohort(_)
            | Self::Blinding(_)
            | Self::Key(_)
            | Self::Encryption(_)
            | Self::Policy(_)
            | Self::GuardPlan(_)
            | Self::Guard(_)
            | Self::Noise(_)
            | Self::Sealing(_)
            | Self::NoRoles => self.kind(),
        }
    }
}

/// The computing side.
#[derive(Debug)]
pub struct Vault {
    /// The ledger.
    pub chain: ChainId,
    /// This hospital.
    pub hospital: HospitalId,
    /// Its tables.
    pub tables: Tables,
    /// The key of its pseudonyms.
    pub link: LinkSecret,
    /// Its blinding key.
    pub blinding: BlindingKey,
    /// The consortium's policy.
    pub policy: DisclosurePolicy,
    /// Its own, nowhere looser.
    pub own_policy: DisclosurePolicy,
    /// What it contributed before.
    pub cohorts: Cohorts,
    /// What a query may use up.
    pub limits: Limits,
}

impl Vault {
    /// Computes, blinds and encrypts this hospital's part of a round.
    ///
    /// # Errors
    /// [`VaultError`]; nothing has left then.
    pub async fn contribute(&self, task: &Task) -> Result<Vec<u8>, VaultError> {
        let spec = &task.spec;
        own_policy_allows(&self.own_policy, &self.policy, spec, task.roster.len(), task.privacy_loss)?;
        let key = StudyPublicKey::from_bytes(&task.public_key)?;
        let layout = Layout::of(spec)?;
        let store = self.tables.current().await?;
        let cohort = cohort::run(&store, &self.link, &task.permissions, spec, &self.limits).await?;
        // Only an open study holds small counts back: guarded ones are never seen, and noise hides those of private ones.
        let min_site_count = if spec.protection == Protection::Open { self.own_policy.min_site_count } else { 1 };
        let mut cells = statistics::compute(spec, &layout, &cohort.batches, min_site_count, task.subjects).await?;
        let roster = BlindingRoster::new(task.roster.clone())?;
        let round = BlindingRound { chain: &self.chain, study: task.study, round: task.round, roster: &roster };
        let blinds = Blinds::derive(&round, self.hospital, &self.blinding, layout.cells())?;
        match spec.protection {
            Protection::Open => {
                self.remember(task, &cohort).await?;
                Ok(cells.contribute(blinds, &key)?.to_bytes())
            }
            // Refusing by what the cohort is would tell more of it than the noise allows; the budget bounds re-runs.
            Protection::Private { rho } => {
                cells.add_noise(&NoisePlan::of(spec, &layout, rho, roster.len())?)?;
                Ok(cells.contribute(blinds, &key)?.to_bytes())
            }
            Protection::Guarded => {
                let guard = task.guard.as_ref().ok_or(VaultError::NoRoles)?;
                let plan = guarded::plan(spec, &self.policy, roster.len())?;
                let custodian_key = GuardPublicKey::from_bytes(&guard.custodian_key)?;
                let guard_blinds = GuardBlinds::derive(&round, self.hospital, &self.blinding, &plan.shape)?;
                self.remember(task, &cohort).await?;
                let counts = cells.guard(&layout, &plan.shape, guard_blinds, &custodian_key)?.to_bytes();
                let parts = Parts { cells: cells.contribute(blinds, &key)?.to_bytes(), counts };
                let context = Context {
                    content: Content::Contribution,
                    chain: &self.chain,
                    study: task.study,
                    round: task.round,
                    from: self.hospital,
                };
                Ok(sealing::seal(&guard.sealing_key, &context, &parts.to_bytes())?)
            }
        }
    }

    async fn remember(&self, task: &Task, cohort: &Cohort) -> Result<(), VaultError> {
        // The policy's threshold, not the study's: by one of their choice, researchers could find out how large a
        // cohort is.
        let k = self.own_policy.min_joint_count;
        let ids: Vec<&[u8]> = task.roster.iter().map(|(id, _)| id.public_key().as_slice()).collect();
        let roster = ContentHash::from_bytes(hash::tagged("consilium/cohort-roster/v1", &ids));
        let basis = Basis { roster, terms: cohort.terms(&task.permissions) };
        Ok(self.cohorts.contribute(task.study, task.round, &basis, &cohort.subjects(), k, &task.history).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rows_had_a_part_in_is_told_to_nobody() {
        let of_the_query = VaultError::Cohort(CohortError::UnknownTable { name: "device".to_string() });
        assert_eq!((of_the_query.kind(), of_the_query.told()), ("unknown_table", "unknown_table"));
        for error in [
            VaultError::Cohort(CohortError::Evaluation),
            VaultError::Cohort(CohortError::SubjectNotAllowed),
            VaultError::Store(StoreError::NoPerson),
            VaultError::Statistics(StatisticsError::TooManyRows),
        ] {
            assert_eq!(error.told(), LOCAL);
        }
    }
}
