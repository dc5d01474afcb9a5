//! What is said on the ledger of subjects: who they are, what they consent to, and who signs for them.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::consent::{Action, Base, Basis, DiseaseTree, Effect, Purpose, Rule, Scope, Terms};
use crate::hash::tagged;
use crate::ids::{ContentHash, Date, DocumentId, HospitalId, LedgerId, PatientId, SubjectId, TxHash};
use crate::keys::Signature;

/// See [`Payload::Enrol`](super::Payload::Enrol).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Enrol {
    /// The subjects.
    pub subjects: Vec<Enrolment>,
}

/// One subject of an [`Enrol`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Enrolment {
    /// The subject.
    pub subject: SubjectId,
    /// The patient's key, when the patient has one.
    pub patient: Option<Countersignature>,
}

/// A patient's agreement that their key stands for a subject of a hospital.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Countersignature {
    /// The patient's key.
    pub patient: PatientId,
    /// Over [`enrolment_message`].
    pub signature: Signature,
}

/// What a patient signs when being enrolled.
pub fn enrolment_message(ledger: &LedgerId, hospital: &HospitalId, subject: &SubjectId) -> [u8; 32] {
    tagged("consilium/enrol/v1", &[ledger.as_bytes(), hospital.public_key(), subject.as_bytes()])
}

/// See [`Payload::Grant`](super::Payload::Grant).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Grant {
    /// What the documents say; the same for each.
    pub terms: GivenTerms,
    /// Where the documents came from.
    pub basis: Basis,
    /// Whether each document takes the place of the older ones of its subject.
    pub supersedes: bool,
    /// One document each. A patient signs for themselves alone.
    pub forms: Vec<Given>,
    /// Other guardians who permit it together with the one who signs: each over [`cosigning_message`].
    pub cosigned: Vec<Countersignature>,
}

impl Grant {
    /// What a key signs for its subject.
    pub fn electronic(terms: GivenTerms, supersedes: bool, subject: SubjectId) -> Self {
        let form = Given { subject, source: Statement::ELECTRONIC.source, signed: None };
        Self { terms, basis: Basis::Electronic, supersedes, forms: vec![form], cosigned: Vec::new() }
    }

    /// What a hospital witnesses.
    pub const fn paper(terms: GivenTerms, supersedes: bool, forms: Vec<Given>) -> Self {
        Self { terms, basis: Basis::Paper, supersedes, forms, cosigned: Vec::new() }
    }
}

/// Terms, or the hash of terms that the ledger has.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum GivenTerms {
    /// These.
    Whole(Terms),
    /// Those that an earlier grant gave in whole.
    Known(ContentHash),
}

/// One document of a [`Grant`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Given {
    /// Whom the document is about.
    pub subject: SubjectId,
    /// The SHA-256 of the scanned paper form; all zeros for an electronic document.
    pub source: ContentHash,
    /// The day on which a paper form was signed; none for an electronic document, which is signed when it is recorded.
    pub signed: Option<Date>,
}

/// See [`Payload::Revoke`](super::Payload::Revoke).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Revoke {
    /// Where the revocation came from.
    pub basis: Basis,
    /// One each. A patient signs for themselves alone.
    pub forms: Vec<Revocation>,
}

/// One document ended, or all of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Revocation {
    /// Whom it is about.
    pub subject: SubjectId,
    /// The document, or `None` for all that are not newer than the revocation.
    pub document: Option<DocumentId>,
    /// The SHA-256 of the scanned paper form; all zeros for an electronic revocation.
    pub source: ContentHash,
    /// The day on which a paper form was signed; none for an electronic revocation.
    pub signed: Option<Date>,
}

/// The name of the document that the form at `position` of a grant makes.
pub fn document_id(grant: &TxHash, position: u32) -> DocumentId {
    DocumentId::from_bytes(tagged("consilium/document/v1", &[grant.as_bytes(), &position.to_le_bytes()]))
}

impl Revoke {
    /// What a key takes back for its subject: one document, or all.
    pub fn electronic(subject: SubjectId, document: Option<DocumentId>) -> Self {
        let form = Revocation { subject, document, source: Statement::ELECTRONIC.source, signed: None };
        Self { basis: Basis::Electronic, forms: vec![form] }
    }
}

