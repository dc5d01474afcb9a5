//! Who signs for a patient: delegates, keys that are frozen and replaced, the door for paper forms.

use consilium_protocol::consent::{Action, Domain, Effect, Purpose, Rule, Scope, Terms};
use consilium_protocol::ids::{ContentHash, Date};
use consilium_protocol::keys::SigningKey;
use consilium_protocol::tx::{
    Close, CloseReason, Countersignature, DecideKey, Delegate, DelegateRole, DelegationScope, EndDelegation, Enrol,
    Freeze, GivenTerms, Grant, KeyDecision, PaperDoor, Payload, Revoke, RotateKey, Statement, cosigning_message,
    delegation_message, document_id, enrolment_message,
};

use crate::rejection::Rejection;
use crate::state::consent::KeyRole;
use crate::testing::{Ledger, Who, content, paper, permit, subject};

const DESK: Who = Who::Hospital(0);
const PATIENT: Who = Who::Patient(1);
const OTHER: Who = Who::Patient(2);
const THIRD: Who = Who::Patient(3);
const STAFF: [ContentHash; 2] = [ContentHash::from_bytes([4; 32]), ContentHash::from_bytes([5; 32])];
const WAIT: u64 = 7_000;
const DAY: u64 = 86_400_000;

/// Subject 1 with patient 1's key, subject 2 with none.
fn enrolled() -> Ledger {
    let mut ledger = Ledger::new(3);
    let subjects = vec![ledger.consortium.enrolment(0, 1, Some(1)), ledger.consortium.enrolment(0, 2, None)];
    assert_eq!(ledger.one(DESK, Payload::Enrol(Enrol { subjects })), Ok(()));
    ledger
}

fn form() -> Statement {
    Statement::paper(content(7), Date::from_days(0))
}

fn key(ledger: &Ledger, who: Who) -> SigningKey {
    ledger.consortium.key(who)
}

fn today(ledger: &Ledger) -> Date {
    ledger.state.time().date()
}

fn named(ledger: &Ledger, who: Who, name: u32) -> Countersignature {
    let (hospital, key) = (ledger.consortium.hospital(0), key(ledger, who));
    let message = delegation_message(ledger.state.ledger_id(), &hospital, &subject(name), today(ledger));
    Countersignature { patient: key.patient(), signature: key.sign(&message) }
}

fn new_key(ledger: &Ledger, who: Who) -> Countersignature {
    let (hospital, key) = (ledger.consortium.hospital(0), key(ledger, who));
    let message = enrolment_message(ledger.state.ledger_id(), &hospital, &subject(1));
    Countersignature { patient: key.patient(), signature: key.sign(&message) }
}

fn proxy(ledger: &Ledger, who: Who, until: i32, scope: DelegationScope) -> Delegate {
    Delegate {
        subject: subject(1),
        delegate: named(ledger, who, 1),
        agreed: today(ledger),
        role: DelegateRole::Proxy,
        until: Some(Date::from_days(until)),
        scope,
        statement: Statement::ELECTRONIC,
    }
}

fn guardian(ledger: &Ledger, who: Who, needed: u8) -> Payload {
    Payload::Delegate(Delegate {
        subject: subject(2),
        delegate: named(ledger, who, 2),
        agreed: today(ledger),
        role: DelegateRole::Guardian { needed },
        until: Some(Date::from_days(300)),
        scope: DelegationScope::EVERYTHING,
        statement: form(),
    })
}

fn health() -> DelegationScope {
    DelegationScope {
        actions: Scope::Only(vec![Action::Aggregate]),
        purposes: Scope::Only(vec![Purpose::HealthResearch]),
    }
}

fn grant(name: u32, terms: Terms, supersedes: bool) -> Payload {
    Payload::Grant(Grant::electronic(GivenTerms::Whole(terms), supersedes, subject(name)))
}

fn deny() -> Terms {
    let data = Scope::Only(vec![Domain::Drug]);
    Terms::opt_in(vec![Rule { data, ..Rule::new(Effect::Deny, Action::Aggregate, Scope::Any) }])
}

fn current(ledger: &Ledger, name: u32) -> usize {
    ledger.state.subject(&ledger.subject_key(0, name)).map_or(0, |subject| subject.current().count())
}

