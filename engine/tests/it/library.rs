//! What libraries of queries for OMOP ask, asked per patient: each study over every form of a store, with the answers that
//! PostgreSQL gives to another wording of it; and the queries of such libraries as they stand, planned or refused in plain words.

mod sample;
mod whole;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use arrow::array::Array;
use arrow::util::display::array_value_to_string;
use consilium_engine::cohort::{Cohort, check, run};
use consilium_engine::statistics::Layout;
use consilium_engine::store::{Store, StoreConfig};
use consilium_protocol::study::StudySpec;

use super::hospital::{Rows, Value, arrange_in_place, everybody, limits, link};
use super::oracle::server::{Server, Session, programs_or_skip};
use sample::MARKER;

/// Each patient's row by the number that tells patients apart: the declared columns as texts, with none for NULL.
type Answer = BTreeMap<String, Vec<Option<String>>>;

/// A study, with the same in PostgreSQL's words, which yield the person's id and columns of the same names.
struct Asked {
    name: String,
    text: String,
    spec: StudySpec,
    longhand: String,
}

/// The studies beside this file, by name.
fn library() -> Vec<Asked> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/library");
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let asked = |path: PathBuf| {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = read(&path);
        let spec = StudySpec::from_toml(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        Asked { name, text, spec, longhand: read(&path.with_extension("sql")) }
    };
    paths.into_iter().map(asked).collect()
}

/// A study with the marker as a variable more. Its query stands in another one, which keeps one row a patient.
fn marked(asked: &Asked) -> StudySpec {
    let marker = format!("\n[[variable]]\nname = \"{MARKER}\"\nmin = 0\nmax = 10000\nresolution = 1\n");
    let mut spec = StudySpec::from_toml(&format!("{}{marker}", asked.text)).expect("a study with a variable more");
    let own = format!("\"{}\"", spec.cohort.subject);
    let query = spec.cohort.sql.trim().trim_end_matches(';').to_string();
    let columns: Vec<String> = columns(&asked.spec).iter().map(|name| format!("q.\"{name}\"")).collect();
    spec.cohort.sql = format!(
        "SELECT q.{own}, {}, k.{MARKER} FROM (\n{query}\n) q JOIN person k ON k.person_id = q.{own}",
        columns.join(", ")
    );
    spec
}

/// The columns that a study declares.
fn columns(spec: &StudySpec) -> Vec<String> {
    let variables = spec.variables.iter().map(|variable| variable.name.clone());
    variables.chain(spec.dimensions.iter().map(|dimension| dimension.name.clone())).collect()
}

fn answer(cohort: &Cohort, names: &[String]) -> Answer {
    let mut answer = Answer::new();
    for batch in &cohort.batches {
        let column = |name: &str| batch.column_by_name(name).expect("a declared column");
        for row in 0..batch.num_rows() {
            let field = |name: &str| {
                let column = column(name);
                (!column.is_null(row)).then(|| number(&array_value_to_string(column, row).expect("printable")))
            };
            let values = names.iter().map(|name| field(name)).collect();
            assert!(answer.insert(field(MARKER).expect("a marker"), values).is_none(), "one row a patient");
        }
    }
    answer
}

/// A number to ten digits, whoever writes it; other texts as they are, truth values in one word.
fn number(text: &str) -> String {
    match (text, text.parse::<f64>()) {
        (_, Ok(value)) => format!("{:.9e}", value + 0.0),
        ("t", _) => "true".to_string(),
        ("f", _) => "false".to_string(),
        (text, _) => text.to_string(),
    }
}

fn write(folder: &Path, tables: &[Rows]) {
    for table in tables {
        fs::write(folder.join(format!("{}.csv", table.name)), table.csv()).expect("written");
    }
}

async fn open(config: &StoreConfig) -> Store {
    let store = Store::open(config, &[]).await.expect("an open store");
    let summary = store.summary();
    let unreadable: Vec<_> = summary.tables.iter().flat_map(|table| &table.unreadable).collect();
    assert!(unreadable.is_empty() && summary.unreadable.is_empty(), "{unreadable:?} {:?}", summary.unreadable);
    store
}

async fn ask(store: &Store, asked: &Asked) -> Result<Answer, String> {
    let (people, spec) = (everybody(store, &link()).await, marked(asked));
    let cohort = run(store, &link(), &people, &spec, &limits()).await.map_err(|error| error.to_string())?;
    Ok(answer(&cohort, &columns(&asked.spec)))
}

/// The same tables in a server.
struct Database {
    admin: Session,
    store: Store,
    _server: Server,
}

