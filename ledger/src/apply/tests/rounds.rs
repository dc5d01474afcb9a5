use consilium_protocol::ids::{RoundNumber, StudyId, Timestamp};
use consilium_protocol::tx::{Attest, Contribute, FailRound, Payload, Release};

use crate::apply::Outcome;
use crate::event::Event;
use crate::rejection::Rejection;
use crate::state::study::{MAX_ROUNDS, Phase, RoundEnd};
use crate::testing::{Ledger, Who, content};

fn contribute(ledger: &mut Ledger, i: usize, study: StudyId, round: u32) -> Outcome {
    contribute_bytes(ledger, i, study, round, 64)
}

fn contribute_bytes(ledger: &mut Ledger, i: usize, study: StudyId, round: u32, bytes: u64) -> Outcome {
    let payload = Contribute { bytes, ..ledger.consortium.contribution(i, study, round, None) };
    ledger.one(Who::Hospital(i), Payload::Contribute(payload))
}

fn attest(ledger: &mut Ledger, i: usize, study: StudyId, round: u32, sum: u8) -> Outcome {
    let payload = Payload::Attest(Attest { study, round: RoundNumber::new(round), sum: content(sum) });
    ledger.one(Who::Hospital(i), payload)
}

fn release(ledger: &mut Ledger, i: usize, study: StudyId, round: u32) -> Outcome {
    ledger.one(Who::Hospital(i), Payload::Release(Release { study, round: RoundNumber::new(round) }))
}

fn fail(ledger: &mut Ledger, i: usize, study: StudyId, round: u32) -> Outcome {
    ledger.one(Who::Hospital(i), Payload::FailRound(FailRound { study, round: RoundNumber::new(round) }))
}

fn phase(ledger: &Ledger, study: StudyId) -> Phase {
    ledger.state.study(&study).expect("a study").course.phase
}

#[test]
fn a_round_from_contributions_to_release() {
    let mut ledger = Ledger::new(4);
    let study = ledger.opened(&[0, 1, 2]);
    let collecting = Phase::Collecting { round: RoundNumber::new(0) };
    let combining = Phase::Combining { round: RoundNumber::new(0) };
    let wrong = |phase| Err(Rejection::WrongPhase { study, phase });
    assert_eq!(attest(&mut ledger, 0, study, 0, 1), wrong(collecting));
    assert_eq!(release(&mut ledger, 0, study, 0), wrong(collecting));
    assert_eq!(contribute(&mut ledger, 0, study, 0), Ok(()));
    assert_eq!(contribute(&mut ledger, 0, study, 0), Err(Rejection::AlreadyContributed { study }));
    assert_eq!(contribute(&mut ledger, 3, study, 0), Err(Rejection::NotInRoster { study }));
    let current = RoundNumber::new(0);
    assert_eq!(contribute(&mut ledger, 1, study, 1), Err(Rejection::WrongRound { current }));
    assert_eq!(contribute_bytes(&mut ledger, 1, study, 0, 0), Err(Rejection::EmptyContribution));
    // One that says another length than others does not stop them.
    assert_eq!(contribute_bytes(&mut ledger, 1, study, 0, 65), Ok(()));
    assert_eq!(phase(&ledger, study), collecting);
    assert_eq!(contribute(&mut ledger, 2, study, 0), Ok(()));
    assert_eq!(phase(&ledger, study), combining);
    assert_eq!(contribute(&mut ledger, 2, study, 0), wrong(combining));

    assert_eq!(attest(&mut ledger, 3, study, 0, 1), Err(Rejection::NotInRoster { study }));
    assert_eq!(attest(&mut ledger, 0, study, 1, 1), Err(Rejection::WrongRound { current }));
    assert_eq!(attest(&mut ledger, 0, study, 0, 1), Ok(()));
    assert_eq!(attest(&mut ledger, 0, study, 0, 2), Err(Rejection::AlreadyAttested { study }));
    let too_few = Err(Rejection::TooFewAttestations { attested: 1, needed: 2 });
    assert_eq!(release(&mut ledger, 0, study, 0), too_few);
    assert_eq!(attest(&mut ledger, 1, study, 0, 2), Ok(()));
    assert_eq!(release(&mut ledger, 0, study, 0), too_few, "they attested different sums");
    assert_eq!(attest(&mut ledger, 2, study, 0, 1), Ok(()));
    assert_eq!(release(&mut ledger, 3, study, 0), Err(Rejection::NotInRoster { study }));
    assert_eq!(release(&mut ledger, 0, study, 1), Err(Rejection::WrongRound { current }));
    assert_eq!(release(&mut ledger, 1, study, 0), Ok(()));
    let released = Phase::Released { round: current, sum: content(1) };
    assert_eq!(phase(&ledger, study), released);
    assert_eq!(release(&mut ledger, 1, study, 0), wrong(released));
    assert_eq!(fail(&mut ledger, 1, study, 0), wrong(released));
}

