//! What happens to a patient, from the first day on record to the last.

use super::EVENTS_PER_PERSON;
use super::calendar::{Date, REFERENCE};
use super::chance::Chance;
use super::laboratory::{Assay, CREATININE_ASSAY, HBA1C_ASSAY, Level};
use super::morbidity::{Morbidity, is_acute};
use super::population::{Hospital, Person};
use super::vocabulary::{
    Concept, DIABETES, EMERGENCY, HYPERTENSION, INPATIENT, KIDNEY_DISEASE, METFORMIN, OUTPATIENT, PNEUMONIA,
};

/// Share of the living whose record ends before the reference date.
const MOVED_AWAY: f64 = 0.08;
/// Share of later visits at which a lasting condition is recorded again.
const RECORDED_AGAIN: f64 = 0.25;
/// Share of later visits at which a drug is prescribed again.
const PRESCRIBED_AGAIN: f64 = 0.8;
/// Share of visits of a chronic patient at which a blood sample is taken.
const SAMPLED: f64 = 0.9;
/// Share of the children of whom a blood sample is ever taken.
const CHILD_SAMPLED: f64 = 0.25;
/// Days that one prescription lasts.
pub(super) const DAYS_SUPPLY: i32 = 90;

/// A person and all that is on record.
///
/// Every event lies within `observed` and refers to this person and to one of `visits`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Patient {
    pub(super) person: Person,
    pub(super) observed: Period,
    /// Ascending by start, one at least.
    pub(super) visits: Vec<Visit>,
    pub(super) conditions: Vec<Condition>,
    pub(super) drugs: Vec<DrugExposure>,
    pub(super) measurements: Vec<Measurement>,
    pub(super) death: Option<Death>,
}

/// Days from `start` to `end`, both included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Period {
    pub(super) start: Date,
    pub(super) end: Date,
}

/// What events of every table have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Event {
    /// Unique within its table over all hospitals.
    pub(super) id: i64,
    pub(super) person: i64,
}

/// A row of VISIT_OCCURRENCE.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Visit {
    pub(super) event: Event,
    pub(super) kind: &'static Concept,
    pub(super) period: Period,
}

/// A row of CONDITION_OCCURRENCE.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition {
    pub(super) event: Event,
    pub(super) visit: i64,
    pub(super) concept: &'static Concept,
    pub(super) start: Date,
    /// None for what lasts.
    pub(super) end: Option<Date>,
}

/// A row of DRUG_EXPOSURE.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DrugExposure {
    pub(super) event: Event,
    pub(super) visit: i64,
    pub(super) concept: &'static Concept,
    pub(super) period: Period,
}

/// A row of MEASUREMENT.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Measurement {
    pub(super) event: Event,
    pub(super) visit: i64,
    pub(super) assay: &'static Assay,
    pub(super) date: Date,
    /// In the assay's unit; missing where the laboratory gave no number.
    pub(super) value: Option<f64>,
}

/// A row of DEATH.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Death {
    pub(super) person: i64,
    pub(super) date: Date,
    pub(super) cause: Option<&'static Concept>,
}

/// Draws patient number `index` of a hospital.
pub(super) fn patient(hospital: &Hospital, index: usize) -> Patient {
    let chance = &mut hospital.chance(index);
    let person = hospital.person(index, chance);
    let morbidity = Morbidity::draw(hospital, &person, chance);
    let died = morbidity.kills(person.age, chance);
    let observed = observed(&person, died, chance);
    let visits = visits(&person, &morbidity, observed, chance);
    let mut course =
        Course { observed, visits, conditions: Vec::new(), drugs: Vec::new(), measurements: Vec::new(), person };
    course.diagnose(&morbidity, chance);
    course.prescribe(&morbidity.treatments(hospital, chance), chance);
    course.measure(&morbidity, chance);
    let Course { person, observed, visits, conditions, drugs, measurements } = course;
    let death = died.then(|| Death { person: person.id, date: observed.end, cause: morbidity.cause_of_death() });
    Patient { person, observed, visits, conditions, drugs, measurements, death }
}

/// The days on record: some years up to the reference date, to death, or to the last contact.
fn observed(person: &Person, died: bool, chance: &mut Chance) -> Period {
    let start = REFERENCE.plus(-chance.between(2 * 365, 12 * 365)).max(person.birth);
    let last = if died || chance.happens(MOVED_AWAY) { 4 * 365 } else { 0 };
    let end = REFERENCE.plus(-chance.between(0, last)).max(start);
    Period { start, end }
}

/// One to six visits; more for those with a condition that lasts.
fn visits(person: &Person, morbidity: &Morbidity, observed: Period, chance: &mut Chance) -> Vec<Visit> {
    let chronic = morbidity.conditions().iter().any(|condition| !is_acute(condition));
    let count = if chronic { chance.between(3, 6) } else { chance.between(1, 4) };
    let mut starts: Vec<_> = (0..count).map(|_| observed.day(chance)).collect();
    starts.sort_unstable();
    let visit = |(ordinal, start)| {
        let kind = [&OUTPATIENT, &EMERGENCY, &INPATIENT][chance.weighted(&[82, 10, 8])];
        let mut visit = Visit { event: Event::new(person.id, ordinal), kind, period: Period { start, end: start } };
        if *kind == INPATIENT {
            visit.admit(observed, chance);
        }
        visit
    };
    starts.into_iter().enumerate().map(visit).collect()
}

/// A patient's record while it is being written.
struct Course {
    person: Person,
    observed: Period,
    visits: Vec<Visit>,
    conditions: Vec<Condition>,
    drugs: Vec<DrugExposure>,
    measurements: Vec<Measurement>,
}

