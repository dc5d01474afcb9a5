//! The rows of a query's plans as they come, and whose each is.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, Int64Array};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int64Type, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::physical_plan::execute_stream;
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::error::CohortError;
use super::plan::Reads;
use super::planning::Step;
use super::run::{Cohort, Limits};
use super::single::SUBJECT;
use super::types::Wanted;
use super::watch::DeadlinePassed;
use crate::gate::{Gate, Met};
use crate::store::{StoreError, Subjects};

/// Rows of a plan.
type Batch = (usize, RecordBatch);

/// A cohort while it is collected, with whose each row is.
pub(super) struct Collecting {
    schema: SchemaRef,
    columns: Vec<Wanted>,
    gate: Gate,
    limits: Limits,
    met: Met,
    rows: usize,
    /// The number of the plan that they came of, whose they are, and the rows.
    batches: Vec<(usize, Int64Array, RecordBatch)>,
    /// Who had more than one row.
    several: BTreeSet<i64>,
    /// How many rows were of nobody.
    strays: usize,
}

impl Collecting {
    pub(super) fn new(schema: SchemaRef, columns: Vec<Wanted>, gate: Gate, limits: Limits) -> Self {
        let met = gate.nobody_met();
        Self { schema, columns, gate, limits, met, rows: 0, batches: Vec::new(), several: BTreeSet::new(), strays: 0 }
    }

    /// Runs plans as they come, as many at once as there are threads, and takes in their rows.
    pub(super) async fn collect(
        mut self,
        mut steps: mpsc::Receiver<Step>,
        pool: Arc<dyn MemoryPool>,
    ) -> Result<Self, CohortError> {
        let at_once = self.limits.threads.max(1);
        let memory = MemoryConsumer::new("cohort").register(&pool);
        let (tell, mut hear) = mpsc::channel::<Batch>(at_once);
        let mut running: JoinSet<Result<(), DataFusionError>> = JoinSet::new();
        let mut more = true;
        while more || !running.is_empty() {
            tokio::select! {
                step = steps.recv(), if more && running.len() < at_once => match step {
                    Some(step) => drop(running.spawn(run(step, tell.clone()))),
                    None => more = false,
                },
                Some(batch) = hear.recv() => self.take(batch, &memory)?,
                Some(done) = running.join_next() => {
                    // A panic of the engine ends the query.
                    done.map_err(|_| CohortError::Internal)?.map_err(|error| failure(&error, &self.limits))?;
                }
            }
        }
        while let Ok(batch) = hear.try_recv() {
            self.take(batch, &memory)?;
        }
        // In the order of the plans, whichever ended first.
        self.batches.sort_by_key(|(number, ..)| *number);
        self.leave_out()?;
        Ok(self)
    }

    fn take(&mut self, (number, batch): Batch, memory: &MemoryReservation) -> Result<(), CohortError> {
        let subjects = batch.column(SUBJECT).as_primitive_opt::<Int64Type>().ok_or(CohortError::Internal)?.clone();
        self.meet(&subjects)?;
        let kept = self.keep(&batch)?;
        // The list of those met has an entry for each.
        let listed = 16 * batch.num_rows() + subjects.get_array_memory_size();
        let grown = memory.try_grow(kept.get_array_memory_size() + listed);
        grown.map_err(|error| failure(&error, &self.limits))?;
        self.batches.push((number, subjects, kept));
        Ok(())
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
        for (_, subjects, batch) in &mut self.batches {
            let stays = |person: Option<i64>| person.is_some_and(|person| !self.several.contains(&person));
            let stay: BooleanArray = subjects.iter().map(|person| Some(stays(person))).collect();
            *batch = filter_record_batch(batch, &stay).map_err(|_| CohortError::Internal)?;
            self.rows += batch.num_rows();
        }
        self.several.iter().for_each(|person| self.met.forget(*person));
        Ok(())
    }

    /// The cohort, of a query that read this.
    pub(super) fn cohort(self, reads: Reads, people: Arc<Subjects>) -> Cohort {
        let stays = |person: &i64| !self.several.contains(person);
        let persons =
            self.batches.iter().flat_map(|(_, subjects, _)| subjects.iter().flatten()).filter(stays).collect();
        Cohort {
            persons,
            batches: self.batches.into_iter().map(|(.., batch)| batch).collect(),
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

/// Hands on the rows of one plan.
async fn run(step: Step, tell: mpsc::Sender<Batch>) -> Result<(), DataFusionError> {
    let mut stream = execute_stream(step.plan, step.context)?;
    while let Some(batch) = stream.next().await {
        // Nobody listens any more where the query has ended.
        if tell.send((step.number, batch?)).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// What a failure of the engine means. Nothing of its message is kept: messages print rows.
pub(super) fn failure(error: &DataFusionError, limits: &Limits) -> CohortError {
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
                if let Some(error) = inner.downcast_ref::<StoreError>() {
                    return CohortError::Store(error.clone());
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
    use arrow::datatypes::Schema;

    use super::*;

    #[test]
    fn rows_of_nobody_are_left_out_and_counted() {
        let schema = Arc::new(Schema::empty());
        let gate = Gate::shut();
        let mut collecting = Collecting::new(Arc::clone(&schema), Vec::new(), gate, Limits::default());
        let nobody = Int64Array::from(vec![None, None]);
        collecting.meet(&nobody).expect("no failure");
        let two = RecordBatchOptions::new().with_row_count(Some(2));
        let batch = RecordBatch::try_new_with_options(schema, Vec::new(), &two).expect("a batch");
        collecting.batches.push((0, nobody, batch));
        collecting.leave_out().expect("no failure");
        assert_eq!((collecting.rows, collecting.strays), (0, 2));
        assert_eq!(collecting.batches[0].2.num_rows(), 0);
    }
}
