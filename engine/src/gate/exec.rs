//! The operator that stands where a scan of patients' rows would stand.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::compute::{BatchCoalescer, and, prep_null_mask_filter};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
    apply_expression_roots,
};
use futures::{Stream, StreamExt};

use super::cover::Cover;
use super::days::RowGate;
use crate::store::scan::Reader;

/// Reads a table's raw rows and lets out only those that may be seen.
///
/// To the optimizer it is a leaf: the raw scan is private to it, so no rule can move an expression, a projection, a
/// limit or a dynamic filter between the raw rows and the gate.
pub(super) struct GateExec {
    pub(super) name: String,
    /// Yields the raw columns that are needed.
    pub(super) raw: Arc<dyn ExecutionPlan>,
    pub(super) reader: Arc<Reader>,
    pub(super) check: Arc<Check>,
    properties: Arc<PlanProperties>,
    rows: Option<usize>,
}

/// What is done to each raw batch.
pub(super) struct Check {
    /// The gate, and where in the raw columns the subject and the day are; `None` for vocabularies.
    pub(super) gate: Option<(RowGate, usize, Option<usize>)>,
    /// Filters that cannot fail, over raw columns of which nothing may have to be hidden.
    pub(super) filters: Vec<Arc<dyn PhysicalExpr>>,
    /// The raw columns of which something may have to be hidden.
    pub(super) covers: Vec<Cover>,
    /// Filters that cannot fail, over the columns with everything hidden that is closed.
    pub(super) after: Vec<Arc<dyn PhysicalExpr>>,
    /// The raw columns that leave.
    pub(super) output: Vec<usize>,
    pub(super) schema: SchemaRef,
}

impl Check {
    /// The rows of a raw batch that may be seen.
    fn passing(&self, raw: &RecordBatch) -> Result<BooleanArray> {
        let wanted = wanted(&self.filters, raw, None)?;
        Ok(match (&self.gate, wanted) {
            (Some((gate, subject, date)), wanted) => gate.select(raw, *subject, *date, wanted.as_ref()),
            (None, Some(wanted)) => wanted,
            (None, None) => BooleanArray::from(vec![true; raw.num_rows()]),
        })
    }

    /// Of a raw batch, those of its passing rows that are wanted, with what is closed of them hidden.
    fn covered(&self, raw: &RecordBatch, passing: BooleanArray) -> Result<(RecordBatch, BooleanArray)> {
        let Some((gate, subject, date)) = &self.gate else { return internal_err!("nobody to hide anything of") };
        let covered = gate.cover(raw, *subject, *date, &self.covers, &passing)?;
        let passing = wanted(&self.after, &covered, Some(passing.clone()))?.unwrap_or(passing);
        Ok((covered, passing))
    }
}

/// The rows of which every filter is true, out of some.
fn wanted(
    filters: &[Arc<dyn PhysicalExpr>],
    batch: &RecordBatch,
    mut out_of: Option<BooleanArray>,
) -> Result<Option<BooleanArray>> {
    for filter in filters {
        let value = filter.evaluate(batch)?.into_array(batch.num_rows())?;
        let Some(mask) = value.as_boolean_opt() else { return internal_err!("a filter is no truth value") };
        let mask = if mask.null_count() > 0 { prep_null_mask_filter(mask) } else { mask.clone() };
        out_of = Some(match out_of {
            Some(wanted) => and(&wanted, &mask)?,
            None => mask,
        });
    }
    Ok(out_of)
}

/// Yields what passes, in batches of a good size.
struct Passing {
    raw: SendableRecordBatchStream,
    check: Arc<Check>,
    gathered: BatchCoalescer,
    done: bool,
}

impl Passing {
    /// Takes in a raw batch; gives one back at once where there are no columns to gather.
    fn admit(&mut self, raw: &RecordBatch) -> Result<Option<RecordBatch>> {
        let mut passing = self.check.passing(raw)?;
        let mut count = passing.true_count();
        let covered;
        let mut raw = raw;
        if count > 0 && !self.check.covers.is_empty() {
            (covered, passing) = self.check.covered(raw, passing)?;
            (raw, count) = (&covered, passing.true_count());
        }
        if count == 0 {
            return Ok(None);
        }
        let columns = self.check.output.iter().map(|i| Arc::clone(raw.column(*i))).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(raw.num_rows()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.check.schema), columns, &options)?;
        if self.check.output.is_empty() {
            return Ok(Some(batch.slice(0, count)));
        }
        if count == raw.num_rows() {
            self.gathered.push_batch(batch)?;
        } else {
            self.gathered.push_batch_with_filter(batch, &passing)?;
        }
        Ok(None)
    }
}

impl Stream for Passing {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(batch) = self.gathered.next_completed_batch() {
                return Poll::Ready(Some(Ok(batch)));
            }
            if self.done {
                return Poll::Ready(None);
            }
            match ready!(self.raw.poll_next_unpin(context)) {
                Some(Ok(raw)) => match self.admit(&raw) {
                    Ok(None) => {}
                    Ok(Some(batch)) => return Poll::Ready(Some(Ok(batch))),
                    Err(error) => return Poll::Ready(Some(Err(error))),
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    self.done = true;
                    self.gathered.finish_buffered_batch()?;
                }
            }
        }
    }
}

impl RecordBatchStream for Passing {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.check.schema)
    }
}

impl GateExec {
    pub(super) fn new(
        name: String,
        raw: Arc<dyn ExecutionPlan>,
        reader: Arc<Reader>,
        check: Check,
        rows: Option<usize>,
    ) -> Self {
        let partitions = raw.output_partitioning().partition_count();
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&check.schema)),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        ));
        Self { name, raw, reader, check: Arc::new(check), properties, rows }
    }
}

impl fmt::Debug for GateExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GateExec({})", self.name)
    }
}

impl DisplayAs for GateExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GateExec: table={}, filters={}", self.name, self.check.filters.len())
    }
}

impl ExecutionPlan for GateExec {
    fn name(&self) -> &str {
        "GateExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        apply_expression_roots(&self.check.filters, visit)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { internal_err!("a gate has no children") }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let batch_size = context.session_config().batch_size();
        let raw = self.raw.execute(partition, self.reader.context(batch_size))?;
        let check = Arc::clone(&self.check);
        let gathered = BatchCoalescer::new(Arc::clone(&check.schema), batch_size)
            .with_biggest_coalesce_batch_size(Some(batch_size / 2));
        Ok(Box::pin(Passing { raw, check, gathered, done: false }))
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        // Never exact: an optimizer may answer from exact statistics without reading a row.
        let mut statistics = Statistics::new_unknown(&self.check.schema);
        if let (Some(rows), None) = (self.rows, partition) {
            statistics.num_rows = Precision::Inexact(rows);
        }
        Ok(Arc::new(statistics))
    }
}
