//! The finest blocks of a study, in an order in which each meets all earlier ones in one of them.
//!
//! Taking every step of refinement of every column as a vertex, a block is a set of vertices, and what two blocks have in
//! common is the intersection. If the hypergraph of the finest blocks is acyclic, a spanning tree of the greatest total
//! intersection is a *join tree*: what a block has in common with any block before it, it has in common with its parent.
//! If it is not, there is a ring, like the three two-way tables of three columns. From a ring, counts of groups follow
//! that nobody asked for and no bit guards: n(A1,B1) - n(B1,C1) + n(A2,C1) counts "A1, B1, not C1" and "A2, not B1, C1".
//!
//! Source: C. Beeri, R. Fagin, D. Maier and M. Yannakakis, "On the Desirability of Acyclic Database Schemes", Journal of
//! the ACM 30, 1983, theorem 3.4 (with the reduction of Graham, Yu and Özsoyoğlu); P. A. Bernstein and N. Goodman, "Power
//! of Natural Semijoins", SIAM Journal on Computing 10, 1981, for trees of the greatest weight.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::Rings;
use super::grid::{Grid, Levels};

/// One of the finest blocks, or several that are in a ring and are treated as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Root {
    /// Their positions.
    pub(super) blocks: Vec<usize>,
    /// The coarsest levels that refine them all.
    pub(super) levels: Levels,
    /// The position of the earlier root through which it meets all earlier ones; the first has none.
    pub(super) parent: Option<usize>,
}

/// Blocks, and columns by which they are in a ring.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ring {
    pub(super) blocks: Vec<usize>,
    pub(super) columns: Vec<usize>,
}

/// The first block of each partition that several blocks may have.
pub(super) fn distinct(grid: &Grid) -> Vec<usize> {
    let levels = |block: usize| &grid.partitions[block].levels;
    (0..grid.partitions.len()).filter(|block| (0..*block).all(|earlier| levels(earlier) != levels(*block))).collect()
}

/// The blocks that no other refines, the one with the most groups first, each after its parent.
///
/// # Errors
/// A [`Ring`], if there is one and it is refused.
pub(super) fn roots(grid: &Grid, rings: Rings) -> Result<Vec<Root>, Ring> {
    let levels = |block: usize| &grid.partitions[block].levels;
    let all = distinct(grid);
    let is_finest = |block: &usize| all.iter().all(|other| other == block || !levels(*other).refines(levels(*block)));
    let finest = all.iter().copied().filter(is_finest);
    let mut loose: Vec<Root> =
        finest.map(|block| Root { blocks: vec![block], levels: levels(block).clone(), parent: None }).collect();
    loop {
        let tree = grow(grid, &loose);
        if is_join_tree(&tree) {
            return Ok(tree);
        }
        let (core, columns) = core(&loose);
        let (ring, mut rest): (Vec<_>, Vec<_>) =
            loose.into_iter().enumerate().partition(|(position, _)| core.contains(position));
        let mut blocks: Vec<usize> = ring.iter().flat_map(|(_, root)| root.blocks.clone()).collect();
        blocks.sort_unstable();
        // A hypergraph without a join tree has a core of three edges or more: each round leaves fewer roots.
        if rings == Rings::Refuse || ring.len() < 2 {
            return Err(Ring { blocks, columns });
        }
        let nothing = Levels(vec![0; grid.columns.len()]);
        let levels = ring.iter().fold(nothing, |levels, (_, root)| levels.join(&root.levels));
        rest.push((0, Root { blocks, levels, parent: None }));
        loose = rest.into_iter().map(|(_, root)| root).collect();
    }
}

/// A spanning tree of the greatest total intersection, parents first (R. C. Prim, "Shortest Connection Networks and Some
/// Generalizations", Bell System Technical Journal 36, 1957).
fn grow(grid: &Grid, loose: &[Root]) -> Vec<Root> {
    let size = |root: &Root| root.blocks.iter().map(|block| grid.partitions[*block].groups.len()).sum::<usize>();
    let mut rest: Vec<&Root> = loose.iter().collect();
    let mut tree: Vec<Root> = Vec::new();
    while !rest.is_empty() {
        let parents = || (0..tree.len()).map(Some).chain(tree.is_empty().then_some(None));
        let pairs = (0..rest.len()).flat_map(|next| parents().map(move |parent| (next, parent)));
        let weight = |next: usize, parent: Option<usize>| {
            parent.map_or(0, |parent| rest[next].levels.meet(&tree[parent].levels).rank())
        };
        let best = pairs.max_by_key(|(next, parent)| {
            (weight(*next, *parent), size(rest[*next]), Reverse(rest[*next].blocks[0]), Reverse(*parent))
        });
        let Some((next, parent)) = best else { break };
        tree.push(Root { parent, ..rest.remove(next).clone() });
    }
    tree
}

