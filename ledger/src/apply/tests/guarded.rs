use consilium_protocol::hash;
use consilium_protocol::ids::{HospitalId, RoundNumber, StudyId};
use consilium_protocol::kem::{KemPublicKey, KemSecretKey, PUBLIC_KEY_BYTES};
use consilium_protocol::study::Protection;
use consilium_protocol::tx::{
    Attest, Blob, Contribute, DiscloseSeeds, FailRound, KeySet, MAX_GUARD_KEY_BYTES, MAX_PASSED_BYTES, OpenRound,
    Payload, RegisterGuardKeys, Release, SealSum, VeilCommitment, Witness,
};

use zeroize::Zeroizing;

use crate::apply::Outcome;
use crate::rejection::Rejection;
use crate::state::study::{Phase, Roles};
use crate::testing::{Consortium, Ledger, Who, content};

fn blob(name: u8) -> Blob {
    Blob { hash: content(name), bytes: 64 }
}

fn veil() -> VeilCommitment {
    VeilCommitment { sealed: blob(7), keys: content(8), counts: None }
}

/// A member's set of keys, the first or a later one.
pub(super) fn set(i: usize, generation: u8) -> RegisterGuardKeys {
    let name = i as u8 + 10 * generation;
    let sealing_key = KemSecretKey::from_seed(Zeroizing::new([name; 32])).public_key();
    let key = |part: u8| Blob { hash: hash::content(&[name, part]), bytes: 64 };
    RegisterGuardKeys { sets: vec![KeySet { public_key: key(0), server_key: key(1) }], sealing_key }
}

fn keys(i: usize) -> RegisterGuardKeys {
    set(i, 1)
}

fn register(ledger: &mut Ledger, i: usize) {
    assert_eq!(ledger.one(Who::Hospital(i), Payload::RegisterGuardKeys(keys(i))), Ok(()));
}

/// As nodes do: whoever's keys a role was drawn with registers others.
pub(super) fn renew(ledger: &mut Ledger) {
    for i in 0..ledger.state.members().len() {
        let kept = ledger.state.guard_keys(&ledger.consortium.hospital(i)).expect("keys").clone();
        if kept.drawn.is_some() {
            let others = (1..=20).map(|generation| Payload::RegisterGuardKeys(set(i, generation)));
            let taken = others.map(|others| ledger.one(Who::Hospital(i), others)).find(Outcome::is_ok);
            assert_eq!(taken, Some(Ok(())), "what was in no round yet");
        }
    }
}

fn position(ledger: &Ledger, hospital: HospitalId) -> usize {
    (0..ledger.state.members().len()).find(|i| ledger.consortium.hospital(*i) == hospital).expect("a member")
}

/// A guarded study that these members approved, not opened.
fn approved(ledger: &mut Ledger, approvers: &[usize]) -> StudyId {
    ledger.accredit(1);
    let (study, outcome) = ledger.propose_protected(1, Protection::Guarded);
    assert_eq!(outcome, Ok(()));
    for i in approvers {
        assert_eq!(ledger.approve(*i, study), Ok(()));
    }
    ledger.now += ledger.consortium.genesis.deadlines.grace_ms;
    study
}

fn open(ledger: &mut Ledger, study: StudyId) -> Outcome {
    ledger.one(Who::Hospital(0), Payload::OpenRound(OpenRound { study }))
}

fn roles(ledger: &Ledger, study: StudyId) -> Roles {
    let course = ledger.state.study(&study).expect("a study").course;
    course.running_round().expect("a round").guard.expect("a guard").roles
}

fn contribute_all(ledger: &mut Ledger, study: StudyId, round: u32, roster: &[usize]) {
    for i in roster {
        let guard = ledger.state.study(&study).and_then(|study| study.course.running_round()?.guard);
        let payload = ledger.consortium.contribution(*i, study, round, guard.map(|_| veil()));
        assert_eq!(ledger.one(Who::Hospital(*i), Payload::Contribute(payload)), Ok(()));
    }
    ledger.show_lots(study);
}

