//! End-to-end tests: real node processes, real keys, real ports on loopback.
//!
//! Each behaviour has a file; [`support`] sets up consortia. One test runs at a time: four nodes are load enough.

#![allow(unreachable_pub, reason = "modules of one test binary")]
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod approvals;
mod arranged;
mod bad_input;
mod canaries;
mod consents;
mod demo;
mod doctor;
mod down;
mod examined;
mod fhir;
mod forged;
mod guarded;
mod hostile;
mod isolation;
mod key_sets;
mod killed;
mod own_tables;
mod postgres;
mod signers;
mod slots;
mod small;
mod stolen;
mod strangers;
mod support;
mod synthea;
mod withheld;
mod words;
mod workers;
