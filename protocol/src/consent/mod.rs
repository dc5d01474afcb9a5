//! What a patient allows: terms, the scopes they are made of, and their evaluation.
//!
//! The ledger keeps *documents*: the same [`Terms`] given by, or witnessed for, one subject at a time. Evaluation is
//! one pure function, [`evaluate`], and fails closed: what no current document permits is denied, and a deny in any
//! current document wins.
//!
//! Vocabulary: purposes are those of the GA4GH Data Use Ontology (DUO, Lawson et al., Cell Genomics 1(2), 2021);
//! the base decision, `valid` and `window` are HL7 FHIR R5 `Consent.decision`, `provision.period` and
//! `provision.dataPeriod`; data domains are those of the OMOP Common Data Model 5.4.

mod evaluate;
mod permissions;
mod purpose;
mod roll;
mod window;

use std::fmt;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

pub use evaluate::{AllowedData, Decision, DocumentTerms, Opened, Reason, RuleReason, Use, evaluate};
pub use permissions::Permissions;
pub use purpose::{Disease, DiseaseTree, Diseases, Purpose, PurposeError};
pub use roll::{ClassList, Roll};
pub use window::{Window, Windows};

use crate::hash::tagged;
use crate::ids::{ContentHash, HospitalId, ResearcherId, StudyId};

/// The most rules that one document may have.
pub const MAX_RULES: usize = 32;
/// The most entries of one list within a rule.
pub const MAX_LIST: usize = 64;
/// The longest text within a document, in bytes.
pub const MAX_TEXT: usize = 512;

/// What holds where no rule matches.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Base {
    /// Opt-in: nothing is allowed but what a rule permits.
    Deny,
    /// Opt-out: everything is allowed but what a rule denies. Only where the consortium's law says so.
    Permit,
}

/// What a rule does.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Allows what the rule describes.
    Permit,
    /// Forbids it, whatever another rule or document permits.
    Deny,
}

/// What is done with the data.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Counted in statistics over many patients.
    Aggregate,
    /// Handed over as a record.
    Retrieve,
    /// Used to contact the patient again.
    Recontact,
}

/// A class of data: an OMOP domain.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Domain {
    /// Demographics: the PERSON and OBSERVATION_PERIOD tables.
    Person,
    /// Diagnoses: CONDITION_OCCURRENCE, CONDITION_ERA.
    Condition,
    /// Medication: DRUG_EXPOSURE, DRUG_ERA.
    Drug,
    /// Laboratory values and vital signs: MEASUREMENT.
    Measurement,
    /// Other facts: OBSERVATION.
    Observation,
    /// Procedures: PROCEDURE_OCCURRENCE.
    Procedure,
    /// Encounters: VISIT_OCCURRENCE, VISIT_DETAIL.
    Visit,
    /// Devices and implants: DEVICE_EXPOSURE.
    Device,
    /// DEATH.
    Death,
    /// Specimens: SPECIMEN.
    Specimen,
}

impl Domain {
    /// Every domain.
    pub const ALL: [Self; 10] = [
        Self::Person,
        Self::Condition,
        Self::Drug,
        Self::Measurement,
        Self::Observation,
        Self::Procedure,
        Self::Visit,
        Self::Device,
        Self::Death,
        Self::Specimen,
    ];

    /// The name as files and screens write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Condition => "condition",
            Self::Drug => "drug",
            Self::Measurement => "measurement",
            Self::Observation => "observation",
            Self::Procedure => "procedure",
            Self::Visit => "visit",
            Self::Device => "device",
            Self::Death => "death",
            Self::Specimen => "specimen",
        }
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A domain that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "no such data domain; use person, condition, drug, measurement, observation, procedure, visit, device, death or \
     specimen"
)]
pub struct UnknownDomain;

impl FromStr for Domain {
    type Err = UnknownDomain;

    fn from_str(text: &str) -> Result<Self, UnknownDomain> {
        Self::ALL.into_iter().find(|d| d.name() == text).ok_or(UnknownDomain)
    }
}

/// Everything of a kind, or only what is listed. An empty list is nothing.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Scope<T> {
    /// No restriction.
    Any,
    /// Only these.
    Only(Vec<T>),
}

impl<T> Scope<T> {
    /// Whether any member of the scope satisfies `matches`; `Any` always does.
    pub fn covers(&self, matches: impl FnMut(&T) -> bool) -> bool {
        match self {
            Self::Any => true,
            Self::Only(list) => list.iter().any(matches),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Any => 0,
            Self::Only(list) => list.len(),
        }
    }
}

