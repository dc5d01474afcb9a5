//! Queries: what the columns of their results are.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::rc::Rc;

use consilium_protocol::catalogue::CatalogueTable;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, GroupByExpr, JoinConstraint, JoinOperator, ObjectName, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, SetOperator, SetQuantifier, TableAlias, TableFactor, TableWithJoins,
    Value, Visit, Visitor, WildcardAdditionalOptions,
};

use super::function::aggregates;
use super::quantity::{Form, Seen, Why, alternatives, choice};
use super::scope::{Entry, Relation, Rows, Scope, settled, table};
use super::source::Source;
use crate::cohort::parse::normal;

/// The most columns of a query that are followed.
const MOST_COLUMNS: usize = 512;

/// The key of `concept`.
const KEY: &str = "concept_id";

/// The queries that WITH gives a name to, innermost last.
#[derive(Clone, Default)]
pub(super) struct Names(Vec<(String, Rc<Relation>)>);

/// Reads a query from the inside out.
#[derive(Default)]
pub(super) struct Reader {
    /// The tables that the study has beside OMOP's.
    tables: Vec<CatalogueTable>,
    /// How many uses of relations there were.
    places: std::cell::Cell<u32>,
    /// Names of the queries around, innermost last.
    names: std::cell::RefCell<Names>,
    /// Whether a query had more columns than are followed, or such that cannot be.
    is_lost: std::cell::Cell<bool>,
}

impl Reader {
    /// Of a study that has these tables beside OMOP's.
    pub(super) fn over(tables: Vec<CatalogueTable>) -> Self {
        Self { tables, ..Self::default() }
    }

    /// The columns of a study's cohort. What all its rows have in common tells them not apart.
    pub(super) fn cohort(&self, query: &Query) -> Vec<(String, Seen)> {
        let columns = self.query(query, None, true).columns;
        if self.is_lost.get() { Vec::new() } else { columns }
    }

