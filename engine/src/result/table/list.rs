//! A statistic with one line per group.

use super::super::{Estimate, Row, StatisticResult};
use super::TableOptions;
use super::grid::Grid;
use super::number::{clean, is_empty, measure};

/// Bars shorter than this say nothing.
const SHORTEST_BAR: usize = 8;

/// Some of its groups, one line each.
pub(super) fn render(statistic: &StatisticResult, rows: &[Row], options: &TableOptions) -> String {
    let may_fold = |row: &Row| row.group.iter().any(|label| label == "other" || label == "missing");
    let (folded, shown): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| may_fold(row) && is_empty(row));
    let mut grid = Grid::new();
    statistic.by.iter().for_each(|by| grid.column(clean(&by.name), false));
    let measures = columns(statistic, &shown);
    measures.iter().for_each(|(_, heading)| grid.column((*heading).to_string(), true));
    let mut previous: &[String] = &[];
    for row in &shown {
        let mut cells = labels(&row.group, previous);
        cells.extend(measures.iter().map(|(name, _)| measure(statistic, row, name, options.ascii)));
        grid.row(cells);
        previous = &row.group;
    }
    let mut out = grid.render(&bars(&shown, options, grid.width()), options.ascii);
    if !folded.is_empty() {
        out.push_str(&format!("  {}\n", note(&folded)));
    }
    out
}

/// The measures to show, with their headings: how many hospitals held back only where some did.
fn columns(statistic: &StatisticResult, shown: &[&Row]) -> Vec<(&'static str, &'static str)> {
    let first = statistic.rows.first().map(|row| row.measures.as_slice()).unwrap_or_default();
    let says = |name: &str| shown.iter().any(|row| !matches!(row.measure(name), Some(Estimate::Count(0)) | None));
    let hospitals = |name: &str| {
        let some = |row: &&Row| matches!(row.measure(name), Some(Estimate::Count(count)) if count > 0);
        shown.iter().any(some)
    };
    let heading = |name: &'static str| match name {
        "withheld" => hospitals(name).then_some("held back by"),
        // The `+` behind the number says enough.
        "missing_withheld" => None,
        "missing" => says(name).then_some(name),
        _ => Some(name),
    };
    first.iter().filter_map(|measure| heading(measure.name).map(|heading| (measure.name, heading))).collect()
}

/// Labels as the line before has them are not repeated, except the last.
fn labels(group: &[String], previous: &[String]) -> Vec<String> {
    let same = group.iter().zip(previous).take_while(|(own, before)| own == before).count();
    let repeated = same.min(group.len().saturating_sub(1));
    let label = |(i, label): (usize, &String)| if i < repeated { String::new() } else { clean(label) };
    group.iter().enumerate().map(label).collect()
}

/// One bar per row, the largest count having the longest.
fn bars(shown: &[&Row], options: &TableOptions, used: usize) -> Vec<String> {
    let counts: Vec<Option<i64>> = shown
        .iter()
        .map(|row| match row.measure("count") {
            Some(Estimate::Count(count)) => Some(count),
            _ => None,
        })
        .collect();
    let most = counts.iter().flatten().copied().max().unwrap_or(0);
    let width = options.bar_width.min(options.width.saturating_sub(used + 2));
    if width < SHORTEST_BAR || most == 0 || counts.len() < 2 {
        return Vec::new();
    }
    counts
        .into_iter()
        .map(|count| count.map_or(String::new(), |count| bar(count, most, width, options.ascii)))
        .collect()
}

/// A bar of eighths of a character, or of `#`; never empty for a count above 0.
fn bar(count: i64, most: i64, width: usize, ascii: bool) -> String {
    let per_column = if ascii { 1 } else { 8 };
    let exact = count as f64 / most as f64 * (width * per_column) as f64;
    let units = (exact.round() as usize).max(usize::from(count > 0));
    if ascii {
        return "#".repeat(units);
    }
    const EIGHTHS: [&str; 8] = ["", "\u{258f}", "\u{258e}", "\u{258d}", "\u{258c}", "\u{258b}", "\u{258a}", "\u{2589}"];
    format!("{}{}", "\u{2588}".repeat(units / 8), EIGHTHS[units % 8])
}

fn note(folded: &[&Row]) -> String {
    let rows = if folded.len() == 1 { "1 empty row".to_string() } else { format!("{} empty rows", folded.len()) };
    match folded {
        [..] if folded.len() <= 3 => {
            let names: Vec<String> = folded.iter().map(|row| clean(&row.group.join(" / "))).collect();
            format!("({rows} not shown: {})", names.join(", "))
        }
        _ => format!("({rows} not shown, all in \"other\" or \"missing\")"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_to_scale_and_never_vanish() {
        assert_eq!(bar(100, 100, 10, true), "##########");
        assert_eq!(bar(54, 100, 10, true), "#####");
        assert_eq!(bar(1, 1_000_000, 10, true), "#");
        assert_eq!(bar(0, 100, 10, true), "");
        assert_eq!(bar(50, 100, 1, false), "\u{258c}");
        assert_eq!(bar(100, 100, 2, false), "\u{2588}\u{2588}");
    }

    #[test]
    fn repeated_labels_are_written_once() {
        let group = |labels: [&str; 2]| labels.map(String::from);
        assert_eq!(labels(&group(["f", "old"]), &group(["f", "young"])), ["", "old"]);
        assert_eq!(labels(&group(["m", "old"]), &group(["f", "old"])), ["m", "old"]);
        assert_eq!(labels(&group(["m", "old"]), &[]), ["m", "old"]);
    }
}
