//! The numbers that are compared, and the tables that they are counted from.

use std::collections::{BTreeMap, BTreeSet};

use consilium_protocol::study::StudySpec;

use super::node::{Key, Sets};
use crate::statistics::{Axis, Compared, CountAxis, CountTable, Number};

/// The most groups of one table.
const MOST_GROUPS: usize = 1 << 22;

/// Of a group those whose x is in a part of the finest cut, and in a range of steps.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Range {
    /// The column of x.
    pub(super) column: usize,
    /// The part.
    pub(super) part: usize,
    /// The first step.
    pub(super) from: i64,
    /// The step after the last.
    pub(super) to: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Counted {
    key: Key,
    range: Option<Range>,
}

/// Numbers in the making.
#[derive(Default)]
pub(super) struct Numbers {
    all: Vec<Counted>,
    known: BTreeMap<Counted, usize>,
}

impl Numbers {
    /// How many there are so far.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// The number of a group.
    pub(super) fn of(&mut self, key: &Key) -> usize {
        self.number(Counted { key: key.clone(), range: None })
    }

    /// The number of those of a group who are in a range.
    pub(super) fn of_range(&mut self, key: &Key, range: Range) -> usize {
        self.number(Counted { key: key.clone(), range: Some(range) })
    }

    fn number(&mut self, counted: Counted) -> usize {
        let next = self.all.len();
        *self.known.entry(counted.clone()).or_insert_with(|| {
            self.all.push(counted);
            next
        })
    }

    /// Which tables to count, and which of their groups make each number; none when a table is too large.
    pub(super) fn compile(self, sets: &Sets<'_>, spec: &StudySpec) -> Option<Compared> {
        let cuts: Vec<Cuts> = self.all.iter().map(|counted| Cuts::of(sets, counted)).collect();
        let kinds: BTreeSet<&Cuts> = cuts.iter().collect();
        let widest: Vec<&Cuts> = kinds
            .iter()
            .copied()
            .filter(|own| kinds.iter().all(|other| other == own || !own.is_within(other)))
            .collect();
        // Where x is counted in ranges, they begin at all steps that any number needs.
        let mut starts: BTreeMap<usize, BTreeSet<i64>> = BTreeMap::new();
        for (column, of) in sets.columns.iter().enumerate() {
            if of.by_values.is_some() {
                starts.insert(column, of.atoms.iter().filter_map(|atom| atom.step).collect());
            }
        }
        for range in self.all.iter().filter_map(|counted| counted.range.as_ref()) {
            starts.entry(range.column).or_insert_with(|| BTreeSet::from([0])).extend([range.from, range.to]);
        }
        let starts: BTreeMap<usize, Vec<i64>> =
            starts.into_iter().map(|(column, starts)| (column, starts.into_iter().collect())).collect();
        let tables = widest.iter().map(|cuts| cuts.table(sets, spec, &starts)).collect::<Option<Vec<_>>>()?;
        let numbers = self.all.iter().zip(&cuts).map(|(counted, cuts)| {
            let table = widest.iter().position(|wide| cuts == *wide || cuts.is_within(wide))?;
            Some(Number { table, groups: widest[table].groups(sets, &starts, counted) })
        });
        let numbers = numbers.collect::<Option<Vec<_>>>()?;
        Some(Compared { tables, numbers, again: 0 })
    }
}

/// Which columns a table is by: their parts, and for those in `steps` the steps of their variable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Cuts {
    columns: BTreeSet<usize>,
    steps: BTreeSet<usize>,
}

impl Cuts {
    fn of(sets: &Sets<'_>, counted: &Counted) -> Self {
        let mut columns: BTreeSet<usize> =
            counted.key.iter().enumerate().filter(|(_, set)| **set != 0).map(|(column, _)| column).collect();
        let whole_parts = |column: &usize| {
            let atoms = &sets.columns[*column].atoms;
            let own = &sets.atoms[*column][counted.key[*column] as usize];
            let parts: BTreeSet<usize> = own.iter().map(|atom| atoms[*atom].part).collect();
            atoms.iter().filter(|atom| parts.contains(&atom.part)).count() == own.len()
        };
        let mut steps: BTreeSet<usize> = columns.iter().copied().filter(|column| !whole_parts(column)).collect();
        if let Some(range) = &counted.range {
            columns.insert(range.column);
            steps.insert(range.column);
        }
        Self { columns, steps }
    }

    fn is_within(&self, other: &Self) -> bool {
        self.columns.is_subset(&other.columns) && self.steps.is_subset(&other.steps)
    }

    fn table(&self, sets: &Sets<'_>, spec: &StudySpec, starts: &BTreeMap<usize, Vec<i64>>) -> Option<CountTable> {
        let mut axes = Vec::new();
        for column in &self.columns {
            let own = &sets.columns[*column];
            axes.push(CountAxis::Column(Axis::of_parts(&own.name, own.parts.clone())));
            if self.steps.contains(column) {
                let variable = spec.variable(&own.name)?.name.clone();
                axes.push(CountAxis::Steps { variable, starts: starts.get(column)?.clone() });
            }
        }
        let groups = axes.iter().map(CountAxis::classes).try_fold(1usize, usize::checked_mul)?;
        (groups <= MOST_GROUPS).then_some(CountTable { axes })
    }

    /// The groups of the table that a number is the sum of.
    fn groups(&self, sets: &Sets<'_>, starts: &BTreeMap<usize, Vec<i64>>, counted: &Counted) -> Vec<usize> {
        let mut groups = vec![0usize];
        for column in &self.columns {
            let own = &sets.columns[*column];
            let atoms: Vec<_> =
                sets.atoms[*column][counted.key[*column] as usize].iter().map(|atom| &own.atoms[*atom]).collect();
            let range = counted.range.as_ref().filter(|range| range.column == *column);
            let steps = starts.get(column).filter(|_| self.steps.contains(column));
            // Parts, and for each the ranges of steps; the last range is of those without a value.
            let ranges = steps.map_or(1, |starts| starts.len() + 1);
            let mut classes = Vec::new();
            for part in 0..own.parts.len() {
                for place in 0..ranges {
                    let start = steps.and_then(|starts| starts.get(place));
                    let held = atoms.iter().any(|atom| {
                        atom.part == part && (steps.is_none() || atom.step.is_none() || atom.step == start.copied())
                    });
                    let in_range = range.is_none_or(|range| {
                        range.part == part && start.is_some_and(|start| (range.from..range.to).contains(start))
                    });
                    if held && in_range {
                        classes.push(part * ranges + place);
                    }
                }
            }
            let size = own.parts.len() * ranges;
            groups = groups.iter().flat_map(|group| classes.iter().map(move |class| group * size + class)).collect();
        }
        groups
    }
}
