//! Which of a table's sorted rows go where, and which nowhere.

use arrow::array::Int64Array;

use super::cut::Range;
use super::manifest::LeftOut;

/// Rows that follow each other and go into one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) bucket: usize,
    pub(super) from: usize,
    pub(super) rows: usize,
}

/// Goes along a store's people with a table's rows, both in order of their ids.
pub(super) struct Sieve<'a> {
    people: &'a [i64],
    buckets: &'a [Range],
    bucket: usize,
    pub(super) left_out: LeftOut,
}

impl<'a> Sieve<'a> {
    pub(super) fn new(people: &'a [i64], buckets: &'a [Range]) -> Self {
        Self { people, buckets, bucket: 0, left_out: LeftOut::default() }
    }

    /// Where the next rows go. Those of nobody and of strangers are left out, and counted.
    pub(super) fn next(&mut self, subjects: &Int64Array) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for (row, person) in subjects.iter().enumerate() {
            let Some(person) = person else {
                self.left_out.nobodys += 1;
                continue;
            };
            while self.people.first().is_some_and(|next| *next < person) {
                self.people = &self.people[1..];
            }
            while self.buckets.get(self.bucket).is_some_and(|range| range.to < person) {
                self.bucket += 1;
            }
            if self.people.first() != Some(&person) {
                self.left_out.strangers += 1;
                continue;
            }
            match runs.last_mut() {
                Some(run) if run.bucket == self.bucket && run.from + run.rows == row => run.rows += 1,
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
    fn rows_of_people_alone_go_to_their_buckets() {
        let buckets = [Range { from: 0, to: 3 }, Range { from: 4, to: 7 }, Range { from: 12, to: 15 }];
        let mut sieve = Sieve::new(&[1, 3, 5, 14], &buckets);
        let run = |bucket, from, rows| Run { bucket, from, rows };
        let subjects = Int64Array::from(vec![None, None, Some(-2), Some(1), Some(1), Some(2), Some(3), Some(5)]);
        assert_eq!(sieve.next(&subjects), [run(0, 3, 2), run(0, 6, 1), run(1, 7, 1)]);
        let subjects = Int64Array::from(vec![Some(5), Some(9), Some(14), Some(20)]);
        assert_eq!(sieve.next(&subjects), [run(1, 0, 1), run(2, 2, 1)]);
        assert_eq!(sieve.left_out, LeftOut { nobodys: 2, strangers: 4 });
    }
}
