//! What a query selects from: tables, names of WITH, derived tables, joined by the patient or to a vocabulary.

use super::super::functions::FUNCTIONS;
use super::super::schema::{Kind, TABLES, Table, table};
use super::super::tree::{Expr, Item, Join, Joined, Literal, Query, Relation, Source, Type};
use super::rows::{named, plain};
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

pub(super) fn columns_of(table: &Table) -> Vec<(String, Kind)> {
    table.columns.iter().map(|(name, kind)| ((*name).to_string(), *kind)).collect()
}

impl Place {
    pub(super) fn over(alias: &str, columns: &[(String, Kind)]) -> Self {
        let columns: Vec<_> = columns.iter().map(|(name, kind)| column(alias, name, *kind)).collect();
        let subject = columns.iter().find(|(_, kind)| *kind == Kind::Subject).map(|(expr, _)| expr.clone());
        Self { columns, subject, ..Self::default() }
    }

    pub(super) fn joined(&mut self, other: Self) {
        self.columns.extend(other.columns);
        self.identity = match (self.identity.take(), other.identity) {
            (Some(one), Some(other)) => Some([one, other].concat()),
            _ => None,
        };
    }
}

/// The one, or where that is NULL the other.
fn either(one: Expr, other: Expr) -> Expr {
    any_of(vec![one, other])
}

/// The first of these that is not NULL; of more than there is a coalesce for, in several.
fn any_of(mut args: Vec<Expr>) -> Expr {
    let of = |number: usize| FUNCTIONS.iter().find(|f| f.name == "coalesce" && f.args.len() == number);
    if let Some(function) = of(args.len()) {
        return Expr::Call { function, args, ty: Type::Int };
    }
    let last = args.pop().expect("more than two");
    either(any_of(args), last)
}

/// The same rows, with one to a number, by a query over one without a name.
fn counted_up(query: Query, drawn: &Drawn) -> Query {
    let counted = drawn.columns.iter().position(|(_, kind)| *kind == Kind::Plain(Type::Int));
    let items = drawn.columns.iter().enumerate().map(|(n, (name, kind))| {
        let (own, one) = (column("", name, *kind).0, Box::new(Expr::Literal(Literal::Int(1))));
        let sum = |own| Expr::Arithmetic { op: "+", left: Box::new(own), right: one };
        named(if counted == Some(n) { sum(own) } else { own }, name)
    });
    let from = Source { relation: Relation::Query(Box::new(query)), alias: String::new() };
    plain(items.collect(), from, None)
}

