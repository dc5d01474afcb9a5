//! Tables in a PostgreSQL database, read over its own protocol.
//!
//! A study sees one moment: a transaction that only reads, whose snapshot all connections share ([`moment`]). Rows come as
//! binary COPY, a few pages of a table at a time ([`copy`], [`decode`]), and from there on are what a file's would be: the gate
//! stands above them, and is the authority. Of a study's filters the server is given those that cannot fail, and only on whole
//! numbers and days ([`filter`]).
//!
//! ```text
//!  config, url, access ──► dial ──► tls, login ──► connection ──► catalog, role ──► open: which columns can be read
//!                                                │
//!                                                └──► moment ──► scan (for the gate alone)
//!                                                       └── copy ──► decode ──► edge, as of a file
//! ```
//!
//! Errors are this program's own ([`DatabaseError`]): what the server says may quote rows.

mod access;
#[cfg(feature = "postgres")]
mod catalog;
mod config;
#[cfg(feature = "postgres")]
mod connection;
#[cfg(feature = "postgres")]
mod copy;
#[cfg(feature = "postgres")]
mod decode;
mod dial;
mod error;
#[cfg(feature = "postgres")]
mod filter;
#[cfg(feature = "postgres")]
mod key;
#[cfg(feature = "postgres")]
mod login;
#[cfg(feature = "postgres")]
mod moment;
#[cfg(feature = "postgres")]
mod numeric;
#[cfg(feature = "postgres")]
mod open;
#[cfg(feature = "postgres")]
mod parts;
#[cfg(feature = "postgres")]
mod role;
#[cfg(feature = "postgres")]
mod scan;
#[cfg(feature = "postgres")]
mod shape;
#[cfg(feature = "postgres")]
mod state;
#[cfg(feature = "postgres")]
mod tls;
mod url;

pub use access::{Access, PASSWORD};
pub use config::{ConfigError, DatabaseConfig, Tls};
pub use dial::{Dial, Direct, Socket, connect};
pub use error::DatabaseError;
pub use url::{DatabaseUrl, Host, UrlError};

#[cfg(feature = "postgres")]
pub(crate) use catalog::Relation;
#[cfg(feature = "postgres")]
pub(crate) use moment::Moment;
#[cfg(feature = "postgres")]
pub(super) use open::{Database, Opened, open};
#[cfg(feature = "postgres")]
pub(super) use scan::plan;

/// How the server writes what no measured number is: of every version, and of `numeric` as of doubles.
#[cfg(feature = "postgres")]
const NO_NUMBERS: &str = "('NaN', 'Infinity', '-Infinity')";

/// The condition that a day or moment of a type is one: within the years 0001 to 9999.
#[cfg(feature = "postgres")]
fn within(name: &str, of: &str) -> String {
    let of = format!("pg_catalog.{of}");
    format!("{name} >= '0001-01-01'::{of} AND {name} < '10000-01-01'::{of}")
}

/// A name as SQL writes it, whatever is in it.
#[cfg(feature = "postgres")]
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as SQL writes it, whatever is in it.
#[cfg(feature = "postgres")]
fn literal(text: &str) -> String {
    // Whatever `standard_conforming_strings` says.
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}
