//! `study list`, `show`, `watch` and `withdraw`.

use std::time::{Duration, Instant};

use consilium_protocol::consent::Condition;
use consilium_protocol::study::StudySpec;
use consilium_protocol::tx::{Fault, Payload, Signer, WithdrawStudy};
use consilium_protocol::wire;
use serde_json::{Value, json};

use super::{Now, WhichArgs, check, earlier, fetch, here, locate, protection};
use crate::cli::{Failure, Global, connect, term};
use crate::home::{Home, Role};
use crate::net::client::refused;
use crate::words::Language;

/// How often `watch` asks those whom a round waits for what they cannot do.
const ASK_OTHERS: Duration = Duration::from_secs(5);

pub(super) async fn list(global: &Global) -> Result<(), Failure> {
    let home = Home::open(&global.home)?;
    let node = connect(&home, global).await?;
    let studies =
        node.ledger().studies(wire::StudiesRequest { undecided: false }).await.map_err(refused)?.into_inner().studies;
    let report: Vec<Value> = studies.iter().map(summary_json).collect();
    term::show(global.json, &report, |_| {
        if studies.is_empty() {
            return "no studies yet; write one with `consilium study new`".to_string();
        }
        summaries(&studies)
    });
    Ok(())
}

/// Studies as a table.
pub(crate) fn summaries(studies: &[wire::StudySummary]) -> String {
    term::table(
        ["study", "title", "protection", "purpose", "researcher", "phase", "approved", "proposed"],
        studies.iter().map(|s| {
            let against = if s.rejections > 0 { format!(", {} against", s.rejections) } else { String::new() };
            let moment = term::moment(s.proposed_ms);
            [
                hex::encode(s.study.get(..4).unwrap_or_default()),
                s.title.clone(),
                s.protection.clone(),
                s.purpose.clone(),
                format!("{}, {}", s.researcher_name, s.organisation),
                s.phase.clone(),
                format!("{} of {}{against}", s.approvals, s.members),
                // The day is enough to tell studies apart; `study show` has the second.
                moment.split(' ').next().unwrap_or_default().to_string(),
            ]
        }),
    )
}

/// A study's summary for machines.
pub(crate) fn summary_json(s: &wire::StudySummary) -> Value {
    json!({
        "study": hex::encode(&s.study), "title": s.title, "purpose": s.purpose, "phase": s.phase,
        "protection": s.protection,
        "researcher": s.researcher, "researcher_name": s.researcher_name, "organisation": s.organisation,
        "approvals": s.approvals, "rejections": s.rejections, "members": s.members,
        "proposed_height": s.proposed_height, "proposed_ms": s.proposed_ms,
    })
}

