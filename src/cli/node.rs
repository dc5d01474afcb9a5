//! `consilium node`, `config`, `status` and `tx`.

use std::io::IsTerminal as _;

use clap::Subcommand;
use consilium_engine::store::{Access, Place, StoreError};
use consilium_protocol::genesis::{Genesis, Member};
use consilium_protocol::ids::{Height, TxHash};
use consilium_protocol::policy::DisclosurePolicy;
use consilium_protocol::privacy::MicroRho;
use consilium_protocol::wire;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::{Failure, Global, conclude, connect, study, term};
use crate::home::config::{self, LogConfig, NodeConfig};
use crate::home::{Home, Role};
use crate::net::client::{ClientError, Node, refused};
use crate::node;

/// `consilium node`
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Runs in the foreground until SIGTERM or Ctrl-C; logs go to standard error. Under systemd (docs/install.md has the whole unit):

  [Service]
  User=consilium
  ExecStart=/usr/local/bin/consilium node --home /var/lib/consilium
  Restart=on-failure
  OOMPolicy=continue")]
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
            format!(
                "the signer's file is new: this node votes again above block {through}\nNext: {}",
                global.next("node")
            )
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
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new(LogConfig::default().filter));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        // It would be said on standard error, which is what cannot be written.
        .log_internal_errors(false);
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
            let store = NodeConfig::read(home.path())?.store;
            if let Some(folder) = store.place.folder().filter(|folder| !folder.is_dir()) {
                let file = home.path().join(config::FILE);
                let (field, next) = match store.place {
                    Place::Arranged { .. } => ("store.arranged", "run `consilium store arrange`, or leave it out"),
                    _ => ("store.folder", "correct it there"),
                };
                return Err(Failure::new(format!(
                    "there is no folder {}, which {field} in {} names; {next}",
                    folder.display(),
                    file.display()
                )));
            }
            if let Some(database) = store.place.database() {
                drop(Access::read(database).map_err(StoreError::from)?);
            }
            node::check(&home)?;
            term::show(global.json, &json!({ "valid": true }), |_| {
                "configuration, keys and genesis file fit together".to_string()
            });
        }
        ConfigCommand::Show => {
            let mut config = NodeConfig::read(home.path())?;
            config.limits.threads = Some(config.limits.bounds().threads);
            let consortium = home.genesis().ok().map(|genesis| genesis.policy);
            let mut report = serde_json::to_value(&config)?;
            report["store"]["nulls"] = json!(config.store.nulls);
            report["policy_of_consortium"] = json!(consortium);
            report["policy_in_force"] = json!(consortium.map(|c| config.policy.unwrap_or_default().over(&c)));
            match global.json {
                true => term::show(true, &report, |_| String::new()),
                // A file's text as it is, to be copied: no line is broken.
                false => {
                    let text = written_out(&config);
                    term::line(format!("{text}\n{}", in_force(&config, consortium.as_ref()).trim_end()));
                }
            }
        }
    }
    Ok(())
}

/// The configuration as a file, with what stands for no value written out, too.
fn written_out(config: &NodeConfig) -> String {
    let text = toml::to_string(config).unwrap_or_default();
    let Ok(mut document) = text.parse::<toml_edit::DocumentMut>() else { return text };
    let marks = serde_json::to_value(&config.store.nulls).unwrap_or_default();
    let marks = marks.as_array().into_iter().flatten().filter_map(Value::as_str);
    document["store"]["nulls"] = toml_edit::value(marks.collect::<toml_edit::Array>());
    document.to_string()
}

