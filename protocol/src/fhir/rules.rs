//! What conditions come to as rules.

use super::conditions::{Conditions, Said};
use super::finding::{Finding, FindingKind, Why};
use super::{Options, Place};
use crate::consent::{Action, Domain, Effect, Form, Label, Purpose, Rule, Scope, Window};

/// The rules of one provision, each with where it is from, and what there is to say of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    pub(super) rules: Vec<(Place, Rule)>,
    pub(super) notices: Vec<Finding>,
    /// Denies that cannot be said.
    pub(super) reasons: Vec<Finding>,
}

impl Rules {
    /// Adds a permit, or the notice that it is left out.
    pub(super) fn permit(&mut self, conditions: &Conditions, is_research: bool, options: &Options<'_>) {
        match permitted(conditions, is_research, options) {
            Ok(rules) => {
                self.rules.extend(rules.into_iter().map(|rule| (conditions.path.clone(), rule)));
                self.notices.extend(conditions.notices.iter().cloned());
            }
            Err((path, why)) => self.notices.push(Finding::new(path, FindingKind::Dropped(why))),
        }
    }

    /// Adds a deny; without the conditions that cannot be said if it may be wider than it is, or else as a reason to refuse.
    pub(super) fn deny(&mut self, mut conditions: Conditions, options: &Options<'_>) {
        let unsayable = conditions.unsayable();
        if !options.widen_denies && !unsayable.is_empty() {
            let refused = |(path, why)| Finding::new(path, FindingKind::Unsayable(why));
            self.reasons.extend(unsayable.into_iter().map(refused));
            return;
        }
        self.notices.append(&mut conditions.notices);
        let widened = |(path, why)| Finding::new(path, FindingKind::Widened(why));
        self.notices.extend(unsayable.into_iter().map(widened));
        match denied(&conditions) {
            Ok(rules) => self.rules.extend(rules.into_iter().map(|rule| (conditions.path.clone(), rule))),
            Err(why) => self.notices.push(Finding::new(conditions.path, FindingKind::Void(why))),
        }
    }

    /// The permits of which a deny beside them leaves nothing.
    pub(super) fn swallowed(&self) -> Vec<Finding> {
        let denies = || self.rules.iter().filter(|(_, rule)| rule.effect == Effect::Deny);
        let mut paths: Vec<&Place> = self
            .rules
            .iter()
            .filter(|(_, permit)| permit.effect == Effect::Permit)
            .filter(|(_, permit)| denies().any(|(_, deny)| swallows(deny, permit)))
            .map(|(path, _)| path)
            .collect();
        paths.dedup();
        paths.into_iter().map(|path| Finding::new(path.clone(), FindingKind::Swallowed)).collect()
    }
}

fn permitted(conditions: &Conditions, is_research: bool, options: &Options<'_>) -> Result<Vec<Rule>, (Place, Why)> {
    if let Some(unsayable) = conditions.unsayable().into_iter().next() {
        return Err(unsayable);
    }
    let here = |why| (conditions.path.clone(), why);
    let purposes = conditions.purposes.value();
    // A document about research that names no purpose is not about care, and not about any research.
    let granted: Scope<Purpose> = match purposes {
        Some(purposes) => Scope::Only(purposes.list.clone()),
        None if is_research => Scope::Only(vec![Purpose::HealthResearch]),
        None => Scope::Any,
    };
    let part = |of_research: bool| match &granted {
        Scope::Any if of_research => Some(Scope::Any),
        Scope::Any => Some(Scope::Only(vec![Purpose::Care, Purpose::EmergencyCare])),
        Scope::Only(list) => {
            let list: Vec<Purpose> = list.iter().filter(|p| p.is_research() == of_research).cloned().collect();
            (!list.is_empty()).then_some(Scope::Only(list))
        }
    };
    let mut valid = conditions.valid.value().copied().unwrap_or_default();
    if let Some(until) = purposes.and_then(|purposes| purposes.until) {
        valid.to = Some(valid.to.map_or(until, |to| to.min(until)));
    }
    if valid.is_empty() {
        return Err(here(Why::Period));
    }
    let rule = |action, form, purposes: Scope<Purpose>| Rule {
        form,
        modifiers: conditions.purposes.value().map(|purposes| purposes.modifiers.clone()).unwrap_or_default(),
        recipients: scope(&conditions.recipients),
        jurisdiction: options.jurisdiction,
        data: whole(&conditions.data, &Domain::ALL),
        labels: whole(&conditions.labels, &Label::ALL),
        valid,
        window: conditions.window.value().copied().unwrap_or_default(),
        ..Rule::new(Effect::Permit, action, purposes)
    };
    let actions = conditions.actions.value();
    let mut rules = Vec::new();
    if let Some(research) = part(true) {
        if actions.is_none_or(|actions| actions.access || actions.usage) {
            rules.push(rule(Action::Aggregate, None, research.clone()));
        }
        if actions.is_some_and(|actions| actions.disclose) {
            rules.push(rule(Action::Retrieve, Some(Form::SafeHarbour), research));
        }
    }
    if let Some(care) = part(false)
        && actions.is_none_or(|actions| actions.access || actions.disclose)
    {
        rules.push(rule(Action::Retrieve, Some(Form::Identified), care));
    }
    if rules.is_empty() { Err(here(Why::NoAction)) } else { Ok(rules) }
}

