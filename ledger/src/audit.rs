//! Audit: the whole ledger anew, from the genesis file and public keys alone.
//!
//! An [`Auditor`] is fed blocks with their certificates. It checks that each follows the one before, is signed by more
//! than two thirds of the members, and was made on the state that the blocks before it lead to; and it notes what
//! happened: in all, and to one study, subject or member.

use std::collections::BTreeMap;
use std::io::Read;

use consilium_protocol::genesis::Genesis;
use consilium_protocol::ids::{BlockHash, Height, HospitalId, StudyId, SubjectId, Timestamp, TxHash};
use consilium_protocol::study::study_id;
use consilium_protocol::tx::{Payload, SignedTx, Signer};

use crate::apply::{Outcome, apply_with};
use crate::block::{Block, BlockFault};
use crate::certificate::{Certificate, CertificateFault};
use crate::event::Event;
use crate::export::{ExportError, ExportReader};
use crate::signatures::Remembering;
use crate::state::consent::{Subject, SubjectKey};
use crate::state::reading::UseRecord;
use crate::state::{Figures, Head, State};
use crate::store::check_block;

/// What an audit looks at more closely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    /// One study.
    Study(StudyId),
    /// One subject, at whatever hospitals.
    Subject(SubjectId),
    /// One member: everything that it signed.
    Member(HospitalId),
}

/// Why the ledger does not hold.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The export cannot be read.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The export is of another ledger.
    #[error("the export was founded by genesis file {found}, not {expected}; get the consortium's genesis file")]
    Genesis {
        /// The export's.
        found: BlockHash,
        /// The one given.
        expected: BlockHash,
    },
    /// A block does not follow.
    #[error("the ledger does not hold at height {height}: {fault}")]
    Block {
        /// The height.
        height: Height,
        /// What is wrong.
        fault: BlockFault,
    },
    /// A certificate does not prove its block.
    #[error("the ledger does not hold at height {height}: {fault}")]
    Certificate {
        /// The height.
        height: Height,
        /// What is wrong.
        fault: CertificateFault,
    },
    /// A certificate is about another block.
    #[error("the ledger does not hold at height {height}: its certificate is about another block; fetch it again")]
    OtherCertificate {
        /// The height.
        height: Height,
    },
}

/// How many transactions of a kind there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindFigures {
    /// Accepted.
    pub accepted: u64,
    /// Rejected.
    pub rejected: u64,
}

/// A transaction that the audit looked at more closely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailTx {
    /// Its name.
    pub tx: TxHash,
    /// Who signed it.
    pub signer: Signer,
    /// Its kind.
    pub kind: &'static str,
    /// What came of it.
    pub outcome: Outcome,
}

/// What one block meant for what the audit looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailEntry {
    /// The block's height.
    pub height: Height,
    /// Its time.
    pub time: Timestamp,
    /// Its transactions that are about it.
    pub txs: Vec<TrailTx>,
    /// What it changed about it.
    pub events: Vec<Event>,
}

/// What an audit found; that there is one means that the ledger holds.
#[derive(Clone, Debug)]
pub struct AuditReport {
    /// The end of the ledger. Its application hash follows from the blocks; the next block's certificate will be the
    /// first to vouch for it.
    pub head: Head,
    /// Certificates verified: one for each block.
    pub certificates: u64,
    /// Members' signatures in them.
    pub member_signatures: u64,
    /// Transactions by kind; those that cannot be read are `unreadable`.
    pub transactions: BTreeMap<&'static str, KindFigures>,
    /// Rejections by kind.
    pub rejections: BTreeMap<&'static str, u64>,
    /// Running figures at the end.
    pub figures: Figures,
    /// What happened to what the audit looked at, in order.
    pub trail: Vec<TrailEntry>,
    /// The subjects looked at, with all their documents.
    pub subjects: Vec<(SubjectKey, Subject)>,
    /// The rounds that could have read them, oldest first.
    pub uses: Vec<(SubjectKey, UseRecord)>,
}

impl AuditReport {
    /// Bytes of ledger per consent document, rounded up; `None` when there is none.
    pub fn bytes_per_grant(&self) -> Option<u64> {
        (self.figures.grants > 0).then(|| self.figures.grant_bytes.div_ceil(self.figures.grants))
    }
}

/// Replays a ledger block by block.
pub struct Auditor {
    state: State,
    signatures: Remembering,
    focus: Option<Focus>,
    certificates: u64,
    member_signatures: u64,
    transactions: BTreeMap<&'static str, KindFigures>,
    rejections: BTreeMap<&'static str, u64>,
    trail: Vec<TrailEntry>,
}

impl Auditor {
    /// An auditor at the beginning of the ledger of this genesis file.
    pub fn new(genesis: &Genesis, focus: Option<Focus>) -> Self {
        Self {
            state: State::new(genesis),
            signatures: Remembering::default(),
            focus,
            certificates: 0,
            member_signatures: 0,
            transactions: BTreeMap::new(),
            rejections: BTreeMap::new(),
            trail: Vec::new(),
        }
    }

