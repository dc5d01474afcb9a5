//! The bytes of a memory.
//!
//! ```text
//! offset  bytes  field
//!      0      8  magic: `csl-coho`
//!      8      2  version, 1
//!     10     24  nonce, random
//!     34      …  XChaCha20-Poly1305 of what follows, with the first 10 bytes as associated data; ends in a tag of 16
//!
//!   what it encrypts
//!             4  number of subjects; then of each 16 bytes, in the order of their places
//!             4  number of cohorts; then of each
//!             4    number of words, the last of them not 0
//!             8    each word: the bits of 64 places, lowest first
//!             4  number of contributions; then of each
//!            32    study
//!             4    round
//!             1    0 pending, 1 released
//!             4    position of the cohort
//!            32    what stands for the hospitals that took part
//!            32    what stands for what the patients allowed to be read
//! ```
//!
//! All numbers are little-endian. What does not decrypt, or is not exactly this, is refused as a whole.
//!
//! Source: S. Arciszewski, "XChaCha: eXtended-nonce ChaCha and AEAD_XChaCha20_Poly1305", draft-irtf-cfrg-xchacha-03; its
//! nonces are long enough to be drawn at random for every save.

use std::collections::BTreeSet;
use std::fmt;

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use consilium_protocol::ids::{ContentHash, RoundNumber, StudyId, SubjectId};
use consilium_protocol::keys::{NoRandomness, random_bytes};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::closeness::Bits;
use super::memory::{Basis, CohortMemory, Entry, Standing, sorted};

const MAGIC: &[u8; 8] = b"csl-coho";
const VERSION: u16 = 1;
const ASSOCIATED: usize = 10;
const HEADER: usize = 34;

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
    /// No nonce.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
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

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&Key::from(self.0))
    }
}

impl fmt::Debug for MemoryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryKey(..)")
    }
}

impl CohortMemory {
    /// The memory, encrypted, to replace the earlier file as a whole.
    ///
    /// # Errors
    /// [`MemoryFormatError::NoRandomness`].
    pub fn to_bytes(&self, key: &MemoryKey) -> Result<Vec<u8>, MemoryFormatError> {
        let random = random_bytes()?;
        let nonce = random.first_chunk::<24>().expect("32 bytes begin with 24");
        Ok(self.sealed(key, *nonce))
    }

    fn sealed(&self, key: &MemoryKey, nonce: [u8; 24]) -> Vec<u8> {
        // Encrypted where it is written: it is large, and a copy would be as large again.
        let mut bytes = self.encoded(&[MAGIC.as_slice(), &VERSION.to_le_bytes(), &nonce].concat());
        let (header, body) = bytes.split_at_mut(HEADER);
        let tag = key.cipher().encrypt_inout_detached(&XNonce::from(nonce), &header[..ASSOCIATED], body.into());
        bytes.extend_from_slice(&tag.expect("a memory is shorter than 256 GiB"));
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`MemoryFormatError`]; then nothing of the bytes is believed.
    pub fn from_bytes(key: &MemoryKey, bytes: &[u8]) -> Result<Self, MemoryFormatError> {
        let header = bytes.first_chunk::<HEADER>().ok_or(MemoryFormatError::Magic)?;
        if !header.starts_with(MAGIC) {
            return Err(MemoryFormatError::Magic);
        }
        let found = u16::from_le_bytes([header[8], header[9]]);
        if found != VERSION {
            return Err(MemoryFormatError::Version { found });
        }
        let (body, tag) = bytes[HEADER..].split_last_chunk::<16>().ok_or(MemoryFormatError::Unauthentic)?;
        let nonce = header[ASSOCIATED..].try_into().map_err(|_| MemoryFormatError::Magic)?;
        let mut body = Zeroizing::new(body.to_vec());
        key.cipher()
            .decrypt_inout_detached(&nonce, &header[..ASSOCIATED], body.as_mut_slice().into(), &(*tag).into())
            .map_err(|_| MemoryFormatError::Unauthentic)?;
        decoded(&body).ok_or(MemoryFormatError::Malformed)
    }

