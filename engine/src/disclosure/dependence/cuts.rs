//! The cuts of each column, from the coarsest to the finest, and what is contained in what.
//!
//! In a guarded study all cuts of one column are *nested*: of any two, one refines the other. Overlapping cuts would
//! have differences that are groups nobody asked for, and that no bit guards. Where containment cannot be told from
//! the study alone, it is taken not to hold, and the study is refused.

use consilium_protocol::study::StudySpec;

use super::super::spans::spans;
use super::DependenceError;
use crate::statistics::{Layout, Part};

/// A column with its cuts. *Level* 0 is the column uncut, with one part; level t is its t-th cut, and each level refines
/// the one before.
#[derive(Debug)]
pub(super) struct Column {
    /// Its name in the cohort.
    pub(super) name: String,
    cuts: Vec<Cut>,
}

#[derive(Debug)]
struct Cut {
    parts: Vec<Part>,
    /// A statistic that uses it, for messages.
    statistic: usize,
    /// The part of the next coarser level that each part is in.
    coarser: Vec<usize>,
}

impl Column {
    /// The level of a cut of this column.
    pub(super) fn level(&self, parts: &[Part]) -> Option<usize> {
        self.cuts.iter().position(|cut| cut.parts == parts).map(|cut| cut + 1)
    }

    /// The part of level `to` that holds a part of level `from`, which is not coarser.
    pub(super) fn coarsened(&self, part: usize, from: usize, to: usize) -> usize {
        (to..from).rev().fold(part, |part, level| self.cuts[level].coarser[part])
    }
}

/// All columns that the study cuts, in the order of their first use.
///
/// # Errors
/// [`DependenceError::NotNested`] for the first column with two cuts neither of which refines the other.
pub(super) fn columns(spec: &StudySpec, layout: &Layout) -> Result<Vec<Column>, DependenceError> {
    let mut columns: Vec<Column> = Vec::new();
    for block in layout.blocks() {
        for axis in &block.axes {
            let position = columns.iter().position(|column| column.name == axis.column);
            let position = position.unwrap_or_else(|| {
                columns.push(Column { name: axis.column.clone(), cuts: Vec::new() });
                columns.len() - 1
            });
            if columns[position].level(&axis.parts).is_none() {
                let cut = Cut { parts: axis.parts.clone(), statistic: block.statistic, coarser: Vec::new() };
                columns[position].cuts.push(cut);
            }
        }
    }
    for column in &mut columns {
        nest(column).map_err(|statistics| DependenceError::NotNested {
            column: column.name.clone(),
            statistics: statistics.map(|statistic| spec.statistics[statistic].name.clone()),
        })?;
    }
    Ok(columns)
}

/// Sorts the cuts and links each to the next coarser one; else the statistics of two that are not nested.
fn nest(column: &mut Column) -> Result<(), [usize; 2]> {
    // What refines another cut, and is not the same, has more parts.
    column.cuts.sort_by_key(|cut| cut.parts.len());
    for level in 0..column.cuts.len() {
        let fine = &column.cuts[level];
        let coarser = match level.checked_sub(1).map(|level| &column.cuts[level]) {
            None => vec![0; fine.parts.len()],
            Some(coarse) => refinement(&fine.parts, &coarse.parts).ok_or([coarse.statistic, fine.statistic])?,
        };
        column.cuts[level].coarser = coarser;
    }
    Ok(())
}

/// For each part of `fine` the part of `coarse` that holds it, if there is one for each.
fn refinement(fine: &[Part], coarse: &[Part]) -> Option<Vec<usize>> {
    fine.iter().map(|part| coarse.iter().position(|whole| is_within(part, whole))).collect()
}

