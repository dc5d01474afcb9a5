//! A join by a record's id is one by its person, too.
//!
//! A visit is one patient's, so `c.visit_occurrence_id = v.visit_occurrence_id` says as much as the same with
//! `c.person_id = v.person_id` beside it. That every row is of one patient is proved by the person's id alone
//! (`patientwise`), so wherever two records' ids are compared and both rows have the id of their person, these are compared,
//! too. Where a hospital gave one number to two patients' records, that keeps them apart.
//!
//! `c.visit_occurrence_id IN (SELECT visit_occurrence_id FROM …)` compares two records' ids as well. Where nothing but its truth
//! counts, it becomes EXISTS with both comparisons. Elsewhere, and in NOT IN, a record without a number makes a difference,
//! another patient's among them, and it is left to be refused.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, DFSchema, DFSchemaRef, DataFusionError, Result};
use datafusion::logical_expr::expr::{Exists, InSubquery};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{
    BinaryExpr, Distinct, Expr, Filter, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Operator, Subquery, Union,
};

use super::error::CohortError;
use super::lineage::{Outer, Trace, columns};
use super::nulls::never_at;
use super::subqueries::{is_correlated, reads_patients, refuse};

/// The name of a column with the person.
const PERSON: &str = "__person";

/// Adds the comparisons of persons to a plan.
pub(super) fn add(plan: LogicalPlan) -> std::result::Result<LogicalPlan, CohortError> {
    walk(plan, &Around::default()).map_err(|error| super::subqueries::refusal(&error))
}

/// The columns of a step's inputs, and what they are.
struct Inputs {
    schema: DFSchemaRef,
    traces: Vec<Trace>,
    /// Beside each record's id the position of its person's.
    persons: Vec<Option<usize>>,
}

/// The queries around a step, innermost last.
#[derive(Clone, Default)]
struct Around {
    outer: Outer,
    persons: Vec<Vec<Option<usize>>>,
}

impl Around {
    fn and(&self, inputs: &Inputs) -> Self {
        let mut around = self.clone();
        around.outer.push((Arc::clone(&inputs.schema), inputs.traces.clone()));
        around.persons.push(inputs.persons.clone());
        around
    }

    /// The person of a record that the query around has, as a reference to it.
    fn person(&self, of: &Column) -> Option<Expr> {
        let ((schema, _), persons) = self.outer.last().zip(self.persons.last())?;
        refer(schema, (*persons.get(schema.maybe_index_of_column(of)?)?)?)
    }
}

/// A column of the query around, as a subquery refers to it.
fn refer(schema: &DFSchema, at: usize) -> Option<Expr> {
    let field = Arc::clone(schema.fields().get(at)?);
    Some(Expr::OuterReferenceColumn(field, Column::from(schema.qualified_field(at))))
}

impl Inputs {
    /// `None` where a step has columns that are refused later anyway.
    fn of(plan: &LogicalPlan, around: &Around) -> Option<Self> {
        let (mut schema, mut traces, mut persons) = (DFSchema::empty(), Vec::new(), Vec::new());
        for input in plan.inputs() {
            let of_input = columns(input, &around.outer).ok()?;
            let before = traces.len();
            persons.extend(self::persons(input, &of_input).into_iter().map(|at| at.map(|at| at + before)));
            traces.extend(of_input);
            schema = schema.join(input.schema()).ok()?;
        }
        Some(Self { schema: Arc::new(schema), traces, persons })
    }

    /// The person of the row that a record's id stands in.
    fn person(&self, of: &Column) -> Option<(Column, usize)> {
        let at = (*self.persons.get(self.schema.maybe_index_of_column(of)?)?)?;
        Some((Column::from(self.schema.qualified_field(at)), at))
    }
}