/// Whether what each root has in common with any earlier one it has in common with its parent.
fn is_join_tree(tree: &[Root]) -> bool {
    tree.iter().enumerate().all(|(position, root)| {
        root.parent.is_none_or(|parent| {
            let meets = tree[..position].iter().map(|earlier| root.levels.meet(&earlier.levels));
            meets.into_iter().all(|meet| tree[parent].levels.refines(&meet))
        })
    })
}

/// The positions of what is left, and the columns, of a hypergraph with a ring when all that hangs on is taken off.
fn core(roots: &[Root]) -> (BTreeSet<usize>, Vec<usize>) {
    let vertices = |root: &Root| -> BTreeSet<(usize, usize)> {
        let steps = |(column, level): (usize, &usize)| (1..=*level).map(move |step| (column, step));
        root.levels.0.iter().enumerate().flat_map(steps).collect()
    };
    let mut edges: BTreeMap<usize, BTreeSet<(usize, usize)>> = roots.iter().map(vertices).enumerate().collect();
    loop {
        let mut uses: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        edges.values().flatten().for_each(|vertex| *uses.entry(*vertex).or_default() += 1);
        let lone = uses.values().any(|uses| *uses == 1);
        edges.values_mut().for_each(|edge| edge.retain(|vertex| uses[vertex] > 1));
        let within = edges
            .iter()
            .find(|(root, edge)| edges.iter().any(|(other, whole)| other != *root && edge.is_subset(whole)));
        match within.map(|(root, _)| *root) {
            Some(root) => drop(edges.remove(&root)),
            None if !lone => break,
            None => {}
        }
    }
    let columns: BTreeSet<usize> = edges.values().flatten().map(|(column, _)| *column).collect();
    (edges.into_keys().collect(), columns.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disclosure::dependence::oracle::{COUNT, statistic, study};
    use crate::statistics::Layout;

    type Hung = (Vec<usize>, Option<usize>);

    /// The blocks of each root and its parent, of a study of counts by these.
    fn tree(by: &[&[&str]], rings: Rings) -> Result<Vec<Hung>, Ring> {
        let statistics: String = (0..).zip(by).map(|(name, by)| statistic(&i32::to_string(&name), COUNT, by)).collect();
        let spec = study(&statistics);
        let grid = Grid::of(&spec, &Layout::of(&spec).expect("a valid study")).expect("nested");
        Ok(roots(&grid, rings)?.into_iter().map(|root| (root.blocks, root.parent)).collect())
    }

    #[test]
    fn each_root_hangs_on_the_one_it_shares_most_with() {
        let alone = |blocks: &[usize], parents: &[Option<usize>]| -> Vec<Hung> {
            blocks.iter().map(|block| vec![*block]).zip(parents.iter().copied()).collect()
        };
        let chain = tree(&[&["g", "x"], &["h", "m"], &["g", "h"]], Rings::Refuse);
        assert_eq!(chain, Ok(alone(&[0, 2, 1], &[None, Some(0), Some(1)])));
        let margins = tree(&[&[], &["g"], &["g", "h"], &["h"], &["g", "h"]], Rings::Refuse);
        assert_eq!(margins, Ok(alone(&[2], &[None])));
        let strangers = tree(&[&["g"], &["h"], &["m"]], Rings::Refuse);
        assert_eq!(strangers, Ok(alone(&[0, 1, 2], &[None, Some(0), Some(0)])));
    }

    #[test]
    fn a_ring_is_refused_or_made_one() {
        let ring: [&[&str]; 5] = [&["g", "h"], &["x", "m"], &["h", "m"], &["g", "m"], &["h"]];
        // Not what only hangs on it.
        assert_eq!(tree(&ring, Rings::Refuse), Err(Ring { blocks: vec![0, 2, 3], columns: vec![0, 1, 3] }));
        assert_eq!(tree(&ring, Rings::Together), Ok(vec![(vec![0, 2, 3], None), (vec![1], Some(0))]));
    }
}
