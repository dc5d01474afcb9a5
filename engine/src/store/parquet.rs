//! Parquet files: their layout is read when the store is opened, their rows when a query runs. A column whose type does not
//! tell that every value can be read is read once when the store is opened, too.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use datafusion::datasource::file_format::parquet::Int96Coercer;
use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use datafusion::parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};

use super::edge::{Fit, convert, fit, given, lost, may_hold_nothing};
use super::error::StoreError;
use super::folder::{Found, Part, shown, unreadable};
use super::layout::{Columns, From, Lines, Survey, Wanted, not_what, nothing, survey};
use super::names::{Place, place, plain};
use super::table::{Column, Table};
use super::text::Nulls;

/// A Parquet file's layout.
pub(super) struct Layout {
    metadata: ArrowReaderMetadata,
    names: Vec<String>,
}

impl Layout {
    fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    pub(super) fn rows(&self) -> usize {
        usize::try_from(self.metadata.metadata().file_metadata().num_rows()).unwrap_or(usize::MAX)
    }

    /// Whether the file says itself that each of its days is one: between which its row groups' days are. What is no number
    /// stands in no such range.
    fn is_within(&self, column: &Column, position: usize, nulls: &Nulls) -> bool {
        let field = self.schema().field(position);
        let ends = || -> Option<[ArrayRef; 2]> {
            let groups = self.metadata.metadata().row_groups();
            let ends =
                StatisticsConverter::try_new(field.name(), self.schema(), self.metadata.parquet_schema()).ok()?;
            Some([ends.row_group_mins(groups).ok()?, ends.row_group_maxes(groups).ok()?])
        };
        let is_within = |end: &ArrayRef| convert(end, column, nulls).is_ok_and(|end| end.null_count() == 0);
        field.data_type().is_temporal() && ends().is_some_and(|ends| ends.iter().all(is_within))
    }

    /// The columns' plain names.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// The columns' plain names and types.
    pub(super) fn columns(&self) -> impl Iterator<Item = (&str, &DataType)> {
        self.names.iter().map(String::as_str).zip(self.schema().fields().iter().map(|field| field.data_type()))
    }
}

/// Reads the layouts of a table's files.
pub(super) fn layouts(folder: &Path, found: &Found) -> Result<Vec<Layout>, StoreError> {
    found.parts.iter().map(|part| layout(folder, part)).collect()
}

fn layout(folder: &Path, part: &Part) -> Result<Layout, StoreError> {
    let damaged = |_| StoreError::Damaged { file: shown(&part.path) };
    let file = File::open(folder.join(&part.path)).map_err(|e| unreadable(&part.path, &e))?;
    let mut metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(damaged)?;
    // The oldest kind of moments in nanoseconds would end in 2262.
    let coercer = Int96Coercer::new(metadata.parquet_schema(), metadata.schema(), &TimeUnit::Microsecond);
    if let Some(schema) = coercer.coerce() {
        let options = ArrowReaderOptions::new().with_schema(Arc::new(schema));
        metadata = ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options).map_err(damaged)?;
    }
    let names = metadata.schema().fields().iter().map(|field| plain(field.name())).collect();
    Ok(Layout { metadata, names })
}

/// Looks for a table's columns in its files, and whether their values can be read; with how many rows there are.
pub(super) fn read(
    wanted: &Wanted,
    folder: &Path,
    found: &Found,
    layouts: &[Layout],
    nulls: &Nulls,
) -> Result<(Survey, usize), StoreError> {
    let files: Vec<Columns<'_>> = (found.parts.iter().zip(layouts))
        .map(|(part, layout)| Columns { file: shown(&part.path), names: &layout.names, given: &part.given })
        .collect();
    let mut survey = survey(wanted, &files, false)?;
    for (column, places) in std::mem::take(&mut survey.there) {
        match check(&column, &places, folder, found, layouts, nulls)? {
            Ok(mended) => {
                survey.mended.extend(mended.into_iter().map(|how| (column.name.clone(), how)));
                survey.there.push((column, places));
            }
            Err(why) => survey.unreadable.push((column, why)),
        }
    }
    Ok((survey, layouts.iter().map(Layout::rows).fold(0, usize::saturating_add)))
}

