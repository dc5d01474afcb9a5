//! The result as one row per number, which files of rows and columns share.

use super::{Estimate, StatisticResult, StudyResult};

/// One number with everything that says what it is.
pub(super) struct LongRow<'a> {
    pub(super) statistic: &'a StatisticResult,
    /// Its label in each of [`dimensions`]; none where the statistic is not by that dimension.
    pub(super) groups: Vec<Option<&'a str>>,
    /// The interval of a histogram.
    pub(super) interval: Option<&'a str>,
    pub(super) measure: &'static str,
    pub(super) value: Estimate,
}

/// The dimensions that any statistic is by, in the order in which they first appear.
pub(super) fn dimensions(result: &StudyResult) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for grouping in result.statistics.iter().flat_map(|statistic| &statistic.by) {
        if !grouping.intervals && !names.contains(&grouping.name.as_str()) {
            names.push(&grouping.name);
        }
    }
    names
}

/// What a dimension's column is called. A dimension's name has no point in it, so no two columns collide.
pub(super) fn column_of(dimension: &str) -> String {
    format!("by.{dimension}")
}

/// All numbers, in the result's order.
pub(super) fn rows(result: &StudyResult) -> Vec<LongRow<'_>> {
    let dimensions = dimensions(result);
    let mut rows = Vec::new();
    for statistic in &result.statistics {
        let place = |name: &str| statistic.by.iter().position(|by| !by.intervals && by.name == name);
        let places: Vec<Option<usize>> = dimensions.iter().map(|name| place(name)).collect();
        let interval = statistic.by.iter().position(|by| by.intervals);
        for row in statistic.rows.iter().chain(&statistic.together) {
            let label = |place: &Option<usize>| place.map(|place| row.group[place].as_str());
            rows.extend(row.measures.iter().map(|measure| LongRow {
                statistic,
                groups: places.iter().map(label).collect(),
                interval: label(&interval),
                measure: measure.name,
                value: measure.value,
            }));
        }
    }
    rows
}
