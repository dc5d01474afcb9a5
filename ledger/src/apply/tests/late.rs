//! Forms that come late, and what nobody but the patient takes back.

use consilium_protocol::consent::{Action, Domain, Effect, Purpose, Rule, Scope, Terms};
use consilium_protocol::ids::{Date, DocumentId};
use consilium_protocol::tx::{Enrol, GivenTerms, Grant, Payload, Revocation, Revoke, document_id};

use crate::rejection::Rejection;
use crate::state::consent::EndedBy;
use crate::testing::{Ledger, Who, content, paper, paper_of, permit, subject};

const HOSPITAL: Who = Who::Hospital(0);
const PATIENT: Who = Who::Patient(1);
const DAY: u64 = 86_400_000;

/// Subject 1 with the patient's key, on the 101st day.
fn enrolled() -> Ledger {
    let mut ledger = Ledger::new(3);
    let subjects = vec![ledger.consortium.enrolment(0, 1, Some(1))];
    assert_eq!(ledger.one(HOSPITAL, Payload::Enrol(Enrol { subjects })), Ok(()));
    ledger.now = 100 * DAY;
    ledger
}

fn research() -> Terms {
    permit(Purpose::GeneralResearch)
}

fn no_measurements() -> Terms {
    let data = Scope::Only(vec![Domain::Measurement]);
    Terms::opt_in(vec![Rule { data, ..Rule::new(Effect::Deny, Action::Aggregate, Scope::Any) }])
}

fn wallet(ledger: &mut Ledger, terms: Terms, supersedes: bool) -> DocumentId {
    let grant = Grant::electronic(GivenTerms::Whole(terms), supersedes, subject(1));
    let (tx, outcome) = ledger.named(PATIENT, Payload::Grant(grant));
    assert_eq!(outcome, Ok(()));
    document_id(&tx, 0)
}

fn form(ledger: &mut Ledger, terms: Terms, supersedes: bool, day: i32) -> DocumentId {
    let (tx, outcome) = ledger.named(HOSPITAL, paper_of(terms, supersedes, [(1, day)]));
    assert_eq!(outcome, Ok(()));
    document_id(&tx, 0)
}

fn paper_revocation(document: Option<DocumentId>, day: i32) -> Payload {
    let signed = Some(Date::from_days(day));
    let basis = consilium_protocol::consent::Basis::Paper;
    Payload::Revoke(Revoke {
        basis,
        forms: vec![Revocation { subject: subject(1), document, source: content(8), signed }],
    })
}

fn current(ledger: &Ledger) -> Vec<DocumentId> {
    let key = ledger.subject_key(0, 1);
    ledger.state.subject(&key).expect("a subject").current().map(|document| document.id).collect()
}

#[test]
fn a_form_that_comes_late_ends_older_forms_alone() {
    let mut ledger = enrolled();
    let newer = form(&mut ledger, no_measurements(), false, 60);
    let older = form(&mut ledger, research(), false, 30);
    let between = form(&mut ledger, permit(Purpose::HealthResearch), true, 45);
    assert_eq!(current(&ledger), [newer, between], "not {older}");
    // What is older than what was said anew counts for nothing, and says by what.
    let late = form(&mut ledger, research(), false, 44);
    assert_eq!(current(&ledger), [newer, between]);
    let key = ledger.subject_key(0, 1);
    let documents = &ledger.state.subject(&key).expect("a subject").documents;
    let ended = documents.iter().find(|document| document.id == late).and_then(|late| late.ended.clone());
    assert_eq!(ended.expect("ended at once").by, EndedBy::Superseded { document: between });
    // Of one day the later one takes the place.
    let same = form(&mut ledger, research(), true, 45);
    assert_eq!(current(&ledger), [newer, same]);
    let figures = ledger.state.figures();
    assert_eq!((figures.grants, figures.current_documents), (5, 2));
}

