//! Transactions: what actors sign and the ledger keeps.
//!
//! [`SignedTx::body`] is the exact byte string that was signed; it is decoded for its meaning but never encoded again.

mod consent;

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::Serialize;

use crate::consent::{Condition, Establishment};
use crate::hash::tagged;
use crate::ids::{
    ContentHash, Height, HospitalId, LedgerId, PatientId, ResearcherId, RoundNumber, Sequence, StudyId, SubjectId,
    TxHash,
};
use crate::kem::KemPublicKey;
use crate::keys::{Signature, SigningKey};
use crate::lots::LotProof;

pub use consent::{
    Close, CloseReason, Countersignature, DecideKey, Delegate, DelegateRole, DelegationScope, EndDelegation, Enrol,
    Enrolment, Freeze, Given, GivenTerms, Grant, KeyDecision, MAX_AGREED_DAYS, MAX_DELEGATES, MAX_DELEGATION_DAYS,
    MAX_GUARDIANS, Merge, PaperDoor, Revocation, Revoke, RotateKey, Staff, Statement, Unmerge, cosigning_message,
    delegation_message, document_id, enrolment_message,
};

/// The longest encoded transaction, in bytes.
pub const MAX_TX_BYTES: usize = 262_144;
/// The longest reason or name within a transaction, in bytes.
pub const MAX_REASON_BYTES: usize = 1_000;
/// The longest key that a member registers for guarded studies, in bytes.
pub const MAX_GUARD_KEY_BYTES: u64 = 128 * 1024 * 1024;
/// How far ahead of the chain a transaction's expiry may lie, in blocks.
pub const MAX_EXPIRY_BLOCKS: u64 = 100_000;

/// Who signed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub enum Signer {
    /// A member of the consortium.
    Hospital(HospitalId),
    /// A researcher.
    Researcher(ResearcherId),
    /// A patient, by the key they have at one hospital.
    Patient(PatientId),
}

impl Signer {
    /// The Ed25519 public key.
    pub const fn public_key(&self) -> &[u8; 32] {
        match self {
            Self::Hospital(id) => id.public_key(),
            Self::Researcher(id) => id.public_key(),
            Self::Patient(id) => id.public_key(),
        }
    }
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hospital(id) => id.fmt(f),
            Self::Researcher(id) => id.fmt(f),
            Self::Patient(id) => id.fmt(f),
        }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hospital(id) => id.fmt(f),
            Self::Researcher(id) => id.fmt(f),
            Self::Patient(id) => fmt::Debug::fmt(id, f),
        }
    }
}

