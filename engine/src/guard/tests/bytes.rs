//! Golden bytes of everything stored or sent, and what is said of bytes that are something else.

use concrete_csprng::generators::SoftwareRandomGenerator;
use consilium_protocol::hash::content;
use proptest::prelude::*;

use super::super::sealed::{CHECK_WORDS, SEED_WORDS};
use super::*;
use crate::cells::{CiphertextError, EncryptionSeed};

fn fixed_sealed() -> SealedSeeds {
    SealedSeeds {
        contributions: 4,
        key: custodian().keys.public.fingerprint(),
        check: (0..CHECK_WORDS as u32).map(|word| word.wrapping_mul(0x9e37_79b9)).collect(),
        digits: (0..2 * SEED_WORDS).map(|word| (word as u16).wrapping_mul(40_503)).collect(),
    }
}

fn fixed_contribution() -> GuardContribution {
    let shape = GuardShape::new(3, Bar::at(11), vec![true, false], Gates::independent(2)).expect("a sound shape");
    let words = encrypt(custodian().keys.public.compact(), &[1, 2, 3, 4, 5], 9);
    GuardContribution::of_words(&shape, custodian().keys.public.fingerprint(), words)
}

#[test]
fn golden_bytes() {
    let keys = &custodian().keys;
    let golden = [
        (keys.public.to_bytes(), b"csl-gpub\x01\0\0\0\0\x08\0\0", "public"),
        (keys.server.clone(), b"csl-gsrv\x01\0\0\0\0\x08\0\0", "server"),
        (fixed_contribution().to_bytes(), b"csl-gcon\x01\0\x01\0\x05\0\0\0", "contribution"),
        (fixed_sealed().to_bytes(), b"csl-seal\x01\0\x04\0\x02\0\0\0", "sealed"),
    ];
    let hashes: Vec<String> = golden.iter().map(|(bytes, ..)| content(bytes).to_string()).collect();
    for ((bytes, start, name), hash) in golden.iter().zip(&hashes) {
        assert_eq!(bytes[..16], start[..], "{name}");
        eprintln!("{name}: {} bytes, {hash}", bytes.len());
    }
    let expected = [
        "31d32105149bb840fffff534ea5270bed757eac94bd9919e5cf7ba5869bc2815",
        "91163fa4badeae84332e43a8d0abae2ca0bef2ade7e96945c39d4c4495c561f3",
        "c2b0f4599e692364b2f5259c686f269ed2924e23b9d45b8661bdc6b0ba2b6d7b",
        "302b6b7c2e2e3a3e7647d8a5213ef29eb10a4076fbefaf62137aad64dec8f785",
    ];
    assert_eq!(hashes, expected);
}

#[test]
fn the_keys_of_a_seed_are_the_same_everywhere() {
    let keys = GuardKeys::from_seed(&KeySeed::from_bytes([7; 32]));
    // On this machine and any other: whoever is given the seed compares these.
    let (public, server) = keys.hashes();
    let expected = [
        "3ec82083b4f5f86f0edf1fb311f17c752b0742b621fe4bbb09e5c830e9f219b3",
        "9080ea9ba186f40810ce16c471bb2eb7042fc5cb3219f41416b9549e1120e6f9",
    ];
    assert_eq!([public, server].map(|hash| hash.to_string()), expected);
    let again = GuardKeys::from_seed(&KeySeed::from_bytes([7; 32]));
    assert!(again.server == keys.server && again.secret.bits() == keys.secret.bits());
    let alone = GuardSecretKey::from_seed(&KeySeed::from_bytes([7; 32]));
    assert!(alone.bits() == keys.secret.bits() && alone.fingerprint() == keys.public.fingerprint());
    let mut other = [7; 32];
    other[31] ^= 1;
    let other = GuardKeys::from_seed(&KeySeed::from_bytes(other));
    assert!(other.public != keys.public && other.secret.bits() != keys.secret.bits());
    // They fit each other.
    let key = GuardServerKey::from_bytes(&keys.server).expect("a server key");
    assert_eq!(key.fingerprint(), keys.public.fingerprint());
}

