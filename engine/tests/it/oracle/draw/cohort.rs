//! Whole studies: one row a patient, with the patient's own number and some declared columns.

use super::super::dice::Dice;
use super::super::schema::Kind;
use super::super::tree::{Body, Expr, Item, Join, Joined, Key, Literal, Query, Relation, Source, Type, Window};
use super::rows::{is_column, named, plain};
use super::source::Drawn;
use super::{Draw, Place};

/// A study's query, and what it declares.
#[derive(Clone, Debug)]
pub(in super::super) struct Study {
    pub(in super::super) query: Query,
    /// The declared columns after the subject, by name and type; the first is the patient's own number.
    pub(in super::super) columns: Vec<(String, Type)>,
    pub(in super::super) threads: usize,
    /// Whether few rows are many to the engine, which then works as it does on large tables.
    pub(in super::super) large: bool,
}

impl Study {
    /// How it is run.
    pub(in super::super) fn way(&self) -> String {
        format!("{} threads{}", self.threads, if self.large { ", as on large tables" } else { "" })
    }

    pub(in super::super) fn draw(seed: u64) -> Self {
        let mut draw = Draw { dice: Dice::new(seed), aliases: 0, named: Vec::new(), retold: false };
        draw.retold = draw.dice.chance(12);
        if !draw.retold && draw.dice.chance(10) {
            return draw.of_orders();
        }
        let mut with = Vec::new();
        let count = if draw.retold { 2 + draw.dice.roll(2) } else { draw.dice.weighted(&[70, 22, 8]) };
        for n in 0..count {
            let (query, mut drawn) = match draw.named.last().cloned() {
                Some(before) if draw.retold => draw.told_again(&before),
                _ => {
                    let one_row = draw.retold || draw.dice.chance(50);
                    draw.rows(1, one_row)
                }
            };
            drawn.name = format!("w{n}");
            with.push((drawn.name.clone(), query));
            draw.named.push(drawn);
        }
        let counted = draw.named.last().filter(|_| draw.retold).cloned();
        if let Some(counted) = counted.filter(|_| draw.dice.chance(40)) {
            let columns = ["who", "v0"].map(|name| (name.to_string(), Type::Int)).to_vec();
            let mut query = draw.counted(&counted);
            query.with = with;
            return Self { query, columns, threads: 1 + draw.dice.roll(3), large: draw.dice.roll(2) == 0 };
        }
        let mut columns = vec![("who".to_string(), Type::Int)];
        for n in 0..1 + draw.dice.roll(2) {
            let ty = [Type::Int, Type::Real, Type::Text, Type::Truth][draw.dice.weighted(&[40, 30, 12, 18])];
            columns.push((format!("v{n}"), ty));
        }
        let mut query = match draw.dice.weighted(&[45, 28, 10, 17]) {
            0 => draw.per_person(&columns),
            1 => draw.per_group(&columns),
            2 => draw.distinct(&columns),
            _ => draw.first_row(&columns),
        };
        query.with = with;
        Self { query, columns, threads: 1 + draw.dice.roll(3), large: draw.dice.roll(2) == 0 }
    }
}

impl Draw {
    /// What is summed up of ranks, or of groups, where an order may be taken for known.
    fn of_orders(mut self) -> Study {
        let (query, mut drawn) = if self.dice.chance(65) {
            self.ranked()
        } else {
            let joining = self.told_orders();
            self.grouped_over(joining, false)
        };
        drawn.name = "w0".to_string();
        let columns = ["who", "v0", "v1"].map(|name| (name.to_string(), Type::Int)).to_vec();
        let mut study = self.summed(&drawn);
        study.with = vec![(drawn.name.clone(), query)];
        Study { query: study, columns, threads: 1 + self.dice.roll(3), large: self.dice.roll(2) == 0 }
    }

