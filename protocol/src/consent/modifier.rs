//! What a permit is bound to: data use modifiers of GA4GH DUO.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use super::levels::Country;
use super::vocabulary::{Vocabulary, Word};
use crate::ids::{Date, ResearcherId, StudyId};

/// A data use modifier. All of a permit must be met. (TS, DUO:0000025, a time limit, is the end of the rule's `valid`.)
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub enum Modifier {
    /// DUO:0000045: by organisations that are not for profit.
    #[serde(rename = "NPU")]
    NonProfitOrganisation,
    /// DUO:0000046: for no commercial use.
    #[serde(rename = "NCU")]
    NonCommercialUse,
    /// DUO:0000018: both.
    #[serde(rename = "NPUNCU")]
    NonProfitNonCommercial,
    /// DUO:0000015: not for the development of methods alone.
    #[serde(rename = "NMDS")]
    NoMethodsOnly,
    /// DUO:0000044: not for research on origins or ancestry.
    #[serde(rename = "NPOA")]
    NoAncestry,
    /// DUO:0000016: for genetic studies only.
    #[serde(rename = "GSO")]
    GeneticOnly,
    /// DUO:0000022: by recipients in these countries.
    #[serde(rename = "GS")]
    Places(Vec<Country>),
    /// DUO:0000021: with the approval of an ethics committee.
    #[serde(rename = "IRB")]
    Ethics,
    /// DUO:0000019: what comes of it is published.
    #[serde(rename = "PUB")]
    Publication,
    /// DUO:0000020: together with these.
    #[serde(rename = "COL")]
    Collaboration(Vec<String>),
    /// DUO:0000029: what comes of it is given back.
    #[serde(rename = "RTN")]
    Return,
    /// DUO:0000024: nothing is published before this day, or before one that the document does not name: `undated`.
    #[serde(rename = "MOR")]
    Moratorium(#[serde(with = "day_or_undated")] Option<Date>),
    /// DUO:0000026: by these researchers.
    #[serde(rename = "US")]
    Users(Vec<ResearcherId>),
    /// DUO:0000027: in these studies.
    #[serde(rename = "PS")]
    Projects(Vec<StudyId>),
    /// DUO:0000028: by these organisations.
    #[serde(rename = "IS")]
    Institutions(Vec<String>),
    /// DUO:0000012: for research that fits this description, which a person has to judge.
    #[serde(rename = "RS")]
    Specific(String),
}

/// The kind of a [`Modifier`].
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub enum ModifierKind {
    /// [`Modifier::NonProfitOrganisation`].
    #[serde(rename = "NPU")]
    NonProfitOrganisation,
    /// [`Modifier::NonCommercialUse`].
    #[serde(rename = "NCU")]
    NonCommercialUse,
    /// [`Modifier::NonProfitNonCommercial`].
    #[serde(rename = "NPUNCU")]
    NonProfitNonCommercial,
    /// [`Modifier::NoMethodsOnly`].
    #[serde(rename = "NMDS")]
    NoMethodsOnly,
    /// [`Modifier::NoAncestry`].
    #[serde(rename = "NPOA")]
    NoAncestry,
    /// [`Modifier::GeneticOnly`].
    #[serde(rename = "GSO")]
    GeneticOnly,
    /// [`Modifier::Places`].
    #[serde(rename = "GS")]
    Places,
    /// [`Modifier::Ethics`].
    #[serde(rename = "IRB")]
    Ethics,
    /// [`Modifier::Publication`].
    #[serde(rename = "PUB")]
    Publication,
    /// [`Modifier::Collaboration`].
    #[serde(rename = "COL")]
    Collaboration,
    /// [`Modifier::Return`].
    #[serde(rename = "RTN")]
    Return,
    /// [`Modifier::Moratorium`].
    #[serde(rename = "MOR")]
    Moratorium,
    /// [`Modifier::Users`].
    #[serde(rename = "US")]
    Users,
    /// [`Modifier::Projects`].
    #[serde(rename = "PS")]
    Projects,
    /// [`Modifier::Institutions`].
    #[serde(rename = "IS")]
    Institutions,
    /// [`Modifier::Specific`].
    #[serde(rename = "RS")]
    Specific,
}

impl ModifierKind {
    /// Every kind.
    pub const ALL: [Self; 16] = [
        Self::NonProfitOrganisation,
        Self::NonCommercialUse,
        Self::NonProfitNonCommercial,
        Self::NoMethodsOnly,
        Self::NoAncestry,
        Self::GeneticOnly,
        Self::Places,
        Self::Ethics,
        Self::Publication,
        Self::Collaboration,
        Self::Return,
        Self::Moratorium,
        Self::Users,
        Self::Projects,
        Self::Institutions,
        Self::Specific,
    ];

    /// DUO's short name.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NonProfitOrganisation => "NPU",
            Self::NonCommercialUse => "NCU",
            Self::NonProfitNonCommercial => "NPUNCU",
            Self::NoMethodsOnly => "NMDS",
            Self::NoAncestry => "NPOA",
            Self::GeneticOnly => "GSO",
            Self::Places => "GS",
            Self::Ethics => "IRB",
            Self::Publication => "PUB",
            Self::Collaboration => "COL",
            Self::Return => "RTN",
            Self::Moratorium => "MOR",
            Self::Users => "US",
            Self::Projects => "PS",
            Self::Institutions => "IS",
            Self::Specific => "RS",
        }
    }

    /// DUO's identifier.
    pub const fn identifier(self) -> &'static str {
        match self {
            Self::NonProfitOrganisation => "DUO:0000045",
            Self::NonCommercialUse => "DUO:0000046",
            Self::NonProfitNonCommercial => "DUO:0000018",
            Self::NoMethodsOnly => "DUO:0000015",
            Self::NoAncestry => "DUO:0000044",
            Self::GeneticOnly => "DUO:0000016",
            Self::Places => "DUO:0000022",
            Self::Ethics => "DUO:0000021",
            Self::Publication => "DUO:0000019",
            Self::Collaboration => "DUO:0000020",
            Self::Return => "DUO:0000029",
            Self::Moratorium => "DUO:0000024",
            Self::Users => "DUO:0000026",
            Self::Projects => "DUO:0000027",
            Self::Institutions => "DUO:0000028",
            Self::Specific => "DUO:0000012",
        }
    }
}

