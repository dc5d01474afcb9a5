//! What of an expression is known before any row is.
//!
//! DataFusion's own simplification is not used: where an operand may be NULL it merges `x NOT IN (1, 2) OR x NOT IN (3, 4)`
//! into a condition that holds for NULL as well, and its mirror image likewise, in any number of steps from comparisons and
//! their negations. What this rule does holds for all three truth values: it evaluates what has no column, lets functions
//! that stand for others say for which, drops what AND and OR do not need, knows that nothing is compared with NULL, and writes
//! constants on the right of comparisons: a later rule takes two conditions on a column together as if they all stood there.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DFSchemaRef, Result, ScalarValue};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, lit};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

/// Evaluates constants.
#[derive(Debug)]
pub(super) struct FoldConstants;

impl OptimizerRule for FoldConstants {
    fn name(&self) -> &str {
        "fold_constants"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let context =
            SimplifyContext::builder().with_schema(input_schema(&plan)?).with_config_options(config.options()).build();
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let folded = expr.transform_up(|part| fold(part, &context))?;
            Ok(if folded.transformed { folded.update_data(|expr| name.restore(expr)) } else { folded })
        })
    }
}

/// The columns that a step's expressions may name.
fn input_schema(plan: &LogicalPlan) -> Result<DFSchemaRef> {
    if let LogicalPlan::TableScan(scan) = plan {
        // Filters may name columns that the scan does not yield.
        let whole = source_as_provider(&scan.source)?.schema();
        return Ok(Arc::new(DFSchema::try_from_qualified_schema(scan.table_name.clone(), &whole)?));
    }
    Ok(Arc::new(merge_schema(&plan.inputs())))
}

/// One step, from the leaves up.
fn fold(expr: Expr, context: &SimplifyContext) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            Ok(match (truth(&left), truth(&right)) {
                (Some(known), _) => Transformed::yes(junction(op, known, *right)),
                (_, Some(known)) => Transformed::yes(junction(op, known, *left)),
                (None, None) => Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })),
            })
        }
        Expr::BinaryExpr(comparison) if is_comparison(comparison.op) => Ok(compared(comparison, context)?),
        Expr::ScalarFunction(ScalarFunction { func, args }) => match func.simplify(args, context)? {
            // What it stands for may be simplified further.
            ExprSimplifyResult::Simplified(other) => {
                Ok(Transformed::yes(other.transform_up(|part| fold(part, context)).data()?))
            }
            ExprSimplifyResult::Original(args) => {
                evaluate(Expr::ScalarFunction(ScalarFunction { func, args }), context)
            }
        },
        Expr::Not(_)
        | Expr::Negative(_)
        | Expr::BinaryExpr(_)
        | Expr::Between(_)
        | Expr::Like(_)
        | Expr::InList(_)
        | Expr::Case(_)
        | Expr::Cast(_)
        | Expr::TryCast(_)
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotUnknown(_) => evaluate(expr, context),
        other => Ok(Transformed::no(other)),
    }
}

/// Whether it asks how two values compare, which is not known of NULL.
fn is_comparison(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq)
}

/// A comparison with its constant on the right; NULL, if one side is that.
fn compared(comparison: BinaryExpr, context: &SimplifyContext) -> Result<Transformed<Expr>> {
    let is_missing = |side: &Expr| matches!(side, Expr::Literal(value, _) if value.is_null());
    let is_constant = |side: &Expr| matches!(side, Expr::Literal(..));
    let BinaryExpr { left, op, right } = comparison;
    if is_missing(&left) || is_missing(&right) {
        return Ok(Transformed::yes(lit(ScalarValue::Boolean(None))));
    }
    match op.swap() {
        Some(swapped) if is_constant(&left) && !is_constant(&right) => {
            Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr { left: right, op: swapped, right: left })))
        }
        _ => evaluate(Expr::BinaryExpr(BinaryExpr { left, op, right }), context),
    }
}

/// The value of a literal, if it is true or false.
fn truth(expr: &Expr) -> Option<bool> {
    match expr {
        Expr::Literal(ScalarValue::Boolean(value), _) => *value,
        _ => None,
    }
}

