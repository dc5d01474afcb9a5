//! Which words a document could have used.
//!
//! Who signs `any` signs for what there was to choose from. A word that came later is not meant by it: a permit of `any`,
//! and the base decision `permit`, open no more than the words of the document's own vocabulary. A deny of `any` closes
//! everything, later words too.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Deserializer, Serialize};

/// The words that there were when a document was written, by the vocabulary's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, Serialize)]
#[serde(transparent)]
pub struct Vocabulary(u16);

impl Vocabulary {
    /// Consent to research alone: statistics and getting in touch again, for research on health, a disease or anything,
    /// with data of OMOP's domains, by researchers under the GDPR.
    pub const RESEARCH: Self = Self(1);
    /// Care and records: care, forms of records, jurisdictions, sensitivity, imaging, documents, billing and genomics.
    pub const CARE: Self = Self(2);
    /// What documents are written with now.
    pub const CURRENT: Self = Self::CARE;

    /// The vocabulary of this number, if there is one.
    pub const fn numbered(number: u16) -> Option<Self> {
        if 1 <= number && number <= Self::CURRENT.0 { Some(Self(number)) } else { None }
    }

    /// Its number.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// Whether a document of this vocabulary could have used the word.
    pub fn has(self, word: &impl Word) -> bool {
        word.since() <= self
    }
}

impl BorshDeserialize for Vocabulary {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        let unknown = || std::io::Error::new(std::io::ErrorKind::InvalidData, "no such vocabulary");
        Self::numbered(u16::deserialize_reader(reader)?).ok_or_else(unknown)
    }
}

impl Default for Vocabulary {
    fn default() -> Self {
        Self::CURRENT
    }
}

impl<'de> Deserialize<'de> for Vocabulary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = <u16 as Deserialize>::deserialize(deserializer)?;
        Self::numbered(number).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "there is no vocabulary {number}; the newest is {}, which is meant when none is named",
                Self::CURRENT.0
            ))
        })
    }
}

/// A word of the language of consents.
pub trait Word {
    /// The vocabulary that it came with.
    fn since(&self) -> Vocabulary;
}
