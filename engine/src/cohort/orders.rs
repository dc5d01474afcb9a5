//! What is claimed of the order of rows is not believed.
//!
//! The query engine keeps account of what each step's rows are ordered by and which columns are the same in all of them, and leaves
//! out sorts, or takes groups for complete, accordingly. Some of that account is false: a constant of an outer join's other side is
//! one where there is no such row, too; a running maximum or minimum has its NULLs at the end that it has not; a count over a
//! moving frame grows; rows of a join that share a key are in the order of both sides; a comparison or a junction is ordered as
//! what it is made of where that is NULL. So nothing of it reaches a step that goes by the order of rows: between that step and its
//! input stands this operator, which knows of none. A sort that the step needs is put above it, and is one.

use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::execution_plan::{CardinalityEffect, ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

/// The operator's name.
const NAME: &str = "UnorderedExec";

/// Steps that keep what is known of their input's order, or are one themselves.
const KEEPS: [&str; 6] = [
    "CoalesceBatchesExec",
    "CoalescePartitionsExec",
    "CooperativeExec",
    "RepartitionExec",
    "SortExec",
    "SortPreservingMergeExec",
];

/// Puts an [`Unordered`] below every step that goes by the order of its rows.
#[derive(Debug)]
pub(crate) struct ForgetOrders;

impl PhysicalOptimizerRule for ForgetOrders {
    fn name(&self) -> &str {
        "forget_orders"
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let forget = |node: Arc<dyn ExecutionPlan>| {
            let [input] = node.children()[..] else { return Ok(Transformed::no(node)) };
            if !goes_by_order(&node) || input.name() == NAME {
                return Ok(Transformed::no(node));
            }
            let input: Arc<dyn ExecutionPlan> = Arc::new(Unordered::over(Arc::clone(input)));
            let anew = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
            node.replace_children(vec![input], anew).map(Transformed::yes)
        };
        plan.transform_up(forget).data()
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Whether what a step gives depends on what is claimed of the order of its rows.
pub(super) fn goes_by_order(step: &Arc<dyn ExecutionPlan>) -> bool {
    // Nothing that is sorted is known to be so before: a sort that finds its input in order does nothing. What puts partial groups together has them from another step of the same grouping.
    let puts_together = |grouping: &AggregateExec| {
        matches!(grouping.mode(), AggregateMode::Final | AggregateMode::FinalPartitioned | AggregateMode::PartialReduce)
    };
    match step.downcast_ref::<AggregateExec>() {
        Some(grouping) => !puts_together(grouping),
        None => ["BoundedWindowAggExec", "PartialSortExec", "SortExec", "WindowAggExec"].contains(&step.name()),
    }
}

/// Whether nothing is claimed of the order of a step's rows but what a sort has made.
pub(super) fn is_known(step: &Arc<dyn ExecutionPlan>) -> bool {
    match step.children()[..] {
        [input] => step.name() == NAME || (KEEPS.contains(&step.name()) && is_known(input)),
        _ => false,
    }
}

/// Hands its rows on, and says nothing of their order.
#[derive(Debug)]
struct Unordered {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl Unordered {
    fn over(input: Arc<dyn ExecutionPlan>) -> Self {
        let of = input.properties();
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(input.schema()),
            of.partitioning.clone(),
            of.emission_type,
            of.boundedness,
        ));
        Self { input, properties }
    }
}

impl DisplayAs for Unordered {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)
    }
}

impl ExecutionPlan for Unordered {
    fn name(&self) -> &str {
        NAME
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self::over(input))),
            _ => internal_err!("one input is expected"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }

    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        match inputs {
            [of] => Ok(Arc::clone(of)),
            _ => internal_err!("one input is expected"),
        }
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }
}