pub(super) async fn show(args: &WhichArgs, global: &Global) -> Result<(), Failure> {
    let (home, node, study) = locate(args, global).await?;
    let reply = fetch(&study, &node).await?;
    let summary = reply.summary.clone().unwrap_or_default();
    let spec = StudySpec::from_canonical(&reply.spec)?;
    let reads = check::reads_in_words(&spec).await;
    let own = home.role() == Role::Hospital;
    let here = if own && !is_final(&summary.phase) {
        Some(here::try_here(&home, &spec, &Now::ask(&node).await?).await?)
    } else {
        None
    };
    let earlier = if is_final(&summary.phase) { Vec::new() } else { earlier::ask(&node, &spec, Some(&study)).await? };
    let failing = if own { here::failing_here(&home, Some(&study)) } else { Vec::new() };
    let genesis = home.genesis()?;
    let told = here::asked_elsewhere(&genesis, &study, &reply).await;
    let language = global.language();
    let report = json!({
        "summary": summary_json(&summary),
        "spec": spec,
        "decisions": reply.decisions.iter().map(|d| json!({ "hospital": d.hospital, "name": d.name, "paired": d.paired,
            "approved": d.approved, "reason": d.reason, "height": d.height,
            "found_met": ticked(d).iter().map(|one| language.condition(one)).collect::<Vec<_>>() })).collect::<Vec<_>>(),
        "rounds": reply.rounds.iter().map(round_json).collect::<Vec<_>>(),
        "deadline_ms": reply.deadline_ms, "here": here, "held_against": earlier, "failing": failing,
        "failing_elsewhere": told.iter().map(|(name, told)| json!({ "name": name, "duty": told.duty,
            "kind": told.kind, "since_ms": told.since_ms })).collect::<Vec<_>>(),
    });
    term::show(global.json, &report, |_| {
        let mut text = term::facts([
            ("study", study.to_string()),
            ("title", summary.title.clone()),
            ("researcher", format!("{}, {}", summary.researcher_name, summary.organisation)),
            ("purpose", summary.purpose.clone()),
            ("protection", protection::in_brief(&spec, &genesis.policy)),
            ("phase", summary.phase.clone()),
            ("proposed", format!("{}, block {}", term::moment(summary.proposed_ms), summary.proposed_height)),
            ("deadline", term::moment(reply.deadline_ms)),
            ("about", spec.description.split_whitespace().collect::<Vec<_>>().join(" ")),
        ]);
        text.push('\n');
        text.push_str(&check::plain_words(&spec));
        if let Ok(what) = &reads {
            text.push('\n');
            text.push_str(what);
        }
        text.push_str("\nWho is counted\n\n");
        for line in spec.cohort.sql.trim().lines() {
            text.push_str(&format!("  {line}\n"));
        }
        text.push_str(&check::sets_in_words(&spec));
        if !earlier.is_empty() {
            text.push_str(&format!("\n{}", earlier::in_words(&earlier)));
        }
        text.push_str("\nDecisions\n\n");
        text.push_str(&decisions(&reply.decisions, language));
        if !reply.rounds.is_empty() {
            text.push_str("\n\nRounds\n\n");
            text.push_str(&rounds(&reply.rounds));
            if let Some(roles) = roles(&reply.rounds, &reply.decisions) {
                text.push_str(&format!("\n\nWho had a role\n\n{roles}"));
            }
            let waited = waited_for(&reply.rounds, &reply.decisions);
            if !waited.is_empty() {
                text.push_str(&format!("\n\nWho kept others waiting\n\n{waited}"));
            }
        }
        if let Some(here) = &here {
            text.push_str("\n\nAt this hospital\n\n");
            text.push_str(here::here_text(here).trim_end());
        }
        if !failing.is_empty() {
            let over = failing.iter().all(|f| f.over);
            text.push_str(&format!("\n\nWhat this hospital {} do\n\n", if over { "could not" } else { "cannot" }));
            text.push_str(&here::failing_text(&failing));
        }
        if !told.is_empty() {
            let running = !is_final(&summary.phase);
            text.push_str(&format!("\n\nWhat it {} for\n\n", if running { "waits" } else { "waited" }));
            text.push_str(&here::told_text(&told, running));
        }
        text
    });
    Ok(())
}

/// What a hospital found met of what consents are bound to.
fn ticked(decision: &wire::Decision) -> Vec<Condition> {
    borsh::from_slice(&decision.ticked).unwrap_or_default()
}

fn decisions(decisions: &[wire::Decision], language: Language) -> String {
    if decisions.is_empty() {
        return "none yet".to_string();
    }
    let found_met = |d: &wire::Decision| {
        let conditions = ticked(d).into_iter().map(|condition| format!("\n  {}", language.condition(&condition)));
        let conditions: String = conditions.collect();
        (!conditions.is_empty()).then(|| format!("\n\n{} found met{conditions}", d.name))
    };
    let table = term::table(
        ["hospital", "decision", "reason", "block"],
        decisions.iter().map(|d| {
            let decision = match (d.approved, d.paired) {
                (true, true) => "approved",
                (true, false) => "approved, its node is not ready",
                (false, _) => "rejected",
            };
            [d.name.clone(), decision.to_string(), d.reason.clone(), d.height.to_string()]
        }),
    );
    format!("{table}{}", decisions.iter().filter_map(found_met).collect::<String>())
}

fn rounds(rounds: &[wire::Round]) -> String {
    term::table(
        ["round", "consent read at", "roster", "contributed", "then", "outcome"],
        rounds.iter().map(|r| {
            [
                r.number.to_string(),
                format!("block {}", r.height),
                r.roster.len().to_string(),
                r.contributions.len().to_string(),
                after(r),
                r.outcome.clone(),
            ]
        }),
    )
}

/// Whom lots gave a role in each round, and whose contribution they had examined. None where no lot was drawn.
fn roles(rounds: &[wire::Round], decisions: &[wire::Decision]) -> Option<String> {
    let named = |id: &str| if id.is_empty() { "none".to_string() } else { name(decisions, id) };
    let drawn: Vec<[String; 5]> = rounds
        .iter()
        .filter(|r| r.guard.is_some() || !r.examined.is_empty())
        .map(|r| {
            let guard = r.guard.clone().unwrap_or_default();
            [
                r.number.to_string(),
                named(&guard.aggregator),
                named(&guard.custodian),
                named(&guard.witness),
                named(&r.examined),
            ]
        })
        .collect();
    (!drawn.is_empty()).then(|| term::table(["round", "aggregator", "custodian", "witness", "examined"], drawn))
}

