//! The integration tests of the ledger, one file per behaviour.

mod consensus;
