//! How long a transaction waits for its block while hospitals compute: four real nodes on this machine, quiet, and then
//! with two studies at all of them whose queries would run for minutes. The ratio of the two medians is what to look at.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use consilium::cli::{Failure, propose};
use consilium::demo::acts::follow;
use consilium::demo::consortium::{Consortium, Plan};
use consilium::demo::synthetic::{Synthetic, write_store};
use consilium_protocol::consent::{Action, Effect, Rule, Scope, Terms};
use consilium_protocol::genesis::Deadlines;
use consilium_protocol::policy::DisclosurePolicy;
use consilium_protocol::study::StudySpec;

const PATIENTS: usize = 1_000;
const MEASUREMENTS: usize = 400_000;
/// Transactions of one phase, one after another.
const TRANSACTIONS: usize = 60;
/// Phases of each kind.
const PHASES: usize = 3;

/// Each of one patient's measurements with each other, none of which fit: minutes of work that never yields a row.
fn endless(least: u32) -> StudySpec {
    let text = format!(
        "version = 1\ntitle = \"T\"\ndescription = \"D\"\npurpose = \"GRU\"\ndeclares = []\nprotection = \"open\"\n[cohort]\nsubject = \"person_id\"\n\
         sql = \"SELECT m.person_id, count(*) AS n FROM measurement m JOIN measurement o ON o.person_id = m.person_id \
         AND o.value_as_number + m.value_as_number < -{least} GROUP BY m.person_id\"\n\
         [[variable]]\nname = \"n\"\nmin = 0\nmax = 1000\nresolution = 1\n[[statistic]]\nname = \"n\"\nkind = \"mean\"\nof = \"n\"\n"
    );
    StudySpec::from_toml(&text).expect("a study")
}

/// Puts as many measurements of one person into a store as make every pair of them minutes of work.
fn fill(store: &Path, person: i64) -> std::io::Result<()> {
    std::fs::remove_file(store.join("MEASUREMENT.parquet"))?;
    let mut table = String::from("measurement_id,person_id,measurement_date,value_as_number\n");
    (0..MEASUREMENTS).for_each(|row| table.push_str(&format!("{row},{person},2020-01-01,{}\n", row % 100)));
    std::fs::write(store.join("MEASUREMENT.csv"), table)
}

fn research() -> Terms {
    let rule = Rule::new(Effect::Permit, Action::Aggregate, Scope::Any);
    Terms::opt_in(vec![rule])
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

/// The processor time, in seconds, that all workers of this machine have used so far.
fn workers_seconds() -> f64 {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let seconds = processes.filter_map(|process| {
        let command = std::fs::read(process.path().join("cmdline")).ok()?;
        let stat = std::fs::read_to_string(process.path().join("stat")).ok()?;
        let fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11).take(2);
        // A tick is a hundredth of a second on every Linux there is.
        let ticks: f64 = fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
        command.ends_with(b"\0worker\0").then_some(ticks / 100.0)
    });
    seconds.sum()
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
        policy: DisclosurePolicy { open_studies: true, slot_seconds: 1, ..DisclosurePolicy::default() },
        deadlines: Deadlines { round_ms: 20_000, grace_ms: 1_000, ..Deadlines::default() },
        heartbeat_ms: 1_000,
        tables: Vec::new(),
    };
    let mut consortium = Consortium::found(plan)?;
    let mut persons = Vec::new();
    for (hospital, found) in consortium.hospitals.iter().enumerate() {
        let own = write_store(&Synthetic { hospital, patients: PATIENTS, seed: 3 }, &found.store)?;
        fill(&found.store, own[0])?;
        persons.push(own);
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

    let (mut quiet, mut busy, mut work) = (Vec::new(), Vec::new(), 0.0);
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
        let (started, before) = (Instant::now(), workers_seconds());
        busy.extend(waits(&consortium, person).await?);
        work += (workers_seconds() - before) / started.elapsed().as_secs_f64() / PHASES as f64;
        // The rounds fail at their deadline, and with them ends what was computed for them.
        for study in studies {
            let reply = follow(&node, &study, Duration::from_secs(120)).await?;
            let phase = reply.summary.map(|summary| summary.phase).unwrap_or_default();
            assert_eq!(phase, "failed", "the queries end, so nothing is measured");
        }
    }
    consortium.stop_all().await;
    let (quiet, busy) = (median(quiet), median(busy));
    #[expect(clippy::print_stdout, reason = "a bench says what it measured")]
    {
        println!(
            "blocks: quiet {quiet:.1} ms, two endless queries at every hospital {busy:.1} ms, ratio {:.3}; meanwhile the \
             workers kept {work:.2} cores busy",
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
