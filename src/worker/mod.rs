//! The process in which queries are planned and run, from both sides.
//!
//! [`main`](child::main) is the whole program of a worker: it restricts itself (`restrict`), and does what the engine says a
//! worker does ([`consilium_engine::worker`]). The other files are its parent's: a [`Process`](process::Process) that has
//! been given `limits` and can be killed; the [`Worker`] that a node keeps from study to study; and [`once`], for whoever
//! only wants to know what a query is.
//!
//! What keeps a hostile query from the rest of the machine:
//!
//! | limit | who sets it | what for |
//! |---|---|---|
//! | data, address space, processor time, files | the parent, on the child | memory and processor |
//! | a deadline, kept with SIGKILL | the parent | whatever takes too long: planning, running or counting |
//! | Landlock: reads the store's folder and nothing else, no TCP | the child, on itself | files, network |
//! | lowest priority, first to go when memory is short, not dumpable | the child, on itself | the machine's other work |
//! | sockets to the database, where the tables are in one: connected by the parent, and passed | the parent | network |
//! | nothing on standard output and error | the parent | a panic prints rows |

mod child;
#[cfg(target_os = "linux")]
mod door;
#[cfg(not(target_os = "linux"))]
#[path = "door_elsewhere.rs"]
mod door;
mod error;
mod fingerprint;
mod isolation;
mod keep;
#[cfg(target_os = "linux")]
mod limits;
#[cfg(not(target_os = "linux"))]
#[path = "limits_elsewhere.rs"]
mod limits;
pub mod once;
mod process;
#[cfg(target_os = "linux")]
mod restrict;
#[cfg(not(target_os = "linux"))]
#[path = "restrict_elsewhere.rs"]
mod restrict;

pub use child::{COMMAND, main};
pub use error::{Trouble, WorkerError};
pub use isolation::{Finding, attempt, findings};
pub use keep::{Against, Before, Job, Settings, Worker, repeatable};
pub use process::{Bounds, Program};
