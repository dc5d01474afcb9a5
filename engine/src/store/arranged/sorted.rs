//! A table's rows in one order, whatever order they come in, with no more of them in memory than fit.
//!
//! Patients' rows are dealt out to files, each for the ids of as many people, so that what one has fits into memory; each is then
//! read back, sorted, and handed on, one after the other. Where one does not fit all the same, as of one patient with very many
//! rows, it is sorted piece by piece and merged ([`Merge`]). The query engine's own sort was tried: it ends with an error where
//! what it merges does not fit into what it kept back for that.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use arrow::compute::{
    LexicographicalComparator, SortColumn, concat_batches, filter_record_batch, interleave_record_batch,
    take_record_batch,
};
use arrow::datatypes::{Date32Type, Int64Type, SchemaRef};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use arrow::row::{OwnedRow, RowConverter, Rows, SortField};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;

use super::manifest::{LeftOut, create, create_folder};
use super::sieve::Sieve;
use crate::store::scan::Reader;
use crate::store::table::{Role, Table};

/// Pieces that are merged are read in batches of so many rows, and so many are handed on at once.
const PIECE_ROWS: usize = 256;
const MERGED_ROWS: usize = 8_192;
/// As many files at most are open at once.
const MOST_FILES: usize = 512;
/// Of the memory, what is dealt out at once takes one part in four: it is there as it came, in one piece, and in its new order.
const DEALT: usize = 4;
/// And one part in eight what is sorted at once.
const SORTED: usize = 8;
/// A vocabulary of less is sorted, and a larger one handed on as it comes: whatever the memory, so that its files are the same.
const VOCABULARY_BYTES: usize = 16 << 20;

/// Rows in order.
pub(super) struct Sorted<'a> {
    raw: Arc<dyn ExecutionPlan>,
    rows: SendableRecordBatchStream,
    schema: SchemaRef,
    /// How many there are, where that is known.
    count: Option<usize>,
    /// The position of the subject, and of the day; none for a vocabulary.
    first: Option<(usize, Option<usize>)>,
    people: &'a [i64],
    sieve: Sieve<'a>,
    /// How many rows were read.
    read: usize,
    memory: usize,
    spill: PathBuf,
    state: State,
}

/// What comes next.
enum State {
    Reading,
    /// What was read of a vocabulary that is too large, and is handed on as it comes.
    AsItComes(Vec<RecordBatch>),
    /// The files that are left, the last one first, and what is being merged of one that was too large.
    Files(Vec<PathBuf>, Option<Box<Merge>>),
}

impl Drop for Sorted<'_> {
    /// What was put aside are patients' rows: it goes with whatever ends this.
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.spill);
    }
}

impl<'a> Sorted<'a> {
    /// Sorts a table: patients' rows by patient, day and then all other columns, so that there is one order of the same rows;
    /// a vocabulary by its columns, if it is not large. What does not fit into `memory` bytes is put into a folder.
    pub(super) fn of(
        reader: &Reader,
        table: &Table,
        people: &'a [i64],
        spill: &Path,
        memory: usize,
        threads: usize,
    ) -> Result<Self> {
        // Several threads would hand on a large vocabulary in another order every time.
        let threads = if matches!(table.role, Role::Vocabulary) { 1 } else { threads };
        let raw = reader.plan(table, (0..table.columns.len()).collect(), None, threads)?;
        let rows = execute_stream(Arc::clone(&raw), reader.context(8_192))?;
        let first = match table.role {
            Role::Patients { subject, dating, .. } => Some((subject, dating.column())),
            Role::Vocabulary => None,
        };
        let (schema, spill) = (table.schema(), spill.join(&table.name));
        let (count, sieve, state) = (table.rows, Sieve::new(people), State::Reading);
        Ok(Self { raw, rows, schema, count, first, people, sieve, read: 0, memory, spill, state })
    }

    /// Says how many rows have been read.
    pub(super) fn counter(&self) -> impl Fn() -> u64 + Send + use<> {
        let raw = Arc::clone(&self.raw);
        move || raw.metrics().and_then(|metrics| metrics.output_rows()).unwrap_or_default() as u64
    }

    /// The rows that nobody could ever see, which are not among those that come.
    pub(super) const fn left_out(&self) -> LeftOut {
        self.sieve.left_out
    }

