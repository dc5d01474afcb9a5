//! `study check`: what a study is, in plain words.

use std::path::PathBuf;

use consilium_engine::cells::EncryptedCells;
use consilium_engine::cohort::Reads;
use consilium_engine::statistics::{Layout, OFFLINE_SUBJECTS, prove_bounds};
use consilium_protocol::consent::{DiseaseTree, Purpose};
use consilium_protocol::policy::DisclosurePolicy;
use consilium_protocol::study::{Categories, ConceptSet, Statistic, StatisticKind, StudySpec};
use serde_json::json;

use super::earlier::{self, Earlier};
use super::protection::{self, Consortium};
use super::{Now, read_spec};
use crate::cli::{Failure, Global, connect, counted, table, term, word};
use crate::home::Home;
use crate::worker::once::{self, OnceError};

/// `study check`
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  consilium study check examples/studies/stroke.toml")]
pub(crate) struct Args {
    /// The study file
    file: PathBuf,
    /// Files with [[table]] entries, instead of the catalogue of the consortium that this home has joined
    #[arg(long, value_name = "FILE")]
    tables: Vec<PathBuf>,
}

pub(super) async fn run(args: &Args, global: &Global) -> Result<(), Failure> {
    let catalogue = if args.tables.is_empty() { None } else { Some(table::read(&args.tables)?) };
    let (spec, reads) = read_spec(&args.file, global, catalogue).await?;
    let of_file = |failure: Failure| failure.of_file(&args.file);
    let layout = Layout::of(&spec).map_err(|error| of_file(error.into()))?;
    let bytes = EncryptedCells::encoded_bytes(layout.cells())?;
    let domains: Vec<String> = reads.domains().iter().map(ToString::to_string).collect();
    let consortium = Home::open(&global.home).ok().and_then(|home| home.genesis().ok());
    let now = match &consortium {
        Some(_) => asked(global, &spec).await,
        None => None,
    };
    let (now, earlier) = now.unzip();
    let earlier = earlier.unwrap_or_default();
    let home = consortium.as_ref();
    let consortium = match home {
        Some(genesis) => Consortium {
            policy: genesis.policy,
            hospitals: genesis.member.len(),
            known: true,
            left: now.as_ref().map(|now| now.left(genesis)),
        },
        None => Consortium { policy: DisclosurePolicy::default(), hospitals: 4, known: false, left: None },
    };
    if consortium.known && !consortium.policy.allows(&spec.protection) {
        return Err(of_file(Failure::new(
            "this consortium allows no open studies; set protection = \"guarded\" or \"private\" in the study file",
        )));
    }
    let unbounded = match &now {
        Some(now) => {
            now.prove_bounds(&spec).map_err(|error| of_file(error.into()))?;
            home.map_or(Ok(()), |genesis| protection::affordable(&spec, genesis, now)).map_err(of_file)?;
            None
        }
        // Hospitals prove it for those who are enrolled then.
        None => prove_bounds(&spec, &layout, OFFLINE_SUBJECTS).err(),
    };
    let protected = protection::look(&spec, &layout, &consortium).await.map_err(of_file)?;
    let mut notes = Vec::new();
    if !consortium.known && !consortium.policy.allows(&spec.protection) {
        notes.push("most consortia allow no open studies; protection = \"guarded\" is allowed by all".to_string());
    }
    if let Some(error) = &unbounded {
        notes.push(format!("with {} patients enrolled, {error}", term::number(OFFLINE_SUBJECTS)));
    }
    notes.extend(home.into_iter().flat_map(|genesis| unknown_diseases(&spec, &genesis.diseases())));
    notes.extend(unused(&spec));
    let report = json!({
        "valid": true, "protection": spec.protection.name(), "protected": protected, "title": spec.title, "purpose": spec.purposes, "declared": spec.declared,
        "reads": reads.tables().iter().map(|t| json!({ "table": t.name, "columns": t.columns })).collect::<Vec<_>>(),
        "domains": domains, "cells": layout.cells(), "bytes": bytes, "canonical_bytes": spec.to_canonical().len(),
        "computes": spec.statistics.iter().map(|s| json!({ "statistic": s.name, "what": in_words(s, &spec) })).collect::<Vec<_>>(),
        "for_consortium": if consortium.known { "own" } else { "usual" },
        "held_against": earlier, "concept_sets": spec.cohort.concept_sets, "notes": notes,
    });
    term::show(global.json, &report, |_| {
        let mut text = format!("{} is a valid study: {}\n\n", args.file.display(), spec.title);
        text.push_str(&plain_words(&spec));
        text.push('\n');
        text.push_str(&tables_in_words(&reads));
        text.push_str(&sets_in_words(&spec));
        text.push_str(&format!(
            "\nWhat leaves a hospital\n\n  {} sums and counts, blinded and encrypted, {}; no row, and nothing that anyone can \
             read before the contributions of all hospitals are added up.\n",
            layout.cells(),
            term::bytes(bytes as u64)
        ));
        text.push_str(&protected.in_words(&spec, &consortium));
        if !earlier.is_empty() {
            text.push_str(&format!("\n{}", earlier::in_words(&earlier)));
        }
        for note in &notes {
            text.push_str(&format!("\nNote: {note}\n"));
        }
        text.push_str(&format!(
            "\nConsents must allow: aggregate statistics, purpose {}, data: {}.\nNext: {}",
            spec.purposes_in_short(),
            domains.join(", "),
            global.next(&format!("study submit {}", word(&args.file)))
        ));
        text
    });
    Ok(())
}