impl Modifier {
    /// Its kind.
    pub const fn kind(&self) -> ModifierKind {
        match self {
            Self::NonProfitOrganisation => ModifierKind::NonProfitOrganisation,
            Self::NonCommercialUse => ModifierKind::NonCommercialUse,
            Self::NonProfitNonCommercial => ModifierKind::NonProfitNonCommercial,
            Self::NoMethodsOnly => ModifierKind::NoMethodsOnly,
            Self::NoAncestry => ModifierKind::NoAncestry,
            Self::GeneticOnly => ModifierKind::GeneticOnly,
            Self::Places(_) => ModifierKind::Places,
            Self::Ethics => ModifierKind::Ethics,
            Self::Publication => ModifierKind::Publication,
            Self::Collaboration(_) => ModifierKind::Collaboration,
            Self::Return => ModifierKind::Return,
            Self::Moratorium(_) => ModifierKind::Moratorium,
            Self::Users(_) => ModifierKind::Users,
            Self::Projects(_) => ModifierKind::Projects,
            Self::Institutions(_) => ModifierKind::Institutions,
            Self::Specific(_) => ModifierKind::Specific,
        }
    }

    /// How many entries its list has; `None` for what has no list.
    pub(super) fn entries(&self) -> Option<usize> {
        match self {
            Self::Places(list) => Some(list.len()),
            Self::Collaboration(list) | Self::Institutions(list) => Some(list.len()),
            Self::Users(list) => Some(list.len()),
            Self::Projects(list) => Some(list.len()),
            Self::NonProfitOrganisation
            | Self::NonCommercialUse
            | Self::NonProfitNonCommercial
            | Self::NoMethodsOnly
            | Self::NoAncestry
            | Self::GeneticOnly
            | Self::Ethics
            | Self::Publication
            | Self::Return
            | Self::Moratorium(_)
            | Self::Specific(_) => None,
        }
    }

    /// The names and descriptions within.
    pub(super) fn texts(&self) -> &[String] {
        match self {
            Self::Collaboration(list) | Self::Institutions(list) => list,
            Self::Specific(text) => std::slice::from_ref(text),
            _ => &[],
        }
    }
}

impl Word for Modifier {
    fn since(&self) -> Vocabulary {
        Vocabulary::CARE
    }
}

/// A day as text, for TOML has no nothing.
mod day_or_undated {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::ids::Date;

    const UNDATED: &str = "undated";

    pub(super) fn serialize<S: Serializer>(day: &Option<Date>, serializer: S) -> Result<S::Ok, S::Error> {
        match day {
            Some(day) => serializer.collect_str(day),
            None => serializer.serialize_str(UNDATED),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Date>, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == UNDATED { Ok(None) } else { text.parse().map(Some).map_err(D::Error::custom) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_files_write_them() {
        for kind in ModifierKind::ALL {
            let written = toml::Value::try_from(kind).expect("a text");
            assert_eq!(written.as_str(), Some(kind.code()));
        }
    }
}
