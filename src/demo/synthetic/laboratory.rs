//! What the laboratory finds in a blood sample, and how it goes wrong now and then.

use super::chance::Chance;
use super::population::Person;
use super::vocabulary::{CREATININE, Concept, FEMALE, HBA1C, MALE, MILLIGRAM_PER_DECILITER, PERCENT};

/// Share of results without a value.
const NO_VALUE: f64 = 0.02;
/// Share of results entered in another unit than the one recorded beside them.
const WRONG_UNIT: f64 = 0.003;
/// Share of results entered as zero.
const ZERO: f64 = 0.001;

/// A test, its unit and what counts as normal.
#[derive(Debug)]
pub(super) struct Assay {
    pub(super) concept: &'static Concept,
    pub(super) unit: &'static Concept,
    pub(super) normal_low: f64,
    pub(super) normal_high: f64,
    /// Results are reported in steps of one over this.
    steps: f64,
    /// Another unit for the same quantity is `(value - offset) * factor`.
    other_unit: (f64, f64),
}

impl PartialEq for Assay {
    fn eq(&self, other: &Assay) -> bool {
        self.concept == other.concept
    }
}

/// Glycated haemoglobin; the other unit is the IFCC's mmol/mol.
pub(super) static HBA1C_ASSAY: Assay = Assay {
    concept: &HBA1C,
    unit: &PERCENT,
    normal_low: 4.0,
    normal_high: 5.6,
    steps: 10.0,
    other_unit: (2.15, 10.929),
};

/// Serum creatinine; the other unit is µmol/L.
pub(super) static CREATININE_ASSAY: Assay = Assay {
    concept: &CREATININE,
    unit: &MILLIGRAM_PER_DECILITER,
    normal_low: 0.6,
    normal_high: 1.3,
    steps: 100.0,
    other_unit: (0.0, 88.42),
};

impl Assay {
    /// The value that gets recorded for a true value: rounded, sometimes missing, rarely nonsense.
    pub(super) fn report(&self, value: f64, chance: &mut Chance) -> Option<f64> {
        let round = |value: f64| (value * self.steps).round() / self.steps;
        if chance.happens(NO_VALUE) {
            None
        } else if chance.happens(WRONG_UNIT) {
            let (offset, factor) = self.other_unit;
            Some(((value - offset) * factor).round())
        } else if chance.happens(ZERO) {
            Some(0.0)
        } else {
            Some(round(value))
        }
    }
}

/// One patient's own level, about which single results scatter.
#[derive(Debug)]
pub(super) struct Level {
    mean: f64,
    scatter: f64,
    lowest: f64,
    highest: f64,
}

impl Level {
    /// Glycated haemoglobin in percent: mean 5.4 and standard deviation 0.35 in persons without diabetes; with diabetes
    /// 7.9, or [`under_metformin`](Level::under_metformin) 7.4, and standard deviation 1.2.
    pub(super) fn hba1c(diabetic: bool, chance: &mut Chance) -> Level {
        let (mean, between, scatter) = if diabetic { (7.9, 1.0, 0.66) } else { (5.4, 0.28, 0.21) };
        Level { mean: mean + between * chance.normal(), scatter, lowest: 3.8, highest: 15.0 }
    }

    /// Creatinine in mg/dL: grows through childhood, higher in men, in old age and above all with kidney disease.
    pub(super) fn creatinine(person: &Person, kidney_disease: bool, chance: &mut Chance) -> Level {
        let age = f64::from(person.age);
        let adult = if *person.gender == MALE {
            0.96
        } else if *person.gender == FEMALE {
            0.78
        } else {
            0.87
        };
        let grown = (0.35 + age / 18.0 * 0.65).min(1.0);
        let aged = 0.003 * (age - 40.0).max(0.0);
        // A squared normal for the long tail of advanced disease.
        let disease = if kidney_disease { 0.6 + 0.45 * square(chance.normal()) } else { 0.0 };
        let mean = adult * grown + aged + disease + 0.1 * chance.normal();
        Level { mean, scatter: 0.07, lowest: 0.2, highest: 12.0 }
    }

    /// The level under metformin.
    pub(super) fn under_metformin(&self) -> Level {
        Level { mean: self.mean - 0.5, ..*self }
    }

    /// The true value in one sample.
    pub(super) fn sample(&self, chance: &mut Chance) -> f64 {
        (self.mean + self.scatter * chance.normal()).clamp(self.lowest, self.highest)
    }
}

fn square(value: f64) -> f64 {
    value * value
}
