//! Exports as programs write them: the same rows in every form have the same answers.
//!
//! The forms are drawn: how fields are divided and quoted, what stands for nothing, how days and numbers are written, which of
//! Parquet's types hold them, in how many files and folders. What they are compared with is the plainest form of the rows.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Float64Array, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use arrow::record_batch::RecordBatch;
use consilium_engine::cohort::{CohortError, run};
use consilium_engine::store::{Store, StoreConfig, StoreError, StoreSummary, TableSummary};
use consilium_protocol::ids::Date;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::data_type::{Int64Type, Int96, Int96Type};
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::parquet::file::writer::SerializedFileWriter;
use datafusion::parquet::schema::parser::parse_message_type;

use super::hospital::{self, Dice, Rows, Value, cohort, everybody, limits, link, sorted, study};

/// What is asked of every form.
pub(crate) const QUESTIONS: &[(&str, &[&str])] = &[
    ("SELECT person_id AS subject, year_of_birth AS y, gender_concept_id AS g FROM person", &["y", "g"]),
    (
        "SELECT person_id AS subject, count(*) AS n, count(condition_start_date) AS dated, sum(condition_concept_id) AS codes,
                max(condition_end_date) - min(condition_end_date) AS days
         FROM condition_occurrence GROUP BY person_id",
        &["n", "dated", "codes", "days"],
    ),
    (
        "SELECT person_id AS subject, count(value_as_number) AS n, sum(value_as_number) AS total,
                date_part('doy', max(measurement_date)) AS day
         FROM measurement WHERE measurement_date > DATE '2013-02-03' GROUP BY person_id",
        &["n", "total", "day"],
    ),
    (
        "SELECT v.person_id AS subject, sum(v.visit_end_date - v.visit_start_date) AS stay, count(c.person_id) AS conditions
         FROM visit_occurrence v LEFT JOIN condition_occurrence c
           ON c.person_id = v.person_id AND c.condition_start_date < v.visit_start_date
         GROUP BY v.person_id",
        &["stay", "conditions"],
    ),
];

pub(crate) async fn answers(store: &Store) -> Vec<Vec<String>> {
    let mut answers = Vec::new();
    for (sql, columns) in QUESTIONS {
        answers.push(sorted(&cohort(store, sql, columns).await.unwrap_or_else(|error| panic!("{sql}: {error}"))));
    }
    answers
}

/// One of these.
pub(crate) fn pick<T: Copy>(dice: &mut Dice, of: &[T]) -> T {
    of[dice.roll(of.len() as u64) as usize]
}

/// How one CSV export is written.
struct Text {
    delimiter: char,
    line_end: &'static str,
    mark: &'static str,
    quotes: bool,
    blanks: bool,
    bom: bool,
    whole: u64,
    day: u64,
}

impl Text {
    fn draw(dice: &mut Dice) -> Self {
        Self {
            delimiter: pick(dice, &[',', ';', '\t', '|']),
            line_end: pick(dice, &["\n", "\r\n"]),
            mark: pick(dice, &["", "NA", "NULL", "\\N", "NaN", "null", "None", "  "]),
            quotes: dice.roll(3) == 0,
            blanks: dice.roll(3) == 0,
            bom: dice.roll(3) == 0,
            whole: dice.roll(3),
            day: dice.roll(8),
        }
    }

    fn field(&self, value: &Value) -> String {
        let plain = match value {
            Value::Null => return self.mark.to_string(),
            Value::Int(value) => match self.whole {
                0 => value.to_string(),
                1 => format!("{value}.0"),
                _ => format!("+{value}"),
            },
            Value::Real(value) => format!("{value:?}"),
            Value::Day(days) => day(Date::from_days(*days), self.day),
            Value::Text(value) => value.clone(),
        };
        let quoted = if self.quotes || matches!(value, Value::Text(_)) { format!("\"{plain}\"") } else { plain };
        if self.blanks && !matches!(value, Value::Text(_)) { format!(" {quoted} ") } else { quoted }
    }

