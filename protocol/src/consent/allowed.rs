//! What may be read of somebody.

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};

use super::{Domain, Window, Windows};

/// What may be read of one domain.
///
/// Rows of a dated table that have no day themselves are in neither part: whichever day they are of, it may be read only
/// where every day may.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Opened {
    /// Whether data that have no date may be read: PERSON, and every other table without one.
    pub undated: bool,
    /// The days whose data may be read.
    pub days: Windows,
}

impl Opened {
    /// Everything, dated or not.
    pub fn everything() -> Self {
        Self { undated: true, days: Windows::unbounded() }
    }

    /// What one permit rule with this window opens: a window chooses among dated data, and undated data come with it. A
    /// window without a day opens nothing.
    pub fn within(window: &Window) -> Self {
        let mut opened = Self::default();
        opened.add(window);
        opened
    }

    /// Whether nothing may be read.
    pub fn is_empty(&self) -> bool {
        !self.undated && self.days.is_empty()
    }

    pub(super) fn add(&mut self, window: &Window) {
        if !window.is_empty() {
            self.undated = true;
            self.days.add(window);
        }
    }

    /// Takes away what a deny with this window forbids: the data of its days, or everything where it has no window. Which
    /// days are meant by one that ends before it begins cannot be known, so it forbids everything too.
    pub(super) fn subtract(&mut self, window: &Window) {
        if *window == Window::UNBOUNDED || window.is_empty() {
            *self = Self::default();
        } else {
            self.days.subtract(window);
        }
    }

    fn intersect(&mut self, other: &Self) {
        self.undated &= other.undated;
        self.days.intersect(&other.days);
    }
}

/// Which data of a subject may be read, by domain; a domain that is not there is closed.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct AllowedData(BTreeMap<Domain, Opened>);

impl AllowedData {
    /// Whether nothing may be read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What may be read of a domain, if anything.
    pub fn of(&self, domain: Domain) -> Option<&Opened> {
        self.0.get(&domain)
    }

    /// The domains of which anything may be read, with what.
    pub fn iter(&self) -> impl Iterator<Item = (Domain, &Opened)> {
        self.0.iter().map(|(domain, opened)| (*domain, opened))
    }

    /// Leaves what the other allows as well.
    pub fn intersect(&mut self, other: &Self) {
        self.0.retain(|domain, opened| {
            other.of(*domain).is_some_and(|also| {
                opened.intersect(also);
                !opened.is_empty()
            })
        });
    }
}

impl FromIterator<(Domain, Opened)> for AllowedData {
    fn from_iter<I: IntoIterator<Item = (Domain, Opened)>>(parts: I) -> Self {
        Self(parts.into_iter().filter(|(_, opened)| !opened.is_empty()).collect())
    }
}
