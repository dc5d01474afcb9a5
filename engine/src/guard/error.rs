//! What can go wrong with a guarded round. Variants carry shapes, never counts, seeds or words.

use consilium_protocol::keys::NoRandomness;

use super::ShapeError;
use crate::cells::{BlindingError, CiphertextError, OpeningError};

/// Why a step of the guard was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GuardError {
    /// Another number of counts than there are groups.
    #[error("{found} counts where the study has {expected} groups; take the counts of the study's layout")]
    Counts {
        /// How many groups there are.
        expected: usize,
        /// How many counts were given.
        found: usize,
    },
    /// The blinds are for a contribution of another shape.
    #[error("blinds of {found} words where {expected} are called for; derive them for this study's shape")]
    Blinds {
        /// How many words a contribution of the shape has.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// Not one contribution from each hospital of the roster.
    #[error("{found} guard contributions where the roster has {expected}; wait for the rest, or fetch them again")]
    Contributions {
        /// How many hospitals the roster has.
        expected: usize,
        /// How many contributions there are.
        found: usize,
    },
    /// A contribution or sealed seeds of another study or shape.
    #[error("{found} numbers where the study's shape calls for {expected}; take what belongs to this round")]
    OtherShape {
        /// How many the shape calls for.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// Contributions and keys do not belong together.
    #[error("made under another custodian's key; take the contributions and the keys of one round")]
    OtherKey,
    /// A shape that cannot be guarded.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// Bytes that are not what they should be.
    #[error(transparent)]
    Format(#[from] CiphertextError),
    /// No blinds.
    #[error(transparent)]
    Blinding(#[from] BlindingError),
    /// The operating system gave no randomness.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The check numbers do not say that every hospital contributed once.
    #[error(
        "the check numbers are wrong, so a contribution is missing, doubled or blinded otherwise; have the round repeated"
    )]
    CheckNumbers,
    /// A sealed digit carries more noise than an honest aggregator makes.
    #[error("seed {seed} carries too much noise to be read safely; have the aggregator seal the round again")]
    Noise {
        /// The seed's position.
        seed: usize,
    },
    /// Groups' cells that overlap, or are not in the study.
    #[error(
        "the cells of group {group} overlap those of another, or are beyond the study's; derive them from its layout"
    )]
    Cells {
        /// The group's position.
        group: usize,
    },
    /// Another number of seeds than the study has.
    #[error("{found} seeds where the study has {expected}; take the custodian's answer to this round")]
    Seeds {
        /// How many the study has.
        expected: usize,
        /// How many seeds were given.
        found: usize,
    },
    /// The custodian's answer is not as long as it must be.
    #[error("the custodian's answer has {found} bytes, not {expected}; have the ledger audited")]
    Disclosed {
        /// How many it must have.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A key is not what its hospital committed to.
    #[error(
        "a key of hospital {hospital} of the roster is not what it committed to on the ledger; have the ledger audited"
    )]
    Veil {
        /// The hospital's place in the roster, from 0.
        hospital: usize,
    },
    /// The veiled check cell does not hold the size of the roster.
    #[error(
        "the veiled check cell is wrong, so a hospital veiled its cells otherwise than it told the custodian; have the round \
         repeated"
    )]
    VeiledCheck,
    /// The joint ciphertext cannot be opened.
    #[error(transparent)]
    Opening(#[from] OpeningError),
}
