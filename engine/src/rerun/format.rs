//! The bytes of a memory.
//!
//! ```text
//! offset  bytes  field
//!      0      8  magic: `csl-coho`
//!      8      2  version, 1
//!     10     19  prefix of the nonces, random
//!     29      …  STREAM of XChaCha20-Poly1305 over what follows, with the first 10 bytes as associated data: chunks of
//!                65,536 bytes, the last of them shorter or as long, each followed by its tag of 16
//!
//!   what it encrypts
//!             4  number of contributions; then of each
//!            32    study
//!             4    round
//!             1    0 pending, 1 released
//!             4    position of the cohort
//!            32    what stands for the hospitals that took part
//!            32    what stands for what the patients allowed to be read
//!             4  number of cohorts; then of each
//!             4    number of words, the last of them not 0
//!             8    each word: the bits of 64 places, lowest first
//!             4  number of places; then of each, ascending
//!            16    its subject
//! ```
//!
//! All numbers are little-endian. What does not decrypt, or is not exactly this, is refused.
//!
//! Source: S. Arciszewski, "XChaCha: eXtended-nonce ChaCha and AEAD_XChaCha20_Poly1305", draft-irtf-cfrg-xchacha-03; what
//! it leaves of a nonce for the prefix, 152 bits, is long enough to be drawn at random for every save.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, BufRead, Write};

use consilium_protocol::ids::{ContentHash, RoundNumber, StudyId, SubjectId};
use consilium_protocol::keys::random_bytes;

use super::closeness::Bits;
use super::key::{MemoryFormatError, MemoryKey, VERSION};
use super::memory::{Basis, CohortMemory, Entry, Standing};
use super::stream::{Opening, PREFIX, Sealing};

const MAGIC: &[u8; 8] = b"csl-coho";
/// Magic and version.
const ASSOCIATED: &[u8; 10] = b"csl-coho\x01\0";
const HEADER: usize = ASSOCIATED.len() + PREFIX;

/// The subjects that are remembered, ascending, as a memory's file has them.
pub struct Known<R> {
    bytes: Opening<R>,
    left: u32,
    last: Option<SubjectId>,
}

impl<R> fmt::Debug for Known<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Known(..)")
    }
}

impl<R: BufRead> Known<R> {
    fn subject(&mut self) -> Result<Option<SubjectId>, MemoryFormatError> {
        if self.left == 0 {
            return if self.bytes.is_more()? { Err(MemoryFormatError::Malformed) } else { Ok(None) };
        }
        self.left -= 1;
        let subject = SubjectId::from_bytes(self.bytes.take()?);
        if self.last.replace(subject).is_some_and(|last| last >= subject) {
            return Err(MemoryFormatError::Malformed);
        }
        Ok(Some(subject))
    }
}

impl<R: BufRead> Iterator for Known<R> {
    type Item = Result<SubjectId, MemoryFormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.subject().transpose()
    }
}

impl CohortMemory {
    /// Writes the memory, encrypted, to replace the earlier file as a whole. `subjects` are those of all places, ascending.
    ///
    /// # Errors
    /// Of writing, of randomness, of the first of `subjects` that is an error, and `InvalidData` when they are not as many as
    /// there are places; then what was written is no memory.
    pub fn save(
        &self,
        key: &MemoryKey,
        subjects: impl IntoIterator<Item = Result<SubjectId, MemoryFormatError>>,
        to: impl Write,
    ) -> io::Result<()> {
        let random = random_bytes().map_err(io::Error::other)?;
        self.write(key, *random.first_chunk().expect("32 bytes begin with 19"), subjects, to)
    }

