//! Conjunctions of groups' bits, each written with as few members as earlier conjunctions allow.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::{AndSet, BitRef};

/// A set of groups as a bitmap. The conjunction of their bits is what a set stands for, so equal bitmaps are one set.
type Bits = Vec<u64>;

/// Sets in the making.
pub(super) struct Sets {
    groups: usize,
    sets: Vec<AndSet>,
    bits: Vec<Bits>,
    known: BTreeMap<Bits, usize>,
}

impl Sets {
    /// None yet, over so many groups.
    pub(super) const fn new(groups: usize) -> Self {
        Self { groups, sets: Vec::new(), bits: Vec::new(), known: BTreeMap::new() }
    }

    /// What is 1 exactly when all of these are. A single one is its own conjunction; one that was made before is not made
    /// again; members that follow from others are left out.
    pub(super) fn all_of(&mut self, mut members: Vec<BitRef>) -> BitRef {
        members.sort_unstable();
        members.dedup();
        members.sort_by_key(|member| (Reverse(self.size(*member)), *member));
        let mut covered = vec![0; self.groups.div_ceil(64)];
        members.retain(|member| self.cover(&mut covered, *member));
        members.sort_unstable();
        if let [only] = members.as_slice() {
            return *only;
        }
        if let Some(same) = self.known.get(&covered) {
            return BitRef::Set(*same);
        }
        let set = self.sets.len();
        self.sets.push(AndSet { members });
        self.known.insert(covered.clone(), set);
        self.bits.push(covered);
        BitRef::Set(set)
    }

    /// The sets, each referring to earlier ones only.
    pub(super) fn finish(self) -> Vec<AndSet> {
        self.sets
    }

    fn size(&self, member: BitRef) -> u32 {
        match member {
            BitRef::Group(_) => 1,
            BitRef::Set(set) => self.bits[set].iter().map(|word| word.count_ones()).sum(),
        }
    }

    /// Adds what a member stands for; whether any of it is new.
    fn cover(&self, covered: &mut Bits, member: BitRef) -> bool {
        let mut is_new = false;
        let mut add = |word: &mut u64, bits: u64| {
            is_new |= bits & !*word != 0;
            *word |= bits;
        };
        match member {
            BitRef::Group(group) => add(&mut covered[group / 64], 1 << (group % 64)),
            BitRef::Set(set) => covered.iter_mut().zip(&self.bits[set]).for_each(|(word, bits)| add(word, *bits)),
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_is_left_out_and_what_is_equal_is_shared() {
        let mut sets = Sets::new(100);
        let group = BitRef::Group;
        assert_eq!(sets.all_of(vec![group(70)]), group(70));
        let pair = sets.all_of(vec![group(70), group(3), group(70)]);
        assert_eq!(pair, BitRef::Set(0));
        assert_eq!(sets.all_of(vec![group(3), pair]), pair);
        let three = sets.all_of(vec![group(3), group(5), pair]);
        assert_eq!(sets.all_of(vec![group(3), group(5), group(70)]), three);
        // What follows from a set in part does not follow.
        let other = sets.all_of(vec![group(70), group(4)]);
        sets.all_of(vec![pair, other]);
        let members = [vec![group(3), group(70)], vec![group(5), pair], vec![group(4), group(70)], vec![pair, other]];
        assert_eq!(sets.finish(), members.map(|members| AndSet { members }));
    }
}
