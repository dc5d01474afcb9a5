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
//! | `DATEDIFF(year, a, b)` | the difference of the calendar years |
//! | `DATEADD(day, n, d)`, `DATE_ADD(d, n)`, `DATE_SUB(d, n)` | `CAST(d AS DATE) + n`, weeks likewise |
//! | `DATEADD(month, 3, d)` | `d + INTERVAL '3' MONTH`; years and quarters likewise |
//! | `YEAR(d)`, `MONTH(d)`, `DAY(d)`, `QUARTER(d)`, `DATEPART(year, d)` | `date_part('year', d)`, … |
//! | `DATEFROMPARTS(y, m, d)` | `make_date(y, m, d)` |
//! | `ISNULL(a, b)` | `coalesce(a, b)` |
//! | `IIF(c, a, b)`, `IF(c, a, b)` | `CASE WHEN c THEN a ELSE b END` |
//! | `STDEV`, `STDEVP`, `VARP`, `VARIANCE`, `COUNT_BIG` | `stddev`, `stddev_pop`, `var_pop`, `var`, `count` |
//! | `LEN`, `CEILING`, `CHARINDEX(a, b)` | `character_length`, `ceil`, `strpos(b, a)` |
//! | `CONVERT(DATE, x)`, `CAST(x AS DATETIME)`, `… AS INT64`, `… AS CHAR(10)` | `CAST` to the type of cohorts |
//! | `cdm.person`, `cdm.person.person_id` | `person`, `person.person_id` |

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use consilium_protocol::ids::Date;
use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, CastKind, DataType, DateTimeField, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, Ident, Interval, ObjectName, Query, Statement, TimezoneInfo, TypedString, Value, Visit,
    VisitMut, Visitor, VisitorMut,
};

use super::error::CohortError;
use super::parse::normal;

/// The day that `as_of()` is where no round has been opened: for checking, and for telling what a column is made of.
pub(crate) fn any_day() -> Date {
    Date::from_days(20_000)
}

/// Whether a query may ask for the day: whether the word stands in it, even where it is none.
pub(crate) fn depends_on_the_day(sql: &str) -> bool {
    sql.to_ascii_lowercase().contains("as_of")
}

