//! What a patient does: `consent …` and `history`.

use std::collections::BTreeMap;

use clap::Subcommand;
use consilium_engine::cohort::Reads;
use consilium_protocol::consent::{AllowedData, Decision, DiseaseTree, Terms, Window};
use consilium_protocol::ids::{DocumentId, StudyId, SubjectId};
use consilium_protocol::keys::SigningKey;
use consilium_protocol::study::StudySpec;
use consilium_protocol::tx::{
    Grant, Payload, Revoke, Signer, cosigning_message, delegation_message, enrolment_message,
};
use consilium_protocol::wire;
use serde_json::{Value, json};

use super::accounts::{AccountArgs, accounts, ask, one_account, patient_home};
use super::patients::countersignature;
use super::terms::{PlaceArgs, TermsArgs, given};
use super::wording::{data_in_words, notes, terms_in_words};
use super::{Failure, Global, connect, fhir, member_named, reach, study, term};
use crate::home::wards::{self, Ward};
use crate::home::{Home, Role};
use crate::net::client::{ClientError, Node};
use crate::worker::once;

/// `consilium consent`
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Show the hospital that this wallet agrees to be enrolled: prints a code for its desk
    Code(CodeArgs),
    /// Allow a use of my data
    Grant(GrantArgs),
    /// For a guardian: permit something together with another one, who hands it in
    Cosign(CosignArgs),
    /// Take a consent back: no new study will read my data; results already released stay
    Revoke(RevokeArgs),
    /// My consents at each hospital
    Show,
    /// Whether a study could use my data now, which, and why; a hospital asks for a patient, or for all of them in sum
    Explain(ExplainArgs),
    /// For a hospital: record consents that are in FHIR's format
    Import(fhir::ImportArgs),
    /// Write the consents that hold in FHIR's format
    Export(fhir::ExportArgs),
    /// For a hospital: consents that could not be imported, because of which nothing of their patients may be read
    Suspended,
    /// For a hospital: leave such a consent out, so that what its patient had consented to before holds again
    Resume(fhir::ResumeArgs),
}

#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  consilium consent explain 3f9a02c1
  consilium consent explain 3f9a02c1 --person 4711   (a hospital, about one patient)
  consilium consent explain 3f9a02c1                 (a hospital, about all of them in sum)")]
struct ExplainArgs {
    /// The study's id, or the first digits of it
    study: String,
    /// For a hospital: the patient's id in its own tables
    #[arg(long)]
    person: Option<i64>,
}

#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  consilium consent code --hospital \"North Clinic\" --subject 5c0e…
  consilium consent code --hospital \"North Clinic\" --subject 77ab… --for-other")]
struct CodeArgs {
    /// The hospital's name or id
    #[arg(long)]
    hospital: String,
    /// The subject that the hospital's desk told you
    #[arg(long)]
    subject: SubjectId,
    /// The subject is somebody else, for whom this wallet is to sign; or myself, and this is my second machine
    #[arg(long)]
    for_other: bool,
}

#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  consilium consent grant --preset health
  consilium consent grant --preset MONDO:0005148 --hospital \"North Clinic\"")]
struct GrantArgs {
    #[command(flatten)]
    account: AccountArgs,
    #[command(flatten)]
    terms: TermsArgs,
    #[command(flatten)]
    place: PlaceArgs,
    /// What another guardian printed who permits it together with me (`consilium consent cosign`); repeat for several
    #[arg(long, value_name = "CODE")]
    cosigned: Vec<String>,
    /// Say what would hold, and sign nothing
    #[arg(long)]
    dry_run: bool,
    /// Sign without asking
    #[arg(long)]
    yes: bool,
}

#[derive(clap::Args, Debug)]
#[command(after_help = "\
Example:
  consilium consent cosign --for 77ab --preset health
The other guardian then runs: consilium consent grant --for … --preset health --cosigned <code>")]
struct CosignArgs {
    #[command(flatten)]
    account: AccountArgs,
    #[command(flatten)]
    terms: TermsArgs,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(clap::Args, Debug)]
struct RevokeArgs {
    #[command(flatten)]
    account: AccountArgs,
    /// One document, or the first digits of it (default: all)
    #[arg(long)]
    document: Option<String>,
}

