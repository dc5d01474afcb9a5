//! From a file's types to those that queries see, without a failure: a day or moment that the other type cannot hold is
//! NULL.
//!
//! The query engine's own conversion of these would stop a query at the first such row, or take it for another day.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, FieldRef, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::CastExpr;
use datafusion::physical_expr_adapter::{
    DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
};

/// Makes conversions between days and moments total, and leaves those that cannot fail to the query engine.
#[derive(Debug)]
pub(super) struct TotalEdge;

impl PhysicalExprAdapterFactory for TotalEdge {
    fn create(&self, logical: SchemaRef, physical: SchemaRef) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let inner = DefaultPhysicalExprAdapterFactory.create(logical, Arc::clone(&physical))?;
        Ok(Arc::new(Adapter { inner, physical }))
    }
}

#[derive(Debug)]
struct Adapter {
    inner: Arc<dyn PhysicalExprAdapter>,
    physical: SchemaRef,
}

impl PhysicalExprAdapter for Adapter {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let rewritten = self.inner.rewrite(expr)?;
        rewritten
            .transform_up(|expr| {
                let Some(cast) = expr.downcast_ref::<CastExpr>() else { return Ok(Transformed::no(expr)) };
                let from = cast.expr().data_type(&self.physical)?;
                if !is_dated(&from) || from == *cast.cast_type() {
                    return Ok(Transformed::no(expr));
                }
                let total = Dated { inner: Arc::clone(cast.expr()), field: Arc::clone(cast.target_field()) };
                Ok(Transformed::yes(Arc::new(total) as Arc<dyn PhysicalExpr>))
            })
            .data()
    }
}

fn is_dated(found: &DataType) -> bool {
    matches!(found, DataType::Date32 | DataType::Date64 | DataType::Timestamp(..))
}

/// A day or moment as another type.
#[derive(Debug)]
struct Dated {
    inner: Arc<dyn PhysicalExpr>,
    field: FieldRef,
}

impl PartialEq for Dated {
    fn eq(&self, other: &Self) -> bool {
        self.inner.eq(&other.inner) && self.field == other.field
    }
}

impl Eq for Dated {}

impl Hash for Dated {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
        self.field.hash(state);
    }
}

impl fmt::Display for Dated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as {}", self.inner, self.field.data_type())
    }
}

impl PhysicalExpr for Dated {
    fn return_field(&self, _: &Schema) -> Result<FieldRef> {
        Ok(Arc::clone(&self.field))
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let array = self.inner.evaluate(batch)?.into_array(batch.num_rows())?;
        Ok(ColumnarValue::Array(convert(&array, self.field.data_type())?))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        match (children.pop(), children.is_empty()) {
            (Some(inner), true) => Ok(Arc::new(Self { inner, field: Arc::clone(&self.field) })),
            _ => internal_err!("a conversion has one input"),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const DAY_S: i128 = 86_400;

/// Days and moments in nanoseconds since 1970, which 128 bits hold for every type, and from there to the other type.
fn convert(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    const SECOND: i128 = 1_000_000_000;
    match array.data_type() {
        DataType::Date32 => counted::<Date32Type>(array, DAY_S * SECOND, to),
        DataType::Date64 => counted::<Date64Type>(array, SECOND / 1_000, to),
        DataType::Timestamp(TimeUnit::Second, _) => counted::<TimestampSecondType>(array, SECOND, to),
        DataType::Timestamp(TimeUnit::Millisecond, _) => counted::<TimestampMillisecondType>(array, SECOND / 1_000, to),
        DataType::Timestamp(TimeUnit::Microsecond, _) => counted::<TimestampMicrosecondType>(array, 1_000, to),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => counted::<TimestampNanosecondType>(array, 1, to),
        _ => internal_err!("neither day nor moment"),
    }
}

/// Of values that count so many nanoseconds each.
fn counted<T: ArrowPrimitiveType>(array: &ArrayRef, unit: i128, to: &DataType) -> Result<ArrayRef>
where
    T::Native: Into<i64>,
{
    let array: &PrimitiveArray<T> = array.as_primitive();
    let nanoseconds = |value: T::Native| i128::from(value.into()) * unit;
    Ok(match to {
        DataType::Date32 => {
            let day = |value| i32::try_from(nanoseconds(value).div_euclid(DAY_S * 1_000_000_000)).ok();
            Arc::new(array.unary_opt::<_, Date32Type>(day))
        }
        DataType::Timestamp(TimeUnit::Microsecond, None) => {
            let moment = |value| i64::try_from(nanoseconds(value).div_euclid(1_000)).ok();
            Arc::new(array.unary_opt::<_, TimestampMicrosecondType>(moment))
        }
        _ => return internal_err!("neither day nor moment"),
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, Date32Array, Date64Array, TimestampSecondArray};

    use super::*;

    const MOMENT: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

    fn converted(array: impl Array + 'static, to: &DataType) -> Vec<Option<i64>> {
        let array = convert(&(Arc::new(array) as ArrayRef), to).expect("a conversion");
        match to {
            DataType::Date32 => array.as_primitive::<Date32Type>().iter().map(|day| day.map(i64::from)).collect(),
            _ => array.as_primitive::<TimestampMicrosecondType>().iter().collect(),
        }
    }

    #[test]
    fn what_the_other_type_cannot_hold_is_null() {
        let seconds = || TimestampSecondArray::from(vec![Some(i64::MIN), Some(-1), None, Some(86_400), Some(i64::MAX)]);
        assert_eq!(converted(seconds(), &DataType::Date32), [None, Some(-1), None, Some(1), None]);
        assert_eq!(converted(seconds(), &MOMENT), [None, Some(-1_000_000), None, Some(86_400_000_000), None]);
        let days = Date32Array::from(vec![i32::MIN, -1, i32::MAX]);
        assert_eq!(converted(days, &MOMENT), [None, Some(-86_400_000_000), None]);
        let milliseconds = Date64Array::from(vec![i64::MIN, -1, 86_400_000, i64::MAX]);
        assert_eq!(converted(milliseconds, &DataType::Date32), [None, Some(-1), Some(1), None]);
    }
}
