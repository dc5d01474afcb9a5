//! What a guarded study decides about, derived by every party from public data alone.
//!
//! A *group* is a set of cells with one joint count. Its *bit* is 1 when the count is not small: at least the threshold,
//! or, where zeros may be shown, 0. Groups need not be released by their own bit alone: where a small count would follow
//! from the others of a table, a group is released only if other bits are 1 as well. [`Gates`] says so, as a circuit of
//! conjunctions.

use std::collections::{BTreeMap, BTreeSet};

use super::parameters::SUMMANDS;
use super::plan::Plan;
use super::{MAX_GATE_INPUTS, MAX_GROUPS};
use crate::cells::{MAX_HOSPITALS, MIN_HOSPITALS};

/// One bit of the circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BitRef {
    /// The group's own bit.
    Group(usize),
    /// The conjunction at this position of [`Gates::sets`].
    Set(usize),
}

/// A conjunction: 1 when every input is 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AndSet {
    /// At least one. Inputs that stand twice count once.
    pub inputs: Vec<BitRef>,
}

/// Which bits release which groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gates {
    /// Conjunctions, each of groups and of sets before it: what several groups depend on is computed once.
    pub sets: Vec<AndSet>,
    /// For each group the bit that releases it.
    pub release: Vec<BitRef>,
}

/// Why a shape cannot be guarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// No roster has so many members.
    #[error("a roster has {MIN_HOSPITALS} to {MAX_HOSPITALS} hospitals, not {hospitals}; take it from the ledger")]
    Hospitals {
        /// How many it has.
        hospitals: usize,
    },
    /// No groups, or too many.
    #[error("a guarded study has 1 to {MAX_GROUPS} groups, not {groups}; ask for fewer statistics at once")]
    Groups {
        /// How many it has.
        groups: usize,
    },
    /// Sums that a few bootstraps cannot decide about, or a threshold that suppresses nothing.
    #[error(
        "a threshold of {threshold} with {hospitals} hospitals is beyond what can be decided under encryption; lower the threshold"
    )]
    Threshold {
        /// The threshold.
        threshold: u64,
        /// How many hospitals the roster has.
        hospitals: usize,
    },
    /// The circuit is not one: a bit without a meaning, a set without inputs, or as many releases as there are groups.
    #[error("the conditions of release are not a circuit over the groups of the study; derive them from its layout")]
    Gates,
}

/// Hospitals, threshold, groups and conditions of release of one guarded round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardShape {
    hospitals: usize,
    threshold: u64,
    zeros_shown: Vec<bool>,
    gates: Gates,
    counts: Plan,
    zeros: Plan,
}

impl Gates {
    /// Every group is released by its own bit.
    pub fn independent(groups: usize) -> Self {
        Self { sets: Vec::new(), release: (0..groups).map(BitRef::Group).collect() }
    }

    /// For each group the bits that must all be 1, its own not implied. Sets that several groups need are shared.
    pub fn of_needs(needs: &[Vec<usize>]) -> Self {
        let mut gates = Self { sets: Vec::new(), release: Vec::new() };
        let mut known = BTreeMap::new();
        for groups in needs {
            let groups: BTreeSet<usize> = groups.iter().copied().collect();
            let bit = match groups.first() {
                Some(group) if groups.len() == 1 => BitRef::Group(*group),
                _ => *known.entry(groups.clone()).or_insert_with(|| {
                    gates.sets.push(AndSet { inputs: groups.into_iter().map(BitRef::Group).collect() });
                    BitRef::Set(gates.sets.len() - 1)
                }),
            };
            gates.release.push(bit);
        }
        gates
    }

    fn is_circuit(&self, groups: usize) -> bool {
        let known = |bit: &BitRef, sets| match *bit {
            BitRef::Group(group) => group < groups,
            BitRef::Set(set) => set < sets,
        };
        let sound = |(at, set): (usize, &AndSet)| !set.inputs.is_empty() && set.inputs.iter().all(|bit| known(bit, at));
        self.sets.iter().map(|set| set.inputs.len()).sum::<usize>() <= MAX_GATE_INPUTS
            && self.sets.iter().enumerate().all(sound)
            && self.release.len() == groups
            && self.release.iter().all(|bit| known(bit, self.sets.len()))
    }
}

