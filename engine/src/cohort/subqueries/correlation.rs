//! What correlates a subquery with its query, and whether it can be turned into the condition of a join.
//!
//! The query engine takes correlated conditions out of the WHERE in which they stand and evaluates them above all of the
//! subquery. That is the same only if every step in between commutes with the condition: projections, further
//! conditions, inner joins, the kept side of an outer join, DISTINCT; grouping, if the condition is an equality by whose
//! column is then grouped as well; windows, if they are partitioned by it. Everything else is refused. What is compared has
//! a name of its own on that way ([`named`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::utils::{conjunction, split_conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    Distinct, Expr, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Operator, SubqueryAlias, Window, lit,
};

use super::{Names, columns_of, has_subquery, refuse};

/// What there is of correlated conditions at or below a step.
#[derive(Default)]
struct Found {
    /// The columns that are compared for equality with something of the outer query.
    equalities: Vec<Expr>,
    /// Whether there are conditions of another form.
    other: bool,
    /// Whether they were evaluated below an aggregate without GROUP BY, which has a row even where nothing fits.
    alone: bool,
}

impl Found {
    fn any(&self) -> bool {
        self.other || !self.equalities.is_empty()
    }

    fn and(mut self, further: Self) -> Self {
        self.equalities.extend(further.equalities);
        Self { equalities: self.equalities, other: self.other || further.other, alone: self.alone || further.alone }
    }
}

/// Checks a subquery whose query has rows of this schema.
pub(super) fn check(plan: &LogicalPlan, outer: &DFSchema) -> Result<()> {
    within(plan, outer)?;
    find(plan).map(drop)
}

/// A subquery in which no column that is compared with the query around it can be taken for another.
///
/// The query engine evaluates these comparisons above the subquery, where it knows columns by their names alone: of two tables
/// that are joined in the subquery, of one that has the name of another around it, and of one table in the subquery and around
/// it, a column would be taken for the other's. Those have a name of their own here. Nor does it find them again above a
/// table that has another name there, which becomes a list of columns with that name.
pub(super) fn named(plan: LogicalPlan, names: &mut Names) -> Result<LogicalPlan> {
    let plan = plan.transform_up(|step| match step {
        LogicalPlan::SubqueryAlias(SubqueryAlias { input, alias, .. }) if is_correlated(&input) => {
            let columns = input.schema().columns().into_iter().map(|column| {
                let name = column.name.clone();
                Expr::Column(column).alias_qualified(Some(alias.clone()), name)
            });
            let columns = columns.collect::<Vec<_>>();
            LogicalPlanBuilder::from(Arc::unwrap_or_clone(input)).project(columns)?.build().map(Transformed::yes)
        }
        other => Ok(Transformed::no(other)),
    });
    let plan = plan.data()?;
    let confused = confused(&plan)?;
    if confused.is_empty() {
        return Ok(plan);
    }
    let own = columns_of(&plan);
    let named = plan.transform_up(|step| {
        let LogicalPlan::Filter(filter) = step else { return step.recompute_schema().map(Transformed::yes) };
        let mut columns = columns_of(&filter.input);
        let mut given = BTreeMap::<Column, Expr>::new();
        let mut name = |part: Expr| {
            let column = match part {
                Expr::Column(column) if confused.contains(&column) => column,
                other => return Ok(Transformed::no(other)),
            };
            let other = given.entry(column).or_insert_with_key(|column| {
                let other = format!("__c{}", names.next());
                columns.push(Expr::Column(column.clone()).alias(&other));
                Expr::Column(Column::new_unqualified(other))
            });
            Ok(Transformed::yes(other.clone()))
        };
        let mut parts = Vec::new();
        for part in split_conjunction_owned(filter.predicate) {
            parts.push(if part.contains_outer() { part.transform_up(&mut name).data()? } else { part });
        }
        let mut rows = LogicalPlanBuilder::from(Arc::unwrap_or_clone(filter.input));
        if !given.is_empty() {
            rows = rows.project(columns)?;
        }
        rows.filter(conjunction(parts).unwrap_or_else(|| lit(true)))?.build().map(Transformed::yes)
    });
    let named = named.data()?;
    if named.schema().fields().len() == own.len() {
        return Ok(named);
    }
    LogicalPlanBuilder::from(named).project(own)?.build()
}

const ONE_NAME: &str =
    "a table of one name in a subquery and around it (instead of FROM … with another alias in the subquery)";

/// The columns of a subquery that are compared with the query around it and share their name with something else above.
fn confused(plan: &LogicalPlan) -> Result<BTreeSet<Column>> {
    let (mut compared, mut outer, mut shown) =
        (BTreeSet::<Column>::new(), BTreeSet::<Column>::new(), BTreeSet::<Column>::new());
    plan.apply(|step| {
        match step {
            LogicalPlan::Filter(filter) => {
                for part in split_conjunction(&filter.predicate).into_iter().filter(|part| part.contains_outer()) {
                    compared.extend(part.column_refs().into_iter().cloned());
                    part.apply(|part| {
                        if let Expr::OuterReferenceColumn(_, column) = part {
                            if filter.input.schema().has_column(column) {
                                return refuse(ONE_NAME);
                            }
                            outer.insert(column.clone());
                        }
                        Ok(TreeNodeRecursion::Continue)
                    })?;
                }
            }
            LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_) if is_correlated(step) => {
                shown.extend(step.schema().columns());
            }
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    let is_confused = |column: &&Column| {
        let is_other = |other: &Column| other != *column && other.name == column.name;
        compared.iter().chain(&shown).any(is_other) || outer.contains(*column)
    };
    Ok(compared.iter().filter(is_confused).cloned().collect())
}

/// Checks that a subquery refers to the query around it, and to none beyond that.
pub(super) fn within(plan: &LogicalPlan, outer: &DFSchema) -> Result<()> {
    plan.apply(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| match part {
                Expr::OuterReferenceColumn(_, column) if outer.maybe_index_of_column(column).is_none() => refuse(
                    "a subquery that refers to a query beyond the one around it (instead of a JOIN in the subquery between)",
                ),
                _ => Ok(TreeNodeRecursion::Continue),
            })
        })
    })
    .map(drop)
}

