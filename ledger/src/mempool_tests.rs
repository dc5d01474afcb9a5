use consilium_protocol::ids::{LedgerId, Sequence, StudyId};
use consilium_protocol::keys::SigningKey;
use consilium_protocol::tx::{Payload, Reject, TxBody};

use super::*;

const NEVER: Height = Height::new(u64::MAX);

fn tx(seed: u8, sequence: u64, bytes: usize) -> SignedTx {
    let chain = LedgerId::from_bytes([1; 32]);
    let key = SigningKey::from_seed(&[seed; 32]);
    let reject = Reject { study: StudyId::from_bytes([9; 32]), reason: "x".repeat(bytes) };
    let body = TxBody { sequence: Sequence::new(sequence), expires: NEVER, payload: Payload::Reject(reject) };
    SignedTx::sign(&chain, &body, Signer::Hospital(key.hospital()), &key)
}

fn mempool() -> Mempool {
    Mempool::new(MempoolLimits { txs: 6, bytes: 100_000, txs_per_signer: 4 }, Height::new(5))
}

#[test]
fn every_limit_refuses_and_changes_nothing() {
    let mut pool = mempool();
    assert!(matches!(pool.insert(tx(1, 1, MAX_TX_BYTES), NEVER), Err(Refusal::TooLarge { .. })));
    assert_eq!(pool.insert(tx(1, 1, 1), Height::new(5)), Err(Refusal::Expired { expires: Height::new(5) }));
    for sequence in 1..=4 {
        pool.insert(tx(1, sequence, 1), NEVER).expect("room");
    }
    assert_eq!(pool.insert(tx(1, 4, 1), NEVER), Err(Refusal::Duplicate));
    assert_eq!(pool.insert(tx(1, 5, 1), NEVER), Err(Refusal::SignerFull));
    assert_eq!(pool.insert(tx(2, 1, 100_000), NEVER), Err(Refusal::Full));
    pool.insert(tx(2, 1, 1), NEVER).expect("room");
    pool.insert(tx(3, 1, 1), NEVER).expect("room");
    assert_eq!(pool.insert(tx(4, 1, 1), NEVER), Err(Refusal::Full));
    let bytes: usize = pool.batch(usize::MAX).iter().map(SignedTx::encoded_len).sum();
    assert_eq!((pool.len(), pool.bytes()), (6, bytes));
}

#[test]
fn a_batch_keeps_the_order_and_the_size() {
    let mut pool = mempool();
    let txs = [tx(1, 1, 10), tx(2, 1, 5_000), tx(1, 2, 10), tx(2, 2, 10)];
    for tx in &txs {
        pool.insert(tx.clone(), NEVER).expect("room");
    }
    assert_eq!(pool.batch(usize::MAX), txs);
    assert_eq!(pool.batch(txs[0].encoded_len()), txs[..1]);
    let two = txs[0].encoded_len() + txs[1].encoded_len();
    assert_eq!(pool.batch(two), txs[..2]);
    assert_eq!(pool.batch(two - 1), txs[..1], "nothing overtakes what does not fit");
    assert_eq!(pool.batch(0), []);
}

#[test]
fn what_was_included_or_expired_leaves_and_does_not_return() {
    let mut pool = mempool();
    let first = pool.insert(tx(1, 1, 10), NEVER).expect("room");
    let second = pool.insert(tx(1, 2, 10), Height::new(8)).expect("room");
    let third = pool.insert(tx(1, 3, 10), Height::new(7)).expect("room");
    pool.committed(Height::new(7), &[first], true);
    assert!(!pool.contains(&first) && pool.contains(&second) && !pool.contains(&third));
    assert_eq!(pool.insert(tx(1, 1, 10), NEVER), Err(Refusal::Included));
    pool.committed(Height::new(8), &[], true);
    assert!(pool.is_empty());
    assert_eq!((pool.bytes(), pool.per_signer.len(), pool.positions.len()), (0, 0, 0));
}

#[test]
fn what_no_block_takes_stops_hastening_and_is_dropped() {
    let mut pool = mempool();
    pool.insert(tx(1, 1, 10), NEVER).expect("room");
    let mut height = 5;
    let mut commit = |pool: &mut Mempool, with_room| {
        height += 1;
        pool.committed(Height::new(height), &[], with_room);
    };
    for _ in 0..1_000 {
        commit(&mut pool, false);
    }
    assert!(pool.hastens(), "full blocks leave things behind for a good reason");
    for _ in 0..STALE_AFTER_PASSES {
        commit(&mut pool, true);
    }
    assert!(!pool.hastens() && pool.len() == 1);
    for _ in 0..DROP_AFTER_PASSES {
        commit(&mut pool, true);
    }
    assert!(pool.is_empty());
}

#[test]
fn the_memory_of_included_transactions_is_bounded() {
    let mut pool = mempool();
    for round in 0..3u64 {
        let hashes: Vec<TxHash> = (0..REMEMBERED_HASHES as u64)
            .map(|n| {
                let mut bytes = [0; 32];
                bytes[..8].copy_from_slice(&(round << 32 | n).to_le_bytes());
                TxHash::from_bytes(bytes)
            })
            .collect();
        pool.committed(Height::new(6 + round), &hashes, true);
        assert_eq!((pool.included.len(), pool.included_order.len()), (REMEMBERED_HASHES, REMEMBERED_HASHES));
    }
}