fn role(ledger: &Ledger, who: Who) -> &'static str {
    let day = ledger.state.time().date();
    ledger.state.role_of(&key(ledger, who).patient(), day).map_or("unknown", |(_, role)| role.name())
}

#[test]
fn a_proxy_signs_within_scope_and_time() {
    let mut ledger = enrolled();
    assert_eq!(ledger.one(OTHER, grant(1, permit(Purpose::HealthResearch), false)), Err(Rejection::UnknownSigner));
    let delegate = Payload::Delegate(proxy(&ledger, OTHER, 30, health()));
    assert_eq!(ledger.one(PATIENT, delegate), Ok(()));
    assert_eq!(role(&ledger, OTHER), "proxy");
    assert_eq!(ledger.one(OTHER, grant(1, permit(Purpose::HealthResearch), false)), Ok(()));
    let narrow = [permit(Purpose::GeneralResearch), permit(Purpose::Care), {
        let mut contact = permit(Purpose::HealthResearch);
        contact.rules[0].action = Action::Recontact;
        contact
    }];
    for terms in narrow {
        assert_eq!(ledger.one(OTHER, grant(1, terms, false)), Err(Rejection::OutsideScope));
    }
    // Known by hash it is not wider.
    assert_eq!(ledger.one(PATIENT, grant(1, permit(Purpose::GeneralResearch), false)), Ok(()));
    let by_hash = GivenTerms::Known(permit(Purpose::GeneralResearch).hash());
    let payload = Payload::Grant(Grant::electronic(by_hash, false, subject(1)));
    assert_eq!(ledger.one(OTHER, payload), Err(Rejection::OutsideScope));
    // They take the place of, and take back, what lies within, and forbid whatever they like.
    assert_eq!(ledger.one(OTHER, grant(1, permit(Purpose::HealthResearch), true)), Ok(()));
    assert_eq!(current(&ledger, 1), 2, "the patient's own wider one stays");
    assert_eq!(ledger.one(OTHER, Payload::Revoke(Revoke::electronic(subject(1), None))), Ok(()));
    assert_eq!(current(&ledger, 1), 1);
    assert_eq!(ledger.one(OTHER, grant(1, deny(), false)), Ok(()));

    // On the last day still, and then no more.
    ledger.now = 31 * DAY - 2;
    assert_eq!(ledger.one(OTHER, grant(1, permit(Purpose::HealthResearch), false)), Ok(()));
    ledger.now = 31 * DAY;
    for payload in [
        grant(1, permit(Purpose::HealthResearch), false),
        grant(1, deny(), false),
        Payload::Revoke(Revoke::electronic(subject(1), None)),
    ] {
        assert_eq!(ledger.one(OTHER, payload), Err(Rejection::KeyEnded));
    }
    assert_eq!(role(&ledger, OTHER), "former");
    // Renewed, the same key signs again; ended, it does not.
    let again = Payload::Delegate(proxy(&ledger, OTHER, 60, health()));
    assert_eq!(ledger.one(PATIENT, again), Ok(()));
    assert_eq!(ledger.one(OTHER, grant(1, permit(Purpose::HealthResearch), false)), Ok(()));
    let delegate = key(&ledger, OTHER).patient();
    let end = Payload::EndDelegation(EndDelegation { subject: subject(1), delegate, statement: Statement::ELECTRONIC });
    assert_eq!(ledger.one(PATIENT, end.clone()), Ok(()));
    assert_eq!(ledger.one(PATIENT, end), Err(Rejection::NoDelegate));
    assert_eq!(ledger.one(OTHER, grant(1, permit(Purpose::HealthResearch), false)), Err(Rejection::KeyEnded));
}

#[test]
fn nobody_but_the_patient_ends_what_the_patient_forbade() {
    let mut ledger = enrolled();
    let delegate = Payload::Delegate(proxy(&ledger, OTHER, 30, DelegationScope::EVERYTHING));
    assert_eq!(ledger.one(PATIENT, delegate), Ok(()));
    let (tx, _) = ledger.named(PATIENT, grant(1, deny(), false));
    let own = document_id(&tx, 0);
    let back = Payload::Revoke(Revoke::electronic(subject(1), Some(own)));
    assert_eq!(ledger.one(OTHER, back.clone()), Err(Rejection::OwnDeny { document: own }));
    assert_eq!(ledger.one(OTHER, grant(1, permit(Purpose::GeneralResearch), true)), Ok(()));
    assert_eq!(current(&ledger, 1), 2);
    // A device is the patient.
    let mut device = proxy(&ledger, THIRD, 0, DelegationScope::EVERYTHING);
    (device.role, device.until) = (DelegateRole::Device, None);
    assert_eq!(ledger.one(PATIENT, Payload::Delegate(device)), Ok(()));
    assert_eq!(ledger.one(THIRD, back), Ok(()));
}