fn seal(ledger: &mut Ledger, i: usize, study: StudyId, round: u32) -> Outcome {
    let payload = SealSum { study, round: RoundNumber::new(round), sum: blob(1), seeds: blob(2) };
    ledger.one(Who::Hospital(i), Payload::SealSum(payload))
}

fn disclose(ledger: &mut Ledger, i: usize, study: StudyId, round: u32) -> Outcome {
    let payload = DiscloseSeeds { study, round: RoundNumber::new(round), seeds: blob(3), passed: vec![5] };
    ledger.one(Who::Hospital(i), Payload::DiscloseSeeds(payload))
}

fn fail(ledger: &mut Ledger, study: StudyId, round: u32) -> Outcome {
    ledger.now += ledger.consortium.genesis.deadlines.round_ms;
    ledger.one(Who::Hospital(0), Payload::FailRound(FailRound { study, round: RoundNumber::new(round) }))
}

#[test]
fn keys_for_guarded_studies_are_checked() {
    let mut ledger = Ledger::new(3);
    let mut refused = |change: fn(&mut RegisterGuardKeys)| {
        let mut keys = keys(0);
        change(&mut keys);
        assert_eq!(ledger.one(Who::Hospital(0), Payload::RegisterGuardKeys(keys)), Err(Rejection::GuardKeys));
    };
    refused(|keys| keys.sealing_key = KemPublicKey::from_bytes([255; PUBLIC_KEY_BYTES]));
    refused(|keys| keys.sets[0].public_key.bytes = 0);
    refused(|keys| keys.sets[0].server_key.bytes = MAX_GUARD_KEY_BYTES + 1);
    refused(|keys| keys.sets.clear());
    refused(|keys| keys.sets.push(set(1, 1).sets[0]));
    register(&mut ledger, 0);
    // Not another member's either, not in part: drawn with the one, they would still be free with the other.
    let mine = set(1, 1);
    let shared = [
        RegisterGuardKeys { sealing_key: keys(0).sealing_key, ..mine.clone() },
        RegisterGuardKeys {
            sets: vec![KeySet { public_key: keys(0).sets[0].public_key, ..mine.sets[0] }],
            ..mine.clone()
        },
        RegisterGuardKeys { sets: vec![KeySet { server_key: keys(0).sets[0].server_key, ..mine.sets[0] }], ..mine },
    ];
    for others in shared {
        let outcome = ledger.one(Who::Hospital(1), Payload::RegisterGuardKeys(others));
        assert_eq!(outcome, Err(Rejection::GuardKeys));
    }
    register(&mut ledger, 0);
    let hospital = ledger.consortium.hospital(0);
    assert_eq!(ledger.state.guard_keys(&hospital).map(|kept| kept.keys.clone()), Some(keys(0)));
}

#[test]
fn roles_are_drawn_among_those_with_keys_and_not_the_researchers_own_hospital() {
    let mut ledger = Ledger::new(4);
    let study = approved(&mut ledger, &[0, 1, 2]);
    assert_eq!(open(&mut ledger, study), Err(Rejection::NoRoles { study }));
    register(&mut ledger, 1);
    register(&mut ledger, 3);
    assert_eq!(open(&mut ledger, study), Err(Rejection::NoRoles { study }), "the other is not on the roster");
    register(&mut ledger, 2);
    assert_eq!(open(&mut ledger, study), Ok(()));
    let Roles { aggregator, custodian, sealing_key, veil_key, keys: set, witness } = roles(&ledger, study);
    assert_eq!(witness, None);
    let drawn = [position(&ledger, aggregator), position(&ledger, custodian)];
    assert!(drawn == [1, 2] || drawn == [2, 1]);
    assert_eq!((sealing_key, veil_key), (keys(drawn[0]).sealing_key, keys(drawn[1]).sealing_key));
    assert_eq!(set, Some(keys(drawn[1]).sets[0]));
}

/// A guarded study over four that all approved, opened, where the policy asks for a witness.
fn with_witness() -> (Ledger, StudyId) {
    let mut consortium = Consortium::new(4);
    consortium.genesis.policy.witness = true;
    let mut ledger = Ledger::founded(consortium);
    let study = approved(&mut ledger, &[0, 1, 2, 3]);
    (0..2).for_each(|i| register(&mut ledger, i));
    assert_eq!(open(&mut ledger, study), Err(Rejection::NoRoles { study }), "two are not enough");
    (2..4).for_each(|i| register(&mut ledger, i));
    assert_eq!(open(&mut ledger, study), Ok(()));
    (ledger, study)
}