/// Beside each record's id the position of its person's, which is there wherever the record is: of the same table, or where an
/// outer join may leave that out, of one that is always there. A row's persons are all the same (`patientwise`).
fn persons(plan: &LogicalPlan, traces: &[Trace]) -> Vec<Option<usize>> {
    let schema = plan.schema();
    let table = |at: usize| schema.qualified_field(at).0;
    let subjects: Vec<usize> = (0..traces.len()).filter(|at| traces[*at] == Trace::Subject).collect();
    let always: Vec<usize> = subjects.iter().copied().filter(|at| never_at(plan, *at)).collect();
    let person = |key: usize| {
        let own = |at: &usize| table(*at) == table(key);
        let known = always.iter().copied().find(own).or(always.first().copied());
        known.or_else(|| subjects.iter().copied().find(|at| own(at) && together(plan, key, *at)))
    };
    let of = |(key, trace): (usize, &Trace)| if matches!(trace, Trace::Key(_)) { person(key) } else { None };
    traces.iter().enumerate().map(of).collect()
}

/// Whether the person at the one position is never NULL where the record's id at the other is not. In doubt it may be.
fn together(plan: &LogicalPlan, key: usize, person: usize) -> bool {
    let among = |exprs: &[Expr], input: &LogicalPlan| {
        let below = |at: usize| bare(exprs.get(at)?, input);
        below(key).zip(below(person)).is_some_and(|(key, person)| together(input, key, person))
    };
    never_at(plan, person)
        || match plan {
            LogicalPlan::Projection(projection) => among(&projection.expr, &projection.input),
            LogicalPlan::Aggregate(aggregate) => among(&aggregate.group_expr, &aggregate.input),
            LogicalPlan::SubqueryAlias(alias) => together(&alias.input, key, person),
            LogicalPlan::Filter(filter) => together(&filter.input, key, person),
            LogicalPlan::Sort(sort) => together(&sort.input, key, person),
            LogicalPlan::Distinct(Distinct::All(input)) => together(input, key, person),
            LogicalPlan::Window(window) => {
                key.max(person) < window.input.schema().fields().len() && together(&window.input, key, person)
            }
            LogicalPlan::Union(union) => union.inputs.iter().all(|input| together(input, key, person)),
            LogicalPlan::Join(join) => {
                use JoinType::{RightAnti, RightMark, RightSemi};
                let width = match join.join_type {
                    RightSemi | RightAnti | RightMark => 0,
                    _ => join.left.schema().fields().len(),
                };
                match (key.checked_sub(width), person.checked_sub(width)) {
                    (None, None) => together(&join.left, key, person),
                    (Some(key), Some(person)) => together(&join.right, key, person),
                    _ => false,
                }
            }
            _ => false,
        }
}

/// The position of the column that an expression is, if it is nothing but that.
fn bare(expr: &Expr, input: &LogicalPlan) -> Option<usize> {
    match expr {
        Expr::Column(column) => input.schema().maybe_index_of_column(column),
        Expr::Alias(alias) => bare(&alias.expr, input),
        _ => None,
    }
}

fn walk(plan: LogicalPlan, around: &Around) -> Result<LogicalPlan> {
    let plan = plan.map_children(|child| walk(child, around).map(Transformed::yes)).data()?;
    let has_subqueries = plan.expressions().iter().any(super::subqueries::has_subquery);
    let plan = if has_subqueries { within(plan, around)? } else { plan };
    match plan {
        LogicalPlan::Join(join) if compares(&join) => self::join(join, around),
        LogicalPlan::Filter(filter) if split_conjunction(&filter.predicate).into_iter().any(|p| pair(p).is_some()) => {
            self::filter(filter, around)
        }
        other => Ok(other),
    }
}

/// Walks through the subqueries of a step's expressions.
fn within(plan: LogicalPlan, around: &Around) -> Result<LogicalPlan> {
    let Some(inputs) = Inputs::of(&plan, around) else { return Ok(plan) };
    let place = Place { around: around.and(&inputs), inputs };
    let condition = matches!(plan, LogicalPlan::Filter(_));
    let names = NamePreserver::new(&plan);
    plan.map_expressions(|expr| {
        let name = names.save(&expr);
        Ok(Transformed::yes(name.restore(place.expression(expr, condition)?)))
    })
    .data()
}

