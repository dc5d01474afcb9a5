//! What is released of a guarded study: one theory for counts and sums.
//!
//! Of each *group* one bit is computed under encryption: whether its joint count passes (it is k or more, or 0 where zeros are
//! shown). What is kept back for the sake of others follows from the study alone: it is a circuit over these bits.
//!
//! # Counts
//!
//! 1. All cuts of one column are nested ([`statistics`](crate::statistics)), with coarser ones between them.
//! 2. *Nodes* are the partitions that statistics are by, with their coarser tables; what any two nodes have in common (their
//!    finest common coarsening, ∧); and the total.
//! 3. The *separators* of a node V are the finest of all V ∧ U, for nodes U that do not refine V; its *classes* are those of what
//!    its separators have in common.
//! 4. The total is released when it passes. Class by class, the groups of any other node are released when they all pass, and all
//!    groups of its separators in the class are released.
//! 5. A group that several nodes have is released with the coarsest of them.
//! 6. The nodes are β-acyclic, or those in a ring are tied: they are released when all groups of the partition that refines them
//!    all pass, and its separators are released.
//!
//! # Sums
//!
//! A sum of degree d (1: Σx; 2: with Σx²) of a group
//!
//! 7. of a variable with at most d + 1 values, with few values that other statistics cut, or that is a choice of literals in the
//!    query, is released when the group's counts by value are, which are one more node;
//! 8. of any other variable is released when the group's count is, and nobody is in it or it is *spread*: d + 1 ranges of x have k
//!    or more; where another statistic cuts x, d + 2 ranges in one part of its finest cut. A column that depends on what x is made
//!    of cuts it under another name. Nodes with sums of one variable have separators and classes of their own, and sums wait for
//!    each other as counts do; without a separator each stands alone.
//!
//! # Forms
//!
//! 9. What a variable is made of is read from the query ([`form`](crate::cohort)): what is neither affine in one raw column, nor a
//!    choice of literals, nor a named helper is refused, and so are two with a raw column in common.
//!
//! # Where totals are hidden
//!
//! 10. Statistics are one table and coarser ones of it, all of them counts. A group of the table is released when it passes, a
//!     union of groups, the total among them, when all of them are.
//!
//! The argument, and what it does not cover, is in `docs/guard.md`.

mod circuit;
pub(super) mod node;
mod numbers;
mod spread;

#[cfg(test)]
mod attacks;
#[cfg(test)]
pub(crate) mod oracle;
#[cfg(test)]
mod shown;

use std::collections::{BTreeMap, BTreeSet};

use consilium_protocol::study::{StudySpec, Totals};

use crate::guard::{BitRef, Gates, MAX_GROUPS, Padded};
use crate::statistics::{Compared, Content, Layout};
use circuit::Circuit;
use node::{Key, Levels, Nodes, Sets};
use numbers::Numbers;
use spread::Spread;

/// The most groups of the partition that refines a ring.
const MOST_TIED: usize = 4_096;

/// The most groups of one partition.
const MOST_GROUPS: usize = 65_536;

/// What of a guarded study is compared, and what is released for which outcomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lattice {
    /// The numbers that are compared.
    pub compared: Compared,
    /// The circuit over their bits; each of its outputs seals a seed.
    pub gates: Gates,
    /// The groups of cells, each with its seed.
    pub padded: Vec<Padded>,
    /// For each bundle of the layout where its count stands among the groups of cells, and where its sums do.
    pub places: Vec<Places>,
    /// For each statistic the columns by whose classes its groups are released, beside its own coarser tables.
    pub waits_for: Vec<Vec<String>>,
    /// Whether statistics are in a ring.
    pub is_tied: bool,
    /// All partitions by which counts are compared, finer ones before coarser ones, and of others those first that meet the rest in
    /// the fewest ways: their classes are the smallest.
    pub(super) partitions: Vec<Levels>,
    /// For each number what hangs on it.
    pub(super) decided: Vec<Vec<Decided>>,
    /// The classes in which it stands.
    pub(super) classes: Vec<Class>,
}