#[test]
fn software_and_hardware_make_the_same_server_key() {
    let seeds = ServerKeySeeds { small_key: 4, noise: [5, 6], masks: [7, 8] };
    let bits = custodian().keys.secret.bits();
    let (switching, bootstrapping) = server_key::generate_by::<SoftwareRandomGenerator>(bits, &seeds);
    let mut words = Vec::new();
    crate::cells::format::write_words(&switching, &mut words);
    crate::cells::format::write_words(&bootstrapping, &mut words);
    assert!(custodian().keys.server.ends_with(&words));
}

#[test]
fn everything_reads_back() {
    let keys = &custodian().keys;
    assert_eq!(GuardPublicKey::from_bytes(&keys.public.to_bytes()).as_ref(), Ok(&keys.public));
    assert_eq!(keys.server.len(), GuardServerKey::ENCODED_BYTES);
    assert_eq!(custodian().server.fingerprint(), keys.public.fingerprint());
    assert_eq!(GuardContribution::from_bytes(&fixed_contribution().to_bytes()), Ok(fixed_contribution()));
    assert_eq!(SealedSeeds::from_bytes(&fixed_sealed().to_bytes()), Ok(fixed_sealed()));
    assert_eq!(fixed_sealed().to_bytes().len(), SealedSeeds::encoded_bytes(2));
}

/// Every format by its name, as a function that reads it and says why not.
type Reader = fn(&[u8]) -> Result<(), CiphertextError>;

fn formats() -> [(&'static str, Vec<u8>, Reader); 4] {
    let keys = &custodian().keys;
    [
        ("a custodian's public key", keys.public.to_bytes(), |bytes| GuardPublicKey::from_bytes(bytes).map(drop)),
        ("a custodian's server key", keys.server.clone(), |bytes| GuardServerKey::from_bytes(bytes).map(drop)),
        ("a guard contribution", fixed_contribution().to_bytes(), |bytes| {
            GuardContribution::from_bytes(bytes).map(drop)
        }),
        ("sealed seeds", fixed_sealed().to_bytes(), |bytes| SealedSeeds::from_bytes(bytes).map(drop)),
    ]
}

#[test]
fn malformed_bytes_are_refused_by_what_is_wrong() {
    for (name, bytes, read) in formats() {
        let refused = |bytes: &[u8]| read(bytes).expect_err("malformed");
        let with = |at: usize, value: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = value;
            refused(&bytes)
        };
        let expected = bytes.len();
        assert_eq!(refused(&[]), CiphertextError::Length { expected: 48, found: 0 }, "{name}");
        assert_eq!(refused(&bytes[..47]), CiphertextError::Length { expected: 48, found: 47 }, "{name}");
        let found = expected - 1;
        assert_eq!(refused(&bytes[..found]), CiphertextError::Length { expected, found }, "{name}");
        let found = expected + 1;
        assert_eq!(refused(&[&bytes[..], &[0]].concat()), CiphertextError::Length { expected, found }, "{name}");
        assert_eq!(with(0, b'x'), CiphertextError::Magic { expected: name });
        assert_eq!(with(8, 2), CiphertextError::Version { found: 2 }, "{name}");
        assert_eq!(with(16, !bytes[16]), CiphertextError::Parameters, "{name}");
    }
    // A study's key is no custodian's key, though both have one layout.
    let (_, study_public) = fixed_pair();
    let expected = "a custodian's public key";
    assert_eq!(GuardPublicKey::from_bytes(&study_public.to_bytes()), Err(CiphertextError::Magic { expected }));

    let with = |bytes: Vec<u8>, at: usize, value: &[u8]| {
        let mut bytes = bytes;
        bytes[at..at + value.len()].copy_from_slice(value);
        bytes
    };
    for (contributions, found) in [([0, 0], 0), ([1, 4], 1025)] {
        let error = Some(CiphertextError::Contributions { found });
        let bytes = with(fixed_contribution().to_bytes(), 10, &contributions);
        assert_eq!(GuardContribution::from_bytes(&bytes).err(), error);
        assert_eq!(SealedSeeds::from_bytes(&with(fixed_sealed().to_bytes(), 10, &contributions)).err(), error);
    }
    for count in [0, 2, u32::MAX] {
        let bytes = with(fixed_contribution().to_bytes(), 12, &count.to_le_bytes());
        assert_eq!(GuardContribution::from_bytes(&bytes), Err(CiphertextError::Header), "{count}");
    }
    for count in [0, MAX_GROUPS as u32 + 1, u32::MAX] {
        let bytes = with(fixed_sealed().to_bytes(), 12, &count.to_le_bytes());
        assert_eq!(SealedSeeds::from_bytes(&bytes), Err(CiphertextError::Header), "{count}");
    }
}

