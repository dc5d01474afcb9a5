//! Four hospitals, three groups, one key of every kind: who gets to see what.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use consilium_engine::cells::{
    self, BlindingRoster, BlindingRound, Blinds, EncryptedCells, EncryptionSeed, OpeningError, PairSecrets,
    StudyPublicKey, StudySecretKey,
};
use consilium_engine::guard::{
    Aggregator, Bar, Disclosed, Gates, GuardBlinds, GuardContribution, GuardError, GuardKeys, GuardServerKey,
    GuardShape, PadRound, Padded, SealedRound, SealedSeeds, Seed, VeilSeed, Veils, combine, contribute,
    contribute_veiled, open_guarded, pad, reveal, reveal_both,
};
use consilium_protocol::ids::{HospitalId, LedgerId, RoundNumber, StudyId};
use consilium_protocol::pairing::PairSecret;

/// A group of a count and a sum; one of a count; one of a count and a sum. The joint counts are 10, 0 and 11.
const GROUPS: [Padded; 3] =
    [Padded { cells: 0..2, seed: 0 }, Padded { cells: 2..3, seed: 1 }, Padded { cells: 3..5, seed: 2 }];
const COUNTS: [[u64; 3]; 4] = [[10, 0, 5], [0, 0, 4], [0, 0, 0], [0, 0, 2]];

const ROUND: PadRound = PadRound { study: StudyId::from_bytes([1; 32]), round: RoundNumber::new(0) };

struct Hospitals {
    ledger: LedgerId,
    secrets: PairSecrets,
    roster: BlindingRoster,
}

impl Hospitals {
    fn new() -> Self {
        let roster = BlindingRoster::new((0..4).map(hospital).collect()).expect("a sound roster");
        let secrets = (0..4).map(|n| (hospital(n), PairSecret::from_bytes([9; 32]))).collect();
        Self { ledger: LedgerId::from_bytes([8; 32]), secrets, roster }
    }

    fn round(&self) -> BlindingRound<'_> {
        BlindingRound { ledger: &self.ledger, study: ROUND.study, round: ROUND.round, roster: &self.roster }
    }

    fn veils(&self) -> Vec<Veils> {
        let of = |own: u8| VeilSeed::from_bytes(&[own; VeilSeed::BYTES]).expect("32 bytes");
        (0..4).map(|own| Veils::derive(&of(own), &self.round(), hospital(own), 3)).collect()
    }

    /// What the researcher gets to open with, when these seeds were read.
    fn disclosed(&self, seeds: Vec<Option<Seed>>) -> Disclosed {
        let veils = self.veils();
        let (lists, committed): (Vec<_>, Vec<_>) =
            veils.iter().map(|veils| (veils.commitments(), veils.commitment())).unzip();
        let bytes = Disclosed::of(seeds, &veils).expect("three sets").to_bytes(&lists);
        Disclosed::from_bytes(&bytes, 3, &committed).expect("own bytes")
    }

    fn joint(&self, key: &StudyPublicKey) -> EncryptedCells {
        let veils = self.veils();
        let one = |own: u8| {
            let [a, b, c] = COUNTS[usize::from(own)].map(|count| count as i64);
            let blinds = Blinds::derive(&self.round(), hospital(own), &self.secrets, 6).expect("sound blinds");
            let values = [a, 100 * a, b, c, -7 * c];
            let seed = EncryptionSeed::random().expect("randomness");
            contribute_veiled(&values, blinds, &veils[usize::from(own)], &GROUPS, key, &seed).expect("a contribution")
        };
        cells::combine(&[0, 1, 2, 3].map(one)).expect("a sum")
    }

    fn guards(&self, shape: &GuardShape, custodian: &GuardKeys) -> Vec<GuardContribution> {
        let one = |own: u8| {
            let blinds = GuardBlinds::derive(&self.round(), hospital(own), &self.secrets, shape).expect("sound blinds");
            let one = contribute(&COUNTS[usize::from(own)], shape, blinds, &custodian.public).expect("a contribution");
            let bytes = one.to_bytes();
            assert_eq!(bytes.len(), GuardContribution::encoded_bytes(shape));
            GuardContribution::from_bytes(&bytes).expect("own bytes")
        };
        [0, 1, 2, 3].map(one).into()
    }
}