#[test]
fn each_reason_not_to_delegate() {
    let mut ledger = enrolled();
    let base = proxy(&ledger, OTHER, 30, health());
    let nothing = DelegationScope { purposes: Scope::Only(Vec::new()), ..health() };
    let guardian_role = |needed| DelegateRole::Guardian { needed };
    let by_patient = [
        (Delegate { until: None, ..base.clone() }, Rejection::Delegation),
        (Delegate { until: Some(Date::from_days(367)), ..base.clone() }, Rejection::Delegation),
        (Delegate { scope: nothing, ..base.clone() }, Rejection::Delegation),
        (Delegate { role: DelegateRole::Device, ..base.clone() }, Rejection::Delegation),
        (Delegate { role: guardian_role(1), ..base.clone() }, Rejection::NotThePatient),
        (Delegate { subject: subject(2), ..base.clone() }, Rejection::NotOwnSubject),
        (
            Delegate { delegate: named(&ledger, OTHER, 2), ..base.clone() },
            Rejection::Countersignature { subject: subject(1) },
        ),
        (
            Delegate { delegate: named(&ledger, PATIENT, 1), ..base.clone() },
            Rejection::PatientKeyTaken { subject: subject(1) },
        ),
        (Delegate { statement: form(), ..base.clone() }, Rejection::WrongBasis),
    ];
    for (payload, rejection) in by_patient {
        assert_eq!(ledger.one(PATIENT, Payload::Delegate(payload)), Err(rejection));
    }
    let on_paper = Delegate { statement: form(), ..base.clone() };
    let by_desk = [
        (Delegate { role: guardian_role(0), ..on_paper.clone() }, Rejection::Delegation),
        (Delegate { role: guardian_role(5), ..on_paper.clone() }, Rejection::Delegation),
        (Delegate { role: DelegateRole::Device, until: None, ..on_paper.clone() }, Rejection::NotThePatient),
        (base.clone(), Rejection::WrongBasis),
    ];
    for (payload, rejection) in by_desk {
        assert_eq!(ledger.one(DESK, Payload::Delegate(payload)), Err(rejection));
    }
    let elsewhere = Err(Rejection::UnknownSubject { subject: subject(1) });
    assert_eq!(ledger.one(Who::Hospital(1), Payload::Delegate(on_paper.clone())), elsewhere);
    assert_eq!(ledger.one(DESK, Payload::Delegate(on_paper)), Ok(()));
    // A delegate names nobody, and ends nobody else.
    let third = Payload::Delegate(proxy(&ledger, THIRD, 30, health()));
    assert_eq!(ledger.one(OTHER, third.clone()), Err(Rejection::NotThePatient));
    assert_eq!(ledger.one(PATIENT, third), Ok(()));
    let end = |who: Who| EndDelegation {
        subject: subject(1),
        delegate: ledger.consortium.key(who).patient(),
        statement: Statement::ELECTRONIC,
    };
    let (of_other, of_third) = (Payload::EndDelegation(end(OTHER)), Payload::EndDelegation(end(THIRD)));
    assert_eq!(ledger.one(OTHER, of_third), Err(Rejection::NotThePatient));
    assert_eq!(ledger.one(OTHER, of_other), Ok(()));
}

