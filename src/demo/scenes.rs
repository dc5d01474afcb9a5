//! The demo's scenes, in their order.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use consilium_protocol::genesis::Deadlines;
use consilium_protocol::ids::SubjectId;
use consilium_protocol::policy::DisclosurePolicy;
use consilium_protocol::study::StudySpec;
use consilium_protocol::tx::Signer;
use consilium_protocol::wallet::Wallet;
use consilium_protocol::wire;
use futures::future::try_join_all;
use indicatif::ProgressBar;

use super::acts::follow;
use super::consents::{Choice, choices};
use super::consortium::{Consortium, Plan};
use super::report::{Consents, GuardedStudy, Ledger, Report};
use super::stage::Stage;
use super::synthetic::{Synthetic, write_store};
use super::{Args, oracle, plain};
use crate::cli::accounts::ask;
use crate::cli::history::{history_json, history_text, narrow};
use crate::cli::study::{GUARDED, OPEN, open_result, propose, table_text, waited_for};
use crate::cli::{Failure, Global, audit, term};
use crate::home::{Home, Role};
use crate::net::client::refused;
use crate::words::Teller;

const NAMES: [&str; 16] = [
    "North Clinic",
    "South Hospital",
    "West Infirmary",
    "East Hospital",
    "Lake Clinic",
    "Hill Hospital",
    "River Infirmary",
    "Forest Clinic",
    "Harbour Hospital",
    "Valley Clinic",
    "Island Infirmary",
    "Meadow Hospital",
    "Bridge Clinic",
    "Castle Hospital",
    "Garden Clinic",
    "Mill Infirmary",
];
/// How many patients of each hospital have a wallet and sign for themselves; the others sign on paper.
const WALLETS: usize = 10;
/// Why the last hospital does not take part.
const REASON: &str = "our ethics committee has not decided yet";

/// A hospital's patients, as only the demo knows them all.
struct Ward {
    choices: Vec<(i64, Choice)>,
    wallets: Vec<Wallet>,
}

