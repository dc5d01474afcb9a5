//! `consilium wallet …`: the patient's keys, who else signs, and the sheet of paper that brings them back.

use std::path::PathBuf;

use clap::Subcommand;
use consilium_protocol::consent::{Action, Purpose, Scope};
use consilium_protocol::ids::Date;
use consilium_protocol::tx::{
    Delegate, DelegateRole, DelegationScope, EndDelegation, Freeze, PaperDoor, Payload, Statement,
};
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use serde_json::json;
use zeroize::Zeroizing;

use super::accounts::{Account, AccountArgs, Found, accounts, find, one_account, patient_home};
use super::delegates::{self, delegates_text};
use super::failure::conclude;
use super::patients::agreement;
use super::{Failure, Global, init, picture, term};
use crate::home::files::{self, Readable};
use crate::net::client::Included;

/// `consilium wallet`
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Bring a wallet back: reads its twelve words from standard input
    Recover(RecoverArgs),
    /// A sheet to print and lock away: the twelve words, and the same as a QR code
    Sheet(SheetArgs),
    /// Stolen or seen by others: from now on no key of mine permits anything, until the hospital's desk has decided
    Freeze(AccountArgs),
    /// Close the door for paper forms, so that they only forbid and revoke, or open it again
    Paper(PaperArgs),
    /// Let somebody else sign for me, or my second machine
    Delegate(DelegateArgs),
    /// Let them no longer sign
    EndDelegate(EndArgs),
    /// Who signs for me, and where each key stands
    Show,
}

#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  consilium wallet recover --name Ada --home ada < words.txt")]
struct RecoverArgs {
    /// A name for this wallet; it stays in this home
    #[arg(long)]
    name: String,
}

#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  consilium wallet sheet
  consilium wallet sheet --png sheet.png

Whoever sees the sheet can sign for you. Print it on a printer of your own, and delete the file.")]
struct SheetArgs {
    /// Write the QR code to a new file, as PNG, instead of the screen
    #[arg(long, value_name = "FILE")]
    png: Option<PathBuf>,
}

#[derive(clap::Args, Debug)]
#[command(group = clap::ArgGroup::new("how").required(true).args(["close", "open"]))]
struct PaperArgs {
    #[command(flatten)]
    account: AccountArgs,
    /// Forms that the hospital witnesses permit nothing
    #[arg(long)]
    close: bool,
    /// They may again
    #[arg(long)]
    open: bool,
}

#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  consilium wallet delegate --code patient1…:9f3a… --until 2026-12-31
  consilium wallet delegate --code patient1…:9f3a… --until 2026-12-31 --purposes HMB
  consilium wallet delegate --code patient1…:9f3a… --device

They made the code with: consilium consent code --for-other --hospital … --subject <mine, see consent show>")]
struct DelegateArgs {
    #[command(flatten)]
    account: AccountArgs,
    /// The code that they made
    #[arg(long)]
    code: String,
    /// It is my own second machine: it signs all that I sign, until I end it
    #[arg(long, conflicts_with_all = ["until", "purposes", "actions"])]
    device: bool,
    #[command(flatten)]
    scope: ScopeArgs,
}

/// Until when somebody else signs, and what.
#[derive(clap::Args, Debug, Clone)]
pub(crate) struct ScopeArgs {
    /// The last day, within a year from now
    #[arg(long, value_name = "DAY")]
    pub(crate) until: Option<Date>,
    /// For which purposes they may permit, for example HMB,CC (default: any)
    #[arg(long, value_name = "PURPOSE", value_delimiter = ',')]
    purposes: Vec<Purpose>,
    /// Which actions they may permit: aggregate, retrieve, recontact (default: any)
    #[arg(long, value_name = "ACTION", value_delimiter = ',', value_parser = action)]
    actions: Vec<Action>,
}

fn action(word: &str) -> Result<Action, &'static str> {
    match word {
        "aggregate" => Ok(Action::Aggregate),
        "retrieve" => Ok(Action::Retrieve),
        "recontact" => Ok(Action::Recontact),
        _ => Err("an action is aggregate, retrieve or recontact"),
    }
}

