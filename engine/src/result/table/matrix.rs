//! A crosstab: the last dimension across, the one before it down, and one matrix per category of a third.

use unicode_width::UnicodeWidthStr;

use super::super::{Grouping, Row, StatisticResult};
use super::TableOptions;
use super::grid::Grid;
use super::number::{clean, is_empty, measure};

/// The crosstab; `None` for other statistics, and where it would be too wide.
pub(super) fn render(statistic: &StatisticResult, options: &TableOptions) -> Option<String> {
    if statistic.kind != "crosstab" {
        return None;
    }
    let [down, across] = statistic.by.last_chunk::<2>()?;
    let mut out = String::new();
    for cells in statistic.rows.chunks(down.labels.len() * across.labels.len()) {
        let slice = Slice { statistic, down, across, cells };
        let text = match cells.first()?.group.as_slice() {
            [third, _, _] => {
                let title = format!("{}: {}", clean(&statistic.by[0].name), clean(third));
                let gap = if out.is_empty() { "" } else { "\n" };
                if folds(third) && cells.iter().all(is_empty) {
                    format!("{gap}  ({title} is empty, not shown)\n")
                } else {
                    format!("{gap}  {title}\n{}", slice.render(options)?)
                }
            }
            _ => slice.render(options)?,
        };
        out.push_str(&text);
    }
    Some(out)
}

/// Whether a category may be left out when nobody is in it.
fn folds(label: &str) -> bool {
    label == "other" || label == "missing"
}

/// One matrix, row by row.
struct Slice<'a> {
    statistic: &'a StatisticResult,
    down: &'a Grouping,
    across: &'a Grouping,
    cells: &'a [Row],
}

impl Slice<'_> {
    /// The matrix; `None` where it would be too wide.
    fn render(&self, options: &TableOptions) -> Option<String> {
        let (height, width) = (self.down.labels.len(), self.across.labels.len());
        let cell = |row: usize, column: usize| &self.cells[row * width + column];
        let keep_row =
            |row: &usize| !folds(&self.down.labels[*row]) || (0..width).any(|column| !is_empty(cell(*row, column)));
        let keep_column = |column: &usize| {
            !folds(&self.across.labels[*column]) || (0..height).any(|row| !is_empty(cell(row, *column)))
        };
        let (rows, dropped_rows): (Vec<usize>, Vec<usize>) = (0..height).partition(keep_row);
        let (columns, dropped_columns): (Vec<usize>, Vec<usize>) = (0..width).partition(keep_column);
        let mut grid = Grid::new();
        grid.column(clean(&self.down.name), false);
        columns.iter().for_each(|column| grid.column(clean(&self.across.labels[*column]), true));
        for row in rows {
            let count = |column: &usize| measure(self.statistic, cell(row, *column), "count", options.ascii);
            grid.row(std::iter::once(clean(&self.down.labels[row])).chain(columns.iter().map(count)).collect());
        }
        if grid.width() > options.width {
            return None;
        }
        let mut out = over(&grid, &clean(&self.across.name));
        out.push_str(&grid.render(&[], options.ascii));
        let name = |by: &Grouping, dropped: &[usize]| {
            let labels = dropped.iter().map(|label| format!("{} {}", clean(&by.name), by.labels[*label]));
            labels.collect::<Vec<_>>()
        };
        let dropped = [name(self.down, &dropped_rows), name(self.across, &dropped_columns)].concat();
        if !dropped.is_empty() {
            out.push_str(&format!("  (empty, not shown: {})\n", dropped.join(", ")));
        }
        Some(out)
    }
}

/// The name of the dimension that runs across, in the middle of its columns.
fn over(grid: &Grid, name: &str) -> String {
    let start = grid.offset(1);
    let room = grid.width().saturating_sub(start);
    format!("{}{name}\n", " ".repeat(start + room.saturating_sub(name.width()) / 2))
}
