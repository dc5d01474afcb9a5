//! From a table's files to the table.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use consilium_protocol::catalogue::CatalogueTable;

use super::config::StoreConfig;
use super::csv::{self, Csv, Reading};
use super::error::StoreError;
use super::folder::{self, Contents, Format, Found, shown};
use super::layout::{Columns, From, Lines, Survey, Wanted, not_what, nothing, survey};
use super::table::{Column, Notes, Source, Table};
use super::text::Nulls;
use super::{Gathered, Which, key, parquet, subjects};

/// Reads the tables of a folder.
pub(super) fn tables(
    which: Which,
    folder: &Path,
    config: &StoreConfig,
    catalogue: &[CatalogueTable],
) -> Result<Gathered, StoreError> {
    let Contents { tables: mut found, ignored } = folder::list(folder, config, catalogue)?;
    let read = |name: &str, found: &Found| {
        let wanted = Wanted::named(name, &config.tables, catalogue).ok_or(StoreError::NoPerson)?;
        let table = read(&wanted, found, folder, &config.nulls);
        // What was read of a file that is another by now is neither right nor damaged.
        found.parts.iter().try_for_each(|part| part.check(folder))?;
        let table = table?;
        Ok::<_, StoreError>(Table { key: key::find(folder, &config.nulls, &table, wanted.single)?, ..table })
    };
    // First of all: without it, nothing else need be read.
    let person = |found: Option<Result<Found, StoreError>>| {
        let found = found.ok_or(StoreError::NoPerson)??;
        let person = read("person", &found)?;
        let places = |rows: &[usize]| places(folder, &found, rows).unwrap_or_default();
        let people = subjects::people(folder, &config.nulls, &person, &places)?;
        Ok::<_, StoreError>((person, people))
    };
    let (person, people) = match person(found.remove("person")) {
        Ok((person, people)) => (Ok(person), people),
        Err(error) if which == Which::Others => (Err(error), Vec::new()),
        Err(error) => return Err(error),
    };
    let mut tables = BTreeMap::from([("person".to_string(), person)]);
    for (name, found) in found.into_iter().filter(|(name, _)| which.has(name)) {
        let table = found.and_then(|found| read(&name, &found));
        tables.insert(name, table);
    }
    Ok(Gathered { tables, people, ignored, buckets: 0 })
}

/// Where rows are, by their positions in all files together: the first of them, in words.
fn places(folder: &Path, found: &Found, rows: &[usize]) -> Result<String, StoreError> {
    let (mut lines, mut before) = (Lines::default(), 0);
    let files: Vec<String> = found.parts.iter().map(|part| shown(&part.path)).collect();
    let mut add = |at: usize, row: usize, line: u64| {
        if rows.binary_search(&row).is_ok() {
            lines.add(at, line);
        }
    };
    if found.format == Format::Parquet {
        for (at, layout) in parquet::layouts(folder, found)?.iter().enumerate() {
            (0..layout.rows()).for_each(|row| add(at, before + row, row as u64 + 1));
            before += layout.rows();
        }
        return Ok(lines.places("row", &files));
    }
    for (at, part) in found.parts.iter().enumerate() {
        Csv::open(folder, part, found.format)?.rows(|line, _| {
            add(at, before, line);
            before += 1;
        })?;
    }
    Ok(lines.places("line", &files))
}

