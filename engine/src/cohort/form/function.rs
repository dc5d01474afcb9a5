//! Functions: of one row, of a patient's rows, and over windows of them.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments,
    OrderByExpr, Query, Value, Visit, Visitor, WindowType,
};

use super::expression::{Part, part, rounded};
use super::literals::{Literal, Literals, each};
use super::quantity::{Form, Quantity, Seen, Unit, Why, alternatives, choice, combined};
use super::query::Reader;
use super::scope::{Rows, Scope};
use super::source::Source;

/// Functions that make one row of several.
const AGGREGATES: &[&str] = &[
    "avg",
    "mean",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "first_value",
    "last_value",
    "max",
    "median",
    "min",
    "stddev",
    "stddev_samp",
    "stddev_pop",
    "sum",
    "var",
    "var_samp",
    "var_sample",
    "var_pop",
    "var_population",
];

/// Whether an expression makes one row of several, itself and not in a subquery.
pub(super) fn aggregates(expr: &Expr) -> bool {
    expr.visit(&mut Aggregates::default()).is_break()
}

#[derive(Default)]
struct Aggregates {
    /// In how many subqueries the place is that is visited.
    depth: usize,
}

impl Visitor for Aggregates {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(Function { name, over: None, .. })
                if self.depth == 0 && AGGREGATES.contains(&name.to_string().to_ascii_lowercase().as_str()) =>
            {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

/// What a call has, beside what its arguments are.
struct Call<'a> {
    args: Vec<Seen>,
    exprs: Vec<&'a Expr>,
    is_distinct: bool,
}

impl Reader {
    /// What a call gives.
    pub(super) fn call(&self, function: &Function, scope: &Scope<'_>) -> Seen {
        let FunctionArguments::List(list) = &function.args else { return Seen::other(Why::Unread) };
        let exprs: Vec<&Expr> = list
            .args
            .iter()
            .filter_map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
                _ => None,
            })
            .collect();
        let mut args: Vec<Seen> = exprs.iter().map(|expr| self.expression(expr, scope)).collect();
        let mut beside: Vec<Seen> = Vec::new();
        if let Some(filter) = &function.filter {
            beside.push(self.expression(filter, scope));
        }
        let order = list.clauses.iter().filter_map(|clause| match clause {
            FunctionArgumentClause::OrderBy(keys) => Some(keys),
            _ => None,
        });
        let key = |key: &OrderByExpr| self.expression(&key.expr, scope);
        beside.extend(order.flatten().map(key));
        let mut is_by_patient = false;
        if let Some(WindowType::WindowSpec(window)) = &function.over {
            let parts: Vec<Seen> = window.partition_by.iter().map(|expr| self.expression(expr, scope)).collect();
            is_by_patient = window.window_name.is_none()
                && parts.iter().any(|part| part.form == Form::Subject)
                && parts.iter().all(|part| part.is_fixed);
            beside.extend(parts);
            beside.extend(window.order_by.iter().map(key));
        }
        let mut rows = scope.rows.clone();
        if let Some(filter) = &function.filter {
            let restrictions = self.restrictions(filter, scope);
            args.iter_mut().for_each(|arg| arg.restrict(&restrictions));
            rows.change(|source| restrictions.iter().for_each(|restriction| source.restrict(restriction)));
        }
        let name = function.name.to_string().to_ascii_lowercase();
        let is_distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
        let call = Call { args, exprs, is_distinct };
        let mut seen = if function.over.is_some() || AGGREGATES.contains(&name.as_str()) {
            self.of_rows(&name, &call, &rows, scope, is_by_patient)
        } else {
            of_one(&name, &call, &|expr| self.expression(expr, scope).form)
        };
        seen = seen.beside(&call.args).beside(&beside);
        if function.over.is_some() {
            // What stands in other rows does not hold this row's codes.
            seen.change(|source| source.place = 0);
            if let Form::Measured(quantity) = &mut seen.form {
                quantity.is_gathered = true;
            }
        }
        seen
    }

    fn of_rows(&self, name: &str, call: &Call<'_>, rows: &Rows, scope: &Scope<'_>, is_by_patient: bool) -> Seen {
        let mut by = Seen { form: Form::Subject, by: scope.by.clone(), is_fixed: false };
        if let Rows::Of(tables) = rows {
            by.by.extend(tables.iter().cloned());
        }
        let first = call.args.first().map(|seen| &seen.form);
        let form = match (name, first) {
            ("row_number", _) => Form::Position(is_by_patient),
            ("rank" | "dense_rank", _) => Form::Position(false),
            // Which share of the rows lies before this one.
            ("ntile" | "percent_rank" | "cume_dist", _) => Form::Other(Why::Position),
            ("corr", _) => Form::Other(Why::Share),
            ("count", _) => count(call, rows),
            ("bool_and" | "bool_or", _) => Form::truth(),
            ("min" | "max" | "first_value" | "last_value", Some(own)) => gathered(own),
            ("lag" | "lead", Some(own)) if call.args.len() < 3 => gathered(own),
            ("lag" | "lead", Some(_)) => gathered(&choice(vec![call.args[0].clone(), call.args[2].clone()]).form),
            ("avg" | "mean" | "median", Some(Form::Measured(own))) => {
                // A mean of rows is no longer a sum of them.
                gathered(&Form::Measured(Quantity { is_additive: false, ..own.clone() }))
            }
            ("avg" | "mean" | "median", Some(Form::Literals(literals))) if literals.len() < 2 => {
                Form::Literals(literals.clone())
            }
            (
                "avg" | "mean" | "median" | "stddev" | "stddev_samp" | "stddev_pop" | "var" | "var_samp" | "var_sample"
                | "var_pop" | "var_population",
                Some(Form::Literals(_) | Form::Measured(_)),
            ) => Form::Other(Why::Share),
            ("sum", Some(Form::Measured(own))) => sum(own, rows),
            ("sum", Some(Form::Literals(literals))) => weighted(literals, rows),
            (_, Some(own)) => Form::Other(own.why()),
            (_, None) => Form::Other(Why::Unread),
        };
        by.with_form(form)
    }
}

