//! Secrets live as long as what they protect: what a round or a study leaves behind is deleted once it has ended.
//!
//! | what | is deleted when |
//! |---|---|
//! | what is shared with others for a study, and what was encapsulated for it | the study has ended |
//! | what shows how the own contribution was made | all have contributed, and this hospital was not drawn to show it; or the round has ended |
//! | the own contribution and its veil; the seeds under the custodian's key; sums and seeds that were not released | their round has ended |
//! | keys for guarded rounds, the own and others' | the round that they were drawn for has ended |
//!
//! What is released is kept, for the researcher to fetch. What is to go follows from what is on disk and from the ledger, so
//! that a crash leaves nothing behind.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use consilium_ledger::state::State;
use consilium_ledger::state::study::RoundEnd;
use consilium_protocol::ids::{ContentHash, HospitalId, StudyId};
use consilium_protocol::tx::{KeySet, RegisterGuardKeys};
use tracing::{info, warn};

use super::Studies;
use super::guard_keys::{Use, use_of};
use super::rounds::{KeptPiece, Piece};
use crate::home::FileError;

/// How often it is looked whether something is to go.
const LOOK: Duration = Duration::from_secs(2);

/// What is on disk.
#[derive(Debug, Default)]
struct Kept {
    paired: Vec<StudyId>,
    encapsulated: Vec<(StudyId, HospitalId)>,
    pieces: Vec<KeptPiece>,
    sets: Vec<RegisterGuardKeys>,
    keys: Vec<ContentHash>,
}

/// Deletes what has served, until dropped.
pub(super) async fn run(studies: Arc<Studies>) {
    loop {
        tokio::time::sleep(LOOK).await;
        match forget(&studies) {
            Ok(0) => {}
            Ok(files) => info!(files, "secrets of rounds and studies that have ended are deleted"),
            Err(error) => warn!(%error, "secrets that have served could not be deleted"),
        }
    }
}

/// Deletes what has served, once; tells how many files went.
fn forget(studies: &Studies) -> Result<usize, FileError> {
    let (vault, kept) = (&studies.vault, &studies.kept);
    let (sets, keys) = vault.kept_guard_keys();
    let on_disk =
        Kept { paired: vault.paired(), encapsulated: kept.pairs.kept(), pieces: kept.rounds.kept(), sets, keys };
    let served = studies.replica.chain.read(|state| served(state, &studies.replica.hospital, on_disk));
    // A ledger that cannot be read has been reported where it failed.
    let Ok(served) = served else { return Ok(0) };
    served.paired.iter().try_for_each(|study| vault.forget_study(study))?;
    served.encapsulated.iter().try_for_each(|(study, hospital)| kept.pairs.forget(study, hospital))?;
    served.pieces.iter().try_for_each(|piece| kept.rounds.forget(piece))?;
    served.sets.iter().try_for_each(|set| vault.forget_guard_set(&set.sealing_key))?;
    served.keys.iter().try_for_each(|key| vault.forget_guard_key(key))?;
    Ok(served.paired.len() + served.encapsulated.len() + served.pieces.len() + served.sets.len() + served.keys.len())
}

