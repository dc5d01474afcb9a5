//! The one step that is over patients' rows: from what they allow to a hospital's cells. The rows stay in the worker.

use std::time::Duration;

use consilium_engine::disclosure::guarded;
use consilium_engine::rerun::SubjectSet;
use consilium_engine::statistics::{Layout, LocalCells};
use consilium_protocol::consent::Roll;
use consilium_protocol::study::StudySpec;
use tracing::warn;
use zeroize::Zeroizing;

use super::error::ComputeError;
use crate::worker::{Against, Job, Worker, WorkerError, repeatable};

/// What is computed, over whom.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The study.
    pub spec: &'a StudySpec,
    /// What this hospital's patients allow.
    pub roll: &'a Roll,
    /// The smallest own count that may leave.
    pub min_site_count: u32,
    /// How many subjects are enrolled on the whole ledger: no sum is over more.
    pub subjects: u64,
    /// How long it is until the round's deadline.
    pub left: Duration,
    /// What it is held against and remembered for; none of a private study.
    pub held: Option<Against<'a>>,
}

/// What comes of it. Never printed, never leaves: cells are blinded and encrypted first.
pub struct Computed {
    /// The hospital's own cells.
    pub cells: LocalCells,
    /// Whom they are over.
    pub subjects: SubjectSet,
    /// What the worker wants to be remembered.
    pub remembered: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Computed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not even how many: a hospital's own number is nobody's business.
        f.write_str("Computed(..)")
    }
}

/// Has the worker read the tables as they are now, run the cohort's query behind the consent gate, and compute the statistics.
///
/// # Errors
/// [`ComputeError`].
pub async fn compute(worker: &Worker, question: &Question<'_>) -> Result<Computed, ComputeError> {
    let Question { spec, roll, min_site_count, subjects, left, held } = *question;
    let layout = Layout::of(spec)?;
    let repeatable = held.map_or_else(Vec::new, |against| repeatable(against.before));
    let compared = guarded::compared(spec, &layout, &repeatable)?;
    let (layout, compared) = (&layout, &compared);
    let job = Job { spec, layout, compared, roll, min_site_count, subjects_bound: subjects, left, held };
    let counted = worker.study(&job).await?;
    // How many is for the hospital alone, and nothing that leaves says so.
    if counted.duplicates > 0 || counted.strays > 0 {
        warn!(
            patients = counted.duplicates,
            rows = counted.strays,
            "patients with several rows, or rows of nobody, were left out of a cohort; look for a fault in the tables"
        );
    }
    let members = SubjectSet::chosen(roll.subjects.clone(), counted.members);
    let subjects = members.ok_or(WorkerError::Protocol)?;
    Ok(Computed { cells: counted.cells, subjects, remembered: counted.remembered })
}
