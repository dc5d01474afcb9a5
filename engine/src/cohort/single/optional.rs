//! What an outer join leaves of what was known of its optional side.

use datafusion::common::{DFSchema, NullEquality};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Join, Operator};

use super::part::Part;
use super::{Proof, Rows, lossless, position};
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
        let side = if std::ptr::eq(kept, left) { &join.right } else { &join.left };
        for at in compared(join, side.schema()) {
            self.matched.insert(columns[at], identity);
        }
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

/// Which of a side's columns a join compares, so that they have a value in every pair that matches.
fn compared(join: &Join, side: &DFSchema) -> Vec<usize> {
    use Operator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    let keys = join.on.iter().filter(|_| join.null_equality == NullEquality::NullEqualsNothing);
    let conditions = join.filter.iter().flat_map(split_conjunction).filter_map(|part| match part {
        Expr::BinaryExpr(BinaryExpr { left, op: Eq | NotEq | Lt | LtEq | Gt | GtEq, right }) => {
            Some((&**left, &**right))
        }
        _ => None,
    });
    let sides = keys.map(|(one, other)| (one, other)).chain(conditions).flat_map(|(one, other)| [one, other]);
    let of_side = |expr: &Expr| match lossless(expr, side) {
        // A bare name may be the other side's.
        Expr::Column(column) if column.relation.is_some() => position(column, side),
        _ => None,
    };
    sides.filter_map(of_side).collect()
}
