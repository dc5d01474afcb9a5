//! Who does not give what it committed to is named, and costs the others neither rounds nor budget.

use consilium_protocol::ids::{RoundNumber, StudyId, Timestamp};
use consilium_protocol::lots::Draw;
use consilium_protocol::policy::DisclosurePolicy;
use consilium_protocol::privacy::MicroRho;
use consilium_protocol::study::Protection;
use consilium_protocol::tx::{
    Accuse, Attest, Blob, DiscloseSeeds, FailRound, Fault, OpenRound, Payload, SealSum, ShowLot, VeilCommitment,
    WithdrawStudy,
};

use super::guarded::{renew, set};
use crate::apply::Outcome;
use crate::event::Event;
use crate::rejection::Rejection;
use crate::state::study::{Phase, Roles, RoundEnd};
use crate::testing::{Ledger, Who, content};

const ROUND: RoundNumber = RoundNumber::new(0);

/// Whether what came of a round may be known, where a custodian registers so many sets of keys.
fn may_be_known(ledger: &Ledger, study: StudyId, key_sets: u32) -> bool {
    let policy = DisclosurePolicy { key_sets, ..ledger.consortium.genesis.policy };
    ledger.state.study(&study).expect("a study").course.rounds[0].may_be_known(&policy)
}

/// Half of the deadline of a round.
const HALF_MS: u64 = 2_500;

fn accuse(ledger: &mut Ledger, i: usize, study: StudyId, accused: usize, fault: Fault) -> Outcome {
    let accused = ledger.consortium.hospital(accused);
    ledger.one(Who::Hospital(i), Payload::Accuse(Accuse { study, round: ROUND, accused, fault }))
}

fn contribute(ledger: &mut Ledger, study: StudyId, round: u32, by: impl Iterator<Item = usize>) {
    for i in by {
        let guard = ledger.state.study(&study).and_then(|study| study.course.running_round()?.guard);
        let veil = guard.map(|_| VeilCommitment {
            sealed: Blob { hash: content(7), bytes: 9 },
            keys: content(8),
            counts: None,
        });
        let payload = ledger.consortium.contribution(i, study, round, veil);
        assert_eq!(ledger.one(Who::Hospital(i), Payload::Contribute(payload)), Ok(()));
    }
    ledger.show_lots(study);
}

fn phase(ledger: &Ledger, study: StudyId) -> Phase {
    ledger.state.study(&study).expect("a study").course.phase
}

/// A study that all members approved, in its first round.
fn opened(ledger: &mut Ledger, protection: Protection) -> StudyId {
    let members = ledger.state.members().len();
    if protection == Protection::Guarded {
        for i in 0..members {
            assert_eq!(ledger.one(Who::Hospital(i), Payload::RegisterGuardKeys(set(i, 1))), Ok(()));
        }
    }
    ledger.accredit(1);
    let (study, outcome) = ledger.propose_protected(1, protection);
    assert_eq!(outcome, Ok(()));
    (0..members).for_each(|i| assert_eq!(ledger.approve(i, study), Ok(())));
    assert_eq!(ledger.one(Who::Hospital(0), Payload::OpenRound(OpenRound { study })), Ok(()));
    study
}

