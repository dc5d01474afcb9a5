//! Where the ids of a store's people are cut into buckets.
//!
//! A bucket is a range of ids whose length is a power of two and whose first id is a multiple of it, halved until few enough
//! people are in it. So the buckets follow from the ids alone, whatever was arranged before: one more person splits their own
//! bucket at most, and where nobody comes or goes nothing moves.

use serde::{Deserialize, Serialize};

/// A range of ids, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Range {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

/// So many buckets at least are wanted, so that as many threads as usual have something to do; more of them would take longer to
/// plan than they save.
const BUCKETS: usize = 8;
/// A bucket is not made smaller for that than so many patients.
const FEW: usize = 15_625;

/// The most patients of a bucket in a store of so many, of which there are never more than `most`. It doubles with the
/// store, so that buckets change seldom.
pub(super) fn limit(people: usize, most: usize) -> usize {
    let mut limit = FEW;
    while limit < most && limit * BUCKETS < people {
        limit *= 2;
    }
    limit.min(most).max(1)
}

/// The buckets of these people, whose ids ascend, with at most `limit` in each; ranges in which nobody is are left out.
pub(super) fn cut(people: &[i64], limit: usize) -> Vec<Range> {
    let mut ranges = Vec::new();
    halve(people, 0, u64::MAX, limit.max(1), &mut ranges);
    ranges
}

/// Ids in their order as numbers without a sign.
const fn place(id: i64) -> u64 {
    (id as u64) ^ (1 << 63)
}

const fn id(place: u64) -> i64 {
    (place ^ (1 << 63)) as i64
}

fn halve(people: &[i64], from: u64, to: u64, limit: usize, ranges: &mut Vec<Range>) {
    if people.is_empty() {
        return;
    }
    if people.len() <= limit || from == to {
        ranges.push(Range { from: id(from), to: id(to) });
        return;
    }
    let middle = from + (to - from) / 2;
    let (lower, upper) = people.split_at(people.partition_point(|person| place(*person) <= middle));
    halve(lower, from, middle, limit, ranges);
    halve(upper, middle + 1, to, limit, ranges);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_everybody_once_and_few_enough() {
        let dense: Vec<i64> = (-500..500).collect();
        let sparse: Vec<i64> = (0..1_000).map(|n: i64| n.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as i64)).collect();
        let ends = vec![i64::MIN, -1, 0, i64::MAX];
        for mut people in [dense, sparse, ends, Vec::new()] {
            people.sort_unstable();
            for limit in [1, 2, 7, 250, 5_000] {
                let ranges = cut(&people, limit);
                let within = |range: &Range| people.iter().filter(|p| (range.from..=range.to).contains(p)).count();
                assert_eq!(ranges.iter().map(within).sum::<usize>(), people.len());
                assert!(ranges.iter().all(|range| (1..=limit).contains(&within(range))));
                assert!(ranges.windows(2).all(|pair| pair[0].to < pair[1].from));
            }
        }
    }

    #[test]
    fn one_more_person_changes_their_own_bucket_alone() {
        let people: Vec<i64> = (0..1_000).map(|n| 3 * n).collect();
        let before = cut(&people, 10);
        for newcomer in [1, 1_501, 2_999, 5_000, -7] {
            let mut people = people.clone();
            people.push(newcomer);
            people.sort_unstable();
            let after = cut(&people, 10);
            let gone = before.iter().filter(|range| !after.contains(range)).count();
            assert!(gone <= 1, "{newcomer}: {gone} of {}", before.len());
        }
    }

    #[test]
    fn small_stores_have_smaller_buckets() {
        assert_eq!(limit(0, 250_000), FEW);
        assert_eq!(limit(1_000_000, 250_000), 125_000);
        assert_eq!(limit(10_000_000, 250_000), 250_000);
        assert_eq!((limit(1_000_000, 7), limit(5, 0)), (7, 1));
    }
}
