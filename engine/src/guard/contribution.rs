//! What a hospital says of its counts, and the sum that nobody but all hospitals together could unblind.
//!
//! For every group a hospital contributes its count, at most the cap, and where zeros may be shown 1 if its count is above 0,
//! as points of a torus divided finely enough for the sum of the roster (`plan.rs`). To each point it adds a blind, a uniform word that cancels in the sum over the roster, and encrypts the result
//! under the custodian's public key. Before these stand two *check numbers*, blinded alike, that say 1.
//!
//! ```text
//! offset     bytes        field
//!      0        48        header: magic `csl-gcon`, version 1, contributions, slots, parameters, fingerprint of the key
//!     48    16,384 · M    masks, M = ⌈slots / 2,048⌉
//!      …     8 · slots    bodies: two check numbers; capped counts by group; zero tests by group that has one
//! ```

use std::fmt;

use consilium_protocol::ids::HospitalId;
use zeroize::Zeroizing;

use super::plan::encode;
use super::sample::Sample;
use super::{GuardError, GuardPublicKey, GuardShape, MAX_GROUPS, parameters};
use crate::cells::blinding::masks;
use crate::cells::encryption::{ciphertext_words, encrypt};
use crate::cells::form::{EncryptionSeed, encrypted};
use crate::cells::format::{self, HEADER_BYTES, Header, Kind};
use crate::cells::parameters::DEGREE;
use crate::cells::{BlindingRound, CiphertextError, KeyFingerprint, MAX_HOSPITALS, PairSecrets};

const CONTRIBUTION: Kind =
    Kind { magic: b"csl-gcon", name: "a guard contribution", parameters: parameters::fingerprint };

const BLINDS: &str = "consilium/guard/blinding/info/v1";

/// Slots before the groups' numbers.
pub(super) const CHECK_SLOTS: usize = 2;

/// What every hospital's check slots hold: 1,024 of it are half the torus.
pub(super) const CHECK_UNIT: u64 = 1 << (u64::BITS - 1 - MAX_HOSPITALS.ilog2());

/// The masks of one hospital for one guarded round, unrelated to those of its cells. Used up by [`contribute`].
pub struct GuardBlinds(pub(super) Zeroizing<Vec<u64>>);

/// The blinded, encrypted counts of one hospital, or the sum over several.
#[derive(Clone, PartialEq, Eq)]
pub struct GuardContribution {
    contributions: u16,
    slots: u32,
    key: KeyFingerprint,
    words: Vec<u64>,
}

impl GuardBlinds {
    /// Derives the masks of hospital `own`.
    ///
    /// # Errors
    /// [`GuardError::Blinding`] when `own` is not in the roster, or has no secret with another member;
    /// [`GuardError::Contributions`] when the shape is for another roster.
    pub fn derive(
        round: &BlindingRound<'_>,
        own: HospitalId,
        secrets: &PairSecrets,
        shape: &GuardShape,
    ) -> Result<Self, GuardError> {
        if round.roster.len() != shape.hospitals() {
            return Err(GuardError::Contributions { expected: shape.hospitals(), found: round.roster.len() });
        }
        Ok(Self(masks(round, own, secrets, BLINDS, slots_of(shape))?))
    }
}

/// Caps, blinds and encrypts one hospital's counts, one per group.
///
/// Keep the result and send the same bytes again after a crash: two contributions of different counts to one round
/// would show their difference.
///
/// # Errors
/// When counts or blinds are not of the shape, or there is no randomness.
pub fn contribute(
    counts: &[u64],
    shape: &GuardShape,
    blinds: GuardBlinds,
    key: &GuardPublicKey,
) -> Result<GuardContribution, GuardError> {
    contribute_at_most(counts, &vec![u64::MAX; counts.len()], shape, blinds, key, &EncryptionSeed::random()?)
}

