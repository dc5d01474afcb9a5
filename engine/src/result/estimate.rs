//! From joint integers to what they estimate.
//!
//! With n subjects, x the steps of resolution r above the minimum m: the sum is n·m + r·Σx, the mean m + r·Σx/n, the
//! sample variance r²·(n·Σx² - (Σx)²) / (n·(n-1)). Numerators and denominators are exact; the only roundings are those
//! of turning the two into doubles and dividing them.

use consilium_protocol::policy::DisclosurePolicy;
use consilium_protocol::study::{StatisticKind, StudySpec};
use serde::{Serialize, Serializer};

use super::{Grouping, Measure, Row, StatisticResult, StudyResult};
use crate::disclosure::Rule;
use crate::statistics::{Axis, Block, Layout, Part, Scale};

/// A number of a result, or why there is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Estimate {
    /// A count.
    Count(i64),
    /// Any other number.
    Real(f64),
    /// Not shown.
    Suppressed(Rule),
    /// There is no such number: the mean of nobody.
    Undefined,
}

impl Estimate {
    /// The number, if there is one.
    pub fn value(self) -> Option<f64> {
        match self {
            Self::Count(count) => Some(count as f64),
            Self::Real(value) => Some(value),
            Self::Suppressed(_) | Self::Undefined => None,
        }
    }

    /// The rule that suppressed it, if one did.
    pub const fn suppressed_by(self) -> Option<Rule> {
        match self {
            Self::Suppressed(rule) => Some(rule),
            Self::Count(_) | Self::Real(_) | Self::Undefined => None,
        }
    }
}

/// A number, `{"suppressed": "<rule>"}`, or null where there is no such number.
impl Serialize for Estimate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Suppressed {
            suppressed: Rule,
        }
        match self {
            Self::Count(count) => serializer.serialize_i64(*count),
            Self::Real(value) => serializer.serialize_f64(*value),
            Self::Suppressed(rule) => Suppressed { suppressed: *rule }.serialize(serializer),
            Self::Undefined => serializer.serialize_unit(),
        }
    }
}

/// Joint cells with the verdict on each bundle.
struct Verdict<'a> {
    layout: &'a Layout,
    cells: &'a [i64],
    rules: &'a [Option<Rule>],
}

impl Verdict<'_> {
    /// What `of` makes of the bundle's cells, if they may be seen.
    fn see(&self, bundle: usize, of: impl FnOnce(&[i64]) -> Estimate) -> Estimate {
        match self.rules[bundle] {
            Some(rule) => Estimate::Suppressed(rule),
            None => of(&self.cells[self.layout.bundles()[bundle].cells()]),
        }
    }

    fn count(&self, bundle: usize) -> Estimate {
        self.see(bundle, |cells| Estimate::Count(cells[0]))
    }

    fn withheld(&self, bundle: usize) -> Estimate {
        self.see(bundle, |cells| Estimate::Count(cells[cells.len() - 1]))
    }
}

impl StudyResult {
    /// Only disclosure control calls this, with cells that are sound and a verdict on every bundle.
    pub(crate) fn estimate(
        spec: &StudySpec,
        layout: &Layout,
        policy: &DisclosurePolicy,
        hospitals: usize,
        cells: &[i64],
        rules: &[Option<Rule>],
    ) -> Self {
        let verdict = Verdict { layout, cells, rules };
        Self {
            title: spec.title.clone(),
            hospitals,
            min_joint_count: policy.min_joint_count,
            min_site_count: policy.min_site_count,
            statistics: layout.blocks().iter().map(|block| statistic(spec, block, &verdict)).collect(),
        }
    }
}

fn statistic(spec: &StudySpec, block: &Block, verdict: &Verdict<'_>) -> StatisticResult {
    let asked = &spec.statistics[block.statistic];
    let variable = asked.kind.variable().and_then(|name| spec.variable(name));
    let split = |axis: &&Axis| axis.parts[0] != Part::Present;
    let by: Vec<Grouping> = block.axes.iter().filter(split).map(grouping).collect();
    // Present and missing, where a statistic has them, become one row.
    let bundles_per_row = if by.len() < block.axes.len() { 2 } else { 1 };
    let scale = variable.and_then(Scale::of);
    let rows = block.bundles.clone().step_by(bundles_per_row).map(|bundle| Row {
        group: labels(block, bundle - block.bundles.start, by.len()),
        measures: match scale.filter(|_| bundles_per_row == 2) {
            Some(scale) => about_variable(&asked.kind, &scale, verdict, bundle),
            None => named([("count", verdict.count(bundle)), ("withheld", verdict.withheld(bundle))]),
        },
    });
    StatisticResult {
        name: asked.name.clone(),
        kind: asked.kind.name(),
        of: variable.map(|variable| variable.name.clone()),
        unit: variable.map(|variable| variable.unit.clone()).unwrap_or_default(),
        places: scale.map_or(0, |scale| scale.places),
        rows: rows.collect(),
        by,
    }
}