impl Serialize for Signer {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a transaction says.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct TxBody {
    /// Larger than that of every earlier transaction of the signer that was included: a replay is refused.
    pub sequence: Sequence,
    /// The last block that may include it.
    pub expires: Height,
    /// What is to happen.
    pub payload: Payload,
}

/// What can be asked of the ledger, with who may ask.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Payload {
    /// Hospital: proposes to accredit a researcher, and votes for it.
    AccreditResearcher(AccreditResearcher),
    /// Hospital: votes on a proposal.
    Vote(Vote),
    /// Hospital: binds subjects to itself and, where there is one, to a patient key.
    Enrol(Enrol),
    /// Patient, or hospital as witness of paper forms: records consent documents.
    Grant(Grant),
    /// Patient, or hospital as witness of paper forms: ends consent documents.
    Revoke(Revoke),
    /// Accredited researcher: asks for a study.
    ProposeStudy(ProposeStudy),
    /// The study's researcher: takes it back.
    WithdrawStudy(WithdrawStudy),
    /// Hospital: agrees to a study.
    Approve(Approve),
    /// Hospital: refuses a study.
    Reject(Reject),
    /// Hospital that approved: commits to the secrets that it encapsulated to those who approved before it.
    PairKeys(PairKeys),
    /// Hospital that approved: starts the first round.
    OpenRound(OpenRound),
    /// Hospital of the roster: commits to its contribution.
    Contribute(Contribute),
    /// Hospital of the roster: commits to the sum that it computed from all contributions.
    Attest(Attest),
    /// Hospital of the roster: declares the sum that more than half attested as the result.
    Release(Release),
    /// Hospital: ends a round whose deadline has passed.
    FailRound(FailRound),
    /// Hospital: says by which keys it can take a role in guarded studies.
    RegisterGuardKeys(RegisterGuardKeys),
    /// Aggregator of a guarded round: commits to the padded sum and to the seeds under the custodian's key.
    SealSum(SealSum),
    /// Custodian of a guarded round: commits to the seeds that passed, sealed to the researcher.
    DiscloseSeeds(DiscloseSeeds),
    /// Hospital of the roster: says that another one does not give what it committed to.
    Accuse(Accuse),
    /// Witness of a guarded round: commits to seeds of its own, sealed by the decisions that it repeated.
    Witness(Witness),
    /// Custodian of a guarded round: gives the seeds of the sets of keys that were not drawn.
    OpenKeySets(OpenKeySets),
    /// Hospital of the roster: shows its lot for what the round draws next.
    ShowLot(ShowLot),
    /// Patient, or hospital as witness of a paper form: lets somebody else sign for the patient, until a day and within a scope.
    Delegate(Delegate),
    /// Patient, hospital as witness of a paper form, or the delegate: ends that.
    EndDelegation(EndDelegation),
    /// Any key of a patient, or hospital as witness of a paper form: no key of the patient's permits anything until the desk
    /// has decided. Of the new key that a rotation waits for: an objection.
    Freeze(Freeze),
    /// Hospital: gives a patient a new key, after a waiting time.
    RotateKey(RotateKey),
    /// Hospital: decides which key of a patient counts, after a freeze or an objection.
    DecideKey(DecideKey),
    /// Patient: from now on witnessed forms permit nothing, or they may again.
    PaperDoor(PaperDoor),
    /// Hospital: two of its subjects are one person.
    Merge(Merge),
    /// Hospital: they are not.
    Unmerge(Unmerge),
    /// Hospital: it no longer speaks with these patients.
    Close(Close),
}

impl Payload {
    /// The subjects that it is about.
    pub fn subjects(&self) -> Vec<SubjectId> {
        match self {
            Self::Enrol(payload) => payload.subjects.iter().map(|enrolment| enrolment.subject).collect(),
            Self::Grant(payload) => payload.forms.iter().map(|form| form.subject).collect(),
            Self::Revoke(payload) => payload.forms.iter().map(|form| form.subject).collect(),
            Self::Delegate(payload) => vec![payload.subject],
            Self::EndDelegation(payload) => vec![payload.subject],
            Self::Freeze(payload) => vec![payload.subject],
            Self::RotateKey(payload) => vec![payload.subject],
            Self::DecideKey(payload) => vec![payload.subject],
            Self::PaperDoor(payload) => vec![payload.subject],
            Self::Merge(payload) => vec![payload.from, payload.into],
            Self::Unmerge(payload) => vec![payload.from],
            Self::Close(payload) => payload.subjects.clone(),
            Self::AccreditResearcher(_)
            | Self::Vote(_)
            | Self::ProposeStudy(_)
            | Self::WithdrawStudy(_)
            | Self::Approve(_)
            | Self::Reject(_)
            | Self::PairKeys(_)
            | Self::OpenRound(_)
            | Self::Contribute(_)
            | Self::Attest(_)
            | Self::Release(_)
            | Self::FailRound(_)
            | Self::RegisterGuardKeys(_)
            | Self::SealSum(_)
            | Self::DiscloseSeeds(_)
            | Self::Accuse(_)
            | Self::Witness(_)
            | Self::OpenKeySets(_)
            | Self::ShowLot(_) => Vec::new(),
        }
    }