    /// A query's result.
    pub(super) fn query(&self, query: &Query, outer: Option<&Scope<'_>>, is_cohort: bool) -> Relation {
        let known = self.names.borrow().0.len();
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            let relation = named(self.query(&cte.query, outer, false), &cte.alias);
            self.names.borrow_mut().0.push((normal(&cte.alias.name), Rc::new(relation)));
        }
        let result = self.body(&query.body, outer, is_cohort);
        self.names.borrow_mut().0.truncate(known);
        result
    }

    fn body(&self, body: &SetExpr, outer: Option<&Scope<'_>>, is_cohort: bool) -> Relation {
        match body {
            SetExpr::Select(select) => self.select(select, outer, is_cohort),
            SetExpr::Query(query) => self.query(query, outer, is_cohort),
            SetExpr::SetOperation { op, set_quantifier, left, right } => {
                // What stands in one part and not in the other tells rows apart.
                let (left, right) = (self.body(left, outer, false), self.body(right, outer, false));
                let mut both = united(*op, matches!(set_quantifier, SetQuantifier::All), left, right);
                if !matches!(set_quantifier, SetQuantifier::All | SetQuantifier::Distinct | SetQuantifier::None) {
                    // By name columns stand elsewhere.
                    both.columns.iter_mut().for_each(|(_, seen)| seen.form = Form::Other(Why::Unread));
                    both.rows = Rows::Many;
                }
                both
            }
            SetExpr::Values(values) => {
                let scope =
                    Scope { entries: Vec::new(), rows: Rows::Single, by: BTreeSet::new(), is_merged: false, outer };
                let width = values.rows.first().map_or(0, |row| row.content.len());
                let column = |position: usize| {
                    let cells = values.rows.iter().filter_map(|row| row.content.get(position));
                    let mut seen = choice(cells.map(|cell| self.expression(cell, &scope)).collect());
                    seen.is_fixed &= values.rows.len() == 1;
                    (format!("column{}", position + 1), seen)
                };
                let rows = if values.rows.len() == 1 { Rows::Single } else { Rows::Many };
                Relation { columns: (0..width).map(column).collect(), rows, by: BTreeSet::new() }
            }
            _ => Relation { columns: Vec::new(), rows: Rows::Many, by: BTreeSet::new() },
        }
    }

    fn select(&self, select: &Select, outer: Option<&Scope<'_>>, is_cohort: bool) -> Relation {
        let mut scope = Scope { entries: Vec::new(), rows: Rows::Single, by: BTreeSet::new(), is_merged: false, outer };
        for joined in &select.from {
            self.joined(joined, &mut scope);
        }
        if let Some(condition) = &select.selection {
            let seen = self.expression(condition, &scope);
            scope.by.extend(seen.by);
            let restrictions = self.restrictions(condition, &scope);
            scope.restrict(&restrictions);
            if self.is_first(condition, &scope) && matches!(scope.rows, Rows::Of(_)) {
                scope.rows = Rows::One;
                scope
                    .entries
                    .iter_mut()
                    .flat_map(|entry| &mut entry.columns)
                    .for_each(|(_, seen)| seen.is_fixed = true);
            }
        }
        let keys = self.keys(select, &scope);
        let mut columns = Vec::new();
        for item in &select.projection {
            self.item(item, &scope, &mut columns);
            if columns.len() > MOST_COLUMNS {
                self.is_lost.set(true);
                columns.truncate(MOST_COLUMNS);
            }
        }
        if let Some(having) = &select.having {
            let seen = self.expression(having, &scope);
            scope.by.extend(seen.by);
        }
        let is_by_patient =
            |of: &[Seen]| of.iter().any(|seen| seen.form == Form::Subject) && of.iter().all(|seen| seen.is_fixed);
        let mut rows = match &keys {
            Some(keys) if is_by_patient(keys) => Rows::One,
            Some(_) => scope.rows.clone(),
            None if is_aggregated(select) => Rows::Single,
            None => scope.rows.clone(),
        };
        if let Rows::Words(_) = rows {
            rows = Rows::Words(false);
        }
        let all: Vec<Seen> = columns.iter().map(|(_, seen)| seen.clone()).collect();
        if select.distinct.is_some() && is_by_patient(&all) {
            rows = Rows::One;
        }
        let by = settled(&scope.by);
        for (_, seen) in &mut columns {
            seen.by = settled(&seen.by);
            if !is_cohort {
                seen.by.extend(by.iter().cloned());
            }
        }
        Relation { columns, rows, by }
    }

    /// The keys of GROUP BY, where there are any.
    fn keys(&self, select: &Select, scope: &Scope<'_>) -> Option<Vec<Seen>> {
        let GroupByExpr::Expressions(exprs, _) = &select.group_by else { return Some(Vec::new()) };
        if exprs.is_empty() {
            return None;
        }
        let item = |item: &SelectItem| match item {
            // A subquery is read once, as a column of the result.
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } if !has_query(expr) => {
                Some(self.expression(expr, scope))
            }
            _ => None,
        };
        let aliased = |name: &str| {
            let is_it =
                |item: &&SelectItem| matches!(item, SelectItem::ExprWithAlias { alias, .. } if normal(alias) == name);
            select.projection.iter().find(is_it).and_then(item)
        };
        let key = |expr: &Expr| match expr {
            Expr::Value(value) => {
                let position = match &value.value {
                    Value::Number(text, _) => text.parse::<usize>().ok().and_then(|n| n.checked_sub(1)),
                    _ => None,
                };
                position.and_then(|position| item(select.projection.get(position)?))
            }
            Expr::Identifier(name) if scope.column(None, &normal(name)).is_none() => aliased(&normal(name)),
            expr if has_query(expr) => None,
            expr => Some(self.expression(expr, scope)),
        };
        let unread = || Seen { is_fixed: false, ..Seen::other(Why::Unread) };
        Some(exprs.iter().map(|expr| key(expr).unwrap_or_else(unread)).collect())
    }

    fn item(&self, item: &SelectItem, scope: &Scope<'_>, columns: &mut Vec<(String, Seen)>) {
        match item {
            SelectItem::UnnamedExpr(expr) => {
                // Of anything but a column the query engine has a name of its own; no name is none here.
                let name = match expr {
                    Expr::Identifier(name) => normal(name),
                    Expr::CompoundIdentifier(parts) => parts.last().map(normal).unwrap_or_default(),
                    _ => String::new(),
                };
                columns.push((name, self.expression(expr, scope)));
            }
            SelectItem::ExprWithAlias { expr, alias } => columns.push((normal(alias), self.expression(expr, scope))),
            SelectItem::Wildcard(options) => {
                self.followed(options, scope);
                columns.extend(scope.entries.iter().flat_map(|entry| entry.columns.clone()));
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                self.followed(options, scope);
                let name = last(name);
                let own = scope.entries.iter().filter(|entry| entry.name == name);
                columns.extend(own.flat_map(|entry| entry.columns.clone()));
            }
            _ => self.is_lost.set(true),
        }
    }

    /// Whether it is every column, each where it stands: not where some are replaced, or joined columns are one.
    fn followed(&self, options: &WildcardAdditionalOptions, scope: &Scope<'_>) {
        let WildcardAdditionalOptions {
            opt_ilike, opt_exclude, opt_except, opt_replace, opt_rename, opt_alias, ..
        } = options;
        let is_all = opt_ilike.is_none()
            && opt_exclude.is_none()
            && opt_except.is_none()
            && opt_replace.is_none()
            && opt_rename.is_none()
            && opt_alias.is_none();
        self.is_lost.set(self.is_lost.get() || !is_all || scope.is_merged);
    }

    fn joined(&self, joined: &TableWithJoins, scope: &mut Scope<'_>) {
        self.factor(&joined.relation, scope, None, Side::Both);
        for join in &joined.joins {
            let (constraint, side) = match &join.join_operator {
                JoinOperator::Join(c) | JoinOperator::Inner(c) | JoinOperator::CrossJoin(c) => (c, Side::Both),
                JoinOperator::Left(c) | JoinOperator::LeftOuter(c) => (c, Side::Left),
                JoinOperator::Right(c) | JoinOperator::RightOuter(c) => (c, Side::Right),
                JoinOperator::Semi(c)
                | JoinOperator::LeftSemi(c)
                | JoinOperator::Anti(c)
                | JoinOperator::LeftAnti(c) => (c, Side::Tested),
                JoinOperator::FullOuter(c)
                | JoinOperator::RightSemi(c)
                | JoinOperator::RightAnti(c)
                | JoinOperator::StraightJoin(c) => (c, Side::Neither),
                _ => {
                    scope.rows = Rows::Many;
                    continue;
                }
            };
            self.factor(&join.relation, scope, Some(constraint), side);
        }
    }

    fn factor(&self, factor: &TableFactor, scope: &mut Scope<'_>, constraint: Option<&JoinConstraint>, side: Side) {
        let first = scope.entries.len();
        let relation = match factor {
            TableFactor::Table { name, alias, .. } => {
                let name = last(name).unwrap_or_default();
                let known =
                    self.names.borrow().0.iter().rev().find(|(own, _)| *own == name).map(|(_, of)| Rc::clone(of));
                let place = self.place();
                let own = known.map(|relation| (*relation).clone()).or_else(|| table(&name, &self.tables, place));
                let own = own.unwrap_or(Relation { columns: Vec::new(), rows: Rows::Many, by: BTreeSet::new() });
                match alias {
                    Some(alias) => Some((Some(normal(&alias.name)), named(own, alias))),
                    None => Some((Some(name), own)),
                }
            }
            TableFactor::Derived { subquery, alias, .. } => {
                let own = self.query(subquery, scope.outer, false);
                match alias {
                    Some(alias) => Some((Some(normal(&alias.name)), named(own, alias))),
                    None => Some((None, own)),
                }
            }
            TableFactor::NestedJoin { table_with_joins, alias } => {
                self.joined(table_with_joins, scope);
                // What its columns are called then is another matter.
                self.is_lost.set(self.is_lost.get() || alias.is_some());
                None
            }
            _ => {
                scope.rows = Rows::Many;
                None
            }
        };
        let on = match constraint {
            Some(JoinConstraint::On(expr)) => Some(expr),
            _ => None,
        };
        if let Some((name, relation)) = relation {
            let Relation { mut columns, mut rows, by } = self.used(relation);
            for (_, seen) in &mut columns {
                seen.is_fixed |= rows.is_one();
                // Its own rows have one place each, those that it is joined with do not.
                if let (Form::Position(is_among_all), false) = (&mut seen.form, matches!(rows, Rows::Of(_))) {
                    *is_among_all = false;
                }
            }
            if side == Side::Tested {
                rows = Rows::Single;
            }
            scope.by.extend(by);
            if let Rows::Of(tables) = &rows {
                scope.by.extend(tables.iter().cloned());
            }
            scope.entries.push(Entry { name, columns });
            let by_key = match constraint {
                Some(JoinConstraint::Using(names)) => names.iter().any(|name| last(name).as_deref() == Some(KEY)),
                _ => on.is_some_and(|on| is_by_key(on, &scope.entries)),
            };
            scope.rows = std::mem::replace(&mut scope.rows, Rows::Single).joined(rows, by_key);
        }
        // Of these joins a wildcard has fewer columns than both sides.
        scope.is_merged |= side == Side::Tested || matches!(constraint, Some(JoinConstraint::Using(_)));
        if let Some(on) = on {
            let seen = self.expression(on, scope);
            scope.by.extend(seen.by.iter().cloned());
            // Where a side is kept without a partner, what it is joined with depends on the condition.
            let kept = match side {
                Side::Left => first..scope.entries.len(),
                Side::Right => 0..first,
                Side::Neither => 0..scope.entries.len(),
                Side::Both | Side::Tested => 0..0,
            };
            for entry in &mut scope.entries[kept.clone()] {
                entry.columns.iter_mut().for_each(|(_, column)| column.by.extend(seen.by.iter().cloned()));
            }
            let restrictions = self.restrictions(on, scope);
            match side {
                Side::Both | Side::Tested => scope.restrict(&restrictions),
                Side::Left | Side::Right => {
                    let columns = scope.entries[kept].iter_mut().flat_map(|entry| &mut entry.columns);
                    columns.for_each(|(_, column)| column.restrict(&restrictions));
                }
                Side::Neither => {}
            }
        }
    }

    /// A place of its own for one use of a relation.
    fn place(&self) -> u32 {
        self.places.set(self.places.get() + 1);
        self.places.get()
    }

    /// A relation as it is used once more: its rows are told apart from those of other uses.
    fn used(&self, mut relation: Relation) -> Relation {
        let mut anew: std::collections::BTreeMap<u32, u32> = std::collections::BTreeMap::new();
        let mut change = |source: &mut Source| {
            if source.place != 0 {
                source.place = *anew.entry(source.place).or_insert_with(|| self.place());
            }
        };
        relation.columns.iter_mut().for_each(|(_, seen)| seen.change(&mut change));
        relation.rows.change(change);
        relation
    }

    /// Whether a condition takes the first of each patient's rows.
    fn is_first(&self, condition: &Expr, scope: &Scope<'_>) -> bool {
        super::expression::conjuncts(condition).into_iter().any(|part| {
            let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = part else { return false };
            let is_position =
                |expr: &Expr| self.bare(expr, scope).is_some_and(|seen| seen.form == Form::Position(true));
            let is_one = |expr: &Expr| super::expression::whole(expr) == Some(1);
            (is_position(left) && is_one(right)) || (is_position(right) && is_one(left))
        })
    }
}