/// Rewrites a statement.
///
/// # Errors
/// [`CohortError`] for what has no form here, with the one that works.
pub(super) fn spell(statement: &mut Statement, as_of: Date) -> Result<(), CohortError> {
    let mut defined = Defined::default();
    let _: ControlFlow<()> = Visit::visit(statement, &mut defined);
    match VisitMut::visit(statement, &mut Spelling { as_of, defined: defined.0 }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// The names that WITH gives.
#[derive(Default)]
struct Defined(BTreeSet<String>);

impl Visitor for Defined {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.0.extend(query.with.iter().flat_map(|with| &with.cte_tables).map(|cte| normal(&cte.alias.name)));
        ControlFlow::Continue(())
    }
}

struct Spelling {
    as_of: Date,
    defined: BTreeSet<String>,
}

type Flow<T = ()> = ControlFlow<CohortError, T>;

impl VisitorMut for Spelling {
    type Break = CohortError;

    fn pre_visit_relation(&mut self, name: &mut ObjectName) -> Flow {
        // A name with a schema is a table's, also where WITH defines another of that name: it is left to be refused.
        let table =
            name.0.last().and_then(|part| part.as_ident()).filter(|table| !self.defined.contains(&normal(table)));
        if name.0.len() > 1
            && let Some(table) = table.cloned()
        {
            *name = ObjectName::from(table);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        match expr {
            Expr::CompoundIdentifier(parts) if (3..=4).contains(&parts.len()) => {
                parts.drain(..parts.len() - 2);
            }
            Expr::Cast { data_type, .. } | Expr::TypedString(TypedString { data_type, .. }) => {
                if let Some(plain) = plain(data_type) {
                    *data_type = plain;
                }
            }
            Expr::Convert { is_try, expr: inner, data_type: Some(data_type), charset: None, styles, .. }
                if styles.is_empty() =>
            {
                let kind = if *is_try { CastKind::TryCast } else { CastKind::Cast };
                *expr = cast(kind, take(inner), plain(data_type).unwrap_or_else(|| data_type.clone()));
            }
            Expr::Function(function) => {
                if let Some(spelled) = self.call(function)? {
                    *expr = spelled;
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// What stands in a place from which an expression is taken.
fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, Expr::value(Value::Null))
}

/// The type of cohorts that a type of another database is, if it has another name.
fn plain(written: &DataType) -> Option<DataType> {
    Some(match written {
        DataType::Int2(_) | DataType::Int16 | DataType::MediumInt(_) => DataType::SmallInt(None),
        DataType::Int4(_) | DataType::Int32 => DataType::Int(None),
        DataType::Int8(_) | DataType::Int64 | DataType::Signed | DataType::SignedInteger => DataType::BigInt(None),
        DataType::Float4 | DataType::Float32 | DataType::Float8 | DataType::Float64 => DataType::DoublePrecision,
        DataType::Dec(info) | DataType::BigNumeric(info) | DataType::BigDecimal(info) => DataType::Numeric(*info),
        DataType::Datetime(_) | DataType::TimestampNtz(_) => DataType::Timestamp(None, TimezoneInfo::None),
        DataType::Char(_)
        | DataType::Character(_)
        | DataType::CharVarying(_)
        | DataType::CharacterVarying(_)
        | DataType::Nvarchar(_)
        | DataType::TinyText
        | DataType::MediumText
        | DataType::LongText => DataType::Varchar(None),
        DataType::Bit(None) => DataType::Boolean,
        DataType::Custom(name, _) => match name.to_string().to_ascii_lowercase().as_str() {
            "datetime2" | "smalldatetime" => DataType::Timestamp(None, TimezoneInfo::None),
            "nchar" | "bpchar" | "ntext" => DataType::Varchar(None),
            "money" | "number" => DataType::DoublePrecision,
            _ => return None,
        },
        _ => return None,
    })
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

/// What a unit of time is called by databases; `None` for what is none.
fn unit(expr: &Expr) -> Option<&'static str> {
    let word = match expr {
        Expr::Identifier(ident) if ident.quote_style.is_none() => ident.value.to_ascii_lowercase(),
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => text.to_ascii_lowercase(),
            _ => return None,
        },
        _ => return None,
    };
    Some(match word.as_str() {
        "year" | "years" | "yy" | "yyyy" => "year",
        "quarter" | "quarters" | "qq" | "q" => "quarter",
        "month" | "months" | "mm" | "m" => "month",
        "week" | "weeks" | "wk" | "ww" | "isowk" => "week",
        "day" | "days" | "dd" | "d" => "day",
        "dayofyear" | "dy" | "doy" => "doy",
        "weekday" | "dw" | "dow" | "dayofweek" => "dow",
        "hour" | "hours" | "hh" => "hour",
        "minute" | "minutes" | "mi" | "n" => "minute",
        "second" | "seconds" | "ss" | "s" => "second",
        "epoch" => "epoch",
        _ => return None,
    })
}

/// A whole number as written, with its sign.
fn whole(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Nested(inner) => whole(inner),
        Expr::UnaryOp { op: datafusion::sql::sqlparser::ast::UnaryOperator::Minus, expr } => whole(expr)?.checked_neg(),
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

impl Spelling {
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
            "isnull" => return rename(function, "coalesce"),
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
            ("year" | "month" | "day" | "quarter" | "hour" | "minute" | "second" | "week", [of]) => {
                part(&name, take(of))
            }
            ("dayofyear", [of]) => part("doy", take(of)),
            ("dayofmonth", [of]) => part("day", take(of)),
            ("datepart", [of_unit, of]) => match unit(of_unit) {
                Some(unit) => part(unit, take(of)),
                None => return refuse("DATEPART of this part (instead of date_part('year', …) and the like)"),
            },
            ("datediff", [end, start]) => binary(day(take(end)), BinaryOperator::Minus, day(take(start))),
            ("datediff" | "date_diff", [first, second, third]) => match (unit(first), unit(third)) {
                (Some(unit), _) => difference(unit, take(second), take(third), part)?,
                (None, Some(unit)) => difference(unit, take(second), take(first), part)?,
                (None, None) => return refuse("DATEDIFF of this unit (instead of days or years)"),
            },
            ("dateadd", [of_unit, n, of]) => match unit(of_unit) {
                Some(unit) => sum(unit, take(n), take(of))?,
                None => return refuse("DATEADD of this unit (instead of days, weeks, months or years)"),
            },
            ("date_add" | "date_sub" | "adddate" | "subdate", [of, n]) => {
                let op = if name.contains("add") { BinaryOperator::Plus } else { BinaryOperator::Minus };
                match n {
                    Expr::Interval(_) => binary(take(of), op, take(n)),
                    _ => binary(day(take(of)), op, take(n)),
                }
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
        FunctionArguments::List(datafusion::sql::sqlparser::ast::FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses: Vec::new(),
        })
    }
}

/// The time between two days.
fn difference(unit: &str, start: Expr, end: Expr, part: impl Fn(&str, Expr) -> Expr) -> Flow<Expr> {
    match unit {
        "day" => ControlFlow::Continue(binary(day(end), BinaryOperator::Minus, day(start))),
        "year" => ControlFlow::Continue(binary(part("year", end), BinaryOperator::Minus, part("year", start))),
        "week" => refuse("DATEDIFF in weeks, which databases count otherwise (instead of days, divided by 7)"),
        "month" | "quarter" => refuse(
            "DATEDIFF in months (instead of date_part('year', …) * 12 + date_part('month', …) of each, or of days divided by 30.44)",
        ),
        _ => refuse("DATEDIFF of this unit (instead of days or years)"),
    }
}

/// A day so much later.
fn sum(unit: &'static str, n: Expr, of: Expr) -> Flow<Expr> {
    let months = |factor: i64, n: &Expr| whole(n).and_then(|n| n.checked_mul(factor));
    let field = match unit {
        "day" => return ControlFlow::Continue(binary(day(of), BinaryOperator::Plus, n)),
        "week" => {
            let days = binary(n, BinaryOperator::Multiply, Expr::value(Value::Number("7".to_string(), false)));
            return ControlFlow::Continue(binary(day(of), BinaryOperator::Plus, days));
        }
        "month" => months(1, &n),
        "quarter" => months(3, &n),
        "year" => months(12, &n),
        _ => return refuse("DATEADD of this unit (instead of days, weeks, months or years)"),
    };
    let Some(count) = field else {
        return refuse("DATEADD of months or years that are no number as such (instead of days)");
    };
    let op = if count < 0 { BinaryOperator::Minus } else { BinaryOperator::Plus };
    let interval = Expr::Interval(Interval {
        value: Box::new(text(&count.unsigned_abs().to_string())),
        leading_field: Some(DateTimeField::Month),
        leading_precision: None,
        last_field: None,
        fractional_seconds_precision: None,
    });
    ControlFlow::Continue(binary(of, op, interval))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cohort::parse::parse;

    fn spelled(expr: &str) -> Result<String, CohortError> {
        let sql = format!("SELECT {expr} FROM person");
        let parsed = parse(&sql, "2026-11-27".parse().expect("a day"))?;
        let text = parsed.statement.to_string();
        Ok(text.trim_start_matches("SELECT ").trim_end_matches(" FROM person").to_string())
    }

    #[test]
    fn words_of_other_databases_are_read() {
        for (written, read) in [
            ("as_of()", "DATE '2026-11-27'"),
            ("DATEDIFF(day, a, b)", "((CAST(b AS DATE)) - (CAST(a AS DATE)))"),
            ("DATEDIFF(dd, a, as_of())", "((CAST(DATE '2026-11-27' AS DATE)) - (CAST(a AS DATE)))"),
            ("datediff(b, a)", "((CAST(b AS DATE)) - (CAST(a AS DATE)))"),
            ("DATE_DIFF(b, a, DAY)", "((CAST(b AS DATE)) - (CAST(a AS DATE)))"),
            ("date_diff('year', a, b)", "((date_part('year', b)) - (date_part('year', a)))"),
            ("DATEADD(day, -30, a)", "((CAST(a AS DATE)) + (-30))"),
            ("DATEADD(week, n, a)", "((CAST(a AS DATE)) + (((n) * (7))))"),
            ("DATEADD(year, -1, a)", "((a) - (INTERVAL '12' MONTH))"),
            ("DATEADD(mm, 3, a)", "((a) + (INTERVAL '3' MONTH))"),
            ("date_sub(a, 7)", "((CAST(a AS DATE)) - (7))"),
            ("DATE_ADD(a, INTERVAL 1 DAY)", "((a) + (INTERVAL 1 DAY))"),
            ("YEAR(a) - MONTH(b)", "date_part('year', a) - date_part('month', b)"),
            ("DATEPART(yyyy, a)", "date_part('year', a)"),
            ("DATEFROMPARTS(YEAR(a), 1, 1)", "make_date(date_part('year', a), 1, 1)"),
            ("ISNULL(a, 0)", "coalesce(a, 0)"),
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
            ("CAST(a AS NVARCHAR(10))", "CAST(a AS VARCHAR)"),
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
            ("DATEDIFF(fortnight, a, b)", "construct", "days or years"),
            ("DATEADD(month, n, a)", "construct", "instead of days"),
            ("DATEADD(hour, 3, a)", "construct", "days, weeks"),
        ] {
            let error = spelled(written).expect_err(written);
            assert_eq!(error.kind(), kind, "{written}");
            assert!(error.to_string().contains(says), "{written}: {error}");
        }
    }

    #[test]
    fn a_schema_is_left_out_of_tables_only() {
        let tables = |sql: &str| parse(sql, any_day()).map(|parsed| parsed.tables.into_iter().collect::<Vec<_>>());
        assert_eq!(
            tables("SELECT 1 FROM cdm.person JOIN @schema.death ON 1 = 1"),
            Ok(vec!["death".into(), "person".into()])
        );
        let hidden = tables("WITH person AS (SELECT 1 AS x FROM death) SELECT x FROM cdm.person");
        assert_eq!(hidden.expect_err("two of one name").kind(), "qualified_table");
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
