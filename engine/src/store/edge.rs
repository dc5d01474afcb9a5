//! From what a file holds to what queries see, without a failure: a value that the other type cannot hold is NULL.
//!
//! | file | read as | values that do not fit |
//! |---|---|---|
//! | integers of any width, doubles, decimals, texts | whole numbers | fractions, doubles beyond 2^53, more than 64 bits |
//! | numbers, decimals, texts | numbers | |
//! | dates, moments of any unit and zone, texts | dates, moments | |
//! | texts, dictionaries of texts | texts | |
//!
//! The query engine's own conversions of these would stop a query at the first such row, or take it for another day. Whether
//! there are such values is looked for when the store is opened ([`Fit::Checked`]); then the column is closed as a whole.
//!
//! Other values are none, whatever holds them, and their column stays open: NaN and infinities, days and moments beyond the years
//! 0001 to 9999, empty texts, and texts that stand for nothing ([`value`]).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray, StringArray, new_null_array,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Field, FieldRef, Float32Type, Float64Type, Int64Type, Schema, SchemaRef,
    TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow::record_batch::RecordBatch;
use arrow::temporal_conversions::as_datetime_with_timezone;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::{ColumnarValue, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, CastExpr, Column, InListExpr, Literal};
use datafusion::physical_expr_adapter::{PhysicalExprAdapter, PhysicalExprAdapterFactory};

use super::kind::Kind;
use super::names::{Place, place};
use super::table::{self, Table};
use super::text::{self, DAY_US, Nulls};

/// Whether a type's values can be read as what a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// As they are, or as every reader would.
    Plain,
    /// All of them, after a mending that is worth a word.
    Mended(&'static str),
    /// Those that are what the column holds, after a mending that is worth a word or without any.
    Checked(Option<&'static str>),
    /// None.
    Not,
}

/// Whether values of a type can be read as what a column holds.
pub(super) fn fit(found: &DataType, column: &table::Column) -> Fit {
    match fit_kind(found, column.kind) {
        // Whatever their type, they may be others than those listed.
        Fit::Plain if column.values.is_some() => Fit::Checked(None),
        fit => fit,
    }
}

fn fit_kind(found: &DataType, kind: Kind) -> Fit {
    use Kind::{Code, Date, Integer, Key, Moment, Number, Subject, Text, Truth};
    let is_text = is_text(found);
    match (kind, found) {
        // A column without a single value, as some programs write it.
        (kind, DataType::Null) if kind != Subject => Fit::Plain,
        (kind, DataType::Dictionary(_, values)) => fit_kind(values, kind),
        (Text, _) if is_text => Fit::Plain,
        (Text, _) => Fit::Not,
        (_, _) if is_text => Fit::Checked(Some("kept as texts; every value fits")),
        (Subject | Key | Code | Integer, DataType::UInt64) => {
            Fit::Checked(Some("kept without a sign; every value fits"))
        }
        (Subject | Key | Code | Integer, found) if found.is_integer() => Fit::Plain,
        (Subject | Key | Code | Integer, found) if found.is_floating() => {
            Fit::Checked(Some("kept as doubles; every value fits"))
        }
        (Subject | Key | Code | Integer, found) if found.is_decimal() => {
            Fit::Checked(Some("kept as decimals; every value fits"))
        }
        (Number, found) if found.is_numeric() => Fit::Plain,
        (Date | Moment, DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, None)) => Fit::Plain,
        (Date | Moment, DataType::Timestamp(_, Some(zone))) if zone.parse::<Tz>().is_ok() => {
            Fit::Mended("with a time zone, read as the zone's own time")
        }
        (Truth, DataType::Boolean) => Fit::Plain,
        (Truth, found) if found.is_integer() => Fit::Checked(Some("kept as 0 and 1; every value fits")),
        _ => Fit::Not,
    }
}

