//! From a row's `person_id` to what its person allows.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use arrow::array::BooleanBufferBuilder;
use arrow::buffer::{BooleanBuffer, Buffer};
use consilium_protocol::consent::{AllowedData, Permissions};
use consilium_protocol::ids::SubjectId;

use crate::store::Subjects;

/// Nobody, or somebody who allows nothing.
pub(crate) const CLOSED: u32 = u32::MAX;

/// What each person allows, as the number of a class.
///
/// `person_id`s are mostly dense, so a plain array indexed by `person_id - least` is used while it stays small against
/// the number of people, and a hash table otherwise. Neither can be made slow from outside: ids are the hospital's own.
pub(crate) struct People {
    lookup: Lookup,
    /// What the classes allow.
    pub(crate) classes: Vec<AllowedData>,
    allowed: usize,
}

enum Lookup {
    /// Class numbers plus one, 0 for nobody; up to 255 classes.
    Dense { least: i64, classes: Vec<u8> },
    /// Up to 2^32 - 1 classes, any ids.
    Hashed(HashMap<i64, u32, BuildHasherDefault<IdHasher>>),
}

/// Multiplicative hashing (Knuth, The Art of Computer Programming, volume 3, section 6.4); ids are not an attacker's.
#[derive(Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        let mixed = (self.0 ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ (mixed >> 32);
    }

    fn write_i64(&mut self, value: i64) {
        self.write_u64(value as u64);
    }
}

impl People {
    /// Matches the people of a store with the subjects of the ledger. Who is not on both sides allows nothing; so does
    /// a subject that is listed twice, or refers to a class that is not there.
    pub(crate) fn new(subjects: &Subjects, permissions: &Permissions) -> Self {
        let mut permitted: Cow<'_, [(SubjectId, u32)]> = Cow::Borrowed(&permissions.subjects);
        if !permitted.is_sorted() {
            permitted.to_mut().sort_unstable();
        }
        let mut matched: Vec<(i64, u32)> = Vec::with_capacity(permitted.len().min(subjects.len()));
        let mut rest = &*permitted;
        for &(person, subject) in subjects.iter() {
            let passed = rest.iter().take_while(|(id, _)| *id < subject).count();
            rest = &rest[passed..];
            let own = rest.iter().take_while(|(id, _)| *id == subject).count();
            let open = |class: u32| permissions.classes.get(class as usize).is_some_and(|allowed| !allowed.is_empty());
            match rest.first() {
                Some((_, class)) if own == 1 && open(*class) => matched.push((person, *class)),
                _ => {}
            }
        }
        Self::of(&matched, &permissions.classes)
    }

    /// These people, each with the class of what they allow.
    pub(crate) fn of(matched: &[(i64, u32)], classes: &[AllowedData]) -> Self {
        Self { allowed: matched.len(), lookup: Lookup::new(matched), classes: classes.to_vec() }
    }

    /// Nobody.
    pub(crate) fn none() -> Self {
        Self::of(&[], &[])
    }

    /// How many people allow anything.
    pub(crate) fn len(&self) -> usize {
        self.allowed
    }

    /// The class of a person, or [`CLOSED`].
    #[inline]
    pub(crate) fn class(&self, person: i64) -> u32 {
        match &self.lookup {
            Lookup::Dense { least, classes } => dense(*least, classes, person),
            Lookup::Hashed(classes) => classes.get(&person).copied().unwrap_or(CLOSED),
        }
    }

    /// The rows, out of those that are wanted, of which `keep` approves, given a row's position and class. The loop is
    /// compiled once per kind of lookup.
    pub(crate) fn select(
        &self,
        persons: &[i64],
        wanted: Option<&BooleanBuffer>,
        keep: impl Fn(usize, u32) -> bool,
    ) -> BooleanBuffer {
        match &self.lookup {
            Lookup::Dense { least, classes } => {
                select(persons.len(), wanted, |i| keep(i, dense(*least, classes, persons[i])))
            }
            Lookup::Hashed(classes) => {
                let class = |i: usize| classes.get(&persons[i]).copied().unwrap_or(CLOSED);
                select(persons.len(), wanted, |i| keep(i, class(i)))
            }
        }
    }
}

impl People {
    /// The rows, out of those that are wanted, of people of whose class `keep` approves. Where rows of one person follow each
    /// other, each is looked up once.
    pub(crate) fn select_people(
        &self,
        persons: &[i64],
        wanted: Option<&BooleanBuffer>,
        keep: impl Fn(u32) -> bool,
    ) -> BooleanBuffer {
        if !are_in_runs(persons) {
            return self.select(persons, wanted, |_, class| keep(class));
        }
        let kept = match &self.lookup {
            Lookup::Dense { least, classes } => runs(persons, |person| keep(dense(*least, classes, person))),
            Lookup::Hashed(classes) => runs(persons, |person| keep(classes.get(&person).copied().unwrap_or(CLOSED))),
        };
        match wanted {
            Some(wanted) => &kept & wanted,
            None => kept,
        }
    }
}

