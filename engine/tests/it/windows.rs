//! What a window opens: compared, value by value, with an oracle that looks at one row after another and knows neither
//! the gate nor the query engine.

use std::fmt::Write as _;
use std::fs;

use consilium_engine::cohort::run;
use consilium_engine::store::Store;
use consilium_protocol::consent::{AllowedData, Domain, Opened, Permissions, Terms, Window, Windows};
use consilium_protocol::ids::{Date, Height, SubjectId};
use datafusion::parquet::arrow::ArrowWriter;

use super::hospital::{self, Dice, Rows, Value, day, limits, link, sorted, study, study_with};

const CONSENT_PAGE: &str = include_str!("../../../docs/consent.md");

/// Permissions by hand: the class of a person is their id modulo the number of classes.
async fn by_class(store: &Store, classes: &[AllowedData]) -> Permissions {
    let mut subjects: Vec<(SubjectId, u32)> = store
        .subjects(&link())
        .await
        .expect("subjects")
        .iter()
        .map(|(person, subject)| (*subject, (*person as usize % classes.len()) as u32))
        .collect();
    subjects.sort_unstable();
    Permissions {
        height: Height::new(7),
        day: consilium_protocol::ids::Date::from_days(20_000),
        classes: classes.to_vec(),
        subjects,
    }
}

fn window(from: Option<&str>, to: Option<&str>) -> Window {
    let date = |text: &str| text.parse().expect("a date");
    Window { from: from.map(date), to: to.map(date) }
}

/// All domains, each with the same days, but these.
fn opened(days: &[Window], but: &[(Domain, Option<&[Window]>)]) -> AllowedData {
    let of = |days: &[Window]| {
        let mut set = Windows::none();
        days.iter().for_each(|window| set.add(window));
        Opened { undated: true, days: set }
    };
    let of_domain = |domain: Domain| match but.iter().find(|(other, _)| *other == domain) {
        Some((_, days)) => days.map(of),
        None => Some(of(days)),
    };
    Domain::ALL.into_iter().filter_map(|domain| Some((domain, of_domain(domain)?))).collect()
}

#[tokio::test]
async fn the_example_of_the_documentation_hides_nobody_from_a_study() {
    let example = CONSENT_PAGE.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    assert!(example.contains("window = { from = \"2020-09-01\" }"), "the example has a window");
    let terms: Terms = toml::from_str(example).expect("terms");
    let allowed = hospital::allowed(&terms);

    // 200 patients, of whom 120 have a condition of the window; each has one from before it.
    let folder = tempfile::tempdir().expect("a folder");
    let mut person = String::from("person_id,gender_concept_id,year_of_birth\n");
    let mut condition = String::from(
        "condition_occurrence_id,person_id,condition_concept_id,condition_start_date,condition_end_date\n",
    );
    for id in 1..=200 {
        writeln!(person, "{id},8507,{}", 1940 + id % 60).expect("a string");
        writeln!(condition, "{id},{id},1,2020-08-31,2020-12-31").expect("a string");
        if id % 5 < 3 {
            writeln!(condition, "{},{id},2,2020-09-01,2020-12-31", 1_000 + id).expect("a string");
        }
    }
    fs::write(folder.path().join("person.csv"), person).expect("written");
    fs::write(folder.path().join("condition_occurrence.csv"), condition).expect("written");
    let store = hospital::open_as_asked(folder.path()).await;
    let permissions = by_class(&store, std::slice::from_ref(&allowed)).await;
    for (sql, expected) in [
        ("SELECT DISTINCT person_id AS subject FROM condition_occurrence", 120),
        (
            "SELECT DISTINCT p.person_id AS subject FROM person p JOIN condition_occurrence c USING (person_id)
             WHERE p.year_of_birth > 1900",
            120,
        ),
        ("SELECT person_id AS subject FROM person", 200),
        ("SELECT DISTINCT person_id AS subject FROM condition_occurrence WHERE condition_concept_id = 1", 0),
    ] {
        let cohort = run(&store, &link(), &permissions, &study(sql, &[]), &limits()).await.expect("a cohort");
        assert_eq!(cohort.rows, expected, "{sql}");
        // What a history says that the study could read: no days of PERSON, nothing undated of the conditions.
        let read = cohort.reads.of(&allowed);
        let person = read.of(Domain::Person).map(|person| (person.undated, person.days.is_empty()));
        assert_eq!(person, sql.contains("FROM person").then_some((true, true)), "{sql}");
        let conditions = read.of(Domain::Condition).map(|conditions| conditions.undated);
        assert_eq!(conditions, sql.contains("condition_occurrence").then_some(false), "{sql}");
        assert_eq!(read.of(Domain::Measurement), None);
    }
}

