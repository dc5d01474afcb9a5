//! What OMOP's tables are: whose they are, which domain opens them, which day a row is of, and what may be read.
//!
//! Source: OMOP Common Data Model 5.4, field definitions. Direct identifiers and everything that people type are not
//! in the lists and therefore never readable: `*_source_value`, names of providers, care sites and locations, notes,
//! `value_as_string`, `stop_reason`, `sig`, `lot_number`, device and product numbers, the day and moment of birth.

use consilium_protocol::consent::Domain;

use super::kind::Kind;

/// A table that OMOP defines.
#[derive(Debug)]
pub(crate) struct Definition {
    /// The name in lower case.
    pub(crate) name: &'static str,
    /// The domain that opens it; `None` for vocabularies, which are nobody's.
    pub(crate) domain: Option<Domain>,
    /// The column whose day consent's windows are about.
    pub(crate) date: Option<&'static str>,
    /// The columns that studies may read.
    pub(crate) columns: &'static [(&'static str, Kind)],
}

use Kind::{Code, Date, Integer, Key, Moment, Number, Subject, Text};

macro_rules! tables {
    ($($name:literal, $domain:expr, $date:expr, [$($column:literal: $kind:expr),* $(,)?];)*) => {
        /// Every table that is readable at all.
        pub(crate) const TABLES: &[Definition] = &[$(
            Definition { name: $name, domain: $domain, date: $date, columns: &[$(($column, $kind)),*] },
        )*];
    };
}