#[test]
fn who_withholds_its_contribution_is_named_by_more_than_half() {
    let mut ledger = Ledger::new(5);
    let study = opened(&mut ledger, Protection::Open);
    let opened = ledger.now;
    let owed = Err(Rejection::NothingOwed { study });
    contribute(&mut ledger, study, 0, 4..5);
    for fault in [Fault::Contribution, Fault::Malformed, Fault::KeySets] {
        assert_eq!(accuse(&mut ledger, 0, study, 4, fault), owed, "not all are in");
    }
    contribute(&mut ledger, study, 0, 0..4);
    // Half of the round's time is over, and a quarter of it since the last contribution.
    let not_before = Timestamp::new(opened + HALF_MS);
    let early = Err(Rejection::TooEarly { not_before });
    assert_eq!(accuse(&mut ledger, 0, study, 4, Fault::Contribution), early, "it may be away for a moment");
    ledger.now = opened + HALF_MS;
    let nothing = Err(Rejection::NothingOwed { study });
    assert_eq!(accuse(&mut ledger, 0, study, 0, Fault::Contribution), nothing, "itself");
    for fault in [Fault::Veil, Fault::Keys, Fault::Sum] {
        assert_eq!(accuse(&mut ledger, 0, study, 4, fault), nothing, "no such thing in an open round");
    }
    assert_eq!(accuse(&mut ledger, 0, study, 4, Fault::Contribution), Ok(()));
    assert_eq!(accuse(&mut ledger, 0, study, 4, Fault::Malformed), Err(Rejection::AlreadyAccused { study }));
    // Others are accused beside, by fewer; and the accused accuses.
    assert_eq!(accuse(&mut ledger, 4, study, 0, Fault::Contribution), Ok(()));
    assert_eq!(accuse(&mut ledger, 1, study, 4, Fault::Contribution), Ok(()));
    assert_eq!(phase(&ledger, study), Phase::Combining { round: ROUND }, "two of five");
    let accused = ledger.consortium.hospital(4);
    let fault = Fault::Contribution;
    let tx = ledger.sign(Who::Hospital(2), Payload::Accuse(Accuse { study, round: ROUND, accused, fault }));
    let events = ledger.commit(vec![tx]).events;
    let hospital = ledger.consortium.hospital(2);
    assert_eq!(
        events,
        [
            Event::Accused { study, round: ROUND, accused, hospital, fault },
            Event::Blamed { study, round: ROUND, hospital: accused, fault },
            Event::RoundFailed { study, round: ROUND },
            // The sum over all may have been seen by whom it gave its own.
            Event::StudyFailed { study },
        ]
    );
    let round = &ledger.state.study(&study).expect("a study").course.rounds[0];
    assert!(matches!(round.ended, Some((_, RoundEnd::Failed))));
    assert!(round.is_blamed(&accused) && !round.is_blamed(&ledger.consortium.hospital(0)));
}

#[test]
fn what_cannot_be_added_up_is_found_at_once() {
    let mut ledger = Ledger::new(3);
    let study = opened(&mut ledger, Protection::Open);
    contribute(&mut ledger, study, 0, 0..3);
    assert_eq!(accuse(&mut ledger, 0, study, 2, Fault::Malformed), Ok(()));
    assert_eq!(accuse(&mut ledger, 1, study, 2, Fault::Malformed), Ok(()));
    assert_eq!(phase(&ledger, study), Phase::Failed);
}

fn roles(ledger: &Ledger, study: StudyId) -> (usize, usize, Vec<usize>) {
    let round = ledger.state.study(&study).expect("a study").course.rounds.last().expect("a round");
    let Roles { aggregator, custodian, .. } = round.guard.expect("a guard").roles;
    let position = |id| (0..5).find(|i| ledger.consortium.hospital(*i) == id).expect("a member");
    let (aggregator, custodian) = (position(aggregator), position(custodian));
    (aggregator, custodian, (0..5).filter(|i| *i != aggregator && *i != custodian).collect())
}

fn seal(ledger: &mut Ledger, study: StudyId, aggregator: usize) {
    let blob = |name| Blob { hash: content(name), bytes: 9 };
    let payload = SealSum { study, round: ROUND, sum: blob(1), seeds: blob(2) };
    assert_eq!(ledger.one(Who::Hospital(aggregator), Payload::SealSum(payload)), Ok(()));
}

