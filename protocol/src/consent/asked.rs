//! What somebody wants to use data for.

use std::collections::BTreeSet;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use super::levels::{Country, CountryError, Form, Jurisdiction};
use super::{Action, Purpose};
use crate::hash::tagged;
use crate::ids::{ContentHash, Date, HospitalId, ResearcherId, StudyId};

/// A use of data that somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// What is to be done.
    pub action: Action,
    /// In which form data leave for it.
    pub form: Form,
    /// What for: every one must be allowed.
    pub purposes: Vec<Purpose>,
    /// What a study declares to be.
    pub declared: Declarations,
    /// By whom.
    pub by: Requester,
    /// In which study, if in one.
    pub study: Option<StudyId>,
    /// On which day, by the time of the block at which consent is read.
    pub day: Date,
    /// What the hospital whose patients' data they are found to be met.
    pub ticked: BTreeSet<Condition>,
}

impl Use {
    /// The statistics of a study that declares nothing, at a hospital that has found nothing met.
    pub const fn of_study(study: StudyId, purposes: Vec<Purpose>, by: Requester, day: Date) -> Self {
        Self {
            action: Action::Aggregate,
            form: Form::Statistics,
            purposes,
            declared: Declarations {
                traits: Vec::new(),
                promises: Vec::new(),
                ethics: None,
                collaborators: Vec::new(),
                publishes_from: None,
            },
            by,
            study: Some(study),
            day,
            ticked: BTreeSet::new(),
        }
    }
}

/// Who wants to use data: a researcher, a hospital, or a third party.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requester {
    /// The researcher, if it is one.
    pub researcher: Option<ResearcherId>,
    /// The hospital, if it is one, or the one whose own the researcher is.
    pub hospital: Option<HospitalId>,
    /// The organisation, by the name under which it was accredited.
    pub organisation: String,
    /// What the members voted that it is.
    pub establishment: Establishment,
}

impl Requester {
    /// A researcher, as members accredited them.
    pub const fn researcher(
        researcher: ResearcherId,
        hospital: Option<HospitalId>,
        organisation: String,
        establishment: Establishment,
    ) -> Self {
        Self { researcher: Some(researcher), hospital, organisation, establishment }
    }
}

/// Where an organisation is and what it is, as members voted when they accredited it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Establishment {
    /// The country that it is in.
    pub country: Country,
    /// The law that it stands under.
    pub jurisdiction: Jurisdiction,
    /// Whether it is there to make a profit.
    pub for_profit: bool,
}

impl Establishment {
    /// An organisation not for profit under the GDPR.
    ///
    /// # Errors
    /// When the country is none.
    pub fn not_for_profit(country: &str) -> Result<Self, CountryError> {
        Ok(Self { country: country.parse()?, jurisdiction: Jurisdiction::Gdpr, for_profit: false })
    }
}

/// What a study says of itself, beside its purposes. What it does not say is taken for the worse.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Declarations {
    /// What it declares to be, in ascending order, each once; what is not here, it declares not to be.
    pub traits: Vec<Trait>,
    /// What it promises, in ascending order, each once.
    pub promises: Vec<Promise>,
    /// Whose approval it has.
    pub ethics: Option<EthicsApproval>,
    /// Whom it works together with.
    pub collaborators: Vec<String>,
    /// The day before which it publishes nothing.
    pub publishes_from: Option<Date>,
}

impl Declarations {
    /// Whether the study declares to be this.
    pub fn is(&self, of: Trait) -> bool {
        self.traits.contains(&of)
    }

    /// Whether the study promises this.
    pub fn promises(&self, promise: Promise) -> bool {
        self.promises.contains(&promise)
    }
}

/// Something that a study may be.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Trait {
    /// For a commercial purpose.
    Commercial,
    /// For the development of methods, and nothing else.
    MethodsOnly,
    /// Research on origins or ancestry.
    Ancestry,
    /// With the patients as controls.
    ControlSet,
    /// Genetic research.
    Genetic,
    /// About children.
    Paediatric,
    /// About one sex alone.
    OneSex,
    /// About groups that are easily harmed.
    Vulnerable,
    /// About illegal behaviour.
    IllegalBehaviour,
    /// About sexual health.
    SexualHealth,
    /// About psychological traits.
    PsychologicalTraits,
    /// Able to stigmatise those whom it is about.
    Stigmatising,
    /// About something else than health.
    NotHealth,
}

