//! What a query selects from: tables, names of WITH, derived tables, joined by the patient or to a vocabulary.

use super::super::schema::{Kind, TABLES, Table, table};
use super::super::store::CODES;
use super::super::tree::{Body, Expr, Item, Join, Joined, Literal, Query, Relation, Select, Source, Type};
use super::{Draw, Place};

/// The columns of what was drawn.
#[derive(Clone, Debug)]
pub(super) struct Drawn {
    /// The name that WITH gives it; empty for derived tables.
    pub(super) name: String,
    pub(super) columns: Vec<(String, Kind)>,
    pub(super) one_row: bool,
}

/// FROM with its joins, and what may be said over it.
pub(super) struct Joining {
    pub(super) from: Source,
    pub(super) joins: Vec<Join>,
    pub(super) place: Place,
}

fn column(of: &str, name: &str, kind: Kind) -> (Expr, Kind) {
    (Expr::Column { of: of.to_string(), name: name.to_string(), ty: kind.ty() }, kind)
}

fn columns_of(table: &Table) -> Vec<(String, Kind)> {
    table.columns.iter().map(|(name, kind)| ((*name).to_string(), *kind)).collect()
}

impl Place {
    fn over(alias: &str, columns: &[(String, Kind)]) -> Self {
        let columns: Vec<_> = columns.iter().map(|(name, kind)| column(alias, name, *kind)).collect();
        let subject = columns.iter().find(|(_, kind)| *kind == Kind::Subject).map(|(expr, _)| expr.clone());
        Self { columns, subject, ..Self::default() }
    }

    fn joined(&mut self, other: Self) {
        self.columns.extend(other.columns);
        self.identity = match (self.identity.take(), other.identity) {
            (Some(one), Some(other)) => Some([one, other].concat()),
            _ => None,
        };
    }
}

impl Draw {
    /// A table of patients, or what stands for one.
    fn patient_source(&mut self, depth: usize, one_row: bool) -> (Source, Place) {
        let alias = self.alias('t');
        let named: Vec<Drawn> = self.named.iter().filter(|drawn| drawn.one_row || !one_row).cloned().collect();
        if !named.is_empty() && self.dice.chance(35) {
            let drawn = self.dice.pick(&named).clone();
            let place = Place::over(&alias, &drawn.columns);
            return (Source { relation: Relation::Table(drawn.name), alias }, place);
        }
        if depth > 0 && (one_row || self.dice.chance(25)) {
            let (query, drawn) = self.rows(depth - 1, one_row);
            let place = Place::over(&alias, &drawn.columns);
            return (Source { relation: Relation::Query(Box::new(query)), alias }, place);
        }
        let tables: Vec<&Table> = TABLES.iter().filter(|table| table.domain.is_some()).collect();
        let table = if one_row { tables[0] } else { tables[self.dice.weighted(&[16, 20, 18, 22, 12, 10, 6])] };
        let mut place = Place::over(&alias, &columns_of(table));
        place.identity = match (table.name, place.columns[0].1) {
            ("person", _) => Some(Vec::new()),
            (_, Kind::Key(_)) => Some(vec![place.columns[0].0.clone()]),
            _ => None,
        };
        let relation = if self.dice.chance(4) {
            // SELECT of everything, as people write it.
            let items = table
                .columns
                .iter()
                .map(|(name, kind)| Item { expr: column("", name, *kind).0, name: (*name).to_string() });
            let from = Source { relation: Relation::Table(table.name.to_string()), alias: self.alias('t') };
            Relation::Query(Box::new(plain(items.collect(), from, None)))
        } else {
            Relation::Table(table.name.to_string())
        };
        (Source { relation, alias }, place)
    }

    pub(super) fn person(&mut self) -> Joining {
        let alias = self.alias('p');
        let mut place = Place::over(&alias, &columns_of(table("person").expect("there is PERSON")));
        place.identity = Some(Vec::new());
        let from = Source { relation: Relation::Table("person".to_string()), alias };
        Joining { from, joins: Vec::new(), place }
    }

