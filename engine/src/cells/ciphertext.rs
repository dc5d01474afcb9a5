//! Encrypted cells: what hospitals send, what anyone adds, what only the researcher opens.

use std::fmt;

use super::encoding::LIMBS;
use super::encryption::ciphertext_words;
use super::fingerprint::KeyFingerprint;
use super::format::{self, CiphertextError, Header, Kind};
use super::{MAX_CELLS, MAX_HOSPITALS};

/// The encrypted cells of one hospital, or of the sum over several.
///
/// `cells` cells and a check cell, at four slots each: a mask of 2,048 words per 2,048 slots or part thereof, then one
/// word per slot. 4,096 cells take 278,608 bytes, 68 a cell.
#[derive(Clone, PartialEq, Eq)]
pub struct EncryptedCells {
    contributions: u16,
    cells: u32,
    key: KeyFingerprint,
    words: Vec<u64>,
}

impl EncryptedCells {
    /// One hospital's ciphertext, of words that were encrypted here.
    pub(super) fn single(cells: usize, key: KeyFingerprint, words: Vec<u64>) -> Self {
        debug_assert_eq!(words.len(), words_of(cells));
        let cells = u32::try_from(cells).expect("the number of cells was checked against MAX_CELLS");
        Self { contributions: 1, cells, key, words }
    }

    /// How many cells there are, the check cell not counted.
    pub fn cells(&self) -> usize {
        self.cells as usize
    }

    /// How many contributions were added up, as the header says. What proves it is the check cell.
    pub fn contributions(&self) -> usize {
        usize::from(self.contributions)
    }

    /// The public key they were encrypted under.
    pub fn key(&self) -> KeyFingerprint {
        self.key
    }

    /// Masks, then bodies.
    pub(super) fn words(&self) -> &[u64] {
        &self.words
    }

    /// The body words of a range of cells, [`LIMBS`] a cell. None when there are not so many cells: the check cell is
    /// out of reach.
    pub(crate) fn bodies_mut(&mut self, cells: std::ops::Range<usize>) -> Option<&mut [u64]> {
        if cells.end > self.cells() {
            return None;
        }
        let bodies = self.words.len() - (self.cells() + 1) * LIMBS;
        self.words[bodies..].get_mut(cells.start * LIMBS..cells.end * LIMBS)
    }

    /// Adds another hospital's cells, or another sum, to these. Nothing changes when it is refused.
    ///
    /// # Errors
    /// When the other is under another key, of another number of cells, or makes more contributions than a slot has
    /// headroom for.
    pub fn add(&mut self, other: &Self) -> Result<(), CiphertextError> {
        if other.key != self.key {
            return Err(CiphertextError::OtherKey);
        }
        if other.cells != self.cells {
            return Err(CiphertextError::OtherShape { expected: self.cells(), found: other.cells() });
        }
        let contributions = self.contributions() + other.contributions();
        self.contributions = u16::try_from(contributions)
            .ok()
            .filter(|_| contributions <= MAX_HOSPITALS)
            .ok_or(CiphertextError::Contributions { found: contributions })?;
        for (sum, word) in self.words.iter_mut().zip(&other.words) {
            *sum = sum.wrapping_add(*word);
        }
        Ok(())
    }

    /// The length of the bytes of a ciphertext of so many cells: what to expect before fetching one.
    ///
    /// # Errors
    /// [`CiphertextError::Cells`] when there is no such ciphertext.
    pub fn encoded_bytes(cells: usize) -> Result<usize, CiphertextError> {
        check_cells(cells)?;
        Ok(format::HEADER_BYTES + words_of(cells) * size_of::<u64>())
    }

    /// The bytes for the wire, whose hash goes on the ledger.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(format::HEADER_BYTES + self.words.len() * size_of::<u64>());
        let header = Header { contributions: self.contributions, count: self.cells, tag: *self.key.as_bytes() };
        header.write(Kind::CELLS, &mut out);
        format::write_words(&self.words, &mut out);
        out
    }

    /// Reads what [`EncryptedCells::to_bytes`] wrote.
    ///
    /// # Errors
    /// When the bytes are of another kind, version, length or set of parameters, or claim a number of cells or
    /// contributions that cannot be.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CiphertextError> {
        let (header, payload) = Header::read(Kind::CELLS, bytes)?;
        let cells = header.count as usize;
        check_cells(cells)?;
        let contributions = usize::from(header.contributions);
        if !(1..=MAX_HOSPITALS).contains(&contributions) {
            return Err(CiphertextError::Contributions { found: contributions });
        }
        format::check_length(payload, words_of(cells) * size_of::<u64>())?;
        Ok(Self {
            contributions: header.contributions,
            cells: header.count,
            key: KeyFingerprint::from_bytes(header.tag),
            words: format::read_words(payload),
        })
    }
}

impl fmt::Debug for EncryptedCells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptedCells")
            .field("cells", &self.cells)
            .field("contributions", &self.contributions)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

fn check_cells(cells: usize) -> Result<(), CiphertextError> {
    if (1..=MAX_CELLS).contains(&cells) { Ok(()) } else { Err(CiphertextError::Cells { found: cells }) }
}

fn words_of(cells: usize) -> usize {
    ciphertext_words((cells + 1) * LIMBS)
}

#[cfg(test)]
mod tests {
    use consilium_protocol::hash::content;
    use proptest::prelude::*;

    use super::super::encryption::encrypt;
    use super::super::keys::tests::fixed_pair;
    use super::*;