impl Trait {
    /// Every trait.
    pub const ALL: [Self; 13] = [
        Self::Commercial,
        Self::MethodsOnly,
        Self::Ancestry,
        Self::ControlSet,
        Self::Genetic,
        Self::Paediatric,
        Self::OneSex,
        Self::Vulnerable,
        Self::IllegalBehaviour,
        Self::SexualHealth,
        Self::PsychologicalTraits,
        Self::Stigmatising,
        Self::NotHealth,
    ];

    /// Whether a person has to look at a study that is this, whatever consents say.
    pub const fn is_sensitive(self) -> bool {
        match self {
            Self::Commercial | Self::MethodsOnly | Self::Ancestry | Self::ControlSet | Self::Genetic => false,
            Self::Paediatric
            | Self::OneSex
            | Self::Vulnerable
            | Self::IllegalBehaviour
            | Self::SexualHealth
            | Self::PsychologicalTraits
            | Self::Stigmatising
            | Self::NotHealth => true,
        }
    }

    /// The name as files and screens write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Commercial => "commercial",
            Self::MethodsOnly => "methods-only",
            Self::Ancestry => "ancestry",
            Self::ControlSet => "control-set",
            Self::Genetic => "genetic",
            Self::Paediatric => "paediatric",
            Self::OneSex => "one-sex",
            Self::Vulnerable => "vulnerable",
            Self::IllegalBehaviour => "illegal-behaviour",
            Self::SexualHealth => "sexual-health",
            Self::PsychologicalTraits => "psychological-traits",
            Self::Stigmatising => "stigmatising",
            Self::NotHealth => "not-health",
        }
    }
}

/// Something that a study may promise.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Promise {
    /// To publish what comes of it.
    Publication,
    /// To give back what comes of it.
    Return,
}

/// The approval of an ethics committee.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EthicsApproval {
    /// The committee.
    pub body: String,
    /// The SHA-256 of its decision.
    pub document: ContentHash,
}

impl EthicsApproval {
    /// Whether it names a committee and a decision; a hash of zeros is that of none.
    pub fn is_named(&self) -> bool {
        !self.body.trim().is_empty() && self.document.as_bytes().iter().any(|byte| *byte != 0)
    }
}

/// What a person has to find met before permits that are bound to it count.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// The patients may serve as controls.
    ControlSet,
    /// The ethics committee's approval is what it has to be.
    Ethics,
    /// The study works together with these, as the consent asks.
    Collaboration(Vec<String>),
    /// Nothing is published before the day that the consent means and does not name.
    Moratorium,
    /// The study is of the kind that the consent describes.
    Specific(String),
    /// The study may be done although it is this.
    Sensitive(Trait),
}

impl Condition {
    /// A word for it that can be typed: of what names something the first digits of the name's hash as well.
    pub fn word(&self) -> String {
        let digits = |text: &[u8]| {
            tagged("consilium/condition/v1", &[text])
                .iter()
                .take(3)
                .fold(String::new(), |word, byte| format!("{word}{byte:02x}"))
        };
        match self {
            Self::ControlSet => Trait::ControlSet.name().to_string(),
            Self::Ethics => "ethics".to_string(),
            Self::Collaboration(whom) => format!("collaboration-{}", digits(whom.join("\n").as_bytes())),
            Self::Moratorium => "moratorium".to_string(),
            Self::Specific(text) => format!("specific-{}", digits(text.as_bytes())),
            Self::Sensitive(of) => of.name().to_string(),
        }
    }
}

/// What a study owes to those whose permits ask for it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Obligation {
    /// To publish what comes of it.
    Publication,
    /// To give back what comes of it.
    Return,
    /// To publish nothing before this day.
    Moratorium(Date),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_files_write_them() {
        for of in Trait::ALL {
            assert_eq!(toml::Value::try_from(of).expect("a text").as_str(), Some(of.name()));
        }
    }
}