    /// What is encrypted, after a header.
    fn encoded(&self, header: &[u8]) -> Vec<u8> {
        // As many as there are subjects fit 32 bits, and there are not more words, nor, by far, cohorts.
        let number = |count: usize| (count as u32).to_le_bytes();
        let words: usize = self.cohorts.iter().map(Vec::len).sum();
        let mut bytes = Vec::with_capacity(128 + 16 * self.subjects.len() + 12 * words + 105 * self.entries.len());
        bytes.extend_from_slice(header);
        bytes.extend(number(self.subjects.len()));
        self.subjects.iter().for_each(|subject| bytes.extend_from_slice(subject.as_bytes()));
        bytes.extend(number(self.cohorts.len()));
        for cohort in &self.cohorts {
            bytes.extend(number(cohort.len()));
            cohort.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
        }
        bytes.extend(number(self.entries.len()));
        for entry in &self.entries {
            bytes.extend_from_slice(entry.study.as_bytes());
            bytes.extend(entry.round.get().to_le_bytes());
            bytes.push(u8::from(entry.standing == Standing::Released));
            bytes.extend(number(entry.cohort));
            bytes.extend_from_slice(entry.basis.roster.as_bytes());
            bytes.extend_from_slice(entry.basis.terms.as_bytes());
        }
        bytes
    }
}

/// Bytes not yet read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    /// A number of things, each of so many bytes or more, that the rest has room for.
    fn count(&mut self, each: usize) -> Option<usize> {
        let count = u32::from_le_bytes(self.take()?) as usize;
        (count <= self.0.len() / each).then_some(count)
    }
}

fn decoded(bytes: &[u8]) -> Option<CohortMemory> {
    let mut rest = Rest(bytes);
    let subjects: Vec<SubjectId> =
        (0..rest.count(16)?).map(|_| rest.take().map(SubjectId::from_bytes)).collect::<Option<_>>()?;
    let mut cohorts: Vec<Bits> = Vec::new();
    for _ in 0..rest.count(4)? {
        let words = rest.count(8)?;
        cohorts.push((0..words).map(|_| rest.take().map(u64::from_le_bytes)).collect::<Option<_>>()?);
    }
    let mut entries = Vec::new();
    for _ in 0..rest.count(105)? {
        let study = StudyId::from_bytes(rest.take()?);
        let round = RoundNumber::new(u32::from_le_bytes(rest.take()?));
        let standing = match rest.take()? {
            [0] => Standing::Pending,
            [1] => Standing::Released,
            _ => return None,
        };
        let cohort = u32::from_le_bytes(rest.take()?) as usize;
        let roster = ContentHash::from_bytes(rest.take()?);
        let basis = Basis { roster, terms: ContentHash::from_bytes(rest.take()?) };
        entries.push(Entry { study, round, standing, cohort, basis });
    }
    let memory = CohortMemory { sorted: sorted(&subjects), subjects, cohorts, entries };
    (rest.0.is_empty() && is_consistent(&memory)).then_some(memory)
}

