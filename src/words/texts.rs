//! What a language's file holds: the texts, as templates with places to fill.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use consilium_protocol::consent::{Action, Domain, Jurisdiction, Label, ModifierKind, Trait};
use serde::{Deserialize, Deserializer};

use super::{Language, Preset};

/// The texts of a language, as its file has them. A text that is missing, or that nobody knows, fails to be read, and a test
/// reads every file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Texts {
    pub(crate) join: Join,
    pub(crate) dates: Dates,
    pub(crate) document: Document,
    pub(crate) rule: RuleTexts,
    pub(crate) form: Forms,
    pub(crate) purposes: Purposes,
    pub(crate) recipients: Recipients,
    pub(crate) jurisdiction: Jurisdictions,
    pub(crate) modifier: Modifiers,
    pub(crate) requirement: Each<ModifierKind>,
    pub(crate) data: Data,
    pub(crate) labels: Labels,
    pub(crate) reason: BTreeMap<String, String>,
    pub(crate) condition: Conditions,
    #[serde(rename = "trait")]
    pub(crate) traits: Each<Trait>,
    pub(crate) obligation: Obligations,
    pub(crate) preset: Each<Preset, PresetTexts>,
    pub(crate) note: Notes,
    pub(crate) screen: Screen,
}

/// A text for each word of a kind.
#[derive(Clone, Debug)]
pub(crate) struct Each<K, T = String>(BTreeMap<K, T>);

impl<K, T> Default for Each<K, T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord, T: Default + Clone> Each<K, T> {
    /// The text of a word. There is one: a file that lacks it is not read.
    pub(crate) fn of(&self, word: &K) -> T {
        self.0.get(word).cloned().unwrap_or_default()
    }
}

/// A kind of words, all of which have to be put into texts.
pub(super) trait Listed: Ord + Sized + 'static {
    /// Every word.
    const WORDS: &'static [Self];
}