fn is_text(found: &DataType) -> bool {
    matches!(found, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// What became of a column's values that are none after it was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lost {
    /// The rows whose values are not what the column holds, by their positions.
    pub(super) misfits: Vec<usize>,
    /// How many are days or numbers that are none.
    pub(super) nothing: u64,
}

/// Looks for values that were there and are none after they were read. What stands for nothing is not counted.
pub(super) fn lost(before: &ArrayRef, after: &ArrayRef, column: &table::Column, nulls: &Nulls) -> Result<Lost> {
    let mut lost = Lost::default();
    if after.null_count() == before.null_count() && before.data_type() == after.data_type() {
        return Ok(lost);
    }
    let values = plain(before)?;
    let (doubles, texts) = (values.as_primitive_opt::<Float64Type>(), values.as_string_opt::<i32>());
    for row in (0..after.len()).filter(|row| after.is_null(*row) && values.is_valid(*row)) {
        let is_nothing = match (doubles, texts) {
            (Some(doubles), _) => !doubles.value(row).is_finite(),
            (_, Some(texts)) => match value(texts.value(row), column, nulls) {
                Some(text) => is_nothing(text, column),
                None => continue,
            },
            _ => matches!(column.kind, Kind::Date | Kind::Moment),
        };
        match is_nothing {
            true => lost.nothing += 1,
            false => lost.misfits.push(row),
        }
    }
    Ok(lost)
}

/// What of a text a column takes in; nothing of one that stands for nothing.
pub(super) fn value<'a>(text: &'a str, column: &table::Column, nulls: &Nulls) -> Option<&'a str> {
    let bare = text::bare(text);
    // A listed value is one, whatever else it might stand for.
    let listed = column.values.as_ref().and_then(|values| values.text(text).or_else(|| values.text(bare)));
    if listed.is_some() {
        return listed;
    }
    let is_null = if column.has_marks() { nulls.has(bare) } else { bare.is_empty() || bare == text::NULL_TEXT };
    (!is_null).then(|| if column.kind == Kind::Text { text.trim() } else { bare })
}

/// Whether a text is a day or number that is none, where its column holds such.
pub(super) fn is_nothing(text: &str, column: &table::Column) -> bool {
    match column.kind {
        Kind::Date | Kind::Moment => text::is_beyond(text),
        Kind::Text | Kind::Truth => false,
        _ => text::is_no_number(text),
    }
}

/// Whether a type may hold days or numbers that are none, although every value [fits](Fit::Plain).
pub(super) fn may_hold_nothing(found: &DataType) -> bool {
    match found {
        DataType::Dictionary(_, values) => may_hold_nothing(values),
        found => found.is_floating() || found.is_temporal(),
    }
}

/// The column as one of few types: a dictionary's values, texts of one kind, doubles of one width.
fn plain(array: &ArrayRef) -> Result<ArrayRef> {
    let to = match array.data_type() {
        DataType::Dictionary(_, values) if is_text(values) => DataType::Utf8,
        DataType::Dictionary(_, values) => (**values).clone(),
        found if is_text(found) => DataType::Utf8,
        DataType::Float32 => {
            return Ok(Arc::new(array.as_primitive::<Float32Type>().unary::<_, Float64Type>(of_single)));
        }
        DataType::Float16 => return plain(&cast(array, &DataType::Float32)?),
        _ => return Ok(Arc::clone(array)),
    };
    cast(array, &to)
}

/// The double that is written as a float of half its width is: 0.1 for 0.1, as a file of texts would have it.
pub(super) fn of_single(single: f32) -> f64 {
    if single.is_finite() { single.to_string().parse().unwrap_or_else(|_| single.into()) } else { single.into() }
}

/// Arrow's own conversion, with NULL for what does not fit.
fn cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    Ok(cast_with_options(array, to, &CastOptions { safe: true, ..CastOptions::default() })?)
}

/// A column as what queries see. Types that do not [fit] are an error, values that do not are NULL.
pub(super) fn convert(array: &ArrayRef, column: &table::Column, nulls: &Nulls) -> Result<ArrayRef> {
    let read = convert_kind(array, column, nulls)?;
    let Some(values) = column.values.as_ref().filter(|_| column.kind != Kind::Text) else { return Ok(read) };
    Ok(those::<Int64Type>(&read, |value| values.has_whole(value)))
}

