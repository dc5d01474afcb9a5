//! Exact decimal numbers: bounds, resolutions and edges are part of what is signed, so no binary fraction is.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `mantissa · 10^-scale`, in lowest terms, so that equal numbers have equal bytes. Up to nine decimal places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, BorshSerialize)]
pub struct Decimal {
    mantissa: i64,
    scale: u8,
}

/// A number that cannot be written exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a number here has at most 18 digits, of which at most 9 after the decimal point; round it")]
pub struct DecimalError;

const MAX_SCALE: u8 = 9;
const MAX_MANTISSA: i64 = 999_999_999_999_999_999;

impl Decimal {
    /// 0.
    pub const ZERO: Self = Self { mantissa: 0, scale: 0 };

    /// `mantissa · 10^-scale`.
    ///
    /// # Errors
    /// [`DecimalError`] for more than nine places or more than eighteen digits.
    pub fn new(mut mantissa: i64, mut scale: u8) -> Result<Self, DecimalError> {
        while scale > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            scale -= 1;
        }
        if scale > MAX_SCALE || !(-MAX_MANTISSA..=MAX_MANTISSA).contains(&mantissa) {
            return Err(DecimalError);
        }
        Ok(Self { mantissa, scale })
    }

    /// The nearest binary fraction; for display and for comparing with data, never for what is signed.
    pub fn to_f64(self) -> f64 {
        self.mantissa as f64 / 10f64.powi(i32::from(self.scale))
    }

    /// How many steps of `resolution` this is, rounded half away from zero; `None` when `resolution` is not
    /// positive or the quotient does not fit.
    pub fn steps_of(self, resolution: Self) -> Option<i64> {
        if resolution.mantissa <= 0 {
            return None;
        }
        let (own, step) = self.common(resolution);
        let half = step / 2;
        let rounded = if own >= 0 { (own + half) / step } else { (own - half) / step };
        i64::try_from(rounded).ok()
    }

    /// Whether this is a whole number.
    pub const fn is_integer(self) -> bool {
        self.scale == 0
    }

    /// Both as integers at the same scale.
    fn common(self, other: Self) -> (i128, i128) {
        let scale = self.scale.max(other.scale);
        let at = |d: Self| i128::from(d.mantissa) * 10i128.pow(u32::from(scale - d.scale));
        (at(self), at(other))
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let (own, theirs) = self.common(*other);
        own.cmp(&theirs)
    }
}

impl BorshDeserialize for Decimal {
    fn deserialize_reader<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<Self> {
        let mantissa = i64::deserialize_reader(reader)?;
        let scale = u8::deserialize_reader(reader)?;
        match Self::new(mantissa, scale) {
            Ok(value) if value == (Self { mantissa, scale }) => Ok(value),
            _ => Err(borsh::io::Error::new(borsh::io::ErrorKind::InvalidData, "not a decimal in lowest terms")),
        }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.scale == 0 {
            return f.pad(&self.mantissa.to_string());
        }
        let digits = format!("{:0>width$}", self.mantissa.unsigned_abs(), width = usize::from(self.scale) + 1);
        let (whole, fraction) = digits.split_at(digits.len() - usize::from(self.scale));
        let sign = if self.mantissa < 0 { "-" } else { "" };
        f.pad(&format!("{sign}{whole}.{fraction}"))
    }
}

impl FromStr for Decimal {
    type Err = DecimalError;

    fn from_str(text: &str) -> Result<Self, DecimalError> {
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let fraction = fraction.trim_end_matches('0');
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > usize::from(MAX_SCALE) {
            return Err(DecimalError);
        }
        let magnitude: i64 = format!("{whole}{fraction}").parse().map_err(|_| DecimalError)?;
        let mantissa = if text.starts_with('-') { -magnitude } else { magnitude };
        Self::new(mantissa, fraction.len() as u8)
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.scale == 0 { serializer.serialize_i64(self.mantissa) } else { serializer.serialize_f64(self.to_f64()) }
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a number is written without quotation marks, for example 0.5")]
        enum Number {
            Integer(i64),
            // The shortest decimal that reads back as this fraction is what was written, up to 15 digits.
            Fraction(f64),
        }
        let value = match Number::deserialize(deserializer)? {
            Number::Integer(value) => Self::new(value, 0),
            Number::Fraction(value) => format!("{value}").parse(),
        };
        value.map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().expect("a decimal")
    }

    #[test]
    fn equal_numbers_have_equal_bytes() {
        assert_eq!(decimal("1.50"), decimal("1.5"));
        assert_eq!(decimal("-0.0"), decimal("0"));
        assert_eq!(borsh::to_vec(&decimal("10.0")).ok(), borsh::to_vec(&decimal("10")).ok());
        assert!(borsh::from_slice::<Decimal>(&[10, 0, 0, 0, 0, 0, 0, 0, 1]).is_err(), "1.0 is not in lowest terms");
    }

    #[test]
    fn text_and_order() {
        for text in ["0", "0.01", "-3.5", "123456789.000000001"] {
            assert_eq!(decimal(text).to_string(), text);
        }
        assert!(decimal("-0.1") < decimal("0.01"));
        for bad in ["", ".", "1e5", "1.0000000001", "9999999999999999999", "--1", "nan"] {
            assert!(bad.parse::<Decimal>().is_err(), "{bad}");
        }
    }

    #[test]
    fn steps() {
        assert_eq!(decimal("20").steps_of(decimal("0.01")), Some(2_000));
        assert_eq!(decimal("-0.25").steps_of(decimal("0.1")), Some(-3));
        assert_eq!(decimal("1").steps_of(decimal("0")), None);
    }
}
