//! What a worker does with each request.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use consilium_protocol::consent::{AllowedData, ClassList};
use consilium_protocol::ids::SubjectId;
use zeroize::Zeroizing;

use super::reply::spec;
use super::request::{EarlierStudy, HeldAgainst, Request, Start, StudyJob};
use super::{Probe, Refusal, Reply};
use crate::cohort::{self, Limits};
use crate::disclosure::across::{self, Before, Record};
use crate::disclosure::guarded;
use crate::gate::Gate;
use crate::pseudonym::LinkSecret;
use crate::statistics::{self, Layout, StatisticsError};
use crate::store::{Dial, Store, StoreSummary, Subjects};

/// The node holds the watch, and kills.
const NO_DEADLINE: Duration = Duration::from_secs(30 * 86_400);

/// A worker between two requests.
pub(super) struct Desk {
    store: Option<Store>,
    link: Option<LinkSecret>,
    threads: usize,
    /// The subjects that the node named.
    subjects: Vec<SubjectId>,
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
    pub(super) async fn open(
        start: &Start,
        dial: Option<Arc<dyn Dial>>,
    ) -> Result<(Self, Option<StoreSummary>), Refusal> {
        let store = match &start.store {
            Some(config) => {
                let access = start.access.clone().zip(dial);
                Some(Store::open_with(config, &start.catalogue, access).await?)
            }
            None => None,
        };
        let summary = store.as_ref().map(Store::summary);
        let link = start.link.as_ref().map(|secret| secret.link());
        if let (Some(store), Some(link)) = (&store, &link) {
            // Now, so that the node sees what a worker holds when it has nothing to do.
            drop(store.derived(link));
        }
        let threads = usize::try_from(start.threads).unwrap_or(1).max(1);
        Ok((Self { store, link, threads, subjects: Vec::new(), people: Vec::new() }, summary))
    }