/// Whether there is a subquery in an expression.
fn has_query(expr: &Expr) -> bool {
    struct Looking;
    impl Visitor for Looking {
        type Break = ();

        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            ControlFlow::Break(())
        }
    }
    expr.visit(&mut Looking).is_break()
}

/// Which side of a join is kept without a partner.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Both,
    Left,
    Right,
    Neither,
    /// The right side is only looked for.
    Tested,
}

fn last(name: &ObjectName) -> Option<String> {
    name.0.last().and_then(|part| part.as_ident()).map(normal)
}

/// Whether a condition joins `concept`, the last of these, by its key: with a column of another, or a literal.
fn is_by_key(condition: &Expr, entries: &[Entry]) -> bool {
    let Some((own, others)) = entries.split_last() else { return false };
    let has = |entry: &Entry, name: &str| entry.columns.iter().any(|(column, _)| column == name);
    let is_key = |expr: &Expr| match expr {
        Expr::Identifier(name) => normal(name) == KEY && others.iter().all(|other| !has(other, KEY)),
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [table, name] => normal(name) == KEY && own.name.as_deref() == Some(&normal(table)),
            _ => false,
        },
        _ => false,
    };
    let is_of_another = |expr: &Expr| match expr {
        Expr::Value(_) => true,
        Expr::Identifier(name) => !has(own, &normal(name)),
        Expr::CompoundIdentifier(parts) => parts.first().map(normal) != own.name,
        _ => false,
    };
    super::expression::conjuncts(condition).into_iter().any(|part| match part {
        Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
            (is_key(left) && is_of_another(right)) || (is_key(right) && is_of_another(left))
        }
        _ => false,
    })
}