#[test]
fn a_round_goes_on_without_who_shows_no_lot() {
    for protection in [Protection::Open, Protection::Guarded] {
        let mut ledger = Ledger::new(5);
        let study = opened(&mut ledger, protection);
        let opened = ledger.now;
        contribute(&mut ledger, study, 0, 0..4);
        let lot = |ledger: &Ledger, i: usize| ShowLot {
            study,
            round: ROUND,
            lot: ledger.consortium.lot_of(i, study, 0, Draw::Examined),
        };
        let early = Payload::ShowLot(lot(&ledger, 0));
        let none = Err(Rejection::Lots { study });
        assert_eq!(ledger.one(Who::Hospital(0), early), none, "not all have contributed");
        let veil = (protection == Protection::Guarded).then_some(VeilCommitment {
            sealed: Blob { hash: content(7), bytes: 9 },
            keys: content(8),
            counts: None,
        });
        let payload = ledger.consortium.contribution(4, study, 0, veil);
        assert_eq!(ledger.one(Who::Hospital(4), Payload::Contribute(payload)), Ok(()));
        // Nothing is given, attested or sealed before all have shown theirs.
        let attest = Payload::Attest(consilium_protocol::tx::Attest { study, round: ROUND, sum: content(9) });
        assert_eq!(ledger.one(Who::Hospital(0), attest), none);
        ledger.now = opened + HALF_MS / 2;
        let owed = Err(Rejection::NothingOwed { study });
        assert_eq!(accuse(&mut ledger, 0, study, 1, Fault::Contribution), owed, "nobody has to give it yet");
        let round = |ledger: &Ledger| ledger.state.study(&study).expect("a study").course.rounds[0].clone();
        assert!(!round(&ledger).is_given() && !round(&ledger).is_exposed());
        for i in [0, 1, 3, 4] {
            let payload = lot(&ledger, i);
            assert_eq!(ledger.one(Who::Hospital(i), Payload::ShowLot(payload.clone())), Ok(()));
            assert_eq!(ledger.one(Who::Hospital(i), Payload::ShowLot(payload)), none, "once");
        }
        let anothers = Payload::ShowLot(lot(&ledger, 3));
        assert_eq!(ledger.one(Who::Hospital(2), anothers), Err(Rejection::Lot));
        let of_roles = ShowLot { lot: ledger.consortium.lot(2, study, 0), ..lot(&ledger, 2) };
        assert_eq!(
            ledger.one(Who::Hospital(2), Payload::ShowLot(of_roles)),
            Err(Rejection::Lot),
            "a lot for something else"
        );
        assert_eq!(round(&ledger).examined, None);
        // The last keeps it back, for whatever reason, and cannot show it when nobody has time any more.
        ledger.now = opened + 2 * HALF_MS;
        let late = Payload::ShowLot(lot(&ledger, 2));
        assert!(matches!(ledger.one(Who::Hospital(2), late), Err(Rejection::TooLate { .. })));
        if protection == Protection::Guarded {
            renew(&mut ledger);
        }
        assert_eq!(ledger.one(Who::Hospital(2), Payload::FailRound(FailRound { study, round: ROUND })), Ok(()));
        let next = ledger.state.study(&study).expect("a study").course.running_round().expect("another").clone();
        assert!(next.roster.len() == 4 && !next.has(&ledger.consortium.hospital(2)), "{protection:?}");
    }
}

#[test]
fn who_contributes_last_leaves_the_others_time_to_draw() {
    let mut ledger = Ledger::new(5);
    let study = opened(&mut ledger, Protection::Open);
    let opened = ledger.now;
    contribute(&mut ledger, study, 0, 0..4);
    // In the last moment, and at once the end of the round.
    ledger.now = opened + 2 * HALF_MS - 10;
    let payload = ledger.consortium.contribution(4, study, 0, None);
    assert_eq!(ledger.one(Who::Hospital(4), Payload::Contribute(payload.clone())), Ok(()));
    ledger.now = opened + 2 * HALF_MS + 10;
    let fail = || Payload::FailRound(FailRound { study, round: ROUND });
    let early = ledger.one(Who::Hospital(4), fail());
    assert!(matches!(early, Err(Rejection::TooEarly { .. })), "{early:?}");
    ledger.show_lots(study);
    assert!(ledger.state.study(&study).expect("a study").course.rounds[0].examined.is_some());

    // And nobody contributes after the round's time.
    let mut ledger = Ledger::new(5);
    let study = self::opened(&mut ledger, Protection::Open);
    contribute(&mut ledger, study, 0, 0..4);
    ledger.now += 2 * HALF_MS + 10;
    let late = ledger.one(Who::Hospital(4), Payload::Contribute(payload));
    assert!(matches!(late, Err(Rejection::TooLate { .. })), "{late:?}");
}

