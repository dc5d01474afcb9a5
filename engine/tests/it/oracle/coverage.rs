//! What of the accepted language a study has in it.

use std::collections::BTreeSet;

use super::draw::Study;
use super::functions::{AGGREGATES, FUNCTIONS};
use super::tree::{Body, Expr, Node, Query, Relation, Select, Style};

/// The constructs of a study, by names.
pub(super) fn constructs(study: &Study) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut query = study.query.clone();
    let mut add = |name: String| {
        found.insert(name);
    };
    query.walk(&mut |node| match node {
        Node::Expr(expr) => of_expr(expr, &mut add),
        Node::Query(query) => of_query(query, &mut add),
    });
    found
}

fn of_query(query: &Query, add: &mut dyn FnMut(String)) {
    if !query.with.is_empty() {
        add("WITH".to_string());
    }
    match &query.body {
        Body::Set { op, all, .. } => add(format!("{op}{}", if *all { " ALL" } else { "" })),
        Body::Select(select) => of_select(select, add),
    }
}

fn of_select(select: &Select, add: &mut dyn FnMut(String)) {
    for join in &select.joins {
        add(format!("{:?} join", join.kind));
    }
    for source in select.joins.iter().map(|join| &join.source).chain([&select.from]) {
        match &source.relation {
            Relation::Table(_) => {}
            Relation::Query(_) => add("derived table".to_string()),
            Relation::Joined { .. } => add("joins in parentheses".to_string()),
            Relation::Values { .. } => add("VALUES".to_string()),
        }
    }
    if select.distinct {
        add("SELECT DISTINCT".to_string());
    }
    if !select.group.is_empty() {
        add("GROUP BY".to_string());
        if select.by_place {
            add("GROUP BY a place".to_string());
        }
    }
    let items = select.items.iter().map(|item| &item.expr);
    let places = [
        ("SELECT", items.collect::<Vec<_>>()),
        ("WHERE", select.filter.iter().collect()),
        ("HAVING", select.having.iter().collect()),
        ("QUALIFY", select.qualify.iter().collect()),
        ("ON", select.joins.iter().map(|join| &join.on).collect()),
    ];
    for (place, exprs) in places {
        if !exprs.is_empty() {
            add(place.to_string());
        }
        for expr in exprs {
            subqueries(expr, place, add);
        }
    }
}

/// The subqueries of an expression by the clause that it stands in, without those within subqueries.
fn subqueries(expr: &Expr, place: &str, add: &mut dyn FnMut(String)) {
    let kind = match expr {
        Expr::Exists { .. } => Some("EXISTS"),
        Expr::InQuery { .. } => Some("IN subquery"),
        Expr::Scalar { .. } => Some("scalar subquery"),
        _ => None,
    };
    if let Some(kind) = kind {
        add(format!("{kind} in {place}"));
    }
    let mut expr = expr.clone();
    expr.children_mut().into_iter().for_each(|child| subqueries(child, place, add));
}

