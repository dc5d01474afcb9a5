//! A CAST of a whole number to what it is already, which tools write around every identifier, is the number itself.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::error::CohortError;
use super::refusal::meaning;

/// The plan without such casts of columns.
pub(super) fn without(plan: LogicalPlan) -> Result<LogicalPlan, CohortError> {
    let without = plan.transform_up_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        let names = NamePreserver::new(&node);
        let node = node.map_expressions(|expr| {
            let name = names.save(&expr);
            let bare = expr.transform_up(|part| bare(part, &schema))?;
            Ok(if bare.transformed { bare.update_data(|expr| name.restore(expr)) } else { bare })
        })?;
        if node.transformed { node.map_data(LogicalPlan::recompute_schema) } else { Ok(node) }
    });
    without.data().map_err(|error| meaning(&error))
}

fn bare(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let is_whole = |column: &Expr| match column {
        Expr::Column(column) => schema.maybe_index_of_column(column).map(|at| schema.field(at).data_type().clone()),
        Expr::OuterReferenceColumn(field, _) => Some(field.data_type().clone()),
        _ => None,
    };
    Ok(match expr {
        Expr::Cast(Cast { expr: inner, field })
            if *field.data_type() == DataType::Int64 && is_whole(&inner) == Some(DataType::Int64) =>
        {
            Transformed::yes(*inner)
        }
        other => Transformed::no(other),
    })
}
