//! What a guarded study decides about, derived by every party from public data alone.
//!
//! A *group* is a set of subjects with one joint count. Its *bit* is 1 when the count passes the [`Bar`], or, where zeros may
//! be shown, when it is 0. What is released for which bits is a circuit, [`Gates`]: its inputs are bits of groups, its
//! outputs the bits that seal seeds.

use std::collections::{BTreeMap, BTreeSet};

use super::parameters::SUMMANDS;
use super::plan::Plan;
use super::{MAX_GATE_INPUTS, MAX_GROUPS};
use crate::cells::{MAX_HOSPITALS, MIN_HOSPITALS};

/// One bit of the circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BitRef {
    /// Whether the group passes.
    Group(usize),
    /// Whether the group passes by its size: nobody is not enough, even where zeros are shown.
    Large(usize),
    /// Whether nobody is in the group and that may be shown.
    Nobody(usize),
    /// The gate at this position of [`Gates::sets`].
    Set(usize),
}

/// 1 when at least so many of the inputs are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// At least one. Inputs that stand twice count once.
    pub inputs: Vec<BitRef>,
    /// How many: all for a conjunction, one for a disjunction. Other numbers only for as many inputs as one bootstrap takes.
    pub at_least: usize,
}

impl Gate {
    /// 1 when all inputs are.
    pub fn all(inputs: Vec<BitRef>) -> Self {
        let at_least = inputs.iter().collect::<BTreeSet<_>>().len();
        Self { inputs, at_least }
    }

    /// 1 when any input is.
    pub fn any(inputs: Vec<BitRef>) -> Self {
        Self { inputs, at_least: 1 }
    }
}

/// Which bits release what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gates {
    /// Gates, each of groups and of gates before it: what several seeds depend on is computed once.
    pub sets: Vec<Gate>,
    /// For each seed the bit that it is sealed by.
    pub release: Vec<BitRef>,
}

/// What a group has to reach.
///
/// Each hospital counts for at most `cap`, and together they have to reach `least`. Whatever the cap, n is then at least
/// `least`, and whoever has t hospitals of the roster has only t·cap of it: with `cap` below `least` no group passes that
/// is one hospital's alone. A union of groups that pass passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    /// The most that one hospital counts for.
    pub cap: u64,
    /// What all have to reach.
    pub least: u64,
}

impl Bar {
    /// A joint count of at least `least`, whose ever it is.
    pub const fn at(least: u64) -> Self {
        Self { cap: least, least }
    }

    /// A joint count of at least `k`, that is not one hospital's; and with `insiders` that is at least `k` (from eight hospitals
    /// on, where half of it counts of each, about `k`) without so many hospitals, whoever they are.
    pub const fn of(k: u64, insiders: u64, hospitals: usize) -> Self {
        let half = k.div_ceil(2);
        match insiders {
            0 => Self { cap: if k > 1 { k - 1 } else { 1 }, least: k },
            t if hospitals >= 8 => Self { cap: half, least: k.saturating_add(t.saturating_mul(half)) },
            t => Self { cap: k, least: k.saturating_mul(t.saturating_add(1)) },
        }
    }
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
    #[error(
        "a guarded study compares 1 to {MAX_GROUPS} groups, not {groups}; ask for fewer or coarser statistics at once"
    )]
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
    /// The circuit is not one: a bit without a meaning, a gate without inputs or that cannot be computed, or nothing to seal.
    #[error("the conditions of release are not a circuit over the groups of the study; derive them from its layout")]
    Gates,
}

