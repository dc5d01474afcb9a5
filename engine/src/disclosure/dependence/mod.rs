//! Which groups of a guarded study wait for which.
//!
//! In a guarded study the joint count n of a *group* (a bundle of cells) is compared with k under encryption, and nobody
//! learns more of it than one bit: b = 1 when the group *passes*, that is n ≥ k, or n = 0 where zeros are shown. So which
//! groups are kept back for the sake of others cannot depend on counts. It is a circuit over the b, made of ANDs alone,
//! and follows from the study:
//!
//! 1. All cuts of one column are nested ([`cuts`]), or the study is refused.
//! 2. The *roots* are the blocks that no other refines; blocks of the same groups count once. If some are in a ring, the
//!    study is refused, or they are tied together as one root ([`Rings`]). Then roots have an order in which each root
//!    R has a *parent* P, and meets all earlier roots in it ([`tree`]): R ∧ Q is refined by P for every earlier root Q,
//!    where ∧ is the finest common coarsening.
//! 3. Groups of the first root stand alone: each is released when it passes. Of any other root R, all groups in one class
//!    of R ∧ P stand and fall together: they are released when they all pass and all of P's groups in the class are
//!    released. Tied roots stand and fall as a whole.
//! 4. A group of another block is the union of groups of each root that refines its block. It is released when these are.
//!    Its own bit is not needed: a union of groups that pass passes.
//! 5. A group may be a union of groups of a root that does not refine its block, too, for example those without a
//!    variable. Then these must pass as well, and if it is of a root, it passes when they do.
//! 6. Sums (Σx, Σx²) stand and fall with their n, and with the ends of their variable, for which
//!    [`guarded`](super::guarded) lets them wait in addition.
//!
//! # What this guarantees
//!
//! An *atom* is a combination of the finest parts of all columns. A released number is a sum over atoms.
//!
//! **What can be computed is not small**, unless roots are tied. If the count of any set T of atoms is a linear
//! combination of released counts, then T is a disjoint union of groups that pass. So it counts nobody, or at least k;
//! in particular it is no group that does not pass, and no difference of two released groups is small.
//!
//! *Proof.* By rule 4 only roots matter. Take the last root R, its parent P, and 1_T = f + h with f over R's released
//! groups and h over those of other roots. Within a class of R ∧ P, f depends on R's group, h does not, and every R-group
//! there meets every cell of the other columns. As the sum is 0 or 1 everywhere, f or h is constant in the class. If f is,
//! and not 0, all of R's groups there are released, hence P's are, and f is written with P's. If h is a constant c, then T
//! consists of R-groups there. These have f = 1 - c, the others f = -c. If c = 0, T's are those with f = 1, so they are
//! released. If not, one with f ≠ 0 is released, hence the whole class is, in R and in P; take T's part in the class off
//! T, and c times the class, written with P's groups, off h. What remains of T is over roots before R. That some groups
//! are known to be empty changes nothing: in each class, it takes away R-groups and cells of the others independently. ∎
//!
//! **Nonnegativity does not help.** For every group g that does not pass and is not empty, there is another table of
//! nonnegative whole numbers with the same released counts and another n_g: it has one subject less, or one elsewhere.
//!
//! *Proof.* Let l be the coarsest levels at which g is a cell, a an atom of g with somebody in it, R the first root that
//! refines l. Groups within g that hold a do not pass, so R's group of a does not. If R is the first root, everything
//! released follows from released groups of R or waits for R's group of a class that holds a, so that nothing released
//! counts a: remove the subject. Else R's parent is before R, so in some column c it is coarser than l; so is every
//! earlier root, as it meets R in the parent. Let a' differ from a in c alone, in a part that l's coarser neighbour joins
//! with a's: a' is not in g, but in the same group as a of every earlier root and in the same class of R. No released
//! group of R holds a or a'. A later root that tells a from a' in c has a parent that does, which then is R or later; so
//! by rule 3, and up the tree, its groups of a and a' wait for R's. Any other root has a and a' in one group. So move the
//! subject from a to a'. (Tied roots count as one with the coarsest levels that refine them all, and no group of it holds
//! a or a'.) ∎
//!
//! What it does not do: ranges. The sum of two suppressed groups may be known, which bounds each (to 0..their sum). And
//! like every AND, it is on the safe side: what is kept back here might be harmless for the counts at hand.

mod cuts;
mod grid;
mod sets;
mod tree;

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod oracle;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use consilium_protocol::study::StudySpec;

use crate::statistics::Layout;
use grid::Grid;
use sets::Sets;
use tree::Root;

/// A bit that a hospital's engine computes under encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BitRef {
    /// Whether the group at this position of the layout's bundles passes.
    Group(usize),
    /// The conjunction at this position of [`Dependence::sets`].
    Set(usize),
}

/// A conjunction of at least two bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AndSet {
    /// The bits, in ascending order; sets are earlier ones.
    pub members: Vec<BitRef>,
}

