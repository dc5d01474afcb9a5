//! What OMOP's tables are: whose they are, which domain opens them, which day a row is of, and what may be read.
//!
//! Source: OMOP Common Data Model 5.4, field definitions; for former names those of 5.3. Direct identifiers and everything that
//! people type are not in the lists and therefore never readable: `*_source_value`, names of providers, care sites and locations, notes,
//! `value_as_string`, `stop_reason`, `sig`, `lot_number`, device and product numbers, the day and moment of birth.

use consilium_protocol::consent::Domain;

use super::kind::Kind;

/// A table that OMOP defines.
#[derive(Debug)]
pub(crate) struct Definition {
    /// The name in lower case.
    pub(crate) name: &'static str,
    /// The domains that open it together; none for vocabularies, which are nobody's.
    pub(crate) domains: &'static [Domain],
    /// The column whose day consent's windows are about.
    pub(crate) date: Option<&'static str>,
    /// The columns that studies may read.
    pub(crate) columns: &'static [(&'static str, Kind)],
}

use Kind::{Code, Date, Integer, Key, Moment, Number, Subject, Text};

macro_rules! tables {
    ($($name:literal, $domains:expr, $date:expr, [$($column:literal: $kind:expr),* $(,)?];)*) => {
        /// Every table that is readable at all.
        pub(crate) const TABLES: &[Definition] = &[$(
            Definition { name: $name, domains: &$domains, date: $date, columns: &[$(($column, $kind)),*] },
        )*];
    };
}

