use consilium_protocol::kem::KemSecretKey;
use consilium_protocol::tx::{
    Accuse, Attest, Blob, DiscloseSeeds, KeySet, OpenRound, Payload, RegisterGuardKeys, Release, SealSum,
    VeilCommitment, Witness,
};
use zeroize::Zeroizing;

use super::*;
use crate::testing::{Consortium, Ledger, Who, content};

const ROUND: RoundNumber = RoundNumber::new(0);

fn blob(name: u8) -> Blob {
    Blob { hash: content(name), bytes: 64 }
}

/// What each member owes, with its rank, `ahead` milliseconds after the last block.
fn owed(ledger: &Ledger, ahead: u64) -> Vec<Option<(Duty, u32)>> {
    let now = Timestamp::new(ledger.now + ahead);
    let of = |i| duties(&ledger.state, &ledger.consortium.hospital(i), now);
    let is_of_pairs = |due: &Due| matches!(due.duty, Duty::Pair | Duty::KeepPairs { .. });
    let other = |i| of(i).into_iter().rfind(|due| !is_of_pairs(due)).map(|due| (due.duty, due.rank));
    (0..ledger.state.members().len()).map(other).collect()
}

fn does(ledger: &mut Ledger, i: usize, payload: Payload) {
    assert_eq!(ledger.one(Who::Hospital(i), payload), Ok(()));
}

fn contribute(ledger: &mut Ledger, i: usize, study: StudyId) {
    let guarded = ledger.state.study(&study).is_some_and(|s| s.proposal.spec.protection == Protection::Guarded);
    let veil = guarded.then(|| VeilCommitment { sealed: blob(7), keys: content(8), counts: None });
    let contribution = ledger.consortium.contribution(i, study, 0, veil);
    does(ledger, i, Payload::Contribute(contribution));
    ledger.show_lots(study);
}

/// Who contributed what, as [`contribute`] does.
fn contributions(ledger: &Ledger, members: &[usize]) -> Vec<(HospitalId, ContentHash)> {
    members.iter().map(|i| (ledger.consortium.hospital(*i), content(*i as u8))).collect()
}

/// That those without a role look at the contribution of the one that was drawn to show it, unless they are that.
fn with_looks(ledger: &Ledger, study: StudyId, mut owed: Vec<Option<(Duty, u32)>>) -> Vec<Option<(Duty, u32)>> {
    let course = ledger.state.study(&study).expect("a study").course;
    // Of three nobody is drawn.
    let Some(examined) = course.running_round().expect("a round").examined else { return owed };
    for (i, owed) in owed.iter_mut().enumerate().filter(|(_, owed)| owed.is_none()) {
        *owed = (ledger.consortium.hospital(i) != examined).then_some((Duty::Examine { round: ROUND }, 0));
    }
    owed
}

/// Past the deadline of a round that was opened in the last blocks.
fn late(ledger: &Ledger) -> u64 {
    ledger.consortium.genesis.deadlines.round_ms
}

#[test]
fn approvers_pair_with_those_before_and_keep_what_those_after_encapsulated() {
    let mut ledger = Ledger::new(4);
    let study = ledger.proposed();
    let pairs = |ledger: &Ledger, i: usize| -> Vec<Duty> {
        let of = duties(&ledger.state, &ledger.consortium.hospital(i), Timestamp::new(ledger.now));
        of.into_iter().map(|due| due.duty).filter(|duty| !matches!(duty, Duty::OpenRound)).collect()
    };
    for i in [2, 0] {
        let approval = ledger.approval(i, study);
        does(&mut ledger, i, approval);
        assert_eq!(pairs(&ledger, i), [Duty::Pair]);
    }
    does(&mut ledger, 2, Ledger::pairing(study, 0));
    assert!(pairs(&ledger, 2).is_empty(), "nobody after it has encapsulated yet");
    does(&mut ledger, 0, Ledger::pairing(study, 1));
    let of_0 = (ledger.consortium.hospital(0), content(1));
    let keep = vec![Duty::KeepPairs { keys: vec![of_0] }];
    assert_eq!([2, 0, 1].map(|i| pairs(&ledger, i)), [keep.clone(), vec![], vec![]]);
    assert_eq!(ledger.approve(3, study), Ok(()));
    let of_3 = (ledger.consortium.hospital(3), content(2));
    let all = vec![Duty::KeepPairs { keys: vec![of_0, of_3] }];
    assert_eq!(pairs(&ledger, 2), all);
    assert_eq!(pairs(&ledger, 0), [Duty::KeepPairs { keys: vec![of_3] }]);
}

