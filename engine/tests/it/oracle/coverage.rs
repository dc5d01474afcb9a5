//! What of the accepted language a study has in it.

use std::collections::BTreeSet;

use super::draw::Study;
use super::functions::{AGGREGATES, FUNCTIONS};
use super::tree::{Body, Expr, Join, Joined, Literal, Node, Query, Relation, Select, Source, Style};

/// The constructs of a study, by names.
pub(super) fn constructs(study: &Study) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut query = study.query.clone();
    let mut add = |name: String| {
        found.insert(name);
    };
    query.walk(&mut |node| match node {
        Node::Expr(expr) => {
            of_expr(expr, &mut add);
            if let Expr::Exists { query, .. } | Expr::InQuery { query, .. } | Expr::Scalar { query, .. } = expr
                && has_two_of_one_name(query)
            {
                add("columns of one name compared with the query around".to_string());
            }
        }
        Node::Query(query) => of_query(query, &mut add),
    });
    found
}

fn of_query(query: &Query, add: &mut dyn FnMut(String)) {
    if !query.with.is_empty() {
        add("WITH".to_string());
    }
    match &query.body {
        Body::Set { op, all, left, right } => {
            add(format!("{op}{}", if *all { " ALL" } else { "" }));
            let names = |query: &Query| match &query.body {
                Body::Select(select) => select.items.iter().map(|item| item.name.clone()).collect::<Vec<_>>(),
                Body::Set { .. } => Vec::new(),
            };
            let (one, other) = (names(left), names(right));
            if one.len() == other.len() && one != other {
                add(if one.iter().any(|name| other.contains(name)) {
                    "parts that have each other's names".to_string()
                } else {
                    "parts of other names".to_string()
                });
            }
            let empty = Expr::Literal(Literal::Truth(false));
            if matches!(&left.body, Body::Select(select) if select.filter.as_ref() == Some(&empty)) {
                add("a first part without rows".to_string());
            }
        }
        Body::Select(select) => of_select(select, add),
    }
}

