//! What people should know that rules do not say.

use std::collections::BTreeSet;

use consilium_protocol::consent::{
    Action, Base, Disease, Domain, Effect, Jurisdiction, Label, Purpose, Rule, Scope, Terms, Vocabulary, Window,
};

use super::rule::data_of;
use super::swallowed::{Meant, is_swallowed};
use super::texts::{self, Notes, fill};
use super::{Preset, Teller, similar};

impl Teller {
    fn note(&self) -> &'static Notes {
        &texts::of(self.language).note
    }

    /// Of all documents that hold together, what people should know.
    pub(crate) fn notes(&self, documents: &[&Terms]) -> Vec<String> {
        let mut notes = self.notes_beside_others(documents);
        if opens_but_no_person(documents) {
            notes.push(self.note().no_person.clone());
        }
        notes
    }

    /// Of documents, what people should know whatever other documents hold with them.
    pub(crate) fn notes_beside_others(&self, documents: &[&Terms]) -> Vec<String> {
        let rules = || documents.iter().flat_map(|terms| &terms.rules);
        let mut notes = self.swallowed(documents);
        let unknown: BTreeSet<&Disease> = rules().flat_map(named).filter(|code| !self.diseases.knows(code)).collect();
        notes.extend(unknown.into_iter().map(|code| self.unknown(code)));
        if rules().any(|rule| rule.labels != Scope::Any) {
            notes.push(self.note().unmarked.clone());
        }
        if rules().any(|rule| rule.window != Window::UNBOUNDED) {
            notes.push(self.note().periods.clone());
        }
        notes
    }

    /// What a document tells whoever reads the ledger, to be said before it is signed: afterwards it stays there.
    pub(crate) fn warnings(&self, terms: &Terms) -> Vec<String> {
        let mut warnings = Vec::new();
        let permits = terms.rules.iter().filter(|rule| rule.effect == Effect::Permit);
        let diseases: BTreeSet<&Disease> = permits.flat_map(named).filter(|code| !self.is_everything(code)).collect();
        if !diseases.is_empty() {
            let list = self.language.all_of(diseases.into_iter().map(|code| self.disease(code)));
            warnings.push(self.warning(&self.note().names_disease, &list, Preset::Health));
        }
        let parts = self.parts(terms);
        if !parts.is_empty() {
            let list = self.language.all_of(parts);
            warnings.push(self.warning(&self.note().names_part, &list, Preset::None));
        }
        warnings
    }

    fn warning(&self, template: &str, list: &str, broader: Preset) -> String {
        let preset = self.language.quoted(&broader.title(self.language));
        fill(template, &[("list", list), ("preset", &preset)])
    }

    fn disease(&self, code: &Disease) -> String {
        match self.diseases.name(code) {
            Some(name) => format!("{} ({code})", self.language.quoted(name)),
            None => code.to_string(),
        }
    }

    /// Whether a code stands above others and below none, as one for diseases of whatever kind does.
    fn is_everything(&self, code: &Disease) -> bool {
        let is_top = self.listed.iter().any(|entry| entry.code == *code && entry.parents.is_empty());
        is_top && self.listed.iter().any(|entry| entry.parents.contains(code))
    }

    fn unknown(&self, code: &Disease) -> String {
        let similar = similar::to(code, &self.listed);
        let list = self.language.one_of(similar.into_iter().map(|entry| self.disease(&entry.code)));
        let template = match list.is_empty() {
            true => &self.note().unknown_disease,
            false => &self.note().similar_disease,
        };
        fill(template, &[("code", code.code()), ("list", &list)])
    }

    /// The diseases that a document's denies name, and the one class of data and the one mark of sensitivity, if they are all
    /// that the denies single out.
    fn parts(&self, terms: &Terms) -> Vec<String> {
        let denies = || terms.rules.iter().filter(|rule| rule.effect == Effect::Deny);
        let classes: BTreeSet<Domain> = denies().flat_map(|rule| only(&rule.data)).collect();
        let labels: BTreeSet<Label> = denies().flat_map(|rule| only(&rule.labels)).collect();
        let diseases: BTreeSet<&Disease> = denies().flat_map(named).filter(|code| !self.is_everything(code)).collect();
        let mut parts: Vec<String> = diseases.into_iter().map(|code| self.disease(code)).collect();
        // Who somebody is, and how sensitive data are as such, tells of no illness.
        if let (Some(one), 1) = (classes.first(), classes.len())
            && *one != Domain::Person
        {
            parts.push(self.language.class(*one));
        }
        if let (Some(one), 1) = (labels.first(), labels.len())
            && !matches!(one, Label::Normal | Label::Restricted)
        {
            parts.push(texts::of(self.language).labels.of.of(one));
        }
        parts
    }

    fn swallowed(&self, documents: &[&Terms]) -> Vec<String> {
        let mut permits: Vec<Meant<'_>> = Vec::new();
        let mut denies: Vec<&Rule> = Vec::new();
        for terms in documents {
            for rule in &terms.rules {
                match rule.effect {
                    Effect::Permit => permits.push(Meant { rule, vocabulary: terms.vocabulary }),
                    Effect::Deny => denies.push(rule),
                }
            }
        }
        permits.retain(|permit| is_swallowed(permit, &denies, &self.diseases));
        let sentence = |permit: Meant<'_>| self.rule(permit.rule, permit.vocabulary);
        permits.into_iter().map(|permit| fill(&self.note().swallowed, &[("sentence", &sentence(permit))])).collect()
    }
}

/// The diseases that a rule names.
fn named(rule: &Rule) -> impl Iterator<Item = &Disease> {
    let purposes = match &rule.purposes {
        Scope::Any => &[][..],
        Scope::Only(purposes) => purposes,
    };
    purposes.iter().filter_map(|purpose| match purpose {
        Purpose::DiseaseResearch(disease) => Some(disease),
        _ => None,
    })
}

fn only<T: Copy>(scope: &Scope<T>) -> Vec<T> {
    match scope {
        Scope::Any => Vec::new(),
        Scope::Only(entries) => entries.clone(),
    }
}

/// Whether something may be counted for some purpose, and PERSON for none.
fn opens_but_no_person(documents: &[&Terms]) -> bool {
    let counting = |effect| {
        let rules = documents.iter().flat_map(|terms| terms.rules.iter().map(|rule| (rule, terms.vocabulary)));
        rules.filter(move |(rule, _)| rule.action == Action::Aggregate && rule.effect == effect)
    };
    let covers = |(rule, vocabulary): (&Rule, Vocabulary), domain| {
        data_of(rule, vocabulary).of(domain).is_some_and(|opened| opened.undated)
    };
    let silence =
        |domain: &Domain| documents.iter().any(|terms| terms.base == Base::Permit && terms.vocabulary.has(domain));
    let for_all = |rule: &Rule| {
        let everybody =
            rule.recipients == Scope::Any && rule.jurisdiction.is_none_or(|from| from == Jurisdiction::Gdpr);
        everybody && rule.purposes == Scope::Any && rule.labels == Scope::Any && rule.valid == Window::UNBOUNDED
    };
    let opens = |domain: Domain| {
        let forbidden = counting(Effect::Deny).any(|rule| for_all(rule.0) && covers(rule, domain));
        !forbidden && (silence(&domain) || counting(Effect::Permit).any(|rule| covers(rule, domain)))
    };
    !opens(Domain::Person) && Domain::ALL.into_iter().any(opens)
}
