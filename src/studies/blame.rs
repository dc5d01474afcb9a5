//! Who does not give what it committed to.
//!
//! A hospital that others wait for is asked until half of the round's time is over, and a quarter of it since anything came onto the
//! ledger. Then whoever waits asks some more, and says so there. In a guarded round the rest of the roster asks, too: who is given it
//! keeps it and hands it on, who is not says the same. Said by more than half of the roster, the round is over, and the hospital is
//! named. A round that is not guarded needs no such asking: everybody fetches everything.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use consilium_engine::cells::CiphertextError;
use consilium_engine::guard::{GuardPublicKey, GuardServerKey};
use consilium_ledger::state::study::{Round, most};
use consilium_protocol::hash;
use consilium_protocol::ids::{ContentHash, HospitalId, RoundNumber, StudyId, Timestamp};
use consilium_protocol::tx::{Accuse, Fault, Payload};
use consilium_protocol::wire::BlobKind;

use super::Studies;
use super::rounds::Piece;
use crate::replica::peers::{FetchError, Wanted};

/// How often a hospital is asked again before anything is said of it.
const TRIES: u32 = 5;
/// How long between: that part of the round's deadline, and no longer than this.
const PAUSES: u64 = 40;
const MOST_PAUSE_MS: u64 = 60_000;

/// Something that another hospital of a roster owes, and that nobody can go on without.
#[derive(Debug, thiserror::Error)]
#[error("{wrong}")]
pub struct Owed {
    /// The round.
    pub(super) of: (StudyId, RoundNumber),
    /// Whose it is.
    pub(super) hospital: HospitalId,
    /// What it is.
    pub(super) fault: Fault,
    /// What is wrong with it.
    #[source]
    pub(super) wrong: Wrong,
}

/// What is wrong with something that another hospital owes.
#[derive(Debug, thiserror::Error)]
pub(super) enum Wrong {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("hospital {0:?} contributed what counts for several hospitals; it is not added up")]
    NotOne(HospitalId),
    #[error("hospital {0:?} contributed what cannot be added up with the others: {1}")]
    Ciphertext(HospitalId, CiphertextError),
    #[error(
        "hospital {0:?}, the custodian, registered sets of keys that are not made of the seeds that it opened; nothing is encrypted for \
         it, and the others are told on the ledger"
    )]
    KeySets(HospitalId),
    #[error(
        "hospital {0:?} contributed what was not made as it shows; nothing is added up, and the others are told on the ledger"
    )]
    Form(HospitalId),
}

/// Fetches what a hospital owes: from itself, or when that is in vain and was said on the ledger, from anybody of the roster who could.
pub(super) async fn fetch(
    studies: &Studies,
    of: (StudyId, RoundNumber),
    from: HospitalId,
    (fault, wanted): (Fault, &Wanted),
) -> Result<Vec<u8>, Box<Owed>> {
    // What was given when it was asked for once more is kept here.
    let kept = studies.kept.rounds.get(&of.0, of.1, Piece::Others(wanted.hash)).ok().flatten();
    if let Some(bytes) = kept.filter(|bytes| hash::content(bytes) == wanted.hash) {
        return Ok(bytes);
    }
    let wrong = match studies.replica.peers.fetch(from, wanted).await {
        Ok(bytes) => return Ok(bytes),
        Err(error) => error,
    };
    for other in others(studies, of, from, fault) {
        if let Ok(bytes) = studies.replica.peers.fetch(other, wanted).await {
            return Ok(bytes);
        }
    }
    Err(Box::new(Owed { of, hospital: from, fault, wrong: wrong.into() }))
}

/// Those who can be asked for what this hospital cannot have from whoever owes it: of what is for the whole roster all of it, else
/// all to whom it was given after this hospital said so.
fn others(
    studies: &Studies,
    (study, number): (StudyId, RoundNumber),
    accused: HospitalId,
    fault: Fault,
) -> Vec<HospitalId> {
    let own = studies.replica.hospital;
    let found = studies.replica.chain.read(|state| {
        let round = state.study(&study)?.course.round(number)?;
        let is_said = round.accusations.get(&accused).is_some_and(|by| by.contains_key(&own));
        (is_said || is_for_all(fault))
            .then(|| round.roster.iter().copied().filter(|id| *id != own && *id != accused).collect())
    });
    found.ok().flatten().unwrap_or_default()
}

/// Whether whoever has it gives it to all of the roster: else who owes it to them could choose who can go on.
const fn is_for_all(fault: Fault) -> bool {
    matches!(fault, Fault::Keys | Fault::Disclosed)
}

/// What is to be said of it on the ledger, once it is time and where it has not been said.
pub(super) fn accusation(studies: &Studies, owed: &Owed) -> Option<Payload> {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
    let (study, number) = owed.of;
    let read = studies.replica.chain.read(|state| {
        let round = state.study(&study)?.course.round(number)?;
        let from = round.accusable_from(&state.genesis().deadlines);
        let is_time = owed.fault.is_plain() || from <= state.time().max(Timestamp::new(clock));
        let own = studies.replica.hospital;
        let is_said = round.accusations.get(&owed.hospital).is_some_and(|by| by.contains_key(&own));
        let is_owed = round.owes(&owed.hospital, owed.fault);
        (is_owed && owed.hospital != own && round.ended.is_none() && is_time && !is_said).then_some(())
    });
    read.ok().flatten()?;
    Some(Payload::Accuse(Accuse { study, round: number, accused: owed.hospital, fault: owed.fault }))
}

