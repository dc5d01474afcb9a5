//! Hides what a row that passes tells of days that are closed.
//!
//! A value that reaches beyond its row's day ([`crate::store::reach`]) is NULL where a day that it tells of is closed to
//! the patient's class. Nothing of it stays: what lies beneath the NULL is 0. Filters over such a column are evaluated on
//! what is left, never on what the file holds, and no row group is left out because of them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, PrimitiveArray};
use arrow::buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Date32Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use datafusion::common::{Result, internal_err};

use super::days::{Days, RowGate};
use crate::store::reach::{End, Reach};

const MICROSECONDS_PER_DAY: i64 = 86_400_000_000;

/// A column whose values may be hidden.
pub(super) struct Cover {
    /// The position of the column among the raw ones.
    pub(super) column: usize,
    /// Up to when its values reach; a position in it is one among the raw columns.
    pub(super) reach: Reach,
}

/// The last day that each value of a column tells of.
enum Ends<'a> {
    Days(&'a PrimitiveArray<Date32Type>),
    Moments(&'a PrimitiveArray<TimestampMicrosecondType>),
    Counted(&'a PrimitiveArray<Int64Type>),
    Unsaid,
}

impl<'a> Ends<'a> {
    fn of(raw: &'a RecordBatch, cover: &Cover) -> Result<Self> {
        let dates = |column: usize| {
            let column = raw.column(column);
            match column.data_type() {
                DataType::Date32 => Ok(Self::Days(column.as_primitive())),
                DataType::Timestamp(TimeUnit::Microsecond, None) => Ok(Self::Moments(column.as_primitive())),
                _ => internal_err!("a date of another type"),
            }
        };
        match cover.reach.end {
            End::Itself => dates(cover.column),
            End::Column(column) => dates(column),
            End::Counted => Ok(Self::Counted(raw.column(cover.column).as_primitive())),
            End::Unsaid => Ok(Self::Unsaid),
        }
    }

    /// The last day, where there is one; `own` is the row's.
    fn day(&self, row: usize, own: Option<i32>) -> Option<i32> {
        match self {
            Self::Days(days) => days.is_valid(row).then(|| days.value(row)),
            Self::Moments(moments) if moments.is_valid(row) => {
                i32::try_from(moments.value(row).div_euclid(MICROSECONDS_PER_DAY)).ok()
            }
            Self::Counted(counts) if counts.is_valid(row) => {
                // The first of them is the row's own day; a count below one reaches no further.
                let further = counts.value(row).max(1) - 1;
                i32::try_from(i64::from(own?).checked_add(further)?).ok()
            }
            _ => None,
        }
    }
}

impl RowGate {
    /// Whether a value that reaches so may have to be hidden from a row that passes.
    pub(super) fn hides(&self, reach: Reach) -> bool {
        let of_death = |(own, death): (&Days, &Days)| *own != Days::None && *death != Days::All;
        self.needs_date() || reach.death && self.by_class.iter().zip(&*self.deaths).any(of_death)
    }

    /// The batch with what is closed of its passing rows hidden. In rows that do not pass, every covered value is.
    pub(super) fn cover(
        &self,
        raw: &RecordBatch,
        subject: usize,
        date: Option<usize>,
        covers: &[Cover],
        passing: &BooleanArray,
    ) -> Result<RecordBatch> {
        let persons = raw.column(subject).as_primitive::<Int64Type>().values();
        let dates = date.map(|date| raw.column(date).as_primitive::<Date32Type>());
        let mut columns = raw.columns().to_vec();
        for cover in covers {
            let ends = Ends::of(raw, cover)?;
            let shown = self.people.select(persons, Some(passing.values()), |row, class| {
                let own = dates.filter(|dates| dates.is_valid(row)).map(|dates| dates.value(row));
                self.shows(class, own, ends.day(row, own), cover.reach.death)
            });
            columns[cover.column] = keep(raw.column(cover.column), &shown)?;
        }
        Ok(RecordBatch::try_new(raw.schema(), columns)?)
    }

    /// Whether a value of a row of `own` day that tells of the days until `end` is shown.
    fn shows(&self, class: u32, own: Option<i32>, end: Option<i32>, death: bool) -> bool {
        let in_between = match self.by_class.get(class as usize) {
            Some(Days::All) => true,
            Some(days) => own.zip(end).is_some_and(|(own, end)| days.span(own, end)),
            None => false,
        };
        let of_death = || match self.deaths.get(class as usize) {
            Some(Days::All) => true,
            Some(days) => end.is_some_and(|end| days.span(end, end)),
            None => false,
        };
        in_between && (!death || of_death())
    }
}

/// The column with NULL, and nothing beneath it, where it is not `shown`.
fn keep(column: &ArrayRef, shown: &BooleanBuffer) -> Result<ArrayRef> {
    fn of<T: ArrowPrimitiveType>(column: &ArrayRef, shown: &BooleanBuffer) -> ArrayRef {
        let column = column.as_primitive::<T>();
        let value = |row: usize| if shown.value(row) { column.value(row) } else { T::Native::default() };
        let values: ScalarBuffer<T::Native> = (0..column.len()).map(value).collect();
        let nulls = match column.nulls() {
            Some(nulls) => nulls.inner() & shown,
            None => shown.clone(),
        };
        Arc::new(PrimitiveArray::<T>::new(values, Some(NullBuffer::new(nulls))))
    }
    match column.data_type() {
        DataType::Int64 => Ok(of::<Int64Type>(column, shown)),
        DataType::Date32 => Ok(of::<Date32Type>(column, shown)),
        DataType::Timestamp(TimeUnit::Microsecond, None) => Ok(of::<TimestampMicrosecondType>(column, shown)),
        _ => internal_err!("a value that reaches beyond its day is of another type"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_stays_beneath_what_is_hidden() {
        let column: ArrayRef = Arc::new(PrimitiveArray::<Int64Type>::from(vec![Some(11), None, Some(13)]));
        let shown = BooleanBuffer::from(vec![false, true, true]);
        let kept = keep(&column, &shown).expect("integers");
        let kept = kept.as_primitive::<Int64Type>();
        assert_eq!(kept.iter().collect::<Vec<_>>(), [None, None, Some(13)]);
        assert_eq!(kept.values()[0], 0);
    }

    #[test]
    fn counted_days_begin_with_the_row_s_own() {
        let counts =
            PrimitiveArray::<Int64Type>::from(vec![Some(30), Some(1), Some(0), Some(-5), Some(i64::MAX), None]);
        let ends = Ends::Counted(&counts);
        let days: Vec<Option<i32>> = (0..6).map(|row| ends.day(row, Some(100))).collect();
        assert_eq!(days, [Some(129), Some(100), Some(100), Some(100), None, None]);
        assert_eq!(ends.day(0, None), None);
    }

    #[test]
    fn a_moment_is_of_the_day_that_it_falls_on() {
        let last = MICROSECONDS_PER_DAY - 1;
        let moments = PrimitiveArray::<TimestampMicrosecondType>::from(vec![0, last, last + 1, -1]);
        let ends = Ends::Moments(&moments);
        let days: Vec<Option<i32>> = (0..4).map(|row| ends.day(row, None)).collect();
        assert_eq!(days, [Some(0), Some(0), Some(1), Some(-1)]);
    }
}