tables! {
    "person", [Domain::Person], None, [
        "person_id": Subject, "gender_concept_id": Code, "year_of_birth": Integer, "month_of_birth": Integer,
        "race_concept_id": Code, "ethnicity_concept_id": Code, "gender_source_concept_id": Code,
        "race_source_concept_id": Code, "ethnicity_source_concept_id": Code,
    ];
    "observation_period", [Domain::Person], Some("observation_period_start_date"), [
        "observation_period_id": Key, "person_id": Subject, "observation_period_start_date": Date,
        "observation_period_end_date": Date, "period_type_concept_id": Code,
    ];
    "visit_occurrence", [Domain::Visit], Some("visit_start_date"), [
        "visit_occurrence_id": Key, "person_id": Subject, "visit_concept_id": Code, "visit_start_date": Date,
        "visit_start_datetime": Moment, "visit_end_date": Date, "visit_end_datetime": Moment,
        "visit_type_concept_id": Code, "visit_source_concept_id": Code, "admitted_from_concept_id": Code,
        "discharged_to_concept_id": Code, "preceding_visit_occurrence_id": Key,
    ];
    "visit_detail", [Domain::Visit], Some("visit_detail_start_date"), [
        "visit_detail_id": Key, "person_id": Subject, "visit_detail_concept_id": Code,
        "visit_detail_start_date": Date, "visit_detail_start_datetime": Moment, "visit_detail_end_date": Date,
        "visit_detail_end_datetime": Moment, "visit_detail_type_concept_id": Code,
        "visit_detail_source_concept_id": Code, "admitted_from_concept_id": Code, "discharged_to_concept_id": Code,
        "preceding_visit_detail_id": Key, "parent_visit_detail_id": Key, "visit_occurrence_id": Key,
    ];
    "condition_occurrence", [Domain::Condition], Some("condition_start_date"), [
        "condition_occurrence_id": Key, "person_id": Subject, "condition_concept_id": Code,
        "condition_start_date": Date, "condition_start_datetime": Moment, "condition_end_date": Date,
        "condition_end_datetime": Moment, "condition_type_concept_id": Code, "condition_status_concept_id": Code,
        "visit_occurrence_id": Key, "visit_detail_id": Key, "condition_source_concept_id": Code,
    ];
    "condition_era", [Domain::Condition], Some("condition_era_start_date"), [
        "condition_era_id": Key, "person_id": Subject, "condition_concept_id": Code,
        "condition_era_start_date": Date, "condition_era_end_date": Date, "condition_occurrence_count": Integer,
    ];
    "drug_exposure", [Domain::Drug], Some("drug_exposure_start_date"), [
        "drug_exposure_id": Key, "person_id": Subject, "drug_concept_id": Code, "drug_exposure_start_date": Date,
        "drug_exposure_start_datetime": Moment, "drug_exposure_end_date": Date,
        "drug_exposure_end_datetime": Moment, "verbatim_end_date": Date, "drug_type_concept_id": Code,
        "refills": Integer, "quantity": Number, "days_supply": Integer, "route_concept_id": Code,
        "visit_occurrence_id": Key, "visit_detail_id": Key, "drug_source_concept_id": Code,
    ];
    "drug_era", [Domain::Drug], Some("drug_era_start_date"), [
        "drug_era_id": Key, "person_id": Subject, "drug_concept_id": Code, "drug_era_start_date": Date,
        "drug_era_end_date": Date, "drug_exposure_count": Integer, "gap_days": Integer,
    ];
    "dose_era", [Domain::Drug], Some("dose_era_start_date"), [
        "dose_era_id": Key, "person_id": Subject, "drug_concept_id": Code, "unit_concept_id": Code,
        "dose_value": Number, "dose_era_start_date": Date, "dose_era_end_date": Date,
    ];
    "procedure_occurrence", [Domain::Procedure], Some("procedure_date"), [
        "procedure_occurrence_id": Key, "person_id": Subject, "procedure_concept_id": Code, "procedure_date": Date,
        "procedure_datetime": Moment, "procedure_end_date": Date, "procedure_end_datetime": Moment,
        "procedure_type_concept_id": Code, "modifier_concept_id": Code, "quantity": Integer,
        "visit_occurrence_id": Key, "visit_detail_id": Key, "procedure_source_concept_id": Code,
    ];
    "device_exposure", [Domain::Device], Some("device_exposure_start_date"), [
        "device_exposure_id": Key, "person_id": Subject, "device_concept_id": Code,
        "device_exposure_start_date": Date, "device_exposure_start_datetime": Moment,
        "device_exposure_end_date": Date, "device_exposure_end_datetime": Moment, "device_type_concept_id": Code,
        "quantity": Integer, "visit_occurrence_id": Key, "visit_detail_id": Key, "device_source_concept_id": Code,
        "unit_concept_id": Code, "unit_source_concept_id": Code,
    ];
    "measurement", [Domain::Measurement], Some("measurement_date"), [
        "measurement_id": Key, "person_id": Subject, "measurement_concept_id": Code, "measurement_date": Date,
        "measurement_datetime": Moment, "measurement_type_concept_id": Code, "operator_concept_id": Code,
        "value_as_number": Number, "value_as_concept_id": Code, "unit_concept_id": Code, "range_low": Number,
        "range_high": Number, "visit_occurrence_id": Key, "visit_detail_id": Key,
        "measurement_source_concept_id": Code, "unit_source_concept_id": Code,
    ];
    "observation", [Domain::Observation], Some("observation_date"), [
        "observation_id": Key, "person_id": Subject, "observation_concept_id": Code, "observation_date": Date,
        "observation_datetime": Moment, "observation_type_concept_id": Code, "value_as_number": Number,
        "value_as_concept_id": Code, "qualifier_concept_id": Code, "unit_concept_id": Code,
        "visit_occurrence_id": Key, "visit_detail_id": Key, "observation_source_concept_id": Code,
    ];
    "death", [Domain::Death], Some("death_date"), [
        "person_id": Subject, "death_date": Date, "death_datetime": Moment, "death_type_concept_id": Code,
        "cause_concept_id": Code, "cause_source_concept_id": Code,
    ];
    "specimen", [Domain::Specimen], Some("specimen_date"), [
        "specimen_id": Key, "person_id": Subject, "specimen_concept_id": Code, "specimen_type_concept_id": Code,
        "specimen_date": Date, "specimen_datetime": Moment, "quantity": Number, "unit_concept_id": Code,
        "anatomic_site_concept_id": Code, "disease_status_concept_id": Code,
    ];
    "payer_plan_period", [Domain::Person], Some("payer_plan_period_start_date"), [
        "payer_plan_period_id": Key, "person_id": Subject, "payer_plan_period_start_date": Date,
        "payer_plan_period_end_date": Date, "payer_concept_id": Code, "payer_source_concept_id": Code,
        "plan_concept_id": Code, "plan_source_concept_id": Code, "sponsor_concept_id": Code,
        "sponsor_source_concept_id": Code, "stop_reason_concept_id": Code, "stop_reason_source_concept_id": Code,
    ];
    // An episode, of a disease or of a treatment, is told from rows of these tables.
    "episode", [
        Domain::Condition, Domain::Drug, Domain::Procedure, Domain::Device, Domain::Measurement, Domain::Observation,
    ], Some("episode_start_date"), [
        "episode_id": Key, "person_id": Subject, "episode_concept_id": Code, "episode_start_date": Date,
        "episode_start_datetime": Moment, "episode_end_date": Date, "episode_end_datetime": Moment,
        "episode_parent_id": Key, "episode_number": Integer, "episode_object_concept_id": Code,
        "episode_type_concept_id": Code, "episode_source_concept_id": Code,
    ];
    "concept", [], None, [
        "concept_id": Code, "concept_name": Text, "domain_id": Text, "vocabulary_id": Text,
        "concept_class_id": Text, "standard_concept": Text, "concept_code": Text, "valid_start_date": Date,
        "valid_end_date": Date, "invalid_reason": Text,
    ];
    "vocabulary", [], None, [
        "vocabulary_id": Text, "vocabulary_name": Text, "vocabulary_reference": Text, "vocabulary_version": Text,
        "vocabulary_concept_id": Code,
    ];
    "domain", [], None, ["domain_id": Text, "domain_name": Text, "domain_concept_id": Code];
    "concept_class", [], None, [
        "concept_class_id": Text, "concept_class_name": Text, "concept_class_concept_id": Code,
    ];
    "concept_relationship", [], None, [
        "concept_id_1": Code, "concept_id_2": Code, "relationship_id": Text, "valid_start_date": Date,
        "valid_end_date": Date, "invalid_reason": Text,
    ];
    "relationship", [], None, [
        "relationship_id": Text, "relationship_name": Text, "is_hierarchical": Text, "defines_ancestry": Text,
        "reverse_relationship_id": Text, "relationship_concept_id": Code,
    ];
    "concept_synonym", [], None, [
        "concept_id": Code, "concept_synonym_name": Text, "language_concept_id": Code,
    ];
    "concept_ancestor", [], None, [
        "ancestor_concept_id": Code, "descendant_concept_id": Code, "min_levels_of_separation": Integer,
        "max_levels_of_separation": Integer,
    ];
    "drug_strength", [], None, [
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

/// Columns that OMOP has, of 5.4 or 5.3, and this program does not open: they point into other tables.
const UNOPENED: &[&str] = &[
    "meas_event_field_concept_id",
    "measurement_event_id",
    "measurement_time",
    "obs_event_field_concept_id",
    "observation_event_id",
];

/// Tables of OMOP that no study may read, by name.
const CLOSED: &[(&str, &str)] = &[
    ("attribute_definition", "it defines no patients' data"),
    ("care_site", "it names places; of a visit's place its concept is readable"),
    ("cdm_source", "it describes the export"),
    ("cohort", "studies make their own cohorts"),
    ("cohort_definition", "studies make their own cohorts"),
    ("cost", "it does not say whose a row is"),
    ("episode_event", "it does not say whose a row is"),
    ("fact_relationship", "it does not say whose a row is"),
    ("location", "it has addresses"),
    ("metadata", "it describes the export"),
    ("note", "it has free text"),
    ("note_nlp", "it is made of free text"),
    ("provider", "it names people"),
    ("source_to_concept_map", "it has the hospital's own codes, which are free text"),
];

/// Names of OMOP 5.3: table, its name there, its name in 5.4.
const FORMER: &[(&str, &str, &str)] = &[
    ("visit_occurrence", "admitting_source_concept_id", "admitted_from_concept_id"),
    ("visit_occurrence", "discharge_to_concept_id", "discharged_to_concept_id"),
    ("visit_detail", "admitting_source_concept_id", "admitted_from_concept_id"),
    ("visit_detail", "discharge_to_concept_id", "discharged_to_concept_id"),
    ("visit_detail", "visit_detail_parent_id", "parent_visit_detail_id"),
];

/// Texts of vocabularies that are a mark or nothing. In all others a text that elsewhere stands for nothing may be a name.
const MARKS: &[&str] = &["defines_ancestry", "invalid_reason", "is_hierarchical", "standard_concept"];

/// The name that a column had in OMOP 5.3, if it had another.
pub(crate) fn former_name(table: &str, column: &str) -> Option<&'static str> {
    FORMER.iter().find(|(of, _, now)| *of == table && *now == column).map(|(_, former, _)| *former)
}

/// The name that a column of OMOP 5.3 has now, if it has another.
pub(crate) fn later_name(column: &str) -> Option<&'static str> {
    FORMER.iter().find(|(_, former, _)| *former == column).map(|(.., now)| *now)
}