#[test]
fn two_guardians_permit_together_and_each_revokes() {
    let mut ledger = enrolled();
    for who in [OTHER, THIRD] {
        let payload = guardian(&ledger, who, 2);
        assert_eq!(ledger.one(DESK, payload), Ok(()));
    }
    let terms = permit(Purpose::HealthResearch);
    let cosigned = |ledger: &Ledger, who: Who, said: (u32, u32)| {
        let (hospital, key) = (ledger.consortium.hospital(0), key(ledger, who));
        let what = (&terms.hash(), true);
        let message = cosigning_message(ledger.state.ledger_id(), &hospital, &subject(2), what, said);
        Countersignature { patient: key.patient(), signature: key.sign(&message) }
    };
    let together = |cosigned| {
        let grant = Grant::electronic(GivenTerms::Whole(terms.clone()), true, subject(2));
        Payload::Grant(Grant { cosigned, ..grant })
    };
    let alone = Err(Rejection::Cosigners { needed: 2 });
    assert_eq!(ledger.one(OTHER, together(Vec::new())), alone);
    let (own, stranger) = (cosigned(&ledger, OTHER, (0, 0)), cosigned(&ledger, PATIENT, (0, 0)));
    assert_eq!(ledger.one(OTHER, together(vec![own, own, stranger])), alone);
    let first = cosigned(&ledger, THIRD, (0, 0));
    assert_eq!(ledger.one(OTHER, together(vec![first])), Ok(()));
    // Each takes back alone; what the other signed then is spent.
    assert_eq!(ledger.one(THIRD, Payload::Revoke(Revoke::electronic(subject(2), None))), Ok(()));
    assert_eq!(ledger.one(OTHER, together(vec![first])), alone);
    assert_eq!(ledger.one(OTHER, grant(2, deny(), false)), Ok(()), "each forbids alone");
    let spent = cosigned(&ledger, THIRD, (1, 0));
    assert_eq!(ledger.one(OTHER, together(vec![spent])), alone, "what was taken back since is said, too");
    let again = cosigned(&ledger, THIRD, (2, 1));
    assert_eq!(ledger.one(OTHER, together(vec![again])), Ok(()));
}

fn rotation(ledger: &Ledger, who: Who) -> RotateKey {
    RotateKey { subject: subject(1), key: new_key(ledger, who), statement: form(), staff: STAFF }
}

fn decide(decision: KeyDecision) -> Payload {
    let statement = Statement::paper(content(11), Date::from_days(0));
    Payload::DecideKey(DecideKey { subject: subject(1), decision, statement, staff: STAFF })
}

fn freeze(statement: Statement) -> Payload {
    Payload::Freeze(Freeze { subject: subject(1), statement })
}

#[test]
fn a_lost_key_is_replaced_after_the_waiting_time() {
    let mut ledger = enrolled();
    assert_eq!(ledger.one(PATIENT, grant(1, permit(Purpose::GeneralResearch), true)), Ok(()));
    let payload = Payload::RotateKey(rotation(&ledger, OTHER));
    let requested = ledger.now + 1;
    assert_eq!(ledger.one(DESK, payload), Ok(()));
    // Meanwhile no key permits, and both revoke and forbid.
    for who in [PATIENT, OTHER] {
        assert_eq!(ledger.one(who, grant(1, permit(Purpose::HealthResearch), false)), Err(Rejection::KeysFrozen));
        assert_eq!(ledger.one(who, grant(1, deny(), false)), Ok(()));
    }
    let delegate = Payload::Delegate(proxy(&ledger, THIRD, 30, health()));
    assert_eq!(ledger.one(PATIENT, delegate.clone()), Err(Rejection::KeysFrozen));
    assert_eq!(ledger.one(OTHER, delegate), Err(Rejection::NotThePatient));
    let open = PaperDoor { subject: subject(1), closed: false };
    assert_eq!(ledger.one(PATIENT, Payload::PaperDoor(open)), Err(Rejection::KeysFrozen));
    assert_eq!(ledger.one(OTHER, Payload::Revoke(Revoke::electronic(subject(1), None))), Ok(()));
    assert_eq!(current(&ledger, 1), 2, "what was forbidden stays");

    ledger.now = requested + WAIT - 2;
    assert_eq!(ledger.one(OTHER, grant(1, permit(Purpose::HealthResearch), false)), Err(Rejection::KeysFrozen));
    assert_eq!(role(&ledger, PATIENT), "own");
    // The block at which its time has come.
    assert_eq!(ledger.one(OTHER, grant(1, permit(Purpose::HealthResearch), false)), Ok(()));
    assert_eq!((role(&ledger, PATIENT), role(&ledger, OTHER)), ("former", "own"));
    for payload in [grant(1, deny(), false), freeze(Statement::ELECTRONIC)] {
        assert_eq!(ledger.one(PATIENT, payload), Err(Rejection::KeyEnded));
    }
    // A key that was somebody's is nobody else's.
    let subjects = vec![ledger.consortium.enrolment(0, 2, Some(1))];
    let taken = Err(Rejection::PatientKeyTaken { subject: subject(2) });
    assert_eq!(ledger.one(DESK, Payload::Enrol(Enrol { subjects })), taken);
}