/// See [`Payload::Delegate`](super::Payload::Delegate). For a key that is a delegate already it renews and changes what it was.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Delegate {
    /// For whom the delegate signs.
    pub subject: SubjectId,
    /// The delegate's key, which is for this subject alone; signed is [`delegation_message`].
    pub delegate: Countersignature,
    /// The day on which the delegate agreed: at most [`MAX_AGREED_DAYS`] ago, and later than for what is renewed.
    pub agreed: Date,
    /// What the delegate is to the patient.
    pub role: DelegateRole,
    /// The last day; none for a device.
    pub until: Option<Date>,
    /// What permits the delegate may sign; everything for a device.
    pub scope: DelegationScope,
    /// By what it is said.
    pub statement: Statement,
}

/// What a delegate is to a patient.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum DelegateRole {
    /// The patient themselves, on another machine.
    Device,
    /// Somebody whom the patient chose.
    Proxy,
    /// Somebody who cares for the patient by law.
    Guardian {
        /// How many guardians have to sign a permit together.
        needed: u8,
    },
}

/// The most guardians that sign together.
pub const MAX_GUARDIANS: u8 = 4;
/// The most delegates that a subject may have at once.
pub const MAX_DELEGATES: usize = 16;
/// How many days a delegate's agreement may be old.
pub const MAX_AGREED_DAYS: i32 = 30;
/// How many days a delegation may last; it can be renewed.
pub const MAX_DELEGATION_DAYS: i32 = 366;

/// Which permits a delegate may sign. Denials and revocations are within every scope, of documents that are.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DelegationScope {
    /// Of which actions.
    pub actions: Scope<Action>,
    /// For which purposes.
    pub purposes: Scope<Purpose>,
}

impl DelegationScope {
    /// Everything.
    pub const EVERYTHING: Self = Self { actions: Scope::Any, purposes: Scope::Any };

    /// Whether the scope is everything.
    pub fn is_everything(&self) -> bool {
        *self == Self::EVERYTHING
    }

    /// Whether all that terms permit lies within.
    pub fn holds(&self, terms: &Terms, diseases: &DiseaseTree) -> bool {
        let mut permits = terms.rules.iter().filter(|rule| rule.effect == Effect::Permit);
        self.is_everything() || (terms.base == Base::Deny && permits.all(|rule| self.has(rule, diseases)))
    }

    /// Whether all that terms say lies within, prohibitions too: then the scope's holder may end them.
    pub fn holds_all(&self, terms: &Terms, diseases: &DiseaseTree) -> bool {
        self.is_everything() || (terms.base == Base::Deny && terms.rules.iter().all(|rule| self.has(rule, diseases)))
    }

    fn has(&self, rule: &Rule, diseases: &DiseaseTree) -> bool {
        let purposes = match (&self.purposes, &rule.purposes) {
            (Scope::Any, _) => true,
            (Scope::Only(_), Scope::Any) => false,
            (Scope::Only(own), Scope::Only(granted)) => {
                granted.iter().all(|purpose| own.iter().any(|within| is_within(purpose, within, diseases)))
            }
        };
        purposes && self.actions.covers(|action| *action == rule.action)
    }
}

/// Whether a permit for one purpose permits nothing that is not of another.
fn is_within(purpose: &Purpose, other: &Purpose, diseases: &DiseaseTree) -> bool {
    use Purpose::{DiseaseResearch, GeneralResearch, HealthResearch, NoRestriction};
    match (purpose, other) {
        (purpose, NoRestriction) => purpose.is_research(),
        (GeneralResearch | HealthResearch | DiseaseResearch(_) | Purpose::Ancestry, GeneralResearch) => true,
        (HealthResearch | DiseaseResearch(_), HealthResearch) => true,
        (DiseaseResearch(disease), DiseaseResearch(within)) => diseases.is_within(disease, within),
        (purpose, other) => purpose == other,
    }
}

/// By what something is said of a subject: by a key of the patient's, or on a signed form that the hospital witnesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Statement {
    /// Where it came from.
    pub basis: Basis,
    /// The SHA-256 of the scanned paper form; all zeros for what a key says.
    pub source: ContentHash,
    /// The day on which a paper form was signed; none for what a key says.
    pub signed: Option<Date>,
}