macro_rules! listed {
    ($($kind:ty),*) => { $(impl Listed for $kind { const WORDS: &'static [Self] = &Self::ALL; })* };
}

listed!(Action, Domain, Jurisdiction, Label, ModifierKind, Trait, Preset);

impl<'de, K: Listed + Deserialize<'de>, T: Deserialize<'de>> Deserialize<'de> for Each<K, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = BTreeMap::<K, T>::deserialize(deserializer)?;
        match K::WORDS.iter().all(|word| texts.contains_key(word)) {
            true => Ok(Self(texts)),
            false => {
                Err(serde::de::Error::custom(format!("{} texts where {} are needed", texts.len(), K::WORDS.len())))
            }
        }
    }
}

macro_rules! texts {
    ($($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $kind:ty),* $(,)? })*) => { $(
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        $(#[$meta])*
        pub(crate) struct $name { $($(#[$field_meta])* pub(crate) $field: $kind),* }
    )* };
}

texts! {
    /// How words are joined and quoted.
    Join { and: String, or: String, quoted: String }

    /// Days and periods.
    Dates { months: [String; 12], first: String, day: String, from: String, until: String, on: String, between: String }

    /// What a document says before its rules.
    Document { permits: String, nothing: String, denies: String }

    /// What a rule's sentence is made of.
    RuleTexts {
        sentence: String, separator: String, codes: String, valid: String, researchers: String, permit: Each<Action>,
        deny: Each<Action>,
    }

    /// In which form records may leave, or must not.
    Forms { permit: PermittedForms, deny: DeniedForms }

    /// In which form records may leave.
    #[serde(rename_all = "kebab-case")]
    PermittedForms { safe_harbour: String, pseudonymised: String, desensitised: String, identified: String }

    /// In which form records must not leave.
    #[serde(rename_all = "kebab-case")]
    DeniedForms { any: String, safe_harbour: String, pseudonymised: String, desensitised: String, identified: String }

    /// What for.
    Purposes {
        list: String, any: String, none: String, unrestricted: String, general: String, general_once: String, health: String, disease: String,
        unlisted: String, ancestry: String, care: String, care_and_emergency: String, emergency: String,
    }

    /// By whom.
    Recipients {
        anybody_admitted: String, anybody: String, nobody: String, organisation: String, researcher: String,
        hospital: String, study: String, of: Each<Action>,
    }

    /// Under which law.
    Jurisdictions { permit: Each<Jurisdiction>, deny: Each<Jurisdiction> }

    /// Which data.
    Data {
        some: String, all: String, everything: String, except: String, nothing: String, person: String, undated: String,
        dated: Each<Domain>,
    }

    /// How sensitive data are.
    Labels { permit: String, deny: String, of: Each<Label> }

    /// What has to be found met.
    Conditions {
        control_set: String, ethics: String, collaboration: String, moratorium: String, specific: String,
        sensitive: String,
    }

    /// What a study owes.
    Obligations { publication: String, r#return: String, moratorium: String }

    /// What one can choose.
    PresetTexts { title: String, sentence: String }

    /// What people should know that a rule does not say.
    Notes {
        periods: String, no_person: String, unmarked: String, swallowed: String, unknown_disease: String,
        similar_disease: String, names_disease: String, names_part: String,
    }

    /// What stands around consents on the screen.
    Screen {
        note: String, at: String, from_now_on: String, each: String, nothing_signed: String, sign: String,
        transaction: String, no_other: String, cosign: String, cosign_once: String, others_end: String, others_stay: String, given: String, current: String, ended: String, unreadable: String, none: String, subject: String,
        consents: String, studies: String, no_study: String, history: [String; 7], nothing_asked: String,
        nothing_because: String, could_use: String, could_use_nothing: String, would_have_to_be_met: String,
        owes_for_this: String, no_one: String, fewer: String, range: String, reach: String, reach_data: [String; 2],
        reach_reasons: String, reach_reason: [String; 2], reach_conditions: String, reach_condition: [String; 3],
        reach_owes: String, by: BTreeMap<String, String>, end: BTreeMap<String, String>, outcome: BTreeMap<String, String>,
    }
}

/// What a permit is bound to: the kinds, and one that may lack its day.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Modifiers {
    pub(crate) moratorium: String,
    #[serde(flatten)]
    pub(crate) of: Each<ModifierKind>,
}

/// Reads a language's file.
pub(super) fn read(file: &str) -> Result<Texts, toml::de::Error> {
    toml::from_str(&bound(file))
}

/// French puts a space before some signs, at which no line must be broken.
fn bound(text: &str) -> String {
    let mut text = text.replace("« ", "«\u{a0}");
    for sign in [":", ";", "?", "!", "»"] {
        text = text.replace(&format!(" {sign}"), &format!("\u{a0}{sign}"));
    }
    text
}

/// The texts of a language.
pub(super) fn of(language: Language) -> &'static Texts {
    // A test reads all of them, so that none is empty.
    static EN: LazyLock<Texts> = LazyLock::new(|| read(Language::En.file()).unwrap_or_default());
    static DE: LazyLock<Texts> = LazyLock::new(|| read(Language::De.file()).unwrap_or_default());
    static FR: LazyLock<Texts> = LazyLock::new(|| read(Language::Fr.file()).unwrap_or_default());
    match language {
        Language::En => &EN,
        Language::De => &DE,
        Language::Fr => &FR,
    }
}

/// A template with its places filled. What is filled in is taken as it is, braces included.
pub(crate) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        match values.iter().find(|(known, _)| *known == name) {
            Some((_, value)) => text.push_str(value),
            None => text.push_str(&format!("{{{name}}}")),
        }
        rest = after;
    }
    text.push_str(rest);
    text
}

/// What somebody wrote, on one line and without signs that steer a terminal.
pub(super) fn plain(text: &str) -> String {
    let visible = text.split(|c: char| c.is_whitespace() || c.is_control());
    visible.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}
