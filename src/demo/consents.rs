//! What the demo's patients decide, drawn from the seed: 70 % allow any research, 15 % research on diabetes, 10 % say
//! nothing, 5 % allow and revoke.

use consilium_protocol::consent::{Purpose, Terms};
use rand::{RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::cli::Failure;
use crate::cli::terms::preset_terms;

/// Diabetes mellitus: the parent of the demo study's disease.
pub(super) const ONE_DISEASE: &str = "MONDO:0005015";

/// What a patient decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Choice {
    /// Any research.
    Broad,
    /// Research on one disease.
    OneDisease,
    /// Nothing.
    Silent,
    /// Any research, and then no more.
    Revoked,
}

impl Choice {
    /// What the patient's document says, if there is one.
    pub(super) fn terms(self) -> Result<Option<Terms>, Failure> {
        match self {
            Self::Broad | Self::Revoked => preset_terms("research").map(Some),
            Self::OneDisease => preset_terms(ONE_DISEASE).map(Some),
            Self::Silent => Ok(None),
        }
    }

    /// Whether a study of this purpose, which is type 2 diabetes or any health research, may count the patient.
    pub(super) const fn allows(self, purpose: &Purpose) -> bool {
        match self {
            Self::Broad => true,
            Self::OneDisease => matches!(purpose, Purpose::DiseaseResearch(_)),
            Self::Silent | Self::Revoked => false,
        }
    }
}

/// Every patient's choice, in the order of `persons`; the same for the same seed.
pub(super) fn choices(persons: &[i64], seed: u64) -> Vec<(i64, Choice)> {
    let choose = |person: &i64| {
        // A stream of its own for each patient, so that the choice does not depend on who else is there.
        let mut chance = ChaCha8Rng::seed_from_u64(seed ^ 0x636f_6e73_656e_7473);
        chance.set_stream(*person as u64);
        let choice = match chance.next_u32() % 100 {
            0..70 => Choice::Broad,
            70..85 => Choice::OneDisease,
            85..95 => Choice::Silent,
            _ => Choice::Revoked,
        };
        (*person, choice)
    };
    persons.iter().map(choose).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_as_promised() {
        let persons: Vec<i64> = (1..=20_000).collect();
        let choices = choices(&persons, 42);
        let share = |wanted: Choice| choices.iter().filter(|(_, c)| *c == wanted).count() as f64 / 20_000.0;
        assert!((share(Choice::Broad) - 0.70).abs() < 0.02);
        assert!((share(Choice::OneDisease) - 0.15).abs() < 0.02);
        assert!((share(Choice::Silent) - 0.10).abs() < 0.02);
        assert!((share(Choice::Revoked) - 0.05).abs() < 0.01);
    }
}
