//! The only thing that stands for a patient outside the hospital.

use std::fmt;
use std::io::Write as _;

use consilium_protocol::ids::SubjectId;
use consilium_protocol::keys::{NoRandomness, random_bytes};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The secret under which a hospital derives its patients' names on the ledger; erased from memory when dropped, never
/// printed.
///
/// `subject = HMAC-SHA256(secret, person_id in decimal)[..16]` (RFC 2104). Who destroys the secret makes every subject
/// of this hospital on the ledger meaningless; who learns it can find any patient whose `person_id` they can guess.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct LinkSecret([u8; 32]);

impl LinkSecret {
    /// A fresh secret.
    ///
    /// # Errors
    /// [`NoRandomness`] when the operating system refuses.
    pub fn generate() -> Result<Self, NoRandomness> {
        random_bytes().map(Self)
    }

    /// The secret that was stored as these bytes.
    pub const fn from_seed(seed: [u8; 32]) -> Self {
        Self(seed)
    }

    /// The bytes, to be stored where only the hospital's computing side can read them.
    pub const fn seed(&self) -> &[u8; 32] {
        &self.0
    }

    /// The subject of a patient whose key in the hospital's files is a number (OMOP's `person_id`).
    pub fn subject(&self, person_id: i64) -> SubjectId {
        // Twenty bytes hold any 64-bit number with its sign.
        let mut text = [0u8; 20];
        let mut rest = &mut text[..];
        // Cannot fail: the buffer is long enough.
        let _ = write!(rest, "{person_id}");
        let unused = rest.len();
        self.digest(&text[..20 - unused])
    }

    /// The subject of a patient whose key is a text; a number's decimal text gives the same as [`subject`](Self::subject).
    pub fn subject_of_text(&self, person_id: &str) -> SubjectId {
        self.digest(person_id.as_bytes())
    }

    /// Tells two secrets apart without keeping either.
    pub(crate) fn fingerprint(&self) -> SubjectId {
        self.digest(b"consilium/link-secret/fingerprint")
    }

    fn digest(&self, message: &[u8]) -> SubjectId {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(message);
        let digest = mac.finalize().into_bytes();
        let first = digest.first_chunk::<16>().expect("SHA-256 has 32 bytes");
        SubjectId::from_bytes(*first)
    }
}

impl fmt::Debug for LinkSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkSecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subject_is_the_keyed_digest_of_the_decimal_text() {
        let link = LinkSecret::from_seed([7; 32]);
        // python: hmac.new(b'\x07'*32, b'42', 'sha256').hexdigest()[:32]
        assert_eq!(link.subject(42).to_string(), "c375c508be09c2d7595d823c17883391");
        for id in [0, -1, 42, i64::MIN, i64::MAX] {
            assert_eq!(link.subject(id), link.subject_of_text(&id.to_string()));
        }
        assert_ne!(link.subject(42), LinkSecret::from_seed([8; 32]).subject(42));
    }

    #[test]
    fn the_secret_is_not_printed() {
        assert_eq!(format!("{:?}", LinkSecret::from_seed([0xAB; 32])), "LinkSecret(..)");
    }
}
