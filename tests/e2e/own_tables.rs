//! A table that OMOP does not name, from the catalogue to a joint result.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use consilium::demo::consortium::Consortium;
use consilium_protocol::catalogue::CatalogueTable;
use parquet::arrow::ArrowWriter;

use crate::support::{QUICK, alone, consilium, plan, research, run, until_said};

/// Stands in what the catalogue leaves out, and in rows of those who do not consent.
const CANARY: &str = "CANARYOFTHEREGISTRY";
/// How many patients each hospital has; the first thirty consent.
const PATIENTS: i64 = 40;

fn registry() -> CatalogueTable {
    toml::from_str(
        r#"
name = "registry"
description = "Tumours, as the registries of the three hospitals have them"
subject = "patient"
domain = "condition"
date = "found"
single = true
[[column]]
name = "found"
type = "date"
[[column]]
name = "stage"
type = "category"
values = ["I", "II", "III"]
[[column]]
name = "size"
type = "integer"
description = "mm"
"#,
    )
    .unwrap()
}

/// A hospital's rows: person, day, stage, size.
fn rows(position: usize) -> Vec<(i64, String, &'static str, i64)> {
    let row = |n: i64| {
        let stage = ["I", "II", "III"][(n % 3) as usize];
        (
            1_000 * position as i64 + n,
            format!("2020-0{}-1{}", 1 + n % 9, n % 9),
            stage,
            10 + (7 * n + position as i64) % 30,
        )
    };
    (1..=PATIENTS).map(row).collect()
}

/// Each hospital has the table in another form, under other names, with a column that nobody agreed on.
fn write_tables(store: &Path, position: usize) {
    let persons: String = rows(position).iter().fold("person_id\n".to_string(), |mut text, (person, ..)| {
        let _ = writeln!(text, "{person}");
        text
    });
    fs::write(store.join("person.csv"), persons).unwrap();
    match position {
        0 => {
            let mut text = "patient,found,stage,size,remark\n".to_string();
            for (person, found, stage, size) in rows(position) {
                writeln!(text, "{person},{found},{stage},{size},{CANARY}").unwrap();
            }
            fs::write(store.join("registry.csv"), text).unwrap();
        }
        1 => {
            let mut text = "PATNR\tBEFUND\tUICC\tGROESSE\tBEMERKUNG\n".to_string();
            for (person, found, stage, size) in rows(position) {
                writeln!(text, "{person}\t{found} 0:00:00\t{stage}\t{size}.0\t{CANARY}").unwrap();
            }
            fs::write(store.join("Tumoren 2025.tsv"), text).unwrap();
        }
        _ => {
            use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};
            let rows = rows(position);
            let texts = |of: &dyn Fn(usize) -> String| -> ArrayRef {
                std::sync::Arc::new(StringArray::from((0..rows.len()).map(of).collect::<Vec<_>>()))
            };
            let columns: [(&str, ArrayRef); 5] = [
                ("PATIENT", std::sync::Arc::new(Int64Array::from(rows.iter().map(|row| row.0).collect::<Vec<_>>()))),
                ("Found", texts(&|row| rows[row].1.clone())),
                ("Stage", texts(&|row| rows[row].2.to_string())),
                (
                    "Size",
                    std::sync::Arc::new(Float64Array::from(rows.iter().map(|row| row.3 as f64).collect::<Vec<_>>())),
                ),
                ("Remark", texts(&|_| CANARY.to_string())),
            ];
            let batch = arrow::array::RecordBatch::try_from_iter(columns).unwrap();
            let file = fs::File::create(store.join("registry.parquet")).unwrap();
            let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
            writer.write(&batch).unwrap();
            writer.close().unwrap();
        }
    }
}

const STUDY: &str = r#"
version = 1
title = "Tumours by stage"
description = "How large tumours are at each stage."
purpose = "HMB"
declares = []
protection = "open"

[cohort]
subject = "patient"
sql = "SELECT patient, stage, size FROM registry WHERE found >= DATE '2020-02-01'"

