//! Guarded studies: what is compared with the threshold under encryption, and what of the result may be read.
//!
//! [`plan`] compiles a study into groups of cells and the conditions of their release ([`dependence`](super::dependence));
//! hospitals, aggregator, custodian and researcher derive the same from the study and the policy. [`release`] turns the
//! groups that passed into a result: the others were never opened, so it has nothing to decide about them, only to say
//! that they are suppressed and by which rule.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use consilium_protocol::policy::DisclosurePolicy;
use consilium_protocol::study::{Protection, StudySpec};

use super::dependence::{BitRef as Bit, Dependence, DependenceError, Rings};
use super::suppression::Counts;
use super::{DisclosureError, Released, Rule, check_frame, lines, sound};
use crate::guard::{AndSet, BitRef, Gates, GuardShape, GuardedCells, ShapeError};
use crate::result::StudyResult;
use crate::statistics::{Bundle, Layout, StatisticsError};

/// What is computed under encryption for a guarded study.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardPlan {
    /// Hospitals, threshold, groups, and conditions of release.
    pub shape: GuardShape,
    /// The cells of each group of the study. The shape's first groups are these; its further ones, two for each that has
    /// sums, are the ends of their variable ([`statistics`](crate::statistics)), which have no cells.
    pub groups: Vec<Range<usize>>,
    dependence: Dependence,
    summed: Vec<bool>,
}

