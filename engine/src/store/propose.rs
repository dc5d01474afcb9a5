//! A draft of what a table could be in a consortium's catalogue, made of one hospital's file.

use std::path::Path;

use arrow::datatypes::DataType;
use consilium_protocol::catalogue::{ColumnKind, is_name};

use super::csv::{Csv, Reading};
use super::error::StoreError;
use super::folder::{self, Format, Found, Part};
use super::kind::Kind;
use super::names;
use super::parquet;
use super::table::Column;
use super::text::{self, Nulls};

/// A column of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProposedColumn {
    /// Its name, as a catalogue can have it; no two columns have one.
    pub name: String,
    /// Its name in the file, in lower case.
    pub called: String,
    /// What it seems to hold; `None` for texts, and for what no study can read.
    pub kind: Option<ColumnKind>,
    /// Whether it has numbers that begin with a zero, as codes do, and so is one of texts.
    pub is_of_codes: bool,
}

impl ProposedColumn {
    /// Whether the file calls it so, whatever the capitals.
    pub fn is_called(&self, name: &str) -> bool {
        self.called == names::plain(name)
    }
}

/// The columns of a file or folder of files, with what they seem to hold. No value is kept or shown.
///
/// # Errors
/// [`StoreError`] when it is no CSV or Parquet file, cannot be read, or is a folder with files of several tables.
pub fn propose(path: &Path) -> Result<Vec<ProposedColumn>, StoreError> {
    // `.` and `..` have no name of their own.
    let whole = path.file_name().is_none().then(|| path.canonicalize().ok()).flatten();
    let path = whole.as_deref().unwrap_or(path);
    let folder = folder::above(path);
    let found = folder::single(path)?;
    let columns = match found.format {
        Format::Parquet => of_parquet(folder, &found)?,
        Format::Csv { .. } => of_csv(folder, &found)?,
    };
    let mut proposed: Vec<ProposedColumn> = Vec::new();
    // A column without a name, as some programs number rows, is none.
    for Guess { called, kind, is_of_codes } in columns.into_iter().filter(|column| !column.called.is_empty()) {
        let plain = as_name(&called);
        let is_taken = |name: &String| proposed.iter().any(|column| column.name == *name);
        let numbered = (2..).map(|number| format!("{}_{number}", plain.chars().take(58).collect::<String>()));
        let name = std::iter::once(plain.clone()).chain(numbered).find(|name| !is_taken(name)).unwrap_or(plain);
        proposed.push(ProposedColumn { name, called, kind, is_of_codes });
    }
    Ok(proposed)
}

/// What a column of the file seems to be.
struct Guess {
    called: String,
    kind: Option<ColumnKind>,
    is_of_codes: bool,
}

/// A column's name with other characters than a catalogue's replaced.
pub fn as_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let name: String = name.chars().map(plain).take(64).collect();
    if is_name(&name) { name } else { format!("c_{name}").chars().take(64).collect() }
}

fn of_parquet(folder: &Path, found: &Found) -> Result<Vec<Guess>, StoreError> {
    let layouts = parquet::layouts(folder, found)?;
    let Some(first) = layouts.first() else { return Ok(Vec::new()) };
    for (part, layout) in found.parts.iter().zip(&layouts) {
        are_alike(found, (&found.parts[0], part), (first.names(), layout.names()))?;
    }
    let kind = |found: &DataType| match found {
        found if found.is_integer() => Some(ColumnKind::Integer),
        found if found.is_numeric() => Some(ColumnKind::Number),
        DataType::Date32 | DataType::Date64 => Some(ColumnKind::Date),
        DataType::Timestamp(..) => Some(ColumnKind::Datetime),
        DataType::Boolean => Some(ColumnKind::Boolean),
        _ => None,
    };
    let guess =
        |(name, found): (&str, &DataType)| Guess { called: name.to_string(), kind: kind(found), is_of_codes: false };
    Ok(first.columns().map(guess).collect())
}

