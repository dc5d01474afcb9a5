//! Forms of queries that cohorts have in another form.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Fetch, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArgumentList,
    FunctionArguments, GroupByExpr, Ident, LimitClause, ObjectName, OrderBy, OrderByExpr, OrderByKind, Query, Select,
    SelectFlavor, SelectItem, SetExpr, TableAlias, TableAliasColumnDef, TableFactor, TableWithJoins, Top, TopQuantity,
    Value, Values, Visit, Visitor,
};

use super::{Flow, binary, refuse, take, whole};
use crate::cohort::error::CohortError;
use crate::cohort::parse::normal;

/// Conditions of which all but their truth is forgotten: `(a, b) IN (SELECT …)` among them.
pub(super) fn tuples(condition: &mut Expr) -> Flow {
    match condition {
        Expr::Nested(inner) => tuples(inner)?,
        Expr::BinaryOp { left, op: BinaryOperator::And | BinaryOperator::Or, right } => {
            tuples(left)?;
            tuples(right)?;
        }
        Expr::InSubquery { expr, subquery, negated: false } => {
            if let Expr::Tuple(values) = &mut **expr {
                if width(&subquery.body).is_some_and(|width| width != values.len()) {
                    return refuse("(a, b) IN (SELECT x, y …) with more columns on one side than on the other");
                }
                let values = values.iter_mut().map(take).collect();
                *condition = exists(values, std::mem::replace(subquery, Box::new(nothing())));
            }
        }
        _ => {}
    }
    ControlFlow::Continue(())
}

/// How many columns a query has, if its text says so.
fn width(body: &SetExpr) -> Option<usize> {
    match body {
        SetExpr::Select(select) => {
            let is_one =
                |item: &SelectItem| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. });
            select.projection.iter().all(is_one).then_some(select.projection.len())
        }
        SetExpr::Query(query) => width(&query.body),
        SetExpr::SetOperation { left, .. } => width(left),
        SetExpr::Values(values) => values.rows.first().map(|row| row.content.len()),
        _ => None,
    }
}

/// What stands in a place from which a query is taken.
fn nothing() -> Query {
    query(SetExpr::Values(Values { explicit_row: false, value_keyword: false, rows: Vec::new() }))
}

fn query(body: SetExpr) -> Query {
    Query {
        with: None,
        body: Box::new(body),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    }
}

/// Whether a row of a query has these values.
fn exists(values: Vec<Expr>, of: Box<Query>) -> Expr {
    const OWN: &str = "__of";
    let column = |at: usize| Ident::new(format!("__{}", at + 1));
    let equal = values.into_iter().enumerate().map(|(at, value)| {
        let own = Expr::CompoundIdentifier(vec![Ident::new(OWN), column(at)]);
        (at, binary(own, BinaryOperator::Eq, value))
    });
    let mut columns = Vec::new();
    let mut condition: Option<Expr> = None;
    for (at, equal) in equal {
        columns.push(TableAliasColumnDef::from_name(column(at).value));
        condition = Some(match condition {
            Some(other) => binary(other, BinaryOperator::And, equal),
            None => equal,
        });
    }
    let alias = TableAlias { explicit: true, name: Ident::new(OWN), columns, at: None };
    let table = TableFactor::Derived { lateral: false, subquery: of, alias: Some(alias), sample: None };
    let select = SetExpr::Select(Box::new(select(table, condition)));
    Expr::Exists { subquery: Box::new(query(select)), negated: false }
}

/// `SELECT 1 FROM … WHERE …`
fn select(from: TableFactor, selection: Option<Expr>) -> Select {
    Select {
        select_token: AttachedToken::empty(),
        optimizer_hints: Vec::new(),
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: false,
        projection: vec![SelectItem::UnnamedExpr(Expr::value(Value::Number("1".to_string(), false)))],
        exclude: None,
        into: None,
        from: vec![TableWithJoins { relation: from, joins: Vec::new() }],
        lateral_views: Vec::new(),
        prewhere: None,
        selection,
        connect_by: Vec::new(),
        group_by: GroupByExpr::Expressions(Vec::new(), Vec::new()),
        cluster_by: Vec::new(),
        distribute_by: Vec::new(),
        sort_by: Vec::new(),
        having: None,
        named_window: Vec::new(),
        qualify: None,
        window_before_qualify: false,
        value_table_mode: None,
        flavor: SelectFlavor::Standard,
    }
}