#[test]
fn who_is_not_paired_is_not_waited_for_longer_than_the_grace() {
    let mut ledger = Ledger::new(4);
    let study = ledger.proposed();
    (0..3).for_each(|i| assert_eq!(ledger.approve(i, study), Ok(())));
    let approval = ledger.approval(3, study);
    does(&mut ledger, 3, approval);
    assert_eq!(owed(&ledger, 0), [None, None, None, None]);
    let open = |rank| Some((Duty::OpenRound, rank));
    let grace = ledger.consortium.genesis.deadlines.grace_ms;
    assert_eq!(owed(&ledger, grace), [open(0), open(1), open(2), None]);
    does(&mut ledger, 3, Ledger::pairing(study, 3));
    assert_eq!(owed(&ledger, 0), [open(0), open(1), open(2), open(3)]);
}

#[test]
fn approvers_open_a_round_when_all_have_decided_or_the_grace_is_over() {
    let mut ledger = Ledger::new(4);
    let study = ledger.proposed();
    let grace = ledger.consortium.genesis.deadlines.grace_ms;
    [0, 2].into_iter().for_each(|i| assert_eq!(ledger.approve(i, study), Ok(())));
    assert_eq!(owed(&ledger, grace), [None, None, None, None], "two of four are not more than half");
    assert_eq!(ledger.approve(3, study), Ok(()));
    assert_eq!(owed(&ledger, grace - 1), [None, None, None, None]);
    let open = |rank| Some((Duty::OpenRound, rank));
    assert_eq!(owed(&ledger, grace), [open(0), None, open(1), open(2)]);
    assert_eq!(ledger.approve(1, study), Ok(()));
    assert_eq!(owed(&ledger, 0), [open(0), open(1), open(2), open(3)]);
}

#[test]
fn a_round_is_collected_attested_released_and_kept_by_its_roster() {
    let mut ledger = Ledger::new(4);
    let study = ledger.opened(&[0, 1, 2]);
    let contribute_now = || Some((Duty::Contribute { round: ROUND }, 0));
    contribute(&mut ledger, 1, study);
    assert_eq!(owed(&ledger, 0), [contribute_now(), None, contribute_now(), None]);
    [0, 2].into_iter().for_each(|i| contribute(&mut ledger, i, study));

    let all = contributions(&ledger, &[0, 1, 2]);
    let attest = || Some((Duty::Attest { round: ROUND, contributions: all.clone() }, 0));
    assert_eq!(owed(&ledger, 0), [attest(), attest(), attest(), None]);
    let sum = content(9);
    does(&mut ledger, 0, Payload::Attest(Attest { study, round: ROUND, sum }));
    assert_eq!(owed(&ledger, 0), [None, attest(), attest(), None], "one of three is not more than half");
    does(&mut ledger, 1, Payload::Attest(Attest { study, round: ROUND, sum }));
    let release = |rank| Some((Duty::Release { round: ROUND, is_late: false }, rank));
    assert_eq!(owed(&ledger, 0), [release(0), release(1), release(2), None]);

    does(&mut ledger, 0, Payload::Release(Release { study, round: ROUND }));
    let attesting = vec![ledger.consortium.hospital(0), ledger.consortium.hospital(1)];
    let keep = || Some((Duty::KeepSum { round: ROUND, sum, attesting: attesting.clone() }, 0));
    assert_eq!(owed(&ledger, late(&ledger)), [keep(), keep(), keep(), None]);
}

#[test]
fn a_round_without_result_is_ended_at_its_deadline_by_its_roster_first() {
    let mut ledger = Ledger::new(4);
    let study = ledger.opened(&[1, 2, 3]);
    let opened = ledger.state.study(&study).expect("a study").course.rounds[0].opened.time.get();
    let left = opened + late(&ledger) - ledger.now;
    let contribute_now = || Some((Duty::Contribute { round: ROUND }, 0));
    assert_eq!(owed(&ledger, left - 1), [None, contribute_now(), contribute_now(), contribute_now()]);
    let fail = |rank| Some((Duty::FailRound { round: ROUND }, rank));
    assert_eq!(owed(&ledger, left), [fail(3), fail(0), fail(1), fail(2)]);
}

