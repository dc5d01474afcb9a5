//! A consortium of real node processes on this machine: homes, keys, ports, processes. The demo and the end-to-end tests
//! run it.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use consilium_protocol::catalogue::CatalogueTable;
use consilium_protocol::consent::Base;
use consilium_protocol::genesis::{Deadlines, GENESIS_VERSION, Genesis, Member};
use consilium_protocol::ids::{ChainId, Timestamp};
use consilium_protocol::keys::{NoRandomness, SigningKey};
use consilium_protocol::policy::DisclosurePolicy;
use consilium_protocol::tx::{Payload, Signer};
use consilium_protocol::wire;
use tokio::process::{Child, Command};

use crate::cli::Failure;
use crate::cli::init::{HospitalArgs, hospital};
use crate::cli::place::DatabaseArgs;
use crate::home::secrets::{self, Kind};
use crate::home::{Home, Role};
use crate::net::client::{ClientError, Included, Node};

/// How a consortium is set up.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the homes go; must be empty.
    pub folder: PathBuf,
    /// The program that runs the nodes.
    pub program: PathBuf,
    /// The hospitals' names.
    pub hospitals: Vec<String>,
    /// The name of the ledger.
    pub chain_id: String,
    /// What may be released.
    pub policy: DisclosurePolicy,
    /// How long the steps of a study may take.
    pub deadlines: Deadlines,
    /// How long an idle ledger waits between blocks.
    pub heartbeat_ms: u64,
    /// The tables that the consortium has beside OMOP's.
    pub tables: Vec<CatalogueTable>,
}

/// A hospital of the consortium, and its node's process while it runs.
#[derive(Debug)]
pub struct Hospital {
    /// How it introduced itself.
    pub member: Member,
    /// Its home.
    pub home: PathBuf,
    /// Its tables.
    pub store: PathBuf,
    /// The key that signs its transactions.
    pub key: SigningKey,
    process: Option<Child>,
}

/// A consortium.
#[derive(Debug)]
pub struct Consortium {
    /// Its founding document.
    pub genesis: Genesis,
    /// Its hospitals, in the order of the plan.
    pub hospitals: Vec<Hospital>,
    plan: Plan,
}

/// What a node says of something that stands in a block at another node, and will in a moment at this one.
const NOT_YET_HERE: [&str; 2] = ["unknown_study", "unknown_proposal"];
/// How long a node may take to have a block that another has.
const ONE_BLOCK_LATER: Duration = Duration::from_secs(5);

/// The ports that nodes listen on: below those that operating systems give to outgoing connections (Linux from 32768,
/// others from 49152), because one node's connection could otherwise sit on the port of another that is not up yet.
const PORTS: Range<u16> = 20_000..32_000;

/// Ports that are free now. All are held until all are known, so that none is given twice; the search starts anywhere, so
/// that two consortia founded at a time hardly meet.
fn free_ports(count: usize) -> Result<Vec<u16>, Failure> {
    let start = getrandom::u32().map_err(|_| NoRandomness)?;
    let mut around: Vec<u16> = PORTS.collect();
    around.rotate_left(start as usize % PORTS.len());
    let free = around.into_iter().filter_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok());
    let held: Vec<TcpListener> = free.take(count).collect();
    if held.len() < count {
        return Err(Failure::new(format!(
            "fewer than {count} of the ports {} to {} are free on this machine; stop some of what listens there",
            PORTS.start,
            PORTS.end - 1
        )));
    }
    Ok(held.iter().map(|listener| listener.local_addr().map(|a| a.port())).collect::<Result<_, _>>()?)
}

