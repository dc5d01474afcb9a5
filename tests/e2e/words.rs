//! What people read when something does not go as they meant: which hospital fails and why, what is not there, and exit
//! codes for scripts.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use consilium::cli::{Failure, opened, propose};
use consilium::demo::acts::follow;
use consilium::home::{Home, Role};
use consilium_protocol::ids::StudyId;
use consilium_protocol::study::StudySpec;
use consilium_protocol::wallet::Wallet;

use crate::support::{QUICK, World, alone, headcount, program, run, said, until_said};

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

/// A study whose sum of squares would overflow over 160 patients.
const WIDE: &str = r#"
version = 1
title = "Wide"
description = "Squares that are too large."
purpose = "HMB"
declares = []
protection = "open"

[cohort]
subject = "person_id"
sql = "SELECT person_id, year_of_birth AS x FROM person"

[[variable]]
name = "x"
min = 0
max = 2000000000
resolution = 1

[[statistic]]
name = "Squares"
kind = "variance"
of = "x"
"#;

#[test]
fn what_will_be_refused_is_said_before_anybody_waits_for_it() {
    alone(async || {
        let mut world = World::ready(40, QUICK).await?;
        let home = world.consortium.hospitals[0].home.clone();
        let researcher = world.researcher.path().to_path_buf();
        let node = world.node().await?;
        let study = propose(&world.researcher, &node, &headcount()).await?.0;
        let short = study.short();

        // The hospital's own policy.
        let config = home.join("consilium.toml");
        let text = fs::read_to_string(&config)?;
        fs::write(&config, format!("{text}\n[policy]\nmin_joint_count = 20\n"))?;
        let refused = run(&home, &["approve", &short], 1);
        assert!(refused.contains("min_joint_count") && refused.contains("consilium.toml"), "{refused}");
        assert!(run(&home, &["study", "show", &short], 0).contains("It cannot run here: this hospital's own policy"));
        fs::write(&config, text)?;

        // Sums over those who are enrolled; who is in no consortium yet is told of it.
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("wide.toml");
        fs::write(&file, WIDE)?;
        let file = file.to_str().unwrap();
        for command in ["check", "submit"] {
            let refused = run(&researcher, &["study", command, file], 1);
            assert!(refused.contains("`Squares` could overflow"), "{refused}");
        }
        let noted = run(folder.path(), &["study", "check", file], 0);
        assert!(noted.contains("Note: with 16,777,216 patients enrolled") && noted.contains("`Squares`"), "{noted}");

        // Any consortium allows what `study new` writes, and it says what is shown together.
        let new = folder.path().join("new.toml");
        run(&researcher, &["study", "new", new.to_str().unwrap()], 0);
        let checked = run(&researcher, &["study", "check", new.to_str().unwrap()], 0);
        assert!(
            checked.contains("guarded: the joint counts of") && checked.contains("of one set everything is shown"),
            "{checked}"
        );

        // What a node must remember.
        let secret = home.join("secrets").join("memory.secret");
        fs::rename(&secret, folder.path().join("memory.secret"))?;
        for command in [&["doctor"][..], &["config", "check"]] {
            let refused = run(&home, command, 1);
            assert!(refused.contains("memory.secret is not there"), "{refused}");
        }
        fs::rename(folder.path().join("memory.secret"), &secret)?;
        run(&home, &["config", "check"], 0);

        let other = world.consortium.researcher("other")?;
        let refused = run(other.path(), &["study", "result", &short], 1);
        assert!(refused.contains("this study is of Tester, University"), "{refused}");

        watching_goes_on_at_another_node(&mut world, &researcher, study).await
    });
}

