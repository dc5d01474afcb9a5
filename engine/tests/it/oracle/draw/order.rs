//! Ranks and groups of rows by what windows, constants and joins give: where the query engine may take an order for known.

use super::super::schema::Kind;
use super::super::tree::{Body, Expr, Join, Joined, Key, Query, Relation, Source, Type, Window};
use super::rows::{heads, named};
use super::source::{Drawn, Joining};
use super::{Draw, Place};

/// Frames over which a value grows, shrinks, or does neither.
const FRAMES: [Option<&str>; 5] = [
    None,
    Some("ROWS UNBOUNDED PRECEDING"),
    Some("ROWS BETWEEN 1 PRECEDING AND CURRENT ROW"),
    Some("ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING"),
    Some("RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING"),
];

impl Draw {
    /// Rows with their ranks among the patient's others.
    pub(super) fn ranked(&mut self) -> (Query, Drawn) {
        let joining = self.told_orders();
        let place = joining.place.flat();
        let (mut items, mut columns) = heads(&place);
        for n in 0..1 + self.dice.roll(2) {
            let name = format!("c{n}");
            items.push(named(self.rank(&place), &name));
            columns.push((name, Kind::Plain(Type::Int)));
        }
        let further = place.columns.iter().filter(|(_, kind)| matches!(kind, Kind::Plain(_)));
        for (expr, kind) in further.skip(self.dice.roll(3)).take(2) {
            let name = format!("c{}", items.len());
            items.push(named(expr.clone(), &name));
            columns.push((name, *kind));
        }
        (joining.into_query(items, None, Vec::new(), None), Drawn { name: String::new(), columns, one_row: false })
    }

    /// Rows of which it is told how they are ordered, or what is the same in all of them; maybe beside others of the kind.
    pub(super) fn told_orders(&mut self) -> Joining {
        let mut joining = self.of_windows();
        if self.dice.chance(45) {
            let other = self.of_windows();
            let kind = *self.dice.pick(&[Joined::Inner, Joined::Left, Joined::Left, Joined::Right]);
            let tie = joining.place.subject.clone().zip(other.place.subject.clone());
            let (one, own) = tie.expect("patients' rows have a subject");
            joining.place.joined(other.place);
            if kind == Joined::Right {
                joining.place.subject = Some(own.clone());
            }
            let mut on = one.equals(own);
            if self.dice.chance(50) {
                let more = self.condition(&joining.place.flat(), 1);
                on = on.and(Some(more));
            }
            joining.joins.push(Join { kind, source: other.from, on });
        }
        joining
    }

    fn rank(&mut self, place: &Place) -> Expr {
        let told: Vec<Expr> = place
            .columns
            .iter()
            .filter(|(_, kind)| matches!(kind, Kind::Plain(_)))
            .map(|(expr, _)| expr.clone())
            .collect();
        let mut order = Vec::new();
        for _ in 0..1 + self.dice.roll(2) {
            let by = if self.dice.chance(75) { self.dice.pick(&told).clone() } else { self.condition(place, 1) };
            order.push(self.key(by));
        }
        // A number alone would be taken for the place of a column.
        order.retain(|key| !matches!(key.expr, Expr::Literal(_)));
        if order.is_empty() {
            order.extend(place.subject.clone().map(|subject| self.key(subject)));
        }
        let name = *self.dice.pick(&["rank", "dense_rank", "count"]);
        self.over(place, name, Vec::new(), order, None)
    }

    /// A table's rows with what windows say of them, and what is the same in all.
    fn of_windows(&mut self) -> Joining {
        let joining = self.patients(0, 0);
        let place = joining.place.flat();
        let (mut items, mut columns) = heads(&place);
        for n in 0..2 {
            let ty = *self.dice.pick(&[Type::Int, Type::Int, Type::Day]);
            let value = match self.dice.weighted(&[65, 25, 10]) {
                0 => self.running(&place, ty),
                1 => self.literal(ty),
                _ => self.leaf(&place, ty),
            };
            let name = format!("c{n}");
            items.push(named(value, &name));
            columns.push((name, Kind::Plain(ty)));
        }
        let filter = self.dice.chance(20).then(|| self.bounds(&place));
        let mut query = joining.into_query(items, filter, Vec::new(), None);
        if let Body::Select(select) = &mut query.body {
            select.distinct = self.dice.chance(25);
        }
        let alias = self.alias('t');
        let place = Place::over(&alias, &columns);
        Joining { from: Source { relation: Relation::Query(Box::new(query)), alias }, joins: Vec::new(), place }
    }

    /// The largest, the smallest, or how many, so far or from here on.
    fn running(&mut self, place: &Place, ty: Type) -> Expr {
        let Some(identity) = place.identity.clone() else { return self.leaf(place, ty) };
        let by = self.ty_of(place);
        let by = [self.leaf(place, by)].into_iter().filter(|by| !matches!(by, Expr::Literal(_)));
        let by: Vec<Expr> = if self.dice.chance(50) { by.chain(identity).collect() } else { identity };
        let order: Vec<_> = by.into_iter().map(|by| self.key(by)).collect();
        if order.is_empty() {
            return self.leaf(place, ty);
        }
        let name =
            *self.dice.pick(if ty == Type::Int { &["max", "min", "count", "row_number"] } else { &["max", "min"] });
        let args = if ["max", "min"].contains(&name) { vec![self.leaf(place, ty)] } else { Vec::new() };
        let frame = if name == "row_number" { None } else { *self.dice.pick(&FRAMES) };
        self.over(place, name, args, order, frame)
    }

    fn over(
        &mut self,
        place: &Place,
        name: &'static str,
        args: Vec<Expr>,
        order: Vec<Key>,
        frame: Option<&'static str>,
    ) -> Expr {
        let ty = args.first().map_or(Type::Int, Expr::ty);
        let partition = place.subject.iter().cloned().collect();
        let filter = (frame.is_some() && self.dice.chance(15)).then(|| self.condition(place, 1));
        Expr::Window(Box::new(Window { name, args, ignore_nulls: false, filter, partition, order, frame, ty }))
    }
}
