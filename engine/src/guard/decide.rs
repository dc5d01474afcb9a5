//! From the sum of contributions to one encrypted bit per seed: is it to be released?
//!
//! A bit is the sign of a *ballot*, a sample whose phase is half a unit or more on either side of zero. The bootstrap that
//! takes the sign chooses what 1 is worth: [`GATE_UNIT`] where bits are added up to be taken the conjunction of,
//! [`SEAL_UNIT`] where the bit is to seal a seed.

use std::collections::{BTreeMap, BTreeSet};

use super::bootstrap::Bootstrapper;
use super::parameters::UNIT_LOG2;
use super::plan::{Plan, encode, outputs};
use super::sample::Sample;
use super::shape::{BitRef, Gate, Gates};
use super::work::Work;
use super::{GuardContribution, GuardShape};

/// What a bit is worth as an input of a conjunction.
pub(super) const GATE_UNIT: u64 = 1 << UNIT_LOG2;

/// What a bit is worth that seals: half the torus, so that it turns a table into its negative.
pub(super) const SEAL_UNIT: u64 = 1 << 63;

/// Half the distance of two plaintexts: where a ballot stands that is won by nothing.
const HALF_UNIT: u64 = GATE_UNIT / 2;

/// The encrypted bits that release the seeds, one for each distinct [`BitRef`] of `release`, worth [`SEAL_UNIT`].
pub(super) fn decide(sum: &GuardContribution, shape: &GuardShape, work: &Work<'_>) -> BTreeMap<BitRef, Sample> {
    let sets = &shape.gates().sets;
    let mut bits = Bits::new(shape.gates());
    let zeros = shape.zero_numbers();
    let decided = work.each(&bits.groups(), |bootstrapper, group| {
        let zero = zeros[*group].map(|number| sum.number(number));
        let units = of_group(*group).map(|bit| bits.units(bit));
        group_bits(bootstrapper, shape, &sum.number(*group), zero.as_ref(), &units)
    });
    for (group, samples) in bits.groups().into_iter().zip(decided) {
        of_group(group).into_iter().zip(samples).for_each(|(bit, samples)| bits.insert(bit, samples));
    }
    for level in levels(sets) {
        let decided = work.each(&level, |bootstrapper, set| {
            let (inputs, units) = (bits.inputs_of(&sets[*set]), bits.units(BitRef::Set(*set)));
            at_least(bootstrapper, inputs, sets[*set].at_least, &units)
        });
        level.iter().zip(decided).for_each(|(set, samples)| bits.insert(BitRef::Set(*set), samples));
    }
    bits.released()
}

/// Bits that were decided, and what they are wanted for.
struct Bits {
    inputs: BTreeSet<BitRef>,
    released: BTreeSet<BitRef>,
    decided: BTreeMap<(BitRef, u64), Sample>,
}

impl Bits {
    fn new(gates: &Gates) -> Self {
        let inputs = gates.sets.iter().flat_map(|set| set.inputs.iter().copied()).collect();
        Self { inputs, released: gates.release.iter().copied().collect(), decided: BTreeMap::new() }
    }

