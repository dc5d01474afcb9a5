//! CSV files, read whole into memory and typed by the table's definition.
//!
//! Fields are first read as text and then converted column by column, so that a bad field is found by its place and
//! never quoted. Comma, semicolon and tab separate; in tab-separated files (Athena's vocabularies) quotes mean nothing.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use arrow::array::TimestampMicrosecondArray;
use arrow::array::{ArrayRef, AsArray, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray};
use arrow::compute::kernels::cast_utils::Parser;
use arrow::csv::ReaderBuilder;
use arrow::csv::reader::Format;
use arrow::datatypes::{DataType, Field, Schema, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use consilium_protocol::ids::Date;

use super::config::StoreConfig;
use super::error::StoreError;
use super::folder::{shown, unreadable};
use super::kind::Kind;
use super::layout::lay_out;
use super::table::{Source, Table};

const BATCH_ROWS: usize = 8_192;

/// Reads a table.
pub(super) fn read(name: &str, folder: &Path, path: &Path, config: &StoreConfig) -> Result<Table, StoreError> {
    let csv = Csv::open(folder, path)?;
    let declared = config.tables.contains_key(name);
    let kinds = if declared { csv.find_kinds()? } else { vec![None; csv.header.len()] };
    let types: Vec<(String, Option<Kind>)> = csv.header.iter().cloned().zip(kinds).collect();
    let layout = lay_out(name, &csv.file, &types, config)?;
    let mut table = Table {
        name: name.to_string(),
        role: layout.role,
        columns: layout.columns,
        withheld: layout.withheld,
        rows: None,
        key: None,
        source: Source::Empty,
    };
    let schema = table.schema();
    let mut batches = Vec::new();
    let mut rows = 0;
    csv.scan(&layout.positions, |texts| {
        let columns = (0..table.columns.len()).map(|i| {
            let (column, texts) = (&table.columns[i], texts.column(i).as_string::<i32>());
            convert(texts, column.kind).map_err(|at| StoreError::BadField {
                file: csv.file.clone(),
                line: line(rows + at),
                column: column.name.clone(),
                expected: column.kind.words(),
            })
        });
        let columns = columns.collect::<Result<Vec<ArrayRef>, StoreError>>()?;
        rows += texts.num_rows();
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns);
        batches.push(batch.map_err(|_| StoreError::NotCsv { file: csv.file.clone() })?);
        Ok(())
    })?;
    table.rows = Some(rows);
    table.source = Source::Memory(Arc::new(batches));
    Ok(table)
}

/// The line of a row, after the header.
fn line(row: usize) -> u64 {
    row as u64 + 2
}

struct Csv {
    file: String,
    at: std::path::PathBuf,
    path: std::path::PathBuf,
    skip: u64,
    delimiter: u8,
    header: Vec<String>,
}

impl Csv {
    fn open(folder: &Path, path: &Path) -> Result<Self, StoreError> {
        let (file, at) = (shown(path), folder.join(path));
        let mut reader = BufReader::new(File::open(&at).map_err(|e| unreadable(path, &e))?);
        let start = reader.fill_buf().map_err(|e| unreadable(path, &e))?;
        let skip = if start.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
        let first: &[u8] = start.split(|b| *b == b'\n').next().unwrap_or_default();
        let most = |delimiter: &u8| first.iter().filter(|b| *b == delimiter).count();
        let delimiter = [b',', b';', b'\t'].into_iter().rev().max_by_key(most).unwrap_or(b',');
        let mut format = Format::default().with_header(true).with_delimiter(delimiter);
        if delimiter == b'\t' {
            format = format.with_quote(0);
        }
        reader.seek(SeekFrom::Start(skip)).map_err(|e| unreadable(path, &e))?;
        let (schema, _) = format
            .infer_schema(reader, Some(0))
            .map_err(|_| StoreError::MalformedRow { file: file.clone(), line: 1 })?;
        let header = schema.fields().iter().map(|f| f.name().trim().to_ascii_lowercase()).collect();
        Ok(Self { file, at, path: path.to_path_buf(), skip, delimiter, header })
    }

