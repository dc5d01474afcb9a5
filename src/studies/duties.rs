//! What a hospital owes to the studies on the ledger: a pure function of the ledger's state and the hospital's name.

use consilium_ledger::state::State;
use consilium_ledger::state::study::{Contribution, Guard, Phase, Round, Study, Turn};
use consilium_protocol::ids::{ContentHash, HospitalId, RoundNumber, StudyId, Timestamp};
use consilium_protocol::lots::Draw;
use consilium_protocol::study::Protection;
use consilium_protocol::tx::Fault;

use super::blame::to_be_asked;
use super::examine::examined;

/// One thing to do for a study.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Encapsulate a secret to each of those who approved before, and commit to it.
    Pair,
    /// Fetch what others encapsulated, before a round needs it.
    KeepPairs {
        /// Who committed to what.
        keys: Vec<(HospitalId, ContentHash)>,
    },
    /// Open the first round.
    OpenRound,
    /// Show the own lot for what is drawn next.
    ShowLot {
        /// The round.
        round: RoundNumber,
        /// What is drawn.
        draw: Draw,
    },
    /// As custodian: give the seeds of the sets of keys that were not drawn.
    OpenKeySets {
        /// The round.
        round: RoundNumber,
        /// The public key of the one that was.
        drawn: ContentHash,
    },
    /// Compute and commit to the own contribution.
    Contribute {
        /// The round.
        round: RoundNumber,
    },
    /// As aggregator: fetch all contributions, add them up, compute under encryption which groups pass, pad, and seal.
    Seal {
        /// The round.
        round: RoundNumber,
        /// Who committed to what.
        contributions: Vec<(HospitalId, ContentHash)>,
    },
    /// As custodian: fetch the seeds, read those that pass, and seal them to the researcher.
    Disclose {
        /// The round.
        round: RoundNumber,
        /// Who has the padded sum and the seeds.
        aggregator: HospitalId,
        /// The hash of the sum.
        sum: ContentHash,
        /// The hash of the seeds.
        seeds: ContentHash,
        /// Who has the witness's seeds, and their hash, where there is a witness.
        witness: Option<(HospitalId, ContentHash)>,
    },
    /// As witness: fetch all counts, and repeat what the aggregator decides.
    Witness {
        /// The round.
        round: RoundNumber,
        /// Who committed to which counts.
        counts: Vec<(HospitalId, ContentHash)>,
    },
    /// Look how a contribution to a guarded round was made whose maker was drawn to show it. Who adds up contributions looks in any
    /// case, before.
    Examine {
        /// The round.
        round: RoundNumber,
    },
    /// Fetch all contributions, add them up, and attest the sum.
    Attest {
        /// The round.
        round: RoundNumber,
        /// Who committed to what.
        contributions: Vec<(HospitalId, ContentHash)>,
    },
    /// Declare the attested sum the result.
    Release {
        /// The round.
        round: RoundNumber,
        /// Whether the round may be failed, should what a custodian disclosed be nowhere.
        is_late: bool,
    },
    /// Ask a hospital for what others of a guarded round's roster say they cannot have.
    Ask {
        /// The round.
        round: RoundNumber,
        /// Of whom they say so.
        accused: HospitalId,
        /// What it is.
        fault: Fault,
    },
    /// End a round that is out of time.
    FailRound {
        /// The round.
        round: RoundNumber,
    },
    /// Keep the sum of a released round, so that the researcher can fetch it here, too.
    KeepSum {
        /// The round.
        round: RoundNumber,
        /// Its hash.
        sum: ContentHash,
        /// Who attested it.
        attesting: Vec<HospitalId>,
    },
    /// Keep the padded sum and the disclosed seeds of a released guarded round, so that the researcher can fetch them
    /// here, too.
    KeepGuarded {
        /// The round.
        round: RoundNumber,
    },
}

impl Duty {
    /// Whether nothing on the ledger says that it was done.
    pub(super) const fn is_done_silently(&self) -> bool {
        matches!(
            self,
            Self::KeepPairs { .. }
                | Self::KeepSum { .. }
                | Self::KeepGuarded { .. }
                | Self::Ask { .. }
                | Self::Examine { .. }
        )
    }

