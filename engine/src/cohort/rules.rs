//! The rules by which a query is planned and optimized: the engine's own, kept from where they would change an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::common::tree_node::{Transformed, TransformedResult};
use datafusion::common::{DFSchemaRef, FunctionalDependencies, NullEquality, Result, ScalarValue};
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{EmptyRelation, Expr, Join, JoinType, LogicalPlan, Operator, binary_expr};
use datafusion::optimizer::extract_equijoin_predicate::ExtractEquijoinPredicate;
use datafusion::optimizer::optimizer::{ApplyOrder, Optimizer};
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use datafusion::sql::sqlparser::ast::TableFactor;

use super::fold::FoldConstants;

/// The name of the rule that is replaced.
const REPLACED: &str = "simplify_expressions";
/// The name of the rule that makes one join's conditions its keys.
const KEYS: &str = "extract_equijoin_predicate";
/// The name of the rule that arranges inner joins anew.
const ARRANGES: &str = "eliminate_cross_join";

/// The name of the rule that leaves out joins.
const ENDS: &str = "eliminate_join";
/// The name of the rule that makes DISTINCT a grouping, or nothing.
const REPEATS: &str = "replace_distinct_aggregate";
/// The name of the rule that leaves out what nobody needs.
const NEEDS: &str = "optimize_projections";
/// The name of the rule that moves conditions towards the tables.
const MOVES: &str = "push_down_filter";
/// The name of the rule that makes two groupings of one with DISTINCT.
const SPLITS: &str = "single_distinct_aggregation_to_group_by";

type Rule = Arc<dyn OptimizerRule + Send + Sync>;

/// The engine's rules, in its order, with others for some and guards around some.
pub(crate) fn rules() -> Vec<Rule> {
    let own = |rule: Rule| -> Rule {
        match rule.name() {
            REPLACED => Arc::new(FoldConstants),
            KEYS => Arc::new(Keys(rule)),
            ARRANGES => Arc::new(Arranges(rule)),
            ENDS => Arc::new(Never),
            REPEATS | NEEDS => Arc::new(Independent(rule)),
            MOVES => Arc::new(Moves(rule)),
            SPLITS => Arc::new(Splits(rule)),
            _ => rule,
        }
    };
    // Last of each pass, too: what is a condition so that joins can be arranged becomes a key again, and what stands for the
    // columns of a side that has no rows a constant.
    let last: [Rule; 2] = [Arc::new(Keys(Arc::new(ExtractEquijoinPredicate::new()))), Arc::new(FoldConstants)];
    Optimizer::new().rules.into_iter().map(own).chain(last).collect()
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
/// equals NULL; and a key of more than one table on a side is forgotten where another order of joins has no place for it, so that it
/// is given keys of columns alone. What else is a key is a condition while it works.
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
                LogicalPlan::Join(join) if join.join_type == JoinType::Inner && !join.on.iter().all(is_of_columns) => {
                    let (on, others): (Vec<_>, Vec<_>) = join.on.into_iter().partition(is_of_columns);
                    let equal = others.into_iter().map(|(left, right)| left.eq(right));
                    let filter = conjunction(equal.chain(join.filter));
                    Transformed::yes(LogicalPlan::Join(Join { on, filter, ..join }))
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

/// Whether a key is a column on either side.
fn is_of_columns((left, right): &(Expr, Expr)) -> bool {
    left.try_as_col().is_some() && right.try_as_col().is_some()
}

/// Of a join that never holds, no rows. The engine's own rule also leaves out joins by what it takes for unique.
#[derive(Debug)]
struct Never;

impl OptimizerRule for Never {
    fn name(&self) -> &str {
        "eliminate_joins_that_never_hold"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let never = |filter: &Expr| matches!(filter, Expr::Literal(ScalarValue::Boolean(Some(false)), _));
        Ok(match plan {
            LogicalPlan::Join(join)
                if join.join_type == JoinType::Inner
                    && join.on.is_empty()
                    && join.filter.as_ref().is_some_and(never) =>
            {
                let nothing = EmptyRelation { produce_one_row: false, schema: join.schema };
                Transformed::yes(LogicalPlan::EmptyRelation(nothing))
            }
            other => Transformed::no(other),
        })
    }
}

/// A rule that is told of no functional dependencies: the engine takes the person for unique among the groups of a grouping by
/// the person *and more*, once the person was unique in one of the tables that are grouped.
#[derive(Debug)]
struct Independent(Rule);

impl OptimizerRule for Independent {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        self.0.rewrite(independent(plan)?, config)
    }
}

/// A plan that says of no columns that they determine others.
pub(super) fn independent(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| without_dependencies(node).map(Transformed::yes)).data()
}

