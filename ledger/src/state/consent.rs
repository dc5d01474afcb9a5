//! Subjects, who signs for them, and their consent documents, as the ledger keeps them: append-only.

use borsh::{BorshDeserialize, BorshSerialize};
use consilium_protocol::consent::Basis;
use consilium_protocol::ids::{
    ContentHash, Date, DocumentId, Height, HospitalId, PatientId, SubjectId, Timestamp, TxHash,
};
use consilium_protocol::tx::{CloseReason, DelegateRole, DelegationScope, Signer};

use super::Moment;

/// A subject as one hospital enrolled it. Hospitals name their subjects by secrets of their own, so a name says
/// nothing at another hospital: a member that enrols a name it saw elsewhere gets a subject of its own, and no
/// say over the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct SubjectKey {
    /// The hospital.
    pub hospital: HospitalId,
    /// Its name for the patient.
    pub subject: SubjectId,
}

/// A patient at one hospital.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Subject {
    /// Since when.
    pub enrolled: Moment,
    /// The patient's key at this hospital, if there is one.
    pub patient: Option<PatientId>,
    /// What the subject last said anew: what is older counts no more, also when it is recorded later.
    pub cleared: Option<Box<Cleared>>,
    /// All documents ever, in the order in which the ledger recorded them.
    pub documents: Vec<Document>,
    /// What few subjects have.
    pub more: Option<Box<More>>,
}

/// What few subjects have: delegates, a new key that waits, keys that are frozen, another subject that is the same person.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct More {
    /// Since when no key permits anything, if so.
    pub frozen: Option<Moment>,
    /// The key that takes the place of the patient's, when it has waited long enough.
    pub rotation: Option<Rotation>,
    /// Keys that were the patient's.
    pub former: Vec<PatientId>,
    /// Who else signs, or did.
    pub delegations: Vec<Delegation>,
    /// Whether witnessed forms permit nothing.
    pub paper_closed: bool,
    /// That the hospital no longer speaks with the patient.
    pub closed: Option<(CloseReason, Moment)>,
    /// That the subject is the same person as another, which stands for both; the last entry may be open.
    pub merged: Vec<Merged>,
    /// Subjects for which this one stands, or stood.
    pub stands_for: Vec<SubjectId>,
}

/// A new key that waits.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Rotation {
    /// The key.
    pub key: PatientId,
    /// When the desk recorded it.
    pub requested: Moment,
    /// The form by which the desk recorded it.
    pub source: ContentHash,
    /// When it takes the place of the other, unless that objects.
    pub effective: Timestamp,
    /// Since when the old key objects: then the desk decides.
    pub objected: Option<Moment>,
}

/// That somebody signs for a patient.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Delegation {
    /// The delegate's key.
    pub key: PatientId,
    /// What the delegate is to the patient.
    pub role: DelegateRole,
    /// The last day.
    pub until: Option<Date>,
    /// What permits they may sign.
    pub scope: DelegationScope,
    /// The day on which the delegate agreed.
    pub agreed: Date,
    /// Whether the hospital recorded it, by a form.
    pub by_form: bool,
    /// Since when.
    pub since: Moment,
    /// When it was ended, before its last day.
    pub ended: Option<Moment>,
}

impl Delegation {
    /// Whether the delegate may sign on a day.
    pub fn holds_on(&self, day: Date) -> bool {
        self.ended.is_none() && self.until.is_none_or(|until| day <= until)
    }
}

/// That a subject is the same person as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Merged {
    /// The other.
    pub into: SubjectId,
    /// Since when.
    pub since: Moment,
    /// Until when.
    pub until: Option<Moment>,
    /// Since when what the other says is said for both: it has been signed anew.
    pub restated: Option<Moment>,
}

impl Merged {
    fn holds_at(&self, height: Height) -> bool {
        self.since.height <= height && self.until.is_none_or(|until| until.height > height)
    }
}

/// What a key is to a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRole<'a> {
    /// The patient's.
    Own,
    /// That of another machine of the patient's.
    Device,
    /// That of somebody who signs for the patient.
    Delegate(&'a Delegation),
    /// One that waits to be the patient's.
    Waiting,
    /// One that was the patient's, or a delegate's.
    Former,
}

