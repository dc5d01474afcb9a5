//! Whole rounds against sums computed in the clear, and what a single contribution shows.

use consilium_protocol::ids::{HospitalId, LedgerId, RoundNumber, StudyId};
use consilium_protocol::pairing::PairSecret;
use proptest::prelude::*;

use super::encoding::{LIMB_BITS, LIMBS, SAFE_NOISE, encode};
use super::encryption::encrypt;
use super::keys::tests::fixed_pair;
use super::noise::noise_bound;
use super::opening::decrypt;
use super::*;

fn hospital(n: usize) -> HospitalId {
    let mut id = [0; 32];
    id[..2].copy_from_slice(&(n as u16).to_be_bytes());
    HospitalId::from_public_key(id)
}

pub(super) fn roster(n: usize) -> BlindingRoster {
    BlindingRoster::new((0..n).map(hospital).collect()).expect("a sound roster")
}

pub(super) fn blinds(roster: &BlindingRoster, own: usize, round: u32, cells: usize) -> Blinds {
    let ledger = LedgerId::from_bytes([8; 32]);
    let study = StudyId::from_bytes([1; 32]);
    let secrets = (0..roster.len()).map(|i| (hospital(i), PairSecret::from_bytes([9; 32]))).collect();
    let round = BlindingRound { ledger: &ledger, study, round: RoundNumber::new(round), roster };
    Blinds::derive(&round, hospital(own), &secrets, cells).expect("sound blinds")
}

/// What a hospital could have in a cell, made up so that every run is the same: all magnitudes, both signs, extremes.
fn value(party: usize, cell: usize) -> i64 {
    let mut words = [0];
    keystream::fill(
        &[party as u8, (party >> 8) as u8, cell as u8, (cell >> 8) as u8].repeat(8).try_into().expect("32"),
        &mut words,
    );
    match cell % 8 {
        0 => i64::MIN,
        1 => i64::MAX,
        2 => 0,
        3 => -1,
        _ => words[0].cast_signed() >> (words[0] % 64),
    }
}

fn contributions(parties: usize, cells: usize, public: &StudyPublicKey) -> Vec<EncryptedCells> {
    let roster = roster(parties);
    let contribute_one = |party| {
        let values: Vec<i64> = (0..cells).map(|cell| value(party, cell)).collect();
        contribute(&values, blinds(&roster, party, 0, cells), public).expect("a contribution")
    };
    (0..parties).map(contribute_one).collect()
}

fn sums_in_the_clear(parties: usize, cells: usize) -> Vec<i64> {
    (0..cells).map(|cell| (0..parties).fold(0i64, |sum, party| sum.wrapping_add(value(party, cell)))).collect()
}

#[test]
fn sums_of_3_and_of_20_hospitals_are_exact() {
    let (secret, public) = StudySecretKey::generate().expect("randomness");
    for (parties, cells) in [(3, 1), (3, 511), (3, 512), (20, 1500)] {
        let sum = combine(&contributions(parties, cells, &public)).expect("a sum");
        let sum = EncryptedCells::from_bytes(&sum.to_bytes()).expect("own bytes");
        let opened = open(&sum, &secret, parties).expect("a sound sum");
        assert_eq!(opened.values(), sums_in_the_clear(parties, cells));
        assert_eq!((opened.len(), opened.hospitals()), (cells, parties));
    }
}

#[test]
fn sums_of_1024_hospitals_are_exact_and_noise_stays_within_its_bound() {
    // Blinds that cancel are covered elsewhere; here the limbs are as large as they get.
    let (secret, public) = fixed_pair();
    let cells = 7;
    for parties in [3, 20, 1024] {
        let mut sum: Option<EncryptedCells> = None;
        for party in 0..parties {
            let mut values: Vec<u64> = (0..cells).map(|cell| value(party, cell).cast_unsigned()).collect();
            values.push(1);
            values[2] = u64::MAX;
            let mut slots = vec![0; values.len() * LIMBS];
            encode(&values, &mut slots);
            let words = encrypt(&public, &slots, (parties << 16 | party) as u128);
            let one = EncryptedCells::single(cells, public.fingerprint(), words);
            match &mut sum {
                None => sum = Some(one),
                Some(sum) => sum.add(&one).expect("of one round"),
            }
        }
        let sum = sum.expect("at least one hospital");
        let noise = decrypt(&sum, &secret).expect("a sound sum").largest_noise as f64;
        let (bound, safe) = (noise_bound(parties), SAFE_NOISE as f64);
        eprintln!(
            "noise of {parties} hospitals: 2^{:.1} measured, 2^{:.1} proved, 2^{:.1} accepted",
            noise.log2(),
            bound.log2(),
            safe.log2()
        );
        assert!(noise < bound && bound < safe);
        // Were the bound not about this noise, it would be far from it.
        assert!(noise * 1024.0 > bound);

        let mut expected = sums_in_the_clear(parties, cells);
        expected[2] = -(parties as i64);
        assert_eq!(open(&sum, &secret, parties).expect("a sound sum").values(), expected);
    }
}

