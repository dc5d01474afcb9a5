//! Consent terms as people choose them: presets and files.

use std::path::PathBuf;

use consilium_protocol::consent::{Action, Disease, Effect, Form, Purpose, Rule, Scope, Terms};

use consilium_protocol::tx::GivenTerms;
use consilium_protocol::wire;

use super::Failure;
use crate::home::files;
use crate::net::client::{Node, refused};
use crate::words::{Language, Preset};

/// What a consent says: a preset, or a file.
#[derive(clap::Args, Debug, Clone)]
#[group(required = true, multiple = false)]
pub(crate) struct TermsArgs {
    #[arg(long, value_name = "PRESET", help = presets_in_short())]
    preset: Option<String>,
    /// A TOML file with the terms; see docs/consent.md
    #[arg(long, value_name = "FILE")]
    terms: Option<PathBuf>,
}

/// What there is to choose from, for `--help`: `consent presets` says it in other languages too.
fn presets_in_short() -> String {
    let each = Preset::ALL.map(|preset| format!("`{}`: {}", preset.typed(), preset.sentence(Language::En)));
    format!("{} See also `consilium consent presets`", each.join(" "))
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

/// What becomes of the consents that there are.
#[derive(clap::Args, Debug, Clone, Copy)]
#[group(multiple = false)]
pub(crate) struct PlaceArgs {
    /// Keep the other consents as well (default for terms that only forbid)
    #[arg(long)]
    add: bool,
    /// End the other consents: these take their place (default for terms that allow anything, and for `none`)
    #[arg(long)]
    replace: bool,
}

impl PlaceArgs {
    /// Whether a document of these terms takes the place of older ones. Who forbids a part does not mean to end the rest.
    pub(crate) fn takes_the_place_of_older(self, terms: &Terms) -> bool {
        match (self.add, self.replace) {
            (true, _) => false,
            (_, true) => true,
            (false, false) => terms.permits() || !terms.denies(),
        }
    }
}

/// Terms as a grant gives them: by their hash where the ledger has them.
pub(crate) async fn given(node: &Node, terms: &Terms) -> Result<GivenTerms, Failure> {
    let hash = terms.hash();
    let request = wire::TermsRequest { hash: hash.as_bytes().to_vec() };
    let known = node.ledger().terms(request).await.map_err(refused)?.into_inner();
    Ok(if known.terms.is_empty() { GivenTerms::Whole(terms.clone()) } else { GivenTerms::Known(hash) })
}

/// The terms of a preset.
pub(crate) fn preset_terms(preset: &str) -> Result<Terms, Failure> {
    let research = |purpose| Rule::new(Effect::Permit, Action::Aggregate, Scope::Only(vec![purpose]));
    // Whoever treats somebody has to know who they are, and to see everything.
    let care = || Rule {
        form: Some(Form::Identified),
        ..Rule::new(Effect::Permit, Action::Retrieve, Scope::Only(vec![Purpose::Care, Purpose::EmergencyCare]))
    };
    let rules = match Preset::named(preset) {
        Some(Preset::None) => Vec::new(),
        Some(Preset::Care) => vec![care()],
        Some(Preset::CareAndResearch) => vec![care(), research(Purpose::HealthResearch)],
        Some(Preset::Health) => vec![research(Purpose::HealthResearch)],
        Some(Preset::Research) => vec![research(Purpose::GeneralResearch)],
        Some(Preset::Disease) | None => vec![research(Purpose::DiseaseResearch(Disease::new(preset).map_err(|_| {
            Failure::usage(format!(
                "`{preset}` is no preset; use none, care, care-and-research, health, research, or a disease code such as \
                 MONDO:0005148"
            ))
        })?))],
    };
    Ok(Terms::opt_in(rules))
}
