//! Pairwise masking: what one hospital adds to its cells, another takes from its own.
//!
//! For own hospital *i* and every other member *j* of the roster,
//!
//! ```text
//! seed   = HKDF-SHA256(ikm = the pair's secret, salt = "consilium/blinding/v1",
//!                      info = tagged("consilium/blinding/info/v1",
//!                                    ledger, study, round, roster hash, smaller id, larger id))
//! stream = AES-256-CTR(seed), one little-endian u64 per cell
//! ```
//!
//! where the two made their secret for this study alone ([`consilium_protocol::pairing`]) and forget it when the study ends; and
//! the smaller of the two ids adds the stream, the larger subtracts it, modulo 2^64. Over the whole roster every
//! stream is added once and subtracted once; over any proper subset at least one remains, uniform to all but its pair.
//! Study, round and roster are in the derivation, so no stream serves twice: [`Blinds`] are used up by the contribution
//! they hide.
//!
//! Source: K. Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving Machine Learning", CCS 2017,
//! section 4.1 (masking with one-time pads), without the recovery of dropped parties: here a round whose roster is not
//! complete is opened anew with a smaller roster.

use std::collections::BTreeMap;

use consilium_protocol::hash::tagged;
use consilium_protocol::ids::{ContentHash, HospitalId, LedgerId, RoundNumber, StudyId};
use consilium_protocol::pairing::PairSecret;
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::encoding::CHECK;
use super::{MAX_CELLS, MAX_HOSPITALS, MIN_HOSPITALS, keystream};

const SALT: &[u8] = b"consilium/blinding/v1";
const INFO: &str = "consilium/blinding/info/v1";
const ROSTER: &str = "consilium/blinding/roster/v1";

/// Why cells could not be blinded. No variant says anything of the cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlindingError {
    /// One of two hospitals could subtract itself from the joint result.
    #[error("a roster of {members} hospitals hides nobody; open the round again with at least {MIN_HOSPITALS}")]
    TooFewHospitals {
        /// How many hospitals the roster has.
        members: usize,
    },
    /// The sum of so many limbs would not fit its plaintext slot.
    #[error("a roster of {members} hospitals is over the limit of {MAX_HOSPITALS}; split the study")]
    TooManyHospitals {
        /// How many hospitals the roster has.
        members: usize,
    },
    /// The ids do not ascend, or one stands twice.
    #[error("the roster is not in strictly ascending order at {hospital:?}; take it from the ledger as it is")]
    NotAscending {
        /// The first hospital that is not greater than the one before it.
        hospital: HospitalId,
    },
    /// The own hospital is not in the roster.
    #[error("this hospital is not in the roster of the round; nothing is to be contributed")]
    NotInRoster,
    /// There is no secret with a member of the roster.
    #[error(
        "this hospital has no secret with {hospital:?} for this study; the round is opened again without one of the two"
    )]
    NoSecret {
        /// The member.
        hospital: HospitalId,
    },
    /// No cells, or more than [`MAX_CELLS`].
    #[error("a study has 1 to {MAX_CELLS} cells, not {cells}; ask for fewer statistics at once")]
    Cells {
        /// How many cells were asked for.
        cells: usize,
    },
}

/// What a hospital shares with each other one of a study.
pub type PairSecrets = BTreeMap<HospitalId, PairSecret>;

/// The hospitals of one round, in ascending order of their ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlindingRoster {
    members: Vec<HospitalId>,
    hash: ContentHash,
}

impl BlindingRoster {
    /// Checks and hashes a roster.
    ///
    /// # Errors
    /// When there are fewer than [`MIN_HOSPITALS`] or more than [`MAX_HOSPITALS`] members, or ids that do not strictly
    /// ascend.
    pub fn new(members: Vec<HospitalId>) -> Result<Self, BlindingError> {
        if members.len() < MIN_HOSPITALS {
            return Err(BlindingError::TooFewHospitals { members: members.len() });
        }
        if members.len() > MAX_HOSPITALS {
            return Err(BlindingError::TooManyHospitals { members: members.len() });
        }
        if let Some(pair) = members.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(BlindingError::NotAscending { hospital: pair[1] });
        }
        let bytes: Vec<u8> = members.iter().flat_map(|id| id.public_key()).copied().collect();
        let hash = ContentHash::from_bytes(tagged(ROSTER, &[&bytes]));
        Ok(Self { members, hash })
    }

    /// How many hospitals it has, which is what the check cell of the sum must open to.
    #[expect(clippy::len_without_is_empty, reason = "a roster is never empty")]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// The digest of the ids that every blind of the round depends on.
    pub fn hash(&self) -> ContentHash {
        self.hash
    }
}

