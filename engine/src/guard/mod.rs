//! A guarded study's threshold under encryption: small joint counts are suppressed before anyone could see them.
//!
//! Two hospitals of the roster have parts of their own: the *custodian* owns a key pair, the *aggregator* computes with
//! its server key ([`keys`], [`server_key`]). [`shape`] says which groups of subjects are compared, what is small, and which
//! *seeds* are sealed by what comes of it; every group of cells is padded by one of these. A round goes
//!
//! 1. every hospital caps, blinds and encrypts its counts under the custodian's key ([`contribution`]), beside the cells
//!    it sends under the researcher's, over which it lays veils that the custodian alone can have taken off ([`veil`]);
//! 2. the aggregator adds them, decides about every group under encryption, and seals random seeds, so that
//!    the custodian will find a seed where its groups may be seen and zero where not ([`aggregator`]); with the seeds it
//!    pads the researcher's joint ciphertext ([`padding`]);
//! 3. the custodian opens the sealed seeds ([`custodian`]) and passes them to the researcher, with the keys of the veils over
//!    what passed ([`disclosed`]);
//! 4. the researcher takes off the pads and veils it has seeds and keys for, and opens those groups and no other ([`padding`]).
//!
//! ```no_run
//! # use consilium_engine::cells::{BlindingRound, EncryptedCells, PairSecrets, StudySecretKey};
//! # use consilium_engine::guard::*;
//! # use consilium_protocol::ids::HospitalId;
//! # fn round(round: BlindingRound<'_>, own: HospitalId, secrets: &PairSecrets, mut joint: EncryptedCells,
//! #     others: Vec<GuardContribution>, groups: &[Padded], researcher: &StudySecretKey, seeds_of_veils: &[(HospitalId, VeilSeed)],
//! # ) -> Result<(), GuardError> {
//! # let pad_round = PadRound { study: round.study, round: round.round };
//! let shape = GuardShape::new(4, Bar::of(11, 0, 4), vec![true; 2], Gates::independent(2))?;
//! let custodian = GuardKeys::generate()?;
//!
//! let blinds = GuardBlinds::derive(&round, own, secrets, &shape)?;
//! let mut contributions = vec![contribute(&[3, 120], &shape, blinds, &custodian.public)?];
//! contributions.extend(others);
//!
//! let server_key = GuardServerKey::from_bytes(&custodian.server)?;
//! let sum = combine(&contributions, &shape)?;
//! let SealedRound { sealed, seeds } = Aggregator::new(&shape, &server_key, &custodian.public)?.seal(&sum)?;
//! pad(&mut joint, groups, &seeds, &pad_round)?;
//!
//! let veils: Vec<Veils> =
//!     seeds_of_veils.iter().map(|(id, seed)| Veils::derive(seed, &round, *id, shape.seeds())).collect();
//! let disclosed = Disclosed::of(reveal(&sealed, &custodian.secret, &shape)?, &veils)?;
//! let opened = open_guarded(joint, researcher, shape.hospitals(), groups, &disclosed, &pad_round)?;
//! # let _ = opened;
//! # Ok(())
//! # }
//! ```
//!
//! The argument, the noise budget and what is not protected are in `docs/guard.md`.

pub mod aggregator;
mod bootstrap;
pub mod contribution;
pub mod custodian;
mod decide;
pub mod disclosed;
pub mod error;
pub mod keys;
pub mod noise;
pub mod padding;
mod parameters;
mod plan;
mod sample;
mod seal;
pub mod sealed;
pub mod seed;
pub mod server_key;
pub mod shape;
#[cfg(test)]
mod tests;
pub mod veil;
mod work;

pub use aggregator::{Aggregator, SealedRound};
pub use contribution::{GuardBlinds, GuardContribution, combine, contribute, contribute_at_most};
pub use custodian::{reveal, reveal_both};
pub use disclosed::Disclosed;
pub use error::GuardError;
pub use keys::{GuardKeys, GuardPublicKey, GuardSecretKey, KeySeed};
pub use padding::{GuardedCells, open_guarded, pad};
pub use sealed::SealedSeeds;
pub use seed::{PadRound, Padded, Seed};
pub use server_key::GuardServerKey;
pub use shape::{Bar, BitRef, Gate, Gates, GuardShape, ShapeError};
pub use veil::{VeilKey, VeilSeed, Veils, contribute_veiled};
pub use work::Progress;

/// The most groups that a guarded study compares, and the most seeds it seals: 400 MiB of them.
pub const MAX_GROUPS: usize = 1 << 15;

/// The most inputs of all conjunctions of a study together.
pub const MAX_GATE_INPUTS: usize = 1 << 20;
