//! `consilium node`, `config`, `status` and `tx`.

use std::io::IsTerminal as _;

use clap::Subcommand;
use consilium_protocol::ids::{Height, TxHash};
use consilium_protocol::wire;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::{Failure, Global, connect, term};
use crate::home::config::{LogConfig, NodeConfig};
use crate::home::{Home, Role};
use crate::net::client::refused;
use crate::node;

/// `consilium node`
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Runs in the foreground until SIGTERM or Ctrl-C; logs go to standard error. Under systemd:

  [Service]
  ExecStart=/usr/bin/consilium node --home /var/lib/consilium
  Restart=on-failure")]
pub struct NodeArgs {
    /// After the signer's file was lost or damaged: write one that signs nothing up to this height, and end. Name a
    /// height that the other members have reached, and be sure that no other node runs with these keys
    #[arg(long, value_name = "HEIGHT")]
    renew_signer: Option<u64>,
}

/// `consilium config`
#[derive(clap::Args, Debug)]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Subcommand, Debug)]
enum ConfigCommand {
    /// Check the configuration, keys and genesis file against each other
    Check,
    /// Print the configuration with every default filled in
    Show,
}

/// `consilium status`
#[derive(clap::Args, Debug)]
pub struct StatusArgs {
    /// Every member's node instead of one
    #[arg(long)]
    all: bool,
}

/// `consilium tx`
#[derive(clap::Args, Debug)]
pub struct TxArgs {
    /// The transaction's hash
    hash: TxHash,
}

pub(crate) async fn node(args: NodeArgs, global: &Global) -> Result<(), Failure> {
    if let Some(through) = args.renew_signer {
        let home = Home::open_as(&global.home, Role::Hospital)?;
        node::renew_signer(&home, Height::new(through))?;
        term::show(global.json, &json!({ "signs_above": through }), |_| {
            format!("the signer's file is new: this node votes again above block {through}\nNext: consilium node")
        });
        return Ok(());
    }
    let log = Home::open_as(&global.home, Role::Hospital)
        .ok()
        .and_then(|home| NodeConfig::read(home.path()).ok())
        .map(|config| config.log)
        .unwrap_or_default();
    start_log(&log);
    let stop = CancellationToken::new();
    tokio::spawn(stop_on_signal(stop.clone()));
    Ok(node::run(&global.home, stop).await?)
}

fn start_log(config: &LogConfig) {
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| config.filter.clone());
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // A second subscriber, as in a test, is not worth an error.
    let _ = if config.json { log.json().try_init() } else { log.with_target(false).try_init() };
}

/// Cancels at SIGTERM or Ctrl-C.
pub(crate) async fn stop_on_signal(stop: CancellationToken) {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let (Ok(mut terminate), Ok(mut interrupt)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        }
    }
    #[cfg(not(unix))]
    let _ = tokio::signal::ctrl_c().await;
    stop.cancel();
}

pub(crate) async fn config(args: &ConfigArgs, global: &Global) -> Result<(), Failure> {
    let home = Home::open_as(&global.home, Role::Hospital)?;
    match args.command {
        ConfigCommand::Check => {
            node::check(&home)?;
            term::show(global.json, &json!({ "valid": true }), |_| {
                "configuration, keys and genesis file fit together".to_string()
            });
        }
        ConfigCommand::Show => {
            let config = NodeConfig::read(home.path())?;
            term::show(global.json, &config, |config| toml::to_string(config).unwrap_or_default());
        }
    }
    Ok(())
}

