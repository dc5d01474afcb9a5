//! What other databases write otherwise, written as cohorts do.
//!
//! Researchers bring queries made for SQL Server, PostgreSQL, Spark or BigQuery. Where such a query has a word of its own for
//! something that cohorts have, the word is replaced before anything else looks at the query; where it has none, the refusal names
//! the form that works. Nothing is written twice, so that a query does not grow. Tables lose the name of their schema.
//!
//! | written | read as |
//! |---|---|
//! | `as_of()` | the day of the block that opened the round, the same at every hospital |
//! | `DATEDIFF(day, a, b)`, `DATEDIFF(b, a)`, `DATE_DIFF(b, a, DAY)` | `CAST(b AS DATE) - CAST(a AS DATE)` |
//! | `DATEADD(month, 3, d)` | `d + INTERVAL '3' MONTH`; days, weeks, quarters and years likewise |
//! | `DATEADD(day, n, d)` | `d + n` of a date, weeks likewise |
//! | `DATE_ADD(d, n)`, `DATE_SUB(d, n)` | `CAST(d AS DATE) + n` |
//! | `YEAR(d)`, `MONTH(d)`, `DAY(d)`, `QUARTER(d)`, `DATEPART(year, d)` | `date_part('year', d)`, … |
//! | `DATEPART(weekday, d)` | `date_part('dow', d) + 1`: 1 for Sunday to 7 |
//! | `DATEPART(isowk, d)`, `EXTRACT(ISOWEEK FROM d)`, `WEEKOFYEAR(d)` | `date_part('week', d)` |
//! | `DATEFROMPARTS(y, m, d)` | `make_date(y, m, d)` |
//! | `ISNULL(a, b)` | `coalesce(a, b)` |
//! | `ISNULL(a)` | `a IS NULL` |
//! | `IIF(c, a, b)`, `IF(c, a, b)` | `CASE WHEN c THEN a ELSE b END` |
//! | `STDEV`, `STDEVP`, `VARP`, `VARIANCE`, `COUNT_BIG` | `stddev`, `stddev_pop`, `var_pop`, `var`, `count` |
//! | `LEN`, `CEILING`, `CHARINDEX(a, b)` | `character_length`, `ceil`, `strpos(b, a)` |
//! | `CONVERT(DATE, x)`, `CAST(x AS DATETIME)`, `… AS INT64`, `… AS NUMBER(10, 2)` | `CAST` to the type of cohorts |
//! | `CAST(x AS VARCHAR(3))` | `left(CAST(x AS VARCHAR), 3)` |
//! | `(SELECT x FROM … ORDER BY o LIMIT 1)` as a value | `(SELECT first_value(x ORDER BY o) FROM …)` |
//! | `(a, b) IN (SELECT x, y …)`, as a condition of WHERE | `EXISTS (SELECT 1 FROM (SELECT x, y …) … WHERE x = a AND y = b)` |
//! | `MINUS` | `EXCEPT` |
//! | `-NULL` | `CAST(NULL AS BIGINT)` |
//! | `cdm.person`, `cdm.person.person_id` | `person`, `person.person_id` |

mod dates;
mod names;
mod queries;
mod types;
mod views;

use std::ops::ControlFlow;

use consilium_protocol::ids::Date;
use consilium_protocol::study::ConceptSet;
use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, CastKind, DataType, DateTimeField, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentList, FunctionArguments, Ident, ObjectName, Query, Select, SetExpr, SetOperator, Statement,
    TableAlias, TableFactor, TypedString, UnaryOperator, Value, VisitMut, VisitorMut,
};

use super::error::CohortError;
use super::parse::normal;
use crate::store::is_of_omop;
use dates::{difference, sum, unit};
pub(super) use names::Names;
use queries::{first_row, tuples};
use types::{converted, length, plain};

/// The day that `as_of()` is where no round has been opened: for checking, and for telling what a column is made of.
pub(crate) fn any_day() -> Date {
    Date::from_days(20_000)
}