    /// The next rows.
    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        if matches!(self.state, State::Reading) {
            return self.read_all().await;
        }
        match &mut self.state {
            State::Reading => Ok(None),
            State::AsItComes(read) => match read.pop() {
                Some(batch) => Ok(Some(batch)),
                None => self.rows.next().await.transpose(),
            },
            State::Files(files, merge) => {
                if let Some(next) = merge.as_mut().map(|merge| merge.next()).transpose()?.flatten() {
                    return Ok(Some(next));
                }
                *merge = None;
                let Some(file) = files.pop() else { return Ok(None) };
                self.of_file(&file)
            }
        }
    }

    /// Reads everything, and gives what comes first.
    async fn read_all(&mut self) -> Result<Option<RecordBatch>> {
        let (mut held, mut bytes, mut dealer) = (Vec::new(), 0, None);
        let most = if self.first.is_some() { self.memory / DEALT } else { VOCABULARY_BYTES };
        while let Some(batch) = self.rows.next().await {
            let batch = self.sieved(batch?)?;
            if batch.num_rows() == 0 {
                continue;
            }
            bytes += batch.get_array_memory_size();
            held.push(batch);
            if bytes < most {
                continue;
            }
            let Some((subject, _)) = self.first else {
                held.reverse();
                self.state = State::AsItComes(held);
                return Box::pin(self.next()).await;
            };
            let dealer = match &mut dealer {
                Some(dealer) => dealer,
                None => dealer.insert(self.dealer(subject, &held)?),
            };
            dealer.deal(&concat_batches(&self.schema, &held)?)?;
            (held, bytes) = (Vec::new(), 0);
        }
        let Some(mut dealer) = dealer else {
            self.state = State::Files(Vec::new(), None);
            return if held.is_empty() { Ok(None) } else { self.sort(&held).map(Some) };
        };
        dealer.deal(&concat_batches(&self.schema, &held)?)?;
        drop(held);
        self.state = State::Files(dealer.finish()?, None);
        Box::pin(self.next()).await
    }

    /// The rows of a batch that are somebody's; all of a vocabulary's.
    fn sieved(&mut self, batch: RecordBatch) -> Result<RecordBatch> {
        self.read += batch.num_rows();
        let Some((subject, _)) = self.first else { return Ok(batch) };
        match self.sieve.keep(batch.column(subject).as_primitive()) {
            Some(keep) => Ok(filter_record_batch(&batch, &keep)?),
            None => Ok(batch),
        }
    }

    /// The rows of a file in order: in one piece, or the first of several.
    fn of_file(&mut self, path: &Path) -> Result<Option<RecordBatch>> {
        let (mut held, mut bytes, mut pieces) = (Vec::new(), 0, Vec::new());
        for batch in StreamReader::try_new(BufReader::new(File::open(path)?), None)? {
            let batch = batch?;
            for column in batch.columns() {
                bytes += column.to_data().get_slice_memory_size()?;
            }
            held.push(batch);
            if bytes > self.memory / DEALT && pieces.len() < MOST_FILES {
                pieces.push(self.piece(path, &held, pieces.len())?);
                (held, bytes) = (Vec::new(), 0);
            }
        }
        fs::remove_file(path)?;
        if pieces.is_empty() {
            return self.sort(&held).map(Some);
        }
        if !held.is_empty() {
            pieces.push(self.piece(path, &held, pieces.len())?);
        }
        drop(held);
        let mut merge = Box::new(Merge::of(pieces, &self.schema, self.first)?);
        let first = merge.next()?;
        if let State::Files(_, current) = &mut self.state {
            *current = Some(merge);
        }
        Ok(first)
    }

    /// Puts rows into a file, in order.
    fn piece(&self, of: &Path, rows: &[RecordBatch], number: usize) -> Result<PathBuf> {
        let (path, rows) = (of.with_extension(number.to_string()), self.sort(rows)?);
        let mut file = StreamWriter::try_new(BufWriter::new(create(&path)?), &self.schema)?;
        for from in (0..rows.num_rows()).step_by(PIECE_ROWS) {
            file.write(&rows.slice(from, PIECE_ROWS.min(rows.num_rows() - from)))?;
        }
        file.finish()?;
        Ok(path)
    }

    /// Files for people, as many as it takes so that each fits into memory, by what these rows take.
    fn dealer(&self, subject: usize, rows: &[RecordBatch]) -> Result<Dealer> {
        let bytes: usize = rows.iter().map(RecordBatch::get_array_memory_size).sum();
        let most = bytes.saturating_mul(self.count.unwrap_or(usize::MAX) / self.read.max(1) + 1);
        let files = most.div_ceil((self.memory / SORTED).max(1)).clamp(1, MOST_FILES);
        let share = self.people.len().div_ceil(files).max(1);
        let from: Vec<i64> = self.people.iter().step_by(share).skip(1).copied().collect();
        create_folder(&self.spill)?;
        Ok(Dealer { subject, files: (0..=from.len()).map(|_| None).collect(), from, folder: self.spill.clone() })
    }

    /// Rows in order, in one piece.
    fn sort(&self, rows: &[RecordBatch]) -> Result<RecordBatch> {
        let rows = concat_batches(&self.schema, rows)?;
        let others = (0..rows.num_columns())
            .filter(|column| self.first.is_none_or(|(subject, day)| *column != subject && Some(*column) != day));
        let others: Vec<SortColumn> =
            others.map(|column| SortColumn { values: Arc::clone(rows.column(column)), options: None }).collect();
        let others = if others.is_empty() { None } else { Some(LexicographicalComparator::try_new(&others)?) };
        let then = |one: &u32, other: &u32| match &others {
            Some(others) => others.compare(*one as usize, *other as usize),
            None => Ordering::Equal,
        };
        let length = u32::try_from(rows.num_rows()).map_err(|_| DataFusionError::from(io::Error::other("too many")))?;
        let order: Vec<u32> = match self.first {
            None => {
                let mut order: Vec<u32> = (0..length).collect();
                order.sort_unstable_by(then);
                order
            }
            Some((subject, day)) => {
                let subjects = rows.column(subject).as_primitive::<Int64Type>();
                let days = day.map(|day| rows.column(day).as_primitive::<Date32Type>());
                let day = |row: usize| days.filter(|days| days.is_valid(row)).map(|days| days.value(row));
                let key = |row: u32| {
                    let at = row as usize;
                    (subjects.is_valid(at).then(|| subjects.value(at)), day(at), row)
                };
                let mut keys: Vec<_> = (0..length).map(key).collect();
                keys.sort_unstable_by(|one, other| {
                    (one.0, one.1).cmp(&(other.0, other.1)).then_with(|| then(&one.2, &other.2))
                });
                keys.into_iter().map(|(.., row)| row).collect()
            }
        };
        Ok(take_record_batch(&rows, &UInt32Array::from(order))?)
    }
}