pub(crate) async fn status(args: &StatusArgs, global: &Global) -> Result<(), Failure> {
    let home = Home::open(&global.home)?;
    if args.all {
        return all(&home, global).await;
    }
    let node = connect(&home, global).await?;
    let status = node.ledger().status(wire::StatusRequest {}).await.map_err(refused)?.into_inner();
    term::show(global.json, &status_json(&status), |_| {
        term::facts([
            ("hospital", status.name.clone()),
            ("ledger", status.chain_id.clone()),
            ("readiness", with_reason(&status)),
            ("block", format!("{}, {}", status.height, term::moment(status.time_ms))),
            ("state", hex::encode(&status.app_hash)),
            ("members connected", format!("{} of {}", status.peers + 1, status.members)),
            ("transactions", format!("{}, {} waiting", term::number(status.transactions), status.waiting_transactions)),
            ("subjects", term::number(status.subjects)),
            ("current consents", term::number(status.documents)),
            ("studies", term::number(status.studies)),
            ("ledger file", term::bytes(status.ledger_bytes)),
            ("release", status.version.clone()),
        ])
    });
    if status.readiness == "ready" {
        Ok(())
    } else {
        Err(Failure::not_ready(format!("the node is {}", with_reason(&status))))
    }
}

fn with_reason(status: &wire::StatusReply) -> String {
    match status.reason.as_str() {
        "" => status.readiness.clone(),
        reason => format!("{}: {reason}", status.readiness),
    }
}

async fn all(home: &Home, global: &Global) -> Result<(), Failure> {
    let genesis = home.genesis()?;
    let mut rows = Vec::new();
    let mut report = Vec::new();
    for member in &genesis.member {
        let one = Global { node: Some(member.name.clone()), ..global.clone() };
        match connect(home, &one).await {
            Ok(node) => {
                let status = node.ledger().status(wire::StatusRequest {}).await.map_err(refused)?.into_inner();
                report.push(status_json(&status));
                let app_hash = hex::encode(status.app_hash.get(..4).unwrap_or_default());
                rows.push([member.name.clone(), with_reason(&status), status.height.to_string(), app_hash]);
            }
            Err(failure) => {
                report.push(json!({ "name": member.name, "error": failure.message() }));
                rows.push([member.name.clone(), "does not answer".to_string(), "-".to_string(), "-".to_string()]);
            }
        }
    }
    term::show(global.json, &report, |_| term::table(["hospital", "readiness", "block", "state"], rows));
    Ok(())
}

/// A node's status for machines.
pub(crate) fn status_json(s: &wire::StatusReply) -> serde_json::Value {
    json!({
        "name": s.name, "hospital": s.hospital, "chain_id": s.chain_id, "height": s.height, "time_ms": s.time_ms,
        "app_hash": hex::encode(&s.app_hash), "readiness": s.readiness, "reason": s.reason, "peers": s.peers,
        "members": s.members, "waiting_transactions": s.waiting_transactions, "transactions": s.transactions,
        "subjects": s.subjects, "documents": s.documents, "studies": s.studies, "grants": s.grants,
        "grant_bytes": s.grant_bytes, "ledger_bytes": s.ledger_bytes, "version": s.version,
    })
}

pub(crate) async fn transaction(args: &TxArgs, global: &Global) -> Result<(), Failure> {
    let home = Home::open(&global.home)?;
    let node = connect(&home, global).await?;
    let request = wire::TransactionRequest { tx_hash: args.hash.as_bytes().to_vec() };
    let reply = node.ledger().transaction(request).await.map_err(refused)?.into_inner();
    let outcome = match (reply.known, reply.height, reply.rejection.as_str()) {
        (false, ..) => "unknown",
        (true, 0, _) => "waiting",
        (true, _, "") => "accepted",
        (true, ..) => "rejected",
    };
    let report = json!({ "tx": args.hash, "outcome": outcome, "height": reply.height, "rejection": reply.rejection });
    term::show(global.json, &report, |_| match outcome {
        "unknown" => "this node has never seen it; hand it in again".to_string(),
        "waiting" => "waits for a block".to_string(),
        "accepted" => format!("accepted in block {}", reply.height),
        _ => format!("rejected in block {}: {}", reply.height, reply.message),
    });
    if reply.known { Ok(()) } else { Err(Failure::not_ready("the transaction is not known to this node")) }
}