    /// The name of the kind, for people and machines.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AccreditResearcher(_) => "accredit_researcher",
            Self::Vote(_) => "vote",
            Self::Enrol(_) => "enrol",
            Self::Grant(_) => "grant",
            Self::Revoke(_) => "revoke",
            Self::ProposeStudy(_) => "propose_study",
            Self::WithdrawStudy(_) => "withdraw_study",
            Self::Approve(_) => "approve",
            Self::Reject(_) => "reject",
            Self::PairKeys(_) => "pair_keys",
            Self::OpenRound(_) => "open_round",
            Self::Contribute(_) => "contribute",
            Self::Attest(_) => "attest",
            Self::Release(_) => "release",
            Self::FailRound(_) => "fail_round",
            Self::RegisterGuardKeys(_) => "register_guard_keys",
            Self::SealSum(_) => "seal_sum",
            Self::DiscloseSeeds(_) => "disclose_seeds",
            Self::Accuse(_) => "accuse",
            Self::Witness(_) => "witness",
            Self::OpenKeySets(_) => "open_key_sets",
            Self::ShowLot(_) => "show_lot",
            Self::Delegate(_) => "delegate",
            Self::EndDelegation(_) => "end_delegation",
            Self::Freeze(_) => "freeze",
            Self::RotateKey(_) => "rotate_key",
            Self::DecideKey(_) => "decide_key",
            Self::PaperDoor(_) => "paper_door",
            Self::Merge(_) => "merge",
            Self::Unmerge(_) => "unmerge",
            Self::Close(_) => "close",
        }
    }
}

/// See [`Payload::AccreditResearcher`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AccreditResearcher {
    /// Who is to be accredited.
    pub researcher: ResearcherId,
    /// Their name, for people.
    pub name: String,
    /// The organisation that they work for; consents name it.
    pub organisation: String,
    /// The member whose own researcher this is, if any.
    pub hospital: Option<HospitalId>,
    /// Where the organisation is and what it is; consents ask for it.
    pub establishment: Establishment,
}

/// See [`Payload::Vote`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Vote {
    /// The transaction that made the proposal.
    pub proposal: TxHash,
    /// For or against.
    pub in_favour: bool,
}

/// See [`Payload::ProposeStudy`].
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ProposeStudy {
    /// The canonical form of the study ([`crate::study::StudySpec::to_canonical`]).
    pub spec: Vec<u8>,
    /// The study's public encryption key, as the engine encodes it.
    pub public_key: Vec<u8>,
    /// The researcher's key for this study, to which a custodian seals what passed.
    pub sealing_key: KemPublicKey,
}

impl fmt::Debug for ProposeStudy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProposeStudy {{ spec: {} bytes, public_key: {} bytes }}", self.spec.len(), self.public_key.len())
    }
}

/// See [`Payload::WithdrawStudy`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct WithdrawStudy {
    /// The study.
    pub study: StudyId,
}

/// See [`Payload::Approve`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Approve {
    /// The study.
    pub study: StudyId,
    /// Why, for people; may be empty.
    pub reason: String,
    /// The hospital's key for the pairs of this study: those who approve later encapsulate a secret to it.
    pub pair_key: KemPublicKey,
    /// The hospital's lot for the first round's roles.
    pub lot: LotProof,
    /// What consents of its patients are bound to and it finds met, in ascending order, each once.
    pub ticked: Vec<Condition>,
}

/// See [`Payload::PairKeys`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PairKeys {
    /// The study.
    pub study: StudyId,
    /// What was encapsulated ([`crate::pairing`]), one after the other, in the order of the approvals before the hospital's own.
    pub keys: Blob,
}

/// See [`Payload::Reject`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Reject {
    /// The study.
    pub study: StudyId,
    /// Why; must not be empty.
    pub reason: String,
}

/// See [`Payload::OpenRound`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct OpenRound {
    /// The study.
    pub study: StudyId,
}

/// See [`Payload::Contribute`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Contribute {
    /// The study.
    pub study: StudyId,
    /// The round.
    pub round: RoundNumber,
    /// SHA-256 of the encrypted contribution.
    pub contribution: ContentHash,
    /// Its length in bytes; the same for every hospital.
    pub bytes: u64,
    /// SHA-256 of what shows how it was made, which the hospital gives to the others should it be drawn to.
    pub proof: ContentHash,
    /// The hospital's lot for the roles of the round after this one, should there be one.
    pub lot: LotProof,
    /// Of a guarded round: what the hospital laid over its cells.
    pub veil: Option<VeilCommitment>,
}

