use consilium_protocol::catalogue::ColumnKind;
use consilium_protocol::ids::{StudyId, Timestamp};
use consilium_protocol::kem::{KemPublicKey, PUBLIC_KEY_BYTES};
use consilium_protocol::study::{ConceptSet, limits};
use consilium_protocol::tx::{Approve, MAX_REASON_BYTES, OpenRound, Payload, ProposeStudy, Reject, WithdrawStudy};

use crate::apply::Outcome;
use crate::event::Event;
use crate::rejection::{Entitled, Rejection, SpecFault, TextField};
use crate::state::study::{Phase, RoundEnd};
use crate::testing::{Ledger, Who, labs, sealing_key, spec, study_key};

const RESEARCHER: Who = Who::Researcher(1);

fn reject(ledger: &mut Ledger, hospital: usize, study: StudyId) -> Outcome {
    ledger.one(Who::Hospital(hospital), Payload::Reject(Reject { study, reason: "no".to_string() }))
}

fn open(ledger: &mut Ledger, hospital: usize, study: StudyId) -> Outcome {
    ledger.one(Who::Hospital(hospital), Payload::OpenRound(OpenRound { study }))
}

fn withdraw(study: StudyId) -> Payload {
    Payload::WithdrawStudy(WithdrawStudy { study })
}

fn phase(ledger: &Ledger, study: StudyId) -> Phase {
    ledger.state.study(&study).expect("a study").course.phase
}

#[test]
fn each_reason_not_to_propose() {
    let mut ledger = Ledger::new(3);
    let study = ledger.proposed();
    assert_eq!(ledger.one(RESEARCHER, Ledger::study_proposal(1)), Err(Rejection::StudyExists { study }));
    let entitled = Entitled::Researcher;
    assert_eq!(ledger.one(Who::Hospital(0), Ledger::study_proposal(2)), Err(Rejection::NotEntitled { entitled }));
    let good = spec(2).to_canonical();
    let propose_with = |spec: Vec<u8>, public_key: Vec<u8>, sealing_key: KemPublicKey| {
        Payload::ProposeStudy(ProposeStudy { spec, public_key, sealing_key })
    };
    let propose = |spec| propose_with(spec, study_key(), sealing_key());
    let none = KemPublicKey::from_bytes([255; PUBLIC_KEY_BYTES]);
    let mut without_body = study_key();
    without_body[48..].fill(0);
    let mut trailing = good.clone();
    trailing.push(0);
    let mut version = good.clone();
    version[0] = 9;
    let mut invalid = spec(2);
    invalid.statistics.clear();
    let mut own = spec(2);
    own.tables = vec![labs()];
    let mut foreign = own.clone();
    foreign.tables[0].columns[1].kind = ColumnKind::Integer;
    let mut unknown = own.clone();
    unknown.tables[0].name = "unknown".to_string();
    let cases = [
        (propose(vec![]), Rejection::Spec(SpecFault::Malformed)),
        (propose(trailing), Rejection::Spec(SpecFault::Malformed)),
        (propose(version), Rejection::Spec(SpecFault::Version)),
        (propose(vec![1; limits::SPEC_BYTES + 1]), Rejection::Spec(SpecFault::TooLong)),
        (propose(invalid.to_canonical()), Rejection::Spec(SpecFault::Invalid)),
        (propose(foreign.to_canonical()), Rejection::Spec(SpecFault::Catalogue)),
        (propose(unknown.to_canonical()), Rejection::Spec(SpecFault::Catalogue)),
        (propose_with(good.clone(), Vec::new(), sealing_key()), Rejection::StudyKey),
        (propose_with(good.clone(), without_body, sealing_key()), Rejection::StudyKey),
        (propose_with(good.clone(), study_key(), none), Rejection::StudyKey),
    ];
    for (payload, rejection) in cases {
        assert_eq!(ledger.one(RESEARCHER, payload), Err(rejection));
    }
    assert_eq!(ledger.one(RESEARCHER, propose(good)), Ok(()));
    assert_eq!(ledger.one(RESEARCHER, propose(own.to_canonical())), Ok(()));
    assert_eq!(ledger.state.figures().studies, 3);
}

#[test]
fn the_longest_study_fits_in_a_transaction() {
    let mut ledger = Ledger::new(3);
    ledger.proposed();
    let mut longest = spec(2);
    let set = |include| ConceptSet { name: "codes".to_string(), include, exclude: Vec::new(), descendants: false };
    longest.cohort.concept_sets = vec![set(vec![1])];
    let codes = (limits::SPEC_BYTES - longest.to_canonical().len()) / 4;
    longest.cohort.concept_sets = vec![set((1..=1 + u32::try_from(codes).expect("a count")).collect())];
    let bytes = longest.to_canonical();
    assert!((limits::SPEC_BYTES - 3..=limits::SPEC_BYTES).contains(&bytes.len()), "{}", bytes.len());
    let propose = |spec| {
        let (public_key, sealing_key) = (study_key(), sealing_key());
        Payload::ProposeStudy(ProposeStudy { spec, public_key, sealing_key })
    };
    assert_eq!(ledger.one(RESEARCHER, propose(bytes)), Ok(()));
}

