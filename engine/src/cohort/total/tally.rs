//! What a sum and a mean are made of, added up without a loss.

use arrow::array::ArrowPrimitiveType;
use arrow::datatypes::{Float64Type, Int64Type};

/// The values of a group, as far as its sum and mean depend on them. It travels between the stages of a query as three
/// whole numbers.
pub(super) trait Tally: Copy + Default + std::fmt::Debug + Send + Sync + 'static {
    /// What is added up.
    type Of: ArrowPrimitiveType;

    /// One more value.
    fn add(&mut self, value: <Self::Of as ArrowPrimitiveType>::Native);
    /// One value less, which was added before.
    fn remove(&mut self, value: <Self::Of as ArrowPrimitiveType>::Native);
    /// The values of another.
    fn merge(&mut self, other: Self);
    /// The sum, if there is one.
    fn sum(&self) -> Option<<Self::Of as ArrowPrimitiveType>::Native>;
    /// The mean, if there is one.
    fn mean(&self) -> Option<f64>;
    /// As whole numbers.
    fn parts(&self) -> [i64; 3];
    /// From [`Self::parts`].
    fn of_parts(parts: [i64; 3]) -> Self;
    /// A value as a whole number, the same for equal values.
    fn key(value: <Self::Of as ArrowPrimitiveType>::Native) -> i64;
    /// From [`Self::key`].
    fn of_key(key: i64) -> <Self::Of as ArrowPrimitiveType>::Native;
}

/// Whole numbers: their sum is exact whatever order they come in, and NULL only if it does not fit at the end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Whole {
    // 2^63 rows of 64 bits fit into 128.
    sum: i128,
    count: i64,
}

impl Tally for Whole {
    type Of = Int64Type;

    fn add(&mut self, value: i64) {
        self.sum = self.sum.wrapping_add(value.into());
        self.count = self.count.wrapping_add(1);
    }

    fn remove(&mut self, value: i64) {
        self.sum = self.sum.wrapping_sub(value.into());
        self.count = self.count.wrapping_sub(1);
    }

    fn merge(&mut self, other: Self) {
        self.sum = self.sum.wrapping_add(other.sum);
        self.count = self.count.wrapping_add(other.count);
    }

    fn sum(&self) -> Option<i64> {
        if self.count > 0 { i64::try_from(self.sum).ok() } else { None }
    }

    fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum as f64 / self.count as f64)
    }

    fn parts(&self) -> [i64; 3] {
        [(self.sum >> 64) as i64, self.sum as i64, self.count]
    }

    fn of_parts([high, low, count]: [i64; 3]) -> Self {
        Self { sum: i128::from(high) << 64 | i128::from(low.cast_unsigned()), count }
    }

    fn key(value: i64) -> i64 {
        value
    }

    fn of_key(key: i64) -> i64 {
        key
    }
}

/// Doubles: a value that is infinite or no number leaves no sum and no mean, while it is among them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Double {
    sum: f64,
    /// Whether the sum once was beyond a double, and so is counted in units of [`UNIT`], in which it never is.
    is_large: bool,
    count: i64,
    /// How many of them are infinite or no number; they are not in the sum.
    strange: i64,
}

/// 2^64: no more values than this are ever added up.
const UNIT: f64 = 18_446_744_073_709_551_616.0;

impl Double {
    fn put(&mut self, value: f64) {
        let sum = if self.is_large { self.sum + value / UNIT } else { self.sum + value };
        if sum.is_finite() {
            self.sum = sum;
        } else {
            self.sum = self.sum / UNIT + value / UNIT;
            self.is_large = true;
        }
    }

    fn finite(&self, value: f64) -> Option<f64> {
        let value = if self.is_large { value * UNIT } else { value };
        (self.count > 0 && self.strange == 0 && value.is_finite()).then_some(value)
    }
}

impl Tally for Double {
    type Of = Float64Type;

    fn add(&mut self, value: f64) {
        self.count = self.count.wrapping_add(1);
        if value.is_finite() {
            self.put(value);
        } else {
            self.strange = self.strange.wrapping_add(1);
        }
    }

    fn remove(&mut self, value: f64) {
        self.count = self.count.wrapping_sub(1);
        if value.is_finite() {
            self.put(-value);
        } else {
            self.strange = self.strange.wrapping_sub(1);
        }
        if self.count == self.strange {
            // Nothing is left of what rounding left.
            (self.sum, self.is_large) = (0.0, false);
        }
    }

    fn merge(&mut self, other: Self) {
        if other.is_large {
            self.sum = if self.is_large { self.sum } else { self.sum / UNIT } + other.sum;
            self.is_large = true;
        } else {
            self.put(other.sum);
        }
        self.count = self.count.wrapping_add(other.count);
        self.strange = self.strange.wrapping_add(other.strange);
    }

    fn sum(&self) -> Option<f64> {
        self.finite(self.sum)
    }

    fn mean(&self) -> Option<f64> {
        self.finite(self.sum / self.count as f64)
    }

    fn parts(&self) -> [i64; 3] {
        [self.sum.to_bits().cast_signed(), self.strange << 1 | i64::from(self.is_large), self.count]
    }

    fn of_parts([sum, strange, count]: [i64; 3]) -> Self {
        Self { sum: f64::from_bits(sum.cast_unsigned()), is_large: strange & 1 == 1, count, strange: strange >> 1 }
    }

    fn key(value: f64) -> i64 {
        let value = if value.is_nan() { f64::NAN } else { value + 0.0 };
        value.to_bits().cast_signed()
    }

    fn of_key(key: i64) -> f64 {
        f64::from_bits(key.cast_unsigned())
    }
}
