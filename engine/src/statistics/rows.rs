//! Where each row of a cohort belongs: what is remembered of it, so that later studies can be held against this one.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use consilium_protocol::study::StudySpec;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, lit};

use super::block::Axis;
use super::compute::ordered_session;
use super::plan::{self, steps};
use super::{Layout, StatisticsError};

/// Of each row of a cohort the part of every cut, and the steps of every variable that is summed up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rows {
    /// Row by row, cut by cut.
    pub(crate) parts: Vec<u32>,
    /// Row by row, variable by variable: steps above the minimum, negative where the variable is missing.
    pub(crate) steps: Vec<i64>,
}

/// By which cuts a row of a study is remembered: all that its statistics are by, none twice.
pub(crate) fn cuts(layout: &Layout) -> Vec<Axis> {
    let mut cuts: Vec<Axis> = Vec::new();
    for axis in layout.blocks().iter().flat_map(|block| &block.axes) {
        if cuts.iter().all(|known| known.column != axis.column || known.parts != axis.parts) {
            cuts.push(Axis::of_parts(&axis.column, axis.parts.clone()));
        }
    }
    cuts
}

/// The variables that a study sums up, none twice.
pub(crate) fn summed(spec: &StudySpec, layout: &Layout) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for block in layout.blocks() {
        let has_sums = layout.bundles()[block.bundles.clone()].iter().any(super::block::Bundle::has_sums);
        let of = spec.statistics[block.statistic].kind.variable().filter(|_| has_sums);
        names.extend(of.filter(|name| !names.iter().any(|known| known == name)).map(str::to_string));
    }
    names
}

/// The rows of a cohort, in their order.
///
/// # Errors
/// As of [`compute`](super::compute).
pub(crate) async fn rows(spec: &StudySpec, layout: &Layout, cohort: &[RecordBatch]) -> Result<Rows, StatisticsError> {
    let Some(first) = cohort.first() else { return Ok(Rows::default()) };
    let failed = |_: DataFusionError| StatisticsError::Guarding;
    let schema = first.schema();
    let cuts = cuts(layout);
    let mut columns: Vec<Expr> = Vec::new();
    for (at, cut) in cuts.iter().enumerate() {
        columns.push(plan::position(&schema, std::slice::from_ref(cut))?.alias(format!("cut{at}")));
    }
    for (at, name) in summed(spec, layout).iter().enumerate() {
        let variable = spec.variable(name).ok_or(StatisticsError::Study)?;
        columns.push(steps(&schema, variable)?.alias(format!("steps{at}")));
    }
    let width = columns.len();
    if width == 0 {
        // A projection of nothing has no rows.
        columns.push(lit(0i64).alias("nothing"));
    }
    let frame = ordered_session().and_then(|session| session.read_batches(cohort.to_vec())).map_err(failed)?;
    let mut found = Rows::default();
    let mut count = 0;
    for batch in frame.select(columns).map_err(failed)?.collect().await.map_err(failed)? {
        let columns: Option<Vec<_>> = batch.columns().iter().map(|of| of.as_primitive_opt::<Int64Type>()).collect();
        let columns = columns.ok_or(StatisticsError::Guarding)?;
        for row in 0..batch.num_rows() {
            for (at, column) in columns.iter().enumerate().take(width) {
                if at >= cuts.len() {
                    found.steps.push(if column.is_null(row) { -1 } else { column.value(row) });
                } else if column.is_null(row) {
                    return Err(StatisticsError::Guarding);
                } else {
                    found.parts.push(u32::try_from(column.value(row)).map_err(|_| StatisticsError::Guarding)?);
                }
            }
        }
        count += batch.num_rows();
    }
    if count == cohort.iter().map(RecordBatch::num_rows).sum::<usize>() {
        Ok(found)
    } else {
        Err(StatisticsError::RowCount)
    }
}
