//! `consilium study …`: from an idea to an opened joint result.

mod check;
pub(crate) mod earlier;
mod follow;
mod here;
mod now;
mod place;
mod protection;
mod result;
mod submit;

use std::path::PathBuf;

use clap::Subcommand;
use consilium_engine::cohort::{CohortError, Reads};
use consilium_protocol::catalogue::CatalogueTable;
use consilium_protocol::ids::StudyId;
use consilium_protocol::study::StudySpec;
use consilium_protocol::wire;

use super::{Failure, Global, connect};
use crate::home::files;
use crate::home::{Home, Role};
use crate::net::client::{Node, refused};
use crate::studies::failing::Told;
use crate::worker::once::{self, OnceError};

/// `consilium study`
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Write an example study file to start from
    New(submit::NewArgs),
    /// Say in plain words what a study computes, what leaves a hospital, and what is wrong with the file
    Check(check::Args),
    /// Sign a study and put it on the ledger
    Submit(submit::SubmitArgs),
    /// All studies on the ledger
    List,
    /// One study: its file, who decided how, its rounds
    Show(WhichArgs),
    /// Follow a study until it is released or ended
    Watch(WhichArgs),
    /// Open the joint result of a released study
    Result(result::Args),
    /// Have this hospital's node try a study again that it gave up
    Retry(WhichArgs),
    /// Take a study back
    Withdraw(WhichArgs),
}

/// Which study.
#[derive(clap::Args, Debug)]
pub(crate) struct WhichArgs {
    /// The study's id, or the first digits of it (default: a researcher's newest; for a decision, the only one that
    /// waits)
    pub(crate) study: Option<String>,
}

/// Runs the command.
pub(crate) async fn run(args: Args, global: &Global) -> Result<(), Failure> {
    match args.command {
        Command::New(args) => submit::new(&args, global),
        Command::Check(args) => check::run(&args, global).await,
        Command::Submit(args) => submit::submit(&args, global).await,
        Command::List => follow::list(global).await,
        Command::Show(args) => follow::show(&args, global).await,
        Command::Watch(args) => follow::watch(&args, global).await,
        Command::Result(args) => result::run(&args, global).await,
        Command::Retry(args) => here::retry(&args, global).await,
        Command::Withdraw(args) => follow::withdraw(&args, global).await,
    }
}

/// Reads a study file, and checks it as far as can be without data; also says what its query reads.
///
/// Beside OMOP's tables it knows those of `catalogue`, or of the consortium that the home has joined.
async fn read_spec(
    path: &std::path::Path,
    global: &Global,
    catalogue: Option<Vec<CatalogueTable>>,
) -> Result<(StudySpec, Reads), Failure> {
    let text = files::read_text(path, 1_048_576)?;
    global.check_home()?;
    // Of UTF-16 every other byte is none.
    if text.contains('\0') {
        return Err(Failure::new(format!("{}: it is not UTF-8 text; save it as UTF-8", path.display())));
    }
    let mut spec = StudySpec::from_toml(&text).map_err(|e| match is_query(path, &text) {
        true => Failure::new(format!(
            "{} is a query, and a study is a TOML file; put the query under [cohort] as sql = \"\"\"…\"\"\", or begin with \
             `consilium study new`",
            path.display()
        )),
        false => Failure::new(format!(
            "{} cannot be used:\n{e}\ncorrect it, then run `consilium study check` again",
            path.display()
        )),
    })?;
    let joined = || Home::open(&global.home).ok().and_then(|home| home.genesis().ok()).map(|genesis| genesis.table);
    let catalogue = catalogue.or_else(joined);
    spec.take_tables(catalogue.as_deref().unwrap_or_default());
    let reads = once::check(&spec).await.map_err(|e| match e {
        OnceError::Cohort(error @ CohortError::UnknownTable { .. }) if catalogue.is_none() => Failure::new(format!(
            "{}: cohort.sql: {error}; a consortium's own tables are known in a home that has joined it, or with --tables",
            path.display()
        )),
        OnceError::Cohort(error) => place::refusal(path, &text, &spec, &error),
        other => Failure::new(format!("{}: cohort.sql: {other}", path.display())),
    })?;
    Ok((spec, reads))
}

/// Whether a file is a query alone.
fn is_query(path: &std::path::Path, text: &str) -> bool {
    let mut lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    let first = lines.find(|line| !line.is_empty() && !line.starts_with("--")).unwrap_or_default();
    let word = first.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    let is_named = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("sql"));
    is_named || ["select", "with"].iter().any(|begins| word.eq_ignore_ascii_case(begins))
}

/// The study that a person means: an id, its first digits, or the newest that this home submitted.
pub(crate) async fn find(which: Option<&str>, home: &Home, node: &Node) -> Result<StudyId, Failure> {
    if let Some(id) = which.and_then(|text| text.parse::<StudyId>().ok()) {
        return Ok(id);
    }
    let listed = node.ledger().studies(wire::StudiesRequest { undecided: false }).await.map_err(refused)?.into_inner();
    let ids = listed.studies.iter().filter_map(|s| StudyId::try_from(&s.study[..]).ok());
    let own = match (which, home.role()) {
        (Some(prefix), _) => {
            let prefix = prefix.trim().to_lowercase();
            let found: Vec<StudyId> = ids.filter(|id| id.to_string().starts_with(&prefix)).collect();
            return match found[..] {
                [one] => Ok(one),
                [] => Err(Failure::new(format!("no study starts with `{prefix}`; see `consilium study list`"))),
                _ => Err(Failure::new(format!("several studies start with `{prefix}`; give more digits"))),
            };
        }
        (None, Role::Researcher) => Some(home.signing_key()?.researcher().to_string()),
        (None, _) => None,
    };
    let newest = listed
        .studies
        .iter()
        .find(|s| own.as_ref().is_none_or(|own| s.researcher == *own))
        .and_then(|s| StudyId::try_from(&s.study[..]).ok());
    newest.ok_or_else(|| Failure::new("there is no study yet; submit one with `consilium study submit`"))
}

/// Asks for one study.
pub(crate) async fn fetch(study: &StudyId, node: &Node) -> Result<wire::StudyReply, Failure> {
    Ok(fetch_told(study, node).await?.0)
}

/// As [`fetch`], with what the asked hospital cannot do for the study.
async fn fetch_told(study: &StudyId, node: &Node) -> Result<(wire::StudyReply, Vec<Told>), Failure> {
    let request = wire::StudyRequest { study: study.as_bytes().to_vec() };
    let response = node.ledger().study(request).await.map_err(refused)?;
    let told = Told::all(response.metadata());
    Ok((response.into_inner(), told))
}

/// Home, node and study of a command.
pub(crate) async fn locate(which: &WhichArgs, global: &Global) -> Result<(Home, Node, StudyId), Failure> {
    let home = Home::open(&global.home)?;
    let node = connect(&home, global).await?;
    let study = find(which.study.as_deref(), &home, &node).await?;
    Ok((home, node, study))
}

/// Where a researcher's home keeps what belongs to a study.
pub(crate) fn folder(home: &Home, study: &StudyId) -> PathBuf {
    home.path().join("studies").join(study.to_string())
}

pub(crate) use follow::{is_final, standing, summaries, summary_json, waited_for};
pub(crate) use here::{failing_here, failing_text, try_here};
pub(crate) use now::Now;
pub(crate) use result::{open_result, table_text};
pub use submit::propose;
pub(crate) use submit::{GUARDED, OPEN};