/// What a hospital says in a guarded round of the veil over its cells, and of its counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct VeilCommitment {
    /// The seed of the veil, sealed to the custodian.
    pub sealed: Blob,
    /// SHA-256 of the list of commitments to the veil's keys.
    pub keys: ContentHash,
    /// The counts, sealed to the round's witness, if it has one.
    pub counts: Option<Blob>,
}

/// See [`Payload::Attest`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Attest {
    /// The study.
    pub study: StudyId,
    /// The round.
    pub round: RoundNumber,
    /// SHA-256 of the encrypted sum.
    pub sum: ContentHash,
}

/// See [`Payload::Release`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Release {
    /// The study.
    pub study: StudyId,
    /// The round.
    pub round: RoundNumber,
}

/// See [`Payload::FailRound`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct FailRound {
    /// The study.
    pub study: StudyId,
    /// The round.
    pub round: RoundNumber,
}

/// See [`Payload::Accuse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Accuse {
    /// The study.
    pub study: StudyId,
    /// The round.
    pub round: RoundNumber,
    /// Of whom it is said.
    pub accused: HospitalId,
    /// What is said.
    pub fault: Fault,
}

/// What keeps the others of a round's roster from going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum Fault {
    /// The contribution that it committed to cannot be had.
    Contribution,
    /// What it contributed is nothing that could be added up, or was not made as it shows.
    Malformed,
    /// The seed of its veil, sealed to the custodian, cannot be had.
    Veil,
    /// The keys that it was made custodian with cannot be had.
    Keys,
    /// The padded sum and the seeds that it sealed as aggregator cannot be had.
    Sum,
    /// The counts that it sealed to the witness cannot be had.
    Counts,
    /// What it sealed as witness cannot be had.
    Witness,
    /// A set of keys that it registered is not made of the seed that it gave for it.
    KeySets,
    /// What shows how its contribution was made cannot be had.
    Proof,
    /// The seeds and keys that it sealed to the researcher as custodian cannot be had, nor the padded sum from it.
    Disclosed,
}

impl Fault {
    /// The kind as one word for machines; stable between releases.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Contribution => "contribution",
            Self::Malformed => "malformed",
            Self::Veil => "veil",
            Self::Keys => "keys",
            Self::Sum => "sum",
            Self::Counts => "counts",
            Self::Witness => "witness",
            Self::KeySets => "key_sets",
            Self::Proof => "proof",
            Self::Disclosed => "disclosed",
        }
    }

    /// The fault of this name.
    pub fn named(name: &str) -> Option<Self> {
        let all = [
            Self::Contribution,
            Self::Malformed,
            Self::Veil,
            Self::Keys,
            Self::Sum,
            Self::Counts,
            Self::Witness,
            Self::KeySets,
            Self::Proof,
            Self::Disclosed,
        ];
        all.into_iter().find(|fault| fault.name() == name)
    }

    /// Whether everybody finds it in what they have: nobody has to be waited for, nor asked.
    pub const fn is_plain(self) -> bool {
        matches!(self, Self::Malformed | Self::KeySets)
    }

    /// What is wrong, to follow a name.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Contribution => "does not give the contribution that it committed to",
            Self::Malformed => "contributed what cannot be added up, or was not made as agreed",
            Self::Veil => "does not give the seed of its veil",
            Self::Keys => "does not give its custodian's keys",
            Self::Sum => "does not give what it sealed as aggregator",
            Self::Counts => "does not give the counts that it sealed to the witness",
            Self::Witness => "does not give what it sealed as witness",
            Self::KeySets => "registered keys that are not made of the seeds that it gave for them",
            Self::Proof => "does not show how its contribution was made",
            Self::Disclosed => "does not give what it sealed to the researcher as custodian",
        }
    }
}

/// A ciphertext or key by its hash, with its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Blob {
    /// SHA-256 of its bytes.
    pub hash: ContentHash,
    /// Its length in bytes.
    pub bytes: u64,
}

