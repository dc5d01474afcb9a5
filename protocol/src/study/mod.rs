//! A study: who may be counted (the cohort, in SQL) and what is computed over them (the statistics).
//!
//! Researchers write it as TOML ([`StudySpec::from_toml`]); on the ledger stands its canonical form
//! ([`StudySpec::to_canonical`]), whose hash, with the ledger, the researcher and the study's public key, is the study
//! id ([`study_id`]).

mod check;
mod decimal;
mod file;
pub mod key;

use std::collections::BTreeSet;
use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

pub use check::{Problem, limits};
pub use decimal::{Decimal, DecimalError};
pub use file::SpecFileError;

use crate::catalogue::CatalogueTable;
use crate::consent::{Declarations, Purpose};
use crate::hash::tagged;
use crate::ids::{LedgerId, ResearcherId, StudyId};
use crate::kem::KemPublicKey;
use crate::policy::DisclosurePolicy;
use crate::privacy::MicroRho;

/// The version of the study format that this program reads and writes.
pub const SPEC_VERSION: u16 = 1;

/// A study as the ledger keeps it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct StudySpec {
    /// [`SPEC_VERSION`].
    pub version: u16,
    /// One line for people.
    pub title: String,
    /// What the study is for, in words that stewards and patients read.
    pub description: String,
    /// What it is for, in ascending order, each once: what consents are matched with. Every purpose must be allowed.
    pub purposes: Vec<Purpose>,
    /// What it says of itself, which consents may ask for.
    pub declared: Declarations,
    /// How small groups are protected.
    pub protection: Protection,
    /// Joint counts from 1 up to one less than this are suppressed, where the consortium's policy does not say more; 0
    /// to leave it to the policy.
    pub min_joint_count: u32,
    /// Whether the total of a guarded study may be shown where groups are not.
    pub totals: Totals,
    /// Who may be counted.
    pub cohort: Cohort,
    /// What the tables mean that the query may name beside OMOP's: entries of the consortium's catalogue, in ascending order
    /// of their names. The ledger takes none that differs from it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<CatalogueTable>,
    /// The numbers of the cohort, with their bounds.
    pub variables: Vec<Variable>,
    /// The columns of the cohort that statistics may be broken down by.
    pub dimensions: Vec<Dimension>,
    /// What is computed.
    pub statistics: Vec<Statistic>,
}

/// What of a guarded study is shown where some of its groups are too small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Totals {
    /// The total, and rare categories merged with others.
    #[default]
    Shown,
    /// Every group of one table that is large enough, each by itself; totals only where all their groups are shown.
    Hidden,
}

/// How a study protects small groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protection {
    /// Hospitals keep back their own small counts; joint counts are suppressed when the researcher's program has opened
    /// them.
    Open,
    /// Joint counts are compared with the threshold under encryption: the small ones are never opened by anyone.
    Guarded,
    /// Every hospital adds its share of noise: the result is differentially private.
    Private {
        /// What the study may lose of its patients' privacy.
        rho: MicroRho,
    },
}

impl Protection {
    /// The protection as one word, as files write it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Guarded => "guarded",
            Self::Private { .. } => "private",
        }
    }

    /// What it loses of the privacy budget of each hospital on the roster.
    pub const fn loss(&self) -> MicroRho {
        match self {
            Self::Open | Self::Guarded => MicroRho::ZERO,
            Self::Private { rho } => *rho,
        }
    }
}

/// Who may be counted: one `SELECT` over the hospital's tables that yields one row per subject.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Cohort {
    /// The query.
    pub sql: String,
    /// The column of its result that holds the subject.
    pub subject: String,
    /// Sets of concepts that the query may name like tables of one column, `concept_id`; in ascending order of their names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub concept_sets: Vec<ConceptSet>,
}

/// A set of concepts: those that are included, without those that are excluded.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct ConceptSet {
    /// Its name.
    pub name: String,
    /// Concepts that are in it, ascending.
    pub include: Vec<u32>,
    /// Concepts that are not, whatever includes them; ascending.
    pub exclude: Vec<u32>,
    /// Whether either stands for its descendants as well, by the vocabulary of each hospital.
    pub descendants: bool,
}

/// A number of the cohort: clamped to `[min, max]`, then rounded to steps of `resolution`, before it is added up.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Variable {
    /// The column of the cohort.
    pub name: String,
    /// Values below count as this.
    pub min: Decimal,
    /// Values above count as this.
    pub max: Decimal,
    /// The step to which values are rounded.
    pub resolution: Decimal,
    /// The unit, for people; may be empty.
    pub unit: String,
}

/// A column of the cohort to break statistics down by. What no category holds is counted as *other*, what is NULL as
/// *missing*: nothing disappears.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Dimension {
    /// The column of the cohort.
    pub name: String,
    /// Its categories.
    pub categories: Categories,
    /// How a guarded study merges categories that are too rare to be shown, finer first: for each level the class of every
    /// category, of *other* and of *missing*, numbered as they first appear. None to leave it to the program.
    pub coarser: Vec<Vec<u16>>,
}

/// How a dimension is cut.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub enum Categories {
    /// By values.
    Values(Vec<Category>),
    /// Into half-open intervals `[edge, next edge)`, ascending.
    Edges(Vec<Decimal>),
}

/// One value of a dimension.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Category {
    /// The value, as the cohort's column has it.
    pub value: CategoryValue,
    /// What people read.
    pub label: String,
}

/// A value that a dimension may have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(untagged, expecting = "a value is a text, a whole number, true or false")]
pub enum CategoryValue {
    /// A truth value.
    Truth(bool),
    /// A whole number, for example a concept id.
    Integer(i64),
    /// A text.
    Text(String),
}

