//! What a study asks again.
//!
//! What was released and is exactly as it was says nothing new, however near it is to itself. Everybody derives from the ledger
//! which sets of groups an earlier study asked for, with the same cohort and among the same hospitals. Whether the earlier study
//! released them, and whether anybody in them has changed, each hospital knows for itself.

use consilium_protocol::study::{StudySpec, Variable};

use super::super::lattice::Lattice;
use crate::guard::{BitRef, Gate, Gates, MAX_GROUPS};
use crate::statistics::{Content, Layout, Part};

/// A group of cells, whatever study asks for it.
#[derive(Clone, Debug, PartialEq)]
struct Asked {
    /// Column, all parts of the cut, and those that the group is in; by column.
    of: Vec<(String, Vec<Part>, Vec<usize>)>,
    /// Of sums the variable, and whether squares are among them.
    sum: Option<(Variable, bool)>,
}

/// A set of groups that is asked for again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Again {
    /// Its seed.
    pub(crate) seed: usize,
    /// The earlier study, by its position.
    pub(crate) study: usize,
    /// The groups of cells, each with that of the earlier study.
    pub(crate) groups: Vec<(usize, usize)>,
}

/// The sets of groups that an earlier one of these asked for, of several the last; as many as can be compared beside the rest.
pub(in crate::disclosure) fn again(
    spec: &StudySpec,
    layout: &Layout,
    lattice: &Lattice,
    earlier: &[&StudySpec],
) -> Vec<Again> {
    let asked = asked(spec, layout, lattice);
    let mut found: Vec<Option<Again>> = vec![None; lattice.gates.release.len()];
    // With another threshold, what passed then may be too small now.
    let is_alike = |other: &StudySpec| other.cohort == spec.cohort && other.min_joint_count == spec.min_joint_count;
    for (study, other) in earlier.iter().enumerate().filter(|(_, other)| is_alike(other)) {
        let Ok(of_other) = Layout::of(other) else { continue };
        let Ok(lattice_of_other) = Lattice::of(other, &of_other) else { continue };
        let before = self::asked(other, &of_other, &lattice_of_other);
        for (seed, found) in found.iter_mut().enumerate() {
            let own = (0..asked.len()).filter(|group| lattice.padded[*group].seed == seed);
            let same = |group: usize| {
                let known = before.iter().position(|known| *known == asked[group]);
                known.map(|known| (group, known))
            };
            if let Some(groups) = own.map(same).collect::<Option<Vec<_>>>() {
                *found = Some(Again { seed, study, groups });
            }
        }
    }
    let more = MAX_GROUPS.saturating_sub(lattice.compared.numbers.len());
    found.into_iter().flatten().take(more).collect()
}

/// The conditions of release, of so many numbers, where what is asked for again may also be unchanged: a set is released when its own
/// bit is 1 or nobody says of it that it has changed. What waits for it waits for its own bit: that the set was released before makes
/// it known, and says nothing of how far other groups are from it.
pub(in crate::disclosure) fn or_unchanged(gates: &Gates, numbers: usize, again: &[Again]) -> Gates {
    let mut gates = gates.clone();
    for (number, again) in (numbers..).zip(again) {
        gates.sets.push(Gate::any(vec![gates.release[again.seed], BitRef::Nobody(number)]));
        gates.release[again.seed] = BitRef::Set(gates.sets.len() - 1);
    }
    gates
}

/// The statistics of a guarded study all of whose groups an earlier one asked for, by name.
pub fn statistics_again(spec: &StudySpec, earlier: &StudySpec) -> Vec<String> {
    let lattice = |spec: &StudySpec| {
        let layout = Layout::of(spec).ok()?;
        let lattice = Lattice::of(spec, &layout).ok()?;
        Some((layout, lattice))
    };
    let (Some((own, lattice_of_own)), Some((other, lattice_of_other))) = (lattice(spec), lattice(earlier)) else {
        return Vec::new();
    };
    if earlier.cohort != spec.cohort {
        return Vec::new();
    }
    let (asked, before) = (asked(spec, &own, &lattice_of_own), asked(earlier, &other, &lattice_of_other));
    let is_known = |group: usize| before.contains(&asked[group]);
    let of = own.blocks().iter().filter(|block| {
        block.bundles.clone().all(|bundle| {
            let places = lattice_of_own.places[bundle];
            is_known(places.count) && places.sums.is_none_or(is_known)
        })
    });
    of.map(|block| spec.statistics[block.statistic].name.clone()).collect()
}

/// Of each group of cells what it is.
fn asked(spec: &StudySpec, layout: &Layout, lattice: &Lattice) -> Vec<Asked> {
    let mut asked: Vec<Option<Asked>> = vec![None; lattice.padded.len()];
    for block in layout.all_blocks() {
        let variable = spec.statistics[block.statistic].kind.variable().and_then(|name| spec.variable(name));
        for (position, bundle) in block.bundles.clone().enumerate() {
            let mut of: Vec<(String, Vec<Part>, Vec<usize>)> = Vec::new();
            for (axis, class) in block.axes.iter().zip(block.parts_of(position)) {
                let parts = axis.parts_in(class);
                if parts.len() < axis.parts.len() {
                    of.push((axis.column.clone(), axis.parts.clone(), parts));
                }
            }
            of.sort_by(|a, b| a.0.cmp(&b.0));
            let places = lattice.places[bundle];
            if let (Some(sums), Some(variable)) = (places.sums, variable) {
                let squares = layout.bundles()[bundle].content == Content::Squares;
                asked[sums] = Some(Asked { of: of.clone(), sum: Some((variable.clone(), squares)) });
            }
            asked[places.count] = Some(Asked { of, sum: None });
        }
    }
    asked.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unchanged_is_released_and_nothing_else_with_it() {
        let total = BitRef::Group(0);
        let sets = vec![Gate::all(vec![total, BitRef::Group(1), BitRef::Group(2)])];
        let gates = Gates { sets, release: vec![total, BitRef::Set(0)] };
        let again = |seed| Again { seed, study: 0, groups: Vec::new() };
        // Numbers 3 and 4 say whether the total and the set have changed.
        let both = or_unchanged(&gates, 3, &[again(0), again(1)]);
        let seeds = |passes: [bool; 5]| {
            let large = [passes[0], passes[1], passes[2], false, false];
            both.evaluate(&passes, &large)
        };
        assert_eq!(seeds([false, true, true, false, false]), [false, false]);
        assert_eq!(seeds([false, true, true, true, false]), [true, false], "the total is unchanged");
        assert_eq!(seeds([false, false, true, true, true]), [true, true]);
        assert_eq!(seeds([true, true, true, false, false]), [true, true]);
        assert_eq!(or_unchanged(&gates, 3, &[]), gates);
    }
}
