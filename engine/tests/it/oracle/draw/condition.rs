//! Conditions, with three-valued logic wherever it can be had.

use super::super::schema::Kind;
use super::super::tree::{Expr, Literal, Type};
use super::{Draw, Place};

const COMPARISONS: [&str; 6] = ["=", "<>", "<", "<=", ">", ">="];
const PATTERNS: [&str; 9] = ["a%", "%b", "_", "%", "a_b", "A%", "", "%é%", "a\\%b"];

/// The comparison with its sides exchanged.
fn mirrored(op: &'static str) -> &'static str {
    match op {
        "<" => ">",
        "<=" => ">=",
        ">" => "<",
        ">=" => "<=",
        same => same,
    }
}

impl Draw {
    pub(super) fn condition(&mut self, place: &Place, depth: usize) -> Expr {
        let inner = depth.saturating_sub(1);
        if depth == 0 {
            return self.comparison(place, 0);
        }
        if place.tests && self.dice.chance(30) {
            let test = if self.dice.chance(45) { self.exists(place) } else { self.within(place) };
            if let Some(test) = test {
                return test;
            }
        }
        match self.dice.weighted(&[16, 14, 8, 22, 6, 8, 6, 5, 7, 6, 8, 3, 3, 3, 1, 6]) {
            0 => Expr::And(Box::new(self.condition(place, inner)), Box::new(self.condition(place, inner))),
            1 => Expr::Or(Box::new(self.condition(place, inner)), Box::new(self.condition(place, inner))),
            2 => Expr::Not(Box::new(self.condition(place, inner))),
            3 => self.comparison(place, inner),
            4 => self.between(place, inner),
            5 => {
                let of = self.ty_of(place);
                let expr = self.expr(place, of, inner);
                self.in_list(place, expr)
            }
            6 => self.lists(place, inner),
            7 => self.like(place, inner),
            8 => self.is_null(place, inner),
            9 => {
                let of = Box::new(self.truth(place, inner));
                let value = *self.dice.pick(&[Some(true), Some(false), None]);
                Expr::IsTruth { negated: self.dice.chance(50), value, expr: of }
            }
            10 => {
                let of = self.ty_of(place);
                let left = self.side(place, of, inner);
                let right = self.outer(place, of).unwrap_or_else(|| self.side(place, of, inner));
                Expr::Distinct { negated: self.dice.chance(50), left: Box::new(left), right: Box::new(right) }
            }
            11 => self.case(place, Type::Truth, depth),
            12 => self.call(place, Type::Truth, depth),
            13 => self.leaf(place, Type::Truth),
            14 => self.literal(Type::Truth),
            _ => self.bounds(place),
        }
    }

    /// Two conditions on one column, which stands on either side of each.
    pub(super) fn bounds(&mut self, place: &Place) -> Expr {
        let of = *self.dice.pick(&[Type::Int, Type::Int, Type::Real, Type::Day]);
        let columns = place.of(of);
        if columns.is_empty() {
            return self.comparison(place, 0);
        }
        let column = self.dice.pick(&columns).clone();
        let first = self.literal(of);
        let second = if self.dice.chance(60) { first.clone() } else { self.literal(of) };
        let op = *self.dice.pick(&COMPARISONS);
        let mut compared = |literal: Expr| {
            let op = if self.dice.chance(40) { op } else { *self.dice.pick(&COMPARISONS) };
            let (op, left, right) = if self.dice.chance(50) {
                (op, column.clone(), literal)
            } else {
                (mirrored(op), literal, column.clone())
            };
            Box::new(Expr::Compare { op, left: Box::new(left), right: Box::new(right) })
        };
        Expr::And(compared(first), compared(second))
    }

    fn truth(&mut self, place: &Place, depth: usize) -> Expr {
        if depth == 0 { self.comparison(place, 0) } else { self.condition(place, depth) }
    }

    /// One side of a comparison.
    fn side(&mut self, place: &Place, ty: Type, depth: usize) -> Expr {
        match ty {
            Type::Truth => self.truth(place, depth),
            _ => self.expr(place, ty, depth),
        }
    }

    fn comparison(&mut self, place: &Place, depth: usize) -> Expr {
        let of = match self.ty_of(place) {
            Type::Truth if depth == 0 => Type::Int,
            ty => ty,
        };
        let left = self.side(place, of, depth);
        let other = if of == Type::Real && self.dice.chance(20) { Type::Int } else { of };
        let right = match (self.dice.chance(60), self.outer(place, of)) {
            (false, Some(outer)) => outer,
            (true, _) => self.beside(&left, other),
            (false, None) => self.side(place, other, depth),
        };
        let op = if of == Type::Truth { "=" } else { *self.dice.pick(&COMPARISONS) };
        Expr::Compare { op, left: Box::new(left), right: Box::new(right) }
    }

    /// A literal that something is compared with: of its type, or a text or number that is made one.
    fn beside(&mut self, left: &Expr, ty: Type) -> Expr {
        let plain = matches!(left, Expr::Literal(_));
        match (self.literal(ty), ty) {
            (Expr::Literal(Literal::Day(day)), Type::Day) if !plain && self.dice.chance(40) => {
                Expr::Literal(Literal::DayText(day))
            }
            (_, Type::Text) if !plain && self.dice.chance(15) => self.literal(Type::Int),
            (literal, _) => literal,
        }
    }

    /// A column of the query around.
    fn outer(&mut self, place: &Place, ty: Type) -> Option<Expr> {
        let fitting: Vec<&Expr> = place.outer.iter().filter(|expr| expr.ty() == ty).collect();
        (!fitting.is_empty() && self.dice.chance(50)).then(|| (*self.dice.pick(&fitting)).clone())
    }

    fn between(&mut self, place: &Place, depth: usize) -> Expr {
        let of = match self.ty_of(place) {
            Type::Truth => Type::Int,
            ty => ty,
        };
        let expr = self.expr(place, of, depth);
        let (low, high) = if self.dice.chance(70) {
            let number = of == Type::Text;
            let mut side = || if number { self.literal(of) } else { self.beside(&expr, of) };
            (side(), side())
        } else {
            (self.expr(place, of, depth), self.expr(place, of, depth))
        };
        Expr::Between { negated: self.dice.chance(35), expr: Box::new(expr), low: Box::new(low), high: Box::new(high) }
    }

    pub(super) fn in_list(&mut self, place: &Place, expr: Expr) -> Expr {
        let of = expr.ty();
        let count = 1 + self.dice.weighted(&[2, 4, 4, 2, 2]);
        let value = |draw: &mut Self| match draw.dice.weighted(&[86, 7, 7]) {
            0 => draw.literal(of),
            1 => draw.leaf(place, of),
            _ => draw.case(place, of, 1),
        };
        let list = (0..count).map(|_| value(self)).collect();
        Expr::InList { negated: self.dice.chance(45), expr: Box::new(expr), list }
    }

    /// Two lists that one column is held against.
    fn lists(&mut self, place: &Place, depth: usize) -> Expr {
        let of = if self.dice.chance(80) { Type::Int } else { self.ty_of(place) };
        let expr = if self.dice.chance(85) { self.leaf(place, of) } else { self.expr(place, of, depth) };
        let (left, right) = (self.in_list(place, expr.clone()), self.in_list(place, expr));
        let (left, right) = (Box::new(left), Box::new(right));
        if self.dice.chance(50) { Expr::And(left, right) } else { Expr::Or(left, right) }
    }

    fn like(&mut self, place: &Place, depth: usize) -> Expr {
        let expr = self.expr(place, Type::Text, depth);
        let pattern = Expr::Literal(Literal::Text((*self.dice.pick(&PATTERNS)).to_string()));
        Expr::Like {
            negated: self.dice.chance(40),
            insensitive: self.dice.chance(35),
            expr: Box::new(expr),
            pattern: Box::new(pattern),
        }
    }

    fn is_null(&mut self, place: &Place, depth: usize) -> Expr {
        let keys: Vec<Expr> = place
            .columns
            .iter()
            .filter(|(_, kind)| matches!(kind, Kind::Subject | Kind::Key(_)))
            .map(|(expr, _)| expr.clone())
            .collect();
        let of = self.ty_of(place);
        let expr = if !keys.is_empty() && self.dice.chance(30) {
            self.dice.pick(&keys).clone()
        } else if let Some(outer) = self.outer(place, of) {
            outer
        } else {
            self.side(place, of, depth)
        };
        Expr::IsNull { negated: self.dice.chance(50), expr: Box::new(expr) }
    }
}
