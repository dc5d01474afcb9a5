//! Gates in the making: what is equal is made once, and what follows is left out.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::guard::{BitRef, Gate};

/// A set of bits that are no conjunctions, as a bitmap over [`Circuit::bases`]. Equal bitmaps are one conjunction.
type Bits = Vec<u64>;

/// Gates in the making.
#[derive(Default)]
pub(super) struct Circuit {
    gates: Vec<Gate>,
    /// Of each gate the bits that it is the conjunction of: itself if it is none.
    bits: Vec<Bits>,
    bases: BTreeMap<BitRef, usize>,
    known: BTreeMap<Bits, usize>,
    counted: BTreeMap<(Vec<BitRef>, usize), usize>,
}

impl Circuit {
    /// What is 1 exactly when all of these are. A single one is its own conjunction; one that was made before is not made
    /// again; members that follow from others are left out.
    pub(super) fn all(&mut self, mut members: Vec<BitRef>) -> BitRef {
        members.sort_unstable();
        members.dedup();
        members.iter().for_each(|member| self.base(*member));
        members.sort_by_key(|member| {
            (Reverse(self.of(*member).iter().map(|word| word.count_ones()).sum::<u32>()), *member)
        });
        let mut covered = Bits::new();
        members.retain(|member| add(&mut covered, &self.of(*member)));
        members.sort_unstable();
        if let [only] = members.as_slice() {
            return *only;
        }
        if let Some(same) = self.known.get(&covered) {
            return BitRef::Set(*same);
        }
        self.gates.push(Gate::all(members));
        self.known.insert(covered.clone(), self.gates.len() - 1);
        self.bits.push(covered);
        BitRef::Set(self.gates.len() - 1)
    }

    /// What is 1 exactly when so many of these are.
    pub(super) fn at_least(&mut self, mut inputs: Vec<BitRef>, least: usize) -> BitRef {
        inputs.sort_unstable();
        inputs.dedup();
        if inputs.len() == least {
            return self.all(inputs);
        }
        if let Some(same) = self.counted.get(&(inputs.clone(), least)) {
            return BitRef::Set(*same);
        }
        self.counted.insert((inputs.clone(), least), self.gates.len());
        self.gates.push(Gate { inputs, at_least: least });
        self.bits.push(Bits::new());
        let own = BitRef::Set(self.gates.len() - 1);
        self.base(own);
        let bits = self.single(own);
        self.bits[self.gates.len() - 1] = bits;
        own
    }

    /// The gates, each referring to earlier ones only.
    pub(super) fn finish(self) -> Vec<Gate> {
        self.gates
    }

    fn is_conjunction(&self, bit: BitRef) -> bool {
        matches!(bit, BitRef::Set(set) if !self.bases.contains_key(&bit) && !self.bits[set].is_empty())
    }

    fn base(&mut self, bit: BitRef) {
        if !self.is_conjunction(bit) {
            let next = self.bases.len();
            self.bases.entry(bit).or_insert(next);
        }
    }

    fn single(&self, bit: BitRef) -> Bits {
        let place = self.bases[&bit];
        let mut bits = vec![0; place / 64 + 1];
        bits[place / 64] = 1 << (place % 64);
        bits
    }

    fn of(&self, bit: BitRef) -> Bits {
        match bit {
            BitRef::Set(set) if self.is_conjunction(bit) => self.bits[set].clone(),
            _ => self.single(bit),
        }
    }
}

/// Adds bits; whether any of them is new.
fn add(covered: &mut Bits, bits: &Bits) -> bool {
    if covered.len() < bits.len() {
        covered.resize(bits.len(), 0);
    }
    let mut is_new = false;
    for (word, bits) in covered.iter_mut().zip(bits) {
        is_new |= bits & !*word != 0;
        *word |= bits;
    }
    is_new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_is_left_out_and_what_is_equal_is_shared() {
        let mut circuit = Circuit::default();
        let group = BitRef::Group;
        assert_eq!(circuit.all(vec![group(70)]), group(70));
        let pair = circuit.all(vec![group(70), group(3), group(70)]);
        assert_eq!(pair, BitRef::Set(0));
        assert_eq!(circuit.all(vec![group(3), pair]), pair);
        let three = circuit.all(vec![group(3), group(5), pair]);
        assert_eq!(circuit.all(vec![group(3), group(5), group(70)]), three);
        // What follows from a set in part does not follow.
        let other = circuit.all(vec![group(70), group(4)]);
        circuit.all(vec![pair, other]);
        // That two of three are 1 is a bit of its own.
        let two = circuit.at_least(vec![group(1), group(2), group(3)], 2);
        assert_eq!(circuit.at_least(vec![group(3), group(1), group(2)], 2), two);
        let with = circuit.all(vec![two, group(5)]);
        assert_eq!(circuit.all(vec![group(5), two]), with);
        assert_eq!(circuit.at_least(vec![group(3), group(70)], 2), pair);
        // Another number of the same is another bit, and no bit follows from it.
        let one = circuit.at_least(vec![group(1), group(2), group(3)], 1);
        assert_ne!(one, two);
        circuit.all(vec![two, group(1)]);
        let members = [vec![group(3), group(70)], vec![group(5), pair], vec![group(4), group(70)], vec![pair, other]];
        let mut gates: Vec<Gate> = members.map(Gate::all).into();
        gates.push(Gate { inputs: vec![group(1), group(2), group(3)], at_least: 2 });
        gates.push(Gate::all(vec![group(5), two]));
        gates.push(Gate::any(vec![group(1), group(2), group(3)]));
        gates.push(Gate::all(vec![group(1), two]));
        assert_eq!(circuit.finish(), gates);
    }
}
