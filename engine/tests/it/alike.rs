//! What is no value is none in every form of a store: the same odd rows have the same answers as CSV, Parquet of two kinds, laid
//! out by patient, and in PostgreSQL.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::record_batch::RecordBatch;
use consilium_engine::cohort::{CohortError, run};
use consilium_engine::store::{ArrangeError, Options, Store, StoreConfig, StoreError, StoreSummary, arrange};
use consilium_protocol::consent::{Action, Effect, Permissions, Purpose, Rule, Scope, Terms, Window};
use consilium_protocol::ids::{Date, Height};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::properties::WriterProperties;

use super::exports::ask;
use super::hospital::{self, link};
use super::oracle::server::{Server, programs_or_skip};

/// A day as text, and as days since 1970.
const DAYS: &[(&str, i32)] = &[
    ("2020-01-01", 18_262),
    ("2020-01-02", 18_263),
    ("infinity", i32::MAX),
    ("-infinity", i32::MIN),
    ("10000-01-01", 2_932_897),
    ("0044-03-15 BC", -735_160),
    ("0001-01-01", -719_162),
    ("9999-12-31", 2_932_896),
];
/// A number as text, and as a double.
const NUMBERS: &[(&str, f64)] = &[
    ("1.5", 1.5),
    ("2000", 2_000.0),
    ("NaN", f64::NAN),
    ("Infinity", f64::INFINITY),
    ("-Infinity", f64::NEG_INFINITY),
    ("-1e300", -1e300),
];
/// A concept's name and whether it is valid no more.
const CONCEPTS: &[(&str, &str)] =
    &[("NA", ""), (" padded ", " "), ("", "D"), ("\\N", " D "), ("plain", "NA"), ("None", "\\N"), ("  ", "null")];

/// So many rows for each day and number.
const EACH: usize = 4;

/// Measurements of one person for each day and number: person, day, number.
fn measurements() -> Vec<(i64, usize, usize)> {
    let kinds = (0..DAYS.len()).map(|day| (day, 0)).chain((1..NUMBERS.len()).map(|number| (0, number)));
    let rows = kinds.zip(1..).flat_map(|((day, number), person)| [(person, day, number); EACH]);
    rows.collect()
}

fn people() -> i64 {
    measurements().last().map_or(0, |(person, ..)| *person)
}

/// The first is the only woman.
fn sex(person: i64) -> i64 {
    if person == 1 { 8_532 } else { 8_507 }
}

const MEASUREMENT: &str = "measurement_id,person_id,measurement_date,measurement_datetime,value_as_number";

fn table_of_texts() -> Vec<[String; 5]> {
    let row = |(id, (person, day, number)): (usize, &(i64, usize, usize))| {
        let day = DAYS[*day].0.to_string();
        [id.to_string(), person.to_string(), day.clone(), day, NUMBERS[*number].0.to_string()]
    };
    measurements().iter().enumerate().map(row).collect()
}

fn csv(folder: &Path) {
    let persons: Vec<String> = (1..=people()).map(|person| format!("{person},{}", sex(person))).collect();
    fs::write(folder.join("person.csv"), format!("person_id,gender_concept_id\n{}\n", persons.join("\n")))
        .expect("written");
    let rows: Vec<String> = table_of_texts().iter().map(|row| row.join(",")).collect();
    fs::write(folder.join("measurement.csv"), format!("{MEASUREMENT}\n{}\n", rows.join("\n"))).expect("written");
    let rows: Vec<String> =
        CONCEPTS.iter().zip(1..).map(|((name, reason), id)| format!("{id},{name},{reason}")).collect();
    let text = format!("concept_id,concept_name,invalid_reason\n{}\n", rows.join("\n"));
    fs::write(folder.join("concept.csv"), text).expect("written");
}

/// In row groups of one kind of row each.
fn write(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let columns = columns.into_iter().map(|(name, array)| (name, array, true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length");
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(EACH)).build();
    let file = File::create(path).expect("a file");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).expect("a writer");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
}

