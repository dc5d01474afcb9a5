//! Which bundles are suppressed: small ones, and those without which small ones would follow.
//!
//! *Primary*: the joint count is 1 to k - 1, or it is 0 while hospitals held back.
//!
//! *Secondary*: take a line (two sets of bundles that are about the same subjects) one side of which is all shown. Then
//! the *remainder*, that side less what is shown of the other, is known to anyone. The other side is safe when
//!
//! - something of it is suppressed, the remainder is not 1 to k - 1, and what is suppressed is either at least two
//!   bundles, or one that is not small in itself and stands together with numbers that hospitals held back; or
//! - nothing of it is suppressed, and the remainder, which then is what hospitals held back, is not 1 to k - 1. (Where
//!   the all-shown side is more than one bundle and hospitals held back there, too, the remainder is a difference of
//!   two unknowns and need not be looked at.)
//!
//! Where it is not safe, the bundle with the smallest shown joint count above 0 on the other side is suppressed as well,
//! the first of the layout among equals; if there is none, one of the all-shown side by the same choice, for example the
//! total. All lines are looked at, what they demand is suppressed at once, and so on until nothing more is demanded.
//!
//! Where any remainder of suppressed bundles is known, it is not said which of them are small: "the small one of two
//! that are 21 together, of which the other is at least 11" says more than intended. The rule of all suppressed bundles
//! of the study is then [`Rule::SmallCountOrComplement`].
//!
//! This is the classical heuristic of complementary suppression, line by line, on the safe side within a line. It does
//! not solve the lines as a system of equations, and cannot see other studies.
//!
//! Source: L. Willenborg and T. de Waal, "Elements of Statistical Disclosure Control", Springer 2001, chapter 4; the
//! demand that a small cell must not be derivable is the CMS cell suppression policy's.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::Serialize;

use super::lines::Line;
use crate::statistics::Layout;

/// Why a number is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// It is about 1 to k - 1 subjects, or about subjects whom hospitals held back.
    SmallCount,
    /// It is such a number, or one from which such a number would follow.
    SmallCountOrComplement,
    /// In a guarded study: it, or a group that it is released together with, is about 1 to k - 1 subjects, or about one
    /// hospital's alone.
    SmallCountOrPart,
    /// In a guarded study, of sums: all but 1 to k - 1 subjects of it, or of a group that it is released together with, may have
    /// nearly the same value, so that the sums would tell theirs.
    LittleSpread,
    /// In a private study: its noisy count is below k.
    SmallNoisyCount,
}

impl Rule {
    /// The name that files write.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SmallCount => "small_count",
            Self::SmallCountOrComplement => "small_count_or_complement",
            Self::SmallCountOrPart => "small_count_or_part",
            Self::LittleSpread => "little_spread",
            Self::SmallNoisyCount => "small_noisy_count",
        }
    }
}

/// Joint counts, bundle by bundle.
pub(super) struct Counts {
    n: Vec<i64>,
    withheld: Vec<i64>,
}

impl Counts {
    pub(super) fn of(layout: &Layout, cells: &[i64]) -> Self {
        let pick = |position: fn(&crate::statistics::Bundle) -> usize| {
            layout.bundles().iter().map(|bundle| cells[position(bundle)]).collect()
        };
        Self { n: pick(|bundle| bundle.first_cell), withheld: pick(|bundle| bundle.withheld()) }
    }

    /// Of these bundles, how many have the larger, or the smaller, of a variable's two values; nothing of others.
    pub(super) fn of_values(layout: &Layout, cells: &[i64], bundles: &BTreeSet<usize>, larger: bool) -> Self {
        let n = layout.bundles().iter().enumerate().map(|(position, bundle)| {
            let (n, sum) = (cells[bundle.first_cell], cells[bundle.first_cell + 1]);
            if bundles.contains(&position) { if larger { sum } else { n - sum } } else { 0 }
        });
        Self { n: n.collect(), ..Self::of(layout, cells) }
    }

    /// n and withheld.
    pub(super) fn of_bundle(&self, bundle: usize) -> (i64, i64) {
        (self.n[bundle], self.withheld[bundle])
    }

    /// Σn.
    pub(super) fn sum<'a>(&self, bundles: impl IntoIterator<Item = &'a usize>) -> i128 {
        bundles.into_iter().map(|bundle| i128::from(self.n[*bundle])).sum()
    }

    /// Whether the count must not be shown, the least that may be, 0 aside where it may, being k.
    pub(super) fn is_small(&self, bundle: usize, k: u32, zeros_shown: bool) -> bool {
        let (n, withheld) = self.of_bundle(bundle);
        (n > 0 && n < i64::from(k)) || (n == 0 && (withheld > 0 || !zeros_shown))
    }
}

/// For each bundle the rule that suppresses it, if any.
pub(super) fn suppress(lines: &[Line], counts: &Counts, k: u32, zeros_shown: bool) -> Vec<Option<Rule>> {
    let small: Vec<bool> = (0..counts.n.len()).map(|bundle| counts.is_small(bundle, k, zeros_shown)).collect();
    let few = i128::from(zeros_shown)..i128::from(k);
    let mut state = Suppression { counts, few, shown: small.iter().map(|small| !small).collect(), small };
    loop {
        let demanded: Vec<usize> = lines.iter().flat_map(|line| state.demands(line)).flatten().collect();
        if demanded.is_empty() {
            break;
        }
        demanded.into_iter().for_each(|bundle| state.shown[bundle] = false);
    }
    let complements = state.shown.iter().zip(&state.small).any(|(shown, small)| !shown && !small);
    let remainders = lines.iter().any(|line| state.shows_remainder(line));
    let rule = if complements || remainders { Rule::SmallCountOrComplement } else { Rule::SmallCount };
    state.shown.iter().map(|shown| (!shown).then_some(rule)).collect()
}

