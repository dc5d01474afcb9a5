//! `consilium export` and `consilium audit`: the ledger as a file, and what anyone can make of it with public keys
//! alone.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};

use consilium_engine::cohort::Reads;
use consilium_ledger::audit::{AuditReport, Focus, audit as replay};
use consilium_ledger::block::Block;
use consilium_ledger::certificate::Certificate;
use consilium_ledger::export::{ExportError, ExportReader, ExportWriter};
use consilium_ledger::state::consent::{Subject, SubjectKey};
use consilium_ledger::state::reading::UseRecord;
use consilium_protocol::genesis::Genesis;
use consilium_protocol::ids::{StudyId, SubjectId};
use consilium_protocol::study::{StudySpec, study_id};
use consilium_protocol::tx::{Payload, Signer};
use consilium_protocol::wire;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::{Failure, Global, connect, counted, member_named, term};
use crate::home::{self, FileError, Home};
use crate::net::client::{Node, refused};
use crate::words::Language;
use crate::worker::once;

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
  consilium audit ledger.export --study 3f9a02c1
  consilium audit ledger.export --member \"North Clinic\"")]
pub struct AuditArgs {
    /// The exported ledger
    export: PathBuf,
    /// The genesis file (default: this home's)
    #[arg(long)]
    genesis: Option<PathBuf>,
    /// What happened to one study: its id, or the first digits of it
    #[arg(long, group = "of")]
    study: Option<String>,
    /// What happened to one subject: its id, or the first digits of it
    #[arg(long, group = "of")]
    subject: Option<String>,
    /// What one member did: its name or id
    #[arg(long, group = "of")]
    member: Option<String>,
}

pub(crate) async fn export(args: &ExportArgs, global: &Global) -> Result<(), Failure> {
    let home = Home::open(&global.home)?;
    let genesis = home.genesis()?;
    let node = connect(&home, global).await?;
    let bar = term::progress("exporting", 0);
    let blocks = write_export(&genesis, &node, &args.out, &bar).await?;
    bar.finish_and_clear();
    let bytes = std::fs::metadata(&args.out)?.len();
    term::show(global.json, &json!({ "file": args.out, "blocks": blocks, "bytes": bytes }), |_| {
        format!(
            "{}, {}, in {}\nNext: {}",
            counted(blocks, "block"),
            term::bytes(bytes),
            args.out.display(),
            global.next(&format!("audit {}", args.out.display()))
        )
    });
    Ok(())
}

/// Writes the ledger of a node to a file; says how many blocks it has.
pub(crate) async fn write_export(
    genesis: &Genesis,
    node: &Node,
    path: &Path,
    bar: &ProgressBar,
) -> Result<u64, Failure> {
    let height = node.ledger().status(wire::StatusRequest {}).await.map_err(refused)?.into_inner().height;
    let mut blocks = node.ledger().export(wire::ExportRequest { from_height: 1 }).await.map_err(refused)?.into_inner();
    bar.set_length(height);
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".new");
    let temporary = path.with_file_name(name);
    let created = File::create(&temporary);
    let mut file = BufWriter::new(created.map_err(|source| FileError::of_writing(path, source))?);
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
    Ok(count)
}

