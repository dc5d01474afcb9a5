//! `consilium doctor`: what is wrong with a hospital's set-up, and what to do.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use consilium_engine::store::Store;
use consilium_protocol::wire;
use serde::Serialize;

use super::{Failure, Global, counted, study, term};
use crate::home::config::{self, NodeConfig};
use crate::home::{Home, Role, files};
use crate::net::client::Node;
use crate::node;
use crate::worker;

/// `consilium doctor`
#[derive(clap::Args, Debug)]
pub struct Args {}

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

pub(crate) async fn run(_: &Args, global: &Global) -> Result<(), Failure> {
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
    if let Ok(config) = NodeConfig::read(home.path()) {
        match Store::open(&config.store).await {
            Ok(store) => {
                let summary = store.summary();
                for table in &summary.tables {
                    let rows = table.rows.map_or(String::new(), |rows| format!("{}, ", counted(rows as u64, "row")));
                    let readable = counted(table.readable.len() as u64, "column");
                    let detail = format!("{}: {rows}{readable} readable, {} never", table.name, table.withheld.len());
                    match (table.format, table.rows) {
                        ("empty", _) => {
                            find("table", Verdict::Warning, format!("{}: its file has 0 bytes; export it", table.name))
                        }
                        (_, Some(0)) => find("table", Verdict::Warning, format!("{detail}; is the export complete?")),
                        _ if table.day_unsaid => {
                            let what = "it has dates, and which of them is the day of a row is not said, so only consent to \
                                        all days opens it; name the column with `date` under [store.tables]";
                            find("table", Verdict::Warning, format!("{detail}; {what}"));
                        }
                        _ => find("table", Verdict::Good, detail),
                    }
                }
                for ignored in &summary.ignored {
                    find("file", Verdict::Warning, format!("{}: {}", ignored.name, ignored.reason));
                }
            }
            Err(error) => find("store", Verdict::Bad, error.to_string()),
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
    term::show(global.json, &findings, |findings| {
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
        if warned { format!("{table}\n\n??  worth a look, the node works all the same") } else { table }
    });
    if bad == 0 {
        Ok(())
    } else {
        Err(Failure::new(format!("what is marked !! must be mended before the node can work ({bad})")))
    }
}