/// What each group of a guarded study waits for; see the module's text for the rule and its proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependence {
    /// The conjunctions, no two alike.
    pub sets: Vec<AndSet>,
    /// One per bundle of the layout: the bit that decides whether it is released.
    pub release: Vec<BitRef>,
}

/// What becomes of statistics that share columns in a ring, like the three two-way tables of three columns.
///
/// A ring is for example a count by sex and age, a mean by sex and the same mean by age: each two share a column, all
/// three none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rings {
    /// The study is refused.
    Refuse,
    /// All groups of the ring stand and fall together. No group that was asked for and does not pass follows, nor a small
    /// difference of nested ones; but sets of atoms that nobody asked for do, and may be small: from three two-way tables,
    /// for instance, "A1, B1, not C1, or A2, B2, C1", if all groups of the tables pass.
    Together,
}

/// Why the groups of a study cannot be guarded. Names come from the study, which is public.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DependenceError {
    /// The layout is of another study.
    #[error("the layout belongs to another study; derive it from the study again")]
    Layout,
    /// Two cuts of one column overlap.
    #[error(
        "statistics `{}` and `{}` cut column `{column}` in ways that are not nested, so that their differences could be \
         small groups; give both the same edges, or the finer one every edge of the coarser", statistics[0], statistics[1]
    )]
    NotNested {
        /// The column.
        column: String,
        /// Two statistics that cut it.
        statistics: [String; 2],
    },
    /// Statistics share columns in a ring.
    #[error(
        "statistics {} are broken down by {} in a ring, from which counts of groups follow that were not asked for; leave \
         one of them out, or add one by all of these columns together",
        listed(statistics),
        listed(columns)
    )]
    Ring {
        /// The statistics of the ring.
        statistics: Vec<String>,
        /// The columns that they share.
        columns: Vec<String>,
    },
}

