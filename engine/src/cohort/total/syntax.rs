//! Types as a query writes them, in the types that there are.
//!
//! Whole numbers have 64 bits, all other numbers are doubles, moments count microseconds: so a query is planned in types
//! for which every operation here is defined. What a narrower type means is kept: `CAST(x AS SMALLINT)` is NULL where x is
//! beyond it.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, ExactNumberInfo, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, ObjectName, Statement, TimezoneInfo, TypedString, UnaryOperator, Value, VisitMut,
    VisitorMut,
};

use crate::cohort::CohortError;

/// Rewrites the types, signs and large numbers of a statement.
pub(in crate::cohort) fn rewrite(statement: &mut Statement) -> Result<(), CohortError> {
    match statement.visit(&mut Rewrite) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Rewrite;

impl VisitorMut for Rewrite {
    type Break = CohortError;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<CohortError> {
        match expr {
            Expr::TypedString(TypedString { data_type, value, .. }) => {
                let inner = Expr::Value(value.clone());
                *expr = cast(CastKind::Cast, inner, data_type)?;
            }
            Expr::Cast { kind, expr: inner, data_type, .. } => {
                let inner = std::mem::replace(&mut **inner, Expr::value(Value::Null));
                *expr = cast(kind.clone(), inner, data_type)?;
            }
            Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner } => match &mut **inner {
                // What the planner gives a sign by itself.
                Expr::Value(value) => {
                    if let Value::Number(digits, _) = &mut value.value
                        && *digits == format!("{BEYOND}e0")
                    {
                        *digits = BEYOND.to_string();
                    }
                }
                Expr::Interval(_) => {}
                inner => {
                    let inner = std::mem::replace(inner, Expr::value(Value::Null));
                    *expr = call("negative", vec![inner]);
                }
            },
            Expr::Value(value) => {
                if let Value::Number(digits, _) = &mut value.value {
                    number(digits)?;
                }
            }
            // The query engine knows it for numbers and texts alone, and makes texts of all else.
            Expr::Function(function) if is_one_of(&function.name, &["nvl", "ifnull"]) => {
                function.name = ObjectName::from(Ident::new("coalesce"));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn is_one_of(name: &ObjectName, names: &[&str]) -> bool {
    let [part] = name.0.as_slice() else { return false };
    part.as_ident().is_some_and(|ident| names.iter().any(|name| ident.value.eq_ignore_ascii_case(name)))
}

/// One more than 64 bits hold; with a minus before it, they do.
const BEYOND: &str = "9223372036854775808";

/// A whole number beyond 64 bits is written as a double; one beyond doubles is refused.
fn number(digits: &mut String) -> ControlFlow<CohortError> {
    digits.retain(|c| c != '_');
    if digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<i64>().is_err() {
        digits.push_str("e0");
    }
    if digits.parse::<f64>().is_ok_and(f64::is_finite) {
        return ControlFlow::Continue(());
    }
    ControlFlow::Break(CohortError::Literal { text: digits.chars().take(40).collect(), expected: "a number" })
}

fn cast(kind: CastKind, inner: Expr, written: &DataType) -> ControlFlow<CohortError, Expr> {
    let to = |inner: Expr, data_type| Expr::Cast {
        kind: kind.clone(),
        expr: Box::new(inner),
        data_type,
        array: false,
        format: None,
    };
    let whole = |name, inner| call(name, vec![to(inner, DataType::BigInt(None))]);
    ControlFlow::Continue(match written {
        DataType::TinyInt(_) => whole("tinyint", inner),
        DataType::SmallInt(_) => whole("smallint", inner),
        DataType::Int(_) | DataType::Integer(_) => whole("integer", inner),
        DataType::BigInt(_) => to(inner, DataType::BigInt(None)),
        DataType::Decimal(info) | DataType::Numeric(info) => {
            let double = to(inner, DataType::DoublePrecision);
            let number = |n: i64| Expr::value(Value::Number(n.to_string(), false));
            match info {
                ExactNumberInfo::None => double,
                ExactNumberInfo::Precision(p) => call("decimal", vec![double, number(cut(*p)), number(0)]),
                ExactNumberInfo::PrecisionAndScale(p, s) => {
                    call("decimal", vec![double, number(cut(*p)), number((*s).clamp(0, 1_000))])
                }
            }
        }
        DataType::Float(_) | DataType::Real | DataType::Double(_) | DataType::DoublePrecision => {
            to(inner, DataType::DoublePrecision)
        }
        DataType::Timestamp(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            to(inner, DataType::Timestamp(Some(6), TimezoneInfo::None))
        }
        DataType::Timestamp(..) => {
            return ControlFlow::Break(CohortError::Construct { what: "a time zone" });
        }
        other => to(inner, other.clone()),
    })
}

fn cut(digits: u64) -> i64 {
    i64::try_from(digits.min(1_000)).unwrap_or(1_000)
}

fn call(name: &str, args: Vec<Expr>) -> Expr {
    Expr::Function(Function {
        name: ObjectName::from(Ident::new(name)),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}
