//! What people do wrong: each gets a message that says what to do next, an exit code, and nothing half done.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::{QUICK, World, alone, program};

fn consilium(home: &Path, args: &[&str]) -> Output {
    Command::new(program()).args(args).arg("--home").arg(home).output().unwrap()
}

/// The message of a command that must fail with this exit code.
fn refusal(home: &Path, args: &[&str], exit: i32) -> String {
    let output = consilium(home, args);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(exit), "{args:?}: {text}");
    assert!(text.len() > 20, "{args:?} says nothing");
    assert!(!text.contains("panicked"), "{text}");
    text
}

#[test]
fn files_and_flags_that_are_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    assert!(refusal(&home, &["status"], 1).contains("consilium init"));
    assert!(refusal(&home, &["study", "check", "nowhere.toml"], 1).contains("not there"));
    let text = refusal(&home, &["study", "check", folder.path().to_str().unwrap()], 1);
    assert!(text.contains("is a folder; name a file in it"), "{text}");
    assert!(refusal(&home, &["doctor", "--schema", "cdm"], 2).contains("go with --store"));
    refusal(&home, &["study", "frobnicate"], 2);
    refusal(&home, &["init", "hospital", "--name", "A"], 2);
    let args = ["init", "hospital", "--name", "A", "--address", "nonsense", "--store", "/tmp"];
    assert!(refusal(&home, &args, 2).contains("host:port"));
    assert!(!home.join("role.toml").exists(), "nothing is half done");

    assert!(consilium(&home, &["init", "researcher", "--name", "R"]).status.success());
    assert!(refusal(&home, &["init", "researcher", "--name", "R"], 1).contains("already"));
    assert!(refusal(&home, &["status"], 1).contains("consilium join"));
    assert!(refusal(&home, &["inbox"], 1).contains("hospital"));
    let genesis = folder.path().join("genesis.toml");
    fs::write(&genesis, "version = 1\nnonsense = true\n").unwrap();
    assert!(refusal(&home, &["join", genesis.to_str().unwrap()], 1).contains("nonsense"));

    let study = folder.path().join("study.toml");
    fs::write(&study, "version = 9\n").unwrap();
    assert!(refusal(&home, &["study", "check", study.to_str().unwrap()], 1).contains("version 9"));
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/studies/glycaemia.toml");
    let text = fs::read_to_string(example).unwrap();
    fs::write(&study, text.replace("FROM person\n", "FROM patients\n")).unwrap();
    assert!(refusal(&home, &["study", "check", study.to_str().unwrap()], 1).contains("patients"));
    fs::write(&study, &text).unwrap();
    assert!(consilium(&home, &["study", "check", study.to_str().unwrap()]).status.success());

    // A key file that others can read, and one that is damaged.
    let secret = home.join("secrets/signing.secret");
    let good = fs::read(&secret).unwrap();
    fs::write(&secret, "rubbish").unwrap();
    let join = ["researcher", "list"];
    assert!(refusal(&home, &join, 1).len() > 20);
    fs::write(&secret, good).unwrap();
}

#[test]
fn a_study_file_that_is_none_is_recognised() {
    let folder = tempfile::tempdir().unwrap();
    let check = |name: &str, bytes: &[u8]| {
        let file = folder.path().join(name);
        fs::write(&file, bytes).unwrap();
        refusal(folder.path(), &["study", "check", file.to_str().unwrap()], 1)
    };
    for (name, text) in
        [("q.sql", "-- all\nSELECT 1"), ("q.txt", "\n-- all\nselect person_id FROM person"), ("w.toml", "WITH a AS (")]
    {
        let error = check(name, text.as_bytes());
        assert!(error.contains("[cohort]") && error.contains("consilium study new"), "{error}");
        assert!(!error.contains("TOML parse error"), "{error}");
    }
    let utf16: Vec<u8> = "title = \"ä\"".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let plain: Vec<u8> = "title = 1".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (name, bytes) in [("utf16.toml", &utf16[..]), ("plain.toml", &plain), ("latin1.toml", b"title = \"\xe4\"\n")] {
        assert!(check(name, bytes).contains("save it as UTF-8"));
    }
}

#[test]
fn a_home_that_was_named_and_is_not_there_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let gone = folder.path().join("gone");
    let study = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/studies/glycaemia.toml");
    let study = study.to_str().unwrap();
    assert!(refusal(&gone, &["study", "check", study], 1).contains("no home"));
    let run = |name: &str| Command::new(program()).args(["study", "check", study]).env(name, &gone).output().unwrap();
    let output = run("CONSILIUM_HOME");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("no home"));
    // One that nobody named need not be there.
    assert!(run("HOME").status.success());
}

#[test]
fn names_of_tables_that_cannot_be_are_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    let from = folder.path().join("tumours.csv");
    fs::write(&from, "PATNR,FOUND,SIZE\n1,2020-01-01,3\n").unwrap();
    let from = from.to_str().unwrap();
    for name in ["Registry", "person", "1st"] {
        let args = ["table", "propose", name, "--from", from, "--subject", "PATNR", "--domain", "condition"];
        refusal(folder.path(), &args, 2);
    }
}