/// Whether a hospital still does not give something after it was asked several times, over some minutes: its node may be starting.
pub(super) async fn is_still_owed(studies: &Studies, owed: &Owed) -> bool {
    if owed.fault.is_plain() {
        return true;
    }
    let pause = (studies.replica.genesis.deadlines.round_ms / PAUSES).min(MOST_PAUSE_MS);
    for _ in 0..TRIES {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        if ask(studies, owed.of, (owed.hospital, owed.fault)).await.is_ok() {
            return false;
        }
    }
    true
}

/// Of whom others of a guarded round's roster say that they cannot have something, where this hospital does not say so yet.
pub(super) fn to_be_asked(round: &Round, own: &HospitalId) -> Vec<(HospitalId, Fault)> {
    // What is contributed to other rounds everybody fetches; so is what is disclosed.
    if round.guard.is_none() || !round.has(own) || round.ended.is_some() || round.result().is_some() {
        return Vec::new();
    }
    let accused = round.accusations.iter().filter(|(accused, by)| *accused != own && !by.contains_key(own));
    let faults = accused.filter_map(|(accused, by)| Some((*accused, most(by)?)));
    // What everybody finds by themselves is not asked for.
    faults.filter(|(_, fault)| !fault.is_plain()).collect()
}

/// The hash of what a hospital of a round committed to.
fn committed(round: &Round, kind: BlobKind, hospital: &HospitalId) -> Option<ContentHash> {
    let contribution = || round.contributions.get(hospital);
    let sealed = || round.guard.filter(|guard| guard.roles.aggregator == *hospital)?.sealed;
    let disclosing = || round.guard.filter(|guard| guard.roles.custodian == *hospital && guard.disclosed.is_some());
    match kind {
        BlobKind::Contribution => contribution().map(|contribution| contribution.hash),
        BlobKind::Veil => Some(contribution()?.veil?.sealed.hash),
        BlobKind::Sum => sealed().or_else(|| disclosing()?.sealed).map(|sealed| sealed.sum.hash),
        BlobKind::Seeds => sealed().map(|sealed| sealed.seeds.hash),
        BlobKind::Counts => Some(contribution()?.veil?.counts?.hash),
        BlobKind::Proof => contribution().filter(|_| round.examined == Some(*hospital)).map(|c| c.proof),
        BlobKind::WitnessSeeds => {
            let witnessed = round.guard.filter(|guard| guard.roles.is_witness(hospital))?.witnessed;
            witnessed.map(|witnessed| witnessed.seeds.hash)
        }
        BlobKind::DisclosedSeeds => disclosing()?.disclosed.map(|disclosed| disclosed.seeds.hash),
        BlobKind::Unspecified | BlobKind::PairKeys | BlobKind::GuardPublicKey | BlobKind::GuardServerKey => None,
    }
}

/// Whose this is, where the caller says on the ledger that it cannot have it.
pub fn missed(round: &Round, kind: BlobKind, wanted: &ContentHash, caller: &HospitalId) -> Option<HospitalId> {
    let mut accused = round.accusations.iter().filter(|(_, by)| round.ended.is_none() && by.contains_key(caller));
    let found = accused.find(|(accused, _)| committed(round, kind, accused) == Some(*wanted));
    found.map(|(accused, _)| *accused)
}

/// Asks a hospital for what others say they cannot have.
pub(super) async fn ask(
    studies: &Studies,
    of: (StudyId, RoundNumber),
    (accused, fault): (HospitalId, Fault),
) -> Result<(), Box<Owed>> {
    let (study, number) = of;
    let read = studies.replica.chain.read(|state| {
        let round = state.study(&study)?.course.round(number)?;
        let kinds = match fault {
            Fault::Contribution | Fault::Malformed => vec![BlobKind::Contribution],
            Fault::Veil => vec![BlobKind::Veil],
            Fault::Sum => vec![BlobKind::Sum, BlobKind::Seeds],
            Fault::Counts => vec![BlobKind::Counts],
            Fault::Witness => vec![BlobKind::WitnessSeeds],
            Fault::Proof => vec![BlobKind::Proof],
            Fault::Disclosed => vec![BlobKind::Sum, BlobKind::DisclosedSeeds],
            Fault::KeySets => Vec::new(),
            Fault::Keys => {
                let roles = round.guard?.roles;
                let key = |kind, hash, limit| Wanted { kind, of: None, hash, limit };
                let keys = roles.keys?;
                let public_key = key(BlobKind::GuardPublicKey, keys.public_key.hash, GuardPublicKey::ENCODED_BYTES);
                let server_key = key(BlobKind::GuardServerKey, keys.server_key.hash, GuardServerKey::ENCODED_BYTES);
                // Nobody needs the server key before all have contributed.
                return Some(if round.is_complete() { vec![public_key, server_key] } else { vec![public_key] });
            }
        };
        let wanted = |kind| Some(Wanted::of_round(kind, of, committed(round, kind, &accused)?));
        kinds.into_iter().map(wanted).collect()
    });
    for wanted in read.ok().flatten().unwrap_or_default() {
        let is_key = wanted.of.is_none();
        let is_here = match is_key {
            true => studies.vault.guard_key(&wanted.hash).is_some(),
            false => {
                studies.kept.rounds.get(&study, number, Piece::Others(wanted.hash)).is_ok_and(|kept| kept.is_some())
            }
        };
        if is_here {
            continue;
        }
        let owed = |wrong| Box::new(Owed { of, hospital: accused, fault, wrong });
        let bytes = studies.replica.peers.fetch(accused, &wanted).await.map_err(|error| owed(error.into()))?;
        // For those who cannot have it: what was given once may be refused the next time.
        let kept = match is_key {
            true => studies.vault.keep_guard_key(&wanted.hash, &bytes),
            false => studies.kept.rounds.keep(&study, number, Piece::Others(wanted.hash), &bytes),
        };
        if let Err(error) = kept {
            tracing::warn!(%error, "what others cannot have is not kept for them");
        }
    }
    Ok(())
}