/// The diseases that the consortium's vocabulary does not have.
fn unknown_diseases(spec: &StudySpec, tree: &DiseaseTree) -> Vec<String> {
    let of = |purpose: &Purpose| match purpose {
        Purpose::DiseaseResearch(disease) if !tree.knows(disease) => Some(format!(
            "the consortium's disease vocabulary has no {disease}; consents for exactly this code match, and those for health \
             research or any, but none for a wider disease"
        )),
        _ => None,
    };
    spec.purposes.iter().filter_map(of).collect()
}

/// What the file declares and no statistic uses.
fn unused(spec: &StudySpec) -> Vec<String> {
    let variables = spec.variables.iter().map(|variable| ("variable", &variable.name));
    let dimensions = spec.dimensions.iter().map(|dimension| ("dimension", &dimension.name));
    let is_used = |(kind, name): &(&str, &String)| match *kind {
        "variable" => spec.statistics.iter().any(|statistic| statistic.kind.variable() == Some(name.as_str())),
        _ => spec.statistics.iter().any(|statistic| statistic.by.contains(name)),
    };
    let unused = variables.chain(dimensions).filter(|declared| !is_used(declared));
    unused
        .map(|(kind, name)| format!("no statistic uses the {kind} `{name}`; remove it, or add one that does"))
        .collect()
}

/// What a node says of the ledger's bounds and of earlier studies, if one can be asked: none is needed to check a file.
async fn asked(global: &Global, spec: &StudySpec) -> Option<(Now, Vec<Earlier>)> {
    let home = Home::open(&global.home).ok()?;
    let node = connect(&home, global).await.ok()?;
    Some((Now::ask(&node).await.ok()?, earlier::ask(&node, spec, None).await.ok()?))
}

/// What a study reads, one line per table.
///
/// # Errors
/// When its query cannot be planned over OMOP's tables.
pub(crate) async fn reads_in_words(spec: &StudySpec) -> Result<String, OnceError> {
    once::check(spec).await.map(|reads| tables_in_words(&reads))
}

fn tables_in_words(reads: &Reads) -> String {
    let mut text = String::from("What it reads at each hospital, of consenting patients alone\n\n");
    for table in reads.tables() {
        text.push_str(&format!("  {}: {}\n", table.name, table.columns.join(", ")));
    }
    text
}

/// The sets of concepts that the query may name, one line each; nothing where there are none.
pub(crate) fn sets_in_words(spec: &StudySpec) -> String {
    let sets = &spec.cohort.concept_sets;
    if sets.is_empty() {
        return String::new();
    }
    let mut text = String::from("\nSets of concepts\n\n");
    for ConceptSet { name, include, exclude, descendants } in sets {
        let below = if *descendants { ", and all below" } else { "" };
        let without = match exclude.is_empty() {
            true => String::new(),
            false => format!("; without {}{below}", some(exclude)),
        };
        let is_empty = include.iter().all(|concept| exclude.contains(concept));
        let empty = if is_empty { "; nothing is left in it" } else { "" };
        let unused = if names(&spec.cohort.sql, name) { "" } else { "; the query does not name it" };
        text.push_str(&format!("  {name}: {}{below}{without}{empty}{unused}\n", some(include)));
    }
    text
}

