//! Consilium, the program: hospitals answer a researcher's question together, without any of them, or the researcher,
//! ever seeing another's patients, or another hospital's numbers.
//!
//! The crates below know nothing of each other: `consilium-ledger` is what the consortium agreed on,
//! `consilium-engine` what a hospital computes, `consilium-protocol` what parties say to each other. This crate wires
//! them, in rooms that know only those below:
//!
//! ```text
//!            cli, demo
//!                │
//!               node  puts together, serves
//!                │
//!             studies  what the hospital owes, and does
//!            ╱       ╲
//!       vault         replica
//!  keys and secrets   the ledger, and the way to others
//!       ╱   ╲            │
//!    home   worker      net
//! ```
//!
//! - [`cli`]: the command line, one file per command;
//! - [`demo`]: all of it at once, on one machine;
//! - [`node`]: a hospital's node: what is put together, and the services around it;
//! - [`studies`]: from what the ledger says to what is asked of the vault, and back;
//! - [`vault`]: secrets and computing, without ledger and network;
//! - [`worker`]: the process of its own in which tables are read and queries run, from both sides;
//! - [`replica`]: the ledger as this hospital has it, and the other members;
//! - [`net`]: TLS pinned to the genesis file, and the client;
//! - [`home`]: keys, configuration and state on disk;
//! - [`words`]: consents in plain words, in the reader's language;
//! - [`vocabulary`]: the diseases that consents and studies name.
//!
//! Start with [`studies`].

#![allow(unreachable_pub, reason = "what is public within a private module is public to its siblings")]

pub mod cli;
pub mod demo;
pub mod home;
pub mod net;
pub mod node;
pub mod replica;
pub mod studies;
pub mod vault;
pub mod vocabulary;
pub mod words;
pub mod worker;

#[cfg(test)]
mod rooms;

// The ledger's own test fixture; it sees that crate from outside.
#[cfg(test)]
#[allow(dead_code, reason = "shared: each user needs a part of it")]
#[path = "../ledger/src/testing.rs"]
mod testing;