impl ScopeArgs {
    pub(crate) fn scope(&self) -> DelegationScope {
        fn of<T: Clone>(list: &[T]) -> Scope<T> {
            if list.is_empty() { Scope::Any } else { Scope::Only(list.to_vec()) }
        }
        DelegationScope { actions: of(&self.actions), purposes: of(&self.purposes) }
    }
}

#[derive(clap::Args, Debug)]
struct EndArgs {
    #[command(flatten)]
    account: AccountArgs,
    /// The key that no longer signs, or its first characters; see `consilium wallet show`
    key: String,
}

/// Runs the command.
pub(crate) async fn run(args: Args, global: &Global) -> Result<(), Failure> {
    match args.command {
        Command::Recover(args) => init::recover(&args.name, global),
        Command::Sheet(args) => sheet(&args, global),
        Command::Freeze(args) => freeze(&args, global).await,
        Command::Paper(args) => paper(&args, global).await,
        Command::Delegate(args) => delegate(&args, global).await,
        Command::EndDelegate(args) => end(&args, global).await,
        Command::Show => show(global).await,
    }
}

fn sheet(args: &SheetArgs, global: &Global) -> Result<(), Failure> {
    let words = Zeroizing::new(patient_home(global)?.wallet()?.words());
    let code = QrCode::with_error_correction_level(words.as_bytes(), EcLevel::Q)
        .map_err(|_| Failure::new("the words do not fit into a QR code; write them down instead"))?;
    if let Some(path) = &args.png {
        files::create(path, &picture::png(&code)?, Readable::ByOwner)?;
        term::show(global.json, &json!({ "png": path }), |_| {
            format!(
                "The QR code of your wallet's words is in {}. Whoever sees it can sign for you: print it, lock it away, and delete \
                 the file.",
                path.display()
            )
        });
        return Ok(());
    }
    let numbered: Vec<[String; 4]> = words
        .split_whitespace()
        .collect::<Vec<_>>()
        .chunks(2)
        .enumerate()
        .map(|(row, pair)| {
            let word = |at: usize| pair.get(at).map(ToString::to_string).unwrap_or_default();
            [(2 * row + 1).to_string(), word(0), (2 * row + 2).to_string(), word(1)]
        })
        .collect();
    term::show(global.json, &json!({ "words": words.as_str() }), |_| {
        // Dark on light, as most readers want it, whatever the terminal's colours.
        let picture = code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
        format!(
            "The words of your wallet. Whoever has them can sign for you.\n\n{}\n\n{picture}\n\nTo bring the wallet back: consilium \
             wallet recover",
            term::table(["", "", "", ""], numbered)
        )
    });
    Ok(())
}

/// Says that something stands on the ledger.
fn recorded(global: &Global, account: &Account, included: Included, text: &str) {
    let report = json!({ "hospital": account.member.id, "height": included.height, "tx": included.hash });
    term::show(global.json, &report, |_| {
        format!("At {}, block {}: {text}\n\n  transaction  {}", account.member.name, included.height, included.hash)
    });
}

async fn freeze(args: &AccountArgs, global: &Global) -> Result<(), Failure> {
    // Wherever the wallet is known, and whatever one hospital answers: a thief would not stop at one.
    let Found { accounts, unreachable } = find(&patient_home(global)?, global, args, None).await?;
    let mut failed: Vec<String> =
        unreachable.into_iter().map(|(name, failure)| format!("{name}: {}", failure.message())).collect();
    let mut frozen = Vec::new();
    for account in accounts {
        // Those for whom the wallet signs are others, but for the patient's own second machine.
        if account.is_of_other && args.ward.is_none() && account.reply.role != "device" {
            continue;
        }
        let payload = Payload::Freeze(Freeze { subject: account.subject()?, statement: Statement::ELECTRONIC });
        match account.submit(payload).await {
            Ok(included) => frozen.push((account.member.clone(), included)),
            Err(failure) => failed.push(format!("{}: {}", account.member.name, failure.message())),
        }
    }
    if frozen.is_empty() && failed.is_empty() {
        failed.push(
            "nowhere: no hospital knows a key of this wallet as the patient's own; say for whom with --for".to_string(),
        );
    }
    let said = failed.iter().map(|line| format!("not frozen at {line}\n")).collect::<String>();
    let report = json!({ "frozen": frozen.iter().map(|(member, included)| json!({ "hospital": member.id, "name": member.name,
        "height": included.height, "tx": included.hash })).collect::<Vec<_>>(), "failed": failed });
    let failure = (!failed.is_empty()).then(|| {
        Failure::new("not every key could be frozen; go to the desk of the hospitals that are named, or try again")
    });
    let text = |_: &serde_json::Value| {
        let mut text = String::new();
        for (member, included) in &frozen {
            text.push_str(&format!("{}: frozen, block {}\n", member.name, included.height));
        }
        text.push_str(&said);
        if !frozen.is_empty() {
            text.push_str(
                "\nNo key of yours permits anything there until the hospital's desk has decided; every key still revokes and \
                 forbids. What was permitted before stays: take it back with `consilium consent revoke`.\nNext: go to the desk with \
                 a signed form, and with the code of a new wallet.",
            );
        }
        text
    };
    conclude(global.json, &report, text, failure)
}

