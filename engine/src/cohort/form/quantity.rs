//! What an expression is: a choice of literals, something measured, or something else; and what becomes of these.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::literals::{Literal, Literals, few};
use super::source::{Restriction, Source};

/// The most raw columns that one quantity may be made of.
const MOST_ENDS: usize = 8;
/// The most sources of one of them, and of what a column depends on.
pub(super) const MOST_SOURCES: usize = 64;

/// Why a variable is not summed up in a guarded study.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    /// Not to be followed through the text.
    Unread,
    /// A concept, or an identifier.
    Code,
    /// A text or truth value.
    Text,
    /// Of a vocabulary, where the query chooses the row.
    Vocabulary,
    /// A place among rows.
    Position,
    /// Measured in some rows, a literal or something else in others.
    Choice,
    /// More literals than can be told apart.
    ManyLiterals,
    /// Literals under a function that is not followed.
    Literal,
    /// Two quantities that are added and have other units or factors.
    Units,
    /// A product of quantities, or a quotient of quotients.
    Product,
    /// A function that stretches some values more than others.
    Curved,
    /// A count or sum over rows that are multiplied.
    Multiplied,
    /// A sum of different literals over rows.
    Weights,
    /// A sum of what was added up before.
    Again,
    /// A mean of literals, or a spread within a patient.
    Share,
    /// Too many parts.
    Large,
}

/// What is refused, in words: what it is, and what to write instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// What it is.
    pub(crate) what: &'static str,
    /// What to do.
    pub(crate) instead: &'static str,
}

impl Why {
    pub(crate) const fn refused(self) -> Refused {
        const COUNT: &str = "declare it as a dimension and count it";
        let (what, instead) = match self {
            Self::Unread => (
                "a column that cannot be followed to one of OMOP's tables",
                "select it by name from OMOP's tables, under the variable's name",
            ),
            Self::Code => ("a code and no quantity", COUNT),
            Self::Text => ("a text or truth value", COUNT),
            Self::Vocabulary => {
                ("a number of a vocabulary table, whose row the query chooses", "sum up what was measured of patients")
            }
            Self::Position => ("a place among rows", "use count(*) of the rows"),
            Self::Choice => (
                "a measured quantity for some patients and a literal or another quantity for others",
                "take the earlier of two dates by least(a, b), the first that is there by coalesce(a, b); for a fixed end, or a value \
                 that stands for none, ask for a histogram or make it a dimension (who has NULL is left out and counted as missing)",
            ),
            Self::ManyLiterals => ("one of more than 64 literals", "use fewer, or a dimension with edges"),
            Self::Literal => ("a function of literals that is not followed", "write its values as literals of a CASE"),
            Self::Units => (
                "made of quantities with different units or factors",
                "add or subtract quantities of one column, counts, or two dates, each without a factor",
            ),
            Self::Product => (
                "a product of measured quantities, or a quotient of quotients",
                "write a quotient as one division of two columns, a body mass index as weight / (height * height)",
            ),
            Self::Curved => (
                "a curved function of a measured quantity",
                "sum up the quantity itself (times and plus literals, rounded), or ask for its histogram",
            ),
            Self::Multiplied => (
                "a count or sum over rows that a join or UNION ALL multiplies",
                "count the rows of one table, joined with queries of one row a patient only, and use IN (SELECT …) or EXISTS \
                 for the rest",
            ),
            Self::Weights => (
                "a sum of different literals over a patient's rows",
                "count the rows of one kind: count(*) FILTER (WHERE …); add a score up as CASE WHEN EXISTS (…) THEN 1 ELSE 0 END + \
                 CASE WHEN EXISTS (…) THEN 2 ELSE 0 END, or make it a dimension",
            ),
            Self::Again => ("a sum over what was counted or added up before", "count or add up in one step"),
            Self::Share => (
                "a mean of literals, or a spread within one patient",
                "count the rows of either kind and write a quotient of the counts",
            ),
            Self::Large => ("made of too many columns", "use fewer"),
        };
        Refused { what, instead }
    }
}

