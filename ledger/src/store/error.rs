//! What can go wrong between a ledger and its disk.

use std::path::PathBuf;

use consilium_protocol::ids::Height;

use crate::block::BlockFault;
use crate::certificate::CertificateFault;
use crate::state::EntryError;

/// The ledger's store could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// Another process has the file open.
    #[error("{path} is open in another process; stop the other node of this directory first")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file is no ledger.
    #[error("{path} is not a ledger; check the configured directory, or move the file away to start anew")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file is of another format version.
    #[error("the ledger on disk is of format {found}, this program reads format {expected}; use a matching release")]
    Format {
        /// What the file is of.
        found: u32,
        /// What this program reads.
        expected: u32,
    },
    /// The file is another consortium's ledger.
    #[error(
        "the ledger on disk is of chain `{found}`, the genesis file of `{expected}`; check the directory and the file"
    )]
    OtherChain {
        /// The file's chain.
        found: String,
        /// The genesis file's chain.
        expected: String,
    },
    /// The file was founded by another genesis file of the same chain id.
    #[error("the ledger on disk was founded by another genesis file; get the consortium's genesis file again")]
    OtherGenesis,
    /// Parts of the file contradict each other.
    #[error("the ledger on disk is damaged ({what}); move it away and restore it from another member's export")]
    Damaged {
        /// What contradicts.
        what: &'static str,
    },
    /// An entry of the state cannot be read.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The disk, or the file system, refused.
    #[error("the ledger's disk failed ({0}); check free space, permissions and health, then start the node again")]
    Storage(String),
    /// An earlier call failed on the disk: nothing is read or written until the program is started again.
    #[error("the ledger was closed after its disk failed ({0}); check the disk, then start the node again")]
    Poisoned(String),
    /// The block is not the next one.
    #[error(transparent)]
    Block(#[from] BlockFault),
    /// The certificate does not prove the block.
    #[error(transparent)]
    Certificate(#[from] CertificateFault),
    /// The certificate is about another block.
    #[error("the certificate at height {height} is about another block; fetch the block again from another member")]
    OtherCertificate {
        /// The block's height.
        height: Height,
    },
}

macro_rules! storage_errors {
    ($($error:ty),*) => {$(
        impl From<$error> for ChainError {
            fn from(error: $error) -> Self {
                Self::Storage(error.to_string())
            }
        }
    )*};
}

storage_errors!(
    redb::StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError,
    redb::SetDurabilityError,
    std::io::Error
);
