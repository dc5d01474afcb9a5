//! A table's rows in one order, whatever order they come in, with no more of them in memory than fit.
//!
//! Patients' rows are dealt out to files, each for the ids of as many people, so that what one has fits into memory; each is then
//! read back, sorted, and handed on, one after the other. The query engine's own sort was tried: it ends with an error where
//! what it merges does not fit into what it kept back for that.

use std::cmp::Ordering;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, AsArray, UInt32Array};
use arrow::compute::{LexicographicalComparator, SortColumn, concat_batches, take_record_batch};
use arrow::datatypes::{Date32Type, Int64Type, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;

use super::manifest::{create, create_folder};
use crate::store::scan::Reader;
use crate::store::table::{Role, Table};

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
    memory: usize,
    spill: PathBuf,
    state: State,
}

/// What comes next.
enum State {
    Reading,
    /// What was read of a vocabulary that is too large, and is handed on as it comes.
    AsItComes(Vec<RecordBatch>),
    /// The files that are left, the last one first.
    Files(Vec<PathBuf>),
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
        Ok(Self { raw, rows, schema, count: table.rows, first, people, memory, spill, state: State::Reading })
    }

    /// Says how many rows have been read.
    pub(super) fn counter(&self) -> impl Fn() -> u64 + Send + use<> {
        let raw = Arc::clone(&self.raw);
        move || raw.metrics().and_then(|metrics| metrics.output_rows()).unwrap_or_default() as u64
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
            State::Files(files) => {
                let Some(file) = files.pop() else { return Ok(None) };
                let rows = StreamReader::try_new(BufReader::new(File::open(&file)?), None)?;
                let rows = rows.collect::<Result<Vec<_>, ArrowError>>()?;
                fs::remove_file(&file)?;
                Ok(Some(self.sort(&rows)?))
            }
        }
    }

    /// Reads everything, and gives what comes first.
    async fn read_all(&mut self) -> Result<Option<RecordBatch>> {
        let (mut held, mut bytes, mut dealer) = (Vec::new(), 0, None);
        let most = if self.first.is_some() { self.memory / DEALT } else { VOCABULARY_BYTES };
        while let Some(batch) = self.rows.next().await {
            let batch = batch?;
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
            self.state = State::Files(Vec::new());
            return if held.is_empty() { Ok(None) } else { self.sort(&held).map(Some) };
        };
        dealer.deal(&concat_batches(&self.schema, &held)?)?;
        drop(held);
        self.state = State::Files(dealer.finish()?);
        Box::pin(self.next()).await
    }

    /// Files for people, as many as it takes so that each fits into memory, by what these rows take.
    fn dealer(&self, subject: usize, rows: &[RecordBatch]) -> Result<Dealer> {
        let count: usize = rows.iter().map(RecordBatch::num_rows).sum();
        let bytes: usize = rows.iter().map(RecordBatch::get_array_memory_size).sum();
        let most = bytes.saturating_mul(self.count.unwrap_or(usize::MAX) / count.max(1) + 1);
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
        for (row, person) in (0u32..).zip(subjects) {
            // Those of nobody come first.
            dealt[person.map_or(0, |person| self.from.partition_point(|from| *from <= person))].push(row);
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

#[cfg(test)]
mod tests {
    use arrow::array::{Date32Array, Int64Array};

    use super::*;
    use crate::store::omop;
    use crate::store::table::Source;

    /// Rows of a table with people 0 to 99, some of nobody, in no order.
    fn rows(schema: &SchemaRef, from: i64, count: i64) -> RecordBatch {
        let mixed = |n: i64| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as i64) >> 33).rem_euclid(1_000);
        let numbers = || from..from + count;
        let ids = Int64Array::from_iter(numbers().map(|n| Some(mixed(n + 5) % 7)));
        let people = Int64Array::from_iter(numbers().map(|n| (mixed(n) % 50 > 0).then(|| mixed(n) % 100)));
        let days = Date32Array::from_iter(numbers().map(|n| (n % 9 > 0).then(|| mixed(n + 1) as i32 % 4)));
        RecordBatch::try_new(Arc::clone(schema), vec![Arc::new(ids), Arc::new(people), Arc::new(days)])
            .expect("columns")
    }

    #[tokio::test]
    async fn the_order_is_the_same_however_little_memory_there_is() {
        let mut table = Table::empty(omop::definition("specimen").expect("a table"));
        table.columns.retain(|column| ["specimen_id", "person_id", "specimen_date"].contains(&column.name.as_str()));
        let Role::Patients { subject, domains, .. } = table.role else { panic!("of patients") };
        let dating = crate::store::table::Dating::Column(2);
        table.role = Role::Patients { subject, domains, dating };
        let batches = (0..40).map(|batch| rows(&table.schema(), 250 * batch, 250)).collect();
        (table.source, table.rows) = (Source::Memory(Arc::new(batches)), Some(10_000));
        let (reader, people) = (Reader::of_nothing().expect("a reader"), (0..100).collect::<Vec<i64>>());
        let mut seen = Vec::new();
        for (memory, more_than) in [(1 << 30, 0), (1 << 19, 3), (1 << 16, 20)] {
            let spill = tempfile::tempdir().expect("a folder");
            let mut sorted = Sorted::of(&reader, &table, &people, spill.path(), memory, 2).expect("a plan");
            let mut batches = Vec::new();
            while let Some(batch) = sorted.next().await.expect("rows") {
                batches.push(batch);
            }
            assert!(batches.len() > more_than, "{memory}: {} parts", batches.len());
            seen.push(concat_batches(&table.schema(), &batches).expect("one length"));
            let left = fs::read_dir(spill.path().join("specimen")).map_or(0, Iterator::count);
            assert_eq!(left, 0, "nothing stays in the folder");
        }
        assert!(seen.iter().all(|rows| *rows == seen[0] && rows.num_rows() == 10_000));
        let column = |of: usize, row: usize| -> Option<i64> {
            let column =
                arrow::compute::cast(seen[0].column(of), &arrow::datatypes::DataType::Int64).expect("a number");
            let column = column.as_primitive::<Int64Type>();
            column.is_valid(row).then(|| column.value(row))
        };
        let keys: Vec<_> = (0..200).map(|row| (column(1, row), column(2, row), column(0, row))).collect();
        assert!(keys.is_sorted() && keys[0].0.is_none(), "by patient, day, and the rest; nobody's first");
    }
}
