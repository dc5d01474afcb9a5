//! Are groups released exactly when they should be?

use super::super::decide::{SEAL_UNIT, decide};
use super::*;

/// Joint counts on every side of the threshold, spread over the hospitals in different ways.
fn tables(hospitals: usize, threshold: u64) -> Table {
    let huge = 1_000_000_000_000;
    let joint = [0, 1, threshold - 1, threshold, threshold + 1, huge, 2, 2 * threshold];
    let mut table = vec![Vec::new(); hospitals];
    for group in 0..64 {
        let count = joint[group % joint.len()];
        let spread = group / joint.len();
        for (hospital, counts) in table.iter_mut().enumerate() {
            let (n, i) = (hospitals as u64, hospital as u64);
            counts.push(match spread {
                // All at the first, all at the last, evenly, or half and half.
                0 => {
                    if i == 0 {
                        count
                    } else {
                        0
                    }
                }
                1 => {
                    if i == n - 1 {
                        count
                    } else {
                        0
                    }
                }
                2..=4 => count / n + u64::from(i < count % n),
                5 => {
                    if i < 2 {
                        count / 2 + u64::from(i < count % 2)
                    } else {
                        0
                    }
                }
                // One has one less than all, and another the rest.
                6 => match i {
                    1 => count.saturating_sub(1),
                    2 => count.min(1),
                    _ => 0,
                },
                _ => count / n + u64::from(i >= n - count % n),
            });
        }
    }
    table
}

/// Which groups' bits come out as 1 before anything is sealed.
fn decided(table: &Table, shape: &GuardShape) -> Vec<bool> {
    let bits = decide(&sum(table, shape), shape, &work());
    let bit = |release| {
        let bit: &Sample = &bits[release];
        let nearest = phase(bit).wrapping_add(SEAL_UNIT / 2) / SEAL_UNIT;
        assert!(phase(bit).wrapping_sub(nearest.wrapping_mul(SEAL_UNIT)).cast_signed().unsigned_abs() < 1 << 56);
        nearest == 1
    };
    shape.gates().release.iter().map(bit).collect()
}

fn sealed_and_revealed(table: &Table, shape: &GuardShape) -> Vec<bool> {
    let SealedRound { sealed, seeds } = aggregator(shape).seal(&sum(table, shape)).expect("a sealed round");
    let sealed = SealedSeeds::from_bytes(&sealed.to_bytes()).expect("own bytes");
    let revealed = reveal(&sealed, &custodian().keys.secret, shape).expect("honest noise");
    for (seed, revealed) in seeds.iter().zip(&revealed) {
        assert!(revealed.as_ref().is_none_or(|revealed| revealed.as_bytes() == seed.as_bytes()));
    }
    revealed.iter().map(Option::is_some).collect()
}

#[test]
fn groups_of_4_and_20_hospitals_are_revealed_exactly_when_they_should_be() {
    let zeros: Vec<bool> = (0..64).map(|group| group / 8 % 2 == 0).collect();
    let needs: Vec<Vec<usize>> = (0..64).map(|group| vec![group]).collect();
    for hospitals in [4, 20] {
        let shape =
            GuardShape::new(hospitals, Bar::at(11), zeros.clone(), Gates::independent(64)).expect("a sound shape");
        let table = tables(hospitals, 11);
        assert_eq!(sealed_and_revealed(&table, &shape), released(&table, 11, &zeros, &needs), "{hospitals}");
    }
}

/// A number below `limit`, made up so that every run is the same.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        // Knuth's multiplier; the low bits are poor and are not used.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    /// Counts of which about half have a joint count below the threshold, and many one just beside it.
    fn table(&mut self, hospitals: usize, groups: usize, threshold: u64) -> Table {
        let mut table = vec![vec![0; groups]; hospitals];
        (0..groups).for_each(|group| {
            let joint = match self.below(6) {
                0 => 0,
                1 => threshold - 1,
                2 => threshold,
                3 => self.below(2 * threshold),
                4 => self.below(threshold * hospitals as u64),
                _ => self.below(1 << 30),
            };
            let mut rest = joint;
            while rest > 0 {
                let part = 1 + self.below(rest);
                table[self.below(hospitals as u64) as usize][group] += part;
                rest -= part;
            }
        });
        table
    }
}

/// A thousand tables of one group each, by the encrypted bits that would seal their seeds.
#[test]
fn a_thousand_random_tables_are_decided_as_the_oracle_does() {
    let mut numbers = Numbers(1);
    let needs: Vec<Vec<usize>> = (0..200).map(|group| vec![group]).collect();
    for (hospitals, threshold) in [(3, 5), (4, 11), (7, 11), (15, 6), (20, 11)] {
        let zeros: Vec<bool> = (0..200).map(|_| numbers.below(4) == 0).collect();
        let shape =
            GuardShape::new(hospitals, Bar::at(threshold), zeros.clone(), Gates::independent(200)).expect("a shape");
        let table = numbers.table(hospitals, 200, threshold);
        let expected = released(&table, threshold, &zeros, &needs);
        assert!((40..160).contains(&expected.iter().filter(|released| **released).count()));
        assert_eq!(decided(&table, &shape), expected, "{hospitals} hospitals");
    }
}

