//! What a worker does from its first instruction on.

use std::fs;
use std::io::IsTerminal as _;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use consilium_engine::store::Place;
use consilium_engine::worker::frame::{self, Caps};
use consilium_engine::worker::{Start, serve};

use super::door;
use super::restrict::restrict;

/// The argument that makes the program a worker.
pub const COMMAND: &str = "worker";

/// Plans are nested as deep as queries are, and so is the recursion that goes over them.
const PLANNING_STACK: usize = 64 << 20;
const RUNNING_STACK: usize = 8 << 20;

/// A start holds a path and the declarations of tables.
const START: Caps = Caps { head: 16 << 20, body: 0 };

/// Serves the node at the other end of standard input. Must be called before there is any other thread: the kernel restricts
/// threads, not processes.
pub fn main() -> ExitCode {
    // Rows stand in the messages of panics.
    std::panic::set_hook(Box::new(|_| {}));
    if std::io::stdin().is_terminal() {
        return ExitCode::from(2);
    }
    let served = || {
        let pipe = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
        let door = door::receive(&pipe)?;
        let Some((mut start, _)) = frame::read::<Start>(&mut &pipe, START)? else { return Ok(()) };
        // Where the folder is reached by links, only its own place can be opened to the worker.
        if let Some(store) = &mut start.store
            && let Place::Folder(folder) | Place::Arranged { folder, .. } = &mut store.place
            && let Ok(canonical) = fs::canonicalize(&*folder)
        {
            *folder = canonical;
        }
        let isolation = restrict(start.store.as_ref().and_then(|store| store.place.folder()));
        let threads = usize::try_from(start.threads).unwrap_or(1).max(1);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .max_blocking_threads(threads.max(2))
            .thread_stack_size(RUNNING_STACK)
            .enable_all()
            .build()?;
        let planning = std::thread::Builder::new().stack_size(PLANNING_STACK);
        let serving = planning.spawn(move || {
            let input = pipe.try_clone()?;
            let dial = door::dial(door, start.store.as_ref());
            let served = serve(&runtime, &start, isolation, dial, input, &mut &pipe, || std::process::exit(0));
            runtime.shutdown_background();
            served
        })?;
        serving.join().unwrap_or_else(|_| Err(std::io::Error::other("panicked")))
    };
    let served: std::io::Result<()> = served();
    if served.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
