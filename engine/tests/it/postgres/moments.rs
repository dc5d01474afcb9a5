//! A study sees one moment of the database, whatever is done to it meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use consilium_engine::cohort::CohortError;
use consilium_engine::store::{DatabaseError, StoreError};

use super::{COUNTS, counted_there, measurements, start};
use crate::exports::ask;

/// Loading anew, as hospitals do every night: a snapshot from before sees a table that is emptied meanwhile as empty.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_loaded_anew_is_never_seen_empty() {
    let Some(mut place) = start(&[]).await else { return };
    measurements(&place, 50, 5_000).await;
    let expected = counted_there(&place).await;
    let store = place.open().await.expect("an open store");
    place.execute("CREATE TABLE kept AS SELECT * FROM cdm.measurement").await;
    let loader = place.server.connect().await;
    let stop = Arc::new(AtomicBool::new(false));
    let loading = {
        let stop = Arc::clone(&stop);
        tokio::spawn(async move {
            let mut loads = 0;
            while !stop.load(Ordering::Relaxed) {
                loader
                    .execute("BEGIN; TRUNCATE cdm.measurement; INSERT INTO cdm.measurement SELECT * FROM kept")
                    .await
                    .expect("loaded");
                // Readers that come now wait, with a snapshot from before.
                tokio::time::sleep(Duration::from_millis(60)).await;
                loader.execute("COMMIT").await.expect("committed");
                tokio::time::sleep(Duration::from_millis(80)).await;
                loads += 1;
            }
            loads
        })
    };
    for _ in 0..20 {
        assert_eq!(ask(&store, COUNTS.0, COUNTS.1).await.expect("counts"), expected);
    }
    stop.store(true, Ordering::Relaxed);
    assert!(loading.await.expect("loads") > 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tables_are_of_one_moment() {
    let Some(mut place) = start(&[]).await else { return };
    measurements(&place, 20, 1_000).await;
    place
        .execute(
            "CREATE TABLE cdm.observation (observation_id bigint, person_id int, observation_date date, value_as_number float8);
             INSERT INTO cdm.observation SELECT measurement_id, person_id, measurement_date, 0 FROM cdm.measurement;
             UPDATE cdm.measurement SET value_as_number = 0; GRANT SELECT ON cdm.observation TO reader",
        )
        .await;
    let store = place.open().await.expect("an open store");
    let writer = place.server.connect().await;
    let stop = Arc::new(AtomicBool::new(false));
    let writing = {
        let stop = Arc::clone(&stop);
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let sql = "UPDATE cdm.measurement SET value_as_number = value_as_number + 1; \
                           UPDATE cdm.observation SET value_as_number = value_as_number + 1";
                writer.execute(&format!("BEGIN; {sql}; COMMIT")).await.expect("written");
            }
        })
    };
    let sql = "SELECT m.person_id AS subject, m.v - o.v AS d, m.v AS v FROM
                   (SELECT person_id, max(value_as_number) AS v FROM measurement GROUP BY person_id) m
                   JOIN (SELECT person_id, min(value_as_number) AS v FROM observation GROUP BY person_id) o
                   ON o.person_id = m.person_id";
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..15 {
        let rows = ask(&store, sql, &["d", "v"]).await.expect("rows");
        assert_eq!(rows.len(), 20);
        assert!(rows.iter().all(|row| row.starts_with("0.0 ")), "{rows:?}");
        seen.insert(rows[0].clone());
    }
    stop.store(true, Ordering::Relaxed);
    writing.await.expect("written");
    assert!(seen.len() > 3, "it changed all the time: {seen:?}");
}

/// Planning sees the parts that are there by then, whatever the moment: of a new one, some pieces of the table would have rows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_comes_meanwhile_is_not_read_in_part() {
    let Some(mut place) = start(&[]).await else { return };
    measurements(&place, 50, 150_000).await;
    place
        .execute(
            "CREATE FUNCTION cdm.waited(id bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
                 IF id = 500 THEN PERFORM pg_advisory_xact_lock_shared(1); END IF;
                 RETURN true;
             END $$",
        )
        .await;
    let blocker = place.server.connect().await;
    let inherits = "ALTER TABLE cdm.more INHERIT cdm.measurement";
    let attached = "ALTER TABLE cdm.measurement ATTACH PARTITION cdm.more FOR VALUES IN (1)";
    for (prepare, attach) in [
        ("CREATE TABLE cdm.more (LIKE cdm.measurement); INSERT INTO cdm.more SELECT * FROM cdm.measurement", inherits),
        (
            "ALTER TABLE cdm.more NO INHERIT cdm.measurement; UPDATE cdm.more SET unit_concept_id = 1;
             ALTER TABLE cdm.measurement RENAME TO old;
             CREATE TABLE cdm.measurement (LIKE cdm.old) PARTITION BY LIST (unit_concept_id);
             ALTER TABLE cdm.measurement ATTACH PARTITION cdm.old FOR VALUES IN (8554);
             GRANT SELECT ON cdm.measurement TO reader",
            attached,
        ),
    ] {
        place.execute(prepare).await;
        // The first piece waits, while others are read: for a row that the study's own conditions let through.
        place
            .execute(
                "CREATE POLICY waited ON cdm.measurement USING (cdm.waited(measurement_id));
                 ALTER TABLE cdm.measurement ENABLE ROW LEVEL SECURITY",
            )
            .await;
        let store = place.open().await.expect("an open store");
        assert_eq!(ask(&store, COUNTS.0, COUNTS.1).await.expect("counts"), counted_there(&place).await);
        blocker.rows("SELECT pg_advisory_lock(1)").await.expect("locked");
        let coming = async {
            let waits = "SELECT FROM pg_stat_activity WHERE usename = 'reader' AND wait_event_type = 'Lock'";
            while place.admin.rows(waits).await.expect("activity").is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            place.execute(attach).await;
            blocker.rows("SELECT pg_advisory_unlock(1)").await.expect("free");
        };
        let (asked, ()) = tokio::join!(ask(&store, COUNTS.0, COUNTS.1), coming);
        match asked {
            Err(CohortError::Store(StoreError::Database(DatabaseError::Changed { what }))) => {
                assert_eq!(what, "cdm.measurement");
            }
            other => panic!("{attach}: {other:?}"),
        }
        assert_eq!(ask(&store, COUNTS.0, COUNTS.1).await.expect("counts"), counted_there(&place).await, "{attach}");
    }
}

