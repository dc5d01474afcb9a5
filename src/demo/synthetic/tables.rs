//! Patients as tables of the OMOP common data model 5.4.
//!
//! Columns come in the order of the model and all are there; what these hospitals do not record is null.
//! Source: <https://ohdsi.github.io/CommonDataModel/cdm54.html>.

use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

use super::calendar::Date;
use super::clinical::{Condition, DAYS_SUPPLY, Death, DrugExposure, Measurement, Patient, Visit};
use super::columns::Columns;
use super::vocabulary::{CONCEPTS, Concept, EHR};

/// A table with a row or more for each patient.
pub(super) struct PatientTable {
    pub(super) name: &'static str,
    pub(super) rows: fn(&[Patient]) -> Result<RecordBatch, ArrowError>,
}

/// The tables about patients, PERSON last.
pub(super) static PATIENT_TABLES: [PatientTable; 7] = [
    PatientTable { name: "OBSERVATION_PERIOD", rows: observation_period },
    PatientTable { name: "VISIT_OCCURRENCE", rows: visit_occurrence },
    PatientTable { name: "CONDITION_OCCURRENCE", rows: condition_occurrence },
    PatientTable { name: "DRUG_EXPOSURE", rows: drug_exposure },
    PatientTable { name: "MEASUREMENT", rows: measurement },
    PatientTable { name: "DEATH", rows: death },
    PatientTable { name: "PERSON", rows: person },
];

/// Name of the vocabulary's table.
pub(super) const CONCEPT: &str = "CONCEPT";

/// The CONCEPT table, the same for all hospitals.
pub(super) fn concept() -> Result<RecordBatch, ArrowError> {
    // The validity that the vocabularies give where they do not know better.
    const VALID: (Date, Date) = (Date::new(1970, 1, 1), Date::new(2099, 12, 31));
    Columns::of(CONCEPTS)
        .int("concept_id", |concept| concept.id)
        .text("concept_name", |concept| concept.name)
        .text("domain_id", |concept| concept.domain)
        .text("vocabulary_id", |concept| concept.vocabulary)
        .text("concept_class_id", |concept| concept.class)
        .text_or_null("standard_concept", |concept| concept.matches().then_some("S"))
        .text("concept_code", |concept| concept.code)
        .date("valid_start_date", |_| VALID.0)
        .date("valid_end_date", |_| VALID.1)
        .no_texts(&["invalid_reason"])
        .finish()
}

