//! Which cell holds what: a study compiled into bundles of cells.
//!
//! Every statistic is a [`Block`]: a table whose [`Axis`]es are its dimensions and, if it is about a variable, a last
//! axis that splits the variable into *present* and *missing*, or for a histogram into intervals and *missing*. Every
//! axis covers every subject exactly once, and so does their product: whoever is in the cohort is in exactly one
//! [`Bundle`] of every block.
//!
//! A bundle is what stands and falls together in disclosure control:
//!
//! | content | cells |
//! |---|---|
//! | `Count` | n, withheld |
//! | `Sum` | n, Σx, withheld |
//! | `Squares` | n, Σx, Σx², withheld |
//!
//! n guards the bundle. Sums are guarded by two more counts, their *ends*: how many subjects are above the variable's
//! minimum, and how many below its maximum. Where few are, the sums tell these few subjects' values, and where the
//! variable says yes or no, the ends are the two counts. They are never released, and so are no cells.
//! `withheld` is 1 when the hospital kept its own numbers of this bundle back, so that the joint
//! cell says how many did. x counts steps of the variable's resolution above its minimum, so it is never negative and
//! Σx² stays as small as it can be.
//!
//! Order: statistics as the study lists them; bundles with the first dimension slowest and the variable's parts
//! fastest; categories as declared, then *other*, then *missing*; cells as in the table above.

use consilium_protocol::study::{
    Categories, Decimal, Dimension, Protection, StatisticKind, StudySpec, Totals, interval_label,
};

use super::StatisticsError;
use super::block::{Axis, Block, Bundle, Content, Part};
use super::column::{self, Column};

/// Label of subjects whose value is in no category.
pub(crate) const OTHER: &str = "other";
/// Label of subjects without a value.
pub(crate) const MISSING: &str = "missing";

/// Where every number of a study stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    blocks: Vec<Block>,
    coarser: Vec<Block>,
    bundles: Vec<Bundle>,
    cells: usize,
    columns: Vec<Column>,
}

/// A statistic with more groups than this has no coarser tables.
const MOST_COARSENED: usize = 1_024;

impl Layout {
    /// Compiles a study.
    ///
    /// # Errors
    /// [`StatisticsError::Study`] when the study breaks a rule; one that was read from the ledger or a file does not.
    /// [`StatisticsError::NotNested`] when a guarded one cuts a column in ways that overlap.
    pub fn of(spec: &StudySpec) -> Result<Self, StatisticsError> {
        if !spec.problems().is_empty() {
            return Err(StatisticsError::Study);
        }
        let mut layout =
            Self { blocks: Vec::new(), coarser: Vec::new(), bundles: Vec::new(), cells: 0, columns: Vec::new() };
        for statistic in 0..spec.statistics.len() {
            let axes = axes(spec, statistic).ok_or(StatisticsError::Study)?;
            let block = layout.append(spec, statistic, axes);
            layout.blocks.push(block);
        }
        if spec.protection == Protection::Guarded {
            layout.columns = column::columns(spec, &layout.blocks)?;
            // Without a total, what is merged would tell what is hidden of it.
            let merged = if spec.totals == Totals::Hidden { Vec::new() } else { layout.blocks.clone() };
            for block in merged {
                for axes in layout.coarsened(&block) {
                    let coarser = layout.append(spec, block.statistic, axes);
                    layout.coarser.push(coarser);
                }
            }
        }
        Ok(layout)
    }

    /// The axes of a block's coarser tables, finer ones first: the last dimension at every level of its column, the others as
    /// they are or merged by one step: with *other* and *missing* in the first category, or as the study says.
    fn coarsened(&self, block: &Block) -> Vec<Vec<Axis>> {
        if block.bundles.len() > MOST_COARSENED {
            return Vec::new();
        }
        let last = block.axes.iter().rposition(|axis| axis.parts[0] != Part::Present);
        let mut tables: Vec<Vec<Axis>> = vec![Vec::new()];
        for (position, axis) in block.axes.iter().enumerate() {
            let own = self.columns.iter().find(|column| column.name == axis.column);
            let own = own.and_then(|column| Some((column, column.level(&axis.parts)?)));
            let levels: Vec<(&Column, usize, usize)> = match own {
                Some((column, level)) if Some(position) == last => {
                    (1..level).rev().map(|coarser| (column, level, coarser)).collect()
                }
                Some((column, level)) if axis.parts[0] != Part::Present => {
                    let below = level.checked_sub(1).filter(|below| column.levels[*below].is_first_step);
                    below.map(|below| (column, level, below)).into_iter().collect()
                }
                _ => Vec::new(),
            };
            let coarser = levels
                .into_iter()
                .map(|(column, level, below)| Axis { merged: Some(column.classes_of(level, below)), ..axis.clone() });
            let choices: Vec<Axis> = std::iter::once(axis.clone()).chain(coarser).collect();
            tables = tables
                .iter()
                .flat_map(|table| choices.iter().map(move |axis| [&table[..], std::slice::from_ref(axis)].concat()))
                .collect();
        }
        // The first is the block itself.
        tables.remove(0);
        tables.sort_by_key(|axes| std::cmp::Reverse(axes.iter().map(Axis::classes).product::<usize>()));
        tables
    }

