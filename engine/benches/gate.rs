//! What the gate costs: the same query over 1,000,000 people and 10,000,000 conditions in Parquet, by DataFusion over
//! the raw files (`ungated`), and as a cohort of people of whom seven in ten consent (`gated`), all of them
//! (`gated_everyone`, where the gate saves nothing and so shows its whole cost), or each for a window of years
//! (`gated_windows`, where the day of every row is tested). A cohort also checks that everybody has one row. `arranged_…` is the
//! same over the same tables laid out by patient, `arranged_ungated` DataFusion's one plan over those files.

mod support;

use std::hint::black_box;
use std::path::PathBuf;
use std::time::Duration;

use arrow::array::RecordBatch;
use consilium_engine::cohort::{Limits, run};
use consilium_engine::pseudonym::LinkSecret;
use consilium_engine::store::{Store, StoreConfig};
use consilium_protocol::consent::{AllowedData, Permissions, Window};
use consilium_protocol::ids::{Date, Height, SubjectId};
use consilium_protocol::study::StudySpec;
use criterion::{Criterion, criterion_group, criterion_main};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use support::{allowed, folder, mixed};

const THREADS: usize = 2;

const QUERIES: [(&str, &str); 4] = [
    (
        "cohort",
        "SELECT p.person_id AS subject, 2026 - p.year_of_birth AS age, count(*) AS n
         FROM person p JOIN condition_occurrence c ON c.person_id = p.person_id
         WHERE c.condition_start_date >= DATE '2012-01-01' GROUP BY p.person_id, p.year_of_birth",
    ),
    (
        "selective",
        "SELECT p.person_id AS subject, 2026 - p.year_of_birth AS age, count(*) AS n
         FROM person p JOIN condition_occurrence c ON c.person_id = p.person_id
         WHERE c.condition_concept_id = 201826 GROUP BY p.person_id, p.year_of_birth",
    ),
    // The same rows without and with much to compute: the difference is what expressions take that give NULL where they
    // have no answer, beside those of the query engine, which wrap around or fail.
    (
        "columns",
        "SELECT person_id AS subject, max(condition_concept_id) AS age, count(*) AS n
         FROM condition_occurrence GROUP BY person_id",
    ),
    (
        "expressions",
        "SELECT person_id AS subject, sum(3 * condition_concept_id - 7 + condition_concept_id % 11) AS age,
         avg(0.5 * condition_concept_id / (1.5 + condition_concept_id)) AS n
         FROM condition_occurrence GROUP BY person_id",
    ),
];

fn permissions(people: &[(i64, SubjectId)], percent: i64, windows: &[Window]) -> Permissions {
    let classes: Vec<AllowedData> = windows.iter().map(|w| allowed(*w)).collect();
    let consenting = people.iter().filter(|(person, _)| mixed(*person + 11) % 100 < percent);
    let subjects = consenting.map(|(person, subject)| (*subject, (*person % classes.len() as i64) as u32)).collect();
    Permissions { height: Height::new(1), day: consilium_protocol::ids::Date::from_days(20_000), classes, subjects }
}

fn study(sql: &str) -> StudySpec {
    let bounds = "min = 0\nmax = 200\nresolution = 1";
    let text = format!(
        "version = 1\ntitle = \"t\"\ndescription = \"d\"\npurpose = \"HMB\"\ndeclares = []\nprotection = \"open\"\n[cohort]\nsubject = \"subject\"\n\
         sql = '''{sql}'''\n[[variable]]\nname = \"age\"\n{bounds}\n[[variable]]\nname = \"n\"\n{bounds}\n\
         [[statistic]]\nname = \"n\"\nkind = \"count\"\n"
    );
    StudySpec::from_toml(&text).expect("a valid study")
}

/// DataFusion over the bare files.
async fn raw(path: impl Fn(&str) -> PathBuf) -> SessionContext {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(THREADS));
    for table in ["person", "condition_occurrence"] {
        let path = path(table);
        let options = ParquetReadOptions::default();
        context.register_parquet(table, path.to_str().expect("UTF-8"), options).await.expect("a table");
    }
    context
}

fn gate(criterion: &mut Criterion) {
    let folder = folder();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build().expect("tokio");
    let arranged = support::arranged(&runtime, &folder);
    let store = runtime.block_on(Store::open(&StoreConfig::of(&folder), &[])).expect("an open store");
    let by_patient = runtime.block_on(Store::open(&StoreConfig::of(&arranged), &[])).expect("an open store");
    let raw = runtime.block_on(self::raw(|table| folder.join(format!("{table}.parquet"))));
    let raw_arranged = runtime.block_on(self::raw(|table| arranged.join(table)));
    let link = LinkSecret::from_seed([9; 32]);
    let subjects = runtime.block_on(store.subjects(&link)).expect("subjects");
    let people: Vec<_> = subjects.iter().copied().collect();
    let year = |from: i32, to: i32| Window { from: Date::from_ymd(from, 1, 1), to: Date::from_ymd(to, 12, 31) };
    let consents = [
        ("gated", permissions(&people, 70, &[Window::UNBOUNDED])),
        ("gated_everyone", permissions(&people, 100, &[Window::UNBOUNDED])),
        ("gated_windows", permissions(&people, 100, &[Window::UNBOUNDED, year(2011, 2024), year(2010, 2023)])),
    ];
    let limits = Limits { threads: THREADS, ..Limits::default() };
    for (name, sql) in QUERIES {
        let mut group = criterion.benchmark_group(format!("gate/{name}"));
        group.sample_size(10).warm_up_time(Duration::from_secs(2)).measurement_time(Duration::from_secs(12));
        for (name, raw) in [("ungated", &raw), ("arranged_ungated", &raw_arranged)] {
            group.bench_function(name, |bencher| {
                bencher.iter(|| {
                    let rows = runtime.block_on(async { raw.sql(sql).await?.collect().await }).expect("rows");
                    black_box(rows.iter().map(RecordBatch::num_rows).sum::<usize>())
                });
            });
        }
        let spec = study(sql);
        for (layout, store) in [("", &store), ("arranged_", &by_patient)] {
            for (who, permissions) in &consents {
                group.bench_function(format!("{layout}{who}"), |bencher| {
                    bencher.iter(|| {
                        let cohort =
                            runtime.block_on(run(store, &link, permissions, &spec, &limits)).expect("a cohort");
                        black_box(cohort.rows)
                    });
                });
            }
        }
        group.finish();
    }
}

criterion_group!(benches, gate);
criterion_main!(benches);
