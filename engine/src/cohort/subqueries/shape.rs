//! How many rows a subquery has, by its form alone.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Distinct, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder};

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
            Shape::One if filter.predicate.exists(|part| Ok(is_constant(part, filter.input.schema())))? => {
                return super::refuse("a constant condition in HAVING without GROUP BY (instead of aggregates alone)");
            }
            Shape::One if filter.predicate.contains_outer() => return super::correlation::in_having(),
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
fn is_constant(part: &Expr, schema: &DFSchema) -> bool {
    // In doubt it is.
    !part.any_column_refs() && part.get_type(schema).map_or(true, |found| found == DataType::Boolean)
}

/// Whether any table of patients is read.
pub(in crate::cohort) fn reads_patients(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let provider = source_as_provider(&scan.source)?;
            found |= provider.downcast_ref::<GatedTable>().is_none_or(|gated| !gated.table.domains().is_empty());
        }
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}
