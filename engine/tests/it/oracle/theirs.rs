//! A query as PostgreSQL reads it: fully in parentheses, every literal and every mixture of types with its type, what
//! can fail by a function of `semantics.sql`.

use super::functions::Arg;
use super::ours::filled;
use super::queries::{self, Dialect, order_by};
use super::tree::{Body, Expr, Item, Literal, Query, Type, Window};

pub(super) struct Theirs;

impl Dialect for Theirs {
    const OURS: bool = false;

    fn expr(expr: &Expr) -> String {
        self::expr(expr)
    }

    fn literal(literal: &Literal) -> String {
        self::literal(literal)
    }
}

/// PostgreSQL's text.
pub(super) fn text(query: &Query) -> String {
    queries::query::<Theirs>(query)
}

pub(super) const fn type_name(ty: Type) -> &'static str {
    match ty {
        Type::Int => "bigint",
        Type::Real => "float8",
        Type::Text => "text",
        Type::Truth => "boolean",
        Type::Day => "date",
        Type::Moment => "timestamp",
    }
}

fn literal(literal: &Literal) -> String {
    let ty = type_name(literal.ty());
    match literal {
        Literal::Null(_) => format!("(NULL::{ty})"),
        Literal::Int(value) => format!("('{value}'::{ty})"),
        Literal::Real(value) => format!("('{value:?}'::{ty})"),
        Literal::Text(text) | Literal::Day(text) | Literal::DayText(text) | Literal::Moment(text) => {
            format!("('{}'::{ty})", text.replace('\'', "''"))
        }
        Literal::Truth(value) => value.to_string(),
    }
}

/// The expression as a value of a type that it fits into.
fn typed(expr: &Expr, ty: Type) -> String {
    let text = self::expr(expr);
    if expr.ty() == ty { text } else { format!("({text})::{}", type_name(ty)) }
}

fn list(exprs: &[Expr]) -> String {
    exprs.iter().map(expr).collect::<Vec<_>>().join(", ")
}

fn expr(of: &Expr) -> String {
    let not = |negated: bool| if negated { "NOT " } else { "" };
    match of {
        Expr::Column { of, name, .. } => {
            if of.is_empty() {
                name.clone()
            } else {
                format!("{of}.{name}")
            }
        }
        Expr::Literal(value) => literal(value),
        Expr::Not(inner) => format!("(NOT {})", expr(inner)),
        Expr::And(left, right) => format!("({} AND {})", expr(left), expr(right)),
        Expr::Or(left, right) => format!("({} OR {})", expr(left), expr(right)),
        Expr::Compare { op, left, right } => {
            let (left, right) = compared(left, right);
            format!("({left} {op} {right})")
        }
        Expr::Arithmetic { op, left, right } => arithmetic(op, left, right),
        Expr::Negate(inner) if inner.ty() == Type::Int => format!("o_neg({})", expr(inner)),
        Expr::Negate(inner) => format!("(- {})", expr(inner)),
        Expr::Shift { of, minus, count, unit } => {
            let sign = if *minus { "- " } else { "" };
            format!("o_shift({}, {sign}interval '{count} {unit}')", expr(of))
        }
        Expr::Between { negated, expr: e, low, high } => {
            format!("({} {}BETWEEN {} AND {})", expr(e), not(*negated), expr(low), expr(high))
        }
        Expr::InList { negated, expr: e, list } => format!("({} {}IN ({}))", expr(e), not(*negated), self::list(list)),
        Expr::Like { negated, insensitive, expr: e, pattern } => {
            let word = if *insensitive { "ILIKE" } else { "LIKE" };
            format!("({} {}{word} {})", expr(e), not(*negated), expr(pattern))
        }
        Expr::IsNull { negated, expr: e } => format!("({} IS {}NULL)", expr(e), not(*negated)),
        Expr::IsTruth { negated, value, expr: e } => {
            let word = value.map_or("UNKNOWN", |value| if value { "TRUE" } else { "FALSE" });
            format!("({} IS {}{word})", expr(e), not(*negated))
        }
        Expr::Distinct { negated, left, right } => {
            let (left, right) = compared(left, right);
            format!("({left} IS {}DISTINCT FROM {right})", not(*negated))
        }
        Expr::Case { operand, arms, otherwise, ty } => {
            let operand = operand.as_ref().map(|o| format!(" {}", expr(o))).unwrap_or_default();
            let arms = arms.iter().map(|(when, then)| format!(" WHEN {} THEN {}", expr(when), typed(then, *ty)));
            let otherwise = otherwise.as_ref().map(|o| format!(" ELSE {}", typed(o, *ty))).unwrap_or_default();
            format!("(CASE{operand}{}{otherwise} END)", arms.collect::<String>())
        }
        Expr::Cast { expr: e, to, name, .. } => narrowed(cast(e, *to), name),
        Expr::Call { function, args, ty } => {
            let arg = |(kind, arg): (&Arg, &Expr)| match kind {
                Arg::Of(ty) => format!("({})", typed(arg, *ty)),
                Arg::Same => typed(arg, *ty),
                Arg::Small | Arg::Calendar | Arg::Year | Arg::DayText => expr(arg),
            };
            filled(function.theirs, &function.args.iter().zip(args).map(arg).collect::<Vec<_>>())
        }
        Expr::Aggregate { name, distinct, args, order, filter, ty } => {
            let order = order_by::<Theirs>(order);
            aggregate(name, *distinct, args, &order, filter.as_deref(), "", *ty)
        }
        Expr::Window(window) => over(window),
        Expr::Exists { negated, query } => format!("({}EXISTS ({}))", not(*negated), text(query)),
        Expr::InQuery { negated, expr: e, query, persons: None } => {
            format!("({} {}IN ({}))", expr(e), not(*negated), text(query))
        }
        Expr::InQuery { negated, expr: e, query, persons: Some(persons) } => {
            let (around, within) = &**persons;
            let mut query = query.clone();
            if let Body::Select(select) = &mut query.body {
                select.items.push(Item { expr: within.clone(), name: "person".to_string() });
            }
            format!("(({}, {}) {}IN ({}))", expr(e), expr(around), not(*negated), text(&query))
        }
        Expr::Scalar { query, .. } => format!("({})", text(query)),
    }
}

