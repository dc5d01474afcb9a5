use consilium_protocol::ids::{AppHash, ContentHash, LedgerId, Sequence, StudyId, Timestamp};
use consilium_protocol::keys::SigningKey;
use consilium_protocol::tx::{Payload, Reject, SignedTx, Signer, TxBody};
use proptest::prelude::*;

use super::*;
use crate::block::Header;

fn block(txs: u64, bytes: usize) -> Block {
    let ledger_id = LedgerId::from_bytes([1; 32]);
    let key = SigningKey::from_seed(&[1; 32]);
    let tx = |sequence| {
        let reject = Reject { study: StudyId::from_bytes([9; 32]), reason: "x".repeat(bytes) };
        let body =
            TxBody { sequence: Sequence::new(sequence), expires: Height::new(9), payload: Payload::Reject(reject) };
        SignedTx::sign(&ledger_id, &body, Signer::Hospital(key.hospital()), &key)
    };
    let txs: Vec<SignedTx> = (0..txs).map(tx).collect();
    let header = Header {
        ledger_id,
        height: Height::new(4),
        time: Timestamp::new(5),
        proposer: HospitalId::from_public_key([6; 32]),
        parent: BlockHash::from_bytes([7; 32]),
        app_hash: AppHash::from_bytes([8; 32]),
        txs: Block::txs_hash(&txs),
    };
    Block { header, txs }
}

fn announcement(block: &Block) -> Announcement {
    let proposer = HospitalId::from_public_key([6; 32]);
    Announcement { height: Height::new(4), round: 2, pol_round: Some(1), proposer, block: block.hash() }
}

fn publisher(byte: u8) -> PeerId {
    PeerId::from_bytes(&[&[0x12, 0x20][..], &[byte; 32]].concat()).expect("a peer id")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn pieces_come_together_in_any_order(order in Just((0..12u64).collect::<Vec<_>>()).prop_shuffle()) {
        let block = block(10, 120_000);
        let encoded: Bytes = block.encode().into();
        let messages = cut(&announcement(&block), &encoded, 3);
        let mut assembly = Assembly::default();
        let mut complete = Vec::new();
        for index in order {
            if let Some(message) = messages.get(index as usize) {
                complete.extend(assembly.insert(publisher(1), message.clone()));
            }
        }
        prop_assert_eq!(complete, vec![(announcement(&block), block, encoded)]);
        prop_assert_eq!((assembly.bytes, assembly.streams.len(), assembly.order.len()), (0, 0, 0));
    }
}

#[test]
fn a_block_that_is_not_what_was_announced_is_dropped() {
    let block = block(1, 10);
    let other = Announcement { block: BlockHash::from_bytes([1; 32]), ..announcement(&block) };
    let mut assembly = Assembly::default();
    let complete: Vec<_> = cut(&other, &block.encode().into(), 3)
        .into_iter()
        .filter_map(|message| assembly.insert(publisher(1), message))
        .collect();
    assert!(complete.is_empty() && assembly.streams.is_empty());
}

#[test]
fn what_one_publisher_or_all_can_pile_up_is_bounded() {
    let piece = |stream: u64, sequence: u64, bytes: usize| {
        let part = ProposalPart::Bytes { last: false, bytes: vec![1; bytes] };
        let id = StreamId::new(Bytes::copy_from_slice(&stream.to_be_bytes()));
        StreamMessage::new(id, sequence, StreamContent::Data(part))
    };
    let mut assembly = Assembly::default();
    for stream in 0..100 {
        assert!(assembly.insert(publisher(1), piece(stream, 1, PART_BYTES)).is_none());
        assert!(assembly.streams.len() <= MAX_STREAMS_PER_PUBLISHER);
    }
    for byte in 0..=255 {
        for stream in 0..3 {
            for sequence in 0..3 {
                assembly.insert(publisher(byte), piece(stream, sequence, PART_BYTES));
                let held: usize = assembly.streams.values().map(|stream| stream.bytes).sum();
                assert_eq!(held, assembly.bytes);
                assert!(assembly.bytes <= MAX_PENDING_BYTES && assembly.streams.len() <= MAX_STREAMS);
                assert_eq!(assembly.streams.len(), assembly.order.len());
            }
        }
    }
    let mut assembly = Assembly::default();
    for sequence in 0..200 {
        assembly.insert(publisher(1), piece(1, sequence, PART_BYTES));
        assert!(assembly.bytes <= MAX_BLOCK_BYTES);
    }
    for bad in [piece(2, 0, PART_BYTES + 1), piece(2, 0, 0), piece(2, u64::MAX, 1)] {
        assembly.insert(publisher(2), bad);
        assert!(assembly.streams.keys().all(|(from, _)| *from != publisher(2)));
    }
}

#[test]
fn the_digest_of_no_transactions_is_not_all_zeros() {
    assert_ne!(Block::txs_hash([]), ContentHash::from_bytes([0; 32]));
}
