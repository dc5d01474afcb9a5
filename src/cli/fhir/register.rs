//! What became of each consent that was imported, as a function of what was written down.
//!
//! Before a transaction that grants is handed in, it stands here as an *intent*, with whose documents it makes and what each
//! rests on. Whatever happens then, the next command can tell from the ledger which of these there are. Documents that are to
//! end stand here until they have.

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};
use consilium_protocol::fhir::Profile;
use consilium_protocol::hash::tagged;
use consilium_protocol::ids::{ContentHash, Date, DocumentId, SubjectId};

/// By what a consent is known again: the system that it comes from, and its name there.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub(super) struct Key {
    pub(super) system: String,
    pub(super) name: String,
}

/// By which rules a consent was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) enum Kind {
    Plain,
    Broad,
    BroadStatus,
}

impl From<Profile> for Kind {
    fn from(profile: Profile) -> Self {
        match profile {
            Profile::Plain => Self::Plain,
            Profile::BroadConsent => Self::Broad,
            Profile::BroadConsentStatus => Self::BroadStatus,
        }
    }
}

/// A version of a consent, as it was read.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Seen {
    pub(super) subject: SubjectId,
    /// Of all that it says.
    pub(super) digest: ContentHash,
    /// When its server wrote it.
    pub(super) updated: Option<i128>,
    /// The first and the last day that it can have been given on.
    pub(super) written: Option<[Date; 2]>,
    pub(super) kind: Kind,
    /// Where it was read.
    pub(super) place: String,
}

/// Where a consent stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) enum Standing {
    /// Its last version is a document.
    Accepted,
    /// Its last version was refused, and a document denies everything until a person decides.
    Refused,
    /// A person decided to leave out what was refused.
    Resumed,
    /// It ended.
    Ended,
    /// A summary of its system stands for it.
    Silenced,
}

/// A document on the ledger.
#[derive(Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct OnLedger {
    pub(super) subject: SubjectId,
    pub(super) document: DocumentId,
    pub(super) terms: ContentHash,
    pub(super) proof: Proof,
}

/// What shows what a document rests on.
#[derive(Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Proof {
    /// On the ledger.
    pub(super) source: ContentHash,
    pub(super) salt: [u8; 32],
    /// The number of the original.
    pub(super) original: u64,
}

impl Proof {
    pub(super) fn new(salt: [u8; 32], (number, original): (u64, &str)) -> Self {
        let source = ContentHash::from_bytes(tagged("consilium/consent-source/v1", &[&salt, original.as_bytes()]));
        Self { source, salt, original: number }
    }
}

/// A consent.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) seen: Seen,
    pub(super) standing: Standing,
    /// What it says, if that holds.
    pub(super) document: Option<OnLedger>,
    /// What denies everything because of it.
    pub(super) suspension: Option<OnLedger>,
}

impl Entry {
    pub(super) fn is_live(&self) -> bool {
        self.document.is_some() || self.suspension.is_some()
    }
}

/// One document of a transaction.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Form {
    pub(super) key: Key,
    pub(super) seen: Seen,
    pub(super) terms: ContentHash,
    pub(super) proof: Proof,
    pub(super) is_suspension: bool,
}

/// A document that is to be revoked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) subject: SubjectId,
    /// What it is revoked by.
    pub(super) source: ContentHash,
}

/// What is written down.
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) enum Record {
    /// This transaction is about to be handed in, and makes these documents.
    Intent { tx: Vec<u8>, forms: Vec<Form> },
    /// What became of the intent of this number: each form's document, if there is one.
    Settled { intent: u64, documents: Vec<Option<DocumentId>> },
    /// A consent came to stand so without a document.
    Left { key: Key, seen: Seen, standing: Standing, proof: Proof },
    /// These documents have ended on the ledger.
    Ended(Vec<DocumentId>),
}

/// What became of each consent.
#[derive(Default)]
pub(super) struct Register {
    pub(super) entries: BTreeMap<Key, Entry>,
    /// Transactions of which it is not known what became of them.
    pub(super) open: BTreeMap<u64, (Vec<u8>, Vec<Form>)>,
    /// Documents that are to be revoked.
    pub(super) endings: BTreeMap<DocumentId, Ending>,
}

/// A record that does not fit those before it.
#[derive(Debug)]
pub(super) struct Contradiction;

impl Register {
    /// Takes note of the record of this number.
    pub(super) fn apply(&mut self, number: u64, record: Record) -> Result<(), Contradiction> {
        match record {
            Record::Intent { tx, forms } => {
                self.open.insert(number, (tx, forms));
            }
            Record::Settled { intent, documents } => {
                let (_, forms) = self.open.remove(&intent).ok_or(Contradiction)?;
                if forms.len() != documents.len() {
                    return Err(Contradiction);
                }
                for (form, document) in forms.into_iter().zip(documents) {
                    if let Some(document) = document {
                        self.granted(form, document);
                    }
                }
            }
            Record::Left { key, seen, standing, proof } => {
                let old = self.entries.remove(&key);
                let (mut document, suspension) = old.map_or((None, None), |old| (old.document, old.suspension));
                self.end(suspension, proof.source);
                if standing != Standing::Resumed {
                    self.end(document.take(), proof.source);
                }
                self.entries.insert(key, Entry { seen, standing, document, suspension: None });
            }
            Record::Ended(documents) => {
                for document in &documents {
                    self.endings.remove(document).ok_or(Contradiction)?;
                }
            }
        }
        Ok(())
    }

    fn granted(&mut self, form: Form, document: DocumentId) {
        let Form { key, seen, terms, proof, is_suspension } = form;
        let made = OnLedger { subject: seen.subject, document, terms, proof };
        let old = self.entries.remove(&key);
        let (mut document, suspension) = old.map_or((None, None), |old| (old.document, old.suspension));
        self.end(suspension, proof.source);
        let is_of_other = document.is_some_and(|old| old.subject != seen.subject);
        if !is_suspension || is_of_other {
            self.end(document.take(), proof.source);
        }
        let entry = match is_suspension {
            true => Entry { seen, standing: Standing::Refused, document, suspension: Some(made) },
            false => Entry { seen, standing: Standing::Accepted, document: Some(made), suspension: None },
        };
        self.entries.insert(key, entry);
    }

    fn end(&mut self, old: Option<OnLedger>, source: ContentHash) {
        if let Some(old) = old {
            self.endings.insert(old.document, Ending { subject: old.subject, source });
        }
    }

    /// The consents because of which everything of their patients is denied.
    pub(super) fn suspended(&self) -> impl Iterator<Item = (&Key, &Entry, &OnLedger)> {
        self.entries.iter().filter_map(|(key, entry)| Some((key, entry, entry.suspension.as_ref()?)))
    }
}

#[cfg(test)]
#[path = "register_tests.rs"]
mod tests;
