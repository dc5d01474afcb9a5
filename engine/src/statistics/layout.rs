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
    Categories, CategoryValue, Decimal, Dimension, StatisticKind, StudySpec, interval_label,
};

use super::StatisticsError;

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
    /// Which part of each axis the bundle at `position`, counted from the block's first, is about.
    pub fn parts_of(&self, position: usize) -> Vec<usize> {
        let mut rest = position;
        let mut parts: Vec<usize> = self
            .axes
            .iter()
            .rev()
            .map(|axis| {
                let part = rest % axis.parts.len();
                rest /= axis.parts.len();
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
    bundles: Vec<Bundle>,
    cells: usize,
}

impl Layout {
    /// Compiles a study.
    ///
    /// # Errors
    /// [`StatisticsError::Study`] when the study breaks a rule; one that was read from the ledger or a file does not.
    pub fn of(spec: &StudySpec) -> Result<Self, StatisticsError> {
        if !spec.problems().is_empty() {
            return Err(StatisticsError::Study);
        }
        let mut layout = Self { blocks: Vec::new(), bundles: Vec::new(), cells: 0 };
        for statistic in 0..spec.statistics.len() {
            layout.append(spec, statistic)?;
        }
        Ok(layout)
    }

    fn append(&mut self, spec: &StudySpec, statistic: usize) -> Result<(), StatisticsError> {
        let asked = &spec.statistics[statistic];
        let dimensions = asked.by.iter().map(|name| spec.dimension(name).map(dimension_axis));
        let mut axes = dimensions.collect::<Option<Vec<_>>>().ok_or(StatisticsError::Study)?;
        let present = match &asked.kind {
            StatisticKind::Count | StatisticKind::Crosstab => Content::Count,
            StatisticKind::Histogram { of, edges } => {
                axes.push(histogram_axis(of, edges));
                Content::Count
            }
            StatisticKind::Sum { of } | StatisticKind::Mean { of } | StatisticKind::Variance { of } => {
                axes.push(presence_axis(of));
                if matches!(asked.kind, StatisticKind::Variance { .. }) { Content::Squares } else { Content::Sum }
            }
        };
        let first = self.bundles.len();
        let count = axes.iter().map(|axis| axis.parts.len()).product::<usize>();
        for position in 0..count {
            // Parts of the last axis run fastest: a presence axis alternates between present and missing.
            let is_sum = present != Content::Count && position % 2 == 0;
            let content = if is_sum { present } else { Content::Count };
            self.bundles.push(Bundle { first_cell: self.cells, content });
            self.cells += content.cells();
        }
        self.blocks.push(Block { statistic, axes, bundles: first..self.bundles.len() });
        Ok(())
    }

    /// One block per statistic, in the study's order.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
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
    Axis { column: dimension.name.clone(), parts, labels }
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
    Axis { column: variable.to_string(), parts, labels }
}

fn presence_axis(variable: &str) -> Axis {
    Axis {
        column: variable.to_string(),
        parts: vec![Part::Present, Part::Missing],
        labels: vec!["present".to_string(), MISSING.to_string()],
    }
}
