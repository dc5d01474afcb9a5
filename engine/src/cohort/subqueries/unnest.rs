//! Aggregates over conditions other than equality: how many measurements a patient had before each of their visits.
//!
//! The query engine turns `(SELECT count(*) FROM m WHERE m.person_id = v.person_id AND m.day < v.day)` into a join where all
//! conditions are equalities, and refuses it otherwise. Here it is turned into joins for any condition, as T. Neumann and
//! A. Kemper, "Unnesting Arbitrary Queries" (BTW 2015, section 3), do: the different values that the rows around give to the
//! subquery are taken once each, joined with its tables, grouped by, and joined back; what there is no group for has a count
//! of 0, and NULL for every other aggregate.

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DataFusionError, NullEquality, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{Aggregate, Expr, JoinType, LogicalPlan, LogicalPlanBuilder, lit, when};

use super::{Names, columns_of, correlation, has_subquery};
use crate::cohort::size;

/// A subquery whose one value is an expression over aggregates of some rows.
struct Parts {
    /// Over the aggregates' columns.
    value: Expr,
    aggregate: Aggregate,
    /// The aggregates, over the columns of `base`.
    aggregates: Vec<Expr>,
    conditions: Vec<Expr>,
    base: LogicalPlan,
}

/// Whether a subquery is one of these. Where all its conditions are equalities, it is left to the query engine.
pub(super) fn is_for(plan: &LogicalPlan) -> bool {
    parts(plan).is_some_and(|parts| {
        let correlated = |part: &&Expr| part.contains_outer();
        let conditions: Vec<&Expr> = parts.conditions.iter().filter(correlated).collect();
        let plain = conditions.iter().all(|part| !has_subquery(part));
        plain && conditions.iter().any(|part| correlation::equality(part).is_none())
    })
}

/// Turns such subqueries of expressions over a plan's rows into columns of it.
pub(super) fn unnest(input: LogicalPlan, exprs: Vec<Expr>, names: &mut Names) -> Result<(LogicalPlan, Vec<Expr>)> {
    let (mut plan, rows) = (input.clone(), input);
    let mut replaced = Vec::with_capacity(exprs.len());
    for expr in exprs {
        let name = NamePreserver::new_for_projection().save(&expr);
        let expr = expr.transform_up(|part| {
            let Expr::ScalarSubquery(subquery) = &part else { return Ok(Transformed::no(part)) };
            if !is_for(&subquery.subquery) {
                return Ok(Transformed::no(part));
            }
            let Some(parts) = parts(&subquery.subquery) else { return Ok(Transformed::no(part)) };
            correlation::within(&subquery.subquery, rows.schema())?;
            let (joined, value) = joined(plan.clone(), &rows, parts, names.next())?;
            // The rows around stand in it once more, and so do those around them.
            size::check(&joined).map_err(|error| DataFusionError::External(Box::new(error)))?;
            plan = joined;
            Ok(Transformed::yes(value))
        });
        replaced.push(name.restore(expr.data()?));
    }
    Ok((plan, replaced))
}

/// The parts of a subquery, if it has these.
fn parts(plan: &LogicalPlan) -> Option<Parts> {
    if plan.schema().fields().len() != 1 || !correlation::is_correlated(plan) {
        return None;
    }
    let mut value = Expr::Column(Column::from(plan.schema().qualified_field(0)));
    let mut plan = plan;
    let aggregate = loop {
        match plan {
            LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) => (plan, value) = below(plan, value)?,
            LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() => break aggregate,
            _ => return None,
        }
    };
    let mut aggregates = aggregate.aggr_expr.clone();
    let mut conditions = Vec::new();
    let mut base = &*aggregate.input;
    // What refers to nothing outside stays as it is.
    while correlation::is_correlated(base) {
        match base {
            LogicalPlan::Filter(filter) => {
                conditions.extend(split_conjunction(&filter.predicate).into_iter().cloned());
                base = &filter.input;
            }
            LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) => {
                // A subquery among them may refer to what has another name below.
                if conditions.iter().any(has_subquery) {
                    return None;
                }
                let both = aggregates.into_iter().chain(conditions);
                let moved = both.map(|expr| below(base, expr).map(|(_, expr)| expr)).collect::<Option<Vec<_>>>()?;
                (aggregates, conditions) = {
                    let mut moved = moved;
                    let conditions = moved.split_off(aggregate.aggr_expr.len());
                    (moved, conditions)
                };
                base = base.inputs().first()?;
            }
            _ => break,
        }
    }
    let is_plain = |expr: &Expr| !expr.contains_outer() && !has_subquery(expr);
    let fits = !correlation::is_correlated(base) && aggregates.iter().chain([&value]).all(is_plain);
    fits.then(|| Parts { value, aggregate: aggregate.clone(), aggregates, conditions, base: base.clone() })
}