#[test]
fn an_objection_stops_the_clock_and_the_desk_decides() {
    for (decision, left, right) in [(KeyDecision::Keep, "own", "former"), (KeyDecision::Take, "former", "own")] {
        let mut ledger = enrolled();
        let payload = Payload::RotateKey(rotation(&ledger, OTHER));
        assert_eq!(ledger.one(DESK, payload), Ok(()));
        assert_eq!(ledger.one(DESK, decide(KeyDecision::Take)), Err(Rejection::NothingToDecide));
        // The new key's freeze is no objection: its time still comes.
        assert_eq!(ledger.one(OTHER, freeze(Statement::ELECTRONIC)), Ok(()));
        assert_eq!(ledger.one(OTHER, freeze(Statement::ELECTRONIC)), Err(Rejection::AlreadyFrozen));
        assert_eq!(ledger.one(DESK, decide(KeyDecision::Take)), Err(Rejection::NothingToDecide));
        assert_eq!(ledger.one(PATIENT, freeze(Statement::ELECTRONIC)), Ok(()));
        ledger.now += 10 * WAIT;
        assert_eq!(ledger.one(OTHER, grant(1, permit(Purpose::HealthResearch), false)), Err(Rejection::KeysFrozen));
        assert_eq!(ledger.one(PATIENT, grant(1, permit(Purpose::HealthResearch), false)), Err(Rejection::KeysFrozen));
        // A second visit is another form.
        let again = DecideKey { subject: subject(1), decision, statement: form(), staff: STAFF };
        assert_eq!(ledger.one(DESK, Payload::DecideKey(again)), Err(Rejection::SecondVisit));
        assert_eq!(ledger.one(DESK, decide(decision)), Ok(()));
        assert_eq!((role(&ledger, PATIENT), role(&ledger, OTHER)), (left, right));
        let winner = if decision == KeyDecision::Keep { PATIENT } else { OTHER };
        assert_eq!(ledger.one(winner, grant(1, permit(Purpose::HealthResearch), false)), Ok(()));
        assert_eq!(ledger.one(DESK, decide(KeyDecision::Keep)), Err(Rejection::NothingToDecide));
    }
}

#[test]
fn a_stolen_key_permits_nothing_once_it_is_frozen() {
    let mut ledger = enrolled();
    let (tx, _) = ledger.named(PATIENT, grant(1, deny(), false));
    let own_deny = document_id(&tx, 0);
    assert_eq!(ledger.one(DESK, freeze(form())), Ok(()));
    // The thief permits nothing, and takes no prohibition back.
    assert_eq!(ledger.one(PATIENT, grant(1, permit(Purpose::GeneralResearch), true)), Err(Rejection::KeysFrozen));
    let back = Payload::Revoke(Revoke::electronic(subject(1), Some(own_deny)));
    assert_eq!(ledger.one(PATIENT, back), Err(Rejection::KeysFrozen));
    // Paper goes on.
    assert_eq!(ledger.one(DESK, paper(permit(Purpose::HealthResearch), false, [1])), Ok(()));
    let payload = Payload::RotateKey(rotation(&ledger, OTHER));
    assert_eq!(ledger.one(DESK, payload.clone()), Ok(()));
    assert_eq!(ledger.one(DESK, payload), Err(Rejection::RotationWaits));
    ledger.now += WAIT;
    assert_eq!(ledger.one(OTHER, grant(1, permit(Purpose::GeneralResearch), false)), Ok(()), "thawed with the new key");
}

