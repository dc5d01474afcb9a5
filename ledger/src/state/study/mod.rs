//! Studies as the ledger keeps them: what was proposed, and what became of it.

mod guard;
mod lots;
mod phase;

use std::collections::{BTreeMap, BTreeSet};

use borsh::{BorshDeserialize, BorshSerialize};
use consilium_protocol::consent::Condition;
use consilium_protocol::genesis::Deadlines;
use consilium_protocol::ids::{ContentHash, Height, HospitalId, ResearcherId, RoundNumber, StudyId, Timestamp};
use consilium_protocol::kem::KemPublicKey;
use consilium_protocol::lots::Draw;
use consilium_protocol::policy::DisclosurePolicy;
use consilium_protocol::study::StudySpec;
use consilium_protocol::tx::{Blob, Fault, VeilCommitment};

pub(crate) use guard::draw;
pub use guard::{Disclosed, Guard, GuardKeys, Roles, Sealed, SpareSets, Turn, WitnessRole, Witnessed};
pub use lots::Lot;
pub(crate) use lots::{draw_examined, draw_key_set};
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
    /// The key to which a custodian seals what passed.
    pub sealing_key: KemPublicKey,
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
    /// What consents of the hospital's patients are bound to and it found met.
    pub ticked: BTreeSet<Condition>,
    /// When.
    pub at: Moment,
}

/// What a member's approval brings with it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Approval {
    /// Who approved.
    pub hospital: HospitalId,
    /// To which those who approve later encapsulate secrets.
    pub pair_key: KemPublicKey,
    /// What this member encapsulated to those before it, once it has; without it, it cannot be on a roster.
    pub keys: Option<Blob>,
}

/// A hospital's commitment to its contribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Contribution {
    /// SHA-256 of the encrypted contribution.
    pub hash: ContentHash,
    /// Its length in bytes.
    pub bytes: u64,
    /// SHA-256 of what shows how it was made.
    pub proof: ContentHash,
    /// In which block.
    pub height: Height,
    /// What it laid over its cells, in a guarded round.
    pub veil: Option<VeilCommitment>,
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

/// The fewest hospitals of a round in which one shows how its contribution was made.
pub const MIN_EXAMINED: usize = 4;

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
    /// The lots shown for what it draws next ([`Self::draws`]).
    pub shown: BTreeMap<HospitalId, Lot>,
    /// Who was drawn to show how its contribution was made, once all have contributed.
    pub examined: Option<HospitalId>,
    /// The attestations so far.
    pub attestations: BTreeMap<HospitalId, Attestation>,
    /// The roles of a guarded round; an open or private one has none.
    pub guard: Option<Guard>,
    /// Of a guarded round: the sets of keys that its custodian registered beside the one that was drawn.
    pub spare: SpareSets,
    /// Of a guarded round, once its custodian has said so: which sets of groups passed, one bit each, the lowest bit of a byte
    /// first.
    pub passed: Vec<u8>,
    /// What others of the roster say of hospitals that do not give what they committed to: by accused, by accuser.
    pub accusations: BTreeMap<HospitalId, BTreeMap<HospitalId, Fault>>,
    /// When what others wait for came onto the ledger last: when it opened, the last contribution, what a role sealed.
    pub advanced: Timestamp,
    /// When and how it ended, if it did.
    pub ended: Option<(Moment, RoundEnd)>,
}

impl Round {
    /// Whether the hospital takes part.
    pub fn has(&self, hospital: &HospitalId) -> bool {
        self.roster.binary_search(hospital).is_ok()
    }

