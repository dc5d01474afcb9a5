//! The operator that stands where a scan of patients' rows would stand.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::compute::{FilterBuilder, and, prep_null_mask_filter};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
};
use futures::StreamExt;

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
    /// Filters that cannot fail, over the raw columns.
    pub(super) filters: Vec<Arc<dyn PhysicalExpr>>,
    /// The raw columns that leave.
    pub(super) output: Vec<usize>,
    pub(super) schema: SchemaRef,
}

impl Check {
    /// The rows of a raw batch that may be seen, and only the columns that leave.
    fn apply(&self, raw: &RecordBatch) -> Result<RecordBatch> {
        let mut passing = match &self.gate {
            Some((gate, subject, date)) => gate.select(raw, *subject, *date),
            None => BooleanArray::from(vec![true; raw.num_rows()]),
        };
        for filter in &self.filters {
            let value = filter.evaluate(raw)?.into_array(raw.num_rows())?;
            let Some(mask) = value.as_boolean_opt() else { return internal_err!("a filter is no truth value") };
            let mask = if mask.null_count() > 0 { prep_null_mask_filter(mask) } else { mask.clone() };
            passing = and(&passing, &mask)?;
        }
        let count = passing.true_count();
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let columns = self.output.iter().map(|i| raw.column(*i));
        let columns = if count == raw.num_rows() {
            columns.map(Arc::clone).collect()
        } else {
            let mut filter = FilterBuilder::new(&passing);
            if self.output.len() > 1 {
                filter = filter.optimize();
            }
            let filter = filter.build();
            columns.map(|column| filter.filter(column)).collect::<std::result::Result<_, _>>()?
        };
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
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
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { internal_err!("a gate has no children") }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let raw = self.raw.execute(partition, self.reader.context(context.session_config().batch_size()))?;
        let check = Arc::clone(&self.check);
        let seen = raw.map(move |batch| check.apply(&batch?));
        let seen = seen.filter(|batch| {
            let empty = batch.as_ref().is_ok_and(|batch| batch.num_rows() == 0);
            std::future::ready(!empty)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.check.schema), seen)))
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
