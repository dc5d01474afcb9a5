//! Golden bytes of everything that this crate defines to be stored or sent, files that people write, and what consents open.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod consent;
mod duo;
mod fhir;
mod golden;
mod levels;
mod study_files;
mod terms;
mod vocabulary;
