//! The one gate between opened cells and a result that people read.
//!
//! Here alone a [`Released`] is made, and only what is released can be printed or saved: by [`release`] for an open study,
//! by [`guarded::release`] for a guarded one, whose small groups were never opened, by [`private::release`] for one whose
//! cells carry noise. For an open study, in order:
//!
//! 1. *Who*: the policy itself must protect, the roster must be as large as it demands, and the cells must be the sum
//!    over that roster.
//! 2. *Sound*: cells that no honest hospitals add up to refuse the whole result ([`sound`]).
//! 3. *Small*: a bundle whose joint count is 1 to `min_joint_count - 1` is suppressed with all its sums; so is one
//!    whose joint count is 0 only because hospitals kept their own back. A true 0 is shown unless the policy hides it.
//!    The sum of a variable of two values is a count, too: its bundle's sums are suppressed where it, or n less it, is small.
//! 4. *Derivable*: where a suppressed number would follow from shown ones, more is suppressed ([`suppression`]).
//!
//! What is suppressed says so and by which [`Rule`]; it is never shown as 0 and never left out.

pub mod across;
pub mod guarded;
pub mod lattice;
mod lines;
pub mod private;
mod released;
mod sound;
mod suppression;

use std::collections::{BTreeMap, BTreeSet};

use consilium_protocol::policy::{DisclosurePolicy, PolicyError};
use consilium_protocol::study::{Protection, StudySpec};

pub use released::Released;
pub use suppression::Rule;

use crate::cells::OpenedCells;
use crate::result::StudyResult;
use crate::statistics::{Content, Layout, Scale};
use lines::Line;
use suppression::{Counts, suppress};

/// Why a result is not released. Nothing of its numbers is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DisclosureError {
    /// The policy itself would not protect.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// Fewer hospitals took part than the policy demands.
    #[error("the round has {roster} hospitals, the policy demands {needed}; win more hospitals for the study")]
    TooFewHospitals {
        /// How many took part.
        roster: usize,
        /// How many the policy demands.
        needed: u32,
    },
    /// The cells are the sum over another roster.
    #[error("the cells are not the sum over this roster; open the sum of the round that the ledger names")]
    Roster,
    /// The layout belongs to another study, or the cells to another layout.
    #[error("the cells do not belong to this study; fetch the study and its sum from the ledger again")]
    Layout,
    /// The study has another protection than this way of release is for.
    #[error("the study has another protection; open its result in the way that is for that")]
    Protection,
    /// No honest hospitals' numbers add up to these.
    #[error(
        "statistic `{statistic}` holds numbers that no cohorts add up to, so the result is broken; have the round \
         repeated, and audit what the hospitals contributed"
    )]
    Broken {
        /// The statistic's name.
        statistic: String,
    },
}

/// What every release starts with.
fn check_frame(policy: &DisclosurePolicy, roster: usize) -> Result<(), DisclosureError> {
    policy.check()?;
    if roster < policy.min_hospitals as usize {
        return Err(DisclosureError::TooFewHospitals { roster, needed: policy.min_hospitals });
    }
    Ok(())
}

/// What a release starts with where all cells were opened at once.
fn check_opened(
    spec: &StudySpec,
    layout: &Layout,
    policy: &DisclosurePolicy,
    roster: usize,
    opened: &OpenedCells,
) -> Result<(), DisclosureError> {
    check_frame(policy, roster)?;
    if opened.hospitals() != roster {
        return Err(DisclosureError::Roster);
    }
    if Layout::of(spec).ok().as_ref() != Some(layout) || opened.len() != layout.cells() {
        return Err(DisclosureError::Layout);
    }
    Ok(())
}

/// Passes the opened cells of an open study through disclosure control.
///
/// `roster` is the size of the round's roster on the ledger; `policy` is the consortium's, or a stricter one. The cells
/// are used up, so that what was suppressed cannot be looked at afterwards.
///
/// # Errors
/// [`DisclosureError`]; then nothing is released.
pub fn release(
    spec: &StudySpec,
    layout: &Layout,
    policy: &DisclosurePolicy,
    roster: usize,
    opened: OpenedCells,
) -> Result<Released<StudyResult>, DisclosureError> {
    if spec.protection != Protection::Open {
        return Err(DisclosureError::Protection);
    }
    check_opened(spec, layout, policy, roster, &opened)?;
    let cells = opened.values();
    let broken = |block: usize| DisclosureError::Broken { statistic: spec.statistics[block].name.clone() };
    sound::check_bundles(spec, layout, cells, &vec![None; layout.bundles().len()], roster).map_err(broken)?;
    let lines = lines::of(layout);
    let counts = Counts::of(layout, cells);
    sound::check_lines(&lines, &counts).map_err(broken)?;
    let rules = suppress(&lines, &counts, spec.threshold(policy), policy.show_zeros);
    let sum_rules = suppress_indicators(spec, layout, cells, &lines, rules.clone(), policy);
    Ok(Released::new(StudyResult::estimate(spec, layout, policy, roster, cells, (&rules, &sum_rules))))
}

/// The sum of a variable of two values counts those who have the larger one, and n less it those who have the other. Both are
/// counts, and are suppressed as such.
fn suppress_indicators(
    spec: &StudySpec,
    layout: &Layout,
    cells: &[i64],
    lines: &[Line],
    mut rules: Vec<Option<Rule>>,
    policy: &DisclosurePolicy,
) -> Vec<Option<Rule>> {
    let is_indicator = |name: &&str| spec.variable(name).and_then(Scale::of).is_some_and(|scale| scale.range == 1);
    let mut summed: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    for block in layout.blocks() {
        if let Some(variable) = spec.statistics[block.statistic].kind.variable().filter(is_indicator) {
            let with_sums = block.bundles.clone().filter(|bundle| layout.bundles()[*bundle].content != Content::Count);
            summed.entry(variable).or_default().extend(with_sums);
        }
    }
    for bundles in summed.into_values() {
        let within = |line: &&Line| line.sides.iter().flatten().all(|bundle| bundles.contains(bundle));
        let lines: Vec<Line> = lines.iter().filter(within).cloned().collect();
        for larger in [true, false] {
            let counts = Counts::of_values(layout, cells, &bundles, larger);
            let own = suppress(&lines, &counts, spec.threshold(policy), policy.show_zeros);
            bundles.iter().for_each(|bundle| rules[*bundle] = rules[*bundle].or(own[*bundle]));
        }
    }
    rules
}
