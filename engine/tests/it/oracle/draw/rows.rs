//! Queries of patients' rows: plain, grouped by the patient, made of others by UNION and its like.

use super::super::schema::Kind;
use super::super::tree::{Body, Expr, Item, Query, Select, Source, Type};
use super::source::Drawn;
use super::{Draw, Place};

impl Draw {
    /// A query of patients' rows, with `person_id`, `w` where it has who that is, and some more columns.
    pub(super) fn rows(&mut self, depth: usize, one_row: bool) -> (Query, Drawn) {
        if one_row || self.dice.chance(30) {
            return self.grouped_rows(depth);
        }
        if self.dice.chance(20) {
            return self.set_rows(depth);
        }
        let joins = self.dice.weighted(&[60, 30, 10]);
        let mut joining = self.patients(depth, joins);
        joining.place.windows = self.dice.chance(45);
        joining.place.scalars = true;
        joining.place.tests = self.dice.chance(30);
        let place = joining.place.clone();
        let (mut items, mut columns) = heads(&place);
        for n in 0..1 + self.dice.roll(3) {
            let ty = self.ty();
            let name = format!("c{n}");
            items.push(named(self.expr(&place, ty, 2), &name));
            columns.push((name, Kind::Plain(ty)));
        }
        let filter = self.filter(&place);
        let mut query = joining.into_query(items, filter, Vec::new(), None);
        if let Body::Select(select) = &mut query.body {
            select.distinct = self.dice.chance(12);
        }
        (query, Drawn { name: String::new(), columns, one_row: false })
    }

    /// A condition for WHERE, with every kind of subquery.
    pub(super) fn filter(&mut self, place: &Place) -> Option<Expr> {
        let place = Place { tests: true, scalars: self.dice.chance(50), windows: false, ..place.clone() };
        self.dice.chance(65).then(|| self.condition(&place, 3))
    }

    fn grouped_rows(&mut self, depth: usize) -> (Query, Drawn) {
        let joins = self.dice.weighted(&[60, 30, 10]);
        let mut joining = self.patients(depth, joins);
        joining.place.tests = self.dice.chance(20);
        joining.place.scalars = joining.place.tests;
        let place = joining.place.clone();
        let filter = self.filter(&place);
        let Some(subject) = place.subject.clone() else { return self.set_rows(depth) };
        let grouped = Place {
            subject: Some(subject.clone()),
            grouped: Some(Box::new(place.clone())),
            scalars: self.dice.chance(20) && is_column(&subject),
            tests: self.dice.chance(15) && is_column(&subject),
            ..Place::default()
        };
        let mut items = vec![named(subject.clone(), "person_id")];
        let mut columns = vec![("person_id".to_string(), Kind::Subject)];
        if let Some(who) = place.who() {
            items.push(named(self.most(who), "w"));
            columns.push(("w".to_string(), Kind::Who));
        }
        for n in 0..1 + self.dice.roll(3) {
            let ty = self.ty();
            let name = format!("c{n}");
            let value = if self.dice.chance(60) { self.aggregate(&place, ty) } else { self.expr(&grouped, ty, 2) };
            items.push(named(value, &name));
            columns.push((name, Kind::Plain(ty)));
        }
        let tests = Place { tests: self.dice.chance(30) && is_column(&subject), ..grouped };
        let having = self.dice.chance(35).then(|| self.condition(&tests, 2));
        let query = joining.into_query(items, filter, vec![subject], having);
        (query, Drawn { name: String::new(), columns, one_row: true })
    }

    /// The ids of patients who are in a set.
    pub(super) fn set_of_subjects(&mut self) -> Query {
        self.set_rows_with(0, None).0
    }

    /// UNION, INTERSECT or EXCEPT of queries of patients' rows.
    fn set_rows(&mut self, depth: usize) -> (Query, Drawn) {
        let more = self.dice.chance(60).then(|| self.ty());
        self.set_rows_with(depth, more)
    }

    /// The same with a further column of a type.
    fn set_rows_with(&mut self, depth: usize, more: Option<Type>) -> (Query, Drawn) {
        let side = |draw: &mut Self| {
            let joins = draw.dice.weighted(&[80, 20]);
            let joining = draw.patients(depth.min(1), joins);
            let place = joining.place.clone();
            let subject = place.subject.clone().expect("patients' rows have a subject");
            let mut items = vec![named(subject, "person_id")];
            if let Some(ty) = more {
                items.push(named(draw.leaf(&place, ty), "c0"));
            }
            let filter = draw.filter(&place);
            joining.into_query(items, filter, Vec::new(), None)
        };
        let mut query = side(self);
        for _ in 0..1 + self.dice.weighted(&[70, 22, 8]) {
            let other = side(self);
            let op = *self.dice.pick(&["UNION", "UNION", "INTERSECT", "EXCEPT"]);
            let all = self.dice.chance(if op == "UNION" { 50 } else { 15 });
            query = if self.dice.chance(60) { set(op, all, query, other) } else { set(op, all, other, query) };
        }
        let mut columns = vec![("person_id".to_string(), Kind::Subject)];
        if let Some(ty) = more {
            columns.push(("c0".to_string(), Kind::Plain(ty)));
        }
        (query, Drawn { name: String::new(), columns, one_row: false })
    }

    /// Who the rows of a group are of.
    pub(super) fn most(&mut self, who: Expr) -> Expr {
        let name = if self.dice.chance(80) { "max" } else { "min" };
        Expr::Aggregate { name, distinct: false, args: vec![who], order: Vec::new(), filter: None, ty: Type::Int }
    }
}

/// Whether subqueries may be of a group's subject: PostgreSQL takes one that two columns make up for columns that are not grouped.
pub(super) const fn is_column(subject: &Expr) -> bool {
    matches!(subject, Expr::Column { .. })
}

/// The subject and, where it is there, who that is.
pub(super) fn heads(place: &Place) -> (Vec<Item>, Vec<(String, Kind)>) {
    let subject = place.subject.clone().map(|subject| (subject, "person_id", Kind::Subject));
    let who = place.who().map(|who| (who, "w", Kind::Who));
    let heads: Vec<_> = subject.into_iter().chain(who).collect();
    let columns = heads.iter().map(|(_, name, kind)| ((*name).to_string(), *kind)).collect();
    (heads.into_iter().map(|(expr, name, _)| named(expr, name)).collect(), columns)
}

pub(super) fn named(expr: Expr, name: &str) -> Item {
    Item { expr, name: name.to_string() }
}

pub(super) fn plain(items: Vec<Item>, from: Source, filter: Option<Expr>) -> Query {
    Query::select(Select {
        distinct: false,
        items,
        from,
        joins: Vec::new(),
        filter,
        group: Vec::new(),
        by_place: false,
        having: None,
        qualify: None,
    })
}

pub(super) fn set(op: &'static str, all: bool, left: Query, right: Query) -> Query {
    Query { with: Vec::new(), body: Body::Set { op, all, left: Box::new(left), right: Box::new(right) } }
}
