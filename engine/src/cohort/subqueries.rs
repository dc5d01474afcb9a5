//! Subqueries in the forms that the query engine gets right.
//!
//! DataFusion turns `IN`, `EXISTS` and correlated scalar subqueries into joins. Its semi joins are right, and its mark joins
//! are right as long as the mark is two-valued, which `EXISTS` is and `IN` is not: where a side may be NULL, `x NOT IN (…)`
//! kept rows that SQL drops, or could not be planned. It forgets that an aggregate without GROUP BY has a row where nothing
//! fits (Ganski and Wong, "Optimization of Nested SQL Queries Revisited", SIGMOD 1987, call it the count bug), and it
//! pulls a correlated condition up through steps that are not the same above as below it.
//!
//! So before anything is optimized, every predicate with a subquery is rewritten:
//!
//! | written | becomes |
//! |---|---|
//! | `x IN (S)`, where only its truth counts | as it is: a semi or mark join |
//! | `x NOT IN (S)`, likewise | `(x IN (S)) IS NOT TRUE` and, where they may be NULL, no NULL in S, and x not NULL unless S is empty |
//! | either, where NULL and false differ | `CASE` of the same parts |
//! | `x IN (S)`, S with exactly one row | `x = (S)`, a scalar subquery, of whose count bug the engine takes care |
//! | `EXISTS (S)`, S with exactly one row | true |
//! | `EXISTS (SELECT … HAVING h)`, without GROUP BY | `(SELECT h …) IS TRUE` |
//!
//! Among results, in CASE and in aggregates there are no such joins: there `EXISTS (S)` becomes `NOT (SELECT count(1) … S) = 0`, and a
//! subquery within an aggregate or window function is computed by a step below it. An aggregate over a condition other than
//! equality is turned into joins here ([`unnest`]).
//!
//! What correlates a subquery with its query is let up through steps that commute with it and no others
//! ([`correlation`]); the rest is refused by name. What is equal to what is held against another engine in the tests.

mod correlation;
mod shape;
mod unnest;

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DataFusionError, Result};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::expr::{Exists, InSubquery};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Expr, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Operator, Subquery, Window, and, lit,
    not, or, when,
};
use datafusion::scalar::ScalarValue;

use super::error::CohortError;
use super::nulls;
use super::refusal::meaning;
pub(super) use correlation::is_correlated;
use shape::Shape;
pub(super) use shape::reads_patients;

/// Rewrites all subqueries of a plan, those within subqueries first.
pub(super) fn rewrite(plan: LogicalPlan) -> Result<LogicalPlan, CohortError> {
    let mut names = Names::default();
    let rewritten = plan.transform_up_with_subqueries(|plan| node(plan, &mut names)).data();
    let named = rewritten.and_then(|plan| plan.transform_up_with_subqueries(|plan| named(plan, &mut names)).data());
    named.map_err(|error| refusal(&error))
}

/// A step whose subqueries are told by names of their own from what is around them.
fn named(plan: LogicalPlan, names: &mut Names) -> Result<Transformed<LogicalPlan>> {
    let expression = NamePreserver::new(&plan);
    plan.map_expressions(|expr| {
        if !has_subquery(&expr) {
            return Ok(Transformed::no(expr));
        }
        let name = expression.save(&expr);
        let mut renamed = |of: Subquery| {
            if !correlation::is_correlated(&of.subquery) {
                return Ok(of);
            }
            correlation::named(Arc::unwrap_or_clone(of.subquery), names).map(self::subquery)
        };
        let replaced = expr.transform_down(|part| {
            Ok(Transformed::yes(match part {
                Expr::Exists(Exists { subquery, negated }) => {
                    Expr::Exists(Exists { subquery: renamed(subquery)?, negated })
                }
                Expr::InSubquery(within) => {
                    Expr::InSubquery(InSubquery { subquery: renamed(within.subquery)?, ..within })
                }
                Expr::ScalarSubquery(subquery) => Expr::ScalarSubquery(renamed(subquery)?),
                other => return Ok(Transformed::no(other)),
            }))
        })?;
        Ok(replaced.update_data(|expr| name.restore(expr)))
    })
}