impl Draw {
    /// A table of patients, or what stands for one.
    fn patient_source(&mut self, depth: usize, one_row: bool) -> (Source, Place) {
        let alias = self.alias('t');
        let named: Vec<Drawn> = self.named.iter().filter(|drawn| drawn.one_row || !one_row).cloned().collect();
        if !named.is_empty() && self.dice.chance(if self.retold { 70 } else { 35 }) {
            let drawn = self.dice.pick(&named).clone();
            let place = Place::over(&alias, &drawn.columns);
            return (Source { relation: Relation::Table(drawn.name), alias }, place);
        }
        if depth > 0 && (one_row || self.dice.chance(25)) {
            let (mut query, drawn) = self.rows(depth - 1, one_row);
            for _ in 0..self.dice.weighted(&[80, 8, 12]) {
                query = counted_up(query, &drawn);
            }
            let place = Place::over(&alias, &drawn.columns);
            return (Source { relation: Relation::Query(Box::new(query)), alias }, place);
        }
        if depth > 0 && !one_row && self.dice.chance(6) {
            return self.joined_source();
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

    /// Two sources joined in parentheses.
    fn joined_source(&mut self) -> (Source, Place) {
        let (from, mut place) = self.patient_source(0, false);
        let (source, other) = self.patient_source(0, false);
        let subjects = place.subject.clone().zip(other.subject.clone());
        let (one, own) = subjects.expect("patients' rows have a subject");
        place.joined(other);
        let kind = *self.dice.pick(&[Joined::Inner, Joined::Left]);
        let mut on = one.equals(own);
        if self.dice.chance(30) {
            let more = self.condition(&place.flat(), 1);
            on = on.and(Some(more));
        }
        let joins = vec![Join { kind, source, on }];
        (Source { relation: Relation::Joined { from: Box::new(from), joins }, alias: String::new() }, place)
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
        if joins > 0 && self.dice.chance(8) {
            self.join_constant(joining);
        }
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

    /// A number that is the same beside every row: as written, or how many rows of a vocabulary there are.
    fn join_constant(&mut self, joining: &mut Joining) {
        let alias = self.alias('k');
        let name = "k".to_string();
        let relation = if self.dice.chance(50) {
            let value = Literal::Int(self.dice.roll(3) as i64);
            Relation::Values { rows: vec![vec![value]], names: vec![name.clone()] }
        } else {
            let vocabulary = self.vocabulary();
            let count = Expr::count_of_rows();
            let filter = self.dice.chance(50).then(|| self.condition(&vocabulary.place.flat(), 1));
            Relation::Query(Box::new(vocabulary.into_query(vec![named(count, &name)], filter, Vec::new(), None)))
        };
        let on = Expr::Literal(Literal::Truth(true));
        joining.place.columns.push(column(&alias, &name, Kind::Plain(Type::Int)));
        joining.joins.push(Join { kind: Joined::Cross, source: Source { relation, alias }, on });
    }

    /// Says whether it has to be the last join.
    fn join_patients(&mut self, joining: &mut Joining, depth: usize, last: bool, one_row: bool) -> bool {
        let Some(subject) = joining.place.subject.clone() else { return true };
        // A name that both sides have once.
        let plain = |source: &Source| !matches!(source.relation, Relation::Joined { .. });
        let first = joining.joins.is_empty() && plain(&joining.from);
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
            Joined::Full,
        ];
        let sure = usize::from(first && is_id(&subject));
        let ends = usize::from(last);
        let weights = [
            30,
            38,
            if one_row { 0 } else { 8 },
            6 * ends,
            6 * ends,
            4 * ends * sure,
            3 * ends,
            5 * sure,
            4 * sure,
            if one_row { 0 } else { 6 },
        ];
        let kind = kinds[self.dice.weighted(&weights)];
        let filters = matches!(kind, Joined::Semi | Joined::Anti);
        let using = matches!(kind, Joined::Using | Joined::LeftUsing);
        let full = kind == Joined::Full;
        let (source, place) = self.patient_source(if using { 0 } else { depth }, one_row && !filters);
        let Some(own) = place.subject.clone() else { return true };
        let tie = if self.dice.chance(80) || matches!(kind, Joined::Using | Joined::LeftUsing) {
            subject.equals(own.clone())
        } else {
            own.clone().equals(subject)
        };
        if full {
            return self.join_fully(joining, depth, (source, place), tie);
        }
        let tie = match tie {
            Expr::Compare { left, right, .. } if !using && self.dice.chance(12) => left.same_as(*right),
            tie => tie,
        };
        let mut both = joining.place.clone();
        both.joined(place.clone());
        if matches!(kind, Joined::Inner | Joined::Left)
            && self.dice.chance(15)
            && let Some(same) = self.same_record(&joining.place, &place)
        {
            let kind = if kind == Joined::Inner { Joined::ByRecord } else { Joined::LeftByRecord };
            joining.joins.push(Join { kind, source, on: tie.and(Some(same)) });
            joining.place = both;
            return false;
        }
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
            on = on.and(Some(match same {
                Expr::Compare { left, right, .. } if self.dice.chance(35) => left.same_as(*right),
                same => same,
            }));
        }
        let beside = joining.joins.iter().any(|join| join.kind == Joined::Cross);
        if !bare && self.dice.chance(if beside { 40 } else { 8 }) {
            on = on.and(self.sum_of_two(&joining.place, &place));
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

    /// A full join, and maybe another after it.
    fn join_fully(&mut self, joining: &mut Joining, depth: usize, other: (Source, Place), tie: Expr) -> bool {
        let (source, place) = other;
        let Expr::Compare { left, right, .. } = &tie else { return true };
        let subject = match (&**left, &**right) {
            (Expr::Call { args, .. }, one) | (one, Expr::Call { args, .. }) if self.dice.chance(50) => {
                any_of(args.iter().chain([one]).cloned().collect())
            }
            (one, other) => either(one.clone(), other.clone()),
        };
        joining.joins.push(Join { kind: Joined::Full, source, on: tie });
        let mut both = joining.place.clone();
        both.joined(place.clone());
        // Whose a row is, and who that is, the one or the other side says.
        both.subject = Some(subject.clone());
        if let (Some(one), Some(other)) = (joining.place.who(), place.who()) {
            both.columns.insert(0, (either(one, other), Kind::Who));
        }
        both.columns.retain(|(_, kind)| *kind != Kind::Subject);
        both.identity = None;
        joining.place = both;
        if !self.dice.chance(40) {
            return false;
        }
        let (source, place) = self.patient_source(depth, false);
        let Some(own) = place.subject.clone() else { return true };
        let tie = if self.dice.chance(60) { subject.equals(own) } else { own.equals(subject) };
        self.join_fully(joining, depth, (source, place), tie)
    }

    /// A number of one side, and the sum of two of the other, which may be of several tables.
    fn sum_of_two(&mut self, one: &Place, other: &Place) -> Option<Expr> {
        let (many, few) = (one.of(Type::Int), other.of(Type::Int));
        if many.is_empty() || few.is_empty() {
            return None;
        }
        let (left, right) = (self.dice.pick(&many).clone(), self.dice.pick(&many).clone());
        let sum = Expr::Arithmetic { op: "-", left: Box::new(left), right: Box::new(right) };
        Some(self.dice.pick(&few).clone().equals(sum))
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
}
