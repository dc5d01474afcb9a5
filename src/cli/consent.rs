//! What a patient does: `consent …`.

use clap::Subcommand;
use consilium_protocol::consent::{Decision, Terms};
use consilium_protocol::ids::{DocumentId, StudyId, SubjectId};
use consilium_protocol::keys::SigningKey;
use consilium_protocol::tx::{
    Grant, Payload, Revoke, Signer, cosigning_message, delegation_message, enrolment_message,
};
use consilium_protocol::wire;
use serde_json::{Value, json};

use super::accounts::{AccountArgs, accounts, ask, one_account, patient_home};
use super::history::{self, current, document_json, documents, noted, says};
use super::patients::countersignature;
use super::terms::{self, PlaceArgs, TermsArgs, preset_terms};
use super::{Failure, Global, connect, fhir, member_named, reach, study, term};
use crate::home::wards::{self, Ward};
use crate::home::{Home, Role};
use crate::net::client::{ClientError, Node};
use crate::words::{Preset, Teller, fill};

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
    /// What there is to choose from, in plain words
    Presets,
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
  consilium consent code --hospital \"North Clinic\" --subject 77ab… --for-other   (for a child)")]
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

pub(crate) async fn run(args: Args, global: &Global) -> Result<(), Failure> {
    match args.command {
        Command::Code(args) => code(&args, global),
        Command::Grant(args) => grant(&args, global).await,
        Command::Cosign(args) => cosign(&args, global).await,
        Command::Revoke(args) => revoke(&args, global).await,
        Command::Show => show(global).await,
        Command::Presets => presets(global),
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
    let today = term::today();
    let (key, message) = match args.for_other {
        true => {
            (wallet.key_for(&member.id, &args.subject), delegation_message(&ledger, &member.id, &args.subject, today))
        }
        false => (wallet.key_at(&member.id), enrolment_message(&ledger, &member.id, &args.subject)),
    };
    if args.for_other {
        wards::add(home.path(), Ward { hospital: member.id, subject: args.subject })?;
    }
    let mut code = code_of(&key, &message);
    if args.for_other {
        // The day is signed, too: an old agreement does not serve again.
        code.push_str(&format!(":{today}"));
    }
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
    let teller = Teller::new(global.language(), &home.genesis()?);
    let screen = teller.language.screen();
    let in_words = teller.terms(&terms);
    let others: Vec<&wire::Document> = account.reply.documents.iter().filter(|d| d.ended_height == 0).collect();
    let mut holding = if supersedes { Vec::new() } else { current(&account.reply.documents) };
    holding.push(terms.clone());
    let warnings = teller.warnings(&terms);
    let notes = teller.notes(&holding.iter().collect::<Vec<_>>());
    let told: Vec<String> = warnings.iter().chain(&notes).cloned().collect();
    let what = format!(
        "{}\n\n{in_words}\n\n{}\n\n{}",
        fill(&screen.at, &[("hospital", &account.member.name)]),
        beside_others(&others, supersedes, &teller),
        noted(&told, teller.language)
    );
    let ids = |these| if these { others.iter().map(|d| hex::encode(&d.document)).collect() } else { Vec::new() };
    let mut report = json!({ "hospital": account.member.id, "in_words": in_words, "notes": told, "dry_run": args.dry_run,
        "ends": ids(supersedes), "stays": ids(!supersedes) });
    if args.dry_run {
        term::show(global.json, &report, |_| format!("{what}{}", screen.nothing_signed));
        return Ok(());
    }
    if args.yes || global.json {
        warnings.iter().for_each(term::warn);
    } else if !term::agrees(&what, &screen.sign)? {
        return Err(Failure::new("nothing was signed"));
    }
    let cosigned = args.cosigned.iter().map(|code| countersignature(code)).collect::<Result<_, _>>()?;
    let grant = Grant::electronic(terms::given(&account.node, &terms).await?, supersedes, account.subject()?);
    let payload = Payload::Grant(Grant { cosigned, ..grant });
    let included = account.submit(payload).await?;
    report["height"] = json!(included.height);
    report["tx"] = json!(included.hash);
    term::show(global.json, &report, |_| {
        let place = [("hospital", account.member.name.as_str()), ("height", &included.height.to_string())];
        format!(
            "{}\n\n{in_words}\n\n{}  {}  {}",
            fill(&screen.from_now_on, &place),
            noted(&notes, teller.language),
            screen.transaction,
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
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let ended = account.reply.documents.iter().filter(|document| document.ended_height > 0).count();
    let said = (count(account.reply.documents.len()), count(ended));
    let genesis = home.genesis()?;
    let what = (&terms.hash(), supersedes);
    let message = cosigning_message(&genesis.ledger(), &account.member.id, &account.subject()?, what, said);
    let teller = Teller::new(global.language(), &genesis);
    let screen = teller.language.screen();
    let (code, in_words) = (code_of(&account.key, &message), teller.terms(&terms));
    let warnings = teller.warnings(&terms);
    // Whoever signs this signs, too, what becomes of the others.
    let others: Vec<&wire::Document> = account.reply.documents.iter().filter(|d| d.ended_height == 0).collect();
    let report = json!({ "code": code, "in_words": in_words, "notes": warnings, "supersedes": supersedes });
    term::show(global.json, &report, |_| {
        let (notes, beside) = (noted(&warnings, teller.language), beside_others(&others, supersedes, &teller));
        format!("{}\n\n{in_words}\n\n{beside}\n\n{notes}  {code}\n\n{}", screen.cosign, screen.cosign_once)
    });
    Ok(())
}

/// What becomes of the consents that there are.
fn beside_others(others: &[&wire::Document], supersedes: bool, teller: &Teller) -> String {
    let screen = teller.language.screen();
    let head = match (others.len(), supersedes) {
        (0, _) => return screen.no_other.clone(),
        (_, true) => &screen.others_end,
        (_, false) => &screen.others_stay,
    };
    let each = |document: &&wire::Document| {
        let says = says(document, teller).replace('\n', "\n  ");
        format!("\n\n  {}\n  {says}", history::given(document, teller.language))
    };
    format!("{head}{}", others.iter().map(each).collect::<String>())
}

/// What there is to choose from.
fn presets(global: &Global) -> Result<(), Failure> {
    let language = global.language();
    // No consortium's names are needed: a preset names no disease that is not typed.
    let teller = Teller::of(language, &[], []);
    let mut report: Vec<Value> = Vec::new();
    for preset in Preset::ALL {
        let terms: Option<Terms> = (preset != Preset::Disease).then(|| preset_terms(preset.name())).transpose()?;
        report.push(json!({ "preset": preset.typed(), "title": preset.title(language),
            "sentence": preset.sentence(language), "in_words": terms.as_ref().map(|terms| teller.terms(terms)) }));
    }
    term::show(global.json, &report, |_| {
        let each =
            |preset: Preset| format!("{}: {}\n  {}", preset.typed(), preset.title(language), preset.sentence(language));
        Preset::ALL.map(each).join("\n\n")
    });
    Ok(())
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
    let teller = Teller::new(global.language(), &genesis);
    let report: Vec<Value> = accounts
        .iter()
        .map(|a| {
            json!({ "hospital": a.member.id, "name": a.member.name, "subject": hex::encode(&a.reply.subject),
            "documents": a.reply.documents.iter().map(|d| document_json(d, &teller)).collect::<Vec<_>>(),
            "notes": teller.notes(&current(&a.reply.documents).iter().collect::<Vec<_>>()) })
        })
        .collect();
    term::show(global.json, &report, |_| {
        accounts
            .iter()
            .map(|a| format!("{}\n\n{}", a.member.name, documents(&a.reply.documents, &teller)))
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
            let language = global.language();
            term::show(global.json, &reach::in_json(&reach, k, language), |_| reach::in_words(&reach, k, language));
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
    let language = global.language();
    let one_json = |(name, decision): &(String, Decision)| json!({ "hospital_name": name, "study": study, "decision": reach::decision_json(decision, language) });
    let report: Vec<Value> = told.iter().map(one_json).collect();
    term::show(global.json, &report, |_| {
        let line =
            |(name, decision): &(String, Decision)| format!("{name}: {}", reach::decision_in_words(decision, language));
        told.iter().map(line).collect::<Vec<_>>().join("\n\n")
    });
    Ok(())
}

/// What the ledger knows of a hospital's own patient.
pub(super) async fn of_person(
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
