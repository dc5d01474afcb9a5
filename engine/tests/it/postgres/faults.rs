//! What a database does to those who read it: a clear message each, and the same answers when it is over.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use consilium_engine::cohort::CohortError;
use consilium_engine::store::{Access, DatabaseError, Dial, Socket, Store, StoreError};

use super::{COUNTS, Hospital, counted_there, database_error, measurements, start};
use crate::exports::ask;
use crate::hospital::link;

async fn failing(store: &Store) -> DatabaseError {
    match ask(store, COUNTS.0, COUNTS.1).await {
        Err(CohortError::Store(error)) => {
            assert!(CohortError::Store(error.clone()).depends_on_data());
            database_error(error)
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_down_or_started_again_is_asked_again() {
    let Some(mut place) = start(&[]).await else { return };
    measurements(&place, 20, 2_000).await;
    let expected = counted_there(&place).await;
    let store = place.open().await.expect("an open store");
    place.server.stop();
    let down = failing(&store).await;
    assert!(
        matches!(&down, DatabaseError::Unreachable { at, .. } if at.ends_with(".s.PGSQL.5432")) && down.is_passing(),
        "{down}"
    );
    assert!(matches!(database_error(place.open().await.expect_err("down")), DatabaseError::Unreachable { .. }));
    place.server.start_again();
    let mut tries = 0;
    let found = loop {
        match ask(&store, COUNTS.0, COUNTS.1).await {
            Ok(found) => break found,
            Err(CohortError::Store(error)) => {
                assert!(error.is_passing() && tries < 500, "{error}");
                tries += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(found, expected);
}

/// What nobody knows the address of.
#[derive(Debug)]
struct Nowhere;

#[async_trait]
impl Dial for Nowhere {
    async fn dial(&self) -> io::Result<Socket> {
        Err(io::ErrorKind::NotFound.into())
    }
}

#[tokio::test]
async fn a_host_without_an_address_is_said_to_have_none() {
    let text = "url = \"postgresql://reader@localhost/omop\"\nschema = \"cdm\"\ntls = \"off\"\n";
    let entrance = (Access::default(), Arc::new(Nowhere) as Arc<dyn Dial>);
    let opened = Store::open_with(&toml::from_str(text).expect("a store"), &[], Some(entrance)).await;
    let error = database_error(opened.expect_err("no server"));
    assert!(error.is_passing() && error.kind() == "database_unreachable", "{error}");
    assert!(error.to_string().starts_with("no address is known of the database server `localhost`"), "{error}");
}

/// Does something to every connection of the reader's, again and again, while studies run: each is right or says what happened.
async fn disturbed(place: &mut Hospital, act: &str, is_cause: impl Fn(&DatabaseError) -> bool) {
    let expected = counted_there(place).await;
    let store = place.open().await.expect("an open store");
    let disturber = place.server.connect().await;
    let stop = Arc::new(AtomicBool::new(false));
    let disturbing = {
        let (stop, act) = (Arc::clone(&stop), act.to_string());
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                disturber.execute(&act).await.expect("disturbed");
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
        })
    };
    let (mut right, mut caused) = (0, 0);
    for _ in 0..60 {
        match ask(&store, COUNTS.0, COUNTS.1).await {
            Ok(found) => {
                assert_eq!(found, expected);
                right += 1;
            }
            Err(CohortError::Store(StoreError::Database(error))) => {
                assert!(error.is_passing(), "{error}");
                caused += usize::from(is_cause(&error));
            }
            Err(error) => panic!("{error}"),
        }
    }
    stop.store(true, Ordering::Relaxed);
    disturbing.await.expect("disturbed");
    assert!(caused > 3, "{caused} of 60 were met, {right} were not");
    assert_eq!(ask(&store, COUNTS.0, COUNTS.1).await.expect("counts"), expected, "and then it goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_ended_and_statements_that_are_cancelled_change_no_answer() {
    let Some(mut place) = start(&[]).await else { return };
    measurements(&place, 100, 60_000).await;
    let of = |function: &str| format!("SELECT {function}(pid) FROM pg_stat_activity WHERE usename = 'reader'");
    disturbed(&mut place, &of("pg_terminate_backend"), |error| {
        matches!(error, DatabaseError::Ended | DatabaseError::NotReady)
    })
    .await;
    disturbed(&mut place, &of("pg_cancel_backend"), |error| matches!(error, DatabaseError::Cancelled { .. })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_refusal_says_what_to_do() {
    let Some(mut place) = start(&[]).await else { return };
    measurements(&place, 5, 1_000).await;
    let store = place.open().await.expect("an open store");
    let other = place.server.connect().await;
    other.execute("BEGIN; LOCK TABLE cdm.measurement IN ACCESS EXCLUSIVE MODE").await.expect("locked");
    let (locked, opened) = tokio::join!(failing(&store), place.open());
    assert_eq!(locked, DatabaseError::Locked { what: "cdm.measurement".to_string() });
    let closed = opened.expect("an open store").summary().unreadable;
    assert_eq!(closed.iter().map(|table| table.kind).collect::<Vec<_>>(), ["database_locked"], "the others are open");
    let person = Store::open_person(&place.config_with("reader", "")).await.expect("who is there");
    assert_eq!(person.subjects(&link()).await.expect("subjects").len(), 5);
    assert!(person.summary().unreadable.is_empty(), "the locked table is not even asked for");
    other.execute("COMMIT").await.expect("free");
    assert_eq!(ask(&store, COUNTS.0, COUNTS.1).await.expect("counts").len(), 5);

    place.execute("ALTER ROLE reader CONNECTION LIMIT 0").await;
    assert_eq!(failing(&store).await, DatabaseError::Full);
    place.execute("ALTER ROLE reader CONNECTION LIMIT -1").await;
    // Three are enough, if they are all that there are: one that holds the moment, one that answers, and one that reads.
    place.execute("ALTER ROLE reader CONNECTION LIMIT 3").await;
    let few = place.open_as("reader", "connections = 3").await.expect("an open store");
    let joined = "SELECT m.person_id AS subject, count(*) AS n FROM measurement m JOIN person p ON p.person_id = m.person_id
                  JOIN measurement o ON o.person_id = m.person_id AND o.measurement_id = m.measurement_id GROUP BY m.person_id";
    assert_eq!(ask(&few, joined, &["n"]).await.expect("counts").len(), 5);
    place.execute("ALTER ROLE reader CONNECTION LIMIT -1").await;

    // The administrator's own limit of time stays.
    place.execute("CREATE FUNCTION cdm.slow(int) RETURNS int LANGUAGE sql AS 'SELECT $1 FROM pg_sleep(2)'").await;
    place.execute("ALTER TABLE cdm.measurement RENAME TO m; CREATE VIEW cdm.measurement AS SELECT measurement_id, \
                   person_id, measurement_concept_id, measurement_date, cdm.slow(unit_concept_id) AS unit_concept_id FROM cdm.m \
                   WHERE measurement_id = 1; GRANT SELECT ON cdm.measurement TO reader; GRANT EXECUTE ON FUNCTION cdm.slow TO reader").await;
    let store = place.open().await.expect("an open store");
    place.execute("ALTER ROLE reader SET statement_timeout = '1s'").await;
    let sql = "SELECT person_id AS subject, max(unit_concept_id) AS u FROM measurement GROUP BY person_id";
    let cancelled = ask(&store, sql, &["u"]).await.expect_err("a timeout");
    assert!(
        matches!(&cancelled, CohortError::Store(StoreError::Database(DatabaseError::Cancelled { what })) if what == "cdm.measurement"),
        "{cancelled}"
    );

    let odd = |user: &str, database: &str| {
        let folder = place.server.folder().display();
        let text = format!("url = \"postgresql://{user}@/{database}?host={folder}\"\nschema = \"cdm\"\n");
        toml::from_str(&text).expect("a store")
    };
    let error = database_error(Store::open(&odd("nobody", "postgres"), &[]).await.expect_err("no such role"));
    assert!(error.kind() == "database_login" && !error.is_passing(), "{error}");
    let said = error.to_string();
    assert!(said.contains("`nobody` in, whatever the password: no such role"), "no password helps: {said}");
    let error = database_error(Store::open(&odd("reader", "elsewhere"), &[]).await.expect_err("no such database"));
    assert!(matches!(&error, DatabaseError::NoDatabase { database } if database == "elsewhere"), "{error}");
}