/// What a set of blinds is for. Two rounds that differ in anything here have nothing in common.
#[derive(Debug, Clone, Copy)]
pub struct BlindingRound<'a> {
    /// The consortium's ledger.
    pub ledger: &'a LedgerId,
    /// The study.
    pub study: StudyId,
    /// The attempt at computing it.
    pub round: RoundNumber,
    /// Who takes part.
    pub roster: &'a BlindingRoster,
}

impl BlindingRound<'_> {
    fn pair_seed(&self, label: &str, shared: &PairSecret, one: HospitalId, other: HospitalId) -> Zeroizing<[u8; 32]> {
        let info = tagged(
            label,
            &[
                self.ledger.as_bytes(),
                self.study.as_bytes(),
                &self.round.get().to_le_bytes(),
                self.roster.hash.as_bytes(),
                one.min(other).public_key(),
                one.max(other).public_key(),
            ],
        );
        let mut seed = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(Some(SALT), shared.as_bytes())
            .expand(&info, seed.as_mut())
            .expect("HKDF-SHA256 gives up to 8,160 bytes, and this asks for 32");
        seed
    }
}

/// The masks of one hospital for one round: one per cell, and one for the check cell.
///
/// Not `Clone`, and consumed by [`contribute`](super::contribute): two vectors under the same blinds would show their
/// difference to everyone who sees both. Erased when dropped, never printed.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Blinds(Vec<u64>);

impl Blinds {
    /// Derives the masks of hospital `own` for `cells` cells and the check cell.
    ///
    /// # Errors
    /// When `own` is not in the roster, or has no secret with another member; when `cells` is 0 or more than [`MAX_CELLS`].
    pub fn derive(
        round: &BlindingRound<'_>,
        own: HospitalId,
        secrets: &PairSecrets,
        cells: usize,
    ) -> Result<Self, BlindingError> {
        if !(1..=MAX_CELLS).contains(&cells) {
            return Err(BlindingError::Cells { cells });
        }
        Ok(Self(std::mem::take(&mut *masks(round, own, secrets, INFO, cells + 1)?)))
    }

    /// Adds further words, one for each cell: these do not cancel.
    ///
    /// # Panics
    /// When there are not exactly [`Blinds::cells`] words; the caller has checked.
    pub(crate) fn veil(&mut self, words: &[u64]) {
        assert_eq!(words.len(), self.cells(), "as many words as cells");
        self.0.iter_mut().zip(words).for_each(|(blind, word)| *blind = blind.wrapping_add(*word));
    }

    /// How many cells these blinds are for, the check cell not counted.
    pub fn cells(&self) -> usize {
        self.0.len() - 1
    }

    /// Hides `values` and the check cell, using the blinds up.
    ///
    /// # Panics
    /// When there are not exactly [`Blinds::cells`] values; the caller has checked.
    pub(super) fn hide(mut self, values: &[i64]) -> Zeroizing<Vec<u64>> {
        assert_eq!(values.len(), self.cells(), "as many values as blinds");
        let mut cells = Zeroizing::new(std::mem::take(&mut self.0));
        let own = values.iter().map(|value| value.cast_unsigned()).chain([CHECK]);
        for (cell, value) in cells.iter_mut().zip(own) {
            *cell = cell.wrapping_add(value);
        }
        cells
    }
}

/// The masks of hospital `own`, one per word: a stream of its own for each `label`, whatever else is the same.
///
/// # Errors
/// When `own` is not in the roster, or has no secret with another member.
pub(crate) fn masks(
    round: &BlindingRound<'_>,
    own: HospitalId,
    secrets: &PairSecrets,
    label: &str,
    words: usize,
) -> Result<Zeroizing<Vec<u64>>, BlindingError> {
    let members = &round.roster.members;
    members.binary_search(&own).map_err(|_| BlindingError::NotInRoster)?;
    let mut sum = MaskSum::new(own, words);
    for hospital in members.iter().filter(|hospital| **hospital != own) {
        let shared = secrets.get(hospital).ok_or(BlindingError::NoSecret { hospital: *hospital })?;
        sum.absorb(*hospital, &round.pair_seed(label, shared, own, *hospital));
    }
    Ok(sum.finish())
}

