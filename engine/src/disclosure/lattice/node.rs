//! The partitions of a guarded study, as levels of its columns.
//!
//! As the cuts of a column are nested, a partition is one level per column, and whether one refines another, or what their
//! finest common coarsening is, is told by comparing levels. *Nodes* are the partitions that statistics are by, what these
//! have in common, and the total.

use std::collections::{BTreeMap, BTreeSet};

use crate::statistics::{Axis, Block, Column, Layout};

/// One level per column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::disclosure) struct Levels(pub(in crate::disclosure) Vec<usize>);

impl Levels {
    /// Whether each part of the other partition is a union of parts of this one.
    pub(in crate::disclosure) fn refines(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(own, other)| own >= other)
    }

    /// The finest common coarsening.
    pub(in crate::disclosure) fn meet(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(own, other)| *own.min(other)).collect())
    }

    /// The coarsest levels that refine both.
    pub(in crate::disclosure) fn join(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(own, other)| *own.max(other)).collect())
    }

    /// How fine a partition is, by the number of steps of refinement.
    pub(in crate::disclosure) fn rank(&self) -> usize {
        self.0.iter().sum()
    }

    /// The columns that are cut.
    pub(in crate::disclosure) fn cut(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().filter(|(_, level)| **level > 0).map(|(column, _)| column)
    }

    /// These, with one column at another level.
    pub(in crate::disclosure) fn with(&self, column: usize, level: usize) -> Self {
        let mut levels = self.clone();
        levels.0[column] = level;
        levels
    }
}

/// A set of subjects: for each column a set of atoms, by its position among the different sets that its levels have. 0 is all
/// of them.
pub(in crate::disclosure) type Key = Vec<u32>;

/// Columns, and the sets of atoms that their levels are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::disclosure) struct Sets<'a> {
    pub(in crate::disclosure) columns: &'a [Column],
    /// By column, level and class the set.
    of_class: Vec<Vec<Vec<u32>>>,
    /// By column the atoms of each set, ascending.
    pub(in crate::disclosure) atoms: Vec<Vec<Vec<usize>>>,
}

impl<'a> Sets<'a> {
    pub(in crate::disclosure) fn of(columns: &'a [Column]) -> Self {
        let (mut of_class, mut atoms) = (Vec::new(), Vec::new());
        for column in columns {
            let mut known: Vec<Vec<usize>> = vec![(0..column.atoms.len()).collect()];
            let mut places: BTreeMap<Vec<usize>, u32> = BTreeMap::from([(known[0].clone(), 0)]);
            let mut of_level = Vec::new();
            for level in &column.levels {
                let mut classes = vec![Vec::new(); level.classes];
                level.class_of.iter().enumerate().for_each(|(atom, class)| classes[*class].push(atom));
                let sets = classes.into_iter().map(|class| {
                    *places.entry(class.clone()).or_insert_with(|| {
                        known.push(class);
                        known.len() as u32 - 1
                    })
                });
                of_level.push(sets.collect());
            }
            of_class.push(of_level);
            atoms.push(known);
        }
        Self { columns, of_class, atoms }
    }

    /// The groups of a partition, the last column running fastest.
    pub(in crate::disclosure) fn groups(&self, levels: &Levels) -> Vec<Key> {
        let mut groups: Vec<Key> = vec![Vec::with_capacity(levels.0.len())];
        for (column, level) in levels.0.iter().enumerate() {
            let sets = &self.of_class[column][*level];
            groups =
                groups.iter().flat_map(|group| sets.iter().map(move |set| [&group[..], &[*set]].concat())).collect();
        }
        groups
    }

    /// How many groups a partition has.
    pub(in crate::disclosure) fn size(&self, levels: &Levels) -> usize {
        let of_column = |(column, level): (usize, &usize)| self.of_class[column][*level].len();
        levels.0.iter().enumerate().map(of_column).fold(1, usize::saturating_mul)
    }

    /// The group of a partition that holds a group of a finer one.
    pub(in crate::disclosure) fn coarsened(&self, group: &Key, levels: &Levels) -> Key {
        let class = |(column, (set, level)): (usize, (&u32, &usize))| {
            let first = self.atoms[column][*set as usize][0];
            self.of_class[column][*level][self.columns[column].levels[*level].class_of[first]]
        };
        group.iter().zip(&levels.0).enumerate().map(class).collect()
    }

    /// The set of a class of a column.
    pub(in crate::disclosure) fn set(&self, column: usize, level: usize, class: usize) -> u32 {
        self.of_class[column][level][class]
    }
}

