use consilium_protocol::consent::{Action, Basis, Disease, Domain, Effect, Purpose, Reason, Rule, Scope, Terms};
use consilium_protocol::ids::{Date, Height, RoundNumber, StudyId};
use consilium_protocol::tx::{FailRound, Payload, Revocation, Revoke};

use crate::state::reading::ReadingError;
use crate::testing::{Ledger, Who, content, paper, permit, subject};

const FIRST: RoundNumber = RoundNumber::new(0);

fn revoke(name: u32) -> Payload {
    let form =
        Revocation { subject: subject(name), document: None, source: content(8), signed: Some(Date::from_days(0)) };
    Payload::Revoke(Revoke { basis: Basis::Paper, forms: vec![form] })
}

fn deny(purpose: Purpose) -> Terms {
    let mut terms = permit(purpose);
    terms.rules[0].effect = Effect::Deny;
    terms
}

/// Subjects 1 to 6 at hospital 0, subject 1 at hospital 1 too.
fn granted() -> Ledger {
    let mut ledger = Ledger::new(4);
    ledger.enrol(0, 1..=6);
    ledger.enrol(1, [1]);
    let mut drugs = permit(Purpose::GeneralResearch);
    drugs.rules[0].data = Scope::Only(vec![Domain::Drug]);
    let disease = Purpose::DiseaseResearch(Disease::new("M:1").expect("a code"));
    let hospital = Who::Hospital(0);
    for (terms, names) in [
        (permit(Purpose::HealthResearch), vec![1, 2, 5]),
        (drugs, vec![3]),
        (permit(disease), vec![4]),
        // Another document that denies: 2 has both.
        (deny(Purpose::HealthResearch), vec![2]),
    ] {
        assert_eq!(ledger.one(hospital, paper(terms, false, names)), Ok(()));
    }
    ledger
}

fn names(ledger: &Ledger, study: StudyId, round: RoundNumber, hospital: usize) -> Vec<u8> {
    let permissions = ledger.state.permissions(&study, round, &ledger.consortium.hospital(hospital)).expect("a round");
    permissions.subjects.iter().map(|(id, _)| id.as_bytes()[3]).collect()
}

#[test]
fn a_round_reads_consent_as_of_its_block() {
    let mut ledger = granted();
    let study = ledger.opened(&[0, 1, 2]);
    let hospital = ledger.consortium.hospital(0);
    let permissions = ledger.state.permissions(&study, FIRST, &hospital).expect("a round");
    assert_eq!(permissions.height, ledger.state.height());
    assert_eq!(names(&ledger, study, FIRST, 0), [1, 3, 5]);
    assert_eq!(permissions.classes.len(), 2, "as many as there are answers");
    let open = |name| -> usize { permissions.of(&subject(name)).map_or(0, |allowed| allowed.iter().count()) };
    assert_eq!((open(1), open(2), open(3), open(4), open(6)), (14, 0, 1, 0, 0));
    assert!(names(&ledger, study, FIRST, 1).is_empty(), "a grant at one hospital opens nothing at another");

    // Revoked and granted afterwards: the round reads what it read.
    assert_eq!(ledger.one(Who::Hospital(0), revoke(1)), Ok(()));
    assert_eq!(ledger.one(Who::Hospital(0), paper(permit(Purpose::GeneralResearch), true, [4])), Ok(()));
    assert_eq!(ledger.state.permissions(&study, FIRST, &hospital), Ok(permissions));

    // The next round reads anew.
    ledger.contribute(study, 0, 0..3);
    ledger.now += 5_000;
    assert_eq!(ledger.one(Who::Hospital(0), Payload::FailRound(FailRound { study, round: FIRST })), Ok(()));
    assert_eq!(names(&ledger, study, RoundNumber::new(1), 0), [3, 4, 5]);
}

#[test]
fn the_roll_has_everybody_and_says_the_same() {
    let mut ledger = granted();
    let study = ledger.opened(&[0, 1, 2]);
    let hospital = ledger.consortium.hospital(0);
    let permissions = ledger.state.permissions(&study, FIRST, &hospital).expect("a round");
    let roll = ledger.state.roll(&study, FIRST, &hospital).expect("a round");
    assert_eq!((roll.height, &roll.classes), (permissions.height, &permissions.classes));
    assert_eq!(roll.subjects.len(), ledger.state.subjects_of(&hospital).count());
    assert!(roll.subjects.is_sorted() && roll.class_of.len() == roll.subjects.len());
    for (position, subject) in roll.subjects.iter().enumerate() {
        assert_eq!(roll.allowed(position), permissions.of(subject));
    }

    // Another consent changes what is allowed, and not who is listed.
    let before = roll.subjects;
    assert_eq!(ledger.one(Who::Hospital(0), paper(permit(Purpose::GeneralResearch), true, [4])), Ok(()));
    assert_eq!(ledger.state.roll(&study, FIRST, &hospital).expect("a round").subjects, before);
}

