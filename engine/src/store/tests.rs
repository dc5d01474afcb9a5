//! Values that are not what their column holds: in every column of every table, and never in a message.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::record_batch::RecordBatch;
use datafusion::parquet::arrow::ArrowWriter;

use super::kind::Kind;
use super::omop::{self, Definition};
use super::{Store, StoreConfig, StoreError};

const ROWS: usize = 600;
/// So many rows have a bad value, from the first on.
const BAD: usize = 500;

/// A value that a column may hold; its own in each row of a subject or key.
fn good(kind: Kind, row: usize) -> String {
    match kind {
        Kind::Subject | Kind::Key => (row + 1).to_string(),
        Kind::Code | Kind::Integer => (1_900 + row % 7).to_string(),
        Kind::Number => format!("{}.25", row % 9),
        Kind::Date => format!("2020-01-{:02}", 1 + row % 28),
        Kind::Moment => format!("2020-01-{:02} 0:00:00", 1 + row % 28),
        Kind::Text => format!("text {row}"),
        Kind::Truth => "true".to_string(),
    }
}

/// A table's file, with bad values in one column.
struct Export {
    columns: Vec<(String, Vec<String>)>,
}

impl Export {
    fn of(definition: &Definition, bad: Option<&str>) -> Self {
        let values = |name: &str, kind: Kind| -> Vec<String> {
            let value = |row: usize| match bad {
                Some(bad) if bad == name && row < BAD => format!("CANARY{row}"),
                _ => good(kind, row),
            };
            (0..ROWS).map(value).collect()
        };
        let columns = definition.columns.iter().map(|(name, kind)| ((*name).to_string(), values(name, *kind)));
        Self { columns: columns.collect() }
    }

    fn csv(&self, folder: &Path, table: &str) {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
        let mut text = names.join(",") + "\n";
        for row in 0..ROWS {
            let fields: Vec<&str> = self.columns.iter().map(|(_, values)| values[row].as_str()).collect();
            writeln!(text, "{}", fields.join(",")).expect("writing to a string");
        }
        fs::write(folder.join(format!("{table}.csv")), text).expect("written");
    }

    fn parquet(&self, folder: &Path, table: &str) {
        let array = |values: &Vec<String>| Arc::new(StringArray::from(values.clone())) as ArrayRef;
        let batch = RecordBatch::try_from_iter(self.columns.iter().map(|(name, values)| (name, array(values))));
        let batch = batch.expect("columns of one length");
        let file = File::create(folder.join(format!("{table}.parquet"))).expect("a file");
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).expect("a writer");
        writer.write(&batch).expect("written");
        writer.close().expect("closed");
    }
}

fn open(folder: &Path) -> Result<Store, StoreError> {
    Store::open_now(super::Which::All, folder, &StoreConfig::of(folder), &[])
}

#[test]
fn bad_values_close_their_column_alone_and_stand_in_no_message() {
    let mut lost = 0;
    for definition in omop::TABLES {
        let table = definition.name;
        for (bad, kind) in definition.columns.iter().filter(|(_, kind)| *kind != Kind::Text) {
            for parquet in [false, true] {
                let (folder, export) = (tempfile::tempdir().expect("a folder"), Export::of(definition, Some(bad)));
                fs::write(folder.path().join("PERSON.csv"), "person_id\n1\n2\n").expect("written");
                if table == "person" {
                    fs::remove_file(folder.path().join("PERSON.csv")).expect("removed");
                }
                match parquet {
                    true => export.parquet(folder.path(), table),
                    false => export.csv(folder.path(), table),
                }
                let which = format!("{table}.{bad} {}", if parquet { "parquet" } else { "csv" });
                let first = definition.columns[0].0 == *bad && definition.domains.is_empty();
                let opened = open(folder.path());
                if table == "person" && *kind == Kind::Subject {
                    let error = opened.expect_err("no store without people");
                    assert!(matches!(&error, StoreError::Column { column, .. } if column == bad), "{which}: {error}");
                    assert!(!error.to_string().contains("CANARY"), "{which}: {error}");
                    continue;
                }
                let summary = opened.unwrap_or_else(|error| panic!("{which}: {error}")).summary();
                assert!(!format!("{summary:?}").contains("CANARY"), "{which}: {summary:?}");
                if *kind == Kind::Subject || first {
                    let [closed] = &summary.unreadable[..] else { panic!("{which}: {summary:?}") };
                    assert_eq!((closed.name.as_str(), closed.kind), (table, "column"), "{which}");
                    assert!(closed.reason.contains("500 values are not a whole number"), "{which}: {}", closed.reason);
                    continue;
                }
                lost += 1;
                let found = summary.tables.iter().find(|found| found.name == table).expect("the table");
                let [unreadable] = &found.unreadable[..] else { panic!("{which}: {:?}", found.unreadable) };
                let places = if parquet { "(rows 1, 2, 3, 4, 5 and more)" } else { "(lines 2, 3, 4, 5, 6 and more)" };
                let what = format!("500 values are not {} {places}", kind.words());
                assert_eq!((unreadable.name.as_str(), &unreadable.what), (*bad, &what), "{which}");
                assert_eq!((found.readable.len(), found.rows), (definition.columns.len() - 1, Some(ROWS)), "{which}");
                assert!(!found.readable.iter().any(|column| column == bad), "{which}");
                assert_eq!(
                    found.day_unsaid,
                    definition.date == Some(bad),
                    "{which}: rows without their day are not undated"
                );
            }
        }
    }
    assert!(lost > 350, "{lost} columns were tried");
}

#[test]
fn good_values_of_every_column_are_read_from_texts() {
    for parquet in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        for definition in omop::TABLES {
            match parquet {
                true => Export::of(definition, None).parquet(folder.path(), definition.name),
                false => Export::of(definition, None).csv(folder.path(), definition.name),
            }
        }
        let summary = open(folder.path()).expect("an open store").summary();
        assert_eq!((&summary.unreadable[..], summary.tables.len()), (&[][..], omop::TABLES.len()));
        for table in &summary.tables {
            let definition = omop::definition(&table.name).expect("a table");
            let columns: Vec<&str> = definition.columns.iter().map(|(name, _)| *name).collect();
            assert_eq!(
                (&table.readable, &table.unreadable[..]),
                (&columns.iter().map(ToString::to_string).collect(), &[][..])
            );
        }
    }
}
