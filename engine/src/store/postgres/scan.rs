//! Reads a table's raw rows out of the database. Only the gate runs this.

use std::fmt;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::{StreamExt, TryStreamExt};

use super::super::error::StoreError;
use super::super::table::{Column, Table, schema};
use super::super::text::Nulls;
use super::catalog::Relation;
use super::decode::{Read, may_lose};
use super::error::DatabaseError;
use super::filter::{There, pushed};
use super::key::Key;
use super::moment::{Condition, Cursor, Division, Moment, Selection};
use super::open::attribute;

/// A plan that yields the rows of a table, with the columns at `projection`, in up to `partitions` parts. The server leaves out
/// rows that do not satisfy `predicate`, as far as it is told of it.
pub(in crate::store) fn plan(
    moment: &Arc<Moment>,
    table: &Table,
    relation: &Arc<Relation>,
    projection: &[usize],
    predicate: Option<&Arc<dyn PhysicalExpr>>,
    nulls: &Arc<Nulls>,
    partitions: usize,
) -> Result<Arc<dyn ExecutionPlan>> {
    let mut columns = Vec::with_capacity(projection.len());
    for at in projection {
        let column: &Column = &table.columns[*at];
        let Some((name, shape)) = attribute(&table.name, relation, column) else {
            return internal_err!("a column that the database does not have");
        };
        columns.push((column.clone(), name, shape));
    }
    let there = |name: &str| {
        let column = table.columns.iter().find(|column| column.name == name)?;
        let (name, shape) = attribute(&table.name, relation, column)?;
        Some(There { name, shape, is_kept: !may_lose(shape, column) })
    };
    let condition = predicate.and_then(|predicate| {
        let named = collect_columns(predicate).into_iter().filter_map(|column| there(column.name()));
        let names = named.map(|there| there.name).collect();
        pushed(predicate, &there).map(|sql| Condition { sql, names })
    });
    let schema = schema(columns.iter().map(|(column, ..)| column));
    let key = Key::of(table, relation);
    let selection = Arc::new(Selection { relation: Arc::clone(relation), columns, condition });
    let division = moment.division(relation);
    let parts = match division {
        Division::Chunks(chunks) => chunks.min(partitions.max(1)),
        Division::Whole => 1,
    };
    let properties = Arc::new(PlanProperties::new(
        EquivalenceProperties::new(schema),
        Partitioning::UnknownPartitioning(parts),
        EmissionType::Incremental,
        Boundedness::Bounded,
    ));
    let (moment, nulls) = (Arc::clone(moment), Arc::clone(nulls));
    Ok(Arc::new(DatabaseExec { moment, selection, key, division, parts, nulls, properties }))
}

/// Reads a table, a chunk at a time.
struct DatabaseExec {
    moment: Arc<Moment>,
    selection: Arc<Selection>,
    key: Option<Key>,
    division: Division,
    parts: usize,
    nulls: Arc<Nulls>,
    properties: Arc<PlanProperties>,
}

/// What is left of one part.
enum Left {
    /// Chunks, of so many.
    Chunks {
        next: usize,
        of: usize,
    },
    Unopened,
    Cursor(Cursor),
    Nothing,
}

/// The batches of what was read, if every value is what its column holds, as it was when the store was opened.
fn batches(read: Vec<Read>, selection: &Selection) -> Result<Vec<RecordBatch>, DatabaseError> {
    let one = |Read { batch, misfits, .. }: Read| {
        if misfits.iter().any(|count| *count > 0) {
            return Err(DatabaseError::Changed { what: selection.relation.shown.clone() });
        }
        Ok(batch)
    };
    read.into_iter().map(one).collect()
}

impl DatabaseExec {
    fn left(&self, partition: usize) -> Left {
        match self.division {
            Division::Chunks(of) => Left::Chunks { next: partition, of },
            Division::Whole => Left::Unopened,
        }
    }
}

/// Reads the next piece; nothing at the end.
async fn next(
    moment: &Moment,
    selection: &Selection,
    nulls: &Nulls,
    left: Left,
    step: usize,
) -> Result<Option<(Vec<RecordBatch>, Left)>, DatabaseError> {
    match left {
        Left::Chunks { next, of } if next < of => {
            let read = moment.chunk(selection, next, nulls).await?;
            Ok(Some((batches(read, selection)?, Left::Chunks { next: next + step, of })))
        }
        Left::Chunks { .. } | Left::Nothing => Ok(None),
        Left::Unopened => Ok(Some((Vec::new(), Left::Cursor(moment.cursor(selection).await?)))),
        Left::Cursor(cursor) => {
            let read = batches(moment.fetch(&cursor, selection, nulls).await?, selection)?;
            let left = if read.is_empty() { Left::Nothing } else { Left::Cursor(cursor) };
            Ok(Some((read, left)))
        }
    }
}

impl fmt::Debug for DatabaseExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseExec({})", self.selection.relation.shown)
    }
}

impl DisplayAs for DatabaseExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseExec: table={}", self.selection.relation.shown)
    }
}

impl ExecutionPlan for DatabaseExec {
    fn name(&self) -> &str {
        "DatabaseExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { internal_err!("a table has no children") }
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (moment, selection, nulls) =
            (Arc::clone(&self.moment), Arc::clone(&self.selection), Arc::clone(&self.nulls));
        let step = self.parts;
        let stream = futures::stream::try_unfold((self.left(partition), self.key.clone()), move |(left, key)| {
            let (moment, selection, nulls) = (Arc::clone(&moment), Arc::clone(&selection), Arc::clone(&nulls));
            async move {
                let read = async {
                    // Before the first piece. The plan was made with what was so when the store was opened.
                    if let Some(key) = key {
                        moment.check_key(&selection.relation, &key, &nulls).await?;
                    }
                    next(&moment, &selection, &nulls, left, step).await
                };
                let read = read.await.map_err(|error| DataFusionError::External(Box::new(StoreError::from(error))))?;
                Ok::<_, DataFusionError>(read.map(|(batches, left)| (batches, (left, None))))
            }
        });
        let batches = stream.map_ok(|batches| futures::stream::iter(batches.into_iter().map(Ok))).try_flatten();
        let schema = Arc::clone(self.properties.eq_properties.schema());
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches.boxed())))
    }
}