impl Course {
    /// Records every condition at some visit; what lasts is recorded again at later ones.
    fn diagnose(&mut self, morbidity: &Morbidity, chance: &mut Chance) {
        for &concept in morbidity.conditions() {
            let acute = is_acute(concept);
            // Most of what lasts is known when the record begins.
            let first = if !acute && chance.happens(0.6) { 0 } else { self.any_visit(chance) };
            if acute && self.visits[first].kind == &OUTPATIENT && (concept != &PNEUMONIA || chance.happens(0.5)) {
                self.visits[first].kind = &INPATIENT;
                self.visits[first].admit(self.observed, chance);
            }
            self.record_condition(concept, first, chance);
            for later in first + 1..self.visits.len() {
                if !acute && chance.happens(RECORDED_AGAIN) {
                    self.record_condition(concept, later, chance);
                }
            }
        }
    }

    fn record_condition(&mut self, concept: &'static Concept, visit: usize, chance: &mut Chance) {
        let visit = &self.visits[visit];
        let start = visit.period.start;
        self.conditions.push(Condition {
            event: Event::new(self.person.id, self.conditions.len()),
            visit: visit.event.id,
            concept,
            start,
            end: is_acute(concept).then(|| self.observed.within(start.plus(chance.between(5, 28)))),
        });
    }

    /// Prescribes each drug when its indication is first recorded, and again at most later visits.
    fn prescribe(&mut self, treatments: &[(&'static Concept, &'static Concept)], chance: &mut Chance) {
        for &(drug, indication) in treatments {
            let Some(diagnosis) = self.conditions.iter().find(|condition| condition.concept == indication) else {
                continue;
            };
            let (visit, since) = (diagnosis.visit, diagnosis.start);
            self.record_drug(drug, visit, since);
            for later in 0..self.visits.len() {
                let Visit { event, period, .. } = &self.visits[later];
                let (id, start) = (event.id, period.start);
                if start > since && chance.happens(PRESCRIBED_AGAIN) {
                    self.record_drug(drug, id, start);
                }
            }
        }
    }

    fn record_drug(&mut self, concept: &'static Concept, visit: i64, start: Date) {
        self.drugs.push(DrugExposure {
            event: Event::new(self.person.id, self.drugs.len()),
            visit,
            concept,
            period: Period { start, end: self.observed.within(start.plus(DAYS_SUPPLY - 1)) },
        });
    }

    /// Takes blood at most visits of the chronic, once or twice of other adults, and of few children.
    fn measure(&mut self, morbidity: &Morbidity, chance: &mut Chance) {
        let diabetic = morbidity.has(&DIABETES);
        let kidney_disease = morbidity.has(&KIDNEY_DISEASE);
        let treated_since =
            self.drugs.iter().filter(|drug| drug.concept == &METFORMIN).map(|drug| drug.period.start).min();

        let untreated = Level::hba1c(diabetic, chance);
        let treated = untreated.under_metformin();
        for visit in self.sampled_visits(diabetic, chance) {
            let under_metformin = treated_since.is_some_and(|since| since < self.visits[visit].period.start);
            let level = if under_metformin { &treated } else { &untreated };
            self.record_measurement(&HBA1C_ASSAY, level, visit, chance);
        }
        let creatinine = Level::creatinine(&self.person, kidney_disease, chance);
        let watched = diabetic || kidney_disease || morbidity.has(&HYPERTENSION);
        for visit in self.sampled_visits(watched, chance) {
            self.record_measurement(&CREATININE_ASSAY, &creatinine, visit, chance);
        }
    }

    /// The visits at which blood is taken, ascending.
    fn sampled_visits(&self, watched: bool, chance: &mut Chance) -> Vec<usize> {
        if watched {
            return (0..self.visits.len()).filter(|_| chance.happens(SAMPLED)).collect();
        }
        if self.person.age < 18 && !chance.happens(CHILD_SAMPLED) {
            return Vec::new();
        }
        let mut visits: Vec<_> = (0..chance.between(1, 2)).map(|_| self.any_visit(chance)).collect();
        visits.sort_unstable();
        visits.dedup();
        visits
    }

    fn record_measurement(&mut self, assay: &'static Assay, level: &Level, visit: usize, chance: &mut Chance) {
        let visit = &self.visits[visit];
        let sample = level.sample(chance);
        self.measurements.push(Measurement {
            event: Event::new(self.person.id, self.measurements.len()),
            visit: visit.event.id,
            assay,
            date: visit.period.start,
            value: assay.report(sample, chance),
        });
    }

    fn any_visit(&self, chance: &mut Chance) -> usize {
        chance.between(0, self.visits.len() as i32 - 1) as usize
    }
}

impl Visit {
    /// Makes the visit a stay of some days, as far as the record goes.
    fn admit(&mut self, observed: Period, chance: &mut Chance) {
        self.period.end = observed.within(self.period.start.plus(chance.between(1, 12)));
    }
}

impl Period {
    fn day(self, chance: &mut Chance) -> Date {
        self.start.plus(chance.between(0, self.end.days() - self.start.days()))
    }

    /// The date, or the last day if it is later.
    fn within(self, date: Date) -> Date {
        date.min(self.end)
    }
}

impl Event {
    /// Event number `ordinal` of a person in some table, counted from 0.
    fn new(person: i64, ordinal: usize) -> Event {
        Event { id: person * EVENTS_PER_PERSON + ordinal as i64 + 1, person }
    }
}
