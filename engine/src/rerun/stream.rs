//! A file of any length, encrypted in chunks, so that it is never in memory as a whole.
//!
//! Source: V. T. Hoang, R. Reyhanitabar, P. Rogaway, D. Vizár, "Online Authenticated-Encryption and its Nonce-Reuse
//! Misuse-Resistance", CRYPTO 2015, section 7: STREAM. The nonce of a chunk is a prefix, its number and whether it is the
//! last, so that chunks can neither change places nor be cut off.

use std::io::{self, BufRead, Read as _, Write};

use aead_stream::{NewStream as _, StreamBE32, StreamPrimitive as _};
use chacha20poly1305::{Key, XChaCha20Poly1305};
use zeroize::Zeroizing;

use super::key::{MemoryFormatError, MemoryKey};

/// Bytes of a chunk, before its tag.
const CHUNK: usize = 1 << 16;
const TAG: usize = 16;
/// Bytes of a nonce's prefix.
pub(super) const PREFIX: usize = 19;

type Cipher = StreamBE32<XChaCha20Poly1305>;

/// The chunks of one file, with the number of the next.
struct Chunks {
    cipher: Cipher,
    associated: &'static [u8],
    next: u32,
    chunk: Zeroizing<Vec<u8>>,
}

impl Chunks {
    fn new(key: &MemoryKey, prefix: [u8; PREFIX], associated: &'static [u8]) -> Self {
        let cipher = Cipher::new(&Key::from(*key.seed()), &prefix.into());
        Self { cipher, associated, next: 0, chunk: Zeroizing::new(Vec::with_capacity(CHUNK + TAG)) }
    }
}

/// Encrypts what is written to it.
pub(super) struct Sealing<W> {
    chunks: Chunks,
    to: W,
}

impl<W: Write> Sealing<W> {
    /// Every file needs a prefix of its own. `associated` is not encrypted, and vouched for by each chunk.
    pub(super) fn new(key: &MemoryKey, prefix: [u8; PREFIX], associated: &'static [u8], to: W) -> Self {
        Self { chunks: Chunks::new(key, prefix, associated), to }
    }

    pub(super) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.chunks.chunk.len() == CHUNK {
                self.seal(false)?;
            }
            let (now, rest) = bytes.split_at(bytes.len().min(CHUNK - self.chunks.chunk.len()));
            self.chunks.chunk.extend_from_slice(now);
            bytes = rest;
        }
        Ok(())
    }

    /// Writes the last chunk. Without it nobody can read the file.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.seal(true)?;
        self.to.flush()
    }

    fn seal(&mut self, is_last: bool) -> io::Result<()> {
        let Chunks { cipher, associated, next, chunk } = &mut self.chunks;
        cipher
            .encrypt_in_place(*next, is_last, associated, &mut **chunk)
            .map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        self.to.write_all(chunk)?;
        chunk.clear();
        *next = next.checked_add(1).ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(())
    }
}

/// Decrypts what it reads, and gives nothing of a chunk that is not authentic.
pub(super) struct Opening<R> {
    chunks: Chunks,
    from: R,
    /// Where in the chunk what is not yet read begins.
    at: usize,
    was_last: bool,
}

impl<R: BufRead> Opening<R> {
    pub(super) fn new(key: &MemoryKey, prefix: [u8; PREFIX], associated: &'static [u8], from: R) -> Self {
        Self { chunks: Chunks::new(key, prefix, associated), from, at: 0, was_last: false }
    }