#[test]
fn a_witness_is_drawn_beside_and_its_seeds_are_waited_for() {
    let (mut ledger, study) = with_witness();
    let drawn = roles(&ledger, study);
    let witness = drawn.witness.expect("the policy asks for one");
    let holders: Vec<HospitalId> = drawn.holders().collect();
    assert_eq!(holders, [drawn.aggregator, drawn.custodian, witness.hospital]);
    assert!(witness.hospital != drawn.aggregator && witness.hospital != drawn.custodian);
    let at = position(&ledger, witness.hospital);
    assert_eq!(witness.sealing_key, keys(at).sealing_key);
    assert!(ledger.state.guard_keys(&witness.hospital).expect("keys").free().is_none(), "its keys are drawn, too");
    // Nobody contributes without counts for the witness.
    let round = RoundNumber::new(0);
    let without = ledger.consortium.contribution(0, study, 0, Some(veil()));
    assert_eq!(ledger.one(Who::Hospital(0), Payload::Contribute(without)), Err(Rejection::Veil));
    for i in 0..4 {
        let veil = VeilCommitment { counts: Some(blob(20)), ..veil() };
        let payload = ledger.consortium.contribution(i, study, 0, Some(veil));
        assert_eq!(ledger.one(Who::Hospital(i), Payload::Contribute(payload)), Ok(()));
    }
    ledger.show_lots(study);
    let (aggregator, custodian) = (position(&ledger, drawn.aggregator), position(&ledger, drawn.custodian));
    assert_eq!(seal(&mut ledger, aggregator, study, 0), Ok(()));
    assert_eq!(
        disclose(&mut ledger, custodian, study, 0),
        Err(Rejection::NotSealed { study }),
        "the witness is missing"
    );
    let says = |seeds: Blob| Payload::Witness(Witness { study, round, seeds });
    for i in [aggregator, custodian] {
        let expected = Err(Rejection::NotInRole { hospital: witness.hospital });
        assert_eq!(ledger.one(Who::Hospital(i), says(blob(4))), expected);
    }
    let empty = Blob { hash: content(4), bytes: 0 };
    assert_eq!(ledger.one(Who::Hospital(at), says(empty)), Err(Rejection::EmptyContribution));
    assert_eq!(ledger.one(Who::Hospital(at), says(blob(4))), Ok(()));
    assert_eq!(ledger.one(Who::Hospital(at), says(blob(4))), Err(Rejection::AlreadyAttested { study }));
    assert_eq!(disclose(&mut ledger, custodian, study, 0), Ok(()));
}

#[test]
fn a_round_has_no_witness_unless_the_policy_asks_for_one() {
    let mut ledger = Ledger::new(4);
    (0..4).for_each(|i| register(&mut ledger, i));
    let study = approved(&mut ledger, &[0, 1, 2, 3]);
    assert_eq!(open(&mut ledger, study), Ok(()));
    let round = RoundNumber::new(0);
    let veil = VeilCommitment { counts: Some(blob(20)), ..veil() };
    let with = ledger.consortium.contribution(0, study, 0, Some(veil));
    assert_eq!(ledger.one(Who::Hospital(0), Payload::Contribute(with)), Err(Rejection::Veil));
    contribute_all(&mut ledger, study, 0, &[0, 1, 2, 3]);
    let says = Payload::Witness(Witness { study, round, seeds: blob(4) });
    assert_eq!(ledger.one(Who::Hospital(0), says), Err(Rejection::NoWitness { study }));
}

