//! Consents as HL7 FHIR has them: `consilium consent import`, `export`, `suspended` and `resume`.
//!
//! [`import`] reads files and asks [`persons`] whose each consent is. [`verdict`] says what is to become of one, and [`plan`]
//! of all, from the [`register`] of what became of them before; [`carry`] does it on the ledger, writing down in [`books`]
//! what it is about to do, and [`report`] tells.

mod books;
mod carry;
mod export;
mod import;
mod item;
mod persons;
mod plan;
mod register;
mod report;
mod suspended;
mod verdict;

pub(crate) use export::ExportArgs;
pub(crate) use export::run as export;
pub(crate) use import::ImportArgs;
pub(crate) use import::run as import;
pub(crate) use suspended::{ResumeArgs, list as suspended, resume};
