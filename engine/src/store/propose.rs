//! A draft of what a table could be in a consortium's catalogue, made of one hospital's file.

use std::path::Path;

use arrow::datatypes::DataType;
use consilium_protocol::catalogue::{ColumnKind, is_name};

use super::config::StoreConfig;
use super::csv::{Csv, Reading};
use super::error::StoreError;
use super::folder::{self, Format, Found};
use super::kind::Kind;
use super::parquet;
use super::table::Column;
use super::text::{self, Nulls};

/// A column of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProposedColumn {
    /// Its name, as a catalogue can have it.
    pub name: String,
    /// What it seems to hold; `None` for texts, and for what no study can read.
    pub kind: Option<ColumnKind>,
}

/// The columns of a file or folder of files, with what they seem to hold. No value is kept or shown.
///
/// # Errors
/// [`StoreError`] when it is no CSV or Parquet file, or cannot be read.
pub fn propose(path: &Path) -> Result<Vec<ProposedColumn>, StoreError> {
    let config = StoreConfig::of(path.parent().unwrap_or(Path::new("")));
    let found = folder::single(path)?;
    let kinds = match found.format {
        Format::Parquet => of_parquet(&config.folder, &found)?,
        Format::Csv { .. } => of_csv(&config, &found)?,
    };
    // A column without a name, as some programs number rows, is none.
    let named = kinds.into_iter().filter(|(name, _)| !name.is_empty());
    Ok(named.map(|(name, kind)| ProposedColumn { name: as_name(&name), kind }).collect())
}

/// A column's name with other characters than a catalogue's replaced.
pub fn as_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let name: String = name.chars().map(plain).take(64).collect();
    if is_name(&name) { name } else { format!("c_{name}").chars().take(64).collect() }
}

fn of_parquet(folder: &Path, found: &Found) -> Result<Vec<(String, Option<ColumnKind>)>, StoreError> {
    let layouts = parquet::layouts(folder, found)?;
    let Some(first) = layouts.first() else { return Ok(Vec::new()) };
    let kind = |found: &DataType| match found {
        found if found.is_integer() => Some(ColumnKind::Integer),
        found if found.is_numeric() => Some(ColumnKind::Number),
        DataType::Date32 | DataType::Date64 => Some(ColumnKind::Date),
        DataType::Timestamp(..) => Some(ColumnKind::Datetime),
        DataType::Boolean => Some(ColumnKind::Boolean),
        _ => None,
    };
    Ok(first.columns().map(|(name, found)| (name.to_string(), kind(found))).collect())
}

/// By all of its fields: the strictest that each of them is.
fn of_csv(config: &StoreConfig, found: &Found) -> Result<Vec<(String, Option<ColumnKind>)>, StoreError> {
    const BY_STRICTNESS: [(Kind, ColumnKind); 4] = [
        (Kind::Integer, ColumnKind::Integer),
        (Kind::Number, ColumnKind::Number),
        (Kind::Date, ColumnKind::Date),
        (Kind::Moment, ColumnKind::Datetime),
    ];
    let nulls = Nulls::default();
    let mut possible: Vec<(String, Vec<(Reading, ColumnKind)>)> = Vec::new();
    for part in &found.parts {
        let file = Csv::open(&config.folder, part, found.format)?;
        // Without a header line these would be a patient's values.
        let is_value = |name: &String| text::number(name).is_some() || text::day(name).is_some();
        if file.names.iter().any(is_value) {
            return Err(StoreError::NoHeader { file: folder::shown(&part.path) });
        }
        if possible.is_empty() {
            let reading = |(kind, of): (Kind, ColumnKind)| (Reading::new(&Column::of_omop(&("", kind)), true), of);
            let all = || BY_STRICTNESS.into_iter().map(reading).collect();
            possible = file.names.iter().map(|name| (name.clone(), all())).collect();
        }
        let mut rows = 0usize;
        file.rows(|_, record| {
            rows += 1;
            for ((_, readings), field) in possible.iter_mut().zip(record) {
                readings.retain_mut(|(reading, _)| {
                    reading.take(field, (0, 0), &nulls);
                    if rows.is_multiple_of(super::csv::BATCH_ROWS) {
                        reading.end_batch();
                        reading.arrays.clear();
                    }
                    reading.bad.count == 0
                });
            }
        })?;
    }
    Ok(possible.into_iter().map(|(name, readings)| (name, readings.first().map(|(_, kind)| *kind))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_seems_to_hold_is_said_without_a_value() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("Lab Results.csv");
        let text = "PatNr;Taken on;Score;1st;Word;Both\n1;2020-01-01;2.5;7;CANARY;1\n2;2020-01-02 10:00;NA;;x;y\n";
        std::fs::write(&file, text).expect("written");
        let proposed = propose(&file).expect("columns");
        let found: Vec<_> = proposed.iter().map(|column| (column.name.as_str(), column.kind)).collect();
        use ColumnKind::{Date, Integer, Number};
        let expected = [
            ("patnr", Some(Integer)),
            ("taken_on", Some(Date)),
            ("score", Some(Number)),
            ("c_1st", Some(Integer)),
            ("word", None),
            ("both", None),
        ];
        assert_eq!(found, expected);
        for headerless in ["1;CANARY;M\n2;CANARY;F\n", "CANARY;2020-01-01\n"] {
            std::fs::write(&file, headerless).expect("written");
            assert!(matches!(propose(&file), Err(StoreError::NoHeader { .. })), "{headerless}");
        }
        assert!(matches!(propose(&folder.path().join("gone.csv")), Err(StoreError::Unreadable { .. })));
    }
}