fn hospital(n: u8) -> HospitalId {
    HospitalId::from_public_key([n; 32])
}

#[test]
fn the_researcher_opens_what_is_not_small_and_nothing_else() {
    let hospitals = Hospitals::new();
    let (researcher, study_key) = StudySecretKey::generate().expect("randomness");
    let custodian = GuardKeys::generate().expect("randomness");
    let server_key = GuardServerKey::from_bytes(&custodian.server).expect("own bytes");
    let shape = GuardShape::new(4, Bar::at(11), vec![true; 3], Gates::independent(3)).expect("a sound shape");

    let sum = combine(&hospitals.guards(&shape, &custodian), &shape).expect("a sum");
    let (told, total) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let progress = |progress: consilium_engine::guard::Progress| {
        told.fetch_add(1, Ordering::Relaxed);
        total.store(progress.total, Ordering::Relaxed);
    };
    let aggregator = Aggregator::new(&shape, &server_key, &custodian.public).expect("keys of one custodian");
    let SealedRound { sealed, seeds } = aggregator.with_progress(&progress).seal(&sum).expect("a sealed round");
    assert_eq!((told.into_inner(), total.into_inner()), (6, 6));
    let mut joint = hospitals.joint(&study_key);
    pad(&mut joint, &GROUPS, &seeds, &ROUND).expect("sound groups");
    let bytes = sealed.to_bytes();
    assert_eq!(bytes.len(), SealedSeeds::encoded_bytes(3));

    let sealed = SealedSeeds::from_bytes(&bytes).expect("own bytes");
    let revealed = reveal(&sealed, &custodian.secret, &shape).expect("honest seeds");
    assert_eq!(revealed.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, true]);

    let disclosed = hospitals.disclosed(revealed);
    let opened = open_guarded(joint.clone(), &researcher, 4, &GROUPS, &disclosed, &ROUND).expect("a sound sum");
    let shapes: Vec<Option<usize>> =
        opened.groups().iter().map(|group| group.as_ref().map(|cells| cells.len())).collect();
    assert_eq!(shapes, [None, Some(1), Some(2)]);
    assert_eq!(opened.suppressed(), 1);
    assert!(opened.groups()[2].as_ref().is_some_and(|cells| cells.hospitals() == 4));

    refusals(&hospitals, &joint, &researcher, &disclosed, &seeds);
}

#[test]
fn what_an_aggregator_alone_says_has_passed_is_not_released() {
    let hospitals = Hospitals::new();
    let custodian = GuardKeys::generate().expect("randomness");
    let server_key = GuardServerKey::from_bytes(&custodian.server).expect("own bytes");
    let shape = GuardShape::new(4, Bar::at(11), vec![true; 3], Gates::independent(3)).expect("a sound shape");
    let seal = |counts: Vec<GuardContribution>| {
        let sum = combine(&counts, &shape).expect("a sum");
        let aggregator = Aggregator::new(&shape, &server_key, &custodian.public).expect("keys of one custodian");
        aggregator.seal(&sum).expect("a sealed round").sealed
    };
    let honest = || hospitals.guards(&shape, &custodian);
    // It adds counts of its own making, so that every group is large.
    let inflated = |own: u8| {
        let blinds = GuardBlinds::derive(&hospitals.round(), hospital(own), &hospitals.secrets, &shape);
        contribute(&[20; 3], &shape, blinds.expect("sound blinds"), &custodian.public).expect("a contribution")
    };
    let (witnessed, deviating) = (seal(honest()), seal([0, 1, 2, 3].map(inflated).into()));
    let released = |sealed: &SealedSeeds, witnessed: &SealedSeeds| -> Vec<bool> {
        let seeds = reveal_both(sealed, witnessed, &custodian.secret, &shape).expect("seeds");
        seeds.iter().map(Option::is_some).collect()
    };
    let alone = reveal(&deviating, &custodian.secret, &shape).expect("seeds");
    assert!(alone.iter().all(Option::is_some), "without a witness all is released");
    assert_eq!(released(&deviating, &witnessed), [false, true, true]);
    assert_eq!(released(&witnessed, &deviating), [false, true, true], "nor what a witness alone says");
    let both = reveal_both(&witnessed, &seal(honest()), &custodian.secret, &shape).expect("seeds");
    let own = reveal(&witnessed, &custodian.secret, &shape).expect("seeds");
    let bytes = |seeds: &[Option<Seed>]| -> Vec<Option<Vec<u8>>> {
        seeds.iter().map(|seed| seed.as_ref().map(|seed| seed.as_bytes().to_vec())).collect()
    };
    assert_eq!(bytes(&both), bytes(&own), "the seeds of pads are the aggregator's");
}

