//! The command line: one file per command, each a thin shell over the crates.

pub(crate) mod accounts;
pub(crate) mod audit;
pub(crate) mod consent;
pub(crate) mod delegates;
mod desk;
mod doctor;
mod failure;
mod fhir;
mod found;
pub(crate) mod history;
pub(crate) mod init;
mod layout;
pub(crate) mod node;
pub(crate) mod patients;
mod picture;
pub(crate) mod place;
pub(crate) mod reach;
mod steward;
mod store;
pub(crate) mod study;
mod table;
pub mod term;
pub(crate) mod terms;
mod wallet;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use consilium_protocol::genesis::{Genesis, Member};
use failure::conclude;
pub use failure::{Exit, Failure};
pub use study::propose;

use crate::home::{Home, HomeError, Role};
use crate::net::client::{ClientError, Node};
use crate::net::tls::Identity;
use crate::words::Language;

/// Privacy-preserving joint analytics for hospitals.
///
/// Hospitals answer a researcher's question together, without any of them, or the researcher, ever seeing another's
/// patients, or another hospital's numbers.
#[derive(Parser, Debug)]
#[command(name = "consilium", version, propagate_version = true, max_term_width = 110)]
#[command(after_help = "\
Examples:
  consilium demo                                    four hospitals, two studies, on this machine
  consilium init hospital --name \"North Clinic\" --address north.example:7400 --store /srv/omop
  consilium study check study.toml                  what it computes, what leaves, what is wrong
  consilium study submit study.toml && consilium study watch

Exit codes: 0 done; 1 refused or failed; 2 wrong usage; 3 not ready yet, try again; 4 integrity violated.")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: Global,
}

/// What every command knows.
#[derive(clap::Args, Clone, Debug)]
pub struct Global {
    /// The folder with keys and configuration
    #[arg(long, global = true, env = "CONSILIUM_HOME", value_name = "DIR", default_value_os_t = default_home())]
    pub home: PathBuf,
    /// Print one JSON object instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// Ask this member's node: its name or id (default: the own node, or the first that answers)
    #[arg(long, global = true, value_name = "MEMBER")]
    pub node: Option<String>,
    /// The language that consents are told in (default: the environment's, by LC_ALL, LC_MESSAGES or LANG, else en)
    #[arg(long, global = true, value_enum, value_name = "en|de|fr", hide_possible_values = true)]
    language: Option<Language>,
    /// Whether --home was written out, so that what is done next needs it, too.
    #[arg(skip)]
    home_given: bool,
    /// Whether the home was named, there or in the environment, and so must be one that is meant.
    #[arg(skip)]
    home_named: bool,
}

impl Global {
    /// The language that consents are told in.
    pub fn language(&self) -> Language {
        self.language.unwrap_or_else(Language::of_environment)
    }

    /// A command to run next, as the person would have to type it.
    pub fn next(&self, command: &str) -> String {
        if !self.home_given {
            return format!("consilium {command}");
        }
        format!("consilium {command} --home {}", word(&self.home))
    }
}

/// A path as one word of a command line.
fn word(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:,".contains(c);
    match path.chars().all(plain) {
        true => path,
        false => format!("'{}'", path.replace('\'', r"'\''")),
    }
}

impl Global {
    /// Refuses a home that was named and is not there, where one that was not named need not be.
    fn check_home(&self) -> Result<(), Failure> {
        if self.home_named && !self.home.exists() {
            return Err(HomeError::None(self.home.clone()).into());
        }
        Ok(())
    }
}