    /// How many rows each patient has of what WITH defines, and what their numbers come to where a column has a value or none.
    fn summed(&mut self, of: &Drawn) -> Query {
        let mut joining = self.person();
        let alias = self.alias('t');
        let place = Place::over(&alias, &of.columns);
        let own = place.subject.clone().expect("patients' rows have a subject");
        let subject = joining.place.subject.clone().expect("PERSON has a subject");
        let source = Source { relation: Relation::Table(of.name.clone()), alias };
        joining.joins.push(Join { kind: Joined::Inner, source, on: own.equals(subject.clone()) });
        let who = joining.place.who().expect("PERSON has the patient's number");
        let plain = place.columns.iter().filter(|(_, kind)| matches!(kind, Kind::Plain(_))).map(|(expr, _)| expr);
        let plain: Vec<Expr> = plain.cloned().collect();
        let number = plain.iter().find(|expr| expr.ty() == Type::Int).cloned();
        let value = match number {
            Some(number) => {
                // What has no value is last, or first, in every order.
                let last = plain.last().expect("the number at least").clone();
                let expr = Box::new(if self.dice.chance(50) { last } else { self.dice.pick(&plain).clone() });
                let when = Expr::IsNull { negated: self.dice.chance(40), expr };
                Expr::Case { operand: None, arms: vec![(when, number)], otherwise: None, ty: Type::Int }
            }
            None => Expr::Literal(Literal::Int(1)),
        };
        let (args, order) = (vec![value], Vec::new());
        let sum = Expr::Aggregate { name: "sum", distinct: false, args, order, filter: None, ty: Type::Int };
        let items = vec![
            named(subject.clone(), "subject"),
            named(self.most(who), "who"),
            named(Expr::count_of_rows(), "v0"),
            named(sum, "v1"),
        ];
        joining.into_query(items, None, vec![subject], None)
    }

    /// The declared columns over a place.
    fn declared(&mut self, place: &Place, who: Expr, columns: &[(String, Type)]) -> Vec<Item> {
        let subject = place.subject.clone().expect("a cohort is of patients");
        let mut items = vec![named(subject, "subject"), named(who, "who")];
        for (name, ty) in &columns[1..] {
            let depth = 1 + self.dice.roll(3);
            items.push(named(self.expr(place, *ty, depth), name));
        }
        items
    }

    /// PERSON with what has one row a patient.
    fn per_person(&mut self, columns: &[(String, Type)]) -> Query {
        let mut joining = self.person();
        let joins = self.dice.weighted(&[35, 45, 20]);
        self.join_more(&mut joining, 1, joins, true);
        joining.place.scalars = true;
        joining.place.windows = self.dice.chance(8);
        let place = joining.place.clone();
        let who = place.who().expect("PERSON has the patient's number");
        let items = self.declared(&place, who, columns);
        let filter = self.filter(&place);
        joining.into_query(items, filter, Vec::new(), None)
    }

    /// How many rows each patient has of what WITH defines.
    fn counted(&mut self, of: &Drawn) -> Query {
        let mut joining = self.person();
        let alias = self.alias('t');
        let own = Place::over(&alias, &of.columns).subject.expect("patients' rows have a subject");
        let subject = joining.place.subject.clone().expect("PERSON has a subject");
        let kind = *self.dice.pick(&[Joined::Inner, Joined::Left, Joined::Semi]);
        let source = Source { relation: Relation::Table(of.name.clone()), alias };
        joining.joins.push(Join { kind, source, on: own.equals(subject.clone()) });
        let who = joining.place.who().expect("PERSON has the patient's number");
        let count = Expr::count_of_rows();
        let items = vec![named(subject.clone(), "subject"), named(self.most(who), "who"), named(count, "v0")];
        let filter = if self.dice.chance(30) { self.filter(&joining.place.clone()) } else { None };
        joining.into_query(items, filter, vec![subject], None)
    }

    /// Patients' rows, grouped by the patient.
    fn per_group(&mut self, columns: &[(String, Type)]) -> Query {
        let joins = self.dice.weighted(&[30, 45, 25]);
        let mut joining = if self.dice.chance(50) { self.person() } else { self.patients(1, 0) };
        let with_person = joining.place.identity.as_ref().is_some_and(Vec::is_empty);
        self.join_more(&mut joining, 1, joins, false);
        joining.place.tests = self.dice.chance(25);
        joining.place.scalars = joining.place.tests;
        let place = joining.place.clone();
        let filter = self.filter(&place);
        let subject = place.subject.clone().expect("a cohort is of patients");
        let mut group = vec![subject.clone()];
        let mut grouped = Place {
            subject: Some(subject.clone()),
            grouped: Some(Box::new(place.clone())),
            scalars: self.dice.chance(20) && is_column(&subject),
            tests: self.dice.chance(15) && is_column(&subject),
            ..Place::default()
        };
        // PERSON's columns are the patient's own, as long as the row is.
        let kept = joining.joins.iter().all(|join| !matches!(join.kind, Joined::Right | Joined::Full));
        let who = match place.who() {
            Some(who) if with_person && kept && self.dice.chance(50) => {
                group.push(who.clone());
                let own: Vec<_> =
                    place.columns[..6].iter().filter(|(_, k)| matches!(k, Kind::Plain(_))).cloned().collect();
                for (expr, kind) in own {
                    if self.dice.chance(30) {
                        group.push(expr.clone());
                        grouped.columns.push((expr, kind));
                    }
                }
                who
            }
            Some(who) => self.most(who),
            None => Expr::Literal(Literal::Int(0)),
        };
        let items = self.declared(&grouped, who, columns);
        grouped.tests = self.dice.chance(30) && is_column(&subject);
        let having = self.dice.chance(40).then(|| self.condition(&grouped, 2));
        let mut query = joining.into_query(items, filter, group, having);
        if let Body::Select(select) = &mut query.body {
            select.by_place = self.dice.chance(15);
        }
        query
    }