/// Whether, by the first of them, rows of one person mostly follow each other.
fn are_in_runs(persons: &[i64]) -> bool {
    const LOOKED_AT: usize = 64;
    let first = &persons[..persons.len().min(LOOKED_AT)];
    let same = first.windows(2).filter(|pair| pair[0] == pair[1]).count();
    2 * same >= first.len() && !first.is_empty()
}

/// The rows of whose person `keep` approves, which is asked once for rows of one person that follow each other.
fn runs(persons: &[i64], keep: impl Fn(i64) -> bool) -> BooleanBuffer {
    let mut words = vec![0u64; persons.len().div_ceil(64)];
    let mut from = 0;
    while let Some(person) = persons.get(from) {
        let length = 1 + persons[from + 1..].iter().take_while(|next| *next == person).count();
        let last = from + length - 1;
        if keep(*person) {
            let (first_word, last_word) = (from / 64, last / 64);
            let (begins, ends) = (u64::MAX << (from % 64), u64::MAX >> (63 - last % 64));
            if first_word == last_word {
                words[first_word] |= begins & ends;
            } else {
                words[first_word] |= begins;
                words[first_word + 1..last_word].fill(u64::MAX);
                words[last_word] |= ends;
            }
        }
        from = last + 1;
    }
    words.iter_mut().for_each(|word| *word = word.to_le());
    BooleanBuffer::new(Buffer::from_vec(words), 0, persons.len())
}

/// Who has been met; for checking that everybody is met once.
#[derive(Clone)]
pub(crate) enum Met {
    /// One bit for each place of a dense lookup.
    Bits {
        least: i64,
        bits: Vec<u64>,
    },
    Hashed(HashSet<i64, BuildHasherDefault<IdHasher>>),
}

impl Met {
    /// Nobody yet.
    pub(crate) fn nobody(people: &People) -> Self {
        match &people.lookup {
            Lookup::Dense { least, classes } => Self::Bits { least: *least, bits: vec![0; classes.len().div_ceil(64)] },
            Lookup::Hashed(_) => Self::Hashed(HashSet::default()),
        }
    }

    /// Notes a person who allows something; `false` when they were met before.
    pub(crate) fn meet(&mut self, person: i64) -> bool {
        match self {
            Self::Bits { least, bits } => {
                let offset = person.wrapping_sub(*least) as u64;
                let (word, bit) = ((offset / 64) as usize, 1u64 << (offset % 64));
                let Some(word) = bits.get_mut(word) else { return false };
                let new = *word & bit == 0;
                *word |= bit;
                new
            }
            Self::Hashed(met) => met.insert(person),
        }
    }
}

impl Met {
    /// As if a person had not been met.
    pub(crate) fn forget(&mut self, person: i64) {
        match self {
            Self::Bits { least, bits } => {
                let offset = person.wrapping_sub(*least) as u64;
                if let Some(word) = usize::try_from(offset / 64).ok().and_then(|word| bits.get_mut(word)) {
                    *word &= !(1u64 << (offset % 64));
                }
            }
            Self::Hashed(met) => {
                met.remove(&person);
            }
        }
    }

    /// Whether a person was met.
    pub(crate) fn has(&self, person: i64) -> bool {
        match self {
            Self::Bits { least, bits } => {
                let offset = person.wrapping_sub(*least) as u64;
                usize::try_from(offset / 64)
                    .ok()
                    .and_then(|word| bits.get(word))
                    .is_some_and(|word| word >> (offset % 64) & 1 == 1)
            }
            Self::Hashed(met) => met.contains(&person),
        }
    }
}

fn select(rows: usize, wanted: Option<&BooleanBuffer>, keep: impl Fn(usize) -> bool) -> BooleanBuffer {
    match wanted {
        None => BooleanBuffer::collect_bool(rows, keep),
        // A look-up may miss the cache; most of them are saved where few rows are wanted.
        Some(wanted) if wanted.count_set_bits() < rows / 4 => {
            let mut kept = BooleanBufferBuilder::new(rows);
            kept.append_n(rows, false);
            wanted.set_indices().filter(|i| keep(*i)).for_each(|i| kept.set_bit(i, true));
            kept.finish()
        }
        Some(wanted) => &BooleanBuffer::collect_bool(rows, keep) & wanted,
    }
}

#[inline]
fn dense(least: i64, classes: &[u8], person: i64) -> u32 {
    let offset = person.wrapping_sub(least) as u64;
    // 0 becomes CLOSED.
    classes.get(usize::try_from(offset).unwrap_or(usize::MAX)).map_or(CLOSED, |class| u32::from(*class).wrapping_sub(1))
}

