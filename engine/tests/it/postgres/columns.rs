//! Columns and tables that cannot be read are closed by themselves, and no value stands in a message.

use consilium_engine::cohort::CohortError;
use consilium_engine::store::{DatabaseError, Store, StoreError, StoreSummary, TableSummary};

use super::{database_error, measurements, start};
use crate::exports::ask;

/// What is said of a column that the role may not read: the statement itself stands with the others.
const UNGRANTED: &str =
    "the role `reader` may not read it; the grant is among those that `consilium doctor` prints of the database";

fn table<'a>(summary: &'a StoreSummary, name: &str) -> &'a TableSummary {
    let table = summary.tables.iter().find(|table| table.name == name);
    table.unwrap_or_else(|| panic!("{name}: {:?}", summary.unreadable))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_closed_by_itself() {
    let Some(place) = start(&[]).await else { return };
    place
        .execute(
            "CREATE TABLE cdm.person (person_id text, gender_concept_id text, year_of_birth numeric, month_of_birth json,
                 race_concept_id double precision, person_source_value text);
             INSERT INTO cdm.person VALUES ('1', '8507', 1950, '{}', 1, 'CANARY'), ('2', 'CANARY', 1950.5, '{}', 'NaN', 'CANARY');
             CREATE TABLE cdm.condition_occurrence (condition_occurrence_id bigint, person_id bigint, condition_concept_id int,
                 condition_start_date date, condition_end_date date, condition_start_datetime timestamp,
                 condition_end_datetime timestamptz);
             INSERT INTO cdm.condition_occurrence VALUES
                 (1, 1, 7, 'infinity', '2020-01-01', '9999-12-31 23:59:59.999999', '2020-01-01 23:30:00-05'),
                 (2, 1, 7, '-infinity', '10000-01-01', '2020-01-01', '0001-01-01 00:00:00 BC'),
                 (3, 2, 7, '2020-01-01', NULL, NULL, NULL);
             CREATE TABLE cdm.visit_occurrence (visit_occurrence_id bigint, person_id text, visit_concept_id int);
             INSERT INTO cdm.visit_occurrence VALUES (1, 'CANARY', 9);
             CREATE TABLE cdm.death (person_id int, death_date date);
             CREATE TABLE cdm.concept (concept_id int, concept_name text, domain_id char(20));
             INSERT INTO cdm.concept VALUES (7, ' a name ', 'Condition'), (8, '\\N', 'x');
             CREATE TABLE cdm.drug_exposure (drug_exposure_id int);
             CREATE VIEW cdm.observation AS SELECT 1 AS observation_id, 1 AS person_id, 1 / (person_id::int - 1) AS observation_concept_id,
                 1 / (person_id::int - 7) AS value_as_concept_id FROM cdm.person;
             CREATE TABLE cdm.note (note_id int); CREATE TABLE cdm.mine (x int);
             CREATE TABLE cdm.specimen (specimen_id int, person_id int); CREATE TABLE cdm.\"SPECIMEN\" (specimen_id int, person_id int);
             GRANT SELECT ON ALL TABLES IN SCHEMA cdm TO reader;
             REVOKE SELECT ON cdm.death, cdm.condition_occurrence, cdm.person FROM reader;
             GRANT SELECT (person_id, gender_concept_id, year_of_birth, month_of_birth, race_concept_id, person_source_value)
                 ON cdm.person TO reader;
             GRANT SELECT (person_id, condition_start_date, condition_end_date, condition_start_datetime, condition_end_datetime)
                 ON cdm.condition_occurrence TO reader;",
        )
        .await;
    let store = place.open().await.expect("an open store");
    let summary = store.summary();
    assert!(!format!("{summary:?}").contains("CANARY"), "{summary:?}");
    let person = table(&summary, "person");
    let unreadable: Vec<_> = person.unreadable.iter().map(|c| (c.name.as_str(), c.what.as_str())).collect();
    assert_eq!(
        unreadable,
        [
            ("month_of_birth", "it has values of another type there, not a whole number"),
            ("gender_concept_id", "1 value is not a whole number"),
            ("year_of_birth", "1 value is not a whole number"),
        ]
    );
    assert_eq!(person.readable, ["person_id", "race_concept_id"]);
    assert_eq!((person.rows, person.format, person.file.as_str()), (Some(2), "postgresql", "cdm.person"));
    assert_eq!(person.withheld, ["person_source_value"]);
    let condition = table(&summary, "condition_occurrence");
    let unreadable: Vec<_> = condition.unreadable.iter().map(|c| (c.name.as_str(), c.what.as_str())).collect();
    assert_eq!(unreadable, [("condition_occurrence_id", UNGRANTED), ("condition_concept_id", UNGRANTED),]);
    let mended: Vec<_> = condition.mended.iter().map(|c| (c.name.as_str(), c.what.as_str())).collect();
    assert_eq!(
        mended,
        [
            ("condition_start_date", "2 values are beyond the years 0001 to 9999, read as NULL"),
            ("condition_end_date", "1 value is beyond the years 0001 to 9999, read as NULL"),
            ("condition_end_datetime", "1 value is beyond the years 0001 to 9999, read as NULL"),
            (
                "condition_end_datetime",
                "with a time zone, read as the time in the zone that is set for the role or database"
            ),
        ]
    );
    assert_eq!(condition.date.as_deref(), Some("condition_start_date"));
    let closed: Vec<_> = summary.unreadable.iter().map(|table| (table.name.as_str(), table.kind)).collect();
    assert_eq!(
        closed,
        [
            ("death", "not_granted"),
            ("drug_exposure", "missing_column"),
            ("specimen", "two_sources"),
            ("visit_occurrence", "column"),
        ]
    );
    assert!(!format!("{:?}", summary.unreadable).contains("GRANT"), "a statement stands once, with all others");
    // A view that fails on a row is no less a table.
    let observation = table(&summary, "observation");
    assert_eq!(observation.readable, ["observation_id", "person_id", "value_as_concept_id"]);
    assert!(observation.unreadable[0].what.starts_with("the server cannot hand over every value (SQLSTATE 22012)"));
    let ignored: Vec<&str> = summary.ignored.iter().map(|table| table.name.as_str()).collect();
    assert_eq!(ignored, ["cdm.mine", "cdm.note"]);
    let database = summary.database.expect("a database");
    assert_eq!(
        database.grants,
        [
            "GRANT SELECT (\"condition_occurrence_id\", \"condition_concept_id\", \"ctid\") ON \"cdm\".\"condition_occurrence\" TO \"reader\";",
            "GRANT SELECT (\"person_id\", \"death_date\", \"ctid\") ON \"cdm\".\"death\" TO \"reader\";",
            "GRANT SELECT (\"ctid\") ON \"cdm\".\"person\" TO \"reader\";",
        ]
    );
    assert!(
        database.warnings.iter().any(|warning| warning.contains("cdm.person: person_source_value")),
        "{database:?}"
    );
    let unread = ask(&store, "SELECT person_id AS subject, gender_concept_id AS g FROM person", &["g"]).await;
    assert!(matches!(unread, Err(CohortError::UnreadableColumn { .. })), "{unread:?}");
    let unread = ask(
        &store,
        "SELECT person_id AS subject, max(death_date) - DATE '2000-01-01' AS d FROM death GROUP BY person_id",
        &["d"],
    )
    .await;
    assert!(matches!(unread, Err(CohortError::UnreadableTable { .. })), "{unread:?}");
    for grant in &database.grants {
        place.execute(grant).await;
    }
    let again = place.open().await.expect("an open store").summary();
    assert!(again.database.expect("a database").grants.is_empty(), "the statements are what it takes");

    let failing = "SELECT person_id AS subject, count(value_as_concept_id) AS n FROM observation GROUP BY person_id";
    // The rights have changed meanwhile, so it is opened anew first.
    let changed = ask(&store, failing, &["n"]).await;
    assert!(
        matches!(&changed, Err(CohortError::Store(StoreError::Database(DatabaseError::Changed { .. })))),
        "{changed:?}"
    );
    let store = place.open().await.expect("an open store");
    place.execute("INSERT INTO cdm.person VALUES ('7')").await;
    let failed = ask(&store, failing, &["n"]).await.expect_err("a division by zero");
    let CohortError::Store(StoreError::Database(error)) = &failed else { panic!("{failed}") };
    assert!(
        matches!(error, DatabaseError::Value { what, state } if what == "cdm.observation" && state == "22012"),
        "{error}"
    );
    assert!(failed.depends_on_data(), "nobody else is told");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_that_change_later_end_the_study_and_not_its_truth() {
    let Some(place) = start(&[]).await else { return };
    measurements(&place, 5, 50).await;
    place.execute("ALTER TABLE cdm.person ALTER year_of_birth TYPE text").await;
    let mut store = place.open().await.expect("an open store");
    let sql = "SELECT person_id AS subject, year_of_birth AS y FROM person";
    assert_eq!(ask(&store, sql, &["y"]).await.expect("rows").len(), 5);

    // Who comes later is there as soon as the store looks, and nobody is counted before.
    place.execute("INSERT INTO cdm.person VALUES (6, 8507, '1999')").await;
    assert_eq!(ask(&store, sql, &["y"]).await.expect("rows").len(), 5);
    assert!(store.renew().await.expect("people"));
    assert!(!store.renew().await.expect("people"), "the same as before");
    assert_eq!(ask(&store, sql, &["y"]).await.expect("rows").len(), 6);

    let is_changed = |error: CohortError| {
        let CohortError::Store(StoreError::Database(error)) = error else { panic!("{error}") };
        assert!(matches!(error, DatabaseError::Changed { .. }), "{error}");
        assert!(!error.to_string().contains("CANARY"), "{error}");
    };
    place.execute("UPDATE cdm.person SET year_of_birth = 'CANARY' WHERE person_id = 3").await;
    is_changed(ask(&store, sql, &["y"]).await.expect_err("another value"));
    let store = place.open().await.expect("an open store");
    let unread = ask(&store, sql, &["y"]).await;
    assert!(matches!(unread, Err(CohortError::UnreadableColumn { .. })), "{unread:?}");
    // A day that is none is none whenever it comes, also for the server.
    let days = "SELECT person_id AS subject, max(measurement_date) - DATE '2000-01-01' AS d FROM measurement GROUP BY person_id";
    assert_eq!(ask(&store, days, &["d"]).await.expect("rows").len(), 5);
    place.execute("UPDATE cdm.measurement SET measurement_date = 'infinity' WHERE measurement_id = 7").await;
    assert_eq!(ask(&store, days, &["d"]).await.expect("rows").len(), 5);
    let undated =
        "SELECT person_id AS subject, count(*) AS n FROM measurement WHERE measurement_date IS NULL GROUP BY person_id";
    assert_eq!(ask(&store, undated, &["n"]).await.expect("rows"), ["1"]);
    // So do types, tables and rights.
    place.execute("DELETE FROM cdm.measurement WHERE measurement_id = 7").await;
    let store = place.open().await.expect("an open store");
    place.execute("ALTER TABLE cdm.measurement ALTER unit_concept_id TYPE text").await;
    is_changed(ask(&store, days, &["d"]).await.expect_err("another type"));
    let store = place.open().await.expect("an open store");
    place.execute("REVOKE SELECT (value_as_number) ON cdm.measurement FROM reader").await;
    is_changed(ask(&store, days, &["d"]).await.expect_err("a right less"));
    let store = place.open().await.expect("an open store");
    place.execute("DROP TABLE cdm.measurement").await;
    is_changed(ask(&store, days, &["d"]).await.expect_err("a table less"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_without_an_id_of_their_own_are_no_store() {
    let Some(place) = start(&[]).await else { return };
    let of = |error: StoreError| error.kind();
    let nothing = place.open().await.expect_err("nothing");
    assert_eq!(nothing.kind(), "no_person");
    assert!(nothing.to_string().contains("the URL names the right database"), "{nothing}");
    place.execute("CREATE TABLE cdm.person (person_id numeric, gender_concept_id int); INSERT INTO cdm.person VALUES (1.0, 1), (1.00, 1)").await;
    let error = place.open().await.expect_err("no right");
    assert!(
        matches!(&error, StoreError::Database(DatabaseError::NotGranted { grant, .. })
        if grant == "GRANT SELECT (\"person_id\", \"gender_concept_id\", \"ctid\") ON \"cdm\".\"person\" TO \"reader\";"),
        "{error}"
    );
    place.execute("GRANT SELECT ON cdm.person TO reader").await;
    assert_eq!(of(place.open().await.expect_err("one id twice")), "duplicate_person");
    place.execute("UPDATE cdm.person SET person_id = NULL WHERE ctid = '(0,1)'").await;
    assert_eq!(of(place.open().await.expect_err("no id")), "null_person");
    place.execute("UPDATE cdm.person SET person_id = 2.5 WHERE person_id IS NULL").await;
    assert_eq!(of(place.open().await.expect_err("a fraction")), "column");
    place.execute("UPDATE cdm.person SET person_id = 2 WHERE person_id = 2.5").await;
    assert!(place.open().await.is_ok());
    place.execute("REVOKE USAGE ON SCHEMA cdm FROM reader").await;
    let error = database_error(place.open().await.expect_err("no right"));
    assert!(
        matches!(&error, DatabaseError::NotGranted { grant, .. } if grant == "GRANT USAGE ON SCHEMA \"cdm\" TO \"reader\";"),
        "{error}"
    );
    place.execute("DROP SCHEMA cdm CASCADE").await;
    assert_eq!(of(place.open().await.expect_err("no schema")), "no_schema");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_names_another_schema_is_told_which_may_be_meant() {
    let Some(place) = start(&[]).await else { return };
    let said = async |schema: &str| {
        let folder = place.server.folder().display();
        let text = format!("url = \"postgresql://reader@/postgres?host={folder}\"\nschema = \"{schema}\"\n");
        let opened = Store::open(&toml::from_str(&text).expect("a store"), &[]).await;
        let said = opened.expect_err(schema).to_string();
        assert!(!said.contains("[store]"), "there may be no configuration: {said}");
        said
    };
    assert!(said("cmd").await.contains("no other schema has a table `person`"));
    assert!(said("CDM").await.ends_with("no schema `CDM`; correct `schema`: there is `cdm`, and capitals count"));
    place.execute("CREATE TABLE cdm.person (person_id int)").await;
    assert!(said("cmd").await.ends_with("no schema `cmd`; correct `schema`: `cdm` has a table `person`"));
    assert!(said("public").await.ends_with("no table `person`; correct `schema`: `cdm` has a table `person`"));
    place.execute("CREATE SCHEMA other; CREATE VIEW other.\"PERSON\" AS SELECT 1 AS person_id").await;
    assert!(said("cmd").await.ends_with("`cdm`, `other` have a table `person`"));
    for more in 1..=4 {
        place.execute(&format!("CREATE SCHEMA more{more}; CREATE TABLE more{more}.person (person_id int)")).await;
    }
    assert!(said("cmd").await.ends_with("6 others have a table `person`"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_may_more_than_read_is_told_of() {
    let Some(place) = start(&[]).await else { return };
    measurements(&place, 3, 10).await;
    let warnings = async |user: &str| {
        let store = place.open_as(user, "").await.expect("an open store");
        store.summary().database.expect("a database").warnings
    };
    assert_eq!(warnings("reader").await, [""; 0], "it may read, column by column");
    let all = warnings("oracle").await;
    assert!(all.iter().any(|warning| warning.contains("superuser")), "{all:?}");
    place.execute("CREATE ROLE writer LOGIN BYPASSRLS CREATEDB; GRANT USAGE, CREATE ON SCHEMA cdm TO writer").await;
    place.execute("GRANT SELECT ON ALL TABLES IN SCHEMA cdm TO writer; GRANT UPDATE (gender_concept_id) ON cdm.person TO writer").await;
    let all = warnings("writer").await.join("\n");
    for what in [
        "write to 1 table",
        "BYPASSRLS",
        "REVOKE CREATE",
        "make roles or databases",
        "cdm.measurement: value_source_value",
    ] {
        assert!(all.contains(what), "{what}: {all}");
    }
    place
        .execute(
            "ALTER TABLE cdm.person ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON cdm.person USING (person_id < 3)",
        )
        .await;
    let all = warnings("reader").await.join("\n");
    assert!(all.contains("hide rows of cdm.person"), "{all}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mark_for_no_value_is_a_text() {
    let Some(place) = start(&[]).await else { return };
    place
        .execute(
            "CREATE TABLE cdm.person (person_id int, gender_concept_id int, race_concept_id numeric, year_of_birth text,
                 ethnicity_concept_id double precision, month_of_birth numeric);
             INSERT INTO cdm.person VALUES (1, -9, -9, '-9', -9, 'NaN');
             CREATE TABLE cdm.observation (observation_id int, person_id int, value_as_number numeric);
             INSERT INTO cdm.observation VALUES (1, 1, -9);
             GRANT SELECT ON ALL TABLES IN SCHEMA cdm TO reader",
        )
        .await;
    let store = place.open_as("reader", "nulls = [\"-9\"]\n").await.expect("an open store");
    let columns = ["gender_concept_id", "race_concept_id", "year_of_birth", "ethnicity_concept_id", "month_of_birth"];
    let sql = format!("SELECT person_id AS subject, {} FROM person", columns.join(", "));
    assert_eq!(ask(&store, &sql, &columns).await.expect("rows"), ["-9 -9  -9 "], "{:?}", store.summary());
    let sql = "SELECT person_id AS subject, max(value_as_number) AS n FROM observation GROUP BY person_id";
    assert_eq!(ask(&store, sql, &["n"]).await.expect("rows"), ["-9.0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_domain_is_what_it_is_made_of() {
    let Some(place) = start(&[]).await else { return };
    place
        .execute(
            "CREATE TYPE cdm.word AS ENUM ('Condition', 'Drug'); CREATE DOMAIN cdm.own_word AS cdm.word;
             CREATE DOMAIN cdm.own_number AS int; CREATE DOMAIN cdm.number AS cdm.own_number;
             CREATE DOMAIN cdm.pair AS int[];
             CREATE TABLE cdm.person (person_id cdm.number, gender_concept_id cdm.number, race_concept_id cdm.pair);
             INSERT INTO cdm.person VALUES (1, 7, '{1}'), (2, 8, '{1}');
             CREATE TABLE cdm.concept (concept_id cdm.number, domain_id cdm.own_word, vocabulary_id cdm.word);
             INSERT INTO cdm.concept VALUES (7, 'Condition', 'Drug'), (8, 'Drug', 'Drug');
             GRANT SELECT ON ALL TABLES IN SCHEMA cdm TO reader",
        )
        .await;
    let store = place.open().await.expect("an open store");
    let summary = store.summary();
    assert_eq!(table(&summary, "concept").readable, ["concept_id", "domain_id", "vocabulary_id"], "{summary:?}");
    assert_eq!(table(&summary, "person").unreadable.len(), 1, "an array is not read");
    let sql = "SELECT p.person_id AS subject, p.gender_concept_id AS g FROM person p JOIN concept c
               ON c.concept_id = p.gender_concept_id WHERE c.domain_id = 'Drug'";
    assert_eq!(ask(&store, sql, &["g"]).await.expect("rows"), ["8"]);
}

/// A view's function may fail with whatever code it makes up, of a row's values, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_that_is_none_of_the_server_s_own_is_not_said() {
    let Some(place) = start(&[]).await else { return };
    place
        .execute(
            "CREATE TABLE cdm.person (person_id int, gender_concept_id int); INSERT INTO cdm.person VALUES (4321, 1);
             CREATE FUNCTION cdm.odd(int) RETURNS int LANGUAGE plpgsql STABLE AS
                 $$ BEGIN RAISE 'CANARY' USING ERRCODE = 'P' || lpad($1::text, 4, '7'); END $$;
             CREATE VIEW cdm.observation AS SELECT person_id,
                 CASE gender_concept_id WHEN 2 THEN cdm.odd(person_id) END AS observation_concept_id FROM cdm.person;
             CREATE VIEW cdm.specimen AS SELECT person_id, cdm.odd(person_id)::numeric AS specimen_concept_id FROM cdm.person;
             GRANT SELECT ON ALL TABLES IN SCHEMA cdm TO reader",
        )
        .await;
    let store = place.open().await.expect("an open store");
    let summary = store.summary();
    assert_eq!(closed_columns(&store), ["specimen.specimen_concept_id"]);
    place.execute("UPDATE cdm.person SET gender_concept_id = 2").await;
    let sql = "SELECT person_id AS subject, max(observation_concept_id) AS n FROM observation GROUP BY person_id";
    let failed = ask(&store, sql, &["n"]).await.expect_err("it fails");
    for said in [format!("{summary:?}"), failed.to_string(), format!("{failed:?}")] {
        assert!(!said.contains("4321") && !said.contains("CANARY"), "{said}");
    }
}

/// The names of columns that are closed, of all tables.
fn closed_columns(store: &Store) -> Vec<String> {
    let summary = store.summary();
    assert!(summary.unreadable.is_empty(), "{summary:?}");
    let of = |table: &TableSummary| -> Vec<String> {
        table.unreadable.iter().map(|column| format!("{}.{}", table.name, column.name)).collect()
    };
    summary.tables.iter().flat_map(of).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_view_computes_closes_a_column_and_fails_whatever_the_filter() {
    let Some(place) = start(&[]).await else { return };
    place
        .execute(
            "CREATE SCHEMA raw; CREATE TABLE raw.lab (id int, p int, code text, d date, v text);
             CREATE TABLE raw.map (code text, concept int);
             INSERT INTO raw.map SELECT 'c' || n, n FROM generate_series(1, 20) n;
             INSERT INTO raw.lab SELECT n, n % 40 + 1, 'c' || n % 20 + 1, '2020-01-01', n % 7 FROM generate_series(1, 2000) n;
             INSERT INTO raw.lab SELECT 0, 1, 'unmapped', '2020-01-01', 'CANARY' FROM generate_series(1, 50);
             CREATE TABLE cdm.person (person_id int, year_of_birth int, month_of_birth text);
             INSERT INTO cdm.person SELECT n, 1950 + n FROM generate_series(1, 40) n;
             CREATE VIEW cdm.measurement AS SELECT l.id AS measurement_id, l.p AS person_id, m.concept AS measurement_concept_id,
                 l.d AS measurement_date, l.v::int AS value_as_concept_id, 1 / (l.id - 3) AS unit_concept_id,
                 CASE WHEN l.id = 3 THEN 'CANARY' ELSE '1' END::int AS operator_concept_id
                 FROM raw.lab l JOIN raw.map m USING (code);
             GRANT SELECT ON ALL TABLES IN SCHEMA cdm TO reader; ANALYZE",
        )
        .await;
    let store = place.open().await.expect("an open store");
    assert_eq!(closed_columns(&store), ["measurement.operator_concept_id", "measurement.unit_concept_id"]);
    // The server would look at the value before the map, and so at rows that the view does not have.
    let sql =
        "SELECT m.person_id AS subject, count(*) AS n FROM measurement m JOIN person p ON p.person_id = m.person_id
               WHERE m.value_as_concept_id = 5 AND p.year_of_birth < 1953 GROUP BY m.person_id";
    assert_eq!(ask(&store, sql, &["n"]).await.expect("rows"), ["7", "8"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_column_that_the_server_cannot_hand_over_closes_itself() {
    let Some(place) = start(&[]).await else { return };
    let folder = place.server.folder().display();
    // A byte that is no text, and one that has no place in UTF-8.
    for (encoding, byte, name) in [("SQL_ASCII", 233, "raw"), ("WIN1252", 129, "old")] {
        place
            .execute(&format!(
                "CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
            ))
            .await;
        let mut own = tokio_postgres::Config::new();
        own.host_path(place.server.folder()).user("oracle").dbname(name);
        let (admin, connection) = own.connect(tokio_postgres::NoTls).await.expect("a connection");
        tokio::spawn(connection);
        admin
            .batch_execute(&format!(
                "CREATE SCHEMA cdm; GRANT USAGE ON SCHEMA cdm TO reader;
                 CREATE TABLE cdm.person (person_id int, gender_concept_id int, year_of_birth text);
                 INSERT INTO cdm.person VALUES (1, 8507, '1950'), (2, 8507, convert_from('\\x{byte:x}', '{encoding}'));
                 CREATE TABLE cdm.concept (concept_id int, concept_name text, domain_id text);
                 INSERT INTO cdm.concept VALUES (1, 'a', 'b'), (2, convert_from('\\x{byte:x}', '{encoding}'), 'b');
                 GRANT SELECT ON ALL TABLES IN SCHEMA cdm TO reader"
            ))
            .await
            .expect("tables");
        let text = format!("url = \"postgresql://reader@/{name}?host={folder}\"\nschema = \"cdm\"\n");
        let store = Store::open(&toml::from_str(&text).expect("a store"), &[]).await.expect("an open store");
        assert_eq!(closed_columns(&store), ["concept.concept_name", "person.year_of_birth"], "{encoding}");
        let sql = "SELECT p.person_id AS subject, p.gender_concept_id AS g FROM person p
                   WHERE EXISTS (SELECT 1 FROM concept WHERE domain_id = 'b')";
        assert_eq!(ask(&store, sql, &["g"]).await.expect("rows"), ["8507", "8507"], "{encoding}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ends_of_a_type_are_read_as_of_a_file() {
    let Some(place) = start(&[]).await else { return };
    place
        .execute(
            "CREATE TABLE cdm.person (person_id int); INSERT INTO cdm.person SELECT generate_series(1, 4);
             CREATE TABLE cdm.condition_occurrence (person_id int, condition_start_datetime timestamptz);
             INSERT INTO cdm.condition_occurrence VALUES (1, '294276-12-31 23:59:59.999999+00'), (2, '4714-11-24 00:00+00 BC'),
                 (3, '9999-12-31 12:00+00'), (4, 'infinity');
             CREATE TABLE cdm.observation (person_id int, value_as_number real);
             INSERT INTO cdm.observation VALUES (1, 0.1), (2, 1e38), (3, 1e-45), (4, 'NaN'), (4, -16777216);
             CREATE TABLE cdm.measurement (person_id int, value_as_number numeric, range_low numeric);
             INSERT INTO cdm.measurement VALUES (1, -1e309, 1e308), (1, 'NaN', 'NaN'), (1, 10::numeric ^ 400, -1e308);
             GRANT SELECT ON ALL TABLES IN SCHEMA cdm TO reader",
        )
        .await;
    for zone in ["Europe/Berlin", "America/New_York", "Pacific/Kiritimati"] {
        place.execute(&format!("ALTER ROLE reader SET timezone = '{zone}'")).await;
        let store = place.open().await.expect("an open store");
        assert_eq!(closed_columns(&store), ["measurement.value_as_number"]);
        assert_eq!(table(&store.summary(), "measurement").unreadable[0].what, "2 values are not a number");
        let sql = "SELECT person_id AS subject, max(EXTRACT(YEAR FROM condition_start_datetime)) AS y FROM condition_occurrence
                   GROUP BY person_id";
        let last = if zone.starts_with("Pacific") { "" } else { "9999" };
        let mut years = ask(&store, sql, &["y"]).await.expect("rows");
        years.sort();
        assert_eq!(years, ["", "", "", last], "{zone}");
        let sql = "SELECT person_id AS subject, min(value_as_number) AS x FROM observation
                   WHERE value_as_number IN (0.1, 1e38, 1e-45, -16777216) GROUP BY person_id";
        assert_eq!(ask(&store, sql, &["x"]).await.expect("rows").len(), 4, "a single is what is written of it");
        let sql = "SELECT person_id AS subject, max(range_low) AS x FROM measurement GROUP BY person_id";
        assert_eq!(ask(&store, sql, &["x"]).await.expect("rows"), ["1e308"]);
    }
}

/// Loaders make and drop tables in the same schema all day long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_dropped_meanwhile_is_not_there() {
    let Some(place) = start(&[]).await else { return };
    place
        .execute(
            "CREATE TABLE cdm.person (person_id int, gender_concept_id int); INSERT INTO cdm.person VALUES (1, 8507);
             GRANT SELECT ON cdm.person TO reader",
        )
        .await;
    let loading = async {
        loop {
            // Each in a transaction of its own, or nobody would see the table.
            place.execute("CREATE TABLE cdm.stage (a int, b int, c int, d int, e int)").await;
            place.execute("DROP TABLE cdm.stage").await;
        }
    };
    let opening = async {
        for _ in 0..40 {
            let store = place.open().await.expect("an open store");
            assert_eq!(
                ask(&store, "SELECT person_id AS subject, gender_concept_id AS g FROM person", &["g"])
                    .await
                    .expect("rows"),
                ["8507"]
            );
        }
    };
    tokio::select! {
        () = loading => {}
        () = opening => {}
    }
}
