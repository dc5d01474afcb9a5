//! The session of one study: gated tables, vocabularies, and nothing else.

use std::sync::Arc;

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryPool};
use datafusion::execution::object_store::ObjectStoreRegistry;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::execution::{SessionState, SessionStateDefaults};
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::object_store::ObjectStore;
use datafusion::prelude::{SessionConfig, SessionContext};
use url::Url;

use super::GatedTable;
use crate::cohort::naming::NamedSubqueries;
use crate::cohort::total::{TotalConversions, TotalPlanner};
use crate::cohort::{fold, functions};

/// What a session may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resources {
    pub(crate) memory_bytes: usize,
    pub(crate) threads: usize,
}

/// Knows no store, and takes none.
#[derive(Debug)]
struct NoObjectStores;

impl ObjectStoreRegistry for NoObjectStores {
    fn register_store(&self, _: &Url, _: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        None
    }

    fn get_store(&self, _: &Url) -> Result<Arc<dyn ObjectStore>> {
        Err(DataFusionError::Plan("no files".to_string()))
    }
}

/// A session over these tables. It has no information schema, no other catalog, no object store, no table function,
/// only functions that are allowed, and never writes to disk.
pub(crate) fn open(tables: Vec<GatedTable>, resources: Resources) -> Result<SessionContext> {
    let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(resources.memory_bytes));
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(pool)
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
        .with_object_store_registry(Arc::new(NoObjectStores))
        .build_arc()?;
    let mut config = SessionConfig::new()
        .with_target_partitions(resources.threads.max(1))
        .with_information_schema(false)
        .with_create_default_catalog_and_schema(true);
    let options = config.options_mut();
    options.sql_parser.enable_options_value_normalization = false;
    // One type of texts: what is on the list of what cannot fail takes that alone.
    options.sql_parser.map_string_types_to_utf8view = false;
    options.execution.collect_statistics = false;
    let mut planners: Vec<Arc<dyn ExprPlanner>> = vec![Arc::new(TotalPlanner), Arc::new(NamedSubqueries)];
    planners.extend(SessionStateDefaults::default_expr_planners());
    let state: SessionState = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_expr_planners(planners)
        .with_analyzer_rule(Arc::new(TotalConversions))
        .with_optimizer_rules(fold::rules())
        .with_scalar_functions(functions::scalar())
        .with_aggregate_functions(functions::aggregate())
        .with_window_functions(functions::window())
        .build();
    let context = SessionContext::new_with_state(state);
    for table in tables {
        context.register_table(table.table.name.clone(), Arc::new(table))?;
    }
    Ok(context)
}