#[test]
fn more_than_half_approve_and_latecomers_join() {
    let mut ledger = Ledger::new(4);
    let study = ledger.proposed();
    assert_eq!(ledger.approve(0, study), Ok(()));
    assert_eq!(ledger.approve(0, study), Err(Rejection::AlreadyDecided { study }));
    assert_eq!(ledger.approve(1, study), Ok(()));
    assert_eq!(phase(&ledger, study), Phase::Proposed, "two of four are not more than half");
    let wrong = Rejection::WrongPhase { study, phase: Phase::Proposed };
    assert_eq!(open(&mut ledger, 0, study), Err(wrong));
    assert_eq!(ledger.approve(2, study), Ok(()));
    let since = Timestamp::new(ledger.now);
    assert_eq!(phase(&ledger, study), Phase::Approved { since });

    let not_before = since.plus_millis(1_000);
    assert_eq!(open(&mut ledger, 0, study), Err(Rejection::TooEarly { not_before }));
    assert_eq!(open(&mut ledger, 3, study), Err(Rejection::NotAnApprover { study }));
    assert_eq!(ledger.approve(3, study), Ok(()));
    assert_eq!(open(&mut ledger, 0, study), Ok(()), "all have decided");
    let course = ledger.state.study(&study).expect("a study").course;
    let all: Vec<_> = (0..4).map(|i| ledger.consortium.hospital(i)).collect();
    assert_eq!(course.rounds[0].roster, all);
    assert_eq!(course.rounds[0].opened.height, ledger.state.height());
    let wrong = Rejection::WrongPhase { study, phase: course.phase };
    assert_eq!(open(&mut ledger, 0, study), Err(wrong));
}

#[test]
fn the_round_opens_without_the_undecided_after_the_grace() {
    let mut ledger = Ledger::new(4);
    let study = ledger.proposed();
    for i in 0..3 {
        assert_eq!(ledger.approve(i, study), Ok(()));
    }
    ledger.now += 998;
    assert!(matches!(open(&mut ledger, 1, study), Err(Rejection::TooEarly { .. })));
    assert_eq!(open(&mut ledger, 1, study), Ok(()), "exactly when the grace is over");
    let course = ledger.state.study(&study).expect("a study").course;
    assert_eq!(course.rounds[0].roster.len(), 3);
    let late = ledger.approve(3, study);
    assert!(matches!(late, Err(Rejection::WrongPhase { .. })));
}

#[test]
fn a_round_needs_as_many_hospitals_as_the_policy_says() {
    let mut ledger = Ledger::new(3);
    let study = ledger.proposed();
    assert_eq!(ledger.approve(0, study), Ok(()));
    assert_eq!(ledger.approve(1, study), Ok(()));
    assert_eq!(reject(&mut ledger, 2, study), Ok(()));
    assert!(matches!(phase(&ledger, study), Phase::Approved { .. }));
    assert_eq!(open(&mut ledger, 0, study), Err(Rejection::TooFewHospitals { approved: 2, needed: 3 }));
}

#[test]
fn half_of_the_members_can_reject() {
    let mut ledger = Ledger::new(4);
    let study = ledger.proposed();
    assert_eq!(reject(&mut ledger, 0, study), Ok(()));
    assert_eq!(phase(&ledger, study), Phase::Proposed);
    assert_eq!(reject(&mut ledger, 0, study), Err(Rejection::AlreadyDecided { study }));
    assert_eq!(reject(&mut ledger, 1, study), Ok(()));
    assert_eq!(phase(&ledger, study), Phase::Rejected);
    let wrong = Rejection::WrongPhase { study, phase: Phase::Rejected };
    assert_eq!(ledger.approve(2, study), Err(wrong));
}

#[test]
fn decisions_are_by_members_with_reasons() {
    let mut ledger = Ledger::new(3);
    let study = ledger.proposed();
    let entitled = Entitled::Hospital;
    let lot = ledger.consortium.lot(0, study, 0);
    let approve = |reason: &str| {
        Payload::Approve(Approve {
            study,
            reason: reason.to_string(),
            pair_key: sealing_key(),
            lot,
            ticked: Vec::new(),
        })
    };
    assert_eq!(ledger.one(RESEARCHER, approve("")), Err(Rejection::NotEntitled { entitled }));
    for reason in ["", " ", "\u{7}", &"x".repeat(MAX_REASON_BYTES + 1)] {
        let payload = Payload::Reject(Reject { study, reason: reason.to_string() });
        assert_eq!(ledger.one(Who::Hospital(0), payload), Err(Rejection::Text { field: TextField::Reason }));
        if !reason.is_empty() {
            let outcome = ledger.one(Who::Hospital(0), approve(reason));
            assert_eq!(outcome, Err(Rejection::Text { field: TextField::Reason }));
        }
    }
    let unknown = StudyId::from_bytes([9; 32]);
    assert_eq!(ledger.approve(0, unknown), Err(Rejection::UnknownStudy { study: unknown }));
    assert_eq!(ledger.one(Who::Hospital(0), approve("two\nlines")), Ok(()));
}

