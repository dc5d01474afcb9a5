//! Runs one study by both engines over one store, and says how their answers stand to each other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use consilium_engine::cohort::{Cohort, CohortError, Limits, run};
use consilium_engine::rerun::SubjectSet;
use consilium_engine::store::{Options, Store, StoreConfig, arrange};
use consilium_protocol::consent::Permissions;
use consilium_protocol::ids::SubjectId;
use consilium_protocol::study::StudySpec;

use super::draw::Study;
use super::server::{Fields, Session};
use super::store::Small;
use super::tree::Type;
use super::{ours, theirs};
use crate::hospital;

/// How the answers stand to each other.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// The same rows, so many.
    Equal(usize),
    /// Refused before anything ran, for this reason.
    Refused(String),
    /// PostgreSQL has several rows of one patient, or rows of nobody: no cohort.
    NoCohort,
    /// The study has one answer, PostgreSQL another.
    Different { ours: Vec<String>, theirs: Vec<String> },
    /// The study failed while it ran.
    Failed(String),
    /// PostgreSQL refused its text: a fault of the generator.
    Misread(String),
}

impl Verdict {
    /// Whether something is wrong.
    pub(super) const fn is_fault(&self) -> bool {
        matches!(self, Self::Different { .. } | Self::Failed(_) | Self::Misread(_))
    }

    /// Whether another verdict is the same kind of fault.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Failed(one), Self::Failed(other)) | (Self::Refused(one), Self::Refused(other)) => one == other,
            (Self::Different { .. }, Self::Different { .. }) => true,
            // PostgreSQL's message has no names in it that shrinking changes.
            (Self::Misread(one), Self::Misread(other)) => {
                one.split_whitespace().take(3).eq(other.split_whitespace().take(3))
            }
            _ => false,
        }
    }
}

/// A store that both engines have.
pub(super) struct Judge<'a> {
    session: &'a Session,
    store: Store,
    /// The same store laid out by patient.
    arranged: Store,
    permissions: Permissions,
    people: BTreeMap<String, SubjectId>,
    _folders: [tempfile::TempDir; 2],
}

/// A field of an answer.
#[derive(Clone, Debug, PartialEq)]
enum Cell {
    Null,
    Number(f64),
    Whole(i64),
    Other(String),
}

impl Cell {
    fn shown(&self, digits: usize) -> String {
        match self {
            Self::Null => "NULL".to_string(),
            Self::Number(value) => format!("{:.digits$e}", value + 0.0),
            Self::Whole(value) => format!("{:.digits$e}", *value as f64),
            Self::Other(text) => text.clone(),
        }
    }

    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Whole(one), Self::Whole(other)) => one == other,
            (Self::Number(one), Self::Number(other)) => {
                let scale = one.abs().max(other.abs()).max(1e-3);
                one == other || (one - other).abs() <= 1e-9 * scale
            }
            (Self::Number(_), Self::Whole(other)) => self.same(&Self::Number(*other as f64)),
            (Self::Whole(_), Self::Number(_)) => other.same(self),
            _ => self == other,
        }
    }
}

/// The study as a hospital gets it.
fn spec(study: &Study) -> StudySpec {
    let mut variables = Vec::new();
    let mut dimensions = String::new();
    for (name, ty) in &study.columns {
        let values = match ty {
            Type::Text => r#"{ value = "a", label = "a" }"#,
            Type::Truth => r#"{ value = true, label = "yes" }, { value = false, label = "no" }"#,
            _ => {
                variables.push(name.as_str());
                continue;
            }
        };
        dimensions += &format!("[[dimension]]\nname = \"{name}\"\nvalues = [{values}]\n");
    }
    hospital::study_with(&ours::text(&study.query), &variables, &dimensions)
}

fn limits(study: &Study) -> Limits {
    let (memory_bytes, rows, time) = (256 << 20, 100_000, Duration::from_secs(20));
    let limits = Limits { memory_bytes, rows, time, threads: study.threads, ..Limits::default() };
    if study.large { hospital::as_on_large_tables(limits) } else { limits }
}

impl<'a> Judge<'a> {
    /// Gives a store to both engines.
    pub(super) async fn over(session: &'a Session, small: &Small) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        small.write(folder.path());
        let config = StoreConfig::of(folder.path().to_path_buf());
        let store = Store::open(&config, &[]).await.expect("a store that opens");
        let by_patient = tempfile::tempdir().expect("a folder");
        let options = Options { patients: small.patients_of_a_bucket, ..Options::default() };
        arrange(&store, by_patient.path(), &options, &mut |_| {}).await.expect("an arranged store");
        let arranged = Store::open(&StoreConfig::of(by_patient.path()), &[]).await;
        let arranged = arranged.expect("an arranged store that opens");
        let link = hospital::link();
        let permissions = small.permissions(&store, &link).await;
        let people = store.subjects(&link).await.expect("subjects");
        let people = people.iter().map(|(person, subject)| (person.to_string(), *subject)).collect();
        session.execute(&small.statements()).await.expect("PostgreSQL takes the store");
        Self { session, store, arranged, permissions, people, _folders: [folder, by_patient] }
    }

    /// The verdict on a study over the store as it is; and over the same rows laid out by patient, where that is no other.
    pub(super) async fn verdict(&self, study: &Study) -> Verdict {
        let plain = self.verdict_over(&self.store, study).await;
        if plain.is_fault() {
            return plain;
        }
        let arranged = self.verdict_over(&self.arranged, study).await;
        if arranged == plain || arranged.is_fault() {
            return arranged;
        }
        Verdict::Failed(format!("arranged: {arranged:?}"))
    }

