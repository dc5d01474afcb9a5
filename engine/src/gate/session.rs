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
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::{SessionConfig, SessionContext};
use url::Url;

use super::GatedTable;
use crate::cohort::naming::NamedSubqueries;
use crate::cohort::orders::ForgetOrders;
use crate::cohort::rules::IndependentRelations;
use crate::cohort::total::{TotalConversions, TotalPlanner};
use crate::cohort::{Limits, functions, rules};

/// The name of the rule that puts in sorts and exchanges.
const SORTS: &str = "EnsureRequirements";

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

/// The engine's rules for physical plans, in its order, without those that move a filter below a projection: they look its columns
/// up by their names, of which several may have one, and what such a filter asks of one column is then asked of another. Filters
/// have been moved before, and no table takes any later. Before sorts and exchanges are put in, claims of order are taken out.
pub(crate) fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let by_name = |name: &str| name.starts_with("FilterPushdown");
    let mut rules = PhysicalOptimizer::new().rules;
    rules.retain(|rule| !by_name(rule.name()));
    let at = rules.iter().position(|rule| rule.name() == SORTS).unwrap_or(0);
    rules.insert(at, Arc::new(ForgetOrders));
    rules
}

/// A session over these tables. It has no information schema, no other catalog, no object store, no table function,
/// only functions that are allowed, and never writes to disk.
pub(crate) fn open(tables: Vec<GatedTable>, limits: &Limits) -> Result<SessionContext> {
    let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(limits.memory_bytes));
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(pool)
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
        .with_object_store_registry(Arc::new(NoObjectStores))
        .build_arc()?;
    let mut config = SessionConfig::new()
        .with_target_partitions(limits.threads.max(1))
        .with_batch_size(limits.batch_rows.max(1))
        .with_information_schema(false)
        .with_create_default_catalog_and_schema(true);
    let options = config.options_mut();
    options.sql_parser.enable_options_value_normalization = false;
    // One type of texts: what is on the list of what cannot fail takes that alone.
    options.sql_parser.map_string_types_to_utf8view = false;
    options.execution.collect_statistics = false;
    // Of a CASE the engine says before that it is never NULL, and after that it may be: that is no difference in what it is.
    options.execution.skip_physical_aggregate_schema_check = true;
    options.execution.skip_partial_aggregation_probe_rows_threshold = limits.whole_rows;
    options.optimizer.hash_join_single_partition_threshold_rows = limits.whole_rows;
    options.optimizer.hash_join_single_partition_threshold = limits.whole_rows.saturating_mul(8);
    // Looks the keys of a grouping up by their names, of which several may have one.
    options.optimizer.top_down_join_key_reordering = false;
    let mut planners: Vec<Arc<dyn ExprPlanner>> = vec![Arc::new(TotalPlanner), Arc::new(NamedSubqueries)];
    planners.extend(SessionStateDefaults::default_expr_planners());
    let state: SessionState = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_expr_planners(planners)
        .with_relation_planners(vec![Arc::new(IndependentRelations::default())])
        .with_analyzer_rule(Arc::new(TotalConversions))
        .with_optimizer_rules(rules::rules())
        .with_physical_optimizer_rules(physical_rules())
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