/// Who was drawn to show how its contribution was made.
fn examined(ledger: &Ledger, study: StudyId) -> usize {
    let round = ledger.state.study(&study).expect("a study").course.rounds.last().expect("a round");
    let id = round.examined.expect("all have contributed");
    (0..5).find(|i| ledger.consortium.hospital(*i) == id).expect("a member")
}

#[test]
fn whose_contribution_was_not_made_as_it_shows_is_named_at_once_and_left_out() {
    let mut ledger = Ledger::new(5);
    let study = opened(&mut ledger, Protection::Guarded);
    contribute(&mut ledger, study, 0, 0..4);
    let drawn = |ledger: &Ledger| ledger.state.study(&study).expect("a study").course.rounds[0].examined;
    assert_eq!(drawn(&ledger), None, "not all have contributed");
    contribute(&mut ledger, study, 0, 4..5);
    let at = examined(&ledger, study);
    let accused = drawn(&ledger).expect("drawn");
    let by: Vec<usize> = (0..5).filter(|i| *i != at).collect();
    let round = &ledger.state.study(&study).expect("a study").course.rounds[0];
    let not_before = Timestamp::new(round.opened.time.get() + HALF_MS);
    let early = accuse(&mut ledger, by[0], study, at, Fault::Proof);
    assert_eq!(early, Err(Rejection::TooEarly { not_before }), "it may be away for a moment");
    let custodian = roles(&ledger, study).1;
    let by_another = *by.iter().find(|i| **i != custodian).expect("another");
    let keys_of_a_round = accuse(&mut ledger, by_another, study, custodian, Fault::KeySets);
    assert_eq!(keys_of_a_round, Err(Rejection::NothingOwed { study }), "with one set of keys there is nothing to open");
    for i in &by[..3] {
        assert_eq!(accuse(&mut ledger, *i, study, at, Fault::Malformed), Ok(()), "everybody finds that at once");
    }
    // Those whose keys were drawn make others first.
    renew(&mut ledger);
    let fail = Payload::FailRound(FailRound { study, round: ROUND });
    assert_eq!(ledger.one(Who::Hospital(by[0]), fail), Ok(()));
    let course = ledger.state.study(&study).expect("a study").course;
    assert_eq!(course.phase, Phase::Collecting { round: RoundNumber::new(1) });
    assert!(course.rounds[1].roster.len() == 4 && !course.rounds[1].has(&accused));
}

