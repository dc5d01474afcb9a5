//! Consent terms as people choose them: presets and files.

use std::path::PathBuf;

use consilium_protocol::consent::{Action, Base, Disease, Effect, Purpose, Rule, Scope, Terms};

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