/// A block as a partition: its levels, and for each of its bundles the group, none where nobody can be in it.
///
/// A block may cut one column twice, for example the mean of a variable by intervals of the same variable. The finer cut then
/// counts, and bundles whose two parts exclude each other are empty whatever the data.
pub(in crate::disclosure) fn of_block(sets: &Sets<'_>, block: &Block) -> Option<(Levels, Vec<Option<Key>>)> {
    let level_of = |column: &Column, axis: &Axis| {
        let own = column.level(&axis.parts)?;
        match &axis.merged {
            None => Some(own),
            Some(merged) => (1..own).find(|coarser| column.classes_of(own, *coarser) == *merged),
        }
    };
    let axes = block.axes.iter().map(|axis| {
        let column = sets.columns.iter().position(|column| column.name == axis.column)?;
        Some((column, level_of(&sets.columns[column], axis)?))
    });
    let axes = axes.collect::<Option<Vec<_>>>()?;
    let mut levels = Levels(vec![0; sets.columns.len()]);
    axes.iter().for_each(|(column, level)| levels.0[*column] = levels.0[*column].max(*level));
    let group = |position: usize| {
        let classes = block.parts_of(position);
        let mut key: Key = vec![0; sets.columns.len()];
        for (column, level) in levels.0.iter().enumerate() {
            let own: Vec<u32> = axes
                .iter()
                .zip(&classes)
                .filter(|((of, _), _)| *of == column)
                .map(|((_, level), class)| sets.set(column, *level, *class))
                .collect();
            let atoms = |set: &u32| &sets.atoms[column][*set as usize];
            let Some(least) = own.iter().min_by_key(|set| atoms(set).len()) else { continue };
            debug_assert!(*level > 0);
            if own.iter().any(|other| atoms(least).iter().any(|atom| atoms(other).binary_search(atom).is_err())) {
                return None;
            }
            key[column] = *least;
        }
        Some(key)
    };
    let groups = (0..block.bundles.len()).map(group).collect();
    Some((levels, groups))
}

/// All nodes, coarser ones first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::disclosure) struct Nodes {
    pub(in crate::disclosure) all: Vec<Levels>,
    /// Of each node the coarser ones through which it meets all others, none coarser than another.
    pub(in crate::disclosure) separators: Vec<Vec<Levels>>,
}

impl Nodes {
    /// Closes partitions under what they have in common; with the total, of so many columns, where it is wanted.
    pub(in crate::disclosure) fn closed(partitions: impl IntoIterator<Item = Levels>, total: Option<usize>) -> Self {
        let mut all: BTreeSet<Levels> = BTreeSet::new();
        let mut open: Vec<Levels> = partitions.into_iter().collect();
        open.extend(total.map(|columns| Levels(vec![0; columns])));
        while let Some(next) = open.pop() {
            if all.contains(&next) {
                continue;
            }
            let meets = all.iter().map(|other| next.meet(other)).filter(|meet| *meet != next && !all.contains(meet));
            open.extend(meets.collect::<BTreeSet<_>>());
            all.insert(next);
        }
        let mut all: Vec<Levels> = all.into_iter().collect();
        all.sort_by_key(|levels| (levels.rank(), levels.clone()));
        let separators = all.iter().map(|node| separators(node, &all)).collect();
        Self { all, separators }
    }

    /// Without these, and their meets with others: what a ring stands for itself.
    pub(in crate::disclosure) fn separators_without(&self, node: &Levels, without: &BTreeSet<Levels>) -> Vec<Levels> {
        let rest: Vec<Levels> = self.all.iter().filter(|other| !without.contains(other)).cloned().collect();
        separators(node, &rest)
    }
}

fn separators(node: &Levels, all: &[Levels]) -> Vec<Levels> {
    let others = all.iter().filter(|other| !other.refines(node));
    let meets: BTreeSet<Levels> = others.map(|other| node.meet(other)).collect();
    let is_finest = |meet: &&Levels| meets.iter().all(|other| other == *meet || !other.refines(meet));
    meets.iter().filter(is_finest).cloned().collect()
}