/// Plays the demo; gives its report, and the consortium that still runs.
pub(super) async fn play(args: &Args, folder: &Path, global: &Global) -> Result<(Report, Consortium), Failure> {
    let mut stage = Stage::new(global.json);
    let count = args.hospitals as usize;
    stage.say(&format!(
        "\nConsilium: {count} hospitals, {} patients each, two studies that none of them could do alone.\n",
        term::number(u64::from(args.patients))
    ));

    stage.begin("found", "founding the consortium");
    let mut consortium = Consortium::found(Plan {
        folder: folder.to_path_buf(),
        program: std::env::current_exe()?,
        hospitals: NAMES.iter().take(count).map(ToString::to_string).collect(),
        chain_id: "demo".to_string(),
        // Synthetic patients have no secrets, and whoever watches a demo waits for every slot.
        policy: DisclosurePolicy { open_studies: true, slot_seconds: 1, ..DisclosurePolicy::default() },
        deadlines: Deadlines { approval_ms: 3_600_000, grace_ms: 5_000, round_ms: 60_000, ..Deadlines::default() },
        heartbeat_ms: 2_000,
        tables: Vec::new(),
    })?;
    stage.end(&format!("{count} hospitals found a consortium: keys, certificates, one genesis file"));

    stage.begin("data", "drawing patients");
    let persons = draw_patients(&consortium, args).await?;
    stage.end("each hospital draws its patients: synthetic OMOP tables, in Parquet files of its own");

    stage.begin("start", "starting the nodes");
    consortium.start_all()?;
    consortium.wait_all_ready(Duration::from_secs(30)).await?;
    stage.end(&format!("{count} node processes run, with mutual TLS, and agree on blocks"));

    let ward = |persons: &Vec<i64>| {
        let wallets: Result<Vec<Wallet>, _> = persons.iter().take(WALLETS).map(|_| Wallet::generate()).collect();
        Ok(Ward { choices: choices(persons, args.seed), wallets: wallets? })
    };
    let wards: Vec<Ward> = persons.iter().map(ward).collect::<Result<_, Failure>>()?;

    stage.begin("enrol", "enrolling patients");
    enrol(&consortium, &wards).await?;
    let patients: usize = persons.iter().map(Vec::len).sum();
    stage.end(&format!(
        "{} patients are enrolled as pseudonyms; {} of them hold a wallet",
        term::number(patients as u64),
        wards.iter().map(|w| w.wallets.len()).sum::<usize>()
    ));

    stage.begin("consent", "recording consents");
    let consents = consent(&consortium, &wards).await?;
    stage.end(&format!(
        "{} consent to any research, {} to research on diabetes, {} to nothing, {} revoke",
        term::number(consents.broad as u64),
        term::number(consents.one_disease as u64),
        term::number(consents.silent as u64),
        term::number(consents.revoked as u64)
    ));

    stage.begin("accredit", "accrediting the researcher");
    let researcher = consortium.researcher("Researcher")?;
    consortium.accredit(&researcher.signing_key()?, "Dr. Ada Lind", "Institute of Epidemiology").await?;
    stage.end("a researcher is accredited by the votes of more than half of the hospitals");

    stage.begin("submit", "submitting the study");
    let node = consortium.node(0).await?;
    let spec = StudySpec::from_toml(OPEN)?;
    let study = propose(&researcher, &node, &spec).await?.0;
    stage.end(&format!("the researcher submits study {}: {}", study.short(), spec.title));

    stage.begin("approve", "deciding");
    let roster: Vec<usize> = (0..count - 1).collect();
    try_join_all(roster.iter().map(|position| consortium.approve(*position, study))).await?;
    consortium.reject(count - 1, study, REASON).await?;
    let last = &consortium.hospitals[count - 1].member.name;
    stage.end(&format!("{} hospitals approve; {last} rejects: “{REASON}”", roster.len()));

    stage.begin("round", "computing under encryption");
    let watched = follow(&node, &study, Duration::from_secs(120)).await?;
    expect_released(&consortium, &watched)?;
    stage.end(&format!(
        "consent is read at block {}; each hospital computes, blinds, encrypts; the sum is attested",
        watched.rounds.last().map_or(0, |r| r.height)
    ));

    stage.begin("open", "opening the joint result");
    let opened = open_result(&researcher, &node, &study).await?;
    let sum_of = opened.provenance.roster;
    stage.end(&format!("the researcher opens the joint result of {sum_of} hospitals; nobody saw the part of any one"));

    stage.begin("plaintext", "computing the same in plaintext");
    let expected = plaintext(&consortium, &wards, &roster, &spec).await?;
    let comparison = oracle::compare(opened.result.get(), &expected);
    let exact = comparison.differing.is_empty() && comparison.equal == comparison.cells && comparison.cells > 0;
    let verdict = if exact { "all equal" } else { "NOT all equal" };
    stage.end(&format!(
        "the same in plaintext over the pooled patients who consent: {} of {} cells, {verdict}",
        comparison.equal, comparison.cells
    ));

    let guarded = guarded(&mut stage, &consortium, &wards, &researcher, &roster).await?;

    stage.begin("history", "asking as a patient");
    let teller = Teller::new(global.language(), &consortium.genesis);
    let history = patient_history(&consortium, &wards, folder).await?;
    stage.end("a patient asks who used their data");

    stage.begin("audit", "auditing the ledger");
    let export = folder.join("ledger.export");
    audit::write_export(&consortium.genesis, &node, &export, &ProgressBar::hidden()).await?;
    let file = std::io::BufReader::new(std::fs::File::open(&export)?);
    let audited = consilium_ledger::audit::audit(&consortium.genesis, file, None)
        .map_err(|e| Failure::integrity(format!("the audit failed: {e}")))?;
    let ledger = figures(&consortium, &export).await?;
    stage.end("the ledger is exported and replayed from the genesis file with public keys alone: intact");

    stage.say(&format!("\n{}", table_text(&opened)));
    let differences = comparison.differing.iter().map(|d| format!("\n  {d}")).collect::<String>();
    stage.say(&format!(
        "Beside the plaintext: {} of {} released values and suppressions are equal, cell by cell.{differences}\n",
        comparison.equal, comparison.cells
    ));
    stage.say(&format!("\n{}", guarded.text));
    stage.say(&format!(
        "Beside the plaintext: {} of {} values and suppressions are equal; {} were suppressed under encryption.\n",
        guarded.report.equal, guarded.report.cells, guarded.report.suppressed
    ));
    stage.say(&format!("What a patient sees\n\n{}\n", history_text(&history, &teller)));
    stage.say(&format!("The ledger\n\n{}", ledger.text()));
    stage.say(&format!("The audit\n\n{}", audit::figures(&audited)));
    stage.say(&format!("{:.1} s in all.", stage.elapsed()));

    let report = Report {
        exact: exact && guarded.report.exact,
        cells: comparison.cells,
        equal: comparison.equal,
        differing: comparison.differing,
        hospitals: args.hospitals,
        patients_per_hospital: args.patients,
        seed: args.seed,
        study: study.to_string(),
        roster: roster.len(),
        result: opened.result,
        provenance: opened.provenance,
        guarded: guarded.report,
        consents,
        history: history_json(&history, &teller),
        ledger,
        audit: audit::report_json(&audited, teller.language),
        seconds: stage.elapsed(),
        phases: stage.phases,
    };
    Ok((report, consortium))
}

