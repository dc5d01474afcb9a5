//! The bytes of keys and ciphertexts: one header for all three, and what can be wrong with it.
//!
//! ```text
//! offset  bytes  field
//!      0      8  magic: `csl-cell`, `csl-pkey` or `csl-skey`
//!      8      2  version, 1
//!     10      2  contributions in the sum (a single ciphertext: 1); 0 in keys
//!     12      4  cells, the check cell not counted; in keys the dimension
//!     16     16  fingerprint of the parameters
//!     32     16  fingerprint of the public key; in a public key the seed of its mask
//!     48      …  words or key bits
//! ```
//!
//! All numbers are little-endian. Readers check a header, and that the length is exactly what it calls for, before they
//! allocate anything.

use super::{MAX_CELLS, MAX_HOSPITALS, parameters};

/// Bytes before the payload.
pub(crate) const HEADER_BYTES: usize = 48;

const VERSION: u16 = 1;

/// Why bytes are not a key or a ciphertext, or why two ciphertexts cannot be added. Variants carry shapes, never words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CiphertextError {
    /// The first bytes are not those of what was expected.
    #[error("this is not {expected}; check which file or message was taken")]
    Magic {
        /// What was expected, in words.
        expected: &'static str,
    },
    /// Another version of the format.
    #[error("format version {found} is not known here, only {VERSION}; update the program that is older")]
    Version {
        /// The version found.
        found: u16,
    },
    /// Made with other cryptographic parameters.
    #[error("made with other cryptographic parameters; all parties of a study must run releases that agree on them")]
    Parameters,
    /// No cells, or too many.
    #[error("a ciphertext has 1 to {MAX_CELLS} cells, not {found}; fetch it again, or refuse its maker")]
    Cells {
        /// How many it claims.
        found: usize,
    },
    /// No contributions, or more than the headroom of a slot allows for.
    #[error("a sum has 1 to {MAX_HOSPITALS} contributions, not {found}; combine again from single contributions")]
    Contributions {
        /// How many it claims, or would have.
        found: usize,
    },
    /// A field that must be what the format says is not.
    #[error("a field of the header is not what the format says; fetch it again, or restore it from a copy")]
    Header,
    /// Too short or too long.
    #[error("{found} bytes where {expected} are called for; fetch it again in full")]
    Length {
        /// How many bytes there should be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A public key under which ciphertexts hide nothing.
    #[error("under this public key ciphertexts would hide nothing; have the study submitted again")]
    Degenerate,
    /// A secret key's check digest does not match.
    #[error("the secret key is damaged; restore it from a copy")]
    Damaged,
    /// Ciphertexts of one sum, or a ciphertext and the key that is to open it, belong to different public keys.
    #[error("encrypted under another public key; take the contributions and the key of one study")]
    OtherKey,
    /// Ciphertexts of one sum have different numbers of cells.
    #[error("{found} cells where the others have {expected}; take the contributions of one round")]
    OtherShape {
        /// How many cells the others have.
        expected: usize,
        /// How many this one has.
        found: usize,
    },
}

/// What kind of thing follows a header, and the fingerprint of the parameters it was made with.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) magic: &'static [u8; 8],
    pub(crate) name: &'static str,
    pub(crate) parameters: fn() -> [u8; 16],
}

impl Kind {
    pub(super) const CELLS: Self = Self::of_cells(b"csl-cell", "a ciphertext of cells");
    pub(super) const PUBLIC_KEY: Self = Self::of_cells(b"csl-pkey", "a study's public key");
    pub(super) const SECRET_KEY: Self = Self::of_cells(b"csl-skey", "a study's secret key");

    const fn of_cells(magic: &'static [u8; 8], name: &'static str) -> Self {
        Self { magic, name, parameters: parameters::fingerprint }
    }
}

/// The fields of a header that differ from one thing of a kind to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) contributions: u16,
    pub(crate) count: u32,
    pub(crate) tag: [u8; 16],
}

impl Header {
    /// The header of a key: its tag is a seed or a fingerprint.
    pub(crate) fn of_key(tag: [u8; 16]) -> Self {
        Self { contributions: 0, count: parameters::DEGREE as u32, tag }
    }

    pub(crate) fn write(&self, kind: Kind, out: &mut Vec<u8>) {
        out.extend_from_slice(kind.magic);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.contributions.to_le_bytes());
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&(kind.parameters)());
        out.extend_from_slice(&self.tag);
    }

    /// Splits `bytes` into a checked header and the rest.
    pub(crate) fn read(kind: Kind, bytes: &[u8]) -> Result<(Self, &[u8]), CiphertextError> {
        let short = CiphertextError::Length { expected: HEADER_BYTES, found: bytes.len() };
        let (magic, rest) = bytes.split_first_chunk().ok_or(short)?;
        if magic != kind.magic {
            return Err(CiphertextError::Magic { expected: kind.name });
        }
        let (version, rest) = rest.split_first_chunk().ok_or(short)?;
        let found = u16::from_le_bytes(*version);
        if found != VERSION {
            return Err(CiphertextError::Version { found });
        }
        let (contributions, rest) = rest.split_first_chunk().ok_or(short)?;
        let (count, rest) = rest.split_first_chunk().ok_or(short)?;
        let (fingerprint, rest) = rest.split_first_chunk::<16>().ok_or(short)?;
        let (tag, payload) = rest.split_first_chunk().ok_or(short)?;
        if *fingerprint != (kind.parameters)() {
            return Err(CiphertextError::Parameters);
        }
        let header =
            Self { contributions: u16::from_le_bytes(*contributions), count: u32::from_le_bytes(*count), tag: *tag };
        Ok((header, payload))
    }

    /// Refuses the header of a key whose constant fields are not what they must be.
    pub(crate) fn check_key(&self) -> Result<(), CiphertextError> {
        if self.contributions == 0 && self.count as usize == parameters::DEGREE {
            Ok(())
        } else {
            Err(CiphertextError::Header)
        }
    }
}

/// Refuses a payload that is not exactly `expected` bytes long.
pub(crate) fn check_length(payload: &[u8], expected: usize) -> Result<(), CiphertextError> {
    if payload.len() == expected {
        Ok(())
    } else {
        Err(CiphertextError::Length { expected: HEADER_BYTES + expected, found: HEADER_BYTES + payload.len() })
    }
}

/// Appends words, little-endian.
pub(crate) fn write_words(words: &[u64], out: &mut Vec<u8>) {
    out.extend(words.iter().flat_map(|word| word.to_le_bytes()));
}

/// Reads words, little-endian, from a payload whose length was checked.
pub(crate) fn read_words(payload: &[u8]) -> Vec<u64> {
    payload.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect()
}
