//! What is put together has the names of its first part in all of them.
//!
//! A union is of columns by their places, and is called by the names of its first part. Some of the engine's rules look a column
//! of the union up in a part by its name, and find another of that name, or none.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, Union};

use super::error::CohortError;
use super::refusal::meaning;
use super::subqueries::columns_of;

/// Gives the parts of every union its names.
pub(super) fn named(plan: LogicalPlan) -> Result<LogicalPlan, CohortError> {
    let named = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::Union(Union { inputs, schema }) = node else { return Ok(Transformed::no(node)) };
        let part = |input: Arc<LogicalPlan>| -> Result<Arc<LogicalPlan>> {
            let names = || schema.fields().iter().map(|field| field.name());
            if input.schema().fields().iter().map(|field| field.name()).eq(names()) {
                return Ok(input);
            }
            let columns = columns_of(&input).into_iter().zip(names()).map(|(column, name)| column.alias(name));
            let columns: Vec<_> = columns.collect();
            LogicalPlanBuilder::from(Arc::unwrap_or_clone(input)).project(columns)?.build().map(Arc::new)
        };
        let inputs = inputs.into_iter().map(part).collect::<Result<Vec<_>>>()?;
        Ok(Transformed::yes(LogicalPlan::Union(Union { inputs, schema })))
    });
    named.data().map_err(|error| meaning(&error))
}
