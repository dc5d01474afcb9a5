//! Two subjects that are one person, and a hospital that no longer speaks with a patient.

use consilium_protocol::consent::{Action, Domain, Effect, Purpose, Reason, Rule, Scope, Terms};
use consilium_protocol::ids::{RoundNumber, StudyId};
use consilium_protocol::tx::{Close, CloseReason, Enrol, GivenTerms, Grant, Merge, Payload, Unmerge};

use crate::rejection::Rejection;
use crate::testing::{Ledger, Who, paper, paper_of, permit, subject};

const DESK: Who = Who::Hospital(0);
const PATIENT: Who = Who::Patient(1);

fn deny(domain: Domain) -> Terms {
    let data = Scope::Only(vec![domain]);
    Terms::opt_in(vec![Rule { data, ..Rule::new(Effect::Deny, Action::Aggregate, Scope::Any) }])
}

/// Subjects 1 to 4: two that are one person, two others.
fn granted() -> Ledger {
    let mut ledger = Ledger::new(3);
    let first = ledger.consortium.enrolment(0, 1, Some(1));
    assert_eq!(ledger.one(DESK, Payload::Enrol(Enrol { subjects: vec![first] })), Ok(()));
    ledger.enrol(0, [2, 3, 4]);
    let drugs_and_more = {
        let mut terms = permit(Purpose::GeneralResearch);
        terms.rules[0].data = Scope::Only(vec![Domain::Person, Domain::Drug, Domain::Visit]);
        terms
    };
    for (terms, names) in [
        (permit(Purpose::GeneralResearch), vec![1, 3]),
        (deny(Domain::Visit), vec![1]),
        (drugs_and_more, vec![2]),
        (deny(Domain::Person), vec![2]),
    ] {
        assert_eq!(ledger.one(DESK, paper(terms, false, names)), Ok(()));
    }
    ledger
}

fn merge(from: u32, into: u32) -> Payload {
    Payload::Merge(Merge { from: subject(from), into: subject(into) })
}

fn unmerge(from: u32) -> Payload {
    Payload::Unmerge(Unmerge { from: subject(from) })
}

/// The domains that are open of a subject in the round that opens now, as a class and asked by name.
fn open(ledger: &Ledger, study: StudyId, name: u32) -> Vec<Domain> {
    let hospital = ledger.consortium.hospital(0);
    let permissions = ledger.state.permissions(&study, RoundNumber::new(0), &hospital).expect("a round");
    let of =
        permissions.of(&subject(name)).map_or_else(Vec::new, |data| data.iter().map(|(domain, _)| domain).collect());
    let explained = ledger.state.explain(&ledger.subject_key(0, name), &study).expect("a study");
    assert_eq!(explained.allowed.iter().map(|(domain, _)| domain).collect::<Vec<_>>(), of, "{name}");
    of
}

#[test]
fn one_person_is_open_where_both_are() {
    let mut ledger = granted();
    assert_eq!(ledger.one(DESK, merge(2, 1)), Ok(()));
    let study = ledger.opened(&[0, 1, 2]);
    // 1 permits all but visits, 2 drugs and visits: drugs are left.
    assert_eq!(open(&ledger, study, 1), [Domain::Drug]);
    assert!(open(&ledger, study, 2).is_empty(), "the other stands for it");
    let hospital = ledger.consortium.hospital(0);
    let reach = ledger.state.reach(&study, &hospital).expect("a study");
    assert_eq!((reach.subjects, reach.open, reach.by_domain.get(&Domain::Drug)), (4, 2, Some(&2)));
    assert_eq!(reach.reasons.get(&Reason::NoConsent), Some(&2));
    // Of the round before nothing changes when it turns out otherwise.
    assert_eq!(ledger.one(DESK, unmerge(2)), Ok(()));
    let permissions = ledger.state.permissions(&study, RoundNumber::new(0), &hospital).expect("a round");
    assert_eq!(permissions.of(&subject(1)).map(|data| data.iter().count()), Some(1));
    assert!(permissions.of(&subject(2)).is_none());
}

#[test]
fn what_was_forbidden_meanwhile_is_forbidden_for_both() {
    let mut ledger = granted();
    assert_eq!(ledger.one(DESK, merge(2, 1)), Ok(()));
    let mut both = deny(Domain::Drug);
    both.rules.push(permit(Purpose::GeneralResearch).rules[0].clone());
    assert_eq!(ledger.one(DESK, paper(both, false, [1])), Ok(()));
    let before = ledger.state.figures();
    assert_eq!(ledger.one(DESK, unmerge(2)), Ok(()));
    let after = ledger.state.figures();
    assert_eq!((after.grants, after.current_documents), (before.grants + 1, before.current_documents + 1));
    let study = ledger.opened(&[0, 1, 2]);
    assert_eq!(open(&ledger, study, 2), [Domain::Visit], "not drugs, and nothing that was permitted meanwhile");
    assert!(!open(&ledger, study, 1).contains(&Domain::Drug));
}

#[test]
fn signed_again_the_person_is_what_they_say() {
    let mut ledger = granted();
    assert_eq!(ledger.one(DESK, merge(2, 1)), Ok(()));
    assert_eq!(ledger.one(PATIENT, grant_all()), Ok(()));
    let study = ledger.opened(&[0, 1, 2]);
    assert_eq!(open(&ledger, study, 1).len(), Domain::ALL.len(), "what replaces all replaces the other's, too");
}