[[variable]]
name = "size"
min = 0
max = 100
resolution = 1
unit = "mm"

[[dimension]]
name = "stage"
values = ["I", "II", "III"]

[[statistic]]
name = "tumours"
kind = "count"
by = ["stage"]

[[statistic]]
name = "size"
kind = "mean"
of = "size"
by = ["stage"]
"#;

/// All numbers of a result.
fn gather(value: &serde_json::Value, numbers: &mut Vec<f64>) {
    match value {
        serde_json::Value::Number(number) => numbers.extend(number.as_f64()),
        serde_json::Value::Array(values) => values.iter().for_each(|value| gather(value, numbers)),
        serde_json::Value::Object(values) => values.values().for_each(|value| gather(value, numbers)),
        _ => {}
    }
}

fn has(numbers: &[f64], wanted: f64) -> bool {
    numbers.iter().any(|number| (number - wanted).abs() < 1e-9)
}

/// Every file below a folder, the tables themselves aside, that holds the canary.
fn search(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "omop") {
            search(&path, found);
        } else if path.is_file() && fs::read(&path).unwrap().windows(CANARY.len()).any(|w| w == CANARY.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
}

/// A consortium whose nodes do not run, with these tables beside OMOP's.
fn founded(folder: &Path, tables: Vec<CatalogueTable>) -> Result<Consortium, consilium::cli::Failure> {
    let mut setup = plan(folder.to_path_buf(), QUICK);
    setup.hospitals.truncate(3);
    setup.tables = tables;
    setup.policy.min_site_count = 2;
    Consortium::found(setup)
}

#[test]
fn a_mapping_is_not_replaced_by_a_worse_one_and_can_always_be_forgotten() {
    alone(async || {
        let folder = tempfile::tempdir()?;
        let consortium = founded(folder.path(), vec![registry()])?;
        let south = &consortium.hospitals[1];
        write_tables(&south.store, 1);
        let home = &south.home;
        let config = || fs::read_to_string(home.join("consilium.toml")).unwrap();
        let map = |args: &[&str], exit| run(home, &[&["store", "map", "registry"][..], args].concat(), exit);

        let bare = map(&["--file", "Tumoren 2025.tsv"], 1);
        assert!(bare.contains("--column patient=NAME"), "{bare}");
        let columns = ["patient=PATNR", "found=BEFUND", "stage=UICC", "size=GROESSE"];
        let columns: Vec<&str> = columns.iter().flat_map(|pair| ["--column", pair]).collect();
        map(&[&["--file", "Tumoren 2025.tsv"][..], &columns].concat(), 0);
        let good = config();
        assert!(good.contains("file = \"Tumoren 2025\""), "{good}");

        // What was looked for is said, and for machines it is one object.
        let gone = map(&["--file", "gone.tsv"], 1);
        assert!(gone.contains("`gone` was looked for in"), "{gone}");
        let output = consilium(home, &["store", "map", "registry", "--json", "--file", "gone"]);
        let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&shown["kind"], &shown["mapping"]["file"]), (&"refused".into(), &"gone".into()));
        assert!(map(&["--file", "/srv/gone.tsv"], 2).contains("without a path"));
        let known = map(&["--column", "Stadium=UICC"], 2);
        assert!(known.contains("it has patient, found, stage, size"), "{known}");
        map(&["--column", "STAGE=uicc"], 0);
        assert!(config().contains("stage = \"uicc\""), "{}", config());
        map(&["--column", "stage=UICC"], 0);

        // Misspelt, and of values that do not fit.
        for column in ["stage=UICX", "stage=GROESSE"] {
            let worse = map(&["--column", column], 1);
            assert!(worse.contains("`stage` could be read") && worse.contains("--accept-fewer"), "{worse}");
            assert_eq!(config(), good, "{column}");
        }
        map(&["--column", "stage=UICX", "--accept-fewer"], 0);
        assert!(config().contains("UICX"));

        let forgotten = map(&["--reset"], 0);
        assert!(forgotten.contains("forgotten") && forgotten.contains("patient=PATNR"), "{forgotten}");
        assert!(!config().contains("registry"), "{}", config());
        assert!(map(&["--reset"], 0).contains("nothing to forget"));
        Ok(())
    });
}

