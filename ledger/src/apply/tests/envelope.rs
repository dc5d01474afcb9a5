use consilium_protocol::ids::{Height, Sequence};
use consilium_protocol::tx::{MAX_EXPIRY_BLOCKS, MAX_TX_BYTES, SignedTx};

use crate::rejection::Rejection;
use crate::testing::{Ledger, Who};

const HOSPITAL: Who = Who::Hospital(0);

fn outcome(ledger: &mut Ledger, tx: &SignedTx) -> Result<(), Rejection> {
    ledger.commit(vec![tx.clone()]).outcomes.remove(0).1
}

#[test]
fn a_signature_must_fit() {
    let mut ledger = Ledger::new(3);
    let payload = ledger.accreditation(1);
    let good = ledger.sign(HOSPITAL, payload);
    let mut changed = good.clone();
    *changed.body.last_mut().expect("a body") ^= 1;
    assert_eq!(outcome(&mut ledger, &changed), Err(Rejection::Signature));
    let mut of_another = good.clone();
    of_another.signer = ledger.consortium.signer(Who::Hospital(1));
    assert_eq!(outcome(&mut ledger, &of_another), Err(Rejection::Signature));
    assert_eq!(ledger.state.last_sequence(&good.signer), Sequence::new(0), "nobody can use up another's numbers");
    assert_eq!(outcome(&mut ledger, &good), Ok(()));
}

#[test]
fn what_is_signed_must_be_a_transaction() {
    let mut ledger = Ledger::new(3);
    let key = ledger.consortium.key(HOSPITAL);
    let mut tx = ledger.sign(HOSPITAL, ledger.accreditation(1));
    tx.body[0] = 9;
    tx.signature = key.sign(&consilium_protocol::tx::signing_message(ledger.state.ledger_id(), &tx.body));
    assert_eq!(outcome(&mut ledger, &tx), Err(Rejection::Malformed));
    tx.body = vec![1; MAX_TX_BYTES];
    assert_eq!(outcome(&mut ledger, &tx), Err(Rejection::TooLong));
}

#[test]
fn a_sequence_number_is_used_once_whatever_became_of_it() {
    let mut ledger = Ledger::new(3);
    let payload = ledger.accreditation(1);
    let first = ledger.consortium.sign(HOSPITAL, 5, 1_000, payload.clone());
    let earlier = ledger.consortium.sign(HOSPITAL, 4, 1_000, payload.clone());
    let second = ledger.consortium.sign(HOSPITAL, 9, 1_000, payload);
    assert_eq!(outcome(&mut ledger, &first), Ok(()));
    let replayed = Rejection::Replayed { last: Sequence::new(5) };
    assert_eq!(outcome(&mut ledger, &first), Err(replayed.clone()));
    assert_eq!(outcome(&mut ledger, &earlier), Err(replayed));
    assert!(matches!(outcome(&mut ledger, &second), Err(Rejection::AlreadyProposed { .. })));
    assert_eq!(outcome(&mut ledger, &second), Err(Rejection::Replayed { last: Sequence::new(9) }));
}

#[test]
fn copies_within_one_block_count_once() {
    let mut ledger = Ledger::new(3);
    let payload = ledger.accreditation(1);
    let tx = ledger.sign(HOSPITAL, payload);
    let result = ledger.commit(vec![tx.clone(), tx]);
    assert_eq!(result.outcomes[0].1, Ok(()));
    assert_eq!(result.outcomes[1].1, Err(Rejection::Replayed { last: Sequence::new(1) }));
}

#[test]
fn what_was_rejected_from_a_stranger_stays_rejected() {
    let mut ledger = Ledger::new(3);
    let early = ledger.sign(Who::Researcher(1), Ledger::study_proposal(1));
    assert_eq!(outcome(&mut ledger, &early), Err(Rejection::UnknownSigner));
    ledger.accredit(1);
    assert_eq!(outcome(&mut ledger, &early), Err(Rejection::Replayed { last: Sequence::new(1) }));
    assert_eq!(ledger.one(Who::Researcher(1), Ledger::study_proposal(1)), Ok(()));
}

#[test]
fn an_expiry_is_near_and_not_past() {
    let mut ledger = Ledger::new(3);
    for _ in 0..3 {
        ledger.commit(Vec::new());
    }
    let payload = ledger.accreditation(1);
    let height = ledger.state.height().get() + 1;
    let past = ledger.consortium.sign(HOSPITAL, 1, height - 1, payload.clone());
    assert_eq!(outcome(&mut ledger, &past), Err(Rejection::Expired { expires: Height::new(height - 1) }));
    let height = height + 1;
    let far = ledger.consortium.sign(HOSPITAL, 2, height + MAX_EXPIRY_BLOCKS + 1, payload.clone());
    let latest = Height::new(height + MAX_EXPIRY_BLOCKS);
    assert_eq!(outcome(&mut ledger, &far), Err(Rejection::ExpiresTooLate { latest }));
    let height = height + 1;
    let last_moment = ledger.consortium.sign(HOSPITAL, 3, height, payload);
    assert_eq!(outcome(&mut ledger, &last_moment), Ok(()));
}

#[test]
fn strangers_are_refused() {
    let mut ledger = Ledger::new(3);
    let payload = ledger.accreditation(1);
    for who in [Who::Researcher(9), Who::Patient(9)] {
        assert_eq!(ledger.one(who, payload.clone()), Err(Rejection::UnknownSigner));
    }
    let stranger = consilium_protocol::keys::SigningKey::from_seed(&[9; 32]);
    let body = consilium_protocol::tx::TxBody { sequence: Sequence::new(1), expires: Height::new(100), payload };
    let signer = consilium_protocol::tx::Signer::Hospital(stranger.hospital());
    let tx = SignedTx::sign(ledger.state.ledger_id(), &body, signer, &stranger);
    assert_eq!(outcome(&mut ledger, &tx), Err(Rejection::UnknownSigner));
}

#[test]
fn a_rejected_transaction_changes_figures_and_sequence_only() {
    let mut ledger = Ledger::new(3);
    let study = ledger.opened(&[0, 1, 2]);
    let before = ledger.state.entries();
    assert!(ledger.approve(0, study).is_err());
    let after = ledger.state.entries();
    let changed: Vec<u8> = before.iter().zip(&after).filter(|(a, b)| a != b).map(|(a, _)| a.0[0]).collect();
    assert_eq!(changed, [0, 1]);
    assert_eq!(before.len(), after.len());
}