/// One of a patient's rows.
fn gathered(form: &Form) -> Form {
    match form {
        Form::Measured(own) => Form::Measured(Quantity { is_gathered: true, ..own.clone() }),
        Form::Code(_) => Form::Other(Why::Code),
        // Where a place stands in several rows, it tells of none.
        Form::Position(_) => Form::Other(Why::Position),
        other => other.clone(),
    }
}

fn rows_of(tables: &[Source]) -> Quantity {
    Quantity {
        ends: vec![tables.iter().cloned().collect()],
        unit: Unit::Rows,
        has_factor: false,
        has_offset: false,
        is_additive: true,
        is_gathered: true,
    }
}

fn count(call: &Call<'_>, rows: &Rows) -> Form {
    if call.is_distinct {
        // Not more than there are rows of the table, however these are multiplied.
        return match call.args.first().map(|seen| &seen.form) {
            Some(Form::Code(source)) if source.is_of_patients() => Form::Measured(rows_of(&[source.rows()])),
            Some(Form::Measured(own)) if own.ends.len() == 1 && !own.is_gathered => {
                Form::Measured(rows_of(&own.sources().map(Source::rows).collect::<Vec<_>>()))
            }
            Some(Form::Literals(literals)) if literals.len() < 2 => one_or_none(&Literal::Whole(1)),
            Some(Form::Subject) => one_or_none(&Literal::Whole(1)),
            _ => Form::Other(Why::Multiplied),
        };
    }
    match rows {
        Rows::Of(tables) => Form::Measured(rows_of(tables)),
        Rows::Single | Rows::One => one_or_none(&Literal::Whole(1)),
        Rows::Words(_) | Rows::Many => Form::Other(Why::Multiplied),
    }
}

fn one_or_none(one: &Literal) -> Form {
    Form::Literals(Literals::from([Literal::Whole(0), one.clone()]))
}

/// A sum over rows of what was measured in each.
fn sum(own: &Quantity, rows: &Rows) -> Form {
    let tables: Vec<Source> = match rows {
        Rows::Single | Rows::One => return gathered(&Form::Measured(own.clone())),
        Rows::Of(tables) => tables.clone(),
        Rows::Words(_) | Rows::Many => return Form::Other(Why::Multiplied),
    };
    if own.is_gathered || own.unit == Unit::Quotient {
        return Form::Other(Why::Again);
    }
    // What stands in no row of these is added as often as there are rows.
    if !own.ends.iter().all(|end| end.iter().all(|source| tables.iter().any(|table| table.is_beside(source)))) {
        return Form::Other(Why::Product);
    }
    let mut made = Quantity { is_additive: !own.has_offset, is_gathered: true, ..own.clone() };
    // It grows with the rows, as their number does.
    made.ends[0].extend(tables);
    Form::Measured(made)
}

