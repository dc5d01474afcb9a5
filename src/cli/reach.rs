//! What consent says to a study: of one person, and of all of a hospital's patients in sum.

use consilium_protocol::consent::{Condition, Decision, Obligation, Reach, Reason};
use consilium_protocol::ids::StudyId;
use consilium_protocol::wire;
use serde_json::{Value, json};

use super::wording::{condition_in_words, data_in_words, obligation_in_words, reason_in_words};
use super::{Failure, term};
use crate::net::client::{Node, refused};

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
fn banded(number: u64, k: u32) -> String {
    let k = u64::from(k.max(1));
    match (number, number / k * k) {
        (0, _) => "none".to_string(),
        (_, 0) => format!("fewer than {k}"),
        (_, least) => format!("{} to {}", term::number(least), term::number(least + k - 1)),
    }
}

/// Of how many patients what is open, what keeps the most others out, and what is to be ticked: in words, no number closer
/// than to `k`.
pub(crate) fn in_words(reach: &Reach, k: u32) -> String {
    let mut text =
        format!("Of {} patients this study could count {}.\n", banded(reach.subjects, k), banded(reach.open, k));
    let counts: Vec<[String; 2]> =
        reach.by_domain.iter().map(|(domain, count)| [domain.to_string(), banded(*count, k)]).collect();
    if !counts.is_empty() {
        text.push_str(&format!("\n{}\n", term::table(["data", "open of"], counts)));
    }
    let reasons = reach.most_frequent(REASONS);
    if !reasons.is_empty() {
        text.push_str("\nWhat keeps others out most often\n\n");
        let rows = reasons.iter().map(|(reason, count)| [reason_in_words(*reason).to_string(), banded(*count, k)]);
        text.push_str(&format!("{}\n", term::table(["reason", "patients"], rows)));
    }
    if !reach.conditions.is_empty() {
        text.push_str("\nConsents that are bound to what this hospital has to find met\n\n");
        text.push_str(&conditions_table(reach, k));
        text.push('\n');
    }
    if !reach.obligations.is_empty() {
        text.push_str(&format!("\nWhat the study owes for it: {}\n", obligations_in_words(&reach.obligations)));
    }
    text
}

fn conditions_table(reach: &Reach, k: u32) -> String {
    term::table(
        ["--met", "what", "patients"],
        reach
            .conditions
            .iter()
            .map(|(condition, count)| [condition.word(), condition_in_words(condition), banded(*count, k)]),
    )
}

fn obligations_in_words<'a>(obligations: impl IntoIterator<Item = &'a Obligation>) -> String {
    obligations.into_iter().map(obligation_in_words).collect::<Vec<_>>().join("; ")
}

/// The same for machines.
pub(crate) fn in_json(reach: &Reach, k: u32) -> Value {
    json!({
        "subjects": banded(reach.subjects, k), "open": banded(reach.open, k), "band": k,
        "by_domain": reach.by_domain.iter().map(|(domain, count)| json!({ "domain": domain, "open": banded(*count, k) }))
            .collect::<Vec<_>>(),
        "reasons": reach.most_frequent(REASONS).iter()
            .map(|(reason, count)| json!({ "reason": reason, "in_words": reason_in_words(*reason), "subjects": banded(*count, k) }))
            .collect::<Vec<_>>(),
        "conditions": reach.conditions.iter().map(|(condition, count)| json!({ "met": condition.word(), "condition": condition,
            "in_words": condition_in_words(condition), "subjects": banded(*count, k) })).collect::<Vec<_>>(),
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
pub(crate) fn decision_in_words(decision: &Decision) -> String {
    let mut text = match decision.why_not() {
        None => format!("it could use: {}", data_in_words(&decision.allowed)),
        Some(reason) => format!("it could use nothing: {}", reason_in_words(reason)),
    };
    if decision.why_not() == Some(Reason::NotTicked) {
        for condition in &decision.conditions {
            text.push_str(&format!("\n  the hospital would have to find met: {}", condition_in_words(condition)));
        }
    }
    if !decision.obligations.is_empty() {
        text.push_str(&format!("\n  for this it owes: {}", obligations_in_words(&decision.obligations)));
    }
    text
}

/// The same for machines.
pub(crate) fn decision_json(decision: &Decision) -> Value {
    json!({ "open": decision.why_not().is_none(), "reason": decision.why_not(),
        "in_words": decision_in_words(decision), "data": super::consent::data_json(&decision.allowed),
        "rules": decision.reasons, "conditions": decision.conditions, "obligations": decision.obligations })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_in_bands() {
        let told = [0, 1, 10, 11, 21, 22, 1_000].map(|number| banded(number, 11));
        assert_eq!(
            told,
            ["none", "fewer than 11", "fewer than 11", "11 to 21", "11 to 21", "22 to 32", "990 to 1,000"]
        );
    }
}
