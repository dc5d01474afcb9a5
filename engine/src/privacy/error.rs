//! Why a private study is not planned. Everything in it comes from the study, which is public.

use consilium_protocol::privacy::MicroRho;

use crate::cells::MAX_HOSPITALS;

/// Why there is no noise for a study.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrivacyError {
    /// The layout was made from another study, or the cells belong to another layout.
    #[error("the layout belongs to another study; derive it from the study again")]
    Layout,
    /// Nobody, or more hospitals than can be added up.
    #[error("a round has 1 to {MAX_HOSPITALS} hospitals, not {roster}; open a round with the hospitals that approved")]
    Roster {
        /// How many there are.
        roster: usize,
    },
    /// ρ is 0.
    #[error("with a rho of 0 nothing may be learnt; ask for more, for example rho = 0.1")]
    NoRho,
    /// ρ is so large that a hospital's share of the noise would be too coarse for the proof.
    #[error(
        "rho {asked} needs less noise than {roster} hospitals can share out in whole numbers; ask for a rho of at most \
         {most}"
    )]
    TooMuchRho {
        /// What the study asks for.
        asked: MicroRho,
        /// The largest ρ for this study and roster.
        most: MicroRho,
        /// How many hospitals share the noise.
        roster: usize,
    },
    /// The noise could pass the range of a cell.
    #[error(
        "statistic `{statistic}` needs noise that could overflow; ask for a larger rho, or give its variable a coarser \
         resolution or tighter bounds"
    )]
    Overflow {
        /// The statistic's name.
        statistic: String,
    },
    /// The operating system gave no randomness.
    #[error("the operating system gives no randomness, without which there is no noise; repair that and try again")]
    NoRandomness,
}
