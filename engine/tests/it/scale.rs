//! The same thirty studies over every form of a store: CSV, Parquet, laid out by patient, and PostgreSQL, whose own answers are the
//! expected ones. Synthea's patients, where that data lies beside the checkout; and, with `--ignored`, 1,000,000 patients with
//! 10,000,000 rows, with the time that each takes (the table in docs/performance.md).

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray};
use consilium_engine::cohort::{Limits, run};
use consilium_engine::store::{Options, Store, StoreConfig, arrange};
use datafusion::parquet::arrow::ArrowWriter;

use super::hospital::{everybody, link, sorted, study};
use super::oracle::server::{Server, Session, programs_or_skip};

/// Cohorts with one whole number a patient, in words that PostgreSQL reads alike.
const STUDIES: [(&str, &str); 30] = [
    ("all", "SELECT person_id AS subject, year_of_birth AS x FROM person"),
    (
        "women born before 1960",
        "SELECT person_id AS subject, 1 AS x FROM person WHERE gender_concept_id = 8532 AND year_of_birth < 1960",
    ),
    ("records", "SELECT person_id AS subject, count(*) AS x FROM condition_occurrence GROUP BY person_id"),
    (
        "records of one concept",
        "SELECT person_id AS subject, count(*) AS x FROM condition_occurrence WHERE condition_concept_id = 201826 GROUP BY person_id",
    ),
    (
        "records of a year",
        "SELECT person_id AS subject, count(*) AS x FROM condition_occurrence WHERE condition_start_date >= DATE '2012-01-01' AND condition_start_date < DATE '2013-01-01' GROUP BY person_id",
    ),
    (
        "records of some concepts in a month",
        "SELECT person_id AS subject, count(*) AS x FROM condition_occurrence WHERE condition_concept_id IN (201826, 300007, 40481087) AND condition_start_date BETWEEN DATE '2012-03-01' AND DATE '2012-03-31' GROUP BY person_id",
    ),
    (
        "different concepts",
        "SELECT person_id AS subject, count(DISTINCT condition_concept_id) AS x FROM condition_occurrence GROUP BY person_id",
    ),
    (
        "sum of concepts",
        "SELECT person_id AS subject, sum(condition_concept_id) AS x FROM condition_occurrence GROUP BY person_id",
    ),
    (
        "days between first and last",
        "SELECT person_id AS subject, max(condition_start_date) - min(condition_start_date) AS x FROM condition_occurrence GROUP BY person_id",
    ),
    (
        "year of the first",
        "SELECT person_id AS subject, CAST(date_part('year', min(condition_start_date)) AS BIGINT) AS x FROM condition_occurrence GROUP BY person_id",
    ),
    (
        "with a record",
        "SELECT person_id AS subject, year_of_birth AS x FROM person p WHERE EXISTS (SELECT 1 FROM condition_occurrence c WHERE c.person_id = p.person_id)",
    ),
    (
        "without a record of a concept",
        "SELECT person_id AS subject, year_of_birth AS x FROM person p WHERE NOT EXISTS (SELECT 1 FROM condition_occurrence c WHERE c.person_id = p.person_id AND c.condition_concept_id = 201826)",
    ),
    (
        "among those of a concept",
        "SELECT person_id AS subject, gender_concept_id AS x FROM person WHERE person_id IN (SELECT person_id FROM condition_occurrence WHERE condition_concept_id > 300400)",
    ),
    (
        "age at the first",
        "SELECT p.person_id AS subject, CAST(date_part('year', c.since) AS BIGINT) - p.year_of_birth AS x FROM person p JOIN (SELECT person_id, min(condition_start_date) AS since FROM condition_occurrence GROUP BY person_id) c ON c.person_id = p.person_id",
    ),
    (
        "with NULL for none",
        "SELECT p.person_id AS subject, coalesce(c.n, 0) AS x FROM person p LEFT JOIN (SELECT person_id, count(*) AS n FROM condition_occurrence WHERE condition_concept_id < 300100 GROUP BY person_id) c ON c.person_id = p.person_id",
    ),
    (
        "two conditions",
        "SELECT a.person_id AS subject, count(*) AS x FROM condition_occurrence a JOIN condition_occurrence b ON b.person_id = a.person_id AND b.condition_concept_id = a.condition_concept_id AND b.condition_start_date > a.condition_start_date GROUP BY a.person_id",
    ),
    (
        "one after another",
        "SELECT a.person_id AS subject, min(b.condition_start_date - a.condition_start_date) AS x FROM condition_occurrence a JOIN condition_occurrence b ON b.person_id = a.person_id AND b.condition_start_date > a.condition_start_date WHERE a.condition_concept_id = 201826 GROUP BY a.person_id",
    ),
    (
        "the first row",
        "SELECT person_id AS subject, condition_concept_id AS x FROM (SELECT person_id, condition_concept_id, row_number() OVER (PARTITION BY person_id ORDER BY condition_start_date, condition_occurrence_id) AS n FROM condition_occurrence) f WHERE n = 1",
    ),
    (
        "the longest gap",
        "SELECT person_id AS subject, max(gap) AS x FROM (SELECT person_id, condition_start_date - lag(condition_start_date) OVER (PARTITION BY person_id ORDER BY condition_start_date, condition_occurrence_id) AS gap FROM condition_occurrence) g GROUP BY person_id",
    ),
    (
        "by half years",
        "SELECT person_id AS subject, count(DISTINCT CAST(date_part('year', condition_start_date) AS BIGINT) * 2 + CASE WHEN date_part('month', condition_start_date) > 6 THEN 1 ELSE 0 END) AS x FROM condition_occurrence GROUP BY person_id",
    ),
    (
        "having many",
        "SELECT person_id AS subject, count(*) AS x FROM condition_occurrence GROUP BY person_id HAVING count(*) > 14",
    ),
    (
        "in either",
        "SELECT person_id AS subject, count(*) AS x FROM (SELECT person_id FROM condition_occurrence WHERE condition_concept_id = 201826 UNION SELECT person_id FROM person WHERE year_of_birth > 2000) u GROUP BY person_id",
    ),
    (
        "in both",
        "SELECT person_id AS subject, 1 AS x FROM (SELECT person_id FROM condition_occurrence WHERE condition_concept_id = 201826 INTERSECT SELECT person_id FROM person WHERE gender_concept_id = 8507) u GROUP BY person_id",
    ),
    (
        "in one alone",
        "SELECT person_id AS subject, 1 AS x FROM (SELECT person_id FROM person EXCEPT SELECT person_id FROM condition_occurrence WHERE condition_start_date > DATE '2010-01-01') u GROUP BY person_id",
    ),
    (
        "a value of a subquery",
        "SELECT person_id AS subject, (SELECT count(*) FROM condition_occurrence c WHERE c.person_id = p.person_id AND c.condition_start_date < DATE '2008-01-01') AS x FROM person p",
    ),
    (
        "before each",
        "SELECT a.person_id AS subject, max((SELECT count(*) FROM condition_occurrence b WHERE b.person_id = a.person_id AND b.condition_start_date < a.condition_start_date)) AS x FROM condition_occurrence a WHERE a.condition_concept_id = 201826 GROUP BY a.person_id",
    ),
    (
        "EXISTS as a value",
        "SELECT person_id AS subject, CASE WHEN EXISTS (SELECT 1 FROM condition_occurrence c WHERE c.person_id = p.person_id AND c.condition_concept_id = 201826) THEN 1 ELSE 0 END AS x FROM person p",
    ),
    (
        "the latest of several",
        "SELECT person_id AS subject, max(condition_concept_id) AS x FROM condition_occurrence c WHERE (person_id, condition_start_date) IN (SELECT person_id, max(condition_start_date) FROM condition_occurrence GROUP BY person_id) GROUP BY person_id",
    ),
    (
        "a sum of cases",
        "SELECT person_id AS subject, sum(CASE WHEN condition_concept_id = 201826 THEN 100 WHEN condition_start_date < DATE '2010-01-01' THEN 10 ELSE 1 END) AS x FROM condition_occurrence GROUP BY person_id",
    ),
    (
        "several at once",
        "WITH ill AS (SELECT person_id, min(condition_start_date) AS since, count(*) AS n FROM condition_occurrence GROUP BY person_id), old AS (SELECT person_id, year_of_birth FROM person WHERE year_of_birth < 1950) SELECT o.person_id AS subject, i.n * 10000 + o.year_of_birth AS x FROM old o JOIN ill i ON i.person_id = o.person_id WHERE i.since >= DATE '2001-01-01'",
    ),
];

