//! Every function that a query may come to, by name: those of this module, and those of the query engine that cannot
//! fail on arguments of the types that there are.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use datafusion::execution::SessionStateDefaults;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};

use super::each_row::EachRow;
use super::function::Total;
use super::{arithmetic, cast, dates, each_row, finite, mathematics, numbered, sum, texts};

/// Of the query engine, taken as they are. They choose among their arguments; `coalesce` and `nvl` become CASE.
const CHOICES: &[&str] = &["coalesce", "greatest", "least", "nullif", "nvl"];
/// Aggregates of the query engine, taken as they are.
const AGGREGATES: &[&str] = &["bool_and", "bool_or", "count", "first_value", "last_value", "max", "min"];
/// Aggregates of the query engine over doubles, whose results are made finite.
const FINITE: &[&str] = &["corr", "median", "stddev", "stddev_pop", "var", "var_pop"];
/// Window functions of the query engine, taken as they are.
const WINDOWS: &[&str] = &["cume_dist", "first_value", "lag", "last_value", "lead", "percent_rank"];
/// Window functions of the query engine whose numbers get a sign.
const NUMBERED: &[&str] = &["dense_rank", "ntile", "rank", "row_number"];

static SCALARS: LazyLock<BTreeMap<&'static str, Arc<ScalarUDF>>> = LazyLock::new(|| {
    let lists =
        [arithmetic::operators(), cast::functions(), dates::functions(), mathematics::functions(), texts::functions()];
    let own = lists.into_iter().flatten().map(|total| (total.name, total.shared()));
    let choices = SessionStateDefaults::default_scalar_functions().into_iter().filter_map(|function| {
        let name = CHOICES.iter().find(|name| **name == function.name())?;
        Some((*name, function))
    });
    let each_row = (each_row::NAME, Arc::new(ScalarUDF::new_from_impl(EachRow::new())));
    own.chain(choices).chain([each_row]).collect()
});

/// The scalar functions, those that no query can call by name among them.
pub(in crate::cohort) fn scalar() -> Vec<Arc<ScalarUDF>> {
    SCALARS.values().cloned().collect()
}

/// A scalar function.
pub(super) fn scalar_by_name(name: &str) -> Option<Arc<ScalarUDF>> {
    SCALARS.get(name).cloned()
}

/// The aggregate functions.
pub(in crate::cohort) fn aggregate() -> Vec<Arc<AggregateUDF>> {
    let known = SessionStateDefaults::default_aggregate_functions();
    let plain = known.iter().filter(|function| AGGREGATES.contains(&function.name())).cloned();
    let made_finite =
        known.iter().filter(|function| FINITE.contains(&function.name())).map(|inner| finite::over(inner));
    plain.chain(made_finite).chain(sum::functions()).collect()
}

/// The window functions.
pub(in crate::cohort) fn window() -> Vec<Arc<WindowUDF>> {
    let known = SessionStateDefaults::default_window_functions();
    let plain = known.iter().filter(|function| WINDOWS.contains(&function.name())).cloned();
    let with_sign =
        known.iter().filter(|function| NUMBERED.contains(&function.name())).map(|inner| numbered::over(inner));
    plain.chain(with_sign).collect()
}

/// Whether a function of a plan is one of these.
pub(super) fn admits_scalar(function: &ScalarUDF) -> bool {
    let own = function.inner().is::<Total>() || function.inner().is::<EachRow>();
    own || ["greatest", "least", "nullif"].contains(&function.name())
}

/// Whether an aggregate of a plan is one of these.
pub(super) fn admits_aggregate(function: &AggregateUDF) -> bool {
    let own = function.inner().is::<sum::Added>() || function.inner().is::<finite::Finite>();
    own || AGGREGATES.contains(&function.name())
}

/// Whether a window function of a plan is one of these.
pub(super) fn admits_window(function: &WindowUDF) -> bool {
    function.inner().is::<numbered::Numbered>() || WINDOWS.contains(&function.name())
}