/// What a walk over a plan was left with.
pub(super) fn refusal(error: &DataFusionError) -> CohortError {
    match error.find_root() {
        DataFusionError::External(inner) => match inner.downcast_ref::<CohortError>() {
            Some(refusal) => refusal.clone(),
            None => CohortError::Internal,
        },
        other => meaning(other),
    }
}

/// Names for what a query has no name of its own for.
#[derive(Default)]
struct Names(usize);

impl Names {
    fn next(&mut self) -> usize {
        self.0 += 1;
        self.0
    }
}

/// Leaves a walk over a plan with a refusal.
pub(super) fn refuse<T>(what: &'static str) -> Result<T> {
    Err(DataFusionError::External(Box::new(CohortError::Construct { what })))
}

fn node(plan: LogicalPlan, names: &mut Names) -> Result<Transformed<LogicalPlan>> {
    let mut found = false;
    plan.apply_expressions(|expr| {
        found |= has_subquery(expr);
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    if !found {
        return Ok(Transformed::no(plan));
    }
    match plan {
        LogicalPlan::Filter(filter) => {
            let scope = Scope { input: &filter.input, has_marks: true };
            let parts = split_conjunction_owned(filter.predicate).into_iter().map(|part| scope.truth(part));
            let predicate = conjunction(parts.collect::<Result<Vec<_>>>()?).unwrap_or_else(|| lit(true));
            let own: Vec<Expr> = columns_of(&filter.input);
            let (input, exprs) = unnest::unnest(Arc::unwrap_or_clone(filter.input), vec![predicate], names)?;
            let predicate = exprs.into_iter().next().unwrap_or_else(|| lit(true));
            let rows = LogicalPlanBuilder::from(input).filter(predicate)?;
            let more = rows.schema().fields().len() > own.len();
            Ok(Transformed::yes(if more { rows.project(own)? } else { rows }.build()?))
        }
        LogicalPlan::Projection(projection) => {
            self::projection(projection.expr, Arc::unwrap_or_clone(projection.input), names).map(Transformed::yes)
        }
        LogicalPlan::Aggregate(Aggregate { input, group_expr, aggr_expr, .. }) => {
            let groups = group_expr.len();
            let (input, mut exprs) =
                lifted(Arc::unwrap_or_clone(input), group_expr.into_iter().chain(aggr_expr).collect(), names)?;
            let aggr_expr = exprs.split_off(groups);
            Ok(Transformed::yes(LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(input), exprs, aggr_expr)?)))
        }
        LogicalPlan::Window(window) => {
            let (input, exprs) = lifted(Arc::unwrap_or_clone(window.input), window.window_expr, names)?;
            Ok(Transformed::yes(LogicalPlan::Window(Window::try_new(exprs, Arc::new(input))?)))
        }
        LogicalPlan::Join(join) => asked_before(join, names).map(Transformed::yes),
        _ => refuse("a subquery in this place (instead of one that a WITH query computes first)"),
    }
}

/// A join whose conditions with subqueries are asked of one side before, or of an inner join's rows after.
fn asked_before(join: Join, names: &mut Names) -> Result<LogicalPlan> {
    const INSTEAD: &str = "a subquery in the condition of an outer JOIN that is not of the joined table alone (instead of a JOIN with \
                           (SELECT … FROM … WHERE …), where it is)";
    let of = |plan: Arc<LogicalPlan>, parts: Vec<Expr>, names: &mut Names| match conjunction(parts) {
        Some(asked) => {
            let filtered = LogicalPlanBuilder::from(Arc::unwrap_or_clone(plan)).filter(asked)?.build()?;
            node(filtered, names).data().map(Arc::new)
        }
        None => Ok(plan),
    };
    let Join { left, right, filter, join_type, .. } = &join;
    let parts: Vec<Expr> = filter.iter().cloned().flat_map(split_conjunction_owned).collect();
    let (asked, kept): (Vec<_>, Vec<_>) = parts.into_iter().partition(has_subquery);
    if join.on.iter().any(|(one, other)| has_subquery(one) || has_subquery(other)) {
        return refuse(INSTEAD);
    }
    let side = match join_type {
        JoinType::Inner => None,
        JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti => Some(right),
        JoinType::Right => Some(left),
        _ => return refuse(INSTEAD),
    };
    let filter = conjunction(kept);
    let Some(side) = side else {
        let rows = LogicalPlan::Join(Join { filter, ..join });
        return of(Arc::new(rows), asked, names).map(Arc::unwrap_or_clone);
    };
    for part in &asked {
        if !names_alone(part, side.schema())? {
            return refuse(INSTEAD);
        }
    }
    let is_left = *join_type == JoinType::Right;
    let side = of(Arc::clone(side), asked, names)?;
    let (left, right) = if is_left { (side, join.right) } else { (join.left, side) };
    Ok(LogicalPlan::Join(Join { left, right, filter, ..join }))
}