#[test]
fn another_round_is_not_drawn_among_those_alone_whose_keys_were_not_used_up_a_moment_ago() {
    let mut ledger = Ledger::new(5);
    (0..5).for_each(|i| register(&mut ledger, i));
    let all = [0, 1, 2, 3, 4];
    let first = approved(&mut ledger, &all);
    assert_eq!(open(&mut ledger, first), Ok(()));
    let round_ms = ledger.consortium.genesis.deadlines.round_ms;
    let deadline = ledger.now + round_ms;
    renew(&mut ledger);
    // Shortly before the first is over, a second study draws two of them.
    let (second, outcome) = ledger.propose_protected(2, Protection::Guarded);
    assert_eq!(outcome, Ok(()));
    all.iter().for_each(|i| assert_eq!(ledger.approve(*i, second), Ok(())));
    ledger.now = deadline - 100;
    assert_eq!(open(&mut ledger, second), Ok(()));
    ledger.now = deadline;
    let fail = || Payload::FailRound(FailRound { study: first, round: RoundNumber::new(0) });
    let none = Err(Rejection::NoRoles { study: first });
    assert_eq!(ledger.one(Who::Hospital(0), fail()), none, "they may have registered others in a moment");
    ledger.now = deadline + round_ms / 8;
    assert_eq!(ledger.one(Who::Hospital(0), fail()), Ok(()), "they are not waited for any longer");
    let number = ledger.state.study(&first).expect("a study").course.running_round().map(|round| round.number);
    assert_eq!(number, Some(RoundNumber::new(1)));
}

#[test]
fn keys_are_for_one_round() {
    let mut ledger = Ledger::new(4);
    (0..4).for_each(|i| register(&mut ledger, i));
    let study = approved(&mut ledger, &[0, 1, 2, 3]);
    assert_eq!(open(&mut ledger, study), Ok(()));
    let Roles { aggregator, custodian, .. } = roles(&ledger, study);
    let drawn = Some((study, RoundNumber::new(0)));
    for i in 0..4 {
        let hospital = ledger.consortium.hospital(i);
        let has_role = hospital == aggregator || hospital == custodian;
        let kept = ledger.state.guard_keys(&hospital).expect("keys");
        let free = kept.free().cloned();
        assert_eq!((kept.drawn, free), if has_role { (drawn, None) } else { (None, Some(keys(i))) });
    }
    // The other two have keys for one more round, and then nobody has.
    let next = |ledger: &mut Ledger, name| {
        let (study, outcome) = ledger.propose_protected(name, Protection::Guarded);
        assert_eq!(outcome, Ok(()));
        (0..4).for_each(|i| assert_eq!(ledger.approve(i, study), Ok(())));
        (open(ledger, study), study)
    };
    // Those whose keys were drawn a moment ago are waited for: who has some at hand does not have the draw to itself.
    let (outcome, waits) = next(&mut ledger, 9);
    assert_eq!(outcome, Err(Rejection::NoRoles { study: waits }));
    ledger.now += ledger.consortium.genesis.deadlines.round_ms / 8;
    let (outcome, second) = next(&mut ledger, 2);
    assert_eq!(outcome, Ok(()));
    let (outcome, third) = next(&mut ledger, 3);
    assert_eq!(outcome, Err(Rejection::NoRoles { study: third }));
    let others = roles(&ledger, second);
    assert!([others.aggregator, others.custodian].iter().all(|id| *id != aggregator && *id != custodian));
    // What was drawn cannot be registered again, not in part either.
    let i = position(&ledger, custodian);
    for again in [keys(i), RegisterGuardKeys { sealing_key: keys(i).sealing_key, ..set(i, 2) }] {
        let outcome = ledger.one(Who::Hospital(i), Payload::RegisterGuardKeys(again));
        assert_eq!(outcome, Err(Rejection::GuardKeys));
    }
    renew(&mut ledger);
    assert_eq!(open(&mut ledger, third), Ok(()));
}

#[test]
fn who_approves_last_cannot_choose_the_roles_by_when_or_how_often_it_tries() {
    // The draw depends on nothing but lots, study and round: not on blocks, their times, or what else stands in them.
    let run = |delay: u64, noise: u32| {
        let mut ledger = Ledger::new(5);
        (0..5).for_each(|i| register(&mut ledger, i));
        let study = approved(&mut ledger, &[0, 1, 2, 3]);
        for name in 0..noise {
            ledger.enrol(0, [name]);
        }
        ledger.now += delay;
        assert_eq!(ledger.approve(4, study), Ok(()));
        assert_eq!(open(&mut ledger, study), Ok(()));
        let Roles { aggregator, custodian, .. } = roles(&ledger, study);
        (aggregator, custodian)
    };
    assert!((1..8).all(|noise| run(u64::from(noise) * 7, noise) == run(0, 0)));
}