fn default_home() -> PathBuf {
    std::env::var_os("HOME").map_or_else(|| PathBuf::from("."), PathBuf::from).join(".consilium")
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Make a home: keys and configuration of a hospital, a researcher or a patient
    Init(init::Args),
    /// Found a consortium: make the genesis file out of its members' files
    Genesis(found::GenesisArgs),
    /// Join a consortium: keep its genesis file in this home
    Join(found::JoinArgs),
    /// Run a hospital's node
    Node(node::NodeArgs),
    /// Check or show a hospital's configuration
    Config(node::ConfigArgs),
    /// Where a node stands
    Status(node::StatusArgs),
    /// What became of a transaction
    Tx(node::TxArgs),
    /// Write, check, submit and follow studies, and open their results
    Study(study::Args),
    /// Studies that wait for this hospital's decision
    Inbox(steward::InboxArgs),
    /// Approve a study
    Approve(steward::ApproveArgs),
    /// Reject a study, with a reason
    Reject(steward::RejectArgs),
    /// Accredit researchers: propose, vote, list
    Researcher(steward::ResearcherArgs),
    /// Put patients and their paper consents on the ledger
    Patients(patients::Args),
    /// Grant, revoke and see one's own consents
    Consent(consent::Args),
    /// My keys: a sheet to print, others who sign for me, a freeze
    Wallet(wallet::Args),
    /// Who used my data, for what, under which consent
    History(history::Args),
    /// Write the ledger to a file
    Export(audit::ExportArgs),
    /// Replay an exported ledger with public keys alone, and say what happened
    Audit(audit::AuditArgs),
    /// Find out what is wrong with this hospital's set-up
    Doctor(doctor::Args),
    /// The tables that a consortium has beside OMOP's: draft, list
    Table(table::Args),
    /// A hospital's tables: say where those of the catalogue are, lay them out by patient
    Store(store::Args),
    /// Show the whole thing: four hospitals on this machine, start to end
    Demo(crate::demo::Args),
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let matches = Cli::command().try_get_matches().unwrap_or_else(|error| {
        // What was wrong is known here, whether --json was meant is not.
        let is_json = std::env::args_os().take_while(|arg| arg != "--").any(|arg| arg == "--json");
        if error.use_stderr() && is_json {
            let message = error.render().to_string();
            let message = message.trim_start_matches("error: ").trim_end();
            Failure::usage(message).print_for_machines();
        }
        error.exit()
    });
    let mut cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    cli.global.home_given = matches.value_source("home") == Some(ValueSource::CommandLine);
    cli.global.home_named = cli.global.home_given || matches.value_source("home") == Some(ValueSource::EnvVariable);
    let json = cli.global.json;
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print(json);
            failure.exit.into()
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| {
        Failure::new(format!("the asynchronous runtime does not start: {e}; is the process limit low?"))
    })?;
    let global = cli.global;
    let done = runtime.block_on(async {
        match cli.command {
            Command::Init(args) => init::run(&args, &global),
            Command::Genesis(args) => found::genesis(&args, &global),
            Command::Join(args) => found::join(&args, &global),
            Command::Node(args) => node::node(args, &global).await,
            Command::Config(args) => node::config(&args, &global).await,
            Command::Status(args) => node::status(&args, &global).await,
            Command::Tx(args) => node::transaction(&args, &global).await,
            Command::Study(args) => study::run(args, &global).await,
            Command::Inbox(args) => steward::inbox(&args, &global).await,
            Command::Approve(args) => steward::approve(&args, &global).await,
            Command::Reject(args) => steward::reject(&args, &global).await,
            Command::Researcher(args) => steward::researcher(args, &global).await,
            Command::Patients(args) => patients::run(args, &global).await,
            Command::Wallet(args) => wallet::run(args, &global).await,
            Command::Consent(args) => consent::run(args, &global).await,
            Command::History(args) => history::run(&args, &global).await,
            Command::Export(args) => audit::export(&args, &global).await,
            Command::Audit(args) => audit::audit(&args, &global).await,
            Command::Doctor(args) => doctor::run(&args, &global).await,
            Command::Table(args) => table::run(&args, &global),
            Command::Store(args) => store::run(args, &global).await,
            Command::Demo(args) => crate::demo::run(args, &global).await,
        }
    });
    // Tasks that serve nobody any more must not keep the program alive.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    done
}

