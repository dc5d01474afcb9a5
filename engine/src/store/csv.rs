//! CSV files, read whole into memory and typed by the table's definition.
//!
//! Comma, semicolon, tab and bar separate. Quotes mean what RFC 4180 says; in tab-separated files whose header line has none
//! (Athena's vocabularies) they mean nothing. A field that is not what its column holds closes the column, a line that is no
//! row the table; of a vocabulary, whose texts have no line breaks, that line alone is left out.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Float64Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use csv::ByteRecord;
use flate2::bufread::MultiGzDecoder;

use super::edge;
use super::error::StoreError;
use super::folder::{Format, Part, shown, unreadable};
use super::kind::Kind;
use super::layout::Lines;
use super::names;
use super::table::Column;
use super::text::{self, Nulls};

/// How many rows are handed on at once.
pub(super) const BATCH_ROWS: usize = 8_192;

/// The largest CSV table that is read into memory, in bytes before any compression.
pub const CSV_BYTES: u64 = 4 << 30;

/// How much of a file is looked at to find out how it is written.
const START_BYTES: usize = 1 << 16;

/// A CSV file and how it is written.
pub(super) struct Csv<'a> {
    folder: &'a Path,
    part: &'a Part,
    gzip: bool,
    delimiter: u8,
    quoted: bool,
    /// The columns' plain names.
    pub(super) names: Vec<String>,
}

/// A file's lines, one by one; the header is the first.
struct Source(BufReader<Box<dyn Read>>);

impl<'a> Csv<'a> {
    /// Finds out how a file is written.
    pub(super) fn open(folder: &'a Path, part: &'a Part, format: Format) -> Result<Self, StoreError> {
        let gzip = format == Format::Csv { gzip: true };
        let mut csv = Self { folder, part, gzip, delimiter: b',', quoted: true, names: Vec::new() };
        let mut source = csv.source()?;
        let mut start = Vec::new();
        let mut limited = source.0.by_ref().take(START_BYTES as u64);
        limited.read_until(b'\n', &mut start).map_err(|e| csv.failed(&e))?;
        if start.len() == START_BYTES || start.contains(&0) || std::str::from_utf8(&start).is_err() {
            return Err(StoreError::NotCsv { file: csv.shown() });
        }
        let count = |delimiter: &u8| start.iter().filter(|b| *b == delimiter).count();
        csv.delimiter = [b'|', b',', b';', b'\t'].into_iter().max_by_key(count).unwrap_or(b',');
        csv.quoted = csv.delimiter != b'\t' || start.contains(&b'"');
        let mut header = ByteRecord::new();
        let read = csv.reader(&start[..]).read_byte_record(&mut header);
        if !read.is_ok_and(|is_there| is_there) {
            return Err(StoreError::NoHeader { file: csv.shown() });
        }
        csv.names = header.iter().map(|name| names::plain(&String::from_utf8_lossy(name))).collect();
        Ok(csv)
    }

    fn shown(&self) -> String {
        shown(&self.part.path)
    }

    fn failed(&self, error: &io::Error) -> StoreError {
        match error.kind() {
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof if self.gzip => {
                StoreError::DamagedGzip { file: self.shown() }
            }
            _ => unreadable(&self.part.path, error),
        }
    }

    /// The file's text from its start.
    fn source(&self) -> Result<Source, StoreError> {
        let mut file = File::open(self.folder.join(&self.part.path)).map_err(|e| self.failed(&e))?;
        let raw: Box<dyn Read> = match self.gzip {
            true => Box::new(MultiGzDecoder::new(BufReader::new(file))),
            false => {
                file.seek(SeekFrom::Start(0)).map_err(|e| self.failed(&e))?;
                Box::new(file)
            }
        };
        let mut source = BufReader::with_capacity(START_BYTES, raw);
        if source.fill_buf().map_err(|e| self.failed(&e))?.starts_with(b"\xEF\xBB\xBF") {
            source.consume(3);
        }
        Ok(Source(source))
    }

    fn reader<R: Read>(&self, source: R) -> csv::Reader<R> {
        csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(self.delimiter)
            .quoting(self.quoted)
            .from_reader(source)
    }

    /// Whether a record is a row of the table. Empty fields beyond the last column, as spreadsheets write them, are none.
    fn is_row(&self, record: &ByteRecord) -> bool {
        record.len() >= self.names.len() && record.iter().skip(self.names.len()).all(<[u8]>::is_empty)
    }