/// Likewise, by a seed from which others can see how it was made ([`GuardContribution::is_made_of`]); each count counts for no more than
/// `at_most`, but whether nobody is in the group is said of the count itself.
///
/// # Errors
/// As of [`contribute`].
pub fn contribute_at_most(
    counts: &[u64],
    at_most: &[u64],
    shape: &GuardShape,
    blinds: GuardBlinds,
    key: &GuardPublicKey,
    seed: &EncryptionSeed,
) -> Result<GuardContribution, GuardError> {
    if let Some(found) = [counts.len(), at_most.len()].into_iter().find(|found| *found != shape.groups()) {
        return Err(GuardError::Counts { expected: shape.groups(), found });
    }
    let (mut plain, slots) = (blinds.0, slots_of(shape));
    if plain.len() != slots {
        return Err(GuardError::Blinds { expected: slots, found: plain.len() });
    }
    let points = points(counts, at_most, shape);
    plain.iter_mut().zip(points.iter()).for_each(|(word, point)| *word = word.wrapping_add(*point));
    let words = encrypt(key.compact(), &plain, seed.of_counts());
    Ok(GuardContribution::of_words(shape, key.fingerprint(), words))
}

/// Adds one contribution of every hospital, without any key.
///
/// # Errors
/// When there is not one for each hospital of the roster, or they are not of one round.
pub fn combine(contributions: &[GuardContribution], shape: &GuardShape) -> Result<GuardContribution, GuardError> {
    let found = contributions.len();
    let (first, rest) = match contributions.split_first() {
        Some(split) if found == shape.hospitals() => split,
        _ => return Err(GuardError::Contributions { expected: shape.hospitals(), found }),
    };
    first.check_shape(shape)?;
    let mut sum = first.clone();
    rest.iter().try_for_each(|contribution| sum.add(contribution))?;
    // One of them may have been a sum itself.
    if sum.contributions() == found {
        Ok(sum)
    } else {
        Err(GuardError::Contributions { expected: found, found: sum.contributions() })
    }
}

impl GuardContribution {
    /// One hospital's contribution, of words that were encrypted here.
    pub(super) fn of_words(shape: &GuardShape, key: KeyFingerprint, words: Vec<u64>) -> Self {
        debug_assert_eq!(words.len(), ciphertext_words(slots_of(shape)));
        Self { contributions: 1, slots: slots_of(shape) as u32, key, words }
    }

    /// The public key it was encrypted under.
    pub fn key(&self) -> KeyFingerprint {
        self.key
    }

    /// How many contributions were added up. What proves it are the check numbers.
    pub fn contributions(&self) -> usize {
        usize::from(self.contributions)
    }

    /// The length of the bytes of a contribution to a study of this shape.
    pub fn encoded_bytes(shape: &GuardShape) -> usize {
        HEADER_BYTES + ciphertext_words(slots_of(shape)) * size_of::<u64>()
    }

    /// Whether it is one hospital's, for a study of this shape, and encrypted under this key by this seed. What is encrypted is any word.
    pub fn is_made_of(&self, shape: &GuardShape, key: &GuardPublicKey, seed: &EncryptionSeed) -> bool {
        let is_one = self.contributions() == 1 && self.key == key.fingerprint() && self.check_shape(shape).is_ok();
        is_one && encrypted(&self.words, key.compact(), self.slots as usize, seed.of_counts()).is_some()
    }

    fn add(&mut self, other: &Self) -> Result<(), GuardError> {
        if other.key != self.key {
            return Err(GuardError::OtherKey);
        }
        if other.slots != self.slots {
            return Err(GuardError::OtherShape { expected: self.numbers(), found: other.numbers() });
        }
        self.contributions = self
            .contributions
            .checked_add(other.contributions)
            .filter(|sum| usize::from(*sum) <= MAX_HOSPITALS)
            .ok_or(GuardError::Contributions { expected: MAX_HOSPITALS, found: MAX_HOSPITALS + 1 })?;
        self.words.iter_mut().zip(&other.words).for_each(|(sum, word)| *sum = sum.wrapping_add(*word));
        Ok(())
    }

