//! A raw column of a table, with the rows that a query takes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The column that stands for how many rows there are.
pub(super) const ROWS: &str = "*";

/// A raw column, of the rows that hold these codes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Source {
    table: Arc<str>,
    column: Arc<str>,
    /// Whether the table is of patients, and no vocabulary.
    is_of_patients: bool,
    /// The codes that a row must hold, by column, where conditions say so.
    among: BTreeMap<Arc<str>, BTreeSet<i64>>,
    /// Which use of the table in the text it is, so that a condition on one is not taken for one on another; 0 where that is no
    /// longer told apart.
    pub(super) place: u32,
}

impl Source {
    pub(super) fn new(table: &str, column: &str, place: u32, is_of_patients: bool) -> Self {
        Self { table: table.into(), column: column.into(), is_of_patients, among: BTreeMap::new(), place }
    }

    /// Whether it is of patients, and of no vocabulary.
    pub(super) const fn is_of_patients(&self) -> bool {
        self.is_of_patients
    }

    /// The table's name.
    pub(crate) fn table(&self) -> &str {
        &self.table
    }

    /// The column's name.
    pub(crate) fn column(&self) -> &str {
        &self.column
    }

    /// The same rows, another column.
    pub(super) fn rows(&self) -> Self {
        Self { column: ROWS.into(), ..self.clone() }
    }

    /// The same, with uses of the table no longer told apart.
    pub(super) fn anywhere(&self) -> Self {
        Self { place: 0, ..self.clone() }
    }

    /// The same column of all rows.
    pub(super) fn whole(&self) -> Self {
        Self { place: 0, among: BTreeMap::new(), ..self.clone() }
    }

    /// Whether both are of the same table.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        self.table == other.table
    }

    /// Whether the two may hold the same: one column, of rows that may be the same.
    pub(crate) fn is_related(&self, other: &Self) -> bool {
        let apart = |(column, codes): (&Arc<str>, &BTreeSet<i64>)| {
            other.among.get(column).is_some_and(|others| codes.is_disjoint(others))
        };
        self.table == other.table
            && quantity_of(&self.column) == quantity_of(&other.column)
            && !self.among.iter().any(apart)
    }

    /// Whether both are the same column of rows under the same codes.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.table == other.table && self.column == other.column && self.among == other.among
    }

    /// Takes a condition into account, if it is one on these rows.
    pub(super) fn restrict(&mut self, to: &Restriction) {
        if self.place == to.place && self.place != 0 {
            let known = self.among.entry(Arc::clone(&to.column)).or_insert_with(|| to.codes.clone());
            known.retain(|code| to.codes.contains(code));
        }
    }

    /// The codes' column as a restriction.
    pub(super) fn held_to(&self, codes: BTreeSet<i64>) -> Restriction {
        Restriction { place: self.place, column: Arc::clone(&self.column), codes }
    }
}

/// A day and its moment are one quantity.
fn quantity_of(column: &str) -> &str {
    column.strip_suffix("time").filter(|day| day.ends_with("_date")).unwrap_or(column)
}

/// That rows of one use of a table hold certain codes.
#[derive(Clone, Debug)]
pub(super) struct Restriction {
    place: u32,
    column: Arc<str>,
    codes: BTreeSet<i64>,
}