#[test]
fn a_lot_of_another_is_refused() {
    let mut ledger = Ledger::new(4);
    (0..4).for_each(|i| register(&mut ledger, i));
    let study = approved(&mut ledger, &[0, 1, 2]);
    let Payload::Approve(approval) = ledger.approval(3, study) else { panic!("an approval") };
    for lot in [ledger.consortium.lot(2, study, 0), ledger.consortium.lot(3, study, 1)] {
        let wrong = Payload::Approve(consilium_protocol::tx::Approve { lot, ..approval.clone() });
        assert_eq!(ledger.one(Who::Hospital(3), wrong), Err(Rejection::Lot));
    }
    assert_eq!(open(&mut ledger, study), Ok(()));
    let lot = ledger.consortium.lot(0, study, 0);
    let early = Contribute { lot, ..ledger.consortium.contribution(0, study, 0, Some(veil())) };
    assert_eq!(ledger.one(Who::Hospital(0), Payload::Contribute(early)), Err(Rejection::Lot));
}

#[test]
fn contributions_to_guarded_rounds_have_a_veil_and_no_others_do() {
    let mut ledger = Ledger::new(3);
    (0..3).for_each(|i| register(&mut ledger, i));
    let study = approved(&mut ledger, &[0, 1, 2]);
    assert_eq!(open(&mut ledger, study), Ok(()));
    let base = ledger.consortium.contribution(0, study, 0, None);
    let with = |veil| Contribute { veil, ..base.clone() };
    let empty = VeilCommitment { sealed: Blob { bytes: 0, ..blob(7) }, ..veil() };
    for wrong in [None, Some(empty)] {
        let outcome = ledger.one(Who::Hospital(0), Payload::Contribute(with(wrong)));
        assert_eq!(outcome, Err(Rejection::Veil));
    }
    assert_eq!(ledger.one(Who::Hospital(0), Payload::Contribute(with(Some(veil())))), Ok(()));

    let mut ledger = Ledger::new(3);
    let study = ledger.opened(&[0, 1, 2]);
    let veiled = ledger.consortium.contribution(0, study, 0, Some(veil()));
    assert_eq!(ledger.one(Who::Hospital(0), Payload::Contribute(veiled)), Err(Rejection::Veil));
}

#[test]
fn the_researchers_own_hospital_has_no_role() {
    for own in 0..3 {
        let mut ledger = Ledger::new(3);
        (0..3).for_each(|i| register(&mut ledger, i));
        let home = ledger.consortium.hospital(own);
        let Payload::AccreditResearcher(mut accreditation) = ledger.accreditation(1) else {
            panic!("an accreditation")
        };
        accreditation.hospital = Some(home);
        let (proposal, _) = ledger.named(Who::Hospital(0), Payload::AccreditResearcher(accreditation));
        let vote = consilium_protocol::tx::Vote { proposal, in_favour: true };
        assert_eq!(ledger.one(Who::Hospital(1), Payload::Vote(vote)), Ok(()));
        for name in 1..=8 {
            let (study, outcome) = ledger.propose_protected(name, Protection::Guarded);
            assert_eq!(outcome, Ok(()));
            (0..3).for_each(|i| assert_eq!(ledger.approve(i, study), Ok(())));
            assert_eq!(open(&mut ledger, study), Ok(()));
            renew(&mut ledger);
            let Roles { aggregator, custodian, .. } = roles(&ledger, study);
            assert!(aggregator != custodian && aggregator != home && custodian != home);
        }
    }
}