/// `None` where there is no server to start.
async fn database(tables: &[Rows]) -> Option<Database> {
    let mut server = Server::start(&programs_or_skip()?);
    let admin = server.connect().await;
    admin.execute("CREATE SCHEMA cdm; SET search_path = cdm").await.expect("a schema");
    for table in tables {
        let column = |(at, name): (usize, &&str)| {
            let kind = match table.rows.iter().map(|row| &row[at]).find(|value| **value != Value::Null) {
                _ if name.ends_with("_datetime") => "timestamp",
                _ if name.ends_with("_date") => "date",
                Some(Value::Real(_)) => "double precision",
                Some(Value::Text(_)) => "text",
                _ if *name == "invalid_reason" => "text",
                _ if name.ends_with("_id") => "bigint",
                _ => "integer",
            };
            format!("{name} {kind}")
        };
        let columns: Vec<String> = table.columns.iter().enumerate().map(column).collect();
        let file = server.folder().join(format!("{}.csv", table.name));
        fs::write(&file, table.csv()).expect("written");
        let load = format!(
            "CREATE TABLE {name} ({}); COPY {name} FROM '{}' WITH (FORMAT csv, HEADER)",
            columns.join(", "),
            file.display(),
            name = table.name
        );
        admin.execute(&load).await.unwrap_or_else(|error| panic!("{}: {error}", table.name));
    }
    admin.execute("CREATE ROLE reader LOGIN; GRANT USAGE ON SCHEMA cdm TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA cdm TO reader")
        .await
        .expect("a role");
    let url = format!("url = \"postgresql://reader@/postgres?host={}\"\nschema = \"cdm\"\n", server.folder().display());
    let store = open(&toml::from_str(&url).expect("a store")).await;
    Some(Database { admin, store, _server: server })
}

impl Database {
    /// What the server itself answers to the longhand.
    async fn itself(&self, asked: &Asked) -> Result<Answer, String> {
        let columns: Vec<String> = columns(&asked.spec).iter().map(|name| format!("q.\"{name}\"")).collect();
        let sql = format!(
            "SELECT k.{MARKER}, {} FROM (\n{}\n) q JOIN person k ON k.person_id = q.person_id",
            columns.join(", "),
            asked.longhand
        );
        let rows = self.admin.rows(&sql).await?;
        let mut answer = Answer::new();
        for row in rows {
            let mut fields = row.into_iter().map(|field| field.map(|text| number(&text)));
            let marker = fields.next().flatten().expect("a marker");
            assert!(answer.insert(marker, fields.collect()).is_none(), "{}: one row a patient", asked.name);
        }
        Ok(answer)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_libraries_ask_is_asked_per_patient_and_has_the_same_answer_everywhere() {
    let studies = library();
    assert!(studies.len() >= 40, "{}", studies.len());
    let tables = sample::tables();
    let (csv, arranged) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    write(csv.path(), &tables);
    write(arranged.path(), &tables);
    arrange_in_place(arranged.path(), 7).await;
    let by_patient = open(&StoreConfig::of(arranged.path())).await;
    let csv = open(&StoreConfig::of(csv.path())).await;
    let database = database(&tables).await;
    let mut wrong = Vec::new();
    for asked in &studies {
        if let Err(what) = judged(asked, &csv, &by_patient, database.as_ref()).await {
            wrong.push(format!("{}: {what}", asked.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is wrong with a study, or with what it finds.
async fn judged(asked: &Asked, csv: &Store, by_patient: &Store, database: Option<&Database>) -> Result<(), String> {
    check(&asked.spec).await.map_err(|error| error.to_string())?;
    Layout::of(&asked.spec).map_err(|error| error.to_string())?;
    let everyone = everybody(csv, &link()).await;
    let cohort = run(csv, &link(), &everyone, &asked.spec, &limits()).await.map_err(|error| error.to_string())?;
    let found = ask(csv, asked).await?;
    if cohort.rows != found.len() || !(10..=sample::PATIENTS as usize).contains(&found.len()) {
        return Err(format!("{} rows, and {} with the marker", cohort.rows, found.len()));
    }
    for (at, column) in columns(&asked.spec).iter().enumerate() {
        let values: BTreeSet<_> = found.values().filter_map(|row| row[at].as_ref()).collect();
        if values.len() < 2 {
            return Err(format!("{column} is {values:?} everywhere"));
        }
    }
    let same = |form: &str, other: &Answer| {
        let differs = found.iter().find(|(patient, row)| other.get(*patient) != Some(*row));
        match differs {
            Some((patient, row)) => Err(format!("{row:?} from files, {:?} {form}", other.get(patient))),
            None if found.len() == other.len() => Ok(()),
            None => Err(format!("{} rows from files, {} {form}", found.len(), other.len())),
        }
    };
    same("laid out by patient", &ask(by_patient, asked).await?)?;
    if let Some(database) = database {
        same("in PostgreSQL", &ask(&database.store, asked).await?)?;
        same("by PostgreSQL", &database.itself(asked).await?)?;
    }
    Ok(())
}