/// The words of a command line.
fn words(line: &str) -> Vec<String> {
    let parts = line.split('"').enumerate();
    parts
        .flat_map(|(i, part)| match i % 2 {
            1 => vec![part.to_string()],
            _ => part.split_whitespace().map(str::to_string).collect(),
        })
        .collect()
}

#[test]
fn the_documented_commands_for_a_table_of_one_s_own_run_from_the_first_to_the_last() {
    alone(async || {
        let folder = tempfile::tempdir()?;
        let docs = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/data.md")).unwrap();
        let command = |begins: &str| {
            let line = docs.split('`').find(|code| code.starts_with(begins)).unwrap_or_else(|| panic!("{begins}"));
            words(line)
        };
        let within = |words: &[String], home: &Path| {
            let mut command = std::process::Command::new(crate::support::program());
            command.args(&words[1..]).arg("--home").arg(home).current_dir(folder.path());
            let output = command.output().unwrap();
            let text = crate::support::said(&output);
            assert!(output.status.success(), "{words:?}: {text}");
            text
        };
        let row = |n: i64| format!("{n},2020-01-{:02},{},{}\n", 1 + n % 9, ["I", "II"][n as usize % 2], 10 + n);
        let rows: String = (1..=9).map(row).collect();
        fs::write(folder.path().join("tumours.csv"), format!("PATNR,FOUND,STAGE,SIZE\n{rows}"))?;
        let nobody = folder.path().join("nobody");
        within(&command("consilium table propose registry"), &nobody);
        let drafted = fs::read_to_string(folder.path().join("registry.toml"))?;
        // What the page shows is the draft, as somebody finished it.
        let finished = docs.split("```").find_map(|code| code.strip_prefix("toml\n[[table]]")).unwrap();
        let finished = format!("[[table]]{finished}");
        fs::write(folder.path().join("registry.toml"), &finished)?;
        #[derive(serde::Deserialize)]
        struct File {
            table: Vec<CatalogueTable>,
        }
        let read = |text: &str| toml::from_str::<File>(text).unwrap().table.remove(0);
        let (draft, finished) = (read(&drafted), read(&finished));
        assert_eq!((&draft.name, &draft.subject, &draft.date), (&finished.name, &finished.subject, &finished.date));
        within(&command("consilium table list --file"), &nobody);

        let consortium = founded(&folder.path().join("consortium"), vec![finished])?;
        let hospital = &consortium.hospitals[0];
        assert!(within(&command("consilium table list"), &hospital.home).contains("registry"));
        let persons: String = (1..=9).map(|n| format!("{n}\n")).collect();
        fs::write(hospital.store.join("person.csv"), format!("person_id\n{persons}"))?;
        fs::write(hospital.store.join("Tumoren 2025.csv"), format!("PATIENT,FOUND,UICC,SIZE\n{rows}"))?;
        let said = within(&command("consilium store map registry"), &hospital.home);
        assert!(!said.contains("not in the file") && !said.contains("unreadable"), "{said}");
        Ok(())
    });
}

