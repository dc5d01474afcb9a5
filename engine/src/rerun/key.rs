//! The key of a hospital's memory, and what can be wrong with what it encrypted.

use std::fmt;
use std::io;

use consilium_protocol::keys::{NoRandomness, random_bytes};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The version of a memory's format.
pub(super) const VERSION: u16 = 1;

/// Why bytes are no memory of cohorts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryFormatError {
    /// The first bytes are not those of a memory.
    #[error("this is no memory of contributed cohorts; restore it and its key from one backup")]
    Magic,
    /// Another version of the format.
    #[error("the memory of contributed cohorts has format version {found}, this program reads {VERSION}; update it")]
    Version {
        /// The version found.
        found: u16,
    },
    /// It does not decrypt: another key, or changed or cut bytes.
    #[error(
        "the memory of contributed cohorts is damaged, or was encrypted with another key; restore both from one backup, and \
         contribute to nothing before"
    )]
    Unauthentic,
    /// It decrypts, but is not what this program writes.
    #[error("the memory of contributed cohorts contradicts itself; restore it from a backup, and report this error")]
    Malformed,
    /// The bytes cannot be read.
    #[error("the memory of contributed cohorts cannot be read: {0}; look at the disk, then try again")]
    Unreadable(io::ErrorKind),
}

impl From<io::Error> for MemoryFormatError {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error.kind())
    }
}

/// The key that a hospital's memory is encrypted with; erased from memory when dropped, never printed.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct MemoryKey([u8; 32]);

impl MemoryKey {
    /// A fresh key.
    ///
    /// # Errors
    /// [`NoRandomness`] when the operating system refuses.
    pub fn generate() -> Result<Self, NoRandomness> {
        random_bytes().map(Self)
    }

    /// The key that was stored as these bytes.
    pub const fn from_seed(seed: [u8; 32]) -> Self {
        Self(seed)
    }

    /// The bytes, to be stored where only the hospital's computing side can read them.
    pub const fn seed(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for MemoryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryKey(..)")
    }
}