/// A sum over rows of literals: how many rows there are of one kind, if there is one beside 0.
fn weighted(literals: &Literals, rows: &Rows) -> Form {
    let weights: Vec<&Literal> = literals.iter().filter(|literal| !literal.is_zero()).collect();
    match (weights.as_slice(), rows) {
        ([], _) => Form::Literals(literals.clone()),
        (_, Rows::Single | Rows::One) => Form::Literals(literals.clone()),
        ([one], Rows::Of(tables)) if one.number().is_some() => {
            let has_factor = one.number() != Some(1.0);
            Form::Measured(Quantity { has_factor, ..rows_of(tables) })
        }
        ([_], _) => Form::Other(Why::Multiplied),
        _ => Form::Other(Why::Weights),
    }
}

/// A function of one row.
fn of_one(name: &str, call: &Call<'_>, see: &dyn Fn(&Expr) -> Form) -> Seen {
    let args = &call.args;
    let form = |at: usize| args.get(at).map(|seen| &seen.form);
    let is_literal = |at: usize, text: &str| match call.exprs.get(at) {
        Some(Expr::Value(value)) => {
            matches!(&value.value, Value::SingleQuotedString(own) if own.eq_ignore_ascii_case(text))
        }
        _ => false,
    };
    let first = || args.first().cloned().unwrap_or(Seen::other(Why::Unread));
    match (name, form(0)) {
        ("coalesce" | "nvl" | "ifnull" | "greatest" | "least", Some(_)) => alternatives(args.clone()),
        ("nullif", Some(_)) => first(),
        ("round", Some(_)) if args.len() == 1 => rounded(first(), Some(f64::round)),
        ("trunc", Some(_)) if args.len() == 1 => rounded(first(), Some(f64::trunc)),
        ("ceil" | "ceiling", Some(_)) => rounded(first(), Some(f64::ceil)),
        ("floor", Some(_)) => rounded(first(), Some(f64::floor)),
        ("round" | "trunc", Some(_)) if matches!(form(1), Some(Form::Literals(places)) if places.len() == 1) => {
            rounded(first(), None)
        }
        ("abs", Some(Form::Literals(literals))) => {
            let of = |literal: &Literal| match literal {
                Literal::Whole(value) => Ok(value.checked_abs().map(Literal::Whole)),
                other => other.number().map(|number| Literal::double(number.abs())).ok_or(Why::Literal),
            };
            Seen::of(Form::literals(each(literals, of)))
        }
        ("date_part" | "datepart", Some(_)) if args.len() == 2 => {
            let is_day = is_literal(0, "day") || is_literal(0, "days");
            part(Part { is_year: is_literal(0, "year"), is_day, is_epoch: is_literal(0, "epoch") }, args[1].clone())
        }
        ("power" | "pow", Some(Form::Measured(own))) if super::expression::whole_of(call.exprs.get(1)) == Some(2) => {
            let own = Form::Measured(own.clone());
            Seen::of(combined('*', &own, &own))
        }
        ("make_date", Some(Form::Measured(year))) if call.exprs.len() == 3 && is_year(year) => {
            // The month of birth, or a literal, or that where there is none: less than a year.
            if call.exprs[1..].iter().all(|expr| is_within_year(expr, see)) {
                Seen::of(Form::Measured(Quantity { unit: Unit::Day, ..year.clone() }))
            } else {
                Seen::other(Why::Choice)
            }
        }
        ("isnan" | "contains" | "starts_with" | "ends_with", _) => Seen::of(Form::truth()),
        (_, Some(Form::Measured(_) | Form::Square(_))) => Seen::other(Why::Curved),
        (_, Some(Form::Literals(_))) => Seen::other(Why::Literal),
        (_, Some(own)) => Seen::other(own.why()),
        (_, None) => Seen::other(Why::Unread),
    }
}

fn is_year(year: &Quantity) -> bool {
    year.unit == Unit::Year && !year.has_factor && !year.has_offset && year.ends.len() == 1
}

/// Whether it is one literal, or the month of birth, with one literal for who has none.
fn is_within_year(expr: &Expr, see: &dyn Fn(&Expr) -> Form) -> bool {
    let is_month = |unit: &Unit| matches!(unit, Unit::Column(table, column) if (&**table, &**column) == ("person", "month_of_birth"));
    match expr {
        Expr::Nested(inner) => is_within_year(inner, see),
        Expr::Value(_) | Expr::Identifier(_) | Expr::CompoundIdentifier(_) => match see(expr) {
            Form::Literals(literals) => literals.len() == 1,
            Form::Measured(own) => is_month(&own.unit) && !own.has_factor && !own.has_offset,
            _ => false,
        },
        // A choice, which would be refused anywhere else.
        Expr::Function(Function { name, args: FunctionArguments::List(list), .. }) => {
            let mut args = list.args.iter().map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => is_within_year(expr, see),
                _ => false,
            });
            name.to_string().eq_ignore_ascii_case("coalesce") && args.all(|is_it| is_it)
        }
        _ => false,
    }
}