    fn write(&self, rows: &Rows, range: std::ops::Range<usize>, dice: &mut Dice, path: &Path) {
        let delimiter = self.delimiter.to_string();
        let header: Vec<String> = rows.columns.iter().map(|name| capitals(dice, name)).collect();
        let mut text = if self.bom { "\u{feff}".to_string() } else { String::new() };
        text.push_str(&format!("{}{}", header.join(&delimiter), self.line_end));
        for row in &rows.rows[range] {
            let fields: Vec<String> = row.iter().map(|value| self.field(value)).collect();
            text.push_str(&format!("{}{}", fields.join(&delimiter), self.line_end));
        }
        let mut file = File::create(path).expect("a file");
        if path.extension().is_some_and(|ending| ending == "gz") {
            let mut gzip = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
            gzip.write_all(text.as_bytes()).expect("written");
            gzip.finish().expect("written");
        } else {
            file.write_all(text.as_bytes()).expect("written");
        }
    }
}

/// A day, with a time of day or without, as programs write it.
fn day(date: Date, form: u64) -> String {
    let plain = date.to_string();
    match form {
        0 => plain,
        1 => plain.replace('-', ""),
        2 => plain.replace('-', "/"),
        3 => format!("{plain} 0:00:00"),
        4 => format!("{plain}T00:00:00.000Z"),
        5 => format!("{plain} 23:30:00-05:00"),
        6 => format!("{plain} 00:30:00+14:00"),
        _ => format!("{plain} 11:59:59.9999999 PM"),
    }
}

fn capitals(dice: &mut Dice, name: &str) -> String {
    match dice.roll(3) {
        0 => name.to_string(),
        1 => name.to_uppercase(),
        _ => name.chars().enumerate().map(|(i, c)| if i == 0 { c.to_ascii_uppercase() } else { c }).collect(),
    }
}

/// A column of one of the types that hold such values.
fn column(dice: &mut Dice, values: &[&Value]) -> ArrayRef {
    let wholes = || Int64Array::from_iter(values.iter().map(|v| if let Value::Int(v) = v { Some(*v) } else { None }));
    let reals = || Float64Array::from_iter(values.iter().map(|v| if let Value::Real(v) = v { Some(*v) } else { None }));
    let days = || Date32Array::from_iter(values.iter().map(|v| if let Value::Day(v) = v { Some(*v) } else { None }));
    let text = pick(dice, &[DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View].each_ref()).clone();
    let texts = |write: &dyn Fn(&Value) -> String| {
        let written = values.iter().map(|value| (**value != Value::Null).then(|| write(value)));
        cast(&StringArray::from_iter(written), &text).expect("a text")
    };
    match values.iter().find(|value| ***value != Value::Null) {
        None => arrow::array::new_null_array(
            &pick(dice, &[DataType::Null, DataType::Utf8].each_ref()).clone(),
            values.len(),
        ),
        Some(Value::Int(_)) => {
            let to = [
                DataType::Int64,
                DataType::Int32,
                DataType::UInt32,
                DataType::UInt64,
                DataType::Float64,
                DataType::Decimal128(38, 0),
                DataType::Decimal128(18, 2),
                DataType::Decimal256(50, 4),
                text.clone(),
            ];
            let to = pick(dice, &to.each_ref()).clone();
            cast(&wholes(), &to).expect("another type")
        }
        Some(Value::Real(_)) => {
            let to = [DataType::Float64, DataType::Decimal128(20, 3), text.clone()];
            let to = pick(dice, &to.each_ref()).clone();
            cast(&reals(), &to).expect("another type")
        }
        Some(Value::Day(_)) => {
            let unit =
                pick(dice, &[TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond]);
            let (form, midnight) = (dice.roll(8), days());
            match dice.roll(5) {
                0 => Arc::new(midnight),
                1 => cast(&midnight, &DataType::Date64).expect("another type"),
                2 => cast(&midnight, &DataType::Timestamp(unit, None)).expect("another type"),
                // Midnight in the zone's own time.
                3 => {
                    let zone = pick(dice, &["UTC", "+00:00", "+05:30", "-09:00"]);
                    let local = cast(&midnight, &DataType::Timestamp(unit, None)).expect("another type");
                    cast(&local, &DataType::Timestamp(unit, Some(zone.into()))).expect("another type")
                }
                _ => texts(&|value| match value {
                    Value::Day(days) => day(Date::from_days(*days), form),
                    _ => String::new(),
                }),
            }
        }
        Some(_) => {
            let array = texts(&|value| if let Value::Text(text) = value { text.clone() } else { String::new() });
            match dice.roll(2) {
                0 => array,
                _ => {
                    let plain = cast(&array, &DataType::Utf8).expect("a text");
                    let to = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
                    cast(&plain, &to).expect("a dictionary")
                }
            }
        }
    }
}