    /// One word.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Pair => "pair",
            Self::OpenRound => "open",
            Self::ShowLot { .. } => "show lot",
            Self::OpenKeySets { .. } => "open keys",
            Self::Contribute { .. } => "contribute",
            Self::Attest { .. } => "attest",
            Self::Release { .. } => "release",
            Self::FailRound { .. } => "fail",
            Self::Ask { .. } => "ask",
            Self::Examine { .. } => "examine",
            Self::KeepPairs { .. } | Self::KeepSum { .. } | Self::KeepGuarded { .. } => "keep",
            Self::Seal { .. } => "seal",
            Self::Disclose { .. } => "disclose",
            Self::Witness { .. } => "witness",
        }
    }
}

/// A duty, and how many others would do the same: a hospital of rank 0 acts at once, the others only when it does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The study.
    pub study: StudyId,
    /// What to do.
    pub duty: Duty,
    /// How many hospitals come first.
    pub rank: u32,
}

/// Everything that `own` owes at `now`, the ledger's time or the clock's, whichever is later.
pub fn duties(state: &State, own: &HospitalId, now: Timestamp) -> Vec<Due> {
    let of = |study: Study<'_>| {
        let owed = [of_pairs(&study, own), due(state, &study, own, now)];
        owed.into_iter().flatten().chain(of_others(&study, own))
    };
    state.studies().flat_map(of).collect()
}

/// Whom to ask because others say that they cannot have something.
fn of_others(study: &Study<'_>, own: &HospitalId) -> Vec<Due> {
    let Some(running) = study.course.running_round() else { return Vec::new() };
    let due = |(accused, fault)| {
        let duty = Duty::Ask { round: running.number, accused, fault };
        Due { study: study.id, duty, rank: 0 }
    };
    to_be_asked(running, own).into_iter().map(due).collect()
}

/// What is owed to the others of a study so that a round can be blinded.
fn of_pairs(study: &Study<'_>, own: &HospitalId) -> Option<Due> {
    let course = study.course;
    let place = course.before(own)?;
    let duty = match course.phase {
        Phase::Proposed | Phase::Approved { .. } if course.approvals[place].keys.is_none() => Duty::Pair,
        Phase::Proposed | Phase::Approved { .. } | Phase::Collecting { .. } => {
            let later = course.approvals[place + 1..].iter();
            let keys: Vec<_> = later.filter_map(|approval| Some((approval.hospital, approval.keys?.hash))).collect();
            if keys.is_empty() {
                return None;
            }
            Duty::KeepPairs { keys }
        }
        _ => return None,
    };
    Some(Due { study: study.id, duty, rank: 0 })
}

fn due(state: &State, study: &Study<'_>, own: &HospitalId, now: Timestamp) -> Option<Due> {
    let at = |duty, rank| Some(Due { study: study.id, duty, rank });
    let course = study.course;
    match course.phase {
        Phase::Approved { since } => {
            let paired = course.paired();
            let rank = rank_of(&paired, own)?;
            let all_paired = paired.len() == course.approvals.len();
            let everybody_decided = course.decisions.len() == state.members().len() && all_paired;
            let grace_is_over = since.plus_millis(state.genesis().deadlines.grace_ms) <= now;
            let enough = paired.len() >= state.genesis().policy.min_hospitals as usize;
            let can_open = enough && has_roles(state, study, &paired, grace_is_over);
            if (everybody_decided || grace_is_over) && can_open { at(Duty::OpenRound, rank) } else { None }
        }
        Phase::Collecting { round } | Phase::Combining { round } => {
            let running = course.round(round)?;
            let is_late = running.fails_from(&state.genesis().deadlines) <= now;
            // What can be released is released, however late.
            if running.result().is_some() {
                let is_late = is_late && running.guard.is_some();
                return at(Duty::Release { round, is_late }, rank_of(&running.roster, own)?);
            }
            if is_late {
                // Whoever is of the roster and did its part ends the round first; then any member may.
                let rank = rank_of(&running.roster, own).unwrap_or(running.roster.len() as u32);
                return at(Duty::FailRound { round }, rank);
            }
            if !running.has(own) {
                return None;
            }
            if running.has_blame() {
                // Keys for the next one's roles are on their way.
                let policy = &state.genesis().policy;
                let next = course.next_roster(state.members().len(), policy.min_hospitals).unwrap_or_default();
                let can_open = !next.is_empty() && has_roles(state, study, &next, false);
                return if can_open { at(Duty::FailRound { round }, rank_of(&next, own)?) } else { None };
            }
            if let Some(draw) = running.draws() {
                return if running.awaits_lot(own) { at(Duty::ShowLot { round, draw }, 0) } else { None };
            }
            if !running.is_complete() {
                return at(before_all_are_in(running, own)?, 0);
            }
            let contributions = || running.contributions.iter().map(|(id, c)| (*id, c.hash)).collect();
            match &running.guard {
                None if !running.attestations.contains_key(own) => {
                    at(Duty::Attest { round, contributions: contributions() }, 0)
                }
                None => None,
                Some(guard) => {
                    let looks = || guard.disclosed.is_none() && examined(running, own).is_some();
                    let turn = turn(running, guard, own, contributions);
                    at(turn.or_else(|| looks().then_some(Duty::Examine { round }))?, 0)
                }
            }
        }
        Phase::Released { round, sum } => {
            let released = course.round(round)?;
            let attested = released.attestations.iter().filter(|(_, attestation)| attestation.sum == sum);
            let keep = match released.guard {
                Some(_) => Duty::KeepGuarded { round },
                None => Duty::KeepSum { round, sum, attesting: attested.map(|(id, _)| *id).collect() },
            };
            if released.has(own) { at(keep, 0) } else { None }
        }
        Phase::Proposed | Phase::Rejected | Phase::Withdrawn | Phase::Expired | Phase::Failed => None,
    }
}

