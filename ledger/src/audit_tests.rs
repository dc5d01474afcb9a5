use consilium_protocol::consent::Purpose;
use consilium_protocol::ids::{Height, StudyId, Timestamp};

use super::*;
use crate::export::{ExportWriter, MAGIC};
use crate::testing::{Ledger, Who, paper, permit, subject};

/// A study with its round opened, consents before it, and a rejection.
fn story() -> (Ledger, StudyId) {
    let mut ledger = Ledger::new(3);
    ledger.enrol(0, [1, 2]);
    assert_eq!(ledger.one(Who::Hospital(0), paper(permit(Purpose::GeneralResearch), false, [1, 2])), Ok(()));
    let study = ledger.opened(&[0, 1, 2]);
    assert!(ledger.approve(0, study).is_err());
    (ledger, study)
}

fn exported(ledger: &Ledger) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = ExportWriter::new(&mut bytes, &ledger.consortium.genesis.hash()).expect("memory");
    for block in &ledger.blocks {
        writer.write(block, &ledger.consortium.certificate(block)).expect("memory");
    }
    assert_eq!(writer.finish().expect("memory"), ledger.blocks.len() as u64);
    bytes
}

fn audited(ledger: &Ledger, bytes: &[u8], focus: Option<Focus>) -> Result<AuditReport, AuditError> {
    audit(&ledger.consortium.genesis, bytes, focus)
}

#[test]
fn an_audit_comes_to_the_same_end() {
    let (ledger, _) = story();
    let report = audited(&ledger, &exported(&ledger), None).expect("it holds");
    assert_eq!(report.head, *ledger.state.head());
    assert_eq!((report.certificates, report.member_signatures), (ledger.blocks.len() as u64, report.certificates * 3));
    assert_eq!(report.transactions["approve"], KindFigures { accepted: 3, rejected: 1 });
    assert_eq!(report.rejections, BTreeMap::from([("already_decided", 1)]));
    assert_eq!(report.figures, ledger.state.figures());
    assert_eq!(report.bytes_per_grant(), Some(report.figures.grant_bytes.div_ceil(2)));
    assert!(report.trail.is_empty());
}

#[test]
fn an_audit_tells_of_a_study_a_subject_and_a_member() {
    let (ledger, study) = story();
    let bytes = exported(&ledger);
    let report = audited(&ledger, &bytes, Some(Focus::Study(study))).expect("it holds");
    let kinds: Vec<&str> = report.trail.iter().flat_map(|entry| entry.txs.iter().map(|tx| tx.kind)).collect();
    assert_eq!(
        kinds,
        [
            "propose_study",
            "approve",
            "pair_keys",
            "approve",
            "pair_keys",
            "approve",
            "pair_keys",
            "open_round",
            "approve"
        ]
    );
    assert!(report.trail.last().expect("entries").txs[0].outcome.is_err());
    let opened = report.trail.iter().flat_map(|e| &e.events).any(|e| matches!(e, Event::RoundOpened { .. }));
    assert!(opened);

    let report = audited(&ledger, &bytes, Some(Focus::Subject(subject(1)))).expect("it holds");
    let kinds: Vec<&str> = report.trail.iter().flat_map(|entry| entry.txs.iter().map(|tx| tx.kind)).collect();
    assert_eq!(kinds, ["enrol", "grant"]);
    assert_eq!(report.subjects.len(), 1);
    assert_eq!(report.subjects[0].1.documents.len(), 1);
    assert!(report.uses[0].1.allowed);

    let member = ledger.consortium.hospital(2);
    let report = audited(&ledger, &bytes, Some(Focus::Member(member))).expect("it holds");
    let txs: Vec<&TrailTx> = report.trail.iter().flat_map(|entry| &entry.txs).collect();
    assert!(!txs.is_empty() && txs.iter().all(|tx| tx.signer == Signer::Hospital(member)));
}