#[test]
fn every_member_draws_the_same_roles_and_rounds_draw_anew() {
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..2 {
        let mut ledger = Ledger::new(5);
        (0..5).for_each(|i| register(&mut ledger, i));
        ledger.accredit(1);
        for name in 1..=20 {
            let (study, _) = ledger.propose_protected(name, Protection::Guarded);
            (0..5).for_each(|i| assert_eq!(ledger.approve(i, study), Ok(())));
            assert_eq!(open(&mut ledger, study), Ok(()));
            renew(&mut ledger);
            let Roles { aggregator, custodian, .. } = roles(&ledger, study);
            seen.insert((study, aggregator, custodian));
        }
    }
    assert_eq!(seen.len(), 20, "the same both times");
    for drawn in [|t: &(_, HospitalId, HospitalId)| t.1, |t: &(_, HospitalId, HospitalId)| t.2] {
        let distinct: std::collections::BTreeSet<_> = seen.iter().map(drawn).collect();
        assert!(distinct.len() >= 4, "roles go round");
    }
}

#[test]
fn a_guarded_round_from_contributions_to_release() {
    let mut ledger = Ledger::new(4);
    (0..4).for_each(|i| register(&mut ledger, i));
    let study = approved(&mut ledger, &[0, 1, 2]);
    assert_eq!(open(&mut ledger, study), Ok(()));
    let drawn = roles(&ledger, study);
    let (aggregator, custodian) = (position(&ledger, drawn.aggregator), position(&ledger, drawn.custodian));
    let other = (0..3).find(|i| *i != aggregator && *i != custodian).expect("a third");
    let release = |ledger: &mut Ledger| {
        ledger.one(Who::Hospital(0), Payload::Release(Release { study, round: RoundNumber::new(0) }))
    };
    let collecting = Phase::Collecting { round: RoundNumber::new(0) };
    let early = Err(Rejection::WrongPhase { study, phase: collecting });
    assert_eq!(seal(&mut ledger, aggregator, study, 0), early);
    contribute_all(&mut ledger, study, 0, &[0, 1, 2]);

    let attest = Payload::Attest(Attest { study, round: RoundNumber::new(0), sum: content(1) });
    assert_eq!(ledger.one(Who::Hospital(0), attest), Err(Rejection::GuardedRound { study }));
    assert_eq!(disclose(&mut ledger, custodian, study, 0), Err(Rejection::NotSealed { study }));
    for wrong in [custodian, other] {
        let expected = Err(Rejection::NotInRole { hospital: drawn.aggregator });
        assert_eq!(seal(&mut ledger, wrong, study, 0), expected);
    }
    assert_eq!(seal(&mut ledger, 3, study, 0), Err(Rejection::NotInRoster { study }));
    assert_eq!(seal(&mut ledger, aggregator, study, 0), Ok(()));
    assert_eq!(seal(&mut ledger, aggregator, study, 0), Err(Rejection::AlreadyAttested { study }));
    assert_eq!(release(&mut ledger), Err(Rejection::NotDisclosed { study }));
    for wrong in [aggregator, other] {
        let expected = Err(Rejection::NotInRole { hospital: drawn.custodian });
        assert_eq!(disclose(&mut ledger, wrong, study, 0), expected);
    }
    assert_eq!(disclose(&mut ledger, custodian, study, 0), Ok(()));
    assert_eq!(disclose(&mut ledger, custodian, study, 0), Err(Rejection::AlreadyAttested { study }));
    let early = Payload::FailRound(FailRound { study, round: RoundNumber::new(0) });
    assert!(matches!(ledger.one(Who::Hospital(0), early), Err(Rejection::TooEarly { .. })));
    ledger.now += ledger.consortium.genesis.deadlines.round_ms;
    assert_eq!(release(&mut ledger), Ok(()), "whoever has it releases it, however late");
    let phase = ledger.state.study(&study).expect("a study").course.phase;
    assert_eq!(phase, Phase::Released { round: RoundNumber::new(0), sum: content(1) });
}

