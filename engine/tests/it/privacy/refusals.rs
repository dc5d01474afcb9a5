//! What is not planned, and why.

use consilium_engine::privacy::{NoisePlan, PrivacyError};
use consilium_protocol::privacy::MicroRho;
use rand::SeedableRng;
use rand::rngs::ChaCha20Rng;

use super::mechanism::{study, study_over};

fn refused(kinds: &[&str], range: i64, rho: u64, roster: usize) -> Option<PrivacyError> {
    let (spec, layout) = study_over(kinds, "", range);
    NoisePlan::of(&spec, &layout, MicroRho::new(rho), roster).err()
}

#[test]
fn rho_is_refused_just_beyond_what_shares_can_do() {
    // blocks / 2h: with three hospitals 0.25 for one statistic, 0.5 for two; with twenty, 1/22.
    for (kinds, roster, most) in [
        (vec!["count"], 3, 250_000),
        (vec!["count", "mean"], 3, 500_000),
        (vec!["mean"], 20, 45_454),
        (vec!["variance"], 1, 500_000),
    ] {
        assert_eq!(refused(&kinds, 100, most, roster), None);
        let most = MicroRho::new(most);
        let asked = MicroRho::new(most.get() + 1);
        assert_eq!(refused(&kinds, 100, asked.get(), roster), Some(PrivacyError::TooMuchRho { asked, most, roster }));
    }
    assert_eq!(refused(&["count"], 100, 0, 3), Some(PrivacyError::NoRho));
}

#[test]
fn rosters_that_cannot_be() {
    for roster in [0, 1_025] {
        assert_eq!(refused(&["count"], 100, 1, roster), Some(PrivacyError::Roster { roster }));
    }
    assert_eq!(refused(&["count"], 100, 1, 1_024), None);
}

#[test]
fn noise_that_could_overflow() {
    let overflow = Some(PrivacyError::Overflow { statistic: "s0".into() });
    // Variances are proved to fit for ranges up to 2^19 with 2^24 subjects, sums up to 2^31 here.
    assert_eq!(refused(&["variance"], 1 << 19, 1, 5), None);
    assert_eq!(refused(&["sum"], 1 << 31, 1, 1_024), None);
    assert_eq!(refused(&["variance"], 1 << 24, 1, 5), overflow);
    assert_eq!(refused(&["variance"], 1 << 31, 1_000, 5), overflow);
}

#[test]
fn cells_and_layouts_of_other_studies() {
    let (spec, layout) = study(&["count"], "");
    let (_, other) = study(&["mean"], "");
    let plan = |layout| NoisePlan::of(&spec, layout, MicroRho::new(1), 3);
    assert_eq!(plan(&other).err(), Some(PrivacyError::Layout));
    let plan = plan(&layout).expect("a fitting study");
    let mut cells = [7, 0, 0];
    let mut chance = ChaCha20Rng::seed_from_u64(1);
    assert_eq!(plan.apply(&mut cells, &mut chance), Err(PrivacyError::Layout));
    assert_eq!(cells, [7, 0, 0]);
    assert_eq!(plan.apply(&mut cells[..2], &mut chance), Ok(()));
    assert_ne!(cells[0], 7);
}

#[test]
fn a_variable_without_a_range_still_has_noise() {
    let (mut spec, _) = study(&["sum"], "");
    let decimal = |text: &str| text.parse().expect("a decimal");
    // From 0.4 to 0.6 in ones: every value is the same step.
    (spec.variables[0].min, spec.variables[0].max) = (decimal("0.4"), decimal("0.6"));
    let layout = consilium_engine::statistics::Layout::of(&spec).expect("a valid study");
    let plan = NoisePlan::of(&spec, &layout, MicroRho::new(1_000), 3).expect("a fitting study");
    assert_eq!(plan.sigma(1), plan.sigma(0), "as for a range of 1");
    assert!(plan.guarantee() <= 0.001);
}

#[test]
fn every_message_says_what_to_do() {
    let errors = [
        PrivacyError::Layout,
        PrivacyError::Roster { roster: 0 },
        PrivacyError::NoRho,
        PrivacyError::TooMuchRho { asked: MicroRho::new(2), most: MicroRho::new(1), roster: 3 },
        PrivacyError::Overflow { statistic: "s".into() },
        PrivacyError::NoRandomness,
    ];
    for error in errors {
        let text = error.to_string();
        assert!([" ask ", " open ", " derive ", " repair "].iter().any(|step| text.contains(step)), "{text}");
    }
}
