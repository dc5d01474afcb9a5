//! Makes every conversion of a plan total, those that nobody wrote included.
//!
//! Runs once types are known and agree (type coercion inserts conversions), and before anything is computed in advance.
//! A conversion of a literal is done here: one that fails is an error of the query, not of a row.

use std::sync::Arc;

use arrow::array::StringArray;
use arrow::compute::kernels::comparison::{ilike, like};
use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue, internal_err};
use datafusion::logical_expr::expr::{Case, InList, Like, ScalarFunction, Sort};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, Union, binary_expr, lit};
use datafusion::optimizer::AnalyzerRule;

use super::columns::Call;
use super::function::Total;
use super::{cast, catalogue, dates, each_row, frame, mathematics, single};
use crate::cohort::CohortError;

/// The rule.
#[derive(Debug)]
pub(crate) struct TotalConversions;

/// An error of the query's text.
pub(super) fn refused<T>(error: CohortError) -> Result<T> {
    Err(DataFusionError::External(Box::new(error)))
}

impl AnalyzerRule for TotalConversions {
    fn name(&self) -> &str {
        "total_conversions"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(rewrite)?.data)
    }
}

fn rewrite(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let mut schema = merge_schema(&plan.inputs());
    if let LogicalPlan::TableScan(scan) = &plan {
        schema.merge(&DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?);
    }
    let names = NamePreserver::new(&plan);
    let is_value = matches!(plan, LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_));
    let plan = plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let expr = if is_value { expr.transform_up(tested)?.data } else { expr };
        let rewritten = expr.transform_up(|expr| expression(expr, &schema))?;
        Ok(rewritten.update_data(|expr| name.restore(expr)))
    })?;
    plan.map_data(|plan| match plan {
        LogicalPlan::Union(union) => self::union(union),
        plan => plan.recompute_schema(),
    })
}

/// A union keeps the schema that it had; its inputs have changed their types alike.
fn union(union: Union) -> Result<LogicalPlan> {
    let fields = union.schema.iter().map(|(qualifier, field)| {
        let kind = kind(field.data_type())?;
        Ok((qualifier.cloned(), Arc::new(field.as_ref().clone().with_data_type(kind))))
    });
    let schema = DFSchema::new_with_metadata(fields.collect::<Result<Vec<_>>>()?, union.schema.metadata().clone())?;
    Ok(LogicalPlan::Union(Union { schema: Arc::new(schema), ..union }))
}

/// `IS TRUE` and its like as what the engine computes them by: it takes the one for a value that is never NULL, the other for
/// one that may be, and refuses to plan where a DISTINCT or GROUP BY stands above.
fn tested(expr: Expr) -> Result<Transformed<Expr>> {
    let compared = |value: Box<Expr>, op, with: bool| binary_expr(*value, op, lit(with));
    Ok(Transformed::yes(match expr {
        Expr::IsTrue(value) => compared(value, Operator::IsNotDistinctFrom, true),
        Expr::IsNotTrue(value) => compared(value, Operator::IsDistinctFrom, true),
        Expr::IsFalse(value) => compared(value, Operator::IsNotDistinctFrom, false),
        Expr::IsNotFalse(value) => compared(value, Operator::IsDistinctFrom, false),
        Expr::IsUnknown(value) => Expr::IsNull(value),
        Expr::IsNotUnknown(value) => Expr::IsNotNull(value),
        other => return Ok(Transformed::no(other)),
    }))
}