#[test]
fn groups_are_released_together_as_their_needs_say() {
    let mut numbers = Numbers(2);
    let groups = 24;
    // Needs of up to all groups: trees of two levels, sets shared by many, groups that need others but not themselves.
    let mut needs: Vec<Vec<usize>> = (0..groups)
        .map(|group| {
            let others = [0, 0, 1, 2, 4][numbers.below(5) as usize];
            let mut needs = vec![group];
            needs.extend((0..others).map(|_| numbers.below(groups as u64) as usize));
            needs
        })
        .collect();
    needs[3] = (0..groups).filter(|group| group % 2 == 0).chain([7, 9, 11]).collect();
    needs[4] = vec![5];
    needs[5] = needs[3].clone();
    for run in 0..3 {
        let table: Table = if run == 0 {
            // Everything is large: all is released, through every tree.
            vec![vec![20; groups]; 4]
        } else {
            let mut table = numbers.table(4, groups, 11);
            (0..groups).filter(|_| numbers.below(3) > 0).for_each(|group| table[0][group] += 40);
            table
        };
        let zeros = vec![run == 2; groups];
        let shape = GuardShape::new(4, Bar::at(11), zeros.clone(), Gates::of_needs(&needs)).expect("a sound shape");
        assert_eq!(decided(&table, &shape), released(&table, 11, &zeros, &needs), "run {run}");
    }
    let mut table: Table = vec![vec![20; groups]; 4];
    (0..4).for_each(|hospital| table[hospital][9] = 2);
    let shape = GuardShape::new(4, Bar::at(11), vec![false; groups], Gates::of_needs(&needs)).expect("a sound shape");
    let expected = released(&table, 11, &vec![false; groups], &needs);
    assert!(!expected[3] && !expected[5] && !expected[9] && expected[4]);
    assert_eq!(decided(&table, &shape), expected);
}

#[test]
fn nested_sets_are_computed_once_and_in_order() {
    let set = |inputs: &[BitRef]| Gate::all(inputs.to_vec());
    let (group, of) = (BitRef::Group, BitRef::Set);
    let sets = vec![set(&[group(0), group(1)]), set(&[of(0), group(2)]), set(&[of(0), of(1), group(0)])];
    let gates = Gates { sets, release: vec![of(0), of(1), of(2), group(0)] };
    for small in 0..5 {
        let mut table: Table = vec![vec![9; 4]; 3];
        table.iter_mut().for_each(|counts| counts[small.min(3)] = if small < 4 { 1 } else { 9 });
        let shape = GuardShape::new(3, Bar::at(11), vec![false; 4], gates.clone()).expect("a sound shape");
        let needs = [vec![0, 1], vec![0, 1, 2], vec![0, 1, 2], vec![0]];
        assert_eq!(decided(&table, &shape), released(&table, 11, &[false; 4], &needs), "{small}");
    }
}

#[test]
fn gates_of_every_kind_are_decided_as_in_the_clear() {
    use BitRef::{Group, Large, Nobody, Set};
    let some = |inputs: Vec<BitRef>, at_least| Gate { inputs, at_least };
    let large = |groups: std::ops::Range<usize>| groups.map(Large).collect::<Vec<_>>();
    let sets = vec![
        some(large(0..5), 3),
        Gate::any(vec![Set(0), Nobody(7)]),
        some(vec![Large(0), Group(1), Nobody(7), Nobody(8), Large(0)], 2),
        some(large(0..12), 11),
        // Trees.
        Gate::any(large(0..13)),
        Gate::all(large(0..13)),
    ];
    let bits = [0, 7, 8].into_iter().flat_map(|group| [Large(group), Group(group), Nobody(group)]);
    let gates = Gates { release: bits.chain((0..sets.len()).map(Set)).collect(), sets };
    // Of the eighth group zeros are shown, of the ninth not.
    let zeros: Vec<bool> = (0..13).map(|group| group == 7 || group == 1).collect();
    // No more than ten count of each hospital, and eleven are needed.
    let bar = Bar::of(11, 0, 4);
    let shape = GuardShape::new(4, bar, zeros.clone(), gates.clone()).expect("a sound shape");
    let of = |joint: [[u64; 4]; 13]| -> Table { (0..4).map(|own| joint.map(|group| group[own]).to_vec()).collect() };
    let (alone, both, nobody) = ([50, 0, 0, 0], [10, 1, 0, 0], [0; 4]);
    let with = |is_large: &dyn Fn(usize) -> bool, odd: [u64; 4]| {
        of(std::array::from_fn(|group| match group {
            7 | 8 => odd,
            group if is_large(group) => both,
            _ => alone,
        }))
    };
    let tables = [
        with(&|_| true, both),
        with(&|group| group < 3, nobody),
        with(&|group| group < 2, alone),
        with(&|group| group == 12, alone),
        with(&|_| false, nobody),
        with(&|_| true, alone),
        with(&|_| true, nobody),
        with(&|group| group > 1, both),
        with(&|group| group == 0, both),
        with(&|_| true, both).into_iter().map(|own| [&own[..1], &[0], &own[2..]].concat()).collect(),
    ];
    let mut seen = vec![[false; 2]; gates.release.len()];
    for (run, table) in tables.iter().enumerate() {
        let sum = |of: &dyn Fn(u64) -> u64| -> Vec<u64> {
            (0..13).map(|group| table.iter().map(|counts| of(counts[group])).sum()).collect()
        };
        let large: Vec<bool> = sum(&|n| n.min(bar.cap)).into_iter().map(|n| n >= bar.least).collect();
        let passes: Vec<bool> =
            (0..13).map(|group| large[group] || (zeros[group] && sum(&|n| n)[group] == 0)).collect();
        let expected = gates.evaluate(&passes, &large);
        seen.iter_mut().zip(&expected).for_each(|(seen, bit)| seen[usize::from(*bit)] = true);
        assert_eq!(decided(table, &shape), expected, "run {run}");
    }
    // Nobody is never enough where zeros are not shown, and 0 is never large.
    let never = [2, 8].map(|at| gates.release[at]);
    for (bit, seen) in gates.release.iter().zip(&seen) {
        assert!(seen[0] && (seen[1] || never.contains(bit)), "{bit:?}: {seen:?}");
    }
}

