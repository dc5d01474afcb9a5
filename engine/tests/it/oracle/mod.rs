//! Cohorts beside another engine: random studies over small random stores, each answered by PostgreSQL too, whose text is
//! printed from the same syntax tree. PostgreSQL is the oracle for what SQL means; where cohorts mean something else (what
//! has no answer is NULL), `semantics.sql` says it in PostgreSQL's terms.
//!
//! `CONSILIUM_ORACLE_QUERIES` is how many are drawn, `CONSILIUM_ORACLE_SEED` the first seed. A fault is reported with its
//! seed, and made smaller before it is shown.

mod coverage;
mod dice;
mod draw;
mod functions;
mod judge;
mod ours;
mod queries;
mod schema;
pub(crate) mod server;
mod shrink;
mod store;
mod theirs;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use draw::Study;
use judge::{Judge, Verdict};
use server::Server;
use store::Small;

/// How many studies share one store.
const STUDIES_PER_STORE: u64 = 8;

#[derive(Default)]
struct Tally {
    equal: usize,
    with_rows: usize,
    no_cohort: usize,
    refused: BTreeMap<String, Vec<u64>>,
    covered: BTreeMap<String, usize>,
    faults: Vec<u64>,
    reports: String,
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cohorts_are_those_of_another_engine() {
    let Some(programs) = server::programs_or_skip() else { return };
    let queries = number("CONSILIUM_ORACLE_QUERIES", 300);
    let first = number("CONSILIUM_ORACLE_SEED", 1);
    // How many faults are made smaller and shown.
    let shown = number("CONSILIUM_ORACLE_SHOWN", 12) as usize;
    let mut server = Server::start(&programs);
    let session = server.connect().await;
    session.execute(include_str!("semantics.sql")).await.expect("the functions are defined");
    session.execute(&store::definitions()).await.expect("the tables are defined");

    let mut tally = Tally::default();
    let mut seed = first;
    while seed < first + queries {
        let small = Small::draw(seed / STUDIES_PER_STORE);
        let mut judge = Judge::over(&session, &small).await;
        loop {
            let study = Study::draw(seed);
            let verdict = judge.verdict(&study).await;
            if queries == 1 {
                let (ours, theirs) = (ours::text(&study.query), theirs::text(&study.query));
                tally.reports = format!("{verdict:?}\nours ({}):\n  {ours}\nPostgreSQL's:\n  {theirs}\n", study.way());
            }
            let asked = queries == 1 && matches!(verdict, Verdict::Refused(_));
            if (verdict.is_fault() || asked) && tally.faults.len() < shown {
                report(&session, seed, &study, &small, verdict.clone(), &mut tally.reports).await;
                judge = Judge::over(&session, &small).await;
            }
            count(&mut tally, seed, &study, verdict);
            seed += 1;
            if seed >= first + queries || seed.is_multiple_of(STUDIES_PER_STORE) {
                break;
            }
        }
    }
    conclude(&tally, queries);
}

#[test]
fn every_function_of_cohorts_is_drawn() {
    let drawn: BTreeSet<&str> = functions::FUNCTIONS
        .iter()
        .map(|function| function.name)
        .chain(functions::AGGREGATES.iter().map(|(name, _, _)| *name))
        .chain(coverage::WINDOWS)
        .collect();
    let missing: Vec<&str> = consilium_engine::cohort::function_names().filter(|name| !drawn.contains(name)).collect();
    assert!(missing.is_empty(), "add to functions.rs: {missing:?}");
}

fn count(tally: &mut Tally, seed: u64, study: &Study, verdict: Verdict) {
    match verdict {
        Verdict::Equal(rows) => {
            tally.equal += 1;
            if rows > 0 {
                tally.with_rows += 1;
                for construct in coverage::constructs(study) {
                    *tally.covered.entry(construct).or_default() += 1;
                }
            }
        }
        Verdict::NoCohort => tally.no_cohort += 1,
        Verdict::Refused(reason) => tally.refused.entry(reason).or_default().push(seed),
        Verdict::Different { .. } | Verdict::Failed(_) | Verdict::Misread(_) => tally.faults.push(seed),
    }
}

async fn report(session: &server::Session, seed: u64, study: &Study, small: &Small, verdict: Verdict, to: &mut String) {
    let before = ours::text(&study.query);
    let (study, small, verdict) = shrink::shrunk(session, study.clone(), small.clone(), verdict).await;
    let what = match &verdict {
        Verdict::Different { ours, theirs } => {
            format!("DIFFERENT\nonly ours:\n  {}\nonly PostgreSQL's:\n  {}", ours.join("\n  "), theirs.join("\n  "))
        }
        other => format!("{other:?}"),
    };
    write!(
        to,
        "\n=== seed {seed}: {what}\nours ({}):\n  {}\nPostgreSQL's:\n  {}\nstore {}before shrinking:\n  {before}\n",
        study.way(),
        ours::text(&study.query),
        theirs::text(&study.query),
        small.shown(),
    )
    .expect("writing to a string");
}

fn conclude(tally: &Tally, queries: u64) {
    let refused: usize = tally.refused.values().map(Vec::len).sum();
    let mut text = format!(
        "{queries} studies: {} equal ({} of them with rows), {} no cohorts, {refused} refused, {} faults {:?}\n",
        tally.equal,
        tally.with_rows,
        tally.no_cohort,
        tally.faults.len(),
        tally.faults,
    );
    for (reason, seeds) in &tally.refused {
        let first = &seeds[..seeds.len().min(6)];
        writeln!(text, "  refused {:5} (seeds {first:?}…): {reason}", seeds.len()).expect("writing to a string");
    }
    let covered: BTreeSet<String> = tally.covered.keys().cloned().collect();
    let missing: Vec<String> = coverage::expected().difference(&covered).cloned().collect();
    writeln!(text, "  never covered: {missing:?}").expect("writing to a string");
    #[expect(clippy::print_stderr, reason = "what was drawn is as much a result as that nothing differed")]
    {
        eprintln!("{text}{}", tally.reports);
    }
    assert!(tally.faults.is_empty(), "{} faults, shown above", tally.faults.len());
    assert!(10 * (queries as usize - refused - tally.no_cohort) >= 7 * queries as usize, "too few ran:\n{text}");
    assert!(queries < 10_000 || missing.is_empty(), "the generator leaves out {missing:?}");
}
