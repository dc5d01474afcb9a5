//! What the numbers of a cohort are made of, as far as a guarded study has to know before it adds them up.
//!
//! The rules of release take a summed variable for something that was measured. A query can make it something else: `CASE WHEN
//! rare THEN 1048576 WHEN common THEN 1 ELSE 0 END` has a sum whose digits are two counts. So a variable that is summed up is
//! *affine* in one raw column, a choice of *literals*, or a *named helper* over raw columns; anything else is refused
//! ([`Refused`]). Of every column it is known besides on which raw columns it depends ([`Column::related`]).
//!
//! The query is read as it is written, over OMOP's tables as they are defined: no party needs a store, or the query engine, and
//! all find the same. `source` is a raw column with the rows that a query takes of it, `literals` and `quantity` are what an
//! expression can be, `scope` is what a SELECT is over, `query`, `expression` and `function` follow the text.
//!
//! The list of forms, with the argument for each, is in `docs/guard.md`.

mod expression;
mod function;
mod literals;
mod quantity;
mod query;
mod scope;
mod source;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use consilium_protocol::catalogue::CatalogueTable;
use consilium_protocol::study::Cohort;
use datafusion::sql::sqlparser::ast::Statement;

use super::parse::parse;
use super::spelling::any_day;
pub(crate) use literals::Literal;
pub(crate) use quantity::Refused;
use quantity::{Form, Quantity, Seen, Why};
use query::Reader;
pub(crate) use source::Source;

/// Bytes of stack: a query may be deep. Pages that are never touched take no memory.
const STACK: usize = 64 << 20;

/// What a column of the result is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    form: Form,
    by: BTreeSet<Source>,
}

/// The columns of a cohort.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Columns(BTreeMap<String, Column>);

/// What a variable may be that is summed up.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Summed<'a> {
    /// One of these literals, or NULL.
    Literals(Vec<&'a Literal>),
    /// Measured: raw columns, one group for each that it is made of.
    Measured(&'a [BTreeSet<Source>]),
}

impl Columns {
    /// Of a query; none that can be said anything of where it cannot be read.
    pub(crate) fn of(cohort: &Cohort, tables: &[CatalogueTable]) -> Self {
        let (cohort, tables) = (cohort.clone(), tables.to_vec());
        let read = move || {
            let Ok(parsed) = parse(&cohort.sql, &cohort.concept_sets, any_day()) else { return Self::default() };
            let Statement::Query(query) = &parsed.statement else { return Self::default() };
            let columns = Reader::over(tables).cohort(query);
            Self(columns.into_iter().map(|(name, Seen { form, by, .. })| (name, Column { form, by })).collect())
        };
        let thread = std::thread::Builder::new().name("forms".to_string()).stack_size(STACK).spawn(read);
        thread.ok().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }

    /// What a variable is that is summed up.
    ///
    /// # Errors
    /// [`Refused`] for what has no place in sums of guarded studies.
    pub(crate) fn summed(&self, name: &str) -> Result<Summed<'_>, Refused> {
        let why = match self.0.get(name).map(|column| &column.form) {
            Some(Form::Literals(literals)) => return Ok(Summed::Literals(literals.iter().collect())),
            Some(Form::Measured(quantity)) => return Ok(Summed::Measured(&quantity.ends)),
            Some(form) => form.why(),
            None => Why::Unread,
        };
        Err(why.refused())
    }

    /// Whether a column depends on what a measured variable is made of, under another name.
    pub(crate) fn depends(&self, column: &str, on: &str) -> bool {
        match (self.0.get(column), self.0.get(on)) {
            (Some(Column { by, .. }), Some(Column { form: Form::Measured(quantity), .. })) => {
                quantity.sources().any(|own| by.iter().any(|other| own.is_related(other)))
            }
            (None, _) | (_, None) => true,
            (Some(_), Some(_)) => false,
        }
    }

    /// Two measured variables of these with a raw column in common, so that their sums together could tell of few.
    ///
    /// Times between two days may have one in common where each has another that it shares with no other variable: every
    /// combination of their sums then is of two such days at least.
    pub(crate) fn common<'a>(&self, names: &[&'a str]) -> Option<([&'a str; 2], &Source)> {
        let measured = |name: &&'a str| match self.0.get(*name).map(|column| &column.form) {
            Some(Form::Measured(quantity)) => Some((*name, quantity)),
            _ => None,
        };
        let all: Vec<(&str, &Quantity)> = names.iter().filter_map(measured).collect();
        let is_apart = |end: &BTreeSet<Source>, other: &Quantity| {
            end.iter().all(|own| other.sources().all(|theirs| !own.is_related(theirs)))
        };
        let has_own = |place: usize| {
            let others =
                || all.iter().enumerate().filter(move |(other, _)| *other != place).map(|(_, (_, other))| *other);
            let own = all[place].1;
            own.is_time() && own.ends.iter().any(|end| others().all(|other| is_apart(end, other)))
        };
        for (place, (one, of_one)) in all.iter().enumerate() {
            for (other, of_other) in all.iter().take(place) {
                let shared = of_one.sources().find(|own| of_other.sources().any(|theirs| own.is_related(theirs)));
                let Some(shared) = shared else { continue };
                let earlier = all.iter().position(|(name, _)| name == other).unwrap_or(place);
                if !(has_own(place) && has_own(earlier)) {
                    return Some(([*other, *one], shared));
                }
            }
        }
        None
    }
}
