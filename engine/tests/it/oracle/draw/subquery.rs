//! Subqueries: EXISTS, IN and scalar ones, of the same patient or of vocabularies, correlated or not.

use super::super::schema::Kind;
use super::super::tree::{Body, Expr, Item, Literal, Query, Select, Type};
use super::source::Joining;
use super::{Draw, Place};

impl Draw {
    /// Rows of the patient of this place, or of vocabularies, with the place of the query within.
    fn inner(&mut self, around: &Place, patients: bool) -> (Joining, Option<Expr>) {
        // Two of the patient's tables have columns of one name.
        let joins = usize::from(self.dice.chance(45));
        let mut joining = if patients { self.patients(1, joins) } else { self.vocabulary() };
        let further: Vec<Expr> = if self.dice.chance(10) { around.outer.clone() } else { Vec::new() };
        joining.place.outer = if self.dice.chance(if joins > 0 { 70 } else { 25 }) {
            around.columns.iter().filter(|(_, k)| matches!(k, Kind::Plain(_))).map(|(e, _)| e.clone()).collect()
        } else {
            Vec::new()
        };
        joining.place.outer.extend(further);
        let tie = match (&joining.place.subject, &around.subject) {
            (Some(own), Some(subject)) if patients => Some(if self.dice.chance(70) {
                own.clone().equals(subject.clone())
            } else {
                subject.clone().equals(own.clone())
            }),
            _ => None,
        };
        (joining, tie)
    }

    /// The condition of a subquery: that it is of the same patient, and another.
    fn narrowed(&mut self, place: &Place, tie: Option<Expr>, percent: usize) -> Option<Expr> {
        let more = self.dice.chance(percent).then(|| {
            let deeper = Place { tests: self.dice.chance(15), scalars: false, windows: false, ..place.clone() };
            self.condition(&deeper, 2)
        });
        let more = match self.two_of_one_name(place) {
            Some(two) => Some(two.and(more)),
            None => more,
        };
        match (tie, more) {
            (Some(tie), Some(more)) if self.dice.chance(20) => Some(more.and(Some(tie))),
            (Some(tie), more) => Some(tie.and(more)),
            (None, more) => more,
        }
    }

    /// Columns of two tables that have one name, each compared with a column of the query around.
    fn two_of_one_name(&mut self, place: &Place) -> Option<Expr> {
        let plain = |(expr, kind): &(Expr, Kind)| match (expr, kind) {
            (Expr::Column { of, name, ty }, Kind::Plain(_)) => Some((of.clone(), name.clone(), *ty, expr.clone())),
            _ => None,
        };
        let columns: Vec<_> = place.columns.iter().filter_map(plain).collect();
        let pairs = columns.iter().flat_map(|one| columns.iter().map(move |other| (one, other)));
        let pairs: Vec<_> = pairs
            .filter(|((of, name, ty, _), (other, same, also, _))| (name, ty) == (same, also) && of < other)
            .collect();
        if pairs.is_empty() || !self.dice.chance(80) {
            return None;
        }
        let ((.., ty, one), (.., other)) = *self.dice.pick(&pairs);
        let around: Vec<&Expr> = place.outer.iter().filter(|expr| expr.ty() == *ty).collect();
        if around.is_empty() || *ty == Type::Truth {
            return None;
        }
        let mut compared = |left: &Expr| {
            let op = *self.dice.pick(&["<", ">", "<=", ">=", "=", "<>"]);
            let right = (*self.dice.pick(&around)).clone();
            Expr::Compare { op, left: Box::new(left.clone()), right: Box::new(right) }
        };
        Some(compared(one).and(Some(compared(other))))
    }

    /// Without a condition that ties a vocabulary to this place, EXISTS would be the same for everybody.
    fn vocabulary_tie(&mut self, inner: &Place, around: &Place) -> Option<Expr> {
        let (own, outer) = (inner.of(Type::Int), around.of(Type::Int));
        if own.is_empty() || outer.is_empty() {
            return None;
        }
        Some(self.dice.pick(&own).clone().equals(self.dice.pick(&outer).clone()))
    }

