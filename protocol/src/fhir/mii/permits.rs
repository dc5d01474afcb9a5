//! What permits of policies open together.

use super::super::finding::{Finding, FindingKind};
use super::super::rules::Rules;
use super::{BILLING, MEDICAL, SPECIMENS, Statement, Statements};
use crate::consent::{Action, Domain, Effect, Form, Jurisdiction, Purpose, Rule, Scope, Window};
use crate::ids::Date;

/// A part of what is opened: when, which days of data, under which laws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    valid: Window,
    window: Window,
    jurisdiction: Jurisdiction,
}

fn of(permitted: &Statements, number: u16) -> &[Statement] {
    permitted.get(&number).map(Vec::as_slice).unwrap_or_default()
}

fn common(one: &Window, other: &Window) -> Option<Window> {
    let to = match (one.to, other.to) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    let window = Window { from: one.from.max(other.from), to };
    (!window.is_empty()).then_some(window)
}

/// Adds the rules of all permits.
pub(super) fn add(rules: &mut Rules, permitted: &Statements) {
    medical(rules, permitted);
    specimens(rules, permitted);
    billing(rules, permitted);
    for (numbers, purpose) in [([28, 29], Purpose::HealthResearch), ([31, 37], Purpose::Care)] {
        for statement in numbers.iter().flat_map(|number| of(permitted, *number)) {
            let contact = Rule {
                jurisdiction: Some(Jurisdiction::Adequate),
                data: Scope::Only(vec![Domain::Person]),
                valid: statement.valid,
                ..Rule::new(Effect::Permit, Action::Recontact, Scope::Only(vec![purpose.clone()]))
            };
            push(rules, &statement.path, contact);
        }
    }
    for (number, needed) in [(6, 8), (8, 6), (20, 22), (22, 20), (12, 13), (13, 12), (51, 52), (52, 51)] {
        if of(permitted, needed).is_empty() {
            let incomplete = |of: &Statement| Finding::new(of.path.clone(), FindingKind::Incomplete(number));
            rules.notices.extend(of(permitted, number).iter().map(incomplete));
        }
    }
}

fn push(rules: &mut Rules, path: &str, rule: Rule) {
    if rules.rules.iter().all(|(_, known)| *known != rule) {
        rules.rules.push((path.to_string(), rule));
    }
}

/// Adds rules on research for these parts, wider ones in place of narrower ones.
fn research(rules: &mut Rules, path: &str, parts: &[Part], domains: &[Domain]) {
    for (i, part) in parts.iter().enumerate() {
        let is_wider = |other: &Part| {
            let within = |one: &Window, other: &Window| common(one, other) == Some(*one);
            other != part
                && within(&part.valid, &other.valid)
                && within(&part.window, &other.window)
                && part.jurisdiction <= other.jurisdiction
        };
        if parts.iter().any(is_wider) || parts[..i].contains(part) {
            continue;
        }
        for (action, form) in [(Action::Aggregate, None), (Action::Retrieve, Some(Form::Pseudonymised))] {
            let rule = Rule {
                form,
                jurisdiction: Some(part.jurisdiction),
                data: Scope::Only(domains.to_vec()),
                valid: part.valid,
                window: part.window,
                ..Rule::new(Effect::Permit, action, Scope::Only(vec![Purpose::HealthResearch]))
            };
            push(rules, path, rule);
        }
    }
}

/// These parts, and each again under other laws while that is permitted.
fn with_abroad(parts: Vec<Part>, abroad: &[Statement]) -> Vec<Part> {
    let beyond = |part: &Part| -> Vec<Part> {
        let valid = abroad.iter().filter_map(|statement| common(&part.valid, &statement.valid));
        let other = |valid| Part { valid, jurisdiction: Jurisdiction::Other, ..*part };
        valid.map(other).collect()
    };
    parts.iter().flat_map(|part| [vec![*part], beyond(part)].concat()).collect()
}

fn part(valid: Option<Window>, window: Option<Window>) -> Option<Part> {
    Some(Part { valid: valid?, window: window?, jurisdiction: Jurisdiction::Adequate })
}

fn medical(rules: &mut Rules, permitted: &Statements) {
    for usage in of(permitted, 8) {
        let mut parts = Vec::new();
        let within = |window: &Window| common(window, &usage.data.unwrap_or_default());
        for collection in of(permitted, 6) {
            parts.extend(part(Some(usage.valid), within(&collection.data.unwrap_or(collection.span))));
            for backwards in of(permitted, 45) {
                // What it reaches back from is what is collected while it holds.
                if common(&backwards.span, &collection.span).is_none() {
                    continue;
                }
                let reach = Window { from: None, to: collection.data.unwrap_or(collection.span).to };
                parts.extend(part(common(&usage.valid, &backwards.valid), within(&backwards.data.unwrap_or(reach))));
            }
        }
        research(rules, &usage.path, &with_abroad(parts, of(permitted, 49)), &MEDICAL);
    }
}

fn specimens(rules: &mut Rules, permitted: &Statements) {
    let collections = if of(permitted, 19).is_empty() { of(permitted, 20) } else { of(permitted, 19) };
    let mut add = |usage: &Statement, parts| {
        research(rules, &usage.path, &with_abroad(parts, of(permitted, 55)), &SPECIMENS);
    };
    for usage in of(permitted, 22) {
        let mut parts = Vec::new();
        let within = |window: &Window| common(window, &usage.data.unwrap_or_default());
        for (storage, collection) in of(permitted, 20).iter().flat_map(|s| collections.iter().map(move |c| (s, c))) {
            let window = within(&collection.data.unwrap_or(collection.span));
            parts.extend(part(common(&usage.valid, &storage.valid), window));
        }
        add(usage, parts);
    }
    for usage in of(permitted, 52) {
        let mut parts = Vec::new();
        for storage in of(permitted, 51) {
            let starts = if collections.is_empty() { std::slice::from_ref(storage) } else { collections };
            let reach = before(starts.iter().map(|of| of.span));
            let window = usage.data.or(storage.data).or(reach);
            parts.extend(part(common(&usage.valid, &storage.valid), window));
        }
        add(usage, parts);
    }
}

fn billing(rules: &mut Rules, permitted: &Statements) {
    for usage in of(permitted, 13) {
        let mut parts = Vec::new();
        let within = |window: &Window| common(window, &usage.data.unwrap_or_default());
        for storage in of(permitted, 12) {
            let valid = common(&usage.valid, &storage.valid);
            let past = storage.span.from.and_then(|start| {
                let (year, month, day) = start.ymd();
                // The 29th of February, five years before.
                let from = Date::from_ymd(year - 5, month, day).or_else(|| Date::from_ymd(year - 5, 3, 1))?;
                Some(Window { from: Some(from), to: Some(Date::from_days(start.days() - 1)) })
            });
            let to_come = of(permitted, 15).iter().map(|of| of.data.unwrap_or(of.span));
            for window in past.into_iter().chain(to_come) {
                parts.extend(part(valid, within(&window)));
            }
        }
        research(rules, &usage.path, &parts, &BILLING);
    }
}

/// All days before the earliest start of these.
pub(super) fn before(spans: impl Iterator<Item = Window>) -> Option<Window> {
    let starts: Option<Vec<Date>> = spans.map(|span| span.from).collect();
    let earliest = starts?.into_iter().min()?;
    Some(Window { from: None, to: Some(Date::from_days(earliest.days() - 1)) })
}
