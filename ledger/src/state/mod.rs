//! What the blocks so far add up to.
//!
//! [`State`] is a value: it reads no disk and no clock. [`apply`](crate::apply::apply) alone changes it, block by block;
//! what a block changed can be stored and hashed or taken back. Its parts: [`members`], [`consent`],
//! [`study`]; [`reading`] answers what consent allows, [`due`] what needs somebody soon.
//!
//! Every entry is stored under a typed key, a byte for its kind and the borsh encoding of its name:
//!
//! | byte | key | value |
//! |---|---|---|
//! | 0 | none | [`Figures`] |
//! | 1 | [`Signer`] | [`Sequence`] |
//! | 2 | [`ResearcherId`] | [`members::Researcher`] |
//! | 3 | [`TxHash`] of the proposal | [`members::Ballot`] |
//! | 4 | [`consent::SubjectKey`] | [`consent::Subject`] |
//! | 5 | [`ContentHash`] of the terms | [`Terms`] |
//! | 6 | [`StudyId`] | [`study::Proposal`] |
//! | 7 | [`StudyId`] | [`study::Course`] |
//! | 8 | [`HospitalId`] | [`study::GuardKeys`] |
//! | 9 | [`HospitalId`] | [`MicroRho`], what private studies have lost so far |

pub mod consent;
pub mod due;
pub mod members;
pub mod reading;
pub mod study;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use consilium_protocol::consent::{DiseaseTree, Terms};
use consilium_protocol::genesis::{Genesis, Member};
use consilium_protocol::hash::tagged;
use consilium_protocol::ids::{
    AppHash, BlockHash, ContentHash, Date, Height, HospitalId, LedgerId, PatientId, ResearcherId, RoundNumber,
    Sequence, StudyId, SubjectId, Timestamp, TxHash,
};
use consilium_protocol::privacy::MicroRho;
use consilium_protocol::tx::Signer;

use crate::certificate::Validator;
use consent::{KeyRole, Subject, SubjectKey};
use members::{Ballot, Researcher};
use study::{Course, GuardKeys, Phase, Proposal, Study};
use table::Table;

/// A block, as things that happened in it are dated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Moment {
    /// The block's height.
    pub height: Height,
    /// The block's time.
    pub time: Timestamp,
}

/// The end of the ledger so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Head {
    /// The last block's height and time; the genesis file's when there is none.
    pub moment: Moment,
    /// The last block; the genesis file's hash when there is none.
    pub block: BlockHash,
    /// What all transactions so far have resulted in.
    pub app_hash: AppHash,
}

/// Running figures of the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Figures {
    /// Transactions in blocks.
    pub transactions: u64,
    /// Those of them that were rejected.
    pub rejected: u64,
    /// Subjects enrolled.
    pub subjects: u64,
    /// Consent documents ever recorded.
    pub grants: u64,
    /// The encoded length, in bytes, of the transactions that recorded them.
    pub grant_bytes: u64,
    /// Consent documents revoked (not: superseded).
    pub revocations: u64,
    /// Consent documents that are current.
    pub current_documents: u64,
    /// Studies proposed.
    pub studies: u64,
}

/// An entry as it is stored: its typed key, and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// Bytes that are no entry of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an entry of the stored state cannot be read; restore the ledger from another member's export")]
pub struct EntryError;

/// What never changes: the genesis file, and what follows from it.
#[derive(Debug)]
struct Charter {
    genesis: Genesis,
    ledger_id: LedgerId,
    diseases: DiseaseTree,
    members: BTreeSet<HospitalId>,
    validators: Vec<Validator>,
}

/// What the blocks so far add up to.
#[derive(Clone, Debug)]
pub struct State {
    charter: Arc<Charter>,
    head: Head,
    pub(crate) figures: Table<(), Figures>,
    pub(crate) sequences: Table<Signer, Sequence>,
    pub(crate) researchers: Table<ResearcherId, Researcher>,
    pub(crate) ballots: Table<TxHash, Ballot>,
    pub(crate) subjects: Table<SubjectKey, Subject>,
    pub(crate) terms: Table<ContentHash, Terms>,
    pub(crate) proposals: Table<StudyId, Proposal>,
    courses: Table<StudyId, Course>,
    pub(crate) guard_keys: Table<HospitalId, GuardKeys>,
    pub(crate) privacy_losses: Table<HospitalId, MicroRho>,
    /// Follows from `subjects`: whose key it is.
    pub(crate) patients: Table<PatientId, SubjectKey>,
    /// Follows from `courses`: those that wait for members, and may expire.
    waiting: BTreeSet<StudyId>,
    /// Follows from `subjects`: those with a new key that waits for its time.
    rotating: BTreeSet<SubjectKey>,
}

