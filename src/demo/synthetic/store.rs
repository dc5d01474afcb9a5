//! A hospital's tables as Parquet files.

use std::fs;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use tempfile::NamedTempFile;

use super::SyntheticError;
use super::clinical::Patient;
use super::tables::{CONCEPT, PATIENT_TABLES, PatientTable, concept};

/// Rows of a row group: enough to compress well, few enough for several readers at once.
const ROWS_PER_GROUP: usize = 131_072;

/// The files of one store, under temporary names until [`Store::finish`].
///
/// Dropping it unfinished removes them.
pub(super) struct Store {
    folder: PathBuf,
    /// In the order of [`PATIENT_TABLES`].
    files: Vec<TableFile>,
}

struct TableFile {
    table: &'static str,
    writer: ArrowWriter<NamedTempFile>,
}

impl Store {
    /// Opens a file for each table about patients.
    pub(super) fn create(folder: &Path) -> Result<Store, SyntheticError> {
        fs::create_dir_all(folder).map_err(SyntheticError::Folder)?;
        let open =
            |table: &PatientTable| TableFile::create(folder, table.name, &laid_out(table.name, (table.rows)(&[]))?);
        let files = PATIENT_TABLES.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Store { folder: folder.to_owned(), files })
    }

    /// Adds the rows of these patients to every table.
    pub(super) fn append(&mut self, patients: &[Patient]) -> Result<(), SyntheticError> {
        for (file, table) in self.files.iter_mut().zip(&PATIENT_TABLES) {
            file.append(&laid_out(table.name, (table.rows)(patients))?)?;
        }
        Ok(())
    }

    /// Adds the vocabulary, completes all files and only then gives them their names.
    pub(super) fn finish(self) -> Result<(), SyntheticError> {
        let concepts = laid_out(CONCEPT, concept())?;
        let mut vocabulary = TableFile::create(&self.folder, CONCEPT, &concepts)?;
        vocabulary.append(&concepts)?;

        let mut complete = Vec::with_capacity(self.files.len() + 1);
        for file in std::iter::once(vocabulary).chain(self.files) {
            complete.push((file.table, file.complete()?));
        }
        for (table, file) in complete {
            file.persist(self.folder.join(format!("{table}.parquet")))
                .map_err(|refused| SyntheticError::Write { table, source: refused.error })?;
        }
        Ok(())
    }
}

impl TableFile {
    /// Opens the file of a table with the columns of `rows`.
    fn create(folder: &Path, table: &'static str, rows: &RecordBatch) -> Result<TableFile, SyntheticError> {
        let file = tempfile::Builder::new()
            .prefix(&format!(".{table}."))
            .suffix(".partial")
            .tempfile_in(folder)
            .map_err(|source| SyntheticError::Write { table, source })?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_row_count(Some(ROWS_PER_GROUP))
            .build();
        let writer = ArrowWriter::try_new(file, rows.schema(), Some(properties))
            .map_err(|source| SyntheticError::Encode { table, source })?;
        Ok(TableFile { table, writer })
    }

    fn append(&mut self, rows: &RecordBatch) -> Result<(), SyntheticError> {
        self.writer.write(rows).map_err(|source| SyntheticError::Encode { table: self.table, source })
    }

    /// Writes the footer and waits for the disk, so that a name is never given to half a file.
    fn complete(self) -> Result<NamedTempFile, SyntheticError> {
        let table = self.table;
        let file = self.writer.into_inner().map_err(|source| SyntheticError::Encode { table, source })?;
        file.as_file().sync_data().map_err(|source| SyntheticError::Write { table, source })?;
        Ok(file)
    }
}

fn laid_out(table: &'static str, rows: Result<RecordBatch, ArrowError>) -> Result<RecordBatch, SyntheticError> {
    rows.map_err(|source| SyntheticError::Layout { table, source })
}
