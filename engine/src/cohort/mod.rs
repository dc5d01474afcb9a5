//! A study's cohort: from its SQL to one row per consenting patient.
//!
//! [`run`] takes the way of every query: it is parsed, as the standard reads it (`dialect`), what other databases write
//! otherwise is put into words of ours (`spelling`), it is held against a list of what cohorts may consist of (`parse`) and
//! weighed (`weight`), the study's sets of concepts are defined in it (`concepts`), and it is planned over gated tables only
//! (`plan`), each subquery by a name of its own (`naming`), on a deep stack (`deep`) unless it would grow there (`size`); what the
//! engine refuses is said in words of ours (`refusal`). Of its plan it is checked that days are compared with days
//! (`comparable`); full joins become left ones (`full`), and joins by a record those by its person, too (`same_person`). It is
//! searched for identifiers in the wrong place (`lineage`), its subqueries are brought into forms that the query engine gets
//! right (`subqueries`, with `nulls`), it is searched for joins that explode and for rows made of several patients'
//! (`patientwise`), and proved to have one row a patient (`single`, `determined`). Its expressions give a value or NULL for
//! every row (`total`), and what is the same for all rows is computed once, by the engine's rules as far as they are right
//! (`fold`).
//! It runs within limits of memory, rows and time (`run`, `collect`, `watch`); over a store that is laid out by patient, once for
//! each of its parts (`planning`), after what reads no patients (`once`). What the numbers of a guarded study are made of is read from
//! the text alone (`form`). [`check`] takes the same way without data, so that a
//! researcher learns of a refusal before a hospital does.

mod casts;
mod collect;
mod comparable;
mod concepts;
mod deep;
mod determined;
mod dialect;
mod error;
mod fold;
pub(crate) mod form;
mod full;
pub(crate) mod functions;
mod lineage;
pub(crate) mod naming;
mod nulls;
mod once;
pub(crate) mod orders;
mod parse;
mod patientwise;
mod plan;
mod planning;
mod quoted;
mod refusal;
pub(crate) mod rules;
mod run;
mod same_person;
mod single;
mod size;
mod spelling;
mod subqueries;
pub(crate) mod total;
mod trial;
mod types;
mod unions;
mod watch;
mod weight;

pub use deep::{Panicked, on_a_deep_stack};
pub use error::CohortError;
pub use functions::names as function_names;
pub use plan::{Reads, TableRead};
pub(crate) use run::run_through;
pub use run::{Cohort, Limits, check, run};
pub(crate) use spelling::{any_day, depends_on_the_day};
pub use trial::{Trial, trial};
