use consilium_protocol::keys::SigningKey;

use super::*;

fn chain() -> LedgerId {
    LedgerId::from_bytes([1; 32])
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn id(seed: u8) -> HospitalId {
    // Ascending with the seed, and not the consensus key: the two must not be mixed up.
    HospitalId::from_public_key([seed; 32])
}

fn validators(count: u8) -> Vec<Validator> {
    (1..=count).map(|seed| Validator { id: id(seed), consensus_key: key(seed).public_key() }).collect()
}

fn certificate(signers: &[u8]) -> Certificate {
    let (height, round, block) = (Height::new(7), 2, BlockHash::from_bytes([0x44; 32]));
    let sign = |seed: u8| {
        let digest = vote_digest(&chain(), VoteKind::Precommit, height, round, Some(&block), &id(seed));
        (id(seed), key(seed).sign(&digest))
    };
    Certificate { height, round, block, signatures: signers.iter().map(|seed| sign(*seed)).collect() }
}

#[test]
fn more_than_two_thirds_must_sign() {
    for (members, enough) in [(1, 1), (2, 2), (3, 3), (4, 3), (5, 4), (6, 5), (7, 5)] {
        for signed in 0..=members {
            let signers: Vec<u8> = (1..=signed).collect();
            let result = certificate(&signers).verify(&chain(), &validators(members));
            assert_eq!(result.is_ok(), signed >= enough, "{signed} of {members}");
        }
    }
}

#[test]
fn nobody_counts_twice_and_strangers_spoil_it() {
    let set = validators(4);
    let mut twice = certificate(&[1, 2, 2]);
    assert_eq!(twice.verify(&chain(), &set), Err(CertificateFault::Order));
    twice.signatures.swap(0, 1);
    assert_eq!(twice.verify(&chain(), &set), Err(CertificateFault::Order));
    let unknown = CertificateFault::UnknownSigner { signer: id(9) };
    assert_eq!(certificate(&[1, 2, 3, 9]).verify(&chain(), &set), Err(unknown));
}

#[test]
fn a_signature_is_bound_to_everything_that_was_voted_on() {
    let set = validators(4);
    let good = certificate(&[1, 2, 3, 4]);
    assert_eq!(good.verify(&chain(), &set), Ok(()));
    let bad = CertificateFault::Signature { signer: id(1) };
    let other_height = Certificate { height: Height::new(8), ..good.clone() };
    let other_round = Certificate { round: 3, ..good.clone() };
    let other_block = Certificate { block: BlockHash::from_bytes([0x45; 32]), ..good.clone() };
    for other in [other_height, other_round, other_block] {
        assert_eq!(other.verify(&chain(), &set), Err(bad.clone()));
    }
    assert_eq!(good.verify(&LedgerId::from_bytes([2; 32]), &set), Err(bad));
    let mut one_bad = good.clone();
    one_bad.signatures[3].1 = one_bad.signatures[2].1;
    assert_eq!(
        one_bad.verify(&chain(), &set),
        Err(CertificateFault::Signature { signer: id(4) }),
        "although 3 suffice"
    );
    // A prevote is no precommit.
    let mut prevoted = good.clone();
    let digest = vote_digest(&chain(), VoteKind::Prevote, good.height, good.round, Some(&good.block), &id(1));
    prevoted.signatures[0].1 = key(1).sign(&digest);
    assert_eq!(prevoted.verify(&chain(), &set), Err(CertificateFault::Signature { signer: id(1) }));
}

#[test]
fn a_certificate_has_golden_bytes() {
    let mut certificate = certificate(&[1]);
    certificate.signatures[0].1 = Signature::from_bytes([0x55; 64]);
    let expected =
        ["0700000000000000", "02000000", &"44".repeat(32), "01000000", &"01".repeat(32), &"55".repeat(64)].concat();
    let bytes = certificate.encode();
    assert_eq!(hex::encode(&bytes), expected);
    assert_eq!(Certificate::decode(&bytes), Ok(certificate.clone()));
    for length in 0..bytes.len() {
        assert_eq!(Certificate::decode(&bytes[..length]), Err(CertificateFault::Encoding));
    }
    assert_eq!(Certificate::decode(&[&bytes[..], &[0]].concat()), Err(CertificateFault::Encoding));
    assert_eq!(Certificate::decode(&vec![0; MAX_CERTIFICATE_BYTES + 1]), Err(CertificateFault::Encoding));
    certificate.signatures.push(certificate.signatures[0]);
    assert_eq!(Certificate::decode(&certificate.encode()), Err(CertificateFault::Order));
}

#[test]
fn a_vote_has_golden_bytes() {
    let block = BlockHash::from_bytes([0x44; 32]);
    let digest = |kind, block| hex::encode(vote_digest(&chain(), kind, Height::new(7), 2, block, &id(1)));
    assert_eq!(
        digest(VoteKind::Precommit, Some(&block)),
        "7f39de0bcfcf6804575947a903080818e91dd70ee9354dc63ff7b59a18651db4"
    );
    assert_eq!(digest(VoteKind::Prevote, None), "a9f919d43b51b1b1e732418716079bccb9f2b79f2d6130b395011c1bb84faaf4");
}