#[test]
fn a_result_is_released_however_late() {
    let mut ledger = Ledger::new(4);
    let study = ledger.opened(&[0, 1, 2]);
    [0, 1, 2].into_iter().for_each(|i| contribute(&mut ledger, i, study));
    [0, 1]
        .into_iter()
        .for_each(|i| does(&mut ledger, i, Payload::Attest(Attest { study, round: ROUND, sum: content(9) })));
    let release = |rank| Some((Duty::Release { round: ROUND, is_late: false }, rank));
    assert_eq!(owed(&ledger, late(&ledger)), [release(0), release(1), release(2), None], "more than half have it");
    ledger.now += late(&ledger);
    does(&mut ledger, 0, Payload::Release(Release { study, round: ROUND }));
}

#[test]
fn a_guarded_round_waits_for_keys_and_then_for_one_role_at_a_time() {
    let mut ledger = Ledger::new(3);
    ledger.accredit(1);
    let (study, outcome) = ledger.propose_protected(1, Protection::Guarded);
    assert_eq!(outcome, Ok(()));
    let register = |ledger: &mut Ledger, i: usize| {
        let sealing_key = KemSecretKey::from_seed(Zeroizing::new([i as u8 + 50; 32])).public_key();
        let keys = RegisterGuardKeys {
            sets: vec![KeySet { public_key: blob(i as u8 + 60), server_key: blob(i as u8 + 70) }],
            sealing_key,
        };
        does(ledger, i, Payload::RegisterGuardKeys(keys));
    };
    register(&mut ledger, 0);
    (0..3).for_each(|i| assert_eq!(ledger.approve(i, study), Ok(())));
    let grace = ledger.consortium.genesis.deadlines.grace_ms;
    assert_eq!(owed(&ledger, grace), [None, None, None], "one alone can take no two roles");
    register(&mut ledger, 1);
    let open = |rank| Some((Duty::OpenRound, rank));
    assert_eq!(owed(&ledger, 0), [None, None, None], "the third may still register");
    assert_eq!(owed(&ledger, grace), [open(0), open(1), open(2)]);
    register(&mut ledger, 2);
    assert_eq!(owed(&ledger, 0), [open(0), open(1), open(2)]);

    does(&mut ledger, 0, Payload::OpenRound(OpenRound { study }));
    (0..3).for_each(|i| contribute(&mut ledger, i, study));
    let course = ledger.state.study(&study).expect("a study").course;
    let roles = course.running_round().expect("a round").guard.expect("a guard").roles;
    let position = |id| (0..3).find(|i| ledger.consortium.hospital(*i) == id).expect("a member");
    let (aggregator, custodian) = (position(roles.aggregator), position(roles.custodian));
    let alone = |i: usize, duty: Duty| {
        let mut owed = vec![None; 3];
        owed[i] = Some((duty, 0));
        owed
    };
    let seal = Duty::Seal { round: ROUND, contributions: contributions(&ledger, &[0, 1, 2]) };
    assert_eq!(owed(&ledger, 0), with_looks(&ledger, study, alone(aggregator, seal.clone())));
    // It says that it cannot have one of them: the third hospital asks, and neither the aggregator nor the accused does.
    ledger.now += late(&ledger) / 2;
    let other = (0..3).find(|i| *i != aggregator && *i != custodian).expect("a third");
    let (accused, fault) = (ledger.consortium.hospital(custodian), Fault::Contribution);
    does(&mut ledger, aggregator, Payload::Accuse(Accuse { study, round: ROUND, accused, fault }));
    let mut asked = alone(aggregator, seal);
    asked[other] = Some((Duty::Ask { round: ROUND, accused, fault }, 0));
    assert_eq!(owed(&ledger, 0), with_looks(&ledger, study, asked.clone()));
    does(&mut ledger, aggregator, Payload::SealSum(SealSum { study, round: ROUND, sum: blob(5), seeds: blob(6) }));
    let disclose = Duty::Disclose {
        round: ROUND,
        aggregator: roles.aggregator,
        sum: blob(5).hash,
        seeds: blob(6).hash,
        witness: None,
    };
    asked[aggregator] = None;
    asked[custodian] = Some((disclose, 0));
    assert_eq!(owed(&ledger, 0), asked);
    does(
        &mut ledger,
        custodian,
        Payload::DiscloseSeeds(DiscloseSeeds { study, round: ROUND, seeds: blob(7), passed: vec![1] }),
    );
    let release = |is_late| [0, 1, 2].map(|rank| Some((Duty::Release { round: ROUND, is_late }, rank)));
    assert_eq!(owed(&ledger, 0), release(false), "nobody asks any more");
    // The custodian may be the only one who has it.
    assert_eq!(owed(&ledger, late(&ledger)), release(true));
    does(&mut ledger, 0, Payload::Release(Release { study, round: ROUND }));
    assert_eq!(owed(&ledger, 0), vec![Some((Duty::KeepGuarded { round: ROUND }, 0)); 3]);
}

