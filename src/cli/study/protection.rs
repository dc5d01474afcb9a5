//! What a study's protection means: how small groups are kept from everybody, what that takes, and what it costs.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use consilium_engine::cells::{BlindingRoster, BlindingRound, PairSecrets};
use consilium_engine::disclosure::guarded::{self, GuardPlan};
use consilium_engine::guard::{
    Aggregator, Bar, Gates, GuardBlinds, GuardKeys, GuardServerKey, GuardShape, combine, contribute,
};
use consilium_engine::privacy::{ExpectedError, NoisePlan, epsilon, expected_errors};
use consilium_engine::statistics::Layout;
use consilium_protocol::genesis::Genesis;
use consilium_protocol::ids::{HospitalId, LedgerId, RoundNumber, StudyId};
use consilium_protocol::pairing::PairSecret;
use consilium_protocol::policy::DisclosurePolicy;
use consilium_protocol::privacy::MicroRho;
use consilium_protocol::study::{Protection, StudySpec, Totals};
use serde::Serialize;

use super::Now;
use super::result::DELTA;
use crate::cli::{Failure, counted, term};

/// Group sizes for which expected errors are shown.
const SIZES: [u64; 3] = [100, 1_000, 10_000];
/// Groups that are computed to see how long they take.
const TRIED: usize = 4;

/// The consortium that a study is checked for.
pub(super) struct Consortium {
    pub(super) policy: DisclosurePolicy,
    pub(super) hospitals: usize,
    /// Whether this home belongs to one; else the usual one is taken.
    pub(super) known: bool,
    /// What is left of its privacy budgets, where a node could be asked.
    pub(super) left: Option<MicroRho>,
}

/// What the protection of a study takes and costs.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Protected {
    Open {
        min_joint_count: u32,
        min_site_count: u32,
    },
    Guarded {
        min_joint_count: u32,
        groups: usize,
        /// How many sets of groups are shown together or not at all.
        sets: usize,
        /// Whether statistics are in a ring.
        is_tied: bool,
        /// Statistics with the columns that they have in common with others.
        waits_for: Vec<(String, Vec<String>)>,
        hospitals: usize,
        seconds_here: f64,
    },
    Private {
        epsilon: f64,
        delta: f64,
        hospitals: usize,
        errors: Vec<Errors>,
    },
}

/// The errors to expect in groups of one size.
#[derive(Serialize)]
pub(super) struct Errors {
    subjects: u64,
    errors: Vec<ExpectedError>,
}

/// Whether the study can be protected as it asks, by a consortium of this size and policy.
pub(super) fn possible(spec: &StudySpec, genesis: &Genesis) -> Result<(), Failure> {
    let hospitals = genesis.member.len();
    match spec.protection {
        Protection::Open => {}
        Protection::Guarded => drop(guarded::plan(spec, &genesis.policy, hospitals, &[])?),
        Protection::Private { rho } => drop(NoisePlan::of(spec, &Layout::of(spec)?, rho, hospitals)?),
    }
    Ok(())
}

/// How a study is protected, in a line.
pub(super) fn in_brief(spec: &StudySpec, policy: &DisclosurePolicy) -> String {
    let least = spec.threshold(policy);
    match spec.protection {
        Protection::Open => {
            format!(
                "open: the researcher's program hides joint counts below {least}, and could be changed to show them"
            )
        }
        Protection::Guarded => {
            let totals = if spec.totals == Totals::Hidden { "; totals are hidden" } else { "" };
            format!("guarded: joint counts below {least} are opened by nobody{totals}")
        }
        Protection::Private { rho } => {
            format!("private: noise, for rho = {rho} of a budget of {} at each hospital", policy.privacy_budget)
        }
    }
}

/// Whether enough hospitals have enough of their privacy budgets left.
pub(super) fn affordable(spec: &StudySpec, genesis: &Genesis, now: &Now) -> Result<(), Failure> {
    let (asked, left) = (spec.protection.loss(), now.left(genesis));
    if asked > left {
        return Err(Failure::new(format!(
            "the study spends rho = {asked}, and of the privacy budget {left} is left at enough hospitals; ask for a rho of at \
             most that"
        )));
    }
    Ok(())
}

