//! Of a custodian's sets of keys one is drawn; the others are opened and looked at before anybody contributes.

use consilium_protocol::hash;
use consilium_protocol::ids::{HospitalId, RoundNumber, StudyId};
use consilium_protocol::kem::KemSecretKey;
use consilium_protocol::lots::Draw;
use consilium_protocol::study::Protection;
use consilium_protocol::tx::{
    Accuse, Blob, FailRound, Fault, KeySet, OpenKeySets, OpenRound, Payload, RegisterGuardKeys, ShowLot, VeilCommitment,
};
use zeroize::Zeroizing;

use crate::apply::Outcome;
use crate::event::Event;
use crate::rejection::Rejection;
use crate::state::study::{Phase, Round};
use crate::testing::{Consortium, Ledger, Who, content};

const ROUND: RoundNumber = RoundNumber::new(0);
const SETS: u8 = 8;

fn blob(name: u8) -> Blob {
    Blob { hash: content(name), bytes: 64 }
}

fn keys(i: usize, sets: u8) -> RegisterGuardKeys {
    let name = i as u32 * 32;
    let blob = |name: u32| Blob { hash: hash::content(&name.to_le_bytes()), bytes: 64 };
    let set =
        |set: u8| KeySet { public_key: blob(name + u32::from(set)), server_key: blob(name + u32::from(set) + 10_000) };
    let sealing_key = KemSecretKey::from_seed(Zeroizing::new([i as u8 + 1; 32])).public_key();
    RegisterGuardKeys { sets: (0..sets).map(set).collect(), sealing_key }
}

/// A guarded study of five whose policy asks for eight sets of keys, in its first round.
fn opened() -> (Ledger, StudyId) {
    let mut consortium = Consortium::new(5);
    consortium.genesis.policy.key_sets = u32::from(SETS);
    let mut ledger = Ledger::founded(consortium);
    for i in 0..5 {
        for sets in [0, 1, SETS - 1, SETS + 1] {
            let outcome = ledger.one(Who::Hospital(i), Payload::RegisterGuardKeys(keys(i, sets)));
            assert_eq!(outcome, Err(Rejection::GuardKeys), "{sets}");
        }
        let mut twice = keys(i, SETS);
        twice.sets[1] = twice.sets[0];
        assert_eq!(ledger.one(Who::Hospital(i), Payload::RegisterGuardKeys(twice)), Err(Rejection::GuardKeys));
        assert_eq!(ledger.one(Who::Hospital(i), Payload::RegisterGuardKeys(keys(i, SETS))), Ok(()));
    }
    ledger.accredit(1);
    let (study, outcome) = ledger.propose_protected(1, Protection::Guarded);
    assert_eq!(outcome, Ok(()));
    (0..5).for_each(|i| assert_eq!(ledger.approve(i, study), Ok(())));
    assert_eq!(ledger.one(Who::Hospital(0), Payload::OpenRound(OpenRound { study })), Ok(()));
    (ledger, study)
}

fn round(ledger: &Ledger, study: StudyId) -> &Round {
    ledger.state.study(&study).expect("a study").course.running_round().expect("a round")
}

/// The custodian, and the others.
fn custodian(ledger: &Ledger, study: StudyId) -> (usize, Vec<usize>) {
    let custodian = round(ledger, study).guard.expect("a guard").roles.custodian;
    let is = |i: &usize| ledger.consortium.hospital(*i) == custodian;
    ((0..5).find(is).expect("a member"), (0..5).filter(|i| !is(i)).collect())
}

fn open(ledger: &mut Ledger, study: StudyId, i: usize, seeds: u8) -> Outcome {
    let seeds = (0..seeds).map(|seed| [seed; 32]).collect();
    ledger.one(Who::Hospital(i), Payload::OpenKeySets(OpenKeySets { study, round: ROUND, seeds }))
}

