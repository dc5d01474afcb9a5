//! One worker process, and what its parent says to it.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use consilium_engine::store::{Access, StoreConfig, StoreError, StoreSummary};
use consilium_engine::worker::frame::{self, Caps};
use consilium_engine::worker::{Isolation, Refusal, Reply, Request, Start, VERSION};
use consilium_protocol::ids::SubjectId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use zeroize::Zeroizing;

use super::{COMMAND, Trouble, WorkerError, door, limits};

/// The program that is started as a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program(OsString);

impl Program {
    /// This program: the file that runs, also where another one has been put in its place.
    pub fn own() -> Self {
        if cfg!(target_os = "linux") {
            return Self(OsString::from("/proc/self/exe"));
        }
        // A path that cannot be had cannot be started, which is said then.
        Self(std::env::current_exe().map(PathBuf::into_os_string).unwrap_or_default())
    }

    /// The program at a path.
    pub fn at(path: impl Into<OsString>) -> Self {
        Self(path.into())
    }
}

/// What a worker may use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Memory beside what it holds when it is idle, in bytes.
    pub memory_bytes: u64,
    /// Time for one answer.
    pub time: Duration,
    /// Processor time for one answer, of all threads together. It ends a worker whose parent is gone or hangs.
    pub processor: Duration,
    /// Threads.
    pub threads: usize,
}

/// What comes after the head of a message.
#[derive(Clone, Copy)]
pub(super) enum Body<'a> {
    Bytes(&'a [u8]),
    Parts(&'a [&'a [u8]]),
    Subjects(&'a [SubjectId]),
}

impl Body<'_> {
    pub(super) const NONE: Self = Body::Bytes(&[]);

    fn len(self) -> usize {
        match self {
            Body::Bytes(bytes) => bytes.len(),
            Body::Parts(parts) => parts.iter().map(|part| part.len()).sum(),
            Body::Subjects(subjects) => 16 * subjects.len(),
        }
    }
}

/// What a worker enters the database with, where the tables are in one: read anew for each worker, as passwords change.
pub(super) fn access(store: &StoreConfig) -> Result<Option<Access>, Trouble> {
    let read = store.place.database().map(Access::read).transpose();
    read.map_err(|error| Refusal::from(StoreError::from(error)).into())
}

/// A running worker. Killed when dropped.
pub(super) struct Process {
    child: Child,
    pipe: UnixStream,
    pid: u32,
    /// The most data that it may ever have.
    most_data: u64,
    /// What it had when it was ready.
    idle_data: u64,
}

/// What a process may have before its store is open, beside its threads.
const ITSELF: u64 = 256 << 20;
/// What each thread, and the one that reads files for it, may have.
const BY_THREAD: u64 = 24 << 20;