/// Somebody who may receive results or data.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Recipient {
    /// Everybody of an organisation, by the name under which its researchers were accredited.
    Organisation(String),
    /// One researcher.
    Researcher(ResearcherId),
    /// One hospital, and the researchers accredited as its own.
    Hospital(HospitalId),
    /// One study.
    Study(StudyId),
}

/// One rule of a document.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Permit or deny.
    pub effect: Effect,
    /// What may, or may not, be done.
    pub action: Action,
    /// For which purposes.
    pub purposes: Scope<Purpose>,
    /// By whom.
    pub recipients: Scope<Recipient>,
    /// With which data.
    pub data: Scope<Domain>,
    /// When the rule may be used, by the day of the block at which a round is opened.
    pub valid: Window,
    /// Which days of data it covers. Data that have no date come with every permit, and go only with a deny of all days.
    pub window: Window,
}

/// What a document says, apart from whom it is about.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// What holds where no rule matches.
    pub base: Base,
    /// One level of rules; their order means nothing.
    pub rules: Vec<Rule>,
    /// Where the information sheet or policy that was agreed to can be read; may be empty.
    pub policy_uri: String,
}

/// Terms that no document may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, BorshSerialize, BorshDeserialize)]
#[non_exhaustive]
pub enum TermsError {
    /// More than [`MAX_RULES`] rules.
    #[error("a document has at most {MAX_RULES} rules; merge rules or split the document")]
    TooManyRules,
    /// A list of more than [`MAX_LIST`] entries, or an empty one.
    #[error("a list within a rule has 1 to {MAX_LIST} entries; shorten it, or use `any`")]
    ListLength,
    /// A text of more than [`MAX_TEXT`] bytes.
    #[error("a text within a document has at most {MAX_TEXT} bytes; shorten it")]
    TextLength,
    /// A period that ends before it begins.
    #[error("a period ends before it begins; swap its dates")]
    EmptyPeriod,
    /// A rule that permits under an opt-out base, where everything is permitted already.
    #[error("under the base decision `permit` only deny rules have a meaning; remove the permit rules")]
    PermitUnderPermit,
}

impl Terms {
    /// The identity of these terms: documents with the same terms share it.
    pub fn hash(&self) -> ContentHash {
        // Writing to a vector cannot fail.
        let bytes = borsh::to_vec(self).unwrap_or_default();
        ContentHash::from_bytes(tagged("consilium/terms/v1", &[&bytes]))
    }

    /// Checks sizes and meaning.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), TermsError> {
        if self.rules.len() > MAX_RULES {
            return Err(TermsError::TooManyRules);
        }
        if self.policy_uri.len() > MAX_TEXT {
            return Err(TermsError::TextLength);
        }
        for rule in &self.rules {
            rule.check()?;
            if self.base == Base::Permit && rule.effect == Effect::Permit {
                return Err(TermsError::PermitUnderPermit);
            }
        }
        Ok(())
    }
}

impl Rule {
    fn check(&self) -> Result<(), TermsError> {
        fn list<T>(scope: &Scope<T>) -> Result<(), TermsError> {
            match scope {
                Scope::Any => Ok(()),
                Scope::Only(_) if (1..=MAX_LIST).contains(&scope.len()) => Ok(()),
                Scope::Only(_) => Err(TermsError::ListLength),
            }
        }
        list(&self.purposes)?;
        list(&self.recipients)?;
        list(&self.data)?;
        if let Scope::Only(recipients) = &self.recipients {
            let long = |r: &Recipient| matches!(r, Recipient::Organisation(name) if name.len() > MAX_TEXT);
            if recipients.iter().any(long) {
                return Err(TermsError::TextLength);
            }
        }
        if self.valid.is_empty() || self.window.is_empty() {
            return Err(TermsError::EmptyPeriod);
        }
        Ok(())
    }

    /// A rule on every recipient, all data and all times.
    pub fn new(effect: Effect, action: Action, purposes: Scope<Purpose>) -> Self {
        Self {
            effect,
            action,
            purposes,
            recipients: Scope::Any,
            data: Scope::Any,
            valid: Window::UNBOUNDED,
            window: Window::UNBOUNDED,
        }
    }
}

/// Where a document came from (ISO/TS 17975 calls for both the basis and the information it rests on).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// Signed by the patient's own key.
    Electronic,
    /// A signed paper form that the hospital keeps and witnesses, by the form's hash.
    Paper,
}
