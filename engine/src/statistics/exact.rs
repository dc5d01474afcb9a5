//! A variable's scale as exact integers.

use consilium_protocol::study::{Decimal, Variable};

/// `min`, `max` and `resolution` of a variable as integers over one power of ten, and the range in steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scale {
    /// The minimum, times `10^places`.
    pub(crate) min: i128,
    /// The resolution, times `10^places`.
    pub(crate) step: i128,
    /// Decimal places.
    pub(crate) places: u32,
    /// How many steps lie between minimum and maximum, rounded half up: the largest x.
    pub(crate) range: i64,
}

impl Scale {
    /// Of a variable; `None` when the variable is not valid.
    pub(crate) fn of(variable: &Variable) -> Option<Self> {
        variable.steps()?;
        let parts = [variable.min, variable.max, variable.resolution].map(digits);
        let places = parts.iter().map(|(_, places)| *places).max()?;
        let [min, max, step] = parts.map(|(mantissa, own)| mantissa * 10i128.pow(places - own));
        let range = (2 * (max - min) + step) / (2 * step);
        Some(Self { min, step, places, range: i64::try_from(range).ok()? })
    }

    /// The steps to which a number may round, itself in steps: two where binary fractions leave it open.
    pub(crate) fn steps_near(&self, steps: f64) -> std::ops::RangeInclusive<i64> {
        const DOUBT: f64 = 1e-6;
        let within = |step: f64| step.clamp(0.0, self.range as f64) as i64;
        within((steps - 0.5 - DOUBT).ceil())..=within((steps + 0.5 + DOUBT).floor())
    }

    /// `10^places`.
    pub(crate) fn denominator(&self) -> i128 {
        10i128.pow(self.places)
    }
}

/// Digits and decimal places, by way of the number's exact text.
fn digits(decimal: Decimal) -> (i128, u32) {
    let text = decimal.to_string();
    let places = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let mantissa = text.replace('.', "").parse().expect("a decimal prints as digits with a sign and a point");
    (mantissa, places as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(min: &str, max: &str, resolution: &str) -> Scale {
        let decimal = |text: &str| text.parse().expect("a decimal");
        let (min, max, resolution) = (decimal(min), decimal(max), decimal(resolution));
        let variable = Variable { name: "x".into(), min, max, resolution, unit: String::new() };
        Scale::of(&variable).expect("a valid variable")
    }

    #[test]
    fn scales_are_exact() {
        assert_eq!(scale("-0.25", "1", "0.1"), Scale { min: -25, step: 10, places: 2, range: 13 });
        assert_eq!(scale("0", "110", "1"), Scale { min: 0, step: 1, places: 0, range: 110 });
        // 7.5 steps round up, 2.4 down.
        assert_eq!(scale("0.25", "1", "0.1").range, 8);
        assert_eq!(scale("0", "2.4", "1").range, 2);
    }
}
