//! Subjects and their consent documents, as the ledger keeps them: append-only.

use borsh::{BorshDeserialize, BorshSerialize};
use consilium_protocol::consent::Basis;
use consilium_protocol::ids::{ContentHash, Date, DocumentId, Height, HospitalId, PatientId, SubjectId, TxHash};
use consilium_protocol::tx::Signer;

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
    pub cleared: Option<Cleared>,
    /// All documents ever, in the order in which the ledger recorded them.
    pub documents: Vec<Document>,
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
    /// The documents that are current after all of the block at `height`.
    pub fn documents_at(&self, height: Height) -> impl Iterator<Item = &Document> {
        self.documents.iter().filter(move |document| document.is_current_at(height))
    }

    /// Remembers what was said anew, if nothing later was.
    pub(crate) fn clear(&mut self, cleared: Cleared) {
        if self.cleared.as_ref().is_none_or(|known| known.rank() <= cleared.rank()) {
            self.cleared = Some(cleared);
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
}

impl EndedBy {
    /// What ended it, as one word.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Revocation { .. } => "revoked",
            Self::Superseded { .. } => "superseded",
        }
    }
}

#[cfg(test)]
mod tests {
    use consilium_protocol::ids::Timestamp;

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
