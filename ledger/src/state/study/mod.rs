//! Studies as the ledger keeps them: what was proposed, and what became of it.

mod phase;

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};
use consilium_protocol::genesis::Deadlines;
use consilium_protocol::ids::{ContentHash, Height, HospitalId, ResearcherId, RoundNumber, StudyId, Timestamp};
use consilium_protocol::study::StudySpec;

pub use phase::{Phase, Step, next};

use super::Moment;
use super::members::{Tally, majority};

/// The most rounds that a study may take.
pub const MAX_ROUNDS: usize = 8;

/// What a researcher asked for; never changes.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Proposal {
    /// Who asked.
    pub researcher: ResearcherId,
    /// What for.
    pub spec: StudySpec,
    /// The study's public encryption key, as the engine encodes it.
    pub public_key: Vec<u8>,
    /// When.
    pub proposed: Moment,
}

/// A member's decision on a study.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Decision {
    /// For or against.
    pub approved: bool,
    /// Why, for people.
    pub reason: String,
    /// When.
    pub at: Moment,
}

/// A hospital's commitment to its contribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Contribution {
    /// SHA-256 of the encrypted contribution.
    pub hash: ContentHash,
    /// Its length in bytes.
    pub bytes: u64,
    /// In which block.
    pub height: Height,
}

/// A hospital's commitment to the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Attestation {
    /// SHA-256 of the encrypted sum.
    pub sum: ContentHash,
    /// In which block.
    pub height: Height,
}

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum RoundEnd {
    /// With a result.
    Released,
    /// Out of time.
    Failed,
    /// With the study, which its researcher took back.
    Withdrawn,
}

impl RoundEnd {
    /// How it ended, as one word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Failed => "failed",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// One attempt at computing a study.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Round {
    /// Its number, from 0.
    pub number: RoundNumber,
    /// When it opened; consent is read after all of that block.
    pub opened: Moment,
    /// The hospitals that take part, ascending.
    pub roster: Vec<HospitalId>,
    /// The contributions so far.
    pub contributions: BTreeMap<HospitalId, Contribution>,
    /// The attestations so far.
    pub attestations: BTreeMap<HospitalId, Attestation>,
    /// When and how it ended, if it did.
    pub ended: Option<(Moment, RoundEnd)>,
}

impl Round {
    /// Whether the hospital takes part.
    pub fn has(&self, hospital: &HospitalId) -> bool {
        self.roster.binary_search(hospital).is_ok()
    }

    /// Whether all contributions are in.
    pub fn is_complete(&self) -> bool {
        self.contributions.len() == self.roster.len()
    }

    /// The sum that the most hospitals attested (of equals, the greatest), and how many did.
    pub fn leading_sum(&self) -> Option<(ContentHash, usize)> {
        let mut counts: BTreeMap<ContentHash, usize> = BTreeMap::new();
        for attestation in self.attestations.values() {
            *counts.entry(attestation.sum).or_default() += 1;
        }
        counts.into_iter().map(|(sum, count)| (count, sum)).max().map(|(count, sum)| (sum, count))
    }

    /// The sum that more than half of the roster attested, if there is one.
    pub fn attested_sum(&self) -> Option<ContentHash> {
        self.leading_sum().filter(|(_, count)| *count >= majority(self.roster.len())).map(|(sum, _)| sum)
    }
}

/// What became of a study.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Course {
    /// Where it stands.
    pub phase: Phase,
    /// The members' decisions.
    pub decisions: BTreeMap<HospitalId, Decision>,
    /// Its rounds, in order.
    pub rounds: Vec<Round>,
}

impl Course {
    /// The course of a study that was just proposed.
    pub(crate) const fn new() -> Self {
        Self { phase: Phase::Proposed, decisions: BTreeMap::new(), rounds: Vec::new() }
    }

    /// How many members approved and rejected.
    pub fn tally(&self) -> Tally {
        Tally::of(self.decisions.values().map(|decision| decision.approved))
    }

    /// The members that approved, ascending.
    pub fn approvers(&self) -> Vec<HospitalId> {
        self.decisions.iter().filter(|(_, decision)| decision.approved).map(|(id, _)| *id).collect()
    }

    /// The round that runs now, if any.
    pub fn running_round(&self) -> Option<&Round> {
        self.phase.running_round().and_then(|number| self.round(number))
    }

    /// The round of this number.
    pub fn round(&self, number: RoundNumber) -> Option<&Round> {
        self.rounds.get(usize::try_from(number.get()).ok()?)
    }

    /// Who would be on the roster of another round if the running one failed now; `None` when no other is possible.
    ///
    /// A round that is still collecting goes on with those who contributed. One that all contributed to goes on with
    /// all of them or not at all: its joint ciphertext can be added up by any member of the roster, and the result
    /// of a smaller roster, subtracted from it, would be the missing hospital's own numbers.
    pub fn next_roster(&self, members: usize, min_hospitals: u32) -> Option<Vec<HospitalId>> {
        let running = self.running_round()?;
        let left: Vec<HospitalId> = running.contributions.keys().copied().collect();
        let narrowed = self.rounds.iter().any(|round| round.is_complete() && round.roster != left);
        let enough = left.len() >= majority(members).max(3).max(min_hospitals as usize);
        (enough && !narrowed && self.rounds.len() < MAX_ROUNDS).then_some(left)
    }

    /// The moment after which the study expires, or from which its round may be failed, if there is one.
    pub fn deadline(&self, proposed: Timestamp, deadlines: &Deadlines) -> Option<Timestamp> {
        match self.phase {
            Phase::Proposed => Some(proposed.plus_millis(deadlines.approval_ms)),
            Phase::Approved { since } => Some(since.plus_millis(deadlines.approval_ms)),
            Phase::Collecting { .. } | Phase::Combining { .. } => {
                self.running_round().map(|round| round.opened.time.plus_millis(deadlines.round_ms))
            }
            Phase::Released { .. } | Phase::Rejected | Phase::Withdrawn | Phase::Expired | Phase::Failed => None,
        }
    }
}

/// A study: what was proposed, and what became of it.
#[derive(Clone, Copy, Debug)]
pub struct Study<'a> {
    /// Its name.
    pub id: StudyId,
    /// What was proposed.
    pub proposal: &'a Proposal,
    /// What became of it.
    pub course: &'a Course,
}