/// The policy that holds at this hospital, as comments below its configuration.
fn in_force(config: &NodeConfig, consortium: Option<&DisclosurePolicy>) -> String {
    let Some(consortium) = consortium else {
        return "# The policy in force is known once this home has joined a consortium.".to_string();
    };
    let own = config.policy.unwrap_or_default();
    let force = own.over(consortium);
    let mut text = String::from("# The policy in force:\n");
    text.push_str(&line("min_joint_count", own.min_joint_count, force.min_joint_count, consortium.min_joint_count));
    text.push_str(&line("min_site_count", own.min_site_count, force.min_site_count, consortium.min_site_count));
    text.push_str(&line("min_hospitals", own.min_hospitals, force.min_hospitals, consortium.min_hospitals));
    text.push_str(&line("open_studies", own.open_studies, force.open_studies, consortium.open_studies));
    text.push_str(&line("privacy_budget", own.privacy_budget, force.privacy_budget, consortium.privacy_budget));
    text.push_str(&line("insiders", None, force.insiders, consortium.insiders));
    text.push_str(&line("witness", None, force.witness, consortium.witness));
    text.push_str(&line("key_sets", None, force.key_sets, consortium.key_sets));
    text.push_str(&line("show_zeros", None, force.show_zeros, consortium.show_zeros));
    text.push_str(&line("rounding", None, force.rounding, consortium.rounding));
    text.push_str(&line(
        "studies_per_researcher",
        None,
        force.studies_per_researcher,
        consortium.studies_per_researcher,
    ));
    text.push_str(&line("quota_days", None, force.quota_days, consortium.quota_days));
    text.push_str(&line("slot_seconds", None, force.slot_seconds, consortium.slot_seconds));
    text
}

fn line<T: std::fmt::Display>(name: &str, own: Option<T>, force: T, consortium: T) -> String {
    match own {
        Some(_) => format!("# {name} = {force}, this hospital's own; the consortium's is {consortium}\n"),
        None => format!("# {name} = {force}, the consortium's\n"),
    }
}

pub(crate) async fn status(args: &StatusArgs, global: &Global) -> Result<(), Failure> {
    let home = Home::open(&global.home)?;
    if args.all {
        return all(&home, global).await;
    }
    let node = connect(&home, global).await?;
    let status = node.ledger().status(wire::StatusRequest {}).await.map_err(refused)?.into_inner();
    let own = home.role() == Role::Hospital && home.signing_key()?.hospital().to_string() == status.hospital;
    let failing = if own { study::failing_here(&home, None) } else { Vec::new() };
    let mut report = status_json(&status);
    if own {
        report["failing"] = json!(failing);
    }
    let privacy = privacy_table(&status, &home.genesis()?);
    let text = |_: &Value| {
        let mut text = term::facts([
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
        ]);
        if let Some(table) = &privacy {
            text.push_str(&format!("\nWhat private studies have spent\n\n{table}\n"));
        }
        if !failing.is_empty() {
            text.push_str("\nWhat this hospital owes to studies and cannot do\n\n");
            text.push_str(&study::failing_text(&failing));
        }
        text
    };
    let failure =
        (status.readiness != "ready").then(|| Failure::not_ready(format!("the node is {}", with_reason(&status))));
    conclude(global.json, &report, text, failure)
}

/// What private studies have spent of each hospital's budget; none where they have spent nothing.
fn privacy_table(status: &wire::StatusReply, genesis: &Genesis) -> Option<String> {
    let budget = genesis.policy.privacy_budget;
    let spent = |member: &Member| {
        let of_member = |spent: &&wire::PrivacySpent| spent.hospital == member.id.to_string();
        let spent = status.privacy_spent.iter().find(of_member).map_or(0, |spent| spent.micro_rho);
        let spent = MicroRho::new(spent);
        [member.name.clone(), spent.to_string(), budget.saturating_sub(spent).to_string()]
    };
    let is_spent = status.privacy_spent.iter().any(|spent| spent.micro_rho > 0);
    is_spent.then(|| term::table(["hospital", "rho spent", "left"], genesis.member.iter().map(spent)))
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
    let mut missing = Vec::new();
    for member in &genesis.member {
        match status_of(&genesis, member).await {
            Ok(status) => {
                if status.readiness != "ready" {
                    missing.push(member.name.as_str());
                }
                report.push(status_json(&status));
                let app_hash = hex::encode(status.app_hash.get(..4).unwrap_or_default());
                rows.push([member.name.clone(), with_reason(&status), status.height.to_string(), app_hash]);
            }
            Err(error) => {
                missing.push(&member.name);
                report.push(json!({ "name": member.name, "error": error.to_string() }));
                let why = match error {
                    ClientError::NotTheMember { .. } => "another certificate: do not trust it",
                    _ => "does not answer",
                };
                rows.push([member.name.clone(), why.to_string(), "-".to_string(), "-".to_string()]);
            }
        }
    }
    let text = |_: &Value| term::table(["hospital", "readiness", "block", "state"], rows);
    let failure = (!missing.is_empty())
        .then(|| Failure::not_ready(format!("not ready: {}; ask those who run these nodes", missing.join(", "))));
    conclude(global.json, &json!({ "members": report }), text, failure)
}

