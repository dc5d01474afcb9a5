//! From joint integers to what they estimate.
//!
//! With n subjects, x the steps of resolution r above the minimum m: the sum is n·m + r·Σx, the mean m + r·Σx/n, the
//! sample variance r²·(n·Σx² - (Σx)²) / (n·(n-1)). Numerators and denominators are exact; the only roundings are those
//! of turning the two into doubles and dividing them.

use consilium_protocol::policy::DisclosurePolicy;
use consilium_protocol::study::{Protection, StatisticKind, StudySpec, Variable};
use serde::{Serialize, Serializer};

use super::{Grouping, Measure, Row, StatisticResult, StudyResult};
use crate::disclosure::Rule;
use crate::privacy::{NoisePlan, NoisyBundle, NoisyEstimate};
use crate::statistics::{Axis, Block, Layout, Part, Scale};

/// A number of a result, or why there is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Estimate {
    /// A count.
    Count(i64),
    /// Any other number.
    Real(f64),
    /// A number with the error that noise gives it.
    Noisy(NoisyEstimate),
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
            Self::Noisy(noisy) => Some(noisy.value),
            Self::Suppressed(_) | Self::Undefined => None,
        }
    }

    /// The rule that suppressed it, if one did.
    pub const fn suppressed_by(self) -> Option<Rule> {
        match self {
            Self::Suppressed(rule) => Some(rule),
            Self::Count(_) | Self::Real(_) | Self::Noisy(_) | Self::Undefined => None,
        }
    }

    /// The number with its error, where noise gave it one.
    pub const fn noisy(self) -> Option<NoisyEstimate> {
        match self {
            Self::Noisy(noisy) => Some(noisy),
            Self::Count(_) | Self::Real(_) | Self::Suppressed(_) | Self::Undefined => None,
        }
    }
}

/// A number, `{"value", "sigma", "low", "high"}` where it has an error, `{"suppressed": "<rule>"}`, or null where there
/// is no such number.
impl Serialize for Estimate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Suppressed {
            suppressed: Rule,
        }
        match self {
            Self::Count(count) => serializer.serialize_i64(*count),
            Self::Real(value) => serializer.serialize_f64(*value),
            Self::Noisy(noisy) => noisy.serialize(serializer),
            Self::Suppressed(rule) => Suppressed { suppressed: *rule }.serialize(serializer),
            Self::Undefined => serializer.serialize_unit(),
        }
    }
}

/// Joint cells with the verdict on each bundle.
struct Verdict<'a> {
    layout: &'a Layout,
    cells: &'a [i64],
    /// Of the counts.
    rules: &'a [Option<Rule>],
    /// Of the sums beside them.
    sum_rules: &'a [Option<Rule>],
    /// Counts are shown as multiples of this.
    rounding: i64,
    /// Of a private study.
    noise: Option<&'a NoisePlan>,
}

impl Verdict<'_> {
    /// What `of` makes of the bundle's cells, if they may be seen.
    fn see(&self, bundle: usize, of: impl FnOnce(&[i64]) -> Estimate) -> Estimate {
        match self.rules[bundle] {
            Some(rule) => Estimate::Suppressed(rule),
            None => of(&self.cells[self.layout.bundles()[bundle].cells()]),
        }
    }

    /// What `of` makes of the bundle's sums, if they may be seen.
    fn see_sums(&self, bundle: usize, of: impl FnOnce(&[i64]) -> Estimate) -> Estimate {
        match self.sum_rules[bundle] {
            Some(rule) => Estimate::Suppressed(rule),
            None => of(&self.cells[self.layout.bundles()[bundle].cells()]),
        }
    }

    fn count(&self, bundle: usize) -> Estimate {
        self.see(bundle, |cells| Estimate::Count(self.rounded(cells[0])))
    }

    /// To the nearest multiple of the rounding base, half up; sound counts are not negative.
    fn rounded(&self, count: i64) -> i64 {
        (count + self.rounding / 2) / self.rounding * self.rounding
    }

    /// What `of` makes of the bundle's noisy sums, if they may be seen.
    fn noisy(
        &self,
        bundle: usize,
        variable: Option<&Variable>,
        of: impl FnOnce(&NoisyBundle) -> Option<NoisyEstimate>,
    ) -> Estimate {
        match (self.rules[bundle], self.noise) {
            (Some(rule), _) => Estimate::Suppressed(rule),
            (None, Some(plan)) => {
                let noisy = NoisyBundle::of(plan, &self.layout.bundles()[bundle], variable, self.cells);
                of(&noisy).map_or(Estimate::Undefined, Estimate::Noisy)
            }
            (None, None) => Estimate::Undefined,
        }
    }

    fn withheld(&self, bundle: usize) -> Estimate {
        self.see(bundle, |cells| Estimate::Count(cells[cells.len() - 1]))
    }
}

