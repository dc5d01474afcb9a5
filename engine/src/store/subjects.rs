//! The people of a hospital and their names on the ledger.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use consilium_protocol::ids::SubjectId;

use super::error::StoreError;
use super::parquet;
use super::table::{Role, Source, Table};
use super::text::Nulls;
use crate::pseudonym::LinkSecret;

/// Every person of the PERSON table with their subject, under one link secret.
pub struct Subjects {
    by_subject: Vec<(i64, SubjectId)>,
}

impl Subjects {
    pub(super) fn derive(people: &[i64], link: &LinkSecret) -> Self {
        let mut by_subject: Vec<_> = people.iter().map(|person| (*person, link.subject(*person))).collect();
        by_subject.sort_unstable_by_key(|(_, subject)| *subject);
        Self { by_subject }
    }

    /// Nobody.
    pub(crate) const fn none() -> Self {
        Self { by_subject: Vec::new() }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.by_subject.len()
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.by_subject.is_empty()
    }

    /// Everybody, in ascending order of their subjects, so that the order says nothing about the hospital's numbering.
    pub fn iter(&self) -> std::slice::Iter<'_, (i64, SubjectId)> {
        self.by_subject.iter()
    }

    /// The `person_id` of a subject.
    pub fn person(&self, subject: &SubjectId) -> Option<i64> {
        let position = self.by_subject.binary_search_by_key(subject, |(_, id)| *id).ok()?;
        self.by_subject.get(position).map(|(person, _)| *person)
    }
}

impl fmt::Debug for Subjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} subjects", self.len())
    }
}

/// Reads and checks the ids of PERSON; ascending. `places` says in words where rows are, by their positions.
pub(super) fn people(
    folder: &Path,
    nulls: &Nulls,
    person: &Table,
    places: &dyn Fn(&[usize]) -> String,
) -> Result<Vec<i64>, StoreError> {
    let file = &person.notes.file;
    let Role::Patients { subject, .. } = person.role else { return Err(StoreError::NoPerson) };
    let mut people: Vec<Option<i64>> = Vec::with_capacity(person.rows.unwrap_or_default());
    match &person.source {
        Source::Empty => {}
        Source::Memory(batches) => {
            for batch in batches.iter() {
                people.extend(batch.column(subject).as_primitive::<Int64Type>().iter());
            }
        }
        Source::Parquet(parts) => parquet::column(folder, nulls, person, parts, subject, |ids| {
            people.extend(ids.as_primitive::<Int64Type>().iter());
        })?,
        #[cfg(feature = "postgres")]
        Source::Postgres(_) => return Err(StoreError::NoPerson),
    }
    checked(&people, file, places)
}

/// The ids, ascending, if everybody has one of their own.
pub(super) fn checked(
    ids: &[Option<i64>],
    file: &str,
    places: &dyn Fn(&[usize]) -> String,
) -> Result<Vec<i64>, StoreError> {
    let without: Vec<usize> = ids.iter().enumerate().filter(|(_, id)| id.is_none()).map(|(row, _)| row).collect();
    if !without.is_empty() {
        let (file, rows) = (file.to_string(), without.len() as u64);
        return Err(StoreError::NullPerson { file, rows, places: places(&without) });
    }
    let mut people: Vec<i64> = ids.iter().copied().flatten().collect();
    people.sort_unstable();
    if people.windows(2).all(|pair| pair[0] != pair[1]) {
        return Ok(people);
    }
    let several: HashSet<i64> = people.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    let is_one = |(_, id): &(usize, &Option<i64>)| id.is_some_and(|id| several.contains(&id));
    let rows: Vec<usize> = ids.iter().enumerate().filter(is_one).map(|(row, _)| row).collect();
    let (file, people) = (file.to_string(), several.len() as u64);
    Err(StoreError::DuplicatePerson { file, people, places: places(&rows) })
}