/// Where an expression stands.
struct Place {
    inputs: Inputs,
    /// The queries around its subqueries.
    around: Around,
}

impl Place {
    /// An expression with all its subqueries walked through; a condition, if only whether it is true counts.
    fn expression(&self, expr: Expr, condition: bool) -> Result<Expr> {
        let each = |expr: Box<Expr>, condition: bool| self.expression(*expr, condition).map(Box::new);
        Ok(match expr {
            Expr::ScalarSubquery(subquery) => Expr::ScalarSubquery(self.walked(subquery)?),
            Expr::Exists(Exists { subquery, negated }) => {
                Expr::Exists(Exists { subquery: self.walked(subquery)?, negated })
            }
            Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
                let (expr, subquery) = (each(expr, false)?, self.walked(subquery)?);
                if condition && !negated {
                    self.among_own(InSubquery { expr, subquery, negated })?
                } else {
                    Expr::InSubquery(InSubquery { expr, subquery, negated })
                }
            }
            Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
                Expr::BinaryExpr(BinaryExpr { left: each(left, condition)?, op, right: each(right, condition)? })
            }
            Expr::Alias(mut alias) => {
                alias.expr = each(alias.expr, condition)?;
                Expr::Alias(alias)
            }
            Expr::IsTrue(inner) => Expr::IsTrue(each(inner, true)?),
            Expr::IsNotTrue(inner) => Expr::IsNotTrue(each(inner, true)?),
            Expr::Case(mut case) => {
                let searched = case.expr.is_none();
                case.expr = case.expr.map(|expr| each(expr, false)).transpose()?;
                let arms = case.when_then_expr.into_iter();
                let arms = arms.map(|(when, then)| Ok((each(when, searched)?, each(then, condition)?)));
                case.when_then_expr = arms.collect::<Result<_>>()?;
                case.else_expr = case.else_expr.map(|expr| each(expr, condition)).transpose()?;
                Expr::Case(case)
            }
            Expr::AggregateFunction(mut function) => {
                let filter = function.params.filter.take().map(|filter| each(filter, true)).transpose()?;
                let mut expr = self.parts(Expr::AggregateFunction(function))?;
                if let Expr::AggregateFunction(function) = &mut expr {
                    function.params.filter = filter;
                }
                expr
            }
            other => self.parts(other)?,
        })
    }

    /// The same of an expression whose parts' values count.
    fn parts(&self, expr: Expr) -> Result<Expr> {
        expr.map_children(|part| self.expression(part, false).map(Transformed::yes)).data()
    }

    fn walked(&self, subquery: Subquery) -> Result<Subquery> {
        let plan = walk(Arc::unwrap_or_clone(subquery.subquery), &self.around)?;
        Ok(super::subqueries::subquery(plan))
    }

    /// `x IN (SELECT y …)` of two records' ids as EXISTS of a row with the same person.
    fn among_own(&self, within: InSubquery) -> Result<Expr> {
        let plan = &within.subquery.subquery;
        let is_record = |traces: &[Trace]| matches!(traces, [Trace::Key(_)]);
        let Expr::Column(record) = &*within.expr else { return Ok(Expr::InSubquery(within)) };
        if !columns(plan, &self.around.outer).is_ok_and(|traces| is_record(&traces)) {
            return Ok(Expr::InSubquery(within));
        }
        let schema = &self.inputs.schema;
        let own = self.inputs.person(record).and_then(|(_, at)| refer(schema, at));
        let own = own.zip(refer(schema, schema.index_of_column(record)?));
        if is_correlated(plan) {
            let Some((person, _)) = own else { return Ok(Expr::InSubquery(within)) };
            let subquery = super::subqueries::subquery(self.narrowed(plan, person)?);
            return Ok(Expr::InSubquery(InSubquery { subquery, ..within }));
        }
        let (Some((person, record)), Some((rows, of_person))) = (own, with_person(plan, 0, &self.around)?) else {
            if !reads_patients(plan)? {
                return Ok(Expr::InSubquery(within));
            }
            return refuse(
                "IN (SELECT …) of records whose person is not known (instead of EXISTS (SELECT 1 FROM … WHERE …), with a comparison \
                 of the person's id beside that of the record's)",
            );
        };
        // By a name of its own, since what is around it may be the same table.
        let rows = LogicalPlanBuilder::from(rows).alias("__in")?;
        let column = |at: usize| Expr::Column(Column::from(rows.schema().qualified_field(at)));
        let same = column(0).eq(record).and(column(of_person).eq(person));
        let subquery = super::subqueries::subquery(rows.filter(same)?.build()?);
        Ok(Expr::Exists(Exists { subquery, negated: false }))
    }

    /// A subquery that refers to the query around it already, narrowed to the rows of a person, where it has the person's id.
    fn narrowed(&self, plan: &LogicalPlan, person: Expr) -> Result<LogicalPlan> {
        let LogicalPlan::Projection(projection) = plan else { return Ok(plan.clone()) };
        let input = &projection.input;
        let inputs = Inputs::of(plan, &self.around);
        let own = inputs.zip(projection.expr.first().and_then(|expr| bare(expr, input)));
        let Some(own) = own.and_then(|(inputs, key)| *inputs.persons.get(key)?) else { return Ok(plan.clone()) };
        let same = Expr::Column(Column::from(input.schema().qualified_field(own))).eq(person);
        let filtered = match &**input {
            // In one condition with what is there: of two in a row the query engine forgets what one is about.
            LogicalPlan::Filter(filter) => {
                let known = split_conjunction(&filter.predicate).into_iter().filter_map(pair);
                if pair(&same).is_some_and(|(own, person)| are_among(known, own, person)) {
                    return Ok(plan.clone());
                }
                Filter::try_new(filter.predicate.clone().and(same), Arc::clone(&filter.input))?
            }
            _ => Filter::try_new(same, Arc::clone(input))?,
        };
        let rows = LogicalPlanBuilder::from(LogicalPlan::Filter(filtered));
        rows.project(projection.expr.clone())?.build()
    }
}

