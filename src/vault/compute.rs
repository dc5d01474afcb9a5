//! The one step that reads patients' rows: from the tables and what patients allow to a hospital's cells.

use consilium_engine::cohort::{self, Limits};
use consilium_engine::pseudonym::LinkSecret;
use consilium_engine::rerun::SubjectSet;
use consilium_engine::statistics::{self, Layout, LocalCells};
use consilium_protocol::consent::Permissions;
use consilium_protocol::ids::ContentHash;
use consilium_protocol::study::StudySpec;

use super::error::ComputeError;
use super::tables::Tables;

/// What is computed, over whom.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The study.
    pub spec: &'a StudySpec,
    /// What this hospital's patients allow.
    pub permissions: &'a Permissions,
    /// The smallest own count that may leave.
    pub min_site_count: u32,
    /// How many subjects are enrolled on the whole ledger: no sum is over more.
    pub subjects: u64,
}

/// What comes of it. Never printed, never leaves: cells are blinded and encrypted first.
pub struct Computed {
    /// The hospital's own cells.
    pub cells: LocalCells,
    /// Whom they are over.
    pub subjects: SubjectSet,
    /// Stands for what each of these allows; see [`cohort::Cohort::terms`].
    pub terms: ContentHash,
}

impl std::fmt::Debug for Computed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not even how many: a hospital's own number is nobody's business.
        f.write_str("Computed(..)")
    }
}

/// Reads the tables as they are now, runs the cohort's query behind the consent gate, and computes the statistics.
///
/// # Errors
/// [`ComputeError`].
pub async fn compute(
    tables: &Tables,
    link: &LinkSecret,
    question: &Question<'_>,
    limits: &Limits,
) -> Result<Computed, ComputeError> {
    let Question { spec, permissions, min_site_count, subjects } = *question;
    let layout = Layout::of(spec)?;
    let store = tables.current().await?;
    let cohort = cohort::run(&store, link, permissions, spec, limits).await?;
    let cells = statistics::compute(spec, &layout, &cohort.batches, min_site_count, subjects).await?;
    Ok(Computed { cells, subjects: cohort.subjects(), terms: cohort.terms(permissions) })
}