/// Whether an expression names columns of these alone, its subqueries included.
fn names_alone(expr: &Expr, schema: &DFSchema) -> Result<bool> {
    let mut alone = expr.column_refs().into_iter().all(|column| schema.has_column(column));
    expr.apply(|part| {
        let within = match part {
            Expr::Exists(Exists { subquery, .. }) | Expr::InSubquery(InSubquery { subquery, .. }) => subquery,
            Expr::ScalarSubquery(subquery) => subquery,
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        for of in within.subquery.all_out_ref_exprs() {
            if let Expr::OuterReferenceColumn(_, column) = of {
                alone &= schema.has_column(&column);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(alone)
}

/// Expressions over a plan's rows, those with subqueries as columns of their own.
fn projection(exprs: Vec<Expr>, input: LogicalPlan, names: &mut Names) -> Result<LogicalPlan> {
    let scope = Scope { input: &input, has_marks: false };
    let value = |expr: Expr| {
        let name = NamePreserver::new_for_projection().save(&expr);
        scope.value(expr).map(|expr| name.restore(expr))
    };
    let exprs = exprs.into_iter().map(value).collect::<Result<Vec<_>>>()?;
    let (input, exprs) = unnest::unnest(input, exprs, names)?;
    LogicalPlanBuilder::from(input).project(exprs)?.build()
}

/// The same expressions with every subquery in them as a column that a step below computes.
fn lifted(input: LogicalPlan, exprs: Vec<Expr>, names: &mut Names) -> Result<(LogicalPlan, Vec<Expr>)> {
    let mut below = columns_of(&input);
    let above = exprs.into_iter().map(|expr| {
        let name = NamePreserver::new_for_projection().save(&expr);
        let replaced = expr.transform_down(|part| {
            if !is_subquery(&part) {
                return Ok(Transformed::no(part));
            }
            let own = format!("__q{}", names.next());
            below.push(part.alias(&own));
            Ok(Transformed::new(Expr::Column(Column::new_unqualified(own)), true, TreeNodeRecursion::Jump))
        });
        replaced.map(|replaced| name.restore(replaced.data))
    });
    let above = above.collect::<Result<Vec<_>>>()?;
    Ok((projection(below, input, names)?, above))
}

pub(super) fn is_subquery(expr: &Expr) -> bool {
    matches!(expr, Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_) | Expr::SetComparison(_))
}

pub(super) fn has_subquery(expr: &Expr) -> bool {
    // The closure cannot fail; if it did, the expression would be looked at.
    expr.exists(|part| Ok(is_subquery(part))).unwrap_or(true)
}

/// The rows over which a predicate is evaluated.
struct Scope<'a> {
    input: &'a LogicalPlan,
    /// Whether a condition's truth may come of a join that marks rows: the query engine does so in WHERE alone.
    has_marks: bool,
}

impl Scope<'_> {
    fn schema(&self) -> &DFSchema {
        self.input.schema()
    }

    /// An expression that is true where the given one is; where that is NULL, this may be false.
    fn truth(&self, expr: Expr) -> Result<Expr> {
        if !has_subquery(&expr) {
            return Ok(expr);
        }
        match expr {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                Ok(and(self.truth(*left)?, self.truth(*right)?))
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
                Ok(or(self.truth(*left)?, self.truth(*right)?))
            }
            Expr::Not(inner) => self.falsity(*inner),
            Expr::Exists(Exists { subquery, negated }) => self.exists(&subquery, negated),
            Expr::InSubquery(within) if within.negated => self.is_outside(within),
            Expr::InSubquery(within) => self.is_inside(within),
            other => self.value(other),
        }
    }

    /// An expression that is true where the given one is false.
    fn falsity(&self, expr: Expr) -> Result<Expr> {
        if !has_subquery(&expr) {
            return Ok(not(expr));
        }
        match expr {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                Ok(or(self.falsity(*left)?, self.falsity(*right)?))
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
                Ok(and(self.falsity(*left)?, self.falsity(*right)?))
            }
            Expr::Not(inner) => self.truth(*inner),
            Expr::Exists(Exists { subquery, negated }) => self.exists(&subquery, !negated),
            Expr::InSubquery(within) if within.negated => self.is_inside(within),
            Expr::InSubquery(within) => self.is_outside(within),
            other => Ok(not(self.value(other)?)),
        }
    }

    /// An expression with the same three values.
    fn value(&self, expr: Expr) -> Result<Expr> {
        expr.transform_up(|part| match part {
            Expr::Exists(Exists { subquery, negated }) => self.exists(&subquery, negated).map(Transformed::yes),
            Expr::InSubquery(within) => self.three_valued(within).map(Transformed::yes),
            Expr::ScalarSubquery(subquery) => {
                self.check_scalar(&subquery)?;
                Ok(Transformed::yes(value_of(subquery)?))
            }
            Expr::SetComparison(_) => {
                refuse("a comparison with ANY or ALL of a subquery (instead of min, max or EXISTS)")
            }
            other => Ok(Transformed::no(other)),
        })
        .data()
    }

    /// Whether what correlates the subquery can be turned into a join, and is with this query and none further out.
    fn check(&self, subquery: &Subquery) -> Result<()> {
        correlation::check(&subquery.subquery, self.schema())
    }

    /// The same of one in the place of a value, of which some are turned into joins here.
    fn check_scalar(&self, subquery: &Subquery) -> Result<()> {
        of_nobody_else(&subquery.subquery)?;
        if unnest::is_for(&subquery.subquery) { Ok(()) } else { self.check(subquery) }
    }

    /// An expression over these rows, as a subquery refers to it.
    fn referred_to(&self, expr: Expr) -> Result<Expr> {
        let refer = |part: Expr| {
            let Expr::Column(column) = &part else { return Ok(Transformed::no(part)) };
            let field = Arc::clone(&self.schema().fields()[self.schema().index_of_column(column)?]);
            Ok(Transformed::yes(Expr::OuterReferenceColumn(field, column.clone())))
        };
        expr.transform_up(refer).data()
    }

    fn exists(&self, subquery: &Subquery, negated: bool) -> Result<Expr> {
        match shape::of(&subquery.subquery)? {
            Shape::One => Ok(lit(!negated)),
            Shape::OneHaving(having) => {
                let holds = self::subquery(having);
                self.check_scalar(&holds)?;
                let holds = Box::new(Expr::ScalarSubquery(holds));
                Ok(if negated { Expr::IsNotTrue(holds) } else { Expr::IsTrue(holds) })
            }
            Shape::Any => {
                if self.has_marks {
                    self.check(subquery)?;
                }
                self.some_row((*subquery.subquery).clone(), negated)
            }
        }
    }

    /// EXISTS, of a plan that may have any number of rows.
    fn some_row(&self, plan: LogicalPlan, negated: bool) -> Result<Expr> {
        let is_correlated = correlation::is_correlated(&plan);
        if is_correlated && self.has_marks {
            return Ok(Expr::Exists(Exists { subquery: subquery(plan), negated }));
        }
        // Of no row, one number for all rows: a join without a condition would look at each.
        let counted = LogicalPlanBuilder::from(plan).aggregate(Vec::<Expr>::new(), [count(lit(1i64))])?.build()?;
        // By a name of its own: the query around it may count, too.
        let rows = first_column(&counted).alias("__rows");
        let counted = subquery(LogicalPlanBuilder::from(counted).project([rows])?.build()?);
        self.check_scalar(&counted)?;
        let none = Expr::ScalarSubquery(counted).eq(lit(0i64));
        Ok(if negated { none } else { not(none) })
    }

    fn is_inside(&self, within: InSubquery) -> Result<Expr> {
        self.check(&within.subquery)?;
        plain(&within.expr)?;
        match shape::of(&within.subquery.subquery)? {
            // Without a row the scalar is NULL, and nothing equals it.
            Shape::One | Shape::OneHaving(_) => Ok(Expr::eq(*within.expr, value_of(within.subquery)?)),
            Shape::Any => self.matched(within),
        }
    }

    /// Whether a row of the subquery is equal to what is looked for; false where that is not known.
    fn matched(&self, within: InSubquery) -> Result<Expr> {
        let constant = !within.expr.any_column_refs() && !within.expr.contains_outer();
        if constant && !correlation::is_correlated(&within.subquery.subquery) {
            // No row of the query has a part in it, so it could not become a join.
            let equal = first_column(&within.subquery.subquery).eq(*within.expr);
            let plan = (*within.subquery.subquery).clone();
            return self.some_row(LogicalPlanBuilder::from(plan).filter(equal)?.build()?, false);
        }
        if !self.has_marks {
            // By a name of its own, since what is around it may be the same table.
            let plan = LogicalPlanBuilder::from((*within.subquery.subquery).clone());
            let named = first_column(&within.subquery.subquery).alias("__in");
            let plan = plan.project([named])?.build()?;
            let equal = first_column(&plan).eq(self.referred_to(*within.expr)?);
            return self.some_row(LogicalPlanBuilder::from(plan).filter(equal)?.build()?, false);
        }
        let InSubquery { expr, subquery: looked_up, .. } = within;
        let looked_up = if matches!(*looked_up.subquery, LogicalPlan::Projection(_)) {
            looked_up
        } else {
            // What a set operation gives has a name without a table, which the engine mistakes for that of its own table.
            let named = LogicalPlanBuilder::from((*looked_up.subquery).clone()).alias("__in")?.build()?;
            let column = first_column(&named);
            subquery(LogicalPlanBuilder::from(named).project([column])?.build()?)
        };
        Ok(Expr::InSubquery(InSubquery { expr, subquery: looked_up, negated: false }))
    }

    fn is_outside(&self, within: InSubquery) -> Result<Expr> {
        self.check(&within.subquery)?;
        plain(&within.expr)?;
        match shape::of(&within.subquery.subquery)? {
            Shape::One => Ok(Expr::not_eq(*within.expr, value_of(within.subquery)?)),
            Shape::OneHaving(having) => {
                let no_row = Expr::IsNotTrue(Box::new(scalar(having)));
                Ok(or(no_row, Expr::not_eq(*within.expr, value_of(within.subquery)?)))
            }
            Shape::Any => {
                let certain = self.certain(&within)?;
                let matched = self.matched(within)?;
                let parts = [Expr::IsNotTrue(Box::new(matched))].into_iter().chain(certain);
                Ok(conjunction(parts).unwrap_or_else(|| lit(true)))
            }
        }
    }

    fn three_valued(&self, within: InSubquery) -> Result<Expr> {
        self.check(&within.subquery)?;
        plain(&within.expr)?;
        let negated = within.negated;
        let found = match shape::of(&within.subquery.subquery)? {
            Shape::One => Expr::eq(*within.expr, value_of(within.subquery)?),
            Shape::OneHaving(having) => {
                let same = Expr::eq(*within.expr, value_of(within.subquery)?);
                when(Expr::IsTrue(Box::new(scalar(having))), same).otherwise(lit(false))?
            }
            Shape::Any => {
                let certain = conjunction(self.certain(&within)?);
                let matched = self.matched(within)?;
                match certain {
                    None => matched,
                    Some(certain) => {
                        when(matched, lit(true)).when(certain, lit(false)).otherwise(lit(ScalarValue::Boolean(None)))?
                    }
                }
            }
        };
        Ok(if negated { not(found) } else { found })
    }

    /// What must hold for `x IN (S)` without a match to be false and not NULL: no condition where it always is.
    fn certain(&self, within: &InSubquery) -> Result<Vec<Expr>> {
        let plan = &within.subquery.subquery;
        let (x_is_known, s_is_known) = (nulls::never(self.input, &within.expr), nulls::never_at(plan, 0));
        let of_patients = !correlation::is_correlated(plan) && shape::reads_patients(plan)?;
        if of_patients && !(x_is_known && s_is_known) {
            return refuse(
                "NOT IN (SELECT …) of patients' rows that may be NULL (instead of NOT EXISTS (SELECT 1 FROM … WHERE … = …), or \
                 of a column that the subquery says IS NOT NULL)",
            );
        }
        let mut conditions = Vec::new();
        if !s_is_known {
            let nulls = LogicalPlanBuilder::from((**plan).clone()).filter(first_column(plan).is_null())?.build()?;
            conditions.push(self.some_row(nulls, true)?);
        }
        if !x_is_known {
            let empty = self.some_row((**plan).clone(), true)?;
            conditions.push(or((*within.expr).clone().is_not_null(), empty));
        }
        Ok(conditions)
    }
}

