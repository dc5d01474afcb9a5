//! Why a transaction changed nothing.
//!
//! A rejection is part of the ledger: it is encoded (borsh, variants by their position) and hashed with the block's
//! other results, so variants are only ever added at the end, and none carries text that a release could reword.

mod kind;

use borsh::{BorshDeserialize, BorshSerialize};
use consilium_protocol::consent::TermsError;
use consilium_protocol::ids::{
    DocumentId, Height, HospitalId, ResearcherId, RoundNumber, Sequence, StudyId, SubjectId, Timestamp, TxHash,
};
use consilium_protocol::privacy::MicroRho;
use consilium_protocol::study::CanonicalError;
use consilium_protocol::tx::{
    MAX_AGREED_DAYS, MAX_DELEGATES, MAX_DELEGATION_DAYS, MAX_GUARD_KEY_BYTES, MAX_GUARDIANS, MAX_REASON_BYTES,
    MAX_TX_BYTES,
};

use crate::state::study::Phase;

/// Who may sign a kind of transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Entitled {
    /// A member.
    Hospital,
    /// An accredited researcher.
    Researcher,
    /// The patient by their key, or the hospital as witness.
    PatientOrHospital,
}

impl std::fmt::Display for Entitled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Hospital => "a member hospital",
            Self::Researcher => "an accredited researcher",
            Self::PatientOrHospital => "the patient or the hospital",
        })
    }
}

/// A text of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum TextField {
    /// A person's name.
    Name,
    /// An organisation's name.
    Organisation,
    /// The reason of a decision.
    Reason,
}

impl std::fmt::Display for TextField {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Name => "name",
            Self::Organisation => "organisation",
            Self::Reason => "reason",
        })
    }
}

/// What is wrong with the bytes of a study.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum SpecFault {
    /// They are too many.
    TooLong,
    /// They are of another format version.
    Version,
    /// They are not the canonical form of a study.
    Malformed,
    /// The study breaks a rule.
    Invalid,
    /// It has a table otherwise than the consortium's catalogue.
    Catalogue,
}

impl std::fmt::Display for SpecFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TooLong => "they are too many",
            Self::Version => "they are of another version of the format",
            Self::Malformed => "they are not in the canonical form",
            Self::Invalid => "it breaks a rule",
            Self::Catalogue => "its tables are not as this consortium's catalogue has them",
        })
    }
}

impl From<&CanonicalError> for SpecFault {
    fn from(error: &CanonicalError) -> Self {
        match error {
            CanonicalError::TooLong => Self::TooLong,
            CanonicalError::Version(_) => Self::Version,
            CanonicalError::Invalid(_) => Self::Invalid,
            _ => Self::Malformed,
        }
    }
}

/// Why a transaction changed nothing, with the next step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, BorshSerialize, BorshDeserialize)]
#[non_exhaustive]
pub enum Rejection {
    /// The signature is not the signer's over these bytes on this ledger.
    #[error("the signature does not fit signer, content and ledger; check the key file and the chain id")]
    Signature,
    /// The signed bytes are no transaction of the format that this ledger reads.
    #[error("the signed bytes are no transaction that this ledger reads; make it again with a matching release")]
    Malformed,
    /// The transaction is longer than [`MAX_TX_BYTES`].
    #[error("a transaction has at most {MAX_TX_BYTES} bytes; send fewer entries in each")]
    TooLong,
    /// The signer has had a transaction of this or a later sequence number included.
    #[error("the signer's last included sequence number is {last}; sign again with a larger one")]
    Replayed {
        /// The last included.
        last: Sequence,
    },
    /// The expiry height has passed.
    #[error("the transaction expired at height {expires}; sign it again with a later expiry")]
    Expired {
        /// The last block that could include it.
        expires: Height,
    },
    /// The expiry lies too far ahead.
    #[error("the expiry lies beyond height {latest}; sign again with an earlier expiry")]
    ExpiresTooLate {
        /// The latest expiry that the block may accept.
        latest: Height,
    },
    /// The signer is no member, no accredited researcher and no enrolled patient key.
    #[error("the ledger does not know this signer; have it accredited or enrolled first")]
    UnknownSigner,
    /// The signer is of another kind than the transaction needs.
    #[error("this kind of transaction must be signed by {entitled}; use that key")]
    NotEntitled {
        /// Who may sign it.
        entitled: Entitled,
    },
    /// A text is empty, too long, or has control characters.
    #[error("the {field} must have 1 to {MAX_REASON_BYTES} bytes without control characters; change it")]
    Text {
        /// Which text.
        field: TextField,
    },
    /// A batch without entries.
    #[error("the transaction lists nothing; add at least one entry")]
    EmptyBatch,

