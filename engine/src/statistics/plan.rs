//! The expressions of a statistic: where a row belongs, and what it adds.
//!
//! The query engine orders doubles totally, with NaN as the largest or the smallest, so NaN is made NULL first. It takes
//! -0 for 0 in comparisons, which a test holds it to.

use arrow::datatypes::{DataType, Schema};
use consilium_protocol::study::{CategoryValue, Decimal, Variable};
use datafusion::functions::expr_fn::{isnan, round};
use datafusion::logical_expr::expr_fn::{cast, ident, when};
use datafusion::logical_expr::{Expr, lit};
use datafusion::scalar::ScalarValue;

use super::block::{Axis, Part};
use super::{Scale, StatisticsError};

type Result<T> = std::result::Result<T, StatisticsError>;

fn type_of<'a>(schema: &'a Schema, column: &str) -> Result<&'a DataType> {
    let field = schema.field_with_name(column);
    field.map(arrow::datatypes::Field::data_type).map_err(|_| StatisticsError::Column { column: column.to_string() })
}

fn wrong_type(column: &str) -> StatisticsError {
    StatisticsError::ColumnType { column: column.to_string() }
}

/// Which group of these axes, of which none has merged parts, a row belongs to, the last axis running fastest.
pub(super) fn position(schema: &Schema, axes: &[Axis]) -> Result<Expr> {
    let mut position = lit(0i64);
    for axis in axes {
        position = position * lit(axis.parts.len() as i64) + part_index(schema, axis)?;
    }
    Ok(position)
}

/// Which of the ranges that begin at these steps a row's x is in; after the last, *missing*.
pub(super) fn range_index(schema: &Schema, variable: &Variable, starts: &[i64]) -> Result<Expr> {
    let x = steps(schema, variable)?;
    let mut branches = vec![(x.clone().is_null(), lit(starts.len() as i64))];
    branches.extend((0i64..).zip(starts.iter().skip(1)).map(|(range, next)| (x.clone().lt(lit(*next)), lit(range))));
    case(branches, lit(starts.len() as i64 - 1), &variable.name)
}

fn part_index(schema: &Schema, axis: &Axis) -> Result<Expr> {
    let missing = axis.parts.len() as i64 - 1;
    match &axis.parts[0] {
        Part::Present => {
            let present = number(schema, &axis.column)?.is_not_null();
            case(vec![(present, lit(0i64))], lit(missing), &axis.column)
        }
        Part::Value(_) => value_index(schema, axis, missing),
        _ => {
            let x = number(schema, &axis.column)?;
            let mut branches = vec![(x.clone().is_null(), lit(missing))];
            branches.extend(boundaries(&axis.parts).map(|(edge, index)| (x.clone().lt(lit(edge)), lit(index))));
            case(branches, lit(beyond(&axis.parts)), &axis.column)
        }
    }
}

/// For ascending edges, the part that values less than the edge, but not than the edge before, belong to.
fn boundaries(parts: &[Part]) -> impl Iterator<Item = (f64, i64)> {
    let outside = beyond(parts);
    let dimension = parts.iter().find_map(|part| match part {
        Part::Outside(first, _) => Some((*first, outside)),
        _ => None,
    });
    let inner = parts.iter().enumerate().filter_map(|(index, part)| match part {
        Part::Below(edge) | Part::Interval(_, edge) => Some((*edge, index as i64)),
        _ => None,
    });
    dimension.into_iter().chain(inner).map(|(edge, index): (Decimal, i64)| (edge.to_f64(), index))
}

/// The part of values not less than any edge: *other* of a dimension, the last interval of a histogram. Both stand
/// before *missing*.
fn beyond(parts: &[Part]) -> i64 {
    parts.len() as i64 - 2
}

