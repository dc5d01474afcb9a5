//! What may be read, beside an oracle that asks one rule after another about one day after another.

mod against_oracle;
pub(crate) mod draw;
mod oracle;
mod properties;
pub(crate) mod world;
