//! How many rows a subquery has, by its form alone.

use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::scalar::ScalarValue;

use crate::gate::GatedTable;

/// How many rows.
pub(super) enum Shape {
    /// One, whatever the tables hold: an aggregate without GROUP BY, or no table at all.
    One,
    /// One where a condition holds and none elsewhere; the plan has one row with the condition as its column.
    OneHaving(LogicalPlan),
    /// Any number.
    Any,
}

/// The shape of a subquery's plan.
pub(super) fn of(plan: &LogicalPlan) -> Result<Shape> {
    Ok(match plan {
        LogicalPlan::Projection(projection) => of(&projection.input)?,
        LogicalPlan::SubqueryAlias(alias) => of(&alias.input)?,
        LogicalPlan::Sort(sort) => of(&sort.input)?,
        LogicalPlan::Distinct(Distinct::All(input)) => of(input)?,
        LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() => Shape::One,
        LogicalPlan::EmptyRelation(nothing) if nothing.produce_one_row => Shape::One,
        LogicalPlan::Filter(filter) => match of(&filter.input)? {
            // Where nothing fits, the query engine would take a constant for NULL.
            Shape::One if filter.predicate.exists(|part| Ok(is_constant(part)))? => {
                return super::refuse("a constant condition in HAVING without GROUP BY (instead of aggregates alone)");
            }
            Shape::One => {
                let input = LogicalPlanBuilder::from((*filter.input).clone());
                Shape::OneHaving(input.project([filter.predicate.clone().alias("holds")])?.build()?)
            }
            Shape::OneHaving(_) => {
                return super::refuse("a condition on the result of HAVING without GROUP BY (instead of one HAVING)");
            }
            Shape::Any => Shape::Any,
        },
        _ => Shape::Any,
    })
}

/// Whether a condition, or a part of one, is the same for all rows.
fn is_constant(part: &Expr) -> bool {
    let tests = matches!(part, Expr::Literal(ScalarValue::Boolean(_), _) | Expr::BinaryExpr(_) | Expr::Not(_));
    tests && !part.any_column_refs()
}

/// Whether any table of patients is read.
pub(super) fn reads_patients(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let provider = source_as_provider(&scan.source)?;
            found |= provider.downcast_ref::<GatedTable>().is_none_or(|gated| gated.table.domain().is_some());
        }
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}
