//! That every row of a query comes from one patient's rows alone.
//!
//! Every protection counts on it. A threshold protects groups of patients, so one patient copied into everybody's row must
//! not look like a group; differential privacy says that one patient more or less changes no row but their own. So a
//! plan's rows are either *public*, from tables without a subject, or each *of one patient*, whose subject column is
//! among them. Joins of patients' rows are by the subject, aggregates are grouped by it, and subqueries come out of the
//! optimizer as such joins or are public. In doubt a query is refused.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Distinct, Expr, Join, JoinType, LogicalPlan, Operator, Projection, TableScan, Window,
};

use super::error::CohortError;
use crate::gate::GatedTable;
use crate::store::kind::Kind;

/// Whose the rows of a plan are.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Rows {
    /// Of no patient.
    Public,
    /// Each of the patient whom the columns at these positions name; of one who cannot be told where there are none.
    OfOne(Vec<usize>),
}

type Checked<T> = Result<T, CohortError>;

/// Checks an optimized plan whose first column is the subject.
pub(super) fn check(plan: &LogicalPlan) -> Checked<()> {
    match rows(plan)? {
        Rows::OfOne(subjects) if subjects.contains(&0) => Ok(()),
        Rows::OfOne(_) | Rows::Public => refused("the result's subject is not the patient that its row is made of"),
    }
}

/// Rows that only a vocabulary has.
const OF_NOBODY: &str = "an outer join that keeps rows of no patient (instead of JOIN, since they are in no cohort)";

fn refused<T>(what: &'static str) -> Checked<T> {
    Err(CohortError::AcrossPatients { what })
}

fn rows(plan: &LogicalPlan) -> Checked<Rows> {
    no_patients_in_subqueries(plan)?;
    match plan {
        LogicalPlan::TableScan(scan) => table(scan),
        LogicalPlan::SubqueryAlias(alias) => rows(&alias.input),
        LogicalPlan::Filter(filter) => rows(&filter.input),
        LogicalPlan::Sort(sort) => rows(&sort.input),
        LogicalPlan::Projection(projection) => self::projection(projection),
        LogicalPlan::Aggregate(aggregate) => self::aggregate(aggregate),
        LogicalPlan::Window(window) => self::window(window),
        LogicalPlan::Join(join) => self::join(join),
        LogicalPlan::Distinct(Distinct::All(input)) => match rows(input)? {
            Rows::OfOne(subjects) if subjects.is_empty() => refused("DISTINCT without the subject"),
            rows => Ok(rows),
        },
        LogicalPlan::Union(union) => {
            let inputs = union.inputs.iter().map(|input| rows(input)).collect::<Checked<Vec<_>>>()?;
            let all_in = |position: &usize| {
                inputs.iter().all(|rows| matches!(rows, Rows::OfOne(subjects) if subjects.contains(position)))
            };
            match inputs.first() {
                Some(Rows::OfOne(subjects)) => {
                    let common: Vec<usize> = subjects.iter().copied().filter(all_in).collect();
                    if common.is_empty() { refused("UNION without the subject") } else { Ok(Rows::OfOne(common)) }
                }
                _ if inputs.iter().all(|rows| *rows == Rows::Public) => Ok(Rows::Public),
                _ => refused("UNION of patients' rows with others"),
            }
        }
        // Where there are no rows, each of them is of whoever is asked for: a condition that never holds is fine.
        LogicalPlan::EmptyRelation(nothing) if !nothing.produce_one_row => {
            Ok(Rows::OfOne((0..nothing.schema.fields().len()).collect()))
        }
        LogicalPlan::EmptyRelation(_) | LogicalPlan::Values(_) => Ok(Rows::Public),
        _ => refused("this kind of step"),
    }
}

fn table(scan: &TableScan) -> Checked<Rows> {
    let provider = source_as_provider(&scan.source).map_err(|_| CohortError::Internal)?;
    let gated = provider.downcast_ref::<GatedTable>().ok_or(CohortError::Internal)?;
    let is_subject = |position: usize| gated.table.columns.get(position).is_some_and(|c| c.kind == Kind::Subject);
    if !(0..gated.table.columns.len()).any(is_subject) {
        return Ok(Rows::Public);
    }
    let scanned: Vec<usize> = scan.projection.clone().unwrap_or_else(|| (0..gated.table.columns.len()).collect());
    Ok(Rows::OfOne((0..scanned.len()).filter(|position| is_subject(scanned[*position])).collect()))
}

/// The position of the column that an expression is, if it is nothing but that.
fn bare(expr: &Expr, schema: &DFSchema) -> Option<usize> {
    match expr {
        Expr::Column(column) => schema.maybe_index_of_column(column),
        Expr::Alias(alias) => bare(&alias.expr, schema),
        _ => None,
    }
}

/// Where the subjects of an input stand among expressions over it.
fn moved(subjects: &[usize], exprs: &[Expr], schema: &DFSchema) -> Vec<usize> {
    let is_subject = |expr: &Expr| bare(expr, schema).is_some_and(|position| subjects.contains(&position));
    exprs.iter().enumerate().filter(|(_, expr)| is_subject(expr)).map(|(position, _)| position).collect()
}

