//! How fast a guarded round is, and with `--features bench-fheuint64` beside the same decision by tfhe-rs's integers.
//!
//! `guard/round/…` is what the aggregator does about eight groups, all cores at work: deciding and sealing. The
//! alternative is given one group: expanding the hospitals' ciphertexts, adding them, comparing the sum and selecting a
//! number of 32 bits. Multiply it by eight to compare, and by six for a seed as long.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::num::NonZeroUsize;
use std::time::Duration;

use consilium_engine::cells::{
    self, BlindingRoster, BlindingRound, Blinds, EncryptedCells, PairSecrets, StudySecretKey,
};
use consilium_engine::guard::{
    Aggregator, Bar, Gates, GuardBlinds, GuardContribution, GuardKeys, GuardServerKey, GuardShape, PadRound, Padded,
    combine, contribute, pad, reveal,
};
use consilium_protocol::ids::{HospitalId, LedgerId, RoundNumber, StudyId};
use consilium_protocol::pairing::PairSecret;
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};

const GROUPS: usize = 8;
const THRESHOLD: u64 = 11;

struct Guard {
    keys: GuardKeys,
    server: GuardServerKey,
}

impl Guard {
    fn new() -> Self {
        let keys = GuardKeys::generate().expect("randomness");
        let server = GuardServerKey::from_bytes(&keys.server).expect("own bytes");
        Self { keys, server }
    }

    fn aggregator<'a>(&'a self, shape: &'a GuardShape) -> Aggregator<'a> {
        Aggregator::new(shape, &self.server, &self.keys.public).expect("keys of one custodian")
    }

    /// A roster's contributions; for a large one the first as often as it has hospitals, which is decided about in the
    /// same time and takes no stream for every pair.
    fn contributions(&self, shape: &GuardShape) -> Vec<GuardContribution> {
        let counts: Vec<u64> = (0..shape.groups() as u64).collect();
        let consortium = Consortium::new(shape.hospitals());
        let one = |own: usize| {
            let blinds = GuardBlinds::derive(&consortium.round(), hospital(own), &consortium.secrets, shape);
            let blinds = blinds.expect("sound blinds");
            contribute(&counts, shape, blinds, &self.keys.public).expect("a contribution")
        };
        if shape.hospitals() > 100 {
            vec![one(0); shape.hospitals()]
        } else {
            (0..shape.hospitals()).map(one).collect()
        }
    }

    fn sum(&self, shape: &GuardShape) -> GuardContribution {
        combine(&self.contributions(shape), shape).expect("a sum")
    }
}

struct Consortium {
    ledger: LedgerId,
    secrets: PairSecrets,
    roster: BlindingRoster,
}

impl Consortium {
    fn new(hospitals: usize) -> Self {
        let roster = BlindingRoster::new((0..hospitals).map(hospital).collect()).expect("a sound roster");
        let secrets = (0..hospitals).map(|n| (hospital(n), PairSecret::from_bytes([9; 32]))).collect();
        Self { ledger: LedgerId::from_bytes([8; 32]), secrets, roster }
    }

    fn round(&self) -> BlindingRound<'_> {
        let study = StudyId::from_bytes([1; 32]);
        BlindingRound { ledger: &self.ledger, study, round: RoundNumber::new(0), roster: &self.roster }
    }
}

fn hospital(n: usize) -> HospitalId {
    let mut id = [0; 32];
    id[..2].copy_from_slice(&(n as u16).to_be_bytes());
    HospitalId::from_public_key(id)
}

fn shape(hospitals: usize, groups: usize, zeros_shown: bool) -> GuardShape {
    GuardShape::new(hospitals, Bar::at(THRESHOLD), vec![zeros_shown; groups], Gates::independent(groups))
        .expect("a sound shape")
}

fn cores(threads: usize) -> NonZeroUsize {
    NonZeroUsize::new(threads).expect("at least one")
}

fn rounds(c: &mut Criterion) {
    let guard = Guard::new();
    let mut group = c.benchmark_group("guard/round");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    for (hospitals, zeros_shown) in [(4, false), (4, true), (20, false), (20, true), (100, true), (1000, true)] {
        let shape = shape(hospitals, GROUPS, zeros_shown);
        let (sum, aggregator) = (guard.sum(&shape), guard.aggregator(&shape));
        let zeros = if zeros_shown { "zeros-shown" } else { "zeros-suppressed" };
        let id = BenchmarkId::new(zeros, format!("{hospitals}x{GROUPS}"));
        group.bench_function(id, |b| b.iter(|| aggregator.seal(&sum).expect("a sealed round")));
    }
    for groups in [2, 4, 16] {
        let shape = shape(4, groups, true);
        let (sum, aggregator) = (guard.sum(&shape), guard.aggregator(&shape));
        group.bench_function(BenchmarkId::new("groups", groups), |b| b.iter(|| aggregator.seal(&sum)));
    }
    for threads in [1, 2] {
        let shape = shape(4, GROUPS, true);
        let (sum, aggregator) = (guard.sum(&shape), guard.aggregator(&shape).with_threads(cores(threads)));
        group.bench_function(BenchmarkId::new("threads", threads), |b| b.iter(|| aggregator.seal(&sum)));
    }
    group.finish();
}

