use consilium_protocol::ids::{RoundNumber, StudyId};
use consilium_protocol::policy::DisclosurePolicy;
use consilium_protocol::privacy::MicroRho;
use consilium_protocol::study::Protection;
use consilium_protocol::tx::{FailRound, OpenRound, Payload};

use crate::rejection::Rejection;
use crate::state::study::Phase;
use crate::testing::{Consortium, Ledger, Who};

fn ledger(members: u8, change: impl FnOnce(&mut DisclosurePolicy)) -> Ledger {
    let mut consortium = Consortium::new(members);
    change(&mut consortium.genesis.policy);
    consortium.genesis.check().expect("a valid genesis");
    let mut ledger = Ledger::founded(consortium);
    ledger.accredit(1);
    ledger
}

fn private(millionths: u64) -> Protection {
    Protection::Private { rho: MicroRho::new(millionths) }
}

fn open(ledger: &mut Ledger, study: StudyId) -> crate::apply::Outcome {
    ledger.now += ledger.consortium.genesis.deadlines.grace_ms;
    ledger.one(Who::Hospital(0), Payload::OpenRound(OpenRound { study }))
}

#[test]
fn open_studies_need_the_policys_leave() {
    let mut ledger = ledger(3, |policy| policy.open_studies = false);
    assert_eq!(ledger.propose_protected(1, Protection::Open).1, Err(Rejection::OpenStudiesForbidden));
    assert_eq!(ledger.propose_protected(1, Protection::Guarded).1, Ok(()));
    assert_eq!(ledger.propose_protected(1, private(1)).1, Ok(()));
}

#[test]
fn a_researcher_proposes_so_many_studies_in_a_period() {
    let mut ledger = ledger(3, |policy| {
        policy.studies_per_researcher = 2;
        policy.quota_days = 1;
    });
    let start = ledger.now;
    assert_eq!(ledger.propose_protected(1, Protection::Open).1, Ok(()));
    let first = start + 1;
    assert_eq!(ledger.propose_protected(2, Protection::Open).1, Ok(()));
    let refused = Err(Rejection::Quota { quota: 2, days: 1 });
    assert_eq!(ledger.propose_protected(3, Protection::Open).1, refused);
    // The last millisecond of the first study's day, and the one after it.
    ledger.now = first + 86_400_000 - 2;
    assert_eq!(ledger.propose_protected(3, Protection::Open).1, refused);
    assert_eq!(ledger.propose_protected(3, Protection::Open).1, Ok(()));
}

#[test]
fn the_privacy_budget_is_refused_exactly_past_its_bound() {
    let mut ledger = ledger(3, |policy| policy.privacy_budget = MicroRho::new(100));
    let (asked, left) = (MicroRho::new(101), MicroRho::new(100));
    assert_eq!(ledger.propose_protected(1, private(101)).1, Err(Rejection::PrivacyBudget { asked, left }));
    let mut run = |name: u8, rho: u64| {
        let (study, outcome) = ledger.propose_protected(name, private(rho));
        outcome?;
        (0..3).for_each(|i| assert_eq!(ledger.approve(i, study), Ok(())));
        open(&mut ledger, study)
    };
    assert_eq!(run(1, 60), Ok(()));
    let refused =
        |asked, left| Err(Rejection::PrivacyBudget { asked: MicroRho::new(asked), left: MicroRho::new(left) });
    assert_eq!(run(2, 41), refused(41, 40));
    assert_eq!(run(3, 40), Ok(()));
    assert_eq!(run(4, 1), refused(1, 0));
    for i in 0..3 {
        let hospital = ledger.consortium.hospital(i);
        assert_eq!(ledger.state.privacy_loss(&hospital), MicroRho::new(100));
    }
}