    /// How it ended, or that it runs, as one word.
    pub fn outcome(&self) -> &'static str {
        self.ended.map_or("running", |(_, end)| end.name())
    }

    /// Whether all contributions are in.
    pub fn is_complete(&self) -> bool {
        self.contributions.len() == self.roster.len()
    }

    /// What is drawn next, by lots that its hospitals show after what they decide on is fixed: with which of its sets of keys the custodian
    /// takes its role; who shows how its contribution was made. Of three hospitals nobody does: the other two could take off its blinds.
    pub fn draws(&self) -> Option<Draw> {
        if self.guard.is_some_and(|guard| guard.roles.keys.is_none()) {
            return Some(Draw::KeySet);
        }
        let is_due = self.is_complete() && self.examined.is_none() && self.roster.len() >= MIN_EXAMINED;
        is_due.then_some(Draw::Examined)
    }

    /// Whether a hospital's lot is awaited for that.
    pub fn awaits_lot(&self, hospital: &HospitalId) -> bool {
        let is_custodian = |guard: Guard| guard.roles.custodian == *hospital;
        let shows = match self.draws() {
            // It could keep its lot back where it does not like the draw.
            Some(Draw::KeySet) => !self.guard.is_some_and(is_custodian),
            Some(Draw::Examined) => true,
            Some(Draw::Roles) | None => false,
        };
        shows && self.has(hospital) && !self.shown.contains_key(hospital)
    }

    /// Until when a lot for what is drawn next is taken: half of the round's time since it is awaited. Later, others would have no time
    /// left for what follows, and would be those who are missing.
    pub fn lots_until(&self, deadlines: &Deadlines) -> Timestamp {
        self.advanced.plus_millis(deadlines.round_ms / 2)
    }

    /// From when on it may be failed for want of time. Once all have contributed, there is time to draw, and to say who gives nothing,
    /// however late the last of them was.
    pub fn fails_from(&self, deadlines: &Deadlines) -> Timestamp {
        let closes = self.opened.time.plus_millis(deadlines.round_ms);
        if self.is_complete() { closes.max(self.advanced.plus_millis(deadlines.round_ms / 4 * 3)) } else { closes }
    }

    /// Whether hospitals give others their contributions: all are in, and what is drawn after is drawn.
    pub fn is_given(&self) -> bool {
        self.is_complete() && self.draws().is_none()
    }

    /// Whether those who add up can have shown the sum over all to anybody: of a guarded round not before it is sealed, since no
    /// hospital gives the seed of its veil before that.
    pub fn is_exposed(&self) -> bool {
        self.is_given() && self.guard.is_none_or(|guard| guard.is_sealed())
    }

    /// Whether the result is known, or may be yet. What ended without is not, unless all had contributed to it and whoever adds up could
    /// open it with the researcher: in a guarded round that takes what the custodian discloses, by what it says, or may have given away
    /// where it is not believed.
    pub fn may_be_known(&self, policy: &DisclosurePolicy) -> bool {
        match (self.ended, &self.guard) {
            (None | Some((_, RoundEnd::Released)), _) => true,
            (Some(_), None) => self.is_given(),
            (Some(_), Some(_)) if policy.believes_custodians() => self.result().is_some(),
            (Some(_), Some(_)) => self.is_exposed(),
        }
    }

    /// Whether a hospital owes others something of the kind: what it committed to, or took on with its role.
    pub fn owes(&self, hospital: &HospitalId, fault: Fault) -> bool {
        let guard = self.guard.as_ref();
        let contribution = self.contributions.get(hospital);
        let is_custodian = guard.is_some_and(|guard| guard.roles.custodian == *hospital);
        match fault {
            // Keys are looked at, and needed, before anybody contributes.
            Fault::KeySets => is_custodian && !self.spare.sets.is_empty() && self.spare.are_open(),
            Fault::Keys if !self.is_complete() => is_custodian && self.draws().is_none() && self.spare.are_open(),
            // Nothing else is owed before all have contributed, and what is drawn then is drawn.
            _ if !self.is_given() => false,
            Fault::Keys => is_custodian,
            Fault::Contribution => contribution.is_some(),
            // Of a guarded round the aggregator alone can open what was contributed, unless its maker was drawn to show it: nobody else
            // could say so.
            Fault::Malformed => contribution.is_some() && (guard.is_none() || self.examined == Some(*hospital)),
            Fault::Proof => self.examined == Some(*hospital),
            Fault::Veil => contribution.is_some() && guard.is_some_and(Guard::is_sealed),
            Fault::Counts => contribution.is_some_and(|c| c.veil.is_some_and(|veil| veil.counts.is_some())),
            Fault::Witness => guard.is_some_and(|guard| guard.witnessed.is_some() && guard.roles.is_witness(hospital)),
            Fault::Sum => guard.is_some_and(|guard| guard.sealed.is_some() && guard.roles.aggregator == *hospital),
            Fault::Disclosed => is_custodian && guard.is_some_and(|guard| guard.disclosed.is_some()),
        }
    }

    /// From when on others may say that something cannot be had: half of the round's time is over, and a quarter of it since anything
    /// came onto the ledger. A node may be behind, or away for a while.
    ///
    /// Of the custodian's keys, which all need before they can contribute, it is a fixed part of the round's time, so that nobody puts it
    /// off by contributing late: half, or three quarters where lots are shown and sets of keys opened before.
    pub fn accusable_from(&self, deadlines: &Deadlines) -> Timestamp {
        let quarter = deadlines.round_ms / 4;
        if !self.is_complete() {
            let quarters = if self.spare.sets.is_empty() { 2 } else { 3 };
            return self.opened.time.plus_millis(quarters * quarter);
        }
        let half = self.opened.time.plus_millis(deadlines.round_ms / 2);
        half.max(self.advanced.plus_millis(quarter))
    }

    /// Whether more than half of the roster say that the hospital does not give what it committed to.
    pub fn is_blamed(&self, hospital: &HospitalId) -> bool {
        self.accusations.get(hospital).is_some_and(|by| by.len() >= majority(self.roster.len()))
    }

    /// Whether a hospital was named, so that nothing more comes of the round.
    pub fn has_blame(&self) -> bool {
        self.accusations.keys().any(|accused| self.is_blamed(accused))
    }

    /// The sum that the most hospitals attested (of equals, the greatest), and how many did.
    pub fn leading_sum(&self) -> Option<(ContentHash, usize)> {
        let mut counts: BTreeMap<ContentHash, usize> = BTreeMap::new();
        for attestation in self.attestations.values() {
            *counts.entry(attestation.sum).or_default() += 1;
        }
        counts.into_iter().map(|(sum, count)| (count, sum)).max().map(|(count, sum)| (sum, count))
    }

    /// The sum that can be released: the one that more than half of the roster attested; of a guarded round, the one
    /// that its aggregator padded, once its custodian has disclosed what passed.
    pub fn result(&self) -> Option<ContentHash> {
        match &self.guard {
            None => self.leading_sum().filter(|(_, count)| *count >= majority(self.roster.len())).map(|(sum, _)| sum),
            Some(guard) => guard.disclosed.and(guard.sealed).map(|sealed| sealed.sum.hash),
        }
    }
}

