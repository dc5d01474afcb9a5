//! Which days of a table each class opens.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{Date32Type, Int64Type};
use arrow::record_batch::RecordBatch;
use consilium_protocol::consent::{AllowedData, Domain, Opened};

use super::people::{CLOSED, People};
use crate::store::{DAYS, table::Dating};

/// What one class opens of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Days {
    None,
    All,
    /// Periods, both ends included, in days since 1970; none beyond the calendar, where a period has no end either.
    Within(Vec<(i32, i32)>),
}

impl Days {
    fn of(opened: Option<&Opened>, dating: Dating) -> Self {
        let Some(opened) = opened else { return Self::None };
        match dating {
            Dating::Undated if opened.undated => Self::All,
            Dating::Undated => Self::None,
            _ if opened.days.is_unbounded() => Self::All,
            Dating::Column(_) if !opened.days.is_empty() => Self::Within(
                opened
                    .days
                    .iter()
                    .map(|w| (w.from.map_or(DAYS.start, |d| d.days()), w.to.map_or(DAYS.end - 1, |d| d.days())))
                    .collect(),
            ),
            // Rows that may be of any day are read only where every day may be.
            _ => Self::None,
        }
    }

    /// What both open.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::None, _) | (_, Self::None) => Self::None,
            (Self::All, days) | (days, Self::All) => days,
            (Self::Within(one), Self::Within(other)) => {
                let both = one.iter().flat_map(|(a, b)| other.iter().map(|(c, d)| (*a.max(c), *b.min(d))));
                let both: Vec<(i32, i32)> = both.filter(|(from, to)| from <= to).collect();
                if both.is_empty() { Self::None } else { Self::Within(both) }
            }
        }
    }

    /// Whether every day between these two is open, them included.
    pub(super) fn span(&self, one: i32, other: i32) -> bool {
        let (first, last) = (one.min(other), one.max(other));
        match self {
            Self::None => false,
            Self::All => true,
            Self::Within(periods) => periods.iter().any(|(from, to)| *from <= first && last <= *to),
        }
    }
}

/// The gate of one table: which of its rows a study may see, and what of them.
#[derive(Clone)]
pub(crate) struct RowGate {
    pub(super) people: Arc<People>,
    /// By class, the days whose rows are open.
    pub(super) by_class: Arc<[Days]>,
    /// By class, the days of which it may be known whether the patient died.
    pub(super) deaths: Arc<[Days]>,
}

impl RowGate {
    /// The gate of a table that these domains open together.
    pub(crate) fn new(people: &Arc<People>, domains: &[Domain], dating: Dating) -> Self {
        let of = |domains: &[Domain], dating| {
            let days = |allowed: &AllowedData| {
                let each = domains.iter().map(|domain| Days::of(allowed.of(*domain), dating));
                each.reduce(Days::and).unwrap_or(Days::None)
            };
            people.classes.iter().map(days).collect()
        };
        let deaths = of(&[Domain::Death], Dating::Column(0));
        Self { people: Arc::clone(people), by_class: of(domains, dating), deaths }
    }

    /// Whether no row at all can pass.
    pub(crate) fn is_shut(&self) -> bool {
        self.people.len() == 0 || self.by_class.iter().all(|days| *days == Days::None)
    }

    /// Whether the day of a row matters to anyone.
    pub(crate) fn needs_date(&self) -> bool {
        self.by_class.iter().any(|days| matches!(days, Days::Within(_)))
    }

