//! What consent says to a study: of one person, and of all of a hospital's patients in sum.

use consilium_protocol::consent::{Condition, Decision, Reach, Reason};
use consilium_protocol::ids::StudyId;
use consilium_protocol::wire;
use serde_json::{Value, json};

use super::{Failure, term};
use crate::net::client::{Node, refused};
use crate::words::{Language, fill};

/// How many reasons are told.
const REASONS: usize = 3;

/// What the consents of the node's hospital say to a study now.
pub(crate) async fn ask(node: &Node, study: &StudyId) -> Result<Reach, Failure> {
    let request = wire::StudyRequest { study: study.as_bytes().to_vec() };
    let reply = node.ledger().reach(request).await.map_err(refused)?.into_inner();
    borsh::from_slice(&reply.reach)
        .map_err(|_| Failure::new("the node's answer cannot be read; use the same release as the node"))
}

/// A number that does not say how many exactly: a multiple of `k`, and nothing of fewer than that.
fn banded(number: u64, k: u32, language: Language) -> String {
    let (screen, k) = (language.screen(), u64::from(k.max(1)));
    match (number, number / k * k) {
        (0, _) => screen.no_one.clone(),
        (_, 0) => fill(&screen.fewer, &[("number", &k.to_string())]),
        (_, least) => fill(&screen.range, &[("from", &term::number(least)), ("to", &term::number(least + k - 1))]),
    }
}

/// Of how many patients what is open, what keeps the most others out, and what is to be ticked: in words, no number closer
/// than to `k`.
pub(crate) fn in_words(reach: &Reach, k: u32, language: Language) -> String {
    let screen = language.screen();
    let banded = |number| banded(number, k, language);
    let of_all = [("subjects", banded(reach.subjects)), ("open", banded(reach.open))];
    let mut text =
        format!("{}\n", fill(&screen.reach, &of_all.each_ref().map(|(name, value)| (*name, value.as_str()))));
    let counts: Vec<[String; 2]> =
        reach.by_domain.iter().map(|(domain, count)| [domain.to_string(), banded(*count)]).collect();
    if !counts.is_empty() {
        text.push_str(&format!("\n{}\n", table(&screen.reach_data, counts)));
    }
    let reasons = reach.most_frequent(REASONS);
    if !reasons.is_empty() {
        let rows = reasons.iter().map(|(reason, count)| [language.reason(*reason), banded(*count)]);
        text.push_str(&format!("\n{}\n\n{}\n", screen.reach_reasons, table(&screen.reach_reason, rows)));
    }
    if !reach.conditions.is_empty() {
        let row =
            |(condition, count): (&Condition, &u64)| [condition.word(), language.condition(condition), banded(*count)];
        let rows = reach.conditions.iter().map(row);
        text.push_str(&format!("\n{}\n\n{}\n", screen.reach_conditions, table(&screen.reach_condition, rows)));
    }
    if !reach.obligations.is_empty() {
        let owed = language.obligations(&reach.obligations);
        text.push_str(&format!("\n{}\n", fill(&screen.reach_owes, &[("obligations", &owed)])));
    }
    text
}

fn table<const N: usize>(header: &[String; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    term::table(header.each_ref().map(String::as_str), rows)
}

/// The same for machines.
pub(crate) fn in_json(reach: &Reach, k: u32, language: Language) -> Value {
    let banded = |number| banded(number, k, language);
    json!({
        "subjects": banded(reach.subjects), "open": banded(reach.open), "band": k,
        "by_domain": reach.by_domain.iter().map(|(domain, count)| json!({ "domain": domain, "open": banded(*count) }))
            .collect::<Vec<_>>(),
        "reasons": reach.most_frequent(REASONS).iter()
            .map(|(reason, count)| json!({ "reason": reason, "in_words": language.reason(*reason), "subjects": banded(*count) }))
            .collect::<Vec<_>>(),
        "conditions": reach.conditions.iter().map(|(condition, count)| json!({ "met": condition.word(), "condition": condition,
            "in_words": language.condition(condition), "subjects": banded(*count) })).collect::<Vec<_>>(),
        "obligations": reach.obligations,
    })
}

/// The conditions that a steward ticks, by the words for them.
pub(crate) fn ticked(words: &[String], reach: &Reach) -> Result<Vec<Condition>, Failure> {
    let mut ticked: Vec<Condition> = Vec::new();
    for word in words {
        let found = reach.conditions.keys().find(|condition| condition.word() == *word);
        let known = || match reach.conditions.is_empty() {
            true => "no consent here is bound to any".to_string(),
            false => format!("use {}", reach.conditions.keys().map(Condition::word).collect::<Vec<_>>().join(", ")),
        };
        let condition = found.ok_or_else(|| {
            Failure::usage(format!(
                "`{word}` is nothing that consents of this hospital's patients are bound to; {}",
                known()
            ))
        })?;
        ticked.push(condition.clone());
    }
    ticked.sort_unstable();
    ticked.dedup();
    Ok(ticked)
}

/// What a study could use of one person's data, and why, in words.
pub(crate) fn decision_in_words(decision: &Decision, language: Language) -> String {
    let screen = language.screen();
    let mut text = match decision.why_not() {
        None => fill(&screen.could_use, &[("data", &language.data(&decision.allowed))]),
        Some(reason) => fill(&screen.could_use_nothing, &[("reason", &language.reason(reason))]),
    };
    if decision.why_not() == Some(Reason::NotTicked) {
        for condition in &decision.conditions {
            let condition = language.condition(condition);
            text.push_str(&format!("\n  {}", fill(&screen.would_have_to_be_met, &[("condition", &condition)])));
        }
    }
    if !decision.obligations.is_empty() {
        let owed = language.obligations(&decision.obligations);
        text.push_str(&format!("\n  {}", fill(&screen.owes_for_this, &[("obligations", &owed)])));
    }
    text
}

/// The same for machines.
pub(crate) fn decision_json(decision: &Decision, language: Language) -> Value {
    json!({ "open": decision.why_not().is_none(), "reason": decision.why_not(),
        "in_words": decision_in_words(decision, language), "data": super::history::data_json(&decision.allowed),
        "rules": decision.reasons, "conditions": decision.conditions, "obligations": decision.obligations })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_in_bands() {
        let told = [0, 1, 10, 11, 21, 22, 1_000].map(|number| banded(number, 11, Language::En));
        assert_eq!(
            told,
            ["none", "fewer than 11", "fewer than 11", "11 to 21", "11 to 21", "22 to 32", "990 to 1,000"]
        );
    }
}