#[test]
fn a_file_is_drafted_from_where_it_lies() {
    let folder = tempfile::tempdir().unwrap();
    let tum = folder.path().join("tum2");
    fs::create_dir(&tum).unwrap();
    fs::write(tum.join("a.csv"), "PATNR,FOUND,STAGE\n1,2020-01-01 10:00,II\n").unwrap();
    let draft = |from: &str, more: &[&str]| {
        let args = ["table", "propose", "registry", "--from", from, "--subject", "PATNR", "--domain", "condition"];
        Command::new(program()).args(args).args(more).current_dir(folder.path()).output().unwrap()
    };
    let output = draft("tum2", &["--date", "FOUND"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    assert!(text.contains("# The day of a row: its times of day are not read.\n[[table.column]]"), "{text}");
    assert!(text.contains("type = \"date\"") && text.contains("`stage` holds texts"), "{text}");
    let said = |from: &str, more: &[&str]| String::from_utf8_lossy(&draft(from, more).stderr).into_owned();
    assert!(said("nope.csv", &[]).contains("nope.csv is not there; check the path"));
    assert!(said("tum2", &["--date", "STAGE"]).contains("`STAGE` has other values than days"));
    fs::write(tum.join("b.csv"), "PATNR,SIZE\n1,2\n").unwrap();
    assert!(said("tum2", &[]).contains("tum2 has files of several tables"));
    fs::create_dir(folder.path().join("empty")).unwrap();
    assert!(said("empty", &[]).contains("empty has no CSV or Parquet file in it"));
}

#[test]
fn a_closed_pipe_ends_the_output_and_not_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let closed = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        writer
    };
    for (args, exit) in [(&["study", "check", "nowhere.toml"][..], 1), (&["study", "frobnicate"], 2), (&["--help"], 0)]
    {
        let mut command = Command::new(program());
        command.args(args).env("HOME", folder.path()).stdout(closed()).stderr(closed());
        assert_eq!(command.status().unwrap().code(), Some(exit), "{args:?}");
    }
}

#[test]
fn a_node_says_why_it_does_not_start() {
    alone(async || {
        let world = World::found(20, QUICK)?;
        let hospital = &world.consortium.hospitals[0];
        let home = &hospital.home;
        assert!(consilium(home, &["config", "check"]).status.success());
        let silent = refusal(home, &["status"], 3);
        assert!(silent.contains("`consilium node`") && !silent.contains("consilium status"), "{silent}");

        // A busy port.
        let config = consilium::home::config::NodeConfig::read(home)?;
        let busy = TcpListener::bind(config.listen.grpc)?;
        assert!(refusal(home, &["node"], 1).contains("listen"));
        drop(busy);

        // A field that does not exist.
        let file = home.join("consilium.toml");
        let good = fs::read_to_string(&file)?;
        fs::write(&file, format!("{good}\n[metric]\nport = 1\n"))?;
        assert!(refusal(home, &["config", "check"], 1).contains("metric"));
        // A policy that is looser than the consortium's.
        let loose = "\n[policy]\nmin_joint_count = 11\nmin_site_count = 2\nmin_hospitals = 3\n";
        fs::write(&file, format!("{good}{loose}"))?;
        assert!(refusal(home, &["config", "check"], 1).contains("min_site_count"));
        fs::write(&file, &good)?;

        // A missing folder of tables, a table cut short, a malformed row.
        fs::rename(&hospital.store, hospital.store.with_extension("away"))?;
        assert!(refusal(home, &["node"], 1).contains("[store]"));
        fs::rename(hospital.store.with_extension("away"), &hospital.store)?;
        let person = hospital.store.join("PERSON.parquet");
        let bytes = fs::read(&person)?;
        fs::write(&person, &bytes[..bytes.len() / 2])?;
        let text = refusal(home, &["node"], 1).to_lowercase();
        assert!(text.contains("person"), "{text}");
        fs::write(&person, &bytes)?;

        // Another member's key.
        let key = home.join("secrets/consensus.secret");
        let own = fs::read(&key)?;
        fs::write(&key, fs::read(world.consortium.hospitals[1].home.join("secrets/consensus.secret"))?)?;
        assert!(refusal(home, &["config", "check"], 1).contains("consensus key"));
        fs::write(&key, own)?;

        // A ledger that is none.
        fs::write(home.join("ledger/ledger.redb"), b"not a database")?;
        assert!(refusal(home, &["node"], 1).contains("ledger"));
        fs::remove_file(home.join("ledger/ledger.redb"))?;

        // A member that changed its own entry in the genesis file.
        let genesis = home.join("genesis.toml");
        let text = fs::read_to_string(&genesis)?;
        fs::write(&genesis, text.replacen("name = \"North\"", "name = \"Nord\"", 1))?;
        assert!(refusal(home, &["config", "check"], 1).contains("changed after"));
        Ok(())
    });
}