    /// The state after the blocks so far.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// Checks and applies the next block.
    ///
    /// # Errors
    /// [`AuditError`] when it does not follow, or its certificate does not prove it.
    pub fn feed(&mut self, block: &Block, certificate: &Certificate) -> Result<(), AuditError> {
        let height = self.state.height().next().unwrap_or(self.state.height());
        check_block(&self.state, block, &self.signatures).map_err(|fault| AuditError::Block { height, fault })?;
        if certificate.height != height || certificate.block != block.hash() {
            return Err(AuditError::OtherCertificate { height });
        }
        certificate
            .verify(self.state.ledger_id(), self.state.validators())
            .map_err(|fault| AuditError::Certificate { height, fault })?;
        self.certificates += 1;
        self.member_signatures += certificate.signatures.len() as u64;

        let result = apply_with(&mut self.state, block, &self.signatures);
        let mut txs = Vec::new();
        for (tx, (hash, outcome)) in block.txs.iter().zip(&result.outcomes) {
            let payload = tx.decode_body().ok().map(|body| body.payload);
            let kind = payload.as_ref().map_or("unreadable", Payload::name);
            let figures = self.transactions.entry(kind).or_default();
            match outcome {
                Ok(()) => figures.accepted += 1,
                Err(rejection) => {
                    figures.rejected += 1;
                    *self.rejections.entry(rejection.kind()).or_default() += 1;
                }
            }
            if self.focus.is_some_and(|focus| self.is_about(focus, tx, payload.as_ref())) {
                txs.push(TrailTx { tx: *hash, signer: tx.signer, kind, outcome: outcome.clone() });
            }
        }
        let events: Vec<Event> = match self.focus {
            Some(Focus::Study(study)) => result.events.into_iter().filter(|e| e.study() == Some(study)).collect(),
            Some(Focus::Subject(_) | Focus::Member(_)) | None => Vec::new(),
        };
        if !txs.is_empty() || !events.is_empty() {
            self.trail.push(TrailEntry { height, time: block.header.time, txs, events });
        }
        Ok(())
    }

    fn is_about(&self, focus: Focus, tx: &SignedTx, payload: Option<&Payload>) -> bool {
        match focus {
            Focus::Member(member) => tx.signer == Signer::Hospital(member),
            Focus::Study(study) => payload.and_then(|payload| self.study_of(tx, payload)) == Some(study),
            Focus::Subject(subject) => payload.is_some_and(|payload| payload.subjects().contains(&subject)),
        }
    }

    fn study_of(&self, tx: &SignedTx, payload: &Payload) -> Option<StudyId> {
        match payload {
            Payload::AccreditResearcher(_)
            | Payload::Vote(_)
            | Payload::Enrol(_)
            | Payload::Grant(_)
            | Payload::Revoke(_)
            | Payload::RegisterGuardKeys(_)
            | Payload::Delegate(_)
            | Payload::EndDelegation(_)
            | Payload::Freeze(_)
            | Payload::RotateKey(_)
            | Payload::DecideKey(_)
            | Payload::PaperDoor(_)
            | Payload::Merge(_)
            | Payload::Unmerge(_)
            | Payload::Close(_) => None,
            Payload::ProposeStudy(p) => match tx.signer {
                Signer::Researcher(id) => {
                    Some(study_id(self.state.ledger_id(), &id, &p.spec, &p.public_key, &p.sealing_key))
                }
                Signer::Hospital(_) | Signer::Patient(_) => None,
            },
            Payload::WithdrawStudy(p) => Some(p.study),
            Payload::Approve(p) => Some(p.study),
            Payload::Reject(p) => Some(p.study),
            Payload::PairKeys(p) => Some(p.study),
            Payload::OpenRound(p) => Some(p.study),
            Payload::Contribute(p) => Some(p.study),
            Payload::Attest(p) => Some(p.study),
            Payload::Release(p) => Some(p.study),
            Payload::FailRound(p) => Some(p.study),
            Payload::SealSum(p) => Some(p.study),
            Payload::DiscloseSeeds(p) => Some(p.study),
            Payload::Accuse(p) => Some(p.study),
            Payload::Witness(p) => Some(p.study),
            Payload::OpenKeySets(p) => Some(p.study),
            Payload::ShowLot(p) => Some(p.study),
        }
    }

    /// What was found.
    pub fn finish(self) -> AuditReport {
        let keys = match self.focus {
            Some(Focus::Subject(subject)) => self.state.subjects_named(&subject),
            Some(Focus::Study(_) | Focus::Member(_)) | None => Vec::new(),
        };
        let uses =
            keys.iter().flat_map(|key| self.state.history(key).into_iter().map(|record| (*key, record))).collect();
        let subjects =
            keys.iter().filter_map(|key| self.state.subject(key).map(|subject| (*key, subject.clone()))).collect();
        AuditReport {
            head: *self.state.head(),
            certificates: self.certificates,
            member_signatures: self.member_signatures,
            transactions: self.transactions,
            rejections: self.rejections,
            figures: self.state.figures(),
            trail: self.trail,
            subjects,
            uses,
        }
    }
}

/// Audits an export.
///
/// # Errors
/// [`AuditError`], saying at which height the ledger does not hold.
pub fn audit<R: Read>(genesis: &Genesis, input: R, focus: Option<Focus>) -> Result<AuditReport, AuditError> {
    let mut reader = ExportReader::new(input)?;
    let expected = genesis.hash();
    if *reader.genesis() != expected {
        return Err(AuditError::Genesis { found: *reader.genesis(), expected });
    }
    let mut auditor = Auditor::new(genesis, focus);
    while let Some((block, certificate)) = reader.next_block()? {
        auditor.feed(&block, &certificate)?;
    }
    Ok(auditor.finish())
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