tables! {
    "person", Some(Domain::Person), None, [
        "person_id": Subject, "gender_concept_id": Code, "year_of_birth": Integer, "month_of_birth": Integer,
        "race_concept_id": Code, "ethnicity_concept_id": Code, "gender_source_concept_id": Code,
        "race_source_concept_id": Code, "ethnicity_source_concept_id": Code,
    ];
    "observation_period", Some(Domain::Person), Some("observation_period_start_date"), [
        "observation_period_id": Key, "person_id": Subject, "observation_period_start_date": Date,
        "observation_period_end_date": Date, "period_type_concept_id": Code,
    ];
    "visit_occurrence", Some(Domain::Visit), Some("visit_start_date"), [
        "visit_occurrence_id": Key, "person_id": Subject, "visit_concept_id": Code, "visit_start_date": Date,
        "visit_start_datetime": Moment, "visit_end_date": Date, "visit_end_datetime": Moment,
        "visit_type_concept_id": Code, "visit_source_concept_id": Code, "admitted_from_concept_id": Code,
        "discharged_to_concept_id": Code, "preceding_visit_occurrence_id": Key,
    ];
    "visit_detail", Some(Domain::Visit), Some("visit_detail_start_date"), [
        "visit_detail_id": Key, "person_id": Subject, "visit_detail_concept_id": Code,
        "visit_detail_start_date": Date, "visit_detail_start_datetime": Moment, "visit_detail_end_date": Date,
        "visit_detail_end_datetime": Moment, "visit_detail_type_concept_id": Code,
        "visit_detail_source_concept_id": Code, "admitted_from_concept_id": Code, "discharged_to_concept_id": Code,
        "preceding_visit_detail_id": Key, "parent_visit_detail_id": Key, "visit_occurrence_id": Key,
    ];
    "condition_occurrence", Some(Domain::Condition), Some("condition_start_date"), [
        "condition_occurrence_id": Key, "person_id": Subject, "condition_concept_id": Code,
        "condition_start_date": Date, "condition_start_datetime": Moment, "condition_end_date": Date,
        "condition_end_datetime": Moment, "condition_type_concept_id": Code, "condition_status_concept_id": Code,
        "visit_occurrence_id": Key, "visit_detail_id": Key, "condition_source_concept_id": Code,
    ];
    "condition_era", Some(Domain::Condition), Some("condition_era_start_date"), [
        "condition_era_id": Key, "person_id": Subject, "condition_concept_id": Code,
        "condition_era_start_date": Date, "condition_era_end_date": Date, "condition_occurrence_count": Integer,
    ];
    "drug_exposure", Some(Domain::Drug), Some("drug_exposure_start_date"), [
        "drug_exposure_id": Key, "person_id": Subject, "drug_concept_id": Code, "drug_exposure_start_date": Date,
        "drug_exposure_start_datetime": Moment, "drug_exposure_end_date": Date,
        "drug_exposure_end_datetime": Moment, "verbatim_end_date": Date, "drug_type_concept_id": Code,
        "refills": Integer, "quantity": Number, "days_supply": Integer, "route_concept_id": Code,
        "visit_occurrence_id": Key, "visit_detail_id": Key, "drug_source_concept_id": Code,
    ];
    "drug_era", Some(Domain::Drug), Some("drug_era_start_date"), [
        "drug_era_id": Key, "person_id": Subject, "drug_concept_id": Code, "drug_era_start_date": Date,
        "drug_era_end_date": Date, "drug_exposure_count": Integer, "gap_days": Integer,
    ];
    "dose_era", Some(Domain::Drug), Some("dose_era_start_date"), [
        "dose_era_id": Key, "person_id": Subject, "drug_concept_id": Code, "unit_concept_id": Code,
        "dose_value": Number, "dose_era_start_date": Date, "dose_era_end_date": Date,
    ];
    "procedure_occurrence", Some(Domain::Procedure), Some("procedure_date"), [
        "procedure_occurrence_id": Key, "person_id": Subject, "procedure_concept_id": Code, "procedure_date": Date,
        "procedure_datetime": Moment, "procedure_end_date": Date, "procedure_end_datetime": Moment,
        "procedure_type_concept_id": Code, "modifier_concept_id": Code, "quantity": Integer,
        "visit_occurrence_id": Key, "visit_detail_id": Key, "procedure_source_concept_id": Code,
    ];
    "device_exposure", Some(Domain::Device), Some("device_exposure_start_date"), [
        "device_exposure_id": Key, "person_id": Subject, "device_concept_id": Code,
        "device_exposure_start_date": Date, "device_exposure_start_datetime": Moment,
        "device_exposure_end_date": Date, "device_exposure_end_datetime": Moment, "device_type_concept_id": Code,
        "quantity": Integer, "visit_occurrence_id": Key, "visit_detail_id": Key, "device_source_concept_id": Code,
        "unit_concept_id": Code, "unit_source_concept_id": Code,
    ];
    "measurement", Some(Domain::Measurement), Some("measurement_date"), [
        "measurement_id": Key, "person_id": Subject, "measurement_concept_id": Code, "measurement_date": Date,
        "measurement_datetime": Moment, "measurement_type_concept_id": Code, "operator_concept_id": Code,
        "value_as_number": Number, "value_as_concept_id": Code, "unit_concept_id": Code, "range_low": Number,
        "range_high": Number, "visit_occurrence_id": Key, "visit_detail_id": Key,
        "measurement_source_concept_id": Code, "unit_source_concept_id": Code,
    ];
    "observation", Some(Domain::Observation), Some("observation_date"), [
        "observation_id": Key, "person_id": Subject, "observation_concept_id": Code, "observation_date": Date,
        "observation_datetime": Moment, "observation_type_concept_id": Code, "value_as_number": Number,
        "value_as_concept_id": Code, "qualifier_concept_id": Code, "unit_concept_id": Code,
        "visit_occurrence_id": Key, "visit_detail_id": Key, "observation_source_concept_id": Code,
    ];
    "death", Some(Domain::Death), Some("death_date"), [
        "person_id": Subject, "death_date": Date, "death_datetime": Moment, "death_type_concept_id": Code,
        "cause_concept_id": Code, "cause_source_concept_id": Code,
    ];
    "specimen", Some(Domain::Specimen), Some("specimen_date"), [
        "specimen_id": Key, "person_id": Subject, "specimen_concept_id": Code, "specimen_type_concept_id": Code,
        "specimen_date": Date, "specimen_datetime": Moment, "quantity": Number, "unit_concept_id": Code,
        "anatomic_site_concept_id": Code, "disease_status_concept_id": Code,
    ];
    "concept", None, None, [
        "concept_id": Code, "concept_name": Text, "domain_id": Text, "vocabulary_id": Text,
        "concept_class_id": Text, "standard_concept": Text, "concept_code": Text, "valid_start_date": Date,
        "valid_end_date": Date, "invalid_reason": Text,
    ];
    "vocabulary", None, None, [
        "vocabulary_id": Text, "vocabulary_name": Text, "vocabulary_reference": Text, "vocabulary_version": Text,
        "vocabulary_concept_id": Code,
    ];
    "domain", None, None, ["domain_id": Text, "domain_name": Text, "domain_concept_id": Code];
    "concept_class", None, None, [
        "concept_class_id": Text, "concept_class_name": Text, "concept_class_concept_id": Code,
    ];
    "concept_relationship", None, None, [
        "concept_id_1": Code, "concept_id_2": Code, "relationship_id": Text, "valid_start_date": Date,
        "valid_end_date": Date, "invalid_reason": Text,
    ];
    "relationship", None, None, [
        "relationship_id": Text, "relationship_name": Text, "is_hierarchical": Text, "defines_ancestry": Text,
        "reverse_relationship_id": Text, "relationship_concept_id": Code,
    ];
    "concept_synonym", None, None, [
        "concept_id": Code, "concept_synonym_name": Text, "language_concept_id": Code,
    ];
    "concept_ancestor", None, None, [
        "ancestor_concept_id": Code, "descendant_concept_id": Code, "min_levels_of_separation": Integer,
        "max_levels_of_separation": Integer,
    ];
    "drug_strength", None, None, [
        "drug_concept_id": Code, "ingredient_concept_id": Code, "amount_value": Number,
        "amount_unit_concept_id": Code, "numerator_value": Number, "numerator_unit_concept_id": Code,
        "denominator_value": Number, "denominator_unit_concept_id": Code, "box_size": Integer,
        "valid_start_date": Date, "valid_end_date": Date, "invalid_reason": Text,
    ];
}

