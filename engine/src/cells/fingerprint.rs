//! Names of public keys.

use std::fmt;

use consilium_protocol::hash::tagged;

/// What tells the public keys of two studies apart: the first 16 bytes of a digest of the key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyFingerprint([u8; 16]);

impl KeyFingerprint {
    /// That of a public key's bytes.
    pub(super) fn of(public_key: &[u8]) -> Self {
        let digest = tagged("consilium/study-public-key/v1", &[public_key]);
        Self(std::array::from_fn(|i| digest[i]))
    }

    pub(crate) const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for KeyFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