impl StudyResult {
    /// Only disclosure control calls this, with cells that are sound and a verdict on every bundle, its count and its sums.
    pub(crate) fn estimate(
        spec: &StudySpec,
        layout: &Layout,
        policy: &DisclosurePolicy,
        hospitals: usize,
        cells: &[i64],
        (rules, sum_rules): (&[Option<Rule>], &[Option<Rule>]),
    ) -> Self {
        let rounding = i64::from(policy.rounding);
        let verdict = Verdict { layout, cells, rules, sum_rules, rounding, noise: None };
        Self::of(spec, policy, hospitals, &verdict)
    }

    /// As [`Self::estimate`], of the noisy cells of a private study.
    pub(crate) fn estimate_noisy(
        spec: &StudySpec,
        layout: &Layout,
        policy: &DisclosurePolicy,
        plan: &NoisePlan,
        cells: &[i64],
        rules: &[Option<Rule>],
    ) -> Self {
        let verdict = Verdict { layout, cells, rules, sum_rules: rules, rounding: 1, noise: Some(plan) };
        Self::of(spec, policy, plan.roster(), &verdict)
    }

    fn of(spec: &StudySpec, policy: &DisclosurePolicy, hospitals: usize, verdict: &Verdict<'_>) -> Self {
        let open = spec.protection == Protection::Open;
        Self {
            title: spec.title.clone(),
            hospitals,
            protection: spec.protection,
            min_joint_count: spec.threshold(policy),
            // Nothing is held back where something better protects.
            min_site_count: if open { policy.min_site_count } else { 1 },
            zeros_shown: policy.show_zeros,
            rounding: if verdict.noise.is_some() { 1 } else { policy.rounding },
            statistics: verdict.layout.blocks().iter().map(|block| statistic(spec, block, verdict)).collect(),
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
    let row = |of: &Block, bundle: usize| Row {
        group: labels(of, bundle - of.bundles.start, by.len()),
        measures: match scale.filter(|_| bundles_per_row == 2) {
            Some(_) if verdict.noise.is_some() => noisy_about_variable(&asked.kind, variable, verdict, bundle),
            Some(scale) => about_variable(&asked.kind, &scale, verdict, bundle),
            None if verdict.noise.is_some() => {
                named([("count", verdict.noisy(bundle, None, |bundle| Some(bundle.count())))])
            }
            None => named([("count", verdict.count(bundle)), ("withheld", verdict.withheld(bundle))]),
        },
    };
    let rows = block.bundles.clone().step_by(bundles_per_row).map(|bundle| row(block, bundle)).collect();
    let together = together(block, verdict, bundles_per_row).into_iter().map(|(of, bundle)| row(of, bundle)).collect();
    StatisticResult {
        name: asked.name.clone(),
        kind: asked.kind.name(),
        of: variable.map(|variable| variable.name.clone()),
        unit: variable.map(|variable| variable.unit.clone()).unwrap_or_default(),
        places: scale.map_or(0, |scale| scale.places),
        rows,
        together,
        by,
    }
}

/// Groups that may be seen together where none of them may be seen alone: the finest tables first, no group twice. Each is a block
/// with the first bundle of a row.
fn together<'a>(block: &Block, verdict: &Verdict<'a>, bundles_per_row: usize) -> Vec<(&'a Block, usize)> {
    let layout = verdict.layout;
    let has_sums = bundles_per_row == 2;
    // What is told of each bundle already: its count, and its sums.
    let mut counts: Vec<bool> = block.bundles.clone().map(|bundle| verdict.rules[bundle].is_none()).collect();
    let mut sums: Vec<bool> = block.bundles.clone().map(|bundle| verdict.sum_rules[bundle].is_none()).collect();
    let mut found = Vec::new();
    for coarser in layout.coarser().iter().filter(|coarser| coarser.statistic == block.statistic) {
        let parts = layout.parts_of_coarser(coarser);
        for first in coarser.bundles.clone().step_by(bundles_per_row) {
            let own = |bundle: usize| {
                parts[bundle - coarser.bundles.start].iter().map(|part| part - block.bundles.start).collect::<Vec<_>>()
            };
            let bundles = first..first + bundles_per_row;
            let news = |told: &[bool], rules: &[Option<Rule>], bundle: usize| {
                let parts = own(bundle);
                rules[bundle].is_none() && parts.len() > 1 && parts.iter().all(|part| !told[*part])
            };
            let new_sums = has_sums && news(&sums, verdict.sum_rules, first);
            if !new_sums && !bundles.clone().any(|bundle| news(&counts, verdict.rules, bundle)) {
                continue;
            }
            for bundle in bundles {
                own(bundle).into_iter().for_each(|part| {
                    counts[part] |= verdict.rules[bundle].is_none();
                    sums[part] |= verdict.sum_rules[bundle].is_none();
                });
            }
            found.push((coarser, first));
        }
    }
    found
}

fn grouping(axis: &Axis) -> Grouping {
    let intervals = matches!(axis.parts[0], Part::Below(_));
    Grouping { name: axis.column.clone(), intervals, labels: axis.labels.clone() }
}

fn labels(block: &Block, position: usize, groupings: usize) -> Vec<String> {
    let parts = block.parts_of(position);
    block.axes.iter().zip(parts).take(groupings).map(|(axis, part)| axis.label(part)).collect()
}

fn named<const N: usize>(measures: [(&'static str, Estimate); N]) -> Vec<Measure> {
    measures.into_iter().map(|(name, value)| Measure { name, value }).collect()
}

fn about_variable(kind: &StatisticKind, scale: &Scale, verdict: &Verdict<'_>, present: usize) -> Vec<Measure> {
    let mut measures = named([("n", verdict.count(present)), ("missing", verdict.count(present + 1))]);
    // A sum beside a mean would tell the count that rounding hides.
    let total =
        || verdict.see_sums(present, |cells| sum(scale, cells, verdict.rounded(cells[0]), verdict.rounding > 1));
    let average = || verdict.see_sums(present, |cells| mean(scale, cells, verdict.rounding > 1));
    match kind {
        StatisticKind::Sum { .. } => measures.extend(named([("sum", total())])),
        StatisticKind::Mean { .. } => measures.extend(named([("mean", average())])),
        _ => {
            let spread = verdict.see_sums(present, |cells| match variance(scale, cells) {
                Estimate::Real(variance) if verdict.rounding > 1 => Estimate::Real(three_digits(variance)),
                exact => exact,
            });
            let sd = match spread {
                Estimate::Real(variance) if verdict.rounding > 1 => Estimate::Real(three_digits(variance.sqrt())),
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

fn noisy_about_variable(
    kind: &StatisticKind,
    variable: Option<&Variable>,
    verdict: &Verdict<'_>,
    present: usize,
) -> Vec<Measure> {
    let see = |of: fn(&NoisyBundle) -> Option<NoisyEstimate>| verdict.noisy(present, variable, of);
    let missing = verdict.noisy(present + 1, None, |bundle| Some(bundle.count()));
    let mut measures = named([("n", see(|bundle| Some(bundle.count()))), ("missing", missing)]);
    match kind {
        StatisticKind::Sum { .. } => measures.extend(named([("sum", see(NoisyBundle::sum))])),
        StatisticKind::Mean { .. } => measures.extend(named([("mean", see(NoisyBundle::mean))])),
        _ => measures.extend(named([
            ("mean", see(NoisyBundle::mean)),
            ("variance", see(NoisyBundle::variance)),
            ("sd", see(NoisyBundle::sd)),
        ])),
    }
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

/// The sum over `shown` subjects, which are the bundle's own unless counts are rounded.
fn sum(scale: &Scale, cells: &[i64], shown: i64, rounded: bool) -> Estimate {
    match mean(scale, cells, rounded) {
        Estimate::Real(mean) if rounded => Estimate::Real(mean * shown as f64),
        _ => Estimate::Real(sum_numerator(scale, cells[0], cells[1]) / scale.denominator() as f64),
    }
}

/// To a tenth of the resolution where counts are rounded: by all its digits, a mean of whole steps is a fraction that
/// tells how many it is over.
fn mean(scale: &Scale, cells: &[i64], rounded: bool) -> Estimate {
    let n = cells[0];
    if n == 0 {
        return Estimate::Undefined;
    }
    let exact = sum_numerator(scale, n, cells[1]) / (scale.denominator() as f64 * n as f64);
    let tenth = scale.step as f64 / scale.denominator() as f64 / 10.0;
    Estimate::Real(if rounded { (exact / tenth).round() * tenth } else { exact })
}

/// The number to three significant digits.
fn three_digits(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let unit = 10f64.powi(value.abs().log10().floor() as i32 - 2);
    (value / unit).round() * unit
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

    /// By which bundles groups are shown together, of a mean by three intervals, where these are hidden: of counts, and of sums.
    fn together_where(hidden: impl Fn(usize) -> bool, hidden_sums: impl Fn(usize) -> bool) -> Vec<(usize, usize)> {
        let query = crate::disclosure::lattice::oracle::QUERY;
        let text = format!(
            "version = 1\ntitle = \"T\"\ndescription = \"D\"\npurpose = \"HMB\"\ndeclares = []\nprotection = \"guarded\"\n\
                    [cohort]\nsql = \"{query}\"\nsubject = \"id\"\n\
                    [[variable]]\nname = \"x\"\nmin = 0\nmax = 100\nresolution = 1\n\
                    [[dimension]]\nname = \"h\"\nedges = [1, 2, 3, 4]\n\
                    [[statistic]]\nname = \"m\"\nkind = \"mean\"\nof = \"x\"\nby = [\"h\"]\n"
        );
        let layout = Layout::of(&StudySpec::from_toml(&text).expect("a study")).expect("nested");
        let rule = |is_hidden: bool| is_hidden.then_some(Rule::SmallCountOrPart);
        let all = 0..layout.bundles().len();
        let rules: Vec<Option<Rule>> = all.clone().map(|bundle| rule(hidden(bundle))).collect();
        let sum_rules: Vec<Option<Rule>> = all.map(|bundle| rule(hidden(bundle) || hidden_sums(bundle))).collect();
        let cells = vec![0; layout.cells()];
        let verdict =
            Verdict { layout: &layout, cells: &cells, rules: &rules, sum_rules: &sum_rules, rounding: 1, noise: None };
        let found = together(&layout.blocks()[0], &verdict, 2);
        let table = |of: &Block| layout.coarser().iter().position(|block| block == of).expect("one of them");
        found.into_iter().map(|(of, bundle)| (table(of), (bundle - of.bundles.start) / 2)).collect()
    }

    #[test]
    fn groups_are_shown_together_once_and_only_where_none_is_shown_alone() {
        // Bundles 0 to 9: of three intervals, other and missing those who have x and those who have not. Then the first interval
        // with other and missing, the second and the third, 10 to 15; and the last two together, 16 to 19.
        let none = |_: usize| false;
        assert_eq!(together_where(none, none), []);
        assert_eq!(together_where(|bundle| [0, 1, 6, 7, 8, 9].contains(&bundle), none), [(0, 0)]);
        assert_eq!(together_where(|bundle| bundle < 16, none), [(1, 0), (1, 1)]);
        assert_eq!(together_where(none, |bundle| bundle < 16), [(1, 0), (1, 1)], "the sums");
        assert_eq!(together_where(|_| true, none), []);
        let but_second = |bundle: usize| bundle < 16 && ![2, 3].contains(&bundle);
        assert_eq!(together_where(but_second, none), [(1, 0)], "the second is shown alone");
    }

    #[test]
    fn estimates_of_known_numbers() {
        // 10.0, 20.5 and 60.0 in steps of 0.1 above 10.0: x = 0, 105, 500.
        let cells = [3, 605, 261_025, 0];
        assert_eq!(sum(&BMI, &cells, 3, false), Estimate::Real(90.5));
        // Where counts are rounded, 3 to 6, the mean to a tenth of the resolution tells no more.
        assert_eq!(mean(&BMI, &cells, true), Estimate::Real(3017.0 * 0.01));
        assert_eq!(sum(&BMI, &cells, 6, true), Estimate::Real(3017.0 * 0.01 * 6.0));
        assert_eq!([123_456.0, 0.012_345, 0.0].map(three_digits), [123_000.0, 0.0123, 0.0]);
        assert_eq!(mean(&BMI, &cells, false), Estimate::Real(905.0 / 30.0));
        let mean = 90.5 / 3.0;
        let direct = [10.0, 20.5, 60.0].iter().map(|x: &f64| (x - mean).powi(2)).sum::<f64>() / 2.0;
        let Estimate::Real(variance) = variance(&BMI, &cells) else { panic!("a number") };
        assert!((variance - direct).abs() < 1e-9, "{variance} {direct}");
    }

    #[test]
    fn nobody_has_no_mean() {
        assert_eq!(mean(&BMI, &[0, 0, 0, 0], false), Estimate::Undefined);
        assert_eq!(variance(&BMI, &[0, 0, 0, 0]), Estimate::Undefined);
        assert_eq!(sum(&BMI, &[0, 0, 0], 0, false), Estimate::Real(0.0));
    }

    #[test]
    fn numbers_too_large_to_be_exact_are_still_numbers() {
        let wide = Scale { min: -(1 << 100), step: 1 << 70, places: 9, range: 1 << 32 };
        let Estimate::Real(mean) = mean(&wide, &[1 << 40, 1 << 61, 0], false) else { panic!("a number") };
        assert!(mean.is_finite());
    }
}