#[test]
fn the_order_of_addition_does_not_matter() {
    let (_, public) = fixed_pair();
    let mut all = contributions(5, 4, &public);
    let sum = combine(&all).expect("a sum");
    all.reverse();
    assert_eq!(combine(&all).expect("a sum").to_bytes(), sum.to_bytes());
    assert_eq!(combine(&[]).expect_err("no contributions"), CiphertextError::Contributions { found: 0 });
}

#[test]
fn a_missing_doubled_or_foreign_contribution_is_refused() {
    let (secret, public) = fixed_pair();
    let all = contributions(4, 3, &public);
    let refused = |chosen: &[&EncryptedCells], roster| {
        let chosen: Vec<_> = chosen.iter().map(|cells| (*cells).clone()).collect();
        open(&combine(&chosen).expect("a sum"), &secret, roster).expect_err("must be refused")
    };
    let missing = OpeningError::Contributions { contributions: 3, roster: 4 };
    assert_eq!(refused(&[&all[0], &all[1], &all[2]], 4), missing);
    assert_eq!(refused(&[&all[0], &all[1], &all[2], &all[2]], 4), OpeningError::CheckCell);
    // A roster of the size of what is there does not help.
    assert_eq!(refused(&[&all[0], &all[1], &all[2]], 3), OpeningError::CheckCell);
    assert_eq!(refused(&[&all[0], &all[1]], 2), OpeningError::Roster { roster: 2 });

    let other_round = contribute(&[1, 2, 3], blinds(&roster(4), 3, 1, 3), &public).expect("a contribution");
    assert_eq!(refused(&[&all[0], &all[1], &all[2], &other_round], 4), OpeningError::CheckCell);
}

#[test]
fn a_check_cell_that_is_off_by_one_is_refused() {
    let (secret, public) = fixed_pair();
    let of = |check: u64| {
        let mut slots = vec![0; 2 * LIMBS];
        encode(&[77, check], &mut slots);
        EncryptedCells::single(1, public.fingerprint(), encrypt(&public, &slots, u128::from(check)))
    };
    let opened = |checks: [u64; 3]| open(&combine(&checks.map(of)).expect("a sum"), &secret, 3);
    assert_eq!(opened([1, 1, 1]).expect("a sound sum").values(), [231]);
    for checks in [[1, 1, 0], [1, 2, 1], [0, 0, 0], [1 << 16, 1, 1]] {
        assert_eq!(opened(checks).expect_err("a wrong check cell"), OpeningError::CheckCell);
    }
}

#[test]
fn a_wrong_key_and_a_noisy_contribution_are_refused() {
    let (secret, public) = fixed_pair();
    let (other, _) = StudySecretKey::generate().expect("randomness");
    let sum = combine(&contributions(3, 2, &public)).expect("a sum");
    assert_eq!(open(&sum, &other, 3).expect_err("another key"), OpeningError::OtherKey);

    // A dishonest hospital adds half a plaintext unit to a slot of its own, a byte of a body on the wire.
    let mut bytes = sum.to_bytes();
    let last = bytes.len() - 1;
    bytes[last - 3] ^= 1 << 5;
    let noisy = EncryptedCells::from_bytes(&bytes).expect("still a ciphertext");
    assert_eq!(open(&noisy, &secret, 3).expect_err("half a unit of noise"), OpeningError::Noise);
    // Half a unit in a mask goes into every slot that it masks and whose key bit is 1.
    let mut bytes = sum.to_bytes();
    bytes[60] ^= 1 << 5;
    let noisy = EncryptedCells::from_bytes(&bytes).expect("still a ciphertext");
    assert_eq!(open(&noisy, &secret, 3).expect_err("a changed mask"), OpeningError::Noise);
}

