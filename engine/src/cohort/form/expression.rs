//! Expressions: what they are.

use std::collections::BTreeSet;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, CeilFloorKind, DataType, DateTimeField, Expr, Query, UnaryOperator, Value,
};

use super::literals::{Literal, Literals, each};
use super::quantity::{Form, Quantity, Seen, Unit, Why, alternatives, choice, combined};
use super::query::Reader;
use super::scope::Scope;
use super::source::Restriction;
use crate::cohort::parse::normal;

/// The conditions that a condition is the conjunction of.
pub(super) fn conjuncts(condition: &Expr) -> Vec<&Expr> {
    match condition {
        Expr::Nested(inner) => conjuncts(inner),
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            let mut all = conjuncts(left);
            all.extend(conjuncts(right));
            all
        }
        other => vec![other],
    }
}

/// A whole number as it stands in the text.
pub(super) fn whole(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Nested(inner) => whole(inner),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => whole(expr)?.checked_neg(),
        Expr::Value(value) => match &value.value {
            Value::Number(text, _) => text.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

/// A whole number as an argument.
pub(super) fn whole_of(expr: Option<&&Expr>) -> Option<i64> {
    expr.and_then(|expr| whole(expr))
}

impl Reader {
    /// What an expression is.
    pub(super) fn expression(&self, expr: &Expr, scope: &Scope<'_>) -> Seen {
        let of = |expr: &Expr| self.expression(expr, scope);
        let truth = |of: &[Seen]| Seen::of(Form::truth()).beside(of);
        match expr {
            Expr::Identifier(name) => column(scope, None, &normal(name)),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [table, name] => column(scope, Some(&normal(table)), &normal(name)),
                _ => Seen::other(Why::Unread),
            },
            Expr::Value(value) => Seen::of(literal(&value.value)),
            Expr::TypedString(typed) => {
                Seen::of(Form::Literals(Literals::from([Literal::Other(typed.value.value.to_string())])))
            }
            Expr::Interval(interval) => {
                Seen::of(Form::Literals(Literals::from([Literal::Interval(interval.to_string())])))
            }
            Expr::Nested(inner) | Expr::UnaryOp { op: UnaryOperator::Plus, expr: inner } => of(inner),
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } => {
                let own = of(expr);
                let form = combined('*', &own.form, &Form::Literals(Literals::from([Literal::Whole(-1)])));
                own.with_form(form)
            }
            Expr::BinaryOp { left, op, right } => {
                let (left, right) = (of(left), of(right));
                let operator = match op {
                    BinaryOperator::Plus => '+',
                    BinaryOperator::Minus => '-',
                    BinaryOperator::Multiply => '*',
                    BinaryOperator::Divide => '/',
                    BinaryOperator::Modulo => '%',
                    _ => return truth(&[left, right]),
                };
                let form = combined(operator, &left.form, &right.form);
                Seen::of(form).beside([&left, &right])
            }
            Expr::Cast { expr, data_type, .. } => {
                let own = of(expr);
                let form = cast(&own.form, data_type);
                own.with_form(form)
            }
            Expr::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref(), scope)
            }
            Expr::Function(function) => self.call(function, scope),
            Expr::Extract { field, expr, .. } => {
                let is_day = matches!(field, DateTimeField::Day | DateTimeField::Days);
                part(Part { is_year: matches!(field, DateTimeField::Year), is_day, is_epoch: false }, of(expr))
            }
            Expr::Ceil { expr, field: CeilFloorKind::Scale(_) }
            | Expr::Floor { expr, field: CeilFloorKind::Scale(_) } => rounded(of(expr), None),
            Expr::Ceil { expr, .. } => rounded(of(expr), Some(f64::ceil)),
            Expr::Floor { expr, .. } => rounded(of(expr), Some(f64::floor)),
            Expr::Subquery(query) => self.value(query, scope),
            Expr::Exists { subquery, .. } => {
                let relation = self.query(subquery, Some(scope), false);
                Seen { form: Form::truth(), by: relation.by, is_fixed: false }
            }
            Expr::InSubquery { expr, subquery, .. } => truth(&[of(expr), self.value(subquery, scope)]),
            Expr::InList { expr, list, .. } => {
                let all: Vec<Seen> = std::iter::once(&**expr).chain(list).map(of).collect();
                truth(&all)
            }
            Expr::Between { expr, low, high, .. } => truth(&[of(expr), of(low), of(high)]),
            Expr::Like { expr, pattern, .. } | Expr::ILike { expr, pattern, .. } => truth(&[of(expr), of(pattern)]),
            Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => truth(&[of(left), of(right)]),
            Expr::UnaryOp { expr, .. }
            | Expr::IsFalse(expr)
            | Expr::IsNotFalse(expr)
            | Expr::IsTrue(expr)
            | Expr::IsNotTrue(expr)
            | Expr::IsNull(expr)
            | Expr::IsNotNull(expr)
            | Expr::IsUnknown(expr)
            | Expr::IsNotUnknown(expr) => truth(&[of(expr)]),
            Expr::Position { expr, r#in } => Seen::other(Why::Text).beside([&of(expr), &of(r#in)]),
            Expr::Substring { expr, .. } | Expr::Trim { expr, .. } => Seen::other(Why::Text).beside([&of(expr)]),
            _ => Seen::other(Why::Unread),
        }
    }

    /// A subquery in the place of a value.
    fn value(&self, query: &Query, scope: &Scope<'_>) -> Seen {
        let mut relation = self.query(query, Some(scope), false);
        let seen =
            if relation.columns.is_empty() { Seen::other(Why::Unread) } else { relation.columns.swap_remove(0).1 };
        // It may be correlated with a row.
        let form = if let Form::Position(_) = seen.form { Form::Other(Why::Position) } else { seen.form };
        Seen { form, is_fixed: false, ..seen }
    }

    fn case(&self, operand: Option<&Expr>, whens: &[CaseWhen], otherwise: Option<&Expr>, scope: &Scope<'_>) -> Seen {
        let mut tests: Vec<Seen> = operand.map(|operand| self.expression(operand, scope)).into_iter().collect();
        let mut results = Vec::new();
        for CaseWhen { condition, result } in whens {
            tests.push(self.expression(condition, scope));
            let mut result = self.expression(result, scope);
            // A value that is taken where its row holds a code is one of these rows.
            if operand.is_none() {
                result.restrict(&self.restrictions(condition, scope));
            }
            results.push(result);
        }
        results.extend(otherwise.map(|otherwise| self.expression(otherwise, scope)));
        let one = if is_by_value(operand, whens, otherwise) { alternatives(results) } else { choice(results) };
        one.beside(&tests)
    }

    /// A column as it stands; of anything else nothing, so that nothing is read twice that has parts.
    pub(super) fn bare(&self, expr: &Expr, scope: &Scope<'_>) -> Option<Seen> {
        match expr {
            Expr::Nested(inner) => self.bare(inner, scope),
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => Some(self.expression(expr, scope)),
            _ => None,
        }
    }

    /// What a condition says of the codes that rows hold.
    pub(super) fn restrictions(&self, condition: &Expr, scope: &Scope<'_>) -> Vec<Restriction> {
        let of_code = |expr: &Expr, codes: Option<BTreeSet<i64>>| match self.bare(expr, scope)?.form {
            Form::Code(source) => Some(source.held_to(codes?)),
            _ => None,
        };
        let one = |expr: &Expr| whole(expr).map(|code| BTreeSet::from([code]));
        let restriction = |part: &Expr| match part {
            Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
                of_code(left, one(right)).or_else(|| of_code(right, one(left)))
            }
            Expr::InList { expr, list, negated: false } => of_code(expr, list.iter().map(whole).collect()),
            _ => None,
        };
        conjuncts(condition).into_iter().filter_map(restriction).collect()
    }
}

