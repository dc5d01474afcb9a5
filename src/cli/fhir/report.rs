//! What an import came to, for people and for machines.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::term;
use super::plan::Told;
use super::verdict::Verdict;

/// How many places are named of something that is said of many consents.
const PLACES: usize = 3;

/// The words of the table, in its order; and what is said of each.
const FATES: [(&str, &str); 6] = [
    ("accepted", "a document on the ledger now"),
    ("unchanged", "as it was imported before"),
    ("refused", "not imported; while a refusal is open, nothing of its patient may be read"),
    ("ended", "what was imported of it ends"),
    ("ignored", "nothing follows from it"),
    ("of unknown patients", "not imported"),
];

fn fate(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Accept(_) => "accepted",
        Verdict::Unchanged => "unchanged",
        Verdict::Suspend | Verdict::Suspended | Verdict::Refuse => "refused",
        Verdict::End => "ended",
        Verdict::Ignore => "ignored",
        Verdict::Unknown => "of unknown patients",
    }
}

/// Whether a consent needs somebody to do something.
pub(super) fn is_open(told: &Told) -> bool {
    matches!(fate(&told.verdict), "refused" | "of unknown patients")
}

fn counts(all: &[Told]) -> BTreeMap<&'static str, u64> {
    let mut counts: BTreeMap<&'static str, u64> = FATES.iter().map(|(word, _)| (*word, 0)).collect();
    for told in all {
        *counts.entry(fate(&told.verdict)).or_default() += 1;
    }
    counts
}

pub(super) fn in_json(all: &[Told], skipped: &BTreeMap<String, usize>, is_dry_run: bool) -> Value {
    let one = |told: &Told| {
        let remarks = told.remarks.iter().map(|remark| json!({ "path": remark.path, "text": remark.text }));
        json!({ "place": told.place, "fate": fate(&told.verdict), "remarks": remarks.collect::<Vec<_>>() })
    };
    json!({ "dry_run": is_dry_run, "counts": counts(all), "other_resources": skipped,
        "consents": all.iter().map(one).collect::<Vec<_>>() })
}

pub(super) fn in_words(all: &[Told], skipped: &BTreeMap<String, usize>, is_dry_run: bool) -> String {
    let counts = counts(all);
    let row = |(word, means): &(&str, &str)| {
        let count = counts.get(word).copied().unwrap_or_default();
        [term::number(count), (*word).to_string(), (*means).to_string()]
    };
    let mut text = term::table(["consents", "", ""], FATES.iter().map(row));
    for (title, is_meant) in [
        ("Refused", "refused"),
        ("Of unknown patients", "of unknown patients"),
        ("Left alone", "ignored"),
        ("Ended", "ended"),
        ("Notices of what was accepted", "accepted"),
    ] {
        let of: Vec<&Told> = all.iter().filter(|told| fate(&told.verdict) == is_meant).collect();
        let said = grouped(&of);
        if !said.is_empty() {
            text.push_str(&format!("\n\n{title}\n\n{}", said.join("\n")));
        }
    }
    if !skipped.is_empty() {
        let kinds: Vec<String> =
            skipped.iter().map(|(kind, count)| format!("{} {kind}", term::number(*count as u64))).collect();
        text.push_str(&format!("\n\nOther resources, not read: {}", kinds.join(", ")));
    }
    if all.iter().any(|told| matches!(told.verdict, Verdict::Suspend | Verdict::Suspended)) {
        text.push_str("\n\nSee `consilium consent suspended` for the refusals that are open, and decide about each.");
    }
    if is_dry_run {
        text.push_str("\n\nNothing was done: this was a dry run.");
    }
    text
}

/// What is said, each once, with how many consents it is said of and where; what most are told first.
fn grouped(all: &[&Told]) -> Vec<String> {
    let mut groups: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for told in all {
        for remark in &told.remarks {
            let places = groups.entry(&remark.text).or_default();
            // Of one consent it is counted once.
            if places.last().is_none_or(|(place, _)| *place != told.place) {
                places.push((&told.place, &remark.path));
            }
        }
    }
    let mut groups: Vec<(&str, Vec<(&str, &str)>)> = groups.into_iter().collect();
    groups.sort_by_key(|(_, places)| std::cmp::Reverse(places.len()));
    groups.into_iter().map(|(text, places)| group(text, &places)).collect()
}

fn group(text: &str, places: &[(&str, &str)]) -> String {
    if let [(place, path)] = places {
        let path = if path.is_empty() { String::new() } else { format!(", {path}") };
        return format!("  {place}{path}: {text}");
    }
    let named: Vec<&str> = places.iter().take(PLACES).map(|(place, _)| *place).collect();
    let more = if places.len() > PLACES { ", …" } else { "" };
    format!("  {} consents: {text} ({}{more})", term::number(places.len() as u64), named.join("; "))
}

#[cfg(test)]
mod tests {
    use super::super::verdict::Remark;
    use super::*;

    #[test]
    fn what_is_the_same_is_said_once() {
        let of = |number: usize, verdict, texts: &[&str]| Told {
            place: format!("a.ndjson, resource {number}"),
            verdict,
            remarks: texts
                .iter()
                .map(|text| Remark { path: "Consent".to_string(), text: (*text).to_string() })
                .collect(),
        };
        let mut all: Vec<Told> = (1..=412).map(|number| of(number, Verdict::Suspend, &["no status"])).collect();
        all.push(of(413, Verdict::Suspend, &["no scope", "no scope"]));
        all.push(of(414, Verdict::Unknown, &[]));
        let text = in_words(&all, &BTreeMap::from([("Patient".to_string(), 2)]), true);
        assert!(
            text.contains(
                "412 consents: no status (a.ndjson, resource 1; a.ndjson, resource 2; a.ndjson, resource 3, …)"
            ),
            "{text}"
        );
        assert_eq!(text.matches("a.ndjson, resource 413, Consent: no scope").count(), 1, "{text}");
        assert!(text.contains("2 Patient") && text.contains("dry run") && text.contains("consent suspended"), "{text}");
        let report = in_json(&all, &BTreeMap::new(), false);
        assert_eq!((&report["counts"]["refused"], &report["counts"]["of unknown patients"]), (&json!(413), &json!(1)));
        assert!(is_open(&all[0]) && is_open(&all[413]));
    }
}
