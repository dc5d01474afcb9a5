//! Runs a cohort query over the hospital's gated rows, within limits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use consilium_protocol::consent::Permissions;
use consilium_protocol::ids::Date;
use consilium_protocol::study::StudySpec;
use tokio::sync::{mpsc, oneshot};

use super::collect::Collecting;
use super::concepts;
use super::deep::on_a_deep_stack;
use super::error::CohortError;
use super::plan::{Reads, physical, plan};
use super::planning::{Begun, Planning};
use super::spelling::any_day;
use crate::gate::{Gate, GatedTable, Met, session};
use crate::pseudonym::LinkSecret;
use crate::rerun::SubjectSet;
use crate::store::scan::Reader;
use crate::store::table::Table;
use crate::store::{Store, Subjects, omop};

/// What one cohort query may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory of the query's operators and of its result, in bytes. Nothing is ever put on disk instead.
    pub memory_bytes: usize,
    /// Rows of the result, which are patients.
    pub rows: usize,
    /// Wall-clock time of planning and running.
    pub time: Duration,
    /// Threads.
    pub threads: usize,
    /// Rows that are worked on at a time.
    pub batch_rows: usize,
    /// Rows up to which the smaller side of a join is kept whole, and an aggregation by parts is tried before it is found to
    /// be of no use. Only the speed depends on it.
    pub whole_rows: usize,
}

impl Default for Limits {
    /// 4 GiB, twenty million patients, ten minutes, every core; 8,192 and 131,072 rows.
    fn default() -> Self {
        Self {
            memory_bytes: 4 << 30,
            rows: 20_000_000,
            time: Duration::from_secs(600),
            threads: std::thread::available_parallelism().map_or(2, usize::from),
            batch_rows: 8_192,
            whole_rows: 131_072,
        }
    }
}

/// The patients of a study, one row each, without who they are.
#[derive(Clone)]
pub struct Cohort {
    /// The declared columns only: variables as Int64 or Float64; dimensions as Int64, Float64, Utf8 or Boolean.
    pub batches: Vec<RecordBatch>,
    /// The schema of the batches, also where there are none.
    pub schema: SchemaRef,
    /// How many patients.
    pub rows: usize,
    /// What the query read.
    pub reads: Reads,
    /// How many patients are left out because they had several rows. The proof excludes it, so there is a fault to look
    /// for; how many there are is for the hospital alone.
    pub duplicates: usize,
    /// How many rows are left out because they were of nobody; likewise.
    pub strays: usize,
    /// Whose each row is, in the order of the batches.
    pub(crate) persons: Vec<i64>,
    pub(super) met: Met,
    pub(super) people: Arc<Subjects>,
}

impl Cohort {
    /// Who is in it, by the names that the ledger knows.
    pub fn subjects(&self) -> SubjectSet {
        self.people.iter().filter(|(person, _)| self.has(*person)).map(|(_, subject)| *subject).collect()
    }

    /// Whether a person is in it.
    pub(crate) fn has(&self, person: i64) -> bool {
        self.met.has(person)
    }
}

impl std::fmt::Debug for Cohort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not even how many: a hospital's own number is nobody's business.
        f.write_str("Cohort(..)")
    }
}

/// Checks a study's query against OMOP's tables, without any data: what a hospital would refuse by the query alone is
/// refused here. Beside OMOP's tables it knows those that the study brings along.
///
/// # Errors
/// Any [`CohortError`] that does not [depend on data](CohortError::depends_on_data).
pub async fn check(spec: &StudySpec) -> Result<Reads, CohortError> {
    let spec = spec.clone();
    on_a_deep_stack(move || check_here(spec)).await.unwrap_or(Err(CohortError::Planner))
}