struct Suppression<'a> {
    counts: &'a Counts,
    /// Remainders that are small.
    few: Range<i128>,
    small: Vec<bool>,
    shown: Vec<bool>,
}

impl Suppression<'_> {
    /// What must be suppressed so that each side of the line is safe from the other.
    fn demands(&self, line: &Line) -> [Option<usize>; 2] {
        let [a, b] = &line.sides;
        [self.demand(a, b), self.demand(b, a)]
    }

    fn demand(&self, known: &[usize], other: &[usize]) -> Option<usize> {
        if !self.all_shown(known) || self.is_safe(known, other) {
            return None;
        }
        self.smallest_shown(other).or_else(|| self.smallest_shown(known))
    }

    fn is_safe(&self, known: &[usize], other: &[usize]) -> bool {
        let shown = self.counts.sum(other.iter().filter(|bundle| self.shown[**bundle]));
        let remainder = self.counts.sum(known) - shown;
        let small_remainder = self.few.contains(&remainder);
        let suppressed: Vec<usize> = other.iter().copied().filter(|bundle| !self.shown[*bundle]).collect();
        match suppressed.as_slice() {
            [] => remainder == 0 || !small_remainder || !self.is_exact(known),
            [one] => !small_remainder && !self.small[*one] && remainder > self.counts.sum([one]),
            _ => !small_remainder,
        }
    }

    /// Whether the sum of these is known to be what it seems, or is at least a single number.
    fn is_exact(&self, known: &[usize]) -> bool {
        known.len() == 1 || known.iter().all(|bundle| self.counts.withheld[*bundle] == 0)
    }

    fn smallest_shown(&self, bundles: &[usize]) -> Option<usize> {
        let shown = bundles.iter().copied().filter(|bundle| self.shown[*bundle] && self.counts.n[*bundle] > 0);
        shown.min_by_key(|bundle| (self.counts.n[*bundle], *bundle))
    }

    fn all_shown(&self, bundles: &[usize]) -> bool {
        bundles.iter().all(|bundle| self.shown[*bundle])
    }

    fn shows_remainder(&self, line: &Line) -> bool {
        let [a, b] = &line.sides;
        self.all_shown(a) != self.all_shown(b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One total of `whole` (bundle 0) and its parts, each n and withheld.
    fn shown(whole: (i64, i64), parts: &[(i64, i64)]) -> (Vec<usize>, Option<Rule>) {
        let all: Vec<_> = std::iter::once(&whole).chain(parts).collect();
        let (n, withheld) = all.iter().map(|(n, withheld)| (*n, *withheld)).unzip();
        let lines = [Line { blocks: [0, 1], sides: [vec![0], (1..=parts.len()).collect()] }];
        let rules = suppress(&lines, &Counts { n, withheld }, 11, true);
        let shown = (0..rules.len()).filter(|bundle| rules[*bundle].is_none()).collect();
        (shown, rules.into_iter().flatten().next())
    }

    #[test]
    fn small_counts_are_suppressed_at_k_minus_one_and_not_at_k() {
        let alone = |n| {
            let counts = Counts { n: vec![n], withheld: vec![0] };
            suppress(&[], &counts, 11, true)[0]
        };
        assert_eq!([0, 1, 10, 11].map(alone), [None, Some(Rule::SmallCount), Some(Rule::SmallCount), None]);
    }

    #[test]
    fn zeros_are_suppressed_where_the_policy_says_so_and_do_not_follow() {
        let (n, withheld) = (vec![100, 60, 40, 0], vec![0; 4]);
        let lines = [Line { blocks: [0, 1], sides: [vec![0], vec![1, 2, 3]] }];
        let counts = Counts { n, withheld };
        let shown = |zeros| suppress(&lines, &counts, 11, zeros).iter().map(Option::is_none).collect::<Vec<bool>>();
        assert_eq!(shown(true), [true; 4]);
        assert_eq!(shown(false), [true, true, false, false], "the rest of the total would be 0");
    }

    #[test]
    fn zero_because_hospitals_held_back_is_not_shown() {
        assert_eq!(shown((100, 0), &[(50, 0), (50, 0), (0, 0)]).0, [0, 1, 2, 3]);
        assert_eq!(shown((104, 0), &[(50, 0), (50, 0), (0, 1)]).0, [0, 2]);
    }

    #[test]
    fn a_single_small_part_takes_the_smallest_other_with_it() {
        let (shown, rule) = shown((146, 0), &[(90, 0), (5, 0), (51, 0), (0, 0)]);
        assert_eq!(shown, [0, 1, 4]);
        assert_eq!(rule, Some(Rule::SmallCountOrComplement));
    }

    #[test]
    fn two_small_parts_that_are_small_together_take_one_more() {
        assert_eq!(shown((100, 0), &[(94, 0), (5, 0), (1, 0)]).0, [0]);
        assert_eq!(shown((100, 0), &[(50, 0), (40, 0), (5, 0), (5, 0)]).0, [0, 1]);
        assert_eq!(
            shown((101, 0), &[(50, 0), (40, 0), (5, 0), (6, 0)]),
            (vec![0, 1, 2], Some(Rule::SmallCountOrComplement))
        );
    }

    #[test]
    fn what_was_held_back_does_not_follow_either() {
        // Three subjects of one hospital are between the total and the parts.
        assert_eq!(shown((103, 0), &[(60, 1), (40, 0)]).0, [0, 1]);
        assert_eq!(shown((111, 0), &[(60, 3), (40, 0)]).0, [0, 1, 2]);
    }

    #[test]
    fn the_total_goes_when_nothing_else_can() {
        assert_eq!(shown((20, 0), &[(0, 0), (10, 3)]).0, [1]);
    }
}