fn expression(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::Cast(cast) => {
            let to = kind(cast.field.data_type())?;
            converted(*cast.expr, &to, schema, true).map(Transformed::yes)
        }
        Expr::TryCast(cast) => {
            let to = kind(cast.field.data_type())?;
            converted(*cast.expr, &to, schema, false).map(Transformed::yes)
        }
        Expr::Literal(value, metadata) => {
            let to = kind(&value.data_type())?;
            if to == value.data_type() {
                return Ok(Transformed::no(Expr::Literal(value, metadata)));
            }
            let value = value.cast_to(&to)?;
            Ok(Transformed::yes(Expr::Literal(value, metadata)))
        }
        Expr::OuterReferenceColumn(field, column) => {
            let to = kind(field.data_type())?;
            if to == *field.data_type() {
                return Ok(Transformed::no(Expr::OuterReferenceColumn(field, column)));
            }
            let field = Arc::new(field.as_ref().clone().with_data_type(to));
            Ok(Transformed::yes(Expr::OuterReferenceColumn(field, column)))
        }
        Expr::ScalarFunction(function) if function.func.name() == "date_part" => {
            if let [Expr::Literal(ScalarValue::Utf8(Some(part)), _), of] = function.args.as_slice()
                && of.get_type(schema)? == DataType::Int64
                && !dates::is_of_days(part)
            {
                let what = "date_part of a number, or of a difference of days other than in days (instead of that number, or \
                            days divided by 7, 30.44 or 365.25)";
                return refused(CohortError::Construct { what });
            }
            Ok(Transformed::no(Expr::ScalarFunction(function)))
        }
        Expr::Negative(_) => internal_err!("a sign that is no function"),
        Expr::Like(like) => pattern(&like).map(|()| Transformed::no(Expr::Like(like))),
        Expr::ScalarSubquery(subquery) => {
            if single::has_one_row_at_most(&subquery.subquery) {
                return Ok(Transformed::no(Expr::ScalarSubquery(subquery)));
            }
            refused(CohortError::SeveralValues)
        }
        // IN, CASE with an operand and NULLIF compare doubles bit by bit, and tell -0 from 0.
        Expr::InList(InList { expr, list, negated }) if is_double(&expr, schema) => {
            let value = |value| unsigned_zero(value).and_then(each_row::of);
            let list = list.into_iter().map(value).collect::<Result<_>>()?;
            Ok(Transformed::yes(Expr::InList(InList::new(Box::new(unsigned_zero(*expr)?), list, negated))))
        }
        Expr::InList(InList { expr, list, negated }) => {
            let list = list.into_iter().map(each_row::of).collect::<Result<_>>()?;
            Ok(Transformed::yes(Expr::InList(InList::new(expr, list, negated))))
        }
        Expr::Case(Case { expr: Some(operand), when_then_expr, else_expr }) if is_double(&operand, schema) => {
            let branch = |(when, then): (Box<Expr>, Box<Expr>)| Ok((Box::new(unsigned_zero(*when)?), then));
            let branches = when_then_expr.into_iter().map(branch).collect::<Result<_>>()?;
            let operand = Some(Box::new(unsigned_zero(*operand)?));
            Ok(Transformed::yes(Expr::Case(Case::new(operand, branches, else_expr))))
        }
        Expr::ScalarFunction(ScalarFunction { func, args })
            if func.name() == "nullif" && args.iter().any(|arg| is_double(arg, schema)) =>
        {
            let args = args.into_iter().map(unsigned_zero).collect::<Result<_>>()?;
            Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, args })))
        }
        // So do windows and aggregates that go by an order or by groups of rows.
        Expr::WindowFunction(mut function) => {
            frame::check(&mut function, schema)?;
            let params = &mut function.params;
            params.order_by = ordered(std::mem::take(&mut params.order_by), schema)?;
            let partition = std::mem::take(&mut params.partition_by).into_iter();
            params.partition_by = partition.map(|key| key_of(key, schema)).collect::<Result<_>>()?;
            Ok(Transformed::yes(Expr::WindowFunction(function)))
        }
        Expr::AggregateFunction(mut function) => {
            function.params.order_by = ordered(std::mem::take(&mut function.params.order_by), schema)?;
            Ok(Transformed::yes(Expr::AggregateFunction(function)))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// What rows are put in order by.
fn ordered(keys: Vec<Sort>, schema: &DFSchema) -> Result<Vec<Sort>> {
    keys.into_iter().map(|sort| Ok(Sort { expr: key_of(sort.expr, schema)?, ..sort })).collect()
}

fn key_of(key: Expr, schema: &DFSchema) -> Result<Expr> {
    if is_double(&key, schema) { unsigned_zero(key) } else { Ok(key) }
}

fn is_double(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|found| found == DataType::Float64)
}