    pub(super) fn exists(&mut self, place: &Place) -> Option<Expr> {
        let patients = self.dice.chance(80) && place.subject.is_some();
        let (joining, tie) = self.inner(place, patients);
        let tie = match patients {
            true => tie,
            false if self.dice.chance(40) => None,
            false => Some(self.vocabulary_tie(&joining.place, place)?),
        };
        let filter = self.narrowed(&joining.place, tie, 70);
        let shape = self.dice.weighted(&[66, 12, 8, 10, 4]);
        let (expr, group, having) = match shape {
            0 => (Expr::Literal(Literal::Int(1)), Vec::new(), None),
            1 => (self.aggregate(&joining.place, Type::Int), Vec::new(), None),
            2 => {
                let of = self.ty();
                (self.expr(&joining.place.flat(), of, 1), Vec::new(), None)
            }
            4 => {
                let grouped = Place { grouped: Some(Box::new(joining.place.clone())), ..Place::default() };
                let having = self.condition(&grouped, 1);
                (self.aggregate(&joining.place, Type::Int), Vec::new(), Some(having))
            }
            _ => {
                let key = joining.place.subject.clone();
                let grouped = Place { grouped: Some(Box::new(joining.place.clone())), ..Place::default() };
                let having = key.is_some().then(|| self.condition(&grouped, 1));
                (Expr::Literal(Literal::Int(1)), key.into_iter().collect(), having)
            }
        };
        let query = joining.into_query(vec![Item { expr, name: "e".to_string() }], filter, group, having);
        Some(Expr::Exists { negated: self.dice.chance(40), query: Box::new(query) })
    }

    pub(super) fn within(&mut self, place: &Place) -> Option<Expr> {
        let negated = self.dice.chance(45);
        match self.dice.weighted(&[32, 33, 18, 10, 7, 12]) {
            5 => self.among_records(place),
            // Who is in a set made of others.
            4 => {
                let subject = place.subject.clone()?;
                let query = self.set_of_subjects();
                Some(Expr::InQuery { negated, expr: Box::new(subject), query: Box::new(query), persons: None })
            }
            // Who is among others of a table.
            0 => {
                let subject = place.subject.clone()?;
                let (joining, tie) = self.inner(&Place { columns: Vec::new(), ..place.clone() }, true);
                let own = joining.place.subject.clone()?;
                let tie = self.dice.chance(10).then_some(tie).flatten();
                let filter = self.narrowed(&joining.place, tie, 75);
                let query = joining.into_query(vec![item(own)], filter, Vec::new(), None);
                Some(Expr::InQuery { negated, expr: Box::new(subject), query: Box::new(query), persons: None })
            }
            // A value among those of the same patient.
            1 => {
                place.subject.as_ref()?;
                let (joining, tie) = self.inner(place, true);
                let of = *self.dice.pick(&[Type::Int, Type::Int, Type::Int, Type::Real, Type::Day]);
                let expr = if self.dice.chance(40) { self.literal(of) } else { self.leaf(place, of) };
                let value = self.leaf(&joining.place, of);
                let filter = self.narrowed(&joining.place, tie, 40);
                let query = joining.into_query(vec![item(value)], filter, Vec::new(), None);
                Some(Expr::InQuery { negated, expr: Box::new(expr), query: Box::new(query), persons: None })
            }
            // A value among a vocabulary's.
            2 => {
                let joining = self.vocabulary();
                let expr = self.leaf(place, Type::Int);
                let value = self.leaf(&joining.place, Type::Int);
                let filter = self.narrowed(&joining.place, None, 75);
                let query = joining.into_query(vec![item(value)], filter, Vec::new(), None);
                Some(Expr::InQuery { negated, expr: Box::new(expr), query: Box::new(query), persons: None })
            }
            // A number among one number, the same patient's.
            _ => {
                place.subject.as_ref()?;
                let (joining, tie) = self.inner(place, true);
                let value = self.aggregate(&joining.place, Type::Int);
                let filter = self.narrowed(&joining.place, tie, 40);
                let expr = self.leaf(place, Type::Int);
                let having = self.having_of_one(&joining.place);
                let query = joining.into_query(vec![item(value)], filter, Vec::new(), having);
                Some(Expr::InQuery { negated, expr: Box::new(expr), query: Box::new(query), persons: None })
            }
        }
    }

