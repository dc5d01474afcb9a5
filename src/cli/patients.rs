//! What a hospital's desk does: enrols patients, and witnesses their paper forms.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use consilium_engine::pseudonym::LinkSecret;
use consilium_engine::store::Store;
use consilium_protocol::consent::Basis;
use consilium_protocol::hash;
use consilium_protocol::ids::{ContentHash, Date, PatientId, SubjectId};
use consilium_protocol::keys::{Signature, SigningKey};
use consilium_protocol::tx::{Countersignature, Enrol, Enrolment, Given, Grant, Payload, Revocation, Revoke, Signer};
use serde_json::json;

use super::desk::{self, Desk};
use super::history::noted;
use super::terms::{PlaceArgs, TermsArgs, given};
use super::{Failure, Global, connect, counted, term};
use crate::home::config::NodeConfig;
use crate::home::secrets::{self, Kind};
use crate::home::{Home, Role, files};
use crate::net::client::{ClientError, Included, Node};
use crate::words::Teller;

/// The rejection of a batch that holds somebody whom the ledger knows.
const ALREADY_ENROLLED: &str = "already_enrolled";

/// How many patients one transaction carries.
pub(crate) const BATCH: usize = 1_000;

/// `consilium patients`
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Put patients on the ledger, as pseudonyms
    Enrol(EnrolArgs),
    /// The subject of a patient, for `consilium consent code` of their wallet
    Subject(SubjectArgs),
    /// Witness signed paper forms that grant
    Grant(GrantArgs),
    /// Witness signed paper forms that revoke
    Revoke(FormsArgs),
    #[command(flatten)]
    Desk(Desk),
}

#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  consilium patients enrol --all
  consilium patients enrol --person 4711 --code patient1…:9f3a…")]
struct EnrolArgs {
    /// Everybody in the store
    #[arg(long, conflicts_with_all = ["person", "code"], required_unless_present = "person")]
    all: bool,
    /// One patient, by the id in the hospital's own tables
    #[arg(long)]
    person: Option<i64>,
    /// The code that the patient's wallet printed (`consilium consent code`)
    #[arg(long, requires = "person")]
    code: Option<String>,
}

#[derive(clap::Args, Debug)]
struct SubjectArgs {
    /// The id in the hospital's own tables
    person: i64,
}

#[derive(clap::Args, Debug)]
#[command(after_help = "\
Example:
  consilium patients grant --preset health --forms forms.csv

forms.csv has the columns person_id, form and signed: the scanned form's file, or its SHA-256 in hexadecimal, and the day on \
which it was signed. A form takes the place of older consents alone: what the patient has said since then stays, and what \
they forbade with their own wallet stays whatever a form says.")]
struct GrantArgs {
    #[command(flatten)]
    terms: TermsArgs,
    #[command(flatten)]
    forms: FormsArgs,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(clap::Args, Debug)]
struct FormsArgs {
    /// A CSV file with the columns person_id, form and signed (the day, as 2026-01-31)
    #[arg(long, value_name = "FILE")]
    forms: PathBuf,
}

/// The pseudonym of a patient of this hospital.
pub(crate) fn subject(home: &Home, person: i64) -> Result<SubjectId, Failure> {
    Ok(link(home)?.subject(person))
}

