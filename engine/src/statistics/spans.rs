//! Parts of a column as intervals of numbers, to compare parts of different cuts.

use consilium_protocol::study::{CategoryValue, Decimal};

use super::Part;

/// The numbers from `from` on (or from the smallest on) up to, and without, `to` (or all).
pub(crate) struct Span {
    from: Option<Decimal>,
    to: Option<Decimal>,
}

impl Span {
    /// Whether a number is in both.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        let starts_before_end = |a: &Self, b: &Self| match (a.from, b.to) {
            (Some(from), Some(to)) => from < to,
            _ => true,
        };
        starts_before_end(self, other) && starts_before_end(other, self)
    }

    /// Whether every number of this is in the other.
    pub(crate) fn is_within(&self, whole: &Self) -> bool {
        let from = whole.from.is_none_or(|bound| self.from.is_some_and(|from| from >= bound));
        let to = whole.to.is_none_or(|bound| self.to.is_some_and(|to| to <= bound));
        from && to
    }
}

/// The intervals that a part is made of, if it is made of intervals.
pub(crate) fn spans(part: &Part) -> Option<Vec<Span>> {
    let span = |from, to| Span { from, to };
    match part {
        Part::Interval(from, to) => Some(vec![span(Some(*from), Some(*to))]),
        Part::Below(to) => Some(vec![span(None, Some(*to))]),
        Part::AtLeast(from) => Some(vec![span(Some(*from), None)]),
        Part::Outside(from, to) => Some(vec![span(None, Some(*from)), span(Some(*to), None)]),
        Part::Value(CategoryValue::Integer(value)) => {
            // Decimals have nine places: nothing stands between a whole number and what follows it at the last place.
            let from = Decimal::new(*value, 0).ok()?;
            let next = value.checked_mul(1_000_000_000)?.checked_add(1)?;
            Some(vec![span(Some(from), Some(Decimal::new(next, 9).ok()?))])
        }
        Part::Value(_) | Part::Other | Part::Present | Part::Missing => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_ends_at_the_last_place() {
        let span = |part: &Part| spans(part).expect("an interval").swap_remove(0);
        let one = span(&Part::Value(CategoryValue::Integer(1)));
        let decimal = |text: &str| text.parse().expect("a decimal");
        let least = span(&Part::Interval(decimal("1"), decimal("1.000000001")));
        assert!(one.is_within(&least) && least.is_within(&one));
        assert!(!one.meets(&span(&Part::AtLeast(decimal("1.000000001")))));
    }
}