impl Statement {
    /// Said by a key.
    pub const ELECTRONIC: Self =
        Self { basis: Basis::Electronic, source: ContentHash::from_bytes([0; 32]), signed: None };

    /// Said on a paper form.
    pub const fn paper(source: ContentHash, signed: Date) -> Self {
        Self { basis: Basis::Paper, source, signed: Some(signed) }
    }
}

/// What a delegate signs when being named.
pub fn delegation_message(ledger: &LedgerId, hospital: &HospitalId, subject: &SubjectId, agreed: Date) -> [u8; 32] {
    let day = agreed.days().to_le_bytes();
    tagged("consilium/delegate/v1", &[ledger.as_bytes(), hospital.public_key(), subject.as_bytes(), &day])
}

/// What a guardian signs who permits something together with others, but does not hand it in. `said` is how many documents
/// the subject has, and how many of them have ended: once anything more is said, what was signed before is spent.
pub fn cosigning_message(
    ledger: &LedgerId,
    hospital: &HospitalId,
    subject: &SubjectId,
    (terms, supersedes): (&ContentHash, bool),
    said: (u32, u32),
) -> [u8; 32] {
    let rest = [&[u8::from(supersedes)][..], &said.0.to_le_bytes(), &said.1.to_le_bytes()].concat();
    tagged(
        "consilium/cosign/v1",
        &[ledger.as_bytes(), hospital.public_key(), subject.as_bytes(), terms.as_bytes(), &rest],
    )
}

/// See [`Payload::EndDelegation`](super::Payload::EndDelegation).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct EndDelegation {
    /// For whom the delegate signed.
    pub subject: SubjectId,
    /// The delegate's key.
    pub delegate: PatientId,
    /// By what it is said.
    pub statement: Statement,
}

/// See [`Payload::Freeze`](super::Payload::Freeze).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Freeze {
    /// Whose keys.
    pub subject: SubjectId,
    /// By what it is said.
    pub statement: Statement,
}

/// Two members of a hospital's staff who saw the patient: SHA-256 of what the hospital keeps of each, with a salt.
pub type Staff = [ContentHash; 2];

/// See [`Payload::RotateKey`](super::Payload::RotateKey).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RotateKey {
    /// Whose key.
    pub subject: SubjectId,
    /// The new one; signed is [`enrolment_message`].
    pub key: Countersignature,
    /// The form that the patient signed.
    pub statement: Statement,
    /// Who saw them.
    pub staff: Staff,
}

/// See [`Payload::DecideKey`](super::Payload::DecideKey).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DecideKey {
    /// Whose key.
    pub subject: SubjectId,
    /// Which one counts from now on.
    pub decision: KeyDecision,
    /// The form that the patient signed.
    pub statement: Statement,
    /// Who saw them.
    pub staff: Staff,
}

/// Which key of a patient counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyDecision {
    /// The one that there is.
    Keep,
    /// The new one, to which the old one objected.
    Take,
}

/// See [`Payload::PaperDoor`](super::Payload::PaperDoor).
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PaperDoor {
    /// Whose.
    pub subject: SubjectId,
    /// Whether witnessed forms may permit nothing.
    pub closed: bool,
}

/// See [`Payload::Merge`](super::Payload::Merge).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Merge {
    /// Who is the same person as the other, and is not asked any more.
    pub from: SubjectId,
    /// Who stands for both.
    pub into: SubjectId,
}

/// See [`Payload::Unmerge`](super::Payload::Unmerge).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Unmerge {
    /// Who is a person of their own after all.
    pub from: SubjectId,
}

/// See [`Payload::Close`](super::Payload::Close).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Close {
    /// Who; all of a batch, or none.
    pub subjects: Vec<SubjectId>,
    /// Why.
    pub reason: CloseReason,
}

/// Why a hospital no longer speaks with a patient.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum CloseReason {
    /// They died: nobody signs for them any more. What they consented to holds until it ends by itself, or somebody who may
    /// takes it back at the desk.
    Death,
    /// They left the hospital: what they consented to there ends. Their key can still sign anew.
    Moved,
}
