//! What a private study will be able to say, before anyone approves it.

use consilium_protocol::study::{StatisticKind, StudySpec};
use serde::Serialize;

use super::estimate::{NoisyBundle, half_width};
use super::{NoisePlan, NoisyEstimate};
use crate::statistics::{Block, Content, Layout, Scale};

/// The error to expect of one number of a statistic.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExpectedError {
    /// The statistic's name.
    pub statistic: String,
    /// The number, as the result names it: `count`, `n`, `missing`, `sum`, `mean`, `variance`, `sd`.
    pub measure: &'static str,
    /// The standard deviation of its noise, in its unit; `None` where the group is too small to tell anything.
    pub sigma: Option<f64>,
}

impl ExpectedError {
    /// Half of the 95 % confidence interval.
    pub fn half_width(&self) -> Option<f64> {
        self.sigma.map(half_width)
    }
}

/// The errors to expect in every group of `count` subjects, a study's statistics one after another.
///
/// The noise in counts does not depend on the group. That in means and variances does: for these the subjects' values
/// are taken to be spread evenly over the variable's bounds.
pub fn expected_errors(spec: &StudySpec, layout: &Layout, plan: &NoisePlan, count: u64) -> Vec<ExpectedError> {
    let of = |block: &Block| {
        let statistic = &spec.statistics[block.statistic];
        let error = |(measure, estimate): (&'static str, Option<NoisyEstimate>)| ExpectedError {
            statistic: statistic.name.clone(),
            measure,
            sigma: estimate.map(|estimate| estimate.sigma),
        };
        measures(spec, layout, plan, block, count as f64).into_iter().map(error).collect::<Vec<_>>()
    };
    layout.blocks().iter().flat_map(of).collect()
}

fn measures(
    spec: &StudySpec,
    layout: &Layout,
    plan: &NoisePlan,
    block: &Block,
    count: f64,
) -> Vec<(&'static str, Option<NoisyEstimate>)> {
    let kind = &spec.statistics[block.statistic].kind;
    let variable = kind.variable().and_then(|name| spec.variable(name));
    let range = variable.and_then(Scale::of).map_or(0.0, |scale| scale.range as f64);
    // n, Σx and Σx² of values spread evenly from 0 to R.
    let even = [count, count * range / 2.0, count * range * range / 3.0];
    let bundles = &layout.bundles()[block.bundles.clone()];
    let bundle = |position: usize| NoisyBundle::from_sums(plan, &bundles[position], variable, |sum| even[sum]);
    let first = bundle(0);
    if bundles[0].content == Content::Count {
        return vec![("count", Some(first.count()))];
    }
    let mut measures = vec![("n", Some(first.count())), ("missing", Some(bundle(1).count()))];
    match kind {
        StatisticKind::Sum { .. } => measures.push(("sum", first.sum())),
        StatisticKind::Mean { .. } => measures.push(("mean", first.mean())),
        _ => measures.extend([("mean", first.mean()), ("variance", first.variance()), ("sd", first.sd())]),
    }
    measures
}