async fn paper(args: &PaperArgs, global: &Global) -> Result<(), Failure> {
    let account = one_account(&patient_home(global)?, global, &args.account).await?;
    let payload = Payload::PaperDoor(PaperDoor { subject: account.subject()?, closed: args.close });
    let included = account.submit(payload).await?;
    let text = match args.close {
        true => "forms that the hospital witnesses now only forbid and revoke; you permit with this wallet alone.",
        false => "forms that the hospital witnesses may permit again.",
    };
    recorded(global, &account, included, text);
    Ok(())
}

async fn delegate(args: &DelegateArgs, global: &Global) -> Result<(), Failure> {
    if !args.device && args.scope.until.is_none() {
        return Err(Failure::usage("say until when they sign for you, with --until, within a year; it can be renewed"));
    }
    let account = one_account(&patient_home(global)?, global, &args.account).await?;
    let (delegate, agreed) = agreement(&args.code)?;
    let payload = Payload::Delegate(Delegate {
        subject: account.subject()?,
        delegate,
        agreed,
        role: if args.device { DelegateRole::Device } else { DelegateRole::Proxy },
        until: args.scope.until,
        scope: args.scope.scope(),
        statement: Statement::ELECTRONIC,
    });
    let included = account.submit(payload).await?;
    let text = match args.scope.until {
        Some(until) => format!("{} signs for you until {until}.", delegate.patient.short()),
        None => format!("{} is another machine of yours.", delegate.patient.short()),
    };
    recorded(global, &account, included, &text);
    Ok(())
}

async fn end(args: &EndArgs, global: &Global) -> Result<(), Failure> {
    let account = one_account(&patient_home(global)?, global, &args.account).await?;
    let delegate = delegates::named(account.more().as_ref(), &args.key)?;
    let payload = Payload::EndDelegation(EndDelegation {
        subject: account.subject()?,
        delegate,
        statement: Statement::ELECTRONIC,
    });
    let included = account.submit(payload).await?;
    recorded(global, &account, included, &format!("{} no longer signs for you.", delegate.short()));
    Ok(())
}

async fn show(global: &Global) -> Result<(), Failure> {
    let accounts = accounts(&patient_home(global)?, global, &AccountArgs::default(), None).await?;
    let report: Vec<_> = accounts
        .iter()
        .map(|account| {
            json!({ "hospital": account.member.id, "name": account.member.name, "subject": hex::encode(&account.reply.subject),
                "key": account.key.patient(), "role": account.reply.role, "is_of_other": account.is_of_other,
                "signers": delegates::in_json(account.more().as_ref()) })
        })
        .collect();
    term::show(global.json, &report, |_| {
        let one = |account: &Account| {
            let whose = if account.is_of_other { "somebody for whom you sign" } else { "you" };
            format!(
                "{}: {whose}, subject {}\n{}",
                account.member.name,
                hex::encode(&account.reply.subject),
                delegates_text(account.more().as_ref())
            )
        };
        accounts.iter().map(one).collect::<Vec<_>>().join("\n\n")
    });
    Ok(())
}
