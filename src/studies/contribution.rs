//! The hospital's own contribution to a round: asked of the vault once, kept on disk, the same ever after, and committed to
//! at the end of a slot.

use std::time::{Duration, Instant};

use consilium_ledger::state::State;
use consilium_ledger::state::study::{Roles, Round, RoundEnd, Study};
use consilium_protocol::genesis::Genesis;
use consilium_protocol::hash;
use consilium_protocol::ids::{Height, HospitalId, RoundNumber, StudyId, Timestamp};
use consilium_protocol::lots::Draw;
use consilium_protocol::policy::DisclosurePolicy;
use consilium_protocol::study::Protection;
use consilium_protocol::tx::Contribute;
use tokio::sync::MutexGuard;
use tracing::{debug, info};

use super::Studies;
use super::error::DriveError;
use super::guarded::{self, GuardedRound};
use super::pairs;
use super::rounds::Piece;
use super::slots::{Slots, behind_ms};
use crate::replica::submit::now;
use crate::replica::{Replica, count};
use crate::vault::{Contributed, Earlier, GuardTask, History, Partner, Standing, Task, commitment_of};

/// How often a round looks whether those before it are computed.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// What the hospital commits to in a round, when it may be said: at the end of a slot, whether it was computed now, before,
/// or could not be.
pub(super) async fn commitment(
    studies: &Studies,
    study: &StudyId,
    round: RoundNumber,
) -> Result<Contribute, DriveError> {
    let slots = slots(&studies.replica, study, round)?;
    let next = round.next().ok_or(DriveError::NoStudy)?;
    // Up to here, and in preparing the task, no row has a part: what fails, fails at once.
    let made = match studies.kept.rounds.get(study, round, Piece::Contribution)? {
        Some(bytes) => Ok((bytes, false)),
        None => {
            let from_others = from_others(studies, study, round).await?;
            let turn = studies.turn.after(|| in_order(studies, study, round)).await?;
            let task = task(studies, study, round, from_others)?;
            let made = make(studies, &task).await.map(|bytes| (bytes, true));
            drop(turn);
            made
        }
    };
    let letter = studies.kept.rounds.get(study, round, Piece::Veil)?;
    let counts = studies.kept.rounds.get(study, round, Piece::Counts)?;
    let proof = studies.kept.rounds.get(study, round, Piece::Proof)?;
    // The bytes' hash takes time, too.
    let made = made.and_then(|(bytes, new)| {
        // Without what shows how it was made, this hospital would be named should it be drawn.
        let proof = hash::content(&proof.ok_or(DriveError::Lost)?);
        let contribution = hash::content(&bytes);
        let veil = letter.as_deref().and_then(|letter| commitment_of(letter, counts.as_deref()));
        let lot = studies.vault.lot(study, next, Draw::Roles);
        Ok((Contribute { study: *study, round, contribution, bytes: bytes.len() as u64, proof, lot, veil }, new))
    });
    let ready = now();
    tokio::time::sleep(slots.wait(ready)).await;
    let (commitment, new) = made?;
    if !slots.in_time(ready) {
        return Err(DriveError::TooLate);
    }
    if new {
        count(&studies.counters.contributions);
    }
    Ok(commitment)
}

/// When contributions to a round may leave.
fn slots(replica: &Replica, study: &StudyId, round: RoundNumber) -> Result<Slots, DriveError> {
    replica.chain.read(|state| {
        let found = state.study(study).ok_or(DriveError::NoStudy)?;
        let opened = found.course.round(round).ok_or(DriveError::NoStudy)?.opened.time;
        if let Some(behind_ms) = behind_ms(state.time(), now()) {
            return Err(DriveError::Clock { behind_s: behind_ms / 1_000 });
        }
        let genesis = state.genesis();
        let closes = opened.plus_millis(genesis.deadlines.round_ms);
        Ok(Slots { opened, closes, slot_ms: genesis.policy.slot_ms() })
    })?
}

/// Has the contribution made. It is on disk before anybody hears of it.
async fn make(studies: &Studies, task: &Task) -> Result<Vec<u8>, DriveError> {
    let started = Instant::now();
    let Contributed { bytes, veil, counts, proof } = studies.vault.contribute(task).await?;
    if let Some(letter) = veil {
        studies.kept.rounds.keep(&task.study, task.round, Piece::Veil, &letter)?;
    }
    if let Some(counts) = counts {
        studies.kept.rounds.keep(&task.study, task.round, Piece::Counts, &counts)?;
    }
    studies.kept.rounds.keep(&task.study, task.round, Piece::Proof, &proof)?;
    studies.kept.rounds.keep(&task.study, task.round, Piece::Contribution, &bytes)?;
    info!(
        study = task.study.short(),
        round = task.round.get(),
        bytes = bytes.len(),
        ms = started.elapsed().as_millis() as u64,
        "contribution computed, blinded and encrypted; it leaves at the end of the slot"
    );
    Ok(bytes)
}