fn contribute(ledger: &mut Ledger, study: StudyId, i: usize) -> Outcome {
    let veil = VeilCommitment { sealed: blob(7), keys: content(8), counts: None };
    let payload = ledger.consortium.contribution(i, study, 0, Some(veil));
    ledger.one(Who::Hospital(i), Payload::Contribute(payload))
}

fn accuse(ledger: &mut Ledger, study: StudyId, i: usize, accused: HospitalId, fault: Fault) -> Outcome {
    ledger.one(Who::Hospital(i), Payload::Accuse(Accuse { study, round: ROUND, accused, fault }))
}

#[test]
fn one_is_drawn_and_the_others_are_opened_before_anybody_contributes() {
    let (mut ledger, study) = opened();
    let (i, others) = custodian(&ledger, study);
    let registered = keys(i, SETS).sets;
    assert_eq!(round(&ledger, study).spare.sets, registered);
    assert_eq!(round(&ledger, study).guard.expect("a guard").roles.keys, None, "nobody knows which");
    let waits = Err(Rejection::Lots { study });
    assert_eq!(open(&mut ledger, study, i, SETS - 1), waits);
    for hospital in 0..5 {
        assert_eq!(contribute(&mut ledger, study, hospital), waits);
    }
    // The custodian has no part in it: it could keep its lot back where it does not like the draw.
    let lot = ledger.consortium.lot_of(i, study, 0, Draw::KeySet);
    let own = Payload::ShowLot(ShowLot { study, round: ROUND, lot });
    assert_eq!(ledger.one(Who::Hospital(i), own), waits);
    ledger.show_lots(study);

    let kept = round(&ledger, study).guard.expect("a guard").roles.keys.expect("drawn");
    let spare: Vec<KeySet> = registered.iter().copied().filter(|set| *set != kept).collect();
    assert_eq!(round(&ledger, study).spare.sets, spare);
    assert_eq!(spare.len() + 1, registered.len(), "the drawn one is one of them");

    let closed = Err(Rejection::KeySets { study });
    for hospital in 0..5 {
        assert_eq!(contribute(&mut ledger, study, hospital), closed);
    }
    let not_in_role = Err(Rejection::NotInRole { hospital: ledger.consortium.hospital(i) });
    assert_eq!(open(&mut ledger, study, others[0], SETS - 1), not_in_role);
    for seeds in [0, 1, SETS - 2, SETS] {
        assert_eq!(open(&mut ledger, study, i, seeds), closed, "{seeds}");
    }
    assert_eq!(open(&mut ledger, study, i, SETS - 1), Ok(()));
    let seeds: Vec<[u8; 32]> = (0..SETS - 1).map(|seed| [seed; 32]).collect();
    assert_eq!(round(&ledger, study).spare.seeds, seeds);
    assert_eq!(open(&mut ledger, study, i, SETS - 1), closed, "once");
    assert_eq!(contribute(&mut ledger, study, others[0]), Ok(()));
}

#[test]
fn who_opens_so_late_that_others_cannot_look_is_left_out() {
    let (mut ledger, study) = opened();
    let (i, others) = custodian(&ledger, study);
    ledger.show_lots(study);
    let drawn = round(&ledger, study).advanced;
    let round_ms = ledger.consortium.genesis.deadlines.round_ms;
    let not_after = drawn.plus_millis(round_ms / 4);
    ledger.now = not_after.get() + 1;
    assert_eq!(open(&mut ledger, study, i, SETS - 1), Err(Rejection::TooLate { not_after }));
    ledger.now += round_ms;
    let payload = Payload::FailRound(FailRound { study, round: ROUND });
    assert_eq!(ledger.one(Who::Hospital(others[0]), payload), Ok(()));
    let next = round(&ledger, study);
    assert!(next.roster.len() == 4 && !next.has(&ledger.consortium.hospital(i)));
}