/// Deals patients' rows out to files.
struct Dealer {
    subject: usize,
    /// The first id of each file but the first.
    from: Vec<i64>,
    files: Vec<Option<(PathBuf, StreamWriter<BufWriter<File>>)>>,
    folder: PathBuf,
}

impl Dealer {
    fn deal(&mut self, rows: &RecordBatch) -> Result<()> {
        let subjects = rows.column(self.subject).as_primitive::<Int64Type>();
        let mut dealt: Vec<Vec<u32>> = vec![Vec::new(); self.files.len()];
        for (row, person) in (0u32..).zip(subjects.values()) {
            dealt[self.from.partition_point(|from| from <= person)].push(row);
        }
        for (number, dealt) in dealt.into_iter().enumerate().filter(|(_, dealt)| !dealt.is_empty()) {
            let rows = take_record_batch(rows, &UInt32Array::from(dealt))?;
            let (_, file) = match &mut self.files[number] {
                Some(file) => file,
                none => {
                    let path = self.folder.join(number.to_string());
                    let file = BufWriter::new(create(&path)?);
                    none.insert((path, StreamWriter::try_new(file, &rows.schema())?))
                }
            };
            file.write(&rows)?;
        }
        Ok(())
    }

    /// The files that have rows, the last one first.
    fn finish(self) -> Result<Vec<PathBuf>> {
        let mut finished = Vec::new();
        for (path, mut file) in self.files.into_iter().rev().flatten() {
            file.finish()?;
            finished.push(path);
        }
        Ok(finished)
    }
}

/// Several files of sorted rows as one, the least row first.
struct Merge {
    pieces: Vec<Piece>,
    converter: RowConverter,
    /// The columns in the order in which they matter.
    order: Vec<usize>,
    /// The least row of each piece that has any left.
    heads: BinaryHeap<Reverse<(OwnedRow, usize)>>,
}

/// One of them, a batch at a time.
struct Piece {
    path: PathBuf,
    file: StreamReader<BufReader<File>>,
    batch: RecordBatch,
    rows: Rows,
    at: usize,
}