/// Looks at what the protection takes and costs; for a guarded study, tries it.
pub(super) async fn look(spec: &StudySpec, layout: &Layout, consortium: &Consortium) -> Result<Protected, Failure> {
    let (policy, hospitals) = (&consortium.policy, consortium.hospitals);
    let min_joint_count = spec.threshold(policy);
    match spec.protection {
        Protection::Open => Ok(Protected::Open { min_joint_count, min_site_count: policy.min_site_count }),
        Protection::Guarded => {
            let plan = guarded::plan(spec, policy, hospitals, &[])?;
            let (groups, sets, is_tied) = (plan.compared(), plan.sealed(), plan.is_tied());
            let names = spec.statistics.iter().map(|statistic| statistic.name.clone());
            let waits = names.zip(plan.waits_for().iter().cloned());
            let waits_for = waits.filter(|(_, columns)| !columns.is_empty()).collect();
            let spinner = term::spinner("comparing a few groups under encryption to see how long it takes here");
            let (zeros, insiders) = (policy.show_zeros, policy.insiders);
            let tried = tokio::task::spawn_blocking(move || seconds(hospitals, min_joint_count, insiders, zeros)).await;
            spinner.finish_and_clear();
            let each =
                tried.map_err(|_| Failure::new("the trial was given up; try again"))??.as_secs_f64() / TRIED as f64;
            // An estimate: hundredths are more than it can tell.
            let seconds_here = (each * weight(&plan) * 100.0).round() / 100.0;
            Ok(Protected::Guarded { min_joint_count, groups, sets, is_tied, waits_for, hospitals, seconds_here })
        }
        Protection::Private { rho } => {
            let plan = NoisePlan::of(spec, layout, rho, hospitals)?;
            let errors = |subjects| Errors { subjects, errors: expected_errors(spec, layout, &plan, subjects) };
            let errors = SIZES.map(errors).into_iter().collect();
            Ok(Protected::Private { epsilon: epsilon(rho, DELTA), delta: DELTA, hospitals, errors })
        }
    }
}

/// How many of the groups that are tried a study is in work: to compare a group is about half of it, to seal a seed the other.
fn weight(plan: &GuardPlan) -> f64 {
    (plan.sealed() + plan.compared()) as f64 / 2.0
}

/// How long a few groups take on this machine, without the making of keys.
fn seconds(hospitals: usize, threshold: u32, insiders: u32, zeros: bool) -> Result<Duration, Failure> {
    let bar = Bar::of(u64::from(threshold), u64::from(insiders), hospitals);
    let shape = GuardShape::new(hospitals, bar, vec![zeros; TRIED], Gates::independent(TRIED))?;
    let keys = GuardKeys::generate()?;
    let server = GuardServerKey::from_bytes(&keys.server)?;
    let ledger = LedgerId::from_bytes([0; 32]);
    let name = |i: usize| {
        let mut name = [1; 32];
        name[8..16].copy_from_slice(&(i as u64).to_le_bytes());
        HospitalId::from_public_key(name)
    };
    let members: BTreeSet<HospitalId> = (0..hospitals).map(name).collect();
    // Nothing is hidden here: one secret for all pairs serves as well.
    let secrets: PairSecrets = members.iter().map(|id| (*id, PairSecret::from_bytes([2; 32]))).collect();
    let roster = BlindingRoster::new(members.iter().copied().collect())?;
    let (study, round) = (StudyId::from_bytes([0; 32]), RoundNumber::new(0));
    let round = BlindingRound { ledger: &ledger, study, round, roster: &roster };
    let mut contributions = Vec::with_capacity(hospitals);
    for id in &members {
        let blinds = GuardBlinds::derive(&round, *id, &secrets, &shape)?;
        contributions.push(contribute(&[1; TRIED], &shape, blinds, &keys.public)?);
    }
    let sum = combine(&contributions, &shape)?;
    let started = Instant::now();
    Aggregator::new(&shape, &server, &keys.public)?.seal(&sum)?;
    Ok(started.elapsed())
}

