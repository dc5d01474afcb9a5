//! Units of time, and what is reckoned in them.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{BinaryOperator, DateTimeField, Expr, Interval, Value};

use super::{Flow, binary, day, is_text, number, refuse, text, whole};

/// What a unit of time is called by databases; `None` for what is none.
pub(super) fn unit(expr: &Expr) -> Option<&'static str> {
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
        "week" | "weeks" | "wk" | "ww" => "week",
        "isowk" | "isoww" | "iso_week" | "isoweek" => "isoweek",
        "day" | "days" | "dd" | "d" => "day",
        "dayofyear" | "dy" | "doy" => "doy",
        "weekday" | "dw" => "weekday",
        "dow" => "dow",
        "dayofweek" => "dayofweek",
        "hour" | "hours" | "hh" => "hour",
        "minute" | "minutes" | "mi" | "n" => "minute",
        "second" | "seconds" | "ss" | "s" => "second",
        "epoch" => "epoch",
        _ => return None,
    })
}

/// The time between two days.
pub(super) fn difference(unit: &str, start: Expr, end: Expr) -> Flow<Expr> {
    match unit {
        "day" => ControlFlow::Continue(binary(day(end), BinaryOperator::Minus, day(start))),
        "year" => refuse(
            "DATEDIFF in years, of which some databases count those of the calendar and others those that are over (instead of \
             date_part('year', b) - date_part('year', a), or days divided by 365.25)",
        ),
        "week" => refuse("DATEDIFF in weeks, which databases count otherwise (instead of days, divided by 7)"),
        "month" | "quarter" => refuse(
            "DATEDIFF in months (instead of date_part('year', …) * 12 + date_part('month', …) of each, or days divided by 30.44)",
        ),
        _ => refuse("DATEDIFF of this unit (instead of days)"),
    }
}

/// A day or moment so much later.
pub(super) fn sum(unit: &'static str, n: Expr, of: Expr) -> Flow<Expr> {
    let (field, factor) = match unit {
        "day" => (DateTimeField::Day, 1),
        "week" => (DateTimeField::Day, 7),
        "month" => (DateTimeField::Month, 1),
        "quarter" => (DateTimeField::Month, 3),
        "year" => (DateTimeField::Month, 12),
        _ => return refuse("DATEADD of this unit (instead of days, weeks, months or years)"),
    };
    let of = if is_text(&of) { day(of) } else { of };
    let Some(count) = whole(&n).and_then(|n| n.checked_mul(factor)) else {
        if field != DateTimeField::Day {
            return refuse("DATEADD of months or years that are no number as such (instead of days)");
        }
        let days = if factor == 1 { n } else { binary(n, BinaryOperator::Multiply, number("7")) };
        // Of a moment it is refused, which would have to keep its time.
        return ControlFlow::Continue(binary(of, BinaryOperator::Plus, days));
    };
    let op = if count < 0 { BinaryOperator::Minus } else { BinaryOperator::Plus };
    let interval = Expr::Interval(Interval {
        value: Box::new(text(&count.unsigned_abs().to_string())),
        leading_field: Some(field),
        leading_precision: None,
        last_field: None,
        fractional_seconds_precision: None,
    });
    ControlFlow::Continue(binary(of, op, interval))
}
