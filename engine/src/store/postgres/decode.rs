//! From a row's fields, as they travel, to the columns of a batch.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Date64Builder, Float64Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::super::edge::{Fit, convert, lost, of_single};
use super::super::kind::Kind;
use super::super::table::{Column, schema};
use super::super::text::Nulls;
use super::copy::Malformed;
use super::numeric::Numeric;
use super::shape::Shape;

/// Days from 1970, where Arrow begins, to 2000, where PostgreSQL does.
const EPOCH_DAYS: i64 = 10_957;
const DAY_MS: i64 = 86_400_000;
const EPOCH_US: i64 = EPOCH_DAYS * DAY_MS * 1_000;

/// A batch is no longer than this, nor has more bytes of texts.
const BATCH_ROWS: usize = 8_192;
const BATCH_BYTES: usize = 8 << 20;

/// What became of some rows.
pub(super) struct Read {
    /// As queries see them.
    pub(super) batch: RecordBatch,
    /// For each column, how many values are not what it holds. They are NULL.
    pub(super) misfits: Vec<u64>,
    /// And how many are numbers or days that are none, of those columns whose values are looked at one by one.
    pub(super) nothing: Vec<u64>,
}

/// Columns while their rows come in.
pub(super) struct Decoder<'a> {
    columns: Vec<Decoding<'a>>,
    nulls: &'a Nulls,
    rows: usize,
    bytes: usize,
}

struct Decoding<'a> {
    column: &'a Column,
    shape: Shape,
    builder: Builder,
    /// Texts that are not UTF-8, and numbers that are not whole where they should be.
    unreadable: u64,
    /// Numbers that are none, where a whole one should be.
    nothing: u64,
}

enum Builder {
    Truth(BooleanBuilder),
    Whole(Int64Builder),
    Double(Float64Builder),
    Text(StringBuilder),
    Day(Date64Builder),
    Moment(TimestampMicrosecondBuilder),
}

impl Builder {
    fn new(shape: Shape, kind: Kind) -> Self {
        match shape {
            Shape::Truth => Self::Truth(BooleanBuilder::new()),
            Shape::Double => Self::Double(Float64Builder::new()),
            Shape::Numeric if kind == Kind::Number => Self::Double(Float64Builder::new()),
            Shape::Whole | Shape::Numeric => Self::Whole(Int64Builder::new()),
            Shape::Text { .. } => Self::Text(StringBuilder::new()),
            Shape::Day => Self::Day(Date64Builder::new()),
            Shape::Moment { .. } => Self::Moment(TimestampMicrosecondBuilder::new().with_data_type(shape.raw(kind))),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Truth(builder) => Arc::new(builder.finish()),
            Self::Whole(builder) => Arc::new(builder.finish()),
            Self::Double(builder) => Arc::new(builder.finish()),
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Day(builder) => Arc::new(builder.finish()),
            Self::Moment(builder) => Arc::new(builder.finish()),
        }
    }
}

/// A field of a fixed length.
fn exactly<const N: usize>(field: &[u8]) -> Result<[u8; N], Malformed> {
    field.try_into().map_err(|_| Malformed)
}

/// A whole number of any of its widths.
fn whole(field: &[u8]) -> Result<i64, Malformed> {
    match field.len() {
        2 => Ok(i16::from_be_bytes(exactly(field)?).into()),
        4 => Ok(i32::from_be_bytes(exactly(field)?).into()),
        8 => Ok(i64::from_be_bytes(exactly(field)?)),
        _ => Err(Malformed),
    }
}

fn double(field: &[u8]) -> Result<f64, Malformed> {
    match field.len() {
        4 => Ok(of_single(f32::from_be_bytes(exactly(field)?))),
        8 => Ok(f64::from_be_bytes(exactly(field)?)),
        _ => Err(Malformed),
    }
}

