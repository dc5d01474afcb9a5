//! Which numbers of a study add up to which others.
//!
//! Every block counts every subject in exactly one bundle, so it is a partition of the cohort. Two partitions have a
//! finest common coarsening, and each of its classes is, at once, a sum of bundles of the one block and a sum of bundles
//! of the other: a *line*. A total and its breakdown are the simplest case; a crosstab and one of its margins, a mean's
//! *present* and a histogram's intervals, and two breakdowns whose common total nobody asked for are others.
//!
//! The common coarsening of two tables is taken axis by axis, over the columns that both cut: parts of the two cuts
//! that overlap, directly or by way of others, belong together.

use crate::statistics::{Axis, Block, Layout, Part, spans};

/// Bundles of one block and bundles of another that are about the same subjects, by their positions in the layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The positions of the two blocks.
    pub(super) blocks: [usize; 2],
    /// The bundles of each.
    pub(super) sides: [Vec<usize>; 2],
}

/// All lines of a study.
pub(super) fn of(layout: &Layout) -> Vec<Line> {
    let blocks = layout.blocks();
    let pairs = (0..blocks.len()).flat_map(|j| (0..j).map(move |i| [i, j]));
    pairs.flat_map(|pair| between(blocks, pair)).collect()
}

fn between(blocks: &[Block], pair: [usize; 2]) -> Vec<Line> {
    let both = pair.map(|block| &blocks[block]);
    let meets = shared_axes(both);
    let count = meets.iter().map(|meet| meet.classes).product::<usize>();
    let mut lines = vec![Line { blocks: pair, sides: [Vec::new(), Vec::new()] }; count];
    for (side, block) in both.into_iter().enumerate() {
        for position in 0..block.bundles.len() {
            let parts = block.parts_of(position);
            let class = |meet: &Meet| meet.class_of[side][parts[meet.axis[side]]];
            let line = meets.iter().fold(0, |line, meet| line * meet.classes + class(meet));
            lines[line].sides[side].push(block.bundles.start + position);
        }
    }
    lines
}

/// The finest common coarsening of an axis of one block and an axis of the other on the same column.
struct Meet {
    axis: [usize; 2],
    class_of: [Vec<usize>; 2],
    classes: usize,
}

fn shared_axes([a, b]: [&Block; 2]) -> Vec<Meet> {
    let first_of = |block: &Block, column: &str| block.axes.iter().position(|axis| axis.column == column);
    let mut meets = Vec::new();
    for (i, axis) in a.axes.iter().enumerate() {
        // A block may cut one column twice; the first cut is a partition, too.
        let repeated = first_of(a, &axis.column) != Some(i);
        if let Some(j) = first_of(b, &axis.column).filter(|_| !repeated) {
            meets.push(meet([i, j], axis, &b.axes[j]));
        }
    }
    meets
}

fn meet(axis: [usize; 2], a: &Axis, b: &Axis) -> Meet {
    if a.parts == b.parts {
        let identity: Vec<usize> = (0..a.parts.len()).collect();
        return Meet { axis, classes: identity.len(), class_of: [identity.clone(), identity] };
    }
    const UNSEEN: usize = usize::MAX;
    let mut class_of = [vec![UNSEEN; a.parts.len()], vec![UNSEEN; b.parts.len()]];
    let mut classes = 0;
    for start in 0..a.parts.len() {
        if class_of[0][start] != UNSEEN {
            continue;
        }
        let mut open = vec![(0, start)];
        while let Some((side, part)) = open.pop() {
            if class_of[side][part] == UNSEEN {
                class_of[side][part] = classes;
                let (own, others) = if side == 0 { (&a.parts, &b.parts) } else { (&b.parts, &a.parts) };
                let overlapping = (0..others.len()).filter(|other| overlap(&own[part], &others[*other]));
                open.extend(overlapping.map(|other| (1 - side, other)));
            }
        }
        classes += 1;
    }
    Meet { axis, class_of, classes }
}

