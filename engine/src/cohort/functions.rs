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
    "width_bucket",
];

/// What to write instead of a function that is not there.
pub(super) fn instead_of(name: &str) -> &'static str {
    match name.to_ascii_lowercase().as_str() {
        "percentile_cont"
        | "percentile_disc"
        | "approx_percentile"
        | "approx_percentile_cont"
        | "approx_quantiles"
        | "quantile"
        | "percentile"
        | "mode" => "take median(x) of a patient's values, or ask for a histogram of all patients'",
        "string_agg" | "listagg" | "group_concat" | "array_agg" | "concat" | "concat_ws" | "replace" => {
            "compare, group or count each text by itself; none is made longer here"
        }
        "to_char" | "format" | "date_format" | "datename" | "strftime" | "str" => {
            "take date_part('year', …) and the like of dates, and numbers as they are"
        }
        "grouping" | "grouping_id" => "declare dimensions: a study's statistics give their totals",
        "months_between" | "timestampdiff" => "take the days between two as a - b, divided by 30.44 for months",
        "eomonth" | "last_day" => "take date_trunc('month', d) + INTERVAL '1' MONTH, the first day after it",
        "decode" => "write CASE … WHEN … THEN … ELSE … END",
        "regexp_like" | "regexp_match" | "regexp_matches" | "regexp_contains" | "regexp_count" | "rlike" => {
            "write LIKE, or IN of the values that are meant"
        }
        "isnumeric" | "isdate" => "take TRY_CAST(… AS …) IS NOT NULL",
        "max_by" | "min_by" | "arg_max" | "arg_min" => "take first_value(x ORDER BY d DESC) of a patient's rows",
        "make_interval" => "write INTERVAL '30' DAY, or add a number of days to a date",
        "newid" | "rand" | "random" => "a cohort is everyone who meets its conditions, not chosen by chance",
        _ => {
            "use functions of numbers, dates and single texts that give the same answer every time, such as coalesce, date_part, \
             round or count"
        }
    }
}

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

/// The names of aggregates among them.
pub(super) static AGGREGATES: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let named = aggregate()
        .into_iter()
        .flat_map(|f| f.aliases().iter().cloned().chain([f.name().to_string()]).collect::<Vec<_>>());
    named.collect()
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
        "corr",
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

    const WINDOW: &[&str] = &[
        "cume_dist",
        "dense_rank",
        "first_value",
        "lag",
        "last_value",
        "lead",
        "ntile",
        "percent_rank",
        "rank",
        "row_number",
    ];

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