/// Who was waited for, and what the nodes warned of, where a study ended otherwise than released: their logs go with the demo.
fn expect_released(consortium: &Consortium, watched: &wire::StudyReply) -> Result<(), Failure> {
    let phase = watched.summary.as_ref().map(|s| s.phase.clone()).unwrap_or_default();
    if phase == "released" {
        return Ok(());
    }
    let waited = waited_for(&watched.rounds, &watched.decisions);
    let lines = waited.lines().map(ToString::to_string).chain(consortium.warnings());
    let said: String = lines.map(|line| format!("\n  {line}")).collect();
    Err(Failure::new(format!("the study is {phase}, which it should not be{said}")))
}

/// The guarded study, and what is said of it.
struct Guarded {
    report: GuardedStudy,
    text: String,
}

/// A study whose small groups are suppressed under encryption.
async fn guarded(
    stage: &mut Stage,
    consortium: &Consortium,
    wards: &[Ward],
    researcher: &Home,
    roster: &[usize],
) -> Result<Guarded, Failure> {
    let node = consortium.node(0).await?;
    let spec = StudySpec::from_toml(GUARDED)?;
    stage.begin("guarded", "a guarded study: counts compared with the threshold under encryption");
    let study = propose(researcher, &node, &spec).await?.0;
    try_join_all(roster.iter().map(|position| consortium.approve(*position, study))).await?;
    consortium.reject(consortium.hospitals.len() - 1, study, REASON).await?;
    let watched = follow(&node, &study, Duration::from_secs(120)).await?;
    expect_released(consortium, &watched)?;
    let opened = open_result(researcher, &node, &study).await?;
    let expected = plaintext(consortium, wards, roster, &spec).await?;
    let comparison = oracle::compare(opened.result.get(), &expected);
    let rules = opened.result.get().estimates().filter_map(|estimate| estimate.suppressed_by());
    let rules: BTreeSet<&'static str> = rules.map(|rule| rule.name()).collect();
    let suppressed = opened.result.get().suppressed_groups();
    let roles = opened.provenance.roles.clone();
    let names = roles.as_ref().map_or(("", ""), |roles| (roles.aggregator.as_str(), roles.custodian.as_str()));
    stage.end(&format!(
        "a guarded study: {} added up and compared blindly, {} let pass what is not small; {suppressed} groups suppressed",
        names.0, names.1
    ));
    let report = GuardedStudy {
        study: study.to_string(),
        exact: comparison.differing.is_empty() && comparison.equal == comparison.cells && comparison.cells > 0,
        cells: comparison.cells,
        equal: comparison.equal,
        differing: comparison.differing,
        suppressed,
        rules: rules.into_iter().map(String::from).collect(),
        roles,
    };
    Ok(Guarded { report, text: table_text(&opened) })
}

async fn draw_patients(consortium: &Consortium, args: &Args) -> Result<Vec<Vec<i64>>, Failure> {
    let mut drawing = Vec::new();
    for (position, hospital) in consortium.hospitals.iter().enumerate() {
        let store = hospital.store.clone();
        let synthetic = Synthetic { hospital: position, patients: args.patients as usize, seed: args.seed };
        drawing.push(tokio::task::spawn_blocking(move || write_store(&synthetic, &store)));
    }
    let mut persons = Vec::new();
    for drawn in drawing {
        persons.push(drawn.await??);
    }
    Ok(persons)
}

/// At all hospitals at the same time.
async fn enrol(consortium: &Consortium, wards: &[Ward]) -> Result<(), Failure> {
    let enrolling = wards.iter().enumerate().map(async |(position, ward)| {
        let persons: Vec<(i64, Option<&Wallet>)> =
            ward.choices.iter().enumerate().map(|(i, (person, _))| (*person, ward.wallets.get(i))).collect();
        consortium.enrol(position, &persons).await
    });
    try_join_all(enrolling).await.map(drop)
}