    /// Patients' rows with up to this many joins.
    pub(super) fn patients(&mut self, depth: usize, joins: usize) -> Joining {
        let (from, place) = self.patient_source(depth, false);
        let mut joining = Joining { from, joins: Vec::new(), place };
        self.join_more(&mut joining, depth, joins, false);
        joining
    }

    /// Adds joins; with `one_row`, such as leave at most one row a patient.
    pub(super) fn join_more(&mut self, joining: &mut Joining, depth: usize, joins: usize, one_row: bool) {
        for n in 0..joins {
            let last = n + 1 == joins;
            let done = if self.dice.chance(if one_row { 15 } else { 22 }) {
                self.join_vocabulary(joining, last, one_row)
            } else {
                self.join_patients(joining, depth, last, one_row)
            };
            if done {
                break;
            }
        }
    }

    /// Says whether it has to be the last join.
    fn join_patients(&mut self, joining: &mut Joining, depth: usize, last: bool, one_row: bool) -> bool {
        let Some(subject) = joining.place.subject.clone() else { return true };
        let first = joining.joins.is_empty();
        let is_id = |expr: &Expr| matches!(expr, Expr::Column { name, .. } if name == "person_id");
        let kinds = [
            Joined::Inner,
            Joined::Left,
            Joined::Right,
            Joined::Semi,
            Joined::Anti,
            Joined::Comma,
            Joined::Cross,
            Joined::Using,
            Joined::LeftUsing,
        ];
        let sure = usize::from(first && is_id(&subject));
        let ends = usize::from(last);
        let weights =
            [30, 38, if one_row { 0 } else { 8 }, 6 * ends, 6 * ends, 4 * ends * sure, 3 * ends, 5 * sure, 4 * sure];
        let kind = kinds[self.dice.weighted(&weights)];
        let filters = matches!(kind, Joined::Semi | Joined::Anti);
        let (source, place) = self.patient_source(depth, one_row && !filters);
        let Some(own) = place.subject.clone() else { return true };
        let tie = if self.dice.chance(80) || matches!(kind, Joined::Using | Joined::LeftUsing) {
            subject.equals(own.clone())
        } else {
            own.clone().equals(subject)
        };
        let mut both = joining.place.clone();
        both.joined(place.clone());
        let bare = matches!(kind, Joined::Comma | Joined::Cross | Joined::Using | Joined::LeftUsing);
        let mut on = tie;
        if !bare && self.dice.chance(35) {
            let more = self.condition(&both.flat(), 1);
            on = on.and(Some(more));
        }
        if !bare
            && self.dice.chance(10)
            && let Some(same) = self.same_record(&joining.place, &place)
        {
            on = on.and(Some(same));
        }
        joining.joins.push(Join { kind, source, on });
        if filters {
            return true;
        }
        joining.place = both;
        if kind == Joined::Right {
            joining.place.subject = Some(own);
        }
        false
    }

    /// Two records of one visit, or the like.
    fn same_record(&mut self, one: &Place, other: &Place) -> Option<Expr> {
        let pairs: Vec<Expr> = one
            .columns
            .iter()
            .flat_map(|(left, of)| {
                let fits = move |(_, kind): &&(Expr, Kind)| matches!(of, Kind::Key(_)) && *kind == *of;
                other.columns.iter().filter(fits).map(|(right, _)| left.clone().equals(right.clone()))
            })
            .collect();
        (!pairs.is_empty()).then(|| self.dice.pick(&pairs).clone())
    }