    /// Hands every row to `take`, with its line. A record that is none is an error.
    pub(super) fn rows(&self, mut take: impl FnMut(u64, &ByteRecord)) -> Result<(), StoreError> {
        let mut bytes = Counted { inner: self.source()?.0, left: CSV_BYTES, is_over: false };
        let mut reader = self.reader(Kept { inner: &mut bytes, kept: Vec::new(), from: 0 });
        let mut record = ByteRecord::new();
        let mut is_header = true;
        loop {
            match reader.read_byte_record(&mut record) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    let error = match error.into_kind() {
                        csv::ErrorKind::Io(error) => error,
                        _ => io::ErrorKind::Other.into(),
                    };
                    drop(reader);
                    if bytes.is_over {
                        return Err(StoreError::TooLargeForCsv { file: self.shown() });
                    }
                    return Err(self.failed(&error));
                }
            }
            let (start, line) = record.position().map_or((0, 0), |at| (at.byte(), at.line()));
            let end = reader.position().byte();
            // A stray quotation mark takes in whole lines, up to the next one or to the end of the file.
            let is_long = record.iter().any(|field| field.contains(&b'\n'));
            let is_sound = !is_long || quotes_are_sound(reader.get_ref().between(start, end), self.delimiter);
            reader.get_mut().drop_before(end);
            if std::mem::take(&mut is_header) {
                continue;
            }
            if !is_sound || !self.is_row(&record) {
                return Err(StoreError::MalformedRow { file: self.shown(), line });
            }
            take(line, &record);
        }
        Ok(())
    }

    /// As [`rows`](Self::rows), line by line: a line that is no row is left out, whatever its quotes, and counted.
    pub(super) fn lines(
        &self,
        mut take: impl FnMut(u64, &ByteRecord),
        mut left_out: impl FnMut(u64),
    ) -> Result<(), StoreError> {
        let mut source = self.source()?.0;
        let (mut line, mut record) = (Vec::new(), ByteRecord::new());
        let (mut number, mut bytes) = (0, 0u64);
        loop {
            line.clear();
            let mut limited = source.by_ref().take(CSV_BYTES - bytes + 1);
            let read = limited.read_until(b'\n', &mut line).map_err(|e| self.failed(&e))?;
            if read == 0 {
                return Ok(());
            }
            bytes += read as u64;
            if bytes > CSV_BYTES {
                return Err(StoreError::TooLargeForCsv { file: self.shown() });
            }
            number += 1;
            while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
                line.pop();
            }
            if number == 1 || line.is_empty() {
                continue;
            }
            let is_read = if self.quoted && line.contains(&b'"') {
                // One that is open at the line's end would take in the next.
                let is_closed = quotes_are_closed(&line, self.delimiter, |_| true);
                is_closed && self.reader(&line[..]).read_byte_record(&mut record).is_ok_and(|is_there| is_there)
            } else {
                record.clear();
                line.split(|byte| *byte == self.delimiter).for_each(|field| record.push_field(field));
                true
            };
            if is_read && self.is_row(&record) {
                take(number, &record);
            } else {
                left_out(number);
            }
        }
    }
}

/// A reader that stops after so many bytes.
struct Counted<R> {
    inner: R,
    left: u64,
    is_over: bool,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => {
                self.is_over = true;
                return Err(io::ErrorKind::Other.into());
            }
        }
        Ok(read)
    }
}

/// A reader that keeps what it read until it is dropped.
struct Kept<R> {
    inner: R,
    kept: Vec<u8>,
    /// Which byte of all the first that is kept is.
    from: u64,
}

impl<R> Kept<R> {
    fn between(&self, start: u64, end: u64) -> &[u8] {
        let at = |byte: u64| usize::try_from(byte.saturating_sub(self.from)).unwrap_or(usize::MAX);
        self.kept.get(at(start)..at(end)).unwrap_or_default()
    }

    /// Now and then, so that what is kept is seldom moved.
    fn drop_before(&mut self, end: u64) {
        let before = usize::try_from(end - self.from).unwrap_or(0);
        if before >= START_BYTES {
            self.kept.drain(..before);
            self.from = end;
        }
    }
}

impl<R: Read> Read for Kept<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.kept.extend_from_slice(&buffer[..read]);
        Ok(read)
    }
}

/// Whether every quotation in a record ends where its field does (RFC 4180, section 2).
fn quotes_are_sound(record: &[u8], delimiter: u8) -> bool {
    let is_end = |byte: Option<&u8>| byte.is_none_or(|byte| *byte == delimiter || matches!(byte, b'\n' | b'\r'));
    quotes_are_closed(record, delimiter, is_end)
}

