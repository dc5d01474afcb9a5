//! Has operators and SQL's own forms of calls planned as functions of this module.

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, DataFusionError, Result, plan_err};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::arithmetic::by_sign;
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

/// The type of an operand. Of a sum of sums it is found step by step: the query engine would write out the name of each, and so
/// take the third power of their number.
fn type_of(expr: &Expr, schema: &DFSchema) -> DataType {
    let found = match expr {
        Expr::ScalarFunction(function) if is_arithmetic(function.func.name()) => {
            let types: Vec<DataType> = function.args.iter().map(|arg| type_of(arg, schema)).collect();
            function.func.return_type(&types)
        }
        other => other.get_type(schema),
    };
    found.unwrap_or(DataType::Null)
}

fn is_arithmetic(name: &str) -> bool {
    ["+", "-", "*", "/", "%"].into_iter().filter_map(by_sign).any(|function| function == name)
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
        let is_time = |of: &DataType| matches!(of, DataType::Date32 | DataType::Timestamp(..));
        let is_date = |of: &DataType| *of == DataType::Date32;
        let of = |side: &Expr| type_of(side, schema);
        let sides = if sign == "-" { [of(&expr.left), of(&expr.right)] } else { [DataType::Null, DataType::Null] };
        if sides.iter().all(is_time) && !sides.iter().all(is_date) {
            let what = "a date and time minus another, or minus a date (instead of CAST(… AS DATE) - CAST(… AS DATE) for days, or \
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
