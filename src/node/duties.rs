//! What a hospital owes to the studies on the ledger: a pure function of the ledger's state and the hospital's name.

use consilium_ledger::state::State;
use consilium_ledger::state::members::majority;
use consilium_ledger::state::study::{Phase, Study};
use consilium_protocol::ids::{ContentHash, HospitalId, RoundNumber, StudyId, Timestamp};

/// One thing to do for a study.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Open the first round.
    OpenRound,
    /// Compute and commit to the own contribution.
    Contribute {
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
        /// Who committed to what.
        contributions: Vec<(HospitalId, ContentHash)>,
    },
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
    state.studies().filter_map(|study| due(state, &study, own, now)).collect()
}

fn due(state: &State, study: &Study<'_>, own: &HospitalId, now: Timestamp) -> Option<Due> {
    let at = |duty, rank| Some(Due { study: study.id, duty, rank });
    let course = study.course;
    match course.phase {
        Phase::Approved { since } => {
            let approvers = course.approvers();
            let rank = rank_of(&approvers, own)?;
            let everybody_decided = course.decisions.len() == state.members().len();
            let grace_is_over = since.plus_millis(state.genesis().deadlines.grace_ms) <= now;
            let enough = approvers.len() >= state.genesis().policy.min_hospitals as usize;
            if (everybody_decided || grace_is_over) && enough { at(Duty::OpenRound, rank) } else { None }
        }
        Phase::Collecting { round } | Phase::Combining { round } => {
            let running = course.round(round)?;
            let deadline = running.opened.time.plus_millis(state.genesis().deadlines.round_ms);
            if deadline <= now {
                // Whoever is of the roster and did its part ends the round first; then any member may.
                let rank = rank_of(&running.roster, own).unwrap_or(running.roster.len() as u32);
                return at(Duty::FailRound { round }, rank);
            }
            if !running.has(own) {
                return None;
            }
            if !running.is_complete() {
                let contributed = running.contributions.contains_key(own);
                return if contributed { None } else { at(Duty::Contribute { round }, 0) };
            }
            if !running.attestations.contains_key(own) {
                let contributions = running.contributions.iter().map(|(id, c)| (*id, c.hash)).collect();
                return at(Duty::Attest { round, contributions }, 0);
            }
            let attested = running.leading_sum().is_some_and(|(_, n)| n >= majority(running.roster.len()));
            if attested { at(Duty::Release { round }, rank_of(&running.roster, own)?) } else { None }
        }
        Phase::Released { round, sum } => {
            let released = course.round(round)?;
            let contributions = released.contributions.iter().map(|(id, c)| (*id, c.hash)).collect();
            if released.has(own) { at(Duty::KeepSum { round, sum, contributions }, 0) } else { None }
        }
        Phase::Proposed | Phase::Rejected | Phase::Withdrawn | Phase::Expired | Phase::Failed => None,
    }
}

fn rank_of(hospitals: &[HospitalId], own: &HospitalId) -> Option<u32> {
    hospitals.iter().position(|h| h == own).map(|position| position as u32)
}
