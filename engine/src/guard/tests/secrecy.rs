//! What single contributions, the custodian and the researcher see.

use super::super::bootstrap::Bootstrapper;
use super::super::contribution::slots_of;
use super::super::custodian::seed_phases;
use super::super::decide::SEAL_UNIT;
use super::super::parameters::{BLOCK_DIGITS, DIGIT_UNIT, FLOOD_LOG2};
use super::super::plan::encode;
use super::super::veil::lay;
use super::super::{noise, seal};
use super::*;
use crate::cells::EncryptionSeed;
use crate::cells::format::{self, HEADER_BYTES};
use crate::cells::ring::multiply_by_binary;
use crate::cells::{self, Blinds, EncryptedCells, OpeningError, StudyPublicKey, StudySecretKey};

/// Pearson's statistic of 256 classes against the uniform distribution.
fn chi_square(classes: impl Iterator<Item = u8>) -> f64 {
    let mut counts = [0.0; 256];
    classes.for_each(|class| counts[usize::from(class)] += 1.0);
    let expected = counts.iter().sum::<f64>() / 256.0;
    counts.iter().map(|count: &f64| (count - expected).powi(2) / expected).sum()
}

/// What a statistic of 255 degrees of freedom passes once in ten million runs or less.
const CHI_SQUARE_LIMIT: f64 = 380.0;

fn top(word: u64) -> u8 {
    (word >> 56) as u8
}

#[test]
fn a_single_contribution_opened_with_the_custodians_key_is_uniform_whatever_was_counted() {
    let groups = 400;
    let shape = GuardShape::new(4, Bar::at(11), vec![true; groups], Gates::independent(groups)).expect("a sound shape");
    let roster = roster(4);
    for counts in [vec![1; groups], vec![10; groups], vec![0; groups]] {
        let opened = |blinds: &dyn Fn(u32) -> GuardBlinds| -> Vec<u64> {
            let mut phases = Vec::new();
            for round in 0..8 {
                let one = contribute(&counts, &shape, blinds(round), &custodian().keys.public);
                let one = one.expect("a contribution");
                phases.extend((0..2 * groups).map(|number| phase(&one.number(number))));
            }
            phases
        };
        let blinded = opened(&|round| blinds(&roster, 1, round, &shape));
        let plain = opened(&|_| GuardBlinds(vec![0; slots_of(&shape)].into()));
        let statistic = |phases: &[u64]| chi_square(phases.iter().map(|phase| top(*phase)));
        let (blinded, plain) = (statistic(&blinded), statistic(&plain));
        eprintln!("chi-square of {}: {blinded:.0} blinded, {plain:.0} not, limit {CHI_SQUARE_LIMIT}", counts[0]);
        assert!(blinded < CHI_SQUARE_LIMIT && plain > 10.0 * CHI_SQUARE_LIMIT);
    }
}

#[test]
fn what_the_custodian_opens_of_a_suppressed_group_does_not_depend_on_the_seed() {
    // Two seeds as different as can be, under a bit that is 0: what is left of them in the phases?
    let mut bootstrapper = Bootstrapper::new(&custodian().server);
    let seeds = [0x11, 0xff].map(|byte| Seed::from_bytes(&[byte; Seed::BYTES]).expect("not zero"));
    let mut phases = [Vec::new(), Vec::new()];
    let mut bit = Sample::zero();
    for _ in 0..32 {
        for (seed, phases) in seeds.iter().zip(&mut phases) {
            // A bit as a bootstrap leaves it.
            bootstrapper.switch(&encrypted(3 << 62));
            bit = bootstrapper.sign(SEAL_UNIT);
            let digits = seal::seal(&mut bootstrapper, &bit, seed, &custodian().keys.public).expect("randomness");
            let sealed =
                SealedSeeds { contributions: 4, key: custodian().keys.public.fingerprint(), check: vec![], digits };
            phases.extend(seed_phases(&opener(), &sealed, 0).iter().copied());
        }
    }
    assert!(phase(&bit).cast_signed().unsigned_abs() < 1 << 56, "the bit is 0");
    // Two samples of one distribution: Pearson's statistic of homogeneity over 32 classes of the flooded range.
    let class = |phase: &u64| (phase.wrapping_add(1 << (FLOOD_LOG2 + 1)) >> (FLOOD_LOG2 - 3)) as usize & 31;
    let mut counts = [[0f64; 32]; 2];
    for (phases, counts) in phases.iter().zip(&mut counts) {
        phases.iter().for_each(|phase| counts[class(phase)] += 1.0);
    }
    let statistic: f64 = (0..32)
        .filter(|class| counts[0][*class] + counts[1][*class] > 0.0)
        .map(|class| {
            let half = (counts[0][class] + counts[1][class]) / 2.0;
            (counts[0][class] - half).powi(2) / half + (counts[1][class] - half).powi(2) / half
        })
        .sum();
    let mean =
        |phases: &[u64]| phases.iter().map(|phase| phase.cast_signed() as f64).sum::<f64>() / phases.len() as f64;
    let deviation = 2f64.powi(FLOOD_LOG2 as i32) / 3f64.sqrt() / (phases[0].len() as f64).sqrt();
    let distance = (mean(&phases[0]) - mean(&phases[1])).abs() / deviation;
    eprintln!("homogeneity {statistic:.1} of 31 degrees of freedom or fewer, means {distance:.2} deviations apart");
    assert!(statistic < 90.0 && distance < 7.0);
    // A seed in the phases would move them by a unit.
    assert!(phases.iter().flatten().all(|phase| phase.cast_signed().unsigned_abs() < DIGIT_UNIT / 2));
}