fn write_parquet(rows: &Rows, range: std::ops::Range<usize>, dice: &mut Dice, path: &Path) {
    let mut order: Vec<usize> = (0..rows.columns.len()).collect();
    for i in (1..order.len()).rev() {
        order.swap(i, dice.roll(i as u64 + 1) as usize);
    }
    let columns: Vec<(String, ArrayRef, bool)> = order
        .into_iter()
        .map(|position| {
            let values: Vec<&Value> = rows.rows[range.clone()].iter().map(|row| &row[position]).collect();
            (capitals(dice, rows.columns[position]), column(dice, &values), true)
        })
        .collect();
    let batch = RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length");
    let file = File::create(path).expect("a file");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
}

/// Writes a table in a form that is drawn; tells which.
fn write(rows: &Rows, prefix: &str, dice: &mut Dice, folder: &Path) -> String {
    let text = Text::draw(dice);
    let (parquet, layout) = (dice.roll(2) == 0, dice.roll(3));
    let name = capitals(dice, &format!("{prefix}{}", rows.name));
    let ending = match parquet {
        true => pick(dice, &[".parquet", ".snappy.parquet"]),
        false => pick(dice, &[".csv", ".tsv", ".csv.gz", ".CSV"]),
    };
    let mut file = |rows: &Rows, range, path: &Path| match parquet {
        true => write_parquet(rows, range, dice, path),
        false => text.write(rows, range, dice, path),
    };
    let total = rows.rows.len();
    // Where a column has one value in each folder, the folder's name gives it.
    let split = ["condition_concept_id", "visit_concept_id", "measurement_concept_id"];
    let hive = rows.columns.iter().position(|column| split.contains(column));
    match layout {
        0 => file(rows, 0..total, &folder.join(format!("{name}{ending}"))),
        1 => {
            let parts = folder.join(if ending == ".parquet" { format!("{name}.parquet") } else { name.clone() });
            fs::create_dir(&parts).expect("a folder");
            fs::write(parts.join("_SUCCESS"), "").expect("written");
            fs::write(parts.join(".part-0.crc"), "crc").expect("written");
            for (i, range) in [0..total / 3, total / 3..total].into_iter().enumerate() {
                file(rows, range, &parts.join(format!("part-0000{i}{ending}")));
            }
        }
        _ => {
            let Some(position) = hive else {
                file(rows, 0..total, &folder.join(format!("{name}{ending}")));
                return format!("{name}{ending}");
            };
            let mut values: Vec<Value> = rows.rows.iter().map(|row| row[position].clone()).collect();
            values.sort_by_key(|value| if let Value::Int(value) = value { *value } else { -1 });
            values.dedup();
            for value in values {
                let Value::Int(number) = value else { continue };
                let within = folder.join(&name).join(format!("{}={number}", rows.columns[position].to_uppercase()));
                fs::create_dir_all(&within).expect("folders");
                let mut part = rows.clone();
                part.columns.remove(position);
                part.rows.retain(|row| row[position] == value);
                part.rows.iter_mut().for_each(|row| drop(row.remove(position)));
                let rows = part.rows.len();
                file(&part, 0..rows, &within.join(format!("data_0{ending}")));
            }
        }
    }
    format!("{name}{ending}")
}

#[tokio::test]
async fn the_same_rows_in_every_form_have_the_same_answers() {
    let (plain, _folder) = hospital::open_csv().await;
    let expected = answers(&plain).await;
    assert!(expected.iter().all(|answer| answer.len() > 50));
    for seed in 1..=60u64 {
        let (mut dice, folder) =
            (Dice::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)), tempfile::tempdir().expect("a folder"));
        let _warm: u64 = (0..20).map(|_| dice.roll(2)).sum();
        let prefix = pick(&mut dice, &["", "", "omop_", "cdm.", "2024-05 "]);
        let mut tables = hospital::tables();
        tables.retain(|table| table.name != "labs");
        // The last rows are of nobody, so that a column without a value is of the same type in every file.
        let forms: Vec<String> = tables.iter().map(|table| write(table, prefix, &mut dice, folder.path())).collect();
        let store = Store::open(&StoreConfig::of(folder.path()), &[])
            .await
            .unwrap_or_else(|error| panic!("{seed} {forms:?}: {error}"));
        let summary = store.summary();
        let unreadable: Vec<_> = summary.tables.iter().flat_map(|table| &table.unreadable).collect();
        assert!(
            unreadable.is_empty() && summary.unreadable.is_empty(),
            "{seed} {forms:?}: {unreadable:?} {:?}",
            summary.unreadable
        );
        assert!(!format!("{summary:?}").contains("=9"), "{seed} {forms:?}: {summary:?}");
        let found = answers(&store).await;
        for ((found, expected), (sql, _)) in found.iter().zip(&expected).zip(QUESTIONS) {
            assert_eq!(found, expected, "{seed} {forms:?} {sql}");
        }
    }
}

