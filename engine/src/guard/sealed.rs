//! What the aggregator sends the custodian.
//!
//! ```text
//! offset    bytes      field
//!      0       48      header: magic `csl-seal`, version 1, contributions, groups, parameters, fingerprint of the key
//!     48    8,192      mask of the check numbers, 2,048 words of 32 bits
//!  8,240        8      bodies of the check numbers
//!  8,248   12,384 · g  by group three blocks: a mask of 2,048 words of 16 bits, and 16 bodies of 16 bits
//! ```
//!
//! A word of fewer bits stands for the upper bits of a word of 64.

use std::fmt;

use super::contribution::CHECK_SLOTS;
use super::parameters::{BLOCK_WORDS, BLOCKS};
use super::{MAX_GROUPS, parameters};
use crate::cells::format::{self, HEADER_BYTES, Header, Kind};
use crate::cells::parameters::DEGREE;
use crate::cells::{CiphertextError, KeyFingerprint, MAX_HOSPITALS, MIN_HOSPITALS};

const SEALED: Kind = Kind { magic: b"csl-seal", name: "sealed seeds", parameters: parameters::fingerprint };

/// Words of the check numbers: a mask polynomial and a body each.
pub(super) const CHECK_WORDS: usize = DEGREE + CHECK_SLOTS;

/// Words of one seed.
pub(super) const SEED_WORDS: usize = BLOCKS * BLOCK_WORDS;

/// Seeds, encrypted for the custodian and zero where what they pad is suppressed.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedSeeds {
    pub(super) contributions: u16,
    pub(super) key: KeyFingerprint,
    /// [`CHECK_WORDS`] words.
    pub(super) check: Vec<u32>,
    /// [`SEED_WORDS`] words a seed.
    pub(super) digits: Vec<u16>,
}

impl SealedSeeds {
    /// How many there are.
    pub fn seeds(&self) -> usize {
        self.digits.len() / SEED_WORDS
    }

    /// The public key they are sealed under.
    pub fn key(&self) -> KeyFingerprint {
        self.key
    }

    /// The length of the bytes of so many seeds.
    pub const fn encoded_bytes(seeds: usize) -> usize {
        HEADER_BYTES + CHECK_WORDS * size_of::<u32>() + seeds * SEED_WORDS * size_of::<u16>()
    }

    /// The bytes for the custodian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::encoded_bytes(self.seeds()));
        Header { contributions: self.contributions, count: self.seeds() as u32, tag: *self.key.as_bytes() }
            .write(SEALED, &mut out);
        out.extend(self.check.iter().flat_map(|word| word.to_le_bytes()));
        out.extend(self.digits.iter().flat_map(|word| word.to_le_bytes()));
        out
    }

    /// Reads what [`SealedSeeds::to_bytes`] wrote.
    ///
    /// # Errors
    /// When the bytes are of another kind, version, length or set of parameters, or claim a number of groups or
    /// contributions that cannot be.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CiphertextError> {
        let (header, payload) = Header::read(SEALED, bytes)?;
        let contributions = usize::from(header.contributions);
        if !(MIN_HOSPITALS..=MAX_HOSPITALS).contains(&contributions) {
            return Err(CiphertextError::Contributions { found: contributions });
        }
        let groups = header.count as usize;
        if !(1..=MAX_GROUPS).contains(&groups) {
            return Err(CiphertextError::Header);
        }
        format::check_length(payload, Self::encoded_bytes(groups) - HEADER_BYTES)?;
        let (check, digits) = payload.split_at(CHECK_WORDS * size_of::<u32>());
        Ok(Self {
            contributions: header.contributions,
            key: KeyFingerprint::from_bytes(header.tag),
            check: check.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect(),
            digits: digits.as_chunks().0.iter().map(|bytes| u16::from_le_bytes(*bytes)).collect(),
        })
    }
}

impl fmt::Debug for SealedSeeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedSeeds({} groups)", self.seeds())
    }
}
