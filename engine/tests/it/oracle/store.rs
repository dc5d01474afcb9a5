//! Small random stores: few distinct values so that joins hit, NULL wherever it may stand, duplicates, strangers, empty
//! tables, days at their ends; and who of its people allows what.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use consilium_engine::pseudonym::LinkSecret;
use consilium_engine::store::Store;
use consilium_protocol::consent::{Action, AllowedData, Domain, Effect, Permissions, Purpose, Rule, Scope, Terms};
use consilium_protocol::ids::Height;

use super::dice::Dice;
use super::schema::{Kind, TABLES, Table};
use super::tree::Type;
use crate::hospital::{self, Rows, Value};

/// A store as plain values.
#[derive(Clone, Debug)]
pub(super) struct Small {
    pub(super) tables: Vec<Rows>,
    pub(super) parquet: bool,
    /// Each person's class, by the position in PERSON.
    pub(super) classes: Vec<usize>,
    /// How many patients a bucket has where it is laid out by patient.
    pub(super) patients_of_a_bucket: usize,
}

/// What the classes of consent open: everything, some of it, nothing.
const CLASSES: [Option<&[Domain]>; 4] = [
    None,
    Some(&[Domain::Person, Domain::Condition, Domain::Observation]),
    Some(&[Domain::Person, Domain::Measurement, Domain::Visit, Domain::Drug]),
    Some(&[]),
];

pub(super) const CODES: [i64; 9] = [0, 1, 2, 3, 8507, 8532, 8840, 4_188_539, -1];
pub(super) const REALS: [f64; 11] = [0.0, -0.0, 0.5, 1.0, 1.5, 2.5, -2.5, 3.0, 7.25, -1.0, 100.0];
pub(super) const TEXTS: [&str; 14] =
    ["a", "A", "ab", "b", "5", "-3", "a%b", "a_b", "é", "Zebra", " x ", "true", "2020-02-29", "2021-02-29"];
pub(super) const DAYS: [&str; 11] = [
    "2012-01-31",
    "2015-05-05",
    "2015-05-06",
    "2016-02-29",
    "2020-12-31",
    "2021-01-03",
    "1970-01-01",
    "1969-12-31",
    "1900-03-01",
    "0001-01-01",
    "9999-12-31",
];
pub(super) const MOMENTS: [&str; 6] = [
    "2015-05-05 00:00:00",
    "2015-05-05 23:59:59",
    "2016-02-29 12:30:00",
    "1969-12-31 23:59:59",
    "0001-01-01 00:00:00",
    "9999-12-31 23:59:59",
];

/// The days and moments among which rows mostly are.
const USUAL: usize = 6;

fn value(dice: &mut Dice, kind: Kind, who: i64) -> Value {
    let null = match kind {
        Kind::Who => 0,
        _ => 20,
    };
    if dice.chance(null) {
        return Value::Null;
    }
    match kind {
        Kind::Who => Value::Int(who),
        Kind::Subject | Kind::Key(_) => Value::Int(1 + dice.roll(12) as i64),
        Kind::Plain(Type::Int) if dice.chance(2) => Value::Int(*dice.pick(&[i64::MAX, i64::MIN, 1 << 53])),
        Kind::Plain(Type::Int) => Value::Int(*dice.pick(&CODES)),
        Kind::Plain(Type::Real) => Value::Real(*dice.pick(&REALS)),
        // In CSV, what is blank around a field is none of it.
        Kind::Plain(Type::Text) => Value::Text(dice.pick(&TEXTS).trim().to_string()),
        Kind::Plain(Type::Day) => {
            let days = if dice.chance(85) { &DAYS[..USUAL] } else { &DAYS[..] };
            Value::Day(hospital::day(dice.pick::<&str>(days)))
        }
        // Kept as text: hospital's rows have no moments.
        Kind::Plain(Type::Moment) => {
            // CSV takes moments of 1677 to 2262 only.
            let moments = if dice.chance(85) { &MOMENTS[..3] } else { &MOMENTS[..4] };
            Value::Text((*dice.pick(moments)).to_string())
        }
        Kind::Plain(Type::Truth) => Value::Null,
    }
}

fn rows(dice: &mut Dice, table: &'static Table, people: usize) -> Rows {
    let columns: Vec<&'static str> = table.columns.iter().map(|(name, _)| *name).collect();
    let vocabulary = table.domain.is_none();
    let count = match table.name {
        "person" => people,
        _ if dice.chance(8) => 0,
        "concept" => 9,
        "concept_ancestor" => dice.roll(14),
        "death" => dice.roll(people / 2 + 1),
        _ => dice.roll(2 * people + 3),
    };
    let mut rows: Vec<Vec<Value>> = Vec::new();
    for n in 0..count {
        // Two who are not in PERSON, at most, and rows of nobody.
        let whose = if table.name == "person" { n } else { dice.roll(people + 1) };
        let who = 1900 + whose as i64;
        let row = table.columns.iter().enumerate().map(|(position, (name, kind))| match (*name, kind) {
            (_, Kind::Subject) if table.name != "person" && dice.chance(3) => Value::Null,
            (_, Kind::Subject) => Value::Int(1 + whose as i64),
            ("concept_id", _) => Value::Int(CODES[n % CODES.len()]),
            // A record's own number is its own, and there.
            (_, Kind::Key(_)) if position == 0 => Value::Int(1 + n as i64),
            _ if vocabulary && *kind == Kind::Plain(Type::Int) => Value::Int(*dice.pick(&CODES)),
            _ => value(dice, *kind, who),
        });
        let row: Vec<Value> = row.collect();
        let keyed = matches!(table.columns[0].1, Kind::Key(_));
        if !keyed && table.name != "person" && table.name != "concept" && dice.chance(10) {
            rows.push(row.clone());
        }
        rows.push(row);
    }
    Rows { name: table.name, columns, rows }
}

