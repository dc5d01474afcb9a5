//! Functions over columns, value by value: what they get, and what becomes of values that they are not defined for.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, Float64Array, PrimitiveArray, StringArray,
};
use arrow::buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::ColumnarValue;

/// A call over one batch.
pub(super) struct Call<'a> {
    pub(super) args: &'a [ColumnarValue],
    pub(super) rows: usize,
    pub(super) result: &'a DataType,
}

/// The numbers, days or moments of an argument.
pub(super) struct Values<T: ArrowPrimitiveType> {
    array: PrimitiveArray<T>,
    constant: bool,
}

/// One value for all rows, or one for each.
#[derive(Clone, Copy)]
enum Side<'a, T> {
    Constant(T),
    Column(&'a [T]),
}

impl<T: ArrowPrimitiveType> Values<T> {
    fn side(&self) -> Side<'_, T::Native> {
        // A NULL has a value, too, which nobody looks at.
        if self.constant { Side::Constant(self.array.value(0)) } else { Side::Column(self.array.values()) }
    }

    fn nulls(&self, rows: usize) -> Option<NullBuffer> {
        if self.constant {
            (self.array.null_count() > 0).then(|| NullBuffer::new_null(rows))
        } else {
            self.array.nulls().cloned()
        }
    }

    /// The value of a row.
    pub(super) fn get(&self, row: usize) -> Option<T::Native> {
        let row = if self.constant { 0 } else { row };
        self.array.is_valid(row).then(|| self.array.value(row))
    }
}

