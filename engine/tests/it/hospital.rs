//! An invented hospital for tests: rows as plain values, the files made of them, and consents.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use arrow::array::{ArrayRef, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray};
use consilium_engine::cohort::{Cohort, CohortError, Limits, run};
use consilium_engine::pseudonym::LinkSecret;
use consilium_engine::store::{Options, Store, StoreConfig, arrange};
use consilium_protocol::catalogue::{CatalogueColumn, CatalogueTable, ColumnKind, check};
use consilium_protocol::consent::{
    Action, AllowedData, Base, Disease, DiseaseTree, DocumentTerms, Domain, Effect, Establishment, Permissions,
    Purpose, Requester, Rule, Scope, Terms, Use, Window, evaluate,
};
use consilium_protocol::ids::{Date, DocumentId, Height, ResearcherId, StudyId, SubjectId};
use consilium_protocol::study::{CategoryValue, StudySpec};
use datafusion::parquet::arrow::ArrowWriter;

/// A field of a row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Real(f64),
    Day(i32),
    Text(String),
}

/// A table as plain values.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    pub(crate) name: &'static str,
    pub(crate) columns: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<Value>>,
}

impl Rows {
    pub(crate) fn get<'a>(&self, row: &'a [Value], column: &str) -> &'a Value {
        let position = self.columns.iter().position(|c| *c == column).expect("a column of the test's table");
        &row[position]
    }

    pub(crate) fn int(&self, row: &[Value], column: &str) -> Option<i64> {
        match self.get(row, column) {
            Value::Int(value) => Some(*value),
            _ => None,
        }
    }

    pub(crate) fn day(&self, row: &[Value], column: &str) -> Option<i32> {
        match self.get(row, column) {
            Value::Day(value) => Some(*value),
            _ => None,
        }
    }

    pub(crate) fn csv(&self) -> String {
        let mut text = self.columns.join(",") + "\n";
        for row in &self.rows {
            let fields: Vec<String> = row
                .iter()
                .map(|value| match value {
                    Value::Null => String::new(),
                    Value::Int(value) => value.to_string(),
                    Value::Real(value) => value.to_string(),
                    Value::Day(value) => Date::from_days(*value).to_string(),
                    Value::Text(value) => format!("\"{value}\""),
                })
                .collect();
            writeln!(text, "{}", fields.join(",")).expect("writing to a string");
        }
        text
    }

    pub(crate) fn batch(&self, rows: std::ops::Range<usize>) -> RecordBatch {
        let column = |position: usize| -> ArrayRef {
            let values = || self.rows[rows.clone()].iter().map(move |row| &row[position]);
            let first = self.rows.iter().map(|row| &row[position]).find(|value| **value != Value::Null);
            match first {
                Some(Value::Real(_)) => std::sync::Arc::new(Float64Array::from_iter(values().map(|v| match v {
                    Value::Real(value) => Some(*value),
                    _ => None,
                }))),
                Some(Value::Day(_)) => std::sync::Arc::new(Date32Array::from_iter(values().map(|v| match v {
                    Value::Day(value) => Some(*value),
                    _ => None,
                }))),
                Some(Value::Text(_)) => std::sync::Arc::new(StringArray::from_iter(values().map(|v| match v {
                    Value::Text(value) => Some(value.clone()),
                    _ => None,
                }))),
                _ => std::sync::Arc::new(Int64Array::from_iter(values().map(|v| match v {
                    Value::Int(value) => Some(*value),
                    _ => None,
                }))),
            }
        };
        let columns = self.columns.iter().enumerate().map(|(i, name)| (*name, column(i), true));
        RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length")
    }

    pub(crate) fn write_parquet(&self, path: &Path, rows: std::ops::Range<usize>) {
        let batch = self.batch(rows);
        let file = fs::File::create(path).expect("a file");
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).expect("a writer");
        writer.write(&batch).expect("written");
        writer.close().expect("closed");
    }
}

/// A small CSV text as a Parquet file of texts.
pub(crate) fn texts_as_parquet(path: &Path, csv: &str) {
    let rows: Vec<Vec<Value>> =
        csv.lines().skip(1).map(|line| line.split(',').map(|field| Value::Text(field.to_string())).collect()).collect();
    let columns = csv.lines().next().expect("a header").split(',').map(|name| &*name.to_string().leak()).collect();
    let rows = Rows { name: "texts", columns, rows };
    rows.write_parquet(path, 0..rows.rows.len());
}

