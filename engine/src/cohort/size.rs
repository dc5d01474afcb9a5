//! How large a plan is when every column is replaced by the expression that it stands for.
//!
//! The optimizer does so: it merges projections and moves conditions below them. A column that is used twice by the
//! next, and that one twice by the next, is 2^n expressions then, and a chain of columns is one deep expression. So a
//! plan is measured before it is optimised. Sizes saturate. Where the planner takes more than linear time, more is
//! counted: subqueries within each other are visited twice as often with each level, calls within each other are asked for
//! their types by all calls around them, and of an expression over columns that a window function made or sorted by, every
//! order of these columns is tried in every direction.

use std::collections::BTreeSet;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchemaRef, DataFusionError};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Aggregate, BinaryExpr, Expr, Join, JoinType, LogicalPlan, Operator, Subquery, Window};

use super::error::CohortError;

/// The most parts of one expression.
const EXPRESSION: u64 = 4_000;
/// The most levels of one expression.
const LEVELS: u64 = 256;
/// The most parts of all expressions, and columns that steps hand on, together.
const ALL: u64 = 30_000;
/// A table counts as so many parts: what reads it, and what a subquery over it becomes.
const TABLE: u64 = 20;
/// So many visits of a step count as a part: the optimizer visits what is in a subquery twice as often as what is around.
const VISITS: u64 = 64;
/// So many steps of finding a type count as a part: of calls within each other, each is asked for its type by all around,
/// again and again.
const TYPES: u64 = 200;
/// The most columns of windows that one expression may be over.
const SORTED: u64 = 4;

/// The size of an expression.
#[derive(Clone, Debug, Default)]
struct Size {
    parts: u64,
    levels: u64,
    /// The most function calls, operators of numbers among them, within each other.
    calls: u64,
    /// The columns of windows that it is over.
    sorted: BTreeSet<usize>,
}

impl Size {
    fn one() -> Self {
        Self { parts: 1, levels: 1, ..Self::default() }
    }

    fn larger(self, other: &Self) -> Self {
        Self {
            parts: self.parts.max(other.parts),
            levels: self.levels.max(other.levels),
            calls: self.calls.max(other.calls),
            sorted: &self.sorted | &other.sorted,
        }
    }
}

/// What the columns of a step's inputs stand for.
struct Scope {
    schemas: Vec<(DFSchemaRef, usize)>,
    sizes: Vec<Size>,
}

impl Scope {
    fn position(&self, column: &Column) -> Option<usize> {
        let position = |(schema, first): &(DFSchemaRef, usize)| Some(first + schema.maybe_index_of_column(column)?);
        self.schemas.iter().find_map(position)
    }
}

#[derive(Default)]
struct Measured {
    /// Of all steps so far.
    all: u64,
    /// The columns of windows so far, each with another that is equal to it, towards one that stands for them all.
    sorted: Vec<usize>,
    /// The steps whose expressions are around the one that is measured.
    scopes: Vec<Scope>,
    /// How many subqueries are around it.
    subqueries: u32,
}

/// Measures a plan that is not yet optimised.
pub(super) fn check(plan: &LogicalPlan) -> Result<(), CohortError> {
    Measured::default().step(plan).map(drop)
}

