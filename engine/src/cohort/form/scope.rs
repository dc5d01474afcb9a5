//! What a SELECT is over.

use std::collections::BTreeSet;

use consilium_protocol::catalogue::CatalogueTable;

use super::quantity::{Form, MOST_SOURCES, Quantity, Seen, Unit, Why};
use super::source::{ROWS, Restriction, Source};
use crate::store::kind::Kind;
use crate::store::omop;

/// How many rows of a patient there are, and of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rows {
    /// One row whoever the patient is.
    Single,
    /// At most one row a patient.
    One,
    /// Some of the rows of these tables, each at most once.
    Of(Vec<Source>),
    /// Rows of a vocabulary; whether all of `concept`, with its key.
    Words(bool),
    /// More.
    Many,
}

impl Rows {
    pub(super) fn change(&mut self, change: impl FnMut(&mut Source)) {
        if let Self::Of(tables) = self {
            tables.iter_mut().for_each(change);
        }
    }

    /// The rows of a join; whether it is by the key of a vocabulary.
    pub(super) fn joined(self, other: Self, by_key: bool) -> Self {
        match (self, other) {
            (Self::Single, rows) | (rows, Self::Single) => rows,
            (rows, Self::Words(true)) if by_key => rows,
            (Self::Words(_), _) | (_, Self::Words(_)) => Self::Many,
            (Self::One, rows) | (rows, Self::One) => rows,
            _ => Self::Many,
        }
    }

    /// The rows of both.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Of(mut own), Self::Of(others)) if own.iter().all(|o| others.iter().all(|t| !o.is_beside(t))) => {
                own.extend(others);
                Self::Of(own)
            }
            _ => Self::Many,
        }
    }

    pub(super) const fn is_one(&self) -> bool {
        matches!(self, Self::Single | Self::One)
    }
}

/// A table, subquery, or the result of a query.
#[derive(Clone, Debug)]
pub(super) struct Relation {
    pub(super) columns: Vec<(String, Seen)>,
    pub(super) rows: Rows,
    /// The raw columns on which it depends whether a row is there.
    pub(super) by: BTreeSet<Source>,
}

/// A relation under a name in FROM.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: Option<String>,
    pub(super) columns: Vec<(String, Seen)>,
}

/// What the expressions of a SELECT can refer to.
pub(super) struct Scope<'a> {
    pub(super) entries: Vec<Entry>,
    pub(super) rows: Rows,
    pub(super) by: BTreeSet<Source>,
    /// Whether joined columns are one, or those of a side are not there.
    pub(super) is_merged: bool,
    pub(super) outer: Option<&'a Self>,
}

impl Scope<'_> {
    /// A column by its name and, where one is given, its table's.
    pub(super) fn column(&self, table: Option<&str>, name: &str) -> Option<&Seen> {
        let may_be = |entry: &&Entry| table.is_none() || entry.name.as_deref() == table;
        let is_known =
            |entry: &Entry| !entry.columns.is_empty() && entry.columns.iter().all(|(own, _)| !own.is_empty());
        match self.own_column(table, name) {
            // A column whose name is not known may be the one.
            None if self.entries.iter().filter(may_be).all(is_known) => {
                self.outer.and_then(|outer| outer.column(table, name))
            }
            own => own,
        }
    }

    /// The same, not of a query around.
    pub(super) fn own_column(&self, table: Option<&str>, name: &str) -> Option<&Seen> {
        let entries = self.entries.iter().filter(|entry| table.is_none() || entry.name.as_deref() == table);
        let mut found = entries.flat_map(|entry| &entry.columns).filter(|(own, _)| own == name && !name.is_empty());
        found.next().map(|(_, seen)| seen)
    }

    /// Takes conditions into account that every row keeps.
    pub(super) fn restrict(&mut self, to: &[Restriction]) {
        for entry in &mut self.entries {
            entry.columns.iter_mut().for_each(|(_, seen)| seen.restrict(to));
        }
        let restricted = |mut source: Source| {
            to.iter().for_each(|restriction| source.restrict(restriction));
            source
        };
        self.by = std::mem::take(&mut self.by).into_iter().map(restricted).collect();
        self.rows.change(|source| to.iter().for_each(|restriction| source.restrict(restriction)));
    }
}

/// One of OMOP's tables, or of those that a study has beside them.
pub(super) fn table(name: &str, own: &[CatalogueTable], place: u32) -> Option<Relation> {
    if let Some(definition) = omop::definition(name) {
        return Some(relation(
            definition.name,
            definition.columns.iter().copied(),
            definition.domains.is_empty(),
            place,
        ));
    }
    let own = own.iter().find(|table| table.name == name)?;
    let columns = own.columns.iter().map(|column| (column.name.as_str(), Kind::of(column)));
    Some(relation(&own.name, std::iter::once((own.subject.as_str(), Kind::Subject)).chain(columns), false, place))
}

fn relation<'a>(
    table: &str,
    columns: impl Iterator<Item = (&'a str, Kind)>,
    is_vocabulary: bool,
    place: u32,
) -> Relation {
    let column = |(column, kind): (&str, Kind)| {
        let source = Source::new(table, column, place, !is_vocabulary);
        let measured = |unit| Form::Measured(Quantity::raw(source.clone(), unit));
        let form = match kind {
            Kind::Subject => Form::Subject,
            Kind::Integer | Kind::Number | Kind::Date | Kind::Moment if is_vocabulary => Form::Other(Why::Vocabulary),
            Kind::Key | Kind::Code => Form::Code(source.clone()),
            Kind::Integer if column == "year_of_birth" && table == "person" => measured(Unit::Year),
            Kind::Integer | Kind::Number => measured(Unit::Column(table.into(), column.into())),
            Kind::Date | Kind::Moment => measured(Unit::Day),
            Kind::Text | Kind::Truth => Form::Other(Why::Text),
        };
        let by = match form {
            Form::Measured(_) => BTreeSet::from([source]),
            _ => BTreeSet::new(),
        };
        let is_fixed = form == Form::Subject || table == "person";
        (column.to_string(), Seen { form, by, is_fixed })
    };
    let rows = match table {
        "person" => Rows::One,
        _ if is_vocabulary => Rows::Words(table == "concept"),
        _ => Rows::Of(vec![Source::new(table, ROWS, place, true)]),
    };
    Relation { columns: columns.map(column).collect(), rows, by: BTreeSet::new() }
}

/// What a set of sources comes down to where uses of a table are no longer told apart; of too many, whole columns.
pub(super) fn settled(by: &BTreeSet<Source>) -> BTreeSet<Source> {
    let settled: BTreeSet<Source> = by.iter().map(Source::anywhere).collect();
    if settled.len() > MOST_SOURCES { settled.iter().map(Source::whole).collect() } else { settled }
}
