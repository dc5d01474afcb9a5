//! The result as one JSON object: `result` and `provenance`.
//!
//! A number is a number, a noisy one `{"value", "sigma", "low", "high"}` (95 %), a suppressed one `{"suppressed":
//! "<rule>"}`, and one that does not exist, such as the mean of nobody, `null`.

use serde::Serialize;

use super::{Provenance, StudyResult};
use crate::disclosure::Released;

#[derive(Serialize)]
struct Document<'a> {
    result: &'a Released<StudyResult>,
    provenance: &'a Provenance,
}

/// Writes the file, indented, with a newline at the end.
///
/// # Errors
/// None of the types here makes the writer fail; its error is passed on all the same.
pub fn render(result: &Released<StudyResult>, provenance: &Provenance) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(&Document { result, provenance })?;
    text.push('\n');
    Ok(text)
}