impl Measured {
    /// The sizes of a step's columns.
    fn step(&mut self, plan: &LogicalPlan) -> Result<Vec<Size>, CohortError> {
        let mut scope = Scope { schemas: Vec::new(), sizes: Vec::new() };
        for input in plan.inputs() {
            scope.schemas.push((input.schema().clone(), scope.sizes.len()));
            let sizes = self.step(input)?;
            scope.sizes.extend(sizes);
        }
        let width = plan.schema().fields().len();
        let table = if matches!(plan, LogicalPlan::TableScan(_)) { TABLE } else { 0 };
        let visits = 1u64.checked_shl(self.subqueries).unwrap_or(u64::MAX) / VISITS;
        self.add(table.saturating_add(width as u64).saturating_add(visits))?;
        self.scopes.push(scope);
        let mut sizes = Vec::new();
        let mut outcome = Ok(());
        let visited = plan.apply_expressions(|expr| {
            let parts = match plan {
                // No step computes a conjunction as one column.
                LogicalPlan::Filter(_) | LogicalPlan::Join(_) => split_conjunction(expr),
                _ => vec![expr],
            };
            let of_rows = matches!(plan, LogicalPlan::Filter(_));
            outcome = parts.into_iter().try_for_each(|part| self.whole(part, of_rows).map(|size| sizes.push(size)));
            Ok(if outcome.is_ok() { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
        });
        visited.map_err(|_: DataFusionError| CohortError::Internal)?;
        outcome?;
        let Some(mut scope) = self.scopes.pop() else { return Err(CohortError::Internal) };
        let mut own = match plan {
            LogicalPlan::Projection(_) => sizes,
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate, scope, sizes),
            LogicalPlan::Window(window) => self.window(window, scope),
            LogicalPlan::Union(_) => {
                let of = |column: usize| scope.sizes.iter().skip(column).step_by(width.max(1));
                (0..width).map(|column| of(column).fold(Size::one(), Size::larger)).collect()
            }
            LogicalPlan::Filter(filter) => {
                self.equals(&mut scope, split_conjunction(&filter.predicate));
                scope.sizes
            }
            LogicalPlan::Join(join) => self.join(join, scope),
            _ => scope.sizes,
        };
        own.resize_with(width, Size::one);
        Ok(own)
    }

    fn add(&mut self, parts: u64) -> Result<(), CohortError> {
        self.all = self.all.saturating_add(parts);
        within(self.all, ALL, "parts", || "the query".to_string())
    }

    /// An expression of a step's own; a condition, if only whether it is true counts.
    fn whole(&mut self, expr: &Expr, condition: bool) -> Result<Size, CohortError> {
        let size = self.expression(expr, condition)?;
        let sorted = self.classes(&size);
        within(sorted, SORTED, "columns of windows", || shown(expr))?;
        within(size.parts, EXPRESSION, "parts", || shown(expr))?;
        within(size.levels, LEVELS, "levels", || shown(expr))?;
        let types = size.parts.saturating_mul(size.calls).saturating_mul(size.calls) / TYPES;
        self.add(size.parts.saturating_add(types).saturating_add(orders(sorted)))?;
        Ok(size)
    }

    fn expression(&mut self, expr: &Expr, condition: bool) -> Result<Size, CohortError> {
        let connects = matches!(expr, Expr::BinaryExpr(BinaryExpr { op: Operator::And | Operator::Or, .. }));
        let mut size = match expr {
            Expr::Column(column) | Expr::OuterReferenceColumn(_, column) => return Ok(self.column(column)),
            Expr::ScalarSubquery(subquery) => self.subquery(subquery)?,
            Expr::Exists(exists) => self.subquery(&exists.subquery)?,
            Expr::InSubquery(within) => {
                let size = self.subquery(&within.subquery)?;
                // Where NULL is not false, whether there is a row, and whether there is a NULL, is asked, too.
                let copies = if condition && !within.negated { 1 } else { 3 };
                Size { parts: size.parts.saturating_mul(copies), ..size }
            }
            _ => Size::default(),
        };
        let mut outcome = Ok(());
        let visited = expr.apply_children(|child| {
            outcome = self.expression(child, condition && connects).map(|child| {
                size.parts = size.parts.saturating_add(child.parts);
                size.levels = size.levels.max(child.levels);
                size.calls = size.calls.max(child.calls);
                size.sorted.extend(child.sorted);
            });
            Ok(if outcome.is_ok() { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
        });
        visited.map_err(|_: DataFusionError| CohortError::Internal)?;
        outcome?;
        size.parts = size.parts.saturating_mul(copies(expr));
        size.calls = size.calls.saturating_add(u64::from(matches!(expr, Expr::ScalarFunction(_))));
        size.parts = size.parts.saturating_add(1);
        size.levels = size.levels.saturating_add(1);
        Ok(size)
    }

    /// A subquery goes with the expression that it stands in: all that it consists of counts as that expression's.
    fn subquery(&mut self, subquery: &Subquery) -> Result<Size, CohortError> {
        let before = self.all;
        self.subqueries += 1;
        self.step(&subquery.subquery)?;
        self.subqueries -= 1;
        let parts = self.all.saturating_sub(before);
        self.all = before;
        Ok(Size { parts, ..Size::one() })
    }

    fn column(&self, column: &Column) -> Size {
        let found = self.scopes.iter().rev().find_map(|scope| scope.sizes.get(scope.position(column)?).cloned());
        found.unwrap_or_else(Size::one)
    }

    /// Groups stand for their expressions, and keep the order that an aggregate wants its input in.
    fn aggregate(&mut self, aggregate: &Aggregate, mut scope: Scope, mut sizes: Vec<Size>) -> Vec<Size> {
        sizes.truncate(aggregate.group_expr.len());
        let mut orders = BTreeSet::new();
        for expr in &aggregate.aggr_expr {
            if let Expr::AggregateFunction(function) = unaliased(expr) {
                orders.extend(read(&scope, function.params.order_by.iter().map(|key| &key.expr)));
            }
        }
        orders.iter().for_each(|position| self.mark(&mut scope.sizes[*position]));
        for (group, size) in aggregate.group_expr.iter().zip(&mut sizes) {
            for position in read(&scope, [group]).intersection(&orders) {
                size.sorted.extend(&scope.sizes[*position].sorted);
            }
        }
        sizes
    }

    /// Windows are computed where they stand. Their columns, and those that they sort by, come in an order.
    fn window(&mut self, window: &Window, mut scope: Scope) -> Vec<Size> {
        let mut orders = BTreeSet::new();
        for expr in &window.window_expr {
            if let Expr::WindowFunction(function) = unaliased(expr) {
                let params = &function.params;
                let keys = params.order_by.iter().map(|key| &key.expr).chain(&params.partition_by);
                orders.extend(read(&scope, keys));
            }
        }
        orders.iter().for_each(|position| self.mark(&mut scope.sizes[*position]));
        for _ in &window.window_expr {
            let mut size = Size::one();
            self.mark(&mut size);
            scope.sizes.push(size);
        }
        scope.sizes
    }

    fn mark(&mut self, size: &mut Size) {
        if size.sorted.is_empty() {
            size.sorted.insert(self.sorted.len());
            self.sorted.push(self.sorted.len());
        }
    }

    /// The optional side of an outer join comes in no order.
    fn join(&mut self, join: &Join, mut scope: Scope) -> Vec<Size> {
        let left = join.left.schema().fields().len();
        match join.join_type {
            JoinType::Left => scope.sizes.iter_mut().skip(left).for_each(|size| size.sorted.clear()),
            JoinType::Right => scope.sizes.iter_mut().take(left).for_each(|size| size.sorted.clear()),
            _ => {
                for (one, other) in &join.on {
                    self.equal(&mut scope, one, other);
                }
                self.equals(&mut scope, join.filter.iter().flat_map(split_conjunction));
            }
        }
        if matches!(join.join_type, JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark) {
            scope.sizes.drain(..left);
        }
        scope.sizes
    }

    fn equals<'e>(&mut self, scope: &mut Scope, conditions: impl IntoIterator<Item = &'e Expr>) {
        for condition in conditions {
            if let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq | Operator::IsNotDistinctFrom, right }) =
                condition
            {
                self.equal(scope, left, right);
            }
        }
    }

