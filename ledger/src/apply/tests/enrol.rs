use consilium_protocol::tx::{Enrol, Enrolment, Payload};

use crate::rejection::{Entitled, Rejection};
use crate::testing::{Ledger, Who, subject};

const HOSPITAL: Who = Who::Hospital(0);

fn enrol(subjects: Vec<Enrolment>) -> Payload {
    Payload::Enrol(Enrol { subjects })
}

#[test]
fn subjects_are_enrolled_with_and_without_keys() {
    let mut ledger = Ledger::new(3);
    let batch = vec![ledger.consortium.enrolment(0, 1, None), ledger.consortium.enrolment(0, 2, Some(1))];
    assert_eq!(ledger.one(HOSPITAL, enrol(batch)), Ok(()));
    let patient = ledger.consortium.key(Who::Patient(1)).patient();
    assert_eq!(ledger.state.subject_of(&patient), Some(ledger.subject_key(0, 2)));
    assert_eq!(ledger.state.figures().subjects, 2);

    // A key may come later, once.
    let later = ledger.consortium.enrolment(0, 1, Some(2));
    assert_eq!(ledger.one(HOSPITAL, enrol(vec![later])), Ok(()));
    let patient = ledger.consortium.key(Who::Patient(2)).patient();
    assert_eq!(ledger.state.subject(&ledger.subject_key(0, 1)).and_then(|s| s.patient), Some(patient));
    assert_eq!(ledger.state.figures().subjects, 2);
}

#[test]
fn each_reason_not_to_enrol() {
    let mut ledger = Ledger::new(3);
    let first = vec![ledger.consortium.enrolment(0, 1, None), ledger.consortium.enrolment(0, 2, Some(1))];
    assert_eq!(ledger.one(HOSPITAL, enrol(first)), Ok(()));
    let (one, two, three) = (subject(1), subject(2), subject(3));
    let e = |ledger: &Ledger, name, patient| ledger.consortium.enrolment(0, name, patient);
    let cases = [
        (vec![], Rejection::EmptyBatch),
        (vec![e(&ledger, 1, None)], Rejection::AlreadyEnrolled { subject: one }),
        (vec![e(&ledger, 2, Some(1))], Rejection::AlreadyEnrolled { subject: two }),
        (vec![e(&ledger, 2, None)], Rejection::AlreadyEnrolled { subject: two }),
        (vec![e(&ledger, 3, None), e(&ledger, 3, None)], Rejection::AlreadyEnrolled { subject: three }),
        (vec![e(&ledger, 2, Some(2))], Rejection::SubjectHasKey { subject: two }),
        (vec![e(&ledger, 3, Some(1))], Rejection::PatientKeyTaken { subject: three }),
        (vec![e(&ledger, 1, Some(2)), e(&ledger, 3, Some(2))], Rejection::PatientKeyTaken { subject: three }),
        // Good ones before a bad one are not enrolled either.
        (vec![e(&ledger, 4, Some(3)), e(&ledger, 1, None)], Rejection::AlreadyEnrolled { subject: one }),
    ];
    for (subjects, rejection) in cases {
        assert_eq!(ledger.one(HOSPITAL, enrol(subjects)), Err(rejection));
    }
    assert!(ledger.state.subject(&ledger.subject_key(0, 4)).is_none(), "all or nothing");
    assert_eq!(ledger.state.subject_of(&ledger.consortium.key(Who::Patient(3)).patient()), None);
    let not_entitled = Err(Rejection::NotEntitled { entitled: Entitled::Hospital });
    let batch = vec![e(&ledger, 5, None)];
    assert_eq!(ledger.one(Who::Patient(1), enrol(batch)), not_entitled);
}

#[test]
fn a_countersignature_is_bound_to_hospital_subject_and_key() {
    let mut ledger = Ledger::new(3);
    let refused = |name| Err(Rejection::Countersignature { subject: subject(name) });
    let for_another_hospital = ledger.consortium.enrolment(1, 1, Some(1));
    assert_eq!(ledger.one(HOSPITAL, enrol(vec![for_another_hospital])), refused(1));
    let mut for_another_subject = ledger.consortium.enrolment(0, 1, Some(1));
    for_another_subject.subject = subject(2);
    assert_eq!(ledger.one(HOSPITAL, enrol(vec![for_another_subject])), refused(2));
    let mut by_another_key = ledger.consortium.enrolment(0, 1, Some(1));
    if let Some(signed) = &mut by_another_key.patient {
        signed.patient = ledger.consortium.key(Who::Patient(2)).patient();
    }
    assert_eq!(ledger.one(HOSPITAL, enrol(vec![by_another_key])), refused(1));
}

#[test]
fn a_name_seen_elsewhere_gives_no_say_over_it() {
    let mut ledger = Ledger::new(3);
    ledger.enrol(1, [7]);
    ledger.enrol(0, [7]);
    assert!(ledger.state.subject(&ledger.subject_key(0, 7)).is_some());
    assert!(ledger.state.subject(&ledger.subject_key(1, 7)).is_some());
    assert_eq!(ledger.state.subjects_named(&subject(7)).len(), 2);
    assert_eq!(ledger.state.subjects_of(&ledger.consortium.hospital(0)).count(), 1);
}