/// Connects to the member named by `--node`, else to the home's own node, else to the first member that answers.
async fn connect(home: &Home, global: &Global) -> Result<Node, Failure> {
    let genesis = home.genesis()?;
    let own = match home.role() {
        Role::Hospital => Some(home.signing_key()?.hospital()),
        Role::Researcher | Role::Patient => None,
    };
    if let Some(wanted) = &global.node {
        let member = member_named(&genesis, wanted)?;
        return Ok(Node::connect(&genesis.ledger(), member, None).await?);
    }
    if let Some(member) = own.and_then(|own| genesis.member(&own)) {
        return Ok(Node::connect(&genesis.ledger(), member, None).await?);
    }
    let mut last = None;
    for member in &genesis.member {
        match Node::connect(&genesis.ledger(), member, None).await {
            Ok(node) => return Ok(node),
            Err(error @ ClientError::NotTheMember { .. }) => return Err(error.into()),
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or_else(|| Failure::new("the genesis file lists no members; get it again"), Failure::from))
}

/// The member that a person means: its name in any case, its id, or the first characters of the id.
fn member_named<'a>(genesis: &'a Genesis, wanted: &str) -> Result<&'a Member, Failure> {
    let wanted = wanted.trim();
    let lower = wanted.to_lowercase();
    if let Some(member) = genesis.member.iter().find(|m| m.name == wanted || m.id.to_string() == lower) {
        return Ok(member);
    }
    let meant = |m: &&Member| {
        m.name.to_lowercase() == lower || lower.starts_with("hospital1") && m.id.to_string().starts_with(&lower)
    };
    let found: Vec<&Member> = genesis.member.iter().filter(meant).collect();
    match found[..] {
        [one] => Ok(one),
        [] => Err(Failure::new(format!("no member is called `{wanted}`; the genesis file lists {}", names(genesis)))),
        _ => Err(Failure::new(format!("several members could be `{wanted}`; write the name or the id in full"))),
    }
}

fn names(genesis: &Genesis) -> String {
    genesis.member.iter().map(|m| m.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// `1 hospital`, `2 hospitals`.
fn counted(count: u64, one: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{} {one}{ending}", term::number(count))
}

/// The TLS identity of a hospital's home.
///
/// # Errors
/// [`Failure`] when key or certificate are missing or damaged.
pub fn identity(home: &Home) -> Result<Identity, Failure> {
    use crate::home::files::read_text;
    let certificate = read_text(&home.path().join("tls.crt"), 65_536)?;
    let key = zeroize::Zeroizing::new(read_text(&home.path().join("secrets").join("tls.key"), 65_536)?);
    Ok(Identity::from_pem(&certificate, &key)?)
}

/// The joint result of a study of a researcher's home, checked, opened and released.
///
/// # Errors
/// [`Failure`] when it is not released yet, or does not hold.
pub async fn opened(
    home: &Home,
    node: &Node,
    study: &consilium_protocol::ids::StudyId,
) -> Result<consilium_engine::disclosure::Released<consilium_engine::result::StudyResult>, Failure> {
    study::open_result(home, node, study).await.map(|opened| opened.result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    /// The program breaks lines itself, at 100 characters where nobody says how wide the terminal is.
    #[test]
    fn the_text_below_a_help_is_broken_by_the_program_alone() {
        fn check(command: &clap::Command) {
            let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            for (at, line) in lines.iter().enumerate() {
                let of = command.get_name();
                let is_listed = |line: &&str| line.is_empty() || line.starts_with(' ');
                assert!(!line.starts_with(' ') || line.chars().count() <= 100, "{of}: {line}");
                let goes_on = !is_listed(line) && lines.get(at + 1).is_some_and(|next| !is_listed(next));
                assert!(!goes_on, "{of}: {line}");
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    #[test]
    fn the_next_command_repeats_a_home_that_was_written_out() {
        let next = |args: &[&str]| {
            let matches = Cli::command().try_get_matches_from(args).expect("valid arguments");
            let mut cli = Cli::from_arg_matches(&matches).expect("valid arguments");
            cli.global.home_given = matches.value_source("home") == Some(ValueSource::CommandLine);
            cli.global.next("inbox")
        };
        assert_eq!(next(&["consilium", "status"]), "consilium inbox");
        assert_eq!(next(&["consilium", "status", "--home", "/a/b"]), "consilium inbox --home /a/b");
        assert_eq!(next(&["consilium", "--home", "/a b", "study", "list"]), "consilium inbox --home '/a b'");
    }

    #[test]
    fn counts_have_their_number() {
        assert_eq!(counted(1, "hospital"), "1 hospital");
        assert_eq!(counted(2_000, "patient"), "2,000 patients");
    }
}