fn convert_kind(array: &ArrayRef, column: &table::Column, nulls: &Nulls) -> Result<ArrayRef> {
    let (kind, to, array) = (column.kind, column.kind.data_type(), &plain(array)?);
    if let Some(texts) = array.as_string_opt::<i32>() {
        return of_texts(texts, column, nulls);
    }
    match (fit_kind(array.data_type(), kind), &to) {
        (Fit::Not, _) => internal_err!("a type that does not fit"),
        (_, DataType::Float64) => Ok(those::<Float64Type>(&cast(array, &to)?, f64::is_finite)),
        (_, DataType::Int64) if array.data_type().is_floating() => {
            let doubles = array.as_primitive::<Float64Type>();
            Ok(Arc::new(doubles.unary_opt::<_, Int64Type>(text::whole)))
        }
        (_, DataType::Int64) if array.data_type().is_decimal() => whole_decimals(array),
        (_, DataType::Boolean) if array.data_type().is_integer() => {
            let truth = |whole: i64| [false, true].get(usize::try_from(whole).ok()?).copied();
            let wholes = cast(array, &DataType::Int64)?;
            let truths = wholes.as_primitive::<Int64Type>().iter().map(|whole| whole.and_then(truth));
            Ok(Arc::new(truths.collect::<BooleanArray>()))
        }
        (_, DataType::Date32) if *array.data_type() == to => {
            Ok(those::<Date32Type>(array, |day| text::DAYS.contains(&day)))
        }
        (_, DataType::Timestamp(..)) if *array.data_type() == to => {
            Ok(those::<TimestampMicrosecondType>(array, |moment| text::MOMENTS.contains(&moment)))
        }
        (_, DataType::Date32 | DataType::Timestamp(..)) => dated(array, &to),
        _ => cast(array, &to),
    }
}

/// Those values that are ones.
fn those<T: ArrowPrimitiveType>(array: &ArrayRef, is: impl Fn(T::Native) -> bool) -> ArrayRef {
    let values = array.as_primitive::<T>();
    if values.values().iter().all(|value| is(*value)) {
        return Arc::clone(array);
    }
    Arc::new(values.unary_opt::<_, T>(|value| is(value).then_some(value)))
}

fn of_texts(texts: &StringArray, column: &table::Column, nulls: &Nulls) -> Result<ArrayRef> {
    let fields = || texts.iter().map(|text| text.and_then(|text| value(text, column, nulls)));
    Ok(match column.kind {
        Kind::Subject | Kind::Key | Kind::Code | Kind::Integer => {
            Arc::new(fields().map(|text| text.and_then(text::integer)).collect::<PrimitiveArray<Int64Type>>())
        }
        Kind::Number => {
            Arc::new(fields().map(|text| text.and_then(text::number)).collect::<PrimitiveArray<Float64Type>>())
        }
        Kind::Date => Arc::new(fields().map(|text| text.and_then(text::day)).collect::<PrimitiveArray<Date32Type>>()),
        Kind::Moment => {
            let moments = fields().map(|text| text.and_then(text::moment));
            Arc::new(moments.collect::<PrimitiveArray<TimestampMicrosecondType>>())
        }
        Kind::Truth => Arc::new(fields().map(|text| text.and_then(text::truth)).collect::<BooleanArray>()),
        Kind::Text => {
            let is_listed = |text: &&str| column.values.as_ref().is_none_or(|values| values.text(text).is_some());
            Arc::new(fields().map(|text| text.filter(is_listed)).collect::<StringArray>())
        }
    })
}

/// Whole numbers of decimals; a fraction is none, where Arrow's conversion would cut it off.
fn whole_decimals(array: &ArrayRef) -> Result<ArrayRef> {
    let whole = cast(array, &DataType::Int64)?;
    let back = cast(&whole, array.data_type())?;
    let same = arrow::compute::kernels::cmp::eq(array, &back)?;
    Ok(arrow::compute::nullif(&whole, &arrow::compute::not(&same)?)?)
}

