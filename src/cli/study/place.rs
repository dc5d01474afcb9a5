//! Where in a study file its SQL is wrong.

use std::path::Path;

use consilium_engine::cohort::CohortError;
use consilium_protocol::study::StudySpec;

use crate::cli::Failure;

/// The refusal of a study file's query, with the line where that is known. Lines are those of `cohort.sql`, from 1; the
/// file's own line is said as well where the text stands there as it is.
pub(super) fn refusal(path: &Path, text: &str, spec: &StudySpec, error: &CohortError) -> Failure {
    let mut message = format!("{}: cohort.sql: {error}", path.display());
    if let CohortError::Syntax { line, column } = error
        && let Some(shown) = pointer(text, &spec.cohort.sql, *line, *column)
    {
        message.push_str(&shown);
    }
    Failure::new(message)
}

/// The line of the query with a mark below the column.
fn pointer(file: &str, sql: &str, line: u64, column: u64) -> Option<String> {
    let position = usize::try_from(line).ok()?.checked_sub(1)?;
    let shown = sql.lines().nth(position)?;
    let place = match line_in_file(file, sql) {
        Some(first) => format!("line {} of the file", first + position),
        None => format!("line {line} of the query"),
    };
    let before = usize::try_from(column).ok()?.saturating_sub(1).min(shown.chars().count());
    Some(format!("\n{place}:\n  {shown}\n  {}^", " ".repeat(before)))
}

/// The line of the file in which the query begins.
fn line_in_file(file: &str, sql: &str) -> Option<usize> {
    let file = file.replace("\r\n", "\n");
    let (at, _) = file.match_indices(sql.trim_end()).next().filter(|_| !sql.trim().is_empty())?;
    Some(file[..at].matches('\n').count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_shown_with_a_mark() {
        let sql = "SELECT person_id\nFROM person WHRE x = 1\n";
        let file = format!("version = 1\n\n[cohort]\nsql = \"\"\"\n{sql}\"\"\"\n");
        let text = pointer(&file, sql, 2, 18).expect("a place");
        assert_eq!(text, "\nline 6 of the file:\n  FROM person WHRE x = 1\n                   ^");
        // A query that is written otherwise in the file, with escapes, has lines of its own.
        assert!(pointer("sql = 'x'", sql, 1, 1).expect("a place").contains("line 1 of the query"));
        assert_eq!(pointer(&file, sql, 0, 0), None);
        assert_eq!(pointer(&file, sql, 9, 1), None);
    }
}
