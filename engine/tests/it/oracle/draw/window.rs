//! Window functions over one patient's rows.

use super::super::tree::{Expr, Literal, Type, Window};
use super::{Draw, Place};

/// Frames that peers do not make ambiguous.
const BY_RANGE: [Option<&str>; 4] = [
    None,
    None,
    Some("RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING"),
    Some("RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING"),
];

/// Frames of rows, for windows whose order is total.
const BY_ROWS: [Option<&str>; 5] = [
    Some("ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING"),
    Some("ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"),
    Some("ROWS UNBOUNDED PRECEDING"),
    Some("ROWS BETWEEN 2 PRECEDING AND 1 PRECEDING"),
    Some("GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW"),
];

impl Draw {
    /// A window function of this type, where the place has a patient.
    pub(super) fn window(&mut self, place: &Place, ty: Type) -> Option<Expr> {
        let subject = place.subject.clone()?;
        let flat = Place { windows: false, ..place.flat() };
        let mut window = Window {
            name: "",
            args: Vec::new(),
            ignore_nulls: false,
            filter: None,
            partition: vec![subject],
            order: Vec::new(),
            frame: None,
            ty,
        };
        if self.dice.chance(20) {
            let of = self.ty_of(&flat);
            let by = self.leaf(&flat, of);
            if !matches!(by, Expr::Literal(_)) {
                window.partition.push(by);
            }
        }
        for _ in 0..1 + self.dice.roll(2) {
            let of = self.ty_of(&flat);
            let by = self.leaf(&flat, of);
            if !matches!(by, Expr::Literal(_)) {
                window.order.push(self.key(by));
            }
        }
        let total = match &place.identity {
            Some(identity) if self.dice.chance(80) => {
                let keys: Vec<_> = identity.iter().map(|expr| self.key(expr.clone())).collect();
                window.order.extend(keys);
                true
            }
            _ => false,
        };
        let any: &[&str] = match ty {
            Type::Int => &["rank", "dense_rank", "count", "sum", "min", "max"],
            Type::Real => &["avg", "sum", "min", "max", "stddev", "percent_rank", "cume_dist"],
            Type::Truth => &["bool_and", "bool_or"],
            Type::Text | Type::Day | Type::Moment => &["min", "max"],
        };
        let ordered: &[&str] = &["lag", "lead", "first_value", "last_value", "row_number", "ntile"];
        let ordered = if ty == Type::Int { ordered } else { &ordered[..4] };
        window.name = if total && self.dice.chance(65) { *self.dice.pick(ordered) } else { *self.dice.pick(any) };
        match window.name {
            "rank" | "dense_rank" | "row_number" | "percent_rank" | "cume_dist" => {}
            "ntile" => window.args = vec![Expr::Literal(Literal::Int(1 + self.dice.roll(4) as i64))],
            "lag" | "lead" => {
                window.args = vec![self.leaf(&flat, ty)];
                if self.dice.chance(50) {
                    window.args.push(Expr::Literal(Literal::Int(1 + self.dice.roll(2) as i64)));
                    if self.dice.chance(50) {
                        window.args.push(self.literal(ty));
                    }
                }
                window.ignore_nulls = self.dice.chance(20);
            }
            name => {
                if name == "count" {
                    window.args = if self.dice.chance(50) { vec![self.leaf(&flat, Type::Day)] } else { Vec::new() };
                } else {
                    window.args = vec![self.tame(&flat, ty)];
                }
                let picks = ["first_value", "last_value"].contains(&name);
                window.ignore_nulls = picks && self.dice.chance(20);
                window.frame =
                    if total && self.dice.chance(50) { *self.dice.pick(&BY_ROWS) } else { *self.dice.pick(&BY_RANGE) };
                if window.order.is_empty() {
                    window.frame = None;
                }
                window.filter = (!picks && self.dice.chance(8)).then(|| self.condition(&flat, 1));
            }
        }
        if window.order.is_empty() && ["rank", "dense_rank"].contains(&window.name) {
            return None;
        }
        Some(Expr::Window(Box::new(window)))
    }
}