impl Decoding<'_> {
    fn take(&mut self, field: Option<&[u8]>) -> Result<(), Malformed> {
        match &mut self.builder {
            Builder::Truth(builder) => builder.append_option(match field {
                None => None,
                Some([0]) => Some(false),
                Some([1]) => Some(true),
                Some(_) => return Err(Malformed),
            }),
            Builder::Whole(builder) => builder.append_option(match (field, self.shape) {
                (Some(field), Shape::Numeric) => {
                    let numeric = Numeric::read(field).ok_or(Malformed)?;
                    let whole = numeric.whole();
                    match numeric {
                        Numeric::Finite { .. } => self.unreadable += u64::from(whole.is_none()),
                        Numeric::NotANumber | Numeric::Infinite { .. } => self.nothing += 1,
                    }
                    whole
                }
                (field, _) => field.map(whole).transpose()?,
            }),
            Builder::Double(builder) => builder.append_option(match (field, self.shape) {
                (Some(field), Shape::Numeric) => {
                    let numeric = Numeric::read(field).ok_or(Malformed)?;
                    let double = numeric.double();
                    let is_beyond = matches!(numeric, Numeric::Finite { .. }) && double.is_infinite();
                    self.unreadable += u64::from(is_beyond);
                    // What is none counts as nothing, and this as a misfit.
                    (!is_beyond).then_some(double)
                }
                (Some(field), _) => Some(double(field)?),
                (None, _) => None,
            }),
            Builder::Text(builder) => match (field, self.shape) {
                (None, _) => builder.append_null(),
                (Some(field), shape) => match std::str::from_utf8(field) {
                    Ok(text) if shape == (Shape::Text { padded: true }) => {
                        builder.append_value(text.trim_end_matches(' '))
                    }
                    Ok(text) => builder.append_value(text),
                    Err(_) => {
                        self.unreadable += 1;
                        builder.append_null();
                    }
                },
            },
            // Both infinities are beyond every day that there is, here as there.
            Builder::Day(builder) => builder.append_option(match field {
                Some(field) => match i32::from_be_bytes(exactly(field)?) {
                    i32::MAX => Some(i64::MAX),
                    i32::MIN => Some(i64::MIN),
                    day => Some((i64::from(day) + EPOCH_DAYS) * DAY_MS),
                },
                None => None,
            }),
            Builder::Moment(builder) => builder.append_option(match field {
                Some(field) => Some(i64::from_be_bytes(exactly(field)?).saturating_add(EPOCH_US)),
                None => None,
            }),
        }
        Ok(())
    }
}

