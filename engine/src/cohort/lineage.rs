//! Where the columns of a query come from, and that none shows who a row is about.
//!
//! Identifiers (persons', records') may be selected, compared with themselves in another table, grouped by, counted and
//! tested for NULL. Any other expression over one is refused wherever it stands: as a result it would show who is in the
//! cohort, as a condition it would take single patients out of one (Denning, Denning, Schwartz, "The Tracker", ACM TODS
//! 4(1), 1979). So every column of every step of a plan is either an identifier as it stands in a table, or has nothing
//! of one; there is no third kind to follow.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DFSchemaRef, DataFusionError};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::expr::{AggregateFunction, InSubquery, WindowFunction};
use datafusion::logical_expr::{
    Distinct, Expr, Join, JoinType, LogicalPlan, Operator, Subquery, TableScan, WindowFunctionDefinition,
};

use super::error::CohortError;
use super::refusal::SEVERAL_COLUMNS;
use crate::gate::GatedTable;
use crate::store::kind::Kind;

/// What a column of a plan is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trace {
    /// Nothing of an identifier.
    Plain,
    /// The subject column of a gated table, as it stands there.
    Subject,
    /// Another identifier, as it stands in a table, by the name that says of what.
    Key(String),
}

/// The columns that expressions of a subquery may refer to outside it, innermost last.
pub(super) type Outer = Vec<(DFSchemaRef, Vec<Trace>)>;

struct Scope<'a> {
    schema: &'a DFSchema,
    traces: &'a [Trace],
    outer: &'a Outer,
}

type Traced<T> = Result<T, CohortError>;

/// What each column of a plan's result is, in order.
pub(super) fn trace(plan: &LogicalPlan) -> Traced<Vec<Trace>> {
    columns(plan, &Vec::new())
}

/// The same of a plan within others.
pub(super) fn columns(plan: &LogicalPlan, outer: &Outer) -> Traced<Vec<Trace>> {
    let below = |input: &LogicalPlan| columns(input, outer);
    match plan {
        LogicalPlan::TableScan(scan) => table(scan),
        LogicalPlan::SubqueryAlias(alias) => below(&alias.input),
        LogicalPlan::Subquery(subquery) => below(&subquery.subquery),
        LogicalPlan::Projection(projection) => {
            let traces = below(&projection.input)?;
            let scope = Scope { schema: projection.input.schema(), traces: &traces, outer };
            projection.expr.iter().map(|expr| scope.trace(expr)).collect()
        }
        LogicalPlan::Filter(filter) => {
            let traces = below(&filter.input)?;
            Scope { schema: filter.input.schema(), traces: &traces, outer }.plain(&filter.predicate)?;
            Ok(traces)
        }
        LogicalPlan::Sort(sort) => {
            let traces = below(&sort.input)?;
            let scope = Scope { schema: sort.input.schema(), traces: &traces, outer };
            sort.expr.iter().try_for_each(|key| scope.trace(&key.expr).map(drop))?;
            Ok(traces)
        }
        LogicalPlan::Aggregate(aggregate) => {
            let traces = below(&aggregate.input)?;
            let scope = Scope { schema: aggregate.input.schema(), traces: &traces, outer };
            let exprs = aggregate.group_expr.iter().chain(&aggregate.aggr_expr);
            exprs.map(|expr| scope.trace(expr)).collect()
        }
        LogicalPlan::Window(window) => {
            let mut traces = below(&window.input)?;
            let scope = Scope { schema: window.input.schema(), traces: &traces, outer };
            let added: Vec<Trace> = window.window_expr.iter().map(|expr| scope.trace(expr)).collect::<Traced<_>>()?;
            traces.extend(added);
            Ok(traces)
        }
        LogicalPlan::Join(join) => self::join(join, outer),
        LogicalPlan::Union(union) => {
            let mut inputs = union.inputs.iter().map(|input| below(input));
            let first = inputs.next().unwrap_or(Ok(Vec::new()))?;
            for input in inputs {
                let input = input?;
                for (i, (one, other)) in first.iter().zip(&input).enumerate() {
                    if one != other {
                        return Err(CohortError::IdentifierInExpression { name: field_name(&union.schema, i) });
                    }
                }
            }
            Ok(first)
        }
        LogicalPlan::Distinct(Distinct::All(input)) => below(input),
        LogicalPlan::EmptyRelation(_) | LogicalPlan::Values(_) => Ok(vec![Trace::Plain; plan.schema().fields().len()]),
        LogicalPlan::Limit(_) => Err(CohortError::PicksPatients { what: "LIMIT or OFFSET" }),
        LogicalPlan::RecursiveQuery(_) => Err(CohortError::Recursive),
        LogicalPlan::Unnest(_) => Err(CohortError::Construct { what: "UNNEST" }),
        _ => Err(CohortError::Construct { what: "this kind of step" }),
    }
}