    /// The groups of which a bit is wanted, ascending.
    fn groups(&self) -> Vec<usize> {
        let group = |bit: &BitRef| match bit {
            BitRef::Group(group) | BitRef::Large(group) | BitRef::Nobody(group) => Some(*group),
            BitRef::Set(_) => None,
        };
        self.inputs.iter().chain(&self.released).filter_map(group).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// What the bit is to be worth: a bootstrap each.
    fn units(&self, bit: BitRef) -> Vec<u64> {
        let wanted = [(GATE_UNIT, self.inputs.contains(&bit)), (SEAL_UNIT, self.released.contains(&bit))];
        wanted.into_iter().filter(|(_, wanted)| *wanted).map(|(unit, _)| unit).collect()
    }

    /// Keeps a bit, one sample for each of its units.
    fn insert(&mut self, bit: BitRef, samples: Vec<Sample>) {
        let units = self.units(bit);
        self.decided.extend(units.into_iter().zip(samples).map(|(unit, sample)| ((bit, unit), sample)));
    }

    /// The inputs of a set whose level has come, each once.
    fn inputs_of(&self, set: &Gate) -> Vec<Sample> {
        let inputs: BTreeSet<BitRef> = set.inputs.iter().copied().collect();
        inputs.into_iter().map(|bit| self.decided[&(bit, GATE_UNIT)].clone()).collect()
    }

    fn released(self) -> BTreeMap<BitRef, Sample> {
        let sealing = self.decided.into_iter().filter(|((_, unit), _)| *unit == SEAL_UNIT);
        sealing.map(|((bit, _), sample)| (bit, sample)).collect()
    }
}

/// The bits that a group can have, in the order in which they are computed.
const fn of_group(group: usize) -> [BitRef; 3] {
    [BitRef::Large(group), BitRef::Group(group), BitRef::Nobody(group)]
}

/// The bits of one group, in the order of [`of_group`], each worth each of its units. At most one of the two tests of passing is 1,
/// so their sum is a bit.
fn group_bits(
    bootstrapper: &mut Bootstrapper<'_>,
    shape: &GuardShape,
    count: &Sample,
    zero: Option<&Sample>,
    [large, passes, nobody]: &[Vec<u64>; 3],
) -> [Vec<Sample>; 3] {
    let is_large = if large.is_empty() && passes.is_empty() {
        Vec::new()
    } else {
        let sum = ballot(bootstrapper, shape.count_plan(), count);
        signs(bootstrapper, &sum, &[&large[..], passes].concat())
    };
    let is_zero = match zero {
        Some(zero) if !(passes.is_empty() && nobody.is_empty()) => {
            let none = ballot(bootstrapper, shape.zero_plan(), zero).times(u64::MAX);
            signs(bootstrapper, &none, &[&passes[..], nobody].concat())
        }
        // Where zeros are not shown, nobody is never enough.
        _ => vec![Sample::zero(); passes.len() + nobody.len()],
    };
    let (is_large, large_passes) = is_large.split_at(large.len());
    let (zero_passes, is_nobody) = is_zero.split_at(passes.len());
    let mut is_passing = large_passes.to_vec();
    is_passing.iter_mut().zip(zero_passes).for_each(|(bit, none)| bit.add(none));
    [is_large.to_vec(), is_passing, is_nobody.to_vec()]
}

/// The sign of a ballot, worth each of `units`: a bootstrap each.
fn signs(bootstrapper: &mut Bootstrapper<'_>, ballot: &Sample, units: &[u64]) -> Vec<Sample> {
    bootstrapper.switch(ballot);
    units.iter().map(|unit| bootstrapper.sign(*unit)).collect()
}

/// A sample whose phase is above zero exactly when `sum` has reached the plan's threshold.
pub(super) fn ballot(bootstrapper: &mut Bootstrapper<'_>, plan: &Plan, sum: &Sample) -> Sample {
    let radices = plan.radices();
    let sign = radices.len() + 1;
    let mut remainders: Vec<BTreeMap<usize, Sample>> = Vec::with_capacity(radices.len());
    for (step, radix) in radices.iter().enumerate() {
        let modulus = plan.modulus_up_to(step + 1);
        let mut rest = sum.times(plan.modulus() / modulus);
        rest.add_plain(encode(plan.offset(), modulus));
        for remainder in &remainders {
            match remainder.get(&(step + 1)) {
                Some(own) => rest.subtract(own, 1),
                None => rest.subtract(&remainder[&sign], plan.modulus() / modulus),
            }
        }
        bootstrapper.switch(&rest);
        let output = |to| (to, bootstrapper.remainder(*radix, plan.weight(step), plan.modulus_up_to(to)));
        remainders.push(outputs(step, radices.len()).into_iter().map(output).collect());
    }
    let mut ballot = sum.clone();
    remainders.iter().for_each(|remainder| ballot.subtract(&remainder[&sign], 1));
    ballot.add_plain(HALF_UNIT.wrapping_sub(encode(plan.threshold(), plan.modulus())));
    ballot
}

/// Whether so many of the bits, worth [`GATE_UNIT`], are 1; worth each of `units`. Many bits, of which all or one is to be 1, make
/// a tree of sums that are bootstrapped.
pub(super) fn at_least(
    bootstrapper: &mut Bootstrapper<'_>,
    mut bits: Vec<Sample>,
    least: usize,
    units: &[u64],
) -> Vec<Sample> {
    let all = least == bits.len();
    while bits.len() > GuardShape::gate_inputs() {
        let chunks = bits.chunks(GuardShape::gate_inputs());
        let ballot = |chunk: &[Sample]| threshold(chunk, if all { chunk.len() } else { 1 });
        bits = chunks.flat_map(|chunk| signs(bootstrapper, &ballot(chunk), &[GATE_UNIT])).collect();
    }
    let least = if all { bits.len() } else { least };
    signs(bootstrapper, &threshold(&bits, least), units)
}

/// A ballot that is won by so many bits being 1.
fn threshold(bits: &[Sample], least: usize) -> Sample {
    let mut ballot = Sample::zero();
    bits.iter().for_each(|bit| ballot.add(bit));
    ballot.add_plain(HALF_UNIT.wrapping_sub(GATE_UNIT.wrapping_mul(least as u64)));
    ballot
}

/// Gates in an order in which none depends on another of its own level.
fn levels(sets: &[Gate]) -> Vec<Vec<usize>> {
    let mut depth: Vec<usize> = Vec::with_capacity(sets.len());
    let mut levels: Vec<Vec<usize>> = Vec::new();
    for (at, set) in sets.iter().enumerate() {
        let below = set.inputs.iter().filter_map(|bit| match bit {
            BitRef::Set(set) => Some(depth[*set] + 1),
            BitRef::Group(_) | BitRef::Large(_) | BitRef::Nobody(_) => None,
        });
        let level = below.max().unwrap_or(0);
        depth.push(level);
        if levels.len() <= level {
            levels.resize_with(level + 1, Vec::new);
        }
        levels[level].push(at);
    }
    levels
}
