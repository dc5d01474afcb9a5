//! Domain-separated SHA-256 (FIPS 180-4): every digest of this crate starts with a label of its own, so that bytes
//! hashed for one purpose never stand for another.

use sha2::{Digest, Sha256};

/// SHA-256 over the label and each part, all preceded by their length as a little-endian `u64`.
pub fn tagged(label: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Tagged::new(label);
    parts.iter().for_each(|part| hasher.part(part));
    hasher.finish()
}

/// As [`tagged`], of parts that come one after the other.
#[derive(Clone, Debug)]
pub struct Tagged(Sha256);

impl Tagged {
    /// Begins with the label.
    pub fn new(label: &str) -> Self {
        let mut hasher = Self(Sha256::new());
        hasher.part(label.as_bytes());
        hasher
    }

    /// Goes on with a part.
    pub fn part(&mut self, part: &[u8]) {
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    /// The digest.
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// Plain SHA-256 of some content, as `sha256sum` computes it.
pub fn content(bytes: &[u8]) -> crate::ids::ContentHash {
    crate::ids::ContentHash::from_bytes(Sha256::digest(bytes).into())
}
