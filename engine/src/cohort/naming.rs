//! Subqueries within aggregates and window functions, each by a name of its own.
//!
//! The query engine calls an aggregate by what it is of, and in that every `EXISTS (…)` EXISTS, every `IN (SELECT …)` IN, and a
//! subquery in the place of a value by its column. So two aggregates over different subqueries had one name, and a query with
//! both was refused. Here each subquery has a name that follows from what it says, before the aggregate is called by it.

use std::hash::{DefaultHasher, Hash, Hasher};

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::Sort;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawAggregateExpr, RawWindowExpr};

use super::subqueries::is_subquery;

/// Names subqueries while a query is planned.
#[derive(Debug)]
pub(crate) struct NamedSubqueries;

impl ExprPlanner for NamedSubqueries {
    fn plan_aggregate(&self, mut expr: RawAggregateExpr) -> Result<PlannerResult<RawAggregateExpr>> {
        expr.args = each(expr.args)?;
        expr.filter = expr.filter.map(|filter| named(*filter).map(Box::new)).transpose()?;
        expr.order_by = keys(expr.order_by)?;
        Ok(PlannerResult::Original(expr))
    }

    fn plan_window(&self, mut expr: RawWindowExpr) -> Result<PlannerResult<RawWindowExpr>> {
        expr.args = each(expr.args)?;
        expr.filter = expr.filter.map(|filter| named(*filter).map(Box::new)).transpose()?;
        expr.partition_by = each(expr.partition_by)?;
        expr.order_by = keys(expr.order_by)?;
        Ok(PlannerResult::Original(expr))
    }
}

fn each(exprs: Vec<Expr>) -> Result<Vec<Expr>> {
    exprs.into_iter().map(named).collect()
}

fn keys(keys: Vec<Sort>) -> Result<Vec<Sort>> {
    keys.into_iter().map(|key| Ok(Sort { expr: named(key.expr)?, ..key })).collect()
}

fn named(expr: Expr) -> Result<Expr> {
    expr.transform_down(|part| {
        if !is_subquery(&part) {
            return Ok(Transformed::no(part));
        }
        let mut hasher = DefaultHasher::new();
        part.hash(&mut hasher);
        let name = format!("subquery {:x}", hasher.finish());
        Ok(Transformed::new(part.alias(name), true, TreeNodeRecursion::Jump))
    })
    .data()
}
