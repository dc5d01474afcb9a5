//! What is drawn by lots that members show, other than the roles.
//!
//! A lot is known to its member alone until it is shown, and nobody can choose it. What follows from several is known to whoever shows
//! the last, which can only keep it back: it is then not on the roster of the next round. So lots are shown after what they decide on can
//! no longer be changed: after the custodian is drawn, whose keys are registered; after all have contributed.

use std::collections::BTreeMap;

use consilium_protocol::hash::{Tagged, tagged};
use consilium_protocol::ids::{HospitalId, RoundNumber, StudyId};

/// What a member's proof proves: nobody could choose it, and only the member could know it before.
pub type Lot = [u8; 32];

/// A digest of all lots that members have shown in a study for its roles so far.
pub(super) fn all_shown(lots: &BTreeMap<(RoundNumber, HospitalId), Lot>) -> [u8; 32] {
    let mut shown = Tagged::new("consilium/lots/v1");
    for ((of, hospital), lot) in lots {
        shown.part(&of.get().to_le_bytes());
        shown.part(hospital.public_key());
        shown.part(lot);
    }
    shown.finish()
}

/// Draws one of so many: the first 8 bytes (little-endian), modulo how many there are, of the SHA-256 under a label of: study ‖ round
/// (4 bytes, little-endian) ‖ for each lot shown, ascending, its member ‖ the lot.
fn draw_one(
    label: &'static str,
    (study, round): (StudyId, RoundNumber),
    shown: &BTreeMap<HospitalId, Lot>,
    many: usize,
) -> Option<usize> {
    let number = round.get().to_le_bytes();
    let mut parts: Vec<&[u8]> = vec![study.as_bytes(), &number];
    parts.extend(shown.iter().flat_map(|(hospital, lot)| [&hospital.public_key()[..], &lot[..]]));
    let hash = tagged(label, &parts);
    let (words, _) = hash.as_chunks();
    usize::try_from(u64::from_le_bytes(words[0]).checked_rem(many as u64)?).ok()
}

/// Which of the custodian's sets of keys is used, by the lots of all others of the roster.
pub(crate) fn draw_key_set(
    of: (StudyId, RoundNumber),
    shown: &BTreeMap<HospitalId, Lot>,
    sets: usize,
) -> Option<usize> {
    draw_one("consilium/key-set/v1", of, shown, sets)
}

/// Who shows how its contribution was made, by the lots of all of the roster.
pub(crate) fn draw_examined(
    of: (StudyId, RoundNumber),
    shown: &BTreeMap<HospitalId, Lot>,
    roster: &[HospitalId],
) -> Option<HospitalId> {
    roster.get(draw_one("consilium/examined/v1", of, shown, roster.len())?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hospital(name: u8) -> HospitalId {
        HospitalId::from_public_key([name; 32])
    }

    fn shown(last: u8) -> BTreeMap<HospitalId, Lot> {
        [(1, 11), (2, 12), (3, last)].map(|(name, lot)| (hospital(name), [lot; 32])).into()
    }

    #[test]
    fn draws_are_these_and_follow_from_every_lot() {
        let of = (StudyId::from_bytes([7; 32]), RoundNumber::new(2));
        // Computed elsewhere, by SHA-256 alone.
        let many = 1_000_003;
        assert_eq!(draw_one("consilium/key-set/v1", of, &shown(13), many), Some(623_432));
        assert_eq!(draw_one("consilium/examined/v1", of, &shown(13), many), Some(800_690));
        let base = draw_one("consilium/examined/v1", of, &shown(13), many);
        assert_ne!(draw_one("consilium/examined/v1", of, &shown(14), many), base, "the last one's, too");
        let mut without = shown(13);
        without.remove(&hospital(1));
        assert_ne!(draw_one("consilium/examined/v1", of, &without, many), base);
        assert_ne!(draw_one("consilium/examined/v1", (of.0, RoundNumber::new(3)), &shown(13), many), base);
        assert_ne!(draw_one("consilium/examined/v1", (StudyId::from_bytes([8; 32]), of.1), &shown(13), many), base);
        assert_eq!(draw_one("consilium/examined/v1", of, &shown(13), 0), None);
    }

    #[test]
    fn everybody_and_every_set_is_drawn_about_as_often() {
        let roster: Vec<HospitalId> = (1..=5).map(hospital).collect();
        let (mut members, mut sets) = ([0; 5], [0; 8]);
        for study in 0..200 {
            let of = (StudyId::from_bytes([study; 32]), RoundNumber::new(0));
            let drawn = draw_examined(of, &shown(13), &roster).expect("drawn");
            members[roster.iter().position(|id| *id == drawn).expect("of the roster")] += 1;
            sets[draw_key_set(of, &shown(13), 8).expect("drawn")] += 1;
        }
        // 40 and 25 each on average, with deviations of 5.7 and 4.7.
        assert!(members.iter().all(|drawn| (15..=65).contains(drawn)), "{members:?}");
        assert!(sets.iter().all(|drawn| (5..=45).contains(drawn)), "{sets:?}");
    }
}