/// A folder with a small PERSON and these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("person.csv"), "person_id,gender_concept_id\n1,8507\n2,8532\n").expect("written");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        fs::write(path, text).expect("written");
    }
    folder
}

async fn open(folder: &tempfile::TempDir) -> (Store, StoreSummary) {
    let store = Store::open(&StoreConfig::of(folder.path()), &[]).await.expect("an open store");
    let summary = store.summary();
    assert!(!format!("{summary:?}").contains("CANARY"), "{summary:?}");
    (store, summary)
}

fn table<'a>(summary: &'a StoreSummary, name: &str) -> &'a TableSummary {
    let table = summary.tables.iter().find(|table| table.name == name);
    table.unwrap_or_else(|| panic!("{name}: {:?}", summary.unreadable))
}

/// Everybody's rows.
pub(crate) async fn ask(store: &Store, sql: &str, columns: &[&str]) -> Result<Vec<String>, CohortError> {
    let permissions = everybody(store, &link()).await;
    run(store, &link(), &permissions, &study(sql, columns), &limits()).await.map(|cohort| sorted(&cohort))
}

#[tokio::test]
async fn a_file_without_a_header_line_is_told_so_without_a_value() {
    for text in ["1\t8507\t1923\tCANARY\n2\t8507\t1923\tCANARY\n", "1,2,3\n", "\n\n", "CANARY\n"] {
        let folder = folder(&[("person.csv", text), ("death.csv", text)]);
        let error = Store::open(&StoreConfig::of(folder.path()), &[]).await.expect_err("no people");
        assert_eq!(error, StoreError::NoHeader { file: "person.csv".to_string() }, "{text:?}");
        fs::write(folder.path().join("person.csv"), "person_id\n1\n").expect("written");
        let (_, summary) = open(&folder).await;
        assert_eq!(summary.unreadable[0].kind, "no_header", "{text:?}");
    }
}

#[tokio::test]
async fn odd_mixtures_close_the_table_and_say_why() {
    let head = "person_id,death_date\n";
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("death/a.csv", head), ("death/b.parquet", "x")], "mixture"),
        (&[("death/a.csv", head), ("death/b.csv.gz", "x")], "mixture"),
        (&[("death/a.csv", head), ("death/notes.docx", "x")], "no_part"),
        (&[("death/a.csv", head), ("death/old/a.csv", head)], "no_part"),
        (&[("death/a.csv", head), ("death/_temporary/0/b.csv", head)], "unfinished"),
        (&[("death/a.csv", head), ("DEATH.csv", head)], "two_sources"),
        (&[("death.csv", head), ("death.tsv", head)], "two_sources"),
        (&[("death.csv.gz", "no gzip at all")], "damaged_gzip"),
        (&[("death.csv", "person_id,death_date\n1,2020-01-01,7\n")], "malformed_row"),
        (&[("death.csv", "person_id,death_date\n1\n")], "malformed_row"),
        (&[("death.csv", "person_id,death_date\n1,\"2020-01-01\n")], "malformed_row"),
        (&[("death.csv", "death_date\n2020-01-01\n")], "missing_column"),
    ];
    for (files, kind) in cases {
        let (store, summary) = open(&folder(files)).await;
        let [unreadable] = &summary.unreadable[..] else { panic!("{files:?}: {summary:?}") };
        assert_eq!((unreadable.name.as_str(), unreadable.kind), ("death", *kind), "{files:?}: {}", unreadable.reason);
        let error =
            ask(&store, "SELECT person_id AS subject, count(*) AS n FROM death GROUP BY person_id", &["n"]).await;
        assert_eq!(error, Err(CohortError::UnreadableTable { name: "death".to_string() }), "{files:?}");
        let people = ask(&store, "SELECT person_id AS subject, gender_concept_id AS g FROM person", &["g"]).await;
        assert_eq!(people.expect("all other studies go on").len(), 2);
    }
}