    /// A record's number among those of the same patient's records of a kind.
    fn among_records(&mut self, place: &Place) -> Option<Expr> {
        let subject = place.subject.clone()?;
        let is_key = |(_, kind): &&(Expr, Kind)| matches!(kind, Kind::Key(_));
        let keys: Vec<(Expr, Kind)> = place.columns.iter().filter(is_key).cloned().collect();
        let (joining, _) = self.inner(&Place { columns: Vec::new(), ..place.clone() }, true);
        let own: Vec<(Expr, Kind)> = joining.place.columns.iter().filter(is_key).cloned().collect();
        let pairs: Vec<(&Expr, &Expr)> = keys
            .iter()
            .flat_map(|(key, kind)| own.iter().filter(move |(_, own)| own == kind).map(move |(own, _)| (key, own)))
            .collect();
        if pairs.is_empty() {
            return None;
        }
        let (key, own) = *self.dice.pick(&pairs);
        let (key, own) = (key.clone(), own.clone());
        let person = joining.place.subject.clone()?;
        let filter = self.narrowed(&joining.place, None, 60);
        let mut query = joining.into_query(vec![item(own)], filter, Vec::new(), None);
        if let Body::Select(select) = &mut query.body {
            select.distinct = self.dice.chance(20);
        }
        let persons = Some(Box::new((subject, person)));
        Some(Expr::InQuery { negated: false, expr: Box::new(key), query: Box::new(query), persons })
    }

    /// One value: an aggregate of the same patient's rows, or of a vocabulary's.
    pub(super) fn scalar(&mut self, place: &Place, ty: Type) -> Option<Expr> {
        let patients = self.dice.chance(75) && place.subject.is_some();
        let (joining, tie) = self.inner(place, patients);
        let tie = match tie {
            Some(tie) => Some(tie),
            None if patients => return None,
            None => self.dice.chance(50).then(|| self.vocabulary_tie(&joining.place, place)).flatten(),
        };
        let filter = self.narrowed(&joining.place, tie, 40);
        let value = match self.aggregate(&joining.place, ty) {
            Expr::Literal(_) => return None,
            aggregate => aggregate,
        };
        let having = self.having_of_one(&joining.place);
        let query = joining.into_query(vec![item(value)], filter, Vec::new(), having);
        Some(Expr::Scalar { query: Box::new(query), ty })
    }

    /// What an aggregate of all rows may ask for, so that there is no row.
    fn having_of_one(&mut self, place: &Place) -> Option<Expr> {
        let grouped = Place { grouped: Some(Box::new(place.flat())), ..Place::default() };
        self.dice.chance(20).then(|| self.condition(&grouped, 1))
    }
}

fn item(expr: Expr) -> Item {
    Item { expr, name: "e".to_string() }
}

impl Joining {
    /// A query over these rows.
    pub(super) fn into_query(
        self,
        items: Vec<Item>,
        filter: Option<Expr>,
        group: Vec<Expr>,
        having: Option<Expr>,
    ) -> Query {
        let Self { from, joins, .. } = self;
        Query::select(Select {
            distinct: false,
            items,
            from,
            joins,
            filter,
            group,
            by_place: false,
            having,
            qualify: None,
        })
    }
}