fn parquet(folder: &Path, as_texts: bool) {
    let wholes = |values: &mut dyn Iterator<Item = i64>| -> ArrayRef { Arc::new(values.collect::<Int64Array>()) };
    let persons = wholes(&mut (1..=people()));
    let genders = wholes(&mut (1..=people()).map(sex));
    write(&folder.join("person.parquet"), vec![("person_id", persons), ("gender_concept_id", genders)]);
    let rows = measurements();
    let columns: Vec<ArrayRef> = if as_texts {
        let rows = table_of_texts();
        let column = |at: usize| Arc::new(rows.iter().map(|row| Some(&row[at])).collect::<StringArray>()) as ArrayRef;
        (0..5).map(column).collect()
    } else {
        let moment = |day: i32| i64::from(day).saturating_mul(86_400_000_000).clamp(i64::MIN / 2, i64::MAX / 2);
        vec![
            wholes(&mut (0..rows.len() as i64)),
            wholes(&mut rows.iter().map(|(person, ..)| *person)),
            Arc::new(rows.iter().map(|(_, day, _)| Some(DAYS[*day].1)).collect::<Date32Array>()),
            Arc::new(rows.iter().map(|(_, day, _)| Some(moment(DAYS[*day].1))).collect::<TimestampMicrosecondArray>()),
            Arc::new(rows.iter().map(|(.., number)| Some(NUMBERS[*number].1)).collect::<Float64Array>()),
        ]
    };
    write(&folder.join("measurement.parquet"), MEASUREMENT.split(',').zip(columns).collect());
    let texts = |values: &mut dyn Iterator<Item = &'static str>| -> ArrayRef {
        Arc::new(values.map(Some).collect::<StringArray>())
    };
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("concept_id", wholes(&mut (1..=CONCEPTS.len() as i64))),
        ("concept_name", texts(&mut CONCEPTS.iter().map(|(name, _)| *name))),
        ("invalid_reason", texts(&mut CONCEPTS.iter().map(|(_, reason)| *reason))),
    ];
    write(&folder.join("concept.parquet"), columns);
}

/// A server with the same rows, and the configuration of a store of it.
async fn postgres() -> Option<(Server, StoreConfig)> {
    let mut server = Server::start_with(&programs_or_skip()?, &[], |_| {});
    let admin = server.connect().await;
    let row = |[id, person, day, moment, number]: &[String; 5]| {
        format!("({id}, {person}, '{day}', '{moment}', '{number}', '{number}')")
    };
    let rows: Vec<String> = table_of_texts().iter().map(row).collect();
    let concepts: Vec<String> =
        CONCEPTS.iter().zip(1..).map(|((name, reason), id)| format!("({id}, '{name}', '{reason}')")).collect();
    let sql = format!(
        "CREATE ROLE reader LOGIN; CREATE SCHEMA cdm; GRANT USAGE ON SCHEMA cdm TO reader;
         CREATE TABLE cdm.person (person_id int, gender_concept_id int);
         INSERT INTO cdm.person SELECT n, CASE WHEN n = 1 THEN 8532 ELSE 8507 END FROM generate_series(1, {}) n;
         CREATE TABLE cdm.measurement (measurement_id int, person_id int, measurement_date date,
             measurement_datetime timestamp, value_as_number float8, range_high numeric);
         INSERT INTO cdm.measurement VALUES {};
         CREATE TABLE cdm.concept (concept_id int, concept_name text, invalid_reason varchar(9));
         INSERT INTO cdm.concept VALUES {};
         GRANT SELECT ON ALL TABLES IN SCHEMA cdm TO reader",
        people(),
        rows.join(", "),
        concepts.join(", ")
    );
    admin.execute(&sql).await.expect("tables");
    let url = format!("url = \"postgresql://reader@/postgres?host={}\"\nschema = \"cdm\"\n", server.folder().display());
    Some((server, toml::from_str(&url).expect("a store")))
}

