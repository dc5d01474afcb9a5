//! The same cohort in plaintext, for the comparison that only a demo or a test can make: DataFusion over the bare files,
//! with the patients who allow the study named by hand. Nothing of the gate, the ledger or the encryption is in it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, RecordBatch};
use arrow::compute::filter_record_batch;
use consilium_protocol::study::StudySpec;
use datafusion::datasource::MemTable;
use datafusion::prelude::{CsvReadOptions, ParquetReadOptions, SessionConfig, SessionContext};

use crate::cli::Failure;

/// The cohort of one hospital, over the rows of `allowed` persons alone: the columns that the study declares.
///
/// # Errors
/// [`Failure`] when the files cannot be read or the query fails.
pub async fn cohort(folder: &Path, allowed: &BTreeSet<i64>, spec: &StudySpec) -> Result<Vec<RecordBatch>, Failure> {
    let context = SessionContext::new_with_config(SessionConfig::new().with_information_schema(false));
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
        let text = path.to_string_lossy().into_owned();
        let table = match path.extension().and_then(|e| e.to_str()) {
            Some("parquet") => context.read_parquet(text, ParquetReadOptions::default()).await?,
            Some("csv") if path.metadata()?.len() > 0 => {
                context.read_csv(text, CsvReadOptions::new().schema_infer_max_records(100_000)).await?
            }
            _ => continue,
        };
        let schema = Arc::new(table.schema().as_arrow().clone());
        let batches: Result<Vec<RecordBatch>, Failure> =
            table.collect().await?.iter().map(|batch| only(batch, allowed)).collect();
        context.register_table(name.as_str(), Arc::new(MemTable::try_new(schema, vec![batches?])?))?;
    }
    let frame = context.sql(&spec.cohort.sql).await?;
    let declared: Vec<&str> =
        spec.variables.iter().map(|v| v.name.as_str()).chain(spec.dimensions.iter().map(|d| d.name.as_str())).collect();
    Ok(frame.select_columns(&declared)?.collect().await?)
}

/// The rows of allowed persons; all rows of a table that is not about persons.
fn only(batch: &RecordBatch, allowed: &BTreeSet<i64>) -> Result<RecordBatch, Failure> {
    let Some(persons) = batch.column_by_name("person_id") else { return Ok(batch.clone()) };
    let persons: ArrayRef = arrow::compute::cast(persons, &arrow::datatypes::DataType::Int64)?;
    let persons = persons
        .as_any()
        .downcast_ref::<Int64Array>()
        .ok_or_else(|| Failure::new("person_id is no whole number; check the files"))?;
    let keep: BooleanArray =
        (0..persons.len()).map(|row| Some(!persons.is_null(row) && allowed.contains(&persons.value(row)))).collect();
    Ok(filter_record_batch(batch, &keep)?)
}
