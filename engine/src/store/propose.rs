//! A draft of what a table could be in a consortium's catalogue, made of one hospital's file.

use std::path::Path;

use arrow::datatypes::DataType;
use consilium_protocol::catalogue::{ColumnKind, is_name};

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
    let folder = path.parent().unwrap_or(Path::new(""));
    let found = folder::single(path)?;
    let kinds = match found.format {
        Format::Parquet => of_parquet(folder, &found)?,
        Format::Csv { .. } => of_csv(folder, &found)?,
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
fn of_csv(folder: &Path, found: &Found) -> Result<Vec<(String, Option<ColumnKind>)>, StoreError> {
    const BY_STRICTNESS: [(Kind, ColumnKind); 4] = [
        (Kind::Integer, ColumnKind::Integer),
        (Kind::Number, ColumnKind::Number),
        (Kind::Date, ColumnKind::Date),
        (Kind::Moment, ColumnKind::Datetime),
    ];
    let nulls = Nulls::default();
    let mut possible: Vec<(String, Vec<(Reading, ColumnKind)>)> = Vec::new();
    for part in &found.parts {
        let file = Csv::open(folder, part, found.format)?;
        // Without a header line these would be a patient's values.
        let no_header = || StoreError::NoHeader { file: folder::shown(&part.path) };
        if file.names.iter().any(|name| is_value(name)) {
            return Err(no_header());
        }
        let mut alike: Vec<Alike> = file.names.iter().map(|name| Alike::of(name)).collect();
        if possible.is_empty() {
            let reading = |(kind, of): (Kind, ColumnKind)| (Reading::new(&Column::of_omop(&("", kind))), of);
            let all = || BY_STRICTNESS.into_iter().map(reading).collect();
            possible = file.names.iter().map(|name| (name.clone(), all())).collect();
        }
        let mut rows = 0usize;
        file.rows(|_, record| {
            rows += 1;
            alike.iter_mut().zip(record).for_each(|(alike, field)| alike.take(field));
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
        if alike.iter().any(Alike::is_value) {
            return Err(no_header());
        }
    }
    Ok(possible.into_iter().map(|(name, readings)| (name, readings.first().map(|(_, kind)| *kind))).collect())
}

/// Whether a name is a number, a day, or digits with signs between them, as days are in many ways.
fn is_value(name: &str) -> bool {
    let is_digits = name.contains(|c: char| c.is_ascii_digit()) && !name.contains(|c: char| c.is_alphabetic());
    is_digits || text::number(name).is_some() || text::day(name).is_some()
}

/// What a name has in common with what stands below it.
struct Alike {
    name: String,
    /// The name's letters and digits, whichever they are; none where it has no digits.
    shape: Option<String>,
    values: usize,
    of_its_shape: usize,
    recurs: bool,
}

impl Alike {
    fn of(name: &str) -> Self {
        let shape = name.contains(|c: char| c.is_ascii_digit()).then(|| shape(name));
        Self { name: name.to_string(), shape, values: 0, of_its_shape: 0, recurs: false }
    }

    fn take(&mut self, field: &[u8]) {
        let field = String::from_utf8_lossy(field).trim().to_lowercase();
        if field.is_empty() || self.name.is_empty() {
            return;
        }
        self.values += 1;
        self.recurs |= field == self.name;
        self.of_its_shape += usize::from(self.shape.as_ref().is_some_and(|of_name| *of_name == shape(&field)));
    }

    /// Whether the name is a value, too: it stands again below, or all that stands below looks as it does, such as `P0017`.
    const fn is_value(&self) -> bool {
        self.recurs || (self.values > 0 && self.of_its_shape == self.values)
    }
}

fn shape(text: &str) -> String {
    let of = |c: char| match c {
        c if c.is_ascii_digit() => '9',
        c if c.is_alphabetic() => 'a',
        c => c,
    };
    text.chars().map(of).collect()
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
        for headerless in [
            "1;CANARY;M\n2;CANARY;F\n",
            "CANARY;2020-01-01\n",
            "P0001;CANARY;01.02.1960;x\nP0002;y;02.02.1960;z\n",
            "P0001;CANARY\nP0002;y\nP0003;z\n",
            "ALPHA;II\nBETA;I\nGAMMA;II\n",
        ] {
            std::fs::write(&file, headerless).expect("written");
            assert!(matches!(propose(&file), Err(StoreError::NoHeader { .. })), "{headerless}");
        }
        assert!(matches!(propose(&folder.path().join("gone.csv")), Err(StoreError::Unreadable { .. })));
    }
}
