//! Veils: what every hospital lays over its cells, and only the custodian can have taken off.
//!
//! A hospital draws a [`VeilSeed`] for a round and seals it to the custodian. From it follows one [`VeilKey`] for each set of
//! groups that is shown together, and one for the *veiled check cell*; and from a key one word for every cell of its set, added to
//! the cells beside the blinds, modulo 2^64:
//!
//! ```text
//! key    = HKDF-SHA256(ikm = seed, salt = "consilium/guard/veil/v1",
//!                      info = tagged("consilium/guard/veil/info/v1", ledger, study, round, roster hash, hospital, set))
//! stream = AES-256-CTR(key), one little-endian u64 per cell of the set, ascending
//! ```
//!
//! Unlike blinds, veils do not cancel: the joint cells of a set are uniform to whoever lacks the key of any one hospital. The
//! hospital commits to its keys one by one ([`Veils::commitments`]), so that the custodian can give the researcher the keys of a set
//! that passed, and no others in their place.

use std::fmt;

use consilium_protocol::hash::{content, tagged};
use consilium_protocol::ids::{ContentHash, HospitalId};
use consilium_protocol::keys::{NoRandomness, random_bytes};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::Padded;
use crate::cells::{
    self, BlindingRound, Blinds, ContributionError, EncryptedCells, EncryptionSeed, StudyPublicKey, keystream,
};

const SALT: &[u8] = b"consilium/guard/veil/v1";
const INFO: &str = "consilium/guard/veil/info/v1";
const COMMITMENT: &str = "consilium/guard/veil/commitment/v1";

/// What every hospital puts into the veiled check cell.
pub(super) const VEILED_CHECK: u64 = 1;

/// The length of a commitment to a key.
pub(super) const COMMITMENT_BYTES: usize = 32;

/// What a hospital draws for one round. Erased when dropped, never printed.
pub struct VeilSeed(Zeroizing<[u8; VeilSeed::BYTES]>);

impl VeilSeed {
    /// The length of a seed.
    pub const BYTES: usize = 32;

    /// A fresh seed.
    ///
    /// # Errors
    /// [`NoRandomness`] when the operating system refuses.
    pub fn random() -> Result<Self, NoRandomness> {
        Ok(Self(Zeroizing::new(random_bytes()?)))
    }

    /// The seed of these bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }

    /// The bytes, for the custodian and nobody else.
    pub fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

/// The key of one hospital's veil over one set. Erased when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct VeilKey(Zeroizing<[u8; VeilKey::BYTES]>);

impl VeilKey {
    /// The length of a key.
    pub const BYTES: usize = 32;

    pub(super) fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(super) fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    pub(super) fn commitment(&self) -> [u8; COMMITMENT_BYTES] {
        tagged(COMMITMENT, &[self.as_bytes()])
    }

    fn stream(&self, cells: usize) -> Zeroizing<Vec<u64>> {
        let mut words = Zeroizing::new(vec![0; cells]);
        keystream::fill(self.as_bytes(), &mut words);
        words
    }
}

/// The keys of one hospital's veils: by set, and then that of the veiled check cell.
pub struct Veils(Vec<VeilKey>);

impl Veils {
    /// Derives the keys of a hospital for so many sets.
    pub fn derive(seed: &VeilSeed, round: &BlindingRound<'_>, hospital: HospitalId, sets: usize) -> Self {
        let hkdf = Hkdf::<Sha256>::new(Some(SALT), seed.as_bytes());
        let key = |set: usize| {
            let info = tagged(
                INFO,
                &[
                    round.ledger.as_bytes(),
                    round.study.as_bytes(),
                    &round.round.get().to_le_bytes(),
                    round.roster.hash().as_bytes(),
                    hospital.public_key(),
                    &(set as u64).to_le_bytes(),
                ],
            );
            let mut key = Zeroizing::new([0; VeilKey::BYTES]);
            hkdf.expand(&info, key.as_mut()).expect("HKDF-SHA256 gives up to 8,160 bytes, and this asks for 32");
            VeilKey(key)
        };
        Self((0..=sets).map(key).collect())
    }

    /// How many sets they are over, the veiled check cell not counted.
    pub fn sets(&self) -> usize {
        self.0.len() - 1
    }

    pub(super) fn of_set(&self, set: usize) -> &VeilKey {
        &self.0[set]
    }

    pub(super) fn of_check(&self) -> &VeilKey {
        &self.0[self.sets()]
    }

    /// The list of commitments, in the order of the keys.
    pub fn commitments(&self) -> Vec<u8> {
        self.0.iter().flat_map(VeilKey::commitment).collect()
    }

    /// The hash of that list, which stands on the ledger.
    pub fn commitment(&self) -> ContentHash {
        content(&self.commitments())
    }

