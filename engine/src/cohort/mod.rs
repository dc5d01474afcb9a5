//! A study's cohort: from its SQL to one row per consenting patient.
//!
//! [`run`] takes the way of every query: it is parsed and held against a list of what cohorts may consist of (`parse`),
//! planned over gated tables only (`plan`), its plan is searched for identifiers in the wrong place (`lineage`), its
//! subqueries are brought into forms that the query engine gets right (`subqueries`), it is searched for joins
//! that explode, and for rows made of several patients' (`patientwise`), and it runs within limits of memory, rows and time
//! (`run`, `watch`). [`check`] takes the same way without data, so that a researcher learns of a refusal before a hospital
//! does.

mod dialect;
mod error;
pub(crate) mod fold;
pub(crate) mod functions;
mod lineage;
mod parse;
mod patientwise;
mod plan;
mod run;
mod subqueries;
mod types;
mod watch;

pub use error::CohortError;
pub use plan::{Reads, TableRead};
pub(crate) use run::run_through;
pub use run::{Cohort, Limits, check, run};
