use super::*;

fn chain() -> LedgerId {
    LedgerId::from_bytes([1; 32])
}

fn member() -> HospitalId {
    HospitalId::from_public_key([5; 32])
}

fn key() -> SigningKey {
    SigningKey::from_seed(&[9; 32])
}

fn at(height: u64, round: u32, step: Step) -> Position {
    Position { height: Height::new(height), round, step }
}

fn open(path: &Path) -> Result<Signer, SignerError> {
    Signer::open(path, &chain(), member(), key(), Height::new(0))
}

#[test]
fn positions_grow_by_height_round_and_step() {
    let rising = [
        at(1, 0, Step::Propose),
        at(1, 0, Step::Prevote),
        at(1, 0, Step::Precommit),
        at(1, 1, Step::Propose),
        at(2, 0, Step::Propose),
    ];
    assert!(rising.is_sorted_by(|a, b| a < b));
}

#[test]
fn two_digests_at_one_position_are_never_both_signed() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("signer");
    let mut signer = open(&path).expect("a new file");
    let first = signer.sign(at(7, 1, Step::Prevote), [1; 32]).expect("a higher position");
    assert!(first.verifies(&key().public_key(), &[1; 32]));
    assert_eq!(signer.sign(at(7, 1, Step::Prevote), [1; 32]).expect("the same again"), first);
    let conflict = signer.sign(at(7, 1, Step::Prevote), [2; 32]);
    assert!(matches!(conflict, Err(NotSigned::Refused(SigningRefusal::Conflict { .. }))));
    for lower in [at(7, 1, Step::Propose), at(7, 0, Step::Precommit), at(6, 9, Step::Precommit)] {
        let refused = signer.sign(lower, [1; 32]);
        assert!(matches!(refused, Err(NotSigned::Refused(SigningRefusal::Lower { .. }))), "{lower}");
    }

    // A restart remembers all of it.
    let mut signer = open(&path).expect("the same file");
    assert_eq!(signer.sign(at(7, 1, Step::Prevote), [1; 32]).expect("the same again"), first);
    let conflict = signer.sign(at(7, 1, Step::Prevote), [2; 32]);
    assert!(matches!(conflict, Err(NotSigned::Refused(SigningRefusal::Conflict { .. }))));
    signer.sign(at(7, 1, Step::Precommit), [2; 32]).expect("a higher position");
}

#[test]
fn a_damaged_file_is_never_replaced() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("signer");
    open(&path).expect("a new file").sign(at(3, 0, Step::Prevote), [1; 32]).expect("a higher position");
    let good = fs::read(&path).expect("readable");
    for index in 0..good.len() {
        let mut bad = good.clone();
        bad[index] ^= 1;
        fs::write(&path, &bad).expect("writable");
        assert!(matches!(open(&path), Err(SignerError::Corrupt { .. })), "byte {index}");
        assert_eq!(fs::read(&path).expect("readable"), bad);
    }
    for length in [0, 1, good.len() - 1] {
        fs::write(&path, &good[..length]).expect("writable");
        assert!(matches!(open(&path), Err(SignerError::Corrupt { .. })), "{length} bytes");
    }
    fs::write(&path, vec![0; 5000]).expect("writable");
    assert!(matches!(open(&path), Err(SignerError::Corrupt { .. })));
    fs::write(&path, &good).expect("writable");
    assert_eq!(open(&path).expect("whole again").last(), at(3, 0, Step::Prevote));
}

#[test]
fn a_file_of_another_key_member_or_ledger_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("signer");
    open(&path).expect("a new file");
    let south = LedgerId::from_bytes([2; 32]);
    let stranger = HospitalId::from_public_key([6; 32]);
    let zero = Height::new(0);
    let what = |result: Result<Signer, SignerError>| match result {
        Err(SignerError::Foreign { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(what(Signer::open(&path, &south, member(), key(), zero)), "ledger");
    assert_eq!(what(Signer::open(&path, &chain(), stranger, key(), zero)), "member");
    assert_eq!(what(Signer::open(&path, &chain(), member(), SigningKey::from_seed(&[8; 32]), zero)), "key");
}

#[test]
fn a_lost_file_must_be_renewed_above_what_may_have_been_signed() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("signer");
    let missing = Signer::open(&path, &chain(), member(), key(), Height::new(12));
    assert!(matches!(missing, Err(SignerError::Missing { .. })));
    let mut signer = Signer::renew(&path, &chain(), member(), key(), Height::new(20)).expect("writable");
    assert!(signer.sign(at(20, 5, Step::Precommit), [1; 32]).is_err());
    signer.sign(at(21, 0, Step::Propose), [1; 32]).expect("above");
}

#[test]
fn what_could_not_be_recorded_is_not_signed() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("inner").join("signer");
    fs::create_dir(path.parent().expect("a parent")).expect("writable");
    let mut signer = open(&path).expect("a new file");
    fs::remove_dir_all(path.parent().expect("a parent")).expect("writable");
    for digest in [[1; 32], [1; 32], [2; 32]] {
        assert!(signer.sign(at(1, 0, Step::Prevote), digest).is_err());
    }
    fs::create_dir(path.parent().expect("a parent")).expect("writable");
    assert!(signer.sign(at(2, 0, Step::Prevote), [1; 32]).is_err(), "stays failed until restarted");
}

#[test]
fn the_file_has_golden_bytes() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("signer");
    open(&path).expect("a new file").sign(at(258, 3, Step::Precommit), [0xab; 32]).expect("a higher position");
    let bytes = fs::read(&path).expect("readable");
    let expected = [
        "13000000",
        &hex::encode("consilium-signer/v1"),
        &"01".repeat(32),
        &"05".repeat(32),
        &hex::encode(key().public_key()),
        "0201000000000000",
        "03000000",
        "02",
        &"ab".repeat(32),
        &hex::encode(key().sign(&[0xab; 32]).as_bytes()),
    ]
    .concat();
    assert_eq!(hex::encode(&bytes[..bytes.len() - 32]), expected);
}