#[test]
fn blinds_for_another_number_of_cells_are_refused() {
    let (_, public) = fixed_pair();
    let error = contribute(&[1, 2], blinds(&roster(3), 0, 0, 3), &public).expect_err("three blinds for two values");
    assert_eq!(error, ContributionError::Cells { values: 2, blinds: 3 });
}

/// Pearson's statistic of the limbs' upper and lower bytes against the uniform distribution, the larger of the two.
fn chi_square(cells: &[u64]) -> f64 {
    let limbs = || cells.iter().flat_map(|cell| (0..LIMBS as u32).map(move |l| (cell >> (LIMB_BITS * l)) as u16));
    let of = |byte: fn(u16) -> u8| {
        let mut counts = [0.0; 256];
        limbs().for_each(|limb| counts[usize::from(byte(limb))] += 1.0);
        let expected = (cells.len() * LIMBS) as f64 / 256.0;
        counts.iter().map(|count: &f64| (count - expected).powi(2) / expected).sum::<f64>()
    };
    of(|limb| (limb >> 8) as u8).max(of(|limb| limb as u8))
}

/// What the largest of two statistics of 255 degrees of freedom passes once in ten million runs or less.
const CHI_SQUARE_LIMIT: f64 = 385.0;

#[test]
fn a_single_contribution_opened_with_the_key_is_uniform_whatever_was_put_in() {
    let (secret, public) = fixed_pair();
    let roster = roster(3);
    let cells = 511;
    let of_round = |values: &[i64], round| {
        let one = contribute(values, blinds(&roster, 1, round, cells), &public).expect("a contribution");
        decrypt(&one, &secret).expect("sound limbs").cells
    };
    let counts: Vec<i64> = (0..cells).map(|cell| cell as i64 % 50).collect();
    let others: Vec<i64> = (0..cells).map(|cell| -1_000_000_007 * cell as i64).collect();

    for values in [&counts, &others] {
        let opened: Vec<u64> = (0..100).flat_map(|round| of_round(values, round)).collect();
        let blinded = chi_square(&opened);
        // The difference to what was put in is the mask: were it constant or repeated, this would show it.
        let masks: Vec<u64> = opened
            .chunks(cells + 1)
            .flat_map(|opened| opened.iter().zip(values).map(|(cell, value)| cell.wrapping_sub(value.cast_unsigned())))
            .collect();
        let repeated = (masks.len(), {
            let mut sorted = masks.clone();
            sorted.sort_unstable();
            sorted.dedup();
            sorted.len()
        });
        // The same values, the same number of runs, without blinds.
        let plain: Vec<u64> = (0..100).flat_map(|_| values.iter().map(|value| value.cast_unsigned())).collect();
        let unblinded = chi_square(&plain);
        eprintln!("chi-square of limbs: {blinded:.0} blinded, {unblinded:.0} unblinded, limit {CHI_SQUARE_LIMIT}");
        assert!(blinded < CHI_SQUARE_LIMIT, "blinded limbs are not uniform: {blinded}");
        assert!(unblinded > 10.0 * CHI_SQUARE_LIMIT, "the test does not tell uniform from not uniform");
        assert_eq!(repeated.0, repeated.1, "a mask was used twice");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_values_sum_exactly(
        parties in 3usize..9,
        columns in prop::collection::vec(prop::collection::vec(any::<i64>(), 8), 1..6),
    ) {
        let (secret, public) = fixed_pair();
        let roster = roster(parties);
        let mut all = Vec::new();
        for party in 0..parties {
            let values: Vec<i64> = columns.iter().map(|column| column[party]).collect();
            all.push(contribute(&values, blinds(&roster, party, 7, values.len()), &public).expect("a contribution"));
        }
        let opened = open(&combine(&all).expect("a sum"), &secret, parties).expect("a sound sum");
        for (value, column) in opened.values().iter().zip(&columns) {
            let sum = column[..parties].iter().fold(0i64, |sum, value| sum.wrapping_add(*value));
            prop_assert_eq!(*value, sum);
        }
    }
}
