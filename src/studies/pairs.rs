//! What hospitals encapsulate to each other for a study, between ledger and vault: the own is made and committed to, others'
//! is fetched as soon as it is committed to, and kept, so that any approver can have it from any other.

use std::path::PathBuf;

use consilium_ledger::state::study::Course;
use consilium_protocol::hash;
use consilium_protocol::ids::{ContentHash, HospitalId, RoundNumber, StudyId};
use consilium_protocol::pairing::PAIR_BYTES;
use consilium_protocol::tx::{Blob, PairKeys, Payload};
use consilium_protocol::wire::BlobKind;

use super::Studies;
use super::error::DriveError;
use crate::home::files::{self, FileError, Readable};
use crate::replica::peers::{FetchError, Wanted};
use crate::vault::{Pairing, Partner};

/// The longest that one hospital encapsulates: to all others of the largest consortium.
const MAX_BYTES: usize = PAIR_BYTES * consilium_protocol::genesis::MAX_MEMBERS;

/// The folder of what was encapsulated: `pairs/<study>-<hospital>.keys`.
#[derive(Clone, Debug)]
pub struct PairFiles {
    folder: PathBuf,
}

impl PairFiles {
    /// Those kept in a folder, which is made if missing.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open(folder: PathBuf) -> Result<Self, FileError> {
        files::create_private_dir(&folder)?;
        Ok(Self { folder })
    }

    fn path(&self, study: &StudyId, hospital: &HospitalId) -> PathBuf {
        self.folder.join(format!("{study}-{hospital}.keys"))
    }

    fn keep(&self, study: &StudyId, hospital: &HospitalId, bytes: &[u8]) -> Result<(), FileError> {
        files::replace(&self.path(study, hospital), bytes, Readable::ByOwner)
    }

    /// What a hospital encapsulated, if it was kept and is what it committed to.
    pub fn get(&self, study: &StudyId, hospital: &HospitalId, hash: &ContentHash) -> Option<Vec<u8>> {
        let bytes = files::read_bytes(&self.path(study, hospital), MAX_BYTES as u64).ok()?;
        (hash::content(&bytes) == *hash).then_some(bytes)
    }

    /// The studies and hospitals that something is kept of.
    pub(super) fn kept(&self) -> Vec<(StudyId, HospitalId)> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().filter_map(Result::ok);
        let name = |entry: std::fs::DirEntry| {
            let name = entry.file_name();
            let (study, hospital) = name.to_str()?.strip_suffix(".keys")?.split_once('-')?;
            Some((study.parse().ok()?, hospital.parse().ok()?))
        };
        entries.filter_map(name).collect()
    }

    pub(super) fn forget(&self, study: &StudyId, hospital: &HospitalId) -> Result<(), FileError> {
        files::delete(&self.path(study, hospital))
    }
}

/// Has what this hospital owes to those before it encapsulated.
pub(super) fn commitment(studies: &Studies, study: StudyId) -> Result<Payload, DriveError> {
    let own = studies.replica.hospital;
    let pairing = studies.replica.chain.read(|state| {
        let course = state.study(&study)?.course;
        let before = course.before(&own)?;
        let earlier = course.approvals[..before].iter().map(|approval| (approval.hospital, approval.pair_key));
        Some(Pairing { study, key: course.approvals[before].pair_key, before: earlier.collect() })
    })?;
    let bytes = studies.vault.encapsulate(&pairing.ok_or(DriveError::NoStudy)?)?;
    studies.kept.pairs.keep(&study, &own, &bytes)?;
    let keys = Blob { hash: hash::content(&bytes), bytes: bytes.len() as u64 };
    Ok(Payload::PairKeys(PairKeys { study, keys }))
}

/// Has what others committed to fetched and kept.
pub(super) async fn keep(
    studies: &Studies,
    study: StudyId,
    wanted: &[(HospitalId, ContentHash)],
) -> Result<(), DriveError> {
    for (hospital, hash) in wanted {
        fetch(studies, study, *hospital, *hash).await?;
    }
    Ok(())
}

/// What a hospital encapsulated: kept, or from its maker, or from whoever else approved the study.
async fn fetch(studies: &Studies, study: StudyId, maker: HospitalId, hash: ContentHash) -> Result<Vec<u8>, DriveError> {
    if let Some(bytes) = studies.kept.pairs.get(&study, &maker, &hash) {
        return Ok(bytes);
    }
    let others = studies.replica.chain.read(|state| {
        let course = state.study(&study).map(|study| study.course);
        course.map(Course::paired).unwrap_or_default()
    })?;
    let wanted =
        Wanted { limit: MAX_BYTES, ..Wanted::of_round(BlobKind::PairKeys, (study, RoundNumber::new(0)), hash) };
    let mut failed = FetchError::NoMember(maker);
    for hospital in std::iter::once(maker).chain(others.into_iter().filter(|id| *id != maker)) {
        match studies.replica.peers.fetch(hospital, &wanted).await {
            Ok(bytes) => {
                studies.kept.pairs.keep(&study, &maker, &bytes)?;
                return Ok(bytes);
            }
            Err(error) if hospital == maker => failed = error,
            Err(_) => {}
        }
    }
    Err(failed.into())
}

/// How this hospital comes by what it shares with each other one of a roster.
pub(super) async fn partners(
    studies: &Studies,
    study: StudyId,
    roster: &[HospitalId],
) -> Result<Vec<Partner>, DriveError> {
    let own = studies.replica.hospital;
    let (place, approvals) = studies
        .replica
        .chain
        .read(|state| {
            let course = state.study(&study)?.course;
            Some((course.before(&own)?, course.approvals.clone()))
        })?
        .ok_or(DriveError::NoStudy)?;
    let mut partners = Vec::with_capacity(roster.len());
    for (at, approval) in approvals.iter().enumerate().filter(|(_, approval)| roster.contains(&approval.hospital)) {
        let hospital = approval.hospital;
        if at < place {
            partners.push(Partner::Earlier { hospital, key: Box::new(approval.pair_key) });
        } else if at > place {
            let keys = approval.keys.ok_or(DriveError::NoStudy)?;
            let all = fetch(studies, study, hospital, keys.hash).await?;
            // Those to this hospital stand where its approval does among those before.
            let bytes = all.get(place * PAIR_BYTES..(place + 1) * PAIR_BYTES).unwrap_or_default().to_vec();
            partners.push(Partner::Later { hospital, bytes });
        }
    }
    Ok(partners)
}
