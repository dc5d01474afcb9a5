//! Cells of text in aligned columns.

use unicode_width::UnicodeWidthStr;

/// Columns, each with a heading, aligned left (labels) or right (numbers).
pub(super) struct Grid {
    headings: Vec<String>,
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

const INDENT: usize = 2;
const GAP: usize = 2;

impl Grid {
    pub(super) fn new() -> Self {
        Self { headings: Vec::new(), right: Vec::new(), rows: Vec::new() }
    }

    pub(super) fn column(&mut self, heading: String, right: bool) {
        self.headings.push(heading);
        self.right.push(right);
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Columns of the screen that it needs.
    pub(super) fn width(&self) -> usize {
        INDENT + self.widths().iter().sum::<usize>() + GAP * self.headings.len().saturating_sub(1)
    }

    /// Where a column starts.
    pub(super) fn offset(&self, column: usize) -> usize {
        INDENT + self.widths()[..column].iter().map(|width| width + GAP).sum::<usize>()
    }

    /// The text, with `tails` behind the rows.
    pub(super) fn render(&self, tails: &[String], ascii: bool) -> String {
        let widths = self.widths();
        let rule = if ascii { "-" } else { "\u{2500}" };
        let rules: Vec<String> = widths.iter().map(|width| rule.repeat(*width)).collect();
        let mut out = self.line(&self.headings, &widths, "");
        out.push_str(&self.line(&rules, &widths, ""));
        for (i, row) in self.rows.iter().enumerate() {
            out.push_str(&self.line(row, &widths, tails.get(i).map_or("", String::as_str)));
        }
        out
    }

    fn line(&self, cells: &[String], widths: &[usize], tail: &str) -> String {
        let mut line = " ".repeat(INDENT);
        for (i, cell) in cells.iter().enumerate() {
            // A count that ends in `+` keeps its digits under those of the others.
            let mark = usize::from(self.right[i] && self.has_marks(i) && !cell.ends_with('+') && is_number(cell));
            let space = " ".repeat(widths[i].saturating_sub(cell.width() + mark));
            let gap = if i > 0 { " ".repeat(GAP) } else { String::new() };
            let padded = if self.right[i] {
                format!("{gap}{space}{cell}{}", " ".repeat(mark))
            } else {
                format!("{gap}{cell}{space}")
            };
            line.push_str(&padded);
        }
        if !tail.is_empty() {
            line.push_str(&" ".repeat(GAP));
            line.push_str(tail);
        }
        format!("{}\n", line.trim_end())
    }

    fn has_marks(&self, column: usize) -> bool {
        self.rows.iter().any(|row| row[column].ends_with('+') && is_number(&row[column]))
    }

    fn widths(&self) -> Vec<usize> {
        let width = |column: usize| {
            let mark = usize::from(self.right[column] && self.has_marks(column));
            let cells = self.rows.iter().map(|row| {
                let cell = &row[column];
                cell.width() + if is_number(cell) && !cell.ends_with('+') { mark } else { 0 }
            });
            cells.chain([self.headings[column].width()]).max().unwrap_or(0)
        };
        (0..self.headings.len()).map(width).collect()
    }
}

fn is_number(cell: &str) -> bool {
    cell.starts_with(|c: char| c.is_ascii_digit() || c == '-') && cell.len() > usize::from(cell.starts_with('-'))
}