impl KeyRole<'_> {
    /// Whether it is the patient who holds the key.
    pub const fn is_patient(&self) -> bool {
        matches!(self, Self::Own | Self::Device)
    }

    /// As what the key signs; a former one signs nothing.
    pub const fn signs_as(&self) -> Option<SignedBy> {
        match self {
            Self::Own => Some(SignedBy::Own),
            Self::Device => Some(SignedBy::Device),
            Self::Delegate(Delegation { role: DelegateRole::Guardian { .. }, .. }) => Some(SignedBy::Guardian),
            Self::Delegate(_) => Some(SignedBy::Proxy),
            Self::Waiting => Some(SignedBy::Waiting),
            Self::Former => None,
        }
    }

    /// The role as one word.
    pub fn name(&self) -> &'static str {
        self.signs_as().map_or("former", SignedBy::name)
    }
}

/// That a subject took back, or replaced, all that was said up to a day.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Cleared {
    /// The day on which it was said.
    pub day: Date,
    /// Whether what was said on paper on that same day counts as older.
    pub includes_day: bool,
    /// By what.
    pub by: EndedBy,
}

impl Cleared {
    /// What of two was said later has the larger one.
    pub(crate) const fn rank(&self) -> (Date, bool) {
        (self.day, self.includes_day)
    }

    /// Whether what was signed on paper on a day is older.
    pub fn is_after(&self, signed: Date) -> bool {
        signed < self.day || (self.includes_day && signed == self.day)
    }
}

impl Subject {
    /// What a key is to the subject on a day.
    pub fn role_of(&self, key: &PatientId, day: Date) -> KeyRole<'_> {
        if self.patient.as_ref() == Some(key) {
            return KeyRole::Own;
        }
        let Some(more) = &self.more else { return KeyRole::Former };
        if more.rotation.as_ref().is_some_and(|rotation| rotation.key == *key) {
            return KeyRole::Waiting;
        }
        let delegation = more.delegations.iter().find(|delegation| delegation.key == *key && delegation.holds_on(day));
        match delegation {
            Some(Delegation { role: DelegateRole::Device, .. }) => KeyRole::Device,
            Some(delegation) => KeyRole::Delegate(delegation),
            None => KeyRole::Former,
        }
    }

    /// Whether no key may permit anything: the keys are frozen, or a new one waits.
    pub fn is_frozen(&self) -> bool {
        self.more.as_ref().is_some_and(|more| more.frozen.is_some() || more.rotation.is_some())
    }

    /// The new key that takes the other's place by itself, if one waits for that.
    pub(crate) fn due_rotation(&self) -> Option<&Rotation> {
        self.more.as_ref()?.rotation.as_ref().filter(|rotation| rotation.objected.is_none())
    }

    /// The subject that stands for this one after all of the block at `height`, if another does.
    pub fn merged_at(&self, height: Height) -> Option<SubjectId> {
        let merged = self.more.as_ref()?.merged.iter().rev().find(|merged| merged.holds_at(height))?;
        Some(merged.into)
    }

    /// How this one is one person with another at a height, if it is: then whether that one has been signed anew for both, and
    /// since when.
    pub(crate) fn one_with(&self, other: &SubjectId, height: Height) -> Option<Option<Moment>> {
        let merged = self.more.as_ref().map_or(&[][..], |more| &more.merged);
        let found = merged.iter().find(|merged| merged.into == *other && merged.holds_at(height))?;
        Some(found.restated.filter(|restated| restated.height <= height))
    }

    /// How many guardians permit together on a day: as many as any of them needs.
    pub(crate) fn guardians_needed(&self, day: Date) -> u8 {
        let delegations = self.more.as_ref().map_or(&[][..], |more| &more.delegations);
        let needed = |delegation: &Delegation| match delegation.role {
            DelegateRole::Guardian { needed } if delegation.holds_on(day) => needed,
            _ => 0,
        };
        delegations.iter().map(needed).max().unwrap_or_default()
    }

    /// Whether witnessed forms permit nothing.
    pub(crate) fn is_paper_closed(&self) -> bool {
        self.more.as_ref().is_some_and(|more| more.paper_closed)
    }

    /// What has been said so far: how many documents there are, and how many have ended. Whatever is said changes it.
    pub(crate) fn said(&self) -> (u32, u32) {
        let count = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        (count(self.documents.len()), count(self.documents.iter().filter(|document| document.ended.is_some()).count()))
    }

    /// Every key that ever was of the subject.
    pub(crate) fn keys(&self) -> impl Iterator<Item = PatientId> {
        let more = self.more.as_deref();
        let delegates = more.map_or(&[][..], |more| &more.delegations).iter().map(|delegation| delegation.key);
        let former = more.map_or(&[][..], |more| &more.former).iter().copied();
        let waiting = more.and_then(|more| more.rotation.as_ref()).map(|rotation| rotation.key);
        self.patient.into_iter().chain(waiting).chain(former).chain(delegates)
    }

    pub(crate) fn more_mut(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    /// The documents that are current after all of the block at `height`.
    pub fn documents_at(&self, height: Height) -> impl Iterator<Item = &Document> {
        self.documents.iter().filter(move |document| document.is_current_at(height))
    }

    /// Remembers what was said anew, if nothing later was.
    pub(crate) fn clear(&mut self, cleared: Cleared) {
        if self.cleared.as_ref().is_none_or(|known| known.rank() <= cleared.rank()) {
            self.cleared = Some(Box::new(cleared));
        }
    }

    /// The documents that are current now.
    pub fn current(&self) -> impl Iterator<Item = &Document> {
        self.documents.iter().filter(|document| document.ended.is_none())
    }
}

