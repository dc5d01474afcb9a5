//! That no two rows share a key is so in every study, and not only when the tables were opened.

use std::fs;

use consilium_engine::cohort::CohortError;
use consilium_engine::store::{DatabaseError, Store, StoreError};

use super::{Hospital, start};
use crate::exports::ask;

/// One row a patient, by the catalogue.
const REGISTRY: (&str, &[&str]) = ("SELECT patient AS subject, stage AS x FROM registry", &["x"]);
/// One row a patient, since a concept has one.
const CONCEPT: (&str, &[&str]) = (
    "SELECT p.person_id AS subject, c.concept_id AS c FROM person p JOIN concept c ON c.concept_id = p.gender_concept_id",
    &["c"],
);
const PERSON: (&str, &[&str]) = ("SELECT person_id AS subject, gender_concept_id AS g FROM person", &["g"]);

/// Tables without an index, with keys of these types.
async fn keyed(place: &Hospital, patient: &str, concept: &str) {
    let sql = format!(
        "DROP SCHEMA IF EXISTS cdm CASCADE; CREATE SCHEMA cdm; GRANT USAGE ON SCHEMA cdm TO reader;
         CREATE TABLE cdm.person (person_id integer, gender_concept_id integer);
         INSERT INTO cdm.person SELECT n, 8507 FROM generate_series(1, 3) n;
         CREATE TABLE cdm.registry (patient {patient}, stage integer);
         INSERT INTO cdm.registry VALUES ('1', 1), ('2', 0), (NULL, 5), (NULL, 6);
         CREATE TABLE cdm.concept (concept_id {concept}, concept_name text);
         INSERT INTO cdm.concept VALUES ('8507', 'one'), ('8532', 'another');
         GRANT SELECT ON ALL TABLES IN SCHEMA cdm TO reader"
    );
    place.execute(&sql).await;
}

async fn rows(store: &Store, (sql, columns): (&str, &[&str])) -> usize {
    ask(store, sql, columns).await.unwrap_or_else(|error| panic!("{error}: {sql}")).len()
}