/// A plan with the person of a record's id at this position, and where that is; as it is, where it has that already.
fn with_person(plan: &LogicalPlan, key: usize, around: &Around) -> Result<Option<(LogicalPlan, usize)>> {
    let Ok(traces) = columns(plan, &around.outer) else { return Ok(None) };
    if let Some(at) = persons(plan, &traces).get(key).copied().flatten() {
        return Ok(Some((plan.clone(), at)));
    }
    let more = plan.schema().fields().len();
    let below = |input: &LogicalPlan| with_person(input, key, around);
    Ok(match plan {
        LogicalPlan::Projection(projection) => {
            let Some(key) = projection.expr.get(key).and_then(|expr| bare(expr, &projection.input)) else {
                return Ok(None);
            };
            let Some((input, at)) = with_person(&projection.input, key, around)? else { return Ok(None) };
            let person = Expr::Column(Column::from(input.schema().qualified_field(at))).alias(PERSON);
            let exprs = projection.expr.iter().cloned().chain([person]);
            Some((LogicalPlanBuilder::from(input).project(exprs.collect::<Vec<_>>())?.build()?, more))
        }
        LogicalPlan::Filter(filter) => {
            let Some((input, at)) = below(&filter.input)? else { return Ok(None) };
            Some((LogicalPlan::Filter(Filter::try_new(filter.predicate.clone(), Arc::new(input))?), at))
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let Some((input, at)) = below(&alias.input)? else { return Ok(None) };
            Some((LogicalPlanBuilder::from(input).alias(alias.alias.clone())?.build()?, at))
        }
        LogicalPlan::Distinct(Distinct::All(input)) => {
            let Some((input, at)) = below(input)? else { return Ok(None) };
            Some((LogicalPlanBuilder::from(input).distinct()?.build()?, at))
        }
        LogicalPlan::Sort(sort) => below(&sort.input)?,
        LogicalPlan::Union(union) => {
            let mut inputs = Vec::with_capacity(union.inputs.len());
            for input in &union.inputs {
                match below(input)? {
                    Some((input, at)) if at == more => inputs.push(Arc::new(input)),
                    _ => return Ok(None),
                }
            }
            Some((LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?), more))
        }
        _ => None,
    })
}

