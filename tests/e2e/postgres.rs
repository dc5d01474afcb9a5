//! A worker that has no network reads a database over the sockets that its parent connects and passes.

use std::fs;
use std::time::Duration;

use consilium::demo::consortium::Consortium;
use consilium::worker::{Program, Settings, Trouble, Worker};
use consilium_engine::store::{DatabaseError, StoreConfig, StoreError};
use consilium_engine::worker::Refusal;
use consilium_protocol::genesis::Deadlines;

use self::server::{Server, Session, programs_or_skip};
use crate::small::{BOUNDS, PLAIN, link, roll, study};
use crate::support::{alone, plan, program, research, run, until_said};

#[path = "../../engine/tests/it/oracle/server.rs"]
#[allow(dead_code, reason = "the engine's tests use the rest")]
mod server;

const HOUR: Duration = Duration::from_secs(3_600);

/// A server with ten persons, at a loopback address and in a folder.
async fn start(port: u16) -> Option<(Server, Session)> {
    let programs = programs_or_skip()?;
    let settings = ["listen_addresses=127.0.0.1".to_string(), format!("port={port}")];
    let mut server = Server::start_with(&programs, &settings, |_| {});
    let admin = server.connect_at(port).await;
    admin
        .execute(
            "CREATE ROLE reader LOGIN PASSWORD 'x'; CREATE SCHEMA cdm; GRANT USAGE ON SCHEMA cdm TO reader;
             CREATE TABLE cdm.person (person_id int PRIMARY KEY, gender_concept_id int, year_of_birth int);
             INSERT INTO cdm.person SELECT n, 8507, 1940 + n FROM generate_series(1, 10) n;
             GRANT SELECT (person_id, gender_concept_id, year_of_birth, ctid) ON cdm.person TO reader",
        )
        .await
        .unwrap();
    Some((server, admin))
}

fn worker(url: &str, more: &str) -> Worker {
    let text = format!("url = \"{url}\"\nschema = \"cdm\"\n{more}");
    let store: StoreConfig = toml::from_str(&text).unwrap();
    Worker::new(Settings {
        program: Program::at(program()),
        store,
        catalogue: Vec::new(),
        link: link(),
        bounds: BOUNDS,
    })
}

async fn counted(worker: &Worker) -> Result<u32, Trouble> {
    let roll = roll(&link(), &(1..=12).collect::<Vec<_>>());
    let counted = study(worker, PLAIN, &roll, HOUR).await?;
    Ok(counted.members.iter().map(|byte| byte.count_ones()).sum())
}

fn cause(trouble: Trouble) -> DatabaseError {
    match trouble {
        Trouble::Refused(Refusal::Store(StoreError::Database(error))) => error,
        other => panic!("{other}"),
    }
}

#[test]
fn a_worker_without_network_reads_a_database() {
    alone(async || {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let Some((mut server, admin)) = start(port).await else { return Ok(()) };
        let folder = server.folder().display().to_string();
        let in_folder = worker(&format!("postgresql://reader@:{port}/postgres?host={folder}"), "");
        let over_tcp = worker(&format!("postgresql://reader@127.0.0.1:{port}/postgres"), "tls = \"off\"\n");
        for worker in [&in_folder, &over_tcp] {
            assert_eq!(counted(worker).await.unwrap(), 10);
        }
        // Somebody new is counted in the next study.
        admin.execute("INSERT INTO cdm.person VALUES (11, 8507, 1999)").await.unwrap();
        for worker in [&in_folder, &over_tcp] {
            assert_eq!(counted(worker).await.unwrap(), 11);
        }
        // A column more: the tables are opened again for the next try.
        admin.execute("ALTER TABLE cdm.person ADD race_concept_id int").await.unwrap();
        for worker in [&in_folder, &over_tcp] {
            assert!(matches!(cause(counted(worker).await.unwrap_err()), DatabaseError::Changed { .. }));
            assert_eq!(counted(worker).await.unwrap(), 11);
        }

        server.stop();
        for worker in [&in_folder, &over_tcp] {
            let down = cause(counted(worker).await.unwrap_err());
            let DatabaseError::Unreachable { reason, .. } = &down else { panic!("{down}") };
            assert!(["connection refused", "entity not found"].contains(&reason.as_str()), "{reason}");
        }
        server.start_again();
        drop(server.connect_at(port).await);
        for worker in [&in_folder, &over_tcp] {
            assert_eq!(counted(worker).await.unwrap(), 11, "the same worker goes on");
        }

        // A password that is put right is read by the next worker.
        let home = tempfile::tempdir()?;
        let password = home.path().join("password");
        let data = server.folder().join("data/pg_hba.conf");
        fs::write(&data, "local all oracle trust\nhost all reader 127.0.0.1/32 scram-sha-256\n")?;
        server.connect_at(port).await.rows("SELECT pg_reload_conf()").await.unwrap();
        let write = |text: &str| {
            use std::os::unix::fs::PermissionsExt as _;
            fs::write(&password, text).unwrap();
            fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
        };
        write("wrong");
        let url = format!("postgresql://reader@127.0.0.1:{port}/postgres");
        let guarded = worker(&url, &format!("tls = \"off\"\npassword_file = {password:?}\n"));
        assert!(matches!(cause(counted(&guarded).await.unwrap_err()), DatabaseError::Login { .. }));
        write("x");
        assert_eq!(counted(&guarded).await.unwrap(), 11);
        Ok(())
    });
}

