//! Noise as the custodian's key shows it, step by step, against the budget.

use tfhe::core_crypto::prelude::{
    DefaultRandomGenerator, LweCiphertext, ModulusSwitchedLweCiphertext, lwe_ciphertext_centered_binary_modulus_switch,
};

use super::super::bootstrap::Bootstrapper;
use super::super::contribution::slots_of;
use super::super::custodian::{DIGIT_NOISE, seed_phases};
use super::super::decide::{GATE_UNIT, at_least, ballot};
use super::super::parameters::POSITIONS_LOG2;
use super::super::parameters::{DIGIT_UNIT, FLOOD_LOG2};
use super::super::plan::{Plan, encode};
use super::super::server_key::small_key_by;
use super::super::{noise, seed};
use super::*;
use crate::cells::parameters::MODULUS;

/// Says what was measured, and refuses a deviation that is off by more than half.
fn check(name: &str, errors: &[f64], variance: f64) {
    let count = errors.len() as f64;
    let measured = (errors.iter().map(|error| error * error).sum::<f64>() / count).sqrt();
    let largest = errors.iter().fold(0f64, |largest, error| largest.max(error.abs()));
    let expected = variance.sqrt();
    eprintln!(
        "{name}: 2^{:.2} of {count}, largest 2^{:.2}, budget 2^{:.2}",
        measured.log2(),
        largest.log2(),
        expected.log2()
    );
    assert!(measured < 1.5 * expected, "{name}");
    assert!(largest < 6.0 * expected, "{name}");
    // A budget that is far too large would hide that something is missing.
    assert!(8.0 * measured > expected, "{name}");
}

fn error(phase: u64, expected: u64) -> f64 {
    phase.wrapping_sub(expected).cast_signed() as f64
}

fn shape(hospitals: usize, groups: usize) -> GuardShape {
    GuardShape::new(hospitals, Bar::at(11), vec![true; groups], Gates::independent(groups)).expect("a sound shape")
}

/// The sum of contributions that carry no blinds: noise is the same, and a thousand rosters' keys need not agree.
fn unblinded_sum(counts: &[u64], shape: &GuardShape) -> GuardContribution {
    let one = |_| {
        let blinds = GuardBlinds(vec![0; slots_of(shape)].into());
        contribute(counts, shape, blinds, &custodian().keys.public).expect("a contribution")
    };
    let all: Vec<GuardContribution> = (0..shape.hospitals()).map(one).collect();
    combine(&all, shape).expect("a sum")
}

#[test]
fn sums_and_switched_sums_stay_within_the_budget() {
    for (hospitals, groups) in [(20, 300), (1000, 60)] {
        let shape = shape(hospitals, groups);
        let counts = vec![1; groups];
        let sum = unblinded_sum(&counts, &shape);
        let point = encode(1, shape.count_plan().modulus()).wrapping_mul(hospitals as u64);
        let errors: Vec<f64> = (0..groups).map(|group| error(phase(&sum.number(group)), point)).collect();
        check(&format!("sum of {hospitals}"), &errors, noise::sum(hospitals));
    }
}

#[test]
fn key_switching_and_modulus_switching_stay_within_the_budget() {
    let groups = 600;
    let shape = shape(20, groups);
    let sum = unblinded_sum(&vec![1; groups], &shape);
    let small = small_key_by::<DefaultRandomGenerator>(4);
    let mut bootstrapper = Bootstrapper::new(&custodian().server);
    let (mut switched, mut rounded) = (Vec::new(), Vec::new());
    for group in 0..groups {
        let sample = sum.number(group);
        bootstrapper.switch(&sample);
        let (body, mask) = bootstrapper.switched().split_last().expect("a body");
        let inner = mask.iter().zip(small.iter()).fold(0u64, |sum, (word, bit)| sum.wrapping_add(word * bit));
        let small_phase = body.wrapping_sub(inner);
        switched.push(error(small_phase, phase(&sample)));

        let input = LweCiphertext::from_container(bootstrapper.switched(), MODULUS);
        let input = lwe_ciphertext_centered_binary_modulus_switch::<u64, usize, _>(input, POSITIONS_LOG2);
        let inner: usize = input.mask().zip(small.iter()).map(|(word, bit)| word * *bit as usize).sum();
        let position = (input.body() as u64).wrapping_sub(inner as u64) << (64 - POSITIONS_LOG2.0);
        // The middle of what the position stands for.
        rounded.push(error(position.wrapping_add(1 << (63 - POSITIONS_LOG2.0)), small_phase));
    }
    check("key switch", &switched, noise::key_switch());
    check("modulus switch", &rounded, noise::modulus_switch());
    let mean = rounded.iter().sum::<f64>() / rounded.len() as f64;
    let deviation = (noise::modulus_switch() / rounded.len() as f64).sqrt();
    assert!(mean.abs() < 6.0 * deviation, "positions are centred on what they stand for");
}