/// What the most of those who accuse a hospital say.
pub fn most(by: &BTreeMap<HospitalId, Fault>) -> Option<Fault> {
    let mut counts: BTreeMap<Fault, usize> = BTreeMap::new();
    by.values().for_each(|fault| *counts.entry(*fault).or_default() += 1);
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(fault, _)| fault)
}

/// What became of a study.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Course {
    /// Where it stands.
    pub phase: Phase,
    /// The members' decisions.
    pub decisions: BTreeMap<HospitalId, Decision>,
    /// The approvals among them, in the order of the ledger.
    pub approvals: Vec<Approval>,
    /// The lots that members have shown, by the round that they are for.
    pub lots: BTreeMap<(RoundNumber, HospitalId), Lot>,
    /// Its rounds, in order.
    pub rounds: Vec<Round>,
}

impl Course {
    /// The course of a study that was just proposed.
    pub(crate) const fn new() -> Self {
        Self {
            phase: Phase::Proposed,
            decisions: BTreeMap::new(),
            approvals: Vec::new(),
            lots: BTreeMap::new(),
            rounds: Vec::new(),
        }
    }

    /// How many members approved and rejected.
    pub fn tally(&self) -> Tally {
        Tally::of(self.decisions.values().map(|decision| decision.approved))
    }