#[test]
fn who_approved_pairs_once_and_is_not_on_the_roster_before() {
    let mut ledger = Ledger::new(4);
    let study = ledger.proposed();
    let pair = |ledger: &mut Ledger, i, before| ledger.one(Who::Hospital(i), Ledger::pairing(study, before));
    assert_eq!(pair(&mut ledger, 0, 0), Err(Rejection::NotAnApprover { study }));
    let none = KemPublicKey::from_bytes([255; PUBLIC_KEY_BYTES]);
    let Payload::Approve(approval) = ledger.approval(2, study) else { panic!("an approval") };
    let wrong = Payload::Approve(Approve { pair_key: none, ..approval });
    assert_eq!(ledger.one(Who::Hospital(2), wrong), Err(Rejection::PairKey));
    for (before, i) in [2, 0, 3].into_iter().enumerate() {
        let approval = ledger.approval(i, study);
        assert_eq!(ledger.one(Who::Hospital(i), approval), Ok(()));
        assert_eq!(pair(&mut ledger, i, before + 1), Err(Rejection::PairKey), "one for each before it");
    }
    ledger.now += ledger.consortium.genesis.deadlines.grace_ms;
    assert_eq!(open(&mut ledger, 2, study), Err(Rejection::NotAnApprover { study }), "not paired yet");
    for (before, i) in [2, 0].into_iter().enumerate() {
        assert_eq!(pair(&mut ledger, i, before), Ok(()));
        assert_eq!(pair(&mut ledger, i, before), Err(Rejection::AlreadyPaired { study }));
    }
    assert_eq!(open(&mut ledger, 2, study), Err(Rejection::TooFewHospitals { approved: 2, needed: 3 }));
    assert_eq!(pair(&mut ledger, 3, 2), Ok(()));
    // One more approves, and is not paired when the round opens.
    let approval = ledger.approval(1, study);
    assert_eq!(ledger.one(Who::Hospital(1), approval), Ok(()));
    assert_eq!(open(&mut ledger, 2, study), Ok(()));
    let phase = phase(&ledger, study);
    assert_eq!(pair(&mut ledger, 1, 3), Err(Rejection::WrongPhase { study, phase }));
    let course = ledger.state.study(&study).expect("a study").course;
    assert_eq!(course.rounds[0].roster, [0, 2, 3].map(|i| ledger.consortium.hospital(i)));
}

#[test]
fn studies_expire() {
    let mut ledger = Ledger::new(4);
    let undecided = ledger.proposed();
    let proposed_at = ledger.now;
    assert_eq!(ledger.one(RESEARCHER, Ledger::study_proposal(2)), Ok(()));
    let approved = ledger.study_name(1, 2);
    for i in 0..3 {
        assert_eq!(ledger.approve(i, approved), Ok(()));
    }
    let approved_at = ledger.now;
    ledger.now = proposed_at + 10_000 - 1;
    ledger.commit(Vec::new());
    assert_eq!(phase(&ledger, undecided), Phase::Proposed, "to the last moment");
    let result = ledger.commit(Vec::new());
    assert_eq!(phase(&ledger, undecided), Phase::Expired);
    assert_eq!(result.events, [Event::StudyExpired { study: undecided }]);
    let wrong = Rejection::WrongPhase { study: undecided, phase: Phase::Expired };
    assert_eq!(ledger.approve(0, undecided), Err(wrong));

    ledger.now = approved_at + 10_000 - 1;
    ledger.commit(Vec::new());
    assert!(matches!(phase(&ledger, approved), Phase::Approved { .. }));
    // It expires before the block's transactions: the round cannot open any more.
    assert!(matches!(open(&mut ledger, 0, approved), Err(Rejection::WrongPhase { phase: Phase::Expired, .. })));
}

#[test]
fn only_its_researcher_withdraws_a_study_and_only_before_its_end() {
    let mut ledger = Ledger::new(3);
    let study = ledger.opened(&[0, 1, 2]);
    ledger.accredit(2);
    let entitled = Entitled::Researcher;
    assert_eq!(ledger.one(Who::Hospital(0), withdraw(study)), Err(Rejection::NotEntitled { entitled }));
    assert_eq!(ledger.one(Who::Researcher(2), withdraw(study)), Err(Rejection::NotTheResearcher { study }));
    assert_eq!(ledger.one(RESEARCHER, withdraw(study)), Ok(()));
    assert_eq!(phase(&ledger, study), Phase::Withdrawn);
    let round = &ledger.state.study(&study).expect("a study").course.rounds[0];
    assert!(matches!(round.ended, Some((_, RoundEnd::Withdrawn))));
    let wrong = Rejection::WrongPhase { study, phase: Phase::Withdrawn };
    assert_eq!(ledger.one(RESEARCHER, withdraw(study)), Err(wrong));
}