impl Consortium {
    /// Makes homes, keys and the genesis file; starts nothing. The stores' folders are made, and are empty.
    ///
    /// # Errors
    /// [`Failure`] when the folder cannot be used.
    pub fn found(plan: Plan) -> Result<Self, Failure> {
        let ports = free_ports(plan.hospitals.len() * 3)?;
        let mut hospitals = Vec::with_capacity(plan.hospitals.len());
        for (name, ports) in plan.hospitals.iter().zip(ports.chunks(3)) {
            let folder = plan.folder.join(name.to_lowercase().replace(' ', "-"));
            let store = folder.join("omop");
            std::fs::create_dir_all(&store)?;
            let args = HospitalArgs {
                name: name.clone(),
                address: format!("127.0.0.1:{}", ports[0]),
                consensus_address: Some(format!("127.0.0.1:{}", ports[1])),
                bind: Some(Ipv4Addr::LOCALHOST.into()),
                metrics: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, ports[2]))),
                store: store.clone(),
                database: DatabaseArgs::default(),
            };
            let home = folder.join("home");
            let member = hospital(&args, &home)?;
            let config = home.join(crate::home::config::FILE);
            let text = std::fs::read_to_string(&config)?;
            let changed = text.replace("heartbeat_ms = 10000", &format!("heartbeat_ms = {}", plan.heartbeat_ms));
            std::fs::write(&config, changed)?;
            let key = Home::open_as(&home, Role::Hospital)?.signing_key()?;
            hospitals.push(Hospital { member, home, store, key, process: None });
        }
        let mut members: Vec<Member> = hospitals.iter().map(|h| h.member.clone()).collect();
        members.sort_by_key(|m| m.id);
        let now =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
        let genesis = Genesis {
            version: GENESIS_VERSION,
            chain_id: ChainId::new(&plan.chain_id)?,
            time_ms: Timestamp::new(now),
            policy: plan.policy,
            consent_base: Base::Deny,
            deadlines: plan.deadlines,
            disease: crate::vocabulary::diseases(),
            table: plan.tables.clone(),
            member: members,
        };
        genesis.check()?;
        for hospital in &hospitals {
            Home::open(&hospital.home)?.join(&genesis)?;
        }
        std::fs::write(plan.folder.join("genesis.toml"), genesis.to_toml()?)?;
        Ok(Self { genesis, hospitals, plan })
    }

    /// The genesis file.
    pub fn genesis_file(&self) -> PathBuf {
        self.plan.folder.join("genesis.toml")
    }

    /// Makes a researcher's home in the consortium.
    ///
    /// # Errors
    /// [`Failure`] when it cannot be made.
    pub fn researcher(&self, name: &str) -> Result<Home, Failure> {
        let path = self.plan.folder.join(name.to_lowercase().replace(' ', "-"));
        let home = Home::create(&path, Role::Researcher, name)?;
        secrets::create(&path, Kind::Signing, &SigningKey::generate()?.seed())?;
        home.finish()?;
        home.join(&self.genesis)?;
        Ok(home)
    }

    /// Starts the node of one hospital as a process of its own; its log goes to `node.log` in its home.
    ///
    /// # Errors
    /// [`Failure`] when the process does not start.
    pub fn start(&mut self, position: usize) -> Result<(), Failure> {
        let hospital = &mut self.hospitals[position];
        let log = File::options().create(true).append(true).open(hospital.home.join("node.log"))?;
        let child = Command::new(&self.plan.program)
            .arg("node")
            .arg("--home")
            .arg(&hospital.home)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            // Ctrl-C in a terminal goes to the whole group; the nodes stop when this program stops them.
            .process_group(0)
            .spawn()?;
        hospital.process = Some(child);
        Ok(())
    }

    /// Starts every node.
    ///
    /// # Errors
    /// [`Failure`] when a process does not start.
    pub fn start_all(&mut self) -> Result<(), Failure> {
        (0..self.hospitals.len()).try_for_each(|position| self.start(position))
    }

    /// Kills a node's process at once, as a power cut would.
    ///
    /// # Errors
    /// [`Failure`] when the process cannot be killed.
    pub async fn kill(&mut self, position: usize) -> Result<(), Failure> {
        if let Some(mut child) = self.hospitals[position].process.take() {
            child.kill().await?;
        }
        Ok(())
    }

    /// Asks a node's process to stop, and waits until it has.
    ///
    /// # Errors
    /// [`Failure`] when it does not within ten seconds.
    pub async fn stop(&mut self, position: usize) -> Result<(), Failure> {
        let Some(mut child) = self.hospitals[position].process.take() else { return Ok(()) };
        if let Some(pid) = child.id() {
            // The signal goes through the shell's `kill`: no unsafe code for one system call.
            let _ = Command::new("kill").arg(pid.to_string()).status().await;
        }
        let waited = tokio::time::timeout(Duration::from_secs(10), child.wait()).await;
        if waited.is_err() {
            child.kill().await?;
            return Err(Failure::new("a node did not stop within ten seconds; its node.log says why"));
        }
        Ok(())
    }

    /// Stops every node.
    pub async fn stop_all(&mut self) {
        for position in 0..self.hospitals.len() {
            let _ = self.stop(position).await;
        }
    }

    /// Lets the processes run on after this value is gone.
    pub fn leave_running(mut self) -> Vec<u32> {
        let mut pids = Vec::new();
        for hospital in &mut self.hospitals {
            if let Some(child) = hospital.process.take() {
                pids.extend(child.id());
                // Not dropped: dropping would kill it.
                std::mem::forget(child);
            }
        }
        pids
    }

    /// A connection to a hospital's node.
    ///
    /// # Errors
    /// [`ClientError`] when it does not answer.
    pub async fn node(&self, position: usize) -> Result<Node, ClientError> {
        Node::connect(&self.genesis.ledger(), &self.hospitals[position].member, None).await
    }

    /// Waits until a hospital's node takes part.
    ///
    /// # Errors
    /// [`Failure`] when its process ends, or the time runs out.
    pub async fn wait_ready(&mut self, position: usize, patience: Duration) -> Result<(), Failure> {
        let deadline = Instant::now() + patience;
        let mut last = String::from("it does not answer");
        loop {
            if let Some(status) = self.hospitals[position].process.as_mut().and_then(|p| p.try_wait().ok().flatten()) {
                return Err(Failure::new(format!(
                    "the node ended ({status}): {}",
                    last_lines(&self.hospitals[position].home)
                )));
            }
            if let Ok(node) = self.node(position).await
                && let Ok(status) = node.ledger().status(wire::StatusRequest {}).await
            {
                let status = status.into_inner();
                if status.readiness == "ready" {
                    return Ok(());
                }
                last = format!("{} {}", status.readiness, status.reason);
            }
            if Instant::now() > deadline {
                let log = last_lines(&self.hospitals[position].home);
                return Err(Failure::not_ready(format!(
                    "a node is not ready in time ({last}); its log ends with: {log}"
                )));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until every node takes part.
    ///
    /// # Errors
    /// [`Failure`] as of [`Self::wait_ready`].
    pub async fn wait_all_ready(&mut self, patience: Duration) -> Result<(), Failure> {
        for position in 0..self.hospitals.len() {
            self.wait_ready(position, patience).await?;
        }
        Ok(())
    }

    /// Signs a transaction as a hospital, and waits until it stands in a block.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn submit_as(&self, position: usize, payload: Payload) -> Result<Included, ClientError> {
        let hospital = &self.hospitals[position];
        let (node, signer) = (self.node(position).await?, Signer::Hospital(hospital.member.id));
        let deadline = Instant::now() + ONE_BLOCK_LATER;
        loop {
            match node.submit(signer, &hospital.key, payload.clone()).await {
                Err(ClientError::Rejected { kind, .. })
                    if NOT_YET_HERE.contains(&kind.as_str()) && Instant::now() < deadline =>
                {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                other => return other,
            }
        }
    }
}

/// The most lines of one log that are told.
const WARNINGS: usize = 5;

impl Consortium {
    /// What each node warned of last, after its name.
    pub(super) fn warnings(&self) -> Vec<String> {
        let of = |hospital: &Hospital| {
            let text = log(&hospital.home);
            let is_warning = |line: &&str| line.contains(" WARN ") || line.contains(" ERROR ");
            let lines: Vec<&str> = text.lines().filter(is_warning).collect();
            let last = lines.iter().skip(lines.len().saturating_sub(WARNINGS));
            last.map(|line| format!("{}: {line}", hospital.member.name)).collect::<Vec<_>>()
        };
        self.hospitals.iter().flat_map(of).collect()
    }
}

fn log(home: &Path) -> String {
    std::fs::read_to_string(home.join("node.log")).unwrap_or_default()
}

fn last_lines(home: &Path) -> String {
    let text = log(home);
    let lines: Vec<&str> = text.lines().rev().take(5).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}
