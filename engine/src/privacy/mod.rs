//! Private studies: joint statistics that would be nearly the same without any one patient.
//!
//! A study that asks for it states ρ, which the ledger takes from the budget of every hospital of the round
//! ([`consilium_protocol::privacy`]). Then
//!
//! 1. [`NoisePlan`] turns ρ into the noise of every cell, from the study alone, the same at every hospital;
//! 2. each hospital clamps ([`crate::statistics::compute`]) and then adds its share of the noise
//!    ([`NoisePlan::apply`]), before its cells are blinded: nobody ever sees cells without noise, and the shares of
//!    more than half of the roster suffice;
//! 3. the researcher reads the opened sums with their errors ([`NoisyBundle`]).
//!
//! [`expected_errors`] says beforehand what a ρ is good for, [`epsilon`](fn@epsilon) what it is in ε and δ. The promise,
//! its formulas and its limits in words: `docs/privacy.md`.

mod calibration;
mod epsilon;
mod error;
mod estimate;
mod expect;
mod plan;
mod source;

pub use epsilon::{delta, epsilon, epsilon_simple};
pub use error::PrivacyError;
pub use estimate::{NoisyBundle, NoisyEstimate};
pub use expect::{ExpectedError, expected_errors};
pub use plan::NoisePlan;
pub use source::fresh_randomness;