    /// The hospital named is no member.
    #[error("{hospital} is no member of the consortium; check the name against the genesis file")]
    UnknownMember {
        /// The hospital.
        hospital: HospitalId,
    },
    /// The researcher is accredited already.
    #[error("this researcher is accredited already; nothing needs to be done")]
    AlreadyAccredited {
        /// The researcher.
        researcher: ResearcherId,
    },
    /// An open proposal to accredit the researcher exists.
    #[error("an open proposal for this researcher exists; vote on {proposal}")]
    AlreadyProposed {
        /// The proposal.
        proposal: TxHash,
    },
    /// There is no such proposal.
    #[error("there is no proposal {proposal}; list the proposals and copy the name again")]
    UnknownProposal {
        /// The name asked for.
        proposal: TxHash,
    },
    /// The proposal has passed or failed.
    #[error("the proposal is decided already; list the proposals to see how")]
    BallotClosed {
        /// The proposal.
        proposal: TxHash,
    },
    /// The member has voted on the proposal.
    #[error("this member has voted on the proposal already; a vote cannot be changed, make a new proposal if needed")]
    AlreadyVoted {
        /// The proposal.
        proposal: TxHash,
    },

    /// The hospital has enrolled the subject, and the transaction adds nothing to that.
    #[error("subject {subject} is enrolled already; leave it out of the batch")]
    AlreadyEnrolled {
        /// The subject.
        subject: SubjectId,
    },
    /// The subject has another patient key.
    #[error("subject {subject} has a patient key already; use that key, or enrol the patient as a new subject")]
    SubjectHasKey {
        /// The subject.
        subject: SubjectId,
    },
    /// The patient key stands for another subject.
    #[error("the patient key given for subject {subject} stands for another subject; derive the key for this hospital")]
    PatientKeyTaken {
        /// The subject it was to be bound to.
        subject: SubjectId,
    },
    /// The patient did not sign this enrolment.
    #[error("the patient's signature for subject {subject} does not fit; have the patient sign this enrolment")]
    Countersignature {
        /// The subject.
        subject: SubjectId,
    },

    /// The hospital has not enrolled the subject.
    #[error("subject {subject} is not enrolled at this hospital; enrol it first")]
    UnknownSubject {
        /// The subject.
        subject: SubjectId,
    },
    /// A patient signed for somebody else, or for more than one.
    #[error("a patient signs for one subject, their own; send one form with that subject")]
    NotOwnSubject,
    /// A patient's key claims a paper form, or a hospital an electronic one.
    #[error("a patient signs electronic documents, a hospital witnesses paper ones; change the basis")]
    WrongBasis,
    /// A paper form without the hash of its scan.
    #[error("the form of subject {subject} lacks the hash of its scan; scan the paper form first")]
    SourceMissing {
        /// The subject.
        subject: SubjectId,
    },
    /// An electronic document with the hash of a scan.
    #[error("an electronic document has no scanned form; leave its source zero")]
    SourceUnexpected,
    /// The terms break a rule.
    #[error("{0}")]
    Terms(TermsError),
    /// An opt-out document where the consortium has opt-in alone.
    #[error("this consortium's documents are opt-in; use the base decision `deny`")]
    BasePermit,
    /// There is no such document of the subject.
    #[error("subject {subject} has no document {document}; list the subject's documents and copy the name again")]
    UnknownDocument {
        /// The subject.
        subject: SubjectId,
        /// The document.
        document: DocumentId,
    },
    /// The document has ended already.
    #[error("document {document} has ended already; nothing needs to be done")]
    DocumentEnded {
        /// The document.
        document: DocumentId,
    },
    /// The subject has no current document.
    #[error("subject {subject} has no current document; nothing needs to be done")]
    NothingToRevoke {
        /// The subject.
        subject: SubjectId,
    },