/// What a hospital of a round does while others have not contributed yet.
fn before_all_are_in(running: &Round, own: &HospitalId) -> Option<Duty> {
    let round = running.number;
    if let Some(guard) = running.guard.filter(|_| !running.spare.are_open()) {
        let roles = guard.roles;
        let drawn = roles.keys?.public_key.hash;
        return (roles.custodian == *own).then_some(Duty::OpenKeySets { round, drawn });
    }
    // Who has said that the custodian's keys are not what they should be encrypts nothing for them.
    let is_refused = running.accusations.values().any(|by| by.get(own) == Some(&Fault::KeySets));
    (!is_refused && !running.contributions.contains_key(own)).then_some(Duty::Contribute { round })
}

/// What a role of a guarded round does when it is its turn.
fn turn(
    running: &Round,
    guard: &Guard,
    own: &HospitalId,
    contributions: impl Fn() -> Vec<(HospitalId, ContentHash)>,
) -> Option<Duty> {
    let round = running.number;
    match guard.awaits(own)? {
        Turn::Seal => Some(Duty::Seal { round, contributions: contributions() }),
        Turn::Witness => {
            let counts = |(id, c): (&HospitalId, &Contribution)| Some((*id, c.veil?.counts?.hash));
            Some(Duty::Witness { round, counts: running.contributions.iter().filter_map(counts).collect() })
        }
        Turn::Disclose => {
            let witness = guard.roles.witness.zip(guard.witnessed).map(|(of, by)| (of.hospital, by.seeds.hash));
            let (aggregator, sealed) = (guard.roles.aggregator, guard.sealed?);
            Some(Duty::Disclose { round, aggregator, sum: sealed.sum.hash, seeds: sealed.seeds.hash, witness })
        }
    }
}

/// Whether roles can be drawn, which only a guarded round has: among all who may have one, or when the grace is over, among
/// as many of them as there are roles at least.
fn has_roles(state: &State, study: &Study<'_>, paired: &[HospitalId], grace_is_over: bool) -> bool {
    if study.proposal.spec.protection != Protection::Guarded {
        return true;
    }
    let own = state.researchers().get(&study.proposal.researcher).and_then(|researcher| researcher.hospital);
    let candidates = paired.iter().filter(|id| own != Some(**id));
    let (with_keys, without): (Vec<&HospitalId>, Vec<&HospitalId>) =
        candidates.partition(|id| state.guard_keys(id).is_some_and(|kept| kept.free().is_some()));
    let wanted = if state.genesis().policy.witness { 3 } else { 2 };
    with_keys.len() >= wanted && (without.is_empty() || grace_is_over)
}

fn rank_of(hospitals: &[HospitalId], own: &HospitalId) -> Option<u32> {
    hospitals.iter().position(|h| h == own).map(|position| position as u32)
}

#[cfg(test)]
#[path = "duties_tests.rs"]
mod tests;