    /// Refuses what is not of the shape's numbers.
    pub(super) fn check_shape(&self, shape: &GuardShape) -> Result<(), GuardError> {
        if self.slots as usize == slots_of(shape) {
            Ok(())
        } else {
            Err(GuardError::OtherShape { expected: shape.numbers(), found: self.numbers() })
        }
    }

    fn numbers(&self) -> usize {
        (self.slots as usize).saturating_sub(CHECK_SLOTS)
    }

    /// The number at `position`, the capped counts first.
    pub(super) fn number(&self, position: usize) -> Sample {
        let (masks, bodies) = self.masks_and_bodies();
        let slot = CHECK_SLOTS + position;
        let mask = slot / DEGREE * DEGREE;
        Sample::of_slot(&masks[mask..mask + DEGREE], slot, bodies[slot])
    }

    /// The mask and the bodies of the check numbers.
    pub(super) fn check_numbers(&self) -> (&[u64], &[u64]) {
        let (masks, bodies) = self.masks_and_bodies();
        (&masks[..DEGREE], &bodies[..CHECK_SLOTS])
    }

    fn masks_and_bodies(&self) -> (&[u64], &[u64]) {
        self.words.split_at(self.words.len() - self.slots as usize)
    }

    /// The bytes for the aggregator, whose hash goes on the ledger.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES + self.words.len() * size_of::<u64>());
        Header { contributions: self.contributions, count: self.slots, tag: *self.key.as_bytes() }
            .write(CONTRIBUTION, &mut out);
        format::write_words(&self.words, &mut out);
        out
    }

    /// Reads what [`GuardContribution::to_bytes`] wrote.
    ///
    /// # Errors
    /// When the bytes are of another kind, version, length or set of parameters, or claim a number of slots or
    /// contributions that cannot be.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CiphertextError> {
        let (header, payload) = Header::read(CONTRIBUTION, bytes)?;
        let contributions = usize::from(header.contributions);
        if !(1..=MAX_HOSPITALS).contains(&contributions) {
            return Err(CiphertextError::Contributions { found: contributions });
        }
        let slots = header.count as usize;
        if !(CHECK_SLOTS + 1..=CHECK_SLOTS + 2 * MAX_GROUPS).contains(&slots) {
            return Err(CiphertextError::Header);
        }
        format::check_length(payload, ciphertext_words(slots) * size_of::<u64>())?;
        Ok(Self {
            contributions: header.contributions,
            slots: header.count,
            key: KeyFingerprint::from_bytes(header.tag),
            words: format::read_words(payload),
        })
    }
}

impl fmt::Debug for GuardContribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GuardContribution({} numbers of {} hospitals)", self.numbers(), self.contributions)
    }
}

impl fmt::Debug for GuardBlinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GuardBlinds({} words)", self.0.len())
    }
}

pub(super) fn slots_of(shape: &GuardShape) -> usize {
    CHECK_SLOTS + shape.numbers()
}

/// A hospital's slots before blinding.
fn points(counts: &[u64], at_most: &[u64], shape: &GuardShape) -> Zeroizing<Vec<u64>> {
    let (count_modulus, zero_modulus) = (shape.count_plan().modulus(), shape.zero_plan().modulus());
    let least = |(count, most): (&u64, &u64)| encode((*count).min(*most).min(shape.bar().cap), count_modulus);
    let capped = counts.iter().zip(at_most).map(least);
    let with_zeros = counts.iter().zip(shape.zeros_shown()).filter(|(_, shown)| **shown);
    let positive = with_zeros.map(|(count, _)| encode(u64::from(*count > 0), zero_modulus));
    let mut points = Zeroizing::new(Vec::with_capacity(slots_of(shape)));
    points.extend([CHECK_UNIT; CHECK_SLOTS]);
    points.extend(capped.chain(positive));
    points
}