#[test]
fn every_flipped_byte_is_found() {
    let mut ledger = Ledger::new(3);
    ledger.enrol(0, [1]);
    ledger.commit(Vec::new());
    let bytes = exported(&ledger);
    let first_block = MAGIC.len() + 2 + 32;
    for position in 0..bytes.len() {
        for flip in [0x01, 0x80] {
            let mut changed = bytes.clone();
            changed[position] ^= flip;
            let error = audited(&ledger, &changed, None).expect_err("found");
            let said = error.to_string();
            if (first_block..bytes.len() - 44).contains(&position) {
                assert!(said.contains("height"), "byte {position}: {said}");
            }
            assert!(said.contains(';'), "byte {position}: no next step in `{said}`");
        }
    }
}

#[test]
fn every_truncation_and_addition_is_found() {
    let mut ledger = Ledger::new(3);
    ledger.enrol(0, [1]);
    let bytes = exported(&ledger);
    for end in 0..bytes.len() {
        assert!(audited(&ledger, &bytes[..end], None).is_err(), "{end}");
    }
    let mut longer = bytes;
    longer.push(0);
    assert!(matches!(audited(&ledger, &longer, None), Err(AuditError::Export(ExportError::Trailing))));
}

#[test]
fn an_end_that_counts_other_blocks_is_found() {
    let mut ledger = Ledger::new(3);
    ledger.enrol(0, [1]);
    let mut bytes = exported(&ledger);
    let end = bytes.len() - 32;
    bytes[end - 8] = 2;
    let digest = consilium_protocol::hash::content(&bytes[..end]);
    bytes[end..].copy_from_slice(digest.as_bytes());
    let error = audited(&ledger, &bytes, None).expect_err("found");
    assert!(matches!(error, AuditError::Export(ExportError::Count { found: 1, expected: 2 })));
}

/// Whoever changes the file can repair its digest. These forgeries do; certificates and replay find them.
#[test]
fn forgeries_with_a_good_digest_are_found() {
    let (ledger, _) = story();
    let write = |blocks: &[Block], certify: &dyn Fn(&Block) -> Certificate| {
        let mut bytes = Vec::new();
        let mut writer = ExportWriter::new(&mut bytes, &ledger.consortium.genesis.hash()).expect("memory");
        for block in blocks {
            writer.write(block, &certify(block)).expect("memory");
        }
        writer.finish().expect("memory");
        bytes
    };
    let certify = |block: &Block| ledger.consortium.certificate(block);
    let check = |blocks: &[Block], certify: &dyn Fn(&Block) -> Certificate| {
        audited(&ledger, &write(blocks, certify), None).map(|_| ()).expect_err("found")
    };

    let mut left_out = ledger.blocks.clone();
    left_out.remove(1);
    assert!(matches!(check(&left_out, &certify), AuditError::Block { fault: BlockFault::Height { .. }, .. }));

    let mut without_tx = ledger.blocks.clone();
    without_tx[1].txs.clear();
    without_tx[1].header.txs = Block::txs_hash(&[]);
    // Certified by the members as it is: then the next block was made on another state.
    assert!(matches!(check(&without_tx, &certify), AuditError::Block { height, .. } if height == Height::new(3)));
    // Certified as it was: the certificate is about another block.
    let originals = |block: &Block| certify(&ledger.blocks[block.header.height.get() as usize - 1]);
    assert!(matches!(check(&without_tx, &originals), AuditError::OtherCertificate { .. }));

    let two_of_three = |block: &Block| {
        let mut certificate = certify(block);
        certificate.signatures.pop();
        certificate
    };
    let error = check(&ledger.blocks, &two_of_three);
    assert!(matches!(error, AuditError::Certificate { fault: CertificateFault::TooFew { .. }, .. }));

    let mut earlier = ledger.blocks.clone();
    earlier[0].header.time = Timestamp::new(ledger.consortium.genesis.time_ms.get());
    assert!(matches!(check(&earlier, &certify), AuditError::Block { fault: BlockFault::TimeNotLater { .. }, .. }));

    let other = Ledger::new(4).consortium.genesis;
    let bytes = exported(&ledger);
    assert!(matches!(audit(&other, bytes.as_slice(), None), Err(AuditError::Genesis { .. })));
}