/// A double with 0 for -0.
fn unsigned_zero(expr: Expr) -> Result<Expr> {
    match expr {
        Expr::Literal(ScalarValue::Float64(value), metadata) => {
            Ok(Expr::Literal(ScalarValue::Float64(value.map(|value| value + 0.0)), metadata))
        }
        literal @ Expr::Literal(..) => Ok(literal),
        other => match catalogue::scalar_by_name(mathematics::UNSIGNED_ZERO) {
            Some(function) => Ok(function.call(vec![other])),
            None => internal_err!("a function that is not listed"),
        },
    }
}

fn kind(found: &DataType) -> Result<DataType> {
    match cast::kind(found) {
        Some(kind) => Ok(kind),
        None => refused(CohortError::Construct { what: "a value that is no number, text, date or truth value" }),
    }
}

/// The expression in another type. Where `insists`, a literal must have a counterpart there.
pub(super) fn converted(expr: Expr, to: &DataType, schema: &DFSchema, insists: bool) -> Result<Expr> {
    let from = expr.get_type(schema)?;
    if from == *to {
        return Ok(expr);
    }
    if let Expr::Literal(value, metadata) = &expr
        && value.is_null()
    {
        return Ok(Expr::Literal(ScalarValue::try_from(to)?, metadata.clone()));
    }
    let function = cast::function(&from, to).and_then(catalogue::scalar_by_name);
    let Some(function) = function else {
        let what = "a conversion between types of which neither says what the other does, such as a date and a double";
        return refused(CohortError::Construct { what });
    };
    let Expr::Literal(value, metadata) = &expr else { return Ok(function.call(vec![expr])) };
    let Some(total) = function.inner().downcast_ref::<Total>() else { return internal_err!("a conversion of others") };
    let args = [ColumnarValue::Scalar(value.clone())];
    let ColumnarValue::Scalar(result) = (total.evaluate)(&Call { args: &args, rows: 1, result: to })? else {
        return internal_err!("a conversion of a literal is one");
    };
    if insists && result.is_null() {
        let whole = value.to_string();
        let mut text: String = whole.chars().take(40).collect();
        text.push_str(if text.len() < whole.len() { "…" } else { "" });
        return refused(CohortError::Literal { text, expected: words(to) });
    }
    Ok(Expr::Literal(result, metadata.clone()))
}

const fn words(found: &DataType) -> &'static str {
    match found {
        DataType::Int64 => "a whole number of 64 bits",
        DataType::Float64 => "a number",
        DataType::Date32 => "a date of the years 1 to 9999 (YYYY-MM-DD)",
        DataType::Timestamp(..) => "a date and time of the years 1 to 9999 (YYYY-MM-DD hh:mm:ss)",
        DataType::Boolean => "a truth value",
        _ => "a text",
    }
}

/// A pattern out of a row may be one that cannot be used; a literal one is tried here.
fn pattern(like_expr: &Like) -> Result<()> {
    let Expr::Literal(value, _) = &*like_expr.pattern else {
        return refused(CohortError::Construct { what: "LIKE with a pattern that is not a literal" });
    };
    let ScalarValue::Utf8(Some(text)) = value else { return Ok(()) };
    let (texts, pattern) = (StringArray::from(vec![""]), StringArray::new_scalar(text));
    let tried = if like_expr.case_insensitive { ilike(&texts, &pattern) } else { like(&texts, &pattern) };
    if tried.is_ok() { Ok(()) } else { refused(CohortError::Construct { what: "LIKE with this pattern" }) }
}
