//! `consilium doctor`: what is wrong with a hospital's set-up, and what to do.

mod store;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use consilium_engine::store::{
    LaidOut, Place, Store, StoreConfig, StoreError, StoreSummary, damaged, is_laid_out, laid_out,
};
use consilium_protocol::catalogue::CatalogueTable;
use consilium_protocol::wire;
use serde::Serialize;
use serde_json::{Value, json};

use super::place::{DatabaseArgs, check_folder, place};
use super::{Failure, Global, conclude, counted, study, term};
use crate::home::config::{self, NodeConfig};
use crate::home::{Home, Role, files};
use crate::net::client::Node;
use crate::node;
use crate::worker;

/// `consilium doctor`
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  consilium doctor                       everything about this hospital's home
  consilium doctor --store export/       only how the tables of a folder are read, without any home
  consilium doctor --store postgresql://consilium@db.example/omop --schema cdm --tls-root db-ca.pem
                                         likewise of a database, with what its role may and may not

Exit codes: 0 where nothing is marked !!, or, with --store, where PERSON can be read and has rows, whatever is wrong with other \
tables; 1 where something is, where PERSON cannot be read or has none, or where a file that was laid out by patient is \
damaged.")]
pub struct Args {
    /// Look at the tables of this folder or database only; no home is needed
    #[arg(long, value_name = "DIR|URL")]
    store: Option<OsString>,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// One thing looked at.
#[derive(Serialize)]
struct Finding {
    what: &'static str,
    verdict: Verdict,
    detail: String,
}

#[derive(Serialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Good,
    Warning,
    Bad,
}

pub(crate) async fn run(args: &Args, global: &Global) -> Result<(), Failure> {
    match &args.store {
        Some(store) => of_store(place(store, &args.database)?, global).await,
        None => {
            args.database.check_unused()?;
            of_home(global).await
        }
    }
}

/// How the tables of a folder or database are read, before anything is set up.
async fn of_store(place: Place, global: &Global) -> Result<(), Failure> {
    check_folder(&place)?;
    let config = StoreConfig::at(place);
    let catalogue = Home::open(&global.home).map_or_else(|_| Ok(Vec::new()), |home| home.catalogue())?;
    let (summary, error) = match open(&config, &catalogue).await {
        Ok(summary) => (summary, None),
        Err(error) => match others(&config, &catalogue).await {
            Some(rest) => (rest, Some(error)),
            None => return Err(error.into()),
        },
    };
    let damaged = match config.place.folder().filter(|folder| is_laid_out(folder)) {
        Some(folder) => Some(as_written(folder)?),
        None => None,
    };
    let mut shown = serde_json::to_value(&summary)?;
    if let Some(damaged) = &damaged {
        shown["damaged"] = json!(damaged);
    }
    let failure = match (error, damaged.as_deref()) {
        (Some(error), _) => Some(error.into()),
        (None, Some([first, ..])) => {
            let first = first.display();
            Some(Failure::new(format!("{first} is damaged; lay the tables out anew with `consilium store arrange`")))
        }
        _ if summary.tables.iter().any(|table| table.name == "person" && table.rows == Some(0)) => {
            Some(Failure::new("nobody is in PERSON, which has no rows; export it again, then look again"))
        }
        _ => None,
    };
    let text = |_: &Value| {
        let whole = matches!(damaged.as_deref(), Some([]));
        let whole = if whole { "\nLaid out by patient: every file is as it was written.\n" } else { "" };
        format!("{}{whole}", store::page(&config.place, &summary))
    };
    conclude(global.json, &shown, text, failure)
}

/// What was laid out and is not as it was written.
fn as_written(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let spinner = term::spinner("reading what was arranged");
    let damaged = damaged(folder);
    spinner.finish_and_clear();
    damaged
}

/// The tables beside a PERSON that cannot be read, if there are any.
async fn others(config: &StoreConfig, catalogue: &[CatalogueTable]) -> Option<StoreSummary> {
    config.place.folder()?;
    let rest = Store::others(config, catalogue).await.ok()?;
    let is_something = !rest.tables.is_empty() || rest.unreadable.len() > 1 || !rest.ignored.is_empty();
    is_something.then_some(rest)
}

async fn open(config: &StoreConfig, catalogue: &[CatalogueTable]) -> Result<StoreSummary, StoreError> {
    let spinner = term::spinner("reading the tables");
    let opened = Store::open(config, catalogue).await;
    let summary = match &opened {
        Ok(store) => {
            let mut looking_at = |table: &str| spinner.set_message(format!("looking whose the rows of {table} are"));
            Ok(store.examined(&mut looking_at).await)
        }
        Err(error) => Err(error.clone()),
    };
    spinner.finish_and_clear();
    summary
}

