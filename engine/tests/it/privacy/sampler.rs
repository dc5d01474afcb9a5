//! What is drawn has the probabilities that it should have (Pearson's chi-square test).

use consilium_engine::privacy::{NoisePlan, fresh_randomness};
use consilium_protocol::privacy::MicroRho;
use rand::SeedableRng;
use rand::rngs::ChaCha20Rng;

use super::exact;
use super::mechanism::study_over;

/// Draws of one σ: the last sum of every group of a study by 250 categories.
fn draws(kind: &str, range: i64, rho: u64, shares: usize) -> (f64, Vec<i64>) {
    let (spec, layout) = study_over(&[kind], "by = [\"g\"]", range);
    let plan = NoisePlan::of(&spec, &layout, MicroRho::new(rho), 3).expect("a fitting study");
    let (first, per_group) = (&layout.bundles()[0], if kind == "count" { 1 } else { 2 });
    let cells: Vec<usize> = layout.bundles().iter().step_by(per_group).map(|bundle| bundle.withheld() - 1).collect();
    let mut chance = ChaCha20Rng::seed_from_u64(rho + range.unsigned_abs());
    let draw = |_| {
        let share = plan.share(&mut chance);
        let withheld = layout.bundles().iter().map(|bundle| share[bundle.withheld()]);
        assert!(withheld.into_iter().all(|noise| noise == 0));
        cells.iter().map(|cell| share[*cell]).collect::<Vec<_>>()
    };
    (plan.share_sigma(first.withheld() - 1), (0..shares).flat_map(draw).collect())
}

/// How many standard deviations the chi-square statistic is above what is expected; below 5 is chance.
fn surprise(draws: &[i64], sigma: f64) -> f64 {
    // Bins of equal width, about a quarter of σ, out to 3σ, and two tails.
    let width = (sigma / 4.0).ceil() as i64;
    let bins = (3.0 * sigma / width as f64).ceil() as i64;
    let bin = |x: i64| (x.div_euclid(width).clamp(-bins - 1, bins) + bins + 1) as usize;
    let mut expected = vec![0.0; 2 * bins as usize + 2];
    exact::weights(sigma).for_each(|(x, weight)| expected[bin(x)] += weight);
    let total: f64 = expected.iter().sum();
    let mut found = vec![0.0; expected.len()];
    draws.iter().for_each(|x| found[bin(*x)] += 1.0);
    let expected = expected.iter().map(|weight| weight / total * draws.len() as f64);
    let chi_square: f64 = expected.zip(&found).map(|(expected, found)| (found - expected).powi(2) / expected).sum();
    let freedom = (found.len() - 1) as f64;
    (chi_square - freedom) / (2.0 * freedom).sqrt()
}

#[test]
fn draws_have_the_exact_probabilities() {
    let cases = [
        ("count", 1, 250_000, 1.0),
        ("count", 1, 100_000, 1.58),
        ("count", 1, 5_000, 7.1),
        ("count", 1, 1, 500.0),
        ("sum", 1 << 20, 250_000, 1.414 * 1_048_576.0),
        ("variance", 1_000, 250_000, 1.732e6),
    ];
    for (kind, range, rho, about) in cases {
        let (sigma, draws) = draws(kind, range, rho, 100);
        assert!((sigma / about - 1.0).abs() < 0.04, "{sigma} {about}");
        let surprise_here = surprise(&draws, sigma);
        println!("{kind} {range} {rho}: sigma {sigma:.3}, {} draws, {surprise_here:.2}", draws.len());
        assert!(surprise_here.abs() < 5.0, "{sigma}: {surprise_here}");
        // The test notices: a twentieth more or less of σ is a surprise.
        for wrong in [0.95, 1.05] {
            assert!(surprise(&draws, sigma * wrong) > 10.0, "{sigma} {wrong}: {}", surprise(&draws, sigma * wrong));
        }
    }
}

#[test]
fn fresh_randomness_is_fresh() {
    let (spec, layout) = study_over(&["sum"], "by = [\"g\"]", 1 << 20);
    let plan = NoisePlan::of(&spec, &layout, MicroRho::new(1_000), 3).expect("a fitting study");
    let share = || plan.share(&mut fresh_randomness().expect("randomness"));
    assert_ne!(share(), share());
}
