//! What of an expression is known before any row is.
//!
//! DataFusion's own simplification is not used: where an operand may be NULL it merges `x NOT IN (1, 2) OR x NOT IN (3, 4)`
//! into a condition that holds for NULL as well, and its mirror image likewise, in any number of steps from comparisons and
//! their negations. What this rule does holds for all three truth values: it evaluates what has no column, lets functions
//! that stand for others say for which, and drops what AND and OR do not need.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DFSchemaRef, NullEquality, Result, ScalarValue};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::utils::{conjunction, merge_schema};
use datafusion::logical_expr::{
    BinaryExpr, Expr, ExprSchemable, Join, JoinType, LogicalPlan, Operator, binary_expr, lit,
};
use datafusion::optimizer::extract_equijoin_predicate::ExtractEquijoinPredicate;
use datafusion::optimizer::optimizer::{ApplyOrder, Optimizer};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

/// The name of the rule that is replaced.
const REPLACED: &str = "simplify_expressions";
/// The name of the rule that makes one join's conditions its keys.
const KEYS: &str = "extract_equijoin_predicate";
/// The name of the rule that arranges inner joins anew.
const ARRANGES: &str = "eliminate_cross_join";

type Rule = Arc<dyn OptimizerRule + Send + Sync>;

/// The engine's rules, in its order, with this one for its simplification, and those that confuse `=` with IS NOT DISTINCT FROM
/// kept from it.
pub(crate) fn rules() -> Vec<Rule> {
    let own = |rule: Rule| -> Rule {
        match rule.name() {
            REPLACED => Arc::new(FoldConstants),
            KEYS => Arc::new(Keys(rule)),
            ARRANGES => Arc::new(Arranges(rule)),
            _ => rule,
        }
    };
    // Last of each pass, too: what is a condition so that joins can be arranged becomes a key again, and what stands for the
    // columns of a side that has no rows a constant.
    let last: [Rule; 2] = [Arc::new(Keys(Arc::new(ExtractEquijoinPredicate::new()))), Arc::new(FoldConstants)];
    Optimizer::new().rules.into_iter().map(own).chain(last).collect()
}

/// Evaluates constants.
#[derive(Debug)]
struct FoldConstants;

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

/// The rule that makes a join's conditions its keys, where `a.x IS NOT DISTINCT FROM b.x` may be one of them.
///
/// As a join's only condition that becomes its key, and the join one to which NULL equals NULL. That is a property of the whole
/// join: an equality that comes to it later would be compared so, too. Then the equality is the key, and the other a condition.
#[derive(Debug)]
struct Keys(Rule);

impl OptimizerRule for Keys {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Join(join) if takes_nulls(&join) && join.filter.is_some() => {
                self.0.rewrite(LogicalPlan::Join(with_conditions_for_keys(join)), config)
            }
            other => self.0.rewrite(other, config),
        }
    }
}

/// The rule that arranges inner joins anew. All get what the topmost says of NULL, so that it is given none to which NULL
/// equals NULL: such keys are conditions while it works.
#[derive(Debug)]
struct Arranges(Rule);

impl OptimizerRule for Arranges {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let keyless = plan.transform_down_with_subqueries(|node| {
            Ok(match node {
                LogicalPlan::Join(join) if join.join_type == JoinType::Inner && takes_nulls(&join) => {
                    Transformed::yes(LogicalPlan::Join(with_conditions_for_keys(join)))
                }
                other => Transformed::no(other),
            })
        })?;
        let arranged = self.0.rewrite(keyless.data, config)?;
        Ok(Transformed { transformed: keyless.transformed || arranged.transformed, ..arranged })
    }
}

/// The join with IS NOT DISTINCT FROM as its condition where NULL equals NULL in its keys.
fn with_conditions_for_keys(join: Join) -> Join {
    let Join { on, filter, .. } = join;
    let same = on.into_iter().map(|(left, right)| binary_expr(left, Operator::IsNotDistinctFrom, right));
    let filter = conjunction(same.chain(filter));
    Join { on: Vec::new(), filter, null_equality: NullEquality::NullEqualsNothing, ..join }
}

/// Whether NULL equals NULL in a join's keys.
fn takes_nulls(join: &Join) -> bool {
    join.null_equality == NullEquality::NullEqualsNull && !join.on.is_empty()
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
    fn rules_are_replaced_where_they_are() {
        let names: Vec<String> = rules().iter().map(|rule| rule.name().to_string()).collect();
        let count = |of: &str| names.iter().filter(|name| *name == of).count();
        assert_eq!([REPLACED, ARRANGES, KEYS, "fold_constants"].map(count), [0, 1, 2, 2]);
        assert_eq!(names[names.len() - 2..], [KEYS, "fold_constants"]);
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
