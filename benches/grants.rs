//! How many consents a second four real validators commit on this machine: each a transaction of its own, signed by the
//! patient's own key, handed in at one node, waited for until it stands in a block.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use consilium::demo::consortium::{Consortium, Plan};
use consilium_protocol::consent::{Action, Effect, Purpose, Rule, Scope, Terms};
use consilium_protocol::genesis::Deadlines;
use consilium_protocol::ids::{Height, Sequence};
use consilium_protocol::policy::DisclosurePolicy;
use consilium_protocol::tx::{GivenTerms, Grant, Payload, SignedTx, Signer, TxBody};
use consilium_protocol::wallet::Wallet;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures::stream::{self, StreamExt as _};

const PATIENTS: usize = 4_000;
/// Hand-ins under way at once, as from many patients.
const AT_ONCE: usize = 256;

struct World {
    consortium: Consortium,
    patients: Vec<(Wallet, consilium_protocol::ids::SubjectId)>,
    next: u64,
    _folder: tempfile::TempDir,
}

fn terms() -> Terms {
    let rule = Rule::new(Effect::Permit, Action::Aggregate, Scope::Only(vec![Purpose::HealthResearch]));
    Terms::opt_in(vec![rule])
}

async fn world() -> World {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let plan = Plan {
        folder: folder.path().to_path_buf(),
        program: PathBuf::from(env!("CARGO_BIN_EXE_consilium")),
        hospitals: ["North", "South", "West", "East"].map(String::from).to_vec(),
        chain_id: "bench".to_string(),
        policy: DisclosurePolicy::default(),
        deadlines: Deadlines::default(),
        heartbeat_ms: 1_000,
        tables: Vec::new(),
    };
    let mut consortium = Consortium::found(plan).unwrap_or_else(|f| panic!("{}", f.message()));
    for hospital in &consortium.hospitals {
        consilium::demo::synthetic::write_store(
            &consilium::demo::synthetic::Synthetic { hospital: 0, patients: 10, seed: 1 },
            &hospital.store,
        )
        .expect("a store");
    }
    consortium.start_all().unwrap_or_else(|f| panic!("{}", f.message()));
    consortium.wait_all_ready(Duration::from_secs(30)).await.unwrap_or_else(|f| panic!("{}", f.message()));
    let wallets: Vec<Wallet> = (0..PATIENTS).map(|_| Wallet::generate().expect("randomness")).collect();
    let persons: Vec<(i64, Option<&Wallet>)> = wallets.iter().enumerate().map(|(i, w)| (i as i64, Some(w))).collect();
    consortium.enrol(0, &persons).await.unwrap_or_else(|f| panic!("{}", f.message()));
    let link = consortium.link(0).unwrap_or_else(|f| panic!("{}", f.message()));
    let subjects: Vec<_> = (0..PATIENTS).map(|i| link.subject(i as i64)).collect();
    World { consortium, patients: wallets.into_iter().zip(subjects).collect(), next: 0, _folder: folder }
}

impl World {
    /// Signs `count` grants of different patients.
    fn sign(&mut self, count: u64) -> Vec<SignedTx> {
        let hospital = self.consortium.hospitals[0].member.id;
        (0..count)
            .map(|_| {
                let (wallet, subject) = &self.patients[self.next as usize % PATIENTS];
                let sequence = Sequence::new(1 + self.next / PATIENTS as u64);
                self.next += 1;
                let key = wallet.key_at(&hospital);
                let grant = Grant::electronic(GivenTerms::Whole(terms()), true, *subject);
                let body = TxBody { sequence, expires: Height::new(90_000), payload: Payload::Grant(grant) };
                SignedTx::sign(&self.consortium.genesis.ledger(), &body, Signer::Patient(key.patient()), &key)
            })
            .collect()
    }

    async fn commit(&self, txs: Vec<SignedTx>) {
        let node = Arc::new(self.consortium.node(0).await.expect("a node"));
        stream::iter(txs)
            .map(|tx| {
                let node = node.clone();
                async move { node.hand_in(&tx, Duration::from_secs(60)).await.expect("a block") }
            })
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<_>>()
            .await;
    }
}

fn grants(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut world = runtime.block_on(world());
    let mut group = criterion.benchmark_group("ledger/grants");
    group.sample_size(10).throughput(Throughput::Elements(1_000)).measurement_time(Duration::from_secs(10));
    group.bench_function("four_validators/1000", |bencher| {
        bencher.iter_custom(|iterations| {
            (0..iterations)
                .map(|_| {
                    let txs = world.sign(1_000);
                    let started = Instant::now();
                    runtime.block_on(world.commit(txs));
                    started.elapsed()
                })
                .sum()
        });
    });
    group.finish();
    runtime.block_on(world.consortium.stop_all());
}

criterion_group!(benches, grants);
criterion_main!(benches);
