//! What the query engine's refusal to plan a query means, in the words of cohorts.
//!
//! The engine refuses with texts, which quote what a query has in it and what it computed from that. Such a text is recognised here
//! and never passed on: only the names of columns and functions are taken from it, and types, of which there are few.

use arrow::datatypes::DataType;
use datafusion::common::utils::datafusion_strsim::levenshtein;
use datafusion::common::{Column, DataFusionError, SchemaError};

use super::error::CohortError;
use crate::store::omop;

/// Before what a function of ours says of its arguments, so that it is found in the texts that the engine makes of it.
const UNFIT: &str = "unfit arguments: ";

/// That a function is not for arguments of these types.
pub(super) fn unfit(function: &str, types: &[DataType]) -> DataFusionError {
    let types: Vec<String> = types.iter().map(ToString::to_string).collect();
    let found: Vec<&str> = types.iter().map(|name| words(name)).collect();
    let found = match found.split_last() {
        None => "no arguments".to_string(),
        Some((last, [])) => (*last).to_string(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    };
    unfit_for(function, &found)
}

/// That a function is not for arguments that these words describe.
pub(super) fn unfit_for(function: &str, found: &str) -> DataFusionError {
    DataFusionError::Plan(format!("{UNFIT}{function}|{found};"))
}

/// What an error of the engine means.
pub(super) fn meaning(error: &DataFusionError) -> CohortError {
    let mut error = error;
    loop {
        match error {
            DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => error = inner,
            DataFusionError::Shared(inner) => error = inner,
            DataFusionError::Collection(errors) if !errors.is_empty() => error = &errors[0],
            DataFusionError::SchemaError(schema, _) => return of_names(schema),
            DataFusionError::External(inner) => {
                return inner.downcast_ref::<CohortError>().cloned().unwrap_or(CohortError::Unplannable);
            }
            DataFusionError::Plan(text)
            | DataFusionError::NotImplemented(text)
            | DataFusionError::Execution(text)
            | DataFusionError::Internal(text) => {
                return of_text(text).unwrap_or(CohortError::Unplannable);
            }
            // While a query is planned, only literals are computed.
            DataFusionError::ArrowError(..) => return CohortError::Construct { what: NO_SUCH_LITERAL },
            _ => return CohortError::Unplannable,
        }
    }
}

/// Of these names the one that a misspelt one is nearest to, if it is near.
pub(super) fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<String> {
    let distance = |other: &str| levenshtein(name, &other.to_ascii_lowercase());
    let near = names.filter(|other| *other != name).map(|other| (distance(other), other)).min()?;
    (near.0 <= 1 + name.len() / 8 && name.len() > 2).then(|| near.1.to_string())
}

fn of_names(error: &SchemaError) -> CohortError {
    let shown = |column: &Column| column.flat_name().chars().take(120).collect::<String>();
    let name = match error {
        SchemaError::FieldNotFound { field, .. } | SchemaError::AmbiguousReference { field } => &field.name,
        SchemaError::DuplicateQualifiedField { name, .. } | SchemaError::DuplicateUnqualifiedField { name } => name,
    };
    // The engine calls each of them by its operator alone.
    if ["EXISTS", "NOT EXISTS", "IN", "NOT IN"].contains(&name.as_str()) {
        return CohortError::Construct {
            what: "GROUP BY of several EXISTS or IN (instead of columns that a WITH query computes first)",
        };
    }
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let name = field.name.to_ascii_lowercase();
            match omop::later_name(&name) {
                Some(now) => CohortError::FormerColumn { name: shown(field), now },
                None if omop::is_withheld(&name) => CohortError::WithheldColumn { name: shown(field) },
                None => {
                    let near = nearest(&name, valid_fields.iter().map(|valid| valid.name.as_str()));
                    CohortError::UnknownColumn { name: shown(field), near }
                }
            }
        }
        SchemaError::AmbiguousReference { field } => CohortError::AmbiguousColumn { name: shown(field) },
        // The engine names what it computes, and leaves casts out of the name.
        SchemaError::DuplicateUnqualifiedField { name } if name.contains('(') => CohortError::Construct {
            what: "the same function of a column and of a CAST of it (instead of a CAST that a WITH query computes first)",
        },
        SchemaError::DuplicateQualifiedField { name, .. } | SchemaError::DuplicateUnqualifiedField { name } => {
            CohortError::AmbiguousColumn { name: name.chars().take(120).collect() }
        }
    }
}

