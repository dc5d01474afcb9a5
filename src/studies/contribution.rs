//! The hospital's own contribution to a round: asked of the vault once, kept on disk, and the same ever after.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use consilium_ledger::state::State;
use consilium_ledger::state::study::RoundEnd;
use consilium_protocol::genesis::Deadlines;
use consilium_protocol::ids::{HospitalId, RoundNumber, StudyId, Timestamp};
use consilium_protocol::study::Protection;
use tracing::info;

use super::Studies;
use super::attempt::DriveError;
use super::guarded::{self, GuardedRound};
use super::rounds::Piece;
use crate::replica::{Replica, count};
use crate::vault::{GuardTask, History, Standing, Task};

/// The own contribution: the one on disk, or a new one, which is on disk before anybody hears of it.
pub(super) async fn contribution(
    studies: &Studies,
    study: &StudyId,
    round: RoundNumber,
) -> Result<Vec<u8>, DriveError> {
    if let Some(bytes) = studies.kept.rounds.get(study, round, Piece::Contribution)? {
        return Ok(bytes);
    }
    let mut task = task(&studies.replica, study, round)?;
    if let Some(found) = GuardedRound::read(&studies.replica, study, round) {
        let custodian_key = guarded::public_key(studies, &found.roles).await?;
        task.guard = Some(GuardTask { custodian_key, sealing_key: found.roles.sealing_key });
    }
    let started = Instant::now();
    let bytes = studies.vault.contribute(&task).await?;
    studies.kept.rounds.keep(study, round, Piece::Contribution, &bytes)?;
    count(&studies.counters.contributions);
    info!(
        study = study.short(),
        round = round.get(),
        bytes = bytes.len(),
        ms = started.elapsed().as_millis() as u64,
        "contribution computed, blinded and encrypted"
    );
    Ok(bytes)
}

fn task(replica: &Replica, study: &StudyId, round: RoundNumber) -> Result<Task, DriveError> {
    replica.chain.read(|state| {
        let found = state.study(study).ok_or(DriveError::NoStudy)?;
        let running = found.course.round(round).ok_or(DriveError::NoStudy)?;
        let blinding_key = |id: &HospitalId| replica.genesis.member(id).map(|m| (*id, m.blinding_key));
        Ok(Task {
            study: *study,
            round,
            spec: found.proposal.spec.clone(),
            public_key: found.proposal.public_key.clone(),
            roster: running.roster.iter().filter_map(blinding_key).collect(),
            roll: state.roll(study, round, &replica.hospital)?,
            left: left(running.opened.time, &replica.genesis.deadlines),
            subjects: state.figures().subjects,
            privacy_loss: state.privacy_loss(&replica.hospital),
            guard: None,
            history: history(state, &replica.hospital),
        })
    })?
}

/// How long it is, by this machine's clock, until a round is out of time that was opened then.
fn left(opened: Timestamp, deadlines: &Deadlines) -> Duration {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
    Duration::from_millis(opened.plus_millis(deadlines.round_ms).get().saturating_sub(clock))
}

/// What became of every round that the hospital was to contribute to, those of private studies left out. One that ended
/// before it did counts as incomplete: what was computed for it has not left.
fn history(state: &State, own: &HospitalId) -> History {
    let mut history = History::new();
    let remembered =
        state.studies().filter(|study| !matches!(study.proposal.spec.protection, Protection::Private { .. }));
    for study in remembered {
        for round in study.course.rounds.iter().filter(|round| round.has(own)) {
            let standing = match round.ended {
                Some((_, RoundEnd::Released)) => Standing::Released,
                // Once all have contributed, the sum may have been seen, whatever became of the round.
                Some(_) if !round.is_complete() => Standing::Incomplete,
                _ if round.contributions.contains_key(own) => Standing::Contributed,
                _ => continue,
            };
            history.insert((study.id, round.number), standing);
        }
    }
    history
}