pub(crate) async fn audit(args: &AuditArgs, global: &Global) -> Result<(), Failure> {
    let genesis = match &args.genesis {
        Some(path) => home::read_genesis(path)?,
        None => Home::open(&global.home)
            .and_then(|home| home.genesis())
            .map_err(|_| Failure::new("no genesis file; name the consortium's with --genesis"))?,
    };
    let open = || {
        File::open(&args.export)
            .map(BufReader::new)
            .map_err(|e| Failure::new(format!("{}: {e}; make it with `consilium export`", args.export.display())))
    };
    let broken = |e: &dyn std::fmt::Display| Failure::integrity(format!("{}: {e}", args.export.display()));
    let focus = match (&args.study, &args.subject, &args.member) {
        (None, None, None) => Ok(None),
        (_, _, Some(member)) => member_named(&genesis, member).map(|member| Some(Focus::Member(member.id))),
        (Some(prefix), ..) => {
            let named = Named::read(&genesis, open()?).map_err(|e| broken(&e))?;
            one(&named.studies.keys().copied().collect(), "study", prefix).map(|study| Some(Focus::Study(study)))
        }
        (_, Some(prefix), _) => {
            let named = Named::read(&genesis, open()?).map_err(|e| broken(&e))?;
            one(&named.subjects, "subject", prefix).map(|subject| Some(Focus::Subject(subject)))
        }
    };
    let spinner = term::spinner("replaying the ledger");
    // Also where nothing of the name was found: only a ledger that holds can say that something is not on it.
    let report = replay(&genesis, open()?, focus.as_ref().ok().copied().flatten());
    spinner.finish_and_clear();
    let mut report = report.map_err(|e| broken(&e))?;
    focus?;
    if !report.uses.is_empty() {
        let named = Named::read(&genesis, open()?).map_err(|e| broken(&e))?;
        narrow(&mut report, &named.studies).await;
    }
    let language = global.language();
    term::show(global.json, &report_json(&report, language), |_| audit_text(&report, &genesis, language));
    Ok(())
}

/// What an export's transactions name, before any of it is checked.
#[derive(Default)]
struct Named {
    studies: BTreeMap<StudyId, Vec<u8>>,
    subjects: BTreeSet<SubjectId>,
}

impl Named {
    fn read(genesis: &Genesis, export: impl Read) -> Result<Self, ExportError> {
        let mut reader = ExportReader::new(export)?;
        let mut named = Self::default();
        while let Some((block, _)) = reader.next_block()? {
            for tx in &block.txs {
                match (tx.signer, tx.decode_body().map(|body| body.payload)) {
                    (Signer::Researcher(id), Ok(Payload::ProposeStudy(p))) => {
                        let study = study_id(&genesis.ledger(), &id, &p.spec, &p.public_key, &p.sealing_key);
                        named.studies.insert(study, p.spec);
                    }
                    (_, Ok(Payload::Enrol(p))) => named.subjects.extend(p.subjects.iter().map(|e| e.subject)),
                    _ => {}
                }
            }
        }
        Ok(named)
    }
}

/// Leaves of what consent opened only what the studies' queries name, as a patient's own history does.
async fn narrow(report: &mut AuditReport, specs: &BTreeMap<StudyId, Vec<u8>>) {
    let mut read: BTreeMap<StudyId, Option<Reads>> = BTreeMap::new();
    for (_, used) in &mut report.uses {
        if let Entry::Vacant(unread) = read.entry(used.study) {
            let spec = specs.get(&used.study).and_then(|spec| StudySpec::from_canonical(spec).ok());
            // A query over tables that one hospital declares cannot be read here; then all that consent opened is left.
            unread.insert(match spec {
                Some(spec) => once::check(&spec).await.ok(),
                None => None,
            });
        }
        if let Some(Some(reads)) = read.get(&used.study) {
            used.data = reads.of(&used.data);
        }
    }
}

/// The only id that begins like this.
fn one<T: Copy + ToString>(ids: &BTreeSet<T>, what: &str, prefix: &str) -> Result<T, Failure> {
    let prefix = prefix.trim().trim_end_matches('…').to_lowercase();
    let mut found = ids.iter().filter(|id| id.to_string().starts_with(&prefix));
    match (found.next(), found.next()) {
        (Some(id), None) => Ok(*id),
        (None, _) => Err(Failure::new(format!(
            "the ledger is intact, but there is no {what} `{prefix}` on it; check the id, and whether the export is of the \
             right consortium and new enough"
        ))),
        _ => Err(Failure::new(format!("the ledger has several of them: {what} `{prefix}`; give more digits"))),
    }
}