impl Merge {
    /// Of files in the order of [`Sorted::sort`].
    fn of(paths: Vec<PathBuf>, schema: &SchemaRef, first: Option<(usize, Option<usize>)>) -> Result<Self> {
        let mut order: Vec<usize> =
            first.into_iter().flat_map(|(subject, day)| [Some(subject), day]).flatten().collect();
        order.extend((0..schema.fields().len()).filter(|column| !order.contains(column)).collect::<Vec<_>>());
        let fields = order.iter().map(|column| SortField::new(schema.field(*column).data_type().clone())).collect();
        let converter = RowConverter::new(fields)?;
        let mut merge = Self { pieces: Vec::with_capacity(paths.len()), converter, order, heads: BinaryHeap::new() };
        for path in paths {
            let file = StreamReader::try_new(BufReader::new(File::open(&path)?), None)?;
            let batch = RecordBatch::new_empty(Arc::clone(schema));
            merge.pieces.push(Piece { path, file, batch, rows: merge.converter.empty_rows(0, 0), at: 0 });
            merge.advance(merge.pieces.len() - 1)?;
        }
        Ok(merge)
    }

    /// Goes on to a piece's next row.
    fn advance(&mut self, number: usize) -> Result<()> {
        let piece = &mut self.pieces[number];
        if piece.at == piece.batch.num_rows() {
            let Some(batch) = piece.file.next().transpose()? else { return Ok(()) };
            let columns: Vec<ArrayRef> = self.order.iter().map(|column| Arc::clone(batch.column(*column))).collect();
            (piece.rows, piece.batch, piece.at) = (self.converter.convert_columns(&columns)?, batch, 0);
        }
        self.heads.push(Reverse((piece.rows.row(piece.at).owned(), number)));
        Ok(())
    }

    /// The next rows.
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let (mut batches, mut rows) = (Vec::new(), Vec::new());
        let mut places: Vec<Option<usize>> = vec![None; self.pieces.len()];
        while rows.len() < MERGED_ROWS {
            let Some(Reverse((_, number))) = self.heads.pop() else { break };
            let piece = &mut self.pieces[number];
            let place = *places[number].get_or_insert_with(|| {
                batches.push(piece.batch.clone());
                batches.len() - 1
            });
            rows.push((place, piece.at));
            piece.at += 1;
            if piece.at == piece.batch.num_rows() {
                places[number] = None;
            }
            self.advance(number)?;
        }
        if rows.is_empty() {
            return Ok(None);
        }
        Ok(Some(interleave_record_batch(&batches.iter().collect::<Vec<_>>(), &rows)?))
    }
}

