//! What isolation costs: the same studies over 1,000,000 people and 10,000,000 conditions in Parquet, all of whom consent, in
//! this process (`beside`: query and statistics) and over a worker that is kept from study to study (`worker`: the same, and
//! the pipe). `nobody` is a query that costs next to nothing, so that the pipe is what is left. `start` is what a
//! study costs beside when the worker has to be started for it.

#[path = "../engine/benches/support/mod.rs"]
mod support;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use consilium::worker::{Bounds, Job, Program, Settings, Worker};
use consilium_engine::cohort::{Limits, run};
use consilium_engine::disclosure::guarded;
use consilium_engine::pseudonym::LinkSecret;
use consilium_engine::statistics::{Layout, compute};
use consilium_engine::store::{Store, StoreConfig};
use consilium_protocol::consent::{Permissions, Roll, Window};
use consilium_protocol::ids::Height;
use consilium_protocol::study::StudySpec;
use criterion::{Criterion, criterion_group, criterion_main};
use parquet::arrow::ArrowWriter;
use support::{PEOPLE, allowed, folder};

const THREADS: usize = 2;

const QUERIES: [(&str, &str); 3] = [
    ("nobody", "SELECT person_id AS subject, 2026 - year_of_birth AS age FROM person WHERE year_of_birth = 1800"),
    (
        "selective",
        "SELECT p.person_id AS subject, 2026 - p.year_of_birth AS age
         FROM person p JOIN condition_occurrence c ON c.person_id = p.person_id
         WHERE c.condition_concept_id = 201826 GROUP BY p.person_id, p.year_of_birth",
    ),
    (
        "cohort",
        "SELECT p.person_id AS subject, 2026 - p.year_of_birth AS age
         FROM person p JOIN condition_occurrence c ON c.person_id = p.person_id
         WHERE c.condition_start_date >= DATE '2012-01-01' GROUP BY p.person_id, p.year_of_birth",
    ),
];

fn study(sql: &str) -> StudySpec {
    let text = format!(
        "version = 1\ntitle = \"t\"\ndescription = \"d\"\npurpose = \"HMB\"\ndeclares = []\nprotection = \"open\"\n[cohort]\nsubject = \"subject\"\n\
         sql = '''{sql}'''\n[[variable]]\nname = \"age\"\nmin = 0\nmax = 200\nresolution = 1\n\
         [[statistic]]\nname = \"age\"\nkind = \"mean\"\nof = \"age\"\n"
    );
    StudySpec::from_toml(&text).expect("a valid study")
}

fn worker(criterion: &mut Criterion) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build().expect("tokio");
    let config = StoreConfig::of(folder());
    let link = LinkSecret::from_seed([9; 32]);
    let store = runtime.block_on(Store::open(&config, &[])).expect("an open store");
    let subjects: Vec<_> =
        runtime.block_on(store.subjects(&link)).expect("subjects").iter().map(|(_, subject)| *subject).collect();
    let permissions = Permissions {
        height: Height::new(1),
        day: consilium_protocol::ids::Date::from_days(20_000),
        classes: vec![allowed(Window::UNBOUNDED)],
        subjects: subjects.iter().map(|subject| (*subject, 0)).collect(),
    };
    let roll = Roll {
        height: Height::new(1),
        day: consilium_protocol::ids::Date::from_days(20_000),
        classes: vec![allowed(Window::UNBOUNDED)],
        class_of: subjects.iter().map(|_| Some(0)).collect(),
        subjects: Arc::new(subjects),
    };
    let new = || {
        Worker::new(Settings {
            program: Program::at(env!("CARGO_BIN_EXE_consilium")),
            store: config.clone(),
            catalogue: Vec::new(),
            link: LinkSecret::from_seed([9; 32]),
            bounds: Bounds {
                memory_bytes: 4 << 30,
                time: Duration::from_secs(600),
                processor: Duration::from_secs(1_200),
                threads: THREADS,
            },
        })
    };
    let kept = new();
    let limits = Limits { threads: THREADS, ..Limits::default() };
    for (name, sql) in QUERIES {
        let spec = study(sql);
        let layout = Layout::of(&spec).expect("a layout");
        let compared = guarded::compared(&spec, &layout, &[]).expect("a study that can be guarded");
        let bound = PEOPLE as u64;
        let job = || Job {
            spec: &spec,
            layout: &layout,
            compared: &compared,
            roll: &roll,
            min_site_count: 1,
            subjects_bound: bound,
            left: Duration::from_secs(3_600),
            held: None,
        };
        let mut group = criterion.benchmark_group(format!("worker/{name}"));
        group.sample_size(20).warm_up_time(Duration::from_secs(2)).measurement_time(Duration::from_secs(15));
        group.bench_function("beside", |bencher| {
            bencher.iter(|| {
                runtime.block_on(async {
                    let cohort = run(&store, &link, &permissions, &spec, &limits).await.expect("a cohort");
                    let cells = compute(&spec, &layout, &compared, &cohort.batches, 1, bound).await.expect("cells");
                    black_box(cells.len())
                })
            });
        });
        group.bench_function("worker", |bencher| {
            bencher.iter(|| black_box(runtime.block_on(kept.study(&job())).expect("counted").members.len()));
        });
        if name == "nobody" {
            group.sample_size(10).bench_function("start", |bencher| {
                bencher.iter(|| {
                    let fresh = new();
                    black_box(runtime.block_on(fresh.study(&job())).expect("counted").members.len())
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, worker);
criterion_main!(benches);
