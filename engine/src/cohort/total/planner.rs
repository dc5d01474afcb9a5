//! Has operators and SQL's own forms of calls planned as functions of this module.

use datafusion::common::{DFSchema, DataFusionError, Result, plan_err};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::arithmetic::{MOMENT, by_sign};
use super::catalogue;
use crate::cohort::CohortError;

/// Stands before the planners of the query engine, whose functions can fail.
#[derive(Debug)]
pub(crate) struct TotalPlanner;

fn call(name: &str, args: Vec<Expr>) -> Result<Expr> {
    match catalogue::scalar_by_name(name) {
        Some(function) => Ok(function.call(args)),
        None => plan_err!("no function {name}"),
    }
}

fn planned<T>(name: &str, args: Vec<Expr>) -> Result<PlannerResult<T>> {
    call(name, args).map(PlannerResult::Planned)
}

impl ExprPlanner for TotalPlanner {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let sign = match expr.op {
            BinaryOperator::Plus => "+",
            BinaryOperator::Minus => "-",
            BinaryOperator::Multiply => "*",
            BinaryOperator::Divide => "/",
            BinaryOperator::Modulo => "%",
            _ => return Ok(PlannerResult::Original(expr)),
        };
        let is_moment = |side: &Expr| side.get_type(schema).is_ok_and(|found| found == MOMENT);
        if sign == "-" && is_moment(&expr.left) && is_moment(&expr.right) {
            let what = "one date and time minus another (instead of CAST(… AS DATE) - CAST(… AS DATE) for days, or \
                        date_part('epoch', …) - date_part('epoch', …) for seconds)";
            return Err(DataFusionError::External(Box::new(CohortError::Construct { what })));
        }
        match by_sign(sign) {
            Some(name) => planned(name, vec![expr.left, expr.right]),
            None => Ok(PlannerResult::Original(expr)),
        }
    }

    fn plan_extract(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        planned("date_part", args)
    }

    fn plan_position(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        planned("strpos", args)
    }

    fn plan_substring(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        planned("substr", args)
    }
}