/// A count or a sum whose release hangs on a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decided {
    /// The partition.
    pub(super) levels: Levels,
    /// The group.
    pub(super) group: Key,
    /// Its class, by position: only what does not follow from its separators is new. None where there is no separator.
    pub(super) class: Option<usize>,
    /// Of a sum the column and the degree.
    pub(super) sum: Option<(usize, u8)>,
}

/// Groups of a node that are released together, with what is known of them once the node's separators are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Class {
    /// The groups.
    pub(super) groups: Vec<Key>,
    /// For each group of a separator which of these it is the union of, by position.
    pub(super) unions: Vec<Vec<usize>>,
}

/// Where the cells of a bundle stand among the groups of cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// Its count; for a bundle without sums all of it.
    pub count: usize,
    /// Its sums.
    pub sums: Option<usize>,
    /// Whether its count is released when it passes, whatever becomes of other groups.
    pub stands_alone: bool,
    /// Whether nobody can be in it: its two parts of one column exclude each other.
    pub is_empty: bool,
}

/// Why the groups of a study cannot be guarded. Names come from the study, which is public.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LatticeError {
    /// The layout is of another study.
    #[error("the layout belongs to another study; derive it from the study again")]
    Layout,
    /// Statistics share columns in a ring.
    #[error(
        "statistics {} are broken down by {} in a ring, from which counts of groups follow that were not asked for, and they \
         have too many groups together to look at all of these; leave one of them out, or use fewer categories",
        listed(statistics),
        listed(columns)
    )]
    Ring {
        /// The statistics of the ring.
        statistics: Vec<String>,
        /// The columns that they share.
        columns: Vec<String>,
    },
    /// Totals are hidden, and statistics are not coarser tables of one.
    #[error(
        "with totals = \"hidden\" every statistic is the finest table or a coarser one of it, and {} are not; leave the others to \
         a study of their own, or show totals",
        listed(statistics)
    )]
    NotOneTable {
        /// The finest table, and one that it does not refine.
        statistics: Vec<String>,
    },
    /// Counts that would take too much memory.
    #[error(
        "the study's breakdowns have too many groups to be compared under encryption; use fewer categories or dimensions"
    )]
    TooLarge,
}