/// What a contribution takes of other hospitals.
struct FromOthers {
    guard: Option<GuardTask>,
    partners: Vec<Partner>,
}

/// Fetches what a contribution takes of other hospitals. It may take as long as they please.
async fn from_others(studies: &Studies, study: &StudyId, round: RoundNumber) -> Result<FromOthers, DriveError> {
    let guard = match GuardedRound::read(&studies.replica, study, round) {
        Some(found) => {
            guarded::check_key_sets(studies, &found).await?;
            let custodian_key = guarded::public_key(studies, &found).await?;
            let Roles { sealing_key, veil_key, witness, .. } = found.roles;
            let witness_key = witness.map(|witness| witness.sealing_key);
            Some(GuardTask { custodian_key, sealing_key, veil_key, witness_key })
        }
        None => None,
    };
    let roster = studies.replica.chain.read(|state| {
        let found = state.study(study).ok_or(DriveError::NoStudy)?;
        Ok::<_, DriveError>(found.course.round(round).ok_or(DriveError::NoStudy)?.roster.clone())
    })??;
    let partners = pairs::partners(studies, *study, &roster).await?;
    Ok(FromOthers { guard, partners })
}

/// What the vault is asked, as the ledger stands now.
fn task(
    studies: &Studies,
    study: &StudyId,
    round: RoundNumber,
    FromOthers { guard, partners }: FromOthers,
) -> Result<Task, DriveError> {
    let replica = &studies.replica;
    replica.chain.read(|state| {
        let found = state.study(study).ok_or(DriveError::NoStudy)?;
        let running = found.course.round(round).ok_or(DriveError::NoStudy)?;
        let place = found.course.before(&replica.hospital).ok_or(DriveError::NoStudy)?;
        Ok(Task {
            study: *study,
            round,
            spec: found.proposal.spec.clone(),
            public_key: found.proposal.public_key.clone(),
            roster: running.roster.clone(),
            pair_key: found.course.approvals[place].pair_key,
            partners,
            roll: state.roll(study, round, &replica.hospital)?,
            left: left(running.opened.time, &replica.genesis),
            subjects: state.figures().subjects,
            privacy_loss: state.privacy_loss(&replica.hospital),
            guard,
            history: history(state, &replica.hospital),
            earlier: earlier(studies, state, (*study, round)),
            is_first: is_first(state, (running.opened.height, *study, round), &running.roster),
        })
    })?
}

/// Contributions are computed one at a time. Whose turn it is looks at what was computed before, and has it until its own is remembered:
/// between the two nothing else is computed, however long others keep a study waiting.
#[derive(Debug, Default)]
pub struct Turn(tokio::sync::Mutex<()>);

impl Turn {
    /// Waits until nothing comes first any more.
    async fn after<'a>(
        &'a self,
        first: impl Fn() -> Result<Option<StudyId>, DriveError>,
    ) -> Result<MutexGuard<'a, ()>, DriveError> {
        loop {
            let turn = self.0.lock().await;
            let Some(earlier) = first()? else { return Ok(turn) };
            drop(turn);
            debug!(earlier = earlier.short(), "waits for a study that was opened earlier");
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

/// Where a round stands among all: which opened earlier, and of those of one block any order, the same for everybody.
type Place = (Height, StudyId, RoundNumber);

/// The rounds of other than private studies that any of these was or is to contribute to, with their studies, in the order in which
/// they opened.
fn rounds_of<'a>(state: &'a State, any: &[HospitalId]) -> Vec<(Place, Study<'a>, &'a Round)> {
    let remembered =
        state.studies().filter(|study| !matches!(study.proposal.spec.protection, Protection::Private { .. }));
    let mut rounds: Vec<_> = remembered
        .flat_map(|study| {
            let theirs = study.course.rounds.iter().filter(|round| any.iter().any(|id| round.has(id)));
            theirs.map(move |round| ((round.opened.height, study.id, round.number), study, round)).collect::<Vec<_>>()
        })
        .collect();
    rounds.sort_by_key(|(place, ..)| *place);
    rounds
}

