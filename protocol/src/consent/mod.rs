//! What a patient allows: terms, the scopes they are made of, and their evaluation.
//!
//! The ledger keeps *documents*: the same [`Terms`] given by, or witnessed for, one subject at a time. Evaluation is
//! one pure function, [`evaluate`], and fails closed: what no current document permits is denied, and a deny in any
//! current document wins.
//!
//! The language: purposes and modifiers are those of the GA4GH Data Use Ontology (DUO, Lawson et al., Cell Genomics 1(2),
//! 2021), care is HL7 v3 ActReason's; the base decision, `valid` and `window` are HL7 FHIR R5 `Consent.decision`,
//! `provision.period` and `provision.dataPeriod`; data domains are those of the OMOP Common Data Model 5.4, and some that it
//! has no domain for; sensitivity is HL7 v3 Confidentiality and ActCode.

mod allowed;
mod asked;
mod domain;
mod evaluate;
mod levels;
mod matching;
mod modifier;
mod permissions;
mod purpose;
mod reach;
mod roll;
mod vocabulary;
mod window;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

pub use allowed::{AllowedData, Opened};
pub use asked::{Condition, Declarations, Establishment, EthicsApproval, Obligation, Promise, Requester, Trait, Use};
pub use domain::{Domain, UnknownDomain};
pub use evaluate::{Decision, DocumentTerms, Reason, RuleReason, evaluate};
pub use levels::{Country, CountryError, Form, Jurisdiction, Label, UnknownJurisdiction};
pub use modifier::{Modifier, ModifierKind};
pub use permissions::Permissions;
pub use purpose::{Disease, DiseaseTree, Diseases, Purpose, PurposeError};
pub use reach::Reach;
pub use roll::{ClassList, Roll};
pub use vocabulary::{Vocabulary, Word};
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
    /// Opt-out: statistics are allowed but where a rule denies them. Only where the consortium's law says so. Silence opens
    /// no record and lets nobody get in touch: these need a permit that names them.
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

impl Action {
    /// Every action.
    pub const ALL: [Self; 3] = [Self::Aggregate, Self::Retrieve, Self::Recontact];
}

impl Word for Action {
    fn since(&self) -> Vocabulary {
        match self {
            Self::Aggregate | Self::Recontact => Vocabulary::RESEARCH,
            Self::Retrieve => Vocabulary::CARE,
        }
    }
}

/// Everything of a kind, or only what is listed. An empty list is nothing.
#[derive(
    Clone,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Scope<T> {
    /// No restriction.
    #[default]
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

    /// Whether nothing is in it.
    pub const fn is_nothing(&self) -> bool {
        matches!(self, Self::Only(list) if list.is_empty())
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
    /// The furthest form in which data may leave: what a permit of `retrieve` says. Of a deny the first form that is
    /// forbidden, or all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<Form>,
    /// For which purposes.
    pub purposes: Scope<Purpose>,
    /// What a permit is bound to; a deny has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modifiers: Vec<Modifier>,
    /// By whom.
    pub recipients: Scope<Recipient>,
    /// How far from the GDPR the recipient's law may be, or how far it is from where a deny counts; all of them where it is
    /// not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jurisdiction: Option<Jurisdiction>,
    /// With which data.
    pub data: Scope<Domain>,
    /// How sensitive data may be, or are where a deny counts.
    #[serde(default)]
    pub labels: Scope<Label>,
    /// When the rule may be used, by the day of the block at which a round is opened.
    #[serde(default)]
    pub valid: Window,
    /// Which days of data it covers. Data that have no date come with every permit, and go only with a deny of all days.
    #[serde(default)]
    pub window: Window,
}

/// What a document says, apart from whom it is about.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// The words that there were when it was written.
    #[serde(default)]
    pub vocabulary: Vocabulary,
    /// What holds where no rule matches.
    pub base: Base,
    /// One level of rules; their order means nothing.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// Where the information sheet or policy that was agreed to can be read; may be empty.
    #[serde(default)]
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
    /// A text of more than [`MAX_TEXT`] bytes, or a name or description that says nothing.
    #[error("a text within a document has at most {MAX_TEXT} bytes, and a name or description is not empty; change it")]
    TextLength,
    /// A period that ends before it begins.
    #[error("a period ends before it begins; swap its dates")]
    EmptyPeriod,
    /// A rule that permits statistics under an opt-out base, where they are permitted already.
    #[error(
        "under the base decision `permit` statistics are permitted already, and a rule that permits them would change nothing; \
         remove it"
    )]
    PermitUnderPermit,
    /// A permit of records that does not say in which form.
    #[error(
        "a rule that permits `retrieve` says how far records may go: form = \"safe-harbour\", \"pseudonymised\", \
         \"desensitised\" or \"identified\""
    )]
    FormMissing,
    /// A form where there is none.
    #[error("only a rule on `retrieve` has a form, and `statistics` is none of a record; remove it, or name another")]
    FormMisplaced,
    /// A deny with modifiers.
    #[error("modifiers bind permits; a deny forbids the whole, so remove its modifiers")]
    ModifierOfDeny,
    /// One kind of modifier twice.
    #[error("a rule has each modifier once; merge their lists")]
    ModifierTwice,
    /// A word that came after the document's vocabulary.
    #[error("a rule uses a word that its document's vocabulary does not have; name a newer `vocabulary`, or none")]
    LaterWord,
}