#[test]
fn budgets_are_each_hospitals_own_and_a_round_goes_on_with_those_that_have_some_left() {
    let mut ledger = ledger(4, |policy| policy.privacy_budget = MicroRho::new(100));
    let propose = |ledger: &mut Ledger, name: u8| {
        let (study, outcome) = ledger.propose_protected(name, private(60));
        assert_eq!(outcome, Ok(()));
        study
    };
    // All are proposed, and two approved, before any is charged.
    let (first, second, third) = (propose(&mut ledger, 1), propose(&mut ledger, 2), propose(&mut ledger, 3));
    (0..3).for_each(|i| assert_eq!(ledger.approve(i, first), Ok(())));
    (0..4).for_each(|i| assert_eq!(ledger.approve(i, second), Ok(())));
    assert_eq!(open(&mut ledger, first), Ok(()));
    let too_few = Err(Rejection::TooFewHospitals { approved: 1, needed: 3 });
    assert_eq!(open(&mut ledger, second), too_few);
    let spent = |ledger: &Ledger, i: usize| ledger.state.privacy_loss(&ledger.consortium.hospital(i)).get();
    assert_eq!([0, 1, 2, 3].map(|i| spent(&ledger, i)), [60, 60, 60, 0]);
    assert_eq!(ledger.approve(3, third), Ok(()));
    let refused = |asked| Err(Rejection::PrivacyBudget { asked: MicroRho::new(asked), left: MicroRho::new(40) });
    assert_eq!(ledger.approve(0, third), refused(60));
    // Three of four must take part; the fourth alone has more left.
    assert_eq!(ledger.propose_protected(4, private(41)).1, refused(41));
    assert_eq!(ledger.propose_protected(4, private(40)).1, Ok(()));
}

#[test]
fn less_noise_than_all_hospitals_can_share_out_is_refused_before_it_costs_anything() {
    let mut ledger = ledger(4, |_| ());
    // Three of four are honest, and the study has one statistic: 1 / (2·3).
    let (asked, most) = (MicroRho::new(166_667), MicroRho::new(166_666));
    assert_eq!(ledger.propose_protected(1, private(166_667)).1, Err(Rejection::RhoTooLarge { asked, most }));
    assert_eq!(ledger.propose_protected(1, private(166_666)).1, Ok(()));
}

/// A private study over five hospitals, of which the one in the middle has budget for one round only; with its first round
/// ended after so many contributed.
fn failed_with_one_that_is_out_of_budget(contributions: usize) -> Phase {
    let mut ledger = ledger(5, |policy| policy.privacy_budget = MicroRho::new(100));
    let mut run = |name: u8, approvers: &[usize]| {
        let (study, _) = ledger.propose_protected(name, private(30));
        approvers.iter().for_each(|i| assert_eq!(ledger.approve(*i, study), Ok(())));
        ledger.now += ledger.consortium.genesis.deadlines.grace_ms;
        let opener = Who::Hospital(approvers[0]);
        assert_eq!(ledger.one(opener, Payload::OpenRound(OpenRound { study })), Ok(()));
        study
    };
    run(1, &[0, 1, 2]);
    run(2, &[2, 3, 4]);
    let study = run(3, &[0, 1, 2, 3, 4]);
    let round = RoundNumber::new(0);
    ledger.contribute(study, 0, 0..contributions);
    ledger.now += ledger.consortium.genesis.deadlines.round_ms;
    assert_eq!(ledger.one(Who::Hospital(0), Payload::FailRound(FailRound { study, round })), Ok(()));
    phase(&ledger, study)
}

#[test]
fn after_a_complete_round_no_hospital_is_left_out_for_want_of_budget() {
    assert_eq!(failed_with_one_that_is_out_of_budget(5), Phase::Failed);
    // Nobody can have seen a sum over all: the others go on.
    assert_eq!(failed_with_one_that_is_out_of_budget(4), Phase::Collecting { round: RoundNumber::new(1) });
}

#[test]
fn another_round_is_charged_too_and_fails_where_nothing_is_left() {
    let mut ledger = ledger(3, |policy| policy.privacy_budget = MicroRho::new(100));
    let (study, _) = ledger.propose_protected(1, private(50));
    (0..3).for_each(|i| assert_eq!(ledger.approve(i, study), Ok(())));
    assert_eq!(open(&mut ledger, study), Ok(()));
    for (round, loss) in [(0, 100), (1, 100)] {
        ledger.contribute(study, round, 0..3);
        ledger.now += ledger.consortium.genesis.deadlines.round_ms;
        let fail = FailRound { study, round: RoundNumber::new(round) };
        assert_eq!(ledger.one(Who::Hospital(0), Payload::FailRound(fail)), Ok(()));
        assert_eq!(ledger.state.privacy_loss(&ledger.consortium.hospital(0)), MicroRho::new(loss));
    }
    assert_eq!(ledger.state.study(&study).expect("a study").course.phase, Phase::Failed);
}

fn phase(ledger: &Ledger, study: StudyId) -> Phase {
    ledger.state.study(&study).expect("a study").course.phase
}
