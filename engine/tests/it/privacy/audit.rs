//! How much a mechanism really gives away, at least: an attack with a proof.
//!
//! Runs a mechanism on two neighbouring cohorts and looks for an event that is likelier with one than with the other.
//! Some runs choose the event, others count it, so that the count is an honest sample. For (ε, δ)-differential privacy
//! P(event | with) ≤ e^ε P(event | without) + δ, so ε is at least ln((p - δ) / q), with a lower bound for p and an upper
//! one for q.
//!
//! Sources: Z. Ding, Y. Wang, G. Wang, D. Zhang and D. Kifer, "Detecting Violations of Differential Privacy", CCS 2018; the
//! bounds: C. J. Clopper and E. S. Pearson, Biometrika 26, 1934.

/// How often a bound on a probability may be wrong.
const WRONG: f64 = 1e-5;

/// A lower bound on the ε of a mechanism at `delta`, wrong in at most four of 100,000 audits; 0 if nothing was found.
///
/// `mechanism` turns a cohort and the number of a run, below `runs`, into results.
pub fn epsilon_at_least<T>(
    mechanism: impl Fn(&T, usize) -> Vec<i64>,
    [with, without]: [&T; 2],
    runs: usize,
    delta: f64,
) -> f64 {
    let choosing = runs / 5;
    let results = |cohort: &T| -> Vec<Vec<f64>> {
        (0..runs).map(|run| mechanism(cohort, run).into_iter().map(|cell| cell as f64).collect()).collect()
    };
    let results = [results(with), results(without)];
    let weights = weights(results.each_ref().map(|results| &results[..choosing]));
    let scores = results.map(|results| results.iter().map(|result| dot(&weights, result)).collect::<Vec<_>>());
    let [with, without] = scores.each_ref().map(|scores| scores.split_at(choosing));
    // Likelier with, seen at the upper end; or likelier without, at the lower end, by turning everything around.
    let turned = |scores: &[f64]| scores.iter().map(|score| -score).collect::<Vec<_>>();
    let upper = one_sided([with.0, without.0], [with.1, without.1], delta);
    let (with, without) = ((turned(with.0), turned(with.1)), (turned(without.0), turned(without.1)));
    let lower = one_sided([&without.0, &with.0], [&without.1, &with.1], delta);
    upper.max(lower)
}

/// The direction in which results differ most, in terms of their own spread.
fn weights([with, without]: [&[Vec<f64>]; 2]) -> Vec<f64> {
    let moments = |results: &[Vec<f64>], cell: usize| {
        let mean = results.iter().map(|result| result[cell]).sum::<f64>() / results.len() as f64;
        let squares = results.iter().map(|result| (result[cell] - mean).powi(2)).sum::<f64>();
        (mean, squares / results.len() as f64)
    };
    let weight = |cell: usize| {
        let ((mean, spread), (other_mean, other_spread)) = (moments(with, cell), moments(without, cell));
        (mean - other_mean) / f64::midpoint(spread, other_spread).max(1e-9)
    };
    (0..with[0].len()).map(weight).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The bound for events "the score is at least so high".
fn one_sided(choosing: [&[f64]; 2], counting: [&[f64]; 2], delta: f64) -> f64 {
    let mut thresholds = choosing.concat();
    thresholds.sort_by(f64::total_cmp);
    let thresholds = thresholds.iter().step_by(thresholds.len() / 400 + 1);
    let share = |scores: &[f64], least: f64| count(scores, least) as f64 / scores.len() as f64;
    let promise = |least: f64| {
        // Not less than a few runs can tell.
        let rare = 5.0 / choosing[1].len() as f64;
        (share(choosing[0], least) - delta) / share(choosing[1], least).max(rare)
    };
    let Some(least) = thresholds.copied().max_by(|a, b| promise(*a).total_cmp(&promise(*b))) else { return 0.0 };
    let p = probability_at_least(count(counting[0], least), counting[0].len());
    let q = 1.0 - probability_at_least(counting[1].len() - count(counting[1], least), counting[1].len());
    if p > delta { ((p - delta) / q).ln().max(0.0) } else { 0.0 }
}

fn count(scores: &[f64], least: f64) -> usize {
    scores.iter().filter(|score| **score >= least).count()
}

/// The lower Clopper-Pearson bound: the p at which `hits` or more of `trials` have a probability of [`WRONG`].
fn probability_at_least(hits: usize, trials: usize) -> f64 {
    if hits == 0 {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, hits as f64 / trials as f64);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if upper_tail(hits, trials, middle) < WRONG { low = middle } else { high = middle }
    }
    low
}

/// P(Binomial(trials, p) ≥ hits), for p below hits/trials, where the terms fall.
fn upper_tail(hits: usize, trials: usize, p: f64) -> f64 {
    if p <= 0.0 {
        return 0.0;
    }
    let ln_choose: f64 = (1..=hits.min(trials - hits)).map(|i| (((trials + 1 - i) as f64) / i as f64).ln()).sum();
    let mut term = (ln_choose + hits as f64 * p.ln() + (trials - hits) as f64 * (-p).ln_1p()).exp();
    let mut tail = 0.0;
    for k in hits..=trials {
        tail += term;
        term *= (trials - k) as f64 / (k + 1) as f64 * p / (1.0 - p);
        if term < tail * 1e-16 {
            break;
        }
    }
    tail
}

#[test]
fn bounds_are_those_of_clopper_and_pearson() {
    // Where all hits, P = p^n; where one of n, P = 1 - (1-p)^n.
    assert!((probability_at_least(50, 50) - WRONG.powf(1.0 / 50.0)).abs() < 1e-9);
    assert!((probability_at_least(1, 50) - (1.0 - (1.0 - WRONG).powf(1.0 / 50.0))).abs() < 1e-12);
    assert_eq!(probability_at_least(0, 50), 0.0);
    // P(Binomial(10, 0.3) ≥ 5), from tables.
    assert!((upper_tail(5, 10, 0.3) - 0.150_268_333).abs() < 1e-9);
}

#[test]
fn a_coin_with_a_known_epsilon_is_audited_to_just_below_it() {
    // Randomised response: the truth with probability 3/4, for which ε = ln 3 and δ = 0.
    let coin = |answer: &i64, run: usize| {
        let lie = (run as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        vec![if lie >> 62 == 0 { 1 - answer } else { *answer }]
    };
    let found = epsilon_at_least(coin, [&1, &0], 100_000, 0.0);
    assert!((0.95 * 3f64.ln()..3f64.ln()).contains(&found), "{found}");
    // Nothing to find where nothing differs.
    assert!(epsilon_at_least(coin, [&1, &1], 100_000, 0.0) < 0.01);
}