#[test]
fn a_table_of_the_consortium_s_own_is_asked_about_from_check_to_result() {
    alone(async || {
        let folder = tempfile::tempdir()?;
        let mut setup = plan(folder.path().to_path_buf(), QUICK);
        setup.hospitals.truncate(3);
        setup.tables = vec![registry()];
        setup.policy.min_site_count = 2;
        let mut consortium = Consortium::found(setup)?;
        for (position, hospital) in consortium.hospitals.iter().enumerate() {
            write_tables(&hospital.store, position);
        }
        let mut said = String::new();

        // Where other names are used, the hospital says so, before its node starts.
        let south = consortium.hospitals[1].home.clone();
        assert!(run(&south, &["doctor"], 0).contains("Not here: tables of the consortium's catalogue"));
        let missing = ["store", "map", "registry", "--file", "tumoren 2025", "--column", "patient=PATNR"];
        let text = run(&south, &missing, 0);
        assert!(text.contains("not in the file"), "{text}");
        assert!(run(&south, &["store", "map", "registry", "--file", "gone"], 1).contains("nothing was written"));
        let columns = ["patient=PATNR", "found=BEFUND", "stage=UICC", "size=GROESSE"];
        let columns = columns.iter().flat_map(|pair| ["--column", pair]);
        let args: Vec<&str> =
            ["store", "map", "registry", "--file", "Tumoren 2025"].into_iter().chain(columns).collect();
        let text = run(&south, &args, 0);
        assert!(!text.contains("not in the file") && text.contains("bemerkung"), "{text}");
        said.push_str(&text);
        for hospital in &consortium.hospitals {
            let text = run(&hospital.home, &["doctor"], 0);
            assert!(text.contains("registry") && !text.contains("Not here"), "{text}");
            said.push_str(&text);
        }

        // Without any network: no node runs yet.
        let researcher = consortium.researcher("researcher")?;
        let home = researcher.path().to_path_buf();
        assert!(run(&home, &["table", "list"], 0).contains("I, II, III"));
        let file = folder.path().join("tumours.toml");
        let path = file.display().to_string();
        run(&home, &["study", "new", &path], 0);
        fs::write(&file, STUDY.replace("stage, size FROM", "remark, size FROM"))?;
        let refused = run(&home, &["study", "check", &path], 1);
        assert!(refused.contains("no column `remark`"), "{refused}");
        fs::write(&file, STUDY)?;
        let checked = run(&home, &["study", "check", &path], 0);
        assert!(checked.contains("registry: found, patient, size, stage"), "{checked}");
        let stranger = tempfile::tempdir()?;
        let unknown = run(stranger.path(), &["study", "check", &path], 1);
        assert!(unknown.contains("registry") && unknown.contains("--tables"), "{unknown}");

        consortium.start_all()?;
        consortium.wait_all_ready(Duration::from_secs(30)).await?;
        for position in 0..3 {
            let persons: Vec<i64> = rows(position).into_iter().map(|(person, ..)| person).collect();
            let enrolled: Vec<_> = persons.iter().map(|person| (*person, None)).collect();
            match position {
                1 => drop(run(&south, &["patients", "enrol", "--all"], 0)),
                _ => consortium.enrol(position, &enrolled).await?,
            }
            consortium.witness_grants(position, &persons[..30], &research()).await?;
        }
        consortium.accredit(&researcher.signing_key()?, "Tester", "University").await?;
        run(&home, &["study", "submit", &path], 0);
        for hospital in &consortium.hospitals {
            said.push_str(&run(&hospital.home, &["inbox"], 0));
            run(&hospital.home, &["approve"], 0);
        }
        until_said(&home, &["study", "list"], "released").await;
        let result = run(&home, &["study", "result", "--json"], 0);
        said.push_str(&result);
        said.push_str(&run(&home, &["study", "show"], 0));

        let mut numbers = Vec::new();
        gather(&serde_json::from_str(&result).unwrap(), &mut numbers);
        for stage in ["I", "II", "III"] {
            let all = (0..3).flat_map(|position| rows(position).into_iter().take(30));
            let of_stage = all.filter(|(_, found, of, _)| *of == stage && found.as_str() >= "2020-02-01");
            let sizes: Vec<i64> = of_stage.map(|(.., size)| size).collect();
            let (n, mean) = (sizes.len(), sizes.iter().sum::<i64>() as f64 / sizes.len() as f64);
            assert!(n > 11 && has(&numbers, n as f64) && has(&numbers, mean), "{stage}: {n} of mean {mean}: {result}");
        }
        consortium.stop_all().await;
        assert!(!said.contains(CANARY), "{said}");
        let mut found = Vec::new();
        search(folder.path(), &mut found);
        assert!(found.is_empty(), "{found:#?}");
        Ok(())
    });
}
