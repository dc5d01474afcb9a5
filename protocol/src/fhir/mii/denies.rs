//! What denies of policies close.

use super::super::finding::{Finding, FindingKind};
use super::super::rules::Rules;
use super::permits::before;
use super::policies::{self, Policy};
use super::{BILLING, MEDICAL, Meaning, SPECIMENS, Statement, Statements};
use crate::consent::{Action, Domain, Effect, Form, Jurisdiction, Purpose, Rule, Scope, Window};

/// Adds the rules of all denies.
pub(super) fn add(rules: &mut Rules, denied: &[(Option<u16>, Statement)], permitted: &Statements) {
    for (number, statement) in denied {
        match number.and_then(policies::numbered) {
            Some(policy) => close(rules, policy, statement, permitted),
            // What is not known could be anything.
            None => {
                for action in Action::ALL {
                    push(rules, statement, Rule::new(Effect::Deny, action, Scope::Any));
                }
            }
        }
    }
}

fn push(rules: &mut Rules, statement: &Statement, rule: Rule) {
    let rule = Rule { valid: statement.valid, ..rule };
    if rules.rules.iter().all(|(_, known)| *known != rule) {
        rules.rules.push((statement.path.clone(), rule));
    }
}

fn rule(action: Action) -> Rule {
    Rule::new(Effect::Deny, action, Scope::Only(vec![Purpose::GeneralResearch]))
}

/// Closes statistics and records of research.
fn research(rules: &mut Rules, statement: &Statement, domains: &[Domain], window: Window, first: Option<Jurisdiction>) {
    let data = if domains.is_empty() { Scope::Any } else { Scope::Only(domains.to_vec()) };
    for action in [Action::Aggregate, Action::Retrieve] {
        push(rules, statement, Rule { data: data.clone(), window, jurisdiction: first, ..rule(action) });
    }
}

fn close(rules: &mut Rules, policy: &Policy, statement: &Statement, permitted: &Statements) {
    let named = statement.data.unwrap_or_default();
    // A window that closes is in force at all times: its period is that of the data.
    let always = Statement { valid: Window::UNBOUNDED, ..statement.clone() };
    let onwards = statement.data.unwrap_or(Window { from: statement.span.from, to: None });
    let other = Some(Jurisdiction::Other);
    match policy.meaning {
        Meaning::Module(parts) => {
            for part in parts.iter().filter_map(|part| policies::numbered(*part)) {
                close(rules, part, statement, permitted);
            }
        }
        Meaning::Void | Meaning::Project | Meaning::Inactive => {
            let void = FindingKind::VoidPolicy(policy.number);
            rules.notices.push(Finding::new(statement.path.clone(), void));
        }
        Meaning::Identity => {
            push(rules, statement, Rule { form: Some(Form::Identified), ..rule(Action::Retrieve) });
            contact(rules, statement, vec![Purpose::GeneralResearch, Purpose::Care]);
        }
        // Whatever days of data are named: what is not kept, or not used, is not there for research at all, unless it says so.
        Meaning::Storage | Meaning::Use => research(rules, statement, &[], named, None),
        Meaning::Collection => research(rules, &always, &MEDICAL, onwards, None),
        Meaning::BackwardsStorage => backwards(rules, policy, statement, permitted, (&[6], &MEDICAL)),
        Meaning::AbroadUse => research(rules, statement, &[], named, other),
        Meaning::SpecimenCollection => research(rules, &always, &SPECIMENS, onwards, None),
        Meaning::SpecimenStorage | Meaning::SpecimenUse => research(rules, statement, &SPECIMENS, named, None),
        Meaning::SpecimenBackwards => backwards(rules, policy, statement, permitted, (&[19, 20], &SPECIMENS)),
        Meaning::SpecimenAbroad => research(rules, statement, &SPECIMENS, named, other),
        Meaning::BillingTransfer => backwards(rules, policy, statement, permitted, (&[12], &BILLING)),
        Meaning::BillingCollection => research(rules, &always, &BILLING, onwards, None),
        Meaning::BillingStorage | Meaning::BillingUse => research(rules, statement, &BILLING, named, None),
        Meaning::ContactForLinkage | Meaning::ContactForResearch => {
            contact(rules, statement, vec![Purpose::GeneralResearch]);
        }
        Meaning::ContactByFindings => contact(rules, statement, vec![Purpose::Care]),
    }
}

fn contact(rules: &mut Rules, statement: &Statement, purposes: Vec<Purpose>) {
    push(rules, statement, Rule::new(Effect::Deny, Action::Recontact, Scope::Only(purposes)));
}

/// Closes what was there before: before what the same document permits to collect, or else before this deny.
fn backwards(
    rules: &mut Rules,
    policy: &Policy,
    statement: &Statement,
    permitted: &Statements,
    (collections, domains): (&[u16], &[Domain]),
) {
    let spans: Vec<Window> = collections
        .iter()
        .filter_map(|number| permitted.get(number))
        .flatten()
        .map(|of| of.data.unwrap_or(of.span))
        .collect();
    let window = match statement.data.or_else(|| latest(&spans)) {
        Some(window) => window,
        None => {
            let guessed = FindingKind::Backwards(policy.number);
            rules.notices.push(Finding::new(statement.path.clone(), guessed));
            before(std::iter::once(statement.span)).unwrap_or_default()
        }
    };
    research(rules, statement, domains, window, None);
}

/// All days before the latest start of these.
fn latest(spans: &[Window]) -> Option<Window> {
    let latest = spans.iter().filter_map(|span| span.from).max()?;
    before(std::iter::once(Window { from: Some(latest), to: None }))
}