pub(crate) fn day(text: &str) -> i32 {
    text.parse::<Date>().expect("a date").days()
}

/// A small generator (xorshift), so that every run sees the same hospital.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// Seeded; never all zeros, where it would stay.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

pub(crate) const PEOPLE: i64 = 240;

/// Persons, conditions, measurements, visits and a declared table `labs`. Every field that can hold one has a canary:
/// a text with CANARY in it, or a number of at least seven digits that starts with 9.
pub(crate) fn tables() -> Vec<Rows> {
    use Value::{Day, Int, Null, Real, Text};
    let mut dice = Dice(0x5EED);
    let canary = |column: &str, n: i64| Text(format!("CANARY {column} {n}"));
    let mut person = Rows {
        name: "person",
        columns: vec![
            "person_id",
            "gender_concept_id",
            "year_of_birth",
            "month_of_birth",
            "day_of_birth",
            "birth_datetime",
            "race_concept_id",
            "ethnicity_concept_id",
            "provider_id",
            "person_source_value",
            "gender_source_value",
        ],
        rows: Vec::new(),
    };
    let mut condition = Rows {
        name: "condition_occurrence",
        columns: vec![
            "condition_occurrence_id",
            "person_id",
            "condition_concept_id",
            "condition_start_date",
            "condition_end_date",
            "visit_occurrence_id",
            "stop_reason",
            "condition_source_value",
        ],
        rows: Vec::new(),
    };
    let mut measurement = Rows {
        name: "measurement",
        columns: vec![
            "measurement_id",
            "person_id",
            "measurement_concept_id",
            "measurement_date",
            "value_as_number",
            "unit_concept_id",
            "value_source_value",
        ],
        rows: Vec::new(),
    };
    let mut visit = Rows {
        name: "visit_occurrence",
        columns: vec!["visit_occurrence_id", "person_id", "visit_concept_id", "visit_start_date", "visit_end_date"],
        rows: Vec::new(),
    };
    let mut labs =
        Rows { name: "labs", columns: vec!["patient", "taken", "code", "score", "secret"], rows: Vec::new() };
    for n in 1..=PEOPLE {
        let id = 9_000_000 + 3 * n;
        person.rows.push(vec![
            Int(id),
            Int(if n % 2 == 0 { 8_507 } else { 8_532 }),
            Int(1_930 + (n * 7) % 80),
            // Only people who consent to nothing are born in month 0.
            Int(if kind(id) == 0 { 0 } else { 1 + n % 12 }),
            Int(1 + n % 28),
            Text(format!("CANARY birth {n}")),
            Int(9_100_000 + n),
            Int(9_200_000 + n),
            Int(9_300_000 + n),
            canary("person", n),
            canary("gender", n),
        ]);
        for _ in 0..dice.roll(12) {
            let k = condition.rows.len() as i64;
            let start = day("2012-01-01") + dice.roll(3_650) as i32;
            let dated = dice.roll(10) > 0;
            condition.rows.push(vec![
                Int(9_400_000 + k),
                Int(id),
                Int(9_500_000 + dice.roll(5) as i64),
                if dated { Day(start) } else { Null },
                Day(start + 10),
                Int(9_600_000 + n),
                canary("stop", k),
                canary("condition", k),
            ]);
        }
        for _ in 0..dice.roll(8) {
            let k = measurement.rows.len() as i64;
            measurement.rows.push(vec![
                Int(9_700_000 + k),
                Int(id),
                Int(3_004_410),
                Day(day("2012-01-01") + dice.roll(3_650) as i32),
                if dice.roll(6) == 0 { Null } else { Real(9_800_000.5 + k as f64) },
                Int(8_554),
                canary("value", k),
            ]);
        }
        visit.rows.push(vec![Int(9_600_000 + n), Int(id), Int(9_202), Day(day("2015-05-05")), Day(day("2015-05-06"))]);
        let code = if kind(id) == 0 { "CANARY not a number".to_string() } else { (9_900_000 + n).to_string() };
        labs.rows.push(vec![Int(id), Day(day("2016-06-06")), Text(code), Real(n as f64 / 4.0), canary("secret", n)]);
    }
    // Rows of nobody, and of somebody who is not in PERSON.
    for stranger in [Null, Int(9_999_999)] {
        condition.rows.push(vec![
            Int(9_499_999),
            stranger,
            Int(9_500_001),
            Day(day("2016-01-01")),
            Null,
            Null,
            canary("stop", -1),
            canary("condition", -1),
        ]);
    }
    vec![person, condition, measurement, visit, labs]
}

