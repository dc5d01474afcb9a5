//! What noisy sums say, and how surely.
//!
//! Every estimate comes with the standard deviation that the noise gives it, and with a 95 % confidence interval. The
//! noise of sums is as good as normal. A mean and a variance are ratios of noisy sums; their σ is the first-order one
//! (delta method), which holds as long as n stands well out of its own noise.

use consilium_protocol::study::Variable;
use serde::Serialize;

use super::NoisePlan;
use crate::statistics::{Bundle, Content, Scale};

/// The 97.5 % point of the standard normal distribution.
const TWO_SIDED_95: f64 = 1.959_963_984_540_054;

/// How many standard deviations of its noise n must have before anything is divided by it.
const DISTINCT: f64 = 5.0;

/// A number with the error that noise gives it. What the cohort itself leaves to chance is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct NoisyEstimate {
    /// The number.
    pub value: f64,
    /// The standard deviation of its noise.
    pub sigma: f64,
    /// The lower end of the 95 % confidence interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl NoisyEstimate {
    fn new(value: f64, sigma: f64) -> Self {
        let half_width = half_width(sigma);
        Self { value, sigma, low: value - half_width, high: value + half_width }
    }

    /// The same, where the true number is known to lie in these bounds.
    fn within(self, least: f64, most: f64) -> Self {
        let clamp = |x: f64| x.clamp(least, most);
        Self { value: clamp(self.value), sigma: self.sigma, low: clamp(self.low), high: clamp(self.high) }
    }
}

/// Half of the 95 % confidence interval of a number with this standard deviation.
pub(super) fn half_width(sigma: f64) -> f64 {
    TWO_SIDED_95 * sigma
}

/// A noisy joint sum.
#[derive(Clone, Copy, Debug, Default)]
struct Noisy {
    value: f64,
    sigma: f64,
}

/// The noisy sums of one bundle and the scale of its variable.
#[derive(Clone, Copy, Debug)]
pub struct NoisyBundle {
    n: Noisy,
    sum: Noisy,
    squares: Noisy,
    content: Content,
    min: f64,
    resolution: f64,
    range: f64,
}

impl NoisyBundle {
    /// Reads `bundle` from opened joint cells; `variable` is what its sums are over, if it has any.
    pub fn of(plan: &NoisePlan, bundle: &Bundle, variable: Option<&Variable>, cells: &[i64]) -> Self {
        let own = cells.get(bundle.cells()).unwrap_or_default();
        Self::from_sums(plan, bundle, variable, |sum| own.get(sum).map_or(0.0, |cell| *cell as f64))
    }

    /// The same with other values in the bundle's cells.
    pub(super) fn from_sums(
        plan: &NoisePlan,
        bundle: &Bundle,
        variable: Option<&Variable>,
        value: impl Fn(usize) -> f64,
    ) -> Self {
        let sigmas = plan.sigmas(bundle);
        let noisy =
            |sum: usize| sigmas.get(sum).map_or(Noisy::default(), |sigma| Noisy { value: value(sum), sigma: *sigma });
        let range = variable.and_then(Scale::of).map_or(0.0, |scale| scale.range as f64);
        Self {
            n: noisy(0),
            sum: noisy(1),
            squares: noisy(2),
            content: bundle.content,
            min: variable.map_or(0.0, |variable| variable.min.to_f64()),
            resolution: variable.map_or(0.0, |variable| variable.resolution.to_f64()),
            range,
        }
    }

    /// How many subjects; may be negative, so that sums over groups stay unbiased.
    pub fn count(&self) -> NoisyEstimate {
        NoisyEstimate::new(self.n.value, self.n.sigma)
    }

    /// n·m + r·Σx, in the variable's unit; `None` where the bundle has no sum.
    pub fn sum(&self) -> Option<NoisyEstimate> {
        let value = self.n.value * self.min + self.sum.value * self.resolution;
        let sigma = (self.n.sigma * self.min).hypot(self.sum.sigma * self.resolution);
        (self.content != Content::Count).then(|| NoisyEstimate::new(value, sigma))
    }

    /// m + r·Σx/n; `None` where the bundle has no sum, or n does not stand out of its noise.
    ///
    /// σ² = r²/n² · (σ²(Σx) + (Σx/n)²·σ²(n)).
    pub fn mean(&self) -> Option<NoisyEstimate> {
        let (n, sum) = self.distinct().filter(|_| self.content != Content::Count)?;
        let mean = sum.value / n.value;
        let sigma = sum.sigma.hypot(mean * n.sigma) / n.value;
        let at = |x: f64| self.min + self.resolution * x;
        Some(NoisyEstimate::new(at(mean), self.resolution * sigma).within(at(0.0), at(self.range)))
    }

    /// r²·V with V = (Σx² - (Σx)²/n) / (n-1), the sample variance; `None` where the bundle has no squares, or n does not
    /// stand out of its noise.
    ///
    /// σ² = r⁴/(n-1)² · (σ²(Σx²) + 4(Σx/n)²·σ²(Σx) + ((Σx/n)² - V)²·σ²(n)).
    pub fn variance(&self) -> Option<NoisyEstimate> {
        let (n, sum) = self.distinct().filter(|_| self.content == Content::Squares)?;
        let mean = sum.value / n.value;
        let variance = (self.squares.value - sum.value * mean) / (n.value - 1.0);
        let by_sum = 2.0 * mean * sum.sigma;
        let by_n = (mean * mean - variance) * n.sigma;
        let sigma = self.squares.sigma.hypot(by_sum).hypot(by_n) / (n.value - 1.0);
        let square = self.resolution * self.resolution;
        // Of numbers from 0 to R, half at each end have the largest variance.
        let most = square * self.range * self.range / 4.0 * n.value / (n.value - 1.0);
        Some(NoisyEstimate::new(square * variance, square * sigma).within(0.0, most))
    }

    /// The root of the variance; its interval is the root of the variance's.
    pub fn sd(&self) -> Option<NoisyEstimate> {
        let variance = self.variance()?;
        let [value, low, high] = [variance.value, variance.low, variance.high].map(f64::sqrt);
        // First order, but no more than the interval says where the variance is hardly above 0.
        let sigma = (variance.sigma / (2.0 * value)).min((high - low) / (2.0 * TWO_SIDED_95));
        Some(NoisyEstimate { value, sigma, low, high })
    }

    /// n and Σx, if n stands out of its noise and there are two subjects at least.
    fn distinct(&self) -> Option<(Noisy, Noisy)> {
        (self.n.value >= 2.0 && self.n.value >= DISTINCT * self.n.sigma).then_some((self.n, self.sum))
    }
}
