//! Which tables have a column whose values no two rows share. Queries that join by it are known not to multiply rows.

use std::collections::HashSet;
use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::Int64Type;

use super::error::StoreError;
use super::omop;
use super::parquet;
use super::table::{Role, Source, Table};
use super::text::Nulls;

/// The position of a table's key, if it is one in the rows that are there. PERSON's is checked with its people.
///
/// # Errors
/// When a table that promises one row a patient (`single`) has several.
pub(super) fn find(folder: &Path, nulls: &Nulls, table: &Table, single: bool) -> Result<Option<usize>, StoreError> {
    match table.role {
        Role::Patients { subject, .. } if table.name == "person" => Ok(Some(subject)),
        Role::Patients { subject, .. } if single => {
            let mut seen = Seen { takes_null: true, ..Seen::default() };
            read(folder, nulls, table, subject, &mut seen)?;
            if seen.each_once() {
                return Ok(Some(subject));
            }
            Err(StoreError::NotSingle { table: table.name.clone(), file: table.notes.file.clone() })
        }
        // No other table of patients promises a row each: OMOP means `death` to, and hospitals have more.
        Role::Patients { .. } => Ok(None),
        Role::Vocabulary => {
            let key = omop::key(&table.name);
            let Some(key) = table.columns.iter().position(|column| key == Some(&column.name)) else { return Ok(None) };
            let mut seen = Seen::default();
            read(folder, nulls, table, key, &mut seen)?;
            Ok(seen.each_once().then_some(key))
        }
    }
}

fn read(folder: &Path, nulls: &Nulls, table: &Table, column: usize, seen: &mut Seen) -> Result<(), StoreError> {
    match &table.source {
        Source::Empty => {}
        Source::Memory(batches) => batches.iter().for_each(|batch| seen.take(batch.column(column))),
        // Several files with one value each: it is no key.
        Source::Parquet(_) if column >= table.columns.len() - table.given => seen.refused = true,
        Source::Parquet(parts) => parquet::column(folder, nulls, table, parts, column, |array| seen.take(array))?,
        // The server says so itself.
        #[cfg(feature = "postgres")]
        Source::Postgres(_) => seen.refused = true,
    }
    Ok(())
}

#[derive(Default)]
struct Seen {
    numbers: Vec<i64>,
    texts: HashSet<String>,
    refused: bool,
    /// Rows of nobody are not seen by any query.
    takes_null: bool,
}

impl Seen {
    fn take(&mut self, values: &ArrayRef) {
        self.refused |= values.null_count() > 0 && !self.takes_null;
        if let Some(numbers) = values.as_primitive_opt::<Int64Type>() {
            self.numbers.extend(numbers.iter().flatten());
        } else if let Some(texts) = values.as_string_opt::<i32>() {
            for text in texts.iter().flatten() {
                self.refused |= !self.texts.insert(text.to_string());
            }
        } else {
            self.refused = true;
        }
    }

    fn each_once(mut self) -> bool {
        self.numbers.sort_unstable();
        !self.refused && self.numbers.windows(2).all(|pair| pair[0] != pair[1])
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};

    use super::*;

    #[test]
    fn a_key_has_each_value_once_and_no_null() {
        let once = |arrays: Vec<ArrayRef>| {
            let mut seen = Seen::default();
            arrays.iter().for_each(|array| seen.take(array));
            seen.each_once()
        };
        let numbers = |values: Vec<Option<i64>>| Arc::new(Int64Array::from(values)) as ArrayRef;
        let texts = |values: Vec<Option<&str>>| Arc::new(StringArray::from(values)) as ArrayRef;
        assert!(once(vec![]));
        assert!(once(vec![numbers(vec![Some(3), Some(1)]), numbers(vec![Some(2)])]));
        assert!(!once(vec![numbers(vec![Some(3), Some(1)]), numbers(vec![Some(3)])]));
        assert!(!once(vec![numbers(vec![Some(3), None])]));
        assert!(once(vec![texts(vec![Some("a"), Some("b")])]));
        assert!(!once(vec![texts(vec![Some("a")]), texts(vec![Some("a")])]));
        assert!(!once(vec![texts(vec![None])]));
    }
}