/// The node that is asked goes down; the study and who follows it go on.
async fn watching_goes_on_at_another_node(world: &mut World, researcher: &Path, study: StudyId) -> Result<(), Failure> {
    let watch = Command::new(program())
        .args(["study", "watch", &study.short(), "--home"])
        .arg(researcher)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let asked = world.consortium.genesis.member[0].id;
    let position = world.consortium.hospitals.iter().position(|h| h.member.id == asked).expect("a member");
    world.consortium.kill(position).await?;
    for other in (0..4).filter(|other| *other != position) {
        world.consortium.approve(other, study).await?;
    }
    let watched = tokio::task::spawn_blocking(move || watch.wait_with_output()).await.expect("no panic")?;
    assert!(watched.status.success(), "{}", said(&watched));
    assert!(said(&watched).contains("released"), "{}", said(&watched));
    Ok(())
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

/// The example of the documentation, as a hospital and as a patient record it: everybody says what it opens, and nobody is
/// lost to a study that reads PERSON.
#[test]
fn the_documented_consent_is_told_in_words_and_counts_everybody() {
    alone(async || {
        let example = include_str!("../../docs/consent.md").split("```toml\n").nth(1).unwrap();
        let folder = tempfile::tempdir()?;
        let terms = folder.path().join("terms.toml");
        fs::write(&terms, example.split("```").next().unwrap())?;
        let terms = terms.to_str().unwrap();
        let mut world = World::found(40, QUICK)?;
        world.start(&[0, 1, 2, 3]).await?;
        let wallet = Wallet::generate()?;
        for position in 0..4 {
            let with_wallet = |(i, person): (usize, &i64)| (*person, (position + i == 0).then_some(&wallet));
            let persons: Vec<_> = world.persons[position].iter().enumerate().map(with_wallet).collect();
            world.consortium.enrol(position, &persons).await?;
            let forms = folder.path().join("forms.csv");
            let lines =
                world.persons[position].iter().map(|person| format!("{person},{},2026-01-31\n", "ab".repeat(32)));
            fs::write(&forms, "person_id,form,signed\n".to_string() + &lines.collect::<String>())?;
            let args = ["patients", "grant", "--terms", terms, "--forms", forms.to_str().unwrap()];
            assert_tells_of_the_example(&run(&world.consortium.hospitals[position].home, &args, 0));
        }
        world.accredit().await?;

        let home = Home::create(&folder.path().join("patient"), Role::Patient, "Patient")?;
        home.keep_wallet(&wallet)?;
        home.finish()?;
        home.join(&world.consortium.genesis)?;
        assert_tells_of_the_example(&run(home.path(), &["consent", "grant", "--terms", terms], 0));
        let text = run(home.path(), &["consent", "show"], 0);
        assert_tells_of_the_example(&text);
        assert!(text.contains(", current") && text.contains(": superseded"), "{text}");

        let node = world.node().await?;
        let spec = headcount();
        let study = propose(&world.researcher, &node, &spec).await?.0;
        for position in 0..4 {
            world.consortium.approve(position, study).await?;
        }
        follow(&node, &study, Duration::from_secs(30)).await?;
        let result = opened(&world.researcher, &node, &study).await?;
        let all = result.get().statistics[0].rows[0].measures[0].value.value();
        assert_eq!(all, Some(160.0), "everybody, of four hospitals");
        let text = run(home.path(), &["history"], 0);
        let used = text.split("Studies that this hospital took part in").nth(1).unwrap();
        assert!(used.contains("sex, age and origin") && !used.contains("diagnoses"), "{used}");

        // The same in the reader's language, reasons of the ledger included.
        let text = run(home.path(), &["consent", "show", "--language", "de"], 0);
        assert!(text.contains("Diagnosen, Messwerte und Beobachtungszeiten ab dem 1. September 2020"), "{text}");
        let text = run(home.path(), &["history", "--language", "fr"], 0);
        assert!(text.contains("sexe, âge et origine") && text.contains("en vigueur"), "{text}");

        // Who opens conditions alone is told what that means.
        let alone = fs::read_to_string(terms)?.replace("\"person\", ", "");
        fs::write(folder.path().join("alone.toml"), alone)?;
        let alone = folder.path().join("alone.toml");
        let text = run(home.path(), &["consent", "grant", "--terms", alone.to_str().unwrap()], 0);
        assert!(text.contains("hardly ever be counted"), "{text}");
        assert!(run(home.path(), &["consent", "show"], 0).contains("hardly ever be counted"));
        let text = run(home.path(), &["consent", "grant", "--terms", terms, "--add"], 0);
        assert!(!text.contains("hardly ever be counted"), "{text}");
        Ok(())
    });
}

fn assert_tells_of_the_example(text: &str) {
    let sentence = "The patient may be counted in statistics over many people for health research, by anybody whom the \
                    hospitals have admitted; also where European data protection law does not hold; valid until 31 December \
                    2031; with these data: diagnoses, measurements and times under observation from 1 September 2020 on; \
                    sex, age and origin (HMB).";
    assert!(text.contains(sentence), "{text}");
    assert!(!text.contains("hardly ever"), "{text}");
}