/// Tables whose rows reach beyond their day: one row for each person in each table, with days on and around the ends of
/// the windows. Every person is in PERSON.
fn reaching(people: i64) -> Vec<Rows> {
    let mut dice = Dice(0xDA75);
    let ends = ["2015-01-01", "2015-12-31", "2017-01-01", "2017-12-31", "2019-06-30", "2020-09-01"].map(day);
    let some_day = |dice: &mut Dice, nullable: bool| match dice.roll(8) {
        0 if nullable => Value::Null,
        _ => Value::Day(ends[dice.roll(6) as usize] + dice.roll(3) as i32 - 1),
    };
    let mut tables = vec![
        Rows { name: "person", columns: vec!["person_id", "gender_concept_id", "year_of_birth"], rows: Vec::new() },
        Rows {
            name: "visit_occurrence",
            columns: vec![
                "visit_occurrence_id",
                "person_id",
                "visit_start_date",
                "visit_end_date",
                "discharged_to_concept_id",
                "preceding_visit_occurrence_id",
            ],
            rows: Vec::new(),
        },
        Rows {
            name: "observation_period",
            columns: vec![
                "observation_period_id",
                "person_id",
                "observation_period_start_date",
                "observation_period_end_date",
            ],
            rows: Vec::new(),
        },
        Rows {
            name: "drug_era",
            columns: vec![
                "drug_era_id",
                "person_id",
                "drug_era_start_date",
                "drug_era_end_date",
                "drug_exposure_count",
                "gap_days",
            ],
            rows: Vec::new(),
        },
        Rows {
            name: "drug_exposure",
            columns: vec![
                "drug_exposure_id",
                "person_id",
                "drug_exposure_start_date",
                "verbatim_end_date",
                "days_supply",
            ],
            rows: Vec::new(),
        },
        Rows { name: "readings", columns: vec!["patient", "taken", "read_on", "score"], rows: Vec::new() },
    ];
    for id in 1..=people {
        let row = |dice: &mut Dice| (some_day(dice, true), some_day(dice, true));
        let id = Value::Int(id);
        tables[0].rows.push(vec![id.clone(), Value::Int(8_507), Value::Int(1_950)]);
        for table in &mut tables[1..5] {
            let (start, end) = row(&mut dice);
            let mut values = vec![id.clone(), id.clone(), start, end];
            match table.name {
                "visit_occurrence" => values.extend([Value::Int(4_216_643), Value::Int(77)]),
                "drug_era" => values.extend([Value::Int(3), Value::Int(12)]),
                "drug_exposure" => values.push(Value::Int([0, 1, 90, 365, 1_000, i64::MAX][dice.roll(6) as usize])),
                _ => {}
            }
            table.rows.push(values);
        }
        let (taken, read) = row(&mut dice);
        tables[5].rows.push(vec![id, taken, read, Value::Int(5)]);
    }
    tables
}

/// The tables as CSV, as Parquet with row groups so small that statistics leave some out, and laid out by patient.
async fn stores(tables: &[Rows]) -> Vec<(Store, tempfile::TempDir)> {
    let csv = tempfile::tempdir().expect("a folder");
    let parquet = tempfile::tempdir().expect("a folder");
    let arranged = tempfile::tempdir().expect("a folder");
    for table in tables {
        fs::write(arranged.path().join(format!("{}.csv", table.name)), table.csv()).expect("written");
        fs::write(csv.path().join(format!("{}.csv", table.name)), table.csv()).expect("written");
        let batch = table.batch(0..table.rows.len());
        let file = fs::File::create(parquet.path().join(format!("{}.parquet", table.name))).expect("a file");
        let properties = datafusion::parquet::file::properties::WriterProperties::builder();
        let properties = properties.set_max_row_group_row_count(Some(8)).build();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).expect("a writer");
        writer.write(&batch).expect("written");
        writer.close().expect("closed");
    }
    hospital::arrange_in_place(arranged.path(), 7).await;
    let mut opened = Vec::new();
    for folder in [csv, parquet, arranged] {
        opened.push((hospital::open(folder.path()).await, folder));
    }
    opened
}

