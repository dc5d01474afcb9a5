//! Presets in words.

use serde::Deserialize;

use super::Language;
use super::texts;

/// What there is to choose from without writing terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Preset {
    /// Nothing at all.
    None,
    /// Records for one's own treatment.
    Care,
    /// These, and statistics for health research.
    CareAndResearch,
    /// Statistics for health research.
    Health,
    /// Statistics for any research.
    Research,
    /// Statistics for research on one disease.
    Disease,
}

impl Preset {
    /// Every preset, the narrowest first.
    pub(crate) const ALL: [Self; 6] =
        [Self::None, Self::Care, Self::CareAndResearch, Self::Health, Self::Research, Self::Disease];

    /// The name that is typed; a disease is typed by its code.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Care => "care",
            Self::CareAndResearch => "care-and-research",
            Self::Health => "health",
            Self::Research => "research",
            Self::Disease => "disease",
        }
    }

    /// The preset of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name && *preset != Self::Disease)
    }

    /// What is typed to choose it.
    pub(crate) const fn typed(self) -> &'static str {
        match self {
            Self::Disease => "MONDO:…",
            other => other.name(),
        }
    }

    /// What it is called.
    pub(crate) fn title(self, language: Language) -> String {
        texts::of(language).preset.of(&self).title
    }

    /// What it means, in one sentence in the patient's own words.
    pub(crate) fn sentence(self, language: Language) -> String {
        texts::of(language).preset.of(&self).sentence
    }
}