#[tokio::test]
async fn a_column_of_files_and_folders_names_is_unreadable() {
    let files = [
        ("death/a.csv", "person_id,death_date,cause_concept_id\n1,2020-01-01,7\n"),
        ("death/cause_concept_id=9876543/b.csv", "person_id,death_date\n2,2020-01-01\n"),
    ];
    let (_, summary) = open(&folder(&files)).await;
    let [column] = &table(&summary, "death").unreadable[..] else { panic!("{summary:?}") };
    assert_eq!(column.name, "cause_concept_id");
    assert!(!format!("{summary:?}").contains("9876543"), "{summary:?}");
}

#[tokio::test]
async fn a_column_that_some_files_lack_is_unreadable_and_no_null() {
    let files = [
        ("death/a.csv", "person_id,death_date,cause_concept_id\n1,2020-01-01,7\n"),
        ("death/b.csv", "person_id,death_date\n2,2020-01-01\n"),
    ];
    let (store, summary) = open(&folder(&files)).await;
    assert_eq!(table(&summary, "death").unreadable[0].what, "death/b.csv does not have it, and others do");
    let sql = |column: &str| format!("SELECT person_id AS subject, count({column}) AS n FROM death GROUP BY person_id");
    assert_eq!(ask(&store, &sql("death_date"), &["n"]).await.expect("readable"), ["1", "1"]);
    let error = ask(&store, &sql("cause_concept_id"), &["n"]).await;
    assert_eq!(error, Err(CohortError::UnreadableColumn { name: "cause_concept_id".to_string() }));
    let twice = [("death.csv", "person_id,Death_Date,death_date\n1,2020-01-01,2020-01-01\n")];
    let (_, summary) = open(&folder(&twice)).await;
    assert!(table(&summary, "death").unreadable[0].what.contains("two columns of that name"));
    assert!(table(&summary, "death").day_unsaid, "whose rows are of some day all the same");
}

#[tokio::test]
async fn marks_for_nothing_are_configured_and_a_concept_may_be_called_na() {
    let concept = "concept_id,concept_name,standard_concept\n1,NA,NA\n2,.,S\n3,\\N,\n4,,\n";
    let death = "person_id,death_date,cause_concept_id\n1,2020-01-01,-9\n2,NA,7\n";
    let folder = folder(&[("concept.csv", concept), ("death.csv", death)]);
    let names = "SELECT p.person_id AS subject, c.n, c.named, c.marked FROM person p CROSS JOIN (SELECT count(*) AS n,
                 count(concept_name) AS named, count(standard_concept) AS marked FROM concept) c WHERE p.gender_concept_id = 8507";
    let causes =
        "SELECT person_id AS subject, count(death_date) AS d, sum(cause_concept_id) AS c FROM death GROUP BY person_id";
    let (store, _) = open(&folder).await;
    assert_eq!(ask(&store, names, &["n", "named", "marked"]).await.expect("rows"), ["4 2 1"]);
    assert_eq!(ask(&store, causes, &["d", "c"]).await.expect("rows"), ["0 7", "1 -9"]);
    let own: StoreConfig =
        toml::from_str(&format!("folder = {:?}\nnulls = [\"-9\", \"NA\"]", folder.path().display().to_string()))
            .expect("a configuration");
    let store = Store::open(&own, &[]).await.expect("an open store");
    assert_eq!(ask(&store, causes, &["d", "c"]).await.expect("rows"), ["0 7", "1 "]);
}