#[test]
fn a_round_whose_next_lacks_keys_is_over_when_there_are_some() {
    let mut ledger = Ledger::new(4);
    let study = opened(&mut ledger, Protection::Guarded);
    contribute(&mut ledger, study, 0, 0..4);
    let round = |ledger: &Ledger| ledger.state.study(&study).expect("a study").course.rounds.len();
    let has_keys = |ledger: &Ledger, i: usize| {
        ledger.state.guard_keys(&ledger.consortium.hospital(i)).is_some_and(|kept| kept.free().is_some())
    };
    // Withheld by one without a role: of the three others two had one, and their keys are used up.
    let (aggregator, custodian, _) = roles(&ledger, study);
    let at = (0..4).find(|i| *i != aggregator && *i != custodian).expect("another");
    let others: Vec<usize> = (0..4).filter(|i| *i != at).collect();
    assert_eq!(others.iter().filter(|i| has_keys(&ledger, **i)).count(), 1);
    ledger.now += HALF_MS;
    for i in &others {
        assert_eq!(accuse(&mut ledger, *i, study, at, Fault::Contribution), Ok(()));
    }
    assert_eq!(phase(&ledger, study), Phase::Combining { round: ROUND }, "not failed");
    // Nothing comes of it any more, and it is not failed for want of keys before its time is over.
    let payload = SealSum {
        study,
        round: ROUND,
        sum: Blob { hash: content(1), bytes: 9 },
        seeds: Blob { hash: content(2), bytes: 9 },
    };
    let sealed = ledger.one(Who::Hospital(aggregator), Payload::SealSum(payload));
    assert_eq!(sealed, Err(Rejection::Spoiled { study }));
    let fail = || Payload::FailRound(FailRound { study, round: ROUND });
    assert_eq!(ledger.one(Who::Hospital(at), fail()), Err(Rejection::NoRoles { study }));
    for i in [aggregator, custodian] {
        assert_eq!(ledger.one(Who::Hospital(i), Payload::RegisterGuardKeys(set(i, 3))), Ok(()));
    }
    assert_eq!(ledger.one(Who::Hospital(others[0]), fail()), Ok(()));
    assert_eq!(phase(&ledger, study), Phase::Collecting { round: RoundNumber::new(1) });
    let next = ledger.state.study(&study).expect("a study").course.running_round().expect("a round");
    assert!(next.roster.len() == 3 && !next.has(&ledger.consortium.hospital(at)) && round(&ledger) == 2);
}

#[test]
fn a_round_whose_next_never_has_keys_ends_the_study_at_its_deadline() {
    let mut ledger = Ledger::new(4);
    let study = opened(&mut ledger, Protection::Guarded);
    contribute(&mut ledger, study, 0, 0..4);
    let (aggregator, custodian, _) = roles(&ledger, study);
    let at = (0..4).find(|i| *i != aggregator && *i != custodian).expect("another");
    let deadline = ledger.now + 2 * HALF_MS;
    ledger.now += HALF_MS;
    for i in (0..4).filter(|i| *i != at) {
        assert_eq!(accuse(&mut ledger, i, study, at, Fault::Contribution), Ok(()));
    }
    ledger.now = deadline;
    let payload = Payload::FailRound(FailRound { study, round: ROUND });
    assert_eq!(ledger.one(Who::Hospital(0), payload), Ok(()));
    assert_eq!(phase(&ledger, study), Phase::Failed);
}

#[test]
fn a_guarded_round_that_is_not_sealed_goes_on_without_who_withholds() {
    let mut ledger = Ledger::new(5);
    let study = opened(&mut ledger, Protection::Guarded);
    contribute(&mut ledger, study, 0, 0..5);
    ledger.now += HALF_MS;
    let (aggregator, custodian, others) = roles(&ledger, study);
    let nothing = Err(Rejection::NothingOwed { study });
    let drawn = examined(&ledger, study);
    for accused in others.iter().filter(|i| **i != drawn) {
        for fault in [Fault::Malformed, Fault::Proof] {
            let outcome = accuse(&mut ledger, aggregator, study, *accused, fault);
            assert_eq!(outcome, nothing, "the aggregator alone could say so");
        }
    }
    for fault in [Fault::Veil, Fault::Sum] {
        assert_eq!(accuse(&mut ledger, custodian, study, aggregator, fault), nothing, "nothing is sealed");
    }
    assert_eq!(accuse(&mut ledger, custodian, study, others[0], Fault::Keys), nothing, "it is not the custodian");
    for i in [aggregator, custodian, others[1]] {
        assert_eq!(accuse(&mut ledger, i, study, others[0], Fault::Contribution), Ok(()));
    }
    renew(&mut ledger);
    let fail = Payload::FailRound(FailRound { study, round: ROUND });
    assert_eq!(ledger.one(Who::Hospital(aggregator), fail), Ok(()));
    let course = ledger.state.study(&study).expect("a study").course;
    assert_eq!(course.phase, Phase::Collecting { round: RoundNumber::new(1) });
    let accused = ledger.consortium.hospital(others[0]);
    assert!(course.rounds[1].roster.len() == 4 && !course.rounds[1].has(&accused));
    // Nobody is custodian of it who had a role before: the two could tell what the accused counted.
    let (_, next, _) = roles(&ledger, study);
    assert!(next != aggregator && next != custodian);
}

