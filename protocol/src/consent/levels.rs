//! What a rule says of the form in which data leave, of where they go to, and of how sensitive they are.

use std::fmt;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use super::vocabulary::{Vocabulary, Word};

/// The form in which data leave a hospital, each telling more than those before it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// Statistics over many patients.
    Statistics,
    /// Records without the identifiers that 45 CFR 164.514(b)(2) lists, years instead of dates.
    SafeHarbour,
    /// Records under a pseudonym, dates shifted.
    Pseudonymised,
    /// Records without names and numbers, with real dates and places.
    Desensitised,
    /// Records as they are.
    Identified,
}

impl Form {
    /// Every form.
    pub const ALL: [Self; 5] =
        [Self::Statistics, Self::SafeHarbour, Self::Pseudonymised, Self::Desensitised, Self::Identified];

    /// The name as files and screens write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Statistics => "statistics",
            Self::SafeHarbour => "safe-harbour",
            Self::Pseudonymised => "pseudonymised",
            Self::Desensitised => "desensitised",
            Self::Identified => "identified",
        }
    }
}

impl Word for Form {
    fn since(&self) -> Vocabulary {
        match self {
            Self::Statistics => Vocabulary::RESEARCH,
            Self::SafeHarbour | Self::Pseudonymised | Self::Desensitised | Self::Identified => Vocabulary::CARE,
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How far from the GDPR the law is that a recipient stands under, as members voted when they accredited it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Jurisdiction {
    /// The General Data Protection Regulation, (EU) 2016/679.
    Gdpr,
    /// A law that the European Commission found adequate (Article 45), for this recipient.
    Adequate,
    /// Any other.
    Other,
}

impl Jurisdiction {
    /// Every level.
    pub const ALL: [Self; 3] = [Self::Gdpr, Self::Adequate, Self::Other];

    /// The name as files and screens write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gdpr => "gdpr",
            Self::Adequate => "adequate",
            Self::Other => "other",
        }
    }
}

impl Word for Jurisdiction {
    fn since(&self) -> Vocabulary {
        match self {
            Self::Gdpr => Vocabulary::RESEARCH,
            Self::Adequate | Self::Other => Vocabulary::CARE,
        }
    }
}

impl fmt::Display for Jurisdiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A jurisdiction that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a jurisdiction is gdpr, adequate (a law that the European Commission found adequate for this recipient) or other"
)]
pub struct UnknownJurisdiction;

impl FromStr for Jurisdiction {
    type Err = UnknownJurisdiction;

    fn from_str(text: &str) -> Result<Self, UnknownJurisdiction> {
        Self::ALL.into_iter().find(|level| level.name() == text).ok_or(UnknownJurisdiction)
    }
}

/// How sensitive data are: HL7 v3 Confidentiality, and v3 ActCode's information sensitivity.
///
/// Data carry `N`, or else `R` and whatever makes them restricted. They are open only where every label that they carry is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub enum Label {
    /// Normal.
    #[serde(rename = "N")]
    Normal,
    /// Restricted.
    #[serde(rename = "R")]
    Restricted,
    /// Substance use.
    #[serde(rename = "ETH")]
    SubstanceUse,
    /// Mental health.
    #[serde(rename = "PSY")]
    MentalHealth,
    /// Sexual assault, abuse, or domestic violence.
    #[serde(rename = "SDV")]
    Violence,
    /// HIV and AIDS.
    #[serde(rename = "HIV")]
    Hiv,
}

impl Label {
    /// Every label.
    pub const ALL: [Self; 6] =
        [Self::Normal, Self::Restricted, Self::SubstanceUse, Self::MentalHealth, Self::Violence, Self::Hiv];

    /// The code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Normal => "N",
            Self::Restricted => "R",
            Self::SubstanceUse => "ETH",
            Self::MentalHealth => "PSY",
            Self::Violence => "SDV",
            Self::Hiv => "HIV",
        }
    }
}

impl Word for Label {
    fn since(&self) -> Vocabulary {
        match self {
            // What there was before labels was one kind of data, whatever they were.
            Self::Normal | Self::Restricted | Self::SubstanceUse | Self::MentalHealth | Self::Violence | Self::Hiv => {
                Vocabulary::RESEARCH
            }
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

/// A country by its code of two letters, ISO 3166-1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize)]
pub struct Country([u8; 2]);

/// A country that could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a country is its code of two capital letters (ISO 3166-1), for example DE")]
pub struct CountryError;

impl Country {
    fn new(letters: [u8; 2]) -> Result<Self, CountryError> {
        if letters.iter().all(u8::is_ascii_uppercase) { Ok(Self(letters)) } else { Err(CountryError) }
    }
}

impl FromStr for Country {
    type Err = CountryError;

    fn from_str(text: &str) -> Result<Self, CountryError> {
        Self::new(text.as_bytes().try_into().map_err(|_| CountryError)?)
    }
}

impl BorshDeserialize for Country {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        let letters = <[u8; 2]>::deserialize_reader(reader)?;
        Self::new(letters).map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(std::str::from_utf8(&self.0).unwrap_or_default())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

super::purpose::serde_as_text!(Country, str::parse::<Country>);
