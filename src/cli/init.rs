//! `consilium init`: makes a home.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Subcommand;
use consilium_engine::store::{Place, StoreConfig};
use consilium_protocol::genesis::Member;
use consilium_protocol::keys::{Signature, SigningKey, random_bytes};
use consilium_protocol::lots::LotKey;
use consilium_protocol::wallet::Wallet;
use serde_json::json;

use super::place::{DatabaseArgs, place};
use super::{Failure, Global, term};
use crate::home::config::{self, ConsensusTiming, LimitsConfig, Listen, LogConfig, NodeConfig};
use crate::home::files::{self, Readable};
use crate::home::secrets::{self, Kind};
use crate::home::{Home, Role};
use crate::net::tls;

/// `consilium init`
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    who: Who,
}

#[derive(Subcommand, Debug)]
enum Who {
    /// A member of a consortium: keys, certificate, configuration, and the file that introduces it to the others
    Hospital(HospitalArgs),
    /// Somebody who asks: a signing key
    Researcher(NameArgs),
    /// Somebody whose data it is: a wallet of twelve words
    Patient(PatientArgs),
}

#[derive(clap::Args, Debug)]
#[command(after_help = "\
Example:
  consilium init hospital --name \"North Clinic\" --address north.example:7400 \\
      --consensus-address north.example:7401 --store /srv/omop --home /var/lib/consilium

Send member.toml from the home to whoever makes the genesis file; everything under secrets/ stays here.")]
pub(crate) struct HospitalArgs {
    /// The hospital's name, for people
    #[arg(long)]
    pub(crate) name: String,
    /// Where others reach this node's services, host:port
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) address: String,
    /// Where others reach this node's consensus, host:port (default: the same host, next port)
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) consensus_address: Option<String>,
    /// The address to bind, where it differs from --address (default: all interfaces, the same ports)
    #[arg(long, value_name = "IP")]
    pub(crate) bind: Option<std::net::IpAddr>,
    /// Where metrics are served over HTTP (default: loopback, the port after the consensus port)
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) metrics: Option<SocketAddr>,
    /// The folder with one Parquet or CSV file per OMOP table, or postgresql://user@host/database
    #[arg(long, value_name = "DIR|URL")]
    pub(crate) store: PathBuf,
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
}

#[derive(clap::Args, Debug)]
pub(crate) struct NameArgs {
    /// The name, for people
    #[arg(long)]
    pub(crate) name: String,
}

#[derive(clap::Args, Debug)]
pub(crate) struct PatientArgs {
    /// A name for this wallet; it stays in this home
    #[arg(long, default_value = "patient")]
    pub(crate) name: String,
    /// Bring a wallet back: reads its twelve words from standard input
    #[arg(long)]
    pub(crate) restore: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args, global: &Global) -> Result<(), Failure> {
    match &args.who {
        Who::Hospital(args) => {
            let member = hospital(args, &global.home)?;
            let file = global.home.join("member.toml");
            let is_folder = matches!(place(args.store.as_os_str(), &args.database)?, Place::Folder(_));
            if is_folder && !args.store.is_dir() {
                term::warn(format!(
                    "there is no folder {} yet; make it, with one Parquet or CSV file per OMOP table, before the node \
                     starts",
                    args.store.display()
                ));
            }
            term::show(
                global.json,
                &json!({ "hospital": member.id, "member_file": file, "home": global.home }),
                |_| {
                    format!(
                        "{} is set up in {}\n\n  {}\n\nNext: send {} to whoever makes the genesis file. When you have that \
                     file: {}",
                        member.name,
                        global.home.display(),
                        member.id,
                        file.display(),
                        global.next("join genesis.toml")
                    )
                },
            );
        }
        Who::Researcher(args) => {
            let home = Home::create(&global.home, Role::Researcher, &args.name)?;
            let key = SigningKey::generate()?;
            secrets::create(home.path(), Kind::Signing, &key.seed())?;
            home.finish()?;
            term::show(global.json, &json!({ "researcher": key.researcher(), "home": global.home }), |_| {
                format!(
                    "{} is set up in {}\n\n  {}\n\nNext: give this name to a hospital of the consortium to be accredited, \
                     and join with its genesis file: {}",
                    args.name,
                    global.home.display(),
                    key.researcher(),
                    global.next("join genesis.toml")
                )
            });
        }
        Who::Patient(args) => patient(args, global)?,
    }
    Ok(())
}

/// Brings a patient's wallet back from its words.
pub(crate) fn recover(name: &str, global: &Global) -> Result<(), Failure> {
    patient(&PatientArgs { name: name.to_string(), restore: true }, global)
}

