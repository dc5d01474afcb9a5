//! From a study to the plans that are run: one, or one for each bucket of a store that is laid out by patient.
//!
//! Everything is proved of the study's one plan. That plan makes each row of one patient's rows alone (`patientwise`), so its
//! rows over all patients are its rows over the patients of each bucket together, and each bucket's patients are in no other.
//! A bucket is planned without partitions, so that nothing is exchanged between threads; what runs at once are buckets. A plan
//! is made when there is room to run it.

use std::sync::Arc;
use std::time::Instant;

use arrow::datatypes::{Field, Schema, SchemaRef};
use consilium_protocol::ids::Date;
use consilium_protocol::study::StudySpec;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::error::CohortError;
use super::once::{Held, Once};
use super::plan::{Planned, Reads, physical, plan};
use super::types::Wanted;
use super::watch::watch;
use crate::gate::Bucket;

/// A plan to run.
pub(super) struct Step {
    /// Its place among the plans.
    pub(super) number: usize,
    pub(super) plan: Arc<dyn ExecutionPlan>,
    pub(super) context: Arc<TaskContext>,
    /// What it reads of memory that was computed before.
    pub(super) _held: Held,
}

/// What is known as soon as there is a plan.
pub(super) struct Begun {
    pub(super) columns: Vec<Wanted>,
    pub(super) reads: Reads,
    pub(super) schema: SchemaRef,
}

/// What a study is planned with.
pub(super) struct Planning {
    pub(super) context: SessionContext,
    /// The day that `as_of()` is.
    pub(super) as_of: Date,
    /// How many buckets the store has; none where it is not laid out by patient.
    pub(super) buckets: usize,
    pub(super) memory_bytes: usize,
    pub(super) deadline: Instant,
    /// Where what is computed once runs; plans are made on a thread of their own.
    pub(super) runtime: Handle,
}

impl Planning {
    /// Plans a study, and hands the plans on one by one until nobody takes them.
    pub(super) async fn plan(
        self,
        spec: StudySpec,
        begin: oneshot::Sender<Begun>,
        next: mpsc::Sender<Step>,
    ) -> Result<(), CohortError> {
        let Planned { plan, columns, reads } = plan(&self.context, &spec, self.as_of).await?;
        let once = Once { planning: &self, nobody_waits: &next };
        let (plan, held) = if self.buckets > 1 { once.computed(plan).await? } else { (plan, Held::default()) };
        let mut begin = Some((begin, reads));
        for number in 0..self.buckets.max(1) {
            let mut state = self.context.state();
            if self.buckets > 0 {
                let config = state.config().clone().with_target_partitions(1).with_extension(Arc::new(Bucket(number)));
                *state.config_mut() = config;
            }
            let plan = watch(physical(&state, &plan).await?, self.deadline).map_err(|_| CohortError::Internal)?;
            if let Some((begin, reads)) = begin.take() {
                let schema = result_schema(&plan, &columns)?;
                // Where nobody waits, the next plan finds that out.
                let _ = begin.send(Begun { columns: columns.clone(), reads, schema });
            }
            let step = Step { number, plan, context: state.task_ctx(), _held: held.clone() };
            if next.send(step).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}

fn result_schema(plan: &Arc<dyn ExecutionPlan>, columns: &[Wanted]) -> Result<SchemaRef, CohortError> {
    let schema = plan.schema();
    let mut fields = Vec::with_capacity(columns.len());
    for (wanted, field) in columns.iter().zip(schema.fields().iter().skip(1)) {
        fields.push(Field::new(&wanted.name, wanted.check(field.data_type())?, true));
    }
    Ok(Arc::new(Schema::new(fields)))
}
