//! What joint cells of honest hospitals always satisfy. Each check answers with the block that breaks it.
//!
//! It finds accidents and clumsy forgeries, not lies: a hospital that invents patients consistently is not found here.

use consilium_protocol::study::StudySpec;

use super::Rule;
use super::lines::Line;
use super::suppression::Counts;
use crate::statistics::{Content, Layout, Scale};

/// Looks at every bundle by itself, at its sums only where no rule hides them.
pub(super) fn check_bundles(
    spec: &StudySpec,
    layout: &Layout,
    cells: &[i64],
    sum_rules: &[Option<Rule>],
    roster: usize,
) -> Result<(), usize> {
    for block in layout.all_blocks() {
        let variable = spec.statistics[block.statistic].kind.variable().and_then(|name| spec.variable(name));
        let range = variable.and_then(Scale::of).map_or(0, |scale| i128::from(scale.range));
        for position in block.bundles.clone() {
            let bundle = &layout.bundles()[position];
            let content = if sum_rules[position].is_some() { Content::Count } else { bundle.content };
            if !is_sound(content, &cells[bundle.cells()], range, roster) {
                return Err(block.statistic);
            }
        }
    }
    Ok(())
}

/// n is not negative; not more hospitals held back than there are, and when all did there is nothing left; every x is
/// from 0 to `range`, hence 0 ≤ Σx ≤ n·range and Σx ≤ Σx² ≤ range·Σx; and (Σx)² ≤ n·Σx² (Cauchy and Schwarz).
fn is_sound(content: Content, cells: &[i64], range: i128, roster: usize) -> bool {
    let at = |i: usize| i128::from(cells[i]);
    let (n, withheld, roster) = (at(0), at(cells.len() - 1), roster as i128);
    let counts = n >= 0 && (0..=roster).contains(&withheld) && (withheld < roster || n == 0);
    // 64-bit numbers: products of two fit 128 bits.
    let sum = || (0..=n * range).contains(&at(1));
    let squares = || (at(1)..=at(1) * range).contains(&at(2)) && at(1) * at(1) <= n * at(2);
    counts
        && match content {
            Content::Count => true,
            Content::Sum => sum(),
            Content::Squares => sum() && squares(),
        }
}

/// Looks at what must add up. What a hospital holds back of a bundle it also holds back of every part of it, so parts
/// never exceed their whole; and bundles about the same subjects are equal.
pub(super) fn check_lines(lines: &[Line], counts: &Counts) -> Result<(), usize> {
    for line in lines {
        let [a, b] = &line.sides;
        let [sum_a, sum_b] = [a, b].map(|side| counts.sum(side));
        let fine = match (a.as_slice(), b.as_slice()) {
            ([a], [b]) => counts.of_bundle(*a) == counts.of_bundle(*b),
            ([_], _) => sum_a >= sum_b,
            (_, [_]) => sum_a <= sum_b,
            _ => true,
        };
        if !fine {
            return Err(line.blocks[1]);
        }
    }
    Ok(())
}

/// Looks at tables of which everything may be seen: each counts everybody once.
pub(super) fn check_totals(layout: &Layout, counts: &Counts, count_rules: &[Option<Rule>]) -> Result<(), usize> {
    let whole = layout.all_blocks().filter(|block| count_rules[block.bundles.clone()].iter().all(Option::is_none));
    let totals: Vec<(usize, i128)> =
        whole.map(|block| (block.statistic, counts.sum(&block.bundles.clone().collect::<Vec<_>>()))).collect();
    match totals.iter().find(|(_, total)| *total != totals[0].1) {
        Some((statistic, _)) => Err(*statistic),
        None => Ok(()),
    }
}

