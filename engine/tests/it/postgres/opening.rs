//! What goes wrong with one table while the tables are opened closes that one.

use std::io;
use std::os::unix::net::UnixStream as Pipe;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use consilium_engine::store::{Access, Dial, Socket, Store, StoreSummary};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::{Hospital, measurements, start};
use crate::exports::ask;

const PEOPLE: (&str, &[&str]) = ("SELECT person_id AS subject, gender_concept_id AS g FROM person", &["g"]);

fn closed(summary: &StoreSummary) -> Vec<(&str, &str)> {
    summary.unreadable.iter().map(|table| (table.name.as_str(), table.kind)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_or_foreign_table_that_fails_closes_itself() {
    let Some(place) = start(&[]).await else { return };
    measurements(&place, 5, 50).await;
    place
        .execute(
            "SET search_path = cdm; CREATE TABLE helper (x int); INSERT INTO helper VALUES (1);
             CREATE FUNCTION helped() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT x FROM helper';
             CREATE VIEW death AS SELECT person_id, DATE '2020-01-01' AS death_date FROM person WHERE helped() = 1;
             CREATE FUNCTION missed() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN nowhere.f(); END';
             CREATE VIEW observation AS SELECT person_id, 1 AS observation_concept_id FROM person WHERE missed() = 1;
             CREATE VIEW visit_occurrence AS SELECT person_id, 9 AS visit_concept_id FROM person, pg_sleep(30);
             GRANT SELECT ON ALL TABLES IN SCHEMA cdm TO reader; ALTER ROLE reader SET statement_timeout = '1s'",
        )
        .await;
    let mut expected = vec![
        ("death", "database_refused"),
        ("observation", "database_refused"),
        ("visit_occurrence", "database_cancelled"),
    ];
    let has_foreign = place.admin.rows("SELECT FROM pg_available_extensions WHERE name = 'postgres_fdw'").await;
    if !has_foreign.expect("extensions").is_empty() {
        place
            .execute(
                "CREATE EXTENSION postgres_fdw;
                 CREATE SERVER gone FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '/nowhere', dbname 'x');
                 CREATE FOREIGN TABLE cdm.drug_exposure (person_id int) SERVER gone;
                 CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '/nowhere', dbname 'x');
                 CREATE USER MAPPING FOR reader SERVER gone OPTIONS (user 'x', password_required 'false');
                 CREATE FOREIGN TABLE cdm.device_exposure (person_id int) SERVER other;
                 GRANT SELECT ON ALL TABLES IN SCHEMA cdm TO reader",
            )
            .await;
        expected.extend([("device_exposure", "database_refused"), ("drug_exposure", "database_foreign")]);
        expected.sort_unstable();
    }
    let store = place.open().await.expect("an open store");
    let summary = store.summary();
    assert_eq!(closed(&summary), expected, "{summary:?}");
    assert_eq!(ask(&store, PEOPLE.0, PEOPLE.1).await.expect("rows").len(), 5, "the others are open");
    assert!(summary.tables.iter().any(|table| table.name == "measurement"));
}

/// A role's connections are as many as a study needs and no more: those of a table that failed are waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_fails_in_the_middle_takes_no_other_with_it() {
    let Some(place) = start(&[]).await else { return };
    place
        .execute(
            "CREATE TABLE cdm.person (person_id int, gender_concept_id int); INSERT INTO cdm.person VALUES (1, 8507);
             CREATE TABLE cdm.measurement (measurement_id int, person_id text, filler text);
             INSERT INTO cdm.measurement SELECT n, '1', repeat('x', 400) FROM generate_series(1, 40000) n;
             CREATE TABLE cdm.observation (LIKE cdm.measurement);
             ALTER TABLE cdm.observation RENAME measurement_id TO observation_id;
             INSERT INTO cdm.observation SELECT * FROM cdm.measurement;
             CREATE FUNCTION cdm.odd(id int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
                 IF current_query() LIKE 'COPY%' THEN
                     IF id = 5 THEN RAISE 'CANARY'; END IF;
                     IF id % 8000 = 0 THEN PERFORM pg_sleep(0.4); END IF;
                 END IF;
                 RETURN true;
             END $$;
             ALTER TABLE cdm.measurement ENABLE ROW LEVEL SECURITY;
             CREATE POLICY odd ON cdm.measurement USING (cdm.odd(measurement_id));
             GRANT SELECT ON ALL TABLES IN SCHEMA cdm TO reader; ALTER ROLE reader CONNECTION LIMIT 6",
        )
        .await;
    let store = place.open().await.expect("an open store");
    let summary = store.summary();
    assert_eq!(closed(&summary), [("measurement", "column")], "whichever column is asked for");
    let sql = "SELECT person_id AS subject, count(*) AS n FROM observation GROUP BY person_id";
    assert_eq!(ask(&store, sql, &["n"]).await.expect("counts"), ["40000"]);
}

