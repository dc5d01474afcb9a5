//! Purposes of use and the diseases they speak of.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use super::vocabulary::{Vocabulary, Word};

/// A disease by its code, for example `MONDO:0005148`: a vocabulary, a colon, and a code of that vocabulary.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Disease(String);

/// A purpose that could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a purpose is NRES, GRU, HMB, DS-<disease code> (for example DS-MONDO:0005148), POA, CC or ETREAT; see docs/consent.md"
)]
pub struct PurposeError;

impl Disease {
    /// Checks and wraps a code: vocabulary, colon, code, at most 64 characters of `A-Z a-z 0-9 . _ -`.
    ///
    /// # Errors
    /// [`PurposeError`] when the text is not of that form.
    pub fn new(code: &str) -> Result<Self, PurposeError> {
        let plain = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        };
        match code.split_once(':') {
            Some((vocabulary, rest)) if code.len() <= 64 && plain(vocabulary) && plain(rest) => {
                Ok(Self(code.to_string()))
            }
            _ => Err(PurposeError),
        }
    }

    /// The code.
    pub fn code(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Disease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What data are used for, or may be: a data use permission of GA4GH DUO, or care.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub enum Purpose {
    /// NRES (DUO:0000004), no restriction: any research. What is granted, never what is asked for.
    NoRestriction,
    /// GRU (DUO:0000042), general research use.
    GeneralResearch,
    /// HMB (DUO:0000006), health, medical or biomedical research.
    HealthResearch,
    /// DS (DUO:0000007), research on one disease, which includes its descendants.
    DiseaseResearch(Disease),
    /// POA (DUO:0000011), research on population origins or ancestry.
    Ancestry,
    /// CC (DUO:0000043), clinical care: TREAT of HL7 v3 ActReason, emergencies apart.
    Care,
    /// ETREAT of HL7 v3 ActReason, care in an emergency.
    EmergencyCare,
}

impl Purpose {
    /// Whether this is research, and not care.
    pub const fn is_research(&self) -> bool {
        !matches!(self, Self::Care | Self::EmergencyCare)
    }
}

impl Word for Purpose {
    fn since(&self) -> Vocabulary {
        match self {
            Self::GeneralResearch | Self::HealthResearch | Self::DiseaseResearch(_) => Vocabulary::RESEARCH,
            Self::NoRestriction | Self::Ancestry | Self::Care | Self::EmergencyCare => Vocabulary::CARE,
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRestriction => f.pad("NRES"),
            Self::GeneralResearch => f.pad("GRU"),
            Self::HealthResearch => f.pad("HMB"),
            Self::DiseaseResearch(disease) => f.pad(&format!("DS-{disease}")),
            Self::Ancestry => f.pad("POA"),
            Self::Care => f.pad("CC"),
            Self::EmergencyCare => f.pad("ETREAT"),
        }
    }
}

impl FromStr for Purpose {
    type Err = PurposeError;

    fn from_str(text: &str) -> Result<Self, PurposeError> {
        match text.trim() {
            "NRES" => Ok(Self::NoRestriction),
            "GRU" => Ok(Self::GeneralResearch),
            "HMB" => Ok(Self::HealthResearch),
            "POA" => Ok(Self::Ancestry),
            "CC" => Ok(Self::Care),
            "ETREAT" => Ok(Self::EmergencyCare),
            other => {
                let code = other.strip_prefix("DS-").ok_or(PurposeError)?;
                Disease::new(code).map(Self::DiseaseResearch)
            }
        }
    }
}

macro_rules! serde_as_text {
    ($name:ident, $parse:expr) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                $parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use serde_as_text;

serde_as_text!(Disease, Disease::new);
serde_as_text!(Purpose, str::parse::<Purpose>);

/// One entry of a consortium's disease vocabulary.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Diseases {
    /// The code.
    pub code: Disease,
    /// The name, for people.
    pub name: String,
    /// The codes of what it is a kind of.
    #[serde(default)]
    pub parents: Vec<Disease>,
}

/// Which disease is a kind of which, as the consortium's genesis file says. A disease that is not in it matches
/// only itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiseaseTree {
    parents: BTreeMap<Disease, Vec<Disease>>,
    names: BTreeMap<Disease, String>,
}

impl DiseaseTree {
    /// Builds the tree from the vocabulary.
    pub fn new(entries: &[Diseases]) -> Self {
        Self {
            parents: entries.iter().map(|e| (e.code.clone(), e.parents.clone())).collect(),
            names: entries.iter().map(|e| (e.code.clone(), e.name.clone())).collect(),
        }
    }

    /// Whether one of the two is a kind of the other, or they are the same.
    pub fn is_in_line(&self, one: &Disease, other: &Disease) -> bool {
        self.is_within(one, other) || self.is_within(other, one)
    }

    /// Whether the vocabulary has the disease.
    pub fn knows(&self, disease: &Disease) -> bool {
        self.names.contains_key(disease)
    }

    /// The name of a disease, if the vocabulary has it.
    pub fn name(&self, disease: &Disease) -> Option<&str> {
        self.names.get(disease).map(String::as_str)
    }

    /// Whether `disease` is `ancestor` or a kind of it. Cycles in the vocabulary do no harm.
    pub fn is_within(&self, disease: &Disease, ancestor: &Disease) -> bool {
        let mut seen = std::collections::BTreeSet::new();
        let mut open = vec![disease];
        while let Some(current) = open.pop() {
            if current == ancestor {
                return true;
            }
            if seen.insert(current) {
                open.extend(self.parents.get(current).into_iter().flatten());
            }
        }
        false
    }
}