#[test]
fn from_when_on_others_are_accused_counts_from_what_they_were_to_give() {
    let mut ledger = Ledger::new(3);
    let study = opened(&mut ledger, Protection::Open);
    let opened = ledger.now;
    ledger.now = opened + HALF_MS + 100;
    contribute(&mut ledger, study, 0, 0..3);
    let not_before = Timestamp::new(ledger.now + HALF_MS / 2);
    let early = Err(Rejection::TooEarly { not_before });
    assert_eq!(accuse(&mut ledger, 0, study, 2, Fault::Contribution), early, "its node may be a block behind");
    ledger.now = not_before.get();
    assert_eq!(accuse(&mut ledger, 0, study, 2, Fault::Contribution), Ok(()));
}

#[test]
fn a_guarded_round_that_is_sealed_ends_the_study() {
    let mut ledger = Ledger::new(5);
    let study = opened(&mut ledger, Protection::Guarded);
    contribute(&mut ledger, study, 0, 0..5);
    let (aggregator, custodian, others) = roles(&ledger, study);
    seal(&mut ledger, study, aggregator);
    ledger.now += HALF_MS;
    assert_eq!(accuse(&mut ledger, custodian, study, aggregator, Fault::Sum), Ok(()));
    assert_eq!(accuse(&mut ledger, others[0], study, aggregator, Fault::Sum), Ok(()));
    assert_eq!(accuse(&mut ledger, others[0], study, others[1], Fault::Veil), Ok(()));
    assert_eq!(accuse(&mut ledger, others[1], study, aggregator, Fault::Contribution), Ok(()));
    assert_eq!(phase(&ledger, study), Phase::Failed, "what was sealed may be known by those who had it");
}

#[test]
fn what_is_disclosed_is_released_and_nobody_is_accused() {
    let mut ledger = Ledger::new(5);
    let study = opened(&mut ledger, Protection::Guarded);
    contribute(&mut ledger, study, 0, 0..5);
    let (aggregator, custodian, others) = roles(&ledger, study);
    seal(&mut ledger, study, aggregator);
    let seeds = Blob { hash: content(3), bytes: 9 };
    let payload = DiscloseSeeds { study, round: ROUND, seeds, passed: vec![1] };
    assert_eq!(ledger.one(Who::Hospital(custodian), Payload::DiscloseSeeds(payload)), Ok(()));
    ledger.now += HALF_MS;
    let releasable = Err(Rejection::Releasable { study });
    assert_eq!(accuse(&mut ledger, others[0], study, aggregator, Fault::Sum), releasable);
}

/// A guarded round of five of which the custodian says what passed; aggregator, custodian and the others.
fn disclosed() -> (Ledger, StudyId, (usize, usize, Vec<usize>)) {
    let mut ledger = Ledger::new(5);
    let study = opened(&mut ledger, Protection::Guarded);
    contribute(&mut ledger, study, 0, 0..5);
    let drawn = roles(&ledger, study);
    seal(&mut ledger, study, drawn.0);
    let nothing = Err(Rejection::NothingOwed { study });
    ledger.now += HALF_MS;
    assert_eq!(accuse(&mut ledger, drawn.0, study, drawn.1, Fault::Disclosed), nothing, "it has not said so");
    let seeds = Blob { hash: content(3), bytes: 9 };
    let payload = DiscloseSeeds { study, round: ROUND, seeds, passed: vec![1] };
    assert_eq!(ledger.one(Who::Hospital(drawn.1), Payload::DiscloseSeeds(payload)), Ok(()));
    (ledger, study, drawn)
}