/// Masks being summed over the pairs of one hospital.
struct MaskSum {
    own: HospitalId,
    sum: Zeroizing<Vec<u64>>,
    stream: Zeroizing<Vec<u64>>,
}

impl MaskSum {
    fn new(own: HospitalId, cells: usize) -> Self {
        Self { own, sum: Zeroizing::new(vec![0; cells]), stream: Zeroizing::new(vec![0; cells]) }
    }

    fn absorb(&mut self, other: HospitalId, seed: &[u8; 32]) {
        keystream::fill(seed, &mut self.stream);
        let masks = self.sum.iter_mut().zip(self.stream.iter());
        if self.own < other {
            masks.for_each(|(sum, mask)| *sum = sum.wrapping_add(*mask));
        } else {
            masks.for_each(|(sum, mask)| *sum = sum.wrapping_sub(*mask));
        }
    }

    fn finish(self) -> Zeroizing<Vec<u64>> {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hospital(n: u16) -> HospitalId {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&n.to_be_bytes());
        HospitalId::from_public_key(id)
    }

    fn members(n: u16) -> Vec<HospitalId> {
        (0..n).map(hospital).collect()
    }

    fn roster(n: u16) -> BlindingRoster {
        BlindingRoster::new(members(n)).expect("a sound roster")
    }

    /// The pairs' names are in the derivation: one secret for all makes streams enough.
    fn secrets(n: u16) -> PairSecrets {
        members(n).into_iter().map(|id| (id, PairSecret::from_bytes([9; 32]))).collect()
    }

    const LEDGER: LedgerId = LedgerId::from_bytes([9; 32]);

    fn all_blinds(ledger: &LedgerId, study: u8, round: u32, roster: &BlindingRoster, cells: usize) -> Vec<Blinds> {
        let study = StudyId::from_bytes([study; 32]);
        let round = BlindingRound { ledger, study, round: RoundNumber::new(round), roster };
        let secrets = secrets(roster.len() as u16);
        secrets.keys().map(|own| Blinds::derive(&round, *own, &secrets, cells).expect("sound blinds")).collect()
    }