fn name(decisions: &[wire::Decision], id: &str) -> String {
    decisions.iter().find(|d| d.hospital == id).map_or_else(|| id.to_string(), |d| d.name.clone())
}

/// Of each round who did not give what others needed, as far as these say, and whose turn it was when it ended.
pub(crate) fn waited_for(rounds: &[wire::Round], decisions: &[wire::Decision]) -> String {
    let name = |id: &str| name(decisions, id);
    let mut lines: Vec<String> = Vec::new();
    for round in rounds {
        for said in &round.accusations {
            let words = Fault::named(&said.fault).map_or("does not do its part", Fault::words);
            let by: Vec<String> = said.by.iter().map(|id| name(id)).collect();
            let then = if said.blamed { "more than half of the roster" } else { "not more than half of the roster" };
            lines.push(format!(
                "round {}: {} {words}, say {} ({then})",
                round.number,
                name(&said.accused),
                by.join(", ")
            ));
        }
        let is_blamed = round.accusations.iter().any(|said| said.blamed);
        if let (Some(guard), "failed", false) = (&round.guard, round.outcome.as_str(), is_blamed)
            && round.contributions.len() == round.roster.len()
        {
            if guard.disclosed_height > 0 {
                let custodian = name(&guard.custodian);
                lines.push(format!("round {}: nobody had what {custodian}, its custodian, disclosed", round.number));
                continue;
            }
            let mut turns = Vec::new();
            if guard.sealed_height == 0 {
                turns.push(("aggregator", &guard.aggregator));
            }
            if !guard.witness.is_empty() && guard.witnessed_height == 0 {
                turns.push(("witness", &guard.witness));
            }
            if turns.is_empty() {
                turns.push(("custodian", &guard.custodian));
            }
            let turns: Vec<String> = turns.into_iter().map(|(role, id)| format!("{}, its {role}", name(id))).collect();
            lines.push(format!("round {}: it was the turn of {}", round.number, turns.join(", and of ")));
        }
        let are_closed = round.guard.as_ref().filter(|guard| guard.closed_key_sets > 0);
        if round.outcome == "failed" && !round.lots_missing.is_empty() {
            let missing: Vec<String> = round.lots_missing.iter().map(|id| name(id)).collect();
            lines.push(format!("round {}: no lot was shown by {}", round.number, missing.join(", ")));
        } else if let (Some(guard), "failed") = (are_closed, round.outcome.as_str()) {
            let custodian = name(&guard.custodian);
            let turn = format!("{custodian}, its custodian, to open its other sets of keys");
            lines.push(format!("round {}: it was the turn of {turn}", round.number));
        } else if round.outcome == "failed" && !is_blamed {
            let is_missing = |id: &&String| !round.contributions.iter().any(|c| c.hospital == **id);
            let missing: Vec<String> = round.roster.iter().filter(is_missing).map(|id| name(id)).collect();
            if !missing.is_empty() {
                lines.push(format!("round {}: nothing came from {}", round.number, missing.join(", ")));
            }
        }
    }
    lines.join("\n")
}

fn round_json(r: &wire::Round) -> Value {
    let commitments = |list: &[wire::Commitment]| -> Vec<Value> {
        list.iter()
            .map(|c| json!({ "hospital": c.hospital, "hash": hex::encode(&c.hash), "bytes": c.bytes, "height": c.height }))
            .collect()
    };
    let accusation =
        |a: &wire::Accusation| json!({ "accused": a.accused, "fault": a.fault, "by": a.by, "blamed": a.blamed });
    let accusations: Vec<Value> = r.accusations.iter().map(accusation).collect();
    json!({
        "round": r.number, "height": r.height, "time_ms": r.time_ms, "roster": r.roster, "outcome": r.outcome,
        "contributions": commitments(&r.contributions), "attestations": commitments(&r.attestations),
        "sum": (!r.sum.is_empty()).then(|| hex::encode(&r.sum)), "released_height": r.released_height,
        "examined": (!r.examined.is_empty()).then_some(&r.examined), "lots_missing": r.lots_missing,
        "accusations": accusations, "roles": r.guard.as_ref().map(roles_json),
    })
}

fn roles_json(guard: &wire::Guard) -> Value {
    json!({
        "aggregator": guard.aggregator, "custodian": guard.custodian,
        "witness": (!guard.witness.is_empty()).then_some(&guard.witness),
        "sealed_height": guard.sealed_height, "witnessed_height": guard.witnessed_height,
        "disclosed_height": guard.disclosed_height,
        "spare_key_sets": guard.spare_key_sets, "closed_key_sets": guard.closed_key_sets,
    })
}