#[test]
fn a_bootstraps_noise_is_far_narrower_than_the_flood_that_hides_it() {
    // Before the flood, for digits of 0 to 15 and a bit of 0: the noise itself, which the custodian could compute if it
    // knew the aggregator's randomness.
    let mut bootstrapper = Bootstrapper::new(&custodian().server);
    let mut by_digit = vec![Vec::new(); 16];
    for _ in 0..24 {
        bootstrapper.switch(&encrypted(0));
        let width = DEGREE / BLOCK_DIGITS;
        bootstrapper.rotate(|table| {
            for (digit, block) in (0u64..).zip(table.chunks_exact_mut(width)) {
                block.fill((digit * (DIGIT_UNIT / 2)).wrapping_neg());
            }
        });
        let (mask, body) = bootstrapper.rotated();
        let mut words = vec![0u64; DEGREE];
        words[0] = mask[0];
        words[1..].iter_mut().zip(mask[1..].iter().rev()).for_each(|(word, mask)| *word = mask.wrapping_neg());
        let middles: Vec<usize> = (0..BLOCK_DIGITS).map(|digit| digit * width + width / 2).collect();
        words.extend(middles.iter().map(|middle| body[*middle]));
        for (digit, phase) in opener().phases(&words, &middles).iter().enumerate() {
            let error = phase.wrapping_add(digit as u64 * (DIGIT_UNIT / 2)).cast_signed();
            by_digit[digit].push(error as f64);
        }
    }
    let deviation =
        |errors: &[f64]| (errors.iter().map(|error| error * error).sum::<f64>() / errors.len() as f64).sqrt();
    let all: Vec<f64> = by_digit.concat();
    let mean = all.iter().map(|error| error.abs()).sum::<f64>() / all.len() as f64;
    let budget = noise::bootstrap().sqrt();
    eprintln!(
        "noise before the flood: deviation 2^{:.2}, mean 2^{:.2}, budget 2^{:.2}; of digits 0 and 15: 2^{:.2}, 2^{:.2}; \
         distance from the flood 2^{:.2} a digit",
        deviation(&all).log2(),
        mean.log2(),
        budget.log2(),
        deviation(&by_digit[0]).log2(),
        deviation(&by_digit[15]).log2(),
        mean.log2() - f64::from(FLOOD_LOG2 + 1),
    );
    assert!(deviation(&all) < 1.5 * budget);
    assert!(mean.log2() - f64::from(FLOOD_LOG2 + 1) < -8.0);
}

/// The plaintexts of a joint ciphertext's bodies with their noise: what the researcher has, pads or no pads.
fn researchers_phases(joint: &EncryptedCells, key: &StudySecretKey) -> Vec<u64> {
    let words = format::read_words(&joint.to_bytes()[HEADER_BYTES..]);
    let reversed: Vec<u64> = key.bits().iter().rev().copied().collect();
    let mut product = vec![0; DEGREE];
    multiply_by_binary(&mut product, &words[..DEGREE], &reversed);
    words[DEGREE..].iter().zip(product.iter().rev()).map(|(body, inner)| body.wrapping_sub(*inner)).collect()
}

/// The cells of the only group.
const CELLS: Padded = Padded { cells: 0..2, seed: 0 };