/// `known AND other`, or OR.
fn junction(op: Operator, known: bool, other: Expr) -> Expr {
    match (op, known) {
        (Operator::And, true) | (Operator::Or, false) => other,
        _ => lit(known),
    }
}

/// Evaluates an expression all of whose parts are literals.
fn evaluate(expr: Expr, context: &SimplifyContext) -> Result<Transformed<Expr>> {
    let mut constant = true;
    expr.apply_children(|part| {
        constant &= matches!(part, Expr::Literal(..));
        Ok(if constant { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    if !constant || expr.is_volatile() {
        return Ok(Transformed::no(expr));
    }
    let data_type = expr.get_type(context.schema())?;
    Ok(Transformed::yes(match ExprSimplifier::new(context.clone()).with_canonicalize(false).simplify(expr)? {
        // A CASE without an arm that holds becomes a NULL of no type, which what is over it does not take.
        Expr::Literal(value, metadata) if value.data_type() != data_type => {
            Expr::Literal(value.cast_to(&data_type)?, metadata)
        }
        other => other,
    }))
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::functions::expr_fn::coalesce;
    use datafusion::logical_expr::{cast, col, in_list, not, when};

    use super::*;

    fn folded(expr: Expr) -> String {
        let schema = Schema::new(vec![Field::new("x", DataType::Int64, true)]);
        let schema = Arc::new(DFSchema::try_from(schema).expect("a schema"));
        let context = SimplifyContext::builder().with_schema(schema).build();
        expr.transform_up(|part| fold(part, &context)).data().expect("folded").to_string()
    }

    #[test]
    fn constants_are_evaluated_and_junctions_shortened() {
        let x = || col("x");
        assert_eq!(folded(x().eq(lit(1i64) + lit(2i64))), x().eq(lit(3i64)).to_string());
        assert_eq!(folded(x().gt(cast(lit("7"), DataType::Int64))), x().gt(lit(7i64)).to_string());
        assert_eq!(folded(lit(1i64).eq(lit(1i64)).and(x().is_null())), x().is_null().to_string());
        assert_eq!(folded(x().is_null().or(lit(true))), lit(true).to_string());
        assert_eq!(folded(x().is_null().and(lit(ScalarValue::Boolean(None)))), {
            x().is_null().and(lit(ScalarValue::Boolean(None))).to_string()
        });
        assert!(folded(coalesce(vec![x(), lit(0i64)])).starts_with("CASE"), "what has no other evaluation is replaced");
    }

    #[test]
    fn constants_stand_on_the_right_of_comparisons() {
        let x = || col("x");
        assert_eq!(folded(lit(5i64).lt(x())), x().gt(lit(5i64)).to_string());
        assert_eq!(folded(lit(5i64).gt_eq(x())), x().lt_eq(lit(5i64)).to_string());
        assert_eq!(folded(lit(5i64).eq(x())), x().eq(lit(5i64)).to_string());
        assert_eq!(folded(x().lt(lit(ScalarValue::Int64(None)))), "Boolean(NULL)");
        assert_eq!(folded(lit(ScalarValue::Int64(None)).not_eq(x())), "Boolean(NULL)");
    }

    #[test]
    fn what_is_folded_keeps_its_type() {
        let unknown = || lit(ScalarValue::Boolean(None));
        let never = when(unknown(), lit(1i64)).end().expect("CASE");
        assert_eq!(folded(never), "Int64(NULL)");
        let never = when(lit(false), lit("a")).end().expect("CASE");
        assert_eq!(folded(never), "Utf8(NULL)");
        let missing = when(lit(true), lit(ScalarValue::Null)).otherwise(lit(1i64)).expect("CASE");
        assert_eq!(folded(missing), "Int64(NULL)");
    }

    #[test]
    fn lists_are_not_merged() {
        let outside = |list: [i64; 2]| in_list(col("x"), list.map(lit).to_vec(), true);
        let either = outside([1, 2]).or(outside([3, 4]));
        assert_eq!(folded(either.clone()), either.to_string());
        let both = not(outside([1, 2])).and(not(outside([3, 4])));
        assert_eq!(folded(both.clone()), both.to_string());
    }
}
