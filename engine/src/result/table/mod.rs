//! The result as text for people: crosstabs as matrices, everything else as lists, counts with a bar.
//!
//! A suppressed number reads `hidden`, and a legend says why. `+` after a count: at least so many, since hospitals held
//! their own small counts back. Groups called *other* and *missing* that are empty are left out, and a line says so.

mod grid;
mod list;
mod matrix;
mod number;

use std::fmt;

use consilium_protocol::study::Protection;

use super::{Estimate, StatisticResult, StudyResult};
use crate::disclosure::{Released, Rule};

/// How to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableOptions {
    /// Columns of the terminal or page.
    pub width: usize,
    /// Columns of the longest bar; 0 for no bars. Bars are shortened to fit the width, and left out below 8.
    pub bar_width: usize,
    /// Only ASCII characters in what this program writes; labels stay as they are.
    pub ascii: bool,
}

impl Default for TableOptions {
    fn default() -> Self {
        Self { width: 100, bar_width: 40, ascii: false }
    }
}

/// Writes all statistics, one under the other.
pub fn render(result: &Released<StudyResult>, options: &TableOptions) -> String {
    render_result(result.get(), options)
}

impl fmt::Display for StudyResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&render_result(self, &TableOptions::default()))
    }
}

fn render_result(result: &StudyResult, options: &TableOptions) -> String {
    let mut out = format!("{}\nJoint result of {} hospitals\n", number::clean(&result.title), result.hospitals);
    for statistic in &result.statistics {
        out.push_str(&format!("\n{}\n", heading(statistic, options)));
        match matrix::render(statistic, options) {
            Some(matrix) => out.push_str(&matrix),
            None => out.push_str(&list::render(statistic, &statistic.rows, options)),
        }
        if !statistic.together.is_empty() {
            out.push_str("\n  together:\n");
            out.push_str(&list::render(statistic, &statistic.together, options));
        }
    }
    let legend = legend(result, options);
    if !legend.is_empty() {
        out.push('\n');
        out.push_str(&legend);
    }
    out
}

fn heading(statistic: &StatisticResult, options: &TableOptions) -> String {
    let mut what = statistic.kind.to_string();
    if let Some(variable) = &statistic.of {
        what.push_str(&format!(" of {}", number::clean(variable)));
    }
    if !statistic.unit.is_empty() {
        what.push_str(&format!(" ({})", number::clean(&statistic.unit)));
    }
    let by: Vec<&str> = statistic.by.iter().filter(|by| !by.intervals).map(|by| by.name.as_str()).collect();
    if !by.is_empty() {
        what.push_str(&format!(" by {}", by.join(", ")));
    }
    let dash = if options.ascii { "-" } else { "\u{2014}" };
    format!("{} {dash} {what}", number::clean(&statistic.name))
}

/// Suppressed under encryption: nobody, the researcher included, can say more than the rule.
fn guarded_legend(result: &StudyResult, most: i64) -> String {
    let rules: Vec<Rule> = result.estimates().filter_map(Estimate::suppressed_by).collect();
    if rules.is_empty() {
        return String::new();
    }
    let from = if result.zeros_shown { 1 } else { 0 };
    let mut out = format!("hidden  about {from} to {most} subjects, or one hospital's alone");
    if rules.contains(&Rule::SmallCountOrPart) {
        out.push_str(", or shown only together with groups of which one is");
    }
    if rules.contains(&Rule::LittleSpread) {
        out.push_str(
            ";\n        a sum, mean or variance also where all but a few subjects may have nearly the same value",
        );
    }
    out.push_str(";\n        suppressed under encryption, nobody has seen it\n");
    out
}

fn legend(result: &StudyResult, options: &TableOptions) -> String {
    let mut out = String::new();
    let most = i64::from(result.min_joint_count) - 1;
    if result.protection == Protection::Guarded {
        out.push_str(&guarded_legend(result, most));
        return out;
    }
    match result.estimates().find_map(Estimate::suppressed_by) {
        Some(Rule::SmallCount) => out.push_str(&format!(
            "hidden  about 1 to {most} subjects, or only about subjects whom hospitals held back\n"
        )),
        Some(Rule::SmallCountOrComplement) => out.push_str(&format!(
            "hidden  about 1 to {most} subjects, or only about subjects whom hospitals held back,\n        \
             or a number from which such a number would follow\n"
        )),
        Some(Rule::SmallNoisyCount) => out.push_str(&format!("hidden  a noisy count below {}\n", most + 1)),
        Some(Rule::SmallCountOrPart | Rule::LittleSpread) => {}
        None => {}
    }
    if matches!(result.protection, Protection::Private { .. }) {
        let sign = if options.ascii { "+-" } else { "\u{b1}" };
        out.push_str(&format!("{sign:<8}half the width of the 95 % confidence interval that the noise leaves\n"));
    }
    if result.statistics.iter().flat_map(|statistic| &statistic.rows).any(number::is_partial) {
        let own = i64::from(result.min_site_count) - 1;
        out.push_str(&format!(
            "+       at least: hospitals with 1 to {own} subjects of their own there held them back\n"
        ));
    }
    out
}