#[test]
fn two_of_the_staff_and_a_form() {
    let mut ledger = enrolled();
    let base = rotation(&ledger, OTHER);
    let zero = ContentHash::from_bytes([0; 32]);
    let other = Countersignature { patient: key(&ledger, THIRD).patient(), ..base.key };
    let cases = [
        (RotateKey { staff: [STAFF[0]; 2], ..base.clone() }, Rejection::Staff),
        (RotateKey { staff: [STAFF[0], zero], ..base.clone() }, Rejection::Staff),
        (RotateKey { statement: Statement::ELECTRONIC, ..base.clone() }, Rejection::WrongBasis),
        (
            RotateKey { statement: Statement::paper(zero, Date::from_days(0)), ..base.clone() },
            Rejection::SourceMissing { subject: subject(1) },
        ),
        (RotateKey { subject: subject(2), ..base.clone() }, Rejection::NoKey { subject: subject(2) }),
        (RotateKey { key: other, ..base.clone() }, Rejection::Countersignature { subject: subject(1) }),
    ];
    for (payload, rejection) in cases {
        assert_eq!(ledger.one(DESK, Payload::RotateKey(payload)), Err(rejection));
    }
    let entitled = crate::rejection::Entitled::Hospital;
    assert_eq!(ledger.one(PATIENT, Payload::RotateKey(base)), Err(Rejection::NotEntitled { entitled }));
}

#[test]
fn behind_a_closed_paper_door_forms_only_forbid_and_revoke() {
    let mut ledger = enrolled();
    assert_eq!(ledger.one(DESK, paper(permit(Purpose::GeneralResearch), false, [1])), Ok(()));
    let door = |closed| Payload::PaperDoor(PaperDoor { subject: subject(1), closed });
    assert_eq!(ledger.one(DESK, door(true)), Err(Rejection::NotThePatient));
    assert_eq!(ledger.one(PATIENT, door(false)), Err(Rejection::PaperDoorIs { closed: false }));
    assert_eq!(ledger.one(PATIENT, door(true)), Ok(()));
    let closed = Err(Rejection::PaperClosed { subject: subject(1) });
    // Of a batch nothing is recorded.
    assert_eq!(ledger.one(DESK, paper(permit(Purpose::GeneralResearch), false, [2, 1])), closed);
    assert_eq!(current(&ledger, 2), 0);
    let on_paper = Delegate { statement: form(), ..proxy(&ledger, OTHER, 30, health()) };
    assert_eq!(ledger.one(DESK, Payload::Delegate(on_paper)), closed);
    assert_eq!(ledger.one(DESK, paper(deny(), false, [1])), Ok(()));
    assert_eq!(current(&ledger, 1), 2);
    assert_eq!(ledger.one(PATIENT, door(false)), Ok(()));
    assert_eq!(ledger.one(DESK, paper(permit(Purpose::GeneralResearch), false, [1])), Ok(()));
}

#[test]
fn nobody_signs_for_the_dead() {
    let mut ledger = enrolled();
    assert_eq!(ledger.one(PATIENT, grant(1, permit(Purpose::GeneralResearch), false)), Ok(()));
    let delegate = Payload::Delegate(proxy(&ledger, OTHER, 30, health()));
    assert_eq!(ledger.one(PATIENT, delegate), Ok(()));
    let close = |reason| Payload::Close(Close { subjects: vec![subject(1)], reason });
    assert_eq!(ledger.one(DESK, close(CloseReason::Death)), Ok(()));
    assert_eq!(ledger.one(DESK, close(CloseReason::Moved)), Err(Rejection::AlreadyClosed { subject: subject(1) }));
    let dead = Err(Rejection::SubjectClosed { subject: subject(1) });
    assert_eq!(ledger.one(PATIENT, grant(1, permit(Purpose::HealthResearch), false)), dead);
    assert_eq!(ledger.one(OTHER, grant(1, deny(), false)), Err(Rejection::KeyEnded));
    assert_eq!(ledger.one(DESK, paper(permit(Purpose::HealthResearch), false, [1])), dead);
    assert_eq!(current(&ledger, 1), 1, "what they said holds");
    assert_eq!(ledger.one(DESK, paper(deny(), false, [1])), Ok(()), "whoever may forbids at the desk");
}

