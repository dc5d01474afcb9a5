//! What a hospital's desk does for one patient: keys, those who sign for them, and who they are.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use consilium_engine::pseudonym::LinkSecret;
use consilium_engine::store::Store;
use consilium_ledger::state::due::Due;
use consilium_protocol::hash::{self, tagged};
use consilium_protocol::ids::{ContentHash, Date, SubjectId, Timestamp};
use consilium_protocol::keys::random_bytes;
use consilium_protocol::tx::{
    Close, CloseReason, DecideKey, Delegate, DelegateRole, EndDelegation, Freeze, KeyDecision, Merge, Payload,
    RotateKey, Signer, Staff, Statement, Unmerge,
};
use consilium_protocol::wire;
use serde_json::json;

use super::accounts::{ask, more_of};
use super::delegates;
use super::patients::{agreement, countersignature, subject};
use super::wallet::ScopeArgs;
use super::{Failure, Global, connect, term};
use crate::home::config::NodeConfig;
use crate::home::{Home, files};
use crate::net::client::refused;

/// A signed form that the hospital keeps.
#[derive(clap::Args, Debug, Clone)]
pub(crate) struct FormArgs {
    /// The patient's id in the hospital's own tables
    #[arg(long)]
    person: i64,
    /// The scanned form, or its SHA-256 in hexadecimal
    #[arg(long, value_name = "FILE")]
    form: PathBuf,
    /// The day on which it was signed
    #[arg(long, value_name = "DAY")]
    signed: Date,
}

impl FormArgs {
    fn statement(&self) -> Result<Statement, Failure> {
        let named = self.form.to_string_lossy();
        let source = match named.trim().parse::<ContentHash>() {
            Ok(hash) => hash,
            Err(_) => hash::content(&files::read_bytes(&self.form, 256 * 1024 * 1024)?),
        };
        Ok(Statement::paper(source, self.signed))
    }
}

/// Two of the hospital's staff who saw the patient.
#[derive(clap::Args, Debug, Clone)]
pub(crate) struct StaffArgs {
    /// One of two members of staff who saw the patient and the form; give it twice, for both. On the ledger stand salted hashes;
    /// the names are written to the hospital's own record
    #[arg(long, value_name = "NAME", num_args = 1, required = true)]
    staff: Vec<String>,
}

/// Commands of the desk.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Desk {
    /// Freeze a patient's keys: from now on they only revoke and forbid
    Freeze(FormArgs),
    /// Give a patient a new key for a lost one; it counts after the consortium's waiting time
    RotateKey(RotateArgs),
    /// Decide which key counts, after a freeze or when the old key objects to the new one
    DecideKey(DecideArgs),
    /// Record a guardian or proxy who signs for a patient
    Delegate(DelegateArgs),
    /// End that
    EndDelegate(EndArgs),
    /// Who signs for a patient, and where their keys stand
    Signers(PersonArgs),
    /// Two patients of the tables are one person: what either forbids is forbidden, and only what both permit is permitted,
    /// until they sign again
    Merge(MergeArgs),
    /// They are not: each is again as before, and what was forbidden meanwhile is forbidden for both
    Unmerge(PersonArgs),
    /// The hospital no longer speaks with these patients
    Close(CloseArgs),
    /// What needs somebody soon: consents and delegations that end, keys that wait for the desk
    Due(DueArgs),
}

#[derive(clap::Args, Debug)]
pub(crate) struct DueArgs {
    /// Within how many days from today
    #[arg(long, default_value_t = 90)]
    days: u16,
}

#[derive(clap::Args, Debug)]
#[command(after_help = "\
Example:
  consilium patients rotate-key --person 4711 --code patient1…:9f3a… --form scan.pdf \\
    --signed 2026-11-03 --staff \"A. Weber\" --staff \"M. Lang\"