    /// The next bytes; what ends before is [`MemoryFormatError::Malformed`].
    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], MemoryFormatError> {
        let mut taken = [0; N];
        let mut filled = 0;
        while filled < N {
            if !self.is_more()? {
                return Err(MemoryFormatError::Malformed);
            }
            let rest = &self.chunks.chunk[self.at..];
            let now = rest.len().min(N - filled);
            taken[filled..filled + now].copy_from_slice(&rest[..now]);
            (self.at, filled) = (self.at + now, filled + now);
        }
        Ok(taken)
    }

    /// Whether anything is left, up to the end of the last chunk.
    pub(super) fn is_more(&mut self) -> Result<bool, MemoryFormatError> {
        while self.at == self.chunks.chunk.len() {
            if self.was_last {
                return Ok(false);
            }
            self.open()?;
        }
        Ok(true)
    }

    fn open(&mut self) -> Result<(), MemoryFormatError> {
        let Chunks { cipher, associated, next, chunk } = &mut self.chunks;
        chunk.clear();
        self.from.by_ref().take((CHUNK + TAG) as u64).read_to_end(chunk)?;
        self.was_last = self.from.fill_buf()?.is_empty();
        cipher
            .decrypt_in_place(*next, self.was_last, associated, &mut **chunk)
            .map_err(|_| MemoryFormatError::Unauthentic)?;
        *next = next.checked_add(1).ok_or(MemoryFormatError::Unauthentic)?;
        self.at = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASSOCIATED: &[u8] = b"of this file";

    fn key() -> MemoryKey {
        MemoryKey::from_seed([7; 32])
    }

    fn sealed(content: &[u8], parts: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut sealing = Sealing::new(&key(), [9; PREFIX], ASSOCIATED, &mut bytes);
        content.chunks(parts).for_each(|part| sealing.write(part).expect("a vector takes all"));
        sealing.finish().expect("a vector takes all");
        bytes
    }

    fn opened(bytes: &[u8], prefix: u8) -> Result<Vec<u8>, MemoryFormatError> {
        let mut opening = Opening::new(&key(), [prefix; PREFIX], ASSOCIATED, bytes);
        let mut content = Vec::new();
        while opening.is_more()? {
            content.extend(opening.take::<1>()?);
        }
        Ok(content)
    }

    #[test]
    fn what_is_sealed_is_opened_at_any_length() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 5] {
            let content: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let bytes = sealed(&content, 7_001);
            assert_eq!(bytes.len(), length + TAG * length.div_ceil(CHUNK).max(1));
            assert_eq!(bytes, sealed(&content, length.max(1)), "in whichever parts it comes");
            assert_eq!(opened(&bytes, 9), Ok(content));
        }
    }

    #[test]
    fn a_chunk_is_encrypted_under_its_number_and_whether_it_is_the_last() {
        use chacha20poly1305::XNonce;
        use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};

        let content = [5; CHUNK + 3];
        let cipher = XChaCha20Poly1305::new(&Key::from([7; 32]));
        let chunk = |end: [u8; 5], msg: &[u8]| {
            let nonce: [u8; 24] = [[9; PREFIX].as_slice(), &end].concat().try_into().expect("19 and 5 bytes");
            cipher.encrypt(&XNonce::from(nonce), Payload { msg, aad: ASSOCIATED }).expect("a chunk")
        };
        let expected = [chunk([0, 0, 0, 0, 0], &content[..CHUNK]), chunk([0, 0, 0, 1, 1], &content[CHUNK..])].concat();
        assert_eq!(sealed(&content, 1 << 20), expected);
    }

    #[test]
    fn chunks_keep_their_places_and_their_number() {
        let bytes = sealed(&[5; 3 * CHUNK], 1 << 20);
        let whole = CHUNK + TAG;
        let unauthentic = Err(MemoryFormatError::Unauthentic);
        // Cut off behind a chunk, and within one.
        assert_eq!(opened(&bytes[..2 * whole], 9), unauthentic);
        assert_eq!(opened(&bytes[..2 * whole + 9], 9), unauthentic);
        assert_eq!(opened(&[], 9), unauthentic);
        // One twice, two exchanged, and something behind the last.
        assert_eq!(opened(&[&bytes[..whole], &bytes].concat(), 9), unauthentic);
        assert_eq!(opened(&[&bytes[whole..2 * whole], &bytes[..whole], &bytes[2 * whole..]].concat(), 9), unauthentic);
        assert_eq!(opened(&[bytes.as_slice(), &[0]].concat(), 9), unauthentic);
        assert_eq!(opened(&bytes, 8), unauthentic, "of another file");
    }
}
