//! The last look at a plan before it runs: every operator, expression and aggregate is on the list of those that
//! cannot fail on a row.
//!
//! What is not on it is refused before a row is read, whoever put it there: the query, an optimizer, a new version of
//! the query engine.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::{
    BinaryExpr, CaseExpr, CastExpr, Column, DynamicFilterPhysicalExpr, InListExpr, IsNotNullExpr, IsNullExpr, LikeExpr,
    Literal, NotExpr,
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
use super::each_row::EachRow;
use super::{cast, catalogue};
use crate::cohort::{CohortError, orders};

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
    "UnorderedExec",
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
    if orders::goes_by_order(plan) && !plan.children().into_iter().all(orders::is_known) {
        return unlisted("an_order");
    }
    let below = match plan.children().as_slice() {
        [input] => Some(input.schema()),
        _ => None,
    };
    let mut outcome = Ok(());
    let visited = plan.apply_expressions(&mut |expr| {
        outcome = expression(expr, below.as_deref(), false);
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
    windows.iter().try_for_each(window)
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

/// An expression and those that it is made of, over rows of a schema, where there is one input; `beside_sign` where it is
/// an argument of + or -.
fn expression(expr: &Arc<dyn PhysicalExpr>, below: Option<&Schema>, beside_sign: bool) -> Checked {
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
    } else if let Some(cast) = expr.downcast_ref::<CastExpr>() {
        // Says of a column that it may be NULL, for a UNION with one that may be.
        let same = |below| cast.expr().data_type(below).is_ok_and(|found| found == *cast.cast_type());
        if !below.is_some_and(same) {
            return unlisted("CastExpr");
        }
    } else if let Some(list) = expr.downcast_ref::<InListExpr>() {
        if !list.list().iter().all(is_what_it_seems) {
            return unlisted("a_list");
        }
    } else if !is_harmless(expr) {
        // The name of its type, which stands first in what it prints for programmers.
        return unlisted(format!("{expr:?}").split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default());
    }
    expr.children().into_iter().try_for_each(|child| expression(child, below, takes_spans))
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

/// Whether the engine takes a value of an IN list for constant only if it is.
fn is_what_it_seems(value: &Arc<dyn PhysicalExpr>) -> bool {
    let function = value.downcast_ref::<ScalarFunctionExpr>();
    value.is::<Literal>()
        || value.is::<Column>()
        || function.is_some_and(|function| function.fun().inner().is::<EachRow>())
}

/// Choices among values that are there, and questions about them. A filter that a join fills in later compares columns
/// with values of the join's other side. A subquery's value was proved to be one.
fn is_harmless(expr: &Arc<dyn PhysicalExpr>) -> bool {
    expr.is::<Column>()
        || expr.is::<CaseExpr>()
        || expr.is::<DynamicFilterPhysicalExpr>()
        || expr.is::<IsNotNullExpr>()
        || expr.is::<IsNullExpr>()
        || expr.is::<LikeExpr>()
        || expr.is::<NotExpr>()
        || expr.is::<ScalarSubqueryExpr>()
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, RecordBatch, StringArray};
    use datafusion::datasource::MemTable;
    use datafusion::execution::session_state::SessionStateBuilder;
    use datafusion::physical_optimizer::PhysicalOptimizerRule;
    use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::*;
    use crate::gate::session::physical_rules;

    /// What the query engine by itself makes of a query, and what is said of it.
    async fn of_the_engine(sql: &str) -> Checked {
        planned(sql, physical_rules()).await
    }

    async fn planned(sql: &str, rules: Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>>) -> Checked {
        let columns = [
            ("p", Arc::new(Int64Array::from(vec![1, 2])) as arrow::array::ArrayRef),
            ("a", Arc::new(Int64Array::from(vec![1, 2]))),
            ("t", Arc::new(StringArray::from(vec!["x", "y"]))),
        ];
        let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
        let state = SessionStateBuilder::new()
            .with_config(SessionConfig::new().with_target_partitions(2))
            .with_default_features()
            .with_physical_optimizer_rules(rules)
            .build();
        let context = SessionContext::new_with_state(state);
        let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).expect("a table");
        context.register_table("r", Arc::new(table)).expect("registered");
        let plan = context.sql(sql).await.expect("planned").create_physical_plan().await.expect("planned");
        verify(&plan)
    }

    #[tokio::test]
    async fn what_the_engine_would_run_by_itself_is_refused_where_it_can_fail() {
        for (sql, what) in [
            ("SELECT a + 1 FROM r", "an_operator"),
            ("SELECT p FROM r WHERE a * a > 5", "an_operator"),
            ("SELECT p FROM r ORDER BY a % 2", "an_operator"),
            ("SELECT r.p FROM r JOIN r s ON r.p = s.p AND r.a / s.a > 1", "an_operator"),
            ("SELECT r.p FROM r JOIN r s ON r.p = s.a - 1", "an_operator"),
            ("SELECT -a FROM r", "NegativeExpr"),
            ("SELECT CAST(t AS BIGINT) FROM r", "CastExpr"),
            ("SELECT TRY_CAST(t AS BIGINT) FROM r", "TryCastExpr"),
            ("SELECT p FROM r WHERE a = 2.5", "CastExpr"),
            ("SELECT sqrt(a) FROM r", "sqrt"),
            ("SELECT CASE WHEN a > 1 THEN substr(t, a) END FROM r", "substr"),
            ("SELECT count(*) FROM r GROUP BY upper(t)", "upper"),
            ("SELECT p, sum(a) FROM r GROUP BY p", "sum"),
            ("SELECT p, count(*) FILTER (WHERE a + 1 > 1) FROM r GROUP BY p", "an_operator"),
            ("SELECT sum(a) OVER (PARTITION BY p) FROM r", "sum"),
            ("SELECT avg(a) OVER (PARTITION BY p ORDER BY a ROWS 1 PRECEDING) FROM r", "avg"),
            ("SELECT max(a) OVER (PARTITION BY p + 1) FROM r", "an_operator"),
            ("SELECT row_number() OVER (PARTITION BY p ORDER BY a) FROM r", "row_number"),
            ("SELECT ntile(2) OVER (PARTITION BY p ORDER BY a) FROM r", "ntile"),
            ("SELECT random() FROM r", "random"),
            ("SELECT arrow_cast(1, 'Decimal128(5, 2)') AS d FROM r", "a_type"),
            ("SELECT arrow_cast(1, 'Int32') AS d FROM r", "a_type"),
            ("SELECT p FROM r UNION ALL SELECT a + 1 FROM r", "an_operator"),
            ("SELECT p FROM r WHERE a NOT IN (p, 2, 3, CASE WHEN t = 'x' THEN 1 END)", "a_list"),
            ("EXPLAIN SELECT p FROM r", "ExplainExec"),
        ] {
            assert_eq!(of_the_engine(sql).await, Err(CohortError::Unlisted { what: what.to_string() }), "{sql}");
        }
        assert_eq!(of_the_engine("SELECT INTERVAL '1' DAY AS i FROM r").await, Err(SPANS));
    }

    #[tokio::test]
    async fn what_goes_by_an_order_that_is_only_claimed_is_refused() {
        for sql in [
            "SELECT p, count(*) FROM r GROUP BY p",
            "SELECT DISTINCT p FROM r",
            "SELECT p, lag(a) OVER (PARTITION BY p ORDER BY a) FROM r",
            "SELECT p, max(a) OVER (PARTITION BY p ORDER BY a ROWS UNBOUNDED PRECEDING) FROM r",
            "SELECT p FROM r ORDER BY a",
        ] {
            let claimed = planned(sql, PhysicalOptimizer::new().rules).await;
            assert_eq!(claimed, Err(CohortError::Unlisted { what: "an_order".to_string() }), "{sql}");
        }
    }

    #[tokio::test]
    async fn what_cannot_fail_passes() {
        for sql in [
            "SELECT p, a FROM r WHERE a > 1 AND t LIKE 'x%' OR a IN (2, 3) OR t IS NULL",
            "SELECT p, count(*), min(t), max(a), bool_and(a > 1) FROM r GROUP BY p",
            "SELECT p, first_value(a ORDER BY t) FROM r GROUP BY p",
            "SELECT r.p, coalesce(s.a, r.a) FROM r LEFT JOIN r s ON r.p = s.p WHERE NOT EXISTS (SELECT 1 FROM r q WHERE q.p = r.p)",
            "SELECT p, lag(a) OVER (PARTITION BY p ORDER BY t) FROM r UNION ALL SELECT p, 1 FROM r",
        ] {
            assert_eq!(of_the_engine(sql).await, Ok(()), "{sql}");
        }
    }
}
