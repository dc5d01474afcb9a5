//! What the custodian passes to the researcher: of the sets that passed, the seeds of their pads and the keys of all veils.
//!
//! With S sets and n hospitals in the order of the roster:
//!
//! ```text
//! bytes               field
//! n · 32 · (S + 1)    each hospital's commitments to its keys, that of the check cell last
//! n · 32              the keys of the veiled check cell, by hospital
//! S · (24 + n · 32)   each set's seed and keys, by hospital; all zero when it did not pass
//! ```
//!
//! As long, whatever passed. A commitment list that is not what its hospital committed to on the ledger is refused, and so is
//! a key that is not in it: the custodian can keep keys back, but cannot shift a number by another key.

use consilium_protocol::hash::content;
use consilium_protocol::ids::ContentHash;
use zeroize::Zeroizing;

use super::veil::{COMMITMENT_BYTES, VeilKey, Veils};
use super::{GuardError, Seed};

/// What one set that passed is opened with.
#[derive(Debug)]
pub(super) struct SetKeys {
    pub(super) seed: Seed,
    /// By hospital.
    pub(super) veils: Vec<VeilKey>,
}

/// What the researcher opens a guarded round with.
#[derive(Debug)]
pub struct Disclosed {
    pub(super) sets: Vec<Option<SetKeys>>,
    /// By hospital.
    pub(super) check: Vec<VeilKey>,
}

impl Disclosed {
    /// Puts together what passed: `seeds` by set, `veils` by hospital in the order of the roster.
    ///
    /// # Errors
    /// [`GuardError::Seeds`] when there are veils over another number of sets.
    pub fn of(seeds: Vec<Option<Seed>>, veils: &[Veils]) -> Result<Self, GuardError> {
        if let Some(other) = veils.iter().find(|veils| veils.sets() != seeds.len()) {
            return Err(GuardError::Seeds { expected: seeds.len(), found: other.sets() });
        }
        let keys = |(set, seed): (usize, Option<Seed>)| {
            let veils = veils.iter().map(|veils| veils.of_set(set).clone());
            seed.map(|seed| SetKeys { seed, veils: veils.collect() })
        };
        let sets = seeds.into_iter().enumerate().map(keys).collect();
        Ok(Self { sets, check: veils.iter().map(|veils| veils.of_check().clone()).collect() })
    }

    /// How many sets there are, whether they passed or not.
    pub fn sets(&self) -> usize {
        self.sets.len()
    }

    /// Whether a set passed.
    pub fn has(&self, set: usize) -> bool {
        self.sets.get(set).is_some_and(Option::is_some)
    }

    /// The length of the bytes.
    pub const fn encoded_bytes(sets: usize, hospitals: usize) -> usize {
        hospitals * COMMITMENT_BYTES * (sets + 1)
            + hospitals * VeilKey::BYTES
            + sets * (Seed::BYTES + hospitals * VeilKey::BYTES)
    }

    /// The bytes, to be sealed to the researcher. `commitments` are the hospitals' lists.
    pub fn to_bytes(&self, commitments: &[Vec<u8>]) -> Zeroizing<Vec<u8>> {
        let hospitals = self.check.len();
        let mut out = Zeroizing::new(Vec::with_capacity(Self::encoded_bytes(self.sets(), hospitals)));
        commitments.iter().for_each(|list| out.extend_from_slice(list));
        self.check.iter().for_each(|key| out.extend_from_slice(key.as_bytes()));
        for set in &self.sets {
            match set {
                Some(SetKeys { seed, veils }) => {
                    out.extend_from_slice(seed.as_bytes());
                    veils.iter().for_each(|key| out.extend_from_slice(key.as_bytes()));
                }
                None => {
                    let end = out.len() + Seed::BYTES + hospitals * VeilKey::BYTES;
                    out.resize(end, 0);
                }
            }
        }
        out
    }