/// The two columns that are compared for equality, if that is what a condition does.
fn pair(condition: &Expr) -> Option<(&Expr, &Expr)> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = condition else { return None };
    let is_column = |expr: &Expr| matches!(expr, Expr::Column(_) | Expr::OuterReferenceColumn(..));
    (is_column(left) && is_column(right)).then_some((&**left, &**right))
}

fn compares(join: &Join) -> bool {
    let in_filter = join.filter.iter().flat_map(split_conjunction).any(|part| pair(part).is_some());
    in_filter || join.on.iter().any(|(one, other)| column(one).is_some() && column(other).is_some())
}

fn column(expr: &Expr) -> Option<&Column> {
    if let Expr::Column(column) = expr { Some(column) } else { None }
}

/// Whether two columns are among those that are compared.
fn are_among<'e>(mut pairs: impl Iterator<Item = (&'e Expr, &'e Expr)>, one: &Expr, other: &Expr) -> bool {
    pairs.any(|pair| pair == (one, other) || pair == (other, one))
}

fn join(mut join: Join, around: &Around) -> Result<LogicalPlan> {
    let Some(inputs) = Inputs::of(&LogicalPlan::Join(join.clone()), around) else { return Ok(LogicalPlan::Join(join)) };
    let width = join.left.schema().fields().len();
    let of_filter: Vec<(Expr, Expr)> = (join.filter.iter().flat_map(split_conjunction))
        .filter_map(|part| pair(part).map(|(one, other)| (one.clone(), other.clone())))
        .collect();
    for (one, other) in join.on.clone().into_iter().chain(of_filter.clone()) {
        let (Some(one), Some(other)) = (column(&one), column(&other)) else { continue };
        let (Some(one), Some(other)) = (inputs.person(one), inputs.person(other)) else { continue };
        let (left, right) = if one.1 < width { (one, other) } else { (other, one) };
        if left.1 >= width || right.1 < width {
            continue;
        }
        let (left, right) = (Expr::Column(left.0), Expr::Column(right.0));
        let compared = join.on.iter().chain(&of_filter).map(|(one, other)| (one, other));
        if !are_among(compared, &left, &right) {
            join.on.push((left, right));
        }
    }
    Ok(LogicalPlan::Join(join))
}

fn filter(filter: Filter, around: &Around) -> Result<LogicalPlan> {
    let plan = LogicalPlan::Filter(filter.clone());
    let Some(inputs) = Inputs::of(&plan, around) else { return Ok(plan) };
    // Of the query around, whose columns stand here as references.
    let person_of = |expr: &Expr| match expr {
        Expr::Column(column) => inputs.person(column).map(|(column, _)| Expr::Column(column)),
        Expr::OuterReferenceColumn(_, column) => around.person(column),
        _ => None,
    };
    let mut conditions: Vec<Expr> = split_conjunction(&filter.predicate).into_iter().cloned().collect();
    for (one, other) in split_conjunction(&filter.predicate).into_iter().filter_map(pair) {
        let (Some(one), Some(other)) = (person_of(one), person_of(other)) else { continue };
        if one != other && !are_among(conditions.iter().filter_map(pair), &one, &other) {
            conditions.push(one.eq(other));
        }
    }
    let predicate = conjunction(conditions).ok_or_else(|| DataFusionError::Internal("no condition".to_string()))?;
    Ok(LogicalPlan::Filter(Filter::try_new(predicate, filter.input)?))
}
