//! A hospital's computing side: it alone holds the tables, the link secret and the blinding key, and it computes only
//! what the ledger has approved.

use consilium_engine::cells::{
    BlindingError, BlindingRoster, BlindingRound, Blinds, CiphertextError, ContributionError, StudyPublicKey,
};
use consilium_engine::cohort::{self, CohortError, Limits};
use consilium_engine::pseudonym::LinkSecret;
use consilium_engine::statistics::{self, Layout, StatisticsError};
use consilium_engine::store::Store;
use consilium_protocol::consent::Permissions;
use consilium_protocol::ids::{ChainId, HospitalId, RoundNumber, StudyId};
use consilium_protocol::keys::BlindingKey;
use consilium_protocol::study::StudySpec;

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
}

/// Why this hospital did not contribute. Carries no value of a patient.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The query could not be run.
    #[error("the cohort: {0}")]
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
}

/// The computing side.
#[derive(Debug)]
pub struct Vault {
    /// The ledger.
    pub chain: ChainId,
    /// This hospital.
    pub hospital: HospitalId,
    /// Its tables.
    pub store: Store,
    /// The key of its pseudonyms.
    pub link: LinkSecret,
    /// Its blinding key.
    pub blinding: BlindingKey,
    /// Its own counts below this stay at home.
    pub min_site_count: u32,
    /// What a query may use up.
    pub limits: Limits,
}

impl Vault {
    /// Computes, blinds and encrypts this hospital's part of a round.
    ///
    /// # Errors
    /// [`VaultError`]; nothing has left then.
    pub async fn contribute(&self, task: &Task) -> Result<Vec<u8>, VaultError> {
        let key = StudyPublicKey::from_bytes(&task.public_key)?;
        let layout = Layout::of(&task.spec)?;
        let cohort = cohort::run(&self.store, &self.link, &task.permissions, &task.spec, &self.limits).await?;
        let cells =
            statistics::compute(&task.spec, &layout, &cohort.batches, self.min_site_count, task.subjects).await?;
        let roster = BlindingRoster::new(task.roster.clone())?;
        let round = BlindingRound { chain: &self.chain, study: task.study, round: task.round, roster: &roster };
        let blinds = Blinds::derive(&round, self.hospital, &self.blinding, layout.cells())?;
        Ok(cells.contribute(blinds, &key)?.to_bytes())
    }
}
