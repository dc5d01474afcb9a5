//! Does what the hospital owes, after every block and whenever time has passed.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use consilium_protocol::ids::{StudyId, Timestamp};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;
use tracing::info;

use super::Studies;
use super::attempt::{self, Ended, Failure};
use super::duties::{Due, duties};
use super::failing::Failing;

/// How often the ledger is looked at when no block comes: deadlines pass without blocks, too.
const TICK: Duration = Duration::from_millis(500);
/// How much later each further hospital does what one suffices for.
const STAGGER: Duration = Duration::from_millis(1_500);
/// How long a duty that failed is left alone, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));

/// How often what used up its limits, or ended its worker, is tried again before the steward is asked.
const RETRIES: u32 = 2;

/// How many duties that were not done in time are remembered.
const MISSED: usize = 64;

/// What the driver remembers between looks.
#[derive(Default)]
struct Memory {
    // Since when each duty has been due, and what became of it.
    due: HashMap<(StudyId, String), Progress>,
    // What failed until it was no longer due, oldest first.
    missed: VecDeque<Failing>,
}

struct Progress {
    since: Instant,
    again: Instant,
    pause: Duration,
    running: Option<JoinHandle<Ended>>,
    done: bool,
    // How often it failed at a cost since the steward last asked for it.
    costly: u32,
    failing: Option<Failing>,
}

impl Progress {
    /// Whether it is tried again only when the steward says so.
    const fn waits(&self) -> bool {
        self.costly > RETRIES
    }

    fn ask_again(&mut self, now: Instant) {
        (self.costly, self.again, self.pause) = (0, now, RETRY.0);
        if let Some(failing) = &mut self.failing {
            failing.waits = false;
        }
    }
}

/// Works until the task is dropped.
pub(super) async fn run(studies: Arc<Studies>) {
    let mut blocks = studies.replica.chain.subscribe();
    let mut memory = Memory::default();
    loop {
        memory.look(&studies);
        let _ = tokio::time::timeout(TICK, async {
            match blocks.recv().await {
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => std::future::pending().await,
            }
        })
        .await;
    }
}

impl Memory {
    fn look(&mut self, studies: &Arc<Studies>) {
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
        let due = studies.replica.chain.read(|state| {
            // The ledger refuses what comes before its own time has come; the clock only says when to try.
            duties(state, &studies.replica.hospital, state.time().max(Timestamp::new(clock)))
        });
        // A ledger that cannot be read has been reported where it failed; nothing is owed to it.
        let Ok(due) = due else { return };
        let now = Instant::now();
        let current: std::collections::HashSet<_> = due.iter().map(name).collect();
        let missed = &mut self.missed;
        self.due.retain(|key, progress| {
            if current.contains(key) || progress.running.as_ref().is_some_and(|task| !task.is_finished()) {
                return true;
            }
            // It is no longer due: because it is done, or because it is too late.
            let ended = progress.running.as_mut().and_then(futures_now);
            if !matches!(ended, Some(Ended::Done))
                && let Some(failing) = progress.failing.take()
            {
                missed.push_back(Failing { over: true, ..failing });
            }
            false
        });
        missed.drain(..missed.len().saturating_sub(MISSED));
        for asked in studies.kept.failing.asked() {
            info!(study = asked.short(), "the steward wants it tried again");
            self.due.iter_mut().filter(|((study, _), _)| *study == asked).for_each(|(_, p)| p.ask_again(now));
        }
        for due in due {
            self.go_on(studies, due, clock, now);
        }
        let mut failing: Vec<Failing> = self.due.values().filter_map(|progress| progress.failing.clone()).collect();
        failing.extend(self.missed.iter().cloned());
        failing.sort_by(|a, b| (a.since_ms, a.study, &a.duty).cmp(&(b.since_ms, b.study, &b.duty)));
        studies.kept.failing.publish(failing);
    }

    /// Does what is due, unless it is being done, was tried a moment ago, or is another's turn.
    fn go_on(&mut self, studies: &Arc<Studies>, due: Due, clock: u64, now: Instant) {
        let progress = self.due.entry(name(&due)).or_insert_with(|| Progress {
            since: now,
            again: now,
            pause: RETRY.0,
            running: None,
            done: false,
            costly: 0,
            failing: None,
        });
        if let Some(running) = &mut progress.running {
            if !running.is_finished() {
                return;
            }
            let ended = futures_now(running).unwrap_or(Ended::NotTaken);
            progress.running = None;
            progress.done = matches!(ended, Ended::Done) && due.duty.is_done_silently();
            if matches!(&ended, Ended::Failed(failure) if failure.is_said) {
                progress.pause = RETRY.0;
            }
            if !matches!(ended, Ended::Done) {
                progress.again = now + progress.pause;
                progress.pause = (progress.pause * 2).min(RETRY.1);
            }
            progress.costly += u32::from(matches!(&ended, Ended::Failed(failure) if failure.is_costly));
            let waits = progress.waits();
            let failing = failing(&due, ended, progress.failing.take(), clock);
            progress.failing = failing.map(|failing| Failing { waits, ..failing });
        }
        let turn = progress.since + STAGGER * due.rank;
        if progress.done || progress.waits() || now < turn || now < progress.again {
            return;
        }
        let studies = studies.clone();
        progress.running = Some(tokio::spawn(async move { attempt::perform(&studies, &due).await }));
    }
}

fn name(due: &Due) -> (StudyId, String) {
    (due.study, format!("{:?}", due.duty))
}

/// What is told of a duty after an attempt, given what was told before.
fn failing(due: &Due, ended: Ended, before: Option<Failing>, clock: u64) -> Option<Failing> {
    let Ended::Failed(Failure { kind, told, message, .. }) = ended else { return None };
    Some(Failing {
        study: due.study,
        duty: due.duty.name().to_string(),
        since_ms: before.as_ref().map_or(clock, |b| b.since_ms),
        tries: before.map_or(1, |b| b.tries.saturating_add(1)),
        kind: kind.to_string(),
        told: told.to_string(),
        message,
        over: false,
        waits: false,
    })
}

/// The result of a task that has finished.
fn futures_now(task: &mut JoinHandle<Ended>) -> Option<Ended> {
    use std::future::Future as _;
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::Pin::new(task).poll(&mut context) {
        std::task::Poll::Ready(Ok(ended)) => Some(ended),
        std::task::Poll::Ready(Err(error)) => error.is_panic().then(|| Ended::Failed(Failure::of_a_panic())),
        std::task::Poll::Pending => None,
    }
}
