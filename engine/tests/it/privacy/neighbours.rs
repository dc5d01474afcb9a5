//! The audit of the real thing: neighbouring cohorts whose results must not tell them apart by more than is claimed.

use consilium_engine::privacy::{NoisePlan, epsilon};
use consilium_protocol::privacy::MicroRho;

use super::audit::epsilon_at_least;
use super::mechanism::{Row, Shares, honest, row, study};

/// Runs on each cohort of a pair.
const RUNS: usize = 100_000;
/// At a δ this large an audit sees nearly all that there is to see.
pub const DELTA: f64 = 0.01;

struct Pair {
    name: &'static str,
    others: Vec<Row>,
    patient: Row,
    /// Whether the patient moves every sum of their bundle by the most that there is, so that the audit must find much.
    extreme: bool,
}

fn pair(name: &'static str, others: &[Row], patient: Row, extreme: bool) -> Pair {
    Pair { name, others: others.to_vec(), patient, extreme }
}

/// Audits pairs of one study at the largest ρ for three hospitals, two of whom are honest; says what was found.
fn audit(kinds: &[&str], pairs: &[Pair]) -> String {
    let (spec, layout) = study(kinds, "");
    let rho = MicroRho::new(kinds.len() as u64 * 250_000);
    let plan = NoisePlan::of(&spec, &layout, rho, 3).expect("a fitting study");
    let shares = Shares::draw(&plan, RUNS, kinds.len() as u64);
    let claimed = epsilon(rho, DELTA);
    let mut report = format!("{kinds:?}, claimed {claimed:.3}:");
    for Pair { name, others, patient, extreme } in pairs {
        let with = [others.as_slice(), &[*patient]].concat();
        let found =
            epsilon_at_least(|rows, run| honest(&spec, &layout, &shares)(rows, run), [&with, others], RUNS, DELTA);
        assert!(found <= claimed, "{kinds:?}, {name}: found {found}, claimed {claimed}");
        assert!(!extreme || found > 0.6 * claimed, "{kinds:?}, {name}: the audit found only {found} of {claimed}");
        report += &format!(" {name} {found:.3},");
    }
    report
}

fn others() -> Vec<Row> {
    (0..5).map(|i| Row { x: Some(f64::from(i) * 20.0), hospital: i as usize % 2 }).collect()
}

#[test]
fn counts() {
    let report = audit(
        &["count"],
        &[
            pair("nobody else", &[], row(1.0), true),
            pair("five others", &others(), row(1.0), true),
            pair("at the other hospital", &others(), Row { x: None, hospital: 1 }, true),
        ],
    );
    println!("{report}");
}

#[test]
fn sums() {
    let report = audit(
        &["sum"],
        &[
            pair("at the maximum", &others(), row(100.0), true),
            pair("far above the maximum", &others(), row(1e300), true),
            pair("infinite", &[], row(f64::INFINITY), true),
            pair("far below the minimum", &others(), row(-1e300), false),
            pair("without a value", &others(), Row { x: None, hospital: 0 }, true),
        ],
    );
    println!("{report}");
}

#[test]
fn variances() {
    let report = audit(
        &["variance"],
        &[
            pair("at the maximum", &others(), row(100.0), true),
            pair("far above the maximum", &[], row(1e18), true),
            pair("in the middle", &others(), row(50.0), false),
        ],
    );
    println!("{report}");
}

#[test]
fn several_statistics() {
    let report = audit(
        &["count", "mean"],
        &[
            pair("at the maximum", &others(), row(100.0), true),
            pair("without a value", &others(), Row { x: None, hospital: 1 }, true),
        ],
    );
    println!("{report}");
}