/// Hospitals, threshold, groups and conditions of release of one guarded round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardShape {
    hospitals: usize,
    bar: Bar,
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

    /// For each seed the groups that must all pass. Sets that several seeds need are shared.
    pub fn of_needs(needs: &[Vec<usize>]) -> Self {
        let mut gates = Self { sets: Vec::new(), release: Vec::new() };
        let mut known = BTreeMap::new();
        for groups in needs {
            let groups: BTreeSet<usize> = groups.iter().copied().collect();
            let bit = match groups.first() {
                Some(group) if groups.len() == 1 => BitRef::Group(*group),
                _ => *known.entry(groups.clone()).or_insert_with(|| {
                    gates.sets.push(Gate::all(groups.into_iter().map(BitRef::Group).collect()));
                    BitRef::Set(gates.sets.len() - 1)
                }),
            };
            gates.release.push(bit);
        }
        gates
    }

    /// The bits of the seeds, given the bits of the groups: for each whether it passes, and whether by its size.
    pub fn evaluate(&self, passes: &[bool], large: &[bool]) -> Vec<bool> {
        let mut sets: Vec<bool> = Vec::with_capacity(self.sets.len());
        let value = |bit: &BitRef, sets: &[bool]| match *bit {
            BitRef::Group(group) => passes[group],
            BitRef::Large(group) => large[group],
            BitRef::Nobody(group) => passes[group] && !large[group],
            BitRef::Set(set) => sets[set],
        };
        for gate in &self.sets {
            let inputs: BTreeSet<&BitRef> = gate.inputs.iter().collect();
            sets.push(inputs.into_iter().filter(|bit| value(bit, &sets)).count() >= gate.at_least);
        }
        self.release.iter().map(|bit| value(bit, &sets)).collect()
    }

    fn is_circuit(&self, groups: usize) -> bool {
        let known = |bit: &BitRef, sets| match *bit {
            BitRef::Group(group) | BitRef::Large(group) | BitRef::Nobody(group) => group < groups,
            BitRef::Set(set) => set < sets,
        };
        let sound = |(at, gate): (usize, &Gate)| {
            let inputs = gate.inputs.iter().collect::<BTreeSet<_>>().len();
            let one_bootstrap = gate.at_least <= inputs && inputs <= GuardShape::gate_inputs();
            let fits = gate.at_least == 1 || gate.at_least == inputs || one_bootstrap;
            inputs > 0 && gate.at_least > 0 && fits && gate.inputs.iter().all(|bit| known(bit, at))
        };
        self.sets.iter().map(|gate| gate.inputs.len()).sum::<usize>() <= MAX_GATE_INPUTS
            && self.sets.iter().enumerate().all(sound)
            && (1..=MAX_GROUPS).contains(&self.release.len())
            && self.release.iter().all(|bit| known(bit, self.sets.len()))
    }
}

impl GuardShape {
    /// The shape of a study over `hospitals` hospitals, whose groups pass when their joint count passes the bar, and when it is 0
    /// if `zeros_shown` for that group.
    ///
    /// # Errors
    /// When there is no such roster, no group or too many, a bar that is below 2 or beyond the parameters, or
    /// gates that are no circuit.
    pub fn new(hospitals: usize, bar: Bar, zeros_shown: Vec<bool>, gates: Gates) -> Result<Self, ShapeError> {
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
        let Bar { cap, least } = bar;
        let beyond = ShapeError::Threshold { threshold: least, hospitals };
        let most = cap.checked_mul(hospitals as u64).filter(|most| least >= 2 && least <= *most).ok_or(beyond)?;
        let counts = Plan::new(least, most).ok_or(beyond)?;
        let zeros = Plan::new(1, hospitals as u64).ok_or(beyond)?;
        Ok(Self { hospitals, bar, zeros_shown, gates, counts, zeros })
    }

    /// How many hospitals contribute.
    pub fn hospitals(&self) -> usize {
        self.hospitals
    }

    /// What a group has to reach.
    pub fn bar(&self) -> Bar {
        self.bar
    }

    /// How many groups are compared.
    pub fn groups(&self) -> usize {
        self.zeros_shown.len()
    }

    /// How many seeds are sealed.
    pub fn seeds(&self) -> usize {
        self.gates.release.len()
    }

    /// Whether a joint count of 0 passes, group by group.
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