/// Refuses what HAVING of one row says of the query around it.
pub(super) fn in_having<T>() -> Result<T> {
    refuse(
        "a condition on columns of the outer query in the HAVING of a subquery without GROUP BY (instead of a comparison with \
         the subquery)",
    )
}

/// Whether a subquery refers to anything outside.
pub(in crate::cohort) fn is_correlated(plan: &LogicalPlan) -> bool {
    let mut found = false;
    let visited = plan.apply(|node| {
        found |= node.contains_outer_reference();
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    // In doubt it does.
    found || visited.is_err()
}

fn find(plan: &LogicalPlan) -> Result<Found> {
    if !matches!(plan, LogicalPlan::Filter(_)) && plan.contains_outer_reference() {
        return refuse(
            "a column of the outer query elsewhere than in the WHERE of a subquery (instead of a condition in its WHERE, or a JOIN)",
        );
    }
    match plan {
        LogicalPlan::TableScan(_) | LogicalPlan::Values(_) | LogicalPlan::EmptyRelation(_) => Ok(Found::default()),
        LogicalPlan::Projection(projection) => find(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => find(&alias.input),
        LogicalPlan::Sort(sort) => find(&sort.input),
        LogicalPlan::Distinct(Distinct::All(input)) => find(input),
        LogicalPlan::Filter(filter) => {
            let below = find(&filter.input)?;
            let own = conditions(&filter.predicate)?;
            if below.alone && own.any() {
                return in_having();
            }
            Ok(below.and(own))
        }
        LogicalPlan::Aggregate(aggregate) => {
            let below = find(&aggregate.input)?;
            not_alone(&below)?;
            if below.other && !aggregate.aggr_expr.is_empty() {
                return refuse(
                    "an aggregate in a subquery over a condition other than equality with a column of the outer query (instead \
                     of a LEFT JOIN and GROUP BY)",
                );
            }
            let alone = below.any() && aggregate.group_expr.is_empty();
            Ok(Found { alone, ..below })
        }
        LogicalPlan::Window(window) => {
            let below = find(&window.input)?;
            not_alone(&below)?;
            if !below.any() || (!below.other && is_partitioned(window, &below.equalities)) {
                return Ok(below);
            }
            refuse(
                "a window function in a subquery that is not PARTITION BY the columns compared with the outer query (instead \
                 of one in a WITH query)",
            )
        }
        LogicalPlan::Join(join) => self::join(join),
        LogicalPlan::Union(union) => {
            let uncorrelated = |input: &Arc<LogicalPlan>| find(input).map(|found| !found.any());
            if union.inputs.iter().map(uncorrelated).collect::<Result<Vec<_>>>()?.into_iter().all(|none| none) {
                return Ok(Found::default());
            }
            refuse("UNION in a subquery that refers to the outer query (instead of one subquery for each part)")
        }
        _ => refuse("this kind of step in a subquery"),
    }
}

fn not_alone(below: &Found) -> Result<()> {
    if below.alone {
        return refuse(
            "an aggregate without GROUP BY within another step of a subquery that refers to the outer query (instead of a \
             GROUP BY, or a WITH query)",
        );
    }
    Ok(())
}

/// The correlated ones among a WHERE's conditions.
fn conditions(predicate: &Expr) -> Result<Found> {
    let mut found = Found::default();
    for part in split_conjunction(predicate).into_iter().filter(|part| part.contains_outer()) {
        if has_subquery(part) {
            return refuse(
                "OR between a condition on the outer query and a further subquery (instead of one subquery for each)",
            );
        }
        match equality(part) {
            Some(column) => found.equalities.push(column.clone()),
            None => found.other = true,
        }
    }
    Ok(found)
}

/// The column that is compared with something of the outer query and of nothing else.
pub(super) fn equality(part: &Expr) -> Option<&Expr> {
    let Expr::BinaryExpr(binary) = part else { return None };
    if binary.op != Operator::Eq {
        return None;
    }
    let fits = |column: &Expr, other: &Expr| matches!(column, Expr::Column(_)) && !other.any_column_refs();
    if fits(&binary.left, &binary.right) {
        Some(&binary.left)
    } else if fits(&binary.right, &binary.left) {
        Some(&binary.right)
    } else {
        None
    }
}

fn is_partitioned(window: &Window, columns: &[Expr]) -> bool {
    window.window_expr.iter().all(|expr| {
        let mut expr = expr;
        while let Expr::Alias(alias) = expr {
            expr = &alias.expr;
        }
        let Expr::WindowFunction(function) = expr else { return false };
        columns.iter().all(|column| function.params.partition_by.contains(column))
    })
}

fn join(join: &Join) -> Result<Found> {
    let (left, right) = (find(&join.left)?, find(&join.right)?);
    not_alone(&left)?;
    not_alone(&right)?;
    let kept = match join.join_type {
        JoinType::Inner => true,
        JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => !right.any(),
        JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => !left.any(),
        JoinType::Full => !left.any() && !right.any(),
    };
    if !kept {
        return refuse(
            "a condition on columns of the outer query within one side of an outer join, INTERSECT or EXCEPT (instead of one in \
             the WHERE around it)",
        );
    }
    Ok(left.and(right))
}
