//! The same rows have the same answers, in whatever types and kinds of tables they are kept.

use std::fs;

use consilium_engine::store::{Options, Store, StoreError, arrange};

use super::{COUNTS, counted_there, dice, measurements, start, types};
use crate::exports::{QUESTIONS, answers, ask, pick};
use crate::hospital;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_rows_have_the_same_answers_as_in_files() {
    let Some(place) = start(&[]).await else { return };
    let (csv, _folder) = hospital::open_csv().await;
    let expected = answers(&csv).await;
    assert!(expected.iter().all(|answer| answer.len() > 50));
    let folder = tempfile::tempdir().expect("a folder");
    hospital::write_parquet(folder.path());
    let parquet = hospital::open(folder.path()).await;
    assert_eq!(answers(&parquet).await, expected, "Parquet");

    let tables = hospital::tables();
    for seed in 1..=25u64 {
        let mut dice = dice(seed);
        place
            .execute("DROP SCHEMA IF EXISTS cdm CASCADE; CREATE SCHEMA cdm; GRANT USAGE ON SCHEMA cdm TO reader")
            .await;
        place.execute("DROP DOMAIN IF EXISTS cdm_number; CREATE DOMAIN cdm_number AS bigint CHECK (VALUE > -5)").await;
        let mut forms = Vec::new();
        for table in &tables {
            let plain = seed == 1;
            let types = types(table, &mut |_, types| if plain { types[0] } else { pick(&mut dice, types) });
            place.table(table, &types).await;
            let form = if plain { 0 } else { dice.roll(5) };
            let (name, subject) = (table.name, if table.name == "labs" { "patient" } else { "person_id" });
            let sql = match form {
                1 => format!(
                    "ALTER TABLE cdm.{name} RENAME TO t_{name}; CREATE VIEW cdm.{name} AS SELECT * FROM cdm.t_{name}"
                ),
                2 => format!(
                    "ALTER TABLE cdm.{name} RENAME TO t_{name};
                     CREATE MATERIALIZED VIEW cdm.{name} AS SELECT * FROM cdm.t_{name}"
                ),
                3 => format!(
                    "ALTER TABLE cdm.{name} RENAME TO t_{name};
                     CREATE TABLE cdm.{name} (LIKE cdm.t_{name}) PARTITION BY HASH ({subject});
                     CREATE TABLE cdm.{name}_0 PARTITION OF cdm.{name} FOR VALUES WITH (MODULUS 2, REMAINDER 0);
                     CREATE TABLE cdm.{name}_1 PARTITION OF cdm.{name} FOR VALUES WITH (MODULUS 2, REMAINDER 1);
                     INSERT INTO cdm.{name} SELECT * FROM cdm.t_{name}"
                ),
                4 => format!(
                    "ALTER TABLE cdm.{name} RENAME COLUMN {subject} TO \"{}\"; ALTER TABLE cdm.{name} RENAME TO \"{}\"",
                    subject.to_uppercase(),
                    name.to_uppercase()
                ),
                _ => String::new(),
            };
            place.execute(&sql).await;
            place.execute("GRANT SELECT ON ALL TABLES IN SCHEMA cdm TO reader").await;
            forms.push(format!("{name} {form} {types:?}"));
        }
        let store = place.open().await.unwrap_or_else(|error| panic!("{seed} {forms:?}: {error}"));
        let summary = store.summary();
        let unreadable: Vec<_> = summary.tables.iter().flat_map(|table| &table.unreadable).collect();
        assert!(unreadable.is_empty() && summary.unreadable.is_empty(), "{seed} {forms:?}: {unreadable:?} {summary:?}");
        let found = answers(&store).await;
        for ((found, expected), (sql, _)) in found.iter().zip(&expected).zip(QUESTIONS) {
            assert_eq!(found, expected, "{seed} {forms:?} {sql}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_of_many_pages_is_read_whole_and_in_parts() {
    let Some(place) = start(&["log_statement=all"]).await else { return };
    measurements(&place, 500, 150_000).await;
    let expected = counted_there(&place).await;
    assert_eq!(expected.len(), 500);
    let store = place.open().await.expect("an open store");
    assert_eq!(ask(&store, COUNTS.0, COUNTS.1).await.expect("counts"), expected);

    let log = fs::read_to_string(place.server.folder().join("log")).expect("the log");
    let mut copies: Vec<&str> =
        log.lines().filter(|line| line.contains("COPY (SELECT") && line.contains("measurement")).collect();
    copies.dedup();
    assert!(copies.len() >= 3, "in parts: {copies:?}");
    let pushed = "(\"measurement_date\" >= '2011-02-03'::pg_catalog.date)";
    assert!(
        copies.iter().all(|line| line.contains(pushed) && line.contains("<> (3004411)::pg_catalog.int8")),
        "{copies:?}"
    );
    assert_eq!(
        copies.iter().filter(|line| !line.contains("ctid < ")).count(),
        1,
        "the last part has no end: {copies:?}"
    );

    // Nobody's row and a stranger's are not let through, whatever the server gives.
    let nobody = ask(&store, "SELECT person_id AS subject, count(*) AS n FROM person GROUP BY person_id", &["n"]).await;
    assert_eq!(nobody.expect("counts").len(), 500);
    // As a view it has no pages, and comes by a cursor.
    place.execute("ALTER TABLE cdm.measurement RENAME TO m; CREATE VIEW cdm.measurement AS SELECT * FROM cdm.m").await;
    place.execute("GRANT SELECT ON cdm.measurement TO reader").await;
    let store = place.open().await.expect("an open store");
    assert_eq!(ask(&store, COUNTS.0, COUNTS.1).await.expect("counts"), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_of_the_catalogue_is_where_the_hospital_says() {
    let Some(place) = start(&[]).await else { return };
    place
        .execute(
            "CREATE TABLE cdm.person (person_id integer, gender_concept_id integer);
             INSERT INTO cdm.person SELECT n, 8507 FROM generate_series(1, 9) n;
             CREATE TABLE cdm.\"Lab Results\" (\"Case\" integer, \"Day\" date, \"Value\" numeric, code text, secret text);
             INSERT INTO cdm.\"Lab Results\" SELECT n, DATE '2020-01-01', n / 2.0, 'CANARY not a number', 'CANARY'
                 FROM generate_series(1, 4) n;
             GRANT SELECT ON ALL TABLES IN SCHEMA cdm TO reader;",
        )
        .await;
    let mapping = "[tables.labs]\nfile = \"Lab Results\"\n\
                   columns = { patient = \"Case\", taken = \"Day\", score = \"Value\" }\n";
    let sql = "SELECT patient AS subject, max(score) AS s FROM labs WHERE taken >= DATE '2019-01-01' AND score <> 1.5
               AND code = 'CANARY not a number' GROUP BY patient";
    let asked = async |store: &Store| {
        let spec = hospital::study(sql, &["s"]);
        let people = hospital::everybody(store, &hospital::link()).await;
        let cohort = consilium_engine::cohort::run(store, &hospital::link(), &people, &spec, &hospital::limits()).await;
        hospital::sorted(&cohort.expect("a cohort"))
    };
    let store = place.open_as("reader", mapping).await.expect("an open store");
    let summary = store.summary();
    assert_eq!(asked(&store).await, ["0.5", "1.0", "2.0"], "{summary:?}");
    let labs = summary.tables.iter().find(|table| table.name == "labs").expect("a table");
    assert_eq!(labs.withheld, ["secret"]);
    assert!(!format!("{summary:?}").contains("CANARY"));
    let without = place.open().await.expect("an open store").summary();
    assert!(without.absent.contains(&"labs".to_string()) && !without.ignored.is_empty(), "{without:?}");

    // A value that the catalogue does not list closes its column.
    place.execute("UPDATE cdm.\"Lab Results\" SET code = 'CANARY other' WHERE \"Case\" = 2").await;
    let summary = place.open_as("reader", mapping).await.expect("an open store").summary();
    let labs = summary.tables.iter().find(|table| table.name == "labs").expect("a table");
    assert_eq!(labs.unreadable.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(), ["code"], "{labs:?}");
    assert!(labs.unreadable[0].what.contains("1 value is not one of the values that the catalogue lists"), "{labs:?}");

    // One row a patient is checked where it is promised.
    let mut catalogue = hospital::catalogue();
    catalogue.iter_mut().for_each(|table| table.single |= table.name == "labs");
    let config = place.config_with("reader", mapping);
    let labs_is_read = async || {
        let summary = Store::open(&config, &catalogue).await.expect("an open store").summary();
        summary.tables.iter().any(|table| table.name == "labs")
    };
    assert!(labs_is_read().await);
    place.execute("INSERT INTO cdm.\"Lab Results\" VALUES (2, '2020-01-02', 1, NULL, NULL)").await;
    assert!(!labs_is_read().await);
    let summary = Store::open(&config, &catalogue).await.expect("an open store").summary();
    let single = StoreError::NotSingle { table: "labs".to_string(), file: "cdm.Lab Results".to_string() };
    let reason = summary.unreadable.iter().find(|table| table.name == "labs").map(|table| table.reason.clone());
    assert_eq!(reason, Some(single.to_string()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_is_laid_out_by_patient_as_files_are() {
    let Some(mut place) = start(&[]).await else { return };
    let (csv, _folder) = hospital::open_csv().await;
    for table in &hospital::tables() {
        place.table(table, &types(table, &mut |_, types| types[0])).await;
    }
    let store = place.open().await.expect("an open store");
    let to = tempfile::tempdir().expect("a folder");
    let options = Options { patients: 7, ..Options::default() };
    let arrangement = arrange(&store, to.path(), &options, &mut |_| {}).await.expect("an arranged store");
    assert!(arrangement.tables.iter().all(|table| table.files_written > 0 && table.bytes_before.is_none()));
    assert_eq!(answers(&hospital::open(to.path()).await).await, answers(&csv).await);
    // Read again, it gives the same files.
    let again = arrange(&store, to.path(), &options, &mut |_| {}).await.expect("an arranged store");
    assert!(again.tables.iter().all(|table| table.files_written == 0), "{again:?}");
    place.server.stop();
    let down = arrange(&store, to.path(), &options, &mut |_| {}).await.expect_err("down");
    assert!(down.to_string().contains("5432"), "{down}");
    assert_eq!(answers(&hospital::open(to.path()).await).await, answers(&csv).await);
}
