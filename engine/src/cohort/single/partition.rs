//! What window functions determine within a partition.

use datafusion::logical_expr::expr::{NullTreatment, WindowFunction};
use datafusion::logical_expr::{WindowFrame, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition};

/// Whether it numbers the rows of a partition, each differently.
pub(super) fn is_row_number(function: &WindowFunction) -> bool {
    matches!(&function.fun, WindowFunctionDefinition::WindowUDF(function) if function.name() == "row_number")
}

/// Whether every row of a partition gets the same value: that of the whole partition, or of its first or last row.
pub(super) fn is_one_per_partition(function: &WindowFunction) -> bool {
    let params = &function.params;
    let WindowFrame { start_bound: start, end_bound: end, .. } = &params.window_frame;
    let from_start = matches!(start, WindowFrameBound::Preceding(_)) && start.is_unbounded();
    let to_end = matches!(end, WindowFrameBound::Following(_)) && end.is_unbounded();
    let to_here = to_end || *end == WindowFrameBound::CurrentRow;
    let from_here = from_start || *start == WindowFrameBound::CurrentRow;
    let all_peers = params.order_by.is_empty() && params.window_frame.units != WindowFrameUnits::Rows;
    match &function.fun {
        WindowFunctionDefinition::AggregateUDF(_) => from_start && (to_end || to_here && all_peers),
        WindowFunctionDefinition::WindowUDF(function) => {
            let skips = params.null_treatment == Some(NullTreatment::IgnoreNulls);
            match function.name() {
                "first_value" => from_start && to_here && !skips,
                "last_value" => from_here && to_end && !skips,
                _ => false,
            }
        }
    }
}
