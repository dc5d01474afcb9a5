//! `consilium export` and `consilium audit`: the ledger as a file, and what anyone can make of it with public keys
//! alone.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use consilium_ledger::audit::{AuditReport, Focus, audit as replay};
use consilium_ledger::block::Block;
use consilium_ledger::certificate::Certificate;
use consilium_ledger::export::ExportWriter;
use consilium_protocol::genesis::Genesis;
use consilium_protocol::ids::{HospitalId, StudyId, SubjectId};
use consilium_protocol::tx::Signer;
use consilium_protocol::wire;
use serde_json::{Value, json};

use super::{Failure, Global, connect, term};
use crate::home::{self, Home};
use crate::net::client::{Node, refused};

/// `consilium export`
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  consilium export --out ledger.export && consilium audit ledger.export")]
pub struct ExportArgs {
    /// The file to write
    #[arg(long, default_value = "ledger.export")]
    out: PathBuf,
}

/// `consilium audit`
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  consilium audit ledger.export --genesis genesis.toml
  consilium audit ledger.export --study 3f9a02c1…")]
pub struct AuditArgs {
    /// The exported ledger
    export: PathBuf,
    /// The genesis file (default: this home's)
    #[arg(long)]
    genesis: Option<PathBuf>,
    /// What happened to one study
    #[arg(long, group = "of")]
    study: Option<StudyId>,
    /// What happened to one subject
    #[arg(long, group = "of")]
    subject: Option<SubjectId>,
    /// What one member did
    #[arg(long, group = "of")]
    member: Option<HospitalId>,
}

pub(crate) async fn export(args: &ExportArgs, global: &Global) -> Result<(), Failure> {
    let home = Home::open(&global.home)?;
    let genesis = home.genesis()?;
    let node = connect(&home, global).await?;
    let blocks = write_export(&genesis, &node, &args.out).await?;
    let bytes = std::fs::metadata(&args.out)?.len();
    term::show(global.json, &json!({ "file": args.out, "blocks": blocks, "bytes": bytes }), |_| {
        format!(
            "{} blocks, {}, in {}\nNext: consilium audit {}",
            term::number(blocks),
            term::bytes(bytes),
            args.out.display(),
            args.out.display()
        )
    });
    Ok(())
}

/// Writes the ledger of a node to a file; says how many blocks it has.
pub(crate) async fn write_export(genesis: &Genesis, node: &Node, path: &Path) -> Result<u64, Failure> {
    let height = node.ledger().status(wire::StatusRequest {}).await.map_err(refused)?.into_inner().height;
    let mut blocks = node.ledger().export(wire::ExportRequest { from_height: 1 }).await.map_err(refused)?.into_inner();
    let bar = term::progress("exporting", height);
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".new");
    let temporary = path.with_file_name(name);
    let mut file = BufWriter::new(File::create(&temporary)?);
    let mut writer = ExportWriter::new(&mut file, &genesis.hash())?;
    let mut count = 0;
    while let Some(exported) = blocks.message().await.map_err(refused)? {
        let block = Block::decode(&exported.block)?;
        let certificate = Certificate::decode(&exported.certificate)?;
        writer.write(&block, &certificate)?;
        count += 1;
        bar.inc(1);
    }
    writer.finish()?;
    file.flush()?;
    file.get_ref().sync_all()?;
    std::fs::rename(&temporary, path)?;
    bar.finish_and_clear();
    Ok(count)
}

pub(crate) fn audit(args: &AuditArgs, global: &Global) -> Result<(), Failure> {
    let genesis = match &args.genesis {
        Some(path) => home::read_genesis(path)?,
        None => Home::open(&global.home)
            .and_then(|home| home.genesis())
            .map_err(|_| Failure::new("no genesis file; name the consortium's with --genesis"))?,
    };
    let of = match (&args.study, &args.subject, &args.member) {
        (Some(study), ..) => Some(Focus::Study(*study)),
        (_, Some(subject), _) => Some(Focus::Subject(*subject)),
        (_, _, Some(member)) => Some(Focus::Member(*member)),
        _ => None,
    };
    let file = File::open(&args.export)
        .map_err(|e| Failure::new(format!("{}: {e}; make it with `consilium export`", args.export.display())))?;
    let spinner = term::spinner("replaying the ledger");
    let report = replay(&genesis, BufReader::new(file), of);
    spinner.finish_and_clear();
    let report = report.map_err(|e| Failure::integrity(format!("{}: {e}", args.export.display())))?;
    term::show(global.json, &report_json(&report), |_| audit_text(&report, &genesis));
    Ok(())
}