    /// How many bits one bootstrap takes. A group's bit is the sum of two bootstraps where zeros are
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
        let group = |groups: &[usize]| Gate::all(groups.iter().copied().map(BitRef::Group).collect());
        assert_eq!(gates.sets, [group(&[1, 2]), group(&[0, 1, 2, 3])]);
        assert_eq!(gates.release, [BitRef::Group(0), BitRef::Set(0), BitRef::Set(0), BitRef::Set(1)]);
        assert!(gates.is_circuit(4) && !gates.is_circuit(3));
    }

    #[test]
    fn bits_are_what_they_say_and_inputs_count_once() {
        use BitRef::{Group, Large, Nobody, Set};
        let sets = vec![
            Gate { inputs: vec![Group(0), Group(0), Group(1)], at_least: 2 },
            Gate::any(vec![Set(0), Large(1)]),
            Gate { inputs: vec![Group(0), Large(1), Nobody(2)], at_least: 2 },
        ];
        let gates = Gates { sets, release: vec![Set(0), Set(1), Set(2), Group(2), Large(2), Nobody(2)] };
        let bits = |passes: [bool; 3], large: [bool; 3]| gates.evaluate(&passes, &large);
        // Nobody is in the third group.
        assert_eq!(bits([true, false, true], [true, false, false]), [false, false, true, true, false, true]);
        assert_eq!(bits([true, true, true], [true, true, true]), [true, true, true, true, true, false]);
        assert_eq!(bits([false, true, false], [false, true, false]), [false, true, false, false, false, false]);
    }

    #[test]
    fn numbers_that_tell_zeros_follow_the_counts() {
        let shape = GuardShape::new(3, Bar::at(11), vec![true, false, true], Gates::independent(3)).expect("a shape");
        assert_eq!((shape.numbers(), shape.zero_numbers()), (5, vec![Some(3), None, Some(4)]));
    }

    #[test]
    fn unsound_shapes_are_refused() {
        let new = |hospitals, threshold, groups, gates| {
            GuardShape::new(hospitals, Bar::at(threshold), vec![true; groups], gates)
        };
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
        let high = GuardShape::new(3, Bar { cap: 2, least: 7 }, vec![true], free(1));
        assert_eq!(high.err(), Some(ShapeError::Threshold { threshold: 7, hospitals: 3 }), "never reached");
        assert!(new(3, 11, 2, free(1)).is_ok(), "as many seeds as wanted");
        assert_eq!(refused(3, 11, 1, free(2)), ShapeError::Gates);
        assert_eq!(refused(3, 11, 1, free(0)), ShapeError::Gates);
        assert_eq!(refused(3, 11, 1, Gates { sets: vec![], release: vec![BitRef::Set(0)] }), ShapeError::Gates);
        let of = |inputs: Vec<BitRef>| Gates { sets: vec![Gate::any(inputs)], release: vec![BitRef::Set(0)] };
        assert!(new(3, 11, 1, of(vec![BitRef::Group(0)])).is_ok());
        for inputs in [vec![], vec![BitRef::Set(0)], vec![BitRef::Group(1)], vec![BitRef::Group(0), BitRef::Set(7)]] {
            assert_eq!(refused(3, 11, 1, of(inputs)), ShapeError::Gates);
        }
        assert_eq!(refused(3, 11, 1, of(vec![BitRef::Large(1)])), ShapeError::Gates);
        assert_eq!(refused(3, 11, 1, of(vec![BitRef::Nobody(1)])), ShapeError::Gates);
        assert!(new(3, 11, 1, of(vec![BitRef::Group(0); MAX_GATE_INPUTS])).is_ok());
        assert_eq!(refused(3, 11, 1, of(vec![BitRef::Group(0); MAX_GATE_INPUTS + 1])), ShapeError::Gates);
    }

    #[test]
    fn gates_count_what_one_bootstrap_can() {
        let of = |inputs: usize, at_least| Gates {
            sets: vec![Gate { inputs: (0..inputs).map(BitRef::Large).collect(), at_least }],
            release: vec![BitRef::Set(0)],
        };
        let new = |inputs, at_least| GuardShape::new(3, Bar::at(11), vec![true; inputs], of(inputs, at_least));
        assert!(new(12, 5).is_ok() && new(40, 40).is_ok() && new(40, 1).is_ok());
        for (inputs, at_least) in [(13, 2), (40, 39), (5, 6), (5, 0)] {
            assert_eq!(new(inputs, at_least).err(), Some(ShapeError::Gates), "{at_least} of {inputs}");
        }
    }

    #[test]
    fn a_bar_takes_insiders_into_account() {
        assert_eq!(Bar::at(11), Bar { cap: 11, least: 11 });
        assert_eq!(Bar::of(1, 0, 4), Bar { cap: 1, least: 1 });
        assert_eq!(Bar::of(11, 0, 4), Bar { cap: 10, least: 11 });
        assert_eq!(Bar::of(11, 0, 20), Bar { cap: 10, least: 11 });
        assert_eq!(Bar::of(11, 1, 4), Bar { cap: 11, least: 22 });
        assert_eq!(Bar::of(11, 1, 7), Bar { cap: 11, least: 22 });
        assert_eq!(Bar::of(11, 1, 8), Bar { cap: 6, least: 17 });
        assert_eq!(Bar::of(11, 3, 20), Bar { cap: 6, least: 29 });
        // Whoever t hospitals are, the others have what is left, and it is not one hospital's.
        for (k, hospitals) in [(2, 3), (5, 4), (11, 7), (11, 8), (20, 100)] {
            for t in 0..3 {
                let Bar { cap, least } = Bar::of(k, t, hospitals);
                assert!(least >= k && least - t * cap >= k.min(least) && least > cap, "{k} {t} {hospitals}");
            }
        }
    }
}