/// At all hospitals at the same time: patients with a wallet sign for themselves, the others on paper.
async fn consent(consortium: &Consortium, wards: &[Ward]) -> Result<Consents, Failure> {
    let consenting = wards.iter().enumerate().map(async |(position, ward)| -> Result<(), Failure> {
        let node = consortium.node(position).await?;
        let link = consortium.link(position)?;
        for (wallet, (person, choice)) in ward.wallets.iter().zip(&ward.choices) {
            let subject: SubjectId = link.subject(*person);
            if let Some(terms) = choice.terms()? {
                consortium.grant(&node, position, wallet, subject, terms).await?;
            }
            if *choice == Choice::Revoked {
                consortium.revoke(&node, position, wallet, subject).await?;
            }
        }
        let on_paper = &ward.choices[ward.wallets.len()..];
        for choice in [Choice::Broad, Choice::OneDisease, Choice::Revoked] {
            let Some(terms) = choice.terms()? else { continue };
            let persons: Vec<i64> = on_paper.iter().filter(|(_, c)| *c == choice).map(|(p, _)| *p).collect();
            consortium.witness_grants(position, &persons, &terms).await?;
            if choice == Choice::Revoked {
                consortium.witness_revocations(position, &persons).await?;
            }
        }
        Ok(())
    });
    try_join_all(consenting).await?;
    let all = || wards.iter().flat_map(|w| &w.choices);
    let count = |wanted: Choice| all().filter(|(_, c)| *c == wanted).count();
    Ok(Consents {
        broad: count(Choice::Broad),
        one_disease: count(Choice::OneDisease),
        silent: count(Choice::Silent),
        revoked: count(Choice::Revoked),
        by_wallet: wards.iter().map(|w| w.wallets.len()).sum(),
    })
}

async fn plaintext(
    consortium: &Consortium,
    wards: &[Ward],
    roster: &[usize],
    spec: &StudySpec,
) -> Result<oracle::Expected, Failure> {
    let mut cohorts: Vec<Vec<RecordBatch>> = Vec::new();
    for position in roster {
        let choices = &wards[*position].choices;
        let allowed: BTreeSet<i64> =
            choices.iter().filter(|(_, c)| c.allows(&spec.purposes[0])).map(|(p, _)| *p).collect();
        cohorts.push(plain::cohort(&consortium.hospitals[*position].store, &allowed, spec).await?);
    }
    Ok(oracle::pooled(spec, &cohorts, &consortium.genesis.policy))
}

/// Makes one patient's home, and asks as they would.
async fn patient_history(
    consortium: &Consortium,
    wards: &[Ward],
    folder: &Path,
) -> Result<wire::SubjectReply, Failure> {
    let counted = wards[0].choices.iter().take(WALLETS).position(|(_, c)| *c == Choice::Broad).unwrap_or(0);
    let wallet = &wards[0].wallets[counted];
    let home = Home::create(&folder.join("patient"), Role::Patient, "Patient")?;
    home.keep_wallet(wallet)?;
    home.finish()?;
    home.join(&consortium.genesis)?;
    let key = wallet.key_at(&consortium.hospitals[0].member.id);
    let node = consortium.node(0).await?;
    let mut replies = [ask(&node, Signer::Patient(key.patient()), &key, None, None).await?];
    narrow(&mut replies, &node).await?;
    let [reply] = replies;
    Ok(reply)
}

async fn figures(consortium: &Consortium, export: &Path) -> Result<Ledger, Failure> {
    // Nodes that have committed the same height have the same state, or consensus would have stopped.
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let mut statuses = Vec::new();
        for position in 0..consortium.hospitals.len() {
            let node = consortium.node(position).await?;
            statuses.push(node.ledger().status(wire::StatusRequest {}).await.map_err(refused)?.into_inner());
        }
        let first = &statuses[0];
        let level = statuses.iter().all(|s| s.height == first.height);
        if level || Instant::now() > deadline {
            return Ok(Ledger {
                height: first.height,
                transactions: first.transactions,
                grants: first.grants,
                bytes_per_grant: first.grant_bytes as f64 / (first.grants.max(1)) as f64,
                export_bytes: std::fs::metadata(export)?.len(),
                app_hash: hex::encode(&first.app_hash),
                nodes_agree: level && statuses.iter().all(|s| s.app_hash == first.app_hash),
            });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