/// Whether a study is held against another round. Tried again it is held against no round of its own that was guarded: none of them gave a
/// result, as far as the custodian said.
fn is_held_against(own: &StudyId, (of, round): (&StudyId, &Round), policy: &DisclosurePolicy) -> bool {
    let is_tried_again = of == own && round.guard.is_some() && round.ended.is_some();
    !is_tried_again && round.may_be_known(policy)
}

/// Whether no hospital of the roster was to contribute to a round before this one of which anything may be known.
fn is_first(state: &State, own: Place, roster: &[HospitalId]) -> bool {
    let rounds = rounds_of(state, roster);
    let mut before = rounds.iter().take_while(|(place, ..)| *place != own);
    before.all(|(_, of, round)| !is_held_against(&own.1, (&of.id, round), &state.genesis().policy))
}

/// All hospitals hold a study against the same earlier ones: those whose rounds opened before. So a round waits for those before
/// it, though not longer than half of its own time; and what was overtaken is not contributed to any more. The study that it waits
/// for, if it does.
fn in_order(studies: &Studies, study: &StudyId, round: RoundNumber) -> Result<Option<StudyId>, DriveError> {
    let own = studies.replica.hospital;
    let has_computed = |of: &Study<'_>, round: &Round| has_computed(studies, of, round);
    studies.replica.chain.read(|state| waits_for(state, own, (*study, round), has_computed, now()))?
}