    fn join_vocabulary(&mut self, joining: &mut Joining, last: bool, one_row: bool) -> bool {
        let codes = joining.place.of(Type::Int);
        if codes.is_empty() {
            return false;
        }
        let code = self.dice.pick(&codes).clone();
        let kind = match self.dice.weighted(&[40, 45, if last { 8 } else { 0 }, if last { 7 } else { 0 }]) {
            0 => Joined::Inner,
            1 => Joined::Left,
            2 => Joined::Semi,
            _ => Joined::Anti,
        };
        let filters = matches!(kind, Joined::Semi | Joined::Anti);
        let other = if one_row && !filters { self.concept() } else { self.vocabulary() };
        let keys = other.place.of(Type::Int);
        let Some(key) = keys.first().filter(|_| one_row).cloned() else {
            if keys.is_empty() {
                return false;
            }
            let key = self.dice.pick(&keys).clone();
            return self.tie_vocabulary(joining, other, kind, key, code);
        };
        self.tie_vocabulary(joining, other, kind, key, code)
    }

    fn tie_vocabulary(&mut self, joining: &mut Joining, other: Joining, kind: Joined, key: Expr, code: Expr) -> bool {
        let mut both = joining.place.clone();
        both.joined(other.place);
        let mut on = key.equals(code);
        if self.dice.chance(35) {
            let more = self.condition(&both.flat(), 1);
            on = on.and(Some(more));
        }
        joining.joins.push(Join { kind, source: other.from, on });
        if matches!(kind, Joined::Semi | Joined::Anti) {
            return true;
        }
        joining.place = both;
        false
    }

    fn concept(&mut self) -> Joining {
        let alias = self.alias('c');
        let mut place = Place::over(&alias, &columns_of(table("concept").expect("there is CONCEPT")));
        place.identity = Some(vec![place.columns[0].0.clone()]);
        let from = Source { relation: Relation::Table("concept".to_string()), alias };
        Joining { from, joins: Vec::new(), place }
    }

    /// A vocabulary, or what stands for one.
    pub(super) fn vocabulary(&mut self) -> Joining {
        match self.dice.weighted(&[25, 45, 12, 18]) {
            0 => self.concept(),
            1 => {
                let alias = self.alias('a');
                let place = Place::over(&alias, &columns_of(table("concept_ancestor").expect("there is one")));
                let from = Source { relation: Relation::Table("concept_ancestor".to_string()), alias };
                Joining { from, joins: Vec::new(), place }
            }
            2 => {
                let alias = self.alias('v');
                let row = |draw: &mut Self| {
                    vec![Literal::Int(*draw.dice.pick(&CODES)), Literal::Int(draw.dice.roll(5) as i64)]
                };
                let rows = (0..1 + self.dice.roll(3)).map(|_| row(self)).collect();
                let names = vec!["c0".to_string(), "c1".to_string()];
                let columns: Vec<_> = names.iter().map(|name| (name.clone(), Kind::Plain(Type::Int))).collect();
                let place = Place::over(&alias, &columns);
                let from = Source { relation: Relation::Values { rows, names }, alias };
                Joining { from, joins: Vec::new(), place }
            }
            _ => self.derived_vocabulary(),
        }
    }

    fn derived_vocabulary(&mut self) -> Joining {
        let alias = self.alias('v');
        let (one, other) = (self.vocabulary_column(), self.vocabulary_column());
        let columns = [("c0".to_string(), Kind::Plain(Type::Int))];
        let query = match self.dice.weighted(&[35, 15, 15, 15, 20]) {
            0 => one,
            1 => set("UNION", self.dice.chance(50), one, other),
            2 => set("INTERSECT", self.dice.chance(20), one, other),
            3 => set("EXCEPT", self.dice.chance(20), one, other),
            _ => self.grouped_vocabulary(),
        };
        let place = Place::over(&alias, &columns);
        let from = Source { relation: Relation::Query(Box::new(query)), alias };
        Joining { from, joins: Vec::new(), place }
    }

