//! Pairwise masking: what one hospital adds to its cells, another takes from its own.
//!
//! For own hospital *i* and every other member *j* of the roster,
//!
//! ```text
//! seed   = HKDF-SHA256(ikm = X25519(i, j), salt = "consilium/blinding/v1",
//!                      info = tagged("consilium/blinding/info/v1",
//!                                    chain, study, round, roster hash, smaller id, larger id))
//! stream = AES-256-CTR(seed), one little-endian u64 per cell
//! ```
//!
//! and the smaller of the two ids adds the stream, the larger subtracts it, modulo 2^64. Over the whole roster every
//! stream is added once and subtracted once; over any proper subset at least one remains, uniform to all but its pair.
//! Study, round and roster are in the derivation, so no stream serves twice: [`Blinds`] are used up by the contribution
//! they hide.
//!
//! Source: K. Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving Machine Learning", CCS 2017,
//! section 4.1 (masking with one-time pads), without the recovery of dropped parties: here a round whose roster is not
//! complete is opened anew with a smaller roster.

use consilium_protocol::hash::tagged;
use consilium_protocol::ids::{ChainId, ContentHash, HospitalId, RoundNumber, StudyId};
use consilium_protocol::keys::{BlindingKey, SharedSecret};
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
    /// Two members have the same blinding key: one installation was copied to another.
    #[error("{hospital:?} has the blinding key of another hospital; it must generate and register its own")]
    SharedKey {
        /// One of the two.
        hospital: HospitalId,
    },
    /// The own hospital is not in the roster.
    #[error("this hospital is not in the roster of the round; nothing is to be contributed")]
    NotInRoster,
    /// The roster has another blinding key for the own hospital.
    #[error("the roster has another blinding key for this hospital; restore the key that was registered on the ledger")]
    NotOurKey,
    /// A member's key is of small order: what it shares with anyone is known to everyone.
    #[error("the blinding key of {hospital:?} is unsafe; it must register another before the round is opened again")]
    SmallOrderKey {
        /// The member with that key.
        hospital: HospitalId,
    },
    /// No cells, or more than [`MAX_CELLS`].
    #[error("a study has 1 to {MAX_CELLS} cells, not {cells}; ask for fewer statistics at once")]
    Cells {
        /// How many cells were asked for.
        cells: usize,
    },
}

/// The hospitals of one round, each with its X25519 public key, in ascending order of their ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlindingRoster {
    members: Vec<(HospitalId, [u8; 32])>,
    hash: ContentHash,
}

impl BlindingRoster {
    /// Checks and hashes a roster.
    ///
    /// # Errors
    /// When there are fewer than [`MIN_HOSPITALS`] or more than [`MAX_HOSPITALS`] members, ids that do not strictly
    /// ascend, or a key that stands twice.
    pub fn new(members: Vec<(HospitalId, [u8; 32])>) -> Result<Self, BlindingError> {
        if members.len() < MIN_HOSPITALS {
            return Err(BlindingError::TooFewHospitals { members: members.len() });
        }
        if members.len() > MAX_HOSPITALS {
            return Err(BlindingError::TooManyHospitals { members: members.len() });
        }
        if let Some(pair) = members.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
            return Err(BlindingError::NotAscending { hospital: pair[1].0 });
        }
        let mut by_key: Vec<_> = members.iter().map(|(id, key)| (*key, *id)).collect();
        by_key.sort_unstable();
        if let Some(pair) = by_key.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(BlindingError::SharedKey { hospital: pair[1].1 });
        }
        let bytes: Vec<u8> = members.iter().flat_map(|(id, key)| id.public_key().iter().chain(key)).copied().collect();
        let hash = ContentHash::from_bytes(tagged(ROSTER, &[&bytes]));
        Ok(Self { members, hash })
    }

    /// How many hospitals it has, which is what the check cell of the sum must open to.
    #[expect(clippy::len_without_is_empty, reason = "a roster is never empty")]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// The digest of ids and keys that every blind of the round depends on.
    pub fn hash(&self) -> ContentHash {
        self.hash
    }
}