/// A form of the store.
struct Form {
    name: &'static str,
    store: Store,
}

/// The same rows as CSV, Parquet, laid out by patient, and in a database with an administrator.
struct Forms {
    forms: Vec<Form>,
    admin: Session,
    _server: Server,
    _folders: Vec<tempfile::TempDir>,
}

/// What a column of OMOP is by its name.
fn type_of(name: &str) -> &'static str {
    match name {
        name if name.ends_with("_date") => "date",
        name if name.ends_with("_datetime") => "timestamp",
        name if name.ends_with("_id") || name.ends_with("_of_birth") => "bigint",
        _ => "text",
    }
}

/// From CSV files, with an empty field for NULL, and the same in Parquet.
async fn forms(programs: &Path, csv: &Path, parquet: &Path) -> Forms {
    let mut server =
        Server::start_with(programs, &["shared_buffers=256MB".to_string(), "work_mem=64MB".to_string()], |_| {});
    let admin = server.connect().await;
    admin
        .execute("CREATE ROLE reader LOGIN; CREATE SCHEMA cdm; GRANT USAGE ON SCHEMA cdm TO reader")
        .await
        .expect("a role");
    for table in ["person", "condition_occurrence"] {
        let path = fs::read_dir(csv)
            .expect("a folder")
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.file_stem().is_some_and(|stem| stem.eq_ignore_ascii_case(table)));
        let text = fs::read_to_string(path.expect("a file")).expect("CSV");
        let header = text.lines().next().expect("a header");
        let columns: Vec<String> = header.split(',').map(|name| format!("{name} {}", type_of(name))).collect();
        let shown = server.folder().join(format!("{table}.csv"));
        fs::write(&shown, &text).expect("written");
        let load = format!(
            "CREATE TABLE cdm.{table} ({}); COPY cdm.{table} FROM '{}' WITH (FORMAT csv, HEADER); ANALYZE cdm.{table};
             GRANT SELECT ON cdm.{table} TO reader",
            columns.join(", "),
            shown.display()
        );
        admin.execute(&load).await.expect("loaded");
        fs::remove_file(shown).expect("removed");
    }
    admin
        .execute("CREATE INDEX ON cdm.condition_occurrence (person_id); CREATE INDEX ON cdm.condition_occurrence (condition_concept_id); SET search_path = cdm")
        .await
        .expect("indexes");
    let url = format!("url = \"postgresql://reader@/postgres?host={}\"\nschema = \"cdm\"\n", server.folder().display());
    let open = async |config: &StoreConfig| Store::open(config, &[]).await.expect("an open store");
    let arranged = tempfile::tempdir().expect("a folder");
    let of_parquet = open(&StoreConfig::of(parquet)).await;
    arrange(&of_parquet, arranged.path(), &Options::default(), &mut |_| {}).await.expect("an arranged store");
    let forms = vec![
        Form { name: "CSV", store: open(&StoreConfig::of(csv)).await },
        Form { name: "Parquet", store: of_parquet },
        Form { name: "arranged", store: open(&StoreConfig::of(arranged.path())).await },
        Form { name: "PostgreSQL", store: open(&toml::from_str(&url).expect("a store")).await },
    ];
    Forms { forms, admin, _server: server, _folders: vec![arranged] }
}