/// See [`Payload::RegisterGuardKeys`]. A later one replaces an earlier one for rounds that open after it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct RegisterGuardKeys {
    /// As many as the policy says; with which one the hospital is custodian is drawn.
    pub sets: Vec<KeySet>,
    /// Key to which contributions are sealed when this one is aggregator, and veils when it is custodian.
    pub sealing_key: KemPublicKey,
}

/// What a custodian computes with in one round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct KeySet {
    /// Under which hospitals encrypt their small counts.
    pub public_key: Blob,
    /// With which an aggregator computes on them.
    pub server_key: Blob,
}

impl KeySet {
    /// Of the public and of the server key.
    #[must_use]
    pub const fn hashes(&self) -> [ContentHash; 2] {
        [self.public_key.hash, self.server_key.hash]
    }
}

/// See [`Payload::ShowLot`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ShowLot {
    /// The study.
    pub study: StudyId,
    /// The round.
    pub round: RoundNumber,
    /// Of [`lots::message`](crate::lots::message), for what the round draws next.
    pub lot: LotProof,
}

/// See [`Payload::OpenKeySets`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct OpenKeySets {
    /// The study.
    pub study: StudyId,
    /// The round.
    pub round: RoundNumber,
    /// What the sets that were not drawn are made of, in the order in which they were registered.
    pub seeds: Vec<[u8; 32]>,
}

/// See [`Payload::SealSum`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SealSum {
    /// The study.
    pub study: StudyId,
    /// The round.
    pub round: RoundNumber,
    /// The padded sum, under the researcher's key.
    pub sum: Blob,
    /// The seeds of the pads, under the custodian's key: readable for groups that passed.
    pub seeds: Blob,
}

/// See [`Payload::Witness`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Witness {
    /// The study.
    pub study: StudyId,
    /// The round.
    pub round: RoundNumber,
    /// Seeds that serve for nothing else, under the custodian's key: readable for groups that passed.
    pub seeds: Blob,
}

/// See [`Payload::DiscloseSeeds`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DiscloseSeeds {
    /// The study.
    pub study: StudyId,
    /// The round.
    pub round: RoundNumber,
    /// The seeds that passed, sealed to the researcher; of the same length whatever passed.
    pub seeds: Blob,
    /// Which sets of groups passed, one bit each, the lowest bit of a byte first: later studies are held against those.
    pub passed: Vec<u8>,
}

/// The most bytes of [`DiscloseSeeds::passed`].
pub const MAX_PASSED_BYTES: usize = 4_096;

/// A transaction as it travels and is kept.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedTx {
    /// The exact bytes that were signed: a format byte, then a [`TxBody`].
    pub body: Vec<u8>,
    /// Who signed.
    pub signer: Signer,
    /// Over [`signing_message`].
    pub signature: Signature,
}

impl fmt::Debug for SignedTx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedTx({:?} by {:?}, {} bytes)", self.hash(), self.signer, self.body.len())
    }
}

/// Bytes that are no transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TxError {
    /// Longer than [`MAX_TX_BYTES`].
    #[error("a transaction has at most {MAX_TX_BYTES} bytes; send fewer entries in each")]
    TooLong,
    /// Not the encoding of a transaction, or with bytes left over.
    #[error("these bytes are no transaction; make it again with this program")]
    Malformed,
    /// Of a format that this program does not know.
    #[error("this transaction is of format {0}, this program reads format {BODY_FORMAT}; use a matching release")]
    Format(u8),
    /// The signature is not the signer's over these bytes on this ledger.
    #[error("the signature does not fit signer, content and ledger; check the key file and the genesis file")]
    Signature,
}

/// The format of [`SignedTx::body`], its first byte.
pub const BODY_FORMAT: u8 = 1;

/// The bytes that a signature is over: `"consilium/tx/v1" ‖ ledger ‖ body`.
pub fn signing_message(ledger: &LedgerId, body: &[u8]) -> Vec<u8> {
    [&b"consilium/tx/v1"[..], ledger.as_bytes(), body].concat()
}

impl SignedTx {
    /// Signs a body.
    pub fn sign(ledger: &LedgerId, body: &TxBody, signer: Signer, key: &SigningKey) -> Self {
        let mut bytes = vec![BODY_FORMAT];
        // Writing to a vector cannot fail.
        bytes.extend(borsh::to_vec(body).unwrap_or_default());
        let signature = key.sign(&signing_message(ledger, &bytes));
        Self { body: bytes, signer, signature }
    }