async fn check_here(spec: StudySpec) -> Result<Reads, CohortError> {
    let reader = Arc::new(Reader::of_nothing().map_err(|_| CohortError::Internal)?);
    let gate = Gate::shut();
    let own = spec.tables.iter().filter(|own| omop::definition(&own.name).is_none()).map(Table::empty_own);
    let tables = omop::TABLES.iter().map(Table::empty).chain(own).map(Arc::new);
    let tables = tables.chain(concepts::tables(&spec.cohort.concept_sets)?);
    let tables = tables.map(|table| GatedTable::new(&table, &reader, &gate)).collect();
    let limits = Limits { memory_bytes: 64 << 20, threads: 1, ..Limits::default() };
    let context = session::open(tables, &limits).map_err(|_| CohortError::Internal)?;
    let planned = plan(&context, &spec, any_day()).await?;
    physical(&context.state(), &planned.plan).await?;
    Ok(planned.reads)
}

/// Runs a study's query over the rows of a store that these permissions open.
///
/// # Errors
/// [`CohortError`]; those that [depend on data](CohortError::depends_on_data) are for the hospital's operator alone.
pub async fn run(
    store: &Store,
    link: &LinkSecret,
    permissions: &Permissions,
    spec: &StudySpec,
    limits: &Limits,
) -> Result<Cohort, CohortError> {
    run_through(store, store.derived(link), Gate::new(store, link, permissions), spec, permissions.day, limits).await
}

/// As [`run`], through a gate that was made before, as of a day.
pub(crate) async fn run_through(
    store: &Store,
    people: Arc<Subjects>,
    gate: Gate,
    spec: &StudySpec,
    as_of: Date,
    limits: &Limits,
) -> Result<Cohort, CohortError> {
    let deadline = Instant::now() + limits.time;
    // What a table of the consortium's own means, the study says: its proofs were made with that.
    let is_known = |table: &&Arc<Table>| {
        omop::definition(&table.name).is_some() || spec.tables.iter().any(|own| own.name == table.name)
    };
    let reader = store.begin().await?;
    let sets = concepts::tables(&spec.cohort.concept_sets)?;
    let tables = store.tables().filter(is_known).chain(&sets);
    let tables = tables.map(|table| GatedTable::new(table, &reader, &gate)).collect();
    let context = session::open(tables, limits).map_err(|_| CohortError::Internal)?;
    let pool = Arc::clone(&context.runtime_env().memory_pool);
    let (begin, begun) = oneshot::channel();
    let (next, steps) = mpsc::channel(1);
    let planning = Planning {
        context,
        as_of,
        buckets: store.buckets(),
        memory_bytes: limits.memory_bytes,
        deadline,
        runtime: tokio::runtime::Handle::current(),
    };
    let spec = spec.clone();
    let planned = on_a_deep_stack(move || planning.plan(spec, begin, next));
    let planned = async { planned.await.unwrap_or(Err(CohortError::Planner)) };
    let collected = async {
        // Where nothing was begun, planning says why.
        let Ok(Begun { columns, reads, schema }) = begun.await else { return std::future::pending().await };
        let collecting = Collecting::new(schema, columns, gate, limits.clone());
        // A task of its own, so that a panic of the engine ends the query and not the node.
        let task = tokio::spawn(collecting.collect(steps, pool));
        let _abort = AbortOnDrop(task.abort_handle());
        let collected = task.await.unwrap_or(Err(CohortError::Internal))?;
        Ok(collected.cohort(reads, people))
    };
    let both = async { tokio::try_join!(planned, collected) };
    match tokio::time::timeout_at(deadline.into(), both).await {
        Ok(outcome) => outcome.map(|((), cohort)| cohort).map_err(|error| as_known(store, error)),
        Err(_) => Err(CohortError::TimedOut { limit_s: limits.time.as_secs() }),
    }
}

/// What a name that the query engine does not know is to this store.
fn as_known(store: &Store, error: CohortError) -> CohortError {
    let own = |name: &str| name.rsplit('.').next().unwrap_or(name).to_ascii_lowercase();
    match error {
        CohortError::UnknownTable { name, .. } if store.is_unreadable(&own(&name)) => {
            CohortError::UnreadableTable { name }
        }
        CohortError::UnknownColumn { name, .. } if store.has_unreadable(&own(&name)) => {
            CohortError::UnreadableColumn { name }
        }
        error => error,
    }
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
