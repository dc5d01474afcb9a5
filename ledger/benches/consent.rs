//! How long consent takes to read, and blocks to apply. See [`consilium_ledger::state::reading`].

#[allow(dead_code, unreachable_pub)]
#[path = "../src/testing.rs"]
mod testing;

use std::hint::black_box;
use std::time::{Duration, Instant};

use consilium_ledger::apply::apply_with;
use consilium_ledger::block::Block;
use consilium_ledger::certificate::Certificate;
use consilium_ledger::signatures::{Checking, Remembering, Signatures};
use consilium_ledger::state::State;
use consilium_ledger::store::Chain;
use consilium_protocol::consent::{Domain, Purpose, Scope};
use consilium_protocol::ids::{RoundNumber, Timestamp};
use consilium_protocol::tx::{SignedTx, signing_message};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use testing::{Ledger, Who, paper, permit};

/// How many subjects a hospital has: a million, or as many as `CONSILIUM_BENCH_SUBJECTS` says.
fn subjects() -> u32 {
    std::env::var("CONSILIUM_BENCH_SUBJECTS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000)
}

/// What the process holds in memory, in MiB, where the system tells.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or_default() / 1_024
}

/// A round over all subjects of one hospital: nine in ten have a document, of twenty kinds.
#[allow(clippy::print_stderr, reason = "memory belongs to the figures")]
fn evaluate(criterion: &mut Criterion) {
    let subjects = subjects();
    let mut ledger = Ledger::new(3);
    for start in (0..subjects).step_by(10_000) {
        ledger.enrol(0, start..start + 10_000);
        ledger.blocks.clear();
    }
    for kind in 0..20u32 {
        let mut terms = permit(if kind % 2 == 0 { Purpose::GeneralResearch } else { Purpose::HealthResearch });
        terms.rules[0].data = Scope::Only(Domain::ALL[..=(kind as usize % 10)].to_vec());
        let names: Vec<u32> = (0..subjects).filter(|n| n % 10 != 9 && (n / 7) % 20 == kind).collect();
        for names in names.chunks(4_500) {
            assert_eq!(ledger.one(Who::Hospital(0), paper(terms.clone(), false, names.iter().copied())), Ok(()));
            ledger.blocks.clear();
        }
    }
    eprintln!("{subjects} subjects: {} MiB resident", resident());
    let study = ledger.opened(&[0, 1, 2]);
    let hospital = ledger.consortium.hospital(0);
    let read = || ledger.state.permissions(&study, RoundNumber::new(0), &hospital).map(|p| p.subjects.len());
    assert_eq!(read(), Ok(subjects as usize / 10 * 9));
    criterion.bench_function(&format!("consent/evaluate/{subjects}"), |bencher| bencher.iter(|| black_box(read())));
}

/// A block of a thousand transactions that grant, each for one subject.
fn grants() -> (Ledger, Vec<SignedTx>) {
    let mut ledger = Ledger::new(4);
    ledger.enrol(0, 0..1_000);
    let terms = permit(Purpose::GeneralResearch);
    let txs = (0..1_000).map(|n| ledger.sign(Who::Hospital(0), paper(terms.clone(), true, [n]))).collect();
    (ledger, txs)
}

fn applied(criterion: &mut Criterion) {
    let (ledger, txs) = grants();
    let block = ledger.consortium.block(&ledger.state, Timestamp::new(ledger.now + 1), txs.clone());
    let remembering = Remembering::default();
    for tx in &txs {
        let message = signing_message(ledger.state.ledger_id(), &tx.body);
        assert!(remembering.verifies(tx.signer.public_key(), &message, &tx.signature));
    }
    let known: [(&str, &dyn Signatures); 2] = [("checked", &Checking), ("remembered", &remembering)];
    for (name, signatures) in known {
        criterion.bench_function(&format!("apply/grants/1000/{name}"), |bencher| {
            let fresh = || ledger.state.clone();
            let run = |mut state: State| apply_with(&mut state, &block, signatures).outcomes.len();
            bencher.iter_batched(fresh, run, BatchSize::LargeInput);
        });
    }
}

/// As a node does it: checked, applied and on disk, in blocks of a thousand.
fn committed(criterion: &mut Criterion) {
    let (mut ledger, _) = grants();
    let terms = permit(Purpose::GeneralResearch);
    let directory = tempfile::tempdir().expect("a directory");
    let chain = Chain::open(&directory.path().join("ledger.redb"), &ledger.consortium.genesis).expect("a ledger");
    let certified = |ledger: &Ledger| -> (Block, Certificate) {
        let block = ledger.blocks.last().expect("a block").clone();
        let certificate = ledger.consortium.certificate(&block);
        (block, certificate)
    };
    let (block, certificate) = certified(&ledger);
    chain.append(&block, &certificate).expect("the enrolment");
    criterion.bench_function("commit/grants/1000", |bencher| {
        bencher.iter_custom(|rounds| {
            let mut spent = Duration::ZERO;
            for _ in 0..rounds {
                let txs = (0..1_000).map(|n| ledger.sign(Who::Hospital(0), paper(terms.clone(), true, [n]))).collect();
                ledger.commit(txs);
                let (block, certificate) = certified(&ledger);
                let start = Instant::now();
                chain.append(&block, &certificate).expect("the next block");
                spent += start.elapsed();
            }
            spent
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = evaluate, applied, committed
}
criterion_main!(benches);
