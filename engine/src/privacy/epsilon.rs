//! ρ in the words that people compare: ε and δ.
//!
//! (ε, δ)-differential privacy: whatever set of results one looks for, its probability with a patient is at most e^ε
//! times that without, plus δ. A ρ implies it for every δ, with an ε that grows as δ falls.

use consilium_protocol::privacy::MicroRho;

/// The smallest δ that ρ is known to imply for an ε, from 0 to 1.
///
/// min over α > 1 of exp((α-1)(αρ-ε) + α ln(1-1/α)) / (α-1). Any α gives a true bound, so that an inexact minimum is
/// still true. Source: C. Canonne, G. Kamath and T. Steinke, "The Discrete Gaussian for Differential Privacy", NeurIPS
/// 2020, section 2.3, corollary 13.
pub fn delta(rho: MicroRho, epsilon: f64) -> f64 {
    if rho.is_zero() {
        return 0.0;
    }
    let rho = rho.to_f64();
    let slope = |alpha: f64| (2.0 * alpha - 1.0) * rho - epsilon + (-1.0 / alpha).ln_1p();
    // Closer to 1 the formula loses its digits; at the upper end the slope is positive.
    let (mut low, mut high) = (1.01, (epsilon + 1.0) / (2.0 * rho) + 2.0);
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if slope(middle) < 0.0 { low = middle } else { high = middle }
    }
    let exponent = (high - 1.0) * (high * rho - epsilon) + high * (-1.0 / high).ln_1p();
    (exponent.exp() / (high - 1.0)).min(1.0)
}

/// The smallest ε that ρ is known to imply for a δ between 0 and 1.
pub fn epsilon(rho: MicroRho, wanted_delta: f64) -> f64 {
    let (mut low, mut high) = (0.0, epsilon_simple(rho, wanted_delta));
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if delta(rho, middle) <= wanted_delta { high = middle } else { low = middle }
    }
    high
}

/// The bound that everyone can check by hand, a little larger: ρ + 2 √(ρ ln(1/δ)).
///
/// Source: M. Bun and T. Steinke, "Concentrated Differential Privacy", TCC 2016, proposition 1.3.
pub fn epsilon_simple(rho: MicroRho, delta: f64) -> f64 {
    let rho = rho.to_f64();
    rho + 2.0 * (rho * (1.0 / delta).ln()).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed apart from this code, by a search over ln(α-1) in logarithms.
    #[test]
    fn known_conversions() {
        let known = [
            (1_000, 1e-6, 0.182895, 0.236079),
            (10_000, 1e-6, 0.621693, 0.753384),
            (100_000, 1e-6, 2.141939, 2.450788),
            (100_000, 1e-2, 0.978755, 1.457228),
            (1_000_000, 1e-9, 9.521464, 10.104563),
        ];
        for (millionths, delta, tight, simple) in known {
            let rho = MicroRho::new(millionths);
            assert!((epsilon(rho, delta) - tight).abs() < 1e-6, "{rho} {delta}: {}", epsilon(rho, delta));
            assert!((epsilon_simple(rho, delta) - simple).abs() < 1e-6, "{rho} {delta}");
        }
    }

    #[test]
    fn more_noise_is_more_private() {
        let mut before = 0.0;
        for millionths in [0, 1, 100, 10_000, 1_000_000, 100_000_000] {
            let now = epsilon(MicroRho::new(millionths), 1e-6);
            assert!(now > before || millionths == 0, "{millionths}: {now} {before}");
            before = now;
        }
        assert_eq!(epsilon(MicroRho::new(0), 1e-6), 0.0);
        assert_eq!(delta(MicroRho::new(0), 0.0), 0.0);
    }
}
