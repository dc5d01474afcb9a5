//! What leaves a worker: the closed set of it.

use borsh::{BorshDeserialize, BorshSerialize};
use consilium_protocol::study::StudySpec;
use zeroize::Zeroizing;

use crate::cohort::{CohortError, Reads};
use crate::disclosure::across::Record;
use crate::statistics::{Compared, Layout, LocalCells, StatisticsError};
use crate::store::{StoreError, StoreSummary};

/// An answer.
#[derive(BorshSerialize, BorshDeserialize)]
pub enum Reply {
    /// To `Start`: the worker is ready.
    Ready {
        /// [`VERSION`](super::VERSION) of the worker.
        version: u32,
        /// What keeps it from the rest of the machine.
        isolation: Isolation,
        /// What the store holds, if there is one.
        summary: Option<StoreSummary>,
    },
    /// To `Subjects`.
    Enrolled,
    /// To `Study`: the body holds who was counted, the cells, and what is to be remembered; see [`Counted`].
    Counted {
        /// How many patients were left out because they had several rows.
        duplicates: u64,
        /// How many rows were left out because they were of nobody.
        strays: u64,
        /// How many bytes of the body are to be remembered.
        remembered: u64,
    },
    /// To `Check` and `Try`: what the query reads.
    Reads(Reads),
    /// To `Probe`: whether it could.
    Probed(bool),
    /// To any: why not.
    Refused(Refusal),
}

/// What keeps a worker from the rest of the machine, besides the limits that its node sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Isolation {
    /// The version of Landlock's interface that is in force; 0 where the kernel has none.
    pub landlock: u32,
    /// Whether it yields the processor to everything else.
    pub lowest_priority: bool,
    /// Whether other processes of the same user are kept from reading its memory.
    pub not_dumpable: bool,
    /// Whether the kernel kills it first when memory runs out.
    pub first_to_go: bool,
}

/// Why there is no answer. Carries names out of the query's text and of the hospital's files, never a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, BorshSerialize, BorshDeserialize)]
#[non_exhaustive]
pub enum Refusal {
    /// Another version of the program.
    #[error("the program's file was replaced by another version; start the node again")]
    Version,
    /// The tables cannot be read.
    #[error("the store: {0}")]
    Store(#[from] StoreError),
    /// The query was refused, or failed.
    #[error("the cohort: {0}")]
    Cohort(#[from] CohortError),
    /// The statistics could not be computed.
    #[error("the statistics: {0}")]
    Statistics(#[from] StatisticsError),
    /// A message that does not fit what came before it.
    #[error("a message to the worker was out of order; report this")]
    Order,
    /// A panic. What it said may quote rows, so it is not repeated.
    #[error("the query engine panicked; keep the query and report this")]
    Panicked,
}

/// What a study came to at this hospital, as the node takes it.
#[derive(Debug)]
pub struct Counted {
    /// The cells.
    pub cells: LocalCells,
    /// Who was in the cohort, one bit for each subject, the lowest bit of a byte first.
    pub members: Vec<u8>,
    /// How many patients were left out because they had several rows.
    pub duplicates: u64,
    /// How many rows were left out because they were of nobody.
    pub strays: u64,
    /// What is to be remembered of it: rows of some patients, so it is encrypted before it is kept.
    pub remembered: Zeroizing<Vec<u8>>,
}

impl Counted {
    /// How long the body of an answer is at most.
    pub fn most_bytes(spec: &StudySpec, layout: &Layout, compared: &Compared, subjects: usize) -> usize {
        Self::body_bytes(layout, compared, subjects) + Record::most_bytes(spec, layout, subjects)
    }

    /// How long the body of an answer is without what is to be remembered.
    pub fn body_bytes(layout: &Layout, compared: &Compared, subjects: usize) -> usize {
        subjects.div_ceil(8) + LocalCells::piped_bytes(layout, compared)
    }

    /// Reads an answer to `Study`. `None` when it is another, or its body not as long as it must be: who was in the cohort,
    /// the cells, then what is to be remembered.
    pub fn read(reply: &Reply, body: &[u8], layout: &Layout, compared: &Compared, subjects: usize) -> Option<Self> {
        let Reply::Counted { duplicates, strays, remembered } = *reply else { return None };
        let (members, rest) = body.split_at_checked(subjects.div_ceil(8))?;
        let (cells, rest) = rest.split_at_checked(LocalCells::piped_bytes(layout, compared))?;
        if rest.len() as u64 != remembered {
            return None;
        }
        Some(Self {
            cells: LocalCells::from_pipe(cells, layout, compared)?,
            members: members.to_vec(),
            duplicates,
            strays,
            remembered: Zeroizing::new(rest.to_vec()),
        })
    }
}

/// Reads the canonical form of a study, which the ledger has checked already.
pub(super) fn spec(canonical: &[u8]) -> Result<StudySpec, Refusal> {
    StudySpec::from_canonical(canonical).map_err(|_| Refusal::Order)
}
