//! Runs a cohort query over the hospital's gated rows, within limits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Field, Int64Type, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use consilium_protocol::consent::Permissions;
use consilium_protocol::study::StudySpec;
use datafusion::common::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;

use super::error::CohortError;
use super::plan::{Planned, Reads, physical, plan};
use super::types::Wanted;
use super::watch::{DeadlinePassed, watch};
use crate::gate::{Gate, GatedTable, Met, session};
use crate::pseudonym::LinkSecret;
use crate::store::scan::Reader;
use crate::store::table::Table;
use crate::store::{Store, omop};

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
}

impl Default for Limits {
    /// 4 GiB, twenty million patients, ten minutes, every core.
    fn default() -> Self {
        Self {
            memory_bytes: 4 << 30,
            rows: 20_000_000,
            time: Duration::from_secs(600),
            threads: std::thread::available_parallelism().map_or(2, usize::from),
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
    met: Met,
}

impl Cohort {
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
/// refused here. Tables that only one hospital declares are unknown here.
///
/// # Errors
/// Any [`CohortError`] that does not [depend on data](CohortError::depends_on_data).
pub async fn check(spec: &StudySpec) -> Result<Reads, CohortError> {
    let reader = Arc::new(Reader::of_nothing().map_err(|_| CohortError::Internal)?);
    let gate = Gate::shut();
    let tables = omop::TABLES.iter().map(|definition| Arc::new(Table::empty(definition)));
    let tables = tables.map(|table| GatedTable::new(&table, &reader, &gate)).collect();
    let resources = session::Resources { memory_bytes: 64 << 20, threads: 1 };
    let context = session::open(tables, resources).map_err(|_| CohortError::Internal)?;
    let planned = plan(&context, spec).await?;
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
    run_through(store, Gate::new(store, link, permissions), spec, limits).await
}

/// As [`run`], through a gate that was made before.
pub(crate) async fn run_through(
    store: &Store,
    gate: Gate,
    spec: &StudySpec,
    limits: &Limits,
) -> Result<Cohort, CohortError> {
    let deadline = Instant::now() + limits.time;
    let tables = store.tables().map(|table| GatedTable::new(table, store.reader(), &gate)).collect();
    let resources = session::Resources { memory_bytes: limits.memory_bytes, threads: limits.threads };
    let context = session::open(tables, resources).map_err(|_| CohortError::Internal)?;
    let Planned { plan, columns, reads } = plan(&context, spec).await?;
    let plan = watch(physical(&context.state(), &plan).await?, deadline).map_err(|_| CohortError::Internal)?;
    let collecting = Collecting {
        schema: result_schema(&plan, &columns)?,
        columns,
        met: gate.nobody_met(),
        gate,
        limits: limits.clone(),
        rows: 0,
        batches: Vec::new(),
    };
    // A task of its own, so that a panic of the engine ends the query and not the node.
    let task = tokio::spawn(collecting.collect(plan, context.task_ctx()));
    let abort = AbortOnDrop(task.abort_handle());
    let outcome = tokio::time::timeout_at(deadline.into(), task).await;
    drop(abort);
    match outcome {
        Ok(Ok(collected)) => collected.map(|(batches, schema, rows, met)| Cohort { batches, schema, rows, reads, met }),
        Ok(Err(_)) => Err(CohortError::Internal),
        Err(_) => Err(CohortError::TimedOut { limit_s: limits.time.as_secs() }),
    }
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn result_schema(plan: &Arc<dyn ExecutionPlan>, columns: &[Wanted]) -> Result<SchemaRef, CohortError> {
    let schema = plan.schema();
    let mut fields = Vec::with_capacity(columns.len());
    for (wanted, field) in columns.iter().zip(schema.fields().iter().skip(1)) {
        fields.push(Field::new(&wanted.name, wanted.check(field.data_type())?, true));
    }
    Ok(Arc::new(Schema::new(fields)))
}

struct Collecting {
    schema: SchemaRef,
    columns: Vec<Wanted>,
    gate: Gate,
    limits: Limits,
    met: Met,
    rows: usize,
    batches: Vec<RecordBatch>,
}

impl Collecting {
    async fn collect(
        mut self,
        plan: Arc<dyn ExecutionPlan>,
        context: Arc<TaskContext>,
    ) -> Result<(Vec<RecordBatch>, SchemaRef, usize, Met), CohortError> {
        let limits = self.limits.clone();
        let failed = |error: DataFusionError| failure(&error, &limits);
        let memory = MemoryConsumer::new("cohort").register(context.memory_pool());
        let mut stream = execute_stream(plan, context).map_err(failed)?;
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(failed)?;
            self.check_subjects(&batch)?;
            let kept = self.keep(&batch)?;
            // The list of those met has an entry for each.
            let listed = 16 * batch.num_rows();
            memory.try_grow(kept.get_array_memory_size() + listed).map_err(failed)?;
            self.batches.push(kept);
        }
        Ok((self.batches, self.schema, self.rows, self.met))
    }

    /// One row per subject, no row of nobody, nobody who did not consent.
    fn check_subjects(&mut self, batch: &RecordBatch) -> Result<(), CohortError> {
        let subjects = batch.column(0).as_primitive_opt::<Int64Type>().ok_or(CohortError::Internal)?;
        if subjects.null_count() > 0 {
            return Err(CohortError::NullSubject);
        }
        for person in subjects.values() {
            if !self.gate.knows(*person) {
                return Err(CohortError::SubjectNotAllowed);
            }
            if !self.met.meet(*person) {
                return Err(CohortError::SeveralRowsPerSubject);
            }
        }
        self.rows += batch.num_rows();
        if self.rows > self.limits.rows {
            return Err(CohortError::TooManyRows { limit: self.limits.rows });
        }
        Ok(())
    }

    /// The declared columns in their final types; the subject is left behind.
    fn keep(&self, batch: &RecordBatch) -> Result<RecordBatch, CohortError> {
        let columns = self.columns.iter().zip(batch.columns().iter().skip(1));
        let columns = columns.map(|(wanted, column)| wanted.convert(column)).collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|_| CohortError::Internal)
    }
}

/// What a failure of the engine means. Nothing of its message is kept: messages print rows.
fn failure(error: &DataFusionError, limits: &Limits) -> CohortError {
    let mut error = error;
    loop {
        error = match error {
            DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => inner,
            DataFusionError::Shared(inner) => inner,
            DataFusionError::Collection(errors) if !errors.is_empty() => &errors[0],
            DataFusionError::External(inner) => {
                if inner.is::<DeadlinePassed>() {
                    return CohortError::TimedOut { limit_s: limits.time.as_secs() };
                }
                match inner.downcast_ref::<DataFusionError>() {
                    Some(inner) => inner,
                    None => return CohortError::Internal,
                }
            }
            DataFusionError::ArrowError(inner, _) => match &**inner {
                ArrowError::ExternalError(inner) => match inner.downcast_ref::<DataFusionError>() {
                    Some(inner) => inner,
                    None => return CohortError::Internal,
                },
                ArrowError::ParquetError(_) | ArrowError::IoError(..) => return CohortError::StoreChanged,
                _ => return CohortError::Evaluation,
            },
            DataFusionError::ResourcesExhausted(_) => {
                return CohortError::Memory { limit_mib: limits.memory_bytes >> 20 };
            }
            DataFusionError::ParquetError(_) | DataFusionError::ObjectStore(_) | DataFusionError::IoError(_) => {
                return CohortError::StoreChanged;
            }
            DataFusionError::Execution(_) => return CohortError::Evaluation,
            _ => return CohortError::Internal,
        };
    }
}
