//! A full join by the person, as what the proofs know.
//!
//! `a FULL JOIN b ON a.person_id = b.person_id` has rows of whoever is in one of the two, and none of its columns names the
//! person in all of them. So it becomes the persons of both, each once, and two left joins, with the same rows; and
//! `coalesce(a.person_id, b.person_id)`, which is how such a query names the person, becomes that person's id. A further full
//! join by that adds one to them, so that of any number each is read twice. Any other full join is refused.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DataFusionError, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    BinaryExpr, Expr, Join, JoinConstraint, JoinType, LogicalPlan, LogicalPlanBuilder, Operator, Union,
};

use super::error::CohortError;
use super::lineage::{Outer, Trace, columns};
use super::nulls::never;
use super::size;
use super::subqueries::{is_correlated, refuse};

/// The name of the column with the person.
const PERSON: &str = "__person";

/// Full joins that were replaced by one step.
struct Joined {
    /// What is joined, each with the column that names the person in its rows.
    sides: Vec<Side>,
    /// The one that does in all rows.
    person: Column,
}

#[derive(Clone)]
struct Side {
    plan: LogicalPlan,
    person: Column,
}

/// Replaces the full joins of a plan.
pub(super) fn replace(plan: LogicalPlan) -> std::result::Result<LogicalPlan, CohortError> {
    let mut has_any = false;
    let looked = plan.apply_with_subqueries(|node| {
        has_any |= matches!(node, LogicalPlan::Join(join) if join.join_type == JoinType::Full);
        Ok(if has_any { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    looked.map_err(|_| CohortError::Internal)?;
    if !has_any {
        return Ok(plan);
    }
    let (mut joined, mut number) = (Vec::new(), 0);
    let replaced = plan.transform_up_with_subqueries(|node| {
        let node = named(node, &joined)?;
        let node = match node {
            LogicalPlan::Join(join) if join.join_type == JoinType::Full => {
                number += 1;
                self::join(join, &mut joined, number)?
            }
            other => other,
        };
        Ok(Transformed::yes(node.recompute_schema()?))
    });
    replaced.data().map_err(|error| super::subqueries::refusal(&error))
}

fn told(error: CohortError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

fn traces(side: &LogicalPlan) -> Result<Vec<Trace>> {
    if is_correlated(side) {
        return refuse(
            "a condition on columns of the outer query within one side of a FULL JOIN (instead of one in the WHERE around it)",
        );
    }
    columns(side, &Outer::new()).map_err(told)
}

fn join(join: Join, joined: &mut Vec<Joined>, number: usize) -> Result<LogicalPlan> {
    let (left, right) = (traces(&join.left)?, traces(&join.right)?);
    // Of vocabularies it is as any other join.
    let of_patients = [&left, &right].iter().any(|traces| traces.contains(&Trace::Subject));
    if !of_patients && join.join_constraint == JoinConstraint::On {
        return Ok(LogicalPlan::Join(join));
    }
    if !of_patients {
        return refuse("a FULL JOIN with USING (instead of ON)");
    }
    // What USING makes one column of is the left one to the query engine, which is NULL where only the right side has a row.
    let condition = match (join.on.as_slice(), &join.filter, join.join_constraint) {
        ([(one, other)], None, JoinConstraint::On) => Some((one, other)),
        ([], Some(Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right })), JoinConstraint::On) => {
            Some((&**left, &**right))
        }
        _ => None,
    };
    let is_subject = |side: &LogicalPlan, traces: &[Trace], column: &Column| {
        let at = side.schema().maybe_index_of_column(column);
        at.is_some_and(|at| traces.get(at) == Some(&Trace::Subject))
    };
    let by_person = condition.and_then(|condition| {
        let (Expr::Column(one), Expr::Column(other)) = condition else { return None };
        let (one, other) = if join.left.schema().has_column(one) { (one, other) } else { (other, one) };
        let both = is_subject(&join.left, &left, one) && is_subject(&join.right, &right, other);
        both.then(|| (one.clone(), other.clone()))
    });
    let Some((one, other)) = by_person else {
        return refuse(
            "a FULL JOIN other than ON a.person_id = b.person_id alone (instead of that, with coalesce(a.person_id, b.person_id) \
             as the person, of all before in a further one, or LEFT JOINs of `person`)",
        );
    };
    let is_never_null = |side: &LogicalPlan, column: &Column| never(side, &Expr::Column(column.clone()));
    // Rows that an earlier outer join leaves without this id have a person of another name, and stay rows of their own.
    if !is_never_null(&join.left, &one) || !is_never_null(&join.right, &other) {
        return refuse(
            "a FULL JOIN by a person's id that an earlier outer join may leave empty (instead of that: \
             ON coalesce(a.person_id, b.person_id) = c.person_id)",
        );
    }
    let mut sides = sides(&join.left, one, joined);
    sides.extend(self::sides(&join.right, other, joined));
    let persons = sides.iter().map(|side| {
        let person = Expr::Column(side.person.clone()).alias(PERSON);
        LogicalPlanBuilder::from(side.plan.clone()).project([person])?.build().map(Arc::new)
    });
    let persons = LogicalPlan::Union(Union::try_new_with_loose_types(persons.collect::<Result<_>>()?)?);
    let name = format!("__full{number}");
    let person = Column::new(Some(name.clone()), PERSON);
    let mut rows = LogicalPlanBuilder::from(persons).distinct()?.alias(name)?;
    for side in &sides {
        rows = rows.join(side.plan.clone(), JoinType::Left, (vec![person.clone()], vec![side.person.clone()]), None)?;
    }
    let plan = rows.build()?;
    // Each side stands in it twice, and so does what is replaced within one.
    size::check(&plan).map_err(told)?;
    joined.push(Joined { sides, person });
    Ok(plan)
}

/// What one side of a full join is made of: itself, or the sides of full joins that it is.
fn sides(side: &LogicalPlan, person: Column, joined: &mut Vec<Joined>) -> Vec<Side> {
    let is_this = |joined: &Joined| joined.person == person && is_nothing_but(side, joined);
    match joined.iter().position(is_this) {
        Some(at) => joined.remove(at).sides,
        None => vec![Side { plan: side.clone(), person }],
    }
}

/// Whether a plan is what full joins were replaced by, with nothing joined or selected since.
fn is_nothing_but(plan: &LogicalPlan, joined: &Joined) -> bool {
    let mut plan = plan;
    for _ in &joined.sides {
        let LogicalPlan::Join(join) = plan else { return false };
        plan = &join.left;
    }
    matches!(plan, LogicalPlan::SubqueryAlias(alias) if Some(&alias.alias) == joined.person.relation.as_ref())
}

/// A step with `coalesce` of the persons' ids of all sides replaced.
fn named(node: LogicalPlan, joined: &[Joined]) -> Result<LogicalPlan> {
    let here = |column: &Column| node.inputs().iter().any(|input| input.schema().has_column(column));
    let known: Vec<&Joined> = joined.iter().filter(|joined| here(&joined.person)).collect();
    if known.is_empty() {
        return Ok(node);
    }
    let names = NamePreserver::new(&node);
    node.map_expressions(|expr| {
        let name = names.save(&expr);
        let replaced = expr.transform_down(|part| {
            if !is_coalesce(&part) {
                return Ok(Transformed::no(part));
            }
            let mut args = Vec::new();
            flat(&part, &mut args);
            let mut found = None;
            while let Some(joined) = known.iter().find(|joined| joined.is_named_by(&args)) {
                args.retain(|arg| !joined.has(arg));
                let person = Expr::Column(joined.person.clone());
                args.push(person.clone());
                found = Some(person);
            }
            match (args.len(), found) {
                (1, Some(person)) => Ok(Transformed::yes(person)),
                (2.., _) if known.iter().any(|joined| args.iter().all(|arg| joined.has(arg))) => refuse(
                    "coalesce of the persons' ids of some of a FULL JOIN (instead of all: coalesce(a.person_id, b.person_id, \
                     c.person_id))",
                ),
                _ => Ok(Transformed::no(part)),
            }
        })?;
        Ok(replaced.update_data(|expr| name.restore(expr)))
    })
    .data()
}

impl Joined {
    /// Whether the person of each side is among these.
    fn is_named_by(&self, args: &[Expr]) -> bool {
        self.sides.iter().all(|side| args.contains(&Expr::Column(side.person.clone())))
    }

    /// Whether it is the person of a side.
    fn has(&self, expr: &Expr) -> bool {
        matches!(expr, Expr::Column(column) if self.sides.iter().any(|side| side.person == *column))
    }
}

fn is_coalesce(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(function) if function.func.name() == "coalesce")
}

/// The arguments of a coalesce, and of those within it.
fn flat(expr: &Expr, args: &mut Vec<Expr>) {
    match expr {
        Expr::ScalarFunction(function) if is_coalesce(expr) => function.args.iter().for_each(|arg| flat(arg, args)),
        _ => args.push(expr.clone()),
    }
}
