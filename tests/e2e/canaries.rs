//! No patient's value in anything that is printed, logged, sent or stored: canaries in every column of the tables, and a
//! search of all that came of studies that succeed and of studies that fail.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use consilium::cli::propose;
use consilium::demo::acts::follow;
use consilium::demo::consortium::Consortium;
use consilium_protocol::genesis::Deadlines;
use consilium_protocol::study::StudySpec;

use crate::support::{QUICK, alone, headcount, plan, program, research};

/// Unlikely enough to mean something when found.
const TEXT: &str = "CANARYk7Qz";
const NUMBER: i64 = 918_273_645_546;

/// Tables whose every value that is not needed is a canary.
fn write_tables(folder: &Path, hospital: i64) -> std::io::Result<Vec<i64>> {
    let mut person = String::from(
        "person_id,gender_concept_id,year_of_birth,month_of_birth,day_of_birth,race_concept_id,ethnicity_concept_id,\
         person_source_value,gender_source_value\n",
    );
    let mut measurement = String::from(
        "measurement_id,person_id,measurement_concept_id,measurement_date,value_as_number,unit_concept_id,\
         value_source_value\n",
    );
    let mut persons = Vec::new();
    for i in 0..30 {
        // Even the ids are canaries.
        let id = NUMBER * 1_000 + hospital * 100 + i;
        persons.push(id);
        let _ = writeln!(person, "{id},8507,1970,1,1,{NUMBER},{NUMBER},{TEXT}-{id},{TEXT}");
        let _ = writeln!(measurement, "{i},{id},3004410,2020-01-01,{NUMBER}.25,{NUMBER},{TEXT}");
    }
    fs::write(folder.join("PERSON.csv"), person)?;
    fs::write(folder.join("MEASUREMENT.csv"), measurement)?;
    Ok(persons)
}

/// Studies that are refused, or have no answer for some rows.
fn failing() -> Vec<StudySpec> {
    let with = |sql: &str| {
        let mut spec = headcount();
        spec.cohort.sql = sql.to_string();
        spec
    };
    vec![
        // Beyond the type that is asked for, over canaries: NULL.
        with(
            "SELECT p.person_id, p.gender_concept_id AS sex, CAST(m.v AS INT) AS year_of_birth FROM person p JOIN (SELECT \
             person_id, max(value_as_number) AS v FROM measurement GROUP BY person_id) m ON p.person_id = m.person_id",
        ),
        // Rows made of several patients', refused by the query alone.
        with(
            "SELECT p.person_id, p.gender_concept_id AS sex, p.year_of_birth FROM person p JOIN measurement m ON \
             m.measurement_concept_id = 3004410 AND p.year_of_birth < m.measurement_concept_id",
        ),
        // Division by zero, only on the data: NULL, and no failure.
        with(
            "SELECT person_id, gender_concept_id AS sex, year_of_birth / (year_of_birth - 1970) AS year_of_birth FROM \
             person",
        ),
    ]
}

/// Every file below a folder that holds a canary, the tables themselves aside.
fn search(folder: &Path, found: &mut Vec<String>) -> std::io::Result<()> {
    let number = NUMBER.to_string();
    let needles = [TEXT.as_bytes().to_vec(), number.into_bytes(), NUMBER.to_le_bytes()[..6].to_vec()];
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|n| n != "omop") {
                search(&path, found)?;
            }
            continue;
        }
        let bytes = fs::read(&path)?;
        for needle in &needles {
            if bytes.windows(needle.len()).any(|w| w == &needle[..]) {
                found.push(format!("{} in {}", String::from_utf8_lossy(needle), path.display()));
            }
        }
    }
    Ok(())
}

#[test]
fn no_value_of_a_patient_is_in_anything_that_is_kept_or_said() {
    alone(async || {
        let folder = tempfile::tempdir()?;
        let deadlines = Deadlines { round_ms: 4_000, ..QUICK };
        let mut consortium = Consortium::found(plan(folder.path().to_path_buf(), deadlines))?;
        let mut persons = Vec::new();
        for (position, hospital) in consortium.hospitals.iter().enumerate() {
            persons.push(write_tables(&hospital.store, position as i64)?);
            // Everything is logged that can be.
            let config = hospital.home.join("consilium.toml");
            let text = fs::read_to_string(&config)?;
            let loud = text.lines().map(|line| match line.starts_with("filter = ") {
                true => "filter = \"info,consilium=trace,datafusion=debug\"".to_string(),
                false => line.to_string(),
            });
            fs::write(&config, loud.collect::<Vec<_>>().join("\n"))?;
        }
        consortium.start_all()?;
        consortium.wait_all_ready(Duration::from_secs(30)).await?;
        for (position, persons) in persons.iter().enumerate() {
            let enrolled: Vec<_> = persons.iter().map(|p| (*p, None)).collect();
            consortium.enrol(position, &enrolled).await?;
            consortium.witness_grants(position, persons, &research()).await?;
        }
        let researcher = consortium.researcher("researcher")?;
        consortium.accredit(&researcher.signing_key()?, "Tester", "University").await?;
        let node = consortium.node(0).await?;
        let mut phases = Vec::new();
        for spec in std::iter::once(headcount()).chain(failing()) {
            let study = propose(&researcher, &node, &spec).await?.0;
            for position in 0..4 {
                consortium.approve(position, study).await?;
            }
            let reply = follow(&node, &study, Duration::from_secs(30)).await?;
            phases.push(reply.summary.unwrap().phase);
        }
        assert_eq!(phases, ["released", "released", "failed", "released"]);

        // What programs print about it.
        let mut said = String::new();
        for args in [
            vec!["study", "list"],
            vec!["study", "show"],
            vec!["status", "--all"],
            vec!["export", "--out", folder.path().join("ledger.export").to_str().unwrap_or_default()],
        ] {
            let output = Command::new(program()).args(&args).arg("--home").arg(researcher.path()).output()?;
            said.push_str(&String::from_utf8_lossy(&output.stdout));
            said.push_str(&String::from_utf8_lossy(&output.stderr));
        }
        let doctor = Command::new(program()).args(["doctor", "--home"]).arg(&consortium.hospitals[0].home).output()?;
        said.push_str(&String::from_utf8_lossy(&doctor.stdout));
        assert!(said.contains("Headcount"), "{said}");
        assert!(!said.contains(TEXT) && !said.contains(&NUMBER.to_string()), "{said}");
        consortium.stop_all().await;

        // The search itself finds what is there.
        let mut found = Vec::new();
        let probe = folder.path().join("probe");
        fs::create_dir(&probe)?;
        fs::write(probe.join("a"), format!("x{NUMBER}y"))?;
        search(&probe, &mut found)?;
        assert_eq!(found.len(), 1);
        fs::remove_dir_all(&probe)?;
        found.clear();
        search(folder.path(), &mut found)?;
        assert!(found.is_empty(), "{found:#?}");
        Ok(())
    });
}
