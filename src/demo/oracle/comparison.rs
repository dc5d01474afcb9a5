//! How a released result agrees with what is expected.

use std::collections::BTreeMap;

use consilium_engine::disclosure::Rule;
use consilium_engine::result::{Estimate, StudyResult};
use consilium_protocol::study::StatisticKind;

use super::{Cell, Expected, Hidden, Table, nano};

/// How many numbers agree, and which do not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Numbers compared, suppressed ones among them.
    pub cells: usize,
    /// Numbers that are as expected: equal, or suppressed where the rules demand it and shown where they do not.
    pub equal: usize,
    /// Where the others stand, and in what they differ.
    pub differing: Vec<String>,
}

/// What a measure must be.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wanted {
    Whole(i128),
    Real(f64),
    Hidden,
    Nothing,
}

/// Compares every number of a result.
pub fn compare(result: &StudyResult, expected: &Expected) -> Comparison {
    let mut comparison = Comparison::default();
    if result.hospitals != expected.hospitals || result.statistics.len() != expected.tables.len() {
        comparison.differing.push("the result is of other hospitals or of another study".to_string());
    }
    for (statistic, table) in result.statistics.iter().zip(&expected.tables) {
        let mut wanted = table.wanted();
        if statistic.name != table.name {
            comparison.differing.push(format!("{}: expected {}", statistic.name, table.name));
        }
        for row in &statistic.rows {
            for measure in &row.measures {
                let wanted = wanted.remove(&(row.group.clone(), measure.name));
                let place = || format!("{} [{}] {}", statistic.name, row.group.join(", "), measure.name);
                comparison.cells += 1;
                if wanted.is_some_and(|wanted| agrees(measure.value, wanted, expected.hidden)) {
                    comparison.equal += 1;
                } else {
                    comparison.differing.push(format!("{}: {:?}, expected {wanted:?}", place(), measure.value));
                }
            }
        }
        for (group, measure) in wanted.into_keys() {
            comparison.cells += 1;
            comparison.differing.push(format!("{} [{}] {measure}: left out", statistic.name, group.join(", ")));
        }
    }
    comparison
}

fn agrees(value: Estimate, wanted: Wanted, hidden: Hidden) -> bool {
    // Both round a few times on different ways.
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * b.abs().max(1e-3);
    let rules: &[Rule] = match hidden {
        Hidden::Small => &[Rule::SmallCount],
        Hidden::Indistinct => &[Rule::SmallCountOrComplement],
        Hidden::Guarded { .. } => &[Rule::SmallCount, Rule::SmallCountOrPart],
    };
    match (value, wanted) {
        (Estimate::Count(value), Wanted::Whole(wanted)) => i128::from(value) == wanted,
        (Estimate::Real(value), Wanted::Real(wanted)) => near(value, wanted),
        (Estimate::Suppressed(by), Wanted::Hidden) => rules.contains(&by),
        (Estimate::Suppressed(by), _) => hidden == (Hidden::Guarded { any: true }) && by == Rule::SmallCountOrPart,
        (Estimate::Undefined, Wanted::Nothing) => true,
        _ => false,
    }
}

impl Table {
    fn wanted(&self) -> BTreeMap<(Vec<String>, &'static str), Wanted> {
        let mut wanted = BTreeMap::new();
        let presence =
            !matches!(self.kind, StatisticKind::Count | StatisticKind::Crosstab | StatisticKind::Histogram { .. });
        for (key, cell) in &self.cells {
            let mut group = self.labels(key);
            let seen = |value| if cell.hidden { Wanted::Hidden } else { value };
            let is_missing = presence && group.pop().as_deref() == Some("missing");
            let names = match (presence, is_missing) {
                (false, _) => ["count", "withheld"],
                (true, false) => ["n", "withheld"],
                (true, true) => ["missing", "missing_withheld"],
            };
            wanted.insert((group.clone(), names[0]), seen(Wanted::Whole(cell.n)));
            wanted.insert((group.clone(), names[1]), seen(Wanted::Whole(cell.withheld)));
            if presence && !is_missing {
                for (name, value) in self.moments(cell) {
                    wanted.insert((group.clone(), name), seen(value));
                }
            }
        }
        wanted
    }

    /// Sum, mean and spread straight from the values, in the variable's unit.
    fn moments(&self, cell: &Cell) -> Vec<(&'static str, Wanted)> {
        let variable = self.variable.as_ref().expect("a statistic about a variable");
        let billion = 1e9;
        let total: i128 = cell.steps.iter().map(|x| nano(variable.min) + x * nano(variable.resolution)).sum();
        let n = cell.steps.len() as f64;
        let mean = total as f64 / billion / n;
        let of_somebody = |value| if cell.steps.is_empty() { Wanted::Nothing } else { Wanted::Real(value) };
        match self.kind {
            StatisticKind::Sum { .. } => vec![("sum", Wanted::Real(total as f64 / billion))],
            StatisticKind::Mean { .. } => vec![("mean", of_somebody(mean))],
            _ => {
                let average = cell.steps.iter().sum::<i128>() as f64 / n;
                let square = |x: &i128| (*x as f64 - average).powi(2);
                let spread = cell.steps.iter().map(square).sum::<f64>() / (n - 1.0);
                let variance = spread * variable.resolution.to_f64().powi(2);
                vec![
                    ("mean", of_somebody(mean)),
                    ("variance", of_somebody(variance)),
                    ("sd", of_somebody(variance.sqrt())),
                ]
            }
        }
    }
}