impl Process {
    /// Starts a worker, and has it open its store within `bounds`; it may have `held` bytes of memory beside them as long as
    /// it lives.
    pub(super) async fn start(
        program: &Program,
        start: &Start,
        bounds: &Bounds,
        held: u64,
    ) -> Result<(Self, Isolation, Option<StoreSummary>), Trouble> {
        let failed = |error: io::Error| WorkerError::Start(error.kind().to_string());
        let threads = BY_THREAD.saturating_mul(bounds.threads as u64);
        let most_data = bounds.memory_bytes.saturating_add(held).saturating_add(ITSELF).saturating_add(threads);
        let mut process = {
            let (own, other) = std::os::unix::net::UnixStream::pair().map_err(failed)?;
            own.set_nonblocking(true).map_err(failed)?;
            let mut command = Command::new(&program.0);
            command
                .arg(COMMAND)
                .env_clear()
                .current_dir("/")
                .stdin(Stdio::from(std::os::fd::OwnedFd::from(other)))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                // What a terminal sends to the node is the node's to deal with.
                .process_group(0)
                .kill_on_drop(true);
            let child = command.spawn().map_err(failed)?;
            let pid = child.id().ok_or(WorkerError::Ended)?;
            let pipe = UnixStream::from_std(own).map_err(failed)?;
            Self { child, pipe, pid, most_data, idle_data: 0 }
        };
        // Whoever died already says why below.
        match door::open(&process.pipe, start.store.as_ref()).await {
            Err(error) if !matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
                return Err(failed(error).into());
            }
            _ => {}
        }
        // It waits for its first message meanwhile.
        let limited = limits::at_start(process.pid, most_data, bounds.threads)
            .and_then(|()| limits::processor(process.pid, bounds.processor));
        process.or_cause(limited, bounds).await?;
        let caps = Caps { head: 16 << 20, body: 0 };
        let (reply, _) = process.converse(&frame::to_bytes(start), Body::NONE, caps, bounds).await?;
        let (isolation, summary) = match reply {
            Reply::Ready { version: VERSION, isolation, summary } => (isolation, summary),
            Reply::Ready { .. } => return Err(WorkerError::Version.into()),
            other => return Err(refusal(other)),
        };
        process.idle_data = process.or_cause(limits::data_used(process.pid), bounds).await?;
        Ok((process, isolation, summary))
    }

    /// Whether it still runs.
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks for one answer, within `bounds`, of which `caps` says how large it may be. `held` is what it holds beside since
    /// it was ready, in bytes. After an error other than a refusal the process must not be used again.
    pub(super) async fn ask(
        &mut self,
        request: &Request,
        body: Body<'_>,
        caps: Caps,
        bounds: &Bounds,
        held: u64,
    ) -> Result<(Reply, Zeroizing<Vec<u8>>), Trouble> {
        let threads = BY_THREAD.saturating_mul(bounds.threads as u64);
        let beside = held.saturating_add(threads);
        let data = self.idle_data.saturating_add(beside).saturating_add(bounds.memory_bytes);
        let limited =
            limits::data(self.pid, data, self.most_data).and_then(|()| limits::processor(self.pid, bounds.processor));
        self.or_cause(limited, bounds).await?;
        match self.converse(&frame::to_bytes(request), body, caps, bounds).await? {
            (Reply::Refused(refused), _) => Err(refusal(Reply::Refused(refused))),
            answer => Ok(answer),
        }
    }

    async fn converse(
        &mut self,
        head: &[u8],
        body: Body<'_>,
        caps: Caps,
        bounds: &Bounds,
    ) -> Result<(Reply, Zeroizing<Vec<u8>>), WorkerError> {
        let exchange = async {
            // Whoever died while it was written to may have said why before.
            let _ = write(&mut self.pipe, head, body).await;
            read(&mut self.pipe, caps).await
        };
        match tokio::time::timeout(bounds.time, exchange).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => Err(WorkerError::Protocol),
            Ok(Err(_)) => Err(self.cause(bounds).await),
            Err(_) => {
                let _ = self.child.kill().await;
                Err(WorkerError::Deadline { seconds: bounds.time.as_secs() })
            }
        }
    }

    /// What could not be done to a process that has ended is not what is wrong.
    async fn or_cause<T>(&mut self, done: io::Result<T>, bounds: &Bounds) -> Result<T, WorkerError> {
        match done {
            Ok(done) => Ok(done),
            Err(error) => match tokio::time::timeout(Duration::from_millis(500), self.child.wait()).await {
                Ok(Ok(status)) => Err(WorkerError::of(status, bounds)),
                Ok(Err(_)) | Err(_) => Err(WorkerError::Start(error.kind().to_string())),
            },
        }
    }

    /// Why the pipe ended.
    async fn cause(&mut self, bounds: &Bounds) -> WorkerError {
        match tokio::time::timeout(Duration::from_secs(5), self.child.wait()).await {
            Ok(Ok(status)) => WorkerError::of(status, bounds),
            Ok(Err(_)) | Err(_) => WorkerError::Ended,
        }
    }
}

fn refusal(reply: Reply) -> Trouble {
    match reply {
        Reply::Refused(Refusal::Version) => WorkerError::Version.into(),
        Reply::Refused(Refusal::Panicked) => WorkerError::Panicked.into(),
        Reply::Refused(refusal) => refusal.into(),
        _ => WorkerError::Protocol.into(),
    }
}

/// Writes a message. Subjects are copied piece by piece: all of them are many.
async fn write(pipe: &mut UnixStream, head: &[u8], body: Body<'_>) -> io::Result<()> {
    pipe.write_all(&frame::prefix(head.len(), body.len())).await?;
    pipe.write_all(head).await?;
    match body {
        Body::Bytes(bytes) => pipe.write_all(bytes).await?,
        Body::Parts(parts) => {
            for part in parts {
                pipe.write_all(part).await?;
            }
        }
        Body::Subjects(subjects) => {
            let mut piece = Vec::with_capacity(1 << 16);
            for some in subjects.chunks(1 << 12) {
                piece.clear();
                some.iter().for_each(|subject| piece.extend_from_slice(subject.as_bytes()));
                pipe.write_all(&piece).await?;
            }
        }
    }
    Ok(())
}

async fn read(pipe: &mut UnixStream, caps: Caps) -> io::Result<(Reply, Zeroizing<Vec<u8>>)> {
    let mut prefix = [0; frame::PREFIX];
    pipe.read_exact(&mut prefix).await?;
    let (head_bytes, body_bytes) = frame::lengths(&prefix, caps)?;
    let mut head = vec![0; head_bytes];
    pipe.read_exact(&mut head).await?;
    let mut body = Zeroizing::new(vec![0; body_bytes]);
    pipe.read_exact(&mut body).await?;
    Ok((frame::head(&head)?, body))
}