    /// The name of the transaction.
    pub fn hash(&self) -> TxHash {
        TxHash::from_bytes(tagged("consilium/txhash/v1", &[&self.to_bytes()]))
    }

    /// The encoding that travels and is kept (borsh).
    pub fn to_bytes(&self) -> Vec<u8> {
        // Writing to a vector cannot fail.
        borsh::to_vec(self).unwrap_or_default()
    }

    /// The length of [`Self::to_bytes`].
    pub fn encoded_len(&self) -> usize {
        4 + self.body.len() + 33 + 64
    }

    /// Reads a transaction; says nothing about its signature.
    ///
    /// # Errors
    /// [`TxError::TooLong`] or [`TxError::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TxError> {
        if bytes.len() > MAX_TX_BYTES {
            return Err(TxError::TooLong);
        }
        borsh::from_slice(bytes).map_err(|_| TxError::Malformed)
    }

    /// What the transaction says.
    ///
    /// # Errors
    /// [`TxError`] when the body is of another format or malformed.
    pub fn decode_body(&self) -> Result<TxBody, TxError> {
        if self.encoded_len() > MAX_TX_BYTES {
            return Err(TxError::TooLong);
        }
        match self.body.split_first() {
            Some((&BODY_FORMAT, body)) => borsh::from_slice(body).map_err(|_| TxError::Malformed),
            Some((format, _)) => Err(TxError::Format(*format)),
            None => Err(TxError::Malformed),
        }
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// [`TxError::Signature`] when it does not fit.
    pub fn verify(&self, ledger: &LedgerId) -> Result<(), TxError> {
        let message = signing_message(ledger, &self.body);
        if self.signature.verifies(self.signer.public_key(), &message) { Ok(()) } else { Err(TxError::Signature) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed() -> (LedgerId, SignedTx) {
        let ledger = LedgerId::from_bytes([6; 32]);
        let key = SigningKey::from_seed(&[1; 32]);
        let body = TxBody {
            sequence: Sequence::new(5),
            expires: Height::new(100),
            payload: Payload::Reject(Reject { study: StudyId::from_bytes([9; 32]), reason: "no".to_string() }),
        };
        let tx = SignedTx::sign(&ledger, &body, Signer::Hospital(key.hospital()), &key);
        assert_eq!(tx.decode_body(), Ok(body));
        (ledger, tx)
    }

    #[test]
    fn a_signature_is_bound_to_ledger_signer_and_body() {
        let (ledger, tx) = signed();
        assert_eq!(tx.verify(&ledger), Ok(()));
        assert_eq!(tx.verify(&LedgerId::from_bytes([7; 32])), Err(TxError::Signature));
        let mut changed = tx.clone();
        *changed.body.last_mut().expect("a body") ^= 1;
        assert_eq!(changed.verify(&ledger), Err(TxError::Signature));
        let mut stolen = tx;
        stolen.signer = Signer::Patient(SigningKey::from_seed(&[2; 32]).patient());
        assert_eq!(stolen.verify(&ledger), Err(TxError::Signature));
    }

    #[test]
    fn every_truncation_and_extension_is_refused() {
        let (_, tx) = signed();
        let bytes = tx.to_bytes();
        assert_eq!(bytes.len(), tx.encoded_len());
        assert_eq!(SignedTx::from_bytes(&bytes), Ok(tx.clone()));
        for end in 0..bytes.len() {
            assert_eq!(SignedTx::from_bytes(&bytes[..end]), Err(TxError::Malformed));
        }
        let mut longer = bytes;
        longer.push(0);
        assert_eq!(SignedTx::from_bytes(&longer), Err(TxError::Malformed));
        let mut body = tx.clone();
        body.body.push(0);
        assert_eq!(body.decode_body(), Err(TxError::Malformed));
        let mut format = tx;
        format.body[0] = 2;
        assert_eq!(format.decode_body(), Err(TxError::Format(2)));
    }
}
