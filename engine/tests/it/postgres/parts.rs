//! Tables in parts: read a bounded number of pages at a time, however many the parts are, and no more locks than there is room for.

use std::fs;

use super::{COUNTS, Hospital, counted_there, measurements, start};
use crate::exports::ask;

/// Makes a table of as many parts, each of `width` ids.
async fn parted(place: &Hospital, name: &str, id: &str, parts: u32, width: u32) {
    place
        .execute(&format!(
            "CREATE TABLE cdm.{name} ({id} int, person_id int, {name}_date date, value_as_number float8) PARTITION BY RANGE ({id})"
        ))
        .await;
    // A transaction each, which has no more locks than it needs.
    place
        .execute(&format!(
            "DO $$ BEGIN FOR i IN 0..{parts} - 1 LOOP
                 EXECUTE format('CREATE TABLE cdm.{name}_%s PARTITION OF cdm.{name} FOR VALUES FROM (%s) TO (%s)',
                     i, i * {width}, (i + 1) * {width});
                 COMMIT;
             END LOOP; END $$"
        ))
        .await;
    place.execute(&format!("GRANT SELECT ON cdm.{name} TO reader")).await;
}

/// The pages of all parts that a statement reads, by its condition in the server's log.
fn pages_of(line: &str, sizes: &[u64]) -> u64 {
    let bound = |sign: &str| {
        let after = line.split(&format!("ctid {sign} '(")).nth(1)?;
        after.split(',').next()?.parse::<u64>().ok()
    };
    let (from, to) = (bound(">=").expect("a first page"), bound("<").unwrap_or(u64::MAX));
    sizes.iter().map(|size| (*size).min(to) - (*size).min(from)).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_piece_of_a_table_is_as_large_however_many_parts_there_are() {
    let Some(place) = start(&["log_statement=all"]).await else { return };
    measurements(&place, 500, 150_000).await;
    let expected = counted_there(&place).await;
    let even = "PARTITION BY HASH (measurement_id)";
    let skewed = "PARTITION BY RANGE (measurement_id)";
    for (prefix, by, bounds) in [
        ("even", even, "format('WITH (MODULUS 60, REMAINDER %s)', i)"),
        ("skewed", skewed, "format('FROM (%s) TO (%s)', i * i * i, (i + 1) * (i + 1) * (i + 1))"),
    ] {
        place
            .execute(&format!(
                "ALTER TABLE cdm.measurement RENAME TO old; CREATE TABLE cdm.measurement (LIKE cdm.old) {by};
                 DO $$ BEGIN FOR i IN 0..59 LOOP
                     EXECUTE format('CREATE TABLE cdm.{prefix}_%s PARTITION OF cdm.measurement FOR VALUES %s', i, {bounds});
                 END LOOP; END $$;
                 INSERT INTO cdm.measurement SELECT * FROM cdm.old; DROP TABLE cdm.old; GRANT SELECT ON cdm.measurement TO reader"
            ))
            .await;
        let sql = format!("SELECT pg_relation_size(oid) / 8192 FROM pg_class WHERE relname ~ '^{prefix}_'");
        let sizes = place.admin.rows(&sql).await.expect("sizes");
        let sizes: Vec<u64> =
            sizes.iter().map(|row| row[0].as_deref().unwrap_or("").parse().expect("a size")).collect();
        let whole: u64 = sizes.iter().sum();
        let store = place.open().await.expect("an open store");
        let log = || fs::read_to_string(place.server.folder().join("log")).expect("the log");
        let before = log().len();
        assert_eq!(ask(&store, COUNTS.0, COUNTS.1).await.expect("counts"), expected, "{by}");
        let log = log().split_off(before);
        let copies = log.lines().filter(|line| line.contains("COPY (SELECT") && line.contains("measurement"));
        let pages: Vec<u64> = copies.map(|line| pages_of(line, &sizes)).collect();
        assert_eq!(pages.iter().sum::<u64>(), whole, "each page once: {pages:?}");
        assert!(pages.iter().all(|pages| *pages <= 512) && pages.len() <= 5, "{by}: {pages:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_of_more_parts_than_pages_are_read_at_once_is_read() {
    let Some(place) = start(&["max_locks_per_transaction=1000"]).await else { return };
    measurements(&place, 50, 10).await;
    parted(&place, "observation", "observation_id", 600, 10).await;
    place
        .execute("INSERT INTO cdm.observation SELECT n, 1 + n % 50, '2020-01-01', n FROM generate_series(0, 5999) n")
        .await;
    let store = place.open().await.expect("an open store");
    let sql = "SELECT person_id AS subject, count(*) AS n FROM observation GROUP BY person_id";
    assert_eq!(ask(&store, sql, &["n"]).await.expect("counts"), vec!["120"; 50]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_of_more_parts_than_there_is_room_for_locks_closes_itself() {
    let Some(place) = start(&["max_locks_per_transaction=10", "max_connections=20"]).await else { return };
    measurements(&place, 5, 50).await;
    // More than one connection can lock, and more than all of a study's can.
    parted(&place, "observation", "observation_id", 1_500, 10).await;
    parted(&place, "specimen", "specimen_id", 500, 10).await;
    let store = place.open().await.expect("an open store");
    let summary = store.summary();
    let closed: Vec<_> = summary.unreadable.iter().map(|table| (table.name.as_str(), table.kind)).collect();
    assert_eq!(closed, [("observation", "database_locks"), ("specimen", "database_locks")], "{summary:?}");
    for (table, parts) in summary.unreadable.iter().zip(["1500", "500"]) {
        for word in
            ["max_locks_per_transaction", "`connections`", &format!("6 times {parts}"), &format!("cdm.{}", table.name)]
        {
            assert!(table.reason.contains(word), "{word}: {}", table.reason);
        }
    }
    assert_eq!(ask(&store, COUNTS.0, COUNTS.1).await.expect("counts"), counted_there(&place).await);
    // Those that come later are told of, too.
    drop(store);
    place.execute("DROP TABLE cdm.measurement").await;
    parted(&place, "measurement", "measurement_id", 20, 10).await;
    place.execute("INSERT INTO cdm.measurement VALUES (1, 1, '2020-01-01', 1)").await;
    let store = place.open().await.expect("an open store");
    let sql = "SELECT person_id AS subject, count(*) AS n FROM measurement GROUP BY person_id";
    assert_eq!(ask(&store, sql, &["n"]).await.expect("counts"), ["1"]);
    place
        .execute(
            "DO $$ BEGIN FOR i IN 20..1500 LOOP
                 EXECUTE format('CREATE TABLE cdm.measurement_%s PARTITION OF cdm.measurement FOR VALUES FROM (%s) TO (%s)',
                     i, i * 10, (i + 1) * 10);
                 COMMIT;
             END LOOP; END $$",
        )
        .await;
    let error = ask(&store, sql, &["n"]).await.expect_err("no room").to_string();
    assert!(error.contains("max_locks_per_transaction") && error.contains("cdm.measurement"), "{error}");
}
