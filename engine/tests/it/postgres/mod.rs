//! Tables in a real PostgreSQL server: the same answers as from files, and what goes wrong.

mod answers;
mod columns;
mod faults;
mod keys;
mod login;
mod moments;
mod opening;
mod parts;
mod settings;
mod tls;

use std::fmt::Write as _;

use consilium_engine::store::{DatabaseError, Store, StoreConfig, StoreError};
use consilium_protocol::ids::Date;

use crate::hospital::{self, Dice, Rows, Value};
use crate::oracle::server::{Server, Session, programs_or_skip};

/// A server with a role that may read, and its administrator.
struct Hospital {
    server: Server,
    admin: Session,
}

/// `None` where there is no server to start.
async fn start(settings: &[&str]) -> Option<Hospital> {
    let programs = programs_or_skip()?;
    let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
    let mut server = Server::start_with(&programs, &settings, |_| {});
    let admin = server.connect().await;
    admin
        .execute("CREATE ROLE reader LOGIN; CREATE SCHEMA cdm; GRANT USAGE ON SCHEMA cdm TO reader")
        .await
        .expect("a role");
    Some(Hospital { server, admin })
}

impl Hospital {
    fn config_with(&self, user: &str, more: &str) -> StoreConfig {
        let folder = self.server.folder().display();
        let text = format!("url = \"postgresql://{user}@/postgres?host={folder}\"\nschema = \"cdm\"\n{more}");
        toml::from_str(&text).expect("a store")
    }

    async fn open_as(&self, user: &str, more: &str) -> Result<Store, StoreError> {
        Store::open(&self.config_with(user, more), &hospital::catalogue()).await
    }

    async fn open(&self) -> Result<Store, StoreError> {
        self.open_as("reader", "").await
    }

    async fn execute(&self, sql: &str) {
        self.admin.execute(sql).await.unwrap_or_else(|error| panic!("{error}: {sql}"));
    }

    /// Makes a table with these rows, the columns of these types, and lets the reader read it.
    async fn table(&self, rows: &Rows, types: &[&str]) {
        let columns: Vec<String> =
            rows.columns.iter().zip(types).map(|(name, data_type)| format!("{name} {data_type}")).collect();
        self.execute(&format!("CREATE TABLE cdm.{} ({})", rows.name, columns.join(", "))).await;
        self.fill(rows).await;
        self.execute(&format!("GRANT SELECT ON cdm.{} TO reader", rows.name)).await;
    }

    async fn fill(&self, rows: &Rows) {
        if rows.rows.is_empty() {
            return;
        }
        let row = |row: &Vec<Value>| format!("({})", row.iter().map(constant).collect::<Vec<_>>().join(", "));
        let values: Vec<String> = rows.rows.iter().map(row).collect();
        self.execute(&format!("INSERT INTO cdm.{} VALUES {}", rows.name, values.join(", "))).await;
    }
}

/// A value as a constant of no type.
fn constant(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_string(),
        Value::Int(value) => format!("'{value}'"),
        Value::Real(value) => format!("'{value:?}'"),
        Value::Day(days) => format!("'{}'", Date::from_days(*days)),
        Value::Text(text) => format!("'{}'", text.replace('\'', "''")),
    }
}

/// A type that holds the values of each column, out of those that may.
fn types(rows: &Rows, pick: &mut impl FnMut(&str, &[&'static str]) -> &'static str) -> Vec<&'static str> {
    let of = |position: usize| rows.rows.iter().map(|row| &row[position]).find(|value| **value != Value::Null).cloned();
    let columns = rows.columns.iter().enumerate();
    let one = |(position, name): (usize, &&str)| match of(position) {
        Some(Value::Real(_)) => pick(name, &["double precision", "numeric", "text", "numeric(14, 3)"]),
        Some(Value::Day(_)) => pick(name, &["date", "timestamp", "timestamptz", "text", "timestamp(0)"]),
        Some(Value::Text(_)) => pick(name, &["text", "varchar(60)", "char(60)"]),
        _ => pick(name, &["bigint", "integer", "numeric", "text", "double precision", "numeric(12, 2)", "cdm_number"]),
    };
    columns.map(one).collect()
}

/// What went wrong, when it was the database.
fn database_error(error: StoreError) -> DatabaseError {
    match error {
        StoreError::Database(error) => error,
        other => panic!("{other}"),
    }
}

/// Persons 1 to `people`, and a table of so many measurements, of which the values tell the rows.
async fn measurements(hospital: &Hospital, people: u32, rows: u32) {
    let mut sql = String::new();
    write!(
        sql,
        "CREATE TABLE cdm.person (person_id integer PRIMARY KEY, gender_concept_id integer, year_of_birth integer);
         INSERT INTO cdm.person SELECT n, 8507, 1940 + n % 60 FROM generate_series(1, {people}) n;
         CREATE TABLE cdm.measurement (measurement_id bigint, person_id integer, measurement_concept_id integer,
             measurement_date date, value_as_number numeric, unit_concept_id integer, value_source_value text);
         INSERT INTO cdm.measurement SELECT n, 1 + n % {people}, 3004410 + n % 3, DATE '2010-01-01' + n % 3000, n % 1000 / 4.0,
             8554, 'CANARY' FROM generate_series(1, {rows}) n;
         GRANT SELECT (person_id, gender_concept_id, year_of_birth, ctid) ON cdm.person TO reader;
         GRANT SELECT (measurement_id, person_id, measurement_concept_id, measurement_date, value_as_number, unit_concept_id, ctid)
             ON cdm.measurement TO reader;"
    )
    .expect("writing to a string");
    hospital.execute(&sql).await;
}

/// What is asked of them, and what the server itself says of it.
const COUNTS: (&str, &[&str]) = (
    "SELECT person_id AS subject, count(*) AS n, sum(value_as_number) AS total FROM measurement
     WHERE measurement_date >= DATE '2011-02-03' AND measurement_concept_id <> 3004411 GROUP BY person_id",
    &["n", "total"],
);

async fn counted_there(hospital: &Hospital) -> Vec<String> {
    let rows = hospital
        .admin
        .rows(
            "SELECT count(*), sum(value_as_number)::float8 FROM cdm.measurement
             WHERE measurement_date >= DATE '2011-02-03' AND measurement_concept_id <> 3004411 GROUP BY person_id",
        )
        .await
        .expect("counts");
    let text = |fields: Vec<Option<String>>| {
        let total: f64 = fields[1].as_deref().unwrap_or("0").parse().expect("a number");
        format!("{} {total:?}", fields[0].as_deref().unwrap_or_default())
    };
    let mut counts: Vec<String> = rows.into_iter().map(text).collect();
    counts.sort();
    counts
}

fn dice(seed: u64) -> Dice {
    let mut dice = Dice::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let _warm: u64 = (0..20).map(|_| dice.roll(2)).sum();
    dice
}