impl Forms {
    /// The answers of a study, and how long each form took for them; the server's own come first.
    async fn asked(&self, sql: &str, limits: &Limits) -> Vec<(&'static str, Vec<String>, Duration)> {
        // The server is to hand over what a hospital's own program would: a row a patient.
        let began = Instant::now();
        let rows = self.admin.rows(&format!("SELECT x FROM ({sql}) q")).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        let took = began.elapsed();
        let mut expected: Vec<String> = rows.into_iter().map(|mut row| row.remove(0).unwrap_or_default()).collect();
        expected.sort();
        let mut answers = vec![("itself", expected, took)];
        let spec = study(sql, &["x"]);
        for Form { name, store } in &self.forms {
            let people = everybody(store, &link()).await;
            let began = Instant::now();
            let cohort = run(store, &link(), &people, &spec, limits).await;
            let took = began.elapsed();
            let mut found = sorted(&cohort.unwrap_or_else(|error| panic!("{name}, {sql}: {error}")));
            found.iter_mut().for_each(|value| *value = value.trim_end_matches(".0").to_string());
            found.sort();
            answers.push((name, found, took));
        }
        answers
    }

    /// Asks everything, and gives the times as a table.
    async fn compared(&self, limits: &Limits) -> String {
        let mut text = String::from(
            "| study | patients | PostgreSQL itself | CSV | Parquet | arranged | from PostgreSQL |\n|---|---|---|---|---|---|---|\n",
        );
        for (what, sql) in STUDIES {
            let answers = self.asked(sql, limits).await;
            let expected = &answers[0].1;
            assert!(!expected.is_empty(), "{what} is of nobody");
            for (form, found, _) in &answers {
                assert!(found == expected, "{what}, {form}: {} for {} rows", found.len(), expected.len());
            }
            write!(text, "| {what} | {} |", expected.len()).expect("a string");
            for (.., took) in &answers {
                write!(text, " {:.2} |", took.as_secs_f64()).expect("a string");
            }
            text.push('\n');
        }
        text
    }
}

