//! Queries of patients' rows: plain, grouped by the patient, made of others by UNION and its like.

use super::super::schema::Kind;
use super::super::tree::{Body, Expr, Item, Literal, Node, Query, Relation, Select, Source, Type};
use super::source::{Drawn, Joining};
use super::{Draw, Place};

impl Draw {
    /// A query of patients' rows, with `person_id`, `w` where it has who that is, and some more columns.
    pub(super) fn rows(&mut self, depth: usize, one_row: bool) -> (Query, Drawn) {
        if one_row || self.dice.chance(35) {
            return self.grouped_rows(depth, one_row);
        }
        if self.dice.chance(20) {
            return self.set_rows(depth);
        }
        if self.dice.chance(20) {
            return self.ranked();
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
        self.unnamed(&mut query);
        (query, Drawn { name: String::new(), columns, one_row: false })
    }

    /// Takes the alias from a derived table that stands alone, so that its columns are written bare.
    pub(super) fn unnamed(&mut self, query: &mut Query) {
        let Body::Select(select) = &mut query.body else { return };
        if !select.joins.is_empty() || !matches!(select.from.relation, Relation::Query(_)) || !self.dice.chance(40) {
            return;
        }
        // What is bare in a subquery may be the subquery's own.
        let mut subqueries = false;
        select.exprs_mut().for_each(|expr| expr.walk(&mut |node| subqueries |= matches!(node, Node::Query(_))));
        if subqueries {
            return;
        }
        let alias = std::mem::take(&mut select.from.alias);
        select.exprs_mut().for_each(|expr| {
            expr.walk(&mut |node| {
                if let Node::Expr(Expr::Column { of, .. }) = node
                    && *of == alias
                {
                    of.clear();
                }
            });
        });
    }

    /// A condition for WHERE, with every kind of subquery.
    pub(super) fn filter(&mut self, place: &Place) -> Option<Expr> {
        let place = Place { tests: true, scalars: self.dice.chance(50), windows: false, ..place.clone() };
        match self.dice.weighted(&[57, 8, 35]) {
            0 => Some(self.condition(&place, 3)),
            1 => Some(self.bounds(&place)),
            _ => None,
        }
    }

    /// Rows grouped by the patient, or by the patient and more.
    fn grouped_rows(&mut self, depth: usize, one_row: bool) -> (Query, Drawn) {
        let joins = self.dice.weighted(&[60, 30, 10]);
        let joining = if self.dice.chance(15) { self.told_orders() } else { self.patients(depth, joins) };
        self.grouped_over(joining, one_row)
    }

    /// Rows of a query that WITH defines, grouped by the patient and more, or each only once; beside others where it has one row
    /// a patient, who is then no longer unique.
    pub(super) fn told_again(&mut self, of: &Drawn) -> (Query, Drawn) {
        let alias = self.alias('t');
        let place = Place::over(&alias, &of.columns);
        let from = Source { relation: Relation::Table(of.name.clone()), alias };
        let mut joining = Joining { from, joins: Vec::new(), place };
        if of.one_row {
            self.join_more(&mut joining, 0, 1, false);
        }
        if of.one_row || self.dice.chance(60) {
            return self.grouped_over(joining, false);
        }
        let (mut items, mut columns) = heads(&joining.place);
        let further = joining.place.columns.clone().into_iter().filter(|(_, kind)| matches!(kind, Kind::Plain(_)));
        for (n, (expr, kind)) in further.take(1).enumerate() {
            items.push(named(expr, &format!("c{n}")));
            columns.push((format!("c{n}"), kind));
        }
        let mut query = joining.into_query(items, None, Vec::new(), None);
        if let Body::Select(select) = &mut query.body {
            select.distinct = true;
        }
        (query, Drawn { name: String::new(), columns, one_row: false })
    }

    pub(super) fn grouped_over(&mut self, mut joining: Joining, one_row: bool) -> (Query, Drawn) {
        joining.place.tests = self.dice.chance(20);
        joining.place.scalars = joining.place.tests;
        let place = joining.place.clone();
        let filter = self.filter(&place);
        let subject = place.subject.clone().expect("patients' rows have a subject");
        let more = if one_row { 0 } else { 1 + self.dice.roll(2) };
        let keys = self.further_keys(&place, more);
        let plain = [&subject].into_iter().chain(&keys).all(is_column);
        let grouped = Place {
            columns: keys.iter().map(|key| (key.clone(), Kind::Plain(key.ty()))).collect(),
            subject: Some(subject.clone()),
            grouped: Some(Box::new(place.clone())),
            scalars: self.dice.chance(20) && plain,
            tests: self.dice.chance(15) && plain,
            ..Place::default()
        };
        let mut items = vec![named(subject.clone(), "person_id")];
        let mut columns = vec![("person_id".to_string(), Kind::Subject)];
        if let Some(who) = place.who() {
            items.push(named(self.most(who), "w"));
            columns.push(("w".to_string(), Kind::Who));
        }
        for (n, key) in keys.iter().enumerate() {
            let name = format!("c{n}");
            items.push(named(key.clone(), &name));
            columns.push((name, Kind::Plain(key.ty())));
        }
        for n in keys.len()..keys.len() + 1 + self.dice.roll(3) {
            let ty = self.ty();
            let name = format!("c{n}");
            let value = if self.dice.chance(60) { self.aggregate(&place, ty) } else { self.expr(&grouped, ty, 2) };
            items.push(named(value, &name));
            columns.push((name, Kind::Plain(ty)));
        }
        let tests = Place { tests: self.dice.chance(30) && plain, ..grouped };
        let having = self.dice.chance(35).then(|| self.condition(&tests, 2));
        let group = [subject].into_iter().chain(keys).collect::<Vec<_>>();
        let one_row = group.len() == 1;
        let mut query = joining.into_query(items, filter, group, having);
        if let Body::Select(select) = &mut query.body {
            select.by_place = self.dice.chance(15);
        }
        self.unnamed(&mut query);
        (query, Drawn { name: String::new(), columns, one_row })
    }

    /// What rows are grouped by beside the patient.
    fn further_keys(&mut self, place: &Place, count: usize) -> Vec<Expr> {
        let mut keys: Vec<Expr> = Vec::new();
        for _ in 0..count {
            let ty = self.ty_of(place);
            let key = if self.dice.chance(60) { self.leaf(&place.flat(), ty) } else { self.expr(&place.flat(), ty, 1) };
            // A number would be the place of a column.
            if !matches!(key, Expr::Literal(_)) && !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }

    /// The ids of patients who are in a set.
    pub(super) fn set_of_subjects(&mut self) -> Query {
        self.set_rows_with(0, &[]).0
    }

    /// UNION, INTERSECT or EXCEPT of queries of patients' rows.
    fn set_rows(&mut self, depth: usize) -> (Query, Drawn) {
        let more: Vec<Type> = (0..self.dice.weighted(&[40, 40, 20])).map(|_| self.ty()).collect();
        self.set_rows_with(depth, &more)
    }

    /// The same with further columns of these types.
    fn set_rows_with(&mut self, depth: usize, more: &[Type]) -> (Query, Drawn) {
        let mut columns = vec![("person_id".to_string(), Kind::Subject)];
        columns.extend(more.iter().enumerate().map(|(n, ty)| (format!("c{n}"), Kind::Plain(*ty))));
        let mut query = self.part(depth, &columns);
        for _ in 0..1 + self.dice.weighted(&[70, 22, 8]) {
            let other = self.part(depth, &columns);
            let op = *self.dice.pick(&["UNION", "UNION", "INTERSECT", "EXCEPT"]);
            let all = self.dice.chance(if op == "UNION" { 50 } else { 15 });
            query = if self.dice.chance(60) { set(op, all, query, other) } else { set(op, all, other, query) };
        }
        self.other_names(&mut query);
        (query, Drawn { name: String::new(), columns, one_row: false })
    }

    /// A query that a set is made of.
    fn part(&mut self, depth: usize, columns: &[(String, Kind)]) -> Query {
        let joins = self.dice.weighted(&[80, 20]);
        let joining = self.patients(depth.min(1), joins);
        let place = joining.place.clone();
        let mut items = Vec::new();
        for (name, kind) in columns {
            let value = match kind {
                Kind::Subject => place.subject.clone().expect("patients' rows have a subject"),
                kind => self.leaf(&place, kind.ty()),
            };
            items.push(named(value, name));
        }
        let nothing = Expr::Literal(Literal::Truth(false));
        let filter = if self.dice.chance(8) { Some(nothing) } else { self.filter(&place) };
        let mut query = joining.into_query(items, filter, Vec::new(), None);
        if let Body::Select(select) = &mut query.body {
            select.distinct = self.dice.chance(20);
        }
        self.unnamed(&mut query);
        query
    }

    /// Gives the columns of all parts but the first other names, or each other's.
    fn other_names(&mut self, query: &mut Query) {
        let Body::Set { left, right, .. } = &mut query.body else { return };
        self.other_names(left);
        self.renamed(right);
    }

    fn renamed(&mut self, query: &mut Query) {
        match &mut query.body {
            Body::Set { left, right, .. } => {
                self.renamed(left);
                self.renamed(right);
            }
            Body::Select(select) => match self.dice.weighted(&[50, 25, 25]) {
                0 => {}
                1 => select.items.iter_mut().enumerate().for_each(|(n, item)| item.name = format!("x{n}")),
                _ => {
                    let mut names: Vec<String> = select.items.iter().map(|item| item.name.clone()).collect();
                    names.rotate_left(1);
                    select.items.iter_mut().zip(names).for_each(|(item, name)| item.name = name);
                }
            },
        }
    }

    /// Who the rows of a group are of.
    pub(super) fn most(&mut self, who: Expr) -> Expr {
        let name = if self.dice.chance(80) { "max" } else { "min" };
        Expr::Aggregate { name, distinct: false, args: vec![who], order: Vec::new(), filter: None, ty: Type::Int }
    }
}

/// Whether subqueries may be of a group with this key: PostgreSQL takes what columns make up for columns that are not grouped.
pub(super) const fn is_column(key: &Expr) -> bool {
    matches!(key, Expr::Column { .. })
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
