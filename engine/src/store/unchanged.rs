//! Reads the files that were looked at when the store was opened, and no others that lie in their places now: values of other
//! types, or columns that are missing, would become NULL without a word.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::Result;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::DefaultParquetFileReaderFactory;
use datafusion::object_store::ObjectStore;
use datafusion::parquet::arrow::arrow_reader::ArrowReaderOptions;
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::parquet::errors::{ParquetError, Result as ParquetResult};
use datafusion::parquet::file::metadata::ParquetMetaData;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::folder::Part;

/// Opens the files of a table.
#[derive(Debug)]
pub(super) struct Unchanged {
    inner: DefaultParquetFileReaderFactory,
    folder: Arc<PathBuf>,
    /// By their paths within the object store.
    parts: HashMap<String, Part>,
}

impl Unchanged {
    pub(super) fn new(store: Arc<dyn ObjectStore>, folder: &Path, parts: HashMap<String, Part>) -> Self {
        Self { inner: DefaultParquetFileReaderFactory::new(store), folder: Arc::new(folder.to_path_buf()), parts }
    }
}

impl ParquetFileReaderFactory for Unchanged {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let part = self.parts.get(file.object_meta.location.as_ref()).cloned();
        let inner = self.inner.create_reader(partition, file, hint, metrics)?;
        Ok(Box::new(Checking { inner, folder: Arc::clone(&self.folder), part }))
    }
}

/// Looks at the file again each time that something was read.
struct Checking {
    inner: Box<dyn AsyncFileReader + Send>,
    folder: Arc<PathBuf>,
    part: Option<Part>,
}

impl Checking {
    /// What was read, if it is of the file that was looked at.
    fn checked<'a, T: Send + 'a>(
        folder: &'a Path,
        part: Option<&'a Part>,
        read: BoxFuture<'a, ParquetResult<T>>,
    ) -> BoxFuture<'a, ParquetResult<T>> {
        let check = move |read: ParquetResult<T>| {
            if let Some(part) = part {
                part.check(folder).map_err(|error| ParquetError::External(Box::new(error)))?;
            }
            read
        };
        read.map(check).boxed()
    }
}

impl AsyncFileReader for Checking {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        Self::checked(&self.folder, self.part.as_ref(), self.inner.get_bytes(range))
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        Self::checked(&self.folder, self.part.as_ref(), self.inner.get_byte_ranges(ranges))
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        Self::checked(&self.folder, self.part.as_ref(), self.inner.get_metadata(options))
    }
}