/// Two sides of a comparison. A text beside a number is the number that it says.
fn compared(left: &Expr, right: &Expr) -> (String, String) {
    match (left.ty(), right.ty()) {
        (Type::Text, to @ (Type::Int | Type::Real)) => (cast(left, to), expr(right)),
        (of @ (Type::Int | Type::Real), Type::Text) => (expr(left), cast(right, of)),
        _ => (expr(left), expr(right)),
    }
}

fn arithmetic(op: &str, left: &Expr, right: &Expr) -> String {
    let (a, b) = (expr(left), expr(right));
    let function = match op {
        "+" => "o_add",
        "-" => "o_sub",
        "*" => "o_mul",
        "/" => "o_div",
        _ => "o_mod",
    };
    match (left.ty(), right.ty()) {
        (Type::Day, Type::Day) => format!("(({a} - {b})::bigint)"),
        (Type::Day, _) if op == "-" => format!("o_add({a}, o_neg({b}))"),
        (Type::Day, _) => format!("o_add({a}, {b})"),
        (_, Type::Day) => format!("o_add({b}, {a})"),
        (Type::Int, Type::Int) => format!("{function}({a}, {b})"),
        _ => format!("{function}(({a})::float8, ({b})::float8)"),
    }
}

fn cast(of: &Expr, to: Type) -> String {
    let text = expr(of);
    match (of.ty(), to) {
        (Type::Real | Type::Text, Type::Int) => format!("o_int({text})"),
        (Type::Text, Type::Real) => format!("o_real({text})"),
        (Type::Text, Type::Day) => format!("o_day({text})"),
        (Type::Text, Type::Moment) => format!("o_moment({text})"),
        (Type::Text, Type::Truth) => format!("o_truth({text})"),
        (Type::Int | Type::Real, Type::Truth) => format!("({text} <> 0)"),
        (Type::Truth, Type::Int) => format!("({text}::int::bigint)"),
        (Type::Truth, Type::Real) => format!("({text}::int::float8)"),
        (Type::Day, Type::Int) => format!("(({text} - '1970-01-01'::date)::bigint)"),
        (Type::Int, Type::Day) => format!("o_add('1970-01-01'::date, {text})"),
        _ => format!("({text}::{})", type_name(to)),
    }
}