    /// Reads what [`Disclosed::to_bytes`] wrote, and holds every key against what its hospital committed to on the ledger, in
    /// the order of the roster.
    ///
    /// # Errors
    /// [`GuardError::Disclosed`] when the bytes are not as long as they must be; [`GuardError::Veil`] when a key is not what its
    /// hospital committed to.
    pub fn from_bytes(bytes: &[u8], sets: usize, committed: &[ContentHash]) -> Result<Self, GuardError> {
        let hospitals = committed.len();
        let expected = Self::encoded_bytes(sets, hospitals);
        if bytes.len() != expected || hospitals == 0 {
            return Err(GuardError::Disclosed { expected, found: bytes.len() });
        }
        let (lists, rest) = bytes.split_at(hospitals * COMMITMENT_BYTES * (sets + 1));
        let lists: Vec<&[u8]> = lists.chunks_exact(COMMITMENT_BYTES * (sets + 1)).collect();
        if let Some(hospital) = (0..hospitals).find(|hospital| content(lists[*hospital]) != committed[*hospital]) {
            return Err(GuardError::Veil { hospital });
        }
        let keys_of = |bytes: &[u8], set: usize| -> Result<Vec<VeilKey>, GuardError> {
            let keys = bytes.as_chunks::<{ VeilKey::BYTES }>().0.iter().enumerate();
            keys.map(|(hospital, key)| {
                let key = VeilKey::from_bytes(*key);
                let fits = lists[hospital][set * COMMITMENT_BYTES..][..COMMITMENT_BYTES] == key.commitment();
                if fits { Ok(key) } else { Err(GuardError::Veil { hospital }) }
            })
            .collect()
        };
        let (check, rest) = rest.split_at(hospitals * VeilKey::BYTES);
        let of_set = |(set, bytes): (usize, &[u8])| -> Result<Option<SetKeys>, GuardError> {
            let (seed, keys) = bytes.split_at(Seed::BYTES);
            let seed = Seed::from_bytes(seed.first_chunk().expect("the lengths were checked"));
            seed.map(|seed| Ok(SetKeys { seed, veils: keys_of(keys, set)? })).transpose()
        };
        let sets_with_keys = rest.chunks_exact(Seed::BYTES + hospitals * VeilKey::BYTES).enumerate();
        Ok(Self { check: keys_of(check, sets)?, sets: sets_with_keys.map(of_set).collect::<Result<_, _>>()? })
    }
}

#[cfg(test)]
mod tests {
    use consilium_protocol::ids::{HospitalId, LedgerId, RoundNumber, StudyId};

    use super::*;
    use crate::cells::{BlindingRoster, BlindingRound};
    use crate::guard::VeilSeed;

    fn veils(sets: usize) -> Vec<Veils> {
        let ledger = LedgerId::from_bytes([1; 32]);
        let hospital = |n: u8| HospitalId::from_public_key([n; 32]);
        let roster = BlindingRoster::new((1..4).map(hospital).collect()).expect("a roster");
        let (study, round) = (StudyId::from_bytes([1; 32]), RoundNumber::new(0));
        let round = BlindingRound { ledger: &ledger, study, round, roster: &roster };
        let of = |n: u8| Veils::derive(&VeilSeed::from_bytes(&[n; 32]).expect("32 bytes"), &round, hospital(n), sets);
        (1..4).map(of).collect()
    }

    #[test]
    fn only_keys_that_hospitals_committed_to_are_taken() {
        let veils = veils(2);
        let seed = || Seed::from_bytes(&[5; Seed::BYTES]);
        let lists: Vec<Vec<u8>> = veils.iter().map(Veils::commitments).collect();
        let committed: Vec<ContentHash> = veils.iter().map(Veils::commitment).collect();
        let bytes = Disclosed::of(vec![None, seed()], &veils).expect("two sets").to_bytes(&lists);
        assert_eq!(bytes.len(), Disclosed::encoded_bytes(2, 3));
        let read = Disclosed::from_bytes(&bytes, 2, &committed).expect("honest bytes");
        assert!(read.sets[0].is_none());
        let set = read.sets[1].as_ref().expect("it passed");
        assert_eq!(set.seed.as_bytes(), &[5; Seed::BYTES]);
        assert!(set.veils.iter().zip(&veils).all(|(key, veils)| key == veils.of_set(1)));
        assert!(read.check.iter().zip(&veils).all(|(key, veils)| key == veils.of_check()));
        assert_eq!(read.to_bytes(&lists), bytes);

        // As long whatever passed, and nothing of what did not.
        let none = Disclosed::of(vec![None, None], &veils).expect("two sets").to_bytes(&lists);
        assert_eq!(none.len(), bytes.len());
        assert!(none[none.len() - 2 * (Seed::BYTES + 96)..].iter().all(|byte| *byte == 0));

        let refused = |bytes: &[u8], committed: &[ContentHash]| Disclosed::from_bytes(bytes, 2, committed).map(drop);
        // A byte of any list or key; the seed's is not committed to, and gives noise.
        let seed_at = bytes.len() - Seed::BYTES - 96;
        for at in (0..bytes.len()).filter(|at| *at < seed_at - (Seed::BYTES + 96) || *at >= seed_at + Seed::BYTES) {
            let mut changed = bytes.to_vec();
            changed[at] ^= 1;
            assert!(matches!(refused(&changed, &committed), Err(GuardError::Veil { .. })), "byte {at}");
        }
        // Another hospital's keys, which it committed to.
        let mut swapped = bytes.to_vec();
        let keys = bytes.len() - 96;
        swapped.copy_within(keys..keys + 32, keys + 32);
        assert_eq!(refused(&swapped, &committed), Err(GuardError::Veil { hospital: 1 }));
        assert!(matches!(refused(&bytes[1..], &committed), Err(GuardError::Disclosed { .. })));
        assert!(matches!(refused(&bytes, &committed[..2]), Err(GuardError::Disclosed { .. })));
        assert!(matches!(Disclosed::of(vec![None], &veils), Err(GuardError::Seeds { expected: 1, found: 2 })));
    }
}
