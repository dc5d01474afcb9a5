//! Bytes that a hospital keeps for itself, encrypted with the key of its memory.
//!
//! ```text
//! offset  bytes  field
//!      0      8  magic: `csl-reme`
//!      8      2  version, 1
//!     10     24  nonce, random
//!     34      …  XChaCha20-Poly1305 of the bytes, with their context as associated data
//! ```

use chacha20poly1305::aead::{Aead, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use consilium_protocol::ids::{RoundNumber, StudyId};
use consilium_protocol::keys::{NoRandomness, random_bytes};
use zeroize::Zeroizing;

use super::key::{MemoryFormatError, MemoryKey};

/// Magic and version.
const HEADER: &[u8; 10] = b"csl-reme\x01\0";
const NONCE: usize = 24;

fn context(study: &StudyId, round: RoundNumber) -> Vec<u8> {
    [&HEADER[..], study.as_bytes(), &round.get().to_le_bytes()].concat()
}

impl MemoryKey {
    /// Encrypts what is remembered of a round.
    ///
    /// # Errors
    /// [`NoRandomness`] when the operating system refuses.
    pub fn seal(&self, study: &StudyId, round: RoundNumber, bytes: &[u8]) -> Result<Vec<u8>, NoRandomness> {
        let random: [u8; 32] = random_bytes()?;
        let nonce: [u8; NONCE] = *random.first_chunk().expect("32 bytes begin with 24");
        let cipher = XChaCha20Poly1305::new(&Key::from(*self.seed()));
        let payload = Payload { msg: bytes, aad: &context(study, round) };
        // Only bytes beyond 256 GiB cannot be encrypted.
        let sealed = cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| NoRandomness)?;
        Ok([&HEADER[..], &nonce, &sealed].concat())
    }

    /// Decrypts what [`seal`](Self::seal) encrypted for this round.
    ///
    /// # Errors
    /// [`MemoryFormatError`].
    pub fn open(
        &self,
        study: &StudyId,
        round: RoundNumber,
        bytes: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, MemoryFormatError> {
        let rest = bytes.strip_prefix(HEADER).ok_or(MemoryFormatError::Magic)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>().ok_or(MemoryFormatError::Magic)?;
        let cipher = XChaCha20Poly1305::new(&Key::from(*self.seed()));
        let payload = Payload { msg: sealed, aad: &context(study, round) };
        let opened = cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| MemoryFormatError::Unauthentic)?;
        Ok(Zeroizing::new(opened))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_opened_for_its_round_alone() {
        let (key, study, round) = (MemoryKey::from_seed([7; 32]), StudyId::from_bytes([1; 32]), RoundNumber::new(2));
        let sealed = key.seal(&study, round, b"rows").expect("randomness");
        assert_eq!(&*key.open(&study, round, &sealed).expect("the same"), b"rows");
        assert_ne!(sealed, key.seal(&study, round, b"rows").expect("randomness"));
        let unauthentic = Some(MemoryFormatError::Unauthentic);
        assert_eq!(key.open(&study, RoundNumber::new(3), &sealed).err(), unauthentic);
        assert_eq!(key.open(&StudyId::from_bytes([2; 32]), round, &sealed).err(), unauthentic);
        assert_eq!(MemoryKey::from_seed([8; 32]).open(&study, round, &sealed).err(), unauthentic);
        for at in 10..sealed.len() {
            let mut other = sealed.clone();
            other[at] ^= 1;
            assert_eq!(key.open(&study, round, &other).err(), unauthentic, "{at}");
        }
        assert_eq!(key.open(&study, round, &sealed[..33]).err(), Some(MemoryFormatError::Magic));
    }
}
