//! A study's cohort: from its SQL to one row per consenting patient.
//!
//! [`run`] takes the way of every query: it is parsed (`dialect`), held against a list of what cohorts may consist of
//! (`parse`) and weighed (`weight`), planned over gated tables only (`plan`) on a deep stack (`deep`) unless it would grow there
//! (`size`), its plan is searched for identifiers in the wrong place (`lineage`), for joins that explode, and for rows made
//! of several patients' (`patientwise`), it is proved to have one row a patient (`single`, `determined`), and it runs within
//! limits of memory, rows and time (`run`, `watch`). [`check`] takes the same way without data, so that a researcher learns
//! of a refusal before a hospital does.

mod deep;
mod determined;
mod dialect;
mod error;
pub(crate) mod functions;
mod lineage;
mod parse;
mod patientwise;
mod plan;
mod run;
mod single;
mod size;
mod types;
mod watch;
mod weight;

pub use deep::{Panicked, on_a_deep_stack};
pub use error::CohortError;
pub use plan::{Reads, TableRead};
pub use run::{Cohort, Limits, check, run};