/// One group of a count and a sum, joint over three hospitals, and the hospitals' veils.
fn joint_cells(count: i64, round: u32, key: &StudyPublicKey) -> (EncryptedCells, Vec<Veils>) {
    let roster = roster(3);
    let ledger = LedgerId::from_bytes([8; 32]);
    let of = BlindingRound {
        ledger: &ledger,
        study: StudyId::from_bytes([1; 32]),
        round: RoundNumber::new(round),
        roster: &roster,
    };
    let veil = |own: usize| Veils::derive(&VeilSeed::random().expect("randomness"), &of, hospital(own), 1);
    let veils: Vec<Veils> = (0..3).map(veil).collect();
    let one = |own: usize| {
        let blinds = Blinds::derive(&of, hospital(own), &super::secrets(3), 3).expect("sound blinds");
        let own_count = if own == 0 { count } else { 0 };
        let seed = EncryptionSeed::random().expect("randomness");
        contribute_veiled(&[own_count, 50 * own_count], blinds, &veils[own], &[CELLS], key, &seed)
            .expect("a contribution")
    };
    (cells::combine(&[one(0), one(1), one(2)]).expect("a sum"), veils)
}

/// Takes off the veils of these hospitals.
fn unveil(cells: &[u64], veils: &[Veils]) -> Vec<u64> {
    let mut words = cells.to_vec();
    veils.iter().for_each(|veils| lay(veils.of_set(0), &[0, 1], &mut words, u64::wrapping_sub));
    words
}

fn as_numbers(words: &[u64]) -> Vec<f64> {
    words.iter().map(|word| word.cast_signed() as f64).collect()
}

/// How often the nearest of two centroids, learned from half of the runs, names the count of the other half.
fn accuracy(runs: &[(bool, Vec<f64>)]) -> f64 {
    let (train, test) = runs.split_at(runs.len() / 2);
    let centroid = |class: bool| -> Vec<f64> {
        let of: Vec<&Vec<f64>> = train.iter().filter(|run| run.0 == class).map(|run| &run.1).collect();
        (0..of[0].len()).map(|at| of.iter().map(|run| run[at]).sum::<f64>() / of.len() as f64).collect()
    };
    let (no, yes) = (centroid(false), centroid(true));
    let distance = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
    let right = test.iter().filter(|(class, run)| (distance(run, &yes) < distance(run, &no)) == *class).count();
    right as f64 / test.len() as f64
}

#[test]
fn the_researcher_cannot_tell_one_from_ten_in_a_suppressed_group() {
    let (secret, public) = crate::cells::keys::tests::fixed_pair();
    let pad_round = PadRound { study: StudyId::from_bytes([1; 32]), round: RoundNumber::new(0) };
    let (mut padded, mut decoded, mut plain, mut words) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    // The aggregator's ally has no pads to see through; and so has one that all hospitals but one have joined.
    let (mut with_aggregator, mut with_two) = (Vec::new(), Vec::new());
    // The custodian's has pads before it, and no veils; aggregator and custodian without the researcher have neither, and no key.
    let (mut with_custodian, mut without_researcher) = (Vec::new(), Vec::new());
    for run in 0..1000u32 {
        let large = run % 2 == 1;
        let (mut joint, veils) = joint_cells(if large { 10 } else { 1 }, run, &public);
        let seen = read_as_cells(&researchers_phases(&joint, &secret));
        with_two.push((large, as_numbers(&unveil(&seen, &veils[..2]))));
        plain.push((large, as_numbers(&unveil(&seen, &veils))));
        with_aggregator.push((large, as_numbers(&seen)));
        let bodies = joint.to_bytes().split_off(HEADER_BYTES + 8 * DEGREE);
        let bodies: Vec<u64> = bodies.as_chunks().0.iter().take(8).map(|word| u64::from_le_bytes(*word)).collect();
        without_researcher.push((large, as_numbers(&unveil(&read_as_cells(&bodies), &veils))));
        pad(&mut joint, &[CELLS], &[Seed::random().expect("randomness")], &pad_round).expect("sound groups");
        let phases = researchers_phases(&joint, &secret);
        words.extend_from_slice(&phases[..8]);
        decoded.push((large, as_numbers(&read_as_cells(&phases))));
        with_custodian.push((large, as_numbers(&unveil(&read_as_cells(&phases), &veils))));
        padded.push((large, phases[..8].iter().map(|phase| phase.cast_signed() as f64).collect()));
        assert!(cells::open(&joint, &secret, 3).is_err(), "a padded group makes no sense");
    }
    let statistic = chi_square(words.iter().map(|word| top(*word)));
    let (padded, decoded, plain) = (accuracy(&padded), accuracy(&decoded), accuracy(&plain));
    let (with_aggregator, with_two) = (accuracy(&with_aggregator), accuracy(&with_two));
    let (with_custodian, without_researcher) = (accuracy(&with_custodian), accuracy(&without_researcher));
    eprintln!(
        "right over 500 runs: {padded} by padded words, {decoded} by what they decode to, {with_aggregator} without pads, \
         {with_two} without all veils but one, {with_custodian} without veils, {without_researcher} without pads, veils and the \
         researcher's key, {plain} without pads and veils; chi-square of words {statistic:.0}"
    );
    for guessed in [padded, decoded, with_aggregator, with_two, with_custodian, without_researcher] {
        assert!((guessed - 0.5).abs() < 0.12, "five standard deviations of guessing");
    }
    assert!(plain > 0.99, "the classifier learns what there is to learn");
    assert!(statistic < CHI_SQUARE_LIMIT);
}

