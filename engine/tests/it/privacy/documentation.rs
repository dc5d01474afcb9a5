//! The numbers of `docs/privacy.md` are those of the code.

use consilium_engine::privacy::{NoisePlan, epsilon, epsilon_simple, expected_errors};
use consilium_protocol::privacy::MicroRho;

use super::mechanism::{study, study_over};

const PAGE: &str = include_str!("../../../../docs/privacy.md");

fn assert_row(cells: &[String]) {
    let row = format!("| {} |", cells.join(" | "));
    assert!(PAGE.lines().any(|line| line == row), "docs/privacy.md lacks the row {row}");
}

/// To two digits.
fn rounded(x: f64) -> String {
    let places = (1.0 - x.log10().floor()).max(0.0) as usize;
    format!("{x:.places$}")
}

#[test]
fn rho_in_epsilon_and_delta() {
    for rho in ["0.01", "0.05", "0.1", "0.5", "1"] {
        let parsed = rho.parse().expect("a rho");
        let numbers = [epsilon(parsed, 1e-6), epsilon_simple(parsed, 1e-6), epsilon(parsed, 1e-9)];
        let numbers = numbers.iter().map(|number| format!("{number:.2}"));
        assert_row(&[vec![rho.to_string()], numbers.collect()].concat());
    }
}

#[test]
fn errors_of_counts() {
    let (spec, layout) = study(&["count"], "");
    for roster in [3, 5, 10, 20] {
        let error = |millionths: u64| match NoisePlan::of(&spec, &layout, MicroRho::new(millionths), roster) {
            Ok(plan) => expected_errors(&spec, &layout, &plan, 1)[0].half_width().map_or(String::new(), rounded),
            Err(_) => "–".to_string(),
        };
        let start = vec![roster.to_string(), NoisePlan::most_rho(&layout, roster).to_string()];
        assert_row(&[start, [1_000, 5_000, 10_000, 40_000, 100_000, 250_000].map(error).to_vec()].concat());
    }
}

#[test]
fn errors_of_means_and_variances() {
    // HbA1c from 3 to 20 % in steps of 0.01.
    let (range, step) = (1_700, 0.01f64);
    let (spec, layout) = study_over(&["count", "count", "mean", "variance", "count"], "", range);
    let plan = NoisePlan::of(&spec, &layout, MicroRho::new(100_000), 5).expect("a fitting study");
    for (count, text) in [(100, "100"), (1_000, "1,000"), (10_000, "10,000"), (100_000, "100,000")] {
        let errors = expected_errors(&spec, &layout, &plan, count);
        let error = |statistic: &str, measure: &str, unit: f64| {
            let found = errors.iter().find(|error| error.statistic == statistic && error.measure == measure);
            let half_width = found.and_then(|error| error.half_width()).expect("a large group");
            format!("±{}", rounded(half_width * unit))
        };
        let numbers =
            [error("s2", "mean", step), error("s3", "variance", step * step), error("s3", "sd", step)].to_vec();
        assert_row(&[vec![text.to_string()], numbers].concat());
    }
}