#[test]
fn others_take_the_roles_when_a_complete_round_gives_no_result() {
    for sealed in [false, true] {
        let mut ledger = Ledger::new(4);
        (0..4).for_each(|i| register(&mut ledger, i));
        let study = approved(&mut ledger, &[0, 1, 2, 3]);
        assert_eq!(open(&mut ledger, study), Ok(()));
        let first = roles(&ledger, study);
        contribute_all(&mut ledger, study, 0, &[0, 1, 2, 3]);
        if sealed {
            let aggregator = position(&ledger, first.aggregator);
            assert_eq!(seal(&mut ledger, aggregator, study, 0), Ok(()));
        }
        renew(&mut ledger);
        assert_eq!(fail(&mut ledger, study, 0), Ok(()));
        // Which of the two it was cannot be told, so nobody has to leave, and both are relieved.
        let course = ledger.state.study(&study).expect("a study").course;
        assert_eq!(course.phase, Phase::Collecting { round: RoundNumber::new(1) });
        assert_eq!(course.running_round().expect("a round").roster.len(), 4);
        let second = roles(&ledger, study);
        let before = [first.aggregator, first.custodian];
        assert!(!before.contains(&second.aggregator) && !before.contains(&second.custodian));
        // Whoever acts too late finds that the round is over.
        let late = position(&ledger, first.custodian);
        let phase = course_phase(&ledger, study);
        assert_eq!(seal(&mut ledger, late, study, 0), Err(Rejection::WrongPhase { study, phase }));
        // When all have been in a role, all may be again.
        contribute_all(&mut ledger, study, 1, &[0, 1, 2, 3]);
        renew(&mut ledger);
        assert_eq!(fail(&mut ledger, study, 1), Ok(()));
        assert_ne!(roles(&ledger, study).aggregator, roles(&ledger, study).custodian);
        // What was sealed may have been opened by those who had it; and who had a role would see both sums as custodian: all had.
        contribute_all(&mut ledger, study, 2, &[0, 1, 2]);
        renew(&mut ledger);
        assert_eq!(fail(&mut ledger, study, 2), Ok(()));
        assert_eq!(course_phase(&ledger, study), Phase::Failed);
    }
}

#[test]
fn a_round_goes_on_without_a_custodian_that_is_down_and_with_all_who_wait_for_it() {
    let mut ledger = Ledger::new(4);
    (0..4).for_each(|i| register(&mut ledger, i));
    let study = approved(&mut ledger, &[0, 1, 2, 3]);
    assert_eq!(open(&mut ledger, study), Ok(()));
    let custodian = position(&ledger, roles(&ledger, study).custodian);
    let others: Vec<usize> = (0..4).filter(|i| *i != custodian).collect();
    // One had its key from an earlier round; the others cannot contribute without it.
    contribute_all(&mut ledger, study, 0, &others[..1]);
    assert_eq!(fail(&mut ledger, study, 0), Ok(()));
    let round = ledger.state.study(&study).expect("a study").course.running_round().expect("a round");
    let roster: Vec<usize> = round.roster.clone().into_iter().map(|id| position(&ledger, id)).collect();
    assert_eq!(roster.len(), 3);
    assert!(!roster.contains(&custodian));
    // Two are too few to go on with.
    let custodian = position(&ledger, roles(&ledger, study).custodian);
    contribute_all(&mut ledger, study, 1, &[custodian]);
    assert_eq!(fail(&mut ledger, study, 1), Ok(()));
    assert_eq!(course_phase(&ledger, study), Phase::Failed);
}

fn course_phase(ledger: &Ledger, study: StudyId) -> Phase {
    ledger.state.study(&study).expect("a study").course.phase
}

#[test]
fn open_rounds_know_no_roles() {
    let mut ledger = Ledger::new(3);
    let study = ledger.opened(&[0, 1, 2]);
    contribute_all(&mut ledger, study, 0, &[0, 1, 2]);
    assert_eq!(seal(&mut ledger, 0, study, 0), Err(Rejection::NotGuarded { study }));
    assert_eq!(disclose(&mut ledger, 0, study, 0), Err(Rejection::NotGuarded { study }));
}