#[test]
fn who_shows_no_lot_is_left_out_and_not_the_custodian() {
    let (mut ledger, study) = opened();
    let (i, others) = custodian(&ledger, study);
    for other in &others[1..] {
        let lot = ledger.consortium.lot_of(*other, study, 0, Draw::KeySet);
        let payload = Payload::ShowLot(ShowLot { study, round: ROUND, lot });
        assert_eq!(ledger.one(Who::Hospital(*other), payload), Ok(()));
    }
    ledger.now += ledger.consortium.genesis.deadlines.round_ms;
    let payload = Payload::FailRound(FailRound { study, round: ROUND });
    assert_eq!(ledger.one(Who::Hospital(others[1]), payload), Ok(()));
    let next = round(&ledger, study);
    assert!(next.has(&ledger.consortium.hospital(i)) && !next.has(&ledger.consortium.hospital(others[0])));
}

#[test]
fn whose_other_sets_are_not_what_they_should_be_is_named_and_the_round_goes_on_without_it() {
    let (mut ledger, study) = opened();
    let (i, others) = custodian(&ledger, study);
    let accused = ledger.consortium.hospital(i);
    let owed = Err(Rejection::NothingOwed { study });
    ledger.show_lots(study);
    for fault in [Fault::KeySets, Fault::Keys] {
        assert_eq!(accuse(&mut ledger, study, others[0], accused, fault), owed, "not opened yet");
    }
    assert_eq!(open(&mut ledger, study, i, SETS - 1), Ok(()));
    let innocent = ledger.consortium.hospital(others[1]);
    assert_eq!(accuse(&mut ledger, study, others[0], innocent, Fault::KeySets), owed, "not the custodian");
    let round_ms = ledger.consortium.genesis.deadlines.round_ms;
    let not_before = round(&ledger, study).opened.time.plus_millis(round_ms / 4 * 3);
    let early = Err(Rejection::TooEarly { not_before });
    assert_eq!(accuse(&mut ledger, study, others[0], accused, Fault::Keys), early, "lots and seeds take time");
    for fault in [Fault::Contribution, Fault::Malformed, Fault::Veil, Fault::Sum] {
        assert_eq!(accuse(&mut ledger, study, others[0], accused, fault), owed, "not before all have contributed");
    }
    // Two have contributed before the others have looked: that stops nobody.
    assert_eq!(contribute(&mut ledger, study, i), Ok(()));
    assert_eq!(contribute(&mut ledger, study, others[3]), Ok(()));
    assert_eq!(accuse(&mut ledger, study, others[0], accused, Fault::KeySets), Ok(()));
    assert_eq!(accuse(&mut ledger, study, others[1], accused, Fault::KeySets), Ok(()));
    assert_eq!(round(&ledger, study).number, ROUND, "two of five");
    let payload = Payload::Accuse(Accuse { study, round: ROUND, accused, fault: Fault::KeySets });
    let tx = ledger.sign(Who::Hospital(others[2]), payload);
    let events = ledger.commit(vec![tx]).events;
    assert!(events.contains(&Event::Blamed { study, round: ROUND, hospital: accused, fault: Fault::KeySets }));
    // Whoever has no keys for another round makes some first.
    assert!(!events.contains(&Event::RoundFailed { study, round: ROUND }));
    let drawn = round(&ledger, study).guard.expect("a guard").roles.aggregator;
    let aggregator = (0..5).find(|i| ledger.consortium.hospital(*i) == drawn).expect("a member");
    let fail = || Payload::FailRound(FailRound { study, round: ROUND });
    assert_eq!(ledger.one(Who::Hospital(others[0]), fail()), Err(Rejection::NoRoles { study }));
    let anew = Payload::RegisterGuardKeys(keys(aggregator + 10, SETS));
    assert_eq!(ledger.one(Who::Hospital(aggregator), anew), Ok(()));
    assert_eq!(ledger.one(Who::Hospital(others[0]), fail()), Ok(()));

    let next = round(&ledger, study);
    assert_eq!(next.number, RoundNumber::new(1));
    let mut without: Vec<HospitalId> = others.iter().map(|i| ledger.consortium.hospital(*i)).collect();
    without.sort_unstable();
    assert_eq!(next.roster, without, "everybody else, whether it had contributed or not");
    assert!(!next.spare.are_open(), "others' sets, not opened yet");
    let phase = ledger.state.study(&study).expect("a study").course.phase;
    assert_eq!(phase, Phase::Collecting { round: RoundNumber::new(1) });
}

