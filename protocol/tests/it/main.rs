//! Golden bytes of everything that this crate defines to be stored or sent, and files that people write.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod consent;
mod fhir;
mod golden;
mod study_files;