    fn write(
        &self,
        key: &MemoryKey,
        prefix: [u8; PREFIX],
        subjects: impl IntoIterator<Item = Result<SubjectId, MemoryFormatError>>,
        mut to: impl Write,
    ) -> io::Result<()> {
        to.write_all(ASSOCIATED)?;
        to.write_all(&prefix)?;
        let mut bytes = Sealing::new(key, prefix, ASSOCIATED, to);
        // There are, by far, not as many contributions as 32 bits count, and no cohort has more words than places.
        let number = |count: usize| (count as u32).to_le_bytes();
        bytes.write(&number(self.entries.len()))?;
        for entry in &self.entries {
            bytes.write(entry.study.as_bytes())?;
            bytes.write(&entry.round.get().to_le_bytes())?;
            bytes.write(&[u8::from(entry.standing == Standing::Released)])?;
            bytes.write(&number(entry.cohort))?;
            bytes.write(entry.basis.roster.as_bytes())?;
            bytes.write(entry.basis.terms.as_bytes())?;
        }
        bytes.write(&number(self.cohorts.len()))?;
        for cohort in &self.cohorts {
            bytes.write(&number(cohort.len()))?;
            cohort.iter().try_for_each(|word| bytes.write(&word.to_le_bytes()))?;
        }
        bytes.write(&self.places.to_le_bytes())?;
        let mut written = 0u64;
        for subject in subjects {
            bytes.write(subject.map_err(io::Error::other)?.as_bytes())?;
            written += 1;
        }
        if written != u64::from(self.places) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not as many subjects as there are places"));
        }
        bytes.finish()
    }

    /// Reads what [`save`](Self::save) wrote, up to the subjects, which follow.
    ///
    /// # Errors
    /// [`MemoryFormatError`], here or among the subjects; then nothing of the bytes is believed.
    pub fn open<R: BufRead>(key: &MemoryKey, mut from: R) -> Result<(Self, Known<R>), MemoryFormatError> {
        let mut header = [0; HEADER];
        let length = fill(&mut from, &mut header)?;
        let header = &header[..length];
        if !header.starts_with(MAGIC) || header.len() < ASSOCIATED.len() {
            return Err(MemoryFormatError::Magic);
        }
        let found = u16::from_le_bytes([header[8], header[9]]);
        if found != VERSION {
            return Err(MemoryFormatError::Version { found });
        }
        let prefix = header[ASSOCIATED.len()..].try_into().map_err(|_| MemoryFormatError::Unauthentic)?;
        let mut bytes = Opening::new(key, prefix, ASSOCIATED, from);
        let mut memory = Self::default();
        for _ in 0..number(&mut bytes)? {
            memory.entries.push(entry(&mut bytes)?);
        }
        for _ in 0..number(&mut bytes)? {
            let mut cohort = Bits::new();
            for _ in 0..number(&mut bytes)? {
                cohort.push(u64::from_le_bytes(bytes.take()?));
            }
            memory.cohorts.push(cohort);
        }
        memory.places = number(&mut bytes)?;
        if !is_consistent(&memory) {
            return Err(MemoryFormatError::Malformed);
        }
        let known = Known { bytes, left: memory.places, last: None };
        Ok((memory, known))
    }
}

