//! Domain-separated SHA-256 (FIPS 180-4): every digest of this crate starts with a label of its own, so that bytes
//! hashed for one purpose never stand for another.

use sha2::{Digest, Sha256};

/// SHA-256 over the label and each part, all preceded by their length as a little-endian `u64`.
pub fn tagged(label: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in std::iter::once(label.as_bytes()).chain(parts.iter().copied()) {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Plain SHA-256 of some content, as `sha256sum` computes it.
pub fn content(bytes: &[u8]) -> crate::ids::ContentHash {
    crate::ids::ContentHash::from_bytes(Sha256::digest(bytes).into())
}
