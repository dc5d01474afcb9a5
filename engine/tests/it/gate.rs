//! What consent closes is never seen: compared with an oracle that knows neither the gate nor the query engine.

use std::collections::BTreeMap;

use consilium_engine::cohort::run;
use consilium_engine::store::Store;
use consilium_protocol::consent::Domain;

use super::hospital::{self, cohort, is_open, link, sorted, tables};

/// Rows of a table that are open, by person.
fn open_rows(name: &str, domain: Domain, date: Option<&str>) -> BTreeMap<i64, Vec<Vec<hospital::Value>>> {
    let tables = tables();
    let table = tables.iter().find(|t| t.name == name).expect("a table");
    let subject = if name == "labs" { "patient" } else { "person_id" };
    let mut open: BTreeMap<i64, Vec<_>> = BTreeMap::new();
    for row in &table.rows {
        let Some(person) = table.int(row, subject) else { continue };
        if is_open(person, domain, date.and_then(|date| table.day(row, date))) {
            open.entry(person).or_default().push(row.clone());
        }
    }
    open
}

async fn every_format() -> Vec<(Store, tempfile::TempDir)> {
    let csv = hospital::open_csv().await;
    let folder = tempfile::tempdir().expect("a folder");
    hospital::write_parquet(folder.path());
    let parquet = hospital::open(folder.path()).await;
    let mut stores = vec![csv, (parquet, folder)];
    for patients in [1, 7] {
        let folder = tempfile::tempdir().expect("a folder");
        hospital::write_csv(folder.path());
        hospital::arrange_in_place(folder.path(), patients).await;
        stores.push((hospital::open(folder.path()).await, folder));
    }
    stores
}

#[tokio::test]
async fn only_open_rows_are_seen_whatever_the_format() {
    let conditions = open_rows("condition_occurrence", Domain::Condition, Some("condition_start_date"));
    let whole = tables().into_iter().find(|t| t.name == "condition_occurrence").expect("a table");
    let mut expected: Vec<String> = conditions
        .values()
        .map(|rows| {
            let codes: i64 = rows.iter().filter_map(|r| whole.int(r, "condition_concept_id")).sum();
            let keys: Vec<i64> = rows.iter().filter_map(|r| whole.int(r, "condition_occurrence_id")).collect();
            format!("{} {codes} {}", rows.len(), keys.len())
        })
        .collect();
    expected.sort();
    assert!(expected.len() > 50 && conditions.len() < 200, "the oracle itself opens and closes");
    let sql = "SELECT person_id AS subject, count(*) AS n, sum(condition_concept_id) AS codes,
                      count(DISTINCT condition_occurrence_id) AS keys
               FROM condition_occurrence GROUP BY person_id";
    for (store, _folder) in every_format().await {
        let cohort = cohort(&store, sql, &["n", "codes", "keys"]).await.expect("a cohort");
        assert_eq!(sorted(&cohort), expected);
        assert_eq!(cohort.rows, expected.len());
    }
}

#[tokio::test]
async fn every_domain_is_closed_by_itself() {
    let queries = [
        ("person", Domain::Person, None, "person_id"),
        ("condition_occurrence", Domain::Condition, Some("condition_start_date"), "person_id"),
        ("measurement", Domain::Measurement, Some("measurement_date"), "person_id"),
        ("visit_occurrence", Domain::Visit, Some("visit_start_date"), "person_id"),
        ("labs", Domain::Measurement, Some("taken"), "patient"),
    ];
    for (store, _folder) in every_format().await {
        for (table, domain, date, subject) in queries {
            let open = open_rows(table, domain, date);
            let mut expected: Vec<String> = open.values().map(|rows| rows.len().to_string()).collect();
            expected.sort();
            let sql = format!("SELECT {subject} AS subject, count(*) AS n FROM {table} GROUP BY {subject}");
            let cohort = cohort(&store, &sql, &["n"]).await.expect("a cohort");
            assert_eq!(sorted(&cohort), expected, "{table}");
        }
    }
}

#[tokio::test]
async fn filters_beside_the_gate_and_joins_above_it_agree_with_the_oracle() {
    let people = open_rows("person", Domain::Person, None);
    let tests = open_rows("measurement", Domain::Measurement, Some("measurement_date"));
    let all = tables();
    let (person, measurement) = (&all[0], &all[2]);
    let from = hospital::day("2014-03-01");
    let mut expected = Vec::new();
    for (id, rows) in &people {
        if person.int(&rows[0], "year_of_birth").is_none_or(|year| year < 1_950) {
            continue;
        }
        let late = |r: &&Vec<hospital::Value>| measurement.day(r, "measurement_date").is_some_and(|d| d >= from);
        let of_them = tests.get(id).into_iter().flatten().filter(late);
        let values: Vec<f64> = of_them
            .filter_map(|r| match measurement.get(r, "value_as_number") {
                hospital::Value::Real(value) => Some(*value),
                _ => None,
            })
            .collect();
        let highest = values.iter().copied().fold(None, |most: Option<f64>, v| Some(most.map_or(v, |m| m.max(v))));
        expected.push(format!("{} {}", values.len(), highest.map(|v| v.to_string()).unwrap_or_default()));
    }
    expected.sort();
    let sql = "SELECT p.person_id AS subject, count(m.value_as_number) AS n, max(m.value_as_number) AS highest
               FROM person p LEFT JOIN measurement m
                 ON m.person_id = p.person_id AND m.measurement_date >= DATE '2014-03-01'
               WHERE p.year_of_birth >= 1950 GROUP BY p.person_id";
    for (store, _folder) in every_format().await {
        assert_eq!(sorted(&cohort(&store, sql, &["n", "highest"]).await.expect("a cohort")), expected);
    }
}

#[tokio::test]
async fn what_has_no_answer_on_a_row_is_null_and_stops_nobody() {
    // Only people without consent are born in month 0, or have codes that are no numbers: 30 of 240.
    let by_zero = "SELECT person_id AS subject, 100 / month_of_birth AS x FROM person WHERE 100 / month_of_birth > 1";
    let no_number = "SELECT patient AS subject, min(CAST(code AS BIGINT)) AS x FROM labs WHERE CAST(code AS BIGINT) > 0
                     GROUP BY patient";
    for (store, _folder) in every_format().await {
        for sql in [by_zero, no_number] {
            let cohort = cohort(&store, sql, &["x"]).await.expect("a cohort");
            assert!(cohort.rows > 20);
            let all = hospital::everybody(&store, &link()).await;
            let all = run(&store, &link(), &all, &hospital::study(sql, &["x"]), &hospital::limits()).await;
            assert_eq!(all.map(|all| all.rows), Ok(210), "{sql}");
        }
    }
}

#[tokio::test]
async fn another_secret_opens_nothing() {
    let (store, _folder) = hospital::open_csv().await;
    let permissions = hospital::permissions(&store, &link()).await;
    let other = consilium_engine::pseudonym::LinkSecret::from_seed([43; 32]);
    let spec = hospital::study("SELECT person_id AS subject FROM person", &[]);
    let cohort = run(&store, &other, &permissions, &spec, &hospital::limits()).await.expect("a cohort");
    assert_eq!(cohort.rows, 0);
    let cohort = run(&store, &link(), &permissions, &spec, &hospital::limits()).await.expect("a cohort");
    assert!(cohort.rows > 0);
}