    fn sample(cells: usize) -> EncryptedCells {
        let (_, key) = fixed_pair();
        EncryptedCells::single(cells, key.fingerprint(), encrypt(&key, &vec![5 << 38; (cells + 1) * LIMBS], 4))
    }

    #[test]
    fn golden_bytes() {
        let bytes = sample(3).to_bytes();
        assert_eq!(bytes.len(), 48 + (2048 + 16) * 8);
        assert_eq!(bytes[..16], *b"csl-cell\x01\0\x01\0\x03\0\0\0");
        assert_eq!(
            content(&bytes[..48]).to_string(),
            "96f5957a3037cf5c9625650ed2513448d2e71e34334cd94d7d026c2e81b43cd4"
        );
        assert_eq!(content(&bytes).to_string(), "4382e4569d5b571e627bedd0da95b2ea0356a30cd2cb1c9da28276cc30970fda");
    }

    #[test]
    fn sizes_are_known_before_anything_is_fetched() {
        for cells in [1, 511, 512, 4096] {
            assert_eq!(EncryptedCells::encoded_bytes(cells), Ok(sample(cells).to_bytes().len()));
        }
        assert_eq!(EncryptedCells::encoded_bytes(4096), Ok(278_608));
        for found in [0, MAX_CELLS + 1, usize::MAX] {
            assert_eq!(EncryptedCells::encoded_bytes(found), Err(CiphertextError::Cells { found }));
        }
    }

    #[test]
    fn malformed_bytes_are_refused_by_what_is_wrong_with_them() {
        let bytes = sample(3).to_bytes();
        let expected = bytes.len();
        let refused = |bytes: &[u8]| EncryptedCells::from_bytes(bytes).expect_err("malformed");
        assert_eq!(refused(&[]), CiphertextError::Length { expected: 48, found: 0 });
        assert_eq!(refused(&bytes[..expected - 1]), CiphertextError::Length { expected, found: expected - 1 });
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(refused(&longer), CiphertextError::Length { expected, found: expected + 1 });

        let with = |at: usize, new: &[u8]| {
            let mut bytes = bytes.clone();
            bytes[at..at + new.len()].copy_from_slice(new);
            refused(&bytes)
        };
        assert_eq!(with(0, b"csl-pkey"), CiphertextError::Magic { expected: "a ciphertext of cells" });
        assert_eq!(with(8, &[0, 0]), CiphertextError::Version { found: 0 });
        assert_eq!(with(8, &[1, 1]), CiphertextError::Version { found: 257 });
        assert_eq!(with(10, &[0, 0]), CiphertextError::Contributions { found: 0 });
        assert_eq!(with(10, &[1, 4]), CiphertextError::Contributions { found: 1025 });
        assert_eq!(with(12, &[0; 4]), CiphertextError::Cells { found: 0 });
        assert_eq!(with(12, &[255; 4]), CiphertextError::Cells { found: u32::MAX as usize });
        let expected_of_4 = EncryptedCells::encoded_bytes(4).expect("a number of cells");
        assert_eq!(with(12, &[4]), CiphertextError::Length { expected: expected_of_4, found: expected });
        assert_eq!(with(31, &[!bytes[31]]), CiphertextError::Parameters);
    }

    #[test]
    fn only_what_belongs_together_is_added() {
        let one = sample(3);
        let refusal = |other: &EncryptedCells| {
            let mut sum = one.clone();
            let error = sum.add(other).expect_err("must be refused");
            assert_eq!(sum, one, "a refused addition changes nothing");
            error
        };
        let mut other_key = one.clone();
        other_key.key = KeyFingerprint::from_bytes([0; 16]);
        assert_eq!(refusal(&other_key), CiphertextError::OtherKey);
        assert_eq!(refusal(&sample(4)), CiphertextError::OtherShape { expected: 3, found: 4 });
        let mut many = one.clone();
        many.contributions = 1024;
        assert_eq!(refusal(&many), CiphertextError::Contributions { found: 1025 });
        many.contributions = 1023;
        let mut sum = one.clone();
        assert_eq!(sum.add(&many), Ok(()));
        assert_eq!(sum.contributions(), 1024);
    }

    #[test]
    fn only_the_shape_is_printed() {
        let printed = format!("{:?}", sample(3));
        let (_, key) = fixed_pair();
        let expected = format!("EncryptedCells {{ cells: 3, contributions: 1, key: {:?}, .. }}", key.fingerprint());
        assert_eq!(printed, expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn bytes_read_back(cells in 1usize..700) {
            let sample = sample(cells);
            prop_assert_eq!(EncryptedCells::from_bytes(&sample.to_bytes()), Ok(sample));
        }

        #[test]
        fn a_changed_byte_is_refused_or_read_as_it_stands(at in 0usize..16_560, flip in 1u8..) {
            let mut bytes = sample(3).to_bytes();
            bytes[at] ^= flip;
            match EncryptedCells::from_bytes(&bytes) {
                Ok(read) => prop_assert_eq!(read.to_bytes(), bytes),
                Err(_) => prop_assert!(at < 32, "only header fields before the key can be wrong"),
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(
            mut bytes in prop::collection::vec(any::<u8>(), 0..200),
            from_sample in 0usize..48,
        ) {
            let kept = from_sample.min(bytes.len());
            bytes[..kept].copy_from_slice(&sample(3).to_bytes()[..kept]);
            prop_assert!(EncryptedCells::from_bytes(&bytes).is_err());
        }
    }
}