/// Texts that say all by what they are.
const SAID: &[(&str, &str)] = &[
    (
        "Aggregate functions are not allowed in the WHERE",
        "an aggregate in WHERE (instead of HAVING, or a WITH query that computes it)",
    ),
    (
        "Aggregate function calls cannot",
        "an aggregate of an aggregate or of a window function (instead of a WITH query with the one, and the other over it)",
    ),
    (
        "Window function calls cannot be nested",
        "a window function of a window function (instead of a WITH query with the one, and the other over it)",
    ),
    ("different number of", "UNION, EXCEPT or INTERSECT of queries with different numbers of columns"),
    (
        "Incompatible inputs for Union",
        "UNION of columns whose types do not go together (instead of a CAST of each to one type)",
    ),
    ("return one column", SEVERAL_COLUMNS),
    ("exactly one column", SEVERAL_COLUMNS),
    ("non-boolean predicate", NO_CONDITION),
    ("must be boolean type", NO_CONDITION),
    ("for logical boolean operation", NO_CONDITION),
    ("requires a boolean expression", NO_CONDITION),
    (
        "Failed to coerce then",
        "CASE with results whose types do not go together (instead of a CAST of each to one type)",
    ),
    ("Failed to coerce case", "CASE of a value that is compared with another type (instead of a CAST of it)"),
    (
        "For SELECT DISTINCT, ORDER BY",
        "ORDER BY of what SELECT DISTINCT leaves out (instead of no ORDER BY, which does nothing here)",
    ),
    ("Cannot find column with position", "GROUP BY or ORDER BY of a position that the SELECT does not have"),
    ("names given as column alias", "an alias, or (a, b) IN (SELECT …), with more or fewer columns than its query has"),
    ("specified more than once", "a name that WITH defines twice"),
    (
        "Invalid function '",
        "a window function without OVER (instead of one with OVER (PARTITION BY the person's id ORDER BY …))",
    ),
    ("out of bounds", "GROUP BY or ORDER BY of a position that the SELECT does not have"),
    ("Invalid qualifier", "all columns of a table that FROM does not have (instead of an alias that it has)"),
    ("with datetime is not supported", "CEIL or FLOOR of a date (instead of date_trunc('month', …) and the like)"),
    ("with scale is not supported", "CEIL or FLOOR to digits (instead of round(x, n) or trunc(x, n))"),
    ("Wildcard", "* as an argument (instead of count(*), or a column)"),
    ("is not defined!", "a window by a name that WINDOW does not define"),
    ("Inconsistent data length across values", "VALUES with rows of different lengths"),
    ("Invalid window frame", "a window frame that does not go with its ORDER BY (instead of ROWS BETWEEN … AND …)"),
    ("RANGE requires exactly one ORDER BY", "a window frame of RANGE with several ORDER BY (instead of ROWS)"),
    ("GROUPS requires an ORDER BY", "a window frame of GROUPS without ORDER BY"),
    ("QUALIFY clause requires window functions", "QUALIFY without a window function (instead of WHERE or HAVING)"),
    ("SELECT * with no tables", "SELECT * without FROM"),
    ("wildcard * with", "SELECT * with RENAME or the like (instead of the columns' names)"),
    ("Decimal(precision", "a DECIMAL of such precision (instead of DOUBLE)"),
];

/// Why a subquery is no value.
pub(super) const SEVERAL_COLUMNS: &str =
    "a subquery of several columns in the place of one value (instead of one column, or EXISTS)";

const NO_SUCH_LITERAL: &str =
    "a literal that its place does not take (such as INTERVAL '1' MONTH without a number or a unit)";

const NO_CONDITION: &str =
    "a condition that is neither true nor false (instead of a comparison, such as x = 1 or x IS NOT NULL)";