/// An expression over a step's columns as one over its input's.
fn below(plan: &LogicalPlan, expr: Expr) -> Option<(&LogicalPlan, Expr)> {
    let (input, schema) = (*plan.inputs().first()?, plan.schema());
    let moved = expr.transform_up(|part| {
        let Expr::Column(column) = &part else { return Ok(Transformed::no(part)) };
        let at = schema.index_of_column(column)?;
        Ok(Transformed::yes(match plan {
            LogicalPlan::Projection(projection) => projection.expr[at].clone().unalias(),
            _ => Expr::Column(Column::from(input.schema().qualified_field(at))),
        }))
    });
    Some((input, moved.data().ok()?))
}

/// A plan with a subquery's value as a column more, and that value. `rows` is what the plan was before any column was added.
fn joined(plan: LogicalPlan, rows: &LogicalPlan, parts: Parts, number: usize) -> Result<(LogicalPlan, Expr)> {
    let Parts { value, aggregate, aggregates, conditions, base } = parts;
    let (around, inner) = (format!("__around{number}"), format!("__inner{number}"));
    // What the rows around give to it.
    let mut given: Vec<Column> = Vec::new();
    for condition in &conditions {
        condition.apply(|part| {
            if let Expr::OuterReferenceColumn(_, column) = part
                && !given.contains(column)
            {
                given.push(column.clone());
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    let key = |at: usize| Column::new(Some(around.clone()), format!("__{at}"));
    let named = given.iter().enumerate().map(|(at, column)| Expr::Column(column.clone()).alias(format!("__{at}")));
    let values =
        LogicalPlanBuilder::from(rows.clone()).project(named.collect::<Vec<_>>())?.distinct()?.alias(&around)?;
    let condition = conditions.into_iter().map(|condition| {
        let given_here = |part: Expr| match &part {
            Expr::OuterReferenceColumn(_, column) => match given.iter().position(|of| of == column) {
                Some(at) => Ok(Transformed::yes(Expr::Column(key(at)))),
                None => Ok(Transformed::no(part)),
            },
            _ => Ok(Transformed::no(part)),
        };
        condition.transform_up(given_here).data()
    });
    let condition = conjunction(condition.collect::<Result<Vec<_>>>()?).unwrap_or_else(|| lit(true));
    let keys: Vec<Expr> = (0..given.len()).map(|at| Expr::Column(key(at))).collect();
    let grouped = values.cross_join(base)?.filter(condition)?.aggregate(keys.clone(), aggregates)?.build()?;
    let columns: Vec<Expr> =
        columns_of(&grouped).into_iter().enumerate().map(|(at, column)| column.alias(format!("__{at}"))).collect();
    let grouped = LogicalPlanBuilder::from(grouped).project(columns)?.alias(&inner)?.build()?;
    let of_inner = |at: usize| Column::new(Some(inner.clone()), format!("__{at}"));
    let both = LogicalPlanBuilder::from(plan.clone()).join_detailed(
        grouped,
        JoinType::Left,
        (given.clone(), (0..given.len()).map(of_inner).collect::<Vec<_>>()),
        None,
        NullEquality::NullEqualsNull,
    )?;
    let mut columns = columns_of(&plan);
    for (at, of) in aggregate.aggr_expr.iter().enumerate() {
        let found = Expr::Column(of_inner(given.len() + at));
        let found = if counts(of) { when(found.clone().is_null(), lit(0i64)).otherwise(found)? } else { found };
        columns.push(found.alias(format!("__v{number}_{at}")));
    }
    let plan = both.project(columns)?.build()?;
    let value = over(value, &aggregate.schema, number)?;
    Ok((plan, value))
}

/// Whether an aggregate is 0 of no rows.
fn counts(aggregate: &Expr) -> bool {
    match aggregate {
        Expr::Alias(alias) => counts(&alias.expr),
        Expr::AggregateFunction(function) => function.func.name() == "count",
        _ => false,
    }
}

/// An expression over aggregates as one over the columns that they are now.
fn over(value: Expr, schema: &DFSchema, number: usize) -> Result<Expr> {
    let named = |part: Expr| {
        let Expr::Column(column) = &part else { return Ok(Transformed::no(part)) };
        let at = schema.index_of_column(column)?;
        Ok(Transformed::yes(Expr::Column(Column::new_unqualified(format!("__v{number}_{at}")))))
    };
    value.transform_up(named).data()
}