impl Small {
    pub(super) fn draw(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let people = match dice.roll(10) {
            0 => dice.roll(3),
            _ => 4 + dice.roll(36),
        };
        let tables = TABLES.iter().map(|table| rows(&mut dice, table, people)).collect();
        let partial = dice.chance(30);
        let classes = (0..people).map(|_| if partial { dice.weighted(&[5, 2, 2, 1]) } else { 0 }).collect();
        let patients_of_a_bucket = [1, 2, 7][(seed % 3) as usize];
        Self { tables, parquet: dice.chance(40), classes, patients_of_a_bucket }
    }

    /// Writes the files of the store.
    pub(super) fn write(&self, folder: &Path) {
        for table in &self.tables {
            // Parquet says its types itself, so a column of NULLs only, or of moments, has to be of CSV.
            let typed = (0..table.columns.len()).all(|i| table.rows.iter().any(|row| row[i] != Value::Null));
            let moments = table.columns.iter().any(|name| name.ends_with("_datetime"));
            if self.parquet && typed && !moments {
                table.write_parquet(&folder.join(format!("{}.parquet", table.name)), 0..table.rows.len());
            } else {
                fs::write(folder.join(format!("{}.csv", table.name)), table.csv()).expect("written");
            }
        }
    }

    fn opens(&self, person: Option<i64>, domain: Domain) -> bool {
        let position = |person: i64| {
            let people = &self.tables[0];
            people.rows.iter().position(|row| people.int(row, "person_id") == Some(person))
        };
        let class = person.and_then(position).and_then(|position| self.classes.get(position));
        class.is_some_and(|class| CLASSES[*class].is_none_or(|domains| domains.contains(&domain)))
    }

    /// What PostgreSQL is given: the rows that are open, and nothing else.
    pub(super) fn statements(&self) -> String {
        let mut text = String::new();
        for table in &self.tables {
            let domain = super::schema::table(table.name).and_then(|table| table.domain);
            writeln!(text, "TRUNCATE {};", table.name).expect("writing to a string");
            let open = |row: &&Vec<Value>| domain.is_none_or(|domain| self.opens(table.int(row, "person_id"), domain));
            let rows: Vec<String> = table.rows.iter().filter(open).map(|row| tuple(row)).collect();
            if !rows.is_empty() {
                writeln!(text, "INSERT INTO {} VALUES {};", table.name, rows.join(", ")).expect("writing to a string");
            }
        }
        text
    }

    /// The ledger's word on the people of the store.
    pub(super) async fn permissions(&self, store: &Store, link: &LinkSecret) -> Permissions {
        let people = &self.tables[0];
        let class = |person: i64| {
            let position = people.rows.iter().position(|row| people.int(row, "person_id") == Some(person));
            position.and_then(|position| self.classes.get(position)).map_or(0, |class| *class as u32)
        };
        let subjects = store.subjects(link).await.expect("subjects");
        let subjects = subjects.iter().map(|(person, subject)| (*subject, class(*person))).collect();
        Permissions {
            height: Height::new(7),
            day: consilium_protocol::ids::Date::from_days(20_000),
            classes: CLASSES.iter().map(|domains| allowed(*domains)).collect(),
            subjects,
        }
    }

    /// The store as text, for reports; tables without rows are left out.
    pub(super) fn shown(&self) -> String {
        let kind = if self.parquet { "Parquet" } else { "CSV" };
        let mut text = format!("({kind}; classes {:?})\n", self.classes);
        for table in self.tables.iter().filter(|table| !table.rows.is_empty()) {
            write!(text, "{}:\n{}", table.name, table.csv()).expect("writing to a string");
        }
        text
    }
}

fn tuple(row: &[Value]) -> String {
    let field = |value: &Value| match value {
        Value::Null => "NULL".to_string(),
        Value::Int(value) => format!("'{value}'"),
        Value::Real(value) => format!("'{value}'"),
        Value::Day(value) => format!("'{}'", consilium_protocol::ids::Date::from_days(*value)),
        Value::Text(value) => format!("'{value}'"),
    };
    format!("({})", row.iter().map(field).collect::<Vec<_>>().join(", "))
}

/// PostgreSQL's tables.
pub(super) fn definitions() -> String {
    let mut text = String::new();
    for table in TABLES {
        let column = |(name, kind): &(&str, Kind)| format!("{name} {}", super::theirs::type_name(kind.ty()));
        let columns: Vec<String> = table.columns.iter().map(column).collect();
        writeln!(text, "CREATE TABLE {} ({});", table.name, columns.join(", ")).expect("writing to a string");
    }
    text
}

fn allowed(domains: Option<&[Domain]>) -> AllowedData {
    let mut permit = Rule::new(Effect::Permit, Action::Aggregate, Scope::Only(vec![Purpose::HealthResearch]));
    let rules = match domains {
        Some([]) => Vec::new(),
        Some(domains) => {
            permit.data = Scope::Only(domains.to_vec());
            vec![permit]
        }
        None => vec![permit],
    };
    let terms = Terms::opt_in(rules);
    hospital::allowed(&terms)
}
