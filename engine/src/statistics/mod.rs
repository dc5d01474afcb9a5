//! From a cohort to cells: what every statistic of a study is in integers that add up across hospitals.
//!
//! 1. [`Layout`] compiles a study into *bundles* of cells. It depends on the study alone, so every hospital and the
//!    researcher derive the same.
//! 2. [`prove_bounds`] shows that no joint sum can overflow.
//! 3. [`compute`] fills the layout from a cohort, in the query engine's plan and in integers, and keeps small numbers
//!    of its own hospital back.
//!
//! The [`LocalCells`] that come out are blinded and encrypted ([`crate::cells`]); what they add up to passes
//! [`crate::disclosure`] before anyone reads it. Formulas and rules in words: `docs/statistics.md`.

mod block;
mod column;
mod compared;
mod compute;
mod error;
mod exact;
mod layout;
mod local;
mod plan;
mod proof;
mod rows;
mod spans;
mod sums;

pub use block::{Axis, Block, Bundle, Content, Part};
pub(crate) use column::{Column, refinement, steps_of};
pub use compared::{Compared, CountAxis, CountTable, Number};
pub use compute::compute;
pub use error::StatisticsError;
pub(crate) use exact::Scale;
pub use layout::Layout;
pub use local::LocalCells;
pub use proof::{OFFLINE_SUBJECTS, prove_bounds};
pub(crate) use rows::{Rows, cuts, rows, summed};
pub(crate) use spans::spans;
