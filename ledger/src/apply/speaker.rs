//! Who speaks for a subject: a key of the patient's or of somebody who signs for them, or the hospital that witnesses a
//! paper form.

use consilium_protocol::consent::Basis;
use consilium_protocol::ids::{ContentHash, Date, HospitalId, PatientId, SubjectId};
use consilium_protocol::tx::{CloseReason, Signer, Staff, Statement};

use super::Context;
use crate::rejection::{Entitled, Rejection};
use crate::state::consent::{KeyRole, SignedBy, Subject, SubjectKey};

/// The source of what is said without a form.
pub(super) const NO_SOURCE: ContentHash = ContentHash::from_bytes([0; 32]);

/// Who says something of subjects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaker {
    /// The subjects' hospital, by their paper forms.
    Hospital(HospitalId),
    /// A key of this subject's.
    Key(PatientId, SubjectKey),
}

impl Speaker {
    /// The hospital of the subjects that are spoken of.
    pub(super) const fn hospital(&self) -> HospitalId {
        match self {
            Self::Hospital(hospital) => *hospital,
            Self::Key(_, key) => key.hospital,
        }
    }
}

impl Context<'_> {
    /// The day of the block.
    pub(super) fn day(&self) -> Date {
        self.moment.time.date()
    }

    /// Who signed, as somebody who may speak of subjects at all.
    pub(super) fn speaker(&self) -> Result<Speaker, Rejection> {
        match self.signer {
            Signer::Hospital(hospital) => Ok(Speaker::Hospital(hospital)),
            Signer::Patient(patient) => {
                let (key, role) = self.state.role_of(&patient, self.day()).ok_or(Rejection::UnknownSigner)?;
                if role == KeyRole::Former {
                    return Err(Rejection::KeyEnded);
                }
                let subject = self.state.subject(&key).ok_or(Rejection::UnknownSigner)?;
                if has_died(subject) {
                    return Err(Rejection::SubjectClosed { subject: key.subject });
                }
                Ok(Speaker::Key(patient, key))
            }
            Signer::Researcher(_) => Err(Rejection::NotEntitled { entitled: Entitled::PatientOrHospital }),
        }
    }

    /// What the speaker's key is to its subject; nothing for a hospital.
    pub(super) fn role(&self, speaker: &Speaker) -> Option<KeyRole<'_>> {
        match speaker {
            Speaker::Hospital(_) => None,
            Speaker::Key(patient, key) => Some(self.state.subject(key)?.role_of(patient, self.day())),
        }
    }

    /// As what the speaker signs.
    pub(super) fn signs_as(&self, speaker: &Speaker) -> SignedBy {
        self.role(speaker).and_then(|role| role.signs_as()).unwrap_or(SignedBy::Hospital)
    }

    /// The subject that is spoken of, when the speaker may speak of it by this statement.
    pub(super) fn spoken_of(
        &self,
        speaker: &Speaker,
        subject: SubjectId,
        statement: &Statement,
    ) -> Result<SubjectKey, Rejection> {
        let key = SubjectKey { hospital: speaker.hospital(), subject };
        match (speaker, statement.basis) {
            (Speaker::Hospital(_), Basis::Electronic) | (Speaker::Key(..), Basis::Paper) => Err(Rejection::WrongBasis),
            (Speaker::Key(_, own), _) if *own != key => Err(Rejection::NotOwnSubject),
            (Speaker::Key(..), _) if statement.source != NO_SOURCE => Err(Rejection::SourceUnexpected),
            (Speaker::Key(..), _) if statement.signed.is_some() => Err(Rejection::SignedDay { subject }),
            (Speaker::Key(..), _) => Ok(key),
            (Speaker::Hospital(_), _) if self.state.subject(&key).is_none() => {
                Err(Rejection::UnknownSubject { subject })
            }
            (Speaker::Hospital(_), _) if statement.source == NO_SOURCE => Err(Rejection::SourceMissing { subject }),
            (Speaker::Hospital(_), _) => {
                // Somewhere it is a day later than where blocks are dated.
                let tomorrow = self.moment.time.plus_millis(86_400_000).date();
                match statement.signed {
                    Some(signed) if signed <= tomorrow => Ok(key),
                    _ => Err(Rejection::SignedDay { subject }),
                }
            }
        }
    }

    /// The subject of a hospital that decides at its desk, with two of its staff.
    pub(super) fn at_the_desk(
        &self,
        subject: SubjectId,
        statement: &Statement,
        staff: &Staff,
    ) -> Result<SubjectKey, Rejection> {
        let speaker = Speaker::Hospital(self.hospital()?);
        let key = self.spoken_of(&speaker, subject, statement)?;
        let [one, other] = staff;
        if one == other || staff.contains(&NO_SOURCE) { Err(Rejection::Staff) } else { Ok(key) }
    }
}

/// Whether nobody signs for a subject any more.
pub(super) fn has_died(subject: &Subject) -> bool {
    let closed = subject.more.as_ref().and_then(|more| more.closed);
    closed.is_some_and(|(reason, _)| reason == CloseReason::Death)
}

/// The day on which something was said.
pub(super) fn said_on(context: &Context<'_>, statement: &Statement) -> Date {
    statement.signed.unwrap_or_else(|| context.day())
}
