//! `consilium doctor --store` as whoever makes an export reads it.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{program, said};

/// Runs the program without any home.
fn run(args: &[&str], store: &Path, exit: i32) -> String {
    let none = store.join("no-home");
    let output = Command::new(program()).args(args).arg(store).env("HOME", none).output().unwrap();
    let text = said(&output);
    assert_eq!(output.status.code(), Some(exit), "{text}");
    text
}

fn doctor(store: &Path, exit: i32) -> String {
    run(&["doctor", "--store"], store, exit)
}

#[test]
fn columns_that_are_misspelt_or_never_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write(
        "person.csv",
        "person_id,gender_concept_id,yearofbirth,person_source_value,provider_id\n1,8507,1950,CANARY,7\n",
    );
    write(
        "measurement.csv",
        "person_id,measurement_date,measurement_time,meas_event_field_concept_id\n1,2020-01-01,,\n",
    );
    let text = doctor(folder.path(), 0);
    assert!(text.contains("not OMOP's: yearofbirth; of OMOP's, missing: year_of_birth, "), "{text}");
    assert!(text.contains("Never read by any study"), "{text}");
    assert!(text.contains("person: yearofbirth, person_source_value, provider_id"), "{text}");
    assert!(!text.contains("measurement: not OMOP's") && !text.contains("CANARY"), "{text}");
}

#[test]
fn rows_that_no_study_sees_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("person.csv", "person_id\n1\n2\n");
    write("death.csv", "person_id,death_date\n1,2020-01-01\n9000007,2020-01-01\n9000007,2020-01-02\n,2020-01-03\n");
    write(
        "visit_occurrence.csv",
        "visit_occurrence_id,person_id,visit_start_date\n5,1,2020-01-01\n5,2,2020-01-01\n6,2,2020-01-01\n",
    );
    let text = doctor(folder.path(), 0);
    let death = "death: 1 row without a `person_id`, 2 rows of people who are not in PERSON, which no study sees";
    assert!(text.contains(death), "{text}");
    assert!(text.contains("visit_occurrence: 1 number of `visit_occurrence_id` in more than one row"), "{text}");
    assert!(!text.contains("9000007"), "{text}");
    let shown: Value = serde_json::from_str(&run(&["doctor", "--json", "--store"], folder.path(), 0)).unwrap();
    let table = |name: &str| shown["tables"].as_array().unwrap().iter().find(|table| table["name"] == name).unwrap();
    assert_eq!((&table("death")["unseen"]["nobodys"], &table("death")["unseen"]["strangers"]), (&1.into(), &2.into()));
    assert_eq!(table("visit_occurrence")["repeated"], 1);
}

#[test]
fn a_wrong_person_is_told_by_lines_and_the_other_tables_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("death.csv", "person_id,death_date\n1,2020-01-01\n");
    write("person.csv", "person_id\n9000001\n9000002\n9000001\n9000003\n9000003\n9000003\n");
    let text = doctor(folder.path(), 1);
    assert!(text.contains("of 2 people (lines 2, 4, 5, 6, 7)") && text.contains("death.csv"), "{text}");
    assert!(!text.contains("900000"), "{text}");
    write("person.csv", "person_id,year_of_birth\n1,1950\n,1951\n,1952\n");
    let text = doctor(folder.path(), 1);
    assert!(text.contains("2 rows without `person_id` (lines 3, 4)") && text.contains("death.csv"), "{text}");
}

#[test]
fn advice_is_about_what_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let (gone, file) = (folder.path().join("gone"), folder.path().join("person.csv"));
    fs::write(&file, "person_id\n1\n").unwrap();
    fs::write(folder.path().join("tumours.csv"), "patnr\n1\n").unwrap();
    for args in [&["doctor", "--store"][..], &["store", "arrange", "--to", "x", "--store"]] {
        let text = run(args, &gone, 1);
        assert!(text.contains("there is no folder") && !text.contains("configuration"), "{text}");
        let text = run(args, &file, 1);
        assert!(text.contains("is a file; give its folder") && !text.contains("arranged.json"), "{text}");
        let text = run(args, Path::new("postgresql://user@db.example/omop"), 2);
        assert!(text.contains("--schema"), "{text}");
        let text = run(args, Path::new("jdbc:postgresql://db.example/omop"), 2);
        assert!(text.contains("postgresql://USER@HOST"), "{text}");
    }
    let text = doctor(folder.path(), 0);
    assert!(text.contains("tumours.csv: neither") && text.contains("consilium table propose"), "{text}");
}

#[test]
fn a_report_and_its_error_are_one_object() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("death.csv", "person_id,death_date\n1,2020-01-01\n2,10000-01-01\n");
    write("person.csv", "person_id\n1\n1\n");
    let of = |args: &[&str], exit: i32| -> Value {
        let output = Command::new(program()).args(args).env("HOME", folder.path().join("none")).output().unwrap();
        assert_eq!(output.status.code(), Some(exit), "{}", said(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let store = folder.path().to_str().unwrap();
    let shown = of(&["doctor", "--json", "--store", store], 1);
    assert_eq!((&shown["kind"], &shown["tables"][0]["name"]), (&"refused".into(), &"death".into()));
    assert!(shown["error"].as_str().unwrap().contains("person.csv"), "{shown}");
    assert!(shown["absent"].as_array().unwrap().contains(&"concept_ancestor".into()), "{shown}");
    let shown = of(&["study", "check", "--json"], 2);
    assert!(shown["kind"] == "usage" && shown["error"].as_str().unwrap().contains("<FILE>"), "{shown}");
    // What is there and not there is said in words, too.
    write("person.csv", "person_id\n1\n");
    let text = doctor(folder.path(), 0);
    assert!(text.contains("concept_ancestor (sets of concepts with `descendants`), "), "{text}");
    assert!(text.contains("death: `death_date`: 1 value is beyond the years"), "{text}");
    write("person.csv", "person_id\n");
    assert!(doctor(folder.path(), 1).contains("nobody is in PERSON"));
}