    fn append(&mut self, spec: &StudySpec, statistic: usize, axes: Vec<Axis>) -> Block {
        let present = match &spec.statistics[statistic].kind {
            StatisticKind::Count | StatisticKind::Crosstab | StatisticKind::Histogram { .. } => Content::Count,
            StatisticKind::Sum { .. } | StatisticKind::Mean { .. } => Content::Sum,
            StatisticKind::Variance { .. } => Content::Squares,
        };
        let first = self.bundles.len();
        let count = axes.iter().map(Axis::classes).product::<usize>();
        for position in 0..count {
            // Parts of the last axis run fastest: a presence axis alternates between present and missing.
            let is_sum = present != Content::Count && position % 2 == 0;
            let content = if is_sum { present } else { Content::Count };
            self.bundles.push(Bundle { first_cell: self.cells, content });
            self.cells += content.cells();
        }
        Block { statistic, axes, bundles: first..self.bundles.len() }
    }

    /// One block per statistic, in the study's order.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Tables of a guarded study with some groups merged, by statistic, finer ones first: shown where the finer ones are not.
    pub fn coarser(&self) -> &[Block] {
        &self.coarser
    }

    /// All blocks, in the order of their bundles.
    pub fn all_blocks(&self) -> impl Iterator<Item = &Block> {
        self.blocks.iter().chain(&self.coarser)
    }

    /// For each bundle of a coarser block, those of its statistic's own block that it is the sum of.
    pub(crate) fn parts_of_coarser(&self, coarser: &Block) -> Vec<Vec<usize>> {
        let own = &self.blocks[coarser.statistic];
        let mut parts = vec![Vec::new(); coarser.bundles.len()];
        for position in 0..own.bundles.len() {
            let of_axes = own.parts_of(position);
            let place = coarser.axes.iter().zip(of_axes).fold(0, |place, (axis, part)| {
                place * axis.classes() + axis.merged.as_ref().map_or(part, |merged| merged[part])
            });
            parts[place].push(own.bundles.start + position);
        }
        parts
    }

    /// The columns of a guarded study with their cuts.
    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// All bundles, in the order of their cells.
    pub fn bundles(&self) -> &[Bundle] {
        &self.bundles
    }

    /// How many cells a contribution has, the check cell not counted.
    pub fn cells(&self) -> usize {
        self.cells
    }
}

/// The axes of a statistic as it asks for them.
fn axes(spec: &StudySpec, statistic: usize) -> Option<Vec<Axis>> {
    let asked = &spec.statistics[statistic];
    let mut axes = asked.by.iter().map(|name| spec.dimension(name).map(dimension_axis)).collect::<Option<Vec<_>>>()?;
    match &asked.kind {
        StatisticKind::Count | StatisticKind::Crosstab => {}
        StatisticKind::Histogram { of, edges } => axes.push(histogram_axis(of, edges)),
        StatisticKind::Sum { of } | StatisticKind::Mean { of } | StatisticKind::Variance { of } => {
            axes.push(presence_axis(of));
        }
    }
    Some(axes)
}

fn dimension_axis(dimension: &Dimension) -> Axis {
    let mut parts: Vec<Part> = match &dimension.categories {
        Categories::Values(values) => values.iter().map(|category| Part::Value(category.value.clone())).collect(),
        Categories::Edges(edges) => edges.windows(2).map(|edge| Part::Interval(edge[0], edge[1])).collect(),
    };
    parts.push(match &dimension.categories {
        Categories::Values(_) => Part::Other,
        Categories::Edges(edges) => Part::Outside(edges[0], edges[edges.len() - 1]),
    });
    parts.push(Part::Missing);
    let mut labels = dimension.labels();
    labels.extend([OTHER.to_string(), MISSING.to_string()]);
    Axis::new(&dimension.name, parts, labels)
}

fn histogram_axis(variable: &str, edges: &[Decimal]) -> Axis {
    let (first, last) = (edges[0], edges[edges.len() - 1]);
    let mut parts = vec![Part::Below(first)];
    let mut labels = vec![format!("<{first}")];
    for edge in edges.windows(2) {
        parts.push(Part::Interval(edge[0], edge[1]));
        labels.push(interval_label(edge[0], edge[1]));
    }
    parts.extend([Part::AtLeast(last), Part::Missing]);
    labels.extend([format!(">={last}"), MISSING.to_string()]);
    Axis::new(variable, parts, labels)
}

fn presence_axis(variable: &str) -> Axis {
    Axis::new(variable, vec![Part::Present, Part::Missing], vec!["present".to_string(), MISSING.to_string()])
}