#[tokio::test]
async fn ends_of_the_calendar_are_read_and_arithmetic_over_them_does_not_wrap() {
    let visit = "person_id,visit_start_date,visit_start_datetime,visit_end_date,visit_end_datetime\n\
                 1,0001-01-01,0001-01-01 00:00:00,9999-12-31,9999-12-31 23:59:59\n2,2020-01-01,2020-01-01,2020-01-03,2020-01-03 12:00\n";
    let text = folder(&[("visit_occurrence.csv", visit)]);
    let parquet = folder(&[]);
    let days = Date32Array::from(vec![-719_162, 18_262]);
    let ends = Date32Array::from(vec![2_932_896, 18_264]);
    let moment = |days: &Date32Array| {
        cast(days, &DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))).expect("moments")
    };
    let columns: [(&str, ArrayRef); 5] = [
        ("person_id", Arc::new(Int64Array::from(vec![1, 2]))),
        ("visit_start_datetime", moment(&days)),
        ("visit_end_datetime", moment(&ends)),
        ("visit_start_date", Arc::new(days)),
        ("visit_end_date", Arc::new(ends)),
    ];
    let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
    let file = File::create(parquet.path().join("visit_occurrence.parquet")).expect("a file");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
    for folder in [&text, &parquet] {
        let (store, summary) = open(folder).await;
        assert!(table(&summary, "visit_occurrence").unreadable.is_empty(), "{summary:?}");
        let sql = "SELECT person_id AS subject, max(visit_end_date - visit_start_date) AS days,
                   max(date_part('year', visit_end_datetime)) AS y, max(date_part('year', visit_start_datetime)) AS z
                   FROM visit_occurrence GROUP BY person_id";
        assert_eq!(ask(&store, sql, &["days", "y", "z"]).await.expect("rows"), ["2 2020 2020", "3652058 9999 1"]);
    }
}

#[tokio::test]
async fn moments_of_the_oldest_kind_are_read_beyond_the_year_2262() {
    let folder = folder(&[]);
    let schema = parse_message_type(
        "message m { required int64 person_id; required int96 death_datetime; required int96 death_date; }",
    );
    let properties = Arc::new(WriterProperties::builder().build());
    let file = File::create(folder.path().join("death.parquet")).expect("a file");
    let mut writer =
        SerializedFileWriter::new(file, Arc::new(schema.expect("a schema")), properties).expect("a writer");
    let mut group = writer.next_row_group().expect("a row group");
    let mut column = group.next_column().expect("a column").expect("a column");
    column.typed::<Int64Type>().write_batch(&[1, 2], None, None).expect("written");
    column.close().expect("closed");
    // Nanoseconds of the day, then the Julian day: 2440588 is 1970-01-01.
    let moment = |days: u32, hours: u64| {
        let nanoseconds = hours * 3_600_000_000_000;
        let mut moment = Int96::new();
        moment.set_data(nanoseconds as u32, (nanoseconds >> 32) as u32, days + 2_440_588);
        moment
    };
    for hours in [23, 0] {
        let mut column = group.next_column().expect("a column").expect("a column");
        column
            .typed::<Int96Type>()
            .write_batch(&[moment(18_262, hours), moment(2_932_896, hours)], None, None)
            .expect("written");
        column.close().expect("closed");
    }
    group.close().expect("closed");
    writer.close().expect("closed");
    let (store, summary) = open(&folder).await;
    assert!(table(&summary, "death").unreadable.is_empty(), "{summary:?}");
    let sql = "SELECT person_id AS subject, max(date_part('year', death_date)) AS y, max(date_part('hour', death_datetime)) AS h,
               max(date_part('day', death_datetime)) AS d FROM death GROUP BY person_id";
    assert_eq!(ask(&store, sql, &["y", "h", "d"]).await.expect("rows"), ["2020 23 1", "9999 23 31"]);
}

#[tokio::test]
async fn what_is_too_long_or_no_whole_number_closes_its_column() {
    let head = "measurement_id,person_id,measurement_date,value_as_number,unit_concept_id,measurement_concept_id\n";
    let rows = "98765432109876543210,1,2020-01-01,1.5,7.5,8\n3,2,2020-01-01,1e400,8,9.0\n";
    let (store, summary) = open(&folder(&[("measurement.csv", &format!("{head}{rows}"))])).await;
    let unreadable: Vec<(&str, &str)> = table(&summary, "measurement")
        .unreadable
        .iter()
        .map(|column| (column.name.as_str(), column.what.as_str()))
        .collect();
    assert_eq!(
        unreadable,
        [
            ("measurement_id", "1 value is not a whole number (line 2)"),
            ("value_as_number", "1 value is not a number (line 3)"),
            ("unit_concept_id", "1 value is not a whole number (line 2)"),
        ]
    );
    let sql = "SELECT person_id AS subject, sum(measurement_concept_id) AS c FROM measurement GROUP BY person_id";
    assert_eq!(ask(&store, sql, &["c"]).await.expect("rows"), ["8", "9"]);
}