/// Looks at merged groups: where all of a group's parts may be seen, it is their sum; and it never is less than those that may.
pub(super) fn check_coarser(
    layout: &Layout,
    cells: &[i64],
    count_rules: &[Option<Rule>],
    sum_rules: &[Option<Rule>],
) -> Result<(), usize> {
    for block in layout.coarser() {
        for (bundle, parts) in block.bundles.clone().zip(layout.parts_of_coarser(block)) {
            let own = layout.bundles()[bundle].cells();
            for (place, cell) in own.enumerate() {
                let rules = if place == 0 { count_rules } else { sum_rules };
                let seen: Vec<usize> = parts.iter().copied().filter(|part| rules[*part].is_none()).collect();
                let sum: i128 =
                    seen.iter().map(|part| i128::from(cells[layout.bundles()[*part].first_cell + place])).sum();
                let whole = i128::from(cells[cell]);
                let fits = if seen.len() == parts.len() { sum == whole } else { sum <= whole };
                if rules[bundle].is_none() && !fits {
                    return Err(block.statistic);
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::guarded::tests::{joint, study};
    use super::*;

    #[test]
    fn hidden_sums_are_not_looked_at() {
        let spec = study("[[statistic]]\nname = \"m\"\nkind = \"mean\"\nof = \"x\"\n");
        let layout = Layout::of(&spec).expect("a valid study");
        let (rules, hidden) = (vec![None; 2], vec![Some(Rule::LittleSpread), None]);
        let check = |cells: &[i64], rules: &[Option<Rule>]| check_bundles(&spec, &layout, cells, rules, 3);
        assert_eq!(check(&[20, 400, 0, 4, 0], &rules), Ok(()));
        assert_eq!(check(&[20, -1, 0, 4, 0], &rules), Err(0));
        assert_eq!(check(&[20, -1, 0, 4, 0], &hidden), Ok(()));
        assert_eq!(check(&[-20, 0, 0, 4, 0], &hidden), Err(0));
    }

    #[test]
    fn parts_never_exceed_their_whole_whichever_comes_first() {
        let count = |name: &str, by: &str| format!("[[statistic]]\nname = \"{name}\"\nkind = \"count\"\nby = [{by}]\n");
        let layout =
            Layout::of(&study(&(count("g", "\"g\"") + &count("all", "") + &count("h", "\"h\"") + &count("same", ""))));
        let layout = layout.expect("a valid study");
        // By g, all, by h, all again.
        let check = |g: i64, all: i64, h: i64, same: i64| {
            let cells = joint(&layout, |bundle, _| [g, 10, 0, 0, all, h, 10, 0, 0, same][bundle]);
            check_lines(&super::super::lines::of(&layout), &Counts::of(&layout, &cells))
        };
        assert_eq!(check(20, 30, 20, 30), Ok(()));
        assert_eq!(check(19, 30, 18, 30), Ok(()), "the rest was held back");
        assert_eq!(check(21, 30, 20, 30), Err(1));
        assert_eq!(check(20, 30, 21, 30), Err(2));
        assert_eq!(check(20, 30, 20, 31), Err(3));
    }

    #[test]
    fn merged_groups_are_the_sums_of_their_parts() {
        let spec = study("[[statistic]]\nname = \"m\"\nkind = \"mean\"\nof = \"x\"\nby = [\"g\"]\n");
        let layout = Layout::of(&spec).expect("a valid study");
        let sound = joint(&layout, |bundle, place| 20 * (bundle as i64 + 1) * (place as i64 + 1));
        let none = vec![None; layout.bundles().len()];
        let with = |bundle: usize| {
            let mut rules = none.clone();
            rules[bundle] = Some(Rule::SmallCountOrPart);
            rules
        };
        let check = |of: &[(usize, i64)], rules: &[Option<Rule>], sum_rules: &[Option<Rule>]| {
            let mut cells = sound.clone();
            of.iter().for_each(|(cell, more)| cells[*cell] += more);
            check_coarser(&layout, &cells, rules, sum_rules)
        };
        assert_eq!(check(&[], &none, &none), Ok(()));
        // The first, other and missing, who have x.
        let merged = layout.coarser()[0].bundles.start;
        let first_part = layout.parts_of_coarser(&layout.coarser()[0])[0][0];
        let n = layout.bundles()[merged].first_cell;
        let own = layout.bundles()[first_part].first_cell;
        for (cell, more) in [(n, 1), (n, -1), (n + 1, 1), (n + 1, -1)] {
            assert_eq!(check(&[(cell, more)], &none, &none), Err(0), "{cell} {more}");
            assert_eq!(check(&[(cell, more)], &with(merged), &with(merged)), Ok(()), "{cell} {more}, hidden");
        }
        // Of a part that is hidden nothing is known but that it is not negative.
        let hidden = with(first_part);
        assert_eq!(check(&[(own, 7), (own + 1, -9)], &hidden, &hidden), Ok(()));
        let [parts_n, parts_sum] = [0, 1].map(|place| sound[own + place]);
        assert_eq!(check(&[(n, -parts_n), (n + 1, -parts_sum)], &hidden, &hidden), Ok(()));
        assert_eq!(check(&[(n, -parts_n - 1)], &hidden, &hidden), Err(0));
        assert_eq!(check(&[(n + 1, -parts_sum - 1)], &hidden, &hidden), Err(0));
        // Where its sum alone is hidden, the counts add up.
        assert_eq!(check(&[(own + 1, 9)], &none, &hidden), Ok(()));
        assert_eq!(check(&[(n, -1)], &none, &hidden), Err(0));
    }

    #[test]
    fn bundles_at_and_over_each_bound() {
        let sound = |content, cells: &[i64]| is_sound(content, cells, 10, 4);
        for cells in [[0, 0], [0, 4], [7, 3]] {
            assert!(sound(Content::Count, &cells), "{cells:?}");
        }
        for cells in [[-1, 0], [0, -1], [0, 5], [7, 4]] {
            assert!(!sound(Content::Count, &cells), "{cells:?}");
        }
        for cells in [[0, 0, 0], [3, 0, 0], [3, 30, 0]] {
            assert!(sound(Content::Sum, &cells), "{cells:?}");
        }
        for cells in [[0, 1, 0], [3, -1, 0], [3, 31, 0]] {
            assert!(!sound(Content::Sum, &cells), "{cells:?}");
        }
        for cells in [[0, 0, 0, 0], [2, 4, 8, 0], [2, 10, 100, 0], [1, 10, 100, 0]] {
            assert!(sound(Content::Squares, &cells), "{cells:?}");
        }
        // Below Cauchy's bound, above range times the sum, below the sum, and more than i64 can multiply.
        for cells in [[2, 4, 7, 0], [20, 10, 101, 0], [20, 10, 9, 0], [1, i64::MAX, i64::MAX, 0]] {
            assert!(!sound(Content::Squares, &cells), "{cells:?}");
        }
    }
}