#[test]
fn aggregator_and_witness_work_at_the_same_time_and_the_custodian_after_both() {
    let mut consortium = Consortium::new(4);
    consortium.genesis.policy.witness = true;
    let mut ledger = Ledger::founded(consortium);
    ledger.accredit(1);
    let (study, outcome) = ledger.propose_protected(1, Protection::Guarded);
    assert_eq!(outcome, Ok(()));
    let register = |ledger: &mut Ledger, i: usize| {
        let sealing_key = KemSecretKey::from_seed(Zeroizing::new([i as u8 + 50; 32])).public_key();
        let keys = RegisterGuardKeys {
            sets: vec![KeySet { public_key: blob(i as u8 + 60), server_key: blob(i as u8 + 70) }],
            sealing_key,
        };
        does(ledger, i, Payload::RegisterGuardKeys(keys));
    };
    (0..2).for_each(|i| register(&mut ledger, i));
    (0..4).for_each(|i| assert_eq!(ledger.approve(i, study), Ok(())));
    let grace = ledger.consortium.genesis.deadlines.grace_ms;
    assert_eq!(owed(&ledger, grace), vec![None; 4], "two cannot take three roles");
    (2..4).for_each(|i| register(&mut ledger, i));
    does(&mut ledger, 0, Payload::OpenRound(OpenRound { study }));
    for i in 0..4 {
        let veil = VeilCommitment { sealed: blob(7), keys: content(8), counts: Some(blob(i as u8 + 20)) };
        let contribution = ledger.consortium.contribution(i, study, 0, Some(veil));
        does(&mut ledger, i, Payload::Contribute(contribution));
    }
    ledger.show_lots(study);
    let course = ledger.state.study(&study).expect("a study").course;
    let roles = course.running_round().expect("a round").guard.expect("a guard").roles;
    let position = |id| (0..4).find(|i| ledger.consortium.hospital(*i) == id).expect("a member");
    let witness = roles.witness.expect("a witness").hospital;
    let (aggregator, custodian, at) = (position(roles.aggregator), position(roles.custodian), position(witness));
    let mut both = vec![None; 4];
    both[aggregator] = Some((Duty::Seal { round: ROUND, contributions: contributions(&ledger, &[0, 1, 2, 3]) }, 0));
    let counts = (0..4).map(|i| (ledger.consortium.hospital(i), blob(i as u8 + 20).hash)).collect();
    both[at] = Some((Duty::Witness { round: ROUND, counts }, 0));
    assert_eq!(owed(&ledger, 0), with_looks(&ledger, study, both.clone()));
    does(&mut ledger, at, Payload::Witness(Witness { study, round: ROUND, seeds: blob(9) }));
    both[at] = None;
    assert_eq!(owed(&ledger, 0), with_looks(&ledger, study, both));
    does(&mut ledger, aggregator, Payload::SealSum(SealSum { study, round: ROUND, sum: blob(5), seeds: blob(6) }));
    let witness = Some((witness, blob(9).hash));
    let (aggregator, sum, seeds) = (roles.aggregator, blob(5).hash, blob(6).hash);
    let mut last = vec![None; 4];
    last[custodian] = Some((Duty::Disclose { round: ROUND, aggregator, sum, seeds, witness }, 0));
    assert_eq!(owed(&ledger, 0), with_looks(&ledger, study, last), "who has sealed looks, too, if it has not");
}