fn person(patients: &[Patient]) -> Result<RecordBatch, ArrowError> {
    fn recorded(concept: &'static Concept) -> Option<&'static str> {
        concept.matches().then_some(concept.code)
    }
    Columns::of(patients.iter().map(|patient| &patient.person))
        .int("person_id", |person| person.id)
        .int("gender_concept_id", |person| person.gender.id)
        .int("year_of_birth", |person| i64::from(person.birth.parts().0))
        .int_or_null("month_of_birth", |person| person.birthday_known.then(|| i64::from(person.birth.parts().1)))
        .int_or_null("day_of_birth", |person| person.birthday_known.then(|| i64::from(person.birth.parts().2)))
        .no_datetimes(&["birth_datetime"])
        .int("race_concept_id", |person| person.race.id)
        .int("ethnicity_concept_id", |person| person.ethnicity.id)
        .no_ints(&["location_id", "provider_id", "care_site_id"])
        .text("person_source_value", |person| &person.record_number)
        .text_or_null("gender_source_value", |person| recorded(person.gender))
        .int("gender_source_concept_id", |_| 0)
        .text_or_null("race_source_value", |person| recorded(person.race))
        .int("race_source_concept_id", |_| 0)
        .text_or_null("ethnicity_source_value", |person| recorded(person.ethnicity))
        .int("ethnicity_source_concept_id", |_| 0)
        .finish()
}

fn observation_period(patients: &[Patient]) -> Result<RecordBatch, ArrowError> {
    Columns::of(patients)
        // One period a person, so the person's number serves for both.
        .int("observation_period_id", |patient| patient.person.id)
        .int("person_id", |patient| patient.person.id)
        .date("observation_period_start_date", |patient| patient.observed.start)
        .date("observation_period_end_date", |patient| patient.observed.end)
        .int("period_type_concept_id", |_| EHR.id)
        .finish()
}

fn visit_occurrence(patients: &[Patient]) -> Result<RecordBatch, ArrowError> {
    let visits = patients.iter().flat_map(|patient| &patient.visits);
    Columns::<Visit>::of(visits)
        .int("visit_occurrence_id", |visit| visit.event.id)
        .int("person_id", |visit| visit.event.person)
        .int("visit_concept_id", |visit| visit.kind.id)
        .date("visit_start_date", |visit| visit.period.start)
        .no_datetimes(&["visit_start_datetime"])
        .date("visit_end_date", |visit| visit.period.end)
        .no_datetimes(&["visit_end_datetime"])
        .int("visit_type_concept_id", |_| EHR.id)
        .no_ints(&["provider_id", "care_site_id"])
        .text("visit_source_value", |visit| visit.kind.code)
        .int("visit_source_concept_id", |_| 0)
        .no_ints(&["admitted_from_concept_id"])
        .no_texts(&["admitted_from_source_value"])
        .no_ints(&["discharged_to_concept_id"])
        .no_texts(&["discharged_to_source_value"])
        .no_ints(&["preceding_visit_occurrence_id"])
        .finish()
}

fn condition_occurrence(patients: &[Patient]) -> Result<RecordBatch, ArrowError> {
    let conditions = patients.iter().flat_map(|patient| &patient.conditions);
    Columns::<Condition>::of(conditions)
        .int("condition_occurrence_id", |condition| condition.event.id)
        .int("person_id", |condition| condition.event.person)
        .int("condition_concept_id", |condition| condition.concept.id)
        .date("condition_start_date", |condition| condition.start)
        .no_datetimes(&["condition_start_datetime"])
        .date_or_null("condition_end_date", |condition| condition.end)
        .no_datetimes(&["condition_end_datetime"])
        .int("condition_type_concept_id", |_| EHR.id)
        .no_ints(&["condition_status_concept_id"])
        .no_texts(&["stop_reason"])
        .no_ints(&["provider_id"])
        .int("visit_occurrence_id", |condition| condition.visit)
        .no_ints(&["visit_detail_id"])
        .text("condition_source_value", |condition| condition.concept.code)
        .int("condition_source_concept_id", |condition| condition.concept.id)
        .no_texts(&["condition_status_source_value"])
        .finish()
}

fn drug_exposure(patients: &[Patient]) -> Result<RecordBatch, ArrowError> {
    let drugs = patients.iter().flat_map(|patient| &patient.drugs);
    Columns::<DrugExposure>::of(drugs)
        .int("drug_exposure_id", |drug| drug.event.id)
        .int("person_id", |drug| drug.event.person)
        .int("drug_concept_id", |drug| drug.concept.id)
        .date("drug_exposure_start_date", |drug| drug.period.start)
        .no_datetimes(&["drug_exposure_start_datetime"])
        .date("drug_exposure_end_date", |drug| drug.period.end)
        .no_datetimes(&["drug_exposure_end_datetime"])
        .no_dates(&["verbatim_end_date"])
        .int("drug_type_concept_id", |_| EHR.id)
        .no_texts(&["stop_reason"])
        .no_ints(&["refills"])
        .no_numbers(&["quantity"])
        .int_or_null("days_supply", |_| Some(i64::from(DAYS_SUPPLY)))
        .no_texts(&["sig"])
        .no_ints(&["route_concept_id"])
        .no_texts(&["lot_number"])
        .no_ints(&["provider_id"])
        .int("visit_occurrence_id", |drug| drug.visit)
        .no_ints(&["visit_detail_id"])
        .text("drug_source_value", |drug| drug.concept.code)
        .int("drug_source_concept_id", |drug| drug.concept.id)
        .no_texts(&["route_source_value", "dose_unit_source_value"])
        .finish()
}

fn measurement(patients: &[Patient]) -> Result<RecordBatch, ArrowError> {
    let measurements = patients.iter().flat_map(|patient| &patient.measurements);
    Columns::<Measurement>::of(measurements)
        .int("measurement_id", |measurement| measurement.event.id)
        .int("person_id", |measurement| measurement.event.person)
        .int("measurement_concept_id", |measurement| measurement.assay.concept.id)
        .date("measurement_date", |measurement| measurement.date)
        .no_datetimes(&["measurement_datetime"])
        .no_texts(&["measurement_time"])
        .int("measurement_type_concept_id", |_| EHR.id)
        .no_ints(&["operator_concept_id"])
        .number_or_null("value_as_number", |measurement| measurement.value)
        .no_ints(&["value_as_concept_id"])
        .int_or_null("unit_concept_id", |measurement| Some(measurement.assay.unit.id))
        .number_or_null("range_low", |measurement| Some(measurement.assay.normal_low))
        .number_or_null("range_high", |measurement| Some(measurement.assay.normal_high))
        .no_ints(&["provider_id"])
        .int("visit_occurrence_id", |measurement| measurement.visit)
        .no_ints(&["visit_detail_id"])
        .text("measurement_source_value", |measurement| measurement.assay.concept.code)
        .int("measurement_source_concept_id", |measurement| measurement.assay.concept.id)
        .text_or_null("unit_source_value", |measurement| Some(measurement.assay.unit.code))
        .int_or_null("unit_source_concept_id", |measurement| Some(measurement.assay.unit.id))
        .no_texts(&["value_source_value"])
        .no_ints(&["measurement_event_id", "meas_event_field_concept_id"])
        .finish()
}

fn death(patients: &[Patient]) -> Result<RecordBatch, ArrowError> {
    Columns::<Death>::of(patients.iter().filter_map(|patient| patient.death.as_ref()))
        .int("person_id", |death| death.person)
        .date("death_date", |death| death.date)
        .no_datetimes(&["death_datetime"])
        .int_or_null("death_type_concept_id", |_| Some(EHR.id))
        .int_or_null("cause_concept_id", |death| death.cause.map(|cause| cause.id))
        .text_or_null("cause_source_value", |death| death.cause.map(|cause| cause.code))
        .int_or_null("cause_source_concept_id", |death| death.cause.map(|cause| cause.id))
        .finish()
}
