//! Reads a table's raw rows. Only the gate calls this; the session of a study knows no object store.

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::config::ConfigOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::TaskContext;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::object_store::local::LocalFileSystem;
use datafusion::object_store::path::Path as ObjectPath;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::edge::TotalEdge;
use super::error::StoreError;
use super::folder::shown;
use super::table::{Source, Table};

/// The name, known only here, under which the raw scans find the store's folder.
const FOLDER: &str = "store://folder";

/// Files are split among threads from this size on.
const SPLIT_BYTES: usize = 1 << 20;

/// Reads files of one folder, and nothing outside it.
#[derive(Debug)]
pub(crate) struct Reader {
    url: ObjectStoreUrl,
    runtime: Arc<RuntimeEnv>,
}

impl Reader {
    /// A reader that reads nothing, for tables without rows.
    pub(crate) fn of_nothing() -> Result<Self> {
        Ok(Self { url: ObjectStoreUrl::parse(FOLDER)?, runtime: Arc::new(RuntimeEnv::default()) })
    }

    pub(crate) fn new(folder: &Path) -> std::result::Result<Self, StoreError> {
        let unreadable =
            || StoreError::Unreadable { file: shown(folder), reason: "not a folder of local files".to_string() };
        let files = LocalFileSystem::new_with_prefix(folder).map_err(|_| unreadable())?;
        let reader = Self::of_nothing().map_err(|_| unreadable())?;
        reader.runtime.register_object_store(reader.url.as_ref(), Arc::new(files));
        Ok(reader)
    }

    /// The context in which raw scans run: with the folder, but without the study's memory limit, which the operators
    /// above the gate are held to.
    pub(crate) fn context(&self, batch_size: usize) -> Arc<TaskContext> {
        let config = SessionConfig::new().with_batch_size(batch_size);
        Arc::new(TaskContext::from(&SessionContext::new_with_config_rt(config, Arc::clone(&self.runtime))))
    }

    /// A plan that yields the rows of a table, with the columns at `projection`, in up to `partitions` parts. It may
    /// leave out row groups of Parquet files in which no row satisfies `predicate`; the predicate is over the table's
    /// readable columns.
    pub(crate) fn plan(
        &self,
        table: &Table,
        projection: Vec<usize>,
        predicate: Option<Arc<dyn PhysicalExpr>>,
        partitions: usize,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = table.schema();
        match &table.source {
            Source::Empty => Ok(MemorySourceConfig::try_new_exec(&[vec![]], schema, Some(projection))?),
            Source::Memory(batches) => {
                let share = batches.len().div_ceil(partitions.max(1)).max(1);
                let mut parts: Vec<Vec<_>> = batches.chunks(share).map(<[_]>::to_vec).collect();
                if parts.is_empty() {
                    parts.push(Vec::new());
                }
                Ok(MemorySourceConfig::try_new_exec(&parts, schema, Some(projection))?)
            }
            Source::Parquet(parts) => {
                let mut files = Vec::with_capacity(parts.len());
                for part in parts.iter() {
                    let segments = part.path.iter().map(|s| s.to_string_lossy().into_owned());
                    let path = ObjectPath::from_iter(segments);
                    files.push(PartitionedFile::new(path.to_string(), part.bytes));
                }
                self.parquet(schema, files, projection, predicate, partitions)
            }
        }
    }

    fn parquet(
        &self,
        schema: SchemaRef,
        files: Vec<PartitionedFile>,
        projection: Vec<usize>,
        predicate: Option<Arc<dyn PhysicalExpr>>,
        partitions: usize,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut source = ParquetSource::new(schema);
        if let Some(predicate) = predicate {
            source = source.with_predicate(predicate);
        }
        let config = FileScanConfigBuilder::new(self.url.clone(), Arc::new(source))
            .with_projection_indices(Some(projection))?
            .with_file_group(FileGroup::new(files))
            .with_expr_adapter(Some(Arc::new(TotalEdge)))
            .build();
        let plan: Arc<dyn ExecutionPlan> = DataSourceExec::from_data_source(config);
        let mut options = ConfigOptions::new();
        options.optimizer.repartition_file_min_size = SPLIT_BYTES;
        Ok(plan.repartitioned(partitions, &options)?.unwrap_or(plan))
    }
}