/// Whether CASE takes one of two expressions by how they compare, or by which is there: the least, the greatest, or the first that
/// there is, written out.
fn is_by_value(operand: Option<&Expr>, whens: &[CaseWhen], otherwise: Option<&Expr>) -> bool {
    fn bare(expr: &Expr) -> &Expr {
        if let Expr::Nested(inner) = expr { bare(inner) } else { expr }
    }
    fn is_about(condition: &Expr, both: &[&Expr; 2]) -> bool {
        use BinaryOperator::{And, Gt, GtEq, Lt, LtEq, Or};
        let is_one = |expr: &Expr| both.contains(&bare(expr));
        match bare(condition) {
            Expr::IsNull(of) | Expr::IsNotNull(of) => is_one(of),
            Expr::BinaryOp { left, op: Lt | LtEq | Gt | GtEq, right } => is_one(left) && is_one(right),
            Expr::BinaryOp { left, op: And | Or, right } => is_about(left, both) && is_about(right, both),
            _ => false,
        }
    }
    match (operand, whens, otherwise) {
        (None, [CaseWhen { condition, result }], Some(otherwise)) => {
            is_about(condition, &[bare(result), bare(otherwise)])
        }
        _ => false,
    }
}

fn column(scope: &Scope<'_>, table: Option<&str>, name: &str) -> Seen {
    if let Some(own) = scope.own_column(table, name) {
        return own.clone();
    }
    let mut seen = scope.column(table, name).cloned().unwrap_or(Seen::other(Why::Unread));
    // A place among the rows around says nothing of these.
    if let Form::Position(is_among_all) = &mut seen.form {
        *is_among_all = false;
    }
    seen
}

