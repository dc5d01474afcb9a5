//! Parquet files: their layout is read when the store is opened, their rows when a query runs.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{Int64Type, SchemaRef};
use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::config::StoreConfig;
use super::error::StoreError;
use super::folder::{shown, unreadable};
use super::kind::Kind;
use super::layout::{Layout, holds, kind_of, lay_out};
use super::table::{Column, ParquetPart, Source, Table};

/// Reads the layout of a table of one file or several.
pub(super) fn read(
    name: &str,
    folder: &Path,
    files: &[(PathBuf, u64)],
    config: &StoreConfig,
) -> Result<Table, StoreError> {
    let mut first: Option<Layout> = None;
    let (mut parts, mut rows) = (Vec::new(), 0usize);
    for (path, bytes) in files {
        let file = shown(path);
        let builder = open(folder, path)?;
        let schema = Arc::clone(builder.schema());
        let types: Vec<(String, Option<Kind>)> =
            schema.fields().iter().map(|f| (f.name().clone(), kind_of(f.data_type()))).collect();
        let layout = lay_out(name, &file, &types, config)?;
        check_types(&file, &schema, &layout)?;
        rows =
            rows.saturating_add(usize::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(usize::MAX));
        parts.push(ParquetPart { path: path.clone(), bytes: *bytes });
        match &first {
            None => first = Some(layout),
            Some(first) => {
                let absent = first.columns.iter().find(|c| !layout.columns.contains(c));
                let absent = absent.or_else(|| layout.columns.iter().find(|c| !first.columns.contains(c)));
                if let Some(column) = absent {
                    return Err(StoreError::MissingColumn { file, column: column.name.clone() });
                }
            }
        }
    }
    let Some(layout) = first else { return Err(StoreError::NoPerson) };
    Ok(Table {
        name: name.to_string(),
        role: layout.role,
        columns: layout.columns,
        withheld: layout.withheld,
        rows: Some(rows),
        key: None,
        source: Source::Parquet(Arc::new(parts)),
    })
}

fn open(folder: &Path, path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>, StoreError> {
    let file = File::open(folder.join(path)).map_err(|e| unreadable(path, &e))?;
    ParquetRecordBatchReaderBuilder::try_new(file).map_err(|_| StoreError::Damaged { file: shown(path) })
}

fn check_types(file: &str, schema: &SchemaRef, layout: &Layout) -> Result<(), StoreError> {
    for (column, position) in layout.columns.iter().zip(&layout.positions) {
        let field = schema.field(*position);
        // The reader finds columns by their exact name.
        if *field.name() != column.name {
            let what = "a name in lower case";
            return Err(StoreError::WrongType {
                file: file.to_string(),
                column: column.name.clone(),
                expected: what,
                found: "a name with capitals".to_string(),
            });
        }
        if !holds(field.data_type(), column.kind) {
            return Err(StoreError::WrongType {
                file: file.to_string(),
                column: column.name.clone(),
                expected: column.kind.words(),
                found: field.data_type().to_string(),
            });
        }
    }
    Ok(())
}

/// Every value of PERSON's `person_id`, in the order of the files; `None` where it is NULL.
pub(super) fn person_ids(
    folder: &Path,
    parts: &[ParquetPart],
    mut take: impl FnMut(Option<i64>),
) -> Result<(), StoreError> {
    let person = Column { name: "person_id".to_string(), kind: Kind::Subject };
    column(folder, parts, &person, |ids| ids.as_primitive::<Int64Type>().iter().for_each(&mut take))
}

/// Every value of one column, in the order of the files, in the type that queries see.
pub(super) fn column(
    folder: &Path,
    parts: &[ParquetPart],
    column: &Column,
    mut take: impl FnMut(&ArrayRef),
) -> Result<(), StoreError> {
    for part in parts {
        let damaged = || StoreError::Damaged { file: shown(&part.path) };
        let builder = open(folder, &part.path)?;
        let mask = ProjectionMask::columns(builder.parquet_schema(), [column.name.as_str()]);
        for batch in builder.with_projection(mask).build().map_err(|_| damaged())? {
            let batch = batch.map_err(|_| damaged())?;
            take(&arrow::compute::cast(batch.column(0), &column.kind.data_type()).map_err(|_| damaged())?);
        }
    }
    Ok(())
}
