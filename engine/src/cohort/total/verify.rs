//! The last look at a plan before it runs: every operator, expression and aggregate is on the list of those that
//! cannot fail on a row.
//!
//! What is not on it is refused before a row is read, whoever put it there: the query, an optimizer, a new version of
//! the query engine.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::{
    BinaryExpr, CaseExpr, Column, DynamicFilterPhysicalExpr, InListExpr, IsNotNullExpr, IsNullExpr, LikeExpr, Literal,
    NotExpr,
};
use datafusion::physical_expr::scalar_subquery::ScalarSubqueryExpr;
use datafusion::physical_expr::window::{
    PlainAggregateWindowExpr, SlidingAggregateWindowExpr, StandardWindowExpr, WindowExpr,
};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec, WindowUDFExpr};

use super::arithmetic::SPAN;
use super::{cast, catalogue};
use crate::cohort::CohortError;

/// Operators that fail for want of memory or time alone. Scans are inside the gate, sorts keep no bound on how many rows
/// they give, and what is not here has no place in a cohort.
const OPERATORS: &[&str] = &[
    "AggregateExec",
    "BoundedWindowAggExec",
    "CoalesceBatchesExec",
    "CoalescePartitionsExec",
    "CooperativeExec",
    "CrossJoinExec",
    "DataSourceExec",
    "EmptyExec",
    "FilterExec",
    "GateExec",
    "GlobalLimitExec",
    "HashJoinExec",
    "InterleaveExec",
    "LocalLimitExec",
    "NestedLoopJoinExec",
    "PartialSortExec",
    "PlaceholderRowExec",
    "ProjectionExec",
    "RepartitionExec",
    "ScalarSubqueryExec",
    "SortExec",
    "SortMergeJoinExec",
    "SortPreservingMergeExec",
    "UnionExec",
    "WindowAggExec",
];

type Checked = Result<(), CohortError>;

/// Checks a plan and everything in it.
pub(in crate::cohort) fn verify(plan: &Arc<dyn ExecutionPlan>) -> Checked {
    if !OPERATORS.contains(&plan.name()) {
        return unlisted(plan.name());
    }
    plan.schema().fields().iter().try_for_each(|field| column(field.data_type()))?;
    aggregates(plan)?;
    let mut outcome = Ok(());
    let visited = plan.apply_expressions(&mut |expr| {
        outcome = expression(expr, false);
        Ok(if outcome.is_ok() { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    visited.map_err(|_| CohortError::Internal)?;
    outcome?;
    plan.children().into_iter().try_for_each(verify)
}

/// Names come from the program's own code; nothing of a row or of the query is among them.
fn unlisted(what: &str) -> Checked {
    let what = what.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(60).collect();
    Err(CohortError::Unlisted { what })
}

/// A length of time has no order that all would agree on (is a month more than 30 days?).
const SPANS: CohortError = CohortError::Construct {
    what: "an INTERVAL other than added to or taken from a date (instead of a number of days)",
};

/// The types that there are, and those in which aggregates hand on how far they came.
fn column(found: &DataType) -> Checked {
    match found {
        DataType::UInt64 => Ok(()),
        DataType::List(item) if is_plain(item.data_type()) => Ok(()),
        found if is_plain(found) => Ok(()),
        found if *found == SPAN => Err(SPANS),
        _ => unlisted("a_type"),
    }
}

fn is_plain(found: &DataType) -> bool {
    *found != SPAN && cast::kind(found).is_some_and(|kind| kind == *found)
}

fn aggregates(plan: &Arc<dyn ExecutionPlan>) -> Checked {
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        return aggregate.aggr_expr().iter().try_for_each(|aggregate| self::aggregate(aggregate));
    }
    let windows: &[Arc<dyn WindowExpr>] = if let Some(plan) = plan.downcast_ref::<WindowAggExec>() {
        plan.window_expr()
    } else if let Some(plan) = plan.downcast_ref::<BoundedWindowAggExec>() {
        plan.window_expr()
    } else {
        &[]
    };
    windows.iter().try_for_each(|window| self::window(window))
}

fn aggregate(aggregate: &AggregateFunctionExpr) -> Checked {
    if catalogue::admits_aggregate(aggregate.fun()) { Ok(()) } else { unlisted(aggregate.fun().name()) }
}

fn window(window: &Arc<dyn WindowExpr>) -> Checked {
    let window = window.as_any();
    if let Some(plain) = window.downcast_ref::<PlainAggregateWindowExpr>() {
        return aggregate(plain.get_aggregate_expr());
    }
    if let Some(sliding) = window.downcast_ref::<SlidingAggregateWindowExpr>() {
        return aggregate(sliding.get_aggregate_expr());
    }
    let standard = window.downcast_ref::<StandardWindowExpr>().map(|window| window.get_standard_func_expr().as_any());
    match standard.and_then(|function| function.downcast_ref::<WindowUDFExpr>()) {
        Some(function) if catalogue::admits_window(function.fun()) => Ok(()),
        Some(function) => unlisted(function.fun().name()),
        None => unlisted("a_window_function"),
    }
}

/// An expression and those that it is made of; `beside_sign` where it is an argument of + or -.
fn expression(expr: &Arc<dyn PhysicalExpr>, beside_sign: bool) -> Checked {
    let mut takes_spans = false;
    if let Some(literal) = expr.downcast_ref::<Literal>() {
        let found = literal.value().data_type();
        if found == SPAN && !beside_sign {
            return Err(SPANS);
        }
        if found != SPAN {
            column(&found)?;
        }
    } else if let Some(binary) = expr.downcast_ref::<BinaryExpr>() {
        if !compares(*binary.op()) {
            return unlisted("an_operator");
        }
    } else if let Some(function) = expr.downcast_ref::<ScalarFunctionExpr>() {
        if !catalogue::admits_scalar(function.fun()) {
            return unlisted(function.name());
        }
        takes_spans = ["plus", "minus", "negative"].contains(&function.fun().name());
        if *function.return_type() == SPAN {
            if !beside_sign {
                return Err(SPANS);
            }
        } else {
            column(function.return_type())?;
        }
    } else if !is_harmless(expr) {
        return unlisted("an_expression");
    }
    expr.children().into_iter().try_for_each(|child| expression(child, takes_spans))
}

const fn compares(op: Operator) -> bool {
    matches!(
        op,
        Operator::And
            | Operator::Or
            | Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

/// Choices among values that are there, and questions about them. A filter that a join fills in later compares columns
/// with values of the join's other side. A subquery's value was proved to be one.
fn is_harmless(expr: &Arc<dyn PhysicalExpr>) -> bool {
    expr.is::<Column>()
        || expr.is::<CaseExpr>()
        || expr.is::<DynamicFilterPhysicalExpr>()
        || expr.is::<InListExpr>()
        || expr.is::<IsNotNullExpr>()
        || expr.is::<IsNullExpr>()
        || expr.is::<LikeExpr>()
        || expr.is::<NotExpr>()
        || expr.is::<ScalarSubqueryExpr>()
}