/// In what a quantity is measured, as far as adding two needs it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unit {
    /// As the raw column of a table is.
    Column(Arc<str>, Arc<str>),
    /// A day or moment.
    Day,
    /// A moment in seconds.
    Seconds,
    /// A calendar year.
    Year,
    /// The time between two days, moments or years.
    Time,
    /// Rows.
    Rows,
    /// A quotient.
    Quotient,
}

/// Something measured: up to affine coefficients one raw column of each patient, or a helper over several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Quantity {
    /// The raw columns that it is made of; of each those among which a row decides.
    pub(super) ends: Vec<BTreeSet<Source>>,
    pub(super) unit: Unit,
    /// Whether it was multiplied or rounded, so that it cannot be added to another.
    pub(super) has_factor: bool,
    /// Whether a literal was added, so that its 0 is not nothing.
    pub(super) has_offset: bool,
    /// Whether it adds up over rows: 0 is what a patient without rows has.
    pub(super) is_additive: bool,
    /// Whether it was made of several rows.
    pub(super) is_gathered: bool,
}

impl Quantity {
    pub(super) fn raw(source: Source, unit: Unit) -> Self {
        Self {
            ends: vec![BTreeSet::from([source])],
            unit,
            has_factor: false,
            has_offset: false,
            is_additive: false,
            is_gathered: false,
        }
    }

    pub(super) fn sources(&self) -> impl Iterator<Item = &Source> {
        self.ends.iter().flatten()
    }

    /// Whether it is the time between two days.
    pub(super) fn is_time(&self) -> bool {
        self.unit == Unit::Time && self.ends.len() == 2 && !self.is_additive
    }

    fn is_related(&self, other: &Self) -> bool {
        self.sources().any(|own| other.sources().any(|theirs| own.is_related(theirs)))
    }

    fn is_same(&self, other: &Self) -> bool {
        let all_in =
            |one: &Self, other: &Self| one.sources().all(|own| other.sources().any(|theirs| own.is_same(theirs)));
        all_in(self, other) && all_in(other, self)
    }
}

/// What an expression is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One of these, or NULL.
    Literals(Literals),
    /// The subject.
    Subject,
    /// A record's id or a concept, as it stands in a row.
    Code(Source),
    Measured(Quantity),
    /// The square of a quantity, which may divide another.
    Square(Quantity),
    /// A place among a patient's rows; whether among all.
    Position(bool),
    Other(Why),
}

/// What is known of an expression or column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) form: Form,
    /// The raw columns that it depends on, by its value or by whether it is there.
    pub(super) by: BTreeSet<Source>,
    /// Whether a patient has one value of it.
    pub(super) is_fixed: bool,
}

impl Form {
    pub(super) fn why(&self) -> Why {
        match self {
            Self::Subject | Self::Code(_) => Why::Code,
            Self::Square(_) => Why::Product,
            Self::Position(_) => Why::Position,
            Self::Other(why) => *why,
            Self::Literals(_) | Self::Measured(_) => Why::Unread,
        }
    }

    pub(super) fn truth() -> Self {
        Self::Literals(Literals::from([Literal::Truth(false), Literal::Truth(true)]))
    }

    pub(super) fn literals(literals: Result<Literals, Why>) -> Self {
        literals.map_or_else(Self::Other, Self::Literals)
    }

    pub(super) fn sources_mut(&mut self, mut change: impl FnMut(&mut Source)) {
        match self {
            Self::Code(source) => change(source),
            Self::Measured(quantity) | Self::Square(quantity) => {
                for end in &mut quantity.ends {
                    *end = std::mem::take(end)
                        .into_iter()
                        .map(|mut source| {
                            change(&mut source);
                            source
                        })
                        .collect();
                }
            }
            Self::Literals(_) | Self::Subject | Self::Position(_) | Self::Other(_) => {}
        }
    }
}

impl Seen {
    pub(super) const fn of(form: Form) -> Self {
        Self { form, by: BTreeSet::new(), is_fixed: true }
    }

    pub(super) const fn other(why: Why) -> Self {
        Self::of(Form::Other(why))
    }

    /// With another form.
    pub(super) fn with_form(self, form: Form) -> Self {
        Self { form, ..self }
    }