/// Days and moments in nanoseconds since 1970, which 128 bits hold for every type, and from there to the other type.
fn dated(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    const SECOND: i128 = 1_000_000_000;
    const DAY: i128 = 86_400 * SECOND;
    match array.data_type() {
        DataType::Null => Ok(new_null_array(to, array.len())),
        DataType::Date32 => counted::<Date32Type>(array, None, DAY, to),
        DataType::Date64 => counted::<Date64Type>(array, None, SECOND / 1_000, to),
        DataType::Timestamp(unit, zone) => {
            let zone = zone.as_deref();
            match unit {
                TimeUnit::Second => counted::<TimestampSecondType>(array, zone, SECOND, to),
                TimeUnit::Millisecond => counted::<TimestampMillisecondType>(array, zone, SECOND / 1_000, to),
                TimeUnit::Microsecond => counted::<TimestampMicrosecondType>(array, zone, SECOND / 1_000_000, to),
                TimeUnit::Nanosecond => counted::<TimestampNanosecondType>(array, zone, 1, to),
            }
        }
        _ => internal_err!("neither day nor moment"),
    }
}

/// Of values that count so many nanoseconds each, in a zone's own time.
fn counted<T: ArrowPrimitiveType>(array: &ArrayRef, zone: Option<&str>, unit: i128, to: &DataType) -> Result<ArrayRef>
where
    T::Native: Into<i64>,
{
    let array: &PrimitiveArray<T> = array.as_primitive();
    let zone = match zone {
        None | Some("UTC" | "Z" | "+00:00" | "Etc/UTC") => None,
        Some(zone) => Some(zone.parse::<Tz>()?),
    };
    let microseconds = |value: T::Native| -> Option<i64> {
        let micros = match zone {
            None => i64::try_from((i128::from(value.into()) * unit).div_euclid(1_000)).ok()?,
            Some(zone) => {
                as_datetime_with_timezone::<T>(value.into(), zone)?.naive_local().and_utc().timestamp_micros()
            }
        };
        text::MOMENTS.contains(&micros).then_some(micros)
    };
    Ok(match to {
        DataType::Date32 => {
            let day = |value| i32::try_from(microseconds(value)?.div_euclid(DAY_US)).ok();
            Arc::new(array.unary_opt::<_, Date32Type>(day))
        }
        DataType::Timestamp(TimeUnit::Microsecond, None) => {
            Arc::new(array.unary_opt::<_, TimestampMicrosecondType>(microseconds))
        }
        _ => return internal_err!("neither day nor moment"),
    })
}

/// A value that a folder's name gives to a column; `None` if it is not what the column holds.
pub(super) fn given(value: Option<&str>, column: &table::Column, nulls: &Nulls) -> Option<ScalarValue> {
    let before: ArrayRef = Arc::new(StringArray::from(vec![value]));
    let after = convert(&before, column, nulls).ok()?;
    let fits = lost(&before, &after, column, nulls).ok()?.misfits.is_empty();
    if fits { ScalarValue::try_from_array(&after, 0).ok() } else { None }
}

/// Reads each file of a table, whatever its columns' order, capitals and types, as the table's columns.
#[derive(Debug)]
pub(super) struct Edge {
    table: String,
    columns: Vec<table::Column>,
    nulls: Arc<Nulls>,
}

impl Edge {
    pub(super) fn new(table: &Table, nulls: &Arc<Nulls>) -> Self {
        Self { table: table.name.clone(), columns: table.columns.clone(), nulls: Arc::clone(nulls) }
    }

