//! Six ways to get it wrong, each of which the audit must find: an audit that finds nothing proves nothing.

use consilium_engine::privacy::{NoisePlan, epsilon};
use consilium_engine::statistics::Layout;
use consilium_protocol::privacy::MicroRho;
use consilium_protocol::study::StudySpec;

use super::audit::epsilon_at_least;
use super::mechanism::{Row, Shares, cells_of, clamped, honest, joint, row, study_over};
use super::neighbours::DELTA;

const RUNS: usize = 40_000;
const RHO: MicroRho = MicroRho::new(250_000);

/// A study over three hospitals, two of whom are honest, and their shares of the noise.
struct Study {
    spec: StudySpec,
    layout: Layout,
    shares: Shares,
}

fn private(kinds: &[&str], range: i64, runs: usize) -> Study {
    let (spec, layout) = study_over(kinds, "", range);
    let plan = NoisePlan::of(&spec, &layout, RHO, 3).expect("a fitting study");
    let shares = Shares::draw(&plan, runs, range.unsigned_abs());
    Study { spec, layout, shares }
}

/// Demands that the audit finds more than the study claims; says what it found.
fn found(
    mechanism: impl Fn(&Vec<Row>, usize) -> Vec<i64>,
    runs: usize,
    [with, without]: [Vec<Row>; 2],
    rho: MicroRho,
) -> String {
    let found = epsilon_at_least(mechanism, [&with, &without], runs, DELTA);
    let claimed = epsilon(rho, DELTA);
    assert!(found > claimed, "the audit found only {found} of the {claimed} claimed");
    format!("found {found:.3}, claimed {claimed:.3}")
}

#[test]
fn half_the_noise() {
    // One of the two honest hospitals forgets its share. The hardest to find: σ is 0.7 of what it should be.
    let Study { spec, layout, shares } = private(&["count"], 100, 100_000);
    let mechanism = |rows: &Vec<Row>, run: usize| {
        let steps: Vec<_> = rows.iter().map(|row| row.x.map(clamped)).collect();
        joint([&cells_of(&spec, &layout, &steps), &shares.of_run(run)[0]])
    };
    println!("{}", found(mechanism, 100_000, [vec![row(1.0)], vec![]], RHO));
}

#[test]
fn no_clamp() {
    let Study { spec, layout, shares } = private(&["sum"], 100, RUNS);
    let mechanism = |rows: &Vec<Row>, run: usize| {
        let steps: Vec<_> = rows.iter().map(|row| row.x.map(|x| x.round() as i64)).collect();
        joint([&cells_of(&spec, &layout, &steps), &joint(shares.of_run(run))])
    };
    println!("{}", found(mechanism, RUNS, [vec![row(300.0)], vec![]], RHO));
}

#[test]
fn noise_before_the_clamp() {
    let Study { spec, layout, shares } = private(&["sum"], 100, RUNS);
    let mechanism = |rows: &Vec<Row>, run: usize| {
        let noise = joint(shares.of_run(run));
        let noisy: Vec<_> = rows.iter().map(|row| row.x.map(|x| clamped(x + noise[1] as f64))).collect();
        let mut cells = joint([&cells_of(&spec, &layout, &noisy), &noise]);
        // Σx is noisy already, row by row; only n is still to get its noise.
        cells[1] -= noise[1];
        cells
    };
    println!("{}", found(mechanism, RUNS, [vec![row(50.0), row(100.0)], vec![row(50.0)]], RHO));
}

#[test]
fn sensitivity_halved() {
    // Noise planned for bounds half as wide.
    let (spec, layout) = study_over(&["sum"], "", 100);
    let Study { shares, .. } = private(&["sum"], 50, RUNS);
    let mechanism = |rows: &Vec<Row>, run: usize| honest(&spec, &layout, &shares)(rows, run);
    println!("{}", found(mechanism, RUNS, [vec![row(100.0)], vec![]], RHO));
}

#[test]
fn seed_reused() {
    // The same study a second time, with the same noise, after one more patient joined: the attacker subtracts.
    let Study { spec, layout, shares } = private(&["sum"], 100, RUNS);
    let mechanism = |rows: &Vec<Row>, run: usize| {
        let [first, second] = [&vec![row(10.0)], rows].map(|rows| honest(&spec, &layout, &shares)(rows, run));
        first.iter().zip(second).map(|(first, second)| second - first).collect()
    };
    let both = RHO.checked_add(RHO).expect("no overflow");
    println!("{}", found(mechanism, RUNS, [vec![row(10.0), row(100.0)], vec![row(10.0)]], both));
}

#[test]
fn per_row_instead_of_per_patient() {
    // The patient has three rows, and all are counted.
    let Study { spec, layout, shares } = private(&["count"], 100, RUNS);
    let mechanism = |rows: &Vec<Row>, run: usize| honest(&spec, &layout, &shares)(rows, run);
    println!("{}", found(mechanism, RUNS, [vec![row(1.0); 3], vec![]], RHO));
}