#[test]
fn no_form_ends_what_the_patient_forbade() {
    let mut ledger = enrolled();
    let permitted = form(&mut ledger, research(), false, 10);
    let denied = wallet(&mut ledger, no_measurements(), false);
    ledger.now += 50 * DAY;
    let form_later = form(&mut ledger, research(), true, 149);
    assert_eq!(current(&ledger), [denied, form_later], "not {permitted}");
    let own = Err(Rejection::OwnDeny { document: denied });
    assert_eq!(ledger.one(HOSPITAL, paper_revocation(Some(denied), 150)), own);
    assert_eq!(ledger.one(HOSPITAL, paper_revocation(None, 150)), Ok(()));
    assert_eq!(current(&ledger), [denied], "nothing is open, and what was forbidden is");
    let back = Payload::Revoke(Revoke::electronic(subject(1), Some(denied)));
    assert_eq!(ledger.one(PATIENT, back), Ok(()));
    assert!(current(&ledger).is_empty());
}

#[test]
fn a_form_signed_before_the_patient_took_all_back_opens_nothing() {
    let mut ledger = enrolled();
    form(&mut ledger, research(), false, 20);
    assert_eq!(ledger.one(PATIENT, Payload::Revoke(Revoke::electronic(subject(1), None))), Ok(()));
    for day in [21, 99, 100] {
        form(&mut ledger, research(), true, day);
        assert!(current(&ledger).is_empty(), "{day}");
    }
    let after = form(&mut ledger, research(), true, 101);
    assert_eq!(current(&ledger), [after]);

    // The same for a wallet's document that takes the place of all, and for one that says nothing.
    let nothing = wallet(&mut ledger, Terms::opt_in(Vec::new()), true);
    form(&mut ledger, research(), true, 100);
    assert_eq!(current(&ledger), [nothing]);
}

#[test]
fn a_revocation_on_paper_ends_what_is_not_newer_and_waits_for_what_is_late() {
    let mut ledger = enrolled();
    // Nothing is there yet, and a form of an earlier day is on its way.
    assert_eq!(ledger.one(HOSPITAL, paper_revocation(None, 50)), Ok(()));
    form(&mut ledger, research(), false, 49);
    assert!(current(&ledger).is_empty());
    let newer = form(&mut ledger, research(), false, 51);
    let nothing = Err(Rejection::NothingToRevoke { subject: subject(1) });
    assert_eq!(ledger.one(HOSPITAL, paper_revocation(None, 50)), nothing);
    assert_eq!(ledger.one(HOSPITAL, paper_revocation(None, 40)), nothing);
    assert_eq!(current(&ledger), [newer]);
    assert_eq!(ledger.one(HOSPITAL, paper_revocation(None, 51)), Ok(()));
    assert!(current(&ledger).is_empty());
}

#[test]
fn a_form_has_a_day_that_has_come() {
    let mut ledger = enrolled();
    let refused = Err(Rejection::SignedDay { subject: subject(1) });
    assert_eq!(ledger.one(HOSPITAL, paper_of(research(), true, [(1, 102)])), refused);
    assert_eq!(ledger.one(HOSPITAL, paper_revocation(None, 102)), refused);
    let mut undated = paper(research(), true, [1]);
    if let Payload::Grant(grant) = &mut undated {
        grant.forms[0].signed = None;
    }
    assert_eq!(ledger.one(HOSPITAL, undated), refused);
    let mut dated = Grant::electronic(GivenTerms::Whole(research()), true, subject(1));
    dated.forms[0].signed = Some(Date::from_days(3));
    assert_eq!(ledger.one(PATIENT, Payload::Grant(dated)), refused);
    // Where it is a day later already.
    assert_eq!(ledger.one(HOSPITAL, paper_of(research(), true, [(1, 101)])), Ok(()));
}

#[test]
fn terms_are_given_once() {
    let mut ledger = enrolled();
    let known = |terms: &Terms| Payload::Grant(Grant::electronic(GivenTerms::Known(terms.hash()), true, subject(1)));
    assert_eq!(ledger.one(PATIENT, known(&research())), Err(Rejection::UnknownTerms));
    wallet(&mut ledger, research(), true);
    let again = known(&research());
    let (by_hash, whole) =
        (borsh::to_vec(&again).expect("bytes").len(), borsh::to_vec(&research()).expect("bytes").len());
    assert_eq!(ledger.one(PATIENT, again), Ok(()));
    assert_eq!(current(&ledger).len(), 1);
    assert!(by_hash < 36 + 70 && whole > 20, "{by_hash} {whole}");
}