#[test]
fn consent_holds_after_all_of_the_block() {
    let mut ledger = Ledger::new(3);
    let study = ledger.proposed();
    for i in 0..3 {
        assert_eq!(ledger.approve(i, study), Ok(()));
    }
    ledger.enrol(0, [1, 2]);
    assert_eq!(ledger.one(Who::Hospital(0), paper(permit(Purpose::GeneralResearch), false, [1])), Ok(()));
    // Opening, then a revocation and a grant, in one block: the round sees both.
    let open = Payload::OpenRound(consilium_protocol::tx::OpenRound { study });
    let txs = vec![
        ledger.sign(Who::Hospital(0), open),
        ledger.sign(Who::Hospital(0), revoke(1)),
        ledger.sign(Who::Hospital(0), paper(permit(Purpose::GeneralResearch), false, [2])),
    ];
    let result = ledger.commit(txs);
    assert!(result.outcomes.iter().all(|(_, outcome)| outcome.is_ok()));
    assert_eq!(names(&ledger, study, FIRST, 0), [2]);
}

#[test]
fn who_cannot_read() {
    let mut ledger = granted();
    let study = ledger.opened(&[0, 1, 2]);
    let (hospital, outside) = (ledger.consortium.hospital(0), ledger.consortium.hospital(3));
    let unknown = StudyId::from_bytes([9; 32]);
    let second = RoundNumber::new(1);
    let state = &ledger.state;
    assert_eq!(state.permissions(&unknown, FIRST, &hospital), Err(ReadingError::UnknownStudy(unknown)));
    assert_eq!(state.permissions(&study, second, &hospital), Err(ReadingError::UnknownRound(second)));
    assert_eq!(state.permissions(&study, FIRST, &outside), Err(ReadingError::NotInRoster(outside)));
}

#[test]
fn the_day_of_the_block_decides_about_validity() {
    let mut ledger = Ledger::new(3);
    ledger.enrol(0, [1, 2]);
    for (name, day) in [(1, "1970-01-01"), (2, "1970-01-02")] {
        let mut terms = permit(Purpose::GeneralResearch);
        terms.rules[0].valid.to = day.parse().ok();
        assert_eq!(ledger.one(Who::Hospital(0), paper(terms, false, [name])), Ok(()));
    }
    ledger.now = 86_400_000;
    let study = ledger.opened(&[0, 1, 2]);
    assert_eq!(names(&ledger, study, FIRST, 0), [2]);
}

#[test]
fn a_subject_sees_every_round_that_could_have_read_its_data() {
    let mut ledger = granted();
    let study = ledger.opened(&[0, 1, 2]);
    ledger.enrol(0, [9]);
    let history = |hospital, name| ledger.state.history(&ledger.subject_key(hospital, name));
    let record = history(0, 1).remove(0);
    assert_eq!((record.study, record.round, record.allowed), (study, FIRST, true));
    assert_eq!(record.outcome, "running");
    assert_eq!((record.documents.len(), record.data.iter().count()), (1, 14));
    let denied = history(0, 2).remove(0);
    assert!(!denied.allowed && denied.data.is_empty());
    let said: Vec<Reason> = denied.reasons.iter().map(|r| r.reason).collect();
    assert_eq!(said, [Reason::Permits, Reason::Denies]);
    let without = history(0, 6).remove(0);
    assert!(!without.allowed && without.reasons.is_empty());
    assert!(history(0, 9).is_empty(), "enrolled after the round");
    assert_eq!(history(1, 1).len(), 1);
    assert!(history(3, 1).is_empty());
}

/// The oracle asks subject by subject, without classes.
#[test]
fn classes_agree_with_asking_each_subject() {
    let mut ledger = Ledger::new(3);
    ledger.enrol(0, 0..200);
    let purposes = [Purpose::GeneralResearch, Purpose::HealthResearch];
    for i in 0u32..60 {
        let mut terms = permit(purposes[i as usize % 2].clone());
        if i % 3 == 0 {
            terms.rules[0].data = Scope::Only(vec![Domain::ALL[i as usize % 10]]);
        }
        if i % 7 == 0 {
            terms.rules.push(Rule::new(Effect::Deny, Action::Aggregate, Scope::Any));
        }
        let names: Vec<u32> = (0..200).filter(|name| (name * 7 + i * 13) % 11 == 0).collect();
        assert_eq!(ledger.one(Who::Hospital(0), paper(terms, i % 5 == 0, names)), Ok(()));
    }
    let study = ledger.opened(&[0, 1, 2]);
    let hospital = ledger.consortium.hospital(0);
    let round = ledger.state.study(&study).expect("a study").course.rounds[0].clone();
    for height in [round.opened.height, Height::new(20), Height::new(40)] {
        let asked = ledger.state.use_of(&ledger.state.study(&study).expect("a study"), &hospital, round.opened.time);
        let asked = asked.expect("an accredited researcher");
        let permissions = ledger.state.consent_to(&asked, &hospital, height);
        let mut allowed = 0;
        for name in 0..200 {
            let key = ledger.subject_key(0, name);
            let documents: Vec<_> = ledger
                .state
                .documents_at(&key, height)
                .map(|d| consilium_protocol::consent::DocumentTerms {
                    document: d.id,
                    terms: ledger.state.terms(&d.terms).expect("terms"),
                })
                .collect();
            let decision = consilium_protocol::consent::evaluate(&documents, &asked, ledger.state.diseases());
            let expected = (!decision.allowed.is_empty()).then_some(&decision.allowed);
            assert_eq!(permissions.of(&key.subject), expected);
            allowed += usize::from(expected.is_some());
        }
        assert_eq!(permissions.subjects.len(), allowed);
        assert!(allowed > 0 && allowed < 200);
    }
}
