//! Aggregates over the rows of a group.

use super::super::functions::AGGREGATES;
use super::super::schema::Kind;
use super::super::tree::{Expr, Key, Literal, Type};
use super::{Draw, Place};

impl Draw {
    /// An aggregate of this type over the rows of this place; a literal where there is none.
    pub(super) fn aggregate(&mut self, place: &Place, ty: Type) -> Expr {
        let fitting: Vec<_> = AGGREGATES.iter().filter(|(_, _, result)| *result == ty).collect();
        if fitting.is_empty() {
            return self.literal(ty);
        }
        let (name, of, _) = **self.dice.pick(&fitting);
        // An aggregate of nothing but the outer query's columns would be the outer query's.
        let place = &Place { outer: Vec::new(), ..place.clone() };
        if ty == Type::Int
            && place.tests
            && self.dice.chance(30)
            && let Some(flag) = self.flag(place)
        {
            return flag;
        }
        let filter = self.dice.chance(20).then(|| Box::new(self.condition(&place.valued(), 1)));
        if name == "count" && self.dice.chance(50) {
            let args = match self.dice.roll(3) {
                0 => self.dice_key(place).into_iter().collect(),
                _ => Vec::new(),
            };
            let distinct = !args.is_empty() && self.dice.chance(50);
            return Expr::Aggregate { name, distinct, args, order: Vec::new(), filter, ty };
        }
        let arg = self.tame(place, of);
        let picks = ["first_value", "last_value"].contains(&name);
        let order = if picks { self.order_with(place, &arg) } else { Vec::new() };
        let mut args = vec![arg];
        if name == "corr" {
            args.push(self.tame(place, of));
        }
        let distinct = ["count", "sum", "avg", "mean", "min", "max"].contains(&name) && self.dice.chance(20);
        Expr::Aggregate { name, distinct, args, order, filter, ty }
    }

    /// Whether, or how often, a subquery says something of a row.
    fn flag(&mut self, place: &Place) -> Option<Expr> {
        let test = if self.dice.chance(60) { self.exists(place)? } else { self.within(place)? };
        let number = |value: i64| Expr::Literal(Literal::Int(value));
        let args = vec![Expr::Case {
            operand: None,
            arms: vec![(test, number(1))],
            otherwise: Some(Box::new(number(0))),
            ty: Type::Int,
        }];
        let name = if self.dice.chance(70) { "max" } else { "sum" };
        Some(Expr::Aggregate { name, distinct: false, args, order: Vec::new(), filter: None, ty: Type::Int })
    }

    /// An identifier, which may be counted.
    fn dice_key(&mut self, place: &Place) -> Option<Expr> {
        let is_key = |(_, kind): &&(Expr, Kind)| matches!(kind, Kind::Key(_) | Kind::Subject);
        let keys: Vec<Expr> = place.columns.iter().filter(is_key).map(|(expr, _)| expr.clone()).collect();
        (!keys.is_empty()).then(|| self.dice.pick(&keys).clone())
    }

    /// An argument whose sums are the same in any order.
    pub(super) fn tame(&mut self, place: &Place, ty: Type) -> Expr {
        let columns = place.of(ty);
        if columns.is_empty() || !matches!(ty, Type::Int | Type::Real) {
            return self.expr(&place.flat(), ty, 1);
        }
        let column = self.dice.pick(&columns).clone();
        match self.dice.roll(8) {
            0 => Expr::Case {
                operand: None,
                arms: vec![(self.condition(&place.valued(), 1), column)],
                otherwise: None,
                ty,
            },
            1 if ty == Type::Int => self.expr(&place.valued(), ty, 2),
            _ => column,
        }
    }

    /// Keys that leave no choice which value is first: the value itself is the last of them.
    fn order_with(&mut self, place: &Place, value: &Expr) -> Vec<Key> {
        let mut keys = Vec::new();
        if self.dice.chance(80) {
            let of = self.ty_of(place);
            let expr = self.leaf(&place.flat(), of);
            keys.push(self.key(expr));
        }
        keys.push(self.key(value.clone()));
        // A number alone would be taken for the place of a column, and a key twice is refused.
        keys.retain(|key| !matches!(key.expr, Expr::Literal(_)));
        keys.dedup_by(|one, other| one.expr == other.expr);
        if keys.is_empty() {
            keys.push(self.key(Expr::Negate(Box::new(Expr::Literal(Literal::Int(1))))));
        }
        keys
    }

    pub(super) fn key(&mut self, expr: Expr) -> Key {
        Key {
            expr,
            descending: self.dice.chance(35),
            nulls_first: *self.dice.pick(&[None, None, Some(true), Some(false)]),
        }
    }
}