The patient made the code with a new wallet: consilium consent code --hospital … --subject …")]
pub(crate) struct RotateArgs {
    #[command(flatten)]
    form: FormArgs,
    /// The code that the new wallet printed
    #[arg(long)]
    code: String,
    #[command(flatten)]
    staff: StaffArgs,
}

#[derive(clap::Args, Debug)]
pub(crate) struct DecideArgs {
    /// Which key counts from now on
    #[arg(value_enum)]
    which: Which,
    #[command(flatten)]
    form: FormArgs,
    #[command(flatten)]
    staff: StaffArgs,
}

#[derive(clap::ValueEnum, Debug, Clone, Copy)]
enum Which {
    /// The one that there is
    Keep,
    /// The new one, to which the old one objects
    Take,
}

#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  consilium patients delegate guardian --person 4711 --code patient1…:9f3a… --until 2026-12-31 \\
    --form scan.pdf --signed 2026-11-03
  consilium patients delegate guardian --needed 2 …   (two parents permit together, each forbids)")]
pub(crate) struct DelegateArgs {
    /// What they are to the patient
    #[arg(value_enum)]
    role: RoleArg,
    #[command(flatten)]
    form: FormArgs,
    /// The code that their wallet printed (`consilium consent code --for-other`)
    #[arg(long)]
    code: String,
    /// How many guardians permit together
    #[arg(long, default_value_t = 1)]
    needed: u8,
    #[command(flatten)]
    scope: ScopeArgs,
}

#[derive(clap::ValueEnum, Debug, Clone, Copy)]
enum RoleArg {
    /// By law, as a parent is
    Guardian,
    /// As the patient wants it
    Proxy,
}

#[derive(clap::Args, Debug)]
pub(crate) struct EndArgs {
    #[command(flatten)]
    form: FormArgs,
    /// The delegate's key, or its first characters; see `consilium patients signers`
    #[arg(long)]
    key: String,
}

#[derive(clap::Args, Debug)]
pub(crate) struct PersonArgs {
    /// The patient's id in the hospital's own tables
    #[arg(long)]
    person: i64,
}

#[derive(clap::Args, Debug)]
pub(crate) struct MergeArgs {
    /// The id that is given up
    #[arg(long)]
    from: i64,
    /// The id that stands for both from now on
    #[arg(long)]
    into: i64,
}

#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  consilium patients close --reason death --person 4711
  consilium patients close --reason moved --person 4711 --person 4712

After a death nobody signs any more, and what the patient consented to holds until it ends by itself or is taken back at the \
desk. Who moved has no consent here any more, and may sign again with their wallet.")]
pub(crate) struct CloseArgs {
    /// Why
    #[arg(long, value_enum)]
    reason: ReasonArg,
    /// The patient's id in the hospital's own tables; repeat for several
    #[arg(long, required = true)]
    person: Vec<i64>,
}

#[derive(clap::ValueEnum, Debug, Clone, Copy)]
enum ReasonArg {
    /// They died
    Death,
    /// They left the hospital
    Moved,
}