fn patient(args: &PatientArgs, global: &Global) -> Result<(), Failure> {
    let wallet = if args.restore {
        let mut words = zeroize::Zeroizing::new(String::new());
        std::io::stdin().read_line(&mut words)?;
        Wallet::from_words(&words)?
    } else {
        Wallet::generate()?
    };
    let home = Home::create(&global.home, Role::Patient, &args.name)?;
    home.keep_wallet(&wallet)?;
    home.finish()?;
    let words = (!args.restore).then(|| wallet.words());
    term::show(global.json, &json!({ "words": words, "home": global.home }), |_| match &words {
        Some(words) => format!(
            "Your wallet is in {}\n\n  {words}\n\nWrite these twelve words down and keep them safe: with them you can \
             bring the wallet back, and so can anybody else.\nNext: {}",
            global.home.display(),
            global.next("join genesis.toml")
        ),
        None => format!("Your wallet is back in {}\nNext: {}", global.home.display(), global.next("join genesis.toml")),
    });
    Ok(())
}

/// Makes a hospital's home.
pub(crate) fn hospital(args: &HospitalArgs, path: &std::path::Path) -> Result<Member, Failure> {
    if args.name.trim().is_empty() {
        return Err(Failure::usage("--name: a hospital has a name; people will read it"));
    }
    let (host, port) = split_address(&args.address, "--address")?;
    let next_port = port.checked_add(1).ok_or_else(|| Failure::usage("--address: use a port below 65534"))?;
    let consensus_address = args.consensus_address.clone().unwrap_or_else(|| format!("{host}:{next_port}"));
    let (_, consensus_port) = split_address(&consensus_address, "--consensus-address")?;
    if args.address == consensus_address {
        return Err(Failure::usage("--consensus-address: must differ from --address; use the next port"));
    }
    // What may be wrong in what was given comes first: a home that is half made would be in the way of the next try.
    let store = place(args.store.as_os_str(), &args.database)?;
    let home = Home::create(path, Role::Hospital, &args.name)?;
    let signing = SigningKey::generate()?;
    let consensus = SigningKey::generate()?;
    let peer = SigningKey::generate()?;
    let lots = LotKey::generate()?;
    let (certificate, tls_key) = tls::generate(&args.name)?;
    let fingerprint = tls::Identity::from_pem(&certificate, &tls_key)?.fingerprint();
    secrets::create(path, Kind::Signing, &signing.seed())?;
    secrets::create(path, Kind::Consensus, &consensus.seed())?;
    secrets::create(path, Kind::Peer, &peer.seed())?;
    secrets::create(path, Kind::Lots, lots.seed())?;
    secrets::create(path, Kind::Link, &random_bytes()?)?;
    files::create(&path.join("secrets").join("tls.key"), tls_key.as_bytes(), Readable::ByOwner)?;
    files::create(&path.join("tls.crt"), certificate.as_bytes(), Readable::ByAll)?;
    let mut member = Member {
        id: signing.hospital(),
        name: args.name.clone(),
        consensus_key: consensus.public_key(),
        peer_key: peer.public_key(),
        lot_key: lots.public_key(),
        tls_certificate: fingerprint,
        address: args.address.clone(),
        consensus_address,
        proof: Signature::from_bytes([0; 64]),
    };
    member.prove(&signing);
    let bind = args.bind.unwrap_or(std::net::IpAddr::from([0, 0, 0, 0]));
    let metrics = args
        .metrics
        .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], consensus_port.checked_add(1).unwrap_or(9_464))));
    let config = NodeConfig {
        listen: Listen { grpc: SocketAddr::new(bind, port), consensus: SocketAddr::new(bind, consensus_port), metrics },
        store: StoreConfig::at(store),
        policy: None,
        limits: LimitsConfig::default(),
        consensus: ConsensusTiming::default(),
        log: LogConfig::default(),
    };
    let text =
        toml::to_string(&config).map_err(|e| Failure::new(format!("the configuration cannot be written: {e}")))?;
    files::create(&path.join(config::FILE), text.as_bytes(), Readable::ByAll)?;
    let text = toml::to_string(&member).map_err(|e| Failure::new(format!("the member file cannot be written: {e}")))?;
    files::create(&path.join("member.toml"), text.as_bytes(), Readable::ByAll)?;
    files::create_private_dir(&path.join("ledger"))?;
    files::create_private_dir(&path.join("rounds"))?;
    home.finish()?;
    Ok(member)
}

fn split_address<'a>(address: &'a str, flag: &str) -> Result<(&'a str, u16), Failure> {
    address
        .rsplit_once(':')
        .filter(|(host, _)| !host.is_empty())
        .and_then(|(host, port)| Some((host, port.parse().ok().filter(|p| *p > 0)?)))
        .ok_or_else(|| {
            Failure::usage(format!("{flag}: `{address}` is no host:port; write for example north.example:7400"))
        })
}
