//! Consilium, the program: hospitals answer a researcher's question together, without any of them, or the researcher,
//! ever seeing another's patients, or another hospital's numbers.
//!
//! The crates below know nothing of each other: `consilium-ledger` is what the consortium agreed on,
//! `consilium-engine` what a hospital computes, `consilium-protocol` what parties say to each other. This crate wires
//! them:
//!
//! - [`cli`]: the command line, one file per command;
//! - [`node`]: a hospital's node, where ledger and engine meet;
//! - [`worker`]: the process of its own in which queries run, from both sides;
//! - [`net`]: TLS pinned to the genesis file, and the client;
//! - [`home`]: keys, configuration and state on disk;
//! - [`demo`]: all of it at once, on one machine.
//!
//! Start with [`node`].

#![allow(unreachable_pub, reason = "what is public within a private module is public to its siblings")]

pub mod cli;
pub mod demo;
pub mod home;
pub mod net;
pub mod node;
pub mod vocabulary;
pub mod worker;

// The ledger's own test fixture; it sees that crate from outside.
#[cfg(test)]
#[allow(dead_code, reason = "shared: each user needs a part of it")]
#[path = "../ledger/src/testing.rs"]
mod testing;