fn is_consistent(memory: &CohortMemory) -> bool {
    let CohortMemory { subjects, sorted, cohorts, entries } = memory;
    let distinct = sorted.windows(2).all(|pair| subjects[pair[0] as usize] != subjects[pair[1] as usize]);
    let fits = |cohort: &Bits| {
        cohort
            .last()
            .is_none_or(|last| *last != 0 && cohort.len() * 64 - last.leading_zeros() as usize <= subjects.len())
    };
    let used: BTreeSet<usize> = entries.iter().map(|entry| entry.cohort).collect();
    let rounds: BTreeSet<(StudyId, RoundNumber)> = entries.iter().map(|entry| (entry.study, entry.round)).collect();
    let different = cohorts.iter().collect::<BTreeSet<_>>().len() == cohorts.len();
    distinct
        && cohorts.iter().all(fits)
        && used.into_iter().eq(0..cohorts.len())
        && rounds.len() == entries.len()
        && different
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rerun::SubjectSet;

    fn subject(number: u8) -> SubjectId {
        SubjectId::from_bytes([number; 16])
    }

    fn study(number: u8) -> StudyId {
        StudyId::from_bytes([number; 32])
    }

    const BASIS: Basis =
        Basis { roster: ContentHash::from_bytes([0xCC; 32]), terms: ContentHash::from_bytes([0xDD; 32]) };

    fn memory() -> CohortMemory {
        let mut memory = CohortMemory::new();
        let round = RoundNumber::new;
        let first: SubjectSet = [2, 1].map(subject).into_iter().collect();
        memory.contribute(study(0xA1), round(0), &BASIS, &first, 2).expect("the first");
        assert!(memory.released(study(0xA1), round(0)));
        let second: SubjectSet = [3, 4, 2].map(subject).into_iter().collect();
        memory.contribute(study(0xB2), round(7), &BASIS, &second, 2).expect("three apart");
        memory
    }

    #[test]
    fn what_is_encrypted_has_these_bytes() {
        let expected = [
            "04000000".to_string(),
            "01".repeat(16) + &"02".repeat(16) + &"03".repeat(16) + &"04".repeat(16),
            "02000000".to_string(),
            "01000000".to_string() + "0300000000000000",
            "01000000".to_string() + "0e00000000000000",
            "02000000".to_string(),
            "a1".repeat(32) + "00000000" + "01" + "00000000" + &"cc".repeat(32) + &"dd".repeat(32),
            "b2".repeat(32) + "07000000" + "00" + "01000000" + &"cc".repeat(32) + &"dd".repeat(32),
        ];
        assert_eq!(hex::encode(memory().encoded(&[])), expected.concat());
        assert_eq!(decoded(&memory().encoded(&[])), Some(memory()));
    }

    #[test]
    fn the_empty_memory_has_these_bytes() {
        let sealed = CohortMemory::new().sealed(&MemoryKey::from_seed([7; 32]), [9; 24]);
        assert_eq!(hex::encode(&sealed), GOLDEN);
        let read = CohortMemory::from_bytes(&MemoryKey::from_seed([7; 32]), &sealed);
        assert_eq!(read, Ok(CohortMemory::new()));
    }

    const GOLDEN: &str = "63736c2d636f686f0100090909090909090909090909090909090909090909090909be72e28a7caa7962f412083cf2c182f12508fbfd4a786a0201f8ea40";

    #[test]
    fn each_flipped_byte_and_each_cut_is_found() {
        let key = MemoryKey::from_seed([7; 32]);
        let bytes = memory().to_bytes(&key).expect("randomness");
        assert_eq!(CohortMemory::from_bytes(&key, &bytes), Ok(memory()));
        for position in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[position] ^= 1;
            assert!(CohortMemory::from_bytes(&key, &flipped).is_err(), "byte {position}");
            assert!(CohortMemory::from_bytes(&key, &bytes[..position]).is_err(), "cut at {position}");
        }
        let other = MemoryKey::from_seed([8; 32]);
        assert_eq!(CohortMemory::from_bytes(&other, &bytes), Err(MemoryFormatError::Unauthentic));
        let mut newer = bytes.clone();
        newer[8] = 2;
        assert_eq!(CohortMemory::from_bytes(&key, &newer), Err(MemoryFormatError::Version { found: 2 }));
        assert_eq!(CohortMemory::from_bytes(&key, b"csl-cell"), Err(MemoryFormatError::Magic));
        assert_ne!(memory().to_bytes(&key).expect("randomness"), bytes, "a nonce is used once");
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let good = memory().encoded(&[]);
        // A subject twice; a number of words without room; a patient without a place; a last word of 0; the same cohort
        // twice; a cohort nobody contributed; no such cohort; no such standing; the same round twice; a number of
        // subjects without room.
        let end = good.len();
        let changes = [
            (4, 2),
            (84, 0x1F),
            (88, 0x1E),
            (88, 0),
            (88, 3),
            (end - 68, 0),
            (end - 68, 2),
            (end - 69, 2),
            (end - 105, 0xA1),
            (3, 0xFF),
        ];
        for (position, value) in changes {
            let mut bytes = good.clone();
            if position == 4 {
                bytes[4..20].fill(value);
            } else if position == good.len() - 105 {
                bytes[position..position + 32].fill(value);
                bytes[position + 32] = 0;
            } else {
                bytes[position] = value;
            }
            assert_ne!(bytes, good, "{position}");
            assert_eq!(decoded(&bytes), None, "{value} at {position}");
        }
        assert_eq!(decoded(&[good.as_slice(), &[0]].concat()), None);
        assert!(decoded(&good).is_some());
    }

    #[test]
    fn secrets_are_not_printed() {
        assert_eq!(format!("{:?} {:?}", MemoryKey::from_seed([7; 32]), memory()), "MemoryKey(..) CohortMemory(..)");
    }
}
