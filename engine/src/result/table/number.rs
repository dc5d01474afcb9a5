//! How numbers and labels are written in a table.

use super::super::{Estimate, Row, StatisticResult};

/// What a suppressed number reads.
pub(super) const HIDDEN: &str = "hidden";

/// A label without control characters: what a study calls its categories must not move the cursor.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A measure of a row, with `+` behind a count of which hospitals held some back.
pub(super) fn measure(statistic: &StatisticResult, row: &Row, name: &str, ascii: bool) -> String {
    // Means and spreads get one place more than the data have.
    let places = statistic.places as usize + usize::from(name != "sum");
    match row.measure(name) {
        Some(Estimate::Count(count)) if has_withheld(row, name) => format!("{count}+"),
        Some(Estimate::Count(count)) => count.to_string(),
        Some(Estimate::Real(value)) => format!("{value:.places$}"),
        Some(Estimate::Noisy(noisy)) => {
            // Counts are whole; half a confidence interval says how sure they are.
            let places = if matches!(name, "count" | "n" | "missing") { 0 } else { places };
            let half = noisy.sigma * 1.96;
            format!("{:.places$} {} {half:.places$}", noisy.value, if ascii { "+-" } else { "\u{b1}" })
        }
        Some(Estimate::Suppressed(_)) => HIDDEN.to_string(),
        Some(Estimate::Undefined) | None => if ascii { "-" } else { "\u{2013}" }.to_string(),
    }
}

fn has_withheld(row: &Row, name: &str) -> bool {
    let withheld = match name {
        "count" | "n" => "withheld",
        "missing" => "missing_withheld",
        _ => return false,
    };
    matches!(row.measure(withheld), Some(Estimate::Count(hospitals)) if hospitals > 0)
}

/// Whether any count of the row is only a part.
pub(super) fn is_partial(row: &Row) -> bool {
    ["count", "n", "missing"].iter().any(|name| has_withheld(row, name))
}

/// Whether every count of the row is a true zero.
pub(super) fn is_empty(row: &Row) -> bool {
    let counts = ["count", "n", "missing"].iter().filter_map(|name| row.measure(name));
    counts.into_iter().all(|count| count == Estimate::Count(0)) && !is_partial(row)
}