    /// Depends on what others depend on, too.
    pub(super) fn beside<'a>(mut self, others: impl IntoIterator<Item = &'a Self>) -> Self {
        for other in others {
            self.by.extend(other.by.iter().cloned());
            self.is_fixed &= other.is_fixed;
        }
        self
    }

    pub(super) fn change(&mut self, mut change: impl FnMut(&mut Source)) {
        self.form.sources_mut(&mut change);
        let changed = |mut source: Source| {
            change(&mut source);
            source
        };
        self.by = std::mem::take(&mut self.by).into_iter().map(changed).collect();
    }

    pub(super) fn restrict(&mut self, to: &[Restriction]) {
        if !to.is_empty() {
            self.change(|source| to.iter().for_each(|restriction| source.restrict(restriction)));
        }
    }
}

/// One of several expressions, by any condition.
pub(super) fn choice(of: Vec<Seen>) -> Seen {
    one_of(of, false)
}

/// One of several expressions, by what they are or which of them is there.
pub(super) fn alternatives(of: Vec<Seen>) -> Seen {
    one_of(of, true)
}

fn one_of(of: Vec<Seen>, may_differ: bool) -> Seen {
    let all = Seen::of(Form::Subject).beside(&of);
    let forms: Vec<Form> = of.into_iter().map(|seen| seen.form).collect();
    all.with_form(chosen(&forms, may_differ))
}

fn chosen(forms: &[Form], may_differ: bool) -> Form {
    let mut literals = Literals::new();
    let mut rest: Vec<&Form> = Vec::new();
    for form in forms {
        match form {
            Form::Literals(own) => literals.extend(own.iter().cloned()),
            other if rest.contains(&other) => {}
            other => rest.push(other),
        }
    }
    match rest.as_slice() {
        [] => Form::literals(few(literals)),
        // One of several rows may have each place.
        [Form::Position(_)] if forms.len() > 1 => Form::Other(Why::Position),
        [only] if literals.is_empty() => (*only).clone(),
        // Who has no rows has none of what they add up to.
        [Form::Measured(own)] if own.is_additive && literals.iter().all(Literal::is_zero) => {
            Form::Measured(own.clone())
        }
        [Form::Measured(first), others @ ..] if literals.is_empty() && may_differ => {
            let mut union = first.clone();
            for other in others {
                match other {
                    Form::Measured(other) if is_alternative(first, other) => {
                        union.ends[0].extend(other.ends[0].iter().cloned());
                        union.is_gathered |= other.is_gathered;
                    }
                    _ => return Form::Other(why_of(&rest, Why::Choice)),
                }
            }
            if union.ends[0].len() > MOST_SOURCES { Form::Other(Why::Large) } else { Form::Measured(union) }
        }
        _ => Form::Other(why_of(&rest, Why::Choice)),
    }
}

/// The first reason among forms, if any has one.
fn why_of(forms: &[&Form], otherwise: Why) -> Why {
    let own = forms.iter().find_map(|form| match form {
        Form::Other(why) => Some(*why),
        _ => None,
    });
    own.unwrap_or(otherwise)
}

/// Whether one may stand for the other: days, or the same column of the same codes, as they are.
fn is_alternative(one: &Quantity, other: &Quantity) -> bool {
    let plain = |of: &Quantity| of.ends.len() == 1 && !of.has_factor && !of.has_offset && !of.is_additive;
    plain(one)
        && plain(other)
        && one.unit == other.unit
        && match one.unit {
            // The day of birth is too far from all others.
            Unit::Day => one.sources().chain(other.sources()).all(|source| source.table() != "person"),
            Unit::Column(..) | Unit::Year => one.is_same(other),
            _ => false,
        }
}