async fn changed(store: &Store, (sql, columns): (&str, &[&str])) -> String {
    match ask(store, sql, columns).await {
        Err(CohortError::Store(StoreError::Database(DatabaseError::Changed { what }))) => what,
        other => panic!("{other:?}: {sql}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_row_of_one_key_ends_the_study() {
    let Some(place) = start(&[]).await else { return };
    keyed(&place, "integer", "integer").await;
    let store = place.open().await.expect("an open store");
    for (question, count) in [(REGISTRY, 2), (CONCEPT, 3), (PERSON, 3)] {
        assert_eq!(rows(&store, question).await, count);
    }
    place
        .execute(
            "INSERT INTO cdm.registry VALUES (2, 3); INSERT INTO cdm.concept VALUES (8507, 'twice');
             INSERT INTO cdm.person VALUES (2, 8532)",
        )
        .await;
    assert_eq!(changed(&store, REGISTRY).await, "cdm.registry");
    assert_eq!(changed(&store, PERSON).await, "cdm.person");
    place.execute("DELETE FROM cdm.person WHERE gender_concept_id = 8532").await;
    assert_eq!(changed(&store, CONCEPT).await, "cdm.concept");
    assert_eq!(rows(&store, PERSON).await, 3, "what a study does not read does not matter");
    // Opened again, the table is closed, and the vocabulary is one without a key.
    let store = place.open().await.expect("an open store");
    let closed = ask(&store, REGISTRY.0, REGISTRY.1).await;
    assert!(matches!(closed, Err(CohortError::UnreadableTable { .. })), "{closed:?}");
    let several = ask(&store, CONCEPT.0, CONCEPT.1).await;
    assert!(matches!(several, Err(CohortError::SeveralRowsPerSubject { .. })), "{several:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_sees_to_is_not_counted() {
    let Some(place) = start(&["log_statement=all"]).await else { return };
    keyed(&place, "integer", "integer").await;
    let counted = |what: &str| {
        let log = fs::read_to_string(place.server.folder().join("log")).expect("the log");
        log.matches(&format!("count(DISTINCT \"{what}\")")).count()
    };
    let registry = async || {
        let before = counted("patient");
        let store = place.open().await.expect("an open store");
        let found = ask(&store, REGISTRY.0, REGISTRY.1).await.map_err(|error| error.kind());
        (found.map(|rows| rows.len()), counted("patient") - before)
    };
    assert_eq!(registry().await, (Ok(2), 2), "when it is opened, and by the study");
    place.execute("CREATE UNIQUE INDEX one ON cdm.registry (patient) INCLUDE (stage)").await;
    assert_eq!(registry().await, (Ok(2), 0));
    // Once the index is gone, it is counted again, without the tables being opened again.
    let store = place.open().await.expect("an open store");
    place.execute("DROP INDEX cdm.one").await;
    assert_eq!(rows(&store, REGISTRY).await, 2);
    place.execute("INSERT INTO cdm.registry VALUES (2, 3)").await;
    assert_eq!(changed(&store, REGISTRY).await, "cdm.registry");
    // An index over some of the rows, over more than the key, or over one of several tables says nothing.
    let twice = (Err("unreadable_table"), 1);
    place.execute("CREATE UNIQUE INDEX partial ON cdm.registry (patient) WHERE stage > 0").await;
    assert_eq!(registry().await, twice);
    place.execute("CREATE UNIQUE INDEX wider ON cdm.registry (patient, stage)").await;
    assert_eq!(registry().await, twice);
    place.execute("CREATE UNIQUE INDEX computed ON cdm.registry ((10 * patient + stage))").await;
    assert_eq!(registry().await, twice);
    place
        .execute(
            "DELETE FROM cdm.registry WHERE stage = 3; CREATE UNIQUE INDEX one ON cdm.registry (patient);
             CREATE TABLE cdm.more () INHERITS (cdm.registry); INSERT INTO cdm.more VALUES (2, 3);",
        )
        .await;
    assert_eq!(registry().await, twice);
    // One that holds only at a transaction's end may not hold at a moment before it; and a key of a vocabulary is there.
    place
        .execute("DROP TABLE cdm.more; DROP INDEX cdm.one; ALTER TABLE cdm.registry ADD UNIQUE (patient) DEFERRABLE")
        .await;
    assert_eq!(registry().await, (Ok(2), 2));
    let before = counted("concept_id");
    place.execute("CREATE UNIQUE INDEX ON cdm.concept (concept_id)").await;
    assert_eq!(rows(&place.open().await.expect("an open store"), CONCEPT).await, 3);
    assert_eq!(counted("concept_id") - before, 2, "there might be rows without");
    place.execute("ALTER TABLE cdm.concept ADD PRIMARY KEY (concept_id)").await;
    assert_eq!(rows(&place.open().await.expect("an open store"), CONCEPT).await, 3);
    assert_eq!(counted("concept_id") - before, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_one_in_whatever_type_it_is_kept() {
    let Some(place) = start(&[]).await else { return };
    for kept in ["integer", "numeric", "numeric(12, 2)", "double precision", "text", "varchar(9)", "char(9)"] {
        keyed(&place, kept, kept).await;
        if !["integer", "numeric(12, 2)"].contains(&kept) {
            place.execute("INSERT INTO cdm.registry VALUES ('NaN', 7), ('NaN', 8)").await;
        }
        let store = place.open().await.expect("an open store");
        assert_eq!(rows(&store, REGISTRY).await, 2, "{kept}: {:?}", store.summary().unreadable);
        assert_eq!(rows(&store, CONCEPT).await, 3, "{kept}");
        // Read as the same number, it is the same patient.
        let again = if kept == "integer" { "2" } else { "2.0" };
        place.execute(&format!("INSERT INTO cdm.registry VALUES ('{again}', 3)")).await;
        assert_eq!(changed(&store, REGISTRY).await, "cdm.registry", "{kept}");
        let summary = place.open().await.expect("an open store").summary();
        let closed: Vec<_> = summary.unreadable.iter().map(|table| (table.name.as_str(), table.kind)).collect();
        assert_eq!(closed, [("registry", "not_single")], "{kept}");
        // A row of a vocabulary without a key is one of many.
        place.execute("DELETE FROM cdm.registry WHERE stage = 3; INSERT INTO cdm.concept VALUES (NULL, 'none')").await;
        let store = place.open().await.expect("an open store");
        assert_eq!(rows(&store, REGISTRY).await, 2, "{kept}");
        assert!(
            matches!(ask(&store, CONCEPT.0, CONCEPT.1).await, Err(CohortError::SeveralRowsPerSubject { .. })),
            "{kept}"
        );
    }
}
