//! `consilium store arrange` as a data manager runs it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::program;

fn arrange(folder: &Path, to: &Path, more: &[&str]) -> Output {
    let arguments = ["store", "arrange", "--store", folder.to_str().unwrap(), "--to", to.to_str().unwrap()];
    Command::new(program()).args(arguments).args(more).output().unwrap()
}

#[test]
fn a_folder_is_arranged_and_arranged_again() {
    let (folder, arranged) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (folder, to) = (folder.path(), arranged.path().join("arranged"));
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    write("person.csv", "person_id,year_of_birth,person_source_value\n1,1950,CANARY\n2,1960,CANARY\n");
    write("death.csv", "person_id,death_date\n2,2020-01-01\n7,2020-01-01\n,2020-01-01\n");
    write("NOTE.csv", "note_id,person_id,note_text\n1,1,CANARY\n");

    let first = arrange(folder, &to, &[]);
    let text = String::from_utf8_lossy(&first.stdout).into_owned();
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    for said in [
        "2 patients in 1 bucket",
        "person_source_value",
        "1 without a person, 1 of people",
        "Next: add `arranged = ",
        " s over",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert!(!text.contains("CANARY"), "{text}");

    let again = arrange(folder, &to, &["--json"]);
    let shown: Value = serde_json::from_slice(&again.stdout).unwrap();
    let tables = shown["arranged"]["tables"].as_array().unwrap();
    let of = |table: &Value| {
        (table["name"].as_str().unwrap().to_string(), table["rows"].as_u64(), table["files_written"].as_u64())
    };
    let found: Vec<_> = tables.iter().map(of).collect();
    assert_eq!(found, [("death".to_string(), Some(1), Some(0)), ("person".to_string(), Some(2), Some(0))]);
    assert_eq!(shown["trial"]["table"], "death");

    let doctor = Command::new(program()).args(["doctor", "--store", to.to_str().unwrap()]).output().unwrap();
    assert!(doctor.status.success() && String::from_utf8_lossy(&doctor.stdout).contains("death"));

    let refused = arrange(folder, folder, &[]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{error}");
    assert!(error.contains("give another one") && fs::read_dir(folder).unwrap().count() == 3, "{error}");
}

#[test]
fn a_hospital_reads_what_it_arranged_and_arranges_it_again_without_being_told_where() {
    let folder = tempfile::tempdir().unwrap();
    let (tables, home, to) = (folder.path().join("export"), folder.path().join("home"), folder.path().join("arranged"));
    fs::create_dir(&tables).unwrap();
    fs::write(tables.join("person.csv"), "person_id,year_of_birth\n1,1950\n2,-9\n").unwrap();
    let run = |arguments: &[&str]| {
        let home = ["--home", home.to_str().unwrap()];
        let output = Command::new(program()).args(arguments).args(home).output().unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        (output.status.code(), said)
    };
    let (store, database) = (tables.to_str().unwrap(), "postgresql://user@db.example/x");
    // What is wrong in the command leaves no home behind.
    let init = ["init", "hospital", "--name", "North", "--address", "127.0.0.1:7400", "--store"];
    assert_ne!(run(&[&init[..], &[database]].concat()).0, Some(0));
    let (code, said) = run(&[&init[..], &[store]].concat());
    assert_eq!(code, Some(0), "{said}");
    let config = home.join("consilium.toml");
    let text = fs::read_to_string(&config).unwrap();
    let add = |more: &str| fs::write(&config, text.replacen("[store]\n", &format!("[store]\n{more}"), 1)).unwrap();
    // A password in the configuration is refused, and not repeated.
    add("url = \"postgresql://u:SECRET@h/d\"\n");
    let (code, said) = run(&["doctor"]);
    assert!(code != Some(0) || said.contains("password"), "{said}");
    let (code, said) = run(&["config", "check"]);
    assert!(
        code != Some(0) && said.contains("password") && said.contains("line ") && !said.contains("SECRET"),
        "{said}"
    );

    add("nulls = [\"-9\"]\n");
    assert!(run(&["store", "arrange"]).1.contains("--to"));
    let (code, said) = run(&["store", "arrange", "--to", to.to_str().unwrap()]);
    assert!(code == Some(0) && said.contains(&format!("add `arranged = \"{}\"`", to.display())), "{said}");
    add(&format!("nulls = [\"-9\"]\narranged = \"{}\"\n", to.display()));
    fs::write(tables.join("person.csv"), "person_id,year_of_birth\n1,1950\n2,-9\n3,-9\n").unwrap();
    let (code, said) = run(&["store", "arrange"]);
    assert!(code == Some(0) && said.contains("3 patients") && !said.contains("Next"), "{said}");
    let (_, said) = run(&["doctor"]);
    assert!(
        said.contains("arranged from") && said.contains("as it was written") && !said.contains("unreadable:"),
        "{said}"
    );
    // What is read otherwise is arranged anew first.
    add(&format!("arranged = \"{}\"\n", to.display()));
    let (_, said) = run(&["doctor"]);
    assert!(said.contains("arrange it anew"), "{said}");
}