/// How far a round has come after the contributions.
fn after(round: &wire::Round) -> String {
    match &round.guard {
        _ if !round.lots_missing.is_empty() => "lots awaited".to_string(),
        None => format!("{} attested", round.attestations.len()),
        Some(guard) if guard.disclosed_height > 0 => "compared and disclosed".to_string(),
        Some(guard) if guard.sealed_height > 0 => "compared".to_string(),
        Some(guard) if guard.closed_key_sets > 0 => "the custodian's other keys not opened yet".to_string(),
        Some(_) => "not compared yet".to_string(),
    }
}

/// One line on where a study stands.
pub(crate) fn standing(reply: &wire::StudyReply) -> String {
    let summary = reply.summary.clone().unwrap_or_default();
    let mut text = format!("{}: {} of {} approved", summary.phase, summary.approvals, summary.members);
    if summary.rejections > 0 {
        text.push_str(&format!(", {} rejected", summary.rejections));
    }
    if summary.phase == "approved" && summary.approvals + summary.rejections < summary.members {
        text.push_str("; a round opens when the others have decided, or their time to do so is over");
    }
    if let Some(round) = reply.rounds.last() {
        let (contributed, of) = (round.contributions.len(), round.roster.len());
        text.push_str(&format!("; round {}: {contributed} of {of} contributed, {}", round.number, after(round)));
        if round.number > 0 {
            text.push_str(&format!("; round {} gave no result", round.number - 1));
        }
        let are_closed = round.guard.as_ref().filter(|guard| guard.closed_key_sets > 0);
        let silent: Vec<&String> = match are_closed {
            _ if !round.lots_missing.is_empty() => round.lots_missing.iter().collect(),
            Some(guard) => vec![&guard.custodian],
            None => round.roster.iter().filter(|h| round.contributions.iter().all(|c| c.hospital != **h)).collect(),
        };
        let waits = summary.phase == "collecting" || !round.lots_missing.is_empty();
        if waits && !silent.is_empty() {
            let names: Vec<&str> =
                reply.decisions.iter().filter(|d| silent.contains(&&d.hospital)).map(|d| d.name.as_str()).collect();
            text.push_str(&format!("; waiting for {}", names.join(", ")));
        }
    }
    text
}

/// Likewise, for machines.
fn standing_json(reply: &wire::StudyReply) -> Value {
    let mut report = summary_json(&reply.summary.clone().unwrap_or_default());
    report["round"] = reply.rounds.last().map_or(Value::Null, round_json);
    report["standing"] = json!(standing(reply));
    report
}

/// Whether nothing more will happen to a study in this phase.
pub(crate) fn is_final(phase: &str) -> bool {
    matches!(phase, "released" | "rejected" | "withdrawn" | "expired" | "failed")
}

