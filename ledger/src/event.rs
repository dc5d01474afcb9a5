//! What the blocks changed, for those who watch: nodes that act, consoles that show, auditors that tell.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use consilium_protocol::ids::{ContentHash, HospitalId, ResearcherId, RoundNumber, StudyId, TxHash};
use consilium_protocol::privacy::MicroRho;
use consilium_protocol::tx::Fault;

/// What changed of who signs for a subject, or of who the subject is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum SubjectChange {
    /// Somebody else signs for them, or a delegation was renewed.
    Delegated,
    /// Somebody no longer does.
    DelegationEnded,
    /// Their keys permit nothing.
    KeysFrozen,
    /// A new key waits for its time.
    KeyWaits,
    /// The old key objects to the new one.
    RotationObjected,
    /// The new key took the old one's place.
    KeyReplaced,
    /// The old key was kept.
    KeyKept,
    /// Witnessed forms permit nothing.
    PaperClosed,
    /// They may again.
    PaperOpened,
    /// Another subject is the same person and stands for them.
    Merged,
    /// That was a mistake.
    Unmerged,
    /// The hospital no longer speaks with patients of a batch.
    Closed,
}

impl SubjectChange {
    /// The change as one word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delegated => "delegated",
            Self::DelegationEnded => "delegation_ended",
            Self::KeysFrozen => "keys_frozen",
            Self::KeyWaits => "key_waits",
            Self::RotationObjected => "rotation_objected",
            Self::KeyReplaced => "key_replaced",
            Self::KeyKept => "key_kept",
            Self::PaperClosed => "paper_closed",
            Self::PaperOpened => "paper_opened",
            Self::Merged => "merged",
            Self::Unmerged => "unmerged",
            Self::Closed => "closed",
        }
    }

    const fn in_words(self) -> &'static str {
        match self {
            Self::Delegated => "somebody signs for them",
            Self::DelegationEnded => "somebody no longer signs for them",
            Self::KeysFrozen => "their keys are frozen",
            Self::KeyWaits => "a new key waits",
            Self::RotationObjected => "the old key objects to the new one",
            Self::KeyReplaced => "a new key took the old one's place",
            Self::KeyKept => "the key was kept",
            Self::PaperClosed => "paper forms permit nothing",
            Self::PaperOpened => "paper forms may permit again",
            Self::Merged => "merged with another subject",
            Self::Unmerged => "no longer merged with another subject",
            Self::Closed => "closed, or a batch of them",
        }
    }
}

