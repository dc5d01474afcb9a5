//! What a private study may learn of any one patient, and how much of that is left.
//!
//! The unit is ρ of zero-concentrated differential privacy: a study of ρ says that, whatever one patient's data are,
//! the Rényi divergence of order α between its result with and without that patient is at most ρ·α, for every α > 1. The
//! ρ of several studies add up, which is why budgets are kept in it and not in ε and δ. Here are only whole millionths,
//! so that every member of the consortium computes the same; ε and δ are for reading, and the engine converts.
//!
//! Source: M. Bun and T. Steinke, "Concentrated Differential Privacy: Simplifications, Extensions, and Lower Bounds",
//! TCC 2016, definition 1.1 and lemma 1.7 (composition).

use std::fmt;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::study::Decimal;

/// ρ in millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct MicroRho(u64);

/// Decimal places of ρ.
const PLACES: u8 = 6;

/// A ρ that cannot be written in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("rho is a number from 0 on with at most six digits after the decimal point, for example 0.1; round it")]
pub struct RhoError;

impl MicroRho {
    /// No loss: nothing may be learnt.
    pub const ZERO: Self = Self(0);

    /// Wraps a number of millionths.
    pub const fn new(millionths: u64) -> Self {
        Self(millionths)
    }

    /// The number of millionths.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Whether it is 0: nothing may be learnt.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The ρ of two studies together; `None` past the largest number.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// What is left of this after `other`, at least 0.
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The nearest double, for formulas and screens; never for accounting.
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl TryFrom<Decimal> for MicroRho {
    type Error = RhoError;

    fn try_from(rho: Decimal) -> Result<Self, RhoError> {
        let millionth = Decimal::new(1, PLACES).map_err(|_| RhoError)?;
        let millionths = rho.steps_of(millionth).ok_or(RhoError)?;
        // Counting steps rounds; what was rounded is refused.
        let exact = Decimal::new(millionths, PLACES) == Ok(rho);
        u64::try_from(millionths).ok().filter(|_| exact).map(Self).ok_or(RhoError)
    }
}

impl FromStr for MicroRho {
    type Err = RhoError;

    fn from_str(text: &str) -> Result<Self, RhoError> {
        text.parse::<Decimal>().map_err(|_| RhoError)?.try_into()
    }
}

impl fmt::Display for MicroRho {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / 1_000_000, format!("{:06}", self.0 % 1_000_000));
        match fraction.trim_end_matches('0') {
            "" => f.pad(&whole.to_string()),
            fraction => f.pad(&format!("{whole}.{fraction}")),
        }
    }
}

/// A number, as in study files.
impl Serialize for MicroRho {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.to_f64())
    }
}

impl<'de> Deserialize<'de> for MicroRho {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let decimal = <Decimal as Deserialize>::deserialize(deserializer)?;
        decimal.try_into().map_err(serde::de::Error::custom)
    }
}

/// How many hospitals of a roster are honest, at least, when fewer than half are not.
pub const fn honest_of(roster: usize) -> usize {
    roster / 2 + 1
}

/// The largest ρ of a study with so many statistics for which a roster can share out the noise in whole numbers: every
/// share has a standard deviation of at least 1. The least noise is on counts that are alone in their bundle (one subject
/// changes them by 1), and every statistic has such.
pub const fn most_rho(statistics: usize, roster: usize) -> MicroRho {
    MicroRho::new(statistics as u64 * 1_000_000 / (2 * honest_of(roster) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rho(text: &str) -> MicroRho {
        text.parse().expect("a rho")
    }

    #[test]
    fn decimals_of_up_to_six_places_are_exact() {
        for (text, millionths) in [("0", 0), ("0.1", 100_000), ("1.5", 1_500_000), ("0.000001", 1), ("12", 12_000_000)]
        {
            assert_eq!(rho(text), MicroRho::new(millionths));
            assert_eq!(rho(text).to_string(), text);
        }
        for bad in ["0.0000001", "0.1000005", "-0.1", "", "0.1e1", "nan"] {
            assert_eq!(bad.parse::<MicroRho>(), Err(RhoError), "{bad}");
        }
        assert_eq!(MicroRho::new(u64::MAX).to_string(), "18446744073709.551615");
    }

    #[test]
    fn study_files_hold_numbers() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Privacy {
            rho: MicroRho,
        }
        let read = |text: &str| toml::from_str::<Privacy>(text).map(|privacy| privacy.rho);
        assert_eq!(read("rho = 0.1"), Ok(MicroRho::new(100_000)));
        assert_eq!(read("rho = 2"), Ok(MicroRho::new(2_000_000)));
        for bad in ["rho = 0.0000001", "rho = -1", "rho = \"0.1\"", "rho = nan", "rho = inf"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn golden_bytes() {
        let bytes = borsh::to_vec(&rho("0.1")).expect("bytes");
        assert_eq!(hex::encode(&bytes), "a086010000000000");
        assert_eq!(borsh::from_slice::<MicroRho>(&bytes).ok(), Some(rho("0.1")));
        for end in 0..bytes.len() {
            assert!(borsh::from_slice::<MicroRho>(&bytes[..end]).is_err());
        }
    }

    #[test]
    fn sums_past_the_largest_number_are_refused() {
        assert_eq!(MicroRho::new(2).checked_add(MicroRho::new(3)), Some(MicroRho::new(5)));
        assert_eq!(MicroRho::new(u64::MAX).checked_add(MicroRho::new(1)), None);
        assert_eq!(MicroRho::new(3).saturating_sub(MicroRho::new(2)), MicroRho::new(1));
        assert_eq!(MicroRho::new(2).saturating_sub(MicroRho::new(3)), MicroRho::new(0));
    }

    #[test]
    fn fewer_than_half_leave_so_many() {
        assert_eq!([1, 2, 3, 4, 5, 20].map(honest_of), [1, 2, 2, 3, 3, 11]);
    }
}
