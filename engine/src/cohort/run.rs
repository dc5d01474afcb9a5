//! Runs a cohort query over the hospital's gated rows, within limits.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, AsArray, BooleanArray, Int64Array};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Field, Int64Type, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use consilium_protocol::consent::Permissions;
use consilium_protocol::ids::Date;
use consilium_protocol::study::StudySpec;
use datafusion::common::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;

use super::deep::on_a_deep_stack;
use super::error::CohortError;
use super::plan::{Planned, Reads, physical, plan};
use super::single::SUBJECT;
use super::spelling::any_day;
use super::types::Wanted;
use super::watch::{DeadlinePassed, watch};
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
    /// How many patients are left out because they had several rows. The proof excludes it, so there is a fault to look
    /// for; how many there are is for the hospital alone.
    pub duplicates: usize,
    /// How many rows are left out because they were of nobody; likewise.
    pub strays: usize,
    /// Whose each row is, in the order of the batches.
    pub(crate) persons: Vec<i64>,
    met: Met,
    people: Arc<Subjects>,
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
    let tables = tables.map(|table| GatedTable::new(&table, &reader, &gate)).collect();
    let resources = session::Resources { memory_bytes: 64 << 20, threads: 1 };
    let context = session::open(tables, resources).map_err(|_| CohortError::Internal)?;
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
    let tables = store.tables().filter(is_known).map(|table| GatedTable::new(table, store.reader(), &gate)).collect();
    let resources = session::Resources { memory_bytes: limits.memory_bytes, threads: limits.threads };
    let context = session::open(tables, resources).map_err(|_| CohortError::Internal)?;
    let (planned, spec) = (context.clone(), spec.clone());
    let planning = on_a_deep_stack(move || async move {
        let Planned { plan, columns, reads } = plan(&planned, &spec, as_of).await?;
        Ok((physical(&planned.state(), &plan).await?, columns, reads))
    });
    let planned = planning.await.unwrap_or(Err(CohortError::Planner));
    let (plan, columns, reads) = planned.map_err(|error| as_known(store, error))?;
    let plan = watch(plan, deadline).map_err(|_| CohortError::Internal)?;
    let collecting = Collecting {
        schema: result_schema(&plan, &columns)?,
        columns,
        met: gate.nobody_met(),
        gate,
        limits: limits.clone(),
        rows: 0,
        batches: Vec::new(),
        several: BTreeSet::new(),
        strays: 0,
    };
    // A task of its own, so that a panic of the engine ends the query and not the node.
    let task = tokio::spawn(collecting.collect(plan, context.task_ctx()));
    let abort = AbortOnDrop(task.abort_handle());
    let outcome = tokio::time::timeout_at(deadline.into(), task).await;
    drop(abort);
    match outcome {
        Ok(Ok(collected)) => collected.map(|collected| collected.cohort(reads, people)),
        Ok(Err(_)) => Err(CohortError::Internal),
        Err(_) => Err(CohortError::TimedOut { limit_s: limits.time.as_secs() }),
    }
}