    /// DISTINCT over PERSON's columns.
    fn distinct(&mut self, columns: &[(String, Type)]) -> Query {
        let mut joining = self.person();
        let own = Place { scalars: false, windows: false, ..joining.place.clone() };
        let joins = 1 + self.dice.roll(2);
        self.join_more(&mut joining, 1, joins, false);
        joining.joins.iter_mut().for_each(|join| {
            if join.kind == Joined::Right {
                join.kind = Joined::Left;
            }
        });
        let place = Place { subject: own.subject.clone(), ..joining.place.clone() };
        let who = own.who().expect("PERSON has the patient's number");
        let items = self.declared(&own, who, columns);
        let filter = self.filter(&place);
        let mut query = joining.into_query(items, filter, Vec::new(), None);
        if let Body::Select(select) = &mut query.body {
            select.distinct = true;
        }
        query
    }

    /// Each patient's first row by some order, by QUALIFY or out of a derived table.
    fn first_row(&mut self, columns: &[(String, Type)]) -> Query {
        let mut joining = self.patients(0, 0);
        while joining.place.identity.is_none() || joining.place.who().is_none() {
            joining = self.patients(0, 0);
        }
        let joins = self.dice.weighted(&[55, 35, 10]);
        let before = joining.joins.len();
        self.join_more(&mut joining, 0, joins, false);
        if joining.place.identity.is_none() {
            joining.joins.truncate(before);
            joining = loop {
                let joining = self.patients(0, 0);
                if joining.place.identity.is_some() && joining.place.who().is_some() {
                    break joining;
                }
            };
        }
        joining.place.windows = self.dice.chance(40);
        joining.place.scalars = self.dice.chance(40);
        let place = joining.place.clone();
        let number = self.row_number(&place);
        let who = place.who().expect("the table has the patient's number");
        let mut items = self.declared(&place, who, columns);
        let filter = self.filter(&place);
        let first = number.clone().equals(Expr::Literal(Literal::Int(1)));
        if self.dice.chance(40) {
            let mut query = joining.into_query(items, filter, Vec::new(), None);
            if let Body::Select(select) = &mut query.body {
                select.qualify = Some(first);
            }
            return query;
        }
        items.push(named(number, "n"));
        let inner = joining.into_query(items, filter, Vec::new(), None);
        let alias = self.alias('f');
        let of = |name: &str, ty: Type| Expr::Column { of: alias.clone(), name: name.to_string(), ty };
        let mut items = vec![named(of("subject", Type::Int), "subject")];
        items.extend(columns.iter().map(|(name, ty)| named(of(name, *ty), name)));
        let first = of("n", Type::Int).equals(Expr::Literal(Literal::Int(1)));
        let from = Source { relation: Relation::Query(Box::new(inner)), alias: alias.clone() };
        let mut query = plain(items, from, Some(first));
        self.unnamed(&mut query);
        query
    }

    /// The number of a row among its patient's, by an order without ties.
    fn row_number(&mut self, place: &Place) -> Expr {
        let of = self.ty_of(place);
        let by = self.leaf(&Place { grouped: None, ..place.flat() }, of);
        let mut order: Vec<Key> = Vec::new();
        if !matches!(by, Expr::Literal(_)) {
            order.push(self.key(by));
        }
        for expr in place.identity.clone().unwrap_or_default() {
            order.push(self.key(expr));
        }
        Expr::Window(Box::new(Window {
            name: "row_number",
            args: Vec::new(),
            ignore_nulls: false,
            filter: None,
            partition: place.subject.clone().into_iter().collect(),
            order,
            frame: None,
            ty: Type::Int,
        }))
    }
}
