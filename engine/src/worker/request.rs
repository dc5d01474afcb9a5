//! What a node asks of its worker.

use borsh::{BorshDeserialize, BorshSerialize};
use consilium_protocol::catalogue::CatalogueTable;
use consilium_protocol::consent::AllowedData;
use consilium_protocol::ids::Date;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::Probe;
use crate::pseudonym::LinkSecret;
use crate::store::{Access, StoreConfig};

/// The first message: what the worker is.
#[derive(BorshSerialize, BorshDeserialize)]
pub struct Start {
    /// [`VERSION`](super::VERSION) of the node.
    pub version: u32,
    /// The tables to open; without, it only checks queries.
    pub store: Option<StoreConfig>,
    /// The consortium's own tables, which the store may have.
    pub catalogue: Vec<CatalogueTable>,
    /// What a database is opened with, where the tables are in one.
    pub access: Option<Access>,
    /// The hospital's link secret; without, nobody is found.
    pub link: Option<Secret>,
    /// How many threads it may use.
    pub threads: u32,
}

/// Erased when dropped.
#[derive(BorshSerialize, BorshDeserialize, Zeroize, ZeroizeOnDrop)]
pub struct Secret([u8; 32]);

impl From<&LinkSecret> for Secret {
    fn from(link: &LinkSecret) -> Self {
        Self(*link.seed())
    }
}

impl Secret {
    pub(super) fn link(&self) -> LinkSecret {
        LinkSecret::from_seed(self.0)
    }
}

/// Every later message. Each has one answer.
#[derive(BorshSerialize, BorshDeserialize)]
pub enum Request {
    /// The hospital's subjects, ascending; the body has 16 bytes for each. They hold until the next list.
    Subjects,
    /// Compute a study; the body has the class of each subject, then what is remembered of earlier studies.
    Study(StudyJob),
    /// Plan and run a study's query, in its canonical form, over the store with nobody's consent.
    Try(Vec<u8>),
    /// Plan a study's query, in its canonical form, over OMOP's tables without a store.
    Check(Vec<u8>),
    /// Do what a worker must not be able to do.
    Probe(Probe),
}

/// One study.
#[derive(BorshSerialize, BorshDeserialize)]
pub struct StudyJob {
    /// The study in its canonical form.
    pub spec: Vec<u8>,
    /// What the classes allow.
    pub classes: Vec<AllowedData>,
    /// What the query calls `as_of()`: the day of the block that opened the round.
    pub as_of: Date,
    /// How many bytes of the body each subject takes.
    pub class_width: u8,
    /// The smallest own count that leaves the hospital.
    pub min_site_count: u32,
    /// How many subjects the whole consortium has at most.
    pub subjects_bound: u64,
    /// Memory of the query's operators and of its result, in bytes.
    pub memory_bytes: u64,
    /// The most rows of the result.
    pub rows: u64,
    /// What it is held against, unless nothing is remembered of it either.
    pub held: Option<HeldAgainst>,
}

/// What a study is held against.
#[derive(BorshSerialize, BorshDeserialize)]
pub struct HeldAgainst {
    /// Earlier studies, in the order of the ledger.
    pub before: Vec<EarlierStudy>,
    /// Whether no other of the roster contributed to anything before either.
    pub is_first: bool,
    /// What no number counts for more than.
    pub cap: u64,
}

/// One of them.
#[derive(BorshSerialize, BorshDeserialize)]
pub struct EarlierStudy {
    /// The study in its canonical form.
    pub spec: Vec<u8>,
    /// Which sets of groups were released, where it is known and believed.
    pub released: Option<Vec<bool>>,
    /// Which are said to have been, if the same hospitals took part, and it stood on the ledger when the round was opened.
    pub repeatable: Option<Vec<bool>>,
    /// How many bytes of the body are what is remembered of it.
    pub bytes: u64,
}
