//! A raw column of a table, with the rows that a query takes of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::store::omop;

/// The column that stands for how many rows there are.
pub(super) const ROWS: &str = "*";

/// A raw column, of the rows that hold these codes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Source {
    table: &'static str,
    column: &'static str,
    /// The codes that a row must hold, by column, where conditions say so.
    among: BTreeMap<&'static str, BTreeSet<i64>>,
    /// Which use of the table in the text it is, so that a condition on one is not taken for one on another; 0 where that is no
    /// longer told apart.
    pub(super) place: u32,
}

impl Source {
    pub(super) const fn new(table: &'static str, column: &'static str, place: u32) -> Self {
        Self { table, column, among: BTreeMap::new(), place }
    }

    /// The table's name.
    pub(crate) const fn table(&self) -> &'static str {
        self.table
    }

    /// The column's name.
    pub(crate) const fn column(&self) -> &'static str {
        self.column
    }

    /// The same rows, another column.
    pub(super) fn rows(&self) -> Self {
        Self { column: ROWS, ..self.clone() }
    }

    /// The same, with uses of the table no longer told apart.
    pub(super) fn anywhere(&self) -> Self {
        Self { place: 0, ..self.clone() }
    }

    /// The same column of all rows.
    pub(super) const fn whole(&self) -> Self {
        Self::new(self.table, self.column, 0)
    }

    /// Whether both are of the same table.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        self.table == other.table
    }

    /// Whether the two may hold the same: one column, of rows that may be the same.
    pub(crate) fn is_related(&self, other: &Self) -> bool {
        let apart = |(column, codes): (&&str, &BTreeSet<i64>)| {
            other.among.get(*column).is_some_and(|others| codes.is_disjoint(others))
        };
        self.table == other.table
            && quantity_of(self.column) == quantity_of(other.column)
            && !self.among.iter().any(apart)
    }

    /// Whether both are the same column of rows under the same codes.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.table == other.table && self.column == other.column && self.among == other.among
    }

    /// Takes a condition into account, if it is one on these rows.
    pub(super) fn restrict(&mut self, to: &Restriction) {
        if self.place == to.place && self.place != 0 {
            let known = self.among.entry(to.column).or_insert_with(|| to.codes.clone());
            known.retain(|code| to.codes.contains(code));
        }
    }

    /// The codes' column as a restriction.
    pub(super) fn held_to(&self, codes: BTreeSet<i64>) -> Restriction {
        Restriction { place: self.place, column: self.column, codes }
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
    column: &'static str,
    codes: BTreeSet<i64>,
}

/// Whether one of OMOP's tables is of patients, and no vocabulary.
pub(super) fn is_of_patients(table: &str) -> bool {
    omop::definition(table).is_some_and(|definition| !definition.domains.is_empty())
}