impl Call<'_> {
    /// The types of the arguments.
    pub(super) fn types(&self) -> Vec<DataType> {
        self.args.iter().map(ColumnarValue::data_type).collect()
    }

    fn arg(&self, position: usize) -> Result<(ArrayRef, bool)> {
        match self.args.get(position) {
            Some(ColumnarValue::Array(array)) if array.len() == self.rows => Ok((Arc::clone(array), false)),
            Some(ColumnarValue::Scalar(scalar)) => Ok((scalar.to_array()?, true)),
            _ => internal_err!("an argument is missing or of another length"),
        }
    }

    /// An argument that is numbers, days or moments.
    pub(super) fn values<T: ArrowPrimitiveType>(&self, position: usize) -> Result<Values<T>> {
        let (array, constant) = self.arg(position)?;
        match array.as_primitive_opt::<T>() {
            Some(array) => Ok(Values { array: array.clone(), constant }),
            None => internal_err!("an argument is of another type"),
        }
    }

    /// An argument that is texts.
    pub(super) fn texts(&self, position: usize) -> Result<Texts> {
        let (array, constant) = self.arg(position)?;
        match array.as_string_opt::<i32>() {
            Some(array) => Ok(Texts { array: array.clone(), constant }),
            None => internal_err!("an argument is of another type"),
        }
    }

    /// An argument that is truth values.
    pub(super) fn truths(&self, position: usize) -> Result<BooleanArray> {
        let (array, constant) = self.arg(position)?;
        let array = if constant { self.args[position].to_array(self.height())? } else { array };
        match array.as_boolean_opt() {
            Some(array) => Ok(array.clone()),
            None => internal_err!("an argument is of another type"),
        }
    }

    /// Whether every argument is the same for all rows, so that one row says it all.
    fn is_constant(&self) -> bool {
        self.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)))
    }

    /// How many rows are to be computed.
    pub(super) fn height(&self) -> usize {
        if self.is_constant() { 1 } else { self.rows }
    }

    /// The result, as constant as the arguments are.
    pub(super) fn give(&self, array: ArrayRef) -> Result<ColumnarValue> {
        if self.is_constant() {
            return ScalarValue::try_from_array(&array, 0).map(ColumnarValue::Scalar);
        }
        Ok(ColumnarValue::Array(array))
    }

    /// A function of one argument that is not defined for every value.
    pub(super) fn unary<A: ArrowPrimitiveType, R: ArrowPrimitiveType>(
        &self,
        function: impl Fn(A::Native) -> Option<R::Native>,
    ) -> Result<ColumnarValue> {
        let a = self.values::<A>(0)?;
        let each = |row| a.get(row).and_then(&function);
        self.give(Arc::new((0..self.height()).map(each).collect::<PrimitiveArray<R>>()))
    }

    /// A function of two arguments that is not defined for every pair of values.
    pub(super) fn binary<A: ArrowPrimitiveType, B: ArrowPrimitiveType, R: ArrowPrimitiveType>(
        &self,
        function: impl Fn(A::Native, B::Native) -> Option<R::Native>,
    ) -> Result<ColumnarValue> {
        let (a, b) = (self.values::<A>(0)?, self.values::<B>(1)?);
        let each = |row| function(a.get(row)?, b.get(row)?);
        self.give(Arc::new((0..self.height()).map(each).collect::<PrimitiveArray<R>>()))
    }

    /// The quick way for a function of two arguments: `compute` gives a value whatever it is given, and beside it a word of
    /// which a bit in `doubtful` says that the value may be wrong. Only where one is, `defined` is asked row by row.
    pub(super) fn quick<A: ArrowPrimitiveType, B: ArrowPrimitiveType, R: ArrowPrimitiveType>(
        &self,
        compute: impl Fn(A::Native, B::Native) -> (R::Native, u64) + Copy,
        doubtful: u64,
        defined: impl Fn(A::Native, B::Native) -> bool + Copy,
    ) -> Result<ColumnarValue> {
        let (a, b) = (self.values::<A>(0)?, self.values::<B>(1)?);
        let rows = self.height();
        let mut doubts = 0u64;
        let mut one = |a, b| {
            let (value, doubt) = compute(a, b);
            doubts |= doubt;
            value
        };
        // A loop for each kind of argument, which the compiler turns into vector instructions.
        let values: Vec<R::Native> = match (a.side(), b.side()) {
            (Side::Column(a), Side::Column(b)) => a.iter().zip(b).map(|(a, b)| one(*a, *b)).collect(),
            (Side::Column(a), Side::Constant(b)) => a.iter().map(|a| one(*a, b)).collect(),
            (Side::Constant(a), Side::Column(b)) => b.iter().map(|b| one(a, *b)).collect(),
            (Side::Constant(a), Side::Constant(b)) => vec![one(a, b); rows],
        };
        let mut nulls = NullBuffer::union(a.nulls(rows).as_ref(), b.nulls(rows).as_ref());
        if doubts & doubtful != 0 {
            let mask = match (a.side(), b.side()) {
                (Side::Column(a), Side::Column(b)) => BooleanBuffer::collect_bool(rows, |i| defined(a[i], b[i])),
                (Side::Column(a), Side::Constant(b)) => BooleanBuffer::collect_bool(rows, |i| defined(a[i], b)),
                (Side::Constant(a), Side::Column(b)) => BooleanBuffer::collect_bool(rows, |i| defined(a, b[i])),
                (Side::Constant(a), Side::Constant(b)) => BooleanBuffer::collect_bool(rows, |_| defined(a, b)),
            };
            nulls = NullBuffer::union(nulls.as_ref(), Some(&NullBuffer::new(mask)));
        }
        self.give(Arc::new(PrimitiveArray::<R>::new(ScalarBuffer::from(values), nulls)))
    }
}

/// The highest bit is set where the number is infinite or none.
#[inline]
pub(super) const fn doubt_finite(x: f64) -> u64 {
    // All bits of the exponent are set then, and one more carries.
    (x.to_bits() & (u64::MAX >> 1)).wrapping_add(1 << 52)
}

/// What is infinite or no number becomes NULL.
pub(super) fn finite(array: Float64Array) -> Float64Array {
    let doubts = array.values().iter().fold(0, |doubts, x| doubts | doubt_finite(*x));
    if doubts >> 63 == 0 {
        return array;
    }
    let mask = BooleanBuffer::collect_bool(array.len(), |i| array.value(i).is_finite());
    let (_, values, nulls) = array.into_parts();
    Float64Array::new(values, NullBuffer::union(nulls.as_ref(), Some(&NullBuffer::new(mask))))
}

/// The texts of an argument.
pub(super) struct Texts {
    array: StringArray,
    constant: bool,
}

impl Texts {
    /// The text of a row.
    pub(super) fn get(&self, row: usize) -> Option<&str> {
        let row = if self.constant { 0 } else { row };
        self.array.is_valid(row).then(|| self.array.value(row))
    }
}