fn literal(value: &Value) -> Form {
    let literal = match value {
        Value::Null => return Form::Literals(Literals::new()),
        Value::Boolean(truth) => Some(Literal::Truth(*truth)),
        Value::Number(text, _) => match text.parse() {
            Ok(whole) => Some(Literal::Whole(whole)),
            Err(_) => text.parse().ok().and_then(Literal::double),
        },
        other => Some(Literal::Other(other.to_string())),
    };
    literal.map_or(Form::Other(Why::Literal), |literal| Form::Literals(Literals::from([literal])))
}

fn cast(form: &Form, to: &DataType) -> Form {
    let is_whole = matches!(
        to,
        DataType::TinyInt(_) | DataType::SmallInt(_) | DataType::Int(_) | DataType::Integer(_) | DataType::BigInt(_)
    );
    let is_double = matches!(to, DataType::Float(_) | DataType::Real | DataType::Double(_) | DataType::DoublePrecision);
    let is_decimal = matches!(to, DataType::Decimal(_) | DataType::Numeric(_));
    let is_day = matches!(to, DataType::Date | DataType::Timestamp(..));
    let is_truth = matches!(to, DataType::Boolean | DataType::Bool);
    match form {
        Form::Measured(own) if is_whole || is_decimal => Form::Measured(Quantity {
            // Of whole numbers and days it changes nothing, of others it cuts off.
            has_factor: own.has_factor || !matches!(own.unit, Unit::Day | Unit::Year | Unit::Rows | Unit::Time),
            ..own.clone()
        }),
        Form::Measured(_) if is_double || is_day => form.clone(),
        Form::Literals(literals) if is_whole => Form::literals(each(literals, |literal| match literal {
            Literal::Truth(truth) => Ok(Some(Literal::Whole(i64::from(*truth)))),
            Literal::Whole(_) => Ok(Some(literal.clone())),
            Literal::Double(bits) => Ok(exactly(f64::from_bits(*bits).trunc())),
            Literal::Interval(_) | Literal::Other(_) => Err(Why::Literal),
        })),
        Form::Literals(literals) if is_double || is_decimal => {
            Form::literals(each(literals, |literal| match literal {
                Literal::Truth(truth) => Ok(Literal::double(f64::from(u8::from(*truth)))),
                Literal::Whole(whole) => Ok(Literal::double(*whole as f64)),
                Literal::Double(_) if is_double => Ok(Some(literal.clone())),
                Literal::Double(_) | Literal::Interval(_) | Literal::Other(_) => Err(Why::Literal),
            }))
        }
        Form::Literals(literals) if is_day && literals.iter().all(|literal| matches!(literal, Literal::Other(_))) => {
            form.clone()
        }
        Form::Literals(literals) if literals.is_empty() => form.clone(),
        Form::Literals(_) if is_truth => Form::truth(),
        Form::Literals(_) => Form::Other(Why::Literal),
        Form::Code(_) if is_whole || is_double || is_decimal => Form::Other(Why::Code),
        Form::Position(_) if is_whole || is_double => form.clone(),
        Form::Other(why) => Form::Other(*why),
        _ => Form::Other(Why::Text),
    }
}

/// A double without a fraction as a whole number; NULL beyond 64 bits.
fn exactly(value: f64) -> Option<Literal> {
    const END: f64 = 9_223_372_036_854_775_808.0;
    (-END..END).contains(&value).then_some(Literal::Whole(value as i64))
}

/// A value rounded one way or another.
pub(super) fn rounded(own: Seen, how: Option<fn(f64) -> f64>) -> Seen {
    let form = match &own.form {
        Form::Measured(quantity) => Form::Measured(Quantity { has_factor: true, ..quantity.clone() }),
        Form::Literals(literals) => Form::literals(each(literals, |literal| match (literal.number(), how) {
            (Some(number), Some(how)) => Ok(Literal::double(how(number))),
            _ => Err(Why::Literal),
        })),
        other => other.clone(),
    };
    own.with_form(form)
}

/// What is asked of a day or moment.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) is_year: bool,
    pub(super) is_day: bool,
    pub(super) is_epoch: bool,
}

/// The year or the seconds of a day or moment; of its other parts nobody can say what they measure.
pub(super) fn part(Part { is_year, is_day, is_epoch }: Part, own: Seen) -> Seen {
    let form = match &own.form {
        // Of the days between two, it is they.
        Form::Measured(time) if time.unit == Unit::Time && is_day => own.form.clone(),
        Form::Measured(day) if day.unit == Unit::Day && (is_year || is_epoch) => {
            let unit = if is_year { Unit::Year } else { Unit::Seconds };
            Form::Measured(Quantity { unit, ..day.clone() })
        }
        Form::Measured(_) => Form::Other(Why::Curved),
        Form::Literals(_) => Form::Other(Why::Literal),
        other => Form::Other(other.why()),
    };
    own.with_form(form)
}
