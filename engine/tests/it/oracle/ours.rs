//! A query as a study has it, with only the parentheses that PostgreSQL's table of precedences asks for.
//!
//! Source: PostgreSQL documentation, "Lexical Structure", "Operator Precedence".

use super::queries::{self, Dialect, order_by};
use super::tree::{Expr, Literal, Query, Style, Type, Window};

/// How tightly an expression holds together.
type Strength = u8;

const OR: Strength = 1;
const AND: Strength = 2;
const NOT: Strength = 3;
const IS: Strength = 4;
const COMPARE: Strength = 5;
const WITHIN: Strength = 6;
const SUM: Strength = 8;
const PRODUCT: Strength = 9;
const SIGN: Strength = 11;
const COLONS: Strength = 12;
const ATOM: Strength = 13;

pub(super) struct Ours;

impl Dialect for Ours {
    const OURS: bool = true;

    fn expr(expr: &Expr) -> String {
        at_least(expr, OR)
    }

    fn literal(literal: &Literal) -> String {
        self::literal(literal)
    }
}

/// The study's text.
pub(super) fn text(query: &Query) -> String {
    queries::query::<Ours>(query)
}

/// The expression, in parentheses where it holds together less than its place asks for.
fn at_least(expr: &Expr, least: Strength) -> String {
    let (text, strength) = plain(expr);
    if strength < least { format!("({text})") } else { text }
}

/// The same, with its type where it is NULL.
fn known(expr: &Expr, least: Strength) -> String {
    match expr {
        Expr::Literal(Literal::Null(ty)) => format!("CAST(NULL AS {})", type_names(*ty)[0]),
        other => at_least(other, least),
    }
}

fn literal(literal: &Literal) -> String {
    match literal {
        Literal::Null(_) => "NULL".to_string(),
        Literal::Int(value) => value.to_string(),
        Literal::Real(value) => format!("{value:?}"),
        Literal::Text(text) | Literal::DayText(text) => format!("'{}'", text.replace('\'', "''")),
        Literal::Truth(value) => value.to_string().to_uppercase(),
        Literal::Day(day) => format!("DATE '{day}'"),
        Literal::Moment(moment) => format!("TIMESTAMP '{moment}'"),
    }
}

fn list(exprs: &[Expr]) -> String {
    exprs.iter().map(Ours::expr).collect::<Vec<_>>().join(", ")
}

const fn not(negated: bool) -> &'static str {
    if negated { "NOT " } else { "" }
}