#[test]
fn what_ends_is_due_in_time() {
    use crate::state::due::Due;
    let mut ledger = enrolled();
    let delegate = Payload::Delegate(proxy(&ledger, OTHER, 30, health()));
    assert_eq!(ledger.one(PATIENT, delegate), Ok(()));
    let payload = guardian(&ledger, THIRD, 1);
    assert_eq!(ledger.one(DESK, payload), Ok(()));
    let until = |day| {
        let mut terms = permit(Purpose::HealthResearch);
        terms.rules[0].valid.to = Some(Date::from_days(day));
        terms
    };
    assert_eq!(ledger.one(PATIENT, grant(1, until(40), false)), Ok(()));
    assert_eq!(ledger.one(PATIENT, grant(1, until(50), false)), Ok(()));
    let hospital = ledger.consortium.hospital(0);
    let due = |ledger: &Ledger, day| ledger.state.due(&hospital, Date::from_days(day));
    let (ends, proxy_ends) = (Due::ConsentEnds(Date::from_days(50)), Due::ProxyEnds(Date::from_days(30)));
    assert!(due(&ledger, 29).is_empty());
    assert_eq!(due(&ledger, 49), [(subject(1), proxy_ends)]);
    assert_eq!(due(&ledger, 50), [(subject(1), ends), (subject(1), proxy_ends)], "the longest of several");
    assert_eq!(due(&ledger, 300).last(), Some(&(subject(2), Due::GuardianEnds(Date::from_days(300)))));
    assert_eq!(ledger.one(PATIENT, grant(1, permit(Purpose::HealthResearch), false)), Ok(()));
    assert_eq!(due(&ledger, 50), [(subject(1), proxy_ends)], "one that never ends");
    assert_eq!(ledger.one(DESK, freeze(form())), Ok(()));
    assert_eq!(due(&ledger, 0), [(subject(1), Due::Decision)]);
    ledger.now = 51 * DAY;
    ledger.enrol(0, [3]);
    assert_eq!(due(&ledger, 290), [(subject(1), Due::Decision)], "what has ended is no longer due");
}

/// A thief who named a machine of their own loses it with the key; whom the desk recorded stays.
#[test]
fn whom_a_replaced_key_had_named_no_longer_signs() {
    let mut ledger = enrolled();
    let mut device = proxy(&ledger, OTHER, 0, DelegationScope::EVERYTHING);
    (device.role, device.until) = (DelegateRole::Device, None);
    assert_eq!(ledger.one(PATIENT, Payload::Delegate(device)), Ok(()));
    let by_form = Delegate { statement: form(), ..proxy(&ledger, THIRD, 300, health()) };
    assert_eq!(ledger.one(DESK, Payload::Delegate(by_form)), Ok(()));
    let payload = Payload::RotateKey(rotation(&ledger, Who::Patient(4)));
    assert_eq!(ledger.one(DESK, payload), Ok(()));
    ledger.now += 2 * WAIT;
    assert_eq!(ledger.one(OTHER, grant(1, permit(Purpose::HealthResearch), false)), Err(Rejection::KeyEnded));
    assert_eq!(ledger.one(THIRD, grant(1, permit(Purpose::HealthResearch), false)), Ok(()));
}

/// An agreement serves once, and the desk makes nothing else of a machine of the patient's: what it forbade stays the patient's.
#[test]
fn an_agreement_is_not_used_again() {
    let mut ledger = enrolled();
    let mut device = proxy(&ledger, OTHER, 0, DelegationScope::EVERYTHING);
    (device.role, device.until) = (DelegateRole::Device, None);
    assert_eq!(ledger.one(PATIENT, Payload::Delegate(device.clone())), Ok(()));
    let (tx, _) = ledger.named(OTHER, grant(1, deny(), false));
    let own = document_id(&tx, 0);
    ledger.now = 3 * DAY;
    assert_eq!(ledger.one(DESK, freeze(form())), Ok(()));
    let other_form = Statement::paper(content(12), Date::from_days(3));
    let kept = DecideKey { subject: subject(1), decision: KeyDecision::Keep, statement: other_form, staff: STAFF };
    assert_eq!(ledger.one(DESK, Payload::DecideKey(kept)), Ok(()));
    let later = Statement::paper(content(7), Date::from_days(3));
    let replayed = Delegate { statement: later, role: DelegateRole::Proxy, until: Some(Date::from_days(40)), ..device };
    assert_eq!(ledger.one(DESK, Payload::Delegate(replayed)), Err(Rejection::Agreed));
    let anew = Delegate { statement: later, ..proxy(&ledger, OTHER, 40, health()) };
    assert_eq!(ledger.one(DESK, Payload::Delegate(anew.clone())), Err(Rejection::NotThePatient));
    let of_before = Delegate { agreed: Date::from_days(-40), ..anew };
    assert_eq!(ledger.one(PATIENT, Payload::Delegate(of_before)), Err(Rejection::WrongBasis));
    let basis = consilium_protocol::consent::Basis::Paper;
    let revocation = consilium_protocol::tx::Revocation {
        subject: subject(1),
        document: Some(own),
        source: content(8),
        signed: Some(Date::from_days(3)),
    };
    let payload = Payload::Revoke(Revoke { basis, forms: vec![revocation] });
    assert_eq!(ledger.one(DESK, payload), Err(Rejection::OwnDeny { document: own }));
}