fn parties(c: &mut Criterion) {
    let guard = Guard::new();
    let shape = shape(20, 64, true);
    let consortium = Consortium::new(20);
    let counts = vec![5; 64];
    c.bench_function("guard/contribute/20x64", |b| {
        b.iter(|| {
            let blinds = GuardBlinds::derive(&consortium.round(), hospital(0), &consortium.secrets, &shape);
            contribute(&counts, &shape, blinds.expect("sound blinds"), &guard.keys.public).expect("a contribution")
        });
    });
    let contributions = guard.contributions(&shape);
    c.bench_function("guard/combine/20x64", |b| b.iter(|| combine(&contributions, &shape).expect("a sum")));
    let small = self::shape(4, GROUPS, true);
    let sealed = guard.aggregator(&small).seal(&guard.sum(&small)).expect("a sealed round").sealed;
    c.bench_function("guard/reveal/8", |b| {
        b.iter(|| reveal(&sealed, &guard.keys.secret, &small).expect("honest seeds"));
    });
    let mut group = c.benchmark_group("guard/keys");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    group.bench_function("generate", |b| b.iter(GuardKeys::generate));
    group.bench_function("read-server-key", |b| b.iter(|| GuardServerKey::from_bytes(&guard.keys.server)));
    group.finish();
}

fn pads(c: &mut Criterion) {
    let guard = Guard::new();
    let shape = shape(4, GROUPS, true);
    let seeds = guard.aggregator(&shape).seal(&guard.sum(&shape)).expect("a sealed round").seeds;
    let round = PadRound { study: StudyId::from_bytes([1; 32]), round: RoundNumber::new(0) };
    for cells in [2, 4, 64, 512] {
        let joint = joint(GROUPS * cells + 1);
        let group = |seed: usize| Padded { cells: seed * cells..(seed + 1) * cells, seed };
        let groups: Vec<Padded> = (0..GROUPS).map(group).collect();
        c.bench_function(&format!("guard/pad/{GROUPS}x{cells}"), |b| {
            b.iter_batched_ref(
                || joint.clone(),
                |joint| pad(joint, &groups, &seeds, &round).expect("sound groups"),
                BatchSize::SmallInput,
            );
        });
    }
}

fn joint(cells: usize) -> EncryptedCells {
    let (_, key) = StudySecretKey::generate().expect("randomness");
    let consortium = Consortium::new(3);
    let blinds = Blinds::derive(&consortium.round(), hospital(0), &consortium.secrets, cells).expect("sound blinds");
    cells::contribute(&vec![1; cells], blinds, &key).expect("a contribution")
}

#[cfg(feature = "bench-fheuint64")]
fn integers(c: &mut Criterion) {
    use tfhe::prelude::*;
    use tfhe::shortint::parameters::{
        PARAM_KEYSWITCH_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128, PARAM_PKE_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128,
    };
    use tfhe::{
        ClientKey, CompactCiphertextList, CompactPublicKey, ConfigBuilder, FheUint32, generate_keys, set_server_key,
    };

    let config = ConfigBuilder::default()
        .use_dedicated_compact_public_key_parameters((
            PARAM_PKE_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128,
            PARAM_KEYSWITCH_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128,
        ))
        .build();
    let (client_key, server_key): (ClientKey, _) = generate_keys(config);
    let public_key = CompactPublicKey::new(&client_key);
    set_server_key(server_key);
    let list = |count: u32| {
        let mut list = CompactCiphertextList::builder(&public_key);
        list.push(count);
        list.build()
    };
    let seed = FheUint32::encrypt_trivial(0x1234_5678u32);
    let zero = FheUint32::encrypt_trivial(0u32);

    let mut group = c.benchmark_group("fheuint32/round");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    for hospitals in [4, 20] {
        let lists: Vec<CompactCiphertextList> = (0..hospitals).map(list).collect();
        let decide = || {
            let expand = |list: &CompactCiphertextList| -> FheUint32 {
                let expanded = list.expand().expect("the server key can expand");
                expanded.get(0).expect("an integer of 32 bits").expect("at that position")
            };
            let sum: FheUint32 = lists.iter().map(expand).sum();
            sum.ge(THRESHOLD as u32).select(&seed, &zero)
        };
        let opened: u32 = decide().decrypt(&client_key);
        assert_eq!(opened == 0, (0..hospitals).sum::<u32>() < THRESHOLD as u32);
        group.bench_function(format!("{hospitals}x1"), |b| b.iter(decide));
    }
    group.finish();
}

#[cfg(not(feature = "bench-fheuint64"))]
fn integers(_: &mut Criterion) {}

criterion_group!(benches, rounds, integers, parties, pads);
criterion_main!(benches);