fn projection(projection: &Projection) -> Checked<Rows> {
    Ok(match rows(&projection.input)? {
        Rows::Public => Rows::Public,
        Rows::OfOne(subjects) => Rows::OfOne(moved(&subjects, &projection.expr, projection.input.schema())),
    })
}

fn aggregate(aggregate: &Aggregate) -> Checked<Rows> {
    match rows(&aggregate.input)? {
        Rows::Public => Ok(Rows::Public),
        Rows::OfOne(subjects) => {
            let grouped = moved(&subjects, &aggregate.group_expr, aggregate.input.schema());
            if grouped.is_empty() {
                refused("an aggregate that is not GROUP BY the subject")
            } else {
                Ok(Rows::OfOne(grouped))
            }
        }
    }
}

fn window(window: &Window) -> Checked<Rows> {
    let of = rows(&window.input)?;
    if let Rows::OfOne(subjects) = &of {
        let by_subject = |expr: &Expr| {
            let mut expr = expr;
            while let Expr::Alias(alias) = expr {
                expr = &alias.expr;
            }
            let Expr::WindowFunction(function) = expr else { return false };
            !moved(subjects, &function.params.partition_by, window.input.schema()).is_empty()
        };
        if !window.window_expr.iter().all(by_subject) {
            return refused("a window function that is not PARTITION BY the subject");
        }
    }
    Ok(of)
}

fn join(join: &Join) -> Checked<Rows> {
    let (left, right) = (rows(&join.left)?, rows(&join.right)?);
    let width = join.left.schema().fields().len();
    let shifted = |subjects: &[usize]| subjects.iter().map(|position| position + width).collect::<Vec<_>>();
    let by_subject = |left: &[usize], right: &[usize]| {
        let is = |subjects: &[usize], expr: &Expr, side: &LogicalPlan| {
            bare(expr, side.schema()).is_some_and(|position| subjects.contains(&position))
        };
        let fits = |one: &Expr, other: &Expr| is(left, one, &join.left) && is(right, other, &join.right);
        // A subject is never NULL where there is a row of it.
        let is_compared = |part: &&Expr| match part {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq | Operator::IsNotDistinctFrom, right }) => {
                fits(left, right) || fits(right, left)
            }
            _ => false,
        };
        join.on.iter().any(|(one, other)| fits(one, other))
            || join.filter.iter().flat_map(split_conjunction).any(|part| is_compared(&part))
    };
    use JoinType::{Full, Inner, Left, LeftAnti, LeftMark, LeftSemi, Right, RightAnti, RightMark, RightSemi};
    match (left, right) {
        (Rows::Public, Rows::Public) => Ok(Rows::Public),
        (Rows::OfOne(left), Rows::Public) => match join.join_type {
            Inner | Left | LeftSemi | LeftAnti | LeftMark => Ok(Rows::OfOne(left)),
            Right | Full | RightSemi | RightAnti | RightMark => refused(OF_NOBODY),
        },
        (Rows::Public, Rows::OfOne(right)) => match join.join_type {
            Inner | Right => Ok(Rows::OfOne(shifted(&right))),
            RightSemi | RightAnti | RightMark => Ok(Rows::OfOne(right)),
            Left | Full | LeftSemi | LeftAnti | LeftMark => refused(OF_NOBODY),
        },
        (Rows::OfOne(left), Rows::OfOne(right)) => {
            if !by_subject(&left, &right) {
                return refused("a join of patients' rows that is not by the subject");
            }
            match join.join_type {
                Inner => Ok(Rows::OfOne([left, shifted(&right)].concat())),
                // The other side's subject is NULL where nothing fits.
                Left | LeftSemi | LeftAnti | LeftMark => Ok(Rows::OfOne(left)),
                Right => Ok(Rows::OfOne(shifted(&right))),
                RightSemi | RightAnti | RightMark => Ok(Rows::OfOne(right)),
                Full => refused("a full join"),
            }
        }
    }
}

/// What the optimizer left as a subquery must not read patients' rows.
fn no_patients_in_subqueries(plan: &LogicalPlan) -> Checked<()> {
    let mut outcome = Ok(());
    let visited = plan.apply_expressions(|expr| {
        expr.apply(|part| {
            let subquery = match part {
                Expr::ScalarSubquery(subquery) => subquery,
                Expr::Exists(exists) => &exists.subquery,
                Expr::InSubquery(within) => &within.subquery,
                Expr::SetComparison(comparison) => &comparison.subquery,
                _ => return Ok(TreeNodeRecursion::Continue),
            };
            outcome = match rows(&subquery.subquery) {
                Ok(Rows::Public) => Ok(()),
                Ok(Rows::OfOne(_)) => refused("a subquery over all patients"),
                Err(error) => Err(error),
            };
            Ok(if outcome.is_ok() { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
        })
    });
    visited.map_err(|_: DataFusionError| CohortError::Internal)?;
    outcome
}
