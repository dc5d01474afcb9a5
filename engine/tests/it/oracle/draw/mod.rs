//! Draws studies out of the whole accepted language: what a query may do is drawn freely, and what it must do to be
//! accepted (joins, groups, windows and subqueries by the patient, one row a patient) is drawn in.

mod aggregate;
mod cohort;
mod condition;
mod expression;
mod order;
mod rows;
mod source;
mod subquery;
mod vocabulary;
mod window;

use super::dice::Dice;
use super::schema::Kind;
use super::store::{CODES, DAYS, MOMENTS, REALS, TEXTS};
use super::tree::{Expr, Literal, Type};

pub(super) use cohort::Study;

/// What the expressions of one place may refer to.
#[derive(Clone, Debug, Default)]
struct Place {
    columns: Vec<(Expr, Kind)>,
    /// The patient's id, for subqueries of the same patient.
    subject: Option<Expr>,
    /// What tells one patient's rows from each other, where that is known.
    identity: Option<Vec<Expr>>,
    /// Columns of the query around this one.
    outer: Vec<Expr>,
    /// In a grouped query, where arguments of aggregates are drawn from.
    grouped: Option<Box<Place>>,
    /// Whether window functions may stand here.
    windows: bool,
    /// Whether EXISTS and IN (SELECT …) may stand here.
    tests: bool,
    /// Whether scalar subqueries may stand here.
    scalars: bool,
}

impl Place {
    /// The columns of a type that are no identifiers.
    fn of(&self, ty: Type) -> Vec<Expr> {
        let plain = |(expr, kind): &(Expr, Kind)| match kind {
            Kind::Plain(_) | Kind::Who if expr.ty() == ty => Some(expr.clone()),
            _ => None,
        };
        self.columns.iter().filter_map(plain).collect()
    }

    fn who(&self) -> Option<Expr> {
        self.columns.iter().find(|(_, kind)| *kind == Kind::Who).map(|(expr, _)| expr.clone())
    }

    /// The same for a value of a row, where subqueries may stand in some.
    fn valued(&self) -> Self {
        if self.tests { Self { windows: false, ..self.clone() } } else { self.flat() }
    }

    /// The same without subqueries.
    fn flat(&self) -> Self {
        Self { tests: false, scalars: false, ..self.clone() }
    }
}

/// The state of drawing one study.
struct Draw {
    dice: Dice,
    aliases: usize,
    /// What WITH has defined so far: the name, the columns, whether it has one row a patient.
    named: Vec<source::Drawn>,
    /// Whether what WITH defines is each made of the one before it, and most of the study of those.
    retold: bool,
}

const TYPES: [Type; 6] = [Type::Int, Type::Real, Type::Text, Type::Truth, Type::Day, Type::Moment];

impl Draw {
    fn alias(&mut self, letter: char) -> String {
        self.aliases += 1;
        format!("{letter}{}", self.aliases)
    }

    fn ty(&mut self) -> Type {
        TYPES[self.dice.weighted(&[40, 22, 12, 6, 14, 6])]
    }

    /// A type, mostly one that the place has columns of.
    fn ty_of(&mut self, place: &Place) -> Type {
        let ty = self.ty();
        let there = |ty: Type| match &place.grouped {
            Some(inner) => !place.of(ty).is_empty() || !inner.of(ty).is_empty(),
            None => !place.of(ty).is_empty(),
        };
        if there(ty) || self.dice.chance(12) {
            return ty;
        }
        let those: Vec<Type> = TYPES.into_iter().filter(|ty| there(*ty)).collect();
        if those.is_empty() { ty } else { *self.dice.pick(&those) }
    }

    fn literal(&mut self, ty: Type) -> Expr {
        Expr::Literal(match ty {
            _ if self.dice.chance(4) => Literal::Null(ty),
            Type::Int => Literal::Int(match self.dice.roll(20) {
                0 => *self.dice.pick(&[
                    i64::MAX,
                    i64::MAX - 1,
                    1 << 53,
                    i64::MIN + 1,
                    i64::from(i32::MAX),
                    3_000_000_000,
                ]),
                1..8 => self.dice.roll(14) as i64 - 3,
                8 => 1900 + self.dice.roll(40) as i64,
                _ => *self.dice.pick(&CODES),
            }),
            Type::Real => Literal::Real(match self.dice.roll(25) {
                0 => *self.dice.pick(&[1e300, 1e-300, 9.3e18, 1e15]),
                _ => *self.dice.pick(&REALS),
            }),
            Type::Text => Literal::Text(self.dice.pick(&[&TEXTS[..], &["", "a ", "B"]].concat()).to_string()),
            Type::Truth => Literal::Truth(self.dice.chance(50)),
            Type::Day => Literal::Day((*self.dice.pick(&DAYS)).to_string()),
            Type::Moment => Literal::Moment((*self.dice.pick(&MOMENTS)).to_string()),
        })
    }
}