#[test]
fn what_may_be_known_is_not_taken_back() {
    let withdraw = |study| Payload::WithdrawStudy(WithdrawStudy { study });
    let (mut ledger, study, _) = disclosed();
    // A hospital of the roster has been given it, and may be the researcher's ally.
    assert_eq!(ledger.one(Who::Researcher(1), withdraw(study)), Err(Rejection::Releasable { study }));
    assert_eq!(phase(&ledger, study), Phase::Combining { round: ROUND });
    let mut ledger = Ledger::new(3);
    let study = opened(&mut ledger, Protection::Open);
    contribute(&mut ledger, study, 0, 0..3);
    for i in 0..2 {
        let attest = Attest { study, round: ROUND, sum: content(1) };
        assert_eq!(ledger.one(Who::Hospital(i), Payload::Attest(attest)), Ok(()));
    }
    assert_eq!(ledger.one(Who::Researcher(1), withdraw(study)), Err(Rejection::Releasable { study }));
}

#[test]
fn a_custodian_that_gives_nobody_what_it_disclosed_is_named_and_what_it_said_stays() {
    let (mut ledger, study, (aggregator, custodian, others)) = disclosed();
    let not_before = Timestamp::new(ledger.now + HALF_MS / 2);
    let early = Err(Rejection::TooEarly { not_before });
    assert_eq!(accuse(&mut ledger, aggregator, study, custodian, Fault::Disclosed), early);
    ledger.now = not_before.get();
    let nothing = Err(Rejection::NothingOwed { study });
    assert_eq!(accuse(&mut ledger, custodian, study, aggregator, Fault::Disclosed), nothing);
    for i in [aggregator, others[0], others[1]] {
        assert_eq!(phase(&ledger, study), Phase::Combining { round: ROUND });
        assert_eq!(accuse(&mut ledger, i, study, custodian, Fault::Disclosed), Ok(()));
    }
    // The same, asked again, would tell nothing.
    assert_eq!(phase(&ledger, study), Phase::Failed);
    let round = &ledger.state.study(&study).expect("a study").course.rounds[0];
    assert!(round.is_blamed(&ledger.consortium.hospital(custodian)) && may_be_known(&ledger, study, 1));
}

#[test]
fn a_round_whose_result_nobody_has_any_more_is_over_in_the_end() {
    let (mut ledger, study, _) = disclosed();
    let fail = || Payload::FailRound(FailRound { study, round: ROUND });
    let not_before = Timestamp::new(ledger.now + HALF_MS / 2 * 3);
    ledger.now = not_before.get() - 100;
    assert_eq!(ledger.one(Who::Hospital(0), fail()), Err(Rejection::TooEarly { not_before }));
    ledger.now += 100;
    renew(&mut ledger);
    assert_eq!(ledger.one(Who::Hospital(0), fail()), Ok(()));
    assert_eq!(phase(&ledger, study), Phase::Failed);
    let course = ledger.state.study(&study).expect("a study").course;
    assert!(course.rounds.len() == 1 && may_be_known(&ledger, study, 1));
    // One that ended before anything was disclosed is not known to anybody; of an open one all were given it. Where custodians are not
    // believed, what they could read may be known.
    for (protection, key_sets, known) in
        [(Protection::Guarded, 1, false), (Protection::Guarded, 2, true), (Protection::Open, 1, true)]
    {
        let mut ledger = Ledger::new(5);
        let study = self::opened(&mut ledger, protection);
        contribute(&mut ledger, study, 0, 0..5);
        if protection == Protection::Guarded {
            let aggregator = roles(&ledger, study).0;
            seal(&mut ledger, study, aggregator);
        }
        assert!(may_be_known(&ledger, study, key_sets), "it still runs");
        assert_eq!(ledger.one(Who::Researcher(1), Payload::WithdrawStudy(WithdrawStudy { study })), Ok(()));
        assert_eq!(may_be_known(&ledger, study, key_sets), known);
    }
    // Nothing can be read before it is sealed.
    let mut ledger = Ledger::new(5);
    let study = self::opened(&mut ledger, Protection::Guarded);
    contribute(&mut ledger, study, 0, 0..5);
    assert_eq!(ledger.one(Who::Researcher(1), Payload::WithdrawStudy(WithdrawStudy { study })), Ok(()));
    assert!(!may_be_known(&ledger, study, 2));
}