impl Lookup {
    /// Bytes of an array per person from which on a hash table is used; an entry of one takes about as much.
    const SPARSE: u128 = 32;

    fn new(matched: &[(i64, u32)]) -> Self {
        let ids = || matched.iter().map(|(person, _)| *person);
        let (least, greatest) = (ids().min().unwrap_or(0), ids().max().unwrap_or(0));
        let span = u128::from(greatest.abs_diff(least)) + 1;
        let few = matched.iter().all(|(_, class)| *class < 255);
        if few && span <= Self::SPARSE * (matched.len() as u128 + 1_024) {
            let mut classes = vec![0u8; span as usize];
            for (person, class) in matched {
                classes[person.abs_diff(least) as usize] = *class as u8 + 1;
            }
            return Self::Dense { least, classes };
        }
        Self::Hashed(matched.iter().copied().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people(matched: &[(i64, u32)]) -> People {
        People { lookup: Lookup::new(matched), classes: Vec::new(), allowed: matched.len() }
    }

    #[test]
    fn both_lookups_know_who_is_who() {
        let near: Vec<(i64, u32)> = (0..500).map(|i| (i * 3 - 700, (i % 7) as u32)).collect();
        let far: Vec<(i64, u32)> = near.iter().map(|(id, class)| (id * 1_000_000_007, *class)).collect();
        let many: Vec<(i64, u32)> = near.iter().map(|(id, class)| (*id, class + 254)).collect();
        assert!(matches!(people(&near).lookup, Lookup::Dense { .. }));
        for matched in [&far, &many] {
            assert!(matches!(people(matched).lookup, Lookup::Hashed(_)));
        }
        for matched in [near, far, many] {
            let people = people(&matched);
            for (id, class) in &matched {
                assert_eq!(people.class(*id), *class);
                assert_eq!(people.class(id + 1), CLOSED);
            }
            for id in [i64::MIN, i64::MAX, matched[0].0 - 1, matched[499].0 + 1] {
                assert_eq!(people.class(id), CLOSED);
            }
        }
    }

    #[test]
    fn rows_of_one_person_that_follow_each_other_are_told_like_others() {
        let near: Vec<(i64, u32)> = (0..500).filter(|i| i % 3 > 0).map(|i| (i, (i % 5) as u32)).collect();
        let far: Vec<(i64, u32)> = near.iter().map(|(id, class)| (id * 1_000_000_007, *class)).collect();
        for (matched, factor) in [(near, 1), (far, 1_000_000_007)] {
            let people = people(&matched);
            for lengths in [[3, 2, 4, 2], [1, 190, 64, 65], [1, 1, 1, 1], [128, 1, 63, 2]] {
                let run = |(i, length): (i64, usize)| std::iter::repeat_n(i * factor, length);
                let persons: Vec<i64> = (0..40).zip(lengths.into_iter().cycle()).flat_map(run).collect();
                let open = |class: u32| class != CLOSED && class != 4;
                let wanted = BooleanBuffer::collect_bool(persons.len(), |i| i % 7 != 3);
                for wanted in [None, Some(&wanted)] {
                    let one_by_one = people.select(&persons, wanted, |_, class| open(class));
                    assert_eq!(people.select_people(&persons, wanted, open), one_by_one, "{lengths:?}");
                }
            }
            assert!(!are_in_runs(&[]) && !are_in_runs(&[1, 2, 3, 3]) && are_in_runs(&[1, 1, 1, 2, 2]));
            assert_eq!(people.select_people(&[], None, |_| true).len(), 0);
        }
    }

    #[test]
    fn everybody_is_met_once() {
        let near: Vec<(i64, u32)> = (0..200).map(|i| (i * 3 - 100, 0)).collect();
        let far: Vec<(i64, u32)> = near.iter().map(|(id, class)| (id * 1_000_000_007, *class)).collect();
        for matched in [near, far] {
            let mut met = Met::nobody(&people(&matched));
            assert!(matched.iter().all(|(id, _)| met.meet(*id)));
            assert!(!matched.iter().any(|(id, _)| met.meet(*id)));
            assert!(matched.iter().all(|(id, _)| met.has(*id) && !met.has(id + 1)));
            assert!(!met.has(i64::MIN) && !met.has(i64::MAX));
            let (first, second) = (matched[0].0, matched[1].0);
            met.forget(first);
            assert!(!met.has(first) && met.has(second) && met.meet(first));
        }
    }

    #[test]
    fn ids_at_both_ends_of_the_range_do_not_collide() {
        let people = people(&[(i64::MIN, 1), (i64::MAX, 2)]);
        assert_eq!((people.class(i64::MIN), people.class(i64::MAX), people.class(0)), (1, 2, CLOSED));
    }
}