/// Why a study cannot be guarded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GuardPlanError {
    /// The study breaks a rule of its own.
    #[error(transparent)]
    Study(#[from] StatisticsError),
    /// What the study asks for cannot be kept apart.
    #[error(transparent)]
    Dependence(#[from] DependenceError),
    /// Threshold, roster or groups are beyond what can be computed.
    #[error(transparent)]
    Shape(#[from] ShapeError),
}

impl GuardPlan {
    /// How many groups are released whatever becomes of others, if they pass themselves.
    pub fn standing_alone(&self) -> usize {
        (0..self.groups.len()).filter(|group| self.dependence.stands_alone(*group)).count()
    }

    /// By statistic which others have groups that its own wait for.
    pub fn waits_for(&self, layout: &Layout) -> Vec<BTreeSet<usize>> {
        let of_group = |group: &usize| layout.blocks().iter().position(|block| block.bundles.contains(group));
        let mut of_sets: Vec<BTreeSet<usize>> = Vec::with_capacity(self.dependence.sets.len());
        let of = |bit: &Bit, of_sets: &[BTreeSet<usize>]| match bit {
            Bit::Group(group) => of_group(group).into_iter().collect(),
            Bit::Set(set) => of_sets[*set].clone(),
        };
        for set in &self.dependence.sets {
            of_sets.push(set.members.iter().flat_map(|member| of(member, &of_sets)).collect());
        }
        let waits = layout.blocks().iter().map(|block| {
            let all = self.dependence.release[block.bundles.clone()].iter().flat_map(|bit| of(bit, &of_sets));
            all.filter(|statistic| *statistic != block.statistic).collect()
        });
        waits.collect()
    }

    /// How many groups are sealed, ends included.
    pub fn sealed(&self) -> usize {
        self.shape.groups()
    }

    /// How many groups have a bit of their own to be decided, ends included.
    pub fn decided(&self) -> usize {
        self.dependence.inputs().len() + self.shape.groups() - self.groups.len()
    }

    /// Which groups are released when these of the shape's pass: the circuit in the clear, for tests and explanations.
    pub fn released(&self, passing: &[bool]) -> Vec<bool> {
        let gates = self.shape.gates();
        let mut sets: Vec<bool> = Vec::with_capacity(gates.sets.len());
        let bit = |bit: &BitRef, sets: &[bool]| match *bit {
            BitRef::Group(group) => passing[group],
            BitRef::Set(set) => sets[set],
        };
        for set in &gates.sets {
            sets.push(set.inputs.iter().all(|input| bit(input, &sets)));
        }
        gates.release[..self.groups.len()].iter().map(|release| bit(release, &sets)).collect()
    }

    /// The rule that suppresses a group which was not released.
    fn rule(&self, group: usize) -> Rule {
        let alone = self.dependence.stands_alone(group) && !self.summed[group];
        if alone { Rule::SmallCount } else { Rule::SmallCountOrPart }
    }
}

/// Compiles a study for a roster of so many hospitals.
///
/// # Errors
/// [`GuardPlanError`]; the study must then be changed, or be open or private.
pub fn plan(spec: &StudySpec, policy: &DisclosurePolicy, hospitals: usize) -> Result<GuardPlan, GuardPlanError> {
    let layout = Layout::of(spec)?;
    let dependence = Dependence::of(spec, &layout, Rings::Refuse)?;
    let groups: Vec<Range<usize>> = layout.bundles().iter().map(|bundle| bundle.cells()).collect();
    let summed: Vec<bool> = layout.bundles().iter().map(Bundle::has_sums).collect();
    let gates = gates(&dependence, &summed);
    let zeros_shown = vec![policy.show_zeros; gates.release.len()];
    let shape = GuardShape::new(hospitals, u64::from(spec.threshold(policy)), zeros_shown, gates)?;
    Ok(GuardPlan { shape, groups, dependence, summed })
}

/// The circuit: counts wait for what the study's dependence says, and sums besides for the ends wherever they wait for a
/// group with sums.
fn gates(dependence: &Dependence, summed: &[bool]) -> Gates {
    let bit = |bit: &Bit| match bit {
        Bit::Group(group) => BitRef::Group(*group),
        Bit::Set(set) => BitRef::Set(*set),
    };
    let mut sets: Vec<AndSet> =
        dependence.sets.iter().map(|set| AndSet { inputs: set.members.iter().map(bit).collect() }).collect();
    let mut release: Vec<BitRef> = dependence.release.iter().map(bit).collect();
    let mut ends = BTreeMap::new();
    for group in (0..summed.len()).filter(|group| summed[*group]) {
        let first = summed.len() + 2 * ends.len();
        ends.insert(group, [first, first + 1]);
    }
    // A conjunction with the ends of every group in it; the conjunction itself where there are none.
    let mut with_ends: Vec<BitRef> = Vec::with_capacity(dependence.sets.len());
    let inputs = |member: &Bit, with_ends: &[BitRef]| match member {
        Bit::Set(set) => vec![with_ends[*set]],
        Bit::Group(group) => {
            let own = [*group].into_iter().chain(ends.get(group).copied().into_iter().flatten());
            own.map(BitRef::Group).collect()
        }
    };
    for (position, set) in dependence.sets.iter().enumerate() {
        let all: Vec<BitRef> = set.members.iter().flat_map(|member| inputs(member, &with_ends)).collect();
        if all == sets[position].inputs {
            with_ends.push(BitRef::Set(position));
        } else {
            sets.push(AndSet { inputs: all });
            with_ends.push(BitRef::Set(sets.len() - 1));
        }
    }
    for (group, own) in &ends {
        let own = own.map(BitRef::Group);
        let mut all = inputs(&dependence.release[*group], &with_ends);
        all.extend(own);
        all.sort_unstable();
        all.dedup();
        sets.push(AndSet { inputs: all });
        release[*group] = BitRef::Set(sets.len() - 1);
        // What has no cells is released with what it guards, and tells nothing more.
        release.extend([release[*group]; 2]);
    }
    Gates { sets, release }
}

/// Turns the groups that passed into a result.
///
/// `roster` is the size of the round's roster on the ledger; `policy` is the consortium's.
///
/// # Errors
/// [`DisclosureError`]; then nothing is released. [`DisclosureError::Broken`] also when a group was opened that is small:
/// then aggregator or custodian did not do as agreed.
pub fn release(
    spec: &StudySpec,
    policy: &DisclosurePolicy,
    roster: usize,
    opened: &GuardedCells,
) -> Result<Released<StudyResult>, DisclosureError> {
    if spec.protection != Protection::Guarded {
        return Err(DisclosureError::Protection);
    }
    let plan = plan(spec, policy, roster).map_err(|_| DisclosureError::Layout)?;
    let layout = Layout::of(spec).map_err(|_| DisclosureError::Layout)?;
    check_frame(policy, roster)?;
    if opened.groups().len() != plan.groups.len() {
        return Err(DisclosureError::Layout);
    }
    let mut cells = zeroize::Zeroizing::new(vec![0i64; layout.cells()]);
    let mut rules = Vec::with_capacity(plan.groups.len());
    for (group, (range, own)) in plan.groups.iter().zip(opened.groups()).enumerate() {
        match own {
            None => rules.push(Some(plan.rule(group))),
            Some(own) if own.hospitals() != roster => return Err(DisclosureError::Roster),
            Some(own) if own.len() != range.len() => return Err(DisclosureError::Layout),
            Some(own) => {
                cells[range.clone()].copy_from_slice(own.values());
                rules.push(None);
            }
        }
    }
    let broken = |block: usize| DisclosureError::Broken { statistic: spec.statistics[block].name.clone() };
    sound::check_bundles(spec, &layout, &cells, roster).map_err(broken)?;
    let counts = Counts::of(&layout, &cells);
    let shown = |bundle: &usize| rules[*bundle].is_none();
    let k = spec.threshold(policy);
    for (statistic, block) in layout.blocks().iter().enumerate() {
        let small = |bundle: usize| counts.is_small(bundle, k, policy.show_zeros) || counts.of_bundle(bundle).1 != 0;
        if block.bundles.clone().any(|bundle| shown(&bundle) && small(bundle)) {
            return Err(broken(statistic));
        }
    }
    let complete: Vec<_> =
        lines::of(&layout).into_iter().filter(|line| line.sides.iter().flatten().all(shown)).collect();
    sound::check_lines(&complete, &counts).map_err(broken)?;
    Ok(Released::new(StudyResult::estimate(spec, &layout, policy, roster, &cells, &rules)))
}