/// Whether a query may ask for the day: whether the word stands in it, even where it is none.
pub(crate) fn depends_on_the_day(sql: &str) -> bool {
    sql.to_ascii_lowercase().contains("as_of")
}

/// Rewrites a statement. `sets` are what views may be of.
///
/// # Errors
/// [`CohortError`] for what has no form here, with the one that works.
pub(super) fn spell(statement: &mut Statement, sets: &[ConceptSet], as_of: Date) -> Result<(), CohortError> {
    match VisitMut::visit(statement, &mut Spelling { as_of, sets, names: Names::default(), unnamed: 0 }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Spelling<'a> {
    as_of: Date,
    sets: &'a [ConceptSet],
    names: Names,
    /// How many derived tables have no name of their own.
    unnamed: usize,
}

type Flow<T = ()> = ControlFlow<CohortError, T>;

impl VisitorMut for Spelling<'_> {
    type Break = CohortError;

    fn pre_visit_relation(&mut self, name: &mut ObjectName) -> Flow {
        // A name with a schema is a table's, also where WITH defines another of that name: it is left to be refused.
        let table = name.0.last().and_then(|part| part.as_ident()).filter(|table| !self.names.has(&normal(table)));
        if name.0.len() > 1
            && let Some(table) = table.cloned()
        {
            *name = ObjectName::from(table);
        }
        // OMOP's tables are found whatever their capitals, as without quotes.
        if let [part] = name.0.as_slice()
            && let Some(ident) = part.as_ident().filter(|ident| ident.quote_style == Some('"'))
            && !self.names.has(&ident.value)
        {
            let plain = ident.value.to_ascii_lowercase();
            match (is_of_omop(&plain), self.names.has(&plain)) {
                (true, true) => {
                    return refuse(
                        "a table's name in quotes after WITH gave that name to a query (instead of another name for the query)",
                    );
                }
                (true, false) => *name = ObjectName::from(Ident::new(plain)),
                (false, _) => {}
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> Flow {
        // The engine takes one calculation over another of the same text for one where neither has a name.
        if let TableFactor::Derived { alias: alias @ None, .. } = factor {
            self.unnamed += 1;
            let name = Ident::new(format!("__derived{}", self.unnamed));
            *alias = Some(TableAlias { explicit: true, name, columns: Vec::new(), at: None });
        }
        views::view(factor, &self.names, self.sets)
    }

    fn pre_visit_query(&mut self, query: &mut Query) -> Flow {
        self.names.enter(query);
        minus(&mut query.body);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> Flow {
        self.names.leave();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> Flow {
        select.selection.iter_mut().try_for_each(tuples)
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        match expr {
            Expr::CompoundIdentifier(parts) if (3..=4).contains(&parts.len()) => {
                parts.drain(..parts.len() - 2);
            }
            Expr::Cast { kind, expr: inner, data_type, array: false, format: None } => {
                *expr = converted(kind.clone(), take(inner), data_type)?;
            }
            Expr::TypedString(TypedString { data_type, .. }) => {
                if length(data_type)?.is_some() {
                    return refuse("a text with a type before it (instead of the text)");
                }
                *data_type = plain(data_type)?;
            }
            Expr::Convert { is_try, expr: inner, data_type: Some(data_type), charset: None, styles, .. }
                if styles.is_empty() =>
            {
                let kind = if *is_try { CastKind::TryCast } else { CastKind::Cast };
                *expr = converted(kind, take(inner), data_type)?;
            }
            Expr::Extract { field: DateTimeField::DayOfWeek, .. } => return refuse(WEEKDAY),
            Expr::Extract { field: field @ DateTimeField::IsoWeek, .. } => *field = DateTimeField::Week(None),
            Expr::Function(function) => {
                if let Some(spelled) = self.call(function)? {
                    *expr = spelled;
                }
            }
            Expr::Subquery(query) => first_row(query)?,
            Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr: inner } if is_null(inner) => {
                *expr = cast(CastKind::Cast, take(inner), DataType::BigInt(None));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// MINUS as what it is in the standard.
fn minus(body: &mut SetExpr) {
    if let SetExpr::SetOperation { op, left, right, .. } = body {
        if *op == SetOperator::Minus {
            *op = SetOperator::Except;
        }
        minus(left);
        minus(right);
    }
}

/// What stands in a place from which an expression is taken.
fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, Expr::value(Value::Null))
}

fn cast(kind: CastKind, inner: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind, expr: Box::new(inner), data_type, array: false, format: None }
}

fn day(expr: Expr) -> Expr {
    cast(CastKind::Cast, expr, DataType::Date)
}

/// In parentheses, so that what stands around binds as before.
fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    let nested = |expr: Expr| Box::new(Expr::Nested(Box::new(expr)));
    Expr::Nested(Box::new(Expr::BinaryOp { left: nested(left), op, right: nested(right) }))
}

fn text(text: &str) -> Expr {
    Expr::value(Value::SingleQuotedString(text.to_string()))
}

fn number(digits: &str) -> Expr {
    Expr::value(Value::Number(digits.to_string(), false))
}

fn call(name: &str, args: Vec<Expr>) -> Expr {
    Expr::Function(Function {
        name: ObjectName::from(Ident::new(name)),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: Args(args).into_arguments(),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// Whether it is a text as written.
fn is_text(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_)))
}

/// Whether it is NULL as written.
fn is_null(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_null(inner),
        Expr::Value(value) => value.value == Value::Null,
        _ => false,
    }
}

/// A whole number as written, with its sign.
pub(super) fn whole(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Nested(inner) => whole(inner),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => whole(expr)?.checked_neg(),
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => digits.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

fn refuse<T>(what: &'static str) -> Flow<T> {
    ControlFlow::Break(CohortError::Construct { what })
}

const WEEKDAY: &str = "the number of a weekday, which databases count otherwise (instead of date_part('dow', …), from 0 for Sunday \
                       to 6, or date_part('isodow', …), from 1 for Monday to 7)";

const WEEK: &str =
    "the number of a week, which databases count otherwise (instead of date_part('week', …), the week by ISO 8601)";

impl Spelling<'_> {
    /// What a call is here; `None` where it is what it is, or only its name is another.
    fn call(&self, function: &mut Function) -> Flow<Option<Expr>> {
        let [part] = function.name.0.as_slice() else { return ControlFlow::Continue(None) };
        let Some(name) = part.as_ident().map(|ident| ident.value.to_ascii_lowercase()) else {
            return ControlFlow::Continue(None);
        };
        let rename = |function: &mut Function, name: &str| {
            function.name = ObjectName::from(Ident::new(name));
            ControlFlow::Continue(None)
        };
        match name.as_str() {
            "getdate" | "getutcdate" | "now" | "current_date" | "current_timestamp" | "curdate" | "sysdate"
            | "today" | "sysdatetime" | "localtimestamp" | "current_time" | "localtime" => {
                return ControlFlow::Break(CohortError::Now { name: name.to_ascii_uppercase() });
            }
            "datefromparts" => return rename(function, "make_date"),
            "stdev" | "stddev_samp" => return rename(function, "stddev"),
            "stdevp" => return rename(function, "stddev_pop"),
            "varp" => return rename(function, "var_pop"),
            "variance" | "var_samp" => return rename(function, "var"),
            "count_big" => return rename(function, "count"),
            "len" | "char_length" => return rename(function, "character_length"),
            "ceiling" => return rename(function, "ceil"),
            _ => {}
        }
        let is_plain = function.over.is_none() && function.filter.is_none() && function.within_group.is_empty();
        let Some(mut args) = Args::of(&function.args).filter(|_| is_plain) else { return ControlFlow::Continue(None) };
        let part = |unit: &str, of: Expr| {
            let mut call = function.clone();
            call.name = ObjectName::from(Ident::new("date_part"));
            call.args = Args(vec![text(unit), of]).into_arguments();
            Expr::Function(call)
        };
        let spelled = match (name.as_str(), &mut args.0[..]) {
            ("as_of", []) => {
                let value = Value::SingleQuotedString(self.as_of.to_string()).into();
                Expr::TypedString(TypedString { data_type: DataType::Date, value, uses_odbc_syntax: false })
            }
            ("isnull", [of]) => Expr::Nested(Box::new(Expr::IsNull(Box::new(take(of))))),
            ("isnull", [_, _]) => return rename(function, "coalesce"),
            ("mod", [of, by]) => binary(take(of), BinaryOperator::Modulo, take(by)),
            ("year" | "month" | "day" | "quarter" | "hour" | "minute" | "second", [of]) => part(&name, take(of)),
            ("dayofyear", [of]) => part("doy", take(of)),
            ("dayofmonth", [of]) => part("day", take(of)),
            ("weekofyear", [of]) => part("week", take(of)),
            ("week", [_]) => return refuse(WEEK),
            ("weekday" | "dayofweek", [_]) => return refuse(WEEKDAY),
            // A word is SQL Server's, a text is not.
            ("datepart", [of_unit, of]) => match unit(of_unit) {
                Some("week") if !is_text(of_unit) => return refuse(WEEK),
                Some("isoweek") => part("week", take(of)),
                Some("weekday") if !is_text(of_unit) => {
                    binary(part("dow", take(of)), BinaryOperator::Plus, number("1"))
                }
                Some("weekday" | "dow" | "dayofweek") => return refuse(WEEKDAY),
                Some(unit) => part(unit, take(of)),
                None => return refuse("DATEPART of this part (instead of date_part('year', …) and the like)"),
            },
            ("date_part", [of_unit, _]) if matches!(unit(of_unit), Some("weekday" | "dayofweek")) => {
                return refuse(WEEKDAY);
            }
            ("age", [_] | [_, _]) => {
                return refuse(
                    "age (instead of date_part('year', a) - date_part('year', b), or days divided by 365.25)",
                );
            }
            ("datediff", [end, start]) => binary(day(take(end)), BinaryOperator::Minus, day(take(start))),
            ("datediff" | "date_diff", [first, second, third]) => {
                // Of a word as the first, `DATE_DIFF(d, m, DAY)` has columns with the names of units.
                let is_last = name == "date_diff" && !is_text(first);
                match (unit(first), unit(third)) {
                    (first_unit, Some(unit)) if is_last || first_unit.is_none() => {
                        difference(unit, take(second), take(first))?
                    }
                    (Some(unit), _) => difference(unit, take(second), take(third))?,
                    (None, _) => return refuse("DATEDIFF of this unit (instead of days)"),
                }
            }
            ("dateadd", [of_unit, n, of]) => match unit(of_unit) {
                Some(unit) => sum(unit, take(n), take(of))?,
                None => return refuse("DATEADD of this unit (instead of days, weeks, months or years)"),
            },
            ("date_add" | "date_sub" | "adddate" | "subdate", [of, n]) => {
                let op = if name.contains("add") { BinaryOperator::Plus } else { BinaryOperator::Minus };
                // Spark's DATE_ADD gives a day of whatever it is given.
                let is_of_days = name.starts_with("date_") && !matches!(n, Expr::Interval(_));
                let of = if is_of_days { day(take(of)) } else { take(of) };
                binary(of, op, take(n))
            }
            ("iif" | "if", [condition, then, otherwise]) => Expr::Nested(Box::new(Expr::Case {
                case_token: AttachedToken::empty(),
                end_token: AttachedToken::empty(),
                operand: None,
                conditions: vec![CaseWhen { condition: take(condition), result: take(then) }],
                else_result: Some(Box::new(take(otherwise))),
            })),
            ("charindex", [needle, within]) => {
                let mut call = function.clone();
                call.name = ObjectName::from(Ident::new("strpos"));
                call.args = Args(vec![take(within), take(needle)]).into_arguments();
                Expr::Function(call)
            }
            _ => return ControlFlow::Continue(None),
        };
        ControlFlow::Continue(Some(spelled))
    }
}

/// The plain arguments of a call.
struct Args(Vec<Expr>);

impl Args {
    fn of(args: &FunctionArguments) -> Option<Self> {
        match args {
            FunctionArguments::None => Some(Self(Vec::new())),
            FunctionArguments::List(list) if list.clauses.is_empty() && list.duplicate_treatment.is_none() => {
                let plain = |arg: &FunctionArg| match arg {
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
                    _ => None,
                };
                list.args.iter().map(plain).collect::<Option<_>>().map(Self)
            }
            _ => None,
        }
    }

    fn into_arguments(self) -> FunctionArguments {
        let args = self.0.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect();
        FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cohort::parse::parse;

    fn spelled(expr: &str) -> Result<String, CohortError> {
        let sql = format!("SELECT {expr} FROM person");
        let parsed = parse(&sql, &[], "2026-11-27".parse().expect("a day"))?;
        let text = parsed.statement.to_string();
        Ok(text.trim_start_matches("SELECT ").trim_end_matches(" FROM person").to_string())
    }

    #[test]
    fn words_of_other_databases_are_read() {
        for (written, read) in [
            ("as_of()", "DATE '2026-11-27'"),
            ("-NULL + -(NULL)", "CAST(NULL AS BIGINT) + CAST((NULL) AS BIGINT)"),
            ("DATEDIFF(day, a, b)", "((CAST(b AS DATE)) - (CAST(a AS DATE)))"),
            ("DATEDIFF(dd, a, as_of())", "((CAST(DATE '2026-11-27' AS DATE)) - (CAST(a AS DATE)))"),
            ("datediff(b, a)", "((CAST(b AS DATE)) - (CAST(a AS DATE)))"),
            ("DATE_DIFF(b, a, DAY)", "((CAST(b AS DATE)) - (CAST(a AS DATE)))"),
            ("DATE_DIFF(d, m, DAY)", "((CAST(d AS DATE)) - (CAST(m AS DATE)))"),
            ("date_diff(DAY, a, b)", "((CAST(b AS DATE)) - (CAST(a AS DATE)))"),
            ("date_diff('day', a, d)", "((CAST(d AS DATE)) - (CAST(a AS DATE)))"),
            ("DATEDIFF(d, a, m)", "((CAST(m AS DATE)) - (CAST(a AS DATE)))"),
            ("DATEADD(day, -30, a)", "((a) - (INTERVAL '30' DAY))"),
            ("DATEADD(week, 2, '2020-01-01')", "((CAST('2020-01-01' AS DATE)) + (INTERVAL '14' DAY))"),
            ("DATEADD(day, n, a)", "((a) + (n))"),
            ("DATEADD(week, n, a)", "((a) + (((n) * (7))))"),
            ("DATEADD(year, -1, a)", "((a) - (INTERVAL '12' MONTH))"),
            ("DATEADD(mm, 3, a)", "((a) + (INTERVAL '3' MONTH))"),
            ("date_sub(a, 7)", "((CAST(a AS DATE)) - (7))"),
            ("DATE_ADD(a, INTERVAL 1 DAY)", "((a) + (INTERVAL 1 DAY))"),
            ("YEAR(a) - MONTH(b)", "date_part('year', a) - date_part('month', b)"),
            ("DATEPART(yyyy, a)", "date_part('year', a)"),
            ("DATEPART(dw, a)", "((date_part('dow', a)) + (1))"),
            ("DATEPART(isowk, a)", "date_part('week', a)"),
            ("WEEKOFYEAR(a)", "date_part('week', a)"),
            ("EXTRACT(ISOWEEK FROM a)", "EXTRACT(WEEK FROM a)"),
            ("EXTRACT(DOW FROM a)", "EXTRACT(DOW FROM a)"),
            ("DATEFROMPARTS(YEAR(a), 1, 1)", "make_date(date_part('year', a), 1, 1)"),
            ("ISNULL(a, 0)", "coalesce(a, 0)"),
            ("NOT ISNULL(a)", "NOT (a IS NULL)"),
            ("IIF(a > 1, 2, 3)", "(CASE WHEN a > 1 THEN 2 ELSE 3 END)"),
            ("STDEV(a)", "stddev(a)"),
            ("VARIANCE(a) OVER (PARTITION BY b)", "var(a) OVER (PARTITION BY b)"),
            ("COUNT_BIG(*)", "count(*)"),
            ("LEN(a)", "character_length(a)"),
            ("CEILING(a)", "ceil(a)"),
            ("CHARINDEX('x', a)", "strpos(a, 'x')"),
            ("CAST(a AS DATETIME)", "CAST(a AS TIMESTAMP)"),
            ("CAST(a AS DATETIME2)", "CAST(a AS TIMESTAMP)"),
            ("CAST(a AS INT64)", "CAST(a AS BIGINT)"),
            ("CAST(a AS NVARCHAR(10))", "left(CAST(a AS VARCHAR), 10)"),
            ("TRY_CAST(a AS CHAR(3))", "left(TRY_CAST(a AS VARCHAR), 3)"),
            ("CONVERT(NCHAR(3), a)", "left(CAST(a AS VARCHAR), 3)"),
            ("CAST(a AS VARCHAR(MAX))", "CAST(a AS VARCHAR)"),
            ("CAST(a AS NUMBER(10, 0))", "CAST(a AS NUMERIC(10,0))"),
            ("CAST(a AS NUMBER)", "CAST(a AS DOUBLE PRECISION)"),
            ("CAST(a AS MONEY)", "CAST(a AS NUMERIC(19,4))"),
            ("CAST(a AS DATETIME2(7))", "CAST(a AS TIMESTAMP)"),
            ("CAST(a AS MEDIUMINT)", "CAST(a AS INT)"),
            ("CONVERT(DATE, a)", "CAST(a AS DATE)"),
            ("TRY_CONVERT(FLOAT, a)", "TRY_CAST(a AS FLOAT)"),
            ("cdm.person.year_of_birth", "person.year_of_birth"),
        ] {
            assert_eq!(spelled(written).as_deref(), Ok(read), "{written}");
        }
    }

    #[test]
    fn what_has_no_form_here_is_refused_with_one_that_has() {
        for (written, kind, says) in [
            ("GETDATE()", "now", "as_of()"),
            ("CURRENT_DATE", "now", "as_of()"),
            ("CURRENT_TIMESTAMP", "now", "as_of()"),
            ("DATEDIFF(week, a, b)", "construct", "divided by 7"),
            ("DATEDIFF(month, a, b)", "construct", "date_part('month'"),
            ("DATEDIFF(fortnight, a, b)", "construct", "write days"),
            ("DATEDIFF(year, a, b)", "construct", "date_part('year', b) - date_part('year', a)"),
            ("date_diff('year', a, b)", "construct", "divided by 365.25"),
            ("DATEPART(week, a)", "construct", "date_part('week', …)"),
            ("WEEK(a)", "construct", "date_part('week', …)"),
            ("DATEPART('dow', a)", "construct", "date_part('isodow', …)"),
            ("date_part('dayofweek', a)", "construct", "date_part('dow', …)"),
            ("EXTRACT(DAYOFWEEK FROM a)", "construct", "date_part('dow', …)"),
            ("DAYOFWEEK(a)", "construct", "date_part('dow', …)"),
            ("ISNULL(a, b, c)", "function", "coalesce"),
            ("CAST(a AS DATETIME2(0))", "construct", "date_trunc('second', …)"),
            ("CAST(a AS TIMESTAMP(3))", "construct", "date_trunc('second', …)"),
            ("CAST(a AS SMALLDATETIME)", "construct", "write TIMESTAMP"),
            ("CAST(a AS CHAR)", "construct", "write VARCHAR"),
            ("CAST(a AS DOUBLE(10, 2))", "construct", "NUMERIC(10, 2)"),
            ("row_number() OVER (PARTITION BY a ORDER BY 1)", "construct", "ORDER BY of a number"),
            ("first_value(a ORDER BY 2)", "construct", "ORDER BY of a number"),
            ("string_agg(a, ',' ORDER BY 1)", "function", "each text"),
            ("rank() OVER w FROM person WINDOW w AS (ORDER BY 1) UNION SELECT 1", "construct", "ORDER BY of a number"),
            ("(SELECT b AS c FROM death ORDER BY 2 LIMIT 1)", "construct", "a position"),
            ("(SELECT b AS c FROM death ORDER BY -c LIMIT 1)", "construct", "a name that the SELECT gives"),
            ("(SELECT (SELECT 1) AS c FROM death ORDER BY c LIMIT 1)", "construct", "ORDER BY of a subquery"),
            ("DATEADD(month, n, a)", "construct", "write days"),
            ("DATEADD(hour, 3, a)", "construct", "days, weeks"),
        ] {
            let error = spelled(written).expect_err(written);
            assert_eq!(error.kind(), kind, "{written}");
            assert!(error.to_string().contains(says), "{written}: {error}");
        }
    }

    #[test]
    fn a_first_row_is_ordered_by_what_the_select_has() {
        for (written, read) in [
            ("SELECT b FROM death ORDER BY 1 LIMIT 1", "SELECT first_value(b ORDER BY b) FROM death"),
            (
                "SELECT b + 1 AS c FROM death ORDER BY c DESC LIMIT 1",
                "SELECT first_value(b + 1 ORDER BY b + 1 DESC) AS c FROM death",
            ),
            ("SELECT TOP 1 d.b FROM death d ORDER BY b", "SELECT first_value(d.b ORDER BY d.b) FROM death d"),
            ("SELECT b AS c FROM death ORDER BY b, c LIMIT 1", "SELECT first_value(b ORDER BY b, b) AS c FROM death"),
            ("SELECT b AS b FROM death ORDER BY -b LIMIT 1", "SELECT first_value(b ORDER BY -b) AS b FROM death"),
        ] {
            assert_eq!(spelled(&format!("({written})")), Ok(format!("({read})")), "{written}");
        }
    }

    #[test]
    fn a_name_is_nearer_only_where_it_is_known() {
        let set = |name: &str| ConceptSet {
            name: name.to_string(),
            include: vec![1],
            exclude: Vec::new(),
            descendants: false,
        };
        let sets = [set("flu"), set("cold")];
        let read = |sql: &str| parse(sql, &sets, any_day()).map(|parsed| parsed.statement.to_string());
        let own = "SELECT x FROM (WITH flu AS (SELECT 1 AS x) SELECT x FROM flu) q";
        assert_eq!(read(own).as_deref(), Ok(own), "no set is used");
        let both = read(
            "SELECT x FROM (WITH flu AS (SELECT 1 AS x) SELECT x FROM flu) q WHERE x IN (SELECT concept_id FROM cold)",
        );
        assert!(both.is_ok_and(|text| text.starts_with("WITH \"cold\" AS (")), "the other set stays");
        for (sql, kind, says) in [
            (
                "SELECT x FROM (WITH flu AS (SELECT 1 AS x) SELECT x FROM flu) q WHERE x IN (SELECT concept_id FROM flu)",
                "construct",
                "another name",
            ),
            ("WITH flu AS (SELECT concept_id FROM flu) SELECT concept_id FROM flu", "construct", "another name"),
            ("SELECT 1 FROM first_drug(malaria)", "unknown_set", "[[concept_set]]"),
            ("SELECT 1 FROM follow_up(first_drug(flu), first_drug(malaria))", "unknown_set", "`malaria`"),
            (
                "WITH death AS (SELECT 1 AS x) SELECT 1 FROM follow_up(first_drug(flu), death)",
                "construct",
                "a view that reads",
            ),
            ("SELECT 1 FROM persons(*)", "construct", "DATE '2020-01-01'"),
            ("SELECT 1 FROM persons(day => DATE '2020-01-01')", "construct", "DATE '2020-01-01'"),
            ("SELECT 1 FROM first_drug(flu, cold)", "construct", "[[concept_set]]"),
        ] {
            let error = read(sql).expect_err(sql);
            assert_eq!(error.kind(), kind, "{sql}: {error}");
            assert!(error.to_string().contains(says), "{sql}: {error}");
        }
        for sql in [
            // A name does not know itself, nor one after it, and none beyond its query.
            "WITH death AS (SELECT person_id FROM cdm.death) SELECT person_id FROM death",
            "WITH persons AS (SELECT person_id, age FROM persons(DATE '2020-01-01')) SELECT age FROM persons",
            "WITH a AS (SELECT person_id FROM follow_up(first_drug(flu), death)), death AS (SELECT 1 AS x) SELECT 1 FROM a",
            "SELECT 1 FROM (WITH persons AS (SELECT 1 AS x) SELECT x FROM persons) q JOIN persons p ON p.age = q.x",
            "WITH malaria AS (SELECT 5 AS concept_id) SELECT 1 FROM first_drug(malaria)",
        ] {
            let parsed = parse(sql, &sets, any_day()).unwrap_or_else(|error| panic!("{sql}: {error}"));
            assert!(parsed.tables.iter().all(|table| is_of_omop(table)), "{sql}: {:?}", parsed.tables);
        }
    }

    #[test]
    fn tuples_are_read_in_every_select() {
        let exists =
            |sql: &str| parse(sql, &[], any_day()).map(|read| read.statement.to_string().matches("EXISTS").count());
        let of = "SELECT 1 FROM person WHERE (a, b) IN (SELECT c, d FROM death)";
        assert_eq!(exists(&format!("{of} UNION {of}")), Ok(2));
        assert_eq!(exists(&format!("({of}) EXCEPT ({of} AND a = 1)")), Ok(2));
        for (sql, says) in [
            ("SELECT 1 FROM person WHERE (a, b) IN (SELECT c FROM death)", "more columns"),
            ("SELECT 1 FROM person WHERE (a, b) IN (SELECT 1, 2, 3 UNION SELECT 1, 2, 3)", "more columns"),
            ("SELECT 1 FROM person GROUP BY a HAVING (a, max(b)) IN (SELECT c, d FROM death)", "write EXISTS"),
        ] {
            let error = exists(sql).expect_err(sql);
            assert!(error.to_string().contains(says), "{sql}: {error}");
        }
    }

    #[test]
    fn square_brackets_are_blamed_where_they_are() {
        for (sql, kind) in [
            ("SELECT [person id] FROM person", "construct"),
            ("SELECT [person_id FROM person", "construct"),
            ("SELECT 1 FROM person WHERE a IN ([1]) AND AND b", "syntax"),
            ("SELECT 1 FROM person WHERE a = = b OR a IN ([1])", "syntax"),
        ] {
            let error = parse(sql, &[], any_day()).map(|parsed| parsed.tables).expect_err(sql);
            assert_eq!(error.kind(), kind, "{sql}: {error}");
        }
    }

    #[test]
    fn a_schema_is_left_out_of_tables_only() {
        let tables = |sql: &str| parse(sql, &[], any_day()).map(|parsed| parsed.tables.into_iter().collect::<Vec<_>>());
        assert_eq!(
            tables("SELECT 1 FROM cdm.person JOIN @schema.death ON 1 = 1"),
            Ok(vec!["death".into(), "person".into()])
        );
        let hidden = tables("WITH person AS (SELECT 1 AS x FROM death) SELECT x FROM cdm.person");
        assert_eq!(hidden.expect_err("two of one name").kind(), "qualified_table");
        for quoted in ["[cdm].[dbo].[Person]", "`my-project.cdm.Person`", "`cdm`.`person`"] {
            assert_eq!(
                tables(&format!("SELECT p.[Person_ID] FROM {quoted} [p]")),
                Ok(vec!["person".into()]),
                "{quoted}"
            );
        }
    }

    #[test]
    fn nothing_is_written_twice() {
        let mut expr = "a".to_string();
        for _ in 0..20 {
            expr = format!("DATEADD(day, DATEDIFF(day, b, {expr}), c)");
        }
        let read = spelled(&expr).expect("short enough");
        assert_eq!(read.matches('b').count() - read.matches("bi").count(), 20, "{read}");
    }
}