/// Refuses two files that are of different tables: their columns are others.
fn are_alike(found: &Found, (one, other): (&Part, &Part), names: (&[String], &[String])) -> Result<(), StoreError> {
    let sorted = |names: &[String]| {
        let mut names = names.to_vec();
        names.sort_unstable();
        names
    };
    if sorted(names.0) == sorted(names.1) {
        return Ok(());
    }
    let (one, other) = (folder::shown(&one.path), folder::shown(&other.path));
    Err(StoreError::Several { folder: found.shown.clone(), one, other })
}

/// What a column may still turn out to hold, the strictest first.
struct Candidates {
    called: String,
    kinds: Vec<(Reading, ColumnKind)>,
    is_of_codes: bool,
}

impl Candidates {
    fn of(called: &str) -> Self {
        let by_strictness = [
            (Kind::Integer, ColumnKind::Integer),
            (Kind::Number, ColumnKind::Number),
            (Kind::Date, ColumnKind::Date),
            (Kind::Moment, ColumnKind::Datetime),
            (Kind::Truth, ColumnKind::Boolean),
        ];
        let reading = |(kind, of)| (Reading::new(&Column::of_omop(&("", kind))), of);
        Self { called: called.to_string(), kinds: by_strictness.map(reading).into(), is_of_codes: false }
    }

    fn take(&mut self, field: &[u8], nulls: &Nulls, ends_batch: bool) {
        let text = text::bare(std::str::from_utf8(field).unwrap_or_default());
        self.is_of_codes |= is_code(text);
        self.kinds.retain_mut(|(reading, kind)| {
            reading.take(field, (0, 0), nulls);
            if ends_batch {
                reading.end_batch();
                reading.arrays.clear();
            }
            reading.bad.count == 0 && is_of(text, *kind)
        });
    }

    fn guess(self) -> Guess {
        let kind = self.kinds.first().map(|(_, kind)| *kind);
        Guess { called: self.called, kind, is_of_codes: self.is_of_codes && kind.is_none() }
    }
}

/// Whether a field that can be read as a kind is one that looks like it, too.
fn is_of(text: &str, kind: ColumnKind) -> bool {
    match kind {
        ColumnKind::Integer | ColumnKind::Number => !is_code(text),
        // The time of day would be lost.
        ColumnKind::Date => text::moment(text).is_none_or(|moment| moment.rem_euclid(text::DAY_US) == 0),
        ColumnKind::Boolean => !["0", "1"].contains(&text),
        _ => true,
    }
}

