//! A study's cohort: from its SQL to one row per consenting patient.
//!
//! [`run`] takes the way of every query: it is parsed, as the standard reads it (`dialect`), held against a list of what
//! cohorts may consist of (`parse`) and weighed (`weight`), planned over gated tables only (`plan`) on a deep stack (`deep`)
//! unless it would grow there (`size`). Its plan is searched for identifiers in the wrong place (`lineage`), its subqueries
//! are brought into forms that the query engine gets right (`subqueries`), it is searched for joins that explode and for
//! rows made of several patients' (`patientwise`), and proved to have one row a patient (`single`, `determined`). Its
//! expressions give a value or NULL for every row (`total`), and what is the same for all rows is computed once (`fold`).
//! It runs within limits of memory, rows and time (`run`, `watch`). What the numbers of a guarded study are made of is read from
//! the text alone (`form`). [`check`] takes the same way without data, so that a
//! researcher learns of a refusal before a hospital does.

mod deep;
mod determined;
mod dialect;
mod error;
pub(crate) mod fold;
pub(crate) mod form;
pub(crate) mod functions;
mod lineage;
mod parse;
mod patientwise;
mod plan;
mod run;
mod single;
mod size;
mod spelling;
mod subqueries;
pub(crate) mod total;
mod types;
mod watch;
mod weight;

pub use deep::{Panicked, on_a_deep_stack};
pub use error::CohortError;
pub use functions::names as function_names;
pub use plan::{Reads, TableRead};
pub(crate) use run::run_through;
pub use run::{Cohort, Limits, check, run};
pub(crate) use spelling::{any_day, depends_on_the_day};
