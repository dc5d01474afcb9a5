//! The numbers that are compared with the threshold in a guarded study, beside the cells.
//!
//! A table is counted once, as fine as any number needs it; every number is a sum over some of its groups.

use super::Axis;

/// By what a table is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CountAxis {
    /// A column, cut.
    Column(Axis),
    /// A variable in ranges of steps, which begin at these, ascending from 0; then those without it.
    Steps {
        /// The variable.
        variable: String,
        /// The first step of each range.
        starts: Vec<i64>,
    },
}

impl CountAxis {
    /// How many groups it makes.
    pub fn classes(&self) -> usize {
        match self {
            Self::Column(axis) => axis.classes(),
            Self::Steps { starts, .. } => starts.len() + 1,
        }
    }
}

/// A table of counts, the last axis running fastest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountTable {
    /// Its axes.
    pub axes: Vec<CountAxis>,
}

impl CountTable {
    /// How many groups it has.
    pub fn groups(&self) -> usize {
        self.axes.iter().map(CountAxis::classes).product()
    }
}

/// A number that is compared: the sum over some groups of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number {
    /// The table.
    pub table: usize,
    /// Its groups, ascending.
    pub groups: Vec<usize>,
}

/// Everything that is counted to be compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// The tables.
    pub tables: Vec<CountTable>,
    /// The numbers.
    pub numbers: Vec<Number>,
    /// How many sets of groups are asked for again: for each one more number, which says whether it has changed.
    pub again: usize,
}