/// A relation with the names that an alias gives to its columns.
fn named(mut relation: Relation, alias: &TableAlias) -> Relation {
    if let (Rows::Words(_), false) = (&relation.rows, alias.columns.is_empty()) {
        relation.rows = Rows::Words(false);
    }
    for (column, (name, _)) in alias.columns.iter().zip(&mut relation.columns) {
        *name = normal(&column.name);
    }
    relation
}

fn united(operator: SetOperator, is_all: bool, left: Relation, right: Relation) -> Relation {
    let by: BTreeSet<Source> = left.by.iter().chain(&right.by).cloned().collect();
    if operator != SetOperator::Union {
        let mut columns = left.columns;
        columns.iter_mut().for_each(|(_, seen)| seen.by.extend(by.iter().cloned()));
        return Relation { columns, rows: left.rows, by };
    }
    let is_subject = |relation: &Relation| relation.columns.iter().all(|(_, seen)| seen.form == Form::Subject);
    let rows = if !is_all && is_subject(&left) && is_subject(&right) { Rows::One } else { left.rows.and(right.rows) };
    let columns = left.columns.into_iter().zip(right.columns).map(|((name, one), (_, other))| {
        let mut seen = alternatives(vec![one, other]);
        seen.by.extend(by.iter().cloned());
        seen.is_fixed = seen.form == Form::Subject;
        (name, seen)
    });
    Relation { columns: columns.collect(), rows, by }
}

/// Whether a SELECT without GROUP BY makes one row of all.
fn is_aggregated(select: &Select) -> bool {
    select.projection.iter().any(|item| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => aggregates(expr),
        _ => false,
    })
}