impl CategoryValue {
    /// As a study file has it.
    pub(crate) fn in_toml(&self) -> String {
        match self {
            Self::Text(text) => format!("{text:?}"),
            Self::Truth(_) | Self::Integer(_) => self.to_string(),
        }
    }
}

impl fmt::Display for CategoryValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truth(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Text(value) => f.write_str(value),
        }
    }
}

/// One thing to compute.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Statistic {
    /// Its name in the result.
    pub name: String,
    /// What it is.
    pub kind: StatisticKind,
    /// Up to three dimensions to break it down by; a statistic by none is over the whole cohort.
    pub by: Vec<String>,
}

/// The kinds of statistics.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub enum StatisticKind {
    /// How many subjects.
    Count,
    /// The sum of a variable over subjects that have it.
    Sum {
        /// The variable.
        of: String,
    },
    /// The arithmetic mean of a variable over subjects that have it.
    Mean {
        /// The variable.
        of: String,
    },
    /// The sample variance (n - 1) of a variable over subjects that have it, with its mean.
    Variance {
        /// The variable.
        of: String,
    },
    /// How many subjects have a variable in each half-open interval, below the first, and from the last on.
    Histogram {
        /// The variable.
        of: String,
        /// The edges, ascending.
        edges: Vec<Decimal>,
    },
    /// How many subjects in each combination of two dimensions or three.
    Crosstab,
}

impl StatisticKind {
    /// The name of the kind, as files write it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum { .. } => "sum",
            Self::Mean { .. } => "mean",
            Self::Variance { .. } => "variance",
            Self::Histogram { .. } => "histogram",
            Self::Crosstab => "crosstab",
        }
    }

    /// The variable that it is about, if any.
    pub fn variable(&self) -> Option<&str> {
        match self {
            Self::Count | Self::Crosstab => None,
            Self::Sum { of } | Self::Mean { of } | Self::Variance { of } | Self::Histogram { of, .. } => Some(of),
        }
    }
}

/// A canonical form that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CanonicalError {
    /// Longer than [`limits::SPEC_BYTES`].
    #[error("a study is at most {} bytes; shorten its query or its lists", limits::SPEC_BYTES)]
    TooLong,
    /// Of another version.
    #[error("this study is of format version {0}, this program reads version {SPEC_VERSION}; use a matching release")]
    Version(u16),
    /// Not the canonical form of a study.
    #[error("these bytes are no study; submit it again with `consilium study submit`")]
    Malformed,
    /// A study that breaks a rule.
    #[error("{0}")]
    Invalid(Problem),
}

impl StudySpec {
    /// The bytes that are signed and hashed (borsh).
    pub fn to_canonical(&self) -> Vec<u8> {
        // Writing to a vector cannot fail.
        borsh::to_vec(self).unwrap_or_default()
    }

    /// Reads and checks a canonical form.
    ///
    /// # Errors
    /// [`CanonicalError`]; a study that is read is valid.
    pub fn from_canonical(bytes: &[u8]) -> Result<Self, CanonicalError> {
        if bytes.len() > limits::SPEC_BYTES {
            return Err(CanonicalError::TooLong);
        }
        let version = bytes.first_chunk::<2>().map(|b| u16::from_le_bytes(*b)).ok_or(CanonicalError::Malformed)?;
        if version != SPEC_VERSION {
            return Err(CanonicalError::Version(version));
        }
        let spec: Self = borsh::from_slice(bytes).map_err(|_| CanonicalError::Malformed)?;
        match spec.problems().into_iter().next() {
            Some(problem) => Err(CanonicalError::Invalid(problem)),
            None => Ok(spec),
        }
    }

    /// Takes those tables of a catalogue into the study that its query may name: whose name stands in it as a word.
    pub fn take_tables(&mut self, catalogue: &[CatalogueTable]) {
        let sql = self.cohort.sql.to_ascii_lowercase();
        let words: BTreeSet<&str> = sql.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
        self.tables = catalogue.iter().filter(|table| words.contains(table.name.as_str())).cloned().collect();
    }

    /// The threshold of joint counts that holds for this study under a policy.
    pub fn threshold(&self, policy: &DisclosurePolicy) -> u32 {
        self.min_joint_count.max(policy.min_joint_count)
    }

    /// The variable of this name.
    pub fn variable(&self, name: &str) -> Option<&Variable> {
        self.variables.iter().find(|v| v.name == name)
    }

    /// The dimension of this name.
    pub fn dimension(&self, name: &str) -> Option<&Dimension> {
        self.dimensions.iter().find(|d| d.name == name)
    }
}

impl StudySpec {
    /// The purposes as people read them.
    pub fn purposes_in_short(&self) -> String {
        self.purposes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

impl Dimension {
    /// What people read for each category in order, without *other* and *missing*.
    pub fn labels(&self) -> Vec<String> {
        match &self.categories {
            Categories::Values(values) => values.iter().map(|c| c.label.clone()).collect(),
            Categories::Edges(edges) => edges.windows(2).map(|e| interval_label(e[0], e[1])).collect(),
        }
    }
}

/// How people read the half-open interval `[from, to)`.
pub fn interval_label(from: Decimal, to: Decimal) -> String {
    format!("{from} to <{to}")
}

/// The name of a study: what is computed, for whom, under which keys, on which ledger.
pub fn study_id(
    ledger: &LedgerId,
    researcher: &ResearcherId,
    canonical: &[u8],
    public_key: &[u8],
    sealing_key: &KemPublicKey,
) -> StudyId {
    StudyId::from_bytes(tagged(
        "consilium/study/v1",
        &[ledger.as_bytes(), researcher.public_key(), canonical, public_key, sealing_key.as_bytes()],
    ))
}