/// Whether a value can be in both parts, which belong to different cuts of a column. When in doubt, yes: then the line
/// is about more subjects, but still true.
fn overlap(a: &Part, b: &Part) -> bool {
    match (a, b) {
        (Part::Missing, Part::Missing) => true,
        (Part::Missing, _) | (_, Part::Missing) => false,
        _ => match (spans(a), spans(b)) {
            (Some(a), Some(b)) => a.iter().any(|one| b.iter().any(|other| one.meets(other))),
            _ => true,
        },
    }
}

#[cfg(test)]
mod tests {
    use consilium_protocol::study::StudySpec;

    use super::*;

    fn lines(statistics: &str) -> Vec<[Vec<usize>; 2]> {
        let text = format!(
            "version = 1\ntitle = \"T\"\ndescription = \"D\"\npurpose = \"HMB\"\ndeclares = []\nprotection = \"open\"\n\
             [cohort]\nsql = \"SELECT 1\"\nsubject = \"id\"\n\
             [[variable]]\nname = \"x\"\nmin = 0\nmax = 10\nresolution = 1\n\
             [[dimension]]\nname = \"x\"\nedges = [0, 10]\n\
             [[dimension]]\nname = \"g\"\nvalues = [1]\n\
             [[dimension]]\nname = \"h\"\nvalues = [1]\n{statistics}"
        );
        let spec = StudySpec::from_toml(&text).expect("a valid study");
        of(&Layout::of(&spec).expect("a valid study")).into_iter().map(|line| line.sides).collect()
    }

    fn statistic(name: u8, rest: &str) -> String {
        format!("[[statistic]]\nname = \"{name}\"\n{rest}\n")
    }

    #[test]
    fn a_total_is_the_sum_of_its_breakdown() {
        let two = statistic(1, "kind = \"count\"") + &statistic(2, "kind = \"count\"\nby = [\"g\"]");
        assert_eq!(lines(&two), [[vec![0], vec![1, 2, 3]]]);
    }

    #[test]
    fn breakdowns_share_the_total_that_nobody_asked_for() {
        let two = statistic(1, "kind = \"count\"\nby = [\"h\"]") + &statistic(2, "kind = \"count\"\nby = [\"g\"]");
        assert_eq!(lines(&two), [[vec![0, 1, 2], vec![3, 4, 5]]]);
    }

    #[test]
    fn a_margin_is_a_sum_of_the_crosstab_row_by_row() {
        let two =
            statistic(1, "kind = \"count\"\nby = [\"h\"]") + &statistic(2, "kind = \"crosstab\"\nby = [\"g\", \"h\"]");
        assert_eq!(lines(&two), [[vec![0], vec![3, 6, 9]], [vec![1], vec![4, 7, 10]], [vec![2], vec![5, 8, 11]]]);
    }

    #[test]
    fn cuts_of_one_column_meet_where_their_edges_do() {
        // Intervals <0, 0 to <5, 5 to <20, >=20, missing; the dimension has 0 to <10, other, missing.
        let histogram = statistic(1, "kind = \"histogram\"\nof = \"x\"\nedges = [0, 5, 20]");
        let two = histogram.clone() + &statistic(2, "kind = \"count\"\nby = [\"x\"]");
        assert_eq!(lines(&two), [[vec![0, 1, 2, 3], vec![5, 6]], [vec![4], vec![7]]]);
        let finer = statistic(1, "kind = \"histogram\"\nof = \"x\"\nedges = [0, 5, 10]");
        let two = finer + &statistic(2, "kind = \"count\"\nby = [\"x\"]");
        assert_eq!(lines(&two), [[vec![0, 3], vec![6]], [vec![1, 2], vec![5]], [vec![4], vec![7]]]);
        // Whoever has the variable is present.
        let two = histogram + &statistic(2, "kind = \"mean\"\nof = \"x\"");
        assert_eq!(lines(&two), [[vec![0, 1, 2, 3], vec![5]], [vec![4], vec![6]]]);
    }
}
