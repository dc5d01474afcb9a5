//! How long a transaction waits for its block while hospitals compute: four real nodes on this machine, quiet, and then
//! with two studies at all of them whose queries would run for minutes. The ratio of the two medians is what to look at.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use consilium::cli::{Failure, propose};
use consilium::demo::acts::follow;
use consilium::demo::consortium::{Consortium, Plan};
use consilium::demo::synthetic::{Synthetic, write_store};
use consilium_protocol::consent::{Action, Base, Effect, Rule, Scope, Terms};
use consilium_protocol::genesis::Deadlines;
use consilium_protocol::policy::DisclosurePolicy;
use consilium_protocol::study::StudySpec;

const PATIENTS: usize = 1_000;
/// Transactions of one phase, one after another.
const TRANSACTIONS: usize = 60;
/// Phases of each kind.
const PHASES: usize = 3;

/// Each measurement of a patient with each other, many times over: minutes of work on one patient in a thousand.
fn endless(least: u32) -> StudySpec {
    let others = ["b", "c", "d", "e", "f"];
    let joins: String = others
        .iter()
        .map(|t| {
            format!(" JOIN measurement {t} ON {t}.person_id = a.person_id AND {t}.measurement_concept_id > {least}")
        })
        .collect();
    let text = format!(
        "version = 1\ntitle = \"T\"\ndescription = \"D\"\npurpose = \"GRU\"\nprotection = \"open\"\n[cohort]\nsubject = \"person_id\"\n\
         sql = \"SELECT a.person_id, count(*) AS n FROM measurement a{joins} GROUP BY a.person_id\"\n\
         [[variable]]\nname = \"n\"\nmin = 0\nmax = 1000\nresolution = 1\n[[statistic]]\nname = \"n\"\nkind = \"mean\"\nof = \"n\"\n"
    );
    StudySpec::from_toml(&text).expect("a study")
}

fn research() -> Terms {
    let rule = Rule::new(Effect::Permit, Action::Aggregate, Scope::Any);
    Terms { base: Base::Deny, rules: vec![rule], policy_uri: String::new() }
}

/// Milliseconds from handing in until the block, one transaction after another.
async fn waits(consortium: &Consortium, person: i64) -> Result<Vec<f64>, Failure> {
    let mut waits = Vec::with_capacity(TRANSACTIONS);
    for _ in 0..TRANSACTIONS {
        let started = Instant::now();
        consortium.witness_grants(0, &[person], &research()).await?;
        waits.push(started.elapsed().as_secs_f64() * 1_000.0);
    }
    Ok(waits)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn measure() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let plan = Plan {
        folder: folder.path().to_path_buf(),
        program: PathBuf::from(env!("CARGO_BIN_EXE_consilium")),
        hospitals: ["North", "South", "West", "East"].map(String::from).to_vec(),
        chain_id: "bench".to_string(),
        policy: DisclosurePolicy { open_studies: true, ..DisclosurePolicy::default() },
        deadlines: Deadlines { round_ms: 20_000, grace_ms: 1_000, ..Deadlines::default() },
        heartbeat_ms: 1_000,
    };
    let mut consortium = Consortium::found(plan)?;
    let mut persons = Vec::new();
    for (hospital, found) in consortium.hospitals.iter().enumerate() {
        persons.push(write_store(&Synthetic { hospital, patients: PATIENTS, seed: 3 }, &found.store)?);
    }
    let researcher = consortium.researcher("researcher")?;
    consortium.start_all()?;
    consortium.wait_all_ready(Duration::from_secs(60)).await?;
    for (position, persons) in persons.iter().enumerate() {
        let known: Vec<_> = persons.iter().map(|person| (*person, None)).collect();
        consortium.enrol(position, &known).await?;
        consortium.witness_grants(position, persons, &research()).await?;
    }
    consortium.accredit(&researcher.signing_key()?, "Bench", "University").await?;

    let (mut quiet, mut busy) = (Vec::new(), Vec::new());
    let person = persons[0][0];
    waits(&consortium, person).await?;
    for phase in 0..PHASES {
        quiet.extend(waits(&consortium, person).await?);
        let node = consortium.node(0).await?;
        let mut studies = Vec::new();
        for least in 0..2 {
            let study = propose(&researcher, &node, &endless(2 * phase as u32 + least)).await?.0;
            for position in 0..4 {
                consortium.approve(position, study).await?;
            }
            studies.push(study);
        }
        // Until the rounds are open and the queries run.
        tokio::time::sleep(Duration::from_secs(3)).await;
        busy.extend(waits(&consortium, person).await?);
        // The rounds fail at their deadline, and with them ends what was computed for them.
        for study in studies {
            follow(&node, &study, Duration::from_secs(120)).await?;
        }
    }
    consortium.stop_all().await;
    let (quiet, busy) = (median(quiet), median(busy));
    #[expect(clippy::print_stdout, reason = "a bench says what it measured")]
    {
        println!(
            "blocks: quiet {quiet:.1} ms, two endless queries at every hospital {busy:.1} ms, ratio {:.3}",
            busy / quiet
        );
    }
    Ok(())
}

fn main() {
    // As with every bench, `cargo test` runs it with this argument to see that it builds.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    if let Err(failure) = runtime.block_on(measure()) {
        panic!("{}", failure.message());
    }
}
