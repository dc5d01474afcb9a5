//! Whether the values of a group are spread enough for its sums to be shown.
//!
//! A released sum, with everything else that is released, is Σ p(x) + c over a group, p a polynomial of degree d and c constant
//! on each part of every cut of x. If d + 1 disjoint ranges within one part have k patients each, p + c is not 0 for k of them at
//! least: it has at most d roots there. A column under another name that depends on what x is made of cuts it, too.

use consilium_protocol::study::StudySpec;

use super::circuit::Circuit;
use super::node::{Key, Sets};
use super::numbers::{Numbers, Range};
use crate::guard::BitRef;
use crate::statistics::{Column, Scale, steps_of};

/// Where the ranges of an uncut variable begin, in 16ths of its range: finer near the minimum, since what is measured is often
/// skewed.
const SIXTEENTHS: [i64; 8] = [0, 1, 2, 4, 6, 8, 10, 12];

/// The most parts of a cut, and the most cells of related columns, that are looked at.
const MOST_PARTS: usize = 8;

/// The ranges of one variable.
pub(super) struct Spread {
    /// Its column.
    pub(super) column: usize,
    /// By degree and part the first step of each range, and the step after the last.
    ranges: [Vec<(usize, Vec<i64>)>; 2],
    /// How many ranges have to be large beside the degree.
    more: usize,
    /// Columns under other names that depend on what the variable is made of: they cut it, too.
    related: Vec<usize>,
}

impl Spread {
    /// Of a column that is summed up.
    pub(super) fn of(spec: &StudySpec, column: &Column, position: usize) -> Option<Self> {
        let scale = Scale::of(spec.variable(&column.name)?)?;
        let valued: Vec<usize> = (0..column.parts.len()).filter(|part| !is_missing(column, *part)).collect();
        let ranges = [1, 2].map(|degree: i64| match valued.as_slice() {
            [only] => vec![(*only, uncut(scale.range))],
            parts => {
                // One range more than roots, and each of two values, or three where squares are shown: what hidden groups of the
                // cut could hold is then not bounded by the sum alone.
                let pieces = degree + 2;
                let wide = parts.iter().filter_map(|part| {
                    let steps = steps_of(&column.parts[*part], &scale);
                    let (from, to) = (*steps.start(), *steps.end() + 1);
                    (to - from >= pieces * (degree + 1)).then(|| {
                        let start = |piece| from + (to - from) * piece / pieces;
                        (*part, (0..=pieces).map(start).collect())
                    })
                });
                spaced(wide.collect())
            }
        });
        let is_cut = valued.len() > 1 || !column.related.is_empty();
        Some(Self { column: position, ranges, more: if is_cut { 2 } else { 1 }, related: column.related.clone() })
    }

    /// Whether a group has values: it is not of those without.
    pub(super) fn has_values(&self, sets: &Sets<'_>, group: &Key) -> bool {
        let column = &sets.columns[self.column];
        sets.atoms[self.column][group[self.column] as usize]
            .iter()
            .all(|atom| !is_missing(column, column.atoms[*atom].part))
    }

    /// The groups by value that a group is made of.
    pub(super) fn values(&self, sets: &Sets<'_>, group: &Key, by_values: usize) -> Vec<Key> {
        let atoms = &sets.atoms[self.column][group[self.column] as usize];
        let class = |atom: &usize| {
            let mut value = group.clone();
            value[self.column] = sets.set(self.column, by_values, *atom);
            value
        };
        atoms.iter().map(class).collect()
    }

    /// The parts of a group that related columns cut it into; in each of them these say nothing more of the variable.
    fn cells(&self, sets: &Sets<'_>, group: &Key) -> Vec<Key> {
        let mut cells = vec![group.clone()];
        for column in &self.related {
            let finest = sets.columns[*column].levels.len() - 1;
            let own = &sets.atoms[*column][group[*column] as usize];
            let classes: Vec<u32> = (0..sets.columns[*column].levels[finest].classes)
                .map(|class| sets.set(*column, finest, class))
                .filter(|set| sets.atoms[*column][*set as usize].iter().all(|atom| own.contains(atom)))
                .collect();
            let cut = |cell: &Key| {
                let with = |set: &u32| {
                    let mut cell = cell.clone();
                    cell[*column] = *set;
                    cell
                };
                classes.iter().map(with).collect::<Vec<_>>()
            };
            cells = spaced(cells.iter().flat_map(cut).collect());
        }
        cells
    }

    /// The bit that says so, and the numbers of those in the ranges.
    pub(super) fn bit(
        &self,
        sets: &Sets<'_>,
        group: &Key,
        degree: u8,
        numbers: &mut Numbers,
        circuit: &mut Circuit,
    ) -> (BitRef, Vec<usize>) {
        let column = &sets.columns[self.column];
        let own = &sets.atoms[self.column][group[self.column] as usize];
        let holds = |part: usize| own.iter().any(|atom| column.atoms[*atom].part == part);
        let parts = || self.ranges[usize::from(degree) - 1].iter().filter(|(part, _)| holds(*part));
        let (mut bits, mut counted) = (Vec::new(), Vec::new());
        for cell in self.cells(sets, group) {
            for (part, starts) in parts() {
                let large = starts.windows(2).map(|step| {
                    let range = Range { column: self.column, part: *part, from: step[0], to: step[1] };
                    numbers.of_range(&cell, range)
                });
                let ranges: Vec<usize> = large.collect();
                let large: Vec<BitRef> = ranges.iter().copied().map(BitRef::Large).collect();
                counted.extend(ranges);
                bits.push(circuit.at_least(large, usize::from(degree) + self.more));
            }
        }
        // Nobody's sum is 0.
        bits.push(BitRef::Nobody(numbers.of(group)));
        (circuit.at_least(bits, 1), counted)
    }
}

fn is_missing(column: &Column, part: usize) -> bool {
    column.parts[part] == crate::statistics::Part::Missing
}

/// The ranges of a variable that no statistic cuts: eight, or its values if they are fewer.
fn uncut(range: i64) -> Vec<i64> {
    let values = range + 1;
    if values < 32 {
        let pieces = values.min(8);
        return (0..=pieces).map(|piece| values * piece / pieces).collect();
    }
    SIXTEENTHS.iter().map(|part| values * part / 16).chain([values]).collect()
}

/// At most [`MOST_PARTS`] of these, evenly spaced: where many patients are, several neighbours are wide.
fn spaced<T>(all: Vec<T>) -> Vec<T> {
    let count = all.len();
    let kept = count.min(MOST_PARTS);
    let wanted = |place: usize| (0..kept).any(|one| (2 * one + 1) * count / (2 * kept) == place);
    all.into_iter().enumerate().filter(|(place, _)| wanted(*place)).map(|(_, one)| one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_all_values_and_are_finer_near_the_minimum() {
        assert_eq!(uncut(2), [0, 1, 2, 3]);
        assert_eq!(uncut(30), [0, 3, 7, 11, 15, 19, 23, 27, 31]);
        assert_eq!(uncut(159), [0, 10, 20, 40, 60, 80, 100, 120, 160]);
    }

    #[test]
    fn parts_that_are_looked_at_are_evenly_spaced() {
        assert_eq!(spaced(vec![0, 1, 2]), [0, 1, 2]);
        assert_eq!(spaced((0..24).collect()), [1, 4, 7, 10, 13, 16, 19, 22]);
    }
}
