//! Purposes of use and the diseases they speak of.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A disease by its code, for example `MONDO:0005148`: a vocabulary, a colon, and a code of that vocabulary.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Disease(String);

/// A purpose that could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a purpose is GRU, HMB or DS-<disease code>, for example DS-MONDO:0005148; see docs/consent.md")]
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

/// What data are used for: a data use permission of GA4GH DUO.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub enum Purpose {
    /// GRU (DUO:0000042), general research use.
    GeneralResearch,
    /// HMB (DUO:0000006), health, medical or biomedical research.
    HealthResearch,
    /// DS (DUO:0000007), research on one disease, which includes its descendants.
    DiseaseResearch(Disease),
}

impl Purpose {
    /// Whether a grant for `self` covers a use for `asked`: GRU covers all, HMB covers HMB and DS, DS covers the
    /// same disease and its descendants.
    ///
    /// Source: the matching table of DUOS (DataBiosphere/consent-ontology, version 4), with its rule that a disease
    /// matches a grant for itself or an ancestor.
    pub fn covers(&self, asked: &Self, diseases: &DiseaseTree) -> bool {
        match (self, asked) {
            (Self::GeneralResearch, _) => true,
            (Self::HealthResearch, Self::HealthResearch | Self::DiseaseResearch(_)) => true,
            (Self::DiseaseResearch(granted), Self::DiseaseResearch(asked)) => diseases.is_within(asked, granted),
            (Self::HealthResearch | Self::DiseaseResearch(_), _) => false,
        }
    }

    /// Whether the two have any use in common; what a deny rule is tested with, so that it is never too narrow.
    pub fn overlaps(&self, asked: &Self, diseases: &DiseaseTree) -> bool {
        self.covers(asked, diseases) || asked.covers(self, diseases)
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GeneralResearch => f.pad("GRU"),
            Self::HealthResearch => f.pad("HMB"),
            Self::DiseaseResearch(disease) => f.pad(&format!("DS-{disease}")),
        }
    }
}

impl FromStr for Purpose {
    type Err = PurposeError;

    fn from_str(text: &str) -> Result<Self, PurposeError> {
        match text.trim() {
            "GRU" => Ok(Self::GeneralResearch),
            "HMB" => Ok(Self::HealthResearch),
            other => {
                let code = other.strip_prefix("DS-").ok_or(PurposeError)?;
                Disease::new(code).map(Self::DiseaseResearch)
            }
        }
    }
}

macro_rules! serde_as_text {
    ($name:ident, $parse:expr) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as Deserialize>::deserialize(deserializer)?;
                $parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

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
