//! PostgreSQL's `numeric`, as it travels: digits to the base 10,000, and how many decimals are shown.
//!
//! Source: `numeric_send` in PostgreSQL's `src/backend/utils/adt/numeric.c`.

use std::fmt::Write as _;

/// A number, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Numeric<'a> {
    /// None.
    NotANumber,
    /// Beyond every number.
    Infinite { negative: bool },
    /// Digits, of which the first counts 10,000 to the power of `weight`.
    Finite { negative: bool, weight: i32, decimals: u16, digits: &'a [[u8; 2]] },
}

/// The largest whole number up to which every one is a double.
const WHOLE: u128 = 1 << 53;

impl<'a> Numeric<'a> {
    /// Takes a value apart; `None` when it is none.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (head, digits) = bytes.split_first_chunk::<8>()?;
        let (digits, rest) = digits.as_chunks::<2>();
        let word = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
        if !rest.is_empty() || usize::from(word(0)) != digits.len() {
            return None;
        }
        let negative = match word(4) {
            0x0000 => false,
            0x4000 => true,
            0xC000 => return Some(Self::NotANumber),
            0xD000 => return Some(Self::Infinite { negative: false }),
            0xF000 => return Some(Self::Infinite { negative: true }),
            _ => return None,
        };
        let weight = i32::from(i16::from_be_bytes([head[2], head[3]]));
        let valid = digits.iter().all(|digit| i16::from_be_bytes(*digit) < 10_000 && digit[0] < 0x80);
        valid.then_some(Self::Finite { negative, weight, decimals: word(6), digits })
    }

    /// As decimal digits: all of them.
    pub(super) fn text(&self, text: &mut String) {
        let (negative, weight, decimals, digits) = match self {
            Self::NotANumber => return text.push_str("NaN"),
            Self::Infinite { negative: false } => return text.push_str("Infinity"),
            Self::Infinite { negative: true } => return text.push_str("-Infinity"),
            Self::Finite { negative, weight, decimals, digits } => (*negative, *weight, *decimals, *digits),
        };
        let digit = |at: i32| {
            let digit = usize::try_from(at).ok().and_then(|at| digits.get(at));
            digit.map_or(0, |digit| u16::from_be_bytes(*digit))
        };
        if negative {
            text.push('-');
        }
        if weight < 0 {
            text.push('0');
        }
        for at in 0..=weight {
            let _ = if at == 0 { write!(text, "{}", digit(at)) } else { write!(text, "{:04}", digit(at)) };
        }
        if decimals > 0 {
            text.push('.');
            let end = text.len() + usize::from(decimals);
            let mut at = weight + 1;
            while text.len() < end {
                let _ = write!(text, "{:04}", digit(at));
                at += 1;
            }
            text.truncate(end);
        }
    }

    /// As a whole number of 64 bits, if it is one.
    pub(super) fn whole(&self) -> Option<i64> {
        let Self::Finite { negative, weight, digits, .. } = self else { return None };
        let integral = usize::try_from(weight + 1).unwrap_or(0);
        let (before, after) = digits.split_at(integral.min(digits.len()));
        if after.iter().any(|digit| *digit != [0, 0]) {
            return None;
        }
        let zeros = std::iter::repeat_n(&[0, 0], integral - before.len());
        let whole = before.iter().chain(zeros).try_fold(0i128, |whole, digit| {
            whole.checked_mul(10_000)?.checked_add(i128::from(u16::from_be_bytes(*digit)))
        });
        let whole = whole?;
        i64::try_from(if *negative { -whole } else { whole }).ok()
    }

    /// The nearest double.
    pub(super) fn double(&self) -> f64 {
        let (negative, weight, digits) = match self {
            Self::NotANumber => return f64::NAN,
            Self::Infinite { negative: false } => return f64::INFINITY,
            Self::Infinite { negative: true } => return f64::NEG_INFINITY,
            Self::Finite { negative, weight, digits, .. } => (*negative, *weight, *digits),
        };
        // A whole number and a power of ten that are doubles both have the nearest double as their quotient.
        let places = i32::try_from(digits.len()).unwrap_or(i32::MAX) - 1 - weight;
        let whole = digits.iter().try_fold(0u128, |whole, digit| {
            whole.checked_mul(10_000)?.checked_add(u128::from(u16::from_be_bytes(*digit)))
        });
        if let Some(whole) = whole.filter(|whole| *whole <= WHOLE) {
            let power = match places {
                0 => Some(1.0),
                // 10 to the power of 20 is a double.
                1..=5 => Some(10f64.powi(4 * places)),
                _ => None,
            };
            if let Some(power) = power {
                let double = whole as f64 / power;
                return if negative { -double } else { double };
            }
        }
        let mut text = String::new();
        self.text(&mut text);
        text.parse().unwrap_or(f64::NAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(weight: i16, sign: u16, decimals: u16, digits: &[u16]) -> Vec<u8> {
        let count = u16::try_from(digits.len()).expect("few");
        let words = [count, weight as u16, sign, decimals].into_iter().chain(digits.iter().copied());
        words.flat_map(u16::to_be_bytes).collect()
    }

    #[test]
    fn numbers_are_what_their_digits_say() {
        let cases: &[(i16, u16, u16, &[u16], &str)] = &[
            (0, 0, 0, &[], "0"),
            (0, 0, 2, &[], "0.00"),
            (0, 0, 0, &[7], "7"),
            (0, 0x4000, 1, &[12, 5000], "-12.5"),
            (1, 0, 0, &[123, 4567], "1234567"),
            (2, 0, 0, &[1], "100000000"),
            (-1, 0, 4, &[123], "0.0123"),
            (-2, 0, 8, &[1], "0.00000001"),
            (0, 0, 3, &[98, 6543], "98.654"),
            (4, 0, 0, &[922, 3372, 368, 5477, 5807], "9223372036854775807"),
            (4, 0x4000, 0, &[922, 3372, 368, 5477, 5808], "-9223372036854775808"),
            (4, 0, 0, &[922, 3372, 368, 5477, 5808], "9223372036854775808"),
            (12, 0, 0, &[1], "1000000000000000000000000000000000000000000000000"),
            (1, 0, 2, &[12], "120000.00"),
        ];
        for (weight, sign, decimals, digits, text) in cases {
            let bytes = bytes(*weight, *sign, *decimals, digits);
            let numeric = Numeric::read(&bytes).expect("a number");
            let mut read = String::new();
            numeric.text(&mut read);
            assert_eq!(&read, text);
            let is_whole = text.split_once('.').is_none_or(|(_, places)| places.bytes().all(|place| place == b'0'));
            let whole = text.split('.').next().and_then(|whole| whole.parse::<i64>().ok());
            assert_eq!(numeric.whole(), whole.filter(|_| is_whole), "{text}");
            if *text != "98.654" {
                let double: f64 = text.parse().expect("a double");
                assert_eq!(numeric.double().to_bits(), double.to_bits(), "{text}");
            }
        }
        let special = |sign| Numeric::read(&bytes(0, sign, 0, &[])).expect("a number").double();
        assert!(special(0xC000).is_nan());
        assert_eq!((special(0xD000), special(0xF000)), (f64::INFINITY, f64::NEG_INFINITY));
    }

    #[test]
    fn what_is_no_number_is_none() {
        for bad in
            [vec![], vec![0; 7], vec![0; 9], bytes(0, 1, 0, &[]), bytes(0, 0, 0, &[10_000]), bytes(0, 0, 0, &[0x8000])]
        {
            assert_eq!(Numeric::read(&bad), None, "{bad:?}");
        }
        let mut short = bytes(0, 0, 0, &[1]);
        short[1] = 2;
        assert_eq!(Numeric::read(&short), None);
    }

    proptest::proptest! {
        #[test]
        fn doubles_are_the_nearest(whole in 0u64..1 << 60, places in 0usize..4, negative: bool) {
            let mut digits = Vec::new();
            let mut rest = whole;
            while rest > 0 {
                digits.insert(0, (rest % 10_000) as u16);
                rest /= 10_000;
            }
            let weight = digits.len() as i16 - 1 - places as i16;
            let bytes = bytes(weight, if negative { 0x4000 } else { 0 }, 4 * places as u16, &digits);
            let numeric = Numeric::read(&bytes).expect("a number");
            let mut text = String::new();
            numeric.text(&mut text);
            proptest::prop_assert_eq!(numeric.double(), text.parse::<f64>().expect("a double"));
        }
    }
}