#[tokio::test]
async fn lines_of_a_vocabulary_that_are_none_are_left_out_counted_and_named() {
    let concept = "concept_id\tconcept_name\tvalid_start_date\n1\tone\t19700101\n2\t\"edoxaban; oral\t19700101\nCANARY\t3\tthree\t19700101\n\
                   4\tends with \\\t19700101\n\n5\tNA\t19700101\n6\tstray\ttab\t19700101\n7\tlast\t19700101\t\t\n";
    let folder = folder(&[("CONCEPT.csv", concept)]);
    let (store, summary) = open(&folder).await;
    let found = table(&summary, "concept");
    assert_eq!((found.rows, found.left_out, found.left_out_lines.as_deref()), (Some(5), Some(2), Some("lines 4, 8")));
    assert!(found.unreadable.is_empty(), "{:?}", found.unreadable);
    let sql = "SELECT p.person_id AS subject, c.n FROM person p CROSS JOIN (SELECT sum(concept_id) AS n FROM concept
               WHERE concept_name IN ('one', '\"edoxaban; oral', 'ends with \\', 'NA', 'last')) c WHERE p.gender_concept_id = 8507";
    assert_eq!(ask(&store, sql, &["n"]).await.expect("rows"), ["19"]);
}

#[tokio::test]
async fn a_line_of_a_vocabulary_with_an_open_quotation_is_left_out() {
    let concept = "concept_id,concept_name,concept_code\n1,\"one, \"\"two\"\"\",a\n2,two,\"CANARY\n4,\"CANARY\n8\",b\n16,\"x\" y,c\n";
    let (store, summary) = open(&folder(&[("CONCEPT.csv", concept)])).await;
    let found = table(&summary, "concept");
    assert_eq!((found.rows, found.left_out_lines.as_deref()), (Some(2), Some("lines 3, 4, 5")));
    let sql = "SELECT p.person_id AS subject, c.n FROM person p CROSS JOIN (SELECT sum(concept_id) AS n FROM concept
               WHERE concept_name IN ('one, \"two\"', 'x y')) c WHERE p.gender_concept_id = 8507";
    assert_eq!(ask(&store, sql, &["n"]).await.expect("rows"), ["17"]);
}

#[tokio::test]
async fn former_names_and_prefixes_are_read_and_said() {
    let visit = "visit_occurrence_id,person_id,visit_start_date,admitting_source_concept_id,discharge_to_concept_id\n1,1,2020-01-01,7,8\n";
    let detail = "visit_detail_id,person_id,visit_detail_start_date,visit_detail_parent_id\n1,1,2020-01-01,5\n";
    let folder =
        folder(&[("cdm_visit_occurrence.csv", visit), ("cdm_visit_detail.csv", detail), ("bed_person.csv", "x\n1\n")]);
    let (_, summary) = open(&folder).await;
    let ignored: Vec<&str> = summary.ignored.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(ignored, ["bed_person.csv", "cdm_visit_detail.csv", "cdm_visit_occurrence.csv"], "PERSON has no prefix");
    fs::remove_file(folder.path().join("bed_person.csv")).expect("removed");
    fs::rename(folder.path().join("person.csv"), folder.path().join("CDM_PERSON.csv")).expect("renamed");
    let (store, summary) = open(&folder).await;
    let found = table(&summary, "visit_occurrence");
    assert_eq!((found.prefix.as_deref(), table(&summary, "person").prefix.as_deref()), (Some("cdm_"), Some("cdm_")));
    let mended: Vec<&str> = found.mended.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(mended, ["admitted_from_concept_id", "discharged_to_concept_id"]);
    assert_eq!(found.mended[0].what, "called `admitting_source_concept_id`, its name in OMOP 5.3");
    assert_eq!(table(&summary, "visit_detail").mended[0].name, "parent_visit_detail_id");
    let sql = "SELECT person_id AS subject, sum(discharged_to_concept_id - admitted_from_concept_id) AS x FROM visit_occurrence GROUP BY person_id";
    assert_eq!(ask(&store, sql, &["x"]).await.expect("rows"), ["1"]);
}

#[tokio::test]
async fn tables_of_omop_that_stay_closed_say_so_by_name() {
    let closed = ["cost", "care_site", "provider", "location", "fact_relationship", "note", "episode_event"];
    let files: Vec<(String, String)> =
        closed.iter().map(|name| (format!("{name}.csv"), "person_id\n1\n".to_string())).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let (_, summary) = open(&folder(&files)).await;
    assert_eq!(summary.ignored.len(), closed.len());
    assert!(
        summary.ignored.iter().all(|file| file.reason.starts_with("closed to every study: ")),
        "{:?}",
        summary.ignored
    );
}
