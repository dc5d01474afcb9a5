//! That a subquery in the place of a value has one row at most, whatever the rows that it reads.

use datafusion::common::DFSchema;
use datafusion::logical_expr::{BinaryExpr, Distinct, Expr, JoinType, LogicalPlan, Operator};

/// An aggregate without GROUP BY has one row; with GROUP BY it has, if what it groups by is the same in all its rows.
pub(super) fn has_one_row_at_most(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => has_one_row_at_most(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => has_one_row_at_most(&alias.input),
        LogicalPlan::Subquery(subquery) => has_one_row_at_most(&subquery.subquery),
        LogicalPlan::Filter(filter) => has_one_row_at_most(&filter.input),
        LogicalPlan::Sort(sort) => has_one_row_at_most(&sort.input),
        LogicalPlan::Window(window) => has_one_row_at_most(&window.input),
        LogicalPlan::Distinct(Distinct::All(input)) => has_one_row_at_most(input),
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.iter().all(|expr| is_fixed(expr, &aggregate.input)),
        LogicalPlan::EmptyRelation(_) => true,
        LogicalPlan::Values(values) => values.values.len() <= 1,
        _ => false,
    }
}

/// Whether an expression has the same value in all rows of a plan.
fn is_fixed(expr: &Expr, plan: &LogicalPlan) -> bool {
    match expr {
        Expr::Literal(..) | Expr::OuterReferenceColumn(..) => true,
        Expr::Alias(alias) => is_fixed(&alias.expr, plan),
        Expr::Column(column) => {
            plan.schema().maybe_index_of_column(column).is_some_and(|position| is_fixed_at(position, plan))
        }
        _ => false,
    }
}

/// Whether the column at a position has the same value in all rows of a plan.
fn is_fixed_at(position: usize, plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Filter(filter) => {
            is_compared(&filter.predicate, position, filter.input.schema()) || is_fixed_at(position, &filter.input)
        }
        LogicalPlan::SubqueryAlias(alias) => is_fixed_at(position, &alias.input),
        LogicalPlan::Sort(sort) => is_fixed_at(position, &sort.input),
        LogicalPlan::Distinct(Distinct::All(input)) => is_fixed_at(position, input),
        LogicalPlan::Projection(projection) => {
            projection.expr.get(position).is_some_and(|expr| is_fixed(expr, &projection.input))
        }
        LogicalPlan::Aggregate(aggregate) => {
            aggregate.group_expr.get(position).is_some_and(|expr| is_fixed(expr, &aggregate.input))
        }
        LogicalPlan::Join(join) => {
            let width = join.left.schema().fields().len();
            match join.join_type {
                JoinType::Inner if position >= width => is_fixed_at(position - width, &join.right),
                JoinType::Inner | JoinType::Left if position < width => is_fixed_at(position, &join.left),
                _ => false,
            }
        }
        _ => false,
    }
}

/// Whether a condition holds only where the column equals something from outside.
fn is_compared(predicate: &Expr, position: usize, schema: &DFSchema) -> bool {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = predicate else { return false };
    let is_column =
        |expr: &Expr| matches!(expr, Expr::Column(column) if schema.maybe_index_of_column(column) == Some(position));
    let is_outside = |expr: &Expr| matches!(expr, Expr::Literal(..) | Expr::OuterReferenceColumn(..));
    match op {
        Operator::And => is_compared(left, position, schema) || is_compared(right, position, schema),
        Operator::Eq => (is_column(left) && is_outside(right)) || (is_outside(left) && is_column(right)),
        _ => false,
    }
}