    /// The study's bytes are no valid study.
    #[error("these bytes are no valid study ({0}); check the study file with `consilium study check`, then submit it")]
    Spec(SpecFault),
    /// A key for pairs, or what was encapsulated to such keys, is not of the form that it must have.
    #[error("a key for this study's pairs is none, or what was encapsulated is of the wrong length; restart the node")]
    PairKey,
    /// The lot is not the member's for this round.
    #[error("the lot is not this member's for this round; restore the member's secrets/lots.secret")]
    Lot,
    /// The member has committed to its pair keys.
    #[error("this member has committed to its pair keys already; nothing needs to be done")]
    AlreadyPaired {
        /// The study.
        study: StudyId,
    },
    /// A public key of the study is none, or one under which nothing would be hidden.
    #[error("a public key of the study is none, or would hide nothing; submit the study again with this program")]
    StudyKey,
    /// The same study, with the same key, is on the ledger.
    #[error("study {study} is on the ledger already; look it up there")]
    StudyExists {
        /// The study.
        study: StudyId,
    },
    /// There is no such study.
    #[error("there is no study {study}; list the studies and copy the name again")]
    UnknownStudy {
        /// The name asked for.
        study: StudyId,
    },
    /// The study is another researcher's.
    #[error("only the study's own researcher may do this; use that key")]
    NotTheResearcher {
        /// The study.
        study: StudyId,
    },
    /// The study is in a phase that has no place for this.
    #[error("the study is {phase}, which has no place for this; look the study up for what comes next")]
    WrongPhase {
        /// The study.
        study: StudyId,
        /// Its phase.
        phase: Phase,
    },
    /// The member has decided on the study.
    #[error("this member has decided on the study already; a decision cannot be changed")]
    AlreadyDecided {
        /// The study.
        study: StudyId,
    },
    /// The member did not approve the study.
    #[error("only a member that approved the study may open its round; leave it to one of them")]
    NotAnApprover {
        /// The study.
        study: StudyId,
    },
    /// Fewer hospitals approved than a round needs.
    #[error("{approved} hospitals approved, a round needs {needed}; wait for more, or propose the study anew")]
    TooFewHospitals {
        /// How many approved.
        approved: u32,
        /// How many are needed.
        needed: u32,
    },
    /// The block's time is before the moment from which this is allowed.
    #[error("this is allowed in blocks from time {not_before} (ms since 1970) on; send it again then")]
    TooEarly {
        /// The moment.
        not_before: Timestamp,
    },
    /// Another round than the current one.
    #[error("the study's current round is {current}; nothing is taken for another")]
    WrongRound {
        /// The current round.
        current: RoundNumber,
    },
    /// The member is not on the round's roster.
    #[error("this member is not on the round's roster; leave it to those who are")]
    NotInRoster {
        /// The study.
        study: StudyId,
    },
    /// The member has contributed to the round.
    #[error("this member has contributed to the round already; nothing needs to be done")]
    AlreadyContributed {
        /// The study.
        study: StudyId,
    },
    /// A contribution to a guarded round without a veil, or without counts for its witness, or one to another round with it.
    #[error(
        "contributions to guarded rounds have a veil, and counts for the witness where there is one, and no others have; compute it \
         again with this program"
    )]
    Veil,
    /// What was committed to has no bytes.
    #[error("what this commits to has no bytes; compute it again")]
    EmptyContribution,
    /// The member has attested the round's sum.
    #[error("this member has attested the round already; nothing needs to be done")]
    AlreadyAttested {
        /// The study.
        study: StudyId,
    },
    /// No sum has been attested by more than half of the roster.
    #[error("{attested} members of the roster attested the same sum, {needed} are needed; wait for more")]
    TooFewAttestations {
        /// The most that attested one sum.
        attested: u32,
        /// How many are needed.
        needed: u32,
    },
    /// The round has a result, so it has not failed, and nobody takes it back.
    #[error("the round has its result, which the hospitals are about to release; wait for that")]
    Releasable {
        /// The study.
        study: StudyId,
    },
    /// The consortium allows no open studies.
    #[error("this consortium allows no open studies; set protection = \"guarded\" or \"private\" in the study file")]
    OpenStudiesForbidden,
    /// The researcher has proposed as many studies as the policy allows.
    #[error("a researcher may propose {quota} studies in {days} days; wait until the first of them is older")]
    Quota {
        /// How many are allowed.
        quota: u32,
        /// In how many days.
        days: u32,
    },
    /// A private study would lose more than is left of a hospital's privacy budget.
    #[error(
        "the study loses ρ = {asked}, of the privacy budget ρ = {left} is left; propose it again with a smaller rho"
    )]
    PrivacyBudget {
        /// What the study loses.
        asked: MicroRho,
        /// What is left.
        left: MicroRho,
    },
    /// A key for guarded studies that cannot be one.
    #[error(
        "keys for guarded studies have 1 to {MAX_GUARD_KEY_BYTES} bytes, the sealing key must be one, there are as many different sets \
         of them as the policy's key_sets, and none may have been in a round; restart the node to make new ones"
    )]
    GuardKeys,
    /// Fewer than two hospitals of the roster can take a role.
    #[error(
        "a guarded round needs two hospitals of its roster (three where the policy asks for a witness), not the researcher's own, \
         that have registered guard keys; start their nodes, which register by themselves"
    )]
    NoRoles {
        /// The study.
        study: StudyId,
    },
    /// Something that only open and private rounds have.
    #[error("the round is guarded: its aggregator seals the sum and nobody attests; nothing needs to be done")]
    GuardedRound {
        /// The study.
        study: StudyId,
    },
    /// Something that only guarded rounds have.
    #[error("the round is not guarded; attest its sum instead")]
    NotGuarded {
        /// The study.
        study: StudyId,
    },
    /// The role was drawn for another hospital.
    #[error("the role in this round is {hospital}'s; leave it to that hospital")]
    NotInRole {
        /// Whose it is.
        hospital: HospitalId,
    },
    /// The aggregator has not sealed the sum yet.
    #[error("the round's aggregator, or its witness, has not sealed its part yet; send it again when it has")]
    NotSealed {
        /// The study.
        study: StudyId,
    },
    /// The custodian has not disclosed the seeds yet.
    #[error("the round's custodian has not disclosed what passed yet; send it again when it has")]
    NotDisclosed {
        /// The study.
        study: StudyId,
    },
    /// A private study asks for less noise than the hospitals can share out.
    #[error("rho = {asked} needs less noise than all hospitals can share out; propose the study with at most {most}")]
    RhoTooLarge {
        /// What the study asks for.
        asked: MicroRho,
        /// The largest that a study of as many statistics can ask for.
        most: MicroRho,
    },
    /// The policy wants no witness.
    #[error("the round has no witness, which the consortium's policy does not ask for; nothing needs to be done")]
    NoWitness {
        /// The study.
        study: StudyId,
    },
    /// The accused has committed to nothing of the kind in this round.
    #[error("that hospital owes nothing of the kind to the round; accuse one of its roster of what it committed to")]
    NothingOwed {
        /// The study.
        study: StudyId,
    },
    /// The member has said so already.
    #[error("this member has accused that hospital in this round already; nothing needs to be done")]
    AlreadyAccused {
        /// The study.
        study: StudyId,
    },
    /// The custodian's other sets of keys are not opened, or not as this says.
    #[error(
        "the custodian opens all of its sets of keys that were not drawn, once, before anybody contributes; contribute when it has, and give \
         one seed for each of them"
    )]
    KeySets {
        /// The study.
        study: StudyId,
    },
    /// More than half of the roster have named a hospital.
    #[error(
        "more than half of the round's roster have named a hospital, so nothing more comes of it; wait for the next round"
    )]
    Spoiled {
        /// The study.
        study: StudyId,
    },
    /// The round waits for lots, or for none; or this hospital's is shown.
    #[error(
        "lots are shown once by each hospital of the roster, and nothing else is done until all are; wait for the others', or for what is \
         drawn next"
    )]
    Lots {
        /// The study.
        study: StudyId,
    },
    /// It comes later than it may.
    #[error("this had to come by {not_after}; the round is opened again without this hospital at its deadline")]
    TooLate {
        /// The last moment.
        not_after: Timestamp,
    },
    /// Terms by a hash that nobody has given in whole.
    #[error("the ledger has no terms of this hash; give them in whole")]
    UnknownTerms,
    /// A paper form without its day, or of a day that has not come; or a day where there is no form.
    #[error(
        "a paper form carries the day on which it was signed, which is not in the future; an electronic document has none"
    )]
    SignedDay {
        /// The subject.
        subject: SubjectId,
    },
    /// Somebody else wants to end what a patient forbade by their own key.
    #[error(
        "what document {document} forbids is not yours to take back: what a patient forbade by their own key that key alone takes \
         back, and behind a closed door for paper no form does; the patient revokes it with their wallet"
    )]
    OwnDeny {
        /// The document.
        document: DocumentId,
    },
    /// The key was the patient's, or that of somebody who signed for them, and is no more.
    #[error(
        "this key no longer signs for anybody: it was replaced, or its delegation has ended; use the new one, or have it renewed"
    )]
    KeyEnded,
    /// No key of the patient's permits anything while they are frozen or a new one waits.
    #[error(
        "the patient's keys are frozen, or a new one waits for its time, and keys only revoke and forbid; wait for the time, or for \
         the decision of the hospital's desk"
    )]
    KeysFrozen,
    /// The keys are frozen already.
    #[error("the patient's keys are frozen already; the hospital's desk decides what comes next")]
    AlreadyFrozen,
    /// The patient alone says this.
    #[error("the patient's own key alone says this; use their wallet, or go to the hospital's desk with a signed form")]
    NotThePatient,
    /// A delegate permits what lies outside of their scope.
    #[error("this permits more than the delegation allows; stay within its scope, or have it widened")]
    OutsideScope,
    /// A guardian permits without the others.
    #[error(
        "{needed} guardians have to permit this together; have the others sign it as well, see `consilium consent cosign`"
    )]
    Cosigners {
        /// How many.
        needed: u8,
    },
    /// A delegation that cannot be.
    #[error(
        "a delegation to a proxy or guardian ends on a day within the next {MAX_DELEGATION_DAYS}, one to a device never; at most \
         {MAX_GUARDIANS} guardians sign together, and a scope names something"
    )]
    Delegation,
    /// Too many at once.
    #[error("at most {MAX_DELEGATES} others sign for a patient at once; end one first")]
    TooManyDelegates,
    /// There is no such delegate.
    #[error("no such key signs for the patient now; list who does")]
    NoDelegate,
    /// The patient has closed the door for paper forms.
    #[error(
        "the patient {subject} has closed the door for paper forms, which only forbid and revoke; they permit with their wallet, \
         or open the door again with it"
    )]
    PaperClosed {
        /// The subject.
        subject: SubjectId,
    },
    /// The door is as it is wanted already.
    #[error("the door for paper forms is {} already; nothing has to be done", if *.closed { "closed" } else { "open" })]
    PaperDoorIs {
        /// Whether it is closed.
        closed: bool,
    },
    /// There is no key.
    #[error("the patient {subject} has no key at this hospital; enrol their wallet first")]
    NoKey {
        /// The subject.
        subject: SubjectId,
    },
    /// A new key waits already.
    #[error("a new key waits for this patient already; wait for it, or decide at the desk to keep the old one")]
    RotationWaits,
    /// Nothing waits for a decision.
    #[error("no key of the patient is frozen, and no new one was objected to; there is nothing to decide")]
    NothingToDecide,
    /// The same member of staff twice, or none.
    #[error("two different members of the hospital's staff have to see the patient; name both")]
    Staff,
    /// Nobody signs for the subject any more.
    #[error("nobody signs for {subject} any more: they have died, or another subject stands for them; look them up")]
    SubjectClosed {
        /// The subject.
        subject: SubjectId,
    },
    /// Closed for this reason already.
    #[error("{subject} is closed already, or named twice; leave them out")]
    AlreadyClosed {
        /// The subject.
        subject: SubjectId,
    },
    /// One of the two is another person already, or stands for another.
    #[error(
        "{subject} cannot be merged: it is merged with another already, stands for another, or is the same; unmerge it first"
    )]
    AlreadyMerged {
        /// The subject.
        subject: SubjectId,
    },
    /// The subject is not merged.
    #[error("{subject} is not merged with another; look them up")]
    NotMerged {
        /// The subject.
        subject: SubjectId,
    },
    /// Conditions out of order or twice.
    #[error(
        "conditions that are found met are listed once each, in ascending order; make the approval again with this program"
    )]
    Ticked,
    /// A delegate's agreement that is too old, or was used before.
    #[error(
        "a delegate agrees anew each time: their code is at most {MAX_AGREED_DAYS} days old, newer than the last one that was used, and \
         newer than the end of what it renews; have them make another one"
    )]
    Agreed,
    /// A decision by the form that the new key was recorded with, or by an older one than the objection.
    #[error(
        "the patient comes a second time: the decision rests on another form, signed after the objection; have it signed"
    )]
    SecondVisit,
}