/// Whether every value of one part is certainly in the other, a part of another cut of the column.
///
/// *Other* is whatever a list of values leaves over: it is within *present*, and nothing of another cut is within it.
fn is_within(part: &Part, whole: &Part) -> bool {
    match (part, whole) {
        (Part::Missing, _) | (_, Part::Missing) => part == whole,
        (_, Part::Present) => true,
        (Part::Value(value), Part::Value(same)) => value == same,
        _ => match (spans(part), spans(whole)) {
            (Some(parts), Some(wholes)) => parts.iter().all(|part| wholes.iter().any(|whole| part.is_within(whole))),
            _ => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use consilium_protocol::study::{CategoryValue, Decimal};

    use super::*;

    fn decimal(value: i64) -> Decimal {
        Decimal::new(value, 0).expect("few digits")
    }

    fn histogram(edges: &[i64]) -> Vec<Part> {
        let edges: Vec<Decimal> = edges.iter().map(|edge| decimal(*edge)).collect();
        let inner = edges.windows(2).map(|edge| Part::Interval(edge[0], edge[1]));
        let last = [Part::AtLeast(edges[edges.len() - 1]), Part::Missing];
        [Part::Below(edges[0])].into_iter().chain(inner).chain(last).collect()
    }

    fn dimension(edges: &[i64]) -> Vec<Part> {
        let edges: Vec<Decimal> = edges.iter().map(|edge| decimal(*edge)).collect();
        let inner = edges.windows(2).map(|edge| Part::Interval(edge[0], edge[1]));
        inner.chain([Part::Outside(edges[0], edges[edges.len() - 1]), Part::Missing]).collect()
    }

    fn values(values: &[i64]) -> Vec<Part> {
        let values = values.iter().map(|value| Part::Value(CategoryValue::Integer(*value)));
        values.chain([Part::Other, Part::Missing]).collect()
    }

    fn presence() -> Vec<Part> {
        vec![Part::Present, Part::Missing]
    }

    #[test]
    fn edges_among_edges_are_nested() {
        let refined = |fine: Vec<Part>, coarse: Vec<Part>| refinement(&fine, &coarse);
        assert_eq!(refined(histogram(&[0, 5, 10]), histogram(&[0, 10])), Some(vec![0, 1, 1, 2, 3]));
        assert_eq!(refined(histogram(&[-5, 0, 5, 10]), histogram(&[0, 10])), Some(vec![0, 0, 1, 1, 2, 3]));
        assert_eq!(refined(histogram(&[0, 5, 10]), dimension(&[0, 10])), Some(vec![1, 0, 0, 1, 2]));
        assert_eq!(refined(dimension(&[0, 5, 10]), dimension(&[0, 10])), Some(vec![0, 0, 1, 2]));
        assert_eq!(refined(histogram(&[0, 10]), presence()), Some(vec![0, 0, 0, 1]));
        assert_eq!(refined(dimension(&[0, 10]), presence()), Some(vec![0, 0, 1]));
        assert_eq!(refined(values(&[1, 2]), presence()), Some(vec![0, 0, 0, 1]));
    }

    #[test]
    fn anything_else_is_not() {
        let refined = |fine: Vec<Part>, coarse: Vec<Part>| refinement(&fine, &coarse);
        // One edge more, but not the other's.
        assert_eq!(refined(histogram(&[0, 6, 12]), histogram(&[0, 10])), None);
        // *Other* of a dimension is below and above at once, and so holds no part of its own of a histogram.
        assert_eq!(refined(dimension(&[0, 5, 10]), histogram(&[0, 10])), None);
        // Wider inside: a part of the inner cut's *other* is an interval here.
        assert_eq!(refined(dimension(&[0, 10, 20]), dimension(&[0, 10])), Some(vec![0, 1, 1, 2]));
        assert_eq!(refined(dimension(&[0, 10]), dimension(&[0, 10, 20])), None);
        assert_eq!(refined(dimension(&[5, 10, 20]), dimension(&[0, 10])), None);
        // What a list of values leaves over may be anywhere.
        assert_eq!(refined(values(&[1, 2]), histogram(&[0, 10])), None);
        assert_eq!(refined(histogram(&[0, 10]), values(&[1])), None);
        assert_eq!(refined(values(&[1, 2]), values(&[1])), None);
        assert_eq!(refined(presence(), histogram(&[0, 10])), None);
    }
}
