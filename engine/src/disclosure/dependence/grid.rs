//! Every block as a partition of one grid: the combinations of the finest parts of all columns.
//!
//! As the cuts of a column are nested, a block is described by one level per column, and whether one block refines
//! another, or what their finest common coarsening is, by comparing levels.

use std::collections::BTreeMap;

use consilium_protocol::study::StudySpec;

use super::DependenceError;
use super::cuts::{self, Column};
use crate::statistics::{Block, Layout};

/// One level per column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Levels(pub(super) Vec<usize>);

impl Levels {
    /// Whether each part of the other partition is a union of parts of this one.
    pub(super) fn refines(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(own, other)| own >= other)
    }

    /// The finest common coarsening.
    pub(super) fn meet(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(own, other)| *own.min(other)).collect())
    }

    /// The coarsest levels that refine both.
    pub(super) fn join(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(own, other)| *own.max(other)).collect())
    }

    /// How fine a partition is, by the number of steps of refinement.
    pub(super) fn rank(&self) -> usize {
        self.0.iter().sum()
    }
}

/// The part of each column that a group, or a class of groups, is in; columns that are not cut are left out.
pub(super) type Cell = Vec<usize>;

/// A block as a partition.
#[derive(Debug)]
pub(super) struct Partition {
    /// Of which levels.
    pub(super) levels: Levels,
    /// Its groups, by their position in the layout, with their cells; those that nobody can be in are left out.
    pub(super) groups: Vec<(usize, Cell)>,
}

/// All columns and all blocks of a study.
#[derive(Debug)]
pub(super) struct Grid {
    /// The columns.
    pub(super) columns: Vec<Column>,
    /// One partition per block.
    pub(super) partitions: Vec<Partition>,
}

impl Grid {
    /// Compiles a study.
    ///
    /// # Errors
    /// [`DependenceError::NotNested`], or [`DependenceError::Layout`] when the layout is of another study.
    pub(super) fn of(spec: &StudySpec, layout: &Layout) -> Result<Self, DependenceError> {
        if Layout::of(spec).ok().as_ref() != Some(layout) {
            return Err(DependenceError::Layout);
        }
        let columns = cuts::columns(spec, layout)?;
        let partitions = layout.blocks().iter().map(|block| partition(&columns, block)).collect::<Option<_>>();
        Ok(Self { columns, partitions: partitions.ok_or(DependenceError::Layout)? })
    }

    /// The groups of a block, gathered by the class of a coarser partition that they are in.
    pub(super) fn classes(&self, block: usize, coarse: &Levels) -> BTreeMap<Cell, Vec<usize>> {
        let Partition { levels, groups } = &self.partitions[block];
        let mut classes: BTreeMap<Cell, Vec<usize>> = BTreeMap::new();
        for (group, cell) in groups {
            let cut = (0..self.columns.len()).filter(|column| levels.0[*column] > 0);
            let kept = cut.zip(cell).filter(|(column, _)| coarse.0[*column] > 0);
            let class =
                kept.map(|(column, part)| self.columns[column].coarsened(*part, levels.0[column], coarse.0[column]));
            classes.entry(class.collect()).or_default().push(*group);
        }
        classes
    }
}

/// A block may cut one column twice, for example the mean of a variable by intervals of the same variable. The finer cut
/// then counts, and groups whose two parts exclude each other are empty whatever the data.
fn partition(columns: &[Column], block: &Block) -> Option<Partition> {
    let place = |name: &str| columns.iter().position(|column| column.name == name);
    let axes = block.axes.iter().map(|axis| {
        let column = place(&axis.column)?;
        Some((column, columns[column].level(&axis.parts)?))
    });
    let axes = axes.collect::<Option<Vec<_>>>()?;
    let mut levels = vec![0; columns.len()];
    axes.iter().for_each(|(column, level)| levels[*column] = levels[*column].max(*level));
    let cell_of = |position: usize| {
        let parts = block.parts_of(position);
        let finest = |column: usize| axes.iter().position(|axis| *axis == (column, levels[column]));
        let cut = (0..columns.len()).filter(|column| levels[*column] > 0);
        let cell = cut.map(|column| finest(column).map(|axis| (column, parts[axis]))).collect::<Option<Vec<_>>>()?;
        let agrees = |(axis, (column, level)): (usize, &(usize, usize))| {
            let own = cell.iter().find(|(other, _)| other == column);
            own.is_some_and(|(_, part)| columns[*column].coarsened(*part, levels[*column], *level) == parts[axis])
        };
        axes.iter().enumerate().all(agrees).then(|| cell.iter().map(|(_, part)| *part).collect())
    };
    let count = block.bundles.len();
    let groups = (0..count).filter_map(|position| Some((block.bundles.start + position, cell_of(position)?)));
    Some(Partition { groups: groups.collect(), levels: Levels(levels) })
}