    async fn verdict_over(&self, store: &Store, study: &Study) -> Verdict {
        let link = hospital::link();
        let ours = run(store, &link, &self.permissions, &spec(study), &limits(study)).await;
        let cohort = match ours {
            Ok(cohort) => cohort,
            // Nobody is helped by a refusal of what is no SQL.
            Err(error) if !error.depends_on_data() => {
                return match self.session.rows(&theirs::text(&study.query)).await {
                    Ok(_) => Verdict::Refused(reason(&error)),
                    Err(error) => Verdict::Misread(error),
                };
            }
            Err(error) => return Verdict::Failed(error.kind().to_string()),
        };
        match self.session.rows(&theirs::text(&study.query)).await {
            Ok(rows) => self.compare(study, &cohort, &rows),
            Err(error) => Verdict::Misread(error),
        }
    }

    fn compare(&self, study: &Study, cohort: &Cohort, theirs: &[Fields]) -> Verdict {
        if !is_cohort(theirs) {
            return Verdict::NoCohort;
        }
        let wanted = |row: &Fields| row[0].as_ref().and_then(|person| self.people.get(person)).copied();
        let wanted: Option<SubjectSet> = theirs.iter().map(wanted).collect();
        let one = sorted(rows_of(cohort));
        let other = sorted(theirs.iter().map(|row| parsed(row, study)).collect());
        let same = |one: &Vec<Cell>, other: &Vec<Cell>| {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.same(other))
        };
        let equal = one.len() == other.len() && one.iter().zip(&other).all(|(one, other)| same(one, other));
        if equal && wanted == Some(cohort.subjects()) {
            return Verdict::Equal(one.len());
        }
        let shown = |rows: &[Vec<Cell>], than: &[Vec<Cell>]| {
            let only = rows.iter().filter(|row| !than.iter().any(|other| same(row, other)));
            only.map(|row| row.iter().map(|cell| format!("{cell:?}")).collect::<Vec<_>>().join(" ")).collect()
        };
        Verdict::Different { ours: shown(&one, &other), theirs: shown(&other, &one) }
    }
}

/// One row a patient, none of nobody.
fn is_cohort(rows: &[Fields]) -> bool {
    let mut met = BTreeSet::new();
    rows.iter().all(|row| row[0].as_ref().is_some_and(|person| met.insert(person.clone())))
}

/// The kind of a refusal, with what it names.
fn reason(error: &CohortError) -> String {
    match error {
        CohortError::Construct { what } | CohortError::AcrossPatients { what } | CohortError::TooLarge { what } => {
            format!("{}: {what}", error.kind())
        }
        CohortError::SeveralRowsPerSubject { part, .. } => format!("{}: {part}", error.kind()),
        CohortError::Function { name, .. } => format!("function: {name}"),
        CohortError::ColumnType { found, needed, .. } => format!("column_type: {found} for {needed}"),
        _ => error.kind().to_string(),
    }
}

fn sorted(mut rows: Vec<Vec<Cell>>) -> Vec<Vec<Cell>> {
    // What rounding may change is cut off first; rows that are then the same may still differ by more than that.
    let shown = |row: &[Cell], digits: usize| row.iter().map(|cell| cell.shown(digits)).collect::<Vec<_>>();
    rows.sort_by_cached_key(|row| [shown(row, 6), shown(row, 12)].concat());
    rows
}

fn parsed(row: &Fields, study: &Study) -> Vec<Cell> {
    let cell = |(field, (_, ty)): (&Option<String>, &(String, Type))| match (field, ty) {
        (None, _) => Cell::Null,
        (Some(text), Type::Int) => text.parse().map_or_else(|_| Cell::Other(text.clone()), Cell::Whole),
        (Some(text), Type::Real) => text.parse().map_or_else(|_| Cell::Other(text.clone()), Cell::Number),
        (Some(text), Type::Truth) => Cell::Other((text == "t").to_string()),
        (Some(text), _) => Cell::Other(text.clone()),
    };
    // In the order in which a cohort has its columns: variables first.
    let mut cells: Vec<(bool, Cell)> = row[1..]
        .iter()
        .zip(&study.columns)
        .map(|pair| (matches!(pair.1.1, Type::Text | Type::Truth), cell(pair)))
        .collect();
    cells.sort_by_key(|(dimension, _)| *dimension);
    cells.into_iter().map(|(_, cell)| cell).collect()
}

fn rows_of(cohort: &Cohort) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    for batch in &cohort.batches {
        for row in 0..batch.num_rows() {
            let cell = |column: &arrow::array::ArrayRef| {
                if column.is_null(row) {
                    return Cell::Null;
                }
                match column.data_type() {
                    DataType::Int64 => Cell::Whole(column.as_primitive::<Int64Type>().value(row)),
                    DataType::Float64 => Cell::Number(column.as_primitive::<Float64Type>().value(row)),
                    DataType::Boolean => Cell::Other(column.as_boolean().value(row).to_string()),
                    _ => Cell::Other(column.as_string::<i32>().value(row).to_string()),
                }
            };
            rows.push(batch.columns().iter().map(cell).collect());
        }
    }
    rows
}
