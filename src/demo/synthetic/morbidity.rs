//! What a patient suffers from, is treated with, and dies of.

use super::chance::Chance;
use super::population::{Hospital, Person};
use super::vocabulary::{
    ALBUTEROL, AMLODIPINE, ASPIRIN, ASTHMA, ATORVASTATIN, ATRIAL_FIBRILLATION, CEREBRAL_INFARCTION, Concept, DIABETES,
    HYPERLIPIDEMIA, HYPERTENSION, KIDNEY_DISEASE, LISINOPRIL, METFORMIN, MYOCARDIAL_INFARCTION, PNEUMONIA, WARFARIN,
};

/// A probability by age: knots of (age in years, probability), straight lines between them.
type ByAge = &'static [(i32, f64)];

/// Probability of ever having had a condition.
struct Risk {
    condition: &'static Concept,
    by_age: ByAge,
    /// Factors from conditions earlier in [`RISKS`].
    raised_by: &'static [(&'static Concept, f64)],
}

/// A drug, and who is given it.
struct Treatment {
    drug: &'static Concept,
    indications: &'static [&'static Concept],
    /// Share of those with an indication who are given the drug.
    share: f64,
    /// Where the patient has this as well, the share is halved.
    cautioned_by: Option<&'static Concept>,
}

/// The largest probability that factors can lead to.
const NEARLY_CERTAIN: f64 = 0.9;

static RISKS: [Risk; 9] = [
    Risk {
        condition: &DIABETES,
        by_age: &[(10, 0.0), (18, 0.004), (40, 0.045), (60, 0.16), (75, 0.24), (100, 0.22)],
        raised_by: &[],
    },
    Risk {
        condition: &HYPERTENSION,
        by_age: &[(15, 0.0), (30, 0.05), (50, 0.25), (70, 0.5), (100, 0.6)],
        raised_by: &[(&DIABETES, 1.5)],
    },
    Risk {
        condition: &HYPERLIPIDEMIA,
        by_age: &[(20, 0.01), (40, 0.12), (65, 0.34), (100, 0.3)],
        raised_by: &[(&DIABETES, 1.6)],
    },
    Risk {
        condition: &KIDNEY_DISEASE,
        by_age: &[(20, 0.002), (50, 0.025), (70, 0.11), (100, 0.3)],
        raised_by: &[(&DIABETES, 2.0), (&HYPERTENSION, 1.4)],
    },
    Risk {
        condition: &ATRIAL_FIBRILLATION,
        by_age: &[(40, 0.002), (60, 0.02), (80, 0.1), (100, 0.16)],
        raised_by: &[(&HYPERTENSION, 1.4)],
    },
    Risk {
        condition: &CEREBRAL_INFARCTION,
        by_age: &[(35, 0.001), (60, 0.015), (80, 0.05), (100, 0.08)],
        raised_by: &[(&DIABETES, 1.5), (&HYPERTENSION, 1.6), (&ATRIAL_FIBRILLATION, 2.0)],
    },
    Risk {
        condition: &MYOCARDIAL_INFARCTION,
        by_age: &[(30, 0.001), (55, 0.02), (80, 0.06), (100, 0.07)],
        raised_by: &[(&DIABETES, 1.7), (&HYPERTENSION, 1.3), (&HYPERLIPIDEMIA, 1.5)],
    },
    Risk { condition: &ASTHMA, by_age: &[(0, 0.02), (10, 0.1), (30, 0.08), (100, 0.07)], raised_by: &[] },
    Risk {
        condition: &PNEUMONIA,
        by_age: &[(0, 0.04), (10, 0.015), (50, 0.02), (75, 0.06), (100, 0.15)],
        raised_by: &[(&ASTHMA, 1.6), (&KIDNEY_DISEASE, 1.4)],
    },
];

static TREATMENTS: [Treatment; 7] = [
    Treatment { drug: &METFORMIN, indications: &[&DIABETES], share: 0.74, cautioned_by: Some(&KIDNEY_DISEASE) },
    Treatment { drug: &LISINOPRIL, indications: &[&HYPERTENSION], share: 0.5, cautioned_by: None },
    Treatment { drug: &AMLODIPINE, indications: &[&HYPERTENSION], share: 0.3, cautioned_by: None },
    Treatment {
        drug: &ATORVASTATIN,
        indications: &[&HYPERLIPIDEMIA, &MYOCARDIAL_INFARCTION, &CEREBRAL_INFARCTION],
        share: 0.6,
        cautioned_by: None,
    },
    Treatment {
        drug: &ASPIRIN,
        indications: &[&MYOCARDIAL_INFARCTION, &CEREBRAL_INFARCTION],
        share: 0.75,
        cautioned_by: None,
    },
    Treatment { drug: &WARFARIN, indications: &[&ATRIAL_FIBRILLATION], share: 0.55, cautioned_by: None },
    Treatment { drug: &ALBUTEROL, indications: &[&ASTHMA], share: 0.7, cautioned_by: None },
];

