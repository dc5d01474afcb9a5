//! The functions that a study may call: they give the same answer every time, never look outside their arguments, never
//! make a text longer, and keep no list of values.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};

use super::total;

const SCALAR: &[&str] = &[
    "abs",
    "btrim",
    "cbrt",
    "ceil",
    "character_length",
    "coalesce",
    "contains",
    "date_part",
    "date_trunc",
    "ends_with",
    "exp",
    "floor",
    "greatest",
    "isnan",
    "least",
    "left",
    "ln",
    "log",
    "log10",
    "log2",
    "lower",
    "ltrim",
    "make_date",
    "nullif",
    "nvl",
    "power",
    "right",
    "round",
    "rtrim",
    "signum",
    "sqrt",
    "starts_with",
    "strpos",
    "substr",
    "to_date",
    "trunc",
    "upper",
];

/// The scalar functions, with those that operators and conversions stand for.
pub(crate) fn scalar() -> Vec<Arc<ScalarUDF>> {
    total::scalar()
}

/// The aggregate functions.
pub(crate) fn aggregate() -> Vec<Arc<AggregateUDF>> {
    total::aggregate()
}

/// The window functions; aggregate functions may be used as such too.
pub(crate) fn window() -> Vec<Arc<WindowUDF>> {
    total::window()
}

/// Every name by which one of these functions can be called, aliases included.
pub(super) static NAMES: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let mut names = BTreeSet::new();
    let mut add = |name: &str, aliases: &[String]| {
        names.insert(name.to_string());
        names.extend(aliases.iter().cloned());
    };
    scalar().iter().filter(|f| SCALAR.contains(&f.name())).for_each(|f| add(f.name(), f.aliases()));
    aggregate().iter().for_each(|f| add(f.name(), f.aliases()));
    window().iter().for_each(|f| add(f.name(), f.aliases()));
    names
});

/// Every name by which a cohort can call a function.
pub fn names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGGREGATE: &[&str] = &[
        "avg",
        "bool_and",
        "bool_or",
        "count",
        "first_value",
        "last_value",
        "max",
        "median",
        "min",
        "stddev",
        "stddev_pop",
        "sum",
        "var",
        "var_pop",
    ];

    const WINDOW: &[&str] = &["dense_rank", "first_value", "lag", "last_value", "lead", "rank", "row_number"];

    #[test]
    fn every_listed_function_exists_and_no_other_is_reachable() {
        let sorted = |mut names: Vec<String>| {
            names.sort();
            names
        };
        let callable = scalar().iter().map(|f| f.name().to_string()).filter(|name| NAMES.contains(name)).collect();
        assert_eq!(sorted(callable), SCALAR);
        assert_eq!(sorted(aggregate().iter().map(|f| f.name().to_string()).collect()), AGGREGATE);
        assert_eq!(sorted(window().iter().map(|f| f.name().to_string()).collect()), WINDOW);
        for name in [
            "random",
            "uuid",
            "now",
            "current_date",
            "arrow_typeof",
            "version",
            "repeat",
            "concat",
            "lpad",
            "array_agg",
            "string_agg",
            "generate_series",
            "read_csv",
            "regexp_replace",
            "replace",
            // What operators and conversions are planned as.
            "plus",
            "negative",
            "to_whole",
            "decimal",
        ] {
            assert!(!NAMES.contains(name), "{name}");
        }
    }
}