fn of_expr(expr: &Expr, add: &mut dyn FnMut(String)) {
    let negated = |negated: bool, name: &str| if negated { format!("NOT {name}") } else { name.to_string() };
    match expr {
        Expr::Column { .. } | Expr::Literal(_) => {}
        Expr::Not(_) => add("NOT".to_string()),
        Expr::And(..) => add("AND".to_string()),
        Expr::Or(..) => add("OR".to_string()),
        Expr::Compare { op, .. } => add((*op).to_string()),
        Expr::Arithmetic { op, left, right } => add(format!("{:?} {op} {:?}", left.ty(), right.ty())),
        Expr::Negate(_) => add("unary minus".to_string()),
        Expr::Shift { of, .. } => add(format!("{:?} and INTERVAL", of.ty())),
        Expr::Between { negated: not, .. } => add(negated(*not, "BETWEEN")),
        Expr::InList { negated: not, .. } => add(negated(*not, "IN list")),
        Expr::Like { negated: not, insensitive, .. } => {
            add(negated(*not, if *insensitive { "ILIKE" } else { "LIKE" }));
        }
        Expr::IsNull { negated: not, .. } => add(negated(*not, "IS NULL")),
        Expr::IsTruth { negated: not, value, .. } => add(negated(*not, &format!("IS {value:?}"))),
        Expr::Distinct { negated: not, .. } => add(negated(*not, "IS DISTINCT FROM")),
        Expr::Case { operand, .. } => {
            add(if operand.is_some() { "simple CASE" } else { "searched CASE" }.to_string());
        }
        Expr::Cast { expr, to, style, .. } => {
            add(format!("cast {:?} to {to:?}", expr.ty()));
            add(match style {
                Style::Cast => "CAST".to_string(),
                Style::TryCast => "TRY_CAST".to_string(),
                Style::Colons => "::".to_string(),
            });
        }
        Expr::Call { function, .. } => add(function.name.to_string()),
        Expr::Aggregate { name, distinct, filter, .. } => {
            add(format!("{name} of rows"));
            if *distinct {
                add("DISTINCT aggregate".to_string());
            }
            if filter.is_some() {
                add("FILTER".to_string());
            }
        }
        Expr::Window(window) => {
            add(format!("{} over a window", window.name));
            if let Some(frame) = window.frame {
                add(frame.to_string());
            }
            if window.ignore_nulls {
                add("IGNORE NULLS".to_string());
            }
        }
        Expr::Exists { negated: not, .. } => add(negated(*not, "EXISTS")),
        Expr::InQuery { negated: not, .. } => add(negated(*not, "IN subquery")),
        Expr::Scalar { .. } => add("scalar subquery".to_string()),
    }
}

/// The functions that are drawn over windows.
pub(super) const WINDOWS: [&str; 15] = [
    "row_number",
    "rank",
    "dense_rank",
    "lag",
    "lead",
    "first_value",
    "last_value",
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "stddev",
    "bool_and",
    "bool_or",
];

/// What has to come up in a long run, in queries that ran and had rows in both engines.
pub(super) fn expected() -> BTreeSet<String> {
    let mut names: BTreeSet<String> = FUNCTIONS.iter().map(|function| function.name.to_string()).collect();
    names.extend(AGGREGATES.iter().map(|(name, _, _)| format!("{name} of rows")));
    names.extend(WINDOWS.iter().map(|name| format!("{name} over a window")));
    let rest = [
        "WITH",
        "UNION",
        "UNION ALL",
        "INTERSECT",
        "EXCEPT",
        "SELECT DISTINCT",
        "GROUP BY",
        "HAVING",
        "QUALIFY",
        "derived table",
        "joins in parentheses",
        "GROUP BY a place",
        "VALUES",
        "Inner join",
        "Left join",
        "Right join",
        "Full join",
        "Semi join",
        "Anti join",
        "Comma join",
        "Cross join",
        "Using join",
        "LeftUsing join",
        "EXISTS in WHERE",
        "IN subquery in WHERE",
        "scalar subquery in WHERE",
        "scalar subquery in SELECT",
        "NOT EXISTS",
        "NOT IN subquery",
        "NOT",
        "AND",
        "OR",
        "=",
        "<>",
        "<",
        "<=",
        ">",
        ">=",
        "Int + Int",
        "Int - Int",
        "Int * Int",
        "Int / Int",
        "Int % Int",
        "Real + Real",
        "Real - Real",
        "Real * Real",
        "Real / Real",
        "Day - Day",
        "Day + Int",
        "Day - Int",
        "unary minus",
        "Day and INTERVAL",
        "Moment and INTERVAL",
        "BETWEEN",
        "NOT BETWEEN",
        "IN list",
        "NOT IN list",
        "LIKE",
        "NOT LIKE",
        "ILIKE",
        "NOT ILIKE",
        "IS NULL",
        "NOT IS NULL",
        "IS Some(true)",
        "NOT IS Some(true)",
        "IS Some(false)",
        "NOT IS Some(false)",
        "IS None",
        "NOT IS None",
        "IS DISTINCT FROM",
        "NOT IS DISTINCT FROM",
        "simple CASE",
        "searched CASE",
        "CAST",
        "TRY_CAST",
        "::",
        "DISTINCT aggregate",
        "FILTER",
        "IGNORE NULLS",
    ];
    names.extend(rest.iter().map(|name| (*name).to_string()));
    names
}