/// What of it has served. What the ledger does not know (yet) has not.
fn served(state: &State, own: &HospitalId, on_disk: Kept) -> Kept {
    let has_ended = |id: &StudyId| state.study(id).is_some_and(|study| study.course.phase.is_final());
    let piece_has_served = |piece: &KeptPiece| {
        let round = state.study(&piece.study).and_then(|study| study.course.round(piece.round));
        match round.and_then(|round| round.ended) {
            Some((_, RoundEnd::Released)) => !matches!(piece.piece, Piece::Sum | Piece::DisclosedSeeds),
            Some((_, RoundEnd::Failed | RoundEnd::Withdrawn)) => true,
            // Who was not drawn has to show nothing.
            None => {
                let is_given = round.is_some_and(|round| round.is_given() && round.examined != Some(*own));
                piece.piece == Piece::Proof && is_given
            }
        }
    };
    let (sets, wanted): (Vec<_>, Vec<_>) =
        on_disk.sets.into_iter().partition(|set| use_of(state, own, set) == Use::Ended);
    let running = state.studies().filter_map(|study| study.course.running_round()?.guard);
    let drawn = running.filter_map(|guard| guard.roles.keys);
    let mut needed: BTreeSet<ContentHash> = drawn.flat_map(|set| set.hashes()).collect();
    let free = wanted.iter().flat_map(|keys| &keys.sets);
    needed.extend(free.flat_map(KeySet::hashes));
    Kept {
        paired: on_disk.paired.into_iter().filter(has_ended).collect(),
        encapsulated: on_disk.encapsulated.into_iter().filter(|(study, _)| has_ended(study)).collect(),
        pieces: on_disk.pieces.into_iter().filter(piece_has_served).collect(),
        sets,
        keys: on_disk.keys.into_iter().filter(|key| !needed.contains(key)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use consilium_protocol::ids::RoundNumber;
    use consilium_protocol::kem::KemSecretKey;
    use consilium_protocol::study::Protection;
    use consilium_protocol::tx::{Attest, Blob, KeySet, OpenRound, Payload, Release, WithdrawStudy};
    use zeroize::Zeroizing;

    use super::*;
    use crate::testing::{Ledger, Who, content};

    const ROUND: RoundNumber = RoundNumber::new(0);
    const ALL: [Piece; 9] = [
        Piece::Contribution,
        Piece::Veil,
        Piece::Counts,
        Piece::Proof,
        Piece::Sum,
        Piece::Seeds,
        Piece::WitnessSeeds,
        Piece::Passed,
        Piece::DisclosedSeeds,
    ];
    /// One that the ledger does not know.
    const UNKNOWN: StudyId = StudyId::from_bytes([0xee; 32]);

    /// Everything there can be of a study and of one that the ledger does not know, and what of it has served.
    fn of(ledger: &Ledger, study: StudyId) -> (Vec<StudyId>, usize, Vec<Piece>) {
        let own = ledger.consortium.hospital(0);
        let piece = |study| move |piece| KeptPiece { study, round: ROUND, piece };
        let on_disk = Kept {
            paired: vec![study, UNKNOWN],
            encapsulated: vec![(study, own), (UNKNOWN, own)],
            pieces: ALL.map(piece(study)).into_iter().chain(ALL.map(piece(UNKNOWN))).collect(),
            ..Kept::default()
        };
        let served = served(&ledger.state, &own, on_disk);
        assert!(served.pieces.iter().all(|piece| piece.study == study));
        (served.paired, served.encapsulated.len(), served.pieces.iter().map(|piece| piece.piece).collect())
    }

    #[test]
    fn what_a_study_needs_is_kept_until_it_ends_and_its_result_after() {
        let mut ledger = Ledger::new(3);
        let study = ledger.opened(&[0, 1, 2]);
        assert_eq!(of(&ledger, study), (vec![], 0, vec![]));
        ledger.contribute(study, 0, 0..3);
        for i in 0..2 {
            let attest = Attest { study, round: ROUND, sum: content(9) };
            assert_eq!(ledger.one(Who::Hospital(i), Payload::Attest(attest)), Ok(()));
        }
        // Of three nobody is drawn.
        assert_eq!(of(&ledger, study), (vec![], 0, vec![Piece::Proof]), "until it is released others may still ask");
        assert_eq!(ledger.one(Who::Hospital(0), Payload::Release(Release { study, round: ROUND })), Ok(()));
        let made_for_others = vec![
            Piece::Contribution,
            Piece::Veil,
            Piece::Counts,
            Piece::Proof,
            Piece::Seeds,
            Piece::WitnessSeeds,
            Piece::Passed,
        ];
        assert_eq!(of(&ledger, study), (vec![study], 1, made_for_others));
    }

    #[test]
    fn what_shows_how_a_contribution_was_made_goes_when_another_is_drawn_to_show_it() {
        let mut ledger = Ledger::new(4);
        let study = ledger.opened(&[0, 1, 2, 3]);
        ledger.contribute(study, 0, 0..4);
        let forgotten = |ledger: &Ledger, i: usize| {
            let on_disk =
                Kept { pieces: ALL.map(|piece| KeptPiece { study, round: ROUND, piece }).to_vec(), ..Kept::default() };
            let served = served(&ledger.state, &ledger.consortium.hospital(i), on_disk);
            served.pieces.iter().map(|piece| piece.piece).collect::<Vec<_>>()
        };
        assert!((0..4).all(|i| forgotten(&ledger, i).is_empty()), "nobody knows whose is wanted");
        ledger.show_lots(study);
        let drawn = ledger.state.study(&study).expect("a study").course.rounds[0].examined.expect("drawn");
        for i in 0..4 {
            let is_drawn = ledger.consortium.hospital(i) == drawn;
            assert_eq!(forgotten(&ledger, i), if is_drawn { vec![] } else { vec![Piece::Proof] });
        }
    }

    #[test]
    fn of_a_study_without_result_nothing_is_left() {
        let mut ledger = Ledger::new(3);
        let study = ledger.opened(&[0, 1, 2]);
        assert_eq!(ledger.one(Who::Researcher(1), Payload::WithdrawStudy(WithdrawStudy { study })), Ok(()));
        assert_eq!(of(&ledger, study), (vec![study], 1, ALL.to_vec()));
    }

    #[test]
    fn keys_are_kept_until_the_round_that_they_were_drawn_for_ends() {
        let mut ledger = Ledger::new(3);
        ledger.accredit(1);
        let (study, _) = ledger.propose_protected(1, Protection::Guarded);
        let set = |i: u8| {
            let blob = |name: u8| Blob { hash: content(name), bytes: 64 };
            let sealing_key = KemSecretKey::from_seed(Zeroizing::new([i; 32])).public_key();
            RegisterGuardKeys { sets: vec![KeySet { public_key: blob(i), server_key: blob(i + 100) }], sealing_key }
        };
        for i in 0..3 {
            assert_eq!(ledger.one(Who::Hospital(i), Payload::RegisterGuardKeys(set(i as u8 + 1))), Ok(()));
            assert_eq!(ledger.approve(i, study), Ok(()));
        }
        assert_eq!(ledger.one(Who::Hospital(0), Payload::OpenRound(OpenRound { study })), Ok(()));
        let roles = ledger.state.study(&study).expect("a study").course.rounds[0].guard.expect("guarded").roles;
        let stranger = content(77);
        let forgotten = |ledger: &Ledger, i: usize| {
            let KeySet { public_key, server_key } = set(i as u8 + 1).sets[0];
            let keys = vec![public_key.hash, server_key.hash, stranger];
            let on_disk = Kept { sets: vec![set(i as u8 + 1)], keys, ..Kept::default() };
            let served = served(&ledger.state, &ledger.consortium.hospital(i), on_disk);
            (served.sets.len(), served.keys.len())
        };
        assert_eq!([0, 1, 2].map(|i| forgotten(&ledger, i)), [(0, 1); 3], "what nobody needs alone");
        assert_eq!(ledger.one(Who::Researcher(1), Payload::WithdrawStudy(WithdrawStudy { study })), Ok(()));
        for i in 0..3 {
            let id = ledger.consortium.hospital(i);
            let drawn = id == roles.aggregator || id == roles.custodian;
            assert_eq!(forgotten(&ledger, i), if drawn { (1, 3) } else { (0, 1) });
        }
    }
}
