//! The cryptography of cells: how numbers of one hospital become part of a joint result, and nothing else.
//!
//! A *cell* is a signed 64-bit integer that adds up across hospitals. A hospital's cells go through
//!
//! 1. [`blinding`]: masks shared with each other hospital of the roster are added and subtracted, so that only the sum
//!    over the whole roster means anything;
//! 2. [`encoding`]: each blinded cell, and a last *check cell* that holds 1, is cut into 16-bit limbs with room above
//!    for the limbs of 1,024 hospitals and room below for noise;
//! 3. [`encryption`]: the limbs are encrypted under the researcher's [`StudyPublicKey`] ([`keys`]), by a seed that shows others how it was
//!    done ([`form`]).
//!
//! Anyone adds such [`EncryptedCells`] ([`ciphertext`]) without any key; the researcher opens the sum ([`opening`]).
//! [`contribution`] holds the three steps of the flow, and is where to start reading:
//!
//! ```
//! use consilium_engine::cells::{
//!     Blinds, BlindingRound, BlindingRoster, PairSecrets, StudySecretKey, combine, contribute, open,
//! };
//! use consilium_protocol::ids::{HospitalId, LedgerId, RoundNumber, StudyId};
//! use consilium_protocol::pairing::PairSecret;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (secret_key, public_key) = StudySecretKey::generate()?;
//! let hospitals = [1, 2, 3].map(|n| HospitalId::from_public_key([n; 32]));
//! let roster = BlindingRoster::new(hospitals.to_vec())?;
//! let ledger = LedgerId::from_bytes([8; 32]);
//! let study = StudyId::from_bytes([7; 32]);
//! let round = BlindingRound { ledger: &ledger, study, round: RoundNumber::new(0), roster: &roster };
//!
//! // In earnest, two hospitals make a secret of their own (`consilium_protocol::pairing`).
//! let secrets: PairSecrets = hospitals.iter().map(|id| (*id, PairSecret::from_bytes([9; 32]))).collect();
//! let mut contributions = Vec::new();
//! for id in &hospitals {
//!     let blinds = Blinds::derive(&round, *id, &secrets, 2)?;
//!     contributions.push(contribute(&[12, -3], blinds, &public_key)?);
//! }
//! let opened = open(&combine(&contributions)?, &secret_key, roster.len())?;
//! assert_eq!((opened.len(), opened.hospitals()), (2, 3));
//! # Ok(())
//! # }
//! ```
//!
//! The opened values stay inside this crate until disclosure control has passed them. The argument for every step, the
//! noise budget and the byte tables are in `docs/cryptography.md`.

pub mod blinding;
pub mod ciphertext;
pub mod contribution;
pub mod encoding;
pub mod encryption;
mod fingerprint;
pub mod form;
pub(crate) mod format;
pub mod keys;
pub(crate) mod keystream;
pub mod noise;
pub mod opening;
pub(crate) mod parameters;
pub(crate) mod ring;
#[cfg(test)]
mod tests;

pub use blinding::{BlindingError, BlindingRoster, BlindingRound, Blinds, PairSecrets};
pub use ciphertext::EncryptedCells;
pub use contribution::{ContributionError, combine, contribute, contribute_by};
pub use fingerprint::KeyFingerprint;
pub use form::{EncryptionSeed, is_made_of};
pub use format::CiphertextError;
pub use keys::{StudyPublicKey, StudySecretKey};
pub use opening::{OpenedCells, OpeningError, open};

/// The fewest hospitals of a roster: one of two could subtract itself from the joint result.
pub const MIN_HOSPITALS: usize = 3;

/// The most hospitals of a roster: as many limbs as a plaintext slot can hold the sum of.
pub const MAX_HOSPITALS: usize = 1 << encoding::HEADROOM_BITS;

/// The most cells of a study, the check cell not counted: a ciphertext of 64 MiB.
pub const MAX_CELLS: usize = 1 << 20;