/// No frozen key takes a prohibition back, whether by name, with all, or by something new; and no form does behind a closed
/// door.
#[test]
fn what_is_forbidden_stays_when_others_take_all_back() {
    let mut ledger = enrolled();
    let mixed = {
        let mut terms = deny();
        terms.rules.extend(permit(Purpose::GeneralResearch).rules);
        terms
    };
    assert_eq!(ledger.one(PATIENT, grant(1, mixed.clone(), false)), Ok(()));
    assert_eq!(ledger.one(DESK, freeze(form())), Ok(()));
    for payload in [Payload::Revoke(Revoke::electronic(subject(1), None)), grant(1, Terms::opt_in(Vec::new()), true)] {
        assert_eq!(ledger.one(PATIENT, payload), Ok(()));
    }
    let key = ledger.subject_key(0, 1);
    let left: Vec<Terms> = {
        let subject = ledger.state.subject(&key).expect("a subject");
        let of = subject.current().filter_map(|document| ledger.state.terms(&document.terms)).cloned();
        of.filter(|terms| terms.permits() || terms.denies()).collect()
    };
    assert_eq!(left, [deny()], "what it permitted has ended, what it forbade has not");
    assert_eq!(ledger.one(DESK, decide(KeyDecision::Keep)), Ok(()));
    assert_eq!(ledger.one(PATIENT, Payload::Revoke(Revoke::electronic(subject(1), None))), Ok(()));
    assert_eq!(current(&ledger, 1), 0, "the patient takes it back");
    let documents = ledger.state.figures().current_documents;
    assert_eq!(documents, 0);

    // The desk, for a patient who has lost the wallet: what was permitted ends, what was forbidden stays.
    assert_eq!(ledger.one(PATIENT, grant(1, mixed, false)), Ok(()));
    let signed = Some(Date::from_days(0));
    let form = consilium_protocol::tx::Revocation { subject: subject(1), document: None, source: content(8), signed };
    let basis = consilium_protocol::consent::Basis::Paper;
    assert_eq!(ledger.one(DESK, Payload::Revoke(Revoke { basis, forms: vec![form] })), Ok(()));
    let subject_now = ledger.state.subject(&key).expect("a subject");
    let left: Vec<_> = subject_now.current().map(|document| document.terms).collect();
    assert_eq!(left, [deny().hash()]);
    assert_eq!(ledger.state.figures().current_documents, 1);
}

/// What is read back from disk knows the same keys.
#[test]
fn keys_are_known_after_a_restart() {
    let mut ledger = enrolled();
    let delegate = Payload::Delegate(proxy(&ledger, THIRD, 30, health()));
    assert_eq!(ledger.one(PATIENT, delegate), Ok(()));
    let payload = Payload::RotateKey(rotation(&ledger, OTHER));
    assert_eq!(ledger.one(DESK, payload), Ok(()));
    let mut again = crate::state::State::new(&ledger.consortium.genesis);
    for (key, value) in ledger.state.entries() {
        again.load(&key, &value).expect("an entry");
    }
    again.loaded(*ledger.state.head());
    let day = again.time().date();
    for who in [PATIENT, OTHER, THIRD] {
        let patient = key(&ledger, who).patient();
        assert_eq!(again.role_of(&patient, day), ledger.state.role_of(&patient, day));
        assert!(again.role_of(&patient, day).is_some_and(|(_, role)| role != KeyRole::Former));
    }
    let later = consilium_protocol::ids::Timestamp::new(again.time().get() + WAIT);
    assert_eq!(again.due_rotations(later), [ledger.subject_key(0, 1)]);
    assert!(again.due_rotations(again.time()).is_empty());
}
