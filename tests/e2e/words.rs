//! What people read when something does not go as they meant: which hospital fails and why, what is not there, and exit
//! codes for scripts.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use consilium::cli::{Failure, propose};
use consilium_protocol::ids::StudyId;
use consilium_protocol::study::StudySpec;

use crate::support::{QUICK, World, alone, headcount, program};

fn consilium(home: &Path, args: &[&str]) -> Output {
    Command::new(program()).args(args).arg("--home").arg(home).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The text of a command that must end with this exit code.
fn run(home: &Path, args: &[&str], exit: i32) -> String {
    let output = consilium(home, args);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(exit), "{args:?}: {text}");
    assert!(!text.contains("panicked"), "{text}");
    text
}

/// Runs a command until it says something.
async fn until_said(home: &Path, args: &[&str], words: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let text = said(&consilium(home, args));
        if text.contains(words) {
            return text;
        }
        assert!(Instant::now() < deadline, "{args:?} never says `{words}`: {text}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A study over a table that no store of the demo has.
fn devices() -> StudySpec {
    let mut spec = headcount();
    spec.title = "Devices".to_string();
    spec.cohort.sql = "SELECT DISTINCT person_id, gender_concept_id AS sex, year_of_birth \
                       FROM person JOIN device_exposure USING (person_id)"
        .to_string();
    spec
}

#[test]
fn a_hospital_says_what_it_cannot_do_and_goes_on_once_that_is_mended() {
    alone(async || {
        let deadlines = consilium_protocol::genesis::Deadlines { round_ms: 120_000, ..QUICK };
        let mut world = World::ready(40, deadlines).await?;
        let home = |position: usize| world.consortium.hospitals[position].home.clone();
        let researcher = world.researcher.path().to_path_buf();
        let node = world.node().await?;
        let study = propose(&world.researcher, &node, &devices()).await?.0;
        let short = study.short();

        // The steward is warned, and decides with open eyes.
        let text = run(&home(0), &["approve", &short], 1);
        assert!(text.contains("device_exposure") && text.contains("--anyway"), "{text}");
        assert!(run(&home(0), &["study", "show", &short], 0).contains("cannot run here"));
        for position in 0..4 {
            run(&home(position), &["approve", &short, "--anyway"], 0);
        }

        // The own steward reads what to do; the researcher who it is, and the kind of error alone.
        let text = until_said(&home(0), &["inbox"], "unknown_table").await;
        assert!(text.contains("in this hospital's store"), "{text}");
        assert!(run(&home(0), &["status"], 0).contains("unknown_table"));
        let text = until_said(&researcher, &["study", "show", &short], "North cannot contribute").await;
        assert!(text.contains("unknown_table") && !text.contains("in this hospital's"), "{text}");

        // The table comes; no node is started again.
        for hospital in &world.consortium.hospitals {
            let header = "device_exposure_id,person_id,device_concept_id,device_exposure_start_date\n";
            fs::write(hospital.store.join("device_exposure.csv"), header)?;
        }
        let doctor = run(&home(0), &["doctor"], 0);
        assert!(doctor.contains("device_exposure: 0 rows"), "{doctor}");
        until_said(&researcher, &["study", "list"], "released").await;
        assert!(run(&home(0), &["inbox"], 0).starts_with("no study waits"));

        audits(&world, &researcher, &study)?;
        exit_codes(&mut world, &researcher).await
    });
}

/// Audits by the first digits and by names, and of what is not there.
fn audits(world: &World, researcher: &Path, study: &StudyId) -> Result<(), Failure> {
    let file = researcher.join("ledger.export");
    let export = file.to_str().unwrap();
    run(researcher, &["export", "--out", export], 0);
    let text = run(researcher, &["audit", export, "--study", &study.short()], 0);
    assert!(text.contains("North approved study"), "{text}");
    assert!(run(researcher, &["audit", export, "--member", "south"], 0).contains("approve"));
    let subject = run(&world.consortium.hospitals[0].home, &["patients", "subject", "999999999"], 0);
    assert!(subject.contains("no patient 999999999"), "{subject}");
    assert!(run(researcher, &["audit", export, "--subject", "ffffffffffffffff"], 1).contains("no subject"));
    assert!(run(researcher, &["audit", export, "--member", "Nowhere"], 1).contains("North"));
    // An export that is broken says so, whatever is looked for.
    let mut bytes = fs::read(&file)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes)?;
    run(researcher, &["audit", export, "--study", &study.short()], 4);
    Ok(())
}

async fn exit_codes(world: &mut World, researcher: &Path) -> Result<(), Failure> {
    run(researcher, &["status", "--all"], 0);
    run(researcher, &["study", "result", "--format", "table", "--json"], 2);
    run(researcher, &["study", "result", "--format", "parquet"], 2);
    let text = run(&world.consortium.hospitals[0].home, &["history"], 2);
    assert!(text.contains("--person"), "{text}");
    world.consortium.kill(1).await?;
    assert!(run(researcher, &["status", "--all"], 3).contains("South"));
    run(researcher, &["status", "--node", "sOUTH"], 3);
    Ok(())
}
