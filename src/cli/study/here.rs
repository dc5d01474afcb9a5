//! Whether a study can be computed at this hospital, found out before anybody waits for it; and what its node cannot do.

use consilium_engine::cohort::Reads;
use consilium_engine::store::{StoreError, StoreSummary};
use consilium_protocol::genesis::Genesis;
use consilium_protocol::ids::StudyId;
use consilium_protocol::privacy::MicroRho;
use consilium_protocol::study::StudySpec;
use consilium_protocol::wire;
use serde::Serialize;
use serde_json::json;

use super::{Now, WhichArgs, fetch_told};
use crate::cli::{Failure, Global, counted, term};
use crate::home::config::NodeConfig;
use crate::home::{Home, Role};
use crate::net::client::Node;
use crate::studies::failing::{self, Failing, Told};
use crate::vault::{LOCAL, for_steward, own_policy_allows};
use crate::worker::once::{self, OnceError};

/// What a study would meet at this hospital.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Here {
    /// Why it cannot be computed, and what to do.
    pub(crate) problem: Option<String>,
    /// What a steward should know all the same.
    pub(crate) remarks: Vec<String>,
}

/// Plans and runs a study's query over the hospital's own tables with nobody's consent: what is wrong with tables and
/// columns shows, and no row is read.
///
/// What the hospital's own policy demands beyond the consortium's, and what could overflow over those enrolled `now`, is a
/// problem, too.
pub(crate) async fn try_here(home: &Home, spec: &StudySpec, now: &Now) -> Result<Here, Failure> {
    let config = NodeConfig::read(home.path())?;
    if let Err(problem) = bounded_here(home, &config, spec, now) {
        return Ok(Here { problem: Some(problem.message().to_string()), remarks: Vec::new() });
    }
    let spinner = term::spinner("holding the study against the hospital's tables");
    let here = match once::attempt(&config.store, &home.genesis()?.table, spec).await {
        Ok((reads, summary)) => Here { problem: None, remarks: of_empty_tables(&reads, &summary) },
        // The node would not have started without: this is another machine than the node's.
        Err(OnceError::Store(error @ StoreError::NoFolder { .. })) => {
            let remark = format!("not held against the hospital's tables on this machine: {error}");
            Here { problem: None, remarks: vec![remark] }
        }
        Err(OnceError::Cohort(error)) => Here { problem: Some(for_steward(&error)), remarks: Vec::new() },
        Err(error) => Here { problem: Some(error.to_string()), remarks: Vec::new() },
    };
    spinner.finish_and_clear();
    Ok(here)
}

fn bounded_here(home: &Home, config: &NodeConfig, spec: &StudySpec, now: &Now) -> Result<(), Failure> {
    let (genesis, id) = (home.genesis()?, home.signing_key()?.hospital());
    let own = config.policy.unwrap_or_default().over(&genesis.policy);
    let loss = now.spent_by(&id).checked_add(spec.protection.loss()).unwrap_or(MicroRho::new(u64::MAX));
    own_policy_allows(&own, &genesis.policy, spec, genesis.member.len(), loss)?;
    Ok(now.prove_bounds(spec)?)
}

fn of_empty_tables(reads: &Reads, summary: &StoreSummary) -> Vec<String> {
    let is_empty =
        |name: &str| summary.tables.iter().any(|t| t.name == name && (t.rows == Some(0) || t.format == "empty"));
    let empty = reads.tables().iter().filter(|read| is_empty(&read.name));
    empty.map(|read| format!("the table {} is empty here", read.name)).collect()
}

/// In words, for `study show`.
pub(crate) fn here_text(here: &Here) -> String {
    let mut text = match &here.problem {
        Some(problem) => format!("  It cannot run here: {problem}\n"),
        None => "  Nothing in this hospital's tables speaks against it.\n".to_string(),
    };
    if here.problem.is_none() && !here.remarks.is_empty() {
        text.clear();
    }
    for remark in &here.remarks {
        text.push_str(&format!("  Note: {remark}\n"));
    }
    text
}

/// What this hospital's node cannot do for one study, also when it is too late; or for all studies now.
pub(crate) fn failing_here(home: &Home, study: Option<&StudyId>) -> Vec<Failing> {
    let mut failing = failing::read(home.path());
    failing.retain(|f| study.map_or(!f.over, |study| f.study == *study));
    failing
}

