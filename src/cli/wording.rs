//! Consent in words: what a document opens, and what of a patient's data a study could read.
//!
//! Whoever decides about a consent, or looks back at one, reads these words and not the terms. They say no less than the
//! terms do: for which purpose, by whom, until when, and which data of which days.

use consilium_protocol::consent::{
    Action, AllowedData, Base, Condition, DiseaseTree, Domain, Effect, Obligation, Opened, Purpose, Reason, Recipient,
    Rule, Scope, Terms, Window, Windows,
};

/// What there is of a person that has no date: the columns of PERSON.
const UNDATED_PERSON: &str = "sex, age and origin";

/// Terms in plain words: what they allow and what they forbid, each rule with its data on a line of their own.
pub(crate) fn terms_in_words(terms: &Terms, diseases: &DiseaseTree) -> String {
    let of = |effect| terms.rules.iter().filter(move |rule| rule.effect == effect);
    let (permits, denies): (Vec<&Rule>, Vec<&Rule>) = (of(Effect::Permit).collect(), of(Effect::Deny).collect());
    let mut parts: Vec<(&str, &[&Rule])> = Vec::new();
    match (terms.base, permits.is_empty(), denies.is_empty()) {
        (Base::Permit, _, true) => parts.push(("allows everything", &[])),
        (Base::Permit, _, false) => parts.push(("allows everything but:", &denies)),
        (Base::Deny, true, true) => parts.push(("allows nothing", &[])),
        (Base::Deny, true, false) => parts.push(("allows nothing, and forbids, whatever else allows it:", &denies)),
        (Base::Deny, false, true) => parts.push(("allows only:", &permits)),
        (Base::Deny, false, false) => {
            parts.push(("allows only:", &permits));
            parts.push(("and forbids, whatever else allows it:", &denies));
        }
    }
    let mut lines = Vec::new();
    for (head, rules) in parts {
        lines.push(head.to_string());
        for rule in rules {
            lines.push(format!("  {}:", use_in_words(rule, diseases)));
            lines.push(format!("    {}", data_in_words(&data_of(rule))));
        }
    }
    lines.join("\n")
}

/// Of documents that hold together, what people should know that the terms do not say.
pub(crate) fn notes(documents: &[&Terms]) -> Vec<&'static str> {
    let mut notes = Vec::new();
    let rules = || documents.iter().flat_map(|terms| &terms.rules);
    if rules().any(|rule| rule.window != Window::UNBOUNDED) {
        notes.push(
            "A period is about data that have a date. What has none, as sex and year of birth, is open or closed whatever \
             the period. Of what falls into a period, later and earlier dates are not shown.",
        );
    }
    if opens_but_no_person(documents) {
        notes.push(
            "Studies almost always read `person` (sex, age and origin); without it, these data will hardly ever be \
             counted. To open it, add it to the rule's data.",
        );
    }
    notes
}

/// Whether something may be counted for some purpose, and PERSON for none.
fn opens_but_no_person(documents: &[&Terms]) -> bool {
    let counting = |effect| {
        let rules = documents.iter().flat_map(|terms| &terms.rules);
        rules.filter(move |rule| rule.action == Action::Aggregate && rule.effect == effect)
    };
    let covers = |rule: &Rule, domain| data_of(rule).of(domain).is_some_and(|opened| opened.undated);
    let everything = documents.iter().any(|terms| terms.base == Base::Permit);
    let opens = |domain| {
        let forbidden = counting(Effect::Deny)
            .any(|rule| covers(rule, domain) && matches!((&rule.purposes, &rule.recipients), (Scope::Any, Scope::Any)));
        !forbidden && (everything || counting(Effect::Permit).any(|rule| covers(rule, domain)))
    };
    !opens(Domain::Person) && Domain::ALL.into_iter().any(opens)
}

/// What a rule is about, as the data that it opens, or closes.
fn data_of(rule: &Rule) -> AllowedData {
    let mut opened = Opened::within(&rule.window);
    // A deny with a period leaves what has no date as it is.
    opened.undated &= rule.effect == Effect::Permit || rule.window == Window::UNBOUNDED;
    let covered = Domain::ALL.into_iter().filter(|domain| rule.data.covers(|covered| covered == domain));
    covered.map(|domain| (domain, opened.clone())).collect()
}