    /// A column of the table out of a file's columns.
    fn reader(&self, column: &table::Column, names: &[String], physical: &Schema) -> Result<Reader> {
        let to = column.kind.data_type();
        let Place::At(position) = place(&self.table, names, column) else {
            return internal_err!("a file without a column that it had");
        };
        let field = physical.field(position);
        let raw: Arc<dyn PhysicalExpr> = Arc::new(Column::new(field.name(), position));
        let read: Arc<dyn PhysicalExpr> = Arc::new(Read {
            raw: Arc::clone(&raw),
            column: column.clone(),
            nulls: Arc::clone(&self.nulls),
            field: Arc::new(Field::new(&column.name, to.clone(), true)),
        });
        Ok(match field.data_type() {
            // The query engine's own, which cannot fail either, and by which it leaves out row groups.
            found if found.is_signed_integer() && to == DataType::Int64 && column.values.is_none() => {
                let whole: Arc<dyn PhysicalExpr> =
                    if *found == to { raw } else { Arc::new(CastExpr::new(raw, to, None)) };
                Reader { compared: Some(Arc::clone(&whole)), read: whole }
            }
            found if found.is_integer() && to == DataType::Float64 => {
                let number: Arc<dyn PhysicalExpr> = Arc::new(CastExpr::new(raw, to, None));
                Reader { compared: Some(Arc::clone(&number)), read: number }
            }
            found if *found == to && found.is_temporal() => Reader { compared: Some(raw), read },
            _ => Reader { compared: None, read },
        })
    }
}

impl PhysicalExprAdapterFactory for Edge {
    fn create(&self, logical: SchemaRef, physical: SchemaRef) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let names: Vec<String> = physical.fields().iter().map(|field| super::names::plain(field.name())).collect();
        let readers = logical.fields().iter().map(|field| {
            match self.columns.iter().find(|column| column.name == *field.name()) {
                Some(column) => self.reader(column, &names, &physical),
                None => internal_err!("a column that the table does not have"),
            }
        });
        Ok(Arc::new(Adapter { readers: readers.collect::<Result<_>>()?, logical }))
    }
}

/// How a column is read.
#[derive(Debug)]
struct Reader {
    read: Arc<dyn PhysicalExpr>,
    /// What stands for it where a filter compares it with a constant, if the file's own least and greatest value can tell of it:
    /// a value that is none here satisfies no comparison, so whatever it is in the file, no row is left out for it. Whether a
    /// column has a value, a file that has other ones cannot tell.
    compared: Option<Arc<dyn PhysicalExpr>>,
}

#[derive(Debug)]
struct Adapter {
    logical: SchemaRef,
    /// For each of its columns, what reads it.
    readers: Vec<Reader>,
}

impl Adapter {
    fn reader(&self, expr: &Arc<dyn PhysicalExpr>) -> Result<Option<&Reader>> {
        let Some(column) = expr.downcast_ref::<Column>() else { return Ok(None) };
        Ok(Some(&self.readers[self.logical.index_of(column.name())?]))
    }

    /// A comparison of a column with constants, over the file's own values.
    fn comparison(&self, expr: &Arc<dyn PhysicalExpr>) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let is_constant = |expr: &Arc<dyn PhysicalExpr>| expr.downcast_ref::<Literal>().is_some();
        let is_comparison = match (expr.downcast_ref::<BinaryExpr>(), expr.downcast_ref::<InListExpr>()) {
            (Some(binary), _) => {
                use Operator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
                matches!(binary.op(), Eq | NotEq | Lt | LtEq | Gt | GtEq)
                    && (is_constant(binary.left()) || is_constant(binary.right()))
            }
            (_, Some(list)) => list.list().iter().all(is_constant),
            _ => false,
        };
        if !is_comparison {
            return Ok(None);
        }
        let mut children = Vec::new();
        for child in expr.children() {
            children.push(match self.reader(child)? {
                None if is_constant(child) => Arc::clone(child),
                Some(Reader { compared: Some(compared), .. }) => Arc::clone(compared),
                _ => return Ok(None),
            });
        }
        Arc::clone(expr).with_new_children(children).map(Some)
    }
}