/// What a name that the query engine does not know is to this store.
fn as_known(store: &Store, error: CohortError) -> CohortError {
    let own = |name: &str| name.rsplit('.').next().unwrap_or(name).to_ascii_lowercase();
    match error {
        CohortError::UnknownTable { name } if store.is_unreadable(&own(&name)) => CohortError::UnreadableTable { name },
        CohortError::UnknownColumn { name } if store.has_unreadable(&own(&name)) => {
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

fn result_schema(plan: &Arc<dyn ExecutionPlan>, columns: &[Wanted]) -> Result<SchemaRef, CohortError> {
    let schema = plan.schema();
    let mut fields = Vec::with_capacity(columns.len());
    for (wanted, field) in columns.iter().zip(schema.fields().iter().skip(1)) {
        fields.push(Field::new(&wanted.name, wanted.check(field.data_type())?, true));
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// A cohort while it is collected, with whose each row is.
struct Collecting {
    schema: SchemaRef,
    columns: Vec<Wanted>,
    gate: Gate,
    limits: Limits,
    met: Met,
    rows: usize,
    batches: Vec<(Int64Array, RecordBatch)>,
    /// Who had more than one row.
    several: BTreeSet<i64>,
    /// How many rows were of nobody.
    strays: usize,
}

impl Collecting {
    async fn collect(mut self, plan: Arc<dyn ExecutionPlan>, context: Arc<TaskContext>) -> Result<Self, CohortError> {
        let limits = self.limits.clone();
        let failed = |error: DataFusionError| failure(&error, &limits);
        let memory = MemoryConsumer::new("cohort").register(context.memory_pool());
        let mut stream = execute_stream(plan, context).map_err(failed)?;
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(failed)?;
            let subjects = batch.column(SUBJECT).as_primitive_opt::<Int64Type>().ok_or(CohortError::Internal)?.clone();
            self.meet(&subjects)?;
            let kept = self.keep(&batch)?;
            // The list of those met has an entry for each.
            let listed = 16 * batch.num_rows() + subjects.get_array_memory_size();
            memory.try_grow(kept.get_array_memory_size() + listed).map_err(failed)?;
            self.batches.push((subjects, kept));
        }
        self.leave_out()?;
        Ok(self)
    }

    /// Notes whose rows these are. Nobody is there who did not consent.
    fn meet(&mut self, subjects: &Int64Array) -> Result<(), CohortError> {
        for person in subjects {
            let Some(person) = person else {
                self.strays += 1;
                continue;
            };
            if !self.gate.knows(person) {
                return Err(CohortError::SubjectNotAllowed);
            }
            if !self.met.meet(person) {
                self.several.insert(person);
            }
        }
        self.rows += subjects.len();
        if self.rows > self.limits.rows {
            return Err(CohortError::TooManyRows { limit: self.limits.rows });
        }
        Ok(())
    }

    /// The declared columns in their final types; the subject is kept apart.
    fn keep(&self, batch: &RecordBatch) -> Result<RecordBatch, CohortError> {
        let columns = self.columns.iter().zip(batch.columns().iter().skip(1));
        let columns = columns.map(|(wanted, column)| wanted.convert(column)).collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|_| CohortError::Internal)
    }

    /// Takes out every row of those who had several, and those of nobody: one patient's rows never fail a query, and no
    /// row of theirs is better than the other.
    fn leave_out(&mut self) -> Result<(), CohortError> {
        if self.several.is_empty() && self.strays == 0 {
            return Ok(());
        }
        self.rows = 0;
        for (subjects, batch) in &mut self.batches {
            let stays = |person: Option<i64>| person.is_some_and(|person| !self.several.contains(&person));
            let stay: BooleanArray = subjects.iter().map(|person| Some(stays(person))).collect();
            *batch = filter_record_batch(batch, &stay).map_err(|_| CohortError::Internal)?;
            self.rows += batch.num_rows();
        }
        self.several.iter().for_each(|person| self.met.forget(*person));
        Ok(())
    }

    fn cohort(self, reads: Reads, people: Arc<Subjects>) -> Cohort {
        let stays = |person: &i64| !self.several.contains(person);
        let persons = self.batches.iter().flat_map(|(subjects, _)| subjects.iter().flatten()).filter(stays).collect();
        Cohort {
            persons,
            batches: self.batches.into_iter().map(|(_, batch)| batch).collect(),
            schema: self.schema,
            rows: self.rows,
            reads,
            duplicates: self.several.len(),
            strays: self.strays,
            met: self.met,
            people,
        }
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
                // Texts of more than 2 GiB in one column of a batch.
                ArrowError::OffsetOverflowError(_) | ArrowError::MemoryError(_) => {
                    return CohortError::Memory { limit_mib: limits.memory_bytes >> 20 };
                }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_nobody_are_left_out_and_counted() {
        let schema = Arc::new(Schema::empty());
        let gate = Gate::shut();
        let mut collecting = Collecting {
            schema: Arc::clone(&schema),
            columns: Vec::new(),
            met: gate.nobody_met(),
            gate,
            limits: Limits::default(),
            rows: 0,
            batches: Vec::new(),
            several: BTreeSet::new(),
            strays: 0,
        };
        let nobody = Int64Array::from(vec![None, None]);
        collecting.meet(&nobody).expect("no failure");
        let two = RecordBatchOptions::new().with_row_count(Some(2));
        let batch = RecordBatch::try_new_with_options(schema, Vec::new(), &two).expect("a batch");
        collecting.batches.push((nobody, batch));
        collecting.leave_out().expect("no failure");
        assert_eq!((collecting.rows, collecting.strays), (0, 2));
        assert_eq!(collecting.batches[0].1.num_rows(), 0);
    }
}
