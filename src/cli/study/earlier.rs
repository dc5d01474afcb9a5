//! What a guarded study is held against, as far as the ledger says.

use std::collections::BTreeSet;

use consilium_engine::disclosure::across::{Repeatable, statistics_again};
use consilium_engine::disclosure::guarded;
use consilium_protocol::ids::StudyId;
use consilium_protocol::study::{Protection, StudySpec};
use consilium_protocol::wire;
use serde::Serialize;

use crate::cli::{Failure, term};
use crate::net::client::{Node, refused};

/// The most studies that are listed one by one.
const LISTED: usize = 12;

/// An earlier study whose result may be known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Earlier {
    study: StudyId,
    title: String,
    /// `released`, or where its round stands.
    phase: String,
    /// Whether its cohort is the same, to the letter.
    same_cohort: bool,
    /// The statistics of the new study whose groups follow from those that it released.
    asked_again: BTreeSet<String>,
}

/// Asks a node which studies these are; none for a study that is not guarded, whose whole cohort is held against others'.
pub(crate) async fn ask(node: &Node, spec: &StudySpec, own: Option<&StudyId>) -> Result<Vec<Earlier>, Failure> {
    let mut earlier = Vec::new();
    if spec.protection != Protection::Guarded {
        return Ok(earlier);
    }
    let listed = node.ledger().studies(wire::StudiesRequest { undecided: false }).await.map_err(refused)?.into_inner();
    for summary in listed.studies {
        let has_no_round = matches!(summary.phase.as_str(), "proposed" | "approved" | "rejected" | "expired");
        let id = StudyId::try_from(summary.study.as_slice())?;
        if has_no_round || summary.protection == "private" || own == Some(&id) {
            continue;
        }
        let request = wire::StudyRequest { study: summary.study.clone() };
        let reply = node.ledger().study(request).await.map_err(refused)?.into_inner();
        if !reply.rounds.iter().any(|round| round.may_be_known) {
            continue;
        }
        let other = StudySpec::from_canonical(&reply.spec)?;
        let asked_again = match other.protection {
            Protection::Guarded => {
                let ended = reply.rounds.iter().rfind(|round| round.may_be_known && round.outcome != "running");
                let passed = ended.and_then(|round| Some(round.guard.as_ref()?.passed.clone()));
                // What is not known yet is not known from it.
                let released = passed.map(|passed| guarded::released(&other, &passed)).transpose()?.unwrap_or_default();
                statistics_again(spec, &Repeatable { spec: other.clone(), released }).into_iter().collect()
            }
            Protection::Open | Protection::Private { .. } => BTreeSet::new(),
        };
        let same_cohort = other.cohort == spec.cohort;
        earlier.push(Earlier { study: id, title: summary.title, phase: summary.phase, same_cohort, asked_again });
    }
    // What is nearest to it comes first.
    earlier.sort_by_key(|one| (std::cmp::Reverse(one.asked_again.len()), !one.same_cohort));
    Ok(earlier)
}

/// In words.
pub(crate) fn in_words(earlier: &[Earlier]) -> String {
    if earlier.is_empty() {
        return String::new();
    }
    let what = |one: &Earlier| match (one.same_cohort, one.asked_again.len()) {
        (true, 0) => "the same cohort, other groups".to_string(),
        (true, _) => {
            let names: Vec<&str> = one.asked_again.iter().map(String::as_str).collect();
            format!("the same cohort; it answers: {}", names.join(", "))
        }
        (false, _) => "another cohort".to_string(),
    };
    let rows =
        earlier.iter().take(LISTED).map(|one| [one.study.short(), one.title.clone(), one.phase.clone(), what(one)]);
    let mut text = String::from("What it is held against\n\n");
    text.push_str(&term::table(["study", "title", "phase", "cohort and statistics"], rows));
    if earlier.len() > LISTED {
        text.push_str(&format!("\n… and {} more", earlier.len() - LISTED));
    }
    text.push_str(
        "\n\n  A group is shown where enough patients set it apart from everything that these released, also put together; and \
         where the groups of one of them add up to it, released to the same hospitals, and nothing about it has changed since. So of \
         another cohort, or of other groups, those that nearly follow from what is known are held back. Ask again for what a table \
         here has in common with one there (by arm, if both are by arm and more): with it the rest can be shown. A study whose round \
         runs counts as released.\n",
    );
    text
}

/// In one line, for whoever has several to decide on.
pub(crate) fn in_one_line(study: &StudyId, earlier: &[Earlier]) -> String {
    let again: BTreeSet<&str> = earlier.iter().flat_map(|one| one.asked_again.iter().map(String::as_str)).collect();
    let asked = if again.is_empty() {
        String::new()
    } else {
        format!("; answered before: {}", again.into_iter().collect::<Vec<_>>().join(", "))
    };
    let same = earlier.iter().filter(|one| one.same_cohort).count();
    let studies = if earlier.len() == 1 { "study" } else { "studies" };
    let count = earlier.len();
    format!("study {} is held against {count} earlier {studies}, {same} of the same cohort{asked}", study.short())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_again_is_named_and_many_are_counted() {
        let one = |name: u8, same_cohort, asked_again: &[&str]| Earlier {
            study: StudyId::from_bytes([name; 32]),
            title: format!("Study {name}"),
            phase: "released".to_string(),
            same_cohort,
            asked_again: asked_again.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(in_words(&[]), "");
        let text = in_words(&[one(1, true, &["all", "by sex"]), one(2, true, &[]), one(3, false, &[])]);
        for words in ["it answers: all, by sex", "the same cohort, other groups", "another cohort", "Study 3"] {
            assert!(text.contains(words), "{words} is not in {text}");
        }
        let line = in_one_line(&StudyId::from_bytes([9; 32]), &[one(1, true, &["all"]), one(3, false, &[])]);
        assert!(
            line.ends_with("is held against 2 earlier studies, 1 of the same cohort; answered before: all"),
            "{line}"
        );
        let many: Vec<Earlier> = (0..20).map(|name| one(name, false, &[])).collect();
        assert!(in_words(&many).contains("… and 8 more") && !in_words(&many).contains("Study 12"));
    }
}
