//! `consilium consent export`

use std::path::PathBuf;

use consilium_engine::store::Store;
use consilium_protocol::consent::Terms;
use consilium_protocol::fhir::{About, Identifier, PatientLink, SUBJECT, Standing, export};
use consilium_protocol::ids::{ContentHash, DocumentId};
use consilium_protocol::tx::Signer;
use consilium_protocol::wire;
use serde_json::{Value, json};

use super::super::accounts::{AccountArgs, accounts, ask};
use super::super::{Failure, Global, connect, counted, term};
use crate::home::config::NodeConfig;
use crate::home::files::{self, Readable};
use crate::home::{Home, Role};
use crate::net::client::ClientError;

#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  consilium consent export --all --out consents.ndjson     a hospital, of all its patients
  consilium consent export --person 4711 --bundle          a hospital, of one patient
  consilium consent export                                 a patient, their own at each hospital

What FHIR R4 has no element for is in modifier extensions: who cannot read these must not use the consent. The file can be imported again.")]
pub(crate) struct ExportArgs {
    /// The format
    #[arg(long, value_enum, default_value_t = Format::FhirR4)]
    format: Format,
    /// For a hospital: one patient, by the id in its own tables
    #[arg(long, conflicts_with = "all")]
    person: Option<i64>,
    /// For a hospital: everybody in its tables who is on the ledger
    #[arg(long)]
    all: bool,
    /// One bundle instead of one consent on each line
    #[arg(long)]
    bundle: bool,
    /// Where to write it (default: to the terminal)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(clap::ValueEnum, Debug, Clone, Copy)]
enum Format {
    /// HL7 FHIR R4, JSON
    #[value(name = "fhir-r4")]
    FhirR4,
}

pub(crate) async fn run(args: &ExportArgs, global: &Global) -> Result<(), Failure> {
    let Format::FhirR4 = args.format;
    let home = Home::open(&global.home)?;
    let lines = match (home.role(), args.person, args.all) {
        (Role::Hospital, Some(_), _) | (Role::Hospital, None, true) => of_hospital(args.person, &home, global).await?,
        (Role::Hospital, None, false) => return Err(Failure::usage("say whose consents: --person or --all")),
        (Role::Patient, None, false) => of_wallet(&home, global).await?,
        (Role::Patient, ..) => {
            return Err(Failure::usage("a wallet exports its own consents; leave out --person and --all"));
        }
        (Role::Researcher, ..) => {
            return Err(Failure::new(
                "consents are a patient's own; use --home with a hospital's home or a patient's wallet",
            ));
        }
    };
    let count = lines.len() as u64;
    let text = if args.bundle { bundle(&lines)? } else { lines.iter().map(|line| format!("{line}\n")).collect() };
    match &args.out {
        Some(path) => {
            files::create(path, text.as_bytes(), Readable::ByOwner)?;
            term::show(global.json, &json!({ "consents": count, "file": path }), |_| {
                format!("{} written to {}", counted(count, "consent"), path.display())
            });
        }
        // It is JSON anyway.
        None => term::line(text.trim_end()),
    }
    Ok(())
}

fn bundle(lines: &[String]) -> Result<String, Failure> {
    let resources = lines.iter().map(|line| serde_json::from_str(line)).collect::<Result<Vec<Value>, _>>()?;
    let entries: Vec<Value> = resources.into_iter().map(|resource| json!({ "resource": resource })).collect();
    Ok(format!("{}\n", json!({ "resourceType": "Bundle", "type": "collection", "entry": entries })))
}

async fn of_hospital(person: Option<i64>, home: &Home, global: &Global) -> Result<Vec<String>, Failure> {
    let link = super::super::patients::link(home)?;
    let people: Vec<_> = match person {
        Some(person) => vec![(person, link.subject(person))],
        None => Store::open_person(&NodeConfig::read(home.path())?.store)
            .await?
            .subjects(&link)
            .await?
            .iter()
            .copied()
            .collect(),
    };
    let (node, key) = (connect(home, global).await?, home.signing_key()?);
    let bar = term::progress("reading consents", people.len() as u64);
    let mut lines = Vec::new();
    for (number, subject) in people {
        bar.inc(1);
        let reply = match ask(&node, Signer::Hospital(key.hospital()), &key, Some(subject), None).await {
            Ok(reply) => reply,
            Err(ClientError::NotFound(_)) if person.is_none() => continue,
            Err(ClientError::NotFound(_)) => {
                return Err(Failure::new(
                    "the patient is not on the ledger; enrol them with `consilium patients enrol`",
                ));
            }
            Err(error) => return Err(error.into()),
        };
        let patient = PatientLink { reference: Some(format!("Patient/{number}")), kind: None, identifier: None };
        lines.extend(documents(&reply.documents, &patient)?);
    }
    bar.finish_and_clear();
    Ok(lines)
}

async fn of_wallet(home: &Home, global: &Global) -> Result<Vec<String>, Failure> {
    let mut lines = Vec::new();
    for account in accounts(home, global, &AccountArgs::default(), None).await? {
        let value = account.subject()?.to_string();
        let identifier = Some(Identifier { system: SUBJECT.to_string(), value });
        let patient = PatientLink { reference: None, kind: Some("Patient".to_string()), identifier };
        lines.extend(documents(&account.reply.documents, &patient)?);
    }
    Ok(lines)
}

/// The documents that hold, each as a consent.
fn documents(all: &[wire::Document], patient: &PatientLink) -> Result<Vec<String>, Failure> {
    let unreadable = || Failure::new("the node's answer cannot be read; use the same release as the node");
    let of = |document: &wire::Document| {
        let terms: Terms = borsh::from_slice(&document.terms).map_err(|_| unreadable())?;
        let source = ContentHash::try_from(&document.source[..]).ok().filter(|hash| hash.as_bytes() != &[0; 32]);
        let about = About {
            id: Some(DocumentId::try_from(&document.document[..])?.to_string()),
            standing: Standing::Active,
            patient: patient.clone(),
            given: Some(document.signed.parse().map_err(|_| unreadable())?),
            source,
        };
        Ok(export(&terms, &about)?)
    };
    all.iter().filter(|document| document.ended_height == 0).map(of).collect()
}