/// What a set of blinds is for. Two rounds that differ in anything here have nothing in common.
#[derive(Debug, Clone, Copy)]
pub struct BlindingRound<'a> {
    /// The consortium's chain.
    pub chain: &'a ChainId,
    /// The study.
    pub study: StudyId,
    /// The attempt at computing it.
    pub round: RoundNumber,
    /// Who takes part.
    pub roster: &'a BlindingRoster,
}

impl BlindingRound<'_> {
    fn pair_seed(&self, label: &str, shared: &SharedSecret, one: HospitalId, other: HospitalId) -> Zeroizing<[u8; 32]> {
        let info = tagged(
            label,
            &[
                self.chain.as_str().as_bytes(),
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
    /// When `own` is not in the roster, or not with this `key`; when a member's key is of small order; when `cells` is
    /// 0 or more than [`MAX_CELLS`].
    pub fn derive(
        round: &BlindingRound<'_>,
        own: HospitalId,
        key: &BlindingKey,
        cells: usize,
    ) -> Result<Self, BlindingError> {
        if !(1..=MAX_CELLS).contains(&cells) {
            return Err(BlindingError::Cells { cells });
        }
        Ok(Self(std::mem::take(&mut *masks(round, own, key, INFO, cells + 1)?)))
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
/// When `own` is not in the roster, or not with this `key`; when a member's key is of small order.
pub(crate) fn masks(
    round: &BlindingRound<'_>,
    own: HospitalId,
    key: &BlindingKey,
    label: &str,
    words: usize,
) -> Result<Zeroizing<Vec<u64>>, BlindingError> {
    let members = &round.roster.members;
    let position = members.binary_search_by_key(&own, |(id, _)| *id).map_err(|_| BlindingError::NotInRoster)?;
    if members[position].1 != key.public_key() {
        return Err(BlindingError::NotOurKey);
    }
    let mut sum = MaskSum::new(own, words);
    for (hospital, public_key) in members {
        if *hospital != own {
            let shared = key.agree(public_key).ok_or(BlindingError::SmallOrderKey { hospital: *hospital })?;
            sum.absorb(*hospital, &round.pair_seed(label, &shared, own, *hospital));
        }
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

    fn key(n: u16) -> BlindingKey {
        let mut seed = [9; 32];
        seed[..2].copy_from_slice(&n.to_be_bytes());
        BlindingKey::from_seed(seed)
    }

    fn members(n: u16) -> Vec<(HospitalId, [u8; 32])> {
        (0..n).map(|i| (hospital(i), key(i).public_key())).collect()
    }

    fn roster(n: u16) -> BlindingRoster {
        BlindingRoster::new(members(n)).expect("a sound roster")
    }

    fn chain() -> ChainId {
        ChainId::new("test-chain").expect("a sound chain id")
    }

    fn all_blinds(chain: &ChainId, study: u8, round: u32, roster: &BlindingRoster, cells: usize) -> Vec<Blinds> {
        let study = StudyId::from_bytes([study; 32]);
        let round = BlindingRound { chain, study, round: RoundNumber::new(round), roster };
        (0..roster.len() as u16)
            .map(|i| Blinds::derive(&round, hospital(i), &key(i), cells).expect("sound blinds"))
            .collect()
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
            let blinds = all_blinds(&chain(), 1, 0, &roster(n), 5);
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
        let chain = chain();
        let other_chain = ChainId::new("test-chain-2").expect("a sound chain id");
        let mut other_key = members(3);
        other_key[2].1 = key(77).public_key();
        let other_key = BlindingRoster::new(other_key).expect("a sound roster");
        let (three, four) = (roster(3), roster(4));
        let of = |chain, study, round, roster| {
            let study = StudyId::from_bytes([study; 32]);
            let round = BlindingRound { chain, study, round: RoundNumber::new(round), roster };
            let sum = Blinds::derive(&round, hospital(0), &key(0), 4).expect("sound blinds");
            sum.0.clone()
        };
        let all = [
            of(&chain, 1, 0, &three),
            of(&other_chain, 1, 0, &three),
            of(&chain, 2, 0, &three),
            of(&chain, 1, 1, &three),
            of(&chain, 1, 0, &four),
            of(&chain, 1, 0, &other_key),
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
        assert_eq!(roster.hash().to_string(), "f57e76cbe45b7f00e6cf7cdf14292c52093ee8a36355ac91fc0835cd8234bd56");
        let blinds = all_blinds(&chain(), 1, 0, &roster, 100);
        let bytes: Vec<u8> = blinds.iter().flat_map(|b| &b.0).flat_map(|word| word.to_le_bytes()).collect();
        let hash = consilium_protocol::hash::content(&bytes);
        assert_eq!(hash.to_string(), "8110a43282c39c20b37e18da8a265b96a20a85d0f9d4630eb5d92acd30fac66c");
        let next = all_blinds(&chain(), 1, 1, &roster, 100);
        assert_ne!(next[0].0, blinds[0].0);
    }

    #[test]
    fn unsound_rosters_are_refused() {
        let refused = |members| BlindingRoster::new(members).expect_err("an unsound roster");
        assert_eq!(refused(members(2)), BlindingError::TooFewHospitals { members: 2 });
        assert_eq!(refused(members(0)), BlindingError::TooFewHospitals { members: 0 });
        let many = (0..1025).map(|i| (hospital(i), [i as u8; 32])).collect();
        assert_eq!(refused(many), BlindingError::TooManyHospitals { members: 1025 });

        let mut unsorted = members(4);
        unsorted.swap(1, 2);
        assert_eq!(refused(unsorted), BlindingError::NotAscending { hospital: hospital(1) });
        let mut twice = members(4);
        twice[2].0 = twice[1].0;
        assert_eq!(refused(twice), BlindingError::NotAscending { hospital: hospital(1) });
        let mut copied = members(4);
        copied[3].1 = copied[0].1;
        assert_eq!(refused(copied), BlindingError::SharedKey { hospital: hospital(3) });
    }

    #[test]
    fn strangers_wrong_keys_and_weak_keys_are_refused() {
        let chain = chain();
        let three = roster(3);
        let study = StudyId::from_bytes([1; 32]);
        let refused = |roster: &BlindingRoster, own, key: &BlindingKey, cells| {
            let round = BlindingRound { chain: &chain, study, round: RoundNumber::new(0), roster };
            Blinds::derive(&round, own, key, cells).err().expect("refused")
        };
        assert_eq!(refused(&three, hospital(5), &key(5), 1), BlindingError::NotInRoster);
        assert_eq!(refused(&three, hospital(1), &key(2), 1), BlindingError::NotOurKey);
        assert_eq!(refused(&three, hospital(1), &key(1), 0), BlindingError::Cells { cells: 0 });
        assert_eq!(refused(&three, hospital(1), &key(1), MAX_CELLS + 1), BlindingError::Cells { cells: MAX_CELLS + 1 });

        // Points of order 1, 2, 4 and 8 by their u coordinates (RFC 7748, section 6.1; u = 0, 1, and of order 8).
        let order_8 = [
            0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09,
            0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
        ];
        let mut one = [0; 32];
        one[0] = 1;
        for weak in [[0; 32], one, order_8] {
            let mut members = members(4);
            members[3].1 = weak;
            let roster = BlindingRoster::new(members).expect("weakness shows only in the agreement");
            assert_eq!(
                refused(&roster, hospital(1), &key(1), 1),
                BlindingError::SmallOrderKey { hospital: hospital(3) }
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn hidden_values_sum_to_the_values(n in 3u16..12, seed: u8, value: i64) {
            let values = [value, i64::MIN, i64::MAX, -1, 0];
            let mut total = [0u64; 6];
            for blinds in all_blinds(&chain(), seed, u32::from(n), &roster(n), 5) {
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