pub(super) async fn watch(args: &WhichArgs, global: &Global) -> Result<(), Failure> {
    let (home, mut node, study) = locate(args, global).await?;
    let genesis = home.genesis()?;
    let mut last = String::new();
    let mut told = String::new();
    let mut ask_at = Instant::now() + ASK_OTHERS;
    let spinner = term::spinner("waiting");
    loop {
        let reply = match fetch(&study, &node).await {
            Ok(reply) => reply,
            // Who named a node wants that one; all others are answered by whichever runs.
            Err(_) if global.node.is_none() && home.role() != Role::Hospital => {
                node = connect(&home, global).await?;
                fetch(&study, &node).await?
            }
            Err(failure) => return Err(failure),
        };
        let summary = reply.summary.clone().unwrap_or_default();
        let standing = standing(&reply);
        if standing != last {
            spinner.suspend(|| {
                if global.json {
                    term::line(standing_json(&reply));
                } else {
                    term::line(&standing);
                }
            });
            last = standing;
        }
        if Instant::now() >= ask_at {
            ask_at = Instant::now() + ASK_OTHERS;
            let now = here::told_text(&here::asked_elsewhere(&genesis, &study, &reply).await, true);
            if now != told && !now.is_empty() && !global.json {
                spinner.suspend(|| term::line(now.trim_end()));
            }
            told = now;
        }
        if is_final(&summary.phase) {
            spinner.finish_and_clear();
            return match summary.phase.as_str() {
                "released" => {
                    if !global.json {
                        term::line(format!("Next: {}", global.next(&format!("study result {}", study.short()))));
                    }
                    Ok(())
                }
                phase => {
                    Err(Failure::new(format!("the study is {phase}; see `consilium study show {}`", study.short())))
                }
            };
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

pub(super) async fn withdraw(args: &WhichArgs, global: &Global) -> Result<(), Failure> {
    Home::open_as(&global.home, Role::Researcher)?;
    let (home, node, study) = locate(args, global).await?;
    let key = home.signing_key()?;
    let payload = Payload::WithdrawStudy(WithdrawStudy { study });
    let included = node.submit(Signer::Researcher(key.researcher()), &key, payload).await?;
    term::show(global.json, &json!({ "study": study, "height": included.height, "tx": included.hash }), |_| {
        format!("study {} is withdrawn, block {}\n\n  transaction  {}", study.short(), included.height, included.hash)
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(number: u32, roster: &[&str], contributed: &[&str]) -> wire::Round {
        let commitment = |id: &&str| wire::Commitment { hospital: (*id).to_string(), ..Default::default() };
        wire::Round {
            number,
            roster: roster.iter().map(ToString::to_string).collect(),
            contributions: contributed.iter().map(commitment).collect(),
            outcome: "failed".to_string(),
            ..Default::default()
        }
    }

    #[test]
    fn who_kept_others_waiting_is_said_by_name() {
        let named = |id: &str, name: &str| wire::Decision {
            hospital: id.to_string(),
            name: name.to_string(),
            ..Default::default()
        };
        let decisions = [named("a", "North"), named("b", "East"), named("c", "West")];
        let accusation = |blamed: bool| wire::Accusation {
            accused: "a".to_string(),
            fault: "contribution".to_string(),
            by: vec!["b".to_string(), "c".to_string()],
            blamed,
        };
        let all = ["a", "b", "c"];
        let mut guarded = round(3, &all, &all);
        guarded.guard =
            Some(wire::Guard { aggregator: "b".to_string(), custodian: "c".to_string(), ..Default::default() });
        let mut sealed = guarded.clone();
        (sealed.number, sealed.guard.as_mut().expect("a guard").sealed_height) = (4, 9);
        let mut witnessed = guarded.clone();
        (witnessed.number, witnessed.guard.as_mut().expect("a guard").witness) = (5, "a".to_string());
        let mut unseen = sealed.clone();
        (unseen.number, unseen.guard.as_mut().expect("a guard").disclosed_height) = (9, 12);
        let mut undrawn = round(7, &all, &all);
        undrawn.lots_missing = vec!["c".to_string()];
        assert_eq!(after(&undrawn), "lots awaited");
        let mut named = round(8, &all, &["b"]);
        named.accusations = vec![accusation(true)];
        let mut closed = round(6, &all, &[]);
        closed.guard = Some(wire::Guard { custodian: "b".to_string(), closed_key_sets: 7, ..Default::default() });
        assert_eq!(after(&closed), "the custodian's other keys not opened yet");
        let rounds = [
            wire::Round { accusations: vec![accusation(true)], ..round(0, &all, &all) },
            wire::Round {
                accusations: vec![accusation(false)],
                outcome: "released".to_string(),
                ..round(1, &all, &all)
            },
            round(2, &all, &["b"]),
            guarded,
            sealed,
            witnessed,
            closed,
            undrawn,
            named,
            unseen,
        ];
        let said = waited_for(&rounds, &decisions);
        let lines = [
            "round 0: North does not give the contribution that it committed to, say East, West (more than half of the roster)",
            "round 1: North does not give the contribution that it committed to, say East, West (not more than half of the roster)",
            "round 2: nothing came from North, West",
            "round 3: it was the turn of East, its aggregator",
            "round 4: it was the turn of West, its custodian",
            "round 5: it was the turn of East, its aggregator, and of North, its witness",
            "round 6: it was the turn of East, its custodian, to open its other sets of keys",
            "round 7: no lot was shown by West",
            "round 8: North does not give the contribution that it committed to, say East, West (more than half of the roster)",
            "round 9: nobody had what West, its custodian, disclosed",
        ];
        assert_eq!(said, lines.join("\n"));
        assert_eq!(roles(&rounds[..3], &decisions), None);
        let seen = wire::Round { examined: "b".to_string(), ..round(9, &all, &all) };
        let table = roles(&[rounds[5].clone(), seen], &decisions).expect("lots were drawn");
        let cells: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert!(cells.contains(&vec!["5", "East", "West", "North", "none"]), "{table}");
        assert!(cells.contains(&vec!["9", "none", "none", "none", "East"]), "{table}");
        assert_eq!(
            waited_for(&[wire::Round { outcome: "released".to_string(), ..round(0, &all, &all) }], &decisions),
            ""
        );
    }
}
