//! What the isolation of this machine is worth, tried out.

use std::path::Path;
use std::time::Duration;

use consilium_engine::worker::frame::Caps;
use consilium_engine::worker::{Isolation, Probe, Reply, Request, Start, VERSION};
use serde::Serialize;

use super::process::{Body, Process};
use super::{Bounds, Program, Trouble, WorkerError};

/// One way in which a worker is kept from the rest of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// In words, with what to do about it.
    pub text: String,
    /// Whether it is in force.
    pub holds: bool,
}

const PATIENCE: Duration = Duration::from_secs(10);
const BOUNDS: Bounds = Bounds { memory_bytes: 64 << 20, time: PATIENCE, processor: PATIENCE, threads: 1 };
const NOTHING_BUT_A_HEAD: Caps = Caps { head: 1 << 10, body: 0 };

/// Has a worker of its own try what it must not be able to do: whether it could, and what became of it otherwise.
///
/// # Errors
/// [`Trouble`], where the attempt ends the worker.
pub async fn attempt(program: &Program, probe: Probe, bounds: &Bounds) -> Result<(bool, Isolation), Trouble> {
    let start = Start { version: VERSION, store: None, catalogue: Vec::new(), access: None, link: None, threads: 1 };
    let (mut process, isolation, _) = Process::start(program, &start, bounds, 0).await?;
    match process.ask(&Request::Probe(probe), Body::NONE, NOTHING_BUT_A_HEAD, bounds, 0).await? {
        (Reply::Probed(could), _) => Ok((could, isolation)),
        _ => Err(WorkerError::Protocol.into()),
    }
}

/// Tries out what a worker can do on this machine that it must not; `foreign` is a file that it must not read.
///
/// # Errors
/// [`Trouble`] when no worker can be started.
pub async fn findings(foreign: &Path) -> Result<Vec<Finding>, Trouble> {
    let program = Program::own();
    let read = Probe::Read(foreign.to_string_lossy().into_owned());
    let (reads, isolation) = attempt(&program, read, &BOUNDS).await?;
    let mut findings = Vec::new();
    let mut find = |holds: bool, good: String, bad: &str| {
        findings.push(Finding { text: if holds { good } else { bad.to_string() }, holds });
    };
    find(
        !reads,
        format!("workers read the store and no other file (Landlock, interface {})", isolation.landlock),
        "workers can read whatever this user can: the kernel has no Landlock, or it is not enabled at boot (lsm=landlock,…); \
         run the node as a user of its own",
    );
    let memory = attempt(&program, Probe::Memory, &BOUNDS).await;
    find(
        matches!(memory, Err(Trouble::Worker(WorkerError::Memory { .. }))),
        "workers are held to their memory, processor time and files (prlimit)".to_string(),
        "workers are not held to a limit of memory by the system, only by the query engine's own count and by their deadline",
    );
    find(
        isolation.lowest_priority && isolation.first_to_go,
        "workers have the lowest priority, and go first when memory is short".to_string(),
        "workers compete with consensus for the processor; set `threads` under [limits] well below the number of cores",
    );
    find(
        isolation.not_dumpable,
        "other processes of this user cannot read a worker's memory".to_string(),
        "other processes of this user can read a worker's memory; run the node as a user of its own",
    );
    Ok(findings)
}