/// What is asked of every form: one number a person.
fn questions() -> Vec<String> {
    let rows = |condition: &str| {
        format!("SELECT person_id AS subject, count(*) AS x FROM measurement WHERE {condition} GROUP BY person_id")
    };
    let value = |value: &str| format!("SELECT person_id AS subject, {value} AS x FROM measurement GROUP BY person_id");
    let concepts = |condition: &str| {
        format!(
            "SELECT p.person_id AS subject, c.x FROM person p CROSS JOIN (SELECT coalesce(sum(concept_id * concept_id * concept_id), 0) AS x
             FROM concept WHERE {condition}) c WHERE p.gender_concept_id = 8532"
        )
    };
    let mut questions = vec![
        value("count(measurement_date)"),
        value("count(measurement_datetime)"),
        value("count(value_as_number)"),
        value("max(value_as_number)"),
        value("max(measurement_date) - DATE '2000-01-01'"),
        value("max(date_part('year', measurement_datetime))"),
    ];
    for (column, of) in [("measurement_date", "DATE"), ("measurement_datetime", "TIMESTAMP")] {
        for condition in ["IS NULL", "IS NOT NULL", "> OF '2020-01-01'", "<= OF '2020-01-01'", "<> OF '9999-12-31'"] {
            let condition = condition.replace("OF", of);
            questions.push(rows(&format!("{column} {condition}")));
            questions.push(rows(&format!("NOT ({column} {condition})")));
        }
    }
    for condition in
        ["IS NULL", "IS NOT NULL", "> 1000", "<= 1000", "= 1.5", "<> 1.5", "IN (1.5, 2000)", "BETWEEN -1e301 AND 0"]
    {
        questions.push(rows(&format!("value_as_number {condition}")));
        questions.push(rows(&format!("NOT (value_as_number {condition})")));
    }
    for column in ["concept_name", "invalid_reason"] {
        for condition in
            ["IS NULL", "IS NOT NULL", "= 'NA'", "= 'padded'", "= 'D'", "<> 'D'", "= ''", "IN ('None', 'plain')"]
        {
            questions.push(concepts(&format!("{column} {condition}")));
        }
    }
    questions
}