fn field_name(schema: &DFSchema, position: usize) -> String {
    schema.fields().get(position).map(|field| field.name().clone()).unwrap_or_default()
}

fn table(scan: &TableScan) -> Traced<Vec<Trace>> {
    let provider = source_as_provider(&scan.source).map_err(|_| CohortError::Internal)?;
    let gated = provider.downcast_ref::<GatedTable>().ok_or(CohortError::Internal)?;
    let whole = || (0..gated.table.columns.len()).collect();
    let positions: Vec<usize> = scan.projection.clone().unwrap_or_else(whole);
    let column = |position: &usize| match gated.table.columns.get(*position) {
        Some(column) => Ok(match column.kind {
            Kind::Subject => Trace::Subject,
            Kind::Key => Trace::Key(of_what(&column.name).to_string()),
            _ => Trace::Plain,
        }),
        None => Err(CohortError::Internal),
    };
    positions.iter().map(column).collect()
}

/// A preceding or parent record's id is comparable with a record's.
fn of_what(column: &str) -> &str {
    column.strip_prefix("preceding_").or_else(|| column.strip_prefix("parent_")).unwrap_or(column)
}

fn join(join: &Join, outer: &Outer) -> Traced<Vec<Trace>> {
    let (left, right) = (columns(&join.left, outer)?, columns(&join.right, outer)?);
    let left_scope = Scope { schema: join.left.schema(), traces: &left, outer };
    let right_scope = Scope { schema: join.right.schema(), traces: &right, outer };
    for (of_left, of_right) in &join.on {
        comparable(of_left, &left_scope.trace(of_left)?, of_right, &right_scope.trace(of_right)?)?;
    }
    let both: Vec<Trace> = left.iter().chain(&right).cloned().collect();
    if let Some(filter) = &join.filter {
        let schema = join.left.schema().join(join.right.schema()).map_err(|_| CohortError::Unplannable)?;
        Scope { schema: &schema, traces: &both, outer }.plain(filter)?;
    }
    Ok(match join.join_type {
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => both,
        JoinType::LeftSemi | JoinType::LeftAnti => left,
        JoinType::RightSemi | JoinType::RightAnti => right,
        JoinType::LeftMark => left.into_iter().chain([Trace::Plain]).collect(),
        JoinType::RightMark => right.into_iter().chain([Trace::Plain]).collect(),
    })
}

/// Identifiers are compared with identifiers of the same thing only.
fn comparable(one: &Expr, of_one: &Trace, other: &Expr, of_other: &Trace) -> Traced<()> {
    if of_one == of_other {
        return Ok(());
    }
    let guilty = if *of_one == Trace::Plain { other } else { one };
    Err(CohortError::IdentifierInExpression { name: name_of(guilty) })
}

fn name_of(expr: &Expr) -> String {
    match expr {
        Expr::Column(column) | Expr::OuterReferenceColumn(_, column) => column.flat_name(),
        Expr::Alias(alias) => name_of(&alias.expr),
        _ => "the person's or record's id".to_string(),
    }
}

