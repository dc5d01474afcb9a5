//! What several results tell together: a group's count also says how far the group is from everything that was released before.
//!
//! A released number is a sum over patients: a count of 1 for each patient of a group, a sum of x, a sum of squares of x². What
//! several studies tell is every combination of such functions. So for each number that a study compares a hospital says not how
//! many patients there are, but at most how many patients' worth the count, or the sum that hangs on it, is apart from all
//! combinations of what was released before ([`span`]); and the roster's sum of that has to pass the bar. Nobody refuses, and
//! whether one is near shows in nothing but what is released.
//!
//! What was released and has not changed says nothing new: it is released again ([`again`]).
//!
//! A hospital remembers of some of its patients where they stood, and of each group who was in it, as a hash ([`Record`]). The
//! argument, and what it does not cover, is in `docs/guard.md`.

mod again;
mod contrast;
mod distance;
mod record;
mod span;

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod shown;

use consilium_protocol::ids::SubjectId;
use consilium_protocol::study::{Protection, StudySpec};
use zeroize::Zeroizing;

pub use again::{Again, Repeatable, statistics_again};
pub(super) use again::{again, or_unchanged};
pub use record::Record;

use again::Known;
use record::Members;

use super::lattice::Lattice;
use crate::statistics::{Layout, Rows, StatisticsError};
use distance::{Remembered, distances};

/// An earlier contribution to a study that has, or may have, released something.
#[derive(Clone, Debug)]
pub struct Before {
    /// The study.
    pub spec: StudySpec,
    /// Which sets of groups were released, where it is known and believed; else all may have been.
    pub released: Option<Vec<bool>>,
    /// Which are said to have been, if the same hospitals took part, and it stood on the ledger when the round was opened.
    pub repeatable: Option<Vec<bool>>,
    /// What this hospital remembers of it.
    pub record: Record,
}

/// What a hospital's own numbers are held against.
#[derive(Debug, Default)]
pub struct Held {
    /// For each number that is compared the most that this hospital counts for.
    pub at_most: Zeroizing<Vec<u64>>,
    /// For each set of groups that is asked for again whether it has changed here.
    pub changed: Vec<bool>,
    /// What is remembered of this contribution.
    pub record: Option<Record>,
}

/// What a study is held against at a hospital.
#[derive(Clone, Copy, Debug)]
pub struct Past<'a> {
    /// What this hospital contributed to before.
    pub before: &'a [Before],
    /// Whether no other of the roster contributed to anything before either. Else a hospital with no past counts for no more than its
    /// own groups are apart: where nobody is in them, it sets nothing apart, whatever the others remember.
    pub is_first: bool,
}

/// Whom a study counted at a hospital.
#[derive(Clone, Copy, Debug)]
pub struct Cohort<'a> {
    /// Where each row stands.
    pub(crate) rows: &'a Rows,
    /// Whose each row is.
    pub subjects: &'a [SubjectId],
    /// How many patients the hospital has.
    pub patients: usize,
}

/// Holds a study against what was contributed before. No number counts for more than `enough`.
///
/// # Errors
/// [`StatisticsError::Guarding`] when what is remembered is not of the studies.
pub fn hold(
    spec: &StudySpec,
    layout: &Layout,
    cohort: &Cohort<'_>,
    past: Past<'_>,
    enough: u64,
) -> Result<Held, StatisticsError> {
    let Past { before, is_first } = past;
    let marks = before.iter().map(|one| one.record.most);
    let record = Record::of(spec, layout, cohort.rows, cohort.subjects, cohort.patients, marks)?;
    if spec.protection != Protection::Guarded {
        return Ok(Held { record: Some(record), ..Held::default() });
    }
    let lattice = Lattice::of(spec, layout).map_err(|_| StatisticsError::Guarding)?;
    let remembered = before
        .iter()
        .map(|one| {
            Ok(Remembered {
                spec: &one.spec,
                layout: Layout::of(&one.spec)?,
                released: groups(one)?,
                record: &one.record,
            })
        })
        .collect::<Result<Vec<_>, StatisticsError>>()?;
    let at_most = match is_first && remembered.is_empty() {
        true => vec![u64::MAX; lattice.decided.len()],
        false => distances(spec, layout, &lattice, &record, &remembered, enough)?,
    };
    let at_most = Zeroizing::new(at_most);
    let then: Vec<&Before> = before.iter().filter(|one| one.repeatable.is_some()).collect();
    let changed = again(spec, layout, &lattice, &repeatable(before)).into_iter().map(|again| {
        let is_same = |known: &Known| {
            let members = &then[known.study].record.members;
            let parts = known.parts.iter().map(|part| members.get(*part).copied());
            parts.sum::<Option<Members>>().as_ref() == record.members.get(known.group)
        };
        !again.groups.iter().all(is_same)
    });
    Ok(Held { at_most, changed: changed.collect(), record: Some(record) })
}

/// Those that may be repeated.
pub fn repeatable(before: &[Before]) -> Vec<Repeatable> {
    let one = |one: &Before| Some(Repeatable { spec: one.spec.clone(), released: one.repeatable.clone()? });
    before.iter().filter_map(one).collect()
}

/// Which groups of cells of an earlier study were released, where it is known.
fn groups(one: &Before) -> Result<Option<Vec<bool>>, StatisticsError> {
    let (Some(sets), Protection::Guarded) = (&one.released, &one.spec.protection) else { return Ok(None) };
    let layout = Layout::of(&one.spec)?;
    let lattice = Lattice::of(&one.spec, &layout).map_err(|_| StatisticsError::Guarding)?;
    if sets.len() != lattice.gates.release.len() {
        return Err(StatisticsError::Guarding);
    }
    Ok(Some(lattice.padded.iter().map(|padded| sets[padded.seed]).collect()))
}