/// Runs the command.
pub(crate) async fn run(command: Desk, home: &Home, link: &LinkSecret, global: &Global) -> Result<(), Failure> {
    let of = |person: i64| link.subject(person);
    match command {
        Desk::Freeze(args) => {
            let payload = Payload::Freeze(Freeze { subject: of(args.person), statement: args.statement()? });
            let text = "the patient's keys only revoke and forbid from now on, until you decide which key counts.";
            submit(home, global, payload, text).await
        }
        Desk::RotateKey(args) => {
            let payload = Payload::RotateKey(RotateKey {
                subject: of(args.form.person),
                key: countersignature(&args.code)?,
                statement: args.form.statement()?,
                staff: staff(home, &args.staff, "rotate-key", args.form.person)?,
            });
            let hours = home.genesis()?.deadlines.key_wait_ms / 3_600_000;
            let text = format!(
                "the new key waits for {hours} hours, unless the old one objects. Until then no key of the patient's permits anything."
            );
            submit(home, global, payload, &text).await
        }
        Desk::DecideKey(args) => {
            let (decision, text) = match args.which {
                Which::Keep => (KeyDecision::Keep, "the patient's key counts again, and no other waits."),
                Which::Take => (KeyDecision::Take, "the new key took the old one's place."),
            };
            let payload = Payload::DecideKey(DecideKey {
                subject: of(args.form.person),
                decision,
                statement: args.form.statement()?,
                staff: staff(home, &args.staff, "decide-key", args.form.person)?,
            });
            submit(home, global, payload, text).await
        }
        Desk::Delegate(args) => {
            if args.scope.until.is_none() {
                return Err(Failure::usage("say until when they sign, with --until, within a year; it can be renewed"));
            }
            let role = match args.role {
                RoleArg::Guardian => DelegateRole::Guardian { needed: args.needed },
                RoleArg::Proxy => DelegateRole::Proxy,
            };
            let (delegate, agreed) = agreement(&args.code)?;
            let payload = Payload::Delegate(Delegate {
                subject: of(args.form.person),
                delegate,
                agreed,
                role,
                until: args.scope.until,
                scope: args.scope.scope(),
                statement: args.form.statement()?,
            });
            submit(home, global, payload, "they sign for the patient from now on.").await
        }
        Desk::EndDelegate(args) => {
            let subject = of(args.form.person);
            let more = more_of(&asked(home, global, args.form.person).await?);
            let delegate = delegates::named(more.as_ref(), &args.key)?;
            let payload =
                Payload::EndDelegation(EndDelegation { subject, delegate, statement: args.form.statement()? });
            submit(home, global, payload, "they no longer sign for the patient.").await
        }
        Desk::Signers(args) => {
            let more = more_of(&asked(home, global, args.person).await?);
            let report = delegates::in_json(more.as_ref());
            term::show(global.json, &report, |_| delegates::delegates_text(more.as_ref()));
            Ok(())
        }
        Desk::Merge(args) => {
            let payload = Payload::Merge(Merge { from: of(args.from), into: of(args.into) });
            let text = "the two are one person now. What either forbids is forbidden, and only what both permit is permitted, until \
                        they sign again.";
            submit(home, global, payload, text).await
        }
        Desk::Unmerge(args) => {
            let payload = Payload::Unmerge(Unmerge { from: of(args.person) });
            let text =
                "they are two again. What was forbidden meanwhile is forbidden for both; ask both to sign again.";
            submit(home, global, payload, text).await
        }
        Desk::Close(args) => {
            let reason = match args.reason {
                ReasonArg::Death => CloseReason::Death,
                ReasonArg::Moved => CloseReason::Moved,
            };
            let subjects: Vec<SubjectId> = args.person.iter().map(|person| of(*person)).collect();
            let text = match reason {
                CloseReason::Death => "nobody signs for them any more; what they consented to holds until it ends.",
                CloseReason::Moved => "what they consented to here has ended; they may sign again.",
            };
            submit(home, global, Payload::Close(Close { subjects, reason }), text).await
        }
        Desk::Due(args) => due(&args, home, link, global).await,
    }
}

