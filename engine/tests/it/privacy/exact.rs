//! Discrete Gaussians by their definition: probabilities summed up, nothing drawn.

/// Every integer that matters with its weight exp(-x²/2σ²), in order: probabilities but for a common factor.
pub fn weights(sigma: f64) -> impl Iterator<Item = (i64, f64)> {
    let reach = (16.0 * sigma).ceil() as i64;
    (-reach..=reach).map(move |x| (x, (-(x as f64).powi(2) / (2.0 * sigma * sigma)).exp()))
}

/// P(-reach), …, P(reach), in that order.
pub fn discrete_gaussian(sigma: f64) -> Vec<f64> {
    let total: f64 = weights(sigma).map(|(_, weight)| weight).sum();
    weights(sigma).map(|(_, weight)| weight / total).collect()
}

/// The distribution of the sum of so many independent draws.
pub fn sum_of(one: &[f64], draws: usize) -> Vec<f64> {
    (1..draws).fold(one.to_vec(), |sum, _| {
        let mut wider = vec![0.0; sum.len() + one.len() - 1];
        for (i, p) in sum.iter().enumerate() {
            for (j, q) in one.iter().enumerate() {
                wider[i + j] += p * q;
            }
        }
        wider
    })
}

/// The Rényi divergence of order α between a distribution and itself shifted.
pub fn divergence(of: &[f64], shift: usize, alpha: f64) -> f64 {
    let terms = of[shift..].iter().zip(of).filter(|(p, q)| **p > 0.0 && **q > 0.0);
    let moment: f64 = terms.map(|(p, q)| (alpha * p.ln() + (1.0 - alpha) * q.ln()).exp()).sum();
    moment.ln() / (alpha - 1.0)
}

#[test]
fn a_single_discrete_gaussian_has_the_divergence_of_theorem_4() {
    // Canonne, Kamath and Steinke 2020, theorem 4: exactly αΔ²/2σ², for whole Δ.
    for (sigma, shift) in [(1.0, 1), (2.5, 1), (30.0, 17)] {
        let expected = (shift as f64 / sigma).powi(2) / 2.0;
        for alpha in [1.5, 2.0, 6.0] {
            let found = divergence(&discrete_gaussian(sigma), shift, alpha) / alpha;
            assert!(found <= expected * (1.0 + 1e-9) && found > 0.99 * expected, "{sigma} {alpha}: {found} {expected}");
        }
    }
}