/// Whether a query has this word, be it in whatever capitals.
fn names(sql: &str, word: &str) -> bool {
    sql.split(|c: char| !c.is_alphanumeric() && c != '_').any(|part| part.eq_ignore_ascii_case(word))
}

/// The first of a list, and how many more there are.
fn some(concepts: &[u32]) -> String {
    const SHOWN: usize = 12;
    let first: Vec<String> = concepts.iter().take(SHOWN).map(u32::to_string).collect();
    let more = concepts.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {} more", term::number(more as u64)) } else { String::new() };
    format!("{}{more}", first.join(", "))
}

/// What is computed, one line per statistic.
pub(crate) fn plain_words(spec: &StudySpec) -> String {
    let mut text = String::from("What it computes, over all hospitals together\n\n");
    for statistic in &spec.statistics {
        text.push_str(&format!("  {}: {}\n", statistic.name, in_words(statistic, spec)));
    }
    text
}

fn in_words(statistic: &Statistic, spec: &StudySpec) -> String {
    let variable = |of: &str| match spec.variable(of) {
        Some(v) => {
            let unit = if v.unit.is_empty() { String::new() } else { format!(" {}", v.unit) };
            format!("{of} (clamped to {} to {}{unit}, in steps of {})", v.min, v.max, v.resolution)
        }
        None => of.to_string(),
    };
    let mut text = match &statistic.kind {
        StatisticKind::Count => "the number of patients".to_string(),
        StatisticKind::Crosstab => "the number of patients in each combination".to_string(),
        StatisticKind::Sum { of } => format!("the sum of {}", variable(of)),
        StatisticKind::Mean { of } => format!("the mean of {}", variable(of)),
        StatisticKind::Variance { of } => format!("mean and variance of {}", variable(of)),
        StatisticKind::Histogram { of, edges } => {
            format!("the number of patients in each of {} intervals of {of}", edges.len() + 1)
        }
    };
    for (position, name) in statistic.by.iter().enumerate() {
        text.push_str(if position == 0 { " by " } else { " and " });
        text.push_str(name);
        if let Some(dimension) = spec.dimension(name) {
            let how = match dimension.categories {
                Categories::Values(_) => "value",
                Categories::Edges(_) => "interval",
            };
            text.push_str(&format!(" ({}, other, missing)", counted(dimension.len() as u64, how)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_declared_for_nothing_is_said() {
        let set = "[[concept_set]]\nname = \"a\"\ninclude = [1]\nexclude = [1]\n";
        let dimension = "[[dimension]]\nname = \"sex\"\nvalues = [1]\n";
        let text = format!(
            "version = 1\ntitle = \"t\"\ndescription = \"d\"\npurpose = \"HMB\"\ndeclares = []\n[cohort]\nsubject = \"person_id\"\n\
             sql = \"SELECT person_id, sex FROM person\"\n{set}{dimension}[[statistic]]\nname = \"s\"\nkind = \"count\"\n"
        );
        let spec = StudySpec::from_toml(&text).expect("a study");
        assert_eq!(unused(&spec), ["no statistic uses the dimension `sex`; remove it, or add one that does"]);
        assert!(sets_in_words(&spec).contains("a: 1; without 1; nothing is left in it; the query does not name it"));
        let used = StudySpec::from_toml(&format!("{text}by = [\"sex\"]\n")).expect("a study");
        assert!(unused(&used).is_empty());
    }

    #[test]
    fn a_set_that_the_query_does_not_name_is_told_from_one_that_it_does() {
        let sql = "SELECT person_id FROM First_Condition(Diabetes) WHERE x IN (SELECT concept_id FROM metformin)";
        let found = ["diabetes", "metformin", "statin", "condition", "insulin"].map(|name| names(sql, name));
        assert_eq!(found, [true, true, false, false, false]);
    }
}
