//! Queries as text: what both engines write alike. Expressions are left to the dialect.

use super::tree::{Body, Expr, Join, Joined, Key, Literal, Query, Relation, Select, Source};

/// How an engine writes what differs.
pub(super) trait Dialect {
    /// Whether it has SEMI and ANTI joins, QUALIFY, and columns of VALUES without types.
    const OURS: bool;

    fn expr(expr: &Expr) -> String;

    fn literal(literal: &Literal) -> String;
}

pub(super) fn query<D: Dialect>(query: &Query) -> String {
    let with: Vec<String> = query.with.iter().map(|(name, q)| format!("{name} AS ({})", self::query::<D>(q))).collect();
    let with = if with.is_empty() { String::new() } else { format!("WITH {} ", with.join(", ")) };
    match &query.body {
        Body::Select(select) => with + &self::select::<D>(select),
        Body::Set { op, all, left, right } => {
            let own = strength(op);
            // A study has only the parentheses that it needs: INTERSECT binds more tightly than UNION and EXCEPT, which
            // are read from the left.
            let side = |q: &Query, least: u8| {
                let text = self::query::<D>(q);
                let bare = match &q.body {
                    Body::Select(_) => true,
                    Body::Set { op, .. } => D::OURS && strength(op) >= least,
                };
                if bare && q.with.is_empty() { text } else { format!("({text})") }
            };
            format!("{with}{} {op}{} {}", side(left, own), if *all { " ALL" } else { "" }, side(right, own + 1))
        }
    }
}

fn strength(op: &str) -> u8 {
    if op == "INTERSECT" { 2 } else { 1 }
}

fn source<D: Dialect>(source: &Source) -> String {
    let alias = &source.alias;
    match &source.relation {
        Relation::Table(name) => format!("{name} {alias}"),
        // A study may leave the name out.
        Relation::Query(query) => {
            let alias = if alias.is_empty() && !D::OURS { "unnamed" } else { alias };
            format!("({}) {alias}", self::query::<D>(query))
        }
        Relation::Joined { from, joins } => {
            let mut none = Vec::new();
            let joins: String = joins.iter().map(|j| join::<D>(j, &mut none)).collect();
            format!("({}{joins})", self::source::<D>(from))
        }
        Relation::Values { rows, names } => {
            let row = |row: &Vec<Literal>| format!("({})", row.iter().map(D::literal).collect::<Vec<_>>().join(", "));
            let rows: Vec<String> = rows.iter().map(row).collect();
            format!("(VALUES {}) AS {alias}({})", rows.join(", "), names.join(", "))
        }
    }
}

fn using(on: &Expr) -> String {
    match on {
        Expr::Compare { left, .. } => match &**left {
            Expr::Column { name, .. } => name.clone(),
            _ => String::new(),
        },
        _ => String::new(),
    }
}

/// A join as text, or a condition that stands in WHERE instead.
fn join<D: Dialect>(join: &Join, conditions: &mut Vec<String>) -> String {
    let record = match &join.on {
        Expr::And(_, same) if D::OURS && matches!(join.kind, Joined::ByRecord | Joined::LeftByRecord) => same,
        on => on,
    };
    let (right, on) = (source::<D>(&join.source), D::expr(record));
    let word = match join.kind {
        Joined::Inner | Joined::ByRecord => " JOIN",
        Joined::Left | Joined::LeftByRecord => " LEFT JOIN",
        Joined::Right => " RIGHT JOIN",
        Joined::Full => " FULL JOIN",
        Joined::Semi if D::OURS => " LEFT SEMI JOIN",
        Joined::Anti if D::OURS => " LEFT ANTI JOIN",
        Joined::Semi | Joined::Anti => {
            let not = if join.kind == Joined::Anti { "NOT " } else { "" };
            conditions.push(format!("({not}EXISTS (SELECT 1 FROM {right} WHERE {on}))"));
            return String::new();
        }
        Joined::Comma | Joined::Cross => {
            conditions.push(on);
            return if join.kind == Joined::Comma { format!(", {right}") } else { format!(" CROSS JOIN {right}") };
        }
        Joined::Using => return format!(" JOIN {right} USING ({})", using(&join.on)),
        Joined::LeftUsing => return format!(" LEFT JOIN {right} USING ({})", using(&join.on)),
    };
    format!("{word} {right} ON {on}")
}

fn select<D: Dialect>(select: &Select) -> String {
    if let (Some(qualify), false) = (&select.qualify, D::OURS) {
        let mut inner = select.clone();
        inner.qualify = None;
        let named = format!("({}) AS qualified", D::expr(qualify));
        let text = self::select_with::<D>(&inner, &[named]);
        let names: Vec<&str> = select.items.iter().map(|item| item.name.as_str()).collect();
        let distinct = if select.distinct { "DISTINCT " } else { "" };
        return format!("SELECT {distinct}{} FROM ({text}) q WHERE qualified", names.join(", "));
    }
    self::select_with::<D>(select, &[])
}

fn select_with<D: Dialect>(select: &Select, more: &[String]) -> String {
    let items = select.items.iter().map(|item| format!("{} AS {}", D::expr(&item.expr), item.name));
    let items: Vec<String> = items.chain(more.iter().cloned()).collect();
    let distinct = if select.distinct && (D::OURS || more.is_empty()) { "DISTINCT " } else { "" };
    let mut conditions = Vec::new();
    let from = source::<D>(&select.from);
    let joins: String = select.joins.iter().map(|j| join::<D>(j, &mut conditions)).collect();
    let mut text = format!("SELECT {distinct}{} FROM {from}{joins}", items.join(", "));
    if let Some(filter) = &select.filter {
        // An OR beside the conditions of joins needs its parentheses.
        let bare = D::expr(filter);
        let loose = D::OURS && matches!(filter, Expr::Or(..)) && !conditions.is_empty();
        conditions.push(if loose { format!("({bare})") } else { bare });
    }
    if !conditions.is_empty() {
        text += &format!(" WHERE {}", conditions.join(" AND "));
    }
    if !select.group.is_empty() {
        let key = |expr: &Expr| match select.items.iter().position(|item| item.expr == *expr) {
            Some(place) if D::OURS && select.by_place => (place + 1).to_string(),
            _ => D::expr(expr),
        };
        let group: Vec<String> = select.group.iter().map(key).collect();
        text += &format!(" GROUP BY {}", group.join(", "));
    }
    if let Some(having) = &select.having {
        text += &format!(" HAVING {}", D::expr(having));
    }
    if let Some(qualify) = &select.qualify {
        text += &format!(" QUALIFY {}", D::expr(qualify));
    }
    text
}

/// ORDER BY with its keys, or nothing.
pub(super) fn order_by<D: Dialect>(keys: &[Key]) -> String {
    if keys.is_empty() {
        return String::new();
    }
    let key = |key: &Key| {
        let nulls = match key.nulls_first {
            Some(true) => " NULLS FIRST",
            Some(false) => " NULLS LAST",
            None => "",
        };
        format!("{}{}{nulls}", D::expr(&key.expr), if key.descending { " DESC" } else { "" })
    };
    format!("ORDER BY {}", keys.iter().map(key).collect::<Vec<_>>().join(", "))
}