/// What is left of these partitions when everything is taken off that hangs on, taking every step of refinement of every column
/// as a vertex: nothing when no part of them is a ring (they are β-acyclic). Else the partitions that are in rings, by their
/// positions, and the columns that tie them.
///
/// Source: R. Fagin, "Degrees of Acyclicity for Hypergraphs and Relational Database Schemes", Journal of the ACM 30, 1983; J.
/// Brault-Baron, "Hypergraph Acyclicity Revisited", ACM Computing Surveys 49, 2016, for elimination of nest points.
pub(in crate::disclosure) fn rings(partitions: &[Levels]) -> (BTreeSet<usize>, BTreeSet<usize>) {
    type Vertex = (usize, usize);
    let steps =
        |(column, level): (usize, &usize)| (1..=*level).map(move |step| (column, step)).collect::<Vec<Vertex>>();
    let mut edges: Vec<BTreeSet<Vertex>> =
        partitions.iter().map(|levels| levels.0.iter().enumerate().flat_map(steps).collect()).collect();
    let mut vertices: BTreeSet<Vertex> = edges.iter().flatten().copied().collect();
    loop {
        let is_nest_point = |vertex: &&Vertex| {
            let mut holding: Vec<&BTreeSet<Vertex>> = edges.iter().filter(|edge| edge.contains(*vertex)).collect();
            holding.sort_by_key(|edge| edge.len());
            holding.windows(2).all(|pair| pair[0].is_subset(pair[1]))
        };
        let Some(vertex) = vertices.iter().find(is_nest_point).copied() else { break };
        vertices.remove(&vertex);
        for edge in &mut edges {
            edge.remove(&vertex);
        }
    }
    let columns = |edge: &BTreeSet<Vertex>| edge.iter().map(|(column, _)| *column).collect::<BTreeSet<_>>().len();
    let core = edges.iter().enumerate().filter(|(_, edge)| columns(edge) > 1).map(|(position, _)| position).collect();
    (core, vertices.into_iter().map(|(column, _)| column).collect())
}

/// The nodes of all blocks of a study, with the levels of each block, in the order of [`Layout::all_blocks`].
pub(in crate::disclosure) fn blocks(sets: &Sets<'_>, layout: &Layout) -> Option<Vec<(Levels, Vec<Option<Key>>)>> {
    layout.all_blocks().map(|block| of_block(sets, block)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::oracle::Random;
    use super::*;

    fn levels(of: &[&[usize]]) -> Vec<Levels> {
        of.iter().map(|levels| Levels(levels.to_vec())).collect()
    }

    #[test]
    fn rings_are_found_and_what_hangs_on_them_is_not_in_them() {
        let rings = |of: &[&[usize]]| {
            let (core, by) = rings(&levels(of));
            (core.into_iter().collect::<Vec<_>>(), by.into_iter().collect::<Vec<_>>())
        };
        let none = (Vec::new(), Vec::new());
        assert_eq!(rings(&[&[1, 1, 0], &[0, 1, 1], &[1, 0, 1]]), (vec![0, 1, 2], vec![0, 1, 2]));
        assert_eq!(rings(&[&[1, 1, 0], &[0, 1, 1], &[1, 1, 1]]), none, "a chain");
        assert_eq!(rings(&[&[1, 1, 0], &[0, 1, 1], &[1, 0, 1], &[1, 1, 1]]).0, [0, 1, 2, 3], "whatever covers it");
        assert_eq!(rings(&[&[2, 2], &[1, 3], &[3, 1]]), none, "of two columns");
        // The third column stands alone, the fourth hangs on one side.
        let hanging: [&[usize]; 5] = [&[1, 1, 0, 0], &[0, 1, 1, 0], &[1, 0, 1, 2], &[0, 0, 1, 0], &[0, 0, 0, 1]];
        assert_eq!(rings(&hanging), (vec![0, 1, 2], vec![0, 1, 2]));
        // In whatever order they come.
        let nested: [&[usize]; 4] = [&[2, 1, 1, 1], &[0, 0, 0, 1], &[1, 1, 0, 1], &[0, 1, 0, 1]];
        assert_eq!(rings(&nested), none);
        let crossed: [&[usize]; 3] = [&[0, 2, 1], &[1, 1, 0], &[0, 1, 2]];
        assert_eq!(rings(&crossed), none);
    }

    #[test]
    fn a_ring_taken_as_one_partition_leaves_no_ring() {
        let (mut random, mut found) = (Random(1), 0);
        for _ in 0..20_000 {
            let columns = 3 + random.below(3) as usize;
            let partition = |random: &mut Random| {
                Levels((0..columns).map(|_| random.below(6).saturating_sub(3) as usize).collect())
            };
            let all: Vec<Levels> = (0..2 + random.below(7)).map(|_| partition(&mut random)).collect();
            let (core, _) = rings(&all);
            let Some(whole) = core.iter().map(|position| all[*position].clone()).reduce(|a, b| a.join(&b)) else {
                continue;
            };
            found += 1;
            let rest =
                all.iter().enumerate().filter(|(position, _)| !core.contains(position)).map(|(_, levels)| levels);
            let tied: Vec<Levels> = rest.cloned().chain([whole]).collect();
            assert!(rings(&tied).0.is_empty(), "{all:?}");
        }
        assert!(found > 1_000, "{found} rings");
    }
}
