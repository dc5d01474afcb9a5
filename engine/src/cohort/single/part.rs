//! The part of a query that can give a patient several rows, in words, with the form that does not.

use std::collections::BTreeSet;

use super::Proof;
use crate::cohort::determined::Attribute;
use crate::cohort::error::CohortError;

/// What an identity stands for, to be named when the subject does not determine it.
#[derive(Clone)]
pub(super) enum Part {
    Table(String),
    Grouped { how: &'static str, by: Vec<(String, Attribute)> },
    Union,
    Values,
    Join,
}

impl Proof {
    /// The refusal for an identity that the subject does not determine.
    pub(super) fn several(&self, identity: Attribute, determined: &BTreeSet<Attribute>) -> CohortError {
        let (part, form) = match self.parts.get(&identity) {
            Some(Part::Table(name)) => (
                match name.as_str() {
                    "death" => {
                        "`death` can have several rows of one patient, though OMOP means it to have one".to_string()
                    }
                    _ => format!("`{name}` can have several rows of one patient"),
                },
                "GROUP BY the person's id with max(…), min(…) or count(…), keep one by row_number() OVER (PARTITION BY \
                 the person's id ORDER BY …) = 1, or ask with EXISTS instead of a join",
            ),
            Some(Part::Grouped { how, by }) => {
                let several = by.iter().find(|(_, column)| !determined.contains(column));
                let name = several.map_or("a column", |(name, _)| name);
                (
                    format!("one patient can have several values of `{name}`, and {how} keeps a row of each"),
                    "put it into max(…) or min(…) and GROUP BY the person's id",
                )
            }
            Some(Part::Union) => (
                "UNION can have a row of one patient from each of its parts".to_string(),
                "GROUP BY the person's id over it, or select the person's id alone in each part of a UNION without ALL",
            ),
            Some(Part::Values) => (
                "a patient's row can fit several rows of VALUES".to_string(),
                "GROUP BY the person's id with max(…) or min(…), or use CASE instead",
            ),
            Some(Part::Join) | None => (
                "a join can give one patient several rows".to_string(),
                "GROUP BY the person's id with max(…), min(…) or count(…), or ask with EXISTS instead",
            ),
        };
        CohortError::SeveralRowsPerSubject { part, form }
    }
}