/// Why a table of OMOP, by its name in lower case, is closed to every study; `None` if it is not, or none of OMOP's.
pub(crate) fn closed(name: &str) -> Option<&'static str> {
    CLOSED.iter().find(|(closed, _)| *closed == name).map(|(_, why)| *why)
}

/// Whether the texts of a vocabulary's column are marks, so that what stands for nothing does so in it.
pub(crate) fn is_mark(column: &str) -> bool {
    MARKS.contains(&column)
}

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

/// The names of the tables that studies may read.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    TABLES.iter().map(|table| table.name)
}

/// Whether OMOP defines a table of this name, readable or closed.
pub fn is_of_omop(name: &str) -> bool {
    definition(name).is_some() || closed(name).is_some()
}

/// Whether OMOP has a column of this name that is kept from studies on purpose.
pub(crate) fn is_withheld(column: &str) -> bool {
    column.ends_with("_source_value") || WITHHELD.contains(&column)
}

/// Whether OMOP has a column of this name in this table, read or not.
pub(crate) fn has(table: &Definition, column: &str) -> bool {
    let former = |(of, former, _): &(&str, &str, &str)| *of == table.name && *former == column;
    is_withheld(column)
        || UNOPENED.contains(&column)
        || table.columns.iter().any(|(name, _)| *name == column)
        || FORMER.iter().any(former)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_of_patients_has_its_subject_and_its_date() {
        for table in TABLES {
            let subjects = table.columns.iter().filter(|(_, kind)| *kind == Subject).count();
            assert_eq!(subjects, usize::from(!table.domains.is_empty()), "{}", table.name);
            if let Some(date) = table.date {
                assert!(table.columns.contains(&(date, Date)), "{}", table.name);
            }
            let dated = table.columns.iter().any(|(_, kind)| *kind == Date);
            assert_eq!(table.date.is_some(), dated && !table.domains.is_empty(), "{}", table.name);
        }
    }

    #[test]
    fn nothing_typed_by_people_or_identifying_is_readable() {
        for table in TABLES {
            for (column, kind) in table.columns {
                assert!(!is_withheld(column), "{}.{column}", table.name);
                assert!(*kind != Text || table.domains.is_empty(), "{}.{column}: free text", table.name);
            }
        }
    }
}
