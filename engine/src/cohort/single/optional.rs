//! What an outer join leaves of what was known of its optional side.

use datafusion::logical_expr::Join;

use super::part::Part;
use super::{Proof, Rows};
use crate::cohort::determined::Attribute;

impl Proof {
    /// The side of an outer join whose columns are NULL where nothing matches; `kept` is the other.
    pub(super) fn optional(&mut self, join: &Join, left: &Rows, right: &Rows, kept: &Rows) -> Rows {
        let padded = if std::ptr::eq(kept, left) { right } else { left };
        // What holds of pairs that match does not hold of a kept row without a match.
        let mut matching = self.clone();
        let mut read = matching.match_pairs(join, left, right);
        read.retain(|attribute| kept.columns.contains(attribute));
        let determined = matching.facts.closure(&read);
        let columns = self.new_attributes(padded.columns.len());
        let missing = padded.identity.iter().find(|part| !determined.contains(part));
        let part = missing.and_then(|part| self.parts.get(part).cloned()).unwrap_or(Part::Join);
        let identity = self.identity_of(&columns, part);
        for (column, stands_for) in columns.iter().zip(&padded.columns) {
            if determined.contains(stands_for) {
                self.facts.determine(&read, &[*column]);
            }
        }
        if missing.is_none() {
            self.facts.determine(&read, &[identity]);
        }
        self.optional_row_numbers(padded, &columns, identity);
        Rows { columns, identity: vec![identity] }
    }

    /// A row number is NULL in rows made up and in no other: what it determined, it goes on to determine.
    fn optional_row_numbers(&mut self, padded: &Rows, columns: &[Attribute], identity: Attribute) {
        let moved =
            |attribute: &Attribute| Some(columns[padded.columns.iter().position(|column| column == attribute)?]);
        for number in &padded.columns {
            let Some(within) = self.row_numbers.get(number) else { continue };
            let counted = [within.as_slice(), &[*number]].concat();
            let determined = self.facts.closure(&counted);
            if let Some(counted) = counted.iter().map(moved).collect::<Option<Vec<_>>>()
                && padded.identity.iter().all(|part| determined.contains(part))
            {
                self.facts.determine(&counted, &[identity]);
                if let Some((number, within)) = counted.split_last() {
                    self.row_numbers.insert(*number, within.to_vec());
                }
            }
        }
    }
}