/// Columns that OMOP has and no study may read, besides every `*_source_value`.
const WITHHELD: &[&str] = &[
    "birth_datetime",
    "care_site_id",
    "day_of_birth",
    "location_id",
    "lot_number",
    "note_text",
    "note_title",
    "production_id",
    "provider_id",
    "sig",
    "specimen_source_id",
    "stop_reason",
    "unique_device_id",
    "value_as_string",
];

/// The column whose values no two rows of a table share, by the table's name in lower case, where the store checks it.
pub(crate) fn key(name: &str) -> Option<&'static str> {
    match name {
        "person" => Some("person_id"),
        "concept" => Some("concept_id"),
        "vocabulary" => Some("vocabulary_id"),
        "domain" => Some("domain_id"),
        "concept_class" => Some("concept_class_id"),
        "relationship" => Some("relationship_id"),
        _ => None,
    }
}

/// The definition of a table, by its name in lower case.
pub(crate) fn definition(name: &str) -> Option<&'static Definition> {
    TABLES.iter().find(|table| table.name == name)
}

/// Whether OMOP has a column of this name that is kept from studies on purpose.
pub(crate) fn is_withheld(column: &str) -> bool {
    column.ends_with("_source_value") || WITHHELD.contains(&column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_of_patients_has_its_subject_and_its_date() {
        for table in TABLES {
            let subjects = table.columns.iter().filter(|(_, kind)| *kind == Subject).count();
            assert_eq!(subjects, usize::from(table.domain.is_some()), "{}", table.name);
            if let Some(date) = table.date {
                assert!(table.columns.contains(&(date, Date)), "{}", table.name);
            }
            let dated = table.columns.iter().any(|(_, kind)| *kind == Date);
            assert_eq!(table.date.is_some(), dated && table.domain.is_some(), "{}", table.name);
        }
    }

    #[test]
    fn nothing_typed_by_people_or_identifying_is_readable() {
        for table in TABLES {
            for (column, kind) in table.columns {
                assert!(!is_withheld(column), "{}.{column}", table.name);
                assert!(*kind != Text || table.domain.is_none(), "{}.{column}: free text", table.name);
            }
        }
    }
}