    fn sum<'a>(blinds: impl Iterator<Item = &'a Blinds>, cells: usize) -> Vec<u64> {
        blinds.fold(vec![0; cells], |mut sum: Vec<u64>, blinds| {
            sum.iter_mut().zip(&blinds.0).for_each(|(sum, mask)| *sum = sum.wrapping_add(*mask));
            sum
        })
    }

    #[test]
    fn blinds_cancel_over_the_whole_roster_and_over_no_other_set() {
        for n in [3, 4, 7] {
            let blinds = all_blinds(&LEDGER, 1, 0, &roster(n), 5);
            for subset in 1u32..1 << n {
                let chosen = blinds.iter().enumerate().filter(|(i, _)| subset >> i & 1 == 1).map(|(_, b)| b);
                let sum = sum(chosen, 6);
                if subset == (1 << n) - 1 {
                    assert_eq!(sum, [0; 6]);
                } else {
                    assert!(sum.iter().all(|word| *word != 0), "subset {subset:b} of {n}");
                }
            }
        }
    }

    #[test]
    fn blinds_of_1024_hospitals_cancel() {
        // Half a million key agreements take too long for a test: seeds of pairs are made up instead.
        let seed = |a: u16, b: u16| tagged("test", &[&a.min(b).to_le_bytes(), &a.max(b).to_le_bytes()]);
        let mut total = [0u64; 2];
        for own in 0..1024 {
            let mut sum = MaskSum::new(hospital(own), 2);
            (0..1024).filter(|other| *other != own).for_each(|other| sum.absorb(hospital(other), &seed(own, other)));
            total.iter_mut().zip(sum.finish().iter()).for_each(|(total, mask)| *total = total.wrapping_add(*mask));
            assert_eq!(own == 1023, total == [0; 2], "after {own}");
        }
    }

    #[test]
    fn everything_in_the_derivation_changes_the_blinds() {
        let elsewhere = LedgerId::from_bytes([8; 32]);
        let (three, four) = (roster(3), roster(4));
        let of = |ledger, study, round, roster, secrets| {
            let study = StudyId::from_bytes([study; 32]);
            let round = BlindingRound { ledger, study, round: RoundNumber::new(round), roster };
            let sum = Blinds::derive(&round, hospital(0), secrets, 4).expect("sound blinds");
            sum.0.clone()
        };
        let own = secrets(4);
        let mut another = own.clone();
        another.insert(hospital(2), PairSecret::from_bytes([77; 32]));
        let all = [
            of(&LEDGER, 1, 0, &three, &own),
            of(&elsewhere, 1, 0, &three, &own),
            of(&LEDGER, 2, 0, &three, &own),
            of(&LEDGER, 1, 1, &three, &own),
            of(&LEDGER, 1, 0, &four, &own),
            of(&LEDGER, 1, 0, &three, &another),
        ];
        for (i, one) in all.iter().enumerate() {
            for other in &all[..i] {
                assert!(one.iter().zip(other).all(|(a, b)| a != b));
            }
        }
    }

    #[test]
    fn golden_bytes() {
        let roster = roster(3);
        assert_eq!(roster.hash().to_string(), "b90472951a0f4f98af37014eee445d2e07b76d64c62b4e87193d31b3dd313234");
        let blinds = all_blinds(&LEDGER, 1, 0, &roster, 100);
        let bytes: Vec<u8> = blinds.iter().flat_map(|b| &b.0).flat_map(|word| word.to_le_bytes()).collect();
        let hash = consilium_protocol::hash::content(&bytes);
        assert_eq!(hash.to_string(), "9b37ef1fb52816155a3c8db8b9df9a1314aaccdd3854437190eac399fdfbd4cb");
        let next = all_blinds(&LEDGER, 1, 1, &roster, 100);
        assert_ne!(next[0].0, blinds[0].0);
    }

    #[test]
    fn unsound_rosters_are_refused() {
        let refused = |members| BlindingRoster::new(members).expect_err("an unsound roster");
        assert_eq!(refused(members(2)), BlindingError::TooFewHospitals { members: 2 });
        assert_eq!(refused(members(0)), BlindingError::TooFewHospitals { members: 0 });
        assert_eq!(refused(members(1025)), BlindingError::TooManyHospitals { members: 1025 });

        let mut unsorted = members(4);
        unsorted.swap(1, 2);
        assert_eq!(refused(unsorted), BlindingError::NotAscending { hospital: hospital(1) });
        let mut twice = members(4);
        twice[2] = twice[1];
        assert_eq!(refused(twice), BlindingError::NotAscending { hospital: hospital(1) });
    }

    #[test]
    fn strangers_and_those_without_a_secret_are_refused() {
        let three = roster(3);
        let study = StudyId::from_bytes([1; 32]);
        let refused = |own, secrets: &PairSecrets, cells| {
            let round = BlindingRound { ledger: &LEDGER, study, round: RoundNumber::new(0), roster: &three };
            Blinds::derive(&round, own, secrets, cells).err().expect("refused")
        };
        let secrets = secrets(6);
        assert_eq!(refused(hospital(5), &secrets, 1), BlindingError::NotInRoster);
        assert_eq!(refused(hospital(1), &secrets, 0), BlindingError::Cells { cells: 0 });
        assert_eq!(refused(hospital(1), &secrets, MAX_CELLS + 1), BlindingError::Cells { cells: MAX_CELLS + 1 });
        let mut fewer = secrets;
        fewer.remove(&hospital(2));
        assert_eq!(refused(hospital(1), &fewer, 1), BlindingError::NoSecret { hospital: hospital(2) });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn hidden_values_sum_to_the_values(n in 3u16..12, seed: u8, value: i64) {
            let values = [value, i64::MIN, i64::MAX, -1, 0];
            let mut total = [0u64; 6];
            for blinds in all_blinds(&LEDGER, seed, u32::from(n), &roster(n), 5) {
                let hidden = blinds.hide(&values);
                total.iter_mut().zip(hidden.iter()).for_each(|(total, cell)| *total = total.wrapping_add(*cell));
            }
            for (total, value) in total.iter().zip(values) {
                prop_assert_eq!(total.cast_signed(), value.wrapping_mul(i64::from(n)));
            }
            prop_assert_eq!(total[5], u64::from(n));
        }
    }
}
