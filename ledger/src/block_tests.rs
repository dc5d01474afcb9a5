use consilium_protocol::ids::{Sequence, StudyId};
use consilium_protocol::keys::SigningKey;
use consilium_protocol::tx::{Payload, Reject, Signer, TxBody};

use super::*;

fn tx(sequence: u64) -> SignedTx {
    let chain = LedgerId::from_bytes([1; 32]);
    let key = SigningKey::from_seed(&[1; 32]);
    let reject = Reject { study: StudyId::from_bytes([9; 32]), reason: "no".to_string() };
    let body = TxBody { sequence: Sequence::new(sequence), expires: Height::new(9), payload: Payload::Reject(reject) };
    SignedTx::sign(&chain, &body, Signer::Hospital(key.hospital()), &key)
}

fn block(txs: Vec<SignedTx>) -> Block {
    let header = Header {
        ledger_id: LedgerId::from_bytes([1; 32]),
        height: Height::new(0x0102),
        time: Timestamp::new(0x0304),
        proposer: HospitalId::from_public_key([0x11; 32]),
        parent: BlockHash::from_bytes([0x22; 32]),
        app_hash: AppHash::from_bytes([0x33; 32]),
        txs: Block::txs_hash(&txs),
    };
    Block { header, txs }
}

fn header_hex(txs: &str) -> String {
    let fields = [&"01".repeat(32), "0201000000000000", "0403000000000000"];
    [&fields.concat(), &*"11".repeat(32), &"22".repeat(32), &"33".repeat(32), txs].concat()
}

#[test]
fn an_empty_block_has_golden_bytes() {
    let empty = block(Vec::new());
    let txs = "c9fa4cf2955297b28807705f81cf87925bcba097b1ff8170854e3b722510a0c9";
    assert_eq!(hex::encode(empty.encode()), header_hex(txs) + "00000000");
    assert_eq!(empty.hash().to_string(), "440f0b9611f495ef9b22d646531dc1cb6adc4f68e89bc8347b17773c9fe78f8a");
}

#[test]
fn a_block_reads_back_and_nothing_else_does() {
    let block = block(vec![tx(1), tx(2)]);
    let bytes = block.encode();
    let txs: String = block.txs.iter().map(|tx| hex::encode(tx.to_bytes())).collect();
    let expected = header_hex(&block.header.txs.to_string()) + "02000000" + &txs;
    assert_eq!(hex::encode(&bytes), expected);
    assert_eq!(Block::decode(&bytes), Ok(block));
    for length in 0..bytes.len() {
        assert!(Block::decode(&bytes[..length]).is_err(), "{length} of the bytes");
    }
    assert_eq!(Block::decode(&[&bytes[..], &[0]].concat()), Err(BlockFault::Encoding));
}

#[test]
fn every_flipped_bit_changes_the_hash_or_is_refused() {
    let block = block(vec![tx(1), tx(2)]);
    let bytes = block.encode();
    for index in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[index] ^= 1;
        if let Ok(other) = Block::decode(&bad) {
            assert_ne!(other.hash(), block.hash(), "byte {index}");
        }
    }
}

#[test]
fn too_much_is_refused() {
    let oversized = vec![0; MAX_BLOCK_BYTES + 1];
    assert_eq!(Block::decode(&oversized), Err(BlockFault::TooLarge { bytes: MAX_BLOCK_BYTES + 1 }));
    let mut long = tx(1);
    long.body = vec![0; MAX_TX_BYTES];
    assert_eq!(Block::decode(&block(vec![tx(2), long]).encode()), Err(BlockFault::TxTooLarge { index: 1 }));
    let mut swapped = block(vec![tx(1), tx(2)]);
    swapped.txs.swap(0, 1);
    assert_eq!(Block::decode(&swapped.encode()), Err(BlockFault::TxsHash));
}
