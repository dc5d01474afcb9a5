//! What a statistic is made of: parts of columns, axes of them, and bundles of cells.

use consilium_protocol::study::{CategoryValue, Decimal};

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
    pub(super) fn new(column: &str, parts: Vec<Part>, labels: Vec<String>) -> Self {
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