impl PhysicalExprAdapter for Adapter {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let read = |expr: Arc<dyn PhysicalExpr>| {
            if let Some(comparison) = self.comparison(&expr)? {
                return Ok(Transformed::new(comparison, true, TreeNodeRecursion::Jump));
            }
            Ok(match self.reader(&expr)? {
                Some(reader) => Transformed::new(Arc::clone(&reader.read), true, TreeNodeRecursion::Jump),
                None => Transformed::no(expr),
            })
        };
        expr.transform_down(read).data()
    }
}

/// A file's column as what queries see.
#[derive(Debug, Clone)]
struct Read {
    raw: Arc<dyn PhysicalExpr>,
    column: table::Column,
    nulls: Arc<Nulls>,
    field: FieldRef,
}

impl PartialEq for Read {
    fn eq(&self, other: &Self) -> bool {
        self.raw.eq(&other.raw) && self.column == other.column && self.nulls == other.nulls && self.field == other.field
    }
}

impl Eq for Read {}

impl Hash for Read {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.raw.hash(state);
        self.nulls.hash(state);
        self.field.hash(state);
    }
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as {}", self.raw, self.field.data_type())
    }
}

impl PhysicalExpr for Read {
    fn return_field(&self, _: &Schema) -> Result<FieldRef> {
        Ok(Arc::clone(&self.field))
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let array = self.raw.evaluate(batch)?.into_array(batch.num_rows())?;
        Ok(ColumnarValue::Array(convert(&array, &self.column, &self.nulls)?))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.raw]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        match (children.pop(), children.is_empty()) {
            (Some(raw), true) => Ok(Arc::new(Self { raw, ..(*self).clone() })),
            _ => internal_err!("a column is read of one input"),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        Date32Array, Date64Array, Decimal128Array, Decimal256Array, Float32Array, Float64Array, Int64Array,
        TimestampMicrosecondArray, TimestampSecondArray, UInt64Array,
    };
    use arrow::datatypes::i256;

    use super::*;

    /// The first value of each array fits its kind, the last does not, and NULL in between is none of them.
    #[test]
    fn values_that_do_not_fit_are_told_from_those_that_do() {
        let decimals = |one: i128, other: i128| {
            Decimal128Array::from(vec![Some(one), None, Some(other)]).with_precision_and_scale(20, 1).expect("a scale")
        };
        let wide = |one: i128, other: i256| {
            let values = vec![Some(i256::from_i128(one)), None, Some(other)];
            Decimal256Array::from(values).with_precision_and_scale(50, 4).expect("a scale")
        };
        let doubles =
            |one: f64, other: f64| -> ArrayRef { Arc::new(Float64Array::from(vec![Some(one), None, Some(other)])) };
        let cases: Vec<(ArrayRef, Kind)> = vec![
            (doubles(3.0, 3.5), Kind::Code),
            (doubles(9_007_199_254_740_992.0, 9_007_199_254_740_994.0), Kind::Key),
            (doubles(-3.0, 1e300), Kind::Integer),
            (Arc::new(Float32Array::from(vec![Some(3.0), None, Some(0.5)])), Kind::Subject),
            (Arc::new(decimals(30, 35)), Kind::Code),
            (Arc::new(decimals(-30, -1)), Kind::Key),
            (Arc::new(wide(70_000, i256::from_i128(70_001))), Kind::Integer),
            (Arc::new(wide(70_000, i256::from_i128(i128::MAX))), Kind::Subject),
            (Arc::new(UInt64Array::from(vec![Some(3), None, Some(u64::MAX)])), Kind::Key),
            (Arc::new(Int64Array::from(vec![Some(1), None, Some(2)])), Kind::Truth),
            (Arc::new(StringArray::from(vec![Some(" 3.0 "), None, Some("3.5")])), Kind::Code),
            (Arc::new(StringArray::from(vec![Some("2020-02-29"), None, Some("2021-02-29")])), Kind::Date),
        ];
        for (array, kind) in cases {
            let what = format!("{:?} as {kind:?}", array.data_type());
            let column = table::Column::of_omop(&("c", kind));
            assert!(matches!(fit(array.data_type(), &column), Fit::Checked(_) | Fit::Plain), "{what}");
            let read = convert(&array, &column, &Nulls::default()).expect("a type that fits");
            assert_eq!(read.data_type(), &kind.data_type(), "{what}");
            let there: Vec<bool> = (0..3).map(|row| read.is_valid(row)).collect();
            assert_eq!(there, [true, false, false], "{what}");
            let lost = lost(&array, &read, &column, &Nulls::default()).expect("texts");
            assert_eq!(lost, Lost { misfits: vec![2], nothing: 0 }, "{what}");
        }
    }