impl<'a> Decoder<'a> {
    pub(super) fn new(columns: impl IntoIterator<Item = (&'a Column, Shape)>, nulls: &'a Nulls) -> Self {
        let decoding = |(column, shape): (&'a Column, Shape)| Decoding {
            column,
            shape,
            builder: Builder::new(shape, column.kind),
            unreadable: 0,
            nothing: 0,
        };
        Self { columns: columns.into_iter().map(decoding).collect(), nulls, rows: 0, bytes: 0 }
    }

    pub(super) const fn fields(&self) -> usize {
        self.columns.len()
    }

    /// Takes in a row.
    pub(super) fn take(&mut self, row: &[Option<&[u8]>]) -> Result<(), Malformed> {
        for (column, field) in self.columns.iter_mut().zip(row) {
            column.take(*field)?;
        }
        self.rows += 1;
        self.bytes += row.iter().flatten().map(|field| field.len()).sum::<usize>();
        Ok(())
    }

    /// Whether it is time for a batch.
    pub(super) const fn is_full(&self) -> bool {
        self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    /// What has come in since the last time; `None` where nothing has.
    pub(super) fn finish(&mut self) -> Result<Option<Read>, Malformed> {
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        if rows == 0 {
            return Ok(None);
        }
        let (mut arrays, mut misfits, mut nothing) = (Vec::with_capacity(self.columns.len()), Vec::new(), Vec::new());
        for column in &mut self.columns {
            let raw = column.builder.finish();
            let read = convert(&raw, column.column, self.nulls).map_err(|_| Malformed)?;
            let (mut bad, mut none) = (std::mem::take(&mut column.unreadable), std::mem::take(&mut column.nothing));
            if may_lose(column.shape, column.column) {
                let lost = lost(&raw, &read, column.column, self.nulls).map_err(|_| Malformed)?;
                (bad, none) = (bad + lost.misfits.len() as u64, none + lost.nothing);
            }
            arrays.push(read);
            misfits.push(bad);
            nothing.push(none);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = schema(self.columns.iter().map(|column| column.column));
        let batch = RecordBatch::try_new_with_options(schema, arrays, &options).map_err(|_| Malformed)?;
        Ok(Some(Read { batch, misfits, nothing }))
    }
}

/// Whether some values of a shape may not be what a column holds, or none.
pub(super) fn may_lose(shape: Shape, column: &Column) -> bool {
    shape.has_bounds(column.kind) || matches!(shape.fit(column), Fit::Checked(_))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};

    use super::*;

    /// What is read, and how many values are not what the column holds, and how many are none.
    fn one(kind: Kind, shape: Shape, fields: &[Option<Vec<u8>>]) -> (ArrayRef, (u64, u64)) {
        let (column, nulls) = (Column::of_omop(&("c", kind)), Nulls::default());
        let mut decoder = Decoder::new([(&column, shape)], &nulls);
        for field in fields {
            decoder.take(&[field.as_deref()]).expect("a field");
        }
        let read = decoder.finish().expect("columns").expect("rows");
        (Arc::clone(read.batch.column(0)), (read.misfits[0], read.nothing[0]))
    }

    #[test]
    fn days_and_moments_begin_in_1970_and_end_in_9999() {
        let day = |day: i32| Some(day.to_be_bytes().to_vec());
        let days =
            [day(0), None, day(i32::MAX), day(i32::MIN), day(-730_119), day(-730_120), day(2_921_939), day(2_921_940)];
        let (read, lost) = one(Kind::Date, Shape::Day, &days);
        let read: Vec<_> = read.as_primitive::<Date32Type>().iter().collect();
        let (first, last) = (Some(-719_162), Some(2_932_896));
        assert_eq!(read, [Some(10_957), None, None, None, first, None, last, None]);
        assert_eq!(lost, (0, 4));
        let moment = |moment: i64| Some(moment.to_be_bytes().to_vec());
        let moments = [moment(-1), moment(i64::MAX), moment(i64::MIN), moment(0)];
        for zoned in [false, true] {
            let (read, lost) = one(Kind::Moment, Shape::Moment { zoned }, &moments);
            let values: Vec<_> = read.as_primitive::<TimestampMicrosecondType>().iter().collect();
            assert_eq!((values, lost), (vec![Some(EPOCH_US - 1), None, None, Some(EPOCH_US)], (0, 2)));
            let (read, _) = one(Kind::Date, Shape::Moment { zoned }, &moments);
            assert_eq!(read.as_primitive::<Date32Type>().value(0), 10_956, "the day before 2000");
        }
        let (read, lost) = one(Kind::Moment, Shape::Day, &days[..3]);
        assert_eq!((read.as_primitive::<TimestampMicrosecondType>().value(0), lost), (EPOCH_US, (0, 1)));
    }

    #[test]
    fn what_is_no_whole_number_is_none() {
        let texts = ["7", " 8.0 ", "", "NA", "7.5", "x"].map(|text| Some(text.as_bytes().to_vec()));
        let (read, lost) = one(Kind::Integer, Shape::Text { padded: false }, &texts);
        let read: Vec<_> = read.as_primitive::<Int64Type>().iter().collect();
        assert_eq!((read, lost), (vec![Some(7), Some(8), None, None, None, None], (2, 0)));
        let double = |double: f64| Some(double.to_be_bytes().to_vec());
        let (read, lost) = one(Kind::Code, Shape::Double, &[double(3.0), double(3.5), double(f64::NAN), double(1e300)]);
        let read: Vec<_> = read.as_primitive::<Int64Type>().iter().collect();
        assert_eq!((read, lost), (vec![Some(3), None, None, None], (2, 1)));
        let numeric = |sign: u16| Some([0, 0, sign, 0].into_iter().flat_map(u16::to_be_bytes).collect());
        let numbers = [numeric(0), numeric(0xC000), numeric(0xD000), numeric(0xF000)];
        let (read, lost) = one(Kind::Code, Shape::Numeric, &numbers);
        assert_eq!((read.null_count(), lost), (3, (0, 3)));
        for (shape, numbers) in [
            (Shape::Numeric, numbers.to_vec()),
            (Shape::Double, [0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(double).to_vec()),
        ] {
            let (read, lost) = one(Kind::Number, shape, &numbers);
            assert_eq!((read.is_valid(0), read.null_count(), lost), (true, 3, (0, 3)), "{shape:?}");
        }
        let single = Some(0.5f32.to_be_bytes().to_vec());
        let (read, _) = one(Kind::Number, Shape::Double, &[single]);
        assert_eq!(read.as_primitive::<Float64Type>().value(0), 0.5);
        let latin = Some(vec![0xE9]);
        let (read, lost) = one(Kind::Text, Shape::Text { padded: false }, &[latin]);
        assert_eq!((read.null_count(), lost), (1, (1, 0)));
        let (read, _) = one(Kind::Text, Shape::Text { padded: true }, &[Some(b" F  ".to_vec())]);
        assert_eq!(read.as_string::<i32>().value(0), "F");
    }

    #[test]
    fn a_field_of_another_length_is_malformed() {
        let (column, nulls) = (Column::of_omop(&("c", Kind::Integer)), Nulls::default());
        let shapes =
            [Shape::Truth, Shape::Whole, Shape::Double, Shape::Numeric, Shape::Day, Shape::Moment { zoned: true }];
        for shape in shapes {
            let mut decoder = Decoder::new([(&column, shape)], &nulls);
            assert_eq!(decoder.take(&[Some(&[1, 2, 3])]), Err(Malformed), "{shape:?}");
        }
    }
}
