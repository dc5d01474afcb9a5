//! Expressions of a wanted type.

use super::super::functions::{Arg, FUNCTIONS, Function};
use super::super::ours::type_names;
use super::super::store::TEXTS;
use super::super::tree::{Expr, Literal, Style, Type};
use super::{Draw, Place};

/// The casts that both engines have: from, to.
const CASTS: &[(Type, Type)] = &[
    (Type::Int, Type::Real),
    (Type::Int, Type::Text),
    (Type::Int, Type::Truth),
    (Type::Int, Type::Int),
    (Type::Real, Type::Int),
    (Type::Real, Type::Real),
    (Type::Text, Type::Int),
    (Type::Text, Type::Real),
    (Type::Text, Type::Day),
    (Type::Text, Type::Moment),
    (Type::Text, Type::Truth),
    (Type::Day, Type::Moment),
    (Type::Day, Type::Text),
    (Type::Moment, Type::Day),
    (Type::Truth, Type::Int),
    (Type::Truth, Type::Real),
    (Type::Day, Type::Int),
    (Type::Int, Type::Day),
    (Type::Real, Type::Truth),
    (Type::Moment, Type::Text),
    (Type::Truth, Type::Text),
];

impl Draw {
    /// A column or a literal.
    pub(super) fn leaf(&mut self, place: &Place, ty: Type) -> Expr {
        let columns = place.of(ty);
        if !columns.is_empty() && self.dice.chance(75) {
            return self.dice.pick(&columns).clone();
        }
        if let Some(inner) = &place.grouped
            && self.dice.chance(60)
        {
            return self.aggregate(inner, ty);
        }
        let others = place.of(Type::Int);
        if columns.is_empty() && !others.is_empty() && self.dice.chance(50) {
            let column = self.dice.pick(&others).clone();
            let cast = |to: Type, name: &'static str| Expr::Cast {
                expr: Box::new(column.clone()),
                to,
                style: Style::Cast,
                name,
            };
            match ty {
                Type::Text => return cast(Type::Text, "TEXT"),
                Type::Real => return cast(Type::Real, "DOUBLE"),
                Type::Truth => return Expr::IsNull { negated: true, expr: Box::new(column) },
                Type::Int | Type::Day | Type::Moment => {}
            }
        }
        self.literal(ty)
    }

    /// A number, which is mostly of this type.
    fn number(&mut self, place: &Place, ty: Type, depth: usize) -> Expr {
        let ty = if ty == Type::Real && self.dice.chance(20) { Type::Int } else { ty };
        self.expr(place, ty, depth)
    }

    pub(super) fn expr(&mut self, place: &Place, ty: Type, depth: usize) -> Expr {
        if depth == 0 || self.dice.chance(25) {
            return self.leaf(place, ty);
        }
        if ty == Type::Truth && !(place.windows && self.dice.chance(35)) {
            return self.condition(&place.valued(), depth);
        }
        if place.windows
            && self.dice.chance(25)
            && let Some(window) = self.window(place, ty)
        {
            return window;
        }
        if place.scalars
            && self.dice.chance(8)
            && let Some(scalar) = self.scalar(place, ty)
        {
            return scalar;
        }
        if ty == Type::Truth {
            return self.condition(&place.valued(), depth);
        }
        match self.dice.weighted(&[20, 30, 35, 12]) {
            0 => self.case(place, ty, depth),
            1 => self.operation(place, ty, depth),
            2 => self.call(place, ty, depth),
            _ => self.cast(place, ty, depth),
        }
    }

    fn operation(&mut self, place: &Place, ty: Type, depth: usize) -> Expr {
        let depth = depth - 1;
        match ty {
            Type::Int if self.dice.chance(15) => {
                let (left, right) = (self.expr(place, Type::Day, depth), self.expr(place, Type::Day, depth));
                Expr::Arithmetic { op: "-", left: Box::new(left), right: Box::new(right) }
            }
            Type::Int | Type::Real if self.dice.chance(12) => Expr::Negate(Box::new(self.expr(place, ty, depth))),
            Type::Int | Type::Real => {
                let ops = if ty == Type::Int { &["+", "-", "*", "/", "%"][..] } else { &["+", "-", "*", "/"] };
                let op = *self.dice.pick(ops);
                let (left, right) = (self.expr(place, ty, depth), self.number(place, ty, depth));
                Expr::Arithmetic { op, left: Box::new(left), right: Box::new(right) }
            }
            Type::Day if self.dice.chance(50) => {
                let (day, count) = (self.expr(place, Type::Day, depth), self.small(place));
                let op = *self.dice.pick(&["+", "-"]);
                Expr::Arithmetic { op, left: Box::new(day), right: Box::new(count) }
            }
            Type::Day | Type::Moment => {
                let units = if ty == Type::Day {
                    &["days", "day", "months", "years", "weeks"][..]
                } else {
                    &["days", "months", "years", "hours", "minutes", "seconds"]
                };
                Expr::Shift {
                    of: Box::new(self.expr(place, ty, depth)),
                    minus: self.dice.chance(50),
                    count: *self.dice.pick(&[1, 2, 3, 12, 30, 365]),
                    unit: self.dice.pick::<&str>(units),
                }
            }
            Type::Text | Type::Truth => self.call(place, ty, depth + 1),
        }
    }

    pub(super) fn case(&mut self, place: &Place, ty: Type, depth: usize) -> Expr {
        let depth = depth - 1;
        let count = 1 + self.dice.roll(2);
        let simple = self.dice.chance(30);
        let of = if simple { self.ty_of(place) } else { Type::Truth };
        let operand = simple.then(|| Box::new(self.leaf(place, of)));
        let mut arms = (0..count)
            .map(|_| {
                let when = if simple { self.leaf(place, of) } else { self.condition(place, depth.min(2)) };
                (when, self.number(place, ty, depth))
            })
            .collect::<Vec<_>>();
        let otherwise = self.dice.chance(65).then(|| Box::new(self.number(place, ty, depth)));
        if !is_told(ty, arms.iter().map(|(_, then)| then).chain(otherwise.as_deref())) {
            as_double(&mut arms[0].1);
        }
        Expr::Case { operand, arms, otherwise, ty }
    }

    /// A whole number near zero.
    pub(super) fn small(&mut self, place: &Place) -> Expr {
        if self.dice.chance(15) {
            return self.leaf(place, Type::Int);
        }
        let value = self.dice.roll(8) as i64 - 2;
        Expr::Literal(Literal::Int(value))
    }

    pub(super) fn call(&mut self, place: &Place, ty: Type, depth: usize) -> Expr {
        let fits = |function: &&'static Function| match function.result {
            Some(result) => result == ty,
            None => true,
        };
        let fitting: Vec<&'static Function> = FUNCTIONS.iter().filter(fits).collect();
        let function = *self.dice.pick(&fitting);
        let depth = depth.saturating_sub(1);
        let args = function.args.iter().map(|arg| match arg {
            Arg::Of(of) => self.number_arg(place, *of, depth, function.name),
            Arg::Same => self.number(place, ty, depth),
            Arg::Small => self.small(place),
            Arg::Calendar if self.dice.chance(90) => {
                let value = self.dice.roll(33) as i64;
                Expr::Literal(Literal::Int(if self.dice.chance(70) { 1 + value % 12 } else { value }))
            }
            Arg::Year if self.dice.chance(85) => {
                Expr::Literal(Literal::Int(*self.dice.pick(&[2020, 2019, 1, 0, 9999, 10_000, 1900])))
            }
            Arg::Calendar | Arg::Year => self.expr(place, Type::Int, depth),
            Arg::DayText if self.dice.chance(40) => self.expr(place, Type::Text, depth),
            Arg::DayText => Expr::Literal(Literal::Text(TEXTS[12 + self.dice.roll(2)].to_string())),
        });
        let mut args: Vec<Expr> = args.collect();
        let is_same: Vec<bool> = function.args.iter().map(|arg| matches!(arg, Arg::Same)).collect();
        let mut same = args.iter().zip(&is_same).filter(|(_, same)| **same).map(|(arg, _)| arg).peekable();
        if same.peek().is_some() && !is_told(ty, same) {
            let first = is_same.iter().position(|same| *same).expect("one of them");
            as_double(&mut args[first]);
        }
        Expr::Call { function, args, ty }
    }

    /// ceil and its like yield what they are given, and are given doubles only.
    fn number_arg(&mut self, place: &Place, of: Type, depth: usize, name: &str) -> Expr {
        if ["abs", "ceil", "CEIL TO", "floor", "round", "trunc"].contains(&name) {
            self.expr(place, of, depth)
        } else {
            self.number(place, of, depth)
        }
    }

    fn cast(&mut self, place: &Place, ty: Type, depth: usize) -> Expr {
        let from: Vec<Type> = CASTS.iter().filter(|(_, to)| *to == ty).map(|(from, _)| *from).collect();
        let from = *self.dice.pick(&from);
        let expr = self.expr(place, from, depth - 1);
        let style = match &expr {
            // A literal that is none of the type is refused, unless it is tried.
            Expr::Literal(_) => Style::TryCast,
            _ => *self.dice.pick(&[Style::Cast, Style::Cast, Style::TryCast, Style::Colons]),
        };
        Expr::Cast { expr: Box::new(expr), to: ty, style, name: self.dice.pick::<&str>(type_names(ty)) }
    }
}

/// Whether values of which some may be whole numbers where another type is asked for have that type together.
fn is_told<'a>(ty: Type, mut values: impl Iterator<Item = &'a Expr>) -> bool {
    let is_null = |value: &Expr| matches!(value, Expr::Literal(Literal::Null(_)));
    ty != Type::Real || values.any(|value| value.ty() == Type::Real && !is_null(value))
}

fn as_double(value: &mut Expr) {
    let expr = Box::new(std::mem::replace(value, Expr::null(Type::Real)));
    *value = Expr::Cast { expr, to: Type::Real, style: Style::Cast, name: "DOUBLE" };
}