/// One thing that a block changed. Hashed with the block's results; variants are only ever added at the end.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[non_exhaustive]
pub enum Event {
    /// A member proposed to accredit a researcher.
    ResearcherProposed {
        /// The proposal.
        proposal: TxHash,
        /// The researcher.
        researcher: ResearcherId,
    },
    /// A member voted; the proposer's own vote comes with the proposal.
    Voted {
        /// The proposal.
        proposal: TxHash,
        /// The member.
        hospital: HospitalId,
        /// For or against.
        in_favour: bool,
    },
    /// More than half of all members were in favour.
    ResearcherAccredited {
        /// The proposal.
        proposal: TxHash,
        /// The researcher.
        researcher: ResearcherId,
    },
    /// More than half can no longer be in favour.
    ProposalFailed {
        /// The proposal.
        proposal: TxHash,
    },
    /// A hospital enrolled subjects, or added keys to them.
    Enrolled {
        /// The hospital.
        hospital: HospitalId,
        /// How many.
        subjects: u32,
    },
    /// Consent documents were recorded.
    Granted {
        /// The hospital of the subjects.
        hospital: HospitalId,
        /// How many were recorded.
        documents: u32,
        /// How many were superseded thereby.
        superseded: u32,
        /// How many of those that were recorded came late, and count for nothing: the patient has said otherwise since.
        late: u32,
    },
    /// Consent documents were ended.
    Revoked {
        /// The hospital of the subjects.
        hospital: HospitalId,
        /// How many.
        documents: u32,
    },
    /// A study was proposed.
    StudyProposed {
        /// The study.
        study: StudyId,
        /// Its researcher.
        researcher: ResearcherId,
    },
    /// A member decided on a study.
    StudyDecided {
        /// The study.
        study: StudyId,
        /// The member.
        hospital: HospitalId,
        /// For or against.
        approved: bool,
    },
    /// More than half of all members approved.
    StudyApproved {
        /// The study.
        study: StudyId,
    },
    /// More than half can no longer approve.
    StudyRejected {
        /// The study.
        study: StudyId,
    },
    /// The researcher took the study back.
    StudyWithdrawn {
        /// The study.
        study: StudyId,
    },
    /// Its time ran out before a round opened.
    StudyExpired {
        /// The study.
        study: StudyId,
    },
    /// A round opened: consent is read as of this block.
    RoundOpened {
        /// The study.
        study: StudyId,
        /// The round.
        round: RoundNumber,
        /// How many hospitals are on its roster.
        hospitals: u32,
    },
    /// A hospital that approved gave the others what they need to blind with.
    Paired {
        /// The study.
        study: StudyId,
        /// The hospital.
        hospital: HospitalId,
    },
    /// A hospital committed to its contribution.
    Contributed {
        /// The study.
        study: StudyId,
        /// The round.
        round: RoundNumber,
        /// The hospital.
        hospital: HospitalId,
    },
    /// All contributions are in.
    RoundComplete {
        /// The study.
        study: StudyId,
        /// The round.
        round: RoundNumber,
    },
    /// A hospital committed to the sum that it computed.
    Attested {
        /// The study.
        study: StudyId,
        /// The round.
        round: RoundNumber,
        /// The hospital.
        hospital: HospitalId,
        /// The hash of the sum.
        sum: ContentHash,
    },
    /// The sum that more than half of the roster attested is the result.
    Released {
        /// The study.
        study: StudyId,
        /// The round.
        round: RoundNumber,
        /// The hash of the sum.
        sum: ContentHash,
    },
    /// A round ended without a result; another may have opened.
    RoundFailed {
        /// The study.
        study: StudyId,
        /// The round.
        round: RoundNumber,
    },
    /// No further round is possible.
    StudyFailed {
        /// The study.
        study: StudyId,
    },
    /// A member registered keys for guarded studies.
    GuardKeysRegistered {
        /// The member.
        hospital: HospitalId,
    },
    /// The roles of a guarded round were drawn.
    RolesDrawn {
        /// The study.
        study: StudyId,
        /// The round.
        round: RoundNumber,
        /// Who adds up.
        aggregator: HospitalId,
        /// Who learns which groups passed.
        custodian: HospitalId,
        /// Who repeats what is decided, where the policy wants that.
        witness: Option<HospitalId>,
    },
    /// A round of a private study was charged to the budget of every hospital on its roster.
    PrivacySpent {
        /// The study.
        study: StudyId,
        /// The round.
        round: RoundNumber,
        /// What it may lose of each.
        rho: MicroRho,
        /// How many hospitals.
        hospitals: u32,
    },
    /// The aggregator of a guarded round committed to the padded sum and the seeds of its pads.
    SumSealed {
        /// The study.
        study: StudyId,
        /// The round.
        round: RoundNumber,
        /// The aggregator.
        hospital: HospitalId,
        /// The hash of the padded sum.
        sum: ContentHash,
        /// The hash of the seeds under the custodian's key.
        seeds: ContentHash,
    },
    /// The custodian of a guarded round committed to the seeds that passed.
    SeedsDisclosed {
        /// The study.
        study: StudyId,
        /// The round.
        round: RoundNumber,
        /// The custodian.
        hospital: HospitalId,
        /// The hash of the seeds, sealed to the researcher.
        seeds: ContentHash,
    },
    /// The witness of a guarded round committed to what it sealed.
    Witnessed {
        /// The study.
        study: StudyId,
        /// The round.
        round: RoundNumber,
        /// The witness.
        hospital: HospitalId,
        /// The hash of its seeds under the custodian's key.
        seeds: ContentHash,
    },
    /// A hospital of the roster says that another one does not give what it committed to.
    Accused {
        /// The study.
        study: StudyId,
        /// The round.
        round: RoundNumber,
        /// Of whom it is said.
        accused: HospitalId,
        /// Who says so.
        hospital: HospitalId,
        /// What is said.
        fault: Fault,
    },
    /// More than half of the roster say so: the round is over.
    Blamed {
        /// The study.
        study: StudyId,
        /// The round.
        round: RoundNumber,
        /// Of whom they say it.
        hospital: HospitalId,
        /// What the last of them said.
        fault: Fault,
    },
    /// What a round of a private study was charged was given back: nobody can have opened it.
    PrivacyReturned {
        /// The study.
        study: StudyId,
        /// The round.
        round: RoundNumber,
        /// What each had been charged.
        rho: MicroRho,
        /// How many hospitals.
        hospitals: u32,
    },
    /// The custodian of a guarded round gave what the sets of keys are made of that were not drawn.
    KeySetsOpened {
        /// The study.
        study: StudyId,
        /// The round.
        round: RoundNumber,
        /// Who did.
        hospital: HospitalId,
    },
    /// A hospital showed its lot for what a round draws next.
    LotShown {
        /// The study.
        study: StudyId,
        /// The round.
        round: RoundNumber,
        /// Who did.
        hospital: HospitalId,
    },
    /// A hospital was drawn to show how its contribution was made.
    Examined {
        /// The study.
        study: StudyId,
        /// The round.
        round: RoundNumber,
        /// Which.
        hospital: HospitalId,
    },
    /// Who signs for a subject changed, or who the subject is.
    SubjectChanged {
        /// The hospital of the subject.
        hospital: HospitalId,
        /// What changed.
        change: SubjectChange,
    },
}