/// Reads a table: CSV with its rows, Parquet without.
pub(super) fn read(wanted: &Wanted, found: &Found, folder: &Path, nulls: &Nulls) -> Result<Table, StoreError> {
    if found.parts.is_empty() {
        let mut table = wanted.without_rows();
        table.notes.file.clone_from(&found.shown);
        return Ok(table);
    }
    let (mut survey, rows, source, left_out) = match found.format {
        Format::Parquet => {
            let layouts = parquet::layouts(folder, found)?;
            let (survey, rows) = parquet::read(wanted, folder, found, &layouts, nulls)?;
            (survey, rows, Source::Parquet(Arc::new(found.parts.clone())), Lines::default())
        }
        Format::Csv { .. } => {
            let open = |part| Csv::open(folder, part, found.format);
            let files = found.parts.iter().map(open).collect::<Result<Vec<_>, _>>()?;
            let Loaded { survey, rows, batches, left_out } = load(wanted, found, &files, nulls)?;
            (survey, rows, Source::Memory(Arc::new(batches)), left_out)
        }
    };
    // What the folders' names give stands behind what the files have.
    if matches!(source, Source::Parquet(_)) {
        survey.there.sort_by_key(|(_, places)| matches!(places.first(), Some(From::Given(_))));
    }
    let columns: Vec<Column> = survey.there.iter().map(|(column, _)| column.clone()).collect();
    let given = survey.there.iter().filter(|(_, places)| matches!(places.first(), Some(From::Given(_)))).count();
    if let Some((column, why)) = survey.unreadable.iter().find(|(column, _)| column.name == wanted.first()) {
        return Err(StoreError::Column { file: found.shown.clone(), column: column.name.clone(), why: why.clone() });
    }
    let role = wanted.role(&columns, &found.shown)?;
    let files: Vec<String> = found.parts.iter().map(|part| shown(&part.path)).collect();
    Ok(Table {
        name: wanted.table.clone(),
        role,
        columns,
        given,
        rows: Some(rows),
        key: None,
        source,
        notes: Notes {
            file: found.shown.clone(),
            format: found.format.word(),
            files: files.len(),
            prefix: found.prefix.clone(),
            withheld: survey.withheld,
            mended: survey.mended,
            unreadable: survey.unreadable.into_iter().map(|(column, why)| (column.name, why)).collect(),
            left_out: (left_out.count > 0).then(|| (left_out.count, left_out.places("line", &files))),
            unseen: None,
        },
    })
}

/// A CSV table in memory.
struct Loaded {
    survey: Survey,
    rows: usize,
    batches: Vec<RecordBatch>,
    left_out: Lines,
}

fn load(wanted: &Wanted, found: &Found, files: &[Csv<'_>], nulls: &Nulls) -> Result<Loaded, StoreError> {
    let names: Vec<String> = found.parts.iter().map(|part| shown(&part.path)).collect();
    let columns: Vec<Columns<'_>> = (names.iter().zip(files).zip(&found.parts))
        .map(|((file, csv), part)| Columns { file: file.clone(), names: &csv.names, given: &part.given })
        .collect();
    let mut survey = survey(wanted, &columns, true)?;
    let mut readings: Vec<Reading> = survey.there.iter().map(|(column, _)| Reading::new(column)).collect();
    let (mut rows, mut left_out) = (0usize, Lines::default());
    for (at, file) in files.iter().enumerate() {
        let given = &found.parts[at].given;
        let take = |line: u64, record: &::csv::ByteRecord| {
            for (reading, (_, places)) in readings.iter_mut().zip(&survey.there) {
                let field = match places[at] {
                    From::At(position) => &record[position],
                    From::Given(position) => given[position].1.as_deref().unwrap_or_default().as_bytes(),
                };
                reading.take(field, (at, line), nulls);
            }
            rows += 1;
            if rows.is_multiple_of(csv::BATCH_ROWS) {
                readings.iter_mut().for_each(Reading::end_batch);
            }
        };
        if wanted.is_vocabulary() {
            file.lines(take, |line| left_out.add(at, line))?;
        } else {
            file.rows(take)?;
        }
    }
    readings.iter_mut().for_each(Reading::end_batch);
    let mut kept = Vec::new();
    for ((column, places), reading) in std::mem::take(&mut survey.there).into_iter().zip(readings) {
        if reading.bad.count > 0 {
            let why = not_what(&reading.bad, &column, "line", &names);
            survey.unreadable.push((column, why));
        } else {
            if reading.nothing > 0 {
                survey.mended.push((column.name.clone(), nothing(reading.nothing, &column)));
            }
            survey.there.push((column, places));
            kept.push(reading.arrays);
        }
    }
    let schema = super::table::schema(survey.there.iter().map(|(column, _)| column));
    let height = kept.first().map_or(0, Vec::len);
    let batch = |i: usize| {
        let columns = kept.iter().map(|arrays| Arc::clone(&arrays[i])).collect();
        RecordBatch::try_new(Arc::clone(&schema), columns).map_err(|_| StoreError::NotCsv { file: found.shown.clone() })
    };
    let batches = (0..height).map(batch).collect::<Result<Vec<_>, _>>()?;
    let batches = batches.into_iter().filter(|batch| batch.num_rows() > 0).collect();
    Ok(Loaded { survey, rows, batches, left_out })
}
