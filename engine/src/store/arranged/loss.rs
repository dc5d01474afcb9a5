//! What a store that is laid out would lose if it were laid out anew.

use std::fmt;

use super::manifest::{Manifest, TableEntry};
use crate::store::Store;

/// A table that would be gone, empty, or less than half as long. PERSON's rows are the patients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The table.
    pub table: String,
    /// Its rows in what is laid out.
    pub before: u64,
    /// What there is of it now.
    pub now: Now,
}

/// What there is of a table now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Now {
    /// No file.
    Missing,
    /// A file that cannot be read, and why.
    Unreadable(String),
    /// So many rows.
    Rows(u64),
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = if self.before == 1 { "row" } else { "rows" };
        write!(f, "`{}` has {} {rows} in what is laid out; now ", self.table, grouped(self.before))?;
        match &self.now {
            Now::Missing => write!(f, "it is not there"),
            Now::Unreadable(why) => write!(f, "it cannot be read: {why}"),
            Now::Rows(rows) => write!(f, "it has {}", grouped(*rows)),
        }
    }
}

/// A number in groups of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What would be lost by how many rows the tables of a store have, before any of them is read.
pub(super) fn at_first(before: &Manifest, store: &Store) -> Vec<Loss> {
    let all = |entry: &TableEntry| entry.rows() as u64 + entry.left_out.nobodys + entry.left_out.strangers;
    let of = |entry: &TableEntry| match (store.tables.get(&entry.name), store.unreadable.get(&entry.name)) {
        (Some(table), _) => Some(Now::Rows(table.rows? as u64)),
        (None, Some(error)) => Some(Now::Unreadable(error.to_string())),
        (None, None) => Some(Now::Missing),
    };
    let had_rows = before.tables.iter().filter(|entry| entry.rows() > 0);
    had_rows.filter_map(|entry| loss(&entry.name, all(entry), of(entry)?)).collect()
}

/// What would be lost by how many rows somebody could see.
pub(super) fn in_the_end(before: &Manifest, after: &Manifest) -> Vec<Loss> {
    let of = |entry: &TableEntry| Some((entry.rows() as u64, after.table(&entry.name)?.rows() as u64));
    let rows = before.tables.iter().filter_map(|entry| Some((&entry.name, of(entry)?)));
    rows.filter_map(|(name, (then, now))| loss(name, then, Now::Rows(now))).collect()
}

fn loss(table: &str, before: u64, now: Now) -> Option<Loss> {
    let is_enough = matches!(now, Now::Rows(rows) if rows.saturating_mul(2) >= before);
    (!is_enough).then(|| Loss { table: table.to_string(), before, now })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_is_enough_and_less_is_a_loss() {
        for (before, now, is_loss) in [(0, 0, false), (1, 0, true), (4, 2, false), (5, 2, true), (5, 3, false)] {
            assert_eq!(loss("death", before, Now::Rows(now)).is_some(), is_loss, "{before}, {now}");
        }
        let said = loss("death", 3, Now::Missing).expect("a loss").to_string();
        assert_eq!(said, "`death` has 3 rows in what is laid out; now it is not there");
    }
}