impl Event {
    /// The study that it is about, if any.
    pub const fn study(&self) -> Option<StudyId> {
        match self {
            Self::ResearcherProposed { .. }
            | Self::Voted { .. }
            | Self::ResearcherAccredited { .. }
            | Self::ProposalFailed { .. }
            | Self::Enrolled { .. }
            | Self::Granted { .. }
            | Self::Revoked { .. }
            | Self::SubjectChanged { .. }
            | Self::GuardKeysRegistered { .. } => None,
            Self::StudyProposed { study, .. }
            | Self::StudyDecided { study, .. }
            | Self::StudyApproved { study }
            | Self::StudyRejected { study }
            | Self::StudyWithdrawn { study }
            | Self::StudyExpired { study }
            | Self::RoundOpened { study, .. }
            | Self::Paired { study, .. }
            | Self::Contributed { study, .. }
            | Self::RoundComplete { study, .. }
            | Self::Attested { study, .. }
            | Self::Released { study, .. }
            | Self::RoundFailed { study, .. }
            | Self::StudyFailed { study }
            | Self::RolesDrawn { study, .. }
            | Self::PrivacySpent { study, .. }
            | Self::SumSealed { study, .. }
            | Self::SeedsDisclosed { study, .. }
            | Self::Witnessed { study, .. }
            | Self::Accused { study, .. }
            | Self::Blamed { study, .. }
            | Self::KeySetsOpened { study, .. }
            | Self::LotShown { study, .. }
            | Self::Examined { study, .. }
            | Self::PrivacyReturned { study, .. } => Some(*study),
        }
    }