    /// A word for each of the cells that the groups lie in, nothing elsewhere, and one for the veiled check cell after them.
    pub(crate) fn words(&self, groups: &[Padded], cells: usize) -> Zeroizing<Vec<u64>> {
        let mut words = Zeroizing::new(vec![0; cells + 1]);
        for (key, own) in self.0.iter().zip(cells_by_set(groups, self.sets())) {
            lay(key, &own, &mut words, u64::wrapping_add);
        }
        words[cells] = self.of_check().stream(1)[0];
        words
    }
}

/// Blinds one hospital's cells of a guarded study, lays its veils over them, appends the veiled check cell and the check cell, and
/// encrypts all under the study's key: [`cells::contribute_by`](crate::cells::contribute_by) with veils.
///
/// The blinds are for one cell more than there are values. What is said there of sending the same bytes again holds here.
///
/// # Errors
/// When the blinds are for another number of cells.
pub fn contribute_veiled(
    values: &[i64],
    mut blinds: Blinds,
    veils: &Veils,
    groups: &[Padded],
    key: &StudyPublicKey,
    seed: &EncryptionSeed,
) -> Result<EncryptedCells, ContributionError> {
    let cells = values.len();
    if blinds.cells() != cells + 1 {
        return Err(ContributionError::Cells { values: cells + 1, blinds: blinds.cells() });
    }
    blinds.veil(&veils.words(groups, cells));
    let mut all = Zeroizing::new(Vec::with_capacity(cells + 1));
    all.extend_from_slice(values);
    all.push(VEILED_CHECK.cast_signed());
    cells::contribute_by(&all, blinds, key, seed)
}

/// For each of so many sets its cells, ascending.
pub(super) fn cells_by_set(groups: &[Padded], sets: usize) -> Vec<Vec<usize>> {
    let mut by_set = vec![Vec::new(); sets];
    groups.iter().for_each(|group| by_set[group.seed].extend(group.cells.clone()));
    by_set
}

/// Adds a key's stream to the cells of its set, or takes it off them.
pub(super) fn lay(key: &VeilKey, own: &[usize], cells: &mut [u64], combine: fn(u64, u64) -> u64) {
    let stream = key.stream(own.len());
    own.iter().zip(stream.iter()).for_each(|(cell, word)| cells[*cell] = combine(cells[*cell], *word));
}

/// The word of the veiled check cell.
pub(super) fn check_word(key: &VeilKey) -> u64 {
    key.stream(1)[0]
}

impl fmt::Debug for VeilSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VeilSeed(…)")
    }
}

impl fmt::Debug for VeilKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VeilKey(…)")
    }
}

impl fmt::Debug for Veils {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Veils({} sets)", self.sets())
    }
}

#[cfg(test)]
mod tests {
    use consilium_protocol::ids::{LedgerId, RoundNumber, StudyId};

    use super::*;
    use crate::cells::BlindingRoster;

    fn hospital(n: u8) -> HospitalId {
        HospitalId::from_public_key([n; 32])
    }

    fn seed(n: u8) -> VeilSeed {
        VeilSeed::from_bytes(&[n; 32]).expect("32 bytes")
    }

    #[test]
    fn everything_in_the_derivation_changes_the_keys() {
        let (ledger, elsewhere) = (LedgerId::from_bytes([1; 32]), LedgerId::from_bytes([2; 32]));
        let three = BlindingRoster::new((1..4).map(hospital).collect()).expect("a roster");
        let four = BlindingRoster::new((1..5).map(hospital).collect()).expect("a roster");
        let of = |ledger, study, round, roster, seed: u8, own| {
            let (study, round) = (StudyId::from_bytes([study; 32]), RoundNumber::new(round));
            Veils::derive(&self::seed(seed), &BlindingRound { ledger, study, round, roster }, hospital(own), 1)
        };
        let all = [
            of(&ledger, 1, 0, &three, 7, 1),
            of(&elsewhere, 1, 0, &three, 7, 1),
            of(&ledger, 2, 0, &three, 7, 1),
            of(&ledger, 1, 1, &three, 7, 1),
            of(&ledger, 1, 0, &four, 7, 1),
            of(&ledger, 1, 0, &three, 8, 1),
            of(&ledger, 1, 0, &three, 7, 2),
        ];
        let keys: Vec<&VeilKey> = all.iter().flat_map(|veils| &veils.0).collect();
        assert_eq!(keys.len(), 14);
        assert!(keys.iter().enumerate().all(|(i, key)| keys[..i].iter().all(|other| other != key)));
        assert_eq!(all[0].commitment().to_string(), "faac611ac8041d94c426112d3074fdde63de64b6b4f4ee5067ada5a901baab8f");
    }

    #[test]
    fn every_cell_of_a_set_has_a_word_of_its_own() {
        let ledger = LedgerId::from_bytes([1; 32]);
        let roster = BlindingRoster::new((1..4).map(hospital).collect()).expect("a roster");
        let round = BlindingRound {
            ledger: &ledger,
            study: StudyId::from_bytes([1; 32]),
            round: RoundNumber::new(0),
            roster: &roster,
        };
        let veils = Veils::derive(&seed(7), &round, hospital(1), 2);
        // Cells 2 and 3 belong to no group.
        let groups =
            [Padded { cells: 0..2, seed: 1 }, Padded { cells: 4..5, seed: 0 }, Padded { cells: 5..8, seed: 1 }];
        let words = veils.words(&groups, 8);
        assert_eq!((words.len(), words[2], words[3]), (9, 0, 0));
        let laid: Vec<u64> = words.iter().copied().filter(|word| *word != 0).collect();
        assert_eq!(laid.len(), 7);
        assert!(laid.iter().enumerate().all(|(i, word)| laid[..i].iter().all(|other| other != word)));
        let mut cells = words.to_vec();
        let by_set = cells_by_set(&groups, 2);
        assert_eq!(by_set, [vec![4], vec![0, 1, 5, 6, 7]]);
        (0..2).for_each(|set| lay(veils.of_set(set), &by_set[set], &mut cells, u64::wrapping_sub));
        assert_eq!(cells[..8], [0; 8]);
        assert_eq!(cells[8], check_word(veils.of_check()));
    }
}