fn mended(summary: &StoreSummary, column: &str) -> Vec<String> {
    let table = summary.tables.iter().find(|table| table.name == "measurement").expect("a table");
    assert!(table.unreadable.is_empty(), "{table:?}");
    table.mended.iter().filter(|mended| mended.name == column).map(|mended| mended.what.clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_value_is_none_in_every_form() {
    let folder = || tempfile::tempdir().expect("a folder");
    let (texts, typed, as_texts) = (folder(), folder(), folder());
    csv(texts.path());
    parquet(typed.path(), false);
    parquet(as_texts.path(), true);
    let server = postgres().await;
    let mut sources = vec![
        ("CSV", StoreConfig::of(texts.path())),
        ("Parquet", StoreConfig::of(typed.path())),
        ("Parquet of texts", StoreConfig::of(as_texts.path())),
    ];
    sources.extend(server.as_ref().map(|(_, config)| ("PostgreSQL", config.clone())));
    let (mut forms, mut folders, mut summaries) = (Vec::new(), Vec::new(), Vec::new());
    for (name, config) in sources {
        let store = Store::open(&config, &[]).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        summaries.push((name, store.summary()));
        let to = folder();
        arrange(&store, to.path(), &Options::default(), &mut |_| {}).await.expect("an arranged store");
        forms.push((name.to_string(), store));
        forms.push((
            format!("{name}, arranged"),
            Store::open(&StoreConfig::of(to.path()), &[]).await.expect("an open store"),
        ));
        folders.push(to);
    }
    let (mut wrong, mut answered) = (Vec::new(), 0);
    for sql in questions() {
        let mut expected: Option<Vec<String>> = None;
        for (name, store) in &forms {
            let found = ask(store, &sql, &["x"]).await.unwrap_or_else(|error| panic!("{name}, {sql}: {error}"));
            answered += found.len();
            match &expected {
                None => expected = Some(found),
                Some(expected) if *expected == found => {}
                Some(expected) => wrong.push(format!("{name}: {sql}\n  {found:?}\n  instead of {expected:?}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{} of the answers differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(answered > 1_000, "{answered}");
    let csv = &forms[0].1;
    let undated =
        "SELECT person_id AS subject, count(*) AS x FROM measurement WHERE measurement_date IS NULL GROUP BY person_id";
    assert_eq!(ask(csv, undated, &["x"]).await.expect("rows"), ["4"; 4], "infinity, its opposite, 10000, BC");
    let none =
        "SELECT person_id AS subject, count(*) AS x FROM measurement WHERE value_as_number IS NULL GROUP BY person_id";
    assert_eq!(ask(csv, none, &["x"]).await.expect("rows"), ["4"; 3]);
    let valid = "SELECT p.person_id AS subject, c.x FROM person p CROSS JOIN (SELECT count(*) AS x FROM concept
                 WHERE invalid_reason IS NULL) c WHERE p.gender_concept_id = 8532";
    assert_eq!(ask(csv, valid, &["x"]).await.expect("rows"), ["5"]);
    // It is said, and how many. A mark for nothing, as NaN is in a text, is not.
    for (name, summary) in &summaries {
        let days = mended(summary, "measurement_date");
        let beyond = "16 values are beyond the years 0001 to 9999, read as NULL";
        assert!(days.iter().any(|what| what == beyond), "{name}: {days:?}");
        let moments = mended(summary, "measurement_datetime");
        assert!(moments.iter().any(|what| what == beyond), "{name}: {moments:?}");
        let numbers = mended(summary, "value_as_number");
        let none = if ["Parquet", "PostgreSQL"].contains(name) { 12 } else { 8 };
        let none = format!("{none} values are NaN or infinite, read as NULL");
        assert!(numbers.contains(&none), "{name}: {numbers:?}");
        if *name == "PostgreSQL" {
            assert_eq!(mended(summary, "range_high"), [none]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_day_beyond_the_calendar_is_within_a_window_without_an_end() {
    let folder = tempfile::tempdir().expect("a folder");
    parquet(folder.path(), false);
    let store = Store::open(&StoreConfig::of(folder.path()), &[]).await.expect("an open store");
    let mut permit = Rule::new(Effect::Permit, Action::Aggregate, Scope::Only(vec![Purpose::HealthResearch]));
    permit.window = Window { from: "2020-01-02".parse::<Date>().ok(), to: None };
    let terms = Terms::opt_in(vec![permit]);
    let subjects = store.subjects(&link()).await.expect("subjects");
    let people = Permissions {
        height: Height::new(7),
        day: Date::from_days(20_000),
        classes: vec![hospital::allowed(&terms)],
        subjects: subjects.iter().map(|(_, subject)| (*subject, 0)).collect(),
    };
    let sql = "SELECT person_id AS subject, count(*) AS n, count(measurement_datetime) AS m FROM measurement GROUP BY person_id";
    let cohort = run(&store, &link(), &people, &hospital::study(sql, &["n", "m"]), &hospital::limits()).await;
    // The second day of January 2020, and the last of 9999.
    assert_eq!(hospital::sorted(&cohort.expect("a cohort")), ["4 4", "4 4"]);
}

/// One table of visits, in two files of which the second is `second`.
fn visits(folder: &Path, rows: i64) {
    fs::write(folder.join("person.csv"), "person_id\n1\n2\n").expect("written");
    fs::create_dir_all(folder.join("visit_occurrence")).expect("a folder");
    for part in 0..2 {
        let wholes = |of: &dyn Fn(i64) -> i64| -> ArrayRef { Arc::new((0..rows).map(of).collect::<Int64Array>()) };
        let days: Date32Array = (0..rows).map(|n| Some(18_262 + (n % 99) as i32)).collect();
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("visit_occurrence_id", wholes(&|n| n)),
            ("person_id", wholes(&|n| 1 + n % 2)),
            ("visit_start_date", Arc::new(days.clone())),
            ("visit_end_date", Arc::new(days)),
        ];
        let columns = columns.into_iter().map(|(name, array)| (name, array, true));
        let batch = RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length");
        let file = File::create(folder.join(format!("visit_occurrence/part-{part}.parquet"))).expect("a file");
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).expect("a writer");
        writer.write(&batch).expect("written");
        writer.close().expect("closed");
    }
}

/// Puts another file of the same length into the place of the second part: with days in another form, or with a column less.
fn replace(folder: &Path, has_ends: bool) {
    let days: ArrayRef = Arc::new(StringArray::from(vec!["05.01.2020"; 50]));
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("visit_occurrence_id", Arc::new((0..50).collect::<Int64Array>())),
        ("person_id", Arc::new((0..50).map(|n| 1 + n % 2).collect::<Int64Array>())),
        ("visit_start_date", Arc::new((0..50).map(|_| Some(18_262)).collect::<Date32Array>())),
    ];
    if has_ends {
        columns.push(("visit_end_date", days));
    }
    let (new, part) = (folder.join("new"), folder.join("visit_occurrence/part-1.parquet"));
    write(&new, columns);
    // Before the end, which says where everything is, there may be anything.
    let (mut bytes, length) = (fs::read(&new).expect("a file"), fs::metadata(&part).expect("a file").len() as usize);
    let at = bytes.len() - 8;
    let end = u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize + 8;
    let (from, more) = (bytes.len() - end, length - bytes.len());
    bytes.splice(from..from, std::iter::repeat_n(0, more));
    fs::write(&new, bytes).expect("written");
    fs::rename(new, part).expect("renamed");
}

const ENDS: &str = "SELECT person_id AS subject, count(visit_end_date) AS n FROM visit_occurrence GROUP BY person_id";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_replaced_after_it_was_looked_at_is_no_nulls() {
    for has_ends in [true, false] {
        let (folder, to) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        visits(folder.path(), 50_000);
        let store = Store::open(&StoreConfig::of(folder.path()), &[]).await.expect("an open store");
        assert_eq!(ask(&store, ENDS, &["n"]).await.expect("rows"), ["50000"; 2]);
        let options = Options { memory_bytes: 1 << 20, threads: 1, ..Options::default() };
        let mut is_replaced = false;
        let mut meanwhile = |_| {
            if !std::mem::replace(&mut is_replaced, true) {
                replace(folder.path(), has_ends);
            }
        };
        let error = arrange(&store, to.path(), &options, &mut meanwhile).await.expect_err("another file");
        let changed = StoreError::Changed { file: "visit_occurrence/part-1.parquet".to_string() };
        assert_eq!(error, ArrangeError::Store(changed));
        assert!(error.to_string().contains("run it again"), "{error}");
        // What was sorted meanwhile are patients' rows.
        let left: Vec<_> = fs::read_dir(to.path().join(".sorting")).into_iter().flatten().flatten().collect();
        assert!(left.is_empty(), "{left:?}");
        // A study over it is not computed, whatever it asks for.
        assert_eq!(ask(&store, ENDS, &["n"]).await, Err(CohortError::StoreChanged));
        let starts =
            "SELECT person_id AS subject, count(visit_start_date) AS n FROM visit_occurrence GROUP BY person_id";
        assert_eq!(ask(&store, starts, &["n"]).await, Err(CohortError::StoreChanged));
        // Opened again, the column is closed, or not there.
        let store = Store::open(&StoreConfig::of(folder.path()), &[]).await.expect("an open store");
        assert!(ask(&store, ENDS, &["n"]).await.is_err());
        assert_eq!(ask(&store, starts, &["n"]).await.expect("rows"), ["25025"; 2]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_written_over_is_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    visits(folder.path(), 500);
    let store = Store::open(&StoreConfig::of(folder.path()), &[]).await.expect("an open store");
    let part = folder.path().join("visit_occurrence/part-1.parquet");
    let bytes = fs::read(&part).expect("a file");
    std::thread::sleep(std::time::Duration::from_millis(20));
    fs::write(&part, bytes).expect("written");
    assert_eq!(ask(&store, ENDS, &["n"]).await, Err(CohortError::StoreChanged));
}

#[cfg(unix)]
#[tokio::test]
async fn what_cannot_be_looked_at_closes_its_own_table_alone() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("person.csv"), "person_id,gender_concept_id\n1,8507\n2,8532\n").expect("written");
    let link = |name: &str, to: &str| symlink(to, folder.path().join(name)).expect("a link");
    link(".#person.csv", "somebody@somewhere.1234");
    link(".#death.csv", "somebody@somewhere.1234");
    link("death.csv", "gone.csv");
    link("notes.txt", "gone.txt");
    fs::create_dir(folder.path().join("drug_era")).expect("a folder");
    link("drug_era/a.csv", "gone.csv");
    fs::write(folder.path().join("specimen.csv"), "specimen_id,person_id\n7,1\n").expect("written");
    let store = Store::open(&StoreConfig::of(folder.path()), &[]).await.expect("an open store");
    let summary = store.summary();
    let closed: Vec<_> = summary.unreadable.iter().map(|table| (table.name.as_str(), table.kind)).collect();
    assert_eq!(closed, [("death", "leads_nowhere"), ("drug_era", "leads_nowhere")], "{summary:?}");
    assert!(summary.unreadable[0].reason.contains("death.csv"), "{summary:?}");
    let ignored: Vec<_> = summary.ignored.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(ignored, ["notes.txt"]);
    let sql = "SELECT person_id AS subject, count(*) AS n FROM specimen GROUP BY person_id";
    assert_eq!(ask(&store, sql, &["n"]).await.expect("all others go on"), ["1"]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_out_of_the_folder_closes_its_table() {
    use std::os::unix::fs::symlink;
    let (home, elsewhere) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let folder = home.path().join("2026-05");
    fs::create_dir(&folder).expect("a folder");
    symlink(&folder, home.path().join("omop")).expect("a link");
    fs::write(folder.join("2026-05-people.csv"), "person_id,gender_concept_id\n1,8507\n2,8532\n").expect("written");
    symlink("2026-05-people.csv", folder.join("person.csv")).expect("a link");
    fs::write(elsewhere.path().join("death.csv"), "person_id,death_date\n1,2020-01-01\n").expect("written");
    symlink(elsewhere.path().join("death.csv"), folder.join("death.csv")).expect("a link");
    fs::create_dir(elsewhere.path().join("drug_era")).expect("a folder");
    fs::write(elsewhere.path().join("drug_era/a.csv"), "drug_era_id,person_id\n1,1\n").expect("written");
    symlink(elsewhere.path().join("drug_era"), folder.join("drug_era")).expect("a link");
    fs::create_dir(folder.join("dose_era")).expect("a folder");
    symlink(elsewhere.path().join("drug_era/a.csv"), folder.join("dose_era/a.csv")).expect("a link");
    // The folder itself may be one.
    let store = Store::open(&StoreConfig::of(home.path().join("omop")), &[]).await.expect("an open store");
    let summary = store.summary();
    let closed: Vec<_> = summary.unreadable.iter().map(|table| (table.name.as_str(), table.kind)).collect();
    assert_eq!(closed, [("death", "outside"), ("dose_era", "outside"), ("drug_era", "outside")], "{summary:?}");
    let reason = &summary.unreadable[0].reason;
    assert!(reason.starts_with("death.csv is a link out of the folder") && reason.contains("put"), "{reason}");
    // So it is where the tables are laid out by patient.
    let to = home.path().join("arranged");
    arrange(&store, &to, &Options::default(), &mut |_| {}).await.expect("an arranged store");
    Store::open(&StoreConfig::of(&to), &[]).await.expect("an open store");
    fs::rename(to.join("person"), elsewhere.path().join("person")).expect("renamed");
    symlink(elsewhere.path().join("person"), to.join("person")).expect("a link");
    let error = Store::open(&StoreConfig::of(&to), &[]).await.expect_err("out of the folder");
    assert!(error.kind() == "not_as_arranged" && error.to_string().contains("link"), "{error}");
}