impl Terms {
    /// Terms of these rules under an opt-in base.
    pub fn opt_in(rules: Vec<Rule>) -> Self {
        Self { vocabulary: Vocabulary::CURRENT, base: Base::Deny, rules, policy_uri: String::new() }
    }

    /// The identity of these terms: documents with the same terms share it.
    pub fn hash(&self) -> ContentHash {
        // Writing to a vector cannot fail.
        let bytes = borsh::to_vec(self).unwrap_or_default();
        ContentHash::from_bytes(tagged("consilium/terms/v2", &[&bytes]))
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
            rule.check(self.vocabulary)?;
            if self.base == Base::Permit && rule.effect == Effect::Permit && rule.action == Action::Aggregate {
                return Err(TermsError::PermitUnderPermit);
            }
        }
        Ok(())
    }

    /// Whether any rule forbids anything.
    pub fn denies(&self) -> bool {
        self.rules.iter().any(|rule| rule.effect == Effect::Deny)
    }

    /// Whether anything is permitted, by a rule or by silence.
    pub fn permits(&self) -> bool {
        self.base == Base::Permit || self.rules.iter().any(|rule| rule.effect == Effect::Permit)
    }
}

/// Whether a name or a description has a length that it may have: who has no name is not meant by an empty one.
fn says_something(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= MAX_TEXT
}

impl Rule {
    fn check(&self, vocabulary: Vocabulary) -> Result<(), TermsError> {
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
        list(&self.labels)?;
        if let Scope::Only(recipients) = &self.recipients {
            let is_wrong = |r: &Recipient| matches!(r, Recipient::Organisation(name) if !says_something(name));
            if recipients.iter().any(is_wrong) {
                return Err(TermsError::TextLength);
            }
        }
        if self.valid.is_empty() || self.window.is_empty() {
            return Err(TermsError::EmptyPeriod);
        }
        self.check_form()?;
        self.check_modifiers()?;
        if self.words_are_of(vocabulary) { Ok(()) } else { Err(TermsError::LaterWord) }
    }

    fn check_form(&self) -> Result<(), TermsError> {
        match (self.action, self.effect, self.form) {
            (Action::Retrieve, Effect::Permit, None) => Err(TermsError::FormMissing),
            (Action::Retrieve, _, Some(Form::Statistics)) => Err(TermsError::FormMisplaced),
            (Action::Retrieve, ..) | (Action::Aggregate | Action::Recontact, _, None) => Ok(()),
            (Action::Aggregate | Action::Recontact, _, Some(_)) => Err(TermsError::FormMisplaced),
        }
    }

    fn check_modifiers(&self) -> Result<(), TermsError> {
        if self.effect == Effect::Deny && !self.modifiers.is_empty() {
            return Err(TermsError::ModifierOfDeny);
        }
        let mut kinds: Vec<ModifierKind> = self.modifiers.iter().map(Modifier::kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        if kinds.len() < self.modifiers.len() {
            return Err(TermsError::ModifierTwice);
        }
        if self.modifiers.iter().filter_map(Modifier::entries).any(|entries| !(1..=MAX_LIST).contains(&entries)) {
            return Err(TermsError::ListLength);
        }
        if self.modifiers.iter().flat_map(Modifier::texts).any(|text| !says_something(text)) {
            return Err(TermsError::TextLength);
        }
        Ok(())
    }

    fn words_are_of(&self, vocabulary: Vocabulary) -> bool {
        let all = |scope: &Scope<_>| match scope {
            Scope::Any => true,
            Scope::Only(words) => words.iter().all(|word: &Domain| vocabulary.has(word)),
        };
        let purposes = match &self.purposes {
            Scope::Any => true,
            Scope::Only(words) => words.iter().all(|word| vocabulary.has(word)),
        };
        purposes
            && all(&self.data)
            && vocabulary.has(&self.action)
            && self.form.is_none_or(|word| vocabulary.has(&word))
            && self.jurisdiction.is_none_or(|word| vocabulary.has(&word))
            && self.modifiers.iter().all(|word| vocabulary.has(word))
    }

    /// A rule on every recipient, all data and all times.
    pub fn new(effect: Effect, action: Action, purposes: Scope<Purpose>) -> Self {
        Self {
            effect,
            action,
            form: None,
            purposes,
            modifiers: Vec::new(),
            recipients: Scope::Any,
            jurisdiction: None,
            data: Scope::Any,
            labels: Scope::Any,
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