fn listed(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl Dependence {
    /// Compiles a study.
    ///
    /// # Errors
    /// [`DependenceError`] when the study cannot be guarded.
    pub fn of(spec: &StudySpec, layout: &Layout, rings: Rings) -> Result<Self, DependenceError> {
        let grid = Grid::of(spec, layout)?;
        let roots = tree::roots(&grid, rings).map_err(|ring| DependenceError::Ring {
            statistics: ring
                .blocks
                .iter()
                .map(|block| spec.statistics[layout.blocks()[*block].statistic].name.clone())
                .collect(),
            columns: ring.columns.iter().map(|column| grid.columns[*column].name.clone()).collect(),
        })?;
        let groups = layout.bundles().len();
        // A group that nobody can be in, like those who lack a variable but are in one of its intervals, stands alone.
        let release = (0..groups).map(BitRef::Group).collect();
        let mut compiler = Compiler { grid: &grid, sets: Sets::new(groups), release, parts: BTreeMap::new() };
        compiler.wholes(&roots);
        roots.iter().for_each(|root| compiler.root(&roots, root));
        compiler.unions(&roots);
        compiler.twins();
        Ok(Self { sets: compiler.sets.finish(), release: compiler.release })
    }

    /// Which groups are released when these pass, both by position in the layout's bundles; a group without a bit does not
    /// pass. The bits of [`inputs`](Self::inputs) are looked at, no others.
    pub fn evaluate(&self, bits: &[bool]) -> Vec<bool> {
        let mut sets: Vec<bool> = Vec::with_capacity(self.sets.len());
        let value = |sets: &[bool], bit: BitRef| match bit {
            BitRef::Group(group) => bits.get(group).copied().unwrap_or(false),
            BitRef::Set(set) => sets[set],
        };
        for set in &self.sets {
            let all = set.members.iter().all(|member| value(&sets, *member));
            sets.push(all);
        }
        self.release.iter().map(|bit| value(&sets, *bit)).collect()
    }

    /// The groups whose own bit is needed, ascending; the bits of all others follow.
    pub fn inputs(&self) -> Vec<usize> {
        let members = self.sets.iter().flat_map(|set| &set.members);
        let groups = members.chain(&self.release).filter_map(|bit| match bit {
            BitRef::Group(group) => Some(*group),
            BitRef::Set(_) => None,
        });
        groups.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Whether a group is released when it passes, whatever becomes of others.
    pub fn stands_alone(&self, group: usize) -> bool {
        self.release[group] == BitRef::Group(group)
    }

    /// The groups that must all pass for this one to be released, ascending: itself if it stands alone; groups that it is
    /// made of, or that together are about the same subjects as groups that it is one of.
    pub fn waits_for(&self, group: usize) -> Vec<usize> {
        let mut groups = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut open = vec![self.release[group]];
        while let Some(bit) = open.pop() {
            match bit {
                BitRef::Group(group) => drop(groups.insert(group)),
                BitRef::Set(set) if seen.insert(set) => open.extend(&self.sets[set].members),
                BitRef::Set(_) => {}
            }
        }
        groups.into_iter().collect()
    }

    /// How many bits go into conjunctions: what the circuit costs beside the groups' own bits.
    pub fn and_inputs(&self) -> usize {
        self.sets.iter().map(|set| set.members.len()).sum()
    }
}

/// Conjunctions in the making. Until its root is reached, `release` of a group is when it passes.
struct Compiler<'a> {
    grid: &'a Grid,
    sets: Sets,
    release: Vec<BitRef>,
    /// The groups of incomparable roots that a group is a union of.
    parts: BTreeMap<usize, Vec<BitRef>>,
}

impl Compiler<'_> {
    /// Rule 5.
    fn wholes(&mut self, roots: &[Root]) {
        let levels = |block: usize| &self.grid.partitions[block].levels;
        let finest: Vec<usize> = roots.iter().flat_map(|root| root.blocks.clone()).collect();
        let pairs =
            tree::distinct(self.grid).into_iter().flat_map(|whole| finest.iter().map(move |part| (whole, *part)));
        for (whole, part) in pairs.filter(|(whole, part)| !levels(*part).refines(levels(*whole))) {
            let meet = levels(whole).meet(levels(part));
            let made_of = self.grid.classes(part, &meet);
            for (class, groups) in self.grid.classes(whole, &meet) {
                let made_of = made_of.get(&class).map_or(&[][..], Vec::as_slice);
                if let ([group], [_, _, ..]) = (groups.as_slice(), made_of) {
                    self.parts.entry(*group).or_default().extend(made_of.iter().copied().map(BitRef::Group));
                }
            }
        }
        for block in finest {
            for (group, _) in &self.grid.partitions[block].groups {
                if let Some(parts) = self.parts.remove(group) {
                    self.release[*group] = self.sets.all_of(parts);
                }
            }
        }
    }

    /// Rule 3.
    fn root(&mut self, roots: &[Root], root: &Root) {
        let parent = root.parent.map(|parent| &roots[parent]);
        match (root.blocks.as_slice(), parent) {
            ([_], None) => {}
            ([block], Some(parent)) => {
                let meet = root.levels.meet(&parent.levels);
                let known = match parent.blocks.as_slice() {
                    [parent] => Some(self.grid.classes(*parent, &meet)),
                    _ => None,
                };
                let whole = self.groups_of(parent);
                for (class, groups) in self.grid.classes(*block, &meet) {
                    let known = known.as_ref().map_or(Some(&whole), |known| known.get(&class));
                    self.tie(&groups, known.map_or(&[], Vec::as_slice));
                }
            }
            (_, parent) => {
                let known = parent.map_or_else(Vec::new, |parent| self.groups_of(parent));
                self.tie(&self.groups_of(root), &known);
            }
        }
    }

    /// Releases groups when they all pass and others are released.
    fn tie(&mut self, groups: &[usize], others: &[usize]) {
        let all = groups.iter().chain(others).map(|group| self.release[*group]);
        let all = self.sets.all_of(all.collect());
        groups.iter().for_each(|group| self.release[*group] = all);
    }

    fn groups_of(&self, root: &Root) -> Vec<usize> {
        let groups = root.blocks.iter().flat_map(|block| &self.grid.partitions[*block].groups);
        groups.map(|(group, _)| *group).collect()
    }

    /// Rule 4. Finest first, so that a union is written with smaller unions.
    fn unions(&mut self, roots: &[Root]) {
        let mut done: Vec<usize> = roots.iter().flat_map(|root| root.blocks.clone()).collect();
        let mut rest = tree::distinct(self.grid);
        rest.retain(|block| !done.contains(block));
        rest.sort_by_key(|block| (Reverse(self.grid.partitions[*block].levels.rank()), *block));
        for block in rest {
            let levels = &self.grid.partitions[block].levels;
            let finer = done.iter().filter(|finer| self.grid.partitions[**finer].levels.refines(levels));
            let made_of: Vec<_> = finer.map(|finer| self.grid.classes(*finer, levels)).collect();
            for (group, cell) in &self.grid.partitions[block].groups {
                let parts = made_of.iter().filter_map(|classes| classes.get(cell)).flatten();
                let released = parts.map(|part| self.release[*part]);
                let all = released.chain(self.parts.remove(group).into_iter().flatten()).collect();
                self.release[*group] = self.sets.all_of(all);
            }
            done.push(block);
        }
    }

    /// Blocks of the same groups share.
    fn twins(&mut self) {
        let partitions = &self.grid.partitions;
        let firsts = tree::distinct(self.grid);
        for block in (0..partitions.len()).filter(|block| !firsts.contains(block)) {
            let levels = &partitions[block].levels;
            let Some(first) = firsts.iter().find(|first| partitions[**first].levels == *levels) else { continue };
            let originals = self.grid.classes(*first, levels);
            for (group, cell) in &partitions[block].groups {
                if let Some([original]) = originals.get(cell).map(Vec::as_slice) {
                    self.release[*group] = self.release[*original];
                }
            }
        }
    }
}
