//! What a worker process cannot do: each limit is met once, by a worker that tries to pass it, and ends with its own cause.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use consilium::worker::{Bounds, Program, Trouble, WorkerError, attempt};
use consilium_engine::worker::Probe;

use crate::support::{alone, program};

const PATIENCE: Duration = Duration::from_secs(60);
const BOUNDS: Bounds = Bounds { memory_bytes: 128 << 20, time: PATIENCE, processor: PATIENCE, threads: 1 };

async fn ends(probe: Probe, bounds: Bounds) -> WorkerError {
    match attempt(&Program::at(program()), probe.clone(), &bounds).await {
        Err(Trouble::Worker(error)) => error,
        other => panic!("{probe:?}: {other:?}"),
    }
}

#[test]
fn each_limit_ends_a_worker_with_its_cause() {
    alone(async || {
        let second = Duration::from_secs(1);
        let started = Instant::now();
        let cases = [
            (Probe::Memory, BOUNDS, WorkerError::Memory { limit_mib: 128 }),
            (Probe::Processor, Bounds { processor: second, ..BOUNDS }, WorkerError::Processor { seconds: 1 }),
            (Probe::Wait, Bounds { time: 2 * second, ..BOUNDS }, WorkerError::Deadline { seconds: 2 }),
            (Probe::Panic, BOUNDS, WorkerError::Panicked),
            // A byte that was not asked for, and more than there is memory for.
            (Probe::Output(1), BOUNDS, WorkerError::Protocol),
            (Probe::Output(64 << 20), BOUNDS, WorkerError::Protocol),
        ];
        for (probe, bounds, cause) in cases {
            assert_eq!(ends(probe.clone(), bounds).await, cause, "{probe:?}");
        }
        let stack = ends(Probe::Stack, BOUNDS).await;
        assert!(matches!(stack, WorkerError::Memory { .. } | WorkerError::Crashed(_)), "{stack:?}");
        assert!(started.elapsed() < PATIENCE, "none of them waits for another limit");
        Ok(())
    });
}

#[test]
fn a_worker_reads_and_reaches_nothing_where_the_kernel_can_see_to_it() {
    alone(async || {
        let folder = tempfile::tempdir()?;
        let secret = folder.path().join("secret");
        fs::write(&secret, "secret")?;
        let (secret, new) = (secret.display().to_string(), folder.path().join("new").display().to_string());
        let program = Program::at(program());
        let (reads, isolation) = attempt(&program, Probe::Read(secret), &BOUNDS).await?;
        assert!(isolation.lowest_priority && isolation.not_dumpable && isolation.first_to_go, "{isolation:?}");
        // Where the kernel has no Landlock, the limits of files and of the user are what is left.
        assert_eq!(reads, isolation.landlock == 0, "{isolation:?}");
        let writes = attempt(&program, Probe::Write(new.clone()), &BOUNDS).await;
        assert!(!matches!(writes, Ok((true, _))), "{writes:?}");
        assert_eq!(fs::metadata(new).map_or(0, |file| file.len()), 0, "not a byte");
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (connects, _) = attempt(&program, Probe::Connect(listener.local_addr()?.port()), &BOUNDS).await?;
        assert_eq!(connects, isolation.landlock < 4, "{isolation:?}");
        Ok(())
    });
}