/// `study retry`: has the node of this home try again what it gave up until the steward says so.
pub(super) async fn retry(args: &WhichArgs, global: &Global) -> Result<(), Failure> {
    let home = Home::open_as(&global.home, Role::Hospital)?;
    let waiting: Vec<Failing> = failing_here(&home, None).into_iter().filter(|f| f.waits).collect();
    let study = match (&args.study, &waiting[..]) {
        (None, [one]) => one.study,
        (None, []) => return Err(nothing_waits()),
        (None, _) => {
            return Err(Failure::usage("several studies wait; name one, as `consilium inbox` lists them"));
        }
        (Some(prefix), _) => {
            let prefix = prefix.trim().to_lowercase();
            let mut meant = waiting.iter().filter(|f| f.study.to_string().starts_with(&prefix)).map(|f| f.study);
            meant.next().ok_or_else(nothing_waits)?
        }
    };
    failing::ask_again(home.path(), &study)?;
    term::show(global.json, &json!({ "study": study }), |_| {
        format!(
            "the node tries study {} again within a second, if it runs\nNext: {}",
            study.short(),
            global.next("inbox")
        )
    });
    Ok(())
}

fn nothing_waits() -> Failure {
    Failure::new(
        "no such study waits to be tried again here; `consilium inbox` says what this hospital's node cannot do",
    )
}

/// Each with what is wrong below.
pub(crate) fn failing_text(failing: &[Failing]) -> String {
    let one = |f: &Failing| {
        let verb = if f.over { "could not" } else { "cannot" };
        let (study, since, tries) = (f.study.short(), term::moment(f.since_ms), counted(f.tries.into(), "attempt"));
        let mut text =
            format!("  {verb} {} to study {study} since {since}, {tries}: {}\n    {}\n", f.duty, f.kind, f.message);
        if f.waits && !f.over {
            text.push_str(&format!(
                "    It is not tried again by itself; when that is mended: consilium study retry {study}\n"
            ));
        }
        text
    };
    failing.iter().map(one).collect()
}

/// What the hospitals that the last round waits for, or waited for in vain, say that they cannot do: the kind of error
/// alone, with the hospital's name.
pub(crate) async fn asked_elsewhere(
    genesis: &Genesis,
    study: &StudyId,
    reply: &wire::StudyReply,
) -> Vec<(String, Told)> {
    let Some(round) = reply.rounds.last().filter(|round| round.sum.is_empty()) else { return Vec::new() };
    let complete = round.contributions.len() == round.roster.len();
    let done = if complete { &round.attestations } else { &round.contributions };
    let silent = genesis.member.iter().filter(|member| {
        let id = member.id.to_string();
        round.roster.contains(&id) && done.iter().all(|c| c.hospital != id)
    });
    let asked = silent.map(async |member| {
        let node = Node::connect(&genesis.ledger(), member, None).await.ok()?;
        let (_, told) = fetch_told(study, &node).await.ok()?;
        Some(told.into_iter().map(|told| (member.name.clone(), told)).collect::<Vec<_>>())
    });
    futures::future::join_all(asked).await.into_iter().flatten().flatten().collect()
}

/// One line for each.
pub(crate) fn told_text(told: &[(String, Told)], running: bool) -> String {
    let verb = if running { "cannot" } else { "could not" };
    let lines = told.iter().map(|(name, told)| {
        let kind = match told.kind.as_str() {
            LOCAL => "for a reason that only the hospital may know",
            "own_policy" => "its own policy is stricter than the study (own_policy)",
            "overflow" => "a sum could overflow; give its variable tighter bounds (overflow)",
            "others_unreachable" => "it cannot reach other hospitals (others_unreachable)",
            kind => kind,
        };
        format!("  {name} {verb} {}: {kind}, since {}; its steward sees more\n", told.duty, term::moment(told.since_ms))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_researcher_reads_the_kind_and_who_to_ask() {
        let told = |kind: &str| Told { duty: "contribute".to_string(), kind: kind.to_string(), since_ms: 1_000 };
        let text =
            told_text(&[("North".to_string(), told("unknown_table")), ("South".to_string(), told("local"))], true);
        assert!(text.contains("North cannot contribute: unknown_table, since 1970-01-01 00:00:01Z"), "{text}");
        assert!(text.contains("South") && text.contains("only the hospital may know"), "{text}");
    }

    #[test]
    fn remarks_take_the_place_of_the_all_clear() {
        assert!(here_text(&Here::default()).contains("Nothing"));
        let noted = Here { problem: None, remarks: vec!["the table death is empty here".to_string()] };
        assert_eq!(here_text(&noted), "  Note: the table death is empty here\n");
    }
}
