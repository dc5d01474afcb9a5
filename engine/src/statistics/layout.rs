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
    Categories, CategoryValue, Decimal, Dimension, Protection, StatisticKind, StudySpec, Totals, interval_label,
};

use super::StatisticsError;
use super::column::{self, Column};

/// Label of subjects whose value is in no category.
pub(crate) const OTHER: &str = "other";
/// Label of subjects without a value.
pub(crate) const MISSING: &str = "missing";

/// One class of values of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Exactly this value.
    Value(CategoryValue),
    /// In `[from, to)`.
    Interval(Decimal, Decimal),
    /// Less than this.
    Below(Decimal),
    /// This or more.
    AtLeast(Decimal),
    /// Less than the first or not less than the second: outside all intervals of a dimension.
    Outside(Decimal, Decimal),
    /// None of the declared values, but a value.
    Other,
    /// Any value.
    Present,
    /// NULL or not a number.
    Missing,
}

/// A column cut into parts that cover every subject exactly once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axis {
    /// The cohort's column.
    pub column: String,
    /// The parts.
    pub parts: Vec<Part>,
    /// What people read for each part.
    pub labels: Vec<String>,
    /// Which parts count as one, where some do: the class of each part.
    pub(crate) merged: Option<Vec<usize>>,
}

impl Axis {
    fn new(column: &str, parts: Vec<Part>, labels: Vec<String>) -> Self {
        Self { column: column.to_string(), parts, labels, merged: None }
    }

    /// A cut by these parts, without labels.
    pub(crate) fn of_parts(column: &str, parts: Vec<Part>) -> Self {
        Self::new(column, parts, Vec::new())
    }

    /// How many groups it makes: its parts, unless some count as one.
    pub fn classes(&self) -> usize {
        self.merged.as_ref().map_or(self.parts.len(), |merged| merged.iter().max().map_or(0, |most| most + 1))
    }

    /// The parts of one of its groups.
    pub(crate) fn parts_in(&self, class: usize) -> Vec<usize> {
        match &self.merged {
            None => vec![class],
            Some(merged) => (0..self.parts.len()).filter(|part| merged[*part] == class).collect(),
        }
    }

    /// What people read for one of its groups.
    pub(crate) fn label(&self, class: usize) -> String {
        self.parts_in(class).into_iter().map(|part| self.labels[part].as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// Which sums a bundle has beside its count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// n.
    Count,
    /// n, Σx.
    Sum,
    /// n, Σx, Σx².
    Squares,
}

impl Content {
    /// How many cells a bundle of this content has, with its `withheld`.
    pub const fn cells(self) -> usize {
        match self {
            Self::Count => 2,
            Self::Sum => 3,
            Self::Squares => 4,
        }
    }
}

/// Cells that are released or suppressed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// The position of n among the cells.
    pub first_cell: usize,
    /// What follows n.
    pub content: Content,
}

impl Bundle {
    /// The positions of its cells.
    pub const fn cells(&self) -> std::ops::Range<usize> {
        self.first_cell..self.first_cell + self.content.cells()
    }

    /// Whether it holds sums, which say something of each value.
    pub const fn has_sums(&self) -> bool {
        !matches!(self.content, Content::Count)
    }

    /// The position of its `withheld`.
    pub const fn withheld(&self) -> usize {
        self.first_cell + self.content.cells() - 1
    }
}

/// The bundles of one statistic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The statistic's position in the study.
    pub statistic: usize,
    /// Its dimensions, then the axis of its variable if it has one.
    pub axes: Vec<Axis>,
    /// The positions of its bundles in the layout.
    pub bundles: std::ops::Range<usize>,
}

impl Block {
    /// Which group of each axis the bundle at `position`, counted from the block's first, is about.
    pub fn parts_of(&self, position: usize) -> Vec<usize> {
        let mut rest = position;
        let mut parts: Vec<usize> = self
            .axes
            .iter()
            .rev()
            .map(|axis| {
                let part = rest % axis.classes();
                rest /= axis.classes();
                part
            })
            .collect();
        parts.reverse();
        parts
    }
}

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
