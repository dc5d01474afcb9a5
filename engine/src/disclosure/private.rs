//! Private studies: what of a noisy result may be read.
//!
//! The noise protects; what is done here is post-processing of noisy cells, which loses no more privacy. A noisy count
//! below the threshold is suppressed with all its sums, for a number that is mostly noise would only mislead.

use consilium_protocol::policy::DisclosurePolicy;
use consilium_protocol::study::{Protection, StudySpec};

use super::{DisclosureError, Released, Rule, check_opened};
use crate::cells::OpenedCells;
use crate::privacy::NoisePlan;
use crate::result::StudyResult;
use crate::statistics::Layout;

/// Turns noisy joint cells into a result, each number with its error.
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
    let Protection::Private { rho } = spec.protection else { return Err(DisclosureError::Protection) };
    check_opened(spec, layout, policy, roster, &opened)?;
    let plan = NoisePlan::of(spec, layout, rho, roster).map_err(|_| DisclosureError::Layout)?;
    let cells = opened.values();
    let k = i64::from(spec.threshold(policy));
    let rule = |bundle: &crate::statistics::Bundle| (cells[bundle.first_cell] < k).then_some(Rule::SmallNoisyCount);
    let rules: Vec<Option<Rule>> = layout.bundles().iter().map(rule).collect();
    Ok(Released::new(StudyResult::estimate_noisy(spec, layout, policy, &plan, cells, &rules)))
}
