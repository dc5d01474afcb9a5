//! Guarded studies: what is compared with the threshold under encryption, and what of the result may be read.
//!
//! [`plan`] compiles a study into numbers, groups of cells and the conditions of their release ([`lattice`](super::lattice));
//! hospitals, aggregator, custodian and researcher derive the same from the study and the policy. [`release`] turns the
//! groups that passed into a result: the others were never opened, so it has nothing to decide about them, only to say
//! that they are suppressed and by which rule.

use std::collections::BTreeSet;

use consilium_protocol::policy::DisclosurePolicy;
use consilium_protocol::study::{Protection, StudySpec};

use super::lattice::{Lattice, LatticeError};
use super::suppression::Counts;
use super::{DisclosureError, Released, Rule, check_frame, lines, sound};
use crate::guard::{Bar, BitRef, GuardShape, GuardedCells, Padded, ShapeError};
use crate::result::StudyResult;
use crate::statistics::{Compared, Layout, StatisticsError};

/// What is computed under encryption for a guarded study.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardPlan {
    /// Hospitals, threshold, numbers, and conditions of release.
    pub shape: GuardShape,
    /// The groups of cells, each with its seed.
    pub groups: Vec<Padded>,
    lattice: Lattice,
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
    Lattice(#[from] LatticeError),
    /// Threshold, roster or groups are beyond what can be computed.
    #[error(transparent)]
    Shape(#[from] ShapeError),
}

impl GuardPlan {
    /// For each statistic the columns that it has in common with others: its groups are shown class by class of these, and only
    /// where those are.
    pub fn waits_for(&self) -> &[Vec<String>] {
        &self.lattice.waits_for
    }

    /// Whether statistics are in a ring, so that they are shown together or not at all.
    pub fn is_tied(&self) -> bool {
        self.lattice.is_tied
    }

    /// How many seeds are sealed: each releases groups that are shown together.
    pub fn sealed(&self) -> usize {
        self.shape.seeds()
    }

    /// How many groups are compared with the threshold.
    pub fn compared(&self) -> usize {
        self.shape.groups()
    }

    /// Which groups of cells are released when these numbers pass the bar, and these by their size: the circuit in the clear, for
    /// tests and explanations.
    pub fn released(&self, passes: &[bool], large: &[bool]) -> Vec<bool> {
        let seeds = self.shape.gates().evaluate(passes, large);
        self.groups.iter().map(|group| seeds[group.seed]).collect()
    }

    /// The rules that suppress the count and the sums of a bundle which were not released.
    fn rules(&self, bundle: usize, is_shown: impl Fn(usize) -> bool) -> (Option<Rule>, Option<Rule>) {
        let places = self.lattice.places[bundle];
        let alone = if places.stands_alone { Rule::SmallCount } else { Rule::SmallCountOrPart };
        let count = (!is_shown(places.count)).then_some(alone);
        let sums = match places.sums {
            Some(sums) => (!is_shown(sums)).then_some(count.unwrap_or(Rule::LittleSpread)),
            None => count,
        };
        (count, sums)
    }
}

/// What a guarded study compares with the threshold, which follows from the study alone; nothing for another study.
///
/// # Errors
/// [`LatticeError`] when the study cannot be guarded.
pub fn compared(spec: &StudySpec, layout: &Layout) -> Result<Compared, LatticeError> {
    match spec.protection {
        Protection::Guarded => Ok(Lattice::of(spec, layout)?.compared),
        Protection::Open | Protection::Private { .. } => Ok(Compared::default()),
    }
}

/// Compiles a study for a roster of so many hospitals.
///
/// # Errors
/// [`GuardPlanError`]; the study must then be changed, or be open or private.
pub fn plan(spec: &StudySpec, policy: &DisclosurePolicy, hospitals: usize) -> Result<GuardPlan, GuardPlanError> {
    let layout = Layout::of(spec)?;
    let lattice = Lattice::of(spec, &layout)?;
    let bar = Bar::of(u64::from(spec.threshold(policy)), u64::from(policy.insiders), hospitals);
    // A number that has to be large is not asked whether it is 0.
    let inputs = lattice.gates.sets.iter().flat_map(|gate| &gate.inputs).chain(&lattice.gates.release);
    let passing: BTreeSet<usize> = inputs
        .filter_map(|bit| match bit {
            BitRef::Group(group) | BitRef::Nobody(group) => Some(*group),
            BitRef::Large(_) | BitRef::Set(_) => None,
        })
        .collect();
    let numbers = lattice.compared.numbers.len();
    let zeros_shown = (0..numbers).map(|number| policy.show_zeros && passing.contains(&number)).collect();
    let shape = GuardShape::new(hospitals, bar, zeros_shown, lattice.gates.clone())?;
    Ok(GuardPlan { shape, groups: lattice.padded.clone(), lattice })
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
    for (Padded { cells: range, .. }, own) in plan.groups.iter().zip(opened.groups()) {
        match own {
            None => {}
            Some(own) if own.hospitals() != roster => return Err(DisclosureError::Roster),
            Some(own) if own.len() != range.len() => return Err(DisclosureError::Layout),
            Some(own) => cells[range.clone()].copy_from_slice(own.values()),
        }
    }
    let is_open = |group: usize| opened.groups()[group].is_some();
    let rules: Vec<_> = (0..layout.bundles().len()).map(|bundle| plan.rules(bundle, is_open)).collect();
    let (count_rules, sum_rules): (Vec<Option<Rule>>, Vec<Option<Rule>>) = rules.into_iter().unzip();
    let broken = |block: usize| DisclosureError::Broken { statistic: spec.statistics[block].name.clone() };
    let counts = Counts::of(&layout, &cells);
    let shown = |bundle: &usize| count_rules[*bundle].is_none();
    sound::check_bundles(spec, &layout, &cells, &sum_rules, roster).map_err(broken)?;
    let k = spec.threshold(policy);
    for block in layout.all_blocks() {
        let small = |bundle: usize| {
            let zeros = policy.show_zeros || plan.lattice.places[bundle].is_empty;
            counts.is_small(bundle, k, zeros) || counts.of_bundle(bundle).1 != 0
        };
        if block.bundles.clone().any(|bundle| shown(&bundle) && small(bundle)) {
            return Err(broken(block.statistic));
        }
    }
    let complete: Vec<_> =
        lines::of(&layout).into_iter().filter(|line| line.sides.iter().flatten().all(shown)).collect();
    sound::check_lines(&complete, &counts).map_err(broken)?;
    sound::check_totals(&layout, &counts, &count_rules).map_err(broken)?;
    sound::check_coarser(&layout, &cells, &count_rules, &sum_rules).map_err(broken)?;
    Ok(Released::new(StudyResult::estimate(spec, &layout, policy, roster, &cells, (&count_rules, &sum_rules))))
}
