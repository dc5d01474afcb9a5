//! Which tables have a column whose values no two rows share. Queries that join by it are known not to multiply rows.

use std::collections::HashSet;
use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::Int64Type;

use super::error::StoreError;
use super::omop;
use super::parquet;
use super::table::{Source, Table};

/// The position of a vocabulary's key, if it is one in the rows that are there.
pub(super) fn find(folder: &Path, table: &Table) -> Result<Option<usize>, StoreError> {
    let Some(position) = table.columns.iter().position(|column| omop::key(&table.name) == Some(&column.name)) else {
        return Ok(None);
    };
    let mut seen = Seen::default();
    match &table.source {
        Source::Empty => {}
        Source::Memory(batches) => batches.iter().for_each(|batch| seen.take(batch.column(position))),
        Source::Parquet(parts) => parquet::column(folder, parts, &table.columns[position], |array| seen.take(array))?,
    }
    Ok(seen.each_once().then_some(position))
}

#[derive(Default)]
struct Seen {
    numbers: Vec<i64>,
    texts: HashSet<String>,
    refused: bool,
}

impl Seen {
    fn take(&mut self, values: &ArrayRef) {
        self.refused |= values.null_count() > 0;
        if let Some(numbers) = values.as_primitive_opt::<Int64Type>() {
            self.numbers.extend_from_slice(numbers.values());
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