/// What a narrower type than ours leaves of a value.
fn narrowed(text: String, name: &str) -> String {
    match name {
        "INT" | "INTEGER" => format!("o_within({text}, -2147483648, 2147483647)"),
        "SMALLINT" => format!("o_within({text}, -32768, 32767)"),
        "TINYINT" => format!("o_within({text}, -128, 127)"),
        "DECIMAL(6, 2)" => format!("o_decimal({text}, 6, 2)"),
        "NUMERIC(3)" => format!("o_decimal({text}, 3, 0)"),
        _ => text,
    }
}

/// An aggregate, or the same over a window.
fn aggregate(
    name: &str,
    distinct: bool,
    args: &[Expr],
    order: &str,
    filter: Option<&Expr>,
    over: &str,
    ty: Type,
) -> String {
    let filter = filter.map(|filter| format!(" FILTER (WHERE {})", expr(filter))).unwrap_or_default();
    let distinct = if distinct { "DISTINCT " } else { "" };
    let arg = |ty: Type| args.first().map_or_else(|| "*".to_string(), |arg| typed(arg, ty));
    let own = args.first().map_or(Type::Int, Expr::ty);
    let call = |name: &str, arg: String| format!("{name}({distinct}{arg}{order}){filter}{over}", order = spaced(order));
    match name {
        "avg" | "mean" => call("avg", arg(Type::Real)),
        "count" => call("count", arg(own)),
        "bool_and" | "bool_or" => call(name, arg(own)),
        "max" if own == Type::Truth => call("bool_or", arg(own)),
        "min" if own == Type::Truth => call("bool_and", arg(own)),
        "max" | "min" => call(name, arg(own)),
        "sum" if own == Type::Int => format!("o_big({})", call("sum", arg(own))),
        "sum" => call("sum", arg(own)),
        "median" => format!("o_median({})", call("array_agg", arg(Type::Real))),
        "first_value" => format!("o_first({})", call("array_agg", arg(ty))),
        "last_value" => format!("o_last({})", call("array_agg", arg(ty))),
        "stddev" | "stddev_samp" => call("stddev_samp", arg(Type::Real)),
        "stddev_pop" => call("stddev_pop", arg(Type::Real)),
        "var" | "var_samp" | "var_sample" => call("var_samp", arg(Type::Real)),
        "corr" => {
            let other = args.get(1).map_or_else(String::new, |arg| typed(arg, Type::Real));
            format!("corr({}, {other}){filter}{over}", arg(Type::Real))
        }
        "var_pop" | "var_population" => call("var_pop", arg(Type::Real)),
        other => call(other, arg(own)),
    }
}

fn spaced(order: &str) -> String {
    if order.is_empty() { String::new() } else { format!(" {order}") }
}

fn over(window: &Window) -> String {
    let Window { name, args, ignore_nulls, filter, partition, order, frame, ty } = window;
    let place = |frame: &str| format!(" OVER (PARTITION BY {} {} {frame})", list(partition), order_by::<Theirs>(order));
    let framed = place(frame.unwrap_or_default());
    let value = || args.first().map(|arg| typed(arg, *ty)).unwrap_or_default();
    // PostgreSQL 15 has no IGNORE NULLS.
    let all = |from: &str| format!("array_agg({}){}", value(), place(from));
    match (*name, *ignore_nulls) {
        ("row_number" | "rank" | "dense_rank" | "percent_rank" | "cume_dist", _) => format!("({name}(){framed})"),
        ("ntile", _) => format!("(ntile(({})::int){framed})", value()),
        ("lag" | "lead", false) => {
            let offset = args.get(1).map(|n| format!(", ({})::int", expr(n))).unwrap_or_default();
            let default = args.get(2).map(|d| format!(", {}", typed(d, *ty))).unwrap_or_default();
            format!("({name}({}{offset}{default}){framed})", value())
        }
        ("lag" | "lead", true) => {
            let offset = args.get(1).map_or_else(|| "1".to_string(), expr);
            let found = if *name == "lag" {
                format!("o_nth({}, -({offset}))", all("ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"))
            } else {
                format!("o_nth({}, {offset})", all("ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING"))
            };
            args.get(2).map_or(found.clone(), |default| format!("coalesce({found}, {})", typed(default, *ty)))
        }
        ("first_value" | "last_value", false) => format!("({name}({}){framed})", value()),
        ("first_value", true) => format!("o_nth(array_agg({}){framed}, 1)", value()),
        ("last_value", true) => format!("o_nth(array_agg({}){framed}, -1)", value()),
        _ => format!("({})", aggregate(name, false, args, "", filter.as_ref(), &framed, *ty)),
    }
}
