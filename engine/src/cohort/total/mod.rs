//! Expressions that give a value or NULL for every row, and never fail, wrap around, or stop a query.
//!
//! A query that fails on one patient's rows tells that the patient is there; so none can. `syntax` puts a query's types
//! into the few that there are: whole numbers of 64 bits, doubles, texts, truth values, days, and moments in
//! microseconds. `planner` has its operators and calls planned as functions of ours: `arithmetic`, `dates`,
//! `mathematics`, `texts`, which are listed in `catalogue` beside the few of the query engine that are taken as they are.
//! `rule` makes conversions total, those that nobody wrote among them, and refuses what cannot be (`single`: subqueries
//! in the place of a value, `frame`: windows). `verify` looks at the finished plan: whatever is not on the list is refused
//! before it reads a row.
//!
//! What is given where there is no answer is NULL; `docs/study.md` has the table.

mod arithmetic;
mod calendar;
mod cast;
mod catalogue;
mod columns;
mod dates;
mod each_row;
mod finite;
mod frame;
mod function;
mod mathematics;
mod numbered;
mod parse;
mod planner;
mod rule;
mod single;
mod span;
mod sum;
mod syntax;
mod tally;
#[cfg(test)]
mod tests;
mod texts;
mod verify;

pub(super) use catalogue::{aggregate, scalar, window};
pub(crate) use planner::TotalPlanner;
pub(crate) use rule::TotalConversions;
pub(super) use syntax::rewrite;
pub(super) use verify::verify;