/// Which of the eight kinds of consent a person has given.
pub(crate) fn kind(person: i64) -> i64 {
    (person - 9_000_000) / 3 % 8
}

/// What the kinds allow, said without the evaluation that is under test: whether a row of this domain and day is open
/// to a study on diabetes on 2026-06-01.
pub(crate) fn is_open(person: i64, domain: Domain, row_day: Option<i32>) -> bool {
    let known = person > 9_000_000 && (person - 9_000_000) % 3 == 0 && (person - 9_000_000) / 3 <= PEOPLE;
    known
        && match kind(person) {
            // Full consent.
            1 => true,
            // Data of 2015 to 2017 only, and what has no date, which is PERSON; but no row that lacks its day.
            2 => {
                domain == Domain::Person
                    || row_day.is_some_and(|d| (day("2015-01-01")..=day("2017-12-31")).contains(&d))
            }
            // Persons and conditions only.
            6 => matches!(domain, Domain::Person | Domain::Condition),
            // Persons, and measurements outside 2016.
            7 => {
                domain == Domain::Person
                    || domain == Domain::Measurement
                        && row_day.is_some_and(|d| d < day("2016-01-01") || d > day("2016-12-31"))
            }
            // Nothing said, expired, for another purpose, revoked.
            _ => false,
        }
}

fn documents(person: i64) -> Vec<Terms> {
    let rule = |effect| Rule::new(effect, Action::Aggregate, Scope::Only(vec![Purpose::HealthResearch]));
    let terms = Terms::opt_in;
    let date = |text: &str| text.parse::<Date>().ok();
    let mut permit = rule(Effect::Permit);
    match kind(person) {
        1 => vec![terms(vec![permit])],
        2 => {
            permit.window = Window { from: date("2015-01-01"), to: date("2017-12-31") };
            vec![terms(vec![permit])]
        }
        3 => {
            permit.valid = Window { from: None, to: date("2026-05-31") };
            vec![terms(vec![permit])]
        }
        4 => {
            let other = Purpose::DiseaseResearch(Disease::new("M:1").expect("a disease"));
            permit.purposes = Scope::Only(vec![other]);
            vec![terms(vec![permit])]
        }
        5 => vec![terms(vec![permit]), terms(vec![rule(Effect::Deny)])],
        6 => {
            permit.data = Scope::Only(vec![Domain::Person, Domain::Condition]);
            vec![terms(vec![permit])]
        }
        7 => {
            permit.data = Scope::Only(vec![Domain::Person, Domain::Measurement]);
            let mut deny = rule(Effect::Deny);
            deny.data = Scope::Only(vec![Domain::Measurement]);
            deny.window = Window { from: date("2016-01-01"), to: date("2016-12-31") };
            vec![terms(vec![permit, deny])]
        }
        _ => Vec::new(),
    }
}

/// A study of a university for a purpose.
fn asked(purpose: Purpose) -> Use {
    let establishment = Establishment::not_for_profit("DE").expect("a country");
    let researcher = ResearcherId::from_public_key([1; 32]);
    let by = Requester::researcher(researcher, None, "University".to_string(), establishment);
    Use::of_study(StudyId::from_bytes([2; 32]), vec![purpose], by, "2026-06-01".parse().expect("a date"))
}

/// The ledger's word on everybody of a store.
pub(crate) async fn permissions(store: &Store, link: &LinkSecret) -> Permissions {
    let asked = asked(Purpose::DiseaseResearch(Disease::new("M:2").expect("a disease")));
    let tree = DiseaseTree::new(&[]);
    let mut classes: Vec<AllowedData> = Vec::new();
    let mut subjects: Vec<(SubjectId, u32)> = Vec::new();
    for (person, subject) in store.subjects(link).await.expect("subjects").iter() {
        let documents = documents(*person);
        let current: Vec<DocumentTerms<'_>> =
            documents.iter().map(|terms| DocumentTerms { document: DocumentId::from_bytes([3; 32]), terms }).collect();
        let allowed = evaluate(&current, &asked, &tree).allowed;
        if allowed.is_empty() {
            continue;
        }
        let class = classes.iter().position(|c| *c == allowed).unwrap_or_else(|| {
            classes.push(allowed);
            classes.len() - 1
        });
        subjects.push((*subject, class as u32));
    }
    Permissions { height: Height::new(7), day: consilium_protocol::ids::Date::from_days(20_000), classes, subjects }
}