/// As on Windows, where a server cannot tell whether its client is still there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_cannot_watch_its_client_is_used_all_the_same() {
    let Some(place) = start(&["allow_system_table_mods=on"]).await else { return };
    measurements(&place, 5, 50).await;
    place
        .execute(
            "ALTER FUNCTION pg_catalog.set_config(text, text, boolean) RENAME TO set_config_there;
             CREATE FUNCTION pg_catalog.set_config(text, text, boolean) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
                 IF $1 = 'client_connection_check_interval' AND $2 <> '0' THEN
                     RAISE invalid_parameter_value USING MESSAGE = 'must be set to 0 on platforms that lack support';
                 END IF;
                 RETURN set_config_there($1, $2, $3);
             END $$",
        )
        .await;
    let store = place.open().await.expect("an open store");
    assert_eq!(ask(&store, PEOPLE.0, PEOPLE.1).await.expect("rows").len(), 5);
}

/// Keeps what the server says.
#[derive(Debug)]
struct Tapped {
    socket: std::path::PathBuf,
    said: Arc<Mutex<Vec<u8>>>,
}

#[async_trait]
impl Dial for Tapped {
    async fn dial(&self) -> io::Result<Socket> {
        let (own, other) = Pipe::pair()?;
        own.set_nonblocking(true)?;
        other.set_nonblocking(true)?;
        let (mut to_client, mut to_server) = (UnixStream::from_std(other)?, UnixStream::connect(&self.socket).await?);
        let said = Arc::clone(&self.said);
        tokio::spawn(async move {
            let (mut asks, mut hears) = to_client.split();
            let (mut answers, mut takes) = to_server.split();
            let asking = tokio::io::copy(&mut asks, &mut takes);
            let answering = async {
                let mut bytes = vec![0; 1 << 16];
                loop {
                    let count = answers.read(&mut bytes).await?;
                    if count == 0 {
                        return Ok::<_, io::Error>(());
                    }
                    said.lock().expect("nobody panics").extend_from_slice(&bytes[..count]);
                    hears.write_all(&bytes[..count]).await?;
                }
            };
            tokio::select! {
                _ = asking => {}
                _ = answering => {}
            }
        });
        Ok(Socket::Unix(UnixStream::from_std(own)?))
    }
}

async fn tapped(place: &Hospital) -> (Store, Arc<Mutex<Vec<u8>>>) {
    let config = place.config_with("reader", "");
    let database = config.place.database().expect("a database");
    let said = Arc::new(Mutex::new(Vec::new()));
    let socket = place.server.folder().join(".s.PGSQL.5432");
    let dial = Arc::new(Tapped { socket, said: Arc::clone(&said) });
    let access = Access::read(database).expect("no password");
    (Store::open_with(&config, &[], Some((access, dial))).await.expect("an open store"), said)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notices_are_not_even_sent() {
    let Some(place) = start(&[]).await else { return };
    measurements(&place, 5, 50).await;
    place
        .execute(
            "CREATE FUNCTION cdm.told(int) RETURNS int LANGUAGE plpgsql AS
                 $$ BEGIN RAISE WARNING 'CANARY %', $1; RETURN $1; END $$;
             ALTER TABLE cdm.person RENAME TO people;
             CREATE VIEW cdm.person AS SELECT person_id, cdm.told(gender_concept_id) AS gender_concept_id FROM cdm.people;
             GRANT SELECT ON cdm.person TO reader",
        )
        .await;
    let (store, said) = tapped(&place).await;
    assert_eq!(ask(&store, PEOPLE.0, PEOPLE.1).await.expect("rows").len(), 5);
    let said = said.lock().expect("nobody panics").clone();
    assert!(said.len() > 1_000 && !said.windows(6).any(|bytes| bytes == b"CANARY"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_no_text_is_no_table_of_ours() {
    let Some(place) = start(&[]).await else { return };
    place.execute("CREATE DATABASE raw TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'").await;
    let mut own = tokio_postgres::Config::new();
    own.host_path(place.server.folder()).user("oracle").dbname("raw");
    let (admin, connection) = own.connect(tokio_postgres::NoTls).await.expect("a connection");
    tokio::spawn(connection);
    admin
        .batch_execute(
            "CREATE SCHEMA cdm; GRANT USAGE ON SCHEMA cdm TO reader;
             CREATE TABLE cdm.person (person_id int, gender_concept_id int); INSERT INTO cdm.person VALUES (1, 8507);
             DO $$ BEGIN
                 EXECUTE 'CREATE TABLE cdm.\"p' || chr(233) || 'rson\" (x int PRIMARY KEY)';
                 EXECUTE 'ALTER TABLE cdm.person ADD \"caf' || chr(233) || '\" int UNIQUE';
                 EXECUTE 'CREATE TYPE cdm.\"m' || chr(233) || '\" AS ENUM (''' || chr(233) || ''')';
             END $$;
             GRANT SELECT ON ALL TABLES IN SCHEMA cdm TO reader",
        )
        .await
        .expect("tables");
    let folder = place.server.folder().display();
    let text = format!("url = \"postgresql://reader@/raw?host={folder}\"\nschema = \"cdm\"\n");
    let store = Store::open(&toml::from_str(&text).expect("a store"), &[]).await.expect("an open store");
    assert_eq!(closed(&store.summary()), []);
    assert_eq!(ask(&store, PEOPLE.0, PEOPLE.1).await.expect("rows"), ["8507"]);
}