impl State {
    /// The state before the first block.
    pub fn new(genesis: &Genesis) -> Self {
        let members = genesis.member.iter().map(|m| m.id).collect();
        let validator = |m: &Member| Validator { id: m.id, consensus_key: m.consensus_key };
        let charter = Charter {
            diseases: genesis.diseases(),
            members,
            validators: genesis.member.iter().map(validator).collect(),
            genesis: genesis.clone(),
            ledger_id: genesis.ledger(),
        };
        let block = genesis.hash();
        let head = Head {
            moment: Moment { height: Height::new(0), time: genesis.time_ms },
            block,
            app_hash: AppHash::from_bytes(tagged("consilium/app-genesis/v1", &[block.as_bytes()])),
        };
        let mut figures = Table::default();
        figures.put((), Figures::default());
        figures.settle();
        Self {
            charter: Arc::new(charter),
            head,
            figures,
            sequences: Table::default(),
            researchers: Table::default(),
            ballots: Table::default(),
            subjects: Table::default(),
            terms: Table::default(),
            proposals: Table::default(),
            courses: Table::default(),
            guard_keys: Table::default(),
            privacy_losses: Table::default(),
            patients: Table::default(),
            waiting: BTreeSet::new(),
            rotating: BTreeSet::new(),
        }
    }

    /// The ledger that this is the state of.
    pub fn ledger_id(&self) -> &LedgerId {
        &self.charter.ledger_id
    }

    /// The founding document.
    pub fn genesis(&self) -> &Genesis {
        &self.charter.genesis
    }

    /// The consortium's disease vocabulary.
    pub fn diseases(&self) -> &DiseaseTree {
        &self.charter.diseases
    }

    /// The end of the ledger so far.
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// The height of the last block; 0 when there is none.
    pub const fn height(&self) -> Height {
        self.head.moment.height
    }

    /// The time of the last block; the genesis file's when there is none.
    pub const fn time(&self) -> Timestamp {
        self.head.moment.time
    }

    /// The members, ascending.
    pub fn members(&self) -> &[Member] {
        &self.charter.genesis.member
    }

    /// Whether the hospital is a member.
    pub fn is_member(&self, hospital: &HospitalId) -> bool {
        self.charter.members.contains(hospital)
    }

    /// Who signs blocks.
    pub fn validators(&self) -> &[Validator] {
        &self.charter.validators
    }

    /// Running figures.
    pub fn figures(&self) -> Figures {
        self.figures.get(&()).copied().unwrap_or_default()
    }

    /// The sequence number that the signer's next transaction must exceed.
    pub fn last_sequence(&self, signer: &Signer) -> Sequence {
        self.sequences.get(signer).copied().unwrap_or_default()
    }

    /// The accredited researchers, ascending.
    pub fn researchers(&self) -> &BTreeMap<ResearcherId, Researcher> {
        self.researchers.entries()
    }

    /// All proposals, by the transactions that made them.
    pub fn ballots(&self) -> &BTreeMap<TxHash, Ballot> {
        self.ballots.entries()
    }

    /// A subject.
    pub fn subject(&self, key: &SubjectKey) -> Option<&Subject> {
        self.subjects.get(key)
    }

    /// What a key is to whom, today.
    pub fn role_of(&self, patient: &PatientId, day: Date) -> Option<(SubjectKey, KeyRole<'_>)> {
        let key = self.subject_of(patient)?;
        Some((key, self.subject(&key)?.role_of(patient, day)))
    }

    /// Changes a subject; nothing happens when there is none.
    pub(crate) fn change_subject(&mut self, key: &SubjectKey, change: impl FnOnce(&mut Subject)) {
        self.subjects.change(key, change);
        self.index_subject(key);
    }

    fn index_subject(&mut self, key: &SubjectKey) {
        if self.subject(key).is_some_and(|subject| subject.due_rotation().is_some()) {
            self.rotating.insert(*key);
        } else {
            self.rotating.remove(key);
        }
    }

    /// The subjects with a new key whose time has come.
    pub(crate) fn due_rotations(&self, now: Timestamp) -> Vec<SubjectKey> {
        let is_due = |key: &&SubjectKey| {
            let rotation = self.subject(key).and_then(Subject::due_rotation);
            rotation.is_some_and(|rotation| rotation.effective <= now)
        };
        self.rotating.iter().filter(is_due).copied().collect()
    }

