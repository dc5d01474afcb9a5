//! The worker that a node keeps from study to study.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use consilium_engine::cohort::CohortError;
use consilium_engine::disclosure::across::Repeatable;
use consilium_engine::pseudonym::LinkSecret;
use consilium_engine::statistics::{Compared, Layout};
use consilium_engine::store::{DatabaseError, Place, StoreConfig, StoreError, StoreSummary};
use consilium_engine::worker::frame::Caps;
use consilium_engine::worker::{Counted, EarlierStudy, HeldAgainst, Refusal, Reply, Request, Start, StudyJob, VERSION};
use consilium_protocol::catalogue::CatalogueTable;
use consilium_protocol::consent::Roll;
use consilium_protocol::study::StudySpec;
use tokio::sync::Mutex;
use tracing::info;
use zeroize::Zeroizing;

use super::fingerprint::Fingerprint;
use super::process::{Body, Process, access};
use super::{Bounds, Program, Trouble, WorkerError};

/// How long opening the tables may take: they are the hospital's own.
const OPENING: Duration = Duration::from_secs(3_600);
/// Least time for a study, whatever waits behind it.
const LEAST: Duration = Duration::from_secs(5);
/// Memory that each subject takes in a worker: its class, its person, its place in the gate.
const BY_SUBJECT: u64 = 192;
/// Memory that a byte takes of what is remembered, once it is looked at.
const BY_REMEMBERED: u64 = 64;
/// Memory that holding a study against others takes beside.
const HOLDING: u64 = 512 << 20;
/// For how many subjects there is room before a worker must be started anew.
const SUBJECTS: u64 = 1 << 24;
/// Memory that a byte of CSV takes at most: a field of one comma becomes a number of eight bytes.
const BY_CSV_BYTE: u64 = 10;
/// How much longer than it took a database stays open before it is opened again for what was closed in it.
const REOPENING: u32 = 10;
/// Rows of a result at most; they are patients.
const ROWS: u64 = 20_000_000;
/// The head of an answer: names out of the query, and what it reads.
const HEAD: u64 = 4 << 20;

/// What does not change from study to study.
#[derive(Debug)]
pub struct Settings {
    /// What is started.
    pub program: Program,
    /// The hospital's tables.
    pub store: StoreConfig,
    /// The consortium's own tables, which these may be.
    pub catalogue: Vec<CatalogueTable>,
    /// The key of its pseudonyms.
    pub link: LinkSecret,
    /// What a study may use up at most.
    pub bounds: Bounds,
}

/// What is to be computed.
#[derive(Debug)]
pub struct Job<'a> {
    /// The study.
    pub spec: &'a StudySpec,
    /// Where its numbers stand.
    pub layout: &'a Layout,
    /// What is compared with the threshold, of a guarded study.
    pub compared: &'a Compared,
    /// The hospital's subjects and what they allow.
    pub roll: &'a Roll,
    /// The smallest own count that leaves the hospital.
    pub min_site_count: u32,
    /// How many subjects the whole consortium has at most.
    pub subjects_bound: u64,
    /// How long it is until the round's deadline.
    pub left: Duration,
    /// What it is held against and remembered for; none of a private study.
    pub held: Option<Against<'a>>,
}

/// What a study is held against.
#[derive(Clone, Copy, Debug)]
pub struct Against<'a> {
    /// Earlier rounds, in the order of the ledger.
    pub before: &'a [Before],
    /// Whether no other hospital of the roster has contributed to any either.
    pub is_first: bool,
    /// What no number counts for more than.
    pub cap: u64,
}

/// An earlier round that this hospital contributed to.
pub struct Before {
    /// Its study.
    pub spec: StudySpec,
    /// Which sets of groups were released, where it is known and believed.
    pub released: Option<Vec<bool>>,
    /// Which are said to have been, if this one may repeat it.
    pub repeatable: Option<Vec<bool>>,
    /// What a worker remembered of it.
    pub remembered: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Before {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Before(..)")
    }
}

/// A hospital's worker: one process, one study at a time. It is started when it is needed and kept; after any death, when a file
/// of the store has changed, and when a study missed something in a database, it is started anew.
#[derive(Debug)]
pub struct Worker {
    settings: Settings,
    kept: Mutex<Option<Kept>>,
    /// Studies that wait, or are computed.
    waiting: AtomicU32,
}

struct Kept {
    process: Process,
    store: Fingerprint,
    /// The length of the list of subjects that it was given last.
    subjects: Option<usize>,
    /// For how many there is room.
    room: u64,
    opened: Opened,
}

/// When a store was opened, and what came of it.
struct Opened {
    at: Instant,
    took: Duration,
    /// Whether a study named what cannot be read, or is not there, in a database. Nothing else tells when that has changed.
    is_short: bool,
}