#[test]
fn a_custodian_that_contributes_and_gives_its_key_to_nobody_is_named_before_the_round_is_over() {
    let mut ledger = Ledger::new(5);
    let study = opened(&mut ledger, Protection::Guarded);
    let opened = ledger.now;
    let (aggregator, custodian, others) = roles(&ledger, study);
    contribute(&mut ledger, study, 0, custodian..custodian + 1);
    let early = Err(Rejection::TooEarly { not_before: Timestamp::new(opened + HALF_MS) });
    assert_eq!(accuse(&mut ledger, others[0], study, custodian, Fault::Keys), early);
    // An ally that contributes late puts nothing off.
    ledger.now = opened + HALF_MS - 1;
    contribute(&mut ledger, study, 0, aggregator..aggregator + 1);
    ledger.now = opened + HALF_MS;
    let nothing = Err(Rejection::NothingOwed { study });
    assert_eq!(accuse(&mut ledger, others[0], study, aggregator, Fault::Keys), nothing);
    assert_eq!(accuse(&mut ledger, others[0], study, custodian, Fault::Contribution), nothing);
    for i in &others {
        assert_eq!(accuse(&mut ledger, *i, study, custodian, Fault::Keys), Ok(()));
    }
    renew(&mut ledger);
    let fail = Payload::FailRound(FailRound { study, round: ROUND });
    assert_eq!(ledger.one(Who::Hospital(others[0]), fail), Ok(()));
    let round = ledger.state.study(&study).expect("a study").course.running_round().expect("a round");
    assert!(round.roster.len() == 4 && !round.has(&ledger.consortium.hospital(custodian)));
}

/// After a round of so many contributions that ended so: what is left of each hospital's loss.
fn losses(contributions: usize, end: impl Fn(&mut Ledger, StudyId)) -> Vec<u64> {
    let mut ledger = Ledger::new(4);
    let study = opened(&mut ledger, Protection::Private { rho: MicroRho::new(50) });
    contribute(&mut ledger, study, 0, 0..contributions);
    end(&mut ledger, study);
    (0..4).map(|i| ledger.state.privacy_loss(&ledger.consortium.hospital(i)).get()).collect()
}

#[test]
fn a_round_that_nobody_can_have_opened_costs_no_budget() {
    let fail = |ledger: &mut Ledger, study| {
        ledger.now += 2 * HALF_MS;
        assert_eq!(ledger.one(Who::Hospital(0), Payload::FailRound(FailRound { study, round: ROUND })), Ok(()));
    };
    let withdraw = |ledger: &mut Ledger, study| {
        assert_eq!(ledger.one(Who::Researcher(1), Payload::WithdrawStudy(WithdrawStudy { study })), Ok(()));
    };
    let blame = |ledger: &mut Ledger, study| {
        for i in 0..3 {
            assert_eq!(accuse(ledger, i, study, 3, Fault::Malformed), Ok(()));
        }
    };
    // Three go on, and are charged for the round that opened then; too few end the study.
    assert_eq!(losses(3, fail), [50, 50, 50, 0]);
    assert_eq!(losses(2, fail), [0; 4]);
    assert_eq!(losses(3, withdraw), [0; 4]);
    // When all are in, whoever adds up may have seen the result.
    assert_eq!(losses(4, fail), [100; 4]);
    assert_eq!(losses(4, withdraw), [50; 4]);
    assert_eq!(losses(4, blame), [50; 4]);
}
