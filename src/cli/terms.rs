//! Consent terms as people choose them: presets and files.

use std::path::PathBuf;

use consilium_protocol::consent::{Action, Base, Disease, DiseaseTree, Effect, Purpose, Rule, Scope, Terms};

use super::Failure;
use crate::home::files;

/// What a consent says: a preset, or a file.
#[derive(clap::Args, Debug, Clone)]
#[group(required = true, multiple = false)]
pub(crate) struct TermsArgs {
    /// `research`: any research (GRU); `health`: health research (HMB); `MONDO:…`: research on that disease and its
    /// kinds (DS); `none`: nothing
    #[arg(long, value_name = "PRESET")]
    preset: Option<String>,
    /// A TOML file with the terms; see docs/consent.md
    #[arg(long, value_name = "FILE")]
    terms: Option<PathBuf>,
}

impl TermsArgs {
    /// The terms, checked.
    pub(crate) fn terms(&self) -> Result<Terms, Failure> {
        let terms = match (&self.preset, &self.terms) {
            (Some(preset), _) => preset_terms(preset)?,
            (None, Some(path)) => {
                let text = files::read_text(path, 1_048_576)?;
                toml::from_str(&text).map_err(|e| {
                    Failure::new(format!("{}: {}\ncorrect the file", path.display(), e.to_string().trim_end()))
                })?
            }
            (None, None) => return Err(Failure::usage("say what is consented to: --preset or --terms")),
        };
        terms.check()?;
        Ok(terms)
    }
}

/// The terms of a preset.
pub(crate) fn preset_terms(preset: &str) -> Result<Terms, Failure> {
    let purpose = match preset {
        "none" => None,
        "research" => Some(Purpose::GeneralResearch),
        "health" => Some(Purpose::HealthResearch),
        code => Some(Purpose::DiseaseResearch(Disease::new(code).map_err(|_| {
            Failure::usage(format!(
                "`{code}` is no preset; use research, health, none, or a disease code such as MONDO:0005148"
            ))
        })?)),
    };
    let rules = purpose
        .map(|purpose| Rule::new(Effect::Permit, Action::Aggregate, Scope::Only(vec![purpose])))
        .into_iter()
        .collect();
    Ok(Terms { base: Base::Deny, rules, policy_uri: String::new() })
}

/// Terms in plain words, one line per rule.
pub(crate) fn in_words(terms: &Terms, diseases: &DiseaseTree) -> String {
    let mut lines = vec![match terms.base {
        Base::Deny if terms.rules.is_empty() => "allows nothing".to_string(),
        Base::Deny => "allows only:".to_string(),
        Base::Permit => "allows everything but:".to_string(),
    }];
    for rule in &terms.rules {
        let effect = match (rule.effect, terms.base) {
            (Effect::Permit, _) => "",
            (Effect::Deny, Base::Permit) => "",
            (Effect::Deny, Base::Deny) => "never ",
        };
        let action = match rule.action {
            Action::Aggregate => "counting in statistics",
            Action::Retrieve => "handing over records",
            Action::Recontact => "contacting me again",
        };
        let purposes = list(&rule.purposes, "any purpose", |p| purpose_in_words(p, diseases));
        let mut line = format!("  {effect}{action} for {purposes}");
        if let Scope::Only(_) = rule.data {
            line.push_str(&format!(", of my {} data", list(&rule.data, "", ToString::to_string)));
        }
        if let Scope::Only(_) = rule.recipients {
            line.push_str(&format!(", by {}", list(&rule.recipients, "", recipient_in_words)));
        }
        if rule.valid != consilium_protocol::consent::Window::UNBOUNDED {
            line.push_str(&format!(", valid {}", rule.valid));
        }
        if rule.window != consilium_protocol::consent::Window::UNBOUNDED {
            line.push_str(&format!(", data {}", rule.window));
        }
        lines.push(line);
    }
    lines.join("\n")
}

fn list<T>(scope: &Scope<T>, any: &str, words: impl Fn(&T) -> String) -> String {
    match scope {
        Scope::Any => any.to_string(),
        Scope::Only(entries) => entries.iter().map(words).collect::<Vec<_>>().join(" or "),
    }
}

/// A purpose in plain words.
pub(crate) fn purpose_in_words(purpose: &Purpose, diseases: &DiseaseTree) -> String {
    match purpose {
        Purpose::GeneralResearch => "any research (GRU)".to_string(),
        Purpose::HealthResearch => "health research (HMB)".to_string(),
        Purpose::DiseaseResearch(disease) => match diseases.name(disease) {
            Some(name) => format!("research on {name} ({disease})"),
            None => format!("research on {disease}"),
        },
    }
}

fn recipient_in_words(recipient: &consilium_protocol::consent::Recipient) -> String {
    use consilium_protocol::consent::Recipient;
    match recipient {
        Recipient::Organisation(name) => name.clone(),
        Recipient::Researcher(id) => id.short(),
        Recipient::Hospital(id) => id.short(),
        Recipient::Study(id) => format!("study {}", id.short()),
    }
}