/// A consent document. It stays for ever; being revoked or superseded is added to it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Document {
    /// Its name.
    pub id: DocumentId,
    /// What it says, by hash; the ledger keeps equal terms once.
    pub terms: ContentHash,
    /// Where it came from.
    pub basis: Basis,
    /// The SHA-256 of the scanned paper form; all zeros for an electronic document.
    pub source: ContentHash,
    /// Who signed the transaction that carried it.
    pub signer: Signer,
    /// What that was to the patient then.
    pub by: SignedBy,
    /// The day on which it was signed.
    pub signed: Date,
    /// Since when it counts.
    pub granted: Moment,
    /// When and how it ended, if it did.
    pub ended: Option<Box<Ended>>,
}

impl Document {
    /// Whether it counts after all of the block at `height`.
    pub fn is_current_at(&self, height: Height) -> bool {
        self.granted.height <= height && self.ended.as_ref().is_none_or(|ended| ended.at.height > height)
    }
}

/// What somebody was to a patient when they signed for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum SignedBy {
    /// The hospital, as witness or because of what it knows.
    Hospital,
    /// The patient.
    Own,
    /// The patient, on another machine.
    Device,
    /// Somebody whom the patient chose.
    Proxy,
    /// Somebody who cares for the patient by law.
    Guardian,
    /// Whoever has the key that waits to be the patient's.
    Waiting,
}

impl SignedBy {
    /// As one word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hospital => "hospital",
            Self::Own => "own",
            Self::Device => "device",
            Self::Proxy => "proxy",
            Self::Guardian => "guardian",
            Self::Waiting => "waiting",
        }
    }

    /// Whether it was the patient.
    pub const fn is_patient(self) -> bool {
        matches!(self, Self::Own | Self::Device)
    }
}

/// How a document ended.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Ended {
    /// Since when it counts no more.
    pub at: Moment,
    /// By what.
    pub by: EndedBy,
}

/// What ended a document.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum EndedBy {
    /// A revocation.
    Revocation {
        /// The transaction.
        tx: TxHash,
        /// Who signed it.
        signer: Signer,
        /// Where it came from.
        basis: Basis,
        /// The SHA-256 of the scanned paper form; all zeros for an electronic revocation.
        source: ContentHash,
    },
    /// A newer document.
    Superseded {
        /// The newer document.
        document: DocumentId,
    },
    /// The patient left the hospital.
    Moved,
}

impl EndedBy {
    /// What ended it, as one word.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Revocation { .. } => "revoked",
            Self::Superseded { .. } => "superseded",
            Self::Moved => "ended when the patient left the hospital",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_counts_from_its_block_until_the_block_that_ends_it() {
        let moment = |height| Moment { height: Height::new(height), time: Timestamp::new(height) };
        let mut document = Document {
            id: DocumentId::from_bytes([1; 32]),
            terms: ContentHash::from_bytes([2; 32]),
            basis: Basis::Electronic,
            source: ContentHash::from_bytes([0; 32]),
            signer: Signer::Patient(PatientId::from_public_key([3; 32])),
            by: SignedBy::Own,
            signed: Date::from_days(0),
            granted: moment(5),
            ended: None,
        };
        let current = |document: &Document| -> Vec<u64> {
            (3..9).filter(|height| document.is_current_at(Height::new(*height))).collect()
        };
        assert_eq!(current(&document), [5, 6, 7, 8]);
        let by = EndedBy::Superseded { document: DocumentId::from_bytes([4; 32]) };
        document.ended = Some(Box::new(Ended { at: moment(7), by: by.clone() }));
        assert_eq!(current(&document), [5, 6]);
        document.ended = Some(Box::new(Ended { at: moment(5), by }));
        assert_eq!(current(&document), [0u64; 0]);
    }
}
