//! Consent in words, in the reader's language: what documents allow and forbid, one sentence a rule, why something may not
//! be read, and what people should know before they sign.
//!
//! Whoever decides about a consent, or looks back at one, reads these words and not the terms, and reads the same words
//! everywhere. They say no less than the terms do.
//!
//! Each language is one file of texts, which a translator can read: `en.toml`, `de.toml`, `fr.toml`. [`texts`] reads them;
//! [`rule`] and [`data`] put sentences together, [`notes`] finds what else has to be said.

mod data;
mod notes;
mod preset;
mod rule;
mod similar;
mod swallowed;
mod texts;
mod why;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use clap::ValueEnum;
use consilium_protocol::consent::{DiseaseTree, Diseases};
use consilium_protocol::genesis::Genesis;
use consilium_protocol::ids::HospitalId;

pub(crate) use preset::Preset;
pub(crate) use texts::{Screen, fill};

/// A language that consents are told in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// English
    En,
    /// Deutsch
    De,
    /// Français
    Fr,
}

impl Language {
    /// Every language.
    pub const ALL: [Self; 3] = [Self::En, Self::De, Self::Fr];

    const fn file(self) -> &'static str {
        match self {
            Self::En => include_str!("en.toml"),
            Self::De => include_str!("de.toml"),
            Self::Fr => include_str!("fr.toml"),
        }
    }

    /// The language of the environment: of `LC_ALL`, `LC_MESSAGES` and `LANG` the first that says anything (POSIX.1, 8.2).
    pub fn of_environment() -> Self {
        Self::of_locales(["LC_ALL", "LC_MESSAGES", "LANG"].map(|name| std::env::var(name).unwrap_or_default()))
    }

    fn of_locales(locales: [String; 3]) -> Self {
        let locale = locales.into_iter().find(|locale| !locale.is_empty()).unwrap_or_default();
        match locale.split(['_', '.', '@']).next().unwrap_or_default() {
            "de" => Self::De,
            "fr" => Self::Fr,
            _ => Self::En,
        }
    }

    /// What stands around consents on the screen.
    pub(crate) fn screen(self) -> &'static Screen {
        &texts::of(self).screen
    }
}

/// Tells consents in one language, by the names that a consortium has for diseases and hospitals.
#[derive(Clone, Debug)]
pub(crate) struct Teller {
    /// The language.
    pub(crate) language: Language,
    listed: Vec<Diseases>,
    diseases: DiseaseTree,
    hospitals: BTreeMap<HospitalId, String>,
}

impl Teller {
    /// By the names of the genesis file.
    pub(crate) fn new(language: Language, genesis: &Genesis) -> Self {
        Self::of(language, &genesis.disease, genesis.member.iter().map(|member| (member.id, member.name.clone())))
    }

    /// By these names.
    pub(crate) fn of(
        language: Language,
        listed: &[Diseases],
        hospitals: impl IntoIterator<Item = (HospitalId, String)>,
    ) -> Self {
        Self {
            language,
            listed: listed.to_vec(),
            diseases: DiseaseTree::new(listed),
            hospitals: hospitals.into_iter().collect(),
        }
    }
}