/// What is due, by the patients' ids in the hospital's tables.
async fn due(args: &DueArgs, home: &Home, link: &LinkSecret, global: &Global) -> Result<(), Failure> {
    let node = connect(home, global).await?;
    let key = home.signing_key()?;
    let now = Timestamp::new(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64));
    let question = wire::subject_question(node.ledger_id(), None, now);
    let request = wire::DueRequest {
        signer: borsh::to_vec(&Signer::Hospital(key.hospital())).unwrap_or_default(),
        time_ms: now.get(),
        signature: key.sign(&question).as_bytes().to_vec(),
        until: now.date().days().saturating_add(i32::from(args.days)),
    };
    let reply = node.ledger().due(request).await.map_err(refused)?.into_inner();
    let due: Vec<(SubjectId, Due)> = borsh::from_slice(&reply.due)
        .map_err(|_| Failure::new("the node's answer cannot be read; use the same release as the node"))?;
    let spinner = term::spinner("looking the patients up");
    let known = Store::open_person(&NodeConfig::read(home.path())?.store).await?.subjects(link).await?;
    spinner.finish_and_clear();
    let mut rows: Vec<(Option<Date>, Option<i64>, SubjectId, Due)> =
        due.into_iter().map(|(subject, due)| (day_of(due), known.person(&subject), subject, due)).collect();
    rows.sort_unstable();
    let report: Vec<_> = rows
        .iter()
        .map(|(day, person, subject, due)| json!({ "person": person, "subject": subject, "day": day, "what": due }))
        .collect();
    term::show(global.json, &json!({ "due": report, "days": args.days }), |_| {
        if rows.is_empty() {
            return format!("nothing is due within {} days", args.days);
        }
        term::table(
            ["patient", "what", "last day", "next"],
            rows.iter().map(|(day, person, subject, due)| {
                let (what, next) = due_in_words(*due);
                let person = person.map_or_else(|| format!("subject {}", subject.short()), |person| person.to_string());
                [person, what.to_string(), day.map_or_else(String::new, |day| day.to_string()), next.to_string()]
            }),
        )
    });
    Ok(())
}

const fn day_of(due: Due) -> Option<Date> {
    match due {
        Due::Decision => None,
        Due::ConsentEnds(day) | Due::GuardianEnds(day) | Due::ProxyEnds(day) => Some(day),
    }
}

const fn due_in_words(due: Due) -> (&'static str, &'static str) {
    match due {
        Due::Decision => ("a key waits for the desk", "consilium patients decide-key"),
        Due::ConsentEnds(_) => ("the last consent ends", "ask the patient to sign again"),
        Due::GuardianEnds(_) => ("a guardian's time ends", "renew it, or the patient is of age and signs themselves"),
        Due::ProxyEnds(_) => ("a proxy's time ends", "ask the patient whether to renew it"),
    }
}

async fn asked(home: &Home, global: &Global, person: i64) -> Result<wire::SubjectReply, Failure> {
    let node = connect(home, global).await?;
    let key = home.signing_key()?;
    Ok(ask(&node, Signer::Hospital(key.hospital()), &key, Some(subject(home, person)?), None).await?)
}

async fn submit(home: &Home, global: &Global, payload: Payload, text: &str) -> Result<(), Failure> {
    let node = connect(home, global).await?;
    let key = home.signing_key()?;
    let spinner = term::spinner("waiting for the block");
    let included = node.submit(Signer::Hospital(key.hospital()), &key, payload).await;
    spinner.finish_and_clear();
    let included = included?;
    term::show(global.json, &json!({ "height": included.height, "tx": included.hash }), |_| {
        format!("Block {}: {text}\n\n  transaction  {}", included.height, included.hash)
    });
    Ok(())
}

/// Two names as salted hashes, after names and salts were written to the hospital's own record.
fn staff(home: &Home, args: &StaffArgs, what: &str, person: i64) -> Result<Staff, Failure> {
    let names: Vec<&str> = args.staff.iter().map(|name| name.trim()).filter(|name| !name.is_empty()).collect();
    let [one, other] = names[..] else {
        return Err(Failure::usage("two members of staff see the patient: give --staff twice, once for each"));
    };
    if one.to_lowercase() == other.to_lowercase() {
        return Err(Failure::usage("the two members of staff are one person; a second one has to see the patient"));
    }
    let salt = random_bytes()?;
    let hashed = |name: &str| ContentHash::from_bytes(tagged("consilium/staff/v1", &[&salt, name.as_bytes()]));
    let line = json!({ "what": what, "person": person, "staff": [one, other], "salt": hex::encode(salt),
        "hashes": [hashed(one), hashed(other)] });
    files::append(&home.path().join("desk.jsonl"), format!("{line}\n").as_bytes())?;
    Ok([hashed(one), hashed(other)])
}
