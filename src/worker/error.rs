//! How a worker ends badly.

use std::process::ExitStatus;

use consilium_engine::worker::Refusal;

/// A worker that died, was killed, or did not keep to the protocol. What is known of the cause, for the hospital's own
/// people; whatever it was, rows may have had a part in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// It could not be started.
    #[error("no worker process could be started ({0}); see that the machine has memory and processes left")]
    Start(String),
    /// It took too long and was killed.
    #[error(
        "the worker was stopped after {seconds} s, its share of the time to the round's deadline or limits.seconds; narrow \
         the study, or raise limits.seconds in consilium.toml"
    )]
    Deadline {
        /// How long it had.
        seconds: u64,
    },
    /// It used up its processor time, and the kernel stopped it.
    #[error(
        "the worker used up its processor time of {seconds} s; narrow the study, or raise limits.seconds in consilium.toml"
    )]
    Processor {
        /// How much it had.
        seconds: u64,
    },
    /// It got no more memory, or its stack was used up.
    #[error(
        "the worker ran out of memory, of which it may take {limit_mib} MiB; narrow the study, or raise limits.memory_mib \
         in consilium.toml"
    )]
    Memory {
        /// How much it may have beside its tables.
        limit_mib: u64,
    },
    /// Something else than its parent killed it.
    #[error(
        "the worker was killed from outside, most often by the kernel because the machine ran out of memory; see the \
         kernel's log, lower limits.memory_mib in consilium.toml or add memory, then have the study tried again"
    )]
    Killed,
    /// It crashed.
    #[error("the worker crashed (signal {0}); keep the study and report this")]
    Crashed(i32),
    /// It ended in the middle of a study.
    #[error("the worker ended without an answer; keep the study and report this")]
    Ended,
    /// It panicked.
    #[error("the worker panicked; keep the study and report this")]
    Panicked,
    /// It said something that is no answer.
    #[error("the worker's answer was not one; keep the study and report this")]
    Protocol,
    /// It is of another version.
    #[error("the program's file was replaced by another version; start the node again")]
    Version,
}

impl WorkerError {
    /// The kind of error, one word.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Start(_) => "worker_start",
            Self::Deadline { .. } => "worker_deadline",
            Self::Processor { .. } => "worker_processor",
            Self::Memory { .. } => "worker_memory",
            Self::Killed => "worker_killed",
            Self::Crashed(_) => "worker_crashed",
            Self::Ended => "worker_ended",
            Self::Panicked => "worker_panicked",
            Self::Protocol => "worker_protocol",
            Self::Version => "worker_version",
        }
    }

    /// What the end of a process means that its parent did not kill.
    pub(super) fn of(status: ExitStatus, bounds: &super::Bounds) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        // The numbers are the same on every Linux that Rust has std for, but for MIPS.
        const ABORTED: i32 = 6;
        const KILLED: i32 = 9;
        const PROCESSOR: i32 = if cfg!(target_os = "linux") { 24 } else { -1 };
        match status.signal() {
            Some(PROCESSOR) => Self::Processor { seconds: bounds.processor.as_secs() },
            Some(ABORTED) => Self::Memory { limit_mib: bounds.memory_bytes >> 20 },
            Some(KILLED) => Self::Killed,
            Some(signal) => Self::Crashed(signal),
            None => Self::Ended,
        }
    }
}

/// Why there is no answer from a worker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// It says why.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It is gone.
    #[error(transparent)]
    Worker(#[from] WorkerError),
}
