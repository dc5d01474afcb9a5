//! Vocabularies, and what stands for one: tables of nobody.

use super::super::schema::{Kind, table};
use super::super::store::CODES;
use super::super::tree::{Body, Expr, Join, Joined, Literal, Query, Relation, Source, Type};
use super::rows::{named, set};
use super::source::{Joining, columns_of};
use super::{Draw, Place};

impl Draw {
    /// Says whether it has to be the last join.
    pub(super) fn join_vocabulary(&mut self, joining: &mut Joining, last: bool, one_row: bool) -> bool {
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
        if keys.is_empty() {
            return false;
        }
        // The first is the concept's own, of which there is one.
        let key = if one_row { keys[0].clone() } else { self.dice.pick(&keys).clone() };
        self.tie_vocabulary(joining, other, kind, key, code)
    }

    fn tie_vocabulary(&mut self, joining: &mut Joining, other: Joining, kind: Joined, key: Expr, code: Expr) -> bool {
        let mut both = joining.place.clone();
        both.joined(other.place);
        let mut on = if self.dice.chance(10) { key.same_as(code) } else { key.equals(code) };
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
        let keys = joining.place.of(Type::Int);
        let key = self.dice.pick(&keys).clone();
        let grouped = Place { grouped: Some(Box::new(joining.place.clone())), ..Place::default() };
        let having = self.dice.chance(50).then(|| self.condition(&grouped, 1));
        let filter = self.dice.chance(30).then(|| self.condition(&joining.place.flat(), 1));
        joining.into_query(vec![named(key.clone(), "c0")], filter, vec![key], having)
    }
}