    /// The first value of each array is one, and the last is none.
    #[test]
    fn days_and_numbers_that_are_none_are_counted_apart() {
        let texts =
            |one: &str, other: &str| -> ArrayRef { Arc::new(StringArray::from(vec![Some(one), None, Some(other)])) };
        let doubles = |other: f64| -> ArrayRef { Arc::new(Float64Array::from(vec![Some(1.0), None, Some(other)])) };
        let zoned = |unit: TimestampSecondArray| -> ArrayRef { Arc::new(unit.with_timezone("+05:30")) };
        let cases: Vec<(ArrayRef, Kind)> = vec![
            (doubles(f64::NAN), Kind::Number),
            (doubles(f64::INFINITY), Kind::Integer),
            (doubles(f64::NEG_INFINITY), Kind::Number),
            (Arc::new(Float32Array::from(vec![Some(3.0), None, Some(f32::INFINITY)])), Kind::Number),
            (Arc::new(Date32Array::from(vec![Some(0), None, Some(i32::MAX)])), Kind::Date),
            (Arc::new(Date32Array::from(vec![Some(-719_162), None, Some(-719_163)])), Kind::Date),
            (Arc::new(Date32Array::from(vec![Some(0), None, Some(i32::MIN)])), Kind::Moment),
            (Arc::new(Date64Array::from(vec![Some(0), None, Some(i64::MIN)])), Kind::Date),
            (Arc::new(TimestampSecondArray::from(vec![Some(0), None, Some(i64::MAX)])), Kind::Moment),
            (Arc::new(TimestampMicrosecondArray::from(vec![Some(0), None, Some(i64::MAX / 2)])), Kind::Moment),
            (zoned(TimestampSecondArray::from(vec![Some(0), None, Some(i64::MAX / 2)])), Kind::Date),
            (texts("1", "-inf"), Kind::Number),
            (texts("1", "Infinity"), Kind::Code),
            (texts("2020-01-01", "infinity"), Kind::Date),
            (texts("2020-01-01 10:00", "0044-03-15 00:00:00 BC"), Kind::Moment),
        ];
        for (array, kind) in cases {
            let what = format!("{:?} as {kind:?}", array.data_type());
            let column = table::Column::of_omop(&("c", kind));
            let read = convert(&array, &column, &Nulls::default()).expect("a type that fits");
            let there: Vec<bool> = (0..3).map(|row| read.is_valid(row)).collect();
            assert_eq!(there, [true, false, false], "{what}");
            let lost = lost(&array, &read, &column, &Nulls::default()).expect("texts");
            assert_eq!(lost, Lost { misfits: Vec::new(), nothing: 1 }, "{what}");
        }
    }

    #[test]
    fn a_text_is_none_where_it_stands_for_nothing() {
        let of = |name: &str, text: &'static str| {
            value(text, &table::Column::of_omop(&(name, Kind::Text)), &Nulls::default())
        };
        for text in ["", "  ", "\\N", " \\N "] {
            assert_eq!((of("concept_name", text), of("invalid_reason", text)), (None, None), "{text:?}");
        }
        for text in ["NA", " none", "."] {
            assert_eq!((of("concept_name", text), of("invalid_reason", text)), (Some(text.trim()), None), "{text:?}");
        }
        assert_eq!(of("concept_name", " \"a\" "), Some("\"a\""));
    }
}