    /// What is equal shares its order, and two columns that are equal count as one.
    fn equal(&mut self, scope: &mut Scope, one: &Expr, other: &Expr) {
        let both = read(scope, [one, other]);
        let sorted: BTreeSet<usize> = both
            .iter()
            .flat_map(|position| &scope.sizes[*position].sorted)
            .map(|column| self.representative(*column))
            .collect();
        let bare = matches!((unaliased(one), unaliased(other)), (Expr::Column(_), Expr::Column(_)));
        let each_one = both.iter().all(|position| self.classes(&scope.sizes[*position]) <= 1);
        if bare
            && each_one
            && let [one, other] = sorted.iter().copied().collect::<Vec<usize>>().as_slice()
        {
            self.sorted[*one] = *other;
        }
        for position in both {
            scope.sizes[position].sorted.extend(&sorted);
        }
    }

    /// How many columns of windows an expression is over, those that are equal counted once.
    fn classes(&self, size: &Size) -> u64 {
        size.sorted.iter().map(|column| self.representative(*column)).collect::<BTreeSet<usize>>().len() as u64
    }

    fn representative(&self, mut column: usize) -> usize {
        while self.sorted[column] != column {
            column = self.sorted[column];
        }
        column
    }
}

/// How many orders the planner tries for an expression over so many columns: each in four directions, and all ways to
/// arrange them.
fn orders(columns: u64) -> u64 {
    if columns < 2 { 0 } else { (1..=columns).fold(1u64, |orders, n| orders.saturating_mul(4).saturating_mul(n)) }
}

/// The positions of the columns that expressions read.
fn read<'e>(scope: &Scope, exprs: impl IntoIterator<Item = &'e Expr>) -> BTreeSet<usize> {
    exprs.into_iter().flat_map(Expr::column_refs).filter_map(|column| scope.position(column)).collect()
}

/// How often the planner writes what an expression is of: `coalesce(a, b)` is `CASE WHEN a IS NOT NULL THEN a ELSE b END`,
/// and BETWEEN two comparisons.
fn copies(expr: &Expr) -> u64 {
    match expr {
        Expr::ScalarFunction(function) if ["coalesce", "nvl", "nullif"].contains(&function.name()) => 2,
        Expr::Between(_) => 2,
        _ => 1,
    }
}

fn unaliased(mut expr: &Expr) -> &Expr {
    while let Expr::Alias(alias) = expr {
        expr = &alias.expr;
    }
    expr
}

fn within(size: u64, limit: u64, unit: &'static str, part: impl Fn() -> String) -> Result<(), CohortError> {
    if size <= limit {
        return Ok(());
    }
    let form = match unit {
        "columns of windows" => "compute with fewer of them at once, or GROUP BY the person's id instead",
        "levels" => "do in one SELECT what several do in turn",
        _ => "use each column fewer times, and select only those that the next SELECT needs",
    };
    Err(CohortError::Outgrown { part: part(), size, limit, unit, form })
}

/// An expression by its name in the query.
fn shown(expr: &Expr) -> String {
    let name = match expr {
        Expr::Alias(alias) => &alias.name,
        Expr::Column(column) => &column.name,
        _ => return "a condition or an expression".to_string(),
    };
    format!("column `{}`", name.chars().take(120).collect::<String>())
}
