//! The people of a hospital and their names on the ledger.

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

/// Reads and checks the ids of PERSON; ascending.
pub(super) fn people(folder: &Path, nulls: &Nulls, person: &Table) -> Result<Vec<i64>, StoreError> {
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
    checked(people.into_iter(), file)
}

/// The ids, ascending, if everybody has one of their own.
pub(super) fn checked(ids: impl Iterator<Item = Option<i64>>, file: &str) -> Result<Vec<i64>, StoreError> {
    let people: Option<Vec<i64>> = ids.collect();
    let Some(mut people) = people else { return Err(StoreError::NullPerson { file: file.to_string() }) };
    people.sort_unstable();
    if people.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(StoreError::DuplicatePerson { file: file.to_string() });
    }
    Ok(people)
}