/// For what, by whom and until when a rule holds.
fn use_in_words(rule: &Rule, diseases: &DiseaseTree) -> String {
    let action = match rule.action {
        Action::Aggregate => "counting in statistics",
        Action::Retrieve => "handing over records",
        Action::Recontact => "getting in touch again",
    };
    let purposes = alternatives(&rule.purposes, "any purpose", |purpose| purpose_in_words(purpose, diseases));
    let recipients = alternatives(&rule.recipients, "anybody", recipient_in_words);
    let mut words = format!("{action} for {purposes}, by {recipients}");
    if let Some(valid) = period_in_words(&rule.valid) {
        words.push_str(&format!(", {valid}"));
    }
    words
}

/// Data in words, such as "conditions and visits from 2020-09-01 on; sex, age and origin": domains of which the same days
/// are open together, then what has no date.
pub(crate) fn data_in_words(data: &AllowedData) -> String {
    let mut by_days: Vec<(&Windows, Vec<Domain>)> = Vec::new();
    for (domain, opened) in data.iter().filter(|(_, opened)| !opened.days.is_empty()) {
        match by_days.iter_mut().find(|(days, _)| **days == opened.days) {
            Some((_, domains)) => domains.push(domain),
            None => by_days.push((&opened.days, vec![domain])),
        }
    }
    let undated = |domain| data.of(domain).is_some_and(|opened| opened.undated);
    let mut parts: Vec<String> = Vec::new();
    for (days, domains) in &by_days {
        let whole = domains.len() == Domain::ALL.len();
        let (person, others): (Vec<Domain>, Vec<Domain>) =
            domains.iter().partition(|domain| **domain == Domain::Person);
        if whole && days.is_unbounded() && undated(Domain::Person) {
            return "all data".to_string();
        }
        let what = match whole {
            true => "all data".to_string(),
            false => listed(others.into_iter().chain(person).map(dated_noun), "and"),
        };
        parts.push(what + &days_in_words(days));
    }
    if undated(Domain::Person) {
        parts.push(UNDATED_PERSON.to_string());
    }
    // Of what dated data are open, the undated come along; here is what has nothing but them.
    let alone = |domain: &Domain| {
        *domain != Domain::Person && undated(*domain) && data.of(*domain).is_some_and(|opened| opened.days.is_empty())
    };
    let alone: Vec<&str> = Domain::ALL.into_iter().filter(alone).map(dated_noun).collect();
    if !alone.is_empty() {
        parts.push(listed(alone.into_iter(), "and") + " without a date");
    }
    if parts.is_empty() { "nothing".to_string() } else { parts.join("; ") }
}

/// What a domain's dated data are, as a noun of several.
const fn dated_noun(domain: Domain) -> &'static str {
    match domain {
        Domain::Person => "times under observation",
        Domain::Condition => "conditions",
        Domain::Drug => "drugs",
        Domain::Measurement => "measurements",
        Domain::Observation => "other observations",
        Domain::Procedure => "procedures",
        Domain::Visit => "visits",
        Domain::Device => "devices",
        Domain::Death => "death",
        Domain::Specimen => "specimens",
        Domain::Imaging => "images",
        Domain::Document => "documents",
        Domain::Billing => "insurance and costs",
        Domain::Genomics => "genetic data",
    }
}

fn days_in_words(days: &Windows) -> String {
    let periods: Vec<String> = days.iter().filter_map(|period| period_in_words(&period)).collect();
    match periods.is_empty() {
        true => String::new(),
        false => format!(" {}", listed(periods.iter().map(String::as_str), "and")),
    }
}

/// A period, if it leaves any day out.
fn period_in_words(period: &Window) -> Option<String> {
    match (period.from, period.to) {
        (None, None) => None,
        (Some(from), None) => Some(format!("from {from} on")),
        (None, Some(to)) => Some(format!("until {to}")),
        (Some(from), Some(to)) if from == to => Some(format!("on {from}")),
        (Some(from), Some(to)) => Some(format!("from {from} to {to}")),
    }
}