/// What terms allow to be counted for any health research.
pub(crate) fn allowed(terms: &Terms) -> AllowedData {
    let document = DocumentTerms { document: DocumentId::from_bytes([3; 32]), terms };
    let asked = asked(Purpose::HealthResearch);
    evaluate(&[document], &asked, &DiseaseTree::new(&[])).allowed
}

/// Full consent of everybody.
pub(crate) async fn everybody(store: &Store, link: &LinkSecret) -> Permissions {
    let terms = Terms { base: Base::Permit, ..Terms::opt_in(Vec::new()) };
    let allowed = allowed(&terms);
    let subjects = store.subjects(link).await.expect("subjects");
    Permissions {
        height: Height::new(7),
        day: consilium_protocol::ids::Date::from_days(20_000),
        classes: vec![allowed],
        subjects: subjects.iter().map(|(_, subject)| (*subject, 0)).collect(),
    }
}

/// The tables that the tests' consortium has beside OMOP's.
pub(crate) fn catalogue() -> Vec<CatalogueTable> {
    let text = |text: &str| CategoryValue::Text(text.to_string());
    let column =
        |name: &str, kind, values| CatalogueColumn { name: name.to_string(), kind, description: String::new(), values };
    let table = |name: &str, domain, date: Option<&str>, columns: Vec<(&str, ColumnKind)>| CatalogueTable {
        name: name.to_string(),
        description: String::new(),
        subject: "patient".to_string(),
        domain,
        date: date.map(str::to_string),
        undated: false,
        single: false,
        columns: columns.into_iter().map(|(name, kind)| column(name, kind, Vec::new())).collect(),
    };
    use ColumnKind::{Boolean, Category, Date, Datetime, Integer, Number};
    let numbers = (1..=PEOPLE).filter(|n| kind(9_000_000 + 3 * n) != 0).map(|n| text(&(9_900_000 + n).to_string()));
    let mut labs = table("labs", Domain::Measurement, Some("taken"), vec![("taken", Date), ("score", Number)]);
    labs.columns.insert(1, column("code", Category, numbers.chain([text("CANARY not a number")]).collect()));
    let words = || super::total::TEXT.iter().flatten().map(|word| text(word)).collect();
    let mut edges = table(
        "edges",
        Domain::Measurement,
        Some("taken"),
        vec![
            ("taken", Date),
            ("k", Integer),
            ("a", Integer),
            ("b", Integer),
            ("x", Number),
            ("y", Number),
            ("d", Date),
            ("e", Date),
            ("m", Datetime),
            ("w", Boolean),
        ],
    );
    edges.columns.extend(["t", "u"].map(|name| column(name, Category, words())));
    edges.single = true;
    let margins = vec![("taken", Date), ("ns", Datetime), ("narrow", Number), ("exact", Number)];
    let readings = vec![("taken", Date), ("read_on", Date), ("score", Integer)];
    let tables = vec![
        CatalogueTable { undated: true, ..table("blood", Domain::Observation, None, vec![("rhesus", Integer)]) },
        edges,
        labs,
        table("margins", Domain::Measurement, Some("taken"), margins),
        table("readings", Domain::Measurement, Some("taken"), readings),
        CatalogueTable {
            single: true,
            undated: true,
            ..table("registry", Domain::Condition, None, vec![("stage", Integer)])
        },
        table("tumours", Domain::Observation, None, vec![("stage", Integer)]),
    ];
    check(&tables).expect("a catalogue");
    tables
}

/// Opens a folder of tables, the consortium's own among them.
pub(crate) async fn open(folder: &Path) -> Store {
    Store::open(&StoreConfig::of(folder), &catalogue()).await.expect("an open store")
}

pub(crate) fn write_csv(folder: &Path) {
    for table in tables() {
        fs::write(folder.join(format!("{}.csv", table.name.to_uppercase())), table.csv()).expect("written");
    }
}

