//! What a patient does: `consent …` and `history`.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Subcommand;
use consilium_engine::cohort::Reads;
use consilium_protocol::consent::{AllowedData, Decision, DiseaseTree, Terms, Window};
use consilium_protocol::genesis::{Genesis, Member};
use consilium_protocol::ids::{DocumentId, StudyId, SubjectId, Timestamp};
use consilium_protocol::keys::SigningKey;
use consilium_protocol::study::StudySpec;
use consilium_protocol::tx::{Grant, Payload, Revoke, Signer, enrolment_message};
use consilium_protocol::wire;
use serde_json::{Value, json};

use super::terms::{PlaceArgs, TermsArgs, given};
use super::wording::{data_in_words, notes, terms_in_words};
use super::{Failure, Global, connect, member_named, reach, study, term};
use crate::home::{Home, Role};
use crate::net::client::{ClientError, Node, refused};
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
    /// Take a consent back: no new study will read my data; results already released stay
    Revoke(RevokeArgs),
    /// My consents at each hospital
    Show,
    /// Whether a study could use my data now, which, and why; a hospital asks for a patient, or for all of them in sum
    Explain(ExplainArgs),
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
#[command(after_help = "Example:\n  consilium consent code --hospital \"North Clinic\" --subject 5c0e…")]
struct CodeArgs {
    /// The hospital's name or id
    #[arg(long)]
    hospital: String,
    /// The subject that the hospital's desk told you
    #[arg(long)]
    subject: SubjectId,
}

#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  consilium consent grant --preset health
  consilium consent grant --preset MONDO:0005148 --hospital \"North Clinic\"")]
struct GrantArgs {
    /// The hospital's name or id (default: the one where this wallet is enrolled)
    #[arg(long)]
    hospital: Option<String>,
    #[command(flatten)]
    terms: TermsArgs,
    #[command(flatten)]
    place: PlaceArgs,
    /// Say what would hold, and sign nothing
    #[arg(long)]
    dry_run: bool,
    /// Sign without asking
    #[arg(long)]
    yes: bool,
}

#[derive(clap::Args, Debug)]
struct RevokeArgs {
    /// The hospital's name or id (default: the one where this wallet is enrolled)
    #[arg(long)]
    hospital: Option<String>,
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

/// A hospital where the wallet is enrolled.
pub(crate) struct Account {
    pub(crate) member: Member,
    pub(crate) key: SigningKey,
    pub(crate) reply: wire::SubjectReply,
}

impl Account {
    fn subject(&self) -> Result<SubjectId, Failure> {
        Ok(SubjectId::try_from(&self.reply.subject[..])?)
    }
}

/// Asks about a subject.
pub(crate) async fn ask(
    node: &Node,
    signer: Signer,
    key: &SigningKey,
    subject: Option<SubjectId>,
    about: Option<StudyId>,
) -> Result<wire::SubjectReply, ClientError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
    let question = wire::subject_question(node.ledger_id(), subject.as_ref(), Timestamp::new(now));
    let request = wire::SubjectRequest {
        signer: borsh::to_vec(&signer).unwrap_or_default(),
        subject: subject.map(|s| s.as_bytes().to_vec()).unwrap_or_default(),
        time_ms: now,
        signature: key.sign(&question).as_bytes().to_vec(),
        study: about.map(|study| study.as_bytes().to_vec()).unwrap_or_default(),
    };
    let mut reply = node.ledger().subject(request).await.map_err(refused)?.into_inner();
    reply.documents.sort_by_key(|d| d.granted_height);
    Ok(reply)
}

/// Every hospital where the wallet is enrolled, or the named one.
pub(crate) async fn accounts(
    home: &Home,
    genesis: &Genesis,
    node: &Node,
    hospital: Option<&str>,
) -> Result<Vec<Account>, Failure> {
    accounts_about(home, genesis, node, hospital, None).await
}

/// The same, told what a study could use.
async fn accounts_about(
    home: &Home,
    genesis: &Genesis,
    node: &Node,
    hospital: Option<&str>,
    about: Option<StudyId>,
) -> Result<Vec<Account>, Failure> {
    let wallet = home.wallet()?;
    let mut accounts = Vec::new();
    for member in members(genesis, hospital)? {
        let key = wallet.key_at(&member.id);
        let signer = Signer::Patient(key.patient());
        match ask(node, signer, &key, None, about).await {
            Ok(reply) => accounts.push(Account { member: member.clone(), key, reply }),
            Err(ClientError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if accounts.is_empty() {
        return Err(Failure::new(
            "this wallet is not enrolled there; ask the hospital's desk, which will want the output of `consilium consent \
             code`",
        ));
    }
    Ok(accounts)
}

fn members<'a>(genesis: &'a Genesis, hospital: Option<&str>) -> Result<Vec<&'a Member>, Failure> {
    match hospital {
        Some(named) => Ok(vec![member_named(genesis, named)?]),
        None => Ok(genesis.member.iter().collect()),
    }
}

async fn one_account(global: &Global, hospital: Option<&str>) -> Result<(Node, Account), Failure> {
    let home = Home::open_as(&global.home, Role::Patient)?;
    let genesis = home.genesis()?;
    let node = connect(&home, global).await?;
    let mut accounts = accounts(&home, &genesis, &node, hospital).await?;
    match (accounts.pop(), accounts.is_empty()) {
        (Some(account), true) => Ok((node, account)),
        _ => Err(Failure::usage("this wallet is enrolled at several hospitals; say at which with --hospital")),
    }
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<(), Failure> {
    match args.command {
        Command::Code(args) => code(&args, global),
        Command::Grant(args) => grant(&args, global).await,
        Command::Revoke(args) => revoke(&args, global).await,
        Command::Show => show(global).await,
        Command::Explain(args) => explain(&args, global).await,
    }
}

fn code(args: &CodeArgs, global: &Global) -> Result<(), Failure> {
    let home = Home::open_as(&global.home, Role::Patient)?;
    let genesis = home.genesis()?;
    let member = members(&genesis, Some(&args.hospital))?[0];
    let key = home.wallet()?.key_at(&member.id);
    let signature = key.sign(&enrolment_message(&genesis.ledger(), &member.id, &args.subject));
    let code = format!("{}:{}", key.patient(), hex::encode(signature.as_bytes()));
    term::show(global.json, &json!({ "patient": key.patient(), "code": code }), |_| {
        format!("Give this code to the desk of {}:\n\n  {code}", member.name)
    });
    Ok(())
}

async fn grant(args: &GrantArgs, global: &Global) -> Result<(), Failure> {
    let terms = args.terms.terms()?;
    let supersedes = args.place.takes_the_place_of_older(&terms);
    let (node, account) = one_account(global, args.hospital.as_deref()).await?;
    let diseases = Home::open(&global.home)?.genesis()?.diseases();
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
    let payload = Payload::Grant(Grant::electronic(given(&node, &terms).await?, supersedes, account.subject()?));
    let included = node.submit(Signer::Patient(account.key.patient()), &account.key, payload).await?;
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
    let (node, account) = one_account(global, args.hospital.as_deref()).await?;
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
    let included = node.submit(Signer::Patient(account.key.patient()), &account.key, payload).await?;
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
    let node = connect(&home, global).await?;
    let accounts = accounts(&home, &genesis, &node, None).await?;
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
            let accounts = accounts_about(&home, &genesis, &node, None, Some(study)).await?;
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
        (Role::Patient, None) => accounts(&home, &genesis, &node, None).await?.into_iter().map(|a| a.reply).collect(),
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
