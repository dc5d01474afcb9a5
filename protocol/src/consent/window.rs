//! Periods of days and sets of them.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::ids::Date;

/// A period of days, both ends included; a missing end is open.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The first day, or since ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Date>,
    /// The last day, or for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Date>,
}

impl Window {
    /// All days.
    pub const UNBOUNDED: Self = Self { from: None, to: None };

    /// Whether the day lies in the period.
    pub fn contains(&self, day: Date) -> bool {
        self.from.is_none_or(|from| from <= day) && self.to.is_none_or(|to| day <= to)
    }

    /// Whether the period has no day.
    pub fn is_empty(&self) -> bool {
        matches!((self.from, self.to), (Some(from), Some(to)) if to < from)
    }

    fn bounds(&self) -> (i64, i64) {
        (self.from.map_or(MIN, |d| i64::from(d.days())), self.to.map_or(MAX, |d| i64::from(d.days())))
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.from, self.to) {
            (None, None) => write!(f, "any time"),
            (Some(from), None) => write!(f, "from {from}"),
            (None, Some(to)) => write!(f, "until {to}"),
            (Some(from), Some(to)) => write!(f, "{from} to {to}"),
        }
    }
}

const MIN: i64 = i64::MIN;
const MAX: i64 = i64::MAX;

/// A set of days as disjoint, sorted, non-adjacent periods.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Windows(Vec<(i64, i64)>);

impl Windows {
    /// No day.
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Every day.
    pub fn unbounded() -> Self {
        Self(vec![(MIN, MAX)])
    }

    /// Whether no day is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every day is in the set.
    pub fn is_unbounded(&self) -> bool {
        self.0 == [(MIN, MAX)]
    }

    /// Whether the day is in the set.
    pub fn contains(&self, day: Date) -> bool {
        let day = i64::from(day.days());
        self.0.iter().any(|&(from, to)| from <= day && day <= to)
    }

    /// Adds a period.
    pub fn add(&mut self, window: &Window) {
        if window.is_empty() {
            return;
        }
        self.0.push(window.bounds());
        self.0.sort_unstable();
        let mut merged: Vec<(i64, i64)> = Vec::with_capacity(self.0.len());
        for &(from, to) in &self.0 {
            match merged.last_mut() {
                Some(last) if from <= last.1.saturating_add(1) => last.1 = last.1.max(to),
                _ => merged.push((from, to)),
            }
        }
        self.0 = merged;
    }

    /// Takes a period out.
    pub fn subtract(&mut self, window: &Window) {
        if window.is_empty() {
            return;
        }
        let (cut_from, cut_to) = window.bounds();
        let mut left = Vec::with_capacity(self.0.len() + 1);
        for &(from, to) in &self.0 {
            if cut_to < from || to < cut_from {
                left.push((from, to));
                continue;
            }
            if from < cut_from {
                left.push((from, cut_from - 1));
            }
            if cut_to < to {
                left.push((cut_to + 1, to));
            }
        }
        self.0 = left;
    }

    /// Leaves the days that are in the other set as well.
    pub fn intersect(&mut self, other: &Self) {
        let mut common = Vec::with_capacity(self.0.len().max(other.0.len()));
        for &(from, to) in &self.0 {
            for &(other_from, other_to) in &other.0 {
                let (from, to) = (from.max(other_from), to.min(other_to));
                if from <= to {
                    common.push((from, to));
                }
            }
        }
        self.0 = common;
    }

    /// The periods, in order.
    pub fn iter(&self) -> impl Iterator<Item = Window> + '_ {
        let day = |d: i64| i32::try_from(d).ok().map(Date::from_days);
        self.0.iter().map(move |&(from, to)| Window { from: day(from), to: day(to) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn window() -> impl Strategy<Value = Window> {
        let end = prop_oneof![Just(None), (0..40i32).prop_map(|d| Some(Date::from_days(d)))];
        (end.clone(), end).prop_map(|(from, to)| Window { from, to })
    }

    proptest! {
        // The oracle marks days in an array.
        #[test]
        fn sets_of_days_agree_with_a_calendar(steps in prop::collection::vec((any::<bool>(), window()), 0..12)) {
            let mut windows = Windows::none();
            let mut calendar = [false; 60];
            for (add, window) in &steps {
                if *add { windows.add(window) } else { windows.subtract(window) }
                for (day, marked) in calendar.iter_mut().enumerate() {
                    if window.contains(Date::from_days(day as i32 - 10)) { *marked = *add }
                }
            }
            for (day, marked) in calendar.iter().enumerate() {
                prop_assert_eq!(windows.contains(Date::from_days(day as i32 - 10)), *marked);
            }
            let mut rebuilt = Windows::none();
            for part in windows.iter() { rebuilt.add(&part) }
            prop_assert_eq!(rebuilt, windows);
        }

        #[test]
        fn what_two_sets_have_in_common_is_what_both_have(
            one in prop::collection::vec(window(), 0..5),
            other in prop::collection::vec(window(), 0..5),
        ) {
            let set = |parts: &[Window]| {
                let mut set = Windows::none();
                parts.iter().for_each(|part| set.add(part));
                set
            };
            let (one, other) = (set(&one), set(&other));
            let mut common = one.clone();
            common.intersect(&other);
            for day in (-10..60).map(Date::from_days) {
                prop_assert_eq!(common.contains(day), one.contains(day) && other.contains(day));
            }
            let mut rebuilt = Windows::none();
            for part in common.iter() { rebuilt.add(&part) }
            prop_assert_eq!(rebuilt, common);
        }
    }
}
