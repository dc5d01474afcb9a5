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
//! and what correlates a subquery with its query is let up through steps that commute with it and no others
//! ([`correlation`]); the rest is refused by name. What is equal to what is held against another engine in the tests.

mod correlation;
mod nulls;
mod shape;

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DataFusionError, Result};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::expr::{Exists, InSubquery};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    BinaryExpr, Expr, Filter, LogicalPlan, LogicalPlanBuilder, Operator, Subquery, and, lit, not, or, when,
};
use datafusion::scalar::ScalarValue;

use super::error::CohortError;
use shape::Shape;

/// Rewrites all subqueries of a plan, those within subqueries first.
pub(super) fn rewrite(plan: LogicalPlan) -> Result<LogicalPlan, CohortError> {
    plan.transform_up_with_subqueries(node).data().map_err(|error| match error.find_root() {
        DataFusionError::External(inner) => match inner.downcast_ref::<CohortError>() {
            Some(refusal) => refusal.clone(),
            None => CohortError::Internal,
        },
        _ => CohortError::Unplannable,
    })
}

/// Leaves a walk over a plan with a refusal.
fn refuse<T>(what: &'static str) -> Result<T> {
    Err(DataFusionError::External(Box::new(CohortError::Construct { what })))
}

fn node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
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
            let scope = Scope { input: &filter.input };
            let parts = split_conjunction_owned(filter.predicate).into_iter().map(|part| scope.truth(part));
            let predicate = conjunction(parts.collect::<Result<Vec<_>>>()?).unwrap_or_else(|| lit(true));
            Ok(Transformed::yes(LogicalPlan::Filter(Filter::try_new(predicate, filter.input)?)))
        }
        LogicalPlan::Projection(projection) => {
            let scope = Scope { input: &projection.input };
            projection.expr.iter().try_for_each(|expr| scope.only_scalar(expr))?;
            Ok(Transformed::no(LogicalPlan::Projection(projection)))
        }
        LogicalPlan::Join(_) => {
            refuse("a subquery in the condition of a JOIN (instead of one in WHERE, or a further JOIN)")
        }
        _ => refuse(
            "a subquery within an aggregate, a window function, GROUP BY or ORDER BY (instead of one that a WITH query \
             computes first)",
        ),
    }
}

fn is_subquery(expr: &Expr) -> bool {
    matches!(expr, Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_) | Expr::SetComparison(_))
}

fn has_subquery(expr: &Expr) -> bool {
    // The closure cannot fail; if it did, the expression would be looked at.
    expr.exists(|part| Ok(is_subquery(part))).unwrap_or(true)
}

/// The rows over which a predicate is evaluated.
struct Scope<'a> {
    input: &'a LogicalPlan,
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
                self.check(&subquery)?;
                Ok(Transformed::no(Expr::ScalarSubquery(subquery)))
            }
            Expr::SetComparison(_) => {
                refuse("a comparison with ANY or ALL of a subquery (instead of min, max or EXISTS)")
            }
            other => Ok(Transformed::no(other)),
        })
        .data()
    }

    fn only_scalar(&self, expr: &Expr) -> Result<()> {
        expr.apply(|part| match part {
            Expr::ScalarSubquery(subquery) => self.check(subquery).map(|()| TreeNodeRecursion::Continue),
            part if is_subquery(part) => refuse(
                "EXISTS or IN (SELECT …) among the results (instead of LEFT JOIN (SELECT DISTINCT …) and IS NOT NULL)",
            ),
            _ => Ok(TreeNodeRecursion::Continue),
        })?;
        Ok(())
    }

    /// Whether what correlates the subquery can be turned into a join, and is with this query and none further out.
    fn check(&self, subquery: &Subquery) -> Result<()> {
        correlation::check(&subquery.subquery, self.schema())
    }

    fn exists(&self, subquery: &Subquery, negated: bool) -> Result<Expr> {
        self.check(subquery)?;
        match shape::of(&subquery.subquery)? {
            Shape::One => Ok(lit(!negated)),
            Shape::OneHaving(having) => {
                let holds = Box::new(scalar(having));
                Ok(if negated { Expr::IsNotTrue(holds) } else { Expr::IsTrue(holds) })
            }
            Shape::Any => self.some_row((*subquery.subquery).clone(), negated),
        }
    }

    /// EXISTS, of a plan that may have any number of rows.
    fn some_row(&self, plan: LogicalPlan, negated: bool) -> Result<Expr> {
        if correlation::is_correlated(&plan) {
            return Ok(Expr::Exists(Exists { subquery: subquery(plan), negated }));
        }
        // One number for all rows; a join without a condition would look at each.
        let counted = LogicalPlanBuilder::from(plan).aggregate(Vec::<Expr>::new(), [count(lit(1i64))])?.build()?;
        let none = scalar(counted).eq(lit(0i64));
        Ok(if negated { none } else { not(none) })
    }

    fn is_inside(&self, within: InSubquery) -> Result<Expr> {
        self.check(&within.subquery)?;
        plain(&within.expr)?;
        match shape::of(&within.subquery.subquery)? {
            // Without a row the scalar is NULL, and nothing equals it.
            Shape::One | Shape::OneHaving(_) => Ok(Expr::eq(*within.expr, Expr::ScalarSubquery(within.subquery))),
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
            Shape::One => Ok(Expr::not_eq(*within.expr, Expr::ScalarSubquery(within.subquery))),
            Shape::OneHaving(having) => {
                let no_row = Expr::IsNotTrue(Box::new(scalar(having)));
                Ok(or(no_row, Expr::not_eq(*within.expr, Expr::ScalarSubquery(within.subquery))))
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
            Shape::One => Expr::eq(*within.expr, Expr::ScalarSubquery(within.subquery)),
            Shape::OneHaving(having) => {
                let same = Expr::eq(*within.expr, Expr::ScalarSubquery(within.subquery));
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

fn subquery(plan: LogicalPlan) -> Subquery {
    Subquery { outer_ref_columns: plan.all_out_ref_exprs(), subquery: Arc::new(plan), spans: Default::default() }
}

fn scalar(plan: LogicalPlan) -> Expr {
    Expr::ScalarSubquery(subquery(plan))
}