    fn vocabulary_column(&mut self) -> Query {
        let joining = if self.dice.chance(50) { self.concept() } else { self.ancestors_of_concepts() };
        let value = self.leaf(&joining.place, Type::Int);
        let filter = self.dice.chance(60).then(|| self.condition(&joining.place.flat(), 2));
        let mut query = joining.into_query(vec![named(value, "c0")], filter, Vec::new(), None);
        if let Body::Select(select) = &mut query.body {
            select.distinct = self.dice.chance(50);
        }
        query
    }

    fn ancestors_of_concepts(&mut self) -> Joining {
        let mut joining = self.concept();
        let alias = self.alias('a');
        let place = Place::over(&alias, &columns_of(table("concept_ancestor").expect("there is one")));
        let ends = place.of(Type::Int);
        let on = joining.place.columns[0].0.clone().equals(self.dice.pick(&ends[..2]).clone());
        let kind = *self.dice.pick(&[Joined::Inner, Joined::Left, Joined::Right, Joined::Full]);
        let source = Source { relation: Relation::Table("concept_ancestor".to_string()), alias };
        joining.joins.push(Join { kind, source, on });
        joining.place.joined(place);
        joining
    }

    fn grouped_vocabulary(&mut self) -> Query {
        let joining = self.ancestors_of_concepts();
        let key = self.leaf(&joining.place, Type::Int);
        let grouped = Place { grouped: Some(Box::new(joining.place.clone())), ..Place::default() };
        let having = self.dice.chance(50).then(|| self.condition(&grouped, 1));
        let filter = self.dice.chance(30).then(|| self.condition(&joining.place.flat(), 1));
        joining.into_query(vec![named(key.clone(), "c0")], filter, vec![key], having)
    }

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
        let joining = self.patients(depth, joins);
        let place = joining.place.clone();
        let filter = self.filter(&place);
        let Some(subject) = place.subject.clone() else { return self.set_rows(depth) };
        let grouped = Place {
            subject: Some(subject.clone()),
            grouped: Some(Box::new(place.clone())),
            scalars: self.dice.chance(20),
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
        let tests = Place { tests: self.dice.chance(30), ..grouped };
        let having = self.dice.chance(35).then(|| self.condition(&tests, 2));
        let query = joining.into_query(items, filter, vec![subject], having);
        (query, Drawn { name: String::new(), columns, one_row: true })
    }

    /// UNION, INTERSECT or EXCEPT of two queries of patients' rows.
    fn set_rows(&mut self, depth: usize) -> (Query, Drawn) {
        let ty = self.ty();
        let more = self.dice.chance(60);
        let side = |draw: &mut Self| {
            let joins = draw.dice.weighted(&[80, 20]);
            let joining = draw.patients(depth.min(1), joins);
            let place = joining.place.clone();
            let subject = place.subject.clone().expect("patients' rows have a subject");
            let mut items = vec![named(subject, "person_id")];
            if more {
                items.push(named(draw.leaf(&place, ty), "c0"));
            }
            let filter = draw.filter(&place);
            joining.into_query(items, filter, Vec::new(), None)
        };
        let (left, right) = (side(self), side(self));
        let op = *self.dice.pick(&["UNION", "UNION", "INTERSECT", "EXCEPT"]);
        let all = self.dice.chance(if op == "UNION" { 50 } else { 15 });
        let mut columns = vec![("person_id".to_string(), Kind::Subject)];
        if more {
            columns.push(("c0".to_string(), Kind::Plain(ty)));
        }
        (set(op, all, left, right), Drawn { name: String::new(), columns, one_row: false })
    }

    /// Who the rows of a group are of.
    pub(super) fn most(&mut self, who: Expr) -> Expr {
        let name = if self.dice.chance(80) { "max" } else { "min" };
        Expr::Aggregate { name, distinct: false, args: vec![who], order: Vec::new(), filter: None, ty: Type::Int }
    }
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
        having: None,
        qualify: None,
    })
}

fn set(op: &'static str, all: bool, left: Query, right: Query) -> Query {
    Query { with: Vec::new(), body: Body::Set { op, all, left: Box::new(left), right: Box::new(right) } }
}
