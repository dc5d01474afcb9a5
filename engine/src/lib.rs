//! What a hospital computes, and what it lets out.
//!
//! Start at [`cells`]: the cryptography that makes a hospital's numbers part of a joint result without anyone seeing
//! them.

pub mod cells;
pub mod cohort;
pub mod disclosure;
pub mod gate;
pub mod guard;
pub mod privacy;
pub mod pseudonym;
pub mod rerun;
pub mod result;
pub mod statistics;
pub mod store;
pub mod worker;