/// Whether a text is digits with a zero in front, which a number would lose.
fn is_code(text: &str) -> bool {
    text.len() > 1 && text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// By all of its fields: the strictest that each of them is.
fn of_csv(folder: &Path, found: &Found) -> Result<Vec<Guess>, StoreError> {
    let nulls = Nulls::default();
    let mut first: Vec<String> = Vec::new();
    let mut possible: Vec<Candidates> = Vec::new();
    for part in &found.parts {
        let file = Csv::open(folder, part, found.format)?;
        // Without a header line these would be a patient's values.
        let no_header = || StoreError::NoHeader { file: folder::shown(&part.path) };
        if file.names.iter().any(|name| is_value(name)) {
            return Err(no_header());
        }
        let mut alike: Vec<Alike> = file.names.iter().map(|name| Alike::of(name)).collect();
        if possible.is_empty() {
            first.clone_from(&file.names);
            possible = file.names.iter().map(|name| Candidates::of(name)).collect();
        }
        are_alike(found, (&found.parts[0], part), (&first, &file.names))?;
        // The parts have the same columns, in whatever order.
        let place = |name: &String| file.names.iter().position(|of| of == name).unwrap_or_default();
        let same_order = first == file.names;
        let places: Vec<usize> =
            first.iter().enumerate().map(|(at, name)| if same_order { at } else { place(name) }).collect();
        let mut rows = 0usize;
        file.rows(|_, record| {
            rows += 1;
            let ends_batch = rows.is_multiple_of(super::csv::BATCH_ROWS);
            alike.iter_mut().zip(record).for_each(|(alike, field)| alike.take(field));
            for (column, at) in possible.iter_mut().zip(&places) {
                column.take(record.get(*at).unwrap_or_default(), &nulls, ends_batch);
            }
        })?;
        if alike.iter().any(Alike::is_value) {
            return Err(no_header());
        }
    }
    Ok(possible.into_iter().map(Candidates::guess).collect())
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
        use ColumnKind::{Datetime, Integer, Number};
        let expected = [
            ("patnr", Some(Integer)),
            ("taken_on", Some(Datetime)),
            ("score", Some(Number)),
            ("c_1st", Some(Integer)),
            ("word", None),
            ("both", None),
        ];
        assert_eq!(kinds(&file), expected.map(|(name, kind)| (name.to_string(), kind)));
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
        assert!(matches!(propose(&folder.path().join("gone.csv")), Err(StoreError::Missing { .. })));
    }

    fn kinds(file: &Path) -> Vec<(String, Option<ColumnKind>)> {
        propose(file).expect("columns").into_iter().map(|column| (column.name, column.kind)).collect()
    }

    #[test]
    fn times_of_day_truth_values_and_codes_are_told_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("x.csv");
        let of = |values: [&str; 3]| {
            std::fs::write(&file, format!("v\n{}\n", values.join("\n"))).expect("written");
            let column = propose(&file).expect("columns").remove(0);
            (column.kind, column.is_of_codes)
        };
        use ColumnKind::{Boolean, Date, Datetime, Integer};
        assert_eq!(of(["2020-01-01 10:00:05", "NA", "2020-01-02"]), (Some(Datetime), false));
        assert_eq!(of(["2020-01-01 00:00:00", "2020-01-02", "1969-12-31"]), (Some(Date), false));
        assert_eq!(of(["true", "", "FALSE"]), (Some(Boolean), false));
        assert_eq!(of(["t", "F", "NA"]), (Some(Boolean), false));
        assert_eq!(of(["yes", "no", "yes"]), (Some(Boolean), false));
        assert_eq!(of(["yes", "1", "no"]), (None, false));
        assert_eq!(of(["0", "1", "1"]), (Some(Integer), false));
        assert_eq!(of(["01234", "5", ""]), (None, true));
        assert_eq!(of(["0", "10", "-5"]), (Some(Integer), false));
    }

    #[test]
    fn names_that_become_one_are_numbered_and_said_as_the_file_has_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("x.csv");
        std::fs::write(&file, "Größe,gr__e,Gr--e\n7,8,9\n").expect("written");
        let columns = propose(&file).expect("columns");
        let found: Vec<_> = columns.iter().map(|column| (column.name.as_str(), column.called.as_str())).collect();
        assert_eq!(found, [("gr__e", "größe"), ("gr__e_2", "gr__e"), ("gr__e_3", "gr--e")]);
        assert!(columns[1].is_called("GR__E") && !columns[0].is_called("gr__e"));
    }

    #[test]
    fn a_folder_has_the_files_of_one_table() {
        let folder = tempfile::tempdir().expect("a folder");
        let of = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
        assert!(matches!(propose(folder.path()), Err(StoreError::NoFiles { .. })));
        of("a.csv", "x,y\n1,2.5\n");
        of("b.csv", "y,x\n3,4\n");
        let expected = [("x", ColumnKind::Integer), ("y", ColumnKind::Number)];
        assert_eq!(kinds(folder.path()), expected.map(|(name, kind)| (name.to_string(), Some(kind))));
        let within = folder.path().join("within");
        std::fs::create_dir(&within).expect("a folder");
        assert!(matches!(propose(&within.join("..")), Err(StoreError::NoPart { .. })), "it is this folder");
        std::fs::remove_dir(&within).expect("an empty folder");
        of("c.csv", "x,z\n1,2\n");
        assert!(matches!(propose(folder.path()), Err(StoreError::Several { .. })));
        assert_eq!(folder::above(Path::new("tum2")), Path::new("."));
    }
}