/// The same rows as Parquet, the conditions in three parts.
pub(crate) fn write_parquet(folder: &Path) {
    for table in tables() {
        if table.name == "condition_occurrence" {
            let (parts, rows) = (folder.join(table.name), table.rows.len());
            fs::create_dir(&parts).expect("a folder");
            for (i, range) in [0..rows / 3, rows / 3..rows / 2, rows / 2..rows].into_iter().enumerate() {
                table.write_parquet(&parts.join(format!("part {i}.parquet")), range);
            }
        } else {
            table.write_parquet(&folder.join(format!("{}.parquet", table.name)), 0..table.rows.len());
        }
    }
}

/// Lays the tables of a folder out by patient, in their place.
pub(crate) async fn arrange_in_place(folder: &Path, patients: usize) {
    let to = tempfile::tempdir().expect("a folder");
    let options = Options { patients, ..Options::default() };
    arrange(&open(folder).await, to.path(), &options, &mut |_| {}).await.expect("an arranged store");
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() { fs::remove_dir_all(entry) } else { fs::remove_file(entry) }.expect("removed");
    }
    for entry in fs::read_dir(to.path()).expect("a folder").map(|entry| entry.expect("an entry")) {
        fs::rename(entry.path(), folder.join(entry.file_name())).expect("moved");
    }
}

/// Opens a store; where `CONSILIUM_ARRANGED` is a number, after laying it out by patient, with so many in a bucket.
pub(crate) async fn open_as_asked(folder: &Path) -> Store {
    if let Some(patients) = std::env::var("CONSILIUM_ARRANGED").ok().and_then(|number| number.parse().ok()) {
        arrange_in_place(folder, patients).await;
    }
    open(folder).await
}

/// A store of the invented hospital, and its folder, which lives as long as the value.
pub(crate) async fn open_csv() -> (Store, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    write_csv(folder.path());
    (open_as_asked(folder.path()).await, folder)
}

pub(crate) fn link() -> LinkSecret {
    LinkSecret::from_seed([42; 32])
}

/// A study with this cohort and these numeric variables.
pub(crate) fn study(sql: &str, variables: &[&str]) -> StudySpec {
    study_with(sql, variables, "")
}

pub(crate) fn study_with(sql: &str, variables: &[&str], more: &str) -> StudySpec {
    let mut text = format!(
        "version = 1\ntitle = \"t\"\ndescription = \"d\"\npurpose = \"HMB\"\ndeclares = []\nprotection = \"open\"\n[cohort]\nsubject = \"subject\"\nsql = '''\n{sql}\n'''\n"
    );
    for name in variables {
        let variable = "min = 0\nmax = 10\nresolution = 1";
        writeln!(text, "[[variable]]\nname = \"{name}\"\n{variable}").expect("writing to a string");
    }
    text.push_str(more);
    text.push_str("[[statistic]]\nname = \"n\"\nkind = \"count\"\n");
    let mut spec = StudySpec::from_toml(&text).expect("a valid study");
    spec.take_tables(&catalogue());
    spec
}

/// Where `CONSILIUM_LARGE` is set, those by which the engine works on few rows as it does on large tables.
pub(crate) fn limits() -> Limits {
    let (memory_bytes, rows, time) = (64 << 20, 100_000, std::time::Duration::from_secs(60));
    let limits = Limits { memory_bytes, rows, time, threads: 2, ..Limits::default() };
    if std::env::var_os("CONSILIUM_LARGE").is_some() { as_on_large_tables(limits) } else { limits }
}

/// Limits by which few rows are many.
pub(crate) fn as_on_large_tables(limits: Limits) -> Limits {
    Limits { batch_rows: 2, whole_rows: 0, ..limits }
}

/// Runs a cohort under the hospital's real consents.
pub(crate) async fn cohort(store: &Store, sql: &str, variables: &[&str]) -> Result<Cohort, CohortError> {
    let permissions = permissions(store, &link()).await;
    run(store, &link(), &permissions, &study(sql, variables), &limits()).await
}

/// The rows of a cohort as texts, sorted; NULL is empty.
pub(crate) fn sorted(cohort: &Cohort) -> Vec<String> {
    use arrow::util::display::array_value_to_string;
    let mut rows = Vec::new();
    for batch in &cohort.batches {
        for row in 0..batch.num_rows() {
            let fields = batch.columns().iter().map(|c| array_value_to_string(c, row).expect("printable"));
            rows.push(fields.collect::<Vec<_>>().join(" "));
        }
    }
    rows.sort();
    rows
}
