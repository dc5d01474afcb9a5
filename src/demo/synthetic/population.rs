//! Who the patients of a hospital are.

use super::PERSONS_PER_HOSPITAL;
use super::calendar::{Date, REFERENCE};
use super::chance::Chance;
use super::vocabulary::{ASIAN, BLACK, Concept, FEMALE, HISPANIC, MALE, NO_MATCH, NOT_HISPANIC, WHITE};

/// The stream that no patient has: the hospital's own.
const HOSPITAL_STREAM: u64 = u64::MAX;
/// The oldest age drawn.
const OLDEST: i32 = 100;
/// Weights of the ages 0–4, 5–9, …, 95–100.
const AGE_BANDS: [u32; 20] = [46, 46, 46, 48, 54, 60, 64, 65, 65, 65, 68, 72, 69, 62, 54, 46, 36, 22, 10, 2];
/// Share of persons whose gender the hospital does not know.
const UNKNOWN_GENDER: f64 = 0.005;
/// Share of persons of whom only the year of birth is known.
const ONLY_YEAR_OF_BIRTH: f64 = 0.01;

/// One hospital: the source of its patients' streams, and how its patients differ from others'.
pub(super) struct Hospital {
    seed: u64,
    index: usize,
    /// Where the record numbers begin, below 10,000,000.
    first_record: usize,
    /// Share of persons who are female.
    female: f64,
    /// Share of persons drawn from an older population.
    older: f64,
    /// Factor on the risk of every chronic condition.
    pub(super) morbidity: f64,
    /// Factor on the share of patients who are treated.
    pub(super) treatment: f64,
}

/// A row of PERSON.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Person {
    pub(super) id: i64,
    pub(super) gender: &'static Concept,
    pub(super) race: &'static Concept,
    pub(super) ethnicity: &'static Concept,
    pub(super) birth: Date,
    /// Whether month and day of birth are known to the hospital.
    pub(super) birthday_known: bool,
    /// Age in years on the reference date.
    pub(super) age: i32,
    /// Medical record number: identifies the person inside the hospital and must never leave it.
    pub(super) record_number: String,
}

impl Hospital {
    /// The hospital with this index; its case mix is drawn from `seed`.
    pub(super) fn new(seed: u64, index: usize) -> Hospital {
        let mut chance = Chance::new(seed, index as u64, HOSPITAL_STREAM);
        Hospital {
            seed,
            index,
            first_record: chance.between(0, 9_999_999) as usize,
            female: chance.real(0.49, 0.53),
            older: chance.real(0.0, 0.25),
            morbidity: chance.real(0.85, 1.2),
            treatment: chance.real(0.85, 1.1),
        }
    }

    /// The stream of patient number `patient`, counted from 0.
    pub(super) fn chance(&self, patient: usize) -> Chance {
        Chance::new(self.seed, self.index as u64, patient as u64)
    }

    /// Draws who patient number `patient` is.
    pub(super) fn person(&self, patient: usize, chance: &mut Chance) -> Person {
        let age = self.age(chance);
        // Born after the day that would make the person a year older, and before the reference date.
        let latest = REFERENCE.years_before(age);
        let earliest = REFERENCE.years_before(age + 1).plus(1);
        let birth = latest.plus(-chance.between(i32::from(age == 0), latest.days() - earliest.days()));
        Person {
            id: (self.index * PERSONS_PER_HOSPITAL + patient + 1) as i64,
            gender: self.gender(chance),
            race: [&WHITE, &ASIAN, &BLACK, &NO_MATCH][chance.weighted(&[78, 8, 9, 5])],
            ethnicity: [&NOT_HISPANIC, &HISPANIC, &NO_MATCH][chance.weighted(&[85, 9, 6])],
            birth,
            birthday_known: !chance.happens(ONLY_YEAR_OF_BIRTH),
            age,
            record_number: self.record_number(patient),
        }
    }

    fn age(&self, chance: &mut Chance) -> i32 {
        let mut draw = || {
            let band = chance.weighted(&AGE_BANDS) as i32;
            chance.between(band * 5, if band == 19 { OLDEST } else { band * 5 + 4 })
        };
        let (one, other) = (draw(), draw());
        if chance.happens(self.older) { one.max(other) } else { one }
    }

    fn gender(&self, chance: &mut Chance) -> &'static Concept {
        if chance.happens(UNKNOWN_GENDER) {
            &NO_MATCH
        } else if chance.happens(self.female) {
            &FEMALE
        } else {
            &MALE
        }
    }

    /// Record numbers look random and are unique within the hospital: the step shares no factor with their count.
    fn record_number(&self, patient: usize) -> String {
        const STEP: usize = 7_654_321;
        let number = (self.first_record + patient * STEP) % PERSONS_PER_HOSPITAL;
        format!("MRN-{:02}-{number:07}", self.index)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn people_are_of_all_ages_and_genders() {
        let hospital = Hospital::new(1, 0);
        let people: Vec<_> = (0..20_000).map(|index| hospital.person(index, &mut hospital.chance(index))).collect();
        let share = |of: &dyn Fn(&Person) -> bool| people.iter().filter(|person| of(person)).count() as f64 / 20_000.0;
        for (range, plausible) in [(0..18, 0.10..0.20), (18..65, 0.50..0.66), (65..101, 0.20..0.35)] {
            let found = share(&|person| range.contains(&person.age));
            assert!(plausible.contains(&found), "{found} aged {range:?}");
        }
        assert!((0.46..0.55).contains(&share(&|person| *person.gender == FEMALE)));
        assert!((0.003..0.008).contains(&share(&|person| *person.gender == NO_MATCH)));
        assert!((0.006..0.014).contains(&share(&|person| !person.birthday_known)));
        let records: HashSet<_> = people.iter().map(|person| &person.record_number).collect();
        assert_eq!(records.len(), people.len());
    }

    #[test]
    fn birth_and_age_agree() {
        let hospital = Hospital::new(3, 2);
        for index in 0..5_000 {
            let person = hospital.person(index, &mut hospital.chance(index));
            assert!(person.birth < REFERENCE);
            let (year, month, day) = person.birth.parts();
            let age = 2026 - year - i32::from((month, day) > (1, 1));
            assert_eq!(age, person.age);
            assert!((0..=OLDEST).contains(&age));
        }
    }

    #[test]
    fn hospitals_differ_and_repeat() {
        let mix = |index| {
            let hospital = Hospital::new(5, index);
            (hospital.morbidity, hospital.treatment, hospital.older, hospital.first_record)
        };
        assert_ne!(mix(0), mix(1));
        assert_eq!(mix(1), mix(1));
    }
}