fn listed(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl Lattice {
    /// Compiles a study.
    ///
    /// # Errors
    /// [`LatticeError`] when the study cannot be guarded.
    pub fn of(spec: &StudySpec, layout: &Layout) -> Result<Self, LatticeError> {
        if Layout::of(spec).ok().as_ref() != Some(layout) {
            return Err(LatticeError::Layout);
        }
        let sets = Sets::of(layout.columns());
        let blocks = node::blocks(&sets, layout).ok_or(LatticeError::Layout)?;
        Self::compile(spec, layout, (&sets, &blocks), Known::default(), |compiler, spec, layout, blocks, sums| {
            compiler.finish(spec, layout, blocks, sums)
        })
    }

    /// The conditions of release where sets of groups may be known already: what waits for one of their groups need not wait where
    /// the set's bit here is 1.
    ///
    /// A set's own bit says more than that its groups may be shown: that all pass on which it hangs, of partitions that nobody asked
    /// for, too. So the bit stands for the groups of cells alone, wherever one of these is waited for.
    ///
    /// # Errors
    /// [`LatticeError`] when the study cannot be guarded.
    pub(super) fn gates_where_known(
        &self,
        spec: &StudySpec,
        layout: &Layout,
        seeds: &[(usize, BitRef)],
    ) -> Result<Gates, LatticeError> {
        if seeds.is_empty() {
            return Ok(self.gates.clone());
        }
        let sets = Sets::of(layout.columns());
        let blocks = node::blocks(&sets, layout).ok_or(LatticeError::Layout)?;
        let of_seed: BTreeMap<usize, BitRef> = seeds.iter().copied().collect();
        let groups = held(&sets, spec, layout, &blocks).ok_or(LatticeError::Layout)?;
        let mut known = Known::default();
        for (holds, padded) in groups.iter().flatten().zip(&self.padded) {
            if let (Some(bit), Some(group)) = (of_seed.get(&padded.seed), &holds.group) {
                match holds.sum {
                    None => known.counts.insert(group.clone(), *bit),
                    Some((column, degree)) => known.sums.insert((column, degree, group.clone()), *bit),
                };
            }
        }
        Self::compile(spec, layout, (&sets, &blocks), known, |mut compiler, spec, layout, blocks, sums| {
            let groups = held(compiler.sets, spec, layout, blocks).ok_or(LatticeError::Layout)?;
            let mut of_seeds: Vec<Vec<BitRef>> = vec![Vec::new(); self.gates.release.len()];
            for (holds, padded) in groups.iter().flatten().zip(&self.padded) {
                of_seeds[padded.seed].push(compiler.bit_of(holds, sums)?);
            }
            let release = of_seeds.into_iter().map(|bits| compiler.circuit.all(bits)).collect();
            // What is compared is the same.
            let compared = compiler.numbers.compile(compiler.sets, spec).ok_or(LatticeError::TooLarge)?;
            if compared == self.compared {
                Ok(Gates { sets: compiler.circuit.finish(), release })
            } else {
                Err(LatticeError::Layout)
            }
        })
    }

    fn compile<T>(
        spec: &StudySpec,
        layout: &Layout,
        (sets, blocks): (&Sets<'_>, &Blocks),
        known: Known,
        finish: impl FnOnce(Compiler<'_>, &StudySpec, &Layout, &Blocks, &Sums) -> Result<T, LatticeError>,
    ) -> Result<T, LatticeError> {
        let asked = asked(sets, layout, spec, blocks);
        if asked.iter().any(|(_, levels)| sets.size(levels) > MOST_GROUPS) {
            return Err(LatticeError::TooLarge);
        }
        let is_hidden = spec.totals == Totals::Hidden;
        let Tied { nodes, tied } = if is_hidden { Tied::default() } else { tie(spec, sets, asked)? };
        let mut compiler = Compiler {
            sets,
            nodes: &nodes,
            tied: &tied,
            known,
            numbers: Numbers::default(),
            circuit: Circuit::default(),
            released: BTreeMap::new(),
            done: BTreeSet::new(),
            decided: BTreeMap::new(),
            classes: Vec::new(),
        };
        if is_hidden {
            compiler.one_table(spec, layout, blocks)?;
        } else {
            blocks.iter().try_for_each(|(levels, _)| compiler.node(levels))?;
        }
        let sums = compiler.sums(spec, layout, blocks)?;
        finish(compiler, spec, layout, blocks, &sums)
    }
}

/// Of each block, coarser ones included, its partition, and the group of each bundle: none where nobody can be in it.
type Blocks = [(Levels, Vec<Option<Key>>)];

/// What is known of a study's groups from earlier ones: bits that are 1 where a count, or a sum, is.
#[derive(Default)]
struct Known {
    counts: BTreeMap<Key, BitRef>,
    sums: BTreeMap<(usize, u8, Key), BitRef>,
}

/// What a group of cells holds.
struct Holds {
    cells: std::ops::Range<usize>,
    /// Whose: none where nobody can be in it.
    group: Option<Key>,
    /// Of sums the column and the degree.
    sum: Option<(usize, u8)>,
}

/// What the groups of cells hold, in their order: of each bundle its count, and its sums if it has any.
fn held(sets: &Sets<'_>, spec: &StudySpec, layout: &Layout, blocks: &Blocks) -> Option<Vec<Vec<Holds>>> {
    let mut held = Vec::new();
    for (block, (_, groups)) in layout.all_blocks().zip(blocks) {
        for (bundle, group) in layout.bundles()[block.bundles.clone()].iter().zip(groups) {
            let cells = bundle.cells();
            let holds = |cells, sum| Holds { cells, group: group.clone(), sum };
            let degree = match bundle.content {
                Content::Count => {
                    held.push(vec![holds(cells, None)]);
                    continue;
                }
                Content::Sum => 1,
                Content::Squares => 2,
            };
            let column = summed(sets, spec, block.statistic)?.0;
            let (count, sums) = (cells.start..cells.start + 1, cells.start + 1..cells.end);
            held.push(vec![holds(count, None), holds(sums, Some((column, degree)))]);
        }
    }
    Some(held)
}

/// The partitions that statistics need: those of their blocks, and by value where sums tell as much.
fn asked(sets: &Sets<'_>, layout: &Layout, spec: &StudySpec, blocks: &Blocks) -> Vec<(usize, Levels)> {
    let mut asked = Vec::new();
    for (block, (levels, _)) in layout.all_blocks().zip(blocks) {
        asked.push((block.statistic, levels.clone()));
        if let Some((column, Some(by_values))) = summed(sets, spec, block.statistic) {
            asked.push((block.statistic, levels.with(column, by_values)));
        }
    }
    asked
}

/// The column of the variable that a statistic sums up, and its level by values, if it has one.
fn summed(sets: &Sets<'_>, spec: &StudySpec, statistic: usize) -> Option<(usize, Option<usize>)> {
    use consilium_protocol::study::StatisticKind::{Mean, Sum, Variance};
    let (Sum { of } | Mean { of } | Variance { of }) = &spec.statistics[statistic].kind else { return None };
    let column = sets.columns.iter().position(|column| column.name == *of)?;
    Some((column, sets.columns[column].by_values))
}

/// The nodes of a study, and those that wait for a partition that refines a ring.
#[derive(Default)]
struct Tied {
    nodes: Nodes,
    tied: BTreeMap<Levels, Levels>,
}

/// One time is enough: what hangs on the partitions of a ring hangs on what refines them all.
fn tie(spec: &StudySpec, sets: &Sets<'_>, asked: Vec<(usize, Levels)>) -> Result<Tied, LatticeError> {
    let columns = sets.columns.len();
    let mut open: BTreeSet<Levels> = asked.iter().map(|(_, levels)| levels.clone()).collect();
    let all: Vec<Levels> = open.iter().cloned().collect();
    let (core, by) = node::rings(&all);
    let Some(whole) = core.iter().map(|position| all[*position].clone()).reduce(|whole, other| whole.join(&other))
    else {
        return Ok(Tied { nodes: Nodes::closed(open, Some(columns)), tied: BTreeMap::new() });
    };
    if sets.size(&whole) > MOST_TIED {
        let in_ring = |(_, levels): &&(usize, Levels)| {
            core.iter().any(|position| all[*position].refines(levels) && levels.cut().count() > 1)
        };
        let statistics: BTreeSet<usize> = asked.iter().filter(in_ring).map(|(statistic, _)| *statistic).collect();
        return Err(LatticeError::Ring {
            statistics: statistics.into_iter().map(|statistic| spec.statistics[statistic].name.clone()).collect(),
            columns: by.iter().map(|column| sets.columns[*column].name.clone()).collect(),
        });
    }
    let mut tied: BTreeMap<Levels, Levels> = BTreeMap::new();
    for position in &core {
        open.remove(&all[*position]);
        tied.insert(all[*position].clone(), whole.clone());
    }
    tied.remove(&whole);
    open.insert(whole);
    Ok(Tied { nodes: Nodes::closed(open, Some(columns)), tied })
}

/// Sums that are released: by statistic's variable, degree and group.
type Sums = BTreeMap<(usize, u8, Key), BitRef>;

struct Compiler<'a> {
    sets: &'a Sets<'a>,
    nodes: &'a Nodes,
    tied: &'a BTreeMap<Levels, Levels>,
    known: Known,
    numbers: Numbers,
    circuit: Circuit,
    released: BTreeMap<Key, BitRef>,
    done: BTreeSet<Levels>,
    decided: BTreeMap<usize, Vec<Decided>>,
    classes: Vec<Class>,
}

impl Compiler<'_> {
    /// The bit of a group of a partition, which stands in a class.
    fn decide(&mut self, levels: &Levels, group: &Key, class: Option<usize>) -> BitRef {
        let number = self.numbers.of(group);
        let decided = Decided { levels: levels.clone(), group: group.clone(), class, sum: None };
        self.decided.entry(number).or_default().push(decided);
        BitRef::Group(number)
    }

    /// Takes down a class of a node, of which these are the separators.
    fn class(&mut self, groups: Vec<Key>, separators: &[Levels]) -> usize {
        let of = |separator: &Levels| {
            let mut unions: BTreeMap<Key, Vec<usize>> = BTreeMap::new();
            for (position, group) in groups.iter().enumerate() {
                unions.entry(self.sets.coarsened(group, separator)).or_default().push(position);
            }
            unions.into_values()
        };
        let unions = separators.iter().flat_map(of).collect();
        self.classes.push(Class { groups, unions });
        self.classes.len() - 1
    }

    /// A group's count is released when this bit is 1, or it is known.
    fn release(&mut self, group: Key, bit: BitRef) {
        let bit = match self.known.counts.get(&group) {
            Some(known) => self.circuit.at_least(vec![bit, *known], 1),
            None => bit,
        };
        self.released.insert(group, bit);
    }

    /// Releases the groups of a node, after those that it waits for.
    fn node(&mut self, levels: &Levels) -> Result<(), LatticeError> {
        if !self.done.insert(levels.clone()) {
            return Ok(());
        }
        if let Some(whole) = self.tied.get(levels) {
            self.node(whole)?;
            let of_whole = self.sets.groups(whole).iter().map(|group| self.released[group]).collect();
            let all = self.circuit.all(of_whole);
            for group in self.sets.groups(levels) {
                if !self.released.contains_key(&group) {
                    self.release(group, all);
                }
            }
            return Ok(());
        }
        let separators = self.separators(levels);
        separators.iter().try_for_each(|separator| self.node(separator))?;
        let Some(common) = separators.iter().cloned().reduce(|common, other| common.meet(&other)) else {
            // The total.
            let total = self.sets.groups(levels).swap_remove(0);
            let bit = self.decide(levels, &total, None);
            self.release(total, bit);
            return Ok(());
        };
        let own = self.by_class(levels, &common);
        let waiting: Vec<_> = separators.iter().map(|separator| self.by_class(separator, &common)).collect();
        for (class, groups) in own {
            let new: Vec<Key> = groups.iter().filter(|group| !self.released.contains_key(*group)).cloned().collect();
            if !new.is_empty() {
                let wait = waiting.iter().filter_map(|classes| classes.get(&class)).flatten();
                let mut members: Vec<BitRef> = wait.map(|group| self.released[group]).collect();
                let class = self.class(groups, &separators);
                members.extend(new.iter().map(|group| self.decide(levels, group, Some(class))));
                let all = self.circuit.all(members);
                new.into_iter().for_each(|group| self.release(group, all));
                self.check_size()?;
            }
        }
        Ok(())
    }

    /// Rule 10: releases every group of one table when it passes, and coarser ones, the total among them, with all their groups.
    fn one_table(&mut self, spec: &StudySpec, layout: &Layout, blocks: &Blocks) -> Result<(), LatticeError> {
        let all = || layout.all_blocks().zip(blocks).map(|(block, (levels, _))| (block.statistic, levels));
        let Some((table, finest)) = all().max_by_key(|(_, levels)| levels.rank()) else { return Ok(()) };
        if let Some((other, _)) = all().find(|(_, levels)| !finest.refines(levels)) {
            let names = [table, other].map(|statistic| spec.statistics[statistic].name.clone());
            return Err(LatticeError::NotOneTable { statistics: names.to_vec() });
        }
        let groups = self.sets.groups(finest);
        for group in &groups {
            let bit = self.decide(finest, group, None);
            self.release(group.clone(), bit);
        }
        self.check_size()?;
        let total = Levels(vec![0; self.sets.columns.len()]);
        for levels in all().map(|(_, levels)| levels).chain([&total]) {
            let mut unions: BTreeMap<Key, Vec<BitRef>> = BTreeMap::new();
            for group in &groups {
                unions.entry(self.sets.coarsened(group, levels)).or_default().push(self.released[group]);
            }
            for (union, parts) in unions {
                if !self.released.contains_key(&union) {
                    let all = self.circuit.all(parts);
                    self.release(union, all);
                }
            }
        }
        Ok(())
    }

    /// A study file may ask for more than anybody could compare: it is refused before it is compiled to its end.
    fn check_size(&self) -> Result<(), LatticeError> {
        if self.numbers.len() <= MAX_GROUPS { Ok(()) } else { Err(LatticeError::TooLarge) }
    }

    fn separators(&self, levels: &Levels) -> Vec<Levels> {
        if self.tied.values().any(|whole| whole == levels) {
            return self.nodes.separators_without(levels, &self.tied.keys().cloned().collect());
        }
        match self.nodes.all.iter().position(|node| node == levels) {
            Some(position) => self.nodes.separators[position].clone(),
            None => self.nodes.separators_without(levels, &BTreeSet::new()),
        }
    }

    fn by_class(&self, levels: &Levels, common: &Levels) -> BTreeMap<Key, Vec<Key>> {
        let mut classes: BTreeMap<Key, Vec<Key>> = BTreeMap::new();
        for group in self.sets.groups(levels) {
            classes.entry(self.sets.coarsened(&group, common)).or_default().push(group);
        }
        classes
    }

    /// Rules 7 and 8.
    fn sums(&mut self, spec: &StudySpec, layout: &Layout, blocks: &Blocks) -> Result<Sums, LatticeError> {
        let mut sums = Sums::new();
        let of_blocks = || layout.all_blocks().zip(blocks);
        let variables: BTreeSet<usize> =
            layout.blocks().iter().filter_map(|block| Some(summed(self.sets, spec, block.statistic)?.0)).collect();
        for column in variables {
            let Some(spread) = Spread::of(spec, &self.sets.columns[column], column) else { continue };
            for degree in [1u8, 2] {
                let has = |statistic: usize| {
                    let is_square = matches!(
                        spec.statistics[statistic].kind,
                        consilium_protocol::study::StatisticKind::Variance { .. }
                    );
                    summed(self.sets, spec, statistic).is_some_and(|(of, _)| of == column) && (degree == 1 || is_square)
                };
                let levels =
                    of_blocks().filter(|(block, _)| has(block.statistic)).map(|(_, (levels, _))| levels.clone());
                let nodes = Nodes::closed(levels, None);
                for (levels, separators) in nodes.all.iter().zip(&nodes.separators) {
                    self.sums_of_node(&spread, degree, levels, separators, &mut sums)?;
                }
            }
        }
        Ok(sums)
    }

    fn sums_of_node(
        &mut self,
        spread: &Spread,
        degree: u8,
        levels: &Levels,
        separators: &[Levels],
        sums: &mut Sums,
    ) -> Result<(), LatticeError> {
        let column = spread.column;
        let common = separators.iter().cloned().reduce(|common, other| common.meet(&other));
        // Without a separator each group is a class of its own.
        let common = common.unwrap_or_else(|| levels.clone());
        // The count that a meet of nodes with sums has may be of no node with counts.
        self.node(levels)?;
        let own = self.by_class(levels, &common);
        let waiting: Vec<_> = separators.iter().map(|separator| self.by_class(separator, &common)).collect();
        for (class, groups) in own {
            let with = |group: &&Key| spread.has_values(self.sets, group);
            let new: Vec<Key> = groups
                .iter()
                .filter(with)
                .filter(|group| !sums.contains_key(&(column, degree, (*group).clone())))
                .cloned()
                .collect();
            if new.is_empty() {
                continue;
            }
            let wait = waiting.iter().filter_map(|classes| classes.get(&class)).flatten().filter(with);
            let mut members: Vec<BitRef> = wait.map(|group| sums[&(column, degree, group.clone())]).collect();
            let with_values = groups.iter().filter(with).cloned().collect();
            // Without a separator each sum is new by itself.
            let class = (!separators.is_empty()).then(|| self.class(with_values, separators));
            for group in &new {
                members.push(self.released[group]);
                if let Some(lower) = sums.get(&(column, 1, group.clone())) {
                    members.push(*lower);
                }
                match self.sets.columns[column].by_values {
                    Some(by_values) => {
                        let finer = levels.with(column, by_values);
                        self.node(&finer)?;
                        let values = spread.values(self.sets, group, by_values);
                        members.extend(values.iter().map(|value| self.released[value]));
                    }
                    None => {
                        let (bit, ranges) = spread.bit(self.sets, group, degree, &mut self.numbers, &mut self.circuit);
                        members.push(bit);
                        let (levels, sum) = (levels.clone(), Some((column, degree)));
                        let decided = Decided { levels, group: group.clone(), class, sum };
                        for range in ranges {
                            self.decided.entry(range).or_default().push(decided.clone());
                        }
                    }
                }
            }
            let all = self.circuit.all(members);
            for group in new {
                let sum = (column, degree, group);
                let bit = match self.known.sums.get(&sum) {
                    Some(known) => self.circuit.at_least(vec![all, *known], 1),
                    None => all,
                };
                sums.insert(sum, bit);
            }
            self.check_size()?;
        }
        Ok(())
    }

    /// The bit of a group of cells.
    fn bit_of(&self, holds: &Holds, sums: &Sums) -> Result<BitRef, LatticeError> {
        let bit = match (&holds.group, holds.sum) {
            // Nobody can be in it, which everybody knows: it is shown where anything is.
            (None, _) => self.released.get(&vec![0; self.sets.columns.len()]),
            (Some(group), None) => self.released.get(group),
            (Some(group), Some((column, degree))) => sums.get(&(column, degree, group.clone())),
        };
        bit.copied().ok_or(LatticeError::Layout)
    }

    fn finish(self, spec: &StudySpec, layout: &Layout, blocks: &Blocks, sums: &Sums) -> Result<Lattice, LatticeError> {
        let mut seeds: BTreeMap<BitRef, usize> = BTreeMap::new();
        let mut release = Vec::new();
        let mut seed_of = |bit: BitRef| {
            *seeds.entry(bit).or_insert_with(|| {
                release.push(bit);
                release.len() - 1
            })
        };
        let (mut padded, mut places) = (Vec::new(), Vec::new());
        for holds in held(self.sets, spec, layout, blocks).ok_or(LatticeError::Layout)? {
            let bits = holds.iter().map(|of| self.bit_of(of, sums)).collect::<Result<Vec<_>, LatticeError>>()?;
            let (stands_alone, is_empty) = (matches!(bits[0], BitRef::Group(_)), holds[0].group.is_none());
            let count = padded.len();
            let of_sums = (holds.len() > 1).then_some(count + 1);
            places.push(Places { count, sums: of_sums, stands_alone, is_empty });
            padded.extend(holds.into_iter().zip(bits).map(|(of, bit)| Padded { cells: of.cells, seed: seed_of(bit) }));
        }
        let mut partitions: Vec<Levels> = self.done.iter().cloned().collect();
        partitions.sort_by_cached_key(|levels| {
            (std::cmp::Reverse(levels.rank()), self.separators(levels).len(), levels.clone())
        });
        let waits_for = layout.blocks().iter().zip(blocks).map(|(_, (levels, _))| self.waits_for(levels)).collect();
        let compared = self.numbers.compile(self.sets, spec).ok_or(LatticeError::TooLarge)?;
        let mut decided = self.decided;
        let decided = (0..compared.numbers.len()).map(|number| decided.remove(&number).unwrap_or_default()).collect();
        let gates = Gates { sets: self.circuit.finish(), release };
        let (is_tied, classes) = (!self.tied.is_empty(), self.classes);
        Ok(Lattice { compared, gates, padded, places, waits_for, is_tied, partitions, decided, classes })
    }

    /// The columns that a node has in common with others, where it has further ones.
    fn waits_for(&self, levels: &Levels) -> Vec<String> {
        let own: BTreeSet<usize> = levels.cut().collect();
        let others = self.nodes.all.iter().filter(|other| !other.refines(levels));
        let meets = others.map(|other| levels.meet(other).cut().collect::<BTreeSet<usize>>());
        let shared: BTreeSet<usize> = meets.filter(|meet| *meet != own).flatten().collect();
        shared.into_iter().map(|column| self.sets.columns[column].name.clone()).collect()
    }
}
