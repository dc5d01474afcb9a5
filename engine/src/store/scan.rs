//! Reads a table's raw rows. Only the gate calls this; the session of a study knows no object store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::common::{Result, internal_err};
use datafusion::config::{ConfigOptions, TableParquetOptions};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::TaskContext;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::object_store::local::LocalFileSystem;
use datafusion::object_store::path::Path as ObjectPath;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::lit;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::edge::{self, Edge};
use super::error::StoreError;
use super::folder::{Part, shown};
#[cfg(feature = "postgres")]
use super::postgres::{self, Moment};
use super::table::{Column, Source, Table, schema};
use super::text::Nulls;
use super::unchanged::Unchanged;

/// The name, known only here, under which the raw scans find the store's folder.
const FOLDER: &str = "store://folder";

/// Files are split among threads from this size on.
const SPLIT_BYTES: usize = 1 << 20;

/// Reads files of one folder, and nothing outside it; or one moment of a database.
#[derive(Debug)]
pub(crate) struct Reader {
    url: ObjectStoreUrl,
    runtime: Arc<RuntimeEnv>,
    /// Where it reads files.
    folder: PathBuf,
    nulls: Arc<Nulls>,
    /// Of a database, what it reads is of this moment.
    #[cfg(feature = "postgres")]
    moment: Option<Arc<Moment>>,
}

impl Reader {
    /// A reader that reads nothing, for tables without rows.
    pub(crate) fn of_nothing() -> Result<Self> {
        Ok(Self {
            url: ObjectStoreUrl::parse(FOLDER)?,
            runtime: Arc::default(),
            folder: PathBuf::new(),
            nulls: Arc::default(),
            #[cfg(feature = "postgres")]
            moment: None,
        })
    }

    pub(crate) fn new(folder: &Path, nulls: &Nulls) -> std::result::Result<Self, StoreError> {
        let unreadable =
            || StoreError::Unreadable { file: shown(folder), reason: "not a folder of local files".to_string() };
        let files = LocalFileSystem::new_with_prefix(folder).map_err(|_| unreadable())?;
        let reader = Self::of_nothing().map_err(|_| unreadable())?;
        let reader = Self { nulls: Arc::new(nulls.clone()), folder: folder.to_path_buf(), ..reader };
        reader.runtime.register_object_store(reader.url.as_ref(), Arc::new(files));
        Ok(reader)
    }

    /// A reader of one moment of a database.
    #[cfg(feature = "postgres")]
    pub(crate) fn of_moment(moment: Moment, nulls: &Arc<Nulls>) -> Result<Self> {
        Ok(Self { moment: Some(Arc::new(moment)), nulls: Arc::clone(nulls), ..Self::of_nothing()? })
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
            Source::Parquet(parts) => self.parquet(table, parts, projection, predicate, partitions),
            #[cfg(feature = "postgres")]
            Source::Postgres(relation) => match &self.moment {
                Some(moment) => {
                    postgres::plan(moment, table, relation, &projection, predicate.as_ref(), &self.nulls, partitions)
                }
                None => internal_err!("a table of a database outside of any moment"),
            },
        }
    }

    fn parquet(
        &self,
        table: &Table,
        parts: &[Part],
        projection: Vec<usize>,
        predicate: Option<Arc<dyn PhysicalExpr>>,
        partitions: usize,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (in_files, given) = table.columns.split_at(table.columns.len() - table.given);
        let files = parts.iter().map(|part| self.file(part, given)).collect::<Result<Vec<_>>>()?;
        let schema =
            TableSchema::builder(schema(in_files)).with_table_partition_cols(schema(given).fields().clone()).build();
        let by_path =
            files.iter().map(|file| file.object_meta.location.to_string()).zip(parts.iter().cloned()).collect();
        let unchanged = Unchanged::new(self.runtime.object_store(&self.url)?, &self.folder, by_path);
        let source = ParquetSource::new(schema).with_parquet_file_reader_factory(Arc::new(unchanged));
        // Without any, the query engine takes a file that has the table's own types as it is, and asks nobody how it is read.
        let source = source.with_predicate(predicate.unwrap_or_else(|| lit(true)));
        let mut options = TableParquetOptions::default();
        options.global.coerce_int96 = Some("us".to_string());
        let source = source.with_table_parquet_options(options);
        let config = FileScanConfigBuilder::new(self.url.clone(), Arc::new(source))
            .with_projection_indices(Some(projection))?
            .with_file_group(FileGroup::new(files))
            .with_expr_adapter(Some(Arc::new(Edge::new(table, &self.nulls))))
            .build();
        let plan: Arc<dyn ExecutionPlan> = DataSourceExec::from_data_source(config);
        let mut options = ConfigOptions::new();
        options.optimizer.repartition_file_min_size = SPLIT_BYTES;
        Ok(plan.repartitioned(partitions, &options)?.unwrap_or(plan))
    }

    /// A file with the values that the names of its folders give.
    fn file(&self, part: &Part, columns: &[Column]) -> Result<PartitionedFile> {
        let segments = part.path.iter().map(|s| s.to_string_lossy().into_owned());
        let mut file = PartitionedFile::new(ObjectPath::from_iter(segments).to_string(), part.bytes);
        for column in columns {
            let value = part.given.iter().find(|(name, _)| name == column.called.as_ref().unwrap_or(&column.name));
            let value = value.and_then(|(_, value)| edge::given(value.as_deref(), column, &self.nulls));
            let Some(value) = value else { return internal_err!("a folder that does not give a value") };
            file.partition_values.push(value);
        }
        Ok(file)
    }
}
