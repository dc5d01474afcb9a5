//! Windows whose size and defaults are the same for all rows, and aggregates that can leave rows behind.

use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{Expr, ExprSchemable, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition};

use super::rule::{converted, refused};
use crate::cohort::CohortError;

/// How far a window reaches, at most, in rows or groups.
const REACH: u64 = 1_000_000_000;

/// Aggregates that can leave rows behind when a window moves on.
const SLIDING: &[&str] = &["avg", "count", "max", "min", "stddev", "stddev_pop", "sum", "var", "var_pop"];

/// Checks a window function, and gives the default of `lag` and `lead` its type.
pub(super) fn check(function: &mut WindowFunction, schema: &DFSchema) -> Result<()> {
    let frame = &function.params.window_frame;
    if frame.units != WindowFrameUnits::Range && [&frame.start_bound, &frame.end_bound].into_iter().any(reaches_far) {
        return refused(CohortError::TooLarge { what: "a window of more than 1,000,000,000 rows" });
    }
    // A row of no value ends with the last of its kind, which the engine may not have read yet.
    let ends_before = matches!(&frame.end_bound, WindowFrameBound::Preceding(bound) if !bound.is_null());
    if frame.units == WindowFrameUnits::Range && ends_before {
        let what = "a RANGE window that ends with PRECEDING (instead of one that ends with CURRENT ROW, or ROWS)";
        return refused(CohortError::Construct { what });
    }
    let moves = !matches!(&frame.start_bound, WindowFrameBound::Preceding(bound) if bound.is_null());
    match &function.fun {
        WindowFunctionDefinition::AggregateUDF(aggregate) => {
            if moves && !SLIDING.contains(&aggregate.name()) {
                let what = "this aggregate over a window that does not begin with the first row (UNBOUNDED PRECEDING)";
                return refused(CohortError::Construct { what });
            }
        }
        WindowFunctionDefinition::WindowUDF(window) if ["lag", "lead"].contains(&window.name()) => {
            shift(&mut function.params.args, schema)?;
        }
        WindowFunctionDefinition::WindowUDF(_) => {}
    }
    Ok(())
}

fn reaches_far(bound: &WindowFrameBound) -> bool {
    match bound {
        WindowFrameBound::Preceding(ScalarValue::UInt64(rows))
        | WindowFrameBound::Following(ScalarValue::UInt64(rows)) => rows.is_some_and(|rows| rows > REACH),
        WindowFrameBound::CurrentRow => false,
        // Whatever else a frame may be counted in is not counted in rows.
        WindowFrameBound::Preceding(bound) | WindowFrameBound::Following(bound) => !bound.is_null(),
    }
}

/// `lag(x, rows, default)`: rows and default are read once, before any row is.
fn shift(args: &mut [Expr], schema: &DFSchema) -> Result<()> {
    let Some((value, rest)) = args.split_first_mut() else { return Ok(()) };
    let of = value.get_type(schema)?;
    if let Some(rows) = rest.first() {
        match rows {
            Expr::Literal(ScalarValue::Int64(Some(rows)), _) if rows.unsigned_abs() <= REACH => {}
            Expr::Literal(ScalarValue::Int64(Some(_)), _) => {
                return refused(CohortError::TooLarge { what: "lag or lead by more than 1,000,000,000 rows" });
            }
            _ => {
                return refused(CohortError::Construct { what: "lag or lead by a number of rows that is no literal" });
            }
        }
    }
    if let Some(default) = rest.get_mut(1) {
        let given = std::mem::replace(default, Expr::Literal(ScalarValue::Null, None));
        *default = converted(given, &of, schema, true)?;
        if !matches!(default, Expr::Literal(..)) {
            return refused(CohortError::Construct { what: "lag or lead with a default that is no literal" });
        }
    }
    Ok(())
}