/// An audit's verdict for people.
pub(crate) fn audit_text(report: &AuditReport, genesis: &Genesis) -> String {
    let mut text = format!(
        "The ledger `{}` is intact: every block, certificate and result was replayed from the genesis file.\n\n",
        genesis.chain_id
    );
    text.push_str(&figures(report));
    if !report.trail.is_empty() {
        text.push_str("\nWhat happened\n\n");
        text.push_str(&term::table(["block", "when", "who", "what"], trail(report, genesis)));
        text.push('\n');
    }
    for (key, subject) in &report.subjects {
        let current = subject.current().count();
        text.push_str(&format!(
            "\nSubject {} of {}: {} documents, {current} current\n",
            key.subject.short(),
            name(&Signer::Hospital(key.hospital), genesis),
            subject.documents.len()
        ));
    }
    if !report.uses.is_empty() {
        text.push_str("\nRounds that could read it\n\n");
        text.push_str(&term::table(
            ["block", "when", "study", "could read", "came to"],
            report.uses.iter().map(|(_, u)| {
                let domains: Vec<String> = u.domains.iter().map(ToString::to_string).collect();
                let read = if u.allowed { domains.join(", ") } else { "no: not permitted".to_string() };
                let when = term::moment(u.opened.time.get());
                [u.opened.height.to_string(), when, u.study.short(), read, u.phase.name().to_string()]
            }),
        ));
    }
    text
}

fn trail(report: &AuditReport, genesis: &Genesis) -> Vec<[String; 4]> {
    let mut rows = Vec::new();
    for entry in &report.trail {
        let place = || (entry.height.to_string(), term::moment(entry.time.get()));
        for tx in &entry.txs {
            let (height, time) = place();
            let what = match &tx.outcome {
                Ok(()) => tx.kind.replace('_', " "),
                Err(rejection) => format!("{}, rejected: {rejection}", tx.kind.replace('_', " ")),
            };
            rows.push([height, time, name(&tx.signer, genesis), what]);
        }
        for event in &entry.events {
            let (height, time) = place();
            rows.push([height, time, "the ledger".to_string(), event.to_string()]);
        }
    }
    rows
}

fn name(signer: &Signer, genesis: &Genesis) -> String {
    match signer {
        Signer::Hospital(id) => genesis.member(id).map_or_else(|| id.short(), |m| m.name.clone()),
        Signer::Researcher(id) => id.short(),
        Signer::Patient(id) => id.short(),
    }
}

/// An audit's figures as facts.
pub(crate) fn figures(report: &AuditReport) -> String {
    let accepted: u64 = report.transactions.values().map(|k| k.accepted).sum();
    let rejected: u64 = report.transactions.values().map(|k| k.rejected).sum();
    let kinds: Vec<String> = report
        .transactions
        .iter()
        .map(|(kind, k)| format!("{} {}", kind.replace('_', " "), term::number(k.accepted + k.rejected)))
        .collect();
    let grants = match report.bytes_per_grant() {
        Some(bytes) => format!("{} granted, {bytes} bytes of ledger each", term::number(report.figures.grants)),
        None => "none".to_string(),
    };
    term::facts([
        ("blocks", term::number(report.head.moment.height.get())),
        ("certificates", format!("{}, with {} signatures of members", report.certificates, report.member_signatures)),
        ("transactions", format!("{} accepted, {} rejected", term::number(accepted), term::number(rejected))),
        ("by kind", kinds.join(", ")),
        ("consents", grants),
        ("state", report.head.app_hash.to_string()),
    ])
}

/// An audit for machines.
pub(crate) fn report_json(report: &AuditReport) -> Value {
    let kinds: serde_json::Map<String, Value> = report
        .transactions
        .iter()
        .map(|(kind, k)| ((*kind).to_string(), json!({ "accepted": k.accepted, "rejected": k.rejected })))
        .collect();
    let trail: Vec<Value> = report
        .trail
        .iter()
        .map(|entry| {
            let txs: Vec<Value> = entry
                .txs
                .iter()
                .map(|tx| {
                    json!({ "tx": tx.tx, "signer": tx.signer, "kind": tx.kind,
                    "rejection": tx.outcome.as_ref().err().map(|r| r.kind()) })
                })
                .collect();
            let events: Vec<String> = entry.events.iter().map(ToString::to_string).collect();
            json!({ "height": entry.height, "time_ms": entry.time, "txs": txs, "events": events })
        })
        .collect();
    json!({
        "intact": true, "height": report.head.moment.height, "app_hash": report.head.app_hash,
        "certificates": report.certificates, "member_signatures": report.member_signatures, "transactions": kinds,
        "rejections": report.rejections, "grants": report.figures.grants, "bytes_per_grant": report.bytes_per_grant(),
        "revocations": report.figures.revocations, "trail": trail,
    })
}