    /// The kind as one word for machines; stable between releases.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ResearcherProposed { .. } => "researcher_proposed",
            Self::Voted { .. } => "voted",
            Self::ResearcherAccredited { .. } => "researcher_accredited",
            Self::ProposalFailed { .. } => "proposal_failed",
            Self::Enrolled { .. } => "enrolled",
            Self::Granted { .. } => "granted",
            Self::Revoked { .. } => "revoked",
            Self::SubjectChanged { change, .. } => change.name(),
            Self::StudyProposed { .. } => "study_proposed",
            Self::StudyDecided { .. } => "study_decided",
            Self::StudyApproved { .. } => "study_approved",
            Self::StudyRejected { .. } => "study_rejected",
            Self::StudyWithdrawn { .. } => "study_withdrawn",
            Self::StudyExpired { .. } => "study_expired",
            Self::RoundOpened { .. } => "round_opened",
            Self::Paired { .. } => "paired",
            Self::Contributed { .. } => "contributed",
            Self::RoundComplete { .. } => "round_complete",
            Self::Attested { .. } => "attested",
            Self::Released { .. } => "released",
            Self::RoundFailed { .. } => "round_failed",
            Self::StudyFailed { .. } => "study_failed",
            Self::GuardKeysRegistered { .. } => "guard_keys_registered",
            Self::RolesDrawn { .. } => "roles_drawn",
            Self::PrivacySpent { .. } => "privacy_spent",
            Self::SumSealed { .. } => "sum_sealed",
            Self::SeedsDisclosed { .. } => "seeds_disclosed",
            Self::Witnessed { .. } => "witnessed",
            Self::Accused { .. } => "accused",
            Self::Blamed { .. } => "blamed",
            Self::KeySetsOpened { .. } => "key_sets_opened",
            Self::LotShown { .. } => "lot_shown",
            Self::Examined { .. } => "examined",
            Self::PrivacyReturned { .. } => "privacy_returned",
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ResearcherProposed { researcher, .. } => {
                write!(f, "{} proposed for accreditation", researcher.short())
            }
            Self::Voted { proposal, hospital, in_favour } => {
                let side = if *in_favour { "for" } else { "against" };
                write!(f, "{} voted {side} proposal {}", hospital.short(), proposal.short())
            }
            Self::ResearcherAccredited { researcher, .. } => write!(f, "{} accredited", researcher.short()),
            Self::ProposalFailed { proposal } => write!(f, "proposal {} failed", proposal.short()),
            Self::Enrolled { hospital, subjects } => write!(f, "{} enrolled {subjects} subjects", hospital.short()),
            Self::Granted { hospital, documents, superseded, late } => {
                write!(f, "{documents} consents recorded at {}, superseding {superseded}", hospital.short())?;
                if *late > 0 { write!(f, "; {late} came late") } else { Ok(()) }
            }
            Self::Revoked { hospital, documents } => write!(f, "{documents} consents revoked at {}", hospital.short()),
            Self::SubjectChanged { hospital, change } => {
                write!(f, "at {}, of one patient: {}", hospital.short(), change.in_words())
            }
            Self::StudyProposed { study, researcher } => {
                write!(f, "study {} proposed by {}", study.short(), researcher.short())
            }
            Self::StudyDecided { study, hospital, approved } => {
                let verb = if *approved { "approved" } else { "rejected" };
                write!(f, "{} {verb} study {}", hospital.short(), study.short())
            }
            Self::StudyApproved { study } => write!(f, "study {} approved by more than half", study.short()),
            Self::StudyRejected { study } => write!(f, "study {} rejected", study.short()),
            Self::StudyWithdrawn { study } => write!(f, "study {} withdrawn", study.short()),
            Self::StudyExpired { study } => write!(f, "study {} expired", study.short()),
            Self::RoundOpened { study, round, hospitals } => {
                write!(f, "study {} round {round} opened with {hospitals} hospitals", study.short())
            }
            Self::Paired { study, hospital } => {
                write!(f, "{} paired with those who approved study {} before it", hospital.short(), study.short())
            }
            Self::Contributed { study, round, hospital } => {
                write!(f, "{} contributed to study {} round {round}", hospital.short(), study.short())
            }
            Self::RoundComplete { study, round } => {
                write!(f, "study {} round {round} has all contributions", study.short())
            }
            Self::Attested { study, round, hospital, sum } => {
                write!(f, "{} attested sum {} of study {} round {round}", hospital.short(), sum.short(), study.short())
            }
            Self::Released { study, round, sum } => {
                write!(f, "study {} round {round} released with sum {}", study.short(), sum.short())
            }
            Self::RoundFailed { study, round } => {
                write!(f, "study {} round {round} ended without a result", study.short())
            }
            Self::StudyFailed { study } => write!(f, "study {} failed", study.short()),
            Self::GuardKeysRegistered { hospital } => write!(f, "{} registered guard keys", hospital.short()),
            Self::RolesDrawn { study, round, aggregator, custodian, witness } => {
                let (study, aggregator, custodian) = (study.short(), aggregator.short(), custodian.short());
                write!(f, "study {study} round {round}: {aggregator} aggregates, {custodian} is custodian")?;
                witness.map_or(Ok(()), |witness| write!(f, ", {} is witness", witness.short()))
            }
            Self::Witnessed { study, round, hospital, .. } => {
                write!(f, "{} repeated what was decided in study {} round {round}", hospital.short(), study.short())
            }
            Self::Accused { study, round, accused, hospital, fault } => {
                let (study, accused, hospital) = (study.short(), accused.short(), hospital.short());
                write!(f, "study {study} round {round}: {hospital} says that {accused} {}", fault.words())
            }
            Self::Blamed { study, round, hospital, fault } => {
                let (study, hospital) = (study.short(), hospital.short());
                write!(f, "study {study} round {round}: more than half say that {hospital} {}", fault.words())
            }
            Self::LotShown { study, round, hospital } => {
                write!(f, "{} showed its lot in study {} round {round}", hospital.short(), study.short())
            }
            Self::Examined { study, round, hospital } => {
                let (study, hospital) = (study.short(), hospital.short());
                write!(f, "study {study} round {round}: {hospital} was drawn to show how its contribution was made")
            }
            Self::KeySetsOpened { study, round, hospital } => {
                let (study, hospital) = (study.short(), hospital.short());
                write!(f, "study {study} round {round}: {hospital} opened the sets of keys that were not drawn")
            }
            Self::PrivacyReturned { study, round, rho, hospitals } => {
                write!(f, "study {} round {round} gave ρ = {rho} back to {hospitals} hospitals", study.short())
            }
            Self::PrivacySpent { study, round, rho, hospitals } => {
                write!(f, "study {} round {round} spent ρ = {rho} at {hospitals} hospitals", study.short())
            }
            Self::SumSealed { study, round, hospital, sum, .. } => {
                let (study, hospital) = (study.short(), hospital.short());
                write!(f, "{hospital} sealed sum {} of study {study} round {round}", sum.short())
            }
            Self::SeedsDisclosed { study, round, hospital, .. } => {
                write!(f, "{} disclosed what passed of study {} round {round}", hospital.short(), study.short())
            }
        }
    }
}