#[test]
fn remainders_ballots_and_conjunctions_stay_within_the_budget() {
    for (hospitals, threshold) in [(4, 11), (20, 11), (100, 11), (1000, 11)] {
        // Of so many, chance alone is not off by half.
        let groups = 64;
        let zeros = vec![false; groups];
        let shape =
            GuardShape::new(hospitals, Bar::at(threshold), zeros, Gates::independent(groups)).expect("a sound shape");
        let counts: Vec<u64> = (0..groups as u64).map(|group| group % (threshold + 1)).collect();
        let sum = unblinded_sum(&counts, &shape);
        let plan: &Plan = shape.count_plan();
        let ballots = work().each(&(0..groups).collect::<Vec<_>>(), |bootstrapper, group| {
            ballot(bootstrapper, plan, &sum.number(*group))
        });
        let errors: Vec<f64> = ballots
            .iter()
            .zip(&counts)
            .map(|(ballot, count)| {
                let steps = plan.weight(plan.radices().len());
                let sum = count * hospitals as u64 + plan.offset();
                let units = (sum / steps).wrapping_sub((plan.threshold() + plan.offset()) / steps);
                error(phase(ballot), units.wrapping_mul(GATE_UNIT).wrapping_add(GATE_UNIT / 2))
            })
            .collect();
        let remainders = plan.radices().len() as f64;
        let fresh = noise::sum(hospitals);
        check(&format!("ballot of {hospitals}"), &errors, remainders * noise::bootstrap() + fresh);
    }
    let mut bootstrapper = Bootstrapper::new(&custodian().server);
    let one = encrypted(GATE_UNIT);
    let mut errors = Vec::new();
    for inputs in (1..=GuardShape::gate_inputs()).chain([30]) {
        for last in [0, GATE_UNIT] {
            let mut bits = vec![one.clone(); inputs];
            bits[0].add_plain(last.wrapping_sub(GATE_UNIT));
            let all = bits.len();
            let bits = at_least(&mut bootstrapper, bits, all, &[GATE_UNIT]);
            errors.push(error(phase(&bits[0]), last));
        }
    }
    check("gate", &errors, noise::bootstrap());
}

#[test]
fn sealed_digits_stay_within_the_budget() {
    let shape = shape(4, 24);
    let table: Table = (0..4).map(|_| (0..24).map(|group| group % 6).collect()).collect();
    let SealedRound { sealed, seeds } = aggregator(&shape).seal(&sum(&table, &shape)).expect("a sealed round");
    let open: Vec<bool> = (0..24).map(|group| group % 6 == 0 || group % 6 * 4 >= 11).collect();
    let mut errors = Vec::new();
    for (group, seed) in seeds.iter().enumerate() {
        let phases = seed_phases(&opener(), &sealed, group);
        let digits = seed.digits().map(|digit| if open[group] { digit * DIGIT_UNIT } else { 0 });
        errors.extend(phases.iter().zip(digits).map(|(phase, digit)| error(*phase, digit)));
    }
    assert_eq!(errors.len(), 24 * seed::DIGITS);
    let flood = 2f64.powi(2 * FLOOD_LOG2 as i32) / 3.0;
    check("sealed digit", &errors, flood + noise::digit());
    assert!(errors.iter().all(|error| error.abs() < DIGIT_NOISE as f64));
}
