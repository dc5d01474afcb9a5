//! A worker for one query, for whoever only wants to know what the query is: a researcher who checks a study, a steward who
//! decides, an auditor. It has no secret; and no store, except where it is tried against the hospital's tables.

use std::time::Duration;

use consilium_engine::cohort::{CohortError, Reads};
use consilium_engine::store::{StoreConfig, StoreError, StoreSummary};
use consilium_engine::worker::frame::Caps;
use consilium_engine::worker::{Refusal, Reply, Request, Start, VERSION};
use consilium_protocol::catalogue::CatalogueTable;
use consilium_protocol::study::StudySpec;

use super::fingerprint::Fingerprint;
use super::process::{Body, Process, access};
use super::{Bounds, Program, Trouble, WorkerError};

/// What planning may use up. A query that needs more is none that a hospital would plan.
const PLANNING: Bounds =
    Bounds { memory_bytes: 1 << 30, time: Duration::from_secs(60), processor: Duration::from_secs(20), threads: 1 };
/// How long opening the tables may take.
const OPENING: Duration = Duration::from_secs(600);
/// Memory that a byte of CSV takes at most.
const BY_CSV_BYTE: u64 = 10;
/// What a query reads, by name.
const HEAD: Caps = Caps { head: 4 << 20, body: 0 };

/// Why it is not known what a query is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OnceError {
    /// The query is refused.
    #[error(transparent)]
    Cohort(#[from] CohortError),
    /// The tables cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The process that planned it is gone.
    #[error("{}", of_planning(.0))]
    Worker(WorkerError),
}

/// What a limit of planning means for whoever wrote the query.
fn of_planning(error: &WorkerError) -> String {
    match error {
        WorkerError::Deadline { seconds } => {
            format!(
                "planning the query took longer than {seconds} s, and no hospital would wait for it; write it shorter, with fewer steps"
            )
        }
        WorkerError::Processor { seconds } => {
            format!("planning the query used up {seconds} s of processor time; write it shorter, with fewer steps")
        }
        WorkerError::Memory { limit_mib } => {
            format!("planning the query took more than {limit_mib} MiB of memory; write it shorter, with fewer steps")
        }
        WorkerError::Killed => {
            "the process that planned the query was killed from outside, most often because the machine ran \
                                out of memory; free some, and try again"
                .to_string()
        }
        other => other.to_string(),
    }
}

impl From<Trouble> for OnceError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Refused(Refusal::Cohort(CohortError::Store(error)) | Refusal::Store(error)) => Self::Store(error),
            Trouble::Refused(Refusal::Cohort(error)) => Self::Cohort(error),
            // Neither is asked for statistics, nor out of order.
            Trouble::Refused(_) => Self::Worker(WorkerError::Protocol),
            Trouble::Worker(error) => Self::Worker(error),
        }
    }
}

/// Checks a study's query against OMOP's tables, without any data: see [`consilium_engine::cohort::check`].
///
/// # Errors
/// [`OnceError`].
pub async fn check(spec: &StudySpec) -> Result<Reads, OnceError> {
    check_by(&Program::own(), &PLANNING, spec).await
}

async fn check_by(program: &Program, bounds: &Bounds, spec: &StudySpec) -> Result<Reads, OnceError> {
    let start = Start { version: VERSION, store: None, catalogue: Vec::new(), access: None, link: None, threads: 1 };
    let (mut process, ..) = Process::start(program, &start, bounds, 0).await?;
    reads(&mut process, &Request::Check(spec.to_canonical()), bounds).await
}

/// Plans and runs a study's query over a hospital's tables with nobody's consent: no row is read, and what is wrong with tables
/// and columns shows. Says what it reads, and what the tables hold.
///
/// # Errors
/// [`OnceError`].
pub async fn attempt(
    store: &StoreConfig,
    catalogue: &[CatalogueTable],
    spec: &StudySpec,
) -> Result<(Reads, StoreSummary), OnceError> {
    let held = Fingerprint::of(&store.place).csv_bytes().saturating_mul(BY_CSV_BYTE);
    let start = Start {
        version: VERSION,
        store: Some(store.clone()),
        catalogue: catalogue.to_vec(),
        access: access(store)?,
        link: None,
        threads: 1,
    };
    let opening = Bounds { time: OPENING, processor: OPENING, ..PLANNING };
    let (mut process, _, summary) = Process::start(&Program::own(), &start, &opening, held).await?;
    let summary = summary.ok_or(OnceError::Worker(WorkerError::Protocol))?;
    Ok((reads(&mut process, &Request::Try(spec.to_canonical()), &PLANNING).await?, summary))
}

async fn reads(process: &mut Process, request: &Request, bounds: &Bounds) -> Result<Reads, OnceError> {
    match process.ask(request, Body::NONE, HEAD, bounds, 0).await? {
        (Reply::Reads(reads), _) => Ok(reads),
        _ => Err(OnceError::Worker(WorkerError::Protocol)),
    }
}