/// Whether every value of a column can be read: the mendings that this takes, or why not.
fn check(
    column: &Column,
    places: &[From],
    folder: &Path,
    found: &Found,
    layouts: &[Layout],
    nulls: &Nulls,
) -> Result<Result<Vec<String>, String>, StoreError> {
    let (mut mended, mut bad, mut none) = (None, Lines::default(), 0);
    for (at, (part, layout)) in found.parts.iter().zip(layouts).enumerate() {
        match places[at] {
            From::Given(position) => {
                let value = part.given[position].1.as_deref();
                if given(value, column, nulls).is_none() {
                    bad.add(at, 0);
                }
            }
            From::At(position) => {
                let data_type = layout.schema().field(position).data_type();
                let is_checked = match fit(data_type, column) {
                    Fit::Plain => false,
                    Fit::Mended(how) => {
                        mended = Some(how);
                        false
                    }
                    Fit::Checked(how) => {
                        mended = how.or(mended);
                        true
                    }
                    Fit::Not => {
                        let (file, found) = (shown(&part.path), words(data_type));
                        return Ok(Err(format!("{file} has {found} there, not {}", column.words())));
                    }
                };
                if !is_checked && (!may_hold_nothing(data_type) || layout.is_within(column, position, nulls)) {
                    continue;
                }
                let mut before = 0;
                each(folder, part, layout, position, |array| {
                    let read = convert(array, column, nulls).map_err(|_| ())?;
                    let lost = lost(array, &read, column, nulls).map_err(|_| ())?;
                    lost.misfits.into_iter().for_each(|row| bad.add(at, (before + row + 1) as u64));
                    none += lost.nothing;
                    before += array.len();
                    Ok(())
                })?;
            }
        }
    }
    if bad.count > 0 {
        let files: Vec<String> = found.parts.iter().map(|part| shown(&part.path)).collect();
        return Ok(Err(not_what(&bad, column, "row", &files)));
    }
    Ok(Ok(mended.map(str::to_string).into_iter().chain((none > 0).then(|| nothing(none, column))).collect()))
}

/// A type of Arrow's that does not fit, in words.
fn words(found: &DataType) -> &'static str {
    match found {
        found if found.is_numeric() => "numbers",
        found if found.is_nested() => "nested values",
        DataType::Boolean => "truth values",
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => "dates",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => "bytes",
        DataType::Null => "no values at all",
        _ => "values of another type",
    }
}

/// Hands every batch of one column of a file to `take`.
fn each(
    folder: &Path,
    part: &Part,
    layout: &Layout,
    position: usize,
    mut take: impl FnMut(&ArrayRef) -> Result<(), ()>,
) -> Result<(), StoreError> {
    let damaged = || StoreError::Damaged { file: shown(&part.path) };
    let file = File::open(folder.join(&part.path)).map_err(|e| unreadable(&part.path, &e))?;
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, layout.metadata.clone());
    let mask = ProjectionMask::roots(builder.parquet_schema(), [position]);
    for batch in builder.with_projection(mask).build().map_err(|_| damaged())? {
        take(batch.map_err(|_| damaged())?.column(0)).map_err(|()| damaged())?;
    }
    Ok(())
}

/// Every value of one column, in the order of the files, as queries see it.
pub(super) fn column(
    folder: &Path,
    nulls: &Nulls,
    table: &Table,
    parts: &[Part],
    column: usize,
    mut take: impl FnMut(&ArrayRef),
) -> Result<(), StoreError> {
    let column = &table.columns[column];
    for part in parts {
        let layout = layout(folder, part)?;
        let Place::At(position) = place(&table.name, &layout.names, column) else {
            return Err(StoreError::MissingColumn { file: shown(&part.path), column: column.name.clone() });
        };
        each(folder, part, &layout, position, |array| {
            take(&convert(array, column, nulls).map_err(|_| ())?);
            Ok(())
        })?;
        part.check(folder)?;
    }
    Ok(())
}