/// `consilium history`
#[derive(clap::Args, Debug)]
pub struct HistoryArgs {
    /// For a hospital: the patient's id in its own tables
    #[arg(long)]
    person: Option<i64>,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<(), Failure> {
    match args.command {
        Command::Code(args) => code(&args, global),
        Command::Grant(args) => grant(&args, global).await,
        Command::Cosign(args) => cosign(&args, global).await,
        Command::Revoke(args) => revoke(&args, global).await,
        Command::Show => show(global).await,
        Command::Explain(args) => explain(&args, global).await,
        Command::Import(args) => fhir::import(&args, global).await,
        Command::Export(args) => fhir::export(&args, global).await,
        Command::Suspended => fhir::suspended(global).await,
        Command::Resume(args) => fhir::resume(&args, global).await,
    }
}

fn code(args: &CodeArgs, global: &Global) -> Result<(), Failure> {
    let home = patient_home(global)?;
    let genesis = home.genesis()?;
    let member = member_named(&genesis, &args.hospital)?;
    let (wallet, ledger) = (home.wallet()?, genesis.ledger());
    let (key, message) = match args.for_other {
        true => (wallet.key_for(&member.id, &args.subject), delegation_message(&ledger, &member.id, &args.subject)),
        false => (wallet.key_at(&member.id), enrolment_message(&ledger, &member.id, &args.subject)),
    };
    if args.for_other {
        wards::add(home.path(), Ward { hospital: member.id, subject: args.subject })?;
    }
    let code = code_of(&key, &message);
    term::show(global.json, &json!({ "patient": key.patient(), "code": code }), |_| match args.for_other {
        true => format!(
            "Give this code to the patient, who names you with `consilium wallet delegate`, or to the desk of {}:\n\n  {code}\n\n\
             Until then it means nothing. Afterwards sign with --for {}",
            member.name,
            args.subject.short()
        ),
        false => format!("Give this code to the desk of {}:\n\n  {code}", member.name),
    });
    Ok(())
}

/// A key with its signature, as people hand it on.
pub(super) fn code_of(key: &SigningKey, message: &[u8]) -> String {
    format!("{}:{}", key.patient(), hex::encode(key.sign(message).as_bytes()))
}

async fn grant(args: &GrantArgs, global: &Global) -> Result<(), Failure> {
    let terms = args.terms.terms()?;
    let supersedes = args.place.takes_the_place_of_older(&terms);
    let home = patient_home(global)?;
    let account = one_account(&home, global, &args.account).await?;
    let diseases = home.genesis()?.diseases();
    let in_words = terms_in_words(&terms, &diseases);
    let others: Vec<&wire::Document> = account.reply.documents.iter().filter(|d| d.ended_height == 0).collect();
    let mut holding = if supersedes { Vec::new() } else { current(&account.reply.documents) };
    holding.push(terms.clone());
    let notes = notes(&holding.iter().collect::<Vec<_>>());
    let what = format!(
        "At {}: this {in_words}\n\n{}\n\n{}",
        account.member.name,
        beside_others(&others, supersedes, &diseases),
        noted(&notes)
    );
    let mut report = json!({ "hospital": account.member.id, "in_words": in_words, "notes": notes, "dry_run": args.dry_run,
        "ends": supersedes.then(|| others.iter().map(|d| hex::encode(&d.document)).collect::<Vec<_>>()).unwrap_or_default(),
        "stays": if supersedes { Vec::new() } else { others.iter().map(|d| hex::encode(&d.document)).collect::<Vec<_>>() } });
    if args.dry_run {
        term::show(global.json, &report, |_| format!("{}Nothing was signed.", what));
        return Ok(());
    }
    if !args.yes && !global.json && !term::agrees(&what, "Sign this?")? {
        return Err(Failure::new("nothing was signed"));
    }
    let cosigned = args.cosigned.iter().map(|code| countersignature(code)).collect::<Result<_, _>>()?;
    let grant = Grant::electronic(given(&account.node, &terms).await?, supersedes, account.subject()?);
    let payload = Payload::Grant(Grant { cosigned, ..grant });
    let included = account.submit(payload).await?;
    report["height"] = json!(included.height);
    report["tx"] = json!(included.hash);
    term::show(global.json, &report, |_| {
        format!(
            "Recorded at {}, block {}. From now on it {in_words}\n\n{}  transaction  {}",
            account.member.name,
            included.height,
            noted(&notes),
            included.hash
        )
    });
    Ok(())
}

async fn cosign(args: &CosignArgs, global: &Global) -> Result<(), Failure> {
    let terms = args.terms.terms()?;
    let home = patient_home(global)?;
    let account = one_account(&home, global, &args.account).await?;
    let supersedes = args.place.takes_the_place_of_older(&terms);
    let documents = u32::try_from(account.reply.documents.len()).unwrap_or(u32::MAX);
    let genesis = home.genesis()?;
    let what = (&terms.hash(), supersedes);
    let message = cosigning_message(&genesis.ledger(), &account.member.id, &account.subject()?, what, documents);
    let (code, in_words) = (code_of(&account.key, &message), terms_in_words(&terms, &genesis.diseases()));
    term::show(global.json, &json!({ "code": code, "in_words": in_words }), |_| {
        format!(
            "With this code you permit, together with whoever hands it in, a consent that {in_words}\n\n  {code}\n\nIt serves \
             once, until anything else is signed for the patient."
        )
    });
    Ok(())
}

/// What becomes of the consents that there are.
fn beside_others(others: &[&wire::Document], supersedes: bool, diseases: &DiseaseTree) -> String {
    let (head, verb) = match (others.len(), supersedes) {
        (0, _) => return "There is no other consent.".to_string(),
        (_, true) => ("These end with it", "ends"),
        (_, false) => ("These stay as they are; whatever one of them forbids stays forbidden", "stays"),
    };
    let mut text = format!("{head}:");
    for document in others {
        let says = terms_of(document).map_or_else(|| "is unreadable".to_string(), |t| terms_in_words(&t, diseases));
        text.push_str(&format!(
            "\n\n  {} {verb}: it was given {} by {}, and {}",
            hex::encode(document.document.get(..4).unwrap_or_default()),
            term::moment(document.granted_ms),
            document.basis,
            says.replace('\n', "\n  ")
        ));
    }
    text
}

/// Notes as paragraphs, each with an empty line after it.
pub(crate) fn noted(notes: &[&str]) -> String {
    notes.iter().map(|note| format!("Note: {note}\n\n")).collect()
}

/// What the documents say that have not ended.
fn current(documents: &[wire::Document]) -> Vec<Terms> {
    documents.iter().filter(|d| d.ended_height == 0).filter_map(terms_of).collect()
}

async fn revoke(args: &RevokeArgs, global: &Global) -> Result<(), Failure> {
    let account = one_account(&patient_home(global)?, global, &args.account).await?;
    let document = match &args.document {
        None => None,
        Some(text) => {
            let prefix = text.trim().to_lowercase();
            let ids = account.reply.documents.iter().filter_map(|d| DocumentId::try_from(&d.document[..]).ok());
            let found: Vec<DocumentId> = ids.filter(|id| id.to_string().starts_with(&prefix)).collect();
            match found[..] {
                [one] => Some(one),
                _ => {
                    return Err(Failure::new(format!(
                        "`{prefix}` names no single document; see `consilium consent show`"
                    )));
                }
            }
        }
    };
    let payload = Payload::Revoke(Revoke::electronic(account.subject()?, document));
    let included = account.submit(payload).await?;
    term::show(
        global.json,
        &json!({ "hospital": account.member.id, "height": included.height, "tx": included.hash }),
        |_| {
            format!(
                "Revoked at {}, block {}. No round that opens from now on reads your data under it; results released before \
             stay as they are.\n\n  transaction  {}",
                account.member.name, included.height, included.hash
            )
        },
    );
    Ok(())
}

async fn show(global: &Global) -> Result<(), Failure> {
    let home = Home::open_as(&global.home, Role::Patient)?;
    let genesis = home.genesis()?;
    let accounts = accounts(&home, global, &AccountArgs::default(), None).await?;
    let diseases = genesis.diseases();
    let report: Vec<Value> = accounts
        .iter()
        .map(|a| {
            json!({ "hospital": a.member.id, "name": a.member.name, "subject": hex::encode(&a.reply.subject),
            "documents": a.reply.documents.iter().map(|d| document_json(d, &diseases)).collect::<Vec<_>>(),
            "notes": notes(&current(&a.reply.documents).iter().collect::<Vec<_>>()) })
        })
        .collect();
    term::show(global.json, &report, |_| {
        accounts
            .iter()
            .map(|a| format!("{}\n\n{}", a.member.name, documents(&a.reply.documents, &diseases)))
            .collect::<Vec<_>>()
            .join("\n\n")
    });
    Ok(())
}

async fn explain(args: &ExplainArgs, global: &Global) -> Result<(), Failure> {
    let home = Home::open(&global.home)?;
    let genesis = home.genesis()?;
    let node = connect(&home, global).await?;
    let study = study::find(Some(&args.study), &home, &node).await?;
    let replies = match (home.role(), args.person) {
        (Role::Patient, None) => {
            let accounts = accounts(&home, global, &AccountArgs::default(), Some(study)).await?;
            accounts.into_iter().map(|account| account.reply).collect()
        }
        (Role::Hospital, Some(person)) => vec![of_person(&home, &node, person, Some(study)).await?],
        (Role::Hospital, None) => {
            let (reach, k) = (reach::ask(&node, &study).await?, genesis.policy.min_joint_count);
            term::show(global.json, &reach::in_json(&reach, k), |_| reach::in_words(&reach, k));
            return Ok(());
        }
        _ => return Err(Failure::new("a consent is a patient's own; use --home with the patient's wallet")),
    };
    let mut told: Vec<(String, Decision)> = Vec::new();
    for reply in replies {
        let decision = borsh::from_slice(&reply.explained)
            .map_err(|_| Failure::new("the node's answer cannot be read; use the same release as the node"))?;
        told.push((reply.hospital_name, decision));
    }
    let report: Vec<Value> = told
        .iter()
        .map(|(name, decision)| json!({ "hospital_name": name, "study": study, "decision": reach::decision_json(decision) }))
        .collect();
    term::show(global.json, &report, |_| {
        let line = |(name, decision): &(String, Decision)| format!("{name}: {}", reach::decision_in_words(decision));
        told.iter().map(line).collect::<Vec<_>>().join("\n\n")
    });
    Ok(())
}

fn terms_of(document: &wire::Document) -> Option<Terms> {
    borsh::from_slice(&document.terms).ok()
}

fn document_json(d: &wire::Document, diseases: &DiseaseTree) -> Value {
    let terms = terms_of(d);
    json!({ "document": hex::encode(&d.document), "basis": d.basis, "granted_height": d.granted_height,
        "granted_ms": d.granted_ms, "ended_height": (d.ended_height > 0).then_some(d.ended_height),
        "ended_by": d.ended_by, "in_words": terms.as_ref().map(|t| terms_in_words(t, diseases)), "terms": terms })
}

/// Documents, each with what it says, and what people should know of those that are current.
fn documents(documents: &[wire::Document], diseases: &DiseaseTree) -> String {
    if documents.is_empty() {
        return "no consent: nothing may be read".to_string();
    }
    let mut text = String::new();
    for d in documents {
        let ended = match d.ended_height {
            0 => "current".to_string(),
            _ => format!("ended {}: {}", term::moment(d.ended_ms), d.ended_by),
        };
        let says = terms_of(d).map_or_else(|| "is unreadable".to_string(), |t| terms_in_words(&t, diseases));
        text.push_str(&format!(
            "{}, given {} by {}, {ended}\n  {}\n\n",
            hex::encode(d.document.get(..4).unwrap_or_default()),
            term::moment(d.granted_ms),
            d.basis,
            says.replace('\n', "\n  ")
        ));
    }
    text.push_str(&noted(&notes(&current(documents).iter().collect::<Vec<_>>())));
    text.trim_end().to_string()
}

pub(crate) async fn history(args: &HistoryArgs, global: &Global) -> Result<(), Failure> {
    let home = Home::open(&global.home)?;
    let genesis = home.genesis()?;
    let node = connect(&home, global).await?;
    let mut replies: Vec<wire::SubjectReply> = match (home.role(), args.person) {
        (Role::Patient, None) => {
            let accounts = accounts(&home, global, &AccountArgs::default(), None).await?;
            accounts.into_iter().map(|account| account.reply).collect()
        }
        (Role::Hospital, Some(person)) => vec![of_person(&home, &node, person, None).await?],
        (Role::Hospital, None) => return Err(Failure::usage("say whose history with --person")),
        _ => return Err(Failure::new("a history is a patient's own; use --home with the patient's wallet")),
    };
    narrow(&mut replies, &node).await?;
    let diseases = genesis.diseases();
    let report: Vec<Value> = replies.iter().map(|r| history_json(r, &diseases)).collect();
    term::show(global.json, &report, |_| {
        replies.iter().map(|r| history_text(r, &diseases)).collect::<Vec<_>>().join("\n\n")
    });
    Ok(())
}

/// What the ledger knows of a hospital's own patient.
async fn of_person(
    home: &Home,
    node: &Node,
    person: i64,
    about: Option<StudyId>,
) -> Result<wire::SubjectReply, Failure> {
    let subject = super::patients::subject(home, person)?;
    let key = home.signing_key()?;
    let asked = ask(node, Signer::Hospital(key.hospital()), &key, Some(subject), about).await;
    asked.map_err(|error| match error {
        ClientError::NotFound(_) => {
            Failure::new(format!("patient {person} is not on the ledger; enrol them with `consilium patients enrol`"))
        }
        error => error.into(),
    })
}

/// Leaves of what consent opened only what the study's query names. A query over tables that one hospital declares cannot
/// be read here; then all that consent opened is left.
pub(crate) async fn narrow(replies: &mut [wire::SubjectReply], node: &Node) -> Result<(), Failure> {
    let mut known: BTreeMap<Vec<u8>, Option<Reads>> = BTreeMap::new();
    for used in replies.iter_mut().flat_map(|reply| &mut reply.uses).filter(|used| used.allowed) {
        let reads = match known.get(&used.study) {
            Some(reads) => reads.clone(),
            None => {
                let study = StudyId::try_from(&used.study[..])?;
                let spec = StudySpec::from_canonical(&study::fetch(&study, node).await?.spec)?;
                known.entry(used.study.clone()).or_insert(once::check(&spec).await.ok()).clone()
            }
        };
        if let Some(reads) = reads {
            // Writing to a vector cannot fail.
            used.data = borsh::to_vec(&reads.of(&data_of(used))).unwrap_or_default();
        }
    }
    Ok(())
}

fn data_of(used: &wire::UseRecord) -> AllowedData {
    borsh::from_slice(&used.data).unwrap_or_default()
}

pub(super) fn data_json(data: &AllowedData) -> Value {
    let part = |(domain, opened): (_, &consilium_protocol::consent::Opened)| json!({ "domain": domain, "undated": opened.undated, "days": opened.days.iter().collect::<Vec<Window>>() });
    data.iter().map(part).collect()
}

/// A subject's history for machines.
pub(crate) fn history_json(reply: &wire::SubjectReply, diseases: &DiseaseTree) -> Value {
    json!({ "subject": hex::encode(&reply.subject), "hospital": reply.hospital, "hospital_name": reply.hospital_name,
        "documents": reply.documents.iter().map(|d| document_json(d, diseases)).collect::<Vec<_>>(),
        "uses": reply.uses.iter().map(|u| json!({ "study": hex::encode(&u.study), "title": u.title,
            "researcher": u.researcher_name, "organisation": u.organisation, "purpose": u.purpose, "round": u.round,
            "height": u.height, "time_ms": u.time_ms, "outcome": u.outcome, "allowed": u.allowed,
            "data": data_json(&data_of(u)), "data_in_words": data_in_words(&data_of(u)),
            "documents": u.documents.iter().map(hex::encode).collect::<Vec<_>>(), "reasons": u.reasons,
        })).collect::<Vec<_>>() })
}

/// A subject's history for people.
pub(crate) fn history_text(reply: &wire::SubjectReply, diseases: &DiseaseTree) -> String {
    let mut text = format!(
        "{}, subject {}\n\nConsents\n\n{}\n\nStudies that this hospital took part in\n\n",
        reply.hospital_name,
        hex::encode(reply.subject.get(..4).unwrap_or_default()),
        documents(&reply.documents, diseases)
    );
    if reply.uses.is_empty() {
        text.push_str("none so far");
        return text;
    }
    text.push_str(&term::table(
        ["when", "study", "by", "for", "of mine it could read", "under", "what came of it"],
        reply.uses.iter().map(|u| {
            let (mine, under) = if u.allowed {
                let under = u.documents.iter().map(|d| hex::encode(d.get(..4).unwrap_or_default())).collect::<Vec<_>>();
                let data = data_of(u);
                let mine = match data.is_empty() {
                    true => "nothing that it asked for".to_string(),
                    false => data_in_words(&data),
                };
                (mine, under.join(", "))
            } else {
                (format!("nothing: {}", u.reasons.join(", ")), String::new())
            };
            [
                term::moment(u.time_ms),
                u.title.clone(),
                format!("{}, {}", u.researcher_name, u.organisation),
                u.purpose.clone(),
                mine,
                under,
                u.outcome.clone(),
            ]
        }),
    ));
    text
}
