//! A choice of literals.

use std::collections::BTreeSet;

use super::quantity::Why;

/// The most literals that a column may be one of.
pub(super) const MOST: usize = 64;

/// A literal of a query.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Literal {
    /// A truth value.
    Truth(bool),
    /// A whole number.
    Whole(i64),
    /// The bits of a double.
    Double(u64),
    /// A number of days, months or years, as written.
    Interval(String),
    /// A text or day, as written.
    Other(String),
}

impl Literal {
    pub(super) fn double(value: f64) -> Option<Self> {
        value.is_finite().then_some(Self::Double(value.to_bits()))
    }

    /// The number that it is.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Whole(value) => Some(*value as f64),
            Self::Double(bits) => Some(f64::from_bits(*bits)),
            Self::Truth(_) | Self::Interval(_) | Self::Other(_) => None,
        }
    }

    pub(super) fn is_zero(&self) -> bool {
        self.number() == Some(0.0)
    }
}

/// What a column may hold beside NULL.
pub(super) type Literals = BTreeSet<Literal>;

/// All that an operation makes of these; [`None`] from the operation is NULL.
pub(super) fn each(
    literals: &Literals,
    of: impl Fn(&Literal) -> Result<Option<Literal>, Why>,
) -> Result<Literals, Why> {
    let all = literals.iter().map(of).collect::<Result<Vec<_>, Why>>()?;
    few(all.into_iter().flatten().collect())
}

/// All that an operation makes of any two.
pub(super) fn pairs(
    left: &Literals,
    right: &Literals,
    of: impl Fn(&Literal, &Literal) -> Result<Option<Literal>, Why>,
) -> Result<Literals, Why> {
    let mut all = Literals::new();
    for one in left {
        for other in right {
            all.extend(of(one, other)?);
        }
        all = few(all)?;
    }
    Ok(all)
}

/// The literals, unless they are too many.
pub(super) fn few(literals: Literals) -> Result<Literals, Why> {
    if literals.len() > MOST { Err(Why::ManyLiterals) } else { Ok(literals) }
}

/// Arithmetic as the query engine does it: whole numbers where both are, else doubles.
pub(super) fn arithmetic(operator: char, left: &Literal, right: &Literal) -> Result<Option<Literal>, Why> {
    if let (Literal::Whole(a), Literal::Whole(b)) = (left, right) {
        let value = match operator {
            '+' => a.checked_add(*b),
            '-' => a.checked_sub(*b),
            '*' => a.checked_mul(*b),
            '/' => a.checked_div(*b),
            _ => a.checked_rem(*b),
        };
        return Ok(value.map(Literal::Whole));
    }
    let (Some(a), Some(b)) = (left.number(), right.number()) else { return Err(Why::Literal) };
    let value = match operator {
        '+' => a + b,
        '-' => a - b,
        '*' => a * b,
        '/' => a / b,
        _ => a % b,
    };
    Ok(Literal::double(value))
}