async fn status_of(genesis: &Genesis, member: &Member) -> Result<wire::StatusReply, ClientError> {
    let node = Node::connect(&genesis.ledger(), member, None).await?;
    Ok(node.ledger().status(wire::StatusRequest {}).await.map_err(refused)?.into_inner())
}

/// A node's status for machines.
pub(crate) fn status_json(s: &wire::StatusReply) -> serde_json::Value {
    json!({
        "name": s.name, "hospital": s.hospital, "chain_id": s.chain_id, "height": s.height, "time_ms": s.time_ms,
        "app_hash": hex::encode(&s.app_hash), "readiness": s.readiness, "reason": s.reason, "peers": s.peers,
        "members": s.members, "waiting_transactions": s.waiting_transactions, "transactions": s.transactions,
        "subjects": s.subjects, "documents": s.documents, "studies": s.studies, "grants": s.grants,
        "grant_bytes": s.grant_bytes, "ledger_bytes": s.ledger_bytes, "version": s.version,
        "privacy_spent": s.privacy_spent.iter().map(|spent| json!({ "hospital": spent.hospital,
            "rho": MicroRho::new(spent.micro_rho).to_string() })).collect::<Vec<_>>(),
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
    let report = json!({ "tx": args.hash, "outcome": outcome, "height": reply.height, "rejection": reply.rejection,
        "message": reply.message });
    let text = |_: &Value| match outcome {
        "unknown" => "this node has never seen it; hand it in again".to_string(),
        "waiting" => "waits for a block".to_string(),
        "accepted" => format!("accepted in block {}", reply.height),
        _ => format!("rejected in block {}: {}", reply.height, reply.message),
    };
    let failure = (!reply.known).then(|| Failure::not_ready("the transaction is not known to this node"));
    conclude(global.json, &report, text, failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_written_out() {
        let text = "[listen]\ngrpc = \"127.0.0.1:1\"\nconsensus = \"127.0.0.1:2\"\nmetrics = \"127.0.0.1:3\"\n\
                    [store]\nfolder = \"/srv/omop\"\n";
        let config: NodeConfig = toml::from_str(text).expect("a configuration");
        let shown = written_out(&config);
        assert!(shown.contains("nulls = [\"na\", \"n/a\", \"null\""), "{shown}");
        let again: NodeConfig = toml::from_str(&shown).expect("a configuration");
        assert_eq!(again.store, config.store);
    }

    #[test]
    fn the_unit_of_the_help_is_the_documentation_s() {
        let help = <NodeArgs as clap::Args>::augment_args(clap::Command::new("node")).render_help().to_string();
        let unit = help.split_once("[Service]").expect("a unit").1;
        for line in unit.lines().map(str::trim).filter(|line| !line.is_empty()) {
            assert!(include_str!("../../docs/install.md").contains(&format!("\n{line}\n")), "{line}");
        }
    }

    #[test]
    fn the_policy_in_force_says_whose_each_threshold_is() {
        let text = "[listen]\ngrpc = \"127.0.0.1:1\"\nconsensus = \"127.0.0.1:2\"\nmetrics = \"127.0.0.1:3\"\n\
                    [store]\nfolder = \"/srv/omop\"\n[policy]\nmin_site_count = 9\n";
        let config: NodeConfig = toml::from_str(text).expect("a configuration");
        let text = in_force(&config, Some(&DisclosurePolicy::default()));
        assert!(text.contains("min_joint_count = 11, the consortium's\n"), "{text}");
        assert!(text.contains("min_site_count = 9, this hospital's own; the consortium's is 5\n"), "{text}");
        assert!(in_force(&config, None).contains("joined"));
    }
}