impl GuardShape {
    /// The shape of a study over `hospitals` hospitals, whose groups are suppressed when their joint count is from 1 to
    /// `threshold` - 1, and when it is 0 unless `zeros_shown` for that group.
    ///
    /// # Errors
    /// When there is no such roster, no group or too many, a threshold that is below 2 or beyond the parameters, or
    /// gates that are no circuit.
    pub fn new(hospitals: usize, threshold: u64, zeros_shown: Vec<bool>, gates: Gates) -> Result<Self, ShapeError> {
        if !(MIN_HOSPITALS..=MAX_HOSPITALS).contains(&hospitals) {
            return Err(ShapeError::Hospitals { hospitals });
        }
        let groups = zeros_shown.len();
        if !(1..=MAX_GROUPS).contains(&groups) {
            return Err(ShapeError::Groups { groups });
        }
        if !gates.is_circuit(groups) {
            return Err(ShapeError::Gates);
        }
        let beyond = ShapeError::Threshold { threshold, hospitals };
        let most = threshold.checked_mul(hospitals as u64).filter(|_| threshold >= 2).ok_or(beyond)?;
        let counts = Plan::new(threshold, most).ok_or(beyond)?;
        let zeros = Plan::new(1, hospitals as u64).ok_or(beyond)?;
        Ok(Self { hospitals, threshold, zeros_shown, gates, counts, zeros })
    }

    /// How many hospitals contribute.
    pub fn hospitals(&self) -> usize {
        self.hospitals
    }

    /// The smallest joint count, 0 aside, that is not small.
    pub fn threshold(&self) -> u64 {
        self.threshold
    }

    /// How many groups there are.
    pub fn groups(&self) -> usize {
        self.zeros_shown.len()
    }

    /// Whether a joint count of 0 is shown, group by group.
    pub fn zeros_shown(&self) -> &[bool] {
        &self.zeros_shown
    }

    /// Which bits release which groups.
    pub fn gates(&self) -> &Gates {
        &self.gates
    }

    pub(super) fn count_plan(&self) -> &Plan {
        &self.counts
    }

    pub(super) fn zero_plan(&self) -> &Plan {
        &self.zeros
    }

    /// How many numbers a hospital contributes: one a group, and one more where zeros are shown.
    pub(super) fn numbers(&self) -> usize {
        self.groups() + self.zeros_shown.iter().filter(|shown| **shown).count()
    }

    /// Where the number that tells zeros of each group stands among those of a contribution, if it has one.
    pub(super) fn zero_numbers(&self) -> Vec<Option<usize>> {
        let mut next = self.groups();
        let place = |shown: &bool| {
            shown.then(|| {
                next += 1;
                next - 1
            })
        };
        self.zeros_shown.iter().map(place).collect()
    }

    /// How many bits one bootstrap takes the conjunction of. A group's bit is the sum of two bootstraps where zeros are
    /// shown, so it counts twice against the parameter set's 2-norm.
    pub(super) const fn gate_inputs() -> usize {
        SUMMANDS / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_share_their_sets() {
        let gates = Gates::of_needs(&[vec![0], vec![2, 1, 1], vec![1, 2], vec![0, 1, 2, 3]]);
        let group = |groups: &[usize]| AndSet { inputs: groups.iter().copied().map(BitRef::Group).collect() };
        assert_eq!(gates.sets, [group(&[1, 2]), group(&[0, 1, 2, 3])]);
        assert_eq!(gates.release, [BitRef::Group(0), BitRef::Set(0), BitRef::Set(0), BitRef::Set(1)]);
        assert!(gates.is_circuit(4) && !gates.is_circuit(3));
    }

    #[test]
    fn unsound_shapes_are_refused() {
        let new =
            |hospitals, threshold, groups, gates| GuardShape::new(hospitals, threshold, vec![true; groups], gates);
        let refused =
            |hospitals, threshold, groups, gates| new(hospitals, threshold, groups, gates).expect_err("unsound");
        let free = Gates::independent;
        assert!(new(3, 2, 1, free(1)).is_ok() && new(1024, 31, 9, free(9)).is_ok());
        assert_eq!(refused(2, 11, 1, free(1)), ShapeError::Hospitals { hospitals: 2 });
        assert_eq!(refused(1025, 11, 1, free(1)), ShapeError::Hospitals { hospitals: 1025 });
        assert_eq!(refused(3, 11, 0, free(0)), ShapeError::Groups { groups: 0 });
        assert_eq!(refused(3, 11, MAX_GROUPS + 1, free(1)), ShapeError::Groups { groups: MAX_GROUPS + 1 });
        for threshold in [0, 1, 1_000_000, u64::MAX] {
            assert_eq!(refused(3, threshold, 1, free(1)), ShapeError::Threshold { threshold, hospitals: 3 });
        }
        assert_eq!(refused(3, 11, 2, free(1)), ShapeError::Gates);
        assert_eq!(refused(3, 11, 1, free(2)), ShapeError::Gates);
        assert_eq!(refused(3, 11, 1, Gates { sets: vec![], release: vec![BitRef::Set(0)] }), ShapeError::Gates);
        let of = |inputs: Vec<BitRef>| Gates { sets: vec![AndSet { inputs }], release: vec![BitRef::Set(0)] };
        assert!(new(3, 11, 1, of(vec![BitRef::Group(0)])).is_ok());
        for inputs in [vec![], vec![BitRef::Set(0)], vec![BitRef::Group(1)], vec![BitRef::Group(0), BitRef::Set(7)]] {
            assert_eq!(refused(3, 11, 1, of(inputs)), ShapeError::Gates);
        }
    }
}