/// Nothing else tells of what was closed when the tables were opened.
#[test]
fn what_was_closed_is_looked_for_when_a_study_has_asked_for_it() {
    alone(async || {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let Some((server, admin)) = start(port).await else { return Ok(()) };
        let folder = server.folder().display().to_string();
        let worker = worker(&format!("postgresql://reader@:{port}/postgres?host={folder}"), "");
        let roll = roll(&link(), &(1..=12).collect::<Vec<_>>());
        let asked = async |table: &str| {
            let sql = format!("SELECT person_id, count(*) AS x FROM {table} GROUP BY person_id");
            let refusal = match study(&worker, &sql, &roll, HOUR).await {
                Ok(_) => return None,
                Err(Trouble::Refused(Refusal::Cohort(error))) => error,
                Err(other) => panic!("{other}"),
            };
            Some(refusal.kind())
        };
        admin.execute("CREATE TABLE cdm.death (person_id int, death_date date)").await.unwrap();
        assert_eq!(asked("death").await, Some("unreadable_table"));
        assert_eq!(asked("specimen").await, Some("unknown_table"));
        admin
            .execute(
                "GRANT SELECT ON cdm.death TO reader; CREATE TABLE cdm.specimen (person_id int, specimen_id int);
                 GRANT SELECT ON cdm.specimen TO reader",
            )
            .await
            .unwrap();
        for table in ["death", "specimen"] {
            let deadline = std::time::Instant::now() + Duration::from_secs(60);
            while let Some(why) = asked(table).await {
                assert!(std::time::Instant::now() < deadline, "{table}: {why}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        Ok(())
    });
}

/// How many patients each hospital has; all consent.
const PATIENTS: i64 = 40;

/// The sex of everybody.
const STUDY: &str = r#"
version = 1
title = "Sex"
description = "How many patients of each sex there are."
purpose = "HMB"
declares = []
protection = "open"

[cohort]
subject = "person_id"
sql = "SELECT person_id, gender_concept_id AS sex FROM person"

[[dimension]]
name = "sex"
values = [8507, 8532]

[[statistic]]
name = "patients"
kind = "count"
by = ["sex"]
"#;

#[test]
fn a_round_goes_on_when_the_database_is_there_again() {
    alone(async || {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let Some((mut server, admin)) = start(port).await else { return Ok(()) };
        let more = format!("INSERT INTO cdm.person SELECT n, 8532, 1950 FROM generate_series(11, {PATIENTS}) n");
        admin.execute(&more).await.unwrap();
        let folder = tempfile::tempdir()?;
        let deadlines = Deadlines { approval_ms: 600_000, grace_ms: 60_000, round_ms: 90_000, ..Deadlines::default() };
        let mut setup = plan(folder.path().to_path_buf(), deadlines);
        setup.hospitals.truncate(3);
        setup.policy.min_site_count = 2;
        let mut consortium = Consortium::found(setup)?;
        for hospital in &consortium.hospitals[..2] {
            let persons: String = (1..=PATIENTS).map(|person| format!("{person},8507\n")).collect();
            fs::write(hospital.store.join("person.csv"), format!("person_id,gender_concept_id\n{persons}"))?;
        }
        let south = consortium.hospitals[2].home.clone();
        let file = south.join("consilium.toml");
        let is_folder = |line: &&str| line.trim_start().starts_with("folder");
        let text = fs::read_to_string(&file)?;
        let line = text.lines().find(is_folder).unwrap();
        let url = format!("postgresql://reader@:{port}/postgres?host={}", server.folder().display());
        fs::write(&file, text.replace(line, &format!("url = {url:?}\nschema = \"cdm\"")))?;
        let doctor = run(&south, &["doctor"], 0);
        assert!(doctor.contains("person") && !doctor.contains("CANARY"), "{doctor}");

        let researcher = consortium.researcher("researcher")?;
        consortium.start_all()?;
        consortium.wait_all_ready(Duration::from_secs(30)).await?;
        let everybody: Vec<i64> = (1..=PATIENTS).collect();
        for position in 0..3 {
            run(&consortium.hospitals[position].home, &["patients", "enrol", "--all"], 0);
            consortium.witness_grants(position, &everybody, &research()).await?;
        }
        consortium.accredit(&researcher.signing_key()?, "Tester", "University").await?;
        let home = researcher.path().to_path_buf();
        let study = folder.path().join("sex.toml");
        fs::write(&study, STUDY)?;

        run(&home, &["study", "submit", &study.display().to_string()], 0);
        // A steward who approves is told at once where it could not run; this one approves before that.
        run(&south, &["approve"], 0);
        server.stop();
        for hospital in &consortium.hospitals[..2] {
            run(&hospital.home, &["approve"], 0);
        }
        // The hospital's steward reads what is wrong; the ledger and the others do not.
        let inbox = until_said(&south, &["inbox"], "cannot be reached").await;
        assert!(inbox.contains("see that it runs and listens there"), "{inbox}");
        let elsewhere = run(&consortium.hospitals[0].home, &["study", "show"], 0);
        assert!(!elsewhere.contains("PGSQL") && !elsewhere.contains("postgres"), "{elsewhere}");
        server.start_again();
        drop(server.connect_at(port).await);
        until_said(&home, &["study", "list"], "released").await;
        let result = run(&home, &["study", "result"], 0);
        let (men, women) = (2 * PATIENTS + 10, PATIENTS - 10);
        assert!(result.contains(&men.to_string()) && result.contains(&women.to_string()), "{result}");
        consortium.stop_all().await;
        Ok(())
    });
}
