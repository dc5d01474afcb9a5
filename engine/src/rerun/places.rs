//! Where subjects stand in bitmaps: the subject with n smaller ones has place n, so that what is remembered and what is new
//! can be compared while both pass by in order, and neither needs to be in memory.

use consilium_protocol::ids::SubjectId;

use super::closeness::{Bits, at};
use super::subjects::SubjectSet;

/// A cohort in the places of what is remembered, and where those go of whom nothing is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placed {
    /// Who is remembered, by place.
    pub(super) bits: Bits,
    /// Who is not, by place among all: those remembered and those of the cohort.
    pub(super) fresh: Bits,
    pub(super) unseen: u64,
}

impl Placed {
    /// Looks for a cohort's subjects among those that are remembered, which are in ascending order.
    ///
    /// # Errors
    /// The first of `known`.
    pub fn among<E>(known: impl IntoIterator<Item = Result<SubjectId, E>>, cohort: &SubjectSet) -> Result<Self, E> {
        let mut placed = Self::default();
        let mut new = cohort.iter().peekable();
        let mut place = 0;
        for known in known {
            let known = known?;
            while new.next_if(|subject| **subject < known).is_some() {
                placed.add_fresh(place);
            }
            if new.next_if(|subject| **subject == known).is_some() {
                set(&mut placed.bits, place);
            }
            place += 1;
        }
        new.for_each(|_| placed.add_fresh(place));
        Ok(placed)
    }

    fn add_fresh(&mut self, smaller: usize) {
        set(&mut self.fresh, smaller + self.unseen as usize);
        self.unseen += 1;
    }

    pub(super) fn size(&self) -> u64 {
        size(&self.bits) + self.unseen
    }
}

/// Those that are remembered and those of a cohort, in ascending order, each once: what is remembered once it was
/// contributed.
pub fn union<E>(
    known: impl Iterator<Item = Result<SubjectId, E>>,
    cohort: &SubjectSet,
) -> impl Iterator<Item = Result<SubjectId, E>> {
    let mut known = known.peekable();
    let mut new = cohort.iter().copied().peekable();
    std::iter::from_fn(move || match (known.peek(), new.peek()) {
        (Some(Ok(old)), Some(subject)) if subject < old => new.next().map(Ok),
        (Some(Ok(old)), Some(subject)) if subject == old => {
            new.next();
            known.next()
        }
        (Some(_), _) => known.next(),
        (None, _) => new.next().map(Ok),
    })
}

pub(super) fn size(bits: &Bits) -> u64 {
    bits.iter().map(|word| u64::from(word.count_ones())).sum()
}

/// The same subjects, when others have come to stand at the places `fresh`.
pub(super) fn spread(bits: &Bits, fresh: &Bits) -> Bits {
    let from = |place: usize| {
        let (word, shift) = (place / 64, place % 64);
        let high = if shift == 0 { 0 } else { at(bits, word + 1) << (64 - shift) };
        at(bits, word) >> shift | high
    };
    let mut spread = Bits::new();
    let mut taken = 0;
    while taken < 64 * bits.len() {
        let free = !at(fresh, spread.len());
        spread.push(deposited(from(taken), free));
        taken += free.count_ones() as usize;
    }
    trim(&mut spread);
    spread
}

/// The lowest bits of `bits`, at the places where `free` has ones.
fn deposited(mut bits: u64, mut free: u64) -> u64 {
    if free == u64::MAX {
        return bits;
    }
    let mut word = 0;
    while bits != 0 && free != 0 {
        let lowest = free & free.wrapping_neg();
        word |= if bits & 1 == 1 { lowest } else { 0 };
        (bits, free) = (bits >> 1, free ^ lowest);
    }
    word
}

/// Both.
pub(super) fn joined(mut a: Bits, b: &Bits) -> Bits {
    a.resize(a.len().max(b.len()), 0);
    a.iter_mut().zip(b).for_each(|(a, b)| *a |= b);
    a
}

fn trim(bits: &mut Bits) {
    while bits.last() == Some(&0) {
        bits.pop();
    }
}

fn set(bits: &mut Bits, place: usize) {
    if bits.len() <= place / 64 {
        bits.resize(place / 64 + 1, 0);
    }
    bits[place / 64] |= 1 << (place % 64);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    fn subject(number: u16) -> SubjectId {
        let mut name = [0; 16];
        name[..2].copy_from_slice(&number.to_be_bytes());
        SubjectId::from_bytes(name)
    }

    /// The subjects at some places.
    fn chosen(all: &BTreeSet<u16>, bits: &Bits) -> BTreeSet<u16> {
        let is_in = |place: &usize| at(bits, place / 64) >> (place % 64) & 1 == 1;
        (0..).zip(all).filter(|(place, _)| is_in(place)).map(|(_, number)| *number).collect()
    }

    proptest! {
        #[test]
        fn subjects_are_found_again_wherever_others_come_between(
            known in prop::collection::btree_set(0u16..400, 0..300),
            cohort in prop::collection::btree_set(0u16..400, 0..300),
            // Who of those known was in an earlier cohort.
            earlier in prop::collection::btree_set(0u16..400, 0..300),
        ) {
            let list = || known.iter().map(|number| Ok::<_, Infallible>(subject(*number)));
            let set_of = |numbers: &BTreeSet<u16>| numbers.iter().map(|number| subject(*number)).collect::<SubjectSet>();
            let Ok(placed) = Placed::among(list(), &set_of(&cohort));
            prop_assert_eq!(chosen(&known, &placed.bits), &known & &cohort);
            prop_assert_eq!(placed.unseen as usize, (&cohort - &known).len());
            prop_assert_eq!(placed.size() as usize, cohort.len());

            let all = &known | &cohort;
            let in_order: Vec<SubjectId> = union(list(), &set_of(&cohort)).map(|subject| subject.unwrap_or_else(|e| match e {})).collect();
            prop_assert_eq!(in_order, all.iter().map(|number| subject(*number)).collect::<Vec<_>>());
            prop_assert_eq!(chosen(&all, &placed.fresh), &cohort - &known);
            let Ok(before) = Placed::among(list(), &set_of(&(&known & &earlier)));
            let moved = spread(&before.bits, &placed.fresh);
            prop_assert_eq!(chosen(&all, &moved), &known & &earlier);
            prop_assert_ne!(moved.last(), Some(&0));
            let now = joined(spread(&placed.bits, &placed.fresh), &placed.fresh);
            prop_assert_eq!(chosen(&all, &now), cohort);
        }
    }
}
