//! That days and moments are compared with each other, or with texts that are some, and never with numbers; and that none stands
//! for the other.
//!
//! The query engine compares a day with a number as the days since 1970, so that `condition_start_date > 2015` would hold of everybody
//! since 1975. PostgreSQL refuses it, and so does this.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};

use super::error::CohortError;

/// Checks a plan as it was written.
pub(super) fn check(plan: &LogicalPlan) -> Result<(), CohortError> {
    let mut outcome = Ok(());
    let visited = plan.apply_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        outcome = columns(node, &schema).iter().try_for_each(|types| together(types));
        if outcome.is_err() {
            return Ok(TreeNodeRecursion::Stop);
        }
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                outcome = parts(part, &schema).iter().try_for_each(|types| together(types));
                Ok(if outcome.is_ok() { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
            })
        })
    });
    visited.map_err(|_: DataFusionError| CohortError::Internal)?;
    outcome
}

/// The types of what a step compares or puts into one column.
fn columns(node: &LogicalPlan, schema: &DFSchema) -> Vec<Vec<DataType>> {
    match node {
        LogicalPlan::Join(join) => join.on.iter().map(|(one, other)| types([one, other], schema)).collect(),
        LogicalPlan::Union(union) => {
            let width = union.schema.fields().len();
            let of = |at: usize| union.inputs.iter().filter_map(move |input| input.schema().fields().get(at));
            (0..width).map(|at| of(at).map(|field| field.data_type().clone()).collect()).collect()
        }
        _ => Vec::new(),
    }
}

/// The types of what an expression compares, and of what it chooses one of.
fn parts(part: &Expr, schema: &DFSchema) -> Vec<Vec<DataType>> {
    match part {
        // Arithmetic is functions of ours: what is left compares, or joins truth values.
        Expr::BinaryExpr(binary) => vec![types([&*binary.left, &*binary.right], schema)],
        Expr::Between(between) => vec![types([&*between.expr, &*between.low, &*between.high], schema)],
        Expr::InList(list) => vec![types(std::iter::once(&*list.expr).chain(&list.list), schema)],
        Expr::InSubquery(within) => {
            let mut found = types([&*within.expr], schema);
            found.extend(within.subquery.subquery.schema().fields().first().map(|field| field.data_type().clone()));
            vec![found]
        }
        Expr::Case(case) => {
            let whens = case.when_then_expr.iter().map(|(when, _)| &**when);
            let thens = case.when_then_expr.iter().map(|(_, then)| &**then);
            let operand = case.expr.as_deref();
            vec![
                operand.map(|operand| types(whens.chain([operand]), schema)).unwrap_or_default(),
                types(thens.chain(case.else_expr.as_deref()), schema),
            ]
        }
        Expr::ScalarFunction(function) if CHOICES.contains(&function.name()) => vec![types(&function.args, schema)],
        // The default is of another row's value.
        Expr::WindowFunction(function) if ["lag", "lead"].contains(&function.fun.name()) => {
            let args = &function.params.args;
            vec![types(args.first().into_iter().chain(args.get(2)), schema)]
        }
        _ => Vec::new(),
    }
}

/// Functions that give one of their arguments, or compare them.
const CHOICES: &[&str] = &["coalesce", "greatest", "least", "nullif", "nvl"];

fn types<'a>(of: impl IntoIterator<Item = &'a Expr>, schema: &DFSchema) -> Vec<DataType> {
    of.into_iter().filter_map(|expr| expr.get_type(schema).ok()).collect()
}

fn together(types: &[DataType]) -> Result<(), CohortError> {
    let is_time = |of: &DataType| matches!(of, DataType::Date32 | DataType::Date64 | DataType::Timestamp(..));
    if types.iter().any(is_time) && types.iter().any(DataType::is_numeric) {
        return Err(CohortError::DayAsNumber);
    }
    Ok(())
}
