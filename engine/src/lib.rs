//! What a hospital computes, and what it lets out.
//!
//! | module | what |
//! |---|---|
//! | [`store`] | a hospital's tables, as they are opened |
//! | [`gate`] | which of their rows and columns consent opens |
//! | [`cohort`] | a study's query: what of SQL is taken, planned and run |
//! | [`statistics`] | what is counted and summed up over its rows |
//! | [`disclosure`] | what may be shown: within a study, across studies, of an opened result |
//! | [`cells`] | blinded and encrypted numbers, and their sum |
//! | [`guard`] | small counts, compared under encryption |
//! | [`privacy`] | noise |
//! | [`rerun`] | open studies that are too close to earlier ones |
//! | [`result`] | an opened result, checked |
//! | [`pseudonym`] | patients' names on the ledger |
//! | [`worker`] | the process that does it |
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
