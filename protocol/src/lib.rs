//! What the parties of a Consilium consortium say to each other.
//!
//! This crate has no disk, no clock and no data engine: only names, meanings and byte strings.
//!
//! - [`ids`] names actors, subjects, studies and documents; [`keys`] signs; [`wallet`] holds a patient's keys.
//! - [`genesis`] founds a consortium, [`catalogue`] says which tables it has beside OMOP's; [`policy`] says what may be released, [`privacy`] counts what
//!   private studies lose.
//! - [`consent`] says what a patient allows, and decides what may be read.
//! - [`fhir`] reads and writes consents as HL7 FHIR has them.
//! - [`study`] says what a researcher asks for.
//! - [`sealing`] hides from all but one what travels between machines, [`pairing`] gives two hospitals a secret, both to keys
//!   of [`kem`]; [`lots`] are drawn, and cannot be chosen.
//! - [`tx`] is how any of this gets onto the ledger.
//! - [`wire`] is how machines talk: gRPC services and their messages.
//!
//! Start with [`tx::Payload`]: it lists everything that can happen.

pub mod catalogue;
pub mod consent;
pub mod fhir;
pub mod genesis;
pub mod hash;
pub mod ids;
pub mod kem;
pub mod keys;
pub mod lots;
pub mod pairing;
pub mod policy;
pub mod privacy;
pub mod sealing;
pub mod study;
pub mod tx;
pub mod wallet;
pub mod wire;
