//! A seed: who has it can take the pads off the cells of its groups.

use std::fmt;
use std::ops::Range;

use consilium_protocol::hash::tagged;
use consilium_protocol::ids::{RoundNumber, StudyId};
use consilium_protocol::keys::{NoRandomness, random_bytes};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::parameters::{BLOCK_DIGITS, BLOCKS};

const SALT: &[u8] = b"consilium/guard/pad/v1";
const INFO: &str = "consilium/guard/pad/info/v1";

/// Digits of a seed, of four bits each.
pub(super) const DIGITS: usize = BLOCKS * BLOCK_DIGITS;

/// Which round a pad is for: a seed gives another pad for every study, round and group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PadRound {
    /// The study.
    pub study: StudyId,
    /// The attempt at computing it.
    pub round: RoundNumber,
}

/// A random number of 48 four-bit digits that is not zero. Erased when dropped, never printed.
pub struct Seed(Zeroizing<[u8; Seed::BYTES]>);

impl Seed {
    /// The length of a seed: two digits a byte, the first in the low bits.
    pub const BYTES: usize = DIGITS / 2;

    /// A fresh seed. All zeros, which would say that the group is suppressed, is drawn again.
    ///
    /// # Errors
    /// [`NoRandomness`] when the operating system refuses.
    pub(super) fn random() -> Result<Self, NoRandomness> {
        loop {
            let random = Zeroizing::new(random_bytes()?);
            let mut bytes = Zeroizing::new([0; Self::BYTES]);
            bytes.copy_from_slice(&random[..Self::BYTES]);
            if let Some(seed) = Self::from_bytes(&bytes) {
                return Ok(seed);
            }
        }
    }

    /// The seed of these bytes, or none when they are all zero: what a suppressed group opens to.
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Option<Self> {
        bytes.iter().any(|byte| *byte != 0).then(|| Self(Zeroizing::new(*bytes)))
    }

    /// The bytes, for delivery to the researcher and nobody else.
    pub fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// Digits, none above 15.
    pub(super) fn digits(&self) -> impl Iterator<Item = u64> {
        self.0.iter().flat_map(|byte| [u64::from(byte & 15), u64::from(byte >> 4)])
    }

    /// Puts a seed together out of exactly [`DIGITS`] digits.
    pub(super) fn of_digits(digits: &[u8; DIGITS]) -> Option<Self> {
        let mut bytes = Zeroizing::new([0; Self::BYTES]);
        let pairs = bytes.iter_mut().zip(digits.as_chunks::<2>().0);
        pairs.for_each(|(byte, pair)| *byte = pair[0] | pair[1] << 4);
        Self::from_bytes(&bytes)
    }

    /// The key of the group's pad. Hashed, so that a seed of which a few digits have become known still hides all of it.
    pub(super) fn pad_key(&self, round: &PadRound, group: usize) -> Zeroizing<[u8; 32]> {
        let group = (group as u64).to_le_bytes();
        let info = tagged(INFO, &[round.study.as_bytes(), &round.round.get().to_le_bytes(), &group]);
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(Some(SALT), self.as_bytes())
            .expand(&info, key.as_mut())
            .expect("HKDF-SHA256 gives up to 8,160 bytes, and this asks for 32");
        key
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(…)")
    }
}

/// Cells that are shown or suppressed together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Padded {
    /// The cells.
    pub cells: Range<usize>,
    /// The seed that pads them. Groups that share one have different pads.
    pub seed: usize,
}

#[cfg(test)]
mod tests {
    use consilium_protocol::hash::content;

    use super::*;

    #[test]
    fn seeds_read_back_from_their_digits() {
        let bytes: [u8; Seed::BYTES] = std::array::from_fn(|i| (i * 37) as u8);
        let seed = Seed::from_bytes(&bytes).expect("not zero");
        let digits: Vec<u8> = seed.digits().map(|digit| digit as u8).collect();
        let read = Seed::of_digits(&digits.try_into().expect("48 digits")).expect("not zero");
        assert_eq!(read.as_bytes(), &bytes);
        assert_eq!(seed.digits().take(4).collect::<Vec<_>>(), [0, 0, 5, 2]);
    }

    #[test]
    fn zero_is_no_seed() {
        assert!(Seed::from_bytes(&[0; Seed::BYTES]).is_none());
        assert!(Seed::of_digits(&[0; DIGITS]).is_none());
        let mut one = [0; DIGITS];
        one[DIGITS - 1] = 1;
        assert!(Seed::of_digits(&one).is_some());
    }

    #[test]
    fn pads_are_for_one_group_of_one_round() {
        let seed = Seed::from_bytes(&[7; Seed::BYTES]).expect("not zero");
        let round = |study, round| PadRound { study: StudyId::from_bytes([study; 32]), round: RoundNumber::new(round) };
        let keys = [
            seed.pad_key(&round(1, 0), 0),
            seed.pad_key(&round(1, 0), 1),
            seed.pad_key(&round(1, 1), 0),
            seed.pad_key(&round(2, 0), 0),
            Seed::from_bytes(&[8; Seed::BYTES]).expect("not zero").pad_key(&round(1, 0), 0),
        ];
        for (i, key) in keys.iter().enumerate() {
            assert!(keys[..i].iter().all(|other| other != key));
        }
        assert_eq!(content(&*keys[0]).to_string(), "e18ed204d16d513394ef72b63fdde6b2bc1c3f899105d6d4ff06ae743d623336");
    }
}
