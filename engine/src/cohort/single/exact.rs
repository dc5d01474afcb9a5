//! What can be told of an expression by its types: where `=` is true of the very same values only.

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::{Expr, ExprSchemable};

use super::unaliased;

/// What `=` can be trusted with: it is true of the very same values only.
#[derive(PartialEq, Eq)]
pub(super) enum Exact {
    Whole,
    Text,
    Day,
    Moment(DataType),
    Truth,
}

pub(super) fn exact(expr: &Expr, schema: &DFSchema) -> Option<Exact> {
    match lossless(expr, schema).get_type(schema).ok()? {
        t if t.is_integer() => Some(Exact::Whole),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(Exact::Text),
        DataType::Date32 => Some(Exact::Day),
        t @ DataType::Timestamp(_, None) => Some(Exact::Moment(t)),
        DataType::Boolean => Some(Exact::Truth),
        _ => None,
    }
}

/// An expression without its name and without casts that lose nothing: of whole numbers to types that hold them all, and
/// to the type that they have.
pub(super) fn lossless<'e>(expr: &'e Expr, schema: &DFSchema) -> &'e Expr {
    let mut expr = unaliased(expr);
    while let Expr::Cast(cast) = expr {
        let Ok(from) = cast.expr.get_type(schema) else { break };
        if !holds(&from, cast.field.data_type()) {
            break;
        }
        expr = unaliased(&cast.expr);
    }
    expr
}

/// Whether every value of one type is, unchanged, one of the other.
fn holds(from: &DataType, to: &DataType) -> bool {
    use DataType::{Decimal128, Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64};
    let bits = |t: &DataType| match t {
        Int8 | UInt8 => Some(8),
        Int16 | UInt16 => Some(16),
        Int32 | UInt32 => Some(32),
        Int64 | UInt64 => Some(64),
        _ => None,
    };
    match (bits(from), to) {
        _ if from == to => true,
        (Some(_), Decimal128(precision, 0)) => *precision >= 20,
        (Some(from_bits), to) => match bits(to) {
            Some(to_bits) if from.is_signed_integer() == to.is_signed_integer() => from_bits <= to_bits,
            Some(to_bits) => to.is_signed_integer() && from_bits < to_bits,
            None => false,
        },
        (None, _) => false,
    }
}

/// The whole number that a literal is.
pub(super) fn whole(expr: &Expr, schema: &DFSchema) -> Option<i128> {
    let Expr::Literal(value, _) = lossless(expr, schema) else { return None };
    match value {
        ScalarValue::Int64(Some(value)) => Some(i128::from(*value)),
        ScalarValue::UInt64(Some(value)) => Some(i128::from(*value)),
        ScalarValue::Decimal128(Some(value), _, 0) => Some(*value),
        _ => None,
    }
}
