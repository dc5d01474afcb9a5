//! What a worker does with each request.

use std::sync::Arc;
use std::time::Duration;

use consilium_protocol::consent::{AllowedData, ClassList};
use zeroize::Zeroizing;

use super::reply::spec;
use super::request::{Request, Start, StudyJob};
use super::{Probe, Refusal, Reply};
use crate::cohort::{self, Limits};
use crate::disclosure::guarded;
use crate::gate::Gate;
use crate::pseudonym::LinkSecret;
use crate::statistics::{self, Layout, StatisticsError};
use crate::store::{Store, StoreSummary, Subjects};

/// The node holds the watch, and kills.
const NO_DEADLINE: Duration = Duration::from_secs(30 * 86_400);

/// A worker between two requests.
pub(super) struct Desk {
    store: Option<Store>,
    link: Option<LinkSecret>,
    threads: usize,
    /// How many subjects the node named.
    subjects: usize,
    /// The people of the store among them, each with the position of its subject.
    people: Vec<(i64, u32)>,
}

/// What is answered: a head and its body.
type Answer = Result<(Reply, Zeroizing<Vec<u8>>), Refusal>;

fn plain(reply: Reply) -> Answer {
    Ok((reply, Zeroizing::default()))
}

impl Desk {
    /// Opens the store.
    pub(super) async fn open(start: &Start) -> Result<(Self, Option<StoreSummary>), Refusal> {
        let store = match &start.store {
            Some(config) => Some(Store::open(config).await?),
            None => None,
        };
        let summary = store.as_ref().map(Store::summary);
        let link = start.link.as_ref().map(|secret| secret.link());
        if let (Some(store), Some(link)) = (&store, &link) {
            // Now, so that the node sees what a worker holds when it has nothing to do.
            drop(store.derived(link));
        }
        let threads = usize::try_from(start.threads).unwrap_or(1).max(1);
        Ok((Self { store, link, threads, subjects: 0, people: Vec::new() }, summary))
    }

    pub(super) async fn answer(&mut self, request: Request, body: Vec<u8>) -> Answer {
        match request {
            Request::Subjects => {
                self.find(&body)?;
                plain(Reply::Enrolled)
            }
            Request::Study(job) => self.study(&job, body).await,
            Request::Try(canonical) => {
                let (store, spec) = (self.store.as_ref().ok_or(Refusal::Order)?, spec(&canonical)?);
                let limits = Limits { time: NO_DEADLINE, threads: self.threads, ..Limits::default() };
                let cohort =
                    cohort::run_through(store, Arc::new(Subjects::none()), Gate::shut(), &spec, &limits).await?;
                plain(Reply::Reads(cohort.reads))
            }
            Request::Check(canonical) => plain(Reply::Reads(cohort::check(&spec(&canonical)?).await?)),
            Request::Probe(probe) => {
                let done = Reply::Probed(probe.attempt());
                let extra = if let Probe::Output(bytes) = probe { usize::try_from(bytes).unwrap_or(0) } else { 0 };
                Ok((done, Zeroizing::new(vec![0; extra])))
            }
        }
    }

    /// Finds the people whose subjects these are.
    fn find(&mut self, subjects: &[u8]) -> Result<(), Refusal> {
        let (listed, rest) = subjects.as_chunks::<16>();
        let fits = u32::try_from(listed.len()).is_ok() && rest.is_empty() && listed.is_sorted();
        let (Some(store), Some(link), true) = (&self.store, &self.link, fits) else { return Err(Refusal::Order) };
        self.people.clear();
        let mut positions = (0u32..).zip(listed).peekable();
        for (person, subject) in store.derived(link).iter() {
            while positions.next_if(|(_, listed)| *listed < subject.as_bytes()).is_some() {}
            let own = positions.peek().filter(|(_, listed)| *listed == subject.as_bytes());
            self.people.extend(own.map(|(position, _)| (*person, *position)));
        }
        self.subjects = listed.len();
        Ok(())
    }

    /// The people who allow anything, each with the class of it.
    fn allowing(&self, class_of: &ClassList, classes: &[AllowedData]) -> Vec<(i64, u32)> {
        let open: Vec<bool> = classes.iter().map(|allowed| !allowed.is_empty()).collect();
        let class =
            |position: u32| class_of.get(position as usize).filter(|class| open.get(*class as usize) == Some(&true));
        self.people.iter().filter_map(|(person, position)| Some((*person, class(*position)?))).collect()
    }

    async fn study(&self, job: &StudyJob, body: Vec<u8>) -> Answer {
        let (Some(store), Some(link)) = (&self.store, &self.link) else { return Err(Refusal::Order) };
        let spec = spec(&job.spec)?;
        let class_of = ClassList::from_bytes(job.class_width, body).ok_or(Refusal::Order)?;
        if class_of.len() != self.subjects {
            return Err(Refusal::Order);
        }
        let layout = Layout::of(&spec)?;
        let compared = guarded::compared(&spec, &layout).map_err(|_| StatisticsError::Layout)?;
        let gate = Gate::of(&self.allowing(&class_of, &job.classes), &job.classes);
        let limits = Limits {
            memory_bytes: usize::try_from(job.memory_bytes).unwrap_or(usize::MAX),
            rows: usize::try_from(job.rows).unwrap_or(usize::MAX),
            time: NO_DEADLINE,
            threads: self.threads,
        };
        let cohort = cohort::run_through(store, store.derived(link), gate, &spec, &limits).await?;
        let cells =
            statistics::compute(&spec, &layout, &compared, &cohort.batches, job.min_site_count, job.subjects_bound)
                .await?;
        let mut body = Zeroizing::new(vec![0u8; self.subjects.div_ceil(8)]);
        for (_, position) in self.people.iter().filter(|(person, _)| cohort.has(*person)) {
            body[*position as usize / 8] |= 1 << (position % 8);
        }
        cells.pipe_to(&mut body);
        let (duplicates, strays) = (cohort.duplicates as u64, cohort.strays as u64);
        Ok((Reply::Counted { duplicates, strays }, body))
    }
}