fn of_text(text: &str) -> Option<CohortError> {
    if let Some((function, found)) =
        text.split_once(UNFIT).and_then(|(_, rest)| rest.split_once(';')?.0.split_once('|'))
    {
        return Some(CohortError::Arguments { function: function.to_string(), found: found.to_string() });
    }
    if let Some((_, what)) = SAID.iter().find(|(said, _)| text.contains(said)) {
        return Some(CohortError::Construct { what });
    }
    let is_grouped = text.contains("must appear in the GROUP BY clause");
    if is_grouped {
        let column = between(text, "column \"", "\" must").or_else(|| between(text, "clause references: ", " must"));
        return Some(CohortError::NotGrouped {
            what: column.map_or_else(|| "a part of the SELECT".into(), |c| format!("`{c}`")),
        });
    }
    if let Some(types) = compared(text) {
        return Some(types);
    }
    let call = ["Function '", "a call to '", "argument types '", "The function '", "The function ", "'"];
    let is_of_a_call = ["arguments", "argument", "signature"].iter().any(|word| text.contains(word));
    let function = call.iter().filter(|_| is_of_a_call).find_map(|before| {
        let (_, rest) = text.split_once(before)?;
        let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').take(60).collect();
        (!name.is_empty()).then(|| name.to_ascii_lowercase())
    });
    function
        .map(|function| CohortError::Arguments { function, found: "arguments of these types or of this number".into() })
}

/// Two types that nothing compares.
fn compared(text: &str) -> Option<CohortError> {
    let between_words = |before: &str, middle: &[&str], after: &str| {
        let (_, rest) = text.split_once(before)?;
        let (left, rest) = middle.iter().find_map(|sign| rest.split_once(sign))?;
        let right = if after.is_empty() { rest } else { rest.split_once(after)?.0 };
        Some((words(left), words(right)))
    };
    let signs = [" IS DISTINCT FROM ", " IS NOT DISTINCT FROM ", " >= ", " <= ", " != ", " <> ", " = ", " > ", " < "];
    let (left, right) = between_words("for comparison operation ", &signs, "")
        .or_else(|| between_words("Failed to coerce types ", &[" and "], " in BETWEEN"))
        .or_else(|| between_words("common type to coerce ", &[" and "], " in "))
        .or_else(|| between_words("types to compare ", &[" with ["], "]"))
        .or_else(|| between_words("Cannot automatically convert ", &[" to "], ""))?;
    Some(CohortError::Incomparable { left, right })
}

/// A column's name that stands between two texts.
fn between(text: &str, before: &str, after: &str) -> Option<String> {
    let (found, _) = text.split_once(before)?.1.split_once(after)?;
    let is_name = !found.is_empty() && found.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.');
    (is_name && found.len() <= 120).then(|| found.to_string())
}

/// What a type is called, by the engine's name of it.
fn words(name: &str) -> &'static str {
    const WORDS: &[(&str, &str)] = &[
        ("Int", "a whole number"),
        ("UInt", "a whole number"),
        ("Float", "a number"),
        ("Decimal", "a number"),
        ("Utf8", "a text"),
        ("LargeUtf8", "a text"),
        ("Boolean", "a truth value"),
        ("Date", "a date"),
        ("Timestamp", "a date and time"),
        ("Interval", "a length of time"),
        ("Duration", "a length of time"),
        ("Null", "NULL"),
    ];
    // Lengths of time begin as whole numbers do.
    let found = WORDS.iter().rev().find(|(begins, _)| name.trim().starts_with(begins));
    found.map_or("a value of another type", |(_, words)| words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        meaning(&DataFusionError::Plan(text.to_string())).to_string()
    }

    #[test]
    fn nothing_but_names_and_types_is_taken_from_the_engines_texts() {
        let secret = "Utf8(\"SECRET\")";
        for text in [
            format!("Column in SELECT must be in GROUP BY: column \"{secret}\" must appear in the GROUP BY clause or"),
            format!("HAVING clause references: {secret} must appear in the GROUP BY clause or"),
            format!("Cannot create filter with non-boolean predicate '{secret}' returning Utf8"),
            format!("Cannot infer common argument type for comparison operation {secret} = Int64"),
            format!("No function matches the given name and argument types 'f({secret})'"),
            format!("something else of {secret}"),
        ] {
            assert!(!said(&text).contains("SECRET"), "{text}");
        }
    }

    #[test]
    fn what_is_recognised_says_which() {
        let column = "column \"p.year_of_birth\" must appear in the GROUP BY clause or must be part of";
        assert!(said(column).contains("`p.year_of_birth` is neither grouped"));
        let types =
            "Cannot infer common argument type for comparison operation Interval(MonthDayNano) >= Timestamp(µs)";
        assert!(said(types).contains("a length of time") && said(types).contains("a date and time"), "{}", said(types));
        let wrapped =
            format!("Function 'round' user-defined coercion failed with: {}", unfit("round", &[DataType::Utf8]));
        assert!(said(&wrapped).contains("`round` cannot be taken of a text;"), "{}", said(&wrapped));
    }
}