    /// Hands the columns at `positions`, as text, to `take`, batch by batch.
    fn scan(
        &self,
        positions: &[usize],
        mut take: impl FnMut(&RecordBatch) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut reader = File::open(&self.at).map_err(|e| unreadable(&self.path, &e))?;
        reader.seek(SeekFrom::Start(self.skip)).map_err(|e| unreadable(&self.path, &e))?;
        // Names that no file can have twice.
        let fields: Vec<Field> =
            (0..self.header.len()).map(|i| Field::new(i.to_string(), DataType::Utf8, true)).collect();
        let mut builder = ReaderBuilder::new(Arc::new(Schema::new(fields)))
            .with_header(true)
            .with_delimiter(self.delimiter)
            .with_batch_size(BATCH_ROWS)
            .with_projection(positions.to_vec());
        if self.delimiter == b'\t' {
            builder = builder.with_quote(0);
        }
        let reader = builder.build(BufReader::new(reader)).map_err(|e| self.malformed(&e))?;
        for batch in reader {
            take(&batch.map_err(|e| self.malformed(&e))?)?;
        }
        Ok(())
    }

    /// What is wrong with a row. Of Arrow's message only the line is used, and only from the one message that is known
    /// to have nothing of the row before it.
    fn malformed(&self, error: &ArrowError) -> StoreError {
        let file = self.file.clone();
        let line = match error {
            ArrowError::CsvError(text) => text.strip_prefix("incorrect number of fields for line ").and_then(|rest| {
                let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
                rest[..digits].parse::<u64>().ok()
            }),
            _ => None,
        };
        match line {
            Some(line) => StoreError::MalformedRow { file, line },
            None => StoreError::NotCsv { file },
        }
    }

    /// What each column of a table that nobody defined holds, by all of its fields.
    fn find_kinds(&self) -> Result<Vec<Option<Kind>>, StoreError> {
        const BY_STRICTNESS: [Kind; 4] = [Kind::Integer, Kind::Number, Kind::Date, Kind::Moment];
        let mut possible = vec![BY_STRICTNESS.to_vec(); self.header.len()];
        let every: Vec<usize> = (0..self.header.len()).collect();
        self.scan(&every, |texts| {
            for (column, kinds) in texts.columns().iter().zip(&mut possible) {
                kinds.retain(|kind| convert(column.as_string::<i32>(), *kind).is_ok());
            }
            Ok(())
        })?;
        Ok(possible.iter().map(|kinds| Some(kinds.first().copied().unwrap_or(Kind::Text))).collect())
    }
}

/// Converts a column of text; the error is the position of the first field that is not of the kind.
fn convert(texts: &StringArray, kind: Kind) -> Result<ArrayRef, usize> {
    fn each<T>(texts: &StringArray, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<Option<T>>, usize> {
        let field = |(i, text): (usize, Option<&str>)| match text.map(str::trim) {
            None | Some("") => Ok(None),
            Some(text) => parse(text).map(Some).ok_or(i),
        };
        texts.iter().enumerate().map(field).collect()
    }
    Ok(match kind {
        Kind::Subject | Kind::Key | Kind::Code | Kind::Integer => Arc::new(Int64Array::from(each(texts, integer)?)),
        Kind::Number => {
            let number = |text: &str| text.parse::<f64>().ok().filter(|n| n.is_finite());
            Arc::new(Float64Array::from(each(texts, number)?))
        }
        Kind::Date => Arc::new(Date32Array::from(each(texts, day)?)),
        Kind::Moment => Arc::new(TimestampMicrosecondArray::from(each(texts, moment)?)),
        Kind::Text => Arc::new(texts.clone()),
        Kind::Truth => Arc::new(BooleanArray::from(each(texts, |text| text.parse::<bool>().ok())?)),
    })
}

/// Whole numbers, also as exports of numeric columns write them: `12.0`.
fn integer(text: &str) -> Option<i64> {
    let whole =
        text.split_once('.').filter(|(_, zeros)| zeros.bytes().all(|b| b == b'0')).map_or(text, |(whole, _)| whole);
    whole.parse().ok()
}

/// `2024-02-29`, `20240229`, or the day of `2024-02-29 12:00:00`.
fn day(text: &str) -> Option<i32> {
    let text = match text.as_bytes().get(10) {
        Some(b' ' | b'T') => text.get(..10)?,
        _ => text,
    };
    if text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit()) {
        let number = |digits: &str| digits.parse::<u32>().ok();
        let (year, month, day) = (number(&text[..4])?, number(&text[4..6])?, number(&text[6..])?);
        return Date::from_ymd(i32::try_from(year).ok()?, month, day).map(Date::days);
    }
    text.parse::<Date>().ok().map(Date::days)
}

/// Microseconds since 1970, without a time zone; a day alone is its midnight.
fn moment(text: &str) -> Option<i64> {
    if let Some(day) = day(text).filter(|_| text.len() <= 10) {
        return Some(i64::from(day) * 86_400_000_000);
    }
    TimestampMicrosecondType::parse(text)
}