impl Drop for Merge {
    fn drop(&mut self) {
        for piece in &self.pieces {
            let _ = fs::remove_file(&piece.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Date32Array, Int64Array};

    use super::*;
    use crate::store::omop;
    use crate::store::table::Source;

    /// Rows of a table with people 0 to 99, some of nobody, in no order.
    fn rows(schema: &SchemaRef, from: i64, count: i64) -> RecordBatch {
        let numbers = || from..from + count;
        let people = Int64Array::from_iter(numbers().map(|n| (mixed(n) % 50 > 0).then(|| mixed(n) % 100)));
        rows_of(schema, from, people)
    }

    fn mixed(n: i64) -> i64 {
        (n.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as i64) >> 33).rem_euclid(1_000)
    }

    fn rows_of(schema: &SchemaRef, from: i64, people: Int64Array) -> RecordBatch {
        let numbers = || from..from + people.len() as i64;
        let ids = Int64Array::from_iter(numbers().map(|n| Some(mixed(n + 5) % 7)));
        let days = Date32Array::from_iter(numbers().map(|n| (n % 9 > 0).then(|| mixed(n + 1) as i32 % 4)));
        RecordBatch::try_new(Arc::clone(schema), vec![Arc::new(ids), Arc::new(people), Arc::new(days)])
            .expect("columns")
    }

    /// A table of these rows.
    fn table(of: impl Fn(&SchemaRef) -> Vec<RecordBatch>) -> Table {
        let mut table = Table::empty(omop::definition("specimen").expect("a table"));
        table.columns.retain(|column| ["specimen_id", "person_id", "specimen_date"].contains(&column.name.as_str()));
        let Role::Patients { subject, domains, .. } = table.role else { panic!("of patients") };
        table.role = Role::Patients { subject, domains, dating: crate::store::table::Dating::Column(2) };
        let batches = of(&table.schema());
        table.rows = Some(batches.iter().map(RecordBatch::num_rows).sum());
        table.source = Source::Memory(Arc::new(batches));
        table
    }

    /// The sorted rows of people 0 to 99, with the sizes of the pieces in which they came, and those that were left out.
    async fn sorted(table: &Table, memory: usize) -> (RecordBatch, Vec<usize>, LeftOut) {
        let (reader, people) = (Reader::of_nothing().expect("a reader"), (0..100).collect::<Vec<i64>>());
        let spill = tempfile::tempdir().expect("a folder");
        let mut sorted = Sorted::of(&reader, table, &people, spill.path(), memory, 2).expect("a plan");
        let mut batches = Vec::new();
        while let Some(batch) = sorted.next().await.expect("rows") {
            batches.push(batch);
        }
        let left = fs::read_dir(spill.path().join("specimen")).map_or(0, Iterator::count);
        assert_eq!(left, 0, "nothing stays in the folder");
        let sizes = batches.iter().map(RecordBatch::get_array_memory_size).collect();
        (concat_batches(&table.schema(), &batches).expect("one length"), sizes, sorted.left_out())
    }

    fn column(rows: &RecordBatch, of: usize, row: usize) -> Option<i64> {
        let column = arrow::compute::cast(rows.column(of), &arrow::datatypes::DataType::Int64).expect("a number");
        let column = column.as_primitive::<Int64Type>();
        column.is_valid(row).then(|| column.value(row))
    }

    #[tokio::test]
    async fn the_order_is_the_same_however_little_memory_there_is() {
        let table = table(|schema| (0..40).map(|batch| rows(schema, 250 * batch, 250)).collect());
        let mut seen = Vec::new();
        for (memory, more_than) in [(1 << 30, 0), (1 << 19, 3), (1 << 16, 20)] {
            let (rows, pieces, left_out) = sorted(&table, memory).await;
            assert!(pieces.len() > more_than, "{memory}: {} parts", pieces.len());
            assert_eq!(rows.num_rows() as u64 + left_out.nobodys, 10_000);
            assert!(left_out.nobodys > 100 && left_out.strangers == 0, "{left_out:?}");
            seen.push(rows);
        }
        assert!(seen.iter().all(|rows| *rows == seen[0]));
        let keys: Vec<_> = (0..200)
            .map(|row| (column(&seen[0], 1, row), column(&seen[0], 2, row), column(&seen[0], 0, row)))
            .collect();
        assert!(keys.is_sorted() && keys[0].0.is_some(), "by patient, day, and the rest; nobody's not at all");
    }

    #[tokio::test]
    async fn rows_of_strangers_and_nobody_take_no_memory() {
        // One in a hundred is of somebody.
        let person = |n: i64| match n % 100 {
            0 => Some(mixed(n) % 100),
            n if n < 50 => None,
            _ => Some(100 + n),
        };
        let people = |from: i64| Int64Array::from_iter((from..from + 500).map(person));
        let table = table(|schema| (0..200).map(|batch| rows_of(schema, 500 * batch, people(500 * batch))).collect());
        let (all, _, _) = sorted(&table, 1 << 30).await;
        let memory = 1 << 17;
        let (rows, pieces, left_out) = sorted(&table, memory).await;
        assert_eq!((rows.num_rows(), left_out), (1_000, LeftOut { nobodys: 49 * 1_000, strangers: 50 * 1_000 }));
        assert!(rows == all && pieces.iter().all(|bytes| *bytes < memory / 2), "{pieces:?}");
    }

    #[tokio::test]
    async fn a_patient_with_very_many_rows_takes_no_more_memory_than_others() {
        let person = |n: i64| if n % 50 == 0 { mixed(n) % 100 } else { 7 };
        let people = |from: i64| Int64Array::from_iter_values((from..from + 500).map(person));
        let table = table(|schema| (0..200).map(|batch| rows_of(schema, 500 * batch, people(500 * batch))).collect());
        let (all, _, _) = sorted(&table, 1 << 30).await;
        let memory = 1 << 20;
        let (rows, pieces, _) = sorted(&table, memory).await;
        assert_eq!(rows.num_rows(), 100_000);
        assert!(rows == all, "the same order");
        assert!(pieces.len() > 5 && pieces.iter().all(|bytes| *bytes < memory / 2), "{pieces:?}");
    }
}