fn plain(expr: &Expr) -> (String, Strength) {
    match expr {
        Expr::Column { of, name, .. } => (if of.is_empty() { name.clone() } else { format!("{of}.{name}") }, ATOM),
        Expr::Literal(value) => {
            let text = literal(value);
            let strength = if text.starts_with('-') { SIGN } else { ATOM };
            (text, strength)
        }
        Expr::Not(inner) => (format!("NOT {}", at_least(inner, NOT)), NOT),
        Expr::And(left, right) => (format!("{} AND {}", at_least(left, AND), at_least(right, NOT)), AND),
        Expr::Or(left, right) => (format!("{} OR {}", at_least(left, OR), at_least(right, AND)), OR),
        Expr::Compare { op, left, right } => {
            (format!("{} {op} {}", at_least(left, WITHIN), at_least(right, WITHIN)), COMPARE)
        }
        // Of which type a NULL is beside a day, nobody could tell.
        Expr::Arithmetic { op, left, right } if [left, right].iter().any(|side| side.ty() == Type::Day) => {
            (format!("{} {op} {}", known(left, SUM), known(right, SUM + 1)), SUM)
        }
        Expr::Arithmetic { op, left, right } => {
            let own = if ["+", "-"].contains(op) { SUM } else { PRODUCT };
            (format!("{} {op} {}", at_least(left, own), at_least(right, own + 1)), own)
        }
        Expr::Negate(inner) => {
            let inner = at_least(inner, SIGN);
            (if inner.starts_with('-') { format!("- {inner}") } else { format!("-{inner}") }, SIGN)
        }
        Expr::Shift { of, minus, count, unit } => {
            let op = if *minus { '-' } else { '+' };
            (format!("{} {op} INTERVAL '{count} {unit}'", known(of, SUM)), SUM)
        }
        Expr::Between { negated, expr, low, high } => {
            let side = |e: &Expr| at_least(e, SUM);
            (format!("{} {}BETWEEN {} AND {}", side(expr), not(*negated), side(low), side(high)), WITHIN)
        }
        Expr::InList { negated, expr, list } => {
            (format!("{} {}IN ({})", at_least(expr, SUM), not(*negated), self::list(list)), WITHIN)
        }
        Expr::Like { negated, insensitive, expr, pattern } => {
            let word = if *insensitive { "ILIKE" } else { "LIKE" };
            (format!("{} {}{word} {}", at_least(expr, SUM), not(*negated), at_least(pattern, SUM)), WITHIN)
        }
        Expr::IsNull { negated, expr } => (format!("{} IS {}NULL", at_least(expr, COMPARE), not(*negated)), IS),
        Expr::IsTruth { negated, value, expr } => {
            let word = match value {
                Some(true) => "TRUE",
                Some(false) => "FALSE",
                None => "UNKNOWN",
            };
            (format!("{} IS {}{word}", at_least(expr, COMPARE), not(*negated)), IS)
        }
        Expr::Distinct { negated, left, right } => {
            let (left, right) = (at_least(left, COMPARE), at_least(right, COMPARE));
            (format!("{left} IS {}DISTINCT FROM {right}", not(*negated)), IS)
        }
        Expr::Case { operand, arms, otherwise, .. } => {
            let mut text = "CASE".to_string();
            if let Some(operand) = operand {
                text += &format!(" {}", Ours::expr(operand));
            }
            for (when, then) in arms {
                text += &format!(" WHEN {} THEN {}", Ours::expr(when), Ours::expr(then));
            }
            if let Some(otherwise) = otherwise {
                text += &format!(" ELSE {}", Ours::expr(otherwise));
            }
            (text + " END", ATOM)
        }
        Expr::Cast { expr, style, name, .. } => match style {
            Style::Cast => (format!("CAST({} AS {name})", Ours::expr(expr)), ATOM),
            Style::TryCast => (format!("TRY_CAST({} AS {name})", Ours::expr(expr)), ATOM),
            Style::Colons => (format!("{}::{name}", at_least(expr, COLONS)), COLONS),
        },
        Expr::Call { function, args, .. } => {
            (filled(function.ours, &args.iter().map(Ours::expr).collect::<Vec<_>>()), ATOM)
        }
        Expr::Aggregate { name, distinct, args, order, filter, .. } => {
            let inner = if args.is_empty() { "*".to_string() } else { list(args) };
            let order = if order.is_empty() { String::new() } else { format!(" {}", order_by::<Ours>(order)) };
            let distinct = if *distinct { "DISTINCT " } else { "" };
            (format!("{name}({distinct}{inner}{order}){}", filtered(filter.as_deref())), ATOM)
        }
        Expr::Window(window) => (over(window), ATOM),
        Expr::Exists { negated, query } => {
            (format!("{}EXISTS ({})", not(*negated), text(query)), if *negated { NOT } else { ATOM })
        }
        Expr::InQuery { negated, expr, query, .. } => {
            (format!("{} {}IN ({})", at_least(expr, SUM), not(*negated), text(query)), WITHIN)
        }
        Expr::Scalar { query, .. } => (format!("({})", text(query)), ATOM),
    }
}

fn filtered(filter: Option<&Expr>) -> String {
    filter.map(|filter| format!(" FILTER (WHERE {})", Ours::expr(filter))).unwrap_or_default()
}

fn over(window: &Window) -> String {
    let inner = if window.args.is_empty() && window.name == "count" { "*".to_string() } else { list(&window.args) };
    let nulls = if window.ignore_nulls { " IGNORE NULLS" } else { "" };
    let parts = [
        format!("PARTITION BY {}", list(&window.partition)),
        order_by::<Ours>(&window.order),
        window.frame.unwrap_or_default().to_string(),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    format!("{}({inner}){}{nulls} OVER ({})", window.name, filtered(window.filter.as_ref()), parts.join(" "))
}

/// A text of a function with its arguments in place.
pub(super) fn filled(text: &str, args: &[String]) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        filled += before;
        let number: usize = after[..1].parse().expect("a number stands after $");
        filled += &args[number - 1];
        rest = &after[1..];
    }
    filled + rest
}

/// Words for a type in CAST.
pub(super) const fn type_names(ty: Type) -> &'static [&'static str] {
    match ty {
        Type::Int => &["BIGINT", "INT", "INTEGER", "SMALLINT", "TINYINT"],
        Type::Real => &["DOUBLE", "DOUBLE PRECISION", "REAL", "FLOAT", "DECIMAL", "DECIMAL(6, 2)", "NUMERIC(3)"],
        Type::Text => &["TEXT", "VARCHAR"],
        Type::Truth => &["BOOLEAN"],
        Type::Day => &["DATE"],
        Type::Moment => &["TIMESTAMP"],
    }
}