    /// The rows of a batch that pass: those of a person whose class opens the row's day. A row without a person never
    /// passes; a row without a day passes only where all days are open.
    ///
    /// Only rows that are `wanted` are looked at, which has no NULL.
    pub(crate) fn select(
        &self,
        batch: &RecordBatch,
        subject: usize,
        date: Option<usize>,
        wanted: Option<&BooleanArray>,
    ) -> BooleanArray {
        let persons = batch.column(subject).as_primitive::<Int64Type>();
        let dates = date.map(|date| batch.column(date).as_primitive::<Date32Type>());
        let by_class = &*self.by_class;
        let in_days = |i: usize, class: u32| match by_class.get(class as usize) {
            Some(Days::All) => true,
            Some(Days::Within(periods)) => dates.is_some_and(|dates| {
                dates.is_valid(i) && {
                    let day = dates.value(i);
                    periods.iter().any(|(from, to)| *from <= day && day <= *to)
                }
            }),
            Some(Days::None) | None => false,
        };
        let (values, wanted) = (persons.values(), wanted.map(BooleanArray::values));
        let mut passing: BooleanBuffer = match by_class {
            // The usual case: one class, which opens everything.
            [Days::All] => self.people.select_people(values, wanted, |class| class != CLOSED),
            _ if !self.needs_date() => self.people.select_people(values, wanted, |class| in_days(0, class)),
            _ => self.people.select(values, wanted, in_days),
        };
        if let Some(nulls) = persons.nulls() {
            passing = &passing & nulls.inner();
        }
        BooleanArray::new(passing, None)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Date32Array, Int64Array};
    use consilium_protocol::consent::Window;
    use consilium_protocol::ids::Date;

    use super::*;

    #[test]
    fn what_two_domains_open_is_what_both_open() {
        use Days::{All, None, Within};
        let cases = [
            (All, All, All),
            (All, None, None),
            (All, Within(vec![(1, 5)]), Within(vec![(1, 5)])),
            (Within(vec![(1, 5), (8, 9)]), Within(vec![(3, 8)]), Within(vec![(3, 5), (8, 8)])),
            (Within(vec![(1, 5)]), Within(vec![(6, 8)]), None),
            (Within(vec![(1, 5)]), None, None),
        ];
        for (one, other, both) in cases {
            assert_eq!(one.clone().and(other.clone()), both, "{one:?} {other:?}");
            assert_eq!(other.clone().and(one.clone()), both, "{other:?} {one:?}");
        }
    }

    #[test]
    fn a_table_of_several_domains_opens_where_each_does() {
        let open =
            |opened: &[Domain]| opened.iter().map(|domain| (*domain, Opened::everything())).collect::<AllowedData>();
        let people = Arc::new(People::of(
            &[(1, 0), (2, 1)],
            &[open(&[Domain::Condition, Domain::Drug]), open(&[Domain::Condition])],
        ));
        let by_class = |domains: &[Domain]| RowGate::new(&people, domains, Dating::Column(0)).by_class.to_vec();
        assert_eq!(by_class(&[Domain::Condition]), [Days::All, Days::All]);
        assert_eq!(by_class(&[Domain::Condition, Domain::Drug]), [Days::All, Days::None]);
        assert_eq!(by_class(&[]), [Days::None, Days::None], "no domain opens nothing");
    }

    #[test]
    fn no_window_has_a_day_beyond_the_calendar() {
        let open = |from: Option<Date>, to: Option<Date>| {
            let opened = [(Domain::Visit, Opened::within(&Window { from, to }))].into_iter().collect();
            let people = Arc::new(People::of(&[(1, 0)], &[opened]));
            RowGate::new(&people, &[Domain::Visit], Dating::Column(1))
        };
        let days = vec![i32::MIN, DAYS.start - 1, DAYS.start, 0, DAYS.end - 1, DAYS.end, i32::MAX];
        let columns: [(&str, ArrayRef); 2] = [
            ("person", Arc::new(Int64Array::from(vec![1; days.len()]))),
            ("day", Arc::new(Date32Array::from(days.clone()))),
        ];
        let batch = RecordBatch::try_from_iter(columns).expect("columns");
        let passing = |gate: &RowGate| -> Vec<i32> {
            let passing = gate.select(&batch, 0, Some(1), None);
            days.iter().enumerate().filter(|(row, _)| passing.value(*row)).map(|(_, day)| *day).collect()
        };
        let day = Some(Date::from_days(0));
        assert_eq!(passing(&open(day, None)), [0, DAYS.end - 1]);
        assert_eq!(passing(&open(None, day)), [DAYS.start, 0]);
        let gate = open(day, None);
        assert!(gate.by_class[0].span(0, DAYS.end - 1) && !gate.by_class[0].span(0, DAYS.end));
    }
}