impl Opened {
    /// Whether it is worth opening again: not so often that the database does little else.
    fn is_stale(&self, now: Instant) -> bool {
        self.is_short && now.saturating_duration_since(self.at) >= REOPENING * self.took
    }
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kept(..)")
    }
}

/// Counts a study as waiting while it lives.
struct Waiting<'a>(&'a AtomicU32);

impl<'a> Waiting<'a> {
    fn among(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How long a study may take: at most `most`, and an equal share, with those that wait behind it, of four fifths of what is
/// `left` to its round's deadline. What one does not use, the next ones share.
fn share(most: Duration, left: Duration, waiting: u32) -> Duration {
    (left * 4 / 5 / waiting.max(1)).max(LEAST).min(most)
}

impl Worker {
    /// A worker that is not started yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings, kept: Mutex::new(None), waiting: AtomicU32::new(0) }
    }

    /// Starts the worker, unless it runs, and has it open the tables.
    ///
    /// # Errors
    /// [`Refusal::Store`] when something is wrong with a file; the next call looks again.
    pub async fn open(&self) -> Result<StoreSummary, Trouble> {
        let mut kept = self.kept.lock().await;
        let (opened, summary) = self.start(0).await?;
        *kept = Some(opened);
        Ok(summary)
    }

    /// Computes a study, when those that came before it are done.
    ///
    /// # Errors
    /// [`Trouble`]; no worker computes it any more then.
    pub async fn study(&self, job: &Job<'_>) -> Result<Counted, Trouble> {
        let waits = Waiting::among(&self.waiting);
        let mut kept = self.kept.lock().await;
        let store = Fingerprint::of(&self.settings.store.place);
        let count = job.roll.subjects.len();
        let before = kept.take();
        let was_there = before.is_some();
        let fit = before.and_then(|mut kept| {
            let is_fit = kept.store == store
                && count as u64 <= kept.room
                && !kept.opened.is_stale(Instant::now())
                && kept.process.is_alive();
            is_fit.then_some(kept)
        });
        let mut opened = match fit {
            Some(kept) => kept,
            None => {
                if was_there {
                    info!(
                        "the worker is started anew: it died, the store has changed, or a study missed something in it"
                    );
                }
                self.start(count).await?.0
            }
        };
        let most = self.settings.bounds;
        let time = share(most.time, job.left, self.waiting.load(Ordering::Relaxed));
        let bounds = Bounds { time, ..most };
        let answer = opened.study(job, &bounds).await;
        // A worker that was stopped in the middle, that panicked, or whose files are not what they were is of no use any more.
        let is_fit = match &answer {
            Ok(_) => true,
            // The next study asks the database anew.
            Err(Trouble::Refused(Refusal::Store(error) | Refusal::Cohort(CohortError::Store(error)))) => {
                error.is_passing() && !matches!(error, StoreError::Database(DatabaseError::Changed { .. }))
            }
            Err(Trouble::Refused(Refusal::Cohort(error))) => {
                !matches!(error, CohortError::StoreChanged | CohortError::Internal | CohortError::Planner)
            }
            Err(Trouble::Refused(refusal)) => matches!(refusal, Refusal::Statistics(_)),
            Err(Trouble::Worker(_)) => false,
        };
        opened.opened.is_short |=
            matches!(self.settings.store.place, Place::Database(_)) && answer.as_ref().is_err_and(is_missed);
        if is_fit {
            *kept = Some(opened);
        }
        drop(waits);
        answer
    }

    async fn start(&self, subjects: usize) -> Result<(Kept, StoreSummary), Trouble> {
        let Settings { program, store, catalogue, link, bounds } = &self.settings;
        // Taken before it reads: a file that changes meanwhile is noticed at the next study.
        let fingerprint = Fingerprint::of(&store.place);
        let room = SUBJECTS.max(2 * subjects as u64);
        let held = fingerprint.csv_bytes().saturating_mul(BY_CSV_BYTE).saturating_add(room * BY_SUBJECT);
        let start = Start {
            version: VERSION,
            store: Some(store.clone()),
            catalogue: catalogue.clone(),
            access: access(store)?,
            link: Some(link.into()),
            threads: u32::try_from(bounds.threads).unwrap_or(1),
        };
        let opening = Bounds { time: OPENING, processor: OPENING, ..*bounds };
        let begun = Instant::now();
        let (process, _, summary) = Process::start(program, &start, &opening, held).await?;
        let summary = summary.ok_or(WorkerError::Protocol)?;
        let at = Instant::now();
        let opened = Opened { at, took: at.saturating_duration_since(begun), is_short: false };
        Ok((Kept { process, store: fingerprint, subjects: None, room, opened }, summary))
    }
}

impl Kept {
    async fn study(&mut self, job: &Job<'_>, bounds: &Bounds) -> Result<Counted, Trouble> {
        let Job { spec, layout, compared, roll, .. } = job;
        let count = roll.subjects.len();
        let held = count as u64 * BY_SUBJECT;
        if self.subjects != Some(count) {
            let (caps, body) = (Caps { head: HEAD, body: 0 }, Body::Subjects(&roll.subjects));
            match self.process.ask(&Request::Subjects, body, caps, bounds, held).await? {
                (Reply::Enrolled, _) => self.subjects = Some(count),
                _ => return Err(WorkerError::Protocol.into()),
            }
        }
        let request = Request::Study(StudyJob {
            spec: spec.to_canonical(),
            classes: roll.classes.clone(),
            as_of: roll.day,
            class_width: roll.class_of.width(),
            min_site_count: job.min_site_count,
            subjects_bound: job.subjects_bound,
            // The rest is for what operators do not account for.
            memory_bytes: bounds.memory_bytes / 4 * 3,
            rows: ROWS,
            held: job.held.map(|Against { before, is_first, cap }| HeldAgainst {
                before: before.iter().map(earlier).collect(),
                is_first,
                cap,
            }),
        });
        let caps = Caps { head: HEAD, body: Counted::most_bytes(spec, layout, compared, count) as u64 };
        let before = job.held.iter().flat_map(|against| against.before);
        let parts: Vec<&[u8]> =
            std::iter::once(roll.class_of.as_bytes()).chain(before.map(|one| one.remembered.as_slice())).collect();
        let remembered = parts.iter().skip(1).map(|part| part.len() as u64).sum::<u64>();
        let held = held + if remembered > 0 { HOLDING + remembered * BY_REMEMBERED } else { 0 };
        let (reply, body) = self.process.ask(&request, Body::Parts(&parts), caps, bounds, held).await?;
        Counted::read(&reply, &body, layout, compared, count).ok_or_else(|| WorkerError::Protocol.into())
    }
}

/// Whether a study named what was closed when the store was opened, or was not there.
const fn is_missed(trouble: &Trouble) -> bool {
    let Trouble::Refused(Refusal::Cohort(error)) = trouble else { return false };
    matches!(
        error,
        CohortError::UnreadableTable { .. } | CohortError::UnreadableColumn { .. } | CohortError::UnknownTable { .. }
    )
}

/// Those that may be repeated.
pub fn repeatable(before: &[Before]) -> Vec<Repeatable> {
    let one = |one: &Before| Some(Repeatable { spec: one.spec.clone(), released: one.repeatable.clone()? });
    before.iter().filter_map(one).collect()
}

fn earlier(one: &Before) -> EarlierStudy {
    EarlierStudy {
        spec: one.spec.to_canonical(),
        released: one.released.clone(),
        repeatable: one.repeatable.clone(),
        bytes: one.remembered.len() as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_closed_is_looked_for_again_and_not_all_the_time() {
        let (at, took) = (Instant::now(), Duration::from_secs(60));
        let after = |seconds| at + Duration::from_secs(seconds);
        let opened = |is_short| Opened { at, took, is_short };
        assert!(!opened(false).is_stale(after(86_400)), "nothing was missed");
        assert!(!opened(true).is_stale(after(599)), "a tenth of the time is enough");
        assert!(opened(true).is_stale(after(600)));
        let missed = |error| is_missed(&Trouble::Refused(Refusal::Cohort(error)));
        let name = || "death".to_string();
        assert!(missed(CohortError::UnreadableTable { name: name() }));
        assert!(missed(CohortError::UnreadableColumn { name: name() }));
        assert!(missed(CohortError::UnknownTable { name: name(), near: None }));
        assert!(
            !missed(CohortError::UnknownColumn { name: name(), near: None })
                && !missed(CohortError::TooManyRows { limit: 1 })
        );
        assert!(!is_missed(&Trouble::Worker(WorkerError::Ended)));
    }

    #[test]
    fn the_queue_fits_into_the_rounds_deadline() {
        let (most, hour) = (Duration::from_secs(600), Duration::from_secs(3_600));
        assert_eq!(share(most, hour, 1), most, "alone");
        assert_eq!(share(most, Duration::ZERO, 1), LEAST);
        assert_eq!(share(Duration::from_secs(2), Duration::ZERO, 1), Duration::from_secs(2));
        for waiting in [2u32, 10, 50] {
            // All of them use up what they are given.
            let (mut left, mut used) = (hour, Duration::ZERO);
            for behind in (1..=waiting).rev() {
                let own = share(most, left, behind);
                used += own;
                left = left.saturating_sub(own);
            }
            assert!(used < hour, "{waiting} studies take {used:?}");
        }
    }
}