#[test]
fn counts_that_were_made_of_a_seed_are_found_so_and_nothing_else_is() {
    let shape = GuardShape::new(3, Bar::at(11), vec![true; 2], Gates::independent(2)).expect("a sound shape");
    let other = GuardShape::new(3, Bar::at(11), vec![true; 3], Gates::independent(3)).expect("a sound shape");
    let (roster, public) = (roster(3), &custodian().keys.public);
    let seed = EncryptionSeed::from_bytes([5; 32]);
    let own = blinds(&roster, 0, 0, &shape);
    let made = contribute_at_most(&[1, 2], &[11, 11], &shape, own, public, &seed).expect("a contribution");
    assert!(made.is_made_of(&shape, public, &seed));
    assert!(!made.is_made_of(&other, public, &seed), "of another study");
    assert!(!made.is_made_of(&shape, public, &EncryptionSeed::from_bytes([6; 32])), "of another seed");
    let another = GuardKeys::generate().expect("randomness").public;
    assert!(!made.is_made_of(&shape, &another, &seed), "under another key");
    let mut bytes = made.to_bytes();
    bytes[10] = 2;
    let two = GuardContribution::from_bytes(&bytes).expect("still a contribution");
    assert!(!two.is_made_of(&shape, public, &seed), "it counts for two");
    (bytes[10], bytes[100]) = (1, !bytes[100]);
    let masked = GuardContribution::from_bytes(&bytes).expect("still a contribution");
    assert!(!masked.is_made_of(&shape, public, &seed), "another mask");
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let shape = GuardShape::new(3, Bar::at(11), vec![true; 2], Gates::independent(2)).expect("a sound shape");
    let other = GuardShape::new(3, Bar::at(11), vec![true; 3], Gates::independent(3)).expect("a sound shape");
    let (roster, public) = (roster(3), &custodian().keys.public);
    let ours = |counts: &[u64], shape: &GuardShape| contribute(counts, shape, blinds(&roster, 0, 0, shape), public);
    let refused = contribute(&[1, 2], &shape, blinds(&roster, 0, 0, &other), public).err();
    assert_eq!(refused, Some(GuardError::Blinds { expected: 6, found: 8 }));
    assert_eq!(ours(&[1], &shape).err(), Some(GuardError::Counts { expected: 2, found: 1 }));

    let one = ours(&[1, 2], &shape).expect("a contribution");
    let wide = ours(&[1, 2, 3], &other).expect("a contribution");
    let refused = combine(&[one.clone(), one.clone(), wide.clone()], &shape).err();
    assert_eq!(refused, Some(GuardError::OtherShape { expected: 4, found: 6 }));
    assert_eq!(combine(&[wide.clone(), wide.clone(), wide], &shape).err(), refused);
    let (_, strange) = crate::cells::StudySecretKey::generate().expect("randomness");
    let mut foreign = one.to_bytes();
    foreign[32..48].copy_from_slice(strange.fingerprint().as_bytes());
    let foreign = GuardContribution::from_bytes(&foreign).expect("still a contribution");
    assert_eq!(combine(&[one.clone(), one.clone(), foreign.clone()], &shape).err(), Some(GuardError::OtherKey));
    let sum = combine(&[foreign.clone(), foreign.clone(), foreign], &shape).expect("a sum");
    assert_eq!(aggregator(&shape).seal(&sum).err(), Some(GuardError::OtherKey));
    let mut two = one.to_bytes();
    two[10] = 2;
    let two = GuardContribution::from_bytes(&two).expect("still a contribution");
    let refused = GuardError::Contributions { expected: 3, found: 4 };
    assert_eq!(combine(&[one.clone(), one.clone(), two], &shape).err(), Some(refused));
    let refused = GuardError::Contributions { expected: 3, found: 1 };
    assert_eq!(aggregator(&shape).seal(&one).err(), Some(refused));
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(tail in prop::collection::vec(any::<u8>(), 0..200), kept in 0usize..60) {
        for (_, bytes, read) in formats() {
            let start = &bytes[..kept.min(bytes.len())];
            prop_assert!(read(&[start, &tail].concat()).is_err());
        }
    }
}