/// What is open to a class of persons: on which days, of every domain but death, and of death.
type Class = [&'static [(&'static str, &'static str)]; 2];

const ALWAYS: &[(&str, &str)] = &[("", "")];
const NEVER: &[(&str, &str)] = &[];
const SINCE: &[(&str, &str)] = &[("2015-12-31", "")];
const YEARS: &[(&str, &str)] = &[("2015-01-01", "2015-12-31"), ("2017-01-01", "2019-06-30")];
const UNTIL: &[(&str, &str)] = &[("", "2017-12-31")];

const CLASSES: [Class; 7] = [
    [ALWAYS, ALWAYS],
    [ALWAYS, NEVER],
    [ALWAYS, UNTIL],
    [SINCE, SINCE],
    [YEARS, ALWAYS],
    [YEARS, NEVER],
    [UNTIL, YEARS],
];

fn windows(periods: &[(&'static str, &'static str)]) -> Vec<Window> {
    let end = |text: &'static str| (!text.is_empty()).then_some(text);
    periods.iter().map(|(from, to)| window(end(from), end(to))).collect()
}

fn allowed([own, death]: &Class) -> AllowedData {
    let death = windows(death);
    opened(&windows(own), &[(Domain::Death, (!death.is_empty()).then_some(&death[..]))])
}

/// Up to which day a value tells of something.
#[derive(Clone, Copy)]
enum Last {
    Day(&'static str),
    Supply,
    Unsaid,
}

/// A value of a table that reaches beyond its row's day.
struct Reaching {
    table: &'static str,
    subject: &'static str,
    own: &'static str,
    value: &'static str,
    last: Last,
    of_death: bool,
}

const fn reaches(table: &'static str, own: &'static str, value: &'static str, last: Last) -> Reaching {
    Reaching { table, subject: "person_id", own, value, last, of_death: false }
}

const fn of_death(reaching: Reaching) -> Reaching {
    Reaching { of_death: true, ..reaching }
}

const VISIT: [&str; 3] = ["visit_occurrence", "visit_start_date", "visit_end_date"];
const PERIOD: [&str; 3] = ["observation_period", "observation_period_start_date", "observation_period_end_date"];
const ERA: [&str; 3] = ["drug_era", "drug_era_start_date", "drug_era_end_date"];
const DRUG: [&str; 3] = ["drug_exposure", "drug_exposure_start_date", "verbatim_end_date"];
const PRECEDING: &str = "preceding_visit_occurrence_id";

const REACHING: [Reaching; 10] = [
    reaches(VISIT[0], VISIT[1], VISIT[2], Last::Day(VISIT[2])),
    of_death(reaches(VISIT[0], VISIT[1], "discharged_to_concept_id", Last::Day(VISIT[2]))),
    reaches(VISIT[0], VISIT[1], PRECEDING, Last::Unsaid),
    of_death(reaches(PERIOD[0], PERIOD[1], PERIOD[2], Last::Day(PERIOD[2]))),
    reaches(ERA[0], ERA[1], ERA[2], Last::Day(ERA[2])),
    reaches(ERA[0], ERA[1], "drug_exposure_count", Last::Day(ERA[2])),
    reaches(ERA[0], ERA[1], "gap_days", Last::Day(ERA[2])),
    reaches(DRUG[0], DRUG[1], DRUG[2], Last::Day(DRUG[2])),
    reaches(DRUG[0], DRUG[1], "days_supply", Last::Supply),
    Reaching { subject: "patient", ..reaches("readings", "taken", "read_on", Last::Day("read_on")) },
];

impl Reaching {
    /// The value as a study should see it, of a row that it should see; `None` of another row.
    fn seen(&self, classes: &[Class], table: &Rows, row: &[Value]) -> Option<String> {
        let person = table.int(row, self.subject).expect("a person");
        let [of_domain, death] = classes[person as usize % classes.len()];
        let start = table.day(row, self.own);
        if of_domain != ALWAYS && !start.is_some_and(|start| contains(of_domain, start)) {
            return None;
        }
        let end = match self.last {
            Last::Day(column) => table.day(row, column),
            Last::Supply => start.zip(table.int(row, "days_supply")).and_then(|(start, days)| {
                let further = i32::try_from(days.max(1) - 1).ok()?;
                start.checked_add(further)
            }),
            Last::Unsaid => None,
        };
        let within = of_domain == ALWAYS || start.zip(end).is_some_and(|(s, e)| all_between(of_domain, s, e));
        let known = !self.of_death || death == ALWAYS || end.is_some_and(|end| contains(death, end));
        Some(match table.get(row, self.value) {
            Value::Day(day) if within && known => Date::from_days(*day).to_string(),
            Value::Int(_) if within && known && self.value == PRECEDING => "true".to_string(),
            Value::Int(number) if within && known => number.to_string(),
            _ if self.value == PRECEDING => "false".to_string(),
            _ => String::new(),
        })
    }

    /// How a study asks for the value: as a dimension `x`.
    fn asked(&self, table: &Rows) -> (String, &'static str) {
        if self.value == PRECEDING {
            (format!("bool_or({PRECEDING} IS NOT NULL)"), "[true, false]")
        } else if table.rows.iter().any(|row| table.day(row, self.value).is_some()) {
            (format!("max(CAST({} AS VARCHAR))", self.value), "[\"a day\"]")
        } else {
            (format!("max({})", self.value), "[1]")
        }
    }
}

fn contains(periods: &[(&'static str, &'static str)], day: i32) -> bool {
    windows(periods).iter().any(|period| period.contains(Date::from_days(day)))
}

/// Looks at one day after another.
fn all_between(periods: &[(&'static str, &'static str)], one: i32, other: i32) -> bool {
    (one.min(other)..=one.max(other)).all(|day| contains(periods, day))
}

#[tokio::test]
async fn dates_beyond_a_window_are_null_and_so_is_what_tells_of_them() {
    compare(&CLASSES).await;
}

#[tokio::test]
async fn a_death_is_hidden_where_nobody_has_a_window_for_anything_else() {
    compare(&CLASSES[..3]).await;
}

async fn compare(classes: &[Class]) {
    let tables = reaching(700);
    let windowed = classes.iter().any(|[own, _]| *own != ALWAYS);
    let allowed: Vec<AllowedData> = classes.iter().map(allowed).collect();
    for (store, _folder) in stores(&tables).await {
        let permissions = by_class(&store, &allowed).await;
        for reaching in &REACHING {
            let Reaching { table: name, subject, value, .. } = *reaching;
            let table = tables.iter().find(|table| table.name == name).expect("a table");
            let mut expected: Vec<String> =
                table.rows.iter().filter_map(|row| reaching.seen(classes, table, row)).collect();
            expected.sort();
            let shown = |text: &&String| !text.is_empty() && *text != "false";
            let visible: Vec<String> = expected.iter().filter(shown).cloned().collect();
            let hides = visible.len() < expected.len() || !(windowed || reaching.of_death);
            assert!(visible.len() > 50 && hides, "{name}.{value}: the oracle itself shows and hides");
            let (select, values) = reaching.asked(table);
            let ask = async |filter: &str| {
                let sql = format!("SELECT {subject} AS subject, {select} AS x FROM {name} {filter} GROUP BY {subject}");
                let spec = study_with(&sql, &[], &format!("[[dimension]]\nname = \"x\"\nvalues = {values}\n"));
                sorted(&run(&store, &link(), &permissions, &spec, &limits()).await.expect("a cohort"))
            };
            assert_eq!(ask("").await, expected, "{name}.{value}");
            // A filter sees what is shown, though it goes down to the files.
            let hidden = expected.len() - visible.len();
            assert_eq!(ask(&format!("WHERE {value} IS NOT NULL")).await, visible, "{name}.{value}");
            assert_eq!(ask(&format!("WHERE {value} IS NULL")).await.len(), hidden, "{name}.{value}");
            if select.contains("CAST") {
                let range = |text: &&String| ("2017-01-01".."2020-01-01").contains(&text.as_str());
                let of_years: Vec<String> = expected.iter().filter(range).cloned().collect();
                let years = format!("WHERE {value} >= DATE '2017-01-01' AND {value} < DATE '2020-01-01'");
                assert_eq!(ask(&years).await, of_years, "{name}.{value} {years}");
                assert!(ask(&format!("WHERE NOT ({value} < DATE '1900-01-01')")).await == visible, "{name}.{value}");
            }
        }
    }
}

#[tokio::test]
async fn a_table_of_the_catalogue_is_undated_where_it_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("person.csv"), "person_id\n1\n2\n").expect("written");
    fs::write(folder.path().join("blood.csv"), "patient,rhesus\n1,7\n2,8\n").expect("written");
    fs::write(folder.path().join("tumours.csv"), "patient,stage,found\n1,3,2016-05-05\n2,4,2016-05-05\n")
        .expect("written");
    let store = hospital::open_as_asked(folder.path()).await;
    let unsaid: Vec<bool> = store.summary().tables.iter().map(|table| table.day_unsaid).collect();
    assert_eq!(unsaid, [false, false, true], "blood, person, tumours");

    let since = opened(&[window(Some("2016-01-01"), None)], &[]);
    let everything = opened(&[Window::UNBOUNDED], &[]);
    let count = async |allowed: &AllowedData, table: &str| {
        let permissions = by_class(&store, std::slice::from_ref(allowed)).await;
        let spec = study(&format!("SELECT DISTINCT patient AS subject FROM {table}"), &[]);
        run(&store, &link(), &permissions, &spec, &limits()).await.expect("a cohort").rows
    };
    // A row that is of some day, nobody says which, is read only where every day is open.
    assert_eq!((count(&since, "blood").await, count(&since, "tumours").await), (2, 0));
    assert_eq!((count(&everything, "blood").await, count(&everything, "tumours").await), (2, 2));
    // Days without anything undated open nothing that has no date.
    for days in [&since, &everything] {
        let dated = days.iter().map(|(domain, opened)| (domain, Opened { undated: false, days: opened.days.clone() }));
        assert_eq!(count(&dated.collect(), "blood").await, 0);
    }
}