    pub(super) async fn answer(&mut self, request: Request, body: Vec<u8>) -> Answer {
        match request {
            Request::Subjects => {
                let (listed, rest) = body.as_chunks::<16>();
                if u32::try_from(listed.len()).is_err() || !rest.is_empty() || !listed.is_sorted() {
                    return Err(Refusal::Order);
                }
                self.subjects = listed.iter().map(|subject| SubjectId::from_bytes(*subject)).collect();
                self.find()?;
                plain(Reply::Enrolled)
            }
            Request::Study(job) => self.study(&job, body).await,
            Request::Try(canonical) => {
                let (store, spec) = (self.store.as_ref().ok_or(Refusal::Order)?, spec(&canonical)?);
                let limits = Limits { time: NO_DEADLINE, threads: self.threads, ..Limits::default() };
                let cohort = cohort::run_through(
                    store,
                    Arc::new(Subjects::none()),
                    Gate::shut(),
                    &spec,
                    cohort::any_day(),
                    &limits,
                )
                .await?;
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

    /// Finds the people whose subjects the node named.
    fn find(&mut self) -> Result<(), Refusal> {
        let (Some(store), Some(link)) = (&self.store, &self.link) else { return Err(Refusal::Order) };
        self.people.clear();
        let mut positions = (0u32..).zip(&self.subjects).peekable();
        for (person, subject) in store.derived(link).iter() {
            while positions.next_if(|(_, listed)| *listed < subject).is_some() {}
            let own = positions.peek().filter(|(_, listed)| *listed == subject);
            self.people.extend(own.map(|(position, _)| (*person, *position)));
        }
        Ok(())
    }

    /// The people who allow anything, each with the class of it.
    fn allowing(&self, class_of: &ClassList, classes: &[AllowedData]) -> Vec<(i64, u32)> {
        let open: Vec<bool> = classes.iter().map(|allowed| !allowed.is_empty()).collect();
        let class =
            |position: u32| class_of.get(position as usize).filter(|class| open.get(*class as usize) == Some(&true));
        self.people.iter().filter_map(|(person, position)| Some((*person, class(*position)?))).collect()
    }

    async fn study(&mut self, job: &StudyJob, mut body: Vec<u8>) -> Answer {
        if let Some(store) = &mut self.store
            && store.renew().await?
        {
            self.find()?;
        }
        let (Some(store), Some(link)) = (&self.store, &self.link) else { return Err(Refusal::Order) };
        let spec = spec(&job.spec)?;
        let classes = usize::from(job.class_width) * self.subjects.len();
        if body.len() < classes {
            return Err(Refusal::Order);
        }
        let earlier = Zeroizing::new(body.split_off(classes));
        let before = before(job, &earlier)?;
        let class_of = ClassList::from_bytes(job.class_width, body).ok_or(Refusal::Order)?;
        if class_of.len() != self.subjects.len() {
            return Err(Refusal::Order);
        }
        let layout = Layout::of(&spec)?;
        let compared =
            guarded::compared(&spec, &layout, &across::repeatable(&before)).map_err(|_| StatisticsError::Layout)?;
        let gate = Gate::of(&self.allowing(&class_of, &job.classes), &job.classes);
        let limits = Limits {
            memory_bytes: usize::try_from(job.memory_bytes).unwrap_or(usize::MAX),
            rows: usize::try_from(job.rows).unwrap_or(usize::MAX),
            time: NO_DEADLINE,
            threads: self.threads,
            ..Limits::default()
        };
        let cohort = cohort::run_through(store, store.derived(link), gate, &spec, job.as_of, &limits).await?;
        let mut cells =
            statistics::compute(&spec, &layout, &compared, &cohort.batches, job.min_site_count, job.subjects_bound)
                .await?;
        let mut remembered = Zeroizing::default();
        if let Some(HeldAgainst { cap, is_first, .. }) = &job.held {
            let rows = statistics::rows(&spec, &layout, &cohort.batches).await?;
            let subjects = self.subjects_of(&cohort.persons)?;
            let whom = across::Cohort { rows: &rows, subjects: &subjects, patients: self.people.len() };
            let past = across::Past { before: &before, is_first: *is_first };
            let held = across::hold(&spec, &layout, &whom, past, *cap)?;
            cells.hold(&held.at_most, &held.changed);
            remembered = Zeroizing::new(borsh::to_vec(&held.record).map_err(|_| Refusal::Order)?);
        }
        let mut body = Zeroizing::new(vec![0u8; self.subjects.len().div_ceil(8)]);
        for (_, position) in self.people.iter().filter(|(person, _)| cohort.has(*person)) {
            body[*position as usize / 8] |= 1 << (position % 8);
        }
        cells.pipe_to(&mut body);
        let mut whole = Zeroizing::new(Vec::with_capacity(body.len() + remembered.len()));
        whole.extend_from_slice(&body);
        whole.extend_from_slice(&remembered);
        let (duplicates, strays) = (cohort.duplicates as u64, cohort.strays as u64);
        Ok((Reply::Counted { duplicates, strays, remembered: remembered.len() as u64 }, whole))
    }

    /// The subjects of some of the people.
    fn subjects_of(&self, persons: &[i64]) -> Result<Vec<SubjectId>, Refusal> {
        let positions: HashMap<i64, u32> = self.people.iter().copied().collect();
        let subject = |person| Some(self.subjects[*positions.get(person)? as usize]);
        persons.iter().map(subject).collect::<Option<_>>().ok_or(Refusal::Order)
    }
}

/// The earlier studies that one is held against, with what is remembered of each.
fn before(job: &StudyJob, mut remembered: &[u8]) -> Result<Vec<Before>, Refusal> {
    let earlier = job.held.iter().flat_map(|held| &held.before);
    let one = |of: &EarlierStudy| {
        let bytes = usize::try_from(of.bytes).map_err(|_| Refusal::Order)?;
        let (own, rest) = remembered.split_at_checked(bytes).ok_or(Refusal::Order)?;
        remembered = rest;
        // What was remembered of a study of which nothing is, is nothing.
        let record: Option<Record> = borsh::from_slice(own).map_err(|_| Refusal::Order)?;
        let record = record.ok_or(Refusal::Order)?;
        Ok(Before { spec: spec(&of.spec)?, released: of.released.clone(), repeatable: of.repeatable.clone(), record })
    };
    let before = earlier.map(one).collect::<Result<Vec<_>, Refusal>>()?;
    if remembered.is_empty() { Ok(before) } else { Err(Refusal::Order) }
}
