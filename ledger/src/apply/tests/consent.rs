use consilium_protocol::consent::{Base, Basis, Purpose, Terms, TermsError, Window};
use consilium_protocol::ids::{Date, DocumentId};
use consilium_protocol::tx::{Enrol, Given, GivenTerms, Grant, Payload, Revocation, Revoke, document_id};

use crate::apply::speaker::NO_SOURCE;
use crate::rejection::{Entitled, Rejection};
use crate::state::consent::{Document, EndedBy};
use crate::testing::{Ledger, SIGNED, Who, content, paper, permit, subject};

const HOSPITAL: Who = Who::Hospital(0);
const PATIENT: Who = Who::Patient(1);

/// Subject 1 without a key, subject 2 with patient 1's.
fn enrolled() -> Ledger {
    let mut ledger = Ledger::new(3);
    let batch = vec![ledger.consortium.enrolment(0, 1, None), ledger.consortium.enrolment(0, 2, Some(1))];
    assert_eq!(ledger.one(HOSPITAL, Payload::Enrol(Enrol { subjects: batch })), Ok(()));
    ledger
}

fn terms() -> Terms {
    permit(Purpose::GeneralResearch)
}

fn electronic(name: u32) -> Grant {
    Grant::electronic(GivenTerms::Whole(terms()), false, subject(name))
}

fn revoke(basis: Basis, forms: &[(u32, Option<DocumentId>)]) -> Payload {
    let (source, signed) = match basis {
        Basis::Paper => (content(8), Some(Date::from_days(SIGNED))),
        Basis::Electronic => (NO_SOURCE, None),
    };
    let form = |(name, document): &(u32, Option<DocumentId>)| Revocation {
        subject: subject(*name),
        document: *document,
        source,
        signed,
    };
    Payload::Revoke(Revoke { basis, forms: forms.iter().map(form).collect() })
}

fn documents(ledger: &Ledger, name: u32) -> Vec<Document> {
    ledger.state.subject(&ledger.subject_key(0, name)).map(|s| s.documents.clone()).unwrap_or_default()
}

#[test]
fn patients_and_witnesses_grant() {
    let mut ledger = enrolled();
    let (tx, outcome) = ledger.named(PATIENT, Payload::Grant(electronic(2)));
    assert_eq!(outcome, Ok(()));
    let granted = documents(&ledger, 2).remove(0);
    assert_eq!((granted.id, granted.granted.height), (document_id(&tx, 0), ledger.state.height()));
    assert_eq!(granted.signer, ledger.consortium.signer(PATIENT));
    let (tx, outcome) = ledger.named(HOSPITAL, paper(terms(), false, [1, 2]));
    assert_eq!(outcome, Ok(()));
    assert_eq!(documents(&ledger, 1)[0].id, document_id(&tx, 0));
    assert_eq!(documents(&ledger, 2)[1].id, document_id(&tx, 1));
    assert_eq!(documents(&ledger, 2)[1].source, content(9));
    assert_eq!(ledger.state.terms(&terms().hash()), Some(&terms()));
    let figures = ledger.state.figures();
    assert_eq!((figures.grants, figures.current_documents), (3, 3));
    assert!(figures.grant_bytes > 0);
}

#[test]
fn a_superseding_document_ends_the_current_ones_and_keeps_them() {
    let mut ledger = enrolled();
    assert_eq!(ledger.one(HOSPITAL, paper(terms(), false, [1, 1])), Ok(()));
    let before = ledger.state.height();
    let (tx, outcome) = ledger.named(HOSPITAL, paper(permit(Purpose::HealthResearch), true, [1]));
    assert_eq!(outcome, Ok(()));
    let all = documents(&ledger, 1);
    assert_eq!(all.len(), 3, "nothing is erased");
    for older in &all[..2] {
        let ended = older.ended.as_ref().expect("superseded");
        assert_eq!(ended.by, EndedBy::Superseded { document: document_id(&tx, 0) });
        assert_eq!(ended.at.height, ledger.state.height());
    }
    let key = ledger.subject_key(0, 1);
    assert_eq!(ledger.state.documents_at(&key, before).count(), 2, "as it was");
    assert_eq!(ledger.state.documents_at(&key, ledger.state.height()).count(), 1);
    assert_eq!(ledger.state.figures().current_documents, 1);
}