/// Likewise, as the ledger stands.
fn waits_for(
    state: &State,
    own: HospitalId,
    of: (StudyId, RoundNumber),
    has_computed: impl Fn(&Study<'_>, &Round) -> bool,
    now: Timestamp,
) -> Result<Option<StudyId>, DriveError> {
    let rounds = rounds_of(state, &[own]);
    let Some(at) = rounds.iter().position(|((_, id, number), ..)| (*id, *number) == of) else {
        return Ok(None);
    };
    let policy = &state.genesis().policy;
    let overtakes =
        |(_, of, round): &&(Place, Study<'_>, &Round)| has_computed(of, round) && round.may_be_known(policy);
    if let Some((_, later, _)) = rounds[at + 1..].iter().find(overtakes) {
        return Err(DriveError::Overtaken(later.id));
    }
    let half = rounds[at].2.opened.time.plus_millis(state.genesis().deadlines.round_ms / 2);
    let waits = |(_, of, round): &&(Place, Study<'_>, &Round)| round.ended.is_none() && !has_computed(of, round);
    let earlier = rounds[..at].iter().find(waits).map(|(_, earlier, _)| earlier.id);
    Ok(earlier.filter(|_| now < half))
}

/// Whether this hospital has computed its part of a round, whether it has left or not.
fn has_computed(studies: &Studies, study: &Study<'_>, round: &Round) -> bool {
    let own = &studies.replica.hospital;
    round.contributions.contains_key(own) || studies.vault.has_computed(&study.id, round.number)
}

/// What a round is held against, with those that it may repeat last, in the order of the ledger.
fn earlier(studies: &Studies, state: &State, (study, round): (StudyId, RoundNumber)) -> Vec<Earlier> {
    let rounds = rounds_of(state, &[studies.replica.hospital]);
    let before = rounds.iter().take_while(|((_, id, number), ..)| (*id, *number) != (study, round));
    let (repeatable, policy) = (state.repeatable(&study, round), &state.genesis().policy);
    let place = |study: StudyId, round: RoundNumber| repeatable.iter().position(|of| *of == (study, round));
    let mut earlier: Vec<(Option<usize>, Earlier)> = before
        .filter(|(_, of, round)| has_computed(studies, of, round) && is_held_against(&study, (&of.id, round), policy))
        .map(|(_, of, round)| {
            let is_said = round.ended.is_some() && !round.passed.is_empty();
            let place = place(of.id, round.number);
            let earlier = Earlier {
                study: of.id,
                round: round.number,
                spec: of.proposal.spec.clone(),
                passed: is_said.then(|| round.passed.clone()),
                is_repeatable: place.is_some(),
            };
            (place, earlier)
        })
        .collect();
    earlier.sort_by_key(|(place, _)| *place);
    earlier.into_iter().map(|(_, earlier)| earlier).collect()
}

/// How long it is until a contribution must be ready to a round that was opened then: in time for the last slot but one.
fn left(opened: Timestamp, genesis: &Genesis) -> Duration {
    let closes = opened.plus_millis(genesis.deadlines.round_ms);
    let taken = now().get().saturating_add(genesis.policy.slot_ms());
    Duration::from_millis(closes.get().saturating_sub(taken))
}

/// What became of every round that the hospital was to contribute to, those of private studies left out. One that ended
/// before it did counts as incomplete: what was computed for it has not left.
fn history(state: &State, own: &HospitalId) -> History {
    let mut history = History::new();
    let remembered =
        state.studies().filter(|study| !matches!(study.proposal.spec.protection, Protection::Private { .. }));
    for study in remembered {
        for round in study.course.rounds.iter().filter(|round| round.has(own)) {
            let standing = match round.ended {
                Some((_, RoundEnd::Released)) => Standing::Released,
                // Once all have contributed, the sum may have been seen, whatever became of the round.
                Some(_) if !round.is_given() => Standing::Incomplete,
                _ if round.contributions.contains_key(own) => Standing::Contributed,
                _ => continue,
            };
            history.insert((study.id, round.number), standing);
        }
    }
    history
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering::SeqCst;

    use consilium_ledger::state::study::{Guard, Sealed};
    use consilium_protocol::kem::{KemPublicKey, PUBLIC_KEY_BYTES};
    use consilium_protocol::tx::{Blob, FailRound, KeySet, OpenRound, Payload};
    use tokio::time::timeout;

    use super::*;
    use crate::testing::{Ledger, Who, content};

    const ROUND: RoundNumber = RoundNumber::new(0);

    #[test]
    fn of_a_round_that_waited_for_lots_in_vain_nothing_is_known() {
        for shown in [false, true] {
            let mut ledger = Ledger::new(4);
            let study = ledger.opened(&[0, 1, 2, 3]);
            ledger.contribute(study, 0, 0..4);
            if shown {
                ledger.show_lots(study);
            }
            ledger.now += ledger.consortium.genesis.deadlines.round_ms;
            let fail = Payload::FailRound(FailRound { study, round: ROUND });
            assert_eq!(ledger.one(Who::Hospital(0), fail), Ok(()));
            let round = &ledger.state.study(&study).expect("a study").course.rounds[0];
            // Once lots are shown contributions are given, and the sum may have been seen.
            assert_eq!(round.may_be_known(&ledger.consortium.genesis.policy), shown);
            let standing = history(&ledger.state, &ledger.consortium.hospital(0))[&(study, ROUND)];
            assert_eq!(standing, if shown { Standing::Contributed } else { Standing::Incomplete });
        }
    }

    #[test]
    fn a_study_that_is_tried_again_is_not_held_against_what_gave_no_result() {
        let mut ledger = Ledger::new(4);
        let study = ledger.opened(&[0, 1, 2, 3]);
        ledger.contribute(study, 0, 0..4);
        ledger.show_lots(study);
        ledger.now += ledger.consortium.genesis.deadlines.round_ms;
        assert_eq!(ledger.one(Who::Hospital(0), Payload::FailRound(FailRound { study, round: ROUND })), Ok(()));
        let open = ledger.state.study(&study).expect("a study").course.rounds[0].clone();
        let key = KemPublicKey::from_bytes([9; PUBLIC_KEY_BYTES]);
        let blob = |name| Blob { hash: content(name), bytes: 1 };
        let roles = Roles {
            aggregator: open.roster[0],
            custodian: open.roster[1],
            sealing_key: key,
            veil_key: key,
            keys: Some(KeySet { public_key: blob(1), server_key: blob(2) }),
            witness: None,
        };
        let sealed = Sealed { sum: blob(3), seeds: blob(4), height: Height::new(9) };
        let guard = Guard { roles, sealed: Some(sealed), witnessed: None, disclosed: None };
        let guarded = Round { guard: Some(guard), ..open.clone() };
        let running = Round { ended: None, ..guarded.clone() };
        let other = StudyId::from_bytes([9; 32]);
        let held = |own, round, key_sets| {
            let policy = DisclosurePolicy { key_sets, ..ledger.consortium.genesis.policy };
            is_held_against(own, (&study, round), &policy)
        };
        // What its custodian could read it may have given away: it is asked to be believed with one set of keys.
        assert_eq!([held(&other, &guarded, 1), held(&other, &guarded, 8)], [false, true]);
        assert_eq!([held(&study, &guarded, 1), held(&study, &guarded, 8)], [false, false]);
        for key_sets in [1, 8] {
            assert!(held(&other, &running, key_sets) && held(&study, &open, key_sets));
        }
    }

    #[tokio::test]
    async fn between_the_look_and_what_is_remembered_nothing_else_is_computed() {
        let turn = Turn::default();
        let (first_id, second_id) = (StudyId::from_bytes([1; 32]), StudyId::from_bytes([2; 32]));
        let is_second_computed = AtomicBool::new(false);
        // The second is being computed; the first was kept waiting by others, and would go on now.
        let second = turn.after(|| Ok(None)).await.expect("its turn");
        let look = || if is_second_computed.load(SeqCst) { Err(DriveError::Overtaken(second_id)) } else { Ok(None) };
        let mut first = Box::pin(turn.after(look));
        assert!(timeout(LOOK_AGAIN * 2, &mut first).await.is_err(), "not while the second is computed");
        is_second_computed.store(true, SeqCst);
        drop(second);
        assert!(matches!(first.await, Err(DriveError::Overtaken(by)) if by == second_id));
        // Who waits for another study leaves it the turn.
        let is_first_computed = AtomicBool::new(false);
        let mut second = Box::pin(turn.after(|| Ok((!is_first_computed.load(SeqCst)).then_some(first_id))));
        assert!(timeout(LOOK_AGAIN / 2, &mut second).await.is_err());
        let first =
            timeout(LOOK_AGAIN * 2, turn.after(|| Ok(None))).await.expect("its turn").expect("nothing is first");
        is_first_computed.store(true, SeqCst);
        drop(first);
        assert!(second.await.is_ok());
    }

    /// Several open studies, each opened a while after the one before.
    fn several(ledger: &mut Ledger, names: &[u8]) -> Vec<StudyId> {
        ledger.accredit(1);
        let open = |name: &u8| {
            let (study, outcome) = ledger.propose_protected(*name, Protection::Open);
            assert_eq!(outcome, Ok(()));
            (0..4).for_each(|i| assert_eq!(ledger.approve(i, study), Ok(())));
            ledger.now += 100;
            assert_eq!(ledger.one(Who::Hospital(0), Payload::OpenRound(OpenRound { study })), Ok(()));
            study
        };
        names.iter().map(open).collect()
    }

    #[test]
    fn a_round_waits_for_those_that_opened_before_and_is_not_contributed_to_once_overtaken() {
        let mut ledger = Ledger::new(4);
        let [first, second, third] = several(&mut ledger, &[1, 2, 3])[..] else { panic!("three studies") };
        let own = ledger.consortium.hospital(2);
        let ask = |ledger: &Ledger, study: StudyId, computed: &[StudyId], after_ms: u64| {
            let opened = ledger.state.study(&study).expect("a study").course.rounds[0].opened.time;
            let computed = |of: &Study<'_>, _: &Round| computed.contains(&of.id);
            match waits_for(&ledger.state, own, (study, ROUND), computed, opened.plus_millis(after_ms)) {
                Ok(waits_for) => Ok(waits_for),
                Err(DriveError::Overtaken(by)) => Err(by),
                Err(error) => panic!("{error}"),
            }
        };
        let half = ledger.consortium.genesis.deadlines.round_ms / 2;
        assert_eq!(ask(&ledger, first, &[], 0), Ok(None));
        assert_eq!(ask(&ledger, second, &[], 0), Ok(Some(first)));
        assert_eq!(ask(&ledger, third, &[first], half - 1), Ok(Some(second)), "the one that is not computed yet");
        assert_eq!(ask(&ledger, third, &[first, second], 0), Ok(None));
        assert_eq!(ask(&ledger, second, &[], half), Ok(None), "not longer than half of its own time");
        assert_eq!(ask(&ledger, first, &[third], 0), Err(third));
        assert_eq!(ask(&ledger, second, &[first, third], 0), Err(third));
        assert_eq!(ask(&ledger, second, &[first, second], 0), Ok(None), "what was computed may be said again");

        // Of what ended before all contributed nothing is known, and nothing comes any more.
        ledger.now += ledger.consortium.genesis.deadlines.round_ms;
        let fail = |study| Payload::FailRound(FailRound { study, round: ROUND });
        assert_eq!(ledger.one(Who::Hospital(0), fail(third)), Ok(()));
        assert_eq!(ask(&ledger, second, &[first, third], 0), Ok(None));
        assert_eq!(ledger.one(Who::Hospital(0), fail(first)), Ok(()));
        assert_eq!(ask(&ledger, second, &[], 0), Ok(None));
    }
}