/// A view has no parts; what it is made of has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_comes_below_a_view_is_noticed() {
    let Some(mut place) = start(&[]).await else { return };
    measurements(&place, 5, 50).await;
    place
        .execute(
            "CREATE TABLE cdm.more (LIKE cdm.measurement); INSERT INTO cdm.more SELECT * FROM cdm.measurement;
             UPDATE cdm.more SET unit_concept_id = 1;
             ALTER TABLE cdm.measurement RENAME TO old;
             CREATE TABLE cdm.parted (LIKE cdm.old) PARTITION BY LIST (unit_concept_id);
             ALTER TABLE cdm.parted ATTACH PARTITION cdm.old FOR VALUES IN (8554);
             CREATE VIEW cdm.between AS SELECT * FROM cdm.parted;
             CREATE VIEW cdm.measurement AS SELECT * FROM cdm.between;
             CREATE TABLE cdm.concept AS SELECT DISTINCT measurement_concept_id AS concept_id FROM cdm.old;
             CREATE FUNCTION cdm.waited() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
                 PERFORM pg_advisory_xact_lock_shared(1); RETURN true;
             END $$;
             CREATE POLICY waited ON cdm.concept USING (cdm.waited()); ALTER TABLE cdm.concept ENABLE ROW LEVEL SECURITY;
             GRANT SELECT ON cdm.measurement, cdm.concept TO reader",
        )
        .await;
    let store = place.open().await.expect("an open store");
    let sql = "SELECT m.person_id AS subject, count(*) AS n FROM measurement m JOIN concept c
               ON c.concept_id = m.measurement_concept_id GROUP BY m.person_id";
    let before = ask(&store, sql, &["n"]).await.expect("counts");
    // The keys of CONCEPT are counted first, since no index of it says that there is one row of each.
    let blocker = place.server.connect().await;
    blocker.rows("SELECT pg_advisory_lock(1)").await.expect("locked");
    let coming = async {
        let waits = "SELECT FROM pg_stat_activity WHERE usename = 'reader' AND wait_event_type = 'Lock'";
        while place.admin.rows(waits).await.expect("activity").is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        place.execute("ALTER TABLE cdm.parted ATTACH PARTITION cdm.more FOR VALUES IN (1)").await;
        blocker.rows("SELECT pg_advisory_unlock(1)").await.expect("free");
    };
    let (asked, ()) = tokio::join!(ask(&store, sql, &["n"]), coming);
    match asked {
        Err(CohortError::Store(StoreError::Database(DatabaseError::Changed { what }))) => {
            assert_eq!(what, "cdm.measurement");
        }
        other => panic!("{other:?}"),
    }
    assert_ne!(ask(&store, sql, &["n"]).await.expect("counts"), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_nobody_waits_for_does_not_go_on() {
    let Some(place) = start(&[]).await else { return };
    measurements(&place, 5, 50).await;
    place
        .execute(
            "CREATE FUNCTION cdm.slow(bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS
                 $$ BEGIN IF current_query() LIKE 'FETCH%' THEN PERFORM pg_sleep(40); END IF; RETURN $1; END $$;
             ALTER TABLE cdm.measurement RENAME TO m; CREATE VIEW cdm.measurement AS
                 SELECT person_id, cdm.slow(measurement_concept_id) AS measurement_concept_id FROM cdm.m;
             GRANT SELECT ON cdm.measurement TO reader; ALTER ROLE reader SET client_connection_check_interval = '200ms'",
        )
        .await;
    let store = place.open().await.expect("an open store");
    let sql = "SELECT person_id AS subject, max(measurement_concept_id) AS n FROM measurement GROUP BY person_id";
    let there = async |state: &str| {
        let sql = format!("SELECT FROM pg_stat_activity WHERE usename = 'reader' {state}");
        place.admin.rows(&sql).await.expect("activity").len()
    };
    let begun = async {
        while there("AND query LIKE 'FETCH%' AND state = 'active'").await == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        rows = ask(&store, sql, &["n"]) => panic!("{rows:?}"),
        () = begun => {}
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while there("").await > 0 {
        assert!(Instant::now() < deadline, "it goes on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