pub(crate) fn link(home: &Home) -> Result<LinkSecret, Failure> {
    Ok(LinkSecret::from_seed(*secrets::read(home.path(), Kind::Link)?))
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<(), Failure> {
    let home = Home::open_as(&global.home, Role::Hospital)?;
    match args.command {
        Command::Subject(args) => {
            let subject = subject(&home, args.person)?;
            warn_of_stranger(&home, args.person, &subject).await?;
            let key = home.signing_key()?;
            term::show(global.json, &json!({ "subject": subject, "hospital": key.hospital() }), |_| {
                format!(
                    "subject {subject}\n\nThe patient runs: consilium consent code --hospital \"{}\" --subject {subject}",
                    home.name()
                )
            });
            Ok(())
        }
        Command::Desk(command) => desk::run(command, &home, &link(&home)?, global).await,
        Command::Enrol(args) => enrol(&home, &args, global).await,
        Command::Grant(args) => {
            let terms = args.terms.terms()?;
            let supersedes = args.place.takes_the_place_of_older(&terms);
            let forms = read_forms(&home, &args.forms.forms)?;
            let given = given(&connect(&home, global).await?, &terms).await?;
            let batches = forms.chunks(BATCH).map(|batch| {
                let forms = batch.iter().map(PaperForm::given).collect();
                Payload::Grant(Grant::paper(given.clone(), supersedes, forms))
            });
            let teller = Teller::new(global.language(), &home.genesis()?);
            // What is on the ledger stays there.
            let warnings = teller.warnings(&terms);
            warnings.iter().for_each(term::warn);
            // With their other documents, which nobody looks up here, these may open more.
            let notes = if supersedes { teller.notes(&[&terms]) } else { teller.notes_beside_others(&[&terms]) };
            let each = Each { in_words: teller.terms(&terms), notes, warnings };
            send(&home, global, batches.collect(), forms.len(), "consents witnessed", Some(&each)).await
        }
        Command::Revoke(args) => {
            let forms = read_forms(&home, &args.forms)?;
            let batches = forms.chunks(BATCH).map(|batch| {
                let forms = batch.iter().map(PaperForm::revocation).collect();
                Payload::Revoke(Revoke { basis: Basis::Paper, forms })
            });
            send(&home, global, batches.collect(), forms.len(), "revocations witnessed", None).await
        }
    }
}

/// A subject can be named of any number: a typing error would only show when the patient's code does not fit.
async fn warn_of_stranger(home: &Home, person: i64, subject: &SubjectId) -> Result<(), Failure> {
    let config = NodeConfig::read(home.path())?;
    let spinner = term::spinner("looking the patient up");
    let opened = Store::open_person(&config.store).await;
    spinner.finish_and_clear();
    match opened {
        Ok(store) if store.subjects(&link(home)?).await?.person(subject).is_some() => {}
        Ok(_) => term::warn(format!(
            "the hospital's tables have no patient {person}; check the id before you give the subject to anybody"
        )),
        Err(error) => term::warn(format!("whether there is a patient {person} could not be looked up: {error}")),
    }
    Ok(())
}

async fn enrol(home: &Home, args: &EnrolArgs, global: &Global) -> Result<(), Failure> {
    let link = link(home)?;
    let config = NodeConfig::read(home.path())?;
    let spinner = term::spinner("reading who is in the store");
    let known = Store::open_person(&config.store).await?.subjects(&link).await?;
    spinner.finish_and_clear();
    if let Some(person) = args.person {
        if known.person(&link.subject(person)).is_none() {
            return Err(Failure::new("the hospital's tables have no patient of this id; check the id"));
        }
        let patient = args.code.as_deref().map(countersignature).transpose()?;
        let subjects = vec![Enrolment { subject: link.subject(person), patient }];
        return send(home, global, vec![Payload::Enrol(Enrol { subjects })], 1, "enrolled", None).await;
    }
    let all: Vec<Enrolment> = known.iter().map(|(_, subject)| Enrolment { subject: *subject, patient: None }).collect();
    enrol_all(home, &all, global).await
}

/// Enrols whoever is not yet: a batch that the ledger refuses because it knows somebody of it is halved until only those
/// it knows are left out. So an interrupted run can be repeated, and new patients can be added any time.
async fn enrol_all(home: &Home, all: &[Enrolment], global: &Global) -> Result<(), Failure> {
    let node = connect(home, global).await?;
    let key = home.signing_key()?;
    let bar = term::progress("enrolling", all.len() as u64);
    let mut open: Vec<&[Enrolment]> = all.chunks(BATCH).rev().collect();
    let (mut enrolled, mut already, mut last) = (0, 0, None);
    while let Some(batch) = open.pop() {
        match submit(&node, &key, Payload::Enrol(Enrol { subjects: batch.to_vec() })).await {
            Ok(included) => {
                enrolled += batch.len();
                last = Some(included);
            }
            Err(ClientError::Rejected { kind, .. }) if kind == ALREADY_ENROLLED => match batch {
                [_] => already += 1,
                _ => {
                    let (first, second) = batch.split_at(batch.len() / 2);
                    open.extend([second, first]);
                    continue;
                }
            },
            Err(error) => return Err(error.into()),
        }
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    let report = json!({ "enrolled": enrolled, "already": already, "height": last.map(|l| l.height),
        "tx": last.map(|l| l.hash) });
    term::show(global.json, &report, |_| {
        let place = last.map_or(String::new(), |last| format!(", block {}", last.height));
        let hash = last.map_or(String::new(), |last| format!("\n\n  last transaction  {}", last.hash));
        let were = if already == 1 { "was" } else { "were" };
        format!(
            "{} enrolled{place}; {} {were} already{hash}",
            counted(enrolled as u64, "patient"),
            term::number(already)
        )
    });
    Ok(())
}

pub(crate) fn countersignature(code: &str) -> Result<Countersignature, Failure> {
    let wrong = || Failure::new("the code is not complete; copy the whole output of `consilium consent code` again");
    let (patient, signature) = code.trim().split_once(':').ok_or_else(wrong)?;
    let patient: PatientId = patient.parse()?;
    let mut bytes = [0u8; 64];
    hex::decode_to_slice(signature, &mut bytes).map_err(|_| wrong())?;
    Ok(Countersignature { patient, signature: Signature::from_bytes(bytes) })
}

/// A delegate's code: as a [`countersignature`], with the day on which they agreed.
pub(crate) fn agreement(code: &str) -> Result<(Countersignature, Date), Failure> {
    let wrong = || {
        Failure::new(
            "the code is not that of somebody who agrees to sign for another; they make it with `consilium consent code --for-other`",
        )
    };
    let (signed, day) = code.trim().rsplit_once(':').ok_or_else(wrong)?;
    Ok((countersignature(signed)?, day.parse().map_err(|_| wrong())?))
}

/// What every one of several documents says.
struct Each {
    in_words: String,
    notes: Vec<String>,
    warnings: Vec<String>,
}

/// Sends one transaction after another.
async fn send(
    home: &Home,
    global: &Global,
    batches: Vec<Payload>,
    entries: usize,
    what: &str,
    each: Option<&Each>,
) -> Result<(), Failure> {
    let node = connect(home, global).await?;
    let key = home.signing_key()?;
    let bar = term::progress(what, batches.len() as u64);
    let mut last = None;
    for payload in batches {
        last = Some(submit(&node, &key, payload).await?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let report = json!({ "entries": entries, "height": last.map(|l| l.height), "tx": last.map(|l| l.hash),
        "in_words": each.map(|each| &each.in_words), "notes": each.map(|each| each.warnings.iter().chain(&each.notes).collect::<Vec<_>>()) });
    term::show(global.json, &report, |_| {
        let (place, tx) = match last {
            Some(last) => (format!(", block {}", last.height), format!("  last transaction  {}", last.hash)),
            None => (String::new(), String::new()),
        };
        let said = match each {
            Some(each) => {
                let language = global.language();
                format!("{}\n{}\n\n{}", language.screen().each, each.in_words, noted(&each.notes, language))
            }
            None => String::new(),
        };
        format!("{what}: {}{place}\n\n{said}{tx}", term::number(entries as u64))
    });
    Ok(())
}

async fn submit(node: &Node, key: &SigningKey, payload: Payload) -> Result<Included, ClientError> {
    node.submit(Signer::Hospital(key.hospital()), key, payload).await
}

/// A paper form that the hospital witnesses.
struct PaperForm {
    subject: SubjectId,
    source: ContentHash,
    signed: Date,
}

impl PaperForm {
    fn given(&self) -> Given {
        Given { subject: self.subject, source: self.source, signed: Some(self.signed) }
    }

    fn revocation(&self) -> Revocation {
        Revocation { subject: self.subject, document: None, source: self.source, signed: Some(self.signed) }
    }
}

/// Reads who signed which form when. Says the line that is wrong, never what stands in it.
fn read_forms(home: &Home, path: &Path) -> Result<Vec<PaperForm>, Failure> {
    let link = link(home)?;
    let text = files::read_text(path, 64 * 1024 * 1024)?;
    // Spreadsheet programs put a byte order mark first.
    let mut lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    let header = lines.next().map(|(_, line)| line.trim().to_lowercase()).unwrap_or_default();
    if header.split(',').map(str::trim).ne(["person_id", "form", "signed"]) {
        return Err(Failure::new(format!(
            "{}: the first line must be `person_id,form,signed`: whose form it is, its file or SHA-256, and the day on which it \
             was signed",
            path.display()
        )));
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut forms = Vec::new();
    let mut seen = BTreeSet::new();
    for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let wrong =
            |what: &str| Failure::new(format!("{}, line {}: {what}; correct the file", path.display(), number + 1));
        let (person, rest) = line.split_once(',').ok_or_else(|| wrong("needs a person_id, a form and a day"))?;
        let (form, signed) = rest.rsplit_once(',').ok_or_else(|| wrong("needs a person_id, a form and a day"))?;
        let signed: Date = signed.trim().parse().map_err(|_| wrong("the day is none; write it as 2026-01-31"))?;
        let person: i64 = person.trim().parse().map_err(|_| wrong("the person_id is no whole number"))?;
        let source = match form.trim().parse::<ContentHash>() {
            Ok(hash) => hash,
            Err(_) => {
                let scanned = folder.join(form.trim());
                let bytes = files::read_bytes(&scanned, 256 * 1024 * 1024)
                    .map_err(|_| wrong("the form is neither a SHA-256 nor a file that can be read"))?;
                hash::content(&bytes)
            }
        };
        if !seen.insert(person) {
            return Err(wrong("names a patient twice"));
        }
        forms.push(PaperForm { subject: link.subject(person), source, signed });
    }
    if forms.is_empty() {
        return Err(Failure::new(format!("{} lists no forms; add some", path.display())));
    }
    Ok(forms)
}