async fn of_home(global: &Global) -> Result<(), Failure> {
    let home = Home::open_as(&global.home, Role::Hospital)?;
    let mut findings = Vec::new();
    let mut find = |what, verdict, detail: String| findings.push(Finding { what, verdict, detail });

    match node::check(&home) {
        Ok(()) => find("set-up", Verdict::Good, "configuration, keys and genesis file fit together".to_string()),
        Err(error) => find("set-up", Verdict::Bad, error.to_string()),
    }
    let exposed: Vec<String> = std::fs::read_dir(home.path().join("secrets"))?
        .filter_map(Result::ok)
        .filter(|entry| files::is_exposed(&entry.path()))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    match exposed.is_empty() {
        true => find("secrets", Verdict::Good, "readable by their owner alone".to_string()),
        false => find("secrets", Verdict::Bad, format!("others can read {}; chmod 600 them", exposed.join(", "))),
    }
    let mut tables = None;
    if let Ok(config) = NodeConfig::read(home.path()) {
        let catalogue = home.catalogue().unwrap_or_default();
        if let Place::Arranged { folder, .. } = &config.store.place {
            if let Ok(Some(LaidOut { at, has_changed })) = laid_out(&config.store, &catalogue) {
                let at = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis() as u64;
                let at = format!("laid out {}", term::moment(at));
                let next = global.next("store arrange");
                match has_changed {
                    Some(true) => {
                        let detail =
                            format!("{at}; the export has changed since, and studies read it as it was: {next}");
                        find("arranged", Verdict::Warning, detail);
                    }
                    Some(false) => find("arranged", Verdict::Good, format!("{at}; the export is the same")),
                    None => find("arranged", Verdict::Good, format!("{at}; what changed since is not seen: {next}")),
                }
            }
            match as_written(folder).as_deref() {
                Ok([]) => find("arranged", Verdict::Good, "every file is as it was written".to_string()),
                Ok([first, ..]) => {
                    let first = first.display();
                    find("arranged", Verdict::Bad, format!("{first} is damaged; {}", global.next("store arrange")));
                }
                // Opening the store says so.
                Err(_) => {}
            }
        }
        // That the genesis file cannot be read stands above.
        match open(&config.store, &catalogue).await {
            Ok(summary) => {
                let verdict = if store::has_warnings(&summary) { Verdict::Warning } else { Verdict::Good };
                find("store", verdict, format!("{}; see below", counted(summary.tables.len() as u64, "table")));
                tables = Some((config.store.place, summary));
            }
            Err(error) => {
                find("store", Verdict::Bad, error.to_string());
                tables = others(&config.store, &catalogue).await.map(|rest| (config.store.place, rest));
            }
        }
    }
    match worker::findings(&home.path().join(config::FILE)).await {
        Ok(isolation) => {
            for found in isolation {
                find("isolation", if found.holds { Verdict::Good } else { Verdict::Warning }, found.text);
            }
        }
        Err(error) => find("isolation", Verdict::Bad, error.to_string()),
    }
    for failing in study::failing_here(&home, None) {
        let (study, since) = (failing.study.short(), term::moment(failing.since_ms));
        let detail = format!("cannot {} to study {study} since {since}: {}", failing.duty, failing.message);
        find("study", Verdict::Warning, detail);
    }
    if let (Ok(genesis), Ok(key)) = (home.genesis(), home.signing_key()) {
        let own = key.hospital();
        for member in &genesis.member {
            match Node::connect(&genesis.ledger(), member, None).await {
                Ok(node) => match node.ledger().status(wire::StatusRequest {}).await {
                    Ok(status) => {
                        let status = status.into_inner();
                        let verdict = if status.readiness == "ready" { Verdict::Good } else { Verdict::Warning };
                        let detail = format!("{}: {} at block {}", member.name, status.readiness, status.height);
                        find(if member.id == own { "own node" } else { "member" }, verdict, detail);
                    }
                    Err(_) => {
                        find("member", Verdict::Warning, format!("{}: answers, but not to questions", member.name))
                    }
                },
                Err(_) if member.id == own => {
                    let detail = format!("{} does not answer; start it with `consilium node`", member.name);
                    find("own node", Verdict::Warning, detail);
                }
                Err(error) => find("member", Verdict::Warning, error.to_string()),
            }
        }
    }
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis() as u64;
    find("clock", Verdict::Good, format!("{}; blocks more than 10 s ahead of it are refused", term::moment(clock)));

    let warned = findings.iter().any(|f| f.verdict == Verdict::Warning);
    let bad = findings.iter().filter(|f| f.verdict == Verdict::Bad).count();
    let seen = json!({ "findings": findings, "store": tables.as_ref().map(|(_, summary)| summary) });
    let text = |_: &Value| {
        let table = term::table(
            ["", "what", "finding"],
            findings.iter().map(|f| {
                let mark = match f.verdict {
                    Verdict::Good => "ok",
                    Verdict::Warning => "??",
                    Verdict::Bad => "!!",
                };
                [mark.to_string(), f.what.to_string(), f.detail.clone()]
            }),
        );
        let mark = if warned { "\n\n??  worth a look, the node works all the same" } else { "" };
        let tables = tables.iter().map(|(place, summary)| format!("\n\n{}", store::page(place, summary)));
        format!("{table}{mark}{}", tables.collect::<String>())
    };
    let failure =
        (bad > 0).then(|| Failure::new(format!("what is marked !! must be mended before the node can work ({bad})")));
    conclude(global.json, &seen, text, failure)
}
