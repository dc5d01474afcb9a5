//! Intervals cover the truth as often as they say, and errors are announced as large as they are.

use consilium_engine::privacy::{NoisePlan, NoisyBundle, NoisyEstimate, expected_errors};
use consilium_engine::statistics::Layout;
use consilium_protocol::privacy::MicroRho;
use consilium_protocol::study::StudySpec;
use rand::SeedableRng;
use rand::rngs::ChaCha20Rng;

use super::mechanism::{cells_of, study};

const TRIALS: usize = 3_000;

type Estimate = fn(&NoisyBundle) -> Option<NoisyEstimate>;
const ESTIMATES: [(&str, Estimate); 5] = [
    ("n", |bundle| Some(bundle.count())),
    ("sum", NoisyBundle::sum),
    ("mean", NoisyBundle::mean),
    ("variance", NoisyBundle::variance),
    ("sd", NoisyBundle::sd),
];

/// Joint results of four hospitals, the first of which has all subjects: x from 0 to 100, evenly.
fn trials(count: i64) -> (StudySpec, Layout, NoisePlan, Vec<i64>, Vec<Vec<i64>>) {
    let (spec, layout) = study(&["variance"], "");
    let plan = NoisePlan::of(&spec, &layout, MicroRho::new(100_000), 4).expect("a fitting study");
    let rows: Vec<_> = (0..count).map(|i| Some(i * 101 / count)).collect();
    let truth = cells_of(&spec, &layout, &rows);
    let mut chance = ChaCha20Rng::seed_from_u64(11);
    let trial = |_| {
        let mut cells = truth.clone();
        (0..4).for_each(|_| plan.apply(&mut cells, &mut chance).expect("cells of this layout"));
        cells
    };
    let trials = (0..TRIALS).map(trial).collect();
    (spec, layout, plan, truth, trials)
}

#[test]
fn intervals_cover_the_truth_in_95_of_100_and_errors_are_as_announced() {
    for count in [300, 3_000] {
        let (spec, layout, plan, truth, trials) = trials(count);
        let (bundle, variable) = (&layout.bundles()[0], spec.variables.first());
        let announced = expected_errors(&spec, &layout, &plan, count as u64);
        for (name, estimate) in ESTIMATES {
            let read = |cells: &[i64]| estimate(&NoisyBundle::of(&plan, bundle, variable, cells)).expect("an estimate");
            let true_value = read(&truth).value;
            let read: Vec<_> = trials.iter().map(|cells| read(cells)).collect();
            let covered = read.iter().filter(|one| one.low <= true_value && true_value <= one.high).count();
            let covered = covered as f64 / TRIALS as f64;
            let error = read.iter().map(|one| (one.value - true_value).powi(2)).sum::<f64>() / TRIALS as f64;
            println!("{count} {name}: {true_value:.3} ± {:.3}, covered {covered:.3}", error.sqrt());
            assert!((0.93..0.97).contains(&covered), "{name} of {count}: covered in {covered}");
            let Some(expected) = announced.iter().find(|expected| expected.measure == name) else {
                assert_eq!(name, "sum", "a variance announces everything but the sum");
                continue;
            };
            let ratio = error.sqrt() / expected.sigma.expect("a large group");
            assert!((0.9..1.1).contains(&ratio), "{name} of {count}: {ratio} of what was announced");
        }
    }
}

#[test]
fn errors_are_those_of_the_first_order() {
    let (spec, layout, plan, _, _) = trials(1);
    let (bundle, variable) = (&layout.bundles()[0], spec.variables.first());
    let sigmas = plan.sigmas(bundle);
    // 100,000 subjects around 90 with a standard deviation of 10, far from the middle, where n matters.
    let cells = [100_000, 9_000_000, 820_000_000, 0];
    for (name, estimate) in ESTIMATES {
        let read = |cells: &[i64]| estimate(&NoisyBundle::of(&plan, bundle, variable, cells)).expect("an estimate");
        let by_cell = |cell: usize| {
            let at = |step: i64| {
                let mut cells = cells;
                cells[cell] += step;
                read(&cells).value
            };
            (at(10) - at(-10)) / 20.0 * sigmas[cell]
        };
        let expected = (0..3).map(|cell| by_cell(cell).powi(2)).sum::<f64>().sqrt();
        let found = read(&cells).sigma;
        assert!((found / expected - 1.0).abs() < 1e-3, "{name}: {found} {expected}");
    }
}

#[test]
fn nothing_is_divided_by_noise() {
    let (spec, layout, plan, _, _) = trials(1);
    let (bundle, variable) = (&layout.bundles()[0], spec.variables.first());
    let least = (5.0 * plan.sigma(0)).ceil() as i64;
    let read = |n: i64| NoisyBundle::of(&plan, bundle, variable, &[n, 50 * n, 3_000 * n, 0]);
    for n in [i64::MIN / 3_000, -5, 0, 1, least - 1] {
        assert_eq!((read(n).mean(), read(n).variance(), read(n).sd()), (None, None, None), "{n}");
        assert_eq!(read(n).count().value, n as f64);
    }
    let mean = read(least).mean().expect("a mean");
    assert!((mean.value - 50.0).abs() < 1e-9);
    assert!(
        expected_errors(&spec, &layout, &plan, 3).iter().any(|error| error.measure == "mean" && error.sigma.is_none())
    );
}

#[test]
fn impossible_values_are_not_reported() {
    let (spec, layout, plan, _, _) = trials(1);
    let (bundle, variable) = (&layout.bundles()[0], spec.variables.first());
    let read = |cells: [i64; 4]| NoisyBundle::of(&plan, bundle, variable, &cells);
    let beyond = read([100, 20_000, 5_000, 0]);
    let mean = beyond.mean().expect("a mean");
    assert_eq!((mean.value, mean.high), (100.0, 100.0));
    let variance = beyond.variance().expect("a variance");
    assert_eq!((variance.value, variance.low), (0.0, 0.0));
    let sd = beyond.sd().expect("a deviation");
    assert!(sd.sigma.is_finite() && sd.value == 0.0, "{sd:?}");
    // A count has no mean, and what is not there reads as nothing.
    let missing = NoisyBundle::of(&plan, &layout.bundles()[1], variable, &[1, 2]);
    assert_eq!((missing.sum(), missing.mean(), missing.variance()), (None, None, None));
}