#[test]
fn an_empty_contribution_is_refused() {
    let mut ledger = Ledger::new(3);
    let study = ledger.opened(&[0, 1, 2]);
    let outcome = contribute_bytes(&mut ledger, 0, study, 0, 0);
    assert_eq!(outcome, Err(Rejection::EmptyContribution));
}

#[test]
fn a_round_that_collects_too_long_goes_on_with_who_is_left() {
    let mut ledger = Ledger::new(4);
    let study = ledger.opened(&[0, 1, 2, 3]);
    let opened = ledger.now;
    for i in 0..3 {
        assert_eq!(contribute(&mut ledger, i, study, 0), Ok(()));
    }
    let not_before = Timestamp::new(opened + 5_000);
    assert_eq!(fail(&mut ledger, 3, study, 0), Err(Rejection::TooEarly { not_before }));
    ledger.now = opened + 4_999;
    assert_eq!(fail(&mut ledger, 3, study, 1), Err(Rejection::WrongRound { current: RoundNumber::new(0) }));
    assert_eq!(fail(&mut ledger, 3, study, 0), Ok(()), "any member may");
    let course = ledger.state.study(&study).expect("a study").course;
    assert_eq!(course.phase, Phase::Collecting { round: RoundNumber::new(1) });
    assert!(matches!(course.rounds[0].ended, Some((_, RoundEnd::Failed))));
    assert_eq!(course.rounds[1].roster.len(), 3);
    assert_eq!(course.rounds[1].opened.height, ledger.state.height(), "consent is read anew");
    let current = RoundNumber::new(1);
    assert_eq!(contribute(&mut ledger, 3, study, 0), Err(Rejection::WrongRound { current }));
    assert_eq!(contribute(&mut ledger, 3, study, 1), Err(Rejection::NotInRoster { study }));
    assert_eq!(contribute(&mut ledger, 0, study, 1), Ok(()));
}

#[test]
fn a_round_with_too_few_left_fails_the_study() {
    // Three of six are not more than half; two are fewer than three.
    for (members, contributors) in [(6u8, 3usize), (3, 2)] {
        let mut ledger = Ledger::new(members);
        let all: Vec<usize> = (0..usize::from(members)).collect();
        let study = ledger.opened(&all);
        for i in 0..contributors {
            assert_eq!(contribute(&mut ledger, i, study, 0), Ok(()));
        }
        ledger.now += 5_000;
        let tx = ledger.sign(Who::Hospital(0), Payload::FailRound(FailRound { study, round: RoundNumber::new(0) }));
        let result = ledger.commit(vec![tx]);
        assert_eq!(result.events.last(), Some(&Event::StudyFailed { study }));
        assert_eq!(phase(&ledger, study), Phase::Failed);
    }
}

#[test]
fn a_round_that_can_be_released_does_not_fail() {
    let mut ledger = Ledger::new(3);
    let study = ledger.opened(&[0, 1, 2]);
    for i in 0..3 {
        assert_eq!(contribute(&mut ledger, i, study, 0), Ok(()));
    }
    for i in 0..2 {
        assert_eq!(attest(&mut ledger, i, study, 0, 1), Ok(()));
    }
    ledger.now += 5_000;
    assert_eq!(fail(&mut ledger, 2, study, 0), Err(Rejection::Releasable { study }));
    assert_eq!(release(&mut ledger, 2, study, 0), Ok(()));
}

#[test]
fn after_a_complete_round_the_roster_never_shrinks() {
    let mut ledger = Ledger::new(4);
    let study = ledger.opened(&[0, 1, 2, 3]);
    for i in 0..4 {
        assert_eq!(contribute(&mut ledger, i, study, 0), Ok(()));
    }
    ledger.show_lots(study);
    // Three attest, too divided for a release; the fourth is cut off.
    for (i, sum) in [(0, 1), (1, 1), (2, 2)] {
        assert_eq!(attest(&mut ledger, i, study, 0, sum), Ok(()));
    }
    ledger.now += 5_000;
    assert_eq!(fail(&mut ledger, 0, study, 0), Ok(()));
    let course = ledger.state.study(&study).expect("a study").course;
    assert_eq!(course.rounds[1].roster.len(), 4, "all of them again");
    for i in 0..3 {
        assert_eq!(contribute(&mut ledger, i, study, 1), Ok(()));
    }
    ledger.now += 5_000;
    assert_eq!(fail(&mut ledger, 0, study, 1), Ok(()));
    assert_eq!(phase(&ledger, study), Phase::Failed, "three would tell the fourth's numbers by subtraction");
}

#[test]
fn rounds_come_to_an_end() {
    let mut ledger = Ledger::new(3);
    let study = ledger.opened(&[0, 1, 2]);
    for round in 0..MAX_ROUNDS as u32 {
        for i in 0..3 {
            assert_eq!(contribute(&mut ledger, i, study, round), Ok(()), "{round}");
        }
        ledger.now += 5_000;
        assert_eq!(fail(&mut ledger, 0, study, round), Ok(()));
    }
    assert_eq!(phase(&ledger, study), Phase::Failed);
}
