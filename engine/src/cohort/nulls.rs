//! Which columns of a plan are never NULL.

use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Distinct, Expr, JoinType, LogicalPlan, Operator};

use crate::gate::GatedTable;
use crate::store::kind::Kind;

/// Whether an expression over the rows of a plan is never NULL. In doubt it may be.
pub(super) fn never(plan: &LogicalPlan, expr: &Expr) -> bool {
    match expr {
        Expr::Column(column) => {
            plan.schema().maybe_index_of_column(column).is_some_and(|position| never_at(plan, position))
        }
        Expr::Alias(alias) => never(plan, &alias.expr),
        Expr::Literal(value, _) => !value.is_null(),
        Expr::IsNull(_) | Expr::IsNotNull(_) | Expr::Exists(_) => true,
        Expr::AggregateFunction(function) => function.func.name() == "count",
        _ => false,
    }
}

/// Whether the column of a plan at this position is never NULL.
pub(super) fn never_at(plan: &LogicalPlan, position: usize) -> bool {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let position = match &scan.projection {
                Some(projection) => projection.get(position).copied(),
                None => Some(position),
            };
            let Ok(provider) = source_as_provider(&scan.source) else { return false };
            let Some(gated) = provider.downcast_ref::<GatedTable>() else { return false };
            // The gate lets no row without a person through.
            position.and_then(|position| gated.table.columns.get(position)).is_some_and(|c| c.kind == Kind::Subject)
        }
        LogicalPlan::Projection(projection) => {
            projection.expr.get(position).is_some_and(|expr| never(&projection.input, expr))
        }
        LogicalPlan::Aggregate(aggregate) => {
            let exprs = aggregate.group_expr.iter().chain(&aggregate.aggr_expr);
            let grouped_plainly = !aggregate.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_)));
            grouped_plainly && exprs.into_iter().nth(position).is_some_and(|expr| never(&aggregate.input, expr))
        }
        LogicalPlan::SubqueryAlias(alias) => never_at(&alias.input, position),
        LogicalPlan::Sort(sort) => never_at(&sort.input, position),
        LogicalPlan::Distinct(Distinct::All(input)) => never_at(input, position),
        LogicalPlan::Window(window) => {
            position < window.input.schema().fields().len() && never_at(&window.input, position)
        }
        LogicalPlan::Filter(filter) => {
            never_at(&filter.input, position)
                || split_conjunction(&filter.predicate).into_iter().any(|part| rules_out(plan, part, position))
        }
        LogicalPlan::Union(union) => {
            !union.inputs.is_empty() && union.inputs.iter().all(|input| never_at(input, position))
        }
        LogicalPlan::Join(join) => {
            let width = join.left.schema().fields().len();
            let (left, right) = match join.join_type {
                JoinType::Inner => (true, true),
                JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => (true, false),
                JoinType::Right => (false, true),
                JoinType::RightSemi | JoinType::RightAnti => return never_at(&join.right, position),
                JoinType::RightMark | JoinType::Full => (false, false),
            };
            match position.checked_sub(width) {
                None => left && never_at(&join.left, position),
                Some(position) => right && never_at(&join.right, position),
            }
        }
        _ => false,
    }
}

/// Whether a condition is only true where the column at this position is not NULL.
fn rules_out(plan: &LogicalPlan, condition: &Expr, position: usize) -> bool {
    let is_it = |expr: &Expr| match expr {
        Expr::Column(column) => plan.schema().maybe_index_of_column(column) == Some(position),
        _ => false,
    };
    match condition {
        Expr::IsNotNull(inner) => is_it(inner),
        Expr::BinaryExpr(binary) => {
            let compares = matches!(
                binary.op,
                Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq
            );
            compares && (is_it(&binary.left) || is_it(&binary.right))
        }
        Expr::Between(between) => is_it(&between.expr),
        Expr::InList(list) => !list.list.is_empty() && is_it(&list.expr),
        _ => false,
    }
}