fn without_dependencies(mut plan: LogicalPlan) -> Result<LogicalPlan> {
    let schema: &mut DFSchemaRef = match &mut plan {
        LogicalPlan::Projection(node) => &mut node.schema,
        LogicalPlan::Aggregate(node) => &mut node.schema,
        LogicalPlan::Window(node) => &mut node.schema,
        LogicalPlan::Join(node) => &mut node.schema,
        LogicalPlan::SubqueryAlias(node) => &mut node.schema,
        LogicalPlan::Union(node) => &mut node.schema,
        _ => return Ok(plan),
    };
    if !schema.functional_dependencies().is_empty() {
        let free = schema.as_ref().clone().with_functional_dependencies(FunctionalDependencies::empty())?;
        *schema = Arc::new(free);
    }
    Ok(plan)
}

/// Plans tables and derived ones as the engine does, and tells the query around them of no functional dependencies.
///
/// The engine adds to GROUP BY what it takes for determined by it, and takes the person for unique among the groups of a grouping
/// by the person and more.
#[derive(Debug, Default)]
pub(crate) struct IndependentRelations {
    /// Whether the next relation is the one that was asked for.
    asked: AtomicBool,
}

impl RelationPlanner for IndependentRelations {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        if self.asked.swap(false, Ordering::Relaxed) {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        }
        self.asked.store(true, Ordering::Relaxed);
        let plan = independent(context.plan(relation)?)?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, None))))
    }
}

/// The rule that moves conditions towards the tables, kept from moving them below an aggregate without GROUP BY: that has a row of
/// no rows, too. The engine takes a condition without columns for one of the grouping's keys.
#[derive(Debug)]
struct Moves(Rule);

impl OptimizerRule for Moves {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let mut below = &plan;
        while let LogicalPlan::Filter(filter) = below {
            below = &filter.input;
        }
        match (below, &plan) {
            (LogicalPlan::Aggregate(of_all), LogicalPlan::Filter(_)) if of_all.group_expr.is_empty() => {
                Ok(Transformed::no(plan))
            }
            _ => self.0.rewrite(plan, config),
        }
    }
}

/// The rule that makes two groupings of one with DISTINCT, kept from sums: what does
/// not fit in between may fit in the end.
#[derive(Debug)]
struct Splits(Rule);

impl OptimizerRule for Splits {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let sums = |expr: &Expr| match expr.clone().unalias() {
            Expr::AggregateFunction(function) => function.func.name() == "sum",
            _ => true,
        };
        match plan {
            LogicalPlan::Aggregate(aggregate) if aggregate.aggr_expr.iter().any(sums) => {
                Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)))
            }
            other => self.0.rewrite(other, config),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_replaced_where_they_are() {
        let names: Vec<String> = rules().iter().map(|rule| rule.name().to_string()).collect();
        let count = |of: &str| names.iter().filter(|name| *name == of).count();
        assert_eq!([REPLACED, ARRANGES, KEYS, "fold_constants"].map(count), [0, 1, 2, 2]);
        assert_eq!(names[names.len() - 2..], [KEYS, "fold_constants"]);
    }
}
