//! What of a study reads no patients' rows, and so is the same for every bucket: it is computed once, and kept in memory.
//!
//! A vocabulary may be larger than all of a hospital's rows. What would take too much memory is left to be read again for each
//! bucket.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNodeRecursion};
use datafusion::common::{Column, DataFusionError, Result, TableReference, internal_datafusion_err};
use datafusion::datasource::{MemTable, provider_as_source, source_as_provider};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::execute_stream;
use futures::StreamExt;
use tokio::sync::mpsc;

use super::error::CohortError;
use super::plan::physical;
use super::planning::{Planning, Step};
use super::watch::watch;
use crate::gate::GatedTable;

/// The share of a query's memory that all of it may take.
const SHARE: usize = 4;

/// Memory that is taken as long as a plan that reads it may run.
#[derive(Clone, Default)]
pub(super) struct Held {
    _memory: Arc<Vec<MemoryReservation>>,
}

/// What is computed once.
pub(super) struct Once<'a> {
    pub(super) planning: &'a Planning,
    /// Closed when nobody waits for the study any more.
    pub(super) nobody_waits: &'a mpsc::Sender<Step>,
}

impl Once<'_> {
    /// The same plan with the rows of all its parts that read no patients in their place.
    pub(super) async fn computed(&self, plan: LogicalPlan) -> Result<(LogicalPlan, Held), CohortError> {
        let mut held = Vec::new();
        let mut computed: Vec<(LogicalPlan, LogicalPlan)> = Vec::new();
        for part in parts(&plan).map_err(|_| CohortError::Internal)? {
            if computed.iter().any(|(of, _)| *of == part) {
                continue;
            }
            let memory = MemoryConsumer::new("vocabularies").register(&self.planning.context.runtime_env().memory_pool);
            let Some(rows) = self.rows(&part, &memory).await? else { continue };
            let Ok(in_its_place) = in_place_of(&part, rows, computed.len()) else { continue };
            computed.push((part, in_its_place));
            held.push(memory);
        }
        let replaced = plan.transform_down_with_subqueries(|node| {
            Ok(match computed.iter().find(|(of, _)| *of == node) {
                Some((_, rows)) => Transformed::new(rows.clone(), true, TreeNodeRecursion::Jump),
                None => Transformed::no(node),
            })
        });
        let plan = replaced.data().map_err(|_| CohortError::Internal)?;
        Ok((plan, Held { _memory: Arc::new(held) }))
    }

    /// The rows of a part; none where they are too many. What fails here fails in the plan of a bucket, and is told there.
    async fn rows(
        &self,
        part: &LogicalPlan,
        memory: &MemoryReservation,
    ) -> Result<Option<Vec<RecordBatch>>, CohortError> {
        let planning = self.planning;
        let state = planning.context.state();
        let plan = watch(physical(&state, part).await?, planning.deadline).map_err(|_| CohortError::Internal)?;
        let (context, (tell, mut hear)) = (state.task_ctx(), mpsc::channel(1));
        let running = planning.runtime.spawn(async move {
            let mut stream = execute_stream(plan, context)?;
            while let Some(batch) = stream.next().await {
                if tell.send(batch?).await.is_err() {
                    break;
                }
            }
            Ok::<_, DataFusionError>(())
        });
        let mut rows: Vec<RecordBatch> = Vec::new();
        loop {
            let batch = tokio::select! {
                batch = hear.recv() => batch,
                () = self.nobody_waits.closed() => None,
            };
            let Some(batch) = batch else { break };
            let bytes = batch.get_array_memory_size();
            if memory.size() + bytes > planning.memory_bytes / SHARE || memory.try_grow(bytes).is_err() {
                memory.free();
                return Ok(None);
            }
            rows.push(batch);
        }
        drop(hear);
        Ok(matches!(running.await, Ok(Ok(()))).then_some(rows))
    }
}

/// The largest parts of a plan that read vocabularies and nothing else.
fn parts(plan: &LogicalPlan) -> Result<Vec<LogicalPlan>> {
    let mut parts = Vec::new();
    plan.apply_with_subqueries(|node| {
        let Read { patients, vocabularies, outside } = read(node)?;
        if !vocabularies {
            return Ok(TreeNodeRecursion::Jump);
        }
        // A subquery stays one; what is in it is looked at next.
        if patients || outside || matches!(node, LogicalPlan::Subquery(_)) {
            return Ok(TreeNodeRecursion::Continue);
        }
        parts.push(node.clone());
        Ok(TreeNodeRecursion::Jump)
    })?;
    Ok(parts)
}

/// What a plan reads.
#[derive(Default)]
struct Read {
    patients: bool,
    vocabularies: bool,
    /// A row of a query around it.
    outside: bool,
}

fn read(plan: &LogicalPlan) -> Result<Read> {
    let mut read = Read::default();
    plan.apply_with_subqueries(|node| {
        read.outside |= node.contains_outer_reference();
        if let LogicalPlan::TableScan(scan) = node {
            let provider = source_as_provider(&scan.source)?;
            let of_patients =
                provider.downcast_ref::<GatedTable>().is_none_or(|gated| !gated.table.domains().is_empty());
            read.patients |= of_patients;
            read.vocabularies |= !of_patients;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(read)
}

/// A plan that yields these rows, with the columns of the part that they were computed of. Each has a name of its own: by the
/// query engine, two scans of one name and one schema are the same, whatever they scan.
fn in_place_of(part: &LogicalPlan, rows: Vec<RecordBatch>, number: usize) -> Result<LogicalPlan> {
    // No table of a study is called so.
    let table = TableReference::bare(format!("once {number}"));
    let of = part.schema();
    let name = |position: usize| format!("c{position}");
    let field = |(position, field): (usize, &Arc<Field>)| {
        Field::new(name(position), field.data_type().clone(), field.is_nullable())
    };
    let fields: Vec<Field> = of.fields().iter().enumerate().map(field).collect();
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let renamed = |batch: RecordBatch| {
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&schema), batch.columns().to_vec(), &options)
    };
    let rows = rows.into_iter().map(renamed).collect::<Result<Vec<_>, _>>()?;
    let rows = MemTable::try_new(Arc::clone(&schema), vec![rows])?;
    let column = |(position, (qualifier, field)): (usize, (Option<&_>, &Arc<Field>))| {
        let column = Expr::Column(Column::new(Some(table.clone()), name(position)));
        column.alias_qualified(qualifier.cloned(), field.name())
    };
    let columns: Vec<Expr> = of.iter().enumerate().map(column).collect();
    let plan =
        LogicalPlanBuilder::scan(table.clone(), provider_as_source(Arc::new(rows)), None)?.project(columns)?.build()?;
    if plan.schema().fields().len() != of.fields().len() {
        return Err(internal_datafusion_err!("other columns than the part's"));
    }
    Ok(plan)
}
