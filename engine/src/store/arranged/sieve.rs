//! Which of a table's rows are of somebody, and where the sorted ones go.

use arrow::array::{BooleanArray, Int64Array};

use super::cut::Range;
use super::manifest::LeftOut;

/// Leaves out the rows that nobody could ever see, before anything is made of them: there may be more of them than of others.
pub(super) struct Sieve<'a> {
    /// Everybody, ascending.
    people: &'a [i64],
    /// Who was looked for last, and whether they are there: rows of one person often follow each other.
    last: Option<(i64, bool)>,
    pub(super) left_out: LeftOut,
}

impl<'a> Sieve<'a> {
    pub(super) const fn new(people: &'a [i64]) -> Self {
        Self { people, last: None, left_out: LeftOut { nobodys: 0, strangers: 0 } }
    }

    /// Which rows stay; `None` for all. Those of nobody and of strangers do not, and are counted.
    pub(super) fn keep(&mut self, subjects: &Int64Array) -> Option<BooleanArray> {
        let before = self.left_out;
        let keep: BooleanArray = subjects.iter().map(|person| Some(self.is_here(person))).collect();
        (self.left_out != before).then_some(keep)
    }

    fn is_here(&mut self, person: Option<i64>) -> bool {
        let Some(person) = person else {
            self.left_out.nobodys += 1;
            return false;
        };
        let is_here = match self.last {
            Some((last, is_here)) if last == person => is_here,
            _ => self.people.binary_search(&person).is_ok(),
        };
        self.last = Some((person, is_here));
        self.left_out.strangers += u64::from(!is_here);
        is_here
    }
}

/// Rows that follow each other and go into one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) bucket: usize,
    pub(super) from: usize,
    pub(super) rows: usize,
}

/// Goes along a store's buckets with a table's rows, both in order of their ids.
pub(super) struct Buckets<'a> {
    ranges: &'a [Range],
    bucket: usize,
}

impl<'a> Buckets<'a> {
    pub(super) const fn new(ranges: &'a [Range]) -> Self {
        Self { ranges, bucket: 0 }
    }

    /// Where the next rows go, each of which is of somebody in a bucket.
    pub(super) fn next(&mut self, subjects: &Int64Array) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for (row, person) in subjects.values().iter().enumerate() {
            while self.ranges.get(self.bucket).is_some_and(|range| range.to < *person) {
                self.bucket += 1;
            }
            match runs.last_mut() {
                Some(run) if run.bucket == self.bucket => run.rows += 1,
                _ => runs.push(Run { bucket: self.bucket, from: row, rows: 1 }),
            }
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_people_alone_are_kept() {
        let mut sieve = Sieve::new(&[1, 3, 5, 14]);
        let subjects = Int64Array::from(vec![None, Some(3), Some(3), Some(-2), Some(2), Some(2), Some(14)]);
        let keep = sieve.keep(&subjects).expect("some are left out");
        let expected = [false, true, true, false, false, false, true];
        assert_eq!(keep, BooleanArray::from(expected.to_vec()));
        assert_eq!(sieve.keep(&Int64Array::from(vec![5, 1])), None);
        assert_eq!(sieve.left_out, LeftOut { nobodys: 1, strangers: 3 });
    }

    #[test]
    fn rows_go_to_their_buckets() {
        let ranges = [Range { from: 0, to: 3 }, Range { from: 4, to: 7 }, Range { from: 12, to: 15 }];
        let mut buckets = Buckets::new(&ranges);
        let run = |bucket, from, rows| Run { bucket, from, rows };
        assert_eq!(buckets.next(&Int64Array::from(vec![1, 1, 3, 5])), [run(0, 0, 3), run(1, 3, 1)]);
        assert_eq!(buckets.next(&Int64Array::from(vec![5, 14])), [run(1, 0, 1), run(2, 1, 1)]);
    }
}