#[test]
fn a_thousand_hospitals_are_decided_about() {
    let shape = GuardShape::new(1000, Bar::at(11), vec![true; 4], Gates::independent(4)).expect("a sound shape");
    let one = |counts: &[u64]| {
        let blinds = GuardBlinds(vec![0; super::super::contribution::slots_of(&shape)].into());
        contribute(counts, &shape, blinds, &custodian().keys.public).expect("a contribution")
    };
    let all: Vec<_> = (0..1000).map(|own| one(&[0, u64::from(own < 10), u64::from(own < 11), 1_000])).collect();
    let sum = combine(&all, &shape).expect("a sum");
    let bits = decide(&sum, &shape, &work());
    let open: Vec<bool> = bits.values().map(|bit| phase(bit).wrapping_add(SEAL_UNIT / 2) >> 63 == 1).collect();
    assert_eq!(open, [true, false, true, true]);
}

#[test]
fn rounds_that_are_not_whole_are_refused() {
    let shape = GuardShape::new(3, Bar::at(11), vec![true; 1], Gates::independent(1)).expect("a sound shape");
    let table: Table = vec![vec![9]; 3];
    let all = contributions(&table, &shape);
    let refused = GuardError::Contributions { expected: 3, found: 2 };
    assert_eq!(combine(&all[..2], &shape).err(), Some(refused));
    let revealed = |parts: &[GuardContribution]| {
        let sum = combine(parts, &shape).expect("as many as there should be");
        let sealed = aggregator(&shape).seal(&sum).expect("a sealed round").sealed;
        reveal(&sealed, &custodian().keys.secret, &shape).map(|seeds| seeds[0].is_some())
    };
    assert_eq!(revealed(&all), Ok(true));
    let doubled = [all[0].clone(), all[1].clone(), all[1].clone()];
    assert_eq!(revealed(&doubled), Err(GuardError::CheckNumbers));
    let roster = roster(3);
    let other_round = contribute(&[9], &shape, blinds(&roster, 2, 1, &shape), &custodian().keys.public);
    let mixed = [all[0].clone(), all[1].clone(), other_round.expect("a contribution")];
    assert_eq!(revealed(&mixed), Err(GuardError::CheckNumbers));
}

#[test]
fn seeds_that_are_too_noisy_or_of_another_round_are_refused() {
    let shape = GuardShape::new(3, Bar::at(11), vec![false; 2], Gates::independent(2)).expect("a sound shape");
    let table: Table = vec![vec![9, 1]; 3];
    let sealed = aggregator(&shape).seal(&sum(&table, &shape)).expect("a sealed round").sealed;
    let secret = &custodian().keys.secret;
    assert!(reveal(&sealed, secret, &shape).is_ok());

    let mut noisy = sealed.clone();
    // Half a digit, in the last bodies of the second group: noise of its own may bring one of them back.
    let bodies = noisy.digits.len() - 8..;
    noisy.digits[bodies].iter_mut().for_each(|body| *body = body.wrapping_add(1 << 11));
    assert_eq!(reveal(&noisy, secret, &shape).err(), Some(GuardError::Noise { seed: 1 }));
    let mut missing = sealed.clone();
    missing.check[DEGREE] = missing.check[DEGREE].wrapping_add(1 << 21);
    assert_eq!(reveal(&missing, secret, &shape).err(), Some(GuardError::CheckNumbers));

    let other = GuardShape::new(3, Bar::at(11), vec![false; 3], Gates::independent(3)).expect("a sound shape");
    let refused = GuardError::OtherShape { expected: 3, found: 2 };
    assert_eq!(reveal(&sealed, secret, &other).err(), Some(refused));
    let other = GuardShape::new(4, Bar::at(11), vec![false; 2], Gates::independent(2)).expect("a sound shape");
    let refused = GuardError::Contributions { expected: 4, found: 3 };
    assert_eq!(reveal(&sealed, secret, &other).err(), Some(refused));
}
