//! The proof that no joint sum overflows: subjects times the largest value that one subject can add.

use consilium_protocol::study::StudySpec;

use super::{Content, Layout, Scale, StatisticsError};

/// Where there is no ledger to say how many subjects are enrolled, at most this many.
pub const OFFLINE_SUBJECTS: u64 = 1 << 24;

/// What no joint sum passes; a cell is a signed 64-bit integer, and one bit is left to spare.
const MOST: u128 = 1 << 62;

/// Proves that no sum over at most `subjects_bound` subjects of the whole consortium passes 2^62.
///
/// # Errors
/// [`StatisticsError::Overflow`] names the first statistic for which it cannot be proved;
/// [`StatisticsError::Study`] or [`StatisticsError::Layout`] when the arguments do not belong together.
pub fn prove_bounds(spec: &StudySpec, layout: &Layout, subjects_bound: u64) -> Result<(), StatisticsError> {
    for block in layout.blocks() {
        let statistic = spec.statistics.get(block.statistic).ok_or(StatisticsError::Layout)?;
        let contents = layout.bundles()[block.bundles.clone()].iter().map(|bundle| bundle.content);
        let range = match statistic.kind.variable() {
            None => 1,
            Some(name) => {
                let variable = spec.variable(name).ok_or(StatisticsError::Study)?;
                Scale::of(variable).ok_or(StatisticsError::Study)?.range.unsigned_abs()
            }
        };
        let most = contents.map(|content| most_per_subject(content, u128::from(range))).max().unwrap_or(0);
        let fits = most.checked_mul(u128::from(subjects_bound)).is_some_and(|sum| sum <= MOST);
        if !fits {
            return Err(StatisticsError::Overflow { statistic: statistic.name.clone() });
        }
    }
    Ok(())
}

/// The most that one subject adds to any cell of a bundle; at least 1, for the count.
fn most_per_subject(content: Content, range: u128) -> u128 {
    match content {
        Content::Count => 1,
        Content::Sum => range.max(1),
        Content::Squares => range.saturating_mul(range).max(1),
    }
}