/// That a subquery which is the same for all rows is over no patients: of whom they are, no row could tell.
fn of_nobody_else(plan: &LogicalPlan) -> Result<()> {
    if correlation::is_correlated(plan) || !shape::reads_patients(plan)? {
        return Ok(());
    }
    Err(DataFusionError::External(Box::new(CohortError::AcrossPatients {
        what: "a subquery over all patients (instead of one whose WHERE compares the person's id with that of the query around it)",
    })))
}

/// The columns of a plan.
pub(super) fn columns_of(plan: &LogicalPlan) -> Vec<Expr> {
    plan.schema().iter().map(|field| Expr::Column(Column::from(field))).collect()
}

/// A scalar subquery; NULL, where its HAVING does not hold, which the query engine forgets of what is NULL of no rows.
fn value_of(of: Subquery) -> Result<Expr> {
    if let LogicalPlan::Projection(projection) = of.subquery.as_ref()
        && let LogicalPlan::Filter(having) = projection.input.as_ref()
        && let LogicalPlan::Aggregate(aggregate) = having.input.as_ref()
        && aggregate.group_expr.is_empty()
        && let [value] = projection.expr.as_slice()
    {
        let name = value.schema_name().to_string();
        let held = when(having.predicate.clone(), value.clone().unalias()).end()?.alias(name);
        let plan = LogicalPlanBuilder::from(LogicalPlan::Aggregate(aggregate.clone())).project([held])?.build()?;
        return Ok(scalar(plan));
    }
    // Without a row it is NULL, though its column never is.
    let always = matches!(shape::of(&of.subquery), Ok(Shape::One)) || correlation::is_correlated(&of.subquery);
    let (qualifier, field) = of.subquery.schema().qualified_field(0);
    if always || field.is_nullable() {
        return Ok(Expr::ScalarSubquery(of));
    }
    let value = Expr::Column(Column::from((qualifier, field)));
    let value = when(value.clone().is_not_null(), value).end()?.alias(field.name());
    Ok(scalar(LogicalPlanBuilder::from((*of.subquery).clone()).project([value])?.build()?))
}

/// The one column of a subquery of IN.
fn first_column(plan: &LogicalPlan) -> Expr {
    Expr::Column(Column::from(plan.schema().qualified_field(0)))
}

/// What is looked for must not itself be a subquery.
fn plain(expr: &Expr) -> Result<()> {
    if has_subquery(expr) {
        return refuse("a subquery on the left of IN (SELECT …) (instead of one that a WITH query computes first)");
    }
    Ok(())
}

pub(super) fn subquery(plan: LogicalPlan) -> Subquery {
    Subquery { outer_ref_columns: plan.all_out_ref_exprs(), subquery: Arc::new(plan), spans: Default::default() }
}

fn scalar(plan: LogicalPlan) -> Expr {
    Expr::ScalarSubquery(subquery(plan))
}