/// The rules of a deny, whose conditions that cannot be said are left away.
fn denied(conditions: &Conditions) -> Result<Vec<Rule>, Why> {
    if let Some(actions) = conditions.actions.value()
        && !(actions.collect || actions.access || actions.usage || actions.disclose)
    {
        return Err(Why::NoAction);
    }
    let purposes = match conditions.purposes.value() {
        Some(purposes) if purposes.is_void => return Err(Why::Purpose(None)),
        Some(purposes) => Scope::Only(purposes.list.clone()),
        None => Scope::Any,
    };
    let rule = |action| Rule {
        recipients: scope(&conditions.recipients),
        data: whole(&conditions.data, &Domain::ALL),
        labels: whole(&conditions.labels, &Label::ALL),
        valid: conditions.valid.value().copied().unwrap_or_default(),
        window: conditions.window.value().copied().unwrap_or_default(),
        ..Rule::new(Effect::Deny, action, purposes.clone())
    };
    Ok(Action::ALL.map(rule).to_vec())
}

fn scope<T: Clone>(said: &Said<Vec<T>>) -> Scope<T> {
    said.value().map_or(Scope::Any, |list| Scope::Only(list.clone()))
}

fn whole<T: Clone + PartialEq>(said: &Said<Vec<T>>, all: &[T]) -> Scope<T> {
    match scope(said) {
        Scope::Only(list) if all.iter().all(|one| list.contains(one)) => Scope::Any,
        other => other,
    }
}

/// Whether a deny leaves nothing of a permit.
fn swallows(deny: &Rule, permit: &Rule) -> bool {
    fn within<T: PartialEq>(permit: &Scope<T>, deny: &Scope<T>) -> bool {
        match (permit, deny) {
            (_, Scope::Any) => true,
            (Scope::Any, Scope::Only(_)) => false,
            (Scope::Only(permit), Scope::Only(deny)) => permit.iter().all(|one| deny.contains(one)),
        }
    }
    let covers = |deny: &Window, permit: &Window| {
        deny.from.is_none_or(|from| permit.from.is_some_and(|other| from <= other))
            && deny.to.is_none_or(|to| permit.to.is_some_and(|other| other <= to))
    };
    // Whoever denies all research denies each kind of it.
    let all_research = matches!(&deny.purposes, Scope::Only(list)
        if list.contains(&Purpose::GeneralResearch) || list.contains(&Purpose::NoRestriction));
    let purposes = within(&permit.purposes, &deny.purposes)
        || (all_research && matches!(&permit.purposes, Scope::Only(list) if list.iter().all(Purpose::is_research)));
    deny.action == permit.action
        && deny.form.is_none_or(|first| first == Form::SafeHarbour)
        && deny.jurisdiction.is_none_or(|first| first == crate::consent::Jurisdiction::Gdpr)
        && purposes
        && within(&permit.recipients, &deny.recipients)
        && within(&permit.data, &deny.data)
        && within(&permit.labels, &deny.labels)
        && covers(&deny.valid, &permit.valid)
        && covers(&deny.window, &permit.window)
}