/// Probability of having died during the years on record.
const DEATH: ByAge = &[(0, 0.002), (45, 0.004), (60, 0.02), (75, 0.07), (90, 0.28), (100, 0.5)];
/// Conditions that raise it.
static DEADLY: [(&Concept, f64); 3] =
    [(&KIDNEY_DISEASE, 1.8), (&MYOCARDIAL_INFARCTION, 1.5), (&CEREBRAL_INFARCTION, 1.5)];

/// Conditions that pass; all others stay for life.
static ACUTE: [&Concept; 3] = [&CEREBRAL_INFARCTION, &MYOCARDIAL_INFARCTION, &PNEUMONIA];

/// What one patient suffers from.
#[derive(Debug)]
pub(super) struct Morbidity(Vec<&'static Concept>);

impl Morbidity {
    /// Draws the conditions of a person.
    pub(super) fn draw(hospital: &Hospital, person: &Person, chance: &mut Chance) -> Morbidity {
        let mut present = Morbidity(Vec::new());
        for risk in &RISKS {
            let probability = at_age(risk.by_age, person.age) * present.factor(risk.raised_by) * hospital.morbidity;
            if chance.happens(probability.min(NEARLY_CERTAIN)) {
                present.0.push(risk.condition);
            }
        }
        present
    }

    /// The conditions, in no order of time.
    pub(super) fn conditions(&self) -> &[&'static Concept] {
        &self.0
    }

    /// Whether the patient has this condition.
    pub(super) fn has(&self, condition: &Concept) -> bool {
        self.0.contains(&condition)
    }

    /// Draws the drugs given, each with the condition it is given for.
    pub(super) fn treatments(
        &self,
        hospital: &Hospital,
        chance: &mut Chance,
    ) -> Vec<(&'static Concept, &'static Concept)> {
        let mut given = Vec::new();
        for treatment in &TREATMENTS {
            let Some(&indication) = treatment.indications.iter().find(|condition| self.has(condition)) else {
                continue;
            };
            let caution = if treatment.cautioned_by.is_some_and(|condition| self.has(condition)) { 0.5 } else { 1.0 };
            if chance.happens((treatment.share * caution * hospital.treatment).min(NEARLY_CERTAIN)) {
                given.push((treatment.drug, indication));
            }
        }
        given
    }

    /// Draws whether the patient has died.
    pub(super) fn kills(&self, age: i32, chance: &mut Chance) -> bool {
        chance.happens((at_age(DEATH, age) * self.factor(&DEADLY)).min(NEARLY_CERTAIN))
    }

    /// The recorded cause of death: a condition that kills, where there is one.
    pub(super) fn cause_of_death(&self) -> Option<&'static Concept> {
        DEADLY.iter().map(|&(condition, _)| condition).rfind(|condition| self.has(condition))
    }

    fn factor(&self, raised_by: &[(&Concept, f64)]) -> f64 {
        raised_by.iter().filter(|(condition, _)| self.has(condition)).map(|(_, factor)| factor).product()
    }
}

/// Whether a condition passes within weeks.
pub(super) fn is_acute(condition: &Concept) -> bool {
    ACUTE.contains(&condition)
}

fn at_age(knots: ByAge, age: i32) -> f64 {
    let mut before: Option<(i32, f64)> = None;
    for &(knot, value) in knots {
        if age <= knot {
            let Some((start, from)) = before else { return value };
            return from + (value - from) * f64::from(age - start) / f64::from(knot - start);
        }
        before = Some((knot, value));
    }
    before.map_or(0.0, |(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_joined_by_straight_lines() {
        let knots: ByAge = &[(10, 0.0), (20, 0.5), (40, 0.1)];
        for (age, expected) in [(0, 0.0), (10, 0.0), (15, 0.25), (20, 0.5), (30, 0.3), (40, 0.1), (99, 0.1)] {
            assert!((at_age(knots, age) - expected).abs() < 1e-12, "at {age}");
        }
    }

    #[test]
    fn knots_ascend_and_factors_look_back() {
        for (index, risk) in RISKS.iter().enumerate() {
            assert!(risk.by_age.is_sorted_by(|one, other| one.0 < other.0));
            for (condition, _) in risk.raised_by {
                assert!(RISKS[..index].iter().any(|earlier| earlier.condition == *condition));
            }
        }
    }
}
