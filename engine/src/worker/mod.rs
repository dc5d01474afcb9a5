//! A process of its own for patients' rows.
//!
//! Queries are other people's, and what plans and runs them is large: it can need any memory and any time, and can panic. So
//! nothing of it happens in a node's process. The node starts a *worker*, which opens the tables, and asks it study by
//! study; it may kill it at any moment, and nothing but that study is lost.
//!
//! ```text
//!  node (keys, ledger, network)                    worker (tables, link secret)
//!     Start: version, store, link secret   ───→    restricts itself, opens the store
//!                                          ←───    Ready: what restricts it, what the store holds
//!     Subjects: all of them, 16 bytes each ───→    finds its people
//!                                          ←───    Enrolled
//!     Study: the spec, a class byte each,  ───→    plans, runs, counts
//!            what is remembered of others          holds it against those
//!                                          ←───    Counted: cells, a bit each, what to remember  │  Refused: why
//! ```
//!
//! Where the tables are in a database, the worker asks it itself, over sockets that the node connects and passes: it has no network
//! of its own.
//!
//! This module is what both sides say ([`Request`], [`Reply`], [`frame`]) and what the worker does about it ([`serve`]). It
//! starts no process and sets no limit: that is the program's. A `Start` without a store makes a worker that can only check
//! queries ([`Request::Check`]).
//!
//! [`Reply`] is the closed set of what leaves the worker. No row enters the node to be read: what is to be remembered of some is
//! bytes to it, which it encrypts and hands to the worker again.

mod desk;
pub mod frame;
mod probe;
mod reply;
mod request;
mod serve;
pub(crate) mod words;

pub use probe::Probe;
pub use reply::{Counted, Isolation, Refusal, Reply};
pub use request::{EarlierStudy, HeldAgainst, Request, Start, StudyJob};
pub use serve::serve;

/// Both sides must be of this version: they are the same program, except where its file was replaced in between.
pub const VERSION: u32 = 2;

#[cfg(all(test, unix))]
mod tests;