impl Protected {
    /// A paragraph on it, with an empty line before.
    pub(super) fn in_words(&self, spec: &StudySpec, consortium: &Consortium) -> String {
        let mut text = String::from("\nHow small groups are protected\n\n");
        match self {
            Self::Open { min_joint_count, min_site_count } => text.push_str(&format!(
                "  open: each hospital keeps back its own counts below {min_site_count}; joint counts below \
                 {min_joint_count} are suppressed when your program has opened them\n"
            )),
            Self::Guarded { min_joint_count, groups, sets, is_tied, waits_for, seconds_here, .. } => {
                text.push_str(&format!(
                    "  guarded: the joint counts of {} are compared with {min_joint_count} under encryption; \
                     nobody sees a smaller one\n  what is shown comes in {}: of one set everything is shown, or nothing\n",
                    counted(*groups as u64, "group"),
                    counted(*sets as u64, "set")
                ));
                for (statistic, columns) in waits_for {
                    text.push_str(&format!(
                        "    {statistic} is shown by classes of {}, where these can be shown\n",
                        columns.join(", ")
                    ));
                }
                if spec.totals == Totals::Hidden {
                    text.push_str(
                        "    totals are shown only where all their groups are, and rare categories are not merged\n",
                    );
                }
                if *is_tied {
                    text.push_str(
                        "    statistics that share columns in a ring are shown only if all their combinations can be\n",
                    );
                }
                text.push_str(&format!(
                    "  about {} of computing under encryption on a machine like this one\n",
                    in_time(*seconds_here)
                ));
            }
            Self::Private { epsilon, delta, hospitals, errors } => {
                text.push_str(&format!(
                    "  private: noise of {} hospitals; the study spends rho = {} of each hospital's budget of {}, which is \
                     epsilon = {epsilon:.2} at delta = {delta:e}\n  expected 95 % error, plus or minus:\n",
                    hospitals,
                    spec.protection.loss(),
                    consortium.policy.privacy_budget
                ));
                text.push_str(&errors_table(errors));
                if let Some(left) = consortium.left {
                    text.push_str(&format!("  of the budget {left} is left now, at enough hospitals for a round\n"));
                }
            }
        }
        let (own, policy) = (spec.min_joint_count, consortium.policy.min_joint_count);
        if (1..policy).contains(&own) {
            text.push_str(&format!("  min_joint_count = {own} changes nothing: the consortium's {policy} holds\n"));
        }
        if !consortium.known {
            text.push_str("  (for the usual policy and four hospitals; your own consortium may differ)\n");
        }
        text
    }
}

fn in_time(seconds: f64) -> String {
    match seconds {
        s if s < 1.5 => "a second".to_string(),
        s if s < 120.0 => format!("{s:.0} seconds"),
        s => format!("{:.0} minutes", s / 60.0),
    }
}

fn errors_table(errors: &[Errors]) -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let Some(first) = errors.first() else { return String::new() };
    for (position, error) in first.errors.iter().enumerate() {
        let cell = |of: &Errors| match of.errors.get(position).and_then(ExpectedError::half_width) {
            Some(half) => format!("{half:.*}", if half < 10.0 { 2 } else { 0 }),
            None => "too few".to_string(),
        };
        let mut row = vec![error.statistic.clone(), error.measure.to_string()];
        row.extend(errors.iter().map(cell));
        rows.push(row);
    }
    let mut head = vec!["statistic".to_string(), "number".to_string()];
    head.extend(errors.iter().map(|of| format!("group of {}", term::number(of.subjects))));
    rows.insert(0, head);
    let columns = rows[0].len();
    let widths: Vec<usize> =
        (0..columns).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
                if column < 2 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
            format!("    {}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
        })
        .collect()
}
