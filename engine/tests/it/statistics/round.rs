//! One round of a study among hospitals, without a ledger.

use std::sync::OnceLock;

use arrow::array::RecordBatch;
use consilium_engine::cells::{
    BlindingRoster, BlindingRound, Blinds, EncryptedCells, EncryptionSeed, OpenedCells, PairSecrets, StudyPublicKey,
    StudySecretKey, combine, contribute, open,
};
use consilium_engine::disclosure::{DisclosureError, Released, release};
use consilium_engine::guard::{
    Disclosed, GuardedCells, PadRound, Padded, Seed, VeilSeed, Veils, contribute_veiled, open_guarded, pad,
};
use consilium_engine::result::StudyResult;
use consilium_engine::statistics::{Compared, Layout, OFFLINE_SUBJECTS, compute};
use consilium_protocol::ids::{HospitalId, LedgerId, RoundNumber, StudyId};
use consilium_protocol::pairing::PairSecret;
use consilium_protocol::policy::DisclosurePolicy;
use consilium_protocol::study::StudySpec;

pub(crate) const fn policy(min_joint_count: u32, min_site_count: u32) -> DisclosurePolicy {
    DisclosurePolicy {
        min_joint_count,
        min_site_count,
        min_hospitals: 3,
        insiders: 0,
        witness: false,
        key_sets: 1,
        show_zeros: true,
        rounding: 1,
        studies_per_researcher: 1,
        quota_days: 1,
        open_studies: true,
        privacy_budget: consilium_protocol::privacy::MicroRho::ZERO,
        slot_seconds: 1,
    }
}

fn keys() -> &'static (StudySecretKey, StudyPublicKey) {
    static KEYS: OnceLock<(StudySecretKey, StudyPublicKey)> = OnceLock::new();
    KEYS.get_or_init(|| StudySecretKey::generate().expect("randomness"))
}

/// Every hospital's blinds for so many cells.
fn blinds(hospitals: usize, cells: usize) -> Vec<Blinds> {
    with_round(hospitals, |round, members, secrets| {
        members.iter().map(|id| Blinds::derive(round, *id, secrets, cells).expect("sound blinds")).collect()
    })
}

fn with_round<T>(hospitals: usize, make: impl FnOnce(&BlindingRound<'_>, &[HospitalId], &PairSecrets) -> T) -> T {
    let members: Vec<_> = (0..hospitals).map(|n| HospitalId::from_public_key([n as u8 + 1; 32])).collect();
    let roster = BlindingRoster::new(members.clone()).expect("a sound roster");
    let secrets: PairSecrets = members.iter().map(|id| (*id, PairSecret::from_bytes([9; 32]))).collect();
    let ledger = LedgerId::from_bytes([8; 32]);
    let study = StudyId::from_bytes([1; 32]);
    let round = BlindingRound { ledger: &ledger, study, round: RoundNumber::new(0), roster: &roster };
    make(&round, &members, &secrets)
}

fn encrypted(vectors: &[Vec<i64>]) -> Vec<EncryptedCells> {
    let blinds = blinds(vectors.len(), vectors[0].len());
    let encrypt = |(cells, blinds): (&Vec<i64>, Blinds)| contribute(cells, blinds, &keys().1).expect("fitting blinds");
    vectors.iter().zip(blinds).map(encrypt).collect()
}

fn opened(contributions: &[EncryptedCells]) -> OpenedCells {
    let sum = combine(contributions).expect("contributions of one round");
    open(&sum, &keys().0, contributions.len()).expect("an honest sum")
}

/// Opens the sum of these vectors of cells, whatever they hold.
pub(super) fn open_cells(vectors: &[Vec<i64>]) -> OpenedCells {
    opened(&encrypted(vectors))
}

/// Opens cells that three hospitals add up to, the first with all of them.
pub(super) fn open_joint(joint: Vec<i64>) -> OpenedCells {
    let nothing = vec![0; joint.len()];
    open_cells(&[joint, nothing.clone(), nothing])
}

/// Pads cells that three hospitals add up to, and opens the groups whose seeds passed.
pub(super) fn open_passed(joint: Vec<i64>, groups: &[Padded], passed: &[bool]) -> GuardedCells {
    let nothing = vec![0; joint.len()];
    let blinds = blinds(3, joint.len() + 1);
    let veil = |round: &BlindingRound<'_>, id: &HospitalId| {
        let seed = VeilSeed::from_bytes(id.public_key()).expect("32 bytes");
        Veils::derive(&seed, round, *id, passed.len())
    };
    let veils: Vec<Veils> = with_round(3, |round, members, _| members.iter().map(|id| veil(round, id)).collect());
    let parts = [&joint, &nothing, &nothing].into_iter().zip(blinds).zip(&veils);
    let seed = || EncryptionSeed::random().expect("randomness");
    let parts = parts.map(|((own, blinds), veils)| contribute_veiled(own, blinds, veils, groups, &keys().1, &seed()));
    let parts: Vec<EncryptedCells> = parts.map(|part| part.expect("fitting blinds")).collect();
    let mut sum = combine(&parts).expect("contributions of one round");
    let round = PadRound { study: StudyId::from_bytes([1; 32]), round: RoundNumber::new(0) };
    let seed = |seed: usize| Seed::from_bytes(&[seed as u8 + 1; Seed::BYTES]).expect("not all zeros");
    let seeds: Vec<Seed> = (0..passed.len()).map(seed).collect();
    pad(&mut sum, groups, &seeds, &round).expect("groups of these cells");
    let revealed: Vec<Option<Seed>> = passed.iter().enumerate().map(|(i, passed)| passed.then(|| seed(i))).collect();
    let disclosed = Disclosed::of(revealed, &veils).expect("as many sets");
    open_guarded(sum, &keys().0, 3, groups, &disclosed, &round).expect("an honest sum")
}

/// Releases what the cohorts add up to.
pub(crate) async fn joint(
    spec: &StudySpec,
    cohorts: &[Vec<RecordBatch>],
    policy: &DisclosurePolicy,
) -> Result<Released<StudyResult>, DisclosureError> {
    let layout = Layout::of(spec).expect("a valid study");
    let mut contributions = Vec::new();
    for (cohort, blinds) in cohorts.iter().zip(blinds(cohorts.len(), layout.cells())) {
        let cells = compute(spec, &layout, &Compared::default(), cohort, policy.min_site_count, OFFLINE_SUBJECTS).await;
        let cells = cells.expect("a cohort that fits the study");
        let seed = EncryptionSeed::random().expect("randomness");
        contributions.push(cells.contribute(blinds, &keys().1, &seed).expect("fitting blinds"));
    }
    release(spec, &layout, policy, cohorts.len(), opened(&contributions))
}