/// Two cells as the researcher would read them if nothing were padded.
fn read_as_cells(phases: &[u64]) -> Vec<u64> {
    let cell = |slots: &[u64]| {
        let units = slots.iter().rev().map(|slot| slot.wrapping_add(1 << 37) >> 38);
        units.fold(0u64, |cell, limb| (cell << 16).wrapping_add(limb))
    };
    phases[..8].chunks(4).map(cell).collect()
}

#[test]
fn aggregator_and_custodian_together_see_capped_joint_counts_and_no_cell() {
    let (secret, public) = StudySecretKey::generate().expect("randomness");
    let shape = GuardShape::new(3, Bar::at(11), vec![false; 2], Gates::independent(2)).expect("a sound shape");
    let table: Table = vec![vec![4, 900], vec![3, 0], vec![0, 70]];
    let pad_round = PadRound { study: StudyId::from_bytes([1; 32]), round: RoundNumber::new(0) };

    // What the aggregator receives and makes, and what the custodian does.
    let parts = contributions(&table, &shape);
    let (mut joint, veils) = joint_cells(7, 0, &public);
    let sum = combine(&parts, &shape).expect("a sum");
    let SealedRound { sealed, seeds } = aggregator(&shape).seal(&sum).expect("a sealed round");
    let before = joint.to_bytes();
    pad(&mut joint, &[CELLS], &seeds[..1], &pad_round).expect("sound groups");
    let revealed = reveal(&sealed, &custodian().keys.secret, &shape).expect("honest seeds");
    assert!(revealed[0].is_none() && revealed[1].is_some());

    // One hospital's numbers, by the custodian's key: uniform, so nowhere near what was put in.
    for (part, counts) in parts.iter().zip(&table) {
        for (number, count) in counts.iter().enumerate() {
            let point = encode((*count).min(11), shape.count_plan().modulus());
            assert!(phase(&part.number(number)).wrapping_sub(point).cast_signed().unsigned_abs() > 1 << 48);
        }
    }
    // The sum: capped joint counts, which is what the two of them could have computed with each hospital's consent.
    for (number, capped) in [(0, 7), (1, 22)] {
        let point = encode(capped, shape.count_plan().modulus());
        assert!(phase(&sum.number(number)).wrapping_sub(point).cast_signed().unsigned_abs() < 1 << 32);
    }
    // The researcher's cells, under every key of the transcript, with and without pads.
    let own = StudySecretKey::from_bytes(&secret.to_bytes()).expect("own bytes");
    let guard_key = crate::cells::keys::tests::fixed_pair().0;
    for bytes in [&before, &joint.to_bytes()] {
        let joint = EncryptedCells::from_bytes(bytes).expect("own bytes");
        assert_eq!(cells::open(&joint, &guard_key, 3).err(), Some(OpeningError::OtherKey));
        for phases in [researchers_phases(&joint, &guard_key), format::read_words(&bytes[HEADER_BYTES + DEGREE * 8..])]
        {
            let units: Vec<u64> = phases[..8].iter().map(|phase| phase.wrapping_add(1 << 37) >> 38).collect();
            assert_ne!(units[..4], [7, 0, 0, 0]);
        }
    }
    // What the aggregator's pads would give a researcher that it colludes with, and the custodian's answer does not: veiled
    // cells, which are nobody's.
    let opened = cells::open(&EncryptedCells::from_bytes(&before).expect("own bytes"), &own, 3).expect("a sound sum");
    assert_ne!(opened.values()[..2], [7, 350]);
    // All three together undo it.
    let open = |seeds: Vec<Option<Seed>>| {
        let disclosed = Disclosed::of(seeds, &veils).expect("one set");
        open_guarded(joint.clone(), &own, 3, &[CELLS], &disclosed, &pad_round)
    };
    let undone = open(vec![Seed::from_bytes(seeds[0].as_bytes())]).expect("pad and veils come off");
    assert_eq!(undone.groups()[0].as_ref().map(|cells| cells.values().to_vec()), Some(vec![7, 350]));
    assert!(open(vec![None]).expect("a sound sum").groups()[0].is_none());
}
