//! The tables of the small stores. Every patient's row carries a number, `who`, that is this patient's alone and no
//! identifier, so that cohorts can be compared patient by patient.

use consilium_protocol::consent::Domain;

use super::tree::Type::{self, Day, Int, Moment, Real, Text};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Subject,
    /// An identifier of the thing that is named.
    Key(&'static str),
    /// The patient's own number.
    Who,
    Plain(Type),
}

impl Kind {
    pub(super) const fn ty(self) -> Type {
        match self {
            Self::Plain(ty) => ty,
            Self::Subject | Self::Key(_) | Self::Who => Int,
        }
    }
}

pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) domain: Option<Domain>,
    pub(super) columns: &'static [(&'static str, Kind)],
}

use Kind::{Key, Plain, Subject, Who};

pub(super) const TABLES: &[Table] = &[
    Table {
        name: "person",
        domain: Some(Domain::Person),
        columns: &[
            ("person_id", Subject),
            ("year_of_birth", Who),
            ("gender_concept_id", Plain(Int)),
            ("month_of_birth", Plain(Int)),
            ("race_concept_id", Plain(Int)),
            ("ethnicity_concept_id", Plain(Int)),
        ],
    },
    Table {
        name: "condition_occurrence",
        domain: Some(Domain::Condition),
        columns: &[
            ("condition_occurrence_id", Key("condition_occurrence_id")),
            ("person_id", Subject),
            ("condition_type_concept_id", Who),
            ("condition_concept_id", Plain(Int)),
            ("condition_start_date", Plain(Day)),
            ("condition_start_datetime", Plain(Moment)),
            ("condition_end_date", Plain(Day)),
            ("condition_status_concept_id", Plain(Int)),
            ("visit_occurrence_id", Key("visit_occurrence_id")),
        ],
    },
    Table {
        name: "measurement",
        domain: Some(Domain::Measurement),
        columns: &[
            ("measurement_id", Key("measurement_id")),
            ("person_id", Subject),
            ("measurement_type_concept_id", Who),
            ("measurement_concept_id", Plain(Int)),
            ("measurement_date", Plain(Day)),
            ("value_as_number", Plain(Real)),
            ("value_as_concept_id", Plain(Int)),
            ("unit_concept_id", Plain(Int)),
            ("range_low", Plain(Real)),
            ("visit_occurrence_id", Key("visit_occurrence_id")),
        ],
    },
    Table {
        name: "observation",
        domain: Some(Domain::Observation),
        columns: &[
            ("observation_id", Key("observation_id")),
            ("person_id", Subject),
            ("observation_type_concept_id", Who),
            ("observation_concept_id", Plain(Int)),
            ("observation_date", Plain(Day)),
            ("value_as_number", Plain(Real)),
            ("value_as_concept_id", Plain(Int)),
            ("unit_concept_id", Plain(Int)),
            ("visit_occurrence_id", Key("visit_occurrence_id")),
        ],
    },
    Table {
        name: "visit_occurrence",
        domain: Some(Domain::Visit),
        columns: &[
            ("visit_occurrence_id", Key("visit_occurrence_id")),
            ("person_id", Subject),
            ("visit_type_concept_id", Who),
            ("visit_concept_id", Plain(Int)),
            ("visit_start_date", Plain(Day)),
            ("visit_start_datetime", Plain(Moment)),
            ("visit_end_date", Plain(Day)),
            ("visit_end_datetime", Plain(Moment)),
            ("preceding_visit_occurrence_id", Key("visit_occurrence_id")),
        ],
    },
    Table {
        name: "drug_exposure",
        domain: Some(Domain::Drug),
        columns: &[
            ("drug_exposure_id", Key("drug_exposure_id")),
            ("person_id", Subject),
            ("drug_type_concept_id", Who),
            ("drug_concept_id", Plain(Int)),
            ("drug_exposure_start_date", Plain(Day)),
            ("drug_exposure_end_date", Plain(Day)),
            ("quantity", Plain(Real)),
            ("days_supply", Plain(Int)),
            ("refills", Plain(Int)),
        ],
    },
    Table {
        name: "death",
        domain: Some(Domain::Death),
        columns: &[
            ("person_id", Subject),
            ("death_type_concept_id", Who),
            ("death_date", Plain(Day)),
            ("cause_concept_id", Plain(Int)),
        ],
    },
    Table {
        name: "concept",
        domain: None,
        columns: &[
            ("concept_id", Plain(Int)),
            ("concept_name", Plain(Text)),
            ("vocabulary_id", Plain(Text)),
            ("concept_code", Plain(Text)),
            ("standard_concept", Plain(Text)),
            ("valid_start_date", Plain(Day)),
        ],
    },
    Table {
        name: "concept_ancestor",
        domain: None,
        columns: &[
            ("ancestor_concept_id", Plain(Int)),
            ("descendant_concept_id", Plain(Int)),
            ("min_levels_of_separation", Plain(Int)),
            ("max_levels_of_separation", Plain(Int)),
        ],
    },
];

pub(super) fn table(name: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.name == name)
}
