//! `consilium store arrange` as a data manager runs it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

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
    assert_eq!((&shown["warnings"], &tables[0]["unseen"]["strangers"]), (&Value::Array(Vec::new()), &1.into()));
    let refused = arrange(folder, &folder.join("person.csv"), &[]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("person.csv is a file; name a folder"));

    let doctor = Command::new(program()).args(["doctor", "--store", to.to_str().unwrap()]).output().unwrap();
    assert!(doctor.status.success() && String::from_utf8_lossy(&doctor.stdout).contains("death"));

    let refused = arrange(folder, folder, &[]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{error}");
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
    assert!(said.contains("laid out 20") && said.contains("the export is the same"), "{said}");
    fs::write(tables.join("death.csv"), "person_id,death_date\n2,2020-01-01\n").unwrap();
    let (_, said) = run(&["doctor"]);
    assert!(said.contains("the export has changed since") && said.contains("consilium store arrange"), "{said}");
    run(&["store", "arrange"]);
    assert!(run(&["doctor"]).1.contains("the export is the same"));
    // What is read otherwise is arranged anew first.
    add(&format!("arranged = \"{}\"\n", to.display()));
    let (_, said) = run(&["doctor"]);
    assert!(said.contains("arrange it anew"), "{said}");
}

/// Every file below a folder with its bytes.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => drop(found.insert(path.clone(), fs::read(&path).unwrap())),
        }
    }
    found
}

#[test]
fn a_bad_export_replaces_nothing_until_it_is_accepted() {
    let (folder, arranged) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (folder, to) = (folder.path(), arranged.path().join("arranged"));
    let persons = "person_id\n1\n2\n3\n4\n";
    let deaths = "person_id,death_date\n1,2020-01-01\n2,2020-01-02\n3,2020-01-03\n4,2020-01-04\n";
    let put = |name: &str, text: Option<&str>| match text {
        Some(text) => fs::write(folder.join(name), text).unwrap(),
        None => fs::remove_file(folder.join(name)).unwrap(),
    };
    put("person.csv", Some(persons));
    put("death.csv", Some(deaths));
    assert!(arrange(folder, &to, &[]).status.success());
    let whole = files(&to);
    let bad: [(&str, Option<&str>, &str); 7] = [
        ("death.csv", None, "it is not there"),
        ("death.csv", Some(""), "now it has 0"),
        ("death.csv", Some("person_id,death_date\n"), "now it has 0"),
        ("death.csv", Some("person_id,death_date\n1,2020-01-01,9\n2\n"), "line 2"),
        ("death.csv", Some("person_id,death_date\n1,2020-01-01\n"), "now it has 1"),
        ("death.csv", Some("person_id,death_date\n7,2020-01-01\n8,2020-01-01\n9,2020-01-01\n"), "now it has 0"),
        ("person.csv", Some("person_id\n1\n"), "`person` has 4 rows in what is laid out; now it has 1"),
    ];
    for (name, text, why) in bad {
        put(name, text);
        let refused = arrange(folder, &to, &[]);
        let error = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{why}: {error}");
        let table = name.trim_end_matches(".csv");
        let said = format!("`{table}` has 4 rows in what is laid out");
        assert!(error.contains(&said) && error.contains(why) && error.contains("--accept-fewer"), "{why}: {error}");
        assert!(files(&to) == whole, "{why}: something was changed");
        put(name, Some(if table == "person" { persons } else { deaths }));
    }
    // Half of the rows may go, and all of them where somebody says so.
    put("death.csv", Some("person_id,death_date\n1,2020-01-01\n2,2020-01-01\n"));
    assert!(arrange(folder, &to, &[]).status.success());
    put("death.csv", Some("person_id,death_date\n1\n"));
    let accepted = arrange(folder, &to, &["--accept-fewer"]);
    let warned = String::from_utf8_lossy(&accepted.stderr).into_owned();
    assert!(accepted.status.success() && warned.contains("`death` is not laid out") && warned.contains("line 2"));
    assert!(!to.join("death").exists());
    // It is said the first time, too, which is as good as any.
    let first = arrange(folder, &arranged.path().join("first"), &[]);
    let warned = String::from_utf8_lossy(&first.stderr).into_owned();
    assert!(first.status.success() && warned.contains("`death` is not laid out"), "{warned}");
}

/// So many rows that it takes a moment, with little in common.
fn many(folder: &Path, rows: u64) {
    fs::write(folder.join("person.csv"), "person_id\n1\n2\n").unwrap();
    let mut text = "condition_occurrence_id,person_id,condition_concept_id,condition_start_date\n".to_string();
    for i in 0..rows {
        let code = i * 69_621 % 1_000_003;
        writeln!(text, "{},{},{code},2016-01-01", i * 48_271 % 2_147_483_647, 1 + i % 2).unwrap();
    }
    fs::write(folder.join("condition_occurrence.csv"), text).unwrap();
}

#[test]
fn a_damaged_file_is_found_by_its_hash() {
    let (folder, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    many(folder.path(), 30_000);
    assert!(arrange(folder.path(), to.path(), &[]).status.success());
    let doctor = || Command::new(program()).args(["doctor", "--store"]).arg(to.path()).output().unwrap();
    let good = doctor();
    assert!(good.status.success() && String::from_utf8_lossy(&good.stdout).contains("every file is as it was written"));
    let (path, mut bytes) = files(to.path()).into_iter().max_by_key(|(_, bytes)| bytes.len()).unwrap();
    assert!(bytes.len() > (1 << 16) + 2_000, "beyond what opening it looks at");
    bytes[1_000] ^= 1;
    fs::write(path, bytes).unwrap();
    let error = doctor();
    assert_eq!(error.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&error.stderr).contains("is damaged"), "{error:?}");
}

#[test]
fn somebody_who_stops_it_leaves_nothing_behind() {
    let (folder, arranged) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    many(folder.path(), 400_000);
    let to = arranged.path().join("arranged");
    let mut child = Command::new(program())
        .args(["store", "arrange", "--store"])
        .arg(folder.path())
        .arg("--to")
        .arg(&to)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !to.join(".sorting").exists() {
        assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "it never sorts");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("stopped; nothing was changed"), "{error}");
    let left: Vec<PathBuf> = files(&to).into_keys().collect();
    assert_eq!((left, to.join(".sorting").exists()), (vec![to.join(".arranging")], false));
}