#[test]
fn each_reason_not_to_grant() {
    let mut ledger = enrolled();
    ledger.accredit(1);
    let signed = |source| (source != NO_SOURCE).then(|| Date::from_days(SIGNED));
    let forms = |names: &[u32], source| -> Vec<Given> {
        names.iter().map(|n| Given { subject: subject(*n), source, signed: signed(source) }).collect()
    };
    let base = electronic(2);
    let grant = |basis, forms| Payload::Grant(Grant { basis, forms, ..base.clone() });
    let by_patient = [
        (grant(Basis::Electronic, vec![]), Rejection::EmptyBatch),
        (grant(Basis::Electronic, forms(&[1], NO_SOURCE)), Rejection::NotOwnSubject),
        (grant(Basis::Electronic, forms(&[2, 2], NO_SOURCE)), Rejection::NotOwnSubject),
        (grant(Basis::Electronic, forms(&[2], content(1))), Rejection::SourceUnexpected),
        (grant(Basis::Paper, forms(&[2], content(1))), Rejection::WrongBasis),
    ];
    for (payload, rejection) in by_patient {
        assert_eq!(ledger.one(PATIENT, payload), Err(rejection));
    }
    let by_hospital = [
        (grant(Basis::Paper, vec![]), Rejection::EmptyBatch),
        (grant(Basis::Electronic, forms(&[2], NO_SOURCE)), Rejection::WrongBasis),
        (grant(Basis::Paper, forms(&[1, 9], content(1))), Rejection::UnknownSubject { subject: subject(9) }),
        (grant(Basis::Paper, forms(&[2], NO_SOURCE)), Rejection::SourceMissing { subject: subject(2) }),
    ];
    for (payload, rejection) in by_hospital {
        assert_eq!(ledger.one(HOSPITAL, payload), Err(rejection));
    }
    let other = grant(Basis::Paper, forms(&[1], content(1)));
    assert_eq!(ledger.one(Who::Hospital(1), other), Err(Rejection::UnknownSubject { subject: subject(1) }));
    let outcome = ledger.one(Who::Researcher(1), Payload::Grant(electronic(2)));
    assert_eq!(outcome, Err(Rejection::NotEntitled { entitled: Entitled::PatientOrHospital }));

    let mut bad = terms();
    bad.rules[0].valid = Window { from: "2020-01-02".parse().ok(), to: "2020-01-01".parse().ok() };
    let outcome = ledger.one(HOSPITAL, paper(bad, false, [1]));
    assert_eq!(outcome, Err(Rejection::Terms(TermsError::EmptyPeriod)));
    let opt_out = Terms { base: Base::Permit, ..Terms::opt_in(Vec::new()) };
    assert_eq!(ledger.one(HOSPITAL, paper(opt_out, false, [1])), Err(Rejection::BasePermit));
    assert!(documents(&ledger, 1).is_empty() && documents(&ledger, 2).is_empty());
    assert_eq!(ledger.state.figures().grants, 0);
}

#[test]
fn one_document_or_all_are_revoked() {
    let mut ledger = enrolled();
    let (tx, _) = ledger.named(HOSPITAL, paper(terms(), false, [2, 2, 2]));
    let id = |position| document_id(&tx, position);
    assert_eq!(ledger.one(PATIENT, revoke(Basis::Electronic, &[(2, Some(id(1)))])), Ok(()));
    let ended: Vec<bool> = documents(&ledger, 2).iter().map(|d| d.ended.is_some()).collect();
    assert_eq!(ended, [false, true, false]);
    let (revocation, outcome) = ledger.named(HOSPITAL, revoke(Basis::Paper, &[(2, None)]));
    assert_eq!(outcome, Ok(()));
    let ended = documents(&ledger, 2).remove(0).ended.expect("revoked");
    assert!(matches!(ended.by, EndedBy::Revocation { tx, source, .. } if tx == revocation && source == content(8)));
    assert!(documents(&ledger, 2).iter().all(|d| d.ended.is_some()));
    let figures = ledger.state.figures();
    assert_eq!((figures.revocations, figures.current_documents, figures.grants), (3, 0, 3));
}

#[test]
fn each_reason_not_to_revoke() {
    let mut ledger = enrolled();
    let (tx, _) = ledger.named(HOSPITAL, paper(terms(), false, [1, 2]));
    let (of_one, of_two) = (document_id(&tx, 0), document_id(&tx, 1));
    let unknown = |document| Err(Rejection::UnknownDocument { subject: subject(2), document });
    assert_eq!(ledger.one(PATIENT, revoke(Basis::Electronic, &[(2, Some(of_one))])), unknown(of_one));
    assert_eq!(ledger.one(PATIENT, revoke(Basis::Electronic, &[(1, None)])), Err(Rejection::NotOwnSubject));
    assert_eq!(ledger.one(HOSPITAL, revoke(Basis::Electronic, &[(2, None)])), Err(Rejection::WrongBasis));
    let outcome = ledger.one(Who::Hospital(1), revoke(Basis::Paper, &[(2, None)]));
    assert_eq!(outcome, Err(Rejection::UnknownSubject { subject: subject(2) }));
    // Twice the same within a batch.
    let nothing = Err(Rejection::NothingToRevoke { subject: subject(2) });
    assert_eq!(ledger.one(HOSPITAL, revoke(Basis::Paper, &[(1, None), (2, None), (2, None)])), nothing);
    let ended = Err(Rejection::DocumentEnded { document: of_two });
    assert_eq!(ledger.one(HOSPITAL, revoke(Basis::Paper, &[(2, None), (2, Some(of_two))])), ended);
    assert_eq!(ledger.state.figures().current_documents, 2, "all or nothing");

    assert_eq!(ledger.one(PATIENT, revoke(Basis::Electronic, &[(2, None)])), Ok(()));
    assert_eq!(ledger.one(PATIENT, revoke(Basis::Electronic, &[(2, None)])), nothing);
    assert_eq!(ledger.one(PATIENT, revoke(Basis::Electronic, &[(2, Some(of_two))])), ended);
}

/// What consent costs on the ledger: the terms once a transaction, then 53 bytes a form.
#[test]
fn a_batch_spreads_the_cost_of_a_transaction() {
    let mut ledger = Ledger::new(3);
    ledger.enrol(0, 0..500);
    let bytes = |ledger: &mut Ledger, payload| ledger.sign(HOSPITAL, payload).encoded_len();
    let one = bytes(&mut ledger, paper(terms(), false, [0]));
    let many = bytes(&mut ledger, paper(terms(), false, 0..500));
    assert_eq!(many - one, 499 * 53);
    assert!(one < 256, "{one}");
    assert_eq!(ledger.one(HOSPITAL, paper(terms(), false, 0..500)), Ok(()));
    let figures = ledger.state.figures();
    assert_eq!((figures.grants, figures.grant_bytes), (500, many as u64));
}