fn refusals(
    hospitals: &Hospitals,
    joint: &EncryptedCells,
    researcher: &StudySecretKey,
    revealed: &Disclosed,
    seeds: &[Seed],
) {
    // Pads that are not there, or are another group's or round's, leave noise that no hospital could have made.
    let open = |disclosed: &Disclosed, round: &PadRound| {
        open_guarded(joint.clone(), researcher, 4, &GROUPS, disclosed, round).map(drop)
    };
    assert!(cells::open(joint, researcher, 4).is_err());
    let other = PadRound { round: RoundNumber::new(1), ..ROUND };
    assert!(matches!(open(revealed, &other), Err(GuardError::Opening(OpeningError::Noise | OpeningError::LimbSum))));
    let seed = |group: usize| Seed::from_bytes(seeds[group].as_bytes());
    let with = |seeds| hospitals.disclosed(seeds);
    assert!(matches!(open(&with(vec![None, seed(2), seed(1)]), &ROUND), Err(GuardError::Opening(_))));
    assert_eq!(open(&with(vec![seed(0), None, None]), &ROUND), Ok(()));
    let fewer =
        || Veils::derive(&VeilSeed::from_bytes(&[1; 32]).expect("32 bytes"), &hospitals.round(), hospital(1), 2);
    let two = Disclosed::of(vec![None, None], &[fewer()]).expect("two sets");
    assert_eq!(open(&two, &ROUND), Err(GuardError::Seeds { expected: 3, found: 2 }));
    // A hospital that veiled its cells otherwise than it told the custodian.
    let mut veils = hospitals.veils();
    veils[3] = Veils::derive(&VeilSeed::from_bytes(&[9; 32]).expect("32 bytes"), &hospitals.round(), hospital(3), 3);
    let otherwise = Disclosed::of(vec![None, seed(1), None], &veils).expect("three sets");
    assert_eq!(open(&otherwise, &ROUND), Err(GuardError::VeiledCheck));

    let groups = |groups: [Range<usize>; 3]| {
        let groups: Vec<Padded> = (0..).zip(groups).map(|(seed, cells)| Padded { cells, seed }).collect();
        open_guarded(joint.clone(), researcher, 4, &groups, revealed, &ROUND).map(drop)
    };
    assert_eq!(groups([0..2, 1..3, 3..5]), Err(GuardError::Cells { group: 1 }));
    assert_eq!(groups([0..2, 2..2, 3..5]), Err(GuardError::Cells { group: 1 }));
    assert_eq!(groups([0..2, 2..3, 3..6]), Err(GuardError::Cells { group: 2 }), "the veiled check cell is nobody's");
    let fewer = open_guarded(joint.clone(), researcher, 3, &GROUPS, revealed, &ROUND).map(drop);
    let expected = OpeningError::Contributions { contributions: 4, roster: 3 };
    assert_eq!(fewer, Err(GuardError::Opening(expected)));
}
