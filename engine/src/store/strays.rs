//! Rows that no study sees, whatever anybody consents to, and records with one number.

use arrow::array::{Array as _, AsArray};
use arrow::datatypes::Int64Type;
use datafusion::common::Result;
use datafusion::physical_plan::execute_stream;
use futures::StreamExt as _;

use super::arranged::LeftOut;
use super::kind::Kind;
use super::scan::Reader;
use super::table::{Role, Source, Table};

/// The records of larger tables are not held against each other: their numbers would all be in memory at once.
const MOST_RECORDS: usize = 20_000_000;

/// What was found in a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Strays {
    pub(super) unseen: LeftOut,
    /// How many numbers of records several rows have, where that was looked at.
    pub(super) repeated: Option<u64>,
}

/// Looks for them in a table of patients; `None` of a vocabulary, of PERSON, and of a database, which is not read for this.
pub(super) async fn find(reader: &Reader, table: &Table, people: &[i64]) -> Option<Strays> {
    #[cfg(feature = "postgres")]
    if matches!(table.source, Source::Postgres(_)) {
        return None;
    }
    if matches!(table.source, Source::Empty) || table.name == "person" {
        return None;
    }
    let Role::Patients { subject, .. } = table.role else { return None };
    read(reader, table, subject, people).await.ok()
}

async fn read(reader: &Reader, table: &Table, subject: usize, people: &[i64]) -> Result<Strays> {
    let number = format!("{}_id", table.name);
    let is_small = table.rows.is_some_and(|rows| rows <= MOST_RECORDS);
    let number = table.columns.iter().position(|column| column.kind == Kind::Key && column.name == number);
    let number = number.filter(|_| is_small);
    let mut columns: Vec<usize> = std::iter::once(subject).chain(number).collect();
    columns.sort_unstable();
    let at = |column: usize| columns.iter().position(|of| *of == column);
    let (subject, number) = (at(subject).unwrap_or_default(), number.and_then(at));
    let plan = reader.plan(table, columns.clone(), None, 1)?;
    let mut rows = execute_stream(plan, reader.context(8_192))?;
    let (mut unseen, mut numbers) = (LeftOut::default(), Vec::new());
    // Rows of one patient often follow each other.
    let mut last = None;
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        let subjects = batch.column(subject).as_primitive::<Int64Type>();
        unseen.nobodys += subjects.null_count() as u64;
        for person in subjects.iter().flatten() {
            if last != Some(person) && people.binary_search(&person).is_err() {
                unseen.strangers += 1;
            } else {
                last = Some(person);
            }
        }
        if let Some(number) = number {
            numbers.extend(batch.column(number).as_primitive::<Int64Type>().iter().flatten());
        }
    }
    Ok(Strays { unseen, repeated: number.map(|_| repeated(numbers)) })
}

fn repeated(mut numbers: Vec<i64>) -> u64 {
    numbers.sort_unstable();
    numbers.chunk_by(|one, other| one == other).filter(|same| same.len() > 1).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_several_rows_have_counts_once() {
        assert_eq!(repeated(vec![3, 1, 3, 2, 3, 1]), 2);
        assert_eq!(repeated(Vec::new()), 0);
    }
}
