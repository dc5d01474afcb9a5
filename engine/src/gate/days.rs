//! Which days of a table each class opens.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{Date32Type, Int64Type};
use arrow::record_batch::RecordBatch;
use consilium_protocol::consent::{Domain, Windows};

use super::people::{CLOSED, People};

/// What one class opens of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Days {
    None,
    All,
    /// Periods, both ends included, in days since 1970.
    Within(Vec<(i32, i32)>),
}

impl Days {
    fn of(windows: Option<&Windows>, dated: bool) -> Self {
        match windows {
            Some(windows) if windows.is_unbounded() => Self::All,
            Some(windows) if dated && !windows.is_empty() => Self::Within(
                windows
                    .iter()
                    .map(|w| (w.from.map_or(i32::MIN, |d| d.days()), w.to.map_or(i32::MAX, |d| d.days())))
                    .collect(),
            ),
            // Rows without a day are read only under consent without a window.
            _ => Self::None,
        }
    }
}

/// The gate of one table: which of its rows a study may see.
#[derive(Clone)]
pub(crate) struct RowGate {
    people: Arc<People>,
    by_class: Arc<[Days]>,
}

impl RowGate {
    pub(crate) fn new(people: &Arc<People>, domain: Domain, dated: bool) -> Self {
        let by_class = people.classes.iter().map(|allowed| Days::of(allowed.windows(domain), dated)).collect();
        Self { people: Arc::clone(people), by_class }
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
            [Days::All] => self.people.select(values, wanted, |_, class| class != CLOSED),
            _ => self.people.select(values, wanted, in_days),
        };
        if let Some(nulls) = persons.nulls() {
            passing = &passing & nulls.inner();
        }
        BooleanArray::new(passing, None)
    }
}