#[test]
fn who_is_named_is_left_out_as_soon_as_there_are_keys() {
    let register = |ledger: &mut Ledger, i: usize, name: u8| {
        let sealing_key = KemSecretKey::from_seed(Zeroizing::new([i as u8 + name; 32])).public_key();
        let set = KeySet { public_key: blob(i as u8 + name), server_key: blob(i as u8 + name + 10) };
        does(ledger, i, Payload::RegisterGuardKeys(RegisterGuardKeys { sets: vec![set], sealing_key }));
    };
    // One of whose hospitals without a role is drawn to show how its contribution was made.
    let such = (1..50).find_map(|name| {
        let mut ledger = Ledger::new(4);
        ledger.accredit(1);
        let (study, outcome) = ledger.propose_protected(name, Protection::Guarded);
        assert_eq!(outcome, Ok(()));
        (0..4).for_each(|i| register(&mut ledger, i, 50));
        (0..4).for_each(|i| assert_eq!(ledger.approve(i, study), Ok(())));
        does(&mut ledger, 0, Payload::OpenRound(OpenRound { study }));
        (0..4).for_each(|i| contribute(&mut ledger, i, study));
        let course = ledger.state.study(&study).expect("a study").course;
        let round = course.running_round().expect("a round");
        let (roles, examined) = (round.guard.expect("a guard").roles, round.examined.expect("drawn"));
        roles.holders().all(|id| id != examined).then_some((ledger, study, roles, examined))
    });
    let (mut ledger, study, roles, examined) = such.expect("such a study");
    let position = |ledger: &Ledger, id| (0..4).find(|i| ledger.consortium.hospital(*i) == id).expect("a member");
    let drawn = [position(&ledger, roles.aggregator), position(&ledger, roles.custodian)];
    let at = position(&ledger, examined);
    let others: Vec<usize> = (0..4).filter(|i| *i != at).collect();
    for i in &others {
        let payload = Accuse { study, round: ROUND, accused: examined, fault: Fault::Malformed };
        does(&mut ledger, *i, Payload::Accuse(payload));
    }
    assert_eq!(owed(&ledger, 0), vec![None; 4], "nothing can be done for want of keys");
    drawn.iter().for_each(|i| register(&mut ledger, *i, 90));
    let mut next: Vec<HospitalId> = others.iter().map(|i| ledger.consortium.hospital(*i)).collect();
    next.sort_unstable();
    let mut expected = vec![None; 4];
    for i in others {
        let rank = rank_of(&next, &ledger.consortium.hospital(i)).expect("of the roster");
        expected[i] = Some((Duty::FailRound { round: ROUND }, rank));
    }
    assert_eq!(owed(&ledger, 0), expected);
}

#[test]
fn of_several_sets_of_keys_one_is_drawn_and_the_others_are_opened_and_looked_at() {
    let mut consortium = Consortium::new(4);
    consortium.genesis.policy.key_sets = 2;
    let mut ledger = Ledger::founded(consortium);
    ledger.accredit(1);
    let (study, outcome) = ledger.propose_protected(1, Protection::Guarded);
    assert_eq!(outcome, Ok(()));
    for i in 0..4u8 {
        let set = |set: u8| KeySet { public_key: blob(8 * i + set), server_key: blob(8 * i + set + 4) };
        let sealing_key = KemSecretKey::from_seed(Zeroizing::new([i + 50; 32])).public_key();
        let keys = RegisterGuardKeys { sets: vec![set(0), set(1)], sealing_key };
        does(&mut ledger, usize::from(i), Payload::RegisterGuardKeys(keys));
        assert_eq!(ledger.approve(usize::from(i), study), Ok(()));
    }
    does(&mut ledger, 0, Payload::OpenRound(OpenRound { study }));
    let round = |ledger: &Ledger| ledger.state.study(&study).expect("a study").course.rounds[0].clone();
    let id = round(&ledger).guard.expect("a guard").roles.custodian;
    let custodian = (0..4).find(|i| ledger.consortium.hospital(*i) == id).expect("a member");
    let by_others = |ledger: &Ledger, duty: Duty| -> Vec<Option<(Duty, u32)>> {
        (0..4).map(|i| (ledger.consortium.hospital(i) != id).then(|| (duty.clone(), 0))).collect()
    };
    let show = Duty::ShowLot { round: ROUND, draw: Draw::KeySet };
    assert_eq!(owed(&ledger, 0), by_others(&ledger, show), "the custodian shows none");
    ledger.show_lots(study);
    let drawn = round(&ledger).guard.expect("a guard").roles.keys.expect("drawn").public_key.hash;
    let mut expected = vec![None; 4];
    expected[custodian] = Some((Duty::OpenKeySets { round: ROUND, drawn }, 0));
    assert_eq!(owed(&ledger, 0), expected);
    let seeds = vec![[1; 32]];
    does(
        &mut ledger,
        custodian,
        Payload::OpenKeySets(consilium_protocol::tx::OpenKeySets { study, round: ROUND, seeds }),
    );
    let contribute = Some((Duty::Contribute { round: ROUND }, 0));
    assert_eq!(owed(&ledger, 0), vec![contribute.clone(); 4]);
    // Who says that they are not what they should be encrypts nothing for them, and is not asked for anything; nor are others.
    let accuser = (0..4).find(|i| *i != custodian).expect("another");
    let payload = Accuse { study, round: ROUND, accused: id, fault: Fault::KeySets };
    does(&mut ledger, accuser, Payload::Accuse(payload));
    let mut expected = vec![contribute; 4];
    expected[accuser] = None;
    assert_eq!(owed(&ledger, 0), expected);
}