fn write_parquet(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)));
    let batch = batch.expect("columns of one length");
    let mut writer = ArrowWriter::try_new(File::create(path).expect("a file"), batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_studies_are_the_same_over_every_form_of_synthea() {
    let Some(programs) = programs_or_skip() else { return };
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/synthea-omop");
    if !source.is_dir() {
        eprintln!("skipped: no Synthea data at {}", source.display());
        return;
    }
    let (csv, parquet) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    for table in ["PERSON", "CONDITION_OCCURRENCE"] {
        let text = fs::read_to_string(source.join(format!("{table}.csv"))).expect("CSV");
        fs::write(csv.path().join(format!("{table}.csv")), &text).expect("written");
        // Everything as texts, with an empty one for none, as some programs write it.
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let names: Vec<String> = reader.headers().expect("a header").iter().map(str::to_string).collect();
        let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().expect("rows");
        let column = |at: usize| -> ArrayRef { Arc::new(rows.iter().map(|row| row.get(at)).collect::<StringArray>()) };
        let columns = names.iter().enumerate().map(|(at, name)| (name.as_str(), column(at))).collect();
        write_parquet(&parquet.path().join(format!("{table}.parquet")), columns);
    }
    let forms = forms(&programs, csv.path(), parquet.path()).await;
    let limits = Limits { threads: 2, ..super::hospital::limits() };
    for (what, sql) in STUDIES {
        let answers = forms.asked(sql, &limits).await;
        for (form, found, _) in &answers {
            assert_eq!(found, &answers[0].1, "{what}, {form}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "ten million rows: minutes, and four gibibytes of disk"]
async fn thirty_studies_are_the_same_over_every_form_of_a_million_patients() {
    const PEOPLE: i64 = 1_000_000;
    const ROWS: i64 = 10_000_000;
    let Some(programs) = programs_or_skip() else { return };
    let (csv, parquet) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let mixed = |n: i64| {
        let z = (n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        ((z ^ (z >> 31)) >> 1) as i64
    };
    let int = |values: &mut dyn Iterator<Item = i64>| -> ArrayRef { Arc::new(values.collect::<Int64Array>()) };
    let sex = |n: i64| 8_507 + 25 * (n % 2);
    let born = |n: i64| 1_930 + mixed(n) % 80;
    write_parquet(
        &parquet.path().join("person.parquet"),
        vec![
            ("person_id", int(&mut (1..=PEOPLE))),
            ("gender_concept_id", int(&mut (1..=PEOPLE).map(sex))),
            ("year_of_birth", int(&mut (1..=PEOPLE).map(born))),
        ],
    );
    let mut text = String::from("person_id,gender_concept_id,year_of_birth\n");
    (1..=PEOPLE).for_each(|n| writeln!(text, "{n},{},{}", sex(n), born(n)).expect("a string"));
    fs::write(csv.path().join("person.csv"), text).expect("written");
    let who = |n: i64| 1 + mixed(n + 11) % PEOPLE;
    let concept = |n: i64| if mixed(n + 7) % 100 == 0 { 201_826 } else { 300_000 + mixed(n + 7) % 500 };
    let day = |n: i64| 10_957 + (mixed(n + 3) % 7_300) as i32;
    write_parquet(
        &parquet.path().join("condition_occurrence.parquet"),
        vec![
            ("condition_occurrence_id", int(&mut (1..=ROWS))),
            ("person_id", int(&mut (1..=ROWS).map(who))),
            ("condition_concept_id", int(&mut (1..=ROWS).map(concept))),
            ("condition_start_date", Arc::new((1..=ROWS).map(day).map(Some).collect::<Date32Array>())),
        ],
    );
    let mut text = String::from("condition_occurrence_id,person_id,condition_concept_id,condition_start_date\n");
    for n in 1..=ROWS {
        let day = consilium_protocol::ids::Date::from_days(day(n));
        writeln!(text, "{n},{},{},{day}", who(n), concept(n)).expect("a string");
    }
    fs::write(csv.path().join("condition_occurrence.csv"), text).expect("written");
    let forms = forms(&programs, csv.path(), parquet.path()).await;
    let limits = Limits { threads: 2, memory_bytes: 4 << 30, rows: 2_000_000, ..Limits::default() };
    let table = forms.compared(&limits).await;
    eprintln!("{table}");
}