/// "a", "a and b", "a, b and c".
fn listed<'a>(words: impl Iterator<Item = &'a str>, last: &str) -> String {
    let words: Vec<&str> = words.collect();
    match &words[..] {
        [] => String::new(),
        [one] => (*one).to_string(),
        [first @ .., end] => format!("{} {last} {end}", first.join(", ")),
    }
}

fn alternatives<T>(scope: &Scope<T>, any: &str, words: impl Fn(&T) -> String) -> String {
    match scope {
        Scope::Any => any.to_string(),
        Scope::Only(entries) if entries.is_empty() => "nothing".to_string(),
        Scope::Only(entries) => {
            let entries: Vec<String> = entries.iter().map(words).collect();
            listed(entries.iter().map(String::as_str), "or")
        }
    }
}

/// A purpose in plain words.
fn purpose_in_words(purpose: &Purpose, diseases: &DiseaseTree) -> String {
    match purpose {
        Purpose::NoRestriction => "any research (NRES)".to_string(),
        Purpose::Ancestry => "research on origins or ancestry (POA)".to_string(),
        Purpose::Care => "care (CC)".to_string(),
        Purpose::EmergencyCare => "care in an emergency (ETREAT)".to_string(),
        Purpose::GeneralResearch => "any research (GRU)".to_string(),
        Purpose::HealthResearch => "health research (HMB)".to_string(),
        Purpose::DiseaseResearch(disease) => match diseases.name(disease) {
            Some(name) => format!("research on {name} ({disease})"),
            None => format!("research on {disease}"),
        },
    }
}

fn recipient_in_words(recipient: &Recipient) -> String {
    match recipient {
        Recipient::Organisation(name) => name.clone(),
        Recipient::Researcher(id) => id.short(),
        Recipient::Hospital(id) => id.short(),
        Recipient::Study(id) => format!("study {}", id.short()),
    }
}

/// Why something is closed.
pub(crate) fn reason_in_words(reason: Reason) -> &'static str {
    match reason {
        Reason::NoConsent => "there is no consent",
        Reason::OtherAction => "consent is for another kind of use",
        Reason::OtherPurpose => "consent is for another purpose",
        Reason::OtherForm => "consent is for records in another form",
        Reason::OtherJurisdiction => "consent is for recipients under other laws",
        Reason::OtherRecipient => "consent is for other recipients",
        Reason::Expired => "consent has expired",
        Reason::NotYetValid => "consent is not valid yet",
        Reason::Modifier(_) => "consent is bound to what the study is not",
        Reason::NotTicked => "consent is bound to what the hospital has not found met",
        Reason::Permits => "consent permits it",
        Reason::PermitsByDefault => "consent permits it by default",
        Reason::Sensitivity => "consent is for data of some sensitivity alone",
        Reason::Denies => "it is forbidden",
        _ => "it is not permitted",
    }
}

/// What has to be found met.
pub(crate) fn condition_in_words(condition: &Condition) -> String {
    match condition {
        Condition::ControlSet => "patients may serve as controls".to_string(),
        Condition::Ethics => "the ethics committee's approval holds for this study (IRB)".to_string(),
        Condition::Collaboration(whom) => format!("the study works together with {} (COL)", whom.join(", ")),
        Condition::Moratorium => "nothing is published before the day that the consent means (MOR)".to_string(),
        Condition::Specific(text) => format!("the study is of this kind (RS): {text}"),
        Condition::Sensitive(of) => format!("the study may be done although it is {}", of.name()),
    }
}

/// What a study owes.
pub(crate) fn obligation_in_words(obligation: &Obligation) -> String {
    match obligation {
        Obligation::Publication => "to publish what comes of it (PUB)".to_string(),
        Obligation::Return => "to give back what comes of it (RTN)".to_string(),
        Obligation::Moratorium(day) => format!("to publish nothing before {day} (MOR)"),
    }
}

#[cfg(test)]
mod tests;
