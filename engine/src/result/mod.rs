//! A released result: what a researcher reads.
//!
//! [`StudyResult`] holds one [`StatisticResult`] per statistic, with a [`Row`] per group and an [`Estimate`] per measure.
//! It is made by [`release`](crate::disclosure::release) only. Where it came from is its [`Provenance`]; the caller knows
//! that. It is written as a [`table`] for people, as [`csv`] and [`json`] for files, and as [`arrow`] for everything
//! else. What each measure means: `docs/statistics.md`.

pub mod arrow;
pub mod csv;
mod estimate;
pub mod json;
mod long;
mod provenance;
pub mod table;

use consilium_protocol::study::Protection;
use serde::Serialize;

pub use estimate::Estimate;
pub use provenance::{GuardRoles, NoiseStatement, Provenance};

/// The joint result of a study.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StudyResult {
    /// The study's title.
    pub title: String,
    /// Over how many hospitals the numbers are.
    pub hospitals: usize,
    /// How small groups are protected.
    pub protection: Protection,
    /// Joint counts from 1 up to one less than this are suppressed.
    pub min_joint_count: u32,
    /// Own counts from 1 up to one less than this are held back by each hospital, or more where it is stricter;
    /// 1 where none are.
    pub min_site_count: u32,
    /// Whether a joint count of 0 is shown.
    pub zeros_shown: bool,
    /// Counts are multiples of this.
    pub rounding: u32,
    /// One per statistic, in the study's order.
    pub statistics: Vec<StatisticResult>,
}

/// One statistic.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StatisticResult {
    /// Its name in the study.
    pub name: String,
    /// `count`, `sum`, `mean`, `variance`, `histogram` or `crosstab`.
    pub kind: &'static str,
    /// The variable it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// The variable's unit; empty if it has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// Decimal places that the variable's resolution has.
    #[serde(skip)]
    pub places: u32,
    /// What the groups are by: dimensions, then the intervals of a histogram.
    pub by: Vec<Grouping>,
    /// One per group, the last grouping fastest.
    pub rows: Vec<Row>,
    /// Groups of a guarded study that are too small to be shown alone, merged into one that is not: its labels name them all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub together: Vec<Row>,
}

/// A column of groups.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Grouping {
    /// The dimension, or the variable of a histogram.
    pub name: String,
    /// Whether these are the intervals of a histogram.
    pub intervals: bool,
    /// What its groups are called.
    pub labels: Vec<String>,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Row {
    /// Its label in each grouping.
    pub group: Vec<String>,
    /// What is known of it.
    pub measures: Vec<Measure>,
}

/// One number of a group.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Measure {
    /// `count`, `n`, `missing`, `sum`, `mean`, `variance`, `sd`, `withheld` or `missing_withheld`.
    pub name: &'static str,
    /// Its value.
    pub value: Estimate,
}

impl Row {
    /// The measure of this name.
    pub fn measure(&self, name: &str) -> Option<Estimate> {
        self.measures.iter().find(|measure| measure.name == name).map(|measure| measure.value)
    }
}

impl StudyResult {
    /// How many groups have a number that is suppressed.
    pub fn suppressed_groups(&self) -> usize {
        let rows = self.statistics.iter().flat_map(|statistic| &statistic.rows);
        rows.filter(|row| row.measures.iter().any(|measure| measure.value.suppressed_by().is_some())).count()
    }

    /// All numbers of the result.
    pub fn estimates(&self) -> impl Iterator<Item = Estimate> {
        let rows = self.statistics.iter().flat_map(|statistic| &statistic.rows);
        rows.flat_map(|row| &row.measures).map(|measure| measure.value)
    }
}