fn of_select(select: &Select, add: &mut dyn FnMut(String)) {
    for (n, join) in select.joins.iter().enumerate() {
        add(format!("{:?} join", join.kind));
        let is_full = |join: &Join| join.kind == Joined::Full;
        if is_full(join) && n > 0 && is_full(&select.joins[n - 1]) {
            add("a full join after another".to_string());
        }
        if is_of_nulls(&join.on) {
            add("a join where NULL equals NULL".to_string());
        }
    }
    let flags = select.items.iter().filter(|item| is_flag(&item.expr)).count();
    if flags > 1 {
        add("EXISTS in several aggregates".to_string());
    }
    for source in select.joins.iter().map(|join| &join.source).chain([&select.from]) {
        match &source.relation {
            Relation::Table(_) => {}
            Relation::Query(_) if source.alias.is_empty() => add("derived table without a name".to_string()),
            Relation::Query(_) => add("derived table".to_string()),
            Relation::Joined { .. } => add("joins in parentheses".to_string()),
            Relation::Values { .. } => add("VALUES".to_string()),
        }
    }
    if select.distinct {
        add("SELECT DISTINCT".to_string());
    }
    let has_window = |select: &Select| select.items.iter().any(|item| matches!(item.expr, Expr::Window(_)));
    let over_windows = |source: &Source| {
        let Relation::Query(query) = &source.relation else { return false };
        matches!(&query.body, Body::Select(of) if has_window(of))
    };
    if has_window(select) && select.joins.iter().map(|join| &join.source).chain([&select.from]).any(over_windows) {
        add("a window over windows".to_string());
    }
    if !select.group.is_empty() {
        add("GROUP BY".to_string());
        if select.group.len() > 1 {
            add("GROUP BY more".to_string());
        }
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

/// Whether a condition of a join has a part that compares so.
fn is_of_nulls(on: &Expr) -> bool {
    match on {
        Expr::And(left, right) => is_of_nulls(left) || is_of_nulls(right),
        other => matches!(other, Expr::Distinct { negated: true, .. }),
    }
}

/// Whether columns of one name, of several tables, are compared with the query around.
fn has_two_of_one_name(query: &Query) -> bool {
    let Body::Select(select) = &query.body else { return false };
    let own: BTreeSet<&str> = select
        .joins
        .iter()
        .map(|join| &join.source)
        .chain([&select.from])
        .map(|source| source.alias.as_str())
        .collect();
    let mut compared = Vec::new();
    let mut parts: Vec<&Expr> = select.filter.iter().collect();
    while let Some(part) = parts.pop() {
        match part {
            Expr::And(left, right) => parts.extend([&**left, &**right]),
            Expr::Compare { left, right, .. } => {
                if let (Expr::Column { of, name, .. }, Expr::Column { of: other, .. }) = (&**left, &**right)
                    && own.contains(of.as_str())
                    && !own.contains(other.as_str())
                {
                    compared.push((name, of));
                }
            }
            _ => {}
        }
    }
    compared.iter().any(|(name, of)| compared.iter().any(|(same, other)| name == same && of != other))
}

/// Whether an aggregate is over whether a row is there.
fn is_flag(expr: &Expr) -> bool {
    let Expr::Aggregate { args, .. } = expr else { return false };
    let tests = |arms: &[(Expr, Expr)]| matches!(arms, [(Expr::Exists { .. }, _)]);
    args.iter().any(|arg| matches!(arg, Expr::Case { arms, .. } if tests(arms)))
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
        Expr::And(left, right) => {
            add("AND".to_string());
            if compared_column(left).is_some_and(|column| compared_column(right) == Some(column)) {
                add("two conditions on one column".to_string());
            }
        }
        Expr::Or(..) => add("OR".to_string()),
        Expr::Compare { op, .. } => add((*op).to_string()),
        Expr::Arithmetic { op, left, right } => add(format!("{:?} {op} {:?}", left.ty(), right.ty())),
        Expr::Negate(_) => add("unary minus".to_string()),
        Expr::Shift { of, .. } => add(format!("{:?} and INTERVAL", of.ty())),
        Expr::Between { negated: not, .. } => add(negated(*not, "BETWEEN")),
        Expr::InList { negated: not, list, .. } => {
            add(negated(*not, "IN list"));
            if list.iter().any(|value| matches!(value, Expr::Case { .. })) {
                add("CASE in a list".to_string());
            }
        }
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
            let is_query =
                |part: &Expr| matches!(part, Expr::Exists { .. } | Expr::InQuery { .. } | Expr::Scalar { .. });
            let mut within = expr.clone();
            let mut found = false;
            within.children_mut().into_iter().for_each(|part| {
                part.walk(&mut |node| found |= matches!(node, Node::Expr(part) if is_query(part)));
            });
            if found {
                add("subquery in an aggregate".to_string());
            }
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
        Expr::InQuery { persons: Some(_), .. } => add("a record among others".to_string()),
        Expr::InQuery { negated: not, .. } => add(negated(*not, "IN subquery")),
        Expr::Scalar { query, .. } => {
            add("scalar subquery".to_string());
            if matches!(&query.body, Body::Select(select) if select.having.is_some()) {
                add("HAVING of a scalar subquery".to_string());
            }
        }
    }
}

/// The column that is compared with a literal.
fn compared_column(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::Compare { left, right, .. } => match (&**left, &**right) {
            (column @ Expr::Column { .. }, Expr::Literal(_)) | (Expr::Literal(_), column @ Expr::Column { .. }) => {
                Some(column)
            }
            _ => None,
        },
        _ => None,
    }
}

/// The functions that are drawn over windows.
pub(super) const WINDOWS: [&str; 18] = [
    "row_number",
    "rank",
    "dense_rank",
    "ntile",
    "percent_rank",
    "cume_dist",
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
        "derived table without a name",
        "a window over windows",
        "parts of other names",
        "parts that have each other's names",
        "a first part without rows",
        "GROUP BY more",
        "HAVING of a scalar subquery",
        "two conditions on one column",
        "joins in parentheses",
        "GROUP BY a place",
        "VALUES",
        "Inner join",
        "Left join",
        "Right join",
        "Full join",
        "a full join after another",
        "a join where NULL equals NULL",
        "EXISTS in several aggregates",
        "columns of one name compared with the query around",
        "a record among others",
        "Semi join",
        "Anti join",
        "Comma join",
        "Cross join",
        "Using join",
        "LeftUsing join",
        "ByRecord join",
        "LeftByRecord join",
        "EXISTS in WHERE",
        "IN subquery in WHERE",
        "scalar subquery in WHERE",
        "scalar subquery in SELECT",
        "EXISTS in SELECT",
        "IN subquery in SELECT",
        "subquery in an aggregate",
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
        "CASE in a list",
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
