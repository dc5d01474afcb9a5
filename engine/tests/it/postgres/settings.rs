//! What the hospital has set for its database and role holds for what its views compute, and changes nothing else.

use std::fs;

use super::{Hospital, dice, start, types};
use crate::exports::{answers, ask, pick};
use crate::hospital;

const ZONES: [&str; 4] = ["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "UTC"];

/// Days as the same role sees them in a session of its own.
async fn days_there(place: &mut Hospital, sql: &str) -> Vec<String> {
    let session = place.server.connect().await;
    session.execute("SET ROLE reader").await.expect("the reader's rights");
    let mut days: Vec<String> =
        session.rows(sql).await.expect("days").into_iter().map(|row| row[0].clone().unwrap_or_default()).collect();
    days.sort();
    days
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_is_the_one_that_the_same_role_sees_elsewhere() {
    let Some(mut place) = start(&["log_statement=all"]).await else { return };
    place
        .execute(
            "CREATE TABLE cdm.person (person_id int, gender_concept_id int); INSERT INTO cdm.person VALUES (1, 1), (2, 1), (3, 1);
             CREATE TABLE cdm.death (person_id int, death_date timestamptz, death_datetime timestamptz(0));
             INSERT INTO cdm.death SELECT n, t, t FROM (VALUES (1, '2020-08-31 22:30:00+00'::timestamptz),
                 (2, '2020-09-01 02:00:00+00'), (3, '2020-12-31 18:20:00+00')) AS v(n, t);
             CREATE VIEW cdm.visit_occurrence AS SELECT person_id, death_date::date AS visit_start_date FROM cdm.death;
             GRANT SELECT ON ALL TABLES IN SCHEMA cdm TO reader",
        )
        .await;
    let mut seen = std::collections::BTreeSet::new();
    for zone in ZONES {
        place.execute(&format!("ALTER DATABASE postgres SET timezone = '{zone}'")).await;
        let store = place.open().await.expect("an open store");
        let of = |column: &str, table: &str| {
            format!(
                "SELECT person_id AS subject, max({column}) - DATE '2000-01-01' AS d FROM {table} GROUP BY person_id"
            )
        };
        let there = days_there(&mut place, "SELECT death_date::date - DATE '2000-01-01' FROM cdm.death").await;
        for (column, table) in [("visit_start_date", "visit_occurrence"), ("death_date", "death")] {
            assert_eq!(ask(&store, &of(column, table), &["d"]).await.expect("days"), there, "{zone} {table}");
            let first = format!(
                "SELECT person_id AS subject, count(*) AS n FROM {table} WHERE {column} = DATE '2020-09-01' GROUP BY person_id"
            );
            let count = there.iter().filter(|day| *day == "7549").count();
            assert_eq!(ask(&store, &first, &["n"]).await.expect("counts").len(), count, "{zone} {table}");
        }
        let late = "SELECT person_id AS subject, count(*) AS n FROM death
                    WHERE death_datetime >= TIMESTAMP '2020-09-01 00:00:00' GROUP BY person_id";
        let sql = "SELECT person_id FROM cdm.death WHERE death_datetime >= '2020-09-01 00:00:00'";
        assert_eq!(ask(&store, late, &["n"]).await.expect("counts").len(), days_there(&mut place, sql).await.len());
        seen.insert(there);
    }
    assert!(seen.len() >= 3, "they differ: {seen:?}");
    // All who read for a study have the zone of the one that holds its moment, also if the setting is another by then.
    let log = fs::read_to_string(place.server.folder().join("log")).expect("the log");
    let joined: Vec<&str> = log.lines().filter(|line| line.contains("SET TRANSACTION SNAPSHOT")).collect();
    let is_set = |line: &&str| ZONES.iter().any(|zone| line.contains(&format!("SET LOCAL TimeZone = E'{zone}'")));
    assert!(joined.len() > 20 && joined.iter().all(is_set), "{joined:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_that_a_view_makes_of_days_are_as_the_hospital_has_set() {
    let Some(place) = start(&[]).await else { return };
    place
        .execute(
            "CREATE TABLE cdm.person (person_id int, gender_concept_id int); INSERT INTO cdm.person VALUES (1, 1);
             CREATE VIEW cdm.observation AS SELECT person_id, split_part(DATE '2020-09-01'::text, '.', 2)::int
                 AS observation_concept_id FROM cdm.person;
             GRANT SELECT ON ALL TABLES IN SCHEMA cdm TO reader; ALTER ROLE reader SET DateStyle = 'German'",
        )
        .await;
    let store = place.open().await.expect("an open store");
    let sql = "SELECT person_id AS subject, max(observation_concept_id) AS c FROM observation GROUP BY person_id";
    assert_eq!(ask(&store, sql, &["c"]).await.expect("rows"), ["9"]);
}

/// Whatever a role has set, rows of tables are the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_setting_of_a_role_changes_what_is_read_of_tables() {
    let Some(mut place) = start(&[]).await else { return };
    let (csv, _folder) = hospital::open_csv().await;
    let expected = answers(&csv).await;
    place
        .execute(
            "CREATE DOMAIN cdm_number AS bigint; CREATE DOMAIN cdm.date AS text; CREATE DOMAIN cdm.int8 AS text;
             CREATE FUNCTION cdm.count(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT 0'",
        )
        .await;
    for setting in [
        "search_path = cdm, pg_catalog",
        "DateStyle = 'SQL, DMY'",
        "IntervalStyle = 'sql_standard'",
        "extra_float_digits = -15",
        "bytea_output = 'escape'",
        "client_encoding = 'LATIN1'",
        "standard_conforming_strings = off",
        "backslash_quote = off",
        "transform_null_equals = on",
        "quote_all_identifiers = on",
        "lc_numeric = 'C'",
        "default_transaction_isolation = 'serializable'",
        "default_transaction_read_only = on",
        "default_transaction_deferrable = on",
        "statement_timeout = '60s'",
        "lock_timeout = '1ms'",
        "idle_in_transaction_session_timeout = '1ms'",
        "row_security = off",
        "plan_cache_mode = 'force_generic_plan'",
        "enable_tidscan = off",
        "client_min_messages = 'debug5'",
    ] {
        place.execute(&format!("ALTER ROLE reader SET {setting}")).await;
    }
    // The days are written in the reader's zone.
    place.execute("ALTER DATABASE postgres SET timezone = 'Pacific/Auckland'").await;
    place.admin = place.server.connect().await;
    let mut dice = dice(7);
    for table in &hospital::tables() {
        let types = types(table, &mut |_, types| {
            if types.contains(&"timestamptz") { "timestamptz" } else { pick(&mut dice, types) }
        });
        place.table(table, &types).await;
    }
    let store = place.open().await.expect("an open store");
    assert_eq!(answers(&store).await, expected);
}
