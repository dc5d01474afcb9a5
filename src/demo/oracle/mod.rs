//! What a study must yield, computed the plain way: every hospital's rows in one place, loops, and no query engine.
//!
//! It shares nothing with what it judges but the study and the policy: rows are classified by searching, not by an
//! expression; sums are over lists of values; which numbers add up to which others is found by trying values, not by
//! reasoning about categories. What both implement is written down in `docs/statistics.md`.
//!
//! [`pooled`] says what is expected, [`compare`] how a released result agrees.

mod comparison;
mod rows;
mod suppression;

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use consilium_protocol::policy::DisclosurePolicy;
use consilium_protocol::study::{Decimal, Protection, StatisticKind, StudySpec, Variable};

pub use comparison::{Comparison, compare};
use rows::{Cut, Value, column};

/// What a study must yield.
#[derive(Debug)]
pub struct Expected {
    hospitals: usize,
    tables: Vec<Table>,
    hidden: Hidden,
}

/// What suppressed numbers must say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hidden {
    /// That they are small.
    Small,
    /// Not which of them are small.
    Indistinct,
    /// Of a guarded study: that they are small, or where any is, that they are shown only together with it.
    Guarded {
        /// Whether any is small.
        any: bool,
    },
}

/// One statistic: who is where.
#[derive(Debug)]
struct Table {
    name: String,
    kind: StatisticKind,
    variable: Option<Variable>,
    /// The columns that it is cut by.
    cuts: Vec<(String, Cut)>,
    /// Every combination of labels, also those of nobody.
    cells: BTreeMap<Vec<usize>, Cell>,
}

/// One group as all hospitals together show it.
#[derive(Debug, Default)]
struct Cell {
    /// Subjects whom their hospitals did not hold back.
    n: i128,
    /// What the variable is for each of them, in steps of its resolution above its minimum.
    steps: Vec<i128>,
    /// Hospitals that held theirs back.
    withheld: i128,
    /// Whether disclosure control must not show it.
    hidden: bool,
}

/// What `rows`, each hospital's consenting cohort, must yield under `policy`, in an open study or in a guarded one of
/// counts. Which groups a guarded study hides for the sake of small ones is not foretold here.
///
/// # Panics
/// When a cohort lacks a declared column or has it in a type that its declaration does not fit: this is for cohorts
/// that the engine accepts.
pub fn pooled(spec: &StudySpec, rows: &[Vec<RecordBatch>], policy: &DisclosurePolicy) -> Expected {
    let mut tables: Vec<Table> = spec.statistics.iter().map(|statistic| Table::new(spec, statistic)).collect();
    let open = spec.protection == Protection::Open;
    for hospital in rows {
        for table in &mut tables {
            let own = table.tally(hospital);
            for (key, values) in own {
                let held_back = open && table.is_held_back(&values, policy.min_site_count as usize);
                let cell = table.cells.entry(key).or_default();
                if held_back {
                    cell.withheld += 1;
                } else {
                    cell.n += values.len() as i128;
                    cell.steps.extend(values.into_iter().flatten());
                }
            }
        }
    }
    let k = i128::from(policy.min_joint_count.max(spec.min_joint_count));
    let hidden = if open {
        if suppression::hide(&mut tables, k) { Hidden::Indistinct } else { Hidden::Small }
    } else {
        Hidden::Guarded { any: suppression::hide_small(&mut tables, k) }
    };
    Expected { hospitals: rows.len(), tables, hidden }
}

impl Table {
    fn new(spec: &StudySpec, statistic: &consilium_protocol::study::Statistic) -> Self {
        let by = |name: &String| (name.clone(), Cut::of_dimension(spec.dimension(name).expect("a declared dimension")));
        let mut cuts: Vec<(String, Cut)> = statistic.by.iter().map(by).collect();
        if let Some(of) = statistic.kind.variable() {
            let cut = match &statistic.kind {
                StatisticKind::Histogram { edges, .. } => Cut::Histogram(edges.clone()),
                _ => Cut::Presence,
            };
            cuts.push((of.to_string(), cut));
        }
        let mut keys: Vec<Vec<usize>> = vec![Vec::new()];
        for (_, cut) in &cuts {
            let longer = |key: &Vec<usize>, part| key.iter().copied().chain([part]).collect();
            keys = keys.iter().flat_map(|key| (0..cut.parts()).map(move |part| longer(key, part))).collect();
        }
        Self {
            name: statistic.name.clone(),
            kind: statistic.kind.clone(),
            variable: statistic.kind.variable().and_then(|name| spec.variable(name)).cloned(),
            cuts,
            cells: keys.into_iter().map(|key| (key, Cell::default())).collect(),
        }
    }

    /// One hospital's subjects by group, each with its steps if it has the variable.
    fn tally(&self, hospital: &[RecordBatch]) -> BTreeMap<Vec<usize>, Vec<Option<i128>>> {
        let mut groups: BTreeMap<Vec<usize>, Vec<Option<i128>>> = BTreeMap::new();
        for batch in hospital {
            let columns: Vec<Vec<Value>> = self.cuts.iter().map(|(name, _)| column(batch, name)).collect();
            let variable = self.variable.as_ref().map(|variable| column(batch, &variable.name));
            for row in 0..batch.num_rows() {
                let key = self.cuts.iter().zip(&columns).map(|((_, cut), values)| cut.part_of(&values[row])).collect();
                let value = variable.as_ref().and_then(|values| values[row].number());
                let steps = value.zip(self.variable.as_ref()).map(|(x, variable)| steps(x, variable));
                groups.entry(key).or_default().push(steps);
            }
        }
        groups
    }

    /// Whether a hospital keeps a group to itself: it is small, or so few are off an end of the variable that is summed up.
    fn is_held_back(&self, values: &[Option<i128>], fewest: usize) -> bool {
        let sums = matches!(
            self.kind,
            StatisticKind::Sum { .. } | StatisticKind::Mean { .. } | StatisticKind::Variance { .. }
        );
        let off = |end: i128| values.iter().flatten().filter(|value| **value != end).count();
        let few = |count: usize| count > 0 && count < fewest;
        let variable = self.variable.as_ref().filter(|_| sums);
        values.len() < fewest || variable.is_some_and(|variable| few(off(0)) || few(off(most(variable))))
    }

    fn labels(&self, key: &[usize]) -> Vec<String> {
        self.cuts.iter().zip(key).map(|((_, cut), part)| cut.label(*part)).collect()
    }
}

/// Steps of the resolution above the minimum, rounded half up, from 0 to as many as the range has.
fn steps(x: f64, variable: &Variable) -> i128 {
    let (min, max, resolution) = (variable.min.to_f64(), variable.max.to_f64(), variable.resolution.to_f64());
    let steps = ((x.max(min).min(max) - min) / resolution + 0.0).round();
    (steps as i128).min(most(variable))
}

/// How many steps the variable's range has.
fn most(variable: &Variable) -> i128 {
    let (span, step) = (nano(variable.max) - nano(variable.min), nano(variable.resolution));
    span / step + i128::from(span % step * 2 >= step)
}

/// A decimal in units of 10^-9, of which it is a whole number.
fn nano(decimal: Decimal) -> i128 {
    let text = decimal.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    format!("{whole}{fraction:0<9}").parse().expect("digits with a sign")
}
