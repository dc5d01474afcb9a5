//! What stands in an IN list and is no constant, computed for each row.
//!
//! The query engine takes a list for constant if each of its values, computed for no rows, is one value instead of a column
//! of none. That CASE may be: what no row has decided is NULL, or what stands after ELSE.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::catalogue;

/// No name that a query can call.
pub(super) const NAME: &str = "each_row";

/// The function that gives its argument as a column.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct EachRow {
    signature: Signature,
}

impl EachRow {
    pub(super) fn new() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for EachRow {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [of] => Ok(of.clone()),
            _ => internal_err!("one value is expected"),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        match args.arg_fields {
            [of] => Ok(Arc::new(Field::new(NAME, of.data_type().clone(), of.is_nullable()))),
            _ => internal_err!("one value is expected"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.as_slice() {
            [value] => Ok(ColumnarValue::Array(value.to_array(args.number_rows)?)),
            _ => internal_err!("one value is expected"),
        }
    }
}

/// A value of an IN list, as what the engine takes for constant only if it is.
pub(super) fn of(value: Expr) -> Result<Expr> {
    if matches!(value, Expr::Literal(..)) {
        return Ok(value);
    }
    match catalogue::scalar_by_name(NAME) {
        Some(function) => Ok(function.call(vec![value])),
        None => internal_err!("a function that is not listed"),
    }
}