/// An audit's verdict for people.
pub(crate) fn audit_text(report: &AuditReport, genesis: &Genesis, language: Language) -> String {
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
            "\nSubject {} of {}: {}, {current} current\n",
            key.subject.short(),
            name(&Signer::Hospital(key.hospital), genesis),
            counted(subject.documents.len() as u64, "document")
        ));
    }
    if !report.uses.is_empty() {
        text.push_str("\nRounds that could read it\n\n");
        text.push_str(&term::table(
            ["block", "when", "study", "could read", "came to"],
            report.uses.iter().map(|(_, u)| {
                let read = match (u.allowed, u.data.is_empty()) {
                    (false, _) => "nothing: not permitted".to_string(),
                    (true, true) => "nothing that it asked for".to_string(),
                    (true, false) => language.data(&u.data),
                };
                let when = term::moment(u.opened.time.get());
                [u.opened.height.to_string(), when, u.study.short(), read, u.outcome.to_string()]
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
            rows.push([height, time, "the ledger".to_string(), with_names(&event.to_string(), genesis)]);
        }
    }
    rows
}

/// A text with members' names in the place of their ids.
fn with_names(text: &str, genesis: &Genesis) -> String {
    genesis.member.iter().fold(text.to_string(), |text, m| text.replace(&m.id.short(), &m.name))
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
    let rejections: Vec<String> =
        report.rejections.iter().map(|(kind, n)| format!("{} {}", kind.replace('_', " "), term::number(*n))).collect();
    let grants = match report.figures.grants {
        0 => "none".to_string(),
        grants => {
            let each = report.figures.grant_bytes as f64 / grants as f64;
            let revoked = term::number(report.figures.revocations);
            format!("{} granted, {each:.1} bytes of ledger each; {revoked} revoked", term::number(grants))
        }
    };
    term::facts([
        ("blocks", term::number(report.head.moment.height.get())),
        ("certificates", format!("{}, with {} signatures of members", report.certificates, report.member_signatures)),
        ("transactions", format!("{} accepted, {} rejected", term::number(accepted), term::number(rejected))),
        ("by kind", kinds.join(", ")),
        ("rejected for", if report.rejections.is_empty() { "nothing".to_string() } else { rejections.join(", ") }),
        ("consents", grants),
        ("state", report.head.app_hash.to_string()),
    ])
}

/// An audit for machines.
pub(crate) fn report_json(report: &AuditReport, language: Language) -> Value {
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
    let subject = |(key, subject): &(SubjectKey, Subject)| {
        json!({ "hospital": key.hospital, "subject": key.subject, "documents": subject.documents.len(),
            "current": subject.current().count() })
    };
    let subjects: Vec<Value> = report.subjects.iter().map(subject).collect();
    let used = |(key, used): &(SubjectKey, UseRecord)| {
        let data = if used.data.is_empty() { String::new() } else { language.data(&used.data) };
        json!({ "hospital": key.hospital, "subject": key.subject, "study": used.study, "round": used.round,
            "height": used.opened.height, "time_ms": used.opened.time, "permitted": used.allowed, "data": data,
            "contributed": used.contributed, "outcome": used.outcome })
    };
    let uses: Vec<Value> = report.uses.iter().map(used).collect();
    json!({
        "intact": true, "height": report.head.moment.height, "app_hash": report.head.app_hash,
        "certificates": report.certificates, "member_signatures": report.member_signatures, "transactions": kinds,
        "rejections": report.rejections, "grants": report.figures.grants, "bytes_per_grant": report.bytes_per_grant(),
        "revocations": report.figures.revocations, "trail": trail, "subjects": subjects, "uses": uses,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_by_their_first_digits() {
        let id = |first: u8, last: u8| {
            let mut bytes = [0; 16];
            (bytes[0], bytes[15]) = (first, last);
            SubjectId::from_bytes(bytes)
        };
        let ids = BTreeSet::from([id(0x3f, 1), id(0x3f, 2), id(0xa0, 3)]);
        assert_eq!(one(&ids, "subject", "A0").ok(), Some(id(0xa0, 3)));
        assert_eq!(one(&ids, "subject", &id(0x3f, 2).to_string()).ok(), Some(id(0x3f, 2)));
        assert!(one(&ids, "subject", "3f").is_err_and(|f| f.message().contains("more digits")));
        assert!(one(&ids, "subject", "77").is_err_and(|f| f.message().contains("no subject `77`")));
    }
}