/// One quantity and a literal, or two of a kind.
pub(super) fn combined(operator: char, left: &Form, right: &Form) -> Form {
    use Form::{Literals as L, Measured as M};
    match (left, right) {
        (L(one), L(other)) => {
            Form::literals(super::literals::pairs(one, other, |a, b| super::literals::arithmetic(operator, a, b)))
        }
        (M(own), L(literals)) | (L(literals), M(own)) if literals.len() > 1 => {
            Form::Other(if own.unit == Unit::Quotient { Why::Product } else { Why::Choice })
        }
        (M(_), L(literals)) | (L(literals), M(_)) if literals.is_empty() => L(Literals::new()),
        (M(own), L(literal)) => with_literal(own, operator, literal, false),
        (L(literal), M(own)) => with_literal(own, operator, literal, true),
        (M(one), M(other)) => of_two(operator, one, other),
        (M(one), Form::Square(other)) if operator == '/' => quotient(one, other),
        // A square is scaled by literals only as a part of a quotient.
        (Form::Square(own), L(literals)) if literals.len() == 1 && matches!(operator, '*' | '/') => {
            Form::Square(own.clone())
        }
        (L(literals), Form::Square(own)) if literals.len() == 1 && operator == '*' => Form::Square(own.clone()),
        _ => Form::Other(why_of(&[left, right], if right.why() == Why::Unread { left.why() } else { right.why() })),
    }
}

fn with_literal(own: &Quantity, operator: char, literal: &Literals, is_left: bool) -> Form {
    let mut made = own.clone();
    match operator {
        '+' | '-' => {
            made.has_offset = true;
            made.is_additive = false;
            // A day less a day is a time; less an interval or a number of days, it is a day.
            if own.unit == Unit::Day && literal.iter().any(|literal| matches!(literal, Literal::Other(_))) {
                made.unit = Unit::Time;
                made.has_factor = true;
            }
            made.has_factor |= is_left && operator == '-';
        }
        '*' => made.has_factor = true,
        '/' if !is_left => made.has_factor = true,
        '/' => return Form::Other(Why::Product),
        _ => return Form::Other(Why::Curved),
    }
    Form::Measured(made)
}

fn of_two(operator: char, one: &Quantity, other: &Quantity) -> Form {
    match operator {
        '+' | '-' => {}
        '/' => return quotient(one, other),
        '*' if one.is_same(other) && one.ends.len() == 1 && !one.has_offset && !other.has_offset => {
            return Form::Square(one.clone());
        }
        _ => return Form::Other(Why::Product),
    }
    let unit = match (&one.unit, &other.unit, operator) {
        (Unit::Day, Unit::Day, '-') | (Unit::Year, Unit::Year, '-') | (Unit::Seconds, Unit::Seconds, '-') => Unit::Time,
        (Unit::Day | Unit::Year | Unit::Seconds | Unit::Quotient, ..) => return Form::Other(Why::Units),
        (own, theirs, _) if own == theirs => own.clone(),
        _ => return Form::Other(Why::Units),
    };
    if one.has_factor || other.has_factor {
        return Form::Other(Why::Units);
    }
    let ends: Vec<BTreeSet<Source>> = one.ends.iter().chain(&other.ends).cloned().collect();
    if ends.len() > MOST_ENDS {
        return Form::Other(Why::Large);
    }
    // What is added to itself, again and again, has a factor.
    let is_repeated = one.is_related(other);
    if is_repeated && ends.len() > 2 {
        return Form::Other(Why::Units);
    }
    Form::Measured(Quantity {
        ends,
        unit,
        has_factor: is_repeated,
        has_offset: one.has_offset || other.has_offset,
        is_additive: operator == '+' && one.is_additive && other.is_additive,
        is_gathered: one.is_gathered || other.is_gathered,
    })
}

fn quotient(one: &Quantity, other: &Quantity) -> Form {
    let fits = |of: &Quantity| of.unit != Unit::Quotient && !of.has_offset;
    if !fits(one) || !fits(other) {
        return Form::Other(Why::Product);
    }
    let ends: Vec<BTreeSet<Source>> = one.ends.iter().chain(&other.ends).cloned().collect();
    if ends.len() > MOST_ENDS {
        return Form::Other(Why::Large);
    }
    Form::Measured(Quantity {
        ends,
        unit: Unit::Quotient,
        has_factor: true,
        has_offset: false,
        is_additive: false,
        is_gathered: one.is_gathered || other.is_gathered,
    })
}