/// Whether every quotation in a record ends, before what may follow one.
fn quotes_are_closed(record: &[u8], delimiter: u8, may_follow: impl Fn(Option<&u8>) -> bool) -> bool {
    let (mut at, mut is_start) = (0, true);
    while let Some(byte) = record.get(at) {
        if *byte != b'"' || !is_start {
            is_start = *byte == delimiter || matches!(byte, b'\n' | b'\r');
            at += 1;
            continue;
        }
        at += 1;
        // Two quotation marks are one within.
        loop {
            match (record.get(at), record.get(at + 1)) {
                (None, _) => return false,
                (Some(b'"'), Some(b'"')) => at += 2,
                (Some(b'"'), _) => break,
                _ => at += 1,
            }
        }
        at += 1;
        is_start = false;
        if !may_follow(record.get(at)) {
            return false;
        }
    }
    true
}

/// A column while it is read.
pub(super) struct Reading {
    column: Column,
    builder: Builder,
    /// Fields that are not what the column holds.
    pub(super) bad: Lines,
    /// How many are days or numbers that are none.
    pub(super) nothing: u64,
    /// What was read, in batches.
    pub(super) arrays: Vec<ArrayRef>,
}

enum Builder {
    Whole(Int64Builder),
    Number(Float64Builder),
    Date(Date32Builder),
    Moment(TimestampMicrosecondBuilder),
    Text(StringBuilder),
    Truth(BooleanBuilder),
}

impl Reading {
    pub(super) fn new(column: &Column) -> Self {
        let builder = match column.kind {
            Kind::Subject | Kind::Key | Kind::Code | Kind::Integer => Builder::Whole(Int64Builder::new()),
            Kind::Number => Builder::Number(Float64Builder::new()),
            Kind::Date => Builder::Date(Date32Builder::new()),
            Kind::Moment => Builder::Moment(TimestampMicrosecondBuilder::new()),
            Kind::Text => Builder::Text(StringBuilder::new()),
            Kind::Truth => Builder::Truth(BooleanBuilder::new()),
        };
        Self { column: column.clone(), builder, bad: Lines::default(), nothing: 0, arrays: Vec::new() }
    }

    /// Takes in a field.
    pub(super) fn take(&mut self, field: &[u8], (file, line): (usize, u64), nulls: &Nulls) {
        let Ok(field) = std::str::from_utf8(field) else {
            self.bad.add(file, line);
            self.put(None);
            return;
        };
        let value = edge::value(field, &self.column, nulls);
        if self.put(value) {
            return;
        }
        match value.is_some_and(|value| edge::is_nothing(value, &self.column)) {
            true => self.nothing += 1,
            false => self.bad.add(file, line),
        }
    }

    /// Puts a field's value, or NULL; tells whether it has one if it should.
    fn put(&mut self, field: Option<&str>) -> bool {
        macro_rules! put {
            ($builder:expr, $parse:expr) => {{
                let value = field.and_then($parse);
                $builder.append_option(value);
                value.is_some() || field.is_none()
            }};
        }
        let values = self.column.values.as_deref();
        match &mut self.builder {
            Builder::Whole(builder) => {
                let is_listed = |whole: &i64| values.is_none_or(|values| values.has_whole(*whole));
                put!(builder, |field| text::integer(field).filter(is_listed))
            }
            Builder::Number(builder) => put!(builder, text::number),
            Builder::Date(builder) => put!(builder, text::day),
            Builder::Moment(builder) => put!(builder, text::moment),
            Builder::Text(builder) => {
                let is_listed = |text: &&str| values.is_none_or(|values| values.text(text).is_some());
                put!(builder, |field| Some(field).filter(is_listed))
            }
            Builder::Truth(builder) => put!(builder, text::truth),
        }
    }

    /// Ends a batch.
    pub(super) fn end_batch(&mut self) {
        self.arrays.push(match &mut self.builder {
            Builder::Whole(builder) => Arc::new(builder.finish()),
            Builder::Number(builder) => Arc::new(builder.finish()),
            Builder::Date(builder) => Arc::new(builder.finish()),
            Builder::Moment(builder) => Arc::new(builder.finish()),
            Builder::Text(builder) => Arc::new(builder.finish()),
            Builder::Truth(builder) => Arc::new(builder.finish()),
        });
    }
}