/// What the other's key forbids after that is forbidden, and a mistake destroys nothing.
#[test]
fn who_is_restated_still_forbids_and_is_whole_again_when_unmerged() {
    let mut ledger = granted();
    let second = ledger.consortium.enrolment(0, 2, Some(2));
    assert_eq!(ledger.one(DESK, Payload::Enrol(Enrol { subjects: vec![second] })), Ok(()));
    let own = GivenTerms::Whole(deny(Domain::Device));
    let forbids = |terms| Payload::Grant(Grant::electronic(terms, false, subject(2)));
    assert_eq!(ledger.one(Who::Patient(2), forbids(own)), Ok(()));
    assert_eq!(ledger.one(DESK, merge(2, 1)), Ok(()));
    assert_eq!(ledger.one(PATIENT, grant_all()), Ok(()));
    assert_eq!(ledger.one(Who::Patient(2), forbids(GivenTerms::Whole(deny(Domain::Drug)))), Ok(()));
    let study = ledger.opened(&[0, 1, 2]);
    let found = open(&ledger, study, 1);
    assert!(!found.contains(&Domain::Drug) && found.contains(&Domain::Device), "{found:?}");
    assert_eq!(ledger.one(DESK, unmerge(2)), Ok(()));
    let of_two: Vec<_> =
        ledger.state.subject(&ledger.subject_key(0, 2)).expect("a subject").current().map(|d| d.terms).collect();
    assert!(of_two.contains(&deny(Domain::Device).hash()), "what it forbade before was not destroyed");
    let of_one: Vec<_> =
        ledger.state.subject(&ledger.subject_key(0, 1)).expect("a subject").current().map(|d| d.terms).collect();
    assert!(of_one.contains(&deny(Domain::Drug).hash()), "what was forbidden meanwhile holds for both");
}

fn grant_all() -> Payload {
    let terms = GivenTerms::Whole(permit(Purpose::GeneralResearch));
    Payload::Grant(Grant::electronic(terms, true, subject(1)))
}

#[test]
fn each_reason_not_to_merge() {
    let mut ledger = granted();
    let merged = |name| Err(Rejection::AlreadyMerged { subject: subject(name) });
    assert_eq!(ledger.one(DESK, merge(1, 1)), merged(1));
    assert_eq!(ledger.one(DESK, merge(9, 1)), Err(Rejection::UnknownSubject { subject: subject(9) }));
    assert_eq!(ledger.one(DESK, unmerge(2)), Err(Rejection::NotMerged { subject: subject(2) }));
    assert_eq!(ledger.one(Who::Hospital(1), merge(2, 1)), Err(Rejection::UnknownSubject { subject: subject(2) }));
    assert_eq!(ledger.one(DESK, merge(2, 1)), Ok(()));
    assert_eq!(ledger.one(DESK, merge(2, 3)), merged(2));
    assert_eq!(ledger.one(DESK, merge(3, 2)), merged(2));
    assert_eq!(ledger.one(DESK, merge(1, 3)), merged(1), "it stands for another");
    assert_eq!(ledger.one(DESK, merge(3, 1)), Ok(()), "three that are one");
    // Of who is another nobody says anything anew.
    let closed = Err(Rejection::SubjectClosed { subject: subject(2) });
    assert_eq!(ledger.one(DESK, paper(permit(Purpose::GeneralResearch), false, [2])), closed);
    assert_eq!(ledger.one(DESK, paper(deny(Domain::Drug), false, [2])), Ok(()));
    assert_eq!(ledger.one(DESK, unmerge(2)), Ok(()));
    assert_eq!(ledger.one(DESK, merge(2, 4)), Ok(()));
}

#[test]
fn who_leaves_takes_their_consent_along_and_may_sign_again() {
    let mut ledger = granted();
    let close = |names: &[u32]| {
        let subjects = names.iter().map(|name| subject(*name)).collect();
        Payload::Close(Close { subjects, reason: CloseReason::Moved })
    };
    assert_eq!(ledger.one(DESK, close(&[])), Err(Rejection::EmptyBatch));
    assert_eq!(ledger.one(DESK, close(&[1, 1])), Err(Rejection::AlreadyClosed { subject: subject(1) }));
    let before = ledger.state.figures().current_documents;
    assert_eq!(ledger.one(DESK, close(&[1, 2])), Ok(()));
    assert_eq!(ledger.state.figures().current_documents, before - 4);
    assert_eq!(ledger.one(DESK, close(&[1])), Err(Rejection::AlreadyClosed { subject: subject(1) }));
    // A form from before that comes late opens nothing.
    assert_eq!(ledger.one(DESK, paper_of(permit(Purpose::GeneralResearch), false, [(1, 0)])), Ok(()));
    let study = ledger.opened(&[0, 1, 2]);
    assert!(open(&ledger, study, 1).is_empty());
    assert_eq!(open(&ledger, study, 3).len(), Domain::ALL.len());
    assert_eq!(ledger.one(PATIENT, grant_all()), Ok(()));
    assert_eq!(ledger.one(DESK, close(&[1])), Ok(()), "they were there again");
}