/// As many bytes as there are, up to the buffer's length.
fn fill(from: &mut impl BufRead, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn number<R: BufRead>(bytes: &mut Opening<R>) -> Result<u32, MemoryFormatError> {
    bytes.take().map(u32::from_le_bytes)
}

fn entry<R: BufRead>(bytes: &mut Opening<R>) -> Result<Entry, MemoryFormatError> {
    let study = StudyId::from_bytes(bytes.take()?);
    let round = RoundNumber::new(number(bytes)?);
    let standing = match bytes.take()? {
        [0] => Standing::Pending,
        [1] => Standing::Released,
        _ => return Err(MemoryFormatError::Malformed),
    };
    let cohort = number(bytes)? as usize;
    let roster = ContentHash::from_bytes(bytes.take()?);
    let basis = Basis { roster, terms: ContentHash::from_bytes(bytes.take()?) };
    Ok(Entry { study, round, standing, cohort, basis })
}

fn is_consistent(memory: &CohortMemory) -> bool {
    let CohortMemory { places, cohorts, entries } = memory;
    let fits = |cohort: &Bits| {
        cohort
            .last()
            .is_none_or(|last| *last != 0 && cohort.len() * 64 - last.leading_zeros() as usize <= *places as usize)
    };
    let used: BTreeSet<usize> = entries.iter().map(|entry| entry.cohort).collect();
    let rounds: BTreeSet<(StudyId, RoundNumber)> = entries.iter().map(|entry| (entry.study, entry.round)).collect();
    let different = cohorts.iter().collect::<BTreeSet<_>>().len() == cohorts.len();
    cohorts.iter().all(fits) && used.into_iter().eq(0..cohorts.len()) && rounds.len() == entries.len() && different
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::rerun::{Placed, SubjectSet};

    fn subject(number: u8) -> SubjectId {
        SubjectId::from_bytes([number; 16])
    }

    fn study(number: u8) -> StudyId {
        StudyId::from_bytes([number; 32])
    }

    const BASIS: Basis =
        Basis { roster: ContentHash::from_bytes([0xCC; 32]), terms: ContentHash::from_bytes([0xDD; 32]) };

    const PLACES: [u8; 4] = [1, 2, 3, 4];

    fn memory() -> CohortMemory {
        let mut memory = CohortMemory::new();
        let round = RoundNumber::new;
        let first: SubjectSet = [4, 2].map(subject).into_iter().collect();
        let Ok(placed) = Placed::among::<Infallible>([], &first);
        memory.contribute(study(0xA1), round(0), &BASIS, &placed, 2).expect("the first");
        assert!(memory.released(study(0xA1), round(0)));
        let second: SubjectSet = [3, 4, 1].map(subject).into_iter().collect();
        let Ok(placed) = Placed::among::<Infallible>([2, 4].map(|name| Ok(subject(name))), &second);
        memory.contribute(study(0xB2), round(7), &BASIS, &placed, 2).expect("three apart");
        memory
    }

    fn sealed(memory: &CohortMemory, subjects: &[u8]) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let subjects = subjects.iter().map(|name| Ok(subject(*name)));
        memory.write(&MemoryKey::from_seed([7; 32]), [9; PREFIX], subjects, &mut bytes)?;
        Ok(bytes)
    }

    fn opened(seed: u8, bytes: &[u8]) -> Result<(CohortMemory, Vec<SubjectId>), MemoryFormatError> {
        let (memory, known) = CohortMemory::open(&MemoryKey::from_seed([seed; 32]), bytes)?;
        Ok((memory, known.collect::<Result<_, _>>()?))
    }

    /// What is encrypted of the memory above.
    fn content() -> String {
        [
            "02000000".to_string(),
            "a1".repeat(32) + "00000000" + "01" + "00000000" + &"cc".repeat(32) + &"dd".repeat(32),
            "b2".repeat(32) + "07000000" + "00" + "01000000" + &"cc".repeat(32) + &"dd".repeat(32),
            "02000000".to_string(),
            "01000000".to_string() + "0a00000000000000",
            "01000000".to_string() + "0d00000000000000",
            "04000000".to_string(),
            "01".repeat(16) + &"02".repeat(16) + &"03".repeat(16) + &"04".repeat(16),
        ]
        .concat()
    }

    /// A file with this content, made without the memory's own writing.
    fn file_of(content: &[u8]) -> Vec<u8> {
        let mut bytes = [ASSOCIATED.as_slice(), &[9; PREFIX]].concat();
        let mut sealing = Sealing::new(&MemoryKey::from_seed([7; 32]), [9; PREFIX], ASSOCIATED, &mut bytes);
        sealing.write(content).expect("a vector takes all");
        sealing.finish().expect("a vector takes all");
        bytes
    }

    #[test]
    fn what_is_encrypted_has_these_bytes() {
        let file = sealed(&memory(), &PLACES).expect("a vector takes all");
        assert_eq!(file, file_of(&hex::decode(content()).expect("hexadecimal")));
        assert_eq!(opened(7, &file), Ok((memory(), PLACES.map(subject).to_vec())));
    }

    #[test]
    fn the_empty_memory_has_these_bytes() {
        let file = sealed(&CohortMemory::new(), &[]).expect("a vector takes all");
        assert_eq!(hex::encode(&file), GOLDEN);
        assert_eq!(opened(7, &file), Ok((CohortMemory::new(), Vec::new())));
    }

    const GOLDEN: &str = "63736c2d636f686f010009090909090909090909090909090909090909e499ceb1b2b03eb33538b304a2a3bb29e9f38cfca85d918a8ee6e3d4";

    #[test]
    fn each_flipped_byte_and_each_cut_is_found() {
        let bytes = sealed(&memory(), &PLACES).expect("a vector takes all");
        for position in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[position] ^= 1;
            assert!(opened(7, &flipped).is_err(), "byte {position}");
            assert!(opened(7, &bytes[..position]).is_err(), "cut at {position}");
        }
        assert_eq!(opened(8, &bytes), Err(MemoryFormatError::Unauthentic));
        let mut newer = bytes.clone();
        newer[8] = 2;
        assert_eq!(opened(7, &newer), Err(MemoryFormatError::Version { found: 2 }));
        assert_eq!(opened(7, b"csl-cell"), Err(MemoryFormatError::Magic));
        let mut other = Vec::new();
        memory()
            .save(&MemoryKey::from_seed([7; 32]), PLACES.map(|name| Ok(subject(name))), &mut other)
            .expect("a file");
        assert_ne!(other, bytes, "a nonce is used once");
        assert_eq!(opened(7, &other), opened(7, &bytes));
    }

    #[test]
    fn other_subjects_than_there_are_places_for_are_not_saved() {
        assert_eq!(sealed(&memory(), &[1, 2, 3]).expect_err("three").kind(), io::ErrorKind::InvalidData);
        assert_eq!(sealed(&memory(), &[1, 2, 3, 4, 5]).expect_err("five").kind(), io::ErrorKind::InvalidData);
        let broken = [Ok(subject(1)), Err(MemoryFormatError::Unauthentic)];
        let error = memory().save(&MemoryKey::from_seed([7; 32]), broken, io::sink()).expect_err("one is an error");
        assert_eq!(error.to_string(), MemoryFormatError::Unauthentic.to_string());
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let good = hex::decode(content()).expect("hexadecimal");
        assert!(opened(7, &file_of(&good)).is_ok());
        let places = good.len() - 68;
        // No such standing; the same round twice; a cohort nobody contributed; no such cohort; a patient without a place;
        // a last word of 0; the same cohort twice; more and fewer places than subjects; subjects out of order, or twice.
        let changes: [(usize, &[u8]); 10] = [
            (40, &[2]),
            (109, &[[0xA1; 32].as_slice(), &[0; 4]].concat()),
            (41, &[1]),
            (146, &[2]),
            (places - 8, &[0x1D]),
            (places - 8, &[0]),
            (places - 8, &[0x0A]),
            (places, &[5]),
            (places, &[3]),
            (places + 4, &[2; 16]),
        ];
        for (position, value) in changes {
            let mut bytes = good.clone();
            bytes[position..position + value.len()].copy_from_slice(value);
            assert_ne!(bytes, good, "{position}");
            assert_eq!(
                opened(7, &file_of(&bytes)).err(),
                Some(MemoryFormatError::Malformed),
                "{value:?} at {position}"
            );
        }
        assert_eq!(opened(7, &file_of(&[good.as_slice(), &[0]].concat())).err(), Some(MemoryFormatError::Malformed));
    }

    #[test]
    fn secrets_are_not_printed() {
        assert_eq!(format!("{:?} {:?}", MemoryKey::from_seed([7; 32]), memory()), "MemoryKey(..) CohortMemory(..)");
    }
}