fn grouping(axis: &Axis) -> Grouping {
    let intervals = matches!(axis.parts[0], Part::Below(_));
    Grouping { name: axis.column.clone(), intervals, labels: axis.labels.clone() }
}

fn labels(block: &Block, position: usize, groupings: usize) -> Vec<String> {
    let parts = block.parts_of(position);
    block.axes.iter().zip(parts).take(groupings).map(|(axis, part)| axis.labels[part].clone()).collect()
}

fn named<const N: usize>(measures: [(&'static str, Estimate); N]) -> Vec<Measure> {
    measures.into_iter().map(|(name, value)| Measure { name, value }).collect()
}

fn about_variable(kind: &StatisticKind, scale: &Scale, verdict: &Verdict<'_>, present: usize) -> Vec<Measure> {
    let mut measures = named([("n", verdict.count(present)), ("missing", verdict.count(present + 1))]);
    let total = || verdict.see(present, |cells| sum(scale, cells));
    let average = || verdict.see(present, |cells| mean(scale, cells));
    match kind {
        StatisticKind::Sum { .. } => measures.extend(named([("sum", total())])),
        StatisticKind::Mean { .. } => measures.extend(named([("mean", average())])),
        _ => {
            let spread = verdict.see(present, |cells| variance(scale, cells));
            let sd = match spread {
                Estimate::Real(variance) => Estimate::Real(variance.sqrt()),
                other => other,
            };
            measures.extend(named([("mean", average()), ("variance", spread), ("sd", sd)]));
        }
    }
    let withheld = (verdict.withheld(present), verdict.withheld(present + 1));
    measures.extend(named([("withheld", withheld.0), ("missing_withheld", withheld.1)]));
    measures
}

/// n·min + step·Σx, over the common denominator. Both minimum and range are at most 2^31 steps, and n and Σx are
/// 64-bit, so only a resolution of more than ten digits can leave 128 bits; doubles are then good enough.
fn sum_numerator(scale: &Scale, n: i64, sum: i64) -> f64 {
    let exact = scale.min.checked_mul(i128::from(n)).zip(scale.step.checked_mul(i128::from(sum)));
    match exact.and_then(|(offset, steps)| offset.checked_add(steps)) {
        Some(exact) => exact as f64,
        None => scale.min as f64 * n as f64 + scale.step as f64 * sum as f64,
    }
}

fn sum(scale: &Scale, cells: &[i64]) -> Estimate {
    Estimate::Real(sum_numerator(scale, cells[0], cells[1]) / scale.denominator() as f64)
}

fn mean(scale: &Scale, cells: &[i64]) -> Estimate {
    let n = cells[0];
    if n == 0 {
        return Estimate::Undefined;
    }
    Estimate::Real(sum_numerator(scale, n, cells[1]) / (scale.denominator() as f64 * n as f64))
}

fn variance(scale: &Scale, cells: &[i64]) -> Estimate {
    let [n, sum, squares] = [cells[0], cells[1], cells[2]].map(i128::from);
    if n < 2 {
        return Estimate::Undefined;
    }
    // Sound cells make this neither negative nor larger than 128 bits hold.
    let spread = n * squares - sum * sum;
    let resolution = scale.step as f64 / scale.denominator() as f64;
    Estimate::Real(spread as f64 / (n * (n - 1)) as f64 * (resolution * resolution))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BMI: Scale = Scale { min: 100, step: 1, places: 1, range: 500 };

    #[test]
    fn estimates_of_known_numbers() {
        // 10.0, 20.5 and 60.0 in steps of 0.1 above 10.0: x = 0, 105, 500.
        let cells = [3, 605, 261_025, 0];
        assert_eq!(sum(&BMI, &cells), Estimate::Real(90.5));
        assert_eq!(mean(&BMI, &cells), Estimate::Real(905.0 / 30.0));
        let mean = 90.5 / 3.0;
        let direct = [10.0, 20.5, 60.0].iter().map(|x: &f64| (x - mean).powi(2)).sum::<f64>() / 2.0;
        let Estimate::Real(variance) = variance(&BMI, &cells) else { panic!("a number") };
        assert!((variance - direct).abs() < 1e-9, "{variance} {direct}");
    }

    #[test]
    fn nobody_has_no_mean() {
        assert_eq!(mean(&BMI, &[0, 0, 0, 0]), Estimate::Undefined);
        assert_eq!(variance(&BMI, &[0, 0, 0, 0]), Estimate::Undefined);
        assert_eq!(sum(&BMI, &[0, 0, 0]), Estimate::Real(0.0));
    }

    #[test]
    fn numbers_too_large_to_be_exact_are_still_numbers() {
        let wide = Scale { min: -(1 << 100), step: 1 << 70, places: 9, range: 1 << 32 };
        let Estimate::Real(mean) = mean(&wide, &[1 << 40, 1 << 61, 0]) else { panic!("a number") };
        assert!(mean.is_finite());
    }
}