    /// The members that approved, ascending.
    pub fn approvers(&self) -> Vec<HospitalId> {
        self.decisions.iter().filter(|(_, decision)| decision.approved).map(|(id, _)| *id).collect()
    }

    /// The members that approved and have given the others of a round what they need to blind with, ascending.
    pub fn paired(&self) -> Vec<HospitalId> {
        let mut paired: Vec<_> = self
            .approvals
            .iter()
            .filter(|approval| approval.keys.is_some())
            .map(|approval| approval.hospital)
            .collect();
        paired.sort_unstable();
        paired
    }

    /// How many approvals stand before this member's, if it approved: to so many it encapsulates.
    pub fn before(&self, hospital: &HospitalId) -> Option<usize> {
        self.approvals.iter().position(|approval| approval.hospital == *hospital)
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
    /// A round goes on with those who contributed: with whoever is left of one that is still collecting, with all of one
    /// that all contributed to. The joint ciphertext of the latter can be added up by those whose part that is, and the
    /// result of a smaller roster, subtracted from it, would be the missing hospital's own numbers: from then on no
    /// smaller roster is possible. In a guarded round that is so from when it was sealed ([`Round::is_exposed`]); before, a round
    /// goes on without those who more than half of the roster say do not give what they committed to. Which role of a guarded round did not do its part cannot be told from here, as each
    /// may be waiting for what the other holds; others take the roles ([`Self::relieved`]).
    ///
    /// One that waits for lots goes on with those who have shown theirs.
    ///
    /// Nobody can contribute to a guarded round without the custodian's public key, which the custodian has, nor before its other sets of
    /// keys were found to be what they should be. So one that it did not contribute to, or that it is blamed for, goes on without it and
    /// with everybody else, whether they could contribute or not.
    ///
    /// Where the custodian has disclosed what passed, nothing comes after: it may be known, and the same asked again would tell nothing.
    pub fn next_roster(&self, members: usize, min_hospitals: u32) -> Option<Vec<HospitalId>> {
        let running = self.running_round().filter(|round| round.result().is_none())?;
        let custodian = running.guard.map(|guard| guard.roles.custodian);
        let absent = custodian.filter(|id| !running.contributions.contains_key(id) || running.is_blamed(id));
        let left: Vec<HospitalId> = match (running.draws(), absent) {
            (Some(_), _) if !running.has_blame() => {
                running.roster.iter().copied().filter(|id| !running.awaits_lot(id)).collect()
            }
            (_, Some(custodian)) => running.roster.iter().copied().filter(|id| *id != custodian).collect(),
            (_, None) => running.contributions.keys().copied().collect(),
        };
        let left: Vec<HospitalId> = left.into_iter().filter(|id| !running.is_blamed(id)).collect();
        let narrowed = self.rounds.iter().any(|round| round.is_exposed() && round.roster != left);
        let enough = left.len() >= majority(members).max(3).max(min_hospitals as usize);
        (enough && !narrowed && self.rounds.len() < MAX_ROUNDS).then_some(left)
    }

    /// Who had a role in a round that all contributed to and that gave no result: others come first for the next.
    pub(crate) fn relieved(&self) -> BTreeSet<HospitalId> {
        let roles = |round: &Round| round.guard.filter(|_| round.is_given()).map(|guard| guard.roles);
        self.rounds.iter().filter_map(roles).flat_map(|roles| roles.holders()).collect()
    }

    /// The moment after which the study expires, or from which its round may be failed, if there is one.
    pub fn deadline(&self, proposed: Timestamp, deadlines: &Deadlines) -> Option<Timestamp> {
        match self.phase {
            Phase::Proposed => Some(proposed.plus_millis(deadlines.approval_ms)),
            Phase::Approved { since } => Some(since.plus_millis(deadlines.approval_ms)),
            Phase::Collecting { .. } | Phase::Combining { .. } => {
                self.running_round().map(|round| round.fails_from(deadlines))
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