#[test]
fn a_round_may_repeat_what_the_same_hospitals_had_released_before_it() {
    let mut ledger = Ledger::new(4);
    (0..4).for_each(|i| register(&mut ledger, i));
    ledger.accredit(1);
    let opened = |ledger: &mut Ledger, name: u8, approvers: &[usize]| {
        let (study, outcome) = ledger.propose_protected(name, Protection::Guarded);
        assert_eq!(outcome, Ok(()));
        approvers.iter().for_each(|i| assert_eq!(ledger.approve(*i, study), Ok(())));
        ledger.now += ledger.consortium.genesis.deadlines.grace_ms;
        assert_eq!(open(ledger, study), Ok(()));
        study
    };
    let released = |ledger: &mut Ledger, study: StudyId, roster: &[usize]| {
        let drawn = roles(ledger, study);
        contribute_all(ledger, study, 0, roster);
        assert_eq!(seal(ledger, position(ledger, drawn.aggregator), study, 0), Ok(()));
        assert_eq!(disclose(ledger, position(ledger, drawn.custodian), study, 0), Ok(()));
        let release = Release { study, round: RoundNumber::new(0) };
        assert_eq!(ledger.one(Who::Hospital(0), Payload::Release(release)), Ok(()));
        renew(ledger);
    };
    let round = RoundNumber::new(0);
    let all = [0, 1, 2, 3];
    let first = opened(&mut ledger, 1, &all);
    assert_eq!(ledger.state.repeatable(&first, round), []);
    // Opened while the first runs: what that will say is not known yet.
    let beside = opened(&mut ledger, 2, &all);
    released(&mut ledger, first, &all);
    assert_eq!(ledger.state.study(&first).expect("a study").course.rounds[0].passed, [5]);
    assert_eq!(ledger.state.repeatable(&beside, round), []);
    released(&mut ledger, beside, &all);
    let fewer = opened(&mut ledger, 3, &[0, 1, 2]);
    assert_eq!(ledger.state.repeatable(&fewer, round), [], "among others");
    released(&mut ledger, fewer, &[0, 1, 2]);
    let again = opened(&mut ledger, 4, &all);
    assert_eq!(ledger.state.repeatable(&again, round), [(first, round), (beside, round)]);
    assert_eq!(ledger.state.repeatable(&again, RoundNumber::new(1)), []);
    // What comes later changes nothing.
    released(&mut ledger, again, &all);
    assert_eq!(ledger.state.repeatable(&again, round), [(first, round), (beside, round)]);
    assert_eq!(ledger.state.repeatable(&beside, round), []);
    // What passed is known of a round, too, that ended when nobody had what its custodian disclosed; of one that was not so far it is not.
    let unseen = |ledger: &mut Ledger, name: u8, is_disclosed: bool| {
        let study = opened(ledger, name, &all);
        let drawn = roles(ledger, study);
        contribute_all(ledger, study, 0, &all);
        assert_eq!(seal(ledger, position(ledger, drawn.aggregator), study, 0), Ok(()));
        if is_disclosed {
            assert_eq!(disclose(ledger, position(ledger, drawn.custodian), study, 0), Ok(()));
        }
        renew(ledger);
        assert_eq!(fail(ledger, study, 0), Ok(()));
        study
    };
    let (told, untold) = (unseen(&mut ledger, 7, true), unseen(&mut ledger, 8, false));
    let last = opened(&mut ledger, 9, &all);
    let repeatable = ledger.state.repeatable(&last, round);
    assert!(repeatable.contains(&(told, round)) && !repeatable.contains(&(untold, round)));
}

#[test]
fn which_sets_passed_is_said_in_so_many_bytes() {
    let mut ledger = Ledger::new(3);
    (0..3).for_each(|i| register(&mut ledger, i));
    let study = approved(&mut ledger, &[0, 1, 2]);
    assert_eq!(open(&mut ledger, study), Ok(()));
    let drawn = roles(&ledger, study);
    contribute_all(&mut ledger, study, 0, &[0, 1, 2]);
    let (aggregator, custodian) = (position(&ledger, drawn.aggregator), position(&ledger, drawn.custodian));
    assert_eq!(seal(&mut ledger, aggregator, study, 0), Ok(()));
    let mut disclose = |bytes: usize| {
        let payload = DiscloseSeeds { study, round: RoundNumber::new(0), seeds: blob(3), passed: vec![1; bytes] };
        ledger.one(Who::Hospital(custodian), Payload::DiscloseSeeds(payload))
    };
    for wrong in [0, MAX_PASSED_BYTES + 1] {
        assert_eq!(disclose(wrong), Err(Rejection::EmptyContribution));
    }
    assert_eq!(disclose(MAX_PASSED_BYTES), Ok(()));
}