#[test]
fn who_is_named_while_lots_are_awaited_is_left_out_and_nobody_else() {
    let (mut ledger, study) = opened();
    let (i, others) = custodian(&ledger, study);
    ledger.show_lots(study);
    assert_eq!(open(&mut ledger, study, i, SETS - 1), Ok(()));
    (0..5).for_each(|hospital| assert_eq!(contribute(&mut ledger, study, hospital), Ok(())));
    assert_eq!(round(&ledger, study).draws(), Some(Draw::Examined));
    let accused = ledger.consortium.hospital(i);
    for other in &others[..3] {
        assert_eq!(accuse(&mut ledger, study, *other, accused, Fault::KeySets), Ok(()));
    }
    let drawn = round(&ledger, study).guard.expect("a guard").roles.aggregator;
    let aggregator = (0..5).find(|i| ledger.consortium.hospital(*i) == drawn).expect("a member");
    let anew = Payload::RegisterGuardKeys(keys(aggregator + 10, SETS));
    assert_eq!(ledger.one(Who::Hospital(aggregator), anew), Ok(()));
    let fail = Payload::FailRound(FailRound { study, round: ROUND });
    assert_eq!(ledger.one(Who::Hospital(others[0]), fail), Ok(()));
    let next = round(&ledger, study);
    assert!(next.roster.len() == 4 && !next.has(&accused), "nobody could show a lot any more");
}

#[test]
fn what_was_in_a_round_is_not_registered_again() {
    let (mut ledger, study) = opened();
    let (i, _) = custodian(&ledger, study);
    ledger.show_lots(study);
    // Also after others were registered in between.
    let others = Payload::RegisterGuardKeys(keys(i + 10, SETS));
    assert_eq!(ledger.one(Who::Hospital(i), others), Ok(()));
    for set in 0..usize::from(SETS) {
        let mut again = keys(i + 20, SETS);
        again.sets[0] = keys(i, SETS).sets[set];
        let outcome = ledger.one(Who::Hospital(i), Payload::RegisterGuardKeys(again.clone()));
        assert_eq!(outcome, Err(Rejection::GuardKeys), "{set}: its seed may be known to everybody");
        again.sets[0].public_key = blob(250);
        let outcome = ledger.one(Who::Hospital(i), Payload::RegisterGuardKeys(again));
        assert_eq!(outcome, Err(Rejection::GuardKeys), "{set}: nor in part");
    }
    let mut again = keys(i + 20, SETS);
    again.sealing_key = keys(i, SETS).sealing_key;
    let outcome = ledger.one(Who::Hospital(i), Payload::RegisterGuardKeys(again));
    assert_eq!(outcome, Err(Rejection::GuardKeys), "nor the key that others sealed to");
    assert_eq!(
        ledger.one(Who::Hospital(i), Payload::RegisterGuardKeys(keys(i + 20, SETS))),
        Ok(()),
        "others are taken"
    );
}

#[test]
fn a_custodian_that_opens_nothing_is_left_out_after_the_deadline() {
    let (mut ledger, study) = opened();
    let (i, others) = custodian(&ledger, study);
    ledger.show_lots(study);
    ledger.now += ledger.consortium.genesis.deadlines.round_ms;
    let payload = Payload::FailRound(FailRound { study, round: ROUND });
    assert_eq!(ledger.one(Who::Hospital(others[0]), payload), Ok(()));
    let next = round(&ledger, study);
    assert!(next.roster.len() == 4 && !next.has(&ledger.consortium.hospital(i)));
}