/// `(SELECT x … ORDER BY o LIMIT 1)`, in the place of a value, as an aggregate.
pub(super) fn first_row(query: &mut Query) -> Flow {
    const TOP: &str = "LIMIT 1 without ORDER BY";
    let SetExpr::Select(select) = &mut *query.body else { return ControlFlow::Continue(()) };
    let one = |expr: &Expr| whole(expr) == Some(1);
    let is_one = match (&query.limit_clause, &query.fetch, &select.top) {
        (Some(LimitClause::LimitOffset { limit: Some(limit), offset: None, limit_by }), None, None) => {
            one(limit) && limit_by.is_empty()
        }
        (None, Some(Fetch { with_ties: false, percent: false, quantity }), None) => quantity.as_ref().is_none_or(one),
        (None, None, Some(Top { with_ties: false, percent: false, quantity: Some(TopQuantity::Constant(1)) })) => true,
        (None, None, Some(Top { with_ties: false, percent: false, quantity: Some(TopQuantity::Expr(expr)) })) => {
            one(expr)
        }
        _ => return ControlFlow::Continue(()),
    };
    let is_plain = select.distinct.is_none()
        && select.having.is_none()
        && matches!(&select.group_by, GroupByExpr::Expressions(keys, modifiers) if keys.is_empty() && modifiers.is_empty());
    let (value, alias) = match &mut select.projection[..] {
        [SelectItem::UnnamedExpr(value)] => (value, None),
        [SelectItem::ExprWithAlias { expr, alias }] => (expr, Some(normal(alias))),
        _ => return ControlFlow::Continue(()),
    };
    if !is_one || !is_plain {
        return ControlFlow::Continue(());
    }
    let Some(OrderBy { kind: OrderByKind::Expressions(mut keys), interpolate: None }) = query.order_by.take() else {
        return ControlFlow::Break(CohortError::PicksPatients { what: TOP });
    };
    keys.iter_mut().try_for_each(|key| self::key(key, value, alias.as_deref()))?;
    let function = Function {
        name: ObjectName::from(Ident::new("first_value")),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(take(value)))],
            clauses: vec![FunctionArgumentClause::OrderBy(keys)],
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    };
    *value = Expr::Function(function);
    (query.limit_clause, query.fetch, select.top) = (None, None, None);
    ControlFlow::Continue(())
}

/// A key of ORDER BY as an aggregate over FROM knows it: what the SELECT has in place of its position or name.
fn key(key: &mut OrderByExpr, value: &Expr, alias: Option<&str>) -> Flow {
    let name = match value {
        Expr::Identifier(ident) => Some(normal(ident)),
        Expr::CompoundIdentifier(parts) => parts.last().map(normal),
        _ => None,
    };
    let is_selected = match (&key.expr, whole(&key.expr)) {
        (_, Some(position)) if position != 1 => {
            return refuse("ORDER BY of a position that the SELECT does not have");
        }
        (_, Some(_)) => true,
        (Expr::Identifier(ident), _) => alias.or(name.as_deref()) == Some(normal(ident).as_str()),
        // Within an expression, databases take such a name for one or the other.
        (expr, _) => match alias {
            Some(alias) if name.as_deref() != Some(alias) && expr.visit(&mut Named(alias)).is_break() => {
                return refuse(
                    "ORDER BY of an expression with a name that the SELECT gives (instead of what has the name)",
                );
            }
            _ => false,
        },
    };
    if is_selected {
        // Nothing is written twice that has a query in it.
        if value.visit(&mut Queries).is_break() {
            return refuse("ORDER BY of a subquery by its position or name (instead of a column)");
        }
        key.expr = value.clone();
    }
    ControlFlow::Continue(())
}

/// A column by this name alone.
struct Named<'a>(&'a str);

impl Visitor for Named<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(ident) if normal(ident) == self.0 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Any query.
struct Queries;

impl Visitor for Queries {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        ControlFlow::Break(())
    }
}