    /// Whose key it is, or was.
    pub fn subject_of(&self, patient: &PatientId) -> Option<SubjectKey> {
        self.patients.get(patient).copied()
    }

    /// The subjects of a hospital, ascending.
    pub fn subjects_of(&self, hospital: &HospitalId) -> impl Iterator<Item = (SubjectId, &Subject)> {
        let key = |bytes| SubjectKey { hospital: *hospital, subject: SubjectId::from_bytes(bytes) };
        let range = (Bound::Included(key([0; 16])), Bound::Included(key([0xff; 16])));
        self.subjects.entries().range(range).map(|(key, subject)| (key.subject, subject))
    }

    /// Terms, by their hash.
    pub fn terms(&self, hash: &ContentHash) -> Option<&Terms> {
        self.terms.get(hash)
    }

    /// All studies, ascending by name.
    pub fn studies(&self) -> impl Iterator<Item = Study<'_>> {
        let courses = self.courses.entries();
        self.proposals
            .entries()
            .iter()
            .filter_map(|(id, proposal)| Some(Study { id: *id, proposal, course: courses.get(id)? }))
    }

    /// A study.
    pub fn study(&self, id: &StudyId) -> Option<Study<'_>> {
        Some(Study { id: *id, proposal: self.proposals.get(id)?, course: self.courses.get(id)? })
    }

    /// The guarded rounds that one may repeat, in the order of the ledger: with the same cohort and the same roster, which had ended when it
    /// was opened, and of which the ledger says what passed.
    pub fn repeatable(&self, study: &StudyId, round: RoundNumber) -> Vec<(StudyId, RoundNumber)> {
        let found = self.study(study).and_then(|own| Some((own.proposal, own.course.round(round)?)));
        let Some((proposal, own)) = found else { return Vec::new() };
        let mut repeatable = Vec::new();
        for other in self.studies().filter(|other| other.proposal.spec.cohort == proposal.spec.cohort) {
            for round in other.course.rounds.iter().filter(|round| round.guard.is_some() && round.roster == own.roster)
            {
                if let Some((moment, _)) = round.ended.filter(|_| round.result().is_some())
                    && moment.height < own.opened.height
                {
                    repeatable.push((moment.height, other.id, round.number));
                }
            }
        }
        repeatable.sort_unstable();
        repeatable.into_iter().map(|(_, study, round)| (study, round)).collect()
    }

    /// A member's keys for guarded studies, if it has registered any.
    pub fn guard_keys(&self, hospital: &HospitalId) -> Option<&GuardKeys> {
        self.guard_keys.get(hospital)
    }

    /// What private studies have lost so far of the privacy of a hospital's patients.
    pub fn privacy_loss(&self, hospital: &HospitalId) -> MicroRho {
        self.privacy_losses.get(hospital).copied().unwrap_or_default()
    }

    /// What is left of a hospital's privacy budget.
    pub fn privacy_left(&self, hospital: &HospitalId) -> MicroRho {
        self.genesis().policy.privacy_budget.saturating_sub(self.privacy_loss(hospital))
    }

    /// How many studies the researcher has proposed within the quota's period before `now`.
    pub fn studies_of(&self, researcher: &ResearcherId, now: Timestamp) -> u32 {
        let period = u64::from(self.genesis().policy.quota_days) * 86_400_000;
        let recent = |proposal: &&Proposal| {
            proposal.researcher == *researcher && now < proposal.proposed.time.plus_millis(period)
        };
        let count = self.proposals.entries().values().filter(recent).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// The studies that wait for members: proposed, or approved and not opened.
    pub(crate) const fn waiting(&self) -> &BTreeSet<StudyId> {
        &self.waiting
    }

    pub(crate) fn put_course(&mut self, id: StudyId, course: Course) {
        self.courses.put(id, course);
        self.index_course(&id);
    }

    fn index_course(&mut self, id: &StudyId) {
        let waits = |course: &Course| matches!(course.phase, Phase::Proposed | Phase::Approved { .. });
        if self.courses.get(id).is_some_and(waits) {
            self.waiting.insert(*id);
        } else {
            self.waiting.remove(id);
        }
    }

    pub(crate) fn count(&mut self, change: impl FnOnce(&mut Figures)) {
        self.figures.change(&(), change);
    }

    /// What a block changed: the touched entries, encoded, and the head that it leads to, whose application hash is
    /// SHA-256, labelled `consilium/app/v1`, over: the hash before ‖ the block ‖ `results` ‖ key and value of every
    /// touched entry in order. [`Self::settle`] makes it the new start, [`Self::roll_back`] takes it back.
    pub(crate) fn seal(&self, moment: Moment, block: BlockHash, results: &[&[u8]]) -> (Head, Vec<Entry>) {
        let mut changes = Vec::new();
        self.figures.encode_touched(0, &mut changes);
        self.sequences.encode_touched(1, &mut changes);
        self.researchers.encode_touched(2, &mut changes);
        self.ballots.encode_touched(3, &mut changes);
        self.subjects.encode_touched(4, &mut changes);
        self.terms.encode_touched(5, &mut changes);
        self.proposals.encode_touched(6, &mut changes);
        self.courses.encode_touched(7, &mut changes);
        self.guard_keys.encode_touched(8, &mut changes);
        self.privacy_losses.encode_touched(9, &mut changes);
        let mut parts: Vec<&[u8]> = vec![self.head.app_hash.as_bytes(), block.as_bytes()];
        parts.extend_from_slice(results);
        parts.extend(changes.iter().flat_map(|(key, value)| [key.as_slice(), value.as_slice()]));
        let app_hash = AppHash::from_bytes(tagged("consilium/app/v1", &parts));
        (Head { moment, block, app_hash }, changes)
    }

    /// Makes what a block changed the new start.
    pub(crate) fn settle(&mut self, head: Head) {
        self.head = head;
        self.figures.settle();
        self.sequences.settle();
        self.researchers.settle();
        self.ballots.settle();
        self.subjects.settle();
        self.terms.settle();
        self.proposals.settle();
        self.courses.settle();
        self.guard_keys.settle();
        self.privacy_losses.settle();
        self.patients.settle();
    }

    /// Takes back what was changed since the last block.
    pub(crate) fn roll_back(&mut self) {
        self.figures.roll_back();
        self.sequences.roll_back();
        self.researchers.roll_back();
        self.ballots.roll_back();
        for key in self.subjects.roll_back() {
            self.index_subject(&key);
        }
        self.terms.roll_back();
        self.proposals.roll_back();
        self.guard_keys.roll_back();
        self.privacy_losses.roll_back();
        self.patients.roll_back();
        for id in self.courses.roll_back() {
            self.index_course(&id);
        }
    }

    /// All entries, encoded, in order: what a store holds, and what two equal states have in common.
    pub fn entries(&self) -> Vec<Entry> {
        let mut all = Vec::new();
        self.figures.encode_all(0, &mut all);
        self.sequences.encode_all(1, &mut all);
        self.researchers.encode_all(2, &mut all);
        self.ballots.encode_all(3, &mut all);
        self.subjects.encode_all(4, &mut all);
        self.terms.encode_all(5, &mut all);
        self.proposals.encode_all(6, &mut all);
        self.courses.encode_all(7, &mut all);
        self.guard_keys.encode_all(8, &mut all);
        self.privacy_losses.encode_all(9, &mut all);
        all
    }

    /// Reads one stored entry into a state that does not have it yet; the head is set by [`Self::loaded`].
    ///
    /// # Errors
    /// [`EntryError`] when the bytes are no entry, or one that is there already.
    pub(crate) fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), EntryError> {
        let (tag, key) = key.split_first().ok_or(EntryError)?;
        let loaded = match tag {
            0 => borsh::from_slice(value).ok().map(|figures| self.figures.put((), figures)),
            1 => self.sequences.load(key, value),
            2 => self.researchers.load(key, value),
            3 => self.ballots.load(key, value),
            4 => self.subjects.load(key, value),
            5 => self.terms.load(key, value),
            6 => self.proposals.load(key, value),
            7 => self.courses.load(key, value),
            8 => self.guard_keys.load(key, value),
            9 => self.privacy_losses.load(key, value),
            _ => None,
        };
        loaded.ok_or(EntryError)
    }

    /// Ends loading: sets the head, and what follows from the entries.
    pub(crate) fn loaded(&mut self, head: Head) {
        for (key, subject) in self.subjects.entries() {
            for patient in subject.keys() {
                self.patients.put(patient, *key);
            }
            if subject.due_rotation().is_some() {
                self.rotating.insert(*key);
            }
        }
        let ids: Vec<StudyId> = self.courses.entries().keys().copied().collect();
        for id in ids {
            self.index_course(&id);
        }
        self.settle(head);
    }
}