fn value_index(schema: &Schema, axis: &Axis, missing: i64) -> Result<Expr> {
    let (column, other) = (&axis.column, beyond(&axis.parts));
    let typed = typed_column(schema, axis)?;
    let mut branches = vec![(typed.clone().is_null(), lit(missing))];
    for (index, part) in axis.parts.iter().enumerate() {
        if let Part::Value(value) = part {
            branches.extend(equals(schema, column, &typed, value)?.map(|same| (same, lit(index as i64))));
        }
    }
    case(branches, lit(other), column)
}

/// The column as the kind of the axis's values, NaN as NULL.
fn typed_column(schema: &Schema, axis: &Axis) -> Result<Expr> {
    let column = ident(&axis.column);
    let data_type = type_of(schema, &axis.column)?;
    let Part::Value(value) = &axis.parts[0] else { return Err(StatisticsError::Study) };
    match value {
        _ if data_type.is_null() => Ok(column),
        CategoryValue::Truth(_) if *data_type == DataType::Boolean => Ok(column),
        CategoryValue::Integer(_) if data_type.is_integer() => Ok(column),
        CategoryValue::Integer(_) if data_type.is_numeric() => number(schema, &axis.column),
        CategoryValue::Text(_) if is_text(data_type) => Ok(cast(column, DataType::Utf8)),
        _ => Err(wrong_type(&axis.column)),
    }
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

/// Whether a typed column has this value; `None` where its type has no such value.
fn equals(schema: &Schema, column: &str, typed: &Expr, value: &CategoryValue) -> Result<Option<Expr>> {
    let data_type = type_of(schema, column)?;
    let literal = match value {
        _ if data_type.is_null() => None,
        CategoryValue::Truth(value) => Some(ScalarValue::from(*value)),
        CategoryValue::Text(value) => Some(ScalarValue::from(value.as_str())),
        CategoryValue::Integer(value) if data_type.is_integer() => {
            // A value that the type cannot hold is not in the column.
            ScalarValue::Int64(Some(*value)).cast_to(data_type).ok().filter(|literal| !literal.is_null())
        }
        CategoryValue::Integer(value) => Some(ScalarValue::from(*value as f64)),
    };
    Ok(literal.map(|literal| typed.clone().eq(lit(literal))))
}

/// A numeric column as a double, NaN as NULL.
fn number(schema: &Schema, column: &str) -> Result<Expr> {
    let data_type = type_of(schema, column)?;
    if !(data_type.is_numeric() || data_type.is_null() || *data_type == DataType::Boolean) {
        return Err(wrong_type(column));
    }
    let wide = cast(ident(column), DataType::Float64);
    if data_type.is_floating() {
        case(vec![(isnan(wide.clone()), lit(ScalarValue::Float64(None)))], wide, column)
    } else {
        Ok(wide)
    }
}

/// x of the variable: steps of its resolution above its minimum, from 0 to its range; NULL where it is missing.
pub(super) fn steps(schema: &Schema, variable: &Variable) -> Result<Expr> {
    let name = &variable.name;
    let range = Scale::of(variable).ok_or(StatisticsError::Study)?.range;
    let (min, max) = (variable.min.to_f64(), variable.max.to_f64());
    let x = number(schema, name)?;
    let clamped = case(vec![(x.clone().lt(lit(min)), lit(min)), (x.clone().gt(lit(max)), lit(max))], x, name)?;
    let steps = (clamped - lit(min)) / lit(variable.resolution.to_f64());
    let steps = cast(round(vec![steps]), DataType::Int64);
    // A maximum between two steps may round to one more in binary than in decimal.
    case(vec![(steps.clone().gt(lit(range)), lit(range))], steps, name)
}

fn case(branches: Vec<(Expr, Expr)>, otherwise: Expr, column: &str) -> Result<Expr> {
    let mut branches = branches.into_iter();
    let Some((condition, value)) = branches.next() else { return Ok(otherwise) };
    let mut builder = when(condition, value);
    for (condition, value) in branches {
        builder = builder.when(condition, value);
    }
    builder.otherwise(otherwise).map_err(|_| wrong_type(column))
}
