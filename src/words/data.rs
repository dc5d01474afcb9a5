//! Data in words: days, periods, lists, and what is open of which class.

use consilium_protocol::consent::{AllowedData, Domain, Window, Windows};
use consilium_protocol::ids::Date;

use super::Language;
use super::texts::{self, fill};

/// The most classes that are told as those that all data lack.
const EXCEPTIONS: usize = 4;

impl Language {
    /// Data in words, such as "diagnoses and visits from 1 September 2020 on; sex, age and origin": classes of which the same
    /// days are open together, then what has no date.
    pub(crate) fn data(self, data: &AllowedData) -> String {
        let texts = &texts::of(self).data;
        let undated = |domain| data.of(domain).is_some_and(|opened| opened.undated);
        let mut by_days: Vec<(&Windows, Vec<Domain>)> = Vec::new();
        for (domain, opened) in data.iter().filter(|(_, opened)| !opened.days.is_empty()) {
            match by_days.iter_mut().find(|(days, _)| **days == opened.days) {
                Some((_, domains)) => domains.push(domain),
                None => by_days.push((&opened.days, vec![domain])),
            }
        }
        let mut parts: Vec<String> = Vec::new();
        let mut person_is_told = false;
        for (days, domains) in &by_days {
            parts.push(self.dated(domains, days));
            // Whoever says all data has said these.
            person_is_told |= days.is_unbounded() && is_nearly_all(domains) && undated(Domain::Person);
        }
        if undated(Domain::Person) && !person_is_told {
            parts.push(texts.person.clone());
        }
        // Of what dated data are open, the undated come along; here is what has nothing but them.
        let alone = |domain: &Domain| {
            let no_day = data.of(*domain).is_some_and(|opened| opened.days.is_empty());
            *domain != Domain::Person && undated(*domain) && no_day
        };
        let alone: Vec<Domain> = Domain::ALL.into_iter().filter(alone).collect();
        if !alone.is_empty() {
            parts.push(fill(&texts.undated, &[("list", &self.classes(alone))]));
        }
        match parts.is_empty() {
            true => texts.nothing.clone(),
            false => parts.join(&texts::of(self).rule.separator),
        }
    }

    fn dated(self, domains: &[Domain], days: &Windows) -> String {
        let texts = &texts::of(self).data;
        let periods: Vec<String> = days.iter().filter_map(|period| self.period(&period)).collect();
        let days = match periods.is_empty() {
            true => String::new(),
            false => format!(" {}", self.all_of(periods)),
        };
        let missing: Vec<Domain> = Domain::ALL.into_iter().filter(|domain| !domains.contains(domain)).collect();
        match (is_nearly_all(domains), missing.is_empty()) {
            (_, true) => format!("{}{days}", texts.everything),
            (true, false) => fill(&texts.except, &[("days", &days), ("list", &self.classes(missing))]),
            (false, false) => {
                // Times under observation come last, near what else is said of a person.
                let (person, others): (Vec<Domain>, Vec<Domain>) = domains.iter().partition(|d| **d == Domain::Person);
                format!("{}{days}", self.classes(others.into_iter().chain(person)))
            }
        }
    }

    fn classes(self, domains: impl IntoIterator<Item = Domain>) -> String {
        let texts = &texts::of(self).data.dated;
        self.all_of(domains.into_iter().map(|domain| texts.of(&domain)))
    }

    /// A class of data.
    pub(super) fn class(self, domain: Domain) -> String {
        texts::of(self).data.dated.of(&domain)
    }

    /// A period, if it leaves any day out.
    pub(crate) fn period(self, period: &Window) -> Option<String> {
        let texts = &texts::of(self).dates;
        let template = match (period.from, period.to) {
            (None, None) => return None,
            (Some(_), None) => &texts.from,
            (None, Some(_)) => &texts.until,
            (Some(from), Some(to)) if from == to => &texts.on,
            (Some(_), Some(_)) => &texts.between,
        };
        let day = |end: Option<Date>| end.map(|day| self.day(day)).unwrap_or_default();
        Some(fill(template, &[("from", &day(period.from)), ("to", &day(period.to))]))
    }

    /// A day, as the language writes it out.
    pub(crate) fn day(self, day: Date) -> String {
        let texts = &texts::of(self).dates;
        let (year, month, day) = day.ymd();
        let day = if day == 1 { texts.first.clone() } else { day.to_string() };
        let month = usize::try_from(month).ok().and_then(|month| texts.months.get(month.wrapping_sub(1)));
        let month = month.map(String::as_str).unwrap_or_default();
        fill(&texts.day, &[("day", &day), ("month", month), ("year", &year.to_string())])
    }

    /// "a, b and c".
    pub(super) fn all_of(self, entries: impl IntoIterator<Item = String>) -> String {
        joined(entries, &texts::of(self).join.and)
    }

    /// "a, b or c".
    pub(super) fn one_of(self, entries: impl IntoIterator<Item = String>) -> String {
        joined(entries, &texts::of(self).join.or)
    }

    /// What somebody wrote, as a quotation.
    pub(super) fn quoted(self, text: &str) -> String {
        fill(&texts::of(self).join.quoted, &[("text", &texts::plain(text))])
    }
}

/// Whether classes are best told by those that they lack.
fn is_nearly_all(domains: &[Domain]) -> bool {
    domains.len() + EXCEPTIONS >= Domain::ALL.len() && domains.contains(&Domain::Person)
}

fn joined(entries: impl IntoIterator<Item = String>, last: &str) -> String {
    let entries: Vec<String> = entries.into_iter().collect();
    match &entries[..] {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., end] => format!("{} {last} {end}", first.join(", ")),
    }
}
