//! How fast cells are blinded, encrypted, added and opened, each beside what it should be held against.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;

use consilium_engine::cells::{
    BlindingRoster, BlindingRound, Blinds, EncryptedCells, PairSecrets, StudyPublicKey, StudySecretKey, combine,
    contribute, open,
};
use consilium_protocol::ids::{HospitalId, LedgerId, RoundNumber, StudyId};
use consilium_protocol::pairing::PairSecret;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tfhe::core_crypto::prelude::*;
use tfhe::shortint::parameters::PARAM_PKE_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128;

const CELLS: usize = 4096;
const HOSPITALS: u8 = 16;

struct Consortium {
    ledger: LedgerId,
    secrets: PairSecrets,
    roster: BlindingRoster,
}

impl Consortium {
    fn new() -> Self {
        let members: Vec<_> = (0..HOSPITALS).map(|n| HospitalId::from_public_key([n; 32])).collect();
        let secrets = members.iter().map(|id| (*id, PairSecret::from_bytes([9; 32]))).collect();
        let roster = BlindingRoster::new(members).expect("a sound roster");
        Self { ledger: LedgerId::from_bytes([8; 32]), secrets, roster }
    }

    fn blinds(&self, own: u8, cells: usize) -> Blinds {
        let study = StudyId::from_bytes([1; 32]);
        let round = BlindingRound { ledger: &self.ledger, study, round: RoundNumber::new(0), roster: &self.roster };
        Blinds::derive(&round, HospitalId::from_public_key([own; 32]), &self.secrets, cells).expect("sound blinds")
    }

    fn contributions(&self, key: &StudyPublicKey) -> Vec<EncryptedCells> {
        let values: Vec<i64> = (0..CELLS as i64).collect();
        let one = |own| contribute(&values, self.blinds(own, CELLS), key).expect("a contribution");
        (0..HOSPITALS).map(one).collect()
    }
}

fn blind(c: &mut Criterion) {
    let consortium = Consortium::new();
    c.bench_function("cells/blind/16x4096", |b| b.iter(|| consortium.blinds(0, CELLS)));
    c.bench_function("cells/blind/16x1", |b| b.iter(|| consortium.blinds(0, 1)));
}

fn encrypt(c: &mut Criterion) {
    let consortium = Consortium::new();
    let (_, key) = StudySecretKey::generate().expect("randomness");
    let values: Vec<i64> = (0..CELLS as i64).collect();
    c.bench_function("cells/encrypt/4096", |b| {
        b.iter_batched(
            || consortium.blinds(0, CELLS),
            |blinds| contribute(&values, blinds, &key).expect("a contribution"),
            BatchSize::SmallInput,
        );
    });

    let set = PARAM_PKE_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128;
    let (dimension, noise, modulus) =
        (set.encryption_lwe_dimension, set.encryption_noise_distribution, set.ciphertext_modulus);
    let mut seeder = new_seeder();
    let mut secrets = SecretRandomGenerator::<DefaultRandomGenerator>::new(seeder.seed());
    let mut errors = EncryptionRandomGenerator::<DefaultRandomGenerator>::new(seeder.seed(), seeder.as_mut());
    let secret: LweSecretKeyOwned<u64> = allocate_and_generate_new_binary_lwe_secret_key(dimension, &mut secrets);
    let public = allocate_and_generate_new_lwe_compact_public_key(&secret, noise, modulus, &mut errors);
    let slots = PlaintextList::new(1 << 38, PlaintextCount((CELLS + 1) * 4));
    let mut list =
        LweCompactCiphertextList::new(0, dimension.to_lwe_size(), LweCiphertextCount((CELLS + 1) * 4), modulus);
    c.bench_function("tfhe/encrypt-compact-list/4096", |b| {
        b.iter(|| {
            encrypt_lwe_compact_ciphertext_list_with_compact_public_key(
                &public,
                &mut list,
                &slots,
                noise,
                noise,
                errors.noise_generator_mut(),
            );
        });
    });
}

fn add(c: &mut Criterion) {
    let (_, key) = StudySecretKey::generate().expect("randomness");
    let contributions = Consortium::new().contributions(&key);
    let words = EncryptedCells::encoded_bytes(CELLS).expect("a number of cells") / 8;
    let plain = vec![vec![1u64; words]; HOSPITALS.into()];

    let mut group = c.benchmark_group("cells/add");
    group.throughput(Throughput::Bytes((words * 8 * usize::from(HOSPITALS - 1)) as u64));
    group.bench_function("16x4096", |b| {
        b.iter_batched_ref(
            || contributions[0].clone(),
            |sum| contributions[1..].iter().try_for_each(|one| sum.add(one)),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("16x4096-with-copy", |b| b.iter(|| combine(&contributions)));
    group.finish();

    let mut group = c.benchmark_group("memory");
    group.throughput(Throughput::Bytes((words * 8 * usize::from(HOSPITALS - 1)) as u64));
    group.bench_function("add/16x4096", |b| {
        b.iter_batched_ref(
            || plain[0].clone(),
            |sum| {
                for one in &plain[1..] {
                    sum.iter_mut().zip(one).for_each(|(sum, word)| *sum = sum.wrapping_add(*word));
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("copy/16x4096", |b| {
        b.iter_batched_ref(
            || plain[0].clone(),
            |target| plain[1..].iter().for_each(|one| black_box(&mut *target).copy_from_slice(one)),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn open_sum(c: &mut Criterion) {
    let (secret, key) = StudySecretKey::generate().expect("randomness");
    let sum = combine(&Consortium::new().contributions(&key)).expect("a sum");
    c.bench_function("cells/open/4096", |b| b.iter(|| open(&sum, &secret, HOSPITALS.into()).expect("a sound sum")));
}

fn bytes(c: &mut Criterion) {
    let (secret, key) = StudySecretKey::generate().expect("randomness");
    let one = &Consortium::new().contributions(&key)[0];
    let encoded = one.to_bytes();
    c.bench_function("cells/write/4096", |b| b.iter(|| one.to_bytes()));
    c.bench_function("cells/read/4096", |b| b.iter(|| EncryptedCells::from_bytes(&encoded).expect("own bytes")));
    c.bench_function("keys/generate/2048", |b| b.iter(StudySecretKey::generate));
    let (public, secret) = (key.to_bytes(), secret.to_bytes());
    c.bench_function("keys/read-public/2048", |b| b.iter(|| StudyPublicKey::from_bytes(&public)));
    c.bench_function("keys/read-secret/2048", |b| b.iter(|| StudySecretKey::from_bytes(&secret).is_ok()));
}

criterion_group!(benches, blind, encrypt, add, open_sum, bytes);
criterion_main!(benches);