impl Scope<'_> {
    fn column(&self, column: &Column) -> Traced<Trace> {
        let position = self.schema.maybe_index_of_column(column);
        let trace = position.and_then(|position| self.traces.get(position));
        trace.cloned().ok_or_else(|| CohortError::UnknownColumn { name: column.flat_name(), near: None })
    }

    /// The expression must have nothing of an identifier.
    fn plain(&self, expr: &Expr) -> Traced<()> {
        match self.trace(expr)? {
            Trace::Plain => Ok(()),
            Trace::Subject | Trace::Key(_) => Err(CohortError::IdentifierInExpression { name: name_of(expr) }),
        }
    }

    fn all_plain<'e>(&self, exprs: impl IntoIterator<Item = &'e Expr>) -> Traced<()> {
        exprs.into_iter().try_for_each(|expr| self.plain(expr))
    }

    fn trace(&self, expr: &Expr) -> Traced<Trace> {
        match expr {
            Expr::Column(column) => return self.column(column),
            Expr::OuterReferenceColumn(_, column) => {
                let found = self
                    .outer
                    .iter()
                    .rev()
                    .find_map(|(schema, traces)| traces.get(schema.maybe_index_of_column(column)?).cloned());
                return found.ok_or_else(|| CohortError::UnknownColumn { name: column.flat_name(), near: None });
            }
            Expr::Alias(alias) => return self.trace(&alias.expr),
            Expr::IsNull(inner) | Expr::IsNotNull(inner) => {
                self.trace(inner)?;
            }
            Expr::BinaryExpr(binary) if is_equality(binary.op) => {
                comparable(&binary.left, &self.trace(&binary.left)?, &binary.right, &self.trace(&binary.right)?)?;
            }
            Expr::InSubquery(InSubquery { expr, subquery, .. }) => {
                let inner = self.subquery(subquery)?;
                let [inner] = inner.as_slice() else { return Err(CohortError::Construct { what: SEVERAL_COLUMNS }) };
                comparable(expr, &self.trace(expr)?, expr, inner)?;
            }
            Expr::Exists(exists) => {
                self.subquery(&exists.subquery)?;
            }
            Expr::ScalarSubquery(subquery) => {
                if self.subquery(subquery)?.iter().any(|trace| *trace != Trace::Plain) {
                    return Err(CohortError::IdentifierInExpression { name: "a subquery".to_string() });
                }
            }
            Expr::AggregateFunction(function) => self.aggregate(function)?,
            Expr::WindowFunction(function) => self.window(function)?,
            Expr::GroupingSet(_) | Expr::SetComparison(_) | Expr::Unnest(_) | Expr::Placeholder(_) => {
                return Err(CohortError::Construct { what: "this kind of expression" });
            }
            other => {
                let mut outcome = Ok(());
                let visited = other.apply_children(|child| {
                    outcome = self.plain(child);
                    let done = if outcome.is_ok() { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop };
                    Ok::<_, DataFusionError>(done)
                });
                visited.map_err(|_| CohortError::Internal)?;
                outcome?;
            }
        }
        Ok(Trace::Plain)
    }

    fn subquery(&self, subquery: &Subquery) -> Traced<Vec<Trace>> {
        let mut outer = self.outer.clone();
        outer.push((DFSchemaRef::new(self.schema.clone()), self.traces.to_vec()));
        columns(&subquery.subquery, &outer)
    }

    fn aggregate(&self, function: &AggregateFunction) -> Traced<()> {
        let params = &function.params;
        // How many, or how many different ones, says nothing about which.
        if function.func.name() == "count" {
            params.args.iter().try_for_each(|arg| self.trace(arg).map(drop))?;
        } else {
            self.all_plain(&params.args)?;
        }
        self.all_plain(params.filter.as_deref())?;
        let keys = || params.order_by.iter().map(|key| &key.expr);
        // The query engine drops the second and stops at the number of those that are left.
        if keys().enumerate().any(|(position, key)| keys().take(position).any(|earlier| earlier == key)) {
            return Err(CohortError::Construct { what: "the same key twice in the ORDER BY of an aggregate" });
        }
        // It is over one person's own rows, or over nobody's, so that a record's number tells nothing of who that is.
        keys().try_for_each(|key| match self.trace(key)? {
            Trace::Subject => Err(CohortError::IdentifierInExpression { name: name_of(key) }),
            Trace::Plain | Trace::Key(_) => Ok(()),
        })
    }

    fn window(&self, function: &WindowFunction) -> Traced<()> {
        let params = &function.params;
        let counts = match &function.fun {
            WindowFunctionDefinition::AggregateUDF(function) => function.name() == "count",
            WindowFunctionDefinition::WindowUDF(_) => false,
        };
        let mut within_one_subject = false;
        for part in &params.partition_by {
            within_one_subject |= self.trace(part)? == Trace::Subject;
        }
        if !within_one_subject {
            return Err(CohortError::WindowAcrossSubjects);
        }
        // Among one person's own rows, their order may be by anything.
        params.order_by.iter().try_for_each(|key| self.trace(&key.expr).map(drop))?;
        if counts {
            params.args.iter().try_for_each(|arg| self.trace(arg).map(drop))?;
        } else {
            self.all_plain(&params.args)?;
        }
        self.all_plain(params.filter.as_deref())
    }
}

const fn is_equality(op: Operator) -> bool {
    matches!(op, Operator::Eq | Operator::NotEq | Operator::IsDistinctFrom | Operator::IsNotDistinctFrom)
}
